#define _GNU_SOURCE
/* What a step keeps in memory, wave by wave: read from the lives of the buffers of a plan. */
#include "fuse.h"
#include <stdlib.h>

static bool in_act(const Planned *p, const Held *h) { return p->plan->buffers.at[h->buffer].region == REGION_ACT; }

uint64_t *plan_lives(Arena *a, const Planned *p, uint32_t entry, uint32_t *waves) {
    *waves = 1;
    for (uint32_t i = 0; i < p->held.n; i++) {
        const Held *h = &p->held.at[i];
        *waves = h->entry == entry && h->last >= *waves ? h->last + 1 : *waves;
    }
    uint64_t *live = PUSH(a, uint64_t, *waves);
    for (uint32_t i = 0; i < p->held.n; i++) {
        const Held *h = &p->held.at[i];
        for (uint32_t w = h->first; h->entry == entry && in_act(p, h) && w <= h->last; w++) {
            live[w] += (p->plan->buffers.at[h->buffer].bytes + BUFFER_ALIGN) / BUFFER_ALIGN * BUFFER_ALIGN;
        }
    }
    return live;
}

static int larger(const void *a, const void *b, void *planned) {
    const Planned *p = planned;
    const Held *x = a, *y = b;
    uint64_t n = p->plan->buffers.at[x->buffer].bytes, m = p->plan->buffers.at[y->buffer].bytes;
    return n != m ? (n < m ? 1 : -1) : x->buffer < y->buffer ? -1 : 1;
}

Peak plan_peak(Arena *a, const Planned *p) {
    Peak peak = {0};
    for (uint32_t entry = 0; entry < p->plan->entries.n; entry++) {
        uint32_t waves;
        uint64_t *live = plan_lives(a, p, entry, &waves);
        for (uint32_t w = 0; w < waves; w++) {
            if (live[w] > peak.bytes) {
                peak.bytes = live[w];
                peak.entry = entry;
                peak.wave = w;
            }
        }
    }
    for (uint32_t i = 0; i < p->held.n; i++) {
        const Held *h = &p->held.at[i];
        if (h->entry == peak.entry && h->first <= peak.wave && peak.wave <= h->last && in_act(p, h))
            vec_push(a, &peak.held, *h);
    }
    if (peak.held.n > 0)
        qsort_r(peak.held.at, peak.held.n, sizeof *peak.held.at, larger, (void *)p);
    return peak;
}
