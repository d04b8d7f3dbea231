/* graphc summary: what the program is made of and what a training will take, before any run. */
#include "cli.h"
#include <string.h>

typedef struct { Common common; } Options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    (void)arg;
    if (key != ARGP_KEY_INIT) return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->child_inputs[1] = &o->common;
    return 0;
}

static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.parser = parse, .args_doc = "FILE", .children = children,
    .doc = "Layers with their parameters, operations of a step, and memory: the arena of a training is allocated once, "
           "and its size is the sum printed here."};

/* The layer a variable belongs to: its path without the last name. */
static Str layer_of(Str path) {
    uint32_t n = path.n;
    while (n > 0 && path.s[n - 1] != '.') n--;
    return (Str){path.s, n > 0 ? n - 1 : path.n};
}

static void print_count(uint64_t n) {
    char digits[32], out[48];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), k = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = 0;
    printf("%14s", out);
}

static void print_layers(Session *s) {
    uint64_t total = 0;
    VEC(Var) *vars = (void *)&s->module->vars;
    printf("%-28s %-34s %14s\n", "layer", "weights", "parameters");
    for (uint32_t i = 0; i < vars->n; i++) {
        if (vars->at[i].kind != VAR_PARAM) continue;
        Str layer = layer_of(vars->at[i].path);
        bool seen = false;
        for (uint32_t k = 0; k < i && !seen; k++)
            seen = vars->at[k].kind == VAR_PARAM && str_eq(layer_of(vars->at[k].path), layer);
        if (seen) continue;
        Buf shapes = buf_make(s->arena);
        uint64_t count = 0;
        for (uint32_t k = i; k < vars->n; k++) {
            if (vars->at[k].kind != VAR_PARAM || !str_eq(layer_of(vars->at[k].path), layer)) continue;
            Str path = vars->at[k].path;
            buf_printf(&shapes, "%s%.*s", shapes.n ? " " : "", (int)(path.n - layer.n - 1), path.s + layer.n + 1);
            buf_shape(&shapes, vars->at[k].shape);
            count += (uint64_t)shape_count(vars->at[k].shape);
        }
        printf("%-28.*s %-34s ", FSTR(layer), shapes.n ? shapes.s : "");
        print_count(count);
        putchar('\n');
        total += count;
    }
    printf("%-28s %-34s ", "total", "");
    print_count(total);
    putchar('\n');
}

static void print_step(const Compiled *c, const char *title, const PlanEntry *entry) {
    uint64_t flops = 0, bytes = 0;
    uint32_t launches = 0, waves = 0, last_wave = UINT32_MAX;
    for (uint32_t i = 0; i < entry->n_steps; i++) {
        const PlanStep *st = &c->planned.plan->steps.at[entry->first_step + i];
        if (st->kind != STEP_LAUNCH && st->kind != STEP_BLAS) continue;
        flops += st->flops;
        bytes += st->bytes;
        launches++;
        waves += st->wave != last_wave;
        last_wave = st->wave;
    }
    printf("%-28s %.1f MFLOP, %.1f MB moved, %u launches in %u waves\n", title, (double)flops / 1e6, (double)bytes / 1e6, launches, waves);
}

static void print_memory(const Plan *p, uint32_t threads) {
    static const char *const names[] = {
#define X(id, name, what) name,
        REGION_LIST(X)
#undef X
    };
    puts("\nmemory of a training");
    for (uint32_t i = 0; i < REGION_COUNT; i++)
        if (p->region_bytes[i]) printf("  %-10s %14llu bytes\n", names[i], (unsigned long long)p->region_bytes[i]);
    printf("  %-10s %14llu bytes, one allocation\n", "arena", (unsigned long long)p->arena_bytes);
    printf("  %-10s %14llu bytes, %u threads\n", "scratch", (unsigned long long)p->scratch_bytes * threads, threads);
}

int cmd_summary(int argc, char **argv) {
    Options o = {.common = common_make()};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    Session s;
    bool ok = session_open(&s, &o.common);
    ok = session_report(&s, &o.common) && ok;
    if (!ok) return EXIT_WRONG;
    int status = 0;
    for (uint32_t p = 0; p < s.recipe->phases.n || p == 0; p++) {
        if (p == 0) print_layers(&s);
        if (s.recipe->phases.n == 0) break;
        EntryRequest entries[8];
        Compiled c;
        Error e = {0};
        uint32_t n = phase_entries(&s, p, entries);
        if (!compile_graphs(&s, &o.common, n, entries, &c) || compile_plan(&s, &o.common, &c, "fused", &e) != GR_OK) {
            status = e.what[0] ? report_error(&e) : EXIT_WRONG;
            session_report(&s, &o.common);
            break;
        }
        putchar('\n');
        print_step(&c, "training step", &c.planned.plan->entries.at[1]);
        print_step(&c, "evaluation step", &c.planned.plan->entries.at[2]);
        print_memory(c.planned.plan, o.common.threads);
        compile_times(&c, &o.common);
    }
    session_close(&s);
    return status;
}
