/* The kernel interpreter: what a kernel means, from its stages alone; the schedule is not looked at.  A
 * stage's instructions run over a block of its innermost axis at a time: each instruction owns a slot of
 * block width, scalar operations go through scalar_eval, so bits are those of the graph interpreter.
 * Scratch is filled with ones before each point, so that what was not written there shows as NaN. */
#include "kernel_text.h"
#include "philox.h"
#include "rows.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 256 };

typedef struct {
    const Kernel *k;
    const Math *math;
    const UValue *uniforms;
    Arena *arena;
    char **bufs;                   /* by buffer number, scratch too */
    uint32_t *health;
    Scalar *regs;
    void ***slots;                 /* [stage][instruction]: BLOCK values */
    uint32_t *widths;              /* by stage: points that run together, a block or one */
    void *raw;                     /* BLOCK values as they are stored */
    Row row;
    int64_t axis[MAX_AXES];        /* where we are; of the axis of the block: its first value */
    int64_t point;
    const Stage *stage;
    void **slot;                   /* of the stage */
    int lane_axis;                 /* the axis the block runs along, -1 for none */
    uint32_t width;                /* of the stage */
} Eval;

typedef struct { char *at; int64_t step; } Lanes;      /* addresses of a block: step in elements */

/* ---- addresses ---- */
static int64_t axis_extent(const Eval *e, uint32_t axis) {
    const KAxis *x = &e->k->axes.at[axis];
    if (x->clip_by < 0)
        return x->extent;
    int64_t left = x->clip_total - x->extent * e->axis[x->clip_by];
    return left < 0 ? 0 : left < x->extent ? left : x->extent;
}

static Lanes lanes_of(const Eval *e, const KAccess *a) {
    int64_t at = a->base;
    for (uint32_t i = 0; i < e->k->axes.n; i++)
        at += a->coef[i] * e->axis[i];
    const KBuf *b = &e->k->bufs.at[a->buf];
    return (Lanes){e->bufs[a->buf] + at * dtype_bytes(b->dtype), e->lane_axis < 0 ?
                   0 : a->coef[e->lane_axis]};
}

static DType stored_type(const Eval *e, const KAccess *a) { return e->k->bufs.at[a->buf].dtype; }

static char *lane_address(const Eval *e, const KAccess *a, Lanes lanes, uint32_t i) {
    int64_t offset = lanes.step * i;
    if (a->index != 0)
        offset += a->index_coef * ((const int32_t *)e->slot[a->index - 1])[i];
    return lanes.at + offset * dtype_bytes(stored_type(e, a));
}

static bool guard_holds(const Eval *e, uint32_t guard, uint32_t i) {
    return guard == 0 || ((const uint8_t *)e->slot[guard - 1])[i] != 0;
}

/* ---- instructions ---- */
static const KInst *inst_at(const Eval *e, uint32_t i) { return &e->k->insts.at[e->stage->first + i]; }

/* An immediate as a value of the type. */
static Scalar scalar_of_imm(DType type, Imm v) {
    Scalar s = {0};
    DType from = dtype_is_float(type) ? DT_F64 : DT_I64;
    scalar_eval(S_cast, type, from, 1, &s, &v, NULL, NULL);
    return s;
}

static void load(const Eval *e, const KInst *in, uint32_t n, void *out) {
    const KAccess *a = &e->k->accesses.at[in->access];
    Lanes lanes = lanes_of(e, a);
    DType stored = stored_type(e, a), wide = (DType)in->type;
    uint32_t bytes = dtype_bytes(stored);
    bool dense = lanes.step == 1 && a->index == 0 && in->in[0] == 0;
    if (lanes.step == 0 && a->index == 0 && in->in[0] == 0 && stored == wide) {
        scalar_eval(S_const, wide, wide, n, out, lanes.at, NULL, NULL);
        return;
    }
    for (uint32_t i = 0; i < n && !dense; i++) {
        if (guard_holds(e, in->in[0], i))
            memcpy((char *)e->raw + i * bytes, lane_address(e, a, lanes, i), bytes);
        else
            memset((char *)e->raw + i * bytes, 0, bytes);
    }
    scalar_eval(stored == wide ? S_arg : S_cast, wide, stored, n, out, dense ? lanes.at : e->raw, NULL, NULL);
    if (in->in[0] == 0)
        return;
    Scalar other = scalar_of_imm(wide, in->imm);
    for (uint32_t i = 0; i < n; i++) {
        if (!guard_holds(e, in->in[0], i))
            memcpy((char *)out + i * dtype_bytes(wide), &other, dtype_bytes(wide));
    }
}

