/* The reverse walk, and the pass that expands `grad` nodes.
 *
 * vjp_walk appends to a graph the cotangents of some values given those of others.  It visits nodes from the last
 * to the first; what a node gives its operands is kept as a list, and summed left to right in order of forward use
 * when the operand itself is visited (semantics 2).  A cotangent that nothing reaches is {0}, never a tensor of
 * zeros. */
#include "grad.h"
#include "rule.h"
#include "vjp.h"
#include <string.h>

/* slot: operand number, or member for a `result` */
typedef struct { uint32_t user, slot; Val cotangent; } Part;
typedef VEC(Part) Parts;
typedef struct {
    Build *b; Arena *scratch; Diags *ds;
    uint32_t n;            /* nodes there were before the walk: only those are visited */
    bool  *wanted;         /* a value of xs, or depends on one */
    Parts *parts;          /* by node */
    bool   ok;
} Walk;

static void give(Walk *w, Val to, uint32_t user, uint32_t slot, Val cotangent) {
    if (cotangent.i && w->wanted[to.i]) vec_push(w->scratch, &w->parts[to.i], ((Part){user, slot, cotangent}));
}

/* The walk goes backwards, so parts arrive in decreasing order of use (seeds, user 0, first of all: they count as
 * last). */
static Val sum_parts(Walk *w, Val v) {
    Val sum = {0};
    const Parts *p = &w->parts[v.i];
    for (uint32_t i = p->n; i-- > 0;) {
        Val part = p->at[i].cotangent;
        sum = sum.i ? build_2(w->b, OP_add, sum, part) : part;
    }
    return sum;
}

static void missing_rule(Walk *w, Val v) {
    const Node *n = node_of(w->b->g, v);
    diag_add(w->ds, DIAG_NOT_YET, n->span, "there is no gradient rule for `%s` here%s", op_name((Op)n->op),
             n->op == OP_reduce ? " with this kind of reduction" : "");
    w->ok = false;
}

/* A tuple gets its cotangents through its `result` nodes: slot = member. */
static void visit_tuple(Walk *w, Val v) {
    const Graph *g = w->b->g;
    const Node n = *node_of(g, v);
    uint32_t members = n.op == OP_scan     ? n.attr.scan->n_carries + n.attr.scan->n_collected
                       : n.op == OP_extern ? n.attr.external->n_results
                                           : 2;
    Val *cotangent = PUSH(w->scratch, Val, members), *out = PUSH(w->scratch, Val, n.n);
    bool *needed = PUSH(w->scratch, bool, n.n), any = false;
    const Parts *p = &w->parts[v.i];
    for (uint32_t i = p->n; i-- > 0;) {
        Val *c = &cotangent[p->at[i].slot];
        *c = c->i ? build_2(w->b, OP_add, *c, p->at[i].cotangent) : p->at[i].cotangent;
        any = true;
    }
    if (!any) return;
    for (uint32_t k = 0; k < n.n; k++) needed[k] = w->wanted[operand(g, v, k).i];
    if (n.op == OP_scan) w->ok = vjp_scan(w->b, v, cotangent, needed, out, w->ds) && w->ok;
    else if (n.op == OP_extern) w->ok = vjp_extern(w->b, v, cotangent, needed, out, w->ds) && w->ok;
    else vjp_moments(w->b, v, cotangent, out);
    for (uint32_t k = n.n; k-- > 0;) give(w, operand(g, v, k), v.i, k, out[k]);
}

static bool is_tuple(const Node *n) {
    return n->op == OP_scan || n->op == OP_extern || (n->op == OP_reduce && n->attr.reduce.kind == REDUCE_MOMENTS);
}

static void visit(Walk *w, Val v) {
    const Graph *g = w->b->g;
    const Node n = *node_of(g, v);
    if (is_tuple(&n)) {
        visit_tuple(w, v);
        return;
    }
    Val cotangent = sum_parts(w, v);
    if (!cotangent.i) return;
    w->parts[v.i].n = 0;                       /* keep the sum, for the caller when v is one of xs */
    vec_push(w->scratch, &w->parts[v.i], ((Part){0, 0, cotangent}));
    if (n.op == OP_result) {
        give(w, operand(g, v, 0), v.i, n.attr.index, cotangent);
        return;
    }
    for (uint32_t k = n.n; k-- > 0;) {
        Val x = operand(g, v, k);
        if (!w->wanted[x.i]) continue;
        bool missing = false;
        w->b->at = n.span;
        Val part = vjp_operand(w->b, v, k, cotangent, &missing);
        if (missing) missing_rule(w, v);
        give(w, x, v.i, k, part);
    }
}

static void mark_wanted(Walk *w, uint32_t n, const Val *xs) {
    const Graph *g = w->b->g;
    for (uint32_t i = 0; i < n; i++) w->wanted[xs[i].i] = true;
    for (uint32_t i = 1; i < w->n; i++)
        for (uint32_t k = 0; k < g->nodes.at[i].n; k++)
            if (w->wanted[operand(g, (Val){i}, k).i]) w->wanted[i] = true;
}

bool vjp_walk(Build *b, uint32_t n_seeds, const Seed *seeds, uint32_t n, const Val *xs, Val *out, Diags *ds) {
    Arena *scratch = arena_create();
    Walk w = {b, scratch, ds, b->g->nodes.n, NULL, NULL, true};
    Span at = b->at;
    w.wanted = PUSH(scratch, bool, w.n);
    w.parts = PUSH(scratch, Parts, w.n);
    mark_wanted(&w, n, xs);
    uint32_t last = 0;
    for (uint32_t i = n_seeds; i-- > 0;) {
        give(&w, seeds[i].at, 0, 0, seeds[i].cotangent);
        if (seeds[i].at.i > last) last = seeds[i].at.i;
    }
    for (uint32_t i = last + 1; i-- > 1;)
        if (w.parts[i].n) visit(&w, (Val){i});
    for (uint32_t i = 0; i < n; i++) out[i] = w.parts[xs[i].i].n ? w.parts[xs[i].i].at[0].cotangent : (Val){0};
    b->at = at;
    arena_destroy(scratch);
    return w.ok;
}

