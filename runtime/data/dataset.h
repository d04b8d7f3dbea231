/* A data set in memory: the used columns of all its sources in their storage types, and its splits. */
#ifndef GRR_DATA_DATASET_H
#define GRR_DATA_DATASET_H
#include "recipe.h"
#include "room.h"
#include "split.h"

typedef struct {
    Str name;
    DType dtype;
    Shape shape;                   /* of one row */
    size_t row_bytes;
    char *at;
} DataColumn;

/* What the whole data set has once: `splats.m`. */
typedef struct { Str path; DType dtype; Shape shape; const void *at; } DataStatistic;
typedef struct { uint32_t n; DataStatistic *at; } DataStatistics;

/* Where rows come from: rows first .. first + rows - 1, as they were read, of the columns that the file has. */
typedef struct { uint32_t source; Str column, path; int64_t first, rows; } DataFile;

typedef struct {
    const RecipeData *recipe;
    int64_t rows, rows_read;       /* that are left, that the sources gave */
    VEC(DataFile) files;
    const int64_t *of_source, *dropped;    /* rows by source, rows that a clause dropped by recipe->rows */
    const uint32_t *as_read;       /* the number that a row had when it was read; NULL: the same */
    VEC(DataColumn) columns;
    Splits splits;
    DataStatistics statistics;     /* those that are used */
    Room *room;                    /* its columns */
    struct Opening *renewal;       /* its rows of `fresh` in `train` can be made anew; NULL: all stay as they are */
} Dataset;

/* Graphs of a data set run a block of DATA_BLOCK rows at a time.  `stage` is what stands behind "data.NAME": ""
 * for the columns, ".rows0", ".part1".  A graph takes its inputs by name (a whole block; zeros behind the last
 * row), and its outputs, which last until the next call, are what is asked for by name. */
typedef struct { Str name; DType dtype; const void *at; } DataView;
typedef struct {
    Str stage;
    int64_t block, epoch;
    void (*input)(const void *reader, Str name, void *to);
    const void *reader;
} DataRequest;
typedef struct {
    void *user;
    GrStatus (*run)(void *user, const RecipeData *data, const DataRequest *r, DataView *outputs,
                    uint32_t n_outputs, Error *e);
    bool lasts;                    /* as long as the data set: rows may be made anew */
} DataProgram;

/* program: may be NULL when nothing is computed; known: the statistics of a trained model, or NULL to compute
 * them.  GR_IO, GR_DATA: what, in which file, row and column. */
GrStatus dataset_open(Arena *a, const RecipeData *data, const DataProgram *program, const DataStatistics *known,
                      Dataset **out, Error *e);
/* Columns take `memory` bytes of memory, and files beyond that (0: half of the machine's).  Rows that are new in each
 * epoch are in memory. */
GrStatus dataset_open_within(Arena *a, const RecipeData *data, const DataProgram *program, const DataStatistics *known,
                             uint64_t memory, Dataset **out, Error *e);
/* Of a column in the rows first .. end - 1; of the rows that one of the files gave. */
uint64_t dataset_digest(const Dataset *d, uint32_t column, int64_t first, int64_t end, uint64_t seed);
uint64_t dataset_digest_file(const Dataset *d, const DataFile *f);
/* Columns that lie in files are gone; it may be NULL. */
void     dataset_close(Dataset *d);
/* The rows of epoch `epoch`, if the data set has other ones in each; those of epoch 0 are what it is opened with.
 * Nobody may be reading batches.  The same epoch gives the same bits, whichever came before. */
GrStatus dataset_renew(Dataset *d, int64_t epoch, Error *e);
/* The rows stay as they are from now on. */
void     dataset_settle(Dataset *d);
/* Rows of a split as far as the files say so without being read; -1: not known, or there is no such split. */
int64_t  dataset_count(Arena *a, const RecipeData *d, Str split);
/* The most frequent value of a column, its share, and the entropy of all values in nats: what always saying it,
 * or always the same probabilities, comes to.  false: reading that is not cheap, or the column has no labels. */
typedef struct { int64_t value; double share, entropy; } DataBaseline;
bool     dataset_baseline(Arena *a, const RecipeData *d, uint32_t column, Str split, DataBaseline *out);
int64_t  dataset_column(const Dataset *d, Str name);                   /* -1 */
/* A data set has a few splits; the message of a missing one names them. */
GrStatus dataset_split(const Dataset *d, Str name, const Split **out, Error *e);

typedef struct { uint32_t column; void *at; } DataTarget;
void dataset_fill(const Dataset *d, const uint32_t *rows, int64_t n, const DataTarget *targets,
                  uint32_t n_targets);
#endif
