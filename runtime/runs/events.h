/* events.out.tfevents.*: what TensorBoard shows of a run. */
#ifndef GRR_RUNS_EVENTS_H
#define GRR_RUNS_EVENTS_H
#include "error.h"

typedef struct Events Events;
typedef struct { Str tag; double x; } EventScalar;
/* bucket i holds the count of values above limits[i - 1] and not above limits[i]. */
typedef struct { double least, most, n, sum, squares; uint32_t buckets; double *limits, *counts; } EventHistogram;

/* A new file in the run's folder: each process that trains has one.  step > 0: the run was resumed there, and what is
 * behind it in older files no longer counts. */
GrStatus events_open(Arena *a, Str run, int64_t step, Events **out, Error *e);
GrStatus events_scalars(Events *v, int64_t step, const EventScalar *at, uint32_t n, Error *e);
GrStatus events_histogram(Events *v, int64_t step, Str tag, const EventHistogram *h, Error *e);
/* png: a whole file, which says its own size. */
GrStatus events_image(Events *v, int64_t step, Str tag, Str png, Error *e);
void     events_close(Events *v);                              /* NULL is fine */
/* Of finite values, in buckets that grow by a tenth from one to the next, on both sides of zero. */
EventHistogram events_count(Arena *a, const float *values, int64_t n);
uint32_t events_crc(const void *bytes, size_t n);              /* CRC-32C */
#endif
