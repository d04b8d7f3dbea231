/* How good the first message is.  tests/mutated/ holds lists of programs with one slip each, the place at which the
 * first message must point, and what it must say; the format is told at the head of a list.  What comes out is the
 * score and the messages of the misses, and a list fails when fewer than five of six slips are met. */
#include "lang.h"
#include "test.h"
#include <jansson.h>
#include <string.h>

typedef struct { Str remove, insert, says; } Slip;
typedef struct { uint32_t at, n; } Mark;
typedef struct { Arena *arena; const Math *math; Str program; Buf misses; uint32_t slips, met; } Score;

/* ---- reading a list ---- */

static Str next_line(Str *rest) {
    const char *end = rest->n ? memchr(rest->s, '\n', rest->n) : NULL;
    uint32_t n = end ? (uint32_t)(end - rest->s) : rest->n;
    Str line = {rest->s, n};
    *rest = (Str){rest->s + n + (end != NULL), rest->n - n - (end != NULL)};
    return line;
}

static Str after(Str line, uint32_t n) { return (Str){line.s + n, line.n - n}; }

static void append_line(Arena *a, Str *to, Str line) {
    *to = to->n ? str_format(a, "%.*s\n%.*s", FSTR(*to), FSTR(line)) : line;
}

static Str program_text(Arena *a, Str name, Str *rest) {
    if (str_ends(name, ".graph"))
        return test_read(str_format(a, "%.*s/%.*s", FSTR(test_root()), FSTR(name)));
    Buf b = buf_make(a);
    for (Str line = next_line(rest); !str_is(line, "end") && rest->n > 0; line = next_line(rest))
        buf_printf(&b, "%.*s\n", FSTR(line));
    return buf_str(&b);
}

/* ---- one slip ---- */

/* The program with the slip in it; the marks are taken out, and what they enclosed is told. */
static Str slipped(Score *s, const Slip *slip, Mark *mark) {
    const char *at = strstr(s->program.s, slip->remove.s), *open = strstr(slip->insert.s, "«"),
               *close = strstr(slip->insert.s, "»");
    if (at == NULL || strstr(at + 1, slip->remove.s) != NULL || open == NULL || close < open) {
        test_failed("tests/mutated/list.txt", 1, "`%.*s` stands not once in its program, or has no place in « »",
                    FSTR(slip->remove));
        test_end();
    }
    const uint32_t wide = (uint32_t)strlen("«");
    const char *tail = at + slip->remove.n;
    Buf b = buf_make(s->arena);
    buf_put(&b, (Str){s->program.s, (uint32_t)(at - s->program.s)});
    buf_put(&b, (Str){slip->insert.s, (uint32_t)(open - slip->insert.s)});
    *mark = (Mark){(uint32_t)b.n, (uint32_t)(close - open) - wide};
    buf_put(&b, (Str){open + wide, mark->n});
    buf_printf(&b, "%s%s", close + wide, tail);
    return buf_str(&b);
}

static uint32_t offset_of(Str text, const json_t *message) {
    json_int_t line = json_integer_value(json_object_get(message, "line"));
    uint32_t at = 0;
    for (json_int_t i = 1; i < line && at < text.n; at++)
        i += text.s[at] == '\n';
    return at + (uint32_t)json_integer_value(json_object_get(message, "column")) - 1;
}

/* In the message itself, a label, a note or the help. */
static bool says(const json_t *message, const char *what) {
    static const char *const parts[] = {"labels", "notes", "help"};
    bool found = strstr(json_string_value(json_object_get(message, "message")), what) != NULL;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *list = json_object_get(message, parts[i]);
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *x = json_array_get(list, k);
            found = found || strstr(json_string_value(i == 0 ? json_object_get(x, "text") : x), what) != NULL;
        }
    }
    return found;
}

static Diags *checked(Score *s, Str text) {
    SourceSet *files = sources_create(s->arena);
    Diags *ds = diags_create(s->arena, files);
    program_check(s->arena, files, sources_add(files, STR("test.graph"), text), 0, NULL, s->math, NULL, ds);
    return ds;
}

static json_t *first_message(Diags *ds) {
    Buf lines = buf_make(test_arena());
    diags_render_json(ds, &lines);
    return json_loads(lines.n ? lines.s : "", JSON_DISABLE_EOF_CHECK, NULL);
}

static void put_miss(Buf *out, const Slip *slip, const json_t *first) {
    buf_printf(out, "\n- %.*s\n+ %.*s\n? %.*s\n", FSTR(slip->remove), FSTR(slip->insert), FSTR(slip->says));
    if (first == NULL) {
        buf_printf(out, "no message\n");
        return;
    }
    buf_printf(out, "%d:%d: %s\n", (int)json_integer_value(json_object_get(first, "line")),
               (int)json_integer_value(json_object_get(first, "column")),
               json_string_value(json_object_get(first, "message")));
    const json_t *help = json_object_get(first, "help");
    for (size_t i = 0; i < json_array_size(help); i++)
        buf_printf(out, "help: %s\n", json_string_value(json_array_get(help, i)));
}

static void try_slip(Score *s, const Slip *slip) {
    Mark mark;
    Str text = slipped(s, slip, &mark);
    json_t *first = first_message(checked(s, text));
    uint32_t at = first ? offset_of(text, first) : 0;
    bool met = first != NULL && at >= mark.at && at < mark.at + mark.n && says(first, slip->says.s);
    s->slips++;
    s->met += met;
    if (!met)
        put_miss(&s->misses, slip, first);
    json_decref(first);
}

static Str judge(Arena *a, const TextTest *t) {
    Score s = {.arena = a, .misses = buf_make(a)};
    Error e = {0};
    REQUIRE(math_create(a, &s.math, &e) == GR_OK);
    Slip slip = {0};
    for (Str rest = t->input; rest.n > 0;) {
        Str line = str_copy(a, next_line(&rest));
        if (str_starts(line, "program ")) {
            s.program = program_text(a, after(line, 8), &rest);
            CHECK_MSG(diags_count(checked(&s, s.program)) == 0, "`%s` is not without mistakes", line.s);
        } else if (str_starts(line, "- ")) {
            append_line(a, &slip.remove, after(line, 2));
        } else if (str_starts(line, "+ ")) {
            append_line(a, &slip.insert, after(line, 2));
        } else if (str_starts(line, "? ")) {
            slip.says = after(line, 2);
            try_slip(&s, &slip);
            slip = (Slip){0};
        }
    }
    CHECK_MSG(s.met * 6 >= s.slips * 5, "only %u of %u first messages are good", s.met, s.slips);
    return str_format(a, "%u of %u first messages point at the slip and name the way out\n%.*s", s.met, s.slips,
                      FSTR(buf_str(&s.misses)));
}

TEXT_KIND("mutated", "txt", judge)
