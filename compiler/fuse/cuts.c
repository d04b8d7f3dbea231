/* Weight gradients of few channels.  The sum goes over all places of all images, and the result is small: a kernel
 * a tap would read both operands, which no cache holds, once for each tap and turn little of it into products.  But
 * semantics 3 cuts such a sum at every 4096 points, and the parts do not depend on each other.  So a point of the head
 * is a part: it packs the columns of its few places into scratch, where they stay near, makes all tiles of the part
 * (those of neighbouring taps by one call: they share the columns, and their rows lie one place apart), and puts them
 * into a table.  A second kernel adds the parts in their order and runs the epilogue. */
#include "product.h"
#include <string.h>

/* How a product is cut: `tile` floats a part, of `panels` x taps tiles. */
typedef struct {
    Product r; /* with the rows of its tiles chosen anew */
    const Lie *b;
    int64_t parts, places, pitch, run, tile; /* places: of a part; pitch: columns of scratch; run: step of columns */
    uint8_t together;
} Cuts;

/* C has taps besides its rows and columns, the columns' operand has the places that are summed over side by side. */
static bool is_gradient_of_weights(const Product *r, const Lie *b) {
    const Contract *c = r->c;
    uint8_t others[MAX_DIMS];
    uint32_t n = pack_others(r, 1, others);
    if (r->lists.n == 0 || r->outer.n == 0 || n != r->lists.n || memcmp(others, r->lists.dim, n) != 0)
        return false;
    for (uint32_t i = 0; i < r->outer.n; i++) {
        if (r->in[r->outer.dim[i]] != IN_C)
            return false;
    }
    return b->direct && product_stride(b, c, &r->lists) == 1 && product_stride(b, c, &r->run[1]) >= 0;
}

/* Vectors of sum that the registers hold, of sixteen columns each. */
static int64_t most_sums(const Planner *p) { return cpu_target(p->entry->options->cpu)->sums; }

/* Few columns leave half of each vector empty: a vector takes two rows then, where all are pairs. */
static bool pairs_rows(const Product *r) {
    int64_t rows = r->run[0].count;
    return r->run[1].count <= LANES / 2 && (rows == 2 || rows % 4 == 0);
}

static bool choose_cuts(const Planner *p, const Product *r, const Lie *b, Cuts *cuts) {
    enum { FEW_PARTS = 8, NEAR_FLOATS = 1 << 20 };
    int64_t points = r->lists.count * r->k.count, parts = (points + CHUNK - 1) / CHUNK;
    if (!is_gradient_of_weights(r, b) || CHUNK % r->k.count != 0 || parts < FEW_PARTS ||
        points * (r->block[0] + r->block[1]) < NEAR_FLOATS)
        return false;
    *cuts = (Cuts){.r = *r, .b = b, .parts = parts, .places = CHUNK / r->k.count, .together = 1};
    Product *own = &cuts->r;
    int64_t taps = r->c->extent[r->outer.dim[r->outer.n - 1]], sums = most_sums(p) * LANES;
    own->block[1] = pairs_rows(r) ? LANES / 2 : r->block[1];
    int64_t rows = sums / (taps * own->block[1]);
    int64_t multiple = pairs_rows(r) ? 2 : 1;
    if (rows < multiple)
        return false;
    product_rows(own, rows & -multiple, multiple);
    int64_t more = r->outer.n > 1 ? r->c->extent[r->outer.dim[r->outer.n - 2]] : sums;
    if (own->panels[0] == 1 && taps * own->block[1] * own->block[0] * more <= sums)
        cuts->together = 2;
    cuts->pitch = own->panels[1] > 1 || own->run[1].count > own->block[1] ? own->block[1] : own->run[1].count;
    cuts->run = product_stride(b, r->c, &r->run[1]);
    cuts->tile = own->block[0] * own->block[1] * own->outer.count * own->panels[0];
    return true;
}

/* Of a part: [k][column] of a place, as one where they follow in memory, then a line at a time. */
static bool columns_follow(const Cuts *cuts) {
    const Product *r = &cuts->r;
    return !r->pairs && r->panels[1] == 1 && cuts->pitch == r->run[1].count && cuts->pitch < LANES && cuts->run > 0 &&
           r->k.count * cuts->pitch % LANES == 0 &&
           product_stride(cuts->b, r->c, &r->k) == cuts->run * cuts->pitch;
}

