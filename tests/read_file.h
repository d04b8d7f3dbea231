/* One column of one file, read as it is by a reader alone: for tests and for the fuzzer. */
#ifndef GR_TESTS_READ_FILE_H
#define GR_TESTS_READ_FILE_H
#include "reader.h"
#include <string.h>

typedef struct {
    DType dtype;
    Shape shape;
    void *at;
} Array;
typedef struct {
    Sink base;
    Arena *arena;
    Array *out;
    Buf bytes;
    int64_t rows;
} ArraySink;

static inline GrStatus array_put(Sink *s, uint32_t want, DType from, const void *at, int64_t rows,
                                 const int32_t *lengths, Error *e) {
    ArraySink *to = (ArraySink *)s;
    int64_t row = shape_count(s->wants[want]->shape), n = rows * row;
    (void)e;
    for (int64_t i = 0; lengths != NULL && i < rows; i++)
        n += lengths[i];
    to->out->dtype = from;
    to->rows += rows;
    buf_put(&to->bytes, (Str){at, (uint32_t)(n * dtype_bytes(from))});
    return GR_OK;
}

/* The first column, or that of the name; a ragged one without its lengths. */
static inline GrStatus read_file(Arena *a, const RecipeSource *source, Str path, Str name, Array *out,
                                 Error *e) {
    const Reader *r = reader_of(source->reader);
    ReaderFile f = {.source = source, .path = path, .column = name};
    FileColumns have = {.rows = -1};
    TRY(r->describe(a, &f, true, &have, e));
    const FileColumn *c = NULL;
    for (uint32_t i = 0; i < have.at.n; i++)
        c = c == NULL && (name.n == 0 || str_eq(have.at.at[i].name, name)) ? &have.at.at[i] : c;
    if (c == NULL)
        return fail(e, GR_DATA, "no such column");
    *out = (Array){c->dtype, c->shape, NULL};
    if (c->shape.rank == 0)
        return GR_OK;
    RecipeColumn want = {.name = c->name, .dtype = c->dtype, .raw = true, .ragged = c->ragged};
    want.shape.rank = (uint8_t)(c->shape.rank - 1);
    memcpy(want.shape.dim, c->shape.dim + 1, sizeof want.shape.dim[0] * want.shape.rank);
    want.shape.dim[0] = c->ragged ? 0 : want.shape.dim[0];
    const RecipeColumn *wants[] = {&want};
    ArraySink sink = {.base = {wants, 1, array_put}, .arena = a, .out = out, .bytes = buf_make(a)};
    TRY(r->read(a, &f, &sink.base, e));
    out->at = memcpy(arena_push(a, sink.bytes.n + 1, 64), sink.bytes.n ? sink.bytes.s : "", sink.bytes.n);
    if (sink.rows != c->shape.dim[0] && shape_count(want.shape) > 0)
        return fail(e, GR_DATA, "described and read rows differ");
    return GR_OK;
}
#endif
