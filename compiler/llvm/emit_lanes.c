/* Loads whose lanes lie a few elements apart (every second pixel, in pooling), or several on one element (the way
 * back).  Both are loads of what lies there side by side and a shuffle.  Lanes far apart are loaded one by one, which
 * takes less than half the time of a gather. */
#include "emit.h"

static Value constant_lanes(Emit *e, const int64_t *lane) { return emit_lanes(lane, e->i32); }

/* The first `n` of sixteen elements, and nothing behind them. */
static Value load_first(Emit *e, LLVMTypeRef t, Value at, int64_t n, unsigned align) {
    LLVMTypeRef vt = emit_vector(t);
    if (n >= LANES)
        return emit_load(e, vt, at, align);
    int64_t on[LANES];
    for (int64_t l = 0; l < LANES; l++)
        on[l] = l < n;
    return access_load_masked(e, vt, at, align, emit_lanes(on, e->i1));
}

/* Every second of 31 elements: two loads that meet in the middle, and one shuffle. */
static Value load_seconds(Emit *e, LLVMTypeRef t, Value at, unsigned align) {
    LLVMTypeRef vt = emit_vector(t);
    int64_t lane[LANES];
    for (int64_t l = 0; l < LANES; l++)
        lane[l] = l < LANES / 2 ? 2 * l : 2 * l + 1;
    Value low = emit_load(e, vt, at, align);
    Value high = emit_load(e, vt, emit_at(e, t, at, emit_i64(e, LANES - 1)), align);
    return LLVMBuildShuffleVector(e->b, low, high, constant_lanes(e, lane), "");
}

/* Lane l is element `apart` * l, for the first `n` lanes.  Load j begins at 15 j, so that with all lanes the last one
 * ends with the last element needed. */
Value lanes_load_apart(Emit *e, LLVMTypeRef t, Value at, int64_t apart, int64_t n, unsigned align) {
    if (apart == 2 && n == LANES)
        return load_seconds(e, t, at, align);
    Value all = LLVMConstNull(emit_vector(t));      /* lanes that are off are 0, as behind a mask */
    for (int64_t first = 0; first == 0 || first < apart * (n - 1); first += LANES - 1) {
        Value part = load_first(e, t, emit_at(e, t, at, emit_i64(e, first)), apart * (n - 1) + 1 - first, align);
        int64_t lane[LANES];
        for (int64_t l = 0; l < LANES; l++) {
            int64_t in_part = apart * l - first;
            lane[l] = in_part >= 0 && in_part < LANES && l < n ? LANES + in_part : l;
        }
        all = LLVMBuildShuffleVector(e->b, all, part, constant_lanes(e, lane), "");
    }
    return all;
}

Value lanes_load_each(Emit *e, LLVMTypeRef t, Value at, int64_t apart, int64_t n, unsigned align) {
    Value all = LLVMConstNull(emit_vector(t));
    for (int64_t l = 0; l < n; l++) {
        Value one = emit_load(e, t, emit_at(e, t, at, emit_i64(e, apart * l)), align);
        all = LLVMBuildInsertElement(e->b, all, one, emit_i32(e, l), "");
    }
    return all;
}

/* Lanes `shared` l .. `shared` l + shared - 1 are element l.  The mask, NULL for all, ends
 * where the row does, or begins and ends between them, so that the first tells of all. */
Value lanes_load_shared(Emit *e, LLVMTypeRef t, Value at, int64_t shared, unsigned align, Value mask) {
    unsigned n = (unsigned)(LANES / shared);
    int64_t lane[LANES];
    Value few;
    if (mask != NULL) {
        Value first[LANES];
        for (unsigned l = 0; l < n; l++)
            first[l] = emit_i32(e, l * shared);
        /* as words: a shuffle of bits is taken apart, one by one */
        Value words = LLVMBuildSExt(e->b, mask, emit_vector(e->i32), "");
        words = LLVMBuildShuffleVector(e->b, words, words, LLVMConstVector(first, n), "");
        mask = LLVMBuildICmp(e->b, LLVMIntSLT, words, LLVMConstNull(LLVMTypeOf(words)), "");
        few = access_load_masked(e, LLVMVectorType(t, n), at, align, mask);
    } else {
        few = emit_load(e, LLVMVectorType(t, n), at, align);
    }
    for (int64_t l = 0; l < LANES; l++)
        lane[l] = l / shared;
    return LLVMBuildShuffleVector(e->b, few, few, constant_lanes(e, lane), "");
}

/* Offsets that are known: how many lanes at a time lie side by side (step 1) or on one element (step 0); 0 for less
 * than two. */
static int64_t run_of(const int64_t *offset, int64_t step) {
    for (int64_t n = LANES / 2; n > 1; n /= 2) {
        bool runs = true;
        for (int64_t l = 0; l < LANES && runs; l++)
            runs = l % n == 0 || offset[l] == offset[l - 1] + step;
        if (runs)
            return n;
    }
    return 0;
}

