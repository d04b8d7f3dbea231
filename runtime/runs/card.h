/* run.json: what a run's folder knows of it beside program, metrics and weights; all of RunRow but the metrics. */
#ifndef GRR_RUNS_CARD_H
#define GRR_RUNS_CARD_H
#include "history.h"
#include "runs.h"

#define CARD_FILE "run.json"
#define RUN_LOG   "log.txt"
#define RUN_DATA  "data.json"

GrStatus card_write(Arena *a, Str run, const RunRow *row, Error *e);
/* The row with its metrics, and the path as `run`; one line, or indented.  NUL-terminated. */
Str card_text(Arena *a, Str path, const RunRow *row, bool indented);
/* Metrics, phase, epoch and step, as the log has them; seconds of all processes that wrote it. */
void card_measure(Arena *a, const History *h, RunRow *row);
/* The whole row: metrics, epoch and step from the log.  Without run.json, or with a damaged one, it has what the log
 * says, and why in `reason`.  A run that says it runs, and belongs to no process, was killed. */
RunRow card_read(Arena *a, Str folder, Str name);
#endif
