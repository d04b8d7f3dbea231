/* A plan that fits into memory.  As long as a step takes more than it may, one value that lies there at its peak is
 * dropped and computed again (remat.c): of those that free most bytes for an operation the first with which the new
 * plan is better.  Every try is planned to the end, since only the plan knows what lies where; planning takes
 * milliseconds.  Better means fewer bytes above the limit, over all waves: of two equal peaks one goes at a time. */
#include "remat.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    Arena *arena; /* of this plan alone */
    Remat made;
    Planned planned;
    uint64_t act, excess;
} Trial;

typedef struct {
    const Module *module;
    const FuseOptions *options;
    Error *error;
    Arena *arena;
    Timeline first;  /* the graph with no drops */
    uint64_t budget; /* bytes of the region `act` */
    bool *drop, *refused;
    Trial now;
} Search;

static GrStatus plan_one(const Module *m, const Graph *g, const FuseOptions *o, Arena *a, Planned *out, Error *e) {
    Module one = *m;
    Graph *graphs[] = {(Graph *)g};
    one.graphs.at = graphs;
    one.graphs.n = 1;
    return fuse_module(a, &one, o, out, e);
}

static void measure(Trial *t, uint64_t budget) {
    uint32_t waves;
    uint64_t *live = plan_lives(t->arena, &t->planned, 0, &waves);
    t->act = t->planned.plan->region_bytes[REGION_ACT];
    t->excess = 0;
    for (uint32_t w = 0; w < waves; w++) {
        t->excess += live[w] > budget ? live[w] - budget : 0;
    }
}

static GrStatus try_drop(Search *s, const bool *drop, Trial *out) {
    *out = (Trial){.arena = arena_create()};
    out->made = remat_graph(out->arena, &s->first, drop);
    GrStatus status = plan_one(s->module, out->made.graph, s->options, out->arena, &out->planned, s->error);
    if (status == GR_OK) {
        measure(out, s->budget);
        return GR_OK;
    }
    arena_destroy(out->arena);
    out->arena = NULL;
    return status;
}

/* ---- what to drop ---- */
typedef struct {
    Val val;
    double score;
} Candidate;

static double operations(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    double count = (double)shape_count(n->shape);
    MathFn fn;
    if (n->op == OP_contract) {
        for (uint32_t i = 0; i < n->attr.contract->n_over; i++) {
            count *= (double)n->attr.contract->extent[n->attr.contract->over[i]];
        }
        return 2 * count;
    }
    if (n->op == OP_reduce || n->op == OP_scatter_add)
        return (double)shape_count(node_of(g, operand(g, v, 0))->shape);
    bool costly = n->op == OP_random || op_class((Op)n->op) == CLASS_ORDER || op_math((Op)n->op, &fn);
    return op_class((Op)n->op) == CLASS_VIEW || node_of(g, v)->n == 0 ? 0 : costly ? 20 * count : count;
}

static bool lies(const Search *s, Val v) {
    Op op = (Op)node_of(s->first.g, v)->op;
    return s->first.stored[v.i] || op == OP_arg || op == OP_const || op == OP_result;
}

/* Operations of a copy, and bytes of what has to be kept longer for it: values that would be dead by then. */
static void weigh(const Search *s, const uint32_t *last, Val v, uint32_t need, bool *seen, double *work, double *kept) {
    const Graph *g = s->first.g;
    seen[v.i] = true;
    *work += operations(g, v);
    for (uint32_t k = 0; k < node_of(g, v)->n; k++) {
        Val x = operand(g, v, k);
        if (seen[x.i])
            continue;
        if (!lies(s, x)) {
            weigh(s, last, x, need, seen, work, kept);
            continue;
        }
        seen[x.i] = true;
        bool dies = s->first.stored[x.i] && !s->drop[x.i] && last[x.i] < need;
        *kept += dies ? (double)shape_count(node_of(g, x)->shape) * dtype_bytes((DType)node_of(g, x)->dtype) : 0;
    }
}

