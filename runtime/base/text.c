/* The reader of text.h.  Numbers are copied out before strtod sees them: a Source may hold anything. */
#include "text.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Text text_open(Arena *a, const Source *src, Diags *ds) {
    return (Text){.start = src->text.s, .at = src->text.s, .end = src->text.s + src->text.n,
                  .base = src->base, .last = {src->base, 0}, .arena = a, .diags = ds};
}

bool text_ok(const Text *t) { return !t->failed; }

static Span span_at(const Text *t, const char *from, const char *to) {
    return (Span){t->base + (uint32_t)(from - t->start), (uint32_t)(to - from)};
}

void text_fail(Text *t, Span at, const char *fmt, ...) {
    if (t->failed)
        return;
    t->failed = true;
    Buf message = buf_make(t->arena);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&message, fmt, ap);
    va_end(ap);
    diag_add(t->diags, DIAG_IR_SYNTAX, at, "%.*s", FSTR(buf_str(&message)));
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool in_word(char c) { return is_letter(c) || is_digit(c); }
static bool in_name(char c) { return in_word(c) || c == '.' || c == '/' || c == '$'; }

static void skip(Text *t) {
    while (t->at < t->end && (is_blank(*t->at) || *t->at == '#')) {
        if (*t->at == '#') {
            while (t->at < t->end && *t->at != '\n')
                t->at++;
        } else {
            t->at++;
        }
    }
}

Span text_next_span(Text *t) {
    skip(t);
    return span_at(t, t->at, t->at < t->end ? t->at + 1 : t->at);
}

bool text_at_end(Text *t) {
    skip(t);
    return t->at == t->end;
}

/* The end of the literal when it is next, else NULL. */
static const char *match(Text *t, const char *lit) {
    skip(t);
    size_t n = strlen(lit);
    if (t->failed || (size_t)(t->end - t->at) < n || memcmp(t->at, lit, n) != 0)
        return NULL;
    const char *to = t->at + n;
    return in_word(lit[n - 1]) && to < t->end && in_word(*to) ? NULL : to;
}

static void take_to(Text *t, const char *to) {
    t->last = span_at(t, t->at, to);
    t->at = to;
}

bool text_is(Text *t, const char *lit) { return match(t, lit) != NULL; }

bool text_take(Text *t, const char *lit) {
    const char *to = match(t, lit);
    if (to != NULL)
        take_to(t, to);
    return to != NULL;
}

/* What stands here, for messages: a word, or one character. */
static void fail_expecting(Text *t, const char *what) {
    skip(t);
    const char *to = t->at;
    while (to < t->end && in_name(*to))
        to++;
    if (to == t->at && to < t->end)
        to++;
    if (to == t->at)
        text_fail(t, span_at(t, t->at, t->at), "expected %s, found the end of the text", what);
    else
        text_fail(t, span_at(t, t->at, to), "expected %s, found `%.*s`", what, (int)(to - t->at), t->at);
}

void text_want(Text *t, const char *lit) {
    if (!text_take(t, lit))
        fail_expecting(t, str_format(t->arena, "`%s`", lit).s);
}

bool text_more(Text *t, const char *close) {
    if (text_take(t, close))
        return false;
    if (text_at_end(t))
        fail_expecting(t, str_format(t->arena, "`%s`", close).s);
    return !t->failed;
}

static Str take_run(Text *t, bool (*part)(char), const char *what) {
    const char *to = t->at;
    while (to < t->end && part(*to))
        to++;
    if (to == t->at) {
        fail_expecting(t, what);
        return STR("");
    }
    Str s = str_copy(t->arena, (Str){t->at, (uint32_t)(to - t->at)});
    take_to(t, to);
    return s;
}

Str text_word(Text *t) {
    skip(t);
    if (t->failed || t->at == t->end || !is_letter(*t->at)) {
        fail_expecting(t, "a word");
        return STR("");
    }
    return take_run(t, in_word, "a word");
}

/* "..": a backslash takes the next character as it is. */
static Str quoted_name(Text *t) {
    Buf b = buf_make(t->arena);
    const char *c = t->at + 1;
    for (; c < t->end && *c != '"' && *c != '\n'; c++) {
        if (*c == '\\' && c + 1 < t->end)
            c++;
        buf_char(&b, *c);
    }
    if (c >= t->end || *c != '"') {
        text_fail(t, span_at(t, t->at, t->at + 1), "this quote is not closed on its line");
        return STR("");
    }
    take_to(t, c + 1);
    return buf_str(&b);
}

