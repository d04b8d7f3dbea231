/* The invariants of kernels.  What holds afterwards: every reference is in range and of the right type,
 * axes and registers are used only where they are defined, and no load or store leaves its buffer
 * (kernel_range.c), so that generated code needs no checks.  The first thing that does not hold is told,
 * with its stage and instruction. */
#include "kernel_range.h"
#include "kernel_text.h"
#include <string.h>

enum { MAX_SIZE_BITS = 48, STAGE_NONE = -1 };
typedef struct {
    const Kernel *k;
    Arena *arena;
    Error *error;
    int stage;                     /* number of the one that is looked at */
    const Stage *s;
    uint8_t *reg_type;             /* 1 + type of registers that are written so far, 0 */
    bool bad;
} Verifier;

static void wrong(Verifier *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void wrong(Verifier *v, const char *fmt, ...) {
    if (v->bad)
        return;
    v->bad = true;
    Buf b = buf_make(v->arena);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (v->stage == STAGE_NONE)
        fail(v->error, GR_PROGRAM, "kernel @%.*s: %.*s", FSTR(v->k->name), FSTR(buf_str(&b)));
    else
        fail(v->error, GR_PROGRAM, "kernel @%.*s, stage %d: %.*s", FSTR(v->k->name), v->stage,
             FSTR(buf_str(&b)));
}

#define NEED(condition, ...)             \
    do {                                 \
        if (!(condition)) {              \
            wrong(v, __VA_ARGS__);       \
            return;                      \
        }                                \
    } while (0)

/* ---- the head ---- */
static bool is_size(int64_t n) { return n >= 0 && n < (int64_t)1 << MAX_SIZE_BITS; }

static void check_buffers(Verifier *v) {
    uint32_t n_health = 0;
    for (uint32_t i = 0; i < v->k->bufs.n; i++) {
        const KBuf *b = &v->k->bufs.at[i];
        NEED((uint32_t)b->role <= KBUF_HEALTH && (uint32_t)b->dtype < DT_COUNT,
             "buffer %u has no role or type", i);
        NEED(is_size(b->count), "buffer %u has %lld elements", i, (long long)b->count);
        n_health += b->role == KBUF_HEALTH;
        NEED(b->role != KBUF_HEALTH || (b->dtype == DT_I32 && b->count >= 1),
             "the health buffer is not i32[1]");
    }
    NEED(n_health <= 1, "there are two health buffers");
    NEED(!v->k->commit || n_health == 1, "a commit kernel has no health buffer to look at");
}

static void check_axes(Verifier *v) {
    const Kernel *k = v->k;
    int64_t points = 1;
    NEED(k->axes.n <= MAX_AXES && k->n_head <= k->axes.n, "it has %u axes, %u of them head", k->axes.n,
         k->n_head);
    for (uint32_t i = 0; i < k->axes.n; i++) {
        const KAxis *x = &k->axes.at[i];
        NEED(is_size(x->extent) && x->extent <= INT32_MAX, "axis %u has extent %lld", i,
             (long long)x->extent);
        NEED(x->clip_by < (int32_t)i, "axis %u is clipped by axis %d, which does not stand before it", i, x->clip_by);
        NEED(x->clip_by != 0 || !k->lanes, "axis %u is clipped by a split head", i);
        NEED(x->clip_by < 0 || i >= k->n_head, "head axis %u is clipped", i);
        NEED(x->clip_by < 0 || is_size(x->clip_total), "axis %u is clipped at %lld", i,
             (long long)x->clip_total);
        NEED(i >= k->n_head || !__builtin_mul_overflow(points, x->extent, &points),
             "there are too many points");
    }
    NEED(is_size(points), "there are too many points");
    NEED(!k->lanes || k->n_head == 1, "a split head has one axis, not %u", k->n_head);
    NEED(k->grain >= 1, "its grain is %lld", (long long)k->grain);
}

static bool is_stage_axis(const Verifier *v, uint32_t axis, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (v->s->axis[i] == axis)
            return true;
    }
    return axis < v->k->n_head;
}

