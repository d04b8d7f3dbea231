/* Programs that read files of each kind, from the text to a metric of the values; and what they say when the
 * files are other files than the text says. */
#include "test.h"
#include <string.h>
#include <unistd.h>

static void write_here(const char *name, const char *text) {
    test_write(str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name), str_of(text));
}

/* tests/data as `files`, and a few texts. */
static void make_files(void) {
    Str link = str_format(test_arena(), "%.*s/files", FSTR(test_folder()));
    REQUIRE(symlink(str_format(test_arena(), "%.*s/tests/data", FSTR(test_root())).s, link.s) == 0);
    write_here("a1.csv", "7,0,1,2,3,4\n7,1,4,4,4,4\n");
    write_here("a2.csv", "7,2,0,0,0,1\n");
    write_here("houses.csv", "price;rooms;area\n1.5;2;10\n2.5;3;20\n");
    write_here("names.txt", "anna\nbob\n");
}

static Ran run_program(const char *command, const char *data, const char *value) {
    write_here("p.graph", str_format(test_arena(),
                                     "graph 1\n"
                                     "data d { %s }\n"
                                     "model net(x : real[N, 1]) -> (y : real[N, 1]) { y = linear(x, 1) }\n"
                                     "objective o(b : d[N]) {\n"
                                     "    one[n < N, k < 1] = 0.5;  loss l = mse(net(one), one)\n"
                                     "    metric sum_ = sum[..] (%s * 1.0)\n"
                                     "}\n"
                                     "train { optimizer sgd(lr = 0.1);  epochs 1;  batch 2;  seed 1 }\n",
                                     data, value)
                              .s);
    return test_shell(str_of(command));
}

typedef struct {
    const char *data, *value, *says;
} Case;

static void check_cases(const char *command, int status, const Case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        Ran r = run_program(command, cases[i].data, cases[i].value);
        CHECK_MSG(r.status == status && strstr(r.out.s, cases[i].says) != NULL, "%s: %d, no `%s` in\n%.*s",
                  cases[i].data, r.status, cases[i].says, FSTR(r.out));
        if (status == 0)
            test_shell(STR("rm -r run"));
    }
}
#define CHECK_CASES(command, status, cases)                                                                  \
    check_cases(command, status, cases, sizeof(cases) / sizeof *(cases))

/* Three rows of no elements, as numpy writes them: rows all the same. */
TEST(rows_without_elements_are_rows) {
    static const char dict[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 0), }\n";
    Str head = str_format(test_arena(), "?NUMPY??%c?%s", (int)sizeof dict - 1, dict);
    memcpy((char *)head.s, "\x93NUMPY\1", 8);
    ((char *)head.s)[9] = 0;
    test_write(str_format(test_arena(), "%.*s/none.npy", FSTR(test_folder())), head);
    static const Case cases[] = {{"from npy(x = \"none.npy\");  x : u8[0] < 3", "b.x", "train.sum_ 0"}};
    CHECK_CASES("graphc check p.graph && graphc train p.graph --run run", 0, cases);
}

TEST_ALL(programs_read_every_format) {
    static const Case cases[] = {
        {"from csv(\"houses.csv\", separator = \";\");  price : f32;  rooms : u8 < 10", "b.price * b.rooms",
         "train.sum_ 10.5"},
        {"from csv(\"houses.csv\", separator = \";\");  density = area / rooms", "b.density",
         "train.sum_ 11.667"},
        {"from csv(\"a*.csv\", header = no);  grid : u8[2, 2] < 5 = columns[-4:] as [2, 2]", "b.grid",
         "train.sum_ 27"},
        {"from csv(\"a*.csv\", header = no);  at : i32 = columns[1];  x : f32[5] = columns[:-1]",
         "(b.x[:, 0] * b.at)", "train.sum_ 21"},
        {"from csv(\"a1.csv\", header = no, columns = 6);  x = 2 * columns", "b.x", "train.sum_ 82"},
        {"from npz(\"files/stored.npz\") as train;  from npz(\"files/deflated.npz\") as train;  x : f32[3, "
         "2]",
         "b.x", "train.sum_ 138"},
        {"from npz(\"files/*ed.npz\");  kind : u8 < 5 = label", "b.kind", "train.sum_ 18"},
        {"from hdf5(\"files/plain.h5\");  y = sum[..] x + group_deep", "b.y", "train.sum_ 129"},
        {"from hdf5(\"files/plain.h5\");  flag : bool", "where(b.flag, 1, 0)", "train.sum_ 2"},
        {"from safetensors(\"files/x.safetensors\");  x : f32[3, 2]", "b.x", "train.sum_ 69"},
        {"from npy(x = \"files/x.npy\");  x : f32[3, 2]", "b.x", "train.sum_ 69"},
        {"from idx(x = \"files/x.idx*\");  x : f32[3, 2]", "b.x", "train.sum_ 138"},
        {"from images(\"files/photos/*/*.png\");  image : u8[2, 3];  label : u8 < 2 = folder_index",
         "(b.image[:, 0, 0] * b.label)", "train.sum_ 30"},
        {"from images(\"files/rgb.png\", \"files/rgb.png\");  image : u8[2, 4, 3]", "b.image",
         "train.sum_ 552"},
        {"from bytes(\"names.txt\");  x : u8 = bytes", "b.x", "train.sum_ 741"},
    };
    make_files();
    CHECK_CASES("graphc train p.graph --run run", 0, cases);
}

