/* Reductions in the one order of semantics 2: element r of a row goes to lane r mod 16 of chunk r / 4096,
 * lanes fold 8, 4, 2, 1, chunks as a tree.  Two shapes of the same thing.  Along the row the sixteen lanes
 * are one vector, and a step takes sixteen elements.  Across rows (the vector axis is a kept one, or there
 * is none) the lanes are sixteen accumulators, each a value of its own, on the stack; short rows of this
 * shape are written out so that the accumulators are registers. */
#include "emit.h"

/* instructions a row may become; a DAG above the second is emitted once, masked */
enum { WRITE_OUT = 320, HEAVY_ROW = 60 };

typedef struct {
    Dag *g;
    State state;
    uint32_t yield;
    bool squares;
    Value mean;
    Value segment, from;         /* of a row in segments: its number, and where in the row it begins; or NULL */
} Row;

static Value spread(const Dag *g, Value v) { return g->vec >= 0 || g->row_lanes ? emit_splat(g->e, v) : v; }

static Parts masked(Emit *e, const State *s, Value mask, Parts p) {
    Parts none = state_identity(e, s, true);
    for (uint32_t k = 0; k < s->n; k++)
        p.part[k] = LLVMBuildSelect(e->b, mask, p.part[k], none.part[k], "");
    return p;
}

/* Element r of the row, as a state.  The second pass of moments yields squared distances from the mean. */
static Parts element(const Row *w, Value r) {
    Dag *g = w->g;
    Emit *e = g->e;
    if (w->segment != NULL)
        dag_enter_segment(g, r, w->segment);
    else
        dag_enter_row(g, r);
    Parts p = {{spread(g, dag_value(g, w->yield))}};
    if (w->state.n == 2) {
        Value at = LLVMBuildTrunc(e->b, r, e->i32, "");
        p.part[1] = g->row_lanes ? LLVMBuildAdd(e->b, emit_splat(e, at), e->iota, "") : spread(g, at);
    }
    if (w->squares) {
        Value d = LLVMBuildFSub(e->b, p.part[0], spread(g, w->mean), "");
        p.part[0] = LLVMBuildFMul(e->b, d, d, "");
    }
    return p;
}

/* ---- along the row ---- */
/* Lanes from i on that lie below hi, and not before `from`. */
static Value mask_of(const Row *w, Value i, Value hi) {
    Emit *e = w->g->e;
    Value below = dag_tail_mask(e, i, hi);
    if (w->from == NULL)
        return below;
    Value skip = LLVMBuildSub(e->b, w->from, i, ""), zero = emit_i64(e, 0);
    skip = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, skip, zero, ""), skip, zero, "");
    Value bits = LLVMBuildTrunc(e->b, LLVMBuildShl(e->b, emit_i64(e, 0xffff), skip, ""), e->i16, "");
    return LLVMBuildAnd(e->b, below, LLVMBuildBitCast(e->b, bits, emit_vector(e->i1), ""), "");
}

/* An extremum of floats: NaN are set aside, so that a step waits for one instruction of the step before. */
static Parts loop_extremum(const Row *w, Value lo, Value hi, Parts acc, bool tail) {
    Emit *e = w->g->e;
    const Value first[2] = {acc.part[0], acc.part[0]};
    Loop l;
    loop_open(e, &l, lo, hi, LANES, 2, first);
    w->g->mask = tail ? mask_of(w, l.i, hi) : NULL;
    Parts more = element(w, l.i);
    if (tail)
        more = masked(e, &w->state, w->g->mask, more);
    w->g->mask = NULL;
    Value x = more.part[0];
    LLVMRealPredicate beyond = w->state.kind == REDUCE_MAX ? LLVMRealOGT : LLVMRealOLT;
    Value best = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, beyond, x, l.carry[0], ""), x, l.carry[0], "");
    Value nan = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, ""), x, l.carry[1], "");
    loop_close(e, &l, (Value[]){best, nan});
    Value any = LLVMBuildFCmp(e->b, LLVMRealUNO, l.carry[1], l.carry[1], "");
    return (Parts){{LLVMBuildSelect(e->b, any, l.carry[1], l.carry[0], "")}};
}

