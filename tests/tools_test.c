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
    Ran r = ran(arguments);
    CHECK_MSG(r.status == status, "graphc %s: status %d, expected %d\n%.*s", arguments, r.status, status,
              FSTR(r.out));
    CHECK_MSG(strstr(r.out.s, text) != NULL, "graphc %s does not say \"%s\" but\n%.*s", arguments, text,
              FSTR(r.out));
    return r;
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

TEST_ALL(peek_with_the_weights_of_a_run) {
    put_line();
    expect("train line.graph -q --run r", 0, "");
    expect("peek line.graph net.gain", 0, "0 to 0  mean 0");
    Ran r = expect("peek line.graph net.gain --run r", 0, "weights of r/last.safetensors");
    CHECK_MSG(strstr(r.out.s, "0 to 0  mean 0") == NULL, "%s", r.out.s);
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
