/* Phases, epochs, steps.  A step is: gather a batch, run the uniform program, run the entry whose turn it is, look
 * at its health.  After an epoch the accumulators are read out, validations run, kept lines are compared and
 * checkpoints written; then inner phases that are due run, each a whole phase of its own.
 *
 * Everything that decides how to go on is in TrainState or in the plan's persistent buffers and so in every
 * checkpoint; the order of an epoch and whose turn it is follow from seed, phase and step.  Hence a resumed run
 * takes the same steps with the same bits, also from the middle of an epoch, whose accumulators are variables like
 * any others, from the middle of a validation, which is then made once more, and from the middle of an inner phase,
 * whose outer one waits in the state. */
#include "atomic.h"
#include "checkpoint.h"
#include "fork.h"
#include "load.h"
#include "phase.h"
#include "rundir.h"
#include "sample.h"
#include "schedule.h"
#include "used.h"

static Str phase_name(const Trainer *t) {
    return t->phase->recipe->name.n > 0 ? t->phase->recipe->name : STR("train");
}

/* ---- steps ---- */
static GrStatus report(Trainer *t) {
    TrainValues values = {0};
    ArenaMark mark = arena_mark(t->values);
    TRY(measure_trained(t, &values));
    TRY(record_values(t, STR("report"), &values));
    TRY(measure_alarms(t, STR("train"), &values));
    session_progress(&t->s, TRAIN_REPORT, t->s.counters.epoch_steps, &values, false);
    arena_pop(mark);
    return GR_OK;
}

static GrStatus check_health(Trainer *t, const PlanEntry *entry, const UValue *uniforms, uint32_t health) {
    const TrainState *at = &t->s.state;
    if (health == 0)
        return GR_OK;
    char where[200] = "";
    if (t->s.job->recipe->phases.n > 1)
        snprintf(where, sizeof where, "phase `%.*s`, ", FSTR(phase_name(t)));
    fail(t->s.e, health & HEALTH_INDEX ? GR_DATA : GR_NONFINITE,
         "%sstep %lld (epoch %lld, step %lld of it): %s; nothing of the step was written", where,
         (long long)at->step + 1, (long long)at->epoch + 1, (long long)at->batch + 1,
         health & HEALTH_INDEX ? "an index is outside its tensor" : "a loss or a gradient is not finite");
    if (!(health & HEALTH_INDEX))
        fail_help(t->s.e, t->s.phase->precision == DT_F16
                              ? "f16 ends at 65504, `precision bf16` does not; what the run saved before is whole"
                              : "try a smaller learning rate; what the run saved before is whole");
    session_explain(&t->s, entry, uniforms, health);
    return t->s.e->status;
}

static void set_counters(Trainer *t) {
    Counters *c = &t->s.counters;
    c->epoch = t->s.state.epoch;
    c->step = t->s.state.step;
    c->update = c->clock = t->s.state.step + 1;
}

static GrStatus run_entry(Trainer *t, const RecipeRun *run, const char *what, int64_t rows) {
    const PlanEntry *entry, *look = NULL;
    t->s.counters.rows = rows;
    if (rows > 0)
        TRY(sample_entry(t, run, rows, &look));
    TRY(session_entry(&t->s, str_format(t->values, "%.*s.%s", FSTR(run->name), what), rows, &entry));
    if (rows > 0)
        feeds_fill(&t->s, &t->phase->feeds, &t->s.job->recipe->objectives.at[run->objective], entry);
    if (look != NULL)
        TRY(sample_take(t, run, look, entry));
    const UValue *uniforms = session_uniforms(&t->s);
    return check_health(t, entry, uniforms, exec_run(t->s.job->exec, entry, uniforms));
}

/* Rows of the batch that is next: all, but at the end of the epoch. */
static int64_t rows_of_step(const Trainer *t) {
    const RecipePhase *p = t->s.phase;
    int64_t left = t->phase->feeds.at[0].split->n - t->s.state.batch * p->batch;
    return left < p->batch ? left : p->batch;
}

