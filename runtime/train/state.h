/* What a training knows beside its variables: few numbers, all of them in every checkpoint.  Whatever is not
 * here or in the plan's persistent buffers can be worked out again, which is what makes a resumed run the
 * same run. */
#ifndef GRR_TRAIN_STATE_H
#define GRR_TRAIN_STATE_H
#include "plan.h"

/*  phase      in text order                         epoch, step  finished ones of this phase
 *  batch      steps done in the unfinished epoch    rows         rows they had
 *  idle       epochs since a kept line improved     log_bytes    of metrics.jsonl */
#define STATE_COUNTERS(_) _(phase) _(epoch) _(step) _(batch) _(rows) _(idle) _(log_bytes)

typedef struct { Str name; double x; } NamedReal;
typedef struct {
#define X(name) int64_t name;
    STATE_COUNTERS(X)
#undef X
    VEC(NamedReal) reals;          /* "series.val.total" the latest of each; "best.1" of each kept line;
                                    * "alarm.1.val": reports in a row in which an alarm's condition held */
} TrainState;

bool   state_holds(Str name);                        /* may a real be called so? */
double state_real(const TrainState *s, Str name);                  /* NaN when it is not there */
void   state_set_real(Arena *a, TrainState *s, Str name, double x);
#endif
