/* Loss scales of `precision f16`.  The step's own graph keeps them, in variables RUN.loss_scale
 * (frontend/lang/scaling.c); here they are only read: the number of an update leaves out the steps that
 * updated nothing, and an epoch tells scale and skipped steps with its values.  Read anew before each
 * step, so a resumed run counts as one that was not broken off. */
#include "phase.h"

static const float *variable(Trainer *t, const RecipeRun *run, const char *what) {
    size_t bytes = 0;
    Str path = str_format(t->values, "%.*s.loss_scale%s", FSTR(run->name), what);
    const float *at = session_var(&t->s, path, &bytes);
    GR_ASSERT(at != NULL && bytes == sizeof *at);
    return at;
}

void scaling_count(Trainer *t) {
    const RecipePhase *p = t->s.phase;
    for (uint32_t i = 0; p->precision == DT_F16 && i < p->runs.n; i++)
        t->phase->skipped[i] = (int64_t)*variable(t, &p->runs.at[i], ".skipped");
    t->s.counters.skipped = p->precision == DT_F16 ? t->phase->skipped : NULL;
}

static void add_value(Trainer *t, const RecipeRun *run, const char *name, float x, TrainValues *out) {
    const RecipePhase *p = t->s.phase;
    Str rest = {run->name.s + p->name.n + 1, run->name.n - p->name.n - 1};         /* behind the phase */
    float *copy = PUSH(t->values, float, 1);
    *copy = x;
    TrainValue v = {.whole = str_format(t->values, "train.%.*s.%s", FSTR(rest), name), .values = copy};
    v.name = p->runs.n > 1 ? v.whole : str_format(t->values, "train.%s", name);
    vec_push(t->values, &out->at, v);
}

void scaling_values(Trainer *t, TrainValues *out) {
    const RecipePhase *p = t->s.phase;
    for (uint32_t i = 0; p->precision == DT_F16 && i < p->runs.n; i++) {
        add_value(t, &p->runs.at[i], "loss_scale", *variable(t, &p->runs.at[i], ""), out);
        add_value(t, &p->runs.at[i], "skipped", *variable(t, &p->runs.at[i], ".skipped"), out);
    }
}