Str text_name(Text *t) {
    skip(t);
    if (t->failed)
        return STR("");
    return t->at < t->end && *t->at == '"' ? quoted_name(t) : take_run(t, in_name, "a name");
}

void buf_name(Buf *b, Str name) {
    bool plain = name.n > 0 && !is_digit(name.s[0]);
    for (uint32_t i = 0; i < name.n; i++)
        plain = plain && in_name(name.s[i]);
    if (plain) {
        buf_put(b, name);
        return;
    }
    buf_char(b, '"');
    for (uint32_t i = 0; i < name.n; i++) {
        if (name.s[i] == '"' || name.s[i] == '\\')
            buf_char(b, '\\');
        buf_char(b, name.s[i] == '\n' ? ' ' : name.s[i]);
    }
    buf_char(b, '"');
}

static bool is_taken(const Str *names, uint32_t n, Str name) {
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(names[i], name))
            return true;
    }
    return false;
}

Str text_distinct(Arena *a, const Str *earlier, uint32_t n, Str own) {
    Str name = own.n > 0 ? own : STR("_");
    for (uint32_t number = n; is_taken(earlier, n, name); number++)
        name = str_format(a, "%.*s.%u", FSTR(own), number);
    return name;
}

enum { NUMBER_MAX = 63 };

/* Copies the number that starts here; returns its length, 0 when there is none. */
static size_t number_text(Text *t, char to[NUMBER_MAX + 1]) {
    skip(t);
    size_t n = 0;
    const char *c = t->at;
    while (!t->failed && c < t->end && n < NUMBER_MAX) {
        bool sign = (*c == '-' || *c == '+') && (n == 0 || to[n - 1] == 'e');
        if (!sign && !in_word(*c) && *c != '.')
            break;
        to[n++] = *c++;
    }
    to[n] = 0;
    return n;
}

int64_t text_int(Text *t) {
    char s[NUMBER_MAX + 1], *stop;
    size_t n = number_text(t, s);
    if (n == 0 || !(is_digit(s[0]) || (n > 1 && (s[0] == '-' || s[0] == '+') && is_digit(s[1])))) {
        fail_expecting(t, "an integer");
        return 0;
    }
    errno = 0;
    bool hex = s[0] == '0' && s[1] == 'x';
    int64_t x = hex ? (int64_t)strtoull(s, &stop, 16) : strtoll(s, &stop, 10);
    if (errno != 0 || stop == s || (hex && *stop != 0)) {
        text_fail(t, span_at(t, t->at, t->at + n), "`%s` is not a 64-bit integer", s);
        return 0;
    }
    take_to(t, t->at + (stop - s));
    return x;
}

uint64_t text_uint(Text *t, uint64_t most) {
    uint64_t x = (uint64_t)text_int(t);
    if (!t->failed && x > most)
        text_fail(t, t->last, "this number must lie between 0 and %llu", (unsigned long long)most);
    return t->failed ? 0 : x;
}

double text_real(Text *t) {
    char s[NUMBER_MAX + 1], *stop = s;
    size_t n = number_text(t, s);
    bool special = strcmp(s, "nan") == 0 || strcmp(s, "inf") == 0 || strcmp(s, "-inf") == 0;
    bool digits = strspn(s, "+-.0123456789") > 0;
    double x = special || digits ? strtod(s, &stop) : 0;
    if (n == 0 || stop == s) {
        fail_expecting(t, "a number");
        return 0;
    }
    take_to(t, t->at + (stop - s));
    return isnan(x) ? (double)NAN : x;
}

DType text_dtype(Text *t) {
    DType type = DT_F32;
    Str word = text_word(t);
    if (!t->failed && !dtype_parse(word, &type))
        text_fail(t, t->last, "`%.*s` is not an element type", FSTR(word));
    return type;
}

void buf_spans(Buf *b, const SourceSet *s, const Span *at, uint32_t n) {
    if (n == 0)
        return;
    buf_put(b, STR(" from"));
    for (uint32_t i = 0; i < n; i++)
        buf_printf(b, " %u+%u", at[i].at, at[i].n);
    Place before = {0};
    for (uint32_t i = 0; i < n && s != NULL; i++) {
        Place place = sources_place(s, at[i]);
        if (place.path.n == 0 || (place.line == before.line && str_eq(place.path, before.path)))
            continue;
        buf_printf(b, "%s %.*s:%u", before.path.n == 0 ? "  #" : "", FSTR(place.path), place.line);
        before = place;
    }
}

Span text_span(Text *t) {
    Span s = {.at = (uint32_t)text_uint(t, UINT32_MAX)};
    text_want(t, "+");
    s.n = (uint32_t)text_uint(t, UINT32_MAX);
    return s;
}
