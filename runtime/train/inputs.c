/* Programs have a handful of inputs, so they are looked up by name each time: about a microsecond a step, and
 * nothing to keep in step with a plan that grows. */
#include "inputs.h"
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *name; size_t at; } CounterRow;
static const CounterRow k_counters[] = {
#define ROW(x) {#x, offsetof(Counters, x)}
    ROW(epoch), ROW(step),   ROW(epochs), ROW(steps), ROW(epoch_steps), ROW(batch),
    ROW(rows),  ROW(update), ROW(seed),   ROW(clock), ROW(phase),
    ROW(rows2), ROW(rows3),  ROW(rows4), ROW(batch_rows),
#undef ROW
};

void inputs_batches(Counters *c, const RecipeObjective *o, const RecipePhase *p) {
    int64_t *const rows[] = {&c->rows2, &c->rows3, &c->rows4};
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const RecipeBatch *more = i < o->more.n ? &o->more.at[i] : NULL;
        *rows[i] = more == NULL ? 0 : p != NULL ? recipe_batch(p, more->data) : more->rows;
    }
}

static double setting(const Recipe *r, Str name) {
    for (uint32_t i = 0; i < r->settings.n; i++) {
        if (str_eq(r->settings.at[i].name, name))
            return r->settings.at[i].value;
    }
    GR_BUG("the uniform program reads the setting `%.*s`, which the recipe does not have", FSTR(name));
}

/* NaN outside of a report, and for what the report has not. */
static double reported(const UniformRun *r, Str name) {
    for (uint32_t i = 0; i < r->n_report; i++) {
        if (str_eq(r->report[i].name, name))
            return r->report[i].x;
    }
    return (double)NAN;
}

/* The number of this update, from 1, among those of the runs in `mask`. */
static double update_of(const RecipePhase *p, uint64_t mask, const Counters *c) {
    int64_t n = 1;
    for (uint32_t i = 0; i < p->runs.n; i++) {
        int64_t skipped = c->skipped != NULL ? c->skipped[i] : 0;
        n += mask >> i & 1 ? recipe_runs_before(p, c->update - 1, i) - skipped : 0;
    }
    return (double)n;
}

/* Shards count in the upper half of the phase. */
static const RecipePhase *phase_of(const Recipe *r, const Counters *c) { return &r->phases.at[c->phase & 0xffff]; }

static double input_value(const UniformRun *u, Str name, const Counters *c, const TrainState *s) {
    if (str_starts(name, "setting."))
        return setting(u->recipe, (Str){name.s + 8, name.n - 8});
    if (str_starts(name, "series.") || str_starts(name, "schedule."))
        return state_real(s, name);
    if (str_starts(name, "report."))
        return reported(u, (Str){name.s + 7, name.n - 7});
    if (str_starts(name, "update."))
        return update_of(phase_of(u->recipe, c), strtoull(name.s + 7, NULL, 10), c);
    if (str_is(name, "update") && c->skipped != NULL)
        return update_of(phase_of(u->recipe, c), UINT64_MAX, c);
    for (size_t i = 0; i < sizeof k_counters / sizeof *k_counters; i++) {
        if (str_is(name, k_counters[i].name))
            return (double)*(const int64_t *)((const char *)c + k_counters[i].at);
    }
    GR_BUG("the uniform program reads `%.*s`, which is no setting, counter or series", FSTR(name));
}

static void make_room(UniformRun *r, const Uniforms *u) {
    if (r->inputs != NULL && r->n_inputs >= u->inputs.n && r->n_insts >= u->insts.n &&
        r->n_outputs >= u->outputs.n)
        return;
    r->n_inputs = u->inputs.n;
    r->n_insts = u->insts.n;
    r->n_outputs = u->outputs.n;
    r->inputs = PUSH(r->arena, double, u->inputs.n + 1);
    r->values = PUSH(r->arena, double, u->insts.n + 1);
    r->outputs = PUSH(r->arena, UValue, u->outputs.n + 1);
}

/* States of schedules that nothing has written yet: their first values are made of settings, which the first run has
 * computed.  False: there are none. */
static bool begin_schedules(UniformRun *r, const Uniforms *u, const TrainState *s) {
    bool any = false;
    for (uint32_t k = 0; k < r->recipe->schedules.at.n; k++) {
        const RecipeSchedule *x = &r->recipe->schedules.at.at[k];
        for (uint32_t i = 0; i < u->inputs.n; i++) {
            if (!str_eq(u->inputs.at[i].name, x->name) || state_has(s, x->name))
                continue;
            r->inputs[i] = r->values[x->init];
            any = true;
        }
    }
    return any;
}

const UValue *inputs_run(UniformRun *r, const Uniforms *u, const Counters *c, const TrainState *s) {
    make_room(r, u);
    for (uint32_t i = 0; i < u->inputs.n; i++)
        r->inputs[i] = input_value(r, u->inputs.at[i].name, c, s);
    uniforms_run(u, r->inputs, r->values, r->outputs);
    if (begin_schedules(r, u, s))
        uniforms_run(u, r->inputs, r->values, r->outputs);
    return r->outputs;
}

double inputs_value(UniformRun *r, const Uniforms *u, uint32_t inst, const Counters *c, const TrainState *s) {
    inputs_run(r, u, c, s);
    GR_ASSERT(inst < u->insts.n);
    return r->values[inst];
}
