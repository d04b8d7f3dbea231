/* Which stored values share a kernel.  Values are taken in topological order; each joins a group that makes
 * something it reads, or that reads something it reads too, if the conditions hold (each is a row of
 * refusals.def): the same leading axes can be the head, enough points are left for the threads, nothing
 * between the two has to run after one and before the other, and every element it takes from the group
 * belongs to the very point that is being computed.  The last condition is not derived by rules: the inliner
 * is run on trial and says whether it met a forbidden access. */
#include "fuse_parts.h"
#include <string.h>

enum { SMALL_NS = 8000 }; /* less work than this is not worth cutting for threads */

static uint32_t words_of(const Planner *p) { return p->g->nodes.n / 64 + 2; }
static void bit_set(uint64_t *s, uint32_t i) { s[i / 64] |= (uint64_t)1 << (i % 64); }
static bool bit_has(const uint64_t *s, uint32_t i) { return s[i / 64] >> (i % 64) & 1; }
static void bits_or(uint64_t *to, const uint64_t *from, uint32_t words) {
    for (uint32_t i = 0; i < words; i++) {
        to[i] |= from[i];
    }
}
/* The first member from i on, or the last one below i; 0 is none. */
static uint32_t bit_from(const uint64_t *s, uint32_t i, uint32_t words) {
    for (uint32_t w = i / 64; w < words; w++) {
        uint64_t rest = w == i / 64 ? s[w] >> i % 64 << i % 64 : s[w];
        if (rest != 0)
            return 64 * w + (uint32_t)__builtin_ctzll(rest);
    }
    return 0;
}
static uint32_t bit_below(const uint64_t *s, uint32_t i) {
    for (uint32_t w = i / 64 + 1; w-- > 0;) {
        uint64_t rest = w == i / 64 ? s[w] & (((uint64_t)1 << i % 64) - 1) : s[w];
        if (rest != 0)
            return 64 * w + 63 - (uint32_t)__builtin_clzll(rest);
    }
    return 0;
}
/* i, each member in turn */
#define EACH_BIT(i, s, words) \
    for (uint32_t i = bit_from(s, 1, words); i != 0; i = bit_from(s, i + 1, words))
static bool bits_meet(const uint64_t *a, const uint64_t *b, uint32_t words) {
    for (uint32_t i = 0; i < words; i++) {
        if (a[i] & b[i])
            return true;
    }
    return false;
}

/* What the inlined expression under v loads: stored values, and arguments that lie in memory. */
static void walk_reads(Planner *p, Val v, bool root, uint64_t *seen, uint64_t *reads) {
    const Node *n = node_of(p->g, v);
    if (bit_has(seen, v.i))
        return;
    bit_set(seen, v.i);
    bool lies = n->op == OP_arg && n->attr.arg.kind != ARG_UNIFORM;
    if (!root && (lies || p->info[v.i].stored)) {
        bit_set(reads, v.i);
        return;
    }
    for (uint32_t k = 0; k < n->n; k++) {
        walk_reads(p, operand(p->g, v, k), false, seen, reads);
    }
}

static uint64_t *reads_of(Planner *p, Val v, bool root) {
    uint64_t *reads = PUSH(p->arena, uint64_t, words_of(p));
    ArenaMark mark = arena_mark(p->arena);
    walk_reads(p, v, root, PUSH(p->arena, uint64_t, words_of(p)), reads);
    arena_pop(mark);
    return reads;
}

/* ---- groups ---- */
static Shape domain_of(const Planner *p, Val v) {
    const Graph *g = p->g;
    return node_of(g, node_of(g, v)->op == OP_reduce ? operand(g, v, 0) : v)->shape;
}

static uint32_t head_of(const Planner *p, Val v) { /* the most leading axes that can be the head */
    const Node *n = node_of(p->g, v);
    uint32_t rank = domain_of(p, v).rank;
    return n->op == OP_reduce ? rank - n->attr.reduce.n : rank;
}

static int64_t points_of(Shape s, uint32_t head) { return shape_count(shape_of(head, s.dim)); }

static double work_of(const Planner *p, Val v) {
    return (double)shape_count(domain_of(p, v)) * (1 + p->info[v.i].cost) / 16;
}

