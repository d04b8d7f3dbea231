/* Packing.  An operand that does not lie right is packed into panels by a kernel before the product, with whatever
 * computes it inlined as prologue: [outer][panel][k][rows or columns of a tile]. */
#include "product.h"
#include <string.h>

uint32_t pack_outer(const Product *r, int side, uint8_t *dims) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->outer.n; i++) {
        if (r->in[r->outer.dim[i]] & (side == 0 ? IN_A : IN_B))
            dims[n++] = r->outer.dim[i];
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

void pack_stage(Emit *e, const Product *r, const Lie *lie, int side, uint32_t panel, Index *dim_at,
                uint32_t out, Index to) {
    const Contract *c = r->c;
    Kernel *k = e->k;
    Stage *s = kernel_stage(k, STAGE_MAP);
    uint32_t stage = k->stages.n - 1;
    Index flat_k = index_const(0);
    int64_t stride = 1;
    for (uint32_t i = 0; i < r->k.n; i++) {
        uint32_t axis = kernel_axis(k, "k", c->extent[r->k.dim[i]]);
        dim_at[r->k.dim[i]] = index_axis(axis);
        s->axis[s->n_axes++] = (uint8_t)axis;
    }
    for (uint32_t i = r->k.n; i-- > 0;) {
        flat_k = index_add(e, flat_k, index_scale(dim_at[r->k.dim[i]], stride));
        stride *= c->extent[r->k.dim[i]];
    }
    uint32_t run = kernel_axis(k, "r", r->block[side]);
    pack_clip(k, run, panel, r->run[side].count);
    s->axis[s->n_axes++] = (uint8_t)run;
    emit_stage(e);
    Index flat = index_axis(run);
    flat.coef[panel] = r->block[side];
    pack_split(e, r, side, flat, dim_at);
    Index at[MAX_RANK];
    for (uint32_t i = 0; i < c->rank[r->role[side]]; i++) {
        at[i] = dim_at[c->dim[r->role[side]][i]];
    }
    uint32_t value = emit_value(e, r->operand[side], at, 0);
    to = index_add(e, index_add(e, to, index_axis(run)), index_scale(flat_k, r->block[side]));
    emit_store(e, out, to, value);
    s = &k->stages.at[stage];
    s->n = k->insts.n - s->first;
    uint32_t last_k = r->k.n > 0 ? r->k.dim[r->k.n - 1] : 0;
    if (lie->direct && r->k.n > 0 && lie->stride[last_k] == 1 && c->extent[last_k] > 1) {
        s->vec = (int8_t)(s->n_axes - 2); /* loads run along k, stores along the panel */
        s->transpose = (int8_t)(s->n_axes - 1);
    }
}

static uint32_t pack_operand(Planner *p, uint32_t group, const Product *r, const Lie *lie, int side) {
    const Contract *c = r->c;
    Unit *u = unit_of_group(p, group, side == 0 ? "pack_a" : "pack_b");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index dim_at[MAX_DIMS];
    uint8_t outer[MAX_DIMS];
    uint32_t n_outer = pack_outer(r, side, outer);
    int64_t panel_size = r->k.count * r->block[side], count = r->panels[side] * panel_size;
    for (uint32_t i = 0; i < n_outer; i++) {
        dim_at[outer[i]] = index_axis(kernel_axis(k, "o", c->extent[outer[i]]));
    }
    uint32_t panel = kernel_axis(k, "p", r->panels[side]);
    k->n_head = k->axes.n;
    Index to = index_scale(index_axis(panel), panel_size);
    for (uint32_t i = n_outer; i-- > 0;) {
        to = index_add(&e, to, index_scale(dim_at[outer[i]], count));
        count *= c->extent[outer[i]];
    }
    uint32_t cell = cell_add(p, (Cell){.kind = CELL_PACKED,
                                       .name = str_format(p->arena, "%.*s", FSTR(k->name)),
                                       .dtype = DT_F32,
                                       .shape = shape_of(1, &count),
                                       .region = REGION_ACT,
                                       .loop = p->loop});
    pack_stage(&e, r, lie, side, panel, dim_at, kernel_buffer(&e, cell, true), to);
    unit_finish(&e);
    return cell;
}

/* ---- the tile ---- */
Feed pack_source(Planner *p, uint32_t group, const Product *r, int side) {
    Lie lie = product_lie(p, r, side);
    Feed s = {.cell = lie.cell, .base = lie.base, .panel = r->block[side]};
    memcpy(s.stride, lie.stride, sizeof s.stride);
    if (product_lies_right(r, &lie, side)) {
        s.k = product_stride(&lie, r->c, &r->k);
        return s;
    }
    uint8_t outer[MAX_DIMS];
    uint32_t n = pack_outer(r, side, outer);
    s.packed = true;
    s.cell = pack_operand(p, group, r, &lie, side);
    s.base = 0;
    s.k = r->block[side];
    s.panel = r->k.count * r->block[side];
    int64_t stride = r->panels[side] * s.panel;
    for (uint32_t i = n; i-- > 0;) {
        s.stride[outer[i]] = stride;
        stride *= r->c->extent[outer[i]];
    }
    return s;
}
