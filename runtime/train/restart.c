/* An inner phase starts afresh each time: the variables that it alone changes are set to what they were before the
 * first step.  A copy of them is kept from then on; a resumed run makes the initial values once more. */
#include "phase.h"
#include <string.h>

static const PlanVar *var_of(const Plan *plan, Str path) {
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        if (str_eq(plan->vars.at[i].path, path))
            return &plan->vars.at[i];
    }
    GR_BUG("a phase starts afresh with `%.*s`, which is not in the plan", FSTR(path));
}

static void keep(Trainer *t, const RecipePhase *p, Restart *out) {
    const Plan *plan = exec_plan(t->s.job->exec);
    out->copies = PUSH(t->s.arena, char *, p->fresh.n + 1);
    for (uint32_t i = 0; i < p->fresh.n; i++) {
        uint32_t buffer = var_of(plan, p->fresh.at[i])->buffer;
        uint64_t bytes = plan->buffers.at[buffer].bytes;
        out->copies[i] = arena_push(t->s.arena, bytes + 1, 64);
        memcpy(out->copies[i], exec_buffer(t->s.job->exec, buffer), bytes);
    }
}

void restart_keep(Trainer *t) {
    const Recipe *r = t->s.job->recipe;
    t->restarts = PUSH(t->s.arena, Restart, r->phases.n + 1);
    for (uint32_t i = 0; i < r->phases.n; i++) {
        if (r->phases.at[i].called)
            keep(t, &r->phases.at[i], &t->restarts[i]);
    }
}

GrStatus restart_phase(Trainer *t, uint32_t phase) {
    const Plan *plan = exec_plan(t->s.job->exec);
    const RecipePhase *p = &t->s.job->recipe->phases.at[phase];
    for (uint32_t i = 0; i < p->fresh.n; i++) {
        uint32_t buffer = var_of(plan, p->fresh.at[i])->buffer;
        memcpy(exec_buffer(t->s.job->exec, buffer), t->restarts[phase].copies[i], plan->buffers.at[buffer].bytes);
    }
    return session_pack(&t->s);
}
