/* The reference interpreter: what a graph means.  Nodes are computed one after the other, each into memory
 * of its own, by the functions of eval.h; a tensor is freed with its last use, so a step holds what a plan
 * would hold.  Values that only rename another (reshape, result, grad_as) share its memory.  Commits are
 * kept until the end and written when the step is healthy. */
#include "ir_parts.h"
#include "eval.h"
#include "native.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A tensor that may be shared.  `refs` NULL: it is somebody else's memory (a variable, a column, a slice of
 * a sequence). */
typedef struct { Tensor t; uint32_t *refs; } Cell;
typedef struct { Cell *cell; uint32_t n, uses; } Value;          /* of a node: one cell, a tuple has several */

enum { HEADER_BYTES = 64 };                       /* the count stands before the elements, which stay aligned */

DType eval_dtype(const Eval *ev, DType t) { return ev->run->f64 && dtype_is_float(t) ? DT_F64 : t; }

static size_t bytes_of(const Tensor *t) { return (size_t)shape_count(t->shape) * dtype_bytes(t->dtype); }

static GrStatus cell_new(Eval *ev, DType t, Shape s, Cell *out) {
    Tensor made = {eval_dtype(ev, t), s, NULL};
    size_t bytes = HEADER_BYTES + (bytes_of(&made) + 63) / 64 * 64;
    char *memory = aligned_alloc(64, bytes);
    if (memory == NULL) {
        return fail(ev->error, GR_NOMEM, "the interpreter needs %zu more bytes for one value", bytes);
    }
    made.data = memory + HEADER_BYTES;
    *out = (Cell){made, (uint32_t *)(void *)memory};
    *out->refs = 1;
    return GR_OK;
}

static Cell cell_share(Cell c) {
    if (c.refs != NULL) {
        ++*c.refs;
    }
    return c;
}

static void cell_drop(Cell *c) {
    if (c->refs != NULL && --*c->refs == 0) {
        free(c->refs);
    }
    *c = (Cell){0};
}

/* A cell with memory of its own, converted to how tensors of type t are held. */
static GrStatus cell_copy(Eval *ev, const Tensor *from, DType t, Cell *out) {
    TRY(cell_new(ev, t, from->shape, out));
    eval_cast(from, &out->t);
    return GR_OK;
}

/* ---- one graph ---- */
/* turn: of the scan whose body it is; TOP: of none */
typedef struct { Eval *ev; const Graph *g; const Cell *inputs; Value *values; int64_t turn; } Frame;
enum { TOP = -1 };

static GrStatus run_graph(Eval *ev, const Graph *g, const Cell *inputs, int64_t turn, Cell *results);

static const Cell *operand_cell(const Frame *f, const Node *n, uint32_t k) {
    return f->values[f->g->operands.at[n->first + k].i].cell;
}

static GrStatus eval_arg(const Frame *f, const Node *n, Cell *out) {
    uint32_t id = n->attr.arg.id;
    Eval *ev = f->ev;
    switch (n->attr.arg.kind) {
    case ARG_UNIFORM: {
        Tensor t = {(DType)n->dtype, {0}, (void *)(uintptr_t)&ev->run->uniforms[id]};
        return cell_copy(ev, &t, t.dtype, out);
    }
    case ARG_BODY:
        if (f->inputs == NULL) {
            return fail(ev->error, GR_PROGRAM, "a graph with body inputs runs only inside a scan");
        }
        *out = cell_share(f->inputs[id]);
        return GR_OK;
    case ARG_VAR: case ARG_COLUMN: break;
    }
    const Tensor *given = n->attr.arg.kind == ARG_VAR ? &ev->run->vars[id] : &ev->run->columns[id];
    if (given->data == NULL || !shape_eq(given->shape, n->shape)) {
        return fail(ev->error, GR_DATA, "no tensor of the declared shape was given for %s %u",
                    n->attr.arg.kind == ARG_VAR ? "variable" : "column", id);
    }
    if (given->dtype != eval_dtype(ev, (DType)n->dtype)) {       /* f32 given to the f64 mode */
        return cell_copy(ev, given, (DType)n->dtype, out);
    }
    *out = (Cell){*given, NULL};
    return GR_OK;
}

static GrStatus eval_const(Eval *ev, const Node *n, Cell *out) {
    bool real = dtype_is_float((DType)n->dtype);
    Tensor t = {real ? DT_F64 : DT_I64, {0}, (void *)(uintptr_t)&n->attr.constant};
    return cell_copy(ev, &t, (DType)n->dtype, out);
}

