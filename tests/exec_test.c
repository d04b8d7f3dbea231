/* The executor with kernels written by hand in C: waves, chunks, loops, commits, on one to three threads. */
#include "test.h"
#include "available.h"
#include "blas.h"
#include "exec.h"
#include "memory.h"
#include "pool.h"
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/* ---- the pool ---- */
enum { POOL_CHUNKS = 97 };
typedef struct { _Atomic uint32_t runs[POOL_CHUNKS]; _Atomic uint32_t strangers; uint32_t threads; } Tally;

static void count_chunk(void *work, uint32_t chunk, uint32_t thread) {
    Tally *t = work;
    atomic_fetch_add(&t->runs[chunk], 1);
    if (thread >= t->threads)
        atomic_fetch_add(&t->strangers, 1);
}

static void pool_counts(uint32_t threads, uint32_t regions) {
    Pool *p;
    Error e;
    Tally t = {.threads = threads};
    REQUIRE(pool_create(test_arena(), threads, &p, &e) == GR_OK);
    CHECK_INT(pool_threads(p), threads);
    uint32_t expected[POOL_CHUNKS] = {0};
    for (uint32_t i = 0; i < regions; i++) {
        uint32_t chunks = i % (POOL_CHUNKS + 1);
        pool_run(p, count_chunk, &t, chunks);
        for (uint32_t k = 0; k < chunks; k++)
            expected[k]++;
    }
    for (uint32_t k = 0; k < POOL_CHUNKS; k++)
        CHECK_INT(t.runs[k], expected[k]);
    CHECK_INT(t.strangers, 0);
    pool_destroy(p);
}

TEST(pool_runs_each_chunk_once) {
    for (uint32_t threads = 1; threads <= 3; threads++)
        pool_counts(threads, 3000);
}

typedef struct { atomic_int *by; atomic_uint again; } Ends;

static void note_thread(void *work, uint32_t chunk, uint32_t thread) {
    Ends *ends = work;
    if (atomic_exchange(&ends->by[chunk], (int)thread + 1) != 0)
        atomic_fetch_add(&ends->again, 1);
}

/* More chunks than one ticket counts; of each ticket the caller has the first ones, the worker the last. */
TEST(pool_works_from_both_ends) {
    enum { CHUNKS = 70000, TICKET = 65535 };
    Pool *p;
    Error e;
    Ends ends = {.by = PUSH(test_arena(), atomic_int, CHUNKS)};
    REQUIRE(pool_create(test_arena(), 2, &p, &e) == GR_OK);
    pool_run(p, note_thread, &ends, CHUNKS);
    CHECK_INT(ends.again, 0);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        CHECK(ends.by[i] == 1 || ends.by[i] == 2);
        CHECK(i % TICKET == 0 || ends.by[i] >= ends.by[i - 1]);
    }
    pool_destroy(p);
}

static void wake_late(void *work, uint32_t chunk, uint32_t thread) {
    (void)thread;
    ((uint32_t *)work)[chunk]++;
}

TEST(pool_wakes_sleepers) {
    Pool *p;
    Error e;
    uint32_t runs[4] = {0};
    REQUIRE(pool_create(test_arena(), 2, &p, &e) == GR_OK);
    for (int i = 0; i < 20; i++) {
        struct timespec nap = {0, 500000};                  /* longer than a worker spins */
        nanosleep(&nap, NULL);
        pool_run(p, wake_late, runs, 4);
    }
    for (int i = 0; i < 4; i++)
        CHECK_INT(runs[i], 20);
    pool_destroy(p);
}

TEST(pool_refuses_no_threads) {
    Pool *p;
    Error e;
    CHECK(pool_create(test_arena(), 0, &p, &e) == GR_USAGE);
}

TEST(memory_is_zero_and_aligned) {
    const uint64_t sizes[] = {1, 4096, 5000, ((uint64_t)2 << 20) + 1, (uint64_t)5 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Memory m;
        Error e;
        REQUIRE(memory_create(sizes[i], &m, &e) == GR_OK);
        CHECK_INT(m.bytes, sizes[i]);
        CHECK((uintptr_t)m.at % 64 == 0 && m.at[0] == 0 && m.at[sizes[i] - 1] == 0);
        memset(m.at, 1, sizes[i]);
        memory_destroy(&m);
        CHECK(m.at == NULL);
    }
    Memory m;
    Error e;
    CHECK(memory_create((uint64_t)1 << 60, &m, &e) == GR_NOMEM);
}

