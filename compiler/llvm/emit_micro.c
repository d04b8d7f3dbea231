/* Microkernels: the register-blocked product that every contraction is made of, one function for all shapes.
 *     void mk(k, a, a_k, b, b_k, t, blocks, list, accumulate)      (steps in elements, 64-bit integers)
 * sums a[list[l].a + p*a_k + r] * b[list[l].b + p*b_k + c] over l < blocks, p < k in that order into the rows x
 * columns tile t (list: pairs of 64-bit offsets), one fma chain an element, all chains in registers.  accumulate says
 * how chains start: MICRO_STORE from zero, MICRO_CONTINUE from what the tile holds.  The inner loop is what the
 * machine is measured by: columns/16 loads, `rows` broadcasts, rows*columns/16 fused steps, and as many lines of later
 * columns asked for, which may lie apart.
 *     void mk(.., accumulate, outer, inner)
 * makes several tiles, one behind the other in t, which share the columns: those of tile (i, j) come from
 * a + i*outer + j*inner.  So thin tiles together fill the registers and read b once.  MICRO_ALONE continues the first
 * tile and leaves the others.  `_at512_64_8` holds outer, inner and a_k: nine tiles and two steps take as many offsets
 * from a, which are constants then; in registers, of which there are too few, a third of all loads were of offsets.
 * Eight columns fill half a vector: then a vector holds a pair of rows, column by column, and the tile in memory stays
 * rows x 8.
 *     void mk(.., accumulate, from, places, end)
 * has columns that stand at places: a third number of each block shifts them, and where from + shift + column is no
 * place, the column leaves the block out.  Columns from + column >= end are nobody's, and hold anything.  Blocks that
 * all others have, most of them, take the usual loop.  `_edges_3` sums three vectors alone where no more stand before
 * the end.
 * Of operands that are pairs of bf16 a step is a pair: one instruction, which rounds after each of its two products as
 * a chain of fma does.  It begins with the upper half, so that is where the pair's first point lies.
 * Rows of a may lie further apart than one element; how far is part of the name, and a constant of each instruction. */
#include "emit.h"
#include "micro.h"
#include <stdio.h>
#include <string.h>

enum { UNROLL = 2, MICRO_NAME = 64 };

typedef struct {
    Emit *e;
    LLVMTypeRef vector;
    uint32_t rows, vectors, tiles;   /* of a tile: pairs of rows when they are paired; of sixteen columns */
    uint32_t pitch;                  /* vectors of a row of the tile in memory */
    bool pairs, halves;              /* halves: operands are pairs of bf16 */
    int64_t step;                    /* from row to row of a, or from pair to pair */
    Value k, a, a_k, b, b_k, t, blocks, list, accumulate;
    bool edges;
    Value from, places, end;
    Value next_a, next_b;            /* how far on the next block lies; NULL: it is not fetched */
    Value far;                       /* how far on columns are asked for, 0 where they are near; NULL: never */
    const MicroBetween *between;           /* NULL: steps of k follow each other */
    Value apart[MICRO_MAX_ACCUMULATORS];   /* of each tile: how far from the first its rows lie; of that NULL */
} Micro;

typedef struct { Value acc[MICRO_MAX_ACCUMULATORS], a, b; } Sums;    /* with the operands' places */

static uint32_t accumulators(const Micro *m) { return m->tiles * m->rows * m->vectors; }

/* Where sum n lies. */
static Value tile_at(const Micro *m, uint32_t n) {
    uint32_t at = n / m->vectors * m->pitch + n % m->vectors;
    return emit_at(m->e, m->e->f32, m->t, emit_i64(m->e, at * LANES));
}

static Value fused(Emit *e, Value x, Value y, Value z) {
    return emit_scalar(e, S_fma, DT_F32, DT_F32, (Imm){0}, x, y, z);
}

