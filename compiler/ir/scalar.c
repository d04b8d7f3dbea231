/* Evaluates scalar operations over arrays of lanes.  This is the meaning of every elementwise computation:
 * the interpreters and the folder call it, the code generator is tested against it.  Each operation is one
 * plain loop whose body is branch-free C, so the compiler turns it into vector code; the file is therefore
 * built with -O3.  Each family of loops (float, integer, comparison, select, cast) is a macro instantiated
 * per C type; <tgmath.h> picks the sqrt, fma, rint of the type. */
#include "scalar.h"
#include "dtype.h"
#include <string.h>
#include <tgmath.h>

typedef struct { const char *name; uint8_t operands; } SopRow;
static const SopRow sop_rows[SOP_COUNT] = {
#define SOP(name, n, r, what) [S_##name] = {#name, n},
#include "scalar.def"
#undef SOP
};

const char *sop_name(SOp op) { return sop_rows[op].name; }

uint32_t sop_operands(SOp op) { return sop_rows[op].operands; }

bool sop_parse(Str s, SOp *out) {
    for (uint32_t op = 0; op < SOP_COUNT; op++) {
        if (str_is(s, sop_rows[op].name)) {
            *out = (SOp)op;
            return true;
        }
    }
    return false;
}

/* A loop of one operation; x, y, z are the lanes' operands. */
#define EACH(R, T, expr)                                                                                   \
    do {                                                                                                   \
        const T *pa = a, *pb = b ? b : a, *pc = c ? c : a;                                                 \
        R *po = out;                                                                                       \
        for (uint32_t i = 0; i < n; i++) {                                                                 \
            T x = pa[i], y = pb[i], z = pc[i];                                                             \
            (void)y, (void)z;                                                                              \
            po[i] = (R)(expr);                                                                             \
        }                                                                                                  \
        return;                                                                                            \
    } while (0)