/* ---- addresses ---- */
static const char *buffer_name(const Verifier *v, uint32_t buf) {
    return str_copy(v->arena, v->k->bufs.at[buf].name).s;
}

/* n_axes: how many of the stage's axes the access may use. */
static void check_access(Verifier *v, uint32_t id, uint32_t n_axes, uint32_t n_insts, bool writes) {
    const Kernel *k = v->k;
    NEED(id < k->accesses.n, "there is no access %u", id);
    const KAccess *a = &k->accesses.at[id];
    NEED(a->buf < k->bufs.n, "there is no buffer %u", a->buf);
    KBufRole role = k->bufs.at[a->buf].role;
    NEED(role != KBUF_HEALTH, "%%%s is the health word", buffer_name(v, a->buf));
    NEED(!writes || role != KBUF_IN, "%%%s is written but is an input", buffer_name(v, a->buf));
    for (uint32_t i = 0; i < MAX_AXES; i++) {
        NEED(a->coef[i] == 0 || (i < k->axes.n && is_stage_axis(v, i, n_axes)),
             "%%%s is addressed by axis %u, which the stage does not run here", buffer_name(v, a->buf), i);
        NEED(is_size(a->coef[i] < 0 ? -(a->coef[i] + 1) : a->coef[i]), "a factor of %%%s is too large",
             buffer_name(v, a->buf));
    }
    NEED(is_size(a->base < 0 ? -(a->base + 1) : a->base) &&
         is_size(a->index_coef < 0 ? -(a->index_coef + 1) : a->index_coef), "an address in %%%s is too large",
         buffer_name(v, a->buf));
    NEED(a->index == 0 || (a->index - 1 < n_insts && k->insts.at[v->s->first + a->index - 1].type == DT_I32 &&
         inst_gives_value(&k->insts.at[v->s->first + a->index - 1])),
         "%%%s is indexed by v%u, which is no earlier i32", buffer_name(v, a->buf), a->index - 1);
}

static void check_inside(Verifier *v, const StageRanges *ranges, uint32_t id, uint32_t guard, uint32_t n_axes,
                         int64_t head) {
    const KAccess *a = &v->k->accesses.at[id];
    int64_t count = v->k->bufs.at[a->buf].count;
    Range r = access_range(ranges, a, guard, n_axes, head);
    NEED(r.lo > r.hi || (r.lo >= 0 && r.hi < count),
         "%%%s holds %lld elements, and the access may reach from %lld to %lld",
         buffer_name(v, a->buf), (long long)count, (long long)(r.lo < INT64_MIN ? INT64_MIN : r.lo),
         (long long)(r.hi > INT64_MAX ? INT64_MAX : r.hi));
}

/* Is there no point of the head and the stage's first axes?  Then everything about them is true. */
static bool never_runs(const Verifier *v, uint32_t n_axes) {
    bool never = false;
    for (uint32_t i = 0; i < v->k->n_head; i++)
        never = never || v->k->axes.at[i].extent == 0;
    for (uint32_t i = 0; i < n_axes; i++)
        never = never || v->k->axes.at[v->s->axis[i]].extent == 0;
    return never;
}

/* ---- instructions ---- */
static DType type_at(const Verifier *v, uint32_t inst) {
    return (DType)v->k->insts.at[v->s->first + inst].type;
}

static bool is_integer(DType t) { return t == DT_I32 || t == DT_I64; }
static bool is_real(DType t) { return t == DT_F32 || t == DT_F64; }

/* Is the operation there for operands of this type? */
static bool op_takes(SOp op, DType t) {
    switch (op) {
    case S_const: case S_select: case S_cast: case S_eq: return true;
    case S_add: case S_sub: case S_mul: case S_neg: case S_abs: case S_sign: case S_min: case S_max:
    case S_lt: case S_le:
        return t != DT_BOOL;
    case S_mulz: case S_div: case S_fma: case S_sqrt: case S_rint: case S_floor: case S_isnan:
        return is_real(t);
    case S_idiv: case S_mod: case S_shl: case S_shr: case S_sar:
        return is_integer(t);
    case S_and: case S_or: case S_xor: case S_not:
        return !is_real(t);
    case S_bitcast: return t != DT_BOOL;
    case S_pair: return t == DT_F32;
    case S_arg: case SOP_COUNT: break;
    }
    return false;
}

