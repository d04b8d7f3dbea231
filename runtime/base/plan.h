/* The plan: what the compiler hands to the runtime.  Plain data without pointers into the compiler: one arena of
 * memory with named buffers, kernels by cache key, the variables with their names, the uniform program, and for
 * each entry point a list of steps.
 * plan_print and plan_parse make it text and back.  The runtime asks for plans it does not have through PlanSource. */
#ifndef GR_BASE_PLAN_H
#define GR_BASE_PLAN_H
#include "diag.h"
#include "dtype.h"

enum { SEMANTICS_VERSION = 2 };   /* docs/semantics.md; in cache keys, checkpoints, run records */

/* ---- the uniform program: scalars of settings and counters, f64, once a step (semantics 7) ---- */
#define UOP_LIST(_) \
    _(CONST, "const", 0) _(INPUT, "input", 0) \
    _(ADD, "add", 2) _(SUB, "sub", 2) _(MUL, "mul", 2) _(DIV, "div", 2) _(IDIV, "idiv", 2) _(MOD, "mod", 2) \
    _(NEG, "neg", 1) _(ABS, "abs", 1) _(SIGN, "sign", 1) _(MIN, "min", 2) _(MAX, "max", 2) _(POW, "pow", 2) \
    _(SQRT, "sqrt", 1) _(EXP, "exp", 1) _(LOG, "log", 1) _(SIN, "sin", 1) _(COS, "cos", 1) _(TANH, "tanh", 1) \
    _(FLOOR, "floor", 1) _(RINT, "rint", 1) _(TRUNC, "trunc", 1) \
    _(LT, "lt", 2) _(LE, "le", 2) _(EQ, "eq", 2) _(AND, "and", 2) _(OR, "or", 2) _(NOT, "not", 1) _(SELECT, "select", 3)
typedef enum {
#define X(id, name, n) U_##id,
    UOP_LIST(X)
#undef X
    UOP_COUNT
} UOp;
typedef struct { uint8_t op; uint32_t in[3]; double value; uint32_t input; } UInst;
/* Inputs by name: "setting.beta", and the counters "epoch" "step" "epochs" "steps" "epoch_steps" "batch" (totals
 * as in the language), "rows" (of this batch), "update" (from 1, of the optimiser's own parameters), and for draws
 * "seed" "clock" "phase". */
typedef struct { Str name; bool integer; } UInput;
/* dtype F32 (rounded, flushed) or I32 (truncated) */
typedef struct { Str name; DType dtype; uint32_t inst; } UOutput;
typedef union { float f; int32_t i; } UValue;
typedef struct Uniforms {
    Arena *arena;
    VEC(UInput)  inputs;
    VEC(UInst)   insts;
    VEC(UOutput) outputs;
} Uniforms;
Uniforms *uniforms_create(Arena *a);
uint32_t uniforms_input(Uniforms *u, Str name, bool integer);                     /* instruction; found again by name */
uint32_t uniforms_const(Uniforms *u, double x);
uint32_t uniforms_op(Uniforms *u, UOp op, uint32_t a, uint32_t b, uint32_t c);    /* value-numbered, folds constants */
/* output id; found again by (inst, type) */
uint32_t uniforms_output(Uniforms *u, Str name, DType t, uint32_t inst);
/* no input but those that begin so */
bool     uniforms_reads_only(Arena *scratch, const Uniforms *u, uint32_t inst, const char *prefix);
bool     uniforms_constant(const Uniforms *u, uint32_t inst, double *value);
void     uniforms_run(const Uniforms *u, const double *inputs, double *values /* insts.n */, UValue *outputs);
void     uniforms_print(const Uniforms *u, Buf *out);
struct Text;                                                                       /* text.h */
Uniforms *uniforms_parse(Arena *a, struct Text *t);                                /* check text_ok afterwards */

/* ---- memory ---- */
/*  id       text      what */
#define REGION_LIST(_) \
    _(PARAM,  "param",  "master parameters, contiguous, by path") \
    _(STATE,  "state",  "states of layers") \
    _(OPTIM,  "optim",  "states of optimisers, in the order of their parameters") \
    _(METRIC, "metric", "accumulators over a split") \
    _(PACKED, "packed", "copies of parameters in panel order, kept between steps") \
    _(BATCH,  "batch",  "columns of the batch, filled by the runtime") \
    _(ACT,    "act",    "everything that lives within a step; entry points share it") \
    _(GRAD,   "grad",   "gradients of parameters, in the order of the parameters") \
    _(OUT,    "out",    "outputs, read by the runtime") \
    _(HEALTH, "health", "one word")
typedef enum {
#define X(id, name, what) REGION_##id,
    REGION_LIST(X)
#undef X
    REGION_COUNT
} Region;
/* UNSURE: something is so large that what is made of it may not be finite; see STEP_UNSURE */
enum { HEALTH_NONFINITE = 1, HEALTH_INDEX = 2, HEALTH_UNSURE = 4 };
/* every buffer starts on a line; reads may pass the end by less than the slack */
enum { BUFFER_ALIGN = 64, ARENA_SLACK = 4096 };
/* offset in the arena */
typedef struct { Str name; Region region; DType dtype; Shape shape; uint64_t offset, bytes; } PlanBuffer;

