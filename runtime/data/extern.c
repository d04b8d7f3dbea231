/* Rows that a function of a shared library makes:  int64_t NAME_rows(uint64_t key); int     NAME(uint64_t
 * key, const char *column, const char *type, int64_t items, int64_t first, int64_t rows, void *to);  The
 * first says how many rows there are.  The second writes `rows` rows from row `first` on of a column to
 * `to`, one behind the other, `items` elements of `type` ("u8", "f32", ..) each, and returns 0; anything
 * else refuses the column. A key stands for the same rows however often and in whatever blocks they are
 * asked for, which is tried out.  It runs in a child process: what it breaks is not ours. */
#include "isolate.h"
#include "stream.h"
#include <dlfcn.h>
#include <string.h>

typedef int64_t CountRows(uint64_t key);
typedef int MakeRows(uint64_t key, const char *column, const char *type, int64_t items, int64_t first,
                     int64_t rows, void *to);
typedef struct {
    CountRows *count;
    MakeRows *make;
} Functions;

static GrStatus find(void *library, const ReaderFile *f, const char *name, void **out, Error *e) {
    *out = dlsym(library, name);
    if (*out != NULL)
        return GR_OK;
    fail(e, GR_DATA, "%.*s has no function `%s`", FSTR(f->path), name);
    fail_help(e, "it takes `int64_t %.*s_rows(uint64_t key)` and `int %.*s(..)`; docs/language.md has both",
              FSTR(f->source->symbol), FSTR(f->source->symbol));
    return GR_DATA;
}

static GrStatus load(Arena *a, const ReaderFile *f, Functions *out, Error *e) {
    uint64_t size;
    TRY(file_check(a, f->path, &size, e));
    bool bare = memchr(f->path.s, '/', f->path.n) == NULL; /* else the loader would look elsewhere */
    void *library = dlopen(str_format(a, "%s%.*s", bare ? "./" : "", FSTR(f->path)).s, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return fail(e, GR_DATA, "%.*s cannot be loaded: %s", FSTR(f->path), dlerror());
    Str symbol = str_copy(a, f->source->symbol);
    TRY(find(library, f, str_format(a, "%.*s_rows", FSTR(symbol)).s, (void **)&out->count, e));
    return find(library, f, symbol.s, (void **)&out->make, e);
}

static GrStatus describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    Functions x;
    (void)count;
    TRY(load(a, f, &x, e));
    out->open = true;
    out->rows = x.count((uint64_t)f->source->key);
    if (out->rows > 0)
        return GR_OK;
    return fail(e, GR_DATA, "%.*s: `%.*s_rows(%lld)` says %lld rows", FSTR(f->path), FSTR(f->source->symbol),
                (long long)f->source->key, (long long)out->rows);
}

typedef struct {
    const ReaderFile *file;
    Functions x;
    Arena *arena;
    Error *e;
} Making;

static GrStatus make(Making *m, const RecipeColumn *c, int64_t first, int64_t rows, void *to) {
    Str name = str_copy(m->arena, column_source(c));
    int said = m->x.make((uint64_t)m->file->source->key, name.s, dtype_name(c->dtype), shape_count(c->shape),
                         first, rows, to);
    if (said == 0)
        return GR_OK;
    fail(m->e, GR_DATA,
         "%.*s: `%.*s` does not make rows %lld to %lld of `%s` (%s, %lld items a row): it returns %d",
         FSTR(m->file->path), FSTR(m->file->source->symbol), (long long)first, (long long)(first + rows - 1),
         name.s, dtype_name(c->dtype), (long long)shape_count(c->shape), said);
    return GR_DATA;
}

static GrStatus not_same(const Making *m, const RecipeColumn *c, int64_t row) {
    fail(m->e, GR_DATA, "%.*s: `%.*s` makes another row %lld of `%.*s` the second time", FSTR(m->file->path),
         FSTR(m->file->source->symbol), (long long)row, FSTR(column_source(c)));
    fail_help(m->e, "a key has to stand for the same rows, in whatever blocks they are asked for");
    return GR_DATA;
}

static GrStatus make_column(Making *m, Sink *sink, uint32_t want, int64_t all) {
    const RecipeColumn *c = sink->wants[want];
    Shape shape = {.rank = (uint8_t)(c->shape.rank + 1), .dim = {all}};
    memcpy(shape.dim + 1, c->shape.dim, sizeof shape.dim[0] * c->shape.rank);
    Blocks b = blocks_of(shape, dtype_bytes(c->dtype));
    char *block = arena_push(m->arena, (size_t)(b.most * b.row_bytes) + 1, 64);
    char *again = arena_push(m->arena, (size_t)b.row_bytes + 1, 64);
    for (int64_t at = 0; at < b.rows; at += b.most) {
        int64_t n = b.rows - at < b.most ? b.rows - at : b.most;
        TRY(make(m, c, at, n, block));
        TRY(make(m, c, at + n - 1, 1, again));
        if (memcmp(again, block + (n - 1) * b.row_bytes, (size_t)b.row_bytes) != 0)
            return not_same(m, c, at + n - 1);
        TRY(sink->put(sink, want, c->dtype, block, n, NULL, m->e));
    }
    return GR_OK;
}

static GrStatus read_columns(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    Making m = {.file = f, .arena = scratch, .e = e};
    TRY(load(scratch, f, &m.x, e));
    int64_t rows = m.x.count((uint64_t)f->source->key);
    for (uint32_t i = 0; i < sink->n_wants; i++)
        TRY(make_column(&m, sink, i, rows));
    return GR_OK;
}

static const Reader k_inside = {describe, read_columns};
static const char k_who[] = "the function";

GrStatus extern_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    return isolated_describe(&k_inside, k_who, a, f, count, out, e);
}

GrStatus extern_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    return isolated_read(&k_inside, k_who, scratch, f, sink, e);
}
