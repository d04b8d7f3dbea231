/* Random words (semantics 8): Philox4x32-10 as in base/philox.c, sixteen blocks at a time. A block gives
 * four words, and the words of sixteen consecutive blocks are the elements of four consecutive vectors
 * (that is what the numbering of elements is for).  So the four vectors of words are kept on the stack: a
 * vector of sixteen consecutive elements that begins at a multiple of sixteen computes them when they are
 * not those of its blocks, else it only loads.  Any other vector of elements computes its own blocks and
 * picks a word in each lane. */
#include "emit.h"

static Value like(Emit *e, Value v, Value constant) { return emit_is_vector(v) ? emit_splat(e, constant)
    : constant; }
static Value shifted(Emit *e, Value v, unsigned by) { return LLVMBuildLShr(e->b, v, like(e, v, emit_i32(e,
    by)), ""); }
static Value masked(Emit *e, Value v, unsigned bits) { return LLVMBuildAnd(e->b, v, like(e, v, emit_i32(e,
    bits)), ""); }

typedef struct { Value high, low; } Product;

/* Lanes in pairs, as they lie: a 64-bit element holds two of them, and the product of each takes one. */
static Product wide_product_of_lanes(Emit *e, Value x, uint32_t by) {
    LLVMTypeRef lanes = emit_vector(e->i32), pairs = LLVMVectorType(e->i64, LANES / 2);
    Value c[4], at[LANES / 2];
    const uint64_t constants[4] = {by, 32, UINT32_MAX, ~(uint64_t)UINT32_MAX};
    for (int i = 0; i < 4; i++) {
        for (int l = 0; l < LANES / 2; l++)
            at[l] = LLVMConstInt(e->i64, constants[i], false);
        c[i] = LLVMConstVector(at, LANES / 2);
    }
    Value factor = c[0], half = c[1], low = c[2], high = c[3], both = LLVMBuildBitCast(e->b, x, pairs, "");
    Value even = LLVMBuildMul(e->b, LLVMBuildAnd(e->b, both, low, ""), factor, "");
    Value odd = LLVMBuildMul(e->b, LLVMBuildLShr(e->b, both, half, ""), factor, "");
    Value highs = LLVMBuildOr(e->b, LLVMBuildLShr(e->b, even, half, ""), LLVMBuildAnd(e->b, odd, high, ""), "");
    Value lows = LLVMBuildOr(e->b, LLVMBuildAnd(e->b, even, low, ""), LLVMBuildShl(e->b, odd, half, ""), "");
    return (Product){LLVMBuildBitCast(e->b, highs, lanes, ""), LLVMBuildBitCast(e->b, lows, lanes, "")};
}

static Product wide_product(Emit *e, Value x, uint32_t by) {
    if (emit_is_vector(x))
        return wide_product_of_lanes(e, x, by);
    Value p = LLVMBuildMul(e->b, LLVMBuildZExt(e->b, x, e->i64, ""), LLVMConstInt(e->i64, by, false), "");
    Value top = LLVMBuildLShr(e->b, p, emit_i64(e, 32), "");
    return (Product){LLVMBuildTrunc(e->b, top, e->i32, ""), LLVMBuildTrunc(e->b, p, e->i32, "")};
}

static Value xor3(Emit *e, Value x, Value y, Value z) {
    return LLVMBuildXor(e->b, LLVMBuildXor(e->b, x, y, ""), z, "");
}

/* A round of the words c[0..3] with the keys c[4] and c[5]. */
static void next_round(Emit *e, const Value c[6], Value next[6]) {
    Product p0 = wide_product(e, c[0], 0xD2511F53u), p1 = wide_product(e, c[2], 0xCD9E8D57u);
    next[0] = xor3(e, p1.high, c[1], c[4]);
    next[1] = p1.low;
    next[2] = xor3(e, p0.high, c[3], c[5]);
    next[3] = p0.low;
    next[4] = LLVMBuildAdd(e->b, c[4], like(e, c[4], emit_i32(e, 0x9E3779B9u)), "");
    next[5] = LLVMBuildAdd(e->b, c[5], like(e, c[5], emit_i32(e, 0xBB67AE85u)), "");
}

/* The four words of the blocks that hold the elements.  The rounds are a loop: one behind the other they are as fast,
 * but LLVM, which asks of each bit where it comes from, takes fifteen times as long over them. */
static void blocks(Emit *e, const Keys *k, Value element, Value c[4]) {
    enum { ROUNDS = 10, CARRIED = 6 };
    Value high = LLVMBuildShl(e->b, shifted(e, element, 6), like(e, element, emit_i32(e, 4)), "");
    Value first[CARRIED] = {LLVMBuildOr(e->b, high, masked(e, element, LANES - 1), ""), k->iteration, k->clock,
                            k->phase, k->seed, k->stream}, next[CARRIED];
    for (int i = 1; i < 2 * CARRIED; i++)                   /* twice round: when one has lanes, all have */
        emit_match(e, &first[i % CARRIED], &first[0]);
    Loop l;
    loop_open(e, &l, emit_i64(e, 0), emit_i64(e, ROUNDS), 1, CARRIED, first);
    next_round(e, l.carry, next);
    loop_close(e, &l, next);
    for (int i = 0; i < 4; i++)
        c[i] = l.carry[i];
}

