/* Sweeps: reductions along the same rows that follow one another and read much the same (the four sums of an
 * occupancy loss, those of a normalisation's gradient) may be walked in one loop, which loads what they share once and
 * computes it once.  That is schedule, no meaning: stage s of a kernel says by `with` how many of the stages behind it
 * join its sweep.
 *
 * A reduction may join when it cannot see whether the ones before have ended: it runs over their axes, it reads none
 * of their results, in registers or in memory, and of what they store only each point its own element.  It stores to
 * none of that. */
#include "kernel_text.h"

static bool plain(const Stage *s) {
    return s->kind == STAGE_REDUCE && s->n_axes > s->n_keep && s->vec >= 0 && (s->n_keep > 0 || s->out[0] == 0) &&
           s->reduce != REDUCE_MOMENTS;
}

static bool same_row(const Stage *s, const Stage *t) {
    bool same = s->n_axes == t->n_axes && s->n_keep == t->n_keep && s->vec == t->vec;
    for (uint32_t i = 0; same && i < s->n_axes; i++)
        same = s->axis[i] == t->axis[i];
    return same;
}

/* Is what is there loaded at each point, not once before them? */
static bool moves(const Stage *s, const KAccess *a) {
    bool all = true;
    for (uint32_t j = 0; j < s->n_axes; j++)
        all = all && a->coef[s->axis[j]] != 0;
    return all;
}

/* The buffer that the result goes to; bufs.n: none, it goes to a register. */
static uint32_t result_buffer(const Kernel *k, const Stage *s) {
    return s->out[0] == 0 ? k->bufs.n : k->accesses.at[s->out[0] - 1].buf;
}

static bool touches(const Kernel *k, const Stage *s, uint32_t buf) {
    bool any = result_buffer(k, s) == buf;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        const KInst *in = &k->insts.at[i];
        any |= (in->kop == K_LOAD || in->kop == K_STORE) && k->accesses.at[in->access].buf == buf;
    }
    return any;
}

/* Does one of them give its result where the other one reads, stores, or gives its own? */
static bool results_meet(const Kernel *k, const Stage *s, const Stage *t) {
    uint32_t x = result_buffer(k, s), y = result_buffer(k, t);
    return (x < k->bufs.n && touches(k, t, x)) || (y < k->bufs.n && touches(k, s, y));
}

/* Does `later` read a result of `earlier`, or meet its memory otherwise than to load what that stored at the same
 * point? */
static bool waits_for(const Kernel *k, const Stage *earlier, const Stage *later) {
    for (uint32_t j = later->first; j < later->first + later->n; j++) {
        const KInst *y = &k->insts.at[j];
        if (y->kop == K_REG && (uint32_t)y->imm.i == earlier->reg)
            return true;
        for (uint32_t i = earlier->first; i < earlier->first + earlier->n; i++) {
            const KInst *x = &k->insts.at[i];
            bool meet = (x->kop == K_STORE && (y->kop == K_LOAD || y->kop == K_STORE)) ||
                        (x->kop == K_LOAD && y->kop == K_STORE);
            if (!meet || k->accesses.at[x->access].buf != k->accesses.at[y->access].buf)
                continue;
            const KAccess *at = &k->accesses.at[x->access];
            bool own = access_apart(k, later, at, 0) && moves(later, at);
            if (y->kop == K_STORE || !own || !access_same(at, &k->accesses.at[y->access]))
                return true;
        }
    }
    return false;
}

bool kernel_may_sweep(const Kernel *k, uint32_t first, uint32_t next) {
    const Stage *s = &k->stages.at[first], *t = &k->stages.at[next];
    if (next - first >= MAX_SWEEP || !plain(s) || !plain(t) || !same_row(s, t))
        return false;
    for (uint32_t i = first; i < next; i++) {
        if (results_meet(k, &k->stages.at[i], t) || waits_for(k, &k->stages.at[i], t))
            return false;
    }
    return true;
}

void kernel_sweeps(Kernel *k) {
    for (uint32_t i = 0; i < k->stages.n; i += 1 + k->stages.at[i].with) {
        while (i + 1 + k->stages.at[i].with < k->stages.n && kernel_may_sweep(k, i, i + 1 + k->stages.at[i].with))
            k->stages.at[i].with++;
    }
}
