/* npz: a zip of npy files, stored or deflated; libzip unpacks, and holds each entry against its checksum
 * when its end is reached.  Entry `x.npy` is column `x`.  An entry that cannot be read is no mistake as long
 * as nobody wants it. */
#include "npy.h"
#include <string.h>
#include <zip.h>

static GrStatus open_zip(Arena *a, Str path, zip_t **out, uint64_t *size, Error *e) {
    int code = 0;
    TRY(file_check(a, path, size, e));
    *out = zip_open(str_copy(a, path).s, ZIP_RDONLY, &code);
    if (*out != NULL)
        return GR_OK;
    zip_error_t why;
    zip_error_init_with_code(&why, code);
    fail(e, GR_DATA, "%.*s cannot be opened as npz: %s", FSTR(path), zip_error_strerror(&why));
    zip_error_fini(&why);
    fail_help(e, "`numpy.savez(path, x = x)` writes one; is it cut short?");
    return GR_DATA;
}

/* An entry as a stream; what it says of its size is held against what its packed bytes can make. */
static GrStatus open_entry(zip_t *z, uint64_t i, const zip_stat_t *st, Str path, uint64_t size, Stream *s,
                           Error *e) {
    *s = (Stream){.path = path, .size = size, .most = st->size, .exact = true, .e = e};
    if (st->comp_size > size || st->size > st->comp_size * DEFLATE_MOST)
        return fail(e, GR_DATA, "%.*s: `%.60s` claims %llu bytes, packed into %llu of a file of %llu",
                    FSTR(path), st->name, (unsigned long long)st->size, (unsigned long long)st->comp_size,
                    (unsigned long long)size);
    s->entry = zip_fopen_index(z, i, 0);
    if (s->entry == NULL)
        return fail(e, GR_DATA, "%.*s: `%.60s` cannot be unpacked: %s", FSTR(path), st->name,
                    zip_strerror(z));
    return GR_OK;
}

static bool entry_column(zip_t *z, uint64_t i, zip_stat_t *st, Str *name) {
    enum { NEEDED = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE };
    if (zip_stat_index(z, i, 0, st) != 0 || (st->valid & NEEDED) != NEEDED)
        return false;
    *name = str_of(st->name);
    if (!str_ends(*name, ".npy") || name->n > 1 << 12)
        return false;
    name->n -= 4;
    return true;
}

static void describe_entry(Arena *a, zip_t *z, uint64_t i, const ReaderFile *f, uint64_t size,
                           FileColumns *out) {
    zip_stat_t st;
    Str name;
    Stream s = {0};
    NpyHeader h = {0};
    Error own = {0};
    if (!entry_column(z, i, &st, &name))
        return;
    Str where = str_format(a, "%.*s: %.*s", FSTR(f->path), FSTR(name));
    FileColumn c = {.name = str_copy(a, name)};
    if (open_entry(z, i, &st, where, size, &s, &own) == GR_OK && npy_header(a, &s, &h) == GR_OK) {
        c.dtype = h.dtype;
        c.shape = h.shape;
        out->rows = out->rows < 0 && h.shape.rank > 0 ? h.shape.dim[0] : out->rows;
    } else {
        c.problem = str_copy(a, str_of(own.what));
        c.help = str_copy(a, str_of(own.help));
    }
    stream_close(&s);
    vec_push(a, &out->at, c);
}

GrStatus npz_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    zip_t *z;
    uint64_t size;
    (void)count;
    TRY(open_zip(a, f->path, &z, &size, e));
    int64_t n = zip_get_num_entries(z, 0);
    for (int64_t i = 0; i < n; i++)
        describe_entry(a, z, (uint64_t)i, f, size, out);
    zip_discard(z);
    return GR_OK;
}

static GrStatus read_entry(Arena *a, zip_t *z, uint64_t i, const ReaderFile *f, uint64_t size, Sink *sink,
                           Error *e) {
    zip_stat_t st;
    Str name;
    Stream s = {0};
    if (!entry_column(z, i, &st, &name) || !sink_wants(sink, name))
        return GR_OK;
    name = str_copy(a, name);
    GrStatus status =
        open_entry(z, i, &st, str_format(a, "%.*s: %.*s", FSTR(f->path), FSTR(name)), size, &s, e);
    if (status == GR_OK)
        status = npy_rows(a, &s, name, sink);
    stream_close(&s);
    return status;
}

GrStatus npz_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    zip_t *z;
    uint64_t size;
    TRY(open_zip(scratch, f->path, &z, &size, e));
    int64_t n = zip_get_num_entries(z, 0);
    GrStatus status = GR_OK;
    for (int64_t i = 0; i < n && status == GR_OK; i++)
        status = read_entry(scratch, z, (uint64_t)i, f, size, sink, e);
    zip_discard(z);
    return status;
}