static void needs_of(Planner *p, const uint64_t *reads, uint64_t *needs) {
    EACH_BIT(i, reads, words_of(p)) {
        if (p->info[i].group != 0) {
            bit_set(needs, p->info[i].group - 1);
            bits_or(needs, p->groups.at[p->info[i].group - 1].needs, words_of(p));
        }
    }
}

/* A few taps of a window are no row to run lanes along: positions are. */
static bool sums_taps(const Graph *g, Val v) {
    const Node *n = node_of(g, v), *x = node_of(g, operand(g, v, 0));
    bool taps = x->op == OP_window && n->attr.reduce.n == 1 && n->attr.reduce.at[0] == x->attr.window.axis + 1;
    return taps && n->shape.rank > 0 && x->shape.dim[x->attr.window.axis + 1] < LANES;
}

static GroupKind kind_of(const Planner *p, Val v) {
    const Node *n = node_of(p->g, v);
    if (n->op == OP_reduce)
        return reduce_is_trailing(p->g, v) && !sums_taps(p->g, v) ? GROUP_ROWS : GROUP_COLUMNS;
    if (n->op == OP_contract)
        return contract_is_tiled(n->attr.contract) ? GROUP_TILE : GROUP_CHAIN;
    return n->op == OP_scatter_add && node_is_stage(p->g, v) ? GROUP_SCATTER
           : n->op == OP_scan                                ? GROUP_LOOP
           : n->op == OP_extern                              ? GROUP_EXTERN
           : op_class((Op)n->op) == CLASS_ORDER              ? GROUP_ORDER
           : n->op == OP_concat && join_of_parts(p, v)       ? GROUP_JOIN
                                                             : GROUP_MAP;
}

static uint32_t add_group(Planner *p, Sink s, GroupKind kind, uint64_t *reads) {
    Group g = {.kind = kind,
               .commit = s.commit,
               .domain = domain_of(p, s.val),
               .head = head_of(p, s.val),
               .reads = reads,
               .needs = PUSH(p->arena, uint64_t, words_of(p)),
               .work = work_of(p, s.val)};
    needs_of(p, reads, g.needs);
    vec_push(p->arena, &p->groups, g);
    vec_push(p->arena, &p->groups.at[p->groups.n - 1].sinks, s);
    return p->groups.n - 1;
}

static void join_group(Planner *p, uint32_t group, Sink s, uint32_t head, const uint64_t *reads) {
    Group *g = &p->groups.at[group];
    uint64_t *needs = PUSH(p->arena, uint64_t, words_of(p));
    needs_of(p, reads, needs);
    needs[group / 64] &= ~((uint64_t)1 << (group % 64));
    bits_or(g->reads, reads, words_of(p));
    if (g->kind == GROUP_MAP &&
        (node_of(p->g, s.val)->op == OP_reduce || !shape_eq(g->domain, domain_of(p, s.val))))
        g->kind = GROUP_ROWS;
    g->head = g->kind == GROUP_ROWS ? head : g->head;
    g->work += work_of(p, s.val);
    vec_push(p->arena, &g->sinks, s);
    bits_or(g->needs, needs, words_of(p));
    for (uint32_t i = 0; i < p->groups.n; i++) { /* whoever runs after the group runs after its new needs */
        if (i != group && bit_has(p->groups.at[i].needs, group))
            bits_or(p->groups.at[i].needs, g->needs, words_of(p));
    }
}

bool group_reads(const Planner *p, uint32_t group, Val v) { return bit_has(p->groups.at[group].reads, v.i); }

/* ---- may v join? ---- */
static uint32_t common_head(const Group *g, Shape s, uint32_t head) {
    uint32_t n = g->head < head ? g->head : head;
    for (uint32_t i = 0; i < n; i++) {
        if (g->domain.dim[i] != s.dim[i])
            return i;
    }
    return n;
}

static bool would_cycle(Planner *p, uint32_t group, const uint64_t *reads) {
    EACH_BIT(i, reads, words_of(p)) {
        uint32_t from = p->info[i].group;
        if (from != 0 && from - 1 != group && bit_has(p->groups.at[from - 1].needs, group))
            return true;
    }
    return false;
}

