/* Gradient of a scan: a scan in the other direction.
 *
 * Forward keeps, beside its results, only what the carries were before each step (scan_with_carries).  The reverse scan
 * carries the cotangents of the carries and the sums of the cotangents of the constants; a step recomputes the
 * body from the kept carries and walks it backwards.  Cotangents of the sequences are collected.  Steps of a
 * reverse scan run from the last to the first, so a sum over steps takes the last step first. */
#include "vjp.h"

/* The nodes of `body` again in graph `to`, its inputs replaced; map[old node] = new. */
static void replay(Arena *a, const Graph *body, const Val *inputs, Graph *to, Val *map) {
    for (uint32_t i = 1; i < body->nodes.n; i++) {
        const Node *n = &body->nodes.at[i];
        if (n->op == OP_arg && n->attr.arg.kind == ARG_BODY) {
            map[i] = inputs[n->attr.arg.id];
            continue;
        }
        Val *in = PUSH(a, Val, n->n ? n->n : 1);
        for (uint32_t k = 0; k < n->n; k++) in[k] = map[operand(body, (Val){i}, k).i];
        Build b = {to, n->span, n->name};
        map[i] = build_node(&b, (Op)n->op, (DType)n->dtype, n->shape, &n->attr, n->n, in);
    }
}

static Graph *new_body(const Graph *like) {
    return graph_create(like->module, intern_str(like->module->names, like->name));
}

/* Types of a body's inputs, found at its argument nodes; the carries' are those of its results. */
static void input_types(const Scan *s, uint32_t n, Type *types) {
    for (uint32_t i = 0; i < s->n_carries; i++) types[i] = type_of(s->body, s->body->outputs.at[i].val);
    for (uint32_t i = 1; i < s->body->nodes.n; i++) {
        const Node *node = &s->body->nodes.at[i];
        if (node->op != OP_arg || node->attr.arg.kind != ARG_BODY) continue;
        GR_ASSERT(node->attr.arg.id < n);
        types[node->attr.arg.id] = (Type){(DType)node->dtype, node->shape};
    }
}

const Scan *scan_with_carries(Arena *a, const Scan *s) {
    const Graph *body = s->body;
    Graph *to = new_body(body);
    uint32_t n_inputs = s->n_carries;
    for (uint32_t i = 1; i < body->nodes.n; i++) {
        const Node *node = &body->nodes.at[i];
        if (node->op == OP_arg && node->attr.arg.kind == ARG_BODY && node->attr.arg.id >= n_inputs)
            n_inputs = node->attr.arg.id + 1;
    }
    Type *types = PUSH(a, Type, n_inputs);
    Val *inputs = PUSH(a, Val, n_inputs), *map = PUSH(a, Val, body->nodes.n);
    bool *used = PUSH(a, bool, n_inputs);
    input_types(s, n_inputs, types);
    for (uint32_t i = 0; i < s->n_carries; i++) used[i] = true;
    for (uint32_t i = 1; i < body->nodes.n; i++) {
        const Node *node = &body->nodes.at[i];
        if (node->op == OP_arg && node->attr.arg.kind == ARG_BODY) used[node->attr.arg.id] = true;
    }
    Build b = {to, {0, 0}, 0};
    for (uint32_t i = 0; i < n_inputs; i++)
        if (used[i]) inputs[i] = build_arg(&b, ARG_BODY, i, types[i]);
    replay(a, body, inputs, to, map);
    for (uint32_t i = 0; i < body->outputs.n; i++) {
        const Output *o = &body->outputs.at[i];
        graph_output(to, o->kind, o->name, map[o->val.i]);
    }
    for (uint32_t i = 0; i < s->n_carries; i++) graph_output(to, OUT_VALUE, 0, inputs[i]);
    Scan *more = PUSH(a, Scan, 1);
    *more = *s;
    more->body = to;
    more->n_collected = s->n_collected + s->n_carries;
    return more;
}

/* What the reverse scan is made of: its operands, with the body input that stands for one step of each, and the
 * members of the tuple it gives. */
typedef struct { uint32_t output; Val input; } BodySeed;      /* cotangent of result `output` of the forward body */
typedef struct {
    Build *outer, body;
    Arena *arena;
    Val    scan;                 /* the forward scan */
    const Scan *forward;
    uint32_t n;                  /* its operands: carries, sequences, constants */
    VEC(Val) operands;           /* of the reverse scan */
    uint32_t n_carries, n_sequences, n_inputs, n_members, n_collected;
    /* by forward operand: its step in the reverse body; the running sum of a constant's cotangent */
    Val *inputs, *sum;
    uint32_t *member;            /* by forward operand: 1 + member that holds its cotangent */
    VEC(BodySeed) seeds;
} Reverse;

static bool is_float(const Graph *g, Val v) { return dtype_is_float(type_of(g, v).dtype); }
static Val  zeros(Build *b, Type t) { return build_splat(b, t.dtype, 0, t.shape); }
static Val  forward_operand(const Reverse *r, uint32_t k) { return operand(r->outer->g, r->scan, k); }
static bool float_operand(const Reverse *r, uint32_t k) { return is_float(r->outer->g, forward_operand(r, k)); }

