/* Compiled code of a plan.  code_load makes the functions of some of its kernels (and the microkernels
 * they call) available: from the cache on disk when they are there, which never touches LLVM; otherwise it
 * opens the code generator, compiles what is missing on several threads, links it in memory, and hands the
 * same objects to the cache in the background. One Code serves one plan; calls on one Code are not made at
 * the same time. */
#ifndef GRC_CACHE_CODE_H
#define GRC_CACHE_CODE_H
#include "generator.h"
#include "plan.h"

typedef struct {
    const char *cpu;            /* NULL: this machine; "haswell": AVX2 only */
    bool        sanitize;       /* address checks inside the kernels; such code is not cached */
    bool        perf_map;       /* name the code linked in memory in perf's map file */
    uint32_t    threads;        /* to compile on; 0: one a processor */
    const char *cache_dir;      /* NULL: $XDG_CACHE_HOME/graphc or ~/.cache/graphc; "": no cache */
    uint64_t    cache_bytes;    /* bound of the cache (--cache-size); 0: 256 MiB */
    /* path of libgraphc-llvm.so; NULL: lib/ beside the program's folder or the folder itself */
    const char *generator;
} CodeOptions;
/* since code_create */
typedef struct { uint32_t found, compiled, objects; double compile_ms, load_ms; } CodeStats;

typedef struct Code Code;
GrStatus code_create(Arena *a, const CodeOptions *o, Code **out, Error *e);
/* kernels[i] is the IR of plan->kernels.at[which[i]]; it may be NULL when the function is known to be in
 * the cache. */
GrStatus code_load(Code *c, const Plan *plan, const Kernel *const *kernels, uint32_t n,
    const uint32_t *which, Error *e);
/* by kernel and micro number; valid until the next code_load */
PlanCode code_table(const Code *c);
GrStatus code_text(Code *c, Arena *a, const Kernel *k, GenText what, Str *out, Error *e);
CodeStats code_stats(const Code *c);
void     code_flush(Code *c);                  /* waits until everything compiled so far is in the cache */
void     code_destroy(Code *c);                /* flushes; the functions go; NULL is fine */
#endif
