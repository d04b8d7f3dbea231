/* Tables of numbers as text; libcsv finds the cells (quotes, separators, line ends), zlib unpacks.  With a
 * header each column has the name of its first cell; `columns` are all cells of a line in any case.  A line
 * has as many cells as the first one.  Cells become i64 or f64, as the declared type is, and go on in blocks
 * of rows. */
#include "convert.h"
#include "reader.h"
#include "stream.h"
#include <csv.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MOST = 1 << 20, CELL_MOST = 1 << 20, CELL_STEP = 1 << 16, PART = 1 << 16 };

/* Cell `column` of a line is element `place` of a row of want `want`; next: 1 + another one of the same
 * column. */
typedef struct {
    uint32_t want, place, next;
} Target;
typedef struct {
    Stream stream;
    struct csv_parser parser;
    Arena *arena;
    const RecipeSource *source;
    VEC(Str) names;    /* of the header */
    int64_t columns;   /* cells of the first line; 0: not known yet */
    int64_t cell, row; /* in the line; of those behind the header */
    bool header;       /* the line is the header */
    bool described;    /* that was all that is asked for */
    GrStatus status;
    Error *e;
    /* reading */
    Sink *sink;
    uint32_t *first; /* by column: 1 + its first target */
    VEC(Target) targets;
    int64_t *size;      /* by want: elements of a row */
    void **block;       /* by want: i64 or f64 */
    int64_t held, most; /* rows in the blocks */
} Csv;

static void stop(Csv *c, GrStatus s) { c->status = s; }

static Str column_name(Csv *c, int64_t i) {
    return i < c->names.n ? c->names.at[i] : str_format(c->arena, "%lld", (long long)i);
}

/* ---- cells ---- */
static GrStatus refuse_cell(Csv *c, const char *text, const char *what) {
    fail(c->e, GR_DATA, "%.*s, row %lld, column `%.*s`: %s%.60s%s", FSTR(c->stream.path), (long long)c->row,
         FSTR(column_name(c, c->cell)), *text ? "`" : "", text, *text ? what : "the cell is empty");
    fail_help(c->e, "rows count from 0%s; mend the cell, or leave the column out",
              c->header || c->names.n > 0 ? " behind the header" : "");
    return GR_DATA;
}

static bool is_decimal(const char *text) { return text[strspn(text, "0123456789+-.eE")] == 0; }

static bool parse_int(const char *text, int64_t *out) {
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (end != text && *end == 0 && errno == 0)
        return true;
    double x = is_decimal(text) ? strtod(text, &end) : 0;
    if (end == text || *end != 0 || !(x > -0x1p63 && x < 0x1p63) || x != (double)(int64_t)x)
        return false;
    *out = (int64_t)x;
    return true;
}

static bool parse_real(const char *text, double *out) {
    static const char *const words[] = {"inf", "-inf", "Inf", "-Inf", "Infinity", "-Infinity"};
    bool word = false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        word = word || strcmp(text, words[i]) == 0;
    char *end = NULL;
    if (!word && !is_decimal(text))
        return false;
    *out = strtod(text, &end);
    return end != text && *end == 0;
}

static bool parse_bool(const char *text, int64_t *out) {
    *out = strcmp(text, "true") == 0 || strcmp(text, "True") == 0;
    return *out == 1 || strcmp(text, "false") == 0 || strcmp(text, "False") == 0;
}

/* How tables say that a number is missing. */
static bool is_missing(const char *text) {
    static const char *const words[] = {"", "nan", "NaN", "-nan", "NA", "null"};
    bool word = false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        word = word || strcmp(text, words[i]) == 0;
    return word;
}

static GrStatus take_cell(Csv *c, const char *text, const Target *t) {
    const RecipeColumn *want = c->sink->wants[t->want];
    DType type = want->dtype;
    int64_t at = c->held * c->size[t->want] + t->place;
    if (dtype_is_float(type)) {
        double *to = (double *)c->block[t->want] + at;
        if (parse_real(text, to))
            return GR_OK;
        *to = NAN;
        return want->bound == BOUND_NONE_AT_ALL && is_missing(text) ? GR_OK : refuse_cell(c, text, "` is no number");
    }
    int64_t *to = (int64_t *)c->block[t->want] + at;
    if (parse_int(text, to) || (type == DT_BOOL && parse_bool(text, to)))
        return GR_OK;
    double x;
    return refuse_cell(c, text, parse_real(text, &x) ? "` is no whole number" : "` is no number");
}

