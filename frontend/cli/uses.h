/* The files and runs that a program uses, as commands see them. */
#ifndef GRF_CLI_USES_H
#define GRF_CLI_USES_H
#include "cli.h"

/* Every used run has the weights that the program reads of it: names, shapes, types. */
GrStatus uses_check(const Session *s, Error *e);
/* Without a run of the file itself, all its weights are of runs that it uses. */
GrStatus uses_train_all(const Session *s, Error *e);
/* For a reader; of a run, whether a phase trains its weights further. */
const char *uses_what(const Session *s, const RecipeUse *u);
#endif