/* Draws differ from shard to shard; those of the first are those of a batch without shards. */
static GrStatus step(Trainer *t) {
    const RecipePhase *p = t->s.phase;
    const RecipeRun *run = &p->runs.at[recipe_run_at(p, t->s.state.step)];
    Counters *c = &t->s.counters;
    int64_t left = rows_of_step(t);
    set_counters(t);
    scaling_count(t);
    schedules_advance(&t->s);
    c->batch_rows = left;
    inputs_batches(c, &t->s.job->recipe->objectives.at[run->objective], p);
    for (int64_t shard = 0; left > 0; shard++) {
        c->phase = t->s.state.phase | shard << 16;
        int64_t rows = feeds_rows(&t->phase->feeds);
        GR_ASSERT(rows > 0 && rows <= left);
        TRY(run_entry(t, run, "train", rows));
        left -= rows;
    }
    c->phase = t->s.state.phase;
    if (p->shards > 1)
        TRY(run_entry(t, run, "update", 0));
    t->s.state.step++;
    t->s.state.batch++;
    c->step = t->s.state.step;
    return GR_OK;
}

static GrStatus stopped(Trainer *t) {
    fail(t->s.e, GR_STOPPED, "stopped after step %lld: %.*s", (long long)t->s.state.step, FSTR(t->stop->text));
    int64_t n = t->stop->reports;
    Str times = n == 1 ? STR("held") : str_format(t->s.arena, "held %lld times in a row", (long long)n);
    fail_help(t->s.e, "`%.*s` %.*s; the run is saved, `--resume` goes on in spite of it", FSTR(t->stop->when),
              FSTR(times));
    return GR_STOPPED;
}

/* What it would have measured is measured when the run goes on. */
static GrStatus interrupted_validation(Trainer *t) {
    TRY(record_save(t, RUN_LAST));
    fail(t->s.e, GR_INTERRUPTED, "interrupted in the validation after step %lld", (long long)t->s.state.step);
    fail_help(t->s.e, "`--resume` goes on from here");
    return GR_INTERRUPTED;
}

static GrStatus between_steps(Trainer *t) {
    GrStatus status = measure_between(t);
    if (status != GR_OK)
        return status == GR_INTERRUPTED ? interrupted_validation(t) : status;
    if (!session_interrupted(&t->s) && t->stop == NULL)
        return GR_OK;
    TRY(weights_finite(t));
    TRY(record_save(t, RUN_LAST));
    if (t->stop != NULL)
        return stopped(t);
    fail(t->s.e, GR_INTERRUPTED, "interrupted after step %lld", (long long)t->s.state.step);
    fail_help(t->s.e, "`--resume` goes on from here");
    return GR_INTERRUPTED;
}

static GrStatus tell_step(Trainer *t) {
    const TrainJob *job = t->s.job;
    TrainValues now = {0};
    bool wanted = job->progress != NULL && job->wants_values != NULL && job->wants_values(job->user);
    ArenaMark mark = arena_mark(t->values);
    if (wanted)
        TRY(measure_trained(t, &now));
    session_progress(&t->s, TRAIN_STEP, t->s.counters.epoch_steps, wanted ? &now : NULL, false);
    arena_pop(mark);
    return GR_OK;
}

static GrStatus after_step(Trainer *t) {
    TRY(tell_step(t));
    if (every(t->s.phase->report_steps, t->s.state.step))
        TRY(report(t));
    return between_steps(t);
}

static bool steps_over(const Trainer *t) {
    return t->s.phase->steps > 0 && t->s.state.step >= t->s.phase->steps;
}

/* Not in the middle of an epoch: one whose last step was taken still has to be measured. */
bool trainer_phase_over(const Trainer *t) {
    const RecipePhase *p = t->s.phase;
    bool patient = p->patience == 0 || t->s.state.idle < p->patience;
    if (t->s.state.batch > 0)
        return false;
    return !patient || steps_over(t) || t->s.state.epoch >= t->s.counters.epochs;
}

static GrStatus run_steps(Trainer *t) {
    if (t->s.state.owed)
        TRY(between_steps(t));
    while (!steps_over(t)) {
        if (feeds_rows(&t->phase->feeds) == 0)
            return GR_OK;
        ArenaMark mark = arena_mark(t->values);
        TRY(step(t));
        arena_pop(mark);
        TRY(after_step(t));
    }
    return GR_OK;
}

