/* The kernel IR: what one launch computes.  A kernel has a head (parallel points) and, for each head point, a
 * sequence of stages; a stage is a scalar DAG over its own inner axes.  What is computed (axes, DAG, order of a
 * reduction) is apart from how (vector axis, transposition, grain): dropping the schedule leaves the meaning, and
 * the kernel interpreter ignores it.
 *
 *   kernel @softmax(in %x: f32[4096,1000], out %y: f32[4096,1000])  @ heads.graph:17
 *   head n 4096 grain 8 {
 *     scratch %e: f32[1000]
 *     reduce max over k 1000 vec k      { a = load %x [1000 n + k]; yield a } -> r0
 *     reduce sum over k 1000 vec k      { a = load %x [1000 n + k]; b = sub a r0; c = exp b; store %e [k] c; yield
 *     c } -> r1 map over k 1000 vec k             { a = load %e [k]; b = div a r1; store %y [1000 n + k] b }
 *   }
 *
 * Axes: the head axes come first in `axes`, row-major flattened into points 0..points-1; then the inner axes, each
 * used by the stages that name it.  An axis may be clipped: a blocked axis of extent B inside a head axis h runs
 * while B*h + i < total.
 *
 * Split head (`lanes`): a reduction over the head itself.  The head is one axis n of R rows; the parallel points
 * are then (chunk, lane) pairs p = 16*chunk + lane, and a point runs its rows n = 4096*chunk + lane + 16*q in
 * increasing q; an ACCUM stage combines its value into row p of a partial buffer; a following kernel folds lanes
 * 8,4,2,1 and chunks in a tree (stage FOLD).
 * That is exactly the order of semantics 2, so fusing a column sum into a row kernel changes no bit.
 *
 * The finer points (kernel_eval.c obeys them, kernel_verify.c checks what can be checked):
 *  points   A head point runs the stages in their order.  Scratch and registers hold nothing at its start,
 *           and nothing of it is seen by another point.  Head axes are never clipped, and a split head
 *           clips no axis.  In a split head "point" here means a row; the rows of one (chunk, lane) pair
 *           run one after another.  A pair without rows still writes the identity to its partial rows.
 *  stages   A stage runs the points of its axes in row order, the last axis fastest, and a point's
 *           instructions in their order; the schedule may change that only where it cannot be seen
 *           (kernel_order.c).  clip_by names a head axis, or one that stands earlier in the same stage; in a
 *           row none of the same row.
 *  rows     Reduced axes are flattened over the extents as clipped at this point (so r counts without
 *           holes); a REDUCE is one row however long: two-level orders of semantics 2 are two stages.
 *           CHAIN counts the same way.
 *  results  `out[0]` decides: 0 is "to registers reg, reg+1", else it goes to the accesses (which may use
 *           head and keep axes and no others) and no register is written.  Keep axes need `out`.  MOMENTS
 *           gives the mean, then M2 (out[1] needs to be there when out[0] is); ARGMAX and ARGMIN the
 *           position r, i32.  An empty row: sum +0, product 1, max -inf, min +inf (integers: the ends), any
 *           0, all 1, arg 0, moments 0 0; an empty CHAIN is +0.
 *  moments  chunk: mean = sum / n, then M2 = sum (x - mean)^2, both sums in lanes; chunks merge on the
 *           tree.
 *  ACCUM    sum, prod, max, min, any, all; one access out[0], in which the coefficient of the head axis
 *           multiplies the point number p (not the row).
 *  FOLD     the partial buffer is dense: row p is bufs[b].count / (16 * fold_chunks) elements behind row p
 *           - 1.  The stage's axes are keep axes; results as for REDUCE (no axes and out[0] = 0: the
 *           register).
 *  TILE     points of k count list * k + k: cut at CHUNK as in semantics 3; what lies outside the clipped
 *           part of `out` is not written, and only valid rows and columns of A and B have to lie inside
 *           their buffers (compiled code may read on within ARENA_SLACK).  i = value of m_axis, j of
 *           n_axis; an axis of -1 is 0.
 *           Operands of type i32 hold pairs of bf16, point 2q of a block in the upper and 2q + 1 in the
 *           lower half: element (row, k) lies in the pair at k / 2, a_k and b_k are steps from pair to
 *           pair.  Pairs are multiplied whole, the upper half first: of an odd block the last half of A by
 *           that of B has to be -0, which adds nothing.
 *  types    A load gives, and a store takes, the wide type of the buffer: f32 of f32 f16 bf16, i32 of i32
 *           u8, else its own.
 *  guards   A load or store whose guard is false touches no memory, so its address may lie anywhere then.
 *           The verifier knows guards that are `and`s of lt, le, eq, not between i32 values that are affine
 *           in axes (and in other values). A computed index has to be bounded in sight: clamped by min and
 *           max, or the result of mod.
 *  health   one KBUF_HEALTH buffer (i32, at least 1), used by CHECK, FAULT and commit kernels. */
