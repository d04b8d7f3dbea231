/* The prepared form of a plan: for each entry a list of runs with every pointer in place.  Of exec.c and
 * schedule.c only. */
#ifndef GRR_EXEC_SCHEDULE_H
#define GRR_EXEC_SCHEDULE_H
#include "plan.h"

/* One launch: `args` are the addresses of its buffers, then of its microkernels. */
typedef struct {
    KernelFn fn;
    void   **args;
    uint32_t step, first_arg, n_args;    /* first_arg: of the plan */
    int64_t  points, grain;
    uint32_t chunks;
    double   cost_ns;
    bool     moves;                      /* some argument goes on with the loop's iteration */
} Launch;

/* Launches that touch nothing of each other: their chunks are one flat space. */
typedef struct { uint32_t first, n, chunks; bool alone; } Wave;      /* alone: not worth a second thread */

typedef enum { RUN_WAVE, RUN_LOOP, RUN_BLAS, RUN_EXTERN, RUN_UNSURE, RUN_COMMIT } RunKind;
typedef struct {
    RunKind  kind;
    Wave     wave;                       /* of RUN_BLAS, RUN_EXTERN: its one launch, for the arguments */
    const PlanBlas *blas;
    uint32_t external;
    int64_t  trips;
    uint32_t body;                       /* of a loop, or what runs when unsure: the next ones */
    bool     reverse;
} Run;

/* Of an entry; ready: all its kernels are there. */
typedef struct { uint32_t first_run, n_runs; bool ready; } Prepared;

typedef struct {
    VEC(Launch) launches;
    VEC(Run)    runs;
    Prepared   *entries;                 /* as many as the plan has */
} Schedule;

void schedule_build(Arena *a, const Plan *plan, const PlanCode *code, void *const *buffers, uint32_t threads,
                    Schedule *out);
Wave schedule_wave(const Schedule *s, uint32_t first, uint32_t n, uint32_t threads);
void launch_move(const Launch *l, const Plan *plan, void *const *buffers, int64_t iteration);
#endif
