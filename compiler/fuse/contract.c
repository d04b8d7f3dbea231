/* Contractions as register tiles (product.c sorts their dims, pack.c feeds them).  The tile is left in scratch, and the
 * epilogue is an ordinary map over its rows and columns. */
#include "product.h"
#include <string.h>

uint32_t tile_operand(Emit *e, const Product *r, const Feed *s, int side, const Index *dim_at, Index panel) {
    Index at = index_const(s->base);
    uint8_t others[MAX_DIMS];
    uint32_t n = pack_others(r, side, others);
    for (uint32_t i = 0; i < n; i++) {
        if (r->in[others[i]] & IN_C)
            at = index_add(e, at, index_scale(dim_at[others[i]], s->stride[others[i]]));
    }
    at = index_add(e, at, index_scale(panel, s->panel));
    return emit_access(e, kernel_buffer(e, s->cell, false), at);
}

/* Where C[tile row, column] lies: outer dims, then the two runs, each of one stride in C. */
static Index result_index(Emit *e, const Product *r, const Index *dim_at, const Index run[2]) {
    const Contract *c = r->c;
    int64_t stride_of[MAX_DIMS] = {0}, stride = 1;
    for (uint32_t i = c->rank[2]; i-- > 0;) {
        stride_of[c->dim[2][i]] = stride;
        stride *= c->extent[c->dim[2][i]];
    }
    Index at = index_const(0);
    for (uint32_t i = 0; i < r->outer.n; i++) {
        at = index_add(e, at, index_scale(dim_at[r->outer.dim[i]], stride_of[r->outer.dim[i]]));
    }
    for (int side = 0; side < 2; side++) {
        const DimList *l = &r->run[side];
        if (l->n > 0)
            at = index_add(e, at, index_scale(run[side], stride_of[l->dim[l->n - 1]]));
    }
    return at;
}

/* fixed: the number of the row panel where it is a constant, else -1 and panel[0] is its axis. */
void tile_epilogue(Tile *t, int64_t fixed) {
    Emit *e = &t->e;
    const Product *r = t->r;
    Planner *p = e->p;
    Kernel *k = e->k;
    Group *g = &p->groups.at[t->group];
    Val v = g->sinks.at[0].val;
    Stage *s = kernel_stage(k, STAGE_MAP);
    Index run[2], at[MAX_RANK], in_tile = index_const(0);
    for (int side = 0; side < 2; side++) {
        bool constant = side == 0 && fixed >= 0;
        int64_t left = r->run[side].count - fixed * r->block[side];
        uint32_t axis = kernel_axis(k, side == 0 ? "r" : "c",
                                    constant && left < r->block[side] ? left : r->block[side]);
        if (side == 1 && t->inside) {
            s->axis[s->n_axes++] = (uint8_t)t->panel[1];
            in_tile.coef[t->panel[1]] = r->block[0] * r->block[1];
        }
        if (side == 0 && t->rows_near > 1) {
            s->axis[s->n_axes++] = (uint8_t)t->row_axis;
            in_tile.coef[t->row_axis] = r->block[0] * r->block[1];
        }
        s->axis[s->n_axes++] = (uint8_t)axis;
        run[side] = index_axis(axis);
        in_tile.coef[axis] = side == 0 ? r->block[1] : 1;
        if (constant) {
            run[side].base = fixed * r->block[side];
        } else if (side == 0 && t->rows_near > 1) {
            run[side].coef[t->panel[side]] = t->rows_near * r->block[side];
            run[side].coef[t->row_axis] = r->block[side];
        } else {
            pack_clip(k, axis, t->panel[side], r->run[side].count);
            run[side].coef[t->panel[side]] = r->block[side];
        }
    }
    if (t->side != 0) {
        /* the tile is read along its rows and turned */
        s->vec = (int8_t)(t->woven ? s->n_axes - 1 : s->n_axes);
        s->transpose = (int8_t)(t->woven ? s->n_axes : s->n_axes - 1);
        s->axis[s->n_axes++] = (uint8_t)t->side_axis;
        in_tile.coef[t->side_axis] = r->block[0] * r->block[1];
    }
    if (t->across) { /* lanes run along the tile, what is stored and read beside it is turned */
        s->vec = (int8_t)(s->n_axes - 1);
        s->transpose = (int8_t)(s->n_axes - 2);
    }
    emit_stage(e);
    uint32_t value = emit_load(e, t->tile, in_tile, 0, v.i);
    if (p->info[v.i].checked && !g->commit)
        emit_check(e, value);
    if (p->info[v.i].small)
        emit_small(e, value);
    if (p->info[v.i].outer)
        emit_store(e, kernel_buffer(e, g->sinks.at[0].cell, true), result_index(e, r, t->dim_at, run), value);
    if (g->sinks.n > 1) {
        for (int side = 0; side < 2; side++) {
            pack_split(e, r, side, run[side], t->dim_at);
        }
        for (uint32_t i = 0; i < r->c->rank[2]; i++) {
            uint32_t dim = r->c->dim[2][i];
            at[i] = r->c->extent[dim] == 1 ? index_const(0) : t->dim_at[dim];
        }
        e->head = r->c->rank[2], e->head_at = at;
        emit_preset(e, v, at, value);
        put_sinks(e, g->sinks.at + 1, g->sinks.n - 1, at);
        GR_ASSERT(!e->bad);
    }
    k->stages.at[k->stages.n - 1].n = k->insts.n - e->first;
}