#ifndef GRC_KERNEL_KERNEL_H
#define GRC_KERNEL_KERNEL_H
#include "ir.h"

enum { LANES = 16, CHUNK = 4096, MIN_ROW = 512 };     /* semantics 2; CHUNK also cuts k in semantics 3 */

typedef enum { KBUF_IN, KBUF_OUT, KBUF_INOUT, KBUF_SCRATCH, KBUF_HEALTH } KBufRole;   /* scratch: private to a thread */
typedef struct { Str name; KBufRole role; DType dtype; int64_t count; } KBuf;         /* linear, `count` elements */
typedef struct { Str name; int64_t extent; int32_t clip_by; int64_t clip_total; } KAxis;
        /* clip_by >= 0: axis number of the block index; runs i < min(extent, clip_total - extent * value(clip_by)) */

/* An element address: base + sum coef[axis] * axis (+ the i32 value `index` * index_coef). In elements. */
enum { MAX_AXES = 24 };
/* index: 1 + instruction, 0 none */
typedef struct { uint32_t buf; int64_t base; int64_t coef[MAX_AXES]; uint32_t index; int64_t index_coef; } KAccess;

/* Instructions of a stage's DAG: the scalar operations, and these. */
#define KOP_LIST(_) \
    _(SCALAR,  "scalar")   /* sop in[] : type */ \
    _(MATH,    "math")     /* fn in[0..1], f32 */ \
    _(LOAD,    "load")     /* access; in[0] = 1 + guard instruction or 0; imm: value where the guard is false; */ \
                           /* narrow types widen (f16, bf16 -> f32, u8 -> i32) */ \
    _(AXIS,    "axis")     /* value of axis number `imm.i`, i32 */ \
    _(UNIFORM, "uniform")  /* output number imm.i of the uniform program: f32 or i32 */ \
    _(REG,     "reg")      /* register number imm.i: a result of an earlier REDUCE, CHAIN or FOLD of this point */ \
    _(WORD,    "word")     /* i32 random word (philox.h): in = element index i32; keys in `random` */ \
    _(STORE,   "store")    /* access, in[0] value, in[1] = 1 + guard or 0; narrow types are rounded */ \
    _(CHECK,   "check")    /* in[0]: not finite -> health |= imm.i; in[1] = 1 + guard or 0 */ \
    _(FAULT,   "fault")    /* in[0] bool true -> health |= imm.i */
typedef enum {
#define X(id, name) K_##id,
    KOP_LIST(X)
#undef X
    KOP_COUNT
} KOp;
/* seed.. : 1 + instruction (i32) in this stage */
typedef struct { uint32_t stream; uint32_t seed, clock, phase, iteration; } KRandom;
typedef struct {
    uint8_t  kop, op, type;        /* op: SOp or MathFn */
    uint32_t in[3];                /* instructions of the same stage (plain numbers) */
    Imm      imm;
    uint32_t access;               /* index into Kernel.accesses */
    KRandom  random;
    uint32_t node;                 /* graph node it came from, for explain and errors */
} KInst;

/*  MAP     runs its DAG for all points of its axes (stores do the work)
 *  REDUCE  `keep` axes first, then the reduced ones, flattened in their order as one row of semantics 2 (lanes,
 *          chunks, tree); yields 1 value (ARGMAX: value -> register i32; MOMENTS: 2 registers).  Without keep axes
 *          the result goes to registers, with keep axes to `out` accesses (over head and keep axes)
 *  CHAIN   `keep` axes, then the reduced ones: acc = fma(a, b, acc) in order, cut at CHUNK points (semantics 3);
 *          yields a, b and a guard (1 + instruction, 0 none): terms whose guard is false are skipped but counted.
 *          Result as REDUCE
 *  TILE    the register-blocked product (below) into scratch
 *  ACCUM   needs a split head: its DAG yields a value for each point of its axes, combined (kind) into row p of `out`
 *  FOLD    out = the fold of a partial buffer: axes are keep axes; reads rows 16*chunks of `in`, lanes 8,4,2,1
 *          then the tree */
