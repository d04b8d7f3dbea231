/* The inliner: computes one element of a graph value, at given index expressions, as instructions of the
 * stage being built. It stops at what lies somewhere (a variable, a column, the cell, scratch row or register
 * of a stored value) with a load, and walks through everything else: views change the indices, elementwise
 * operations become scalar ones, padding and joining become guarded loads.  A value asked for twice at the
 * same place is computed once.  An access that the head of the kernel does not allow (an element that another
 * point makes) marks the stage as bad instead of being emitted. */
#include "fuse_parts.h"
#include <string.h>

DType wide_of(DType t) {
    switch (t) {
    case DT_U8: return DT_I32;
    case DT_BF16:
    case DT_F16: return DT_F32;
    case DT_F32:
    case DT_F64:
    case DT_I32:
    case DT_I64:
    case DT_BOOL:
    case DT_COUNT: return t;
    }
    return t;
}

Emit emit_begin(Planner *p, Kernel *k, Unit *u) {
    Emit e = {.p = p, .k = k, .unit = u};
    e.memo_of = PUSH(p->entry->trial, uint32_t, p->g->nodes.n);
    e.inside = PUSH(p->entry->trial, uint8_t, p->g->nodes.n);
    return e;
}

void emit_stage(Emit *e) {
    for (uint32_t i = 0; i < e->memo.n; i++) {
        e->memo_of[e->memo.at[i].v.i] = 0;
    }
    e->memo.n = 0;
    e->first = e->k->insts.n;
}

static bool same_inst(const KInst *a, const KInst *b) {
    return a->kop == b->kop && a->op == b->op && a->type == b->type &&
           memcmp(a->in, b->in, sizeof a->in) == 0 && memcmp(&a->imm, &b->imm, sizeof a->imm) == 0 &&
           a->access == b->access && memcmp(&a->random, &b->random, sizeof a->random) == 0;
}

uint32_t emit_inst(Emit *e, KInst in) {
    bool effect = in.kop == K_STORE || in.kop == K_CHECK || in.kop == K_FAULT;
    for (uint32_t i = e->k->insts.n; !effect && i-- > e->first;) {
        if (same_inst(&e->k->insts.at[i], &in))
            return i - e->first;
    }
    vec_push(e->k->arena, &e->k->insts, in);
    return e->k->insts.n - 1 - e->first;
}

static DType inst_type(const Emit *e, uint32_t i) { return e->k->insts.at[e->first + i].type; }

uint32_t emit_scalar(Emit *e, SOp op, DType t, uint32_t a, uint32_t b, uint32_t c) {
    KInst in = {.kop = K_SCALAR, .op = (uint8_t)op, .type = (uint8_t)t};
    uint32_t n = sop_operands(op), from[3] = {a, b, c};
    memcpy(in.in, from, n * sizeof *from);
    return emit_inst(e, in);
}

static uint32_t emit_const(Emit *e, DType t, Imm x) {
    return emit_inst(e, (KInst){.kop = K_SCALAR, .op = S_const, .type = (uint8_t)t, .imm = x});
}

uint32_t emit_i32(Emit *e, int64_t x) { return emit_const(e, DT_I32, (Imm){.i = x}); }
uint32_t emit_number(Emit *e, double x) { return emit_const(e, DT_F32, (Imm){.f = x}); }

static uint32_t both(Emit *e, uint32_t guard, uint32_t more) { /* 1 + instructions, 0 for always */
    return !guard ? more : !more ? guard : 1 + emit_scalar(e, S_and, DT_BOOL, guard - 1, more - 1, 0);
}

/* ---- buffers and addresses ---- */
uint32_t kernel_buffer(Emit *e, uint32_t cell, bool write) {
    const Cell *c = cell_at(e->p, cell);
    for (uint32_t i = 0; i < e->unit->cells.n; i++) {
        if (e->unit->cells.at[i] == cell) {
            KBufRole *role = &e->k->bufs.at[i].role;
            *role = *role == KBUF_HEALTH || (*role == KBUF_OUT) == write ? *role : KBUF_INOUT;
            return i;
        }
    }
    KBufRole role = c->kind == CELL_HEALTH ? KBUF_HEALTH : write ? KBUF_OUT : KBUF_IN;
    vec_push(e->k->arena, &e->unit->cells, cell);
    vec_push(e->k->arena, &e->k->bufs, (KBuf){c->name, role, c->dtype, c->count});
    return e->k->bufs.n - 1;
}

