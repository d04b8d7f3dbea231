/* What the words of `graphc runs` share: the options, runs found by path, and values of a run by name. */
#ifndef GRF_CLI_VIEW_H
#define GRF_CLI_VIEW_H
#include "cli.h"
#include "runs.h"

enum { WORDS_MOST = 256 };
typedef struct { uint32_t n; const char *at[WORDS_MOST]; } Words;
typedef struct {
    Common common;                         /* of it only how messages look */
    const char *folder, *sort, *columns, *note, *out;
    bool rebuild, with_data;
    Words words, where, metrics, tags, untags;
} RunsOptions;

/* path: as one types it behind --run. */
typedef struct { Str path, folder; RunRow row; } SeenRun;
typedef struct { VEC(SeenRun) at; } SeenRuns;

/* All runs of `--in`, or of this folder and of runs/, that pass `--where`, in the order of `--sort`.  A name in these
 * or in `--columns` that no run has is GR_USAGE. */
GrStatus view_all(Arena *a, const RunsOptions *o, SeenRuns *out, Error *e);
/* One of that folder, by its name in it; or, without a folder, by its path or by its name in runs/. */
GrStatus view_one(Arena *a, const char *folder, const char *run, SeenRun *out, Error *e);
/* A field, a setting, a series (its latest value; `lowest val.total`, `highest ..` the extreme one), `run`, `tags`;
 * empty when the run has none.  number: NaN when it is no number. */
Str      view_value(Arena *a, const SeenRun *run, Str key, double *number);
/* The key of a setting: its name, or `settings.NAME` where a field is called so. */
Str      view_setting(Arena *a, Str name);
/* Takes the next of several names with commas between; false at the end. */
bool     view_next_name(const char **list, Str *name);
/* Puts the row into run.json and runs.db. */
GrStatus view_put(Arena *a, const Common *c, const SeenRun *run, Error *e);
/* runs.db of a folder; one that is damaged is put aside and made again, with a warning. */
GrStatus view_open(Arena *a, const Common *c, Str folder, Runs **out, Error *e);
Str      view_seconds(Arena *a, double seconds);
Str      view_number(Arena *a, double x);

/* ---- the words; what they were given is in `words`, and options that one does not take are refused before ---- */
#define WORD(name, arguments, what) GrStatus runs_##name(Arena *a, const RunsOptions *o, Error *e);
#include "runs.def"
#undef WORD
/* How one is used; `wrong` says what is amiss.  Returns GR_USAGE. */
GrStatus view_usage(const char *word, const char *wrong, Error *e);
#endif
