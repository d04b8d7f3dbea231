/* Shrinking works on the text: a line is left out, a use of a value becomes the use of another one of the
 * same type, a number becomes a smaller one everywhere.  What is then no valid module any more does not fail,
 * so nothing here has to know what the lines mean.  A change is kept when the text still ends the same way.
 */
#include "fuzz_graph.h"
#include "graph_case.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TRIES = 1500, KIND = 24, MOST_LINES = 1024 };

typedef struct {
    Arena *arena;
    Guard *guard;
    const Math *math;
    uint64_t seed;
    uint32_t modes, tries;
    GuardEnd end;
    char kind[KIND]; /* how a crash's last words begin: another crash is another finding */
    Str best;
} Shrink;

static void kind_of(const Guard *g, GuardEnd end, char *out) {
    memset(out, 0, KIND);
    if (end == GUARD_CRASH)
        snprintf(out, KIND, "%.*s", KIND - 1, g->what);
}

static bool still_fails(Shrink *s, Str text) {
    if (s->tries++ >= MOST_TRIES || text.n >= s->best.n + 16)
        return false;
    GuardEnd end = fuzz_case(s->guard, s->math, text, s->seed, s->modes);
    char kind[KIND];
    kind_of(s->guard, end, kind);
    if (end != s->end || strcmp(kind, s->kind) != 0)
        return false;
    s->best = text;
    return true;
}

/* ---- what nothing reads: lines are numbered, so they go through the graph ---- */
static void clean(Shrink *s) {
    SourceSet *sources = sources_create(s->arena);
    const Source *source = sources_add(sources, STR("case.ir"), s->best);
    Module *m = module_parse(s->arena, source, sources, s->math, diags_create(s->arena, sources));
    for (uint32_t i = 0; m != NULL && i < m->graphs.n; i++) {
        Copy live = copy_begin(s->arena, m->graphs.at[i]);
        m->graphs.at[i] = copy_finish(&live);
    }
    Buf text = buf_make(s->arena);
    if (m != NULL) {
        m->sources = NULL;
        module_print(m, &text);
        if (text.n < s->best.n)
            still_fails(s, buf_str(&text));
    }
}

/* ---- lines ---- */
typedef struct {
    Str at[MOST_LINES];
    uint32_t n;
} Lines;

static Lines *lines_of(Arena *a, Str text) {
    Lines *l = PUSH(a, Lines, 1);
    while (text.n > 0 && l->n < MOST_LINES) {
        const char *end = memchr(text.s, '\n', text.n);
        uint32_t n = end ? (uint32_t)(end - text.s) + 1 : text.n;
        l->at[l->n++] = (Str){text.s, n};
        text = (Str){text.s + n, text.n - n};
    }
    return l;
}

static Str without(Arena *a, const Lines *l, uint32_t from, uint32_t n) {
    Buf b = buf_make(a);
    for (uint32_t i = 0; i < l->n; i++) {
        if (i < from || i >= from + n)
            buf_put(&b, l->at[i]);
    }
    return buf_str(&b);
}

static bool leave_out(Shrink *s, uint32_t size) {
    bool any = false;
    for (uint32_t at = lines_of(s->arena, s->best)->n; at-- > 0;) {
        Lines *l = lines_of(s->arena, s->best);
        if (at + size <= l->n && still_fails(s, without(s->arena, l, at, size)))
            any = true;
    }
    return any;
}

/* ---- values: "  %12.name: f32[2,3] = op .." ---- */
static bool defines(Str line, char *number, char *type) {
    Str copy = line;
    while (copy.n > 0 && copy.s[0] == ' ') {
        copy = (Str){copy.s + 1, copy.n - 1};
    }
    char text[256];
    snprintf(text, sizeof text, "%.*s", FSTR(copy));
    return sscanf(text, "%%%15[0-9]%*[^:]: %63[^ ]", number, type) == 2 ||
           sscanf(text, "%%%15[0-9]: %63[^ ]", number, type) == 2;
}

