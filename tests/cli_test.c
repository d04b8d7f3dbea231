/* graphc as a user meets it: exit statuses and messages for wrong usage, wrong programs, and data and
 * checkpoints that are missing, cut short or lying.  Each test runs the built program in a folder of its
 * own. */
#include "dtype.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

/* `before`: words in front of the program, for a limit or a signal. */
static Ran ran_after(const char *before, const char *arguments) {
    return test_shell(str_format(test_arena(), "%s graphc %s", before, arguments));
}

static Ran ran(const char *arguments) { return ran_after("", arguments); }

static bool says(Ran r, const char *text) { return strstr(r.out.s, text) != NULL; }

static void expect(const char *arguments, int status, const char *text) {
    test_expect(str_format(test_arena(), "graphc %s", arguments).s, status, text);
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

TEST(messages_for_programs) {
    put_file("bad.graph", STR("graph 1\nmodel net(x : real[N, 4]) -> (y : real[N, 2]) {\n    y = linar(x, 2)\n}\n"));
    put_file("broken.graph", STR("graph 1\nexport f(x : real[4]) -> (y : real[4]) { y = (x }\n"));
    expect("summary --diag=json bad.graph", 1,
           "{\"severity\":\"error\",\"kind\":\"name\",\"message\":\"nothing is called `linar`\",\"path\":\"bad.graph\","
           "\"line\":3,\"column\":9,\"bytes\":5,\"labels\":[],\"notes\":[],\"help\":[\"did you mean `linear`?\"]}\n");
    expect("fmt --diag=json broken.graph", 1, "\"kind\":\"syntax\"");
    expect("train --diag=text bad.graph", 1, "error[name]");
    expect("check --diag=xml bad.graph", 2, "`text` or `json`");
}

TEST(names_are_told) {
    expect("doc", 0, "kinds of messages");
    expect("doc linear", 0, "def linear(x : real[.., A]");
    expect("doc softmx", 1, "did you mean `softmax`?");
    expect("doc leak", 0, "(found by `graphc data`)");
    expect("doc a b", 2, "one NAME");
}

TEST(programs_with_nothing_to_do) {
    put_file("bare.graph", STR("graph 1\n"));
    expect("check bare.graph", 0, "there is no `train`");
    static const char *const need_train[] = {"summary", "train", "verify", "explain"};
    for (size_t i = 0; i < sizeof need_train / sizeof *need_train; i++)
        expect(str_format(test_arena(), "%s bare.graph", need_train[i]).s, 1, "bare.graph has no `train`");
    expect("eval --run r bare.graph", 1, "bare.graph has no `objective`");
    expect("bench bare.graph", 1, "neither `train` nor `export`");
    expect("dump --stage=graph bare.graph", 1, "neither `train` nor `export`");
    expect("predict --run r bare.graph", 1, "bare.graph has no `export`");
}

TEST(gradients_are_followed) {
    put_file("dead.graph", STR("graph 1\n"
                               "data dots { from fresh(rows = 8) as train;  u[k < 3] = uniform();  x : f32[3] = u }\n"
                               "model net(x : real[N, 3]) -> (y : real[N, 5]) { y = linear(x, 5) }\n"
                               "model stiff(x : real[N, 5]) -> (y : real[N, 5]) { y = linear(x, 5) }\n"
                               "objective fit(b : dots[N]) {\n"
                               "    y = net(b.x)\n"
                               "    loss a = mean[..] (y + stop_gradient(stiff(y)))^2\n"
                               "    loss z = mean[..] sign(y) nograd\n"
                               "}\n"
                               "train { optimizer sgd(lr = 0.1);  epochs 1;  batch 4;  seed 1 }\n"));
    expect("check dead.graph", 0, "  a            reached  stopped  mean over N·5 of (…)²\n"
                                "  z            zero     -        nograd · mean over N·5\n");
    expect("check dead.graph", 0,
           "`stiff` (30 parameters) is reached by no loss: nothing trains it\n  --> dead.graph:4:7");
}

TEST(options_are_checked) {
    put_good_data();
    expect("bench --variants=fused,some dots.graph", 2, "not `some`");
    expect("train --cpu=pdp11 dots.graph", 2, "no code is generated for the processor `pdp11`");
    expect("train --threads=0 dots.graph", 2, "--threads takes a whole number from 1 to 256");
    expect("train --stop-after=lunch dots.graph", 2, "there is no pass `lunch`");
    expect("train --resume dots.graph", 2, "--resume needs --run DIR");
    expect("dump --stage=soup dots.graph", 2, "there is no stage `soup`");
    expect("dump dots.graph", 2, "which --stage?");
    static const char *const graphs[] = {"graph", "grad", "opt", "fused", "plan"};
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
        expect(str_format(test_arena(), "dump --stage=%s --only=moon dots.graph", graphs[i]).s, 1,
               "no graph at this stage has `moon` in its name");
    }
    expect("dump --stage=ast --only=moon dots.graph", 1, "no declaration at this stage has `moon` in its name");
    expect("dump --stage=kernel --only=moon dots.graph", 1, "no kernel at this stage has `moon` in its name");
}

/* ---- what is printed ---- */

TEST(check_counts_rows_and_labels) {
    put_good_data();
    expect("check dots.graph", 0, "batches  8 rows of dots: 2 × 4\n"
                                  "baseline  label of dots: always 0 is right in 37.5 %, a constant answer has "
                                  "cross-entropy 1.082\n");
    expect("check dots.graph --json", 0, "{\"about\":\"baseline\",\"data\":\"dots\",\"column\":\"label\",\"value\":0,"
                                         "\"share\":0.375,");
    put_program("csv");
    CHECK_MSG(!says(ran("check dots.graph"), "baseline"), "a csv is not counted");
}