/* A float is finite, a bool says that an index is inside. */
static void eval_check(Eval *ev, const Tensor *t) {
    int64_t n = shape_count(t->shape);
    if (t->dtype == DT_BOOL) {
        ev->run->health |= n > 0 && memchr(t->data, 0, (size_t)n) != NULL ? HEALTH_INDEX : 0;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double x = t->dtype == DT_F32 ? ((const float *)t->data)[i] : t->dtype == DT_F64 ? ((const double *)t->data)[i]
                 : t->dtype == DT_BF16 ? f32_of_bf16(((const uint16_t *)t->data)[i])
                                       : f32_of_f16(((const uint16_t *)t->data)[i]);
        if (!isfinite(x)) {
            ev->run->health |= HEALTH_NONFINITE;
            return;
        }
    }
}

/* ---- scan ---- */
/* Step t: carries, element t of every sequence, constants. */
static void body_inputs(const Frame *f, const Node *n, const Cell *carries, int64_t t, Cell *inputs) {
    const Scan *s = n->attr.scan;
    for (uint32_t k = 0; k < n->n; k++) {
        const Cell *c = operand_cell(f, n, k);
        inputs[k] = k < s->n_carries ? carries[k] : (Cell){c->t, NULL};
        if (k >= s->n_carries && k < s->n_carries + s->n_sequences) {
            Tensor *step = &inputs[k].t;
            step->shape = shape_of(c->t.shape.rank - 1u, c->t.shape.dim + 1);
            step->data = (char *)c->t.data + (size_t)t * bytes_of(step);
        }
    }
}

static GrStatus scan_steps(const Frame *f, const Node *n, Cell *carries, Cell *inputs, Cell *results,
                           Cell *collected) {
    const Scan *s = n->attr.scan;
    for (int64_t step = 0; step < s->length; step++) {
        int64_t t = s->reverse ? s->length - 1 - step : step;
        body_inputs(f, n, carries, t, inputs);
        TRY(run_graph(f->ev, s->body, inputs, t, results));
        for (uint32_t k = 0; k < s->n_carries; k++) {
            cell_drop(&carries[k]);
            carries[k] = results[k];
        }
        for (uint32_t k = 0; k < s->n_collected; k++) {
            Cell *r = &results[s->n_carries + k];
            memcpy((char *)collected[k].t.data + (size_t)t * bytes_of(&r->t), r->t.data, bytes_of(&r->t));
            cell_drop(r);
        }
    }
    return GR_OK;
}

static GrStatus eval_scan(const Frame *f, const Node *n, Cell *out) {
    const Scan *s = n->attr.scan;
    uint32_t members = s->n_carries + s->n_collected;
    Cell *lists = calloc((size_t)n->n + members, sizeof *lists);
    if (lists == NULL) {
        return fail(f->ev->error, GR_NOMEM, "no memory for a scan");
    }
    for (uint32_t k = 0; k < s->n_carries; k++) {
        out[k] = cell_share(*operand_cell(f, n, k));
    }
    GrStatus status = GR_OK;
    for (uint32_t k = s->n_carries; k < members && status == GR_OK; k++) {
        const Node *r = node_of(s->body, s->body->outputs.at[k].val);
        Shape stacked = {.rank = r->shape.rank + 1u, .dim = {s->length}};
        memcpy(stacked.dim + 1, r->shape.dim, sizeof(int64_t) * r->shape.rank);
        status = cell_new(f->ev, (DType)r->dtype, stacked, &out[k]);
    }
    if (status == GR_OK) {
        status = scan_steps(f, n, out, lists, lists + n->n, out + s->n_carries);
    }
    for (uint32_t k = 0; k < s->n_carries && status == GR_OK; k++) {
        if (out[k].refs == NULL) {                /* it may lie inside an operand, which goes before it */
            Tensor borrowed = out[k].t;
            status = cell_copy(f->ev, &borrowed, borrowed.dtype, &out[k]);
        }
    }
    free(lists);
    return status;
}

/* ---- functions of the user ---- */
static NativePart part_of(const Extern *x, DType t, Shape s) {
    return (NativePart){t, shape_count(shape_of(s.rank - x->batch, s.dim + x->batch))};
}