/* The columns of a part's places: [place][k][column]. */
static void pack_part(Tile *t, const Cuts *cuts, uint32_t part, uint32_t out) {
    const Product *r = &cuts->r;
    Emit *e = &t->e;
    Kernel *k = e->k;
    Stage *s = kernel_stage(k, STAGE_MAP);
    Index from = index_const(cuts->b->base), to = index_const(0);
    int64_t step = cuts->pitch;
    bool follow = columns_follow(cuts);
    int pair = r->pairs ? product_pair_dim(r) : -1;
    if (follow) {
        step *= r->k.count;
        s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "k", step / LANES);
        from = index_add(e, from, index_scale(index_axis(s->axis[0]), cuts->run * LANES));
        to = index_scale(index_axis(s->axis[0]), LANES);
    }
    for (uint32_t i = 0; i < r->k.n && !follow; i++) {
        int64_t extent = r->c->extent[r->k.dim[i]];
        s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "k", r->k.dim[i] == pair ? extent / 2 : extent);
    }
    for (uint32_t i = r->k.n; i-- > 0 && !follow; step *= k->axes.at[s->axis[i]].extent) {
        int64_t points = r->k.dim[i] == pair ? 2 : 1;
        from = index_add(e, from, index_scale(index_axis(s->axis[i]), points * cuts->b->stride[r->k.dim[i]]));
        to = index_add(e, to, index_scale(index_axis(s->axis[i]), step));
    }
    uint32_t place = kernel_axis(k, "x", cuts->places), column = kernel_axis(k, "c", follow ? LANES : cuts->pitch);
    pack_clip(k, place, part, r->lists.count);
    if (!follow)
        pack_clip(k, column, t->panel[1], r->run[1].count);
    s->vec = (int8_t)s->n_axes;
    s->axis[s->n_axes++] = (uint8_t)place;
    s->transpose = (int8_t)s->n_axes;
    s->axis[s->n_axes++] = (uint8_t)column;
    emit_stage(e);
    Index at = index_axis(place), run = index_axis(column);
    at.coef[part] = cuts->places;
    run.coef[t->panel[1]] = follow ? 0 : cuts->pitch;
    from = index_add(e, index_add(e, from, at), index_scale(run, cuts->run));
    to = index_add(e, index_add(e, to, index_scale(index_axis(place), step)), index_axis(column));
    uint32_t buf = kernel_buffer(e, cuts->b->cell, false), value = emit_load(e, buf, from, 0, r->operand[1].i);
    if (r->pairs) {
        from.base += cuts->b->stride[pair];
        uint32_t second = emit_load(e, buf, from, 0, r->operand[1].i);
        value = emit_scalar(e, S_pair, DT_I32, value, second, 0);
    } else {
        value = emit_rounded(e, value, cuts->b->rounds);
    }
    emit_store(e, out, to, value);
    s->n = k->insts.n - s->first;
}

/* All tiles of a part: a stage over row panels and taps. */
static Stage *part_tiles(Tile *t, const Cuts *cuts, uint32_t part, uint32_t columns) {
    const Product *r = &cuts->r;
    Kernel *k = t->e.k;
    Stage *s = kernel_stage(k, STAGE_TILE);
    s->axis[s->n_axes++] = (uint8_t)t->panel[0];
    for (uint32_t i = 0; i < r->outer.n; i++) {
        uint8_t dim = r->outer.dim[i];
        t->axis_of[dim] = kernel_axis(k, "t", r->c->extent[dim]);
        t->dim_at[dim] = index_axis(t->axis_of[dim]);
        s->axis[s->n_axes++] = (uint8_t)t->axis_of[dim];
    }
    emit_stage(&t->e);
    s->tile = (KTile){.a = tile_operand(&t->e, r, &t->source[0], 0, t->dim_at, index_axis(t->panel[0])),
                      .b = emit_access(&t->e, columns, index_const(0)),
                      .out = t->tile,
                      .k = r->k.count,
                      .a_k = t->source[0].k,
                      .b_k = cuts->pitch,
                      .a_r = t->source[0].row,
                      .mr = (uint8_t)r->block[0],
                      .nr = (uint8_t)r->block[1],
                      .m_axis = (int32_t)t->panel[0],
                      .n_axis = (int32_t)t->panel[1],
                      .m = r->run[0].count,
                      .n = r->run[1].count,
                      .cut = (int32_t)part,
                      .together = cuts->together};
    tile_lists(t, &s->tile);
    return s;
}

/* Rows and columns of a tile, clipped where its panels end. */
static void tile_axes(Tile *t, Stage *s) {
    const Product *r = t->r;
    for (int side = 0; side < 2; side++) {
        uint32_t axis = kernel_axis(t->e.k, side == 0 ? "r" : "c", r->block[side]);
        pack_clip(t->e.k, axis, t->panel[side], r->run[side].count);
        s->axis[s->n_axes++] = (uint8_t)axis;
    }
}

static Index in_tile(const Tile *t, const Stage *s) {
    Index at = index_axis(s->axis[s->n_axes - 1]);
    at.coef[s->axis[s->n_axes - 2]] = t->r->block[1];
    return at;
}

/* In the table: [part][column panel][row panel][taps][row][column]; `at` adds row and column. */
static Index in_table(Tile *t, const Cuts *cuts, Index at) {
    const Product *r = &cuts->r;
    int64_t stride = r->block[0] * r->block[1];
    for (uint32_t i = r->outer.n; i-- > 0; stride *= r->c->extent[r->outer.dim[i]]) {
        at = index_add(&t->e, at, index_scale(index_axis(t->axis_of[r->outer.dim[i]]), stride));
    }
    at.coef[t->panel[0]] = stride;
    at.coef[t->panel[1]] = cuts->tile;
    return at;
}

