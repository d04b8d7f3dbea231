/* Reductions whose lanes run along the row (emit_reduce.c): a step takes sixteen elements.  The sum of a row is
 * one chain of additions, each waiting for the one before; so several rows that lie side by side in the stage (points
 * of its last kept axis) are walked at once, each with its own copy of the DAG and its own accumulators, and share
 * the loop, the masks and where the row stands. */
#include "emit.h"

/* a segment of fewer elements is emitted once, masked */
enum { SHORT_SEGMENT = 8 * LANES };

static Parts masked(Emit *e, const State *s, Value mask, Parts p) {
    Parts none = state_identity(e, s, true);
    for (uint32_t k = 0; k < s->n; k++)
        p.part[k] = LLVMBuildSelect(e->b, mask, p.part[k], none.part[k], "");
    return p;
}

/* The second pass of moments yields squared distances from the mean. */
Parts row_element(const Row *w, Value r) {
    Dag *g = w->g;
    Emit *e = g->e;
    if (w->segment != NULL)
        dag_enter_segment(g, r, w->segment);
    else
        dag_enter_row(g, r);
    Parts p = {{dag_spread(g, dag_value(g, w->yield))}};
    if (w->state.n == 2) {
        Value at = LLVMBuildTrunc(e->b, r, e->i32, "");
        p.part[1] = g->row_lanes ? LLVMBuildAdd(e->b, emit_splat(e, at), e->iota, "") : dag_spread(g, at);
    }
    if (w->squares) {
        Value d = LLVMBuildFSub(e->b, p.part[0], dag_spread(g, w->mean), "");
        p.part[0] = LLVMBuildFMul(e->b, d, d, "");
    }
    return p;
}

/* Element r of each row, with the lanes that `mask` leaves out at the identity; NULL: all count.  Stores that
 * nobody here reads come last, behind the loads of all rows: a load right behind a store to an address with the
 * same low bits waits for it. */
static void elements(const Row *w, uint32_t n, Value r, Value mask, Parts *out) {
    for (uint32_t u = 0; u < n; u++) {
        w[u].g->mask = mask;
        out[u] = row_element(&w[u], r);
        if (mask != NULL)
            out[u] = masked(w->g->e, &w[u].state, mask, out[u]);
    }
    for (uint32_t u = 0; u < n; u++) {
        dag_stores(w[u].g);
        w[u].g->mask = NULL;
    }
}

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

/* An extremum of floats: NaN are set aside, so that a step waits for one instruction of the step before.  Its loop
 * carries the best number and the last NaN, or a number. */
static bool sets_aside(const State *s) {
    return (s->kind == REDUCE_MAX || s->kind == REDUCE_MIN) && dtype_is_float(s->type);
}

static uint32_t parts_of(const Row *w, bool stepping) { return stepping && sets_aside(&w->state) ? 2 : w->state.n; }

/* The accumulators of n rows as what a loop carries, row by row, and back; stepping: between two steps of a row. */
static uint32_t to_carry(const Row *w, uint32_t n, bool stepping, const Parts *p, Value *carry) {
    uint32_t c = 0;
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t k = 0; k < parts_of(&w[u], stepping); k++)
            carry[c++] = p[u].part[k];
    return c;
}

static void of_carry(const Row *w, uint32_t n, bool stepping, const Value *carry, Parts *p) {
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t k = 0; k < parts_of(&w[u], stepping); k++)
            p[u].part[k] = *carry++;
}

static Parts step(Emit *e, const State *s, Parts acc, Parts more) {
    if (!sets_aside(s))
        return state_combine(e, s, acc, more);
    LLVMRealPredicate beyond = s->kind == REDUCE_MAX ? LLVMRealOGT : LLVMRealOLT;
    Value x = more.part[0], best = acc.part[0], nan = acc.part[1];
    best = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, beyond, x, best, ""), x, best, "");
    nan = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, ""), x, nan, "");
    return (Parts){{best, nan}};
}

/* What is left of the two. */
static Parts stepped(Emit *e, const State *s, Parts acc) {
    if (!sets_aside(s))
        return acc;
    Value any = LLVMBuildFCmp(e->b, LLVMRealUNO, acc.part[1], acc.part[1], "");
    return (Parts){{LLVMBuildSelect(e->b, any, acc.part[1], acc.part[0], "")}};
}

