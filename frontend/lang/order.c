/* Functions along one dim, the last unless `dim` says which: running sums and their like, linear recurrences, sorting;
 * and the two draws made of them.  The primitives work on the last axis, so another dim is brought there and back. */
#include "intrinsic.h"

static Array of_val(Lower *l, Val v, const Array *like) {
    return array_make(l, v, like->n_lead, like->lead, like->rank, like->dim);
}

/* Brings dim k behind the others, or from there back to k. */
static Array moved(Lower *l, Array x, uint32_t k, bool back) {
    uint8_t at[MAX_RANK];
    uint32_t axis = x.n_lead + k, last = x.n_lead + x.rank - 1u;
    for (uint32_t i = 0; i <= last; i++) {
        at[i] = (uint8_t)(i < axis ? i : back ? (i == axis ? last : i - 1) : (i == last ? axis : i + 1));
    }
    return array_permute(l, x, at);
}

/* The operand as a number of a kind the primitives take, its dim behind the others. */
static bool operand_along(Lower *l, const Expr *e, V v, V dim, bool bools, Array *x, uint32_t *k) {
    if (!intrinsic_array(l, e, v, x)) {
        return false;
    }
    if (x->rank == 0) {
        report(l, DIAG_SHAPE, e->at, "`%.*s` of one number", FSTR(call_name(e).text));
        return false;
    }
    if (x->dtype == DT_BOOL && !bools) {
        Diag *d = report(l, DIAG_TYPE, e->at, "`%.*s` of %.*s", FSTR(call_name(e).text), FSTR(array_describe(l, x)));
        diag_help(d, "as numbers: `int(..)`");
        return false;
    }
    if (!intrinsic_dim(l, e, dim, x->rank, -1, k)) {
        return false;
    }
    *x = array_cast(l, *x, x->dtype == DT_BOOL ? DT_I32 : elem_dtype(dtype_elem(x->dtype)));
    *x = moved(l, *x, *k, false);
    return true;
}

/* ---- running sums and their like ---- */
static V cumulative(Lower *l, const Expr *e, const Args *a, ReduceKind kind) {
    Array x;
    uint32_t k;
    if (!operand_along(l, e, a->at[0], a->at[1], kind == REDUCE_SUM, &x, &k)) {
        return NULL;
    }
    return value_array(l, e->at, moved(l, of_val(l, build_cumulative(&l->b, kind, x.val), &x), k, true));
}

V order_cumsum(Lower *l, const Expr *e, const Args *a) { return cumulative(l, e, a, REDUCE_SUM); }
V order_cumprod(Lower *l, const Expr *e, const Args *a) { return cumulative(l, e, a, REDUCE_PROD); }
V order_cummax(Lower *l, const Expr *e, const Args *a) { return cumulative(l, e, a, REDUCE_MAX); }
V order_cummin(Lower *l, const Expr *e, const Args *a) { return cumulative(l, e, a, REDUCE_MIN); }

/* y[0] = b[0], y[k] = a[k] * y[k-1] + b[k]: discounted sums, moving averages. */
V order_recur(Lower *l, const Expr *e, const Args *a) {
    Array x[2];
    const Span at[2] = {e->at, e->at};
    uint32_t k;
    if (!intrinsic_array(l, e, a->at[0], &x[0]) || !intrinsic_array(l, e, a->at[1], &x[1])) {
        return NULL;
    }
    x[0] = array_cast(l, x[0], DT_F32);
    x[1] = array_cast(l, x[1], DT_F32);
    if (!whole_align(l, e->at, 2, x, at)) {
        return NULL;
    }
    if (x[0].rank == 0) {
        report(l, DIAG_SHAPE, e->at, "`recur` of one number");
        return NULL;
    }
    if (!intrinsic_dim(l, e, a->at[2], x[0].rank, -1, &k)) {
        return NULL;
    }
    Array factor = moved(l, x[0], k, false), term = moved(l, x[1], k, false);
    return value_array(l, e->at, moved(l, of_val(l, build_recur(&l->b, factor.val, term.val), &term), k, true));
}

/* ---- sorting ---- */
/* Keys that sort the other way, equal ones still as they stand; -1 - x does not overflow as -x does. */
static Val falling(Lower *l, Val x, DType t) {
    return t == DT_I32 ? build_2(&l->b, OP_sub, build_const(&l->b, t, -1), x) : build_1(&l->b, OP_neg, x);
}

