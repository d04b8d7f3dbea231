/* Draws one diagnostic: the message, its place, and an excerpt of the source with a mark under each span.
 *
 *     error[shape]: inner extents differ
 *       --> mlp.graph:7:7
 *        |
 *      7 | h = x @ w
 *        |     - ^ - [728, 256]
 *        |     |
 *        |     [64, 784]
 *        = help: transpose one of them
 *
 * The spans of one line of source are drawn together.  The last mark of a row may have its text beside it; the texts
 * of the others hang below on lines of their own, last mark first, so that no stroke crosses a text.  Everything is
 * counted in columns of a terminal: tabs are drawn as spaces, wide letters take two, and what a terminal might obey is
 * replaced. */
#include "diag_parts.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { TAB = 4, GUTTER_LEAST = 2 };

typedef enum { INK_NONE, INK_FRAME, INK_ERROR, INK_WARNING, INK_SECOND, INK_STRONG, INK_HELP } Ink;

typedef struct {
    Arena *scratch;
    const SourceSet *sources;
    Buf *out;
    bool colour;
    Ink primary;
    int gutter;                    /* columns of a line number */
} Page;

/* A span on its line, in columns from 0. */
typedef struct {
    Place place;
    Str path;
    uint32_t left, right;          /* first column, column behind the last; right > left */
    bool primary;
    Str text;
} Mark;

static void put(Page *p, Ink ink, Str s) {
    static const char *const starts[] = {
        [INK_NONE] = "",           [INK_FRAME] = "\33[34m",    [INK_ERROR] = "\33[1;31m", [INK_WARNING] = "\33[1;33m",
        [INK_SECOND] = "\33[36m", [INK_STRONG] = "\33[1m",   [INK_HELP] = "\33[32m"};
    bool inked = p->colour && ink != INK_NONE && s.n > 0;
    if (inked)
        buf_put(p->out, str_of(starts[ink]));
    buf_put(p->out, s);
    if (inked)
        buf_put(p->out, STR("\33[0m"));
}

/* One letter of a source: how many bytes it has, how many columns it takes at `column`, and whether it may be shown. */
typedef struct { uint32_t bytes, columns; bool shown; } Letter;

static Letter letter_at(Str s, uint32_t i, uint32_t column) {
    if (s.s[i] == '\t')
        return (Letter){1, TAB - column % TAB, false};
    utf8proc_int32_t rune;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.s + i, (utf8proc_ssize_t)(s.n - i), &rune);
    if (n <= 0)
        return (Letter){1, 1, false};
    utf8proc_category_t category = utf8proc_category(rune);
    if (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF)
        return (Letter){(uint32_t)n, 1, false};
    return (Letter){(uint32_t)n, (uint32_t)utf8proc_charwidth(rune), true};
}

static uint32_t column_of(Str line, uint32_t byte) {
    uint32_t column = 0;
    for (uint32_t i = 0; i < line.n && i < byte;) {
        Letter l = letter_at(line, i, column);
        column += l.columns;
        i += l.bytes;
    }
    return column;
}

static void put_line_text(Page *p, Str line) {
    uint32_t column = 0;
    for (uint32_t i = 0; i < line.n;) {
        Letter l = letter_at(line, i, column);
        if (l.shown)
            buf_put(p->out, (Str){line.s + i, l.bytes});
        else if (line.s[i] == '\t')
            buf_printf(p->out, "%*s", (int)l.columns, "");
        else
            buf_put(p->out, STR("\xef\xbf\xbd"));
        column += l.columns;
        i += l.bytes;
    }
}

/* A span that goes on past its line is drawn to the end of the line; an empty one gets one column. */
static Mark mark_of(const Page *p, Span at, bool primary, Str text) {
    Mark m = {.place = sources_place(p->sources, at), .primary = primary, .text = text};
    Str line = m.place.line_text;
    uint32_t from = m.place.column - 1, to = from + at.n < from || from + at.n > line.n ? line.n : from + at.n;
    m.path = m.place.path;
    m.left = column_of(line, from);
    m.right = column_of(line, to);
    m.right = m.right > m.left ? m.right : m.left + 1;
    return m;
}

static Ink ink_of(const Page *p, const Mark *m) { return m->primary ? p->primary : INK_SECOND; }

