/* Channels last.  The result of a convolution is declared [images, channels, places]; where rows are too short to be
 * tiles of their own (compiler/fuse/direct.c), a product has channels as columns, so it is made as [images, places,
 * channels] instead: tiles are stored as they are, and what reads the result finds channels side by side, to run lanes
 * along, or to take them as k without packing.
 *
 * A convolution that is made so is a permute of what it was.  This pass carries that order along, through arithmetic,
 * views and reductions, to the next convolution; what comes from elsewhere is turned where it meets it.  Only the order
 * in memory changes: sums list logical axes, so each keeps every bit.
 *
 * Where too much would have to be turned, the graph stays as it is. */
#include "opt.h"
#include "permute.h"
#include "rule.h"
#include <string.h>

/* Result axis i is axis at[i] of what stands for it; n == 0: that is the value itself. */
typedef struct { uint8_t n, at[MAX_RANK]; } Turn;
typedef struct {
    Copy c;
    Turn *turn;             /* by node of the old graph, of what c.map has */
    Turn *wanted;           /* of what is no product: how somebody read it in the round before */
    int64_t gain, cost;     /* elements made so; elements that have to be turned */
} Layout;

enum { VECTOR = 16, MOST = 64, IMAGES = 32, DEPTH = 4 }; /* how far arithmetic is followed */

static bool same_turn(Turn a, Turn b) { return a.n == b.n && memcmp(a.at, b.at, a.n) == 0; }

static Turn settled(Turn t) {               /* without what changes nothing */
    for (uint32_t i = 0; i < t.n; i++)
        if (t.at[i] != i) return t;
    return (Turn){0};
}

static Shape unturned(Shape s, Turn t) {
    Shape to = s;
    for (uint32_t i = 0; i < t.n; i++) to.dim[t.at[i]] = s.dim[i];
    return to;
}

static Turn inverse(Turn t) {
    Turn back = {.n = t.n};
    for (uint8_t i = 0; i < t.n; i++) back.at[t.at[i]] = i;
    return back;
}

/* Elements that are read to have v: of views, those of the smallest beneath. */
static int64_t elements(const Graph *g, Val v) {
    int64_t least = shape_count(type_of(g, v).shape);
    for (const Node *n = node_of(g, v); op_class((Op)n->op) == CLASS_VIEW && n->n > 0; n = node_of(g, v)) {
        v = operand(g, v, 0);
        int64_t count = shape_count(type_of(g, v).shape);
        least = count < least ? count : least;
    }
    return least;
}

static Build at_node(const Layout *l, Val v) {
    const Node *n = node_of(l->c.from, v);
    return (Build){l->c.to, n->span, n->name};
}

/* A permute of x, which costs what is read for it, once. */
static Val turned(Layout *l, Build *b, Val x, Turn t) {
    uint32_t before = l->c.to->nodes.n;
    Val y = build_permute(b, x, t.at);
    l->cost += y.i >= before ? elements(l->c.to, x) : 0;
    return y;
}

/* The value as it is declared. */
static Val straight(Layout *l, Val v) {
    Turn t = l->turn[v.i];
    Build b = at_node(l, v);
    return t.n == 0 ? l->c.map[v.i] : turned(l, &b, l->c.map[v.i], t);
}

/* What stands for it in another turn.  Arithmetic on what has none yet is done once more. */
static Val in_turn(Layout *l, Val v, Turn t, uint32_t depth) {
    const Node *n = node_of(l->c.from, v);
    if (same_turn(l->turn[v.i], t)) return l->c.map[v.i];
    Build b = at_node(l, v);
    Val x = straight(l, v), free = permute_undone(&b, x, t.n, t.at), in[3];
    if (free.i) return free;
    if (op_class((Op)n->op) != CLASS_ELT || depth == 0) {
        l->wanted[v.i] = t;
        return turned(l, &b, x, inverse(t));
    }
    for (uint32_t k = 0; k < n->n; k++) in[k] = in_turn(l, operand(l->c.from, v, k), t, depth - 1);
    return build_node(&b, (Op)n->op, (DType)n->dtype, unturned(n->shape, t), &n->attr, n->n, in);
}

static Val rebuilt(Layout *l, Val v, Shape s, const Attr *attr, uint32_t n, const Val *in, Turn t) {
    const Node *node = node_of(l->c.from, v);
    Build b = at_node(l, v);
    l->turn[v.i] = settled(t);
    return build_node(&b, (Op)node->op, (DType)node->dtype, s, attr, n, in);
}

/* ---- one operand, which is turned ---- */
static Val slice_or_pad(Layout *l, Val v, Val x, Turn t) {
    const Node *n = node_of(l->c.from, v);
    Attr attr = n->attr;
    for (uint32_t i = 0; i < t.n; i++) {
        if (n->op == OP_slice)
            attr.slice.lo[t.at[i]] = n->attr.slice.lo[i], attr.slice.step[t.at[i]] = n->attr.slice.step[i];
        else
            attr.pad.lo[t.at[i]] = n->attr.pad.lo[i], attr.pad.hi[t.at[i]] = n->attr.pad.hi[i];
    }
    return rebuilt(l, v, unturned(n->shape, t), &attr, 1, &x, t);
}

