/* Reachability: can a gradient flow from some values to another, and if not, which operation is in the way.  A walk
 * in program order keeps for every node the best of its operands' paths: yes > zero almost everywhere > stopped on
 * purpose > none, with the operation that made it less than yes.  A walk back from a loss that is reached then finds
 * where some of its paths end.
 *
 * A scan is looked into: its body is walked with what reaches each operand, again and again until the carries bring
 * nothing new. */
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

static bool keep_better(Reached *best, Reached r) {
    bool better = r.reach > best->reach;
    if (better) *best = r;
    return better;
}

static void walk(Arena *a, const Graph *g, const bool *closed, Reached *out);

/* inputs: by operand of the scan `v`.  What gets to member `index` of its results. */
static Reached walk_scan(Arena *a, const Scan *s, Val v, Reached *inputs, uint32_t index) {
    const Graph *body = s->body;
    Reached *in = PUSH(a, Reached, body->nodes.n);
    for (bool more = true; more;) {
        for (uint32_t i = 1; i < body->nodes.n; i++) {
            const Node *n = &body->nodes.at[i];
            in[i] = n->op == OP_arg && n->attr.arg.kind == ARG_BODY ? inputs[n->attr.arg.id] : (Reached){0};
        }
        walk(a, body, NULL, in);
        more = false;
        for (uint32_t i = 0; i < s->n_carries; i++)
            more |= keep_better(&inputs[i], in[body->outputs.at[i].val.i]);
    }
    Reached r = index < s->n_carries ? inputs[index] : in[body->outputs.at[index].val.i];
    if (r.by.i != 0) r.by = v;                                    /* its place in the body says nothing out here */
    return r;
}

/* Member of a tuple that a scan gives. */
static Reached result_of_scan(Arena *a, const Graph *g, Val v, const Reached *out) {
    Val tuple = operand(g, v, 0);
    const Node *scan = node_of(g, tuple);
    Reached *inputs = PUSH(a, Reached, scan->n + 1);
    for (uint32_t k = 0; k < scan->n; k++) inputs[k] = out[operand(g, tuple, k).i];
    return walk_scan(a, scan->attr.scan, tuple, inputs, node_of(g, v)->attr.index);
}

/* Adds to what is in `out`; nothing goes on into nodes that are `closed` (NULL: none). */
static void walk(Arena *a, const Graph *g, const bool *closed, Reached *out) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        Val v = {i};
        const Node *n = &g->nodes.at[i];
        if (closed && closed[i]) continue;
        if (n->op == OP_result && node_of(g, operand(g, v, 0))->op == OP_scan) {
            keep_better(&out[i], result_of_scan(a, g, v, out));
            continue;
        }
        for (uint32_t k = 0; k < n->n; k++) keep_better(&out[i], through(g, v, k, out[operand(g, v, k).i]));
    }
}

void reach_from(Arena *a, const Graph *g, const bool *from, const bool *closed, Reached *out) {
    for (uint32_t i = 1; i < g->nodes.n; i++) out[i] = (Reached){from[i] ? REACH_YES : REACH_NONE, {0}};
    walk(a, g, closed, out);
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
