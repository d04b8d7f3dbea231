/* Random graphs over all modes: see fuzz_graph.c. */
#ifndef GR_TESTS_FUZZ_GRAPH_H
#define GR_TESTS_FUZZ_GRAPH_H
#include "fuzz_guard.h"
#include "functions.h"

typedef struct {
    uint64_t seed;
    uint64_t graphs;
    double seconds;
    const char *folder;
    const Math *math;
    bool progress;
    bool programs;                 /* of the texts only .graph files */
    bool kernels;                  /* of the texts only .kernel files */
} FuzzWish;
/* How many findings: each is shrunk, printed and written to the folder. */
uint32_t fuzz_graphs(const FuzzWish *w);
/* The smallest text that still ends as `text` does (fuzz_shrink.c). */
Str fuzz_shrink(Arena *a, Guard *g, const Math *math, Str text, uint64_t seed);
/* One text in all modes of `modes`, guarded. */
GuardEnd fuzz_case(Guard *g, const Math *math, Str text, uint64_t seed, uint32_t modes);
/* Mutated texts of the parsers (fuzz_text.c). */
uint32_t fuzz_texts(const FuzzWish *w);
double fuzz_now(void);
#endif
