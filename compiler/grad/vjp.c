/* Vector-Jacobian products of views, reductions, chains and contractions.  Views are undone; a reduction's cotangent is
 * broadcast (to the first extremum, for max and min); a contraction's is the contraction with A, B and C permuted.
 * Elementwise primitives have their rules in grads.def. */
#include "vjp.h"
#include "rule.h"
#include <math.h>

static bool is_float(const Graph *g, Val v) { return dtype_is_float(type_of(g, v).dtype); }

/* Operand axes of a broadcast are repeated along the others: their cotangent is the sum over those. */
static Val vjp_broadcast(Build *b, const Node *n, Val g) {
    bool kept[MAX_RANK] = {false};
    uint8_t axes[MAX_RANK], count = 0;
    for (uint32_t i = 0; i < n->attr.axes.n; i++) kept[n->attr.axes.at[i]] = true;
    for (uint32_t i = 0; i < n->shape.rank; i++)
        if (!kept[i]) axes[count++] = (uint8_t)i;
    return build_reduce(b, REDUCE_SUM, g, count, axes);
}

static Val vjp_permute(Build *b, const Node *n, Val g) {
    uint8_t back[MAX_RANK];
    for (uint32_t i = 0; i < n->shape.rank; i++) back[n->attr.axes.at[i]] = (uint8_t)i;
    return build_permute(b, g, back);
}

/* x[.., n, ..] -> [.., (n-1)*step + 1, ..] with zeros between the elements: as [n,1] padded to [n,step], merged,
 * cut. */
static Val spread(Build *b, Val x, uint32_t axis, int64_t step) {
    Shape s = type_of(b->g, x).shape;
    if (s.dim[axis] == 0) return x;
    Shape split = s;                            /* the axes around this one lie as one each: there is room for [n,1] */
    split.rank = 4;
    split.dim[0] = split.dim[3] = split.dim[2] = 1;
    for (uint32_t i = 0; i < s.rank; i++)
        if (i != axis) split.dim[i < axis ? 0 : 3] *= s.dim[i];
    split.dim[1] = s.dim[axis];
    int64_t none[MAX_RANK] = {0}, after[MAX_RANK] = {0}, one[MAX_RANK];
    after[2] = step - 1;
    Val wide = build_pad(b, build_reshape(b, x, split), none, after, 0);
    Shape merged = s, cut = s;
    merged.dim[axis] = s.dim[axis] * step;
    cut.dim[axis] = (s.dim[axis] - 1) * step + 1;
    for (uint32_t i = 0; i < MAX_RANK; i++) one[i] = 1;
    return build_slice(b, build_reshape(b, wide, merged), none, one, cut);
}

/* Each element goes back to where it was cut from, zeros elsewhere. */
static Val vjp_slice(Build *b, const Node *n, Shape from, Val g) {
    int64_t lo[MAX_RANK] = {0}, hi[MAX_RANK] = {0};
    for (uint32_t i = 0; i < n->shape.rank; i++) {
        int64_t count = n->shape.dim[i], step = n->attr.slice.step[i], first = n->attr.slice.lo[i];
        if (step < 0) {                         /* turn round, then it is a slice with a positive step */
            int64_t at[MAX_RANK] = {0}, by[MAX_RANK];
            for (uint32_t j = 0; j < MAX_RANK; j++) by[j] = 1;
            at[i] = count - 1;
            by[i] = -1;
            if (count > 0) g = build_slice(b, g, at, by, type_of(b->g, g).shape);
            first += (count - 1) * step;
            step = -step;
        }
        if (step > 1) g = spread(b, g, i, step);
        lo[i] = count > 0 ? first : 0;
        hi[i] = from.dim[i] - lo[i] - type_of(b->g, g).shape.dim[i];
    }
    return build_pad(b, g, lo, hi, 0);
}

static Val vjp_pad(Build *b, const Node *n, Shape from, Val g) {
    int64_t step[MAX_RANK];
    for (uint32_t i = 0; i < MAX_RANK; i++) step[i] = 1;
    return build_slice(b, g, n->attr.pad.lo, step, from);
}

/* dx[x] is the sum over taps of g[(x + pad - dilation*t) / stride, t] where that is a position: of g with zeros between
 * the positions, a window of the axes [O', T] as one, in which o' and t move together: T*(x + pad - dilation*t) + t. */
