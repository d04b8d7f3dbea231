/* What an export makes of images, as a picture: originals, and below them the results. */
#ifndef GRF_CLI_IMAGESHEET_H
#define GRF_CLI_IMAGESHEET_H
#include "exec.h"

/* The entry has run.  GR_DATA: it does not make images of images of the same size. */
GrStatus imagesheet_write(Arena *a, const Plan *p, const PlanEntry *entry, const Exec *x, Str path, Error *e);
/* It would. */
bool     imagesheet_fits(const Plan *p, const PlanEntry *entry);
#endif