static void put_frame(Page *p) {
    put(p, INK_FRAME, str_format(p->scratch, "%*s |", p->gutter, ""));
}

/* Lines of a text after the first are moved to the column where the first began. */
static void put_text(Page *p, Ink ink, Str s, uint32_t column) {
    uint32_t from = 0;
    for (uint32_t i = 0; i <= s.n; i++) {
        if (i < s.n && s.s[i] != '\n')
            continue;
        put(p, ink, (Str){s.s + from, i - from});
        if (i < s.n)
            buf_printf(p->out, "\n%*s", (int)column, "");
        from = i + 1;
    }
}

static uint32_t text_column(const Page *p, uint32_t column) { return (uint32_t)p->gutter + 3 + column; }

/* The row of carets and dashes: shorter marks over longer ones, the primary over all. */
static uint32_t put_underlines(Page *p, const Mark *marks, uint32_t n) {
    uint32_t end = 0;
    for (uint32_t i = 0; i < n; i++)
        end = marks[i].right > end ? marks[i].right : end;
    const Mark **over = PUSH(p->scratch, const Mark *, end);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t c = marks[i].left; c < marks[i].right; c++) {
            const Mark *old = over[c];
            if (old == NULL || marks[i].primary ||
                (!old->primary && marks[i].right - marks[i].left < old->right - old->left))
                over[c] = &marks[i];
        }
    }
    put_frame(p);
    buf_char(p->out, ' ');
    for (uint32_t c = 0, run; c < end; c += run) {
        for (run = 1; c + run < end && over[c + run] == over[c]; run++)
            continue;
        char *row = PUSH(p->scratch, char, run);
        memset(row, over[c] == NULL ? ' ' : over[c]->primary ? '^' : '-', run);
        put(p, over[c] == NULL ? INK_NONE : ink_of(p, over[c]), (Str){row, run});
    }
    return end;
}

/* Strokes under the first n marks (sorted by their left ends) that wait for their text; returns the column reached. */
static uint32_t put_strokes(Page *p, const Mark *marks, uint32_t n, uint32_t below) {
    put_frame(p);
    buf_char(p->out, ' ');
    uint32_t column = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (marks[i].text.n == 0 || marks[i].left < column || marks[i].left >= below)
            continue;
        buf_printf(p->out, "%*s", (int)(marks[i].left - column), "");
        put(p, ink_of(p, &marks[i]), STR("|"));
        column = marks[i].left + 1;
    }
    return column;
}

static int by_left(const void *a, const void *b) {
    const Mark *x = a, *y = b;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return x->right > y->right ? -1 : x->right < y->right;
}

/* The marks of one line of source. */
static void put_marks(Page *p, Mark *marks, uint32_t n) {
    qsort(marks, n, sizeof *marks, by_left);
    uint32_t end = put_underlines(p, marks, n);
    const Mark *last = &marks[n - 1];
    if (last->text.n > 0 && last->right == end) {
        buf_char(p->out, ' ');
        put_text(p, ink_of(p, last), last->text, text_column(p, end + 1));
        n--;
    }
    buf_char(p->out, '\n');
    bool stroked = false;
    for (; n > 0; n--) {
        const Mark *m = &marks[n - 1];
        if (m->text.n == 0)
            continue;
        if (!stroked) {
            put_strokes(p, marks, n, UINT32_MAX);
            buf_char(p->out, '\n');
            stroked = true;
        }
        uint32_t column = put_strokes(p, marks, n, m->left);
        buf_printf(p->out, "%*s", (int)(m->left - column), "");
        put_text(p, ink_of(p, m), m->text, text_column(p, m->left));
        buf_char(p->out, '\n');
    }
}

/* Orders marks so that the file of the primary comes first, then files as the labels name them, each by line. */
typedef struct { Mark mark; uint32_t file; } Placed;

static int by_file_and_line(const void *a, const void *b) {
    const Placed *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->mark.place.line != y->mark.place.line)
        return x->mark.place.line < y->mark.place.line ? -1 : 1;
    return by_left(&x->mark, &y->mark);
}

typedef VEC(Placed) PlacedVec;

static bool same_line(const Placed *a, const Placed *b) {
    return a->file == b->file && a->mark.place.line == b->mark.place.line;
}

