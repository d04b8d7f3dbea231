/* The recipe: what a checked program asks of the trainer and the data loader, as plain data (the plan says
 * how to compute a step; the recipe says which steps to take).  Written by the front end, read by
 * runtime/data and runtime/train. */
#ifndef GR_BASE_RECIPE_H
#define GR_BASE_RECIPE_H
#include "plan.h"

/* ---- settings ---- */
typedef enum {
    SETTING_DIM, SETTING_BOOL, SETTING_CHOICE, SETTING_PATH, SETTING_TEXT, SETTING_REAL, SETTING_INT
} SettingKind;
typedef struct {
    Str name; SettingKind kind; Span span;
    Str text;              /* the value as one would type it */
    double value;          /* dim, bool, real, int */
    bool structural;       /* another value is another program; else it is the uniform input "setting.NAME" */
    bool given;            /* by -s, not the file's default */
} RecipeSetting;

/* ---- used files and runs ---- */
/* A module.  Its weights have paths NAME.MODEL..; those of a run begin as they are kept there.  `copy`:
 * where text and weights are kept beside the resolved text. */
typedef struct {
    Str name, copy;        /* "a", "a.b"; "used/a.b.graph", "used/vae" for a run */
    Str run;               /* the directory of the run; "" for a file */
    Str text;              /* resolved, like Recipe.resolved */
    Span span;
} RecipeUse;

/* ---- data ---- */
/* Who says which columns a source has: the name of each argument, the file, the reader, or whoever declares
 * them. */
typedef enum { COLUMNS_BY_ARGUMENT, COLUMNS_BY_FILE, COLUMNS_BY_READER, COLUMNS_BY_DECLARATION } ColumnNaming;
typedef enum {
#define READER(id, name, naming, columns, sample) READER_##id,
#define READER_OPTION(id, name, kind, what)
#include "readers.def"
#undef READER
#undef READER_OPTION
    READER_COUNT
} ReaderKind;
/* path is resolved against the file that says it, and may be a pattern (`a*.csv`); column: of a reader whose
 * arguments name the columns, else empty */
/* typed: below a path that was typed, so read from there and of no pack */
typedef struct { Str column, path; Span span; bool typed; } RecipeFile;
typedef struct {
    ReaderKind reader; Span span;
    uint32_t first_file, n_files;                                      /* RecipeData.files */
    int64_t rows;                                                      /* fresh: how many */
    bool header; Str separator; int64_t columns;                       /* csv; columns 0: as many as there are */
    Str symbol; int64_t key;                                           /* extern */
    Str split;                                                         /* `as train`: "" when not said */
} RecipeSource;
/* A column the objective can use.  `raw`: read from files as it is; else output of the graph "data.NAME".
 * shape is of one row; bound 0: none. */
typedef struct {
    Str name; DType dtype; Shape shape; int64_t bound; bool raw, used; Span span;
    Str source;                            /* what the source calls it; empty: the same name */
    bool cut, has_first, has_end;          /* `source[first:end]` of a row of the file; below 0: from its end */
    int64_t first, end;
    bool ragged;                           /* rows have up to shape.dim[0] items, zeros behind them */
    bool lengths;                          /* i32: how many items the row of the ragged `source` has */
} RecipeColumn;
typedef enum { PART_SHARE, PART_COUNT, PART_REST } PartKind;
/* share: exact decimal; count: numerator */
typedef struct { Str name; PartKind kind; int64_t numerator, denominator; Span span; } RecipePart;
typedef struct {                           /* one `split` clause; several apply in text order */
    Str of;                                /* the split that is cut up; "": all rows */
    uint32_t first_part, n_parts;          /* RecipeData.parts */
    bool in_order; int64_t seed; Span span;
    int64_t folds, fold;                   /* folds > 0: fold number `fold` is the one part, the others are "train" */
    bool grouped; RecipeColumn group;      /* by this value: rows that have the same one stay together */
} RecipeSplit;
/* What happens to the rows before they are split, in text order; values that are not raw are outputs of the graph
 * "data.NAME.rowsK", K being the number of the step.
 *   DROP_WHERE        rows whose value is true go
 *   DROP_DUPLICATES   of rows with equal values the first stays
 *   EPISODES          an episode ends with a row whose value is true
 *   DROP_EPISODES     as DROP_WHERE, of all rows of an episode
 *   AHEAD             rows get the values of the rows offset, .. offset + count - 1 behind them, in their episode;
 *                     those without go, and of each episode only rows 0, every, 2 every, .. stay */