uint32_t kernel_scratch(Kernel *k, Unit *u, const char *name, DType t, int64_t count) {
    vec_push(k->arena, &u->cells, 0);
    vec_push(k->arena, &k->bufs,
             (KBuf){str_format(k->arena, "%s%u", name, k->bufs.n), KBUF_SCRATCH, t, count});
    return k->bufs.n - 1;
}

uint32_t emit_access(Emit *e, uint32_t buf, Index at) {
    KAccess a = {.buf = buf, .base = at.base, .index = at.inst, .index_coef = at.inst ? at.inst_coef : 0};
    memcpy(a.coef, at.coef, sizeof a.coef);
    for (uint32_t i = 0; i < e->k->accesses.n; i++) {
        const KAccess *b = &e->k->accesses.at[i];
        if (a.index == 0 && b->index == 0 && b->buf == buf && b->base == a.base &&
            memcmp(a.coef, b->coef, sizeof a.coef) == 0)
            return i;
    }
    vec_push(e->k->arena, &e->k->accesses, a);
    return e->k->accesses.n - 1;
}

uint32_t emit_load(Emit *e, uint32_t buf, Index at, uint32_t guard, uint32_t node) {
    uint32_t access = emit_access(e, buf, at);
    if (e->k->accesses.at[access].index != 0) { /* the same address may have been asked for before */
        for (uint32_t i = e->first; i < e->k->insts.n; i++) {
            const KInst *in = &e->k->insts.at[i];
            const KAccess *a = &e->k->accesses.at[in->access], *b = &e->k->accesses.at[access];
            if (in->kop == K_LOAD && in->in[0] == guard && a->buf == buf && a->base == b->base &&
                a->index == b->index && a->index_coef == b->index_coef &&
                memcmp(a->coef, b->coef, sizeof a->coef) == 0) {
                e->k->accesses.n--;
                return i - e->first;
            }
        }
    }
    return emit_inst(e, (KInst){.kop = K_LOAD,
                                .type = (uint8_t)wide_of(e->k->bufs.at[buf].dtype),
                                .in = {guard},
                                .access = access,
                                .node = node});
}

void emit_store(Emit *e, uint32_t buf, Index at, uint32_t value) {
    uint32_t access = emit_access(e, buf, at);
    emit_inst(e, (KInst){.kop = K_STORE,
                         .type = e->k->insts.at[e->first + value].type,
                         .in = {value},
                         .access = access});
}

void emit_check(Emit *e, uint32_t value) {
    kernel_buffer(e, e->p->entry->health, true);
    if (inst_type(e, value) == DT_BOOL) {
        uint32_t outside = emit_scalar(e, S_not, DT_BOOL, value, 0, 0);
        emit_inst(e, (KInst){.kop = K_FAULT, .type = DT_BOOL, .in = {outside}, .imm.i = HEALTH_INDEX});
        return;
    }
    emit_inst(e, (KInst){.kop = K_CHECK,
                         .type = (uint8_t)inst_type(e, value),
                         .in = {value},
                         .imm.i = HEALTH_NONFINITE});
}

void emit_small(Emit *e, uint32_t value) {
    const double most = 0x1p50; /* fold.c says why */
    kernel_buffer(e, e->p->entry->health, true);
    uint32_t size = emit_scalar(e, S_abs, DT_F32, value, 0, 0);
    uint32_t small = emit_scalar(e, S_le, DT_BOOL, size, emit_const(e, DT_F32, (Imm){.f = most}), 0);
    uint32_t large = emit_scalar(e, S_not, DT_BOOL, small, 0, 0); /* a NaN is not small */
    emit_inst(e, (KInst){.kop = K_FAULT, .type = DT_BOOL, .in = {large}, .imm.i = HEALTH_UNSURE});
}

/* ---- the operations ---- */
static Shape shape_at(const Emit *e, Val v) { return node_of(e->p->g, v)->shape; }

/* Rounding to the 16-bit floats without leaving f32: to nearest even on the bits, NaN kept.  bits: how many
 * go. */
