/* A graph as a text, with data made of its shapes: what the fuzzer runs, shrinks and keeps (tests/found). The
 * data of a column or variable depend on its name, its shape and the seed alone, so they stay when other
 * lines go. */
#ifndef GR_TESTS_GRAPH_CASE_H
#define GR_TESTS_GRAPH_CASE_H
#include "modes.h"

enum { CASE_MOMENTS = 2 }; /* the graph runs twice: what the first run commits is read by the second */
/* NULL: the text is no valid module, or has no gradient where it asks for one. */
Scenario *case_parse(Arena *a, Str text, uint64_t seed, const Math *math);
Scenario *case_of(Arena *a, const Module *m, uint64_t seed, const Math *math);   /* NULL: as above */
uint64_t case_seed(Str text); /* of its first line, `# seed N` */
#endif
