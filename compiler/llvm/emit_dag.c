/* The DAG of a stage inside its loops.  Every instruction belongs to the innermost loop it depends on and
 * is computed once on entering that loop, so what does not change is not computed again (no pass would
 * move it).  A stage runs plain loops over its leading axes and, when it reduces, one more over the
 * remaining axes flattened to a row.  One of these loops goes in steps of sixteen: its values get lanes,
 * all that depends on it becomes a vector, the rest stays scalar. */
#include "emit.h"
#include <string.h>

/* a loop shorter than this whose end is not known has too few full blocks to be emitted twice */
enum { SHORT = 16 * LANES };

static const KInst *inst_of(const Dag *g, uint32_t i) { return &g->e->kernel->insts.at[g->s->first + i]; }

DType dag_type(const Dag *g, uint32_t inst) { return (DType)inst_of(g, inst)->type; }
Value dag_value(const Dag *g, uint32_t inst) { return g->value[inst]; }
Value dag_spread(const Dag *g, Value v) { return g->vec >= 0 || g->row_lanes ? emit_splat(g->e, v) : v; }

/* ---- levels ---- */
static uint32_t axis_level(const Dag *g, uint32_t axis) {
    for (uint32_t j = 0; j < g->s->n_axes; j++)
        if (g->s->axis[j] == axis)
            return j < g->n_loops ? j + 1 : g->depth;
    return 0;
}

static uint32_t max_u32(uint32_t x, uint32_t y) { return x > y ? x : y; }

static uint32_t access_level(const Dag *g, const KAccess *a) {
    uint32_t level = a->index == 0 ? 0 : g->level[a->index - 1];
    for (uint32_t j = 0; j < g->s->n_axes; j++)
        if (a->coef[g->s->axis[j]] != 0)
            level = max_u32(level, axis_level(g, g->s->axis[j]));
    return level;
}

/* A buffer that the stage both reads and writes, or writes twice, keeps its accesses innermost, in the order of the
 * DAG. */
static bool keeps_order(const Dag *g, uint32_t buf) {
    uint32_t reads = 0, writes = 0;
    for (uint32_t i = 0; i < g->s->n; i++) {
        const KInst *in = inst_of(g, i);
        if ((in->kop == K_LOAD || in->kop == K_STORE) && g->e->kernel->accesses.at[in->access].buf == buf) {
            reads += in->kop == K_LOAD;
            writes += in->kop == K_STORE;
        }
    }
    return writes > 0 && reads + writes > 1;
}

/* Has one of its loops no point, perhaps?  Then nothing may be touched outside of it. */
static bool may_not_run(const Dag *g) {
    const Kernel *k = g->e->kernel;
    bool empty = false;
    for (uint32_t j = 0; j < g->s->n_axes; j++) {
        const KAxis *x = &k->axes.at[g->s->axis[j]];
        int64_t before = x->clip_by < 0 ? 0 : x->extent * (k->axes.at[x->clip_by].extent - 1);
        empty = empty || x->extent == 0 || (x->clip_by >= 0 && before >= x->clip_total);
    }
    return empty;
}

uint32_t dag_operands(const KInst *in, uint32_t out[4]) {
    uint32_t n = 0;
    switch ((KOp)in->kop) {
    case K_SCALAR:
        for (; n < sop_operands((SOp)in->op); n++)
            out[n] = in->in[n];
        break;
    case K_MATH:
        out[n++] = in->in[0];
        if (in->op == M_pow || in->op == M_atan2)
            out[n++] = in->in[1];
        break;
    case K_LOAD:
        if (in->in[0] != 0)
            out[n++] = in->in[0] - 1;
        break;
    case K_STORE: case K_CHECK:
        out[n++] = in->in[0];
        if (in->in[1] != 0)
            out[n++] = in->in[1] - 1;
        break;
    case K_WORD: case K_FAULT:
        out[n++] = in->in[0];
        break;
    case K_AXIS: case K_UNIFORM: case K_REG: case KOP_COUNT: break;
    }
    return n;
}