/* ---- plans by hand ---- */
static Plan *new_plan(void) {
    Plan *p = PUSH(test_arena(), Plan, 1);
    p->arena = test_arena();
    p->scratch_bytes = 100;
    return p;
}

static uint32_t add_buffer(Plan *p, Region r, int64_t n) {
    uint64_t bytes = (uint64_t)n * 4, at = p->arena_bytes;
    p->arena_bytes += (bytes + 63) / 64 * 64;
    p->region_bytes[r] += (bytes + 63) / 64 * 64;
    vec_push(p->arena, &p->buffers, (PlanBuffer){STR("b"), r, DT_F32, shape_of(1, &n), at, bytes});
    return p->buffers.n - 1;
}

static void add_step(Plan *p, uint32_t kernel, uint32_t wave, int64_t points, int64_t grain, uint32_t n,
                     const PlanArg *args) {
    PlanStep s = {.kind = STEP_LAUNCH, .kernel = kernel, .wave = wave, .first_arg = p->args.n, .n_args = n,
                  .points = points, .grain = grain, .cost_ns = 1e6};
    for (uint32_t i = 0; i < n; i++)
        vec_push(p->arena, &p->args, args[i]);
    while (p->kernels.n <= kernel)
        vec_push(p->arena, &p->kernels, (PlanKernel){.name = STR("k")});
    vec_push(p->arena, &p->steps, s);
}

static const PlanEntry *close_entry(Plan *p, const char *name, uint32_t first_step) {
    vec_push(p->arena, &p->entries,
             (PlanEntry){.name = str_of(name),
                         .variant = STR("fused"),
                         .first_step = first_step,
                         .n_steps = p->steps.n - first_step});
    return &p->entries.at[p->entries.n - 1];
}

static Exec *new_exec(const Plan *p, const PlanCode *code, uint32_t threads) {
    Exec *x;
    Error e = {0};
    GrStatus s = exec_create(test_arena(), p, code, (ExecOptions){threads}, &x, &e);
    CHECK_MSG(s == GR_OK, "%s", e.what);
    REQUIRE(s == GR_OK);
    return x;
}

/* ---- kernels ---- */
static void k_twice(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    float *y = b[0];
    const float *x = b[1];
    ((char *)scratch)[99] = 1;
    for (int64_t i = first; i < last; i++)
        y[i] = x[i] * 2 + u[0].f;
}

static void k_add(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    float *y = b[0];
    const float *x = b[1], *z = b[2];
    (void)u, (void)scratch;
    for (int64_t i = first; i < last; i++)
        y[i] = x[i] + z[i];
}

static void k_report(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    (void)first, (void)last, (void)scratch;
    atomic_fetch_or((_Atomic uint32_t *)b[0], (uint32_t)u[1].i);
}

typedef float MicroFn(float);
static float m_triple(float x) { return 3 * x; }

static void k_micro(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    float *y = b[0];
    (void)u, (void)scratch;
    MicroFn *f = (MicroFn *)b[1];
    for (int64_t i = first; i < last; i++)
        y[i] = f((float)i);
}

static const KernelFn k_kernels[] = {k_twice, k_add, k_report, k_micro};
static void *const k_micros[] = {(void *)m_triple};
static const PlanCode k_code = {k_kernels, k_micros};

enum { N = 10001 };

/* y = 2x + u and z = x + x in one wave, w = y + z in the next: 10,001 points of different grains. */
static void run_waves(uint32_t threads) {
    Plan *p = new_plan();
    uint32_t x = add_buffer(p, REGION_BATCH, N), y = add_buffer(p, REGION_ACT, N),
             z = add_buffer(p, REGION_ACT, N);
    uint32_t w = add_buffer(p, REGION_OUT, N);
    add_step(p, 0, 0, N, 64, 2, (PlanArg[]){{.buffer = y, .writes = true}, {.buffer = x}});
    add_step(p, 1, 0, N, 1000, 3, (PlanArg[]){{.buffer = z, .writes = true}, {.buffer = x}, {.buffer = x}});
    add_step(p, 1, 1, 0, 1, 3, (PlanArg[]){{.buffer = w, .writes = true}, {.buffer = x}, {.buffer = x}});
    add_step(p, 1, 2, N, 17, 3, (PlanArg[]){{.buffer = w, .writes = true}, {.buffer = y}, {.buffer = z}});
    const PlanEntry *entry = close_entry(p, "step", 0);
    Exec *exec = new_exec(p, &k_code, threads);
    CHECK_INT(exec_bytes(exec), p->arena_bytes);
    float *in = exec_buffer(exec, x), *out = exec_buffer(exec, w);
    for (int i = 0; i < N; i++)
        in[i] = (float)i;
    for (int round = 0; round < 50; round++) {
        CHECK_INT(exec_run(exec, entry, (UValue[]){{.f = (float)round}}), 0);
        bool right = true;
        for (int i = 0; i < N; i++)
            right = right && out[i] == (float)(4 * i + round);
        CHECK(right);
    }
    double ns[4];
    exec_profile(exec, entry, (UValue[]){{.f = 1}}, 3, ns);
    CHECK(ns[0] > 0 && ns[1] > 0 && ns[2] >= 0 && ns[3] > 0 && out[5] == 21);
    exec_destroy(exec);
}