/* Two rows of eight columns to column by column, and back. */
static Value interleave(const Micro *m, Value v, bool back) {
    int64_t lane[LANES];
    for (int64_t l = 0; l < LANES; l++)
        lane[l] = back ? l % (LANES / 2) * 2 + l / (LANES / 2) : l % 2 * (LANES / 2) + l / 2;
    return m->pairs ? LLVMBuildShuffleVector(m->e->b, v, v, emit_lanes(lane, m->e->i32), "") : v;
}

/* Eight columns, each twice. */
static Value columns_twice(const Micro *m, Value at) {
    Emit *e = m->e;
    int64_t lane[LANES];
    for (int64_t l = 0; l < LANES; l++)
        lane[l] = l / 2;
    Value eight = emit_load(e, LLVMVectorType(e->f32, LANES / 2), at, 4);
    return LLVMBuildShuffleVector(e->b, eight, eight, emit_lanes(lane, e->i32), "");
}

/* A row, or two side by side, in all lanes. */
static Value row_spread(const Micro *m, Value at) {
    Emit *e = m->e;
    if (!m->pairs)
        return emit_splat(e, emit_load(e, e->f32, at, 4));
    LLVMTypeRef pair = e->f64, pairs = LLVMVectorType(pair, LANES / 2);
    Value x = LLVMBuildInsertElement(e->b, LLVMGetPoison(pairs), emit_load(e, pair, at, 4), emit_i32(e, 0), "");
    x = LLVMBuildShuffleVector(e->b, x, x, LLVMConstNull(LLVMVectorType(e->i32, LANES / 2)), "");
    return LLVMBuildBitCast(e->b, x, m->vector, "");
}

static Value column_at(const Micro *m, const Sums *s, uint32_t v) {
    Value at = emit_at(m->e, m->e->f32, s->b, emit_i64(m->e, v * LANES));
    return m->pairs ? columns_twice(m, at) : emit_load(m->e, m->vector, at, 4);
}

static Value row_at(const Micro *m, const Sums *s, uint32_t r) {
    Value apart = m->apart[r / m->rows], a = apart == NULL ? s->a : emit_at(m->e, m->e->f32, s->a, apart);
    return row_spread(m, emit_at(m->e, m->e->f32, a, emit_i64(m->e, r % m->rows * m->step)));
}

static Value fused_halves(Emit *e, Value x, Value y, Value z) {
    LLVMTypeRef halves = LLVMVectorType(LLVMBFloatTypeInContext(e->context), 2 * LANES);
    Value in[3] = {z, LLVMBuildBitCast(e->b, x, halves, ""), LLVMBuildBitCast(e->b, y, halves, "")};
    return emit_call(e, "llvm.x86.avx512bf16.dpbf16ps.512", NULL, 0, in, 3);
}

