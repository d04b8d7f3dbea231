/* safetensors: every tensor is a column, its first dim the rows.  The header is runtime/store's; the bytes
 * come block by block. */
#include "reader.h"
#include "safetensors.h"
#include "stream.h"
#include <stdio.h>

static GrStatus list(Arena *a, const ReaderFile *f, StoreFile *out, uint64_t *start, Error *e) {
    uint64_t size;
    TRY(file_check(a, f->path, &size, e));
    if (safetensors_list(a, f->path, out, start, e) == GR_OK)
        return GR_OK;
    if (e->status != GR_CHECKPOINT)
        return e->status;
    fail_help(e, "fetch the file again");
    return e->status = GR_DATA;
}

GrStatus tensors_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    StoreFile file;
    uint64_t start;
    (void)count;
    TRY(list(a, f, &file, &start, e));
    for (uint32_t i = 0; i < file.tensors.n; i++) {
        const StoreTensor *t = &file.tensors.at[i];
        vec_push(a, &out->at, (FileColumn){.name = t->name, .dtype = t->dtype, .shape = t->shape});
        out->rows = out->rows < 0 && t->shape.rank > 0 ? t->shape.dim[0] : out->rows;
    }
    return GR_OK;
}

static GrStatus read_rows(Arena *a, FILE *in, const ReaderFile *f, const StoreTensor *t, uint64_t start,
                          Sink *sink, Error *e) {
    Blocks b = blocks_of(t->shape, dtype_bytes(t->dtype));
    char *block = arena_push(a, (size_t)(b.most * b.row_bytes) + 1, 64);
    if (fseeko(in, (off_t)start, SEEK_SET) != 0)
        return fail_errno(e, GR_IO, "%.*s", FSTR(f->path));
    for (int64_t at = 0; at < b.rows; at += b.most) {
        int64_t n = b.rows - at < b.most ? b.rows - at : b.most;
        if (fread(block, 1, (size_t)(n * b.row_bytes), in) != (size_t)(n * b.row_bytes))
            return fail(e, GR_IO, "%.*s changed while it was read", FSTR(f->path));
        TRY(sink_put(sink, t->name, t->dtype, block, n, NULL, e));
    }
    return GR_OK;
}

GrStatus tensors_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    StoreFile file;
    uint64_t start;
    TRY(list(scratch, f, &file, &start, e));
    FILE *in = fopen(str_copy(scratch, f->path).s, "rb");
    if (in == NULL)
        return fail_errno(e, GR_IO, "%.*s", FSTR(f->path));
    GrStatus status = GR_OK;
    for (uint32_t i = 0; i < file.tensors.n && status == GR_OK; i++) {
        const StoreTensor *t = &file.tensors.at[i];
        if (sink_wants(sink, t->name) && t->shape.rank > 0)
            status = read_rows(scratch, in, f, t, start, sink, e);
        start += (uint64_t)shape_count(t->shape) * dtype_bytes(t->dtype);
    }
    fclose(in);
    return status;
}
