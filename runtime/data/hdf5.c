/* HDF5: every dataset of numbers is a column, its first dim the rows; those in groups go by their path with
 * `_` for `/`. libhdf5 reads, and as it is known to crash on files that are made for that, it does so in a
 * child process.  Extents are held against the bytes that are stored, chunks against what unpacking can make
 * of them. */
#include "isolate.h"
#include "stream.h"
#include <hdf5.h>
#include <string.h>

enum {
    DEPTH_MOST = 16,
    DATASETS_MOST = 1 << 16,
    FILL_MOST = 64 << 20,
    CACHE_MOST = 1 << 30,
    CACHE_LEAST = 1 << 20,
    CACHE_SLOTS = 12421
};

typedef struct {
    Arena *arena;
    FileColumns *out;
    const ReaderFile *file;
    uint64_t size;
} Listing;

/* ---- one dataset ---- */
typedef struct {
    DType dtype;
    hid_t memory;
    bool unsigned64;
} Element;

/* How its elements come into memory; NULL, or why they cannot. */
static const char *element_of(hid_t type, Element *out) {
    size_t n = H5Tget_size(type);
    bool sign = H5Tget_sign(type) != H5T_SGN_NONE;
    *out = (Element){.dtype = DT_F32, .memory = H5T_NATIVE_FLOAT};
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        if (n > 8)
            return "whole numbers of over 64 bits";
        *out = n == 1 && !sign             ? (Element){DT_U8, H5T_NATIVE_UINT8, false}
               : n < 4 || (n == 4 && sign) ? (Element){DT_I32, H5T_NATIVE_INT32, false}
                                           : (Element){DT_I64, H5T_NATIVE_INT64, n == 8 && !sign};
        return NULL;
    case H5T_FLOAT:
        if (n > 8)
            return "floats of over 64 bits";
        if (n > 4)
            *out = (Element){DT_F64, H5T_NATIVE_DOUBLE, false};
        return NULL;
    case H5T_ENUM: /* how bools are written */
        *out = (Element){DT_U8, H5I_INVALID_HID, false};
        return n == 1 ? NULL : "names of values";
    case H5T_STRING: return "texts";
    case H5T_COMPOUND: return "records of several fields";
    case H5T_VLEN: return "rows that have each their own length";
    case H5T_ARRAY: return "arrays within an element";
    case H5T_TIME:
    case H5T_BITFIELD:
    case H5T_OPAQUE:
    case H5T_REFERENCE:
    case H5T_NO_CLASS:
    case H5T_NCLASSES: break;
    }
    return "elements that are no numbers";
}

/* band: the bytes of all chunks that the first chunk_rows rows lie in */
typedef struct {
    Shape shape;
    Element element;
    uint64_t chunk_rows, band;
} Layout;

/* How chunks of these extents cover it; NULL, or what is wrong with them. */
static const char *cover(Layout *l, const hsize_t *chunk, uint64_t element_bytes, uint64_t most) {
    uint64_t bytes = element_bytes, across = 1;
    for (uint32_t i = 0; i < l->shape.rank; i++) {
        if (chunk[i] == 0 || __builtin_mul_overflow(bytes, chunk[i], &bytes) || bytes > most)
            return "chunks that are larger than the file can fill";
        if (i > 0 && across < CACHE_MOST)
            across *= ((uint64_t)l->shape.dim[i] + chunk[i] - 1) / chunk[i];
    }
    l->chunk_rows = chunk[0];
    l->band = across > CACHE_MOST / bytes ? CACHE_MOST : bytes * across;
    return NULL;
}

static const char *chunks_of(hid_t set, Layout *l, uint64_t element_bytes, uint64_t most) {
    hsize_t chunk[MAX_RANK];
    hid_t plist = H5Dget_create_plist(set);
    bool chunked = plist >= 0 && l->shape.rank > 0 && H5Pget_layout(plist) == H5D_CHUNKED;
    bool known = chunked && H5Pget_chunk(plist, MAX_RANK, chunk) == (int)l->shape.rank;
    H5Pclose(plist);
    if (!chunked)
        return NULL;
    return known ? cover(l, chunk, element_bytes, most) : "chunks that cannot be read";
}

static const char *shape_of_space(hid_t space, Shape *out) {
    hsize_t dim[H5S_MAX_RANK];
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > MAX_RANK || H5Sget_simple_extent_type(space) == H5S_NULL)
        return rank > MAX_RANK ? "too many dims" : "no elements";
    H5Sget_simple_extent_dims(space, dim, NULL);
    *out = (Shape){.rank = (uint8_t)rank};
    for (int i = 0; i < rank; i++) {
        if (dim[i] > (hsize_t)INT64_MAX)
            return "more rows than there can be";
        out->dim[i] = (int64_t)dim[i];
    }
    return NULL;
}

