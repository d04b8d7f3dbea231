/* Modules, graphs and nodes.  A graph is three growing arrays (nodes, operands, outputs) and a hash table
 * that makes every pure node unique: asking for a computation that exists gives the node that has it, which
 * is common subexpression elimination for nothing.  Effects are never shared; they are listed in
 * Graph.effects in program order. */
#include "ir_parts.h"
#include "hash.h"
#include <math.h>
#include <string.h>

Module *module_create(Arena *a, const SourceSet *s, const Math *m) {
    Module *mod = PUSH(a, Module, 1);
    mod->arena = a;
    mod->sources = s;
    mod->names = intern_create(a);
    mod->math = m;
    mod->uniforms = uniforms_create(a);
    return mod;
}

Graph *graph_new(Module *m, Arena *a, uint32_t name) {
    Graph *g = PUSH(a, Graph, 1);
    g->module = m;
    g->arena = a;
    g->name = name;
    vec_push(a, &g->nodes, (Node){0});            /* Val 0 means none */
    return g;
}

Graph *graph_create(Module *m, Str name) { return graph_new(m, m->arena, intern_id(m->names, name)); }

const Node *node_of(const Graph *g, Val v) {
    GR_ASSERT(v.i > 0 && v.i < g->nodes.n);
    return &g->nodes.at[v.i];
}

Val operand(const Graph *g, Val v, uint32_t k) {
    const Node *n = node_of(g, v);
    GR_ASSERT(k < n->n);
    return g->operands.at[n->first + k];
}

Type type_of(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    return (Type){(DType)n->dtype, n->shape};
}

bool node_is_tuple(const Node *n) {
    return n->op == OP_scan || n->op == OP_extern || n->op == OP_grad ||
           (n->op == OP_reduce && n->attr.reduce.kind == REDUCE_MOMENTS);
}

uint32_t tuple_members(const Node *n) {
    return n->op == OP_scan     ? n->attr.scan->n_carries + n->attr.scan->n_collected
           : n->op == OP_extern ? n->attr.external->n_results
           : n->op == OP_grad   ? n->n - 1
                                : 2;
}

Type result_type(const Graph *g, Val tuple, uint32_t index) {
    const Node *n = node_of(g, tuple);
    GR_ASSERT(node_is_tuple(n) && index < tuple_members(n));
    if (n->op == OP_grad) {
        return type_of(g, operand(g, tuple, 1 + index));
    }
    if (n->op == OP_extern) {
        return n->attr.external->results[index];
    }
    if (n->op == OP_reduce) {
        return type_of(g, tuple);
    }
    const Scan *s = n->attr.scan;
    Type t = type_of(s->body, s->body->outputs.at[index].val);
    if (index >= s->n_carries) {
        Shape stacked = {.rank = (uint8_t)(t.shape.rank + 1), .dim = {s->length}};
        GR_ASSERT(stacked.rank <= MAX_RANK);
        memcpy(stacked.dim + 1, t.shape.dim, sizeof(int64_t) * t.shape.rank);
        t.shape = stacked;
    }
    return t;
}

void graph_output(Graph *g, OutputKind k, uint32_t name, Val v) {
    vec_push(g->arena, &g->outputs, (Output){k, name, v});
}

Imm imm_of_real(DType t, double x) {
    if (!dtype_is_float(t)) {
        return (Imm){.i = t == DT_BOOL ? x != 0 : isnan(x) ? 0 : x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN
                        : (int64_t)x};
    }
    if (isnan(x)) {
        return (Imm){.f = NAN};
    }
    return (Imm){.f = t == DT_F64 ? x : t == DT_F32 ? f32_of_f64(x)
                    : t == DT_BF16 ? f32_of_bf16(bf16_of_f32(f32_of_f64(x))) : f32_of_f16(f16_of_f32(f32_of_f64(x)))};
}

/* ---- value numbering ---- */
static uint64_t mix_bytes(uint64_t h, const void *p, size_t n) { return hash_bytes(h, p, n); }

