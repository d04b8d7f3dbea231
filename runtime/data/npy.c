/* The npy format: magic, version, length of the header, the header as a Python dict of three keys, then the
 * elements.  The dict is read by a parser that knows just these keys and their kinds of value; nothing is
 * evaluated.  The size of the file has to be what shape and type make it. */
#include "npy.h"
#include <string.h>

enum { PREFIX = 8, HEADER_MOST = 1 << 16 };

typedef struct {
    const char *name;
    DType dtype;
} NpyType;
static const NpyType k_types[] = {
    {"<f4", DT_F32}, {"<f8", DT_F64}, {"<f2", DT_F16},  {"<i4", DT_I32},
    {"<i8", DT_I64}, {"|u1", DT_U8},  {"|b1", DT_BOOL},
};

/* A cursor over the header; after the first thing that does not fit, `failed` holds. */
typedef struct {
    const char *at, *end;
    bool failed;
} Cursor;

static void skip_blanks(Cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static bool take(Cursor *c, const char *text) {
    skip_blanks(c);
    size_t n = strlen(text);
    if (c->failed || (size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
        return false;
    c->at += n;
    return true;
}

static void want(Cursor *c, const char *text) {
    if (!take(c, text))
        c->failed = true;
}

static Str take_quoted(Cursor *c) {
    skip_blanks(c);
    char quote = c->at < c->end ? *c->at : 0;
    if (c->failed || (quote != '\'' && quote != '"')) {
        c->failed = true;
        return (Str){0};
    }
    const char *start = ++c->at;
    while (c->at < c->end && *c->at != quote)
        c->at++;
    if (c->at == c->end) {
        c->failed = true;
        return (Str){0};
    }
    return (Str){start, (uint32_t)(c->at++ - start)};
}

static int64_t take_extent(Cursor *c) {
    skip_blanks(c);
    int64_t n = 0;
    const char *start = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && n < (int64_t)1 << 48; c->at++)
        n = n * 10 + (*c->at - '0');
    take(c, "L"); /* Python 2 wrote 3L */
    c->failed = c->failed || c->at == start;
    return n;
}

static Shape take_shape(Cursor *c) {
    Shape s = {0};
    want(c, "(");
    while (!c->failed && !take(c, ")")) {
        if (s.rank == MAX_RANK) {
            c->failed = true;
            break;
        }
        s.dim[s.rank++] = take_extent(c);
        if (!take(c, ",")) {
            want(c, ")");
            break;
        }
    }
    return s;
}

typedef struct {
    Str descr;
    bool fortran, has_fortran, has_shape;
    Shape shape;
} Header;

static void take_pair(Cursor *c, Header *h) {
    Str key = take_quoted(c);
    want(c, ":");
    if (str_is(key, "descr") && h->descr.s == NULL) {
        h->descr = take_quoted(c);
    } else if (str_is(key, "fortran_order") && !h->has_fortran) {
        h->has_fortran = true;
        h->fortran = take(c, "True");
        if (!h->fortran)
            want(c, "False");
    } else if (str_is(key, "shape") && !h->has_shape) {
        h->has_shape = true;
        h->shape = take_shape(c);
    } else {
        c->failed = true;
    }
}

static bool parse_header(Cursor *c, Header *h) {
    want(c, "{");
    while (!c->failed && !take(c, "}")) {
        take_pair(c, h);
        if (!take(c, ",")) {
            want(c, "}");
            break;
        }
    }
    skip_blanks(c);
    return !c->failed && c->at == c->end && h->descr.s != NULL && h->has_fortran && h->has_shape;
}

/* The header's text, and how many bytes stand before the elements. */
static GrStatus read_header_text(Arena *a, Stream *s, Str *text, uint64_t *before) {
    uint8_t prefix[PREFIX], length[4] = {0};
    TRY(stream_all(s, prefix, PREFIX, "header"));
    if (memcmp(prefix, "\x93NUMPY", 6) != 0)
        return fail(s->e, GR_DATA, "%.*s is not an npy file", FSTR(s->path));
    if (prefix[6] < 1 || prefix[6] > 3)
        return fail(s->e, GR_DATA, "%.*s is npy version %u.%u; 1 to 3 can be read", FSTR(s->path), prefix[6],
                    prefix[7]);
    uint32_t length_bytes = prefix[6] == 1 ? 2 : 4;
    TRY(stream_all(s, length, length_bytes, "header"));
    uint32_t n = length[0] | (uint32_t)length[1] << 8 | (uint32_t)length[2] << 16 | (uint32_t)length[3] << 24;
    *before = PREFIX + length_bytes + (uint64_t)n;
    if (n > HEADER_MOST || *before > s->most)
        return fail(s->e, GR_DATA, "%.*s claims a header of %u bytes and has %llu bytes in all",
                    FSTR(s->path), n, (unsigned long long)s->most);
    char *to = PUSH(a, char, n + 1);
    *text = (Str){to, n};
    return stream_all(s, to, n, "header");
}

static GrStatus check_type(Stream *s, const Header *h, DType *out) {
    for (size_t i = 0; i < sizeof k_types / sizeof *k_types; i++) {
        if (str_is(h->descr, k_types[i].name)) {
            *out = k_types[i].dtype;
            return GR_OK;
        }
    }
    fail(s->e, GR_DATA, "%.*s holds elements of type `%.*s`", FSTR(s->path), FSTR(h->descr));
    fail_help(s->e, "u1, b1, i4, i8, f2, f4 and f8 in little-endian order can be read: `numpy.save(path, "
                    "x.astype('<f4'))`");
    return GR_DATA;
}

static GrStatus check_size(Stream *s, uint64_t before, const NpyHeader *x) {
    uint64_t most = s->most - before, width = dtype_bytes(x->dtype);
    int64_t n = shape_within(x->shape, most / width);
    if (n >= 0 && (!s->exact || (uint64_t)n * width == most))
        return GR_OK;
    int64_t said = shape_within(x->shape, INT64_MAX / width);
    if (said < 0)
        fail(s->e, GR_DATA, "%.*s: its header says over %llu bytes of elements, the file has %llu",
             FSTR(s->path), (unsigned long long)INT64_MAX, (unsigned long long)most);
    else
        fail(s->e, GR_DATA, "%.*s: its header says %llu bytes of elements, the file has %s%llu",
             FSTR(s->path), (unsigned long long)said * width, s->exact ? "" : "at most ",
             (unsigned long long)most);
    fail_help(s->e, n < 0 ? "the file is cut short, or the header is wrong"
                          : "something follows the array in the file");
    return GR_DATA;
}

GrStatus npy_header(Arena *a, Stream *s, NpyHeader *out) {
    Str text = {0};
    uint64_t before = 0;
    Header h = {0};
    TRY(read_header_text(a, s, &text, &before));
    Cursor c = {.at = text.s, .end = text.s + text.n};
    if (!parse_header(&c, &h))
        return fail(s->e, GR_DATA, "%.*s: its header is not what numpy writes: `%.*s`", FSTR(s->path),
                    (int)(text.n > 120 ? 120 : text.n), text.s);
    TRY(check_type(s, &h, &out->dtype));
    if (h.fortran && h.shape.rank > 1) {
        fail(s->e, GR_DATA, "%.*s lies in Fortran order (columns first)", FSTR(s->path));
        fail_help(s->e, "write it with `numpy.save(path, numpy.ascontiguousarray(x))`");
        return GR_DATA;
    }
    out->shape = h.shape;
    return check_size(s, before, out);
}

Str npy_header_text(Arena *a, DType t, Shape s) {
    const char *descr = NULL;
    for (size_t i = 0; i < sizeof k_types / sizeof *k_types; i++)
        descr = k_types[i].dtype == t ? k_types[i].name : descr;
    GR_ASSERT(descr != NULL); /* no tensor of a program has another type */
    Buf dict = buf_make(a), out = buf_make(a);
    buf_printf(&dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (uint32_t i = 0; i < s.rank; i++)
        buf_printf(&dict, "%lld%s", (long long)s.dim[i], i + 1 < s.rank ? ", " : s.rank == 1 ? "," : "");
    buf_printf(&dict, "), }");
    while ((PREFIX + 2 + dict.n + 1) % 64 != 0)
        buf_printf(&dict, " ");
    buf_printf(&dict, "\n");
    const char prefix[] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(dict.n & 255), (char)(dict.n >> 8)};
    buf_put(&out, (Str){prefix, sizeof prefix});
    buf_put(&out, buf_str(&dict));
    return buf_str(&out);
}

static GrStatus check_bools(Stream *s, const uint8_t *at, int64_t n, int64_t before) {
    for (int64_t i = 0; i < n; i++) {
        if (at[i] > 1)
            return fail(s->e, GR_DATA, "%.*s: element %lld is %u, a bool is 0 or 1", FSTR(s->path),
                        (long long)(before + i), at[i]);
    }
    return GR_OK;
}

GrStatus npy_rows(Arena *a, Stream *s, Str column, Sink *sink) {
    NpyHeader h;
    TRY(npy_header(a, s, &h));
    if (h.shape.rank == 0)
        return fail(s->e, GR_DATA, "%.*s holds one number, not rows", FSTR(s->path));
    Blocks b = blocks_of(h.shape, dtype_bytes(h.dtype));
    char *block = arena_push(a, (size_t)(b.most * b.row_bytes) + 1, 64);
    for (int64_t at = 0; at < b.rows; at += b.most) {
        int64_t n = b.rows - at < b.most ? b.rows - at : b.most;
        TRY(stream_all(s, block, (uint64_t)(n * b.row_bytes), "elements"));
        if (h.dtype == DT_BOOL)
            TRY(check_bools(s, (const uint8_t *)block, n * b.row_bytes, at * b.row_bytes));
        TRY(sink_put(sink, column, h.dtype, block, n, NULL, s->e));
    }
    return stream_end(s);
}

GrStatus npy_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    Stream s;
    NpyHeader h = {0};
    (void)count;
    GrStatus status = stream_open(a, f->path, &s, e);
    if (status == GR_OK)
        status = npy_header(a, &s, &h);
    stream_close(&s);
    vec_push(a, &out->at, (FileColumn){.name = f->column, .dtype = h.dtype, .shape = h.shape});
    return status;
}

GrStatus npy_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    Stream s;
    GrStatus status = stream_open(scratch, f->path, &s, e);
    if (status == GR_OK)
        status = npy_rows(scratch, &s, f->column, sink);
    stream_close(&s);
    return status;
}
