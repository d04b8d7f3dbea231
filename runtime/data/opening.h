/* A data set while it is being opened: rows are numbered as they were read until the last step moves those that are
 * left together.  It stays when rows are made anew in each epoch (renew.c). */
#ifndef GRR_DATA_OPENING_H
#define GRR_DATA_OPENING_H
#include "dataset.h"
#include "source.h"

typedef struct Opening {
    Dataset *d;
    const RecipeData *recipe;
    const DataProgram *program;
    Arena *arena, *scratch;          /* scratch: goes when the set is open .. */
    Room *passing;                   /* .. and so does this */
    VEC(const RecipeColumn *) wants; /* of the files: raw columns that are used or read by a graph, each once */
    DataSource *sources;             /* by source of the recipe */
    VEC(DataColumn) inputs;          /* raw columns that graphs read, as many rows as whole blocks have */
    int64_t rows;                    /* as read */
    bool *alive;                     /* by row, as the rest: it is left */
    bool *there;                     /* left, or gone only for want of rows behind it, to which it may be one itself */
    int32_t *episode, *length;       /* its number, and its rows */
    int32_t *place;                  /* of the row in its episode */
    bool *train;                     /* NULL before rows are split */
    uint32_t *to;                    /* the number of a row that is left among those that are */
    int64_t epoch;                   /* whose rows are made */
    bool *renewed;                   /* each epoch makes this row anew */
    const char **gathered;           /* by step of the recipe: the values that AHEAD takes from */
    Error *e;
} Opening;

/* ---- prepare.c: running the graphs of a data set ---- */
/* Values of rows that a stage gives, or raw columns: one array each, by row. */
typedef struct { const char *at; size_t row_bytes; } RowValues;
GrStatus prepare_values(Opening *o, Str stage, const RecipeColumn *columns, uint32_t n, RowValues *out);
GrStatus prepare_statistics(Opening *o, const DataStatistics *known);
GrStatus prepare_columns(Opening *o, const bool *rows);         /* the computed ones, of these rows */

/* ---- clean.c: which rows are left ---- */
GrStatus clean_rows(Opening *o);
GrStatus clean_gather(Opening *o);           /* once more the values that AHEAD takes, of the epoch */
/* group[i]: the number of the first row whose values equal those of rows[i]; numbers from 0 in that order, how many. */
uint32_t clean_groups(Arena *a, const RowValues *values, uint32_t n_values, const uint32_t *rows, int64_t n,
                      uint32_t *group);

/* ---- renew.c ---- */
bool renew_possible(Opening *o);             /* marks the rows */
#endif