static void store_lanes(const Eval *e, const KAccess *a, uint32_t guard, DType wide, uint32_t n,
                        const void *values) {
    Lanes lanes = lanes_of(e, a);
    DType stored = stored_type(e, a);
    uint32_t bytes = dtype_bytes(stored);
    bool dense = lanes.step == 1 && a->index == 0 && guard == 0;
    scalar_eval(stored == wide ? S_arg : S_cast, stored, wide, n, dense ? lanes.at : e->raw, values, NULL,
                NULL);
    for (uint32_t i = 0; i < n && !dense; i++) {
        if (guard_holds(e, guard, i))
            memcpy(lane_address(e, a, lanes, i), (char *)e->raw + i * bytes, bytes);
    }
}

static void put_axis(const Eval *e, uint32_t axis, uint32_t n, int32_t *out) {
    int32_t step = (int)axis == e->lane_axis;
    for (uint32_t i = 0; i < n; i++)
        out[i] = (int32_t)e->axis[axis] + step * (int32_t)i;
}

static uint32_t key_at(const Eval *e, uint32_t inst, uint32_t i) {
    return inst == 0 ? 0 : ((const uint32_t *)e->slot[inst - 1])[i];
}

static void put_words(const Eval *e, const KInst *in, uint32_t n, uint32_t *out) {
    const KRandom *r = &in->random;
    const uint32_t *element = e->slot[in->in[0]];
    for (uint32_t i = 0; i < n; i++)
        out[i] = philox_word(key_at(e, r->seed, i), r->stream, key_at(e, r->clock, i), key_at(e, r->phase, i),
                             key_at(e, r->iteration, i), element[i]);
}

static void raise_health(const Eval *e,
                         uint32_t bits) { __atomic_fetch_or(e->health, bits, __ATOMIC_RELAXED); }

static void check_finite(const Eval *e, const KInst *in, uint32_t n) {
    DType type = (DType)inst_at(e, in->in[0])->type;
    for (uint32_t i = 0; i < n; i++) {
        double x = type == DT_F64 ?
            ((const double *)e->slot[in->in[0]])[i] : (double)((const float *)e->slot[in->in[0]])[i];
        if (guard_holds(e, in->in[1], i) && !isfinite(x))
            raise_health(e, (uint32_t)in->imm.i);
    }
}

static void check_fault(const Eval *e, const KInst *in, uint32_t n) {
    const uint8_t *bad = e->slot[in->in[0]];
    for (uint32_t i = 0; i < n; i++) {
        if (bad[i])
            raise_health(e, (uint32_t)in->imm.i);
    }
}

static void run_inst(const Eval *e, const KInst *in, uint32_t n, void *out) {
    switch ((KOp)in->kop) {
    case K_SCALAR:
        if (in->op != S_const)
            scalar_eval((SOp)in->op, (DType)in->type, (DType)inst_at(e, in->in[0])->type, n, out,
                        e->slot[in->in[0]],
                        e->slot[in->in[1]], e->slot[in->in[2]]);
        return;
    case K_MATH:
        scalar_eval_line(math_line(e->math, (MathFn)in->op), n, out,
                         (const void *const[]){e->slot[in->in[0]], e->slot[in->in[1]]});
        return;
    case K_LOAD: load(e, in, n, out); return;
    case K_AXIS: put_axis(e, (uint32_t)in->imm.i, n, out); return;
    case K_WORD: put_words(e, in, n, out); return;
    case K_STORE:
        store_lanes(e, &e->k->accesses.at[in->access], in->in[1], (DType)inst_at(e, in->in[0])->type, n,
                    e->slot[in->in[0]]);
        return;
    case K_CHECK: check_finite(e, in, n); return;
    case K_FAULT: check_fault(e, in, n); return;
    case K_UNIFORM: case K_REG: case KOP_COUNT: return;      /* filled once a stage */
    }
}

