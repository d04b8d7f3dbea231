/* Builders: one an op.  Each works out the result's type from its operands and attributes and asks for the
 * node; a call that would change nothing (a reshape to the same shape, an identity permutation) gives its
 * operand back.  Every new node passes the verifier's check of one node, so a wrong call stops where it is
 * made and not three passes later. */
#include "ir_parts.h"
#include <string.h>

Val build_node(Build *b, Op op, DType dtype, Shape shape, const Attr *attr, uint32_t n, const Val *in) {
    Node node = {.op = (uint8_t)op, .dtype = (uint8_t)dtype, .shape = shape, .n = n, .span = b->at, .name = b->name};
    if (attr != NULL) {
        node.attr = *attr;
    }
    Graph *g = b->g;
    uint32_t before = g->nodes.n;
    Val v = graph_append(g, node, n, in, true);
    if (g->nodes.n > before) {
        ArenaMark mark = arena_mark(g->arena);
        Buf why = buf_make(g->arena);
        if (!node_check(g, node_of(g, v), &why)) {
            GR_BUG("built a node that cannot be: %s", why.s);
        }
        arena_pop(mark);
    }
    return v;
}

static DType dtype_of(const Build *b, Val v) { return (DType)node_of(b->g, v)->dtype; }
static Shape shape_at(const Build *b, Val v) { return node_of(b->g, v)->shape; }

/* ---- leaves ---- */
Val build_arg(Build *b, ArgKind k, uint32_t id, Type t) {
    Attr attr = {.arg = {k, id}};
    return build_node(b, OP_arg, t.dtype, t.shape, &attr, 0, NULL);
}

Val build_const(Build *b, DType t, double x) {
    Attr attr = {.constant = imm_of_real(t, x)};
    return build_node(b, OP_const, t, (Shape){0}, &attr, 0, NULL);
}

Val build_splat(Build *b, DType t, double x, Shape s) { return build_broadcast(b, build_const(b, t, x), s, NULL); }

Val build_iota(Build *b, Shape s, uint32_t axis) {
    Attr attr = {.axis = (uint8_t)axis};
    return build_node(b, OP_iota, DT_I32, s, &attr, 0, NULL);
}

Val build_random(Build *b, RandomKind k, uint32_t stream, Shape s, Val seed, Val clock, Val phase, Val iteration) {
    Attr attr = {.random = {k, stream}};
    const Val in[] = {seed, clock, phase, iteration};
    return build_node(b, OP_random, k == RANDOM_WORD ? DT_I32 : DT_F32, s, &attr, 4, in);
}

/* ---- elementwise ---- */
Val build_elt(Build *b, Op op, uint32_t n, const Val *in) {
    GR_ASSERT(op_class(op) == CLASS_ELT && op != OP_cast && (int)n == op_operands(op));
    bool truth = op == OP_lt || op == OP_le || op == OP_eq || op == OP_isnan;
    DType t = truth ? DT_BOOL : dtype_of(b, in[op == OP_select ? 1 : 0]);
    return build_node(b, op, t, shape_at(b, in[0]), NULL, n, in);
}

Val build_1(Build *b, Op op, Val x) { return build_elt(b, op, 1, &x); }

Val build_2(Build *b, Op op, Val x, Val y) {
    Shape sx = shape_at(b, x), sy = shape_at(b, y);
    if (sx.rank == 0 && sy.rank != 0) {
        x = build_broadcast(b, x, sy, NULL);
    } else if (sy.rank == 0 && sx.rank != 0) {
        y = build_broadcast(b, y, sx, NULL);
    }
    const Val in[] = {x, y};
    return build_elt(b, op, 2, in);
}

Val build_select(Build *b, Val c, Val x, Val y) {
    const Val in[] = {c, x, y};
    return build_elt(b, OP_select, 3, in);
}

Val build_cast(Build *b, DType t, Val x) {
    return dtype_of(b, x) == t ? x : build_node(b, OP_cast, t, shape_at(b, x), NULL, 1, &x);
}

