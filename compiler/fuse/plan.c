/* Units to steps: kernels get ids (equal ones share), cells become arguments, loops nest by count. */
#include "fuse_parts.h"
#include "hash.h"

static bool micros_are(const Plan *plan, uint32_t first, const Str *names, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (first + i >= plan->micros.n || !str_eq(plan->micros.at[first + i].symbol, names[i]))
            return false;
    }
    return true;
}

/* The microkernels of its tiles, which kernels that call the same ones share. */
static void add_micros(Arena *a, Plan *plan, PlanKernel *row, const Kernel *k) {
    Str *names = PUSH(a, Str, 2 * k->stages.n + 1);
    row->n_micros = kernel_micros(k, a, names);
    while (row->first_micro < plan->micros.n && !micros_are(plan, row->first_micro, names, row->n_micros)) {
        row->first_micro++;
    }
    for (uint32_t i = 0; i < row->n_micros && row->first_micro + i >= plan->micros.n; i++) {
        vec_push(a, &plan->micros, (PlanMicro){names[i], hash_str(SEMANTICS_VERSION, names[i])});
    }
}

static uint32_t plan_kernel(Entry *e, const Unit *u, Str entry) {
    Planned *p = e->planned;
    Kernel *k = u->kernel;
    uint64_t key = kernel_key(k);
    for (uint32_t i = 0; i < p->plan->kernels.n; i++) {
        if (p->plan->kernels.at[i].key == key)
            return i;
    }
    k->name = str_format(e->arena, "%.*s.%s.%.*s", FSTR(entry),
                         e->options->blas    ? "blas"
                         : e->options->fused ? "fused"
                                             : "unfused",
                         FSTR(k->name));
    PlanKernel row = {.name = k->name, .key = key, .scratch_bytes = kernel_scratch_bytes(k)};
    add_micros(e->arena, p->plan, &row, k);
    vec_push(e->arena, &p->plan->kernels, row);
    vec_push(e->arena, &p->kernels, k);
    vec_push(e->arena, &p->fused,
             (FusedKernel){u->graph, p->plan->kernels.n - 1, u->nodes, k->stages.n, u->saved_bytes});
    if (row.scratch_bytes > p->plan->scratch_bytes)
        p->plan->scratch_bytes = row.scratch_bytes;
    return p->plan->kernels.n - 1;
}

static PlanArg arg_of(const Entry *e, uint32_t cell, bool writes) {
    const Cell *c = &e->cells.at[cell];
    if (c->kind != CELL_STEP)
        return (PlanArg){c->buffer - 1, 0, 0, writes};
    return (PlanArg){e->cells.at[c->of].buffer - 1, 0, c->count * dtype_bytes(c->dtype), writes};
}

static void add_spans(Entry *e, PlanStep *s, const Unit *u) {
    Plan *plan = e->planned->plan;
    s->first_span = plan->spans.n;
    for (uint32_t i = 0; u->kernel != NULL && i < u->kernel->spans.n; i++) {
        vec_push(e->arena, &plan->spans, u->kernel->spans.at[i]);
    }
    for (uint32_t i = 0; i < u->spans.n; i++) {
        vec_push(e->arena, &plan->spans, u->spans.at[i]);
    }
    s->n_spans = plan->spans.n - s->first_span;
}

static void add_launch(Entry *e, const Unit *u, Str entry) {
    Plan *plan = e->planned->plan;
    const Kernel *k = u->kernel;
    PlanStep s = {.kind = STEP_LAUNCH,
                  .kernel = plan_kernel(e, u, entry),
                  .wave = u->wave,
                  .first_arg = plan->args.n,
                  .points = kernel_points(k),
                  .grain = k->grain,
                  .cost_ns = k->cost_ns,
                  .flops = k->flops,
                  .bytes = k->bytes};
    for (uint32_t i = 0; i < u->cells.n; i++) {
        if (u->cells.at[i] == 0)
            continue;
        vec_push(e->arena, &plan->args, arg_of(e, u->cells.at[i], k->bufs.at[i].role != KBUF_IN));
    }
    s.n_args = plan->args.n - s.first_arg;
    add_spans(e, &s, u);
    vec_push(e->arena, &plan->steps, s);
}

