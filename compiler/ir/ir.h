/* The graph IR: SSA lists of the primitives in ops.def, in topological order, and the module that holds them.
 * A Val names a node (never 0); operands come before their users.  Nodes are appended only; a pass that rewrites builds
 * a new Graph.  Extents are integers.  Tuple nodes (scan, extern, grad, reduce moments) are taken apart by `result`. */
#ifndef GRC_IR_IR_H
#define GRC_IR_IR_H
#include "diag.h"
#include "dtype.h"
#include "functions.h"
#include "plan.h"

typedef enum {
#define OP(name, in, attr, cls, what) OP_##name,
#include "ops.def"
#undef OP
    OP_COUNT
} Op;
typedef enum { CLASS_LEAF, CLASS_ELT, CLASS_VIEW, CLASS_SUM, CLASS_ORDER, CLASS_CONTROL, CLASS_EFFECT } OpClass;
typedef enum { ATTR_NONE, ATTR_ARG, ATTR_CONST, ATTR_AXIS, ATTR_RANDOM, ATTR_AXES, ATTR_SLICE, ATTR_PAD, ATTR_WINDOW,
               ATTR_GATHER, ATTR_REDUCE, ATTR_CUMULATIVE, ATTR_CONTRACT, ATTR_SCAN, ATTR_EXTERN, ATTR_INDEX, ATTR_GRAD,
               ATTR_CHECK, ATTR_COMMIT } AttrKind;
/* In a switch over ops, `CASE_ELEMENTWISE:` stands for all that map an element to an element by a rule of their own
 * (cast, which depends on types, is apart). */
#define CASE_ELEMENTWISE \
    case OP_add: case OP_sub: case OP_mul: case OP_mulz: case OP_div: case OP_idiv: case OP_mod: \
    case OP_neg: case OP_abs: case OP_sign: case OP_min: case OP_max: case OP_sqrt: case OP_rint: \
    case OP_floor: case OP_exp: case OP_expm1: case OP_log: case OP_log1p: case OP_sin: case OP_cos: \
    case OP_tanh: case OP_sigmoid: case OP_erf: case OP_erfc: case OP_pow: case OP_atan2: case OP_lt: \
    case OP_le: case OP_eq: case OP_isnan: case OP_and: case OP_or: case OP_not: case OP_select
const char *op_name(Op op);
OpClass     op_class(Op op);
AttrKind    op_attr(Op op);
int         op_operands(Op op);                 /* -1 for any */
const char *op_what(Op op);
bool        op_parse(Str s, Op *out);
bool        op_scalar(Op op, SOp *out);          /* elementwise op -> scalar operation */
bool        op_math(Op op, MathFn *out);         /* elementwise op -> function of math.def */

typedef struct { uint32_t i; } Val;             /* {0}: none */
static inline bool val_eq(Val a, Val b) { return a.i == b.i; }

/*  kind       text   what the id is */
#define ARG_LIST(_) \
    _(VAR,     "var",     "a persistent variable: Module.vars") \
    _(COLUMN,  "column",  "a column of the batch: Graph.columns; leading axis = rows") \
    _(UNIFORM, "uniform", "a scalar computed once a step: output of Module.uniforms") \
    _(BODY,    "body",    "input number id of a scan body")
typedef enum {
#define X(id, name, what) ARG_##id,
    ARG_LIST(X)
#undef X
} ArgKind;

#define REDUCE_LIST(_) _(SUM, "sum") _(PROD, "prod") _(MAX, "max") _(MIN, "min") _(ANY, "any") _(ALL, "all") \
    _(ARGMAX, "argmax") _(ARGMIN, "argmin") _(MOMENTS, "moments")
typedef enum {
#define X(id, name) REDUCE_##id,
    REDUCE_LIST(X)
#undef X
    REDUCE_COUNT
} ReduceKind;

#define RANDOM_LIST(_) _(WORD, "word")   /* i32: 32 random bits */ \
    _(UNIFORM, "uniform")                /* f32 in [0,1) */ \
    _(NORMAL, "normal")                  /* f32, inverse error function of one word */
typedef enum {
#define X(id, name) RANDOM_##id,
    RANDOM_LIST(X)
#undef X
} RandomKind;

