/* Which addresses an access can have: the proof the verifier asks for. */
#ifndef GRC_KERNEL_RANGE_H
#define GRC_KERNEL_RANGE_H
#include "kernel.h"

__extension__ typedef __int128 Wide;             /* sums of products of 64-bit numbers do not overflow it */
typedef struct { Wide lo, hi; } Range;           /* lo > hi: nothing */
typedef struct StageRanges StageRanges;
/* What is known of the i32 values of a stage; its instructions have been checked. */
StageRanges *stage_ranges(Arena *a, const Kernel *k, const Stage *s);
/* The element numbers the access can reach where the guard (1 + instruction, 0 none) holds, inside the
 * head axes and the first n_axes of the stage, all of which run.  `head`: how far the first axis runs, -1
 * for its extent (ACCUM counts points there). */
Range access_range(const StageRanges *r, const KAccess *access, uint32_t guard, uint32_t n_axes,
                   int64_t head);
#endif
