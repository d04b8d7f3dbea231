/* Phases, epochs, steps.  A step is: gather a batch, run the uniform program, run the entry, look at its
 * health.  After an epoch the accumulators are read out, the validation split is run, kept lines are compared
 * and checkpoints written.
 *
 * Everything that decides how to go on is in TrainState or in the plan's persistent buffers and so in every
 * checkpoint; the order of an epoch follows from seed, phase and epoch.  Hence a resumed run takes the same
 * steps with the same bits, also from the middle of an epoch, whose accumulators are variables like any
 * others. */
#include "alarm.h"
#include "checkpoint.h"
#include "rundir.h"
#include "runlog.h"
#include "atomic.h"
#include "session.h"
#include "used.h"
#include <math.h>
#include <string.h>
#include <time.h>

enum { KEPT_MOST = 32 };       /* kept lines of a phase: bits of a word */

typedef struct {
    Session s;
    const RecipeObjective *objective;
    Feed train, eval;                      /* eval.data NULL: there is no split to validate on */
    const Split *train_split, *val_split;
    uint32_t *order;                       /* of this epoch */
    char *metrics; /* accumulators of a broken off epoch while it is being validated */
    RunLog *log;                           /* NULL: nothing is written */
    const RecipeAlarm *stop;               /* that has gone off */
    Arena *values;                         /* what an epoch reports; emptied after it */
} Trainer;

static Str entry_name(const Trainer *t, Arena *a, const char *what) {
    return str_format(a, "%.*s.%s", FSTR(t->objective->name), what);
}

static bool interrupted(const Trainer *t) {
    return t->s.job->interrupted != NULL && *t->s.job->interrupted != 0;
}

