/* graphc summary: what the program is made of and what a training will take, before any run. */
#include "cli.h"
#include "table.h"
#include "trainer.h"
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
    .doc = "Layers with what they give and their parameters, the operations of each entry, and memory: the arena of a "
           "training is allocated once, and its size is the one printed here."};

/* The layer a variable belongs to: its path without the last name. */
static Str layer_of(Str path) {
    uint32_t n = path.n;
    while (n > 0 && path.s[n - 1] != '.') n--;
    return (Str){path.s, n > 0 ? n - 1 : path.n};
}

static bool same_layer(const Var *a, const Var *b) {
    return a->kind == VAR_PARAM && b->kind == VAR_PARAM && str_eq(layer_of(a->path), layer_of(b->path));
}

/* Where a value is: its graph, which may be the body of a loop, and how often that body is run. */
typedef struct { const Graph *g; Val at; int64_t turns; } Use;

/* The first value that is computed with what arguments of this kind and number hold; its views (a bias broadcast, a
 * weight turned) are still the same.  Into a loop it goes with the weight. */
static Use first_use(const Graph *g, ArgKind kind, uint32_t id, int64_t turns) {
    bool *is_var = PUSH(g->arena, bool, g->nodes.n);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        bool uses = false;
        for (uint32_t k = 0; k < n->n; k++) {
            if (!is_var[g->operands.at[n->first + k].i]) continue;
            if (n->op != OP_scan) uses = true;
            Use inside = {0};
            if (n->op == OP_scan) inside = first_use(n->attr.scan->body, ARG_BODY, k, turns * n->attr.scan->length);
            if (inside.g) return inside;
        }
        is_var[i] = (n->op == OP_arg && n->attr.arg.kind == kind && n->attr.arg.id == id) ||
                    (uses && op_class((Op)n->op) == CLASS_VIEW);
        if (uses && !is_var[i]) return (Use){g, {i}, turns};
    }
    return (Use){0};
}

/* What a layer gives: the last of the values that its parameters go into directly, in the first graph that has it. */
static void put_output(const Session *s, const Module *lowered, uint32_t first, Table *t) {
    Use last = {0};
    for (uint32_t i = 0; i < lowered->graphs.n && !last.g; i++) {
        if (lowered->graphs.at[i]->columns.n == 0) continue;           /* initial values, sums of an epoch */
        for (uint32_t k = first; k < s->module->vars.n; k++) {
            if (!same_layer(&s->module->vars.at[first], &s->module->vars.at[k])) continue;
            Use u = first_use(lowered->graphs.at[i], ARG_VAR, k, 1);
            if (u.g && (u.g != last.g || u.at.i > last.at.i)) last = u;
        }
    }
    Buf shape = buf_make(s->arena);
    if (last.g && last.turns > 1) buf_printf(&shape, "%lld x ", (long long)last.turns);
    if (last.g) buf_shape(&shape, node_of(last.g, last.at)->shape);
    table_cell(t, "%.*s", FSTR(buf_str(&shape)));
}

static uint64_t put_layer(const Session *s, const Module *lowered, uint32_t first, Table *t) {
    Str layer = layer_of(s->module->vars.at[first].path);
    Buf shapes = buf_make(s->arena);
    uint64_t count = 0;
    for (uint32_t k = first; k < s->module->vars.n; k++) {
        const Var *v = &s->module->vars.at[k];
        if (!same_layer(&s->module->vars.at[first], v)) continue;
        uint32_t skip = layer.n < v->path.n ? layer.n + 1 : 0;
        buf_printf(&shapes, "%s%.*s", shapes.n ? " " : "", (int)(v->path.n - skip), v->path.s + skip);
        buf_shape(&shapes, v->shape);
        count += (uint64_t)shape_count(v->shape);
    }
    table_cell(t, "%.*s", FSTR(layer));
    put_output(s, lowered, first, t);
    table_cell(t, "%.*s", FSTR(buf_str(&shapes)));
    table_count(t, count);
    return count;
}

static void print_layers(Session *s, const Module *lowered) {
    Table t = table_make(s->arena, 4, "...r");
    uint64_t total = 0;
    table_cell(&t, "layer");
    table_cell(&t, "output");
    table_cell(&t, "weights");
    table_cell(&t, "parameters");
    for (uint32_t i = 0; i < s->module->vars.n; i++) {
        bool seen = s->module->vars.at[i].kind != VAR_PARAM;
        for (uint32_t k = 0; k < i && !seen; k++) seen = same_layer(&s->module->vars.at[k], &s->module->vars.at[i]);
        if (!seen) total += put_layer(s, lowered, i, &t);
    }
    table_cell(&t, "total");
    table_cell(&t, "%s", "");
    table_cell(&t, "%s", "");
    table_count(&t, total);
    table_print(&t, stdout);
}

