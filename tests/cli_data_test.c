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
