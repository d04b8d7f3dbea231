/* Gradient of a scan: a scan in the other direction.
 *
 * Forward keeps, beside its results, only what the carries were before each step (scan_with_carries).  The reverse scan
 * carries the cotangents of the carries and the sums of the cotangents of the constants; a step recomputes the body from the
 * kept carries and walks it backwards.  Cotangents of the sequences are collected.  Steps of a reverse scan run from the
 * last to the first, so a sum over steps takes the last step first. */
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

/* What the reverse scan is made of: its operands in order, and for each the body input that stands for one step of it. */
typedef struct {
    Build *outer, body;
    Arena *arena;
    VEC(Val) operands;      /* carries, then sequences, then constants */
    uint32_t n_inputs;
} Reverse;

static Val add_input(Reverse *r, Val operand_value, bool sequence) {
    Type t = type_of(r->outer->g, operand_value);
    if (sequence) {
        for (uint32_t i = 1; i < t.shape.rank; i++) t.shape.dim[i - 1] = t.shape.dim[i];
        t.shape.rank--;
    }
    vec_push(r->arena, &r->operands, operand_value);
    return build_arg(&r->body, ARG_BODY, r->n_inputs++, t);
}

static bool is_float(const Graph *g, Val v) { return dtype_is_float(type_of(g, v).dtype); }

static Val zeros(Build *b, Type t) { return build_splat(b, t.dtype, 0, t.shape); }

/* The cotangent given to the walk for result number i of the body. */
typedef struct { uint32_t output; Val input; } BodySeed;

bool vjp_scan(Build *b, Val v, const Val *g, const bool *needed, Val *out, Diags *ds) {
    const Node n = *node_of(b->g, v);
    const Scan *s = n.attr.scan;
    const Graph *body = s->body;
    Arena *a = b->g->arena;
    uint32_t nc = s->n_carries, ns = s->n_sequences, first_const = nc + ns;
    uint32_t first_kept = s->n_carries + s->n_collected - nc;        /* results that hold the carries before each step */
    Reverse r = {b, {new_body(body), b->at, 0}, a, {0}, 0};
    Val *inputs = PUSH(a, Val, n.n), *sum = PUSH(a, Val, n.n), *map = PUSH(a, Val, body->nodes.n);
    VEC(BodySeed) seeds = {0};
    VEC(uint32_t) sums = {0};

    for (uint32_t i = 0; i < nc; i++)
        if (is_float(b->g, operand(b->g, v, i))) {
            Val start = g[i].i ? g[i] : zeros(b, type_of(b->g, operand(b->g, v, i)));
            vec_push(a, &seeds, ((BodySeed){i, add_input(&r, start, false)}));
        }
    for (uint32_t k = first_const; k < n.n; k++) {
        Val constant = operand(b->g, v, k);
        if (!needed[k] || !is_float(b->g, constant)) continue;
        sum[k] = add_input(&r, zeros(b, type_of(b->g, constant)), false);
        vec_push(a, &sums, k);
    }
    uint32_t n_reverse_carries = r.n_inputs;
    for (uint32_t i = 0; i < nc; i++) inputs[i] = add_input(&r, build_result(b, v, first_kept + i), true);
    for (uint32_t i = 0; i < ns; i++) inputs[nc + i] = add_input(&r, operand(b->g, v, nc + i), true);
    for (uint32_t i = nc; i < nc + s->n_collected; i++)
        if (g[i].i) vec_push(a, &seeds, ((BodySeed){i, add_input(&r, g[i], true)}));
    uint32_t n_reverse_sequences = r.n_inputs - n_reverse_carries;
    for (uint32_t k = first_const; k < n.n; k++) inputs[k] = add_input(&r, operand(b->g, v, k), false);

    Graph *to = r.body.g;
    replay(a, body, inputs, to, map);
    Seed *start = PUSH(a, Seed, seeds.n + 1);
    for (uint32_t i = 0; i < seeds.n; i++)
        start[i] = (Seed){map[body->outputs.at[seeds.at[i].output].val.i], seeds.at[i].input};
    Val *cotangent = PUSH(a, Val, n.n);
    if (!vjp_walk(&r.body, seeds.n, start, n.n, inputs, cotangent, ds)) return false;

    /* results: the carries' cotangents, the sums, then the sequences' cotangents */
    Scan *rev = PUSH(a, Scan, 1);
    *rev = (Scan){to, n_reverse_carries, n_reverse_sequences, 0, s->length, !s->reverse};
    uint32_t member = 0;
    uint32_t *member_of = PUSH(a, uint32_t, n.n);
    bool *has = PUSH(a, bool, n.n);
    for (uint32_t i = 0; i < nc; i++)
        if (is_float(b->g, operand(b->g, v, i))) {
            Val c = cotangent[i].i ? cotangent[i] : zeros(&r.body, type_of(to, inputs[i]));
            graph_output(to, OUT_VALUE, 0, c);
            member_of[i] = member++, has[i] = true;
        }
    for (uint32_t i = 0; i < sums.n; i++) {
        uint32_t k = sums.at[i];
        Val c = cotangent[k].i ? build_2(&r.body, OP_add, sum[k], cotangent[k]) : sum[k];
        graph_output(to, OUT_VALUE, 0, c);
        member_of[k] = member++, has[k] = true;
    }
    for (uint32_t k = nc; k < nc + ns; k++) {
        if (!needed[k] || !cotangent[k].i) continue;
        graph_output(to, OUT_VALUE, 0, cotangent[k]);
        rev->n_collected++;
        member_of[k] = member++, has[k] = true;
    }
    Val reverse = build_scan(b, scan_with_carries(a, rev), r.operands.n, r.operands.at);   /* it may be differentiated again */
    for (uint32_t k = 0; k < n.n; k++)
        if (needed[k] && has[k]) out[k] = build_result(b, reverse, member_of[k]);
    return true;
}
