/* A plan run step by step with the kernel interpreter, on one thread: what `verify` and the tests compare
 * with. */
#include "fuse.h"
#include "native.h"

typedef struct {
    const Planned *p;
    const Math *math;
    char *memory;
    const UValue *uniforms;
    int32_t *health;
    Arena *arena;
} Run;

static void *address(const Run *r, const PlanArg *a, int64_t iteration) {
    return r->memory + r->p->plan->buffers.at[a->buffer].offset + a->offset + a->loop_stride * iteration;
}

static void run_launch(const Run *r, const PlanStep *s, int64_t iteration) {
    const Kernel *k = r->p->kernels.at[s->kernel];
    ArenaMark mark = arena_mark(r->arena);
    void **bufs = PUSH(r->arena, void *, k->bufs.n + 1);
    uint32_t arg = s->first_arg;
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        bufs[i] =
            k->bufs.at[i].role == KBUF_SCRATCH ? NULL : address(r, &r->p->plan->args.at[arg++], iteration);
    }
    kernel_eval(k, r->math, bufs, r->uniforms, 0, s->points);
    arena_pop(mark);
}

static void run_product(const Run *r, const PlanStep *s, int64_t iteration) {
    const PlanBlas *b = &s->blas;
    const float *x = address(r, &r->p->plan->args.at[s->first_arg], iteration);
    const float *y = address(r, &r->p->plan->args.at[s->first_arg + 1], iteration);
    float *out = address(r, &r->p->plan->args.at[s->first_arg + 2], iteration);
    for (int64_t i = 0; i < b->m; i++) {
        for (int64_t j = 0; j < b->n; j++) {
            float sum = 0;
            for (int64_t k = 0; k < b->k; k++) {
                sum = __builtin_fmaf(x[b->trans_a ? k * b->lda + i : i * b->lda + k],
                                     y[b->trans_b ? j * b->ldb + k : k * b->ldb + j], sum);
            }
            out[i * b->ldc + j] = sum;
        }
    }
}

/* The functions are there: whoever made the plan runnable has found them. */
static void run_extern(const Run *r, const PlanStep *s, int64_t iteration) {
    ArenaMark mark = arena_mark(r->arena);
    NativeCall call = native_of_step(r->arena, r->p->plan, s);
    Native *native;
    Error e = {0};
    void **data = PUSH(r->arena, void *, s->n_args + 1);
    for (uint32_t i = 0; i < s->n_args; i++) {
        data[i] = address(r, &r->p->plan->args.at[s->first_arg + i], iteration);
    }
    if (native_open(r->arena, &call, &native, &e) == GR_OK)
        native_run(native, data);
    else
        GR_BUG("%s", e.what);
    arena_pop(mark);
}

static void run_steps(const Run *r, uint32_t first, uint32_t end, int64_t iteration) {
    bool committing = false;
    for (uint32_t i = first; i < end; i++) {
        const PlanStep *s = &r->p->plan->steps.at[i];
        switch (s->kind) {
        case STEP_LAUNCH:
            if (!committing || *r->health == 0)
                run_launch(r, s, iteration);
            break;
        case STEP_BLAS: run_product(r, s, iteration); break;
        case STEP_EXTERN: run_extern(r, s, iteration); break;
        case STEP_UNSURE:
            if (*r->health & HEALTH_UNSURE)
                run_steps(r, i + 1, i + 1 + s->count, iteration);
            *r->health &= ~HEALTH_UNSURE;
            i += s->count;
            break;
        case STEP_COMMIT: committing = true; break;
        case STEP_LOOP:
            for (int64_t t = 0; t < s->trips; t++) {
                run_steps(r, i + 1, i + 1 + s->count, s->reverse ? s->trips - 1 - t : t);
            }
            i += s->count;
            break;
        }
    }
}

uint32_t plan_eval(Arena *a, const Planned *p, const PlanEntry *entry, const Math *m, void *arena,
                   const UValue *uniforms) {
    Run r = {p, m, arena, uniforms, NULL, a};
    r.health = (int32_t *)(r.memory + plan_region_start(p->plan, REGION_HEALTH));
    *r.health = 0;
    uint32_t saved = float_mode_enter();
    run_steps(&r, entry->first_step, entry->first_step + entry->n_steps, 0);
    float_mode_restore(saved);
    return (uint32_t)*r.health;
}
