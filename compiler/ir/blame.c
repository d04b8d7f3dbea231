/* Who made the first value that is not finite.  The interpreter runs the graph twice.  The first run notes of each node
 * whether its value holds an infinity or a NaN, of the body of a scan those of the first turn that has one; then the
 * way is gone back from the checks that failed, over nodes that are not finite.  Infinities that come to nothing, as
 * those behind a mask, lie on no such way.  The second run keeps the value and its operands. */
#include "ir_parts.h"
#include <math.h>
#include <string.h>

typedef enum { FINE, INFINITE, NOT_A_NUMBER } Mark;

/* A graph that is run.  turn: the one the marks are of; settled: they stay. */
typedef struct { const Graph *g; uint8_t *mark; int64_t turn; bool any, settled; } Marks;

typedef struct {
    Arena *a;
    const Graph *top;
    VEC(Marks) at;                         /* of the top, then of bodies as they are met */
    Blame *out;                            /* second run: what is to be kept */
    bool kept;
} Search;

double tensor_element(const Tensor *t, int64_t i) {
    switch (t->dtype) {
    case DT_F32: return (double)((const float *)t->data)[i];
    case DT_F64: return ((const double *)t->data)[i];
    case DT_BF16: return (double)f32_of_bf16(((const uint16_t *)t->data)[i]);
    case DT_F16: return (double)f32_of_f16(((const uint16_t *)t->data)[i]);
    case DT_I32: return ((const int32_t *)t->data)[i];
    case DT_I64: return (double)((const int64_t *)t->data)[i];
    case DT_U8: case DT_BOOL: return ((const uint8_t *)t->data)[i];
    case DT_COUNT: break;
    }
    GR_BUG("element type %d", (int)t->dtype);
}

/* ---- first run ---- */
static Mark mark_of(const Tensor *t) {
    Mark worst = FINE;
    if (!dtype_is_float(t->dtype)) {
        return FINE;
    }
    for (int64_t i = 0, n = shape_count(t->shape); i < n && worst != NOT_A_NUMBER; i++) {
        double x = tensor_element(t, i);
        worst = isnan(x) ? NOT_A_NUMBER : isinf(x) ? INFINITE : worst;
    }
    return worst;
}

static Marks *marks_of(Search *s, const Graph *g) {
    for (uint32_t i = 0; i < s->at.n; i++) {
        if (s->at.at[i].g == g) {
            return &s->at.at[i];
        }
    }
    vec_push(s->a, &s->at, ((Marks){.g = g, .mark = PUSH(s->a, uint8_t, g->nodes.n), .turn = -1}));
    return &s->at.at[s->at.n - 1];
}

/* A tuple shows its first member; the others show as its results. */
static void note(Marks *m, Val v, const Tensor *t) {
    const Node *n = node_of(m->g, v);
    Mark mark = mark_of(t);
    m->mark[v.i] = (uint8_t)mark;
    m->any = m->any || mark != FINE;
    uint32_t tuple = n->op == OP_result ? operand(m->g, v, 0).i : v.i;
    m->mark[tuple] = m->mark[tuple] > mark ? m->mark[tuple] : (uint8_t)mark;
}

static void note_top(void *user, Val v, const Tensor *t) {
    Search *s = user;
    note(marks_of(s, s->top), v, t);
}

static void note_inside(void *user, const Graph *body, int64_t turn, Val v, const Tensor *t) {
    Marks *m = marks_of(user, body);
    m->settled = m->settled || (turn != m->turn && m->any);
    m->turn = m->settled ? m->turn : turn;
    if (!m->settled) {
        note(m, v, t);
    }
}

/* ---- the way back ---- */
static Mark worst_operand(const Marks *m, uint32_t i) {
    const Node *n = &m->g->nodes.at[i];
    Mark worst = FINE;
    for (uint32_t k = 0; k < n->n; k++) {
        Mark mark = (Mark)m->mark[operand(m->g, (Val){i}, k).i];
        worst = mark > worst ? mark : worst;
    }
    return worst;
}

/* Those whose value went into a check that failed; of a body, all. */
static bool *guilty_of(Search *s, const Marks *m) {
    const Graph *g = m->g;
    bool *guilty = PUSH(s->a, bool, g->nodes.n), any = false;
    for (uint32_t i = 0; i < g->effects.n; i++) {
        Val v = g->effects.at[i];
        if (node_of(g, v)->op == OP_check && m->mark[operand(g, v, 0).i] != FINE) {
            guilty[operand(g, v, 0).i] = any = true;
        }
    }
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        guilty[i] = guilty[i] || (!any && m->mark[i] != FINE);
        for (uint32_t k = 0; guilty[i] && k < g->nodes.at[i].n; k++) {
            Val v = operand(g, (Val){i}, k);
            guilty[v.i] = guilty[v.i] || m->mark[v.i] != FINE;
        }
    }
    return guilty;
}

