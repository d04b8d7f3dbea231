/* The programs of graphs/dots against the description of the study: parameter counts, shapes, terms whose
 * values are known, which gradients there are; and, in the long tier, that noise which stays is learned
 * instead of the dot. */
#include "graphs_run.h"

static Ran run(const char *command, const char *file, const char *more) {
    return graphs_run(command, str_format(test_arena(), "dots/%s", file).s, "world.stand_in", more);
}

/* The two probes (1,024 each) belong to none of the models. */
TEST(dots_models_have_their_parameters) {
    Ran r = run("summary", "vicreg.graph", "");
    graphs_says(r, "1,181,442"); /* 1,179,394 and the probes */
    graphs_says(r, "world.see.menet51.linear1        [544,512]");
    graphs_says(r, "act_of.linear1             [16,32,2]       w[1024,2] b[2]            2,050");
    graphs_says(run("summary", "simclr.graph", ""), "1,179,392"); /* without the 2,050 of the actions */
    graphs_says(run("summary", "rssm.graph", ""), "5,004,064");
    graphs_says(run("summary", "contrast.graph", "-s world.E=64 -s world.w=1 -s world.T=7"),
                "54,336"); /* 41,152; 13,056; 128 */
}

/* Weights of the rest of the study; `total` is the last line of layers. */
TEST_ALL(dots_variants_have_their_parameters) {
    static const struct {
        const char *settings, *total;
    } variants[] = {
        {"-s projector=mlp", "1,970,946"},                       /* 789,504 more */
        {"-s decoded=yes", "1,187,947"},                         /* 6,505 */
        {"-s world.layers=3", "4,333,314"},                      /* two layers of 2 * 787,968 more */
        {"-s world.predictor=stepwise", "915,714"},              /* 526,848 for 792,576 */
        {"-s world.encoder=lenet5", "103,738"},                  /* 52,024; 50,688; 514 and the probes at 128 */
        {"-s world.encoder=resnet18", "11,966,914"},             /* 11,170,240 for 384,768 */
        {"-s world.encoder=canonical -s world.E=256", "272,034"}, /* 70,304 */
        {"-s world.encoder=flat", "1,461,250"},                  /* 664,576 for 384,768 */
        {"-s world.encoder=pixels", "910,306"},                  /* 113,632 for 384,768 */
        {"-s world.behind=yes", "1,707,266"},                    /* 525,824 more */
        {"-s world.probe_widths=[64]", "1,245,570"},             /* 64,128 more */
        {"-s world.predictor=warmed", "2,230,530"},              /* 514 inputs, and 262,656 behind the cell */
        {"-s world.dots_=summed", "1,185,538"},                  /* probes of three places */
        {"-s world.dots_=apart", "1,187,138"},                   /* and 2 * 800 weights for two more channels */
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        Ran r = run("summary", "vicreg.graph", variants[i].settings);
        const char *total = strstr(r.out.s, "\ntotal");
        CHECK_MSG(total != NULL && strstr(total, variants[i].total) != NULL &&
                      strstr(total, variants[i].total) < strchr(total + 1, '\n'),
                  "%s: not %s\n%s", variants[i].settings, variants[i].total, total ? total : r.out.s);
    }
}

TEST(dots_sweeps_have_their_points) {
    graphs_says(run("check", "vicreg.graph", ""), "reproduce  28 points\n  idm        28 points");
    graphs_says(run("check", "simclr.graph", ""), "reproduce  28 points");
    graphs_says(run("check", "supervised.graph", ""), "reproduce  28 points");
    graphs_says(run("check", "rssm.graph", ""), "reproduce  32 points");
}

/* Without an encoder frames are what they are: only predictions can be made better, and terms of encodings alone are
 * refused. */
TEST(dots_frames_cannot_be_made_to_vary) {
    graphs_says(run("check", "simclr.graph", "-s world.encoder=none"), "nats");
    Ran r = test_shell(str_format(test_arena(), "graphc check %.*s/graphs/dots/vicreg.graph -s world.encoder=none",
                                  FSTR(test_root())));
    CHECK_INT(r.status, 1);
    graphs_says(r, "loss `variance` reaches no parameter");
}

/* Plain samples: what is decoded trains neither prior nor posterior. */
TEST(dots_rssm_gradients_are_as_described) {
    Ran r = run("check", "rssm.graph", "");
    graphs_says(r, "frames        reached    reached  stopped    stopped  reached");
    graphs_says(r, "divergence    reached    reached  reached    reached  -");
    graphs_says(r, "divergence: `max(kl[t], free)` (line 64) is a floor: below it the gradient is zero");
    graphs_says(r, "frames: `y` (stop_gradient, line 17) is stopped on purpose");
    r = run("check", "rssm.graph", "-s gradient=through");
    graphs_says(r, "frames        reached    reached  reached    reached  reached");
}

