/* See schedule.h. */
#include "schedule.h"

static const Str k_due = {"schedule.due", 12};

void schedules_due(Session *s) {
    if (s->job->recipe->schedules.at.n > 0)
        state_set_real(s->arena, &s->state, k_due, 1);
}

void schedules_advance(Session *s) {
    const Recipe *r = s->job->recipe;
    if (r->schedules.at.n == 0 || state_real(&s->state, k_due) != 1)
        return;
    inputs_run(&s->uniforms, exec_plan(s->job->exec)->uniforms, &s->counters, &s->state);
    for (uint32_t i = 0; i < r->schedules.at.n; i++) {
        const RecipeSchedule *x = &r->schedules.at.at[i];
        state_set_real(s->arena, &s->state, x->name, s->uniforms.values[x->next]);
    }
    state_set_real(s->arena, &s->state, k_due, 0);
}
