/* The library picks its kernels when it is loaded, and Debian's picks slow ones on some processors it does
 * not know: the core type is named for it, whatever the environment says, so that the comparison is with its
 * best.  Nothing links it: a machine without it loses the comparison only. */
#include "blas.h"
#include <dlfcn.h>
#include <stdlib.h>

typedef void Sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                   int lda, const float *b, int ldb, float beta, float *c, int ldc);
enum { CBLAS_ROWS_FIRST = 101, CBLAS_AS_IT_IS = 111, CBLAS_TRANSPOSED = 112 };

struct Blas { Sgemm *sgemm; };

static const char *core_type(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? "SkylakeX" : "Haswell";
}

GrStatus blas_open(Arena *a, uint32_t threads, Blas **out, Error *e) {
    *out = NULL;
    setenv("OPENBLAS_CORETYPE", core_type(), 1);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fail(e, GR_UNSUPPORTED, "OpenBLAS could not be opened: %s", dlerror());
        fail_help(e, "only the comparison with OpenBLAS needs it: `apt-get install libopenblas0-pthread`");
        return GR_UNSUPPORTED;
    }
    Sgemm *sgemm = (Sgemm *)dlsym(library, "cblas_sgemm");
    void (*set_threads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
    if (sgemm == NULL || set_threads == NULL) {
        dlclose(library);
        return fail(e, GR_UNSUPPORTED, "`libopenblas.so.0` is not OpenBLAS: it has no `cblas_sgemm` or no "
                    "`openblas_set_num_threads`");
    }
    set_threads((int)threads);
    *out = PUSH(a, Blas, 1);
    (*out)->sgemm = sgemm;
    return GR_OK;
}

static int trans(bool transposed) { return transposed ? CBLAS_TRANSPOSED : CBLAS_AS_IT_IS; }

void blas_product(const Blas *b, const PlanBlas *s, const void *x, const void *y, void *out) {
    b->sgemm(CBLAS_ROWS_FIRST, trans(s->trans_a), trans(s->trans_b), (int)s->m, (int)s->n, (int)s->k, 1.0f, x,
             (int)s->lda, y, (int)s->ldb, 0.0f, out, (int)s->ldc);
}
