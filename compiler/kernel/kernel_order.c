/* What a schedule may change.  A stage means its points one after the other, each with its instructions in their order;
 * lanes, turned blocks and rows at once run some of them together.  Nobody sees that where memory that is written
 * is met at one point only: a store has an element of its own at each point, what it writes is loaded at the same
 * point, behind the load, and two stores never meet.  Stages for which that cannot be shown go without a vector axis
 * (kernel_in_order), or without the one that turns points around (kernel_disorder). */
#include "kernel_text.h"
#include <stdlib.h>

/* ---- where accesses meet ---- */
typedef struct { int64_t step, last; } Walk;       /* an axis: how far a point moves the access; the last point */

static int by_step(const void *x, const void *y) {
    int64_t a = ((const Walk *)x)->step, b = ((const Walk *)y)->step;
    return (a > b) - (a < b);
}

/* How the access moves with axes from..to-1 of the stage, the smallest steps first. */
static uint32_t walks(const Kernel *k, const Stage *s, const KAccess *a, uint32_t from, uint32_t to, Walk *out) {
    uint32_t n = 0;
    for (uint32_t j = from; j < to; j++) {
        int64_t step = a->coef[s->axis[j]], extent = k->axes.at[s->axis[j]].extent;
        if (extent > 1)
            out[n++] = (Walk){step < 0 ? -step : step, extent - 1};
    }
    qsort(out, n, sizeof *out, by_step);
    return n;
}

/* Has every point of these axes an element of its own? */
static bool apart(const Kernel *k, const Stage *s, const KAccess *a, uint32_t from, uint32_t to) {
    Walk walk[MAX_AXES];
    uint32_t n = walks(k, s, a, from, to, walk);
    double covered = 0;
    for (uint32_t i = 0; i < n; i++) {
        if ((double)walk[i].step <= covered)
            return false;
        covered += (double)walk[i].step * (double)walk[i].last;
    }
    return a->index == 0;
}

bool access_apart(const Kernel *k, const Stage *s, const KAccess *a, uint32_t from) {
    return apart(k, s, a, from, s->n_axes);
}

/* Can points lie `by` elements apart?  The largest steps first; what is left has to be covered by the others. */
static bool reach(const Walk *walk, uint32_t n, double by) {
    if (by == 0)
        return true;
    double rest = 0;
    for (uint32_t i = 0; i + 1 < n; i++)
        rest += (double)walk[i].step * (double)walk[i].last;
    if (n == 0 || walk[n - 1].step == 0)
        return false;
    double step = (double)walk[n - 1].step, last = (double)walk[n - 1].last;
    double first = (by - rest) / step, end = (by + rest) / step;
    first = first < -last ? -last : first;
    end = end > last ? last : end;
    if (end - first > 2)
        return true;                               /* steps that overlap: who knows */
    for (double i = (double)(int64_t)(first - 1); i <= end; i++) {
        if (i >= first && reach(walk, n - 1, by - i * step))
            return true;
    }
    return false;
}

/* Can two accesses, at whatever points of the stage, meet in one element?  Points of the head are strangers. */
static bool may_meet(const Kernel *k, const Stage *s, const KAccess *x, const KAccess *y) {
    if (x->buf != y->buf)
        return false;
    if (x->index != 0 || y->index != 0)
        return true;
    for (uint32_t i = 0; i < k->axes.n; i++) {
        if (x->coef[i] != y->coef[i])
            return true;
    }
    Walk walk[MAX_AXES];
    return reach(walk, walks(k, s, x, 0, s->n_axes, walk), (double)x->base - (double)y->base);
}

/* ---- stages ---- */
static const KInst *inst_at(const Kernel *k, const Stage *s, uint32_t i) { return &k->insts.at[s->first + i]; }

static const KAccess *access_of(const Kernel *k, const KInst *in) {
    return in->kop == K_LOAD || in->kop == K_STORE ? &k->accesses.at[in->access] : NULL;
}

static bool stores_to(const Kernel *k, const Stage *s, uint32_t buf) {
    for (uint32_t i = 0; i < s->n; i++) {
        if (inst_at(k, s, i)->kop == K_STORE && access_of(k, inst_at(k, s, i))->buf == buf)
            return true;
    }
    return false;
}

bool kernel_in_order(const Kernel *k, const Stage *s, uint32_t from) {
    for (uint32_t i = 0; i < s->n; i++) {
        const KAccess *x = access_of(k, inst_at(k, s, i));
        for (uint32_t j = 0; x != NULL && inst_at(k, s, i)->kop == K_STORE && j < s->n; j++) {
            const KAccess *y = access_of(k, inst_at(k, s, j));
            bool load = inst_at(k, s, j)->kop == K_LOAD;
            bool own = load && j < i && y != NULL && access_same(x, y) && apart(k, s, x, from, s->n_axes);
            if (i != j && y != NULL && x->buf == y->buf && !own && (load || may_meet(k, s, x, y)))
                return true;
        }
    }
    return false;
}

