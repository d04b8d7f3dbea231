/* Updates in the epilogue of the product that makes their gradient: it is in registers there, and reaches no memory.
 * Semantics 11 wants every gradient checked before anything is written, so the product would have to run twice.  But a
 * gradient needs no look when what it is made of is small: with |x| and |y| at most 2^50 a chain of 4096 steps is at
 * most 2^112 (1 + 2^-12), and 2^14 chains added are below 2^127.  So whoever makes an operand looks whether it is
 * small, which sets a bit of the health word when it is not, and only then the products run before the commit, too, to
 * be checked and nothing else (the guards).
 *
 * In: groups of all sinks, commits last.  Out: commit groups that are the epilogue of a product, a guard for each. */
#include "fuse_parts.h"

enum { POINTS_MOST = 1 << 26 };

static int64_t elements(const Planner *p, Val v) { return shape_count(node_of(p->g, v)->shape); }

static int64_t points_of(const Contract *c) {
    int64_t n = 1;
    for (uint32_t i = 0; i < c->n_over; i++) {
        n *= c->extent[c->over[i]];
    }
    return n;
}

/* A variable that the step writes: it would be the new one by then, or half of it. */
static bool reads_written(const Planner *p, uint32_t group) {
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        const Node *n = &p->g->nodes.at[i];
        if (n->op != OP_arg || n->attr.arg.kind != ARG_VAR || !group_reads(p, group, (Val){i}))
            continue;
        for (uint32_t k = 0; k < p->g->effects.n; k++) {
            const Node *e = node_of(p->g, p->g->effects.at[k]);
            if (e->op == OP_commit && e->attr.commit.var == n->attr.arg.id)
                return true;
        }
    }
    return false;
}

/* Operands are kept until the end of the step, and so are copies in the order of the product. */
static bool operands_are_few(const Planner *p, Val v) {
    return elements(p, v) > 2 * (elements(p, operand(p->g, v, 0)) + elements(p, operand(p->g, v, 1)));
}

static bool reads_by_element(Planner *p, uint32_t commit, uint32_t product) {
    const Group *g = &p->groups.at[commit];
    RefusalKind why;
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        if (!rows_fit(p, product, g->sinks.at[i].val, g->domain.rank, &why))
            return false;
    }
    return true;
}

/* Is it a plain product of f32, made for its own sake, which no step may write unless it is finite? */
static bool is_product(const Planner *p, Val v) {
    const Node *n = node_of(p->g, v);
    const Info *in = &p->info[v.i];
    if (n->op != OP_contract || n->dtype != DT_F32 || !in->stored || !in->checked || in->group == 0)
        return false;
    const Group *g = &p->groups.at[in->group - 1];
    return g->kind == GROUP_TILE && g->sinks.n == 1 && !g->commit && n->attr.contract->n_windows == 0;
}

static bool folds(Planner *p, uint32_t commit, Val v) {
    const Group *g = &p->groups.at[commit];
    if (!g->commit || g->kind != GROUP_MAP || !group_reads(p, commit, v) || !is_product(p, v) ||
        !shape_eq(node_of(p->g, v)->shape, g->domain))
        return false;
    uint32_t product = p->info[v.i].group - 1;
    RefusalKind why;
    if (!group_alone(p, commit, v))
        why = REFUSAL_GRADIENT;
    else if (!operands_are_few(p, v))
        why = REFUSAL_OPERANDS;
    else if (reads_written(p, product))
        why = REFUSAL_WRITTEN;
    else if (points_of(node_of(p->g, v)->attr.contract) > POINTS_MOST || !reads_by_element(p, commit, product))
        why = REFUSAL_EPILOGUE;
    else
        return true;
    refuse(p, g->sinks.at[0].val, v, why);
    return false;
}

/* Rounding a small number to bf16 leaves it small: 2^50 is one. */
static bool is_rounding(const Planner *p, Val x) {
    const Node *n = node_of(p->g, x);
    return n->op == OP_cast && n->dtype == DT_BF16 && node_of(p->g, operand(p->g, x, 0))->dtype == DT_F32;
}

/* What lies behind views that show each element as it is, or rounded. */
static Val behind_views(const Planner *p, Val x) {
    while (!p->info[x.i].stored) {
        Op op = (Op)node_of(p->g, x)->op;
        if (op != OP_reshape && op != OP_permute && op != OP_slice && op != OP_broadcast && !is_rounding(p, x))
            break;
        x = operand(p->g, x, 0);
    }
    return x;
}

static bool made_to_be_stored(const Planner *p, Val v) {
    const Info *in = &p->info[v.i];
    if (!in->stored || in->group == 0 || node_of(p->g, v)->op == OP_reduce)
        return false;
    const Group *g = &p->groups.at[in->group - 1];
    return !g->commit && (g->kind == GROUP_MAP || g->kind == GROUP_ROWS || g->kind == GROUP_TILE);
}

/* No load alone gives it, as of an operand that is read where it lies, be it rounded then. */
static bool made_in_packing(const Planner *p, Val v) {
    const Node *n = node_of(p->g, v);
    bool rounds = n->dtype == DT_BF16 || n->dtype == DT_F16;
    return !p->info[v.i].stored && op_class((Op)n->op) == CLASS_ELT &&
           (n->op != OP_cast || (!rounds && node_of(p->g, operand(p->g, v, 0))->dtype != n->dtype));
}

/* Where x is made element by element, to be stored or packed, it is looked at there, else by a kernel that does nothing
 * else. */
static void look(Planner *p, Val x) {
    Val source = behind_views(p, x);
    if (made_to_be_stored(p, source)) {
        p->info[source.i].small = true;
        return;
    }
    if (made_in_packing(p, source)) {
        p->info[x.i].small = true;
        return;
    }
    for (uint32_t i = 0; i < p->groups.n; i++) {
        const Group *other = &p->groups.at[i];
        if (other->sinks.n == 1 && other->sinks.at[0].small && val_eq(other->sinks.at[0].val, x))
            return;
    }
    group_look(p, x);
}

static void fold(Planner *p, uint32_t commit, Val v) {
    Info *in = &p->info[v.i];
    uint32_t product = in->group - 1;
    Cell *c = cell_at(p, in->cell);
    c->region = REGION_ACT; /* where nothing is ever put */
    c->mirrors = 0;
    group_guard(p, product);
    group_merge(p, product, commit);
    for (uint32_t i = 0; i < 2; i++) {
        look(p, operand(p->g, v, i));
    }
}

void fold_updates(Planner *p) {
    const FuseOptions *o = p->entry->options;
    if (!o->fused || o->apart || p->loop != 0 || p->entry->once)
        return;
    for (uint32_t v = 1; v < p->g->nodes.n; v++) {
        for (uint32_t i = p->groups.n; i-- > 0;) {
            if (folds(p, i, (Val){v})) {
                fold(p, i, (Val){v});
                break;
            }
        }
    }
}
