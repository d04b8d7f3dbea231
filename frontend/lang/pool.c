/* `maxpool` and `avgpool` of [N, channels, ..] over 1 to 3 dims, by PyTorch's definition.  Each dim becomes positions
 * and taps, and the taps of all are reduced at once, the last dim fastest; so the gradient of a maximum goes to the
 * first.  Windows that stand side by side are a reshape; others are the view `window`. */
#include "window.h"

typedef struct { Lower *l; const Expr *e; Array x; uint32_t n; Window1 window[MAX_WINDOWS]; Dim to[MAX_WINDOWS]; } Pool;

enum { ARG_X, ARG_K, ARG_STRIDE, ARG_PAD, ARG_DILATION, ARG_CEIL, ARG_COUNT_PAD };

static bool flag(Lower *l, V v, const char *what, bool otherwise, bool *out) {
    *out = otherwise;
    if (v && v->kind != VAL_BOOL) {
        report(l, DIAG_TYPE, v->at, "`%s` is yes or no, this is %.*s", what, FSTR(value_describe(l, v)));
        return false;
    }
    *out = v ? v->boolean : otherwise;
    return true;
}

static bool read_windows(Pool *p, V const *a) {
    Lower *l = p->l;
    int64_t taps[MAX_RANK];
    bool up;
    p->n = a[ARG_K]->kind == VAL_LIST ? a[ARG_K]->list.n : p->x.rank - 2u;
    if (p->n < 1 || p->n > MAX_WINDOWS || p->n + 2 > p->x.rank) {
        report(l, DIAG_SHAPE, p->e->at, "`%.*s` goes over 1 to %d dims behind rows and channels, x is %.*s",
               FSTR(call_name(p->e).text), MAX_WINDOWS, FSTR(array_describe(l, &p->x)));
        return false;
    }
    if (!window_numbers(l, p->e, a[ARG_K], "a size", p->n, 1, 1, taps) ||
        !window_steps(l, p->e, a[ARG_STRIDE], a[ARG_PAD], a[ARG_DILATION], p->n, p->window) ||
        !flag(l, a[ARG_CEIL], "ceil", false, &up)) {
        return false;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        Window1 *w = &p->window[i];
        w->taps = taps[i];
        w->stride = a[ARG_STRIDE] ? w->stride : w->taps;
        w->up = up;
        if (2 * w->pad > w->dilation * (w->taps - 1) + 1) {
            report(l, DIAG_SHAPE, p->e->at, "`pad` is at most half of the window, this is %lld of %lld",
                   (long long)w->pad, (long long)(w->dilation * (w->taps - 1) + 1));
            return false;
        }
        if (dim_value(p->x.dim[p->x.rank - p->n + i]) > INT32_MAX / 2) {
            report(l, DIAG_SHAPE, p->e->at, "a dim of %lld is too long for windows",
                   (long long)dim_value(p->x.dim[p->x.rank - p->n + i]));
            return false;
        }
        p->to[i] = window_positions(l, p->e, p->x.dim[p->x.rank - p->n + i], w);
        if (p->to[i] == NULL) {
            return false;
        }
    }
    return true;
}

/* ---- one dim as positions and taps ---- */

static Array with_dims(Lower *l, Array x, Val v, uint32_t axis, Dim positions, Dim taps) {
    Dim dim[MAX_RANK];
    for (uint32_t i = 0; i <= x.rank; i++) {
        dim[i] = i < axis ? x.dim[i] : i == axis ? positions : i == axis + 1 ? taps : x.dim[i - 1];
    }
    return array_make(l, v, x.n_lead, x.lead, x.rank + 1u, dim);
}

/* Windows side by side: what they cover, with a border where that is more than the dim, split in two. */
static Array side_by_side(Lower *l, Array x, uint32_t axis, const Window1 *w, Dim positions, double fill) {
    int64_t lo[MAX_RANK] = {0}, hi[MAX_RANK] = {0}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    Dim taps = dim_const(l->a, w->taps), covered = dim_mul(l->a, positions, taps);
    int64_t over = dim_value(covered) - w->pad - dim_value(x.dim[axis]);
    Array wide = x;
    wide.dim[axis] = covered;
    if (over < 0) {
        Array cut = x;
        cut.dim[axis] = dim_sub(l->a, covered, dim_const(l->a, w->pad));
        x = array_make(l, build_slice(&l->b, x.val, lo, step, array_shape(&cut)), x.n_lead, x.lead, x.rank, cut.dim);
    }
    lo[x.n_lead + axis] = w->pad;
    hi[x.n_lead + axis] = over > 0 ? over : 0;
    x = array_make(l, build_pad(&l->b, x.val, lo, hi, fill), x.n_lead, x.lead, x.rank, wide.dim);
    Array to = with_dims(l, x, x.val, axis, positions, taps);
    return with_dims(l, x, build_reshape(&l->b, x.val, array_shape(&to)), axis, positions, taps);
}