static Val vjp_window(Build *b, const Node *n, Shape from, Val g, bool *missing) {
    uint32_t axis = n->attr.window.axis;
    int64_t taps = n->shape.dim[axis + 1], dilation = n->attr.window.dilation;
    if (shape_count(n->shape) == 0) return build_splat(b, type_of(b->g, g).dtype, 0, from);
    double reach = fabs((double)dilation * (double)taps) + fabs((double)n->attr.window.pad) + (double)from.dim[axis] +
                   (double)n->attr.window.stride * (double)n->shape.dim[axis];
    if (reach * (double)taps > INT32_MAX) {       /* no window has such positions, docs/ops.md */
        *missing = true;
        return (Val){0};
    }
    if (n->attr.window.stride > 1) g = spread(b, g, axis, n->attr.window.stride);
    Shape s = type_of(b->g, g).shape, flat = from;
    flat.dim[axis] = s.dim[axis] * taps;
    Val turned = build_window(b, build_reshape(b, g, flat), axis, from.dim[axis], taps, taps, 1 - dilation * taps,
                              -n->attr.window.pad * taps, 0);
    return build_reduce(b, REDUCE_SUM, turned, 1, (uint8_t[]){(uint8_t)(axis + 1)});
}

static Val vjp_concat(Build *b, Val v, uint32_t k, Val g) {
    const Node *n = node_of(b->g, v);
    int64_t lo[MAX_RANK] = {0}, step[MAX_RANK];
    for (uint32_t i = 0; i < MAX_RANK; i++) step[i] = 1;
    for (uint32_t i = 0; i < k; i++) lo[n->attr.axis] += type_of(b->g, operand(b->g, v, i)).shape.dim[n->attr.axis];
    return build_slice(b, g, lo, step, type_of(b->g, operand(b->g, v, k)).shape);
}

static Val vjp_extremum(Build *b, Val v, Val g) {
    const Node n = *node_of(b->g, v);
    Val x = operand(b->g, v, 0);
    Shape s = type_of(b->g, x).shape;
    ReduceKind where = n.attr.reduce.kind == REDUCE_MAX ? REDUCE_ARGMAX : REDUCE_ARGMIN;
    Val first = build_reduce(b, where, x, n.attr.reduce.n, n.attr.reduce.at);
    Val here = build_2(b, OP_eq, build_row_position(b, &n.attr, s), build_unreduce(b, first, &n.attr, s));
    Val cotangent = build_unreduce(b, g, &n.attr, s);
    return build_select(b, here, cotangent, build_splat(b, type_of(b->g, g).dtype, 0, s));
}

static int64_t row_length(const Node *n, Shape s) {
    int64_t length = 1;
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) length *= s.dim[n->attr.reduce.at[i]];
    return length;
}

enum { PRODUCT_LONGEST = 4096 };              /* of a row whose gradient takes its square */

/* An element's factor is the product of the others, without a division: right beside zeros, in every order of gradient.
 * Rows lie as [m, n]; element i of a copy [m, n, n] of them is made 1 where i is the element itself. */
static Val vjp_product(Build *b, Val v, Val g) {
    const Node n = *node_of(b->g, v);
    Val x = operand(b->g, v, 0);
    Type t = type_of(b->g, x);
    uint8_t at[MAX_RANK], back[MAX_RANK], rank = 0;
    int64_t length = row_length(&n, t.shape);
    bool reduced[MAX_RANK] = {false};
    for (uint32_t i = 0; i < n.attr.reduce.n; i++) reduced[n.attr.reduce.at[i]] = true;
    for (uint8_t i = 0; i < t.shape.rank; i++)
        if (!reduced[i]) at[rank++] = i;
    for (uint32_t i = 0; i < n.attr.reduce.n; i++) at[rank++] = n.attr.reduce.at[i];
    for (uint8_t i = 0; i < rank; i++) back[at[i]] = i;
    int64_t rows = length ? shape_count(t.shape) / length : 0;
    Shape flat = shape_of(2, (int64_t[]){rows, length}), wide = shape_of(3, (int64_t[]){rows, length, length});
    Val turned = build_permute(b, x, at);
    Val copies = build_broadcast(b, build_reshape(b, turned, flat), wide, (uint8_t[]){0, 2});
    Val itself = build_2(b, OP_eq, build_iota(b, wide, 1), build_iota(b, wide, 2));
    Val others = build_select(b, itself, build_splat(b, t.dtype, 1, wide), copies);
    Val product = build_reduce(b, REDUCE_PROD, others, 1, (uint8_t[]){2});
    Val in_place = build_permute(b, build_reshape(b, product, type_of(b->g, turned).shape), back);
    return build_2(b, OP_mulz, build_unreduce(b, g, &n.attr, t.shape), in_place);
}

