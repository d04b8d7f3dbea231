/* Parallel coordinates: an axis for each thing that varies, a line for each that was tried, through its values.
 * Numbers that are far apart get a logarithmic axis; the last axis says how good a line is. */
#ifndef GRF_PICTURE_PARALLEL_H
#define GRF_PICTURE_PARALLEL_H
#include "error.h"

/* values: by line, NaN where there is none; of an axis of words the number of the word. */
typedef struct { Str name; uint32_t n_words; const Str *words; double *values; } ParallelAxis;
/* order: of the lines, the best one first. */
typedef struct { VEC(ParallelAxis) axes; uint32_t n_lines; const uint32_t *order; bool highest; } Parallel;

GrStatus parallel_write(const Parallel *p, const char *file, Error *e);
#endif