/* contract: named dims, small integers.  A dim is plain (its id stands in two or three of A, B, C) or takes one of
 * the three roles of a window x = stride*o + dilation*t - pad, each role in exactly one of A, B, C (ir.md of the
 * design; docs/ir.md).
 * k runs over `over` in order, the last fastest; terms whose x, o or t lies outside are skipped but counted.
 * `rounded` and `winograd` are inherited by the contractions of the gradient; opt_precision makes casts of the one;
 * the other is a wish that lasts until the stage `grad` is done (compiler/grad/winograd.h). */
enum { MAX_DIMS = 24, MAX_WINDOWS = 3 };
typedef struct { uint8_t x, o, t; int32_t stride, dilation, pad; } Window;
typedef struct {
    uint8_t n_dims, n_windows, n_over;
    uint8_t rounded;                             /* DType that operands are rounded to first; DT_F32: they are not */
    bool winograd;
    uint8_t rank[3], dim[3][MAX_RANK];           /* of A, B, C: the dims in storage order */
    uint8_t over[MAX_RANK * 2];
    Window  window[MAX_WINDOWS];
    int64_t extent[MAX_DIMS];
} Contract;

typedef struct Graph Graph;
typedef struct {
    const Graph *body;       /* inputs: carries, one step of each sequence, constants; results: carries, collected */
    uint32_t n_carries, n_sequences, n_collected;
    int64_t  length;
    bool     reverse;        /* step t runs from length-1 down to 0; collected[t] stays at t */
} Scan;

/* A function of the user's.  Its gradient, another one, takes (operands.., results.., cotangents of the float
 * results..) and gives the cotangents of the float operands, with the same batch and extents. */
typedef struct { DType dtype; Shape shape; } Type;
typedef struct {
    Str library, symbol;
    Str gradient;                   /* empty: `nograd`, or it cannot be differentiated */
    bool nograd;                    /* cotangents stop on purpose */
    uint8_t batch;                  /* leading axes, of all operands and results: a call for each point */
    uint32_t n_extents, n_results;
    const int64_t *extents;         /* passed behind the tensors */
    const Type *results;            /* with the batch axes */
} Extern;

typedef union {
    struct { ArgKind kind; uint32_t id; } arg;
    Imm constant;                                               /* f for floats, i for the rest */
    uint8_t axis;                                               /* iota, concat */
    struct { RandomKind kind; uint32_t stream; } random;
    struct { uint8_t n; uint8_t at[MAX_RANK]; } axes;           /* broadcast, permute */
    struct { int64_t lo[MAX_RANK], step[MAX_RANK]; } slice;     /* extents are the node's */
    struct { int64_t lo[MAX_RANK], hi[MAX_RANK]; Imm value; } pad;
    struct { uint8_t axis; int64_t stride, dilation, pad; Imm value; } window;
    /* batch: leading equal axes; extent of the indexed axis */
    struct { uint8_t batch; int64_t extent; } gather;
    struct { ReduceKind kind; uint8_t n; uint8_t at[MAX_RANK]; } reduce;
    ReduceKind cumulative;                                      /* sum, prod, max, min */
    const Contract *contract;
    const Scan *scan;
    const Extern *external;
    uint32_t index;                                             /* result */
    struct { uint32_t name; } check;                            /* interned: what it is, for messages */
    struct { uint32_t var; } commit;
} Attr;

typedef struct {
    uint8_t  op, dtype;
    Shape    shape;               /* of a tuple: of its member 0 */
    uint32_t first, n;            /* operands: Graph.operands[first .. first+n) */
    Attr     attr;
    Span     span;                /* what the user wrote */
    uint32_t name;                /* interned name of the source value, 0 for none */
} Node;

/* What a graph hands out: losses, metrics' parts, exports.  `kind` decides who reads it. */
#define OUTPUT_LIST(_) \
    _(VALUE,  "value",  "an export, a column, a result of a scan body") \
    _(TOTAL,  "total",  "the weighted total of the losses, f32 []") \
    _(LOSS,   "loss",   "one loss term, unweighted, f32 []") \
    _(WEIGHT, "weight", "the weight of the loss term of the same name, f32 []") \
    _(METRIC, "metric", "a finished metric (in a finish graph)")
typedef enum {
#define X(id, name, what) OUT_##id,
    OUTPUT_LIST(X)
#undef X
} OutputKind;
typedef struct { OutputKind kind; uint32_t name; Val val; } Output;
typedef struct { uint32_t name; DType dtype; Shape shape; } Column;   /* shape with the rows in front */

