/* Operations along the last axis: cumulative ones and recurrences, and argsort.  The axes before it are the head, so
 * rows go to threads and each row is one sequence of stages.
 *
 * A chain copies its operand with vectors and then runs over the copy in place, one element after the other.
 *
 * Argsort merges runs of 1, 2, 4 .. elements.  A merge is a map over the merged places: place d of two runs A and B
 * takes from A or from B, and how many of the d elements before it come from A is found by bisection (the "merge path":
 * A[t-1] stands before B[d-t] for t up to that number and no further).  So a level reads one scratch array and
 * writes another, every place is independent, and it has as many steps as the run length has bits.  Keys are
 * integers that order as the numbers do; an element of A goes before an equal one of B, which is what keeps equal
 * ones as they stand. */
#include "fuse_parts.h"
#include <string.h>

typedef struct {
    Planner *p;
    Val v;
    Emit e;
    Index at[MAX_RANK];      /* the head */
    uint32_t cell, last;     /* of the result; its last axis */
    int64_t length;
} Order;

static void begin_stage(Order *o) {
    kernel_stage(o->e.k, STAGE_MAP);
    emit_stage(&o->e);
}

static void end_stage(Order *o) {
    Kernel *k = o->e.k;
    k->stages.at[k->stages.n - 1].n = k->insts.n - o->e.first;
}

/* The open stage runs along `axis`, or not at all when it has one point. */
static Index along(Order *o, uint32_t axis) {
    Kernel *k = o->e.k;
    Stage *s = &k->stages.at[k->stages.n - 1];
    s->axis[s->n_axes++] = (uint8_t)axis;
    return k->axes.at[axis].extent == 1 ? index_const(0) : index_axis(axis);
}

static Index place(Order *o, Index i) {
    o->at[o->last] = i;
    return index_linear(&o->e, node_of(o->p->g, o->v)->shape, o->at);
}

/* ---- chains ---- */
static uint32_t next_of(Order *o, uint32_t old, uint32_t x, const Index *at) {
    const Node *n = node_of(o->p->g, o->v);
    DType t = (DType)n->dtype;
    if (n->op == OP_recur) {
        uint32_t factor = emit_value(&o->e, operand(o->p->g, o->v, 0), at, 0);
        return emit_scalar(&o->e, S_add, t, emit_scalar(&o->e, S_mul, t, factor, old, 0), x, 0);
    }
    ReduceKind k = n->attr.cumulative;
    SOp op = k == REDUCE_SUM ? S_add : k == REDUCE_PROD ? S_mul : k == REDUCE_MAX ? S_max : S_min;
    return emit_scalar(&o->e, op, t, old, x, 0);
}

static void lower_chain(Order *o) {
    Emit *e = &o->e;
    uint32_t all = kernel_axis(e->k, "k", o->length);
    begin_stage(o);
    Index i = along(o, all), to = place(o, i);
    uint32_t x = emit_value(e, operand(o->p->g, o->v, node_of(o->p->g, o->v)->n - 1), o->at, 0);
    uint32_t buf = kernel_buffer(e, o->cell, true);
    emit_store(e, buf, to, x);
    end_stage(o);
    if (o->length > 1) {
        e->k->bufs.at[buf].role = KBUF_INOUT;
        uint32_t rest = kernel_axis(e->k, "k", o->length - 1);
        begin_stage(o);
        i = along(o, rest);
        uint32_t old = emit_load(e, buf, place(o, i), 0, o->v.i);
        i.base += 1;
        to = place(o, i);
        emit_store(e, buf, to, next_of(o, old, emit_load(e, buf, to, 0, o->v.i), o->at));
        end_stage(o);
    }
    if (o->p->info[o->v.i].checked) {
        e->k->bufs.at[buf].role = KBUF_INOUT;
        begin_stage(o);
        emit_check(e, emit_load(e, buf, place(o, along(o, all)), 0, o->v.i));
        end_stage(o);
    }
}

/* ---- argsort ---- */
static uint32_t constant(Emit *e, DType t, int64_t x) {
    return emit_inst(e, (KInst){.kop = K_SCALAR, .op = S_const, .type = (uint8_t)t, .imm.i = x});
}

static uint32_t i32_op(Emit *e, SOp op, uint32_t a, uint32_t b) { return emit_scalar(e, op, DT_I32, a, b, 0); }
static uint32_t truth(Emit *e, SOp op, uint32_t a, uint32_t b) { return emit_scalar(e, op, DT_BOOL, a, b, 0); }

static DType key_type(DType t) { return t == DT_F64 || t == DT_I64 ? DT_I64 : DT_I32; }

/* As in eval_order.c: the bits, those of negative numbers turned round, NaN last. */
static uint32_t key_of(Emit *e, uint32_t x, DType t) {
    if (!dtype_is_float(t)) return x;
    DType whole = key_type(t);
    int64_t least = whole == DT_I64 ? INT64_MIN : INT32_MIN, most = whole == DT_I64 ? INT64_MAX : INT32_MAX;
    uint32_t bits = emit_scalar(e, S_bitcast, whole, x, 0, 0);
    uint32_t negative = truth(e, S_lt, bits, constant(e, whole, 0));
    uint32_t turned = emit_scalar(e, S_sub, whole, constant(e, whole, least), bits, 0);
    uint32_t key = emit_scalar(e, S_select, whole, negative, turned, bits);
    return emit_scalar(e, S_select, whole, truth(e, S_isnan, x, 0), constant(e, whole, most), key);
}

typedef struct { uint32_t key[2], at[2]; } Runs;      /* scratch, read and written by turns */

