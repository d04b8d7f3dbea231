/* Convolutions read where they lie.  Channels lie planes apart, and the places of a row side by side: so the columns
 * of a tile are places of a row of the result, its rows channels, and what a tap reads for them lies side by side,
 * too, shifted by the tap.  Nothing is packed but the weights, and the result is stored as the tile has it.  At the
 * ends of a row some columns have no place for a tap: the microkernel leaves the block out for these.  A point of the
 * head is a row of places.
 * An image that is rounded to bf16 is first copied to where it lies in pairs of channels: as many planes as there are
 * pairs, read and written along its rows. */
#include "product.h"

/* The window whose place the last dim of C is, one apart in both. */
static const Window *window_of(const Contract *c) {
    uint32_t last = c->dim[2][c->rank[2] - 1];
    for (uint32_t i = 0; i < c->n_windows; i++) {
        const Window *w = &c->window[i];
        if ((w->x == last || w->o == last) && w->stride == 1)
            return w;
    }
    return NULL;
}

static bool role_holds(const Contract *c, int role, uint32_t dim) {
    for (uint32_t i = 0; i < c->rank[role]; i++) {
        if (c->dim[role][i] == dim)
            return true;
    }
    return false;
}

/* Rows long enough for their tiles to be full, sums that are not cut, and planes that do not all lie in the same sets
 * of the first cache. */
static bool suits(const Product *r, const Lie *b, uint32_t place) {
    enum { LISTED = 128, SETS_FLOATS = 1024, FEW_PLANES = 8 };
    int64_t row = r->run[1].count, k = product_stride(b, r->c, &r->k);
    bool full = row >= LANES && row * 5 >= r->panels[1] * r->block[1] * 4;
    bool apart = k % SETS_FLOATS != 0 || product_steps(r) <= FEW_PLANES;
    return full && apart && b->direct && b->rounds == DT_F32 && b->stride[place] == 1 && k >= 0 && r->lists.n > 0 &&
           r->lists.count <= LISTED && r->lists.count * r->k.count <= CHUNK;
}

static int64_t paired_extent(const Product *r, uint32_t dim) {
    int64_t extent = r->c->extent[dim];
    return (int)dim == product_pair_dim(r) ? (extent + 1) / 2 : extent;
}

/* How the image lies as pairs: in the order of its dims, the last of which are the places. */
static Lie paired_lie(const Product *r) {
    Lie b = {.direct = true, .rounds = DT_F32};
    const uint8_t *dim = r->c->dim[r->role[1]];
    int64_t stride = 1;
    for (uint32_t i = r->c->rank[r->role[1]]; i-- > 0; stride *= paired_extent(r, dim[i])) {
        b.stride[dim[i]] = stride;
    }
    return b;
}

/* Beside the last of an odd number of channels is -0. */
static uint32_t paired_image(Planner *p, uint32_t group, const Product *r, const Lie *b) {
    Unit *u = unit_of_group(p, group, "pack_b");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    const uint8_t *dim = r->c->dim[r->role[1]];
    Index at[MAX_RANK], to = index_const(0);
    uint32_t pair = 0;
    int64_t count = 1;
    kernel_stage(k, STAGE_MAP);
    for (uint32_t i = 0; i < r->c->rank[r->role[1]]; i++) {
        int64_t extent = paired_extent(r, dim[i]);
        at[i] = index_axis(kernel_axis(k, "d", extent));
        to = index_add(&e, to, index_scale(at[i], b->stride[dim[i]]));
        count *= extent;
        if (dim[i] == product_pair_dim(r)) {
            at[i] = index_scale(at[i], 2);
            pair = i;
        }
    }
    uint32_t cell = cell_packed(p, str_format(p->arena, "%.*s", FSTR(k->name)), DT_I32, count, r->operand[1]);
    uint32_t out = kernel_buffer(&e, cell, true);
    emit_stage(&e);
    e.bare = product_lie(p, r, 1).bare;
    uint32_t first = emit_value(&e, r->operand[1], at, 0);
    at[pair] = index_add(&e, at[pair], index_const(1));
    uint32_t there = index_inside(&e, &at[pair], 0, r->c->extent[dim[pair]], 0);
    uint32_t second = emit_value(&e, r->operand[1], at, there);
    if (there != 0)
        second = emit_scalar(&e, S_select, DT_F32, there - 1, second, emit_number(&e, -0.0));
    emit_store(&e, out, to, emit_scalar(&e, S_pair, DT_I32, first, second, 0));
    k->stages.at[0].n = k->insts.n;
    kernel_merge(k);
    kernel_cut(k);
    unit_finish(&e);
    return cell;
}