typedef enum { ROWS_DROP_WHERE, ROWS_DROP_DUPLICATES, ROWS_EPISODES, ROWS_DROP_EPISODES, ROWS_AHEAD } RowsKind;
typedef struct {
    RowsKind kind; Span span;
    VEC(RecipeColumn) values;
    int64_t offset, count, every;
    bool nested;                           /* AHEAD of such values: only rows that have theirs will do */
} RecipeRows;
/* A number or tensor of the whole data set.  Graphs "data.NAME.partL" accumulate those of level L, "data.NAME.finishL"
 * commits them to the variables `path`; what has level L needs those below it. */
typedef struct { Str name, path; DType dtype; Shape shape; uint32_t level; bool used; Span span; } RecipeStatistic;
/* rows a "data.NAME" graph computes at a time: fixed, so that draws do not depend on it */
enum { DATA_BLOCK = 1024 };
typedef struct {
    Str name; Span span;
    Str packed;                            /* "", or a folder whose files come before those named, by whole paths */
    VEC(RecipeSource) sources; VEC(RecipeFile) files; VEC(RecipeColumn) columns;
    VEC(RecipePart) parts; VEC(RecipeSplit) splits;
    VEC(RecipeRows) rows; VEC(RecipeStatistic) statistics;
    bool has_graph, repeats;               /* something is computed; by drawing until it fits */
    bool renews; Span settled;             /* rows of `fresh` new in each epoch; or what draws which there are */
    VEC(RecipeColumn) inputs;              /* raw columns that its graphs read */
} RecipeData;
/* What the first files of a source say, for the checker: the columns they have (of text: f32), and whether
 * the raw columns of `data` fit them.  GR_IO: the files are not there.  GR_DATA: `wrong` does not fit, or,
 * NULL, a file is no such file. */
typedef struct { VEC(RecipeColumn) columns; const RecipeColumn *wrong; } RecipeProbe;
typedef GrStatus DataProbe(Arena *a, const RecipeData *data, uint32_t source, RecipeProbe *out, Error *e);

/* A number that a schedule or an alarm keeps, an input of the uniform program: "schedule.PATH", "report.state.PATH".
 * Insts of its first value, made of settings, and of the one after a validation or a report. */
typedef struct { Str name; uint32_t init, next; Span span; } RecipeSchedule;
typedef struct { VEC(RecipeSchedule) at; } RecipeSchedules;

/* ---- objectives ---- */
/* Its weight: inst of the uniform program, or where it has none a number. */
typedef struct { Str name; bool nograd, has_inst; uint32_t inst; double weight; Span span; } RecipeLoss;
/* exact: over rows, not a mean of batches; watch: one of the statistics of a `watch` */
typedef struct { Str name; Shape shape; bool exact, watch; Span span; } RecipeMetric;
/* `warn` or `stop` when inst of the uniform program holds in so many reports of one split in a row; inputs
 * "report.NAME" are the values of that report.  Before after_* are finished nobody looks. */
typedef struct {
    bool stop; Str text, when, from; uint32_t inst;        /* from: the call that brings it, or empty */
    int64_t reports, after_steps, after_epochs; Span span;
    RecipeSchedules states;                                /* of one split; they advance before `when` is asked */
} RecipeAlarm;
/* Rows of a data set that go together: in a phase, or while an objective is evaluated. */
typedef struct { uint32_t data; int64_t rows; } RecipeBatch;
typedef struct {
    Str name; uint32_t data; Span span;    /* data: of its first batch, a pass over which is an epoch */
    VEC(RecipeBatch) more;                 /* its other batches, and their rows in an evaluation */
    VEC(RecipeLoss) losses; VEC(RecipeMetric) metrics; VEC(RecipeAlarm) alarms;
} RecipeObjective;

/* ---- exports ---- */
/* data: of its batch argument; -1: plain tensors of fixed shape */
typedef struct { Str name; int32_t data; Span span; } RecipeExport;

/* A state that begins as the variable it follows. */
typedef struct { Str copy, of; } RecipeCopy;

/* ---- training ---- */
/* inst of the uniform program, inputs "series.val.total" .. */
typedef struct { bool highest; uint32_t inst; Str text; Span span; } RecipeKeep;
/* A line `objective o updates P n times`: the objective runs so often in each round.  A run is a step: it takes
 * the next batch and makes one update, by the entry "NAME.train". */