static void run_block(const Eval *e, uint32_t n) {
    for (uint32_t i = 0; i < e->stage->n; i++)
        run_inst(e, inst_at(e, i), n, e->slot[i]);
}

/* Constants, uniforms and registers do not change while a stage runs at one point. */
static void fill_invariants(const Eval *e) {
    for (uint32_t i = 0; i < e->stage->n; i++) {
        const KInst *in = inst_at(e, i);
        Scalar v;
        if (in->kop == K_SCALAR && in->op == S_const)
            v = scalar_of_imm((DType)in->type, in->imm);
        else if (in->kop == K_UNIFORM)
            memcpy(&v, &e->uniforms[in->imm.i], sizeof(UValue));
        else if (in->kop == K_REG)
            v = e->regs[in->imm.i];
        else
            continue;
        scalar_eval(S_const, (DType)in->type, (DType)in->type, BLOCK, e->slot[i], &v, NULL, NULL);
    }
}

/* ---- loops ---- */
typedef void Visit(Eval *e, void *user, uint32_t n);

/* Calls visit for each point of the axes, in row order. */
static void each_point(Eval *e, const uint8_t *axes, uint32_t n, Visit *visit, void *user) {
    if (n == 0) {
        visit(e, user, 1);
        return;
    }
    int64_t extent = axis_extent(e, axes[0]);
    for (int64_t i = 0; i < extent; i++) {
        e->axis[axes[0]] = i;
        each_point(e, axes + 1, n - 1, visit, user);
    }
    e->axis[axes[0]] = 0;
}

typedef struct { Visit *visit; void *user; int axis; uint32_t width; } Blocks;

static void cut_blocks(Eval *e, void *user, uint32_t n) {
    (void)n;
    const Blocks *b = user;
    int64_t extent = axis_extent(e, (uint32_t)b->axis);
    for (int64_t at = 0; at < extent; at += b->width) {
        e->axis[b->axis] = at;
        e->lane_axis = b->axis;
        b->visit(e, b->user, (uint32_t)(extent - at < b->width ? extent - at : b->width));
    }
    e->axis[b->axis] = 0;
    e->lane_axis = -1;
}

/* The same with blocks of up to `width` points of the last axis. */
static void each_block(Eval *e, const uint8_t *axes, uint32_t n, uint32_t width, Visit *visit, void *user) {
    if (n == 0) {
        visit(e, user, 1);
        return;
    }
    Blocks b = {visit, user, axes[n - 1], width};
    each_point(e, axes, n - 1, cut_blocks, &b);
}

/* ---- results ---- */
static void put_result(const Eval *e, uint32_t which, DType type, Scalar v) {
    const Stage *s = e->stage;
    if (s->out[0] == 0)
        e->regs[s->reg + which] = v;
    else
        store_lanes(e, &e->k->accesses.at[s->out[which] - 1], 0, type, 1, &v);
}

/* ---- map ---- */
static void map_block(Eval *e, void *user, uint32_t n) {
    (void)user;
    run_block(e, n);
}

/* ---- reduce ---- */
static void reduce_block(Eval *e, void *user, uint32_t n) {
    (void)user;
    const Stage *s = e->stage;
    run_block(e, n);
    row_push(&e->row, n, e->slot[s->yield[0]]);
}

static void put_part(Eval *e) {
    const Stage *s = e->stage;
    Part part = row_end(&e->row);
    if (s->reduce == REDUCE_MOMENTS) {
        put_result(e, 0, DT_F32, part.value);
        put_result(e, 1, DT_F32, (Scalar){.f = part.m2});
    } else if (s->reduce == REDUCE_ARGMAX || s->reduce == REDUCE_ARGMIN) {
        put_result(e, 0, DT_I32, (Scalar){.i = (int32_t)part.at});
    } else {
        put_result(e, 0, e->row.type, part.value);
    }
}

static void reduce_row(Eval *e, void *user, uint32_t n) {
    (void)user, (void)n;
    const Stage *s = e->stage;
    row_begin(&e->row, s->reduce, (DType)inst_at(e, s->yield[0])->type);
    each_block(e, s->axis + s->n_keep, s->n_axes - s->n_keep, e->width, reduce_block, NULL);
    put_part(e);
}