typedef struct Module Module;
struct Graph {
    Module  *module;
    Arena   *arena;
    /* "vae.train", "vae.eval", "vae.finish", "init", "data.robots", a scan body .. */
    uint32_t name;
    int64_t  rows;                       /* batch extent this graph was built for, 0 when it has none */
    VEC(Node)   nodes;                   /* nodes.at[0] is unused */
    VEC(Val)    operands;
    VEC(Output) outputs;
    VEC(Column) columns;
    VEC(Val)    effects;                 /* check and commit nodes, in order */
    uint32_t   *table; uint32_t table_cap; /* value numbering */
};

/* A persistent variable.  Its initial value is committed by the graph "init". */
#define VAR_LIST(_) _(PARAM, "param") _(STATE, "state") _(OPTIM, "optim") _(METRIC, "metric")
typedef enum {
#define X(id, name) VAR_##id,
    VAR_LIST(X)
#undef X
} VarKind;
/* How a metric variable takes the part of one more batch: part of the plan, since accumulation is a commit too. */
typedef struct {
    VarKind kind; Str path; DType dtype; Shape shape; Span span;
    uint32_t model;      /* interned name of the model a param or state belongs to */
    uint32_t of;         /* optim: 1 + index of its parameter, else 0 */
    bool frozen;
} Var;

struct Module {
    Arena  *arena;
    const SourceSet *sources;
    Intern *names;
    const Math *math;
    VEC(Var)     vars;
    VEC(Graph *) graphs;
    Uniforms    *uniforms;               /* plan.h */
};
Module *module_create(Arena *a, const SourceSet *s, const Math *m);
Graph  *graph_create(Module *m, Str name);                 /* not yet in Module.graphs; bodies of scans never are */

/* ---- building.  Each call value-numbers, so asking twice gives the same Val; shapes are inferred by the op's
 * rule, and a wrong operand is a GR_BUG (the front end has checked).  `at` is the source span given to new
 * nodes. ---- */
typedef struct { Graph *g; Span at; uint32_t name; } Build;
const Node *node_of(const Graph *g, Val v);
Val   operand(const Graph *g, Val v, uint32_t k);
Type  type_of(const Graph *g, Val v);
Type  result_type(const Graph *g, Val tuple, uint32_t index);
/* the general one */
Val   build_node(Build *b, Op op, DType dtype, Shape shape, const Attr *attr, uint32_t n, const Val *in);
Val   build_arg(Build *b, ArgKind k, uint32_t id, Type t);
Val   build_const(Build *b, DType t, double x);            /* rank 0 */
Val   build_splat(Build *b, DType t, double x, Shape s);   /* const + broadcast */
Val   build_iota(Build *b, Shape s, uint32_t axis);
Val   build_random(Build *b, RandomKind k, uint32_t stream, Shape s, Val seed, Val clock, Val phase, Val iteration);
Val   build_elt(Build *b, Op op, uint32_t n, const Val *in);  /* elementwise, equal shapes */
Val   build_1(Build *b, Op op, Val x);
Val   build_2(Build *b, Op op, Val x, Val y);              /* a rank-0 operand is broadcast to the other */
Val   build_select(Build *b, Val c, Val x, Val y);
Val   build_cast(Build *b, DType t, Val x);                /* x itself when it has the type */
Val   build_broadcast(Build *b, Val x, Shape to, const uint8_t *at);
Val   build_broadcast_like(Build *b, Val scalar, Val like);
Val   build_reshape(Build *b, Val x, Shape to);
Val   build_permute(Build *b, Val x, const uint8_t *at);
Val   build_slice(Build *b, Val x, const int64_t *lo, const int64_t *step, Shape to);
Val   build_pad(Build *b, Val x, const int64_t *lo, const int64_t *hi, double value);
Val   build_window(Build *b, Val x, uint32_t axis, int64_t positions, int64_t taps, int64_t stride, int64_t dilation,
                   int64_t pad, double value);
Val   build_concat(Build *b, uint32_t axis, uint32_t n, const Val *in);
Val   build_gather(Build *b, Val x, Val index, uint32_t batch);
Val   build_cumulative(Build *b, ReduceKind k, Val x);     /* these three: along the last axis */
Val   build_recur(Build *b, Val factor, Val term);
Val   build_argsort(Build *b, Val x);
Val   build_after(Build *b, Val x, Val event);
Val   build_scatter_add(Build *b, Val updates, Val index, uint32_t batch, int64_t extent);
/* Of a reduction's attributes and its operand's shape: what it gave, repeated along the axes it reduced; and i32, the
 * place of each element in its row, the last reduced axis fastest, which is what argmax counts. */