/* What the files have is known before the run. */
TEST(check_holds_columns_against_files) {
    static const Case cases[] = {
        {"from csv(\"houses.csv\", separator = \";\");  prise : f32", "b.prise", "is it `price`?"},
        {"from npz(\"files/stored.npz\");  x : f32[2, 3]", "b.x",
         "holds [4,3,2], but a row of `x` is declared f32[2,3]"},
        {"from npz(\"files/stored.npz\");  words : f32", "b.words", "holds elements of type `<U1`"},
        {"from hdf5(\"files/plain.h5\");  word : u8", "b.word", "holds texts"},
        {"from hdf5(\"files/chunked.h5\");  empty : u8", "b.empty",
         "more elements than the stored bytes can hold"},
        {"from hdf5(\"names.txt\");  x : u8", "b.x", "cannot be opened as HDF5"},
        {"from csv(\"a1.csv\", header = no);  x : f32[4] = columns[-3:]", "b.x", "has rows of 6 values"},
        {"from csv(\"a1.csv\", header = no, columns = 5);  x : f32 = columns[0]", "b.x",
         "has 6 cells a line"},
        {"from csv(\"a1.csv\", header = no);  x : f32 = column[0]", "b.x", "nothing is called `column`"},
        {"from images(\"files/rgb.png\");  image : u8[2, 4]", "b.image", "declared u8[2,4]"},
        {"from npy(x = \"files/x.npy\", y = 3);  x : f32[3, 2]", "b.x", "as in `from npy(x = \"x.npy\")`"},
        {"from csv(\"a1.csv\", separator = \"ab\");  x : f32", "b.x", "one character"},
        {"from hdf5(\"no/*.h5\");  x = 2 * y", "b.x",
         "a column of a file that is not there has to be declared: `y : f32`"},
        {"from cvs(\"a1.csv\");  x : f32", "b.x", "is it `csv`?"},
    };
    make_files();
    CHECK_CASES("graphc check p.graph", 1, cases);
}

/* The program is checked without its files as well. */
TEST(check_needs_no_files) {
    static const Case cases[] = {
        {"from csv(\"no.csv\");  price : f32", "b.price", "losses of o"},
        {"from hdf5(\"no/*.h5\");  x : f32[3]", "b.x", "losses of o"},
    };
    CHECK_CASES("graphc check p.graph", 0, cases);
}

TEST(wrong_values_and_files_are_named) {
    static const Case cases[] = {
        {"from csv(\"a*.csv\", header = no);  grid : u8[4] < 4 = columns[-4:]", "b.grid",
         "a1.csv, row 0: value 4 in `grid` (u8[4] < 4), place 3 of the row"},
        {"from csv(\"houses.csv\", separator = \";\");  price : u8", "b.price",
         "houses.csv, row 0, column `price`: `1.5` is no whole number"},
        {"from csv(\"no*.csv\");  price : f32", "b.price", "no file matches"},
        {"from csv(\"no.csv\");  price : f32", "b.price", "No such file"},
        {"from csv(\"files\");  price : f32", "b.price", "is a folder, not a file"},
        {"from extern(\"houses.csv\", \"f\");  x : f32", "b.x", "cannot be loaded"},
    };
    make_files();
    CHECK_CASES("graphc train p.graph --run run", 1, cases);
}

/* The clause that reads the file; of a formula the column. */
TEST(wrong_values_have_a_place) {
    static const Case cases[] = {
        {"from csv(\"a*.csv\", header = no);  grid : u8[4] < 4 = columns[-4:]", "b.grid",
         "--> p.graph:2:10\n   |\n 2 | data d { from csv("},
        {"from csv(\"no*.csv\");  price : f32", "b.price", "   |          ^^^^^^^^^^^^^^^^^^^\n   = help: `*` stands"},
        {"from csv(\"houses.csv\", separator = \";\");  price : f32;  dear : u8 < 2 = int(price)", "b.dear",
         "--> p.graph:2:66\n   |\n 2 | data d { from csv("},
    };
    make_files();
    CHECK_CASES("graphc train p.graph --run run", 1, cases);
}

/* A column is read when only a formula, a clause or a statistic reads it. */
TEST(formulas_read_columns) {
    static const char k_file[] =
        "data d { from csv(\"t.csv\") as train;  x : f32;  y : f32;  z : f32;  u : f32;  v : f32\n"
        "    drop where y > 100;  m = mean[train] z;  s = x - m }\n"
        "model net(x : real[N]) -> (y : real[N]) { param w : real = 1;  y = w * x }\n"
        "objective o(b : d[N]) { loss l = mean[..] (net(b.s) - b.v)^2 }\n"
        "train { optimizer sgd(lr = 0.1);  epochs 1;  batch 2 }\n";
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), str_of(k_file));
    test_expect("graphc check p.graph", 0, "not read  `u` of d\n");
}
