/* A unit may run as soon as its operands are there, and has to before anybody reads what it made.  Between the two
 * levels it is put where it saves memory: late, when what it makes is larger than what has to be kept for it (a
 * weight packed for the backward pass, an operand that lives on anyway), else early.  Units are taken from the last
 * to the first, so that whole chains move.  The longest chain decides how many levels there are, and none is added. */
#include "fuse_parts.h"

enum { NONE = UINT32_MAX };

/* Of a cell: the earliest level at which a later unit reads it, or writes it; the unit that touches it first; and
 * until which level it is kept. */
typedef struct {
    uint32_t read, written, maker, last;
} Use;

typedef struct {
    const Entry *e;
    Use *uses;
    uint32_t loop, unit; /* the unit at hand, by its place in the list */
    uint32_t level, to;  /* where it stands, and where it might */
    uint32_t top;        /* the last level */
    int64_t gain;
} Delay;

static void note_use(void *user, uint32_t cell, bool write) {
    Delay *d = user;
    Use *u = &d->uses[cell];
    (void)write;
    u->maker = u->maker == NONE ? d->unit : u->maker;
    u->last = d->level > u->last ? d->level : u->last;
}

static void note_order(void *user, uint32_t cell, bool write) {
    Delay *d = user;
    uint32_t *of = write ? &d->uses[cell].written : &d->uses[cell].read;
    *of = d->level < *of ? d->level : *of;
}

static void bound(void *user, uint32_t cell, bool write) {
    Delay *d = user;
    const Use *u = &d->uses[cell];
    uint32_t next = write && u->read < u->written ? u->read : u->written;
    if (next != NONE && next - 1 < d->to)
        d->to = next - 1;
}

/* What moving to `to` saves: bytes times levels. */
static void weigh(void *user, uint32_t cell, bool write) {
    Delay *d = user;
    const Cell *c = &d->e->cells.at[cell];
    const Use *u = &d->uses[cell];
    if (c->region != REGION_ACT || c->loop != d->loop)
        return;
    if (write && u->maker == d->unit)
        d->gain += (int64_t)cell_bytes(c) * (d->to - d->level);
    else if (d->to > u->last)
        d->gain -= (int64_t)cell_bytes(c) * (d->to - u->last);
}

static int64_t gain_at(Delay *d, const Unit *u, uint32_t level) {
    d->to = level;
    d->gain = 0;
    unit_touch(d->e, u, weigh, d);
    return d->gain;
}

/* Of levels that save as much the earliest. */
static uint32_t best_level(Delay *d, const Unit *u) {
    d->level = u->wave;
    d->to = d->top;
    unit_touch(d->e, u, bound, d);
    uint32_t latest = d->to, best = u->wave;
    int64_t most = 0;
    for (uint32_t to = u->wave + 1; to <= latest; to++) {
        int64_t gain = gain_at(d, u, to);
        if (gain > most) {
            most = gain;
            best = to;
        }
    }
    return best;
}

void delay_units(Entry *e, Units *units, uint32_t loop) {
    ArenaMark mark = arena_mark(e->arena);
    Delay d = {.e = e, .uses = PUSH(e->arena, Use, e->cells.n), .loop = loop};
    for (uint32_t i = 0; i < e->cells.n; i++) {
        d.uses[i] = (Use){NONE, NONE, NONE, 0};
    }
    for (d.unit = 0; d.unit < units->n; d.unit++) {
        d.level = units->at[d.unit]->wave;
        d.top = d.level > d.top ? d.level : d.top;
        unit_touch(e, units->at[d.unit], note_use, &d);
    }
    for (d.unit = units->n; d.unit-- > 0;) {
        Unit *u = units->at[d.unit];
        u->wave = best_level(&d, u);
        d.level = u->wave;
        unit_touch(e, u, note_use, &d);
        unit_order(e, u, note_order, &d);
    }
    arena_pop(mark);
}
