/* What each loss term weighs in an epoch, beside its mean: the weight that its last step had, which is a number of the
 * uniform program, and the share that weight times mean has of all terms' together.  They cost nothing, so they are
 * measured whenever there are two terms or more; what a term's gradient does takes a sample (sample.c). */
#include "phase.h"
#include <math.h>

static double mean_of(const TrainValues *v, Str whole) {
    for (uint32_t i = 0; i < v->at.n; i++) {
        if (str_eq(v->at.at[i].whole, whole))
            return (double)v->at.at[i].values[0];
    }
    return (double)NAN;
}

static double weight_of(Trainer *t, const RecipeLoss *l, const Counters *at) {
    const Uniforms *u = exec_plan(t->s.job->exec)->uniforms;
    return l->has_inst ? (double)(float)inputs_value(&t->s.uniforms, u, l->inst, at, &t->s.state) : l->weight;
}

bool terms_alone(const Trainer *t, Str term) {
    return recipe_series_owners(t->s.job->recipe, t->s.phase, STR("train"), term) < 2;
}

static void add(Trainer *t, const RecipeObjective *o, Str term, const char *what, double x, TrainValues *out) {
    float *value = PUSH(t->values, float, 1);
    *value = (float)x;
    TrainValue v = {.whole = str_format(t->values, "train.%.*s.%.*s.%s", FSTR(o->name), FSTR(term), what),
                    .values = value, .detail = true};
    v.name = terms_alone(t, term) ? str_format(t->values, "train.%.*s.%s", FSTR(term), what) : v.whole;
    vec_push(t->values, &out->at, v);
}

/* With several objectives it may be some steps back; there is one, since this one has had rows. */
static int64_t last_step(const Trainer *t, const RecipeObjective *o) {
    const RecipePhase *p = t->s.phase;
    const RecipeObjective *all = t->s.job->recipe->objectives.at;
    int64_t step = t->s.state.step - 1;
    while (step > 0 && &all[p->runs.at[recipe_run_at(p, step)].objective] != o)
        step--;
    return step;
}

void terms_measure(Trainer *t, const RecipeObjective *o, TrainValues *out) {
    double *weight = PUSH(t->values, double, o->losses.n + 1), *part = PUSH(t->values, double, o->losses.n + 1);
    double sum = 0;
    Counters last = t->s.counters;
    last.step = last_step(t, o);
    last.update = last.clock = last.step + 1;
    for (uint32_t i = 0; i < o->losses.n && o->losses.n > 1; i++) {
        const RecipeLoss *l = &o->losses.at[i];
        double mean = mean_of(out, str_format(t->values, "train.%.*s.%.*s", FSTR(o->name), FSTR(l->name)));
        weight[i] = weight_of(t, l, &last);
        part[i] = weight[i] == 0 ? 0 : fabs(weight[i] * mean);
        sum += part[i];
    }
    for (uint32_t i = 0; i < o->losses.n && o->losses.n > 1; i++) {
        add(t, o, o->losses.at[i].name, "weight", weight[i], out);
        add(t, o, o->losses.at[i].name, "share", sum == 0 ? 0 : part[i] / sum, out);
    }
}
