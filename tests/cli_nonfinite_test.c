/* A step that is not finite: who made the first value, of what, where; and what is left of the run. */
#include "test.h"
#include <string.h>

/* A net of one layer; what its output is made into, and how it is trained. */
static void put(const char *loss, const char *train) {
    Str path = str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder()));
    test_write(path, str_format(test_arena(),
                                "graph 1\n"
                                "setting big : real = 1\n"
                                "data points { from fresh(rows = 64) as train;  x[i < 3] = normal() }\n"
                                "model net(x : real[N, 3]) -> (y : real[N]) { y = linear(x, 1)[:, 0] }\n"
                                "objective fit(b : points[N]) {\n"
                                "    y = net(b.x)\n"
                                "%s\n"
                                "}\n"
                                "%s;  epochs 2;  batch 8 }\n",
                                loss, train));
}

static const char *const sgd = "train { optimizer sgd(lr = 0.1)";

static void fails(const char *line, int n, const char *const *says) {
    Ran r = test_shell(str_of(line));
    CHECK_INT(r.status, 1);
    for (int i = 0; i < n; i++) CHECK_MSG(strstr(r.out.s, says[i]) != NULL, "no `%s` in\n%s", says[i], r.out.s);
}
#define FAILS(...) \
    do { \
        const char *const says_[] = {__VA_ARGS__}; \
        fails("graphc train p.graph -q", sizeof says_ / sizeof *says_, says_); \
    } while (0)

TEST_ALL(a_logarithm_of_less_than_nothing) {
    put("    loss l = mean[n] log(y[n] - 5000)", sgd);
    FAILS("error[nonfinite]: step 1 (epoch 1, step 1 of it): a loss or a gradient is not finite",
          "The first: `log` of -",
          "(`y[n] - 5000`) is nan, at [0] of [8]\n", "--> p.graph:7:22", "loss l = mean[n] log(y[n] - 5000)",
          "^^^^^^^^^^^^^^", "help: keep what goes in above 0");
    fails("graphc train p.graph -q --json", 1, (const char *const[]){"\"kind\":\"nonfinite\""});
}

TEST_ALL(a_division_by_zero) {
    put("    d = y - y\n    loss l = mean[n] (1 / d[n])", sgd);
    FAILS("`div` of 1 and 0 (`d`) is inf, at [0] of [8]\n", "--> p.graph:8:23", "keep the divisor away from 0");
}

TEST_ALL(an_exponential_without_an_end) {
    put("    loss l = mean[n] exp(y[n] + 10000)", sgd);
    FAILS("`exp` of 1", "(`y[n] + 10000`) is inf, at [0] of [8]\n", "--> p.graph:7:22", "it ends at 88.7");
}

TEST_ALL(a_number_behind_a_mask_is_not_blamed) {
    put("    hidden = where(y > 50, y, -1 / 0.0 * big)\n    loss h = mean[n] exp(hidden[n])\n"
        "    loss l = mean[n] log(y[n] - 5000)", sgd);
    FAILS("`log` of -", "--> p.graph:9:22");
}

TEST_ALL(a_gradient_at_the_edge_of_a_root) {
    put("    loss l = mean[n] abs(0 * y[n])^0.5", sgd);
    FAILS("`pow` of 0", "and -0.5 is inf, at [0] of [8], on the way back", "--> p.graph:7:22");
}

TEST_ALL(a_turn_of_a_scan) {
    put("    scan h = y over t < 9 { h = exp(h + big) }\n    loss l = mean[n] h[n]", sgd);
    FAILS("`exp` of ", "is inf, at [", "] of [8], in turn ", " of the `scan`", "--> p.graph:7:33");
    put("    scan h = y over t < 4 { h = abs(0 * h)^0.5 }\n    loss l = mean[n] h[n]", sgd);
    FAILS("`pow` of 0", "of [8], in turn 3 of the `scan`, on the way back", "--> p.graph:7:33");
}

TEST_ALL(an_update) {
    put("    loss l = mean[n] (y[n] - 1)^2",
        "optimizer odd(lr : real) for p, g, k { p <- p - lr * g / (p - p) }\ntrain { optimizer odd(lr = 0.1)");
    FAILS("step 2 (epoch 1, step 2 of it)", "before the step the weight or state `net.linear1.",
          "an update before made it");
    put("    loss l = mean[n] (y[n] - 1)^2", "train { optimizer adam(lr = 0.1 / epoch)");
    FAILS("a number of settings and counters is inf, in the update", "--> p.graph:9:29", "^^^^^^^^^^^");
}

/* What comes in is said, not what an operation makes of it. */
TEST_ALL(what_came_in_like_that) {
    put("    loss l = mean[n] (y[n] - 1)^2 weight log(epoch)", sgd);
    FAILS("a number of settings and counters is -inf", "look at weights and schedules");
    put("    loss l = mean[n] (y[n] * big - y[n] * big * 0.5)^2", sgd);
    fails("graphc train p.graph -q -s big=inf", 1,
          (const char *const[]){"a number of settings and counters is inf"});
    put("    c[n, k] = where(k == 0, b.x[n, k], 1 / (b.x[n, k] - b.x[n, k]))\n"
        "    loss l = mean[n] (y[n] - sum[k] c[n, k])^2", sgd);
    FAILS("`div` of 1 and 0");
}

TEST_ALL(a_column_that_is_infinite) {
    put("    loss l = mean[n] (y[n] - b.x[n, 0])^2", sgd);
    test_expect("sed -i 's/normal()/where(i == 1, 1 \\/ 0.0, normal())/' p.graph", 0, "");
    FAILS("in the data, the column `x` is inf, at [0,1] of [8,3]", "help: `drop where abs(..) == inf` in `data`");
}

TEST_ALL(the_last_update) {
    put("    loss l = mean[n] (y[n] - 1)^2",
        "optimizer odd(lr : real) for p, g, k { p <- where(k < 8, p, p - lr * g / (p - p)) }\n"
        "train { optimizer odd(lr = 0.1)");
    FAILS("after step 8 the weight `net.linear1.w` is ", "at [0,0]", "help: the update made it");
}

TEST_ALL(weights_that_were_spoilt_before) {
    put("    loss l = mean[n] (y[n] - 1)^2", "train { optimizer sgd(lr = big)");
    fails("graphc train p.graph -q -s big=inf", 2,
          (const char *const[]){"before the step the weight or state `net.linear1.", "an update before made it"});
}

TEST_ALL(an_operation_of_the_library) {
    put("    loss l = gaussian_kl(b.x, 400 + b.x + y[:, _])", sgd);
    put("    z[n,i] = 400 + b.x[n,i] + y[n]\n    loss l = gaussian_kl(b.x, z)", sgd);
    FAILS("`exp` of 4", "(in `kl_each`)", "--> p.graph:8:14", "gaussian_kl(b.x, z)");
}

/* The run ends; its last checkpoint is of before, whole, and goes on. */
TEST_ALL(the_last_good_checkpoint_stays) {
    put("    loss l = mean[n] where(epoch < 1, 1, log(-1 - y[n]^2)) * (y[n] - 1)^2", sgd);
    const char *const says[] = {"step 9 (epoch 2, step 1 of it)", "`log` of -"};
    fails("graphc train p.graph -q --run r", 2, says);
    test_expect("grep -c . r/metrics.jsonl", 0, "1");
    test_expect("graphc runs show r", 0, "failed");
    fails("graphc train p.graph -q --run r --resume", 2, says);
    test_expect("graphc sweep p.graph big=1,2 --json --jobs 1", 1, "`log` of -");
}
