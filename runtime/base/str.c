/* Strings, text building, and names as numbers.
 *
 * A number is printed with the fewest digits that read back to the same bits, tried from one digit upwards: exact by
 * construction, and fast enough for everything we print.  Interning is an array of the strings and a table of ids by
 * them, so that an id is an index and the order of ids is the order of first use. */
#include "str.h"
#include "error.h"
#include "strmap.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Str str_of(const char *z) {
    size_t n = strlen(z);
    GR_ASSERT(n <= UINT32_MAX);
    return (Str){z, (uint32_t)n};
}

Str str_copy(Arena *a, Str s) {
    char *to = arena_push(a, (size_t)s.n + 1, 1);
    if (s.n != 0)
        memcpy(to, s.s, s.n);
    return (Str){to, s.n};
}

Str str_format(Arena *a, const char *fmt, ...) {
    Buf b = buf_make(a);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    return buf_str(&b);
}

bool str_eq(Str a, Str b) { return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0); }

bool str_is(Str a, const char *z) { return str_eq(a, str_of(z)); }

bool str_starts(Str a, const char *prefix) {
    size_t n = strlen(prefix);
    return n <= a.n && memcmp(a.s, prefix, n) == 0;
}

bool str_ends(Str a, const char *suffix) {
    size_t n = strlen(suffix);
    return n <= a.n && memcmp(a.s + (a.n - n), suffix, n) == 0;
}

int str_compare(Str a, Str b) {
    uint32_t n = a.n < b.n ? a.n : b.n;
    int order = n == 0 ? 0 : memcmp(a.s, b.s, n);
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

enum { DISTANCE_LONGEST = 96 };

/* Three rows of the table of prefix distances.  Names too long for the table are simply far apart. */
uint32_t str_distance(Str a, Str b) {
    if (a.n > DISTANCE_LONGEST || b.n > DISTANCE_LONGEST)
        return str_eq(a, b) ? 0 : a.n > b.n ? a.n : b.n;
    uint32_t rows[3][DISTANCE_LONGEST + 1];
    for (uint32_t j = 0; j <= b.n; j++)
        rows[0][j] = j;
    for (uint32_t i = 1; i <= a.n; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b.n; j++) {
            uint32_t replace = above[j - 1] + (a.s[i - 1] != b.s[j - 1]);
            row[j] = least(replace, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.s[i - 1] == b.s[j - 2] && a.s[i - 2] == b.s[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a.n % 3][b.n];
}

Nearest nearest_to(Str want) {
    return (Nearest){.want = want, .edits = want.n <= 1 ? 1 : want.n <= 4 ? 2 : want.n <= 7 ? 3 : 4};
}

void nearest_consider(Nearest *n, Str candidate) {
    uint32_t longer = candidate.n > n->want.n ? candidate.n - n->want.n : n->want.n - candidate.n;
    uint32_t edits = longer < n->edits ? str_distance(n->want, candidate) : longer;
    if (candidate.n > 0 && edits < n->edits) {
        n->edits = edits;
        n->best = candidate;
    }
}

Buf buf_make(Arena *a) { return (Buf){.arena = a}; }

/* Room for n more bytes and the NUL behind them. */
static void make_room(Buf *b, size_t n) {
    if (b->cap - b->n > n)
        return;
    size_t cap = b->cap < 64 ? 64 : b->cap * 2;
    cap = cap - b->n > n ? cap : b->n + n + 1;
    char *to = arena_push(b->arena, cap, 1);
    if (b->n != 0)
        memcpy(to, b->s, b->n);
    b->s = to;
    b->cap = cap;
}

void buf_put(Buf *b, Str s) {
    make_room(b, s.n);
    if (s.n != 0)
        memcpy(b->s + b->n, s.s, s.n);
    b->n += s.n;
    b->s[b->n] = 0;
}

void buf_char(Buf *b, char c) { buf_put(b, (Str){&c, 1}); }

/* Most texts fit at the first try; the others say how much room they need. */
void buf_vprintf(Buf *b, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    make_room(b, 48);
    size_t room = b->cap - b->n;
    int n = vsnprintf(b->s + b->n, room, fmt, ap);
    GR_ASSERT(n >= 0);
    if ((size_t)n >= room) {
        make_room(b, (size_t)n);
        vsnprintf(b->s + b->n, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    b->n += (size_t)n;
}

void buf_printf(Buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

/* Lays out x with `digits` significant digits, which are known to be enough.  Between 1e-4 and 10^plain_below in plain
 * form (there every integer is exact, so the zeros a plain form adds are true), else as 1.5e-7. */
static void put_digits(Buf *b, double x, int digits, int plain_below) {
    char form[40];
    snprintf(form, sizeof form, "%.*e", digits - 1, x);
    char *mark = strchr(form, 'e');
    int power = (int)strtol(mark + 1, NULL, 10);
    if (power >= -4 && power < plain_below)
        buf_printf(b, "%.*f", digits - 1 > power ? digits - 1 - power : 0, x);
    else
        buf_printf(b, "%.*se%d", (int)(mark - form), form, power);
}

static bool put_special(Buf *b, double x) {
    if (isnan(x))
        buf_put(b, STR("nan"));
    else if (isinf(x))
        buf_put(b, x < 0 ? STR("-inf") : STR("inf"));
    else if (x == 0)
        buf_put(b, signbit(x) ? STR("-0") : STR("0"));
    else
        return false;
    return true;
}

void buf_real(Buf *b, double x) {
    if (put_special(b, x))
        return;
    char form[40];
    int digits = 0;
    do
        snprintf(form, sizeof form, "%.*e", digits++, x);
    while (digits < 17 && strtod(form, NULL) != x);
    put_digits(b, x, digits, 15);
}

void buf_real32(Buf *b, float x) {
    if (put_special(b, x))
        return;
    char form[40];
    int digits = 0;
    do
        snprintf(form, sizeof form, "%.*e", digits++, (double)x);
    while (digits < 9 && strtof(form, NULL) != x);
    put_digits(b, x, digits, 7);
}

Str buf_str(const Buf *b) {
    GR_ASSERT(b->n <= UINT32_MAX);
    return (Str){b->n == 0 ? "" : b->s, (uint32_t)b->n};
}

struct Intern {
    Arena *arena;
    VEC(Str) names;                /* the name of id i is at[i - 1] */
    StrMap ids;
};

Intern *intern_create(Arena *a) {
    Intern *t = PUSH(a, Intern, 1);
    t->arena = a;
    return t;
}

uint32_t intern_id(Intern *t, Str s) {
    uint32_t id = strmap_get(&t->ids, s);
    if (id == 0) {
        vec_push(t->arena, &t->names, str_copy(t->arena, s));
        id = t->names.n;
        strmap_put(t->arena, &t->ids, t->names.at[id - 1], id);
    }
    return id;
}

Str intern_str(const Intern *t, uint32_t id) {
    GR_ASSERT(id >= 1 && id <= t->names.n);
    return t->names.at[id - 1];
}

uint32_t intern_find(const Intern *t, Str s) { return strmap_get(&t->ids, s); }
