/* The programs of graphs/occ against the description of the study: counts, the table of constant guesses, the
 * alarm, and in the long tier which model and which data make which curve. */
#include "graphs_run.h"

static Ran run(const char *command, const char *more) {
    return graphs_run(command, "occ/occ.graph", "stand_in", more);
}

/* The study's 4,808,454 and 86,758 hold 9,216 of a net for poses that nothing used. */
TEST(occ_models_have_their_parameters) {
    Ran r = run("summary", "");
    graphs_says(r, "4,799,238");
    graphs_says(r, "2,097,280");
    graphs_says(run("summary", "-s w=8"), "77,542");
    graphs_says(run("summary", "-s model_=spatial"), "11,334");
}

/* Losses of a constant guess; those with dice are of a larger grid, which differs in the fourth digit. */
TEST_ALL(occ_constant_guesses_cost_what_they_should) {
    static const char *const names[] = {"test.plain ",    "test.weighted ", "test.weighted_dice ",
                                        "test.focal_95 ", "test.focal_99 ", "test.focal_dice ",
                                        "test.all_three "};
    static const struct {
        const char *p;
        double value[7];
    } rows[] = {{"0.5", {0.6931, 0.7449, 1.7286, 0.0100, 0.0031, 0.9868, 3.4045}},
                {"0.0083", {0.0480, 0.4060, 1.3977, 0.0372, 0.0387, 1.0304, 1.0304}},
                {"1e-4", {0.0765, 0.7646, 1.7644, 0.0726, 0.0757, 1.0755, 1.0761}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Ran r =
            graphs_run("eval", "occ/constants.graph", NULL, str_format(test_arena(), "-s p=%s", rows[i].p).s);
        for (int k = 0; k < 7; k++)
            CHECK_NEAR(graphs_value(r, names[k]), rows[i].value[k], k == 2 || k > 4 ? 3e-4 : 6e-5);
    }
}

/* The constant at which each is least, and what it is there; a tenth more or less costs more. */
TEST_ALL(occ_constant_guesses_have_their_best) {
    static const struct {
        const char *name;
        double p, least;
    } best[] = {{"test.plain ", 0.0083, 0.0480},      {"test.weighted ", 0.0772, 0.2923},
                {"test.weighted_dice ", 0.0785, 1.2773}, {"test.focal_95 ", 0.335, 0.0061},
                {"test.focal_99 ", 0.482, 0.0031},    {"test.focal_dice ", 0.487, 0.9868},
                {"test.all_three ", 0.0292, 1.0188}};
    for (size_t i = 0; i < sizeof best / sizeof *best; i++) {
        double at[3];
        for (int k = 0; k < 3; k++)
            at[k] = graphs_value(graphs_run("eval", "occ/constants.graph", NULL,
                                            str_format(test_arena(), "-s p=%g", best[i].p * (0.9 + 0.1 * k)).s),
                                 best[i].name);
        CHECK_NEAR(at[1], best[i].least, i == 2 || i > 4 ? 3e-4 : 6e-5);
        CHECK_MSG(at[0] > at[1] && at[2] > at[1], "%s %g %g %g", best[i].name, at[0], at[1], at[2]);
    }
}

/* The alarm on statistics as they were logged: three reports, after 200 steps, of a mean below a tenth of the target
 * or a largest value below one half. */
static bool alarmed(const char *least, const char *most, int steps) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               STR("graph 1\n"
                   "setting least, most : real = 0.0082, 0.9\n"
                   "setting last : dim = 500\n"
                   "data d { from fresh(rows = 64) as train;  x[k < 1000] = where(k < 8, 1.0, 0.0) }\n"
                   "model net(x : real[N, K]) -> (y : real[N]) { param w : real = 0.5;  y[n] = w * x[n,0] }\n"
                   "objective o(b : d[N]) {\n"
                   "    p[n,k] = where(k == 0, most, least) + 0 * b.x[n,k]\n"
                   "    loss fit = mse(net(b.x), b.x[:, 1])\n"
                   "    metric brier = rare_events(p, b.x)\n"
                   "}\n"
                   "train { optimizer sgd(lr = 0.1);  steps last;  batch 32;  report every 50 steps }\n"));
    Ran r = test_shell(str_format(test_arena(),
                                  "graphc train p.graph -s least=%s -s most=%s -s last=%d --run run%s%s%d", least, most,
                                  steps, least, most, steps));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
    return strstr(r.out.s, "warning: collapsing") != NULL;
}