/* Inner axes that a group needs at most: equal extents are shared between stages. */
static uint32_t axes_of(const Planner *p, const Group *g, uint32_t head, Val more) {
    int64_t extent[64];
    uint32_t n = 0;
    for (uint32_t i = 0; i <= g->sinks.n; i++) {
        Shape s = domain_of(p, i < g->sinks.n ? g->sinks.at[i].val : more);
        for (uint32_t k = head, from = 0; k < s.rank; k++) {
            uint32_t at = from;
            while (at < n && extent[at] != s.dim[k]) {
                at++;
            }
            if (at == n && n < 64)
                extent[n++] = s.dim[k];
            from = at + 1;
        }
    }
    return head + n;
}

/* The longest line of operations that ends in v, when the group computes what it reads. */
static uint32_t line_with(const Planner *p, uint32_t group, Val v, const uint64_t *reads) {
    uint32_t longest = 0;
    EACH_BIT(i, reads, words_of(p)) {
        const Info *x = &p->info[i];
        longest = x->group == group + 1 && x->line + 1 > longest ? x->line + 1 : longest;
    }
    return p->info[v.i].line + longest;
}

static bool may_join(Planner *p, uint32_t group, Val v, const uint64_t *reads, uint32_t *head,
                     RefusalKind *why) {
    Group *g = &p->groups.at[group];
    bool reduces = node_of(p->g, v)->op == OP_reduce;
    Shape s = domain_of(p, v);
    if (g->commit) {
        *why = REFUSAL_COMMIT;
        return false;
    }
    if (would_cycle(p, group, reads)) {
        *why = REFUSAL_CYCLE;
        return false;
    }
    if (line_with(p, group, v, reads) >= 2 * LONGEST_LINE) {
        *why = REFUSAL_LENGTH;
        return false;
    }
    if (g->kind == GROUP_TILE) {
        *why = REFUSAL_EPILOGUE;
        *head = g->domain.rank;
        return !reduces && shape_eq(g->domain, s) && rows_fit(p, group, v, g->domain.rank, why);
    }
    *why = REFUSAL_SIZE;
    if (g->kind != GROUP_MAP && g->kind != GROUP_ROWS)
        return false;
    *head = common_head(g, s, head_of(p, v));
    bool map = g->kind == GROUP_MAP && !reduces && shape_eq(g->domain, s);
    double work = g->work + work_of(p, v);
    int64_t enough = 8 * (int64_t)p->entry->options->threads;
    if (!map && work > SMALL_NS && points_of(s, *head) < enough) {
        bool alone = points_of(s, head_of(p, v)) < enough && points_of(g->domain, g->head) < enough;
        *why = *head == 0 && !alone ? REFUSAL_SIZE : REFUSAL_PARALLEL;
        if (!alone)
            return false;
    }
    if (g->lanes && *head != 1)
        return false;
    if (!map && axes_of(p, g, *head, v) > MAX_AXES - 1) {
        *why = REFUSAL_AXES;
        return false;
    }
    return rows_fit(p, group, v, *head, why);
}

static bool same_kind_of_work(const Group *g, GroupKind kind) {
    return (g->kind == GROUP_MAP || g->kind == GROUP_ROWS) && (kind == GROUP_MAP || kind == GROUP_ROWS);
}

/* Elements of what both read. */
static int64_t shared_elements(const Planner *p, const Group *g, const uint64_t *reads) {
    int64_t n = 0;
    EACH_BIT(i, reads, words_of(p)) {
        n += bit_has(g->reads, i) ? shape_count(node_of(p->g, (Val){i})->shape) : 0;
    }
    return n;
}

/* The best group to join, or none: first those whose values v reads, latest first, then the one that reads most of the
 * same. */
static bool find_group(Planner *p, Val v, GroupKind kind, const uint64_t *reads, uint32_t *group,
                       uint32_t *head) {
    RefusalKind why = REFUSAL_SIZE;
    bool tried[2] = {false, false};
    for (uint32_t i = bit_below(reads, p->g->nodes.n); i != 0; i = bit_below(reads, i)) {
        if (p->info[i].group == 0)
            continue;
        *group = p->info[i].group - 1;
        if (may_join(p, *group, v, reads, head, &why))
            return true;
        if (!tried[0] && kind_of(p, v) != GROUP_TILE)
            refuse(p, v, (Val){i}, why);
        tried[0] = true;
    }
    int64_t most = -1;
    for (uint32_t i = p->groups.n, tries = 0; i-- > 0 && tries < 8;) {
        Group *g = &p->groups.at[i];
        uint32_t common = common_head(g, domain_of(p, v), head_of(p, v)), at;
        if (!same_kind_of_work(g, kind) || g->commit || !bits_meet(g->reads, reads, words_of(p)) || common == 0)
            continue;
        tries++;
        int64_t shared = shared_elements(p, g, reads);
        if (shared > most && points_of(g->domain, g->head) == points_of(domain_of(p, v), common) &&
            may_join(p, i, v, reads, &at, &why)) {
            most = shared;
            *group = i, *head = at;
        }
    }
    return most >= 0;
}

