/* Plans as data: creation, the layout of the regions, and finding an entry point. */
#include "plan_text.h"

const char *const region_names[REGION_COUNT] = {
#define X(id, name, what) [REGION_##id] = name,
    REGION_LIST(X)
#undef X
};

Plan *plan_create(Arena *a) {
    Plan *p = PUSH(a, Plan, 1);
    p->arena = a;
    p->uniforms = uniforms_create(a);
    return p;
}

uint64_t plan_region_start(const Plan *p, Region r) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < (uint32_t)r; i++)
        at = (at + p->region_bytes[i] + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
    return at;
}

const PlanEntry *plan_entry(const Plan *p, const char *name, int64_t rows, const char *variant) {
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const PlanEntry *e = &p->entries.at[i];
        if (str_is(e->name, name) && e->rows == rows && str_is(e->variant, variant))
            return e;
    }
    return NULL;
}

uint32_t plan_step_body(const PlanStep *s) { return s->kind == STEP_LOOP || s->kind == STEP_UNSURE ? s->count : 0; }

int64_t plan_step_runs(const Plan *p, const PlanEntry *e, uint32_t step) {
    int64_t runs = 1;
    for (uint32_t i = 0; i < step; i++) {
        const PlanStep *s = &p->steps.at[e->first_step + i];
        if (step <= i + plan_step_body(s))
            runs *= s->kind == STEP_LOOP ? s->trips : 0;
    }
    return runs;
}