/* Of one row by hand, prior N(0, 1) and posterior N(1, 2): in the order of the study ln 2 + (1 + 1) / 8 - 1 / 2, in the
 * usual one -ln 2 + (4 + 1) / 2 - 1 / 2.  Both are declared, and in each both nets are reached. */
TEST(dots_rssm_divergence_has_both_orders) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(),
                          "graph 1\n"
                          "use \"%.*s/graphs/dots/rssm.graph\" as r\n"
                          "data d { from fresh(rows = 8) as test;  x[k < 4] = normal() }\n"
                          "objective o(b : d[N]) {\n"
                          "    p = 0 * b.x;  q = p + 1\n"
                          "    metric nats = mean[..] r.divergence_each(p, p + 1, q, p + 2)\n"
                          "}\n",
                          FSTR(test_root())));
    static const struct { const char *order; double nats; } forms[] = {{"reversed", 0.443147}, {"usual", 1.306853}};
    for (size_t i = 0; i < 2; i++) {
        const char *with = str_format(test_arena(), "-s r.order=%s", forms[i].order).s;
        Ran r = test_shell(str_format(test_arena(), "graphc eval p.graph %s", with));
        CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
        CHECK_NEAR(graphs_value(r, "test.nats"), forms[i].nats, 1e-4);
        with = str_format(test_arena(), "-s order=%s", forms[i].order).s;
        graphs_says(run("check", "rssm.graph", with), "divergence    reached    reached  reached    reached  -");
    }
}

/* While the divergence is below its floor it has no gradient; a gradient passes samples only when they are
 * reparameterised.  Sums of squares of gradients by values. */
static Ran slopes(const char *gradient, const char *floor) {
    const char *text =
        "graph 1\n"
        "use \"%.*s/graphs/dots/rssm.graph\" as r\n"
        "data d { from fresh(rows = 8) as test;  x[k < 64] = normal();  y[k < 64] = normal() }\n"
        "objective o(b : d[N]) {\n"
        "    m = b.x;  s = 0.1 + abs(b.y)\n"
        "    kl = mean[..] normal_kl_each(m, s, 0.9 * m, 1.1 * s)\n"
        "    decoded = mean[..] r.sample(m, s)^2;  floored = max(kl, r.free)\n"
        "    a = grad(decoded, s);  c = grad(floored, s)\n"
        "    metric by_frames = sum[..] a^2;  metric by_floor = sum[..] c^2;  metric nats = kl\n"
        "}\n";
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(), text, FSTR(test_root())));
    Ran r = test_shell(
        str_format(test_arena(), "graphc eval p.graph -s r.gradient=%s -s r.free=%s", gradient, floor));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
    return r;
}

TEST(dots_plain_samples_and_floor_have_no_gradient) {
    Ran plain = slopes("plain", "3"), through = slopes("through", "0");
    CHECK(graphs_value(plain, "test.nats") < 3);
    CHECK(graphs_value(plain, "test.by_frames") == 0 && graphs_value(plain, "test.by_floor") == 0);
    CHECK(graphs_value(through, "test.by_frames") > 0 && graphs_value(through, "test.by_floor") > 0);
}

/* Terms of VICReg and NT-Xent where their values are known, and the rate of LARS at the corners of its
 * schedule. */
