/* A data set in memory: the used columns of all its sources in their storage types, and its splits. */
#ifndef GRR_DATA_DATASET_H
#define GRR_DATA_DATASET_H
#include "recipe.h"
#include "split.h"

typedef struct {
    Str name;
    DType dtype;
    Shape shape;                   /* of one row */
    size_t row_bytes;
    char *at;
} DataColumn;

typedef struct {
    const RecipeData *recipe;
    int64_t rows;
    VEC(DataColumn) columns;
    Splits splits;
} Dataset;

/* Computes the columns of the graph "data.NAME" for rows block * DATA_BLOCK on, DATA_BLOCK of them (behind
 * the last row, inputs are zero and outputs are dropped).  Sets dtype and at of each output; what they point
 * to lasts until the next call. */
typedef struct { Str name; DType dtype; const void *at; } DataView;
typedef GrStatus DataCompute(void *user, const RecipeData *data, int64_t block, const DataView *inputs,
                             uint32_t n_inputs, DataView *outputs, uint32_t n_outputs, Error *e);

/* GR_IO, GR_DATA: what, in which file, row and column. */
GrStatus dataset_open(Arena *a, const RecipeData *data, DataCompute *compute, void *user, Dataset **out,
                      Error *e);
int64_t  dataset_column(const Dataset *d, Str name);                   /* -1 */
/* A data set has a few splits; the message of a missing one names them. */
GrStatus dataset_split(const Dataset *d, Str name, const Split **out, Error *e);

typedef struct { uint32_t column; void *at; } DataTarget;
void dataset_fill(const Dataset *d, const uint32_t *rows, int64_t n, const DataTarget *targets,
                  uint32_t n_targets);
#endif
