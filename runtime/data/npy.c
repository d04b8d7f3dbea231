/* The npy format: magic, version, length of the header, the header as a Python dict of three keys, then the
 * elements.  The dict is read by a parser that knows just these keys and their kinds of value; nothing is
 * evaluated.  The size of the file has to be what shape and type make it. */
#include "array.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PREFIX = 8, HEADER_MOST = 1 << 16 };

typedef struct { const char *name; DType dtype; } NpyType;
static const NpyType k_types[] = {
    {"<f4", DT_F32}, {"<f8", DT_F64}, {"<f2", DT_F16},  {"<i4", DT_I32},
    {"<i8", DT_I64}, {"|u1", DT_U8},  {"|b1", DT_BOOL},
};

/* A cursor over the header; after the first thing that does not fit, `failed` holds. */
typedef struct { const char *at, *end; bool failed; } Cursor;

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
    take(c, "L");                                          /* Python 2 wrote 3L */
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

typedef struct { Str descr; bool fortran, has_fortran, has_shape; Shape shape; } Header;

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

typedef struct { int fd; Str path; uint64_t size; Error *e; } File;

static GrStatus read_at(File *f, void *to, uint64_t n, const char *what) {
    for (uint64_t got = 0; got < n;) {
        ssize_t k = read(f->fd, (char *)to + got, n - got > (1 << 30) ? 1 << 30 : n - got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fail_errno(f->e, GR_IO, "%.*s", FSTR(f->path));
        if (k == 0)
            return fail(f->e, GR_DATA, "%.*s is cut short in its %s", FSTR(f->path), what);
        got += (uint64_t)k;
    }
    return GR_OK;
}

/* The header's text, and how many bytes stand before the elements. */
static GrStatus read_header_text(Arena *a, File *f, Str *text, uint64_t *before) {
    uint8_t prefix[PREFIX], length[4] = {0};
    TRY(read_at(f, prefix, PREFIX, "header"));
    if (memcmp(prefix, "\x93NUMPY", 6) != 0)
        return fail(f->e, GR_DATA, "%.*s is not an npy file", FSTR(f->path));
    if (prefix[6] < 1 || prefix[6] > 3)
        return fail(f->e, GR_DATA, "%.*s is npy version %u.%u; 1 to 3 can be read", FSTR(f->path), prefix[6],
                    prefix[7]);
    uint32_t length_bytes = prefix[6] == 1 ? 2 : 4;
    TRY(read_at(f, length, length_bytes, "header"));
    uint32_t n = length[0] | (uint32_t)length[1] << 8 | (uint32_t)length[2] << 16 | (uint32_t)length[3] << 24;
    *before = PREFIX + length_bytes + (uint64_t)n;
    if (n > HEADER_MOST || *before > f->size)
        return fail(f->e, GR_DATA, "%.*s claims a header of %u bytes and has %llu bytes in all",
                    FSTR(f->path), n, (unsigned long long)f->size);
    char *s = PUSH(a, char, n + 1);
    *text = (Str){s, n};
    return read_at(f, s, n, "header");
}

static GrStatus check_type(File *f, const Header *h, DType *out) {
    for (size_t i = 0; i < sizeof k_types / sizeof *k_types; i++) {
        if (str_is(h->descr, k_types[i].name)) {
            *out = k_types[i].dtype;
            return GR_OK;
        }
    }
    fail(f->e, GR_DATA, "%.*s holds elements of type `%.*s`", FSTR(f->path), FSTR(h->descr));
    fail_help(f->e, "u1, b1, i4, i8, f2, f4 and f8 in little-endian order can be read: `numpy.save(path, "
                    "x.astype('<f4'))`");
    return GR_DATA;
}

static GrStatus check_size(File *f, uint64_t before, const Array *x) {
    uint64_t n = dtype_bytes(x->dtype), most = f->size - before;
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        uint64_t d = (uint64_t)x->shape.dim[i];
        n = d == 0 ? 0 : n > UINT64_MAX / d ? UINT64_MAX : n * d;
        if (n == 0)
            break;
    }
    if (n == most)
        return GR_OK;
    fail(f->e, GR_DATA, "%.*s: its header says %s%llu bytes of elements, the file has %llu", FSTR(f->path),
         n == UINT64_MAX ? "over " : "", (unsigned long long)n, (unsigned long long)most);
    fail_help(f->e, n > most ? "the file is cut short, or the header is wrong"
                             : "something follows the array in the file");
    return GR_DATA;
}

static GrStatus check_bools(File *f, const Array *x) {
    int64_t n = x->dtype == DT_BOOL ? shape_count(x->shape) : 0;
    for (int64_t i = 0; i < n; i++) {
        if (((const uint8_t *)x->at)[i] > 1)
            return fail(f->e, GR_DATA, "%.*s: element %lld is %u, a bool is 0 or 1", FSTR(f->path),
                        (long long)i, ((const uint8_t *)x->at)[i]);
    }
    return GR_OK;
}

static GrStatus read_file(Arena *a, File *f, Array *out) {
    Str text = {0};
    uint64_t before = 0;
    Header h = {0};
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return fail_errno(f->e, GR_IO, "%.*s", FSTR(f->path));
    if (!S_ISREG(st.st_mode))
        return fail(f->e, GR_IO, "%.*s is not a file", FSTR(f->path));
    f->size = (uint64_t)st.st_size;
    TRY(read_header_text(a, f, &text, &before));
    Cursor c = {.at = text.s, .end = text.s + text.n};
    if (!parse_header(&c, &h))
        return fail(f->e, GR_DATA, "%.*s: its header is not what numpy writes: `%.*s`", FSTR(f->path),
                    (int)(text.n > 120 ? 120 : text.n), text.s);
    TRY(check_type(f, &h, &out->dtype));
    if (h.fortran && h.shape.rank > 1) {
        fail(f->e, GR_DATA, "%.*s lies in Fortran order (columns first)", FSTR(f->path));
        fail_help(f->e, "write it with `numpy.save(path, numpy.ascontiguousarray(x))`");
        return GR_DATA;
    }
    out->shape = h.shape;
    TRY(check_size(f, before, out));
    uint64_t bytes = f->size - before;
    out->at = arena_push(a, bytes + 1, 64);
    TRY(read_at(f, out->at, bytes, "elements"));
    return check_bools(f, out);
}

GrStatus npy_read(Arena *a, Str path, Array *out, Error *e) {
    *out = (Array){0};
    File f = {.fd = open(str_copy(a, path).s, O_RDONLY | O_CLOEXEC), .path = path, .e = e};
    if (f.fd < 0) {
        fail_errno(e, GR_IO, "%.*s", FSTR(path));
        fail_help(e, "a path in a .graph file is relative to that file");
        return GR_IO;
    }
    GrStatus s = read_file(a, &f, out);
    close(f.fd);
    return s;
}
