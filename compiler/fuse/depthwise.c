/* Long chains of few results behind each channel: the weight gradients of depthwise convolutions, and of those with
 * few channels a group.  Their last dim is a few taps, which fill no vector, and both operands have the channels pages
 * apart.
 *
 * So both are copied with the channels (the groups) last, what is summed before them in the order of the sum, and lanes
 * run along the channels.  Semantics 3 cuts the sum at every 4096 points, and the parts do not depend on each other: a
 * point of the head is a tap of a part, and the taps of a part follow each other, as they read much the same.  A second
 * kernel adds the parts in their order. */
#include "product.h"
#include <string.h>

typedef struct {
    Planner *p;
    uint32_t group, lane;                      /* lane: the dim of the channels */
    const Contract *c;
    int64_t points, parts, size, blocks;       /* size: channels of a head point */
} Lanes;

static bool holds(const Contract *c, uint32_t role, uint32_t dim) {
    return memchr(c->dim[role], (int)dim, c->rank[role]) != NULL;
}

static bool in_window(const Contract *c, uint32_t dim) {
    for (uint32_t i = 0; i < c->n_windows; i++) {
        if (c->window[i].x == dim || c->window[i].o == dim || c->window[i].t == dim)
            return true;
    }
    return false;
}

/* Is there a result at all, and can 32 bits count the elements of a copy? */
static bool fits(const Contract *c) {
    for (uint32_t role = 0; role < 3; role++) {
        int64_t count = 1;
        for (uint32_t i = 0; i < c->rank[role]; i++) {
            count *= c->extent[c->dim[role][i]];
        }
        if (count == 0 || count > INT32_MAX)
            return false;
    }
    return c->rank[2] > 0 && c->n_windows > 0 && c->n_over > 0;
}

/* The longest dim that operands and result have: it has to fill more of a vector than the last one of the result, and
 * the sum has to be worth two copies. */
static bool choose_lanes(Lanes *l) {
    enum { LEAST_LANES = 4, LEAST_POINTS = 512 };
    const Contract *c = l->c;
    if (!fits(c))
        return false;
    int64_t best = 0, last = c->extent[c->dim[2][c->rank[2] - 1]];
    l->points = 1;
    for (uint32_t i = 0; i < c->n_over; i++) {
        l->points *= c->extent[c->over[i]];
    }
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        uint32_t dim = c->dim[2][i];
        if (!holds(c, 0, dim) || !holds(c, 1, dim) || in_window(c, dim) || c->extent[dim] <= best)
            continue;
        best = c->extent[dim];
        l->lane = dim;
    }
    l->parts = (l->points + CHUNK - 1) / CHUNK;
    l->size = best > CHAIN_BLOCK ? CHAIN_BLOCK : best;
    l->blocks = best > 0 ? (best + CHAIN_BLOCK - 1) / CHAIN_BLOCK : 0;
    return last < LANES && best > last && best >= LEAST_LANES && l->points >= LEAST_POINTS;
}

/* The place of a dim in the order of the sum, 1 + that of its window: 0, it is not summed over. */
static uint32_t place_in_sum(const Contract *c, uint32_t dim) {
    for (uint32_t i = 0; i < c->n_over; i++) {
        uint32_t over = c->over[i];
        bool same = over == dim;
        for (uint32_t k = 0; k < c->n_windows; k++) {
            const Window *w = &c->window[k];
            bool of = w->x == over || w->o == over || w->t == over;
            same |= of && (w->x == dim || w->o == dim || w->t == dim);
        }
        if (same)
            return i + 1;
    }
    return 0;
}

/* Where an element of the copy lies: dims that are not summed over, those of the sum in its order, the channels. */
static Index in_copy(Emit *e, const Lanes *l, uint32_t role, const Index *dim_at) {
    const Contract *c = l->c;
    Index at = dim_at[l->lane];
    int64_t stride = c->extent[l->lane];
    for (uint32_t place = c->n_over + 1; place-- > 0;) {
        for (uint32_t i = c->rank[role]; i-- > 0;) {
            uint32_t dim = c->dim[role][i];
            if (dim == l->lane || place_in_sum(c, dim) != place)
                continue;
            at = index_add(e, at, index_scale(dim_at[dim], stride));
            stride *= c->extent[dim];
        }
    }
    return at;
}

