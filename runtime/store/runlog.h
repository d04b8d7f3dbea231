/* metrics.jsonl: what a training reports, one JSON object a line, flushed line by line. */
#ifndef GRR_STORE_RUNLOG_H
#define GRR_STORE_RUNLOG_H
#include "dtype.h"
#include "error.h"

typedef struct RunLog RunLog;
typedef enum { LOG_TEXT, LOG_INT, LOG_REAL, LOG_TENSOR } LogKind;
typedef struct {
    Str name;
    LogKind kind;
    Str text;
    int64_t i;
    double x;
    Shape shape;
    const float *values;
} LogField;

/* Opens to append behind the first `keep` bytes; what was behind them goes (a resumed run reports it again).
 * A file that is shorter is appended to as it is. */
GrStatus runlog_open(Arena *a, Str path, int64_t keep, RunLog **out, Error *e);
void     runlog_close(RunLog *l);                              /* NULL is fine */
int64_t  runlog_bytes(const RunLog *l);
/* inf and nan are written as texts: JSON has no numbers for them. */
GrStatus runlog_row(RunLog *l, const LogField *fields, uint32_t n, Error *e);
#endif
