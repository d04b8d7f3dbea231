/* graphc verify: the same steps by the graph interpreter, the unfused and the fused program; every bit of
 * every variable and every output has to be the same after each entry.  The interpreter runs the graphs as
 * they are after differentiation, which is what the program means; so a wrong rewrite, a wrong fusion and
 * wrong code all show. */
#include "run.h"
#include "statistics.h"
#include "trainer.h"
#include <stdlib.h>
#include <string.h>

typedef struct { Common common; uint32_t steps; int64_t batch; } Options;
enum { KEY_STEPS = 0x200, KEY_BATCH };

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_STEPS: o->steps = option_count(arg, 1, 1000, "--steps", state); return 0;
    case KEY_BATCH: o->batch = option_count(arg, 1, 1 << 20, "--batch", state); return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"steps", KEY_STEPS, "N", 0, "training steps to compare (2)", 2},
    {"batch", KEY_BATCH, "N", 0, "rows of a batch (as the file says)", 2},
    {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.options = options,
                                   .parser = parse,
                                   .args_doc = "FILE",
                                   .children = children,
                                   .doc = "Runs the first training steps (or, where nothing is trained, "
                                          "evaluation and exports) by the interpreter, unfused and "
                                          "fused, on 1, 2 and 3 threads, and compares every bit."};

enum { MAX_MOMENTS = 4096 };

/* What happens, in order: entry number and step. */
typedef struct { uint32_t entry; uint32_t step; } Moment;

typedef struct {
    Session *s;
    const Options *o;
    const RecipePhase *phase;          /* NULL: of a file that trains nothing */
    Entries entries;
    Compiled compiled;
    Module meaning;                    /* the graphs the interpreter runs */
    Dataset **data;
    Moment moments[MAX_MOMENTS];
    uint32_t n_moments;
    Tensor **expected;                 /* [moment][var] of the interpreter, then its outputs */
} Verify;

static bool is_step(LowerKind k) { return k == LOWER_TRAIN || k == LOWER_CONFLICT; }

static const UValue *values_at(Verify *v, Moment m) {
    const RecipePhase *p = v->phase;
    const EntryRequest *r = &v->entries.at.at[m.entry];
    Counters at = {.step = m.step, .update = m.step + 1, .clock = m.step, .rows = r->rows, .steps = 100,
                   .epoch_steps = 10, .seed = p ? p->seed : 1, .batch = p ? p->batch : EVAL_BATCH,
                   .epochs = p ? p->epochs : 1, .phase = p ? p - v->s->recipe->phases.at : 0};
    if (r->kind != LOWER_EXPORT)
        inputs_batches(&at, &v->s->recipe->objectives.at[r->objective], is_step(r->kind) ? p : NULL);
    return uniform_values(v->s->arena, v->s->recipe, v->s->module->uniforms, &at);
}

static Tensor tensor_copy(Arena *a, DType t, Shape s, const void *data) {
    size_t bytes = (size_t)shape_count(s) * dtype_bytes(t);
    Tensor out = {t, s, arena_push(a, bytes + 1, 64)};
    if (data) memcpy(out.data, data, bytes);
    return out;
}

/* First element whose bits differ (NaNs are equal), -1 for none. */
static int64_t first_difference(const Tensor *x, const Tensor *y) {
    int64_t n = shape_count(x->shape);
    for (int64_t i = 0; i < n; i++) {
        if (x->dtype == DT_F32) {
            if (f32_bits_canonical(((float *)x->data)[i]) != f32_bits_canonical(((float *)y->data)[i])) return i;
        } else if (x->dtype == DT_F64) {
            double a = ((double *)x->data)[i], b = ((double *)y->data)[i];
            if (memcmp(&a, &b, 8) != 0 && !(a != a && b != b)) return i;
        } else {
            uint32_t bytes = dtype_bytes(x->dtype);
            if (memcmp((char *)x->data + i * bytes, (char *)y->data + i * bytes, bytes) != 0) return i;
        }
    }
    return -1;
}

static double element(const Tensor *t, int64_t i) {
    switch (t->dtype) {
    case DT_F32: return ((float *)t->data)[i];
    case DT_F64: return ((double *)t->data)[i];
    case DT_I32: return ((int32_t *)t->data)[i];
    case DT_I64: return (double)((int64_t *)t->data)[i];
    case DT_U8: case DT_BOOL: return ((uint8_t *)t->data)[i];
    case DT_BF16: return f32_of_bf16(((uint16_t *)t->data)[i]);
    case DT_F16: return f32_of_f16(((uint16_t *)t->data)[i]);
    case DT_COUNT: break;
    }
    return 0;
}

