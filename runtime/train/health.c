/* What is wrong with a training, as far as samples and validations tell (monitors.def).  Each monitor has evidence, a
 * subject (a layer, a term, a model) and a patience; how often in a row it held is part of the training's state, so a
 * resumed run warns and stops where an undisturbed one does.  Only which units have not fired is found out anew. */
#include "monitors.h"
#include "sample.h"
#include <math.h>

static const struct { const char *name; int patience; const char *advice; } monitors[] = {
#define MONITOR(id, name, patience, what, advice) {name, patience, advice},
#include "monitors.def"
#undef MONITOR
};

/* ---- alarms ---- */
static bool watched(const Trainer *t, Monitor m) { return t->s.job->monitors[m] >= LEVEL_WARN; }

static GrStatus sound(Trainer *t, Monitor m, Str evidence, Str split) {
    RecipeAlarm *a = PUSH(t->s.arena, RecipeAlarm, 1);
    *a = (RecipeAlarm){.stop = t->s.job->monitors[m] == LEVEL_STOP,
                       .text = str_format(t->s.arena, "%s: %.*s; %s", monitors[m].name, FSTR(evidence),
                                          monitors[m].advice),
                       .when = str_format(t->s.arena, "--monitor %s", monitors[m].name),
                       .reports = monitors[m].patience};
    TRY(record_alarm(t, a, split));
    session_alarm(&t->s, a, split);
    t->stop = a->stop && t->stop == NULL ? a : t->stop;
    return GR_OK;
}

/* Of a run of an objective, since a phase may have several. */
static Str key_of(Trainer *t, const char *what, const RecipeRun *run, Str subject) {
    return str_format(t->values, "monitor.%s.%.*s.%.*s", what, FSTR(run->name), FSTR(subject));
}

/* It holds now, or not; the message when it has for long enough. */
static GrStatus note(Trainer *t, Monitor m, Str name, bool holds, Str evidence, Str split) {
    if (!watched(t, m))
        return GR_OK;
    double before = state_real(&t->s.state, name), count = !holds ? 0 : before > 0 ? before + 1 : 1;
    state_set_real(t->s.arena, &t->s.state, name, count);
    return count == monitors[m].patience ? sound(t, m, evidence, split) : GR_OK;
}

/* ---- values ---- */
static double value_of(Trainer *t, const TrainValues *v, const char *split, Str objective, Str name) {
    Str whole = str_format(t->values, "%s.%.*s.%.*s", split, FSTR(objective), FSTR(name));
    for (uint32_t i = 0; i < v->at.n; i++) {
        if (str_eq(v->at.at[i].whole, whole) && v->at.at[i].shape.rank == 0)
            return (double)v->at.at[i].values[0];
    }
    return NAN;
}

static double of_term(Trainer *t, const TrainValues *v, const RecipeObjective *o, uint32_t i, const char *what) {
    return value_of(t, v, "train", o->name, str_format(t->values, "%.*s%s", FSTR(o->losses.at[i].name), what));
}

/* ---- units ---- */
enum { SAMPLES = 5 };

double health_units(Trainer *t, const RecipeRun *run, Str layer, const float *largest, int64_t n) {
    Silent *s = NULL;
    for (uint32_t i = 0; i < t->silent.n && s == NULL; i++)
        s = t->silent.at[i].run == run && str_eq(t->silent.at[i].layer, layer) ? &t->silent.at[i] : NULL;
    if (s == NULL) {
        Silent all = {run, str_copy(t->s.arena, layer), PUSH(t->s.arena, int32_t, n), n, 0, 0};
        vec_push(t->s.arena, &t->silent, all);
        s = &t->silent.at[t->silent.n - 1];
    }
    s->dead = 0;
    s->seen++;
    for (int64_t i = 0; i < n; i++) {
        s->samples[i] = largest[i] > 0 ? 0 : s->samples[i] + 1;
        s->dead += s->samples[i] >= SAMPLES;
    }
    return (double)s->dead / (double)n;
}

/* Nobody knows before the fifth sample: how often it held stays what the checkpoint says, so a run that goes on in
 * spite of it is not stopped by the same units again. */
static GrStatus look_at_units(Trainer *t, const RecipeRun *run) {
    for (uint32_t i = 0; i < t->silent.n; i++) {
        const Silent *s = &t->silent.at[i];
        if (s->run != run || s->seen < SAMPLES)
            continue;
        Str said = str_format(t->values, "%lld of %lld relu units of `%.*s` fired for no row of %d samples",
                              (long long)s->dead, (long long)s->n, FSTR(s->layer), SAMPLES);
        TRY(note(t, MONITOR_DEAD, key_of(t, "dead", run, s->layer), 2 * s->dead >= s->n, said, STR("train")));
    }
    return GR_OK;
}

/* ---- sizes ---- */
/* A number beside its mean so far, of logarithms, in which the last five samples count most; one that has exploded is
 * not part of it.  What is infinite has exploded, whatever was before. */
