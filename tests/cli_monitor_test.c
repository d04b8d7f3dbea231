/* What a training looks at beside its steps: the budget of its terms, and what is wrong with it.  Each monitor has a
 * training that it warns of and one beside it that it does not. */
#include "test.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

#define CHECK_NEAR(x, want, by) \
    do { \
        double x_ = (x); \
        CHECK_MSG(fabs(x_ - (want)) <= (by), "%s is %g", #x, x_); \
    } while (0)

static Str here(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

/* What is dropped decides which rows there are, so they are the same in all epochs. */
static void put(const char *net, const char *losses, const char *train) {
    test_write(here("p.graph"),
               str_format(test_arena(),
                          "graph 1\n"
                          "setting w : real = 1\n"
                          "setting shift : real = 0\n"
                          "data points {\n"
                          "    from fresh(rows = 256) as train;  from fresh(rows = 64) as val\n"
                          "    x[i < 3] = normal();  noise = normal();  drop where noise > 50\n"
                          "}\n"
                          "model net(x : real[N, 3]) -> (y : real[N]) { %s }\n"
                          "model head(x : real[N]) -> (y : real[N]) { param v : real[1] = 1;  y = x * v[0] }\n"
                          "objective fit(b : points[N]) {\n    y = net(b.x)\n%s\n}\n"
                          "train { optimizer %s;  batch 16;  seed 1 }\n",
                          net, losses, train));
}

static bool says(Ran r, const char *text) { return strstr(r.out.s, text) != NULL; }

static Ran ran(const char *line, int status) {
    Ran r = test_shell(str_of(line));
    CHECK_MSG(r.status == status, "%s: status %d\n%s", line, r.status, r.out.s);
    return r;
}

/* The number of a series in the i-th row of an event in a run's log; NaN: there is none. */
static double noted(const char *run, const char *kind, int i, const char *name) {
    const char *at = test_read(str_format(test_arena(), "%.*s/%s/metrics.jsonl", FSTR(test_folder()), run)).s;
    for (; at && *at; at = strchr(at, '\n'), at += at != NULL) {
        json_t *row = json_loads(at, JSON_DISABLE_EOF_CHECK, NULL);
        const char *event = json_string_value(json_object_get(row, "event"));
        json_t *v = json_object_get(row, name);
        double x = json_is_number(v) ? json_number_value(v) : NAN;
        bool found = event && strcmp(event, kind) == 0 && i-- == 0;
        json_decref(row);
        if (found) return x;
    }
    return NAN;
}

static double sampled(const char *run, int i, const char *name) { return noted(run, "sample", i, name); }

static const char *const line = "y = linear(x, 1)[:, 0]";

/* Two terms whose gradients are known: of a = mean y and c = -2 mean y with weight 3, of a bias: 1 and -6. */
TEST_ALL(a_budget_has_numbers_that_are_known) {
    put("param c : real[1] = 2;  y = 0 * x[:, 0] + c[0]",
        "    loss a = mean[n] y[n]\n    loss c = -2 * mean[n] y[n]  weight 3",
        "sgd(lr = 0);  steps 3");
    Ran r = ran("graphc train p.graph --run r --sample 2 --conflict", 0);
    CHECK_MSG(says(r, "fit, step 0  value  weight   share  gradient\n"), "%s", r.out.s);
    CHECK_MSG(says(r, "  a              2       1  14.3 %         1\n"), "%s", r.out.s);
    CHECK_MSG(says(r, "  c             -4       3  85.7 %         6\n"), "%s", r.out.s);
    CHECK_MSG(says(r, "  total        -10                         5\n"), "%s", r.out.s);
    CHECK_MSG(says(r, "a and c: cosine -1.00, one undoes what the other does"), "%s", r.out.s);
    CHECK_NEAR(sampled("r", 1, "train.c.gradient"), 6, 1e-6);
    CHECK_NEAR(sampled("r", 1, "train.a.cosine.c"), -1, 1e-6);
    CHECK_NEAR(sampled("r", 1, "train.c.weight"), 3, 0);
    CHECK(isnan(sampled("r", 2, "train.c.gradient")));
    test_expect("grep -c ^sample, r/metrics.csv", 0, "2");
    test_expect("grep -c 'fit, step 0' r/log.txt", 0, "1");
    test_expect("graphc train p.graph --sample 0", 2, "--sample");
    r = ran("graphc train p.graph --run n", 0);
    CHECK(!says(r, "step 0") && isnan(sampled("n", 0, "train.a.gradient")));
    CHECK_MSG(says(ran("graphc try p.graph", 0), "fit, step 0  value"), "%s", r.out.s);
    r = ran("graphc train p.graph --run j --json --sample auto", 0);
    CHECK_MSG(says(r, "\"event\":\"sample\"") && says(r, "\"train.c.gradient\":6.0"), "%s", r.out.s);
}

/* Dropout draws what the step draws; states are not written; nothing of the training changes, resumed or not. */
TEST_ALL(samples_change_no_bit) {
    put("h = x |> linear(8) |> batchnorm |> relu |> dropout(0.3);  y = linear(h, 1)[:, 0]",
        "    loss a = mean[n] (head(y)[n] - b.noise[n])^2\n    loss s = mean[n] y[n]^2  weight 0.1",
        "adam(lr = 0.01);  epochs 4");
    ran("graphc train p.graph -q --run with --sample 3 --conflict", 0);
    ran("graphc train p.graph -q --run without", 0);
    CHECK(str_eq(test_tensors("with"), test_tensors("without")));
    CHECK(sampled("with", 5, "train.total.gradient.head") > 0 && sampled("with", 5, "train.s.gradient") > 0);
    CHECK(isnan(sampled("with", 5, "train.s.gradient.head")));
    ran("graphc verify p.graph", 0);
}

TEST_ALL(units_that_never_fire) {
    const char *net = "y = linear(relu(linear(x, 8) - shift), 1)[:, 0]";
    put(net, "    loss l = mean[n] (y[n] - b.x[n,0])^2  weight w", "sgd(lr = 0.001);  epochs 2");
    Ran r = ran("graphc train p.graph -q --sample 4 --run dead -s shift=50", 0);
    CHECK_MSG(says(r, "warning: dead: 8 of 8 relu units of `net.linear2` fired for no row of 5 samples; a smaller "
                      "learning rate"), "%s", r.out.s);
    CHECK_NEAR(sampled("dead", 4, "train.units.dead.net.linear2"), 1, 0);
    CHECK_NEAR(sampled("dead", 3, "train.units.dead.net.linear2"), 0, 0);
    r = ran("graphc train p.graph -q --sample 4 --run alive", 0);
    CHECK_MSG(!says(r, "warning: dead"), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 4 -s shift=50 --monitor dead=off", 0);
    CHECK_MSG(!says(r, "dead:"), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 4 -s shift=50 --monitor dead=stop --run s", 3);
    CHECK_MSG(says(r, "stopped after step 17: dead: 8 of 8") && says(r, "`--monitor dead` held; the run is saved"),
              "%s", r.out.s);
    test_expect("grep -c '\"event\":\"stop\"' s/metrics.jsonl", 0, "1");
}

/* Units that are dead stay so: who goes on in spite of it is not stopped by them again. */
TEST_ALL(a_run_goes_on_in_spite_of_dead_units) {
    put("y = linear(relu(linear(x, 8) - shift), 1)[:, 0]", "    loss l = mean[n] (y[n] - b.x[n,0])^2  weight w",
        "sgd(lr = 0.001);  epochs 4");
    Ran r = ran("graphc train p.graph -q --sample 4 -s shift=50 --monitor dead=stop --run r", 3);
    CHECK_MSG(says(r, "stopped after step 17: dead"), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 4 -s shift=50 --monitor dead=stop --run r --resume", 0);
    CHECK_MSG(!says(r, "dead:"), "%s", r.out.s);
}

TEST_ALL(gradients_that_explode) {
    put(line, "    loss l = mean[n] (y[n] - b.x[n,0])^2  weight w", "sgd(lr = 2 * w);  epochs 2");
    Ran r = ran("graphc train p.graph -q --sample 2 --run up", 0);
    CHECK_MSG(says(r, "warning: exploding: the gradient is ") && says(r, "times its mean of the samples before; a "
                   "smaller learning rate, or `clip norm 1`"), "%s", r.out.s);
    CHECK_MSG(says(r, "warning: exploding: `l` is "), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 2 --run down -s w=0.01", 0);
    CHECK_MSG(!says(r, "exploding"), "%s", r.out.s);
}

TEST_ALL(a_model_whose_gradient_vanishes) {
    put(line, "    loss l = mean[n] (head(1e-9 * w * y + b.x[:, 1])[n] - b.x[n,0])^2", "sgd(lr = 0.01);  epochs 1");
    Ran r = ran("graphc train p.graph -q --sample 2", 0);
    CHECK_MSG(says(r, "warning: vanishing: the gradient of `net` is ") && says(r, "the largest of a model"), "%s",
              r.out.s);
    r = ran("graphc train p.graph -q --sample 2 -s w=1e9", 0);
    CHECK_MSG(!says(r, "vanishing"), "%s", r.out.s);
}

TEST_ALL(terms_out_of_balance) {
    put(line, "    loss l = mean[n] (y[n] - b.x[n,0])^2\n    loss small = mean[n] (y[n] - 1)^2  weight w",
        "sgd(lr = 0.001);  epochs 1");
    Ran r = ran("graphc train p.graph -q --sample 2 -s w=1e-4", 0);
    CHECK_MSG(says(r, "warning: imbalance: the gradient of `small` is ") && says(r, "that of `l` "), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 2 -s w=1e-9", 0);
    CHECK_MSG(says(r, "warning: vanishing: the gradient of `small` is "), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 2", 0);
    CHECK_MSG(!says(r, "imbalance") && !says(r, "vanishing"), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 2 -s w=0", 0);                   /* removed on purpose */
    CHECK_MSG(!says(r, "imbalance") && !says(r, "vanishing"), "%s", r.out.s);
}

/* Noise is learnt by heart, or there is something to learn. */
/* Terms, models and what a sample tells have names of their own. */
TEST_ALL(terms_called_like_samples) {
    put(line, "    loss gradient = mean[n] y[n]\n    loss dead = mean[n] y[n]\n    loss units = mean[n] y[n]  weight w",
        "sgd(lr = 0);  steps 20");
    ran("sed -i 's/head/gradient/' p.graph", 0);
    Ran r = ran("graphc train p.graph --run r --sample 2 --conflict", 0);
    CHECK_MSG(says(r, "fit, step 0   value  weight   share  gradient\n") && !says(r, "warning: "), "%s", r.out.s);
    CHECK(sampled("r", 0, "train.gradient.value") == sampled("r", 0, "train.units.value"));
    CHECK_NEAR(sampled("r", 0, "train.dead.cosine.units"), 1, 1e-5);
    ran("sed -i 's/loss dead/loss total/' p.graph", 0);
    test_expect("graphc check p.graph", 1, "`total` is the sum of all losses");
    ran("sed -i 's/loss total/metric total/' p.graph", 0);
    test_expect("graphc check p.graph", 1, "`total` is the sum of all losses");
}

/* The same term and the same layer of two objectives: each is held against itself. */
static void put_two(const char *losses, const char *others, const char *train) {
    put("y = linear(relu(linear(x, 8) - shift), 1)[:, 0]", losses, "sgd(lr = 0)");
    ran(str_format(test_arena(), "sed -i 's/^train {.*/objective other(b : points[N]) {\\n    y = net(b.x)\\n"
                   "%s\\n}\\ntrain { objective fit;  objective other;  %s;  batch 16;  seed 1 }/' p.graph", others,
                   train).s, 0);
}

TEST_ALL(monitors_of_several_objectives) {
    put_two("    loss l = mean[n] (y[n] - 1)^2\n    loss small = mean[n] (y[n] - 2)^2  weight w",
            "    loss l = mean[n] 1e4 * (y[n] - 1)^2\\n    loss small = mean[n] 1e4 * (y[n] - 2)^2",
            "optimizer sgd(lr = 1e-9);  epochs 2");
    Ran r = ran("graphc train p.graph -q --sample 1 -s w=1e-9", 0);
    CHECK_MSG(says(r, "warning: vanishing: the gradient of `small` is ") && !says(r, "exploding"), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 1", 0);
    CHECK_MSG(!says(r, "warning: "), "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 1 -s shift=50 --run d", 0);
    CHECK_MSG(says(r, "warning: dead: 8 of 8 relu units of `net.linear2`"), "%s", r.out.s);
    test_expect("grep -c 'dead: 8 of 8' d/log.txt", 0, "2\n");                 /* each objective has seen it itself */
}

/* A model for each column: more columns than any table of ours has by itself. */
TEST_ALL(a_budget_of_many_models) {
    Buf b = buf_make(test_arena());
    buf_printf(&b, "graph 1\ndata d { from fresh(rows = 32) as train;  x[i < 2] = normal() }\n");
    for (int i = 0; i < 20; i++)
        buf_printf(&b, "model net%d(x : real[N, 2]) -> (y : real[N, 1]) { y = linear(x, 1) }\n", i);
    buf_printf(&b, "objective o(q : d[N]) {\n    loss l = mean[..] (net0(q.x)");
    for (int i = 1; i < 20; i++) buf_printf(&b, " + net%d(q.x)", i);
    buf_printf(&b, ")^2\n}\ntrain { optimizer sgd(lr = 0.01);  epochs 1;  batch 8;  seed 1 }\n");
    test_write(here("p.graph"), buf_str(&b));
    Ran r = ran("graphc train p.graph --sample 2 --run r | grep -A1 'o, step 0'", 0);
    const char *next = strchr(r.out.s, '\n');
    CHECK_MSG(next && strcspn(next + 1, "\n") == (size_t)(next - r.out.s), "%s", r.out.s);         /* on the right */
}

TEST_ALL(gradients_that_are_infinite) {
    put(line, "    loss l = mean[n] w * y[n]\n    loss small = mean[n] y[n]", "sgd(lr = 0);  steps 12");
    Ran r = ran("graphc train p.graph -q --sample 2 -s w=1e30", 0);
    CHECK_MSG(says(r, "warning: exploding: the gradient is infinite") && !says(r, "vanishing") && !says(r, "imbalance"),
              "%s", r.out.s);
    r = ran("graphc train p.graph -q --sample 2", 0);
    CHECK_MSG(!says(r, "warning: "), "%s", r.out.s);
}

/* A level for a monitor that reads samples asks for them. */
TEST_ALL(a_monitor_brings_its_samples) {
    put(line, "    loss l = mean[n] (y[n] - b.x[n,0])^2", "sgd(lr = 0.01);  epochs 1");
    ran("graphc train p.graph -q --run a --monitor dead=stop", 0);
    CHECK(sampled("a", 0, "train.l.gradient") > 0);
    ran("graphc train p.graph -q --run b --monitor overfitting=stop --monitor alarms=warn --monitor dead=off", 0);
    CHECK(isnan(sampled("b", 0, "train.l.gradient")));
}

TEST_ALL(overfitting) {
    const char *net = "h = x |> linear(256) |> relu |> linear(256) |> relu;  y = linear(h, 1)[:, 0]";
    put(net, "    loss l = mean[n] (y[n] - (shift * b.noise[n] + w * b.x[n,0]))^2", "adam(lr = 0.003);  epochs 30");
    Ran r = ran("graphc train p.graph -q --run o -s w=0 -s shift=1", 0);
    CHECK_MSG(says(r, "warning: overfitting: val.total is ") && says(r, "train.total has fallen from ") &&
                  says(r, "stop with `patience`"), "%s", r.out.s);
    r = ran("graphc train p.graph -q --run s -s w=0 -s shift=1 --monitor overfitting=stop", 3);
    CHECK_MSG(says(r, "stopped after step "), "%s", r.out.s);
    r = ran("graphc train p.graph -q --run h", 0);
    CHECK_MSG(!says(r, "overfitting"), "%s", r.out.s);
}

/* How often a monitor has held goes on with a run: it warns of the same epochs, whenever the run was broken off. */
TEST_ALL(monitors_go_on_with_a_run) {
    test_write(here("p.graph"), STR("graph 1\n"
        "data points { from fresh(rows = 30);  x[i < 2] = normal();  split val 0.5, train rest seed 1 }\n"
        "model net(x : real[N, 2]) -> (y : real[N, 1]) { y = mlp(x, [64, 1]) }\n"
        "objective fit(b : points[N]) { loss e = mean[n] (net(b.x)[n,0] - b.x[n,0] * b.x[n,1])^2 }\n"
        "train { optimizer adam(lr = 3e-2);  epochs 40;  batch 15 }\n"));
    ran("graphc train p.graph -q --run whole", 0);
    test_expect("for n in 10 12 28; do graphc train p.graph -q --run r$n -s epochs=$n >/dev/null 2>&1\n"
                "graphc train p.graph -q --run r$n --resume >/dev/null 2>&1\n"
                "grep '\"warn\"' r$n/metrics.jsonl > warned\n"
                "grep '\"warn\"' whole/metrics.jsonl | cmp - warned || exit 1\n"
                "done; wc -l < warned", 0, "2\n");
}

/* Without a sample: the weight that the last step of an epoch had, and the share that it gives the mean. */
TEST(epochs_tell_weights_and_shares) {
    put(line, "    loss a = 2 + 0 * mean[n] y[n]\n    loss c = -3 + 0 * mean[n] y[n]    weight w * (epoch + 1)\n"
              "    loss s = 0 * mean[n] y[n] + 1    weight step + 1\n    loss off = 1 + 0 * mean[n] y[n]    weight 0",
        "sgd(lr = 0);  epochs 2");
    Ran r = ran("graphc train p.graph --run a", 0);
    CHECK_MSG(!says(r, "share") && !says(r, "weight"), "%s", r.out.s);
    for (int i = 0; i < 2; i++) {
        double c = i + 1, s = 16 * (i + 1), sum = 2 + 3 * c + s;
        CHECK_NEAR(noted("a", "epoch", i, "train.a.weight"), 1, 0);
        CHECK_NEAR(noted("a", "epoch", i, "train.c.weight"), c, 0);
        CHECK_NEAR(noted("a", "epoch", i, "train.s.weight"), s, 0);
        CHECK_NEAR(noted("a", "epoch", i, "train.off.weight"), 0, 0);
        CHECK_NEAR(noted("a", "epoch", i, "train.a.share"), 2 / sum, 1e-6);
        CHECK_NEAR(noted("a", "epoch", i, "train.c.share"), 3 * c / sum, 1e-6);
        CHECK_NEAR(noted("a", "epoch", i, "train.s.share"), s / sum, 1e-6);
        CHECK_NEAR(noted("a", "epoch", i, "train.off.share"), 0, 0);
    }
    test_expect("head -n 1 a/metrics.csv", 0, "train.c.weight,train.c.share");
    put(line, "    loss a = mean[n] y[n]^2    weight 3", "sgd(lr = 0);  epochs 1");
    ran("graphc train p.graph -q --run b", 0);
    CHECK(isnan(noted("b", "epoch", 0, "train.a.weight")));           /* a term alone has all */
}

/* Each objective has its own last step, and what only one has is called by its name alone, as its mean is. */
TEST(objectives_tell_weights_of_their_own) {
    put_two("    loss l = mean[n] y[n]^2\n    loss s = mean[n] y[n]    weight step + 1",
            "    loss l = mean[n] y[n]^2\\n    loss k = mean[n] y[n]    weight step + 1",
            "optimizer sgd(lr = 0);  epochs 1");
    ran("graphc train p.graph -q --run a --sample 1", 0);
    CHECK_NEAR(noted("a", "epoch", 0, "train.s.weight"), 15, 0);
    CHECK_NEAR(noted("a", "epoch", 0, "train.k.weight"), 16, 0);
    CHECK_NEAR(noted("a", "epoch", 0, "train.fit.l.weight"), 1, 0);
    CHECK(!isnan(noted("a", "epoch", 0, "train.s")) && isnan(noted("a", "epoch", 0, "train.l")));
    CHECK(!isnan(sampled("a", 1, "train.k.gradient")) && !isnan(sampled("a", 1, "train.other.l.gradient")));
    CHECK(!isnan(sampled("a", 1, "train.other.total.gradient")));
}

/* A training that lasts looks at its steps by itself, one that is over soon does not. */
TEST(a_long_training_takes_samples) {
    put(line, "    loss l = mean[n] (y[n] - b.x[n,0])^2", "sgd(lr = 0.01);  epochs 2");
    ran("graphc train p.graph -q --run short", 0);
    CHECK(isnan(sampled("short", 0, "train.l.gradient")));
    test_expect("graphc train p.graph -s epochs=100000000 --run long > said 2>&1 & p=$!\n"
                "until grep -q epoch long/metrics.jsonl 2>/dev/null; do sleep 0.02; done\n"
                "kill -INT $p; wait $p; cat said",
                0, "fit, step 0");
    CHECK(sampled("long", 0, "train.l.gradient") > 0);
    test_expect("graphc train p.graph -s epochs=100000000 --sample off --run none > said 2>&1 & p=$!\n"
                "until grep -q epoch none/metrics.jsonl 2>/dev/null; do sleep 0.02; done\n"
                "kill -INT $p; wait $p", 130, "");
    CHECK(isnan(sampled("none", 0, "train.l.gradient")));
    test_expect("graphc train p.graph --sample off --conflict", 2, "`--sample off` takes none");
    test_expect("graphc train p.graph --sample off --monitor dead=stop", 2, "`--sample off` takes none");
    test_expect("graphc train p.graph --sample 0", 2, "--sample, neither `auto` nor `off`, takes a whole number");
}

/* Points of a sweep take samples when they are asked to, the ones that `train` takes. */
TEST(points_of_a_sweep_take_samples) {
    put(line, "    loss l = mean[n] (y[n] - b.x[n,0])^2\n    loss k = mean[n] y[n]", "sgd(lr = 0.01);  epochs 2");
    test_expect("graphc sweep p.graph w=1 --dir s --conflict --sample 4 -q >/dev/null; mv s/*/ point\n"
                "graphc train p.graph -q --conflict --sample 4 --run alone\n"
                "for r in point alone; do sed 's/,\"seconds\":[^,]*//' $r/metrics.jsonl > $r.rows; done\n"
                "cmp *.rows", 0, "");
    CHECK(sampled("point", 1, "train.l.cosine.k") == sampled("alone", 1, "train.l.cosine.k"));
    CHECK(!isnan(noted("point", "epoch", 0, "train.k.share")));
}

/* `alarms`: those that the file and its library declare. */
TEST_ALL(alarms_of_the_file_have_a_level) {
    put(line, "    loss l = mean[n] (y[n] - b.x[n,0])^2\n    warn \"low\" when l < 100 for 1 reports",
        "sgd(lr = 0.01);  epochs 2");
    CHECK(says(ran("graphc train p.graph -q --run a", 0), "warning: low"));
    CHECK(!says(ran("graphc train p.graph -q --run b --monitor alarms=off", 0), "low"));
    CHECK(says(ran("graphc train p.graph -q --run c --monitor alarms=stop", 3), "stopped after step 16: low"));
    test_expect("graphc train p.graph --monitor deaf=off", 2, "there is no monitor `deaf`");
    test_expect("graphc train p.graph --monitor dead=loud", 2, "--monitor takes dead=off, =warn or =stop");
}

/* Half precision scales its loss; the sizes that are told are those without. */
TEST_ALL(sizes_are_those_of_the_loss_as_it_is_written) {
    put(line, "    loss l = mean[n] (y[n] - b.x[n,0])^2", "sgd(lr = 0.001);  epochs 1");
    ran("graphc train p.graph -q --run full --sample 9", 0);
    ran("sed -i 's/batch 16/batch 16;  precision f16/' p.graph && graphc train p.graph -q --run half --sample 9", 0);
    double x = sampled("full", 0, "train.l.gradient"), y = sampled("half", 0, "train.l.gradient");
    CHECK_MSG(fabs(x / y - 1) < 0.02, "%g and %g", x, y);
}

/* Parts of a batch, several runs in turn: each is looked at by itself. */
TEST_ALL(runs_in_turn_and_shards_are_sampled) {
    put(line, "    loss l = mean[n] (y[n] - b.x[n,0])^2", "sgd(lr = 0.01);  epochs 1");
    ran("sed -i 's/^train {.*/objective other(b : points[N]) { loss l = mean[n] (head(net(b.x))[n] - 1)^2 }\\n"
        "train { objective fit updates net;  objective other updates head;  optimizer sgd(lr = 0.01);  epochs 1;  "
        "batch 16 shards 2 }/' p.graph", 0);
    Ran r = ran("graphc train p.graph --sample 1 --run r", 0);
    CHECK_MSG(says(r, "fit, step 0"), "%s", r.out.s);
    CHECK(sampled("r", 0, "train.fit.l.gradient") > 0 && isnan(sampled("r", 0, "train.other.l.gradient")));
    CHECK(sampled("r", 1, "train.other.l.gradient") > 0);
}

/* Monitors of the library, called by the objective; 64 steps an epoch would be too few reports. */
static void put_called(const char *losses) {
    put(line, losses, "sgd(lr = 0.001);  steps 240;  report every 10 steps");
}

TEST_ALL(predictions_that_are_all_the_same) {
    put_called("    p = predictions(w * y + 1, b.x[:, 0])\n    loss l = mean[n] (w * y[n] - b.x[n,0])^2");
    Ran r = ran("graphc train p.graph -q -s w=1e-3", 0);
    CHECK_MSG(says(r, "all predictions are the same: lower lr or warm up (predictions1, train, epoch 13, step 210)"),
              "%s", r.out.s);
    r = ran("graphc train p.graph -q", 0);
    CHECK_MSG(!says(r, "all predictions"), "%s", r.out.s);
}

TEST_ALL(encodings_that_are_all_the_same) {
    put_called("    z[n,i] = shift * b.x[n,0] + w * b.x[n,i]\n    e = encodings(z)\n"
               "    loss l = mean[n] (y[n] - b.x[n,0])^2");
    Ran r = ran("graphc train p.graph -q -s w=1e-3 --run a", 0);
    CHECK_MSG(says(r, "all encodings are the same: add a variance term") && !says(r, "on a line"), "%s", r.out.s);
    r = ran("graphc train p.graph -q -s w=1e-2 -s shift=1 --run b", 0);
    CHECK_MSG(says(r, "encodings lie on a line: add a covariance term") && !says(r, "the same"), "%s", r.out.s);
    r = ran("graphc train p.graph -q --run c", 0);
    CHECK_MSG(!says(r, "encodings"), "%s", r.out.s);
    test_expect("graphc runs show c", 0, "effective_rank");
}

TEST_ALL(latent_dims_that_are_not_used) {
    put_called("    z[n,i] = w * b.x[n,i] + 0 * y[n]\n    loss l = mean[n] (y[n] - b.x[n,0])^2\n"
               "    loss kl = gaussian_kl(z, 0 * z)  weight 0.001");
    Ran r = ran("graphc train p.graph -q -s w=1e-3", 0);
    CHECK_MSG(says(r, "posterior collapse: no dim is used; lower its weight"), "%s", r.out.s);
    r = ran("graphc train p.graph -q", 0);
    CHECK_MSG(!says(r, "collapse"), "%s", r.out.s);
}
