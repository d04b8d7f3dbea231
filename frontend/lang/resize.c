/* `resize(x, sizes, nearest | linear)` and `upsample(x, k)` of [N, channels, ..], a dim after the other.  Element o of
 * O lies at (o + 1/2) X / O - 1/2 of X (corners are not aligned); nearest takes floor(o X / O).  Positions are whole
 * numbers, so none is rounded.  Forward gathers; the gradient gathers too, from the few elements that took from x,
 * which a surrogate says: scattering x to them is the same map, and the gradient of a scatter is a gather. */
#include "window.h"

typedef struct { Lower *l; int64_t from, to; } Ratio;      /* X and O */

static Val whole(const Ratio *r, int64_t x) { return build_const(&r->l->b, DT_I32, (double)x); }
static Val two(const Ratio *r, Op op, Val x, Val y) { return build_2(&r->l->b, op, x, y); }
static Val times(const Ratio *r, Val x, int64_t by) { return two(r, OP_mul, x, whole(r, by)); }
static Val plus(const Ratio *r, Val x, int64_t more) { return two(r, OP_add, x, whole(r, more)); }
static Val div(const Ratio *r, Val x, int64_t by) { return two(r, OP_idiv, x, whole(r, by)); }

/* ---- where an element lies ---- */

/* In halves of 1/O: (2 o + 1) X - O, held between the first and the last element. */
static int64_t place_of(const Ratio *r, int64_t o) {
    int64_t n = (2 * o + 1) * r->from - r->to, most = 2 * r->to * (r->from - 1);
    return n < 0 ? 0 : n > most ? most : n;
}

static Val place(const Ratio *r, Val o) {
    Val n = plus(r, times(r, plus(r, times(r, o, 2), 1), r->from), -r->to);
    return two(r, OP_min, two(r, OP_max, n, whole(r, 0)), whole(r, 2 * r->to * (r->from - 1)));
}

static Val fraction(const Ratio *r, Val n) {
    Build *b = &r->l->b;
    Val rest = build_cast(b, DT_F32, two(r, OP_mod, n, whole(r, 2 * r->to)));
    return build_2(b, OP_div, rest, build_const(b, DT_F32, (double)(2 * r->to)));
}

/* ---- what takes from x: elements first(x) .. first(x) + longest - 1 of the result, some of them ---- */

static int64_t floor_div(int64_t x, int64_t y) { return x / y - (x % y != 0 && x < 0); }

static Val first_nearest(const Ratio *r, Val x) { return div(r, plus(r, times(r, x, r->to), r->from - 1), r->from); }

static int64_t first_linear_of(const Ratio *r, int64_t x) {
    int64_t o = floor_div(2 * r->to * (x - 1) + r->to - r->from, 2 * r->from) + 1;
    return o < 0 ? 0 : o;
}

static Val first_linear(const Ratio *r, Val x) {
    Val o = plus(r, div(r, plus(r, times(r, x, 2 * r->to), -r->to - r->from), 2 * r->from), 1);
    return two(r, OP_max, o, whole(r, 0));
}

static int64_t longest_linear(const Ratio *r) {
    int64_t longest = 1;
    for (int64_t o = 0; o < r->to; o++) {
        int64_t lo = place_of(r, o) / (2 * r->to);
        for (int64_t x = lo; x <= lo + 1 && x < r->from; x++) {
            int64_t n = o - first_linear_of(r, x) + 1;
            longest = n > longest ? n : longest;
        }
    }
    return longest;
}

/* How much x[i] weighs in element o, which is the j-th that may take from it. */
static Val weight(const Ratio *r, bool linear, Val i, Val o) {
    Build *b = &r->l->b;
    Shape s = type_of(b->g, i).shape;
    Val none = build_splat(b, DT_F32, 0, s);
    Val inside = two(r, OP_lt, o, whole(r, r->to));
    if (!linear) {
        Val mine = build_2(b, OP_eq, div(r, times(r, o, r->from), r->to), i);
        return build_select(b, build_2(b, OP_and, inside, mine), build_splat(b, DT_F32, 1, s), none);
    }
    Val n = place(r, o), lo = div(r, n, 2 * r->to), part = fraction(r, n);
    Val rest = build_2(b, OP_sub, build_splat(b, DT_F32, 1, s), part);
    Val w = build_select(b, build_2(b, OP_eq, lo, i), rest,
                         build_select(b, build_2(b, OP_eq, plus(r, lo, 1), i), part, none));
    return build_select(b, inside, w, none);
}

