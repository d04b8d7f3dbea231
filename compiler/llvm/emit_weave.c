/* Turned blocks with few rows that leave no gap in memory: element (i, l) of n rows of sixteen lanes lies at n * l + i,
 * as two taps of every channel do.  Then no square is turned: the rows are woven into n vectors that are stored side by
 * side, or n vectors are loaded and taken apart.  Two rows are one shuffle a vector, four are two rows of pairs, and so
 * on; of an odd number each vector is gathered from all rows. */
#include "emit.h"
#include <string.h>

static Value pick(Emit *e, Value a, Value b, const int64_t lane[LANES]) {
    return LLVMBuildShuffleVector(e->b, a, b, emit_lanes(lane, e->i32), "");
}

/* Vector `which` of the woven ones, or (apart) row `which`: one shuffle for each vector that has part of it. */
static Value gathered(Emit *e, const Value *from, uint32_t n, uint32_t which, bool apart) {
    Value all = from[0];
    for (uint32_t source = 0; source < n; source++) {
        int64_t lane[LANES];
        for (int64_t l = 0; l < LANES; l++) {
            int64_t place = apart ? n * l + which : LANES * which + l;
            bool here = (apart ? place / LANES : place % n) == source;
            lane[l] = here ? LANES + (apart ? place % LANES : place / n) : l;
        }
        all = pick(e, all, from[source], lane);
    }
    return all;
}

static void weave_odd(Emit *e, Value *v, uint32_t n, bool apart) {
    Value out[WOVEN];
    for (uint32_t i = 0; i < n; i++)
        out[i] = gathered(e, v, n, i, apart);
    memcpy(v, out, n * sizeof *v);
}

/* Element l of a, then element l of b, for the lower or the upper eight. */
static Value zip(Emit *e, Value a, Value b, bool upper) {
    int64_t lane[LANES];
    for (int64_t l = 0; l < LANES; l++)
        lane[l] = l / 2 + (upper ? LANES / 2 : 0) + (l % 2 != 0 ? LANES : 0);
    return pick(e, a, b, lane);
}

static Value every_other(Emit *e, Value a, Value b, bool odd) {
    int64_t lane[LANES];
    for (int64_t l = 0; l < LANES; l++)
        lane[l] = 2 * l + odd;
    return pick(e, a, b, lane);
}

/* n rows to n vectors: even and odd rows each woven, then element by element. */
static void weave(Emit *e, Value *v, uint32_t n) {
    Value half[2][WOVEN / 2];
    if (n % 2 != 0) {
        weave_odd(e, v, n, false);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        half[i % 2][i / 2] = v[i];
    weave(e, half[0], n / 2);
    weave(e, half[1], n / 2);
    for (uint32_t i = 0; i < n; i++)
        v[i] = zip(e, half[0][i / 2], half[1][i / 2], i % 2 != 0);
}

static void unweave(Emit *e, Value *v, uint32_t n) {
    Value half[2][WOVEN / 2];
    if (n % 2 != 0) {
        weave_odd(e, v, n, true);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        half[i % 2][i / 2] = every_other(e, v[i & ~1u], v[i | 1u], i % 2 != 0);
    unweave(e, half[0], n / 2);
    unweave(e, half[1], n / 2);
    for (uint32_t i = 0; i < n; i++)
        v[i] = half[i % 2][i / 2];
}

/* Which lanes of vector i there are, when that many lanes of a row are; NULL: all. */
static Value lanes_of(Emit *e, uint32_t n, uint32_t i, Value lanes) {
    if (lanes == NULL)
        return NULL;
    Value first = emit_i64(e, i * LANES), end = emit_mul_i64(e, lanes, n);
    Value none = LLVMBuildICmp(e->b, LLVMIntSLT, end, first, "");
    return dag_tail_mask(e, first, LLVMBuildSelect(e->b, none, first, end, ""));
}

void weave_store(Emit *e, DType stored, Value square, Value to, uint32_t n, Value lanes) {
    LLVMTypeRef element = emit_storage(e, stored), row = emit_vector(element);
    Value v[WOVEN];
    for (uint32_t i = 0; i < n; i++)
        v[i] = emit_load(e, row, emit_at(e, row, square, emit_i64(e, i)), BUFFER_ALIGN / LANES);
    weave(e, v, n);
    for (uint32_t i = 0; i < n; i++)
        access_store_vector(e, v[i], emit_at(e, element, to, emit_i64(e, i * LANES)), dtype_bytes(stored),
                            lanes_of(e, n, i, lanes));
}

/* A vector without a lane is read from the stack: its own place may be anywhere behind the buffer. */
static Value load_some(Emit *e, LLVMTypeRef row, Value at, unsigned align, Value mask) {
    if (mask == NULL)
        return emit_load(e, row, at, align);
    at = LLVMBuildSelect(e->b, emit_any(e, mask), at, e->dummy, "");
    return access_load_masked(e, row, at, align, mask);
}

void weave_load(Emit *e, DType stored, Value square, Value from, uint32_t n, Value lanes) {
    LLVMTypeRef element = emit_storage(e, stored), row = emit_vector(element);
    Value v[WOVEN];
    for (uint32_t i = 0; i < n; i++)
        v[i] = load_some(e, row, emit_at(e, element, from, emit_i64(e, i * LANES)), dtype_bytes(stored),
                         lanes_of(e, n, i, lanes));
    unweave(e, v, n);
    for (uint32_t i = 0; i < n; i++)
        emit_store(e, v[i], emit_at(e, row, square, emit_i64(e, i)), BUFFER_ALIGN / LANES);
}
