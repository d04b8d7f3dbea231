/* The operations of scalar.def, over one element or sixteen.  Each is the shortest instruction sequence
 * with the meaning of scalar_eval on every input, NaN and both zeros included; the float mode (flush to
 * zero) is the caller's.  A line of math.def is emitted instruction by instruction, so a function call
 * never leaves the vector registers. */
#include "emit.h"

static Value compare(Emit *e, DType from, LLVMRealPredicate f, LLVMIntPredicate i, Value x, Value y) {
    return dtype_is_float(from) ? LLVMBuildFCmp(e->b, f, x, y, "") : LLVMBuildICmp(e->b, i, x, y, "");
}

static Value is_nan(Emit *e, Value x) { return LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, ""); }

/* `y < x ? y : x` is one instruction, gives x on a tie and for a NaN in either place; only a NaN of y is still
 * missing.  Where x is a number that is not zero a tie has the same bits on both sides, so the two change places. */
static Value extremum(Emit *e, DType t, bool max, Value x, Value y) {
    bool swap = dtype_is_float(t) && known_number(x, false);
    Value a = swap ? y : x, b = swap ? x : y;
    Value past = compare(e, t, max ? LLVMRealOGT : LLVMRealOLT, max ? LLVMIntSGT : LLVMIntSLT, b, a);
    Value r = LLVMBuildSelect(e->b, past, b, a, "");
    return !dtype_is_float(t) || known_number(b, true) ? r : LLVMBuildSelect(e->b, is_nan(e, b), b, r, "");
}

static Value constant_like(Value like, Value scalar, Emit *e) {
    return emit_is_vector(like) ? emit_splat(e, scalar) : scalar;
}

static Value number_like(Emit *e, DType t, Value like, double x) {
    Imm imm = dtype_is_float(t) ? (Imm){.f = x} : (Imm){.i = (int64_t)x};
    return constant_like(like, emit_imm(e, t, imm), e);
}

static Value sign(Emit *e, DType t, Value x) {
    Value zero = number_like(e, t, x, 0);
    Value below = compare(e, t, LLVMRealOLT, LLVMIntSLT, x, zero);
    Value above = compare(e, t, LLVMRealOGT, LLVMIntSGT, x, zero);
    Value rest = LLVMBuildSelect(e->b, below, number_like(e, t, x, -1), x, "");
    return LLVMBuildSelect(e->b, above, number_like(e, t, x, 1), rest, "");
}

/* log2 of a constant that is a power of two, the same in all lanes, else -1. */
static int64_t power_of_two(Value y) {
    Value one = emit_is_vector(y) && LLVMIsConstant(y) ? LLVMGetAggregateElement(y, 0) : y;
    if (one == NULL || LLVMIsAConstantInt(one) == NULL)
        return -1;
    for (unsigned l = 1; emit_is_vector(y) && l < LANES; l++)
        if (LLVMGetAggregateElement(y, l) != one)
            return -1;
    int64_t d = LLVMConstIntGetSExtValue(one);
    return d > 0 && (d & (d - 1)) == 0 ? __builtin_ctzll((uint64_t)d) : -1;
}

/* Floor division.  The divisors 0 and -1 are replaced by 1 before the machine divides, which would trap on
 * them. */