/* Every use %number after its definition becomes %other. */
static Str replaced(Arena *a, const Lines *l, uint32_t at, const char *number, const char *other) {
    Buf b = buf_make(a);
    size_t n = strlen(number);
    for (uint32_t i = 0; i < l->n; i++) {
        Str x = l->at[i];
        for (uint32_t k = 0; k < x.n; k++) {
            bool use = i > at && x.s[k] == '%' && k + n < x.n && memcmp(x.s + k + 1, number, n) == 0 &&
                       !isdigit((unsigned char)x.s[k + 1 + n]);
            buf_char(&b, x.s[k]);
            if (use) {
                buf_printf(&b, "%s", other);
                k += (uint32_t)n;
            }
        }
    }
    return buf_str(&b);
}

static bool replace_uses(Shrink *s) {
    bool any = false;
    for (uint32_t at = lines_of(s->arena, s->best)->n; at-- > 0;) {
        Lines *l = lines_of(s->arena, s->best);
        char number[16], type[64], other[16], other_type[64];
        if (at >= l->n || !defines(l->at[at], number, type))
            continue;
        for (uint32_t i = 0; i < at; i++) {
            if (!defines(l->at[i], other, other_type) || strcmp(type, other_type) != 0)
                continue;
            if (still_fails(s, replaced(s->arena, l, at, number, other))) {
                any = true;
                break;
            }
        }
    }
    return any;
}

/* ---- numbers in shapes ---- */
static bool number_at(Str t, uint32_t i, long *x, uint32_t *n) {
    bool starts = isdigit((unsigned char)t.s[i]) && i > 0 &&
                  (t.s[i - 1] == '[' || t.s[i - 1] == ',' || t.s[i - 1] == '=');
    if (!starts)
        return false;
    char *end;
    *x = strtol(t.s + i, &end, 10);
    *n = (uint32_t)(end - (t.s + i));
    return *n < 9 && *end != '.';
}

static Str with_number(Arena *a, Str t, long from, long to) {
    Buf b = buf_make(a);
    for (uint32_t i = 0; i < t.n; i++) {
        long x;
        uint32_t n;
        if (number_at(t, i, &x, &n) && x == from) {
            buf_printf(&b, "%ld", to);
            i += n - 1;
        } else {
            buf_char(&b, t.s[i]);
        }
    }
    return buf_str(&b);
}

static bool smaller_numbers(Shrink *s) {
    static const long to[] = {1, 2, 3, 16, 17, 513};
    bool any = false;
    for (uint32_t i = 0; i < s->best.n; i++) {
        long x;
        uint32_t n;
        if (!number_at(s->best, i, &x, &n) || x < 2)
            continue;
        for (uint32_t k = 0; k < 6 && to[k] < x; k++) {
            if (still_fails(s, with_number(s->arena, s->best, x, to[k]))) {
                any = true;
                break;
            }
        }
    }
    return any;
}

Str fuzz_shrink(Arena *a, Guard *g, const Math *math, Str text, uint64_t seed) {
    Shrink s = {.arena = a, .guard = g, .math = math, .seed = seed, .modes = g->modes, .best = text};
    s.end = fuzz_case(g, math, text, seed, s.modes);
    s.modes = g->modes;
    kind_of(g, s.end, s.kind);
    if (s.end == GUARD_WELL)
        return text; /* it depends on what ran before: keep all */
    bool any = true;
    while (any && s.tries < MOST_TRIES) {
        clean(&s);
        any = leave_out(&s, 8);
        any = leave_out(&s, 3) || any;
        any = leave_out(&s, 1) || any;
        any = replace_uses(&s) || any;
        clean(&s);
        any = smaller_numbers(&s) || any;
    }
    fuzz_case(g, math, s.best, seed, s.modes); /* for its last words */
    return s.best;
}