static void on_cell(void *bytes, size_t n, void *user) {
    Csv *c = user;
    const char *text = bytes == NULL ? "" : bytes;
    if (c->status != GR_OK || c->described)
        return;
    if (c->columns == 0 && c->cell >= COLUMNS_MOST) {
        stop(c, fail(c->e, GR_DATA, "%.*s: its first line has more than %d cells", FSTR(c->stream.path),
                     COLUMNS_MOST));
    } else if (c->header && c->columns == 0) {
        Str name = str_copy(c->arena, (Str){text, (uint32_t)n});
        vec_push(c->arena, &c->names, name);
    } else if (!c->header && c->sink != NULL && c->cell < c->columns) {
        for (uint32_t t = c->first[c->cell]; t > 0 && c->status == GR_OK; t = c->targets.at[t - 1].next)
            stop(c, take_cell(c, text, &c->targets.at[t - 1]));
    }
    c->cell++;
}

/* ---- rows ---- */
static GrStatus flush(Csv *c) {
    for (uint32_t w = 0; w < c->sink->n_wants && c->held > 0; w++) {
        DType type = dtype_is_float(c->sink->wants[w]->dtype) ? DT_F64 : DT_I64;
        TRY(c->sink->put(c->sink, w, type, c->block[w], c->held, NULL, c->e));
    }
    c->held = 0;
    return GR_OK;
}

static GrStatus wrong_count(Csv *c) {
    fail(c->e, GR_DATA, "%.*s, row %lld has %lld cells, %s has %lld", FSTR(c->stream.path), (long long)c->row,
         (long long)c->cell, c->names.n > 0 ? "the header" : "the first line", (long long)c->columns);
    fail_help(
        c->e,
        "rows count from 0; every line has as many cells, and a cell with a separator stands in quotes");
    return GR_DATA;
}

static void on_line(int terminator, void *user) {
    Csv *c = user;
    (void)terminator;
    if (c->status != GR_OK || c->described)
        return;
    bool first = c->columns == 0;
    if (first) {
        c->columns = c->cell;
        if (c->source->columns > 0 && c->source->columns != c->columns)
            stop(c, fail(c->e, GR_DATA, "%.*s has %lld cells a line, its source says `columns = %lld`",
                         FSTR(c->stream.path), (long long)c->columns, (long long)c->source->columns));
    }
    if (c->status == GR_OK && c->cell != c->columns)
        stop(c, wrong_count(c));
    if (c->status == GR_OK && !c->header) {
        c->row++;
        c->held++;
        if (c->sink != NULL && c->held == c->most)
            stop(c, flush(c));
    }
    c->header = false;
    c->cell = 0;
}

/* ---- the file ---- */
static void *bounded_realloc(void *at, size_t bytes) { return bytes > CELL_MOST ? NULL : realloc(at, bytes); }

static GrStatus broken(Csv *c) {
    bool long_cell = csv_error(&c->parser) == CSV_ENOMEM;
    fail(c->e, GR_DATA, "%.*s, row %lld, cell %lld: %s", FSTR(c->stream.path), (long long)c->row,
         (long long)c->cell, long_cell ? "it is over a megabyte long" : "a quote stands where none can be");
    fail_help(c->e,
              "rows and cells count from 0; a cell in quotes ends with one, and `\"\"` in it is a quote");
    return GR_DATA;
}

static GrStatus parse_part(Csv *c, const char *part, size_t n) {
    if (memchr(part, 0, n) != NULL)
        return fail(c->e, GR_DATA, "%.*s, row %lld: a zero byte; it is no table of text",
                    FSTR(c->stream.path), (long long)c->row);
    if (csv_parse(&c->parser, part, n, on_cell, on_line, c) != n && c->status == GR_OK)
        return broken(c);
    return c->status;
}

/* From where the stream stands to its end, or as soon as `described` or an error ends it. */
static GrStatus parse_all(Csv *c, bool count) {
    char *part = PUSH(c->arena, char, PART);
    uint64_t n = 0, before = 0;
    do {
        TRY(stream_some(&c->stream, part, PART, &n));
        bool mark = before == 0 && n >= 3 && memcmp(part, "\xef\xbb\xbf", 3) == 0;
        TRY(parse_part(c, mark ? part + 3 : part, mark ? n - 3 : n));
        before += n;
        c->described = !count && c->columns > 0 && c->sink == NULL;
    } while (n == PART && !c->described);
    if (c->described)
        return GR_OK;
    TRY(stream_end(&c->stream));
    if (csv_fini(&c->parser, on_cell, on_line, c) != 0)
        return c->status != GR_OK ? c->status : broken(c);
    return c->status;
}