/* The type the operation gives for its operands; DT_COUNT when they do not fit. */
static DType scalar_type(const Verifier *v, const KInst *in) {
    SOp op = (SOp)in->op;
    uint32_t n = sop_operands(op);
    DType first = n > 0 ? type_at(v, in->in[0]) : (DType)in->type;
    if (!op_takes(op, first))
        return DT_COUNT;
    if (op == S_select)
        return first == DT_BOOL && type_at(v, in->in[1]) == type_at(v, in->in[2]) ? type_at(v, in->in[1])
                                                                                  : DT_COUNT;
    for (uint32_t i = 1; i < n; i++) {
        if (type_at(v, in->in[i]) != first)
            return DT_COUNT;
    }
    if (op == S_bitcast)
        return dtype_bytes(first) == dtype_bytes((DType)in->type) && in->type != first ? (DType)in->type
                                                                                       : DT_COUNT;
    if (op == S_cast)
        return (DType)in->type;
    if (op == S_pair)
        return DT_I32;
    return op == S_lt || op == S_le || op == S_eq || op == S_isnan ? DT_BOOL : first;
}

static void check_random(Verifier *v, const KInst *in, uint32_t number) {
    const uint32_t keys[4] = {in->random.seed, in->random.clock, in->random.phase, in->random.iteration};
    NEED(type_at(v, in->in[0]) == DT_I32 && in->type == DT_I32, "v%u: a random word is an i32 of an i32",
         number);
    for (int i = 0; i < 4; i++)
        NEED(keys[i] == 0 || (keys[i] - 1 < number && type_at(v, keys[i] - 1) == DT_I32),
             "v%u: a key of a random word is no earlier i32", number);
}

static void check_kind(Verifier *v, const KInst *in, uint32_t number) {
    const Kernel *k = v->k;
    DType type = (DType)in->type;
    switch ((KOp)in->kop) {
    case K_SCALAR:
        NEED(scalar_type(v, in) == type, "v%u: %s.%s does not fit its operands", number,
             sop_name((SOp)in->op),
             dtype_name(type));
        return;
    case K_MATH:
        NEED(type == DT_F32, "v%u: functions give f32", number);
        for (uint32_t i = 0; i < math_args((MathFn)in->op); i++)
            NEED(type_at(v, in->in[i]) == (in->op == M_normal ? DT_I32 : DT_F32),
                 "v%u: %s does not take %s", number, math_name((MathFn)in->op),
                 dtype_name(type_at(v, in->in[i])));
        return;
    case K_LOAD:
        check_access(v, in->access, v->s->n_axes, number, false);
        if (!v->bad && kernel_wide(k->bufs.at[k->accesses.at[in->access].buf].dtype) != type)
            wrong(v, "v%u: a load of this buffer does not give %s", number, dtype_name(type));
        return;
    case K_AXIS:
        NEED(in->imm.i >= 0 && in->imm.i < k->axes.n && is_stage_axis(v, (uint32_t)in->imm.i, v->s->n_axes) &&
             type == DT_I32, "v%u: not an axis of the stage as i32", number);
        return;
    case K_UNIFORM:
        NEED(type == DT_F32 || type == DT_I32, "v%u: uniforms are f32 or i32", number);
        for (uint32_t i = 0; i < k->uniforms.n; i++) {
            if ((int64_t)k->uniforms.at[i] == in->imm.i)
                return;
        }
        wrong(v, "v%u: the kernel does not list uniform %lld", number, (long long)in->imm.i);
        return;
    case K_REG:
        NEED(in->imm.i >= 0 && in->imm.i < k->n_regs && v->reg_type[in->imm.i] == 1 + type,
             "v%u: register %lld holds no %s here", number, (long long)in->imm.i, dtype_name(type));
        return;
    case K_WORD: check_random(v, in, number); return;
    case K_STORE:
        check_access(v, in->access, v->s->n_axes, number, true);
        if (!v->bad && kernel_wide(k->bufs.at[k->accesses.at[in->access].buf].dtype) != type_at(v, in->in[0]))
            wrong(v, "instruction %u: this buffer does not take %s", number,
                  dtype_name(type_at(v, in->in[0])));
        return;
    case K_CHECK: case K_FAULT: {
        DType given = type_at(v, in->in[0]);
        NEED(in->kop == K_CHECK ? is_real(given) : given == DT_BOOL, "instruction %u looks at %s", number,
             dtype_name(given));
        NEED(!k->commit, "instruction %u raises the health word that the kernel has looked at", number);
        for (uint32_t i = 0; i < k->bufs.n; i++) {
            if (k->bufs.at[i].role == KBUF_HEALTH)
                return;
        }
        wrong(v, "instruction %u: there is no health buffer", number);
        return;
    }
    case KOP_COUNT: break;
    }
    wrong(v, "instruction %u is of no kind", number);
}