static bool known_offsets(Value offset, int64_t *out) {
    for (unsigned l = 0; l < LANES && LLVMIsConstant(offset); l++) {
        Value one = LLVMGetAggregateElement(offset, l);
        if (one == NULL || !LLVMIsAConstantInt(one))
            return false;
        out[l] = LLVMConstIntGetSExtValue(one);
    }
    return LLVMIsConstant(offset);
}

/* Parts of n lanes each, put together two by two. */
static Value join(Emit *e, Value *part, int64_t n) {
    for (; n < LANES; n *= 2) {
        Value lane[LANES];
        for (int64_t l = 0; l < 2 * n; l++)
            lane[l] = emit_i32(e, l);
        for (int64_t i = 0; i < LANES / (2 * n); i++)
            part[i] = LLVMBuildShuffleVector(e->b, part[2 * i], part[2 * i + 1],
                                             LLVMConstVector(lane, (unsigned)(2 * n)), "");
    }
    return part[0];
}

Value lanes_load_runs(Emit *e, LLVMTypeRef t, Value at, Value offset, unsigned align) {
    int64_t where[LANES];
    if (!known_offsets(offset, where))
        return NULL;
    int64_t along = run_of(where, 1), on_one = run_of(where, 0), lane[LANES];
    Value part[LANES], few = LLVMConstNull(emit_vector(t));
    for (int64_t i = 0; along != 0 && i < LANES / along; i++)
        part[i] = emit_load(e, LLVMVectorType(t, (unsigned)along), emit_at(e, t, at, emit_i64(e, where[i * along])),
                            align);
    if (along != 0)
        return join(e, part, along);
    for (int64_t i = 0; on_one != 0 && i < LANES / on_one; i++) {
        Value one = emit_load(e, t, emit_at(e, t, at, emit_i64(e, where[i * on_one])), align);
        few = LLVMBuildInsertElement(e->b, few, one, emit_i32(e, i), "");
    }
    for (int64_t l = 0; on_one != 0 && l < LANES; l++)
        lane[l] = l / on_one;
    return on_one != 0 ? LLVMBuildShuffleVector(e->b, few, few, constant_lanes(e, lane), "") : NULL;
}

/* ---- which indices are such ---- */
static const KInst *inst_at(const Dag *g, uint32_t i) { return &g->e->kernel->insts.at[g->s->first + i]; }

static bool multiple_of(const Dag *g, uint32_t inst, int64_t d) {
    const KInst *in = inst_at(g, inst);
    if (in->kop != K_SCALAR)
        return false;
    if (in->op == S_const)
        return in->imm.i % d == 0;
    if (in->op == S_mul)
        return multiple_of(g, in->in[0], d) || multiple_of(g, in->in[1], d);
    return in->op == S_add && multiple_of(g, in->in[0], d) && multiple_of(g, in->in[1], d);
}

static bool whole_groups(const Dag *g, uint32_t axis, int64_t d) {
    const KAxis *x = &g->e->kernel->axes.at[axis];
    return x->extent % d == 0 && x->clip_by < 0;
}

/* Is it the axis of the lanes, beginning at a multiple of d, plus a multiple of d?  It begins at a multiple of sixteen;
 * in a row of segments that is one of the whole row, not of the segment. */
static bool counts_lanes(const Dag *g, uint32_t inst, int64_t d) {
    const KInst *in = inst_at(g, inst);
    if (in->kop == K_AXIS) {
        uint32_t axis = (uint32_t)in->imm.i;
        bool row = g->row_lanes && axis == g->s->axis[g->s->n_axes - 1];
        return (row || g->vec == (int32_t)axis) && g->e->axis[axis].lanes == g->e->iota &&
               (!dag_row_scattered(g) || whole_groups(g, axis, d));
    }
    return in->kop == K_SCALAR && in->op == S_add && ((counts_lanes(g, in->in[0], d) && multiple_of(g, in->in[1], d)) ||
                                                      (counts_lanes(g, in->in[1], d) && multiple_of(g, in->in[0], d)));
}

/* The axis of the lanes divided by a power of two, both as above. */
static int64_t quotient(const Dag *g, uint32_t inst) {
    const KInst *in = inst_at(g, inst);
    if (in->kop != K_SCALAR || in->op != S_idiv)
        return 0;
    const KInst *by = inst_at(g, in->in[1]);
    bool known = by->kop == K_SCALAR && by->op == S_const && by->imm.i > 1 && by->imm.i <= LANES;
    return known && LANES % by->imm.i == 0 && counts_lanes(g, in->in[0], by->imm.i) ? by->imm.i : 0;
}

static bool one_for_all(const Dag *g, uint32_t inst) { return !emit_is_vector(g->value[inst]); }

int64_t lanes_shared(const Dag *g, uint32_t inst) {
    const KInst *in = inst_at(g, inst);
    if (in->kop != K_SCALAR || in->op != S_add)
        return quotient(g, inst);
    if (one_for_all(g, in->in[1]))
        return lanes_shared(g, in->in[0]);
    return one_for_all(g, in->in[0]) ? lanes_shared(g, in->in[1]) : 0;
}
