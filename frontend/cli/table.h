/* Text in columns, each as wide as its longest cell. */
#ifndef GRF_CLI_TABLE_H
#define GRF_CLI_TABLE_H
#include "str.h"
#include <stdio.h>

typedef struct { Arena *arena; uint32_t columns; const char *right; VEC(Str) cells; } Table;

/* `right`: the letter r at each column of numbers, another elsewhere; the columns beyond it are of words. */
Table table_make(Arena *a, uint32_t columns, const char *right);
/* A column of words, and one of numbers for each of the rest. */
Table table_make_numbers(Arena *a, uint32_t columns);
/* The next cell, row by row. */
void  table_cell(Table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A whole number with commas between thousands. */
Str   count_text(Arena *a, uint64_t n);
void  table_count(Table *t, uint64_t n);
/* The rest of the row is empty. */
void  table_end_row(Table *t);
void  table_write(const Table *t, Buf *out);
void  table_print(const Table *t, FILE *out);
#endif
