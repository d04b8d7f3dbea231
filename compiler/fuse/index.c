/* Index arithmetic of the inliner.  An Index says which element along one axis of a tensor a stage reads, as
 * base + sum coef[axis] * axis, plus inst_coef times one computed i32 (a gathered position, a quotient).
 * Views change indices and compute nothing: as long as the result stays affine a chain of views costs an
 * address.  A reshape is flattened and split again; a split that cannot be done on coefficients falls back to
 * quotient and remainder. */
#include "fuse_parts.h"
#include <string.h>

Index index_const(int64_t x) { return (Index){.base = x}; }

Index index_axis(uint32_t axis) {
    Index x = {0};
    x.coef[axis] = 1;
    return x;
}

Index index_of_value(uint32_t inst, int64_t lo, int64_t hi) {
    return (Index){.inst = inst + 1, .inst_coef = 1, .lo = lo, .hi = hi};
}

Index index_scale(Index x, int64_t by) {
    x.base *= by;
    x.inst_coef *= by;
    for (uint32_t i = 0; i < MAX_AXES; i++) {
        x.coef[i] *= by;
    }
    return x;
}

bool index_eq(const Index *x, const Index *y) {
    return x->base == y->base && x->inst == y->inst && (x->inst == 0 || x->inst_coef == y->inst_coef) &&
           memcmp(x->coef, y->coef, sizeof x->coef) == 0;
}

/* The computed part alone, times its coefficient, as one value. */
static uint32_t scaled_inst(Emit *e, const Index *x) {
    uint32_t v = x->inst - 1;
    return x->inst_coef == 1 ? v : emit_scalar(e, S_mul, DT_I32, v, emit_i32(e, x->inst_coef), 0);
}

static void part_range(const Index *x, int64_t *lo, int64_t *hi) {
    int64_t a = x->lo * x->inst_coef, b = x->hi * x->inst_coef;
    *lo = a < b ? a : b;
    *hi = a < b ? b : a;
}

Index index_add(Emit *e, Index x, Index y) {
    x.base += y.base;
    for (uint32_t i = 0; i < MAX_AXES; i++) {
        x.coef[i] += y.coef[i];
    }
    if (y.inst == 0 || y.inst_coef == 0)
        return x;
    if (x.inst == 0 || x.inst_coef == 0) {
        x.inst = y.inst, x.inst_coef = y.inst_coef, x.lo = y.lo, x.hi = y.hi;
    } else if (x.inst == y.inst) {
        x.inst_coef += y.inst_coef;
    } else {
        int64_t lx, hx, ly, hy;
        part_range(&x, &lx, &hx);
        part_range(&y, &ly, &hy);
        uint32_t sum = emit_scalar(e, S_add, DT_I32, scaled_inst(e, &x), scaled_inst(e, &y), 0);
        x.inst = sum + 1, x.inst_coef = 1, x.lo = lx + ly, x.hi = hx + hy;
    }
    return x;
}

/* A clipped axis and its block index together run 0 .. total-1, which is less than their extents allow. */
static bool blocked_range(const Kernel *k, const Index *x, uint32_t axis, int64_t *top) {
    const KAxis *in = &k->axes.at[axis];
    if (in->clip_by < 0 || x->coef[in->clip_by] != x->coef[axis] * in->extent)
        return false;
    *top = in->clip_total - 1;
    return true;
}

void index_range(const Kernel *k, const Index *x, int64_t *lo, int64_t *hi) {
    bool taken[MAX_AXES] = {false};
    *lo = *hi = x->base;
    if (x->inst != 0) {
        int64_t a, b;
        part_range(x, &a, &b);
        *lo += a, *hi += b;
    }
    for (int pass = 0; pass < 2; pass++) { /* blocked pairs first */
        for (uint32_t i = 0; i < k->axes.n; i++) {
            int64_t top = k->axes.at[i].extent - 1;
            if (x->coef[i] == 0 || taken[i] || (pass == 0 && !blocked_range(k, x, i, &top)))
                continue;
            if (pass == 0)
                taken[k->axes.at[i].clip_by] = true;
            taken[i] = true;
            *(x->coef[i] > 0 ? hi : lo) += x->coef[i] * (top < 0 ? 0 : top);
        }
    }
}

uint32_t index_value(Emit *e, const Index *x) {
    uint32_t sum = 0;
    bool any = false;
    if (x->inst != 0) {
        sum = scaled_inst(e, x);
        any = true;
    }
    for (uint32_t i = 0; i < MAX_AXES; i++) {
        if (x->coef[i] == 0)
            continue;
        uint32_t v = emit_inst(e, (KInst){.kop = K_AXIS, .type = DT_I32, .imm.i = i});
        if (x->coef[i] != 1)
            v = emit_scalar(e, S_mul, DT_I32, v, emit_i32(e, x->coef[i]), 0);
        sum = any ? emit_scalar(e, S_add, DT_I32, sum, v, 0) : v;
        any = true;
    }
    if (!any)
        return emit_i32(e, x->base);
    return x->base == 0 ? sum : emit_scalar(e, S_add, DT_I32, sum, emit_i32(e, x->base), 0);
}

Index index_linear(Emit *e, Shape s, const Index *at) {
    Index sum = index_const(0);
    int64_t stride = 1;
    for (uint32_t i = s.rank; i-- > 0;) {
        sum = index_add(e, sum, index_scale(at[i], stride));
        stride *= s.dim[i];
    }
    return sum;
}

