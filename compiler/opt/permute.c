/* Permutes move towards the results, where they meet and cancel.  The front end puts the free indices of an index
 * form in front, so `e[.., k] = exp(x[.., k] - top[..])` turns its dims round and back; after this pass nothing is
 * left of that.
 *
 *   elementwise   f(permute a, permute b)  is  permute f(a, b)      what is made of broadcasts, constants and
 *                 iotas is turned back
 *   reduce        over a permute           is  a reduce of the axes under their own names, in the same order
 *   contract      of a permute             is  a contract whose operand lists its dims in another order
 * Orders of summation are lists of logical axes (semantics 2, 3), so each keeps every bit. */
#include "permute.h"
#include "rule.h"

typedef struct { uint8_t n, at[MAX_RANK]; } Turn;          /* result axis i is operand axis at[i] */

static bool is_permute(const Graph *g, Val v) { return node_of(g, v)->op == OP_permute; }

static Turn turn_of(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    Turn t = {.n = n->shape.rank};
    for (uint32_t i = 0; i < t.n; i++) t.at[i] = n->attr.axes.at[i];
    return t;
}

static bool same_turn(Turn a, Turn b) {
    for (uint32_t i = 0; i < a.n; i++)
        if (a.at[i] != b.at[i]) return false;
    return a.n == b.n;
}

static Shape unturned(Shape s, Turn t) {
    Shape to = s;
    for (uint32_t i = 0; i < t.n; i++) to.dim[t.at[i]] = s.dim[i];
    return to;
}

/* The value whose permute by `t` is the broadcast x, as another broadcast; {0} when its axes would change order. */
static Val unturn_broadcast(Build *b, Val x, Turn t) {
    const Node n = *node_of(b->g, x);
    uint8_t at[MAX_RANK];
    for (uint32_t i = 0; i < n.attr.axes.n; i++) {
        at[i] = t.at[n.attr.axes.at[i]];
        if (i > 0 && at[i] <= at[i - 1]) return (Val){0};
    }
    return build_broadcast(b, operand(b->g, x, 0), unturned(n.shape, t), at);
}

enum { DEPTH = 4 };                    /* how far arithmetic on broadcasts is followed */

static Val unturn(Build *b, Val x, Turn t, uint32_t depth);

/* Arithmetic on things that can be turned, as on things turned back: a mask made of positions and labels, say. */
static Val unturn_elementwise(Build *b, Val x, Turn t, uint32_t depth) {
    const Node n = *node_of(b->g, x);
    Val in[3] = {{0}};
    if (depth == 0) return (Val){0};
    for (uint32_t k = 0; k < n.n; k++) {
        in[k] = unturn(b, operand(b->g, x, k), t, depth - 1);
        if (!in[k].i) return (Val){0};
    }
    Attr attr = n.attr;
    return build_node(b, (Op)n.op, (DType)n.dtype, unturned(n.shape, t), &attr, n.n, in);
}

/* The value whose permute by `t` is x, when it costs nothing to have; {0} otherwise. */
static Val unturn(Build *b, Val x, Turn t, uint32_t depth) {
    const Node n = *node_of(b->g, x);
    Imm number;
    if (value_is_number(b->g, x, &number))
        return build_splat(b, (DType)n.dtype, dtype_is_float((DType)n.dtype) ? number.f : (double)number.i,
                           unturned(n.shape, t));
    if (n.op == OP_permute) return same_turn(turn_of(b->g, x), t) ? operand(b->g, x, 0) : (Val){0};
    if (n.op == OP_broadcast) return unturn_broadcast(b, x, t);
    if (n.op == OP_iota) return build_iota(b, unturned(n.shape, t), t.at[n.attr.axis]);
    return op_class((Op)n.op) == CLASS_ELT ? unturn_elementwise(b, x, t, depth) : (Val){0};
}

Val permute_undone(Build *b, Val x, uint32_t n, const uint8_t *at) {
    Turn t = {.n = (uint8_t)n};
    for (uint32_t i = 0; i < n; i++) t.at[i] = at[i];
    return unturn(b, x, t, DEPTH);
}

static Val elementwise(Build *b, Val v) {
    const Node n = *node_of(b->g, v);
    Val first = {0}, in[3] = {{0}};
    for (uint32_t k = 0; k < n.n && !first.i; k++)
        if (is_permute(b->g, operand(b->g, v, k))) first = operand(b->g, v, k);
    if (!first.i) return (Val){0};
    Turn t = turn_of(b->g, first);
    for (uint32_t k = 0; k < n.n; k++) {
        in[k] = unturn(b, operand(b->g, v, k), t, DEPTH);
        if (!in[k].i) return (Val){0};
    }
    Attr attr = n.attr;
    Val straight = build_node(b, (Op)n.op, (DType)n.dtype, unturned(n.shape, t), &attr, n.n, in);
    return build_permute(b, straight, t.at);
}

static Val reduction(Build *b, Val v) {
    const Node n = *node_of(b->g, v);
    Val x = operand(b->g, v, 0);
    if (!is_permute(b->g, x) || n.attr.reduce.kind == REDUCE_MOMENTS) return (Val){0};
    Turn t = turn_of(b->g, x), left = {0};
    uint8_t axes[MAX_RANK], place[MAX_RANK] = {0}, kept = 0;
    bool gone[MAX_RANK] = {false};
    for (uint32_t i = 0; i < n.attr.reduce.n; i++) {
        axes[i] = t.at[n.attr.reduce.at[i]];
        gone[axes[i]] = true;
    }
    for (uint8_t i = 0; i < t.n; i++)
        if (!gone[i]) place[i] = kept++;
    for (uint32_t i = 0; i < t.n; i++)
        if (!gone[t.at[i]]) left.at[left.n++] = place[t.at[i]];
    Val straight = build_reduce(b, n.attr.reduce.kind, operand(b->g, x, 0), n.attr.reduce.n, axes);
    return build_permute(b, straight, left.at);
}

static Val product(Build *b, Val v) {
    const Node n = *node_of(b->g, v);
    Val in[2] = {operand(b->g, v, 0), operand(b->g, v, 1)};
    if (!is_permute(b->g, in[0]) && !is_permute(b->g, in[1])) return (Val){0};
    Contract *c = contract_new(b->g->arena);
    *c = *n.attr.contract;
    for (uint32_t k = 0; k < 2; k++) {
        if (!is_permute(b->g, in[k])) continue;
        Turn t = turn_of(b->g, in[k]);
        for (uint32_t i = 0; i < t.n; i++) c->dim[k][t.at[i]] = n.attr.contract->dim[k][i];
        in[k] = operand(b->g, in[k], 0);
    }
    return build_contract(b, in[0], in[1], c);
}

/* permute of a broadcast is a broadcast, when its axes stay in order. */
static Val of_broadcast(Build *b, Val v) {
    Val x = operand(b->g, v, 0);
    if (node_of(b->g, x)->op != OP_broadcast) return (Val){0};
    Turn t = turn_of(b->g, v), back = {.n = t.n};
    for (uint8_t i = 0; i < t.n; i++) back.at[t.at[i]] = i;
    return unturn_broadcast(b, x, back);
}

Val permute_moved(Build *b, Val v) {
    const Node *n = node_of(b->g, v);
    if (n->op == OP_permute) return of_broadcast(b, v);
    if (n->op == OP_reduce) return reduction(b, v);
    if (n->op == OP_contract) return product(b, v);
    return op_class((Op)n->op) == CLASS_ELT ? elementwise(b, v) : (Val){0};
}
