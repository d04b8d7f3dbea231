/* What the files of this folder share and nobody else needs: raw nodes (for the parser and the copier), the
 * check of one node (for the verifier and the builder), and the names of attribute values. */
#ifndef GRC_IR_IR_PARTS_H
#define GRC_IR_IR_PARTS_H
#include "ir.h"

Graph *graph_new(Module *m, Arena *a, uint32_t name);
/* Appends a node as it is, unchecked; with `numbered` a pure node that exists already is returned instead. */
Val    graph_append(Graph *g, Node node, uint32_t n, const Val *in, bool numbered);

/* The constraints of one node, its operands being earlier nodes: true, or false with the constraint and the
 * reason in `why`, as in "reduce c1: axis 1 stands twice". */
bool   node_check(const Graph *g, const Node *node, Buf *why);
bool   node_is_tuple(const Node *node);
uint32_t tuple_members(const Node *tuple);

/* A number as a tensor of type t holds it: rounded, flushed, NaN canonical. */
Imm    imm_of_real(DType t, double x);

/* Dims renumbered in order of first appearance in A, B, C: equal products become equal values. */
Contract *contract_canonical(Arena *a, const Contract *c);
#endif
