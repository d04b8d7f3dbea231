/* Packing.  An operand that does not lie right is packed into panels by a kernel before the product, with whatever
 * computes it inlined as prologue: [other dims][panel][k][rows or columns of a tile].  So all images (or channels) of
 * one place of a convolution lie together, and no place is ever copied to where its neighbours need it. */
#include "product.h"
#include <string.h>

/* Rows of k that a point packs where the operand's rows lie pages apart. */
enum { PART = 16, PAGE_FLOATS = 1024 };

static bool listed(const DimList *l, uint32_t dim) { return memchr(l->dim, (int)dim, l->n) != NULL; }

uint32_t pack_others(const Product *r, int side, uint8_t *dims) {
    uint32_t n = 0;
    const Contract *c = r->c;
    for (uint32_t i = 0; i < r->outer.n; i++) {
        if (r->in[r->outer.dim[i]] & (side == 0 ? IN_A : IN_B))
            dims[n++] = r->outer.dim[i];
    }
    for (uint32_t i = 0; i < c->rank[r->role[side]]; i++) {
        uint8_t dim = c->dim[r->role[side]][i];
        if (!listed(&r->outer, dim) && !listed(&r->run[side], dim) && !listed(&r->k, dim))
            dims[n++] = dim;
    }
    return n;
}

void pack_split(Emit *e, const Product *r, int side, Index flat, Index *dim_at) {
    Index part[MAX_DIMS];
    int64_t extent[MAX_DIMS];
    const DimList *l = &r->run[side];
    for (uint32_t i = 0; i < l->n; i++) {
        extent[i] = r->c->extent[l->dim[i]];
    }
    if (l->n > 0)
        index_split(e, flat, l->n, extent, part);
    for (uint32_t i = 0; i < l->n; i++) {
        dim_at[l->dim[i]] = part[i];
    }
}

void pack_clip(Kernel *k, uint32_t axis, uint32_t block, int64_t total) {
    if (total % k->axes.at[axis].extent == 0)
        return;
    k->axes.at[axis].clip_by = (int32_t)block;
    k->axes.at[axis].clip_total = total;
}

DType pack_type(const Product *r) { return r->pairs ? DT_I32 : DT_F32; }

/* ---- what a panel holds ---- */
/* Where an operand's elements are: at dim_at.., or (placed) at a row of its run and a place of the dims that lie side
 * by side. */
typedef struct {
    const Product *r;
    const Lie *lie;
    int side;
    bool placed;
    const uint8_t *others;
    uint32_t n_heads;
    Index row, place;
} Spot;

static uint32_t element_of_dims(Emit *e, const Spot *x, const Index *dim_at) {
    const Contract *c = x->r->c;
    int role = x->r->role[x->side];
    Index at[MAX_RANK];
    for (uint32_t i = 0; i < c->rank[role]; i++) {
        at[i] = dim_at[c->dim[role][i]];
    }
    e->bare = x->r->pairs ? x->lie->bare : 0;
    uint32_t value = emit_value(e, x->r->operand[x->side], at, 0);
    e->bare = 0;
    return value;
}

static uint32_t element(Emit *e, const Spot *x, Index *dim_at) {
    const Product *r = x->r;
    const Lie *lie = x->lie;
    if (!x->placed) {
        uint32_t value = element_of_dims(e, x, dim_at);
        const Info *in = &e->p->info[r->operand[x->side].i];
        if (in->small && !in->stored) /* computed here only */
            emit_small(e, value);
        return value;
    }
    if (!lie->direct) {
        dim_at[x->others[x->n_heads]] = x->place;
        pack_split(e, r, x->side, x->row, dim_at);
        return element_of_dims(e, x, dim_at);
    }
    Index at = index_add(e, index_const(lie->base), x->place);
    for (uint32_t i = 0; i < x->n_heads; i++) {
        at = index_add(e, at, index_scale(dim_at[x->others[i]], lie->stride[x->others[i]]));
    }
    for (uint32_t i = 0; i < r->k.n; i++) {
        at = index_add(e, at, index_scale(dim_at[r->k.dim[i]], lie->stride[r->k.dim[i]]));
    }
    at = index_add(e, at, index_scale(x->row, product_stride(lie, r->c, &r->run[x->side])));
    uint32_t value = emit_load(e, kernel_buffer(e, lie->cell, false), at, 0, r->operand[x->side].i);
    return r->pairs ? value : emit_rounded(e, value, lie->rounds);
}