/* NULL, or what is wrong with it. */
static const char *layout_of(hid_t set, uint64_t file_size, Layout *l) {
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    *l = (Layout){0};
    uint64_t width = type < 0 ? 0 : H5Tget_size(type), stored = H5Dget_storage_size(set);
    const char *why =
        width == 0 || space < 0 ? "a header that cannot be read" : element_of(type, &l->element);
    if (why == NULL)
        why = shape_of_space(space, &l->shape);
    uint64_t most = (stored < file_size ? stored : file_size) * DEFLATE_MOST + FILL_MOST;
    if (why == NULL && shape_within(l->shape, most / width) < 0)
        why = "more elements than the stored bytes can hold";
    if (why == NULL)
        why = chunks_of(set, l, width, most);
    H5Sclose(space);
    H5Tclose(type);
    return why;
}

/* ---- all datasets ---- */
static void list_dataset(Listing *l, hid_t set, Str name) {
    Layout x;
    const char *why = layout_of(set, l->size, &x);
    FileColumn c = {.name = str_copy(l->arena, name), .dtype = x.element.dtype, .shape = x.shape};
    if (why != NULL) {
        c.problem = str_format(l->arena, "%.*s: `%.*s` holds %s", FSTR(l->file->path), FSTR(c.name), why);
        c.help = STR("numbers of up to 64 bits with rows as their first dim can be read");
    } else if (l->out->rows < 0 && x.shape.rank > 0) {
        l->out->rows = x.shape.dim[0];
    }
    vec_push(l->arena, &l->out->at, c);
}

/* Called for every dataset below a group, in the order of names: it is `link` of `group`, and column `name`.
 */
typedef GrStatus Visit(void *user, hid_t group, const char *link, Str name);

static H5I_type_t type_of(hid_t group, const char *link) {
    hid_t object = H5Oopen(group, link, H5P_DEFAULT);
    H5I_type_t type = object < 0 ? H5I_BADID : H5Iget_type(object);
    if (object >= 0)
        H5Oclose(object);
    return type;
}

/* The i-th name of a group; false for links to other places. */
static bool link_name(hid_t group, hsize_t i, char *name, size_t size) {
    H5L_info_t link;
    if (H5Lget_info_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, &link, H5P_DEFAULT) < 0 ||
        link.type != H5L_TYPE_HARD)
        return false;
    ssize_t n = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, size, H5P_DEFAULT);
    return n > 0 && n < (ssize_t)size;
}

/* left: how many more links are looked at, since groups may hold each other. */
static GrStatus visit_all(Arena *a, hid_t group, Str prefix, uint32_t depth, uint32_t *left, Visit *visit,
                          void *user) {
    H5G_info_t info;
    char link[256];
    if (depth > DEPTH_MOST || H5Gget_info(group, &info) < 0)
        return GR_OK;
    for (hsize_t i = 0; i < info.nlinks; i++) {
        if (*left == 0 || !link_name(group, i, link, sizeof link))
            continue;
        --*left;
        H5I_type_t type = type_of(group, link);
        Str name = str_format(a, "%.*s%s", FSTR(prefix), link);
        if (type == H5I_DATASET)
            TRY(visit(user, group, link, name));
        hid_t inside = type == H5I_GROUP ? H5Gopen2(group, link, H5P_DEFAULT) : -1;
        if (inside < 0)
            continue;
        GrStatus status =
            visit_all(a, inside, str_format(a, "%.*s_", FSTR(name)), depth + 1, left, visit, user);
        H5Gclose(inside);
        TRY(status);
    }
    return GR_OK;
}

static GrStatus visit_file(Arena *a, Str path, Visit *visit, void *user, Error *e) {
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fopen(str_copy(a, path).s, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) {
        fail(e, GR_DATA, "%.*s cannot be opened as HDF5", FSTR(path));
        fail_help(e, "is it an HDF5 file, and whole? `h5ls` shows what is in one");
        return GR_DATA;
    }
    uint32_t left = DATASETS_MOST;
    GrStatus status = visit_all(a, file, (Str){0}, 0, &left, visit, user);
    H5Fclose(file);
    return status;
}

static GrStatus list_one(void *user, hid_t group, const char *link, Str name) {
    hid_t set = H5Dopen2(group, link, H5P_DEFAULT);
    if (set >= 0) {
        list_dataset(user, set, name);
        H5Dclose(set);
    }
    return GR_OK;
}

static GrStatus describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    Listing l = {a, out, f, 0};
    (void)count;
    TRY(file_check(a, f->path, &l.size, e));
    return visit_file(a, f->path, list_one, &l, e);
}

