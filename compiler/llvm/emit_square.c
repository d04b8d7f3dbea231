/* Turning a square of 16 x 16 elements: rows become columns on their way to memory or from it.  It is 64 shuffles,
 * which the back end takes milliseconds over, so a module has one function for each width of element and its kernels
 * call it:
 *   void turn_BITS(void *square, void *to, int64_t across, int16_t lanes, int64_t rows)
 * stores the elements that `lanes` selects of the first `rows` turned rows, row l at to + l * across elements; the
 * square may be overwritten.
 *   void fetch_BITS(void *square, void *from, int64_t across, int16_t lanes, int64_t rows)
 * loads such rows and leaves the square turned.  No other memory is read; what the square holds for it is anything. */
#include "emit.h"

/* Element j of row i goes to element i of row j, in four rounds: blocks of 8, 4, 2, 1 change places across
 * the diagonal. */
static void turn(Emit *e, Value row[LANES]) {
    for (int step = LANES / 2; step > 0; step /= 2) {
        Value low[LANES], high[LANES];
        for (int j = 0; j < LANES; j++) {
            low[j] = emit_i32(e, (j & step) == 0 ? j : LANES + j - step);
            high[j] = emit_i32(e, (j & step) == 0 ? j + step : LANES + j);
        }
        Value take_low = LLVMConstVector(low, LANES), take_high = LLVMConstVector(high, LANES);
        for (int i = 0; i < LANES; i++) {
            if ((i & step) != 0)
                continue;
            Value a = row[i], b = row[i + step];
            row[i] = LLVMBuildShuffleVector(e->b, a, b, take_low, "");
            row[i + step] = LLVMBuildShuffleVector(e->b, a, b, take_high, "");
        }
    }
}

typedef struct { Value square, memory, across, lanes, rows; LLVMTypeRef element, row; unsigned bytes; } Square;

static Value square_row(Emit *e, const Square *s, Value i) { return emit_at(e, s->row, s->square, i); }

static Value memory_row(Emit *e, const Square *s, Value i) {
    return emit_at(e, s->element, s->memory, LLVMBuildNSWMul(e->b, i, s->across, ""));
}

/* All rows, from registers: `whole` ones without the mask, the others with it. */
static void store_all(Emit *e, const Square *s, const Value row[LANES], Value mask, int whole) {
    for (int i = 0; i < LANES; i++)
        access_store_vector(e, row[i], memory_row(e, s, emit_i64(e, i)), s->bytes, i < whole ? NULL : mask);
    LLVMBuildRetVoid(e->b);
}

/* Some rows, by way of the square: a register has no index. */
static void store_some(Emit *e, const Square *s, const Value row[LANES], Value mask) {
    for (int i = 0; i < LANES; i++)
        emit_store(e, row[i], square_row(e, s, emit_i64(e, i)), BUFFER_ALIGN / LANES);
    Loop l;
    loop_open(e, &l, emit_i64(e, 0), s->rows, 1, 0, NULL);
    Value v = emit_load(e, s->row, square_row(e, s, l.i), BUFFER_ALIGN / LANES);
    access_store_vector(e, v, memory_row(e, s, l.i), s->bytes, mask);
    loop_close(e, &l, NULL);
    LLVMBuildRetVoid(e->b);
}

/* Does each row end where the next begins, and is it at least half a vector?  Then what a whole vector writes past
 * its row is written again by the rows behind it; a masked store takes several times as long as a whole one. */
static Value rows_touch(Emit *e, const Square *s) {
    Value n = LLVMBuildZExt(e->b, emit_call(e, "llvm.ctpop", &e->i16, 1, (Value[]){s->lanes}, 1), e->i64, "");
    Value touch = LLVMBuildICmp(e->b, LLVMIntEQ, n, s->across, "");
    Value half = LLVMBuildICmp(e->b, LLVMIntSGE, n, emit_i64(e, LANES / 2), "");
    return LLVMBuildAnd(e->b, touch, half, "");
}

static void body(Emit *e, const Square *s) {
    Value row[LANES], mask = LLVMBuildBitCast(e->b, s->lanes, emit_vector(e->i1), "");
    for (int i = 0; i < LANES; i++)
        row[i] = emit_load(e, s->row, square_row(e, s, emit_i64(e, i)), BUFFER_ALIGN / LANES);
    turn(e, row);
    LLVMBasicBlockRef all = emit_block(e, "all"), whole = emit_block(e, "whole"), cut = emit_block(e, "cut"),
                      dense = emit_block(e, "dense"), apart = emit_block(e, "apart"), some = emit_block(e, "some");
    Value every_row = LLVMBuildICmp(e->b, LLVMIntEQ, s->rows, emit_i64(e, LANES), "");
    LLVMBuildCondBr(e->b, every_row, all, some);
    LLVMPositionBuilderAtEnd(e->b, all);
    Value every_lane = LLVMBuildICmp(e->b, LLVMIntEQ, s->lanes, LLVMConstAllOnes(e->i16), "");
    LLVMBuildCondBr(e->b, every_lane, whole, cut);
    LLVMPositionBuilderAtEnd(e->b, whole);
    store_all(e, s, row, NULL, LANES);
    LLVMPositionBuilderAtEnd(e->b, cut);
    LLVMBuildCondBr(e->b, rows_touch(e, s), dense, apart);
    LLVMPositionBuilderAtEnd(e->b, dense);
    store_all(e, s, row, mask, LANES - 1);
    LLVMPositionBuilderAtEnd(e->b, apart);
    store_all(e, s, row, mask, 0);
    LLVMPositionBuilderAtEnd(e->b, some);
    store_some(e, s, row, mask);
}

