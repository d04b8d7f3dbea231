/* `from reader(..)`: a call with the arguments that readers.def lists for it becomes a RecipeSource and its
 * files.  Nothing is opened here: files that are not there make no mistake of the program. */
#include "lower.h"
#include <string.h>

typedef struct {
    const char *name;
    ColumnNaming naming;
    const char *columns, *sample;
} Reader;
static const Reader k_readers[READER_COUNT] = {
#define READER(id, name, naming, columns, sample) [READER_##id] = {name, naming, columns, sample},
#define READER_OPTION(id, name, kind, what)
#include "readers.def"
#undef READER
#undef READER_OPTION
};

typedef enum { OPTION_BOOL, OPTION_TEXT, OPTION_COUNT, OPTION_INT } OptionKind;
typedef struct {
    ReaderKind reader;
    const char *name;
    OptionKind kind;
    const char *what;
    size_t field;
} Option;
static const Option k_options[] = {
#define READER(id, name, naming, columns, sample)
#define READER_OPTION(id, name, kind, what)                                                                  \
    {READER_##id, #name, OPTION_##kind, what, offsetof(RecipeSource, name)},
#include "readers.def"
#undef READER
#undef READER_OPTION
};

/* ---- which reader ---- */

static Str all_readers(Lower *l) {
    Buf b = buf_make(l->a);
    for (uint32_t i = 0; i < READER_COUNT; i++) {
        buf_printf(&b, "%s`%s`", i == 0 ? "" : i + 1 < READER_COUNT ? ", " : " and ", k_readers[i].name);
    }
    return buf_str(&b);
}

static const char *nearest_reader(Str name) {
    for (uint32_t i = 0; i < READER_COUNT; i++) {
        if (str_distance(name, str_of(k_readers[i].name)) <= 1 + name.n / 4) {
            return k_readers[i].name;
        }
    }
    return NULL;
}

static bool find_reader(Lower *l, const Expr *call, ReaderKind *out) {
    if (call->kind != EX_CALL) {
        Diag *diag = report(l, DIAG_DATA_DECL, call->at, "rows come from a reader with its arguments");
        diag_help(diag, "`from csv(\"table.csv\")`; there are %.*s", FSTR(all_readers(l)));
        return false;
    }
    Str name = call_name(call).text;
    for (uint32_t i = 0; i < READER_COUNT; i++) {
        if (str_is(name, k_readers[i].name)) {
            *out = (ReaderKind)i;
            return true;
        }
    }
    Diag *diag = report(l, DIAG_DATA_DECL, call->at, "there is no reader `%.*s`", FSTR(name));
    const char *near = nearest_reader(name);
    if (near) {
        diag_help(diag, "is it `%s`?", near);
    } else {
        diag_help(diag, "there are %.*s", FSTR(all_readers(l)));
    }
    return false;
}

/* ---- arguments ---- */

static const Option *find_option(ReaderKind reader, Str name) {
    for (size_t i = 0; i < sizeof k_options / sizeof *k_options; i++) {
        if (k_options[i].reader == reader && str_is(name, k_options[i].name)) {
            return &k_options[i];
        }
    }
    return NULL;
}

/* Of `extern` only the first: the second is the name of a function. */
bool source_takes_path(const Expr *call, uint32_t argument) {
    uint32_t reader = 0, before = 0;
    while (reader < READER_COUNT && !str_is(call_name(call).text, k_readers[reader].name)) {
        reader++;
    }
    if (reader == READER_COUNT || find_option((ReaderKind)reader, call->call.args.at[argument].name.text)) {
        return false;
    }
    for (uint32_t i = 0; i < argument; i++) {
        before += find_option((ReaderKind)reader, call->call.args.at[i].name.text) == NULL;
    }
    return reader != READER_EXTERN || before == 0;
}

static bool separator_fits(Str s) { return s.n == 1 && s.s[0] != '"' && s.s[0] != '\n' && s.s[0] != '\r'; }

static void take_option(Lower *l, RecipeSource *s, const Option *o, const Expr *value) {
    void *field = (char *)s + o->field;
    if (o->kind == OPTION_COUNT || o->kind == OPTION_INT) {
        const_expr_value(l, value, o->what, o->kind == OPTION_COUNT ? 1 : 0, field);
        return;
    }
    V v = eval(l, value);
    if (v->kind == VAL_POISON) {
        return;
    }
    if (o->kind == OPTION_BOOL && v->kind == VAL_BOOL) {
        *(bool *)field = v->boolean;
    } else if (o->kind == OPTION_TEXT && v->kind == VAL_TEXT && separator_fits(v->text)) {
        *(Str *)field = str_copy(l->m->arena, v->text);
    } else {
        Diag *diag = report(l, DIAG_DATA_DECL, value->at, "`%s` says %s, this is %.*s", o->name, o->what,
                            FSTR(value_describe(l, v)));
        diag_help(diag, o->kind == OPTION_BOOL ? "`%s = yes`, or `no`" : "`%s = \";\"`: one character",
                  o->name);
    }
}

static Str resolved_path(Lower *l, Str path) {
    if (path.n && path.s[0] == '/') {
        return str_copy(l->m->arena, path);
    }
    return str_format(l->m->arena, "%.*s%.*s", FSTR(l->frame->scope->folder), FSTR(path));
}

static void wrong_argument(Lower *l, ReaderKind reader, const Arg *a) {
    const Reader *r = &k_readers[reader];
    Diag *diag;
    if (a->name.text.n) {
        diag =
            report(l, DIAG_DATA_DECL, a->name.at, "`%s` has no argument `%.*s`", r->name, FSTR(a->name.text));
    } else if (r->naming == COLUMNS_BY_ARGUMENT) {
        diag = report(l, DIAG_DATA_DECL, a->value->at, "`%s` takes `column = \"path\"`", r->name);
    } else {
        diag = report(l, DIAG_DATA_DECL, a->value->at, "`%s` takes no such argument", r->name);
    }
    diag_help(diag, "as in `from %s`", r->sample);
}

/* Whether the name of an argument may be that of a column. */
static bool names_column(ReaderKind reader) {
    return k_readers[reader].naming == COLUMNS_BY_ARGUMENT || reader == READER_BYTES ||
           reader == READER_LINES;
}

static void take_argument(Lower *l, RecipeData *d, RecipeSource *s, const Arg *a) {
    const Option *o = find_option(s->reader, a->name.text);
    if (o) {
        take_option(l, s, o, a->value);
        return;
    }
    bool named = a->name.text.n != 0;
    bool fits = named ? names_column(s->reader) : k_readers[s->reader].naming != COLUMNS_BY_ARGUMENT;
    V v = fits && s->reader != READER_FRESH ? eval(l, a->value) : NULL;
    if (v && v->kind == VAL_POISON) {
        return;
    }
    bool first = d->files.n == s->first_file;
    if (v == NULL || v->kind != VAL_TEXT) {
        wrong_argument(l, s->reader, a);
    } else if (s->reader == READER_EXTERN && !first) {
        s->symbol = str_copy(l->m->arena, v->text);
    } else if (s->reader == READER_EXTERN || v->text.n > 0) {
        Str column = named                     ? a->name.text
                     : names_column(s->reader) ? str_of(k_readers[s->reader].columns)
                                               : (Str){0};
        Str path = resolved_path(l, v->text);
        bool typed = settings_typed_path(l->p, path);
        vec_push(l->m->arena, &d->files, ((RecipeFile){column, path, a->value->at, typed}));
    } else {
        report(l, DIAG_DATA_DECL, a->value->at, "an empty path");
    }
}

static bool complete(const RecipeSource *s) {
    switch (s->reader) {
    case READER_FRESH: return s->rows > 0;
    case READER_EXTERN: return s->n_files == 1 && s->symbol.n > 0;
    case READER_IDX:
    case READER_NPY:
    case READER_NPZ:
    case READER_HDF5:
    case READER_SAFETENSORS:
    case READER_CSV:
    case READER_BYTES:
    case READER_LINES:
    case READER_IMAGES: return s->n_files > 0;
    case READER_COUNT: break;
    }
    GR_BUG("reader %d", (int)s->reader);
}

void source_declare(Lower *l, RecipeData *d, const Stmt *st) {
    const Expr *call = st->from.reader;
    RecipeSource s = {.span = st->at, .split = st->from.split.text, .header = true, .first_file = d->files.n};
    if (!find_reader(l, call, &s.reader)) {
        return;
    }
    uint32_t errors = diags_errors(l->ds);
    for (uint32_t i = 0; i < call->call.args.n; i++) {
        take_argument(l, d, &s, &call->call.args.at[i]);
    }
    s.n_files = d->files.n - s.first_file;
    if (diags_errors(l->ds) > errors) {
        return;
    }
    if (!complete(&s)) {
        Diag *diag = report(l, DIAG_DATA_DECL, call->at,
                            s.reader == READER_FRESH    ? "`%s` takes the number of rows"
                            : s.reader == READER_EXTERN ? "`%s` takes a library and the name of its function"
                                                        : "`%s` takes the path of a file",
                            k_readers[s.reader].name);
        diag_help(diag, "as in `from %s`", k_readers[s.reader].sample);
        return;
    }
    vec_push(l->m->arena, &d->sources, s);
}

/* ---- columns ---- */

static bool is_word_of(const char *words, Str name) {
    for (const char *at = words; *at;) {
        size_t n = strcspn(at, " ");
        if (str_eq(name, (Str){at, (uint32_t)n})) {
            return true;
        }
        at += n + strspn(at + n, " ");
    }
    return false;
}

static bool file_gives(const RecipeData *d, const RecipeSource *s, Str name) {
    for (uint32_t f = s->first_file; f < s->first_file + s->n_files; f++) {
        if (str_eq(d->files.at[f].column, name)) {
            return true;
        }
    }
    return false;
}

bool source_gives(const RecipeData *d, Str name) {
    for (uint32_t i = 0; i < d->sources.n; i++) {
        const RecipeSource *s = &d->sources.at[i];
        switch (k_readers[s->reader].naming) {
        case COLUMNS_BY_FILE:
            if (s->reader != READER_CSV || s->header || str_is(name, "columns")) {
                return true;
            }
            break;
        case COLUMNS_BY_DECLARATION: return true;
        case COLUMNS_BY_READER:
            if (!names_column(s->reader) && is_word_of(k_readers[s->reader].columns, name)) {
                return true;
            }
            break;
        case COLUMNS_BY_ARGUMENT: break;
        }
        if (file_gives(d, s, name)) {
            return true;
        }
    }
    return false;
}
