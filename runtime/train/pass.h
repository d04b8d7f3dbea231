/* An objective measured on a split: its accumulators begin, take all batches in evaluation mode, and are read out. */
#ifndef GRR_TRAIN_PASS_H
#define GRR_TRAIN_PASS_H
#include "feed.h"

typedef struct { const RecipeObjective *objective; const Split *split; Feeds feeds; } Pass;

GrStatus pass_open(Session *s, Arena *a, const RecipeObjective *o, Str split, int64_t batch, Pass *out);
/* Values named SPLIT.OUTPUT are added.  GR_INTERRUPTED after a batch: none is. */
GrStatus pass_run(Session *s, Arena *a, Pass *p, TrainValues *out);
void     pass_close(Pass *p);
/* Do all data sets of the objective have rows in the split? */
bool     pass_possible(const TrainJob *job, const RecipeObjective *o, Str split);
#endif