/* ---- the pass ---- */
typedef struct {
    Arena *arena;
    const Graph *from;
    Graph *to;
    Val *map;
    Val **grads;
    bool has_grad, ok;
    Diags *ds;
} Expand;

static bool graph_has(const Graph *g, Op op) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        if (g->nodes.at[i].op == op) return true;
        if (g->nodes.at[i].op == OP_scan && graph_has(g->nodes.at[i].attr.scan->body, op)) return true;
    }
    return false;
}

/* One `grad` node: the walk over what has been copied so far, cotangent 1. */
static void expand_grad(Expand *e, uint32_t i) {
    const Node *n = &e->from->nodes.at[i];
    Build b = {e->to, n->span, 0};
    Val s = e->map[operand(e->from, (Val){i}, 0).i];
    uint32_t count = n->n - 1;
    Val *xs = PUSH(e->arena, Val, count), *out = PUSH(e->arena, Val, count);
    for (uint32_t k = 0; k < count; k++) xs[k] = e->map[operand(e->from, (Val){i}, k + 1).i];
    Seed seed = {s, build_const(&b, type_of(e->to, s).dtype, 1)};
    e->ok = vjp_walk(&b, 1, &seed, count, xs, out, e->ds) && e->ok;
    for (uint32_t k = 0; k < count; k++) {
        Type t = type_of(e->to, xs[k]);
        if (!out[k].i) out[k] = build_splat(&b, t.dtype, 0, t.shape);
    }
    e->grads[i] = out;
}

static Graph *expand(Arena *a, const Graph *g, bool has_grad, Diags *ds);

static Attr scan_attr(Expand *e, const Node *n) {
    Attr attr = n->attr;
    Scan *s = PUSH(e->arena, Scan, 1);
    *s = *n->attr.scan;
    /* differentiating this scan differentiates those in its body */
    s->body = expand(e->arena, s->body, e->has_grad || graph_has(s->body, OP_grad), e->ds);
    if (!s->body) {
        e->ok = false;
        s->body = n->attr.scan->body;
    }
    attr.scan = e->has_grad ? scan_with_carries(e->arena, s) : s;
    return attr;
}

static void copy_node(Expand *e, uint32_t i) {
    const Node *n = &e->from->nodes.at[i];
    if (n->op == OP_grad) {
        expand_grad(e, i);
        return;
    }
    if (n->op == OP_result) {
        uint32_t tuple = operand(e->from, (Val){i}, 0).i;
        if (e->grads[tuple]) {
            e->map[i] = e->grads[tuple][n->attr.index];
            return;
        }
    }
    Val *in = PUSH(e->arena, Val, n->n ? n->n : 1);
    for (uint32_t k = 0; k < n->n; k++) in[k] = e->map[operand(e->from, (Val){i}, k).i];
    Attr attr = n->op == OP_scan ? scan_attr(e, n) : n->attr;
    Build b = {e->to, n->span, n->name};
    e->map[i] = build_node(&b, (Op)n->op, (DType)n->dtype, n->shape, &attr, n->n, in);
}

static Graph *empty_like(Arena *a, const Graph *g) {
    Graph *to = graph_create(g->module, intern_str(g->module->names, g->name));
    to->rows = g->rows;
    for (uint32_t i = 0; i < g->columns.n; i++) vec_push(a, &to->columns, g->columns.at[i]);
    return to;
}

static void copy_ends(const Graph *from, Graph *to, const Val *map) {
    for (uint32_t i = 0; i < from->outputs.n; i++)
        graph_output(to, from->outputs.at[i].kind, from->outputs.at[i].name, map[from->outputs.at[i].val.i]);
}

static Graph *expand(Arena *a, const Graph *g, bool has_grad, Diags *ds) {
    Expand e = {a, g, empty_like(a, g), PUSH(a, Val, g->nodes.n), PUSH(a, Val *, g->nodes.n), has_grad, true, ds};
    for (uint32_t i = 1; i < g->nodes.n; i++) copy_node(&e, i);
    copy_ends(g, e.to, e.map);
    return e.ok ? e.to : NULL;
}

/* The values of `grad_as` nodes take their places, in bodies of scans too: nothing asks for a gradient any more.  Not
 * before: a scan is differentiated by walking its body. */
static Graph *drop_grad_as(Arena *a, const Graph *g) {
    Copy c = copy_begin(a, g);
    for (uint32_t i = 1; i < g->nodes.n; i++)
        if (g->nodes.at[i].op == OP_grad_as) c.map[i] = copy_val(&c, operand(g, (Val){i}, 0));
    Graph *to = copy_finish(&c);
    for (uint32_t i = 1; i < to->nodes.n; i++) {
        Node *n = &to->nodes.at[i];
        if (n->op != OP_scan || !graph_has(n->attr.scan->body, OP_grad_as)) continue;
        Scan *s = PUSH(a, Scan, 1);
        *s = *n->attr.scan;
        s->body = drop_grad_as(a, s->body);
        n->attr.scan = s;
    }
    return to;
}

Graph *grad_expand(Arena *a, const Graph *g, Diags *ds) {
    Graph *done = expand(a, g, graph_has(g, OP_grad), ds);
    return done && graph_has(done, OP_grad_as) ? drop_grad_as(a, done) : done;
}