static bool is_value(const Verifier *v, uint32_t inst, uint32_t before) {
    return inst < before && inst_gives_value(&v->k->insts.at[v->s->first + inst]);
}

static bool is_guard(const Verifier *v, uint32_t guard, uint32_t before) {
    return guard == 0 || (is_value(v, guard - 1, before) && type_at(v, guard - 1) == DT_BOOL);
}

static void check_inst(Verifier *v, uint32_t number) {
    const KInst *in = &v->k->insts.at[v->s->first + number];
    NEED(in->kop < KOP_COUNT && in->type < DT_COUNT && kernel_wide((DType)in->type) == in->type,
         "instruction %u has no kind, or a storage type", number);
    NEED((in->kop != K_SCALAR || in->op < SOP_COUNT) && (in->kop != K_MATH || in->op < MATH_COUNT),
         "instruction %u has no operation", number);
    uint32_t n = inst_operands(in);
    for (uint32_t i = 0; i < n; i++)
        NEED(is_value(v, in->in[i], number), "instruction %u uses v%u, which is no earlier value", number,
             in->in[i]);
    NEED(!inst_guarded(in) || is_guard(v, in->in[n], number), "instruction %u: its guard is no earlier bool",
         number);
    check_kind(v, in, number);
}

static void check_stays_inside(Verifier *v, const StageRanges *ranges) {
    for (uint32_t i = 0; i < v->s->n && !v->bad; i++) {
        const KInst *in = &v->k->insts.at[v->s->first + i];
        if (in->kop == K_LOAD || in->kop == K_STORE)
            check_inside(v, ranges, in->access, in->in[in->kop == K_STORE], v->s->n_axes, -1);
    }
}

/* ---- stages ---- */
static void check_stage_axes(Verifier *v) {
    const Stage *s = v->s;
    NEED(s->n_axes <= sizeof s->axis && s->n_keep <= s->n_axes, "it has %u axes and keeps %u", s->n_axes,
         s->n_keep);
    for (uint32_t i = 0; i < s->n_axes; i++) {
        NEED(s->axis[i] < v->k->axes.n && !is_stage_axis(v, s->axis[i], i),
             "axis %u is no inner axis, or stands twice",
             s->axis[i]);
        int32_t by = v->k->axes.at[s->axis[i]].clip_by;
        NEED(by < 0 || is_stage_axis(v, (uint32_t)by, i),
             "axis %u is clipped by an axis that does not run around it",
             s->axis[i]);
        bool flat = (s->kind == STAGE_REDUCE || s->kind == STAGE_CHAIN) && i >= s->n_keep;
        NEED(by < (int32_t)v->k->n_head || !flat || is_stage_axis(v, (uint32_t)by, s->n_keep),
             "axis %u is clipped by an axis of the same row", s->axis[i]);
    }
    NEED(s->vec >= -1 && s->vec < s->n_axes && s->transpose >= -1 && s->transpose < s->n_axes &&
         (s->transpose < 0 || s->transpose != s->vec), "its vector axes are none of its axes");
}