/* ---- views ---- */
Val build_broadcast(Build *b, Val x, Shape to, const uint8_t *at) {
    Shape s = shape_at(b, x);
    if (shape_eq(s, to)) {
        return x;
    }
    Attr attr = {.axes = {.n = s.rank}};
    for (uint32_t i = 0; i < s.rank; i++) {
        attr.axes.at[i] = at[i];
    }
    return build_node(b, OP_broadcast, dtype_of(b, x), to, &attr, 1, &x);
}

Val build_broadcast_like(Build *b, Val scalar, Val like) { return build_broadcast(b, scalar, shape_at(b, like), NULL); }

Val build_reshape(Build *b, Val x, Shape to) {
    return shape_eq(shape_at(b, x), to) ? x : build_node(b, OP_reshape, dtype_of(b, x), to, NULL, 1, &x);
}

Val build_permute(Build *b, Val x, const uint8_t *at) {
    Shape s = shape_at(b, x), to = {.rank = s.rank};
    Attr attr = {.axes = {.n = s.rank}};
    bool same = true;
    for (uint32_t i = 0; i < s.rank; i++) {
        GR_ASSERT(at[i] < s.rank);
        attr.axes.at[i] = at[i];
        to.dim[i] = s.dim[at[i]];
        same = same && at[i] == i;
    }
    return same ? x : build_node(b, OP_permute, dtype_of(b, x), to, &attr, 1, &x);
}

Val build_slice(Build *b, Val x, const int64_t *lo, const int64_t *step, Shape to) {
    Shape s = shape_at(b, x);
    Attr attr = {0};
    bool same = shape_eq(s, to);
    for (uint32_t i = 0; i < s.rank; i++) {
        attr.slice.lo[i] = lo[i];
        attr.slice.step[i] = step[i];
        same = same && lo[i] == 0 && step[i] == 1;
    }
    return same ? x : build_node(b, OP_slice, dtype_of(b, x), to, &attr, 1, &x);
}

Val build_pad(Build *b, Val x, const int64_t *lo, const int64_t *hi, double value) {
    Shape s = shape_at(b, x), to = s;
    Attr attr = {.pad = {.value = imm_of_real(dtype_of(b, x), value)}};
    for (uint32_t i = 0; i < s.rank; i++) {
        attr.pad.lo[i] = lo[i];
        attr.pad.hi[i] = hi[i];
        to.dim[i] += lo[i] + hi[i];
    }
    return shape_eq(s, to) ? x : build_node(b, OP_pad, dtype_of(b, x), to, &attr, 1, &x);
}

Val build_window(Build *b, Val x, uint32_t axis, int64_t positions, int64_t taps, int64_t stride, int64_t dilation,
                 int64_t pad, double value) {
    Shape s = shape_at(b, x), to = s;
    GR_ASSERT(axis < s.rank && s.rank < MAX_RANK);
    to.rank++;
    for (uint32_t i = s.rank; i > axis + 1; i--) {
        to.dim[i] = s.dim[i - 1];
    }
    to.dim[axis] = positions;
    to.dim[axis + 1] = taps;
    Attr attr = {.window = {(uint8_t)axis, stride, dilation, pad, imm_of_real(dtype_of(b, x), value)}};
    return build_node(b, OP_window, dtype_of(b, x), to, &attr, 1, &x);
}

Val build_concat(Build *b, uint32_t axis, uint32_t n, const Val *in) {
    GR_ASSERT(n > 0);
    if (n == 1) {
        return in[0];
    }
    Shape to = shape_at(b, in[0]);
    GR_ASSERT(axis < to.rank);
    for (uint32_t k = 1; k < n; k++) {
        to.dim[axis] += shape_at(b, in[k]).dim[axis];
    }
    Attr attr = {.axis = (uint8_t)axis};
    return build_node(b, OP_concat, dtype_of(b, in[0]), to, &attr, n, in);
}

/* head[0 .. n_head) then tail[from ..): the shapes of gather and scatter_add are spliced so. */
static Shape splice(Shape head, uint32_t n_head, Shape tail, uint32_t from) {
    GR_ASSERT(n_head <= head.rank && from <= tail.rank && n_head + tail.rank - from <= MAX_RANK);
    Shape s = shape_of(n_head, head.dim);
    for (uint32_t i = from; i < tail.rank; i++) {
        s.dim[s.rank++] = tail.dim[i];
    }
    return s;
}