/* ---- epochs ---- */
/* Counters are during the validation what they were during the epoch: the epoch is finished after it. */
static GrStatus end_epoch(Trainer *t) {
    TrainValues values = {0};
    bool last = steps_over(t) || t->s.state.epoch + 1 >= t->s.counters.epochs, validated;
    TRY(weights_finite(t));
    TRY(measure_trained(t, &values));
    measure_keep(t, &values);
    GrStatus status = measure_validate(t, last, &values, &validated);
    if (status != GR_OK)
        return status == GR_INTERRUPTED ? interrupted_validation(t) : status;
    uint32_t improved = 0;
    if (validated || t->phase->checks.n == 0) {
        improved = measure_improved(t);
        schedules_due(&t->s);
    }
    t->s.state.idle = improved != 0 ? 0 : t->s.state.idle + 1;
    t->s.state.epoch++;
    t->s.state.batch = 0;
    t->s.state.inner = 0;
    scaling_values(t, &values);
    TRY(record_values(t, STR("epoch"), &values));
    if (!every(t->s.phase->report_steps, t->s.state.step))
        TRY(measure_alarms(t, STR("train"), &values));
    if (validated) {
        TRY(measure_alarms(t, STR("val"), &values));
        TRY(health_epoch(t, &values));
    }
    TRY(record_epoch(t, improved));
    session_progress(&t->s, TRAIN_EPOCH, t->s.counters.epoch_steps, &values, improved != 0);
    return GR_OK;
}

static GrStatus begin_accumulators(Trainer *t) {
    const Recipe *r = t->s.job->recipe;
    uint32_t o;
    if (t->s.state.batch > 0)
        return GR_OK;                      /* resumed in the middle: they are what they were */
    set_counters(t);
    t->s.counters.rows = 0;
    for (uint32_t i = 0; recipe_measured(r, t->phase->recipe, STR("train"), i, &o); i++)
        TRY(session_run(&t->s, str_format(t->values, "%.*s.begin", FSTR(r->objectives.at[o].name)), NULL));
    return GR_OK;
}

/* Batches of a data set that steps before `step` have taken. */
static int64_t batches_before(const Trainer *t, const Feed *f, int64_t step) {
    const RecipePhase *p = t->phase->recipe;
    int64_t n = 0;
    for (uint32_t i = 0; i < p->runs.n; i++) {
        const RecipeObjective *o = &t->s.job->recipe->objectives.at[p->runs.at[i].objective];
        for (uint32_t k = 0; k < o->more.n; k++)
            n += t->s.job->data[o->more.at[k].data] == f->data ? recipe_runs_before(p, step, i) : 0;
    }
    return n;
}

/* Every data set has the rows of this epoch, also one whose own passes are longer or shorter. */
static GrStatus renew_rows(Trainer *t) {
    for (uint32_t i = 0; i < t->phase->feeds.n; i++)
        TRY(dataset_renew(t->phase->feeds.at[i].data, t->s.state.epoch, t->s.e));
    return GR_OK;
}

static void begin_feeds(Trainer *t) {
    const TrainState *at = &t->s.state;
    Feeds *f = &t->phase->feeds;
    FeedShuffle shuffle = {t->s.phase->buffer, t->s.phase->seed, (uint32_t)at->phase};
    int64_t n = f->at[0].split->n, batch = t->s.phase->batch, first_step = at->step - at->batch;
    feeds_begin(f, 0, &shuffle, at->epoch * n, t->s.phase->drop_tail ? t->s.counters.epoch_steps * batch : n,
                at->batch * batch);
    for (uint32_t i = 1; i < f->n; i++) {
        int64_t before = batches_before(t, &f->at[i], first_step),
                now = batches_before(t, &f->at[i], at->step),
                end = batches_before(t, &f->at[i], first_step + t->s.counters.epoch_steps), rows = f->at[i].batch;
        feeds_begin(f, i, &shuffle, before * rows, (end - before) * rows, (now - before) * rows);
    }
}

