/* Measuring roofs.  Each figure is the best of a few short runs of a loop that does nothing else:
 * independent chains of fused multiply-adds for the arithmetic, straight sweeps over a buffer of a level's
 * size for the memory.  All threads start a run together, each with buffers of its own; the rate of
 * several threads is all their work over the time of the slowest. The loops exist for 512 and 256 bits and
 * are chosen at run time. */
#include "machine.h"
#include "clock.h"
#include "processor.h"
#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHAINS_512 = 24, CHAINS_256 = 12, RUNS = 5, MOST_THREADS = 64, FILE_VERSION = 2 };

/* ---- the loops: each sweeps n floats (or does n/16 rounds) `repeat` times ---- */
typedef void Sweep(float *a, float *b, uint64_t n, uint64_t repeat);
#define WIDE __attribute__((target("avx512f"), noinline))
#define KEEP512(x) __asm__ volatile("" : "+v"(x))
#define KEEP256(x) __asm__ volatile("" : "+x"(x))

#define DEFINE_SWEEPS(SUFFIX, ATTRIBUTE, V, LANES, CHAINS, LOAD, STORE, FMA, SET, ADD, KEEP)                \
    ATTRIBUTE static void fma_##SUFFIX(float *a, float *b, uint64_t n, uint64_t repeat) {                  \
        (void)b;                                                                                           \
        V acc[CHAINS], x = SET(a[0]), y = SET(0.5f);                                                       \
        for (int i = 0; i < CHAINS; i++)                                                                   \
            acc[i] = SET((float)i);                                                                        \
        for (uint64_t r = 0; r < repeat * (n / LANES); r += CHAINS) {                                      \
            _Pragma("GCC unroll 24") for (int i = 0; i < CHAINS; i++) acc[i] = FMA(acc[i], x, y);          \
        }                                                                                                  \
        _Pragma("GCC unroll 24") for (int i = 0; i < CHAINS; i++) KEEP(acc[i]);                            \
    }                                                                                                      \
    ATTRIBUTE static void fma_l1_##SUFFIX(float *a, float *b, uint64_t n, uint64_t repeat) {               \
        (void)b;                                                                                           \
        V acc[8], y = SET(0.5f);                                                                           \
        for (int i = 0; i < 8; i++)                                                                        \
            acc[i] = SET((float)i);                                                                        \
        for (uint64_t r = 0; r < repeat; r++) {                                                            \
            for (uint64_t k = 0; k + 8 * LANES <= n; k += 8 * LANES) {                                     \
                _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) acc[i] = FMA(LOAD(a + k + i * LANES), y, acc[i]); \
            }                                                                                              \
        }                                                                                                  \
        _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) KEEP(acc[i]);                                  \
    }                                                                                                      \
    ATTRIBUTE static void read_##SUFFIX(float *a, float *b, uint64_t n, uint64_t repeat) {                 \
        (void)b;                                                                                           \
        for (uint64_t r = 0; r < repeat; r++) {                                                            \
            V s = SET(0), t = SET(0);                                                                      \
            for (uint64_t k = 0; k + 4 * LANES <= n; k += 4 * LANES) {                                     \
                s = ADD(s, ADD(LOAD(a + k), LOAD(a + k + LANES)));                                         \
                t = ADD(t, ADD(LOAD(a + k + 2 * LANES), LOAD(a + k + 3 * LANES)));                         \
            }                                                                                              \
            KEEP(s);                                                                                       \
            KEEP(t);                                                                                       \
        }                                                                                                  \
    }                                                                                                      \
    ATTRIBUTE static void write_##SUFFIX(float *a, float *b, uint64_t n, uint64_t repeat) {                \
        (void)b;                                                                                           \
        V x = SET(1);                                                                                      \
        for (uint64_t r = 0; r < repeat; r++) {                                                            \
            for (uint64_t k = 0; k + LANES <= n; k += LANES)                                               \
                STORE(a + k, x);                                                                           \
            __asm__ volatile("" ::: "memory");                                                             \
        }                                                                                                  \
    }                                                                                                      \
    ATTRIBUTE static void copy_##SUFFIX(float *a, float *b, uint64_t n, uint64_t repeat) {                 \
        for (uint64_t r = 0; r < repeat; r++) {                                                            \
            for (uint64_t k = 0; k + LANES <= n; k += LANES)                                               \
                STORE(b + k, LOAD(a + k));                                                                 \
            __asm__ volatile("" ::: "memory");                                                             \
        }                                                                                                  \
    }