TEST(waves_on_one_to_three_threads) {
    for (uint32_t threads = 1; threads <= 3; threads++)
        run_waves(threads);
}

/* s[t+1] = s[t] + x[t], forwards; then the same sum from the other end. */
TEST(loops_move_their_arguments) {
    enum { T = 5, W = 16, ROW = W * 4 };
    Plan *p = new_plan();
    uint32_t x = add_buffer(p, REGION_BATCH, T * W), s = add_buffer(p, REGION_ACT, (T + 1) * W),
             r = add_buffer(p, REGION_ACT, (T + 1) * W);
    vec_push(p->arena, &p->steps, (PlanStep){.kind = STEP_LOOP, .trips = T, .count = 1});
    add_step(p, 1, 0, W, 4, 3, (PlanArg[]){{s, ROW, ROW, true}, {s, 0, ROW, false}, {x, 0, ROW, false}});
    vec_push(p->arena, &p->steps, (PlanStep){.kind = STEP_LOOP, .trips = T, .count = 1, .reverse = true});
    add_step(p, 1, 0, W, 4, 3, (PlanArg[]){{r, 0, ROW, true}, {r, ROW, ROW, false}, {x, 0, ROW, false}});
    const PlanEntry *entry = close_entry(p, "scan", 0);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        Exec *exec = new_exec(p, &k_code, threads);
        float *in = exec_buffer(exec, x), *sums = exec_buffer(exec, s), *back = exec_buffer(exec, r);
        for (int i = 0; i < T * W; i++)
            in[i] = (float)(i / W + 1);
        exec_run(exec, entry, NULL);
        exec_run(exec, entry, NULL);                       /* pointers come back to the first iteration */
        for (int t = 0; t <= T; t++) {
            CHECK(sums[t * W + W - 1] == (float)(t * (t + 1) / 2));
            CHECK(back[t * W] == (float)(15 - t * (t + 1) / 2));
        }
        exec_destroy(exec);
    }
}

TEST(commit_waits_for_health) {
    Plan *p = new_plan();
    uint32_t w = add_buffer(p, REGION_PARAM, N), h = add_buffer(p, REGION_HEALTH, 1);
    add_step(p, 2, 0, 8, 1, 1, (PlanArg[]){{.buffer = h, .writes = true}});
    vec_push(p->arena, &p->steps, (PlanStep){.kind = STEP_COMMIT});
    add_step(p, 0, 0, N, 64, 2, (PlanArg[]){{.buffer = w, .writes = true}, {.buffer = w}});
    const PlanEntry *entry = close_entry(p, "step", 0);
    Exec *exec = new_exec(p, &k_code, 2);
    const float *param = exec_buffer(exec, w);
    CHECK_INT(exec_run(exec, entry, (UValue[]){{.f = 1}, {.i = HEALTH_INDEX}}), HEALTH_INDEX);
    CHECK(param[0] == 0 && param[N - 1] == 0);
    CHECK_INT(exec_run(exec, entry, (UValue[]){{.f = 1}, {.i = 0}}), 0);
    CHECK(param[0] == 1 && param[N - 1] == 1);
    exec_destroy(exec);
}