static uint32_t random_level(const Dag *g, const KRandom *r) {
    const uint32_t key[4] = {r->seed, r->clock, r->phase, r->iteration};
    uint32_t level = 0;
    for (int k = 0; k < 4; k++)
        if (key[k] != 0)
            level = max_u32(level, g->level[key[k] - 1]);
    return level;
}

static uint32_t inst_level(const Dag *g, const KInst *in) {
    uint32_t operand[4], level = 0;
    for (uint32_t k = dag_operands(in, operand); k-- > 0;)
        level = max_u32(level, g->level[operand[k]]);
    if (in->kop == K_AXIS)
        level = axis_level(g, (uint32_t)in->imm.i);
    if (in->kop == K_WORD)
        level = max_u32(level, random_level(g, &in->random));
    if (in->kop == K_LOAD || in->kop == K_STORE) {
        const KAccess *a = &g->e->kernel->accesses.at[in->access];
        level = keeps_order(g, a->buf) ? g->depth : max_u32(level, access_level(g, a));
    }
    bool acts = in->kop == K_LOAD || in->kop == K_STORE || in->kop == K_CHECK || in->kop == K_FAULT;
    return acts && may_not_run(g) ? g->depth : level;
}

/* An axis whose block number has lanes would end at a different place in each lane, and a row inside a row of
 * clipped axes is not flat: such stages run one element at a time. */
static bool lanes_clip(const Dag *g, uint32_t lanes_axis) {
    const Kernel *k = g->e->kernel;
    for (uint32_t j = 0; j < g->s->n_axes; j++)
        if (k->axes.at[g->s->axis[j]].clip_by == (int32_t)lanes_axis)
            return true;
    return false;
}

static bool row_clips_itself(const Dag *g) {
    for (uint32_t j = g->n_loops; j < g->s->n_axes; j++)
        if (lanes_clip(g, g->s->axis[j]))
            return true;
    return false;
}

static void choose_lanes(Dag *g) {
    const Stage *s = g->s;
    if (s->vec < 0 || lanes_clip(g, s->axis[s->vec]))
        return;
    if ((uint32_t)s->vec < g->n_loops) {
        g->vec = s->axis[s->vec];
    } else {
        g->row_lanes = g->row && s->kind == STAGE_REDUCE;
    }
}

Dag *dag_create(Emit *e, const Stage *s, uint32_t n_loops) {
    const Kernel *k = e->kernel;
    Dag *g = PUSH(e->arena, Dag, 1);
    *g = (Dag){.e = e, .s = s, .vec = -1, .turned = -1, .n_loops = n_loops, .row = s->n_axes > n_loops};
    if (row_clips_itself(g))
        GR_BUG("%.*s: a row axis clipped by an axis of the same row", FSTR(k->name));
    choose_lanes(g);
    g->depth = n_loops + g->row;
    g->level = PUSH(e->arena, uint8_t, s->n);
    g->value = PUSH(e->arena, Value, s->n);
    g->kept = PUSH(e->arena, Kept, s->n);
    g->address = PUSH(e->arena, Value, (g->depth + 1) * k->accesses.n);
    g->offset = PUSH(e->arena, Value, k->accesses.n);
    g->apart = PUSH(e->arena, int64_t, k->accesses.n);
    for (uint32_t i = 0; i < s->n; i++)
        g->level[i] = (uint8_t)inst_level(g, inst_of(g, i));
    return g;
}

static void *copied(Arena *a, const void *from, size_t bytes) {
    return memcpy(arena_push(a, bytes + 1, _Alignof(Value)), from, bytes);
}

Dag *dag_copy(const Dag *g) {
    Arena *a = g->e->arena;
    uint32_t accesses = g->e->kernel->accesses.n;
    Dag *c = copied(a, g, sizeof *g);
    c->value = copied(a, g->value, g->s->n * sizeof(Value));
    c->address = copied(a, g->address, (g->depth + 1) * accesses * sizeof(Value));
    c->offset = copied(a, g->offset, accesses * sizeof(Value));
    c->apart = copied(a, g->apart, accesses * sizeof(int64_t));
    return c;
}

