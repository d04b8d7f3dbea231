/* Running one kernel twice, by the interpreter and compiled, on the same inputs. */
#ifndef GR_TESTS_LLVM_RIG_H
#define GR_TESTS_LLVM_RIG_H
#include "code.h"

/* with the microkernels they call */
Plan *rig_plan(Arena *a, const Kernel *const *kernels, uint32_t n);
CodeOptions rig_options(const char *cpu, const char *cache_dir);
/* its tiles have a microkernel on that processor, NULL: this one */
bool rig_compilable(const Kernel *k, const char *cpu);
/* False: `what` says which buffer differs and where, or that there was a write outside it. */
bool rig_same(Arena *a, const Kernel *k, const Math *m, const Plan *plan, uint32_t number, PlanCode code,
              uint64_t seed, Buf *what);
/* Has it a meaning at all?  Not when a point reads scratch it has not written, or when it matters which of the points
 * of the head runs first. */
bool rig_defined(Arena *a, const Kernel *k, const Math *m, uint64_t seed);
/* Compiled alone, does it do what the interpreter does, or has it no meaning?  Else `what` says why not. */
bool rig_holds(Arena *a, const Kernel *k, const Math *m, const char *cpu, uint64_t seed, Buf *what);
/* Fails the test when they differ; `what` says what was compiled for (llvm_rig_test.c). */
void rig_compare(Arena *a, const Kernel *k, const Math *m, const Plan *plan, uint32_t number, PlanCode code,
                 const char *what, uint64_t seed);
uint64_t rig_random(uint64_t *state);
#endif