/* Tiles of one row of tiles one after another write C along its rows, which needs all of B near; else the
 * columns go outside and a panel of B is used up before the next. */
static bool sweeps_columns(const Product *r) {
    enum { NEAR_BYTES = 512 << 10 };
    int64_t a = r->run[0].count * r->k.count, b = r->run[1].count * r->k.count;
    return b * 4 <= NEAR_BYTES || b <= a;
}

Tile tile_in(Planner *p, uint32_t group, const Product *r, Kernel *k, Unit *u) {
    Tile t = {.e = emit_begin(p, k, u), .group = group, .r = r, .rows_near = 1};
    t.e.group = group + 1;
    uint8_t *done = PUSH(p->entry->trial, uint8_t, p->g->nodes.n);
    memset(done, 2, p->g->nodes.n);
    t.e.done = done;
    return t;
}

void tile_begin(Planner *p, uint32_t group, const Product *r, const char *what, Tile *t) {
    Unit *u = unit_of_group(p, group, what);
    *t = tile_in(p, group, r, u->kernel, u);
}

/* Head axes of the other dims of C. */
void tile_outer(Tile *t) {
    const Product *r = t->r;
    for (uint32_t i = 0; i < r->outer.n; i++) {
        uint8_t dim = r->outer.dim[i];
        if (t->side == dim + 1u)
            continue;
        t->axis_of[dim] = kernel_axis(t->e.k, "o", r->c->extent[dim]);
        t->dim_at[dim] = index_axis(t->axis_of[dim]);
    }
}

/* Are the columns of a tile next to its places in C? */
static bool beside_columns(const Product *r) {
    const DimList *l = &r->run[1];
    const Contract *c = r->c;
    return l->n > 0 && c->rank[2] > 1 && l->dim[l->n - 1] == c->dim[2][c->rank[2] - 2];
}

/* Points of the head when a dim of C is none of it. */
static int64_t points_without(const Product *r, uint8_t dim) {
    int64_t points = r->panels[0] * r->panels[1];
    for (uint32_t i = 0; i < r->outer.n; i++) {
        points *= r->outer.dim[i] == dim ? 1 : r->c->extent[r->outer.dim[i]];
    }
    return points;
}

/* 1 + the last dim of C, where it is a place of a window; a few places while enough points are left without them. */
static uint32_t side_of(const Product *r) {
    enum { POINTS = 16 };
    uint8_t dim = r->c->dim[2][r->c->rank[2] - 1];
    int64_t extent = r->c->extent[dim];
    bool place = r->lists.n > 0 && r->in[dim] == IN_C && extent > 1;
    return place && (extent > FEW_PLACES || points_without(r, dim) >= POINTS) ? dim + 1u : 0;
}

