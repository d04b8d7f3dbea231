/* What the files of the emitter share.  One Emit is one module under construction, owned by one thread;
 * while a kernel is emitted it holds that kernel's function.  A value is an LLVM value whose type says
 * whether it is one element or the sixteen lanes of a block: every helper below takes both and spreads the
 * one over the other where they meet, so the code that walks a stage never asks. */
#ifndef GRC_LLVM_EMIT_H
#define GRC_LLVM_EMIT_H
#include "kernel.h"
#include "micro.h"
#include <llvm-c/Core.h>

typedef LLVMValueRef Value;

/* Where the loops stand on one axis: scalar (i64) + lanes (16 x i32; NULL when all lanes have the same
 * value). */
typedef struct { Value scalar, lanes; } AxisAt;

/* What stages fetch ahead (emit_ahead.c): `access` at the head point that follows, while `stage` runs. */
enum { MAX_AHEAD = 8 };
typedef struct { uint32_t access, stage; } Fetch;
typedef struct {
    uint32_t n;
    Fetch    at[MAX_AHEAD];
    bool     parts;                    /* a part of a long sum asks for what the next one reads (emit_part.c) */
    Value    point[MAX_AXES];          /* head axes of the point that follows */
} Ahead;

typedef struct {
    Arena *arena;
    LLVMContextRef context;
    LLVMModuleRef  module;
    LLVMBuilderRef b;
    const Math    *math;
    bool           sanitize, has_bf16; /* has_bf16: the processor rounds to bf16 and multiplies pairs of it */
    bool           segments;           /* does the function walk rows in segments? */
    LLVMTypeRef    i1, i8, i16, i32, i64, f16, f32, f64, ptr;
    Value          iota;               /* 16 x i32: 0 1 .. 15 */
    /* the kernel */
    const Kernel  *kernel;
    bool           streamed;           /* some store went past the caches: a fence at the end */
    Value          function, uniforms, buffers;
    Value         *buffer;             /* base address of each buffer */
    Value         *uniform;            /* loaded value of each entry of Kernel.uniforms */
    AxisAt        *axis;               /* by axis number of the kernel */
    Value         *reg;
    Value          dummy;              /* a vector of stack: where accesses go that no guard lets through */
    Value          partial_row;        /* split head: which row of a partial buffer the point owns */
    Ahead          ahead;
} Emit;

/* ---- emit_value.c: types, constants, lanes, loops ---- */
LLVMTypeRef emit_type(const Emit *e, DType t);               /* of a value: bool is i1 */
LLVMTypeRef emit_storage(const Emit *e, DType t);            /* of an element in memory */
LLVMTypeRef emit_vector(LLVMTypeRef scalar);                 /* its sixteen lanes */
bool   emit_is_vector(Value v);
LLVMTypeRef emit_shape_like(LLVMTypeRef scalar, Value like); /* scalar, or its lanes when `like` has lanes */
Value  emit_i64(const Emit *e, int64_t x);
Value  emit_i32(const Emit *e, int64_t x);
Value  emit_imm(const Emit *e, DType t, Imm imm);            /* one element */
Value  emit_lanes(const int64_t *at, LLVMTypeRef t);        /* sixteen integer constants */
Value  emit_splat(Emit *e, Value v);                         /* v itself when it has lanes */
void   emit_match(Emit *e, Value *x, Value *y);              /* both scalar or both lanes */
Value  emit_call(Emit *e, const char *intrinsic, LLVMTypeRef *overload, unsigned n_overload, Value *in,
    unsigned n);