/* What comes in like that is no operation's fault: a weight, a column, a setting or schedule; into the body of a scan
 * only a NaN, as the turn before may have made an infinity.  Then the first operation of finite operands, the first
 * that makes NaN of infinities, the first infinity that comes in. */
static uint32_t first_of(const Marks *m, const bool *guilty) {
    uint32_t given = 0, made = 0, made_nan = 0, infinite = 0;
    for (uint32_t i = m->g->nodes.n; i-- > 1;) {
        const Node *n = &m->g->nodes.at[i];
        Mark mark = (Mark)m->mark[i], worst = worst_operand(m, i);
        if (!guilty[i]) {
            continue;
        }
        if (n->op == OP_arg) {
            given = mark == NOT_A_NUMBER || n->attr.arg.kind != ARG_BODY ? i : given;
            infinite = i;
        } else if (n->op != OP_const) {
            made = worst == FINE ? i : made;
            made_nan = mark == NOT_A_NUMBER && worst != NOT_A_NUMBER ? i : made_nan;
        }
    }
    return given ? given : made ? made : made_nan ? made_nan : infinite;
}

static void find(Search *s, const Graph *g, Blame *out) {
    const Marks *m = marks_of(s, g);
    uint32_t i = first_of(m, guilty_of(s, m));
    *out = (Blame){.graph = g, .node = {i}, .turn = m->turn};
    if (i == 0 || g->nodes.at[i].op != OP_scan) {
        return;
    }
    Blame inner;
    find(s, g->nodes.at[i].attr.scan->body, &inner);
    *out = inner.node.i ? inner : *out;
}

/* ---- second run ---- */
/* The first NaN; of a value without one the first infinity. */
static int64_t worst_element(const Tensor *t) {
    bool nan = mark_of(t) == NOT_A_NUMBER;
    int64_t i = 0, n = shape_count(t->shape);
    while (i + 1 < n && (nan ? !isnan(tensor_element(t, i)) : !isinf(tensor_element(t, i)))) {
        i++;
    }
    return i;
}

static void keep_value(Search *s, const Graph *g, Val v, const Tensor *t) {
    Blame *b = s->out;
    const Node *n = node_of(g, b->node);
    Tensor *to = val_eq(v, b->node) ? &b->result : NULL;
    for (uint32_t k = 0; k < n->n && k < BLAME_OPERANDS && to == NULL; k++) {
        to = val_eq(v, operand(g, b->node, k)) ? &b->in[k] : NULL;
    }
    if (to == NULL || s->kept) {
        return;
    }
    size_t bytes = (size_t)shape_count(t->shape) * dtype_bytes(t->dtype);
    *to = (Tensor){t->dtype, t->shape, arena_push(s->a, bytes + 1, 64)};
    memcpy(to->data, t->data, bytes);
    for (uint32_t k = 0; k < n->n && k < BLAME_OPERANDS; k++) {
        if (val_eq(v, operand(g, b->node, k))) {
            b->in[k] = *to;
        }
    }
    s->kept = to == &b->result && mark_of(t) != FINE;
}

static void keep_top(void *user, Val v, const Tensor *t) {
    Search *s = user;
    if (s->out->graph == s->top) {
        keep_value(s, s->top, v, t);
    }
}

static void keep_inside(void *user, const Graph *body, int64_t turn, Val v, const Tensor *t) {
    Search *s = user;
    if (s->out->graph == body && s->out->turn == turn) {
        keep_value(s, body, v, t);
    }
}

GrStatus graph_blame(Arena *a, EvalRun *run, Blame *out, Error *e) {
    Arena *scratch = arena_create();
    Search s = {.a = scratch, .top = run->graph, .out = out};
    Tensor *outputs = PUSH(scratch, Tensor, run->graph->outputs.n + 1);
    *out = (Blame){0};
    run->user = &s;
    run->seen = note_top;
    run->inside = note_inside;
    GrStatus status = graph_eval(scratch, run, outputs, e);
    if (status == GR_OK && (run->health & HEALTH_NONFINITE)) {
        find(&s, run->graph, out);
    }
    if (status == GR_OK && out->node.i) {
        s.a = a;
        run->seen = keep_top;
        run->inside = keep_inside;
        status = graph_eval(scratch, run, outputs, e);
    }
    if (status == GR_OK && out->result.data) {
        out->element = worst_element(&out->result);
    }
    arena_destroy(scratch);
    return status;
}
