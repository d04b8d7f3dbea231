/* Measures the functions of math.def against libm over all floats:  math-sweep [--stride N] [function ...]
 * Prints one row of a Markdown table for each: operations, largest error in ulp, where; docs/functions.md holds it.
 * One core needs a few minutes a function at stride 1. */
#include "math_error.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t count_operations(const SLine *line) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < line->n; k++) {
        uint8_t op = line->at[k].op;
        n += op != S_const && op != S_arg && op != S_bitcast;
    }
    return n;
}

static bool wanted(const char *name, int n, char **names) {
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return n == 0;
}

static Worst measure(const Math *m, MathFn f, uint32_t stride) {
    const SLine *line = math_line(m, f);
    if (line->n_args == 2) {
        uint64_t pairs = (1u << 28) / stride;
        return math_error_binary(m, f, pairs < 4096 ? 4096 : (uint32_t)pairs);
    }
    return math_error_unary(m, f, 0, 1ull << 32, f == M_normal && stride < 256 ? 256 : stride);
}

int main(int argc, char **argv) {
    uint32_t stride = 1;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--stride") == 0) {
        stride = (uint32_t)strtoul(argv[2], NULL, 10);
        first = 3;
    }
    if (stride == 0 || (first < argc && argv[first][0] == '-')) {
        fprintf(stderr, "usage: math-sweep [--stride N] [function ...]   N from 1\n");
        return 2;
    }
    Arena *a = arena_create();
    const Math *m;
    Error e;
    if (math_create(a, &m, &e) != GR_OK) {
        fprintf(stderr, "%s\n", e.what);
        return 1;
    }
    printf("| function | operations | ulp | at |\n|---|---|---|---|\n");
    for (uint32_t f = 0; f < MATH_COUNT; f++) {
        const char *name = math_name((MathFn)f);
        if (wanted(name, argc - first, argv + first)) {
            Worst w = measure(m, (MathFn)f, stride);
            const SLine *line = math_line(m, (MathFn)f);
            printf("| %s | %" PRIu32 " | %.3f | ", name, count_operations(line), w.ulp);
            printf(line->n_args == 2 ? "%a, %a |\n" : "%a |\n", (double)w.x, (double)w.y);
            fflush(stdout);
        }
    }
    arena_destroy(a);
    return 0;
}