/* A sum over the rows of a row kernel: the rows of a lane run one after another there, which is the order of
 * the sum. */
static bool find_rows(Planner *p, Val v, const uint64_t *reads, uint32_t *group) {
    RefusalKind why;
    Shape s = domain_of(p, v);
    for (uint32_t i = p->groups.n; i-- > 0;) {
        Group *g = &p->groups.at[i];
        bool rows = (g->kind == GROUP_MAP || g->kind == GROUP_ROWS) && !g->commit && g->head >= 1 &&
                    g->domain.dim[0] == s.dim[0];
        bool near = false;
        for (uint32_t k = 0; k < g->sinks.n && rows; k++) {
            near |= bit_has(reads, g->sinks.at[k].val.i);
        }
        if (!rows || !(near || bits_meet(g->reads, reads, words_of(p))) || would_cycle(p, i, reads) ||
            axes_of(p, g, 1, v) > MAX_AXES - 1 || !rows_fit(p, i, v, 1, &why))
            continue;
        *group = i;
        return true;
    }
    return false;
}

static bool reads_own(const Group *g, const uint64_t *reads) {
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        if (bit_has(reads, g->sinks.at[i].val.i))
            return true;
    }
    return false;
}

/* A value of half the elements at least that both read. */
static bool shares_large(const Planner *p, const Group *g, const uint64_t *reads) {
    EACH_BIT(i, reads, words_of(p)) {
        if (bit_has(g->reads, i) &&
            2 * shape_count(node_of(p->g, (Val){i})->shape) >= shape_count(g->domain))
            return true;
    }
    return false;
}

/* Reductions of columns that are alike, of the same large tensors: those that read most of the same. */
static bool find_columns(Planner *p, Val v, const uint64_t *reads, uint32_t *group) {
    int64_t most = -1;
    for (uint32_t i = p->groups.n; i-- > 0;) {
        const Group *g = &p->groups.at[i];
        if (g->kind == GROUP_COLUMNS && !reads_own(g, reads) && shares_large(p, g, reads) &&
            shared_elements(p, g, reads) > most && !would_cycle(p, i, reads) &&
            columns_alike(p, g->sinks.at[0].val, v)) {
            most = shared_elements(p, g, reads);
            *group = i;
        }
    }
    return most >= 0;
}

static void place_value(Planner *p, Val v) {
    uint64_t *reads = reads_of(p, v, true);
    GroupKind kind = kind_of(p, v);
    uint32_t group, head = 0;
    bool joins = p->entry->options->fused && (kind == GROUP_MAP || kind == GROUP_ROWS) &&
                 find_group(p, v, kind, reads, &group, &head);
    Sink s = {.val = v, .cell = cell_of_value(p, v, 0)};
    bool rows = p->entry->options->fused && reduce_sums_head(p->g, v) && find_rows(p, v, reads, &group);
    bool columns = p->entry->options->fused && kind == GROUP_COLUMNS && !rows && !joins;
    if (rows || joins || (columns && find_columns(p, v, reads, &group))) {
        p->info[v.i].line = line_with(p, group, v, reads);
        join_group(p, group, s, rows ? 1 : head, reads);
        p->groups.at[group].lanes |= rows;
    } else {
        group = add_group(p, s, kind, reads);
    }
    p->info[v.i].group = group + 1;
}

/* Variables that a commit writes (the arguments that read it) and reads (their cells). */
typedef struct { VEC(uint32_t) readers, cells; } Touched;

static Touched touched_by(Planner *p, const uint64_t *reads, uint32_t cell) {
    Touched t = {0};
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        const Node *n = &p->g->nodes.at[i];
        if (n->op != OP_arg || n->attr.arg.kind != ARG_VAR)
            continue;
        uint32_t of = p->entry->var_cell[n->attr.arg.id];
        if (of == cell)
            vec_push(p->arena, &t.readers, i);
        if (bit_has(reads, i))
            vec_push(p->arena, &t.cells, of);
    }
    return t;
}