static GrStatus look_for_growth(Trainer *t, const RecipeRun *run, Str subject, double x, bool counts) {
    static const double k_rate = 0.2, k_times = 100;
    Str name = key_of(t, "mean", run, subject), held = key_of(t, "exploding", run, subject);
    double before = state_real(&t->s.state, name), now = log(fabs(x));
    if (!watched(t, MONITOR_EXPLODING) || isnan(x) || x == 0)
        return GR_OK;
    if (isinf(x))
        return note(t, MONITOR_EXPLODING, held, true, str_format(t->values, "%.*s is infinite", FSTR(subject)),
                    STR("train"));
    bool holds = counts && isfinite(before) && now > before + log(k_times);
    if (!holds)
        state_set_real(t->s.arena, &t->s.state, name, isfinite(before) ? before + k_rate * (now - before) : now);
    Str said = str_format(t->values, "%.*s is %.3g, %.3g times its mean of the samples before", FSTR(subject), x,
                          exp(now - before));
    return note(t, MONITOR_EXPLODING, held, holds, said, STR("train"));
}

static GrStatus look_at_gradients(Trainer *t, const RecipeRun *run, const TrainValues *v) {
    const RecipeObjective *o = &t->s.job->recipe->objectives.at[run->objective];
    Str prefix = str_format(t->values, "train.%.*s.total.gradient.", FSTR(o->name));
    double most = 0;
    TRY(look_for_growth(t, run, STR("the gradient"), value_of(t, v, "train", o->name, STR("total.gradient")), true));
    for (uint32_t i = 0; i < v->at.n; i++) {
        if (str_starts(v->at.at[i].whole, prefix.s))
            most = fmax(most, (double)v->at.at[i].values[0]);
    }
    for (uint32_t i = 0; i < v->at.n; i++) {
        const TrainValue *x = &v->at.at[i];
        if (!str_starts(x->whole, prefix.s))
            continue;
        Str model = {x->whole.s + prefix.n, x->whole.n - prefix.n};
        Str said = str_format(t->values, "the gradient of `%.*s` is %.3g, the largest of a model %.3g", FSTR(model),
                              (double)x->values[0], most);
        TRY(note(t, MONITOR_VANISHING, key_of(t, "vanishing.model", run, model),
                 isfinite(most) && (double)x->values[0] < 1e-6 * most, said, STR("train")));
    }
    return GR_OK;
}

/* ---- terms ---- */
static GrStatus look_at_terms(Trainer *t, const RecipeRun *run, const TrainValues *v) {
    const RecipeObjective *o = &t->s.job->recipe->objectives.at[run->objective];
    double most = 0;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < o->losses.n; i++) {
        double g = of_term(t, v, o, i, ".gradient");
        largest = g > most ? i : largest;
        most = fmax(most, g);
    }
    for (uint32_t i = 0; i < o->losses.n; i++) {
        Str name = o->losses.at[i].name;
        double g = of_term(t, v, o, i, ".gradient"), w = of_term(t, v, o, i, ".weight"),
               share = of_term(t, v, o, i, ".share");
        Str said = str_format(t->values, "the gradient of `%.*s` is %.3g, that of `%.*s` %.3g", FSTR(name), g,
                              FSTR(o->losses.at[largest].name), most);
        Str quoted = str_format(t->values, "`%.*s`", FSTR(name));
        TRY(look_for_growth(t, run, quoted, of_term(t, v, o, i, ".value") * w, share > 0.5));
        if (isnan(g) || o->losses.n < 2)
            continue;
        bool counts = w != 0 && isfinite(most), vanishes = g < 1e-6 * most, small = !vanishes && g < 1e-3 * most;
        TRY(note(t, MONITOR_VANISHING, key_of(t, "vanishing.term", run, name), counts && vanishes, said, STR("train")));
        TRY(note(t, MONITOR_IMBALANCE, key_of(t, "imbalance", run, name), counts && small, said, STR("train")));
    }
    return GR_OK;
}

GrStatus health_sample(Trainer *t, const RecipeRun *run, const TrainValues *values) {
    TRY(look_at_units(t, run));
    TRY(look_at_gradients(t, run, values));
    return look_at_terms(t, run, values);
}

/* ---- epochs ---- */
static GrStatus look_for_overfitting(Trainer *t, const RecipeObjective *o, const TrainValues *values) {
    Str name = str_format(t->values, "monitor.least.%.*s", FSTR(o->name)),
        then = str_format(t->values, "monitor.then.%.*s", FSTR(o->name)),
        held = str_format(t->values, "monitor.overfitting.%.*s", FSTR(o->name));
    double val = value_of(t, values, "val", o->name, STR("total")),
           train = value_of(t, values, "train", o->name, STR("total"));
    double least = state_real(&t->s.state, name), before = state_real(&t->s.state, then);
    if (isnan(val) || isnan(train))
        return GR_OK;
    if (isnan(least) || val < least) {
        state_set_real(t->s.arena, &t->s.state, name, val);
        state_set_real(t->s.arena, &t->s.state, then, train);
    }
    Str said = str_format(t->values, "val.total is %.4g and was %.4g, train.total has fallen from %.4g to %.4g", val,
                          least, before, train);
    return note(t, MONITOR_OVERFITTING, held, val > least + 0.1 * fabs(least) && train < before, said, STR("val"));
}

GrStatus health_epoch(Trainer *t, const TrainValues *values) {
    const Recipe *r = t->s.job->recipe;
    uint32_t o;
    if (!watched(t, MONITOR_OVERFITTING))
        return GR_OK;
    for (uint32_t i = 0; recipe_measured(r, t->phase->recipe, STR("train"), i, &o); i++)
        TRY(look_for_overfitting(t, &r->objectives.at[o], values));
    return GR_OK;
}
