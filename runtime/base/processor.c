/* The processor's own description of itself (the cpuid instruction): model number and feature words. */
#include "processor.h"
#include "hash.h"
#include <cpuid.h>

/* which registers say something lasting */
typedef struct { unsigned leaf, subleaf; unsigned keep[4]; } Leaf;

uint64_t processor_identity(void) {
    static const Leaf leaves[] = {
        {0, 0, {~0u, ~0u, ~0u, ~0u}},              /* vendor */
        /* model, features; ebx names the core we happen to be on */
        {1, 0, {~0u, 0, ~(1u << 27), ~0u}},
        {7, 0, {~0u, ~0u, ~0u, ~0u}},
        {7, 1, {~0u, ~0u, ~0u, ~0u}},
        {0x80000001, 0, {0, 0, ~0u, ~0u}},
    };
    uint64_t id = 1;
    for (unsigned i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
        unsigned r[4] = {0};
        __get_cpuid_count(leaves[i].leaf, leaves[i].subleaf, &r[0], &r[1], &r[2], &r[3]);
        for (int k = 0; k < 4; k++)
            r[k] &= leaves[i].keep[k];
        id = hash_bytes(id, r, sizeof r);
    }
    return id;
}

GrStatus processor_check(Error *e) {
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return GR_OK;
    fail(e, GR_UNSUPPORTED, "this processor has no AVX2 or no FMA instructions");
    fail_help(e, "x86-64-v3 is needed: Intel since Haswell, AMD since Zen");
    return GR_UNSUPPORTED;
}
