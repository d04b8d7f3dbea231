/* Threads that wait for work by spinning for some 30 us and then sleep on a futex.
 *
 * A region is published as a ticket {generation, first chunk left, chunks left}: whoever takes one off owns that
 * chunk.  The caller and every second worker take the first one, the others the last, so that of two threads each has
 * its half of every region, whatever the time it takes: what one kernel left in the caches of a processor the next one
 * finds there, and so does the next step.  A thread that slept through a region finds another generation in the ticket
 * and keeps its hands off, so the join waits for chunks to be done and never for workers to show up; a worker that lost
 * its processor costs nothing but its help.  The fields of a region may be read while the next one is being written,
 * but then nothing is left in the reader's ticket, or its exchange fails.
 *
 * A pool that takes every processor there is gives each thread one of its own: two that spin are left together
 * on one processor by the scheduler for as long as they please.  The caller is somebody else's thread, so it is
 * pinned from pool_enter to pool_leave only; what it starts in between inherits nothing. */
#define _GNU_SOURCE
#include "pool.h"
#include "dtype.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 64, SPIN_NS = 30000, LOOKS_AT_CLOCK = 32, LOOKS_BEFORE_YIELD = 2000, THREADS_MOST = 1024 };
enum { FIELD_BITS = 16, REGION_MOST = (1 << FIELD_BITS) - 1 };

typedef struct {
    Pool *pool;
    pthread_t thread;
    uint32_t index;
} Worker;

/* The processors of a pool that has them all, in order; n is 0 when it has not. */
typedef struct { uint32_t n; cpu_set_t of_caller, own; } Places;

struct Pool {
    _Alignas(LINE) _Atomic uint64_t ticket;      /* generation << 32 | first << 16 | left */
    _Atomic(PoolFn *) fn;
    _Atomic(void *) work;
    _Atomic uint32_t base;                       /* what chunks of this region are counted from */
    _Alignas(LINE) _Atomic uint32_t done;        /* chunks of this region that are finished */
    _Alignas(LINE) _Atomic uint32_t generation;  /* the futex: changes when there is a new region */
    _Atomic uint32_t sleepers;
    _Atomic bool stop;
    uint32_t threads, started;
    Places places;
    Worker *workers;
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t while_value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_value, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* Takes chunks of one generation until none is left. */
static void help(Pool *p, uint32_t generation, uint32_t thread) {
    const uint64_t first_left = (uint64_t)1 << FIELD_BITS;
    bool from_end = thread % 2 != 0;
    uint32_t mine = 0;
    uint64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
    while (ticket >> 32 == generation && (ticket & REGION_MOST) > 0) {
        PoolFn *fn = atomic_load_explicit(&p->fn, memory_order_relaxed);
        void *work = atomic_load_explicit(&p->work, memory_order_relaxed);
        uint32_t base = atomic_load_explicit(&p->base, memory_order_relaxed);
        uint32_t first = ticket >> FIELD_BITS & REGION_MOST, left = ticket & REGION_MOST;
        uint64_t then = ticket - 1 + (from_end ? 0 : first_left);
        if (!atomic_compare_exchange_weak_explicit(&p->ticket, &ticket, then, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        fn(work, base + first + (from_end ? left - 1 : 0), thread);
        mine++;
        ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
    }
    if (mine > 0)                  /* the region cannot end before: its chunks are not all done */
        atomic_fetch_add_explicit(&p->done, mine, memory_order_release);
}

/* The sleeper says so before it looks a last time, and pool_run looks for sleepers after it has published:
 * one of them sees the other. */
static uint32_t wait_for_work(Pool *p, uint32_t seen) {
    int64_t until = now_ns() + SPIN_NS;
    uint32_t generation;
    for (uint32_t looks = 1;
         (generation = atomic_load_explicit(&p->generation, memory_order_acquire)) == seen; looks++) {
        __builtin_ia32_pause();
        if (looks % LOOKS_AT_CLOCK != 0 || now_ns() < until)
            continue;
        atomic_fetch_add(&p->sleepers, 1);
        if (atomic_load(&p->generation) == seen)
            futex_wait(&p->generation, seen);
        atomic_fetch_sub(&p->sleepers, 1);
        until = now_ns() + SPIN_NS;
    }
    return generation;
}

static void pin_to(const cpu_set_t *set) {
    sched_setaffinity(0, sizeof *set, set);      /* of the calling thread; refused: slower, not wrong */
}

/* The set that holds the n-th processor of `all` alone. */
static cpu_set_t place_of(const cpu_set_t *all, uint32_t n) {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, all) && n-- == 0)
            CPU_SET(i, &one);
    }
    return one;
}

