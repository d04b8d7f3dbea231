/* Exact rewrites of graphs.  Every pass keeps all bits of all outputs and effects (semantics 1). */
#ifndef GRC_OPT_OPT_H
#define GRC_OPT_OPT_H
#include "ir.h"

/* A check of every index that is needed and not known to be inside: the only pass that adds an effect, and the first
 * of all. */
Graph *opt_check_indices(Arena *a, const Graph *g);
/* Contractions with a mark `rounded` get casts before their operands instead. */
Graph *opt_precision(Arena *a, const Graph *g);
/* Masks over the gradient of a maximum look at the maxima. */
Graph *opt_masks(Arena *a, const Graph *g);
/* Rules of rules.def, constant folding, views of views, broadcasts moved behind elementwise operations; dead nodes
 * go. */
Graph *opt_simplify(Arena *a, const Graph *g);
/* Every reduction over several rows (semantics 2) becomes one over the row and one over the rest; axes of extent 1
 * go. */
Graph *opt_split_reductions(Arena *a, const Graph *g);

/* Results that a scan collects and nobody reads go. */
Graph *opt_prune_scans(Arena *a, const Graph *g);

/* Convolutions whose rows are short give their channels last, and what reads them has them so; the last pass. */
Graph *opt_channels(Arena *a, const Graph *g);

/* For the test that tries every rule. */
uint32_t    opt_rule_count(void);
const char *opt_rule_pattern(uint32_t i);
/* Builds the pattern and the replacement over the given values of ?x ?y (float) and ?c (bool). */
void        opt_rule_build(Build *b, uint32_t i, Val x, Val y, Val c, Val *pattern, Val *replacement);
#endif