Value  emit_local(Emit *e, LLVMTypeRef t, int64_t count, unsigned align);   /* stack of the function, once */
void   emit_attribute(Emit *e, Value function, const char *name);
/* A function of the module that its kernels share, by its name; `body` fills it at its first use. */
Value  emit_helper(Emit *e, const char *name, LLVMTypeRef type, void (*body)(Emit *e, Value function));
Value  emit_at(Emit *e, LLVMTypeRef t, Value base, Value index);
Value  emit_load(Emit *e, LLVMTypeRef t, Value at, unsigned align);
void   emit_store(Emit *e, Value v, Value at, unsigned align);
/* Asks for the line there, which need not exist; near: into the first cache, else into the second. */
void   emit_fetch(Emit *e, Value at, bool near);
void   emit_fetch_to_write(Emit *e, Value at);              /* into the first cache, nobody else having it */
Value  emit_mul_i64(Emit *e, Value x, int64_t by);
Value  emit_min_i64(Emit *e, Value x, Value y);
Value  emit_any(Emit *e, Value v);                           /* bool, lanes or not -> i1 */
LLVMBasicBlockRef emit_block(Emit *e, const char *name);

/* A loop over an i64 that carries values: i = lo, lo + step .. below hi.  After loop_close `carry` holds
 * the last ones. */
enum { MAX_CARRY = 64 };        /* the accumulators of a microkernel are the most */
typedef struct {
    Value i, carry[MAX_CARRY];
    uint32_t n;
    Value lo, hi, step, first[MAX_CARRY];
    LLVMBasicBlockRef before, body, after;
} Loop;
void   loop_open(Emit *e, Loop *l, Value lo, Value hi, int64_t step, uint32_t n, const Value *carry);
void   loop_close(Emit *e, Loop *l, const Value *next);
typedef struct { LLVMBasicBlockRef after; } If;
If     if_open(Emit *e, Value condition);
void   if_close(Emit *e, If f);

/* ---- emit_braid.c: two steps of a loop, instruction by instruction in turns ---- */
typedef struct { LLVMBasicBlockRef block; Value before, first; } Braid;     /* the last instruction of each */
bool   braid_fits(const Emit *e, const Stage *s);
bool   braid_pays(const Emit *e, const Stage *s, int64_t n);   /* in a loop over n elements */
Braid  braid_first(const Emit *e);
void   braid_second(Braid *b);
void   braid_close(Emit *e, const Braid *b);

/* ---- emit_known.c: what is known of a value ---- */
bool   known_number(Value v, bool or_zero);                  /* a constant: no lane is NaN (nor zero) */
double known_least(Value v);                                 /* it is that or more, or NaN; -inf: unknown */
double known_most(Value v);

/* ---- emit_scalar.c: the operations of scalar.def and the lines of math.def ---- */
Value  emit_scalar(Emit *e, SOp op, DType type, DType from, Imm imm, Value a, Value b, Value c);
Value  emit_cast(Emit *e, DType to, DType from, Value v);
Value  emit_line(Emit *e, const SLine *line, const Value *args);
Value  emit_finite(Emit *e, DType t, Value v);               /* bool */

/* ---- emit_random.c ---- */
typedef struct { Value seed, clock, phase, iteration, stream; } Keys;
/* on the stack: words of the last blocks, and which those are */
typedef struct { Value words, group; } Kept;
Value  emit_word(Emit *e, const Keys *k, Value element);
Kept   emit_kept(Emit *e);
void   emit_forget(Emit *e, const Kept *kept);               /* before keys change */
/* sixteen lanes; scalar keys */
Value  emit_word_kept(Emit *e, const Keys *k, const Kept *kept, Value element);

