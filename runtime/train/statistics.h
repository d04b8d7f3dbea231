/* Statistics of data sets as variables of a plan and of a checkpoint: objectives read them there, and a trained model
 * keeps those of the rows it was trained on. */
#ifndef GRR_TRAIN_STATISTICS_H
#define GRR_TRAIN_STATISTICS_H
#include "dataset.h"
#include "exec.h"

/* Into the variables of the same paths. */
void     statistics_fill(Exec *x, const DataStatistics *values);
/* Those of one data set that a checkpoint holds.  GR_CHECKPOINT: one is of another shape. */
GrStatus statistics_read(Arena *a, Str checkpoint, const RecipeData *d, DataStatistics *out, Error *e);
/* Those of a data set of a used run. */
GrStatus statistics_of_run(Arena *a, const Recipe *r, const RecipeData *d, DataStatistics *out, Error *e);
#endif
