/* A cell of CSV, as all our tables have it: quoted only where it must be (RFC 4180), by libcsv. */
#ifndef GRR_RUNS_CSVCELL_H
#define GRR_RUNS_CSVCELL_H
#include "str.h"

/* Behind a comma, unless it is the first of its row. */
void csv_cell(Buf *to, bool first, Str text);
/* NaN is an empty cell. */
void csv_number(Buf *to, bool first, double x);
#endif