/* A row of all channels is read along the row and stored along the channels. */
static uint32_t lower_copy(const Lanes *l, uint32_t role) {
    Planner *p = l->p;
    const Contract *c = l->c;
    Val x = operand(p->g, p->groups.at[l->group].sinks.at[0].val, role);
    Unit *u = unit_of_group(p, l->group, role == 0 ? "pack_a" : "pack_b");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index dim_at[MAX_DIMS], at[MAX_RANK];
    uint32_t last = c->dim[role][c->rank[role] - 1];
    int64_t count = 1;
    for (uint32_t i = 0; i < c->rank[role]; i++) {
        uint32_t dim = c->dim[role][i];
        count *= c->extent[dim];
        if (dim != l->lane && dim != last)
            dim_at[dim] = index_axis(kernel_axis(k, "o", c->extent[dim]));
    }
    k->n_head = k->axes.n;
    Stage *s = kernel_stage(k, STAGE_MAP);
    if (last != l->lane) {
        s->vec = 0, s->transpose = 1;
        s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "x", c->extent[last]);
        dim_at[last] = index_axis(s->axis[0]);
    }
    s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "c", c->extent[l->lane]);
    dim_at[l->lane] = index_axis(s->axis[s->n_axes - 1]);
    for (uint32_t i = 0; i < c->rank[role]; i++) {
        at[i] = dim_at[c->dim[role][i]];
    }
    emit_stage(&e);
    uint32_t value = emit_value(&e, x, at, 0);
    uint32_t cell = cell_packed(p, str_format(p->arena, "%.*s", FSTR(k->name)), DT_F32, count, x);
    emit_store(&e, kernel_buffer(&e, cell, true), in_copy(&e, l, role, dim_at), value);
    s->n = k->insts.n - s->first;
    unit_finish(&e);
    return cell;
}

/* Head axes of the results but for the channels, and of blocks of these. */
static uint32_t result_axes(const Lanes *l, Kernel *k, Index *dim_at, bool *known) {
    const Contract *c = l->c;
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        uint32_t dim = c->dim[2][i];
        known[dim] = true;
        if (dim != l->lane)
            dim_at[dim] = index_axis(kernel_axis(k, "t", c->extent[dim]));
    }
    return kernel_axis(k, "b", l->blocks);
}

static uint32_t lane_axis(const Lanes *l, Kernel *k, uint32_t block, Index *dim_at) {
    uint32_t axis = kernel_axis(k, "c", l->size);
    pack_clip(k, axis, block, l->c->extent[l->lane]);
    dim_at[l->lane] = index_axis(axis);
    dim_at[l->lane].coef[block] = l->blocks > 1 ? l->size : 0;
    return axis;
}

/* Of a part: [result][channel]. */
static Index in_part(Emit *e, const Lanes *l, const Index *dim_at, int64_t *count) {
    const Contract *c = l->c;
    Index at = dim_at[l->lane];
    *count = c->extent[l->lane];
    for (uint32_t i = c->rank[2]; i-- > 0;) {
        uint32_t dim = c->dim[2][i];
        if (dim == l->lane)
            continue;
        at = index_add(e, at, index_scale(dim_at[dim], *count));
        *count *= c->extent[dim];
    }
    return at;
}

