/* Looking at a batch.  Weights come from where a training or an evaluation has them: initial values, used runs, or the
 * checkpoint of a run; rows are those that the first step of the training takes, or the first of another split. */
#include "look.h"
#include "checkpoint.h"
#include "rundir.h"
#include "trainer.h"
#include "uses.h"
#include <string.h>

/* The first phase that trains the objective; NULL: none does. */
static const RecipePhase *phase_of(const Recipe *r, uint32_t objective) {
    for (uint32_t i = 0; i < r->phases.n; i++)
        for (uint32_t k = 0; k < r->phases.at[i].runs.n; k++)
            if (r->phases.at[i].runs.at[k].objective == objective) return &r->phases.at[i];
    return NULL;
}

static bool is_training(const Look *l) { return strcmp(l->split, "train") == 0; }

static int64_t batch_rows(const Look *l) {
    const RecipePhase *p = phase_of(l->s->recipe, l->objective);
    return p == NULL ? train_evaluation_batch(l->s->recipe, l->objective) : is_training(l) ? p->rows : p->batch;
}

static GrStatus open_data(Look *l, Error *e) {
    Session *s = l->s;
    l->data = PUSH(s->arena, Dataset *, s->recipe->data.n + 1);
    for (uint32_t i = 0; i < s->recipe->data.n; i++)
        TRY(run_open_data(s, l->c, i, l->checkpoint, &l->data[i], NULL, e));
    return GR_OK;
}

GrStatus look_open(Session *s, const Common *c, uint32_t objective, const char *split, const char *run, Look *out,
                   Error *e) {
    *out = (Look){.s = s, .c = c, .objective = objective, .split = split, .run = run};
    if (run) {
        TRY(rundir_trained(s->arena, str_of(run), e));
        out->checkpoint = train_best(s->arena, str_of(run));
    }
    out->rows = batch_rows(out);
    out->peek = program_peek(s->program, s->recipe->objectives.at[objective].name, is_training(out), out->rows,
                             s->diags);
    return out->peek ? GR_OK : fail(e, GR_PROGRAM, "the program has errors");
}

/* ---- weights ---- */
static GrStatus take_weights(Look *l, TrainState *state, Error *e) {
    TrainJob job = {.recipe = l->s->recipe, .data = l->data, .exec = l->exec, .variant = STR("fused")};
    TRY(train_start(&job, e));
    if (!l->run) return GR_OK;
    return checkpoint_load(l->s->arena, l->exec, CHECKPOINT_WEIGHTS, 0, l->checkpoint, state, e);
}

/* ---- the batch ---- */
/* Of which of the objective's data sets the column is. */
static uint32_t number_of(const Look *l, const Dataset *d) {
    const RecipeObjective *o = &l->s->recipe->objectives.at[l->objective];
    for (uint32_t i = 0; i < o->more.n; i++)
        if (l->data[o->more.at[i].data] == d) return i + 1;
    return 0;
}

static GrStatus rows_of(const Look *l, const Dataset *d, int64_t n, uint32_t *out, Error *e) {
    const Recipe *r = l->s->recipe;
    const RecipePhase *p = phase_of(r, l->objective);
    const Split *split;
    TRY(dataset_split(d, str_of(l->split), &split, e));
    if (split->n == 0) return fail(e, GR_DATA, "split `%s` of data `%.*s` is empty", l->split, FSTR(d->recipe->name));
    uint32_t *order = PUSH(l->s->arena, uint32_t, split->n);
    memcpy(order, split->rows, (size_t)split->n * sizeof *order);
    if (is_training(l) && p) {
        uint32_t stream = (uint32_t)(p - r->phases.at) | number_of(l, d) << 16;
        epoch_order(split, p->buffer, p->seed, stream, 0, order);
    }
    for (int64_t i = 0; i < n; i++) out[i] = order[i % split->n];
    return GR_OK;
}

static GrStatus fill(Look *l, Error *e) {
    const Plan *p = l->compiled.planned.plan;
    for (uint32_t i = l->entry->first_column; i < l->entry->first_column + l->entry->n_columns; i++) {
        const PlanBinding *b = &p->bindings.at[i];
        int64_t column, rows = p->buffers.at[b->buffer].shape.dim[0];
        const Dataset *d = run_column(l->s->recipe, l->data, l->objective, b->name, &column);
        uint32_t *pick = PUSH(l->s->arena, uint32_t, rows + 1);
        TRY(rows_of(l, d, rows, pick, e));
        dataset_fill(d, pick, rows, &(DataTarget){(uint32_t)column, exec_buffer(l->exec, b->buffer)}, 1);
    }
    return GR_OK;
}

/* ---- running ---- */
static Counters counters_of(const Look *l, const TrainState *state) {
    const Recipe *r = l->s->recipe;
    const RecipePhase *p = phase_of(r, l->objective);
    Counters at = {.rows = l->rows,
                   .batch = l->rows,
                   .batch_rows = l->rows,
                   .epoch = state->epoch,
                   .step = state->step};
    if (p) {
        const Split *train = splits_find(&l->data[r->objectives.at[l->objective].data]->splits, STR("train"));
        int64_t rows = train ? train->n : 0;
        at.batch = p->batch;
        at.seed = p->seed;
        at.phase = p - r->phases.at;
        at.epoch_steps = p->drop_tail ? rows / p->batch : (rows + p->batch - 1) / p->batch;
        at.steps = p->steps ? p->steps : p->epochs * at.epoch_steps;
        at.epochs = p->steps && at.epoch_steps ? (p->steps + at.epoch_steps - 1) / at.epoch_steps : p->epochs;
    }
    inputs_batches(&at, &r->objectives.at[l->objective], is_training(l) ? p : NULL);
    if (is_training(l)) at.update = at.clock = state->step + 1;
    else at.update = state->step;
    return at;
}

static GrStatus execute(Look *l, Error *e) {
    const Plan *p = l->compiled.planned.plan;
    TrainState state = {0};
    TRY(take_weights(l, &state, e));
    TRY(fill(l, e));
    UniformRun uniforms = {.arena = l->s->arena, .recipe = l->s->recipe};
    Counters at = counters_of(l, &state);
    exec_run(l->exec, l->entry, inputs_run(&uniforms, p->uniforms, &at, &state));
    return GR_OK;
}

GrStatus look_run(Look *l, Error *e) {
    Session *s = l->s;
    Str objective = s->recipe->objectives.at[l->objective].name;
    EntryRequest requests[2] = {{LOWER_INIT, STR("init"), 0, 0}, {LOWER_PEEK, objective, l->rows, l->objective}};
    TRY(open_data(l, e));
    if (!compile_graphs(s, l->c, 2, requests, &l->compiled)) return fail(e, GR_PROGRAM, "the program has errors");
    TRY(compile_plan(s, l->c, &l->compiled, "fused", e));
    TRY(compile_load(l->c, &l->compiled, 0, NULL, e));
    PlanCode code = code_table(l->compiled.code);
    TRY(exec_create(s->arena, l->compiled.planned.plan, &code, (ExecOptions){l->c->threads}, &l->exec, e));
    l->entry = &l->compiled.planned.plan->entries.at[1];
    return execute(l, e);
}

void look_close(Look *l) {
    exec_destroy(l->exec);
    compile_close(&l->compiled);
}
