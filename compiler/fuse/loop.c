/* A scan is a loop of steps.  Its carries lie in the cells of its results: a kernel before the loop fills
 * them, the body computes the next ones beside them, and the last kernels of an iteration move these over, if they
 * could not be computed in place (carry.c).
 * Sequences and what is collected are moving windows (CELL_STEP) of whole cells: the plan's per-iteration
 * offsets. */
#include "fuse_parts.h"

/* cell := value (or the content of another cell of the same shape). */
static void lower_copy(Planner *p, Val v, uint32_t from, uint32_t to) {
    Unit *u = unit_add(p, UNIT_KERNEL, str_format(p->arena, "move%u", to));
    Emit e = emit_begin(p, u->kernel, u);
    Shape shape = cell_at(p, to)->shape;
    Index at[MAX_RANK];
    kernel_stage(u->kernel, STAGE_MAP);
    for (uint32_t i = 0; i < shape.rank; i++) {
        at[i] = index_axis(kernel_axis(u->kernel, "i", shape.dim[i]));
    }
    emit_stage(&e);
    Index flat = index_linear(&e, shape, at);
    uint32_t value =
        from != 0 ? emit_load(&e, kernel_buffer(&e, from, false), flat, 0, v.i) : emit_value(&e, v, at, 0);
    emit_store(&e, kernel_buffer(&e, to, true), flat, value);
    u->kernel->stages.at[0].n = u->kernel->insts.n;
    kernel_merge(u->kernel);
    kernel_cut(u->kernel);
    unit_finish(&e);
}

static uint32_t step_of(Planner *p, uint32_t of, uint32_t loop) {
    Cell whole = *cell_at(p, of);
    Shape s = shape_of(whole.shape.rank - 1u, whole.shape.dim + 1);
    return cell_add(p, (Cell){.kind = CELL_STEP,
                              .name = str_format(p->arena, "%.*s.step", FSTR(whole.name)),
                              .dtype = whole.dtype,
                              .shape = s,
                              .of = of,
                              .region = whole.region,
                              .loop = loop});
}

/* Results of the body go to given cells: directly when the body computes them, else by a copy. */
static void bind_results(Planner *body, const uint32_t *cell) {
    const Graph *g = body->g;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        Val v = g->outputs.at[i].val;
        Info *in = &body->info[v.i];
        if (in->stored && in->cell == 0 && !node_is_leaf(g, v) && node_of(g, v)->op != OP_scan &&
            node_of(g, v)->op != OP_extern)
            in->cell = cell[i];
        else
            vec_push(body->arena, &body->exports, (Sink){.val = v, .cell = cell[i]});
    }
}

void lower_loop(Planner *p, uint32_t group) {
    Val v = p->groups.at[group].sinks.at[0].val;
    const Scan *s = node_of(p->g, v)->attr.scan;
    uint32_t loop = ++p->entry->loops, n_in = node_of(p->g, v)->n;
    uint32_t *in_cell = PUSH(p->arena, uint32_t, n_in + 1),
             *out_cell = PUSH(p->arena, uint32_t, s->body->outputs.n + 1);
    for (uint32_t i = 0; i < n_in; i++) {
        Val x = operand(p->g, v, i);
        if (i < s->n_carries) {
            in_cell[i] = cell_of_value(p, v, i);
            lower_copy(p, x, 0, in_cell[i]);
        } else {
            in_cell[i] = cell_of_operand(p, x);
            in_cell[i] = i < s->n_carries + s->n_sequences ? step_of(p, in_cell[i], loop) : in_cell[i];
        }
    }
    for (uint32_t i = 0; i < s->body->outputs.n; i++) {
        uint32_t whole = cell_of_value(p, v, i);
        Cell c = *cell_at(p, whole);
        c.name = str_format(p->arena, "%.*s.next", FSTR(c.name));
        c.loop = loop, c.region = REGION_ACT, c.mirrors = 0, c.kind = CELL_VALUE;
        out_cell[i] = i < s->n_carries ? cell_add(p, c) : step_of(p, whole, loop);
    }
    Unit *u = unit_add(p, UNIT_LOOP, (Str){0});
    u->loop = loop, u->trips = s->length, u->reverse = s->reverse;
    Planner body = {.entry = p->entry,
                    .arena = p->arena,
                    .g = s->body,
                    .loop = loop,
                    .body_cell = in_cell,
                    .units = &u->body,
                    .info = PUSH(p->arena, Info, s->body->nodes.n)};
    group_select(&body);
    bind_results(&body, out_cell);
    graph_units(&body);
    for (uint32_t i = 0; i < s->n_carries; i++) {
        if (!carry_in_place(&body, out_cell[i], in_cell[i]))
            lower_copy(&body, (Val){0}, out_cell[i], in_cell[i]);
    }
}