/* Does the group read what the commit writes, or the other way round? */
static bool touches(const Group *g, const Touched *t) {
    for (uint32_t i = 0; i < t->readers.n; i++) {
        if (bit_has(g->reads, t->readers.at[i]))
            return true;
    }
    for (uint32_t i = 0; i < t->cells.n; i++) {
        for (uint32_t k = 0; k < g->sinks.n; k++) {
            if (g->sinks.at[k].cell == t->cells.at[i])
                return true;
        }
    }
    return false;
}

/* The gradient of a parameter, as far as memory is concerned: the stored value of its shape that its update
 * reads.  It lies at the parameter's own offset, so that updates of neighbouring parameters can become one
 * kernel. */
static void mirror_gradient(Planner *p, uint32_t var, const uint64_t *reads) {
    const Var *v = &p->entry->module->vars.at[var];
    if (v->kind != VAR_PARAM || p->loop != 0)
        return;
    EACH_BIT(i, reads, words_of(p)) {
        const Info *in = &p->info[i];
        if (!in->stored || in->group == 0 || node_of(p->g, (Val){i})->op == OP_scan ||
            node_of(p->g, (Val){i})->op == OP_arg || node_of(p->g, (Val){i})->op == OP_extern)
            continue;
        Cell *c = cell_at(p, in->cell);
        if (c->region == REGION_ACT && c->mirrors == 0 && c->dtype == v->dtype &&
            shape_eq(c->shape, v->shape)) {
            c->mirrors = var + 1;
            c->region = REGION_GRAD;
            return;
        }
    }
}

static void place_commit(Planner *p, Val effect) {
    Val v = operand(p->g, effect, 0);
    uint64_t *reads = reads_of(p, v, false);
    uint32_t var = node_of(p->g, effect)->attr.commit.var;
    Sink s = {.val = v, .cell = cell_of_var(p, var), .commit = true};
    mirror_gradient(p, var, reads);
    Touched touched = touched_by(p, reads, s.cell);
    for (uint32_t i = 0; p->entry->options->fused && i < p->groups.n; i++) {
        Group *g = &p->groups.at[i];
        if (g->commit && shape_eq(g->domain, node_of(p->g, v)->shape) &&
            (bits_meet(g->reads, reads, words_of(p)) || touches(g, &touched) ||
             (cell_at(p, s.cell)->region == REGION_METRIC &&
              cell_at(p, g->sinks.at[0].cell)->region == REGION_METRIC))) {
            bits_or(g->reads, reads, words_of(p));
            vec_push(p->arena, &g->sinks, s);
            return;
        }
    }
    uint32_t group = add_group(p, s, GROUP_MAP, reads);
    p->groups.at[group].domain = node_of(p->g, v)->shape;
    p->groups.at[group].head = p->groups.at[group].domain.rank;
}

/* Who is read from outside: by another kernel, by the runtime, as the operand of a product or a loop. */
static void mark_outer(Planner *p) {
    for (uint32_t i = 0; i < p->g->outputs.n; i++) {
        p->info[p->g->outputs.at[i].val.i].outer = true;
    }
    for (uint32_t k = 0; k < p->groups.n; k++) {
        const Group *g = &p->groups.at[k];
        EACH_BIT(i, g->reads, words_of(p)) {
            if (p->info[i].group != k + 1)
                p->info[i].outer = true;
        }
    }
}

/* Rows of a few elements are no rows to run lanes along, and their points too small to run one by one: the last axis of
 * the head becomes the first inner one, along which lanes run. */
static void widen_short_rows(Planner *p) {
    enum { FEW = 8, POINTS = 16 };
    for (uint32_t i = 0; i < p->groups.n; i++) {
        Group *g = &p->groups.at[i];
        bool wide = g->kind == GROUP_ROWS && !g->lanes && g->head > 1 && g->domain.dim[g->head - 1] >= LANES &&
                    points_of(g->domain, g->head - 1) >= POINTS;
        for (uint32_t k = 0; k < g->sinks.n && wide; k++) {
            Shape s = domain_of(p, g->sinks.at[k].val);
            wide = shape_count(shape_of(s.rank - g->head, s.dim + g->head)) <= FEW;
        }
        g->head -= wide;
    }
}