TEST(dots_terms_have_their_values) {
    const char *text =
        "graph 1\n"
        "data d { from fresh(rows = 512) as test;  x[k < 64] = normal() }\n"
        "objective o(b : d[N]) {\n"
        "    same[n < N, k < 64] = 0.3;  eye4[i < 4, k < 4] = where(i == k, 1.0, 0.0)\n"
        "    metric std_same = vicreg_variance(same);  metric cov_same = vicreg_covariance(same)\n"
        "    metric std_normal = vicreg_variance(b.x);  metric cov_normal = vicreg_covariance(b.x)\n"
        "    metric perfect = mse(b.x, b.x);  metric nats = nt_xent(eye4, eye4, temperature = 1)\n"
        "    metric rate_first = warmup_cosine(312.0, 3120, 31200, to = 1e-3)\n"
        "    metric rate_top = warmup_cosine(3120.0, 3120, 31200, to = 1e-3)\n"
        "    metric rate_last = warmup_cosine(31200.0, 3120, 31200, to = 1e-3)\n"
        "    metric rate_behind = warmup_cosine(31511.0, 3120, 31200, to = 1e-3)\n"
        "}\n";
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), str_of(text));
    Ran r = test_shell(STR("graphc eval p.graph"));
    CHECK_NEAR(graphs_value(r, "test.std_same"), 0.99, 1e-6);
    CHECK_NEAR(graphs_value(r, "test.cov_same"), 0, 1e-9);
    CHECK(graphs_value(r, "test.std_normal") < 0.05);
    CHECK_NEAR(graphs_value(r, "test.cov_normal"), 63.0 / 511, 0.02);
    CHECK_NEAR(graphs_value(r, "test.perfect"), 0, 0);
    CHECK_NEAR(graphs_value(r, "test.nats"), 1.1654, 5e-5);
    CHECK_NEAR(graphs_value(r, "test.rate_first"), 0.1, 1e-7);
    CHECK_NEAR(graphs_value(r, "test.rate_top"), 1, 1e-7);
    CHECK_NEAR(graphs_value(r, "test.rate_last"), 1e-3, 1e-8);
    CHECK_NEAR(graphs_value(r, "test.rate_behind"), 1e-3, 1e-8);
}

/* Drawn by the language they are the same dots, but for chance. */
TEST_ALL(dots_drawn_by_the_language_are_the_same) {
    Ran r = graphs_run("eval", "dots/drawn.graph", NULL, "");
    CHECK_NEAR(graphs_value(r, "test.mean_"), 0.060277, 5e-4);
    CHECK_NEAR(graphs_value(r, "test.sd"), 0.034922, 5e-4);
    CHECK_NEAR(graphs_value(r, "test.clean_mean"), 0.0012735, 5e-6);
    CHECK_NEAR(graphs_value(r, "test.clean_sd"), 0.0076443, 5e-5);
    CHECK_NEAR(graphs_value(r, "test.step"), 1.6408, 0.02);
    double variance = graphs_value(r, "test.last_variance");
    CHECK_MSG(variance > 39 && variance < 49, "the last places have variance %g", variance);
}

/* Random projections of fixed noise and a predictor that copies: all terms small, the probe at chance. */
TEST_ALL(dots_shortcut_satisfies_every_term) {
    Ran r = run("train", "shortcut.graph", "--point fixed -s epochs=2 --run run");
    CHECK(graphs_value(r, "val.invariance") < 0.1);
    CHECK(graphs_value(r, "val.variance") < 0.01);
    CHECK(graphs_value(r, "val.covariance") < 0.6);
    double rmse = graphs_value(r, "val.rmse");
    CHECK_MSG(rmse > 8 && rmse < 10, "a probe of noise has error %g", rmse);
}

typedef struct {
    double loss, rmse;
    bool warned; /* of encodings that only tell sequences apart */
} Learned;

/* The loss that the phase `learn` ends with, the error of the probe, and the verdict. */
static Learned learn(const char *name, const char *settings) {
    Ran r = run("train", "contrast.graph",
                str_format(test_arena(), "--point small %s --run %s", settings, name).s);
    const char *last = strstr(r.out.s, "learn  epoch   3");
    REQUIRE(last != NULL && (last = strstr(last, "train.total")) != NULL);
    return (Learned){strtod(last + strlen("train.total"), NULL), graphs_value(r, "val.rmse"),
                     strstr(r.out.s, "warning: the encodings tell sequences apart") != NULL};
}

/* Both methods: the lower loss is that of the useless encoding, and only that one is warned of. */
TEST_LONG(dots_fixed_noise_is_learned_instead) {
    Learned changing = learn("a", "");
    Learned fixed = learn("b", "-s world.noise=fixed -s world.level=1.5");
    CHECK_MSG(changing.rmse < 2.5 && fixed.rmse > 7.5, "errors %g and %g pixels", changing.rmse, fixed.rmse);
    CHECK_MSG(fixed.loss < changing.loss / 2, "losses %g and %g", changing.loss, fixed.loss);
    CHECK(fixed.warned && !changing.warned);
}

TEST_LONG(dots_fixed_noise_is_contrasted_instead) {
    Learned changing = learn("a", "-s method=simclr");
    Learned fixed = learn("b", "-s method=simclr -s world.noise=fixed -s world.level=1.5");
    CHECK_MSG(changing.rmse < 5 && fixed.rmse > 7.5, "errors %g and %g pixels", changing.rmse, fixed.rmse);
    CHECK_MSG(fixed.loss < changing.loss, "losses %g and %g", changing.loss, fixed.loss);
    CHECK(fixed.warned && !changing.warned);
}