static uint64_t imm_bits(DType t, Imm v) {        /* so that -0 and 0 differ, and NaN is itself */
    uint64_t bits;
    memcpy(&bits, dtype_is_float(t) ? (const void *)&v.f : (const void *)&v.i, sizeof bits);
    return bits;
}

static uint64_t extern_hash(uint64_t h, const Extern *x) {
    h = mix_bytes(mix_bytes(h, x->library.s, x->library.n), x->symbol.s, x->symbol.n);
    return mix_bytes(hash_mix(h, x->batch), x->extents, sizeof *x->extents * x->n_extents);
}

/* Everything of the attribute that decides the value, as words. */
static uint64_t attr_hash(uint64_t h, const Node *n) {
    const Attr *at = &n->attr;
    switch (op_attr((Op)n->op)) {
    case ATTR_NONE:   return h;
    case ATTR_ARG:    return hash_mix(hash_mix(h, at->arg.kind), at->arg.id);
    case ATTR_CONST:  return hash_mix(h, imm_bits((DType)n->dtype, at->constant));
    case ATTR_AXIS:   return hash_mix(h, at->axis);
    case ATTR_RANDOM: return hash_mix(hash_mix(h, at->random.kind), at->random.stream);
    case ATTR_AXES:   return mix_bytes(h, at->axes.at, at->axes.n);
    case ATTR_SLICE:
        return mix_bytes(mix_bytes(h, at->slice.lo, 8u * n->shape.rank), at->slice.step, 8u * n->shape.rank);
    case ATTR_PAD:
        h = mix_bytes(mix_bytes(h, at->pad.lo, 8u * n->shape.rank), at->pad.hi, 8u * n->shape.rank);
        return hash_mix(h, imm_bits((DType)n->dtype, at->pad.value));
    case ATTR_WINDOW:
        h = hash_mix(hash_mix(h, at->window.axis), (uint64_t)at->window.stride);
        h = hash_mix(hash_mix(h, (uint64_t)at->window.dilation), (uint64_t)at->window.pad);
        return hash_mix(h, imm_bits((DType)n->dtype, at->window.value));
    case ATTR_GATHER: return hash_mix(hash_mix(h, at->gather.batch), (uint64_t)at->gather.extent);
    case ATTR_REDUCE: return mix_bytes(hash_mix(h, at->reduce.kind), at->reduce.at, at->reduce.n);
    case ATTR_CUMULATIVE: return hash_mix(h, at->cumulative);
    case ATTR_CONTRACT: return mix_bytes(h, at->contract, sizeof(Contract));
    case ATTR_SCAN:   return hash_mix(hash_mix(h, (uint64_t)at->scan->length), (uintptr_t)at->scan->body);
    case ATTR_EXTERN: return extern_hash(h, at->external);
    case ATTR_INDEX:  return hash_mix(h, at->index);
    case ATTR_GRAD:   return h;
    case ATTR_CHECK:  return hash_mix(h, at->check.name);
    case ATTR_COMMIT: return hash_mix(h, at->commit.var);
    }
    GR_BUG("attribute of %s", op_name((Op)n->op));
}

static bool scan_eq(const Scan *x, const Scan *y) {
    return x->body == y->body && x->n_carries == y->n_carries && x->n_sequences == y->n_sequences
        && x->n_collected == y->n_collected && x->length == y->length && x->reverse == y->reverse;
}

static bool extern_eq(const Extern *x, const Extern *y) {
    bool same = str_eq(x->library, y->library) && str_eq(x->symbol, y->symbol) && str_eq(x->gradient, y->gradient) &&
                x->nograd == y->nograd && x->batch == y->batch && x->n_extents == y->n_extents &&
                x->n_results == y->n_results;
    for (uint32_t i = 0; same && i < x->n_extents; i++) {
        same = x->extents[i] == y->extents[i];
    }
    for (uint32_t i = 0; same && i < x->n_results; i++) {
        same = x->results[i].dtype == y->results[i].dtype && shape_eq(x->results[i].shape, y->results[i].shape);
    }
    return same;
}

