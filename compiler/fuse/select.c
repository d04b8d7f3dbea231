/* Which values get a place of their own.  Everything else is inlined into its users.  A value is stored when
 * it has to be (a reduction, a product, a result, an operand of a scan), when several kernels would compute
 * it and that costs more than reading it, or when one user would compute an element many times (through a
 * broadcast, in a product).
 *
 * The decision is made in one walk against the order of the list: when a value is reached, all its users are
 * decided, and each has told its operands which stored value they end in.  What only one stored value
 * consumes is inlined there.  A second walk, in the order of the list, knows what lies in memory: what a few
 * operations make of one or two such values is not stored after all. */
#include "fuse_parts.h"

/* Operations that take no longer than a load; for a view that guards, than a store and a load; for a value made of what
 * lies in memory, the same in the first caches, beyond them, and beyond all. */
enum { CHEAP = 2, CHEAP_VIEW = 4, CHEAP_NEAR = 5, CHEAP_FAR = 11, CHEAP_FARTHEST = 24 };
enum { FAR_ELEMENTS = 1 << 19, FARTHEST_ELEMENTS = 1 << 22 };
enum { COMMIT_CONSUMER = UINT32_MAX };

static void mark_live(Planner *p) {
    const Graph *g = p->g;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        p->info[g->outputs.at[i].val.i].live = true;
    }
    for (uint32_t i = 0; i < g->effects.n; i++) {
        p->info[g->effects.at[i].i].live = true;
    }
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; p->info[i].live && k < n->n; k++) {
            p->info[operand(g, (Val){i}, k).i].live = true;
        }
    }
}

/* What an `after` waits for is not read. */
static bool is_event(const Node *user, uint32_t k) { return user->op == OP_after && k == 1; }

static void add_costs(Planner *p) {
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        const Node *n = &p->g->nodes.at[i];
        float cost = node_cost(p->g, (Val){i});
        for (uint32_t k = 0; !node_is_stage(p->g, (Val){i}) && n->op != OP_result && k < n->n; k++) {
            cost += is_event(n, k) ? 0 : p->info[operand(p->g, (Val){i}, k).i].cost;
        }
        p->info[i].cost = cost > 1e6f ? 1e6f : cost;
    }
}

static void add_consumer(Info *in, uint32_t consumer, bool many) {
    in->many |= many || (in->consumer != 0 && in->consumer != consumer);
    in->consumer = consumer;
}

/* Does computing u touch elements of operand k more than once, or in an order of its own? */
static bool spreads(const Graph *g, Val u, uint32_t k) {
    const Node *n = node_of(g, u);
    Val x = operand(g, u, k);
    switch ((Op)n->op) {
    case OP_window:
    case OP_broadcast: return shape_count(n->shape) > shape_count(node_of(g, x)->shape);
    case OP_gather: return k == 0 || node_of(g, x)->shape.rank < n->shape.rank;
    case OP_contract: return true;
    case OP_scatter_add: return k == 1 || !node_is_stage(g, u);
    case OP_random: return true;
    case OP_arg:
    case OP_const:
    case OP_iota:
    CASE_ELEMENTWISE:
    case OP_cast:
    case OP_reshape:
    case OP_permute:
    case OP_after:
    case OP_slice:
    case OP_pad:
    case OP_concat:
    case OP_reduce:
    case OP_cumulative:
    case OP_recur:
    case OP_argsort:
    case OP_scan:
    case OP_extern:
    case OP_result:
    case OP_grad:
    case OP_grad_as:
    case OP_check:
    case OP_commit:
    case OP_COUNT: return false;
    }
    return false;
}

static bool is_view(const Graph *g, Val v) { return op_class((Op)node_of(g, v)->op) == CLASS_VIEW; }

/* Results of a graph, checked values, operands of scans, events: they need a cell whatever they are. */
static void force_stored(Planner *p) {
    const Graph *g = p->g;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        Val v = g->outputs.at[i].val;
        p->info[v.i].stored |= !node_is_leaf(g, v) && node_of(g, v)->op != OP_result;
    }
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        bool takes_cells = n->op == OP_check || n->op == OP_scan || n->op == OP_extern;
        for (uint32_t k = 0; p->info[i].live && takes_cells && k < n->n; k++) {
            Val x = operand(g, (Val){i}, k);
            const Node *of = node_of(g, x);
            bool placed = of->op == OP_result || (of->op == OP_arg && of->attr.arg.kind != ARG_UNIFORM &&
                                                  (n->op == OP_check || of->attr.arg.kind != ARG_BODY));
            p->info[x.i].stored |= !placed;
        }
        if (p->info[i].live && node_is_stage(g, (Val){i}))
            p->info[i].stored = true;
        if (p->info[i].live && n->op == OP_after) {
            Val event = operand(g, (Val){i}, 1);
            p->info[event.i].stored |= !node_is_leaf(g, event) && node_of(g, event)->op != OP_result;
            p->info[event.i].event = true;
        }
    }
}

