/* The simplifier: copies a graph node by node in program order, and asks of each copy whether something simpler
 * has the same bits.  Value numbering in the builder makes equal nodes one; copying only what outputs and effects
 * need drops the rest. */
#include "opt.h"
#include "permute.h"
#include "rule.h"
#include <string.h>

/* ---- folding ---- */
static bool storable(DType t) { return t == DT_F32 || t == DT_F64 || t == DT_I32 || t == DT_I64 || t == DT_BOOL; }

static double number_as_real(DType t, Imm x) { return dtype_is_float(t) ? x.f : (double)x.i; }

static double fold_math(const Math *m, MathFn fn, uint32_t n, const Imm *in) {
    float x = (float)in[0].f, y = n > 1 ? (float)in[1].f : 0, out = 0;
    const void *args[2] = {&x, &y};
    scalar_eval_line(math_line(m, fn), 1, &out, args);
    return (double)out;
}

static Val fold(Build *b, Val v) {
    const Node n = *node_of(b->g, v);
    Imm in[3] = {{0}};
    DType from = DT_F32;
    for (uint32_t k = 0; k < n.n; k++) {
        Val x = operand(b->g, v, k);
        if (!value_is_number(b->g, x, &in[k])) return (Val){0};
        if (k == 0) from = type_of(b->g, x).dtype;
    }
    if (!storable((DType)n.dtype) || !storable(from)) return (Val){0};
    SOp sop;
    MathFn fn;
    if (op_math((Op)n.op, &fn)) {
        if (n.dtype != DT_F32) return (Val){0};
        return build_splat(b, DT_F32, fold_math(b->g->module->math, fn, n.n, in), n.shape);
    }
    if (!op_scalar((Op)n.op, &sop)) return (Val){0};
    Imm x = scalar_fold(sop, (DType)n.dtype, from, in[0], in[1], in[2]);
    return build_splat(b, (DType)n.dtype, number_as_real((DType)n.dtype, x), n.shape);
}

/* ---- elementwise of broadcasts: compute the small one, then broadcast ---- */
static bool same_broadcast(const Node *x, const Node *y) {
    return x->attr.axes.n == y->attr.axes.n && memcmp(x->attr.axes.at, y->attr.axes.at, x->attr.axes.n) == 0;
}

static Val sink_broadcast(Build *b, Val v) {
    const Node n = *node_of(b->g, v);
    Node shared = {0};
    bool any = false;
    for (uint32_t k = 0; k < n.n; k++) {
        Val x = operand(b->g, v, k);
        Imm number;
        const Node *xn = node_of(b->g, x);
        if (value_is_number(b->g, x, &number)) continue;
        if (xn->op != OP_broadcast || (any && (!same_broadcast(xn, &shared) ||
            !shape_eq(type_of(b->g, operand(b->g, x, 0)).shape, shared.shape)))) return (Val){0};
        shared = *xn;
        shared.shape = type_of(b->g, operand(b->g, x, 0)).shape;
        any = true;
    }
    if (!any) return (Val){0};
    Val in[3] = {{0}};
    for (uint32_t k = 0; k < n.n; k++) {
        Val x = operand(b->g, v, k);
        Imm number;
        DType t = type_of(b->g, x).dtype;
        in[k] = value_is_number(b->g, x, &number) ? build_splat(b, t, number_as_real(t, number), shared.shape)
                                                  : operand(b->g, x, 0);
    }
    Attr attr = n.attr;
    Val small = build_node(b, (Op)n.op, (DType)n.dtype, shared.shape, &attr, n.n, in);
    return build_broadcast(b, small, n.shape, shared.attr.axes.at);
}

