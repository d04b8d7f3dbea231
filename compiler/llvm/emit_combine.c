/* The states of reductions: what a lane holds, how two are combined, and the fold of the sixteen lanes
 * (semantics 2). A state has one part (sum, prod, max, ..), two (arg: value, position) or three (moments:
 * count, mean, M2); parts are single elements or vectors alike.  In every combination `a` stands first,
 * which decides ties. */
#include "emit.h"

State state_of(ReduceKind kind, DType type) {
    switch (kind) {
    case REDUCE_SUM: case REDUCE_PROD: case REDUCE_MAX: case REDUCE_MIN: case REDUCE_ANY: case REDUCE_ALL:
        return (State){kind, type, 1, {type}};
    case REDUCE_ARGMAX: case REDUCE_ARGMIN: return (State){kind, type, 2, {type, DT_I32}};
    case REDUCE_MOMENTS: return (State){kind, type, 3, {DT_I32, DT_F32, DT_F32}};
    case REDUCE_COUNT: break;
    }
    GR_BUG("reduction %d", (int)kind);
}

/* The smallest or largest value of the type: what loses against everything. */
static Imm extreme(DType t, bool largest) {
    switch (t) {
    case DT_F32: case DT_F64: return (Imm){.f = largest ? 1.0 / 0.0 : -1.0 / 0.0};
    case DT_I32: return (Imm){.i = largest ? INT32_MAX : INT32_MIN};
    case DT_I64: return (Imm){.i = largest ? INT64_MAX : INT64_MIN};
    case DT_BOOL: return (Imm){.i = largest};
    case DT_BF16: case DT_F16: case DT_U8: case DT_COUNT: break;
    }
    GR_BUG("a reduction over storage type %s", dtype_name(t));
}

static Imm number(DType t, double x) { return dtype_is_float(t) ? (Imm){.f = x} : (Imm){.i = (int64_t)x}; }

static Imm identity(ReduceKind kind, DType t) {
    switch (kind) {
    case REDUCE_SUM:  return number(t, -0.0);
    case REDUCE_PROD: return number(t, 1);
    case REDUCE_MAX: case REDUCE_ARGMAX: return extreme(t, false);
    case REDUCE_MIN: case REDUCE_ARGMIN: return extreme(t, true);
    case REDUCE_ANY:  return (Imm){.i = 0};
    case REDUCE_ALL:  return (Imm){.i = 1};
    case REDUCE_MOMENTS: return number(t, 0);
    case REDUCE_COUNT: break;
    }
    GR_BUG("reduction %d", (int)kind);
}

Parts state_identity(Emit *e, const State *s, bool lanes) {
    Parts p = {{emit_imm(e, s->part[0], identity(s->kind, s->part[0]))}};
    for (uint32_t k = 1; k < s->n; k++)
        p.part[k] = s->n == 2 ? emit_i32(e, INT32_MAX) : emit_imm(e, DT_F32, (Imm){.f = 0});
    for (uint32_t k = 0; lanes && k < s->n; k++)
        p.part[k] = emit_splat(e, p.part[k]);
    return p;
}

/* An empty row (kernel.h, "results"). */
Parts state_empty(Emit *e, const State *s) {
    Parts p = state_identity(e, s, false);
    if (s->kind == REDUCE_SUM)
        p.part[0] = emit_imm(e, s->type, number(s->type, 0));
    if (s->n == 2)
        p.part[1] = emit_i32(e, 0);
    return p;
}

static Value op2(Emit *e, SOp op, DType t, Value x, Value y) { return emit_scalar(e, op, t, t, (Imm){0}, x,
    y, NULL); }
static Value test(Emit *e, SOp op, DType from, Value x, Value y) {
    return emit_scalar(e, op, DT_BOOL, from, (Imm){0}, x, y, NULL);
}
static Value both(Emit *e, Value x, Value y) { return LLVMBuildAnd(e->b, x, y, ""); }
static Value either(Emit *e, Value x, Value y) { return LLVMBuildOr(e->b, x, y, ""); }

/* b goes before a: a better value, a NaN before a number, or the same at an earlier position. */
static Parts combine_arg(Emit *e, const State *s, Parts a, Parts b) {
    bool max = s->kind == REDUCE_ARGMAX;
    Value better = max ? test(e, S_lt, s->type, a.part[0], b.part[0]) : test(e, S_lt, s->type, b.part[0],
        a.part[0]);
    Value same = test(e, S_eq, s->type, a.part[0], b.part[0]);
    if (dtype_is_float(s->type)) {
        Value a_nan = test(e, S_isnan, s->type, a.part[0], a.part[0]);
        Value b_nan = test(e, S_isnan, s->type, b.part[0], b.part[0]);
        better = either(e, better, both(e, b_nan, LLVMBuildNot(e->b, a_nan, "")));
        same = either(e, same, both(e, a_nan, b_nan));
    }
    Value earlier = test(e, S_lt, DT_I32, b.part[1], a.part[1]);
    Value take = either(e, better, both(e, same, earlier));
    return (Parts){{LLVMBuildSelect(e->b, take, b.part[0], a.part[0], ""),
                    LLVMBuildSelect(e->b, take, b.part[1], a.part[1], "")}};
}

/* Chan, Golub, LeVeque: the mean moves by its share of the difference; the spread gains the difference
 * between the halves. */
