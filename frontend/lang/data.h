/* One walk over the statements of a data set, which lowers what one stage of its preparation computes.  The first walk,
 * CHECK, finds mistakes and writes the recipe; every later walk meets the same clauses and statistics in the same
 * order, so a number is enough to know one again. */
#ifndef GRF_LANG_DATA_H
#define GRF_LANG_DATA_H
#include "lower.h"

/*  stage        graph of data `d`   what it gives
 *  COLUMNS      data.d              computed columns that are used
 *  ROWS k       data.d.rowsK        values of step k of RecipeData.rows
 *  GROUPS k     data.d.groupsK      what split k keeps together
 *  BEGIN        data.d.begin        accumulators of statistics as they begin
 *  PART k       data.d.partK        a block's part of the statistics of level k, accumulated
 *  FINISH k     data.d.finishK      the statistics of level k from their accumulators: committed, and handed out */
typedef enum { STAGE_CHECK, STAGE_COLUMNS, STAGE_ROWS, STAGE_GROUPS, STAGE_BEGIN, STAGE_PART, STAGE_FINISH } StageKind;
typedef struct { StageKind kind; uint32_t n; } Stage;

/* derived: computed from statistics, not from rows; bound: has its name */
typedef struct { Array value; bool derived, bound; } Statistic;

typedef struct { Str name; DType dtype; int64_t bound; } Typed;  /* a column whose formula has a declared type */

struct DataWalk {
    Lower *l;
    const Decl *decl;
    uint32_t data;
    Stage stage;
    const Index *row;
    const Graph *live;              /* the graph of the walk before: a column it does not need is not read now */
    const bool *live_columns;
    Str statement;                  /* the name being bound, for the names of its statistics */
    uint32_t n_rows, n_splits, n_in_statement;      /* met so far */
    VEC(Statistic) statistics;
    VEC(Typed) typed;
    VEC(uint32_t) drawn;            /* steps whose values are made of draws */
    bool episodes, over;            /* `episodes` has been said; the stage has what it wants */
};


RecipeData *walk_recipe(const DataWalk *w);
/* A column of the block: of the recipe, or `#row` and its kin, which the runtime makes up. */
V     walk_input(DataWalk *w, Span at, Str name, DType t, uint32_t rank, const int64_t *dim);
/* Its value for each row, as an output of this stage. */
void  walk_output(DataWalk *w, Str name, Array x);
/* By node: does a value or an effect of the graph need it? */
bool *walk_live(Arena *a, const Graph *g);

/* ---- data_rows.c ---- */
void  rows_clause(DataWalk *w, const Stmt *s);
void  rows_group(DataWalk *w, const Stmt *s);
V     rows_ahead(Lower *l, const Expr *e, V x, V k, V every, bool window);

/* ---- data_renew.c: rows of `fresh` are new in each epoch, unless draws decide which there are ---- */
bool  renew_draws(const DataWalk *w, Val v);
void  renew_clause(DataWalk *w, Val v, Span at);   /* this value decides */
void  renew_decide(DataWalk *w);                   /* after the walk */

/* ---- data_split.c ---- */
void  split_declare(Lower *l, RecipeData *d, const Stmt *s);

/* ---- statistic.c ---- */
bool  statistic_begin(Lower *l, Name over, Index **row, Array *mask);
V     statistic_reduced(Lower *l, const Expr *e, V v);
bool  statistic_named(const DataWalk *w, Str name);
V     statistic_bound(DataWalk *w, Name name, V v);
bool  statistic_needed(const DataWalk *w, const Array *x);
void  statistic_marks(DataWalk *w);
void  statistic_commit(DataWalk *w, Graph *finish);
V     statistic_field(Lower *l, uint32_t data, Name name);
#endif
