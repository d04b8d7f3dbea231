/* What the epilogue of a folded product updates in place: parameters and states of one shape, of which a tile is as
 * many short rows, far apart.  Generated code updates one tile while it sums the next, a row every few steps of k, so
 * here is said once how these rows lie and how many steps there are for one. */
#include "kernel.h"

static bool moves_with_head(const Kernel *k, const KAccess *a) {
    for (uint32_t h = 0; h < k->n_head; h++) {
        if (a->coef[h] != 0)
            return true;
    }
    return false;
}

/* One call makes a tile of f32, and behind it a map goes over its rows and columns. */
static bool is_plain(const Kernel *k) {
    if (!k->commit || k->stages.n != 2 || k->stages.at[0].kind != STAGE_TILE || k->stages.at[1].kind != STAGE_MAP)
        return false;
    const Stage *s = &k->stages.at[0], *map = &k->stages.at[1];
    return s->n_axes == 0 && s->tile.n_lists == 0 && s->tile.cut < 0 && s->tile.k <= CHUNK &&
           !ktile_pairs(k, &s->tile) && map->n_axes == 2 && map->vec == 1 && map->transpose < 0;
}

/* Rows as far apart as those of the others, read side by side. */
static bool lies_so(const KUpdates *u, const KAccess *a, const Stage *map) {
    int64_t pitch = a->coef[map->axis[0]];
    return a->index == 0 && a->coef[map->axis[1]] == 1 && pitch > 0 && (u->n == 0 || pitch == u->pitch);
}

static bool known(const Kernel *k, const KUpdates *u, const KAccess *a) {
    for (uint32_t i = 0; i < u->n; i++) {
        if (k->accesses.at[u->access[i]].buf == a->buf)
            return true;
    }
    return false;
}

KUpdates kernel_updates(const Kernel *k) {
    enum { MOST_STEPS = 4 };
    KUpdates u = {0};
    if (!is_plain(k))
        return u;
    const KTile *t = &k->stages.at[0].tile;
    const Stage *map = &k->stages.at[1];
    for (uint32_t steps = 1; steps <= MOST_STEPS && (int64_t)steps * t->mr <= t->k; steps *= 2) {
        u.steps = steps;
    }
    for (uint32_t i = 0; i < map->n && u.steps > 0; i++) {
        const KInst *in = &k->insts.at[map->first + i];
        const KAccess *a = in->kop == K_LOAD ? &k->accesses.at[in->access] : NULL;
        if (a == NULL || k->bufs.at[a->buf].role != KBUF_INOUT || !moves_with_head(k, a))
            continue;
        if (!lies_so(&u, a, map) || k->bufs.at[a->buf].dtype != DT_F32)
            return (KUpdates){0};
        if (known(k, &u, a))
            continue;
        if (u.n == MAX_UPDATES)
            return (KUpdates){0};
        u.pitch = a->coef[map->axis[0]];
        u.access[u.n++] = in->access;
    }
    return u;
}