static bool reduces_type(ReduceKind kind, DType t) {
    switch (kind) {
    case REDUCE_SUM: case REDUCE_PROD: case REDUCE_MAX: case REDUCE_MIN: return is_real(t) || is_integer(t);
    case REDUCE_ANY: case REDUCE_ALL: return t == DT_BOOL;
    case REDUCE_ARGMAX: case REDUCE_ARGMIN: return t == DT_F32 || t == DT_I32;
    case REDUCE_MOMENTS: return t == DT_F32;
    case REDUCE_COUNT: break;
    }
    return false;
}

static void check_yield(Verifier *v) {
    const Stage *s = v->s;
    if (s->kind == STAGE_MAP)
        return;
    NEED(is_value(v, s->yield[0], s->n), "it yields v%u, which is no value", s->yield[0]);
    if (s->kind == STAGE_CHAIN) {
        NEED(is_value(v, s->yield[1], s->n) && is_guard(v, s->yield[2], s->n),
             "it does not yield two values and a guard");
        NEED(type_at(v, s->yield[0]) == DT_F32 && type_at(v, s->yield[1]) == DT_F32,
             "a chain multiplies f32");
    } else {
        NEED(reduces_type(s->reduce, type_at(v, s->yield[0])), "there is no %s of %s",
             reduce_names[s->reduce],
             dtype_name(type_at(v, s->yield[0])));
    }
}

static bool one_operation(ReduceKind k) {
    return k != REDUCE_ARGMAX && k != REDUCE_ARGMIN && k != REDUCE_MOMENTS;
}

static void check_results(Verifier *v, const StageRanges *ranges) {
    const Stage *s = v->s;
    uint32_t n = kernel_results(s), n_axes = s->kind == STAGE_ACCUM ? s->n_axes : s->n_keep;
    DType type = n > 0 ? kernel_yield_type(v->k, s) : DT_COUNT;
    for (uint32_t i = 0; i < n && s->out[0] != 0; i++) {
        NEED(s->out[i] != 0, "its second result goes nowhere");
        check_access(v, s->out[i] - 1, n_axes, 0, true);
        if (v->bad)
            return;
        DType stored = v->k->bufs.at[v->k->accesses.at[s->out[i] - 1].buf].dtype;
        NEED(kernel_wide(stored) == type && (s->kind != STAGE_ACCUM || stored == type),
             "its result does not fit its buffer");
        if (!never_runs(v, n_axes))              /* a row of nothing has a result, too */
            check_inside(v, ranges, s->out[i] - 1, 0, n_axes,
                         s->kind == STAGE_ACCUM ? kernel_points(v->k) : -1);
    }
    for (uint32_t i = 0; i < n && s->out[0] == 0; i++) {
        NEED(s->n_keep == 0 && s->kind != STAGE_ACCUM,
             "a result for each kept point does not go into a register");
        NEED(s->reg + i < v->k->n_regs, "there is no register %u", s->reg + i);
        v->reg_type[s->reg + i] = (uint8_t)(1 + type);
    }
}

static void check_fold(Verifier *v, const StageRanges *ranges) {
    const Stage *s = v->s;
    NEED(s->n_keep == s->n_axes && s->fold_chunks >= 0 && is_size(s->fold_chunks),
         "all axes of a fold are kept");
    NEED(s->out[1] != 0, "a fold reads no buffer");
    check_access(v, s->out[1] - 1, s->n_axes, 0, false);
    if (v->bad)
        return;
    const KAccess *a = &v->k->accesses.at[s->out[1] - 1];
    const KBuf *b = &v->k->bufs.at[a->buf];
    int64_t rows = LANES * s->fold_chunks;
    NEED(reduces_type(s->reduce, kernel_wide(b->dtype)) && one_operation(s->reduce),
         "there is no fold by %s of %s",
         reduce_names[s->reduce], dtype_name(b->dtype));
    NEED(rows == 0 || b->count % rows == 0, "%%%s is not %lld rows", buffer_name(v, a->buf), (long long)rows);
    if (rows == 0 || never_runs(v, s->n_axes))
        return;
    Range r = access_range(ranges, a, 0, s->n_axes, -1);
    NEED(r.lo > r.hi || (r.lo >= 0 && r.hi < b->count / rows), "it leaves row 0 of %%%s",
         buffer_name(v, a->buf));
}

