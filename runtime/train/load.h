/* `load P from "w.safetensors" [partly]`: weights that another program has made. */
#ifndef GRR_TRAIN_LOAD_H
#define GRR_TRAIN_LOAD_H
#include "session.h"

/* All the clauses of a phase, into its variables; nothing is written when one does not fit.  `*note` says what a file
 * that is taken partly has not; "": nothing is missing. */
GrStatus load_weights(Session *s, Arena *scratch, const RecipePhase *p, Str *note);
#endif
