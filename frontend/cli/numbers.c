/* Tensors as text, and what one number or a few say about a whole one. */
#include "numbers.h"
#include <math.h>
#include <stdio.h>

Summary summary_of(DType t, const void *at, int64_t n) {
    Summary s = {.n = n, .least = INFINITY, .most = -INFINITY};
    double squares = 0, finite = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = element_of(t, at, i);
        s.zeros += x == 0;
        s.nan += isnan(x) != 0;
        s.infinite += isinf(x) != 0;
        if (!isfinite(x)) continue;
        s.least = fmin(s.least, x);
        s.most = fmax(s.most, x);
        finite++;
        double d = x - s.mean;                       /* Welford's running mean and squares */
        s.mean += d / finite;
        squares += d * (x - s.mean);
    }
    s.deviation = finite > 0 ? sqrt(squares / finite) : 0;
    return s;
}

/* ---- text ---- */
static void print_element(DType t, double x) {
    if (t == DT_BOOL) printf(" %9s", x != 0 ? "yes" : "no");
    else if (dtype_is_float(t)) printf(" %9.4g", x);
    else printf(" %5.0f", x);
}

void numbers_print_row(DType t, const void *at, int64_t first, int64_t n) {
    enum { MOST = 8 };
    for (int64_t i = 0; i < n && i < MOST; i++) print_element(t, element_of(t, at, first + i));
    puts(n > MOST ? " .." : "");
}

void numbers_print_first(DType t, const void *at, Shape shape) {
    enum { ROWS = 3 };
    int64_t n = shape_count(shape), row = shape.rank ? shape.dim[shape.rank - 1] : 1;
    for (int64_t r = 0; r < ROWS && r * row < n; r++) {
        fputs("  ", stdout);
        numbers_print_row(t, at, r * row, row);
    }
    if (n > ROWS * row && row > 0)
        printf("   .. %lld more rows of %lld\n", (long long)(n / row - ROWS), (long long)row);
}
