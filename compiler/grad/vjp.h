/* Vector-Jacobian products of one node. */
#ifndef GRC_GRAD_VJP_H
#define GRC_GRAD_VJP_H
#include "ir.h"

/* The cotangent of operand k of a node with one result, given its cotangent g; {0} when none flows.  *missing is
 * set when the operation has no rule (the caller reports it). */
Val vjp_operand(Build *b, Val v, uint32_t k, Val g, bool *missing);
/* Of a tuple node: g[m] is the cotangent of member m or {0}; out[k] gets that of operand k or {0}; `needed[k]`: is
 * it wanted. */
void vjp_moments(Build *b, Val v, const Val g[2], Val *out);
/* scan.c; v collects its carries */
bool vjp_scan(Build *b, Val v, const Val *g, const bool *needed, Val *out, Diags *ds);
bool vjp_extern(Build *b, Val v, const Val *g, const bool *needed, Val *out, Diags *ds);   /* extern.c */
/* the same scan that also collects what its carries were before each step */
const Scan *scan_with_carries(Arena *a, const Scan *s);

/* The reverse walk (grad.c): cotangents of xs[0..n) given cotangents of `seeds`; a zero that nothing reaches is {0}. */
typedef struct { Val at, cotangent; } Seed;
bool vjp_walk(Build *b, uint32_t n_seeds, const Seed *seeds, uint32_t n, const Val *xs, Val *out, Diags *ds);
#endif
