/* A sweep as its runs: what sweep_points.c makes of the clauses and sweep.c checks. */
#ifndef GRF_LANG_SWEEP_H
#define GRF_LANG_SWEEP_H
#include "lower.h"

/* Names that are given values together: `x in 1, 2`, `(x, y) in (1, 2), (3, 4)`, the columns of a table, or what
 * is drawn.  value[i * names.n + k] is the k-th name's in the i-th choice, as one would type it. */
typedef struct { VEC(Name) names; uint32_t n; Str *value; bool repeat; } SweepAxis;
typedef VEC(SweepAxis) SweepAxes;

/* The clauses as axes, the first varies slowest; false: reported. */
bool sweep_axes(Lower *l, const Decl *sweep, SweepAxes *out);
#endif