/* ---- chain ---- */
typedef struct {
    float acc[BLOCK], sum[BLOCK];  /* of the block of k that runs; of those before it */
    int64_t count;                 /* points so far */
    uint32_t n;                    /* outputs side by side */
} Chain;

static void chain_begin(Chain *c, uint32_t n) {
    memset(c->acc, 0, n * sizeof(float));
    c->count = 0;
    c->n = n;
}

/* The block that ran is added to the sum of those before it; the first one is the sum. */
static void chain_cut(Chain *c) {
    for (uint32_t i = 0; i < c->n; i++)
        c->sum[i] = c->count <= CHUNK ? c->acc[i] : c->sum[i] + c->acc[i];
}

static void chain_count(Chain *c) {
    if (++c->count % CHUNK == 0) {
        chain_cut(c);
        memset(c->acc, 0, c->n * sizeof(float));
    }
}

static void chain_end(Chain *c) {
    if (c->count % CHUNK != 0 || c->count == 0)
        chain_cut(c);
}

/* One term of c->n outputs. */
static void chain_wide(Eval *e, void *user, uint32_t n) {
    (void)n;
    Chain *c = user;
    const Stage *s = e->stage;
    float next[BLOCK];
    run_block(e, c->n);
    scalar_eval(S_fma, DT_F32, DT_F32, c->n, next, e->slot[s->yield[0]], e->slot[s->yield[1]], c->acc);
    if (s->yield[2] == 0)
        memcpy(c->acc, next, c->n * sizeof(float));
    else
        scalar_eval(S_select, DT_F32, DT_BOOL, c->n, c->acc, e->slot[s->yield[2] - 1], next, c->acc);
    chain_count(c);
}

/* n terms of one output. */
static void chain_long(Eval *e, void *user, uint32_t n) {
    Chain *c = user;
    const Stage *s = e->stage;
    run_block(e, n);
    const float *a = e->slot[s->yield[0]], *b = e->slot[s->yield[1]];
    for (uint32_t i = 0; i < n; i++) {
        if (guard_holds(e, s->yield[2], i))
            c->acc[0] = fmaf(a[i], b[i], c->acc[0]);
        chain_count(c);
    }
}

static void chain_outputs(Eval *e, void *user, uint32_t n) {
    Chain *c = user;
    const Stage *s = e->stage;
    chain_begin(c, n);
    each_point(e, s->axis + s->n_keep, s->n_axes - s->n_keep, chain_wide, c);
    chain_end(c);
    store_lanes(e, &e->k->accesses.at[s->out[0] - 1], 0, DT_F32, n, c->sum);
}

static void chain_output(Eval *e, void *user, uint32_t n) {
    (void)n;
    Chain *c = user;
    const Stage *s = e->stage;
    chain_begin(c, 1);
    each_block(e, s->axis + s->n_keep, s->n_axes - s->n_keep, e->width, chain_long, c);
    chain_end(c);
    put_result(e, 0, DT_F32, (Scalar){.f = c->sum[0]});
}

/* Has a row another length at each point of the last kept axis? */
static bool rows_differ(const Eval *e) {
    const Stage *s = e->stage;
    bool differ = false;
    for (uint32_t i = s->n_keep; s->n_keep > 0 && i < s->n_axes; i++)
        differ = differ || e->k->axes.at[s->axis[i]].clip_by == s->axis[s->n_keep - 1];
    return differ;
}

static void run_chain(Eval *e) {
    const Stage *s = e->stage;
    Chain c;
    enum { WIDE = 8 };             /* outputs side by side pay from here on */
    if (e->width > 1 && !rows_differ(e) && s->n_keep > 0 && e->k->axes.at[s->axis[s->n_keep - 1]].extent >= WIDE)
        each_block(e, s->axis, s->n_keep, BLOCK, chain_outputs, &c);
    else
        each_point(e, s->axis, s->n_keep, chain_output, &c);
}