Val build_gather(Build *b, Val x, Val index, uint32_t batch) {
    Shape s = shape_at(b, x), i = shape_at(b, index);
    GR_ASSERT(batch < s.rank);
    Attr attr = {.gather = {(uint8_t)batch, s.dim[batch]}};
    const Val in[] = {x, index};
    return build_node(b, OP_gather, dtype_of(b, x), splice(i, i.rank, s, batch + 1), &attr, 2, in);
}

Val build_after(Build *b, Val x, Val event) {
    const Val in[] = {x, event};
    return build_node(b, OP_after, dtype_of(b, x), shape_at(b, x), NULL, 2, in);
}

Val build_scatter_add(Build *b, Val updates, Val index, uint32_t batch, int64_t extent) {
    Shape u = shape_at(b, updates), i = shape_at(b, index);
    GR_ASSERT(batch <= i.rank && batch < MAX_RANK);
    Shape head = shape_of(batch, i.dim);
    head.dim[head.rank++] = extent;
    Attr attr = {.gather = {(uint8_t)batch, extent}};
    const Val in[] = {updates, index};
    return build_node(b, OP_scatter_add, dtype_of(b, updates), splice(head, head.rank, u, i.rank), &attr, 2, in);
}

/* ---- sums ---- */
Val build_reduce(Build *b, ReduceKind k, Val x, uint32_t n, const uint8_t *axes) {
    if (n == 0) {
        GR_ASSERT(k <= REDUCE_ALL);               /* of the others, the reduction of one element is not the element */
        return x;
    }
    Shape s = shape_at(b, x), to = {0};
    Attr attr = {.reduce = {.kind = k, .n = (uint8_t)n}};
    uint32_t gone = 0;
    for (uint32_t i = 0; i < n; i++) {
        attr.reduce.at[i] = axes[i];
        gone |= 1u << axes[i];
    }
    for (uint32_t i = 0; i < s.rank; i++) {
        if ((gone >> i & 1) == 0) {
            to.dim[to.rank++] = s.dim[i];
        }
    }
    DType t = k == REDUCE_ARGMAX || k == REDUCE_ARGMIN ? DT_I32 : dtype_of(b, x);
    return build_node(b, OP_reduce, t, to, &attr, 1, &x);
}

/* ---- order ---- */
Val build_cumulative(Build *b, ReduceKind k, Val x) {
    Attr attr = {.cumulative = k};
    return build_node(b, OP_cumulative, dtype_of(b, x), shape_at(b, x), &attr, 1, &x);
}

Val build_recur(Build *b, Val factor, Val term) {
    const Val in[] = {factor, term};
    return build_node(b, OP_recur, dtype_of(b, term), shape_at(b, term), NULL, 2, in);
}

Val build_argsort(Build *b, Val x) { return build_node(b, OP_argsort, DT_I32, shape_at(b, x), NULL, 1, &x); }

/* ---- products ---- */
Contract *contract_new(Arena *a) { return PUSH(a, Contract, 1); }

Contract *contract_canonical(Arena *a, const Contract *c) {
    Contract *r = contract_new(a);
    r->rounded = c->rounded;
    r->winograd = c->winograd;
    uint8_t to[256] = {0};                        /* 1 + new number */
    for (uint32_t side = 0; side < 3; side++) {
        r->rank[side] = c->rank[side];
        for (uint32_t i = 0; i < c->rank[side]; i++) {
            uint8_t d = c->dim[side][i];
            GR_ASSERT(d < MAX_DIMS);
            if (to[d] == 0) {
                r->extent[r->n_dims] = c->extent[d];
                to[d] = ++r->n_dims;
            }
            r->dim[side][i] = to[d] - 1;
        }
    }
    r->n_over = c->n_over;
    for (uint32_t i = 0; i < c->n_over; i++) {
        GR_ASSERT(to[c->over[i]] != 0);
        r->over[i] = to[c->over[i]] - 1;
    }
    r->n_windows = c->n_windows;
    for (uint32_t i = 0; i < c->n_windows; i++) {
        Window w = c->window[i];
        GR_ASSERT(to[w.x] != 0 && to[w.o] != 0 && to[w.t] != 0);
        r->window[i] = (Window){to[w.x] - 1, to[w.o] - 1, to[w.t] - 1, w.stride, w.dilation, w.pad};
    }
    return r;
}