static Parts loop_along(const Row *w, Value lo, Value hi, Parts acc, bool tail) {
    Emit *e = w->g->e;
    Loop l;
    bool extremum = w->state.kind == REDUCE_MAX || w->state.kind == REDUCE_MIN;
    if (extremum && dtype_is_float(w->state.type))
        return loop_extremum(w, lo, hi, acc, tail);
    loop_open(e, &l, lo, hi, LANES, w->state.n, acc.part);
    Parts sum = {{NULL}};
    for (uint32_t k = 0; k < w->state.n; k++)
        sum.part[k] = l.carry[k];
    w->g->mask = tail ? mask_of(w, l.i, hi) : NULL;
    Parts more = element(w, l.i);
    if (tail)
        more = masked(e, &w->state, w->g->mask, more);
    sum = state_combine(e, &w->state, sum, more);
    w->g->mask = NULL;
    loop_close(e, &l, sum.part);
    for (uint32_t k = 0; k < w->state.n; k++)
        sum.part[k] = l.carry[k];
    return sum;
}

static Parts chunk_along(const Row *w, Value lo, Value hi, bool whole) {
    Emit *e = w->g->e;
    Parts acc = state_identity(e, &w->state, true);
    if (whole || stage_weight(w->g->e, w->g->s) > HEAVY_ROW)
        return state_fold_lanes(e, &w->state, loop_along(w, lo, hi, acc, !whole));
    Value n = LLVMBuildAnd(e->b, LLVMBuildSub(e->b, hi, lo, ""), emit_i64(e, -LANES), "");
    Value middle = LLVMBuildAdd(e->b, lo, n, "");
    acc = loop_along(w, lo, middle, acc, false);
    return state_fold_lanes(e, &w->state, loop_along(w, middle, hi, acc, true));
}

/* A row whose last axis is no multiple of a vector, and whose outer axes lie apart in memory.  It is walked one segment
 * (all of the last axis) after the other; the vectors stay where the numbering of the row has them, so a segment
 * begins and ends inside one. */
static Parts segment_along(const Row *w, Value from, Value to, Parts acc) {
    Emit *e = w->g->e;
    Row part = *w;
    Value first = LLVMBuildAnd(e->b, from, emit_i64(e, -LANES), "");
    part.from = from;
    if (stage_weight(e, w->g->s) > HEAVY_ROW)
        return loop_along(&part, first, to, acc, true);
    Value next = LLVMBuildAnd(e->b, LLVMBuildAdd(e->b, from, emit_i64(e, LANES - 1), ""), emit_i64(e, -LANES), "");
    Value last = LLVMBuildAnd(e->b, to, emit_i64(e, -LANES), "");
    Value after = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, next, last, ""), next, last, "");
    acc = loop_along(&part, first, emit_min_i64(e, next, to), acc, true);
    part.from = NULL;
    acc = loop_along(&part, next, last, acc, false);
    return loop_along(&part, after, to, acc, true);
}

static Parts chunk_in_segments(const Row *w, Value lo, Value hi) {
    Emit *e = w->g->e;
    Value extent = dag_extent(e, w->g->s->axis[w->g->s->n_axes - 1]), one = emit_i64(e, 1);
    Parts acc = state_identity(e, &w->state, true);
    Value begin = LLVMBuildUDiv(e->b, lo, extent, "");
    Value end = LLVMBuildAdd(e->b, LLVMBuildUDiv(e->b, LLVMBuildSub(e->b, hi, one, ""), extent, ""), one, "");
    Loop l;
    loop_open(e, &l, begin, end, 1, w->state.n, acc.part);
    for (uint32_t k = 0; k < w->state.n; k++)
        acc.part[k] = l.carry[k];
    Row part = *w;
    part.segment = l.i;
    Value start = LLVMBuildMul(e->b, l.i, extent, ""), stop = LLVMBuildAdd(e->b, start, extent, "");
    Value from = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, lo, start, ""), lo, start, "");
    acc = segment_along(&part, from, emit_min_i64(e, hi, stop), acc);
    loop_close(e, &l, acc.part);
    for (uint32_t k = 0; k < w->state.n; k++)
        acc.part[k] = l.carry[k];
    return state_fold_lanes(e, &w->state, acc);
}

