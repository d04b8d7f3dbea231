/* Entries are asked for when they are needed and again for every batch: a plan that has grown has moved. */
#include "session.h"
#include "clock.h"
#include "statistics.h"
#include "used.h"
#include <string.h>

double session_seconds(const Session *s) {
    return clock_seconds() - s->start_s;
}

bool session_interrupted(const Session *s) { return s->job->interrupted != NULL && *s->job->interrupted != 0; }

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

const UValue *session_uniforms(Session *s) {
    return inputs_run(&s->uniforms, exec_plan(s->job->exec)->uniforms, &s->counters, &s->state);
}

void session_explain(Session *s, const PlanEntry *entry, const UValue *uniforms, uint32_t health) {
    if ((health & HEALTH_NONFINITE) && !(health & HEALTH_INDEX) && s->job->explain != NULL)
        s->job->explain(s->job->user, entry, uniforms, s->e);
}

GrStatus session_run(Session *s, Str name, const PlanEntry **out) {
    const PlanEntry *entry;
    TRY(session_entry(s, name, 0, &entry));
    uint32_t health = exec_run(s->job->exec, entry, session_uniforms(s));
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

void *session_var(Session *s, Str path, size_t *bytes) {
    const Plan *plan = exec_plan(s->job->exec);
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        if (!str_eq(plan->vars.at[i].path, path))
            continue;
        *bytes = plan->buffers.at[plan->vars.at[i].buffer].bytes;
        return exec_buffer(s->job->exec, plan->vars.at[i].buffer);
    }
    return NULL;
}

void session_begin_copies(Session *s) {
    const Recipe *r = s->job->recipe;
    for (uint32_t i = 0; i < r->copies.n; i++) {
        size_t bytes = 0, more = 0;
        void *to = session_var(s, r->copies.at[i].copy, &bytes), *from = session_var(s, r->copies.at[i].of, &more);
        GR_ASSERT(to == NULL || (from != NULL && bytes == more));
        if (to != NULL)
            memcpy(to, from, bytes);
    }
}

GrStatus session_pack(Session *s) {
    return exec_plan(s->job->exec)->region_bytes[REGION_PACKED] > 0 ? session_run(s, STR("pack"), NULL) : GR_OK;
}

GrStatus session_start(Session *s) {
    const Recipe *r = s->job->recipe;
    uint32_t first = recipe_phase_from(r, 0);
    s->counters = (Counters){.seed = first < r->phases.n ? r->phases.at[first].seed : 1};
    TRY(session_run(s, STR("init"), NULL));
    for (uint32_t i = 0; i < r->data.n; i++)
        statistics_fill(s->job->exec, &s->job->data[i]->statistics);
    TRY(load_used(s));
    session_begin_copies(s);
    return session_pack(s);
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

void session_values(Session *s, Arena *a, const PlanEntry *entry, Str split, const RecipeObjective *o,
                    TrainValues *out) {
    const Plan *plan = exec_plan(s->job->exec);
    for (uint32_t i = entry->first_output; i < entry->first_output + entry->n_outputs; i++) {
        const PlanBinding *binding = &plan->bindings.at[i];
        const PlanBuffer *b = &plan->buffers.at[binding->buffer];
        int64_t n = shape_count(b->shape);
        float *values = PUSH(a, float, n + 1);
        for (int64_t k = 0; k < n; k++)
            values[k] = value_at(b->dtype, exec_buffer(s->job->exec, binding->buffer), k);
        bool alone = recipe_series_owners(s->job->recipe, s->phase, split, binding->name) < 2;
        Str whole = str_format(a, "%.*s.%.*s.%.*s", FSTR(split), FSTR(o->name), FSTR(binding->name));
        Str name = alone ? str_format(a, "%.*s.%.*s", FSTR(split), FSTR(binding->name)) : whole;
        vec_push(a, &out->at, (TrainValue){name, whole, b->shape, values, false});
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
                       .seconds = session_seconds(s),
                       .waited = s->waited};
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