/* Its blocks, a line long or a little less, are the last axis of the head; inside one is the first inner axis. */
static void cut_side(Tile *t) {
    enum { LINE = 16 };
    Kernel *k = t->e.k;
    int64_t extent = t->side ? t->r->c->extent[t->side - 1] : 1, blocks = (extent + LINE - 1) / LINE;
    int64_t size = (extent + blocks - 1) / blocks;
    if (t->side != 0)
        t->side_block = kernel_axis(k, "b", blocks);
    k->n_head = k->axes.n;
    if (t->side == 0)
        return;
    t->side_axis = kernel_axis(k, "x", size);
    pack_clip(k, t->side_axis, t->side_block, extent);
    Index at = index_axis(t->side_axis);
    at.coef[t->side_block] = size;
    t->dim_at[t->side - 1] = at;
}

/* Of a window the result has one role (an axis of the head), the list goes over another, and the third follows: from
 * x = stride * o + dilation * t - pad. */
/* Of a window whose place in the result the columns are. */
static KList column_list(const Window *w, uint32_t column, int64_t places) {
    int64_t sign = column == w->o ? 1 : -1;
    return (KList){.outer = -1, .columns = true, .of_u = sign * w->dilation, .base = -sign * w->pad, .places = places};
}

static KList window_list(const Tile *t, const Window *w, uint32_t u) {
    const Contract *c = t->r->c;
    uint32_t at = t->r->in[w->x] == IN_C ? w->x : t->r->in[w->o] == IN_C ? w->o : w->t;
    uint32_t place = w->x ^ w->o ^ w->t ^ at ^ u;
    int64_t weight[MAX_DIMS];
    weight[w->x] = -1, weight[w->o] = w->stride, weight[w->t] = w->dilation;
    int64_t sign = place == w->x ? 1 : -1;
    bool side = t->side == at + 1;
    return (KList){.window = true,
                   .axis = (int32_t)(side ? t->side_axis : t->axis_of[at]),
                   .outer = side ? (int32_t)t->side_block : -1,
                   .of_axis = sign * weight[at],
                   .of_outer = side ? sign * weight[at] * t->dim_at[at].coef[t->side_block] : 0,
                   .of_u = sign * weight[u],
                   .base = -sign * w->pad,
                   .divide = place == w->x ? 1 : weight[place],
                   .places = c->extent[place],
                   .a_place = t->source[0].stride[place],
                   .b_place = t->source[1].stride[place]};
}

void tile_lists(const Tile *t, KTile *tile) {
    const Contract *c = t->r->c;
    for (uint32_t i = 0; i < t->r->lists.n; i++) {
        uint8_t u = t->r->lists.dim[i];
        KList l = {.outer = -1};
        for (uint32_t k = 0; k < c->n_windows; k++) {
            const Window *w = &c->window[k];
            if (w->x != u && w->o != u && w->t != u)
                continue;
            uint32_t column = t->inside ? t->r->run[1].dim[0] : u, place = w->x ^ w->o ^ w->t ^ u ^ column;
            bool own = column != u && (column == w->x || column == w->o);
            l = own ? column_list(w, column, c->extent[place]) : window_list(t, w, u);
        }
        l.count = c->extent[u];
        l.a_step = t->source[0].stride[u];
        l.b_step = t->source[1].stride[u];
        tile->list[tile->n_lists++] = l;
    }
}

