/* A function of the user's is a step of its own: it reads and writes whole cells, and nothing is fused with it. */
#include "fuse_parts.h"

void lower_extern(Planner *p, uint32_t group) {
    Val v = p->groups.at[group].sinks.at[0].val;
    const Node *n = node_of(p->g, v);
    const Extern *x = n->attr.external;
    Unit *u = unit_add(p, UNIT_EXTERN, (Str){0});
    u->external = x;
    u->n_in = n->n;
    u->nodes = 1;
    for (uint32_t k = 0; k < n->n; k++) {
        vec_push(p->arena, &u->cells, cell_of_operand(p, operand(p->g, v, k)));
    }
    for (uint32_t i = 0; i < x->n_results; i++) {
        vec_push(p->arena, &u->cells, cell_of_value(p, v, i));
    }
    vec_push(p->arena, &u->spans, n->span);
}

void plan_add_extern(Entry *e, const Unit *u, PlanStep *s) {
    Plan *plan = e->planned->plan;
    const Extern *x = u->external;
    int64_t calls = shape_count(shape_of(x->batch, x->results[0].shape.dim));
    s->kind = STEP_EXTERN;
    s->external = plan->externs.n;
    vec_push(e->arena, &plan->externs,
             (PlanExtern){x->library, x->symbol, calls, plan->numbers.n, x->n_extents});
    for (uint32_t i = 0; i < x->n_extents; i++) {
        vec_push(e->arena, &plan->numbers, x->extents[i]);
    }
    for (uint32_t i = 0; i < u->cells.n; i++) {
        const Cell *c = &e->cells.at[u->cells.at[i]];
        vec_push(e->arena, &plan->numbers,
                 shape_count(shape_of(c->shape.rank - x->batch, c->shape.dim + x->batch)));
        s->bytes += (uint64_t)c->count * dtype_bytes(c->dtype);
    }
}