uint32_t stage_weight(const Emit *e, const Stage *s) {
    uint32_t weight = 0;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        const KInst *in = &e->kernel->insts.at[i];
        weight += in->kop == K_MATH ? math_line(e->math, (MathFn)in->op)->n : in->kop == K_WORD ? 100 : 1;
    }
    return weight;
}

bool emit_once(uint32_t weight, int64_t n) {
    enum { HEAVY = 60, LONG = 64 * LANES };
    return weight > HEAVY && n < LONG;
}

/* ---- one instruction ---- */
static Value axis_value(Dag *g, uint32_t axis) {
    Emit *e = g->e;
    AxisAt x = e->axis[axis];
    Value v = LLVMBuildTrunc(e->b, x.scalar, e->i32, "");
    return x.lanes == NULL ? v : LLVMBuildAdd(e->b, emit_splat(e, v), x.lanes, "");
}

static Value key_value(const Dag *g, uint32_t key) { return key == 0 ? emit_i32(g->e, 0)
    : g->value[key - 1]; }

static void raise_health(Dag *g, Value bad, int64_t bits) {
    Emit *e = g->e;
    if (emit_is_vector(bad) && g->mask != NULL)
        bad = LLVMBuildAnd(e->b, bad, g->mask, "");
    uint32_t word = 0;
    while (e->kernel->bufs.at[word].role != KBUF_HEALTH)
        word++;
    If f = if_open(e, emit_any(e, bad));
    LLVMBuildAtomicRMW(e->b, LLVMAtomicRMWBinOpOr, e->buffer[word], emit_i32(e, bits),
                       LLVMAtomicOrderingMonotonic, false);
    if_close(e, f);
}

static void check(Dag *g, const KInst *in) {
    Emit *e = g->e;
    Value bad = LLVMBuildNot(e->b, emit_finite(e, dag_type(g, in->in[0]), g->value[in->in[0]]), "");
    if (in->in[1] != 0) {
        Value guard = g->value[in->in[1] - 1];
        emit_match(e, &bad, &guard);
        bad = LLVMBuildAnd(e->b, bad, guard, "");
    }
    raise_health(g, bad, in->imm.i);
}

static Value scalar_inst(Dag *g, const KInst *in) {
    uint32_t n = sop_operands((SOp)in->op);
    DType from = n > 0 ? dag_type(g, in->in[0]) : (DType)in->type;
    return emit_scalar(g->e, (SOp)in->op, (DType)in->type, from, in->imm, n > 0 ? g->value[in->in[0]] : NULL,
                       n > 1 ? g->value[in->in[1]] : NULL, n > 2 ? g->value[in->in[2]] : NULL);
}

static Value math_inst(Dag *g, const KInst *in) {
    uint32_t operand[4], n = dag_operands(in, operand);
    Value args[2] = {g->value[operand[0]], n > 1 ? g->value[operand[1]] : NULL};
    if (n > 1)
        emit_match(g->e, &args[0], &args[1]);
    return emit_line(g->e, math_line(g->e->math, (MathFn)in->op), args);
}

static Value word_inst(Dag *g, uint32_t i) {
    const KRandom *r = &inst_of(g, i)->random;
    Value element = g->value[inst_of(g, i)->in[0]];
    Keys k = {key_value(g, r->seed), key_value(g, r->clock), key_value(g, r->phase), key_value(g, r->iteration),
              emit_i32(g->e, r->stream)};
    return emit_is_vector(element) && g->kept[i].words != NULL ? emit_word_kept(g->e, &k, &g->kept[i],
        element)
                                                               : emit_word(g->e, &k, element);
}

/* Words can be kept from one vector to the next when their keys are known before the loops. */
static void prepare_words(Dag *g) {
    for (uint32_t i = 0; i < g->s->n; i++) {
        if (inst_of(g, i)->kop != K_WORD || g->level[i] == 0 || random_level(g, &inst_of(g, i)->random) > 0)
            continue;
        if (g->kept[i].words == NULL)
            g->kept[i] = emit_kept(g->e);
        emit_forget(g->e, &g->kept[i]);
    }
}

