/* From steps of a plan to runs: consecutive launches with one wave number become one wave, loops keep their
 * bodies behind them, arguments become addresses.  Whatever depends on the plan alone is done here, once. */
#include "schedule.h"

/* Less work than this is not shared: a fork and a join cost about half a microsecond, and the second thread
 * has cold caches. */
static const double k_shared_from_ns = 3000;

void launch_move(const Launch *l, const Plan *plan, void *const *buffers, int64_t iteration) {
    for (uint32_t i = 0; i < l->n_args; i++) {
        const PlanArg *arg = &plan->args.at[l->first_arg + i];
        l->args[i] = (char *)buffers[arg->buffer] + arg->offset + arg->loop_stride * iteration;
    }
}

Wave schedule_wave(const Schedule *s, uint32_t first, uint32_t n, uint32_t threads) {
    Wave w = {.first = first, .n = n};
    double cost_ns = 0;
    for (uint32_t i = first; i < first + n; i++) {
        GR_ASSERT(s->launches.at[i].chunks <= UINT32_MAX - w.chunks);
        w.chunks += s->launches.at[i].chunks;
        cost_ns += s->launches.at[i].cost_ns;
    }
    w.alone = threads == 1 || w.chunks <= 1 || cost_ns < k_shared_from_ns;
    return w;
}

static bool moves(const Plan *plan, const PlanStep *s) {
    for (uint32_t i = 0; i < s->n_args; i++) {
        if (plan->args.at[s->first_arg + i].loop_stride != 0)
            return true;
    }
    return false;
}

typedef struct {
    Arena *arena;
    const Plan *plan;
    const PlanCode *code;
    void *const *buffers;
    uint32_t threads;
    Schedule *out;
    bool ready;
} Builder;

static void add_launch(Builder *b, uint32_t step) {
    const PlanStep *s = &b->plan->steps.at[step];
    Launch l = {.step = step, .first_arg = s->first_arg, .n_args = s->n_args, .points = s->points,
                .cost_ns = s->cost_ns, .moves = moves(b->plan, s)};
    const PlanKernel *k = s->kind == STEP_LAUNCH ? &b->plan->kernels.at[s->kernel] : NULL;
    uint32_t n_micros = k == NULL ? 0 : k->n_micros;
    l.args = PUSH(b->arena, void *, s->n_args + n_micros + 1);
    launch_move(&l, b->plan, b->buffers, 0);
    if (k != NULL) {
        l.fn = b->code->kernels[s->kernel];
        b->ready = b->ready && l.fn != NULL;
        l.grain = s->grain > 0 ? s->grain : s->points;
        int64_t chunks = s->points <= 0 ? 0 : (s->points - 1) / l.grain + 1;
        GR_ASSERT(chunks <= UINT32_MAX);
        l.chunks = (uint32_t)chunks;
    }
    for (uint32_t i = 0; i < n_micros; i++) {
        l.args[s->n_args + i] = b->code->micros[k->first_micro + i];
        b->ready = b->ready && l.args[s->n_args + i] != NULL;
    }
    vec_push(b->arena, &b->out->launches, l);
}

static void add_run(Builder *b, Run r) { vec_push(b->arena, &b->out->runs, r); }

/* The launches from `step` on that share its wave number; returns how many. */
static uint32_t add_wave(Builder *b, uint32_t step, uint32_t end) {
    const PlanStep *steps = b->plan->steps.at;
    uint32_t first = b->out->launches.n, n = 0;
    for (; step + n < end && steps[step + n].kind == STEP_LAUNCH && steps[step + n].wave == steps[step].wave;
         n++)
        add_launch(b, step + n);
    add_run(b, (Run){.kind = RUN_WAVE, .wave = schedule_wave(b->out, first, n, b->threads)});
    return n;
}

static void add_steps(Builder *b, uint32_t step, uint32_t end);

/* A step with a body. */
static uint32_t add_body(Builder *b, uint32_t step, uint32_t end, RunKind kind) {
    const PlanStep *s = &b->plan->steps.at[step];
    GR_ASSERT(s->count < end - step);
    uint32_t at = b->out->runs.n;
    add_run(b, (Run){.kind = kind, .trips = s->trips, .reverse = s->reverse});
    add_steps(b, step + 1, step + 1 + s->count);
    b->out->runs.at[at].body = b->out->runs.n - at - 1;
    return 1 + s->count;
}

static uint32_t add_blas(Builder *b, uint32_t step) {
    uint32_t first = b->out->launches.n;
    GR_ASSERT(b->plan->steps.at[step].n_args == 3);
    add_launch(b, step);
    add_run(b,
            (Run){.kind = RUN_BLAS, .wave = {.first = first, .n = 1}, .blas = &b->plan->steps.at[step].blas});
    return 1;
}

static uint32_t add_extern(Builder *b, uint32_t step) {
    uint32_t first = b->out->launches.n;
    add_launch(b, step);
    add_run(b, (Run){.kind = RUN_EXTERN,
                     .wave = {.first = first, .n = 1},
                     .external = b->plan->steps.at[step].external});
    return 1;
}

static uint32_t add_commit(Builder *b) {
    add_run(b, (Run){.kind = RUN_COMMIT});
    return 1;
}

static uint32_t add_step(Builder *b, uint32_t step, uint32_t end) {
    switch (b->plan->steps.at[step].kind) {
    case STEP_LAUNCH: return add_wave(b, step, end);
    case STEP_LOOP:   return add_body(b, step, end, RUN_LOOP);
    case STEP_BLAS:   return add_blas(b, step);
    case STEP_EXTERN: return add_extern(b, step);
    case STEP_UNSURE: return add_body(b, step, end, RUN_UNSURE);
    case STEP_COMMIT: return add_commit(b);
    }
    GR_BUG("step %u is of no kind", step);
}

static void add_steps(Builder *b, uint32_t step, uint32_t end) {
    while (step < end)
        step += add_step(b, step, end);
}

void schedule_build(Arena *a, const Plan *plan, const PlanCode *code, void *const *buffers, uint32_t threads,
                    Schedule *out) {
    *out = (Schedule){.entries = PUSH(a, Prepared, plan->entries.n + 1)};
    Builder b = {.arena = a, .plan = plan, .code = code, .buffers = buffers, .threads = threads, .out = out};
    for (uint32_t i = 0; i < plan->entries.n; i++) {
        const PlanEntry *entry = &plan->entries.at[i];
        uint32_t first = out->runs.n;
        b.ready = true;
        add_steps(&b, entry->first_step, entry->first_step + entry->n_steps);
        out->entries[i] = (Prepared){first, out->runs.n - first, b.ready};
    }
}