/* ---- tile ---- */
/* n elements of an operand as f32: in place, or widened into `to`. */
static const float *tile_operand(const Eval *e, const KAccess *a, int64_t offset, uint32_t n, float *to) {
    DType stored = stored_type(e, a);
    const char *at = lanes_of(e, a).at + offset * dtype_bytes(stored);
    if (stored == DT_F32)
        return (const float *)at;
    scalar_eval(S_cast, DT_F32, stored, n, to, at, NULL, NULL);
    return to;
}

/* What one element of a block, from each operand, adds to the columns lo .. hi-1 of a row. */
static void tile_step(const Eval *e, const KTile *t, int64_t a_at, int64_t b_at, uint32_t lo, uint32_t hi, Chain *c) {
    const KAccess *a = &e->k->accesses.at[t->a], *b = &e->k->accesses.at[t->b];
    float wide_a[UINT8_MAX], wide_b[UINT8_MAX];
    if (!ktile_pairs(e->k, t)) {
        float x = *tile_operand(e, a, a_at, 1, wide_a);
        const float *y = tile_operand(e, b, b_at, hi - lo, wide_b);
        for (uint32_t j = lo; j < hi; j++)
            c->acc[j] = fmaf(x, y[j - lo], c->acc[j]);
        return;
    }
    uint32_t x, y;
    memcpy(&x, lanes_of(e, a).at + a_at * (int64_t)sizeof x, sizeof x);
    for (uint32_t j = lo; j < hi; j++) {
        memcpy(&y, lanes_of(e, b).at + (b_at + j - lo) * (int64_t)sizeof y, sizeof y);
        c->acc[j] = fmaf(f32_of_bf16((uint16_t)(x >> 16)), f32_of_bf16((uint16_t)(y >> 16)), c->acc[j]);
        c->acc[j] = fmaf(f32_of_bf16((uint16_t)x), f32_of_bf16((uint16_t)y), c->acc[j]);
    }
}

static uint32_t tile_side(const Eval *e, int32_t axis, int64_t extent, uint32_t step) {
    int64_t left = extent - (axis < 0 ? 0 : e->axis[axis] * step);
    return left < 0 ? 0 : left < step ? (uint32_t)left : step;
}

/* How far a block of the lists moves A and B; false: it is left out. */
static bool tile_block(const Eval *e, const KTile *t, int64_t block, int64_t *a, int64_t *b) {
    bool there = true;
    *a = *b = 0;
    for (uint32_t i = t->n_lists; i-- > 0; block /= t->list[i].count) {
        const KList *l = &t->list[i];
        int64_t u = block % l->count, place = 0;
        int64_t outer = l->window && l->outer >= 0 ? e->axis[l->outer] : 0;
        there = there && (!l->window || klist_place(l, e->axis[l->axis], outer, u, &place));
        *a += l->a_step * u + l->a_place * place;
        *b += l->b_step * u + l->b_place * place;
    }
    return there;
}

/* The columns of a tile that a block is there for; its list of columns moves B. */
static void tile_columns(const Eval *e, const KTile *t, int64_t block, uint32_t *lo, uint32_t *hi, int64_t *b) {
    for (uint32_t i = t->n_lists; i-- > 0; block /= t->list[i].count) {
        const KList *l = &t->list[i];
        if (!l->columns)
            continue;
        int64_t shift = l->of_u * (block % l->count) + l->base;
        int64_t first = shift + (t->n_axis < 0 ? 0 : e->axis[t->n_axis] * t->nr), columns = *hi;
        *b += shift;
        int64_t from = first < 0 ? -first : 0, to = l->places - first < columns ? l->places - first : columns;
        *lo = from < columns ? (uint32_t)from : *hi;
        *hi = to > *lo ? (uint32_t)to : *lo;
    }
}

/* Its place in the scratch buffer: the stage's axes in row order. */
static int64_t tile_number(const Eval *e) {
    int64_t number = 0;
    for (uint32_t i = 0; i < e->stage->n_axes; i++)
        number = number * e->k->axes.at[e->stage->axis[i]].extent + e->axis[e->stage->axis[i]];
    return number;
}

