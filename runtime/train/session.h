/* What a training and an evaluation share: entries, and values out of them. */
#ifndef GRR_TRAIN_SESSION_H
#define GRR_TRAIN_SESSION_H
#include "inputs.h"
#include "trainer.h"

typedef struct {
    const TrainJob *job;
    Arena *arena;                          /* of the whole call */
    UniformRun uniforms;
    TrainState state;
    const RecipePhase *phase;
    Counters counters;                     /* totals, seed and phase are kept up to date here */
    double start_s, waited;                /* waited: seconds, for batches */
    Error *e;
} Session;

double   session_seconds(const Session *s);
bool     session_interrupted(const Session *s);
GrStatus session_entry(Session *s, Str name, int64_t rows, const PlanEntry **out);
/* Of an entry that has just run: if a value is not finite, whoever knows more of it says so in the session's error. */
void     session_explain(Session *s, const PlanEntry *entry, const UValue *uniforms, uint32_t health);
/* Runs an entry without columns, as "OBJ.begin".  One that commits has to be healthy; a number read out may
 * be anything. */
GrStatus session_run(Session *s, Str name, const PlanEntry **out);
/* Initial values of all variables, and of used runs their weights. */
GrStatus session_start(Session *s);
/* After variables were set from outside: what is kept of them in another layout. */
GrStatus session_pack(Session *s);
/* The outputs of an objective's finish entry as values of a split; they last as long as the arena. */
void     session_values(Session *s, Arena *a, const PlanEntry *entry, Str split, const RecipeObjective *o,
                        TrainValues *out);
void     session_progress(Session *s, TrainEvent event, int64_t batches, const TrainValues *values,
                          bool improved);
/* Copies begin as what they follow, wherever that came from. */
void     session_begin_copies(Session *s);
/* The values of a variable, or NULL. */
void    *session_var(Session *s, Str path, size_t *bytes);
void     session_alarm(Session *s, const RecipeAlarm *a, Str split);
const UValue *session_uniforms(Session *s);             /* now; until the next call */
#endif