/* A step that is unsure looks again, and forgets that it was. */
TEST(unsure_steps_look_again) {
    Plan *p = new_plan();
    uint32_t w = add_buffer(p, REGION_PARAM, N), h = add_buffer(p, REGION_HEALTH, 1), x = add_buffer(p, REGION_ACT, N);
    add_step(p, 2, 0, 8, 1, 1, (PlanArg[]){{.buffer = h, .writes = true}});
    vec_push(p->arena, &p->steps, (PlanStep){.kind = STEP_UNSURE, .count = 1});
    add_step(p, 0, 1, N, 64, 2, (PlanArg[]){{.buffer = x, .writes = true}, {.buffer = x}});
    vec_push(p->arena, &p->steps, (PlanStep){.kind = STEP_COMMIT});
    add_step(p, 0, 2, N, 64, 2, (PlanArg[]){{.buffer = w, .writes = true}, {.buffer = w}});
    const PlanEntry *entry = close_entry(p, "step", 0);
    CHECK_INT(plan_step_runs(p, entry, 0), 1);
    CHECK_INT(plan_step_runs(p, entry, 2), 0);
    CHECK_INT(plan_step_runs(p, entry, 4), 1);
    Exec *exec = new_exec(p, &k_code, 2);
    const float *param = exec_buffer(exec, w), *looked = exec_buffer(exec, x);
    CHECK_INT(exec_run(exec, entry, (UValue[]){{.f = 1}, {.i = 0}}), 0);
    CHECK(looked[N - 1] == 0 && param[N - 1] == 1);
    CHECK_INT(exec_run(exec, entry, (UValue[]){{.f = 1}, {.i = HEALTH_UNSURE}}), 0);
    CHECK(looked[N - 1] == 1 && param[N - 1] == 3);
    CHECK_INT(exec_run(exec, entry, (UValue[]){{.f = 1}, {.i = HEALTH_UNSURE | HEALTH_NONFINITE}}), HEALTH_NONFINITE);
    CHECK(looked[N - 1] == 3 && param[N - 1] == 3);
    exec_destroy(exec);
}

TEST(microkernels_stand_behind_buffers) {
    Plan *p = new_plan();
    uint32_t y = add_buffer(p, REGION_ACT, N);
    add_step(p, 3, 0, N, 100, 1, (PlanArg[]){{.buffer = y, .writes = true}});
    p->kernels.at[3].n_micros = 1;
    vec_push(p->arena, &p->micros, (PlanMicro){STR("triple"), 1});
    const PlanEntry *entry = close_entry(p, "step", 0);
    Exec *exec = new_exec(p, &k_code, 2);
    exec_run(exec, entry, NULL);
    CHECK(((float *)exec_buffer(exec, y))[1234] == 3702);
    exec_destroy(exec);
}

TEST(denormals_vanish_on_every_thread_and_the_caller_keeps_his_mode) {
    Plan *p = new_plan();
    uint32_t x = add_buffer(p, REGION_BATCH, N), y = add_buffer(p, REGION_ACT, N);
    add_step(p, 1, 0, N, 16, 3, (PlanArg[]){{.buffer = y, .writes = true}, {.buffer = x}, {.buffer = x}});
    const PlanEntry *entry = close_entry(p, "step", 0);
    Exec *exec = new_exec(p, &k_code, 3);
    float *in = exec_buffer(exec, x), *out = exec_buffer(exec, y);
    for (int i = 0; i < N; i++)
        in[i] = 1e-40f;
    exec_run(exec, entry, NULL);
    bool zero = true;
    for (int i = 0; i < N; i++)
        zero = zero && f32_bits(out[i]) == 0;
    CHECK(zero);
    volatile float tiny = 1e-40f;
    CHECK(tiny + tiny > 0);
    exec_destroy(exec);
}

TEST(a_grown_plan_keeps_what_persists) {
    Plan *p = new_plan();
    uint32_t w = add_buffer(p, REGION_PARAM, 100);
    add_step(p, 0, 0, 100, 10, 2, (PlanArg[]){{.buffer = w, .writes = true}, {.buffer = w}});
    const PlanEntry *entry = close_entry(p, "one", 0);
    KernelFn only_first[4] = {k_twice};
    Exec *exec = new_exec(p, &(PlanCode){only_first, NULL}, 2);
    exec_run(exec, entry, (UValue[]){{.f = 7}});
    uint32_t first = p->steps.n, y = add_buffer(p, REGION_ACT, 1 << 20);
    add_step(p, 1, 0, 100, 10, 3, (PlanArg[]){{.buffer = y, .writes = true}, {.buffer = w}, {.buffer = w}});
    close_entry(p, "two", first);
    Error e;
    p->buffers.at[w].offset = p->arena_bytes - 448;         /* offsets are free to change */
    p->buffers.at[y].offset = 0;
    REQUIRE(exec_update(exec, p, &(PlanCode){only_first, NULL}, &e) == GR_OK);
    CHECK(exec_ready(exec, &p->entries.at[0]) && !exec_ready(exec, &p->entries.at[1]));
    REQUIRE(exec_update(exec, p, &k_code, &e) == GR_OK);
    CHECK(exec_ready(exec, &p->entries.at[1]));
    CHECK(((float *)exec_buffer(exec, w))[99] == 7);
    exec_run(exec, &p->entries.at[1], NULL);
    CHECK(((float *)exec_buffer(exec, y))[99] == 14);
    exec_destroy(exec);
}