static Wide wide_abs(int64_t x) { return x < 0 ? -(Wide)x : x; }
static void widen(Range *r, Wide by) { *(by < 0 ? &r->lo : &r->hi) += by; }

/* One operand: the valid elements of each block along its axis, for all k and all blocks of the list. */
static void check_tile_operand(Verifier *v, uint32_t id, int32_t axis, int64_t extent, int64_t step,
                               int64_t by_k) {
    const KTile *t = &v->s->tile;
    check_access(v, id, v->s->n_axes, 0, false);
    if (v->bad)
        return;
    const KBuf *b = &v->k->bufs.at[v->k->accesses.at[id].buf];
    KAccess rest = v->k->accesses.at[id];
    Wide stride = axis < 0 ? 0 : rest.coef[axis];
    if (axis >= 0)
        rest.coef[axis] = 0;
    Range r = access_range(stage_ranges(v->arena, v->k, v->s), &rest, 0, v->s->n_axes, -1);
    Wide last = (extent - 1) / step, apart = id == t->a ? t->a_r : 1, full = stride * (last - 1) + (step - 1) * apart;
    Wide tail = stride * last + (extent - 1 - last * step) * apart;
    Wide first = ((last > 0 ? step : extent) - 1) * apart, most = first > tail ? first : tail;
    const KList *columns = id == t->b ? ktile_columns(t) : NULL;
    NEED(columns == NULL || axis < 0 || stride == step, "columns that stand at places lie side by side");
    r.lo += stride < 0 ? stride * last : 0;
    r.hi += columns != NULL ? columns->places - 1 : last > 0 && full > most ? full : most;
    bool alone = id == t->b && t->cut >= 0;
    Wide steps = ktile_steps(v->k, t), points = (Wide)ktile_blocks(t) * t->k;
    widen(&r, (Wide)by_k * ((!alone ? steps : (points < CHUNK ? points : CHUNK) / t->k * steps) - 1));
    for (uint32_t i = 0; i < t->n_lists && !alone; i++) {
        const KList *l = &t->list[i];
        widen(&r, (Wide)(id == t->a ? l->a_step : l->b_step) * (l->count - 1));
        widen(&r, l->window ? (Wide)(id == t->a ? l->a_place : l->b_place) * (l->places - 1) : 0);
    }
    NEED(r.lo >= 0 && r.hi < b->count, "%%%s holds %lld elements, and the tile may reach %lld",
         buffer_name(v, v->k->accesses.at[id].buf), (long long)b->count, (long long)(r.lo < 0 ? r.lo : r.hi));
}

static bool stands_at(const Verifier *v, int32_t axis) {
    return axis >= 0 && is_stage_axis(v, (uint32_t)axis, v->s->n_axes);
}

static void check_tile_axis(Verifier *v, int32_t axis, int64_t extent, int64_t step) {
    NEED(axis == -1 || stands_at(v, axis), "a tile runs along axis %d, which is none of the head or the stage", axis);
    NEED(is_size(extent) && extent >= 1 && step >= 1, "a tile cuts %lld by %lld", (long long)extent,
         (long long)step);
    int64_t blocks = axis < 0 ? 1 : v->k->axes.at[axis].extent;
    NEED(blocks == (extent + step - 1) / step, "%lld blocks of %lld do not cover %lld", (long long)blocks,
         (long long)step,
         (long long)extent);
}


