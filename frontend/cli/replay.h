/* A step that is not finite, once more by the interpreter. */
#ifndef GRF_CLI_REPLAY_H
#define GRF_CLI_REPLAY_H
#include "job.h"

/* TrainJob.explain of a Job: adds to the message who made the first value that is not finite, of which numbers. */
void replay_explain(void *job, const PlanEntry *entry, const UValue *uniforms, Error *e);
#endif
