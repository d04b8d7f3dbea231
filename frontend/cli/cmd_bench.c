/* graphc bench: the training step (or the exports of a file that trains nothing) fused, unfused and unfused
 * with OpenBLAS, measured in turns in one process; then the fused program launch by launch, beside what
 * this machine could do. */
#include "clock.h"
#include "machine.h"
#include "philox.h"
#include "resident.h"
#include "run.h"
#include "shares.h"
#include "statistics.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct { Common common; uint32_t rounds, variants; } Options;
enum { KEY_ROUNDS = 0x200, KEY_VARIANTS };

enum { VARIANTS = 3 };
static const char *const variant_names[VARIANTS] = {"fused", "unfused", "blas"};

/* Bit v: variant v is in the list. */
static uint32_t parse_variants(const char *list, struct argp_state *state) {
    uint32_t wanted = 0;
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ",");
        uint32_t v = 0;
        while (v < VARIANTS && (strlen(variant_names[v]) != n || strncmp(at, variant_names[v], n) != 0)) v++;
        if (v == VARIANTS) argp_error(state, "variants are fused, unfused and blas, not `%.*s`", (int)n, at);
        wanted |= 1u << v;
        at += n + (at[n] == ',');
    }
    if (!wanted) argp_error(state, "--variants takes some of fused,unfused,blas");
    return wanted;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_ROUNDS: o->rounds = option_count(arg, 1, 100000, "--rounds", state); return 0;
    case KEY_VARIANTS: o->variants = parse_variants(arg, state); return 0;
    case 'j': o->common.json = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"rounds", KEY_ROUNDS, "N", 0, "how often each variant runs (as many as fit in two seconds)", 2},
    {"variants", KEY_VARIANTS, "LIST", 0, "some of fused,unfused,blas (all)", 2},
    {"json", 'j', 0, 0, "for programs", 2},
    {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {
    .options = options,
    .parser = parse,
    .args_doc = "FILE",
    .children = children,
    .doc = "Times the training step fused, unfused (one operation a kernel) and unfused with OpenBLAS for "
           "the products, what of it products, their packing and the rest take, then every "
           "launch of the fused step: time, bytes, operations, and its share of what this machine can do."};

typedef struct {
    Session *s;
    const Options *o;
    EntryRequest entry;
    Compiled c;
    Exec *exec;
    const UValue *uniforms;
    const PlanEntry *entries[VARIANTS];
    double min_ms[VARIANTS], median_ms[VARIANTS], shares[VARIANTS][SHARE_COUNT];
    double *ns[VARIANTS]; /* by step of the variant's entry, at the least */
    uint64_t data_bytes, peak_bytes; /* rows held; of the process, with them, the arena, code and compiler */
    uint32_t rounds;
} Bench;

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Columns of an export that is fed nothing: numbers of a standard normal, labels 0..9. */
static void fill_columns(Bench *b) {
    const Plan *p = b->c.planned.plan;
    for (uint32_t v = 0; v < VARIANTS; v++) {
        const PlanEntry *entry = b->entries[v];
        for (uint32_t i = 0; entry && i < entry->n_columns; i++) {
            uint32_t id = p->bindings.at[entry->first_column + i].buffer;
            const PlanBuffer *buffer = &p->buffers.at[id];
            void *at = exec_buffer(b->exec, id);
            for (int64_t k = 0; k < shape_count(buffer->shape); k++) {
                uint32_t w = philox_word(1, i, 0, 0, 0, (uint64_t)k);
                if (buffer->dtype == DT_F32) ((float *)at)[k] = (uniform_of_word(w) - 0.5f) * 4;
                if (buffer->dtype == DT_I32) ((int32_t *)at)[k] = (int32_t)(w % 10);
                if (buffer->dtype == DT_U8) ((uint8_t *)at)[k] = (uint8_t)(w % 5);
            }
        }
    }
}

static const RecipePhase *phase_of(const Recipe *r, Str run) {
    for (uint32_t i = 0; i < r->phases.n; i++)
        for (uint32_t k = 0; k < r->phases.at[i].runs.n; k++)
            if (str_eq(r->phases.at[i].runs.at[k].name, run)) return &r->phases.at[i];
    GR_BUG("no phase has a run `%.*s`", FSTR(run));
}

static GrStatus prepare(Bench *b, Error *e) {
    Session *s = b->s;
    bool trains = b->entry.kind == LOWER_TRAIN;
    EntryRequest requests[2] = {b->entry, {LOWER_INIT, STR("init"), 0, 0}};
    if (!compile_graphs(s, &b->o->common, trains ? 2 : 1, requests, &b->c))
        return fail(e, GR_PROGRAM, "the program has errors");
    uint32_t number[VARIANTS] = {0}; /* 1 + entry of the plan; a pointer would not survive the next variant */
    for (uint32_t v = 0; v < VARIANTS; v++) {
        if (!(b->o->variants >> v & 1)) continue;
        uint32_t first = b->c.planned.plan ? b->c.planned.plan->entries.n : 0;
        TRY(compile_plan(s, &b->o->common, &b->c, variant_names[v], e));
        number[v] = 1 + first;
    }
    const Plan *p = b->c.planned.plan;
    for (uint32_t v = 0; v < VARIANTS; v++)
        if (number[v]) b->entries[v] = &p->entries.at[number[v] - 1];
    TRY(compile_load(&b->o->common, &b->c, 0, NULL, e));
    PlanCode *code = PUSH(s->arena, PlanCode, 1);
    *code = code_table(b->c.code);
    TRY(exec_create(s->arena, p, code, (ExecOptions){b->o->common.threads}, &b->exec, e));
    Counters at = {.update = 1,
                   .batch = b->entry.rows,
                   .rows = b->entry.rows,
                   .epochs = 1,
                   .steps = 1,
                   .epoch_steps = 1,
                   .seed = 1};
    if (trains) inputs_batches(&at, &s->recipe->objectives.at[b->entry.objective], phase_of(s->recipe, b->entry.name));
    b->uniforms = uniform_values(s->arena, s->recipe, p->uniforms, &at);
    fill_columns(b);
    if (!trains) return GR_OK;
    const PlanEntry *init = plan_entry(p, "init", 0, variant_names[b->entries[0] ? 0 : b->entries[1] ? 1 : 2]);
    exec_run(b->exec, init, b->uniforms);
    Dataset **data;
    TRY(run_open_all(s, &b->o->common, &data, e));
    for (uint32_t i = 0; i < s->recipe->data.n; i++) {
        statistics_fill(b->exec, &data[i]->statistics);
        for (uint32_t k = 0; k < data[i]->columns.n; k++)
            b->data_bytes += data[i]->columns.at[k].row_bytes * (uint64_t)data[i]->rows;
    }
    for (uint32_t v = 0; v < VARIANTS; v++)
        if (b->entries[v]) TRY(run_fill(s, p, b->entries[v], b->entry.objective, b->exec, data, "train", 0, e));
    return GR_OK;
}

/* The variants take turns, a few runs each, so that whatever else the machine does hits all of them, and most runs
 * find the caches as a training leaves them. */
enum { TURN = 10 };

static void measure_turn(Bench *b, uint32_t variant, uint32_t first, double *ms) {
    for (uint32_t r = first; r < first + TURN && r < b->rounds; r++) {
        double start = clock_seconds();
        exec_run(b->exec, b->entries[variant], b->uniforms);
        ms[r] = (clock_seconds() - start) * 1e3;
    }
}

static void measure(Bench *b) {
    double once = 0;
    for (uint32_t v = 0; v < VARIANTS; v++) {
        if (!b->entries[v]) continue;
        exec_run(b->exec, b->entries[v], b->uniforms);
        double start = clock_seconds();
        exec_run(b->exec, b->entries[v], b->uniforms);
        once += clock_seconds() - start;
    }
    b->rounds = b->o->rounds ? b->o->rounds : once > 0.2 ? 10 : (uint32_t)(2 / (once + 1e-9));
    if (b->rounds > 2000) b->rounds = 2000;
    double *ms[VARIANTS];
    for (uint32_t v = 0; v < VARIANTS; v++) ms[v] = PUSH(b->s->arena, double, b->rounds);
    for (uint32_t r = 0; r < b->rounds; r += TURN)
        for (uint32_t v = 0; v < VARIANTS; v++)
            if (b->entries[v]) measure_turn(b, v, r, ms[v]);
    for (uint32_t v = 0; v < VARIANTS; v++) {
        if (!b->entries[v]) continue;
        qsort(ms[v], b->rounds, sizeof(double), compare_doubles);
        b->min_ms[v] = ms[v][0];
        b->median_ms[v] = ms[v][b->rounds / 2];
    }
}

/* Bytes a second of all threads, where a working set of this size lies. */
static double bandwidth_of(const Machine *m, uint64_t bytes) {
    uint32_t level = MACHINE_L1;
    while (level < MACHINE_DRAM && bytes > m->bytes[level] * m->threads) level++;
    return m->bandwidth[level][1].copy * 1e9;
}

static bool multiplies_pairs(const Kernel *k) {
    bool pairs = false;
    for (uint32_t i = 0; i < k->stages.n; i++)
        pairs |= k->stages.at[i].kind == STAGE_TILE && ktile_pairs(k, &k->stages.at[i].tile);
    return pairs;
}

/* What the step computes and moves in one run of the entry, at the working set of one of its turns. */
static double bound_ns(const Bench *b, const Machine *m, const PlanStep *step, int64_t runs) {
    bool pairs = step->kind == STEP_LAUNCH && multiplies_pairs(b->c.planned.kernels.at[step->kernel]);
    double compute = (double)step->flops / (pairs ? m->pairs_l1_gflops : m->fma_l1_gflops)[1],
           memory = (double)step->bytes / bandwidth_of(m, step->bytes) * 1e9;
    return (double)runs * (compute > memory ? compute : memory);
}

static const char *step_name(const Bench *b, const PlanStep *step) {
    switch (step->kind) {
    case STEP_LAUNCH: return b->c.planned.plan->kernels.at[step->kernel].name.s;
    case STEP_LOOP: return "loop";
    case STEP_BLAS: return "product";
    case STEP_EXTERN: return b->c.planned.plan->externs.at[step->external].symbol.s;
    case STEP_UNSURE: return "unsure";
    case STEP_COMMIT: return "commit";
    }
    return "";
}

static uint32_t first_line(const Bench *b, const PlanStep *step) {
    for (uint32_t i = 0; i < step->n_spans; i++) {
        Place p = sources_place(b->s->files, b->c.planned.plan->spans.at[step->first_span + i]);
        if (p.path.n && str_eq(p.path, b->s->main->path)) return p.line;
    }
    return 0;
}

static void profile(Bench *b) {
    for (uint32_t v = 0; v < VARIANTS; v++) {
        const PlanEntry *entry = b->entries[v];
        if (!entry) continue;
        b->ns[v] = PUSH(b->s->arena, double, entry->n_steps + 1);
        exec_profile(b->exec, entry, b->uniforms, b->rounds < 50 ? b->rounds : 50, b->ns[v]);
        shares_of(&b->c.planned, entry, b->ns[v], b->shares[v]);
    }
}

/* Where the time of each variant goes, launch by launch at the least. */
static void print_shares(const Bench *b) {
    printf("\n%-10s %12s %12s %12s\n", "ms in", "products", "packing", "the rest");
    for (uint32_t v = 0; v < VARIANTS; v++) {
        const double *ms = b->shares[v];
        if (!b->entries[v]) continue;
        printf("%-10s %12.3f %12.3f %12.3f", variant_names[v], ms[SHARE_PRODUCTS], ms[SHARE_PACKING], ms[SHARE_REST]);
        if (b->entries[0] && b->shares[0][SHARE_REST] > 0)
            printf("   %5.2f x fused", ms[SHARE_REST] / b->shares[0][SHARE_REST]);
        putchar('\n');
    }
}

static void print_table(const Bench *b, const Machine *m) {
    Products products = precision_products(b->c.final.graphs.at[0]);
    printf("entry       %.*s\n", FSTR(b->entry.name));
    if (products.rounded > 0)
        printf("products    %u of %u, operands rounded to %s\n", products.rounded, products.all,
               dtype_name(products.type));
    printf(
        "machine     %.0f GFLOP/s from L1%s; copying %.0f GB/s in L2, %.0f in L3, %.0f in memory; %u threads\n",
        m->fma_l1_gflops[1], products.rounded > 0 && m->pairs_l1_gflops[1] > 0
            ? str_format(b->s->arena, ", %.0f of bf16 pairs", m->pairs_l1_gflops[1]).s : "",
        m->bandwidth[MACHINE_L2][1].copy, m->bandwidth[MACHINE_L3][1].copy, m->bandwidth[MACHINE_DRAM][1].copy,
        m->threads);
    printf("memory      %.1f MB of arena, %.1f MB of data, %.1f MB in all at the most\n",
           (double)b->c.planned.plan->arena_bytes / 1e6, (double)b->data_bytes / 1e6, (double)b->peak_bytes / 1e6);
    for (uint32_t v = 0; v < VARIANTS; v++)
        if (b->entries[v])
            printf("%-10s  min %9.3f ms   median %9.3f ms   %5.2f x fused   (%u runs)\n", variant_names[v],
                   b->min_ms[v], b->median_ms[v], b->entries[0] ? b->min_ms[v] / b->min_ms[0] : 1.0,
                   b->rounds);
    print_shares(b);
    const PlanEntry *fused = b->entries[0];
    if (!fused) return;
    const double *ns = b->ns[0];
    double total = 0;
    printf("\n%-44s %6s %10s %10s %10s %9s %7s\n", "launch", "line", "us", "MFLOP", "KB", "bound us", "share");
    for (uint32_t i = 0; i < fused->n_steps; i++) {
        const PlanStep *step = &b->c.planned.plan->steps.at[fused->first_step + i];
        if (step->kind == STEP_COMMIT || ns[i] <= 0) continue;
        int64_t runs = plan_step_runs(b->c.planned.plan, fused, i);
        double bound = bound_ns(b, m, step, runs);
        printf("%-44.44s %6u %10.2f %10.2f %10.1f %9.2f %6.0f%%\n", step_name(b, step), first_line(b, step),
               ns[i] / 1e3, (double)runs * (double)step->flops / 1e6, (double)runs * (double)step->bytes / 1e3,
               bound / 1e3, 100 * bound / ns[i]);
        total += ns[i];
    }
    printf("%-44s %6s %10.2f\n", "sum of launches", "", total / 1e3);
    puts("bound: operations at the peak, or least bytes at the bandwidth of where they lie, whichever is longer");
}

static void print_json(const Bench *b, const Machine *m) {
    json_t *root = json_object(), *variants = json_object(), *launches = json_array();
    json_object_set_new(root, "file", json_string(b->o->common.file));
    json_object_set_new(root, "entry", json_stringn(b->entry.name.s, b->entry.name.n));
    json_object_set_new(root, "threads", json_integer(b->o->common.threads));
    json_object_set_new(root, "arena_bytes", json_integer((json_int_t)b->c.planned.plan->arena_bytes));
    json_object_set_new(root, "data_bytes", json_integer((json_int_t)b->data_bytes));
    json_object_set_new(root, "peak_bytes", json_integer((json_int_t)b->peak_bytes));
    json_object_set_new(root, "machine",
                        json_pack("{s:f, s:f, s:f}", "gflops", m->fma_l1_gflops[1], "l3_copy_gbytes",
                                  m->bandwidth[MACHINE_L3][1].copy, "memory_copy_gbytes",
                                  m->bandwidth[MACHINE_DRAM][1].copy));
    for (uint32_t v = 0; v < VARIANTS; v++)
        if (b->entries[v])
            json_object_set_new(variants, variant_names[v],
                                json_pack("{s:f, s:f, s:f, s:f, s:f}", "min_ms", b->min_ms[v], "median_ms",
                                          b->median_ms[v], "products_ms", b->shares[v][SHARE_PRODUCTS], "packing_ms",
                                          b->shares[v][SHARE_PACKING], "rest_ms", b->shares[v][SHARE_REST]));
    json_object_set_new(root, "variants", variants);
    const PlanEntry *fused = b->entries[0];
    const double *ns = b->ns[0];
    for (uint32_t i = 0; fused && i < fused->n_steps; i++) {
        const PlanStep *step = &b->c.planned.plan->steps.at[fused->first_step + i];
        if (step->kind == STEP_COMMIT || ns[i] <= 0) continue;
        int64_t runs = plan_step_runs(b->c.planned.plan, fused, i);
        json_array_append_new(launches, json_pack("{s:s, s:i, s:f, s:I, s:I, s:I, s:f}", "name", step_name(b, step),
                                                  "line", (int)first_line(b, step), "ns", ns[i], "runs",
                                                  (json_int_t)runs, "flops", (json_int_t)step->flops * runs, "bytes",
                                                  (json_int_t)step->bytes * runs, "bound_ns",
                                                  bound_ns(b, m, step, runs)));
    }
    json_object_set_new(root, "launches", launches);
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static int bench_entry(Session *s, const Options *o, EntryRequest entry, const Machine *m) {
    Bench b = {.s = s, .o = o, .entry = entry};
    Error e = {0};
    resident_reset();
    if (prepare(&b, &e) != GR_OK) return report_error(&o->common, &e);
    measure(&b);
    b.peak_bytes = resident_peak();
    profile(&b);
    if (o->common.json) print_json(&b, m);
    else print_table(&b, m);
    compile_times(&b.c, &o->common);
    exec_destroy(b.exec);
    compile_close(&b.c);
    return 0;
}

int cmd_bench(int argc, char **argv) {
    Options o = {.common = common_make(), .variants = (1u << VARIANTS) - 1};
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    Entries entries = {0};
    program_entries(&s, &entries);
    if (entries.at.n == 0) return session_leave(&s, report_no_entry(&o.common));
    Error e = {0};
    Machine m;
    int status = machine_measure(o.common.threads, &m, &e) == GR_OK ? 0 : report_error(&o.common, &e);
    bool trains = s.recipe->phases.n > 0, several = false;
    for (uint32_t i = 0; i < entries.at.n && status == 0; i++) {
        if (trains && entries.at.at[i].kind != LOWER_TRAIN) continue;
        if (several && !o.common.json) putchar('\n');
        several = true;
        status = bench_entry(&s, &o, entries.at.at[i], &m);
    }
    session_report(&s, &o.common);
    session_close(&s);
    return status;
}
