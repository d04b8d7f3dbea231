/* Runs prepared entries.  A wave's chunks are handed to the pool as one flat space, so several small launches
 * fill the threads together; a wave too small for that runs on the calling thread.  A commit looks at the
 * health word that the launches before it or into: not healthy, and the rest of the entry is left out
 * (semantics 11).
 *
 * Kernels see FTZ+DAZ (semantics 4): workers always have it, the caller for the length of a run. */
#include "exec.h"
#include "blas.h"
#include "memory.h"
#include "native.h"
#include "pool.h"
#include "schedule.h"
#include <string.h>
#include <time.h>

enum { LINE = 64 };

/* What belongs to one version of the plan: replaced as a whole by exec_update. */
typedef struct {
    Arena    *arena;
    Memory    memory;
    void    **buffers;                   /* by id */
    uint32_t  n_buffers;
    uint32_t *health;                    /* NULL: the plan has none */
    Schedule  schedule;
    Memory    scratch;                   /* of all threads */
    uint64_t  scratch_stride;
} State;

struct Exec {
    Arena      *arena;
    const Plan *plan;
    Pool       *pool;
    Blas       *blas;                    /* NULL until a plan has products for it */
    VEC(Native *) natives;               /* by Plan.externs */
    State       state;
};

/* One run of an entry: what its chunks need to know. */
typedef struct {
    Exec *exec;
    const UValue *uniforms;
    const Wave *wave;
    double *ns;                          /* not NULL: profile, by step */
} Frame;

const Plan *exec_plan(const Exec *x) { return x->plan; }
uint64_t exec_bytes(const Exec *x) { return x->state.memory.bytes; }

void *exec_buffer(const Exec *x, uint32_t id) {
    GR_ASSERT(id < x->state.n_buffers);
    return x->state.buffers[id];
}

/* ---- what depends on the plan ---- */
static void state_drop(State *s) {
    if (s->arena == NULL)
        return;
    memory_destroy(&s->memory);
    memory_destroy(&s->scratch);
    arena_destroy(s->arena);
    *s = (State){0};
}

static bool persistent(Region r) { return r <= REGION_PACKED; }

static void keep_values(const State *old, State *s, const Plan *plan) {
    for (uint32_t i = 0; i < old->n_buffers; i++) {
        if (persistent(plan->buffers.at[i].region))
            memcpy(s->buffers[i], old->buffers[i], plan->buffers.at[i].bytes);
    }
}

static GrStatus state_build(State *s, const Plan *plan, const PlanCode *code, uint32_t threads, Error *e) {
    *s = (State){.arena = arena_create(), .n_buffers = plan->buffers.n};
    s->scratch_stride = (plan->scratch_bytes + LINE - 1) / LINE * LINE;
    GrStatus status = memory_create(plan->arena_bytes, &s->memory, e);
    if (status == GR_OK)
        status = memory_create(s->scratch_stride * threads, &s->scratch, e);
    if (status != GR_OK) {
        state_drop(s);
        return status;
    }
    s->buffers = PUSH(s->arena, void *, plan->buffers.n + 1);
    for (uint32_t i = 0; i < plan->buffers.n; i++) {
        const PlanBuffer *b = &plan->buffers.at[i];
        GR_ASSERT(b->offset <= plan->arena_bytes && b->bytes <= plan->arena_bytes - b->offset);
        s->buffers[i] = s->memory.at + b->offset;
        if (b->region == REGION_HEALTH)
            s->health = s->buffers[i];
    }
    schedule_build(s->arena, plan, code, s->buffers, threads, &s->schedule);
    return GR_OK;
}

static bool needs_blas(const Plan *plan) {
    for (uint32_t i = 0; i < plan->steps.n; i++) {
        if (plan->steps.at[i].kind == STEP_BLAS)
            return true;
    }
    return false;
}

/* The functions of what has come to the plan; plans only grow. */
static GrStatus open_natives(Exec *x, const Plan *plan, Error *e) {
    for (uint32_t i = 0; i < plan->steps.n; i++) {
        const PlanStep *s = &plan->steps.at[i];
        if (s->kind != STEP_EXTERN || s->external < x->natives.n)
            continue;
        GR_ASSERT(s->external == x->natives.n);
        NativeCall call = native_of_step(x->arena, plan, s);
        Native *n;
        TRY(native_open(x->arena, &call, &n, e));
        vec_push(x->arena, &x->natives, n);
    }
    return GR_OK;
}