static GrStatus open_csv(Csv *c, Arena *a, const ReaderFile *f, Error *e) {
    *c = (Csv){.arena = a, .source = f->source, .header = f->source->header, .e = e};
    GR_ASSERT(csv_init(&c->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) == 0);
    csv_set_delim(&c->parser, f->source->separator.n > 0 ? (unsigned char)f->source->separator.s[0] : ',');
    csv_set_realloc_func(&c->parser, bounded_realloc);
    csv_set_blk_size(&c->parser, CELL_STEP);
    return stream_open(a, f->path, &c->stream, e);
}

static void close_csv(Csv *c) {
    csv_free(&c->parser);
    stream_close(&c->stream);
}

static void list_columns(Csv *c, bool counted, FileColumns *out) {
    int64_t rows = counted ? c->row : -1;
    out->rows = rows;
    bool all = true;
    for (uint32_t i = 0; i < c->names.n; i++) {
        FileColumn x = {.name = c->names.at[i], .dtype = DT_F64, .any_type = true};
        x.shape = shape_of(1, &rows);
        all = all && !str_is(x.name, "columns");
        vec_push(c->arena, &out->at, x);
    }
    FileColumn x = {.name = STR("columns"), .dtype = DT_F64, .any_type = true};
    x.shape = shape_of(2, (int64_t[]){rows, c->columns});
    if (all)
        vec_push(c->arena, &out->at, x);
}

GrStatus csv_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    Csv c;
    GrStatus status = open_csv(&c, a, f, e);
    if (status == GR_OK)
        status = parse_all(&c, count);
    if (status == GR_OK && c.columns == 0)
        status = fail(e, GR_DATA, "%.*s is empty", FSTR(f->path));
    close_csv(&c);
    if (status == GR_OK)
        list_columns(&c, count, out);
    return status;
}

/* ---- reading ---- */

/* The cells of a row that are `want`: first, and how many. */
static GrStatus place_want(Csv *c, const RecipeColumn *want, int64_t *first) {
    Str name = column_source(want);
    *first = -1;
    for (uint32_t i = 0; i < c->names.n; i++) {
        if (!str_eq(c->names.at[i], name))
            continue;
        if (*first >= 0)
            return fail(c->e, GR_DATA, "%.*s: two columns have the name `%.*s`", FSTR(c->stream.path),
                        FSTR(name));
        *first = i;
    }
    if (*first < 0)
        *first = !want->cut || !want->has_first ? 0
                 : want->first < 0              ? c->columns + want->first
                                                : want->first;
    if (*first >= 0 && *first <= c->columns && shape_count(want->shape) <= c->columns - *first)
        return GR_OK;
    return fail(c->e, GR_IO, "%.*s changed while it was read", FSTR(c->stream.path));
}

static GrStatus place_wants(Csv *c, Sink *sink) {
    int64_t all = 1;
    c->first = PUSH(c->arena, uint32_t, c->columns + 1);
    c->size = PUSH(c->arena, int64_t, sink->n_wants + 1);
    c->block = PUSH(c->arena, void *, sink->n_wants + 1);
    for (uint32_t w = 0; w < sink->n_wants; w++) {
        int64_t first;
        TRY(place_want(c, sink->wants[w], &first));
        c->size[w] = shape_count(sink->wants[w]->shape);
        for (int64_t i = 0; i < c->size[w]; i++) {
            vec_push(c->arena, &c->targets, (Target){w, (uint32_t)i, c->first[first + i]});
            c->first[first + i] = c->targets.n;
        }
        all += c->size[w];
    }
    c->most = BLOCK_BYTES / (8 * all) + 1;
    for (uint32_t w = 0; w < sink->n_wants; w++)
        c->block[w] = PUSH(c->arena, int64_t, c->most * c->size[w] + 1);
    return GR_OK;
}

static GrStatus read_rows(Csv *c, const Csv *layout, Sink *sink) {
    c->names = layout->names;
    c->columns = layout->columns;
    TRY(place_wants(c, sink));
    c->sink = sink;
    TRY(parse_all(c, true));
    return flush(c);
}

GrStatus csv_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    Csv layout, c;
    GrStatus status = open_csv(&layout, scratch, f, e);
    if (status == GR_OK)
        status = parse_all(&layout, false);
    close_csv(&layout);
    if (status != GR_OK)
        return status;
    status = open_csv(&c, scratch, f, e);
    if (status == GR_OK)
        status = read_rows(&c, &layout, sink);
    close_csv(&c);
    return status;
}
