/* Pooling as the epilogue of a convolution that is read where it lies (direct.c).  The reductions of its windows (a
 * maximum, its place, a mean) are all that becomes of many a convolution, and a quarter of its size.  So a point of the
 * head makes not one row of places but those of a row of windows, which stay in the first cache, and the reductions run
 * over them there: the result itself reaches no memory.
 *
 * In: groups of all sinks.  Out: groups of products with a `pool`, whose other sinks are the reductions.  Whether these
 * ask for nothing but what their point makes is tried, as everywhere. */
#include "product.h"

/* v reduces y, whose last two dims are cut into windows side by side, to one number a window. */
static bool takes_windows(const Planner *p, Val y, Val v, Pool *pool) {
    const Node *n = node_of(p->g, v);
    if (n->op != OP_reduce || n->attr.reduce.n != 2)
        return false;
    Shape whole = node_of(p->g, y)->shape, cut = node_of(p->g, operand(p->g, v, 0))->shape;
    uint32_t rank = whole.rank;
    if (rank < 2 || cut.rank != rank + 2 || n->attr.reduce.at[0] != rank - 1 || n->attr.reduce.at[1] != rank + 1)
        return false;
    for (uint32_t i = 0; i + 2 < rank; i++) {
        if (whole.dim[i] != cut.dim[i])
            return false;
    }
    *pool = (Pool){cut.dim[rank - 1], cut.dim[rank + 1]};
    return cut.dim[rank - 2] * pool->rows == whole.dim[rank - 2] &&
           cut.dim[rank] * pool->columns == whole.dim[rank - 1];
}

/* ---- the stages ---- */
/* Kept are rows of a tile, tiles and the windows of one; then the places of a window. */
typedef struct {
    uint32_t row, window, place;
} PoolAxes;

static PoolAxes pool_axes(const Tile *t, const Pool *pool) {
    const Product *r = t->r;
    Kernel *k = t->e.k;
    PoolAxes axes = {.row = kernel_axis(k, "r", r->block[0]),
                     .window = kernel_axis(k, "c", r->block[1] / pool->columns),
                     .place = kernel_axis(k, "x", pool->columns)};
    pack_clip(k, axes.row, t->panel[0], r->run[0].count);
    pack_clip(k, axes.window, t->panel[1], r->run[1].count / pool->columns);
    return axes;
}

/* A block that is the only one counts nothing: a view that splits what it counts would give it to another dim. */
static Index in_blocks(const Kernel *k, uint32_t axis, uint32_t block, int64_t size) {
    Index at = index_axis(axis);
    at.coef[block] = k->axes.at[block].extent > 1 ? size : 0;
    return at;
}

/* The element of the convolution where the stage stands, which is in the tiles. */
static void preset_element(Tile *t, const Pool *pool, PoolAxes axes, Val y) {
    const Product *r = t->r;
    const Contract *c = r->c;
    const Kernel *k = t->e.k;
    int64_t tile = r->block[0] * r->block[1];
    Index in_tile = in_blocks(k, axes.place, axes.window, pool->columns), at[MAX_RANK];
    Index column = in_blocks(k, axes.place, t->panel[1], r->block[1]);
    column.coef[axes.window] = pool->columns;
    in_tile.coef[axes.row] = r->block[1];
    in_tile.coef[t->panel[1]] = tile;
    in_tile.coef[t->side_axis] = tile * r->panels[1];
    pack_split(&t->e, r, 0, in_blocks(k, axes.row, t->panel[0], r->block[0]), t->dim_at);
    t->dim_at[c->dim[2][c->rank[2] - 1]] = column;
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        uint32_t dim = c->dim[2][i];
        at[i] = c->extent[dim] == 1 ? index_const(0) : t->dim_at[dim];
    }
    emit_preset(&t->e, y, at, emit_load(&t->e, t->tile, in_tile, 0, y.i));
}