static int64_t table_step(const Cuts *cuts) { return cuts->tile * cuts->r.panels[1]; }

/* Parts that follow each other read the same rows, and each fetches what the next one reads: a thread gets several in a
 * row, so many that all threads end together. */
static void hand_out_parts(Kernel *k, int64_t threads) {
    enum { LEAST = 4, MOST = 8 };
    int64_t points = kernel_points(k), best = INT64_MAX;
    for (int64_t turns = MOST; turns >= LEAST; turns--) {
        int64_t run = (points + threads * turns - 1) / (threads * turns), runs = (points + run - 1) / run;
        int64_t longest = (runs + threads - 1) / threads * run;
        if (longest < best) {
            best = longest;
            k->grain = run;
        }
    }
}

static uint32_t lower_parts(Planner *p, uint32_t group, const Cuts *cuts) {
    const Product *r = &cuts->r;
    Tile t;
    Product whole = *r; /* packed with all rows side by side: panels of few would be stored in pieces */
    whole.block[0] = r->run[0].count;
    whole.panels[0] = 1;
    Feed rows = pack_source(p, group, &whole, 0);
    rows.panel = r->block[0];
    tile_begin(p, group, r, "parts", &t);
    Kernel *k = t.e.k;
    t.source[0] = rows;
    uint32_t part = kernel_axis(k, "part", cuts->parts);
    t.panel[1] = kernel_axis(k, "j", r->panels[1]);
    k->n_head = k->axes.n;
    t.panel[0] = kernel_axis(k, "i", r->panels[0]);
    uint32_t columns = kernel_scratch(k, t.e.unit, "columns", pack_type(r),
                                      cuts->places * product_steps(r) * cuts->pitch);
    t.tile = kernel_scratch(k, t.e.unit, "tiles", DT_F32, cuts->tile);
    pack_part(&t, cuts, part, columns);
    const Stage made = *part_tiles(&t, cuts, part, columns);
    uint32_t table = cell_packed(p, str_format(p->arena, "%.*s", FSTR(k->name)), DT_F32, cuts->parts * table_step(cuts),
                                 p->groups.at[group].sinks.at[0].val);
    Stage *s = kernel_stage(k, STAGE_MAP);
    memcpy(s->axis, made.axis, made.n_axes);
    s->n_axes = made.n_axes;
    tile_axes(&t, s);
    emit_stage(&t.e);
    Index from = in_table(&t, cuts, in_tile(&t, s)), to = from;
    from.coef[t.panel[1]] = 0;
    to.coef[part] = table_step(cuts);
    uint32_t value = emit_load(&t.e, t.tile, from, 0, r->operand[1].i);
    emit_store(&t.e, kernel_buffer(&t.e, table, true), to, value);
    s->n = k->insts.n - s->first;
    unit_finish(&t.e);
    hand_out_parts(k, p->entry->options->threads);
    return table;
}

/* sum = the first part, then sum + part of the others in order. */
static void add_parts(Tile *t, const Cuts *cuts, uint32_t table) {
    Kernel *k = t->e.k;
    Emit *e = &t->e;
    uint32_t buf = kernel_buffer(e, table, false);
    for (int rest = 0; rest < 2; rest++) {
        Stage *s = kernel_stage(k, STAGE_MAP);
        if (rest)
            s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "part", cuts->parts - 1);
        tile_axes(t, s);
        emit_stage(e);
        Index sum = in_tile(t, s), at = in_table(t, cuts, sum);
        if (rest) {
            at.coef[s->axis[0]] = table_step(cuts);
            at.base = table_step(cuts);
        }
        uint32_t before = rest ? emit_load(e, t->tile, sum, 0, t->r->operand[1].i) : 0;
        uint32_t value = emit_load(e, buf, at, 0, t->r->operand[1].i);
        emit_store(e, t->tile, sum, rest ? emit_scalar(e, S_add, DT_F32, before, value, 0) : value);
        s->n = k->insts.n - s->first;
    }
}

bool lower_cuts(Planner *p, uint32_t group, const Product *r, const Lie *b) {
    Cuts cuts;
    if (!choose_cuts(p, r, b, &cuts))
        return false;
    uint32_t table = lower_parts(p, group, &cuts);
    Tile t;
    tile_begin(p, group, &cuts.r, "tile", &t);
    Kernel *k = t.e.k;
    tile_outer(&t);
    for (int side = 0; side < 2; side++) {
        t.panel[side] = kernel_axis(k, side == 0 ? "i" : "j", cuts.r.panels[side]);
    }
    k->n_head = k->axes.n;
    t.tile = kernel_scratch(k, t.e.unit, "sum", DT_F32, cuts.r.block[0] * cuts.r.block[1]);
    add_parts(&t, &cuts, table);
    tile_epilogue(&t, -1);
    unit_finish(&t.e);
    return true;
}