static Value floor_div(Emit *e, DType t, Value x, Value y, bool modulo) {
    int64_t log = power_of_two(y);
    if (log >= 0 && modulo)
        return LLVMBuildAnd(e->b, x, number_like(e, t, x, (INT64_C(1) << log) - 1), "");
    if (log >= 0)
        return LLVMBuildAShr(e->b, x, number_like(e, t, x, log), "");
    Value zero = number_like(e, t, x, 0), one = number_like(e, t, x, 1), minus = number_like(e, t, x, -1);
    Value by_zero = LLVMBuildICmp(e->b, LLVMIntEQ, y, zero, "");
    Value by_minus = LLVMBuildICmp(e->b, LLVMIntEQ, y, minus, "");
    Value safe = LLVMBuildSelect(e->b, LLVMBuildOr(e->b, by_zero, by_minus, ""), one, y, "");
    Value q = LLVMBuildSDiv(e->b, x, safe, "");
    Value rest = LLVMBuildSub(e->b, x, LLVMBuildMul(e->b, q, safe, ""), "");
    Value signs = LLVMBuildICmp(e->b, LLVMIntSLT, LLVMBuildXor(e->b, x, safe, ""), zero, "");
    Value inexact = LLVMBuildICmp(e->b, LLVMIntNE, rest, zero, "");
    Value down = LLVMBuildAnd(e->b, signs, inexact, "");
    if (modulo) {
        Value m = LLVMBuildSelect(e->b, down, LLVMBuildAdd(e->b, rest, safe, ""), rest, "");
        return LLVMBuildSelect(e->b, LLVMBuildOr(e->b, by_zero, by_minus, ""), zero, m, "");
    }
    Value r = LLVMBuildSelect(e->b, down, LLVMBuildSub(e->b, q, one, ""), q, "");
    r = LLVMBuildSelect(e->b, by_minus, LLVMBuildNeg(e->b, x, ""), r, "");
    return LLVMBuildSelect(e->b, by_zero, zero, r, "");
}

static Value shift(Emit *e, LLVMOpcode op, DType t, Value x, Value y) {
    Value bits = number_like(e, t, x, dtype_bytes(t) * 8 - 1);
    return LLVMBuildBinOp(e->b, op, x, LLVMBuildAnd(e->b, y, bits, ""), "");
}

static Value unary(Emit *e, const char *name, Value x) {
    LLVMTypeRef t = LLVMTypeOf(x);
    return emit_call(e, name, &t, 1, &x, 1);
}

static Value fma_of(Emit *e, Value a, Value b, Value c) {
    LLVMTypeRef t = LLVMTypeOf(a);
    return emit_call(e, "llvm.fma", &t, 1, (Value[]){a, b, c}, 3);
}

/* ---- casts (semantics 9) ---- */
static Value bf16_of(Emit *e, Value x) {
    Value bits = LLVMBuildBitCast(e->b, x, emit_shape_like(e->i32, x), "");
    Value odd = LLVMBuildAnd(e->b, LLVMBuildLShr(e->b, bits, number_like(e, DT_I32, x, 16), ""),
                             number_like(e, DT_I32, x, 1), "");
    Value up = LLVMBuildAdd(e->b, LLVMBuildAdd(e->b, bits, number_like(e, DT_I32, x, 0x7fff), ""), odd, "");
    Value top = LLVMBuildLShr(e->b, up, number_like(e, DT_I32, x, 16), "");
    Value whole = LLVMBuildSelect(e->b, is_nan(e, x), number_like(e, DT_I32, x, 0x7fc0), top, "");
    return LLVMBuildTrunc(e->b, whole, emit_shape_like(e->i16, x), "");
}

/* Two vectors to thirty-two halves by one instruction; NaN, which it hands on, is made the one NaN, and then the halves
 * that belong together are brought together. */
