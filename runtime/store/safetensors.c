/* The file: u64 length of the header, little endian; the header, JSON of name -> {dtype, shape, data_offsets}
 * and
 * "__metadata__" -> texts, blanks behind it; the tensors without gaps.  Reading insists on all of that:
 * offsets have to tile the rest of the file exactly, sizes to be what type and shape make them. */
#include "safetensors.h"
#include "atomic.h"
#include "checksum.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8, HEADER_ALIGN = 64, HEADER_MOST = 64 << 20, STAGE = 16 << 10 };

static const char *const k_type_names[DT_COUNT] = {
    [DT_F32] = "F32", [DT_F64] = "F64", [DT_BF16] = "BF16", [DT_F16] = "F16",
    [DT_I32] = "I32", [DT_I64] = "I64", [DT_U8] = "U8",     [DT_BOOL] = "BOOL",
};

static uint64_t bytes_of(const StoreTensor *t) {
    return (uint64_t)shape_count(t->shape) * dtype_bytes(t->dtype);
}

const StoreTensor *store_tensor(const StoreFile *f, Str name) {
    for (uint32_t i = 0; i < f->tensors.n; i++) {
        if (str_eq(f->tensors.at[i].name, name))
            return &f->tensors.at[i];
    }
    return NULL;
}

const Str *store_text(const StoreFile *f, const char *key) {
    for (uint32_t i = 0; i < f->texts.n; i++) {
        if (str_is(f->texts.at[i].key, key))
            return &f->texts.at[i].value;
    }
    return NULL;
}

