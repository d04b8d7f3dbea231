/* What convolutions, pooling and resizing share: numbers a spatial dim, the arithmetic of extents, and telling it. */
#ifndef GRF_LANG_WINDOW_H
#define GRF_LANG_WINDOW_H
#include "lower.h"

/* One spatial dim x = stride*o + dilation*t - pad, t < taps. */
typedef struct { int64_t taps, stride, pad, dilation, extra; bool up; } Window1;

/* `v` as one number for each of n dims: a number is for all of them.  NULL: `otherwise`.  False: reported. */
bool window_numbers(Lower *l, const Expr *e, V v, const char *what, uint32_t n, int64_t least, int64_t otherwise,
                    int64_t *out);
/* stride, pad and dilation of n dims, with 1, 0 and 1 where they are left out */
bool window_steps(Lower *l, const Expr *e, V stride, V pad, V dilation, uint32_t n, Window1 *out);
/* How many windows fit on a dim (up: also one that begins inside and ends behind it); NULL: reported. */
Dim  window_positions(Lower *l, const Expr *e, Dim x, const Window1 *w);
/* The dim whose windows these positions are, plus `extra`; NULL: reported. */
Dim  window_extent(Lower *l, const Expr *e, Dim o, const Window1 *w);
/* x as real, of at least `least` dims; false: reported. */
bool window_operand(Lower *l, const Expr *e, V v, uint32_t least, Array *out);
/* x with `more` dims of room: where 8 would not do, all in front of the last n dims becomes one dim without indices. */
Array window_packed(Lower *l, Array x, uint32_t n, uint32_t more);
/* y with what stands in front of the last n dims of `like` in front of its own last n. */
Array window_unpacked(Lower *l, Array y, const Array *like, uint32_t n);
#endif
