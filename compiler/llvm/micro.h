/* What a caller of a microkernel has to know; the functions themselves are made by emit_micro.c. */
#ifndef GRC_LLVM_MICRO_H
#define GRC_LLVM_MICRO_H
#include <stdbool.h>
#include <stdint.h>

/* chains start from zero | from what the tile holds | so, and only those of the first tile */
typedef enum { MICRO_STORE, MICRO_CONTINUE, MICRO_ALONE } MicroMode;
enum { MICRO_MAX_ACCUMULATORS = 32, MICRO_MAX_VECTORS = 8 };           /* of sixteen; in all, and of columns */
typedef void (*MicroFn)(int64_t k, const float *a, int64_t a_k, const float *b, int64_t b_k, float *t,
                        int64_t blocks, const int64_t (*list)[2], int64_t accumulate);
/* halves: operands are pairs of bf16, in elements of 32 bits */
/* outer x inner tiles that share the columns; 0 x 0: one tile, and two arguments less */
/* edges: columns stand at places; three arguments more, from, places and end, and triples in the list */
/* tail: vectors of a last tile that has fewer, 0 none */
/* apart: from row to row of a; halves: operands are pairs of bf16 */
/* fixed: the steps of k, outer and inner are known, and the arguments are not looked at */
typedef struct {
    unsigned rows, columns, outer, inner, tail;
    bool edges, halves, fixed;
    long long apart, outer_step, inner_step, a_k;
} MicroShape;
#endif