/* The tile stage and its epilogue.  fixed: the row panel, -1 when it is an axis of the head. */
void tile_stages(Tile *t, uint32_t a, uint32_t b, int64_t fixed) {
    const Product *r = t->r;
    Stage *s = kernel_stage(t->e.k, STAGE_TILE);
    emit_stage(&t->e);
    if (t->side != 0)
        s->axis[s->n_axes++] = (uint8_t)t->side_axis;
    if (t->inside)
        s->axis[s->n_axes++] = (uint8_t)t->panel[1];
    bool near = t->rows_near > 1;
    if (near)
        s->axis[s->n_axes++] = (uint8_t)t->row_axis;
    int64_t left = r->run[0].count - (fixed > 0 ? fixed * r->block[0] : 0);
    s->tile = (KTile){.a = a,
                      .b = b,
                      .out = t->tile,
                      .k = r->k.count,
                      .a_k = t->source[0].k,
                      .b_k = t->source[1].k,
                      .a_r = t->source[0].row,
                      .mr = (uint8_t)r->block[0],
                      .nr = (uint8_t)r->block[1],
                      .m_axis = near ? -1 : (int32_t)t->panel[0],
                      .n_axis = (int32_t)t->panel[1],
                      .cut = -1,
                      .m = near || (fixed >= 0 && left >= r->block[0]) ? r->block[0] : left,
                      .n = r->run[1].count};
    tile_lists(t, &s->tile);
    const Group *g = &t->e.p->groups.at[t->group];
    if (g->pool.columns > 0)
        pool_epilogue(t, &g->pool, g->sinks.at + 1, g->sinks.n - 1);
    else
        tile_epilogue(t, fixed);
}

/* A matrix that lies across and is read by few row panels (a weight, in the gradient of a small batch): each of
 * its column panels is turned into scratch, where it stays near, and used up at once; no turned copy of the matrix
 * ever reaches memory. */
static bool packs_in_scratch(const Product *r, const Lie *b) {
    enum { FEW_PANELS = 8, NEAR_FLOATS = 96 << 10 };
    int64_t axes = 2 + r->k.n + 1 + 2 * r->panels[0]; /* head, turning, an epilogue for each row panel */
    return b->direct && r->lists.n == 0 && !product_lies_right(r, b, 1) && r->outer.n == 0 &&
           r->panels[0] <= FEW_PANELS && axes <= MAX_AXES && r->panels[1] >= 4 &&
           product_steps(r) * r->block[1] <= NEAR_FLOATS;
}

static void lower_panel(Planner *p, uint32_t group, const Product *r, const Lie *b) {
    Tile t;
    Feed rows = pack_source(p, group, r, 0);
    tile_begin(p, group, r, "tile", &t);
    t.source[0] = rows;
    t.source[1] = (Feed){.packed = true, .k = r->block[1]};
    Kernel *k = t.e.k;
    t.panel[1] = kernel_axis(k, "j", r->panels[1]);
    /* what the tile clips by: its rows are counted from the panel's first */
    t.panel[0] = kernel_axis(k, "i", 1);
    k->n_head = k->axes.n;
    uint32_t turned = kernel_scratch(k, t.e.unit, "panel", pack_type(r), product_steps(r) * r->block[1]);
    t.tile = kernel_scratch(k, t.e.unit, "tile", DT_F32, r->block[0] * r->block[1]);
    pack_stage(&t.e, r, b, 1, t.panel[1], NULL, NULL, t.dim_at, turned, index_const(0));
    for (int64_t i = 0; i < r->panels[0]; i++) {
        Index at = index_const(rows.base + i * rows.panel);
        uint32_t a = emit_access(&t.e, kernel_buffer(&t.e, rows.cell, false), at);
        tile_stages(&t, a, emit_access(&t.e, turned, index_const(0)), i);
    }
    unit_finish(&t.e);
}

/* Points that differ by a place or a tap alone, the last axes of the head, store side by side, often into one line, and
 * read much the same: a thread gets several in a row while enough are left to share out evenly. */
static void hand_out_rows(Kernel *k, uint32_t n_panels) {
    enum { HANDOUTS = 64 };
    int64_t run = 1;
    for (uint32_t a = k->n_head; a-- > n_panels && kernel_points(k) / (run * k->axes.at[a].extent) >= HANDOUTS;) {
        run *= k->axes.at[a].extent;
    }
    k->grain = run > k->grain ? run : k->grain;
}