static Value pair_lanes(Emit *e, Value upper, Value lower) {
    enum { BOTH = 2 * LANES };
    LLVMTypeRef halves = LLVMVectorType(e->i16, BOTH);
    Value at[BOTH], size[BOTH], inf[BOTH], nan[BOTH];
    for (int i = 0; i < BOTH; i++) {
        at[i] = emit_i32(e, i % 2 == 0 ? i / 2 : LANES + i / 2);
        size[i] = LLVMConstInt(e->i16, 0x7fff, false);
        inf[i] = LLVMConstInt(e->i16, 0x7f80, false);
        nan[i] = LLVMConstInt(e->i16, 0x7fc0, false);
    }
    Value v = emit_call(e, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", NULL, 0, (Value[]){upper, lower}, 2);
    v = LLVMBuildBitCast(e->b, v, halves, "");
    Value number = LLVMBuildICmp(e->b, LLVMIntULE, LLVMBuildAnd(e->b, v, LLVMConstVector(size, BOTH), ""),
                                 LLVMConstVector(inf, BOTH), "");
    v = LLVMBuildSelect(e->b, number, v, LLVMConstVector(nan, BOTH), "");
    v = LLVMBuildShuffleVector(e->b, v, v, LLVMConstVector(at, BOTH), "");
    return LLVMBuildBitCast(e->b, v, emit_vector(e->i32), "");
}

static Value pair_of(Emit *e, Value upper, Value lower) {
    if (e->has_bf16 && emit_is_vector(upper))
        return pair_lanes(e, upper, lower);
    LLVMTypeRef whole = emit_shape_like(e->i32, upper);
    Value high = LLVMBuildZExt(e->b, bf16_of(e, upper), whole, "");
    Value low = LLVMBuildZExt(e->b, bf16_of(e, lower), whole, "");
    return LLVMBuildOr(e->b, LLVMBuildShl(e->b, high, number_like(e, DT_I32, upper, 16), ""), low, "");
}

static Value f16_of(Emit *e, Value x) {
    Value half = LLVMBuildFPTrunc(e->b, x, emit_shape_like(e->f16, x), "");
    Value bits = LLVMBuildBitCast(e->b, half, emit_shape_like(e->i16, x), "");
    Value nan = constant_like(x, LLVMConstInt(e->i16, 0x7e00, false), e);
    return LLVMBuildSelect(e->b, is_nan(e, x), nan, bits, "");
}

/* A bf16 may hold a denormal that no f32 is allowed to be: adding nothing flushes it, as f32_of_bf16 does. */
static Value widen_half(Emit *e, DType from, Value v) {
    if (from == DT_F16) {
        Value half = LLVMBuildBitCast(e->b, v, emit_shape_like(e->f16, v), "");
        return LLVMBuildFPExt(e->b, half, emit_shape_like(e->f32, v), "");
    }
    Value wide = LLVMBuildZExt(e->b, v, emit_shape_like(e->i32, v), "");
    Value bits = LLVMBuildShl(e->b, wide, number_like(e, DT_I32, v, 16), "");
    Value exponent = LLVMBuildAnd(e->b, bits, number_like(e, DT_I32, v, 0x7f800000), "");
    Value tiny = LLVMBuildICmp(e->b, LLVMIntEQ, exponent, number_like(e, DT_I32, v, 0), "");
    Value zero = LLVMBuildAnd(e->b, bits, number_like(e, DT_I32, v, (double)0x80000000u), "");
    return LLVMBuildBitCast(e->b, LLVMBuildSelect(e->b, tiny, zero, bits, ""), emit_shape_like(e->f32, v),
        "");
}

/* The saturating conversion of LLVM works lane by lane on x86; this is six vector instructions.  The bounds are
 * the floats next to the range's ends, so that the plain conversion is defined. */
static Value i32_of_f32_lanes(Emit *e, Value v) {
    Value lowest = number_like(e, DT_F32, v, -2147483648.0), highest = number_like(e, DT_F32, v, 2147483520.0);
    Value number = LLVMBuildSelect(e->b, is_nan(e, v), number_like(e, DT_F32, v, 0), v, "");
    Value above = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOLT, number, lowest, ""), lowest, number, "");
    Value inside = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOGT, above, highest, ""), highest, above, "");
    Value whole = LLVMBuildFPToSI(e->b, inside, emit_shape_like(e->i32, v), "");
    Value over = LLVMBuildFCmp(e->b, LLVMRealOGT, number, highest, "");
    return LLVMBuildSelect(e->b, over, number_like(e, DT_I32, v, 2147483647), whole, "");
}

static Value int_of_float(Emit *e, DType to, DType from, Value v) {
    if (to == DT_I32 && from == DT_F32)
        return i32_of_f32_lanes(e, v);
    LLVMTypeRef t[2] = {emit_shape_like(emit_type(e, to), v), LLVMTypeOf(v)};
    return emit_call(e, to == DT_U8 ? "llvm.fptoui.sat" : "llvm.fptosi.sat", t, 2, &v, 1);
}

