/* The pipeline of one entry: select what is stored, group it, build the kernels, order them, place their
 * memory, join the updates, write the steps. */
#include "fuse_parts.h"

static void mark_checked(Planner *p) {
    for (uint32_t i = 0; i < p->g->effects.n; i++) {
        if (node_of(p->g, p->g->effects.at[i])->op != OP_check)
            continue;
        Val x = operand(p->g, p->g->effects.at[i], 0);
        if (shape_count(node_of(p->g, x)->shape) == 0)
            continue; /* of nothing: what it is made of must not be looked at */
        if (p->info[x.i].stored)
            p->info[x.i].checked = true;
        else
            vec_push(p->arena, &p->exports,
                     (Sink){.val = x}); /* it lies somewhere: a kernel that only looks */
    }
}

/* Nothing but empty tensors come out of it. */
static bool is_empty(Planner *p, uint32_t group) {
    const Group *g = &p->groups.at[group];
    bool empty = g->kind != GROUP_LOOP && g->kind != GROUP_EXTERN;
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        empty &= shape_count(node_of(p->g, g->sinks.at[i].val)->shape) == 0;
    }
    return empty;
}

static void lower_group(Planner *p, uint32_t group) {
    if (is_empty(p, group))
        return;
    switch (p->groups.at[group].kind) {
    case GROUP_MAP: lower_map(p, group); return;
    case GROUP_ROWS: lower_rows(p, group); return;
    case GROUP_JOIN: lower_join(p, group); return;
    case GROUP_COLUMNS: lower_columns(p, group); return;
    case GROUP_TILE:
    case GROUP_CHAIN: lower_contract(p, group); return;
    case GROUP_SCATTER: lower_scatter(p, group); return;
    case GROUP_ORDER: lower_order(p, group); return;
    case GROUP_LOOP: lower_loop(p, group); return;
    case GROUP_EXTERN: lower_extern(p, group); return;
    }
}

/* A store and a load of each value that never reaches memory. */
static uint64_t saved_bytes(Planner *p, uint32_t group) {
    const Group *g = &p->groups.at[group];
    uint64_t saved = 0;
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        Val v = g->sinks.at[i].val;
        const Info *in = &p->info[v.i];
        const Node *n = node_of(p->g, v);
        if (in->group == group + 1 && !in->outer && (in->place != PLACE_CELL || g->kind == GROUP_TILE))
            saved += 2 * (uint64_t)shape_count(n->shape) * dtype_bytes((DType)n->dtype);
    }
    return saved;
}

/* Events that the group waits for, made by others. */
static void add_waits(Planner *p, uint32_t group, Unit *u) {
    for (uint32_t i = 1; i < p->g->nodes.n; i++) {
        const Info *in = &p->info[i];
        bool there = in->event && in->stored && in->group != 0 && in->group != group + 1;
        if (there && group_reads(p, group, (Val){i}))
            vec_push(p->arena, &u->waits, cell_of_value(p, (Val){i}, 0));
    }
}

void graph_units(Planner *p) {
    mark_checked(p);
    group_nodes(p);
    for (uint32_t i = 0; i < p->groups.n; i++) {
        uint32_t before = p->units->n;
        ArenaMark tables = arena_mark(p->entry->trial);       /* by node: of what the group emits alone */
        lower_group(p, i);
        arena_pop(tables);
        for (uint32_t k = before; k < p->units->n; k++) {
            add_waits(p, i, p->units->at[k]);
        }
        if (p->units->n > before)
            p->units->at[p->units->n - 1]->saved_bytes = saved_bytes(p, i);
    }
}

/* Outputs are computed where the runtime reads them; what lies elsewhere (a variable, a result of a loop) is
 * copied. */
static uint32_t *bind_outputs(Planner *p) {
    const Graph *g = p->g;
    uint32_t *cell = PUSH(p->arena, uint32_t, g->outputs.n + 1);
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        Val v = g->outputs.at[i].val;
        for (uint32_t k = 0; k < i && cell[i] == 0; k++) {
            cell[i] = val_eq(g->outputs.at[k].val, v) ? cell[k] : 0;
        }
        if (cell[i] != 0)
            continue;
        if (p->info[v.i].stored) {
            cell[i] = cell_of_value(p, v, 0);
            cell_at(p, cell[i])->region = REGION_OUT;
            continue;
        }
        Type t = type_of(g, v);
        cell[i] = cell_add(
            p, (Cell){.kind = CELL_VALUE,
                      .name = str_format(p->arena, "%.*s.out%u", FSTR(output_name(p->arena, g, i)), i),
                      .dtype = t.dtype,
                      .shape = t.shape,
                      .region = REGION_OUT});
        vec_push(p->arena, &p->exports, (Sink){.val = v, .cell = cell[i]});
    }
    return cell;
}

static void split_units(Arena *a, const Units *all, StepUnits *out) {
    for (uint32_t i = 0; i < all->n; i++) {
        Unit *u = all->at[i];
        vec_push(a, u->commit ? &out->commits : u->unsure ? &out->guards : &out->units, u);
    }
}

/* Among commits, who reads a variable goes before who writes it. */
static bool reads_what_writes(const Entry *e, const Unit *reader, const Unit *writer) {
    for (uint32_t i = 0; i < reader->cells.n; i++) {
        for (uint32_t k = 0; k < writer->cells.n; k++) {
            uint32_t cell = reader->cells.at[i];
            if (cell != 0 && cell != e->health && cell == writer->cells.at[k] &&
                reader->kernel->bufs.at[i].role == KBUF_IN && writer->kernel->bufs.at[k].role != KBUF_IN)
                return true;
        }
    }
    return false;
}

