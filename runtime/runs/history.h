/* metrics.jsonl, read: what a training reported, row by row. */
#ifndef GRR_RUNS_HISTORY_H
#define GRR_RUNS_HISTORY_H
#include "dtype.h"
#include "error.h"

typedef struct { Str name; uint32_t n; const double *values; } HistoryValue;       /* a tensor in row order */
typedef struct {
    Str event, phase, bits, text;      /* "epoch", "validate", "report", "warn", "stop"; empty where there is none */
    int64_t epoch, step;
    double seconds;
    VEC(HistoryValue) values;
} HistoryRow;
typedef struct { VEC(HistoryRow) at; } History;

/* A last line without its end, of a process that was killed, does not count.  A run that reported nothing yet has no
 * rows.  GR_DATA: a line is no such row. */
GrStatus history_read(Arena *a, Str run, History *out, Error *e);
/* Rows from byte *at on, which then is behind the last. */
GrStatus history_follow(Arena *a, Str run, int64_t *at, History *out, Error *e);
const HistoryValue *history_value(const HistoryRow *row, Str name);        /* NULL */
/* A row whose values are of a whole pass, not of the epoch so far. */
bool history_whole(const HistoryRow *row);
#endif