/* ---- the interpreter's run ---- */
/* Of the training rows, or where there are none, of the first split. */
static GrStatus fill_column(Verify *v, Moment m, Str name, int64_t rows, void *to, Error *e) {
    const Recipe *r = v->s->recipe;
    const EntryRequest *entry = &v->entries.at.at[m.entry];
    const Dataset *d = NULL;
    int64_t column;
    for (uint32_t i = 0; i < r->exports.n && entry->kind == LOWER_EXPORT; i++)
        if (str_eq(r->exports.at[i].name, entry->name)) d = v->data[r->exports.at[i].data];
    if (d) column = dataset_column(d, name);
    else d = run_column(r, v->data, entry->objective, name, &column);
    bool trains = v->phase || splits_find(&d->splits, STR("train")) || d->splits.at.n == 0;
    Str split = trains ? STR("train") : str_copy(v->s->arena, d->splits.at.at[0].name);
    return run_fill_column(v->s->arena, d, column, split.s, rows, m.step, to, e);
}

static Tensor *columns_of(Verify *v, const Graph *g, Moment m, Error *e) {
    Arena *a = v->s->arena;
    Tensor *columns = PUSH(a, Tensor, g->columns.n + 1);
    for (uint32_t i = 0; i < g->columns.n; i++) {
        const Column *c = &g->columns.at[i];
        columns[i] = tensor_copy(a, c->dtype, c->shape, NULL);
        Str name = intern_str(v->s->module->names, c->name);
        if (fill_column(v, m, name, c->shape.dim[0], columns[i].data, e) != GR_OK) return NULL;
    }
    return columns;
}

static void set_statistics(const Verify *v, Tensor *vars) {
    for (uint32_t d = 0; d < v->s->recipe->data.n; d++) {
        const DataStatistics *s = &v->data[d]->statistics;
        for (uint32_t i = 0; i < v->s->module->vars.n; i++)
            for (uint32_t k = 0; k < s->n; k++)
                if (str_eq(v->s->module->vars.at[i].path, s->at[k].path))
                    vars[i] = tensor_copy(v->s->arena, s->at[k].dtype, s->at[k].shape, s->at[k].at);
    }
}

static GrStatus interpret(Verify *v, Error *e) {
    Arena *a = v->s->arena;
    uint32_t n_vars = v->s->module->vars.n;
    Tensor *vars = PUSH(a, Tensor, n_vars + 1);
    for (uint32_t i = 0; i < n_vars; i++)
        vars[i] = tensor_copy(a, v->s->module->vars.at[i].dtype, v->s->module->vars.at[i].shape, NULL);
    for (uint32_t m = 0; m < v->n_moments; m++) {
        const Graph *g = v->meaning.graphs.at[v->moments[m].entry];
        Tensor *columns = columns_of(v, g, v->moments[m], e);
        if (!columns) return e->status;
        Tensor *seen = PUSH(a, Tensor, n_vars + g->outputs.n + 1);
        EvalRun run = {.graph = g,
                       .vars = vars,
                       .columns = columns,
                       .uniforms = values_at(v, v->moments[m]),
                       .threads = v->o->common.threads};
        TRY(graph_eval(a, &run, seen + n_vars, e));
        if (run.health)
            return fail(
                e, GR_NONFINITE,
                "the interpreter meets a value that is not finite, or an index out of range, in step %u",
                v->moments[m].step);
        for (uint32_t i = 0; i < n_vars; i++) seen[i] = tensor_copy(a, vars[i].dtype, vars[i].shape, vars[i].data);
        if (v->entries.at.at[v->moments[m].entry].kind == LOWER_INIT) set_statistics(v, vars);
        v->expected[m] = seen;
    }
    return GR_OK;
}

