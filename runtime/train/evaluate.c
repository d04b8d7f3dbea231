/* Metrics of a trained model, outside a training.  Counters, noise and batches are those of the validation
 * that followed the last finished epoch, so that the numbers of the split `val` come out as they did then. */
#include "checkpoint.h"
#include "rundir.h"
#include "session.h"
#include <unistd.h>

Str train_best(Arena *a, Str run) {
    Str best = rundir_file(a, run, "best-1.safetensors");
    return access(best.s, F_OK) == 0 ? best : rundir_file(a, run, RUN_LAST);
}

/* The last phase that trains the objective; 0 when none does. */
static uint32_t phase_of(const Recipe *r, uint32_t objective) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < r->phases.n; i++)
        found = r->phases.at[i].objective == objective ? i + 1 : found;
    return found;
}

static void set_counters(Session *s, uint32_t phase) {
    const RecipePhase *p = s->phase;
    const TrainState *at = &s->state;
    int64_t validated = at->batch == 0 && at->epoch > 0 ? at->epoch - 1 : at->epoch;
    s->counters = (Counters){.epoch = validated,
                             .step = at->step,
                             .batch = p != NULL ? p->batch : EVAL_BATCH,
                             .seed = p != NULL ? p->seed : 0,
                             .phase = phase > 0 ? phase - 1 : 0};
    if (p == NULL)
        return;
    const Dataset *d = s->job->data[s->job->recipe->objectives.at[p->objective].data];
    const Split *train = splits_find(&d->splits, STR("train"));
    if (train == NULL)
        return;
    Counters *c = &s->counters;
    c->epoch_steps = p->drop_tail ? train->n / p->batch : (train->n + p->batch - 1) / p->batch;
    c->steps = p->steps > 0 ? p->steps : p->epochs * c->epoch_steps;
    c->epochs =
        p->steps > 0 && c->epoch_steps > 0 ? (p->steps + c->epoch_steps - 1) / c->epoch_steps : p->epochs;
}

static GrStatus evaluate(Session *s, Arena *a, Str checkpoint, uint32_t objective, Str split_name,
                         TrainValues *out) {
    const Recipe *r = s->job->recipe;
    const RecipeObjective *o = &r->objectives.at[objective];
    const Dataset *d = s->job->data[o->data];
    const Split *split;
    uint32_t phase = phase_of(r, objective);
    Feed feed;
    s->phase = phase > 0 ? &r->phases.at[phase - 1] : NULL;
    if (checkpoint.n > 0) {
        TRY(checkpoint_load(s->arena, s->job->exec, CHECKPOINT_WEIGHTS, 0, checkpoint, &s->state, s->e));
        if (exec_plan(s->job->exec)->region_bytes[REGION_PACKED] > 0)
            TRY(session_run(s, STR("pack"), NULL));
    }
    TRY(dataset_split(d, split_name, &split, s->e));
    if (split->n == 0)
        return fail(s->e, GR_DATA, "the split `%.*s` is empty", FSTR(split_name));
    set_counters(s, phase);
    int64_t batch = s->counters.batch < split->n ? s->counters.batch : split->n;
    TRY(feed_open(s, str_format(s->arena, "%.*s.eval", FSTR(o->name)), d, batch, &feed));
    GrStatus status = session_evaluate(s, a, &feed, o, split, out);
    feed_close(&feed);
    return status;
}

GrStatus train_start(const TrainJob *job, Error *e) {
    Session s = {.job = job, .arena = arena_create(), .e = e};
    s.uniforms = (UniformRun){.arena = s.arena, .recipe = job->recipe};
    GrStatus status = session_start(&s);
    arena_destroy(s.arena);
    return status;
}

GrStatus train_evaluate(Arena *a, const TrainJob *job, Str checkpoint, uint32_t objective, Str split,
                        TrainValues *out, Error *e) {
    Session s = {.job = job, .arena = arena_create(), .e = e};
    s.uniforms = (UniformRun){.arena = s.arena, .recipe = job->recipe};
    s.start_s = session_seconds(&s);
    *out = (TrainValues){0};
    GrStatus status = evaluate(&s, a, checkpoint, objective, split, out);
    arena_destroy(s.arena);
    return status;
}