static GrStatus order_commits(Entry *e, Units *commits, bool *free) {
    *free = true;
    for (uint32_t i = 0; i < commits->n; i++) {
        for (uint32_t k = 0; k < commits->n; k++) {
            *free &= i == k || !reads_what_writes(e, commits->at[i], commits->at[k]);
        }
    }
    for (uint32_t at = 0; at < commits->n; at++) {
        uint32_t next = at;
        for (bool held = true; held && next < commits->n; next += held) {
            held = false;
            for (uint32_t k = at; k < commits->n && !held; k++) {
                held = k != next && reads_what_writes(e, commits->at[k], commits->at[next]);
            }
        }
        if (next == commits->n)
            return fail(e->error, GR_UNSUPPORTED,
                        "variables of different shapes are updated from each other's old values");
        Unit *u = commits->at[next];
        for (uint32_t k = next; k > at; k--) {
            commits->at[k] = commits->at[k - 1];
        }
        commits->at[at] = u;
    }
    return GR_OK;
}

static GrStatus plan_graph(Entry *e, const Graph *g) {
    Units all = {0};
    StepUnits step = {0};
    Units *commits = &step.commits;
    Planner p = {
        .entry = e, .arena = e->arena, .g = g, .units = &all, .info = PUSH(e->arena, Info, g->nodes.n)};
    e->health = cell_add(
        &p, (Cell){.kind = CELL_HEALTH, .name = STR("health"), .dtype = DT_I32, .region = REGION_HEALTH});
    for (uint32_t i = 0; i < g->columns.n; i++) {
        cell_of_column(&p, i);
    }
    group_select(&p);
    uint32_t *outputs = bind_outputs(&p);
    graph_units(&p);
    split_units(e->arena, &all, &step);
    bool free_order;
    TRY(order_commits(e, commits, &free_order));
    schedule_units(e, &step.units);
    schedule_units(e, &step.guards);
    for (uint32_t i = 0; i < commits->n; i++) { /* lives of what they read last into the commit */
        for (uint32_t k = 0; k < commits->at[i]->cells.n; k++) {
            e->cells.at[commits->at[i]->cells.at[k]].last = e->waves + 1;
        }
    }
    memory_entry(e);
    if (free_order)
        flatten_updates(e, commits);
    for (uint32_t i = 0; i < commits->n; i++) {
        Kernel *k = commits->at[i]->kernel;
        if (k->stages.n == 1) /* else it is folded, and its head are tiles */
            kernel_cut(k);
        kernel_finish(e, commits->at[i]);
    }
    schedule_units(e, commits);
    plan_add_entry(e, g, &step, outputs);
    return GR_OK;
}

/* ---- what this pass relies on ---- */
static GrStatus check_graph(const Graph *g, Error *e) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_grad || n->op == OP_grad_as)
            return fail(e, GR_UNSUPPORTED, "fuse: graph %.*s still has `%s`: differentiate it first",
                        FSTR(intern_str(g->module->names, g->name)), op_name((Op)n->op));
        if (n->op == OP_contract && n->attr.contract->rounded != DT_F32)
            return fail(e, GR_UNSUPPORTED, "fuse: %%%u of graph %.*s rounds its operands: cast them first", i,
                        FSTR(intern_str(g->module->names, g->name)));
        if (n->op == OP_contract && n->attr.contract->winograd)
            return fail(e, GR_UNSUPPORTED, "fuse: %%%u of graph %.*s is still marked `winograd`: expand it first", i,
                        FSTR(intern_str(g->module->names, g->name)));
        if (n->op == OP_reduce && n->attr.reduce.n > 1) {
            Shape x = node_of(g, operand(g, (Val){i}, 0))->shape;
            int64_t count = 1;
            for (uint32_t k = 1; k < n->attr.reduce.n; k++) {
                count *= x.dim[n->attr.reduce.at[k]];
            }
            if (count >= MIN_ROW)
                return fail(e, GR_UNSUPPORTED,
                            "fuse: %%%u of graph %.*s reduces more than one row: split it first", i,
                            FSTR(intern_str(g->module->names, g->name)));
        }
        if (n->op == OP_scan)
            TRY(check_graph(n->attr.scan->body, e));
    }
    return GR_OK;
}

GrStatus fuse_module(Arena *a, const Module *m, const FuseOptions *o, Planned *out, Error *e) {
    for (uint32_t i = 0; i < m->graphs.n; i++) {
        TRY(check_graph(m->graphs.at[i], e));
    }
    if (out->plan == NULL) {
        out->plan = plan_create(a);
        out->plan->uniforms = m->uniforms;
        memory_begin(a, m, out);
    }
    Arena *trial = arena_create();
    GrStatus status = GR_OK;
    for (uint32_t i = 0; i < m->graphs.n && status == GR_OK; i++) {
        Entry entry = {.arena = a,
                       .module = m,
                       .options = o,
                       .planned = out,
                       .error = e,
                       .trial = trial,
                       .once = m->graphs.at[i]->columns.n == 0,
                       .var_cell = PUSH(a, uint32_t, m->vars.n + 1)};
        vec_push(a, &entry.cells, (Cell){0});
        status = plan_graph(&entry, m->graphs.at[i]);
    }
    arena_destroy(trial);
    if (status == GR_OK)
        memory_place(out);
    return status;
}
