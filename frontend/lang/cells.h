/* The text of a csv file as cells: tables of points, names of foreign weights. */
#ifndef GRF_LANG_CELLS_H
#define GRF_LANG_CELLS_H
#include "str.h"

/* Row i has the cells from row_starts[i] up to row_starts[i + 1]. */
typedef struct { Arena *a; VEC(Str) cells; VEC(uint32_t) row_starts; bool fresh; } Cells;
bool cells_parse(Arena *a, Str text, Cells *out);       /* false: it is no csv */
#endif
