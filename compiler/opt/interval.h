/* Bounds on the whole numbers of a graph (interval.c). */
#ifndef GRC_OPT_INTERVAL_H
#define GRC_OPT_INTERVAL_H
#include "ir.h"

typedef struct { int64_t lo, hi; } Interval;
/* By node; of a node that is neither i32 nor u8 nor bool: everything. */
const Interval *intervals_of(Arena *a, const Graph *g);
#endif