/* ---- across rows ---- */
static Parts chunk_across(const Row *w, Value lo, Value hi) {
    Emit *e = w->g->e;
    const State *s = &w->state;
    Chunks lanes = chunks_create(e, s, LANES, w->g->vec >= 0);
    for (int l = 0; l < LANES; l++)
        chunks_put(e, &lanes, emit_i64(e, l), state_identity(e, s, false));
    Loop l;
    loop_open(e, &l, lo, hi, 1, 0, NULL);
    Parts more = element(w, l.i);
    Value lane = LLVMBuildAnd(e->b, l.i, emit_i64(e, LANES - 1), "");
    chunks_put(e, &lanes, lane, state_combine(e, s, chunks_get(e, &lanes, lane), more));
    loop_close(e, &l, NULL);
    Parts all[LANES];
    for (int k = 0; k < LANES; k++)
        all[k] = chunks_get(e, &lanes, emit_i64(e, k));
    return state_fold_array(e, s, all, LANES);
}

static Parts row_written_out(const Row *w, int64_t n) {
    Emit *e = w->g->e;
    Parts lane[LANES];
    for (int64_t r = 0; r < n; r++) {
        Parts more = element(w, emit_i64(e, r));
        lane[r % LANES] = r < LANES ? more : state_combine(e, &w->state, lane[r % LANES], more);
    }
    return state_fold_array(e, &w->state, lane, n < LANES ? (uint32_t)n : LANES);
}

static Parts chunk(const Row *w, Value lo, Value hi) {
    int64_t n = dag_longest_row(w->g);
    bool known = LLVMIsAConstantInt(dag_row_extent(w->g)) != NULL;
    if (dag_row_scattered(w->g))
        return chunk_in_segments(w, lo, hi);
    if (w->g->row_lanes)
        return chunk_along(w, lo, hi, known && n % LANES == 0);
    if (known && n <= CHUNK && n > 0 && n * (stage_weight(w->g->e, w->g->s) + 2) <= WRITE_OUT)
        return row_written_out(w, n);
    return chunk_across(w, lo, hi);
}

/* Two sweeps of a chunk that lies in the first cache: its mean, then the squares around it. */
static Parts chunk_moments(const Row *w, Value lo, Value hi) {
    Emit *e = w->g->e;
    Value n = LLVMBuildTrunc(e->b, LLVMBuildSub(e->b, hi, lo, ""), e->i32, "");
    if (w->g->vec >= 0)
        n = emit_splat(e, n);
    Row sweep = *w;
    sweep.state = state_of(REDUCE_SUM, DT_F32);
    Value sum = chunk(&sweep, lo, hi).part[0];
    sweep.squares = true;
    sweep.mean = LLVMBuildFDiv(e->b, sum, emit_cast(e, DT_F32, DT_I32, n), "");
    return (Parts){{n, sweep.mean, chunk(&sweep, lo, hi).part[0]}};
}

static Parts any_chunk(const Row *w, Value lo, Value hi) {
    return w->state.kind == REDUCE_MOMENTS ? chunk_moments(w, lo, hi) : chunk(w, lo, hi);
}

static Parts or_empty(const Row *w, Value n, Parts p) {
    Emit *e = w->g->e;
    if (LLVMIsAConstantInt(n))
        return LLVMConstIntGetSExtValue(n) == 0 ? state_empty(e, &w->state) : p;
    Value none = LLVMBuildICmp(e->b, LLVMIntEQ, n, emit_i64(e, 0), "");
    Parts empty = state_empty(e, &w->state);
    for (uint32_t k = 0; k < w->state.n; k++)
        p.part[k] = emit_scalar(e, S_select, w->state.part[k], DT_BOOL, (Imm){0}, none, empty.part[k],
            p.part[k]);
    return p;
}

static Parts row(const Row *w) {
    Emit *e = w->g->e;
    Value n = dag_row_extent(w->g);
    int64_t n_max = dag_longest_row(w->g);
    if (n_max <= CHUNK)
        return or_empty(w, n, n_max == 0 ? state_empty(e, &w->state) : any_chunk(w, emit_i64(e, 0), n));
    Chunks partial = chunks_create(e, &w->state, (n_max + CHUNK - 1) / CHUNK, w->g->vec >= 0);
    chunks_put(e, &partial, emit_i64(e, 0), state_identity(e, &w->state, false));
    Loop l;
    loop_open(e, &l, emit_i64(e, 0), n, CHUNK, 0, NULL);
    Value hi = emit_min_i64(e, LLVMBuildAdd(e->b, l.i, emit_i64(e, CHUNK), ""), n);
    Parts p = any_chunk(w, l.i, hi);
    chunks_put(e, &partial, LLVMBuildLShr(e->b, l.i, emit_i64(e, 12), ""), p);
    loop_close(e, &l, NULL);
    Value chunks = LLVMBuildLShr(e->b, LLVMBuildAdd(e->b, n, emit_i64(e, CHUNK - 1), ""), emit_i64(e, 12),
        "");
    return or_empty(w, n, chunks_fold(e, &partial, chunks));
}