static Val permute(Layout *l, Val v, Val x, Turn t) {
    const Node *n = node_of(l->c.from, v);
    Turn both = {.n = t.n};
    for (uint32_t i = 0; i < t.n; i++) both.at[i] = t.at[n->attr.axes.at[i]];
    l->turn[v.i] = settled(both);
    return x;
}

/* New axes follow the one before them. */
static Val broadcast(Layout *l, Val v, Val x, Turn t) {
    const Node *n = node_of(l->c.from, v);
    Turn from = inverse(t), to = {.n = n->shape.rank};
    bool old[MAX_RANK] = {false};
    Attr attr = n->attr;
    uint8_t next = 0;
    for (uint32_t i = 0; i < t.n; i++) old[n->attr.axes.at[i]] = true;
    for (uint32_t r = 0; r < to.n && !old[r]; r++) to.at[r] = next++;
    for (uint32_t i = 0; i < t.n; i++) {
        uint32_t r = n->attr.axes.at[from.at[i]];
        attr.axes.at[i] = next;
        to.at[r] = next++;
        for (r++; r < to.n && !old[r]; r++) to.at[r] = next++;
    }
    return rebuilt(l, v, unturned(n->shape, to), &attr, 1, &x, to);
}

static Val reduce(Layout *l, Val v, Val x, Turn t) {
    const Node *n = node_of(l->c.from, v);
    Turn to = {0};
    bool gone[MAX_RANK] = {false};
    uint8_t place[MAX_RANK] = {0}, kept = 0;
    Attr attr = n->attr;
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) {
        attr.reduce.at[i] = t.at[n->attr.reduce.at[i]];
        gone[attr.reduce.at[i]] = true;
    }
    for (uint32_t i = 0; i < t.n; i++)
        if (!gone[i]) place[i] = kept++;
    for (uint32_t i = 0; i < t.n; i++)
        if (!gone[t.at[i]]) to.at[to.n++] = place[t.at[i]];
    return rebuilt(l, v, unturned(n->shape, to), &attr, 1, &x, to);
}

/* Axes of the operand and of the result that are the same elements: one that is split, or some that are merged. */
typedef struct { uint32_t in, n_in, out, n_out; } Block;

static uint32_t blocks_of(Shape from, Shape to, Block *block) {
    uint32_t n = 0, i = 0, j = 0;
    while (i < from.rank && j < to.rank) {
        Block k = {i, 0, j, 0};
        int64_t a = from.dim[i++], b = to.dim[j++];
        while (a != b) {
            if (a < b && i < from.rank) a *= from.dim[i++];
            else if (b < a && j < to.rank) b *= to.dim[j++];
            else return 0;
        }
        k.n_in = i - k.in, k.n_out = j - k.out;
        block[n++] = k;
    }
    return i == from.rank && j == to.rank ? n : 0;
}

static Val reshape(Layout *l, Val v, Val x, Turn t) {
    const Node *n = node_of(l->c.from, v);
    Block block[MAX_RANK];
    Shape from = type_of(l->c.from, operand(l->c.from, v, 0)).shape;
    uint32_t blocks = shape_count(from) > 0 ? blocks_of(from, n->shape, block) : 0;
    Turn to = {.n = n->shape.rank};
    uint8_t next = 0;
    for (uint32_t i = 0; i < blocks; i++)
        for (uint32_t k = 1; k < block[i].n_in; k++)
            if (t.at[block[i].in + k] != t.at[block[i].in + k - 1] + 1) return (Val){0};
    for (uint32_t place = 0; place < t.n && blocks > 0; place++)
        for (uint32_t i = 0; i < blocks; i++)
            for (uint32_t k = 0; k < block[i].n_out && t.at[block[i].in] == place; k++)
                to.at[block[i].out + k] = next++;
    return blocks > 0 ? rebuilt(l, v, unturned(n->shape, to), &n->attr, 1, &x, to) : (Val){0};
}

/* {0}: it takes its operand only as that is declared. */
static Val of_turned(Layout *l, Val v) {
    const Node *n = node_of(l->c.from, v);
    Val at = operand(l->c.from, v, 0), x = l->c.map[at.i];
    Turn t = l->turn[at.i];
    if (n->op == OP_slice || n->op == OP_pad) return slice_or_pad(l, v, x, t);
    if (n->op == OP_permute) return permute(l, v, x, t);
    if (n->op == OP_broadcast) return broadcast(l, v, x, t);
    if (n->op == OP_reshape) return reshape(l, v, x, t);
    if (n->op == OP_reduce && n->attr.reduce.kind != REDUCE_MOMENTS) return reduce(l, v, x, t);
    return (Val){0};
}

static Val elementwise(Layout *l, Val v, Turn t) {
    const Node *n = node_of(l->c.from, v);
    Val in[3] = {{0}};
    for (uint32_t k = 0; k < n->n; k++) in[k] = in_turn(l, operand(l->c.from, v, k), t, DEPTH);
    return rebuilt(l, v, unturned(n->shape, t), &n->attr, n->n, in, t);
}

