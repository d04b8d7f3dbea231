/* See kernel_mutant.h.  A change is one field of one thing, set to a value that kernels have there: extents around
 * vectors and chunks, another axis, another type.  So a good part of what comes out is valid, and stands where the
 * schedules of the generator meet what fusion never asked them for. */
#include "kernel_mutant.h"
#include <string.h>

typedef struct { Kernel *k; uint64_t state; } Change;

static uint64_t next(Change *c) {
    uint64_t z = c->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint32_t pick(Change *c, uint32_t n) { return n == 0 ? 0 : (uint32_t)(next(c) >> 32) % n; }
static bool often(Change *c) { return pick(c, 2) == 0; }

static int64_t size(Change *c) {
    static const int64_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 100, 256, 4095, 4096, 4097};
    return sizes[pick(c, sizeof sizes / sizeof *sizes)];
}

static int64_t near(Change *c, int64_t x) {
    switch (pick(c, 5)) {
    case 0: return x + 1;
    case 1: return x - 1;
    case 2: return x * 2;
    case 3: return x / 2;
    default: return size(c);
    }
}

static Stage *some_stage(Change *c) { return &c->k->stages.at[pick(c, c->k->stages.n)]; }
static KAxis *some_axis(Change *c) { return &c->k->axes.at[pick(c, c->k->axes.n)]; }
static KBuf *some_buf(Change *c) { return &c->k->bufs.at[pick(c, c->k->bufs.n)]; }

/* ---- axes ---- */
static void extent(Change *c) {
    KAxis *x = some_axis(c);
    x->extent = near(c, x->extent);
    if (x->clip_by >= 0 && often(c))
        x->clip_total = x->extent * c->k->axes.at[x->clip_by].extent - pick(c, 5);
}

static void clip(Change *c) {
    KAxis *x = some_axis(c);
    if (x->clip_by >= 0 && often(c)) {
        x->clip_total = near(c, x->clip_total);
        return;
    }
    x->clip_by = (int32_t)pick(c, c->k->axes.n + 1) - 1;
    x->clip_total = x->clip_by < 0 ? 0 : x->extent * c->k->axes.at[x->clip_by].extent - pick(c, 20);
}

static void order(Change *c) {
    Stage *s = some_stage(c);
    if (s->n_axes < 2)
        return;
    uint32_t i = pick(c, s->n_axes), j = pick(c, s->n_axes);
    uint8_t axis = s->axis[i];
    s->axis[i] = s->axis[j];
    s->axis[j] = axis;
}

static void stage_axis(Change *c) {
    Stage *s = some_stage(c);
    uint8_t axis = (uint8_t)pick(c, c->k->axes.n);
    if (often(c) && s->n_axes > 0)
        s->axis[pick(c, s->n_axes)] = axis;
    else if (often(c) && s->n_axes < sizeof s->axis)
        s->axis[s->n_axes++] = axis;
    else if (s->n_axes > 0)
        s->n_axes--;
}

/* ---- stages ---- */
static void schedule(Change *c) {
    Stage *s = some_stage(c);
    switch (pick(c, 3)) {
    case 0: s->vec = (int8_t)((int)pick(c, s->n_axes + 1u) - 1); return;
    case 1: s->transpose = (int8_t)((int)pick(c, s->n_axes + 1u) - 1); return;
    default: s->with = (uint8_t)pick(c, 3);
    }
}

static void kind(Change *c) {
    Stage *s = some_stage(c);
    if (often(c)) {
        s->reduce = (ReduceKind)pick(c, REDUCE_COUNT);
    } else if (s->kind == STAGE_MAP || s->kind == STAGE_REDUCE) {
        s->n_keep = (uint8_t)pick(c, s->n_axes + 1u);
    } else {
        s->fold_chunks = s->kind == STAGE_FOLD ? near(c, s->fold_chunks) : 0;
    }
}

