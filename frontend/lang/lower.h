/* What the files of the semantic half share.  One walk over the syntax tree checks and lowers at once: an
 * expression is evaluated to a Value whose type is symbolic (extents are polynomials of batch rows) and, where it
 * is a tensor, to a Val of the graph being built.  A mistake is reported once and gives the poison value, which
 * silences everything made from it.
 *
 * Index form is vmap: an Array carries the indices it depends on as leading dims (`lead`, in order of birth); every
 * rule of whole form looks at the other dims only.  So any function can be called in index form and never notices. */
#ifndef GRF_LANG_LOWER_H
#define GRF_LANG_LOWER_H
#include "hash.h"
#include "lang.h"
#include "strmap.h"

typedef struct Lower Lower;
struct RunFacts;                            /* facts.h */
struct LossFacts;

/* ---- dim.c: extents ------------------------------------------------------------------------------------ */

/* An extent the program does not know: the rows of a batch.  `value` is what this lowering is built for. */
typedef struct {
    uint32_t id; Str name; Span at; int64_t value;
    const char *rows;               /* the counter that it is; NULL: "rows" */
} Extent;
enum { DIM_MAX_FACTORS = 4, MOST_BATCHES = 4 };          /* batches of one objective */
typedef struct { int64_t factor; uint32_t n; const Extent *of[DIM_MAX_FACTORS]; } DimTerm;
typedef struct { uint32_t n; DimTerm *term; } DimPoly;      /* canonical: sorted, no zero terms; 0 has none */
typedef const DimPoly *Dim;                                 /* immutable */
Dim     dim_const(Arena *a, int64_t x);
Dim     dim_of_extent(Arena *a, const Extent *e);
Dim     dim_add(Arena *a, Dim x, Dim y);
Dim     dim_sub(Arena *a, Dim x, Dim y);
Dim     dim_mul(Arena *a, Dim x, Dim y);
/* exactly, y of one term; false when it does not divide */
bool    dim_divide(Arena *a, Dim x, Dim y, Dim *out);
bool    dim_eq(Dim x, Dim y);
bool    dim_known(Dim x, int64_t *out);                     /* no extents in it */
int64_t dim_value(Dim x);                                   /* with the extents' values; saturates */
void    dim_print(Buf *b, Dim x);

/* ---- values -------------------------------------------------------------------------------------------- */

typedef struct { Name name; uint32_t birth; Dim extent; Span extent_at; bool poison; } Index;
    /* extent NULL: not known yet; poison: it never will be, for a mistake elsewhere */

/* in order: what two of them make is the later one */
typedef enum { ELEM_BOOL, ELEM_INT, ELEM_REAL } Elem;

typedef struct {
    Val val; Graph *graph; DType dtype;
    /* the node's axes: n_lead indices, then rank dims */
    uint8_t n_lead, rank;
    const Index *lead[MAX_RANK];
    Dim dim[MAX_RANK];
} Array;

typedef enum {
    VAL_POISON, VAL_DIM, VAL_BOOL, VAL_TEXT, VAL_CHOICE, VAL_UNIFORM, VAL_ARRAY, VAL_LIST, VAL_TUPLE,
    VAL_FUNCTION, VAL_BATCH
} ValueKind;
typedef struct Value Value;
typedef const Value *V;
typedef struct { Str name; V value; Span at; } Given;       /* an argument; name empty: by position */
typedef VEC(Given) GivenVec;
typedef struct Intrinsic Intrinsic;
typedef struct {
    const Decl *decl; const Intrinsic *intrinsic;           /* one of them */
    Str name; Span at;
    Given *given; uint32_t n_given;                         /* of a function that lacks its first argument */
    Str instance;                                           /* path of a named instance, or empty */
    const Decl *follows;                                    /* the copy of decl it is, or NULL */
} Function;
/* prefix: of its columns, where the objective takes several batches */
typedef struct { const Decl *data; uint32_t data_id; Extent *rows; Str prefix; } Batch;

struct Value {
    ValueKind kind;
    Span at;                                                /* what made it, for labels */
    union {
        /* a compile-time integer; real: it came from `/` */
        struct { Dim dim; bool real; } d;
        bool boolean;
        Str  text;                                          /* TEXT (and paths), CHOICE */
        struct { uint32_t inst; Elem elem; } uniform;       /* of Module.uniforms */
        Array array;
        struct { uint32_t n; V *at; Str *names; } list;     /* LIST; TUPLE with names of results */
        const Function *function;
        Batch *batch;
    };
};

/* ---- frames -------------------------------------------------------------------------------------------- */