static uint32_t rounded_bits(Emit *e, uint32_t x, int bits) {
    uint32_t u = emit_scalar(e, S_bitcast, DT_I32, x, 0, 0);
    uint32_t odd = emit_scalar(e, S_and, DT_I32, emit_scalar(e, S_shr, DT_I32, u, emit_i32(e, bits), 0),
                               emit_i32(e, 1), 0);
    u = emit_scalar(e, S_add, DT_I32, u,
                    emit_scalar(e, S_add, DT_I32, odd, emit_i32(e, (1 << (bits - 1)) - 1), 0), 0);
    u = emit_scalar(e, S_and, DT_I32, u, emit_i32(e, -(1 << bits)), 0);
    uint32_t r = emit_scalar(e, S_bitcast, DT_F32, u, 0, 0);
    return emit_scalar(e, S_select, DT_F32, emit_scalar(e, S_isnan, DT_BOOL, x, 0, 0), x, r);
}

/* Below 2^-14 the step of f16 is 2^-24, which is the last bit of a sum with 1/2. */
static uint32_t rounded_f16(Emit *e, uint32_t x) {
    uint32_t r = rounded_bits(e, x, 13), half = emit_const(e, DT_F32, (Imm){.f = 0.5});
    uint32_t size = emit_scalar(e, S_abs, DT_F32, x, 0, 0);
    uint32_t small = emit_scalar(e, S_sub, DT_F32, emit_scalar(e, S_add, DT_F32, size, half, 0), half, 0);
    uint32_t sign =
        emit_scalar(e, S_and, DT_I32, emit_scalar(e, S_bitcast, DT_I32, x, 0, 0), emit_i32(e, INT32_MIN), 0);
    small = emit_scalar(e, S_or, DT_I32, emit_scalar(e, S_bitcast, DT_I32, small, 0, 0), sign, 0);
    small = emit_scalar(e, S_bitcast, DT_F32, small, 0, 0);
    uint32_t low = emit_scalar(e, S_lt, DT_BOOL, size, emit_const(e, DT_F32, (Imm){.f = 0x1p-14}), 0);
    uint32_t high = emit_scalar(e, S_le, DT_BOOL, emit_const(e, DT_F32, (Imm){.f = 65520}), size, 0);
    uint32_t inf = emit_scalar(e, S_or, DT_I32, sign, emit_i32(e, 0x7f800000), 0);
    r = emit_scalar(e, S_select, DT_F32, high, emit_scalar(e, S_bitcast, DT_F32, inf, 0, 0), r);
    return emit_scalar(e, S_select, DT_F32, low, small, r);
}

static uint32_t cast_value(Emit *e, uint32_t x, DType to) {
    DType from = inst_type(e, x);
    switch (to) {
    case DT_U8: { /* saturates from floats, wraps from integers */
        bool real = dtype_is_float(from);
        x = from == DT_I32 ? x : emit_scalar(e, S_cast, DT_I32, x, 0, 0);
        if (!real)
            return emit_scalar(e, S_and, DT_I32, x, emit_i32(e, 255), 0);
        x = emit_scalar(e, S_max, DT_I32, x, emit_i32(e, 0), 0);
        return emit_scalar(e, S_min, DT_I32, x, emit_i32(e, 255), 0);
    }
    case DT_BF16:
    case DT_F16:
        x = from == DT_F32 ? x : emit_scalar(e, S_cast, DT_F32, x, 0, 0);
        return to == DT_F16 ? rounded_f16(e, x) : rounded_bits(e, x, 16);
    case DT_F32:
    case DT_F64:
    case DT_I32:
    case DT_I64:
    case DT_BOOL: return from == to ? x : emit_scalar(e, S_cast, to, x, 0, 0);
    case DT_COUNT: break;
    }
    return x;
}

uint32_t emit_rounded(Emit *e, uint32_t x, DType to) { return to == DT_F32 ? x : cast_value(e, x, to); }