static void result(Change *c) {
    Stage *s = some_stage(c);
    s->reg = pick(c, c->k->n_regs + 1);
    if (often(c))
        s->out[0] = pick(c, 3) == 0 ? 0 : 1 + pick(c, c->k->accesses.n);
    if (often(c) && s->n > 0)
        s->yield[0] = pick(c, s->n);
}

static void stages(Change *c) {
    Stage *x = some_stage(c), *y = some_stage(c), kept = *x;
    if (often(c)) {
        *x = *y;
        if (often(c))
            *y = kept;
    } else if (c->k->stages.n > 1) {
        memmove(x, x + 1, sizeof *x * (size_t)(c->k->stages.at + c->k->stages.n - 1 - x));
        c->k->stages.n--;
    }
}

static void tile(Change *c) {
    Stage *s = some_stage(c);
    KTile *t = &s->tile;
    if (s->kind != STAGE_TILE)
        return;
    KList *l = &t->list[pick(c, t->n_lists)];
    int64_t *const numbers[] = {&t->k, &t->a_k, &t->b_k, &t->m, &t->n, &l->count, &l->a_step, &l->b_step, &l->of_axis,
                                &l->of_outer, &l->of_u, &l->base, &l->divide, &l->places, &l->a_place, &l->b_place};
    enum { NUMBERS = sizeof numbers / sizeof *numbers };
    uint32_t which = pick(c, NUMBERS + 5);
    if (which < NUMBERS)
        *numbers[which] = often(c) ? near(c, *numbers[which]) : -*numbers[which];
    else if (which == NUMBERS)
        t->together = (uint8_t)pick(c, 3);
    else if (which == NUMBERS + 1)
        *(often(c) ? &t->m_axis : &t->n_axis) = (int32_t)pick(c, c->k->axes.n + 1) - 1;
    else if (which == NUMBERS + 2)
        t->mr = (uint8_t)(1 + pick(c, 14));
    else if (which == NUMBERS + 3)
        t->nr = (uint8_t)(16 + 16 * pick(c, 2));
    else if (l->window)
        *(often(c) ? &l->axis : &l->outer) = (int32_t)pick(c, c->k->axes.n + 1) - 1;
}

/* ---- memory ---- */
static void address(Change *c) {
    if (c->k->accesses.n == 0)
        return;
    KAccess *a = &c->k->accesses.at[pick(c, c->k->accesses.n)];
    uint32_t axis = pick(c, c->k->axes.n);
    switch (pick(c, 5)) {
    case 0: a->coef[axis] = often(c) ? near(c, a->coef[axis]) : -a->coef[axis]; return;
    case 1: a->coef[axis] = a->coef[pick(c, c->k->axes.n)]; return;
    case 2: a->base = near(c, a->base); return;
    case 3: a->index_coef = near(c, a->index_coef); return;
    default: a->buf = pick(c, c->k->bufs.n);
    }
}

static void buffer(Change *c) {
    static const DType types[] = {DT_F32, DT_F16, DT_BF16, DT_U8, DT_I32, DT_I64, DT_F64, DT_BOOL};
    KBuf *b = some_buf(c);
    if (b->role != KBUF_HEALTH && often(c))
        b->role = (KBufRole)pick(c, KBUF_HEALTH);
    else if (b->role != KBUF_HEALTH)
        b->dtype = types[pick(c, sizeof types / sizeof *types)];
}

/* All that is real becomes of another type, so that passes written for f32 meet it. */
static void retype(Change *c) {
    static const DType types[] = {DT_F64, DT_I32, DT_I64};
    DType to = types[pick(c, 3)];
    for (uint32_t i = 0; i < c->k->bufs.n; i++) {
        KBuf *b = &c->k->bufs.at[i];
        b->dtype = b->dtype == DT_F32 ? to : b->dtype;
    }
    for (uint32_t i = 0; i < c->k->insts.n; i++) {
        KInst *in = &c->k->insts.at[i];
        bool number = (in->kop == K_SCALAR && in->op == S_const) || in->kop == K_LOAD;
        if (in->type == DT_F32 && number && to != DT_F64)
            in->imm = (Imm){.i = in->imm.f > -100 && in->imm.f < 100 ? (int64_t)in->imm.f : 0};
        in->type = in->type == DT_F32 ? (uint8_t)to : in->type;
    }
}

