/* A look at what the terms of a step do to the weights, every so many steps: what is seen, and what is wrong. */
#ifndef GRR_TRAIN_SAMPLE_H
#define GRR_TRAIN_SAMPLE_H
#include "phase.h"

/* The entry that looks at the step that is next; NULL: none does. */
GrStatus sample_entry(Trainer *t, const RecipeRun *run, int64_t rows, const PlanEntry **out);
/* Runs it on the batch of the entry `step`, which is in its place and stays there; tells and records what it gives. */
GrStatus sample_take(Trainer *t, const RecipeRun *run, const PlanEntry *entry, const PlanEntry *step);

/* ---- health.c ---- */
/* The largest value of each unit of a layer in this sample; the share that has not fired for so long. */
double   health_units(Trainer *t, const RecipeRun *run, Str layer, const float *largest, int64_t n);
GrStatus health_sample(Trainer *t, const RecipeRun *run, const TrainValues *values);
GrStatus health_epoch(Trainer *t, const TrainValues *values);
#endif