static Value picked(Emit *e, Value element, const Value c[4]) {
    Value which = masked(e, shifted(e, element, 4), 3), word = c[0];
    for (int k = 1; k < 4; k++) {
        Value is = LLVMBuildICmp(e->b, LLVMIntEQ, which, like(e, which, emit_i32(e, k)), ""), one = c[k];
        emit_match(e, &one, &word);
        word = LLVMBuildSelect(e->b, is, one, word, "");
    }
    return word;
}

Value emit_word(Emit *e, const Keys *k, Value element) {
    Value c[4];
    blocks(e, k, element, c);
    return picked(e, element, c);
}

/* ---- words that are kept ---- */
enum { WORDS, SEED, STREAM, CLOCK, PHASE, ITERATION, PLAIN, FILL_PARAMETERS };

/* `words` comes with sixteen elements in its first vector and goes with the words of their blocks or, where they are
 * not one behind the other, with the word of each in its first vector. */
static void fill_body(Emit *e, Value f) {
    LLVMTypeRef v = emit_vector(e->i32);
    Value words = LLVMGetParam(f, WORDS), element = emit_load(e, v, words, BUFFER_ALIGN), c[4];
    Keys k = {LLVMGetParam(f, SEED), LLVMGetParam(f, CLOCK), LLVMGetParam(f, PHASE), LLVMGetParam(f, ITERATION),
              LLVMGetParam(f, STREAM)};
    blocks(e, &k, element, c);
    c[0] = LLVMBuildSelect(e->b, LLVMGetParam(f, PLAIN), c[0], picked(e, element, c), "");
    for (int i = 0; i < 4; i++)
        emit_store(e, c[i], emit_at(e, v, words, emit_i64(e, i)), BUFFER_ALIGN);
    LLVMBuildRetVoid(e->b);
}

/* Ten rounds are long and the same for all: a module has them once. */
static void fill_words(Emit *e, const Keys *k, Value words, Value plain) {
    LLVMTypeRef in[FILL_PARAMETERS];
    for (int i = 0; i < FILL_PARAMETERS; i++)
        in[i] = i == WORDS ? e->ptr : i == PLAIN ? e->i1 : e->i32;
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), in, FILL_PARAMETERS, false);
    Value f = emit_helper(e, "philox_words", type, fill_body);
    Value args[FILL_PARAMETERS] = {[WORDS] = words, [SEED] = k->seed, [STREAM] = k->stream, [CLOCK] = k->clock,
                                   [PHASE] = k->phase, [ITERATION] = k->iteration, [PLAIN] = plain};
    LLVMBuildCall2(e->b, type, f, args, FILL_PARAMETERS, "");
}

Kept emit_kept(Emit *e) {
    return (Kept){emit_local(e, emit_vector(e->i32), 4, BUFFER_ALIGN), emit_local(e, e->i32, 1, 4)};
}

void emit_forget(Emit *e, const Kept *kept) { emit_store(e, emit_i32(e, -1), kept->group, 4); }

Value emit_word_kept(Emit *e, const Keys *k, const Kept *kept, Value element) {
    LLVMTypeRef v = emit_vector(e->i32);
    Value first = LLVMBuildExtractElement(e->b, element, emit_i32(e, 0), "");
    Value row = LLVMBuildAdd(e->b, emit_splat(e, first), e->iota, "");
    Value differs = emit_any(e, LLVMBuildICmp(e->b, LLVMIntNE, element, row, ""));
    Value begins = LLVMBuildICmp(e->b, LLVMIntEQ, masked(e, first, LANES - 1), emit_i32(e, 0), "");
    Value plain = LLVMBuildAnd(e->b, begins, LLVMBuildNot(e->b, differs, ""), "");
    Value group = LLVMBuildSelect(e->b, plain, shifted(e, first, 6), emit_i32(e, -1), "");
    Value old = emit_load(e, e->i32, kept->group, 4);
    Value other = LLVMBuildICmp(e->b, LLVMIntNE, group, old, "");
    If f = if_open(e, LLVMBuildOr(e->b, other, LLVMBuildNot(e->b, plain, ""), ""));
    emit_store(e, element, kept->words, BUFFER_ALIGN);
    fill_words(e, k, kept->words, plain);
    emit_store(e, group, kept->group, 4);
    if_close(e, f);
    Value which = LLVMBuildSelect(e->b, plain, masked(e, shifted(e, first, 4), 3), emit_i32(e, 0), "");
    return emit_load(e, v, emit_at(e, v, kept->words, LLVMBuildZExt(e->b, which, e->i64, "")), BUFFER_ALIGN);
}