static void one_tile(Eval *e, void *user, uint32_t width) {
    (void)user, (void)width;
    const KTile *t = &e->stage->tile;
    int64_t number = tile_number(e), first = 0, end = ktile_blocks(t);
    if (t->cut >= 0) {
        first = e->axis[t->cut] * (CHUNK / t->k);
        end = first + CHUNK / t->k < end ? first + CHUNK / t->k : end;
    }
    uint32_t rows = tile_side(e, t->m_axis, t->m, t->mr), columns = tile_side(e, t->n_axis, t->n, t->nr);
    int64_t steps = ktile_steps(e->k, t), points = ktile_pairs(e->k, t) ? 2 : 1;
    float *out = (float *)e->bufs[t->out] + number * t->mr * t->nr;
    Chain c;
    for (uint32_t r = 0; r < rows; r++) {
        chain_begin(&c, columns);
        for (int64_t block = first; block < end; block++) {
            int64_t a_at, b_at;
            bool there = tile_block(e, t, block, &a_at, &b_at);
            b_at = t->cut >= 0 ? (block - first) * steps * t->b_k : b_at;
            uint32_t lo = 0, hi = columns;
            tile_columns(e, t, block, &lo, &hi, &b_at);
            for (int64_t k = 0; k < steps; k++) {
                if (there && lo < hi)
                    tile_step(e, t, a_at + k * t->a_k + r * t->a_r, b_at + k * t->b_k + lo, lo, hi, &c);
                for (int64_t p = points * k; p < points * (k + 1) && p < t->k; p++)
                    chain_count(&c);
            }
        }
        chain_end(&c);
        memcpy(out + r * t->nr, c.sum, columns * sizeof(float));
    }
}

static void run_tile(Eval *e) { each_point(e, e->stage->axis, e->stage->n_axes, one_tile, NULL); }

/* ---- the split head ---- */
static void accum_block(Eval *e, void *user, uint32_t n) {
    const Scalar *identity = user;         /* NULL: combine, else: set */
    const Stage *s = e->stage;
    const KAccess *a = &e->k->accesses.at[s->out[0] - 1];
    DType type = stored_type(e, a);
    if (identity == NULL)
        run_block(e, n);
    int64_t row = e->axis[0];
    e->axis[0] = e->point;
    Lanes lanes = lanes_of(e, a);
    e->axis[0] = row;
    if (identity == NULL && lanes.step == 1) {
        scalar_eval(reduce_op(s->reduce), type, type, n, lanes.at, lanes.at, e->slot[s->yield[0]], NULL);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        char *at = lanes.at + lanes.step * i * dtype_bytes(type);
        if (identity != NULL)
            memcpy(at, identity, dtype_bytes(type));
        else
            scalar_eval(reduce_op(s->reduce), type, type, 1, at, at,
                        (char *)e->slot[s->yield[0]] + i * dtype_bytes(type), NULL);
    }
}

static void clear_partials(Eval *e) {
    for (uint32_t i = 0; i < e->k->stages.n; i++) {
        const Stage *s = e->stage = &e->k->stages.at[i];
        if (s->kind != STAGE_ACCUM)
            continue;
        Scalar identity = reduce_identity(s->reduce, stored_type(e, &e->k->accesses.at[s->out[0] - 1]));
        each_block(e, s->axis, s->n_axes, BLOCK, accum_block, &identity);
    }
}

static void fold_point(Eval *e, void *user, uint32_t n) {
    (void)user, (void)n;
    const Stage *s = e->stage;
    const KAccess *a = &e->k->accesses.at[s->out[1] - 1];
    DType stored = stored_type(e, a), type = kernel_wide(stored);
    int64_t width = s->fold_chunks == 0 ? 0 : e->k->bufs.at[a->buf].count / (LANES * s->fold_chunks);
    _Alignas(64) Scalar raw[LANES], lanes[LANES];
    row_begin(&e->row, s->reduce, type);
    for (int64_t chunk = 0; chunk < s->fold_chunks; chunk++) {
        for (int64_t lane = 0; lane < LANES; lane++)
            memcpy((char *)raw + lane * dtype_bytes(stored),
                   lanes_of(e, a).at + (chunk * LANES + lane) * width * dtype_bytes(stored),
                       dtype_bytes(stored));
        scalar_eval(stored == type ? S_arg : S_cast, type, stored, LANES, lanes, raw, NULL, NULL);
        row_push_lanes(&e->row, lanes);
    }
    put_part(e);
}