/* var: 1 + id of the state it is; series: of the metric or loss it is; schedule: 1 + number of its state */
typedef struct { Str name; V value; Span at; uint32_t var; bool extent; Str series; uint32_t schedule; } Binding;
typedef struct { uint32_t n; Binding *at; } Bindings;
typedef enum {
    FRAME_FILE, FRAME_DEF, FRAME_MODEL, FRAME_OBJECTIVE, FRAME_EXPORT, FRAME_OPTIMIZER, FRAME_DATA
} FrameKind;
/* A text with names of its own: the file, the library, and every `use` of another file or run (a file used twice
 * is two of them, with weights and settings of their own). */
typedef struct Scope {
    const AstFile *file;            /* NULL: the library */
    VEC(const Decl *) decls;
    StrMap named;                   /* the first decl of each name that a value may have, counted from 1 */
    Str prefix;                     /* of its settings, weights and data: "" of the main file, "a.", "a.b." */
    Str folder;                     /* its relative paths start here; with the last `/` */
    const struct Scope *parent;     /* the text that uses it; NULL: none */
    const Decl *use;                /* .. and where */
    Str run;                        /* the directory, when it is a run; else empty */
    Str real;                       /* path of the file without links and dots, to find cycles */
} Scope;
typedef struct Frame {
    struct Frame *caller;
    FrameKind kind;
    const Decl *decl;
    const Scope *scope;             /* where its names are looked up */
    Span call_at;
    Str path, stream, model;        /* of weights; of draws; the model the weights belong to (empty: none) */
    Str turn;                       /* "[3]" inside `for` */
    const Decl *follows;            /* in a copy of a model: whose variables these are; else NULL */
    bool training;
    bool refused;                   /* a `require` of it does not hold */
    VEC(Binding) names;             /* bindings.c alone changes which there are, and where */
    StrMap places;                  /* of names, counted from 1, once there are many */
    VEC(Span) broken;               /* statements that did not parse */
    VEC(Index *) indices;           /* bound in the statement being evaluated */
    uint32_t n_ambient;             /* indices the arguments of the call carry */
    const Index *ambient[MAX_RANK];
} Frame;

/* ---- the program and one lowering of it ---------------------------------------------------------------- */

/* its full name is the recipe's */
typedef struct {
    Name name; const Scope *scope; const TypeSyntax *type; RecipeSetting recipe; V value;
    bool read;                      /* by the program, not only by a `require` */
    bool of_data;                   /* what it reads may be rows */
} Setting;
typedef struct { const Expr *expr; V value; } Memo;
typedef struct { Name name; const Expr *reducer; } Closed;
typedef struct { Val val; const Graph *graph; const Expr *call; } Softmax;
typedef struct { const Decl *decl; V value; } Constant;
typedef struct { Name name; Val value, weight, weighted; Span at; bool nograd, poison; } LossTerm;
typedef struct { Name name; V value; bool watch; } MetricTerm;
typedef struct { Name name; const Frame *frame; Str series; } Watch;
typedef struct { Val now; bool read, dirty; } VarNow;
typedef struct { const Decl *follows; uint32_t var, of; } CopyVar;
typedef struct { const Decl *decl; VEC(Name) sites; } CallSites;
/* and how it takes one more batch */
typedef struct { const Decl *objective; uint32_t var; ReduceKind kind; } Accumulator;
typedef struct { LowerKind kind; Str name; int64_t rows; Graph *graph; } Lowered;
typedef struct { uint32_t phase, run; VEC(uint32_t) vars; } Targets;    /* what a run of a phase updates */

typedef struct { const Decl *model; uint64_t parameters; } UnusedModel;
/* What the programs of a sweep's points need not find out again: functions in C that could be asked for rows (path,
 * name and key), and data of modules whose statistics are named. */
typedef struct { Arena *arena; VEC(Str) functions; bool searched; VEC(const Decl *) data; } Found;

struct Program {
    Arena *arena;
    SourceSet *sources;
    Diags *ds;
    const Math *math;
    DataProbe *probe;                       /* NULL: files of data are not looked at */
    Found *found;                           /* shared with programs aside */
    const AstFile *main;
    uint32_t library_lo, library_hi;        /* spans of library text */
    VEC(Scope *) scopes;                    /* the main file, then what it uses */
    Scope library;
    VEC(Setting) settings;
    struct Lower *file;                     /* of the names of the file */
    Module *module;
    StrMap var_places;                      /* of the module's variables by path, counted from 1 */
    Graph *init;
    Recipe *recipe;
    uint32_t n_given; const SettingArg *given;
    VEC(CallSites) call_sites;
    VEC(const Decl *) reached;              /* models whose body a call has reached */
    VEC(const Decl *) trained;              /* models that an objective calls */
    VEC(const Decl *) data_decls;           /* by recipe->data */
    VEC(bool) broken_data;
    bool objective_errors;
    VEC(CopyVar) copies;                    /* follow.c */
    VEC(const Expr *) series;               /* that anything reads: series.c */
    VEC(Accumulator) accumulators;
    VEC(Lowered) lowered;
    VEC(Targets *) targets;
    VEC(UnusedModel) unused;                /* that nothing calls */
    VEC(struct RunFacts *) facts;           /* of the runs that were checked */
};

