/* graphc as a user meets it: exit statuses and messages for wrong usage, wrong programs, and data and checkpoints that
 * are missing, cut short or lying.  Each test runs the built program in a folder of its own. */
#include "dtype.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

typedef struct { int status; Str out; } Ran;           /* what it printed to both streams */

/* `before`: words in front of the program, for a limit or a signal. */
static Ran ran_after(const char *before, const char *arguments) {
    Arena *a = test_arena();
    Str home = test_folder();
    Str line = str_format(a, "cd '%.*s' && XDG_CACHE_HOME='%.*s/cache' %s " GRAPHC_BUILD "/graphc %s 2>&1",
                          FSTR(home), FSTR(home), before, arguments);
    FILE *p = popen(line.s, "r");
    REQUIRE(p != NULL);
    Buf out = buf_make(a);
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, p)) > 0;) buf_put(&out, (Str){part, (uint32_t)n});
    int status = pclose(p);
    REQUIRE(WIFEXITED(status));
    return (Ran){WEXITSTATUS(status), buf_str(&out)};
}

static Ran ran(const char *arguments) { return ran_after("", arguments); }

static bool says(Ran r, const char *text) { return r.out.n > 0 && strstr(str_copy(test_arena(), r.out).s, text) != NULL; }

static void expect(const char *arguments, int status, const char *text) {
    Ran r = ran(arguments);
    CHECK_MSG(r.status == status, "graphc %s: status %d, expected %d\n%.*s", arguments, r.status, status,
              FSTR(r.out));
    CHECK_MSG(says(r, text), "graphc %s does not say \"%s\" but\n%.*s", arguments, text, FSTR(r.out));
}

static void put_file(const char *name, Str text) {
    test_write(str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name), text);
}

static const char k_program[] =
    "graph 1\n"
    "setting width : dim = 4\n"
    "setting lr : real = 1e-1\n"
    "require lr < 1, \"the rate is below 1\"\n"
    "data dots {\n"
    "    from %s(image = \"image\", label = \"label\") as train\n"
    "    image : u8[2, 2]\n"
    "    label : u8 < 3\n"
    "}\n"
    "model net(x : real[N, 4]) -> (h : real[N, 3]) { h = x |> linear(width) |> relu |> linear(3) }\n"
    "objective sort(b : dots[N]) { loss ce = cross_entropy(net(b.image / 255 as [N, 4]), b.label) }\n"
    "train { optimizer sgd(lr = lr);  epochs 1;  batch 4;  seed 1 }\n";

static void put_program(const char *reader) {
    put_file("dots.graph", str_format(test_arena(), k_program, reader));
}

/* The file of a tensor of bytes: idx begins with its rank and extents, big end first. */
static Str idx(uint8_t rank, const uint8_t *dims, const uint8_t *bytes, uint32_t n) {
    Buf b = buf_make(test_arena());
    buf_put(&b, (Str){(const char[]){0, 0, 8, (char)rank}, 4});
    for (uint8_t i = 0; i < rank; i++) buf_put(&b, (Str){(const char[]){0, 0, 0, (char)dims[i]}, 4});
    buf_put(&b, (Str){(const char *)bytes, n});
    return buf_str(&b);
}

/* The same as npy: a dict in Python's words between a length and the elements. */
static Str npy(const char *type, const char *shape, const void *bytes, uint32_t n) {
    Buf b = buf_make(test_arena());
    Str dict = str_format(test_arena(), "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", type, shape);
    buf_put(&b, (Str){"\x93NUMPY\x01\0", 8});
    buf_put(&b, (Str){(const char[]){(char)dict.n, 0}, 2});
    buf_put(&b, dict);
    buf_put(&b, (Str){bytes, n});
    return buf_str(&b);
}

static const uint8_t k_images[] = {8, 2, 2}, k_labels[] = {8};
static const uint8_t k_pixels[32] = {1, 200, 3, 40, 250, 6, 7, 80, 9, 10, 110, 12, 13, 140};
static const uint8_t k_classes[8] = {0, 1, 2, 0, 1, 2, 0, 1};

