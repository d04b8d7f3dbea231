/* Types, constants, lanes and loops: the small words in which the other files of the emitter speak. No
 * pass runs over what they make, so they fold what is known (the builder does that for constants) and
 * loops are built in the shape the back end likes: entered through a test, left through a test at the
 * bottom. */
#include "emit.h"
#include <string.h>

LLVMTypeRef emit_type(const Emit *e, DType t) {
    switch (t) {
    case DT_F32:  return e->f32;
    case DT_F64:  return e->f64;
    case DT_I32:  return e->i32;
    case DT_I64:  return e->i64;
    case DT_BOOL: return e->i1;
    case DT_BF16: case DT_F16: return e->i16;
    case DT_U8:   return e->i8;
    case DT_COUNT: break;
    }
    GR_BUG("type %d", (int)t);
}

LLVMTypeRef emit_storage(const Emit *e, DType t) { return t == DT_BOOL ? e->i8 : emit_type(e, t); }

LLVMTypeRef emit_vector(LLVMTypeRef scalar) { return LLVMVectorType(scalar, LANES); }

bool emit_is_vector(Value v) { return LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind; }

LLVMTypeRef emit_shape_like(LLVMTypeRef scalar, Value like) {
    return emit_is_vector(like) ? emit_vector(scalar) : scalar;
}

Value emit_i64(const Emit *e, int64_t x) { return LLVMConstInt(e->i64, (uint64_t)x, true); }
Value emit_i32(const Emit *e, int64_t x) { return LLVMConstInt(e->i32, (uint64_t)x & 0xffffffffu, false); }

/* An f32 immediate is kept as a double; it is rounded and flushed here, as the interpreter does. */
Value emit_imm(const Emit *e, DType t, Imm imm) {
    switch (t) {
    case DT_F32: return LLVMConstBitCast(emit_i32(e, f32_bits(f32_of_f64(imm.f))), e->f32);
    case DT_F64: {
        uint64_t bits;
        memcpy(&bits, &imm.f, sizeof bits);
        return LLVMConstBitCast(LLVMConstInt(e->i64, bits, false), e->f64);
    }
    case DT_I32:  return emit_i32(e, imm.i);
    case DT_I64:  return emit_i64(e, imm.i);
    case DT_BOOL: return LLVMConstInt(e->i1, imm.i != 0, false);
    case DT_BF16: case DT_F16: case DT_U8: case DT_COUNT: break;
    }
    GR_BUG("an immediate of storage type %s", dtype_name(t));
}

Value emit_lanes(const int64_t *at, LLVMTypeRef t) {
    Value v[LANES];
    for (int l = 0; l < LANES; l++)
        v[l] = LLVMConstInt(t, (uint64_t)at[l], true);
    return LLVMConstVector(v, LANES);
}

Value emit_splat(Emit *e, Value v) {
    if (emit_is_vector(v))
        return v;
    LLVMTypeRef vt = emit_vector(LLVMTypeOf(v));
    if (LLVMIsConstant(v)) {
        Value same[LANES];
        for (int l = 0; l < LANES; l++)
            same[l] = v;
        return LLVMConstVector(same, LANES);
    }
    Value one = LLVMBuildInsertElement(e->b, LLVMGetPoison(vt), v, emit_i32(e, 0), "");
    return LLVMBuildShuffleVector(e->b, one, LLVMGetPoison(vt), LLVMConstNull(emit_vector(e->i32)), "");
}

void emit_match(Emit *e, Value *x, Value *y) {
    if (emit_is_vector(*x) || emit_is_vector(*y)) {
        *x = emit_splat(e, *x);
        *y = emit_splat(e, *y);
    }
}

/* An unknown name or a wrong overload list would crash inside LLVM: both are caught here. */
Value emit_call(Emit *e, const char *name, LLVMTypeRef *overload, unsigned n_overload, Value *in,
    unsigned n) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (id == 0 || LLVMIntrinsicIsOverloaded(id) != (n_overload > 0))
        GR_BUG("LLVM has no intrinsic %s with %u overloads", name, n_overload);
    Value f = LLVMGetIntrinsicDeclaration(e->module, id, overload, n_overload);
    LLVMTypeRef ft = LLVMGlobalGetValueType(f);
    if (LLVMCountParamTypes(ft) != n)
        GR_BUG("intrinsic %s takes %u operands, not %u", name, LLVMCountParamTypes(ft), n);
    return LLVMBuildCall2(e->b, ft, f, in, n, "");
}

Value emit_local(Emit *e, LLVMTypeRef t, int64_t count, unsigned align) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->b), entry = LLVMGetEntryBasicBlock(e->function);
    Value first = LLVMGetFirstInstruction(entry);
    if (first != NULL) {
        LLVMPositionBuilderBefore(e->b, first);
    } else {
        LLVMPositionBuilderAtEnd(e->b, entry);
    }
    Value v = LLVMBuildAlloca(e->b, LLVMArrayType2(t, (uint64_t)count), "");
    LLVMSetAlignment(v, align);
    LLVMPositionBuilderAtEnd(e->b, here);
    return v;
}