/* x = d * q + r with 0 <= r < d, on coefficients: those divisible by d go to q, the others to r if its range
 * fits.  whole: a clipped axis and its block index stay together, since only together do they end where the
 * tensor does. */
static bool split_affine(const Kernel *k, const Index *x, int64_t d, bool whole, Index *q, Index *r) {
    *q = *r = index_const(0);
    for (uint32_t i = 0; i < MAX_AXES; i++) {
        *(x->coef[i] % d == 0 ? &q->coef[i] : &r->coef[i]) =
            x->coef[i] % d == 0 ? x->coef[i] / d : x->coef[i];
    }
    for (uint32_t i = 0; i < k->axes.n && whole; i++) {
        int64_t top;
        if (r->coef[i] != 0 && blocked_range(k, x, i, &top)) {
            uint32_t block = (uint32_t)k->axes.at[i].clip_by;
            q->coef[block] = 0, r->coef[block] = x->coef[block];
        }
    }
    if (x->inst != 0) {
        Index *to = x->inst_coef % d == 0 ? q : r;
        to->inst = x->inst, to->lo = x->lo, to->hi = x->hi;
        to->inst_coef = to == q ? x->inst_coef / d : x->inst_coef;
    }
    int64_t b = x->base % d;
    r->base = b < 0 ? b + d : b;
    q->base = (x->base - r->base) / d;
    int64_t lo, hi;
    index_range(k, r, &lo, &hi);
    return lo >= 0 && hi < d;
}

static Index clamped(Emit *e, uint32_t v, int64_t top) {
    v = emit_scalar(e, S_max, DT_I32, v, emit_i32(e, 0), 0);
    v = emit_scalar(e, S_min, DT_I32, v, emit_i32(e, top), 0);
    return index_of_value(v, 0, top);
}

Index index_clamped(Emit *e, Index x, int64_t top) {
    int64_t lo, hi;
    index_range(e->k, &x, &lo, &hi);
    if (lo >= 0 && hi <= top)
        return x;
    uint32_t v = index_value(e, &x);
    return lo >= 0 ? index_of_value(emit_scalar(e, S_min, DT_I32, v, emit_i32(e, top), 0), 0, top) : clamped(e, v, top);
}

/* Is a clipped axis there together with its block index? */
static bool whole_pairs(const Kernel *k, const Index *x) {
    int64_t top;
    for (uint32_t i = 0; i < k->axes.n; i++) {
        if (x->coef[i] != 0 && blocked_range(k, x, i, &top))
            return true;
    }
    return false;
}

/* x by a quotient and a remainder.  Only what d does not divide goes through them, so that the rest stays an address;
 * all of it does where that part could be negative alone. */
static void divide(Emit *e, Index x, int64_t d, Index *q, Index *r) {
    Index whole, part;
    split_affine(e->k, &x, d, true, &whole, &part);
    int64_t lo, hi;
    index_range(e->k, &part, &lo, &hi);
    if (lo < 0) {
        whole = index_const(0), part = x;
        index_range(e->k, &part, &lo, &hi);
    }
    uint32_t v = index_value(e, &part), by = emit_i32(e, d);
    *r = index_of_value(emit_scalar(e, S_mod, DT_I32, v, by, 0), 0, d - 1);
    uint32_t times = emit_scalar(e, S_idiv, DT_I32, v, by, 0);
    int64_t top = hi < 0 ? 0 : hi / d;
    bool seen = lo >= 0 && !whole_pairs(e->k, &part);           /* by the verifier, without help */
    *q = index_add(e, whole, seen ? index_of_value(times, 0, top) : clamped(e, times, top));
}

void index_split(Emit *e, Index flat, uint32_t n, const int64_t *dim, Index *out) {
    for (uint32_t i = n; i-- > 0;) {
        if (dim[i] == 1 && i > 0) {
            out[i] = index_const(0);
            continue;
        }
        if (i == 0) {
            out[0] = flat; /* the rest: in range because the whole is */
            int64_t lo, hi;
            index_range(e->k, &flat, &lo, &hi);
            if (flat.inst != 0 && (lo < 0 || hi >= dim[0]) && dim[0] > 0)
                out[0] = clamped(e, index_value(e, &flat), dim[0] - 1);
            return;
        }
        Index q, r;
        if (dim[i] == 0)
            q = r = index_const(0);
        else if (!split_affine(e->k, &flat, dim[i], false, &q, &r) && !split_affine(e->k, &flat, dim[i], true, &q, &r))
            divide(e, flat, dim[i], &q, &r);
        out[i] = r;
        flat = q;
    }
}

bool index_outside(const Kernel *k, const Index *x, int64_t lo, int64_t hi) {
    int64_t least, most;
    index_range(k, x, &least, &most);
    return most < lo || least >= hi;
}

uint32_t index_inside(Emit *e, const Index *x, int64_t lo, int64_t hi, uint32_t guard) {
    int64_t least, most;
    index_range(e->k, x, &least, &most);
    if (least < lo) {
        uint32_t v = index_value(e, x);
        uint32_t c = emit_scalar(e, S_le, DT_BOOL, emit_i32(e, lo), v, 0);
        guard = 1 + (guard ? emit_scalar(e, S_and, DT_BOOL, guard - 1, c, 0) : c);
    }
    if (most >= hi) {
        uint32_t v = index_value(e, x);
        uint32_t c = emit_scalar(e, S_lt, DT_BOOL, v, emit_i32(e, hi), 0);
        guard = 1 + (guard ? emit_scalar(e, S_and, DT_BOOL, guard - 1, c, 0) : c);
    }
    return guard;
}
