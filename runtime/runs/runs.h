/* What is known of runs: a row each in runs.db, beside their folders.  The folders are the truth and the database an
 * index of them: it can be thrown away and is made again from run.json (card.h) and metrics.jsonl (history.h).
 *
 * Who trains puts a row when the run begins, at its reports, and when it ends; a put is one transaction and
 * replaces the row, so processes may write side by side. */
#ifndef GRR_RUNS_RUNS_H
#define GRR_RUNS_RUNS_H
#include "error.h"

#define RUNS_FILE "runs.db"

typedef struct { Str name, value; } RunSetting;            /* the value as typed */
/* Of the rows `epoch` and `validate` of the log; the latest also of `report`.  NaN: it never had a number. */
typedef struct { Str name; double last, least, most; int64_t least_epoch, most_epoch; } RunMetric;
typedef struct {
    Str name;                    /* of its folder, as seen from the one of runs.db: "vae-001", "grid/3f2a" */
#define TEXT Str
#define INT  int64_t
#define REAL double
#define FIELD(kind, name, what) kind name;
#include "fields.def"
#undef FIELD
#undef TEXT
#undef INT
#undef REAL
    VEC(RunSetting) settings;
    VEC(Str) tags;
    VEC(RunMetric) metrics;
} RunRow;
typedef struct { VEC(RunRow) at; } RunRows;                /* by name */

/* Values of RunRow.state. */
#define RUN_RUNNING     STR("running")
#define RUN_DONE        STR("done")
#define RUN_STOPPED     STR("stopped")
#define RUN_INTERRUPTED STR("interrupted")
#define RUN_FAILED      STR("failed")
#define RUN_KILLED      STR("killed")

typedef struct Runs Runs;
/* The database of a folder; one that is not there is made of the runs in it.  GR_DATA: it is damaged, or no such
 * file; GR_CHANGED: it is of a later graphc. */
GrStatus runs_open(Arena *a, Str folder, Runs **out, Error *e);
/* For who may not write there: the database as it is or, when there is none that can be read, one in memory, made of
 * the folders.  Rows are only read. */
GrStatus runs_open_unwritten(Arena *a, Str folder, Runs **out, Error *e);
void     runs_close(Runs *r);                              /* NULL is fine */
GrStatus runs_put(Runs *r, const RunRow *row, Error *e);
GrStatus runs_drop(Runs *r, Str name, Error *e);
GrStatus runs_read(Arena *a, Runs *r, RunRows *out, Error *e);
/* Forgets all rows and reads the folders below, `found` of them; a damaged runs.db is put aside as runs.db.damaged. */
GrStatus runs_rebuild(Arena *a, Str folder, uint32_t *found, Error *e);

/* One more value of a metric; `extreme`: it counts for the lowest and the highest. */
void runs_measure(Arena *a, RunRow *row, Str name, double x, int64_t epoch, bool extreme);
const RunMetric  *run_metric(const RunRow *row, Str name);                     /* NULL */
const RunSetting *run_setting(const RunRow *row, Str name);                    /* NULL */
/* Now, as `started` and `ended` are written. */
Str  run_time(Arena *a);
/* The folder of runs.db and the name of a run in it, from the path of the run's folder. */
void run_split(Arena *a, Str run, Str *folder, Str *name);
#endif
