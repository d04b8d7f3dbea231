/* Carries that are updated where they lie.  The next value of a scan's carry is made beside the one before, since
 * others may still need that.  Where one kernel makes it, each element after loading the same element, and nobody
 * behind it asks for either (the sum of a weight's gradient over the steps of a recurrence), it can take the place of
 * the one before, and nothing has to be moved. */
#include "fuse_parts.h"
#include <string.h>

typedef struct {
    uint32_t cell;
    bool found;
} Search;

static void search(void *user, uint32_t cell, bool write) {
    Search *s = user;
    (void)write;
    s->found |= cell == s->cell;
}

static bool touches(const Entry *e, const Unit *u, uint32_t cell) {
    Search s = {.cell = cell};
    unit_order(e, u, search, &s);
    return s.found;
}

static uint32_t buffer_of(const Unit *u, uint32_t cell) {
    uint32_t i = 0;
    while (i < u->cells.n && u->cells.at[i] != cell) {
        i++;
    }
    return i;
}

/* The unit that makes `next`, when no other touches that, and none behind it touches `now`. */
static Unit *maker(Planner *p, uint32_t next, uint32_t now) {
    Unit *found = NULL;
    for (uint32_t i = 0; i < p->units->n; i++) {
        Unit *u = p->units->at[i];
        bool makes = touches(p->entry, u, next);
        if (found != NULL && (makes || touches(p->entry, u, now)))
            return NULL;
        found = makes ? u : found;
    }
    return found != NULL && found->kind == UNIT_KERNEL ? found : NULL;
}

static bool same_place(const KAccess *a, const KAccess *b) {
    return a->base == b->base && a->index == 0 && b->index == 0 && memcmp(a->coef, b->coef, sizeof a->coef) == 0;
}

/* The access of buffer `buf` at the same place. */
static uint32_t twin_of(const Kernel *k, uint32_t access, uint32_t buf) {
    uint32_t i = 0;
    while (k->accesses.at[i].buf != buf || !same_place(&k->accesses.at[i], &k->accesses.at[access])) {
        i++;
    }
    return i;
}

static bool stage_uses(const Kernel *k, const Stage *s, uint32_t buf) {
    uint32_t by_stage[4] = {s->out[0], s->out[1], 0, 0}; /* 1 + access */
    bool uses = s->kind == STAGE_TILE && s->tile.out == buf;
    if (s->kind == STAGE_TILE)
        by_stage[2] = 1 + s->tile.a, by_stage[3] = 1 + s->tile.b;
    for (int i = 0; i < 4; i++) {
        uses |= by_stage[i] != 0 && k->accesses.at[by_stage[i] - 1].buf == buf;
    }
    return uses;
}

/* Is what instruction `load` of a stage reads stored by that stage later, at the same point? */
static bool stored_back(const Kernel *k, const Stage *s, uint32_t load, uint32_t to) {
    const KAccess *from = &k->accesses.at[k->insts.at[s->first + load].access];
    for (uint32_t i = load + 1; i < s->n; i++) {
        const KInst *in = &k->insts.at[s->first + i];
        const KAccess *a = &k->accesses.at[in->access];
        if (in->kop == K_STORE && in->in[1] == 0 && a->buf == to && same_place(a, from))
            return true;
    }
    return false;
}

/* Is what instruction `store` of a stage stores loaded before, at the same point? */
static bool loaded_before(const Kernel *k, const Stage *s, uint32_t store, uint32_t from) {
    const KAccess *to = &k->accesses.at[k->insts.at[s->first + store].access];
    for (uint32_t i = 0; i < store; i++) {
        const KInst *in = &k->insts.at[s->first + i];
        if (in->kop == K_LOAD && k->accesses.at[in->access].buf == from &&
            same_place(&k->accesses.at[in->access], to))
            return true;
    }
    return false;
}

/* Does a kernel load elements of buffer `from` only to store the same one of buffer `to`, and do nothing else with
 * either?  It stores each once.  A sum over rows stores none of its terms, and gives its result where `stage_uses`
 * sees it. */
static bool in_place(const Kernel *k, uint32_t from, uint32_t to) {
    for (uint32_t i = 0; i < k->stages.n; i++) {
        const Stage *s = &k->stages.at[i];
        if (stage_uses(k, s, from) || stage_uses(k, s, to))
            return false;
        for (uint32_t j = 0; j < s->n; j++) {
            const KInst *in = &k->insts.at[s->first + j];
            bool memory = in->kop == K_LOAD || in->kop == K_STORE;
            uint32_t buf = memory ? k->accesses.at[in->access].buf : UINT32_MAX;
            if ((buf == to && (in->kop == K_LOAD || !loaded_before(k, s, j, from))) ||
                (buf == from && (in->kop == K_STORE || !stored_back(k, s, j, to))))
                return false;
        }
    }
    return true;
}

static void drop_buffer(Unit *u, uint32_t buf) {
    Kernel *k = u->kernel;
    memmove(&k->bufs.at[buf], &k->bufs.at[buf + 1], sizeof(KBuf) * (k->bufs.n - buf - 1));
    memmove(&u->cells.at[buf], &u->cells.at[buf + 1], sizeof(uint32_t) * (u->cells.n - buf - 1));
    k->bufs.n--, u->cells.n--;
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        k->accesses.at[i].buf -= k->accesses.at[i].buf > buf;
    }
    for (uint32_t i = 0; i < k->stages.n; i++) {
        KTile *t = &k->stages.at[i].tile;
        t->out -= k->stages.at[i].kind == STAGE_TILE && t->out > buf;
    }
}

bool carry_in_place(Planner *p, uint32_t next, uint32_t now) {
    Unit *u = maker(p, next, now);
    if (u == NULL)
        return false;
    Kernel *k = u->kernel;
    uint32_t from = buffer_of(u, now), to = buffer_of(u, next);
    if (from == u->cells.n || !in_place(k, from, to))
        return false;
    for (uint32_t i = 0; i < k->insts.n; i++) {
        KInst *in = &k->insts.at[i];
        if (in->kop == K_STORE && k->accesses.at[in->access].buf == to)
            in->access = twin_of(k, in->access, from);
    }
    k->bufs.at[from].role = KBUF_INOUT;
    drop_buffer(u, to);
    return true;
}
