/* Small well-typed random graphs with data to run them on: the input of property tests and of the graph
 * fuzzer.  The same seed gives the same module and data everywhere. */
#ifndef GR_TESTS_RANDOM_GRAPH_H
#define GR_TESTS_RANDOM_GRAPH_H
#include "ir.h"

typedef struct {
    Module *module;         /* one graph, "random" */
    Tensor *vars, *columns; /* with special values among them */
    UValue *uniforms;
} RandomGraph;
enum {
    RANDOM_EASY = 1,  /* no scans, windows, gathers */
    RANDOM_WHOLE = 2, /* also what only the passes take away: gradients, reductions of several rows */
};
RandomGraph random_graph(Arena *a, uint64_t seed, uint32_t size, uint32_t flags, const Math *m);
Tensor tensor_new(Arena *a, DType t, Shape s);
Tensor tensor_copy(Arena *a, const Tensor *t);
bool tensor_same(const Tensor *x, const Tensor *y, int64_t *where); /* bits, every NaN equal */
#endif
