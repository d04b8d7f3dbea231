/* A phase ready to train or evaluate: data, entries, code, arena, and the trainer's job around them. */
#ifndef GRF_CLI_JOB_H
#define GRF_CLI_JOB_H
#include "run.h"
#include "trainer.h"

typedef struct {
    Session *s;
    const Common *c;
    Dataset **data;              /* by recipe->data */
    Compiled compiled;
    PlanCode code;
    Exec *exec;
    TrainJob job;
} Job;

/* Everything is planned before anything runs (tail batches too, since the data are open by then); code is
 * loaded when an entry is first asked for. */
GrStatus job_open(Session *s, const Common *c, const char *variant, Job *out, Error *e);
void     job_close(Job *j);
/* What is stored with a checkpoint to know its program again: a hash of the resolved text without run-time
 * numbers. */
uint64_t job_program(const Session *s);
/* "metric  value" lines. */
void     job_print_values(const TrainValues *v, FILE *out);
#endif
