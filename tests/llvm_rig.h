/* Running one kernel twice, by the interpreter and compiled, on the same inputs. */
#ifndef GR_TESTS_LLVM_RIG_H
#define GR_TESTS_LLVM_RIG_H
#include "code.h"
#include "test.h"

/* with the microkernels they call */
Plan *rig_plan(Arena *a, const Kernel *const *kernels, uint32_t n);
CodeOptions rig_options(const char *cpu, const char *cache_dir);
/* its tiles have a microkernel */
bool rig_compilable(const Kernel *k);
/* Fails the test when a buffer differs; `what` says what was compiled for. */
void rig_compare(Arena *a, const Kernel *k, const Math *m, const Plan *plan, uint32_t number, PlanCode code,
                 const char *what, uint64_t seed);
uint64_t rig_random(uint64_t *state);
#endif
