/* Kernels as data: creation, sizes, and the tables that printer, parser, verifier and interpreter share. */
#include "kernel_text.h"
#include <string.h>

const char *const kbuf_role_names[KBUF_HEALTH + 1] = {
    [KBUF_IN] = "in", [KBUF_OUT] = "out", [KBUF_INOUT] = "inout", [KBUF_SCRATCH] = "scratch", [KBUF_HEALTH] =
        "health"};
const char *const kop_names[KOP_COUNT] = {
#define X(id, name) [K_##id] = name,
    KOP_LIST(X)
#undef X
};
const char *const stage_names[STAGE_FOLD + 1] = {
    [STAGE_MAP] = "map", [STAGE_REDUCE] = "reduce", [STAGE_CHAIN] = "chain",
    [STAGE_TILE] = "tile", [STAGE_ACCUM] = "accum", [STAGE_FOLD] = "fold"};
const char *const reduce_names[REDUCE_COUNT] = {
#define X(id, name) [REDUCE_##id] = name,
    REDUCE_LIST(X)
#undef X
};
static const uint8_t math_arg_counts[MATH_COUNT] = {
#define MATH(name, args, ulp, what, body) [M_##name] = args,
#include "math.def"
#undef MATH
};

uint32_t math_args(MathFn f) { return math_arg_counts[f]; }

Kernel *kernel_create(Arena *a, Str name) {
    Kernel *k = PUSH(a, Kernel, 1);
    k->arena = a;
    k->name = str_copy(a, name);
    k->grain = 1;
    return k;
}

int64_t kernel_points(const Kernel *k) {
    int64_t points = 1;
    for (uint32_t i = 0; i < k->n_head; i++)
        points *= k->axes.at[i].extent;
    return k->lanes ? LANES * ((points + CHUNK - 1) / CHUNK) : points;
}

uint64_t kernel_scratch_bytes(const Kernel *k) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        const KBuf *b = &k->bufs.at[i];
        if (b->role == KBUF_SCRATCH)
            bytes += (uint64_t)b->count * dtype_bytes(b->dtype) + BUFFER_ALIGN - 1;
        bytes = bytes / BUFFER_ALIGN * BUFFER_ALIGN;
    }
    return bytes;
}

DType kernel_wide(DType stored) {
    switch (stored) {
    case DT_F16: case DT_BF16: return DT_F32;
    case DT_U8: return DT_I32;
    case DT_F32: case DT_F64: case DT_I32: case DT_I64: case DT_BOOL: case DT_COUNT: break;
    }
    return stored;
}

DType kernel_yield_type(const Kernel *k, const Stage *s) {
    if (s->kind == STAGE_CHAIN || s->kind == STAGE_TILE || s->reduce == REDUCE_MOMENTS)
        return DT_F32;
    if (s->reduce == REDUCE_ARGMAX || s->reduce == REDUCE_ARGMIN)
        return DT_I32;
    if (s->kind == STAGE_FOLD)
        return kernel_wide(k->bufs.at[k->accesses.at[s->out[1] - 1].buf].dtype);
    return (DType)k->insts.at[s->first + s->yield[0]].type;
}

uint32_t kernel_results(const Stage *s) {
    switch (s->kind) {
    case STAGE_MAP: case STAGE_TILE: return 0;
    case STAGE_REDUCE: return s->reduce == REDUCE_MOMENTS ? 2 : 1;
    case STAGE_CHAIN: case STAGE_ACCUM: case STAGE_FOLD: break;
    }
    return 1;
}

bool stage_reduces(StageKind k) { return k == STAGE_REDUCE || k == STAGE_ACCUM || k == STAGE_FOLD; }

bool stage_has_dag(StageKind k) { return k != STAGE_TILE && k != STAGE_FOLD; }

uint32_t inst_operands(const KInst *in) {
    switch ((KOp)in->kop) {
    case K_SCALAR: return sop_operands((SOp)in->op);
    case K_MATH: return math_args((MathFn)in->op);
    case K_WORD: case K_STORE: case K_CHECK: case K_FAULT: return 1;
    case K_LOAD: case K_AXIS: case K_UNIFORM: case K_REG: case KOP_COUNT: break;
    }
    return 0;
}

bool inst_guarded(const KInst *in) { return in->kop == K_LOAD || in->kop == K_STORE || in->kop == K_CHECK; }

bool access_same(const KAccess *x, const KAccess *y) {
    return x->buf == y->buf && x->base == y->base && memcmp(x->coef, y->coef, sizeof x->coef) == 0 &&
           x->index == y->index && x->index_coef == y->index_coef;
}

bool inst_gives_value(const KInst *in) {
    return in->kop != K_STORE && in->kop != K_CHECK && in->kop != K_FAULT;
}

int64_t ktile_blocks(const KTile *t) {
    int64_t n = 1;
    for (uint32_t i = 0; i < t->n_lists; i++)
        n *= t->list[i].count;
    return n;
}

const KList *ktile_columns(const KTile *t) {
    for (uint32_t i = 0; i < t->n_lists; i++) {
        if (t->list[i].columns)
            return &t->list[i];
    }
    return NULL;
}

int64_t ktile_cuts(const KTile *t) { return (ktile_blocks(t) * t->k + CHUNK - 1) / CHUNK; }

bool ktile_pairs(const Kernel *k, const KTile *t) { return k->bufs.at[k->accesses.at[t->a].buf].dtype == DT_I32; }

int64_t ktile_steps(const Kernel *k, const KTile *t) { return ktile_pairs(k, t) ? (t->k + 1) / 2 : t->k; }

bool ktile_together(const Stage *s, int32_t axis) {
    for (uint32_t i = s->n_axes - s->tile.together; i < s->n_axes; i++) {
        if (s->axis[i] == axis)
            return true;
    }
    return false;
}

bool klist_place(const KList *l, int64_t axis, int64_t outer, int64_t u, int64_t *place) {
    int64_t scaled = l->of_axis * axis + l->of_outer * outer + l->of_u * u + l->base;
    *place = scaled / l->divide;
    return scaled >= 0 && scaled % l->divide == 0 && *place < l->places;
}
