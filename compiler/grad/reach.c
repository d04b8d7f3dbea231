/* Reachability: can a gradient flow from some values to another, and if not, which operation is in the way.  A walk
 * in program order keeps for every node the best of its operands' paths: yes > zero almost everywhere > stopped on
 * purpose > none, with the operation that made it less than yes.  A walk back from a loss that is reached then finds
 * where some of its paths end. */
#include "flow.h"
#include "grad.h"

static Reached through(const Graph *g, Val v, uint32_t k, Reached from) {
    if (from.reach != REACH_YES) return from;
    switch (flow_into(g, v, k)) {
    case FLOW_YES: return from;
    case FLOW_ZERO: return (Reached){REACH_ZERO, v};
    case FLOW_STOPPED: return (Reached){REACH_STOPPED, v};
    }
    return from;
}

void reach_from(const Graph *g, const bool *from, const bool *closed, Reached *out) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        Val v = {i};
        out[i] = (Reached){REACH_NONE, {0}};
        if (from[i]) {
            out[i].reach = REACH_YES;
            continue;
        }
        if (closed && closed[i]) continue;
        for (uint32_t k = 0; k < g->nodes.at[i].n; k++) {
            Reached r = through(g, v, k, out[operand(g, v, k).i]);
            if (r.reach > out[i].reach) out[i] = r;
        }
    }
}

void reach_back(const Graph *g, Val loss, bool *seen) {
    seen[loss.i] = true;
    for (uint32_t i = loss.i; i > 0; i--)
        for (uint32_t k = 0; seen[i] && k < g->nodes.at[i].n; k++)
            if (flow_into(g, (Val){i}, k) == FLOW_YES) seen[operand(g, (Val){i}, k).i] = true;
}

/* Yes or no, or the number that stands for it. */
static bool is_truth(const Graph *g, Val v) {
    for (;;) {
        const Node *n = node_of(g, v);
        if (n->dtype == DT_BOOL) return true;
        bool same = n->op == OP_cast || n->op == OP_broadcast || n->op == OP_reshape || n->op == OP_permute;
        if (!same) return false;
        v = operand(g, v, 0);
    }
}

static bool chooses(const Graph *g, Val v, uint32_t k) {
    const Node *n = node_of(g, v);
    if (n->op == OP_select) return k == 0;
    return (n->op == OP_mul || n->op == OP_mulz) && is_truth(g, operand(g, v, k));
}

void reach_cuts(Arena *a, const Graph *g, const Reached *reached, Val loss, Cuts *out) {
    bool *live = PUSH(a, bool, g->nodes.n);
    live[loss.i] = reached[loss.i].reach == REACH_YES;
    for (uint32_t i = loss.i; i > 0; i--) {
        for (uint32_t k = 0; live[i] && k < g->nodes.at[i].n; k++) {
            Val v = {i}, x = operand(g, v, k);
            Reached r = through(g, v, k, reached[x.i]);
            if (r.reach == REACH_YES) live[x.i] = true;
            else if (r.reach != REACH_NONE) vec_push(a, out, ((Cut){v, x, r.by, chooses(g, v, k)}));
        }
    }
}
