/* Which microkernels a kernel calls.  The plan lists them (PlanKernel.first_micro), the runtime puts their addresses
 * behind the kernel's buffers, the code generator loads them from there: all three count as this function does. */
#include "kernel.h"

uint32_t kernel_micros(const Kernel *k, Arena *a, Str *names) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->stages.n; i++) {
        const Stage *s = &k->stages.at[i];
        if (s->kind != STAGE_TILE)
            continue;
        Str name = str_format(a, "mk_f32_%ux%u", s->tile.mr, s->tile.nr);
        uint32_t at = 0;
        while (at < n && !str_eq(names[at], name))
            at++;
        if (at == n)
            names[n++] = name;
    }
    return n;
}