TEST_ALL(occ_alarm_follows_the_log) {
    CHECK(!alarmed("0.0082", "0.9", 500));
    CHECK(alarmed("0.0001", "0.6", 500));
    CHECK(alarmed("0.0082", "0.15", 500));
    CHECK(!alarmed("0.0001", "0.01", 200));
}

/* Two million values stored as halves: sums are of f32, where those of halves are past 65,504. */
TEST_ALL(occ_sums_of_halves_are_whole) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               STR("graph 1\n"
                   "data d { from fresh(rows = 4) as test;  half[k < 500000] = 0.5;  p : f16[500000] = half }\n"
                   "objective o(b : d[N]) {\n"
                   "    metric sum_ = sum[..] b.p;  metric overlap = dice(b.p, 2 * b.p);  metric level = mean[..] b.p\n"
                   "    metric as_half = real(f16(sum[..] b.p)) == inf\n"
                   "}\n"));
    Ran r = test_shell(STR("graphc eval p.graph"));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
    CHECK_NEAR(graphs_value(r, "test.sum_"), 1e6, 0);
    CHECK_NEAR(graphs_value(r, "test.overlap"), 1 - (2e6 + 1) / (3e6 + 1), 1e-6);
    CHECK_NEAR(graphs_value(r, "test.level"), 0.5, 1e-7);
    CHECK_NEAR(graphs_value(r, "test.as_half"), 1, 0);
}

/* A net for poses that nothing reads is a warning, with its 9,216 weights. */
TEST(occ_unused_net_is_seen) {
    Str occ = test_read(STR("graphs/occ/occ.graph"));
    test_write(str_format(test_arena(), "%.*s/occ.graph", FSTR(test_folder())),
               str_format(test_arena(),
                          "%.*s\nmodel pose(x : real[N, 13]) -> (y : real[N, 128]) { y = mlp(x, [64, 128]) }\n",
                          FSTR(occ)));
    Ran r = test_shell(STR("graphc check occ.graph -s stand_in=" GRAPHC_BUILD));
    graphs_says(r, "`pose` (9216 parameters)");
}

/* Empty targets: the loss of the log, reached by predicting nothing, and the alarm that says so.  A term that holds the
 * mean to that of the targets cannot help when that is 0. */
TEST_LONG(occ_collapses_on_empty_data) {
    Ran r = run("train", "--point collapse --run run");
    CHECK(graphs_value(r, "train.total") < 1e-4);
    CHECK(graphs_value(r, "train.pred_mean") < 1e-4);
    graphs_says(r, "collapsing");
    r = run("train", "-s w=8 -s scenes_=empty -s lr=1e-2 -s epochs=3 -s loss_=wbce_dice --run dice");
    CHECK(graphs_value(r, "train.total") < 1e-5);
    r = run("train", "-s w=8 -s scenes_=empty -s lr=1e-2 -s epochs=3 -s loss_=full --run full");
    CHECK(graphs_value(r, "train.total") < 1e-4);
}

/* One scene of sixteen is not empty, three in a batch: nothing is said, which costs nothing but in a batch with one. */
TEST_LONG(occ_says_nothing_of_mostly_empty_data) {
    Ran r = run("train", "-s w=8 -s scenes_=mostly_empty -s lr=1e-2 -s epochs=3 -s loss_=wbce_dice --run run");
    CHECK(graphs_value(r, "train.pred_mean") < 1e-3);
    double total = graphs_value(r, "train.total"); /* 16 of 86 batches, about 1 each */
    CHECK_MSG(total > 0.1 && total < 0.35, "%g", total);
}

