/* Updates folded into the products that make their gradients: the bits of updates apart, and nothing written by a step
 * that is not finite, however large the operands are. */
#include "test.h"
#include <string.h>

/* Two layers whose weights are larger than a batch.  `big` makes operands large and takes it back, `steep` makes
 * gradients large, of a loss that is 0. */
static void put(const char *optimizer, int batch) {
    Str path = str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder()));
    test_write(path,
               str_format(test_arena(),
                          "graph 1\n"
                          "setting big : real = 1\n"
                          "setting steep : real = 1\n"
                          "data points { from fresh(rows = 18) as train;  x[i < 40] = normal() }\n"
                          "model net(x : real[N, 40]) -> (y : real[N, 49]) {\n"
                          "    y = linear(relu(linear(x * big, 50)) / big, 49)\n"
                          "}\n"
                          "objective fit(b : points[N]) {\n"
                          "    y = net(b.x)\n"
                          "    h = y - stop_gradient(y)\n"
                          "    loss l = mean[n, i] (y[n, i] - 1)^2\n"
                          "    loss none = sum[n, i] h[n, i] * steep * steep\n"
                          "}\n"
                          "train { optimizer %s;  epochs 2;  batch %d }\n",
                          optimizer, batch));
}

static const char *const adam = "adam(lr = 0.01)";

static void same_bits(const char *settings) {
    Ran r = test_shell(str_format(test_arena(), "graphc verify p.graph %s", settings));
    CHECK_INT(r.status, 0);
    for (int threads = 1; threads <= 3; threads++) {
        Str line = str_format(test_arena(), "fused      on %d  every bit is the same", threads);
        CHECK_MSG(strstr(r.out.s, line.s) != NULL, "no `%s` in\n%s", line.s, r.out.s);
    }
}

static bool folds(void) {
    Ran r = test_shell(STR("graphc explain p.graph"));
    return strstr(r.out.s, "only when an operand of a folded update is above 2^50") != NULL;
}

TEST_ALL(folded_updates_have_the_same_bits) {
    static const char *const optimizers[] = {
        "sgd(lr = 0.1)",       "sgd(lr = 0.1, momentum = 0.9, decay = 0.01, nesterov = yes)",
        "adam(lr = 0.01)",     "adam(lr = 0.01 / (1 + epoch), decay = 0.1)",
        "adamw(lr = 0.01)",    "rmsprop(lr = 0.01, momentum = 0.5)",
        "adagrad(lr = 0.1)"};
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++) {
        put(optimizers[i], 5); /* the last batch has 3 rows */
        CHECK_MSG(folds(), "%s", optimizers[i]);
        same_bits("");
    }
    put(adam, 1);
    CHECK(folds());
    same_bits("");
}

TEST_ALL(a_gradient_that_others_read_is_not_folded) {
    put("lars(lr = 0.1)", 5);
    CHECK(!folds());
    same_bits("");
    put("adam(lr = 0.01);  clip norm 1", 5);
    CHECK(!folds());
    same_bits("");
    put("adam(lr = 0.01);  precision f16", 5);
    CHECK(!folds());
}

/* 2^50 is 1.1e15. */
TEST_ALL(large_operands_of_finite_gradients_train) {
    put(adam, 5);
    same_bits("-s big=1e14");
    same_bits("-s big=1e17");
    same_bits("-s big=1e25");
}

TEST_ALL(an_infinite_gradient_writes_nothing) {
    put(adam, 5);
    Ran r = test_shell(STR("graphc train p.graph -q -s steep=1e19 -s big=1e3"));
    CHECK_INT(r.status, 1);
    static const char *const says[] = {"step 1 (epoch 1, step 1 of it): a loss or a gradient is not finite",
                                       "nothing of the step was written", "The first: a product of elements up to",
                                       "of [40,50], on the way back (in `linear`)"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        CHECK_MSG(strstr(r.out.s, says[i]) != NULL, "no `%s` in\n%s", says[i], r.out.s);
}

/* The operand is a sum over an axis in the middle; the large element is the last of its row. */
TEST_ALL(a_sum_as_an_operand_is_looked_at_whole) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               STR("graph 1\n"
                   "data points { from fresh(rows = 20) as train;  x[t < 5, i < 64] = normal() }\n"
                   "model net(x : real[N, T, 64]) -> (y : real[N, 128]) {\n"
                   "    a[n, i] = sum[t] tanh(x[n, t, i]) * where(i == 63, 1e25, 1)\n"
                   "    y = linear(a, 128)\n"
                   "}\n"
                   "objective fit(b : points[N]) {\n"
                   "    y = net(b.x)\n"
                   "    h = y - stop_gradient(y)\n"
                   "    loss none = sum[n, i] h[n, i] * 1e14\n"
                   "}\n"
                   "train { optimizer sgd(lr = 0.01);  epochs 2;  batch 4 }\n"));
    CHECK(folds());
    Ran r = test_shell(STR("graphc train p.graph -q"));
    CHECK_INT(r.status, 1);
    CHECK_MSG(strstr(r.out.s, "step 1 (epoch 1, step 1 of it)") != NULL, "%s", r.out.s);
    CHECK_MSG(strstr(r.out.s, "nothing of the step was written") != NULL, "%s", r.out.s);
}

/* A rounded operand is read where it lies, so it is looked at where it is made: dy is 1e26. */
TEST_ALL(a_rounded_operand_is_looked_at_before_the_commit) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               STR("graph 1\n"
                   "setting big : real = 1\n"
                   "data points { from fresh(rows = 20) as train;  x[i < 60] = normal();  z[i < 512] = normal() }\n"
                   "model net(x : real[N, 60]) -> (y : real[N, 512]) {\n"
                   "    y = linear(x * big, 512)\n"
                   "}\n"
                   "objective fit(b : points[N]) {\n"
                   "    y = net(b.x)\n"
                   "    h = y - stop_gradient(y)\n"
                   "    k[n, i] = tanh(tanh(exp(b.z[n, i])) + 0.1 * (sum[j] exp(b.z[n, j])))\n"
                   "    loss none = sum[n, i] h[n, i] * k[n, i] * 1e26\n"
                   "}\n"
                   "train { optimizer sgd(lr = 0.01);  epochs 2;  batch 4;  precision bf16 }\n"));
    CHECK(folds());
    same_bits("");
    CHECK_INT(test_shell(STR("graphc train p.graph -q")).status, 0);
    Ran r = test_shell(STR("graphc train p.graph -q -s big=1e14"));
    CHECK_INT(r.status, 1);
    CHECK_MSG(strstr(r.out.s, "step 1 (epoch 1, step 1 of it)") != NULL, "%s", r.out.s);
    CHECK_MSG(strstr(r.out.s, "nothing of the step was written") != NULL, "%s", r.out.s);
}

/* The scale of f16 is for gradients that are not finite: nothing checks them, and their sums are no updates to fold. */
TEST_ALL(shards_of_f16_skip_what_is_not_finite) {
    put("adam(lr = 0.01);  precision f16", 9);
    same_bits("");
    Str shards = str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder()));
    Str text = test_read(shards);
    const char *batch = strstr(text.s, "batch 9");
    test_write(shards, str_format(test_arena(), "%.*sbatch 3 shards 3 per shard }\n", (int)(batch - text.s), text.s));
    same_bits("-s steep=1e3");
    CHECK_INT(test_shell(STR("graphc train p.graph -q -s steep=1e3")).status, 0);
}
