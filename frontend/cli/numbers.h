/* The numbers of a tensor, for people. */
#ifndef GRF_CLI_NUMBERS_H
#define GRF_CLI_NUMBERS_H
#include "convert.h"

/* Of its finite elements. */
typedef struct { int64_t n, zeros, nan, infinite; double least, most, mean, deviation; } Summary;
Summary summary_of(DType t, const void *at, int64_t n);

/* The beginning of elements first .. first + n - 1, and the line's end. */
void numbers_print_row(DType t, const void *at, int64_t first, int64_t n);
/* The beginning of the first rows along the last dim. */
void numbers_print_first(DType t, const void *at, Shape shape);
#endif
