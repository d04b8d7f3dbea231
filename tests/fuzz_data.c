/* graphc-fuzz-data: files of data and of runs with wrong bytes in them, through their readers.
 *
 *     graphc-fuzz-data [--minutes M] [--seed S] [READER ..]           csv, npz, runs.db, ..; all when none is named
 *
 * Files of tests/data, of a run (fuzz_store.c) and a few small texts are mutated; each has to be read
 * or refused with a message, without a
 * crash (build it with sanitizers), in a few seconds, and without memory that the file does not account for.  The
 * file that was read last stays in the working folder as `fuzz-data.READER`.  What a sanitizer reports of libhdf5
 * comes from the child that runs it: that the reader survives this is what is tried. */
#include "fuzz_store.h"
#include "read_file.h"
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_MOST = 1 << 20,
    SECONDS_MOST = 20,
    KILOBYTES_MOST = 2 << 20,
    OTHER_BYTES = 24,
    COLUMNS_TRIED = 3
};

typedef struct {
    const char *reader;
    ReaderKind kind;
    bool header;
    const char *files[6], *texts[3];
    StoreRead *store;              /* it reads a file of a run, and not data */
} Target;
static const Target k_targets[] = {
    {"npz", READER_NPZ, false, {"stored.npz", "deflated.npz"}, {0}, NULL},
    {"hdf5", READER_HDF5, false, {"plain.h5", "chunked.h5"}, {0}, NULL},
    {"images",
     READER_IMAGES,
     false,
     {"rgb.png", "palette.png", "grey.jpg", "rgb.jpg", "photos/ant/10.png", "deep.png"},
     {0}, NULL},
    {"csv",
     READER_CSV,
     true,
     {"table.csv.gz"},
     {"a,b,c\n1,2.5,-3\n\"4\",1e3,6\n", "name,\"x \"\"y\"\"\"\r\n1,2\r\n3,4\r\n", "\xef\xbb\xbfx;y\n1;2\n"}, NULL},
    {"table", READER_CSV, false, {"table.csv.gz"}, {"1,2,3\n4,5,6\n", "1e308,-0,.5\n inf ,7,8\n"}, NULL},
    {"lines", READER_LINES, false, {"table.csv.gz"}, {"anna\nbob\r\n\ncharlotte", "\n\n\n"}, NULL},
    {"bytes", READER_BYTES, false, {"table.csv.gz"}, {"some bytes"}, NULL},
    {"safetensors", READER_SAFETENSORS, false, {"x.safetensors"}, {0}, NULL},
    {"npy", READER_NPY, false, {"x.npy"}, {0}, NULL},
    {"idx", READER_IDX, false, {"x.idx", "x.idx.gz"}, {0}, NULL},
    {"last.safetensors", 0, false, {"x.safetensors"}, {0}, store_checkpoint},
    {"metrics.jsonl", 0, false, {0}, {0}, store_history},
    {"run.json", 0, false, {0}, {0}, store_card},
    {"runs.db", 0, false, {0}, {0}, store_runs},
    {"run.tar.gz", 0, false, {0}, {0}, store_pack},
};

/* ---- mutations ---- */
typedef struct {
    uint64_t state;
} Random;
typedef struct {
    uint8_t *at;
    size_t n;
} File;

static uint64_t next(Random *r) {
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state;
}

static size_t below(Random *r, size_t n) { return n == 0 ? 0 : (size_t)(next(r) % n); }

/* Sizes and counts that readers trip over, in either byte order. */
static void put_number(Random *r, File *f) {
    static const uint64_t odd[] = {0,          1,         0x7f,       0x80,
                                   0xff,       0xffff,    0x7fffffff, 0x80000000,
                                   0xffffffff, INT64_MAX, UINT64_MAX, (uint64_t)1 << 40};
    size_t width = (size_t)1 << below(r, 4), at = below(r, f->n);
    uint64_t x = below(r, 3) == 0 ? next(r) >> below(r, 64) : odd[below(r, sizeof odd / sizeof *odd)];
    bool big = below(r, 2);
    for (size_t i = 0; i < width && at + i < f->n; i++)
        f->at[at + i] = (uint8_t)(x >> 8 * (big ? width - 1 - i : i));
}

static void copy_part(Random *r, File *f) {
    size_t n = 1 + below(r, OTHER_BYTES), from = below(r, f->n), to = below(r, f->n);
    n = n > f->n - from ? f->n - from : n;
    if (f->n + n > FILE_MOST)
        return;
    uint8_t part[OTHER_BYTES + 1];
    memcpy(part, f->at + from, n);
    memmove(f->at + to + n, f->at + to, f->n - to);
    memcpy(f->at + to, part, n);
    f->n += n;
}

