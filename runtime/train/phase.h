/* What the parts of the trainer share: steps and epochs (trainer.c), what is measured in between (measure.c), and
 * what is written down (record.c). */
#ifndef GRR_TRAIN_PHASE_H
#define GRR_TRAIN_PHASE_H
#include "pass.h"
#include "runlog.h"

/* A validation: its clause, and the pass that answers it. */
typedef struct { const RecipeValidation *clause; Pass pass; } Check;

/* A phase while it runs.  Inner phases have one of their own; the outer one waits in `outer`. */
typedef struct Phase {
    struct Phase *outer;
    Arena *arena;
    const RecipePhase *recipe;
    Feeds feeds;
    VEC(Check) checks;                     /* what can be validated */
    int64_t *skipped;                      /* by run: steps that updated nothing (scaling.c) */
} Phase;

typedef struct { char **copies; } Restart; /* by RecipePhase.fresh */

/* A kept checkpoint that waits in memory (later.c); final: no step comes after it, and nothing had to be copied. */
typedef struct { Str file; char *variables; TrainState state; bool waits, final; } Later;

/* The units of a layer in a run, as `seen` samples of this process show them: for how many each has not fired, and how
 * many for too long (health.c). */
typedef struct { const RecipeRun *run; Str layer; int32_t *samples; int64_t n, dead, seen; } Silent;

typedef struct {
    Session s;
    Phase *phase;
    Restart *restarts;                     /* by phase */
    char *metrics;                         /* accumulators of a broken off epoch while it is being validated */
    RunLog *log;                           /* NULL: nothing is written */
    const RecipeAlarm *stop;               /* that has gone off */
    Arena *values;                         /* what an epoch reports; emptied after it */
    VEC(Later) later;
    VEC(Silent) silent;
    double saved;                          /* seconds, when they were written last */
    TrainState *waiting;                   /* resumed: states of inner phases that are to be gone on with */
} Trainer;

static inline bool every(int64_t n, int64_t step) { return n > 0 && step % n == 0; }

/* ---- trainer.c ---- */
bool     trainer_phase_over(const Trainer *t);             /* between epochs: no more of them will come */

/* ---- measure.c ---- */
GrStatus measure_open(Trainer *t);         /* the checks of the phase */
void     measure_close(Phase *p);
/* The values of the unfinished epoch so far, of everything that it trained. */
GrStatus measure_trained(Trainer *t, TrainValues *out);
/* Validations that are due at the end of an epoch; false: none is. */
GrStatus measure_validate(Trainer *t, bool last, TrainValues *out, bool *any);
/* Those that are due after a step, in the middle of an epoch. */
GrStatus measure_between(Trainer *t);
/* Every alarm of what is among the values looks at them. */
GrStatus measure_alarms(Trainer *t, Str split, const TrainValues *values);
/* The latest values, for schedules and criteria. */
void     measure_keep(Trainer *t, const TrainValues *values);
uint32_t measure_improved(Trainer *t);     /* kept lines that are better than ever, as bits */

/* ---- terms.c ---- */
/* Weights and shares of an objective's terms, whose means are among the values. */
/* A term's numbers are called as its mean is: without the objective where no other one has a series of that name. */
bool     terms_alone(const Trainer *t, Str term);
void     terms_measure(Trainer *t, const RecipeObjective *o, TrainValues *out);

/* ---- finite.c ---- */
GrStatus weights_finite(Trainer *t);       /* an error names the first that is not */

/* ---- scaling.c ---- */
void     scaling_count(Trainer *t);        /* skipped steps, for the number of the next update */
void     scaling_values(Trainer *t, TrainValues *out);

/* ---- restart.c ---- */
void     restart_keep(Trainer *t);         /* variables are as they begin */
GrStatus restart_phase(Trainer *t, uint32_t phase);

/* ---- later.c ---- */
bool     later_waits(const Trainer *t);    /* checkpoints do, in this job */
bool     later_due(const Trainer *t);      /* not any longer */
void     later_keep(Trainer *t, Str file, bool final);
GrStatus later_write(Trainer *t);
/* The end: what waits is written if it is wanted, or the training has more to come. */
GrStatus later_settle(Trainer *t, GrStatus status);

/* ---- record.c ---- */
GrStatus record_save(Trainer *t, const char *file);            /* a checkpoint */
GrStatus record_epoch(Trainer *t, uint32_t improved);          /* all that are due after an epoch */
GrStatus record_kept(Trainer *t, uint32_t improved);
GrStatus record_values(Trainer *t, Str event, const TrainValues *values);
GrStatus record_alarm(Trainer *t, const RecipeAlarm *a, Str split);
#endif
