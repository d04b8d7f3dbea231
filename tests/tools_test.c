/* The commands around a training: looking at values, trying a program out, a training on few batches, a first file.
 * Each is run on small programs, with what a user may get wrong. */
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Ran ran(const char *arguments) { return test_shell(str_format(test_arena(), "graphc %s", arguments)); }

static Ran expect(const char *arguments, int status, const char *text) {
    return test_expect(str_format(test_arena(), "graphc %s", arguments).s, status, text);
}

static Str in_folder(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

/* Numbers that can be worked out: row k holds k, 2 k, 3 k. */
static const char k_line[] =
    "graph 1\n"
    "setting scale : real = 2\n"
    "data line {\n"
    "    from csv(\"line.csv\")\n"
    "    k : f32\n"
    "    spare : i32 < 90\n"
    "    x : f32[3] = stack(k, 2 * k, 3 * k)\n"
    "    split val 2, train rest in order\n"
    "}\n"
    "def doubled(x : real[N, A]) -> (y : real[N, A]) { y = scale * x }\n"
    "model net(x : real[N, 3]) -> (h : real[N, 3]) {\n"
    "    param gain : real[3] = 0\n"
    "    h = x + gain\n"
    "    h = relu(h - 3)\n"
    "}\n"
    "objective fit(b : line[N]) {\n"
    "    twice = doubled(b.x)\n"
    "    h = net(twice)\n"
    "    kept = dropout(b.x, 0.5)\n"
    "    scan s = b.x over t < 2 { next = s + 1;  s = next }\n"
    "    loss square = mean[..] h^2  weight 3\n"
    "    metric root = mean[..] sqrt(kept - 1000)\n"
    "    metric last = mean[..] s\n"
    "}\n"
    "train { optimizer sgd(lr = 1e-3);  epochs 2;  batch 2;  seed 1 }\n";

static void put_line(void) {
    test_write(in_folder("line.graph"), str_of(k_line));
    test_write(in_folder("line.csv"), STR("k,spare\n0,10\n1,11\n2,12\n3,13\n4,14\n5,15\n"));
}

TEST_ALL(peek_shows_values) {
    put_line();
    expect("peek line.graph twice --split val", 0, "fit.twice  real[N, 3] = [2,3]\n");
    expect("peek line.graph twice --split val", 0, "0 to 6  mean 2  sd 2.309  zeros 50 %\n");
    expect("peek line.graph twice --split val", 0, "         2         4         6\n");
    expect("peek line.graph -s scale=10 fit.twice --split val", 0, "0 to 30  mean 10");
    expect("peek line.graph net.h --split val", 0, "net.h  (1 of 2)  real[N, 3] = [2,3]\n  line.graph:13");
    expect("peek line.graph net.h --split val", 0, "net.h  (2 of 2)  real[N, 3] = [2,3]\n  line.graph:14");
    expect("peek line.graph net.gain", 0, "net.gain  real[3] = [3]\n");
    expect("peek line.graph doubled1.y", 0, "called at line.graph:17");
    expect("peek line.graph square --split val", 0, "fit.square  real\n");
    expect("peek line.graph root --split val", 0, "nan");
    expect("peek line.graph kept --split val", 0, "in evaluation mode");
    expect("peek line.graph kept", 0, "fit, the first 2 rows of the training, in training mode; weights as they begin");
    expect("peek line.graph b.k --split val", 0, "fit.b.k  real[N] = [2]\n");
    expect("peek line.graph b.spare --split val", 0, "10 to 11  mean 10.5");
    expect("peek line.graph last --split val", 0, "fit.last  real\n");
}

TEST_ALL(peek_lists_values) {
    put_line();
    Ran r = expect("peek line.graph", 0, "fit.twice");
    static const char *const some[] = {"net.h", "fit.square", "fit.root", "fit.total", "not finite"};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) CHECK_MSG(strstr(r.out.s, some[i]), "%s", r.out.s);
    CHECK_MSG(strstr(r.out.s, "fit.N ") == NULL, "%s", r.out.s);
}

/* h = relu(2 x - 3), the loss 3 mean h^2 over 6: its gradient by h is h, and by x (k = 1) 2 h behind the relu. */
TEST_ALL(peek_shows_gradients) {
    put_line();
    expect("peek line.graph twice --grad --split val", 0, "gradient of the total by fit.twice");
    expect("peek line.graph twice --grad --split val", 0, "         0         1         3\n");
    expect("peek line.graph b.x --grad --split val", 0, "         0         2         6\n");
    expect("peek line.graph b.spare --grad", 1, "there is no gradient by `fit.b.spare`");
    expect("peek line.graph --grad", 2, "--grad needs a NAME");
}