static Value cast_float(Emit *e, DType to, DType from, Value v) {
    switch (to) {
    case DT_F32: return from == DT_F32 ? v : LLVMBuildFPTrunc(e->b, v, emit_shape_like(e->f32, v), "");
    case DT_F64: return from == DT_F64 ? v : LLVMBuildFPExt(e->b, v, emit_shape_like(e->f64, v), "");
    case DT_BF16: return bf16_of(e, cast_float(e, DT_F32, from, v));
    case DT_F16:  return f16_of(e, cast_float(e, DT_F32, from, v));
    case DT_I32: case DT_I64: case DT_U8: return int_of_float(e, to, from, v);
    case DT_BOOL: return LLVMBuildFCmp(e->b, LLVMRealUNE, v, number_like(e, from, v, 0), "");
    case DT_COUNT: break;
    }
    GR_BUG("cast to %d", (int)to);
}

static Value cast_int(Emit *e, DType to, DType from, Value v) {
    bool is_unsigned = from == DT_BOOL || from == DT_U8;
    LLVMTypeRef t = emit_shape_like(emit_type(e, to), v);
    switch (to) {
    case DT_F32: case DT_F64:
        return is_unsigned ? LLVMBuildUIToFP(e->b, v, t, "") : LLVMBuildSIToFP(e->b, v, t, "");
    case DT_BF16: return bf16_of(e, cast_int(e, DT_F32, from, v));
    case DT_F16:  return f16_of(e, cast_int(e, DT_F32, from, v));
    case DT_I32: case DT_I64: case DT_U8: return LLVMBuildIntCast2(e->b, v, t, !is_unsigned, "");
    case DT_BOOL:
        return LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    case DT_COUNT: break;
    }
    GR_BUG("cast to %d", (int)to);
}

Value emit_cast(Emit *e, DType to, DType from, Value v) {
    if (to == from)
        return v;
    switch (from) {
    case DT_F32: case DT_F64: return cast_float(e, to, from, v);
    case DT_BF16: case DT_F16: return cast_float(e, to, DT_F32, widen_half(e, from, v));
    case DT_I32: case DT_I64: case DT_U8: case DT_BOOL: return cast_int(e, to, from, v);
    case DT_COUNT: break;
    }
    GR_BUG("cast from %d", (int)from);
}

Value emit_finite(Emit *e, DType t, Value v) {
    if (!dtype_is_float(t))
        return constant_like(v, LLVMConstInt(e->i1, 1, false), e);
    return LLVMBuildFCmp(e->b, LLVMRealOLT, unary(e, "llvm.fabs", v), number_like(e, t, v, 1.0 / 0.0), "");
}

static Value select_of(Emit *e, Value c, Value x, Value y) {
    emit_match(e, &x, &y);
    if (emit_is_vector(c)) {
        x = emit_splat(e, x);
        y = emit_splat(e, y);
    }
    if (LLVMIsConstant(c) && LLVMIsNull(c))
        return y;
    return LLVMBuildSelect(e->b, c, x, y, "");
}

static Value arithmetic(Emit *e, SOp op, DType t, Value a, Value b) {
    bool f = dtype_is_float(t);
    switch (op) {
    case S_add: return f ? LLVMBuildFAdd(e->b, a, b, "") : LLVMBuildAdd(e->b, a, b, "");
    case S_sub: return f ? LLVMBuildFSub(e->b, a, b, "") : LLVMBuildSub(e->b, a, b, "");
    case S_mul: return f ? LLVMBuildFMul(e->b, a, b, "") : LLVMBuildMul(e->b, a, b, "");
    case S_div: return LLVMBuildFDiv(e->b, a, b, "");
    case S_mulz: {
        Value none = LLVMBuildFCmp(e->b, LLVMRealOEQ, a, number_like(e, t, a, 0), "");
        return LLVMBuildSelect(e->b, none, number_like(e, t, a, 0), LLVMBuildFMul(e->b, a, b, ""), "");
    }
    case S_idiv: return floor_div(e, t, a, b, false);
    case S_mod:  return floor_div(e, t, a, b, true);
    case S_min:  return extremum(e, t, false, a, b);
    case S_max:  return extremum(e, t, true, a, b);
    case S_and:  return LLVMBuildAnd(e->b, a, b, "");
    case S_or:   return LLVMBuildOr(e->b, a, b, "");
    case S_xor:  return LLVMBuildXor(e->b, a, b, "");
    case S_shl:  return shift(e, LLVMShl, t, a, b);
    case S_shr:  return shift(e, LLVMLShr, t, a, b);
    case S_sar:  return shift(e, LLVMAShr, t, a, b);
    case S_const: case S_arg: case S_fma: case S_neg: case S_abs: case S_sign: case S_sqrt: case S_rint:
    case S_floor: case S_lt: case S_le: case S_eq: case S_isnan: case S_not: case S_select: case S_cast:
    case S_bitcast: case S_pair: case SOP_COUNT: break;
    }
    GR_BUG("%s takes no two operands", sop_name(op));
}

