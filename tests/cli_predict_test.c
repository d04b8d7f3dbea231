/* graphc predict with files: npy arrays in, npy arrays out, by the weights and statistics of a run. */
#include "test.h"
#include <math.h>
#include <string.h>

/* Targets far from 0 are learned as deviations from their mean; the export turns them back. */
static const char k_program[] =
    "graph 1\n"
    "data d { from fresh(rows = 256) as train;  x[k < 3] = normal();  t = 1000 + 50 * (x[0] - x[2])\n"
    "    m = mean[train] t;  sd = sqrt(mean[train] (t - m)^2);  aim = (t - m) / sd }\n"
    "model net(x : real[N, 3]) -> (y : real[N]) { y = linear(x, 1)[:, 0] }\n"
    "objective fit(b : d[N]) { loss square = mean[n] (net(b.x)[n] - b.aim[n])^2 }\n"
    "export tell(x : real[N, 3]) -> (y : real[N], near : bool[N]) {\n"
    "    y = net(x) * d.sd + d.m;  near = y < 1000\n"
    "}\n"
    "export all_of(x : real[N, 3]) -> (y : real) { y = mean[..] net(x) }\n"
    "train { optimizer adam(lr = 0.03);  epochs 40;  batch 64 }\n";

static void write_rows(const char *path, int rows, int width) {
    Buf b = buf_make(test_arena());
    Str dict = str_format(test_arena(), "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, width);
    const char prefix[] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(dict.n + 1), 0};
    buf_put(&b, (Str){prefix, sizeof prefix});
    buf_printf(&b, "%.*s\n", FSTR(dict));
    for (int i = 0; i < rows * width; i++) {
        float x = (float)(i / width % 5) * (i % width == 0 ? 0.5f : 0.25f);
        buf_put(&b, (Str){(const char *)&x, sizeof x});
    }
    test_write(str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), path), buf_str(&b));
}

static Ran train_and(const char *command) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), str_of(k_program));
    Ran r = test_shell(STR("graphc train p.graph --run run --quiet"));
    CHECK_MSG(r.status == 0, "%s", r.out.s);
    return test_shell(str_of(command));
}

/* 2500 rows are three batches; row r has x0 = r mod 5 / 2 and x2 = r mod 5 / 4, so it is near 1000 + 12.5 (r mod 5). */
TEST_ALL(cli_predict_writes_arrays) {
    write_rows("in.npy", 2500, 3);
    Ran r = train_and("graphc predict p.graph --run run in.npy y.npy near.npy");
    CHECK_MSG(r.status == 0, "%s", r.out.s);
    Str y = test_read(str_format(test_arena(), "%.*s/y.npy", FSTR(test_folder())));
    Str near = test_read(str_format(test_arena(), "%.*s/near.npy", FSTR(test_folder())));
    REQUIRE(y.n == 128 + 4 * 2500 && near.n == 128 + 2500);
    CHECK(strstr(y.s + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (2500,), }") == y.s + 10);
    CHECK(strstr(near.s + 10, "'|b1'") != NULL);
    for (int i = 0; i < 2500; i++) {
        float x;
        memcpy(&x, y.s + 128 + 4 * i, sizeof x);
        CHECK_MSG(fabs(x - (1000 + 12.5 * (i % 5))) < 2, "row %d is %g", i, x);
        CHECK(near.s[128 + i] == (x < 1000));
    }
}

/* Grey values are bytes or real numbers; a mask of truth values is a quarter as long and no image. */
TEST(cli_predict_draws_bytes_and_numbers_only) {
    const char *program =
        "data d { from fresh(rows = 40) as train;  img[i < 8, j < 6] = uniform()\n"
        "    mask[i < 8, j < 6] = img[i,j] < 0.5;  split val 0.2, train rest of train seed 1 }\n"
        "model net(x : real[N, 48]) -> (y : real[N, 48]) { y = linear(linear(x, 4), 48) }\n"
        "objective fit(b : d[N]) { x = b.img as [N, 48];  loss s = mse(net(x), x) }\n"
        "export nan(b : d[N]) -> (r : real[N, 8, 6]) { r = log(b.img - 2) + (net(b.img as [N, 48]) as [N, 8, 6]) }\n"
        "export hard(b : d[N]) -> (r : bool[N, 8, 6]) { r = (net(b.img as [N, 48]) as [N, 8, 6]) < 0.5 }\n"
        "export cut(b : d[N]) -> (r : real[N, 8, 6]) { r = where(b.mask, 1, 0) }\n"
        "train { optimizer sgd(lr = 0.1);  epochs 1;  batch 10 }\n";
    test_write(str_format(test_arena(), "%.*s/i.graph", FSTR(test_folder())), str_of(program));
    test_expect("graphc train i.graph --run r -q", 0, "");
    test_expect("graphc predict i.graph --run r --split train --export nan --picture x.png", 0, "picture     x.png\n");
    test_expect("graphc predict i.graph --run r --split train --export hard --picture y.png; ls y.png", 2,
                "does not make images of images");
    test_expect("graphc predict i.graph --run r --split train --export cut --picture z.png; ls z.png", 2,
                "does not make images of images");
}

TEST_ALL(cli_predict_refuses_files_that_do_not_fit) {
    write_rows("in.npy", 7, 3);
    write_rows("wide.npy", 7, 4);
    Ran r = train_and("graphc predict p.graph --run run in.npy y.npy");
    CHECK(r.status == 1 && strstr(r.out.s, "has 1 argument and 2 results, and 2 files are named") != NULL);
    CHECK(strstr(r.out.s, "files of the arguments, then of the results: x.npy y.npy near.npy") != NULL);
    r = test_shell(STR("graphc predict p.graph --run run wide.npy y.npy near.npy"));
    CHECK_MSG(r.status == 1 && strstr(r.out.s, "wide.npy") != NULL, "%s", r.out.s);
    r = test_shell(STR("graphc predict p.graph --run run --export all_of in.npy y.npy"));
    CHECK_MSG(r.status == 1 && strstr(r.out.s, "`y` of export `all_of` is not one of each row") != NULL, "%s", r.out.s);
    r = test_shell(STR("graphc predict p.graph in.npy y.npy near.npy"));
    CHECK_MSG(r.status == 1 && strstr(r.out.s, "`--run DIR`") != NULL, "%s", r.out.s);
    test_expect("graphc predict p.graph --run run in.npy y.npy y.npy", 1, "y.npy is named for two results");
    test_expect("graphc predict p.graph --run run in.npy y.npy ./y.npy", 1, "./y.npy is named for two results");
    test_expect("mkdir d && ln -s d e && graphc predict p.graph --run run in.npy d/y.npy e/y.npy", 1,
                "e/y.npy is named for two results");
    test_expect("graphc predict p.graph --run run in.npy y.npy ./in.npy", 1, "./in.npy is named for an argument and");
    test_expect("ln in.npy other.npy && graphc predict p.graph --run run in.npy other.npy near.npy", 1,
                "other.npy is named for an argument and for");
    test_expect("graphc predict p.graph --run run in.npy y.npy near.npy --picture x.png", 2, "--picture is of rows");
    test_expect("graphc predict p.graph --run run in.npy y.npy near.npy --split val", 2, "--split is of rows of a");
    test_expect("graphc predict p.graph --run run in.npy y.npy near.npy --rows 2", 2, "without files `graphc predict`");
    r = test_shell(STR("ls y.npy near.npy"));
    CHECK(r.status != 0);
}
