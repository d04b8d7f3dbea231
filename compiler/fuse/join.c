/* A join of computed parts, one element each along its axis: which part an element comes from would be asked for every
 * element, and all of them computed.  So such a join lies in memory, and its kernel has no axis for what is joined: a
 * point makes an element of each part.  What parts have in common (the transforms of compiler/grad/winograd.c read the
 * same few places and share most sums) is then computed once.  Joins of joins are taken as one. */
#include "fuse_parts.h"

enum { PARTS_LEAST = 4, PARTS_MOST = 64 };

static bool of_ones(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    return n->op == OP_concat && n->shape.dim[n->attr.axis] == n->n &&
           shape_count(node_of(g, operand(g, v, 0))->shape) * n->n == shape_count(n->shape);
}

/* Marks the axes along which parts are joined; how many parts there are. */
static int64_t joined_axes(const Planner *p, Val v, bool *joined) {
    const Graph *g = p->g;
    int64_t parts = 1;
    for (Val x = v; of_ones(g, x) && (x.i == v.i || !p->info[x.i].stored); x = operand(g, x, 0)) {
        uint8_t axis = node_of(g, x)->attr.axis;
        if (joined[axis])
            break;
        joined[axis] = true;
        parts *= node_of(g, x)->shape.dim[axis];
    }
    return parts;
}

static bool computed(const Graph *g, Val v) {
    while (node_of(g, v)->op == OP_permute || node_of(g, v)->op == OP_reshape) {
        v = operand(g, v, 0);
    }
    if (of_ones(g, v)) {
        uint32_t found = 0;
        for (uint32_t k = 0; k < node_of(g, v)->n; k++) {
            found += computed(g, operand(g, v, k));
        }
        return 2 * found >= node_of(g, v)->n;
    }
    return op_class((Op)node_of(g, v)->op) == CLASS_ELT && node_of(g, v)->op != OP_cast;
}

/* All who read it are one join, which takes its parts. */
static bool part_of_join(const Planner *p, Val v) {
    const Info *in = &p->info[v.i];
    return !in->stored && !in->many && in->consumer != 0 && in->consumer < p->g->nodes.n &&
           of_ones(p->g, (Val){in->consumer});
}

bool join_of_parts(const Planner *p, Val v) {
    bool joined[MAX_RANK] = {false};
    Shape s = node_of(p->g, v)->shape;
    if (!of_ones(p->g, v) || part_of_join(p, v) || s.rank < 2 || shape_count(s) == 0)
        return false;
    int64_t parts = joined_axes(p, v, joined);
    uint32_t last = s.rank - 1;
    while (last > 0 && joined[last]) {
        last--;
    }
    return parts >= PARTS_LEAST && parts <= PARTS_MOST && !joined[last] && s.dim[last] >= LANES && computed(p->g, v);
}

void lower_join(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Unit *u = unit_of_group(p, group, "join");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index at[MAX_RANK];
    bool joined[MAX_RANK] = {false};
    int64_t parts = joined_axes(p, g->sinks.at[0].val, joined);
    Stage *s = kernel_stage(k, STAGE_MAP);
    e.group = group + 1, e.head = g->domain.rank, e.head_at = at;
    for (uint32_t i = 0; i < g->domain.rank; i++) {
        bool axis = !joined[i] && g->domain.dim[i] > 1;
        at[i] = axis ? index_axis(kernel_axis(k, "i", g->domain.dim[i])) : index_const(0);
    }
    emit_stage(&e);
    for (int64_t part = 0; part < parts; part++) {
        int64_t rest = part;
        for (uint32_t i = g->domain.rank; i-- > 0;) {
            if (!joined[i])
                continue;
            at[i] = index_const(rest % g->domain.dim[i]);
            rest /= g->domain.dim[i];
        }
        put_sinks(&e, g->sinks.at, g->sinks.n, at);
    }
    GR_ASSERT(!e.bad);
    s->n = k->insts.n;
    kernel_merge(k);
    kernel_cut(k);
    unit_finish(&e);
}
