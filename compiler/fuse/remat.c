/* Rematerialisation.  What the forward pass makes and the backward pass reads is kept through all of what lies between.
 * Here some of these values are dropped: the backward pass reads copies, computed from values that are kept.  What is
 * dropped and hangs together is a segment; all of its copies stand behind one event, a value that the plan made in the
 * last wave before the first of them is read.  They read what is kept through an `after` of that event, which makes
 * them other values than the originals, orders them, and is the only trace this leaves: a copy has the bits of its
 * original, draws of random numbers too, since they depend on counters alone.  No cycle can come of it: an event is
 * made before its segment is read, and what it is made of was made before that. */
#include "remat.h"
#include "ir_parts.h"

static const uint32_t NEVER = UINT32_MAX;

/* ---- a graph and its plan ---- */
static void mark_made_of(const Graph *g, bool *mark) {
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        for (uint32_t k = 0; mark[i] && k < g->nodes.at[i].n; k++) {
            mark[operand(g, (Val){i}, k).i] = true;
        }
    }
}

static bool updates_param(const Graph *g, const Node *n) {
    if (n->op != OP_commit)
        return n->op == OP_check;
    VarKind kind = g->module->vars.at[n->attr.commit.var].kind;
    return kind == VAR_PARAM || kind == VAR_OPTIM;
}

Timeline remat_timeline(Arena *a, const Graph *g, const Planned *p) {
    Timeline t = {.g = g,
                  .forward = PUSH(a, bool, g->nodes.n),
                  .backward = PUSH(a, bool, g->nodes.n),
                  .stored = PUSH(a, bool, g->nodes.n),
                  .wave = PUSH(a, uint32_t, g->nodes.n)};
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        t.forward[g->outputs.at[i].val.i] = true;
    }
    mark_made_of(g, t.forward);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        t.backward[i] = updates_param(g, &g->nodes.at[i]);
    }
    mark_made_of(g, t.backward);
    for (uint32_t i = 0; i < g->nodes.n; i++) {
        t.backward[i] &= !t.forward[i];
        t.wave[i] = NEVER;
    }
    for (uint32_t i = 0; i < p->held.n; i++) {
        const Held *h = &p->held.at[i];
        if (h->graph != g || h->packed)
            continue;
        bool tuple = g->nodes.at[h->val.i].op == OP_scan || g->nodes.at[h->val.i].op == OP_extern;
        t.stored[h->val.i] = true;
        t.wave[h->val.i] = tuple || h->first < t.wave[h->val.i] ? h->first : t.wave[h->val.i];
    }
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; k < n->n; k++) {
            uint32_t x = operand(g, (Val){i}, k).i;
            if (!t.stored[x] && t.wave[i] < t.wave[x])
                t.wave[x] = t.wave[i];
        }
    }
    return t;
}

bool remat_possible(const Timeline *t, Val v) {
    const Node *n = node_of(t->g, v);
    Op op = (Op)n->op;
    bool tuple = op == OP_scan || op == OP_extern || (op == OP_reduce && n->attr.reduce.kind == REDUCE_MOMENTS);
    return t->forward[v.i] && t->stored[v.i] && !tuple && op != OP_arg && op != OP_result && op != OP_after &&
           op_class(op) != CLASS_EFFECT;
}

/* Of a value in memory the last wave in which the forward pass needs it; of one that is computed where it is read, the
 * last of what it is made of.  What the backward pass reads until then it reads for nothing: an index of the maximum
 * that is found along with the maximum, say. */
uint32_t *remat_until(Arena *a, const Timeline *t) {
    uint32_t *until = PUSH(a, uint32_t, t->g->nodes.n);
    for (uint32_t i = t->g->nodes.n; i-- > 1;) {
        uint32_t at = t->stored[i] ? t->wave[i] : until[i];
        for (uint32_t k = 0; t->forward[i] && at != NEVER && k < t->g->nodes.at[i].n; k++) {
            uint32_t *of = &until[operand(t->g, (Val){i}, k).i];
            *of = at > *of ? at : *of;
        }
    }
    for (uint32_t i = 1; i < t->g->nodes.n; i++) {
        for (uint32_t k = 0; t->forward[i] && !t->stored[i] && k < t->g->nodes.at[i].n; k++) {
            uint32_t of = until[operand(t->g, (Val){i}, k).i];
            until[i] = of > until[i] ? of : until[i];
        }
    }
    return until;
}