static uint32_t emit_elementwise(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    uint32_t in[3] = {0};
    for (uint32_t i = 0; i < n->n && i < 3; i++) {
        in[i] = emit_value(e, operand(e->p->g, v, i), at, guard);
    }
    if (n->op == OP_cast) {
        DType from = (DType)node_of(e->p->g, operand(e->p->g, v, 0))->dtype;
        return from == n->dtype || v.i == e->bare ? in[0] : cast_value(e, in[0], (DType)n->dtype);
    }
    KInst k = {.type = (uint8_t)wide_of((DType)n->dtype), .in = {in[0], in[1], in[2]}, .node = v.i};
    MathFn fn;
    SOp op;
    if (op_math((Op)n->op, &fn)) {
        k.kop = K_MATH, k.op = (uint8_t)fn;
    } else {
        bool known = op_scalar((Op)n->op, &op);
        GR_ASSERT(known);
        k.kop = K_SCALAR, k.op = (uint8_t)op;
    }
    return emit_inst(e, k);
}

static uint32_t emit_random(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    Index place = index_linear(e, n->shape, at);
    uint32_t key[4];
    for (uint32_t i = 0; i < 4; i++) {
        key[i] = 1 + emit_value(e, operand(e->p->g, v, i), at, guard); /* of rank 0 */
    }
    uint32_t word = emit_inst(e, (KInst){.kop = K_WORD,
                                         .type = DT_I32,
                                         .in = {index_value(e, &place)},
                                         .node = v.i,
                                         .random = {n->attr.random.stream, key[0], key[1], key[2], key[3]}});
    switch (n->attr.random.kind) {
    case RANDOM_WORD: return word;
    case RANDOM_UNIFORM: { /* uniform_of_word of base/philox.h */
        uint32_t high = emit_scalar(e, S_shr, DT_I32, word, emit_i32(e, 8), 0);
        uint32_t x = emit_scalar(e, S_cast, DT_F32, high, 0, 0);
        return emit_scalar(e, S_mul, DT_F32, x, emit_const(e, DT_F32, (Imm){.f = 0x1p-24}), 0);
    }
    case RANDOM_NORMAL:
        return emit_inst(e,
                         (KInst){.kop = K_MATH, .op = M_normal, .type = DT_F32, .in = {word}, .node = v.i});
    }
    return word;
}

/* ---- padding ---- */
typedef struct {
    uint32_t insts, accesses, memo, nodes;
    bool bad;
} Here;

static Here here(const Emit *e) { return (Here){e->k->insts.n, e->k->accesses.n, e->memo.n, e->nodes, e->bad}; }

static void back_to(Emit *e, Here h) {
    while (e->memo.n > h.memo) {
        const Memo *m = &e->memo.at[--e->memo.n];
        e->memo_of[m->v.i] = m->next;
    }
    e->k->insts.n = h.insts;
    e->k->accesses.n = h.accesses;
    e->nodes = h.nodes;
    e->bad = h.bad;
}

static uint32_t divisions_since(const Emit *e, Here h) {
    uint32_t n = 0;
    for (uint32_t i = h.insts; i < e->k->insts.n; i++) {
        const KInst *in = &e->k->insts.at[i];
        n += in->kop == K_SCALAR && (in->op == S_idiv || in->op == S_mod);
    }
    return n;
}

static uint32_t emit_clamped(Emit *e, Val x, const Index *at, uint32_t guard) {
    Shape s = shape_at(e, x);
    Index in[MAX_RANK];
    for (uint32_t i = 0; i < s.rank; i++) {
        in[i] = index_clamped(e, at[i], s.dim[i] - 1);
    }
    return emit_value(e, x, in, guard);
}

/* An element of x at indices that only the guard keeps inside.  A reshape behind them would divide what cannot be
 * there; so when there are divisions it is tried with indices that are inside by themselves, which are no addresses
 * any more, and the way with fewer divisions is taken; of as many the second, since what is inside does not carry into
 * the axes before, which stay addresses.  Once it is known it is not tried again: borders within borders would be tried
 * three times at each level. */
static uint32_t emit_inside(Emit *e, Val x, const Index *at, uint32_t guard) {
    enum { UNKNOWN, AS_IT_IS, CLAMPED };
    if (e->inside[x.i] != UNKNOWN)
        return e->inside[x.i] == CLAMPED ? emit_clamped(e, x, at, guard) : emit_value(e, x, at, guard);
    Here start = here(e);
    uint32_t value = emit_value(e, x, at, guard), divisions = divisions_since(e, start);
    if (divisions == 0 || e->bad)
        return value;
    back_to(e, start);
    value = emit_clamped(e, x, at, guard);
    e->inside[x.i] = !e->bad && divisions_since(e, start) <= divisions ? CLAMPED : AS_IT_IS;
    if (e->inside[x.i] == CLAMPED)
        return value;
    back_to(e, start);
    return emit_value(e, x, at, guard);
}