static void check_lists(Verifier *v, const KTile *t) {
    Wide points = t->k;
    for (uint32_t i = 0; i < t->n_lists; i++) {
        const KList *l = &t->list[i];
        NEED(is_size(l->count) && l->count >= 1, "a list of %lld points", (long long)l->count);
        points *= l->count;
        NEED(points <= INT64_MAX >> 1, "a tile of more points than there are numbers");
        NEED(!l->columns || (ktile_columns(t) == l && t->cut < 0 && t->together == 0 && is_size(l->places) &&
                             l->places >= 1 && wide_abs(l->of_u) * l->count + wide_abs(l->base) <= INT32_MAX),
             "one list at most ties columns to places, of a whole sum");
        if (!l->window)
            continue;
        NEED(stands_at(v, l->axis), "a window stands at axis %d, which is none of the head or the stage",
             l->axis);
        NEED(l->outer == -1 || stands_at(v, l->outer),
             "a window stands at axis %d, which is none of the head or the stage", l->outer);
        NEED(is_size(l->divide) && l->divide >= 1 && is_size(l->places) && l->places >= 1, "a window onto nothing");
        Wide reach = wide_abs(l->of_axis) * v->k->axes.at[l->axis].extent + wide_abs(l->of_u) * l->count;
        reach += l->outer < 0 ? 0 : wide_abs(l->of_outer) * v->k->axes.at[l->outer].extent;
        NEED(reach + wide_abs(l->base) <= INT64_MAX >> 1, "a window reaches too far");
    }
}

static void check_cut(Verifier *v, const KTile *t) {
    if (t->cut == -1)
        return;
    NEED(t->cut >= 0 && t->cut < (int32_t)v->k->n_head, "cuts are counted by axis %d, which is no head axis", t->cut);
    NEED(CHUNK % t->k == 0, "a cut divides a block of %lld", (long long)t->k);
    NEED(v->k->axes.at[t->cut].extent == ktile_cuts(t), "a sum of %lld parts is cut into %lld",
         (long long)ktile_cuts(t), (long long)v->k->axes.at[t->cut].extent);
}

/* Pairs do not lie across cuts: a block is even, the only one, or all of them are one cut. */
static void check_tile_types(Verifier *v, const KTile *t) {
    DType a = v->k->bufs.at[v->k->accesses.at[t->a].buf].dtype, b = v->k->bufs.at[v->k->accesses.at[t->b].buf].dtype;
    NEED(kernel_wide(a) == kernel_wide(b) && (kernel_wide(a) == DT_F32 || a == DT_I32),
         "a tile multiplies f32, or pairs of bf16 in i32");
    NEED(!ktile_pairs(v->k, t) || t->k % 2 == 0 || ktile_blocks(t) == 1 || (Wide)ktile_blocks(t) * t->k <= CHUNK,
         "a cut divides a pair");
}

/* Tiles made together differ by where their windows stand in A, and in nothing else. */
static void check_together(Verifier *v, const KTile *t) {
    const Stage *s = v->s;
    NEED(t->together <= 2 && t->together <= s->n_axes && (t->together == 0 || t->cut >= 0),
         "one call makes the tiles of two axes at most, of sums that are cut");
    for (uint32_t i = s->n_axes - t->together; i < s->n_axes; i++) {
        uint32_t axis = s->axis[i];
        NEED(v->k->accesses.at[t->a].coef[axis] == 0 && v->k->accesses.at[t->b].coef[axis] == 0 &&
             (int32_t)axis != t->m_axis && (int32_t)axis != t->n_axis && v->k->axes.at[axis].clip_by < 0,
             "tiles along axis %u are not made together", axis);
    }
    for (uint32_t i = 0; i < t->n_lists; i++) {
        const KList *l = &t->list[i];
        NEED(!l->window || (!ktile_together(s, l->outer) && (l->divide == 1 || !ktile_together(s, l->axis))),
             "a window of tiles made together stands at one axis and has all places");
    }
}