Val   build_unreduce(Build *b, Val reduced, const Attr *of, Shape to);
Val   build_row_position(Build *b, const Attr *of, Shape s);
Val   build_reduce(Build *b, ReduceKind k, Val x, uint32_t n, const uint8_t *axes);   /* n == 0: x itself */
Val   build_contract(Build *b, Val x, Val y, const Contract *c);
Val   build_scan(Build *b, const Scan *s, uint32_t n, const Val *in);
Val   build_extern(Build *b, const Extern *x, uint32_t n, const Val *in);
Val   build_result(Build *b, Val tuple, uint32_t index);
Val   build_grad(Build *b, Val s, uint32_t n, const Val *xs);
Val   build_grad_as(Build *b, Val y, Val surrogate);       /* surrogate {0}: stop */
void  build_check(Build *b, Val x, uint32_t name);
void  build_commit(Build *b, uint32_t var, Val x);
void  graph_output(Graph *g, OutputKind k, uint32_t name, Val v);

/* Copy of one graph's live nodes into a new graph, with replacement: how passes rewrite. */
typedef struct { const Graph *from; Graph *to; Val *map; } Copy;   /* map[v.i]: {0} not copied yet */
Copy  copy_begin(Arena *a, const Graph *from);             /* columns copied, nothing else */
Val   copy_val(Copy *c, Val v);                            /* copies what it needs; follows map */
Graph *copy_finish(Copy *c);                               /* outputs and effects */
/* The node's attributes; a scan's with what the pass makes of its body. */
Attr  copy_attr(Arena *a, const Node *n, Graph *(*pass)(Arena *a, const Graph *g));
Contract *contract_new(Arena *a);

/* ---- text, verifier, interpreter ---- */
void   graph_print(const Graph *g, Buf *out);
void   module_print(const Module *m, Buf *out);            /* vars, uniforms, graphs */
Module *module_parse(Arena *a, const Source *src, const SourceSet *s, const Math *m, Diags *ds);   /* NULL on errors */
/* true when every constraint holds; diagnostics name the node */
bool   graph_verify(const Graph *g, Diags *ds);

/* The reference interpreter: one tensor a node, obviously right, obeys docs/semantics.md.  In f64 mode every float
 * is f64 and functions come from libm (finite differences).  Threads cut contractions over m; bits do not depend
 * on them. */
typedef struct { DType dtype; Shape shape; void *data; } Tensor;
typedef struct {
    const Graph *graph;
    Tensor *vars;              /* by var id; commits write here unless a check failed */
    const Tensor *columns;     /* by column id */
    const UValue *uniforms;    /* plan.h: outputs of the uniform program */
    bool f64;
    uint32_t threads;
    uint32_t health;           /* out: HEALTH_* bits (plan.h) */
    /* called for every node but checks and what is in scan */
    void (*seen)(void *user, Val v, const Tensor *t);
    /* the same of the nodes of a body, in each of its turns */
    void (*inside)(void *user, const Graph *body, int64_t turn, Val v, const Tensor *t);
    void *user;                                                /* bodies; t (of a tuple: member 0) lives for the call */
} EvalRun;
GrStatus graph_eval(Arena *a, EvalRun *run, Tensor *outputs /* Graph.outputs.n of them */, Error *e);

/* Why a check found a value that is not finite: the first operation that made one of finite operands, and what
 * they were there.  `graph` is the one that was run or a body in it; node {0}: nothing was found.  An operand
 * that is no tensor has no data. */
enum { BLAME_OPERANDS = 4 };
typedef struct {
    const Graph *graph;
    Val node;
    int64_t turn;              /* of the scan whose body it is; -1 */
    int64_t element;           /* the first that is not finite, in row order */
    Tensor result, in[BLAME_OPERANDS];
} Blame;
/* Runs the graph with the operands of `run` until it knows; variables are written only where no check fails. */
GrStatus graph_blame(Arena *a, EvalRun *run, Blame *out, Error *e);
double   tensor_element(const Tensor *t, int64_t i);
#endif
