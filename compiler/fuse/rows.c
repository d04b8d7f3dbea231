/* Elementwise and row kernels.  A MAP group is one stage over its whole domain.  A ROWS group runs, for each
 * point of its head, one stage after another: maps of the same inner shape share a stage until one needs what
 * another point of that stage makes; a reduction takes the open map stage over when it runs along the same
 * axes, so that the elements it sums are computed, stored for later stages and summed in one sweep. */
#include "fuse_parts.h"
#include <string.h>

Unit *unit_add(Planner *p, UnitKind kind, Str name) {
    Unit *u = PUSH(p->arena, Unit, 1);
    u->kind = kind;
    u->graph = p->g;
    u->kernel = kind == UNIT_KERNEL ? kernel_create(p->arena, name) : NULL;
    vec_push(p->arena, p->units, u);
    return u;
}

static Str unit_name(Planner *p, uint32_t group, const char *what) {
    const Group *g = &p->groups.at[group];
    uint32_t name = node_of(p->g, g->sinks.at[g->sinks.n - 1].val)->name;
    if (name == 0)
        return str_format(p->arena, "%s%u", what, group);
    return str_format(p->arena, "%s%u_%.*s", what, group, FSTR(intern_str(p->g->module->names, name)));
}

Unit *unit_of_group(Planner *p, uint32_t group, const char *what) {
    Unit *u = unit_add(p, UNIT_KERNEL, unit_name(p, group, what));
    u->commit = p->groups.at[group].commit;
    u->unsure = p->groups.at[group].unsure;
    return u;
}

/* ---- one stage over a domain ---- */
static bool keeps_nothing(const Emit *e, Sink s, bool *ours) {
    const Info *in = &e->p->info[s.val.i];
    *ours = in->group == e->group && in->group != 0 && !s.commit;
    return *ours && in->place == PLACE_INLINE;
}

