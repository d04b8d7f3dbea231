/* A launch is known by its kernel: what stages it has; and a kernel that packs by its name, which is
 * ENTRY.VARIANT.pack_a.. or pack_b.. (compiler/fuse/pack.c). */
#include "shares.h"
#include <ctype.h>
#include <string.h>

static bool has_product(const Kernel *k) {
    for (uint32_t i = 0; i < k->stages.n; i++)
        if (k->stages.at[i].kind == STAGE_TILE || k->stages.at[i].kind == STAGE_CHAIN) return true;
    return false;
}

/* An objective may be called `fused`, too. */
static bool packs(const char *name) {
    static const char *const ends[] = {"fused.pack_a", "fused.pack_b", "blas.pack_a", "blas.pack_b"};
    for (uint32_t i = 0; i < 4; i++) {
        const char *at = strstr(name, ends[i]);
        if (at != NULL && isdigit((unsigned char)at[strlen(ends[i])])) return true;
    }
    return false;
}

static Share share_of(const Planned *p, const PlanStep *step) {
    if (step->kind == STEP_BLAS) return SHARE_PRODUCTS;
    if (step->kind != STEP_LAUNCH) return SHARE_REST;
    const Kernel *k = p->kernels.at[step->kernel];
    return has_product(k) ? SHARE_PRODUCTS : packs(k->name.s) ? SHARE_PACKING : SHARE_REST;
}

void shares_of(const Planned *p, const PlanEntry *entry, const double *ns, double out[SHARE_COUNT]) {
    memset(out, 0, SHARE_COUNT * sizeof *out);
    for (uint32_t i = 0; i < entry->n_steps; i++) {
        const PlanStep *step = &p->plan->steps.at[entry->first_step + i];
        if (step->kind != STEP_LOOP && step->kind != STEP_COMMIT) out[share_of(p, step)] += ns[i] / 1e6;
    }
}
