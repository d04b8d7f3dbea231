/* What a training knows beside its variables: few numbers, all of them in every checkpoint.  Whatever is not
 * here or in the plan's persistent buffers can be worked out again, which is what makes a resumed run the
 * same run. */
#ifndef GRR_TRAIN_STATE_H
#define GRR_TRAIN_STATE_H
#include "plan.h"

/*  phase      in text order                         epoch, step  finished ones of this phase
 *  batch      steps done in the unfinished epoch    idle         epochs since a kept line improved
 *  inner      inner phases that are through since the last epoch ended
 *  owed       1: validations that were due after the last step have been broken off
 *  log_bytes  of metrics.jsonl */
#define STATE_COUNTERS(_) _(phase) _(epoch) _(step) _(batch) _(idle) _(inner) _(owed) _(log_bytes)

enum { STATE_DEPTH = 4 };          /* phases inside each other, at most */

typedef struct { Str name; double x; } NamedReal;
typedef struct TrainState {
#define X(name) int64_t name;
    STATE_COUNTERS(X)
#undef X
    VEC(NamedReal) reals;          /* "series.val.total" the latest of each; "best.1" of each kept line;
                                    * "alarm.OBJ.1.val": reports in a row in which an alarm's condition held, and
                                    * "monitor.dead.RUN.LAYER": samples in a row in which a monitor's did */
    struct TrainState *outer;      /* of the phase that waits for this inner one; NULL: none does */
} TrainState;

bool   state_holds(Str name);                        /* may a real be called so? */
double state_real(const TrainState *s, Str name);                  /* NaN when it is not there */
bool   state_has(const TrainState *s, Str name);
void   state_set_real(Arena *a, TrainState *s, Str name, double x);
#endif