static uint32_t emit_pad(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    Val x = operand(e->p->g, v, 0);
    Shape s = shape_at(e, x);
    Index in[MAX_RANK];
    uint32_t inside = 0;
    for (uint32_t i = 0; i < s.rank; i++) {
        in[i] = index_add(e, at[i], index_const(-n->attr.pad.lo[i]));
        /* only the border is read: x may not be touched */
        if (s.dim[i] == 0 || index_outside(e->k, &in[i], 0, s.dim[i]))
            return emit_const(e, wide_of((DType)n->dtype), n->attr.pad.value);
        inside = index_inside(e, &in[i], 0, s.dim[i], inside);
    }
    if (inside == 0)
        return emit_value(e, x, in, guard);
    uint32_t value = emit_inside(e, x, in, both(e, guard, inside));
    uint32_t fill = emit_const(e, wide_of((DType)n->dtype), n->attr.pad.value);
    return emit_scalar(e, S_select, wide_of((DType)n->dtype), inside - 1, value, fill);
}

static Index window_position(Emit *e, const Index *at, int64_t stride, int64_t dilation, int64_t pad) {
    Index tap = index_add(e, index_scale(at[1], dilation), index_const(-pad));
    return index_add(e, index_scale(at[0], stride), tap);
}

/* The window that a gradient takes: over axes [O, T] read as one, at T*o + t for tap t.  Then o is an affine position
 * too, and nothing has to be divided. */
static bool keeps_taps(const Emit *e, const Node *n, Val x) {
    uint32_t axis = n->attr.window.axis;
    int64_t taps = n->shape.dim[axis + 1];
    const Node *merged = node_of(e->p->g, x);
    if (merged->op != OP_reshape || taps < 2)
        return false;
    Shape two = shape_at(e, operand(e->p->g, x, 0)), one = merged->shape;
    bool same = two.rank == one.rank + 1 && two.dim[axis + 1] == taps;
    for (uint32_t i = 0; same && i < one.rank; i++) {
        same = i == axis || one.dim[i] == two.dim[i < axis ? i : i + 1];
    }
    return same && n->attr.window.stride % taps == 0 && (n->attr.window.dilation - 1) % taps == 0 &&
           n->attr.window.pad % taps == 0;
}

static uint32_t emit_window(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    Val x = operand(e->p->g, v, 0);
    uint32_t axis = n->attr.window.axis;
    DType t = wide_of((DType)n->dtype);
    int64_t taps = n->shape.dim[axis + 1], dilation = n->attr.window.dilation, by = 1;
    Index in[MAX_RANK];
    memcpy(in, at, sizeof(Index) * n->shape.rank);
    if (keeps_taps(e, n, x)) {
        x = operand(e->p->g, x, 0);
        by = taps;
        dilation--;
    } else {
        for (uint32_t i = axis + 1; i + 1 < n->shape.rank; i++) {
            in[i] = at[i + 1];
        }
    }
    int64_t extent = shape_at(e, x).dim[axis];
    in[axis] = window_position(e, &at[axis], n->attr.window.stride / by, dilation / by, n->attr.window.pad / by);
    if (index_outside(e->k, &in[axis], 0, extent))
        return emit_const(e, t, n->attr.window.value);
    uint32_t inside = index_inside(e, &in[axis], 0, extent, 0);
    uint32_t value = emit_value(e, x, in, both(e, guard, inside));
    return inside == 0 ? value
                       : emit_scalar(e, S_select, t, inside - 1, value, emit_const(e, t, n->attr.window.value));
}