/* The same plan with more code: memory and pointers stay, only the launches are prepared again. */
static void schedule_again(State *s, const Plan *plan, const PlanCode *code, uint32_t threads) {
    s->schedule = (Schedule){0};
    schedule_build(s->arena, plan, code, s->buffers, threads, &s->schedule);
}

GrStatus exec_update(Exec *x, const Plan *plan, const PlanCode *code, Error *e) {
    uint32_t threads = pool_threads(x->pool);
    State fresh;
    TRY(open_natives(x, plan, e));
    if (x->state.arena != NULL && x->plan == plan && x->state.n_buffers == plan->buffers.n &&
        x->state.memory.bytes == plan->arena_bytes) {
        schedule_again(&x->state, plan, code, threads);
        return GR_OK;
    }
    if (x->blas == NULL && needs_blas(plan))
        TRY(blas_open(x->arena, threads, &x->blas, e));
    TRY(state_build(&fresh, plan, code, threads, e));
    GR_ASSERT(x->state.n_buffers <= plan->buffers.n);
    keep_values(&x->state, &fresh, plan);
    state_drop(&x->state);
    x->state = fresh;
    x->plan = plan;
    return GR_OK;
}

GrStatus exec_create(Arena *a, const Plan *plan, const PlanCode *code, ExecOptions options, Exec **out,
                     Error *e) {
    *out = NULL;
    Exec *x = PUSH(a, Exec, 1);
    x->arena = a;
    TRY(pool_create(a, options.threads, &x->pool, e));
    GrStatus status = exec_update(x, plan, code, e);
    if (status != GR_OK)
        exec_destroy(x);
    else
        *out = x;
    return status;
}

void exec_destroy(Exec *x) {
    if (x == NULL)
        return;
    pool_destroy(x->pool);
    state_drop(&x->state);
}

/* ---- running ---- */
static void run_points(const Frame *f, const Launch *l, int64_t first, int64_t last, uint32_t thread) {
    const State *s = &f->exec->state;
    l->fn(l->args, f->uniforms, first, last, s->scratch.at + s->scratch_stride * thread);
}

static void run_chunk(void *work, uint32_t chunk, uint32_t thread) {
    const Frame *f = work;
    const Launch *l = &f->exec->state.schedule.launches.at[f->wave->first];
    for (; chunk >= l->chunks; l++)
        chunk -= l->chunks;
    int64_t first = chunk * l->grain;
    run_points(f, l, first, l->points - first < l->grain ? l->points : first + l->grain, thread);
}

