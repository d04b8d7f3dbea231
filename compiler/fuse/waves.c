/* Order of the steps of an entry.  A unit's level is one more than that of anything it has to wait for, or a later
 * one where that saves memory (delay.c); units of a level run together (a wave), a barrier between levels.  A loop,
 * a library product or a function of the user's is a wave of its own.  On the way every cell gets its life, from
 * the first wave that touches it to the last; what a loop uses but does not make lives through all of it. */
#include "fuse_parts.h"

static uint32_t base_cell(const Entry *e, uint32_t cell) {
    return e->cells.at[cell].kind == CELL_STEP ? e->cells.at[cell].of : cell;
}

void unit_touch(const Entry *e, const Unit *u, Touch *touch, void *user) {
    for (uint32_t i = 0; i < u->cells.n; i++) {
        bool write = u->kind == UNIT_BLAS     ? i == 2
                     : u->kind == UNIT_EXTERN ? i >= u->n_in
                                              : u->kernel->bufs.at[i].role == KBUF_OUT ||
                                                    u->kernel->bufs.at[i].role == KBUF_INOUT;
        if (u->cells.at[i] != 0 && u->cells.at[i] != e->health)
            touch(user, base_cell(e, u->cells.at[i]), write);
    }
    for (uint32_t i = 0; i < u->body.n; i++) {
        unit_touch(e, u->body.at[i], touch, user);
    }
}

void unit_order(const Entry *e, const Unit *u, Touch *touch, void *user) {
    unit_touch(e, u, touch, user);
    for (uint32_t i = 0; i < u->waits.n; i++) {
        touch(user, u->waits.at[i], false);
    }
}

typedef struct {
    uint32_t *read, *written, level;
} Levels; /* by cell: 1 + level of the last reader, writer */

static void wait_for(void *user, uint32_t cell, bool write) {
    Levels *l = user;
    uint32_t after = l->written[cell];
    after = write && l->read[cell] > after ? l->read[cell] : after;
    l->level = after > l->level ? after : l->level;
}

static void leave_mark(void *user, uint32_t cell, bool write) {
    Levels *l = user;
    uint32_t *mark = write ? &l->written[cell] : &l->read[cell];
    *mark = l->level + 1 > *mark ? l->level + 1 : *mark;
}

static void sort_levels(Entry *e, Units *units, uint32_t loop) {
    Levels l = {PUSH(e->arena, uint32_t, e->cells.n), PUSH(e->arena, uint32_t, e->cells.n), 0};
    Unit **sorted = PUSH(e->arena, Unit *, units->n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < units->n; i++) {
        l.level = 0;
        unit_order(e, units->at[i], wait_for, &l);
        units->at[i]->wave = l.level;
        unit_touch(e, units->at[i], leave_mark, &l);
    }
    delay_units(e, units, loop);
    for (uint32_t level = 0; n < units->n; level++) { /* stable */
        for (uint32_t i = 0; i < units->n; i++) {
            if (units->at[i]->wave == level)
                sorted[n++] = units->at[i];
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        units->at[i] = sorted[i];
    }
}

typedef struct {
    Entry *e;
    uint32_t wave;
} Lives;

static void live_at(void *user, uint32_t cell, bool write) {
    Lives *l = user;
    Cell *c = &l->e->cells.at[cell];
    (void)write;
    if (c->last == 0 || l->wave < c->first)
        c->first = l->wave;
    c->last = l->wave > c->last ? l->wave : c->last;
}

static void number_waves(Entry *e, Units *units, uint32_t loop, uint32_t *wave) {
    sort_levels(e, units, loop);
    uint32_t level = UINT32_MAX;
    for (uint32_t i = 0; i < units->n; i++) {
        Unit *u = units->at[i];
        if (u->wave != level || u->kind != UNIT_KERNEL || units->at[i - 1]->kind != UNIT_KERNEL)
            ++*wave;
        level = u->wave;
        u->wave = *wave;
        if (u->kind != UNIT_LOOP) {
            unit_touch(e, u, live_at, &(Lives){e, *wave});
            continue;
        }
        uint32_t begin = *wave;
        number_waves(e, &u->body, u->loop, wave);
        uint32_t end = ++*wave;
        for (uint32_t c = 1; c < e->cells.n; c++) {
            Cell *cell = &e->cells.at[c];
            if (cell->last >= begin && cell->loop != u->loop) {
                cell->first = cell->first < begin ? cell->first : begin;
                cell->last = end;
            }
        }
    }
}

void schedule_units(Entry *e, Units *units) { number_waves(e, units, 0, &e->waves); }
