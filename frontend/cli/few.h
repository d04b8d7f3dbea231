/* A training of few batches: for trying a program out, and for the question whether it can learn at all. */
#ifndef GRF_CLI_FEW_H
#define GRF_CLI_FEW_H
#include "job.h"

/* What is left of the split `val`: its first batch, or the rows that are trained. */
typedef enum { FEW_VALIDATE_FIRST, FEW_VALIDATE_TRAINED } FewValidate;
/* Cuts the split `train` of every data set down to the first `batches` batches of the training (for a data set that
 * several phases take, of the one with the largest), before the program of the job is opened. */
void few_batches(Job *j, int64_t batches, FewValidate val);

/* Trains on the first `batches` batches until the total should be near zero, writes nothing, and says how far it
 * fell; the exit status. */
int few_overfit(Session *s, const Common *c, uint32_t batches, bool quiet, const volatile sig_atomic_t *interrupted);
#endif
