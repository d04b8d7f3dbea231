/* A contraction as a product of tiles, and where its operands are read from. */
#ifndef GRC_FUSE_PRODUCT_H
#define GRC_FUSE_PRODUCT_H
#include "fuse_parts.h"

/* Where a dim stands: in the operand with rows, in that with columns, in the result. */
enum { IN_A = 1, IN_B = 2, IN_C = 4, PLAIN_M = IN_A | IN_C, PLAIN_N = IN_B | IN_C, PLAIN_K = IN_A | IN_B };
typedef struct {
    uint32_t n;
    uint8_t dim[MAX_DIMS];
    int64_t count;
} DimList;
typedef struct {
    const Contract *c;
    Val operand[2];
    int role[2]; /* of A, B in Contract */
    uint8_t in[MAX_DIMS];
    DimList outer, run[2], k;    /* run: m and n */
    DimList lists;               /* the dims summed over before k: windows, and what stands before them */
    int64_t block[2], panels[2]; /* mr, nr */
    bool pairs;                  /* panels hold pairs of bf16, two points of k in an element */
    bool apart;                  /* A is read where it lies, row by row */
} Product;

/* direct: it lies in memory, as f32 that are rounded when they are read, or taken as they are (DT_F32). */
typedef struct {
    bool direct;
    DType rounds;
    uint32_t bare;   /* the node that rounds, 0 none */
    uint32_t cell;
    int64_t base, stride[MAX_DIMS];
} Lie;

/* Where tiles are read from: `k` and `panel` are the steps along k and from panel to panel, `stride` those of other
 * dims. */
typedef struct {
    uint32_t cell;
    int64_t base, k, stride[MAX_DIMS], panel, row; /* row: from row to row, of A */
    bool packed;
} Feed;

/* product.c */
Product product_of(const Planner *p, Val v, bool single);
/* The columns being places of a window, the last dim of C; `image`: the operand whose places follow them. */
Product product_of_places(const Planner *p, Val v, uint32_t place, int image, bool single);
bool product_wants_pairs(const Planner *p, Val v);   /* of bf16, on a target that multiplies pairs faster */
Lie product_lie(Planner *p, const Product *r, int side);
int64_t product_stride(const Lie *lie, const Contract *c, const DimList *l); /* one for a list of dims, or -1 */
int64_t product_steps(const Product *r);       /* elements of a row of a panel: pairs, or all of k */
int product_pair_dim(const Product *r);        /* the dim of k whose points are paired */
void product_rows(Product *r, int64_t most, int64_t multiple);   /* chooses the rows of a tile anew */
bool product_lies_right(const Product *r, const Lie *lie, int side);
/* Cuts rows so that no tile has fewer than the others, if there is such a number. */
bool product_even(const Planner *p, Product *r);
/* Can tiles read A where it lies, row by row?  Then its rows are cut so. */
void product_apart(Planner *p, Product *r, const Lie *a);
/* The same product with the roles of A and B changed, where that spares turning B; false: it does not. */
bool product_around(Planner *p, const Product *r, Product *out);

/* pack.c */
uint32_t pack_others(const Product *r, int side, uint8_t *dims);   /* dims of the operand outside its run and k */
void pack_split(Emit *e, const Product *r, int side, Index flat, Index *dim_at);   /* a run's place into its dims */
void pack_clip(Kernel *k, uint32_t axis, uint32_t block, int64_t total);
/* Places that lie one run apart, next to it: which dim, and how far apart they are packed. */
typedef struct {
    uint8_t dim;
    int64_t step;
} PackPlaces;
/* The stage that packs one panel: axes k.., places if there are any (not of pairs), then the run; `panel` is its
 * number, `to` where in buffer `out` it begins.  part: the axis that counts pieces of k, or NULL for all of it.  Of an
 * odd sum in pairs the last point has a stage of its own. */
void pack_stage(Emit *e, const Product *r, const Lie *lie, int side, uint32_t panel, const uint32_t *part,
                const PackPlaces *places, Index *dim_at, uint32_t out, Index to);
/* The operand where it lies, or packed by a kernel before the product. */
Feed pack_source(Planner *p, uint32_t group, const Product *r, int side);
DType pack_type(const Product *r);          /* of an element of a panel */

/* contract.c */
/* A product being lowered: its kernel, and where its operands come from. */
typedef struct {
    Emit e;
    uint32_t group;
    const Product *r;
    Feed source[2];
    uint32_t panel[2], tile;      /* head axes of the panels; scratch */
    uint32_t axis_of[MAX_DIMS];   /* of outer dims */
    /* Places side by side in C, of a convolution: one head point makes a tile at each, so that the epilogue reads and
     * writes along them.  side: 1 + the dim, whose axis is cut by side_block */
    uint32_t side, side_axis, side_block;
    bool woven;                   /* few, next to the columns: lanes run along these */
    /* Panels of rows that a head point takes together, since they share their lists; 1, or row_axis counts them and
     * all panels are whole. */
    int64_t rows_near;
    uint32_t row_axis;
    bool across;                  /* rows of a tile are places side by side in C, columns lie apart */
    bool inside;                  /* panels of columns are an axis of the stage, the last */
    Index dim_at[MAX_DIMS];
} Tile;
void tile_begin(Planner *p, uint32_t group, const Product *r, const char *what, Tile *t);
Tile tile_in(Planner *p, uint32_t group, const Product *r, Kernel *k, Unit *u);   /* in a kernel that is there */
void tile_outer(Tile *t);                          /* head axes of the other dims of C */
void tile_lists(const Tile *t, KTile *tile);
uint32_t tile_operand(Emit *e, const Product *r, const Feed *s, int side, const Index *dim_at, Index panel);
/* The tile stage and its epilogue. */
void tile_stages(Tile *t, uint32_t a, uint32_t b, int64_t fixed);
/* What becomes of a tile.  fixed: the number of the row panel where it is constant, else -1 and panel[0] its axis. */
void tile_epilogue(Tile *t, int64_t fixed);

/* direct.c */
/* A convolution read where it lies: its places are columns. */
typedef struct {
    Product r;
    Lie b;
} Direct;
bool direct_product(Planner *p, Val v, bool single, Direct *d);   /* false: it is none */
/* The axes of the head, that of the tiles of a row, and what holds these.  Of pooled rows a window's stand side by
 * side. */
void direct_axes(Tile *t, const Pool *pool);
bool lower_direct(Planner *p, uint32_t group);

/* pool.c */
void pool_epilogue(Tile *t, const Pool *pool, const Sink *sinks, uint32_t n);

/* cuts.c */
bool lower_cuts(Planner *p, uint32_t group, const Product *r, const Lie *b);

/* chain.c */
enum { CHAIN_BLOCK = 64 };   /* chains of a head point */
void lower_chain(Planner *p, uint32_t group);
/* The third role of each window, from the two that are known: 1 + the guard of what is outside, 0 none. */
uint32_t chain_windows(Emit *e, const Contract *c, bool *known, Index *dim_at);

/* depthwise.c */
bool lower_lanes(Planner *p, uint32_t group);   /* false: it is no such sum */
#endif
