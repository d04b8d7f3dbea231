/* The idx format: a big-endian magic (two zero bytes, type code, rank), as many big-endian u32 extents, then
 * the elements. zlib reads gzip and plain files alike.  What the header claims is held against what a file of
 * this length can hold before memory is asked for, and the file has to end where the header says. */
#include "array.h"
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { DEFLATE_MOST = 1032, IDX_RANK_MOST = MAX_RANK };    /* a byte of deflate makes at most so many */

typedef struct { uint8_t code; uint8_t bytes; DType dtype; } IdxType;
static const IdxType k_types[] = {
    {0x08, 1, DT_U8},  {0x09, 1, DT_I32}, {0x0b, 2, DT_I32},
    {0x0c, 4, DT_I32}, {0x0d, 4, DT_F32}, {0x0e, 8, DT_F64},
};

typedef struct { gzFile file; Str path; uint64_t size; bool compressed; Error *e; } Reader;

static GrStatus close_as(Reader *r, GrStatus s) {
    if (r->file != NULL)
        gzclose(r->file);
    return s;
}

static GrStatus open_file(Arena *a, Reader *r) {
    const char *z = str_copy(a, r->path).s;
    struct stat st;
    if (stat(z, &st) != 0) {
        fail_errno(r->e, GR_IO, "%.*s", FSTR(r->path));
        fail_help(r->e, "a path in a .graph file is relative to that file");
        return GR_IO;
    }
    if (!S_ISREG(st.st_mode))
        return fail(r->e, GR_IO, "%.*s is not a file", FSTR(r->path));
    r->size = (uint64_t)st.st_size;
    r->file = gzopen(z, "rb");
    if (r->file == NULL)
        return fail_errno(r->e, GR_IO, "%.*s", FSTR(r->path));
    gzbuffer(r->file, 1 << 17);
    return GR_OK;
}

static GrStatus broken(Reader *r) {
    int code;
    const char *what = gzerror(r->file, &code);
    const char *colon = strrchr(what, ':');                 /* zlib puts the path in front */
    return fail(r->e, GR_DATA, "%.*s: the gzip stream is damaged (%s)", FSTR(r->path),
                colon == NULL ? what : colon + 2);
}

/* Exactly n bytes; `what` is for the message. */
static GrStatus read_all(Reader *r, void *to, uint64_t n, const char *what) {
    uint64_t got = 0;
    while (got < n) {
        uint64_t rest = n - got;
        int k = gzread(r->file, (char *)to + got, rest > (1 << 30) ? 1 << 30 : (unsigned)rest);
        if (k < 0)
            return broken(r);
        if (k == 0) {
            fail(r->e, GR_DATA, "%.*s is cut short: %llu of %llu bytes of its %s are there", FSTR(r->path),
                 (unsigned long long)got, (unsigned long long)n, what);
            fail_help(r->e, "fetch the file again");
            return GR_DATA;
        }
        got += (uint64_t)k;
    }
    return GR_OK;
}

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static GrStatus read_header(Reader *r, const IdxType **type, Shape *shape) {
    uint8_t magic[4], extent[4];
    TRY(read_all(r, magic, 4, "header"));
    *type = NULL;
    for (size_t i = 0; i < sizeof k_types / sizeof *k_types; i++) {
        if (k_types[i].code == magic[2])
            *type = &k_types[i];
    }
    if (magic[0] != 0 || magic[1] != 0 || *type == NULL)
        return fail(r->e, GR_DATA, "%.*s is not an idx file: it starts with %02x %02x %02x %02x",
                    FSTR(r->path), magic[0], magic[1], magic[2], magic[3]);
    if (magic[3] == 0 || magic[3] > IDX_RANK_MOST)
        return fail(r->e, GR_DATA, "%.*s has %u dimensions; 1 to %d can be read", FSTR(r->path), magic[3],
                    IDX_RANK_MOST);
    *shape = (Shape){.rank = magic[3]};
    for (uint32_t i = 0; i < shape->rank; i++) {
        TRY(read_all(r, extent, 4, "header"));
        shape->dim[i] = big_endian(extent);
    }
    return GR_OK;
}

/* Elements, or -1 when the file cannot hold that many. */
static int64_t plausible_count(const Reader *r, const IdxType *type, Shape shape) {
    uint64_t most = (r->compressed ? r->size * DEFLATE_MOST : r->size) / type->bytes, n = 1;
    for (uint32_t i = 0; i < shape.rank; i++) {
        uint64_t d = (uint64_t)shape.dim[i];
        if (d != 0 && n > most / d)
            return -1;
        n *= d;
    }
    return (int64_t)n;
}

/* Widens in place from the back, where the source lies at the front of the same memory. */
static void decode(const IdxType *type, void *at, int64_t n) {
    const uint8_t *in = at;
    for (int64_t i = n - 1; i >= 0 && type->code != 0x08; i--) {
        const uint8_t *p = in + i * type->bytes;
        if (type->code == 0x09) {
            ((int32_t *)at)[i] = (int8_t)p[0];
        } else if (type->code == 0x0b) {
            ((int32_t *)at)[i] = (int16_t)(p[0] << 8 | p[1]);
        } else if (type->code == 0x0e) {
            uint64_t bits = (uint64_t)big_endian(p) << 32 | big_endian(p + 4);
            memcpy((char *)at + i * 8, &bits, 8);
        } else {
            uint32_t bits = big_endian(p);
            memcpy((char *)at + i * 4, &bits, 4);
        }
    }
}

static GrStatus check_end(Reader *r) {
    char one;
    int k = gzread(r->file, &one, 1), code;
    if (k < 0)
        return broken(r);
    gzerror(r->file, &code);
    if (code == Z_BUF_ERROR)
        return fail(r->e, GR_DATA, "%.*s is cut short: its gzip stream has no end", FSTR(r->path));
    if (k > 0)
        return fail(r->e, GR_DATA, "%.*s is longer than its header says", FSTR(r->path));
    return GR_OK;
}

static GrStatus read_file(Arena *a, Reader *r, Array *out) {
    const IdxType *type;
    TRY(open_file(a, r));
    TRY(read_header(r, &type, &out->shape));
    r->compressed = !gzdirect(r->file);
    int64_t n = plausible_count(r, type, out->shape);
    if (n < 0) {
        Buf shape = buf_make(a);
        buf_shape(&shape, out->shape);
        return fail(r->e, GR_DATA, "%.*s claims to hold %.*s elements, which a file of %llu bytes cannot",
                    FSTR(r->path), FSTR(buf_str(&shape)), (unsigned long long)r->size);
    }
    out->dtype = type->dtype;
    out->at = arena_push(a, (size_t)n * dtype_bytes(type->dtype) + 1, 64);
    TRY(read_all(r, out->at, (uint64_t)n * type->bytes, "elements"));
    decode(type, out->at, n);
    return check_end(r);
}

GrStatus idx_read(Arena *a, Str path, Array *out, Error *e) {
    Reader r = {.path = path, .e = e};
    *out = (Array){0};
    return close_as(&r, read_file(a, &r, out));
}
