/* Rows of `fresh` in `train` are other ones in each epoch, all other rows are not; a training that was stopped goes on
 * with the rows it would have had, whatever the threads, the phases inside it or the data sets beside it.  A rate of 0
 * keeps the model, so that series tell of the rows alone. */
#include "test.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

static Str here(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

static void put(const char *data, const char *rest) {
    test_write(here("p.graph"), str_format(test_arena(), "graph 1\n%s%s", data, rest));
}

static const char k_looks[] =
    "model net(x : real[N]) -> (y : real[N]) { param w : real = 1;  y = w * x }\n"
    "objective o(b : d[N]) { loss f = mean[..] net(b.x)^2;  metric centre = mean[..] b.x }\n"
    "train { optimizer sgd(lr = 0);  epochs 3;  batch 100 }\n";

static double centre(const char *series, int epoch) {
    Str text = test_read(here("r/metrics.jsonl"));
    const char *at = str_copy(test_arena(), text).s;
    double x = 0;
    int seen = 0;
    for (const char *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        json_t *line = json_loadb(at, (size_t)(end - at), 0, NULL), *values = json_object_get(line, "values");
        json_t *v = json_object_get(values ? values : line, series);
        if (json_is_number(v) && ++seen == epoch)
            x = json_number_value(v);
        json_decref(line);
    }
    CHECK_MSG(seen >= epoch, "%d values of %s", seen, series);
    return x;
}

/* The same rows in another order have sums that differ in their last bits. */
static bool differ(double x, double y) { return fabs(x - y) > 1e-5; }

/* renewed: the rows of `train`; those of `val` never are. */
static void rows_of_epochs(const char *data, bool renewed) {
    put(data, k_looks);
    test_expect("graphc train p.graph -q --threads=1 --run r", 0, "");
    double first = centre("train.centre", 1), second = centre("train.centre", 2), third = centre("train.centre", 3);
    CHECK_MSG(differ(first, second) == renewed && differ(second, third) == renewed && differ(third, first) == renewed,
              "%s: %g %g %g", data, first, second, third);
    CHECK(centre("val.centre", 2) == centre("val.centre", 1) && centre("val.centre", 3) == centre("val.centre", 1));
    test_expect("rm -r r", 0, "");
}

TEST(rows_of_train_are_new_in_each_epoch) {
    rows_of_epochs("data d { from fresh(rows = 1500) as train;  from fresh(rows = 90) as val;  x = normal() }\n", true);
    rows_of_epochs("data d { from fresh(rows = 1500);  x = normal();  split val 0.2, train rest seed 1 }\n", true);
    rows_of_epochs("data d { from fresh(rows = 900);  repeat u = uniform() until u < 0.5\n"
                   "    scan s = 0 over t < 4 { s = s + normal();  collect path = s }\n"
                   "    m = mean[train] u;  x = u - m + path[3];  split val 0.2, train rest seed 1 }\n", true);
}

TEST(rows_that_draws_do_not_choose_are_new) {
    rows_of_epochs("data d { from fresh(rows = 900);  u = normal();  episodes end where row mod 9 == 8\n"
                   "    drop where row mod 7 == 0;  x = ahead(u, 1);  split val 0.2, train rest by episode seed 1 }\n",
                   true);
}

TEST(rows_that_draws_choose_are_made_once) {
    rows_of_epochs("data d { from fresh(rows = 900);  u = normal();  drop where u > 2;  x = u\n"
                   "    split val 0.2, train rest seed 1 }\n", false);
    rows_of_epochs("data d { from fresh(rows = 900);  x = normal();  v = ahead(x, 1);  drop where v > 0\n"
                   "    split val 0.2, train rest seed 1 }\n", false);
    rows_of_epochs("data d { from fresh(rows = 900);  x = normal();  g = integer(0, 9)\n"
                   "    split val 0.2, train rest by g seed 1 }\n", false);
    test_expect("graphc check p.graph", 0, "fresh  rows of d are made once: draws decide which there are (line 3)");
}

TEST(check_tells_of_new_rows) {
    put("data d { from fresh(rows = 90) as train;  x = normal() }\n", k_looks);
    test_expect("graphc check p.graph", 0, "fresh  rows of d are new in each epoch");
    test_expect("graphc check --json p.graph", 0, "{\"about\":\"fresh\",\"data\":\"d\",\"each_epoch\":true}");
    put("data d { from fresh(rows = 90) as train;  x = row / 90 }\n", k_looks);
    CHECK(strstr(test_expect("graphc check p.graph", 0, "batches").out.s, "fresh") == NULL);
}

TEST(a_few_rows_are_learnt_by_heart) {
    put("data d { from fresh(rows = 500) as train;  x[i < 8] = normal();  y = normal() }\n",
        "model net(x : real[N, 8]) -> (y : real[N]) { y = mlp(x, [64, 1], act = tanh)[:, 0] }\n"
        "objective o(b : d[N]) { loss f = mse(net(b.x), b.y) }\n"
        "train { optimizer adam(lr = 1e-2);  epochs 2;  batch 8 }\n");
    test_expect("graphc train p.graph --overfit 1", 0, "near zero, these rows are learnt by heart");
}

/* Two data sets, passes of unequal length, a phase inside with the same rows. */
TEST_ALL(resumed_with_new_rows) {
    put("data d { from fresh(rows = 1200) as train;  from fresh(rows = 60) as val\n"
        "    x[i < 3] = normal();  y = x[0] + x[2] }\n"
        "data more { from fresh(rows = 70) as train;  from fresh(rows = 10) as val\n"
        "    u = normal();  z[i < 3] = ahead(u, 1) }\n",
        "model net(x : real[N, 3]) -> (y : real[N]) { y = mlp(x, [8, 1], act = tanh)[:, 0] }\n"
        "model scale(y : real[N]) -> (s : real[N]) { param w : real = 1;  s = w * y }\n"
        "objective fit(b : d[N], m : more[M]) {\n"
        "    loss square = mse(net(b.x), b.y);  loss small = mean[..] net(m.z)^2 weight 0.1 }\n"
        "objective probe(b : d[N]) { loss miss = mse(scale(net(b.x)), b.y) }\n"
        "train world { objective fit;  optimizer adam(lr = 0.01);  epochs 4;  batch 100;  every 2 epochs train look }\n"
        "train look { objective probe;  freeze net;  optimizer sgd(lr = 0.1);  epochs 2;  batch 200 }\n");
    test_expect("graphc verify p.graph", 0, "every bit is the same");
    test_expect("graphc train p.graph -q --threads=1 --run one", 0, "");
    test_expect("graphc train p.graph -q --threads=3 --run three", 0, "");
    test_expect("graphc train p.graph -q -s world.epochs=3 --run parts", 0, "");
    test_expect("graphc train p.graph -q --run parts --resume", 0, "");
    CHECK(str_eq(test_tensors("one"), test_tensors("three")));
    CHECK(str_eq(test_tensors("one"), test_tensors("parts")));
}

/* Stopped in the middle of an epoch. */
TEST_ALL(interrupted_with_new_rows) {
    put("setting goal : real = -1\n"
        "data d { from fresh(rows = 300) as train;  x[i < 3] = normal();  y = x[0] + x[2] }\n",
        "model net(x : real[N, 3]) -> (y : real[N]) { y = mlp(x, [8, 1], act = tanh)[:, 0] }\n"
        "objective fit(b : d[N]) {\n"
        "    loss square = mse(net(b.x), b.y);  stop \"enough\" when square > goal after 13 steps }\n"
        "train { optimizer adam(lr = 0.01);  epochs 4;  batch 30;  report every 7 steps }\n");
    test_expect("graphc train p.graph -q -s goal=1e9 --run whole", 0, "");
    test_expect("graphc train p.graph -q --run parts", 3, "stopped after step 14");
    test_expect("graphc train p.graph -q -s goal=1e9 --run parts --resume", 0, "");
    CHECK(str_eq(test_tensors("whole"), test_tensors("parts")));
}
