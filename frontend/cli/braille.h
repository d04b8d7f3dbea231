/* Curves in a terminal. */
#ifndef GRF_CLI_BRAILLE_H
#define GRF_CLI_BRAILLE_H
#include "str.h"
#include <stdio.h>

/* n points by number; those that are not finite leave a gap. */
typedef struct { Str name; uint32_t n; const double *x, *y; } Curve;
/* All curves on one pair of axes, `columns` characters wide.  One is drawn in dots of braille, several in letters, with
 * a line below for each that tells which is which. */
void curves_print(Arena *a, const Curve *curves, uint32_t n, uint32_t columns, FILE *out);
#endif