/* ---- a compiled run ---- */
static void name_difference(Verify *v, const char *variant, uint32_t threads, Moment m, const char *kind,
                            Str name, Span at, const Tensor *want, const Tensor *got, int64_t i) {
    Place p = sources_place(v->s->files, at);
    printf("%s on %u thread%s differs from the interpreter after %.*s, step %u:\n  %s `%.*s`, element %lld: "
           "%.9g, the interpreter has %.9g\n",
           variant, threads, threads == 1 ? "" : "s", FSTR(v->entries.at.at[m.entry].name), m.step, kind,
           FSTR(name), (long long)i, element(got, i), element(want, i));
    if (p.path.n) printf("  declared at %.*s:%u\n", FSTR(p.path), p.line);
}

/* One launch by its compiled code, all points at once on this thread, in the arena at `at`. */
static void launch(Verify *v, const PlanStep *step, char *at, const UValue *uniforms) {
    const Plan *p = v->compiled.planned.plan;
    const PlanKernel *k = &p->kernels.at[step->kernel];
    PlanCode code = code_table(v->compiled.code);
    void **buffers = PUSH(v->s->arena, void *, step->n_args + k->n_micros + 1);
    for (uint32_t i = 0; i < step->n_args; i++) {
        const PlanArg *arg = &p->args.at[step->first_arg + i];
        buffers[i] = at + p->buffers.at[arg->buffer].offset + arg->offset;
    }
    for (uint32_t i = 0; i < k->n_micros; i++) buffers[step->n_args + i] = code.micros[k->first_micro + i];
    uint32_t mode = float_mode_enter();
    code.kernels[step->kernel](buffers, uniforms, 0, step->points,
                               arena_push(v->s->arena, k->scratch_bytes + ARENA_SLACK, 64));
    float_mode_restore(mode);
}

/* The entry again from the state `before`, each launch beside the kernel interpreter: the first whose
 * memory differs, with the source lines of its kernel. */
static void name_kernel(Verify *v, const PlanEntry *entry, const char *before, const UValue *uniforms) {
    const Plan *p = v->compiled.planned.plan;
    char *machine = arena_push(v->s->arena, p->arena_bytes, 64), *meaning = arena_push(v->s->arena, p->arena_bytes, 64);
    memcpy(meaning, before, p->arena_bytes);
    uint32_t last = entry->first_step + entry->n_steps;
    for (uint32_t i = entry->first_step; i < last; i++) {
        const PlanStep *step = &p->steps.at[i];
        PlanEntry one = *entry;
        one.first_step = i;
        one.n_steps = 1 + plan_step_body(step);
        memcpy(machine, meaning, p->arena_bytes);
        plan_eval(v->s->arena, &v->compiled.planned, &one, v->s->math, meaning, uniforms);
        i += one.n_steps - 1;
        if (step->kind != STEP_LAUNCH) continue;
        launch(v, step, machine, uniforms);
        if (memcmp(machine, meaning, p->arena_bytes) == 0) continue;
        const Kernel *k = v->compiled.planned.kernels.at[step->kernel];
        printf("  first kernel whose code differs from its meaning: %.*s\n", FSTR(k->name));
        for (uint32_t n = 0; n < k->spans.n; n++) {
            Place at = sources_place(v->s->files, k->spans.at[n]);
            if (at.path.n) printf("    %.*s:%u  %.*s\n", FSTR(at.path), at.line, FSTR(at.line_text));
        }
        return;
    }
    puts("  the code of every kernel is what the kernel means: the fusion itself differs from the graph");
}

static bool same_after(Verify *v, const char *variant, uint32_t threads, uint32_t m, Exec *x, const PlanEntry *entry) {
    const Plan *p = v->compiled.planned.plan;
    const Graph *g = v->meaning.graphs.at[v->moments[m].entry];
    uint32_t n_vars = v->s->module->vars.n;
    for (uint32_t i = 0; i < n_vars; i++) {
        const Var *var = &v->s->module->vars.at[i];
        const Tensor *want = &v->expected[m][i];
        Tensor got = {want->dtype, want->shape, exec_buffer(x, p->vars.at[i].buffer)};
        int64_t k = first_difference(want, &got);
        if (k < 0) continue;
        name_difference(v, variant, threads, v->moments[m], "variable", var->path, var->span, want, &got, k);
        return false;
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const Tensor *want = &v->expected[m][n_vars + i];
        Tensor got = {want->dtype, want->shape, exec_buffer(x, p->bindings.at[entry->first_output + i].buffer)};
        int64_t k = first_difference(want, &got);
        if (k < 0) continue;
        name_difference(v, variant, threads, v->moments[m], "output",
                        intern_str(v->s->module->names, g->outputs.at[i].name),
                        node_of(g, g->outputs.at[i].val)->span, want, &got, k);
        return false;
    }
    return true;
}

