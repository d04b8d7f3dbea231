/* metrics.csv: the numbers of metrics.jsonl as a table, a line for each of its rows with values. */
#ifndef GRR_RUNS_CSVLOG_H
#define GRR_RUNS_CSVLOG_H
#include "history.h"
#include <stdio.h>

#define CSV_FILE "metrics.csv"

typedef struct CsvLog CsvLog;
/* Writes the file anew from what the log holds. */
GrStatus csvlog_open(Arena *a, Str run, CsvLog **out, Error *e);
/* Adds the rows that came to the log since; all of it is written anew when there is a column that was not. */
GrStatus csvlog_follow(CsvLog *l, Error *e);
void     csvlog_close(CsvLog *l);                              /* NULL is fine */
/* The same table into any file. */
void     csvlog_print(Arena *a, const History *h, FILE *out);
#endif
