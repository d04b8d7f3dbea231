/* Element types, shapes, and conversions whose results do not depend on the float mode of the thread: they work on bits
 * or compare before they convert, so that the interpreter without FTZ and kernels with it agree. */
#include "dtype.h"
#include "error.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

uint32_t dtype_bytes(DType t) {
    static const uint8_t bytes[] = {
#define X(id, name, bytes, what) bytes,
        DTYPE_LIST(X)
#undef X
    };
    GR_ASSERT((unsigned)t < DT_COUNT);
    return bytes[t];
}

const char *dtype_name(DType t) {
    static const char *const names[] = {
#define X(id, name, bytes, what) name,
        DTYPE_LIST(X)
#undef X
    };
    GR_ASSERT((unsigned)t < DT_COUNT);
    return names[t];
}

bool dtype_parse(Str s, DType *out) {
    for (int t = 0; t < DT_COUNT; t++) {
        if (str_is(s, dtype_name((DType)t))) {
            *out = (DType)t;
            return true;
        }
    }
    return false;
}

bool dtype_is_float(DType t) { return t == DT_F32 || t == DT_F64 || t == DT_BF16 || t == DT_F16; }

int64_t shape_count(Shape s) {
    int64_t n = 1;
    for (uint32_t i = 0; i < s.rank; i++)
        n *= s.dim[i];
    return n;
}

bool shape_eq(Shape a, Shape b) {
    return a.rank == b.rank && memcmp(a.dim, b.dim, a.rank * sizeof a.dim[0]) == 0;
}

Shape shape_of(uint32_t rank, const int64_t *dim) {
    GR_ASSERT(rank <= MAX_RANK);
    Shape s = {.rank = (uint8_t)rank};
    for (uint32_t i = 0; i < rank; i++)
        s.dim[i] = dim[i];
    return s;
}

void buf_shape(Buf *b, Shape s) {
    buf_char(b, '[');
    for (uint32_t i = 0; i < s.rank; i++)
        buf_printf(b, "%s%lld", i == 0 ? "" : ",", (long long)s.dim[i]);
    buf_char(b, ']');
}

uint32_t f32_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

float f32_of_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static bool bits_are_nan(uint32_t u) { return (u & 0x7fffffffu) > 0x7f800000u; }

static uint32_t flush_bits(uint32_t u) { return (u & 0x7f800000u) == 0 ? u & 0x80000000u : u; }

uint32_t f32_bits_canonical(float x) {
    uint32_t u = f32_bits(x);
    return bits_are_nan(u) ? 0x7fc00000u : u;
}

float flush_f32(float x) { return f32_of_bits(flush_bits(f32_bits(x))); }

/* The processor with FTZ calls a result tiny when, rounded to 24 bits with no limit on the exponent, it lies below
 * 2^-126; so the last double to become zero is the one just under 2^-126 - 2^-151. */
float f32_of_f64(double x) { return fabs(x) < 0x1.ffffffp-127 ? copysignf(0, (float)x) : (float)x; }

float f32_of_bf16(uint16_t x) { return f32_of_bits(flush_bits((uint32_t)x << 16)); }

uint16_t bf16_of_f32(float x) {
    uint32_t u = flush_bits(f32_bits(x));
    if (bits_are_nan(u))
        return 0x7fc0;
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);      /* half a unit, less one when already even */
}

float f32_of_f16(uint16_t x) { return _cvtsh_ss(x); }

uint16_t f16_of_f32(float x) {
    return bits_are_nan(f32_bits(x)) ? 0x7e00 : _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

int32_t i32_of_f32(float x) {
    if (bits_are_nan(f32_bits(x)))
        return 0;
    return x >= 0x1p31f ? INT32_MAX : x < -0x1p31f ? INT32_MIN : (int32_t)x;
}

enum { FLUSH_RESULTS = 0x8000, DENORMALS_ARE_ZERO = 0x0040 };

uint32_t float_mode_enter(void) {
    uint32_t saved = _mm_getcsr();
    _mm_setcsr(saved | FLUSH_RESULTS | DENORMALS_ARE_ZERO);
    return saved;
}

uint32_t float_mode_plain(void) {
    enum { AS_STARTED = 0x1f80 };                 /* all exceptions masked, nearest even, denormals kept */
    uint32_t saved = _mm_getcsr();
    _mm_setcsr(AS_STARTED);
    return saved;
}

void float_mode_restore(uint32_t saved) { _mm_setcsr(saved); }