typedef struct { Str name; uint32_t objective; int64_t times; Span span; } RecipeRun;
typedef struct { uint32_t objective; int64_t epochs, steps; Span span; } RecipeValidation;  /* one of them, other 0 */
/* `every n epochs train p`. */
typedef struct { uint32_t phase; int64_t epochs; Span span; } RecipeInner;
/* `load P from file names csv`: patterns of paths; what the file calls a weight, the others by their paths. */
typedef struct { Str path, name; } RecipeRenamed;
typedef struct { VEC(Str) patterns; Str path; VEC(RecipeRenamed) names; bool partly; Span span; } RecipeLoad;
typedef struct {
    Str name; Span span;
    VEC(RecipeRun) runs;                   /* at least one; they take turns, also across the end of an epoch */
    VEC(RecipeValidation) validations;
    int64_t epochs, steps;                 /* one of them, the other 0 */
    int64_t batch; bool drop_tail; int64_t seed;
    int64_t buffer;                        /* rows at hand of which the next of an epoch is drawn; 0: all */
    DType precision;                       /* to which operands of the models' products are rounded; DT_F32: not */
    bool winograd;                         /* the models' convolutions of three taps, where it gains */
    int64_t shards, rows; bool per_shard;  /* parts that a batch is taken in, 1 or more, and rows of one */
    VEC(RecipeBatch) more;                 /* of other data sets than the first */
    int64_t report_steps, save_epochs, patience;   /* 0: off */
    VEC(RecipeKeep) keep;
    VEC(RecipeLoad) loads;
    VEC(RecipeInner) inner;                /* in text order */
    bool called;                           /* is an inner one: does not run by itself .. */
    VEC(Str) fresh;                        /* .. and each time begins with these variables as they were at first */
} RecipePhase;

/* ---- sweeps ---- */
typedef struct { Str name, value; bool repeat; } RecipeValue;          /* as typed */
typedef struct { Str name; int64_t value; } RecipeWord;                /* "epochs", "probe.seed": numbers of phases */
/* A run of a sweep.  settings: all of the program, by recipe->settings.  Runs with equal `shape` are one program over
 * the same data, with other numbers; with equal `data` they have the same rows; with equal `reads` they differ only in
 * what they do not read, and are one run.  point: from 0; runs of one point are its repeats. */
typedef struct {
    VEC(RecipeValue) values; VEC(RecipeSetting) settings; VEC(RecipeWord) words;
    Str shape, data, reads; uint32_t point;
} RecipeSweepRun;
/* skipped: runs that `skip when` leaves out; best: which point wins, "" when it is not said */
typedef struct {
    Str name; VEC(RecipeSweepRun) runs; uint32_t points, skipped;
    Str best; bool highest; Span span;
} RecipeSweep;

typedef struct Recipe {
    Arena *arena;
    Str name;                              /* of the file, without folder and ending */
    VEC(RecipeSetting) settings;
    VEC(RecipeUse) uses;                   /* a module stands before what it uses itself */
    VEC(RecipeData) data;
    VEC(RecipeObjective) objectives;
    VEC(RecipePhase) phases;
    VEC(RecipeCopy) copies;
    RecipeSchedules schedules;
    VEC(RecipeExport) exports;
    VEC(RecipeSweep) sweeps;
    /* the program's text with settings filled in and every default written out */
    Str resolved;
} Recipe;

/* `decoder.residual1[3].*` against a path: `*` is any text; a pattern also names all that lies below it. */
bool     recipe_pattern_names(Str pattern, Str path);
/* Which run step `step` of a phase is, from 0; and how many of the steps before it were runs of `run`. */
uint32_t recipe_run_at(const RecipePhase *p, int64_t step);
int64_t  recipe_runs_before(const RecipePhase *p, int64_t step, uint32_t run);
/* The first phase from number `from` on that runs by itself; phases.n: there is none. */
uint32_t recipe_phase_from(const Recipe *r, uint32_t from);
const RecipePhase *recipe_last_phase(const Recipe *r);     /* that runs by itself; NULL: there is none */
/* By a source's `as` or a part of a split. */
bool     recipe_has_split(const RecipeData *d, Str name);
/* Rows of a batch of this data set. */
int64_t  recipe_batch(const RecipePhase *p, uint32_t data);
/* `total`, a loss or a metric of one number. */
bool     recipe_has_series(const RecipeObjective *o, Str name);
/* The i-th objective that a phase measures on a split: on `train` what it trains, else what it validates; without a
 * phase all of the program.  false: there are fewer. */
bool     recipe_measured(const Recipe *r, const RecipePhase *p, Str split, uint32_t i, uint32_t *objective);
bool     recipe_is_word(Str word);         /* `epochs`, `steps`, `batch`, `seed` */
/* Gives the phase the number, when it is for this phase or for all. */
void     recipe_set_word(const RecipeWord *w, RecipePhase *p);
/* How many of these have the series: one that is alone goes by SPLIT.NAME, else it is SPLIT.OBJECTIVE.NAME. */
uint32_t recipe_series_owners(const Recipe *r, const RecipePhase *p, Str split, Str name);
#endif