/* there: the lanes of each vector of columns that have the block; NULL: all. */
static Sums step(const Micro *m, Sums s, const Value *there) {
    Emit *e = m->e;
    uint32_t rows = m->rows * m->tiles;
    Value column[MICRO_MAX_VECTORS], row[MICRO_MAX_ACCUMULATORS];
    bool wide = m->vectors > rows;
    /* the fewer of both stay in registers */
    for (uint32_t v = 0; v < m->vectors && !wide; v++)
        column[v] = column_at(m, &s, v);
    for (uint32_t r = 0; r < rows && wide; r++)
        row[r] = row_at(m, &s, r);
    for (uint32_t i = 0; i < rows * m->vectors; i++) {
        uint32_t r = wide ? i % rows : i / m->vectors, v = wide ? i / rows : i % m->vectors;
        if (wide && r == 0)
            column[v] = column_at(m, &s, v);
        if (!wide && v == 0)
            row[r] = row_at(m, &s, r);
        Value before = s.acc[r * m->vectors + v];
        Value sum = (m->halves ? fused_halves : fused)(e, row[r], column[v], before);
        s.acc[r * m->vectors + v] = there == NULL ? sum : LLVMBuildSelect(e->b, there[v], sum, before, "");
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

/* The lines of the next block where this one stands.  Blocks lie apart, so the processor does not foresee them. */
static void fetch_next(const Micro *m, const Sums *s) {
    Emit *e = m->e;
    Value b = emit_at(e, e->f32, s->b, m->next_b);
    emit_fetch(e, emit_at(e, e->f32, s->a, m->next_a), false);
    for (uint32_t v = 0; v < m->vectors; v++)
        emit_fetch(e, emit_at(e, e->f32, b, emit_i64(e, v * LANES)), false);
}

/* Lines of columns some steps on.  Panels lie one line behind the other, and the processor fetches these by itself. */
static void fetch_columns(const Micro *m, const Sums *s) {
    Emit *e = m->e;
    for (uint32_t v = 0; v < m->vectors && m->far != NULL; v++) {
        Value on = LLVMBuildAdd(e->b, m->far, emit_i64(e, v * LANES), "");
        emit_fetch(e, emit_at(e, e->f32, s->b, on), false);
    }
}

static Sums steps(const Micro *m, Sums s, Value lo, Value hi, uint32_t unroll, const Value *there) {
    Emit *e = m->e;
    Value carry[MAX_CARRY];
    Loop l;
    uint32_t n = pack(m, &s, carry, true);
    loop_open(e, &l, lo, hi, unroll, n, carry);
    s = unpack(m, l.carry, true);
    if (m->between != NULL && unroll == m->between->steps)
        m->between->put(m->between->user, LLVMBuildUDiv(e->b, l.i, emit_i64(e, unroll), ""));
    for (uint32_t u = 0; u < unroll; u++) {
        if (m->next_a != NULL)
            fetch_next(m, &s);
        fetch_columns(m, &s);
        s = step(m, s, there);
    }
    pack(m, &s, carry, true);
    loop_close(e, &l, carry);
    return unpack(m, l.carry, true);
}

/* k steps in pairs, or as many as stand between two insertions, then the rest. */
static Sums one_block(const Micro *m, Sums s, const Value *there) {
    uint32_t unroll = m->between != NULL ? m->between->steps : UNROLL;
    Value whole = LLVMBuildAnd(m->e->b, m->k, emit_i64(m->e, -(int64_t)unroll), "");
    s = steps(m, s, emit_i64(m->e, 0), whole, unroll, there);
    return steps(m, s, whole, m->k, 1, there);
}

/* The same where some columns are left out: what they load is a place of another row. */
static Sums edge_block(const Micro *m, Sums s, Value first) {
    Emit *e = m->e;
    Value there[MICRO_MAX_VECTORS], lanes = emit_splat(e, LLVMBuildTrunc(e->b, first, e->i32, ""));
    Value places = emit_splat(e, LLVMBuildTrunc(e->b, m->places, e->i32, ""));
    for (uint32_t v = 0; v < m->vectors; v++) {
        Value column = LLVMBuildAdd(e->b, e->iota, emit_splat(e, emit_i32(e, v * LANES)), "");
        there[v] = LLVMBuildICmp(e->b, LLVMIntULT, LLVMBuildAdd(e->b, lanes, column, ""), places, "");
    }
    return one_block(m, s, there);
}

/* One of several ways from here on, each of which leaves its sums. */
static Sums joined(const Micro *m, const Sums *way, LLVMBasicBlockRef *from, uint32_t n) {
    Sums all = way[0];
    for (uint32_t i = 0; i < accumulators(m); i++) {
        all.acc[i] = LLVMBuildPhi(m->e->b, m->vector, "");
        for (uint32_t w = 0; w < n; w++)
            LLVMAddIncoming(all.acc[i], (Value[]){way[w].acc[i]}, &from[w], 1);
    }
    return all;
}

static Sums block_of_places(const Micro *m, Sums s, Value shift) {
    Emit *e = m->e;
    LLVMBasicBlockRef inside = emit_block(e, "inside"), border = emit_block(e, "border"), edge = emit_block(e, "edge"),
                      done = emit_block(e, "done");
    Value first = LLVMBuildAdd(e->b, m->from, shift, "");
    Value after = LLVMBuildAdd(e->b, first, emit_i64(e, m->vectors * LANES), "");
    Value last = emit_min_i64(e, after, LLVMBuildAdd(e->b, m->end, shift, ""));
    Value all = LLVMBuildAnd(e->b, LLVMBuildICmp(e->b, LLVMIntSGE, first, emit_i64(e, 0), ""),
                             LLVMBuildICmp(e->b, LLVMIntSLE, last, m->places, ""), "");
    LLVMBuildCondBr(e->b, all, inside, border);
    LLVMPositionBuilderAtEnd(e->b, inside);
    Sums way[3] = {one_block(m, s, NULL)};
    LLVMBasicBlockRef from[3] = {LLVMGetInsertBlock(e->b)};
    LLVMBuildBr(e->b, done);
    LLVMPositionBuilderAtEnd(e->b, border);
    Value some = LLVMBuildAnd(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, after, emit_i64(e, 0), ""),
                              LLVMBuildICmp(e->b, LLVMIntSLT, first, m->places, ""), "");
    way[1] = s, from[1] = border;
    LLVMBuildCondBr(e->b, some, edge, done);
    LLVMPositionBuilderAtEnd(e->b, edge);
    way[2] = edge_block(m, s, first);
    from[2] = LLVMGetInsertBlock(e->b);
    LLVMBuildBr(e->b, done);
    LLVMPositionBuilderAtEnd(e->b, done);
    return joined(m, way, from, 3);
}

static Value block_at(const Micro *m, Value block, int64_t which) {
    Emit *e = m->e;
    Value at = emit_at(e, e->i64, m->list, emit_mul_i64(e, block, m->edges ? 3 : 2));
    return emit_load(e, e->i64, emit_at(e, e->i64, at, emit_i64(e, which)), 8);
}

/* With the next block fetched, where a step has work enough to hide it; behind the last one that one again. */
static Micro fetching(const Micro *m, Value block) {
    enum { ENOUGH = 16 };
    Emit *e = m->e;
    Micro f = *m;
    if (m->edges || m->tiles > 1 || accumulators(m) < ENOUGH)
        return f;
    Value one = emit_i64(e, 1), last = LLVMBuildSub(e->b, m->blocks, one, "");
    Value next = emit_min_i64(e, LLVMBuildAdd(e->b, block, one, ""), last);
    f.next_a = LLVMBuildSub(e->b, block_at(m, next, 0), block_at(m, block, 0), "");
    f.next_b = LLVMBuildSub(e->b, block_at(m, next, 1), block_at(m, block, 1), "");
    return f;
}

static Sums all_blocks(const Micro *m, Sums s) {
    Emit *e = m->e;
    Value carry[MAX_CARRY];
    Loop l;
    uint32_t n = pack(m, &s, carry, false);
    loop_open(e, &l, emit_i64(e, 0), m->blocks, 1, n, carry);
    s = unpack(m, l.carry, false);
    s.a = emit_at(e, e->f32, m->a, block_at(m, l.i, 0));
    s.b = emit_at(e, e->f32, m->b, block_at(m, l.i, 1));
    Micro here = fetching(m, l.i);
    s = m->edges ? block_of_places(m, s, block_at(m, l.i, 2)) : one_block(&here, s, NULL);
    pack(m, &s, carry, false);
    loop_close(e, &l, carry);
    return unpack(m, l.carry, false);
}

static Value is(const Micro *m, MicroMode mode) {
    return LLVMBuildICmp(m->e->b, LLVMIntEQ, m->accumulate, emit_i64(m->e, mode), "");
}

static Sums loaded(const Micro *m) {
    Sums s = {{NULL}, NULL, NULL};
    for (uint32_t i = 0; i < accumulators(m); i++)
        s.acc[i] = interleave(m, emit_load(m->e, m->vector, tile_at(m, i), 4), false);
    return s;
}

/* Zeros, or the tile. */
static Sums start(const Micro *m) {
    Emit *e = m->e;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b), then;
    Value zero = LLVMConstNull(m->vector);
    If f = if_open(e, is(m, MICRO_CONTINUE));
    then = LLVMGetInsertBlock(e->b);
    Sums s = loaded(m);
    if_close(e, f);
    for (uint32_t i = 0; i < accumulators(m); i++) {
        Value phi = LLVMBuildPhi(e->b, m->vector, "");
        LLVMAddIncoming(phi, (Value[]){zero, s.acc[i]}, (LLVMBasicBlockRef[]){before, then}, 2);
        s.acc[i] = phi;
    }
    return s;
}