static Array windows_of(Lower *l, Array x, uint32_t axis, const Window1 *w, Dim positions, double fill) {
    if (w->stride == w->taps && w->dilation == 1) {
        return side_by_side(l, x, axis, w, positions, fill);
    }
    Val v = build_window(&l->b, x.val, x.n_lead + axis, dim_value(positions), w->taps, w->stride, w->dilation, w->pad,
                         fill);
    return with_dims(l, x, v, axis, positions, dim_const(l->a, w->taps));
}

static Array pooled(Pool *p, ReduceKind k, double fill) {
    Lower *l = p->l;
    Array x = window_packed(l, p->x, p->n, p->n);
    uint32_t front = x.rank - p->n;
    for (uint32_t i = p->n; i-- > 0;) {
        x = windows_of(l, x, front + i, &p->window[i], p->to[i], fill);
    }
    uint8_t axes[MAX_WINDOWS];
    Dim dim[MAX_RANK];
    for (uint32_t i = 0; i < front; i++) {
        dim[i] = x.dim[i];
    }
    for (uint32_t i = 0; i < p->n; i++) {
        axes[i] = (uint8_t)(x.n_lead + front + 2 * i + 1);
        dim[front + i] = p->to[i];
    }
    return array_make(l, build_reduce(&l->b, k, x.val, p->n, axes), x.n_lead, x.lead, front + p->n, dim);
}

static bool pool_begin(Lower *l, const Expr *e, V const *a, Pool *p) {
    *p = (Pool){.l = l, .e = e};
    return window_operand(l, e, a[ARG_X], 3, &p->x) && read_windows(p, a);
}

V pool_max(Lower *l, const Expr *e, V const *a) {
    Pool p;
    if (!pool_begin(l, e, a, &p)) {
        return NULL;
    }
    Array y = pooled(&p, REDUCE_MAX, -__builtin_inf());
    return value_array(l, e->at, window_unpacked(l, y, &p.x, p.n));
}

/* ---- how many elements a mean is of ---- */

static Val whole(Lower *l, int64_t x) { return build_const(&l->b, DT_I32, (double)x); }

/* The first tap at or behind `at` of the window that begins at `from`, from 0 to taps: (at - from + d - 1) idiv d. */
static Val first_tap(Lower *l, const Window1 *w, Val from, int64_t at) {
    Val gap = build_2(&l->b, OP_sub, whole(l, at + w->dilation - 1), from);
    Val t = build_2(&l->b, OP_idiv, gap, whole(l, w->dilation));
    return build_2(&l->b, OP_min, build_2(&l->b, OP_max, t, whole(l, 0)), whole(l, w->taps));
}

/* Taps of each position in lo .. hi-1, at least 1, over the spatial dims of the result. */
static Val taps_inside(Lower *l, Shape s, uint32_t axis, const Window1 *w, int64_t lo, int64_t hi) {
    Val from = build_2(&l->b, OP_mul, build_iota(&l->b, s, axis), whole(l, w->stride));
    from = build_2(&l->b, OP_sub, from, whole(l, w->pad));
    Val n = build_2(&l->b, OP_sub, first_tap(l, w, from, hi), first_tap(l, w, from, lo));
    return build_2(&l->b, OP_max, n, whole(l, 1));
}

/* The number of taps of every window, or a tensor of the result's shape where windows are cut. */
static Val divisor(Pool *p, bool count_pad, const Array *y) {
    Lower *l = p->l;
    Shape s = {.rank = (uint8_t)p->n};
    int64_t all = 1;
    Val cut = {0};
    for (uint32_t i = 0; i < p->n; i++) {
        s.dim[i] = dim_value(p->to[i]);
        all *= p->window[i].taps;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        const Window1 *w = &p->window[i];
        int64_t x = dim_value(p->x.dim[p->x.rank - p->n + i]), border = count_pad ? w->pad : 0;
        int64_t last = w->stride * (s.dim[i] - 1) - w->pad + w->dilation * (w->taps - 1);
        if (w->pad <= border && last < x + border) {
            continue;
        }
        Val n = taps_inside(l, s, i, w, -border, x + border);
        cut = cut.i ? build_2(&l->b, OP_mul, cut, n) : n;
        all /= w->taps;
    }
    if (cut.i == 0) {
        return build_const(&l->b, DT_F32, (double)all);
    }
    Val n = build_cast(&l->b, DT_F32, build_2(&l->b, OP_mul, cut, whole(l, all)));
    uint8_t at[MAX_WINDOWS];
    Shape to = array_shape(y);
    for (uint32_t i = 0; i < p->n; i++) {
        at[i] = (uint8_t)(to.rank - p->n + i);
    }
    return build_broadcast(&l->b, n, to, at);
}

V pool_mean(Lower *l, const Expr *e, V const *a) {
    Pool p;
    bool count_pad;
    if (!pool_begin(l, e, a, &p) || !flag(l, a[ARG_COUNT_PAD], "count_pad", true, &count_pad)) {
        return NULL;
    }
    Array y = pooled(&p, REDUCE_SUM, 0);
    Val mean = build_2(&l->b, OP_div, y.val, divisor(&p, count_pad, &y));
    y = array_make(l, mean, y.n_lead, y.lead, y.rank, y.dim);
    return value_array(l, e->at, window_unpacked(l, y, &p.x, p.n));
}
