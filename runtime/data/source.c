/* Opening a source holds what its files say they have against what is declared; all that costs is headers
 * (and for tables of text one pass that counts).  Reading goes a file at a time, block by block into the
 * columns: a reader's rows are converted where they belong, and every value that does not fit is refused
 * with its place. */
#include "source.h"
#include "convert.h"
#include <string.h>

/* ---- messages ---- */
Str column_type_text(Arena *a, const RecipeColumn *c) {
    Buf b = buf_make(a);
    buf_printf(&b, "%s", dtype_name(c->dtype));
    if (c->ragged) {
        buf_printf(&b, "[up to %lld]", (long long)c->shape.dim[0]);
    } else if (c->shape.rank > 0) {
        buf_shape(&b, c->shape);
    }
    if (c->bound > 0)
        buf_printf(&b, " < %lld", (long long)c->bound);
    return buf_str(&b);
}

GrStatus column_refuse(const RecipeData *d, const RecipeColumn *c, Str where, int64_t row, int64_t place,
                       DType type, const void *in, int64_t i, Error *e) {
    Arena *a = arena_create();
    Buf value = buf_make(a);
    convert_print(&value, type, in, i);
    fail(e, GR_DATA, "%.*s, row %lld: value %s in `%.*s` (%.*s), place %lld of the row", FSTR(where),
         (long long)row, buf_str(&value).s, FSTR(c->name), FSTR(column_type_text(a, c)), (long long)place);
    fail_help(e, "rows and places count from 0; mend the data, or the type of `%.*s` in data `%.*s`",
              FSTR(c->name), FSTR(d->name));
    arena_destroy(a);
    return GR_DATA;
}

static GrStatus no_column(Arena *a, const ReaderFile *f, const FileColumns *have, Str name, Error *e) {
    Buf names = buf_make(a);
    const FileColumn *near = NULL;
    for (uint32_t i = 0; i < have->at.n; i++) {
        if (i < 12)
            buf_printf(&names, "%s`%.*s`", i == 0 ? "" : ", ", FSTR(have->at.at[i].name));
        if (str_distance(have->at.at[i].name, name) <= 1 + name.n / 4)
            near = &have->at.at[i];
    }
    fail(e, GR_DATA, "%.*s has no column `%.*s`", FSTR(f->path), FSTR(name));
    if (near != NULL)
        fail_help(e, "is it `%.*s`?", FSTR(near->name));
    else if (have->at.n > 0)
        fail_help(e, "it has %.*s%s", FSTR(buf_str(&names)), have->at.n > 12 ? ", .." : "");
    return GR_DATA;
}

/* ---- opening ---- */

/* Of a cut `columns[first:end]` of a row of n; false: it leads outside. */
static bool cut_range(const RecipeColumn *c, int64_t n, int64_t *first, int64_t *end) {
    *first = !c->has_first ? 0 : c->first < 0 ? n + c->first : c->first;
    *end = !c->has_end ? n : c->end < 0 ? n + c->end : c->end;
    return 0 <= *first && *first <= *end && *end <= n;
}

static GrStatus check_cut(Arena *a, const ReaderFile *f, const RecipeColumn *c, const FileColumn *x,
                          Error *e) {
    int64_t first, end, n = x->shape.rank == 2 ? x->shape.dim[1] : -1;
    if (n >= 0 && cut_range(c, n, &first, &end) && end - first == shape_count(c->shape))
        return GR_OK;
    if (n < 0)
        return fail(e, GR_DATA, "%.*s: a row of `%.*s` is no list of values to cut", FSTR(f->path),
                    FSTR(x->name));
    fail(e, GR_DATA, "%.*s has rows of %lld values; the part of `%.*s` has not the %lld values of %.*s",
         FSTR(f->path), (long long)n, FSTR(c->name), (long long)shape_count(c->shape),
         FSTR(column_type_text(a, c)));
    fail_help(e, "is the part cut at the right places, and is it the right file?");
    return GR_DATA;
}