/* ---- convolutions ---- */
static bool holds(const Contract *c, uint32_t side, uint32_t dim) {
    return memchr(c->dim[side], (int)dim, c->rank[side]) != NULL;
}

static bool is_place(const Contract *c, uint32_t dim) {
    for (uint32_t i = 0; i < c->n_windows; i++)
        if (c->window[i].x == dim || c->window[i].o == dim) return true;
    return false;
}

/* The axis of the result that is channels: a plain dim of the operand with the taps.  MAX_RANK: there is none, or
 * nothing to win: whole vectors of channels, rows that are shorter, not so many channels that packing is little beside
 * the product, and images enough to be the rows of tiles. */
static uint32_t channels_of(const Contract *c) {
    uint32_t found = MAX_RANK;
    int64_t images = 1;
    if (c->n_windows == 0 || c->rank[2] == 0) return MAX_RANK;
    uint32_t taps = holds(c, 0, c->window[0].t) ? 0 : 1, last = c->dim[2][c->rank[2] - 1];
    if (!holds(c, taps, c->window[0].t) || !is_place(c, last) || c->extent[last] >= VECTOR) return MAX_RANK;
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        uint32_t dim = c->dim[2][i];
        images *= is_place(c, dim) || holds(c, taps, dim) ? 1 : c->extent[dim];
        if (is_place(c, dim) || !holds(c, taps, dim)) continue;
        if (found < MAX_RANK || holds(c, 1 - taps, dim) || c->extent[dim] % VECTOR != 0 || c->extent[dim] > MOST)
            return MAX_RANK;
        found = i;
    }
    return images >= IMAGES ? found : MAX_RANK;
}

static Val contraction(Layout *l, Val v) {
    const Node *n = node_of(l->c.from, v);
    const Contract *old = n->attr.contract;
    Contract *c = contract_new(l->c.to->arena);
    Val in[2];
    *c = *old;
    for (uint32_t k = 0; k < 2; k++) {
        Val x = operand(l->c.from, v, k);
        Turn t = l->turn[x.i];
        in[k] = l->c.map[x.i];
        for (uint32_t i = 0; i < t.n; i++) c->dim[k][t.at[i]] = old->dim[k][i];
    }
    uint32_t channels = channels_of(old), next = 0;
    Turn t = {.n = (uint8_t)(channels < MAX_RANK ? old->rank[2] : 0)};
    for (uint32_t i = 0; i < t.n; i++) t.at[i] = (uint8_t)(i == channels ? t.n - 1u : next++);
    for (uint32_t i = 0; i < t.n; i++) c->dim[2][t.at[i]] = old->dim[2][i];
    l->gain += t.n > 0 ? shape_count(n->shape) : 0;
    l->turn[v.i] = settled(t);
    Build b = at_node(l, v);
    return build_contract(&b, in[0], in[1], c);
}

static Val laid(Layout *l, Val v) {
    const Node *n = node_of(l->c.from, v);
    Turn t = {0};
    for (uint32_t k = 0; k < n->n && t.n == 0; k++) t = l->turn[operand(l->c.from, v, k).i];
    if (n->op == OP_contract) return contraction(l, v);
    if (t.n > 0 && op_class((Op)n->op) == CLASS_ELT) return elementwise(l, v, t);
    Val to = n->n == 1 && t.n > 0 ? of_turned(l, v) : (Val){0};
    if (to.i) return to;
    Val *in = PUSH(l->c.to->arena, Val, n->n + 1);
    for (uint32_t k = 0; k < n->n; k++) in[k] = straight(l, operand(l->c.from, v, k));
    Attr attr = copy_attr(l->c.to->arena, n, opt_channels);
    return rebuilt(l, v, n->shape, &attr, n->n, in, (Turn){0});
}

/* As it is wanted: then all who read it find it so. */
static void meet(Layout *l, Val v) {
    Turn t = l->wanted[v.i];
    if (t.n == 0 || l->turn[v.i].n > 0) return;
    Build b = at_node(l, v);
    l->c.map[v.i] = turned(l, &b, l->c.map[v.i], inverse(t));
    l->turn[v.i] = t;
}

static Layout round_of(Arena *a, const Graph *g, Turn *wanted) {
    Layout l = {.c = copy_begin(a, g), .turn = PUSH(a, Turn, g->nodes.n), .wanted = wanted};
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        l.c.map[i] = laid(&l, (Val){i});
        meet(&l, (Val){i});
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        Output o = g->outputs.at[i];
        graph_output(l.c.to, o.kind, o.name, straight(&l, o.val));
    }
    return l;
}

Graph *opt_channels(Arena *a, const Graph *g) {
    enum { WORTH = 4 };
    Turn *wanted = PUSH(a, Turn, g->nodes.n);
    round_of(a, g, wanted);
    Layout l = round_of(a, g, wanted);
    bool keep = l.gain > 0 && l.cost * WORTH <= l.gain;
    Copy live = copy_begin(a, keep ? l.c.to : g);
    return copy_finish(&live);
}
