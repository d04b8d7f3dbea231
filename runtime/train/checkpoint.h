/* Checkpoints: every persistent variable of the plan and the trainer's state, in one safetensors file. */
#ifndef GRR_TRAIN_CHECKPOINT_H
#define GRR_TRAIN_CHECKPOINT_H
#include "exec.h"
#include "state.h"

/* Parameters are named by their path, other variables KIND/PATH.  Written atomically. */
GrStatus checkpoint_save(Arena *scratch, const Exec *x, const TrainState *s, uint64_t program, Str path,
                         Error *e);

/*  RESUME   everything, of the same program
 *  WEIGHTS  parameters and states of layers, of any program that has the same */
typedef enum { CHECKPOINT_RESUME, CHECKPOINT_WEIGHTS } CheckpointUse;
/* Could a training go on with it?  Touches nothing, and says what checkpoint_load would. */
GrStatus checkpoint_check(const Exec *x, uint64_t program, Str path, Error *e);
/* Either all is loaded or nothing is touched.  GR_CHANGED names the first variable that differs. */
GrStatus checkpoint_load(Arena *a, Exec *x, CheckpointUse use, uint64_t program, Str path, TrainState *s,
                         Error *e);
#endif