/* The map the other way round, with the dim in front: x to what takes from it.  Only its gradient is ever used. */
static Val scattered(const Ratio *r, bool linear, Val x) {
    Build *b = &r->l->b;
    int64_t longest = linear ? longest_linear(r) : (r->to + r->from - 1) / r->from;
    Shape two_dims = shape_of(2, (int64_t[]){r->from, longest}), s = type_of(b->g, x).shape, wide = s;
    Val i = build_iota(b, two_dims, 0), j = build_iota(b, two_dims, 1);
    Val o = build_2(b, OP_add, linear ? first_linear(r, i) : first_nearest(r, i), j);
    wide.rank++;
    wide.dim[1] = longest;
    uint8_t at[MAX_RANK] = {0};
    for (uint32_t k = 1; k < s.rank; k++) {
        wide.dim[k + 1] = s.dim[k];
        at[k] = (uint8_t)(k + 1);
    }
    Val w = build_broadcast(b, weight(r, linear, i, o), wide, (uint8_t[]){0, 1});
    Val updates = build_2(b, OP_mul, build_broadcast(b, x, wide, at), w);
    return build_scatter_add(b, updates, two(r, OP_min, o, whole(r, r->to - 1)), 0, r->to);
}

static Val gathered(const Ratio *r, bool linear, Val x) {
    Build *b = &r->l->b;
    Val o = build_iota(b, shape_of(1, &r->to), 0);
    if (!linear) {
        return build_gather(b, x, div(r, times(r, o, r->from), r->to), 0);
    }
    Val n = place(r, o), lo = div(r, n, 2 * r->to), hi = two(r, OP_min, plus(r, lo, 1), whole(r, r->from - 1));
    Val left = build_gather(b, x, lo, 0), right = build_gather(b, x, hi, 0);
    Shape s = type_of(b->g, left).shape;
    Val part = build_broadcast(b, fraction(r, n), s, (uint8_t[]){0});
    Val rest = build_2(b, OP_sub, build_splat(b, DT_F32, 1, s), part);
    return build_2(b, OP_add, build_2(b, OP_mul, left, rest), build_2(b, OP_mul, right, part));
}

/* ---- one dim ---- */

/* Each element k times. */
static Array repeated(Lower *l, Array x, uint32_t axis, int64_t k) {
    Shape s = array_shape(&x), wide = s;
    uint8_t at[MAX_RANK];
    wide.rank++;
    for (uint32_t i = 0; i < s.rank; i++) {
        at[i] = (uint8_t)(i <= x.n_lead + axis ? i : i + 1);
        wide.dim[at[i]] = s.dim[i];
    }
    wide.dim[x.n_lead + axis + 1] = k;
    Val v = build_broadcast(&l->b, x.val, wide, at);
    x.dim[axis] = dim_mul(l->a, x.dim[axis], dim_const(l->a, k));
    return array_make(l, build_reshape(&l->b, v, array_shape(&x)), x.n_lead, x.lead, x.rank, x.dim);
}

static Array resized(Lower *l, Array x, uint32_t axis, int64_t from, int64_t to, bool linear) {
    if (from == to) {
        return x;
    }
    if (!linear && to % from == 0) {
        return repeated(l, x, axis, to / from);
    }
    Ratio r = {l, from, to};
    uint8_t front[MAX_RANK], back[MAX_RANK];
    uint32_t n = x.n_lead + x.rank, mine = x.n_lead + axis;
    front[0] = (uint8_t)mine;
    for (uint32_t i = 0, k = 1; i < n; i++) {
        back[i] = i == mine ? 0 : (uint8_t)k;
        if (i != mine) {
            front[k++] = (uint8_t)i;
        }
    }
    Val in = build_permute(&l->b, x.val, front);
    Val y = build_grad_as(&l->b, gathered(&r, linear, in), scattered(&r, linear, in));
    x.dim[axis] = dim_const(l->a, to);
    return array_make(l, build_permute(&l->b, y, back), x.n_lead, x.lead, x.rank, x.dim);
}

