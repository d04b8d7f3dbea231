/* Products in less precision: a contraction that is marked `rounded` gets casts before its operands and
 * loses the mark. After autodiff, whose contractions inherit the mark, so both gradients of a product are
 * found too; before it, the operands would be of a type that nothing can be added in.  Before the
 * rewrites, so that operands cast in several products are one node, and permutes and broadcasts move
 * through the casts.
 *
 * An operand that was widened from the type it is rounded to is taken as it was stored: widening is exact. */
#include "opt.h"

static Val rounded(Build *b, Val x, DType t) {
    const Node *n = node_of(b->g, x);
    if (n->op == OP_cast && type_of(b->g, operand(b->g, x, 0)).dtype == t) return operand(b->g, x, 0);
    return build_cast(b, t, x);
}

static Val product(Copy *c, Build *b, uint32_t i, DType t) {
    Build casts = {b->g, b->at, 0};
    Contract *plain = contract_new(c->to->arena);
    *plain = *c->from->nodes.at[i].attr.contract;
    plain->rounded = DT_F32;
    Val x = rounded(&casts, copy_val(c, operand(c->from, (Val){i}, 0)), t);
    Val y = rounded(&casts, copy_val(c, operand(c->from, (Val){i}, 1)), t);
    return build_contract(b, x, y, plain);
}

static Val loop(Arena *a, Copy *c, Build *b, uint32_t i) {
    const Node *n = &c->from->nodes.at[i];
    Scan *s = PUSH(a, Scan, 1);
    *s = *n->attr.scan;
    s->body = opt_precision(a, s->body);
    Val *in = PUSH(a, Val, n->n);
    for (uint32_t k = 0; k < n->n; k++) in[k] = copy_val(c, operand(c->from, (Val){i}, k));
    Attr attr = {.scan = s};
    return build_node(b, OP_scan, (DType)n->dtype, n->shape, &attr, n->n, in);
}

Graph *opt_precision(Arena *a, const Graph *g) {
    Copy c = copy_begin(a, g);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        Build b = {c.to, n->span, n->name};
        if (n->op == OP_scan) c.map[i] = loop(a, &c, &b, i);
        if (n->op == OP_contract && n->attr.contract->rounded != DT_F32)
            c.map[i] = product(&c, &b, i, (DType)n->attr.contract->rounded);
    }
    return copy_finish(&c);
}