static Val vjp_reduce(Build *b, Val v, Val g, bool *missing) {
    const Node n = *node_of(b->g, v);
    Shape s = type_of(b->g, operand(b->g, v, 0)).shape;
    switch (n.attr.reduce.kind) {
    case REDUCE_SUM: return build_unreduce(b, g, &n.attr, s);
    case REDUCE_MAX:
    case REDUCE_MIN: return vjp_extremum(b, v, g);
    case REDUCE_ANY:
    case REDUCE_ALL:
    case REDUCE_ARGMAX:
    case REDUCE_ARGMIN: return (Val){0};
    case REDUCE_PROD:
        if (row_length(&n, s) > PRODUCT_LONGEST) break;
        return vjp_product(b, v, g);
    case REDUCE_MOMENTS:
    case REDUCE_COUNT: break;
    }
    *missing = true;
    return (Val){0};
}

void vjp_moments(Build *b, Val v, const Val g[2], Val *out) {
    const Node n = *node_of(b->g, v);
    Val x = operand(b->g, v, 0);
    Type t = type_of(b->g, x);
    double count = 1;
    for (uint32_t i = 0; i < n.attr.reduce.n; i++) count *= (double)t.shape.dim[n.attr.reduce.at[i]];
    Val sum = {0};
    if (g[0].i) sum = build_unreduce(b, build_2(b, OP_mul, g[0], build_const(b, t.dtype, 1 / count)), &n.attr, t.shape);
    if (g[1].i) {
        Val centred = build_2(b, OP_sub, x, build_unreduce(b, build_result(b, v, 0), &n.attr, t.shape));
        Val twice = build_2(b, OP_mul, centred, build_const(b, t.dtype, 2));
        Val term = build_2(b, OP_mulz, build_unreduce(b, g[1], &n.attr, t.shape), twice);
        sum = sum.i ? build_2(b, OP_add, sum, term) : term;
    }
    out[0] = sum;
}

/* ---- along the last axis ---- */
static Val reversed(Build *b, Val x) {
    Shape s = type_of(b->g, x).shape;
    int64_t lo[MAX_RANK] = {0}, step[MAX_RANK];
    for (uint32_t i = 0; i < MAX_RANK; i++) step[i] = 1;
    if (s.dim[s.rank - 1] == 0) return x;
    lo[s.rank - 1] = s.dim[s.rank - 1] - 1;
    step[s.rank - 1] = -1;
    return build_slice(b, x, lo, step, s);
}

/* y[k] = x[k - by], with `fill` where nothing comes from (by: 1 or -1). */
static Val shifted(Build *b, Val x, int by, double fill) {
    Shape s = type_of(b->g, x).shape, cut = s;
    uint32_t last = s.rank - 1u;
    if (s.dim[last] == 0) return x;
    int64_t lo[MAX_RANK] = {0}, step[MAX_RANK], before[MAX_RANK] = {0}, after[MAX_RANK] = {0};
    for (uint32_t i = 0; i < MAX_RANK; i++) step[i] = 1;
    lo[last] = by < 0;
    cut.dim[last]--;
    before[last] = by > 0;
    after[last] = by < 0;
    return build_pad(b, build_slice(b, x, lo, step, cut), before, after, fill);
}

/* s[k] = g[k] + a[k+1] * s[k+1]: what reaches y[k] of y[k] = a[k] * y[k-1] + .. from itself and all behind it. */
static Val recur_back(Build *b, Val a, Val g) {
    return reversed(b, build_recur(b, reversed(b, shifted(b, a, -1, 0)), reversed(b, g)));
}

static Val vjp_recur(Build *b, Val v, uint32_t k, Val g) {
    Val back = recur_back(b, operand(b->g, v, 0), g);
    return k == 1 ? back : build_2(b, OP_mulz, back, shifted(b, v, 1, 0));
}

/* To the first element that has the extremum: where y differs from the one before it, the position begins anew. */
static Val vjp_running_extremum(Build *b, Val v, Val g) {
    Shape s = type_of(b->g, v).shape;
    Val before = shifted(b, v, 1, 0), position = build_iota(b, s, s.rank - 1u);
    Val was_nan = build_1(b, OP_isnan, before), both = build_2(b, OP_and, was_nan, build_1(b, OP_isnan, v));
    Val same = build_2(b, OP_or, build_2(b, OP_eq, before, v), both);
    Val start = build_select(b, same, build_splat(b, DT_I32, 0, s), position);
    Val first = build_cumulative(b, REDUCE_MAX, start);
    return build_scatter_add(b, g, first, s.rank - 1u, s.dim[s.rank - 1]);
}

static Val vjp_cumulative(Build *b, Val v, Val g) {
    Val x = operand(b->g, v, 0);
    switch ((int)node_of(b->g, v)->attr.cumulative) {
    case REDUCE_SUM: return reversed(b, build_cumulative(b, REDUCE_SUM, reversed(b, g)));
    case REDUCE_PROD: return build_2(b, OP_mulz, recur_back(b, x, g), shifted(b, v, 1, 1));
    }
    return vjp_running_extremum(b, v, g);
}

