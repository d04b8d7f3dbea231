/* Values that are computed again instead of being kept, and the search for a plan that fits. */
#ifndef GRC_FUSE_REMAT_H
#define GRC_FUSE_REMAT_H
#include "fuse.h"

/* A graph beside a plan of it. */
typedef struct {
    const Graph *g;
    bool *forward;  /* by node: what the outputs are made of */
    bool *backward; /* what new parameters are made of, and no output */
    bool *stored;   /* lies in memory */
    uint32_t *wave; /* that makes it; of what does not lie in memory, the first that needs it; UINT32_MAX: nobody */
} Timeline;
Timeline remat_timeline(Arena *a, const Graph *g, const Planned *p);
uint32_t *remat_until(Arena *a, const Timeline *t); /* by node: the last wave in which the forward pass needs it */
bool remat_possible(const Timeline *t, Val v); /* can it be computed once more? */

/* The graph in which the backward pass reads copies of what `drop` marks (by node), computed from what is kept, once
 * the pass has come near.  origin: by new node the old one; copies: by new node, is it such a copy? */
typedef struct {
    Graph *graph;
    Val *origin;
    bool *copies;
} Remat;
Remat remat_graph(Arena *a, const Timeline *t, const bool *drop);
#endif
