/* What there is in a data set, for who looks at it before a model does: ranges, classes, values that tell nothing, and
 * rows that are there more than once, above all in two splits. */
#ifndef GRR_DATA_SURVEY_H
#define GRR_DATA_SURVEY_H
#include "dataset.h"

/* The elements of a column in some rows; least to deviation are of the finite ones. */
typedef struct {
    int64_t n, zeros, nan, infinite;
    int64_t odd_row;               /* of the first element that is not finite, as Split.rows counts; -1: none is */
    double least, most, mean, deviation;
} ColumnSurvey;
void survey_column(const Dataset *d, uint32_t column, const uint32_t *rows, int64_t n, ColumnSurvey *out);

/* Places of a row that have the same value in all rows of the data set. */
int64_t survey_constant(Arena *a, const Dataset *d, uint32_t column);

/* A whole number for each row, of few values: how often each of 0, 1, .. is there.  0: it is none. */
uint32_t survey_classes(const Dataset *d, uint32_t column);
void survey_count(const Dataset *d, uint32_t column, const uint32_t *rows, int64_t n, int64_t *count);

/* Rows of split b that split a has as well; the first of them, and the one it equals. */
typedef struct { uint32_t a, b, row_a, row_b; int64_t rows; } Leak;
typedef struct {
    VEC(uint32_t) columns;         /* that were compared */
    size_t row_bytes;              /* of them; too_few: so few that rows are equal by chance, and none was compared */
    bool too_few;
    int64_t *repeated;             /* by split: rows that are there before, in the same split */
    int64_t torn;                  /* rows that equal another one with other labels */
    uint32_t torn_row, torn_other;
    VEC(Leak) leaks;
} Twins;
/* Rows are equal when they are so byte for byte in the columns marked, labels not counted. */
void survey_twins(Arena *a, const Dataset *d, const bool *seen, Twins *out);

/* The file that gave a row of a column, and which of its rows it is; NULL: none did. */
const DataFile *survey_origin(const Dataset *d, uint32_t column, uint32_t row, int64_t *in_file);
#endif
