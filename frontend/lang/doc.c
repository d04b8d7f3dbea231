/* What there is to say about one name, from the place that knows it: a word of the grammar or a built-in function from
 * words.def, a definition of the library from its text and the comment above it, a kind of diagnostic from docs/kinds,
 * an operation of the graph IR from ops.def.  A name may be several of these. */
#include "doc.h"
#include "ir.h"
#include "library.h"
#include "syntax.h"
#include <string.h>

static const struct { const char *class, *name, *form, *what; } words[] = {
#define WORD(class, name, form, what) {class, #name, form, what},
#include "words.def"
#undef WORD
};
enum { N_WORDS = sizeof words / sizeof *words, COLUMNS = 96 };

/* ---- text ---- */

/* Words in lines of COLUMNS, each behind `indent`. */
static void put_wrapped(Buf *out, const char *indent, Str text) {
    uint32_t column = 0;
    for (uint32_t i = 0; i < text.n;) {
        uint32_t end = i;
        while (end < text.n && text.s[end] != ' ' && text.s[end] != '\n') {
            end++;
        }
        bool fits = column > 0 && column + 1 + end - i <= COLUMNS;
        buf_printf(out, "%s%s", fits ? " " : column ? "\n" : "", fits ? "" : indent);
        column = fits ? column + 1 : (uint32_t)strlen(indent);
        buf_put(out, (Str){text.s + i, end - i});
        column += end - i;
        i = end + 1;
    }
    buf_char(out, '\n');
}

/* ---- the library ---- */

typedef bool Visit(void *user, const EmbeddedFile *file, const Source *source, const Decl *d);

static bool library_walk(Arena *a, Visit *visit, void *user) {
    SourceSet *sources = sources_create(a);
    Diags *ds = diags_create(a, sources);
    bool found = false;
    for (uint32_t i = 0; i < lib_count; i++) {
        const Source *s = sources_add(sources, str_of(lib_files[i].path), (Str){lib_files[i].text, lib_files[i].bytes});
        const AstFile *file = parse_source(a, s, ds);
        for (uint32_t k = 0; k < file->decls.n; k++) {
            found = visit(user, &lib_files[i], s, file->decls.at[k]) || found;
        }
    }
    return found;
}

/* The definition as it is written, up to its body; an expression is its own body. */
static Str signature(const Source *s, const Decl *d) {
    const char *text = s->text.s - s->base;
    uint32_t end = d->at.at + d->at.n;
    if (d->kind == DECL_OPTIMIZER) {
        end = d->optimizer.body.at.at;
    } else if ((d->kind == DECL_DEF || d->kind == DECL_MODEL) && d->function.value == NULL) {
        end = d->function.body.at.at;
    }
    while (end > d->at.at && (text[end - 1] == ' ' || text[end - 1] == '\n')) {
        end--;
    }
    return (Str){text + d->at.at, end - d->at.at};
}

typedef struct { Str name; Buf *out; Nearest *near; } Looking;

static bool put_definition(void *user, const EmbeddedFile *file, const Source *s, const Decl *d) {
    Looking *l = user;
    if (!str_eq(d->name.text, l->name)) {
        return false;
    }
    buf_printf(l->out, "%s%.*s\n", l->out->n ? "\n" : "", FSTR(signature(s, d)));
    if (d->doc.n) {
        put_wrapped(l->out, "    ", d->doc);
    }
    buf_printf(l->out, "    (%s)\n", file->path);
    return true;
}

static bool consider_definition(void *user, const EmbeddedFile *file, const Source *s, const Decl *d) {
    (void)file, (void)s;
    nearest_consider(((Looking *)user)->near, d->name.text);
    return true;
}

static bool list_definition(void *user, const EmbeddedFile *file, const Source *s, const Decl *d) {
    Looking *l = user;
    (void)file, (void)s;
    if (d->name.text.n > 0) {
        buf_printf(l->out, "%s%.*s", l->out->n ? " " : "", FSTR(d->name.text));
    }
    return true;
}

/* ---- words, kinds, operations ---- */

static bool put_words(Buf *out, Str name) {
    bool found = false;
    for (uint32_t i = 0; i < N_WORDS; i++) {
        if (str_is(name, words[i].name)) {
            buf_printf(out, "%s%s\n", out->n ? "\n" : "", words[i].form);
            put_wrapped(out, "    ", str_of(words[i].what));
            buf_printf(out, "    (%s)\n", words[i].class);
            found = true;
        }
    }
    return found;
}

Str doc_of_kind(DiagKind k) {
    const char *name = diag_kind_name(k);
    for (uint32_t i = 0; i < kinds_count; i++) {
        Str path = str_of(kinds_files[i].path);
        size_t n = strlen(name);
        if (path.n == n + strlen("kinds/.md") && memcmp(path.s + strlen("kinds/"), name, n) == 0) {
            return (Str){kinds_files[i].text, kinds_files[i].bytes};
        }
    }
    return (Str){0};
}