static void put_good_data(void) {
    put_program("idx");
    put_file("image", idx(3, k_images, k_pixels, 32));
    put_file("label", idx(1, k_labels, k_classes, 8));
}

static bool exists(const char *name) {
    struct stat st;
    return stat(str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name).s, &st) == 0;
}

/* ---- usage ---- */

TEST(usage_is_explained) {
    expect("--help", 0, "usage: graphc COMMAND FILE");
    expect("--version", 0, "graphc ");
    expect("check --help", 0, "FILE");
    expect("", 2, "usage: graphc COMMAND FILE");
    expect("trian x.graph", 2, "did you mean `train`?");
    expect("check", 2, "FILE");
    expect("check --nonsense x.graph", 2, "nonsense");
}

TEST(missing_program) {
    expect("check none.graph", 1, "`none.graph` cannot be opened");
    expect("check .", 1, ".");
}

TEST(wrong_programs) {
    put_file("bad.graph", STR("graph 1\nmodel net(x : real[N, 4]) -> (y : real[N, 2]) {\n    y = linar(x, 2)\n}\n"));
    expect("check bad.graph", 1, "bad.graph:3:9");
    expect("check bad.graph", 1, "did you mean `linear`?");
    put_file("empty.graph", STR(""));
    CHECK(ran("check empty.graph").status <= 1);
    put_file("binary.graph", (Str){"graph 1\n\0\xff", 10});
    expect("check binary.graph", 1, "line 2");
}

/* ---- settings ---- */

TEST(settings_are_checked) {
    put_good_data();
    expect("check dots.graph", 0, "");
    expect("check -s width=8 -s lr=0.5 dots.graph", 0, "");
    expect("check -s widht=8 dots.graph", 1, "there is no setting `widht`");
    expect("check -s width=0 dots.graph", 1, "`width` is an extent and at least 1");
    expect("check -s width=wide dots.graph", 1, "wide");
    expect("check -s lr=2 dots.graph", 1, "the rate is below 1");
    expect("check -s width dots.graph", 2, "NAME=VALUE");
}

/* ---- data ---- */

TEST(data_that_is_missing) {
    put_program("idx");
    expect("check dots.graph", 0, "");                  /* checking reads no data */
    expect("train dots.graph --run r", 1, "image: No such file");
    CHECK(!exists("r"));
}

TEST(data_that_is_cut_short) {
    put_good_data();
    put_file("image", idx(3, k_images, k_pixels, 20));
    expect("train dots.graph --run r", 1, "image");
    CHECK(!exists("r"));
}

TEST(gzip_that_is_cut_short) {
    put_good_data();
    Str whole = idx(3, k_images, k_pixels, 32), path = str_format(test_arena(), "%.*s/image", FSTR(test_folder()));
    gzFile f = gzopen(path.s, "wb");
    gzwrite(f, whole.s, whole.n);
    gzclose(f);
    expect("check dots.graph", 0, "");
    Str packed = str_copy(test_arena(), test_read(path));
    put_file("image", (Str){packed.s, packed.n - 12});
    expect("train dots.graph --run r", 1, "image is cut short");
    put_file("image", (Str){packed.s, packed.n / 2});
    expect("train dots.graph --run r", 1, "image");
    CHECK(!exists("r"));
}

TEST(npy_that_claims_more_than_it_has) {
    put_program("npy");
    put_file("label", npy("|u1", "(8,)", k_classes, 8));
    put_file("image", (Str){"\x93NUMPY\x01\0\xff\xff{'descr': '|u1'}", 26});
    expect("train dots.graph --run r", 1, "claims a header of 65535 bytes");
    put_file("image", npy("|u1", "(8000000, 2, 2)", k_pixels, 32));
    expect("train dots.graph --run r", 1, "its header says 32000000 bytes");
    CHECK(!exists("r"));
}

TEST(labels_out_of_range) {
    put_good_data();
    uint8_t classes[8] = {0, 1, 2, 0, 7, 2, 0, 1};
    put_file("label", idx(1, k_labels, classes, 8));
    expect("train dots.graph --run r", 1, "row 4: value 7 in `label` (u8 < 3)");
    CHECK(!exists("r"));
}