uint32_t stage_lanes_from(const Stage *s) {
    uint32_t vec = s->vec < 0 ? s->n_axes : (uint32_t)s->vec;
    if (s->vec >= 0 && s->transpose >= 0 && s->transpose < s->vec)
        return (uint32_t)s->transpose;
    return s->kind == STAGE_REDUCE && vec > s->n_keep ? s->n_keep : vec;
}

/* A result, if it goes to memory. */
static const KAccess *result_of(const Kernel *k, const Stage *s, uint32_t i) {
    bool there = s->out[i] != 0 && s->out[0] != 0 && i < kernel_results(s);
    return there ? &k->accesses.at[s->out[i] - 1] : NULL;
}

static bool touches(const Kernel *k, const Stage *s, uint32_t buf) {
    bool any = s->kind == STAGE_FOLD && k->accesses.at[s->out[1] - 1].buf == buf;
    for (uint32_t i = 0; i < s->n; i++) {
        const KAccess *a = access_of(k, inst_at(k, s, i));
        any = any || (a != NULL && a->buf == buf);
    }
    return any;
}

/* The first axis whose points the schedule runs in another order, among the first n; n: none. */
static uint32_t turned_from(const Stage *s, uint32_t n) {
    uint32_t from = n;
    if (s->vec >= 0 && (uint32_t)s->vec + 1 < n)
        from = (uint32_t)s->vec;
    if (s->transpose >= 0 && s->vec >= 0 && (uint32_t)s->transpose < from)
        from = (uint32_t)s->transpose < (uint32_t)s->vec ? (uint32_t)s->transpose : (uint32_t)s->vec;
    return from;
}

/* A map over no points stores nothing. */
static bool has_points(const Kernel *k, const Stage *s) {
    bool any = true;
    for (uint32_t i = 0; i < s->n_axes && s->kind == STAGE_MAP; i++) {
        any = any && k->axes.at[s->axis[i]].extent > 0;
    }
    return any;
}

/* A point of a split head adds to elements of its own: another thread adds to those of the next one. */
static bool points_meet(const Kernel *k, const Stage *s) {
    const KAccess *a = result_of(k, s, 0);
    int64_t width = 0;
    for (uint32_t i = 0; i < s->n_axes; i++) {
        int64_t extent = k->axes.at[s->axis[i]].extent, step = a->coef[s->axis[i]];
        width += extent > 0 ? (extent - 1) * (step < 0 ? -step : step) : 0;
    }
    return kernel_points(k) > 1 && (a->coef[0] < 0 ? -a->coef[0] : a->coef[0]) <= width;
}

const char *kernel_disorder(const Kernel *k, const Stage *s) {
    if (!has_points(k, s))
        return NULL;
    if (s->vec >= 0 && kernel_in_order(k, s, stage_lanes_from(s)))
        return "it meets memory that it stores to at other points, so it has no vector axis";
    uint32_t turned = turned_from(s, s->n_axes), n_axes = s->kind == STAGE_ACCUM ? s->n_axes : s->n_keep;
    for (uint32_t i = 0; i < s->n; i++) {
        const KInst *in = inst_at(k, s, i);
        if (in->kop == K_STORE && turned < s->n_axes && !apart(k, s, access_of(k, in), turned, s->n_axes))
            return "its schedule turns around stores that may go to one element";
        if (in->kop == K_LOAD && s->kind == STAGE_REDUCE && s->reduce == REDUCE_MOMENTS &&
            stores_to(k, s, access_of(k, in)->buf))
            return "moments are computed in two passes, and the second would load what the first one stores";
    }
    turned = s->kind == STAGE_ACCUM && s->vec >= 0 ? 0 : turned_from(s, n_axes);
    for (uint32_t i = 0; i < 2; i++) {
        const KAccess *x = result_of(k, s, i);
        if (x == NULL)
            continue;
        if (touches(k, s, x->buf))
            return "its result goes to memory that its instructions touch";
        if (turned < n_axes && !apart(k, s, x, turned, n_axes))
            return "its schedule turns around results that may go to one element";
    }
    if (s->kind == STAGE_ACCUM && points_meet(k, s))
        return "two points add to one element";
    const KAccess *x = result_of(k, s, 0), *y = result_of(k, s, 1);
    return x != NULL && y != NULL && may_meet(k, s, x, y) ? "its two results meet" : NULL;
}