static GrStatus run_variant(Verify *v, const char *variant, uint32_t threads, bool *same, Error *e) {
    const Plan *p = v->compiled.planned.plan;
    PlanCode code = code_table(v->compiled.code);
    Exec *x;
    TRY(exec_create(v->s->arena, p, &code, (ExecOptions){threads}, &x, e));
    char *before = arena_push(v->s->arena, p->arena_bytes, 64);
    const char *start = (char *)exec_buffer(x, 0) - p->buffers.at[0].offset;
    *same = true;
    GrStatus status = GR_OK;
    for (uint32_t m = 0; m < v->n_moments && *same && status == GR_OK; m++) {
        const EntryRequest *r = &v->entries.at.at[v->moments[m].entry];
        const Graph *g = v->meaning.graphs.at[v->moments[m].entry];
        const PlanEntry *entry = plan_entry(p, intern_str(v->s->module->names, g->name).s, r->rows, variant);
        GR_ASSERT(entry);
        for (uint32_t i = entry->first_column; i < entry->first_column + entry->n_columns && status == GR_OK; i++) {
            const PlanBinding *b = &p->bindings.at[i];
            int64_t rows = p->buffers.at[b->buffer].shape.dim[0];
            status = fill_column(v, v->moments[m], b->name, rows, exec_buffer(x, b->buffer), e);
        }
        if (status != GR_OK) break;
        memcpy(before, start, p->arena_bytes);
        exec_run(x, entry, values_at(v, v->moments[m]));
        *same = same_after(v, variant, threads, m, x, entry);
        for (uint32_t d = 0; d < v->s->recipe->data.n && r->kind == LOWER_INIT; d++)
            statistics_fill(x, &v->data[d]->statistics);
        if (!*same) name_kernel(v, entry, before, values_at(v, v->moments[m]));
    }
    exec_destroy(x);
    return status;
}

static void add_moment(Verify *v, uint32_t entry, uint32_t step) {
    if (v->n_moments < MAX_MOMENTS) v->moments[v->n_moments++] = (Moment){entry, step};
}

static void add_all(Verify *v, LowerKind kind) {
    for (uint32_t i = 0; i < v->entries.at.n; i++)
        if (v->entries.at.at[i].kind == kind) add_moment(v, i, 0);
}

static uint32_t entry_of_run(const Verify *v, LowerKind kind, Str name) {
    for (uint32_t i = 0; i < v->entries.at.n; i++)
        if (v->entries.at.at[i].kind == kind && str_eq(v->entries.at.at[i].name, name)) return i;
    GR_BUG("a run without an entry");
}

/* So many steps that every run has had its turns, at least. */
static void plan_moments(Verify *v) {
    const RecipePhase *p = v->phase;
    add_all(v, LOWER_INIT);
    add_all(v, LOWER_BEGIN);
    for (uint32_t i = 0; p && (i < v->o->steps || recipe_runs_before(p, i, p->runs.n - 1) == 0); i++) {
        Str run = p->runs.at[recipe_run_at(p, i)].name;
        add_moment(v, entry_of_run(v, LOWER_TRAIN, run), i);
        if (p->shards > 1) add_moment(v, entry_of_run(v, LOWER_UPDATE, run), i);
    }
    if (p) add_all(v, LOWER_CONFLICT);
    if (p) add_all(v, LOWER_FINISH);
    if (p) add_all(v, LOWER_BEGIN);
    add_all(v, LOWER_EVAL);
    add_all(v, LOWER_FINISH);
    add_all(v, LOWER_EXPORT);
    v->expected = PUSH(v->s->arena, Tensor *, v->n_moments);
}

static GrStatus meaning_of(Verify *v) {
    PassOptions until_grad = {.stop_after = "grad"};
    v->meaning = v->compiled.lowered;
    memset(&v->meaning.graphs, 0, sizeof v->meaning.graphs);
    for (uint32_t i = 0; i < v->compiled.lowered.graphs.n; i++) {
        Graph *g = pipeline_run(v->s->arena, v->compiled.lowered.graphs.at[i], &until_grad, v->s->files, v->s->diags);
        if (!g) return GR_PROGRAM;
        vec_push(v->s->arena, &v->meaning.graphs, g);
    }
    return GR_OK;
}