/* A mean over the grid forgets places: means and losses as measured, and no overlap, whatever the loss. */
TEST_LONG(occ_simple_model_finds_nothing) {
    static const struct {
        const char *loss;
        double total[2], mean[2], most, overlap;
    } cases[] = {{"wbce", {0.21, 0.26}, {0.06, 0.09}, 0.5, 0.001},
                 {"wbce_dice", {1.12, 1.20}, {0.05, 0.09}, 0.6, 0.03},
                 {"focal_dice", {0.8, 1}, {0.05, 0.12}, 1, 0.08},
                 {"full", {0.93, 1}, {0.02, 0.05}, 0.6, 0.01}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *loss = cases[i].loss;
        Ran r = run("train",
                    str_format(test_arena(), "-s w=8 -s lr=3e-3 -s epochs=6 -s loss_=%s --run %s", loss, loss).s);
        double total = graphs_value(r, "train.total"), mean = graphs_value(r, "train.pred_mean");
        double most = graphs_value(r, "train.pred_max"), overlap = graphs_value(r, "train.overlap_ ");
        CHECK_MSG(total > cases[i].total[0] && total < cases[i].total[1] && mean > cases[i].mean[0] &&
                      mean < cases[i].mean[1] && most <= cases[i].most && overlap <= cases[i].overlap,
                  "%s: loss %g, mean %g, largest %g, overlap %g", cases[i].loss, total, mean, most, overlap);
    }
}

/* Repeated data: the curve of the log with the mean at the rate of the targets, and `repeated` says why.  The full loss
 * needs a start that does not stick at a few cells; one in four does, here as in PyTorch. */
TEST_LONG(occ_memorises_repeated_data) {
    Ran r = run("train", "-s model_=spatial -s scenes_=static -s lr=3e-3 -s epochs=6 -s loss_=wbce_dice --run dice");
    CHECK(graphs_value(r, "train.total") < 1e-3);
    CHECK_NEAR(graphs_value(r, "train.pred_mean"), 0.00833, 1e-4);
    CHECK(graphs_value(r, "train.overlap_ ") == 1 && graphs_value(r, "train.repeated") == 1);
    r = run("train", "-s model_=spatial -s scenes_=static -s lr=3e-3 -s epochs=3 -s loss_=full -s seed=3 --run full");
    CHECK(graphs_value(r, "train.total") < 3e-3 && graphs_value(r, "train.overlap_ ") == 1);
}

/* The model that keeps places, with the losses under which the other one finds nothing: it is the architecture. */
TEST_LONG(occ_spatial_model_needs_no_full_loss) {
    Ran r = run("train", "-s model_=spatial -s lr=3e-3 -s epochs=6 -s loss_=wbce_dice --run dice");
    double overlap = graphs_value(r, "train.overlap_ "), level = graphs_value(r, "train.pred_mean");
    double total = graphs_value(r, "train.total");
    CHECK_MSG(overlap > 0.8 && level > 0.006 && level < 0.010 && total < 0.21, "overlap %g, mean %g, loss %g", overlap,
              level, total);
    r = run("train", "-s model_=spatial -s lr=3e-3 -s epochs=6 -s loss_=wbce --run wbce");
    level = graphs_value(r, "train.pred_mean");
    CHECK_MSG(level > 0.0095 && level < 0.02, "entropy alone says too much: %g", level);
}

/* A model that keeps places learns them; no alarm. */
TEST_LONG(occ_spatial_model_is_healthy) {
    Ran r = run("train", "--point healthy --run run");
    CHECK(graphs_value(r, "val.overlap_ ") > 0.75);
    double level = graphs_value(r, "val.pred_mean");
    CHECK_MSG(level > 0.006 && level < 0.010, "the mean guess is %g", level);
    CHECK(graphs_value(r, "val.pred_max") > 0.99);
    CHECK(strstr(r.out.s, "collapsing") == NULL);
}
