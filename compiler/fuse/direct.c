/* Convolutions read where they lie.  Channels lie planes apart, and the places of a row side by side: so the columns
 * of a tile are places of a row of the result, its rows channels, and what a tap reads for them lies side by side,
 * too, shifted by the tap.  Nothing is packed but the weights, and the result is stored as the tile has it.  At the
 * ends of a row some columns have no place for a tap: the microkernel leaves the block out for these.  A point of the
 * head is a row of places. */
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
    bool apart = k % SETS_FLOATS != 0 || r->k.count <= FEW_PLANES;
    return full && apart && b->direct && b->rounds == DT_F32 && b->stride[place] == 1 && k >= 0 && r->lists.n > 0 &&
           r->lists.count <= LISTED && r->lists.count * r->k.count <= CHUNK;
}

bool lower_direct(Planner *p, uint32_t group) {
    const Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val;
    const Contract *c = node_of(p->g, v)->attr.contract;
    const Window *w = window_of(c);
    if (w == NULL)
        return false;
    uint32_t last = c->dim[2][c->rank[2] - 1], place = w->x ^ w->o ^ last;
    int image = role_holds(c, 0, place) ? 0 : 1;
    if (!role_holds(c, image, place) || !role_holds(c, 1 - image, w->t))
        return false;
    Product r = product_of_places(p, v, last, image, g->sinks.n > 1);
    Lie b = product_lie(p, &r, 1);
    if (!suits(&r, &b, place))
        return false;
    Tile t;
    Feed weights = pack_source(p, group, &r, 0);
    tile_begin(p, group, &r, "tile", &t);
    t.inside = true;
    t.source[0] = weights;
    t.source[1] = (Feed){.cell = b.cell, .base = b.base, .k = product_stride(&b, c, &r.k), .panel = r.block[1]};
    for (uint32_t i = 0; i < c->n_dims; i++) {
        t.source[1].stride[i] = b.stride[i];
    }
    Kernel *k = t.e.k;
    tile_outer(&t);
    t.panel[0] = kernel_axis(k, "i", r.panels[0]);
    k->n_head = k->axes.n;
    t.panel[1] = kernel_axis(k, "j", r.panels[1]);
    t.tile = kernel_scratch(k, t.e.unit, "row", DT_F32, r.panels[1] * r.block[0] * r.block[1]);
    uint32_t a = tile_operand(&t.e, &r, &t.source[0], 0, t.dim_at, t.panel[0]);
    tile_stages(&t, a, tile_operand(&t.e, &r, &t.source[1], 1, t.dim_at, t.panel[1]), -1);
    unit_finish(&t.e);
    return true;
}
