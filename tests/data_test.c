/* Data: files that are right, files that lie, splits to the row, batches with and without a thread. */
#include "test.h"
#include "convert.h"
#include "dataset.h"
#include "loader.h"
#include "png.h"
#include "read_file.h"
#include "split.h"
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

static Str file_of(const char *name, const void *bytes, uint32_t n) {
    Str path = str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name);
    test_write(path, (Str){bytes, n});
    return path;
}

static Str gz_of(const char *name, const void *bytes, uint32_t n) {
    Str path = str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name);
    gzFile f = gzopen(path.s, "wb");
    REQUIRE(f != NULL && gzwrite(f, bytes, n) == (int)n && gzclose(f) == Z_OK);
    return path;
}

#define CHECK_SAYS(e, part)                                                                                  \
    CHECK_MSG(strstr((e).what, part) != NULL, "`%s` does not say `%s`", (e).what, part)

static GrStatus idx_array(Arena *a, Str path, Array *out, Error *e) {
    return read_file(a, &(RecipeSource){.reader = READER_IDX}, path, STR("x"), out, e);
}

static GrStatus npy_array(Arena *a, Str path, Array *out, Error *e) {
    return read_file(a, &(RecipeSource){.reader = READER_NPY}, path, STR("x"), out, e);
}

/* ---- idx ---- */
static const uint8_t k_labels[] = {0, 0, 8, 1, 0, 0, 0, 4, 3, 1, 4, 1};
static const uint8_t k_images[] = {0, 0, 8, 3, 0,  0,  0,  4,  0,  0,  0,  1,
                                   0, 0, 0, 2, 10, 11, 20, 21, 30, 31, 40, 41};

TEST(idx_reads_plain_and_gzip) {
    Array x;
    Error e;
    for (int gz = 0; gz < 2; gz++) {
        Str path = gz ? gz_of("i.gz", k_images, sizeof k_images) : file_of("i", k_images, sizeof k_images);
        REQUIRE(idx_array(test_arena(), path, &x, &e) == GR_OK);
        CHECK(x.dtype == DT_U8 && shape_eq(x.shape, shape_of(3, (int64_t[]){4, 1, 2})));
        CHECK(((uint8_t *)x.at)[0] == 10 && ((uint8_t *)x.at)[7] == 41);
    }
}

TEST(idx_turns_big_endian) {
    static const uint8_t shorts[] = {0, 0, 0x0b, 1, 0, 0, 0, 3, 0xff, 0xfe, 1, 0, 0, 7};
    static const uint8_t bytes[] = {0, 0, 0x09, 1, 0, 0, 0, 3, 0xff, 5, 0x80};
    static const uint8_t floats[] = {0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0x80, 0, 0};
    static const uint8_t doubles[] = {0, 0, 0x0e, 1, 0, 0, 0, 1, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0};
    Array x;
    Error e;
    REQUIRE(idx_array(test_arena(), file_of("s", shorts, sizeof shorts), &x, &e) == GR_OK);
    CHECK(x.dtype == DT_I32 && memcmp(x.at, (int32_t[]){-2, 256, 7}, 12) == 0);
    REQUIRE(idx_array(test_arena(), file_of("b", bytes, sizeof bytes), &x, &e) == GR_OK);
    CHECK(x.dtype == DT_I32 && memcmp(x.at, (int32_t[]){-1, 5, -128}, 12) == 0);
    REQUIRE(idx_array(test_arena(), file_of("f", floats, sizeof floats), &x, &e) == GR_OK);
    CHECK(x.dtype == DT_F32 && *(float *)x.at == 1);
    REQUIRE(idx_array(test_arena(), file_of("d", doubles, sizeof doubles), &x, &e) == GR_OK);
    CHECK(x.dtype == DT_F64 && *(double *)x.at == -1);
}