TEST(blas_products) {
    Plan *p = new_plan();
    uint32_t x = add_buffer(p, REGION_BATCH, 6), y = add_buffer(p, REGION_BATCH, 6),
             z = add_buffer(p, REGION_ACT, 4);
    for (uint32_t i = 0; i < 3; i++)
        vec_push(p->arena, &p->args, (PlanArg){.buffer = (uint32_t[]){x, y, z}[i], .writes = i == 2});
    PlanBlas shape = {.m = 2, .n = 2, .k = 3, .trans_b = true, .lda = 3, .ldb = 3, .ldc = 2};
    vec_push(p->arena, &p->steps, (PlanStep){.kind = STEP_BLAS, .n_args = 3, .blas = shape});
    const PlanEntry *entry = close_entry(p, "blas", 0);
    Exec *exec;
    Error e = {0};
    GrStatus s = exec_create(test_arena(), p, &k_code, (ExecOptions){1}, &exec, &e);
    if (s == GR_UNSUPPORTED) {                              /* not installed: said, with what to install */
        CHECK(strstr(e.what, "OpenBLAS") != NULL && strstr(e.help, "libopenblas") != NULL);
        return;
    }
    REQUIRE(s == GR_OK);
    memcpy(exec_buffer(exec, x), (float[]){1, 2, 3, 4, 5, 6}, 24);
    memcpy(exec_buffer(exec, y), (float[]){1, 0, 1, 0, 2, 0}, 24);
    exec_run(exec, entry, NULL);
    CHECK(memcmp(exec_buffer(exec, z), (float[]){4, 4, 10, 10}, 16) == 0);
    exec_destroy(exec);
}

/* What is free is what the machine has, or less where a control group, or one above it, is limited to less. */
static uint64_t available(const char *makes) {
    test_shell(STR("rm -rf m; mkdir -p m/proc/self m/sys/fs/cgroup/memory/a/b m/sys/fs/cgroup/c/d\n"
                   "printf 'MemTotal: 9000 kB\\nMemAvailable: 8000 kB\\n' > m/proc/meminfo"));
    CHECK_INT(test_shell(str_of(makes)).status, 0);
    return available_memory(str_format(test_arena(), "%.*s/m", FSTR(test_folder())).s);
}

TEST(memory_is_what_groups_leave) {
    const char *second = "echo 0::/c/d > m/proc/self/cgroup; cd m/sys/fs/cgroup/c;", *whole = "mkdir -p m/proc/self",
               *first = "echo 4:memory:/a/b > m/proc/self/cgroup; cd m/sys/fs/cgroup/memory;";
    CHECK_INT(available(whole), 8000 * 1024);
    CHECK_INT(available(str_format(test_arena(), "%s echo max > d/memory.max", second).s), 8000 * 1024);
    CHECK_INT(available(str_format(test_arena(), "%s echo 5000 > d/memory.max; echo 1500 > d/memory.current\n"
                                   "printf 'anon 7\\ninactive_file 500\\n' > d/memory.stat", second).s), 4000);
    CHECK_INT(available(str_format(test_arena(), "%s echo max > d/memory.max; echo 3000 > memory.max\n"
                                   "echo 1000 > memory.current", second).s), 2000);
    CHECK_INT(available(str_format(test_arena(), "%s echo 9 > memory.max; echo 40 > memory.current", second).s), 1);
    CHECK_INT(available(str_format(test_arena(), "%s echo 6000 > a/b/memory.limit_in_bytes\n"
                                   "echo 1000 > a/b/memory.usage_in_bytes", first).s), 5000);
    CHECK_INT(available(str_format(test_arena(), "%s echo 6000 > memory.limit_in_bytes\n"
                                   "echo 1000 > memory.usage_in_bytes; rm -r a", first).s), 5000);
    CHECK(available_memory("") > 0);
}
