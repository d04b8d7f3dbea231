/* A position in index form that is c + sum factor[k] * of[k]: `x[2*i + 1]`. */
#ifndef GRF_LANG_AFFINE_H
#define GRF_LANG_AFFINE_H
#include "lower.h"

enum { AFFINE_MAX = 4 };
typedef struct { Dim c; uint32_t n; Index *of[AFFINE_MAX]; int64_t factor[AFFINE_MAX]; } Affine;

bool affine_of(Lower *l, const Expr *e, Affine *out);                           /* false: e is no such sum */
bool affine_extent_known(Lower *l, const Index *i, Span at);                    /* else it is reported */
/* Do all positions of x lie in 0 .. extent-1?  Reported. */
bool affine_fits(Lower *l, const Affine *x, const Item *item, Dim extent);
/* A plain index on a dim: both have the same extent, or this is where the index gets it.  Reported. */
bool affine_plain_fits(Lower *l, Index *i, const Expr *access, const Item *item, Dim extent);
#endif
