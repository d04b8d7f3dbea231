/* C functions of the user's (`extern def`): found in a shared library by name and called through libffi.
 *
 *     void f(const T *input .., U *output .., int64_t extent ..);
 *
 * A call may stand for many: then the tensors hold what each takes and gives one behind the other. */
#ifndef GR_BASE_NATIVE_H
#define GR_BASE_NATIVE_H
#include "dtype.h"
#include "error.h"
#include "plan.h"

typedef struct { DType dtype; int64_t count; } NativePart;   /* what one call takes or gives: elements */
typedef struct {
    Str library, symbol;
    int64_t calls;
    uint32_t n_in, n_parts, n_extents;                       /* inputs, then outputs */
    const NativePart *parts;
    const int64_t *extents;
} NativeCall;
typedef struct Native Native;                                /* a call, ready; of one thread at a time */

/* What it is called with may be another type than C has for it (bf16). */
bool     native_takes(DType t);
/* GR_IO: there is no such file; GR_UNSUPPORTED: it is no library of this machine; GR_DATA: it has no such
 * function.  The library stays loaded. */
GrStatus native_find(Str library, Str symbol, void **out, Error *e);
GrStatus native_open(Arena *a, const NativeCall *c, Native **out, Error *e);
/* tensors: of the inputs, then of the outputs.  Runs in the processor's ordinary float mode and takes nothing
 * from the heap; what comes back obeys semantics 4: no denormals, and a bool is 0 or 1. */
void     native_run(const Native *n, void *const *tensors);

NativeCall native_of_step(Arena *a, const Plan *p, const PlanStep *s);
#endif