/* ---- writing ---- */
static json_t *tensor_json(const StoreTensor *t, uint64_t start) {
    json_t *shape = json_array();
    for (uint32_t i = 0; i < t->shape.rank; i++)
        json_array_append_new(shape, json_integer(t->shape.dim[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", k_type_names[t->dtype], "shape", shape, "data_offsets",
                     (json_int_t)start, (json_int_t)(start + bytes_of(t)));
}

/* Length and header in one piece, so long that the tensors start on a line of the cache. */
static Str header_text(Arena *a, const StoreFile *file) {
    json_t *root = json_object(), *texts = json_object();
    uint64_t start = 0;
    for (uint32_t i = 0; i < file->texts.n; i++) {
        Str value = file->texts.at[i].value;
        json_object_set_new(texts, str_copy(a, file->texts.at[i].key).s, json_stringn(value.s, value.n));
    }
    Str checksum = checksum_text(a, file);
    json_object_set_new(texts, CHECKSUM_KEY, json_stringn(checksum.s, checksum.n));
    json_object_set_new(root, "__metadata__", texts);
    for (uint32_t i = 0; i < file->tensors.n; start += bytes_of(&file->tensors.at[i++]))
        json_object_set_new(root, str_copy(a, file->tensors.at[i].name).s,
                            tensor_json(&file->tensors.at[i], start));
    GR_ASSERT(json_object_size(root) == file->tensors.n + 1); /* names are UTF-8 and differ */
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    GR_ASSERT(text != NULL);
    size_t n = strlen(text), all = (LENGTH_BYTES + n + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
    char *out = PUSH(a, char, all);
    memset(out, ' ', all);
    uint64_t length = all - LENGTH_BYTES;
    memcpy(out, &length, LENGTH_BYTES);
    memcpy(out + LENGTH_BYTES, text, n);
    free(text);
    return (Str){out, (uint32_t)all};
}

static void put_tensor(AtomicFile *f, const StoreTensor *t) {
    uint64_t n = bytes_of(t);
    if (t->dtype != DT_F32) {
        atomic_put(f, t->at, n);
        return;
    }
    uint32_t stage[STAGE / 4];
    const float *x = t->at;
    for (uint64_t i = 0; i < n / 4; i += STAGE / 4) {
        uint64_t rest = n / 4 - i < STAGE / 4 ? n / 4 - i : STAGE / 4;
        for (uint64_t k = 0; k < rest; k++)
            stage[k] = f32_bits_canonical(x[i + k]);
        atomic_put(f, stage, rest * 4);
    }
}

GrStatus safetensors_write(Arena *scratch, Str path, const StoreFile *file, Error *e) {
    AtomicFile f;
    ArenaMark mark = arena_mark(scratch);
    GrStatus s = atomic_begin(scratch, path, &f, e);
    if (s == GR_OK) {
        Str header = header_text(scratch, file);
        atomic_put(&f, header.s, header.n);
        for (uint32_t i = 0; i < file->tensors.n; i++)
            put_tensor(&f, &file->tensors.at[i]);
        s = atomic_finish(&f);
    }
    arena_pop(mark);
    return s;
}

/* ---- reading ---- */
typedef struct {
    Arena *arena;
    Str path;
    const char *data;
    uint64_t data_bytes;
    Error *e;
} Reading;
typedef struct {
    StoreTensor tensor;
    uint64_t start, end;
} Placed;

static GrStatus not_whole(Reading *r, const char *why) {
    fail(r->e, GR_CHECKPOINT, "%.*s is not a whole safetensors file: %s", FSTR(r->path), why);
    fail_help(r->e, "it may have been cut short while it was copied; take another checkpoint of the run");
    return GR_CHECKPOINT;
}

static GrStatus read_from(int fd, Reading *r, void *to, uint64_t n) {
    uint64_t got = 0;
    for (ssize_t k = 1; got < n && k != 0;) {
        k = read(fd, (char *)to + got, n - got);
        if (k < 0 && errno != EINTR)
            break;
        got += k > 0 ? (uint64_t)k : 0;
    }
    return got == n ? GR_OK : fail_errno(r->e, GR_IO, "reading %.*s", FSTR(r->path));
}

/* Length and header; *start: where the tensors begin. */
static GrStatus load_header(int fd, Reading *r, uint64_t file_bytes, Str *header, uint64_t *start) {
    uint64_t n = 0;
    if (file_bytes < LENGTH_BYTES)
        return not_whole(r, "it is too short for a header");
    TRY(read_from(fd, r, &n, LENGTH_BYTES));
    if (n > file_bytes - LENGTH_BYTES || n > HEADER_MOST)
        return not_whole(r, "its header is longer than the file");
    char *text = PUSH(r->arena, char, n + 1);
    *header = (Str){text, (uint32_t)n};
    *start = LENGTH_BYTES + n;
    r->data_bytes = file_bytes - *start;
    return read_from(fd, r, text, n);
}

static bool read_dtype(const char *name, DType *out) {
    for (uint32_t t = 0; t < DT_COUNT; t++) {
        if (strcmp(k_type_names[t], name) == 0) {
            *out = (DType)t;
            return true;
        }
    }
    return false;
}

/* False when there are too many dimensions or elements. */
static bool read_shape(const json_t *dims, uint64_t data_bytes, Shape *out) {
    uint64_t n = 1;
    *out = (Shape){0};
    if (!json_is_array(dims) || json_array_size(dims) > MAX_RANK)
        return false;
    for (size_t i = 0; i < json_array_size(dims); i++) {
        json_int_t d = json_integer_value(json_array_get(dims, i));
        if (!json_is_integer(json_array_get(dims, i)) || d < 0 || d > (json_int_t)1 << 48 ||
            (d > 0 && n > data_bytes / (uint64_t)d))
            return false;
        n *= (uint64_t)d;
        out->dim[out->rank++] = d;
    }
    return true;
}

static GrStatus read_tensor(Reading *r, const char *name, json_t *j, Placed *out) {
    const char *type;
    json_t *dims;
    json_int_t start, end;
    if (json_unpack(j, "{s:s, s:o, s:[I, I]}", "dtype", &type, "shape", &dims, "data_offsets", &start,
                    &end) != 0)
        return not_whole(r, "an entry of its header has no type, shape or place");
    out->tensor.name = str_copy(r->arena, str_of(name));
    if (!read_dtype(type, &out->tensor.dtype))
        return fail(r->e, GR_CHECKPOINT, "%.*s: `%s` has elements of type %.20s, which cannot be read",
                    FSTR(r->path), name, type);
    if (start < 0 || end < start || (uint64_t)end > r->data_bytes ||
        !read_shape(dims, r->data_bytes, &out->tensor.shape) ||
        bytes_of(&out->tensor) != (uint64_t)(end - start))
        return not_whole(r, "the place of a tensor is not in the file, or not of its size");
    out->start = (uint64_t)start;
    out->end = (uint64_t)end;
    out->tensor.at = r->data == NULL ? NULL : r->data + start;
    return GR_OK;
}

static GrStatus read_texts(Reading *r, json_t *texts, StoreFile *out) {
    const char *key;
    json_t *value;
    json_object_foreach(texts, key, value) {
        if (!json_is_string(value))
            return not_whole(r, "its metadata holds something that is no text");
        Str text = {json_string_value(value), (uint32_t)json_string_length(value)};
        vec_push(r->arena, &out->texts,
                 (StoreText){str_copy(r->arena, str_of(key)), str_copy(r->arena, text)});
    }
    return GR_OK;
}

static int by_place(const void *x, const void *y) {
    const Placed *p = x, *q = y;
    return p->start != q->start ? (p->start < q->start ? -1 : 1) : p->end < q->end ? -1 : p->end > q->end;
}

static GrStatus read_header(Reading *r, json_t *root, StoreFile *out) {
    const char *key;
    json_t *value;
    VEC(Placed) placed = {0};
    json_object_foreach(root, key, value) {
        Placed p = {0};
        if (strcmp(key, "__metadata__") == 0) {
            TRY(read_texts(r, value, out));
            continue;
        }
        TRY(read_tensor(r, key, value, &p));
        vec_push(r->arena, &placed, p);
    }
    if (placed.n > 0)
        qsort(placed.at, placed.n, sizeof *placed.at, by_place);
    uint64_t end = 0;
    for (uint32_t i = 0; i < placed.n; end = placed.at[i++].end) {
        if (placed.at[i].start != end)
            return not_whole(r, "its tensors overlap or leave gaps");
        vec_push(r->arena, &out->tensors, placed.at[i].tensor);
    }
    return end == r->data_bytes ? GR_OK : not_whole(r, "it is longer than its tensors");
}

/* In files of other programs `checksum` may be anything.  Ours has two marks, as one of them may be what is damaged. */
static bool is_ours(const StoreFile *f) {
    const Str *format = store_text(f, "format");
    return (format != NULL && str_starts(*format, "graphc ")) || store_text(f, "semantics") != NULL;
}

static GrStatus check_sum(Reading *r, const StoreFile *f) {
    const Str *was = store_text(f, CHECKSUM_KEY);
    if (!is_ours(f) || was == NULL || str_eq(*was, checksum_text(r->arena, f)))
        return GR_OK;
    fail(r->e, GR_CHECKPOINT, "%.*s is damaged: it does not have the checksum that it was written with", FSTR(r->path));
    fail_help(r->e, "another one of the run may be whole: `graphc train FILE --fork CHECKPOINT` begins with it");
    return GR_CHECKPOINT;
}

/* Other programs may have left denormals, and may not align. */
static void flush_tensors(Arena *a, StoreFile *f) {
    for (uint32_t i = 0; i < f->tensors.n; i++) {
        StoreTensor *t = &f->tensors.at[i];
        char *own = arena_push(a, bytes_of(t) + 1, 64);
        memcpy(own, t->at, bytes_of(t));
        for (int64_t k = 0; t->dtype == DT_F32 && k < shape_count(t->shape); k++)
            ((float *)own)[k] = flush_f32(((float *)own)[k]);
        t->at = own;
    }
}

static GrStatus parse_header(Reading *r, Str header, StoreFile *out) {
    json_t *root = json_loadb(header.s, header.n, JSON_REJECT_DUPLICATES, NULL);
    GrStatus s =
        json_is_object(root) ? read_header(r, root, out) : not_whole(r, "its header is not a JSON object");
    json_decref(root);
    return s;
}

static GrStatus read_open(int fd, Reading *r, bool tensors, StoreFile *out, uint64_t *start) {
    struct stat st;
    Str header;
    if (fstat(fd, &st) != 0)
        return fail_errno(r->e, GR_IO, "%.*s", FSTR(r->path));
    TRY(load_header(fd, r, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0, &header, start));
    if (tensors) {
        char *data = arena_push(r->arena, r->data_bytes + 1, 64);
        TRY(read_from(fd, r, data, r->data_bytes));
        r->data = data;
    }
    TRY(parse_header(r, header, out));
    return tensors ? check_sum(r, out) : GR_OK;
}

static GrStatus read_path(Arena *a, Str path, bool tensors, StoreFile *out, uint64_t *start, Error *e) {
    Reading r = {.arena = a, .path = path, .e = e};
    *out = (StoreFile){0};
    int fd = open(str_copy(a, path).s, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(e, GR_IO, "%.*s", FSTR(path));
    GrStatus s = read_open(fd, &r, tensors, out, start);
    close(fd);
    return s;
}

GrStatus safetensors_read(Arena *a, Str path, StoreFile *out, Error *e) {
    uint64_t start;
    TRY(read_path(a, path, true, out, &start, e));
    flush_tensors(a, out);
    return GR_OK;
}

GrStatus safetensors_list(Arena *a, Str path, StoreFile *out, uint64_t *start, Error *e) {
    return read_path(a, path, false, out, start, e);
}
