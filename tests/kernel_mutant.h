/* Kernels that are nearly others: what the verifier lets through of them has to mean the same to the interpreter and
 * to the code generator (llvm_mutant_test.c, fuzz_text.c). */
#ifndef GR_TESTS_KERNEL_MUTANT_H
#define GR_TESTS_KERNEL_MUTANT_H
#include "kernel.h"

/* A few changes to the kernel, chosen by the seed; half of the time buffers grow as well, so that more of what comes
 * out is valid.  Nothing is verified. */
void mutant_change(Kernel *k, uint64_t seed);
/* Can it be run by the interpreter in some milliseconds? */
bool mutant_small(const Kernel *k);
#endif
