/* Fusion: from graphs that are differentiated and rewritten to kernels and the plan that launches them. */
#ifndef GRC_FUSE_FUSE_H
#define GRC_FUSE_FUSE_H
#include "kernel.h"

typedef struct {
    bool fused;       /* false: one primitive a kernel, the baseline of `bench` */
    bool blas;        /* unfused, with plain products left to OpenBLAS */
    uint32_t threads; /* how many points a kernel should offer at least */
    const char *cpu;  /* a row of target.c: "avx512-bf16", "avx512", "avx2" */
    bool apart;       /* updates are not folded into the products that make their gradients */
} FuseOptions;

/* Why two values do not share a kernel: rows of refusals.def. */
typedef enum {
#define REFUSAL(id, move, text) REFUSAL_##id,
#include "refusals.def"
#undef REFUSAL
    REFUSAL_COUNT
} RefusalKind;
const char *refusal_move(RefusalKind k); /* which of the five moves it stopped */
const char *refusal_text(RefusalKind k);
typedef struct {
    const Graph *graph;
    Val user, producer;
    RefusalKind why;
} Refusal;

/* What a kernel took in, for `explain`. */
typedef struct {
    const Graph *graph;
    uint32_t kernel, nodes, stages;
    uint64_t saved_bytes; /* of values that never reach memory */
} FusedKernel;

/* A value that lies in a buffer, from its first wave to its last. */
typedef struct {
    const Graph *graph; /* of the value, which may be in the body of a loop */
    Val val;
    bool packed;        /* a copy of it in the order of a product, or sums of its parts */
    uint32_t buffer, entry, first, last;
} Held;

typedef struct Memory Memory;
typedef struct {
    Plan *plan;
    Memory *memory;         /* where the regions end so far: later variants share the persistent ones */
    VEC(Kernel *) kernels;  /* by plan kernel id */
    VEC(FusedKernel) fused; /* beside kernels */
    VEC(Refusal) refusals;
    VEC(Held) held;         /* by entry, in the order of the plan */
} Planned;

/* Plans every graph of the module as an entry point and appends them to `out` (zeroed before the first call;
 * called again it adds another variant over the same persistent buffers).  No `grad` and no `grad_as` may be
 * left, and every `reduce` is one row in the sense of semantics 2; what is not so is reported as
 * GR_UNSUPPORTED. */
GrStatus fuse_module(Arena *a, const Module *m, const FuseOptions *o, Planned *out, Error *e);
/* ---- memory that is asked for ---- */
/* One graph that computes some values again. */
typedef struct {
    const Graph *graph;        /* with the copies */
    VEC(Held) again;           /* originals whose copies the backward pass reads, with the lives they had */
    uint64_t flops, bytes;     /* more than before, in a step */
    uint64_t act_before, act;
} Refit;
typedef struct {
    uint64_t before, reached;  /* bytes of the arena, of the first plan and of the best */
    bool apart;                /* the graphs have to be planned with updates apart */
    VEC(Refit) graphs;
} Fit;
/* Rewrites the graphs of `m` until the arena of their plan takes at most `limit` bytes, by computing again in the
 * backward pass what is cheap to compute for the memory it holds; or as near as can be. */
GrStatus fuse_fit(Arena *a, Module *m, const FuseOptions *o, uint64_t limit, Fit *out, Error *e);
/* What lies in the region `act` when most does: buffers of an entry, largest first. */
typedef struct {
    uint32_t entry, wave;
    uint64_t bytes;
    VEC(Held) held;
} Peak;
Peak plan_peak(Arena *a, const Planned *p);
uint64_t *plan_lives(Arena *a, const Planned *p, uint32_t entry, uint32_t *waves); /* bytes in `act` by wave */

void fuse_explain(const Planned *p, const Module *m, const SourceSet *s, Buf *out);

/* Runs an entry with the kernel interpreter: `arena` holds plan->arena_bytes bytes, 64-byte aligned; columns
 * are in place. BLAS steps are computed by a plain loop.  Gives the health word. */
uint32_t plan_eval(Arena *a, const Planned *p, const PlanEntry *entry, const Math *m, void *arena,
                   const UValue *uniforms);
#endif