/* A cast to halves, most often an operand of a product in less precision.  It is rounded where it is read, and what it
 * was before is stored: halves take less memory, but packing turns f32 in registers and halves one by one. */
static bool is_rounding(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    return n->op == OP_cast && (n->dtype == DT_BF16 || n->dtype == DT_F16);
}

/* Does one kernel read each element once, and others too? */
static bool shared_only(const Planner *p, Val v) {
    const Info *in = &p->info[v.i];
    return in->many && !in->spread && op_class((Op)node_of(p->g, v)->op) == CLASS_ELT;
}

static bool stored_fused(Planner *p, Val v) {
    const Info *in = &p->info[v.i];
    if (node_is_leaf(p->g, v) || node_of(p->g, v)->op == OP_result || node_of(p->g, v)->op == OP_iota)
        return false;
    if (is_view(p->g, v)) {
        Val x = node_of(p->g, v)->op == OP_permute ? operand(p->g, v, 0) : v; /* in the order in which it is read */
        Op op = (Op)node_of(p->g, x)->op;
        return (op == OP_pad || op == OP_concat) && in->many && in->cost > CHEAP_VIEW;
    }
    if (is_rounding(p->g, v))
        return false;
    return (in->many || in->spread) && in->cost > CHEAP;
}

/* Elements of the tensor behind broadcasts. */
static int64_t source_count(const Graph *g, Val v) {
    while (node_of(g, v)->op == OP_broadcast || node_of(g, v)->op == OP_reshape) {
        v = operand(g, v, 0);
    }
    return shape_count(node_of(g, v)->shape);
}

/* Of the baseline: a producer that would be far larger than what it is made of stays inside its reduction. */
static bool too_large_alone(Planner *p, Val v) {
    const Info *in = &p->info[v.i];
    if (in->many || in->consumer == 0 || in->consumer == COMMIT_CONSUMER ||
        node_of(p->g, (Val){in->consumer})->op != OP_reduce)
        return false;
    int64_t most = 1;
    for (uint32_t k = 0; k < node_of(p->g, v)->n; k++) {
        int64_t n = source_count(p->g, operand(p->g, v, k));
        most = n > most ? n : most;
    }
    return shape_count(node_of(p->g, v)->shape) > 4 * most;
}

static bool stored_unfused(Planner *p, Val v) {
    const Node *n = node_of(p->g, v);
    const Info *in = &p->info[v.i];
    if (n->op == OP_random)
        return true;
    if (op_class((Op)n->op) != CLASS_ELT || n->op == OP_cast)
        return false;
    if (in->updates && !in->many && !in->spread) /* it writes the variable itself */
        return false;
    return !too_large_alone(p, v);
}

static void tell_operands(Planner *p, Val u) {
    const Graph *g = p->g;
    const Node *n = node_of(g, u);
    const Info *in = &p->info[u.i];
    bool through = !in->stored && n->op != OP_commit && n->op != OP_check;
    for (uint32_t k = 0; k < n->n; k++) {
        Val x = operand(g, u, k);
        Info *to = &p->info[x.i];
        uint32_t consumer = n->op == OP_commit ? COMMIT_CONSUMER : through ? in->consumer : u.i;
        to->updates |= n->op == OP_commit;
        if (n->op != OP_check)
            add_consumer(to, consumer, through && in->many);
        to->spread |= spreads(g, u, k) || (through && in->spread);
    }
}

/* ---- commits: which may be computed by the kernel that writes the variable ----
 * It must not read, at another element, a variable that is written; and not one that another commit kernel
 * writes. */
typedef struct {
    Planner *p;
    uint32_t *commit_of;
    bool *seen;
    uint32_t class;
    const uint32_t *class_of;
    bool bad;
} CommitWalk;

static void walk_commit(CommitWalk *w, Val v, bool view) {
    const Node *n = node_of(w->p->g, v);
    const Info *in = &w->p->info[v.i];
    if (in->stored || n->op == OP_result)
        return;
    if (n->op == OP_arg && n->attr.arg.kind == ARG_VAR && w->commit_of[n->attr.arg.id] != 0) {
        w->bad |= view || w->class_of[w->commit_of[n->attr.arg.id] - 1] != w->class;
        return;
    }
    if (w->seen[2 * v.i + view])
        return;
    w->seen[2 * v.i + view] = true;
    for (uint32_t k = 0; k < n->n; k++) {
        walk_commit(w, operand(w->p->g, v, k), view || is_view(w->p->g, v) || n->op == OP_random);
    }
}