static void pool_stage(Tile *t, const Pool *pool, PoolAxes axes, Val y, Sink sink) {
    Emit *e = &t->e;
    const Product *r = t->r;
    const Node *n = node_of(e->p->g, sink.val);
    Stage *s = kernel_stage(e->k, STAGE_REDUCE);
    const uint32_t over[] = {axes.row, t->panel[1], axes.window, t->side_axis, axes.place};
    for (uint32_t i = 0; i < sizeof over / sizeof *over; i++) {
        s->axis[s->n_axes++] = (uint8_t)over[i];
    }
    s->n_keep = 3;
    s->reduce = n->attr.reduce.kind;
    emit_stage(e);
    preset_element(t, pool, axes, y);
    Index from[MAX_RANK], to[MAX_RANK];
    uint32_t rank = r->c->rank[2];
    for (uint32_t i = 0; i + 2 < rank; i++) {
        uint32_t dim = r->c->dim[2][i];
        from[i] = to[i] = r->c->extent[dim] == 1 ? index_const(0) : t->dim_at[dim];
    }
    bool one = e->k->axes.at[t->side_block].extent == 1;
    from[rank - 2] = to[rank - 2] = one ? index_const(0) : index_axis(t->side_block);
    from[rank] = to[rank - 1] = in_blocks(e->k, axes.window, t->panel[1], r->block[1] / pool->columns);
    from[rank - 1] = index_axis(t->side_axis);
    from[rank + 1] = index_axis(axes.place);
    s->yield[0] = emit_value(e, operand(e->p->g, sink.val, 0), from, 0);
    s->n = e->k->insts.n - s->first;
    for (uint32_t m = 0; m < reduce_members(n); m++) {
        s->out[m] = 1 + emit_access(e, kernel_buffer(e, sink.cell + m, true), index_linear(e, n->shape, to));
    }
}

void pool_epilogue(Tile *t, const Pool *pool, const Sink *sinks, uint32_t n) {
    Val y = t->e.p->groups.at[t->group].sinks.at[0].val;
    PoolAxes axes = pool_axes(t, pool);
    for (uint32_t i = 0; i < n; i++) {
        pool_stage(t, pool, axes, y, sinks[i]);
    }
}

/* ---- which convolutions ---- */
/* Rows of places are apart from the columns, and tiles hold whole windows, near enough. */
static bool holds_windows(const Direct *d, const Pool *pool) {
    enum { NEAR_FLOATS = 10 << 10, MOST_AXES = 14 };
    const Product *r = &d->r;
    const Contract *c = r->c;
    uint8_t row = c->dim[2][c->rank[2] - 2];
    bool apart = r->in[row] == IN_C && r->outer.n > 0;
    return apart && r->block[1] % pool->columns == 0 && c->rank[2] + 7 <= MOST_AXES &&
           pool->rows * r->panels[1] * r->block[0] * r->block[1] <= NEAR_FLOATS;
}

/* Do the reductions ask for elements of their point alone? */
static bool fit(Planner *p, uint32_t product, const Direct *d, const Pool *pool, const Group *reductions) {
    ArenaMark mark = arena_mark(p->entry->trial);
    Unit u = {0};
    Tile t = tile_in(p, product, &d->r, kernel_create(p->entry->trial, STR("trial")), &u);
    direct_axes(&t, pool);
    pool_epilogue(&t, pool, reductions->sinks.at, reductions->sinks.n);
    arena_pop(mark);
    return !t.e.bad;
}

static bool is_convolution(const Planner *p, Val y) {
    const Node *n = node_of(p->g, y);
    const Info *in = &p->info[y.i];
    if (n->op != OP_contract || n->dtype != DT_F32 || n->attr.contract->n_windows == 0 || in->group == 0 ||
        in->checked || in->small)
        return false;
    const Group *g = &p->groups.at[in->group - 1];
    return g->kind == GROUP_TILE && g->sinks.n == 1 && !g->commit;
}

static bool pools(Planner *p, uint32_t reductions, Val y, Pool *pool) {
    const Group *g = &p->groups.at[reductions];
    uint32_t product = p->info[y.i].group - 1;
    *pool = (Pool){0};
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        Pool own;
        if (!takes_windows(p, y, g->sinks.at[i].val, &own) || p->info[g->sinks.at[i].val.i].checked ||
            (i > 0 && (own.rows != pool->rows || own.columns != pool->columns)))
            return false;
        *pool = own;
    }
    Direct d;
    return group_alone(p, reductions, y) && !group_between(p, product, reductions) && direct_product(p, y, true, &d) &&
           holds_windows(&d, pool) && fit(p, product, &d, pool, g);
}

void pool_windows(Planner *p) {
    for (uint32_t y = 1; y < p->g->nodes.n && p->entry->options->fused; y++) {
        for (uint32_t i = 0; i < p->groups.n && is_convolution(p, (Val){y}); i++) {
            const Group *g = &p->groups.at[i];
            Pool pool;
            if (g->kind != GROUP_COLUMNS || !group_reads(p, i, (Val){y}) || !pools(p, i, (Val){y}, &pool))
                continue;
            uint32_t product = p->info[y].group - 1;
            group_take(p, product, i);
            p->groups.at[product].pool = pool;
        }
    }
}