/* What an epoch has not saved, since it was not due. */
static GrStatus save_late(Trainer *t) { return later_waits(t) ? record_save(t, RUN_LAST) : GR_OK; }

static GrStatus run_epoch(Trainer *t) {
    ArenaMark mark = arena_mark(t->values);
    TRY(begin_accumulators(t));
    TRY(renew_rows(t));
    begin_feeds(t);
    GrStatus status = run_steps(t);
    feeds_end(&t->phase->feeds);
    if (status == GR_OK)
        status = end_epoch(t);
    arena_pop(mark);
    if (status != GR_OK || t->stop == NULL)
        return status;
    TRY(save_late(t));
    return stopped(t);
}

/* Between epochs, when something is left to do. */
static GrStatus check_interrupted(Trainer *t) {
    if (!session_interrupted(&t->s))
        return GR_OK;
    TRY(save_late(t));
    fail(t->s.e, GR_INTERRUPTED, "interrupted after epoch %lld", (long long)t->s.state.epoch);
    fail_help(t->s.e, "`--resume` goes on from here");
    return GR_INTERRUPTED;
}

/* ---- phases ---- */
static GrStatus set_totals(Trainer *t) {
    const RecipePhase *p = t->s.phase;
    const Dataset *d = t->s.job->data[t->s.job->recipe->objectives.at[p->runs.at[0].objective].data];
    const Split *train;
    TRY(dataset_split(d, STR("train"), &train, t->s.e));
    int64_t n = train->n, per_epoch = p->drop_tail ? n / p->batch : (n + p->batch - 1) / p->batch;
    Counters *c = &t->s.counters;
    if (per_epoch == 0) {
        fail(t->s.e, GR_DATA, "the split `train` has %lld rows, not one batch of %lld", (long long)n,
             (long long)p->batch);
        fail_help(t->s.e, "a smaller `batch`, or no `drop tail`");
        return GR_DATA;
    }
    *c = (Counters){.epoch_steps = per_epoch, .batch = p->batch, .seed = p->seed, .phase = t->s.state.phase};
    c->epochs = p->steps > 0 ? (p->steps + per_epoch - 1) / per_epoch : p->epochs;
    c->steps = p->steps > 0 ? p->steps : p->epochs * per_epoch;
    set_counters(t);
    if (t->s.state.batch > per_epoch || t->s.state.batch > t->s.state.step)
        return fail(t->s.e, GR_CHECKPOINT, "the checkpoint is at step %lld of an epoch of %lld",
                    (long long)t->s.state.batch, (long long)per_epoch);
    return GR_OK;
}

/* The driver may compile these while the first epoch runs. */
static void expect(Trainer *t, Str name, int64_t rows) {
    if (t->s.job->expect_entry != NULL && rows > 0)
        t->s.job->expect_entry(t->s.job->user, name, rows);
}

static void expect_tails(Trainer *t) {
    const Phase *p = t->phase;
    const Feed *f = &p->feeds.at[0];
    for (uint32_t i = 0; i < p->recipe->runs.n && !p->recipe->drop_tail; i++)
        expect(t, str_format(t->values, "%.*s.train", FSTR(p->recipe->runs.at[i].name)), f->split->n % f->batch);
    for (uint32_t i = 0; i < p->checks.n; i++) {
        const Pass *pass = &p->checks.at[i].pass;
        expect(t, str_format(t->values, "%.*s.eval", FSTR(pass->objective->name)),
               pass->split->n % pass->feeds.at[0].batch);
    }
}

static GrStatus open_phase(Trainer *t) {
    const RecipePhase *p = t->phase->recipe;
    FeedUser *users = PUSH(t->phase->arena, FeedUser, p->runs.n);
    t->phase->skipped = PUSH(t->phase->arena, int64_t, p->runs.n);
    GR_ASSERT(p->batch > 0 && p->runs.n > 0);
    for (uint32_t i = 0; i < p->runs.n; i++)
        users[i] = (FeedUser){&t->s.job->recipe->objectives.at[p->runs.at[i].objective],
                              str_format(t->phase->arena, "%.*s.train", FSTR(p->runs.at[i].name))};
    TRY(set_totals(t));
    TRY(feeds_open(&t->s, t->phase->arena, p->runs.n, users, STR("train"), p, p->rows, &t->phase->feeds));
    TRY(measure_open(t));
    expect_tails(t);
    return GR_OK;
}