TEST(numbers_that_are_none) {
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    x[6] = f32_of_bits(0x7fc00000);
    put_file("image", npy("<f4", "(2, 4)", x, sizeof x));
    put_file("label", npy("|u1", "(2,)", k_classes, 2));
    put_file("dots.graph", STR("graph 1\n"
                               "data dots {\n"
                               "    from npy(image = \"image\", label = \"label\") as train\n"
                               "    image : f32[4]\n"
                               "    label : u8 < 3\n"
                               "}\n"
                               "model net(x : real[N, 4]) -> (h : real[N, 3]) { h = linear(x, 3) }\n"
                               "objective sort(b : dots[N]) { loss ce = cross_entropy(net(b.image), b.label) }\n"
                               "train { optimizer sgd(lr = 1);  epochs 1;  batch 2;  seed 1 }\n"));
    expect("train dots.graph --run r", 1, "row 1: value nan in `image`");
    CHECK(!exists("r"));
}

TEST(columns_of_different_length) {
    put_good_data();
    put_file("label", idx(1, (const uint8_t[]){7}, k_classes, 7));
    expect("train dots.graph --run r", 1, "label has 7 rows, image has 8");
}

/* ---- places to write to ---- */

TEST_ALL(training_writes_a_run) {
    put_good_data();
    expect("train dots.graph --run r", 0, "");
    CHECK(exists("r"));
    CHECK(exists("r/last.safetensors") && exists("r/resolved.graph") && exists("r/metrics.jsonl"));
    expect("train dots.graph --run r", 1, "r holds a run already");
    expect("eval dots.graph --run r --split train", 0, "ce");
    expect("eval dots.graph --run r --split nope", 1, "has no split `nope`");
    expect("eval dots.graph --run none", 1, "there is no run in none");
    expect("train dots.graph --run none --resume", 1, "there is no run in none");
    expect("eval dots.graph -s width=8 --run r", 1, "it is of another model");
    expect("train dots.graph -s width=8 --run r --resume", 1, "it is of another model");
    expect("train dots.graph -s epochs=3 --run r --resume", 0, "epoch   3");
    Str path = str_format(test_arena(), "%.*s/r/last.safetensors", FSTR(test_folder())), whole = test_read(path);
    test_write(path, (Str){whole.s, whole.n / 2});
    expect("eval dots.graph --run r", 1, "is not a whole safetensors file");
    test_write(path, (Str){whole.s, 5});
    expect("train dots.graph --run r --resume", 1, "last.safetensors");
    test_write(path, whole);
    put_file("dots.graph", str_format(test_arena(), "%.*s# the rate is another\n", FSTR(test_read(
        str_format(test_arena(), "%.*s/dots.graph", FSTR(test_folder()))))));
    expect("train dots.graph -s epochs=4 --run r --resume", 0, "epoch   4");
}

TEST_ALL(an_interrupted_training_saves_and_goes_on) {
    put_good_data();
    Ran r = ran_after("timeout --preserve-status -s INT 0.7", "train dots.graph --run r -s epochs=100000000");
    CHECK_INT(r.status, 130);
    CHECK(exists("r/last.safetensors"));
    r = ran_after("timeout --preserve-status -s INT 0.4", "train dots.graph --run r -s epochs=100000000 --resume");
    CHECK_INT(r.status, 130);
}

TEST(run_directories_that_cannot_be) {
    put_good_data();
    put_file("file", STR("text\n"));
    expect("train dots.graph --run file", 1, "file is a file, not a folder");
    expect("train dots.graph --run file/r", 1, "cannot be made");
    mkdir(str_format(test_arena(), "%.*s/full", FSTR(test_folder())).s, 0777);
    put_file("full/note", STR(""));
    expect("train dots.graph --run full", 1, "full is not empty and holds no run");
    if (geteuid() != 0) {                               /* root may write everywhere */
        mkdir(str_format(test_arena(), "%.*s/closed", FSTR(test_folder())).s, 0555);
        expect("train dots.graph --run closed/r", 1, "cannot be made");
    }
}
