/* Which microkernels a kernel calls.  The plan lists them (PlanKernel.first_micro), the runtime puts their addresses
 * behind the kernel's buffers, the code generator loads them from there: all three count as this function does. */
#include "kernel.h"

Str kernel_micro(const Kernel *k, const Stage *s, Arena *a) {
    const KTile *t = &s->tile;
    int64_t tail = (t->n % t->nr + LANES - 1) / LANES;
    if (ktile_columns(t) != NULL && tail > 0 && tail < t->nr / LANES)
        return str_format(a, "mk_f32_%ux%u_edges_%lld", t->mr, t->nr, (long long)tail);
    if (ktile_columns(t) != NULL)
        return str_format(a, "mk_f32_%ux%u_edges", t->mr, t->nr);
    if (t->together == 0)
        return str_format(a, "mk_f32_%ux%u", t->mr, t->nr);
    int64_t inner = k->axes.at[s->axis[s->n_axes - 1]].extent;
    int64_t outer = t->together > 1 ? k->axes.at[s->axis[s->n_axes - 2]].extent : 1;
    return str_format(a, "mk_f32_%ux%u_%lldx%lld", t->mr, t->nr, (long long)outer, (long long)inner);
}

uint32_t kernel_micros(const Kernel *k, Arena *a, Str *names) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->stages.n; i++) {
        if (k->stages.at[i].kind != STAGE_TILE)
            continue;
        Str name = kernel_micro(k, &k->stages.at[i], a);
        uint32_t at = 0;
        while (at < n && !str_eq(names[at], name))
            at++;
        if (at == n)
            names[n++] = name;
    }
    return n;
}