static void drop_part(Random *r, File *f) {
    size_t at = below(r, f->n), n = below(r, 8) == 0 ? f->n - at : 1 + below(r, OTHER_BYTES);
    n = n > f->n - at ? f->n - at : n;
    memmove(f->at + at, f->at + at + n, f->n - at - n);
    f->n -= n;
}

static void mutate(Random *r, File *f) {
    for (size_t times = 1 + below(r, 6); times > 0 && f->n > 0; times--) {
        switch (below(r, 8)) {
        case 0: f->at[below(r, f->n)] ^= (uint8_t)(1 << below(r, 8)); break;
        case 1: f->at[below(r, f->n)] = (uint8_t)next(r); break;
        case 2: copy_part(r, f); break;
        case 3: drop_part(r, f); break;
        case 4: f->at[below(r, f->n)] = (uint8_t) "0123456789,\"\n\r;.-e{}[]:'"[below(r, 24)]; break;
        default: put_number(r, f); break;
        }
    }
}

/* ---- seeds ---- */
typedef VEC(File) Seeds;

static bool load(Arena *a, const char *path, File *out) {
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return false;
    out->at = PUSH(a, uint8_t, FILE_MOST);
    out->n = fread(out->at, 1, FILE_MOST, in);
    fclose(in);
    return out->n > 0;
}

static Seeds seeds_of(Arena *a, const Target *t) {
    Seeds s = {0};
    for (size_t i = 0; i < sizeof t->files / sizeof *t->files && t->files[i] != NULL; i++) {
        File f;
        const char *path = str_format(a, "%s/tests/data/%s", GRAPHC_ROOT, t->files[i]).s;
        if (!load(a, path, &f)) {
            fprintf(stderr, "graphc-fuzz-data: %s cannot be read\n", path);
            exit(2);
        }
        vec_push(a, &s, f);
    }
    File of_run;
    if (t->store != NULL && load(a, str_format(a, "%s/%s", STORE_FOLDER, t->reader).s, &of_run))
        vec_push(a, &s, of_run);
    for (size_t i = 0; i < sizeof t->texts / sizeof *t->texts && t->texts[i] != NULL; i++) {
        size_t n = strlen(t->texts[i]);
        vec_push(a, &s, (File){memcpy(PUSH(a, uint8_t, FILE_MOST), t->texts[i], n), n});
    }
    return s;
}

/* ---- one file ---- */
typedef struct {
    Sink base;
    uint64_t sum;
    int64_t rows;
} Counting;

static GrStatus count_put(Sink *s, uint32_t want, DType from, const void *at, int64_t rows,
                          const int32_t *lengths, Error *e) {
    Counting *c = (Counting *)s;
    int64_t n = lengths == NULL ? rows * shape_count(s->wants[want]->shape) : 0;
    (void)e;
    for (int64_t i = 0; lengths != NULL && i < rows; i++)
        n += lengths[i];
    for (int64_t i = 0; i < n * dtype_bytes(from); i++) /* whatever it says is there can be read */
        c->sum += ((const uint8_t *)at)[i];
    c->rows += rows;
    return GR_OK;
}

static const char *check_said(GrStatus s, const Error *e) {
    return s != GR_OK && e->what[0] == 0 ? "refused without a message" : NULL;
}

static const char *read_column(Arena *a, const ReaderFile *f, const FileColumn *c) {
    RecipeColumn want = {.name = c->name, .dtype = c->dtype, .raw = true, .ragged = c->ragged};
    want.shape.rank = (uint8_t)(c->shape.rank - 1);
    memcpy(want.shape.dim, c->shape.dim + 1, sizeof want.shape.dim[0] * want.shape.rank);
    want.shape.dim[0] = c->ragged ? 0 : want.shape.dim[0];
    if (shape_within(want.shape, 1 << 28) <= 0 && !c->ragged)
        return NULL;
    const RecipeColumn *wants[] = {&want};
    Counting sink = {.base = {wants, 1, count_put}};
    Error e = {0};
    GrStatus s = reader_of(f->source->reader)->read(a, f, &sink.base, &e);
    if (s == GR_OK && sink.rows != c->shape.dim[0])
        return "gave another number of rows than it said";
    return check_said(s, &e);
}