static void stored(const Micro *m, const Sums *s) {
    for (uint32_t i = 0; i < accumulators(m); i++)
        emit_store(m->e, interleave(m, s->acc[i], true), tile_at(m, i), 4);
}

static void finish(const Micro *m, const Sums *s) {
    stored(m, s);
    LLVMBuildRetVoid(m->e->b);
}

/* "_by512" at the end: how far apart rows lie.  The name before it. */
static bool shape_rows(const char *symbol, MicroShape *s, char name[MICRO_NAME]) {
    const char *by = strstr(symbol, "_by");
    size_t n = by == NULL ? strlen(symbol) : (size_t)(by - symbol);
    int used = 0;
    bool known = by == NULL || (sscanf(by, "_by%lld%n", &s->apart, &used) == 1 && by[used] == 0);
    if (n >= MICRO_NAME || !known || s->apart < 1 || s->apart > INT32_MAX)
        return false;
    memcpy(name, symbol, n);
    name[n] = 0;
    return true;
}

bool micro_shape(const char *whole, MicroShape *s) {
    static const char *const prefix[] = {"mk_f32_", "mk_bf16_"};
    char end, symbol[MICRO_NAME];
    *s = (MicroShape){.halves = strncmp(whole, prefix[1], strlen(prefix[1])) == 0, .apart = 1};
    if (!shape_rows(whole, s, symbol) || strncmp(symbol, prefix[s->halves], strlen(prefix[s->halves])) != 0)
        return false;
    const char *size = symbol + strlen(prefix[s->halves]);
    int n = sscanf(size, "%ux%u_%ux%u_at%lld_%lld_%lld%c", &s->rows, &s->columns, &s->outer, &s->inner,
                   &s->outer_step, &s->inner_step, &s->a_k, &end);
    s->fixed = n == 7;
    if (!s->fixed)
        n = sscanf(size, "%ux%u_%ux%u%c", &s->rows, &s->columns, &s->outer, &s->inner, &end);
    bool together = (s->fixed || n == 4) && s->outer > 0 && s->inner > 0;
    int used = 0, tail = 0;
    sscanf(size, "%ux%u_edges%n_%u%n", &s->rows, &s->columns, &used, &s->tail, &tail);
    s->edges = used > 0 && (size[used] == 0 || (tail > 0 && size[tail] == 0 && s->tail < s->columns / LANES));
    if (!together && !s->edges && sscanf(size, "%ux%u%c", &s->rows, &s->columns, &end) != 2)
        return false;
    uint64_t floats = (uint64_t)s->rows * s->columns, tiles = together ? (uint64_t)s->outer * s->inner : 1;
    bool pairs = s->columns == LANES / 2 && s->rows % 2 == 0 && !s->edges && s->apart == 1;
    return floats > 0 && (s->columns % LANES == 0 || pairs) && s->columns / LANES <= MICRO_MAX_VECTORS &&
           floats / LANES * tiles <= MICRO_MAX_ACCUMULATORS - 2;
}

