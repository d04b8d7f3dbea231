/* Bringing a program to the point where it can run: its data in memory, its entries compiled, an arena and a pool. */
#ifndef GRF_CLI_RUN_H
#define GRF_CLI_RUN_H
#include "cli.h"
#include "dataset.h"
#include "exec.h"
#include "inputs.h"

/* The outputs of the uniform program at these counters; there are no series yet. */
const UValue *uniform_values(Arena *a, const Recipe *r, const Uniforms *u, const Counters *at);

/* Opens data set number `data`; columns that the program computes are computed with compiled code. */
GrStatus run_open_data(Session *s, const Common *c, uint32_t data, Dataset **out, Error *e);

/* Fills the columns of an entry from the first rows of a split (wrapping round when it is shorter). */
GrStatus run_fill(Arena *a, const Plan *plan, const PlanEntry *entry, Exec *x, const Dataset *d,
                  const char *split, int64_t first, Error *e);
#endif