static Value inst_value(Dag *g, uint32_t i) {
    Emit *e = g->e;
    const KInst *in = inst_of(g, i);
    switch ((KOp)in->kop) {
    case K_SCALAR:  return scalar_inst(g, in);
    case K_MATH:    return math_inst(g, in);
    case K_LOAD:    return g->square != NULL && g->square[i] != NULL ? turn_get(g, i) : access_load(g, in);
    case K_AXIS:    return axis_value(g, (uint32_t)in->imm.i);
    case K_UNIFORM: return e->uniform[in->imm.i];
    case K_REG:     return e->reg[in->imm.i];
    case K_WORD: return word_inst(g, i);
    case K_STORE:
        if (g->square != NULL && g->square[i] != NULL) {
            turn_put(g, i, access_to_memory(g, in->access, dag_type(g, in->in[0]), g->value[in->in[0]]));
            return NULL;
        }
        access_store(g, in->access, g->level[i], g->value[in->in[0]], dag_type(g, in->in[0]),
                     in->in[1] == 0 ? NULL : g->value[in->in[1] - 1]);
        return NULL;
    case K_CHECK:
        check(g, in);
        return NULL;
    case K_FAULT:
        raise_health(g, g->value[in->in[0]], in->imm.i);
        return NULL;
    case KOP_COUNT: break;
    }
    GR_BUG("kernel instruction %d", (int)in->kop);
}

static bool waits(const Dag *g, uint32_t i) {
    return g->stores_apart && inst_of(g, i)->kop == K_STORE && g->level[i] == g->depth;
}

void dag_enter(Dag *g, uint32_t level) {
    for (uint32_t i = 0; i < g->s->n; i++) {
        const KInst *in = inst_of(g, i);
        if (in->kop == K_LOAD || in->kop == K_STORE)
            access_enter(g, in->access, level);
    }
    for (int r = 0; r < 2; r++)
        if (g->s->out[r] != 0 && level <= g->n_loops)
            access_enter(g, g->s->out[r] - 1, level);
    ahead_enter(g, level);
    for (uint32_t i = 0; i < g->s->n; i++)
        if (g->level[i] == level && !waits(g, i)) {
            Value known = share_value(g, i);
            g->value[i] = known != NULL ? known : inst_value(g, i);
        }
}

void dag_stores(Dag *g) {
    for (uint32_t i = 0; i < g->s->n; i++)
        if (waits(g, i))
            inst_value(g, i);
}

/* ---- results ---- */
void dag_put_result(Dag *g, uint32_t which, DType t, Value v) {
    const Stage *s = g->s;
    if (s->out[0] == 0) {
        g->e->reg[s->reg + which] = v;
    } else {
        access_store(g, s->out[which] - 1, g->n_loops, v, t, NULL);
    }
}

/* ---- the row ---- */
static bool row_needs_axes(const Dag *g) {
    for (uint32_t i = 0; i < g->s->n; i++) {
        const KInst *in = inst_of(g, i);
        bool regular = true;
        if (in->kop == K_LOAD || in->kop == K_STORE)
            access_row_step(g, &g->e->kernel->accesses.at[in->access], &regular);
        if (!regular || (in->kop == K_AXIS && axis_level(g, (uint32_t)in->imm.i) == g->depth))
            return true;
    }
    return false;
}

static void row_axes_scalar(Dag *g, Value r) {
    Emit *e = g->e;
    for (int32_t j = g->s->n_axes - 1; j >= (int32_t)g->n_loops; j--) {
        uint32_t axis = g->s->axis[j];
        Value extent = dag_extent(e, axis);
        bool last = j == g->s->n_axes - 1;
        e->axis[axis].scalar = j == (int32_t)g->n_loops ? r : LLVMBuildURem(e->b, r, extent, "");
        e->axis[axis].lanes = last && g->row_lanes ? e->iota : NULL;
        if (j > (int32_t)g->n_loops)
            r = LLVMBuildUDiv(e->b, r, extent, "");
    }
}

