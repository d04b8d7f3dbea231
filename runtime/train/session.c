/* Entries are asked for when they are needed and again for every batch: a plan that has grown has moved. */
#include "session.h"
#include "used.h"
#include <string.h>
#include <time.h>

double session_seconds(const Session *s) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9 - s->start_s;
}

GrStatus session_entry(Session *s, Str name, int64_t rows, const PlanEntry **out) {
    const TrainJob *job = s->job;
    *out = plan_entry(exec_plan(job->exec), name.s, rows, job->variant.s);
    if (*out != NULL && exec_ready(job->exec, *out))
        return GR_OK;
    GR_ASSERT(job->ensure_entry != NULL);
    TRY(job->ensure_entry(job->user, name, rows, out, s->e));
    GR_ASSERT(*out != NULL && exec_ready(job->exec, *out));
    return GR_OK;
}

static const UValue *uniforms_now(Session *s) {
    return inputs_run(&s->uniforms, exec_plan(s->job->exec)->uniforms, &s->counters, &s->state);
}

GrStatus session_run(Session *s, Str name, const PlanEntry **out) {
    const PlanEntry *entry;
    TRY(session_entry(s, name, 0, &entry));
    uint32_t health = exec_run(s->job->exec, entry, uniforms_now(s));
    if (out != NULL)
        *out = entry;
    if (health == 0 || entry->n_outputs > 0)
        return GR_OK;
    return fail(s->e, health & HEALTH_INDEX ? GR_DATA : GR_NONFINITE, "`%.*s`: %s; nothing was written",
                FSTR(name),
                health & HEALTH_INDEX ? "an index is outside its tensor" : "a value is not finite");
}

static GrStatus load_used(Session *s) {
    const Plan *plan = exec_plan(s->job->exec);
    UsedVar *vars = PUSH(s->arena, UsedVar, plan->vars.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        const PlanVar *v = &plan->vars.at[i];
        const PlanBuffer *b = &plan->buffers.at[v->buffer];
        if (b->region == REGION_PARAM || b->region == REGION_STATE)
            vars[n++] = (UsedVar){b->region == REGION_STATE, v->path, b->dtype, b->shape,
                                  exec_buffer(s->job->exec, v->buffer)};
    }
    return used_load(s->arena, s->job->recipe, vars, n, s->e);
}

static void *var_data(Session *s, Str path, size_t *bytes) {
    const Plan *plan = exec_plan(s->job->exec);
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        if (!str_eq(plan->vars.at[i].path, path))
            continue;
        *bytes = plan->buffers.at[plan->vars.at[i].buffer].bytes;
        return exec_buffer(s->job->exec, plan->vars.at[i].buffer);
    }
    return NULL;
}

/* Copies begin as what they follow, wherever that came from. */
static void begin_copies(Session *s) {
    const Recipe *r = s->job->recipe;
    for (uint32_t i = 0; i < r->copies.n; i++) {
        size_t bytes = 0, more = 0;
        void *to = var_data(s, r->copies.at[i].copy, &bytes), *from = var_data(s, r->copies.at[i].of, &more);
        GR_ASSERT(to == NULL || (from != NULL && bytes == more));
        if (to != NULL)
            memcpy(to, from, bytes);
    }
}

GrStatus session_start(Session *s) {
    const Recipe *r = s->job->recipe;
    s->counters = (Counters){.seed = r->phases.n > 0 ? r->phases.at[0].seed : 1};
    TRY(session_run(s, STR("init"), NULL));
    TRY(load_used(s));
    begin_copies(s);
    return exec_plan(s->job->exec)->region_bytes[REGION_PACKED] > 0 ? session_run(s, STR("pack"), NULL) : GR_OK;
}

/* ---- batches ---- */
GrStatus feed_open(Session *s, Str name, const Dataset *d, int64_t batch, Feed *out) {
    const PlanEntry *entry;
    *out = (Feed){.name = name, .data = d, .batch = batch};
    TRY(session_entry(s, name, batch, &entry));
    uint32_t *columns = PUSH(s->arena, uint32_t, entry->n_columns + 1);
    out->n_columns = entry->n_columns;
    out->columns = PUSH(s->arena, Str, entry->n_columns + 1);
    out->targets = PUSH(s->arena, void *, entry->n_columns + 1);
    for (uint32_t i = 0; i < entry->n_columns; i++) {
        out->columns[i] = exec_plan(s->job->exec)->bindings.at[entry->first_column + i].name;
        int64_t column = dataset_column(d, out->columns[i]);
        if (column < 0)
            GR_BUG("`%.*s` reads the column `%.*s`, which was not loaded", FSTR(name), FSTR(out->columns[i]));
        columns[i] = (uint32_t)column;
    }
    return loader_create(s->arena, d, columns, out->n_columns, batch, s->job->load_ahead, &out->loader, s->e);
}

void feed_close(Feed *f) { loader_destroy(f->loader); }

static void *target_of(Session *s, const Feed *f, const PlanEntry *entry, Str column, int64_t rows) {
    const Plan *plan = exec_plan(s->job->exec);
    const DataColumn *c = &f->data->columns.at[dataset_column(f->data, column)];
    for (uint32_t i = entry->first_column; i < entry->first_column + entry->n_columns; i++) {
        const PlanBuffer *b = &plan->buffers.at[plan->bindings.at[i].buffer];
        if (!str_eq(plan->bindings.at[i].name, column))
            continue;
        if (b->dtype != c->dtype || b->bytes < (uint64_t)rows * c->row_bytes)
            GR_BUG("column `%.*s` of `%.*s` has another type in the plan than in the data", FSTR(column),
                   FSTR(f->name));
        return exec_buffer(s->job->exec, plan->bindings.at[i].buffer);
    }
    GR_BUG("`%.*s` for %lld rows does not read `%.*s`", FSTR(f->name), (long long)rows, FSTR(column));
}