/* All values first, then the stores: a variable is read before it is written. */
void put_sinks(Emit *e, const Sink *sinks, uint32_t n, const Index *at) {
    uint32_t *value = PUSH(e->k->arena, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        bool ours, dropped = keeps_nothing(e, sinks[i], &ours), checked = e->p->info[sinks[i].val.i].checked;
        if (dropped && !checked)
            continue;
        value[i] = ours ? emit_root(e, sinks[i].val, at) : emit_value(e, sinks[i].val, at, 0);
        if (sinks[i].small || (ours && e->p->info[sinks[i].val.i].small))
            emit_small(e, value[i]);
        if ((sinks[i].cell == 0 && !sinks[i].small) || (ours && checked))
            emit_check(e, value[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        bool ours;
        if (sinks[i].cell == 0 || keeps_nothing(e, sinks[i], &ours))
            continue;
        uint32_t buf = kernel_buffer(e, sinks[i].cell, true);
        emit_store(e, buf, index_linear(e, cell_at(e->p, sinks[i].cell)->shape, at), value[i]);
    }
}

void unit_finish(Emit *e) {
    e->unit->nodes = e->nodes;
    if (e->unit->commit)
        kernel_buffer(e, e->p->entry->health, true);
    unit_spans(e->unit);
    if (!e->unit->commit) /* commits may still be joined: flatten_updates */
        kernel_finish(e->p->entry, e->unit);
}

void lower_map(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Unit *u = unit_of_group(p, group, g->commit ? "commit" : "map");
    Emit e = emit_begin(p, u->kernel, u);
    e.group = group + 1;
    Index at[MAX_RANK];
    Stage *s = kernel_stage(u->kernel, STAGE_MAP);
    for (uint32_t i = 0; i < g->domain.rank; i++) {
        at[i] = g->domain.dim[i] == 1 ? index_const(0)
                                      : index_axis(kernel_axis(u->kernel, "i", g->domain.dim[i]));
    }
    e.head = g->domain.rank;
    e.head_at = at;
    uint8_t *done = PUSH(p->entry->trial, uint8_t, p->g->nodes.n);
    memset(done, 2, p->g->nodes.n);
    e.done = done;
    emit_stage(&e);
    put_sinks(&e, g->sinks.at, g->sinks.n, at);
    GR_ASSERT(!e.bad);
    s->n = u->kernel->insts.n;
    kernel_merge(u->kernel);
    if (!u->commit)
        kernel_cut(u->kernel);
    unit_finish(&e);
}

/* ---- rows ---- */
typedef struct {
    Emit e;
    Planner *p;
    Index head_at[MAX_RANK];
    uint32_t open;    /* 1 + the map stage that can take more, 0 none */
    Shape open_shape; /* its inner shape */
    uint8_t *done;
    uint32_t *scratch, *reg;
    VEC(Val) kept;    /* results in registers that others want in memory, or checked */
} Rows;

/* Inner axis of an extent that the stage does not use yet: stages share axes. */
static uint32_t inner_axis(Kernel *k, const Stage *s, int64_t extent) {
    for (uint32_t a = k->n_head; a < k->axes.n; a++) {
        bool used = k->axes.at[a].extent != extent || k->axes.at[a].clip_by >= 0;
        for (uint32_t i = 0; i < s->n_axes; i++) {
            used |= s->axis[i] == a;
        }
        if (!used)
            return a;
    }
    return kernel_axis(k, "k", extent);
}

static Index add_axis(Kernel *k, Stage *s, int64_t extent) {
    uint32_t axis = inner_axis(k, s, extent);
    s->axis[s->n_axes++] = (uint8_t)axis;
    return extent == 1 ? index_const(0) : index_axis(axis);
}

static void close_stage(Rows *r) {
    if (r->open == 0)
        return;
    Kernel *k = r->e.k;
    k->stages.at[r->open - 1].n = k->insts.n - r->e.first;
    r->open = 0;
    for (uint32_t i = 0; i < r->p->g->nodes.n; i++) {
        r->done[i] = r->done[i] != 0;
    }
    emit_stage(&r->e);
}

/* Head, then the inner axes of the open stage in order, skipping extents of one. */
static void inner_at(Rows *r, const Stage *s, Shape shape, Index *at) {
    uint32_t n = 0;
    memcpy(at, r->head_at, sizeof(Index) * r->e.head);
    for (uint32_t i = r->e.head; i < shape.rank; i++) {
        at[i] = shape.dim[i] == 1 ? index_const(0) : index_axis(s->axis[n++]);
    }
}

static void open_map(Rows *r, Shape shape) {
    close_stage(r);
    Stage *s = kernel_stage(r->e.k, STAGE_MAP);
    for (uint32_t i = r->e.head; i < shape.rank; i++) {
        if (shape.dim[i] != 1)
            add_axis(r->e.k, s, shape.dim[i]);
    }
    r->open = r->e.k->stages.n;
    r->open_shape = shape_of(shape.rank - r->e.head, shape.dim + r->e.head);
}

static void roll_back(Rows *r, uint32_t insts, uint32_t memo) {
    Emit *e = &r->e;
    while (e->memo.n > memo) {
        const Memo *m = &e->memo.at[--e->memo.n];
        e->memo_of[m->v.i] = m->next;
    }
    e->k->insts.n = insts;
    e->bad = false;
}

/* Computes v (or the operand of a reduction) in the open stage if that is allowed. */
static bool try_value(Rows *r, Val v, bool root, const Index *at, uint32_t *value) {
    uint32_t insts = r->e.k->insts.n, memo = r->e.memo.n;
    r->e.bad = false;
    *value = root ? emit_root(&r->e, v, at) : emit_value(&r->e, v, at, 0);
    if (!r->e.bad)
        return true;
    roll_back(r, insts, memo);
    return false;
}

static bool open_fits(const Rows *r, Shape shape) {
    return r->open != 0 && shape_eq(r->open_shape, shape_of(shape.rank - r->e.head, shape.dim + r->e.head));
}

static Index place_in(Rows *r, Sink s, const Index *at, uint32_t *buf) {
    Shape shape = cell_at(r->p, s.cell)->shape;
    if (r->p->info[s.val.i].place != PLACE_SCRATCH) {
        *buf = kernel_buffer(&r->e, s.cell, true);
        return index_linear(&r->e, shape, at);
    }
    Shape inner = shape_of(shape.rank - r->e.head, shape.dim + r->e.head);
    int64_t count = shape_count(inner); /* members of a tuple lie one behind the other */
    if (r->scratch[s.val.i] == 0)
        r->scratch[s.val.i] = 1 + kernel_scratch(r->e.k, r->e.unit, "row", cell_at(r->p, s.cell)->dtype,
                                                 count * reduce_members(node_of(r->p->g, s.val)));
    *buf = r->scratch[s.val.i] - 1;
    Index to = index_linear(&r->e, inner, at + r->e.head);
    to.base += count * (s.cell - r->p->info[s.val.i].cell);
    return to;
}

static void map_member(Rows *r, Sink s) {
    const Info *in = &r->p->info[s.val.i];
    Shape shape = node_of(r->p->g, s.val)->shape;
    Index at[MAX_RANK];
    uint32_t value = 0, buf;
    if (in->place == PLACE_INLINE && !in->checked)
        return;
    bool fits = open_fits(r, shape);
    if (fits)
        inner_at(r, &r->e.k->stages.at[r->open - 1], shape, at);
    if (!fits || !try_value(r, s.val, true, at, &value)) {
        open_map(r, shape);
        inner_at(r, &r->e.k->stages.at[r->open - 1], shape, at);
        bool done = try_value(r, s.val, true, at, &value);
        GR_ASSERT(done);
    }
    if (in->checked)
        emit_check(&r->e, value);
    if (in->small)
        emit_small(&r->e, value);
    if (in->place == PLACE_INLINE)
        return;
    Index to = place_in(r, s, at, &buf);
    emit_store(&r->e, buf, to, value);
    r->done[s.val.i] = 2;
}

/* The axes of a reduction stage: kept ones behind the head, then the reduced ones in their order. */
static void reduce_axes(Rows *r, Stage *s, Val v, Index *at) {
    const Node *n = node_of(r->p->g, v);
    Shape x = node_of(r->p->g, operand(r->p->g, v, 0))->shape;
    memcpy(at, r->head_at, sizeof(Index) * r->e.head);
    for (uint32_t i = r->e.head; i < n->shape.rank; i++) {
        at[i] = add_axis(r->e.k, s, x.dim[i]);
        s->n_keep++;
    }
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) {
        uint32_t axis = n->attr.reduce.at[i];
        bool needed = x.dim[axis] != 1 || n->attr.reduce.n == 1;
        at[axis] = needed ? add_axis(r->e.k, s, x.dim[axis]) : index_const(0);
    }
}

static bool in_order(const Node *n) {
    for (uint32_t i = 1; i < n->attr.reduce.n; i++) {
        if (n->attr.reduce.at[i] < n->attr.reduce.at[i - 1])
            return false;
    }
    return true;
}

/* A result in a register that others want in memory, or checked: a stage without axes. */
static void put_registers(Rows *r, Val v) {
    bool store = r->p->info[v.i].outer;
    const Node *n = node_of(r->p->g, v);
    Shape shape = n->shape;
    if (!open_fits(r, shape))
        open_map(r, shape);
    for (uint32_t m = 0; m < reduce_members(n); m++) {
        uint32_t value = emit_inst(&r->e, (KInst){.kop = K_REG,
                                                  .type = (uint8_t)wide_of((DType)n->dtype),
                                                  .imm.i = r->reg[v.i] - 1 + m,
                                                  .node = v.i});
        if (r->p->info[v.i].checked)
            emit_check(&r->e, value);
        if (store)
            emit_store(&r->e, kernel_buffer(&r->e, cell_of_value(r->p, v, m), true),
                       index_linear(&r->e, shape, r->head_at), value);
    }
}

static void reduce_member(Rows *r, Sink sink) {
    const Node *n = node_of(r->p->g, sink.val);
    Val x = operand(r->p->g, sink.val, 0);
    Shape shape = node_of(r->p->g, x)->shape;
    Kernel *k = r->e.k;
    Index at[MAX_RANK];
    uint32_t value = 0;
    bool registers = r->p->info[sink.val.i].place == PLACE_REG;
    bool takes_over = registers && in_order(n) && open_fits(r, shape) && k->stages.at[r->open - 1].n_axes > 0;
    if (takes_over) {
        inner_at(r, &k->stages.at[r->open - 1], shape, at);
        takes_over = try_value(r, x, false, at, &value);
    }
    if (!takes_over) {
        close_stage(r);
        reduce_axes(r, kernel_stage(k, STAGE_REDUCE), sink.val, at);
        r->open = k->stages.n;
        bool done = try_value(r, x, false, at, &value);
        GR_ASSERT(done);
    }
    Index out[2] = {index_const(0), index_const(0)};
    uint32_t buf[2] = {0, 0};
    for (uint32_t m = 0; !registers && m < reduce_members(n); m++) {
        out[m] = place_in(r, (Sink){.val = sink.val, .cell = sink.cell + m}, at, &buf[m]);
    }
    Stage *s = &k->stages.at[r->open - 1];
    s->kind = STAGE_REDUCE;
    s->reduce = n->attr.reduce.kind;
    s->yield[0] = value;
    if (registers) {
        s->reg = k->n_regs;
        r->reg[sink.val.i] = k->n_regs + 1;
        k->n_regs += reduce_members(n);
    }
    for (uint32_t m = 0; !registers && m < reduce_members(n); m++) {
        s->out[m] = 1 + emit_access(&r->e, buf[m], out[m]);
    }
    close_stage(r);
    r->done[sink.val.i] = 1;
    if (registers && (r->p->info[sink.val.i].outer || r->p->info[sink.val.i].checked))
        vec_push(k->arena, &r->kept, sink.val);
}

/* A sum over the head: each (chunk, lane) adds its rows into a row of partial sums, which another kernel
 * folds. */
static uint32_t accum_member(Rows *r, Sink sink) {
    const Node *n = node_of(r->p->g, sink.val);
    Val x = operand(r->p->g, sink.val, 0);
    Shape shape = node_of(r->p->g, x)->shape;
    Kernel *k = r->e.k;
    Index at[MAX_RANK];
    uint32_t value = 0;
    bool fits = open_fits(r, shape);
    if (fits)
        inner_at(r, &k->stages.at[r->open - 1], shape, at);
    if (!fits || !try_value(r, x, false, at, &value)) {
        open_map(r, shape);
        inner_at(r, &k->stages.at[r->open - 1], shape, at);
        bool done = try_value(r, x, false, at, &value);
        GR_ASSERT(done);
    }
    int64_t inner = shape_count(n->shape), count = inner * LANES * ((shape.dim[0] + CHUNK - 1) / CHUNK);
    uint32_t cell = cell_packed(r->p, str_format(r->p->arena, "partial%u", sink.val.i), wide_of((DType)n->dtype), count,
                                sink.val);
    Index out = index_add(&r->e, index_linear(&r->e, n->shape, at + 1), index_scale(r->head_at[0], inner));
    Stage *s = &k->stages.at[r->open - 1];
    s->kind = STAGE_ACCUM;
    s->reduce = n->attr.reduce.kind;
    s->yield[0] = value;
    s->out[0] = 1 + emit_access(&r->e, kernel_buffer(&r->e, cell, true), out);
    close_stage(r);
    return cell;
}

void lower_fold(Planner *p, uint32_t group, Sink sink, uint32_t partial) {
    enum { FOLD_BLOCK = 256 };
    const Node *n = node_of(p->g, sink.val);
    Unit *u = unit_of_group(p, group, "fold");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    int64_t count = shape_count(n->shape);
    uint32_t block = kernel_axis(k, "b", (count + FOLD_BLOCK - 1) / FOLD_BLOCK);
    uint32_t inner = kernel_axis(k, "k", FOLD_BLOCK);
    k->n_head = 1;
    k->axes.at[inner].clip_by = (int32_t)block;
    k->axes.at[inner].clip_total = count;
    Index at = index_axis(inner);
    at.coef[block] = FOLD_BLOCK;
    emit_stage(&e);
    Stage *s = kernel_stage(k, STAGE_FOLD);
    s->axis[0] = (uint8_t)inner, s->n_axes = s->n_keep = 1, s->vec = 0;
    s->reduce = n->attr.reduce.kind;
    s->fold_chunks = (reduce_row(p->g, sink.val) + CHUNK - 1) / CHUNK;
    uint32_t to = kernel_buffer(&e, sink.cell, true), from = kernel_buffer(&e, partial, false);
    s->out[0] = 1 + emit_access(&e, to, at);
    s->out[1] = 1 + emit_access(&e, from, at);
    if (p->info[sink.val.i].checked) {
        Stage *check = kernel_stage(k, STAGE_MAP);
        check->axis[check->n_axes++] = (uint8_t)inner;
        kernel_buffer(&e, sink.cell, false);
        emit_check(&e, emit_load(&e, to, at, 0, sink.val.i));
        k->stages.at[1].n = k->insts.n - e.first;
    }
    u->nodes = 1;
    unit_finish(&e);
}

/* The values of a reduction that went to memory, looked at again. */
static void check_cell(Rows *r, Val v) {
    Shape shape = node_of(r->p->g, v)->shape;
    Index at[MAX_RANK];
    open_map(r, shape);
    inner_at(r, &r->e.k->stages.at[r->open - 1], shape, at);
    emit_check(&r->e, emit_value(&r->e, v, at, 0));
}

void lower_rows(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Unit *u = unit_of_group(p, group, "rows");
    Rows r = {.e = emit_begin(p, u->kernel, u),
              .p = p,
              .done = PUSH(p->entry->trial, uint8_t, p->g->nodes.n),
              .scratch = PUSH(p->entry->trial, uint32_t, p->g->nodes.n),
              .reg = PUSH(p->entry->trial, uint32_t, p->g->nodes.n)};
    r.e.group = group + 1, r.e.head = g->head, r.e.head_at = r.head_at;
    r.e.done = r.done, r.e.scratch = r.scratch, r.e.reg = r.reg;
    for (uint32_t i = 0; i < g->head; i++) {
        r.head_at[i] = g->domain.dim[i] == 1 ? index_const(0)
                                             : index_axis(kernel_axis(u->kernel, "n", g->domain.dim[i]));
    }
    u->kernel->n_head = u->kernel->axes.n;
    u->kernel->lanes = g->lanes;
    uint32_t *partial = PUSH(p->arena, uint32_t, g->sinks.n + 1);
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        Sink s = g->sinks.at[i];
        if (g->lanes && reduce_sums_head(p->g, s.val)) {
            partial[i] = accum_member(&r, s);
            continue;
        }
        if (node_of(p->g, s.val)->op == OP_reduce)
            reduce_member(&r, s);
        else
            map_member(&r, s);
        const Info *in = &p->info[s.val.i];
        if (in->checked && node_of(p->g, s.val)->op == OP_reduce && in->place != PLACE_REG)
            check_cell(&r, s.val);
    }
    for (uint32_t i = 0; i < r.kept.n; i++) { /* last, so that reductions follow each other (kernel/sweep.c) */
        put_registers(&r, r.kept.at[i]);
    }
    close_stage(&r);
    unit_finish(&r.e);
    for (uint32_t i = 0; i < g->sinks.n; i++) {
        if (partial[i] != 0)
            lower_fold(p, group, g->sinks.at[i], partial[i]);
    }
}

