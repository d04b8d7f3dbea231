/* What trainer.c and evaluate.c share: entries, batches into them, and values out of them. */
#ifndef GRR_TRAIN_SESSION_H
#define GRR_TRAIN_SESSION_H
#include "inputs.h"
#include "loader.h"
#include "trainer.h"

typedef struct {
    const TrainJob *job;
    Arena *arena;                          /* of the whole call */
    UniformRun uniforms;
    TrainState state;
    const RecipePhase *phase;
    Counters counters;                     /* totals, seed and phase are kept up to date here */
    double start_s;
    Error *e;
} Session;

/* An entry that takes batches: for full ones, and for the smaller one at the end. */
typedef struct {
    Str name;
    const Dataset *data;
    int64_t batch;
    Loader *loader;
    uint32_t n_columns;
    Str *columns;
    void **targets;                        /* where the columns of the next batch go */
} Feed;

double   session_seconds(const Session *s);
GrStatus session_entry(Session *s, Str name, int64_t rows, const PlanEntry **out);
/* Runs an entry without columns, as "OBJ.begin".  One that commits has to be healthy; a number read out may
 * be anything. */
GrStatus session_run(Session *s, Str name, const PlanEntry **out);
/* Initial values of all variables, and of used runs their weights. */
GrStatus session_start(Session *s);
GrStatus feed_open(Session *s, Str name, const Dataset *d, int64_t batch, Feed *out);
void     feed_close(Feed *f);
/* Fills the entry's columns with the next batch; rows 0: there is none. */
GrStatus feed_next(Session *s, Feed *f, const PlanEntry **entry, int64_t *rows);
/* The entry's outputs as values named PREFIX.OUTPUT; they last as long as the arena. */
void     session_values(Session *s, Arena *a, const PlanEntry *entry, Str prefix, TrainValues *out);
void     session_progress(Session *s, TrainEvent event, int64_t batches, const TrainValues *values,
                          bool improved);
void     session_alarm(Session *s, const RecipeAlarm *a, Str split);
/* Begin, all batches of a split, finish: values named SPLIT.OUTPUT. */
GrStatus session_evaluate(Session *s, Arena *a, Feed *f, const RecipeObjective *o, const Split *split,
                          TrainValues *out);
#endif
