/* The folder of a run: checkpoints, and a line of metrics.jsonl for each event.  What is kept and saved in passing
 * bears the name of its phase, but for the phase that ends the training: its kept checkpoint is the run's result. */
#include "checkpoint.h"
#include "hash.h"
#include "phase.h"
#include "rundir.h"

GrStatus record_save(Trainer *t, const char *file) {
    if (t->log == NULL)
        return GR_OK;
    t->s.state.log_bytes = runlog_bytes(t->log);
    ArenaMark mark = arena_mark(t->values);
    Str path = rundir_file(t->values, t->s.job->run, file);
    GrStatus status =
        checkpoint_save(t->values, t->s.job->exec, &t->s.state, t->s.job->program, path, t->s.e);
    arena_pop(mark);
    return status;
}

static bool ends_the_training(const Trainer *t) {
    const Recipe *r = t->s.job->recipe;
    uint32_t last = 0;
    for (uint32_t i = 0; i < r->phases.n; i++)
        last = r->phases.at[i].called ? last : i;
    return t->s.state.phase == last;
}

static Str name_of_phase(const Trainer *t, const char *what, int64_t number, int digits) {
    Str name = ends_the_training(t) ? STR("") : t->s.phase->name;
    return str_format(t->values, "%.*s%s%s-%0*lld.safetensors", FSTR(name), name.n ? "-" : "", what, digits,
                      (long long)number);
}

static GrStatus save_of_phase(Trainer *t, const char *what, int64_t number, int digits) {
    return record_save(t, name_of_phase(t, what, number, digits).s);
}

static bool no_step_follows(const Trainer *t) {
    return ends_the_training(t) && t->s.phase->inner.n == 0 && t->s.state.batch == 0 && trainer_phase_over(t);
}

GrStatus record_kept(Trainer *t, uint32_t improved) {
    for (uint32_t k = 0; improved >> k != 0; k++) {
        if (!(improved >> k & 1))
            continue;
        if (t->log != NULL && later_waits(t))
            later_keep(t, name_of_phase(t, "best", k + 1, 1), no_step_follows(t));
        else
            TRY(save_of_phase(t, "best", k + 1, 1));
    }
    return GR_OK;
}

GrStatus record_epoch(Trainer *t, uint32_t improved) {
    TRY(record_kept(t, improved));
    if (every(t->s.phase->save_epochs, t->s.state.epoch))
        TRY(save_of_phase(t, "epoch", t->s.state.epoch, 4));
    if (!later_due(t))
        return GR_OK;
    TRY(later_write(t));
    return record_save(t, RUN_LAST);
}

/* ---- metrics.jsonl ---- */
typedef struct { VEC(LogField) at; } LogRow;

static void row_int(Trainer *t, LogRow *r, Str name, int64_t x) {
    vec_push(t->values, &r->at, (LogField){.name = name, .kind = LOG_INT, .i = x});
}

static void row_text(Trainer *t, LogRow *r, Str name, Str text) {
    vec_push(t->values, &r->at, (LogField){.name = name, .kind = LOG_TEXT, .text = text});
}

/* Which event, and when. */
static LogRow row_begin(Trainer *t, Str event) {
    LogRow r = {0};
    row_text(t, &r, STR("event"), event);
    if (t->s.phase->name.n > 0)
        row_text(t, &r, STR("phase"), t->s.phase->name);
    if (t->s.state.outer != NULL)
        row_int(t, &r, STR("outer_epoch"), t->s.state.outer->epoch);
    row_int(t, &r, STR("epoch"), t->s.state.epoch);
    row_int(t, &r, STR("step"), t->s.state.step);
    return r;
}

GrStatus record_alarm(Trainer *t, const RecipeAlarm *a, Str split) {
    if (t->log == NULL)
        return GR_OK;
    LogRow r = row_begin(t, a->stop ? STR("stop") : STR("warn"));
    row_text(t, &r, STR("split"), split);
    row_text(t, &r, STR("text"), a->text);
    return runlog_row(t->log, r.at.at, r.at.n, t->s.e);
}

/* All weights and states, in the order of the plan: the same for runs with the same bits. */
static Str bits_text(Trainer *t) {
    const Exec *x = t->s.job->exec;
    const Plan *plan = exec_plan(x);
    uint64_t h = SEMANTICS_VERSION;
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        const PlanBuffer *b = &plan->buffers.at[plan->vars.at[i].buffer];
        if (b->region == REGION_PARAM || b->region == REGION_STATE || b->region == REGION_OPTIM)
            h = hash_bytes(hash_str(h, plan->vars.at[i].path), exec_buffer(x, plan->vars.at[i].buffer), b->bytes);
    }
    return str_format(t->values, "%016llx", (unsigned long long)h);
}

GrStatus record_values(Trainer *t, Str event, const TrainValues *values) {
    if (t->log == NULL)
        return GR_OK;
    LogRow r = row_begin(t, event);
    vec_push(t->values, &r.at,
             (LogField){.name = STR("seconds"), .kind = LOG_REAL, .x = session_seconds(&t->s)});
    if (str_is(event, "epoch"))
        row_text(t, &r, STR("bits"), bits_text(t));
    for (uint32_t i = 0; i < values->at.n; i++) {
        const TrainValue *v = &values->at.at[i];
        vec_push(t->values, &r.at,
                 (LogField){.name = v->name, .kind = LOG_TENSOR, .shape = v->shape, .values = v->values});
    }
    return runlog_row(t->log, r.at.at, r.at.n, t->s.e);
}