/* Up to which wave of the first plan a value is kept, and at which the backward pass first needs it. */
static void reach(const Search *s, Arena *a, uint32_t *last, uint32_t *need) {
    const Graph *g = s->first.g;
    const uint32_t *until = remat_until(a, &s->first);
    for (uint32_t i = 0; i < g->nodes.n; i++) {
        need[i] = UINT32_MAX;
    }
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        for (uint32_t k = 0; k < g->nodes.at[i].n; k++) {
            Val x = operand(g, (Val){i}, k);
            uint32_t at = s->first.backward[i] ? s->first.wave[i] : lies(s, (Val){i}) ? UINT32_MAX : need[i];
            need[x.i] = at < need[x.i] && at > until[x.i] ? at : need[x.i];
            uint32_t kept = s->first.stored[i] ? s->first.wave[i] : last[i];
            last[x.i] = kept != UINT32_MAX && kept > last[x.i] ? kept : last[x.i];
        }
    }
}

/* What a packed copy, or a value that is computed where it is read, is made of. */
static Val source(const Search *s, Val v) {
    const Graph *g = s->first.g;
    while (!lies(s, v)) {
        Val from = {0};
        uint64_t most = 0;
        for (uint32_t k = 0; k < node_of(g, v)->n; k++) {
            Val x = operand(g, v, k);
            uint64_t bytes = (uint64_t)shape_count(node_of(g, x)->shape) * dtype_bytes((DType)node_of(g, x)->dtype);
            from = from.i == 0 || bytes > most ? x : from;
            most = bytes > most ? bytes : most;
        }
        if (from.i == 0)
            break;
        v = from;
    }
    return v;
}

static int better(const void *a, const void *b) {
    const Candidate *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score ? 1 : -1) : x->val.i < y->val.i ? -1 : 1;
}

enum { SMALL = 2000 }; /* what holds a smaller part of the peak is not worth a try */

static uint32_t candidates(Search *s, Arena *a, Candidate *out) {
    const Timeline *t = &s->first;
    uint32_t n = 0, nodes = t->g->nodes.n;
    uint32_t *last = PUSH(a, uint32_t, nodes), *need = PUSH(a, uint32_t, nodes);
    bool *taken = PUSH(a, bool, nodes);
    Peak peak = plan_peak(a, &s->now.planned);
    reach(s, a, last, need);
    for (uint32_t i = 0; i < peak.held.n; i++) {
        const Held *h = &peak.held.at[i];
        if (h->graph != s->now.made.graph || s->now.made.copies[h->val.i])
            continue;
        Val v = source(s, s->now.made.origin[h->val.i]);
        if (taken[v.i] || s->drop[v.i] || s->refused[v.i] || need[v.i] == UINT32_MAX || !remat_possible(t, v))
            continue;
        taken[v.i] = true;
        double work = 0, kept = 0, bytes = (double)s->now.planned.plan->buffers.at[h->buffer].bytes;
        weigh(s, last, v, need[v.i], PUSH(a, bool, nodes), &work, &kept);
        if (bytes > kept && bytes * SMALL > (double)peak.bytes)
            out[n++] = (Candidate){v, (bytes - kept) / (work + bytes)};
    }
    qsort(out, n, sizeof *out, better);
    return n;
}

/* Drops one more value, if that makes the plan better. */
static GrStatus drop_one(Search *s, bool *dropped) {
    Arena *a = arena_create();
    Candidate *c = PUSH(a, Candidate, s->first.g->nodes.n);
    uint32_t n = candidates(s, a, c);
    GrStatus status = GR_OK;
    *dropped = false;
    for (uint32_t i = 0; i < n && !*dropped && status == GR_OK; i++) {
        Trial trial;
        s->drop[c[i].val.i] = true;
        status = try_drop(s, s->drop, &trial);
        *dropped = status == GR_OK && (trial.excess < s->now.excess ||
                                       (trial.excess == s->now.excess && trial.act < s->now.act));
        s->drop[c[i].val.i] = *dropped;
        s->refused[c[i].val.i] = !*dropped;
        Arena *done = *dropped ? s->now.arena : trial.arena;
        if (*dropped)
            s->now = trial;
        if (done)
            arena_destroy(done);
    }
    arena_destroy(a);
    return status;
}

