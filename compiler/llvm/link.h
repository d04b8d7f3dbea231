/* Objects linked in memory. */
#ifndef GRC_LLVM_LINK_H
#define GRC_LLVM_LINK_H
#include "generator.h"
GrStatus link_open(Arena *a, const GenTarget *t, GenLink **out, Error *e);
GrStatus link_add(GenLink *l, Str object, Error *e);
GrStatus link_find(GenLink *l, const char *symbol, void **address, Error *e);
void     link_close(GenLink *l);
#endif
