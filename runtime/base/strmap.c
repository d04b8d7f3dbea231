/* Open addressing; the slots are a power of two and at most half taken.  A key that was taken out keeps its slot, with
 * the value 0, until the slots are made anew. */
#include "strmap.h"
#include "hash.h"

enum { FEWEST_SLOTS = 64 };

/* The slot of the key, or the free one where it belongs. */
static StrSlot *slot_of(const StrMap *m, Str key) {
    uint32_t mask = m->n_slots - 1;
    for (uint32_t i = (uint32_t)hash_str(0, key) & mask;; i = (i + 1) & mask) {
        StrSlot *s = &m->slots[i];
        if (s->key.s == NULL || str_eq(s->key, key))
            return s;
    }
}

static void make_room(Arena *a, StrMap *m) {
    StrMap old = *m;
    uint32_t n = 0;
    for (uint32_t i = 0; i < old.n_slots; i++)
        n += old.slots[i].value != 0;
    m->n_slots = FEWEST_SLOTS;
    while (m->n_slots < 4 * (n + 1))
        m->n_slots *= 2;
    m->slots = PUSH(a, StrSlot, m->n_slots);
    m->used = n;
    for (uint32_t i = 0; i < old.n_slots; i++) {
        if (old.slots[i].value != 0)
            *slot_of(m, old.slots[i].key) = old.slots[i];
    }
}

uint32_t strmap_get(const StrMap *m, Str key) { return m->n_slots == 0 ? 0 : slot_of(m, key)->value; }

void strmap_put(Arena *a, StrMap *m, Str key, uint32_t value) {
    if (2 * (m->used + 1) > m->n_slots)
        make_room(a, m);
    StrSlot *s = slot_of(m, key);
    m->used += s->key.s == NULL;
    *s = (StrSlot){{key.s == NULL ? "" : key.s, key.n}, value};
}
