/* libcsv hands over a cell at a time; a row begins with the first cell behind the end of one. */
#include "cells.h"
#include <csv.h>

static void take_cell(void *text, size_t n, void *user) {
    Cells *t = user;
    if (t->fresh) {
        vec_push(t->a, &t->row_starts, t->cells.n);
        t->fresh = false;
    }
    vec_push(t->a, &t->cells, str_copy(t->a, (Str){text, (uint32_t)n}));
}

static void end_row(int c, void *user) {
    (void)c;
    ((Cells *)user)->fresh = true;
}

bool cells_parse(Arena *a, Str text, Cells *t) {
    struct csv_parser p;
    *t = (Cells){.a = a, .fresh = true};
    if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        return false;
    }
    bool fine = csv_parse(&p, text.s, text.n, take_cell, end_row, t) == text.n &&
                csv_fini(&p, take_cell, end_row, t) == 0;
    csv_free(&p);
    vec_push(a, &t->row_starts, t->cells.n);
    return fine;
}
