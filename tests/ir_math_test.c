/* The functions of math.def: a thin sweep over all floats (the dense one is math-sweep), values that must be exact, and
 * the scalar operations whose corner cases the semantics fix. */
#include "math_error.h"
#include "test.h"
#include <string.h>

static const Math *functions(void) {
    const Math *m;
    Error e;
    REQUIRE(math_create(test_arena(), &m, &e) == GR_OK);
    return m;
}

static float call2(const Math *m, MathFn f, float x, float y) {
    const void *args[2] = {&x, &y};
    float out;
    uint32_t saved = float_mode_enter();
    scalar_eval_line(math_line(m, f), 1, &out, args);
    float_mode_restore(saved);
    return out;
}

static float call(const Math *m, MathFn f, float x) { return call2(m, f, x, 0); }

TEST(math_sweep_of_floats) {
    static const double limit[MATH_COUNT] = {
#define MATH(name, args, ulp, what, body) [M_##name] = ulp,
#include "math.def"
#undef MATH
    };
    const Math *m = functions();
    for (uint32_t f = 0; f < MATH_COUNT; f++) {
        Worst w = math_line(m, (MathFn)f)->n_args == 2 ? math_error_binary(m, (MathFn)f, 1 << 18)
                                                       : math_error_unary(m, (MathFn)f, 0, 1ull << 32, 16381);
        CHECK_MSG(w.ulp <= limit[f], "%s is %.3f ulp off at %a, %a", math_name((MathFn)f), w.ulp, (double)w.x,
                  (double)w.y);
    }
}

TEST(math_exact_values) {
    const Math *m = functions();
    CHECK(call(m, M_exp, 0) == 1 && call(m, M_exp, -INFINITY) == 0 && call(m, M_exp, INFINITY) == INFINITY);
    CHECK(call(m, M_exp, 89) == INFINITY && call(m, M_exp, -88) == 0);
    CHECK(call(m, M_expm1, -INFINITY) == -1 && call(m, M_expm1, 0x1p-126f) == 0x1p-126f);
    CHECK(signbit(call(m, M_expm1, -0.0f)));
    CHECK(call(m, M_log, 0) == -INFINITY && call(m, M_log, 1) == 0 && call(m, M_log, INFINITY) == INFINITY);
    CHECK(isnan(call(m, M_log, -1)) && isnan(call(m, M_log, -INFINITY)));
    CHECK(call(m, M_log1p, -1) == -INFINITY && isnan(call(m, M_log1p, -2)));
    CHECK(call(m, M_sin, 0) == 0 && call(m, M_cos, 0) == 1 && isnan(call(m, M_sin, INFINITY)));
    CHECK(call(m, M_tanh, INFINITY) == 1 && call(m, M_tanh, -40) == -1);
    CHECK(call(m, M_sigmoid, 0) == 0.5f && call(m, M_sigmoid, -INFINITY) == 0 && call(m, M_sigmoid, 90) == 1);
    CHECK(call(m, M_erf, 5) == 1 && call(m, M_erf, -INFINITY) == -1);
    CHECK(call(m, M_erfc, 0) == 1 && call(m, M_erfc, INFINITY) == 0 && call(m, M_erfc, -INFINITY) == 2);
    CHECK(call2(m, M_pow, NAN, 0) == 1 && call2(m, M_pow, 1, NAN) == 1 && call2(m, M_pow, -1, INFINITY) == 1);
    CHECK(call2(m, M_pow, -2, 3) == -8 && isnan(call2(m, M_pow, -2, 0.5f)) && isnan(call2(m, M_pow, -1, NAN)));
    CHECK(call2(m, M_atan2, 0, -1) == (float)M_PI && call2(m, M_atan2, -0.0f, -1) == -(float)M_PI);
    CHECK(call2(m, M_atan2, 1, 0) == (float)M_PI_2 && call2(m, M_atan2, 0, 0) == 0);
}

/* A NaN of any bits stays one: bits of t that would be an exponent must not turn it into a number. */
TEST(math_keeps_nan) {
    static const uint32_t nans[] = {0x7fc00000, 0xffc00000, 0x7f800001, 0xff812345, 0x7fffffff};
    const Math *m = functions();
    for (uint32_t f = 0; f < MATH_COUNT; f++) {
        for (uint32_t i = 0; i < sizeof nans / sizeof *nans && f != M_normal; i++) {
            float x = f32_of_bits(nans[i]);
            CHECK_MSG(isnan(call2(m, (MathFn)f, x, 2)), "%s of %x", math_name((MathFn)f), nans[i]);
            CHECK(math_line(m, (MathFn)f)->n_args < 2 || isnan(call2(m, (MathFn)f, 2, x)));
        }
    }
}

TEST(math_normal_is_finite_and_symmetric) {
    const Math *m = functions();
    for (uint32_t w = 0; w < 0x80000000u; w += 0x3fff00) {
        float z = call(m, M_normal, f32_of_bits(w)), mirrored = call(m, M_normal, f32_of_bits(~w));
        CHECK(isfinite(z) && z == -mirrored);
    }
    CHECK(fabsf(call(m, M_normal, f32_of_bits(0x7fffffff)) - 5.4f) < 0.1f);
}