/* Every prefix of a file, plain or of its gzip stream, is refused with a message. */
TEST(idx_cut_short_anywhere_is_refused) {
    Array x;
    Str gz = test_read(gz_of("whole.gz", k_images, sizeof k_images));
    for (uint32_t n = 0; n < sizeof k_images; n++) {
        Error e = {0};
        CHECK(idx_array(test_arena(), file_of("cut", k_images, n), &x, &e) == GR_DATA && e.what[0] != 0);
    }
    for (uint32_t n = 0; n < gz.n; n++) {
        Error e = {0};
        CHECK_MSG(idx_array(test_arena(), file_of("cut.gz", gz.s, n), &x, &e) == GR_DATA && e.what[0] != 0,
                  "%u bytes", n);
    }
}

TEST(idx_lies_are_refused) {
    uint8_t b[sizeof k_images + 1] = {0};
    Array x;
    Error e = {0};
    memcpy(b, k_images, sizeof k_images);
    CHECK(idx_array(test_arena(), file_of("long", b, sizeof b), &x, &e) == GR_DATA);
    CHECK_SAYS(e, "longer than its header says");
    memset(b + 4, 0xff, 12);
    CHECK(idx_array(test_arena(), file_of("huge", b, sizeof k_images), &x, &e) == GR_DATA);
    CHECK_SAYS(e, "cannot");
    CHECK(idx_array(test_arena(), gz_of("huge.gz", b, sizeof k_images), &x, &e) == GR_DATA);
    CHECK_SAYS(e, "cannot");
    b[3] = 9;
    CHECK(idx_array(test_arena(), file_of("rank", b, sizeof k_images), &x, &e) == GR_DATA);
    CHECK_SAYS(e, "9 dimensions");
    b[2] = 7;
    CHECK(idx_array(test_arena(), file_of("type", b, sizeof k_images), &x, &e) == GR_DATA);
    CHECK_SAYS(e, "is not an idx file");
    CHECK(idx_array(test_arena(), STR("no/such/file"), &x, &e) == GR_IO);
    CHECK_SAYS(e, "no/such/file");
    Str gz = test_read(gz_of("bits.gz", k_labels, sizeof k_labels));
    char *flipped =
        str_copy(test_arena(), gz).s == NULL ? NULL : memcpy(PUSH(test_arena(), char, gz.n), gz.s, gz.n);
    flipped[gz.n - 6] ^= 1;                                /* the checksum */
    CHECK(idx_array(test_arena(), file_of("flip.gz", flipped, gz.n), &x, &e) == GR_DATA);
    CHECK_SAYS(e, "damaged");
}

/* ---- npy ---- */
static Str npy_of(const char *header, const void *bytes, uint32_t n) {
    Buf b = buf_make(test_arena());
    buf_put(&b, (Str){"\x93NUMPY\x01\x00", 8});
    uint32_t length = (uint32_t)strlen(header);
    buf_char(&b, (char)(length & 255));
    buf_char(&b, (char)(length >> 8));
    buf_put(&b, str_of(header));
    buf_put(&b, (Str){bytes, n});
    return file_of("x.npy", buf_str(&b).s, buf_str(&b).n);
}

static const float k_floats[6] = {1, 2, 3, 4, 5, 6};

TEST(npy_reads) {
    Array x;
    Error e = {0};
    Str path = npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", k_floats, 24);
    REQUIRE(npy_array(test_arena(), path, &x, &e) == GR_OK);
    CHECK(x.dtype == DT_F32 && shape_eq(x.shape, shape_of(2, (int64_t[]){2, 3})) &&
          memcmp(x.at, k_floats, 24) == 0);
    path = npy_of("{\"shape\":(24,),\"descr\":\"|u1\",\"fortran_order\":True}", k_floats, 24);
    REQUIRE(npy_array(test_arena(), path, &x, &e) == GR_OK);
    CHECK(x.dtype == DT_U8 && x.shape.dim[0] == 24);
    REQUIRE(npy_array(test_arena(),
                     npy_of("{'descr': '<i8', 'fortran_order': False, 'shape': (), }", k_floats, 8), &x,
                     &e) == GR_OK);
    CHECK(x.dtype == DT_I64 && x.shape.rank == 0);
    REQUIRE(npy_array(test_arena(), npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 7)}", "", 0),
                     &x, &e) == GR_OK);
}

typedef struct { const char *header, *says; } Lie;