/* Sixteen elements that do not share their outer axes: the lanes are taken apart one by one. */
static void row_axes_lanes(Dag *g, Value r) {
    Emit *e = g->e;
    Value v = LLVMBuildAdd(e->b, emit_splat(e, LLVMBuildTrunc(e->b, r, e->i32, "")), e->iota, "");
    for (int32_t j = g->s->n_axes - 1; j >= (int32_t)g->n_loops; j--) {
        uint32_t axis = g->s->axis[j];
        Value extent = emit_splat(e, LLVMBuildTrunc(e->b, dag_extent(e, axis), e->i32, ""));
        e->axis[axis].scalar = emit_i64(e, 0);
        e->axis[axis].lanes = j == (int32_t)g->n_loops ? v : LLVMBuildURem(e->b, v, extent, "");
        v = LLVMBuildUDiv(e->b, v, extent, "");
    }
}

int64_t dag_segment_extent(const Dag *g) { return g->e->kernel->axes.at[g->s->axis[g->s->n_axes - 1]].extent; }

bool dag_row_scattered(const Dag *g) {
    const KAxis *last = &g->e->kernel->axes.at[g->s->axis[g->s->n_axes - 1]];
    return g->row_lanes && g->s->n_axes > g->n_loops + 1 && (last->extent % LANES != 0 || last->clip_by >= 0) &&
           row_needs_axes(g);
}

/* Do sixteen elements take whole turns of the last axis, and none of them the axis before it to its end? */
bool dag_row_in_turns(const Dag *g) {
    if (!dag_row_scattered(g))
        return false;
    const KAxis *last = &g->e->kernel->axes.at[g->s->axis[g->s->n_axes - 1]];
    const KAxis *before = &g->e->kernel->axes.at[g->s->axis[g->s->n_axes - 2]];
    return last->clip_by < 0 && before->clip_by < 0 && last->extent > 1 && LANES % last->extent == 0 &&
           before->extent % (LANES / last->extent) == 0;
}

/* Then where the lanes stand is the same each time. */
static void row_axes_in_turns(Dag *g, Value r) {
    Emit *e = g->e;
    uint32_t last = g->s->axis[g->s->n_axes - 1], before = g->s->axis[g->s->n_axes - 2];
    int64_t n = e->kernel->axes.at[last].extent, in_last[LANES], in_before[LANES];
    for (int64_t l = 0; l < LANES; l++)
        in_last[l] = l % n, in_before[l] = l / n;
    row_axes_scalar(g, r);
    e->axis[last] = (AxisAt){emit_i64(e, 0), emit_lanes(in_last, e->i32)};
    e->axis[before].lanes = emit_lanes(in_before, e->i32);
}

void dag_enter_row(Dag *g, Value r) {
    g->row_at = r;
    const KAxis *x = &g->e->kernel->axes.at[g->s->axis[g->s->n_axes - 1]];
    if (row_needs_axes(g)) {
        bool aligned = g->s->n_axes == g->n_loops + 1 || (x->extent % LANES == 0 && x->clip_by < 0);
        if (!g->row_lanes || aligned) {
            row_axes_scalar(g, r);
        } else if (dag_row_in_turns(g)) {
            row_axes_in_turns(g, r);
        } else {
            row_axes_lanes(g, r);
        }
    }
    if (g->row) /* else all is done where the last loop was entered */
        dag_enter(g, g->depth);
}

void dag_enter_segment(Dag *g, Value r, Value segment) {
    Emit *e = g->e;
    uint32_t last = g->s->n_axes - 1u;
    Value extent = dag_extent(e, g->s->axis[last]), begin = LLVMBuildMul(e->b, segment, extent, "");
    g->row_at = r;
    e->axis[g->s->axis[last]] = (AxisAt){LLVMBuildSub(e->b, r, begin, ""), e->iota};
    for (uint32_t j = last; j-- > g->n_loops;) {
        Value n = dag_extent(e, g->s->axis[j]);
        bool first = j == g->n_loops;
        e->axis[g->s->axis[j]] = (AxisAt){first ? segment : LLVMBuildURem(e->b, segment, n, ""), NULL};
        segment = first ? segment : LLVMBuildUDiv(e->b, segment, n, "");
    }
    dag_enter(g, g->depth);
}