/* NULL, or what went wrong. */
static const char *run(const Target *t, const char *path, Random *r) {
    Arena *a = arena_create();
    RecipeSource source = {.reader = t->kind, .header = t->header};
    ReaderFile f = {.source = &source, .path = str_of(path), .column = STR("x")};
    FileColumns have = {.rows = -1};
    Error e = {0};
    GrStatus s = reader_of(t->kind)->describe(a, &f, true, &have, &e);
    const char *wrong = check_said(s, &e);
    size_t first = below(r, have.at.n);
    for (uint32_t i = 0; s == GR_OK && i < have.at.n && i < COLUMNS_TRIED && wrong == NULL; i++) {
        const FileColumn *c = &have.at.at[(first + i) % have.at.n];
        if (c->shape.rank > 0 && c->problem.n == 0)
            wrong = read_column(a, &f, c);
    }
    arena_destroy(a);
    return wrong;
}

static void store(const char *path, const File *f) {
    FILE *out = fopen(path, "wb");
    if (out == NULL || fwrite(f->at, 1, f->n, out) != f->n || fclose(out) != 0) {
        fprintf(stderr, "graphc-fuzz-data: %s: %s\n", path, strerror(errno));
        exit(2);
    }
}

static long most_memory(void) {
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    return own.ru_maxrss > children.ru_maxrss ? own.ru_maxrss : children.ru_maxrss;
}

static bool fuzz(const Target *t, double minutes, uint64_t seed) {
    Arena *a = arena_create();
    if (t->store != NULL)
        store_make(a);
    Seeds seeds = seeds_of(a, t);
    Random r = {seed * 0x9e3779b97f4a7c15 + 1};
    File f = {PUSH(a, uint8_t, FILE_MOST), 0};
    const char *prefix = t->store != NULL ? STORE_FOLDER "/" : "./fuzz-data.", *wrong = NULL;
    const char *path = str_format(a, "%s%s", prefix, t->reader).s;
    time_t end = time(NULL) + (time_t)(minutes * 60);
    uint64_t runs = 0;
    for (; wrong == NULL && (runs < 100 || time(NULL) < end); runs++) {
        const File *from = &seeds.at[below(&r, seeds.n)];
        f.n = from->n;
        memcpy(f.at, from->at, from->n);
        if (runs >= seeds.n)
            mutate(&r, &f);
        store(path, &f);
        alarm(SECONDS_MOST);
        wrong = t->store != NULL ? t->store() : run(t, path, &r);
        alarm(0);
        if (wrong == NULL && most_memory() > KILOBYTES_MOST)
            wrong = "took two gigabytes";
    }
    printf("%-16s %8llu files  %s\n", t->reader, (unsigned long long)runs, wrong == NULL ? "well" : wrong);
    fflush(stdout);
    if (wrong == NULL && t->store != NULL)
        store_remove();
    else if (wrong == NULL)
        unlink(path);
    arena_destroy(a);
    return wrong == NULL;
}

/* ---- arguments ---- */
typedef struct {
    double minutes;
    uint64_t seed;
    const char *readers[24];
    size_t n;
} Options;
enum { KEY_MINUTES = 0x100, KEY_SEED };

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_MINUTES: o->minutes = strtod(arg, NULL); return 0;
    case KEY_SEED: o->seed = strtoull(arg, NULL, 10); return 0;
    case ARGP_KEY_ARG:
        if (o->n == sizeof o->readers / sizeof *o->readers)
            argp_error(state, "so many readers there are not");
        o->readers[o->n++] = arg;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static bool chosen(const Options *o, const Target *t) {
    for (size_t i = 0; i < o->n; i++) {
        if (strcmp(o->readers[i], t->reader) == 0)
            return true;
    }
    return o->n == 0;
}

int main(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"minutes", KEY_MINUTES, "M", 0, "how long each reader is tried (1)", 0},
        {"seed", KEY_SEED, "S", 0, "another seed, other mutations (1)", 0},
        {0}};
    static const struct argp parser = {.options = options,
                                       .parser = parse,
                                       .args_doc = "[READER ..]",
                                       .doc = "Reads files of data and of runs that have wrong bytes in them."};
    Options o = {.minutes = 1, .seed = 1};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    bool well = true, any = false;
    for (size_t i = 0; i < sizeof k_targets / sizeof *k_targets; i++) {
        if (chosen(&o, &k_targets[i])) {
            any = true;
            well = fuzz(&k_targets[i], o.minutes, o.seed) && well;
        }
    }
    if (!any)
        fprintf(stderr, "graphc-fuzz-data: there is no such reader\n");
    return well && any ? 0 : 1;
}
