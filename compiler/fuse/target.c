/* The processors that products are planned for.  Code for one of them is right on any that has its instructions; the
 * table says what is fast.  The dot product of bf16 pairs (AVX512_BF16) does two fused steps an element: Zen 5 does as
 * many of them a second as fused steps of f32, 484 GFLOP/s a core against 263; Sapphire Rapids a quarter as many, 80
 * against 139.  So it counts on AMD alone. */
#include "target.h"
#include "error.h"
#include <stddef.h>
#include <string.h>

static const CpuTarget targets[] = {
    {.name = "avx2", .wide = false, .rows = 6, .sums = 6},
    {.name = "avx512", .wide = true, .rows = 14, .sums = 28},
    {.name = "avx512-bf16", .wide = true, .rows = 14, .sums = 28, .pairs = true},
};

const CpuTarget *cpu_target(const char *name) {
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    }
    GR_BUG("there is no target %s", name);
}

const char *cpu_target_of(const char *cpu) {
    bool host = cpu == NULL || strcmp(cpu, "host") == 0;
    bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    if (!host || !wide)
        return "avx2";
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd") ? "avx512-bf16" : "avx512";
}