static GrStatus take_drops(Search *s, bool *drop) {
    Trial trial;
    TRY(try_drop(s, drop, &trial));
    arena_destroy(s->now.arena);
    s->now = trial;
    s->drop = drop;
    return GR_OK;
}

/* What later drops made needless is kept after all. */
static GrStatus keep_needless(Search *s) {
    GrStatus status = GR_OK;
    for (uint32_t i = 1; i < s->first.g->nodes.n && status == GR_OK; i++) {
        if (!s->drop[i])
            continue;
        Trial trial;
        s->drop[i] = false;
        status = try_drop(s, s->drop, &trial);
        bool fits = status == GR_OK && trial.act <= s->budget;
        s->drop[i] = !fits;
        Arena *done = fits ? s->now.arena : trial.arena;
        s->now = fits ? trial : s->now;
        if (done)
            arena_destroy(done);
    }
    return status;
}

/* ---- one graph, and all ---- */
static void entry_work(const Planned *p, uint64_t *flops, uint64_t *bytes) {
    const PlanEntry *entry = &p->plan->entries.at[0];
    for (uint32_t i = 0; i < entry->n_steps; i++) {
        const PlanStep *step = &p->plan->steps.at[entry->first_step + i];
        uint64_t runs = (uint64_t)plan_step_runs(p->plan, entry, i);
        *flops += runs * step->flops;
        *bytes += runs * step->bytes;
    }
}

static void describe(Arena *a, const Search *s, const Planned *before, const Trial *best, Refit *out) {
    uint64_t flops = 0, bytes = 0;
    entry_work(before, &flops, &bytes);
    entry_work(&best->planned, &out->flops, &out->bytes);
    out->flops -= flops < out->flops ? flops : out->flops;
    out->bytes -= bytes < out->bytes ? bytes : out->bytes;
    out->act_before = before->plan->region_bytes[REGION_ACT];
    out->act = best->act;
    for (uint32_t i = 0; i < before->held.n; i++) {
        const Held *h = &before->held.at[i];
        if (h->graph == s->first.g && !h->packed && s->drop[h->val.i])
            vec_push(a, &out->again, *h);
    }
}

/* From the plan as it is, with no drops, to one that takes `budget`, or as near as it comes. */
static GrStatus search(Search *s, uint64_t budget) {
    uint32_t nodes = s->first.g->nodes.n;
    if (s->now.arena)
        arena_destroy(s->now.arena);
    s->now.arena = NULL;
    s->budget = budget;
    s->drop = PUSH(s->arena, bool, nodes);
    s->refused = PUSH(s->arena, bool, nodes);
    TRY(try_drop(s, s->drop, &s->now));
    uint64_t least = s->now.act;
    bool *best = PUSH(s->arena, bool, nodes);
    for (bool dropped = true; dropped && s->now.act > budget;) {
        TRY(drop_one(s, &dropped));
        if (s->now.act < least) {
            least = s->now.act;
            memcpy(best, s->drop, nodes);
        }
    }
    return s->now.act > least ? take_drops(s, best) : GR_OK; /* the last drops did not help in the end */
}

/* The least plan of many searches, or the first that takes `enough`.  A search is greedy, and one for more bytes may
 * end at fewer: with a limit out of reach all waves look alike.  So it goes down in steps, past those that fail.  No
 * budget depends on `enough`, so that the least that is told is found again when it is the limit. */