static uint32_t emit_concat(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    uint32_t axis = n->attr.axis, result = 0;
    int64_t from = n->shape.dim[axis];
    bool any = false;
    for (uint32_t i = n->n; i-- > 0;) { /* from the last part: each earlier one is chosen before it */
        Val x = operand(e->p->g, v, i);
        int64_t extent = shape_at(e, x).dim[axis];
        from -= extent;
        Index in[MAX_RANK];
        memcpy(in, at, sizeof(Index) * n->shape.rank);
        in[axis] = index_add(e, at[axis], index_const(-from));
        if (index_outside(e->k, &in[axis], 0, extent) && (any || i > 0))
            continue;
        uint32_t inside = index_inside(e, &in[axis], 0, extent, 0);
        uint32_t value = emit_value(e, x, in, both(e, guard, inside));
        result = !any || !inside
                     ? value
                     : emit_scalar(e, S_select, wide_of((DType)n->dtype), inside - 1, value, result);
        any = true;
    }
    return result;
}

/* A position that was computed, held inside; that it is wrong, a `check` says. */
static uint32_t held_inside(Emit *e, uint32_t j, int64_t extent) {
    uint32_t held = emit_scalar(e, S_max, DT_I32, j, emit_i32(e, 0), 0);
    return emit_scalar(e, S_min, DT_I32, held, emit_i32(e, extent - 1), 0);
}

void emit_scatter_index(Emit *e, uint32_t position, int64_t extent, Index *out) {
    *out = index_of_value(held_inside(e, position, extent), 0, extent - 1);
}

static uint32_t emit_gather(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    Val x = operand(e->p->g, v, 0), i = operand(e->p->g, v, 1);
    uint32_t batch = n->attr.gather.batch, rank_i = shape_at(e, i).rank;
    Shape s = shape_at(e, x);
    int64_t extent = s.dim[batch];
    uint32_t held = held_inside(e, emit_value(e, i, at, guard), extent);
    if (extent == 0)
        return emit_const(e, wide_of((DType)n->dtype), (Imm){.i = 0});
    Index in[MAX_RANK];
    memcpy(in, at, sizeof(Index) * batch);
    in[batch] = index_of_value(held, 0, extent - 1);
    for (uint32_t k = batch + 1; k < s.rank; k++) {
        in[k] = at[rank_i + k - batch - 1];
    }
    return emit_value(e, x, in, guard);
}

/* scatter_add of a few: 0, plus each update whose position is this one, in order. */
static uint32_t emit_few(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    Val updates = operand(e->p->g, v, 0), index = operand(e->p->g, v, 1);
    Shape is = shape_at(e, index), us = shape_at(e, updates);
    uint32_t batch = n->attr.gather.batch;
    DType t = wide_of((DType)n->dtype);
    uint32_t here = index_value(e, &at[batch]), sum = emit_const(e, t, (Imm){.i = 0});
    for (int64_t pick = 0; pick < scatter_picks(e->p->g, v); pick++) {
        Index in[MAX_RANK];
        memcpy(in, at, sizeof(Index) * batch);
        int64_t rest = pick;
        for (uint32_t i = is.rank; i-- > batch;) {
            in[i] = index_const(rest % is.dim[i]);
            rest /= is.dim[i];
        }
        for (uint32_t i = is.rank; i < us.rank; i++) {
            in[i] = at[batch + 1 + i - is.rank];
        }
        uint32_t held = held_inside(e, emit_value(e, index, in, guard), n->shape.dim[batch]);
        uint32_t meets = emit_scalar(e, S_eq, DT_BOOL, here, held, 0);
        uint32_t more = emit_scalar(e, S_add, t, sum, emit_value(e, updates, in, guard), 0);
        sum = emit_scalar(e, S_select, t, meets, more, sum);
    }
    return sum;
}

static bool arg_cell(Emit *e, const Node *n, uint32_t *cell) {
    switch (n->attr.arg.kind) {
    case ARG_UNIFORM: return false;
    case ARG_VAR: *cell = cell_of_var(e->p, n->attr.arg.id); return true;
    case ARG_COLUMN: *cell = cell_of_column(e->p, n->attr.arg.id); return true;
    case ARG_BODY: *cell = e->p->body_cell[n->attr.arg.id]; return true;
    }
    GR_BUG("an argument of kind %d", (int)n->attr.arg.kind);
}