Val build_contract(Build *b, Val x, Val y, const Contract *c) {
    Contract *canonical = contract_canonical(b->g->arena, c);
    Shape to = {.rank = canonical->rank[2]};
    for (uint32_t i = 0; i < to.rank; i++) {
        to.dim[i] = canonical->extent[canonical->dim[2][i]];
    }
    Attr attr = {.contract = canonical};
    const Val in[] = {x, y};
    return build_node(b, OP_contract, dtype_of(b, x) == DT_F64 ? DT_F64 : DT_F32, to, &attr, 2, in);
}

/* ---- control ---- */
Val build_scan(Build *b, const Scan *s, uint32_t n, const Val *in) {
    GR_ASSERT(s->body->outputs.n == s->n_carries + s->n_collected && s->body->outputs.n > 0);
    Type t = type_of(s->body, s->body->outputs.at[0].val);
    if (s->n_carries == 0) {
        GR_ASSERT(t.shape.rank < MAX_RANK);
        memmove(t.shape.dim + 1, t.shape.dim, sizeof(int64_t) * t.shape.rank++);
        t.shape.dim[0] = s->length;
    }
    Attr attr = {.scan = s};
    return build_node(b, OP_scan, t.dtype, t.shape, &attr, n, in);
}

Val build_extern(Build *b, const Extern *x, uint32_t n, const Val *in) {
    Attr attr = {.external = x};
    return build_node(b, OP_extern, x->results[0].dtype, x->results[0].shape, &attr, n, in);
}

Val build_result(Build *b, Val tuple, uint32_t index) {
    Type t = result_type(b->g, tuple, index);
    Attr attr = {.index = index};
    return build_node(b, OP_result, t.dtype, t.shape, &attr, 1, &tuple);
}

Val build_grad(Build *b, Val s, uint32_t n, const Val *xs) {
    GR_ASSERT(n > 0);
    Val *in = PUSH(b->g->arena, Val, n + 1);
    in[0] = s;
    memcpy(in + 1, xs, sizeof(Val) * n);
    return build_node(b, OP_grad, dtype_of(b, xs[0]), shape_at(b, xs[0]), NULL, n + 1, in);
}

Val build_grad_as(Build *b, Val y, Val surrogate) {
    const Val in[] = {y, surrogate};
    return build_node(b, OP_grad_as, dtype_of(b, y), shape_at(b, y), NULL, surrogate.i == 0 ? 1 : 2, in);
}

/* ---- effects ---- */
void build_check(Build *b, Val x, uint32_t name) {
    Attr attr = {.check = {name}};
    build_node(b, OP_check, dtype_of(b, x), shape_at(b, x), &attr, 1, &x);
}

void build_commit(Build *b, uint32_t var, Val x) {
    Attr attr = {.commit = {var}};
    build_node(b, OP_commit, dtype_of(b, x), shape_at(b, x), &attr, 1, &x);
}

/* ---- what a gradient makes of a reduction ---- */
Val build_unreduce(Build *b, Val reduced, const Attr *of, Shape to) {
    bool gone[MAX_RANK] = {false};
    uint8_t at[MAX_RANK], count = 0;
    for (uint32_t i = 0; i < of->reduce.n; i++) gone[of->reduce.at[i]] = true;
    for (uint32_t i = 0; i < to.rank; i++)
        if (!gone[i]) at[count++] = (uint8_t)i;
    return build_broadcast(b, reduced, to, at);
}

Val build_row_position(Build *b, const Attr *of, Shape s) {
    Val position = {0};
    int64_t stride = 1;
    for (uint32_t i = of->reduce.n; i-- > 0;) {
        uint32_t axis = of->reduce.at[i];
        Val term = build_2(b, OP_mul, build_iota(b, s, axis), build_const(b, DT_I32, (double)stride));
        position = position.i ? build_2(b, OP_add, position, term) : term;
        stride *= s.dim[axis];
    }
    return position;
}