typedef enum { STAGE_MAP, STAGE_REDUCE, STAGE_CHAIN, STAGE_TILE, STAGE_ACCUM, STAGE_FOLD } StageKind;

/* One tile of C[m,n] = sum_k A[m,k] B[k,n], k in increasing order: mr rows x nr columns at (i, j) from packed or
 * direct operands:
 *     A element (row r of the tile, k) at a.base + .. + r + a_k * k     rows contiguous: packed [k][mr], or a
 *                                                                       transposed operand as it lies
 *     B element (k, column c)          at b.base + .. + c + b_k * k
 * Rows and columns beyond the matrix are clipped: the tile holds min(mr, M - i*mr) x min(nr, N - j*nr) valid
 * results, row stride nr.  A tile stage may have axes: then it makes a tile at each of their points, one behind the
 * other in `out`.  With lists the sum runs over blocks of k, one for each point of the lists, the last list
 * fastest; each moves A and B.  With `cut` it is a part of that sum: of the range of all points those between two
 * cuts of semantics 3, and B holds them alone, one b_k behind the other, whatever the lists say. */
enum { MAX_LISTS = 6 };
typedef struct {
    int64_t count, a_step, b_step;           /* point u moves A by a_step * u, B by b_step * u */
    /* A window ties u to a place w = (of_axis * axis + of_outer * outer + of_u * u + base) / divide, which moves A by
     * a_place * w, B by b_place * w; a block is left out, but counted, unless the quotient is whole and
     * 0 <= w < places.  Columns stand at places of their own, side by side: that of column j of the matrix is
     * w = j + of_u * u + base, which moves B by of_u * u + base, and a block is left out of columns that have none. */
    bool     window, columns;
    int32_t  axis, outer;                    /* of the head or the stage; outer may be -1 */
    int64_t  of_axis, of_outer, of_u, base, divide, places, a_place, b_place;
} KList;
typedef struct {
    uint32_t a, b;                 /* accesses over the axes of head and stage */
    uint32_t out;                  /* scratch buffer of mr*nr f32 for each point of the stage's axis */
    int64_t  k, a_k, b_k;          /* steps along k */
    int64_t  a_r;                  /* from row to row of A, at least 1 */
    uint8_t  n_lists; KList list[MAX_LISTS];
    uint8_t  mr, nr;               /* rows of the tile, columns (16 or 32) */
    int32_t  m_axis, n_axis;       /* axes i and j, of the head or the stage */
    int32_t  cut;                  /* head axis that counts cuts, -1 none; k divides CHUNK then */
    uint8_t  together;             /* schedule: the stage's last axes, 0 to 2, whose tiles one call makes */
    int64_t  m, n;                 /* whole extents, for clipping */
} KTile;

typedef struct {
    StageKind kind;
    ReduceKind reduce;
    uint8_t  n_keep, n_axes, axis[MAX_RANK * 2];     /* axes in loop order; the last is innermost */
    /* its DAG: Kernel.insts[first .. first+n); `in` count from `first` */
    uint32_t first, n;
    uint32_t yield[3];                               /* REDUCE, ACCUM: value; CHAIN: a, b, 1+guard */
    uint32_t reg;                                    /* first result register */
    uint32_t out[2];                                 /* 1 + access of results, 0 none (registers) */
    /* FOLD: chunks in the partial buffer (access out[1]-1 is its row 0) */
    int64_t  fold_chunks;
    KTile    tile;
    /* schedule */
    int8_t   vec;                                    /* position in axis[] of the vector axis; -1 scalar */
    /* position of the axis that stores run along when it is not `vec`: 16x16 blocks are turned in registers; -1 */
    int8_t   transpose;
    uint8_t  with;                                   /* so many stages behind it join its sweep (sweep.c) */
} Stage;
enum { MAX_SWEEP = 8 };                              /* stages of one sweep */

