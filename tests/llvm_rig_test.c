/* The rig as a check of a test. */
#include "llvm_rig.h"
#include "test.h"

void rig_compare(Arena *a, const Kernel *k, const Math *m, const Plan *plan, uint32_t number, PlanCode code,
                 const char *what, uint64_t seed) {
    Buf differs = buf_make(a);
    if (!rig_same(a, k, m, plan, number, code, seed, &differs))
        test_failed(__FILE__, __LINE__, "for %s: %.*s", what, FSTR(buf_str(&differs)));
}