/* ---- instructions ---- */
static void instruction(Change *c) {
    Stage *s = some_stage(c);
    if (s->n == 0)
        return;
    uint32_t at = pick(c, s->n);
    KInst *in = &c->k->insts.at[s->first + at];
    bool memory = in->kop == K_LOAD || in->kop == K_STORE;
    uint32_t *guard = memory ? &in->in[in->kop == K_STORE] : NULL;
    if (guard != NULL && pick(c, 3) == 0)
        *guard = often(c) ? 0 : 1 + pick(c, at);
    else if (memory)
        in->access = pick(c, c->k->accesses.n);
    else if (in->kop == K_AXIS)
        in->imm.i = pick(c, c->k->axes.n);
    else if (in->kop == K_SCALAR && in->op == S_const)
        in->imm = dtype_is_float((DType)in->type) ? (Imm){.f = (double)size(c) / 4 - 8} : (Imm){.i = size(c) - 8};
    else if (in->kop == K_SCALAR && often(c))
        in->op = (uint8_t)pick(c, SOP_COUNT);
    else
        in->in[pick(c, 3)] = pick(c, at);
}

/* ---- */
static void grow(Kernel *k) {
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        if (k->bufs.at[i].role != KBUF_HEALTH && k->bufs.at[i].count < 1 << 13)
            k->bufs.at[i].count *= 8;
    }
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        KAccess *a = &k->accesses.at[i];
        for (uint32_t x = 0; x < k->axes.n; x++)
            a->base += a->coef[x] < 0 && a->base == 0 ? -a->coef[x] * (k->axes.at[x].extent - 1) : 0;
    }
}

void mutant_change(Kernel *k, uint64_t seed) {
    static void (*const changes[])(Change *) = {extent, extent, clip,    order,   stage_axis, schedule, schedule, kind,
                                                result, stages, tile,    address, address,    buffer,   retype,
                                                instruction, instruction};
    Change c = {k, seed};
    if (k->axes.n == 0 || k->bufs.n == 0 || k->stages.n == 0)
        return;
    for (uint32_t n = 1 + pick(&c, 4); n > 0; n--)
        changes[pick(&c, sizeof changes / sizeof *changes)](&c);
    if (often(&c))
        grow(k);
}

bool mutant_small(const Kernel *k) {
    enum { WORK = 1 << 18, ELEMENTS = 1 << 17, FOLDS = 1 << 10, UNIFORMS = 64 };
    int64_t points = kernel_points(k), all = points;
    bool small = points < WORK;
    for (uint32_t i = 0; i < k->bufs.n; i++)
        small = small && k->bufs.at[i].count <= ELEMENTS;
    for (uint32_t i = 0; i < k->uniforms.n; i++)
        small = small && k->uniforms.at[i] < UNIFORMS;
    for (uint32_t i = 0; small && i < k->stages.n; i++) {
        const Stage *s = &k->stages.at[i];
        int64_t work = k->lanes ? k->axes.at[0].extent : points;
        for (uint32_t j = 0; small && j < s->n_axes; j++)
            small = !__builtin_mul_overflow(work, k->axes.at[s->axis[j]].extent, &work) && work < WORK;
        if (s->kind == STAGE_TILE)
            small = small && s->tile.k < WORK && ktile_blocks(&s->tile) < WORK &&
                    !__builtin_mul_overflow(work * s->tile.mr, s->tile.k * ktile_blocks(&s->tile), &work);
        if (s->kind == STAGE_FOLD)
            small = small && s->fold_chunks <= FOLDS;
        all += work;
    }
    return small && all < WORK;
}