/* Are the channels one dim, and the places of a row the last? */
static bool pairs_lie_well(const Product *r, uint32_t place) {
    const Contract *c = r->c;
    return r->pairs && c->extent[product_pair_dim(r)] == r->k.count &&
           c->dim[r->role[1]][c->rank[r->role[1]] - 1] == place;
}

bool direct_product(Planner *p, Val v, bool single, Direct *d) {
    const Contract *c = node_of(p->g, v)->attr.contract;
    const Window *w = window_of(c);
    if (w == NULL)
        return false;
    uint32_t last = c->dim[2][c->rank[2] - 1], place = w->x ^ w->o ^ last;
    int image = role_holds(c, 0, place) ? 0 : 1;
    if (!role_holds(c, image, place) || !role_holds(c, 1 - image, w->t))
        return false;
    d->r = product_of_places(p, v, last, image, single);
    d->r.pairs = pairs_lie_well(&d->r, place);
    d->b = d->r.pairs ? paired_lie(&d->r) : product_lie(p, &d->r, 1);
    return suits(&d->r, &d->b, place);
}

void direct_axes(Tile *t, const Pool *pool) {
    const Product *r = t->r;
    Kernel *k = t->e.k;
    uint8_t row = r->c->dim[2][pool ? r->c->rank[2] - 2 : 0];
    t->inside = true;
    t->side = pool ? row + 1u : 0;
    tile_outer(t);
    if (pool)
        t->side_block = kernel_axis(k, "b", r->c->extent[row] / pool->rows);
    t->panel[0] = kernel_axis(k, "i", r->panels[0]);
    k->n_head = k->axes.n;
    if (pool) {
        t->side_axis = kernel_axis(k, "y", pool->rows);
        t->dim_at[row] = index_axis(t->side_axis);
        t->dim_at[row].coef[t->side_block] = r->c->extent[row] > pool->rows ? pool->rows : 0;
    }
    t->panel[1] = kernel_axis(k, "j", r->panels[1]);
    int64_t rows = pool ? pool->rows : 1, beyond = pool ? pool->columns * LANES : 0; /* so that no load needs a mask */
    t->tile = kernel_scratch(k, t->e.unit, "row", DT_F32, rows * r->panels[1] * r->block[0] * r->block[1] + beyond);
}

bool lower_direct(Planner *p, uint32_t group) {
    const Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val;
    Direct d;
    if (!direct_product(p, v, g->sinks.n > 1, &d))
        return false;
    const Product *r = &d.r;
    if (r->pairs)
        d.b.cell = paired_image(p, group, r, &d.b);
    Tile t;
    Feed weights = pack_source(p, group, r, 0);
    tile_begin(p, group, r, "tile", &t);
    t.source[0] = weights;
    t.source[1] =
        (Feed){.cell = d.b.cell, .base = d.b.base, .k = product_stride(&d.b, r->c, &r->k), .panel = r->block[1]};
    for (uint32_t i = 0; i < r->c->n_dims; i++) {
        t.source[1].stride[i] = d.b.stride[i];
    }
    direct_axes(&t, g->pool.columns > 0 ? &g->pool : NULL);
    uint32_t a = tile_operand(&t.e, r, &t.source[0], 0, t.dim_at, index_axis(t.panel[0]));
    tile_stages(&t, a, tile_operand(&t.e, r, &t.source[1], 1, t.dim_at, index_axis(t.panel[1])), -1);
    unit_finish(&t.e);
    return true;
}
