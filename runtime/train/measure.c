/* What a phase measures: the losses and metrics of the epoch as it trains, and the validations.  From both come the
 * series that kept lines and schedules read. */
#include "alarm.h"
#include "phase.h"
#include "schedule.h"
#include <math.h>
#include <string.h>

enum { KEPT_MOST = 32 };       /* kept lines of a phase: bits of a word */

/* ---- validations ---- */
GrStatus measure_open(Trainer *t) {
    Phase *p = t->phase;
    const TrainJob *job = t->s.job;
    for (uint32_t i = 0; i < p->recipe->validations.n; i++) {
        const RecipeValidation *v = &p->recipe->validations.at[i];
        const RecipeObjective *o = &job->recipe->objectives.at[v->objective];
        Check c = {.clause = v};
        if (!pass_possible(job, o, STR("val")))
            continue;
        TRY(pass_open(&t->s, p->arena, o, STR("val"), p->recipe->rows, &c.pass));
        vec_push(p->arena, &p->checks, c);
    }
    return GR_OK;
}

void measure_close(Phase *p) {
    for (uint32_t i = 0; i < p->checks.n; i++)
        pass_close(&p->checks.at[i].pass);
    p->checks.n = 0;
}

void measure_keep(Trainer *t, const TrainValues *values) {
    for (uint32_t i = 0; i < values->at.n; i++) {
        const TrainValue *v = &values->at.at[i];
        if (v->shape.rank > 0 || v->detail)
            continue;
        state_set_real(t->s.arena, &t->s.state, str_format(t->values, "series.%.*s", FSTR(v->name)),
                       (double)v->values[0]);
        state_set_real(t->s.arena, &t->s.state, str_format(t->values, "series.%.*s", FSTR(v->whole)),
                       (double)v->values[0]);
    }
}

static bool passed_before(const Phase *p, uint32_t check, const bool *ran) {
    for (uint32_t i = 0; i < check; i++) {
        if (ran[i] && p->checks.at[i].pass.objective == p->checks.at[check].pass.objective)
            return true;
    }
    return false;
}

/* Copies the accumulators to `metrics`, or back. */
static void copy_metrics(Trainer *t, bool back) {
    const Plan *plan = exec_plan(t->s.job->exec);
    char *at = t->metrics;
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        const PlanBuffer *b = &plan->buffers.at[plan->vars.at[i].buffer];
        if (b->region != REGION_METRIC)
            continue;
        void *here = exec_buffer(t->s.job->exec, plan->vars.at[i].buffer);
        memcpy(back ? here : at, back ? at : here, b->bytes);
        at += b->bytes;
    }
}

GrStatus measure_validate(Trainer *t, bool last, TrainValues *out, bool *any) {
    Phase *p = t->phase;
    bool *ran = PUSH(t->values, bool, p->checks.n + 1);
    GrStatus status = GR_OK;
    *any = false;
    copy_metrics(t, false);
    for (uint32_t i = 0; i < p->checks.n && status == GR_OK; i++) {
        Check *c = &p->checks.at[i];
        if (!(last || every(c->clause->epochs, t->s.state.epoch + 1)) || passed_before(p, i, ran))
            continue;
        status = pass_run(&t->s, t->values, &c->pass, out);
        ran[i] = *any = true;
    }
    if (status == GR_INTERRUPTED)
        copy_metrics(t, true);             /* the epoch is measured once more when the run goes on */
    TRY(status);
    measure_keep(t, out);
    return GR_OK;
}

static bool due(const Trainer *t, uint32_t check) {
    return every(t->phase->checks.at[check].clause->steps, t->s.state.step);
}

/* The accumulators of the epoch are put aside. */
GrStatus measure_between(Trainer *t) {
    TrainValues values = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->phase->checks.n; i++)
        n += due(t, i);
    if (n == 0)
        return GR_OK;
    ArenaMark mark = arena_mark(t->values);
    copy_metrics(t, false);
    GrStatus status = GR_OK;
    for (uint32_t i = 0; i < t->phase->checks.n && status == GR_OK; i++) {
        if (due(t, i))
            status = pass_run(&t->s, t->values, &t->phase->checks.at[i].pass, &values);
    }
    copy_metrics(t, true);
    t->s.state.owed = status == GR_INTERRUPTED;
    TRY(status);
    measure_keep(t, &values);
    schedules_due(&t->s);
    uint32_t improved = measure_improved(t);
    t->s.state.idle = improved != 0 ? 0 : t->s.state.idle;
    TRY(record_values(t, STR("validate"), &values));
    TRY(measure_alarms(t, STR("val"), &values));
    TRY(record_kept(t, improved));
    session_progress(&t->s, TRAIN_REPORT, t->s.counters.epoch_steps, &values, improved != 0);
    arena_pop(mark);
    return GR_OK;
}

