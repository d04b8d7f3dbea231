/* A phase ready to train or evaluate: data, entries, code, arena, and the trainer's job around them. */
#ifndef GRF_CLI_JOB_H
#define GRF_CLI_JOB_H
#include "run.h"
#include "trainer.h"
#include <pthread.h>

/* Code that is compiled on a thread of its own while the training runs. */
typedef struct {
    pthread_t thread;
    bool      started;
    _Atomic bool done;
    GrStatus  status;
    Error     error;
} Behind;

/* Of the data as they are: a hash of rows and splits, what a constant answer reaches, and the text of data.json
 * (book_facts). */
typedef struct { uint64_t hash; Str baseline, files; } DataFacts;

typedef struct {
    Session *s;
    const Common *c;
    const DataFacts *facts;      /* NULL: not asked for yet */
    Dataset **data;              /* by recipe->data */
    Formula **lasting;           /* of those with new rows in each epoch, else NULL; by recipe->data */
    Compiled compiled;
    PlanCode code;
    Exec *exec;
    bool samples;                /* steps are looked at */
    Behind behind;
    TrainJob job;
} Job;

/* Everything is planned before anything runs (tail batches too, since the data are open by then).  What the first
 * batches of `first` (LOWER_TRAIN or LOWER_EVAL) need is compiled at once, the rest when it is asked for, or behind. */
/* `checkpoint`: where the statistics of data sets are read; "": they are computed. */
GrStatus job_open(Session *s, const Common *c, const char *variant, LowerKind first, Str checkpoint, Job *out,
                  Error *e);
/* The same in two parts, for who changes recipe or splits in between.
 * renews: rows of `fresh` are new in each epoch. */
GrStatus job_open_data(Session *s, const Common *c, bool renews, Str checkpoint, Job *out, Error *e);
/* The rows of all data sets stay as they are from now on. */
void     job_settle_data(Job *j);
GrStatus job_open_program(Job *j, const char *variant, LowerKind first, Error *e);
/* For who plans long before it trains: all entries of a training, without code; and, when that is loaded, memory, an
 * executor and the trainer's job. */
GrStatus job_plan(Job *j, const char *variant, Error *e);
GrStatus job_start(Job *j, const char *variant, Error *e);
/* Begins to compile what is still missing. */
void     job_compile_behind(Job *j);
/* Nothing is being compiled: an entry that is asked for is there soon. */
bool     job_idle(const Job *j);
void     job_close(Job *j);
/* What is stored with a checkpoint to know its program again: a hash of the resolved text without run-time
 * numbers. */
uint64_t job_program(const Session *s);
/* A line for each data set of which rows were dropped: how many are left, and in which splits. */
void     job_print_cleaned(const Job *j, FILE *out);
/* "metric  value" lines. */
void     job_print_values(const TrainValues *v, FILE *out);
#endif
