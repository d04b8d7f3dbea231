/* Reachability: can a gradient flow from a value to another, and if not, which operation is in the way.  A walk in
 * program order keeps for every node the best of its operands' paths: yes > zero almost everywhere > stopped on purpose > none,
 * with the operation that made it less than yes. */
#include "grad.h"
#include "rule.h"

static bool is_float(const Graph *g, Val v) { return dtype_is_float(type_of(g, v).dtype); }

bool grad_is_zero(const Graph *g, Val v, uint32_t k) {
    const Node *n = node_of(g, v);
    if (!is_float(g, v)) return true;                 /* integers and truth values are steps of what they come from */
    if (n->op == OP_gather || n->op == OP_scatter_add) return k == 1;
    if (op_class((Op)n->op) != CLASS_ELT || n->op == OP_cast) return false;
    const char *rule = rule_text((Op)n->op, k);
    return rule[0] == '-' && rule[1] == 0;
}

static bool stops(const Graph *g, Val v, uint32_t k) {
    const Node *n = node_of(g, v);
    return n->op == OP_grad_as && !(n->n == 2 && k == 1);
}

static Reached through(const Graph *g, Val v, uint32_t k, Reached from) {
    if (from.reach != REACH_YES) return from;
    if (stops(g, v, k)) return (Reached){REACH_STOPPED, v};
    if (grad_is_zero(g, v, k)) return (Reached){REACH_ZERO, v};
    return from;
}

void reach_from(const Graph *g, Val x, Reached *out) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        Val v = {i};
        out[i] = (Reached){REACH_NONE, {0}};
        if (i == x.i) {
            out[i].reach = REACH_YES;
            continue;
        }
        for (uint32_t k = 0; k < g->nodes.at[i].n; k++) {
            Reached r = through(g, v, k, out[operand(g, v, k).i]);
            if (r.reach > out[i].reach) out[i] = r;
        }
    }
}