/* The same rows, with DAGs of their own. */
static void rows_again(const Row *w, uint32_t n, Row *out) {
    for (uint32_t u = 0; u < n; u++) {
        out[u] = w[u];
        out[u].g = dag_copy(w[u].g);
        for (uint32_t k = 0; k < u; k++) {
            if (w[u].g->before == w[k].g)
                out[u].g->before = out[k].g;
            if (w[u].g->beside == w[k].g)
                out[u].g->beside = out[k].g;
        }
    }
}

/* Elements i .. i+31, in the order of the row. */
static void two_steps(const Row *w, uint32_t n, Value i, Parts *acc) {
    Emit *e = w->g->e;
    Row again[MAX_ROWS];
    Parts first[MAX_ROWS], second[MAX_ROWS];
    rows_again(w, n, again);
    Value next = LLVMBuildNSWAdd(e->b, i, emit_i64(e, LANES), "");
    Braid both = braid_first(e);
    elements(w, n, i, NULL, first);
    braid_second(&both);
    elements(again, n, next, NULL, second);
    braid_close(e, &both);
    for (uint32_t u = 0; u < n; u++)
        acc[u] = step(e, &w[u].state, step(e, &w[u].state, acc[u], first[u]), second[u]);
}

/* TAIL: masked.  PAIRS: braided, for a multiple of 32 elements.  TURNS: sixteen elements are some segments. */
typedef enum { PLAIN, TAIL, PAIRS, TURNS } How;

/* Adds elements lo .. hi-1 of each row to its accumulator. */
static void loop_along(const Row *w, uint32_t n, Value lo, Value hi, Parts *acc, How how) {
    Emit *e = w->g->e;
    Value carry[MAX_CARRY];
    for (uint32_t u = 0; u < n; u++)
        if (sets_aside(&w[u].state))
            acc[u].part[1] = acc[u].part[0];
    Loop l;
    loop_open(e, &l, lo, hi, how == PAIRS ? 2 * LANES : LANES, to_carry(w, n, true, acc, carry), carry);
    of_carry(w, n, true, l.carry, acc);
    if (how == PAIRS) {
        two_steps(w, n, l.i, acc);
    } else {
        Parts more[MAX_ROWS];
        for (uint32_t u = 0; u < n && how == TURNS; u++)
            ahead_turns(w[u].g, l.i);
        elements(w, n, l.i, how == TAIL ? mask_of(w, l.i, hi) : NULL, more);
        for (uint32_t u = 0; u < n; u++)
            acc[u] = step(e, &w[u].state, acc[u], more[u]);
    }
    to_carry(w, n, true, acc, carry);
    loop_close(e, &l, carry);
    of_carry(w, n, true, l.carry, acc);
    for (uint32_t u = 0; u < n; u++)
        acc[u] = stepped(e, &w[u].state, acc[u]);
}

static uint32_t weight_of(const Row *w, uint32_t n) {
    uint32_t weight = 0;
    for (uint32_t u = 0; u < n; u++)
        weight += stage_weight(w[u].g->e, w[u].g->s);
    return weight;
}

/* Rows at once overlap as they are, unless one of them is long by itself. */
static bool braids(const Row *w, uint32_t n, int64_t elements) {
    bool any = false, all = true;
    for (uint32_t u = 0; u < n; u++) {
        any |= braid_pays(w->g->e, w[u].g->s, elements);
        all &= braid_fits(w->g->e, w[u].g->s);
    }
    return any && all;
}

/* A row whose last axis is no multiple of a vector, and whose outer axes lie apart in memory.  It is walked one segment
 * (all of the last axis) after the other; the vectors stay where the numbering of the row has them, so a segment
 * begins and ends inside one. */