/* An element, or a pair; dim_at says where its first point is.  last: the second is none, and adds -0. */
static uint32_t panel_element(Emit *e, const Spot *x, bool last, Index *dim_at) {
    uint32_t first = element(e, x, dim_at), second;
    if (!x->r->pairs)
        return first;
    int dim = product_pair_dim(x->r);
    Index at = dim_at[dim];
    dim_at[dim] = index_add(e, at, index_const(1));
    second = last ? emit_number(e, x->side == 0 ? 0 : -0.0) : element(e, x, dim_at);
    dim_at[dim] = at;
    return emit_scalar(e, S_pair, DT_I32, first, second, 0);
}

static bool has_last(const Product *r) { return r->pairs && r->k.count % 2 != 0; }

/* The axes of k, where its dims are, and which row of the panel that is.  last: there are none, it is the last row. */
static Index rows_of_k(Emit *e, const Product *r, Stage *s, const uint32_t *part, bool last, Index *dim_at) {
    const Contract *c = r->c;
    int pair = r->pairs ? product_pair_dim(r) : -1;
    Index at[MAX_DIMS], row = index_const(last ? product_steps(r) - 1 : 0);
    int64_t extent[MAX_DIMS], stride = 1;
    for (uint32_t i = 0; i < r->k.n; i++) {
        uint8_t dim = r->k.dim[i];
        extent[i] = dim == pair ? c->extent[dim] / 2 : c->extent[dim];
        dim_at[dim] = index_const(c->extent[dim] - 1);
        if (last)
            continue;
        uint32_t axis = kernel_axis(e->k, "k", part != NULL ? PART : extent[i]);
        at[i] = index_axis(axis);
        if (part != NULL) {
            pack_clip(e->k, axis, *part, extent[i]);
            at[i].coef[*part] = PART;
        }
        dim_at[dim] = index_scale(at[i], dim == pair ? 2 : 1);
        s->axis[s->n_axes++] = (uint8_t)axis;
    }
    for (uint32_t i = r->k.n; i-- > 0 && !last;) {
        row = index_add(e, row, index_scale(at[i], stride));
        stride *= extent[i];
    }
    return row;
}

void pack_stage(Emit *e, const Product *r, const Lie *lie, int side, uint32_t panel, const uint32_t *part,
                const PackPlaces *places, Index *dim_at, uint32_t out, Index to) {
    const Contract *c = r->c;
    Kernel *k = e->k;
    Spot x = {.r = r, .lie = lie, .side = side};
    uint32_t run = 0;
    for (int last = 0; last <= has_last(r); last++) {
        Stage *s = kernel_stage(k, STAGE_MAP);
        Index row = rows_of_k(e, r, s, part, last, dim_at);
        if (places != NULL) {
            uint32_t axis = kernel_axis(k, "x", c->extent[places->dim]);
            s->axis[s->n_axes++] = (uint8_t)axis;
            dim_at[places->dim] = index_axis(axis);
            to = index_add(e, to, index_scale(index_axis(axis), places->step));
        }
        if (!last) {
            run = kernel_axis(k, "r", r->block[side]);
            pack_clip(k, run, panel, r->run[side].count);
        }
        s->axis[s->n_axes++] = (uint8_t)run;
        emit_stage(e);
        Index flat = index_axis(run);
        flat.coef[panel] = r->block[side];
        pack_split(e, r, side, flat, dim_at);
        uint32_t value = panel_element(e, &x, last, dim_at);
        Index at = index_add(e, index_add(e, to, index_axis(run)), index_scale(row, r->block[side]));
        emit_store(e, out, at, value);
        s->n = k->insts.n - s->first;
        uint32_t last_k = r->k.n > 0 ? r->k.dim[r->k.n - 1] : 0;
        if (!last && lie->direct && r->k.n > 0 && lie->stride[last_k] == 1 && c->extent[last_k] > 1) {
            s->vec = (int8_t)(s->n_axes - 2); /* loads run along k, stores along the panel */
            s->transpose = (int8_t)(s->n_axes - 1);
        }
    }
}

/* How many of the last other dims lie side by side in memory, in their order: the places of an image.  Of a computed
 * operand it is the last one, of which at least the loads behind it may be. */
