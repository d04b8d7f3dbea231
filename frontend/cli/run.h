/* Bringing a program to the point where it can run: its data in memory, its entries compiled, an arena and a pool. */
#ifndef GRF_CLI_RUN_H
#define GRF_CLI_RUN_H
#include "cli.h"
#include "dataset.h"
#include "exec.h"
#include "inputs.h"

/* The outputs of the uniform program at these counters; there are no series yet. */
const UValue *uniform_values(Arena *a, const Recipe *r, const Uniforms *u, const Counters *at);

/* The graphs that opening a data set runs; that of the columns comes first, it says which statistics are used. */
bool run_stages(Session *s, const RecipeData *d, bool statistics, Entries *out);
/* Opens data set number `data`; columns that the program computes are computed with compiled code. */
/* `checkpoint`: its statistics are those of this trained model; "": those of the run it belongs to, or computed. */
/* lasting: what makes rows anew in each epoch, if they are; it and the data set end together.  NULL: they never are. */
typedef struct Formula Formula;
GrStatus run_open_data(Session *s, const Common *c, uint32_t data, Str checkpoint, Dataset **out, Formula **lasting,
                       Error *e);
/* Rows stay as they are from now on; either may be NULL. */
void     run_settle_data(Dataset *d, Formula **lasting);

/* All of them, by recipe->data. */
GrStatus run_open_all(Session *s, const Common *c, Dataset ***out, Error *e);

/* What a column of an entry of the objective is: "image" of its first batch, "photos.image" of another. */
const Dataset *run_column(const Recipe *r, Dataset *const *data, uint32_t objective, Str name, int64_t *column);
/* Fills a column from the rows `step` batches into a split (wrapping round when it is shorter). */
GrStatus run_fill_column(Arena *a, const Dataset *d, int64_t column, const char *split, int64_t rows, int64_t step,
                         void *to, Error *e);
/* All columns of an entry. */
GrStatus run_fill(Session *s, const Plan *plan, const PlanEntry *entry, uint32_t objective, Exec *x,
                  Dataset *const *data, const char *split, int64_t step, Error *e);
#endif