static GrStatus check_column(Arena *a, const ReaderFile *f, const RecipeColumn *c, const FileColumn *x,
                             Error *e) {
    if (x->problem.n > 0) {
        fail(e, GR_DATA, "%.*s", FSTR(x->problem));
        fail_help(e, "%.*s", FSTR(x->help));
        return GR_DATA;
    }
    if (x->shape.rank == 0)
        return fail(e, GR_DATA, "%.*s holds one number, not rows%s%.*s", FSTR(f->path),
                    f->column.n == 0 ? ", as `" : "", f->column.n == 0 ? (int)x->name.n : 0, x->name.s);
    if (c->lengths && x->ragged)
        return GR_OK;
    if (c->ragged != x->ragged) {
        fail(e, GR_DATA, "%.*s: rows of `%.*s` %s, but `%.*s` is declared %.*s", FSTR(f->path), FSTR(x->name),
             x->ragged ? "have each their own length" : "have all one length", FSTR(c->name),
             FSTR(column_type_text(a, c)));
        if (x->ragged)
            fail_help(e, "declare it `%s[up to 24]`, with the length of the longest row",
                      dtype_name(c->dtype));
        return GR_DATA;
    }
    if (c->cut)
        return check_cut(a, f, c, x, e);
    Shape row = {.rank = (uint8_t)(x->shape.rank - 1)};
    memcpy(row.dim, x->shape.dim + 1, sizeof *row.dim * row.rank);
    if (c->ragged || shape_eq(row, c->shape))
        return GR_OK;
    Buf have = buf_make(a);
    if (x->shape.dim[0] >= 0) {
        buf_shape(&have, x->shape);
        return fail(e, GR_DATA, "%.*s holds %s, but a row of `%.*s` is declared %.*s", FSTR(f->path),
                    buf_str(&have).s, FSTR(c->name), FSTR(column_type_text(a, c)));
    }
    buf_shape(&have, row);
    return fail(e, GR_DATA, "%.*s has rows of %s, but a row of `%.*s` is declared %.*s", FSTR(f->path),
                row.rank == 0 ? "one value" : buf_str(&have).s, FSTR(c->name), FSTR(column_type_text(a, c)));
}

static const FileColumn *find_column(const FileColumns *have, Str name) {
    for (uint32_t i = 0; i < have->at.n; i++) {
        if (str_eq(have->at.at[i].name, name))
            return &have->at.at[i];
    }
    return NULL;
}

static bool by_argument(const ReaderFile *f) { return f->column.n > 0; }

static bool file_wanted(const DataSource *s, const ReaderFile *f) {
    for (uint32_t i = 0; i < s->n_wants; i++) {
        if (!by_argument(f) || str_eq(f->column, column_source(s->wants[i])))
            return true;
    }
    return false;
}

static GrStatus open_file(Arena *a, DataSource *s, const ReaderFile *f, Error *e) {
    FileColumns have = {.rows = -1};
    TRY(reader_of(s->recipe->reader)->describe(a, f, true, &have, e));
    SourceFile file = {*f, -1};
    Str first = {0};
    for (uint32_t i = 0; i < s->n_wants; i++) {
        Str name = column_source(s->wants[i]);
        if (by_argument(f) && !str_eq(f->column, name))
            continue;
        const FileColumn *x = find_column(&have, name);
        if (x == NULL && have.open)
            continue;
        if (x == NULL)
            return no_column(a, f, &have, name, e);
        TRY(check_column(a, f, s->wants[i], x, e));
        int64_t rows = x->shape.dim[0];
        if (file.rows >= 0 && rows != file.rows) {
            fail(e, GR_DATA, "%.*s: `%.*s` has %lld rows, `%.*s` has %lld", FSTR(f->path), FSTR(name),
                 (long long)rows, FSTR(first), (long long)file.rows);
            fail_help(e, "the columns of one source describe the same rows");
            return GR_DATA;
        }
        file.rows = rows;
        first = name;
    }
    file.rows = file.rows < 0 ? have.rows : file.rows;
    if (file.rows < 0)
        return fail(e, GR_DATA, "%.*s holds no rows", FSTR(f->path));
    vec_push(a, &s->files, file);
    return GR_OK;
}

static bool same_column(const DataSource *s, uint32_t i, uint32_t k) {
    return str_eq(s->files.at[i].file.column, s->files.at[k].file.column);
}

/* The rows of the column that file i is the first of; 0 files: it is not the first. */
static uint32_t column_rows(const DataSource *s, uint32_t i, int64_t *rows) {
    uint32_t files = 0;
    *rows = 0;
    for (uint32_t k = 0; k < s->files.n; k++) {
        if (!same_column(s, i, k))
            continue;
        if (k < i)
            return 0;
        *rows += s->files.at[k].rows;
        files++;
    }
    return files;
}

