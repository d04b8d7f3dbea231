/* Kept checkpoints that wait in memory: a run that is over in seconds would spend most of them writing files that the
 * next epoch replaces.  A copy of the variables and of the state is taken when a line improves; it becomes a file
 * when enough time has passed, when the training is broken off, or at the end if it is wanted.  Of the last epoch no
 * copy is needed: the variables stay as they are. */
#include "phase.h"
#include "rundir.h"
#include <string.h>

static size_t variable_bytes(const Plan *p, uint32_t v) { return p->buffers.at[p->vars.at[v].buffer].bytes; }

static size_t all_bytes(const Plan *p) {
    size_t n = 0;
    for (uint32_t i = 0; i < p->vars.n; i++)
        n += variable_bytes(p, i);
    return n;
}

static void copy_variables(const Exec *x, char *copy, bool out) {
    const Plan *p = exec_plan(x);
    for (uint32_t i = 0; i < p->vars.n; i++) {
        void *at = exec_buffer(x, p->vars.at[i].buffer);
        size_t n = variable_bytes(p, i);
        memcpy(out ? (void *)copy : at, out ? at : (void *)copy, n);
        copy += n;
    }
}

static TrainState copy_state(Arena *a, const TrainState *s) {
    TrainState copy = *s;
    memset(&copy.reals, 0, sizeof copy.reals);
    for (uint32_t i = 0; i < s->reals.n; i++)
        vec_push(a, &copy.reals, s->reals.at[i]);
    return copy;
}

bool later_waits(const Trainer *t) { return t->s.job->save_seconds > 0; }

bool later_due(const Trainer *t) {
    return !later_waits(t) || session_seconds(&t->s) - t->saved >= t->s.job->save_seconds;
}

void later_keep(Trainer *t, Str file, bool final) {
    const Exec *x = t->s.job->exec;
    Later *l = NULL;
    for (uint32_t i = 0; i < t->later.n; i++)
        l = str_eq(t->later.at[i].file, file) ? &t->later.at[i] : l;
    if (l == NULL) {
        vec_push(t->s.arena, &t->later, (Later){.file = str_copy(t->s.arena, file)});
        l = &t->later.at[t->later.n - 1];
    }
    if (!final && l->variables == NULL)
        l->variables = PUSH(t->s.arena, char, all_bytes(exec_plan(x)) + 1);
    if (!final)
        copy_variables(x, l->variables, true);
    l->final = final;
    l->state = copy_state(t->s.arena, &t->s.state);
    l->waits = true;
}

/* Files are written from the variables themselves: they are put in place for it, and back. */
GrStatus later_write(Trainer *t) {
    const Exec *x = t->s.job->exec;
    TrainState now = t->s.state;
    GrStatus status = GR_OK;
    char *variables = NULL;
    for (uint32_t i = 0; i < t->later.n && status == GR_OK; i++) {
        Later *l = &t->later.at[i];
        if (!l->waits)
            continue;
        if (variables == NULL && !l->final) {
            variables = PUSH(t->s.arena, char, all_bytes(exec_plan(x)) + 1);
            copy_variables(x, variables, true);
        }
        if (variables != NULL)
            copy_variables(x, l->final ? variables : l->variables, false);
        t->s.state = l->state;
        status = record_save(t, l->file.s);
        l->waits = status != GR_OK;
    }
    if (variables != NULL)
        copy_variables(x, variables, false);
    t->s.state = now;
    t->saved = session_seconds(&t->s);
    return status;
}

GrStatus later_settle(Trainer *t, GrStatus status) {
    const TrainJob *job = t->s.job;
    if (!later_waits(t) || t->log == NULL)
        return status;
    if (status != GR_OK) {                 /* what is to be told is why it ended */
        Error other = {0}, *said = t->s.e;
        t->s.e = &other;
        GrStatus written = later_write(t);
        t->s.e = said;
        return written == GR_OK || status != GR_INTERRUPTED ? status : (*said = other, written);
    }
    if (job->wanted != NULL && !job->wanted(job->user))
        return GR_OK;
    TRY(later_write(t));
    return record_save(t, RUN_LAST);
}
