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
/* For every node of g: how `x` reaches it.  out has g->nodes.n entries. */
void reach_from(const Graph *g, Val x, Reached *out);
#endif