DEFINE_SWEEPS(512, WIDE, __m512, 16, CHAINS_512, _mm512_load_ps, _mm512_store_ps, _mm512_fmadd_ps,
    _mm512_set1_ps,
              _mm512_add_ps, KEEP512)
DEFINE_SWEEPS(256, __attribute__((noinline)), __m256, 8, CHAINS_256, _mm256_load_ps, _mm256_store_ps,
    _mm256_fmadd_ps,
              _mm256_set1_ps, _mm256_add_ps, KEEP256)

/* Sums of products of bf16 pairs, a float's bits being a pair. */
__attribute__((target("avx512f,avx512bf16"), noinline)) static void pairs_l1(float *a, float *b, uint64_t n,
                                                                             uint64_t repeat) {
    enum { CHAINS = 12 };
    (void)b;
    __m512 acc[CHAINS];
    __m512bh y = (__m512bh)_mm512_set1_epi32(0x3f003f00);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (uint64_t r = 0; r < repeat; r++) {
        for (uint64_t k = 0; k + CHAINS * 16 <= n; k += CHAINS * 16) {
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++)
                acc[i] = _mm512_dpbf16_ps(acc[i], (__m512bh)_mm512_load_si512(a + k + i * 16), y);
        }
    }
    _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) KEEP512(acc[i]);
}

typedef enum { WORK_PAIRS_L1, WORK_FMA, WORK_FMA_L1, WORK_READ, WORK_WRITE, WORK_COPY, WORK_COUNT } Work;
static Sweep *const sweeps[WORK_COUNT][2] = {
    {NULL, pairs_l1}, {fma_256, fma_512},
    {fma_l1_256, fma_l1_512}, {read_256, read_512}, {write_256, write_512}, {copy_256,
        copy_512}};

/* ---- threads ---- */
typedef struct {
    pthread_barrier_t *start;
    Sweep *sweep;
    float *a, *b;
    uint64_t n, repeat;
    double seconds;
    pthread_t thread;
} Runner;

static void *run(void *user) {
    Runner *r = user;
    r->sweep(r->a, r->b, r->n, 1);                       /* brings the buffer where it belongs */
    r->seconds = 1e9;
    for (int k = 0; k < RUNS; k++) {
        pthread_barrier_wait(r->start);
        double begin = clock_seconds();
        r->sweep(r->a, r->b, r->n, r->repeat);
        double t = clock_seconds() - begin;
        r->seconds = t < r->seconds ? t : r->seconds;
    }
    return NULL;
}

typedef struct { float *memory; uint64_t floats_a_thread; bool wide; } Bench;

/* Floats handled a second by all threads together; every thread walks over n floats `repeat` times. */
static double rate(const Bench *bench, Work work, uint32_t threads, uint64_t n, uint64_t repeat) {
    Runner r[MOST_THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, threads);
    uint32_t began = 0;
    for (uint32_t i = 0; i < threads; i++) {
        float *a = bench->memory + i * bench->floats_a_thread;
        r[i] = (Runner){.start = &start, .sweep = sweeps[work][bench->wide], .a = a,
            .b = a + bench->floats_a_thread / 2 + 256,
                        .n = n, .repeat = repeat};
        if (i > 0 && pthread_create(&r[i].thread, NULL, run, &r[i]) == 0)
            began++;
    }
    if (began + 1 != threads)                            /* the others would wait for ever */
        GR_BUG("%u threads could not be started to measure the machine", threads);
    run(&r[0]);
    double slowest = r[0].seconds;
    for (uint32_t i = 1; i < threads; i++) {
        pthread_join(r[i].thread, NULL);
        slowest = r[i].seconds > slowest ? r[i].seconds : slowest;
    }
    pthread_barrier_destroy(&start);
    return (double)threads * (double)n * (double)repeat / slowest;
}