static void reduce_body(Dag *g, void *user) {
    Row *w = user;
    Parts p = row(w);
    /* value | position | mean and M2 */
    uint32_t first = w->state.n - 1 - (w->state.kind == REDUCE_MOMENTS);
    for (uint32_t k = first; k < w->state.n; k++)
        dag_put_result(g, k - first, w->state.part[k], p.part[k]);
}

void emit_reduce(Emit *e, const Stage *s) {
    if (emit_pick(e, s))
        return;
    Dag *g = dag_create(e, s, s->n_keep);
    Row w = {.g = g, .state = state_of(s->reduce, dag_type(g, s->yield[0])), .yield = s->yield[0]};
    dag_loops(g, reduce_body, &w);
}

/* ---- a reduction over the head: rows of a partial buffer, and their fold ---- */
static void accum_body(Dag *g, void *user) {
    const State *s = user;
    uint32_t out = g->s->out[0] - 1;
    Parts sum = {{access_load_moved(g, out, g->n_loops, s->type, NULL)}};
    Parts more = {{dag_value(g, g->s->yield[0])}};
    emit_match(g->e, &sum.part[0], &more.part[0]);
    access_store(g, out, g->n_loops, state_combine(g->e, s, sum, more).part[0], s->type, NULL);
}

void emit_accum(Emit *e, const Stage *s) {
    Dag *g = dag_create(e, s, s->n_axes);
    State state = state_of(s->reduce, dag_type(g, s->yield[0]));
    dag_loops(g, accum_body, &state);
}

static void clear_body(Dag *g, void *user) {
    const State *s = user;
    access_store(g, g->s->out[0] - 1, g->n_loops, spread(g, state_identity(g->e, s, false).part[0]), s->type,
        NULL);
}

void emit_accum_clear(Emit *e, const Stage *s) {
    State state = state_of(s->reduce, (DType)e->kernel->insts.at[s->first + s->yield[0]].type);
    Stage bare = *s;
    bare.n = 0;
    dag_loops(dag_create(e, &bare, s->n_axes), clear_body, &state);
}

static Parts fold_chunk(Dag *g, const State *s, Value first_row, int64_t row_elements) {
    Parts lane[LANES];
    for (int l = 0; l < LANES; l++) {
        Value r = LLVMBuildAdd(g->e->b, first_row, emit_i64(g->e, l), "");
        Value move = emit_mul_i64(g->e, r, row_elements);
        lane[l] = (Parts){{spread(g, access_load_moved(g, g->s->out[1] - 1, g->n_loops, s->type, move))}};
    }
    return state_fold_array(g->e, s, lane, LANES);
}

static void fold_body(Dag *g, void *user) {
    Emit *e = g->e;
    const State *s = user;
    const Stage *stage = g->s;
    int64_t chunks = stage->fold_chunks;
    if (chunks == 0) {
        dag_put_result(g, 0, s->type, state_empty(e, s).part[0]);
        return;
    }
    int64_t row_elements = e->kernel->bufs.at[e->kernel->accesses.at[stage->out[1] - 1].buf].count / (LANES * chunks);
    if (chunks == 1) {
        dag_put_result(g, 0, s->type, fold_chunk(g, s, emit_i64(e, 0), row_elements).part[0]);
        return;
    }
    Chunks partial = chunks_create(e, s, chunks, g->vec >= 0);
    Loop l;
    loop_open(e, &l, emit_i64(e, 0), emit_i64(e, chunks), 1, 0, NULL);
    chunks_put(e, &partial, l.i, fold_chunk(g, s, emit_mul_i64(e, l.i, LANES), row_elements));
    loop_close(e, &l, NULL);
    dag_put_result(g, 0, s->type, chunks_fold(e, &partial, emit_i64(e, chunks)).part[0]);
}

void emit_fold(Emit *e, const Stage *s) {
    State state = state_of(s->reduce, kernel_yield_type(e->kernel, s));
    dag_loops(dag_create(e, s, s->n_axes), fold_body, &state);
}
