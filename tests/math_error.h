/* How far a function of math.def is from libm in f64, in units of the last place of f32.  Shared by the sweep over all
 * floats (math_sweep.c) and the strided one of the tests.  glibc's f64 functions err by less than 1 ulp of f64, that is
 * 2^-29 of what is measured here. */
#ifndef GR_TESTS_MATH_ERROR_H
#define GR_TESTS_MATH_ERROR_H
#include "dtype.h"
#include "functions.h"
#include <math.h>

typedef struct { double ulp; float x, y; } Worst;

/* inf counts as 2^128.  A result flushed to zero counts as the smallest normal number where the true one is a hair
 * above it, and as right where the true one is below. */
static inline double math_error_ulp(float got, double want) {
    if (isnan(got) || isnan(want)) {
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    }
    double g = isinf(got) ? copysign(0x1p128, got) : got;
    double w = fabs(want) > 0x1p128 ? copysign(0x1p128, want) : want;
    if (got == 0) {
        return fabs(w) <= 0x1p-126 ? 0 : (fabs(w) - 0x1p-126) / 0x1p-149;
    }
    int binade = fabs(w) < 0x1p-126 ? -126 : ilogb(w);
    return fabs(g - w) / ldexp(1, (binade > 127 ? 127 : binade) - 23);
}

/* Beyond 2^44 sine and cosine only promise a value in [-1, 1]. */
static inline bool math_error_far(MathFn f, double x, float got) {
    return (f == M_sin || f == M_cos) && fabs(x) > 0x1p44 && fabsf(got) <= 1;
}

/* n arguments, evaluated by the line and by libm; keeps the worst. */
static inline void math_error_block(const Math *m, MathFn f, uint32_t n, const float *x, const float *y, Worst *worst) {
    float got[4096];
    int32_t word[4096];
    GR_ASSERT(n <= 4096);
    for (uint32_t i = 0; i < n; i++) {
        word[i] = (int32_t)f32_bits(x[i]);
    }
    const void *args[2] = {f == M_normal ? (const void *)word : (const void *)x, y};
    uint32_t saved = float_mode_enter();
    scalar_eval_line(math_line(m, f), n, got, args);
    float_mode_restore(saved);
    for (uint32_t i = 0; i < n; i++) {
        double a = f == M_normal ? word[i] : (double)x[i];
        double want = math_f64(f, a, y ? (double)y[i] : 0);
        double ulp = math_error_far(f, a, got[i]) ? 0 : math_error_ulp(got[i], want);
        if (ulp > worst->ulp) {
            *worst = (Worst){ulp, x[i], y ? y[i] : 0};
        }
    }
}

/* Every stride-th of all 2^32 bit patterns in [from, to). */
static inline Worst math_error_unary(const Math *m, MathFn f, uint64_t from, uint64_t to, uint32_t stride) {
    Worst worst = {0};
    float x[4096];
    for (uint64_t bits = from; bits < to;) {
        uint32_t n = 0;
        for (; n < 4096 && bits < to; bits += stride) {
            x[n++] = flush_f32(f32_of_bits((uint32_t)bits));
        }
        math_error_block(m, f, n, x, NULL, &worst);
    }
    return worst;
}

/* Pairs: any bits with any bits, the special values with each other, and for pow exponents that keep the result finite,
 * integers among them. */
static inline Worst math_error_binary(const Math *m, MathFn f, uint32_t pairs) {
    static const float special[] = {0, -0.0f, 1, -1, 0.5f, -0.5f, 2, -2, 3, -3, 1e30f, -1e30f, 0x1p-126f, -0x1p-126f,
                                    INFINITY, -INFINITY, NAN, 2.5f, -2.5f, 0x1p24f, -0x1p24f, 16777215, 0.99999994f};
    enum { SPECIALS = sizeof special / sizeof *special };
    Worst worst = {0};
    float x[4096], y[4096];
    uint32_t n = 0;
    for (uint32_t i = 0; i < SPECIALS * SPECIALS; i++, n++) {
        x[n] = special[i / SPECIALS];
        y[n] = special[i % SPECIALS];
    }
    math_error_block(m, f, n, x, y, &worst);
    uint64_t state = 1;
    for (uint32_t done = 0; done < pairs; done += n) {
        for (n = 0; n < 4096; n++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            x[n] = flush_f32(f32_of_bits((uint32_t)(state >> 32)));
            state = state * 6364136223846793005u + 1442695040888963407u;
            y[n] = flush_f32(f32_of_bits((uint32_t)(state >> 32)));
            double exponent = (double)(int32_t)(state >> 32) * (130 / 0x1p31);
            if (f == M_pow && n % 4 != 0) {
                x[n] = n % 4 == 1 ? 1 + (float)ldexp(x[n], -130) : x[n];
                y[n] = (float)(exponent / log2(fabs((double)x[n])));
                y[n] = n % 4 == 2 ? rintf(y[n]) : y[n];
                x[n] = n % 4 == 2 ? x[n] : fabsf(x[n]);
            } else if (f == M_atan2 && n % 2 != 0) {
                y[n] = flush_f32(x[n] * (float)exponent);
            }
        }
        math_error_block(m, f, n, x, y, &worst);
    }
    return worst;
}
#endif
