/* Microkernels: the register-blocked product that every contraction is made of, one function for all shapes.
 *     void mk(k, a, a_k, b, b_k, t, blocks, list, accumulate)      (steps in elements, 64-bit integers)
 * sums a[list[l].a + p*a_k + r] * b[list[l].b + p*b_k + c] over l < blocks, p < k in that order into the rows x
 * columns tile t (list: pairs of 64-bit offsets), one fma chain an element, all chains in registers.  accumulate says
 * how chains start: MICRO_STORE from zero, MICRO_CONTINUE from what the tile holds.  The inner loop is what the
 * machine is measured by: columns/16 loads, `rows` broadcasts, rows*columns/16 fused steps. */
#include "emit.h"
#include "micro.h"

enum { UNROLL = 2 };

typedef struct {
    Emit *e;
    LLVMTypeRef vector;
    uint32_t rows, vectors;          /* of sixteen columns */
    Value k, a, a_k, b, b_k, t, blocks, list, accumulate;
} Micro;

typedef struct { Value acc[MICRO_MAX_ACCUMULATORS], a, b; } Sums;    /* with the operands' places */

static uint32_t accumulators(const Micro *m) { return m->rows * m->vectors; }

static Value tile_at(const Micro *m, uint32_t n) { return emit_at(m->e, m->e->f32, m->t, emit_i64(m->e,
    n * LANES)); }

static Value fused(Emit *e, Value x, Value y, Value z) {
    return emit_scalar(e, S_fma, DT_F32, DT_F32, (Imm){0}, x, y, z);
}

static Sums step(const Micro *m, Sums s) {
    Emit *e = m->e;
    Value column[4];
    for (uint32_t v = 0; v < m->vectors; v++)
        column[v] = emit_load(e, m->vector, emit_at(e, e->f32, s.b, emit_i64(e, v * LANES)), 4);
    for (uint32_t r = 0; r < m->rows; r++) {
        Value x = emit_splat(e, emit_load(e, e->f32, emit_at(e, e->f32, s.a, emit_i64(e, r)), 4));
        for (uint32_t v = 0; v < m->vectors; v++)
            s.acc[r * m->vectors + v] = fused(e, x, column[v], s.acc[r * m->vectors + v]);
    }
    s.a = emit_at(e, e->f32, s.a, m->a_k);
    s.b = emit_at(e, e->f32, s.b, m->b_k);
    return s;
}

static uint32_t pack(const Micro *m, const Sums *s, Value *out, bool places) {
    uint32_t n = accumulators(m);
    for (uint32_t i = 0; i < n; i++)
        out[i] = s->acc[i];
    if (places) {
        out[n++] = s->a;
        out[n++] = s->b;
    }
    return n;
}

static Sums unpack(const Micro *m, const Value *in, bool places) {
    Sums s = {{NULL}, NULL, NULL};
    uint32_t n = accumulators(m);
    for (uint32_t i = 0; i < n; i++)
        s.acc[i] = in[i];
    if (places) {
        s.a = in[n];
        s.b = in[n + 1];
    }
    return s;
}

static Sums steps(const Micro *m, Sums s, Value lo, Value hi, uint32_t unroll) {
    Emit *e = m->e;
    Value carry[MAX_CARRY];
    Loop l;
    uint32_t n = pack(m, &s, carry, true);
    loop_open(e, &l, lo, hi, unroll, n, carry);
    s = unpack(m, l.carry, true);
    for (uint32_t u = 0; u < unroll; u++)
        s = step(m, s);
    pack(m, &s, carry, true);
    loop_close(e, &l, carry);
    return unpack(m, l.carry, true);
}

/* k steps in pairs, then the rest. */
static Sums one_block(const Micro *m, Sums s) {
    Value whole = LLVMBuildAnd(m->e->b, m->k, emit_i64(m->e, -UNROLL), "");
    s = steps(m, s, emit_i64(m->e, 0), whole, UNROLL);
    return steps(m, s, whole, m->k, 1);
}

static Sums all_blocks(const Micro *m, Sums s) {
    Emit *e = m->e;
    Value carry[MAX_CARRY];
    Loop l;
    uint32_t n = pack(m, &s, carry, false);
    loop_open(e, &l, emit_i64(e, 0), m->blocks, 1, n, carry);
    s = unpack(m, l.carry, false);
    Value pair = emit_at(e, e->i64, m->list, emit_mul_i64(e, l.i, 2));
    s.a = emit_at(e, e->f32, m->a, emit_load(e, e->i64, pair, 8));
    s.b = emit_at(e, e->f32, m->b, emit_load(e, e->i64, emit_at(e, e->i64, pair, emit_i64(e, 1)), 8));
    s = one_block(m, s);
    pack(m, &s, carry, false);
    loop_close(e, &l, carry);
    return unpack(m, l.carry, false);
}

static Value is(const Micro *m, MicroMode mode) {
    return LLVMBuildICmp(m->e->b, LLVMIntEQ, m->accumulate, emit_i64(m->e, mode), "");
}

/* Zeros, or the tile. */
static Sums start(const Micro *m) {
    Emit *e = m->e;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b), then;
    Value zero = LLVMConstNull(m->vector);
    Sums s = {{NULL}, NULL, NULL};
    If f = if_open(e, is(m, MICRO_CONTINUE));
    then = LLVMGetInsertBlock(e->b);
    for (uint32_t i = 0; i < accumulators(m); i++)
        s.acc[i] = emit_load(e, m->vector, tile_at(m, i), 4);
    if_close(e, f);
    for (uint32_t i = 0; i < accumulators(m); i++) {
        Value phi = LLVMBuildPhi(e->b, m->vector, "");
        LLVMAddIncoming(phi, (Value[]){zero, s.acc[i]}, (LLVMBasicBlockRef[]){before, then}, 2);
        s.acc[i] = phi;
    }
    return s;
}

static void finish(const Micro *m, const Sums *s) {
    for (uint32_t i = 0; i < accumulators(m); i++)
        emit_store(m->e, s->acc[i], tile_at(m, i), 4);
    LLVMBuildRetVoid(m->e->b);
}

LLVMTypeRef emit_micro_type(const Emit *e) {
    LLVMTypeRef in[9] = {e->i64, e->ptr, e->i64, e->ptr, e->i64, e->ptr, e->i64, e->ptr, e->i64};
    return LLVMFunctionType(LLVMVoidTypeInContext(e->context), in, 9, false);
}

void emit_micro(Emit *e, const char *symbol, uint32_t rows, uint32_t columns) {
    Micro m = {.e = e, .vector = emit_vector(e->f32), .rows = rows, .vectors = columns / LANES};
    GR_ASSERT(accumulators(&m) <= MICRO_MAX_ACCUMULATORS && columns % LANES == 0);
    e->function = LLVMAddFunction(e->module, symbol, emit_micro_type(e));
    Value *at[9] = {&m.k, &m.a, &m.a_k, &m.b, &m.b_k, &m.t, &m.blocks, &m.list, &m.accumulate};
    for (unsigned i = 0; i < 9; i++)
        *at[i] = LLVMGetParam(e->function, i);
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, "entry"));
    Sums s = all_blocks(&m, start(&m));
    finish(&m, &s);
}