static void place_mark(Page *p, PlacedVec *all, Span at, bool primary, Str text) {
    Placed x = {.mark = mark_of(p, at, primary, text), .file = all->n};
    if (x.mark.place.line == 0)
        return;
    for (uint32_t i = 0; i < all->n; i++) {
        if (str_eq(all->at[i].mark.path, x.mark.path)) {
            x.file = all->at[i].file;
            break;
        }
    }
    vec_push(p->scratch, all, x);
}

static void put_arrow(Page *p, const char *arrow, Place at) {
    put(p, INK_FRAME, str_format(p->scratch, "%*s%s", p->gutter, "", arrow));
    buf_printf(p->out, " %.*s:%u:%u\n", FSTR(at.path), at.line, at.column);
    put_frame(p);
    buf_char(p->out, '\n');
}

static void put_excerpts(Page *p, const PlacedVec *all) {
    for (uint32_t i = 0, n; i < all->n; i += n) {
        const Placed *first = &all->at[i];
        for (n = 1; i + n < all->n && same_line(first, &first[n]); n++)
            continue;
        if (i > 0 && first[-1].file != first->file)
            put_arrow(p, ":::", first->mark.place);
        put(p, INK_FRAME, str_format(p->scratch, "%*u |", p->gutter, first->mark.place.line));
        if (first->mark.place.line_text.n > 0)
            buf_char(p->out, ' ');
        put_line_text(p, first->mark.place.line_text);
        buf_char(p->out, '\n');
        Mark *marks = PUSH(p->scratch, Mark, n);
        for (uint32_t k = 0; k < n; k++)
            marks[k] = first[k].mark;
        put_marks(p, marks, n);
    }
}

static int digits_of(uint32_t n) {
    int digits = 1;
    while (n >= 10) {
        n /= 10;
        digits++;
    }
    return digits;
}

static void put_heading(Page *p, const Diag *d) {
    const char *severity = severity_name(diag_severity(d));
    put(p, p->primary, str_format(p->scratch, "%s[%s]", severity, diag_name(d)));
    put(p, INK_STRONG, STR(": "));
    put_text(p, INK_STRONG, d->message, (uint32_t)(strlen(severity) + strlen(diag_name(d)) + 4));
    buf_char(p->out, '\n');
}

static void put_remark(Page *p, const Remark *r) {
    Str name = r->is_help ? STR("help: ") : STR("note: ");
    put(p, INK_FRAME, str_format(p->scratch, "%*s = ", p->gutter, ""));
    put(p, r->is_help ? INK_HELP : INK_STRONG, name);
    put_text(p, INK_NONE, r->text, (uint32_t)p->gutter + 3 + name.n);
    buf_char(p->out, '\n');
}

static Ink ink_of_severity(Severity s) {
    switch (s) {
    case SEV_ERROR: return INK_ERROR;
    case SEV_WARNING: return INK_WARNING;
    case SEV_NOTE: return INK_STRONG;
    }
    GR_BUG("severity %d", (int)s);
}

void diag_render_one(Arena *scratch, const Diag *d, const SourceSet *sources, Buf *out, bool colour) {
    ArenaMark scope = arena_mark(scratch);
    Page page = {scratch, sources, out, colour, ink_of_severity(diag_severity(d)), GUTTER_LEAST}, *p = &page;
    PlacedVec all = {0};
    place_mark(p, &all, d->at, true, d->primary_label);
    for (uint32_t i = 0; i < d->labels.n; i++)
        place_mark(p, &all, d->labels.at[i].at, false, d->labels.at[i].text);
    for (uint32_t i = 0; i < all.n; i++) {
        int digits = digits_of(all.at[i].mark.place.line);
        p->gutter = digits > p->gutter ? digits : p->gutter;
    }
    if (all.n > 0)
        qsort(all.at, all.n, sizeof *all.at, by_file_and_line);
    put_heading(p, d);
    if (all.n > 0)
        put_arrow(p, "-->", d->at.at == 0 ? all.at[0].mark.place : sources_place(sources, d->at));
    put_excerpts(p, &all);
    for (uint32_t i = 0; i < d->remarks.n; i++)
        put_remark(p, &d->remarks.at[i]);
    arena_pop(scope);
}