/* ---- emit_dag.c: the DAG of a stage, its levels and its loops ---- */
typedef struct Dag Dag;
struct Dag {
    Emit *e;
    const Stage *s;
    int32_t  vec;              /* number of the vector axis when it is a kept (plain) loop, -1 */
    uint32_t n_loops;          /* plain loops: axes s->axis[0..n_loops) */
    bool     row;              /* one more loop follows, over the other axes flattened */
    bool     row_lanes;        /* .. sixteen elements of it at a time */
    uint32_t depth;            /* n_loops + row: the innermost level */
    uint8_t *level;            /* of each instruction: the loop inside which it is computed */
    Value   *value;            /* of each instruction */
    Value   *address;          /* [level * accesses + access] */
    /* by access: lanes of its offset (16 x i32 or i64), NULL when they share one address */
    Value   *offset;
    int64_t *apart;            /* by access: how far apart the lanes lie, when that is one distance; else 0 */
    Kept    *kept;             /* by instruction: of random words whose keys hold for the whole stage */
    Value    mask;             /* 16 x i1: the lanes that exist; NULL for all */
    bool     stores_apart;     /* the innermost stores wait for dag_stores */
    const Dag *before;         /* of a sweep: the stage whose values come before, NULL */
    /* of rows that are walked at once: the first of them, from whose addresses this one's lie a constant apart; NULL */
    const Dag *beside;
    int64_t  ahead;            /* by how many points of the last kept axis */
    Dag *after;                /* of a sweep: the stage that runs in the same loops, behind this one, NULL */
    void   (*inner)(Dag *g, Value hi);     /* runs the innermost plain loop when it is not a simple one */
    int32_t  turned;           /* number of the axis that accesses run along in turned blocks, -1 */
    /* by instruction: where a turned load or store has its block; NULL for the others */
    Value   *square;
    Value    turn_row;         /* which row of it is computed */
    Value    row_at;           /* the flattened index of the row's element (lane 0), i64 */
};
Dag   *dag_create(Emit *e, const Stage *s, uint32_t n_loops);
Value  dag_extent(Emit *e, uint32_t axis);                   /* what the axis runs to, clipped: i64 */
Value  dag_row_extent(Dag *g);
void   dag_enter(Dag *g, uint32_t level);                    /* computes what belongs to the level */
void   dag_stores(Dag *g);                                   /* the stores that waited */
bool   dag_full_blocks(const Dag *g);                        /* has the innermost plain loop lanes, and no tail? */
/* sets the row's axes to element r, then enters */
void   dag_enter_row(Dag *g, Value r);
/* Do sixteen elements of the row lie apart, because the last of its axes is no multiple of sixteen? */
bool   dag_row_scattered(const Dag *g);
/* .. and are these whole segments, that many at each step? */
bool   dag_row_in_turns(const Dag *g);
int64_t dag_segment_extent(const Dag *g);                    /* of the last axis of the row, unclipped */
/* Elements r .. r+15 of the row, counted from the begin of one segment: all of the last axis. */
void   dag_enter_segment(Dag *g, Value r, Value segment);
Value  dag_tail_mask(Emit *e, Value i, Value hi);             /* 16 x i1: lanes i.. below hi */
void   dag_loops(Dag *g, void (*body)(Dag *g, void *user), void *user);
/* the innermost plain loop, in sixteens */
/* .. in two parts: what is outside the first loop, and one turn of it */
void   dag_begin(Dag *g);
void   dag_turn(Dag *g, Value first);
void   dag_vector_loop(Dag *g, Value lo, Value hi, void (*body)(Dag *g, void *user), void *user);
Dag   *dag_copy(const Dag *g);                               /* the same values so far, then on its own */
int64_t dag_longest_row(const Dag *g);                       /* unclipped */
/* to the stage's access, or its register */
void   dag_put_result(Dag *g, uint32_t which, DType t, Value v);
Value  dag_value(const Dag *g, uint32_t inst);
Value  dag_spread(const Dag *g, Value v);                     /* over the lanes, where the stage has any */
DType  dag_type(const Dag *g, uint32_t inst);
uint32_t dag_operands(const KInst *in, uint32_t out[4]);     /* instructions of the stage that it takes */
/* about how many instructions one pass over its DAG is */
uint32_t stage_weight(const Emit *e, const Stage *s);
/* Is a loop of n elements, n at most, whose body is so many instructions emitted once, masked, and not once for full
 * blocks and once for the tail?  Masks cost a long loop more than a second copy takes to compile. */
bool   emit_once(uint32_t weight, int64_t n);

/* ---- emit_share.c ---- */
Value  share_value(const Dag *g, uint32_t inst);             /* what an earlier DAG of the sweep has; NULL: nothing */