/* How many panels of rows share their lists of blocks, which cost as much as a few steps of the product each, where
 * what they read and make stays near. */
static int64_t rows_near(const Tile *t) {
    enum { POINTS = 16, TILE_FLOATS = 16 << 10, NEAR_FLOATS = 256 << 10 };
    const Product *r = t->r;
    const Contract *c = r->c;
    int64_t row = 1, points = r->panels[0] * r->panels[1] * r->outer.count, best = 1;
    for (uint32_t i = 0; i < c->rank[r->role[0]]; i++) {
        row *= c->extent[c->dim[r->role[0]][i]];
    }
    row /= r->run[0].count;
    if (r->lists.n == 0 || t->side != 0 || r->run[0].count % r->block[0] != 0)
        return 1;
    for (int64_t n = 2; n <= r->panels[0]; n++) {
        if (r->panels[0] % n == 0 && points / n >= POINTS && n * r->block[0] * r->block[1] <= TILE_FLOATS &&
            n * r->block[0] * row <= NEAR_FLOATS)
            best = n;
    }
    return best;
}

/* The rows of its tiles: where they lie, if tiles can read them so; of the few steps of a convolution of one channel as
 * many in all tiles. */
static Product rows_chosen(Planner *p, const Product *r) {
    enum { FEW = 16 };
    Product to = *r;
    Lie a = product_lie(p, r, 0);
    if (!product_lies_right(r, &a, 0))
        product_apart(p, &to, &a);
    if (r->lists.n > 0 && r->k.count < FEW && side_of(r) == 0)
        product_even(p, &to);
    return to;
}

/* Of a product whose epilogue is an update: one tile is updated while the next is summed (llvm/emit_folded.c), which
 * takes the registers of two rows. */
static void rows_of_update(Product *r) {
    enum { ROWS = 12, WIDE = 2 * LANES };
    if (r->block[1] == WIDE && !r->pairs && !r->apart && r->block[0] > ROWS && r->k.count >= ROWS)
        product_rows(r, ROWS, 1);
}

static void lower_tile(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    if (g->pool.columns > 0) { /* pool.c has seen that it is one */
        lower_direct(p, group);
        return;
    }
    const Product packed = product_of(p, g->sinks.at[0].val, g->sinks.n > 1);
    Product r = rows_chosen(p, &packed);
    if (g->commit)
        rows_of_update(&r);
    Lie b = product_lie(p, &r, 1);
    Product around;
    bool across = !g->commit && product_around(p, &packed, &around);
    if (across) {
        r = around;
    } else if (packs_in_scratch(&r, &b)) {
        lower_panel(p, group, &r, &b);
        return;
    }
    if (!across && (lower_cuts(p, group, &packed, &b) || lower_direct(p, group)))
        return;
    Tile t;
    Feed source[2] = {pack_source(p, group, &r, 0), pack_source(p, group, &r, 1)};
    tile_begin(p, group, &r, "tile", &t);
    memcpy(t.source, source, sizeof source);
    t.across = across;
    t.side = across ? 0 : side_of(&r);
    t.woven = t.side != 0 && r.c->extent[t.side - 1] <= FEW_PLACES && beside_columns(&r);
    t.rows_near = rows_near(&t);
    Kernel *k = t.e.k;
    int inner = r.lists.n > 0 ? 0 : sweeps_columns(&r) ? 1 : 0;
    if (r.lists.n == 0)
        tile_outer(&t);
    for (int turn = 0; turn < 2; turn++) {
        int side = turn == 0 ? 1 - inner : inner;
        t.panel[side] = kernel_axis(k, side == 0 ? "i" : "j", r.panels[side] / (side == 0 ? t.rows_near : 1));
    }
    if (r.lists.n > 0) /* places innermost: the lines of C, which they share, and a panel of B stay near */
        tile_outer(&t);
    cut_side(&t);
    int64_t tiles = t.side ? k->axes.at[t.side_axis].extent : t.rows_near;
    if (t.rows_near > 1)
        t.row_axis = kernel_axis(k, "p", t.rows_near);
    t.tile = kernel_scratch(k, t.e.unit, "tile", DT_F32, tiles * r.block[0] * r.block[1]);
    Index rows = index_scale(index_axis(t.panel[0]), t.rows_near);
    rows.coef[t.row_axis] += t.rows_near > 1;
    uint32_t a = tile_operand(&t.e, &r, &source[0], 0, t.dim_at, rows);
    tile_stages(&t, a, tile_operand(&t.e, &r, &source[1], 1, t.dim_at, index_axis(t.panel[1])), -1);
    unit_finish(&t.e);
    if (r.lists.n > 0)
        hand_out_rows(k, 2);
}