static void choose_places(Pool *p) {
    cpu_set_t all;
    if (p->threads < 2 || sched_getaffinity(0, sizeof all, &all) != 0 || (uint32_t)CPU_COUNT(&all) != p->threads)
        return;
    p->places = (Places){.n = p->threads, .of_caller = all, .own = place_of(&all, 0)};
}

void pool_enter(Pool *p) {
    if (p->places.n > 0)
        pin_to(&p->places.own);
}

void pool_leave(Pool *p) {
    if (p->places.n > 0)
        pin_to(&p->places.of_caller);
}

static void *worker_main(void *arg) {
    Worker *w = arg;
    float_mode_enter();
    for (uint32_t seen = 0;;) {
        seen = wait_for_work(w->pool, seen);
        if (atomic_load_explicit(&w->pool->stop, memory_order_acquire))
            return NULL;
        help(w->pool, seen, w->index);
    }
}

/* It begins at its place.  A thread that begins beside the caller, to leave by itself, has to be let onto the caller's
 * processor first, and waits for ever where the caller computes with a real-time priority. */
static bool start_worker(Worker *w) {
    const Places *places = &w->pool->places;
    pthread_attr_t how;
    bool placed = false;
    if (places->n > 0 && pthread_attr_init(&how) == 0) {
        cpu_set_t own = place_of(&places->of_caller, w->index);
        placed = pthread_attr_setaffinity_np(&how, sizeof own, &own) == 0 &&
                 pthread_create(&w->thread, &how, worker_main, w) == 0;
        pthread_attr_destroy(&how);
    }
    return placed || pthread_create(&w->thread, NULL, worker_main, w) == 0;
}

GrStatus pool_create(Arena *a, uint32_t threads, Pool **out, Error *e) {
    *out = NULL;
    if (threads == 0 || threads > THREADS_MOST)
        return fail(e, GR_USAGE, "%u threads were asked for; 1 to %d can be had", threads, THREADS_MOST);
    Pool *p = PUSH(a, Pool, 1);
    p->threads = threads;
    p->started = 1;
    p->workers = PUSH(a, Worker, threads);
    choose_places(p);
    for (uint32_t i = 1; i < threads; i++) {
        p->workers[i] = (Worker){.pool = p, .index = i};
        if (!start_worker(&p->workers[i])) {
            pool_destroy(p);
            return fail(e, GR_NOMEM, "thread %u of %u could not be started; fewer threads: `--threads`",
                        i + 1, threads);
        }
        p->started = i + 1;
    }
    *out = p;
    return GR_OK;
}

static void publish(Pool *p, uint32_t generation) {
    atomic_store(&p->generation, generation);
    if (atomic_load(&p->sleepers) > 0)
        futex_wake_all(&p->generation);
}

void pool_destroy(Pool *p) {
    if (p == NULL)
        return;
    atomic_store_explicit(&p->stop, true, memory_order_release);
    publish(p, atomic_load(&p->generation) + 1);
    for (uint32_t i = 1; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
}

uint32_t pool_threads(const Pool *p) { return p->threads; }

/* A worker may have been put aside in the middle of a chunk; after a while its processor is asked to take it
 * back. */
static void wait_for_chunks(Pool *p, uint32_t chunks) {
    for (uint32_t looks = 0; atomic_load_explicit(&p->done, memory_order_acquire) != chunks; looks++) {
        if (looks < LOOKS_BEFORE_YIELD)
            __builtin_ia32_pause();
        else
            sched_yield();
    }
}

static void run_region(Pool *p, PoolFn *fn, void *work, uint32_t base, uint32_t chunks) {
    uint32_t generation = atomic_load_explicit(&p->generation, memory_order_relaxed) + 1;
    atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
    atomic_store_explicit(&p->work, work, memory_order_relaxed);
    atomic_store_explicit(&p->base, base, memory_order_relaxed);
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    atomic_store_explicit(&p->ticket, (uint64_t)generation << 32 | chunks, memory_order_release);
    publish(p, generation);
    help(p, generation, 0);
    wait_for_chunks(p, chunks);
}

void pool_run(Pool *p, PoolFn *fn, void *work, uint32_t chunks) {
    if (p->threads == 1 || chunks <= 1) {
        for (uint32_t i = 0; i < chunks; i++)
            fn(work, i, 0);
        return;
    }
    for (uint32_t base = 0, n; base < chunks; base += n) {
        n = chunks - base < REGION_MOST ? chunks - base : REGION_MOST;
        run_region(p, fn, work, base, n);
    }
}
