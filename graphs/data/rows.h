/* What `from extern` asks of a generator (docs/data.md), given one function that makes one row: columns in the type a
 * program declares. */
#ifndef GRAPHS_DATA_ROWS_H
#define GRAPHS_DATA_ROWS_H
#include <stdbool.h>
#include <stdint.h>

/* Writes `items` items of the row of a column to `out`; false when there is no such column. */
typedef bool RowFn(const void *set, int64_t row, const char *column, int64_t items, double *out);
int rows_make(RowFn *row, const void *set, const char *column, const char *type, int64_t items, int64_t first,
              int64_t rows, void *to);

static inline double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

#define EXPORTED __attribute__((visibility("default")))
#endif