static uint32_t side_by_side(const Product *r, const Lie *lie, int side, uint32_t n, const uint8_t *others) {
    const Contract *c = r->c;
    uint32_t rank = c->rank[r->role[side]], found = 0;
    const uint8_t *dim = c->dim[r->role[side]];
    int64_t stride = 1, most = lie->direct ? n : 1;
    if (c->n_windows == 0 || (lie->direct && product_stride(lie, c, &r->run[side]) < 0))
        return 0;
    while (found < rank && found < most && found < n && dim[rank - 1 - found] == others[n - 1 - found] &&
           (!lie->direct || lie->stride[others[n - 1 - found]] == stride)) {
        stride *= c->extent[others[n - 1 - found]];
        found++;
    }
    return stride > 1 || !lie->direct ? found : 0;
}

/* Rows and k as one: where the rows of the next k follow in memory, and the panel holds them all. */
static bool rows_follow(const Product *r, const Lie *lie, int side) {
    int64_t rows = product_stride(lie, r->c, &r->run[side]), k = product_stride(lie, r->c, &r->k);
    bool alone = r->panels[side] == 1 && r->run[side].count == r->block[side];
    return lie->direct && !r->pairs && alone && r->k.count > 1 && rows > 0 && k == rows * r->block[side];
}

/* Places of one panel that a point packs, all k of them: the lines they make are written whole while they are near. */
static int64_t places_at_once(const Product *r, int side, int64_t places) {
    enum { NEAR_FLOATS = 16 << 10 };
    int64_t most = NEAR_FLOATS / (product_steps(r) * r->block[side]) & -LANES;
    return most >= places ? places : most > LANES ? most : LANES < places ? LANES : places;
}

/* Lanes of a stage that runs over k.., the places, then the rows.  Many places are read side by side and turned, so
 * that rows are written so.  A few fill no vector: beside the rows both are read as one and taken apart; beside k
 * lanes run along k, a few elements apart. */
static void pack_lanes(Stage *s, const Product *r, const Lie *lie, int side, int64_t places) {
    uint32_t last_k = r->k.n > 0 ? r->k.dim[r->k.n - 1] : 0;
    int8_t row = (int8_t)(s->n_axes - 1), place = (int8_t)(s->n_axes - 2);
    bool few = lie->direct && places > 1 && places <= FEW_PLACES && r->k.n > 0 && s->n_axes > 2;
    s->vec = place, s->transpose = row;
    if (few && product_stride(lie, r->c, &r->run[side]) == places)
        s->vec = row, s->transpose = place;
    else if (few && lie->stride[last_k] == places && r->c->extent[last_k] >= LANES)
        s->vec = (int8_t)(place - 1);
}

/* A block of places of one panel. */
static void pack_places(Emit *e, Spot *x, uint32_t panel, uint32_t block, int64_t places, Index *dim_at, uint32_t out,
                        Index to, int64_t place_step) {
    Kernel *k = e->k;
    const Product *r = x->r;
    bool as_one = rows_follow(r, x->lie, x->side);
    int64_t step = r->block[x->side], size = places_at_once(r, x->side, places);
    uint32_t place = 0, run = 0;
    for (int last = 0; last <= has_last(r); last++) {
        Stage *s = kernel_stage(k, STAGE_MAP);
        Index in_panel = index_const(0);
        for (uint32_t i = 0; i < r->k.n && as_one; i++) {
            dim_at[r->k.dim[i]] = index_const(0);
        }
        if (!as_one)
            in_panel = rows_of_k(e, r, s, NULL, last, dim_at);
        if (!last) {
            place = kernel_axis(k, "x", size);
            run = kernel_axis(k, "r", as_one ? step * r->k.count : step);
            pack_clip(k, place, block, places);
            if (!as_one)
                pack_clip(k, run, panel, r->run[x->side].count);
        }
        s->axis[s->n_axes++] = (uint8_t)place;
        s->axis[s->n_axes++] = (uint8_t)run;
        pack_lanes(s, r, x->lie, x->side, places);
        x->row = index_axis(run), x->place = index_axis(place);
        x->place.coef[block] = size;
        if (!as_one)
            x->row.coef[panel] = step;
        emit_stage(e);
        uint32_t value = panel_element(e, x, last, dim_at);
        Index at = index_add(e, index_add(e, to, index_scale(in_panel, step)), index_axis(run));
        emit_store(e, out, index_add(e, at, index_scale(x->place, place_step)), value);
        s->n = k->insts.n - s->first;
    }
}

/* Columns side by side, k pages apart: a panel would walk through as many pages as there are k.  Some k of all panels
 * are packed before the next ones. */
static bool pages_apart(const Product *r, const Lie *lie, int side) {
    return lie->direct && r->k.n == 1 && product_stride(lie, r->c, &r->run[side]) == 1 &&
           product_stride(lie, r->c, &r->k) >= PAGE_FLOATS && product_steps(r) >= 2 * PART;
}