/* Files of one argument lie one behind the other, those of several side by side. */
static GrStatus count_rows(DataSource *s, Error *e) {
    for (uint32_t i = 0; i < s->files.n; i++) {
        int64_t rows;
        if (column_rows(s, i, &rows) == 0)
            continue;
        if (i > 0 && rows != s->rows) {
            fail(e, GR_DATA, "%.*s has %lld rows, %.*s has %lld", FSTR(s->files.at[i].file.path),
                 (long long)rows, FSTR(s->files.at[0].file.path), (long long)s->rows);
            fail_help(e, "the columns of one source describe the same rows");
            return GR_DATA;
        }
        s->rows = rows;
    }
    return GR_OK;
}

static GrStatus check_given(const DataSource *s, const ReaderFiles *files, Error *e) {
    for (uint32_t i = 0; i < s->n_wants; i++) {
        bool given = false;
        for (uint32_t f = 0; f < files->n; f++)
            given = given || !by_argument(&files->at[f]) ||
                    str_eq(files->at[f].column, column_source(s->wants[i]));
        if (!given)
            return fail(e, GR_DATA, "data `%.*s`: one of its sources has no column `%.*s`",
                        FSTR(s->data->name), FSTR(column_source(s->wants[i])));
    }
    return GR_OK;
}

/* Only what is used is opened; a source of which nothing is used still has to say how many rows it has. */
GrStatus source_open(Arena *a, const RecipeData *d, uint32_t source, const RecipeColumn *const *wants,
                     uint32_t n_wants, DataSource *out, Error *e) {
    *out = (DataSource){.data = d, .recipe = &d->sources.at[source], .wants = wants, .n_wants = n_wants};
    if (reader_of(out->recipe->reader) == NULL) {
        out->rows = out->recipe->rows;
        return n_wants == 0 ? GR_OK : check_given(out, &(ReaderFiles){0}, e);
    }
    ReaderFiles files = {0};
    TRY(source_files(a, d, out->recipe, &files, e));
    TRY(check_given(out, &files, e));
    bool any = false;
    for (uint32_t i = 0; i < files.n; i++)
        any = any || file_wanted(out, &files.at[i]);
    for (uint32_t i = 0; i < files.n; i++) {
        if (file_wanted(out, &files.at[i]) || (!any && str_eq(files.at[i].column, files.at[0].column)))
            TRY(open_file(a, out, &files.at[i], e));
    }
    return count_rows(out, e);
}

/* ---- probing ---- */

/* As a formula sees it: int and real. */
static RecipeColumn as_seen(const FileColumn *c) {
    RecipeColumn x = {.name = c->name, .dtype = c->dtype, .raw = true, .ragged = c->ragged};
    if (c->any_type || c->dtype == DT_F64)
        x.dtype = DT_F32;
    if (c->dtype == DT_I64)
        x.dtype = DT_I32;
    x.shape.rank = (uint8_t)(c->shape.rank - 1);
    memcpy(x.shape.dim, c->shape.dim + 1, sizeof *x.shape.dim * x.shape.rank);
    return x;
}

static GrStatus probe_file(Arena *a, const RecipeData *d, const ReaderFile *f, RecipeProbe *out, Error *e) {
    FileColumns have = {.rows = -1};
    TRY(reader_of(f->source->reader)->describe(a, f, false, &have, e));
    for (uint32_t i = 0; i < have.at.n; i++) {
        if (have.at.at[i].shape.rank > 0 && have.at.at[i].problem.n == 0)
            vec_push(a, &out->columns, as_seen(&have.at.at[i]));
    }
    for (uint32_t i = 0; i < d->columns.n && !have.open; i++) {
        const RecipeColumn *c = &d->columns.at[i];
        if (!c->raw || (by_argument(f) && !str_eq(f->column, column_source(c))))
            continue;
        const FileColumn *x = find_column(&have, column_source(c));
        GrStatus s = x == NULL ? no_column(a, f, &have, column_source(c), e) : check_column(a, f, c, x, e);
        out->wrong = s == GR_OK ? NULL : c;
        TRY(s);
    }
    return GR_OK;
}

GrStatus source_probe(Arena *a, const RecipeData *d, uint32_t source, RecipeProbe *out, Error *e) {
    ReaderFiles files = {0};
    if (reader_of(d->sources.at[source].reader) == NULL)
        return GR_OK;
    TRY(source_files(a, d, &d->sources.at[source], &files, e));
    for (uint32_t i = 0; i < files.n; i++) {
        if (i == 0 || !str_eq(files.at[i].column, files.at[i - 1].column))
            TRY(probe_file(a, d, &files.at[i], out, e));
    }
    return GR_OK;
}

