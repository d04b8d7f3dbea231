/* Data opened with compiled formulas, and batches for commands that run a step or two without a trainer. */
#include "run.h"
#include <string.h>

const UValue *uniform_values(Arena *a, const Recipe *r, const Uniforms *u, const Counters *at) {
    UniformRun run = {.arena = a, .recipe = r};
    TrainState none = {0};
    return inputs_run(&run, u, at, &none);
}

/* ---- computed columns ---- */
typedef struct { Session *s; Compiled compiled; Exec *exec; Arena *scratch; } Formula;

static uint32_t binding(const Plan *p, uint32_t first, uint32_t n, Str name) {
    for (uint32_t i = first; i < first + n; i++)
        if (str_eq(p->bindings.at[i].name, name)) return p->bindings.at[i].buffer;
    GR_BUG("an entry has no column or output `%.*s`", FSTR(name));
}

static GrStatus compute_block(void *user, const RecipeData *data, int64_t block, const DataView *inputs,
                              uint32_t n_inputs, DataView *outputs, uint32_t n_outputs, Error *e) {
    Formula *f = user;
    const Plan *p = f->compiled.planned.plan;
    const PlanEntry *entry = &p->entries.at[0];
    for (uint32_t i = 0; i < n_inputs; i++) {
        const PlanBuffer *b = &p->buffers.at[binding(p, entry->first_column, entry->n_columns, inputs[i].name)];
        memcpy(exec_buffer(f->exec, (uint32_t)(b - p->buffers.at)), inputs[i].at, b->bytes);
    }
    ArenaMark mark = arena_mark(f->scratch);
    Counters at = {.clock = block, .rows = DATA_BLOCK};
    uint32_t health = exec_run(f->exec, entry, uniform_values(f->scratch, f->s->recipe, p->uniforms, &at));
    arena_pop(mark);
    if (health & HEALTH_INDEX)
        return fail(e, GR_DATA, "data `%.*s`: a formula reads outside a tensor in rows %lld to %lld", FSTR(data->name),
                    (long long)block * DATA_BLOCK, (long long)(block + 1) * DATA_BLOCK - 1);
    for (uint32_t i = 0; i < n_outputs; i++) {
        uint32_t b = binding(p, entry->first_output, entry->n_outputs, outputs[i].name);
        outputs[i].dtype = p->buffers.at[b].dtype;
        outputs[i].at = exec_buffer(f->exec, b);
    }
    return GR_OK;
}

static GrStatus formula_open(Session *s, const Common *c, const RecipeData *data, Formula *f, Error *e) {
    *f = (Formula){.s = s, .scratch = arena_create()};
    EntryRequest request = {LOWER_DATA, data->name, DATA_BLOCK, 0};
    if (!compile_graphs(s, c, 1, &request, &f->compiled))
        return fail(e, GR_PROGRAM, "data `%.*s` has errors", FSTR(data->name));
    TRY(compile_plan(s, c, &f->compiled, "fused", e));
    TRY(compile_load(c, &f->compiled, 0, NULL, e));
    PlanCode code = code_table(f->compiled.code);
    PlanCode *kept = PUSH(s->arena, PlanCode, 1);
    *kept = code;
    return exec_create(s->arena, f->compiled.planned.plan, kept, (ExecOptions){c->threads}, &f->exec, e);
}

static void formula_close(Formula *f) {
    exec_destroy(f->exec);
    compile_close(&f->compiled);
    arena_destroy(f->scratch);
}

GrStatus run_open_data(Session *s, const Common *c, uint32_t data, Dataset **out, Error *e) {
    const RecipeData *d = &s->recipe->data.at[data];
    if (!d->has_graph) return dataset_open(s->arena, d, NULL, NULL, out, e);
    Formula f;
    GrStatus status = formula_open(s, c, d, &f, e);
    if (status == GR_OK) status = dataset_open(s->arena, d, compute_block, &f, out, e);
    formula_close(&f);
    return status;
}

GrStatus run_open_all(Session *s, const Common *c, Dataset ***out, Error *e) {
    *out = PUSH(s->arena, Dataset *, s->recipe->data.n + 1);
    for (uint32_t i = 0; i < s->recipe->data.n; i++) TRY(run_open_data(s, c, i, &(*out)[i], e));
    return GR_OK;
}

/* ---- batches ---- */
const Dataset *run_column(const Recipe *r, Dataset *const *data, uint32_t objective, Str name, int64_t *column) {
    const RecipeObjective *o = &r->objectives.at[objective];
    const Dataset *d = data[o->data];
    for (uint32_t i = 0; i < o->more.n; i++) {
        Str of = r->data.at[o->more.at[i].data].name;
        if (!str_starts(name, of.s) || name.n <= of.n || name.s[of.n] != '.') continue;
        d = data[o->more.at[i].data];
        name = (Str){name.s + of.n + 1, name.n - of.n - 1};
        break;
    }
    *column = dataset_column(d, name);
    GR_ASSERT(*column >= 0);
    return d;
}

GrStatus run_fill_column(Arena *a, const Dataset *d, int64_t column, const char *split, int64_t rows, int64_t step,
                         void *to, Error *e) {
    const Split *of;
    TRY(dataset_split(d, str_of(split), &of, e));
    if (of->n == 0) return fail(e, GR_DATA, "split `%s` of data `%.*s` is empty", split, FSTR(d->recipe->name));
    uint32_t *pick = PUSH(a, uint32_t, rows + 1);
    for (int64_t i = 0; i < rows; i++) pick[i] = of->rows[(step * rows + i) % of->n];
    dataset_fill(d, pick, rows, &(DataTarget){(uint32_t)column, to}, 1);
    return GR_OK;
}

GrStatus run_fill(Session *s, const Plan *plan, const PlanEntry *entry, uint32_t objective, Exec *x,
                  Dataset *const *data, const char *split, int64_t step, Error *e) {
    for (uint32_t i = 0; i < entry->n_columns; i++) {
        const PlanBinding *b = &plan->bindings.at[entry->first_column + i];
        int64_t column;
        const Dataset *d = run_column(s->recipe, data, objective, b->name, &column);
        TRY(run_fill_column(s->arena, d, column, split, plan->buffers.at[b->buffer].shape.dim[0], step,
                            exec_buffer(x, b->buffer), e));
    }
    return GR_OK;
}