/* In f64 mode floats are converted, on the way in and out: the function has one type. */
static GrStatus eval_extern(const Frame *f, const Node *n, Cell *out) {
    Eval *ev = f->ev;
    const Extern *x = n->attr.external;
    ArenaMark mark = arena_mark(ev->scratch);
    uint32_t n_parts = n->n + x->n_results;
    NativePart *parts = PUSH(ev->scratch, NativePart, n_parts);
    Tensor *own = PUSH(ev->scratch, Tensor, n_parts);
    void **data = PUSH(ev->scratch, void *, n_parts);
    for (uint32_t k = 0; k < n_parts; k++) {
        const Node *in = k < n->n ? node_of(f->g, f->g->operands.at[n->first + k]) : NULL;
        Type t = in ? (Type){(DType)in->dtype, in->shape} : x->results[k - n->n];
        parts[k] = part_of(x, t.dtype, t.shape);
        if (in == NULL) {
            TRY(cell_new(ev, t.dtype, t.shape, &out[k - n->n]));
        }
        Tensor held = in ? operand_cell(f, n, k)->t : out[k - n->n].t;
        own[k] = held;
        if (held.dtype != t.dtype) {
            own[k] = (Tensor){t.dtype, t.shape, NULL};
            own[k].data = arena_push(ev->scratch, bytes_of(&own[k]) + 1, 64);
        }
        if (in && held.dtype != t.dtype) {
            eval_cast(&held, &own[k]);
        }
        data[k] = own[k].data;
    }
    NativeCall call = {x->library, x->symbol, shape_count(shape_of(x->batch, n->shape.dim)), n->n, n_parts,
                       x->n_extents, parts, x->extents};
    Native *native;
    TRY(native_open(ev->scratch, &call, &native, ev->error));
    native_run(native, data);
    for (uint32_t k = 0; k < x->n_results; k++) {
        if (out[k].t.dtype != own[n->n + k].dtype) {
            eval_cast(&own[n->n + k], &out[k].t);
        }
    }
    arena_pop(mark);
    return GR_OK;
}

/* ---- nodes ---- */
static uint32_t members_of(const Node *n) { return node_is_tuple(n) ? tuple_members(n) : 1; }

/* Ops that compute into new memory. */
static GrStatus compute(const Frame *f, const Node *n, Cell *out) {
    Eval *ev = f->ev;
    ArenaMark mark = arena_mark(ev->scratch);
    Tensor *in = PUSH(ev->scratch, Tensor, n->n + 1), *to = PUSH(ev->scratch, Tensor, members_of(n));
    for (uint32_t k = 0; k < n->n; k++) {
        in[k] = operand_cell(f, n, k)->t;
    }
    for (uint32_t k = 0; k < members_of(n); k++) {
        TRY(cell_new(ev, (DType)n->dtype, n->shape, &out[k]));
        to[k] = out[k].t;
    }
    switch (op_class((Op)n->op)) {
    case CLASS_ELT:
        n->op == OP_cast ? eval_cast(in, to) : eval_elt(ev, n, in, to);
        break;
    case CLASS_VIEW:
        eval_view(ev, n, in, to);
        break;
    case CLASS_LEAF:
        n->op == OP_iota ? eval_iota(n, to) : eval_random(ev, n, in, to);
        break;
    case CLASS_SUM:
        if (n->op == OP_reduce) {
            eval_reduce(ev, n, in, to);
        } else if (n->op == OP_contract) {
            eval_contract(ev, n, in, to);
        } else {
            eval_scatter_add(n, in, to);
        }
        break;
    case CLASS_ORDER:
        eval_order(ev, n, in, to);
        break;
    case CLASS_CONTROL: case CLASS_EFFECT:
        GR_BUG("%s computes nothing", op_name((Op)n->op));
    }
    arena_pop(mark);
    return GR_OK;
}

static GrStatus eval_node(const Frame *f, const Node *n, Cell *out) {
    switch ((int)n->op) {
    case OP_arg:     return eval_arg(f, n, out);
    case OP_const:   return eval_const(f->ev, n, out);
    case OP_scan:    return eval_scan(f, n, out);
    case OP_extern:  return eval_extern(f, n, out);
    case OP_grad:
        return fail(f->ev->error, GR_PROGRAM, "a graph with `grad` has no value yet: differentiate it first");
    case OP_check:
        eval_check(f->ev, &operand_cell(f, n, 0)->t);
        return GR_OK;
    case OP_commit: {                             /* a copy of what lies in a variable: another commit may write it */
        const Cell *c = operand_cell(f, n, 0);
        if (c->refs == NULL) {
            return cell_copy(f->ev, &c->t, (DType)n->dtype, out);
        }
        *out = cell_share(*c);
        return GR_OK;
    }
    case OP_result:  *out = cell_share(operand_cell(f, n, 0)[n->attr.index]); return GR_OK;
    case OP_reshape: case OP_after: case OP_grad_as:
        *out = cell_share(*operand_cell(f, n, 0));
        out->t.shape = n->shape;
        return GR_OK;
    }
    return compute(f, n, out);
}

