/* Reverse-mode differentiation of graphs, graph to graph.
 * grad_expand takes a graph with `grad` nodes and gives the same graph with each of them replaced by primitives, and
 * `grad_as` by its value.  The result holds no operation that it could not differentiate again, so gradients of
 * gradients need nothing else.  reach says of a scalar and a value whether a gradient can flow between them, and
 * what stops it. */
#ifndef GRC_GRAD_GRAD_H
#define GRC_GRAD_GRAD_H
#include "ir.h"

/* NULL after a diagnostic: a gradient was asked for through an operation that has no rule (at its place). */
Graph *grad_expand(Arena *a, const Graph *g, Diags *ds);

typedef enum { REACH_NONE, REACH_STOPPED, REACH_ZERO, REACH_YES } Reach;
/* by: the node that stops it (STOPPED) or makes it zero almost everywhere (ZERO) */
typedef struct { Reach reach; Val by; } Reached;
/* For every node of g: how the nodes of `from` reach it, not by way of those of `closed` (NULL: by any).  All three
 * have g->nodes.n entries. */
void reach_from(Arena *a, const Graph *g, const bool *from, const bool *closed, Reached *out);

/* Which nodes the gradient of `loss` comes to; seen has g->nodes.n entries, all false. */
void reach_back(const Graph *g, Val loss, bool *seen);

/* A value that a gradient does not pass, beside others that it does: the operand of `into`, which reach says is less
 * than reached; because of the node `by`.  mask: it chooses what counts. */
typedef struct { Val into, operand, by; bool mask; } Cut;
typedef VEC(Cut) Cuts;
/* On the way from `loss` back to what `reached` tells of. */
void reach_cuts(Arena *a, const Graph *g, const Reached *reached, Val loss, Cuts *out);
#endif