static Parts combine_moments(Emit *e, Parts a, Parts b) {
    Value n = op2(e, S_add, DT_I32, a.part[0], b.part[0]);
    Value n_a = emit_cast(e, DT_F32, DT_I32, a.part[0]), n_b = emit_cast(e, DT_F32, DT_I32, b.part[0]);
    Value d = op2(e, S_sub, DT_F32, b.part[1], a.part[1]);
    Value share = op2(e, S_div, DT_F32, n_b, emit_cast(e, DT_F32, DT_I32, n));
    Value mean = op2(e, S_add, DT_F32, a.part[1], op2(e, S_mul, DT_F32, d, share));
    Value between = op2(e, S_mul, DT_F32, op2(e, S_mul, DT_F32, d, d), op2(e, S_mul, DT_F32, n_a, share));
    Value spread = op2(e, S_add, DT_F32, op2(e, S_add, DT_F32, a.part[2], b.part[2]), between);
    return (Parts){{n, mean, spread}};
}

Parts state_combine(Emit *e, const State *s, Parts a, Parts b) {
    switch (s->kind) {
    case REDUCE_SUM:  return (Parts){{op2(e, S_add, s->type, a.part[0], b.part[0])}};
    case REDUCE_PROD: return (Parts){{op2(e, S_mul, s->type, a.part[0], b.part[0])}};
    case REDUCE_MAX:  return (Parts){{op2(e, S_max, s->type, a.part[0], b.part[0])}};
    case REDUCE_MIN:  return (Parts){{op2(e, S_min, s->type, a.part[0], b.part[0])}};
    case REDUCE_ANY:  return (Parts){{op2(e, S_or, s->type, a.part[0], b.part[0])}};
    case REDUCE_ALL:  return (Parts){{op2(e, S_and, s->type, a.part[0], b.part[0])}};
    case REDUCE_ARGMAX: case REDUCE_ARGMIN: return combine_arg(e, s, a, b);
    case REDUCE_MOMENTS: return combine_moments(e, a, b);
    case REDUCE_COUNT: break;
    }
    GR_BUG("reduction %d", (int)s->kind);
}

static Value slice(Emit *e, Value v, int first, int n) {
    Value at[LANES];
    for (int l = 0; l < n; l++)
        at[l] = emit_i32(e, first + l);
    return LLVMBuildShuffleVector(e->b, v, LLVMGetPoison(LLVMTypeOf(v)), LLVMConstVector(at, (unsigned)n),
        "");
}

/* Halves of halves: the vectors grow narrower, so the constants inside a combination must not be spread to
 * sixteen. */
Parts state_fold_lanes(Emit *e, const State *s, Parts p) {
    for (int width = LANES / 2; width > 0; width /= 2) {
        Parts low, high;
        for (uint32_t k = 0; k < s->n; k++) {
            low.part[k] = slice(e, p.part[k], 0, width);
            high.part[k] = slice(e, p.part[k], width, width);
            if (width == 1) {
                low.part[k] = LLVMBuildExtractElement(e->b, low.part[k], emit_i32(e, 0), "");
                high.part[k] = LLVMBuildExtractElement(e->b, high.part[k], emit_i32(e, 0), "");
            }
        }
        p = state_combine(e, s, low, high);
    }
    return p;
}

Parts state_fold_array(Emit *e, const State *s, Parts *of, uint32_t n) {
    for (uint32_t width = LANES / 2; width > 0; width /= 2) {
        for (uint32_t l = 0; l < width && l + width < n; l++)
            of[l] = state_combine(e, s, of[l], of[l + width]);
        n = n < width ? n : width;
    }
    return of[0];
}

/* ---- partial results of chunks, in an array on the stack, folded as a tree by index ---- */
Chunks chunks_create(Emit *e, const State *s, int64_t n_max, bool lanes) {
    Chunks c = {.state = *s, .n_max = n_max};
    for (uint32_t k = 0; k < s->n; k++) {
        LLVMTypeRef t = emit_storage(e, s->part[k]);
        c.type[k] = lanes ? emit_vector(t) : t;
        c.at[k] = emit_local(e, c.type[k], n_max, BUFFER_ALIGN);
    }
    return c;
}

void chunks_put(Emit *e, const Chunks *c, Value index, Parts p) {
    for (uint32_t k = 0; k < c->state.n; k++) {
        Value v = p.part[k];
        if (c->state.part[k] == DT_BOOL)
            v = LLVMBuildZExt(e->b, v, emit_shape_like(e->i8, v), "");
        if (LLVMGetTypeKind(c->type[k]) == LLVMVectorTypeKind)
            v = emit_splat(e, v);
        emit_store(e, v, emit_at(e, c->type[k], c->at[k], index), dtype_bytes(c->state.part[k]));
    }
}

Parts chunks_get(Emit *e, const Chunks *c, Value index) {
    Parts p = {{NULL}};
    for (uint32_t k = 0; k < c->state.n; k++) {
        Value v = emit_load(e, c->type[k], emit_at(e, c->type[k], c->at[k], index),
            dtype_bytes(c->state.part[k]));
        p.part[k] = c->state.part[k] == DT_BOOL
                  ? LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstNull(c->type[k]), "") : v;
    }
    return p;
}

/* Neighbours first, then pairs of pairs: chunk i takes chunk i + step, for steps 1, 2, 4 .. */
Parts chunks_fold(Emit *e, const Chunks *c, Value n) {
    for (int64_t step = 1; step < c->n_max; step *= 2) {
        Loop l;
        loop_open(e, &l, emit_i64(e, 0), LLVMBuildSub(e->b, n, emit_i64(e, step), ""), 2 * step, 0, NULL);
        Value other = LLVMBuildAdd(e->b, l.i, emit_i64(e, step), "");
        chunks_put(e, c, l.i, state_combine(e, &c->state, chunks_get(e, c, l.i), chunks_get(e, c, other)));
        loop_close(e, &l, NULL);
    }
    return chunks_get(e, c, emit_i64(e, 0));
}