static bool attr_eq(const Node *m, const Node *n) {
    const Attr *x = &m->attr, *y = &n->attr;
    size_t extents = 8u * n->shape.rank;
    switch (op_attr((Op)n->op)) {
    case ATTR_NONE:   return true;
    case ATTR_ARG:    return x->arg.kind == y->arg.kind && x->arg.id == y->arg.id;
    case ATTR_CONST:  return imm_bits((DType)m->dtype, x->constant) == imm_bits((DType)n->dtype, y->constant);
    case ATTR_AXIS:   return x->axis == y->axis;
    case ATTR_RANDOM: return x->random.kind == y->random.kind && x->random.stream == y->random.stream;
    case ATTR_AXES:   return x->axes.n == y->axes.n && memcmp(x->axes.at, y->axes.at, x->axes.n) == 0;
    case ATTR_SLICE:
        return memcmp(x->slice.lo, y->slice.lo, extents) == 0 && memcmp(x->slice.step, y->slice.step, extents) == 0;
    case ATTR_PAD:
        return memcmp(x->pad.lo, y->pad.lo, extents) == 0 && memcmp(x->pad.hi, y->pad.hi, extents) == 0
            && imm_bits((DType)m->dtype, x->pad.value) == imm_bits((DType)n->dtype, y->pad.value);
    case ATTR_WINDOW:
        return x->window.axis == y->window.axis && x->window.stride == y->window.stride
            && x->window.dilation == y->window.dilation && x->window.pad == y->window.pad
            && imm_bits((DType)m->dtype, x->window.value) == imm_bits((DType)n->dtype, y->window.value);
    case ATTR_GATHER: return x->gather.batch == y->gather.batch && x->gather.extent == y->gather.extent;
    case ATTR_REDUCE:
        return x->reduce.kind == y->reduce.kind && x->reduce.n == y->reduce.n
            && memcmp(x->reduce.at, y->reduce.at, x->reduce.n) == 0;
    case ATTR_CUMULATIVE: return x->cumulative == y->cumulative;
    case ATTR_CONTRACT: return memcmp(x->contract, y->contract, sizeof(Contract)) == 0;
    case ATTR_SCAN:   return scan_eq(x->scan, y->scan);
    case ATTR_EXTERN: return extern_eq(x->external, y->external);
    case ATTR_INDEX:  return x->index == y->index;
    case ATTR_GRAD:   return true;
    case ATTR_CHECK:  return x->check.name == y->check.name;
    case ATTR_COMMIT: return x->commit.var == y->commit.var;
    }
    GR_BUG("attribute of %s", op_name((Op)n->op));
}

static uint64_t node_hash(const Node *n, const Val *in) {
    uint64_t h = hash_mix(n->op, n->dtype);
    h = mix_bytes(h, n->shape.dim, sizeof(int64_t) * n->shape.rank);
    h = mix_bytes(h, in, sizeof(Val) * n->n);
    return attr_hash(h, n);
}

static bool node_eq(const Graph *g, const Node *have, const Node *want, const Val *in) {
    return have->op == want->op && have->dtype == want->dtype && have->n == want->n &&
           shape_eq(have->shape, want->shape) &&
           (want->n == 0 || memcmp(g->operands.at + have->first, in, sizeof(Val) * want->n) == 0) &&
           attr_eq(have, want);
}

/* The slot that holds the node, or the empty one where it belongs. */
static uint32_t *find_slot(const Graph *g, const Node *n, const Val *in) {
    uint32_t mask = g->table_cap - 1;
    uint32_t at = (uint32_t)node_hash(n, in) & mask;
    while (g->table[at] != 0 && !node_eq(g, &g->nodes.at[g->table[at]], n, in)) {
        at = (at + 1) & mask;
    }
    return &g->table[at];
}