/* Foreign weights, when a phase begins.  When the training does, copies begin as they do. */
static GrStatus load(Trainer *t, bool first) {
    const RecipePhase *p = &t->s.job->recipe->phases.at[t->s.state.phase];
    Str note;
    if (p->loads.n == 0)
        return GR_OK;
    TRY(load_weights(&t->s, t->values, p, &note));
    if (first)
        session_begin_copies(&t->s);
    if (note.n > 0 && t->s.job->progress != NULL)
        t->s.job->progress(t->s.job->user, &(TrainProgress){.event = TRAIN_LOADED, .phase = p, .note = note});
    return session_pack(&t->s);
}

/* The first weights are those of another run. */
static GrStatus begin_as_fork(Trainer *t) {
    const TrainJob *job = t->s.job;
    const RecipePhase *p = &job->recipe->phases.at[t->s.state.phase];
    Str note;
    if (job->fork.n == 0)
        return GR_OK;
    TRY(fork_weights(&t->s, t->values, job->fork, &note));
    if (note.n > 0 && job->progress != NULL)
        job->progress(job->user, &(TrainProgress){.event = TRAIN_LOADED, .phase = p, .note = note});
    return session_pack(&t->s);
}

static GrStatus run_phase(Trainer *t);

/* An inner phase: from its begin, or from where the resumed run was in it. */
static GrStatus run_inner(Trainer *t, uint32_t phase) {
    Counters counters = t->s.counters;
    TrainState *outer = PUSH(t->s.arena, TrainState, 1);
    *outer = t->s.state;
    if (t->waiting != NULL) {
        t->s.state = *t->waiting;
        t->waiting = t->waiting->outer;    /* turned around: the next one inside */
        t->s.state.outer = outer;
    } else {
        t->s.state = (TrainState){.phase = phase, .log_bytes = outer->log_bytes, .outer = outer};
        TRY(restart_phase(t, phase));
        TRY(load(t, false));
    }
    GrStatus status = run_phase(t);
    t->s.state = *outer;
    t->s.counters = counters;
    return status;
}

/* Those that are due after the epochs that are finished, and have not run since. */
static GrStatus run_inners(Trainer *t) {
    const RecipePhase *p = t->phase->recipe;
    while (t->s.state.batch == 0 && t->s.state.epoch > 0 && t->s.state.inner < p->inner.n) {
        const RecipeInner *inner = &p->inner.at[t->s.state.inner];
        if (every(inner->epochs, t->s.state.epoch))
            TRY(run_inner(t, inner->phase));
        t->s.state.inner++;
    }
    return GR_OK;
}

static GrStatus run_epochs(Trainer *t) {
    TRY(run_inners(t));
    while (!trainer_phase_over(t)) {
        TRY(run_epoch(t));
        if (!trainer_phase_over(t) || t->phase->recipe->inner.n > 0)
            TRY(check_interrupted(t));
        TRY(run_inners(t));
    }
    return GR_OK;
}

static GrStatus run_phase(Trainer *t) {
    Phase p = {.outer = t->phase, .arena = arena_create(),
               .recipe = &t->s.job->recipe->phases.at[t->s.state.phase]};
    t->phase = &p;
    t->s.phase = p.recipe;
    GrStatus status = open_phase(t);
    if (status == GR_OK)
        status = run_epochs(t);
    feeds_close(&p.feeds);
    measure_close(&p);
    arena_destroy(p.arena);
    t->phase = p.outer;
    t->s.phase = p.outer ? p.outer->recipe : NULL;
    return status;
}

