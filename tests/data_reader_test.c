/* Readers on files that numpy, h5py and Pillow wrote (tests/data), and on files that are wrong. */
#include "dataset.h"
#include "read_file.h"
#include "test.h"
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_SAYS(e, part)                                                                                  \
    CHECK_MSG(strstr((e).what, part) != NULL, "`%s` does not say `%s`", (e).what, part)

static Str fixture(const char *name) {
    return str_format(test_arena(), "%.*s/tests/data/%s", FSTR(test_root()), name);
}

static Str file_of(const char *name, const char *text) {
    Str path = str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name);
    test_write(path, str_of(text));
    return path;
}

static GrStatus read_of(ReaderKind kind, Str path, const char *column, Array *out, Error *e) {
    RecipeSource s = {.reader = kind, .header = true};
    *e = (Error){0};
    return read_file(test_arena(), &s, path, str_of(column), out, e);
}

static bool is_array(const Array *x, DType t, uint32_t rank, const int64_t *dim, const void *values) {
    int64_t n = shape_count(x->shape);
    return x->dtype == t && shape_eq(x->shape, shape_of(rank, dim)) &&
           (values == NULL || memcmp(x->at, values, (size_t)n * dtype_bytes(t)) == 0);
}

/* Arrays of all formats hold the same x: a quarter of 0 to 23. */
static void check_x(ReaderKind kind, const char *file) {
    Array x;
    Error e;
    float quarter[24];
    for (int i = 0; i < 24; i++)
        quarter[i] = (float)i / 4;
    CHECK_MSG(read_of(kind, fixture(file), "x", &x, &e) == GR_OK, "%s: %s", file, e.what);
    CHECK(is_array(&x, DT_F32, 3, (int64_t[]){4, 3, 2}, quarter));
    CHECK(read_of(kind, fixture(file), "label", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_U8, 1, (int64_t[]){4}, (uint8_t[]){3, 1, 4, 1}));
}

TEST(npz_reads_stored_and_deflated) {
    Array x;
    Error e;
    check_x(READER_NPZ, "stored.npz");
    check_x(READER_NPZ, "deflated.npz");
    CHECK(read_of(READER_NPZ, fixture("deflated.npz"), "one", &x, &e) == GR_OK && x.shape.rank == 0);
    CHECK(read_of(READER_NPZ, file_of("a.npz", "PK"), "x", &x, &e) == GR_DATA);
    CHECK_SAYS(e, "cannot be opened as npz");
    CHECK(read_of(READER_NPZ, test_folder(), "x", &x, &e) == GR_IO);
    CHECK_SAYS(e, "is a folder, not a file");
}

TEST(safetensors_and_idx) {
    Array x;
    Error e;
    check_x(READER_SAFETENSORS, "x.safetensors");
    CHECK(read_of(READER_IDX, fixture("x.idx.gz"), "x", &x, &e) == GR_OK && ((float *)x.at)[23] == 5.75f);
    CHECK(read_of(READER_NPY, fixture("x.npy"), "x", &x, &e) == GR_OK && ((float *)x.at)[23] == 5.75f);
    CHECK(read_of(READER_SAFETENSORS, file_of("a.safetensors", "no"), "x", &x, &e) == GR_DATA);
    CHECK_SAYS(e, "is not a whole safetensors file");
}

TEST(hdf5_reads_numbers_of_all_kinds) {
    Array x;
    Error e;
    Str plain = fixture("plain.h5");
    check_x(READER_HDF5, "plain.h5");
    CHECK(read_of(READER_HDF5, plain, "group_deep", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_I64, 1, (int64_t[]){4}, (int64_t[]){0, 10, 20, 30}));
    CHECK(read_of(READER_HDF5, plain, "flag", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_U8, 1, (int64_t[]){4}, (uint8_t[]){1, 0, 0, 1}));
    CHECK(read_of(READER_HDF5, plain, "half", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_F32, 1, (int64_t[]){4}, (float[]){0.5, 1, 2, -3}));
    CHECK(read_of(READER_HDF5, plain, "big", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_F64, 1, (int64_t[]){4}, (double[]){1.5, 2.5, 3.5, 4.5}));
    CHECK(read_of(READER_HDF5, plain, "huge", &x, &e) == GR_DATA);
    CHECK_SAYS(e, "a value is 2^63 - 1 or more");
    CHECK(read_of(READER_HDF5, file_of("no.h5", "no"), "x", &x, &e) == GR_DATA);
    CHECK_SAYS(e, "cannot be opened as HDF5");
}

