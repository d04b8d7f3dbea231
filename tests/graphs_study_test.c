/* The studies of graphs/: figures that need no training (tests/studies, text tests of what `graphc eval` prints), what
 * `check` says of their traps, and, in the tier `long`, what comes out of short trainings. */
#include "test.h"
#include <stdlib.h>
#include <string.h>

static Str evaluate(Arena *a, const TextTest *t) {
    test_write(str_format(a, "%.*s/study.graph", FSTR(test_folder())), t->input);
    test_shell(str_format(a, "ln -s %.*s/graphs graphs", FSTR(test_root())));
    return test_shell(STR("graphc eval study.graph")).out;
}
TEXT_KIND("studies", "graph", evaluate)

/* ---- traps ---- */
static void says(const char *command, int status, const char *const *words) {
    Ran r = test_shell(str_of(command));
    CHECK_MSG(r.status == status, "%s: status %d\n%s", command, r.status, r.out.s);
    for (; *words != NULL; words++)
        CHECK_MSG(strstr(r.out.s, *words) != NULL, "%s: no `%s` in\n%s", command, *words, r.out.s);
}
#define SAYS(command, status, ...) says(command, status, (const char *const[]){__VA_ARGS__, NULL})

/* Programs of a study, to be changed in the test's folder. */
static void copy_study(const char *name) {
    Ran r = test_shell(str_format(test_arena(), "cp -r %.*s/graphs/%s .", FSTR(test_root()), name));
    REQUIRE(r.status == 0);
}

TEST(terms_that_train_nothing_are_refused) {
    copy_study("vox");
    test_shell(STR("sed -i 's/ nograd//' vox/pointnet_v1.graph vox/losses/counted.graph"));
    SAYS("graphc check vox/pointnet_v1.graph", 1, "loss `dup_pad` reaches no parameter",
         "kind[n,i] = argmax[c] h[n,i,c]", "the position of an extremum is piecewise constant");
    SAYS("graphc check vox/losses/counted.graph", 1, "loss `count` reaches no parameter",
         "said[n,i] = argmax[c] h[n,i,c]", "the gradient ends here");
}

TEST_ALL(terms_said_to_train_nothing_are_shown) {
    copy_study("vox");
    SAYS("graphc check vox/pointnet_v1.graph", 0, "dup_pad", "nograd");
    SAYS("graphc check vox/losses/counted.graph", 0, "count", "nograd");
}

TEST(softmax_before_cross_entropy_is_seen) {
    copy_study("vox");
    SAYS("graphc check vox/pointnet_v2.graph -s ending=softmax", 0, "warning[twice-softmax]", "the first softmax",
         "log(1 + 4/e)");
}

TEST_ALL(sweeps_have_the_points_of_the_study) {
    static const struct { const char *file, *says; } sweeps[] = {
        {"vox/fc", "study  4 points"},           {"vox/deep", "study  4 points"},
        {"vox/batch_norm", "study  9 points"},   {"vox/sparse", "study  9 points"},
        {"vox/pointnet_v1", "tenfold  243 points"}, {"vox/pointnet_v2", "study  6 points"},
        {"vox/attention", "study  36 points"},   {"splat/conv", "study  6 points"}};
    for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++) {
        const char *line = str_format(test_arena(), "graphc check %.*s/graphs/%s.graph", FSTR(test_root()),
                                      sweeps[i].file).s;
        SAYS(line, 0, sweeps[i].says);
    }
}

/* ---- trainings ---- */
static Str train(const char *file, const char *data, const char *settings) {
    Ran r = test_shell(str_format(test_arena(), "graphc train %.*s/graphs/%s.graph -s %s.library=%s/%s.so %s",
                                  FSTR(test_root()), file, data, GRAPHC_BUILD,
                                  strcmp(data, "splat") == 0 ? "splats" : "robots", settings));
    CHECK_MSG(r.status == 0, "%s", r.out.s);
    return r.out;
}

/* The last value of a series; NaN when there is none. */
static double last(Str out, const char *series) {
    double value = strtod("nan", NULL);
    const char *key = str_format(test_arena(), " %s ", series).s;
    for (const char *at = out.s; (at = strstr(at, key)) != NULL; at++)
        value = strtod(at + strlen(key), NULL);
    return value;
}

#define BETWEEN(out, series, low, high)                                                                      \
    CHECK_MSG(last(out, series) >= (low) && last(out, series) <= (high), "%s is %g, expected %g .. %g", series, \
              last(out, series), (double)(low), (double)(high))

/* With weights by the logarithm all is empty, with inverse counts nearly nothing is. */
TEST_LONG(rare_kinds_are_lost_or_overrun_all) {
    Str lost = train("vox/fc", "vox", "-s epochs=16 --run lost");
    BETWEEN(lost, "val.fit", 3.9e-4, 4.3e-4);
    BETWEEN(lost, "val.kl", 0, 1e-4);
    BETWEEN(lost, "val.accuracy", .9946, .9949);
    BETWEEN(lost, "val.filled", 0, .001);
    CHECK(strstr(lost.s, "only empty cells are predicted") != NULL);
    CHECK(strstr(lost.s, "posterior collapse") != NULL);
    Str overrun = train("vox/fc", "vox", "-s epochs=16 -s weights=inverse --run overrun");
    BETWEEN(overrun, "val.filled", .85, 1);
    BETWEEN(overrun, "val.accuracy", .05, .3);
    BETWEEN(overrun, "val.fit", 1e-4, 2e-4);
    CHECK(strstr(overrun.s, "most cells are predicted full") != NULL);
}

/* With a weak KL the sets are told apart; with a strong one each gets the same answer. */
TEST_LONG(a_strong_divergence_makes_all_sets_one) {
    static const char set[] = "-s lr=1e-3 -s of_overlap=0 -s epochs=7";
    Str weak = train("vox/pointnet_v2", "set", str_format(test_arena(), "%s -s beta=0.1 --run weak", set).s);
    BETWEEN(weak, "val.kl", 1, 20);
    BETWEEN(weak, "val.coord", 0, .35);
    BETWEEN(weak, "val.desc", 0, 1.3);
    BETWEEN(weak, "val.agreement", .6, 1);
    Str strong = train("vox/pointnet_v2", "set", str_format(test_arena(), "%s -s beta=2 --run strong", set).s);
    BETWEEN(strong, "val.kl", 0, .005);
    BETWEEN(strong, "val.coord", .19, 1);
    BETWEEN(strong, "val.desc", 1.33, 2);
    BETWEEN(strong, "val.agreement", -.2, .2);
    CHECK(strstr(strong.s, "posterior collapse") != NULL);
}

/* Positions are told by their rank alone; angles and features stay at their mean. */
TEST_LONG(splats_collapse_to_their_rank) {
    Str s = train("splat/conv", "splat", "-s ramp_epochs=20 -s epochs=36 --run s");
    BETWEEN(s, "val.kl", 0, .10);
    BETWEEN(s, "val.recon", 3.25, 3.40);
    BETWEEN(s, "val.xy", .28, .40);
    BETWEEN(s, "val.scale", .96, 1.0);
    BETWEEN(s, "val.rot", .99, 1.01);
    BETWEEN(s, "val.feat", .98, 1.02);
    BETWEEN(s, "val.spread_of_rest", 0, .15);
    CHECK(strstr(s.s, "predicted as their mean") != NULL);
}