static void run_wave(Frame *f, const Wave *w) {
    if (!w->alone) {
        f->wave = w;
        pool_run(f->exec->pool, run_chunk, f, w->chunks);
        return;
    }
    for (uint32_t i = w->first; i < w->first + w->n; i++) {
        const Launch *l = &f->exec->state.schedule.launches.at[i];
        if (l->chunks > 0)
            run_points(f, l, 0, l->points, 0);
    }
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void profile_wave(Frame *f, const Wave *w) {
    const Schedule *s = &f->exec->state.schedule;
    for (uint32_t i = w->first; i < w->first + w->n; i++) {
        Wave one = schedule_wave(s, i, 1, pool_threads(f->exec->pool));
        double start = now_ns();
        run_wave(f, &one);
        f->ns[s->launches.at[i].step] += now_ns() - start;
    }
}

static void run_blas(const Frame *f, const Run *r) {
    const Launch *l = &f->exec->state.schedule.launches.at[r->wave.first];
    double start = f->ns != NULL ? now_ns() : 0;
    blas_product(f->exec->blas, r->blas, l->args[0], l->args[1], l->args[2]);
    if (f->ns != NULL)
        f->ns[l->step] += now_ns() - start;
}

static void run_native(const Frame *f, const Run *r) {
    const Launch *l = &f->exec->state.schedule.launches.at[r->wave.first];
    double start = f->ns != NULL ? now_ns() : 0;
    native_run(f->exec->natives.at[r->external], l->args);
    if (f->ns != NULL)
        f->ns[l->step] += now_ns() - start;
}

static void move_args(const Frame *f, const Wave *w, int64_t iteration) {
    const State *s = &f->exec->state;
    for (uint32_t i = w->first; i < w->first + w->n; i++) {
        if (s->schedule.launches.at[i].moves)
            launch_move(&s->schedule.launches.at[i], f->exec->plan, s->buffers, iteration);
    }
}

/* False: a commit was refused. */
static bool run_runs(Frame *f, uint32_t first, uint32_t n, int64_t iteration);

static bool run_loop(Frame *f, uint32_t at) {
    const Run *r = &f->exec->state.schedule.runs.at[at];
    for (int64_t t = 0; t < r->trips; t++) {
        if (!run_runs(f, at + 1, r->body, r->reverse ? r->trips - 1 - t : t))
            return false;
    }
    return true;
}

/* What is too large to be sure of has been looked at then, and counts no more. */
static bool run_unsure(Frame *f, uint32_t at) {
    uint32_t *health = f->exec->state.health;
    if (health == NULL || (*health & HEALTH_UNSURE) == 0)
        return true;
    bool done = run_runs(f, at + 1, f->exec->state.schedule.runs.at[at].body, 0);
    *health &= ~(uint32_t)HEALTH_UNSURE;
    return done;
}

static bool run_one(Frame *f, uint32_t at, int64_t iteration) {
    const Run *r = &f->exec->state.schedule.runs.at[at];
    const uint32_t *health = f->exec->state.health;
    switch (r->kind) {
    case RUN_WAVE:
        move_args(f, &r->wave, iteration);
        if (f->ns != NULL)
            profile_wave(f, &r->wave);
        else
            run_wave(f, &r->wave);
        return true;
    case RUN_BLAS:
        move_args(f, &r->wave, iteration);
        run_blas(f, r);
        return true;
    case RUN_EXTERN:
        move_args(f, &r->wave, iteration);
        run_native(f, r);
        return true;
    case RUN_LOOP:   return run_loop(f, at);
    case RUN_UNSURE: return run_unsure(f, at);
    case RUN_COMMIT: return health == NULL || *health == 0;
    }
    GR_BUG("run %u is of no kind", at);
}

static bool run_runs(Frame *f, uint32_t first, uint32_t n, int64_t iteration) {
    const Run *runs = f->exec->state.schedule.runs.at;
    for (uint32_t at = first; at < first + n; at += 1 + runs[at].body) {
        if (!run_one(f, at, iteration))
            return false;
    }
    return true;
}

static const Prepared *prepared_of(const Exec *x, const PlanEntry *entry) {
    GR_ASSERT(entry >= x->plan->entries.at && entry < x->plan->entries.at + x->plan->entries.n);
    return &x->state.schedule.entries[entry - x->plan->entries.at];
}

bool exec_ready(const Exec *x, const PlanEntry *entry) { return prepared_of(x, entry)->ready; }

static uint32_t run_entry(Frame *f, const PlanEntry *entry) {
    const Prepared *p = prepared_of(f->exec, entry);
    uint32_t *health = f->exec->state.health;
    GR_ASSERT(p->ready);
    uint32_t saved = float_mode_enter();
    pool_enter(f->exec->pool);
    if (health != NULL)
        *health = 0;
    run_runs(f, p->first_run, p->n_runs, 0);
    pool_leave(f->exec->pool);
    float_mode_restore(saved);
    return health == NULL ? 0 : *health;
}

/* Debug builds: a step takes nothing from the heap (design 1, promise 4), unless a function of the user does. */
#ifdef GRAPHC_DEBUG
#include <malloc.h>
static size_t heap_in_use(void) {
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}
#endif

uint32_t exec_run(Exec *x, const PlanEntry *entry, const UValue *uniforms) {
    Frame f = {.exec = x, .uniforms = uniforms};
#ifdef GRAPHC_DEBUG
    size_t before = heap_in_use();
    uint32_t health = run_entry(&f, entry);
    GR_ASSERT(heap_in_use() == before || x->natives.n > 0);
    return health;
#else
    return run_entry(&f, entry);
#endif
}

void exec_profile(Exec *x, const PlanEntry *entry, const UValue *uniforms, uint32_t times, double *ns) {
    ArenaMark scratch = arena_mark(x->state.arena);
    double *once = PUSH(x->state.arena, double, x->plan->steps.n + 1);
    for (uint32_t i = 0; i < times; i++) {
        memset(once, 0, sizeof *once * x->plan->steps.n);
        run_entry(&(Frame){.exec = x, .uniforms = uniforms, .ns = once}, entry);
        for (uint32_t k = 0; k < entry->n_steps; k++) {
            double t = once[entry->first_step + k];
            ns[k] = i == 0 || t < ns[k] ? t : ns[k];
        }
    }
    arena_pop(scratch);
}
