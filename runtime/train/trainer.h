/* The trainer: takes the steps that a recipe asks for, with the entries of a plan.  It computes nothing
 * itself. */
#ifndef GRR_TRAIN_TRAINER_H
#define GRR_TRAIN_TRAINER_H
#include "dataset.h"
#include "exec.h"
#include "monitors.h"
#include "recipe.h"
#include <signal.h>

/* "val.total", "train.kl", a table ..; whole: "val.vae.total", which is also the name where several objectives have
 * such a value.  detail: not for a line of text. */
typedef struct { Str name, whole; Shape shape; const float *values; bool detail; } TrainValue;
typedef struct { VEC(TrainValue) at; } TrainValues;

/*  STEP    a step is finished (values if wanted)      REPORT  values of the epoch so far (`report every`)
 *  EPOCH   an epoch and its validation are finished   EVAL    a batch of an evaluation is finished
 *  ALARM   an alarm goes off                          LOADED  weights were, but not all that were asked for
 *  SAMPLE  a step was looked at before it was taken */
typedef enum {
    TRAIN_STEP, TRAIN_REPORT, TRAIN_EPOCH, TRAIN_EVAL, TRAIN_ALARM, TRAIN_LOADED, TRAIN_SAMPLE
} TrainEvent;
typedef struct {
    TrainEvent event;
    const RecipePhase *phase;              /* NULL in train_evaluate */
    int64_t epoch, epochs, step, steps;    /* finished ones, totals */
    int64_t batch, batches;                /* of this epoch, or of the evaluated split */
    const TrainValues *values;
    Str note;                              /* LOADED: what the file has not */
    const RecipeAlarm *alarm; Str split;   /* ALARM: which, and the split it looked at */
    bool improved;                         /* EPOCH: a kept line did, its checkpoint is written */
    double seconds, waited;                /* since the call; of them for batches to be ready */
} TrainProgress;

typedef struct {
    const Recipe *recipe;
    Exec *exec;                            /* its plan may grow in ensure_entry (exec_update) */
    Dataset *const *data;                  /* by recipe->data */
    Str variant;                           /* of the entries; NUL-terminated */
    Str run;                               /* its folder, there already (rundir.h); "": nothing is written */
    uint64_t program;                      /* hash of the checked program: resuming asks for the same */
    bool resume;                           /* from last.safetensors of the run */
    Str fork;                              /* a checkpoint whose weights are the first ones; "": none */
    /* Not 0: checkpoints of epochs wait in memory until so long after the last, or until the training ends, when
     * they are written if `wanted` says so; what breaks it off writes them. */
    double save_seconds;
    bool (*wanted)(void *user);            /* NULL: they are */
    bool load_ahead;                       /* batches are gathered by a thread of their own: same bits */
    int64_t sample_steps;                  /* every how many steps the terms' gradients are looked at; 0: never */
    bool sample_first;                     /* what is seen before the first step is recorded like the rest */
    bool conflict;                         /* and the cosines between them */
    Level monitors[MONITOR_COUNT], alarms; /* alarms: those that the program declares */
    /* Not 0: finish the step, save, return GR_INTERRUPTED; may be NULL. */
    const volatile sig_atomic_t *interrupted;
    void *user;
    /* An entry by name, rows (0: it has none) and the job's variant.  NULL: the plan has them all. */
    GrStatus (*ensure_entry)(void *user, Str name, int64_t rows, const PlanEntry **out, Error *e);
    void (*expect_entry)(void *user, Str name, int64_t rows);      /* will be asked for later; may be NULL */
    /* The entry met a value that is not finite: nothing was committed, variables and batch are what they were.  Says
     * more of it in e; may be NULL. */
    void (*explain)(void *user, const PlanEntry *entry, const UValue *uniforms, Error *e);
    bool (*wants_values)(void *user);      /* shall the next STEP have those of the epoch so far?  May be NULL */
    void (*progress)(void *user, const TrainProgress *p);          /* may be NULL */
} TrainJob;

/* All phases.  GR_INTERRUPTED, GR_STOPPED after a save; GR_NONFINITE, GR_DATA with the step; GR_IO when a file
 * could not be written. */
GrStatus train_run(const TrainJob *job, Error *e);
/* So many steps between two samples that they take about a hundredth of the time. */
int64_t  train_sample_steps(const Recipe *r);
/* Batches of an objective that no phase trains. */
enum { EVAL_BATCH = 64 };
/* The variables as a training would begin with them: initial values, and the weights of used runs. */
GrStatus train_start(const TrainJob *job, Error *e);
/* Metrics of a split, exact over its rows.  `checkpoint` is loaded first; "": the variables are as they are
 * in the exec. */
GrStatus train_evaluate(Arena *a, const TrainJob *job, Str checkpoint, uint32_t objective, Str split,
                        TrainValues *out, Error *e);
/* The rows of its batches: those of the last phase that trains the objective, or else that validates it. */
int64_t  train_evaluation_batch(const Recipe *r, uint32_t objective);
/* What `eval` and `export` take of a run: the first kept checkpoint, or the last when nothing is kept. */
Str      train_best(Arena *a, Str run);
#endif