/* ---- emit_lanes.c: loads of lanes that lie apart, or share elements ---- */
enum { LANES_APART = 8 };                                     /* farther apart each lane is a load of its own */
Value  lanes_load_apart(Emit *e, LLVMTypeRef t, Value at, int64_t apart, int64_t n, unsigned align);
Value  lanes_load_each(Emit *e, LLVMTypeRef t, Value at, int64_t apart, int64_t n, unsigned align);
Value  lanes_load_shared(Emit *e, LLVMTypeRef t, Value at, int64_t shared, unsigned align, Value mask);
/* Lanes in runs of two, four, eight at offsets that are constants; NULL: they are not */
Value  lanes_load_runs(Emit *e, LLVMTypeRef t, Value at, Value offset, unsigned align);
/* d when the instruction is the number of the lane's element divided by d, a power of two, plus what is the same for
 * all lanes, and lane 0 is the first on its quotient; else 0 */
int64_t lanes_shared(const Dag *g, uint32_t inst);

/* ---- emit_access.c: memory ---- */
/* moves the address along the loop of the level */
void   access_enter(Dag *g, uint32_t access, uint32_t level);
Value  access_load(Dag *g, const KInst *in);
/* guard NULL: none */
void   access_store(Dag *g, uint32_t access, uint32_t level, Value v, DType type, Value guard);
/* NULL: at its place */
Value  access_load_moved(Dag *g, uint32_t access, uint32_t level, DType type, Value elements);
/* elements a step of the flattened row moves it */
int64_t access_row_step(const Dag *g, const KAccess *a, bool *regular);

/* lanes side by side; mask NULL: all */
Value  access_load_masked(Emit *e, LLVMTypeRef vt, Value at, unsigned align, Value mask);
void   access_store_vector(Emit *e, Value v, Value at, unsigned align, Value mask);
/* as it is stored, sixteen lanes */
Value  access_from_memory(const Dag *g, uint32_t access, DType type, Value v);
Value  access_to_memory(const Dag *g, uint32_t access, DType type, Value v);

/* ---- emit_square.c ---- */
/* Turns a square of 16 x 16 on the stack and stores `rows` rows of it, `across` elements apart; mask of their lanes
 * or NULL. */
void   square_store(Emit *e, DType stored, Value square, Value to, int64_t across, Value mask, Value rows);
/* Fills the square: such rows, loaded and turned. */
void   square_load(Emit *e, DType stored, Value square, Value from, int64_t across, Value mask, Value rows);

/* ---- emit_weave.c: n rows of a square, element (i, l) of which lies at n * l + i ---- */
enum { WOVEN = 8 };                                           /* rows at most */
/* lanes: how many of a row there are, NULL for sixteen */
void   weave_store(Emit *e, DType stored, Value square, Value to, uint32_t n, Value lanes);
void   weave_load(Emit *e, DType stored, Value square, Value from, uint32_t n, Value lanes);

/* ---- emit_ahead.c: inputs of the next head point ---- */
void   ahead_plan(Emit *e);                                  /* before any stage: which one fetches what */
void   ahead_enter(Dag *g, uint32_t level);                  /* part of dag_enter */
bool   ahead_any(const Emit *e);                             /* is the point that follows asked for? */
void   ahead_segment(Dag *g, Value segment);                 /* of a row in segments */
void   ahead_turns(Dag *g, Value r);                         /* .. of which sixteen elements from r on hold some */
void   ahead_turned(Dag *g);                                 /* of the block behind a turned one */

/* ---- emit_part.c: what the next part of a long sum reads ---- */
int64_t part_near_lines(int64_t step);   /* how many steps of so many lines the second cache holds in any case */
bool   part_fetches(const Kernel *k, const Stage *tile);
void   part_fetch(Emit *e, const Stage *tile, Value turn, int64_t turns);   /* its share of one call of `turns` */

/* ---- emit_turn.c: 16 x 16 blocks turned in registers ---- */
Dag   *turn_create(Emit *e, const Stage *s);                 /* NULL: nothing to turn, a plain map */
void   turn_put(Dag *g, uint32_t inst, Value v);
Value  turn_get(const Dag *g, uint32_t inst);