/* ---- the baseline's product ---- */
static bool lower_blas(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val;
    Product r = product_of(p, v, false);
    if (r.lists.n > 0)
        return false;
    Lie lie[2] = {product_lie(p, &r, 0), product_lie(p, &r, 1)};
    PlanBlas b = {.m = r.run[0].count, .n = r.run[1].count, .k = r.k.count, .ldc = r.run[1].count};
    int64_t run[2], k[2];
    for (int i = 0; i < 2; i++) {
        run[i] = product_stride(&lie[i], r.c, &r.run[i]);
        k[i] = product_stride(&lie[i], r.c, &r.k);
        bool lies = lie[i].direct && lie[i].rounds == DT_F32 && lie[i].base == 0 && run[i] >= 0 && k[i] >= 0;
        if (!lies || (run[i] != 1 && k[i] != 1) || r.outer.n > 0 || r.run[i].count < 2 || r.k.count < 2)
            return false;
    }
    b.trans_a = run[0] == 1, b.trans_b = run[1] != 1;
    b.lda = b.trans_a ? k[0] : run[0];
    b.ldb = b.trans_b ? run[1] : k[1];
    Unit *u = unit_add(p, UNIT_BLAS, (Str){0});
    u->blas = b;
    u->nodes = 1;
    vec_push(p->arena, &u->cells, lie[0].cell);
    vec_push(p->arena, &u->cells, lie[1].cell);
    vec_push(p->arena, &u->cells, g->sinks.at[0].cell);
    vec_push(p->arena, &u->spans, node_of(p->g, v)->span);
    return true;
}

static void lower_check(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Unit *u = unit_of_group(p, group, "check");
    Emit e = emit_begin(p, u->kernel, u);
    Val v = g->sinks.at[0].val;
    Shape shape = node_of(p->g, v)->shape;
    Index at[MAX_RANK];
    kernel_stage(u->kernel, STAGE_MAP);
    for (uint32_t i = 0; i < shape.rank; i++) {
        at[i] = index_axis(kernel_axis(u->kernel, "i", shape.dim[i]));
    }
    emit_stage(&e);
    emit_check(&e, emit_load(&e, kernel_buffer(&e, g->sinks.at[0].cell, false), index_linear(&e, shape, at),
                             0, v.i));
    u->kernel->stages.at[0].n = u->kernel->insts.n;
    kernel_merge(u->kernel);
    kernel_cut(u->kernel);
    unit_finish(&e);
}

/* A product of halves that this target would rather have in pairs. */
static void tell_of_pairs(Planner *p, uint32_t group) {
    Val v = p->groups.at[group].sinks.at[0].val;
    if (!product_wants_pairs(p, v))
        return;
    if (p->groups.at[group].kind == GROUP_CHAIN || !product_of(p, v, p->groups.at[group].sinks.n > 1).pairs)
        refuse(p, v, operand(p->g, v, 0), REFUSAL_PAIRS);
}

void lower_contract(Planner *p, uint32_t group) {
    tell_of_pairs(p, group);
    if (p->groups.at[group].kind == GROUP_CHAIN) {
        lower_chain(p, group);
    } else if (!p->entry->options->blas || !lower_blas(p, group)) {
        lower_tile(p, group);
    } else if (p->info[p->groups.at[group].sinks.at[0].val.i].checked) {
        lower_check(p, group);
    }
}