static bool is_watched(const Frame *f) {
    return f->turn == TOP ? f->ev->run->seen != NULL : f->ev->run->inside != NULL;
}

static void show(const Frame *f, uint32_t i, const Tensor *t) {
    const EvalRun *run = f->ev->run;
    if (f->turn == TOP) {
        run->seen(run->user, (Val){i}, t);
    } else {
        run->inside(run->user, f->g, f->turn, (Val){i}, t);
    }
}

/* How often each value is asked for; 0: never, then it is not computed. */
static void count_uses(const Frame *f) {
    const Graph *g = f->g;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        f->values[g->outputs.at[i].val.i].uses++;
    }
    for (uint32_t i = 0; i < g->effects.n; i++) {
        f->values[g->effects.at[i].i].uses++;
    }
    bool all = is_watched(f);
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        const Node *n = &g->nodes.at[i];
        f->values[i].uses += all;
        for (uint32_t k = 0; k < n->n && f->values[i].uses > 0; k++) {
            f->values[g->operands.at[n->first + k].i].uses++;
        }
    }
}

static void use_done(Value *v) {
    if (--v->uses == 0) {
        for (uint32_t k = 0; k < v->n; k++) {
            cell_drop(&v->cell[k]);
        }
    }
}

static GrStatus run_nodes(const Frame *f) {
    for (uint32_t i = 1; i < f->g->nodes.n; i++) {
        const Node *n = &f->g->nodes.at[i];
        Value *v = &f->values[i];
        if (v->uses == 0) {
            continue;
        }
        v->n = members_of(n);
        v->cell = calloc(v->n, sizeof *v->cell);
        if (v->cell == NULL) {
            return fail(f->ev->error, GR_NOMEM, "no memory for a value");
        }
        TRY(eval_node(f, n, v->cell));
        for (uint32_t k = 0; k < n->n; k++) {
            use_done(&f->values[f->g->operands.at[n->first + k].i]);
        }
        if (is_watched(f)) {
            if (n->op != OP_check) {
                show(f, i, &v->cell[0].t);
            }
            use_done(v);
        }
    }
    return GR_OK;
}

static void write_commits(const Frame *f) {
    for (uint32_t i = 0; i < f->g->effects.n && f->ev->run->health == 0; i++) {
        const Node *n = node_of(f->g, f->g->effects.at[i]);
        if (n->op == OP_commit) {
            eval_cast(&f->values[f->g->effects.at[i].i].cell->t, &f->ev->run->vars[n->attr.commit.var]);
        }
    }
}

static void release(const Frame *f) {
    for (uint32_t i = 1; i < f->g->nodes.n; i++) {
        for (uint32_t k = 0; k < f->values[i].n && f->values[i].cell != NULL; k++) {
            cell_drop(&f->values[i].cell[k]);
        }
        free(f->values[i].cell);
    }
    free(f->values);
}

static GrStatus run_graph(Eval *ev, const Graph *g, const Cell *inputs, int64_t turn, Cell *results) {
    Frame f = {ev, g, inputs, calloc(g->nodes.n, sizeof(Value)), turn};
    if (f.values == NULL) {
        return fail(ev->error, GR_NOMEM, "no memory for the values of a graph");
    }
    count_uses(&f);
    GrStatus status = run_nodes(&f);
    for (uint32_t i = 0; i < g->outputs.n && status == GR_OK; i++) {
        results[i] = cell_share(*f.values[g->outputs.at[i].val.i].cell);
    }
    if (status == GR_OK && turn == TOP) {
        write_commits(&f);
    }
    release(&f);
    return status;
}

GrStatus graph_eval(Arena *a, EvalRun *run, Tensor *outputs, Error *e) {
    const Graph *g = run->graph;
    Eval ev = {run, g->module->math, arena_create(), e};
    run->health = 0;
    uint32_t mode = float_mode_enter();
    Cell *results = PUSH(a, Cell, g->outputs.n);
    GrStatus status = run_graph(&ev, g, NULL, TOP, results);
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        if (status == GR_OK) {
            outputs[i] = results[i].t;
            outputs[i].data = arena_push(a, bytes_of(&results[i].t), 64);
            memcpy(outputs[i].data, results[i].t.data, bytes_of(&results[i].t));
        }
        cell_drop(&results[i]);
    }
    float_mode_restore(mode);
    arena_destroy(ev.scratch);
    return status;
}