/* An access `x[s*i + d*j - p]` in a product that may be a contraction: `position` stands for the dim of x. */
typedef struct { Index *position; const Index *of[2]; int64_t factor[2]; int64_t offset; } WindowUse;
typedef VEC(WindowUse) WindowSink;
/* What made an extent, for messages; found by the Dim itself. */
typedef struct { Dim dim; Span at; Str why; } DimOrigin;
typedef struct ScanScope ScanScope;
typedef struct DataWalk DataWalk;           /* data.h */

struct Lower {
    Program *p;
    Arena *a;
    Diags *ds;
    Module *m;
    Build b;                                /* b.g is the graph being built */
    Graph *main_graph;                      /* of this lowering; scan bodies and init differ from it */
    Frame *frame;
    LowerKind kind;
    const Decl *objective;
    const Decl *train;                      /* TRAIN: the phase, its number, and which of its runs; else NULL */
    uint32_t phase, run;
    uint32_t births, next_extent;
    uint32_t depth, n_calls;
    VEC(Constant) constants;
    bool uniform_only;
    bool advancing;                         /* schedules: `<-` says what follows a validation */
    uint32_t n_schedule_states;             /* met so far */
    RecipeSchedules *alarm_states;          /* while the condition of an alarm is lowered */
    VEC(Memo) memo;
    VEC(Softmax) softmaxes;                 /* what calls of `softmax` gave */
    VEC(Closed) closed;                     /* indices of reducers that have ended in this statement */
    V sides[2];                             /* operands of the operation being aligned, for messages */
    WindowSink *sink;
    VEC(DimOrigin) origins;
    ScanScope *scan;
    Peek *peek;                             /* NULL: nobody looks */
    DataWalk *data;                         /* the formulas of a data set are being lowered */
    const Array *draw_like;                 /* initial values: a draw has this shape .. */
    Str draw_path;                          /* .. and belongs to the variable of this path */
    uint32_t optim_of;                      /* 1 + the parameter an optimiser is being lowered for */
    VEC(VarNow) now;                        /* by var id: value at this point of the step */
    VEC(uint8_t) row_axes;                  /* by Val of main_graph: which axes are batch rows */
    VEC(LossTerm) losses;
    VEC(MetricTerm) metrics;
    VEC(Watch) watches;
    VEC(RecipeAlarm) alarms;
};