static bool spatial(Lower *l, const Expr *e, V v, V sizes, Array *x, uint32_t *n) {
    if (!window_operand(l, e, v, 3, x)) {
        return false;
    }
    *n = sizes->kind == VAL_LIST ? sizes->list.n : x->rank - 2u;
    if (*n < 1 || *n > MAX_WINDOWS || *n + 2 > x->rank) {
        report(l, DIAG_SHAPE, e->at, "`%.*s` goes over 1 to %d dims behind rows and channels, x is %.*s",
               FSTR(call_name(e).text), MAX_WINDOWS, FSTR(array_describe(l, x)));
        return false;
    }
    return true;
}

static V resize_to(Lower *l, const Expr *e, Array x, uint32_t n, const int64_t *to, bool linear) {
    Array y = window_packed(l, x, n, 1);
    Dim dim[MAX_RANK];
    for (uint32_t i = 0; i < n; i++) {
        int64_t from;
        if (!dim_known(x.dim[x.rank - n + i], &from) || from < 1 || 4 * (from + 1) * (to[i] + 1) > INT32_MAX) {
            report(l, DIAG_SHAPE, e->at, "a dim of %lld cannot be made one of %lld: both are known before the run, the "
                   "first is not 0, and their product stays below 2^29", (long long)dim_value(x.dim[x.rank - n + i]),
                   (long long)to[i]);
            return NULL;
        }
        dim[i] = dim_const(l->a, to[i]);
    }
    Array fits = x;
    for (uint32_t i = 0; i < n; i++) {
        fits.dim[x.rank - n + i] = dim[i];
    }
    if (!shape_fits(l, e->at, fits.n_lead, fits.lead, fits.rank, fits.dim)) {
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        y = resized(l, y, y.rank - n + i, dim_value(y.dim[y.rank - n + i]), to[i], linear);
    }
    return value_array(l, e->at, window_unpacked(l, y, &x, n));
}

V resize_call(Lower *l, const Expr *e, V const *a) {
    Array x;
    uint32_t n;
    int64_t to[MAX_RANK];
    bool linear = a[2] && a[2]->kind == VAL_CHOICE && str_is(a[2]->text, "linear");
    if (a[2] && a[2]->kind != VAL_CHOICE) {
        report(l, DIAG_TYPE, a[2]->at, "the mode is `nearest` or `linear`, this is %.*s",
               FSTR(value_describe(l, a[2])));
        return NULL;
    }
    return spatial(l, e, a[0], a[1], &x, &n) && window_numbers(l, e, a[1], "a size", n, 1, 1, to)
               ? resize_to(l, e, x, n, to, linear)
               : NULL;
}

V resize_upsample(Lower *l, const Expr *e, V const *a) {
    Array x;
    uint32_t n;
    int64_t k[MAX_RANK];
    if (!spatial(l, e, a[0], a[1], &x, &n) || !window_numbers(l, e, a[1], "a factor", n, 1, 1, k)) {
        return NULL;
    }
    Array y = window_packed(l, x, n, 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t axis = y.rank - n + i;
        Array fits = y;
        fits.dim[axis] = dim_mul(l->a, y.dim[axis], dim_const(l->a, k[i]));
        if (!shape_fits(l, e->at, fits.n_lead, fits.lead, fits.rank, fits.dim)) {
            return NULL;
        }
        y = k[i] > 1 ? repeated(l, y, axis, k[i]) : y;
    }
    return value_array(l, e->at, window_unpacked(l, y, &x, n));
}