/* ---- alarms ---- */
/* As the program says, or as whoever trains it does. */
static const RecipeAlarm *alarm_at_level(Trainer *t, const RecipeAlarm *written) {
    if (t->s.job->alarms < LEVEL_WARN)
        return written;
    RecipeAlarm *a = PUSH(t->s.arena, RecipeAlarm, 1);
    *a = *written;
    a->stop = t->s.job->alarms == LEVEL_STOP;
    return a;
}

GrStatus measure_alarms(Trainer *t, Str split, const TrainValues *values) {
    const Recipe *r = t->s.job->recipe;
    uint32_t o;
    for (uint32_t i = 0; recipe_measured(r, t->phase->recipe, split, i, &o); i++) {
        const RecipeObjective *objective = &r->objectives.at[o];
        for (uint32_t k = 0; k < objective->alarms.n; k++) {
            const RecipeAlarm *a = alarm_at_level(t, &objective->alarms.at[k]);
            if (!alarm_goes_off(&t->s, t->values, objective, k, split, values) || t->s.job->alarms == LEVEL_OFF)
                continue;
            TRY(record_alarm(t, a, split));
            session_alarm(&t->s, a, split);
            t->stop = a->stop && t->stop == NULL ? a : t->stop;
        }
    }
    return GR_OK;
}

/* ---- training ---- */
/* Rows that an objective has had in this epoch: full batches, but for the last one of a pass. */
static int64_t rows_so_far(const Trainer *t, uint32_t objective) {
    const TrainState *at = &t->s.state;
    const RecipePhase *p = t->phase->recipe;
    int64_t rows = 0, missing = p->batch * at->batch - t->phase->feeds.at[0].split->n;
    for (uint32_t i = 0; i < p->runs.n; i++) {
        int64_t runs = recipe_runs_before(p, at->step, i) - recipe_runs_before(p, at->step - at->batch, i);
        rows += p->runs.at[i].objective == objective ? runs * p->batch : 0;
    }
    bool last = missing > 0 && p->runs.at[recipe_run_at(p, at->step - 1)].objective == objective;
    return last ? rows - missing : rows;
}

GrStatus measure_trained(Trainer *t, TrainValues *out) {
    const Recipe *r = t->s.job->recipe;
    uint32_t o;
    for (uint32_t i = 0; recipe_measured(r, t->phase->recipe, STR("train"), i, &o); i++) {
        const PlanEntry *finish;
        const RecipeObjective *objective = &r->objectives.at[o];
        t->s.counters.rows = rows_so_far(t, o);
        if (t->s.counters.rows == 0)
            continue;                      /* the epoch ended before its turn */
        TRY(session_run(&t->s, str_format(t->values, "%.*s.finish", FSTR(objective->name)), &finish));
        session_values(&t->s, t->values, finish, STR("train"), objective, out);
        terms_measure(t, objective, out);
    }
    return GR_OK;
}

/* ---- kept lines ---- */
uint32_t measure_improved(Trainer *t) {
    const Uniforms *u = exec_plan(t->s.job->exec)->uniforms;
    uint32_t improved = 0;
    for (uint32_t k = 0; k < t->s.phase->keep.n && k < KEPT_MOST; k++) {
        const RecipeKeep *keep = &t->s.phase->keep.at[k];
        Str name = str_format(t->values, "best.%u", k + 1);
        double x = inputs_value(&t->s.uniforms, u, keep->inst, &t->s.counters, &t->s.state);
        double best = state_real(&t->s.state, name);
        if (isnan(x) || (!isnan(best) && !(keep->highest ? x > best : x < best)))
            continue;
        state_set_real(t->s.arena, &t->s.state, name, x);
        improved |= 1u << k;
    }
    return improved;
}