static void grow_table(Graph *g) {
    g->table_cap = g->table_cap == 0 ? 64 : g->table_cap * 2;
    g->table = PUSH(g->arena, uint32_t, g->table_cap);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (op_class((Op)n->op) != CLASS_EFFECT) {
            *find_slot(g, n, g->operands.at + n->first) = i;
        }
    }
}

Val graph_append(Graph *g, Node node, uint32_t n, const Val *in, bool numbered) {
    bool effect = op_class((Op)node.op) == CLASS_EFFECT;
    node.n = n;
    uint32_t *slot = NULL;
    if (!effect) {
        if (g->nodes.n * 2 >= g->table_cap) {
            grow_table(g);
        }
        slot = find_slot(g, &node, in);
        if (numbered && *slot != 0) {
            Node *have = &g->nodes.at[*slot];
            have->name = have->name != 0 ? have->name : node.name;
            return (Val){*slot};
        }
    }
    Val v = {g->nodes.n};
    node.first = g->operands.n;
    for (uint32_t k = 0; k < n; k++) {
        vec_push(g->arena, &g->operands, in[k]);
    }
    vec_push(g->arena, &g->nodes, node);
    if (effect) {
        vec_push(g->arena, &g->effects, v);
    } else if (*slot == 0) {
        *slot = v.i;
    }
    return v;
}

/* ---- copying with replacement ---- */
Copy copy_begin(Arena *a, const Graph *from) {
    Graph *to = graph_new(from->module, a, from->name);
    to->rows = from->rows;
    /* about as many: a list that grows by doubling leaves as much behind in the arena */
    vec_reserve(a, &to->nodes, from->nodes.n + from->nodes.n / 8);
    vec_reserve(a, &to->operands, from->operands.n + from->operands.n / 8);
    for (uint32_t i = 0; i < from->columns.n; i++) {
        vec_push(a, &to->columns, from->columns.at[i]);
    }
    return (Copy){from, to, PUSH(a, Val, from->nodes.n)};
}

static void copy_node(Copy *c, Val v) {
    const Node *n = node_of(c->from, v);
    Val *in = PUSH(c->to->arena, Val, n->n);
    for (uint32_t k = 0; k < n->n; k++) {
        in[k] = c->map[operand(c->from, v, k).i];
    }
    Build b = {c->to, n->span, n->name};
    c->map[v.i] = build_node(&b, (Op)n->op, (DType)n->dtype, n->shape, &n->attr, n->n, in);
}

/* Operands are earlier nodes, so a stack of what still waits for its operands is all the recursion there is. */
Val copy_val(Copy *c, Val v) {
    if (c->map[v.i].i != 0) {
        return c->map[v.i];
    }
    VEC(Val) wait = {0};
    vec_push(c->to->arena, &wait, v);
    while (wait.n > 0) {
        Val top = wait.at[wait.n - 1];
        if (c->map[top.i].i != 0) {
            wait.n--;
            continue;
        }
        bool ready = true;
        for (uint32_t k = node_of(c->from, top)->n; k-- > 0;) {
            Val in = operand(c->from, top, k);
            if (c->map[in.i].i == 0) {
                vec_push(c->to->arena, &wait, in);
                ready = false;
            }
        }
        if (ready) {
            copy_node(c, top);
        }
    }
    return c->map[v.i];
}

Attr copy_attr(Arena *a, const Node *n, Graph *(*pass)(Arena *a, const Graph *g)) {
    Attr attr = n->attr;
    if (n->op != OP_scan)
        return attr;
    Scan *s = PUSH(a, Scan, 1);
    *s = *n->attr.scan;
    s->body = pass(a, s->body);
    attr.scan = s;
    return attr;
}

Graph *copy_finish(Copy *c) {
    for (uint32_t i = 0; i < c->from->outputs.n; i++) {
        Output o = c->from->outputs.at[i];
        graph_output(c->to, o.kind, o.name, copy_val(c, o.val));
    }
    for (uint32_t i = 0; i < c->from->effects.n; i++) {
        copy_val(c, c->from->effects.at[i]);
    }
    return c->to;
}
