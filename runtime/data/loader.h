/* Batches of a split, one after the other; with a thread of its own they are gathered ahead.  What comes out
 * does not depend on whether there is one. */
#ifndef GRR_DATA_LOADER_H
#define GRR_DATA_LOADER_H
#include "dataset.h"

typedef struct Loader Loader;

/* The columns named, in this order; batches of at most `batch` rows. */
GrStatus loader_create(Arena *a, const Dataset *d, const uint32_t *columns, uint32_t n_columns, int64_t batch,
                       bool ahead, Loader **out, Error *e);
void     loader_destroy(Loader *l);                                     /* NULL is fine */
/* From row `first` of the order on.  The order may change again when all batches are taken, or after
 * loader_end, which drops those that are left. */
void     loader_begin(Loader *l, const uint32_t *order, int64_t n, int64_t first);
void     loader_end(Loader *l);
int64_t  loader_rows(const Loader *l);                                  /* of the next batch, 0 at the end */
/* Copies the next batch to `targets` (a pointer a column, NULL: not wanted); the rows in it, 0 at the end. */
int64_t  loader_next(Loader *l, void *const *targets);
#endif