/* Each batch has rows of its own: the mean of its squares is over 3 or 4 of them. */
TEST_ALL(peek_at_two_data_sets) {
    test_write(in_folder("two.graph"), STR("graph 1\n"
        "data ones { from fresh(rows = 9) as train;  x : f32[2] = stack(1, 1) }\n"
        "data twos { from fresh(rows = 9) as train;  x : f32[2] = stack(2, 2) }\n"
        "model net(x : real[N, 2]) -> (y : real[N]) { y = linear(x, 1)[:,0] }\n"
        "objective fit(a : ones[N], b : twos[M]) {\n"
        "    count = M + 0.5\n"
        "    one = mean[..] a.x\n"
        "    two = mean[..] b.x\n"
        "    loss gap = (mean[..] net(a.x) - mean[..] net(b.x))^2\n"
        "}\n"
        "train { optimizer sgd(lr = 1e-3);  epochs 1;  batch ones 3, twos 4;  seed 1 }\n"));
    expect("peek two.graph count", 0, "      4.5\n");
    expect("peek two.graph one", 0, "        1\n");
    expect("peek two.graph two", 0, "        2\n");
    expect("peek two.graph b.x", 0, "fit.b.x  real[M, 2] = [4,2]");
    expect("try two.graph", 0, "all of it works");
}

TEST_ALL(peek_with_the_weights_of_a_run) {
    put_line();
    expect("train line.graph -q --run r", 0, "");
    expect("peek line.graph net.gain", 0, "0 to 0  mean 0");
    Ran r = expect("peek line.graph net.gain --run r", 0, "weights of r/last.safetensors");
    CHECK_MSG(strstr(r.out.s, "0 to 0  mean 0") == NULL, "%s", r.out.s);
    expect("peek line.graph net.gain -s scale=3 --run r", 0, "weights of r");
    expect("peek line.graph net.gain --run none", 1, "there is no run in none");
}

TEST(peek_names_what_was_meant) {
    put_line();
    expect("peek line.graph net.hh", 1, "no value is called `net.hh`\n  help: did you mean `net.h`?");
    expect("peek line.graph tiwce", 1, "did you mean `twice`?");
    expect("peek line.graph gain", 1, "`gain` is bound in other places: `net.gain`");
    expect("peek line.graph next", 1, "of one turn of a `scan`");
    expect("peek line.graph h --split nope", 1, "has no split `nope`");
    expect("peek line.graph a b", 2, "one NAME at a time");
    expect("peek", 2, "which FILE?");
    test_write(in_folder("bare.graph"), STR("graph 1\n"));
    expect("peek bare.graph x", 1, "bare.graph has no `objective`");
    expect("peek bad.graph x", 1, "bad.graph");
}

/* ---- few batches ---- */

/* What a net of its size can learn by heart; with the weight 0, what it cannot. */
static const char k_points[] =
    "graph 1\n"
    "setting w : real = 1\n"
    "data points {\n"
    "    from fresh(rows = 300) as train\n"
    "    from fresh(rows = 100) as val\n"
    "    u[k < 4] = normal()\n"
    "    x : f32[4] = u\n"
    "    y : f32 = normal()\n"
    "}\n"
    "model net(x : real[N, 4]) -> (y : real[N]) { y = mlp(x, [64, 1])[:, 0] }\n"
    "objective fit(b : points[N]) { loss square = mean[..] (net(b.x) - b.y)^2  weight w }\n"
    "export f(b : points[N]) -> (y : real[N]) { y = net(b.x) }\n"
    "export g(x : real[N, 4]) -> (y : real[N]) { y = net(x) }\n"
    "train { objective fit;  optimizer adam(lr = 1e-2);  epochs 3;  batch 16;\n"
    "    keep lowest val.square;  patience 2 epochs }\n";

static void put_points(void) { test_write(in_folder("points.graph"), str_of(k_points)); }

static bool says(Ran r, const char *text) { return strstr(r.out.s, text) != NULL; }

TEST_ALL(overfit_tells_whether_a_loss_can_fall) {
    put_points();
    Ran r = expect("train points.graph --overfit 1", 0, "near zero, these rows are learnt by heart");
    CHECK_MSG(says(r, "epoch    1  train.square") && says(r, "epoch  300") && !says(r, "epoch    3"), "%s", r.out.s);
    r = expect("train points.graph --overfit 2 -s epochs=2", 0, "it hardly falls");
    CHECK_MSG(says(r, "epoch    2") && !says(r, "epoch    5"), "%s", r.out.s);
    r = expect("train points.graph --overfit 1 -q -s w=-1 -s epochs=2", 0, "it can be negative");
    CHECK_MSG(!says(r, "epoch "), "%s", r.out.s);
    CHECK(!says(test_shell(STR("ls")), "runs"));
    expect("train points.graph --overfit 1 --run r", 2, "it writes no run");
    expect("train points.graph --overfit 0", 2, "--overfit takes a whole number from 1");
    test_write(in_folder("bare.graph"), STR("graph 1\n"));
    expect("train bare.graph --overfit 1", 1, "bare.graph has no `train`");
}

static void expect_nothing_left(void) {
    Ran r = test_shell(STR("ls scratch | wc -l"));
    CHECK_MSG(atoi(r.out.s) == 0, "%s", r.out.s);
}