static bool packs_in_parts(const Product *r, const Lie *lie, int side) {
    return r->c->n_windows == 0 && !has_last(r) && r->panels[side] > 1 && pages_apart(r, lie, side);
}

/* The places of a row beside their channels, and images pages apart: a row of some images is packed at once. */
static bool packs_rows(const Product *r, const Lie *lie, int side, uint32_t n, const uint8_t *others) {
    return r->lists.n > 0 && n > 0 && !r->pairs && pages_apart(r, lie, side) &&
           lie->stride[others[n - 1]] == r->run[side].count;
}

static uint32_t pack_operand(Planner *p, uint32_t group, const Product *r, const Lie *lie, int side) {
    const Contract *c = r->c;
    Unit *u = unit_of_group(p, group, side == 0 ? "pack_a" : "pack_b");
    u->commit = false; /* of a product that is folded into its update, too */
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index dim_at[MAX_DIMS];
    uint8_t others[MAX_DIMS];
    uint32_t n_others = pack_others(r, side, others), places = side_by_side(r, lie, side, n_others, others);
    bool rows = places == 0 && packs_rows(r, lie, side, n_others, others);
    uint32_t n_heads = n_others - places - rows;
    int64_t panel_size = product_steps(r) * r->block[side], place_step = r->panels[side] * panel_size;
    int64_t count = place_step;
    for (uint32_t i = 0; i < n_heads; i++) {
        dim_at[others[i]] = index_axis(kernel_axis(k, "o", c->extent[others[i]]));
    }
    uint32_t part = 0;
    bool parts = places == 0 && (rows || packs_in_parts(r, lie, side));
    PackPlaces row = {n_others > 0 ? others[n_others - 1] : 0, place_step};
    if (parts)
        part = kernel_axis(k, "b", (product_steps(r) + PART - 1) / PART);
    uint32_t panel = kernel_axis(k, "p", r->panels[side]);
    Index to = index_scale(index_axis(panel), panel_size);
    for (uint32_t i = n_others; i-- > 0;) {
        if (i < n_heads)
            to = index_add(&e, to, index_scale(dim_at[others[i]], count));
        count *= c->extent[others[i]];
    }
    int64_t n_places = 1;
    for (uint32_t i = n_heads; i < n_others; i++) {
        n_places *= c->extent[others[i]];
    }
    uint32_t block = 0;
    if (places > 0) {
        int64_t size = places_at_once(r, side, n_places);
        block = kernel_axis(k, "b", (n_places + size - 1) / size);
    }
    k->n_head = k->axes.n;
    uint32_t cell = cell_packed(p, str_format(p->arena, "%.*s", FSTR(k->name)), pack_type(r), count, r->operand[side]);
    uint32_t out = kernel_buffer(&e, cell, true);
    Spot x = {.r = r, .lie = lie, .side = side, .placed = true, .others = others, .n_heads = n_heads};
    if (places > 0)
        pack_places(&e, &x, panel, block, n_places, dim_at, out, to, place_step);
    else
        pack_stage(&e, r, lie, side, panel, parts ? &part : NULL, rows ? &row : NULL, dim_at, out, to);
    unit_finish(&e);
    return cell;
}

/* ---- the tile ---- */
Feed pack_source(Planner *p, uint32_t group, const Product *r, int side) {
    Lie lie = product_lie(p, r, side);
    Feed s = {.cell = lie.cell, .base = lie.base, .panel = r->block[side], .row = 1};
    memcpy(s.stride, lie.stride, sizeof s.stride);
    if (product_lies_right(r, &lie, side)) {
        s.k = product_stride(&lie, r->c, &r->k);
        return s;
    }
    if (side == 0 && r->apart) {
        s.k = product_stride(&lie, r->c, &r->k);
        s.row = product_stride(&lie, r->c, &r->run[0]);
        s.panel = r->block[0] * s.row;
        return s;
    }
    uint8_t others[MAX_DIMS];
    uint32_t n = pack_others(r, side, others);
    s.packed = true;
    s.cell = pack_operand(p, group, r, &lie, side);
    s.base = 0;
    s.k = r->block[side];
    s.panel = product_steps(r) * r->block[side];
    int64_t stride = r->panels[side] * s.panel;
    for (uint32_t i = n; i-- > 0;) {
        s.stride[others[i]] = stride;
        stride *= r->c->extent[others[i]];
    }
    return s;
}