/* The cell in which an operand lies whole and in row order: then any reshape of it is read by its flat number. */
static bool lies_flat(Emit *e, Val x, uint32_t *cell) {
    while (node_of(e->p->g, x)->op == OP_after) {
        x = operand(e->p->g, x, 0);
    }
    const Node *n = node_of(e->p->g, x);
    if (n->op == OP_arg)
        return arg_cell(e, n, cell);
    uint32_t member = n->op == OP_result ? n->attr.index : 0;
    Val of = n->op == OP_result ? operand(e->p->g, x, 0) : x;
    const Info *in = &e->p->info[of.i];
    if (!in->stored || in->place == PLACE_INLINE || (in->group != 0 && in->group == e->group))
        return false;
    *cell = cell_of_value(e->p, of, member);
    return true;
}

static uint32_t emit_view(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    Val x = operand(e->p->g, v, 0);
    uint32_t flat;
    if (n->op == OP_reshape && lies_flat(e, x, &flat))
        return emit_load(e, kernel_buffer(e, flat, false), index_linear(e, n->shape, at), guard, x.i);
    Shape s = shape_at(e, x);
    Index in[MAX_RANK];
    for (uint32_t i = 0; i < MAX_RANK; i++) {
        in[i] = index_const(0);
    }
    if (n->op == OP_broadcast) {
        for (uint32_t i = 0; i < s.rank; i++) {
            in[i] = s.dim[i] == 1 ? index_const(0) : at[n->attr.axes.at[i]];
        }
    } else if (n->op == OP_permute) {
        for (uint32_t i = 0; i < s.rank; i++) {
            in[n->attr.axes.at[i]] = at[i];
        }
    } else if (n->op == OP_slice) {
        for (uint32_t i = 0; i < s.rank; i++) {
            in[i] = index_add(e, index_scale(at[i], n->attr.slice.step[i]), index_const(n->attr.slice.lo[i]));
        }
    } else {
        GR_ASSERT(n->op == OP_reshape);
        if (s.rank > 0)
            index_split(e, index_linear(e, n->shape, at), s.rank, s.dim, in);
    }
    return emit_value(e, x, in, guard);
}

static uint32_t emit_arg(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    uint32_t cell, id = n->attr.arg.id;
    if (arg_cell(e, n, &cell))
        return emit_load(e, kernel_buffer(e, cell, false), index_linear(e, n->shape, at), guard, v.i);
    bool known = false;
    for (uint32_t i = 0; i < e->k->uniforms.n; i++) {
        known |= e->k->uniforms.at[i] == id;
    }
    if (!known)
        vec_push(e->k->arena, &e->k->uniforms, id);
    return emit_inst(e, (KInst){.kop = K_UNIFORM, .type = n->dtype, .imm.i = id, .node = v.i});
}

static uint32_t compute(Emit *e, Val v, const Index *at, uint32_t guard) {
    const Node *n = node_of(e->p->g, v);
    e->nodes++;
    switch ((Op)n->op) {
    case OP_arg: return emit_arg(e, v, at, guard);
    case OP_const: return emit_const(e, wide_of((DType)n->dtype), n->attr.constant);
    case OP_iota: return index_value(e, &at[n->attr.axis]);
    case OP_random: return emit_random(e, v, at, guard);
    CASE_ELEMENTWISE:
    case OP_cast: return emit_elementwise(e, v, at, guard);
    case OP_broadcast:
    case OP_reshape:
    case OP_permute:
    case OP_slice: return emit_view(e, v, at, guard);
    case OP_after: return emit_value(e, operand(e->p->g, v, 0), at, guard);
    case OP_pad: return emit_pad(e, v, at, guard);
    case OP_window: return emit_window(e, v, at, guard);
    case OP_concat: return emit_concat(e, v, at, guard);
    case OP_gather: return emit_gather(e, v, at, guard);
    case OP_scatter_add: return emit_few(e, v, at, guard);
    case OP_reduce:
    case OP_contract:
    case OP_cumulative:
    case OP_recur:
    case OP_argsort:
    case OP_scan:
    case OP_extern:
    case OP_result:
    case OP_grad:
    case OP_grad_as:
    case OP_check:
    case OP_commit:
    case OP_COUNT: break;
    }
    GR_BUG("%s cannot be computed element by element", op_name((Op)n->op));
}