LLVMTypeRef emit_micro_type(const Emit *e, bool together, bool edges) {
    LLVMTypeRef in[12] = {e->i64, e->ptr, e->i64, e->ptr, e->i64, e->ptr, e->i64, e->ptr, e->i64, e->i64, e->i64,
                          e->i64};
    return LLVMFunctionType(LLVMVoidTypeInContext(e->context), in, edges ? 12 : together ? 11 : 9, false);
}

/* The first of several tiles, and the end of the function for it. */
static void alone(const Micro *together) {
    Micro m = *together;
    m.tiles = 1;
    If f = if_open(m.e, is(&m, MICRO_ALONE));
    Sums s = all_blocks(&m, loaded(&m));
    finish(&m, &s);
    LLVMPositionBuilderAtEnd(m.e->b, f.after);
}

/* A tile whose last columns are nobody's, and the end of the function for it. */
static void narrow(const Micro *wide, uint32_t vectors) {
    Micro m = *wide;
    Emit *e = m.e;
    m.vectors = vectors;
    Value columns = LLVMBuildSub(e->b, m.end, m.from, "");
    If f = if_open(e, LLVMBuildICmp(e->b, LLVMIntSLE, columns, emit_i64(e, vectors * LANES), ""));
    Sums s = all_blocks(&m, start(&m));
    finish(&m, &s);
    LLVMPositionBuilderAtEnd(e->b, f.after);
}

