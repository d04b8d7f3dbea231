/* Elements of files and of graphs into the type a column is stored as.  Nothing is bent to fit: a value that
 * the type or the bound cannot hold is found and named. */
#ifndef GRR_DATA_CONVERT_H
#define GRR_DATA_CONVERT_H
#include "dtype.h"

/* For who only looks at a column of floats: a NaN is let in. */
enum { BOUND_NONE_AT_ALL = -1 };
/* Index of the first element that does not fit, or -1.  bound > 0: integers have to be in [0, bound).  Floats
 * are rounded and flushed; a NaN does not fit, and a fraction fits no integer. */
int64_t convert_elements(DType to, void *out, DType from, const void *in, int64_t n, int64_t bound);
double  element_of(DType t, const void *in, int64_t i);
void    convert_print(Buf *b, DType from, const void *in, int64_t i);
#endif
