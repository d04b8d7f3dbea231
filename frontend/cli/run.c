/* Data opened with compiled formulas, and batches for commands that run a step or two without a trainer. */
#include "run.h"
#include "statistics.h"
#include "used.h"
#include <string.h>

const UValue *uniform_values(Arena *a, const Recipe *r, const Uniforms *u, const Counters *at) {
    UniformRun run = {.arena = a, .recipe = r};
    TrainState none = {0};
    Counters c = *at;
    c.batch_rows = c.batch_rows ? c.batch_rows : c.rows;           /* one batch, no shards */
    return inputs_run(&run, u, &c, &none);
}

/* ---- the graphs of a data set ---- */
struct Formula { Session *s; Compiled compiled; Exec *exec; Arena *scratch; };

static uint32_t binding(const Plan *p, uint32_t first, uint32_t n, Str name) {
    for (uint32_t i = first; i < first + n; i++)
        if (str_eq(p->bindings.at[i].name, name)) return p->bindings.at[i].buffer;
    GR_BUG("an entry has no column or output `%.*s`", FSTR(name));
}

static GrStatus outside(const RecipeData *data, int64_t block, Error *e) {
    fail(e, GR_DATA, "data `%.*s`: %s in rows %lld to %lld", FSTR(data->name),
         data->repeats ? "a formula reads outside a tensor, or a `repeat` accepts none of its attempts,"
                       : "a formula reads outside a tensor",
         (long long)block * DATA_BLOCK, (long long)(block + 1) * DATA_BLOCK - 1);
    if (data->repeats) fail_help(e, "`repeat` is for conditions that hold often: 64 attempts are made");
    return GR_DATA;
}

static GrStatus run_stage(void *user, const RecipeData *data, const DataRequest *r, DataView *outputs,
                          uint32_t n_outputs, Error *e) {
    Formula *f = user;
    const Plan *p = f->compiled.planned.plan;
    ArenaMark mark = arena_mark(f->scratch);
    Str name = str_format(f->scratch, "data.%.*s%.*s", FSTR(data->name), FSTR(r->stage));
    bool rows = !str_is(r->stage, ".begin") && !str_starts(r->stage, ".finish");
    const PlanEntry *entry = plan_entry(p, name.s, rows ? DATA_BLOCK : 0, "fused");
    GR_ASSERT(entry != NULL);
    for (uint32_t i = entry->first_column; i < entry->first_column + entry->n_columns; i++)
        r->input(r->reader, p->bindings.at[i].name, exec_buffer(f->exec, p->bindings.at[i].buffer));
    Counters at = {.clock = r->block, .rows = DATA_BLOCK, .phase = r->epoch};
    uint32_t health = exec_run(f->exec, entry, uniform_values(f->scratch, f->s->recipe, p->uniforms, &at));
    arena_pop(mark);
    if (health & HEALTH_INDEX) return outside(data, r->block, e);
    for (uint32_t i = 0; i < n_outputs; i++) {
        uint32_t b = binding(p, entry->first_output, entry->n_outputs, outputs[i].name);
        outputs[i].dtype = p->buffers.at[b].dtype;
        outputs[i].at = exec_buffer(f->exec, b);
    }
    return GR_OK;
}

static void add_stage(Session *s, Entries *out, const RecipeData *d, const char *stage, int64_t rows) {
    vec_push(s->arena, &out->at,
             ((EntryRequest){LOWER_DATA, str_format(s->arena, "%.*s%s", FSTR(d->name), stage), rows, 0}));
}

static void add_numbered(Session *s, Entries *out, const RecipeData *d, const char *stage, uint32_t k, int64_t rows) {
    add_stage(s, out, d, str_format(s->arena, ".%s%u", stage, k).s, rows);
}

static bool computed(const RecipeRows *r) {
    for (uint32_t i = 0; i < r->values.n; i++)
        if (!r->values.at[i].raw) return true;
    return false;
}