/* ---- what is measured ---- */
static uint64_t cache_bytes(int name, uint64_t otherwise) {
    long n = sysconf(name);
    return n > 0 ? (uint64_t)n : otherwise;
}

static void choose_sizes(Machine *m) {
    uint64_t l1 = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32 << 10), l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE,
        1 << 20);
    uint64_t l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE, 16 << 20), most = (uint64_t)64 << 20;
    m->bytes[MACHINE_L1] = l1 / 2;
    m->bytes[MACHINE_L2] = l2 / 2;
    m->bytes[MACHINE_L3] = l3 / 4 < 2 * l2 ? 2 * l2 : l3 / 4 < 4 * l2 ? l3 / 4 : 4 * l2;
    m->bytes[MACHINE_DRAM] = 2 * l3 < most ? most / 2 : most;
}

static void measure_level(const Bench *bench, Machine *m, MachineLevel level, uint32_t which) {
    enum { ABOUT = 1 << 20 };                            /* floats a run: under a millisecond in a cache */
    uint32_t threads = which == 0 ? 1 : m->threads;
    uint64_t n = m->bytes[level] / sizeof(float), half = n / 2, repeat = n < ABOUT ? ABOUT / n : 1;
    Bandwidth *b = &m->bandwidth[level][which];
    b->read = rate(bench, WORK_READ, threads, n / 128 * 128, repeat) * 4e-9;
    b->write = rate(bench, WORK_WRITE, threads, n / 128 * 128, repeat) * 4e-9;
    b->copy = rate(bench, WORK_COPY, threads, half / 128 * 128, repeat) * 8e-9;
}

GrStatus machine_measure(uint32_t threads, Machine *out, Error *e) {
    enum { FMA_FLOATS = 1 << 22, L1_FLOATS = 4096, PAIRS_FLOATS = 16 * 12 * 21 };
    TRY(processor_check(e));
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    Machine m = {.identity = processor_identity(), .threads = threads != 0 ? threads : processors > 0
        ? (uint32_t)processors : 1};
    m.threads = m.threads < MOST_THREADS ? m.threads : MOST_THREADS;
    choose_sizes(&m);
    Bench bench = {.floats_a_thread = m.bytes[MACHINE_DRAM] / sizeof(float) + 1024,
        .wide = __builtin_cpu_supports("avx512f")};
    m.vector_bits = bench.wide ? 512 : 256;
    size_t bytes = bench.floats_a_thread * sizeof(float) * m.threads;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fail_errno(e, GR_NOMEM, "%zu bytes to measure the memory", bytes);
    madvise(memory, bytes, MADV_HUGEPAGE);
    bench.memory = memory;
    /* the threads together touch all pages: 0.1 s */
    rate(&bench, WORK_WRITE, m.threads, bench.floats_a_thread, 1);
    for (uint32_t which = 0; which < 2; which++) {
        uint32_t n = which == 0 ? 1 : m.threads;
        m.fma_gflops[which] = rate(&bench, WORK_FMA, n, FMA_FLOATS, 4) * 2e-9;
        m.fma_l1_gflops[which] = rate(&bench, WORK_FMA_L1, n, L1_FLOATS, 1024) * 2e-9;
        if (__builtin_cpu_supports("avx512bf16"))
            m.pairs_l1_gflops[which] = rate(&bench, WORK_PAIRS_L1, n, PAIRS_FLOATS, 1024) * 4e-9;
        for (int level = 0; level < MACHINE_LEVEL_COUNT; level++)
            measure_level(&bench, &m, (MachineLevel)level, which);
    }
    munmap(memory, bytes);
    *out = m;
    return GR_OK;
}

/* ---- the file: a version, then the figures in the order of the struct ---- */
const char *machine_level_name(MachineLevel l) {
    static const char *const names[] = {
#define X(id, name) name,
        MACHINE_LEVELS(X)
#undef X
    };
    return names[l];
}