Value emit_at(Emit *e, LLVMTypeRef t, Value base, Value index) {
    if (LLVMIsAConstantInt(index) && LLVMConstIntGetSExtValue(index) == 0)
        return base;
    return LLVMBuildGEP2(e->b, t, base, &index, 1, "");
}

Value emit_load(Emit *e, LLVMTypeRef t, Value at, unsigned align) {
    Value v = LLVMBuildLoad2(e->b, t, at, "");
    LLVMSetAlignment(v, align);
    return v;
}

void emit_store(Emit *e, Value v, Value at, unsigned align) { LLVMSetAlignment(LLVMBuildStore(e->b, v, at),
    align); }

static void fetch(Emit *e, Value at, int write, int near) {
    Value in[4] = {at, emit_i32(e, write), emit_i32(e, near), emit_i32(e, 1)};       /* .., data */
    emit_call(e, "llvm.prefetch", &e->ptr, 1, in, 4);
}

void emit_fetch(Emit *e, Value at, bool near) { fetch(e, at, 0, near ? 3 : 2); }
void emit_fetch_to_write(Emit *e, Value at) { fetch(e, at, 1, 3); }

Value emit_mul_i64(Emit *e, Value x, int64_t by) {
    return by == 1 ? x : LLVMBuildMul(e->b, x, emit_i64(e, by), "");
}

Value emit_min_i64(Emit *e, Value x, Value y) {
    return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, x, y, ""), x, y, "");
}

Value emit_any(Emit *e, Value v) {
    if (!emit_is_vector(v))
        return v;
    Value bits = LLVMBuildBitCast(e->b, v, e->i16, "");
    return LLVMBuildICmp(e->b, LLVMIntNE, bits, LLVMConstNull(e->i16), "");
}

LLVMBasicBlockRef emit_block(Emit *e, const char *name) {
    return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}

void emit_attribute(Emit *e, Value f, const char *name) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    GR_ASSERT(kind != 0);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(e->context, kind, 0));
}

Value emit_helper(Emit *e, const char *name, LLVMTypeRef type, void (*body)(Emit *e, Value function)) {
    Value f = LLVMGetNamedFunction(e->module, name), caller = e->function;
    if (f != NULL)
        return f;
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    e->function = f = LLVMAddFunction(e->module, name, type);
    LLVMSetLinkage(f, LLVMInternalLinkage);
    emit_attribute(e, f, "nounwind");
    if (e->sanitize)
        emit_attribute(e, f, "sanitize_address");
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, "entry"));
    body(e, f);
    e->function = caller;
    LLVMPositionBuilderAtEnd(e->b, back);
    return f;
}

void loop_open(Emit *e, Loop *l, Value lo, Value hi, int64_t step, uint32_t n, const Value *carry) {
    *l = (Loop){.n = n, .lo = lo, .hi = hi, .step = emit_i64(e, step)};
    l->before = LLVMGetInsertBlock(e->b);
    l->body = emit_block(e, "loop");
    l->after = emit_block(e, "after");
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, lo, hi, ""), l->body, l->after);
    LLVMPositionBuilderAtEnd(e->b, l->body);
    l->i = LLVMBuildPhi(e->b, e->i64, "i");
    LLVMAddIncoming(l->i, &lo, &l->before, 1);
    for (uint32_t k = 0; k < n; k++) {
        l->first[k] = carry[k];
        l->carry[k] = LLVMBuildPhi(e->b, LLVMTypeOf(carry[k]), "");
        LLVMAddIncoming(l->carry[k], &l->first[k], &l->before, 1);
    }
}

void loop_close(Emit *e, Loop *l, const Value *next) {
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    Value i = LLVMBuildNSWAdd(e->b, l->i, l->step, "");
    LLVMAddIncoming(l->i, &i, &latch, 1);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, i, l->hi, ""), l->body, l->after);
    for (uint32_t k = 0; k < l->n; k++)
        LLVMAddIncoming(l->carry[k], (Value *)&next[k], &latch, 1);
    LLVMPositionBuilderAtEnd(e->b, l->after);
    for (uint32_t k = 0; k < l->n; k++) {
        Value out = LLVMBuildPhi(e->b, LLVMTypeOf(l->first[k]), "");
        LLVMAddIncoming(out, &l->first[k], &l->before, 1);
        LLVMAddIncoming(out, (Value *)&next[k], &latch, 1);
        l->carry[k] = out;
    }
}

If if_open(Emit *e, Value condition) {
    LLVMBasicBlockRef then = emit_block(e, "then");
    If f = {emit_block(e, "done")};
    LLVMBuildCondBr(e->b, condition, then, f.after);
    LLVMPositionBuilderAtEnd(e->b, then);
    return f;
}

void if_close(Emit *e, If f) {
    LLVMBuildBr(e->b, f.after);
    LLVMPositionBuilderAtEnd(e->b, f.after);
}
