/* Statistics of a data set belong to the run that was trained with them. */
#include "test.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char k_program[] =
    "graph 1\n"
    "data d { from fresh(rows = %d);  u = normal(2, 3);  drop where u > 6;  split train 0.7, val rest seed 1\n"
    "    m = mean[train] u;  x = u - m }\n"
    "model net(x : real[N]) -> (y : real[N]) { param w : real = 1;  y = w * x }\n"
    "objective o(b : d[N]) {\n"
    "    loss f = mean[..] net(b.x)^2;  metric kept = d.m;  metric centre = mean[..] (b.u - b.x)\n"
    "}\n"
    "train { optimizer sgd(lr = 0.001);  epochs 1;  batch 100 }\n";

static double value_of(Ran r, const char *name) {
    const char *at = strstr(r.out.s, name);
    REQUIRE(at != NULL);
    return strtod(at + strlen(name), NULL);
}

static Ran run(const char *command) {
    Ran r = test_shell(str_of(command));
    CHECK_MSG(r.status == 0, "%s: status %d\n%.*s", command, r.status, FSTR(r.out));
    return r;
}

TEST(statistics_are_those_of_the_run) {
    for (int i = 0; i < 2; i++)
        test_write(str_format(test_arena(), "%.*s/%s.graph", FSTR(test_folder()), i ? "fewer" : "all"),
                   str_format(test_arena(), k_program, i ? 900 : 3000));
    Ran r = run("graphc train all.graph --run all");
    CHECK_MSG(strstr(r.out.s, "3000 rows, ") != NULL, "%.*s", FSTR(r.out));
    run("graphc train fewer.graph --run fewer");
    double all = value_of(run("graphc eval all.graph --run all --split train"), "train.kept");
    double fewer = value_of(run("graphc eval fewer.graph --run fewer --split train"), "train.kept");
    CHECK(all != fewer);
    r = run("graphc eval fewer.graph --run all --split train");
    CHECK_MSG(value_of(r, "train.kept") == all && fabs(value_of(r, "train.centre") - all) < 1e-4, "%.*s", FSTR(r.out));
}

/* Two columns of numbers for each split, on the right however many there are. */
TEST(classes_of_many_splits) {
    Arena *a = test_arena();
    Buf b = buf_make(a);
    buf_printf(&b, "graph 1\ndata d {\n    from fresh(rows = 400) as train\n    y : u8 < 2 = integer(0, 2)\n");
    buf_printf(&b, "    split ");
    for (int i = 0; i < 12; i++) buf_printf(&b, "s%d 20, ", i);
    buf_printf(&b, "val 20, train rest of train seed 1\n}\n");
    test_write(str_format(a, "%.*s/p.graph", FSTR(test_folder())), buf_str(&b));
    Ran r = test_shell(STR("graphc data p.graph | grep -A1 '^  = 0 '"));
    const char *next = strchr(r.out.s, '\n');
    CHECK_MSG(next && strcspn(next + 1, "\n") == (size_t)(next - r.out.s) && next - r.out.s > 150, "%s", r.out.s);
}
