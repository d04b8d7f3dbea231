/* Which microkernels a kernel calls.  The plan lists them (PlanKernel.first_micro), the runtime puts their addresses
 * behind the kernel's buffers, the code generator loads them from there: all three count as this function does.
 * Where the rows of the matrix are no multiple of a tile's, the last panel of rows has a microkernel of as many as it
 * has. */
#include "kernel.h"

int64_t ktile_last_rows(const KTile *t) {
    int64_t rest = t->m % t->mr;
    bool pairs = t->nr % LANES != 0; /* two rows share a vector */
    return rest == 0 || t->together > 0 || pairs ? t->mr : rest;
}

int64_t ktile_step(const KTile *t, int32_t axis) {
    int64_t step = 0;
    for (uint32_t i = 0; i < t->n_lists; i++) {
        if (t->list[i].window && t->list[i].axis == axis)
            step += t->list[i].a_place * t->list[i].of_axis;
    }
    return step;
}

/* Of tiles made together: how far apart the rows of outer and inner ones are, and steps of k.  As constants of the
 * instructions they take no registers, which are too few for them. */
static Str with_steps(const KTile *t, Str name, int32_t outer, int32_t inner, Arena *a) {
    enum { MOST = 1 << 24 };
    int64_t step[] = {ktile_step(t, outer), ktile_step(t, inner), t->a_k};
    for (uint32_t i = 0; i < 3; i++) {
        if (step[i] < 0 || step[i] > MOST)
            return name;
    }
    return str_format(a, "%.*s_at%lld_%lld_%lld", FSTR(name), (long long)step[0], (long long)step[1],
                      (long long)step[2]);
}

static Str shape_name(const Kernel *k, const Stage *s, bool last, Arena *a) {
    const KTile *t = &s->tile;
    const char *type = ktile_pairs(k, t) ? "bf16" : "f32";
    uint32_t rows = last ? (uint32_t)ktile_last_rows(t) : t->mr;
    int64_t tail = (t->n % t->nr + LANES - 1) / LANES;
    if (ktile_columns(t) != NULL && tail > 0 && tail < t->nr / LANES)
        return str_format(a, "mk_%s_%ux%u_edges_%lld", type, rows, t->nr, (long long)tail);
    if (ktile_columns(t) != NULL)
        return str_format(a, "mk_%s_%ux%u_edges", type, rows, t->nr);
    if (t->together == 0)
        return str_format(a, "mk_%s_%ux%u", type, rows, t->nr);
    int32_t inner = s->axis[s->n_axes - 1], outer = t->together > 1 ? s->axis[s->n_axes - 2] : -1;
    long long tiles[] = {outer < 0 ? 1 : k->axes.at[outer].extent, k->axes.at[inner].extent};
    Str name = str_format(a, "mk_%s_%ux%u_%lldx%lld", type, rows, t->nr, tiles[0], tiles[1]);
    return with_steps(t, name, outer, inner, a);
}

static uint32_t add_name(Str *names, uint32_t n, Str name) {
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(names[i], name))
            return n;
    }
    names[n] = name;
    return n + 1;
}

Str kernel_micro(const Kernel *k, const Stage *s, bool last, Arena *a) {
    Str name = shape_name(k, s, last, a);
    return s->tile.a_r == 1 ? name : str_format(a, "%.*s_by%lld", FSTR(name), (long long)s->tile.a_r);
}

uint32_t kernel_micros(const Kernel *k, Arena *a, Str *names) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->stages.n; i++) {
        const Stage *s = &k->stages.at[i];
        if (s->kind != STAGE_TILE)
            continue;
        if (s->tile.m >= s->tile.mr)
            n = add_name(names, n, kernel_micro(k, s, false, a));
        n = add_name(names, n, kernel_micro(k, s, true, a));
    }
    return n;
}