/* ---- reading ---- */
typedef struct {
    Arena *arena;
    Sink *sink;
    const ReaderFile *file;
    uint64_t size;
    Error *e;
} Reading;

static GrStatus unreadable(Reading *r, Str name, int64_t row, const char *why) {
    fail(r->e, GR_DATA, "%.*s: rows of `%.*s` from %lld on cannot be read: %s", FSTR(r->file->path),
         FSTR(name), (long long)row, why);
    fail_help(r->e, "the file is damaged, or packed by a filter that is not installed");
    return GR_DATA;
}

static GrStatus read_block(Reading *r, hid_t set, hid_t memory, const Layout *l, Str name, int64_t row,
                           int64_t n, void *to) {
    hsize_t start[MAX_RANK] = {(hsize_t)row}, count[MAX_RANK];
    for (uint32_t i = 0; i < l->shape.rank; i++)
        count[i] = (hsize_t)(i == 0 ? n : l->shape.dim[i]);
    hid_t space = H5Dget_space(set), block = H5Screate_simple(l->shape.rank, count, NULL);
    bool read = space >= 0 && block >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dread(set, memory, block, space, H5P_DEFAULT, to) >= 0;
    H5Sclose(block);
    H5Sclose(space);
    return read ? GR_OK : unreadable(r, name, row, "the HDF5 library gives up");
}

static GrStatus check_unsigned(Reading *r, const Layout *l, Str name, int64_t row, const int64_t *x,
                               int64_t n) {
    for (int64_t i = 0; l->element.unsigned64 && i < n; i++) {
        if (x[i] == INT64_MAX) /* where larger ones end up */
            return unreadable(r, name, row, "a value is 2^63 - 1 or more");
    }
    return GR_OK;
}

static GrStatus read_rows(Reading *r, hid_t set, const Layout *l, Str name) {
    hid_t own = l->element.memory < 0 ? H5Dget_type(set) : -1;
    uint32_t width = dtype_bytes(l->element.dtype);
    Blocks b = blocks_of(l->shape, width);
    if (l->chunk_rows > 0 && b.most > (int64_t)l->chunk_rows)
        b.most -= b.most % (int64_t)l->chunk_rows;
    void *block = arena_push(r->arena, (size_t)(b.most * b.row_bytes) + 1, 64);
    GrStatus status = GR_OK;
    for (int64_t at = 0; at < b.rows && status == GR_OK; at += b.most) {
        int64_t n = b.rows - at < b.most ? b.rows - at : b.most;
        status = read_block(r, set, own >= 0 ? own : l->element.memory, l, name, at, n, block);
        if (status == GR_OK)
            status = check_unsigned(r, l, name, at, block, n * b.row_bytes / width);
        if (status == GR_OK)
            status = sink_put(r->sink, name, l->element.dtype, block, n, NULL, r->e);
    }
    if (own >= 0)
        H5Tclose(own);
    return status;
}

/* With a cache that holds all chunks of some rows, so that none is unpacked twice; the library keeps the
 * cache that a dataset was opened with first. */
static hid_t open_cached(hid_t group, const char *link, const Layout *l) {
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    if (l->band > CACHE_LEAST)
        H5Pset_chunk_cache(access, CACHE_SLOTS, l->band, 1.0);
    hid_t set = H5Dopen2(group, link, access);
    H5Pclose(access);
    return set;
}

static GrStatus read_dataset(void *user, hid_t group, const char *link, Str name) {
    Reading *r = user;
    Layout l;
    if (!sink_wants(r->sink, name))
        return GR_OK;
    hid_t set = H5Dopen2(group, link, H5P_DEFAULT);
    const char *why = set < 0 ? "it cannot be opened" : layout_of(set, r->size, &l);
    if (set >= 0)
        H5Dclose(set);
    set = why == NULL ? open_cached(group, link, &l) : -1;
    if (set < 0)
        return unreadable(r, name, 0, why != NULL ? why : "it cannot be opened");
    GrStatus status = read_rows(r, set, &l, name);
    H5Dclose(set);
    return status;
}

static GrStatus read_columns(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    Reading r = {scratch, sink, f, 0, e};
    TRY(file_check(scratch, f->path, &r.size, e));
    return visit_file(scratch, f->path, read_dataset, &r, e);
}

static const Reader k_inside = {describe, read_columns};
static const char k_who[] = "the HDF5 library";

GrStatus hdf5_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    return isolated_describe(&k_inside, k_who, a, f, count, out, e);
}

GrStatus hdf5_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    return isolated_read(&k_inside, k_who, scratch, f, sink, e);
}
