/* What a scan collects and nobody reads: autodiff makes every scan keep its carries, in case it is differentiated;
 * those that were not needed go here.  Bodies first, so that an inner scan's unread results do not keep an outer
 * one's. */
#include "opt.h"

typedef struct { bool *used; uint32_t n; } Members;

static uint32_t member_count(const Node *n) { return n->attr.scan->n_carries + n->attr.scan->n_collected; }

static Members *members_used(Arena *a, const Graph *g) {
    Members *m = PUSH(a, Members, g->nodes.n);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_scan) m[i] = (Members){PUSH(a, bool, member_count(n)), member_count(n)};
        if (n->op != OP_result) continue;
        Members *of = &m[operand(g, (Val){i}, 0).i];
        if (n->attr.index < of->n) of->used[n->attr.index] = true;
    }
    return m;
}

/* The body with only the results that are read; to[k]: what member k is called now. */
static const Scan *smaller(Arena *a, const Scan *s, const bool *used, uint32_t *to) {
    const Graph *body = opt_prune_scans(a, s->body);
    Copy c = copy_begin(a, body);
    Scan *less = PUSH(a, Scan, 1);
    *less = *s;
    less->n_collected = 0;
    for (uint32_t k = 0; k < body->outputs.n; k++) {
        if (k >= s->n_carries && !used[k]) continue;
        to[k] = k < s->n_carries ? k : s->n_carries + less->n_collected++;
        graph_output(c.to, body->outputs.at[k].kind, body->outputs.at[k].name, copy_val(&c, body->outputs.at[k].val));
    }
    less->body = c.to;
    return less;
}

Graph *opt_prune_scans(Arena *a, const Graph *g) {
    Members *members = members_used(a, g);
    uint32_t **renamed = PUSH(a, uint32_t *, g->nodes.n);
    Copy c = copy_begin(a, g);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        Build b = {c.to, n->span, n->name};
        if (n->op == OP_scan) {
            renamed[i] = PUSH(a, uint32_t, member_count(n));
            Attr attr = {.scan = smaller(a, n->attr.scan, members[i].used, renamed[i])};
            Val *in = PUSH(a, Val, n->n);
            for (uint32_t k = 0; k < n->n; k++) in[k] = copy_val(&c, operand(g, (Val){i}, k));
            c.map[i] = build_node(&b, OP_scan, (DType)n->dtype, n->shape, &attr, n->n, in);
        } else if (n->op == OP_result && renamed[operand(g, (Val){i}, 0).i]) {
            uint32_t tuple = operand(g, (Val){i}, 0).i;
            c.map[i] = build_result(&b, c.map[tuple], renamed[tuple][n->attr.index]);
        }
    }
    return copy_finish(&c);
}
