/* OpenBLAS, opened at run time: the products of the variant "blas", which exists to be compared with. */
#ifndef GRR_EXEC_BLAS_H
#define GRR_EXEC_BLAS_H
#include "plan.h"

typedef struct Blas Blas;      /* stays loaded: its threads do not survive being unmapped */

GrStatus blas_open(Arena *a, uint32_t threads, Blas **out,
                   Error *e); /* GR_UNSUPPORTED when it is not installed */
/* c[m,n] = a[m,k] b[k,n], rows first; trans: the operand lies the other way round. */
void     blas_product(const Blas *b, const PlanBlas *shape, const void *x, const void *y, void *out);
#endif