/* The page as a terminal shows it: its heading as messages print the kind, programs indented. */
static void put_page(Buf *out, const char *name, Str page) {
    bool code = false;
    for (uint32_t from = 0, i = 0; i < page.n; i++) {
        if (page.s[i] != '\n') {
            continue;
        }
        Str line = {page.s + from, i - from};
        if (str_starts(line, "```")) {
            code = !code;
        } else if (str_starts(line, "# ")) {
            buf_printf(out, "%s[%s]\n", out->n ? "\n" : "", name);
        } else {
            buf_printf(out, "%s%.*s\n", code && line.n ? "    " : "", FSTR(line));
        }
        from = i + 1;
    }
}

/* The kinds that `graphc data` finds have no program with a mistake: what they mean, in a sentence. */
static const struct { const char *name, *what; } findings[] = {
    {"leak", "Rows of two splits that have the same inputs: a validation that knows them says nothing about others."},
    {"labels", "Rows with the same inputs and another label: no model can be right in all of them."},
    {"finite", "A column has values that are NaN, which a training refuses, or infinite."},
    {"constant", "A column is the same in all rows: it tells a model nothing, and its deviation is 0."},
    {"classes", "A class that rows of another split have, and none of `train`."},
};
enum { N_FINDINGS = sizeof findings / sizeof *findings };

static bool put_kind(Buf *out, Str name) {
    for (int k = 0; k < DIAG_COUNT; k++) {
        if (str_is(name, diag_kind_name((DiagKind)k))) {
            put_page(out, diag_kind_name((DiagKind)k), doc_of_kind((DiagKind)k));
            return true;
        }
    }
    for (uint32_t i = 0; i < N_FINDINGS; i++) {
        if (str_is(name, findings[i].name)) {
            buf_printf(out, "%s[%s]\n", out->n ? "\n" : "", findings[i].name);
            put_wrapped(out, "    ", str_of(findings[i].what));
            buf_printf(out, "    (found by `graphc data`)\n");
            return true;
        }
    }
    return false;
}

static bool put_operation(Buf *out, Str name) {
    for (int op = 0; op < OP_COUNT; op++) {
        if (str_is(name, op_name((Op)op))) {
            buf_printf(out, "%s%s\n", out->n ? "\n" : "", op_name((Op)op));
            put_wrapped(out, "    ", str_of(op_what((Op)op)));
            buf_printf(out, "    (operation of the graph IR)\n");
            return true;
        }
    }
    return false;
}

/* ---- entry points ---- */

bool doc_print(Arena *a, Str name, Buf *out) {
    Looking l = {.name = name, .out = out};
    bool found = put_words(out, name);
    found = library_walk(a, put_definition, &l) || found;
    found = put_kind(out, name) || found;
    return put_operation(out, name) || found;
}

Str doc_nearest(Arena *a, Str name) {
    Nearest near = nearest_to(name);
    Looking l = {.near = &near};
    for (uint32_t i = 0; i < N_WORDS; i++) {
        nearest_consider(&near, str_of(words[i].name));
    }
    library_walk(a, consider_definition, &l);
    for (int k = 0; k < DIAG_COUNT; k++) {
        nearest_consider(&near, str_of(diag_kind_name((DiagKind)k)));
    }
    for (uint32_t i = 0; i < N_FINDINGS; i++) {
        nearest_consider(&near, str_of(findings[i].name));
    }
    return near.best;
}

bool doc_has_word(Str word) {
    bool found = false;
    for (uint32_t i = 0; i < N_WORDS; i++) {
        found = found || str_is(word, words[i].name);
    }
    return found;
}

void doc_list(Arena *a, Buf *out) {
    const char *class = "";
    Buf line = buf_make(a);
    for (uint32_t i = 0; i < N_WORDS; i++) {
        class = words[i].class;
        buf_printf(&line, "%s%s", line.n ? " " : "", words[i].name);
        if (i + 1 == N_WORDS || strcmp(words[i + 1].class, class) != 0) {
            buf_printf(out, "%s\n", class);
            put_wrapped(out, "    ", buf_str(&line));
            line.n = 0;
        }
    }
    Looking l = {.out = &line};
    library_walk(a, list_definition, &l);
    buf_printf(out, "library\n");
    put_wrapped(out, "    ", buf_str(&line));
    line.n = 0;
    for (int k = 0; k < DIAG_COUNT; k++) {
        buf_printf(&line, "%s%s", k ? " " : "", diag_kind_name((DiagKind)k));
    }
    for (uint32_t i = 0; i < N_FINDINGS; i++) {
        buf_printf(&line, " %s", findings[i].name);
    }
    buf_printf(out, "kinds of messages\n");
    put_wrapped(out, "    ", buf_str(&line));
}