static void check_tile(Verifier *v) {
    const KTile *t = &v->s->tile;
    NEED(v->s->n_keep == 0 && v->s->n == 0, "a tile keeps no axes and has no instructions");
    NEED(v->s->vec < 0 && v->s->transpose < 0, "a tile has no vector axis: its microkernel has");
    Wide tiles = 1;
    for (uint32_t i = 0; i < v->s->n_axes; i++) {
        tiles *= v->k->axes.at[v->s->axis[i]].extent;
        NEED(tiles <= INT32_MAX, "more tiles than there are numbers");
    }
    NEED(is_size(t->k) && t->k >= 1, "a tile of nothing");
    check_lists(v, t);
    if (!v->bad)
        check_cut(v, t);
    if (v->bad)
        return;
    NEED(t->a < v->k->accesses.n && t->b < v->k->accesses.n, "there is no such access");
    NEED(v->k->accesses.at[t->a].buf < v->k->bufs.n && v->k->accesses.at[t->b].buf < v->k->bufs.n,
         "an operand of a tile lies in no buffer");
    check_together(v, t);
    if (!v->bad)
        check_tile_types(v, t);
    if (v->bad)
        return;
    check_tile_axis(v, t->m_axis, t->m, t->mr);
    NEED(t->a_r >= 1 && t->a_r <= INT32_MAX && (t->a_r == 1 || t->m % t->mr == 0),
         "rows that lie %lld apart are read by whole tiles", (long long)t->a_r);
    check_tile_axis(v, t->n_axis, t->n, t->nr);
    NEED(t->out < v->k->bufs.n, "there is no buffer %u", t->out);
    const KBuf *out = &v->k->bufs.at[t->out];
    NEED(out->role == KBUF_SCRATCH && out->dtype == DT_F32 && (Wide)out->count >= tiles * t->mr * t->nr,
         "tiles go to scratch of f32[%lld]", (long long)(tiles * t->mr * t->nr));
    NEED(!v->k->lanes, "a split head has no tiles");
    if (never_runs(v, v->s->n_axes) || v->bad)
        return;
    check_tile_operand(v, t->a, t->m_axis, t->m, t->mr, t->a_k);
    check_tile_operand(v, t->b, t->n_axis, t->n, t->nr, t->b_k);
}

static void check_order(Verifier *v) {
    const char *seen = kernel_disorder(v->k, v->s);
    NEED(seen == NULL, "%s", seen);
}

static void check_sweep(Verifier *v, uint32_t first) {
    const Stage *s = v->s;
    NEED(s->with < v->k->stages.n - first, "there are no %u stages behind it", s->with);
    for (uint32_t i = first + 1; i <= first + s->with; i++)
        NEED(v->k->stages.at[i].with == 0 && kernel_may_sweep(v->k, first, i), "stage %u cannot join its sweep", i);
}

static void check_stage(Verifier *v) {
    const Stage *s = v->s;
    NEED((uint32_t)s->kind <= STAGE_FOLD && (uint32_t)s->reduce < REDUCE_COUNT, "it is of no kind");
    NEED(s->first <= v->k->insts.n && s->n <= v->k->insts.n - s->first, "its instructions are not there");
    check_stage_axes(v);
    if (v->bad)
        return;
    if (s->kind == STAGE_TILE) {
        check_tile(v);
        return;
    }
    NEED(s->kind != STAGE_ACCUM ||
         (v->k->lanes && one_operation(s->reduce) && s->n_keep == 0 && s->out[0] != 0),
         "accum needs a split head, a kind of one operation, and a buffer");
    for (uint32_t i = 0; i < s->n && !v->bad; i++)
        check_inst(v, i);
    if (v->bad)
        return;
    const StageRanges *ranges = stage_ranges(v->arena, v->k, s);
    if (s->kind == STAGE_FOLD)
        check_fold(v, ranges);
    else
        check_yield(v);
    if (v->bad)
        return;
    check_order(v);
    if (!never_runs(v, s->n_axes))
        check_stays_inside(v, ranges);
    if (!v->bad)
        check_results(v, ranges);
}

bool kernel_verify(const Kernel *k, Error *e) {
    Arena *arena = arena_create();
    Verifier v = {.k = k, .arena = arena, .error = e, .stage = STAGE_NONE};
    v.reg_type = PUSH(arena, uint8_t, k->n_regs + 1);
    check_buffers(&v);
    if (!v.bad)
        check_axes(&v);
    for (uint32_t i = 0; i < k->stages.n && !v.bad; i++) {
        v.stage = (int)i;
        v.s = &k->stages.at[i];
        check_stage(&v);
    }
    for (uint32_t i = 0; i < k->stages.n && !v.bad; i++) {
        v.stage = (int)i;
        v.s = &k->stages.at[i];
        check_sweep(&v, i);
    }
    arena_destroy(arena);
    return !v.bad;
}