static void add_blas(Entry *e, const Unit *u) {
    Plan *plan = e->planned->plan;
    const PlanBlas *b = &u->blas;
    PlanStep s = {.kind = STEP_BLAS,
                  .wave = u->wave,
                  .first_arg = plan->args.n,
                  .n_args = 3,
                  .blas = *b,
                  .flops = (uint64_t)(2 * b->m * b->n * b->k),
                  .bytes = 4 * (uint64_t)(b->m * b->k + b->k * b->n + b->m * b->n)};
    for (uint32_t i = 0; i < 3; i++) {
        vec_push(e->arena, &plan->args, arg_of(e, u->cells.at[i], i == 2));
    }
    s.cost_ns = (double)s.flops / 100;
    add_spans(e, &s, u);
    vec_push(e->arena, &plan->steps, s);
}

static void add_extern(Entry *e, const Unit *u) {
    Plan *plan = e->planned->plan;
    PlanStep s = {.wave = u->wave, .first_arg = plan->args.n, .n_args = u->cells.n};
    for (uint32_t i = 0; i < u->cells.n; i++) {
        vec_push(e->arena, &plan->args, arg_of(e, u->cells.at[i], i >= u->n_in));
    }
    plan_add_extern(e, u, &s);
    add_spans(e, &s, u);
    vec_push(e->arena, &plan->steps, s);
}

static void add_units(Entry *e, const Units *units, Str entry) {
    Plan *plan = e->planned->plan;
    for (uint32_t i = 0; i < units->n; i++) {
        const Unit *u = units->at[i];
        switch (u->kind) {
        case UNIT_KERNEL: add_launch(e, u, entry); break;
        case UNIT_BLAS: add_blas(e, u); break;
        case UNIT_EXTERN: add_extern(e, u); break;
        case UNIT_LOOP: {
            uint32_t at = plan->steps.n;
            vec_push(
                e->arena, &plan->steps,
                (PlanStep){.kind = STEP_LOOP, .wave = u->wave, .trips = u->trips, .reverse = u->reverse});
            add_units(e, &u->body, entry);
            plan->steps.at[at].count = plan->steps.n - at - 1;
            break;
        }
        }
    }
}

static uint32_t column_cell(const Entry *e, uint32_t column) {
    for (uint32_t i = 1; i < e->cells.n; i++) {
        if (e->cells.at[i].kind == CELL_COLUMN && e->cells.at[i].var == column)
            return i;
    }
    GR_BUG("column %u has no cell", column);
}

/* What the runtime calls an output: its name; weights, which are called like their losses, apart. */
Str output_name(Arena *a, const Graph *g, uint32_t output) {
    const Output *o = &g->outputs.at[output];
    Str name = o->name != 0           ? intern_str(g->module->names, o->name)
               : o->kind == OUT_TOTAL ? STR("total")
                                      : STR("value");
    return o->kind == OUT_WEIGHT ? str_format(a, "weight.%.*s", FSTR(name)) : name;
}

void plan_add_entry(Entry *e, const Graph *g, const StepUnits *step, const uint32_t *output_cell) {
    Plan *plan = e->planned->plan;
    const FuseOptions *o = e->options;
    PlanEntry entry = {.name = intern_str(g->module->names, g->name),
                       .variant = o->blas    ? STR("blas")
                                  : o->fused ? STR("fused")
                                             : STR("unfused"),
                       .rows = g->rows,
                       .first_step = plan->steps.n,
                       .first_column = plan->bindings.n,
                       .n_columns = g->columns.n,
                       .n_outputs = g->outputs.n};
    add_units(e, &step->units, entry.name);
    if (step->guards.n > 0) {
        uint32_t at = plan->steps.n;
        vec_push(e->arena, &plan->steps, (PlanStep){.kind = STEP_UNSURE, .wave = step->guards.at[0]->wave});
        add_units(e, &step->guards, entry.name);
        plan->steps.at[at].count = plan->steps.n - at - 1;
    }
    if (step->commits.n > 0) {
        vec_push(e->arena, &plan->steps, (PlanStep){.kind = STEP_COMMIT, .wave = step->commits.at[0]->wave});
        add_units(e, &step->commits, entry.name);
    }
    entry.n_steps = plan->steps.n - entry.first_step;
    for (uint32_t i = 0; i < g->columns.n; i++) {
        vec_push(e->arena, &plan->bindings,
                 (PlanBinding){intern_str(g->module->names, g->columns.at[i].name),
                               e->cells.at[column_cell(e, i)].buffer - 1});
    }
    entry.first_output = plan->bindings.n;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        vec_push(e->arena, &plan->bindings,
                 (PlanBinding){output_name(e->arena, g, i), e->cells.at[output_cell[i]].buffer - 1});
    }
    vec_push(e->arena, &plan->entries, entry);
}
