/* `scatter_add(x, at, u)` and `scatter_set(x, at, u)`: x with the rows u[j] added at, or put at, its rows at[j].  Rows
 * are what the first dim of x counts; of several puts at one row the last wins.
 *
 * Setting needs no primitive: sorting the positions (a stable order) brings equal ones side by side, the last of each
 * group says where its row of u comes from, and the result gathers from there or stays x.  So its gradient is the
 * gather's, rows that lost get none, and a position outside stops the run as it does in scatter_add. */
#include "scatter.h"
#include "intrinsic.h"

typedef struct { Array x, at, u; int64_t rows, picks; } Scatter;

static bool fits(Lower *l, const Expr *e, const Scatter *s) {
    bool same = s->x.rank > 0 && s->u.rank + 1u == s->at.rank + s->x.rank;
    for (uint32_t i = 0; same && i < s->u.rank; i++) {
        Dim want = i < s->at.rank ? s->at.dim[i] : s->x.dim[i - s->at.rank + 1];
        same = dim_eq(s->u.dim[i], want);
    }
    if (!same) {
        Diag *d = report(l, DIAG_SHAPE, e->at, "`%.*s` of %.*s at %.*s with %.*s", FSTR(call_name(e).text),
                         FSTR(array_describe(l, &s->x)), FSTR(array_describe(l, &s->at)),
                         FSTR(array_describe(l, &s->u)));
        diag_help(d, "a row of u for each position: `x : real[R, ..]`, `at : int[J]`, `u : real[J, ..]`");
    }
    return same;
}

static bool operands(Lower *l, const Expr *e, V const *args, Scatter *s) {
    if (!intrinsic_array(l, e, args[0], &s->x) || !intrinsic_array(l, e, args[1], &s->at) ||
        !intrinsic_array(l, e, args[2], &s->u)) {
        return false;
    }
    if (dtype_elem(s->at.dtype) != ELEM_INT) {
        report(l, DIAG_TYPE, e->at, "positions are ints, these are %.*s", FSTR(array_describe(l, &s->at)));
        return false;
    }
    Elem x = dtype_elem(s->x.dtype), u = dtype_elem(s->u.dtype);
    if (x == ELEM_BOOL || u == ELEM_BOOL) {
        report(l, DIAG_TYPE, e->at, "`%.*s` takes numbers", FSTR(call_name(e).text));
        return false;
    }
    if (!fits(l, e, s)) {
        return false;
    }
    const Index *lead[2 * MAX_RANK];
    uint32_t n = leads_union(lead, leads_union(lead, 0, s->x.lead, s->x.n_lead), s->at.lead, s->at.n_lead);
    n = leads_union(lead, n, s->u.lead, s->u.n_lead);
    uint32_t most = s->u.rank > s->x.rank ? s->u.rank : s->x.rank;
    if (n + most > MAX_RANK) {
        report(l, DIAG_SHAPE, e->at, "more than %d dims and indices", MAX_RANK);
        return false;
    }
    DType t = elem_dtype(x > u ? x : u);
    s->x = array_spread(l, array_cast(l, s->x, t), n, lead);
    s->at = array_spread(l, array_cast(l, s->at, DT_I32), n, lead);
    s->u = array_spread(l, array_cast(l, s->u, t), n, lead);
    s->rows = dim_value(s->x.dim[0]);
    s->picks = 1;
    for (uint32_t i = 0; i < s->at.rank; i++) {
        s->picks *= dim_value(s->at.dim[i]);
    }
    return true;
}

/* i32 [leads, rows]: 1 + the last position in u that goes to each row, 0 where none does. */
static Val winners(Lower *l, const Scatter *s) {
    Build *b = &l->b;
    Shape flat = shape_of(s->at.n_lead, array_shape(&s->at).dim), cut;
    uint32_t last = flat.rank++;
    flat.dim[last] = s->picks;
    int64_t lo[MAX_RANK] = {0}, hi[MAX_RANK] = {0}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    Val at = build_reshape(b, s->at.val, flat), order = build_argsort(b, at);
    Val sorted = build_gather(b, at, order, last);
    lo[last] = hi[last] = 1;
    cut = flat;
    cut.dim[last]--;
    int64_t none[MAX_RANK] = {0};
    Val next = build_pad(b, build_slice(b, sorted, lo, step, cut), none, hi, -1);
    Val more = build_select(b, build_2(b, OP_eq, sorted, next), build_splat(b, DT_I32, 0, flat),
                            build_2(b, OP_add, order, build_const(b, DT_I32, 1)));
    return build_scatter_add(b, more, sorted, last, s->rows);
}

V scatter_set(Lower *l, const Expr *e, V const *args) {
    Scatter s;
    if (!operands(l, e, args, &s)) {
        return NULL;
    }
    if (s.picks == 0) {
        return value_array(l, e->at, s.x);
    }
    Build *b = &l->b;
    Val from = winners(l, &s);
    Shape shape = array_shape(&s.x), rows = shape_of(s.x.n_lead, shape.dim);
    rows.dim[rows.rank++] = s.picks;
    for (uint32_t i = 1; i < s.x.rank; i++) {
        rows.dim[rows.rank++] = dim_value(s.x.dim[i]);
    }
    Val place = build_2(b, OP_max, build_2(b, OP_sub, from, build_const(b, DT_I32, 1)), build_const(b, DT_I32, 0));
    Val put = build_gather(b, build_reshape(b, s.u.val, rows), place, s.x.n_lead);
    uint8_t at[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    Val any = build_broadcast(b, build_2(b, OP_lt, build_const(b, DT_I32, 0), from), shape, at);
    Val r = build_select(b, any, put, s.x.val);
    return value_array(l, e->at, array_make(l, r, s.x.n_lead, s.x.lead, s.x.rank, s.x.dim));
}

V scatter_add(Lower *l, const Expr *e, V const *args) {
    Scatter s;
    if (!operands(l, e, args, &s)) {
        return NULL;
    }
    Val more = build_scatter_add(&l->b, s.u.val, s.at.val, s.x.n_lead, s.rows);
    Val sum = build_2(&l->b, OP_add, s.x.val, more);
    return value_array(l, e->at, array_make(l, sum, s.x.n_lead, s.x.lead, s.x.rank, s.x.dim));
}
