/* How long a training will take, as far as its plan tells: what the steps of its entries are expected to cost. */
#ifndef GRF_CLI_ESTIMATE_H
#define GRF_CLI_ESTIMATE_H
#include "job.h"

/* Of a job that is planned: seconds of an epoch of a phase with its validations, without inner phases. */
double  estimate_epoch(const Job *j, const RecipePhase *p);
int64_t estimate_epochs(const Job *j, const RecipePhase *p);   /* those of the phase, or what its steps come to */
double  estimate_training(const Job *j);                       /* all phases, none of them ending early */
#endif