TEST(npy_lies_are_refused) {
    static const Lie lies[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 3), }",
         "its header says 12000000 bytes of elements"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }",
         "its header says 16 bytes of elements"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }", "over"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", "Fortran order"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", "`>f4`"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", "`|O`"},
        {"{'descr': '<f4', 'fortran_order': False, }", "not what numpy writes"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
         "not what numpy writes"},
        {"{'descr': '<f4', 'fortran_order': __import__('os'), 'shape': (2, 3)}", "not what numpy writes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}", "not what numpy writes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} + 1", "not what numpy writes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,6)}", "not what numpy writes"},
        {"{'descr: ", "not what numpy writes"},
        {"", "not what numpy writes"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        Array x;
        Error e = {0};
        CHECK_MSG(npy_array(test_arena(), npy_of(lies[i].header, k_floats, 24), &x, &e) == GR_DATA, "%s",
                  lies[i].header);
        CHECK_SAYS(e, lies[i].says);
    }
    Array x;
    Error e = {0};
    CHECK(npy_array(test_arena(), file_of("a", "\x93NUMPY\x01\x00\xff\xff{}", 12), &x, &e) == GR_DATA);
    CHECK_SAYS(e, "claims a header of 65535 bytes");
    CHECK(npy_array(test_arena(), file_of("b", "\x93NUMPY\x07\x00\x02\x00{}", 12), &x, &e) == GR_DATA);
    CHECK_SAYS(e, "version 7");
    CHECK(npy_array(test_arena(), file_of("c", "PK", 2), &x, &e) == GR_DATA);
    CHECK(npy_array(test_arena(),
                   npy_of("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\0\1\2", 3), &x,
                   &e) == GR_DATA);
    CHECK_SAYS(e, "element 2 is 2");
}

/* A damaged header is refused or read as another array, but never leads outside the file (the sanitizers
 * look). */