/* ---- float arithmetic.  `x >= y || x != x` picks the first on a tie and passes a NaN of either. ---- */
#define DEFINE_FLOAT(NAME, T)                                                                              \
    static void NAME(SOp op, uint32_t n, void *out, const void *a, const void *b, const void *c) {         \
        switch (op) {                                                                                      \
        case S_add:   EACH(T, T, x + y);                                                                   \
        case S_sub:   EACH(T, T, x - y);                                                                   \
        case S_mul:   EACH(T, T, x * y);                                                                   \
        case S_mulz:  EACH(T, T, x == 0 ? (T)0 : x * y);                                                   \
        case S_div:   EACH(T, T, x / y);                                                                   \
        case S_fma:   EACH(T, T, fma(x, y, z));                                                            \
        case S_neg:   EACH(T, T, -x);                                                                      \
        case S_abs:   EACH(T, T, fabs(x));                                                                 \
        case S_sign:  EACH(T, T, x > 0 ? (T)1 : x < 0 ? (T)-1 : x);                                        \
        case S_min:   EACH(T, T, (x <= y) | (x != x) ? x : y);                                             \
        case S_max:   EACH(T, T, (x >= y) | (x != x) ? x : y);                                             \
        case S_sqrt:  EACH(T, T, sqrt(x));                                                                 \
        case S_rint:  EACH(T, T, rint(x));                                                                 \
        case S_floor: EACH(T, T, floor(x));                                                                \
        case S_const: case S_arg: case S_idiv: case S_mod: case S_lt: case S_le: case S_eq: case S_isnan:  \
        case S_and: case S_or: case S_xor: case S_not: case S_shl: case S_shr: case S_sar: case S_select:  \
        case S_cast: case S_bitcast: case S_pair: case SOP_COUNT:                                          \
            GR_BUG("%s is not an operation of " #T, sop_name(op));                                         \
        }                                                                                                  \
    }
DEFINE_FLOAT(float_lanes, float)
DEFINE_FLOAT(double_lanes, double)

/* ---- integer arithmetic: done in the unsigned type U, so that it wraps ---- */
#define DEFINE_DIVISION(T, U, DIV, MOD)                                                                    \
    static inline T DIV(T x, T y) {                                                                        \
        if (y == 0 || y == -1) {        /* -1 apart: the smallest number divided by it would trap */       \
            return y == 0 ? 0 : (T)(0 - (U)x);                                                             \
        }                                                                                                  \
        T q = x / y;                                                                                       \
        return q - (x % y != 0 && (x < 0) != (y < 0));                                                     \
    }                                                                                                      \
    static inline T MOD(T x, T y) { return y == 0 ? 0 : (T)((U)x - (U)y * (U)DIV(x, y)); }
DEFINE_DIVISION(int32_t, uint32_t, div_i32, mod_i32)
DEFINE_DIVISION(int64_t, uint64_t, div_i64, mod_i64)

#define DEFINE_INT(NAME, T, U, DIV, MOD)                                                                   \
    static void NAME(SOp op, uint32_t n, void *out, const void *a, const void *b, const void *c) {         \
        enum { BITS = sizeof(T) * 8 };                                                                     \
        switch (op) {                                                                                      \
        case S_add:  EACH(T, T, (U)x + (U)y);                                                              \
        case S_sub:  EACH(T, T, (U)x - (U)y);                                                              \
        case S_mul:  EACH(T, T, (U)x * (U)y);                                                              \
        case S_idiv: EACH(T, T, DIV(x, y));                                                                \
        case S_mod:  EACH(T, T, MOD(x, y));                                                                \
        case S_neg:  EACH(T, T, 0 - (U)x);                                                                 \
        case S_abs:  EACH(T, T, x < 0 ? 0 - (U)x : (U)x);                                                  \
        case S_sign: EACH(T, T, (x > 0) - (x < 0));                                                        \
        case S_min:  EACH(T, T, x <= y ? x : y);                                                           \
        case S_max:  EACH(T, T, x >= y ? x : y);                                                           \
        case S_and:  EACH(T, T, x & y);                                                                    \
        case S_or:   EACH(T, T, x | y);                                                                    \
        case S_xor:  EACH(T, T, x ^ y);                                                                    \
        case S_not:  EACH(T, T, ~x);                                                                       \
        case S_shl:  EACH(T, T, (U)x << ((U)y & (BITS - 1)));                                              \
        case S_shr:  EACH(T, T, (U)x >> ((U)y & (BITS - 1)));                                              \
        case S_sar:  EACH(T, T, x >> ((U)y & (BITS - 1)));                                                 \
        case S_const: case S_arg: case S_mulz: case S_div: case S_fma: case S_sqrt: case S_rint:           \
        case S_floor: case S_lt: case S_le: case S_eq: case S_isnan: case S_select: case S_cast:           \
        case S_bitcast: case S_pair: case SOP_COUNT:                                                       \
            GR_BUG("%s is not an operation of " #T, sop_name(op));                                         \
        }                                                                                                  \
    }
DEFINE_INT(i32_lanes, int32_t, uint32_t, div_i32, mod_i32)
DEFINE_INT(i64_lanes, int64_t, uint64_t, div_i64, mod_i64)

static void bool_lanes(SOp op, uint32_t n, void *out, const void *a, const void *b) {
    const void *c = NULL;
    if (op == S_and) {
        EACH(uint8_t, uint8_t, x & y);
    } else if (op == S_or) {
        EACH(uint8_t, uint8_t, x | y);
    } else if (op == S_xor) {
        EACH(uint8_t, uint8_t, x ^ y);
    } else if (op == S_not) {
        EACH(uint8_t, uint8_t, x ^ 1);
    }
    GR_BUG("%s is not an operation of bool", sop_name(op));
}

/* ---- comparisons ---- */
#define DEFINE_COMPARE(NAME, T)                                                                            \
    static void NAME(SOp op, uint32_t n, void *out, const void *a, const void *b) {                        \
        const void *c = NULL;                                                                              \
        if (op == S_lt) {                                                                                  \
            EACH(uint8_t, T, x < y);                                                                       \
        } else if (op == S_le) {                                                                           \
            EACH(uint8_t, T, x <= y);                                                                      \
        } else if (op == S_eq) {                                                                           \
            EACH(uint8_t, T, x == y);                                                                      \
        }                                                                                                  \
        EACH(uint8_t, T, x != x);                                                                          \
    }
DEFINE_COMPARE(compare_f32, float)
DEFINE_COMPARE(compare_f64, double)
DEFINE_COMPARE(compare_i32, int32_t)
DEFINE_COMPARE(compare_i64, int64_t)
DEFINE_COMPARE(compare_u8, uint8_t)

static void compare(SOp op, DType from, uint32_t n, void *out, const void *a, const void *b) {
    switch (from) {
    case DT_F32:  compare_f32(op, n, out, a, b); return;
    case DT_F64:  compare_f64(op, n, out, a, b); return;
    case DT_I32:  compare_i32(op, n, out, a, b); return;
    case DT_I64:  compare_i64(op, n, out, a, b); return;
    case DT_U8:
    case DT_BOOL: compare_u8(op, n, out, a, b); return;
    case DT_BF16: case DT_F16: case DT_COUNT: break;
    }
    GR_BUG("%s of storage type %s", sop_name(op), dtype_name(from));
}

/* ---- moving bits: select, spread, copy only look at the size of an element ---- */
#define DEFINE_MOVE(SELECT, SPREAD, T)                                                                     \
    static void SELECT(uint32_t n, T *out, const uint8_t *a, const T *b, const T *c) {                     \
        for (uint32_t i = 0; i < n; i++) {                                                                 \
            T x = b[i], y = c[i];                                                                          \
            out[i] = a[i] ? x : y;                                                                         \
        }                                                                                                  \
    }                                                                                                      \
    static void SPREAD(uint32_t n, T *out, const T *a) {                                                   \
        T x = *a;                                                                                          \
        for (uint32_t i = 0; i < n; i++) {                                                                 \
            out[i] = x;                                                                                    \
        }                                                                                                  \
    }
DEFINE_MOVE(select_8, spread_8, uint8_t)
DEFINE_MOVE(select_16, spread_16, uint16_t)
DEFINE_MOVE(select_32, spread_32, uint32_t)
DEFINE_MOVE(select_64, spread_64, uint64_t)

static void select_lanes(uint32_t bytes, uint32_t n, void *out, const void *a, const void *b, const void *c) {
    switch (bytes) {
    case 1: select_8(n, out, a, b, c); return;
    case 2: select_16(n, out, a, b, c); return;
    case 4: select_32(n, out, a, b, c); return;
    case 8: select_64(n, out, a, b, c); return;
    }
}

static void spread_lanes(uint32_t bytes, uint32_t n, void *out, const void *a) {
    switch (bytes) {
    case 1: spread_8(n, out, a); return;
    case 2: spread_16(n, out, a); return;
    case 4: spread_32(n, out, a); return;
    case 8: spread_64(n, out, a); return;
    }
}

/* ---- casts (semantics 9) ----
 * Float to integer clamps first (a NaN fails `x > LOW` and becomes LOW), so the C conversion is always
 * defined; the two ends are mended by selects, since the largest integer need not be a float. */
#define DEFINE_SATURATE(NAME, T, F, LOW, LAST, END, TOP)                                                   \
    static inline T NAME(F x) {                                                                            \
        F low = x > (F)(LOW) ? x : (F)(LOW);                                                               \
        T r = (T)(low < (F)(LAST) ? low : (F)(LAST));                                                      \
        r = x >= (F)(END) ? TOP : r;                                                                       \
        return x != x ? 0 : r;                                                                             \
    }
DEFINE_SATURATE(i32_of_float,  int32_t, float,  -0x1p31, 0x1.fffffep30,         0x1p31, INT32_MAX)
DEFINE_SATURATE(i32_of_double, int32_t, double, -0x1p31, 0x1.fffffffcp30,       0x1p31, INT32_MAX)
DEFINE_SATURATE(i64_of_float,  int64_t, float,  -0x1p63, 0x1.fffffep62,         0x1p63, INT64_MAX)
DEFINE_SATURATE(i64_of_double, int64_t, double, -0x1p63, 0x1.fffffffffffffp62,  0x1p63, INT64_MAX)
DEFINE_SATURATE(u8_of_float,   uint8_t, float,  0,       255,                   256,    UINT8_MAX)
DEFINE_SATURATE(u8_of_double,  uint8_t, double, 0,       255,                   256,    UINT8_MAX)

#define DEFINE_CAST(NAME, T, TO_I32, TO_I64, TO_U8)                                                        \
    static void NAME(DType type, uint32_t n, void *out, const void *a) {                                   \
        const void *b = NULL, *c = NULL;                                                                   \
        switch (type) {                                                                                    \
        case DT_F32:  EACH(float, T, x);                                                                   \
        case DT_F64:  EACH(double, T, x);                                                                  \
        case DT_BF16: EACH(uint16_t, T, bf16_of_f32((float)x));                                            \
        case DT_F16:  EACH(uint16_t, T, f16_of_f32((float)x));                                             \
        case DT_I32:  EACH(int32_t, T, TO_I32(x));                                                         \
        case DT_I64:  EACH(int64_t, T, TO_I64(x));                                                         \
        case DT_U8:   EACH(uint8_t, T, TO_U8(x));                                                          \
        case DT_BOOL: EACH(uint8_t, T, x != 0);                                                            \
        case DT_COUNT: break;                                                                              \
        }                                                                                                  \
        GR_BUG("cast to %d", (int)type);                                                                   \
    }
DEFINE_CAST(cast_f32, float, i32_of_float, i64_of_float, u8_of_float)
DEFINE_CAST(cast_f64, double, i32_of_double, i64_of_double, u8_of_double)
DEFINE_CAST(cast_i32, int32_t, (int32_t), (int64_t), (uint8_t))
DEFINE_CAST(cast_i64, int64_t, (int32_t), (int64_t), (uint8_t))
DEFINE_CAST(cast_u8, uint8_t, (int32_t), (int64_t), (uint8_t))

/* The 16-bit floats go through f32, which holds them exactly. */
static void cast_half(DType type, DType from, uint32_t n, void *out, const uint16_t *a) {
    float wide[256];
    for (uint32_t at = 0; at < n; at += 256) {
        uint32_t m = n - at < 256 ? n - at : 256;
        for (uint32_t i = 0; i < m; i++) {
            wide[i] = from == DT_BF16 ? f32_of_bf16(a[at + i]) : f32_of_f16(a[at + i]);
        }
        cast_f32(type, m, (char *)out + (size_t)at * dtype_bytes(type), wide);
    }
}

static void cast_lanes(DType type, DType from, uint32_t n, void *out, const void *a) {
    switch (from) {
    case DT_F32:  cast_f32(type, n, out, a); return;
    case DT_F64:  cast_f64(type, n, out, a); return;
    case DT_BF16:
    case DT_F16:  cast_half(type, from, n, out, a); return;
    case DT_I32:  cast_i32(type, n, out, a); return;
    case DT_I64:  cast_i64(type, n, out, a); return;
    case DT_U8:
    case DT_BOOL: cast_u8(type, n, out, a); return;
    case DT_COUNT: break;
    }
    GR_BUG("cast from %d", (int)from);
}

static void pair_lanes(uint32_t n, void *out, const void *a, const void *b) {
    const void *c = NULL;
    EACH(uint32_t, float, (uint32_t)bf16_of_f32(x) << 16 | bf16_of_f32(y));
}

static void arithmetic(SOp op, DType type, uint32_t n, void *out, const void *a, const void *b,
                       const void *c) {
    switch (type) {
    case DT_F32:  float_lanes(op, n, out, a, b, c); return;
    case DT_F64:  double_lanes(op, n, out, a, b, c); return;
    case DT_I32:  i32_lanes(op, n, out, a, b, c); return;
    case DT_I64:  i64_lanes(op, n, out, a, b, c); return;
    case DT_BOOL: bool_lanes(op, n, out, a, b); return;
    case DT_BF16: case DT_F16: case DT_U8: case DT_COUNT: break;
    }
    GR_BUG("%s of storage type %s", sop_name(op), dtype_name(type));
}

void scalar_eval(SOp op, DType type, DType from, uint32_t n, void *out, const void *a, const void *b,
                 const void *c) {
    switch (op) {
    case S_const:
        spread_lanes(dtype_bytes(type), n, out, a);
        return;
    case S_arg: case S_bitcast:
        memcpy(out, a, (size_t)n * dtype_bytes(type));
        return;
    case S_lt: case S_le: case S_eq: case S_isnan:
        compare(op, from, n, out, a, b);
        return;
    case S_select:
        select_lanes(dtype_bytes(type), n, out, a, b, c);
        return;
    case S_cast:
        cast_lanes(type, from, n, out, a);
        return;
    case S_pair:
        pair_lanes(n, out, a, b);
        return;
    case S_add: case S_sub: case S_mul: case S_mulz: case S_div: case S_fma: case S_idiv: case S_mod:
    case S_neg: case S_abs: case S_sign: case S_min: case S_max: case S_sqrt: case S_rint: case S_floor:
    case S_and: case S_or: case S_xor: case S_not: case S_shl: case S_shr: case S_sar:
        arithmetic(op, type, n, out, a, b, c);
        return;
    case SOP_COUNT: break;
    }
    GR_BUG("scalar operation %d", (int)op);
}

/* ---- immediates ---- */
static void imm_store(DType type, Imm v, void *out) {
    if (dtype_is_float(type)) {
        float f = f32_of_f64(v.f);
        type == DT_F64 ? memcpy(out, &v.f, sizeof v.f) : cast_f32(type, 1, out, &f);
    } else {
        cast_i64(type, 1, out, &v.i);
    }
}

static Imm imm_load(DType type, const void *at) {
    Imm v;
    if (dtype_is_float(type)) {
        cast_lanes(DT_F64, type, 1, &v.f, at);
    } else {
        cast_lanes(DT_I64, type, 1, &v.i, at);
    }
    return v;
}

Imm scalar_fold(SOp op, DType type, DType from, Imm a, Imm b, Imm c) {
    uint64_t in[3], out = 0;
    uint32_t saved = float_mode_enter();
    imm_store(op == S_const ? type : from, a, &in[0]);
    imm_store(op == S_select ? type : from, b, &in[1]);
    imm_store(op == S_select ? type : from, c, &in[2]);
    scalar_eval(op, type, from, 1, &out, &in[0], &in[1], &in[2]);
    if (type == DT_F32) {                     /* a bitcast may have made a denormal */
        float f;
        memcpy(&f, &out, sizeof f);
        f = flush_f32(f);
        memcpy(&out, &f, sizeof f);
    }
    Imm r = imm_load(type, &out);
    float_mode_restore(saved);
    return r;
}

/* ---- lines ----
 * A block of lanes runs through the whole line before the next block starts.  Every instruction owns a slot
 * of the pool; slots of constants are filled once; arguments are read where they lie. */
enum { POOL_BYTES = 1 << 16, BLOCK_LANES = 256, SLOT_ALIGN = 32, LINE_MAX_INSTS = POOL_BYTES / SLOT_ALIGN };

static uint32_t block_lanes(const SLine *line) {
    uint32_t lane_bytes = 0;
    for (uint32_t k = 0; k < line->n; k++) {
        lane_bytes += dtype_bytes(line->at[k].type);
    }
    GR_ASSERT(line->n < LINE_MAX_INSTS);
    uint32_t lanes = (POOL_BYTES - line->n * SLOT_ALIGN) / (lane_bytes ? lane_bytes : 1);
    GR_ASSERT(lanes > 0);
    return lanes < BLOCK_LANES ? lanes : BLOCK_LANES;
}

void scalar_eval_line(const SLine *line, uint32_t n, void *out, const void *const *args) {
    _Alignas(64) char pool[POOL_BYTES];
    void *slot[LINE_MAX_INSTS];
    uint32_t lanes = block_lanes(line), used = 0;
    for (uint32_t k = 0; k < line->n; k++) {
        const SInst *in = &line->at[k];
        slot[k] = pool + used;
        used += (lanes * dtype_bytes(in->type) + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
        if (in->op == S_const) {
            uint64_t value;
            imm_store(in->type, in->imm, &value);
            scalar_eval(S_const, in->type, in->type, lanes, slot[k], &value, NULL, NULL);
        }
    }
    for (uint32_t at = 0; at < n; at += lanes) {
        uint32_t m = n - at < lanes ? n - at : lanes;
        for (uint32_t k = 0; k < line->n; k++) {
            const SInst *in = &line->at[k];
            if (in->op == S_arg) {
                slot[k] = (char *)args[in->imm.i] + (size_t)at * dtype_bytes(in->type);
            } else if (in->op != S_const) {
                scalar_eval(in->op, in->type, line->at[in->in[0]].type, m, slot[k], slot[in->in[0]],
                            slot[in->in[1]], slot[in->in[2]]);
            }
        }
        uint32_t bytes = dtype_bytes(line->at[line->result].type);
        memcpy((char *)out + (size_t)at * bytes, slot[line->result], (size_t)m * bytes);
    }
}
