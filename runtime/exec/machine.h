/* What this machine can do at most: the roofs that kernels are measured against.  Measured once (under 0.3
 * s) and kept in a file. */
#ifndef GR_EXEC_MACHINE_H
#define GR_EXEC_MACHINE_H
#include "error.h"

#define MACHINE_LEVELS(_) _(L1, "L1") _(L2, "L2") _(L3, "L3") _(DRAM, "DRAM")
typedef enum {
#define X(id, name) MACHINE_##id,
    MACHINE_LEVELS(X)
#undef X
    MACHINE_LEVEL_COUNT
} MachineLevel;
/* 1e9 bytes a second; copy counts what it reads and writes */
typedef struct { double read, write, copy; } Bandwidth;
typedef struct {
    uint64_t  identity;                /* processor_identity */
    uint32_t  threads;                 /* of the second figures below; the first are of one thread */
    uint32_t  vector_bits;
    /* what a thread walked over to measure the level */
    uint64_t  bytes[MACHINE_LEVEL_COUNT];
    double    fma_gflops[2];           /* f32, operands in registers */
    double    fma_l1_gflops[2];        /* one operand of each from the first cache */
    double    pairs_l1_gflops[2];      /* so of pairs of bf16; 0: they are not multiplied */
    Bandwidth bandwidth[MACHINE_LEVEL_COUNT][2];
} Machine;

const char *machine_level_name(MachineLevel l);
GrStatus machine_measure(uint32_t threads, Machine *out, Error *e);      /* threads 0: all processors */
/* From the file when it is of this machine and this number of threads, else measured and written (a file
 * that cannot be written is no error; file NULL: always measured). */
GrStatus machine_get(const char *file, uint32_t threads, Machine *out, Error *e);
void     machine_print(const Machine *m, Buf *out);
#endif