/* ---- reading ---- */
typedef struct {
    Sink base;
    const DataSource *source;
    const SourceFile *file;
    char *const *to;
    Room *room;
    const uint32_t *want; /* of the source, by want of the sink */
    int64_t *done;        /* rows, by want of the source */
    int64_t *of_file;     /* those of them that come from this file */
} Fill;

static size_t row_bytes(const RecipeColumn *c) {
    return (size_t)shape_count(c->shape) * dtype_bytes(c->dtype);
}

static GrStatus changed(const Fill *f, Error *e) {
    fail(e, GR_IO, "%.*s changed while it was read", FSTR(f->file->file.path));
    fail_help(e, "try again when nothing writes to it");
    return GR_IO;
}

/* Each row to its place, zeros behind what it has. */
static GrStatus put_ragged(Fill *f, const RecipeColumn *c, char *to, DType from, const char *in, int64_t row,
                           int64_t rows, const int32_t *lengths, Error *e) {
    Str path = f->file->file.path;
    for (int64_t i = 0; i < rows; i++, to += row_bytes(c)) {
        int64_t n = lengths[i];
        if (n > c->shape.dim[0]) {
            fail(e, GR_DATA, "%.*s, row %lld: %lld items in `%.*s`, which has up to %lld", FSTR(path),
                 (long long)(row + i), (long long)n, FSTR(c->name), (long long)c->shape.dim[0]);
            fail_help(e, "rows count from 0; declare `[up to n]` with the longest row, or drop it");
            return GR_DATA;
        }
        int64_t at = convert_elements(c->dtype, to, from, in, n, c->bound);
        if (at >= 0)
            return column_refuse(f->source->data, c, path, row + i, at, from, in, at, e);
        memset(to + (size_t)n * dtype_bytes(c->dtype), 0, row_bytes(c) - (size_t)n * dtype_bytes(c->dtype));
        in += (size_t)n * dtype_bytes(from);
    }
    return GR_OK;
}

static GrStatus put(Sink *s, uint32_t index, DType from, const void *at, int64_t rows, const int32_t *lengths,
                    Error *e) {
    Fill *f = (Fill *)s;
    uint32_t w = f->want[index];
    const RecipeColumn *c = f->source->wants[w];
    int64_t row = f->of_file[w], size = shape_count(c->shape);
    if (rows > f->file->rows - row || (lengths != NULL) != (c->ragged || c->lengths))
        return changed(f, e);
    char *to = f->to[w] + (size_t)f->done[w] * row_bytes(c);
    f->done[w] += rows;
    f->of_file[w] += rows;
    room_used(f->room, (size_t)rows * row_bytes(c));
    if (c->ragged)
        return put_ragged(f, c, to, from, at, row, rows, lengths, e);
    if (c->lengths) {
        memcpy(to, lengths, (size_t)rows * sizeof *lengths);
        return GR_OK;
    }
    int64_t i = convert_elements(c->dtype, to, from, at, rows * size, c->bound);
    return i < 0 ? GR_OK
                 : column_refuse(f->source->data, c, f->file->file.path, row + i / size, i % size, from, at,
                                 i, e);
}

static GrStatus read_file(Fill *f, Arena *a, Error *e) {
    const DataSource *s = f->source;
    const RecipeColumn **wants = PUSH(a, const RecipeColumn *, s->n_wants + 1);
    uint32_t *want = PUSH(a, uint32_t, s->n_wants + 1), n = 0;
    f->of_file = PUSH(a, int64_t, s->n_wants + 1);
    for (uint32_t i = 0; i < s->n_wants; i++) {
        if (by_argument(&f->file->file) && !str_eq(f->file->file.column, column_source(s->wants[i])))
            continue;
        want[n] = i;
        wants[n++] = s->wants[i];
    }
    f->want = want;
    f->base = (Sink){wants, n, put};
    TRY(reader_of(s->recipe->reader)->read(a, &f->file->file, &f->base, e));
    for (uint32_t i = 0; i < n; i++) {
        if (f->of_file[want[i]] != f->file->rows)
            return changed(f, e);
    }
    return GR_OK;
}

GrStatus source_read(const DataSource *s, char *const *to, Room *room, Error *e) {
    Arena *own = arena_create();
    Fill f = {.source = s, .to = to, .room = room, .done = PUSH(own, int64_t, s->n_wants + 1)};
    GrStatus status = GR_OK;
    for (uint32_t i = 0; i < s->files.n && s->n_wants > 0 && status == GR_OK; i++) {
        Arena *scratch = arena_create();
        f.file = &s->files.at[i];
        status = read_file(&f, scratch, e);
        arena_destroy(scratch);
    }
    arena_destroy(own);
    return status;
}
