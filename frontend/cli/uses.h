/* What `check` says of the files and runs that a program uses. */
#ifndef GRF_CLI_USES_H
#define GRF_CLI_USES_H
#include "cli.h"

/* Every used run has the weights that the program reads of it: names, shapes, types. */
GrStatus uses_check(const Session *s, Error *e);
/* A line a module; of a run, whether a phase trains its weights further. */
void     uses_print(const Session *s);
#endif
