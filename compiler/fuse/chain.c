/* Contractions that are no tiles: one chain an element, the last dim of the result side by side.  Windows give the
 * third role of each triple; a term outside is left out by a guard. */
#include "product.h"

/* The element of an operand along each dim, from the dims of C and the summed ones; windows give the third
 * role. */
static uint32_t window_index(Emit *e, const Contract *c, const Window *w, bool *known, Index *at) {
    Index num;
    uint32_t to;
    int64_t by;
    if (known[w->o] && known[w->t]) {
        num = index_add(e, index_scale(at[w->o], w->stride), index_scale(at[w->t], w->dilation));
        num = index_add(e, num, index_const(-w->pad));
        to = w->x, by = 1;
    } else {
        uint32_t other = known[w->o] ? w->o : w->t;
        num =
            index_add(e, at[w->x], index_scale(at[other], -(int64_t)(known[w->o] ? w->stride : w->dilation)));
        num = index_add(e, num, index_const(w->pad));
        to = known[w->o] ? w->t : w->o;
        by = known[w->o] ? w->dilation : w->stride;
    }
    uint32_t guard = 0;
    if (by != 1) {
        int64_t lo, hi;
        index_range(e->k, &num, &lo, &hi);
        uint32_t v = index_value(e, &num), d = emit_i32(e, by);
        guard = 1 + emit_scalar(e, S_eq, DT_BOOL, emit_scalar(e, S_mod, DT_I32, v, d, 0), emit_i32(e, 0), 0);
        uint32_t q = emit_scalar(e, S_idiv, DT_I32, v, d, 0);
        guard = index_inside(e, &num, 0, by * (c->extent[to] - 1) + 1, guard);
        q = emit_scalar(e, S_max, DT_I32, q, emit_i32(e, 0), 0);
        q = emit_scalar(e, S_min, DT_I32, q, emit_i32(e, c->extent[to] - 1), 0);
        at[to] = index_of_value(q, 0, c->extent[to] - 1);
    } else {
        guard = index_inside(e, &num, 0, c->extent[to], 0);
        at[to] = num;
    }
    known[to] = true;
    return guard;
}

uint32_t chain_windows(Emit *e, const Contract *c, bool *known, Index *dim_at) {
    uint32_t guard = 0;
    for (uint32_t i = 0; i < c->n_windows; i++) {
        uint32_t more = window_index(e, c, &c->window[i], known, dim_at);
        guard = !guard ? more : !more ? guard : 1 + emit_scalar(e, S_and, DT_BOOL, guard - 1, more - 1, 0);
    }
    return guard;
}

void lower_chain(Planner *p, uint32_t group) {
    if (lower_lanes(p, group))
        return;
    Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val;
    const Node *n = node_of(p->g, v);
    const Contract *c = n->attr.contract;
    Unit *u = unit_of_group(p, group, "chain");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index dim_at[MAX_DIMS], out[MAX_RANK], at[2][MAX_RANK];
    bool known[MAX_DIMS] = {false};
    uint32_t rank = c->rank[2], block = 0, keep = 0;
    for (uint32_t i = 0; i + 1 < rank; i++) {
        dim_at[c->dim[2][i]] = index_axis(kernel_axis(k, "n", c->extent[c->dim[2][i]]));
        known[c->dim[2][i]] = true;
    }
    int64_t last = rank > 0 ? c->extent[c->dim[2][rank - 1]] : 1;
    if (rank > 0)
        block = kernel_axis(k, "b", last > CHAIN_BLOCK ? (last + CHAIN_BLOCK - 1) / CHAIN_BLOCK : 1);
    k->n_head = k->axes.n;
    Stage *s = kernel_stage(k, STAGE_CHAIN);
    if (rank > 0) {
        keep = kernel_axis(k, "c", last > CHAIN_BLOCK ? CHAIN_BLOCK : last);
        if (last > CHAIN_BLOCK)
            pack_clip(k, keep, block, last);
        Index x = index_axis(keep);
        x.coef[block] = last > CHAIN_BLOCK ? CHAIN_BLOCK : 0;
        dim_at[c->dim[2][rank - 1]] = x;
        known[c->dim[2][rank - 1]] = true;
        s->axis[s->n_axes++] = (uint8_t)keep;
        s->n_keep = 1;
    }
    for (uint32_t i = 0; i < c->n_over; i++) {
        uint32_t axis = kernel_axis(k, "k", c->extent[c->over[i]]);
        dim_at[c->over[i]] = index_axis(axis);
        known[c->over[i]] = true;
        s->axis[s->n_axes++] = (uint8_t)axis;
    }
    if (c->n_over == 0) /* one term: still a chain */
        s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "k", 1);
    emit_stage(&e);
    uint32_t guard = chain_windows(&e, c, known, dim_at);
    for (uint32_t role = 0; role < 3; role++) {
        for (uint32_t i = 0; i < c->rank[role]; i++) {
            *(role == 2 ? &out[i] : &at[role][i]) = dim_at[c->dim[role][i]];
        }
    }
    s->yield[0] = emit_value(&e, operand(p->g, v, 0), at[0], guard);
    s->yield[1] = emit_value(&e, operand(p->g, v, 1), at[1], guard);
    s->yield[2] = guard;
    s->n = k->insts.n;
    uint32_t buf = kernel_buffer(&e, g->sinks.at[0].cell, true);
    s->out[0] = 1 + emit_access(&e, buf, index_linear(&e, n->shape, out));
    if (p->info[v.i].checked) {
        Stage *check = kernel_stage(k, STAGE_MAP);
        if (rank > 0)
            check->axis[check->n_axes++] = (uint8_t)keep;
        emit_stage(&e);
        kernel_buffer(&e, g->sinks.at[0].cell, false);
        emit_check(&e, emit_load(&e, buf, index_linear(&e, n->shape, out), 0, v.i));
        k->stages.at[1].n = k->insts.n - e.first;
    }
    unit_finish(&e);
}