typedef struct Kernel {
    Arena   *arena;
    Str      name;
    uint32_t n_head;                   /* head axes: axes[0..n_head) */
    bool     lanes;                    /* split head */
    bool     commit;                   /* returns at once when the health word (a KBUF_HEALTH buffer) is not 0 */
    bool     once;                     /* of an entry that takes no batch: better compiled soon than fast */
    int64_t  grain;                    /* head points (or split points) handed out at a time */
    double   cost_ns; uint64_t flops, bytes;
    VEC(KBuf)    bufs;
    VEC(KAxis)   axes;
    VEC(KAccess) accesses;
    VEC(KInst)   insts;
    VEC(Stage)   stages;
    VEC(Span)    spans;
    /* which outputs it reads: K_UNIFORM's imm.i is an index into the program's outputs */
    VEC(uint32_t) uniforms;
    uint32_t n_regs;
} Kernel;
Kernel *kernel_create(Arena *a, Str name);
int64_t kernel_points(const Kernel *k);        /* product of head extents, or 16 * chunks when split */
DType   kernel_wide(DType stored);             /* the type a load of it has */
DType   kernel_yield_type(const Kernel *k, const Stage *s);   /* of the stage's (first) result */
uint32_t kernel_results(const Stage *s);       /* how many registers or accesses it gives: 0, 1, 2 (moments) */
uint64_t kernel_scratch_bytes(const Kernel *k);
/* Does the stage meet what it stores at points that differ in its axes from `from` on?  Then they run one after the
 * other.  And: the first axis whose points run together, by its schedule; the number of its axes when none do. */
bool    kernel_in_order(const Kernel *k, const Stage *s, uint32_t from);
uint32_t stage_lanes_from(const Stage *s);
/* May stage `next` join the sweep of the stages first..next-1?  And: every stage that may joins the one before. */
bool    kernel_may_sweep(const Kernel *k, uint32_t first, uint32_t next);
void    kernel_sweeps(Kernel *k);
int64_t ktile_blocks(const KTile *t);          /* points of its lists */
const KList *ktile_columns(const KTile *t);     /* its list of columns, NULL when there is none */
int64_t ktile_cuts(const KTile *t);            /* parts that semantics 3 cuts its sum into */
bool    ktile_pairs(const Kernel *k, const KTile *t);    /* are its operands pairs of bf16 */
int64_t ktile_steps(const Kernel *k, const KTile *t);    /* elements of an operand in a block: pairs, or k */
int64_t ktile_step(const KTile *t, int32_t axis);        /* how far A moves with an axis of tiles made together */
bool    ktile_together(const Stage *s, int32_t axis);   /* is it one of the axes whose tiles one call makes */
/* The place a window ties point u to where its axes stand there; false: there is none. */
bool    klist_place(const KList *l, int64_t axis, int64_t outer, int64_t u, int64_t *place);
int64_t ktile_last_rows(const KTile *t);       /* rows that the microkernel of the last panel of rows makes */
/* What the map behind a product updates: `n` arrays, the rows of a tile `pitch` elements apart, and in so many steps of
 * k a row of the tile before.  n == 0: it does not, or there are too few steps. */
enum { MAX_UPDATES = 4 };
typedef struct { uint32_t n, access[MAX_UPDATES], steps; int64_t pitch; } KUpdates;
KUpdates kernel_updates(const Kernel *k);
/* Names of the microkernels its tiles call ("mk_f32_14x32", of pairs "mk_bf16_14x32"; "mk_f32_8x16_1x3" makes three
 * tiles, one of "_edges" leaves out columns, "_edges_1" may have one vector of them, one of "_by512" reads rows that
 * lie 512 apart), each once in order of first use: so they stand behind its buffers. */
Str kernel_micro(const Kernel *k, const Stage *s, bool last, Arena *a);    /* last: of the last panel of rows */
uint32_t kernel_micros(const Kernel *k, Arena *a, Str *names /* 2 * stages.n */);
void    kernel_print(const Kernel *k, const SourceSet *s, Buf *out);
Kernel *kernel_parse(Arena *a, const Source *src, Diags *ds);
/* addresses of every load and store proved inside their buffers, SSA, types */
bool    kernel_verify(const Kernel *k, Error *e);
/* The kernel interpreter: the same bits as compiled code, from the meaning alone.  bufs[i] for every non-scratch
 * buffer. */
void    kernel_eval(const Kernel *k, const Math *m, void *const *bufs, const UValue *uniforms, int64_t first,
                    int64_t last);
/* The text that decides identity: without names and spans. */
uint64_t kernel_key(const Kernel *k);

/* What fuse makes of a module (fuse.h): kernels and the plan that launches them. */
#endif