static void segment_along(const Row *w, uint32_t n, Value from, Value to, Parts *acc) {
    Emit *e = w->g->e;
    int64_t longest = dag_segment_extent(w->g);
    Row part[MAX_ROWS];
    for (uint32_t u = 0; u < n; u++) {
        part[u] = w[u];
        part[u].from = from;
    }
    Value first = LLVMBuildAnd(e->b, from, emit_i64(e, -LANES), "");
    if (longest < SHORT_SEGMENT || emit_once(weight_of(w, n), longest)) {
        loop_along(part, n, first, to, acc, TAIL);
        return;
    }
    Value next = LLVMBuildAnd(e->b, LLVMBuildAdd(e->b, from, emit_i64(e, LANES - 1), ""), emit_i64(e, -LANES), "");
    Value last = LLVMBuildAnd(e->b, to, emit_i64(e, -LANES), "");
    Value after = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, next, last, ""), next, last, "");
    loop_along(part, n, first, emit_min_i64(e, next, to), acc, TAIL);
    for (uint32_t u = 0; u < n; u++)
        part[u].from = NULL;
    loop_along(part, n, next, last, acc, PLAIN);
    loop_along(part, n, after, to, acc, TAIL);
}

/* How many of the rows are those of one place: the stages of a sweep. */
static uint32_t stages_of(const Row *w, uint32_t n) {
    uint32_t stages = 1;
    while (stages < n && w[stages].g->before != NULL)
        stages++;
    return stages;
}

/* Long segments of neighbouring rows are walked one after the other, as they lie in memory. */
static void chunk_in_segments(const Row *w, uint32_t n, Value lo, Value hi, Parts *acc) {
    Emit *e = w->g->e;
    e->segments = true;
    Value extent = dag_extent(e, w->g->s->axis[w->g->s->n_axes - 1]), one = emit_i64(e, 1);
    Value none = LLVMBuildICmp(e->b, LLVMIntEQ, extent, emit_i64(e, 0), "");   /* then hi is 0, and no segment runs */
    extent = LLVMBuildSelect(e->b, none, one, extent, "");
    Value begin = LLVMBuildUDiv(e->b, lo, extent, "");
    Value up = LLVMBuildSub(e->b, LLVMBuildAdd(e->b, hi, extent, ""), one, "");
    Value end = LLVMBuildUDiv(e->b, up, extent, "");
    Value carry[MAX_CARRY];
    Loop l;
    loop_open(e, &l, begin, end, 1, to_carry(w, n, false, acc, carry), carry);
    of_carry(w, n, false, l.carry, acc);
    Row part[MAX_ROWS];
    for (uint32_t u = 0; u < n; u++) {
        part[u] = w[u];
        part[u].segment = l.i;
        ahead_segment(w[u].g, l.i);
    }
    Value start = LLVMBuildMul(e->b, l.i, extent, ""), stop = LLVMBuildAdd(e->b, start, extent, "");
    Value from = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, lo, start, ""), lo, start, "");
    Value to = emit_min_i64(e, hi, stop);
    uint32_t pair = 2 * stages_of(w, n), at_once = dag_segment_extent(w->g) < SHORT_SEGMENT || n < pair ? n : pair;
    for (uint32_t u = 0; u < n; u += at_once)
        segment_along(part + u, at_once, from, to, acc + u);
    to_carry(w, n, false, acc, carry);
    loop_close(e, &l, carry);
    of_carry(w, n, false, l.carry, acc);
}

void row_chunk_along(const Row *w, uint32_t n, Value lo, Value hi, bool whole, Parts *out) {
    Emit *e = w->g->e;
    int64_t longest = dag_longest_row(w->g);
    bool pairs = braids(w, n, longest);
    for (uint32_t u = 0; u < n; u++)
        out[u] = state_identity(e, &w[u].state, true);
    if (whole && dag_row_in_turns(w->g)) {
        loop_along(w, n, lo, hi, out, TURNS);
    } else if (dag_row_scattered(w->g)) {
        chunk_in_segments(w, n, lo, hi, out);
    } else if (!pairs && (whole || emit_once(weight_of(w, n), longest))) {
        loop_along(w, n, lo, hi, out, whole ? PLAIN : TAIL);
    } else {
        Value step = emit_i64(e, pairs ? -2 * LANES : -LANES);
        Value middle = LLVMBuildAdd(e->b, lo, LLVMBuildAnd(e->b, LLVMBuildSub(e->b, hi, lo, ""), step, ""), "");
        loop_along(w, n, lo, middle, out, pairs ? PAIRS : PLAIN);
        loop_along(w, n, middle, hi, out, TAIL);
    }
    for (uint32_t u = 0; u < n; u++)
        out[u] = state_fold_lanes(e, &w[u].state, out[u]);
}
