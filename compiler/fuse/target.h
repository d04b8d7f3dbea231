/* What products have to know of a processor: how large the tiles of a microkernel are, and which operands it
 * multiplies. */
#ifndef GRC_FUSE_TARGET_H
#define GRC_FUSE_TARGET_H
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *name;
    bool    wide;          /* a register holds sixteen f32, and there are thirty-two of them; else eight and sixteen */
    int64_t rows, sums;    /* of a tile; vectors of sixteen columns that the registers hold as sums */
    bool    pairs;         /* pairs of bf16 are multiplied faster than f32 */
} CpuTarget;
const CpuTarget *cpu_target(const char *name);
const char   *cpu_target_of(const char *cpu);   /* the name of what `--cpu` says: NULL or "host", or "haswell" */
#endif
