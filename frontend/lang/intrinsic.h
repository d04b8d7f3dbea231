/* What the functions of intrinsics.def share: their arguments as they were given, in the order of the table. */
#ifndef GRF_LANG_INTRINSIC_H
#define GRF_LANG_INTRINSIC_H
#include "lower.h"

enum { MAX_ARGS = 8, MAX_REPEATED = 16 };
typedef struct { V at[MAX_ARGS]; uint32_t n_repeated; V repeated[MAX_REPEATED]; } Args;   /* NULL: left out */

/* The array among the arguments; a number becomes rank 0.  Reports. */
bool  intrinsic_array(Lower *l, const Expr *e, V v, Array *out);
/* A dim of `rank`, counted from the end when negative; v NULL: `otherwise`.  Reports. */
bool  intrinsic_dim(Lower *l, const Expr *e, V v, uint32_t rank, int64_t otherwise, uint32_t *out);

/* order.c: each gives its value, or NULL when it has reported. */
#define ORDER(name, args) V order_##name(Lower *l, const Expr *e, const Args *a);
#define INTRINSIC(name, args)
#define ELEMENTWISE(name, op)
#define CAST(name, type)
#define DRAW(name, args)
#define NOT_YET(name)
#include "intrinsics.def"
#undef ORDER
#undef INTRINSIC
#undef ELEMENTWISE
#undef CAST
#undef DRAW
#undef NOT_YET
#endif