/* What a training may look at beside its steps.  A limit is one of the steps: looks keep the gradients of all terms. */
static void add_samples(Verify *v) {
    for (uint32_t i = 0; i < v->phase->runs.n; i++) {
        const RecipeRun *run = &v->phase->runs.at[i];
        EntryRequest request = {LOWER_CONFLICT, run->name, v->phase->rows, run->objective};
        entries_add(v->s->arena, &v->entries, request);
    }
}

/* A phase's, or the evaluation of every objective and the exports that take rows of data. */
static void request_entries(Verify *v) {
    const Recipe *r = v->s->recipe;
    Arena *a = v->s->arena;
    if (v->phase) {
        phase_entries(v->s, (uint32_t)(v->phase - r->phases.at), &v->entries);
        if (v->o->common.max_memory == 0) add_samples(v);
        return;
    }
    entries_add(a, &v->entries, (EntryRequest){LOWER_INIT, STR("init"), 0, 0});
    for (uint32_t i = 0; i < r->objectives.n; i++) {
        Str name = r->objectives.at[i].name;
        entries_add(a, &v->entries, (EntryRequest){LOWER_BEGIN, name, 0, i});
        entries_add(a, &v->entries, (EntryRequest){LOWER_EVAL, name, EVAL_BATCH, i});
        entries_add(a, &v->entries, (EntryRequest){LOWER_FINISH, name, 0, i});
    }
    for (uint32_t i = 0; i < r->exports.n; i++) {
        const RecipeExport *x = &r->exports.at[i];
        if (x->data >= 0) entries_add(a, &v->entries, (EntryRequest){LOWER_EXPORT, x->name, EVAL_BATCH, 0});
        else printf("without         export `%.*s`, which takes no batch of a data set\n", FSTR(x->name));
    }
}

static GrStatus verify_phase(Verify *v, bool *same, Error *e) {
    static const char *const variants[] = {"unfused", "fused"};
    Session *s = v->s;
    request_entries(v);
    if (v->entries.at.n < 2)
        return fail(e, GR_PROGRAM, "%s has no `train`, no `objective` and no `export` of rows: nothing to verify",
                    v->o->common.file);
    for (uint32_t i = 0; i < v->entries.at.n && v->o->batch; i++)
        if (v->entries.at.at[i].rows) v->entries.at.at[i].rows = v->o->batch;
    if (!compile_graphs(s, &v->o->common, v->entries.at.n, v->entries.at.at, &v->compiled))
        return fail(e, GR_PROGRAM, "the program has errors");
    TRY(meaning_of(v));
    TRY(run_open_all(s, &v->o->common, &v->data, e));
    plan_moments(v);
    TRY(interpret(v, e));
    if (s->recipe->phases.n > 1) printf("phase           %.*s\n", FSTR(v->phase->name));
    printf("interpreter     %u moments\n", v->n_moments);
    for (uint32_t k = 0; k < 2; k++) TRY(compile_plan(s, &v->o->common, &v->compiled, variants[k], e));
    TRY(compile_load(&v->o->common, &v->compiled, 0, NULL, e));
    *same = true;
    for (uint32_t k = 0; k < 2; k++)
        for (uint32_t threads = 1; threads <= 3; threads++) {
            bool equal;
            TRY(run_variant(v, variants[k], threads, &equal, e));
            if (equal) printf("%-10s on %u  every bit is the same\n", variants[k], threads);
            *same = *same && equal;
        }
    return GR_OK;
}

int cmd_verify(int argc, char **argv) {
    Options o = {.common = common_make(), .steps = 2};
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    int status = 0;
    uint32_t phases = s.recipe->phases.n;
    for (uint32_t p = 0; p < (phases ? phases : 1) && status == 0; p++) {
        Verify *v = PUSH(s.arena, Verify, 1);
        *v = (Verify){.s = &s, .o = &o, .phase = phases ? &s.recipe->phases.at[p] : NULL};
        Error e = {0};
        bool same = false;
        if (verify_phase(v, &same, &e) != GR_OK) status = report_error(&o.common, &e);
        else if (!same) status = EXIT_WRONG;
        compile_close(&v->compiled);
    }
    session_report(&s, &o.common);
    session_close(&s);
    return status;
}
