/* data.json of a run: which files its rows came from, and a hash of what each gave.  So a run that is repeated
 * elsewhere, whose rows differ, can say of which file, and data that changed are not packed with it. */
#ifndef GRF_CLI_ORIGIN_H
#define GRF_CLI_ORIGIN_H
#include "job.h"

Str  origin_text(Arena *a, const Job *j);
/* Prints a line for each file of the run in `was` that gives other rows in the run in `now`. */
void origin_compare(Arena *a, Str was, Str now);
/* The data of `j` are those that the run in this folder read. */
GrStatus origin_check(Arena *a, Str run, Str data_hash, const Job *j, Error *e);
#endif