/* ---- loops ---- */
Value dag_extent(Emit *e, uint32_t axis) {
    const KAxis *x = &e->kernel->axes.at[axis];
    Value extent = emit_i64(e, x->extent);
    if (x->clip_by < 0)
        return extent;
    Value begin = emit_mul_i64(e, e->axis[x->clip_by].scalar, x->extent), zero = emit_i64(e, 0);
    Value left = emit_min_i64(e, extent, LLVMBuildNSWSub(e->b, emit_i64(e, x->clip_total), begin, ""));
    return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, left, zero, ""), zero, left, "");
}

int64_t dag_longest_row(const Dag *g) {
    int64_t n = 1;
    for (uint32_t j = g->n_loops; j < g->s->n_axes; j++)
        n *= g->e->kernel->axes.at[g->s->axis[j]].extent;
    return n;
}

Value dag_row_extent(Dag *g) {
    Value n = emit_i64(g->e, 1);
    for (uint32_t j = g->n_loops; j < g->s->n_axes; j++)
        n = LLVMBuildNSWMul(g->e->b, n, dag_extent(g->e, g->s->axis[j]), "");
    return n;
}

/* Lanes i .. i+15 below hi: three scalar operations, or a constant. */
Value dag_tail_mask(Emit *e, Value i, Value hi) {
    if (LLVMIsAConstantInt(i) && LLVMIsAConstantInt(hi)) {
        int64_t on[LANES], n = LLVMConstIntGetSExtValue(hi) - LLVMConstIntGetSExtValue(i);
        for (int l = 0; l < LANES; l++)
            on[l] = l < n;
        return emit_lanes(on, e->i1);
    }
    Value left = emit_min_i64(e, LLVMBuildSub(e->b, hi, i, ""), emit_i64(e, LANES));
    Value gone = LLVMBuildSub(e->b, emit_i64(e, LANES), left, "");
    Value bits = LLVMBuildTrunc(e->b, LLVMBuildLShr(e->b, emit_i64(e, 0xffff), gone, ""), e->i16, "");
    return LLVMBuildBitCast(e->b, bits, emit_vector(e->i1), "");
}

typedef void (*Body)(Dag *g, void *user);

/* Of a sweep each stage, in their order. */
static void enter_all(Dag *g, uint32_t level) {
    for (; g != NULL; g = g->after)
        dag_enter(g, level);
}

static void mask_all(Dag *g, Value mask) {
    for (; g != NULL; g = g->after)
        g->mask = mask;
}

static void loops(Dag *g, uint32_t d, Body body, void *user);

static void inside(Dag *g, uint32_t d, AxisAt at, Body body, void *user) {
    g->e->axis[g->s->axis[d]] = at;
    enter_all(g, d + 1);
    loops(g, d + 1, body, user);
}

/* Is every row of the axis made of full blocks, the last one of a clipped axis too? */
static bool full_blocks(const KAxis *x) {
    return x->extent % LANES == 0 && (x->clip_by < 0 || x->clip_total % LANES == 0);
}

bool dag_full_blocks(const Dag *g) {
    return g->n_loops > 0 && g->vec >= 0 && g->s->axis[g->n_loops - 1] == g->vec &&
           full_blocks(&g->e->kernel->axes.at[g->vec]);
}

/* A step of a braided loop is two blocks. */
static void two_blocks(Dag *g, uint32_t d, Value at, Body body, void *user) {
    Value next = LLVMBuildNSWAdd(g->e->b, at, emit_i64(g->e, LANES), "");
    Braid both = braid_first(g->e);
    inside(g, d, (AxisAt){at, g->e->iota}, body, user);
    braid_second(&both);
    inside(g, d, (AxisAt){next, g->e->iota}, body, user);
    braid_close(g->e, &both);
}