/* ---- report.c: diagnostics at the place the user wrote ------------------------------------------------- */
Diag *report(Lower *l, DiagKind k, Span at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void  report_label(Lower *l, Diag *d, Span at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void  report_near(Diag *d, const Nearest *n);               /* "did you mean", if anything is near */
V     not_yet(Lower *l, Span at, const char *what);         /* reports, gives poison */
Span  report_site(const Lower *l, Span at);                 /* `at`, or the user's call of the library that holds it */
void  report_origins(Lower *l, Diag *d, const Array *a);    /* how the extents of a were made, where it is known */
bool  in_library(const Program *p, Span at);

/* ---- direction.c: weights kept when things get worse ------------------------------------------------------ */
void  direction_check(Lower *l, const RecipePhase *p, const TrainClause *keep);    /* warns */

/* ---- foreign.c: what other languages call things --------------------------------------------------------- */
bool  foreign_name(Diag *d, Str name);                      /* false: nobody calls anything so */
void  foreign_field(Lower *l, Diag *d, const Expr *base, Str field);

/* ---- twice.c: probabilities where logits are taken ------------------------------------------------------ */
void  twice_remember(Lower *l, const Decl *d, const Expr *call, V result);
void  twice_check(Lower *l, const Decl *d, const Expr *call, V first);      /* warns */

/* ---- value.c ------------------------------------------------------------------------------------------- */
V     value_poison(Lower *l);
V     value_dim(Lower *l, Span at, Dim d);
V     value_int(Lower *l, Span at, int64_t x);
V     value_bool(Lower *l, Span at, bool x);
V     value_text(Lower *l, Span at, ValueKind k, Str s);
V     value_uniform(Lower *l, Span at, uint32_t inst, Elem e);
V     value_number(Lower *l, Span at, double x);            /* a real constant */
V     value_array(Lower *l, Span at, Array a);
bool  value_scalar(V v);                                    /* DIM, BOOL, UNIFORM */
bool  value_elem(V v, Elem *e);                             /* of scalars and arrays */
Elem  dtype_elem(DType t);
DType elem_dtype(Elem e);
bool  value_const_int(V v, int64_t *out);
Str   value_describe(Lower *l, V v);                        /* `real[N, 3]`, `a text`, .. */
Str   array_describe(Lower *l, const Array *a);
uint32_t value_inst(Lower *l, V v);                         /* of a scalar */
Array array_make(Lower *l, Val v, uint32_t n_lead, const Index *const *lead, uint32_t rank, const Dim *dim);
bool  array_from(Lower *l, V v, DType t, Array *out);       /* scalar or array, converted; false: no number */
Array array_cast(Lower *l, Array x, DType t);
Array array_here(Lower *l, Array x);                        /* its value in the graph being built */
Array array_iota(Lower *l, const Index *i);
Shape array_shape(const Array *a);
int   array_lead_of(const Array *a, const Index *i);        /* -1 */
bool  shape_fits(Lower *l, Span at, uint32_t n_lead, const Index *const *lead, uint32_t rank, const Dim *dim);

/* ---- bindings.c, scope.c ------------------------------------------------------------------------------- */
Binding *scope_find(Frame *f, Str name);
void  scope_add(Lower *l, Frame *f, Binding b);
void  scope_bind(Lower *l, Name name, V value);
void  scope_unbind(Lower *l, Str name);
Bindings scope_save(Lower *l);                              /* what is bound now.. */
void  scope_restore(Lower *l, Bindings saved);              /* ..is again all that is */
void  scope_declare(Program *p, Scope *s, const Decl *d);
Index *scope_index(Frame *f, Str name);
bool  scope_is_value(Lower *l, Str name, Span *at);         /* something an index may not be called */
V     scope_name(Lower *l, Name name);                      /* any name; reports */
V     scope_try(Lower *l, Name name);                       /* NULL when nothing has it */
const Scope *scope_of(const Program *p, Span at);           /* the text that holds it */
/* what a scope sees under a name, `a.b` in the module a; NULL: nothing */
const Decl *scope_decl(const Program *p, const Scope *s, Str name);
/* the function that a call in this text names; NULL: none */
const Decl *scope_callee(const Program *p, const Scope *s, const Expr *call);
/* ---- module.c ------------------------------------------------------------------------------------------ */
Scope *module_scope(Program *p, const AstFile *file);       /* a new one */
void  modules_load(Lower *l);                               /* everything that the file uses */
const Scope *module_of_use(const Program *p, const Decl *use);   /* NULL: it could not be read */
bool  module_unread(Lower *l, Str path);                    /* `a.b` where a could not be used */
const Scope *module_named(Lower *l, const Expr *e);         /* e is `a` or `a.b`; NULL: no module */
V     module_value(Lower *l, const Scope *m, const Expr *field);
V     function_value(Lower *l, Span at, Function f);
Frame *frame_push(Lower *l, FrameKind k, const Decl *d, Span call_at);
void  frame_pop(Lower *l);
void  scope_suggest(Lower *l, Diag *d, Str name);
void  scope_suggest_of(Lower *l, Diag *d, const Scope *s, Str name);   /* only what it declares */
V     scope_decl_value(Lower *l, Name name, const Decl *d);

/* ---- walk.c: the syntax tree without meaning ----------------------------------------------------------- */
typedef bool WalkExpr(void *user, const Expr *e);           /* false: do not go into it */
void  walk_expr(const Expr *e, WalkExpr *f, void *user);
void  walk_block(const Block *b, WalkExpr *f, void *user);
bool  walk_mentions(const Expr *e, Str name);
uint32_t walk_call_number(Program *p, const Decl *d, Str name, Span at);   /* from 1 */

/* ---- whole.c: elementwise ------------------------------------------------------------------------------ */
/* to one type of leads and dims; reports */
bool  whole_align(Lower *l, Span op_at, uint32_t n, Array *xs, const Span *at);
V     whole_binary(Lower *l, const Expr *e, BinaryOp op, V x, V y);
V     whole_unary_op(Lower *l, Span at, Op op, V x);        /* of a float function */
V     whole_arith(Lower *l, Span at, Op op, V x, V y);      /* add sub mul min max: of numbers */
V     whole_where(Lower *l, Span at, V c, V x, V y);
V     whole_pow(Lower *l, const Expr *e, V x, V y);
V     whole_cast(Lower *l, Span at, DType t, V x);
/* also carries these indices */
Array array_spread(Lower *l, Array x, uint32_t n_lead, const Index *const *lead);
uint32_t leads_union(const Index **out, uint32_t n, const Index *const *more, uint32_t n_more);

/* ---- uniform.c ----------------------------------------------------------------------------------------- */
V     uniform_binary(Lower *l, const Expr *e, BinaryOp op, V x, V y);      /* two scalars */
bool  uniform_of_op(Op op, UOp *out);
V     uniform_apply(Lower *l, Span at, UOp op, V x, V y, V z);
Val   uniform_val(Lower *l, V v, DType t);                  /* rank 0, in the graph being built */
V     uniform_counter(Lower *l, Name name);                 /* NULL when it is none */
const char *uniform_counter_name(uint32_t i);               /* NULL behind the last */
bool  dim_expr_value(Lower *l, const Expr *e, Dim *out);    /* an extent; reports */
bool  const_expr_value(Lower *l, const Expr *e, const char *what, int64_t lo, int64_t *out);
bool  number_expr_value(Lower *l, const Expr *e, const char *what, uint32_t *inst);    /* a uniform number */

/* ---- expr.c -------------------------------------------------------------------------------------------- */
V     eval(Lower *l, const Expr *e);
bool  eval_array(Lower *l, const Expr *e, Array *out);      /* any number as array, its own type; reports */
bool  eval_condition(Lower *l, const Expr *e, bool *out);   /* compile time; reports */
/* arm, -1 reported */
int   eval_match(Lower *l, V subject, const Expr *of, uint32_t n, const Expr *const *patterns);

/* ---- index.c ------------------------------------------------------------------------------------------- */
V     index_access(Lower *l, const Expr *e);
Index *index_new(Lower *l, Name name);                      /* reports a name in use; NULL then */
void  index_drop(Lower *l, uint32_t n_before);
void  index_infer(Lower *l, const Expr *e);                 /* extents from plain uses */
V     index_form(Lower *l, const Target *t, const Expr *value);   /* the value of `t = value` */
V     index_form_several(Lower *l, const TargetVec *ts, const Expr *value);   /* a tuple, or what is wrong */
bool  index_gather(Lower *l, Array x, uint32_t axis, Array index, Array *out);     /* axis: of the dims */

/* ---- reduce.c, contract.c ------------------------------------------------------------------------------ */
V     reduce_eval(Lower *l, const Expr *e);
V     contract_try(Lower *l, const Expr *sum, uint32_t n, Index *const *over);    /* NULL: it is none */
V     contract_matmul(Lower *l, const Expr *e, V x, V y);
void  product_factors(const Expr *e, const Expr **out, uint32_t *n, uint32_t max);

/* ---- view.c -------------------------------------------------------------------------------------------- */
V     view_as(Lower *l, const Expr *e);
V     view_transpose(Lower *l, const Expr *e, V x);
Array array_reshape(Lower *l, Array x, uint32_t rank, const Dim *dim);
Array array_permute(Lower *l, Array x, const uint8_t *at);  /* of all axes; leads stay in front */

/* ---- intrinsic.c, random.c ----------------------------------------------------------------------------- */
const Intrinsic *intrinsic_find(Str name);
Str   intrinsic_name(const Intrinsic *f);
uint32_t intrinsic_count(void);
const Intrinsic *intrinsic_at(uint32_t i);
V     intrinsic_call(Lower *l, const Intrinsic *f, const Expr *e, const GivenVec *given);
/* the words that this argument takes, a `|` between two; empty when it takes none */
Str   intrinsic_words(const Intrinsic *f, Str argument, uint32_t position);
/* two numbers (or NULL), then `like` (or NULL) */
V     random_draw(Lower *l, const Expr *e, Str name, V const *args);
/* what a draw without arguments has: `like`'s dims (NULL: none) and an index for each around it; val not yet there */
bool  random_type(Lower *l, const Expr *e, V like, Array *out);
Array random_of_type(Lower *l, const Expr *e, Str word, RandomKind k, const Array *t);
Name  call_name(const Expr *e);                             /* of the function, as written */

/* ---- convolve.c, pool.c, resize.c, pad.c: arguments as intrinsics.def lists them; NULL: reported ------- */
V     convolve_forward(Lower *l, const Expr *e, V const *args);
V     convolve_transposed(Lower *l, const Expr *e, V const *args);
V     convolve_per_dim(Lower *l, const Expr *e, V const *args);
V     pool_max(Lower *l, const Expr *e, V const *args);
V     pool_mean(Lower *l, const Expr *e, V const *args);
V     resize_call(Lower *l, const Expr *e, V const *args);
V     resize_upsample(Lower *l, const Expr *e, V const *args);
V     pad_call(Lower *l, const Expr *e, V const *args);

/* ---- type.c: types as patterns ------------------------------------------------------------------------- */
void  type_suggest(Diag *d, Str name);                      /* the type that was meant */
bool  type_element(const TypeSyntax *t, DType *out);        /* base names an element type */
/* binds extents; converted or poison */
V     type_accept(Lower *l, const TypeSyntax *t, V v, Str what, Span decl_at);
bool  type_dims(Lower *l, const TypeSyntax *t, uint32_t *rank, Dim *dim);   /* all known */
/* binds the one unbound name of e; false: differs */
bool  type_solve(Lower *l, const Expr *e, Dim to);

/* ---- call.c -------------------------------------------------------------------------------------------- */
V     call_eval(Lower *l, const Expr *e, const Expr *callee, const ArgVec *args, const Expr *piped);
bool  reducer_named(Str name);
V     call_value(Lower *l, const Expr *e, V f, Str written, const GivenVec *given);
void  function_lacks(Lower *l, Diag *d, V v);               /* help, if v is a function: to name what is given
                                                             * and what is missing */
bool  call_bind(Lower *l, const Expr *e, const ParamVec *params, const GivenVec *given, Frame *f);
bool  call_body(Lower *l, const Decl *d, V *out);           /* in the frame just pushed */

/* ---- external.c: functions in C ------------------------------------------------------------------------- */
void  extern_declare(Lower *l);                             /* types and libraries of all texts */
bool  extern_body(Lower *l, const Decl *d, V *out);         /* in the frame just pushed, arguments bound */

/* ---- stmt.c, scan.c, cell.c ---------------------------------------------------------------------------- */
void  stmt_block(Lower *l, const Block *b);
void  stmt_eval(Lower *l, const Stmt *s);
void  scan_eval(Lower *l, const Stmt *s);
void  repeat_eval(Lower *l, const Stmt *s);                 /* repeat.c; only in data */
bool  scan_collect(Lower *l, const Stmt *s);
Val   scan_capture(Lower *l, Array x);
Val   scan_iteration(Lower *l);
/* what a state is at this point of the body that writes it; false: no loop around here does */
bool  scan_state(Lower *l, uint32_t var, Array *out);
bool  scan_set_state(Lower *l, uint32_t var, Array x);      /* false: not in a loop */
void  cell_param(Lower *l, const Stmt *s);
void  cell_state(Lower *l, const Stmt *s);
void  cell_update(Lower *l, const Stmt *s);
uint32_t cell_find(Lower *l, Str path);                     /* 1 + var, 0 */
void  cell_rename(Lower *l, uint32_t var, Str path);        /* the path stays */
uint32_t cell_var(Lower *l, VarKind k, Str path, DType t, Shape shape, Span at, bool *fresh);
Val   cell_now(Lower *l, uint32_t var);
Array cell_array(Lower *l, uint32_t var, uint32_t rank, const Dim *dim);
void  cell_set(Lower *l, uint32_t var, Val v);
void  cell_write(Lower *l, uint32_t var, Array x);          /* also in the body of a scan */
void  cell_commit(Lower *l);                                /* everything written */
void  cell_init(Lower *l, uint32_t var, const Expr *init, uint32_t rank, const Dim *dim);
uint32_t name_id(Lower *l, Str s);

/* ---- objective.c, metric.c, optimizer.c, reach.c, export.c --------------------------------------------- */
Lower *lower_begin(Program *p, LowerKind kind, Str graph, int64_t rows, Diags *ds);
/* losses and metrics; false: errors */
bool  objective_run(Lower *l, const Decl *d, bool training, int64_t rows);
void  objective_loss(Lower *l, const Stmt *s);
/* outputs of losses and weights; false: there is no loss */
bool  objective_total(Lower *l, Val *total);
V     batch_argument(Lower *l, const Param *p, const Decl *data, uint32_t i, int64_t rows);   /* the i-th */
const char *batch_counter(uint32_t i);                      /* of its rows */
V     batch_column(Lower *l, Batch *b, Name name);
bool  batch_has(const Lower *l, const Batch *b, Str column);
Array column_array(Lower *l, Str name, DType t, const Dim *rows, uint32_t rank, const Dim *dim);
void  metric_accumulate(Lower *l, const Decl *objective, Val total);   /* commits into the accumulators */
/* by node of the main graph: it depends on the batch; its axes that are rows */
typedef struct { const bool *batch; const uint8_t *rows; } RowFacts;
RowFacts metric_rows(Lower *l);
void  metric_begin(Lower *l, const Decl *owner);
/* The same for one value that is no metric but named so: accumulated (to == NULL), or its value over all rows */
/* in `to`, in which `map` (by node of the main graph; may be NULL) tells what is there already. */
bool  metric_cut(Lower *l, const Decl *owner, Name name, Val v, Build *to, Val *map, Val *out);
void  metric_finish(Lower *eval, const Decl *objective, Graph *to, Val total, RecipeObjective *recipe);
/* The parameters that a run updates, by var id, in order; how many.  There is room for all. */
uint32_t optimizer_targets(Lower *l, Val total, uint32_t *out);
void  optimizer_gradients(Lower *l, uint32_t n, const uint32_t *vars, Val total, Val *out);
void  optimizer_step(Lower *l, uint32_t n, const uint32_t *vars, Val *gradients);
void  monitor_metric(Lower *l, const Stmt *s);
void  monitor_watch(Lower *l, const Stmt *s);
void  monitor_alarm(Lower *l, const Stmt *s);
bool  monitor_name_is_new(Lower *l, Name name);             /* reports two of one name */
/* binds what is also a series, for conditions of alarms */
void  monitor_bind(Lower *l, Name name, V v, Str series);
/*  MEAN  of the batch's rows, each by itself;  SUM  of them;  ROWS  they are mixed, first at the node `by` */
typedef enum { MIX_MEAN, MIX_SUM, MIX_ROWS } MixKind;
typedef struct { MixKind kind; Val by; } Mixture;
const Mixture *mixture_losses(Lower *l);                    /* by loss */
/* ---- facts.c, weigh.c: what `check` says of a run -------------------------------------------------------- */
void  facts_losses(Lower *l);                               /* begins them */
void  facts_argument(Lower *l, const Expr *call, const Given *g);   /* of an optimizer */
void  weigh_loss(Lower *l, const LossTerm *t, RowFacts rows, struct LossFacts *out);
double weigh_number(Lower *l, uint32_t inst);               /* with settings and rows as they are, counters 0 */
void  shard_accumulate(Lower *l, uint32_t n, const uint32_t *vars, const Val *gradients);
void  shard_take(Lower *l, uint32_t n, const uint32_t *vars, Val *gradients);
void  shard_check(Lower *l);                                /* refuses losses that mix rows */
void  load_declare(Lower *l, RecipePhase *p, const TrainClause *c);
void  precision_declare(Lower *l, RecipePhase *p, const TrainClause *c);
bool  lower_in_model(const Lower *l);                       /* is what is being lowered written in a model? */
uint8_t precision_of_product(const Lower *l);               /* that is being lowered: DT_F32 when it is not rounded */
void  winograd_declare(Lower *l, RecipePhase *p, const TrainClause *c);
bool  winograd_of_product(const Lower *l);                  /* that is being lowered, if it is a convolution */
/* ---- scaling.c: the loss, and steps left out, of `precision f16`; of others nothing */
Val   scaling_total(Lower *l, Val total);                   /* what is differentiated instead */
bool  scaling_undo(Lower *l, Val *gradient);
typedef struct { Val sound; uint32_t n; VarNow *before; } Scaling;     /* sound: all gradients are finite */
Scaling scaling_begin(Lower *l, uint32_t n, Val *gradients);           /* before the updates: where not, zeros */
void  scaling_end(Lower *l, const Scaling *s);              /* what they wrote, only then */
void  clip_declare(Lower *l, const TrainClause *c);
void  clip_gradients(Lower *l, const Decl *train, uint32_t n, Val *gradients);
Val   gradient_dot(Build *b, Val x, Val y);                 /* sum of the products of their elements */
void  sample_give(Lower *l, Val total, bool conflict);      /* sample.c: the outputs of LOWER_SAMPLE, LOWER_CONFLICT */
void  reach_losses(Lower *l);                               /* a loss that reaches no parameter */
void  reach_vars(Lower *l, Val from, bool *vars);           /* by var id: a gradient gets there */
Lower *export_lower(Program *p, const Decl *d, int64_t rows, Diags *ds);

/* ---- graphs.c, unused.c: NULL after a mistake ----------------------------------------------------------- */
/* `finish`, where there is one, receives what is computed from the accumulators. */
Lower *graphs_eval(Program *p, const Decl *objective, int64_t rows, Graph *finish, RecipeObjective *recipe, Diags *ds);
/* A step of a run of a phase; check: losses and gradients are looked at, too. */
Lower *graphs_train(Program *p, uint32_t phase, uint32_t run, int64_t rows, bool check, Diags *ds);
Lower *graphs_update(Program *p, uint32_t phase, uint32_t run, Diags *ds);    /* what a step with shards ends with */
const Targets *program_targets(Program *p, uint32_t phase, uint32_t run);
void  unused_check(Program *p);                             /* models that no call has reached */
void  unused_warn(Lower *file);                             /* models that nothing trains */

/* ---- peek.c -------------------------------------------------------------------------------------------- */
void  peek_note(Lower *l, Name name, V v);                  /* l->peek is there */

/* ---- schedule.c ---------------------------------------------------------------------------------------- */
V     uniform_expr(Lower *l, const Expr *e);                /* a number that may have series and schedules in it */
void  schedule_state(Lower *l, const Stmt *s);
void  schedule_update(Lower *l, const Stmt *s, const Binding *b);

/* ---- follow.c ------------------------------------------------------------------------------------------ */
void  follow_declare(Lower *l);
V     follow_value(Lower *l, Name name, const Decl *d);
Str   follow_prefix(Lower *l, const Decl *d);               /* of the variables of the copy d */
Str   follow_original(const Lower *l, Str path);            /* what the variable is a copy of; itself outside of one */
void  follow_note(Lower *l, uint32_t var, uint32_t of);
void  follow_step(Lower *l);                                /* the copies, when what they follow is written */

/* ---- series.c ------------------------------------------------------------------------------------------ */
V     series_value(Lower *l, const Expr *e);                /* `val.total` as a number of the program; noted */
bool  series_check(Lower *l, const RecipePhase *p, const Expr *e);     /* the phase measures it; reports */
void  series_check_noted(Lower *l);

/* ---- settings.c, source.c, data.c, train.c, inner.c, pattern.c, library.c, resolved.c ------------ */
void  settings_declare(Lower *l);
V     settings_read(Lower *l, const Scope *s, Str name);
V     settings_value(Lower *l, Str name);                   /* of the frame's own text; NULL: none */
/* true or false with the settings as they are; reports what depends on more; false: reported */
bool  settings_condition(Lower *l, const Expr *e, const char *what, bool *out);
const Setting *settings_find(const Program *p, const Scope *s, Str name);
bool  settings_typed_path(const Program *p, Str path);         /* below the value of a path setting that -s gave */
bool  settings_known(const Program *p, Str name);           /* `latent`, `a.latent` */
const TypeSyntax *settings_type(Lower *l, Str name);        /* NULL: none */
bool  setting_is_no_dim(Lower *l, V v, Span at);            /* reports a run-time setting as an extent */
bool  choice_listed(const TypeSyntax *one_of, Str word);
void  choice_help(Lower *l, Diag *d, const TypeSyntax *one_of, Str word);
/* the same text with other settings, aside: declared, then the rest of the checks */
Lower *program_aside(const Program *p, Arena *a, uint32_t n, const SettingArg *given, Diags *ds);
int64_t program_nominal_rows(const Program *p);             /* of the batch that objectives are checked with */
void  program_rest(Program *p, Lower *file);
void  program_conditions(Lower *file);                      /* the part of it that run-time numbers can fail */
double uniform_now(Lower *l, uint32_t inst);                /* with the settings as they are, counters 0 */
/* the value of -s NAME=VALUE as an expression; NULL reported */
const Expr *setting_override(Lower *l, const SettingArg *s);
void  source_declare(Lower *l, RecipeData *d, const Stmt *from);
bool  source_takes_path(const Expr *call, uint32_t argument);       /* of a reader: no option */
bool  source_gives(const RecipeData *d, Str column);        /* as far as can be told without the files */
/* `x : T = column`, `.. = columns[a:b] as [..]`: c, with its type, becomes that part of a source; false: a formula */
bool  source_part(Lower *l, const RecipeData *d, const Block *b, const Stmt *st, RecipeColumn *c, bool *well);
/* columns against the files that are there; columns that formulas name */
void  source_check(Lower *l, RecipeData *d, const Block *b);
void  data_declare(Lower *l);
uint32_t data_find(Program *p, Str name);                   /* 1 + id; `robots`, `a.robots` */
uint32_t data_of(const Program *p, const Decl *d);          /* 1 + id; 0: the file takes no batch of it */
const Decl *data_decl(Program *p, uint32_t id);
/* has mistakes: nothing is said about its columns */
bool  data_broken(const Program *p, uint32_t id);
const Decl *data_named(Lower *l, const Expr *e);        /* the data set that e is, `d` or `a.d`; NULL: none */
void  data_suggest_split(Diag *diag, const RecipeData *d, Str name);
bool  data_is_read(const RecipeData *d, const Stmt *column);    /* a raw column, also one cut from another */
bool  data_column_type(Lower *l, const Stmt *column, DType *t, uint32_t *rank, Dim *dim, int64_t *bound);
void  data_check(Program *p, uint32_t data);
Graph *data_lower(Program *p, Str stage, Diags *ds);        /* "jaco", "jaco.rows0", ..: data_graph.c */
void  train_declare(Lower *l);
void  inner_declare(Lower *l);                              /* phases inside phases */
/* What each inner phase begins anew: vars that its runs write and no other phase's.  writes: [phase][var] */
void  inner_fresh(Program *p, bool *const *writes, uint32_t n_vars);
bool  pattern_names(const NameVec *patterns, Str path);     /* one of them does */
bool  pattern_freezes(const Lower *l, Str path);            /* a clause of the phase being lowered */
void  pattern_check(Lower *l, const Decl *train);           /* every pattern names something; reports */
bool  train_criterion(Lower *l, const RecipePhase *p, const Expr *score, uint32_t *inst);
/* A number that `-s` or a point gives to phases; false: it is none, or reported. */
bool  train_word(Lower *l, const SettingArg *g, RecipeWord *out);
void  sweeps_declare(Lower *l);
bool  train_is_setting(Program *p, Str name);               /* `epochs`, `probe.batch`, .. */
const Decl *phase_decl(Program *p, uint32_t phase);
void  phase_frame(Lower *l, const Decl *train);             /* for numbers in clauses; frame_pop ends it */
typedef void DefaultInsert(void *user, uint32_t at, Str text);
/* what calls of the library in this declaration leave unsaid */
void  defaults_of_calls(const Program *p, const Decl *in, DefaultInsert *insert, void *user);
void  library_load(Program *p, Diags *ds);
Str   resolved_text(Program *p);
#endif