TEST(hdf5_reads_chunks) {
    Array x;
    Error e;
    Str path = fixture("chunked.h5");
    REQUIRE(read_of(READER_HDF5, path, "x", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_I32, 2, (int64_t[]){1000, 40}, NULL));
    for (int i = 0; i < 40000; i++)
        REQUIRE(((int32_t *)x.at)[i] == i % 97);
    REQUIRE(read_of(READER_HDF5, path, "slab", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_I32, 2, (int64_t[]){600, 1000}, NULL));
    for (int i = 0; i < 600000; i++)
        REQUIRE(((int32_t *)x.at)[i] == i / 1000);
}

TEST(csv_reads) {
    Array x;
    Error e;
    Str path = file_of("a.csv", "\xef\xbb\xbf"
                                "a,\"b \"\"q\"\"\",c\r\n1, 2.5 ,\"3\"\r\n\n-4,1e3,6");
    REQUIRE(read_of(READER_CSV, path, "a", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_F64, 1, (int64_t[]){2}, (double[]){1, -4}));
    REQUIRE(read_of(READER_CSV, path, "b \"q\"", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_F64, 1, (int64_t[]){2}, (double[]){2.5, 1000}));
    REQUIRE(read_of(READER_CSV, path, "columns", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_F64, 2, (int64_t[]){2, 3}, (double[]){1, 2.5, 3, -4, 1000, 6}));
    REQUIRE(read_of(READER_CSV, fixture("table.csv.gz"), "x", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_F64, 1, (int64_t[]){2}, (double[]){0.5, -1000}));
    RecipeSource tabs = {.reader = READER_CSV, .separator = STR("\t")};
    REQUIRE(read_file(test_arena(), &tabs, file_of("t.csv", "1\t2\n3\t4\n"), STR("columns"), &x, &e) ==
            GR_OK);
    CHECK(is_array(&x, DT_F64, 2, (int64_t[]){2, 2}, (double[]){1, 2, 3, 4}));
}

typedef struct {
    const char *text, *says;
} Wrong;