TEST(tables_have_no_trailing_blanks) {
    put_good_data();
    static const char *const commands[] = {"check dots.graph", "summary dots.graph", "--help"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        CHECK_MSG(!says(ran(commands[i]), " \n"), "graphc %s prints blanks at the end of a line", commands[i]);
    expect("check dots.graph", 0, "  ce            reached  mean over N of cross_entropy\n");
    expect("check dots.graph", 0, "  new program   width = 4\n  same program  lr = 0.1\n");
    expect("summary dots.graph", 0, "net.linear1  [4,4]   w[4,4] b[4]          20\n");
}

TEST(output_that_cannot_be_written) {
    put_good_data();
    Ran r = ran("check dots.graph >/dev/full");
    CHECK_INT(r.status, 1);
    CHECK(says(r, "could not be written: No space left on device"));
}

/* The number after `word`, commas left out. */
static uint64_t number_after(Ran r, const char *word) {
    const char *at = strstr(r.out.s, word);
    REQUIRE(at != NULL);
    uint64_t n = 0;
    for (at += strlen(word); *at == ' ' || *at == ',' || (*at >= '0' && *at <= '9'); at++)
        if (*at >= '0' && *at <= '9') n = n * 10 + (uint64_t)(*at - '0');
    return n;
}

/* Eight rows in batches of three: the last batch is smaller, and takes no memory of its own. */
TEST(memory_is_what_summary_says) {
    put_good_data();
    Str text = str_format(test_arena(), k_program, "idx"), from = STR("batch 4");
    Buf smaller = buf_make(test_arena());
    const char *at = strstr(text.s, from.s);
    buf_printf(&smaller, "%.*sbatch 3%s", (int)(at - text.s), text.s, at + from.n);
    put_file("dots.graph", buf_str(&smaller));
    uint64_t said = number_after(ran("summary dots.graph"), "arena");
    CHECK(said > 0);
    CHECK_INT(number_after(ran("train dots.graph -q --run r --time-passes"), "arena"), said);
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
    expect("eval dots.graph -s width=8 --run r", 1, "r was trained with another program: width 4 → 8 (line 2)");
    expect("train dots.graph -s width=8 --run r --resume", 1, "help: `-s width=4` makes it the program of the run");
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

TEST(a_folder_belongs_to_one_training) {
    put_good_data();
    mkdir(str_format(test_arena(), "%.*s/r", FSTR(test_folder())).s, 0777);
    Ran r = ran_after("flock r", "train dots.graph --run r");
    CHECK_INT(r.status, 1);
    CHECK(says(r, "another training writes into r"));
    CHECK(!exists("r/resolved.graph"));
}

/* A limit on the size of files stands for the disk.  The checkpoint does not fit; nothing of it is left. */
TEST(a_disk_that_is_full) {
    put_good_data();
    Ran r = ran_after("trap '' XFSZ; ulimit -f 8;", "train dots.graph -q --run r -s width=4000");
    CHECK_INT(r.status, 1);
    CHECK_MSG(says(r, "writing r/last.safetensors: File too large"), "%s", r.out.s);
    CHECK(exists("r/resolved.graph") && !exists("r/last.safetensors") && !exists("r/last.safetensors.part"));
    expect("train dots.graph -q --run r", 1, "r holds a run that ended before it saved anything");
    expect("eval dots.graph --run r", 1, "the run in r has no weights");
    expect("train dots.graph -q --run r --resume", 1, "`-s width=4000` makes it the program of the run");
    expect("train dots.graph -q --run r --resume -s width=4000", 0, "");
#ifdef __SANITIZE_THREAD__            /* its runtime writes before our program can say what it wants of the signal */
    r = ran_after("trap '' XFSZ; ulimit -f 0;", "train dots.graph -q --run r2");
#else
    r = ran_after("ulimit -f 0;", "train dots.graph -q --run r2");
#endif
    CHECK_INT(r.status, 1);
    CHECK_MSG(says(r, "writing r2/resolved.graph: File too large"), "%s", r.out.s);
}

/* Interrupted wherever the signal comes, gone on with, and the same bits as a run that was left alone. */
TEST_ALL(resumed_is_uninterrupted) {
    put_good_data();
    expect("train dots.graph -q --run whole -s epochs=400", 0, "");
    Ran r = test_shell(STR(
        "graphc train dots.graph -q --run parts -s epochs=400 & training=$!; "
        "while [ ! -e parts/last.safetensors ]; do sleep 0.02; done; kill -INT $training; wait $training"));
    CHECK_INT(r.status, 130);
    CHECK_MSG(says(r, "graphc train dots.graph --run parts --resume"), "%s", r.out.s);
    expect("train dots.graph -q --run parts -s epochs=400 --resume", 0, "");
    Str whole = test_tensors("whole"), parts = test_tensors("parts");
    CHECK(whole.n > 0 && str_eq(whole, parts));
}

/* What we hand out is in the one layout. */
TEST(our_programs_are_in_their_layout) {
    const char *each = "for f in %.*s/graphs/*/*.graph; do graphc fmt --check $f || exit 1; done";
    Ran r = test_shell(str_format(test_arena(), each, FSTR(test_root())));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
}