/* ---- segments ---- */
typedef struct {
    const Timeline *t;
    Arena *arena;
    const Graph *g;
    Graph *to;
    const bool *drop;
    bool *again;       /* of the forward pass, and made of something dropped that does not lie in memory */
    const uint32_t *until;
    uint32_t *segment; /* by such node: one of its segment; follow to the root */
    Val *event;        /* by root */
    Val *map;          /* by node: its original in the new graph */
    Val **copy;        /* by root, by node: the copy */
    VEC(Val) origin;
    VEC(bool) copies;
} Remake;

static uint32_t root_of(const Remake *r, uint32_t i) {
    while (r->segment[i] != i) {
        i = r->segment[i];
    }
    return i;
}

static bool reads_copy(const Remake *r, Val user, Val x) {
    return r->t->backward[user.i] && r->again[x.i] && r->t->wave[user.i] > r->until[x.i];
}

static void find_segments(Remake *r) {
    for (uint32_t i = 1; i < r->g->nodes.n; i++) {
        const Node *n = &r->g->nodes.at[i];
        bool lies = r->t->stored[i] || n->op == OP_arg || n->op == OP_const || n->op == OP_result;
        r->segment[i] = i;
        r->again[i] = r->drop[i];
        for (uint32_t k = 0; r->t->forward[i] && (!lies || r->drop[i]) && k < n->n; k++) {
            uint32_t x = operand(r->g, (Val){i}, k).i;
            if (!r->again[x])
                continue;
            r->again[i] = true;
            r->segment[root_of(r, x)] = root_of(r, i);
        }
    }
}

/* By value: the last wave in which it, or something it is made of, is made.  A value that is not stored is made where
 * it is read, which may be behind another that is made of it as well. */
static uint32_t *last_waves(const Remake *r) {
    uint32_t *last = PUSH(r->arena, uint32_t, r->g->nodes.n);
    for (uint32_t i = 1; i < r->g->nodes.n; i++) {
        last[i] = r->t->wave[i];
        for (uint32_t k = 0; k < r->g->nodes.at[i].n; k++) {
            uint32_t x = operand(r->g, (Val){i}, k).i;
            last[i] = last[x] > last[i] ? last[x] : last[i];
        }
    }
    return last;
}

/* The last value that is made before `wave` with all it is made of: none of that reads a copy which waits for it. */
static Val last_before(const Timeline *t, const uint32_t *waves, uint32_t wave) {
    Val last = {0};
    for (uint32_t i = 1; i < t->g->nodes.n; i++) {
        const Node *n = &t->g->nodes.at[i];
        bool plain = n->op != OP_scan && n->op != OP_extern &&
                     !(n->op == OP_reduce && n->attr.reduce.kind == REDUCE_MOMENTS);
        if (plain && t->stored[i] && waves[i] < wave && (last.i == 0 || t->wave[i] >= t->wave[last.i]))
            last = (Val){i};
    }
    return last;
}

static void find_events(Remake *r) {
    uint32_t *need = PUSH(r->arena, uint32_t, r->g->nodes.n), *waves = last_waves(r);
    for (uint32_t i = 1; i < r->g->nodes.n; i++) {
        need[i] = NEVER;
    }
    for (uint32_t i = 1; i < r->g->nodes.n; i++) {
        for (uint32_t k = 0; k < r->g->nodes.at[i].n; k++) {
            Val x = operand(r->g, (Val){i}, k);
            if (!reads_copy(r, (Val){i}, x))
                continue;
            uint32_t root = root_of(r, x.i);
            need[root] = r->t->wave[i] < need[root] ? r->t->wave[i] : need[root];
        }
    }
    for (uint32_t i = 1; i < r->g->nodes.n; i++) {
        if (need[i] != NEVER)
            r->event[i] = last_before(r->t, waves, need[i]);
    }
}

/* ---- the new graph ---- */
static Val put(Remake *r, Val from, const Val *in, bool copy) {
    const Node *n = node_of(r->g, from);
    Build b = {r->to, n->span, n->name};
    Val v = build_node(&b, (Op)n->op, (DType)n->dtype, n->shape, &n->attr, n->n, in);
    while (r->origin.n < r->to->nodes.n) {
        vec_push(r->arena, &r->origin, from);
        vec_push(r->arena, &r->copies, copy);
    }
    return v;
}