/* The operand and where its elements go, both with the dim behind the others. */
static bool sorted(Lower *l, const Expr *e, const Args *a, Array *x, Array *places, uint32_t *k) {
    bool down = false;
    if (a->at[2]) {
        if (a->at[2]->kind != VAL_BOOL) {
            report(l, DIAG_TYPE, e->at, "`descending` is yes or no, this is %.*s", FSTR(value_describe(l, a->at[2])));
            return false;
        }
        down = a->at[2]->boolean;
    }
    if (!operand_along(l, e, a->at[0], a->at[1], true, x, k)) {
        return false;
    }
    Val keys = down ? falling(l, x->val, x->dtype) : x->val;
    *places = of_val(l, build_argsort(&l->b, keys), x);
    return true;
}

V order_argsort(Lower *l, const Expr *e, const Args *a) {
    Array x, places;
    uint32_t k;
    return sorted(l, e, a, &x, &places, &k) ? value_array(l, e->at, moved(l, places, k, true)) : NULL;
}

V order_sort(Lower *l, const Expr *e, const Args *a) {
    Array x, places;
    uint32_t k;
    if (!sorted(l, e, a, &x, &places, &k)) {
        return NULL;
    }
    bool none = dim_value(x.dim[x.rank - 1u]) == 0;
    Val v = none ? x.val : build_gather(&l->b, x.val, places.val, x.n_lead + x.rank - 1u);
    return value_array(l, e->at, moved(l, of_val(l, v, &x), k, true));
}

/* ---- draws ---- */
/* The numbers 0 .. n-1 in random order: the order of n random words, equal ones (one pair in 2^32) as they stand. */
V order_permutation(Lower *l, const Expr *e, const Args *a) {
    V n = a->at[0];
    if (n->kind != VAL_DIM || n->d.real) {
        report(l, DIAG_TYPE, e->at, "`permutation` takes an extent, this is %.*s", FSTR(value_describe(l, n)));
        return NULL;
    }
    Array t = {.graph = l->b.g};
    if (l->draw_like == NULL && !random_type(l, e, NULL, &t)) {
        return NULL;
    }
    t.dtype = DT_I32;
    t.rank = 1;
    t.dim[0] = n->d.dim;
    if (!shape_fits(l, e->at, t.n_lead, t.lead, t.rank, t.dim)) {
        return NULL;
    }
    Array words = random_of_type(l, e, STR("permutation"), RANDOM_WORD, &t);
    return value_array(l, e->at, of_val(l, build_argsort(&l->b, words.val), &words));
}

/* The first class whose running sum of weights exceeds u times their total: never one of weight 0. */
static Val first_above(Lower *l, const Array *p, Val u) {
    Shape s = array_shape(p), part = s;
    uint32_t last = s.rank - 1u;
    uint8_t at[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7}, axis = (uint8_t)last;
    int64_t lo[MAX_RANK] = {0}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    Val running = build_cumulative(&l->b, REDUCE_SUM, p->val);
    lo[last] = s.dim[last] - 1;
    part.dim[last] = 1;
    Val total = build_reshape(&l->b, build_slice(&l->b, running, lo, step, part), shape_of(last, s.dim));
    Val mark = build_broadcast(&l->b, build_2(&l->b, OP_mul, u, total), s, at);
    Val passed = build_cast(&l->b, DT_I32, build_2(&l->b, OP_le, running, mark));
    Val k = build_reduce(&l->b, REDUCE_SUM, passed, 1, &axis);
    return build_2(&l->b, OP_min, k, build_const(&l->b, DT_I32, (double)s.dim[last] - 1));
}

V order_categorical(Lower *l, const Expr *e, const Args *a) {
    Array p, t = {.graph = l->b.g, .dtype = DT_F32};
    if (!intrinsic_array(l, e, a->at[0], &p)) {
        return NULL;
    }
    if (p.rank == 0 || dtype_elem(p.dtype) != ELEM_REAL || dim_value(p.dim[p.rank - 1]) == 0) {
        report(l, DIAG_TYPE, e->at, "`categorical` takes a weight for each class in the last dim, this is %.*s",
               FSTR(array_describe(l, &p)));
        return NULL;
    }
    if (l->draw_like == NULL && !random_type(l, e, NULL, &t)) {
        return NULL;
    }
    p = array_cast(l, p, DT_F32);
    const Index *lead[2 * MAX_RANK];
    uint32_t n = leads_union(lead, leads_union(lead, 0, p.lead, p.n_lead), t.lead, t.n_lead);
    if (!shape_fits(l, e->at, n, lead, p.rank, p.dim)) {
        return NULL;
    }
    p = array_spread(l, p, n, lead);
    t = p;
    t.rank--;
    Array u = random_of_type(l, e, STR("categorical"), RANDOM_UNIFORM, &t);
    return value_array(l, e->at, of_val(l, first_above(l, &p, u.val), &u));
}