static Square parameters(Value f, LLVMTypeRef element, unsigned bytes) {
    return (Square){LLVMGetParam(f, 0), LLVMGetParam(f, 1), LLVMGetParam(f, 2), LLVMGetParam(f, 3), LLVMGetParam(f, 4),
                    element, emit_vector(element), bytes};
}

static void turn_body(Emit *e, Value f, LLVMTypeRef element, unsigned bytes) {
    Square s = parameters(f, element, bytes);
    body(e, &s);
}

/* Rows behind the last are that one again. */
static void fetch_rows(Emit *e, const Square *s, Value mask) {
    Value row[LANES], last = LLVMBuildSub(e->b, s->rows, emit_i64(e, 1), "");
    for (int i = 0; i < LANES; i++) {
        Value at = memory_row(e, s, emit_min_i64(e, emit_i64(e, i), last));
        row[i] = mask == NULL ? emit_load(e, s->row, at, s->bytes) : access_load_masked(e, s->row, at, s->bytes, mask);
    }
    turn(e, row);
    for (int i = 0; i < LANES; i++)
        emit_store(e, row[i], square_row(e, s, emit_i64(e, i)), BUFFER_ALIGN / LANES);
    LLVMBuildRetVoid(e->b);
}

static void fetch_body(Emit *e, Value f, LLVMTypeRef element, unsigned bytes) {
    Square s = parameters(f, element, bytes);
    LLVMBasicBlockRef whole = emit_block(e, "whole"), cut = emit_block(e, "cut");
    Value every_lane = LLVMBuildICmp(e->b, LLVMIntEQ, s.lanes, LLVMConstAllOnes(e->i16), "");
    LLVMBuildCondBr(e->b, every_lane, whole, cut);
    LLVMPositionBuilderAtEnd(e->b, whole);
    fetch_rows(e, &s, NULL);
    LLVMPositionBuilderAtEnd(e->b, cut);
    fetch_rows(e, &s, LLVMBuildBitCast(e->b, s.lanes, emit_vector(e->i1), ""));
}

static void turn_8(Emit *e, Value f) { turn_body(e, f, e->i8, 1); }
static void turn_16(Emit *e, Value f) { turn_body(e, f, e->i16, 2); }
static void turn_32(Emit *e, Value f) { turn_body(e, f, e->i32, 4); }
static void turn_64(Emit *e, Value f) { turn_body(e, f, e->i64, 8); }
static void fetch_8(Emit *e, Value f) { fetch_body(e, f, e->i8, 1); }
static void fetch_16(Emit *e, Value f) { fetch_body(e, f, e->i16, 2); }
static void fetch_32(Emit *e, Value f) { fetch_body(e, f, e->i32, 4); }
static void fetch_64(Emit *e, Value f) { fetch_body(e, f, e->i64, 8); }

typedef struct {
    const char *name;
    void (*body)(Emit *e, Value f);
} Helper;

static Helper helper_for(DType stored, bool fetch) {
    switch (dtype_bytes(stored)) {
    case 1: return fetch ? (Helper){"fetch_8", fetch_8} : (Helper){"turn_8", turn_8};
    case 2: return fetch ? (Helper){"fetch_16", fetch_16} : (Helper){"turn_16", turn_16};
    case 4: return fetch ? (Helper){"fetch_32", fetch_32} : (Helper){"turn_32", turn_32};
    case 8: return fetch ? (Helper){"fetch_64", fetch_64} : (Helper){"turn_64", turn_64};
    }
    GR_BUG("elements of %u bytes", (unsigned)dtype_bytes(stored));
}

static void call(Emit *e, Helper h, Value square, Value memory, int64_t across, Value mask, Value rows) {
    LLVMTypeRef in[] = {e->ptr, e->ptr, e->i64, e->i16, e->i64};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), in, 5, false);
    Value lanes = mask == NULL ? LLVMConstAllOnes(e->i16) : LLVMBuildBitCast(e->b, mask, e->i16, "");
    LLVMBuildCall2(e->b, type, emit_helper(e, h.name, type, h.body),
                   (Value[]){square, memory, emit_i64(e, across), lanes, rows}, 5, "");
}

void square_store(Emit *e, DType stored, Value square, Value to, int64_t across, Value mask, Value rows) {
    call(e, helper_for(stored, false), square, to, across, mask, rows);
}

void square_load(Emit *e, DType stored, Value square, Value from, int64_t across, Value mask, Value rows) {
    call(e, helper_for(stored, true), square, from, across, mask, rows);
}
