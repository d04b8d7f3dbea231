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
    const Interval *known;
    VEC(Val) inside;           /* of the new graph: bool, true where an index is inside */
} Guard;

static void note(Guard *g, Val inside) {
    for (uint32_t i = 0; i < g->inside.n; i++)
        if (val_eq(g->inside.at[i], inside)) return;
    vec_push(g->arena, &g->inside, inside);
}

static void guard_index(Guard *g, const Node *n) {
    Val index = g->copy.from->operands.at[n->first + 1];
    int64_t extent = n->attr.gather.extent;
    bool low = g->known[index.i].lo < 0, high = g->known[index.i].hi >= extent;
    if (!low && !high) return;
    Build b = {g->copy.to, n->span, 0};
    Val x = copy_val(&g->copy, index), inside[2] = {{0}};
    Shape s = type_of(b.g, x).shape;
    if (low) inside[0] = build_2(&b, OP_le, build_splat(&b, DT_I32, 0, s), x);
    if (high) inside[1] = build_2(&b, OP_lt, x, build_splat(&b, DT_I32, (double)extent, s));
    note(g, low && high ? build_2(&b, OP_and, inside[0], inside[1]) : inside[high]);
}

static Graph *guarded_body(Arena *a, const Graph *body, bool *guards);

static void guard_scan(Guard *g, Val v) {
    const Node *n = node_of(g->copy.from, v);
    Scan *more = PUSH(g->arena, Scan, 1);
    bool guards;
    *more = *n->attr.scan;
    more->body = guarded_body(g->arena, more->body, &guards);
    if (!guards) return;
    uint32_t last = more->n_carries + more->n_collected++;
    Build b = {g->copy.to, n->span, n->name};
    Val *in = PUSH(g->arena, Val, n->n);
    for (uint32_t k = 0; k < n->n; k++) in[k] = copy_val(&g->copy, operand(g->copy.from, v, k));
    Attr attr = {.scan = more};
    Val scan = build_node(&b, OP_scan, (DType)n->dtype, n->shape, &attr, n->n, in);
    g->copy.map[v.i] = scan;
    note(g, build_result(&b, scan, last));
}

/* Nodes that nothing needs are not looked at. */
static Guard guard_begin(Arena *a, const Graph *from) {
    Copy needed = copy_begin(a, from);
    const Graph *live = copy_finish(&needed);
    Guard g = {.arena = a, .copy = copy_begin(a, live), .known = intervals_of(a, live)};
    for (uint32_t i = 1; i < live->nodes.n; i++) {
        const Node *n = &live->nodes.at[i];
        if (n->op == OP_scan) guard_scan(&g, (Val){i});
        if (n->op == OP_gather || n->op == OP_scatter_add) guard_index(&g, n);
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