/* ---- the whole ---- */
static GrStatus start_fresh(Trainer *t) {
    const TrainJob *job = t->s.job;
    t->s.state.phase = recipe_phase_from(job->recipe, 0);
    TRY(session_start(&t->s));
    TRY(begin_as_fork(t));
    restart_keep(t);
    TRY(load(t, true));
    if (job->run.n == 0)
        return GR_OK;
    TRY(atomic_write_text(t->s.arena, rundir_file(t->s.arena, job->run, RUN_PROGRAM), job->recipe->resolved,
                          t->s.e));
    TRY(used_keep(t->s.arena, job->recipe, job->run, t->s.e));
    return runlog_open(t->s.arena, rundir_file(t->s.arena, job->run, RUN_METRICS), 0, &t->log, t->s.e);
}

/* Do the phases of the checkpoint stand inside each other as those of the program do? */
static bool states_fit(const Recipe *r, const TrainState *s) {
    if (s->phase >= r->phases.n)
        return false;
    if (s->outer == NULL)
        return !r->phases.at[s->phase].called;
    if (!states_fit(r, s->outer))
        return false;
    const RecipePhase *outer = &r->phases.at[s->outer->phase];
    return s->outer->batch == 0 && s->outer->inner < outer->inner.n &&
           outer->inner.at[s->outer->inner].phase == s->phase &&
           every(outer->inner.at[s->outer->inner].epochs, s->outer->epoch);
}

/* The outermost state is the one to begin with; the others wait, in the order in which they will be gone into. */
static void turn_around(Trainer *t) {
    TrainState *inside = NULL, *now = PUSH(t->s.arena, TrainState, 1);
    *now = t->s.state;
    now->outer = t->s.state.outer;
    while (now->outer != NULL) {
        TrainState *outer = now->outer;
        outer->log_bytes = now->log_bytes;
        now->outer = inside;
        inside = now;
        now = outer;
    }
    t->s.state = *now;
    t->waiting = inside;
}

static bool has_inner(const Recipe *r) {
    bool any = false;
    for (uint32_t i = 0; i < r->phases.n; i++)
        any = any || r->phases.at[i].called;
    return any;
}

static GrStatus start_again(Trainer *t) {
    const TrainJob *job = t->s.job;
    Str last = rundir_file(t->s.arena, job->run, RUN_LAST);
    if (has_inner(job->recipe)) {
        TRY(session_start(&t->s));
        TRY(begin_as_fork(t));
        restart_keep(t);
    }
    TRY(checkpoint_load(t->s.arena, job->exec, CHECKPOINT_RESUME, job->program, last, &t->s.state, t->s.e));
    if (!states_fit(job->recipe, &t->s.state))
        return fail(t->s.e, GR_CHECKPOINT, "%.*s is at a phase that the program does not have", FSTR(last));
    int64_t log_bytes = t->s.state.log_bytes;
    turn_around(t);
    TRY(session_pack(&t->s));
    Str metrics = rundir_file(t->s.arena, job->run, RUN_METRICS);
    return runlog_open(t->s.arena, metrics, log_bytes, &t->log, t->s.e);
}

static GrStatus run_phases(Trainer *t) {
    TRY(t->s.job->resume ? start_again(t) : start_fresh(t));
    t->metrics = PUSH(t->s.arena, char, exec_plan(t->s.job->exec)->region_bytes[REGION_METRIC] + 1);
    for (;;) {
        TRY(run_phase(t));
        uint32_t next = recipe_phase_from(t->s.job->recipe, (uint32_t)t->s.state.phase + 1);
        if (next == t->s.job->recipe->phases.n)
            return GR_OK;
        TRY(check_interrupted(t));
        t->s.state = (TrainState){.phase = next, .log_bytes = t->s.state.log_bytes};
        TRY(load(t, false));
    }
}

GrStatus train_run(const TrainJob *job, Error *e) {
    GR_ASSERT(!job->resume || job->run.n > 0);
    if (job->recipe->phases.n == 0)
        return fail(e, GR_PROGRAM, "the program has no `train`");
    Trainer t = {.s = {.job = job, .arena = arena_create(), .e = e}, .values = arena_create()};
    t.s.uniforms = (UniformRun){.arena = t.s.arena, .recipe = job->recipe};
    t.s.start_s = session_seconds(&t.s);
    GrStatus status = later_settle(&t, run_phases(&t));
    runlog_close(t.log);
    arena_destroy(t.values);
    arena_destroy(t.s.arena);
    return status;
}
