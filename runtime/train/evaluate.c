/* Metrics of a trained model, outside a training.  Counters, noise and batches are those of the validation
 * that followed the last finished epoch, so that the numbers of the split `val` come out as they did then. */
#include "checkpoint.h"
#include "pass.h"
#include "rundir.h"
#include <unistd.h>

Str train_best(Arena *a, Str run) {
    Str best = rundir_file(a, run, "best-1.safetensors");
    return access(best.s, F_OK) == 0 ? best : rundir_file(a, run, RUN_LAST);
}

static bool measures(const Recipe *r, uint32_t phase, Str split, uint32_t objective) {
    uint32_t o;
    for (uint32_t i = 0; recipe_measured(r, &r->phases.at[phase], split, i, &o); i++) {
        if (o == objective)
            return true;
    }
    return false;
}

/* 1 + the last phase that trains the objective, or else that validates it; 0 when none does. */
static uint32_t phase_of(const Recipe *r, uint32_t objective) {
    uint32_t trains = 0, validates = 0;
    for (uint32_t i = 0; i < r->phases.n; i++) {
        trains = measures(r, i, STR("train"), objective) ? i + 1 : trains;
        validates = measures(r, i, STR("val"), objective) ? i + 1 : validates;
    }
    return trains ? trains : validates;
}

int64_t train_evaluation_batch(const Recipe *r, uint32_t objective) {
    uint32_t phase = phase_of(r, objective);
    return phase > 0 ? r->phases.at[phase - 1].rows : EVAL_BATCH;
}

/* How far the phase was in the checkpoint; NULL: it was over, or had not begun. */
static const TrainState *state_of(const TrainState *s, uint32_t phase) {
    while (s != NULL && s->phase + 1 != phase)
        s = s->outer;
    return s;
}

static void set_counters(Session *s, const RecipePhase *p, uint32_t phase) {
    const TrainState *at = state_of(&s->state, phase);
    Counters *c = &s->counters;
    *c = (Counters){.batch = p != NULL ? p->batch : EVAL_BATCH,
                    .seed = p != NULL ? p->seed : 0,
                    .phase = phase > 0 ? phase - 1 : 0};
    if (p == NULL)
        return;
    const Dataset *d = s->job->data[s->job->recipe->objectives.at[p->runs.at[0].objective].data];
    const Split *train = splits_find(&d->splits, STR("train"));
    int64_t rows = train != NULL ? train->n : 0;
    c->epoch_steps = p->drop_tail ? rows / p->batch : (rows + p->batch - 1) / p->batch;
    c->steps = p->steps > 0 ? p->steps : p->epochs * c->epoch_steps;
    c->epochs =
        p->steps > 0 && c->epoch_steps > 0 ? (p->steps + c->epoch_steps - 1) / c->epoch_steps : p->epochs;
    c->step = at != NULL ? at->step : c->steps;
    int64_t epoch = at != NULL ? at->epoch : c->epochs;
    c->epoch = (at == NULL || at->batch == 0) && epoch > 0 ? epoch - 1 : epoch;
}

static GrStatus evaluate(Session *s, Arena *a, Str checkpoint, uint32_t objective, Str split_name,
                         TrainValues *out) {
    const Recipe *r = s->job->recipe;
    const RecipeObjective *o = &r->objectives.at[objective];
    uint32_t phase = phase_of(r, objective);
    Pass pass;
    if (checkpoint.n > 0) {
        TRY(checkpoint_load(s->arena, s->job->exec, CHECKPOINT_WEIGHTS, 0, checkpoint, &s->state, s->e));
        TRY(session_pack(s));
    }
    set_counters(s, phase > 0 ? &r->phases.at[phase - 1] : NULL, phase);
    TRY(pass_open(s, s->arena, o, split_name, s->counters.batch, &pass));
    GrStatus status = pass_run(s, a, &pass, out);
    pass_close(&pass);
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