static void masked_blocks(Dag *g, uint32_t d, Value lo, Value hi, Body body, void *user) {
    Emit *e = g->e;
    bool known = LLVMIsAConstantInt(lo) && LLVMIsAConstantInt(hi);
    bool one = known && LLVMConstIntGetSExtValue(hi) - LLVMConstIntGetSExtValue(lo) < LANES;
    Loop l;
    loop_open(e, &l, lo, hi, LANES, 0, NULL);
    mask_all(g, dag_tail_mask(e, one ? lo : l.i, hi));
    inside(g, d, (AxisAt){l.i, e->iota}, body, user);
    loop_close(e, &l, NULL);
    mask_all(g, NULL);
}

/* Full blocks and a tail that is masked; or everything masked, where two copies of the body do not pay. */
static void vector_loop(Dag *g, uint32_t d, Value lo, Value hi, Body body, void *user) {
    Emit *e = g->e;
    Loop l;
    const KAxis *axis = &e->kernel->axes.at[g->s->axis[d]];
    bool known = LLVMIsAConstantInt(hi) != NULL, full = full_blocks(axis);
    int64_t n = known ? LLVMConstIntGetSExtValue(hi) : axis->extent;
    uint32_t weight = stage_weight(e, g->s);
    if (!full && (n < (known ? LANES : SHORT) || emit_once(weight, n))) {
        masked_blocks(g, d, lo, hi, body, user);
        return;
    }
    if (g->s->kind == STAGE_MAP && d + 1 == g->n_loops && braid_pays(e, g->s, n)) {
        Value span = LLVMBuildAnd(e->b, LLVMBuildSub(e->b, hi, lo, ""), emit_i64(e, -2 * LANES), "");
        Value pairs = LLVMBuildAdd(e->b, lo, span, "");
        loop_open(e, &l, lo, pairs, 2 * LANES, 0, NULL);
        two_blocks(g, d, l.i, body, user);
        loop_close(e, &l, NULL);
        masked_blocks(g, d, pairs, hi, body, user);
        return;
    }
    Value whole = LLVMBuildAnd(e->b, hi, emit_i64(e, -LANES), "");
    loop_open(e, &l, lo, whole, LANES, 0, NULL);
    inside(g, d, (AxisAt){l.i, e->iota}, body, user);
    loop_close(e, &l, NULL);
    if (full)
        return;
    If some = if_open(e, LLVMBuildICmp(e->b, LLVMIntSLT, whole, hi, ""));
    mask_all(g, dag_tail_mask(e, whole, hi));
    inside(g, d, (AxisAt){whole, e->iota}, body, user);
    mask_all(g, NULL);
    if_close(e, some);
}

static void loops(Dag *g, uint32_t d, Body body, void *user) {
    if (d == g->n_loops) {
        body(g, user);
        return;
    }
    Value hi = dag_extent(g->e, g->s->axis[d]);
    if (g->inner != NULL && d + 1 == g->n_loops) {
        g->inner(g, hi);
        return;
    }
    if (g->s->axis[d] == g->vec) {
        vector_loop(g, d, emit_i64(g->e, 0), hi, body, user);
        return;
    }
    Loop l;
    loop_open(g->e, &l, emit_i64(g->e, 0), hi, 1, 0, NULL);
    inside(g, d, (AxisAt){l.i, NULL}, body, user);
    loop_close(g->e, &l, NULL);
}

void dag_vector_loop(Dag *g, Value lo, Value hi, void (*body)(Dag *g, void *user), void *user) {
    vector_loop(g, g->n_loops - 1, lo, hi, body, user);
}

void dag_begin(Dag *g) {
    mask_all(g, NULL);
    for (Dag *each = g; each != NULL; each = each->after)
        prepare_words(each);
    enter_all(g, 0);
}

void dag_loops(Dag *g, void (*body)(Dag *g, void *user), void *user) {
    dag_begin(g);
    loops(g, 0, body, user);
}

static void nothing_more(Dag *g, void *user) { (void)g, (void)user; }

void dag_turn(Dag *g, Value first) { inside(g, 0, (AxisAt){first, NULL}, nothing_more, NULL); }

void emit_map(Emit *e, const Stage *s) {
    Dag *g = turn_create(e, s);
    dag_loops(g != NULL ? g : dag_create(e, s, s->n_axes), nothing_more, NULL);
}