static GrStatus search_least(Search *s, uint64_t all, uint64_t enough) {
    enum { STEPS = 16, IN_VAIN = 4 };
    bool *best = NULL;
    uint64_t least = UINT64_MAX, budget = 0;
    for (uint32_t in_vain = 0; least > enough && in_vain < IN_VAIN;) {
        TRY(search(s, budget));
        bool less = s->now.act < least;
        in_vain = less ? 0 : budget < least ? in_vain + 1 : in_vain;
        least = less ? s->now.act : least;
        best = less ? s->drop : best;
        uint64_t above = budget == 0 ? all : budget;
        budget = above - (above + STEPS - 1) / STEPS;
    }
    return take_drops(s, best);
}

/* Straight to the budget; where that fails, to the least there is. */
static GrStatus shrink(Search *s, Arena *a, const Graph *g, uint64_t budget, Refit *out) {
    Planned before = {0};
    TRY(plan_one(s->module, g, s->options, s->arena, &before, s->error));
    uint64_t all = before.plan->region_bytes[REGION_ACT];
    if (all <= budget)
        return GR_OK;
    s->first = remat_timeline(s->arena, g, &before);
    TRY(search(s, budget));
    if (s->now.act > budget)
        TRY(search_least(s, all, budget));
    s->budget = budget;
    if (s->now.act <= budget)
        TRY(keep_needless(s));
    out->graph = g;
    describe(a, s, &before, &s->now, out);
    if (out->again.n > 0)
        out->graph = remat_graph(a, &s->first, s->drop).graph;
    return GR_OK;
}

/* Of graphs whose plans keep updates apart. */
static GrStatus fit_apart(Arena *a, Module *m, const FuseOptions *o, uint64_t limit, Fit *out, Error *e) {
    Arena *scratch = arena_create();
    Planned first = {0};
    GrStatus status = fuse_module(scratch, m, o, &first, e);
    *out = (Fit){.apart = true};
    if (status == GR_OK)
        out->before = out->reached = first.plan->arena_bytes;
    if (status == GR_OK && out->before > limit) {
        uint64_t others = out->before - first.plan->region_bytes[REGION_ACT];
        for (uint32_t i = 0; i < m->graphs.n && status == GR_OK; i++) {
            Search s = {.module = m, .options = o, .error = e, .arena = scratch};
            Refit refit = {0};
            status = shrink(&s, a, m->graphs.at[i], limit > others ? limit - others : 0, &refit);
            if (refit.again.n > 0) {
                m->graphs.at[i] = (Graph *)refit.graph;
                vec_push(a, &out->graphs, refit);
            }
            if (s.now.arena)
                arena_destroy(s.now.arena);
        }
    }
    Planned last = {0};
    if (status == GR_OK && out->graphs.n > 0)
        status = fuse_module(scratch, m, o, &last, e);
    if (status == GR_OK && out->graphs.n > 0)
        out->reached = last.plan->arena_bytes;
    arena_destroy(scratch);
    return status;
}

/* Operands of folded updates live to the end of the step, so that dropping them gains nothing.  Where the plan with
 * folded updates is too large, updates stay apart, unless that takes more in the end. */
GrStatus fuse_fit(Arena *a, Module *m, const FuseOptions *o, uint64_t limit, Fit *out, Error *e) {
    Arena *scratch = arena_create();
    Planned folded = {0};
    GrStatus status = fuse_module(scratch, m, o, &folded, e);
    uint64_t bytes = status == GR_OK ? folded.plan->arena_bytes : 0;
    arena_destroy(scratch);
    *out = (Fit){.before = bytes, .reached = bytes};
    if (status != GR_OK || bytes <= limit)
        return status;
    Fit fit;
    Module rest = *m;
    FuseOptions apart = *o;
    apart.apart = true;
    rest.graphs.at = PUSH(a, Graph *, m->graphs.n + 1);
    memcpy(rest.graphs.at, m->graphs.at, m->graphs.n * sizeof *rest.graphs.at);
    TRY(fit_apart(a, &rest, &apart, limit, &fit, e));
    if (fit.reached > bytes)
        return GR_OK;
    *out = fit;
    memcpy(m->graphs.at, rest.graphs.at, m->graphs.n * sizeof *rest.graphs.at);
    return GR_OK;
}
