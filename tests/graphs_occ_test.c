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

/* Empty targets: the loss of the log, reached by predicting nothing, and the alarm that says so. */
TEST_LONG(occ_collapses_on_empty_data) {
    Ran r = run("train", "--point collapse --run run");
    CHECK(graphs_value(r, "train.total") < 1e-4);
    CHECK(graphs_value(r, "train.pred_mean") < 1e-4);
    graphs_says(r, "collapsing");
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
