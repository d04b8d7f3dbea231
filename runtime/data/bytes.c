/* `bytes`: every byte of a file is a row.  `lines`: every line is one, a ragged row of its bytes without the
 * line's end; an empty line is a row too, but nothing behind the last line end. */
#include "reader.h"
#include "stream.h"
#include <string.h>

enum { LINE_MOST = 1 << 20, ROWS_MOST = 1 << 16 };

/* ---- bytes ---- */
static GrStatus count_bytes(Arena *a, Stream *s, int64_t *rows) {
    char *block = PUSH(a, char, BLOCK_BYTES);
    uint64_t n;
    *rows = 0;
    do {
        TRY(stream_some(s, block, BLOCK_BYTES, &n));
        *rows += (int64_t)n;
    } while (n == BLOCK_BYTES);
    return stream_end(s);
}

GrStatus bytes_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    Stream s;
    int64_t rows = -1;
    GrStatus status = stream_open(a, f->path, &s, e);
    if (status == GR_OK && s.exact)
        rows = (int64_t)s.size;
    else if (status == GR_OK && count)
        status = count_bytes(a, &s, &rows);
    stream_close(&s);
    out->rows = rows;
    vec_push(a, &out->at, (FileColumn){.name = f->column, .dtype = DT_U8, .shape = shape_of(1, &rows)});
    return status;
}

static GrStatus read_bytes(Arena *a, Stream *s, Str column, Sink *sink) {
    char *block = PUSH(a, char, BLOCK_BYTES);
    uint64_t n;
    do {
        TRY(stream_some(s, block, BLOCK_BYTES, &n));
        TRY(sink_put(sink, column, DT_U8, block, (int64_t)n, NULL, s->e));
    } while (n == BLOCK_BYTES);
    return stream_end(s);
}

GrStatus bytes_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    Stream s;
    GrStatus status = stream_open(scratch, f->path, &s, e);
    if (status == GR_OK)
        status = read_bytes(scratch, &s, f->column, sink);
    stream_close(&s);
    return status;
}

/* ---- lines ---- */
typedef struct {
    Stream stream;
    Str column;
    Sink *sink;    /* NULL: only counts */
    char *block;   /* LINE_MOST + BLOCK_BYTES */
    uint64_t used; /* bytes in it; the last ones are a line that has not ended */
    int32_t *lengths;
    int64_t held, rows;
} Lines;

static GrStatus flush(Lines *l, uint64_t bytes) {
    if (l->sink != NULL && l->held > 0)
        TRY(sink_put(l->sink, l->column, DT_U8, l->block, l->held, l->lengths, l->stream.e));
    memmove(l->block, l->block + bytes, l->used - bytes);
    l->used -= bytes;
    l->held = 0;
    return GR_OK;
}

/* Takes the lines that end in the new bytes; the ends themselves are squeezed out. */
static GrStatus take_lines(Lines *l, const char *in, uint64_t n, uint64_t *open) {
    for (uint64_t i = 0; i < n;) {
        const char *end = memchr(in + i, '\n', n - i);
        uint64_t part = end == NULL ? n - i : (uint64_t)(end - in) - i;
        memcpy(l->block + l->used, in + i, part);
        l->used += part;
        *open += part;
        if (*open > LINE_MOST)
            return fail(l->stream.e, GR_DATA, "%.*s, row %lld: a line of over %d bytes", FSTR(l->stream.path),
                        (long long)l->rows, LINE_MOST);
        i += part + 1;
        if (end == NULL)
            break;
        if (*open > 0 && l->block[l->used - 1] == '\r')
            l->used--, (*open)--;
        l->lengths[l->held++] = (int32_t)*open;
        l->rows++;
        *open = 0;
        if (l->held == ROWS_MOST)
            TRY(flush(l, l->used));
    }
    return GR_OK;
}

static GrStatus all_lines(Arena *a, Lines *l) {
    char *in = PUSH(a, char, BLOCK_BYTES);
    uint64_t n, open = 0;
    l->block = PUSH(a, char, LINE_MOST + 2 * BLOCK_BYTES);
    l->lengths = PUSH(a, int32_t, ROWS_MOST);
    do {
        TRY(stream_some(&l->stream, in, BLOCK_BYTES, &n));
        TRY(take_lines(l, in, n, &open));
        TRY(flush(l, l->used - open));
    } while (n == BLOCK_BYTES);
    TRY(stream_end(&l->stream));
    if (open > 0) { /* the last line has no end */
        l->lengths[l->held++] = (int32_t)open;
        l->rows++;
    }
    return flush(l, l->used);
}

static GrStatus run_lines(Arena *a, const ReaderFile *f, Lines *l, Error *e) {
    GrStatus status = stream_open(a, f->path, &l->stream, e);
    if (status == GR_OK)
        status = all_lines(a, l);
    stream_close(&l->stream);
    return status;
}

GrStatus lines_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    Lines l = {.column = f->column, .rows = -1};
    if (count) {
        l.rows = 0;
        TRY(run_lines(a, f, &l, e));
    } else {
        uint64_t size;
        TRY(file_check(a, f->path, &size, e));
    }
    out->rows = l.rows;
    FileColumn c = {.name = f->column, .dtype = DT_U8, .ragged = true};
    c.shape = shape_of(2, (int64_t[]){l.rows, -1});
    vec_push(a, &out->at, c);
    return GR_OK;
}

GrStatus lines_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    Lines l = {.column = f->column, .sink = sink};
    return run_lines(scratch, f, &l, e);
}