TEST(csv_says_what_is_wrong_where) {
    static const Wrong wrong[] = {
        {"x,y\n1,2\n3,abc\n", "row 1, column `y`: `abc` is no number"},
        {"x,y\n1,2\n3,\n", "row 1, column `y`: the cell is empty"},
        {"x,y\n1,2\n3\n", "row 1 has 1 cells, the header has 2"},
        {"x,y\n1,2\n3,4,5\n", "row 1 has 3 cells, the header has 2"},
        {"x,y\n1,0x10\n", "row 0, column `y`: `0x10` is no number"},
        {"x,y\n1,\"2\n", "a quote stands where none can be"},
        {"x,y\n1,2\"3\n", "a quote stands where none can be"},
        {"", "is empty"},
        {"z\n1\n", "no such column"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Array x;
        Error e;
        CHECK_MSG(read_of(READER_CSV, file_of("w.csv", wrong[i].text), "y", &x, &e) != GR_OK, "%s",
                  wrong[i].text);
        CHECK_SAYS(e, wrong[i].says);
    }
}

TEST(csv_refuses_cells_without_end) {
    Array x;
    Error e;
    char *cell = PUSH(test_arena(), char, (3 << 20) + 1);
    memset(cell, '1', 3 << 20);
    CHECK(read_of(READER_CSV, file_of("long.csv", cell), "columns", &x, &e) == GR_DATA);
    CHECK_SAYS(e, "over a megabyte");
}

TEST(bytes_and_lines) {
    Array x;
    Error e;
    Str path = file_of("t.txt", "ab\r\n\nlast");
    REQUIRE(read_of(READER_BYTES, path, "bytes", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_U8, 1, (int64_t[]){9}, "ab\r\n\nlast"));
    REQUIRE(read_of(READER_LINES, path, "bytes", &x, &e) == GR_OK);
    CHECK(x.dtype == DT_U8 && x.shape.dim[0] == 3 && memcmp(x.at, "ablast", 6) == 0);
    REQUIRE(read_of(READER_LINES, file_of("empty", ""), "bytes", &x, &e) == GR_OK && x.shape.dim[0] == 0);
}

static RecipeColumn ragged_of(const char *name, bool lengths, Shape shape) {
    return (RecipeColumn){.name = str_of(name),
                          .dtype = lengths ? DT_I32 : DT_U8,
                          .shape = shape,
                          .raw = true,
                          .used = true,
                          .source = STR("bytes"),
                          .ragged = !lengths,
                          .lengths = lengths};
}

TEST(ragged_rows_have_zeros_behind_them) {
    RecipeData r = {.name = STR("names")};
    Dataset *d;
    Error e = {0};
    Str path = file_of("names", "anna\n\nbo\n");
    vec_push(test_arena(), &r.files, (RecipeFile){.column = STR("bytes"), .path = path});
    vec_push(test_arena(), &r.sources, (RecipeSource){.reader = READER_LINES, .n_files = 1});
    vec_push(test_arena(), &r.columns, ragged_of("word", false, shape_of(1, (int64_t[]){4})));
    vec_push(test_arena(), &r.columns, ragged_of("word.length", true, (Shape){0}));
    REQUIRE(dataset_open(test_arena(), &r, NULL, NULL, &d, &e) == GR_OK && d->rows == 3);
    CHECK(memcmp(d->columns.at[0].at, "anna\0\0\0\0bo\0\0", 12) == 0);
    CHECK(memcmp(d->columns.at[1].at, (int32_t[]){4, 0, 2}, 12) == 0);
    r.columns.at[0].shape.dim[0] = 3;
    CHECK(dataset_open(test_arena(), &r, NULL, NULL, &d, &e) == GR_DATA);
    CHECK_SAYS(e, "names, row 0: 4 items in `word`, which has up to 3");
    r.columns.at[0].ragged = false;
    CHECK(dataset_open(test_arena(), &r, NULL, NULL, &d, &e) == GR_DATA);
    CHECK_SAYS(e, "rows of `bytes` have each their own length");
}

TEST(images_are_read_as_they_are) {
    Array x;
    Error e;
    REQUIRE(read_of(READER_IMAGES, fixture("photos/ant/20.png"), "image", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_U8, 3, (int64_t[]){1, 2, 3}, (uint8_t[]){20, 21, 22, 23, 24, 25}));
    REQUIRE(read_of(READER_IMAGES, fixture("rgb.png"), "image", &x, &e) == GR_OK);
    CHECK(is_array(&x, DT_U8, 4, (int64_t[]){1, 2, 4, 3}, NULL));
    for (int i = 0; i < 24; i++)
        CHECK(((uint8_t *)x.at)[i] == i);
    CHECK(read_of(READER_IMAGES, fixture("palette.png"), "image", &x, &e) == GR_OK && x.shape.dim[3] == 3);
    CHECK(read_of(READER_IMAGES, fixture("grey.jpg"), "image", &x, &e) == GR_OK);
    CHECK(x.shape.rank == 3 && ((uint8_t *)x.at)[63] == 90);
    CHECK(read_of(READER_IMAGES, fixture("rgb.jpg"), "image", &x, &e) == GR_OK && x.shape.dim[3] == 3);
    CHECK(read_of(READER_IMAGES, fixture("deep.png"), "image", &x, &e) == GR_DATA);
    CHECK_SAYS(e, "16 bits a channel");
    CHECK(read_of(READER_IMAGES, file_of("a.png", "GIF89a.."), "image", &x, &e) == GR_DATA);
    CHECK_SAYS(e, "neither PNG nor JPEG");
}

/* Cut anywhere, a file is refused or (behind the last thing that is read of it) gives what it gave. */
static void check_cuts(ReaderKind kind, const char *name, const char *column, uint32_t step) {
    Array x;
    Error e;
    Str whole = test_read(fixture(name)), path = str_format(test_arena(), "%.*s/cut", FSTR(test_folder()));
    for (uint32_t n = 0; n < whole.n; n += step) {
        test_write(path, (Str){whole.s, n});
        GrStatus s = read_of(kind, path, column, &x, &e);
        CHECK_MSG(s == GR_OK || e.what[0] != 0, "%s cut to %u bytes", name, n);
        CHECK_MSG(s != GR_OK || n > whole.n / 2, "%s cut to %u bytes is read", name, n);
    }
}

TEST_ALL(files_cut_short_are_refused) {
    check_cuts(READER_NPZ, "stored.npz", "x", 7);
    check_cuts(READER_NPZ, "deflated.npz", "x", 7);
    check_cuts(READER_HDF5, "plain.h5", "x", 331);
    check_cuts(READER_IMAGES, "rgb.png", "image", 1);
    check_cuts(READER_IMAGES, "grey.jpg", "image", 3);
    check_cuts(READER_CSV, "table.csv.gz", "x", 1);
}

/* ---- extern ---- */
static Str library_of(const char *body) {
    Str source = file_of("gen.c", body),
        library = str_format(test_arena(), "%.*s/gen.so", FSTR(test_folder()));
    Str command =
        str_format(test_arena(), "%s -shared -fPIC -o %.*s %.*s", GRAPHC_CC, FSTR(library), FSTR(source));
    Ran r = test_shell(command);
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
    return library;
}

static GrStatus make_rows(Str library,
                          GrStatus (*put)(Sink *, uint32_t, DType, const void *, int64_t, const int32_t *,
                                          Error *),
                          Error *e) {
    RecipeSource s = {.reader = READER_EXTERN, .symbol = STR("ramp"), .key = 7};
    RecipeColumn c = {.name = STR("x"), .dtype = DT_I32, .shape = shape_of(1, (int64_t[]){2})};
    const RecipeColumn *wants[] = {&c};
    ReaderFile f = {.source = &s, .path = library};
    FileColumns have = {.rows = -1};
    Sink sink = {wants, 1, put};
    *e = (Error){0};
    TRY(reader_of(READER_EXTERN)->describe(test_arena(), &f, true, &have, e));
    CHECK(have.rows == 3 && have.open);
    return reader_of(READER_EXTERN)->read(test_arena(), &f, &sink, e);
}

static GrStatus put_ramp(Sink *s, uint32_t want, DType from, const void *at, int64_t rows,
                         const int32_t *lengths, Error *e) {
    (void)s, (void)want, (void)lengths, (void)e;
    CHECK(from == DT_I32 && rows == 3 && memcmp(at, (int32_t[]){70, 71, 72, 73, 74, 75}, 24) == 0);
    return GR_OK;
}

#define RAMP(body)                                                                                           \
    "#include <stdint.h>\nstatic int calls;\n"                                                               \
    "int64_t ramp_rows(uint64_t key) { return key == 7 ? 3 : 0; }\n"                                         \
    "int ramp(uint64_t key, const char *c, const char *t, int64_t items, int64_t first, int64_t rows, void " \
    "*to) {\n"                                                                                               \
    "    for (int64_t i = 0; i < rows * items; i++) ((int32_t *)to)[i] = 10 * key + first * items + "        \
    "i;\n" body "}\n"

TEST(extern_makes_rows) {
    Error e;
    CHECK_MSG(make_rows(library_of(RAMP("return *c != 'x' || *t != 'i';")), put_ramp, &e) == GR_OK, "%s",
              e.what);
    CHECK(make_rows(library_of(RAMP("return 5;")), put_ramp, &e) == GR_DATA);
    CHECK_SAYS(e, "does not make rows 0 to 2 of `x` (i32, 2 items a row): it returns 5");
    CHECK(make_rows(library_of(RAMP("*(int32_t *)to += calls++; return 0;")), put_ramp, &e) == GR_DATA);
    CHECK_SAYS(e, "another row 2");
    CHECK(make_rows(library_of(RAMP("return *(volatile int *)0;")), put_ramp, &e) == GR_DATA);
    CHECK_SAYS(e, "broke off");
    CHECK(make_rows(library_of("int other;"), put_ramp, &e) == GR_DATA);
    CHECK_SAYS(e, "no function `ramp_rows`");
}