/* Commits of one shape are one class when fusing: they become one kernel per connected set later. */
static void protect_commits(Planner *p) {
    const Graph *g = p->g;
    uint32_t n_vars = p->entry->module->vars.n;
    uint32_t *commit_of = PUSH(p->arena, uint32_t, n_vars + 1),
             *class_of = PUSH(p->arena, uint32_t, g->effects.n + 1);
    for (uint32_t i = 0; i < g->effects.n; i++) {
        const Node *n = node_of(g, g->effects.at[i]);
        class_of[i] = i;
        if (n->op != OP_commit)
            continue;
        commit_of[n->attr.commit.var] = i + 1;
        for (uint32_t k = 0; p->entry->options->fused && k < i; k++) {
            const Node *m = node_of(g, g->effects.at[k]);
            if (m->op == OP_commit && shape_eq(node_of(g, operand(g, g->effects.at[k], 0))->shape,
                                               node_of(g, operand(g, g->effects.at[i], 0))->shape))
                class_of[i] = class_of[k];
        }
    }
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < g->effects.n; i++) {
            Val v = operand(g, g->effects.at[i], 0);
            if (node_of(g, g->effects.at[i])->op != OP_commit || p->info[v.i].stored)
                continue;
            ArenaMark mark = arena_mark(p->arena);
            CommitWalk w = {p, commit_of, PUSH(p->arena, bool, 2 * g->nodes.n), class_of[i], class_of, false};
            walk_commit(&w, v, false);
            arena_pop(mark);
            if (w.bad) {
                p->info[v.i].stored = again = true;
            }
        }
    }
}

/* ---- what is cheap to make again ---- */
/* Of an element: the operations since what lies in memory, and which large values those are. */
enum { MAX_SOURCES = 2 };
typedef struct {
    float cost;
    uint32_t n, at[MAX_SOURCES];   /* n may be more */
} Again;

static void add_source(Again *a, uint32_t v) {
    for (uint32_t i = 0; i < a->n && i < MAX_SOURCES; i++) {
        if (a->at[i] == v)
            return;
    }
    if (a->n < MAX_SOURCES)
        a->at[a->n] = v;
    a->n++;
}

static Again again_of(const Planner *p, const Again *known, Val v) {
    const Graph *g = p->g;
    const Node *n = node_of(g, v);
    Again a = {.cost = node_cost(g, v)};
    for (uint32_t k = 0; k < n->n; k++) {
        Val x = operand(g, v, k);
        if (is_event(n, k))
            continue;
        const Again *from = &known[x.i];
        bool small = 2 * shape_count(node_of(g, x)->shape) < shape_count(n->shape);
        a.cost += from->cost;
        for (uint32_t i = 0; i < from->n && i < MAX_SOURCES && !small; i++) {
            add_source(&a, from->at[i]);
        }
        a.n = from->n > MAX_SOURCES && !small ? MAX_SOURCES + 1 : a.n;
    }
    return a;
}

static float cheap(int64_t elements) {
    return elements >= FARTHEST_ELEMENTS ? CHEAP_FARTHEST : elements >= FAR_ELEMENTS ? CHEAP_FAR : CHEAP_NEAR;
}

static void drop_cheap(Planner *p, const bool *optional) {
    const Graph *g = p->g;
    Again *again = PUSH(p->arena, Again, g->nodes.n);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        Val v = {i};
        Info *in = &p->info[i];
        Again a = again_of(p, again, v);
        if (optional[i] && a.cost <= cheap(shape_count(node_of(g, v)->shape)) && a.n <= MAX_SOURCES)
            in->stored = false;
        bool leaf = node_is_leaf(g, v) && node_of(g, v)->op != OP_random;
        bool in_memory = in->stored || leaf || node_of(g, v)->op == OP_result;
        again[i] = !in_memory ? a : (Again){.n = node_of(g, v)->shape.rank > 0, .at = {i}};
    }
}

/* A long line of operations is stored now and then: a kernel is built by recursion over what is inlined, and what it
 * costs to compile grows faster than its length. */
static void cut_lines(Planner *p) {
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        const Node *n = &p->g->nodes.at[i];
        Info *in = &p->info[i];
        for (uint32_t k = 0; k < n->n; k++) {
            const Info *x = &p->info[operand(p->g, (Val){i}, k).i];
            uint32_t line = x->stored ? 0 : x->line + 1;
            in->line = line > in->line ? line : in->line;
        }
        bool value = op_class((Op)n->op) == CLASS_ELT || op_class((Op)n->op) == CLASS_VIEW;
        if (in->live && value && in->line >= LONGEST_LINE)
            in->stored = true;
    }
}

void group_select(Planner *p) {
    mark_live(p);
    add_costs(p);
    force_stored(p);
    bool *optional = PUSH(p->arena, bool, p->g->nodes.n);
    for (uint32_t i = p->g->nodes.n; i-- > 1;) {
        Val v = {i};
        Info *in = &p->info[i];
        if (!in->live)
            continue;
        optional[i] = !in->stored && p->entry->options->fused && shared_only(p, v);
        in->stored |= join_of_parts(p, v);
        in->stored |= p->entry->options->fused ? stored_fused(p, v) : stored_unfused(p, v);
        optional[i] &= in->stored;
        tell_operands(p, v);
    }
    drop_cheap(p, optional);
    cut_lines(p);
    protect_commits(p);
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        p->info[i].place = p->info[i].stored ? PLACE_CELL : PLACE_INLINE;
    }
}
