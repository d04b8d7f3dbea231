/* Reductions with kept axes behind the reduced ones: sums of columns, of channels, pooling windows.  The kept axes are
 * the head, but for the last, of which a point makes a block.  Reductions of one shape that read the same large tensor
 * are stages of one kernel, walked in one sweep where they can be (a maximum and its place; the sums of a
 * normalisation's gradient).  Few columns of long rows are shared out by chunks of the row, which the order of sums has
 * anyway. */
#include "fuse_parts.h"
#include <string.h>

static Shape columns_shape(const Planner *p, Val v) { return node_of(p->g, operand(p->g, v, 0))->shape; }

/* Axes of the first stage, all of one kernel: places of the operands' and the results' elements; the last kept axis. */
static uint32_t put_axes(Emit *e, Val v, int64_t block_size, Index *at, Index *out) {
    Kernel *k = e->k;
    const Node *n = node_of(e->p->g, v);
    Shape shape = columns_shape(e->p, v);
    uint8_t kept[MAX_RANK];
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < shape.rank; i++) {
        bool reduced = memchr(n->attr.reduce.at, (int)i, n->attr.reduce.n) != NULL;
        if (!reduced)
            kept[n_kept++] = (uint8_t)i;
    }
    for (uint32_t i = 0; i + 1 < n_kept; i++) {
        at[kept[i]] = out[i] = index_axis(kernel_axis(k, "n", shape.dim[kept[i]]));
    }
    Stage *s = kernel_stage(k, STAGE_REDUCE);
    int64_t last = shape.dim[kept[n_kept - 1]];
    uint32_t block = kernel_axis(k, "b", last > block_size ? (last + block_size - 1) / block_size : 1);
    k->n_head = k->axes.n;
    uint32_t inner = kernel_axis(k, "k", last > block_size ? block_size : last);
    if (last > block_size && last % block_size != 0) {
        k->axes.at[inner].clip_by = (int32_t)block;
        k->axes.at[inner].clip_total = last;
    }
    Index column = index_axis(inner);
    column.coef[block] = last > block_size ? block_size : 0;
    at[kept[n_kept - 1]] = out[n_kept - 1] = column;
    s->axis[s->n_axes++] = (uint8_t)inner;
    s->n_keep = 1;
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) {
        uint32_t axis = n->attr.reduce.at[i];
        s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "k", shape.dim[axis]);
        at[axis] = shape.dim[axis] == 1 ? index_const(0) : index_axis(s->axis[s->n_axes - 1]);
    }
    return inner;
}

/* A stage for each of the reductions; the last kept axis. */
static uint32_t put_columns(Emit *e, const Sink *sinks, uint32_t n_sinks, int64_t block_size, Index *out) {
    Kernel *k = e->k;
    Index at[MAX_RANK];
    uint32_t inner = put_axes(e, sinks[0].val, block_size, at, out);
    for (uint32_t i = 0; i < n_sinks; i++) {
        if (i > 0) {
            Stage more = k->stages.at[0];
            more.first = k->insts.n;
            vec_push(k->arena, &k->stages, more);
        }
        emit_stage(e);
        uint32_t value = emit_value(e, operand(e->p->g, sinks[i].val, 0), at, 0);
        Stage *s = &k->stages.at[i];
        s->yield[0] = value;
        s->n = k->insts.n - s->first;
        s->reduce = node_of(e->p->g, sinks[i].val)->attr.reduce.kind;
    }
    stages_merge(k);
    return inner;
}

enum { ACROSS = 64, ALONG = 8, POINTS = 16, WORTH_NS = 8000 };

/* What trying shows: do lanes run along the rows, that is not from column to column?  Does one axis count the row, in
 * all that is read? */
typedef struct { bool along, one_axis; } Walk;

static Walk walk_of(Planner *p, Val v) {
    ArenaMark mark = arena_mark(p->entry->trial);
    Unit u = {0};
    Kernel *k = kernel_create(p->entry->trial, STR("trial"));
    Emit e = emit_begin(p, k, &u);
    Index out[MAX_RANK];
    put_columns(&e, &(Sink){.val = v}, 1, ACROSS, out);
    stage_vector(k, &k->stages.at[0]);
    const Stage *s = &k->stages.at[0];
    Walk w = {.along = s->vec > 0, .one_axis = s->n_axes == 2};
    for (uint32_t i = 0; i < k->insts.n; i++) {
        w.one_axis &= k->insts.at[i].kop != K_AXIS;
    }
    arena_pop(mark);
    return w;
}

/* How many columns a point makes.  With lanes along the columns, some vectors; with lanes along the rows, as many as
 * the code walks at once.  Fewer if that keeps threads busy. */
static int64_t column_block(Planner *p, const Group *g) {
    Val v = g->sinks.at[0].val;
    bool along = walk_of(p, v).along;
    Shape s = node_of(p->g, v)->shape;
    int64_t last = s.dim[s.rank - 1], rest = shape_count(shape_of(s.rank - 1u, s.dim));
    int64_t size = along ? ALONG : ACROSS, least = along ? 1 : LANES;
    while (g->work > WORTH_NS && size > least && rest * ((last + size - 1) / size) < POINTS) {
        size /= 2;
    }
    return size;
}

bool columns_alike(Planner *p, Val v, Val w) {
    const Node *n = node_of(p->g, v), *m = node_of(p->g, w);
    uint32_t axes = n->attr.reduce.n;
    return shape_eq(columns_shape(p, v), columns_shape(p, w)) && axes == m->attr.reduce.n &&
           memcmp(n->attr.reduce.at, m->attr.reduce.at, axes) == 0 && walk_of(p, v).along == walk_of(p, w).along;
}

