/* Runs as modules (`use "runs/vae" as vae`): their weights are initial values of the program that uses them, and
 * are kept with its own run. */
#ifndef GRR_TRAIN_USED_H
#define GRR_TRAIN_USED_H
#include "recipe.h"

/* A parameter, or a state of a layer (kind "state"), by its path in the program.  `to` NULL: only checked. */
typedef struct { bool state; Str path; DType dtype; Shape shape; void *to; } UsedVar;

/* Reads every used run and finds each variable whose path begins with the run's name in it: the same shape and
 * type.  Nothing is written before all of them are found.  Of a run that uses runs itself the outer one wins. */
GrStatus used_load(Arena *scratch, const Recipe *r, const UsedVar *vars, uint32_t n, Error *e);
/* Texts and weights of what the program uses, into the folder of its run. */
GrStatus used_keep(Arena *scratch, const Recipe *r, Str run, Error *e);
/* The variable belongs to a used run. */
bool     used_has(const Recipe *r, Str path);
#endif
