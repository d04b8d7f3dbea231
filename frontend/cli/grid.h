/* A sweep on its way: its runs, the programs they are of, and what has come of them.
 *
 *   grid.c           the runs, each once, and the file that freezes them
 *   grid_program.c   a program for each shape: checked, planned, estimated, compiled; data shared between them
 *   grid_crew.c      a process for each run, so many at a time
 *   grid_score.c     the numbers of a run, and how good they are
 *   grid_result.c    results.jsonl: what is finished stays finished
 *   grid_halve.c     successive halving
 *   grid_table.c     the table at the end, as text, CSV and JSON
 *   grid_picture.c   parallel coordinates */
#ifndef GRF_CLI_GRID_H
#define GRF_CLI_GRID_H
#include "job.h"
#include <jansson.h>

/* OPEN    not finished                  STOPPED  by an alarm of the program
 * DONE    all its epochs are trained    HALTED   by halving, before its end
 * FAILED  with a message                CRASHED  its process died of a signal */
typedef enum { GRID_OPEN, GRID_DONE, GRID_STOPPED, GRID_HALTED, GRID_FAILED, GRID_CRASHED, GRID_STATES } GridState;
enum { GRID_JOBS_MOST = 256 };           /* processes at a time */
typedef struct { Str name; double x; } GridValue;
typedef struct {
    const RecipeSweepRun *run;
    Str id;                              /* a hash of the settings it reads; the name of its folder */
    uint32_t program;                    /* of Grid.programs */
    GridState state;
    Str why, phase;                      /* phase: the one that the values are of */
    int64_t epoch, epochs;               /* of that phase, from 1: whose values; finished ones, of all phases */
    double seconds;                      /* its training took, all resumptions together */
    VEC(GridValue) values;               /* of `keep`'s best epoch, or of the last */
    double score;                        /* NaN: it has none, or is not in its last phase yet */
} GridRun;

/* Runs of one shape: they share plan, kernels and data. */
typedef struct {
    Str shape;
    uint64_t data_key;
    Common common;
    Session s;
    Job job;                             /* without memory and executor: each process makes its own */
    uint32_t score;                      /* inst of the uniform program */
    bool loaded;                         /* its kernels are there */
    uint64_t bytes;                      /* of weights and a step */
    double *seconds;                     /* by phase: estimated, of one epoch */
} GridProgram;

typedef enum { WEIGHTS_BEST, WEIGHTS_ALL, WEIGHTS_NONE } GridWeights;
typedef struct {
    Arena *arena;
    Session *s;                          /* of the file itself */
    const Common *common;
    const RecipeSweep *sweep;
    Str folder, score; bool highest;     /* what is best */
    GridWeights weights;
    uint32_t jobs; int64_t halve;        /* processes at a time; 0: no halving */
    bool quiet;
    VEC(GridRun) runs;                   /* each once, in the order of the sweep */
    uint32_t *of;                        /* by sweep->runs: which of these it is */
    VEC(GridProgram *) programs;
    uint32_t kept;                       /* finished before this call */
    uint32_t best_run;                   /* of those that are finished; UINT32_MAX: none has a score */
    _Atomic double *best;                /* its score, seen by all processes; NaN: there is none */
    double start;                        /* of this call, seconds */
} Grid;

/* ---- grid.c ---- */
/* The runs, and what is kept of them; the folder is made and taken for this process, unless it is only a plan. */
GrStatus grid_make(Grid *g, bool plan, Error *e);
/* sweep.json says whose the folder is, from its first result or checkpoint on. */
GrStatus grid_freeze(const Grid *g, Error *e);
Str      grid_folder_of(const Grid *g, uint32_t run);
bool     grid_varies(const Grid *g, uint32_t name);              /* not all runs give it the same value */
Str      grid_label(Arena *a, const Grid *g, uint32_t run);      /* latent = 4, beta = 0.1: what varies */
bool     grid_finished(const GridRun *r);
const char *grid_state(GridState s);

/* ---- grid_program.c ---- */
/* Checks, plans and estimates all programs; GR_PROGRAM: reported. */
GrStatus grid_plan(Grid *g, Error *e);
GrStatus grid_load(Grid *g, uint32_t program, Error *e);
void     grid_close(Grid *g);
/* Of all phases that run by themselves, if none of them ends early; steps count as the epochs they come to. */
int64_t  grid_epochs(const Grid *g, const GridRun *r);
/* Runs that are not finished, what the largest needs in memory, and how long all of them take side by side. */
typedef struct { uint32_t open; uint64_t bytes; double seconds; } GridEstimate;
GridEstimate grid_estimate(const Grid *g);
void     grid_print_plan(const Grid *g);

/* ---- grid_score.c ---- */
GrStatus grid_read_score(const Grid *g, GridRun *r, Arena *a, Error *e);
double   grid_score(const Grid *g, const GridRun *r, Arena *scratch);
/* Epochs in its log, of the phases that run by themselves. */
GrStatus grid_epochs_trained(const Grid *g, const GridRun *r, int64_t *n, Arena *a, Error *e);
/* At the end of its `until`-th epoch: the number of the phase it was in (UINT32_MAX: it had trained none), and how good
 * it was in a phase; not measured: what judges it had not been measured. */
typedef struct { bool measured; double score; } GridJudged;
GrStatus grid_phase_at(const Grid *g, const GridRun *r, int64_t until, uint32_t *phase, Arena *a, Error *e);
GrStatus grid_score_at(const Grid *g, const GridRun *r, int64_t until, uint32_t phase, GridJudged *out, Arena *a,
                       Error *e);
bool     grid_validates(const Recipe *r, const RecipePhase *p);  /* on rows that there are */
bool     grid_better(const Grid *g, double a, double b);         /* a number is better than none */

/* ---- grid_result.c ---- */
GrStatus grid_read_results(Grid *g, Error *e);
GrStatus grid_write_result(const Grid *g, const GridRun *r, Error *e);

/* ---- grid_crew.c ---- */
void     grid_watch_signals(void);
bool     grid_interrupted(void);
/* Trains what of these is open, each up to its number of epochs (NULL: all of them).  GR_INTERRUPTED. */
GrStatus grid_train(Grid *g, uint32_t n, const uint32_t *runs, const int64_t *until, Error *e);
/* Of a run that will not go on: only the best one keeps them. */
void     grid_keep_weights(Grid *g, uint32_t run);

/* ---- grid_halve.c ---- */
GrStatus grid_train_halving(Grid *g, Error *e);
void     grid_print_halving(const Grid *g);

/* ---- grid_table.c ---- */
typedef struct { uint32_t n; double mean, sd; } GridMean;
GridMean grid_mean(const Grid *g, uint32_t point);               /* of the scores of its repeats */
/* Points from the best on; those without a score come last. */
const uint32_t *grid_order(Arena *a, const Grid *g);
void     grid_print(const Grid *g, uint32_t most);
GrStatus grid_write_csv(const Grid *g, Error *e);
json_t  *grid_json(const Grid *g, bool plan);                     /* plan: with the estimate */

/* ---- grid_picture.c ---- */
GrStatus grid_picture_check(const char *path, Error *e);         /* it names a kind of picture */
GrStatus grid_picture(const Grid *g, const char *path, Error *e);
#endif