bool run_stages(Session *s, const RecipeData *d, bool statistics, Entries *out) {
    Graph *columns = lower_graph(s->program, LOWER_DATA, d->name, DATA_BLOCK, s->diags);
    if (!columns) return false;
    if (columns->outputs.n > 0) add_stage(s, out, d, "", DATA_BLOCK);
    for (uint32_t k = 0; k < d->rows.n; k++)
        if (computed(&d->rows.at[k])) add_numbered(s, out, d, "rows", k, DATA_BLOCK);
    for (uint32_t k = 0; k < d->splits.n; k++)
        if (d->splits.at[k].grouped && !d->splits.at[k].group.raw) add_numbered(s, out, d, "groups", k, DATA_BLOCK);
    uint32_t levels = 0;
    for (uint32_t i = 0; i < d->statistics.n && statistics; i++)
        if (d->statistics.at[i].used && d->statistics.at[i].level >= levels) levels = d->statistics.at[i].level + 1;
    if (levels > 0) add_stage(s, out, d, ".begin", 0);
    for (uint32_t k = 0; k < levels; k++) {
        add_numbered(s, out, d, "part", k, DATA_BLOCK);
        add_numbered(s, out, d, "finish", k, 0);
    }
    return true;
}

/* Nothing is compiled, and `exec` stays NULL, when nothing is computed. */
static GrStatus formula_open(Session *s, const Common *c, const RecipeData *data, const DataStatistics *known,
                             Formula *f, Error *e) {
    *f = (Formula){.s = s, .scratch = arena_create()};
    Common free = *c;                                              /* --max-memory is of steps */
    free.max_memory = 0;
    Entries stages = {0};
    if (!run_stages(s, data, known == NULL, &stages))
        return fail(e, GR_PROGRAM, "data `%.*s` has errors", FSTR(data->name));
    if (stages.at.n == 0) return GR_OK;
    if (!compile_graphs(s, c, stages.at.n, stages.at.at, &f->compiled))
        return fail(e, GR_PROGRAM, "data `%.*s` has errors", FSTR(data->name));
    TRY(compile_plan(s, &free, &f->compiled, "fused", e));
    TRY(compile_load(c, &f->compiled, 0, NULL, e));
    code_flush(f->compiled.code);                  /* a sweep forks: no thread is left behind */
    PlanCode code = code_table(f->compiled.code);
    PlanCode *kept = PUSH(s->arena, PlanCode, 1);
    *kept = code;
    TRY(exec_create(s->arena, f->compiled.planned.plan, kept, (ExecOptions){c->threads}, &f->exec, e));
    if (known) statistics_fill(f->exec, known);
    return GR_OK;
}

static void formula_close(Formula *f) {
    if (f->exec) exec_destroy(f->exec);
    compile_close(&f->compiled);
    arena_destroy(f->scratch);
}

void run_settle_data(Dataset *d, Formula **f) {
    if (d) dataset_settle(d);
    if (*f) formula_close(*f);
    *f = NULL;
}

static GrStatus open_data(Session *s, const Common *c, uint32_t data, Str checkpoint, Dataset **out, Formula **lasting,
                          Error *e) {
    const RecipeData *d = &s->recipe->data.at[data];
    if (!d->has_graph) return dataset_open_within(s->arena, d, NULL, NULL, c->data_memory, out, e);
    DataStatistics read = {0};
    bool trained = checkpoint.n > 0 || used_has(s->recipe, d->name);
    if (checkpoint.n) TRY(statistics_read(s->arena, checkpoint, d, &read, e));
    else if (trained) TRY(statistics_of_run(s->arena, s->recipe, d, &read, e));
    const DataStatistics *known = trained ? &read : NULL;
    Formula *f = PUSH(s->arena, Formula, 1);
    GrStatus status = formula_open(s, c, d, known, f, e);
    DataProgram *program = PUSH(s->arena, DataProgram, 1);
    *program = (DataProgram){.user = f, .lasts = lasting != NULL, .run = run_stage};
    if (status == GR_OK) status = dataset_open_within(s->arena, d, program, known, c->data_memory, out, e);
    if (status == GR_OK && (*out)->renewal) *lasting = f;
    else formula_close(f);
    return status;
}

GrStatus run_open_data(Session *s, const Common *c, uint32_t data, Str checkpoint, Dataset **out, Formula **lasting,
                       Error *e) {
    GrStatus status = open_data(s, c, data, checkpoint, out, lasting, e);
    if (status != GR_OK && e->at.n > 0) e->sources = s->files;
    return status;
}

GrStatus run_open_all(Session *s, const Common *c, Dataset ***out, Error *e) {
    *out = PUSH(s->arena, Dataset *, s->recipe->data.n + 1);
    for (uint32_t i = 0; i < s->recipe->data.n; i++) TRY(run_open_data(s, c, i, (Str){0}, &(*out)[i], NULL, e));
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