static void place_tiles(Micro *m, const MicroShape *s) {
    Emit *e = m->e;
    Value outer = s->fixed ? emit_i64(e, s->outer_step) : LLVMGetParam(e->function, 9);
    Value inner = s->fixed ? emit_i64(e, s->inner_step) : LLVMGetParam(e->function, 10);
    for (uint32_t i = 1; i < m->tiles; i++) {
        Value row = emit_mul_i64(e, outer, i / s->inner);
        m->apart[i] = LLVMBuildAdd(e->b, row, emit_mul_i64(e, inner, i % s->inner), "");
    }
}

void emit_micro(Emit *e, const char *symbol, const MicroShape *shape) {
    bool together = shape->outer > 0;
    bool pairs = shape->columns < LANES;
    Micro m = {.e = e, .vector = emit_vector(e->f32), .pairs = pairs, .rows = pairs ? shape->rows / 2 : shape->rows,
               .vectors = pairs ? 1 : shape->columns / LANES, .pitch = pairs ? 1 : shape->columns / LANES,
               .tiles = together ? shape->outer * shape->inner : 1, .edges = shape->edges,
               .halves = shape->halves, .step = pairs ? 2 : shape->apart};
    e->function = LLVMAddFunction(e->module, symbol, emit_micro_type(e, together, shape->edges));
    Value *at[9] = {&m.k, &m.a, &m.a_k, &m.b, &m.b_k, &m.t, &m.blocks, &m.list, &m.accumulate};
    for (unsigned i = 0; i < 9; i++)
        *at[i] = LLVMGetParam(e->function, i);
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, "entry"));
    if (shape->fixed)
        m.a_k = emit_i64(e, shape->a_k);
    if (!m.edges && !together && !pairs) {
        enum { STEPS_ON = 24, APART = 128 };
        Value apart = LLVMBuildICmp(e->b, LLVMIntSGE, m.b_k, emit_i64(e, APART), "");
        m.far = LLVMBuildSelect(e->b, apart, emit_mul_i64(e, m.b_k, STEPS_ON), emit_i64(e, 0), "");
    }
    if (m.edges) {
        m.from = LLVMGetParam(e->function, 9);
        m.places = LLVMGetParam(e->function, 10);
        m.end = LLVMGetParam(e->function, 11);
    }
    if (shape->tail > 0)
        narrow(&m, shape->tail);
    if (together) {
        alone(&m);
        place_tiles(&m, shape);
    }
    Sums s = all_blocks(&m, start(&m));
    finish(&m, &s);
}

void emit_micro_here(Emit *e, const KTile *t, Value a, Value b, const MicroBetween *between) {
    Micro m = {.e = e, .vector = emit_vector(e->f32), .rows = t->mr, .vectors = t->nr / LANES, .pitch = t->nr / LANES,
               .tiles = 1, .step = t->a_r, .k = emit_i64(e, t->k), .a_k = emit_i64(e, t->a_k),
               .b_k = emit_i64(e, t->b_k), .t = e->buffer[t->out], .between = between};
    Sums s = {.a = a, .b = b};
    for (uint32_t i = 0; i < accumulators(&m); i++)
        s.acc[i] = LLVMConstNull(m.vector);
    s = one_block(&m, s, NULL);
    stored(&m, &s);
}
