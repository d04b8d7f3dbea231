/* The idx format: a big-endian magic (two zero bytes, type code, rank), as many big-endian u32 extents, then
 * the elements. i8 and i16 become i32.  What the header claims is held against what a file of this length
 * can hold before memory is asked for, and the file has to end where the header says. */
#include "reader.h"
#include "stream.h"
#include <string.h>

enum { IDX_RANK_MOST = MAX_RANK };

typedef struct {
    uint8_t code;
    uint8_t bytes;
    DType dtype;
} IdxType;
static const IdxType k_types[] = {
    {0x08, 1, DT_U8},  {0x09, 1, DT_I32}, {0x0b, 2, DT_I32},
    {0x0c, 4, DT_I32}, {0x0d, 4, DT_F32}, {0x0e, 8, DT_F64},
};

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static GrStatus read_header(Arena *a, Stream *s, const IdxType **type, Shape *shape) {
    uint8_t magic[4], extent[4];
    TRY(stream_all(s, magic, 4, "header"));
    *type = NULL;
    for (size_t i = 0; i < sizeof k_types / sizeof *k_types; i++) {
        if (k_types[i].code == magic[2])
            *type = &k_types[i];
    }
    if (magic[0] != 0 || magic[1] != 0 || *type == NULL)
        return fail(s->e, GR_DATA, "%.*s is not an idx file: it starts with %02x %02x %02x %02x",
                    FSTR(s->path), magic[0], magic[1], magic[2], magic[3]);
    if (magic[3] == 0 || magic[3] > IDX_RANK_MOST)
        return fail(s->e, GR_DATA, "%.*s has %u dimensions; 1 to %d can be read", FSTR(s->path), magic[3],
                    IDX_RANK_MOST);
    *shape = (Shape){.rank = magic[3]};
    for (uint32_t i = 0; i < shape->rank; i++) {
        TRY(stream_all(s, extent, 4, "header"));
        shape->dim[i] = big_endian(extent);
    }
    if (shape_within(*shape, s->most / (*type)->bytes) >= 0)
        return GR_OK;
    Buf text = buf_make(a);
    buf_shape(&text, *shape);
    return fail(s->e, GR_DATA, "%.*s claims to hold %.*s elements, which a file of %llu bytes cannot",
                FSTR(s->path), FSTR(buf_str(&text)), (unsigned long long)s->size);
}

static GrStatus describe(Arena *a, Stream *s, Str column, FileColumns *out) {
    const IdxType *type;
    FileColumn c = {.name = column};
    TRY(read_header(a, s, &type, &c.shape));
    c.dtype = type->dtype;
    out->rows = c.shape.dim[0];
    vec_push(a, &out->at, c);
    return GR_OK;
}

GrStatus idx_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    Stream s;
    (void)count;
    GrStatus status = stream_open(a, f->path, &s, e);
    if (status == GR_OK)
        status = describe(a, &s, f->column, out);
    stream_close(&s);
    return status;
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

static GrStatus read_rows(Arena *a, Stream *s, Str column, Sink *sink) {
    const IdxType *type;
    Shape shape;
    TRY(read_header(a, s, &type, &shape));
    uint32_t width = dtype_bytes(type->dtype);
    Blocks b = blocks_of(shape, width);
    char *block = arena_push(a, (size_t)(b.most * b.row_bytes) + 1, 64);
    for (int64_t at = 0; at < b.rows; at += b.most) {
        int64_t n = b.rows - at < b.most ? b.rows - at : b.most, elements = n * b.row_bytes / width;
        TRY(stream_all(s, block, (uint64_t)elements * type->bytes, "elements"));
        decode(type, block, elements);
        TRY(sink_put(sink, column, type->dtype, block, n, NULL, s->e));
    }
    return stream_end(s);
}

GrStatus idx_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    Stream s;
    GrStatus status = stream_open(scratch, f->path, &s, e);
    if (status == GR_OK)
        status = read_rows(scratch, &s, f->column, sink);
    stream_close(&s);
    return status;
}
