/* Reachability: can a gradient flow from a value to another, and if not, which operation is in the way.  A walk
 * in program order keeps for every node the best of its operands' paths: yes > zero almost everywhere > stopped on
 * purpose > none, with the operation that made it less than yes. */
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
