/* The blocks of a graph: what a person would draw of it.  A layer is what its parameters go into; a step is what one
 * function, or one named value, does between layers; each loss is one. */
#ifndef GRF_PICTURE_BLOCKS_H
#define GRF_PICTURE_BLOCKS_H
#include "lang.h"

typedef enum { BLOCK_INPUT, BLOCK_LAYER, BLOCK_STEP, BLOCK_LOSS, BLOCK_TOTAL } BlockKind;
typedef struct {
    BlockKind kind;
    Str name;              /* column; path of the layer; function or value; loss */
    Str model;             /* empty: of none, or of several */
    Str with;              /* functions folded into a layer: "relu" */
    Val gives;             /* the value it is there for; {0}: none */
    Span at;
    uint64_t parameters;
    uint64_t *before;      /* bit set of the blocks it needs */
    bool absorbed;         /* another block has its nodes */
} PictureBlock;
typedef struct {
    VEC(PictureBlock) at;
    uint32_t *of;          /* by node: 1 + block; 0 for constants and whatever leads to no result */
} Blocks;
Blocks picture_blocks(Arena *a, const Program *p, const Graph *g);
#endif
