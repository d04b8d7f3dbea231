/* What the commands share: options that several take, opening a program, compiling it, and reporting what
 * went wrong. */
#ifndef GRF_CLI_CLI_H
#define GRF_CLI_CLI_H
#include "code.h"
#include "fuse.h"
#include "lang.h"
#include "pipeline.h"
#include <argp.h>
#include <stdio.h>

/* Exit statuses: 0 all is well, 1 the program or the world is wrong, 2 wrong usage, 130 interrupted. */
enum { EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_STOPPED = 3, EXIT_INTERRUPTED = 130 };

#ifndef GRAPHC_VERSION
#define GRAPHC_VERSION "0.1.0"
#endif

#define COMMAND(name, arguments, what) int cmd_##name(int argc, char **argv);
#include "commands.def"
#undef COMMAND

/* ---- options (options.c): argp children; `Common` is their input ---- */
enum { MAX_SETTINGS = 256 };
typedef struct {
    const char *file;                    /* the one positional argument */
    uint32_t    n_settings;
    SettingArg  settings[MAX_SETTINGS];  /* -s NAME=VALUE */
    const char *point;                   /* --point: NULL; a sweep of one point, whose settings are taken */
    bool        probed;                  /* files of data have been looked into with these settings */
    const char *cpu;                     /* --cpu: NULL for this one */
    uint32_t    threads;                 /* --threads: as many as there are cores */
    uint64_t    data_memory;             /* --data-memory: 0 for half of what there is */
    uint64_t    max_memory;              /* --max-memory: 0 for as much as it takes */
    uint64_t    cache_bytes;             /* --cache-size: 0 for what the cache thinks right */
    bool        sanitize, no_cache, json;
    bool        diag_json;               /* --diag=json */
    int64_t     sample_steps;            /* --sample: 0, none; SAMPLE_AUTO before sampling_settle */
    bool        sample_given, sample_first;      /* first: the budget before the first step is recorded, too */
    bool        sample_if_long;          /* only where they cost next to nothing (job.c) */
    bool        conflict;                /* --conflict */
    PassOptions passes;                  /* --dump-after, --stop-after, --time-passes */
} Common;
enum { SAMPLE_AUTO = -1 };
Common common_make(void);
extern const struct argp common_argp;     /* FILE and -s */
extern const struct argp sampling_argp;   /* --sample, --conflict */
extern const struct argp compile_argp;    /* --cpu, --threads, --sanitize, the kernel cache, passes */
/* What was asked of samples, or what asks for them (`looks`), in steps. */
void sampling_settle(Common *c, const Recipe *r, bool looks);
/* Ends the process when the line is wrong. */
void options_parse(const struct argp *parser, int argc, char **argv, void *input);
uint32_t option_count(const char *text, uint32_t least, uint32_t most, const char *option, struct argp_state *state);

/* ---- a checked program (session.c) ---- */
typedef struct {
    Arena *arena;
    SourceSet *files;
    const Source *main;
    Diags *diags;
    const Math *math;
    Program *program;
    Recipe *recipe;
    Module *module;
} Session;
/* Reads, parses and checks; false when there are errors (rendered on standard error by session_report). */
bool session_open(Session *s, const Common *c);
/* Renders the diagnostics; true when there are no errors. */
bool session_report(const Session *s, const Common *c);
/* Both; false: the session is closed. */
bool session_begin(Session *s, const Common *c);
void session_close(Session *s);
int session_leave(Session *s, int status);   /* closes it; the status */
bool colour_wanted(FILE *f);              /* a terminal, and no NO_COLOR */
/* ---- what went wrong (report.c): each returns the exit status ---- */
int  report_error(const Common *c, const Error *e);       /* "graphc: what", "help: ..", or an object */
void report_remark(const Common *c, Severity severity, const char *kind, Str what);     /* a warning or a note */
void report_diags(const Diags *ds, const Common *c);
int  report_no_train(const Common *c);    /* of a file that trains nothing */
int  report_no_objective(const Common *c);    /* of a file that measures nothing */
int  report_no_entry(const Common *c);    /* of a file that neither trains nor exports */

/* ---- compiled entries (compile.c) ---- */
/* objective: whose batches TRAIN and EVAL take */
typedef struct { LowerKind kind; Str name; int64_t rows; uint32_t objective; } EntryRequest;
typedef struct { VEC(EntryRequest) at; } Entries;
typedef struct {
    Module   lowered, final;              /* graphs as lowered, and after the passes; the rest is the session's */
    Planned  planned;
    Fit      fit;                         /* what --max-memory took */
    Code    *code;                        /* NULL until compile_load */
    Arena   *code_arena;
    double  *pass_seconds, fuse_seconds, code_seconds;
} Compiled;
/* Of a graph after its passes: products, those whose operands are rounded, and to what. */
typedef struct { uint32_t all, rounded; DType type; } Products;
Products precision_products(const Graph *compiled);
/* Of a lowered graph: which products are by Winograd's way, and why others of the same phase are not. */
void winograd_explain(Session *s, const Graph *lowered, FILE *out);
/* Lowers and optimises; false after diagnostics. */
bool compile_graphs(Session *s, const Common *c, uint32_t n, const EntryRequest *entries, Compiled *out);
/* Rewrites the graphs of `compiled` so that their plan keeps to --max-memory, or says why it cannot. */
GrStatus compile_fit(Session *s, const Common *c, Compiled *compiled, const FuseOptions *o, Error *e);   /* fit.c */
/* What was computed again for it: values with their lines, and what that costs. */
void     fit_print(const Session *s, const Compiled *compiled, FILE *out);
/* Fuses the graphs of `compiled` as one more variant ("fused", "unfused", "blas"). */
GrStatus compile_plan(Session *s, const Common *c, Compiled *compiled, const char *variant, Error *e);
/* Makes the code of the kernels of some entries (0: of all) available.  Touches no arena but its own, so one
 * thread may do it while another runs what is there. */
GrStatus compile_load(const Common *c, Compiled *compiled, uint32_t n, const PlanEntry *const *entries, Error *e);
void     compile_close(Compiled *compiled);
/* The text of --time-passes. */
void     compile_times(const Compiled *compiled, const Common *c);

/* One more, unless it is there. */
void entries_add(Arena *a, Entries *entries, EntryRequest r);
/* Those a phase needs: init, its runs in text order, then eval, begin and finish of each objective it trains or
 * validates. */
void phase_entries(const Session *s, uint32_t phase, Entries *out);
/* Those of all phases, or the exports of a file that trains nothing. */
void program_entries(const Session *s, Entries *out);
#endif
