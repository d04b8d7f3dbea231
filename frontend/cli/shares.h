/* What the launches of an entry are for, and so where its time goes. */
#ifndef GRF_CLI_SHARES_H
#define GRF_CLI_SHARES_H
#include "fuse.h"

/* products: kernels with a tile or a chain, with whatever else they compute, and those of a library; packing: kernels
 * that only put an operand of a product where it wants it, and compute it where they can; rest: all others */
typedef enum { SHARE_PRODUCTS, SHARE_PACKING, SHARE_REST, SHARE_COUNT } Share;

/* ns: of the entry's steps; out: the sums, in ms. */
void shares_of(const Planned *p, const PlanEntry *entry, const double *ns, double out[SHARE_COUNT]);
#endif
