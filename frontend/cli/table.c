/* Cells are kept until the table is printed: only then is known how wide a column is.  No line ends in blanks. */
#include "table.h"
#include <string.h>

enum { GAP = 2 };

Table table_make(Arena *a, uint32_t columns, const char *right) {
    return (Table){.arena = a, .columns = columns, .right = right};
}

Table table_make_numbers(Arena *a, uint32_t columns) {
    char *right = PUSH(a, char, columns + 1);
    memset(right, 'r', columns);
    right[0] = '.';
    return table_make(a, columns, right);
}

void table_cell(Table *t, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Buf b = buf_make(t->arena);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    vec_push(t->arena, &t->cells, buf_str(&b));
}

Str count_text(Arena *a, uint64_t n) {
    Buf digits = buf_make(a), b = buf_make(a);
    buf_printf(&digits, "%llu", (unsigned long long)n);
    for (size_t i = 0; i < digits.n; i++) {
        if (i > 0 && (digits.n - i) % 3 == 0) buf_char(&b, ',');
        buf_char(&b, digits.s[i]);
    }
    return buf_str(&b);
}

void table_count(Table *t, uint64_t n) { vec_push(t->arena, &t->cells, count_text(t->arena, n)); }

void table_end_row(Table *t) {
    while (t->cells.n % t->columns) vec_push(t->arena, &t->cells, STR(""));
}

/* Code points, not bytes: names may be Greek. */
static uint32_t width(Str s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s.n; i++) n += ((unsigned char)s.s[i] & 0xc0) != 0x80;
    return n;
}

static void print_row(const Table *t, const Str *cells, const uint32_t *widths, Buf *out) {
    uint32_t blanks = 0, letters = (uint32_t)strlen(t->right);
    for (uint32_t c = 0; c < t->columns; c++) {
        uint32_t pad = widths[c] - width(cells[c]);
        bool right = c < letters && t->right[c] == 'r';
        if (right) blanks += pad;
        if (cells[c].n) buf_printf(out, "%*s%.*s", (int)blanks, "", FSTR(cells[c])), blanks = 0;
        if (!right) blanks += pad;
        blanks += GAP;
    }
    buf_char(out, '\n');
}

void table_write(const Table *t, Buf *out) {
    uint32_t *widths = PUSH(t->arena, uint32_t, t->columns);
    for (uint32_t i = 0; i < t->cells.n; i++) {
        uint32_t w = width(t->cells.at[i]);
        if (w > widths[i % t->columns]) widths[i % t->columns] = w;
    }
    for (uint32_t i = 0; i + t->columns <= t->cells.n; i += t->columns) print_row(t, t->cells.at + i, widths, out);
}

void table_print(const Table *t, FILE *out) {
    Buf text = buf_make(t->arena);
    table_write(t, &text);
    fprintf(out, "%.*s", FSTR(buf_str(&text)));
}
