/* Entries are planned for the batches that the splits have, so an epoch is its full batches and its last one. */
#include "estimate.h"

static double steps_ns(const Plan *p, uint32_t first, uint32_t n) {
    double ns = 0;
    for (uint32_t i = first; i < first + n; i++) {
        const PlanStep *s = &p->steps.at[i];
        if (s->kind == STEP_LOOP) {
            ns += (double)s->trips * steps_ns(p, i + 1, s->count);
            i += s->count;
        } else if (s->kind == STEP_UNSURE) {
            i += s->count;
        } else {
            ns += s->cost_ns;
        }
    }
    return ns;
}

static double entry_ns(const Plan *p, Str name, int64_t rows) {
    const PlanEntry *entry = rows ? plan_entry(p, name.s, rows, "fused") : NULL;
    return entry ? steps_ns(p, entry->first_step, entry->n_steps) : 0;
}

static double pass_ns(const Plan *p, Str name, int64_t rows, int64_t batch) {
    return (double)(rows / batch) * entry_ns(p, name, batch) + entry_ns(p, name, rows % batch);
}

static int64_t rows_of(const Job *j, uint32_t objective, const char *split) {
    const Dataset *d = j->data[j->s->recipe->objectives.at[objective].data];
    const Split *s = splits_find(&d->splits, str_of(split));
    return s ? s->n : 0;
}

/* Its runs take turns, so each has its share of the steps. */
double estimate_epoch(const Job *j, const RecipePhase *phase) {
    const Plan *plan = j->compiled.planned.plan;
    const Recipe *r = j->s->recipe;
    double ns = 0, times = 0;
    uint32_t o;
    for (uint32_t i = 0; i < phase->runs.n; i++) times += (double)phase->runs.at[i].times;
    for (uint32_t i = 0; i < phase->runs.n; i++) {
        const RecipeRun *run = &phase->runs.at[i];
        Str name = str_format(r->arena, "%.*s.train", FSTR(run->name));
        ns += pass_ns(plan, name, rows_of(j, run->objective, "train"), phase->rows) * (double)run->times / times;
    }
    for (uint32_t i = 0; recipe_measured(r, phase, STR("val"), i, &o); i++) {
        Str name = str_format(r->arena, "%.*s.eval", FSTR(r->objectives.at[o].name));
        ns += pass_ns(plan, name, rows_of(j, o, "val"), phase->rows);
    }
    return ns * 1e-9;
}

int64_t estimate_epochs(const Job *j, const RecipePhase *p) {
    int64_t rows = rows_of(j, p->runs.at[0].objective, "train");
    int64_t steps = p->drop_tail ? rows / p->batch : (rows + p->batch - 1) / p->batch;
    return p->steps == 0 ? p->epochs : steps ? (p->steps + steps - 1) / steps : 0;
}

static double phase_seconds(const Job *j, uint32_t phase) {
    const RecipePhase *p = &j->s->recipe->phases.at[phase];
    int64_t epochs = estimate_epochs(j, p);
    double s = (double)epochs * estimate_epoch(j, p);
    for (uint32_t i = 0; i < p->inner.n; i++)
        s += (double)(epochs / p->inner.at[i].epochs) * phase_seconds(j, p->inner.at[i].phase);
    return s;
}

double estimate_training(const Job *j) {
    double s = 0;
    for (uint32_t i = 0; i < j->s->recipe->phases.n; i++)
        s += j->s->recipe->phases.at[i].called ? 0 : phase_seconds(j, i);
    return s;
}