static void check_column(Emit *e, Sink sink, const Index *at, uint32_t inner) {
    Kernel *k = e->k;
    Stage *check = kernel_stage(k, STAGE_MAP);
    check->axis[check->n_axes++] = (uint8_t)inner;
    emit_stage(e);
    uint32_t buf = kernel_buffer(e, sink.cell, false);
    emit_check(e, emit_load(e, buf, index_linear(e, node_of(e->p->g, sink.val)->shape, at), 0, sink.val.i));
    check = &k->stages.at[k->stages.n - 1];
    check->n = k->insts.n - check->first;
}

/* ---- few columns, long rows ---- */
/* Columns too few to share out, of rows that the order of sums cuts into chunks anyway. */
static bool cuts_rows(Planner *p, const Group *g) {
    Shape s = node_of(p->g, g->sinks.at[0].val)->shape;
    int64_t last = s.dim[s.rank - 1], rest = shape_count(shape_of(s.rank - 1u, s.dim));
    bool few = rest * ((last + ACROSS - 1) / ACROSS) < POINTS && last >= LANES;
    bool cuts = p->entry->options->fused && g->work > WORTH_NS && few;
    for (uint32_t i = 0; i < g->sinks.n && cuts; i++) {
        Val v = g->sinks.at[i].val;
        Walk w = walk_of(p, v);
        bool sum = node_of(p->g, v)->attr.reduce.kind == REDUCE_SUM;
        cuts = sum && reduce_row(p->g, v) > CHUNK && !w.along && w.one_axis;
    }
    return cuts;
}

/* Chunks of the row as the last axis of the head. */
static uint32_t cut_axis(Kernel *k) {
    uint32_t head = k->n_head, row = k->stages.at[0].axis[1];
    int64_t total = k->axes.at[row].extent;
    kernel_insert_axis(k, head, (total + CHUNK - 1) / CHUNK);
    KAxis *in_chunk = &k->axes.at[row + 1];
    in_chunk->extent = CHUNK;
    if (total % CHUNK != 0)
        in_chunk->clip_by = (int32_t)head, in_chunk->clip_total = total;
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        k->accesses.at[i].coef[head] = k->accesses.at[i].coef[row + 1] * CHUNK;
    }
    k->n_head++;
    return head;
}

/* The table of partial sums has a row for each lane, as for a split head; here they are folded, and lie in the first.
 * The others are -0, which changes nothing. */
static void put_no_lanes(Emit *e, const Node *n, uint32_t buf, const Index *out, uint32_t inner, uint32_t lane) {
    Kernel *k = e->k;
    int64_t width = shape_count(n->shape);
    DType t = wide_of((DType)n->dtype);
    Stage *s = kernel_stage(k, STAGE_MAP);
    s->axis[s->n_axes++] = (uint8_t)lane, s->axis[s->n_axes++] = (uint8_t)inner;
    emit_stage(e);
    Index at = index_add(e, index_linear(e, n->shape, out), index_scale(index_axis(lane), width));
    at.base += width;
    Imm none = {.i = 0};
    if (dtype_is_float(t))
        none.f = -0.0;
    uint32_t value = emit_inst(e, (KInst){.kop = K_SCALAR, .op = S_const, .type = (uint8_t)t, .imm = none});
    emit_store(e, buf, at, value);
    s = &k->stages.at[k->stages.n - 1];
    s->n = k->insts.n - s->first;
}

/* Each point sums a chunk of some columns; another kernel folds the chunks. */
static void lower_cut(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Unit *u = unit_of_group(p, group, "columns");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index out[MAX_RANK];
    uint32_t *partial = PUSH(p->arena, uint32_t, g->sinks.n);
    uint32_t inner = put_columns(&e, g->sinks.at, g->sinks.n, ACROSS, out);
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        Val v = g->sinks.at[i].val;
        const Node *n = node_of(p->g, v);
        int64_t count = shape_count(n->shape) * LANES * ((reduce_row(p->g, v) + CHUNK - 1) / CHUNK);
        partial[i] = cell_packed(p, str_format(p->arena, "partial%u", v.i), wide_of((DType)n->dtype), count, v);
        uint32_t buf = kernel_buffer(&e, partial[i], true);
        k->stages.at[i].out[0] = 1 + emit_access(&e, buf, index_linear(&e, n->shape, out));
    }
    uint32_t lane = kernel_axis(k, "l", LANES - 1);
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        const Node *n = node_of(p->g, g->sinks.at[i].val);
        put_no_lanes(&e, n, kernel_buffer(&e, partial[i], true), out, inner, lane);
    }
    uint32_t chunk = cut_axis(k);
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        KAccess *a = &k->accesses.at[i];
        for (uint32_t j = 0; j < g->sinks.n; j++) {
            if (u->cells.at[a->buf] == partial[j])
                a->coef[chunk] = LANES * shape_count(node_of(p->g, g->sinks.at[j].val)->shape);
        }
    }
    unit_finish(&e);
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        lower_fold(p, group, g->sinks.at[i], partial[i]);
    }
}

void lower_columns(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    if (cuts_rows(p, g)) {
        lower_cut(p, group);
        return;
    }
    Unit *u = unit_of_group(p, group, "columns");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index out[MAX_RANK];
    uint32_t inner = put_columns(&e, g->sinks.at, g->sinks.n, column_block(p, g), out);
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        const Node *n = node_of(p->g, g->sinks.at[i].val);
        for (uint32_t m = 0; m < reduce_members(n); m++) {
            uint32_t buf = kernel_buffer(&e, g->sinks.at[i].cell + m, true);
            k->stages.at[i].out[m] = 1 + emit_access(&e, buf, index_linear(&e, n->shape, out));
        }
    }
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        if (p->info[g->sinks.at[i].val.i].checked)
            check_column(&e, g->sinks.at[i], out, inner);
    }
    unit_finish(&e);
}
