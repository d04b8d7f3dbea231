/* The inputs of the uniform program: settings, counters, series. */
#ifndef GRR_TRAIN_INPUTS_H
#define GRR_TRAIN_INPUTS_H
#include "recipe.h"
#include "state.h"

/* rows: of this batch or shard, in a finish entry of all batches; update: from 1; clock: update while training, else
 * number of the batch. */
typedef struct {
    int64_t epoch, step, epochs, steps, epoch_steps, batch, rows, update, seed, clock, phase;
    int64_t rows2, rows3, rows4;           /* of the other batches of an objective */
    int64_t batch_rows;                    /* of the whole batch a shard is part of */
    const int64_t *skipped;                /* by run of the phase: steps that updated nothing; NULL: there are none */
} Counters;

/* Rows of the other batches: in a phase, or (NULL) in an evaluation. */
void inputs_batches(Counters *c, const RecipeObjective *o, const RecipePhase *p);

typedef struct {
    Arena *arena;
    const Recipe *recipe;
    uint32_t n_inputs, n_insts, n_outputs;     /* there is room for so many */
    double *inputs, *values;
    UValue *outputs;
    const NamedReal *report; uint32_t n_report;    /* the values an alarm looks at, by name */
} UniformRun;

/* The outputs for kernels; they last until the next call.  `u` may have grown since the last one. */
const UValue *inputs_run(UniformRun *r, const Uniforms *u, const Counters *c, const TrainState *s);
/* One instruction's value. */
double inputs_value(UniformRun *r, const Uniforms *u, uint32_t inst, const Counters *c, const TrainState *s);
#endif