static bool read_figures(FILE *f, Machine *m) {
    int version;
    unsigned long long identity;
    if (fscanf(f, "machine %d %llx %u %u", &version, &identity, &m->threads, &m->vector_bits) != 4 ||
            version != FILE_VERSION)
        return false;
    m->identity = identity;
    bool good = true;
    for (int w = 0; w < 2 && good; w++)
        good = fscanf(f, "%lf %lf %lf", &m->fma_gflops[w], &m->fma_l1_gflops[w], &m->pairs_l1_gflops[w]) == 3;
    for (int l = 0; l < MACHINE_LEVEL_COUNT && good; l++) {
        unsigned long long bytes;
        good = fscanf(f, "%llu", &bytes) == 1;
        m->bytes[l] = bytes;
        for (int w = 0; w < 2 && good; w++) {
            Bandwidth *b = &m->bandwidth[l][w];
            good = fscanf(f, "%lf %lf %lf", &b->read, &b->write, &b->copy) == 3 && b->read > 0 &&
                b->write > 0 && b->copy > 0;
        }
    }
    return good && m->fma_gflops[0] > 0 && m->fma_gflops[1] > 0;
}

static void write_figures(FILE *f, const Machine *m) {
    fprintf(f, "machine %d %llx %u %u\n", FILE_VERSION, (unsigned long long)m->identity, m->threads,
        m->vector_bits);
    for (int w = 0; w < 2; w++)
        fprintf(f, "%.6g %.6g %.6g\n", m->fma_gflops[w], m->fma_l1_gflops[w], m->pairs_l1_gflops[w]);
    for (int l = 0; l < MACHINE_LEVEL_COUNT; l++) {
        fprintf(f, "%llu\n", (unsigned long long)m->bytes[l]);
        for (int w = 0; w < 2; w++)
            fprintf(f, "%.6g %.6g %.6g\n", m->bandwidth[l][w].read, m->bandwidth[l][w].write,
                m->bandwidth[l][w].copy);
    }
}

static void save(const char *file, const Machine *m) {
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.%ld", file, (long)getpid()) >= (int)sizeof temporary)
        return;
    FILE *f = fopen(temporary, "w");
    if (f == NULL)
        return;
    write_figures(f, m);
    bool good = fflush(f) == 0 && !ferror(f);
    good &= fclose(f) == 0;
    if (!good || rename(temporary, file) != 0)
        unlink(temporary);
}

GrStatus machine_get(const char *file, uint32_t threads, Machine *out, Error *e) {
    FILE *f = file == NULL ? NULL : fopen(file, "r");
    Machine kept = {0};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t wanted = threads != 0 ? threads : processors > 0 ? (uint32_t)processors : 1;
    bool fits = f != NULL && read_figures(f, &kept) && kept.identity == processor_identity() &&
        kept.threads == wanted;
    if (f != NULL)
        fclose(f);
    if (fits) {
        *out = kept;
        return GR_OK;
    }
    TRY(machine_measure(threads, out, e));
    if (file != NULL)
        save(file, out);
    return GR_OK;
}

void machine_print(const Machine *m, Buf *out) {
    buf_printf(out, "%u-bit vectors        1 thread   %u threads\n", m->vector_bits, m->threads);
    buf_printf(out, "fma, registers   %9.1f   %9.1f   GFLOP/s\n", m->fma_gflops[0], m->fma_gflops[1]);
    buf_printf(out, "fma, one from L1 %9.1f   %9.1f   GFLOP/s\n", m->fma_l1_gflops[0], m->fma_l1_gflops[1]);
    if (m->pairs_l1_gflops[0] > 0)
        buf_printf(out, "bf16 pairs, L1   %9.1f   %9.1f   GFLOP/s\n", m->pairs_l1_gflops[0], m->pairs_l1_gflops[1]);
    for (int l = 0; l < MACHINE_LEVEL_COUNT; l++) {
        const Bandwidth *one = &m->bandwidth[l][0], *all = &m->bandwidth[l][1];
        const char *name = machine_level_name((MachineLevel)l);
        buf_printf(out, "%-4s read        %9.1f   %9.1f   GB/s   (%llu KiB a thread)\n", name, one->read,
            all->read,
                   (unsigned long long)m->bytes[l] >> 10);
        buf_printf(out, "%-4s write       %9.1f   %9.1f   GB/s\n", name, one->write, all->write);
        buf_printf(out, "%-4s copy        %9.1f   %9.1f   GB/s\n", name, one->copy, all->copy);
    }
}
