/* The order of semantics 2 for one row: values go in as they come, 4096 make a chunk, a chunk is reduced
 * in sixteen lanes that fold 8, 4, 2, 1, and the chunks fold pairwise by index. */
#ifndef GRC_KERNEL_ROWS_H
#define GRC_KERNEL_ROWS_H
#include "kernel.h"

typedef union { float f; double d; int32_t i; int64_t l; uint8_t b; } Scalar; /* of a wide type */
/* A partial result: of most kinds `value`; of moments also m2 and n; of argmax and argmin also the
 * position. */
typedef struct { Scalar value; float m2; int64_t n, at; } Part;
typedef struct {
    Arena *arena;
    ReduceKind kind;
    DType type;                    /* of the values */
    int64_t n;                     /* values so far */
    void *chunk;                   /* the values of the chunk that is being filled */
    VEC(Part) parts;               /* of the chunks that are full */
} Row;
Row   row_create(Arena *a);        /* one row at a time, used over and over */
void  row_begin(Row *r, ReduceKind kind, DType type);
void  row_push(Row *r, uint32_t n, const void *values);
Part  row_end(Row *r);
void  row_push_lanes(Row *r, void *lanes);   /* sixteen lanes of a chunk that others filled; destroyed */
SOp   reduce_op(ReduceKind k);                        /* of the kinds that are one operation */
Scalar reduce_identity(ReduceKind k, DType type);     /* of those kinds: what an absent element counts as */
#endif