static Val add_input(Reverse *r, Val value, bool sequence) {
    Type t = type_of(r->outer->g, value);
    if (sequence) {
        for (uint32_t i = 1; i < t.shape.rank; i++) t.shape.dim[i - 1] = t.shape.dim[i];
        t.shape.rank--;
    }
    vec_push(r->arena, &r->operands, value);
    return build_arg(&r->body, ARG_BODY, r->n_inputs++, t);
}

/* Cotangents of the carries, then sums for the constants that want one. */
static void reverse_carries(Reverse *r, const Val *g, const bool *needed) {
    const Scan *s = r->forward;
    for (uint32_t i = 0; i < s->n_carries; i++) {
        if (!float_operand(r, i)) continue;
        Val start = g[i].i ? g[i] : zeros(r->outer, type_of(r->outer->g, forward_operand(r, i)));
        vec_push(r->arena, &r->seeds, ((BodySeed){i, add_input(r, start, false)}));
    }
    for (uint32_t k = s->n_carries + s->n_sequences; k < r->n; k++)
        if (needed[k] && float_operand(r, k))
            r->sum[k] = add_input(r, zeros(r->outer, type_of(r->outer->g, forward_operand(r, k))), false);
    r->n_carries = r->n_inputs;
}

/* The kept carries, the forward sequences, the cotangents of what was collected; then the constants. */
static void reverse_sequences(Reverse *r, const Val *g) {
    const Scan *s = r->forward;
    uint32_t nc = s->n_carries, first_kept = s->n_collected;         /* scan_with_carries put them last */
    for (uint32_t i = 0; i < nc; i++)
        r->inputs[i] = add_input(r, build_result(r->outer, r->scan, first_kept + i), true);
    for (uint32_t i = 0; i < s->n_sequences; i++) r->inputs[nc + i] = add_input(r, forward_operand(r, nc + i), true);
    for (uint32_t i = nc; i < nc + s->n_collected; i++)
        if (g[i].i) vec_push(r->arena, &r->seeds, ((BodySeed){i, add_input(r, g[i], true)}));
    r->n_sequences = r->n_inputs - r->n_carries;
    for (uint32_t k = nc + s->n_sequences; k < r->n; k++) r->inputs[k] = add_input(r, forward_operand(r, k), false);
}

/* One step backwards: the body again, then its walk. */
static bool reverse_body(Reverse *r, Val *cotangent, Diags *ds) {
    const Graph *body = r->forward->body;
    Val *map = PUSH(r->arena, Val, body->nodes.n);
    replay(r->arena, body, r->inputs, r->body.g, map);
    Seed *start = PUSH(r->arena, Seed, r->seeds.n + 1);
    for (uint32_t i = 0; i < r->seeds.n; i++)
        start[i] = (Seed){map[body->outputs.at[r->seeds.at[i].output].val.i], r->seeds.at[i].input};
    return vjp_walk(&r->body, r->seeds.n, start, r->n, r->inputs, cotangent, ds);
}

static void hand_out(Reverse *r, uint32_t k, Val v) {
    graph_output(r->body.g, OUT_VALUE, 0, v);
    r->member[k] = ++r->n_members;
}

static void reverse_results(Reverse *r, const Val *cotangent, const bool *needed) {
    const Scan *s = r->forward;
    for (uint32_t i = 0; i < s->n_carries; i++)
        if (float_operand(r, i))
            hand_out(r, i, cotangent[i].i ? cotangent[i] : zeros(&r->body, type_of(r->body.g, r->inputs[i])));
    for (uint32_t k = s->n_carries + s->n_sequences; k < r->n; k++)
        if (r->sum[k].i)
            hand_out(r, k, cotangent[k].i ? build_2(&r->body, OP_add, r->sum[k], cotangent[k]) : r->sum[k]);
    for (uint32_t k = s->n_carries; k < s->n_carries + s->n_sequences; k++)
        if (needed[k] && cotangent[k].i) hand_out(r, k, cotangent[k]), r->n_collected++;
}

bool vjp_scan(Build *b, Val v, const Val *g, const bool *needed, Val *out, Diags *ds) {
    const Node n = *node_of(b->g, v);
    Arena *a = b->g->arena;
    Reverse r = {.outer = b,
                 .body = {new_body(n.attr.scan->body), b->at, 0},
                 .arena = a,
                 .scan = v,
                 .forward = n.attr.scan,
                 .n = n.n};
    r.inputs = PUSH(a, Val, n.n);
    r.sum = PUSH(a, Val, n.n);
    r.member = PUSH(a, uint32_t, n.n);
    reverse_carries(&r, g, needed);
    reverse_sequences(&r, g);
    Val *cotangent = PUSH(a, Val, n.n);
    if (!reverse_body(&r, cotangent, ds)) return false;
    reverse_results(&r, cotangent, needed);
    Scan *back = PUSH(a, Scan, 1);
    *back = (Scan){r.body.g, r.n_carries, r.n_sequences, r.n_collected, n.attr.scan->length, !n.attr.scan->reverse};
    /* it may be differentiated again */
    Val tuple = build_scan(b, scan_with_carries(a, back), r.operands.n, r.operands.at);
    for (uint32_t k = 0; k < n.n; k++)
        if (needed[k] && r.member[k]) out[k] = build_result(b, tuple, r.member[k] - 1);
    return true;
}