/* ---- walking ----
 * What is made, an original or a copy, waits for its operands; a graph is deeper than the stack, so the walk has its
 * own. */
typedef struct { Val v; uint32_t root, next; Val *in; } Making;    /* root: of a copy's segment; 0: the original */
typedef struct { Remake *r; VEC(Making) stack; } Walk;

static Val *place_of(Remake *r, Val v, uint32_t root) {
    if (root == 0)
        return &r->map[v.i];
    if (r->copy[root] == NULL)
        r->copy[root] = PUSH(r->arena, Val, r->g->nodes.n);
    return &r->copy[root][v.i];
}

/* The value, if it is made; else it comes next, and what asked is asked again. */
static Val made(Walk *w, Val v, uint32_t root) {
    Remake *r = w->r;
    root = root != 0 && r->event[root].i == 0 ? 0 : root;          /* nothing to wait for: no copy */
    Val there = *place_of(r, v, root);
    if (there.i == 0)
        vec_push(r->arena, &w->stack, ((Making){v, root, 0, PUSH(r->arena, Val, node_of(r->g, v)->n + 1)}));
    return there;
}

/* A value that is kept, for a copy to read. */
static Val behind(Walk *w, Val kept, uint32_t root) {
    Remake *r = w->r;
    const Node *n = node_of(r->g, kept);
    Val event = made(w, r->event[root], 0), value = event.i == 0 ? event : made(w, kept, 0);
    if (value.i == 0)
        return value;
    Build b = {r->to, n->span, n->name};
    Val v = build_after(&b, value, event);
    while (r->origin.n < r->to->nodes.n) {
        vec_push(r->arena, &r->origin, kept);
        vec_push(r->arena, &r->copies, true);
    }
    return v;
}

static Val copy_operand(Walk *w, Val user, Val x, uint32_t root) {
    const Remake *r = w->r;
    const Node *n = node_of(r->g, x);
    bool drawn = node_of(r->g, user)->op == OP_random; /* it has no operand but these to wait with */
    bool number = n->op == OP_const || n->op == OP_iota ||
                  (n->op == OP_arg && n->attr.arg.kind == ARG_UNIFORM && !drawn);
    if (number)
        return made(w, x, 0);
    bool lies = r->t->stored[x.i] || n->op == OP_arg || n->op == OP_result;
    return lies && !r->again[x.i] ? behind(w, x, root) : made(w, x, root);
}

static Val operand_of(Walk *w, Val user, uint32_t root, uint32_t k) {
    Val x = operand(w->r->g, user, k);
    if (root != 0)
        return copy_operand(w, user, x, root);
    return made(w, x, reads_copy(w->r, user, x) ? root_of(w->r, x.i) : 0);
}

static Val original(Remake *r, Val v) {
    Walk w = {.r = r};
    made(&w, v, 0);
    while (w.stack.n > 0) {
        uint32_t top = w.stack.n - 1;
        Making *m = &w.stack.at[top];
        Val *to = place_of(r, m->v, m->root), in;
        if (to->i == 0 && m->next < node_of(r->g, m->v)->n) {
            in = operand_of(&w, m->v, m->root, m->next);
            m = &w.stack.at[top];                      /* it may have moved */
            m->in[m->next] = in;
            m->next += in.i != 0;
            continue;
        }
        if (to->i == 0)
            *to = put(r, m->v, m->in, m->root != 0);
        w.stack.n--;
    }
    return r->map[v.i];
}

Remat remat_graph(Arena *a, const Timeline *t, const bool *drop) {
    uint32_t n = t->g->nodes.n;
    Remake r = {.t = t,
                .arena = a,
                .g = t->g,
                .to = copy_begin(a, t->g).to,
                .drop = drop,
                .again = PUSH(a, bool, n),
                .until = remat_until(a, t),
                .segment = PUSH(a, uint32_t, n),
                .event = PUSH(a, Val, n),
                .map = PUSH(a, Val, n),
                .copy = PUSH(a, Val *, n)};
    find_segments(&r);
    find_events(&r);
    for (uint32_t i = 0; i < t->g->outputs.n; i++) {
        Output o = t->g->outputs.at[i];
        graph_output(r.to, o.kind, o.name, original(&r, o.val));
    }
    for (uint32_t i = 0; i < t->g->effects.n; i++) {
        original(&r, t->g->effects.at[i]);
    }
    return (Remat){r.to, r.origin.at, r.copies.at};
}
