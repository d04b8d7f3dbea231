/* Contractions marked `winograd`, by Winograd's F(2,3). */
#ifndef GRC_GRAD_WINOGRAD_H
#define GRC_GRAD_WINOGRAD_H
#include "ir.h"

/* Is anything marked? */
bool winograd_wanted(const Graph *g);
/* Replaces the marked contractions that gain by it, and takes the mark off the others.  Behind grad_expand. */
Graph *winograd_expand(Arena *a, const Graph *g);
/* Why this contraction stays direct; NULL: it does not. */
const char *winograd_refusal(const Contract *c);
/* Of one that has the form, whether it gains or not. */
Val winograd_product(Build *b, Val x, Val y, const Contract *c);
#endif
