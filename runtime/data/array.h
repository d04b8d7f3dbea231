/* Arrays read from files: the whole file checked before any of it is believed. */
#ifndef GRR_DATA_ARRAY_H
#define GRR_DATA_ARRAY_H
#include "dtype.h"
#include "error.h"

/* In row order, little endian; rank 0 has one element. */
typedef struct { DType dtype; Shape shape; void *at; } Array;

/* idx, plain or in gzip.  i8 and i16 become i32. */
GrStatus idx_read(Arena *a, Str path, Array *out, Error *e);
/* npy, versions 1 to 3, little endian, C order: u1 b1 i4 i8 f2 f4 f8. */
GrStatus npy_read(Arena *a, Str path, Array *out, Error *e);
#endif