/* ---- contraction.  operand k of (A, B, C) becomes the result; the cotangent takes C's place. ---- */
static bool has_dim(const Contract *c, uint32_t operand, uint8_t dim) {
    for (uint32_t i = 0; i < c->rank[operand]; i++)
        if (c->dim[operand][i] == dim) return true;
    return false;
}

static void set_operand(Contract *to, uint32_t slot, const Contract *from, uint32_t operand) {
    to->rank[slot] = from->rank[operand];
    for (uint32_t i = 0; i < MAX_RANK; i++) to->dim[slot][i] = from->dim[operand][i];
}

static bool is_window_dim(const Contract *c, uint8_t dim) {
    for (uint32_t w = 0; w < c->n_windows; w++)
        if (c->window[w].x == dim || c->window[w].o == dim || c->window[w].t == dim) return true;
    return false;
}

static void add_over(Contract *c, uint8_t dim) {
    for (uint32_t i = 0; i < c->n_over; i++)
        if (c->over[i] == dim) return;
    c->over[c->n_over++] = dim;
}

/* What is summed over, in order (semantics 3): of each window the taps, or the positions when the result holds the
 * taps (the third role follows from the other two); then plain dims as they stand in the operands. */
static void set_over(Contract *c) {
    for (uint32_t w = 0; w < c->n_windows; w++) {
        const Window *win = &c->window[w];
        add_over(c, has_dim(c, 2, win->t) ? win->o : win->t);
    }
    for (uint32_t slot = 0; slot < 2; slot++)
        for (uint32_t i = 0; i < c->rank[slot]; i++) {
            uint8_t dim = c->dim[slot][i];
            if (!is_window_dim(c, dim) && !has_dim(c, 2, dim)) add_over(c, dim);
        }
}

static Val vjp_contract(Build *b, Val v, uint32_t k, Val g) {
    const Contract *from = node_of(b->g, v)->attr.contract;
    Contract *c = contract_new(b->g->arena);
    *c = *from;
    c->n_over = 0;
    Val other = operand(b->g, v, 1 - k);
    /* the operand that shares the result's first plain dim comes first, so that rows of the result are rows of A */
    bool cotangent_first = has_dim(from, 2, from->dim[k][0]);
    set_operand(c, cotangent_first ? 0 : 1, from, 2);
    set_operand(c, cotangent_first ? 1 : 0, from, 1 - k);
    set_operand(c, 2, from, k);
    set_over(c);
    return cotangent_first ? build_contract(b, g, other, c) : build_contract(b, other, g, c);
}

Val vjp_operand(Build *b, Val v, uint32_t k, Val g, bool *missing) {
    const Node n = *node_of(b->g, v);
    Val x = operand(b->g, v, k);
    if (!is_float(b->g, x)) return (Val){0};
    Shape s = type_of(b->g, x).shape;
    switch ((Op)n.op) {
    case OP_cast: return is_float(b->g, v) ? build_cast(b, type_of(b->g, x).dtype, g) : (Val){0};
    case OP_broadcast: return vjp_broadcast(b, &n, g);
    case OP_reshape: return build_reshape(b, g, s);
    case OP_permute: return vjp_permute(b, &n, g);
    case OP_slice: return vjp_slice(b, &n, s, g);
    case OP_pad: return vjp_pad(b, &n, s, g);
    case OP_window: return vjp_window(b, &n, s, g, missing);
    case OP_concat: return vjp_concat(b, v, k, g);
    case OP_gather: return build_scatter_add(b, g, operand(b->g, v, 1), n.attr.gather.batch, n.attr.gather.extent);
    case OP_scatter_add: return build_gather(b, g, operand(b->g, v, 1), n.attr.gather.batch);
    case OP_reduce: return vjp_reduce(b, v, g, missing);
    case OP_contract: return vjp_contract(b, v, k, g);
    case OP_after: return k == 0 ? g : (Val){0};
    case OP_cumulative: return vjp_cumulative(b, v, g);
    case OP_recur: return vjp_recur(b, v, k, g);
    case OP_argsort: return (Val){0};
    case OP_grad_as: return operand(b->g, v, n.n - 1).i == x.i && k == 1 ? g : (Val){0};
    case OP_arg:
    case OP_const:
    case OP_iota:
    case OP_random:
    case OP_result:
    case OP_check:
    case OP_commit: return (Val){0};
    case OP_scan: case OP_extern: case OP_grad: case OP_COUNT: break;
    CASE_ELEMENTWISE: return rule_build(b, v, k, g);
    }
    *missing = true;
    return (Val){0};
}