static uint32_t lower_parts(const Lanes *l) {
    Planner *p = l->p;
    const Contract *c = l->c;
    Val v = p->groups.at[l->group].sinks.at[0].val;
    uint32_t copy[2] = {lower_copy(l, 0), lower_copy(l, 1)};
    Unit *u = unit_of_group(p, l->group, "chain");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index dim_at[MAX_DIMS], summed[MAX_DIMS];
    int64_t extent[MAX_DIMS], count;
    bool known[MAX_DIMS] = {false};
    uint32_t part = kernel_axis(k, "part", l->parts), block = result_axes(l, k, dim_at, known);
    k->n_head = k->axes.n;
    Stage *s = kernel_stage(k, STAGE_CHAIN);
    s->axis[s->n_axes++] = (uint8_t)lane_axis(l, k, block, dim_at);
    s->n_keep = 1;
    uint32_t point = kernel_axis(k, "k", l->parts > 1 ? CHUNK : l->points);
    s->axis[s->n_axes++] = (uint8_t)point;
    pack_clip(k, point, part, l->points);
    emit_stage(&e);
    Index flat = index_axis(point);
    flat.coef[part] = l->parts > 1 ? CHUNK : 0;
    for (uint32_t i = 0; i < c->n_over; i++) {
        extent[i] = c->extent[c->over[i]];
    }
    index_split(&e, flat, c->n_over, extent, summed);
    for (uint32_t i = 0; i < c->n_over; i++) {
        dim_at[c->over[i]] = summed[i];
        known[c->over[i]] = true;
    }
    uint32_t guard = chain_windows(&e, c, known, dim_at);
    for (uint32_t role = 0; role < 2; role++) {
        uint32_t buf = kernel_buffer(&e, copy[role], false);
        s->yield[role] = emit_load(&e, buf, in_copy(&e, l, role, dim_at), guard, v.i);
    }
    s->yield[2] = guard;
    s->n = k->insts.n;
    Index to = in_part(&e, l, dim_at, &count);
    to.coef[part] = count;
    uint32_t table = cell_packed(p, str_format(p->arena, "%.*s", FSTR(k->name)), DT_F32, l->parts * count, v);
    s->out[0] = 1 + emit_access(&e, kernel_buffer(&e, table, true), to);
    unit_finish(&e);
    return table;
}

/* sum = the first part, then sum + part of the others in order. */
static void add_parts(const Lanes *l, Emit *e, uint32_t table, uint32_t sum, uint32_t lane, const Index *dim_at) {
    Kernel *k = e->k;
    Val v = e->p->groups.at[l->group].sinks.at[0].val;
    uint32_t from = kernel_buffer(e, table, false);
    for (int rest = 0; rest < (l->parts > 1 ? 2 : 1); rest++) {
        Stage *s = kernel_stage(k, STAGE_MAP);
        int64_t count;
        if (rest)
            s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "part", l->parts - 1);
        s->axis[s->n_axes++] = (uint8_t)lane;
        emit_stage(e);
        Index at = in_part(e, l, dim_at, &count);
        if (rest) {
            at.coef[s->axis[0]] = count;
            at.base += count;
        }
        uint32_t before = rest ? emit_load(e, sum, index_axis(lane), 0, v.i) : 0;
        uint32_t value = emit_load(e, from, at, 0, v.i);
        emit_store(e, sum, index_axis(lane), rest ? emit_scalar(e, S_add, DT_F32, before, value, 0) : value);
        s->n = k->insts.n - s->first;
    }
}

static void lower_sum(const Lanes *l, uint32_t table) {
    Planner *p = l->p;
    const Sink *sink = &p->groups.at[l->group].sinks.at[0];
    const Contract *c = l->c;
    Unit *u = unit_of_group(p, l->group, "sum");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index dim_at[MAX_DIMS], out[MAX_RANK];
    bool known[MAX_DIMS];
    uint32_t block = result_axes(l, k, dim_at, known);
    k->n_head = k->axes.n;
    uint32_t lane = lane_axis(l, k, block, dim_at), sum = kernel_scratch(k, u, "sum", DT_F32, l->size);
    add_parts(l, &e, table, sum, lane, dim_at);
    Stage *s = kernel_stage(k, STAGE_MAP);
    s->axis[s->n_axes++] = (uint8_t)lane;
    emit_stage(&e);
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        out[i] = dim_at[c->dim[2][i]];
    }
    uint32_t value = emit_load(&e, sum, index_axis(lane), 0, sink->val.i);
    if (p->info[sink->val.i].checked)
        emit_check(&e, value);
    emit_store(&e, kernel_buffer(&e, sink->cell, true), index_linear(&e, node_of(p->g, sink->val)->shape, out), value);
    s->n = k->insts.n - s->first;
    unit_finish(&e);
}

bool lower_lanes(Planner *p, uint32_t group) {
    Lanes l = {.p = p, .group = group, .c = node_of(p->g, p->groups.at[group].sinks.at[0].val)->attr.contract};
    if (!choose_lanes(&l))
        return false;
    lower_sum(&l, lower_parts(&l));
    return true;
}