/* ---- files ---- */
static GrStatus save(Trainer *t, const char *file) {
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

static GrStatus save_kept(Trainer *t, uint32_t improved) {
    for (uint32_t k = 0; improved >> k != 0; k++) {
        char file[40];
        snprintf(file, sizeof file, "best-%u.safetensors", k + 1);
        if (improved >> k & 1)
            TRY(save(t, file));
    }
    return GR_OK;
}

typedef struct { VEC(LogField) at; } LogRow;

static void row_text(Trainer *t, LogRow *r, Str name, Str x) {
    vec_push(t->values, &r->at, (LogField){.name = name, .kind = LOG_TEXT, .text = x});
}

static void row_int(Trainer *t, LogRow *r, Str name, int64_t x) {
    vec_push(t->values, &r->at, (LogField){.name = name, .kind = LOG_INT, .i = x});
}

static GrStatus log_values(Trainer *t, Str event, const TrainValues *values) {
    LogRow r = {0};
    if (t->log == NULL)
        return GR_OK;
    row_text(t, &r, STR("event"), event);
    if (t->s.phase->name.n > 0)
        row_text(t, &r, STR("phase"), t->s.phase->name);
    row_int(t, &r, STR("epoch"), t->s.state.epoch);
    row_int(t, &r, STR("step"), t->s.state.step);
    vec_push(t->values, &r.at,
             (LogField){.name = STR("seconds"), .kind = LOG_REAL, .x = session_seconds(&t->s)});
    for (uint32_t i = 0; i < values->at.n; i++) {
        const TrainValue *v = &values->at.at[i];
        vec_push(t->values, &r.at,
                 (LogField){.name = v->name, .kind = LOG_TENSOR, .shape = v->shape, .values = v->values});
    }
    return runlog_row(t->log, r.at.at, r.at.n, t->s.e);
}

/* ---- series ---- */
static void keep_series(Trainer *t, const TrainValues *values) {
    for (uint32_t i = 0; i < values->at.n; i++) {
        const TrainValue *v = &values->at.at[i];
        if (v->shape.rank == 0)
            state_set_real(t->s.arena, &t->s.state, str_format(t->values, "series.%.*s", FSTR(v->name)),
                           (double)v->values[0]);
    }
}

/* Which kept lines are better than ever, as bits. */
static uint32_t compare_kept(Trainer *t) {
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

/* ---- alarms ---- */
static GrStatus log_alarm(Trainer *t, const RecipeAlarm *a, Str split) {
    LogRow r = {0};
    if (t->log == NULL)
        return GR_OK;
    row_text(t, &r, STR("event"), a->stop ? STR("stop") : STR("warn"));
    if (t->s.phase->name.n > 0)
        row_text(t, &r, STR("phase"), t->s.phase->name);
    row_int(t, &r, STR("epoch"), t->s.state.epoch);
    row_int(t, &r, STR("step"), t->s.state.step);
    row_text(t, &r, STR("split"), split);
    row_text(t, &r, STR("text"), a->text);
    return runlog_row(t->log, r.at.at, r.at.n, t->s.e);
}

/* Every alarm looks at the values of a split. */
static GrStatus look(Trainer *t, Str split, const TrainValues *values) {
    for (uint32_t i = 0; i < t->objective->alarms.n; i++) {
        const RecipeAlarm *a = &t->objective->alarms.at[i];
        if (!alarm_goes_off(&t->s, t->values, t->objective, i, split, values))
            continue;
        TRY(log_alarm(t, a, split));
        session_alarm(&t->s, a, split);
        t->stop = a->stop && t->stop == NULL ? a : t->stop;
    }
    return GR_OK;
}

static GrStatus stopped(Trainer *t) {
    fail(t->s.e, GR_STOPPED, "stopped after step %lld: %.*s", (long long)t->s.state.step, FSTR(t->stop->text));
    fail_help(t->s.e, "`%.*s` held %lld times in a row; the run is saved, `--resume` goes on in spite of it",
              FSTR(t->stop->when), (long long)t->stop->reports);
    return GR_STOPPED;
}

/* ---- validation ---- */
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

static GrStatus validate(Trainer *t, TrainValues *values) {
    TRY(session_evaluate(&t->s, t->values, &t->eval, t->objective, t->val_split, values));
    keep_series(t, values);
    return GR_OK;
}

/* In the middle of an epoch its accumulators are put aside. */
static GrStatus validate_between(Trainer *t) {
    TrainValues values = {0};
    ArenaMark mark = arena_mark(t->values);
    copy_metrics(t, false);
    TRY(validate(t, &values));
    copy_metrics(t, true);
    uint32_t improved = compare_kept(t);
    t->s.state.idle = improved != 0 ? 0 : t->s.state.idle;
    TRY(log_values(t, STR("validate"), &values));
    TRY(look(t, t->val_split->name, &values));
    TRY(save_kept(t, improved));
    session_progress(&t->s, TRAIN_REPORT, t->s.counters.epoch_steps, &values, improved != 0);
    arena_pop(mark);
    return GR_OK;
}

/* ---- steps ---- */
static GrStatus read_out(Trainer *t, TrainValues *values) {
    const PlanEntry *finish;
    t->s.counters.rows = t->s.state.rows;
    TRY(session_run(&t->s, entry_name(t, t->values, "finish"), &finish));
    session_values(&t->s, t->values, finish, STR("train"), values);
    return GR_OK;
}

static GrStatus report(Trainer *t) {
    TrainValues values = {0};
    ArenaMark mark = arena_mark(t->values);
    TRY(read_out(t, &values));
    TRY(log_values(t, STR("report"), &values));
    TRY(look(t, STR("train"), &values));
    session_progress(&t->s, TRAIN_REPORT, t->s.counters.epoch_steps, &values, false);
    arena_pop(mark);
    return GR_OK;
}

static GrStatus check_health(Trainer *t, uint32_t health) {
    const TrainState *at = &t->s.state;
    if (health == 0)
        return GR_OK;
    if (health & HEALTH_INDEX)
        return fail(
            t->s.e, GR_DATA,
            "step %lld (epoch %lld, step %lld of it): an index is outside its tensor; nothing of the step "
            "was written",
            (long long)at->step + 1, (long long)at->epoch + 1, (long long)at->batch + 1);
    fail(t->s.e, GR_NONFINITE,
         "step %lld (epoch %lld, step %lld of it): a loss or a gradient is not finite; nothing of the step "
         "was written",
         (long long)at->step + 1, (long long)at->epoch + 1, (long long)at->batch + 1);
    fail_help(t->s.e, "try a smaller learning rate; what the run saved before is whole");
    return GR_NONFINITE;
}

static void set_counters(Trainer *t) {
    Counters *c = &t->s.counters;
    c->epoch = t->s.state.epoch;
    c->step = t->s.state.step;
    c->update = c->clock = t->s.state.step + 1;
}

static GrStatus step(Trainer *t, const PlanEntry *entry) {
    set_counters(t);
    Exec *x = t->s.job->exec;
    TRY(check_health(
        t,
        exec_run(x, entry, inputs_run(&t->s.uniforms, exec_plan(x)->uniforms, &t->s.counters, &t->s.state))));
    t->s.state.step++;
    t->s.state.batch++;
    t->s.state.rows += t->s.counters.rows;
    t->s.counters.step = t->s.state.step;
    return GR_OK;
}

static bool every(int64_t n, int64_t step) { return n > 0 && step % n == 0; }

static GrStatus after_step(Trainer *t) {
    session_progress(&t->s, TRAIN_STEP, t->s.counters.epoch_steps, NULL, false);
    if (every(t->s.phase->report_steps, t->s.state.step))
        TRY(report(t));
    if (every(t->s.phase->validate_steps, t->s.state.step) && t->val_split != NULL)
        TRY(validate_between(t));
    if (!interrupted(t) && t->stop == NULL)
        return GR_OK;
    TRY(save(t, RUN_LAST));
    if (t->stop != NULL)
        return stopped(t);
    fail(t->s.e, GR_INTERRUPTED, "interrupted after step %lld", (long long)t->s.state.step);
    fail_help(t->s.e, "`--resume` goes on from here");
    return GR_INTERRUPTED;
}

static bool steps_over(const Trainer *t) {
    return t->s.phase->steps > 0 && t->s.state.step >= t->s.phase->steps;
}

static bool phase_over(const Trainer *t) {
    const RecipePhase *p = t->s.phase;
    bool patient = p->patience == 0 || t->s.state.idle < p->patience;
    return !patient || steps_over(t) || t->s.state.epoch >= t->s.counters.epochs;
}

static GrStatus run_steps(Trainer *t) {
    while (!steps_over(t)) {
        const PlanEntry *entry;
        int64_t rows;
        TRY(feed_next(&t->s, &t->train, &entry, &rows));
        if (rows == 0)
            return GR_OK;
        TRY(step(t, entry));
        TRY(after_step(t));
    }
    return GR_OK;
}

/* ---- epochs ---- */
static bool validation_due(const Trainer *t) {
    const RecipePhase *p = t->s.phase;
    int64_t n = p->validate_epochs > 0 ? p->validate_epochs : p->validate_steps > 0 ? 0 : 1;
    bool last = steps_over(t) || t->s.state.epoch + 1 >= t->s.counters.epochs;
    return t->val_split != NULL && (last || every(n, t->s.state.epoch + 1));
}

/* Counters are during the validation what they were during the epoch: the epoch is finished after it. */
static GrStatus end_epoch(Trainer *t) {
    TrainValues values = {0};
    bool validated = validation_due(t);
    uint32_t improved = 0;
    TRY(read_out(t, &values));
    keep_series(t, &values);
    if (validated)
        TRY(validate(t, &values));
    if (validated || t->val_split == NULL)
        improved = compare_kept(t);
    t->s.state.idle = improved != 0 ? 0 : t->s.state.idle + 1;
    t->s.state.epoch++;
    t->s.state.batch = 0;
    TRY(log_values(t, STR("epoch"), &values));
    if (!every(t->s.phase->report_steps, t->s.state.step))
        TRY(look(t, STR("train"), &values));
    if (validated)
        TRY(look(t, t->val_split->name, &values));
    TRY(save_kept(t, improved));
    if (every(t->s.phase->save_epochs, t->s.state.epoch)) {
        char file[48];
        snprintf(file, sizeof file, "epoch-%04lld.safetensors", (long long)t->s.state.epoch);
        TRY(save(t, file));
    }
    TRY(save(t, RUN_LAST));
    session_progress(&t->s, TRAIN_EPOCH, t->s.counters.epoch_steps, &values, improved != 0);
    return GR_OK;
}

static GrStatus begin_epoch(Trainer *t) {
    epoch_order(t->train_split, t->s.phase->seed, (uint32_t)t->s.state.phase, (uint32_t)t->s.state.epoch,
                t->order);
    if (t->s.state.batch > 0)
        return GR_OK;                      /* resumed in the middle: the accumulators are what they were */
    set_counters(t);
    t->s.counters.rows = t->s.state.rows = 0;
    return session_run(&t->s, entry_name(t, t->values, "begin"), NULL);
}

static GrStatus train_epoch(Trainer *t) {
    TRY(begin_epoch(t));
    int64_t batch = t->s.phase->batch;
    int64_t rows = t->s.phase->drop_tail ? t->s.counters.epoch_steps * batch : t->train_split->n;
    loader_begin(t->train.loader, t->order, rows, t->s.state.batch * batch);
    GrStatus status = run_steps(t);
    loader_end(t->train.loader);
    return status;
}

static GrStatus run_epoch(Trainer *t) {
    ArenaMark mark = arena_mark(t->values);
    GrStatus status = train_epoch(t);
    if (status == GR_OK)
        status = end_epoch(t);
    arena_pop(mark);
    if (status == GR_OK && t->stop != NULL)
        return stopped(t);
    if (status == GR_OK && interrupted(t) && !phase_over(t)) {
        fail(t->s.e, GR_INTERRUPTED, "interrupted after epoch %lld", (long long)t->s.state.epoch);
        fail_help(t->s.e, "`--resume` goes on from here");
        return GR_INTERRUPTED;
    }
    return status;
}

/* ---- phases ---- */
static GrStatus set_totals(Trainer *t) {
    const RecipePhase *p = t->s.phase;
    int64_t n = t->train_split->n, per_epoch = p->drop_tail ? n / p->batch : (n + p->batch - 1) / p->batch;
    Counters *c = &t->s.counters;
    if (per_epoch == 0) {
        fail(t->s.e, GR_DATA, "the split `train` has %lld rows, not one batch of %lld", (long long)n,
             (long long)p->batch);
        fail_help(t->s.e, "a smaller `batch`, or no `drop tail`");
        return GR_DATA;
    }
    c->epoch_steps = per_epoch;
    c->batch = p->batch;
    c->seed = p->seed;
    c->phase = t->s.state.phase;
    c->epochs = p->steps > 0 ? (p->steps + per_epoch - 1) / per_epoch : p->epochs;
    c->steps = p->steps > 0 ? p->steps : p->epochs * per_epoch;
    if (t->s.state.batch > per_epoch || t->s.state.batch * p->batch > n + p->batch)
        return fail(t->s.e, GR_CHECKPOINT, "the checkpoint is at step %lld of an epoch of %lld",
                    (long long)t->s.state.batch, (long long)per_epoch);
    return GR_OK;
}

/* The driver may compile these while the first epoch runs. */
static void expect(Trainer *t, Str name, int64_t rows) {
    if (t->s.job->expect_entry != NULL && rows > 0)
        t->s.job->expect_entry(t->s.job->user, name, rows);
}

static void expect_entries(Trainer *t, Str train, Str eval) {
    int64_t batch = t->s.phase->batch;
    if (!t->s.phase->drop_tail)
        expect(t, train, t->train_split->n % batch);
    if (t->val_split == NULL)
        return;
    expect(t, eval, t->val_split->n >= batch ? batch : 0);
    expect(t, eval, t->val_split->n % batch);
}

static GrStatus open_phase(Trainer *t) {
    const RecipePhase *p = t->s.phase = &t->s.job->recipe->phases.at[t->s.state.phase];
    t->objective = &t->s.job->recipe->objectives.at[p->objective];
    const Dataset *d = t->s.job->data[t->objective->data];
    GR_ASSERT(p->batch > 0);
    TRY(dataset_split(d, STR("train"), &t->train_split, t->s.e));
    t->val_split = splits_find(&d->splits, STR("val"));
    if (t->val_split != NULL && t->val_split->n == 0)
        t->val_split = NULL;
    TRY(set_totals(t));
    t->order = PUSH(t->s.arena, uint32_t, t->train_split->n + 1);
    Str phase = p->name.n > 0 ? p->name : STR("train");
    Str train = str_format(t->s.arena, "%.*s.%.*s.train", FSTR(phase), FSTR(t->objective->name));
    Str eval = entry_name(t, t->s.arena, "eval");
    int64_t n = t->train_split->n;
    TRY(feed_open(&t->s, train, d, n < p->batch ? n : p->batch, &t->train));
    expect_entries(t, train, eval);
    if (t->val_split == NULL)
        return GR_OK;
    n = t->val_split->n;
    return feed_open(&t->s, eval, d, n < p->batch ? n : p->batch, &t->eval);
}

static void close_phase(Trainer *t) {
    feed_close(&t->train);
    feed_close(&t->eval);
    t->train = t->eval = (Feed){0};
}

static GrStatus run_phase(Trainer *t) {
    GrStatus status = open_phase(t);
    while (status == GR_OK && !phase_over(t))
        status = run_epoch(t);
    close_phase(t);
    return status;
}

static void next_phase(Trainer *t) {
    int64_t phase = t->s.state.phase + 1;
    t->s.state = (TrainState){.phase = phase, .log_bytes = t->s.state.log_bytes};
}

/* ---- the whole ---- */
static GrStatus pack(Trainer *t) {
    return exec_plan(t->s.job->exec)->region_bytes[REGION_PACKED] > 0 ? session_run(&t->s, STR("pack"), NULL)
                                                                      : GR_OK;
}

static GrStatus start_fresh(Trainer *t) {
    const TrainJob *job = t->s.job;
    TRY(session_start(&t->s));
    if (job->run.n == 0)
        return GR_OK;
    TRY(atomic_write_text(t->s.arena, rundir_file(t->s.arena, job->run, RUN_PROGRAM), job->recipe->resolved,
                          t->s.e));
    TRY(used_keep(t->s.arena, job->recipe, job->run, t->s.e));
    return runlog_open(t->s.arena, rundir_file(t->s.arena, job->run, RUN_METRICS), 0, &t->log, t->s.e);
}

static GrStatus start_again(Trainer *t) {
    const TrainJob *job = t->s.job;
    Str last = rundir_file(t->s.arena, job->run, RUN_LAST);
    TRY(checkpoint_load(t->s.arena, job->exec, CHECKPOINT_RESUME, job->program, last, &t->s.state, t->s.e));
    if (t->s.state.phase >= job->recipe->phases.n)
        return fail(t->s.e, GR_CHECKPOINT, "%.*s is at phase %lld, the program has %u", FSTR(last),
                    (long long)t->s.state.phase + 1, job->recipe->phases.n);
    TRY(pack(t));
    Str metrics = rundir_file(t->s.arena, job->run, RUN_METRICS);
    return runlog_open(t->s.arena, metrics, t->s.state.log_bytes, &t->log, t->s.e);
}

static GrStatus run_phases(Trainer *t) {
    TRY(t->s.job->resume ? start_again(t) : start_fresh(t));
    t->metrics = PUSH(t->s.arena, char, exec_plan(t->s.job->exec)->region_bytes[REGION_METRIC] + 1);
    for (;;) {
        TRY(run_phase(t));
        if (t->s.state.phase + 1 >= t->s.job->recipe->phases.n)
            return GR_OK;
        next_phase(t);
    }
}

GrStatus train_run(const TrainJob *job, Error *e) {
    GR_ASSERT(!job->resume || job->run.n > 0);
    if (job->recipe->phases.n == 0)
        return fail(e, GR_PROGRAM, "the program has no `train`");
    Trainer t = {.s = {.job = job, .arena = arena_create(), .e = e}, .values = arena_create()};
    t.s.uniforms = (UniformRun){.arena = t.s.arena, .recipe = job->recipe};
    t.s.start_s = session_seconds(&t.s);
    GrStatus status = run_phases(&t);
    runlog_close(t.log);
    arena_destroy(t.values);
    arena_destroy(t.s.arena);
    return status;
}
