/* `train --fork RUN`: a training that begins with the weights of another run. */
#ifndef GRR_TRAIN_FORK_H
#define GRR_TRAIN_FORK_H
#include "session.h"

/* Weights and states of layers that the checkpoint has under the same path, with the same shape and type; the others
 * stay as they are, and *note names them ("": all are there).  GR_CHECKPOINT when none fits. */
GrStatus fork_weights(Session *s, Arena *scratch, Str path, Str *note);
#endif