/* ---- scatter_add: zero, then one update after the other, in the order of the positions ---- */
void lower_scatter(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val, updates = operand(p->g, v, 0), index = operand(p->g, v, 1);
    const Node *n = node_of(p->g, v);
    Shape us = node_of(p->g, updates)->shape, is = node_of(p->g, index)->shape;
    uint32_t batch = n->attr.gather.batch;
    Unit *u = unit_of_group(p, group, "scatter");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index to[MAX_RANK], from[MAX_RANK];
    for (uint32_t i = 0; i < batch; i++) {
        to[i] = from[i] = index_axis(kernel_axis(k, "n", us.dim[i]));
    }
    k->n_head = k->axes.n;
    Stage *zero = kernel_stage(k, STAGE_MAP);
    for (uint32_t i = batch; i < n->shape.rank; i++) {
        to[i] = add_axis(k, zero, n->shape.dim[i]);
    }
    emit_stage(&e);
    uint32_t buf = kernel_buffer(&e, g->sinks.at[0].cell, true);
    k->bufs.at[buf].role = KBUF_INOUT;
    DType t = wide_of((DType)n->dtype);
    emit_store(&e, buf, index_linear(&e, n->shape, to),
               emit_inst(&e, (KInst){.kop = K_SCALAR, .op = S_const, .type = (uint8_t)t}));
    zero->n = k->insts.n;
    Stage *add = kernel_stage(k, STAGE_MAP);
    for (uint32_t i = batch; i < us.rank; i++) {
        from[i] = add_axis(k, add, us.dim[i]);
        if (i >= is.rank)
            to[batch + 1 + i - is.rank] = from[i];
    }
    emit_stage(&e);
    uint32_t j = emit_value(&e, index, from, 0);
    emit_scatter_index(&e, j, n->shape.dim[batch], &to[batch]);
    uint32_t value = emit_value(&e, updates, from, 0);
    Index place = index_linear(&e, n->shape, to);
    uint32_t old = emit_load(&e, buf, place, 0, v.i);
    emit_store(&e, buf, place, emit_scalar(&e, S_add, t, old, value, 0));
    k->stages.at[1].n = k->insts.n - e.first;
    if (p->info[v.i].checked) {
        Stage *check = kernel_stage(k, STAGE_MAP);
        *check = (Stage){.kind = STAGE_MAP,
                         .first = k->insts.n,
                         .n_axes = k->stages.at[0].n_axes,
                         .vec = -1,
                         .transpose = -1};
        memcpy(check->axis, k->stages.at[0].axis, sizeof check->axis);
        emit_stage(&e);
        Index all[MAX_RANK];
        memcpy(all, to, sizeof(Index) * batch);
        for (uint32_t i = batch; i < n->shape.rank; i++) {
            all[i] = index_axis(check->axis[i - batch]);
        }
        emit_check(&e, emit_load(&e, buf, index_linear(&e, n->shape, all), 0, v.i));
        check->n = k->insts.n - e.first;
    }
    unit_finish(&e);
}

/* ---- trial: does the expression of v fit into the group, with `head` leading axes as its head? ---- */
bool rows_fit(Planner *p, uint32_t group, Val v, uint32_t head, RefusalKind *why) {
    ArenaMark mark = arena_mark(p->entry->trial);
    Unit u = {0};
    Kernel *k = kernel_create(p->entry->trial, STR("trial"));
    Emit e = emit_begin(p, k, &u);
    const Node *n = node_of(p->g, v);
    Val x = n->op == OP_reduce ? operand(p->g, v, 0) : v;
    Shape shape = node_of(p->g, x)->shape;
    Index at[MAX_RANK];
    for (uint32_t i = 0; i < shape.rank; i++) {
        at[i] = shape.dim[i] == 1 ? index_const(0) : index_axis(kernel_axis(k, "i", shape.dim[i]));
    }
    e.group = group + 1, e.head = head, e.head_at = at;
    emit_stage(&e);
    if (n->op == OP_reduce)
        emit_value(&e, x, at, 0);
    else
        emit_root(&e, v, at);
    arena_pop(mark);
    *why = e.bad ? REFUSAL_ORDER : *why;
    return !e.bad;
}