TEST_ALL(try_does_everything_once) {
    put_points();
    Ran r = test_shell(STR("mkdir scratch; TMPDIR=scratch graphc try points.graph"));
    CHECK_MSG(r.status == 0, "%s", r.out.s);
    static const char *const parts[] = {"trained     train: 2 steps, a validation; an epoch is 19 steps",
                                        "saved       and", "exported    f, of 8 rows\n",
                                        "exported    g, of 8 rows of zeros", "memory  ", "all of it works"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) CHECK_MSG(says(r, parts[i]), "%s: %s", parts[i], r.out.s);
    expect_nothing_left();
}

TEST_ALL(try_fails_as_a_training_would) {
    put_points();
    Ran r = test_shell(STR("mkdir scratch; TMPDIR=scratch graphc try points.graph -s w=3e38"));
    CHECK_MSG(r.status == 1 && says(r, "a loss or a gradient is not finite"), "%s", r.out.s);
    expect_nothing_left();
    r = test_shell(STR("TMPDIR=none graphc try points.graph"));
    CHECK_MSG(r.status == 1 && says(r, "no scratch folder can be made: none/graphc-try"), "%s", r.out.s);
    r = test_shell(STR("ulimit -f 1; trap '' XFSZ; TMPDIR=scratch graphc try points.graph"));
    CHECK_MSG(r.status == 1 && says(r, "File too large"), "%s", r.out.s);
    expect_nothing_left();
    test_write(in_folder("bare.graph"), STR("graph 1\n"));
    expect("try bare.graph", 1, "bare.graph has no `train`");
    expect("try points.graph -s ww=1", 1, "there is no setting `ww`");
    expect("try", 2, "which FILE?");
}

/* ---- first files ---- */

TEST_ALL(new_writes_a_program_that_trains) {
    expect("new first", 0, "first.graph is written");
    expect("check first.graph", 0, "ce                reached");
    expect("fmt --check first.graph", 0, "");
    expect("train first.graph -q --run r", 0, "");
    expect("eval first.graph --run r", 0, "test.accuracy             0.9");
    expect("predict first.graph --run r --rows 3", 0, "row 2\n");
    expect("predict first.graph --run r --rows 3 --picture p.png", 1, "does not make images");
}

TEST(new_never_overwrites) {
    test_write(in_folder("mine.graph"), STR("graph 1\n"));
    expect("new mine", 1, "mine.graph is there already; nothing was written");
    expect("new mine.graph", 1, "mine.graph is there already");
    CHECK(str_is(test_read(in_folder("mine.graph")), "graph 1\n"));
    expect("new nowhere/x", 1, "nowhere/x.graph cannot be written: No such file");
    expect("new .graph", 2, "no name of a file");
    expect("new folder/", 2, "no name of a file");
    expect("new", 2, "which NAME?");
    expect("new a b", 2, "one NAME at a time");
    Ran r = test_shell(STR("ulimit -f 0; trap '' XFSZ; graphc new full; ls"));
    CHECK_MSG(strstr(r.out.s, "writing full.graph: File too large") && !strstr(r.out.s, "full.graph\n"), "%s", r.out.s);
}

/* The layout keeps comments, is its own layout, and `--check` tells by its status. */
TEST(fmt_has_a_fixed_point) {
    test_write(in_folder("wild.graph"), STR("graph 1\n# of the setting\nsetting   n:dim=3 # behind it\n\n\n\n"
                                            "def f(x:real[N,n])->(y:real[N,n]) { # inside\n y=x*2;  # why two\n }\n"));
    expect("fmt --check wild.graph", 1, "wild.graph is not in its layout\n  help: `graphc fmt wild.graph > new`");
    Ran r = ran("fmt wild.graph");
    static const char *const kept[] = {"# of the setting\n", "# behind it\n", "# inside\n", "# why two\n"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) CHECK_MSG(strstr(r.out.s, kept[i]), "%s", r.out.s);
    test_write(in_folder("tame.graph"), r.out);
    expect("fmt --check tame.graph", 0, "");
    CHECK(str_eq(ran("fmt tame.graph").out, r.out));
    test_write(in_folder("broken.graph"), STR("graph 1\nsetting n : dim =\n"));
    Ran broken = expect("fmt broken.graph", 1, "error[syntax]");
    CHECK_MSG(!strstr(broken.out.s, "graph 1\n"), "%s", broken.out.s);
    expect("fmt --check broken.graph", 1, "error[syntax]");
    expect("fmt none.graph", 1, "none.graph");
}

/* ---- eval ---- */

TEST_ALL(eval_measures_every_objective) {
    put_points();
    static const char more[] = "objective size(b : points[N]) { metric m = mean[..] net(b.x)^2 }\n";
    test_write(in_folder("two.graph"), str_format(test_arena(), "%s%s", k_points, more));
    expect("train two.graph -q --run r", 0, "");
    Ran r = expect("eval two.graph --run r --split val", 0, "val.square");
    CHECK_MSG(says(r, "val.m "), "%s", r.out.s);
}
