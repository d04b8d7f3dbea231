/* The door of libgraphc-llvm.so: kernels in, machine code out.  Whoever opens the library asks dlsym for
 * GENERATOR_ENTRY and calls it; everything else goes through the table it returns.  Different threads may
 * be in generator_object at once: each call has a context and a target machine of its own.  Results live
 * in the arena that is passed. */
#ifndef GRC_LLVM_GENERATOR_H
#define GRC_LLVM_GENERATOR_H
#include "kernel.h"

enum { GENERATOR_ABI = 1 };
#define GENERATOR_ENTRY "graphc_generator"
/* The last words of a process, written by who may not allocate. */
#define GENERATOR_NO_MEMORY "graphc: out of memory while code is generated\n" \
                            "  help: fewer `--threads` compile with less\n"

/* cpu: NULL or "host", or "haswell" (AVX2) */
typedef struct { const char *cpu; bool sanitize, perf_map; } GenTarget;
/* kernel NULL: the microkernel that `symbol` names */
typedef struct { const Kernel *kernel; const char *symbol; } GenItem;
typedef enum { GEN_TEXT_IR, GEN_TEXT_ASM } GenText;
typedef struct GenLink GenLink;                                    /* code linked in memory */

typedef struct {
    uint32_t abi;
    const char *llvm_version;
    GrStatus (*object)(Arena *a, const GenTarget *t, const GenItem *items, uint32_t n, Str *object, Error *e);
    GrStatus (*text)(Arena *a, const GenTarget *t, const GenItem *items, uint32_t n, GenText what, Str *out,
        Error *e);
    GrStatus (*link_create)(Arena *a, const GenTarget *t, GenLink **out, Error *e);
    GrStatus (*link_add)(GenLink *l, Str object, Error *e);
    GrStatus (*link_find)(GenLink *l, const char *symbol, void **address, Error *e);
    void     (*link_destroy)(GenLink *l);                           /* NULL is fine; the code goes with it */
} Generator;
typedef const Generator *GeneratorEntry(void);
#endif