/* ---- the stages ---- */
void   emit_map(Emit *e, const Stage *s);
void   emit_reduce(Emit *e, const Stage *s);                 /* and the stages of its sweep */
bool   pick_fits(Emit *e, const Stage *s);                   /* is it a sum with one term? */
void   emit_pick(Emit *e, const Stage *s);
void   emit_chain(Emit *e, const Stage *s);
void   emit_accum(Emit *e, const Stage *s);
void   emit_accum_clear(Emit *e, const Stage *s);
void   emit_fold(Emit *e, const Stage *s);
/* last: the microkernel of the last panel of rows */
void   emit_tile(Emit *e, const Stage *s, Value microkernel, Value last);

/* ---- emit_combine.c: the states of reductions ---- */
enum { MAX_STATE = 3 };             /* an i32 count, mean, M2 */
/* parts of the state and their types */
typedef struct { ReduceKind kind; DType type; uint32_t n; DType part[MAX_STATE]; } State;
typedef struct { Value part[MAX_STATE]; } Parts;
State  state_of(ReduceKind kind, DType type);
Parts  state_identity(Emit *e, const State *s, bool lanes);
Parts  state_empty(Emit *e, const State *s);                         /* what a row without elements gives */
Parts  state_combine(Emit *e, const State *s, Parts a, Parts b);     /* a stands first */
Parts  state_fold_lanes(Emit *e, const State *s, Parts lanes);       /* 8, 4, 2, 1 -> scalars */
/* the same over n <= 16 separate values */
Parts  state_fold_array(Emit *e, const State *s, Parts *of, uint32_t n);
/* states on the stack */
typedef struct { State state; Value at[MAX_STATE]; LLVMTypeRef type[MAX_STATE]; int64_t n_max; } Chunks;
Chunks chunks_create(Emit *e, const State *s, int64_t n_max, bool lanes);
void   chunks_put(Emit *e, const Chunks *c, Value index, Parts p);
Parts  chunks_get(Emit *e, const Chunks *c, Value index);
Parts  chunks_fold(Emit *e, const Chunks *c, Value n);               /* the first n as a tree by index */

/* ---- emit_along.c: rows that a reduction walks ---- */
enum { MAX_ROWS = 4 * MAX_SWEEP };  /* at once: of each stage of a sweep some */
typedef struct {
    Dag *g;
    State state;
    uint32_t yield;
    bool squares;
    Value mean;
    Value segment, from;         /* of a row in segments: its number, and where in the row it begins; or NULL */
} Row;
Parts  row_element(const Row *w, Value r);                           /* element r of the row, as a state */
/* Elements lo .. hi-1 of each of n rows, lanes along them, folded to one state each; whole: a multiple of sixteen. */
void   row_chunk_along(const Row *w, uint32_t n, Value lo, Value hi, bool whole, Parts *out);

/* ---- emit_folded.c: kernels that update a tile while the next one is summed ---- */
bool   folded_fits(const Kernel *k);
void   emit_folded(Emit *e, Value first, Value last);       /* all head points */

/* ---- emit.c, emit_micro.c ---- */
void   emit_set_point(Emit *e, Value point, Value *at);     /* the head axes of a point */
Value  emit_load_micro(Emit *e, const Stage *s, bool last);  /* of the last panel of rows */
void   emit_kernel(Emit *e, const Kernel *k, const char *symbol);
LLVMTypeRef emit_micro_type(const Emit *e, bool together, bool edges);     /* of more than one tile, or with edges */
/* A tile of f32 without lists, k at most 4096, made where the code stands.  put: called once, emits what runs before
 * steps 0, steps, 2 * steps .. of k, and is given the number of that. */
typedef struct { uint32_t steps; void (*put)(void *user, Value number); void *user; } MicroBetween;
void   emit_micro_here(Emit *e, const KTile *t, Value a, Value b, const MicroBetween *between);
bool   micro_shape(const char *symbol, MicroShape *shape);   /* false: no microkernel is called that */
void   emit_micro(Emit *e, const char *symbol, const MicroShape *shape);
#endif
