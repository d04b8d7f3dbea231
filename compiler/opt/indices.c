/* Every index is looked at.  `gather` and `scatter_add` hold a wrong index inside and say nothing: they are pure, so
 * the passes may narrow, merge and drop them.  What says it is a check, made here before any other pass: of every
 * index that something needs, that it is inside, all of it; no pass takes a check away.  So a program faults in every
 * mode or in none (semantics 9).  An index that cannot be outside (a position, a remainder, a rank, a byte in a table
 * of 256) needs none.
 *
 * The body of a scan stays free of effects: it collects one more result, whether all indices of the step were inside,
 * and what was collected is checked behind the scan. */
#include "interval.h"
#include "opt.h"

typedef struct {
    Arena *arena;
    Copy copy;
    const bool *live;          /* by node: something needs it */
    VEC(Val) inside;           /* of the new graph: bool, true where an index is inside */
} Guard;

static const bool *live_nodes(Arena *a, const Graph *g) {
    bool *live = PUSH(a, bool, g->nodes.n);
    for (uint32_t i = 0; i < g->outputs.n; i++) live[g->outputs.at[i].val.i] = true;
    for (uint32_t i = 0; i < g->effects.n; i++) live[g->effects.at[i].i] = true;
    for (uint32_t i = g->nodes.n; i-- > 1;)
        for (uint32_t k = 0; live[i] && k < g->nodes.at[i].n; k++) live[operand(g, (Val){i}, k).i] = true;
    return live;
}

static void note(Guard *g, Val inside) {
    for (uint32_t i = 0; i < g->inside.n; i++)
        if (val_eq(g->inside.at[i], inside)) return;
    vec_push(g->arena, &g->inside, inside);
}

static void guard_index(Guard *g, const Node *n, Interval known) {
    int64_t extent = n->attr.gather.extent;
    bool low = known.lo < 0, high = known.hi >= extent;
    if (!low && !high) return;
    Build b = {g->copy.to, n->span, 0};
    Val x = copy_val(&g->copy, g->copy.from->operands.at[n->first + 1]), inside[2] = {{0}};
    Shape s = type_of(b.g, x).shape;
    if (low) inside[0] = build_2(&b, OP_le, build_splat(&b, DT_I32, 0, s), x);
    if (high) inside[1] = build_2(&b, OP_lt, x, build_splat(&b, DT_I32, (double)extent, s));
    note(g, low && high ? build_2(&b, OP_and, inside[0], inside[1]) : inside[high]);
}

static Graph *guarded_body(Arena *a, const Graph *body, bool *guards);

/* The scan with a body that says one thing more; false when there is nothing to say. */
static bool copy_scan(Guard *g, Val v) {
    const Node *n = node_of(g->copy.from, v);
    Scan *more = PUSH(g->arena, Scan, 1);
    bool guards;
    *more = *n->attr.scan;
    more->body = guarded_body(g->arena, more->body, &guards);
    if (!guards) return false;
    more->n_collected++;
    Build b = {g->copy.to, n->span, n->name};
    Val *in = PUSH(g->arena, Val, n->n);
    for (uint32_t k = 0; k < n->n; k++) in[k] = copy_val(&g->copy, operand(g->copy.from, v, k));
    Attr attr = {.scan = more};
    g->copy.map[v.i] = build_node(&b, OP_scan, (DType)n->dtype, n->shape, &attr, n->n, in);
    return true;
}

static void guard_scan(Guard *g, Val scan) {
    const Scan *s = node_of(g->copy.to, scan)->attr.scan;
    Build b = {g->copy.to, node_of(g->copy.to, scan)->span, 0};
    note(g, build_result(&b, scan, s->n_carries + s->n_collected - 1));
}

/* Nodes keep their order, by which autodiff adds (semantics 2); what looks at indices stands behind all of them. */
static Guard guard_begin(Arena *a, const Graph *from) {
    Guard g = {.arena = a, .copy = copy_begin(a, from), .live = live_nodes(a, from)};
    const Interval *known = intervals_of(a, from);
    bool *guarded = PUSH(a, bool, from->nodes.n);
    for (uint32_t i = 1; i < from->nodes.n; i++) {
        if (!g.live[i]) continue;
        guarded[i] = from->nodes.at[i].op == OP_scan && copy_scan(&g, (Val){i});
        copy_val(&g.copy, (Val){i});
    }
    for (uint32_t i = 1; i < from->nodes.n; i++) {
        const Node *n = &from->nodes.at[i];
        if (guarded[i]) guard_scan(&g, g.copy.map[i]);
        if (g.live[i] && (n->op == OP_gather || n->op == OP_scatter_add))
            guard_index(&g, n, known[operand(from, (Val){i}, 1).i]);
    }
    return g;
}

static Graph *guarded_body(Arena *a, const Graph *body, bool *guards) {
    Guard g = guard_begin(a, body);
    Build b = {g.copy.to, {0, 0}, 0};
    Val all = {0};
    for (uint32_t i = 0; i < g.inside.n; i++) {
        static const uint8_t axes[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
        Val one = build_reduce(&b, REDUCE_ALL, g.inside.at[i], type_of(b.g, g.inside.at[i]).shape.rank, axes);
        all = all.i ? build_2(&b, OP_and, all, one) : one;
    }
    Graph *to = copy_finish(&g.copy);
    *guards = all.i != 0;
    if (*guards) graph_output(to, OUT_VALUE, 0, all);
    return to;
}

Graph *opt_check_indices(Arena *a, const Graph *from) {
    Guard g = guard_begin(a, from);
    for (uint32_t i = 0; i < g.inside.n; i++) {
        Build b = {g.copy.to, node_of(g.copy.to, g.inside.at[i])->span, 0};
        build_check(&b, g.inside.at[i], intern_id(from->module->names, STR("index")));
    }
    return copy_finish(&g.copy);
}