/* ---- scalar operations ---- */
static float fold_f32(SOp op, double a, double b) {
    return (float)scalar_fold(op, DT_F32, DT_F32, (Imm){.f = a}, (Imm){.f = b}, (Imm){0}).f;
}

static int64_t fold_i32(SOp op, int64_t a, int64_t b) {
    return scalar_fold(op, DT_I32, DT_I32, (Imm){.i = a}, (Imm){.i = b}, (Imm){0}).i;
}

static int64_t cast_i32(double x) {
    return scalar_fold(S_cast, DT_I32, DT_F32, (Imm){.f = x}, (Imm){0}, (Imm){0}).i;
}

TEST(scalar_float_corners) {
    CHECK(signbit(fold_f32(S_max, -0.0, 0)) && !signbit(fold_f32(S_max, 0, -0.0)));      /* semantics 4 */
    CHECK(signbit(fold_f32(S_min, -0.0, 0)) && !signbit(fold_f32(S_min, 0, -0.0)));
    CHECK(isnan(fold_f32(S_max, NAN, 1)) && isnan(fold_f32(S_max, 1, NAN)) && isnan(fold_f32(S_min, 1, NAN)));
    CHECK(fold_f32(S_mulz, 0, INFINITY) == 0 && fold_f32(S_mulz, -0.0, NAN) == 0);       /* semantics 6 */
    CHECK(fold_f32(S_mul, 0x1p-100, 0x1p-40) == 0);                                     /* flushes */
    CHECK(fold_f32(S_rint, 2.5, 0) == 2 && fold_f32(S_rint, 3.5, 0) == 4 && fold_f32(S_floor, -0.5, 0) == -1);
    CHECK(isnan(fold_f32(S_sign, NAN, 0)) && signbit(fold_f32(S_sign, -0.0, 0)));
}

TEST(scalar_integer_corners) {
    CHECK_INT(fold_i32(S_add, INT32_MAX, 1), INT32_MIN);                                 /* semantics 9 */
    CHECK_INT(fold_i32(S_mul, 0x10001, 0x10001), 0x20001);
    CHECK_INT(fold_i32(S_idiv, -7, 2), -4);
    CHECK_INT(fold_i32(S_mod, -7, 2), 1);
    CHECK_INT(fold_i32(S_mod, 7, -2), -1);
    CHECK_INT(fold_i32(S_idiv, 5, 0), 0);
    CHECK_INT(fold_i32(S_idiv, INT32_MIN, -1), INT32_MIN);
    CHECK_INT(fold_i32(S_mod, INT32_MIN, -1), 0);
    CHECK_INT(fold_i32(S_shr, -1, 28), 15);
    CHECK_INT(fold_i32(S_sar, -16, 2), -4);
    CHECK_INT(fold_i32(S_shl, 1, 33), 2);
    CHECK_INT(fold_i32(S_abs, INT32_MIN, 0), INT32_MIN);
}

TEST(scalar_casts) {
    CHECK_INT(cast_i32(-2.9), -2);                                                       /* semantics 9 */
    CHECK_INT(cast_i32(3e9), INT32_MAX);
    CHECK_INT(cast_i32(-INFINITY), INT32_MIN);
    CHECK_INT(cast_i32(2147483520), 2147483520);
    CHECK_INT(cast_i32(-0x1p31), INT32_MIN);
    CHECK_INT(cast_i32(NAN), 0);
    CHECK_INT(scalar_fold(S_cast, DT_I64, DT_F64, (Imm){.f = 1e30}, (Imm){0}, (Imm){0}).i, INT64_MAX);
    CHECK_INT(scalar_fold(S_cast, DT_U8, DT_F32, (Imm){.f = 255.5}, (Imm){0}, (Imm){0}).i, 255);
    CHECK_INT(scalar_fold(S_cast, DT_U8, DT_F32, (Imm){.f = -1}, (Imm){0}, (Imm){0}).i, 0);
    CHECK(scalar_fold(S_cast, DT_F32, DT_F64, (Imm){.f = 0x1p-130}, (Imm){0}, (Imm){0}).f == 0);
    CHECK(scalar_fold(S_cast, DT_BF16, DT_F32, (Imm){.f = 0x1.01p0}, (Imm){0}, (Imm){0}).f == 1);
}

/* More lanes than a block, and a last block that is not full. */
TEST(scalar_line_over_blocks) {
    enum { N = 1000 };
    const Math *m = functions();
    float x[N], all[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i - 500) * 0.01f;
    }
    const void *args[1] = {x};
    uint32_t saved = float_mode_enter();
    scalar_eval_line(math_line(m, M_tanh), N, all, args);
    float_mode_restore(saved);
    for (int i = 0; i < N; i++) {
        CHECK(all[i] == call(m, M_tanh, x[i]));
    }
}