/* ---- variables (parameters, states, optimiser states, metric accumulators) ---- */
/* of: 1 + var of the parameter */
typedef struct { Str path, model, kind; uint32_t buffer; uint32_t of; bool frozen; Span span; } PlanVar;

/* ---- kernels and steps ---- */
/* void kernel(void *const *buffers, const UValue *uniforms, int64_t first, int64_t last, void *scratch): points
 * first..last-1 of its head.
 * Kernels whose `microkernels` are not empty get the addresses of those functions behind the buffers. */
typedef struct { Str name; uint64_t key; uint64_t scratch_bytes; uint32_t first_micro, n_micros; } PlanKernel;
typedef struct { Str symbol; uint64_t key; } PlanMicro;
/* A C function of the user's (native.h); numbers: its extents, then what one call takes or gives of each argument */
typedef struct { Str library, symbol; int64_t calls; uint32_t first_number, n_extents; } PlanExtern;
/* offset in bytes, + loop_stride * iteration of the innermost loop it stands in; `writes`: the kernel stores there
 * (out, inout, health), which is what plan_verify checks waves and commits with. */
typedef struct { uint32_t buffer; int64_t offset, loop_stride; bool writes; } PlanArg;
/*  LAUNCH  a kernel over `points`, handed out `grain` at a time; launches with the same wave number touch nothing
 *          of each other and run together, a barrier stands between waves
 *  LOOP    the next `count` steps run `trips` times (scan); reverse: from the last iteration down
 *  BLAS    a product by OpenBLAS (variant "blas")
 *  EXTERN  a C function of the user's, on one thread: arguments that are read come first
 *  UNSURE  the next `count` steps run only when the health word has UNSURE, which is taken off it behind them
 *  COMMIT  from here on only commit launches: they are skipped when the health word is not 0 */
typedef enum { STEP_LAUNCH, STEP_LOOP, STEP_BLAS, STEP_EXTERN, STEP_UNSURE, STEP_COMMIT } StepKind;
typedef struct { bool trans_a, trans_b; int64_t m, n, k, lda, ldb, ldc; } PlanBlas;
typedef struct {
    StepKind kind;
    uint32_t kernel, wave, first_arg, n_args;
    int64_t  points, grain;
    double   cost_ns;              /* estimated, on one thread: small ones are not cut */
    int64_t  trips; uint32_t count; bool reverse;
    PlanBlas blas;
    uint32_t external;             /* of Plan.externs */
    uint64_t flops, bytes;         /* of one run: roofline */
    uint32_t first_span, n_spans;  /* the source lines it came from */
} PlanStep;
/* a column, or an output, of an entry */
typedef struct { Str name; uint32_t buffer; } PlanBinding;
typedef struct {
    Str name;                      /* "vae.train" "vae.eval" "vae.finish" "vae.begin" "init" "data.fashion" */
    Str variant;                   /* "fused" "unfused" "blas" */
    int64_t rows;
    uint32_t first_step, n_steps, first_column, n_columns, first_output, n_outputs;
} PlanEntry;
typedef struct {
    Arena *arena;
    VEC(PlanBuffer)  buffers;
    VEC(PlanVar)     vars;
    VEC(PlanKernel)  kernels;
    VEC(PlanMicro)   micros;
    VEC(PlanExtern)  externs;
    VEC(int64_t)     numbers;
    VEC(PlanArg)     args;
    VEC(PlanStep)    steps;
    VEC(PlanBinding) bindings;
    VEC(PlanEntry)   entries;
    VEC(Span)        spans;
    Uniforms *uniforms;
    /* regions lie in the order of the list, each starting on the next BUFFER_ALIGN */
    uint64_t region_bytes[REGION_COUNT];
    uint64_t arena_bytes;          /* all regions, aligned, with slack: what is allocated, to the byte */
    uint64_t scratch_bytes;        /* per thread: the largest of its kernels */
} Plan;
Plan *plan_create(Arena *a);
uint64_t plan_region_start(const Plan *p, Region r);   /* REGION_COUNT: the end of the last, without slack */
void  plan_print(const Plan *p, const SourceSet *s, Buf *out);
Plan *plan_parse(Arena *a, const Source *src, Diags *ds);
bool  plan_verify(const Plan *p, Error *e);        /* offsets inside the arena, ids in range, waves without conflicts */
/* Steps behind it that belong to it: the body of a loop, what runs when unsure. */
uint32_t plan_step_body(const PlanStep *s);
/* How often one run of the entry does its step number `step`: the turns of the loops around it; 0 when only unsure. */
int64_t plan_step_runs(const Plan *p, const PlanEntry *e, uint32_t step);
const PlanEntry *plan_entry(const Plan *p, const char *name, int64_t rows, const char *variant);   /* NULL */

/* Compiled code of a plan: one function a kernel, one a microkernel; owned by whoever made it. */
typedef void (*KernelFn)(void *const *buffers, const UValue *uniforms, int64_t first, int64_t last, void *scratch);
typedef struct { const KernelFn *kernels; void *const *micros; } PlanCode;
#endif
