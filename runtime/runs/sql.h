/* Statements on a database of runs: begun as text, given their values in order, run or read row by row, and over. */
#ifndef GRR_RUNS_SQL_H
#define GRR_RUNS_SQL_H
#include "runs.h"
#include <sqlite3.h>

struct Runs { sqlite3 *db; Str path; };
typedef struct { Runs *runs; sqlite3_stmt *stmt; int n; } Sql;

/* What SQLite said last, as an Error. */
GrStatus sql_failed(const Runs *r, Error *e);
GrStatus sql_run(Runs *r, const char *sql, Error *e);
/* The end of a transaction: all or, when `status` or this fails, nothing. */
GrStatus sql_finish(Runs *r, GrStatus status, Error *e);

Sql      sql_begin(Runs *r, const char *text);
void     sql_bind_TEXT(Sql *s, Str x);
void     sql_bind_INT(Sql *s, int64_t x);
void     sql_bind_REAL(Sql *s, double x);
GrStatus sql_end(Sql *s, Error *e);                        /* of a statement that gives no rows */
bool     sql_next(Sql *s);                                 /* there is a row, whose columns are got in order */
Str      sql_get_TEXT(Sql *s, Arena *a);
int64_t  sql_get_INT(Sql *s, Arena *a);
double   sql_get_REAL(Sql *s, Arena *a);
GrStatus sql_read(Sql *s, Error *e);                       /* behind the last row */

/* ---- runs.c ---- */
/* In place of the row of its name; within a transaction. */
GrStatus runs_put_row(Runs *r, const RunRow *row, Error *e);
#endif