/* A value that stays in its kernel needs no cell: in one stage it is at hand, between stages it lies in a
 * scratch row (or is computed again when that is as cheap as loading). */
static void choose_places(Planner *p) {
    enum { RECOMPUTE = 3, ROW_MOST = 65536 };
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        Info *in = &p->info[i];
        if (!in->stored || in->group == 0)
            continue;
        Group *g = &p->groups.at[in->group - 1];
        bool reduces = node_of(p->g, (Val){i})->op == OP_reduce;
        Shape s = node_of(p->g, (Val){i})->shape;
        bool sums_head = g->lanes && reduce_sums_head(p->g, (Val){i});
        if (sums_head) {
            in->place = PLACE_CELL;
        } else if (g->kind == GROUP_ROWS && reduces && s.rank == g->head) {
            in->place = PLACE_REG;
        } else if (!in->outer && (g->kind == GROUP_MAP || g->kind == GROUP_TILE) &&
                   !node_is_stage(p->g, (Val){i})) {
            in->place = PLACE_INLINE;
        } else if (!in->outer && g->kind == GROUP_ROWS) {
            bool fits = shape_count(shape_of(s.rank - g->head, s.dim + g->head)) <= ROW_MOST;
            if (!fits)
                refuse(p, g->sinks.at[g->sinks.n - 1].val, (Val){i}, REFUSAL_FOOTPRINT);
            bool computed_once = in->checked && in->consumer != 0;
            in->place = in->cost <= RECOMPUTE && !computed_once && !reduces ? PLACE_INLINE
                        : fits                                              ? PLACE_SCRATCH
                                                                            : PLACE_CELL;
        }
    }
}

/* For `explain`: what could have been inlined, had it been cheaper. */
static void tell_stored(Planner *p) {
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        const Info *in = &p->info[i];
        bool known =
            in->stored && in->place == PLACE_CELL && in->consumer != 0 && in->consumer < p->g->nodes.n;
        if (known && p->entry->options->fused && (in->many || in->spread) && !node_is_stage(p->g, (Val){i}))
            refuse(p, (Val){in->consumer}, (Val){i}, in->many ? REFUSAL_FANOUT : REFUSAL_SPREAD);
    }
}

/* Values that lie somewhere already and are asked for in another place, and checks of them. */
static void place_exports(Planner *p) {
    for (uint32_t i = 0; i < p->exports.n; i++) {
        Val v = p->exports.at[i].val;
        add_group(p, p->exports.at[i], GROUP_MAP, reads_of(p, v, false));
    }
}

void group_look(Planner *p, Val v) {
    uint32_t group = add_group(p, (Sink){.val = v, .small = true}, GROUP_MAP, reads_of(p, v, false));
    p->groups.at[group].domain = node_of(p->g, v)->shape; /* of a stored sum: what it gives, not what it reads */
    p->groups.at[group].head = p->groups.at[group].domain.rank;
}

void group_guard(Planner *p, uint32_t product) {
    Group g = p->groups.at[product];
    g.unsure = true;
    vec_push(p->arena, &p->groups, g);
}

void group_merge(Planner *p, uint32_t product, uint32_t commit) {
    Group *to = &p->groups.at[product], from = p->groups.at[commit];
    Sink gradient = to->sinks.at[0];
    bits_or(from.reads, to->reads, words_of(p)); /* those of the product are its guard's */
    bits_or(from.needs, to->needs, words_of(p));
    *to = (Group){.kind = to->kind, .commit = true, .head = to->head, .domain = to->domain, .work = to->work,
                  .reads = from.reads, .needs = from.needs};
    to->needs[product / 64] &= ~((uint64_t)1 << (product % 64));
    vec_push(p->arena, &to->sinks, gradient);
    for (uint32_t i = 0; i < from.sinks.n; i++) {
        vec_push(p->arena, &to->sinks, from.sinks.at[i]);
    }
    memmove(&p->groups.at[commit], &p->groups.at[commit + 1], sizeof from * (p->groups.n - commit - 1));
    p->groups.n--;
}