static void put_entry(const Plan *p, const PlanEntry *entry, Table *t) {
    uint64_t flops = 0, bytes = 0, launches = 0, waves = 0;
    uint32_t last_wave = UINT32_MAX;
    for (uint32_t i = 0; i < entry->n_steps; i++) {
        const PlanStep *st = &p->steps.at[entry->first_step + i];
        uint64_t runs = (uint64_t)plan_step_runs(p, entry, i);
        if (st->kind == STEP_LOOP || st->kind == STEP_UNSURE || st->kind == STEP_COMMIT || runs == 0) continue;
        flops += runs * st->flops;
        bytes += runs * st->bytes;
        launches += runs;
        waves += st->wave != last_wave ? runs : 0;
        last_wave = st->wave;
    }
    table_cell(t, "%.*s", FSTR(entry->name));
    if (entry->rows) table_cell(t, "%lld", (long long)entry->rows);
    else table_cell(t, "%s", "");
    table_cell(t, "%.2f", (double)flops / 1e6);
    table_cell(t, "%.2f", (double)bytes / 1e6);
    table_cell(t, "%llu", (unsigned long long)launches);
    table_cell(t, "%llu", (unsigned long long)waves);
}

static void print_entries(Arena *a, const Plan *p) {
    static const char *const titles[] = {"entry", "rows", "MFLOP", "MB moved", "launches", "waves"};
    enum { COLUMNS = sizeof titles / sizeof *titles };
    Table t = table_make(a, COLUMNS, ".rrrrr");
    for (uint32_t i = 0; i < COLUMNS; i++) table_cell(&t, "%s", titles[i]);
    for (uint32_t i = 0; i < p->entries.n; i++) put_entry(p, &p->entries.at[i], &t);
    putchar('\n');
    table_print(&t, stdout);
}

static void print_products(const Module *compiled) {
    for (uint32_t i = 0; i < compiled->graphs.n; i++) {
        const Graph *g = compiled->graphs.at[i];
        Products p = precision_products(g);
        if (p.rounded > 0)
            printf("\n%.*s: operands of %u of %u products are rounded to %s\n",
                   FSTR(intern_str(g->module->names, g->name)), p.rounded, p.all, dtype_name(p.type));
    }
}

static void print_memory(Arena *a, const Plan *p, uint32_t threads) {
    static const struct { const char *name, *what; } regions[] = {
#define X(id, name, what) {name, what},
        REGION_LIST(X)
#undef X
    };
    Table t = table_make(a, 3, ".r.");
    table_cell(&t, "memory");
    table_cell(&t, "bytes");
    table_end_row(&t);
    for (uint32_t i = 0; i < REGION_COUNT; i++) {
        if (p->region_bytes[i] == 0) continue;
        table_cell(&t, "%s", regions[i].name);
        table_count(&t, p->region_bytes[i]);
        table_cell(&t, "%s", regions[i].what);
    }
    table_cell(&t, "arena");
    table_count(&t, p->arena_bytes);
    table_cell(&t, "all of these, allocated once");
    table_cell(&t, "scratch");
    table_count(&t, p->scratch_bytes * threads);
    table_cell(&t, "beside it, of %u threads", threads);
    putchar('\n');
    table_print(&t, stdout);
}

static bool summarise(Session *s, const Options *o, Error *e) {
    Entries entries = {0};
    Compiled c;
    program_entries(s, &entries);
    for (uint32_t i = 0; i < s->recipe->objectives.n && s->recipe->phases.n == 0; i++) {
        Str name = s->recipe->objectives.at[i].name;
        entries_add(s->arena, &entries, (EntryRequest){LOWER_EVAL, name, EVAL_BATCH, i});
    }
    if (!compile_graphs(s, &o->common, entries.at.n, entries.at.at, &c)) return false;
    print_layers(s, &c.lowered);
    if (entries.at.n == 0) return true;                    /* definitions only */
    if (compile_plan(s, &o->common, &c, "fused", e) != GR_OK) return false;
    print_entries(s->arena, c.planned.plan);
    print_products(&c.final);
    print_memory(s->arena, c.planned.plan, o->common.threads);
    fit_print(s, &c, stdout);
    compile_times(&c, &o->common);
    return true;
}

int cmd_summary(int argc, char **argv) {
    Options o = {.common = common_make()};
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    if (s.recipe->phases.n == 0 && s.module->vars.n == 0) return session_leave(&s, report_no_train(&o.common));
    int status = 0;
    Error e = {0};
    if (!summarise(&s, &o, &e)) {
        status = e.what[0] ? report_error(&o.common, &e) : EXIT_WRONG;
        session_report(&s, &o.common);
    }
    session_close(&s);
    return status;
}
