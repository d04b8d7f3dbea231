/* An npy array out of any stream: a file of its own, or an entry of an npz. */
#ifndef GRR_DATA_NPY_H
#define GRR_DATA_NPY_H
#include "reader.h"
#include "stream.h"

typedef struct { DType dtype; Shape shape; } NpyHeader;
GrStatus npy_header(Arena *a, Stream *s, NpyHeader *out);
/* Header and rows, from the start of the stream to its end. */
GrStatus npy_rows(Arena *scratch, Stream *s, Str column, Sink *sink);
/* What stands in front of the elements of an array, as numpy writes it. */
Str npy_header_text(Arena *a, DType t, Shape s);
#endif