bool group_alone(const Planner *p, uint32_t group, Val v) {
    for (uint32_t k = 0; k < p->groups.n; k++) {
        if (k != group && group_reads(p, k, v))
            return false;
    }
    for (uint32_t i = 0; i < p->g->outputs.n; i++) {
        if (val_eq(p->g->outputs.at[i].val, v))
            return false;
    }
    return !p->info[v.i].event;
}

bool group_between(const Planner *p, uint32_t first, uint32_t last) {
    for (uint32_t i = 0; i < p->groups.n; i++) {
        if (i != first && i != last && bit_has(p->groups.at[last].needs, i) && bit_has(p->groups.at[i].needs, first))
            return true;
    }
    return false;
}

/* What is left of the other is a group without sinks, which is no kernel. */
void group_take(Planner *p, uint32_t product, uint32_t reductions) {
    Group *to = &p->groups.at[product], *from = &p->groups.at[reductions];
    uint32_t v = to->sinks.at[0].val.i;
    for (uint32_t i = 0; i < from->sinks.n; i++) {
        vec_push(p->arena, &to->sinks, from->sinks.at[i]);
        p->info[from->sinks.at[i].val.i].group = product + 1;
    }
    from->sinks.n = 0;
    bits_or(to->reads, from->reads, words_of(p));
    to->reads[v / 64] &= ~((uint64_t)1 << v % 64);
    from->reads = PUSH(p->arena, uint64_t, words_of(p));
    bits_or(to->needs, from->needs, words_of(p));
    to->needs[product / 64] &= ~((uint64_t)1 << product % 64);
    for (uint32_t i = 0; i < p->groups.n; i++) {
        if (i != product && bit_has(p->groups.at[i].needs, product))
            bits_or(p->groups.at[i].needs, to->needs, words_of(p));
        if (i != product && i != reductions && bit_has(p->groups.at[i].needs, reductions))
            bit_set(p->groups.at[i].needs, product);
    }
}

/* The first group from *k on that has to run before, and has no number yet. */
static bool next_needed(const Planner *p, const uint64_t *needs, const uint8_t *state, uint32_t *k) {
    while (*k < p->groups.n && (state[*k] || !bit_has(needs, *k)))
        (*k)++;
    return *k < p->groups.n;
}

typedef struct { uint32_t group, next; } Visit;

/* Numbers the group, and before it all that it needs. */
static void order_visit(Planner *p, uint32_t group, uint8_t *state, Visit *stack, Group *to, uint32_t *n,
                        uint32_t *new_id) {
    uint32_t depth = 0;
    if (!state[group])
        stack[depth++] = (Visit){group, 0};
    state[group] = 1;
    while (depth > 0) {
        Visit *top = &stack[depth - 1];
        if (next_needed(p, p->groups.at[top->group].needs, state, &top->next)) {
            state[top->next] = 1;
            stack[depth++] = (Visit){top->next, 0};
            continue;
        }
        new_id[top->group] = *n;
        to[(*n)++] = p->groups.at[top->group];
        depth--;
    }
}

static void sort_groups(Planner *p) {
    uint32_t n = 0, count = p->groups.n;
    Group *to = PUSH(p->arena, Group, count + 1);
    uint32_t *new_id = PUSH(p->arena, uint32_t, count + 1);
    uint8_t *state = PUSH(p->arena, uint8_t, count + 1);
    Visit *stack = PUSH(p->arena, Visit, count + 1);
    for (int commits = 0; commits < 2; commits++) {
        for (uint32_t i = 0; i < count; i++) {
            if (p->groups.at[i].commit == (commits == 1))
                order_visit(p, i, state, stack, to, &n, new_id);
        }
    }
    if (count > 0)
        memcpy(p->groups.at, to, sizeof *to * count);
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        if (p->info[i].group != 0)
            p->info[i].group = new_id[p->info[i].group - 1] + 1;
    }
}

void group_nodes(Planner *p) {
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        if (p->info[i].stored && p->info[i].live)
            place_value(p, (Val){i});
    }
    place_exports(p);
    for (uint32_t i = 0; i < p->g->effects.n; i++) {
        if (node_of(p->g, p->g->effects.at[i])->op == OP_commit)
            place_commit(p, p->g->effects.at[i]);
    }
    fold_updates(p);
    pool_windows(p);
    mark_outer(p);
    widen_short_rows(p);
    choose_places(p);
    tell_stored(p);
    sort_groups(p);
}