TEST(headers_with_any_bit_changed_do_no_harm) {
    Str npy = test_read(npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", k_floats, 24));
    char *bytes = memcpy(PUSH(test_arena(), char, npy.n), npy.s, npy.n), idx[sizeof k_images];
    memcpy(idx, k_images, sizeof idx);
    for (uint32_t bit = 0; bit < npy.n * 8; bit++) {
        Array x;
        Error e = {0};
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        GrStatus s = npy_array(test_arena(), file_of("bits.npy", bytes, npy.n), &x, &e);
        CHECK(s == GR_OK || (s == GR_DATA && e.what[0] != 0));
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        if (bit >= sizeof idx * 8)
            continue;
        idx[bit / 8] ^= (char)(1 << bit % 8);
        s = idx_array(test_arena(), file_of("bits.idx", idx, sizeof idx), &x, &e);
        CHECK(s == GR_OK || (s == GR_DATA && e.what[0] != 0));
        idx[bit / 8] ^= (char)(1 << bit % 8);
    }
}

TEST(fashion_mnist_where_it_is_installed) {
    Str path = STR("/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz");
    Array x;
    Error e = {0};
    if (access(path.s, R_OK) != 0)
        return;
    REQUIRE(idx_array(test_arena(), path, &x, &e) == GR_OK);
    CHECK(x.dtype == DT_U8 && shape_eq(x.shape, shape_of(1, (int64_t[]){10000})));
    int count[10] = {0};
    for (int i = 0; i < 10000; i++)
        count[((uint8_t *)x.at)[i] % 10]++;
    for (int c = 0; c < 10; c++)
        CHECK_INT(count[c], 1000);
}

/* ---- conversion ---- */
TEST(conversion_bends_nothing) {
    uint8_t u8[4];
    int32_t i32[4];
    float f32[4];
    CHECK_INT(convert_elements(DT_U8, u8, DT_I64, (int64_t[]){0, 255, 256}, 3, 0), 2);
    CHECK_INT(convert_elements(DT_U8, u8, DT_U8, (uint8_t[]){0, 4, 5}, 3, 5), 2);
    CHECK_INT(convert_elements(DT_U8, u8, DT_U8, (uint8_t[]){0, 4, 255}, 3, 0), -1);
    CHECK_INT(convert_elements(DT_I32, i32, DT_F64, (double[]){1, -3, 1.5}, 3, 0), 2);
    CHECK_INT(convert_elements(DT_I32, i32, DT_F64, (double[]){1, 1e30}, 2, 0), 1);
    CHECK_INT(convert_elements(DT_BOOL, u8, DT_I32, (int32_t[]){0, 1, 2}, 3, 0), 2);
    CHECK_INT(convert_elements(DT_F32, f32, DT_F32, (float[]){1, (float)NAN}, 2, 0), 1);
    CHECK_INT(convert_elements(DT_F32, f32, DT_F64, (double[]){0.1, 1e-42, -1e-42, 1e300}, 4, 0), -1);
    CHECK(f32[0] == 0.1f && f32_bits(f32[1]) == 0 && f32_bits(f32[2]) == 0x80000000u && isinf(f32[3]));
}

/* ---- splits ---- */
typedef struct { const char *name; PartKind kind; int64_t num, den; } Part;

static RecipeData *recipe_of(const char *of, uint32_t n, const Part *parts) {
    RecipeData *d = PUSH(test_arena(), RecipeData, 1);
    d->name = STR("d");
    for (uint32_t i = 0; i < n; i++)
        vec_push(test_arena(), &d->parts,
                 (RecipePart){str_of(parts[i].name), parts[i].kind, parts[i].num, parts[i].den, {0, 0}});
    vec_push(test_arena(), &d->splits, (RecipeSplit){.of = str_of(of), .n_parts = n, .seed = 1});
    return d;
}

static void split_sizes(int64_t rows, int64_t train, int64_t val, int64_t test) {
    static const Part rest[] = {
        {"train", PART_SHARE, 7, 10}, {"val", PART_SHARE, 1, 10}, {"test", PART_REST, 0, 0}};
    static const Part share[] = {
        {"train", PART_SHARE, 7, 10}, {"val", PART_SHARE, 10, 100}, {"test", PART_SHARE, 2, 10}};
    const int64_t expected[] = {train, val, test};
    for (int k = 0; k < 2; k++) {
        RecipeData *d = recipe_of("", 3, k == 0 ? rest : share);
        Splits s;
        Error e = {0};
        Str *source_of = PUSH(test_arena(), Str, rows);
        REQUIRE(splits_build(test_arena(), d, rows, source_of, NULL, &s, &e) == GR_OK);
        uint8_t *seen = PUSH(test_arena(), uint8_t, rows);
        for (uint32_t i = 0; i < 3; i++) {
            const Split *split = splits_find(&s, str_of(rest[i].name));
            REQUIRE(split != NULL);
            CHECK_INT(split->n, expected[i]);
            for (int64_t r = 0; r < split->n; r++)
                seen[split->rows[r]]++;
        }
        for (int64_t r = 0; r < rows; r++)
            REQUIRE(seen[r] == 1);
    }
}

TEST(splits_cut_exactly) {
    split_sizes(27017, 18911, 2702, 5404);
    split_sizes(3932, 2752, 393, 787);
    split_sizes(10, 7, 1, 2);
}

TEST(splits_by_source_and_of_a_split) {
    static const Part parts[] = {{"val", PART_SHARE, 1, 10}, {"train", PART_REST, 0, 0}};
    RecipeData *d = recipe_of("train", 2, parts);
    Str source_of[30];
    for (int i = 0; i < 30; i++)
        source_of[i] = i < 10 ? STR("test") : STR("train");
    Splits s;
    Error e = {0};
    REQUIRE(splits_build(test_arena(), d, 30, source_of, NULL, &s, &e) == GR_OK);
    CHECK_INT(s.at.n, 3);
    CHECK_INT(splits_find(&s, STR("test"))->n, 10);
    CHECK_INT(splits_find(&s, STR("val"))->n, 2);
    CHECK_INT(splits_find(&s, STR("train"))->n, 18);
    CHECK(splits_find(&s, STR("train"))->rows[0] >= 10);
    d->splits.at[0].of = STR("nothing");
    CHECK(splits_build(test_arena(), d, 30, source_of, NULL, &s, &e) == GR_DATA);
    CHECK_SAYS(e, "no split `nothing`");
}

TEST(splits_in_order_and_counts) {
    static const Part parts[] = {{"a", PART_COUNT, 3, 0}, {"b", PART_REST, 0, 0}, {"c", PART_COUNT, 2, 0}};
    RecipeData *d = recipe_of("", 3, parts);
    Str source_of[10] = {0};
    Splits s;
    Error e = {0};
    d->splits.at[0].in_order = true;
    REQUIRE(splits_build(test_arena(), d, 10, source_of, NULL, &s, &e) == GR_OK);
    CHECK(splits_find(&s, STR("a"))->rows[2] == 2 && splits_find(&s, STR("b"))->rows[0] == 3);
    CHECK(splits_find(&s, STR("c"))->rows[0] == 8 && splits_find(&s, STR("b"))->n == 5);
    d->parts.at[0].numerator = 9;
    CHECK(splits_build(test_arena(), d, 10, source_of, NULL, &s, &e) == GR_DATA);
    CHECK_SAYS(e, "wants 2 rows");
}

TEST(epochs_visit_each_row_once) {
    enum { ROWS = 1000 };
    Splits s;
    Error e = {0};
    RecipeData d = {.name = STR("d")};
    REQUIRE(splits_build(test_arena(), &d, ROWS, PUSH(test_arena(), Str, ROWS), NULL, &s, &e) == GR_OK);
    const Split *train = splits_find(&s, STR("train"));
    uint32_t order[2][ROWS], again[ROWS];
    for (uint32_t epoch = 0; epoch < 2; epoch++) {
        uint8_t seen[ROWS] = {0};
        epoch_order(train, 0, 1, 0, epoch, order[epoch]);
        for (int i = 0; i < ROWS; i++)
            seen[order[epoch][i]]++;
        CHECK(memchr(seen, 0, ROWS) == NULL);
    }
    epoch_order(train, 0, 1, 0, 1, again);
    CHECK(memcmp(again, order[1], sizeof again) == 0 && memcmp(order[0], order[1], sizeof again) != 0);
    epoch_order(train, 0, 2, 0, 1, again);
    CHECK(memcmp(again, order[1], sizeof again) != 0);
}

/* A row leaves a buffer of n at most n - 1 places early, and any time later. */
TEST(a_buffer_visits_each_row_once_and_not_early) {
    enum { ROWS = 1000, BUFFER = 32 };
    Splits s;
    Error e = {0};
    RecipeData d = {.name = STR("d")};
    REQUIRE(splits_build(test_arena(), &d, ROWS, PUSH(test_arena(), Str, ROWS), NULL, &s, &e) == GR_OK);
    const Split *train = splits_find(&s, STR("train"));
    uint32_t order[ROWS], moved = 0;
    uint8_t seen[ROWS] = {0};
    epoch_order(train, BUFFER, 1, 0, 0, order);
    for (uint32_t i = 0; i < ROWS; i++) {
        seen[order[i]]++;
        moved += order[i] != i;
        CHECK(order[i] < i + BUFFER);
    }
    CHECK(memchr(seen, 0, ROWS) == NULL && moved > ROWS / 2);
    epoch_order(train, 1, 1, 0, 0, order);                       /* a buffer of one row shuffles nothing */
    CHECK(memcmp(order, train->rows, sizeof order) == 0);
    epoch_order(train, BUFFER, 1, 0, 3, order);
    Buf b = buf_make(test_arena());
    for (int i = 0; i < 8; i++)
        buf_printf(&b, "%u ", order[i]);
    CHECK_STR(buf_str(&b), "17 8 33 10 13 16 19 38 ");
}

/* The permutation is part of what "the same bits" means: these numbers may not change. */
TEST(permutation_is_fixed) {
    uint32_t items[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    Buf b = buf_make(test_arena());
    permute(items, 8, 1, 2, 3, 4);
    for (int i = 0; i < 8; i++)
        buf_printf(&b, "%u ", items[i]);
    CHECK_STR(buf_str(&b), "1 5 0 3 2 7 6 4 ");
}

/* ---- data sets ---- */
static RecipeData *clothes(Str images, Str labels, int64_t classes) {
    RecipeData *d = PUSH(test_arena(), RecipeData, 1);
    d->name = STR("clothes");
    vec_push(test_arena(), &d->files, (RecipeFile){.column = STR("image"), .path = images});
    vec_push(test_arena(), &d->files, (RecipeFile){.column = STR("label"), .path = labels});
    vec_push(test_arena(), &d->sources,
             (RecipeSource){.reader = READER_IDX, .n_files = 2, .split = STR("train")});
    vec_push(test_arena(), &d->columns,
             (RecipeColumn){.name = STR("image"),
                            .dtype = DT_U8,
                            .raw = true,
                            .used = true,
                            .shape = shape_of(2, (int64_t[]){1, 2})});
    vec_push(
        test_arena(), &d->columns,
        (RecipeColumn){.name = STR("label"), .dtype = DT_U8, .raw = true, .used = true, .bound = classes});
    return d;
}

static GrStatus compute_sum(void *user, const RecipeData *data, const DataRequest *r, DataView *out, uint32_t n_out,
                            Error *e) {
    int32_t *sums = user;
    static uint8_t images[2 * DATA_BLOCK];
    (void)data, (void)e;
    CHECK(r->block == 0 && r->stage.n == 0 && n_out == 1 && str_is(out->name, "sum"));
    r->input(r->reader, STR("image"), images);
    for (int i = 0; i < DATA_BLOCK; i++)
        sums[i] = images[2 * i] + images[2 * i + 1];
    out->dtype = DT_I32;
    out->at = sums;
    return GR_OK;
}

TEST(dataset_reads_and_computes) {
    Str images = gz_of("images.gz", k_images, sizeof k_images),
        labels = file_of("labels", k_labels, sizeof k_labels);
    RecipeData *r = clothes(images, labels, 5);
    Dataset *d;
    Error e = {0};
    r->has_graph = true;
    vec_push(test_arena(), &r->inputs, r->columns.at[0]);
    vec_push(test_arena(), &r->columns, (RecipeColumn){.name = STR("sum"), .dtype = DT_F32, .used = true});
    DataProgram program = {.user = PUSH(test_arena(), int32_t, DATA_BLOCK), .run = compute_sum};
    REQUIRE(dataset_open(test_arena(), r, &program, NULL, &d, &e) == GR_OK);
    CHECK_INT(d->rows, 4);
    CHECK_INT(dataset_column(d, STR("sum")), 2);
    CHECK_INT(dataset_column(d, STR("nothing")), -1);
    uint8_t image[4], label[2];
    float sum[2];
    dataset_fill(d, (uint32_t[]){3, 1}, 2, (DataTarget[]){{0, image}, {1, label}, {2, sum}}, 3);
    CHECK(image[0] == 40 && image[3] == 21 && label[0] == 1 && label[1] == 1 && sum[0] == 81 && sum[1] == 41);
    const Split *split;
    CHECK(dataset_split(d, STR("train"), &split, &e) == GR_OK && split->n == 4);
    CHECK(dataset_split(d, STR("val"), &split, &e) == GR_DATA);
    CHECK_SAYS(e, "no split `val`; it has train");
}

TEST(dataset_refuses_what_does_not_fit) {
    static const uint8_t five[] = {0, 0, 8, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0};
    Str images = file_of("images", k_images, sizeof k_images),
        labels = file_of("labels", k_labels, sizeof k_labels);
    Dataset *d;
    Error e = {0};
    CHECK(dataset_open(test_arena(), clothes(images, labels, 4), NULL, NULL, &d, &e) == GR_DATA && d == NULL);
    CHECK_SAYS(e, "labels, row 2: value 4 in `label` (u8 < 4)");
    CHECK(dataset_open(test_arena(), clothes(images, file_of("five", five, sizeof five), 4), NULL, NULL, &d,
                       &e) == GR_DATA);
    CHECK_SAYS(e, "has 5 rows");
    CHECK(dataset_open(test_arena(), clothes(labels, labels, 5), NULL, NULL, &d, &e) == GR_DATA);
    CHECK_SAYS(e, "holds [4], but a row of `image` is declared u8[1,2]");
    RecipeData *r = clothes(images, labels, 5);
    r->columns.at[1].used = false;
    r->files.at[1].path = STR("no/such/file");
    CHECK(dataset_open(test_arena(), r, NULL, NULL, &d, &e) == GR_OK); /* what is not used is not read */
    r->columns.at[0].used = false;
    CHECK(dataset_open(test_arena(), r, NULL, NULL, &d, &e) == GR_OK && d->rows == 4);
}

TEST(dataset_refuses_nan) {
    const float x[6] = {1, 2, 3, 4, (float)NAN, 6};
    RecipeData r = {.name = STR("d")};
    Str path = npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", x, 24);
    vec_push(test_arena(), &r.files, (RecipeFile){.column = STR("x"), .path = path});
    vec_push(test_arena(), &r.sources, (RecipeSource){.reader = READER_NPY, .n_files = 1});
    vec_push(test_arena(), &r.columns,
             (RecipeColumn){.name = STR("x"),
                            .dtype = DT_F32,
                            .raw = true,
                            .used = true,
                            .shape = shape_of(1, (int64_t[]){3})});
    Dataset *d;
    Error e = {0};
    CHECK(dataset_open(test_arena(), &r, NULL, NULL, &d, &e) == GR_DATA);
    CHECK_SAYS(e, "x.npy, row 1: value nan in `x` (f32[3]), place 1 of the row");
}

/* ---- batches ---- */
TEST(loader_gives_the_same_with_and_without_a_thread) {
    enum { ROWS = 1000, BATCH = 64 };
    RecipeData r = {.name = STR("d")};
    vec_push(test_arena(), &r.sources, (RecipeSource){.reader = READER_FRESH, .rows = ROWS});
    Dataset d = {.recipe = &r, .rows = ROWS};
    int32_t *values = PUSH(test_arena(), int32_t, ROWS);
    uint32_t *order = PUSH(test_arena(), uint32_t, ROWS);
    for (int i = 0; i < ROWS; i++) {
        values[i] = 7 * i;
        order[i] = (uint32_t)i;
    }
    vec_push(test_arena(), &d.columns, (DataColumn){STR("x"), DT_I32, {0}, 4, (char *)values});
    for (int ahead = 0; ahead < 2; ahead++) {
        Loader *l;
        Error e;
        REQUIRE(loader_create(test_arena(), &d, (uint32_t[]){0}, 1, BATCH, ahead == 1, &l, &e) == GR_OK);
        for (uint32_t epoch = 0; epoch < 5; epoch++) {
            permute(order, ROWS, 1, 0, epoch, 0);
            int64_t first = epoch == 3 ? 128 : 0, at = first;
            loader_begin(l, order, ROWS, first);
            int32_t batch[BATCH];
            for (int64_t n; (n = loader_next(l, (void *[]){batch})) > 0; at += n) {
                CHECK_INT(n, ROWS - at < BATCH ? ROWS - at : BATCH);
                for (int64_t i = 0; i < n; i++)
                    REQUIRE(batch[i] == 7 * (int32_t)order[at + i]);
                if (epoch == 1 && at > 300)
                    break;
            }
            loader_end(l);
            CHECK(epoch == 1 || at == ROWS);
        }
        loader_destroy(l);
    }
}

TEST(png_grid) {
    uint8_t images[3 * 4] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    Str path = str_format(test_arena(), "%.*s/a.png", FSTR(test_folder()));
    Error e = {0};
    REQUIRE(png_write_grid(test_arena(), path, images, 3, 2, 2, 2, &e) == GR_OK);
    Str png = test_read(path);
    CHECK(png.n > 30 && memcmp(png.s, "\x89PNG", 4) == 0 && png.s[19] == 10 && png.s[23] == 10);
    CHECK(png_write_grid(test_arena(), STR("no/such/folder/a.png"), images, 3, 2, 2, 2, &e) == GR_IO);
    CHECK(png_write_grid(test_arena(), path, images, 0, 2, 2, 2, &e) == GR_USAGE);
    signal(SIGXFSZ, SIG_IGN);                              /* as on a full disk: the file may not grow */
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){20, 20});
    CHECK(png_write_grid(test_arena(), path, images, 3, 2, 2, 2, &e) == GR_IO);
    CHECK(access(path.s, F_OK) != 0);
}