/* Element `i` of a scratch row; beyond its ends some element of it. */
static uint32_t pick(Order *o, uint32_t buf, uint32_t i) {
    Emit *e = &o->e;
    uint32_t inside = i32_op(e, S_min, i32_op(e, S_max, i, emit_i32(e, 0)), emit_i32(e, o->length - 1));
    return emit_load(e, buf, index_of_value(inside, 0, o->length - 1), 0, o->v.i);
}

/* One place of a merge: where the two runs begin, how long they are, and the place counted from their beginning. */
typedef struct { uint32_t a, b, n_a, n_b, d; } Merge;

static Merge merge_at(Order *o, uint32_t i, int64_t width) {
    Emit *e = &o->e;
    Merge m;
    m.d = i32_op(e, S_and, i, emit_i32(e, 2 * width - 1));
    m.a = i32_op(e, S_sub, i, m.d);
    m.b = i32_op(e, S_add, m.a, emit_i32(e, width));
    uint32_t left = i32_op(e, S_sub, emit_i32(e, o->length), m.b), w = emit_i32(e, width);
    m.n_b = i32_op(e, S_min, i32_op(e, S_max, left, emit_i32(e, 0)), w);
    m.n_a = i32_op(e, S_min, i32_op(e, S_sub, emit_i32(e, o->length), m.a), w);
    return m;
}

/* Does A[x] stand before B[y]?  A run that is at its end is behind everything. */
static uint32_t goes_first(Order *o, const Merge *m, uint32_t keys, uint32_t x, uint32_t y) {
    Emit *e = &o->e;
    uint32_t a = pick(o, keys, i32_op(e, S_add, m->a, x)), b = pick(o, keys, i32_op(e, S_add, m->b, y));
    uint32_t no_b = truth(e, S_le, m->n_b, y);
    return truth(e, S_or, no_b, truth(e, S_le, a, b));
}

static uint32_t source_of(Order *o, const Merge *m, uint32_t keys, int64_t width) {
    Emit *e = &o->e;
    uint32_t taken = emit_i32(e, 0), most = i32_op(e, S_min, m->d, m->n_a);
    for (int64_t step = width; step > 0; step /= 2) {
        uint32_t t = i32_op(e, S_add, taken, emit_i32(e, step));
        uint32_t before = goes_first(o, m, keys, i32_op(e, S_sub, t, emit_i32(e, 1)), i32_op(e, S_sub, m->d, t));
        uint32_t more = truth(e, S_and, truth(e, S_le, t, most), before);
        taken = emit_scalar(e, S_select, DT_I32, more, t, taken);
    }
    uint32_t rest = i32_op(e, S_sub, m->d, taken);
    uint32_t from_a = truth(e, S_and, truth(e, S_lt, taken, m->n_a), goes_first(o, m, keys, taken, rest));
    return emit_scalar(e, S_select, DT_I32, from_a, i32_op(e, S_add, m->a, taken), i32_op(e, S_add, m->b, rest));
}

static void merge_level(Order *o, const Runs *r, uint32_t axis, int64_t width, bool odd, bool last) {
    Emit *e = &o->e;
    begin_stage(o);
    Index i = along(o, axis);
    Merge m = merge_at(o, index_value(e, &i), width);
    uint32_t from = source_of(o, &m, r->key[odd], width), at = pick(o, r->at[odd], from);
    if (last) {
        emit_store(e, kernel_buffer(e, o->cell, true), place(o, i), at);
    } else {
        emit_store(e, r->at[!odd], i, at);
        emit_store(e, r->key[!odd], i, pick(o, r->key[odd], from));
    }
    end_stage(o);
}

static void lower_argsort(Order *o) {
    Emit *e = &o->e;
    Kernel *k = e->k;
    Val x = operand(o->p->g, o->v, 0);
    DType t = (DType)node_of(o->p->g, x)->dtype;
    uint32_t axis = kernel_axis(k, "k", o->length);
    if (o->length == 1) {
        begin_stage(o);
        emit_store(e, kernel_buffer(e, o->cell, true), place(o, along(o, axis)), emit_i32(e, 0));
        end_stage(o);
        return;
    }
    Runs r;
    for (uint32_t i = 0; i < 2; i++) {
        r.key[i] = kernel_scratch(k, e->unit, "key", key_type(t), o->length);
        r.at[i] = kernel_scratch(k, e->unit, "at", DT_I32, o->length);
    }
    begin_stage(o);
    Index i = along(o, axis);
    place(o, i);
    emit_store(e, r.key[0], i, key_of(e, emit_value(e, x, o->at, 0), t));
    emit_store(e, r.at[0], i, index_value(e, &i));
    end_stage(o);
    bool odd = false;
    for (int64_t width = 1; width < o->length; width *= 2, odd = !odd)
        merge_level(o, &r, axis, width, odd, 2 * width >= o->length);
}

void lower_order(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val;
    const Node *n = node_of(p->g, v);
    Unit *u = unit_of_group(p, group, op_name((Op)n->op));
    Order o = {p, v, emit_begin(p, u->kernel, u), .cell = g->sinks.at[0].cell, .last = n->shape.rank - 1u};
    o.length = n->shape.dim[o.last];
    for (uint32_t i = 0; i < o.last; i++)
        o.at[i] = n->shape.dim[i] == 1 ? index_const(0) : index_axis(kernel_axis(u->kernel, "n", n->shape.dim[i]));
    u->kernel->n_head = u->kernel->axes.n;
    if (n->op == OP_argsort) lower_argsort(&o);
    else lower_chain(&o);
    unit_finish(&o.e);
}