/* ---- draws ---- */
/* A uniform number is never below what is not above 0: dropout by 0 draws nothing. */
static Val compare_draw(Build *b, Val v) {
    const Node n = *node_of(b->g, v);
    const Node *x = n.n > 0 ? node_of(b->g, operand(b->g, v, 0)) : NULL;
    Imm least;
    bool draws = n.op == OP_lt && x->op == OP_random && x->attr.random.kind == RANDOM_UNIFORM;
    if (!draws || !value_is_number(b->g, operand(b->g, v, 1), &least) || !(least.f <= 0)) return (Val){0};
    return build_splat(b, DT_BOOL, 0, n.shape);
}

/* ---- views of views ---- */
static Val view_of_view(Build *b, Val v) {
    const Node n = *node_of(b->g, v);
    Val x = operand(b->g, v, 0);
    const Node xn = *node_of(b->g, x);
    uint8_t at[MAX_RANK];
    if (n.op == OP_reshape && xn.op == OP_reshape) return build_reshape(b, operand(b->g, x, 0), n.shape);
    if (n.op == OP_permute && xn.op == OP_permute) {
        for (uint32_t i = 0; i < n.shape.rank; i++) at[i] = xn.attr.axes.at[n.attr.axes.at[i]];
        return build_permute(b, operand(b->g, x, 0), at);
    }
    if (n.op == OP_broadcast && xn.op == OP_broadcast) {
        for (uint32_t i = 0; i < xn.attr.axes.n; i++) at[i] = n.attr.axes.at[xn.attr.axes.at[i]];
        return build_broadcast(b, operand(b->g, x, 0), n.shape, at);
    }
    Imm number;
    bool others = n.op == OP_pad || n.op == OP_window || n.op == OP_gather || n.op == OP_concat;   /* more than x */
    if (!others && value_is_number(b->g, x, &number)) {
        return build_splat(b, (DType)n.dtype, number_as_real((DType)n.dtype, number), n.shape);
    }
    return (Val){0};
}

static Val simpler(Build *b, Val v) {
    const Node *n = node_of(b->g, v);
    if (op_class((Op)n->op) == CLASS_VIEW) {
        Val to = view_of_view(b, v);
        return to.i ? to : permute_moved(b, v);
    }
    if (op_class((Op)n->op) != CLASS_ELT) {
        Val to = permute_moved(b, v);
        return to.i ? to : mirror_turned(b, v);
    }
    if (n->op == OP_cast && n->dtype == type_of(b->g, operand(b->g, v, 0)).dtype) return operand(b->g, v, 0);
    Val to = fold(b, v);
    if (!to.i) to = rule_apply(b, v);
    if (!to.i) to = compare_draw(b, v);
    if (!to.i) to = sink_broadcast(b, v);
    if (!to.i) to = permute_moved(b, v);
    return to;
}

/* Every replacement is smaller in the order of rules.def, so this ends; its length is bounded by what one node can
 * fold into. */
static Val simplest(Build *b, Val v) {
    for (Val next = simpler(b, v); next.i && !val_eq(next, v); next = simpler(b, v)) v = next;
    return v;
}

static Graph *simplify_once(Arena *a, const Graph *g) {
    Copy c = copy_begin(a, g);
    Val *in = NULL;
    uint32_t room = 0;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->n > room) in = PUSH(a, Val, room = n->n);
        for (uint32_t k = 0; k < n->n; k++) in[k] = c.map[operand(g, (Val){i}, k).i];
        Attr attr = copy_attr(a, n, opt_simplify);
        Build b = {c.to, n->span, n->name};
        c.map[i] = simplest(&b, build_node(&b, (Op)n->op, (DType)n->dtype, n->shape, &attr, n->n, in));
    }
    for (uint32_t i = 0; i < g->outputs.n; i++)
        graph_output(c.to, g->outputs.at[i].kind, g->outputs.at[i].name, c.map[g->outputs.at[i].val.i]);
    return c.to;
}

Graph *opt_simplify(Arena *a, const Graph *g) {
    Copy live = copy_begin(a, simplify_once(a, g));
    return copy_finish(&live);
}