Value emit_scalar(Emit *e, SOp op, DType type, DType from, Imm imm, Value a, Value b, Value c) {
    if (op != S_select && sop_operands(op) >= 2)
        emit_match(e, &a, &b);
    bool f = dtype_is_float(type);
    switch (op) {
    case S_const: return emit_imm(e, type, imm);
    case S_arg:   return a;
    case S_fma:
        emit_match(e, &a, &c);
        emit_match(e, &a, &b);
        return fma_of(e, a, b, c);
    case S_neg:   return f ? LLVMBuildFNeg(e->b, a, "") : LLVMBuildNeg(e->b, a, "");
    case S_abs:
        if (f)
            return unary(e, "llvm.fabs", a);
        return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, a, number_like(e, type, a, 0), ""),
                               LLVMBuildNeg(e->b, a, ""), a, "");
    case S_sign:  return sign(e, type, a);
    case S_sqrt:  return unary(e, "llvm.sqrt", a);
    case S_rint:  return unary(e, "llvm.rint", a);
    case S_floor: return unary(e, "llvm.floor", a);
    case S_lt:
        if (dtype_is_float(from) && known_least(a) >= known_most(b))
            return LLVMConstNull(emit_shape_like(e->i1, a));
        return compare(e, from, LLVMRealOLT, from == DT_BOOL ? LLVMIntULT : LLVMIntSLT, a, b);
    case S_le:
        if (dtype_is_float(from) && known_least(a) > known_most(b))
            return LLVMConstNull(emit_shape_like(e->i1, a));
        return compare(e, from, LLVMRealOLE, from == DT_BOOL ? LLVMIntULE : LLVMIntSLE, a, b);
    case S_eq: return compare(e, from, LLVMRealOEQ, LLVMIntEQ, a, b);
    case S_isnan: return compare(e, from, LLVMRealUNO, LLVMIntNE, a, a);
    case S_not:   return LLVMBuildNot(e->b, a, "");
    case S_select: return select_of(e, a, b, c);
    case S_cast:  return emit_cast(e, type, from, a);
    case S_pair:  return pair_of(e, a, b);
    case S_bitcast: return LLVMBuildBitCast(e->b, a, emit_shape_like(emit_type(e, type), a), "");
    case S_add: case S_sub: case S_mul: case S_mulz: case S_div: case S_idiv: case S_mod: case S_min: case S_max:
    case S_and: case S_or: case S_xor: case S_shl: case S_shr: case S_sar:
        return arithmetic(e, op, type, a, b);
    case SOP_COUNT: break;
    }
    GR_BUG("scalar operation %d", (int)op);
}

Value emit_line(Emit *e, const SLine *line, const Value *args) {
    Value *v = PUSH(e->arena, Value, line->n);
    for (uint32_t k = 0; k < line->n; k++) {
        const SInst *in = &line->at[k];
        uint32_t n = sop_operands((SOp)in->op);
        DType from = n > 0 ? (DType)line->at[in->in[0]].type : (DType)in->type;
        Value a = in->op == S_arg ? args[in->imm.i] : n > 0 ? v[in->in[0]] : NULL;
        v[k] = emit_scalar(e, (SOp)in->op, (DType)in->type, from, in->imm, a, n > 1 ? v[in->in[1]] : NULL,
                           n > 2 ? v[in->in[2]] : NULL);
    }
    return v[line->result];
}
