/* From checked source to graph IR.  program_check resolves names, types and shapes of the whole file (library
 * included) and reports every mistake as a diagnostic; lower_graph then builds one graph of the module at a time,
 * for given batch rows. */
#ifndef GRF_LANG_LANG_H
#define GRF_LANG_LANG_H
#include "ir.h"
#include "recipe.h"
#include "syntax.h"

/* -s NAME=VALUE; or of a point of a sweep, which stands before those and gives way to them */
typedef struct { Str name, value; bool point; } SettingArg;
typedef struct Program Program;

/* Never NULL; usable only when diags_errors() is 0.  `files` is the SourceSet the main source was loaded into
 * (library and used files are added to it).  probe looks into files of data; NULL: nobody does. */
Program *program_check(Arena *a, SourceSet *files, const Source *main, uint32_t n_settings, const SettingArg *settings,
                       const Math *math, DataProbe *probe, Diags *ds);
Recipe *program_recipe(Program *p);
Module *program_module(Program *p);
/* A sweep: `clauses` as they stand in `sweep { .. }`, a line each, beside those of the file's sweep `name` ("": alone).
 * A typed clause replaces the file's that gives the same name.  false: reported. */
bool program_sweep(Program *p, Str name, Str clauses, RecipeSweep *out);
/* An expression of series and settings, as behind `best lowest`, in the uniform program; false: reported. */
bool program_criterion(Program *p, Str text, uint32_t *inst);
/* The recipe of another run of the same shape: as it would have it alone, text included. */
void program_take_run(Program *p, const RecipeSweepRun *run);
/* The declaration that a place stands in, by its first word (def, model, objective, optimizer, train) and its name;
 * empty for other places. */
typedef struct { Str word, name; } Enclosing;
Enclosing program_enclosing(const Program *p, Span at);
/* The trees of the file and of what it uses, without places: equal for programs that differ in layout only. */
void    program_print(Program *p, Buf *out);

/* Graphs by name (of the run, "PHASE.OBJ", for TRAIN, else of the objective, data set or export); lowering the same
 * (kind, name, rows) twice gives the same graph.  Every one is added to the module.  The finish graph reads
 * accumulators only, the number of rows included.
 *   LOWER_INIT    "init"           commits the initial value of every variable (all parameters, states, optimiser
 *                                  states)
 *   LOWER_DATA    "data.D"         columns of D computed from raw ones (DATA_BLOCK rows)
 *   LOWER_TRAIN   "PHASE.OBJ.train"  losses, total, grad nodes, optimiser updates, states, accumulators of losses
 *                                    and metrics, checks, commits
 *   LOWER_EVAL    "OBJ.eval"       the same without training: losses and metrics into the accumulators
 *   LOWER_BEGIN   "OBJ.begin"      commits the identities of the accumulators
 *   LOWER_UPDATE  "RUN.update"     with shards: what a step ends with, of the sums of their gradients
 *   LOWER_SAMPLE, LOWER_CONFLICT  "RUN.sample", "RUN.conflict"  a step without its update: what the gradient of each
 *                                  term is, and with CONFLICT the cosines between them; commits nothing
 *   LOWER_FINISH  "OBJ.finish"     outputs: losses, total and metrics over all rows seen since begin
 *   LOWER_EXPORT  "export.NAME"    outputs of an export for `rows` rows
 *   LOWER_PEEK    "OBJ.peek"       what was taken of a program_peek of the same objective and rows */
typedef enum {
    LOWER_INIT, LOWER_DATA, LOWER_TRAIN, LOWER_UPDATE, LOWER_SAMPLE, LOWER_CONFLICT, LOWER_EVAL, LOWER_BEGIN,
    LOWER_FINISH, LOWER_EXPORT, LOWER_PEEK
} LowerKind;
Graph *lower_graph(Program *p, LowerKind kind, Str name, int64_t rows, Diags *ds);   /* NULL after a diagnostic */

/* Every value that has a name on a batch's way through an objective, in the order in which the text binds them. */
typedef struct {
    Str path, type;             /* "vae.x", "encoder.h", "encoder.linear1.w", "vae.b.image"; `real[N, 16]` */
    Str column;                 /* of a batch; empty: no column */
    Span at, call;              /* its name; the call of the model or function it is in, or nothing */
    bool tensor;                /* can be taken; else `type` says what it is */
    bool in_loop;               /* of each turn of a `scan` */
    bool minor;                 /* of the library, or an extent: too much for a list */
} NamedValue;
typedef struct Peek { Graph *graph; VEC(NamedValue) at; struct PeekLower *lower; } Peek;
/* training: as the first phase that trains the objective sees it.  NULL after a diagnostic. */
Peek *program_peek(Program *p, Str objective, bool training, int64_t rows, Diags *ds);
/* One more output of the graph LOWER_PEEK: value i, or the gradient of the total by it; false: it has none. */
bool  peek_take(Peek *p, uint32_t i, bool gradient);
#endif