/* ---- the kernel ---- */
static void run_stage(Eval *e, uint32_t number) {
    const Stage *s = e->stage = &e->k->stages.at[number];
    e->slot = e->slots[number];
    e->width = e->widths[number];
    e->lane_axis = -1;
    fill_invariants(e);
    switch (s->kind) {
    case STAGE_MAP: each_block(e, s->axis, s->n_axes, e->width, map_block, NULL); return;
    case STAGE_REDUCE: each_point(e, s->axis, s->n_keep, reduce_row, NULL); return;
    case STAGE_CHAIN: run_chain(e); return;
    case STAGE_TILE: run_tile(e); return;
    case STAGE_ACCUM: each_block(e, s->axis, s->n_axes, e->width, accum_block, NULL); return;
    case STAGE_FOLD: each_point(e, s->axis, s->n_axes, fold_point, NULL); return;
    }
}

static void run_point(Eval *e) {
    for (uint32_t i = 0; i < e->k->bufs.n; i++) {
        const KBuf *b = &e->k->bufs.at[i];
        if (b->role == KBUF_SCRATCH)
            memset(e->bufs[i], 0xff, (size_t)b->count * dtype_bytes(b->dtype));
    }
    for (uint32_t i = 0; i < e->k->stages.n; i++)
        run_stage(e, i);
}

static void run_head_point(Eval *e, int64_t point) {
    for (uint32_t i = e->k->n_head; i-- > 0; point /= e->k->axes.at[i].extent)
        e->axis[i] = point % e->k->axes.at[i].extent;
    run_point(e);
}

/* The rows of one (chunk, lane) pair. */
static void run_split_point(Eval *e, int64_t point) {
    int64_t chunk = point / LANES, end = (chunk + 1) * CHUNK, rows = e->k->axes.at[0].extent;
    e->point = point;
    e->lane_axis = -1;
    clear_partials(e);
    for (int64_t n = chunk * CHUNK + point % LANES; n < end && n < rows; n += LANES) {
        e->axis[0] = n;
        run_point(e);
    }
}

static void place_buffers(Eval *e, void *const *bufs) {
    e->bufs = PUSH(e->arena, char *, e->k->bufs.n + 1);
    for (uint32_t i = 0; i < e->k->bufs.n; i++) {
        const KBuf *b = &e->k->bufs.at[i];
        size_t bytes = (size_t)b->count * dtype_bytes(b->dtype);
        e->bufs[i] = b->role == KBUF_SCRATCH ? arena_push(e->arena, bytes + 1, BUFFER_ALIGN) : bufs[i];
        if (b->role == KBUF_HEALTH)
            e->health = bufs[i];
    }
}

static void make_slots(Eval *e) {
    e->slots = PUSH(e->arena, void **, e->k->stages.n + 1);
    e->widths = PUSH(e->arena, uint32_t, e->k->stages.n + 1);
    for (uint32_t i = 0; i < e->k->stages.n; i++) {
        uint32_t n = e->k->stages.at[i].n;
        e->slots[i] = PUSH(e->arena, void *, n + 1);
        e->widths[i] = kernel_in_order(e->k, &e->k->stages.at[i], e->k->stages.at[i].n_axes - 1u) ? 1 : BLOCK;
        for (uint32_t j = 0; j < n; j++)
            e->slots[i][j] = arena_push(e->arena, BLOCK * sizeof(Scalar), 64);
    }
}

void kernel_eval(const Kernel *k, const Math *m, void *const *bufs, const UValue *uniforms, int64_t first,
                 int64_t last) {
    Arena *arena = arena_create();
    Eval e = {.k = k, .math = m, .uniforms = uniforms, .arena = arena, .lane_axis = -1};
    place_buffers(&e, bufs);
    make_slots(&e);
    e.raw = arena_push(arena, BLOCK * sizeof(Scalar), 64);
    e.regs = PUSH(arena, Scalar, k->n_regs + 2);
    e.row = row_create(arena);
    uint32_t saved = float_mode_enter();
    bool skipped = k->commit && *e.health != 0;
    for (int64_t point = first; point < last && !skipped; point++) {
        if (k->lanes)
            run_split_point(&e, point);
        else
            run_head_point(&e, point);
    }
    float_mode_restore(saved);
    arena_destroy(arena);
}