GrStatus feed_next(Session *s, Feed *f, const PlanEntry **entry, int64_t *rows) {
    *rows = loader_rows(f->loader);
    if (*rows == 0)
        return GR_OK;
    TRY(session_entry(s, f->name, *rows, entry));
    for (uint32_t i = 0; i < f->n_columns; i++)
        f->targets[i] = target_of(s, f, *entry, f->columns[i], *rows);
    loader_next(f->loader, f->targets);
    s->counters.rows = *rows;
    return GR_OK;
}

/* ---- values ---- */
static float value_at(DType t, const void *at, int64_t i) {
    switch (t) {
    case DT_F32:  return ((const float *)at)[i];
    case DT_F64:  return (float)((const double *)at)[i];
    case DT_I32:  return (float)((const int32_t *)at)[i];
    case DT_I64:  return (float)((const int64_t *)at)[i];
    case DT_U8:
    case DT_BOOL: return ((const uint8_t *)at)[i];
    case DT_BF16: return f32_of_bf16(((const uint16_t *)at)[i]);
    case DT_F16:  return f32_of_f16(((const uint16_t *)at)[i]);
    case DT_COUNT: break;
    }
    GR_BUG("element type %d", (int)t);
}

void session_values(Session *s, Arena *a, const PlanEntry *entry, Str prefix, TrainValues *out) {
    const Plan *plan = exec_plan(s->job->exec);
    for (uint32_t i = entry->first_output; i < entry->first_output + entry->n_outputs; i++) {
        const PlanBinding *binding = &plan->bindings.at[i];
        const PlanBuffer *b = &plan->buffers.at[binding->buffer];
        int64_t n = shape_count(b->shape);
        float *values = PUSH(a, float, n + 1);
        for (int64_t k = 0; k < n; k++)
            values[k] = value_at(b->dtype, exec_buffer(s->job->exec, binding->buffer), k);
        Str name = str_format(a, "%.*s.%.*s", FSTR(prefix), FSTR(binding->name));
        vec_push(a, &out->at, (TrainValue){name, b->shape, values});
    }
}

void session_progress(Session *s, TrainEvent event, int64_t batches, const TrainValues *values,
                      bool improved) {
    if (s->job->progress == NULL)
        return;
    TrainProgress p = {.event = event,
                       .phase = s->phase,
                       .epoch = s->state.epoch,
                       .epochs = s->counters.epochs,
                       .step = s->state.step,
                       .steps = s->counters.steps,
                       .batches = batches,
                       .values = values,
                       .improved = improved,
                       .seconds = session_seconds(s)};
    p.batch = event == TRAIN_EVAL ? s->counters.clock + 1 : s->state.batch;
    s->job->progress(s->job->user, &p);
}

void session_alarm(Session *s, const RecipeAlarm *a, Str split) {
    if (s->job->progress == NULL)
        return;
    TrainProgress p = {.event = TRAIN_ALARM,
                       .phase = s->phase,
                       .epoch = s->state.epoch,
                       .epochs = s->counters.epochs,
                       .step = s->state.step,
                       .steps = s->counters.steps,
                       .alarm = a,
                       .split = split,
                       .seconds = session_seconds(s)};
    s->job->progress(s->job->user, &p);
}

/* ---- a pass over a split ---- */
static GrStatus check_health(Session *s, const Feed *f, uint32_t health) {
    if (health == 0)
        return GR_OK;
    if (health & HEALTH_INDEX)
        return fail(s->e, GR_DATA, "`%.*s`, batch %lld: an index is outside its tensor", FSTR(f->name),
                    (long long)s->counters.clock);
    return fail(s->e, GR_NONFINITE, "`%.*s`, batch %lld: a loss is not finite", FSTR(f->name),
                (long long)s->counters.clock);
}

static GrStatus run_batches(Session *s, Feed *f, const Split *split) {
    int64_t batches = (split->n + f->batch - 1) / f->batch;
    for (s->counters.clock = 0;; s->counters.clock++) {
        const PlanEntry *entry;
        int64_t rows;
        TRY(feed_next(s, f, &entry, &rows));
        if (rows == 0)
            return GR_OK;
        TRY(check_health(s, f, exec_run(s->job->exec, entry, uniforms_now(s))));
        session_progress(s, TRAIN_EVAL, batches, NULL, false);
    }
}

GrStatus session_evaluate(Session *s, Arena *a, Feed *f, const RecipeObjective *o, const Split *split,
                          TrainValues *out) {
    const PlanEntry *finish;
    s->counters.rows = 0;
    s->counters.clock = 0;
    s->counters.update = s->state.step;
    TRY(session_run(s, str_format(a, "%.*s.begin", FSTR(o->name)), NULL));
    loader_begin(f->loader, split->rows, split->n, 0);
    GrStatus status = run_batches(s, f, split);
    loader_end(f->loader);
    TRY(status);
    s->counters.rows = split->n;
    TRY(session_run(s, str_format(a, "%.*s.finish", FSTR(o->name)), &finish));
    session_values(s, a, finish, split->name, out);
    return GR_OK;
}
