/* Text tests of how diagnostics are drawn.  The input describes sources and what is said about them:
 *
 *     ---- file NAME ----        the lines below are source NAME
 *     ---- say ----              the lines below are:
 *     KIND PLACE text            a diagnostic; PLACE is NAME:LINE:COLUMN+BYTES, or `-` for no place
 *     label PLACE text           of the diagnostic above; `\n` in a text is a new line
 *     note text
 *     help text
 *
 * Options: colour (escapes are shown as ^), json. */
#include "test.h"
#include "diag.h"
#include <stdio.h>
#include <string.h>

static Str next_line(Str *rest) {
    const char *end = memchr(rest->s, '\n', rest->n);
    uint32_t n = end == NULL ? rest->n : (uint32_t)(end - rest->s), skip = n < rest->n ? n + 1 : n;
    Str line = {rest->s, n};
    *rest = (Str){rest->s + skip, rest->n - skip};
    return line;
}

static Str next_word(Str *rest) {
    uint32_t n = 0;
    while (n < rest->n && rest->s[n] != ' ')
        n++;
    Str word = {rest->s, n};
    n += n < rest->n;
    *rest = (Str){rest->s + n, rest->n - n};
    return word;
}

typedef VEC(const Source *) Sources;

static Span find_span(const Sources *sources, Str word) {
    char name[64];
    unsigned line, column, bytes;
    if (sscanf(str_copy(test_arena(), word).s, "%63[^:]:%u:%u+%u", name, &line, &column, &bytes) != 4)
        return (Span){0, 0};
    for (uint32_t i = 0; i < sources->n; i++) {
        const Source *s = sources->at[i];
        if (!str_is(s->path, name))
            continue;
        Str rest = s->text;
        while (--line > 0)
            next_line(&rest);
        return (Span){s->base + (uint32_t)(rest.s - s->text.s) + column - 1, bytes};
    }
    REQUIRE(!"a place names no file");
    return (Span){0, 0};
}

static DiagKind kind_of(Str name) {
    for (int k = 0; k < DIAG_COUNT; k++) {
        if (str_is(name, diag_kind_name((DiagKind)k)))
            return (DiagKind)k;
    }
    test_failed("kind", 0, "`%.*s` is no kind", FSTR(name));
    test_end();
}

static const char *text_of(Arena *a, Str s) {
    char *to = (char *)str_copy(a, s).s, *out = to;
    for (const char *in = to; *in != 0; in++) {
        bool line = in[0] == '\\' && in[1] == 'n';
        *out++ = line ? '\n' : *in;
        in += line;
    }
    *out = 0;
    return to;
}

static Diag *say(Arena *a, Diags *ds, Diag *d, const Sources *sources, Str line) {
    Str word = next_word(&line);
    if (str_is(word, "note"))
        diag_note(d, "%s", text_of(a, line));
    else if (str_is(word, "help"))
        diag_help(d, "%s", text_of(a, line));
    else {
        Span at = find_span(sources, next_word(&line));
        if (!str_is(word, "label"))
            return diag_add(ds, kind_of(word), at, "%s", text_of(a, line));
        diag_label(d, at, "%s", text_of(a, line));
    }
    return d;
}

static void show_escapes(Buf *b) {
    for (size_t i = 0; i < b->n; i++) {
        if (b->s[i] == '\33')
            b->s[i] = '^';
    }
}

static Str render(Arena *a, const TextTest *t) {
    SourceSet *set = sources_create(a);
    Sources sources = {0};
    Str rest = t->input, name = {0};
    Buf text = buf_make(a);
    while (rest.n > 0) {
        Str line = next_line(&rest);
        bool mark = str_starts(line, "---- ");
        if (!mark && name.n > 0)
            buf_printf(&text, "%.*s\n", FSTR(line));
        if (!mark)
            continue;
        if (name.n > 0)
            vec_push(a, &sources, sources_add(set, name, buf_str(&text)));
        text = buf_make(a);
        name = (Str){line.s + 10, line.n - 15};
        if (str_is(line, "---- say ----"))
            break;
    }
    Diags *ds = diags_create(a, set);
    Diag *d = NULL;
    while (rest.n > 0)
        d = say(a, ds, d, &sources, next_line(&rest));
    Buf out = buf_make(a);
    if (text_flag(t, "json"))
        diags_render_json(ds, &out);
    else
        diags_render(ds, &out, text_flag(t, "colour"));
    show_escapes(&out);
    return buf_str(&out);
}

TEXT_KIND("render", "txt", render)
