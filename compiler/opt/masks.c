/* A mask over the gradient of a maximum.  Behind `relu |> maxpool` the gradient is placed where the maximum stands, and
 * then masked by what was pooled:
 *
 *   select(lt(0, x), reshape(select(position == argmax(x), g, 0)), 0)
 *
 * Where the position is that of the maximum, x is the maximum, or a zero of the other sign, which compares alike; or
 * both are NaN.  Elsewhere the result is 0 either way.  So the maxima can be asked, which are fewer and lie in memory,
 * and the large x need not be read, nor live, on the way back:
 *
 *   select(reshape(position == argmax(x) and lt(0, max(x))), reshape(g), 0)
 *
 * Runs on fresh gradients: positions are recognised as autodiff builds them, or a program that does the same. */
#include "opt.h"
#include "rule.h"
#include <math.h>
#include <string.h>

static Val behind_reshapes(const Graph *g, Val v) {
    while (node_of(g, v)->op == OP_reshape) v = operand(g, v, 0);
    return v;
}

static bool is_zero(const Graph *g, Val v) {
    Imm x;
    return dtype_is_float(type_of(g, v).dtype) && value_is_number(g, v, &x) && x.f == 0 && !signbit(x.f);
}

/* select(position == argmax(x), g, 0): the argmax, or {0}.  Equal nodes are one, so what autodiff would build is
 * built, and compared. */
static Val placed(Build *b, Val v) {
    const Graph *g = b->g;
    if (node_of(g, v)->op != OP_select || !is_zero(g, operand(g, v, 2))) return (Val){0};
    Val here = operand(g, v, 0), wide = operand(g, v, 1);
    if (node_of(g, here)->op != OP_eq || node_of(g, wide)->op != OP_broadcast) return (Val){0};
    Val position = operand(g, here, 0), place = operand(g, here, 1);
    if (node_of(g, place)->op != OP_broadcast) return (Val){0};
    Val first = operand(g, place, 0), gradient = operand(g, wide, 0);
    const Node n = *node_of(g, first);
    Shape s = node_of(g, v)->shape;
    bool extremum = n.op == OP_reduce && (n.attr.reduce.kind == REDUCE_ARGMAX || n.attr.reduce.kind == REDUCE_ARGMIN) &&
                    shape_eq(type_of(g, operand(g, first, 0)).shape, s) &&
                    shape_eq(type_of(g, gradient).shape, n.shape);
    bool same = extremum && val_eq(build_unreduce(b, first, &n.attr, s), place) &&
                val_eq(build_unreduce(b, gradient, &n.attr, s), wide) &&
                val_eq(build_row_position(b, &n.attr, s), position);
    return same ? first : (Val){0};
}

static Val masked(Build *b, Val v) {
    const Graph *g = b->g;
    if (node_of(g, v)->op != OP_select || !is_zero(g, operand(g, v, 2))) return (Val){0};
    Val mask = operand(g, v, 0);
    Imm least;
    if (node_of(g, mask)->op != OP_lt || !value_is_number(g, operand(g, mask, 0), &least)) return (Val){0};
    Val spread = behind_reshapes(g, operand(g, v, 1)), first = placed(b, spread);
    if (!first.i || !dtype_is_float(type_of(g, operand(g, first, 0)).dtype)) return (Val){0};
    Val x = operand(g, first, 0), here = operand(g, spread, 0), wide = operand(g, spread, 1), zeros = operand(g, v, 2);
    if (!val_eq(behind_reshapes(g, x), behind_reshapes(g, operand(g, mask, 1)))) return (Val){0};
    Attr row = node_of(g, first)->attr;
    Shape few = type_of(g, first).shape, many = type_of(g, spread).shape, result = type_of(g, v).shape;
    ReduceKind kind = row.reduce.kind == REDUCE_ARGMAX ? REDUCE_MAX : REDUCE_MIN;
    Val most = build_reduce(b, kind, x, row.reduce.n, row.reduce.at);
    Val counts = build_2(b, OP_lt, build_splat(b, type_of(g, x).dtype, least.f, few), most);
    here = build_2(b, OP_and, here, build_unreduce(b, counts, &row, many));
    return build_select(b, build_reshape(b, here, result), build_reshape(b, wide, result), zeros);
}

Graph *opt_masks(Arena *a, const Graph *g) {
    Copy c = copy_begin(a, g);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        Val *in = PUSH(a, Val, n->n + 1);
        for (uint32_t k = 0; k < n->n; k++) in[k] = c.map[operand(g, (Val){i}, k).i];
        Attr attr = copy_attr(a, n, opt_masks);
        Build b = {c.to, n->span, n->name};
        Val v = build_node(&b, (Op)n->op, (DType)n->dtype, n->shape, &attr, n->n, in), to = masked(&b, v);
        c.map[i] = to.i ? to : v;
    }
    for (uint32_t i = 0; i < g->outputs.n; i++)
        graph_output(c.to, g->outputs.at[i].kind, g->outputs.at[i].name, c.map[g->outputs.at[i].val.i]);
    Copy live = copy_begin(a, c.to);
    return copy_finish(&live);
}