/* ---- where values lie ---- */
static const uint32_t *remembered(const Emit *e, Val v, const Index *at, uint32_t guard) {
    for (uint32_t m = e->memo_of[v.i]; m != 0; m = e->memo.at[m - 1].next) {
        const Memo *x = &e->memo.at[m - 1];
        bool same = x->guard == 0 || x->guard == guard;
        for (uint32_t i = 0; same && i < node_of(e->p->g, v)->shape.rank; i++) {
            same = index_eq(&x->at[i], &at[i]);
        }
        if (same)
            return &x->inst;
    }
    return NULL;
}

static uint32_t remember(Emit *e, Val v, const Index *at, uint32_t guard, uint32_t inst) {
    uint32_t rank = node_of(e->p->g, v)->shape.rank;
    Index *copy = PUSH(e->k->arena, Index, rank ? rank : 1);
    if (rank > 0)
        memcpy(copy, at, sizeof(Index) * rank);
    vec_push(e->k->arena, &e->memo, (Memo){v, guard, inst, copy, e->memo_of[v.i]});
    e->memo_of[v.i] = e->memo.n;
    return inst;
}

/* Do the leading indices say "this very point"? */
static bool at_head(const Emit *e, uint32_t rank, const Index *at) {
    bool same = rank >= e->head;
    for (uint32_t i = 0; same && i < e->head; i++) {
        same = index_eq(&at[i], &e->head_at[i]);
    }
    return same;
}

static uint32_t emit_stored(Emit *e, Val v, uint32_t member, const Index *at, uint32_t guard) {
    const Info *in = &e->p->info[v.i];
    Type t = e->p->g->nodes.at[v.i].op == OP_scan || member > 0 ? result_type(e->p->g, v, member)
                                                                : type_of(e->p->g, v);
    bool ours = in->group != 0 && in->group == e->group;
    /* a sum over the head is there when all of the head is done */
    bool summed = ours && e->p->groups.at[in->group - 1].lanes && reduce_sums_head(e->p->g, v);
    if (ours && (summed || !at_head(e, t.shape.rank, at) || (e->done != NULL && e->done[v.i] != 1))) {
        e->bad = true;
        return emit_const(e, wide_of(t.dtype), (Imm){.i = 0});
    }
    if (ours && in->place == PLACE_REG)
        return emit_inst(e, (KInst){.kop = K_REG,
                                    .type = (uint8_t)wide_of(t.dtype),
                                    .imm.i = e->reg[v.i] - 1 + member,
                                    .node = v.i});
    if (ours && in->place == PLACE_SCRATCH) {
        Shape inner = shape_of(t.shape.rank - e->head, t.shape.dim + e->head);
        Index place = index_linear(e, inner, at + e->head);
        place.base += member * shape_count(inner);
        return emit_load(e, e->scratch[v.i] - 1, place, guard, v.i);
    }
    uint32_t cell = cell_of_value(e->p, v, member);
    return emit_load(e, kernel_buffer(e, cell, false), index_linear(e, t.shape, at), guard, v.i);
}

uint32_t emit_value(Emit *e, Val v, const Index *at, uint32_t guard) {
    const uint32_t *known = remembered(e, v, at, guard);
    if (known != NULL)
        return *known;
    const Node *n = node_of(e->p->g, v);
    if (shape_count(n->shape) == 0) /* no such element: only a guarded or empty stage asks */
        return emit_const(e, wide_of((DType)n->dtype), (Imm){.i = 0});
    uint32_t member = 0;
    Val of = v;
    if (n->op == OP_result) {
        member = n->attr.index;
        of = operand(e->p->g, v, 0);
    }
    const Info *in = &e->p->info[of.i];
    bool lies = in->stored && in->place != PLACE_INLINE;
    uint32_t inst = lies ? emit_stored(e, of, member, at, guard) : compute(e, v, at, guard);
    return remember(e, v, at, guard, inst);
}

uint32_t emit_root(Emit *e, Val v, const Index *at) {
    const uint32_t *known = remembered(e, v, at, 0);
    return known != NULL ? *known : remember(e, v, at, 0, compute(e, v, at, 0));
}

void emit_preset(Emit *e, Val v, const Index *at, uint32_t inst) { remember(e, v, at, 0, inst); }
