/* Reductions of one row each.  Semantics 2 reduces rows first, a row being the shortest suffix of the ordered axes
 * with 512 elements or more, and then the rows by the same rule: here that becomes several `reduce` nodes.
 * argmax, argmin and moments are one row whatever their length: their state says which element, which splitting
 * would lose. */
#include "opt.h"

enum { ROW = 512 };

static bool one_row_always(ReduceKind k) { return k == REDUCE_ARGMAX || k == REDUCE_ARGMIN || k == REDUCE_MOMENTS; }

/* How many axes at the end of the list make the row. */
static uint32_t row_axes(const Shape *s, uint32_t n, const uint8_t *axes) {
    int64_t count = 1;
    for (uint32_t taken = 1; taken <= n; taken++) {
        count *= s->dim[axes[n - taken]];
        if (count >= ROW) return taken;
    }
    return n;
}

/* Axes of `from` as they are numbered when `gone` have been reduced away. */
static uint8_t renumbered(uint8_t axis, uint32_t n_gone, const uint8_t *gone) {
    uint8_t less = 0;
    for (uint32_t i = 0; i < n_gone; i++) less += gone[i] < axis;
    return (uint8_t)(axis - less);
}

static Val split(Build *b, ReduceKind kind, Val x, uint32_t n, const uint8_t *axes) {
    Shape s = type_of(b->g, x).shape;
    uint32_t taken = one_row_always(kind) ? n : row_axes(&s, n, axes), rest = n - taken;
    Val row = build_reduce(b, kind, x, taken, axes + rest);
    if (rest == 0) return row;
    uint8_t left[MAX_RANK];
    for (uint32_t i = 0; i < rest; i++) left[i] = renumbered(axes[i], taken, axes + rest);
    return split(b, kind, row, rest, left);
}

/* One element is its own sum: an axis of extent 1 is reshaped away.  Not for truth values of the position. */
static Val without_ones(Build *b, ReduceKind kind, Val x, uint32_t *n, uint8_t *axes) {
    if (one_row_always(kind)) return x;
    Shape s = type_of(b->g, x).shape, to = {0, {0}};
    bool gone[MAX_RANK] = {false};
    uint8_t map[MAX_RANK] = {0};
    for (uint32_t i = 0; i < *n; i++) gone[axes[i]] = s.dim[axes[i]] == 1;
    for (uint32_t i = 0; i < s.rank; i++) {
        map[i] = to.rank;
        if (!gone[i]) to.dim[to.rank++] = s.dim[i];
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *n; i++)
        if (!gone[axes[i]]) axes[kept++] = map[axes[i]];
    *n = kept;
    return build_reshape(b, x, to);
}

Graph *opt_split_reductions(Arena *a, const Graph *g) {
    Copy c = copy_begin(a, g);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_scan) {
            Scan *s = PUSH(a, Scan, 1);
            *s = *n->attr.scan;
            s->body = opt_split_reductions(a, s->body);
            Val *in = PUSH(a, Val, n->n);
            for (uint32_t k = 0; k < n->n; k++) in[k] = copy_val(&c, operand(g, (Val){i}, k));
            Attr attr = {.scan = s};
            Build b = {c.to, n->span, n->name};
            c.map[i] = build_node(&b, OP_scan, (DType)n->dtype, n->shape, &attr, n->n, in);
        }
        if (n->op != OP_reduce) continue;
        Build b = {c.to, n->span, n->name};
        uint8_t axes[MAX_RANK];
        uint32_t count = n->attr.reduce.n;
        for (uint32_t k = 0; k < count; k++) axes[k] = n->attr.reduce.at[k];
        Val x = without_ones(&b, n->attr.reduce.kind, copy_val(&c, operand(g, (Val){i}, 0)), &count, axes);
        c.map[i] = split(&b, n->attr.reduce.kind, x, count, axes);
    }
    return copy_finish(&c);
}
