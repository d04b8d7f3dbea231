/* The programs of graphs/arm against the description of the study: parameter counts, what is linear, what
 * freezing leaves alone, pairs across steps; and in the long tier what unscaled pixels do. */
#include "graphs_run.h"

static Ran run(const char *command, const char *file, const char *more) {
    return graphs_run(command, str_format(test_arena(), "arm/%s", file).s, "robot.stand_in", more);
}

TEST(arm_models_have_their_parameters) {
    Ran r = run("summary", "baseline.graph", "");
    graphs_says(r, "6,574,958");
    graphs_says(r, "6,422,784");
    graphs_says(run("summary", "baseline.graph", "-s robot.S=56"), "553,838");
    graphs_says(run("summary", "vae.graph", ""), "5,569,666");
    graphs_says(run("summary", "vae.graph", "-s latent=64"), "7,978,178");
    graphs_says(run("summary", "vae.graph", "-s latent=128"), "12,795,202");
    graphs_says(run("summary", "vae.graph", "-s latent=256"), "22,429,250");
    graphs_says(run("summary", "vae.graph", "-s robot.S=56 -s 'down=[32,64,128]' -s 'up=[64,32]'"),
                "794,242");
}

/* Second differences of the outputs along a line of `obs`, pictures fixed: 0 as it was given, not with ReLU.
 */
static double bend(const char *act) {
    run("train", "baseline.graph",
        str_format(test_arena(), "-s robot.S=56 -s robot.episodes_=2 -s act=%s -s epochs=1 --run %s --quiet",
                   act, act)
            .s);
    const char *text =
        "graph 1\n"
        "use \"%s\" as r\n"
        "data d { from fresh(rows = 16) as test;  x[k < 15] = normal();  dx[k < 15] = normal() }\n"
        "objective o(b : d[N]) {\n"
        "    h[n < N, c < 2, y < 56, x < 56] = 0.5\n"
        "    p0, g0 = r.act_(r.see(h) + r.feel(b.x));  p1, g1 = r.act_(r.see(h) + r.feel(b.x + b.dx))\n"
        "    p2, g2 = r.act_(r.see(h) + r.feel(b.x + 2 * b.dx))\n"
        "    metric bend = max[..] (abs(p0 - 2 * p1 + p2) + abs(g0 - 2 * g1 + g2))\n"
        "}\n";
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(), text, act));
    Ran r = test_shell(STR("graphc eval p.graph"));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
    return graphs_value(r, "test.bend");
}

TEST_ALL(arm_baseline_is_linear_in_its_numbers) {
    CHECK(bend("none") < 5e-5);
    CHECK(bend("rectified") > 1e-3);
}

/* An autoencoder as the run `vae` of the test's folder, and head.graph there, which uses it. */
static void make_head(const char *settings) {
    run("train", "vae.graph",
        str_format(test_arena(), "--point small -s robot.episodes_=4 -s epochs=1 --run vae --quiet %s", settings).s);
    Str head = test_read(STR("graphs/arm/head.graph"));
    const char *at = strstr(head.s, "../../runs/vae"), *robot = strstr(head.s, "robot.graph");
    REQUIRE(at != NULL && robot != NULL && robot < at);
    test_write(str_format(test_arena(), "%.*s/head.graph", FSTR(test_folder())),
               str_format(test_arena(), "%.*s%.*s/graphs/arm/%.*svae%s", (int)(robot - head.s), head.s,
                          FSTR(test_root()), (int)(at - robot), robot, at + strlen("../../runs/vae")));
}

/* An encoder that has seen one camera: the head has a net for the other one, and 32 numbers more. */
TEST_ALL(arm_head_sees_the_other_camera) {
    make_head("-s cameras=1");
    Ran r = test_shell(STR("graphc summary head.graph -s robot.stand_in=" GRAPHC_BUILD " -s robot.S=56"));
    graphs_says(r, "569,126"); /* 494,144 of the encoder, 56,096 of the net, 18,886 of the head */
    graphs_says(r, "w[1568,32] b[32]          50,208");
}

/* A frozen encoder is used with its means and stays as it was; 14,790 numbers learn. */
TEST_ALL(arm_head_trains_on_a_frozen_encoder) {
    make_head("");
    const char *settings = "head.graph -s robot.stand_in=" GRAPHC_BUILD " -s robot.S=56 -s robot.episodes_=4";
    graphs_says(test_shell(str_format(test_arena(), "graphc summary %s", settings)),
                "509,222"); /* 494,432; 14,790 */
    Ran r = test_shell(str_format(test_arena(), "graphc train %s -s epochs=1 --run head", settings));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               STR("graph 1\n"
                   "use \"head\" as h\n"
                   "use \"vae\" as v\n"
                   "data d { from fresh(rows = 16) as test;  x[c < 2, y < 56, k < 56] = uniform() }\n"
                   "objective o(b : d[N]) {\n"
                   "    m, s = h.seen.encoder(b.x);  m0, s0 = v.encoder(b.x)\n"
                   "    metric apart = max[..] (abs(m - m0) + abs(s - s0))\n"
                   "}\n"));
    CHECK(graphs_value(test_shell(STR("graphc eval p.graph")), "test.apart") == 0);
}

/* Two steps ahead: two rows fewer an episode, none across its end. */
TEST(arm_targets_stay_in_their_episode) {
    const char *text = "graph 1\n"
                       "use \"%.*s/graphs/arm/robot.graph\" as robot\n"
                       "objective o(b : robot.steps[N]) {\n"
                       "    one[n < N] = 1.0\n"
                       "    metric rows = sum[n] one[n]\n"
                       "    metric moved = mean[n] b.pos[n,2]\n"
                       "}\n";
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(), text, FSTR(test_root())));
    double rows[2];
    for (int k = 0; k < 2; k++) {
        Ran r = test_shell(str_format(test_arena(),
                                      "graphc eval p.graph --split=train -s robot.stand_in=" GRAPHC_BUILD
                                      " -s robot.target_offset=%d",
                                      2 * k));
        CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
        rows[k] = graphs_value(r, "train.rows");
    }
    CHECK_NEAR(rows[0], 8152, 0);
    CHECK_NEAR(rows[1], 8152 - 2 * 256, 0);
}

#define SMALL "-s robot.S=56 -s robot.episodes_=96 "

/* Pixels up to 255 drown everything: what the first weights answer is far off, and so are the places learned. */
TEST_LONG(arm_raw_pixels_fail) {
    Ran r = run("train", "baseline.graph", SMALL "-s robot.scaled=no -s lr=0 -s epochs=1 --run untrained");
    CHECK(graphs_value(r, "val.total") > 100);
    Ran raw = run("train", "baseline.graph", SMALL "-s robot.scaled=no -s epochs=5 --run raw");
    Ran scaled = run("train", "baseline.graph", SMALL "-s epochs=5 --run scaled");
    double far = graphs_value(raw, "val.pos_mse"), of_mean = graphs_value(raw, "val.of_mean");
    CHECK_MSG(far > 1000 * of_mean, "the error of places is %g, their variance %g", far, of_mean);
    CHECK_MSG(graphs_value(raw, "val.right") < graphs_value(scaled, "val.right"), "right %g raw, %g scaled",
              graphs_value(raw, "val.right"), graphs_value(scaled, "val.right"));
}

/* A sum of centimetres squared and nats trains the gripper: places stay behind their mean, unless standardised. */
TEST_LONG(arm_scales_of_terms_matter) {
    static const char *const acts[] = {"none", "rectified"};
    for (int i = 0; i < 2; i++) {
        Ran r = run("train", "baseline.graph",
                    str_format(test_arena(), SMALL "-s epochs=5 -s act=%s --run %s", acts[i], acts[i]).s);
        CHECK_MSG(graphs_value(r, "val.pos_mse") > graphs_value(r, "val.of_mean"), "%s: places are learned", acts[i]);
        CHECK(graphs_value(r, "val.right") > graphs_value(r, "val.of_majority") + 0.03);
    }
    Ran r = run("train", "baseline.graph", SMALL "-s epochs=5 -s act=rectified -s standard=yes --run standard");
    double error = graphs_value(r, "val.pos_mse"), right = graphs_value(r, "val.right");
    CHECK_MSG(error > 0.26 && error < 0.36 && right > 0.89, "error %g, right %g", error, right);
}

/* The class of 6.7 %: not found without weights, found with them. */
TEST_LONG(arm_weights_find_the_rare_class) {
    Ran plain = run("train", "baseline.graph", SMALL "-s epochs=5 -s act=rectified --run plain");
    Ran even = run("train", "baseline.graph", SMALL "-s epochs=5 -s act=rectified -s weights=balanced --run even");
    CHECK_MSG(graphs_value(plain, "val.f1_open") <= 0.2 && graphs_value(plain, "val.f1_close") > 0.6, "%g, %g",
              graphs_value(plain, "val.f1_open"), graphs_value(plain, "val.f1_close"));
    double found = graphs_value(even, "val.f1_open"), right = graphs_value(even, "val.right");
    CHECK_MSG(found > 0.2 && found < 0.5 && right > 0.84 && right < 0.93, "F1 %g, right %g", found, right);
}

/* A half counts to 2048; a small square is 0; 1e-8 is 0. */
TEST(arm_halves_stall_and_vanish) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               STR("graph 1\n"
                   "def half(x : real[..]) = real(f16(x))\n"
                   "data d { from fresh(rows = 1) as test;  one[k < 3000] = 1.0;  g[k < 2] = 0.005 + 0.001 * k }\n"
                   "objective o(b : d[N]) {\n"
                   "    u[t,n] = b.one[n,t]\n"
                   "    scan s = 0 * u[0] over v in u { s = half(s + v);  collect all_ = s }\n"
                   "    metric counted = max[..] all_;  metric whole = sum[..] u\n"
                   "    small = half(half(b.g^2) * 0.00001);  metric square = max[..] small\n"
                   "    metric eps = max[..] half(0 * b.g + 1e-8);  metric kept = max[..] half(0 * b.g + 1e-4)\n"
                   "}\n"));
    Ran r = test_shell(STR("graphc eval p.graph"));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
    CHECK_NEAR(graphs_value(r, "test.counted"), 2048, 0);
    CHECK_NEAR(graphs_value(r, "test.whole"), 3000, 0);
    CHECK_NEAR(graphs_value(r, "test.square"), 0, 0);
    CHECK_NEAR(graphs_value(r, "test.eps"), 0, 0);
    CHECK_NEAR(graphs_value(r, "test.kept"), 1e-4, 1e-6);
}

/* With eps = 1e-4 the run stays finite, though its first steps are too long by far: v is 0 as a half.  With 1e-8, which
 * is 0 too, the second step has no number left. */
TEST_LONG(arm_half_precision_needs_its_eps) {
    const char *half = "-s base.robot.S=56 -s base.robot.episodes_=96 -s epochs=1";
    Ran r = graphs_run("train", "arm/half.graph", "base.robot.stand_in",
                       str_format(test_arena(), "%s --run half", half).s);
    CHECK(graphs_value(r, "val.total") < 2);
    r = test_shell(str_format(test_arena(),
                              "graphc train %.*s/graphs/arm/half.graph -s base.robot.stand_in=" GRAPHC_BUILD
                              " %s -s eps=1e-8 --run none",
                              FSTR(test_root()), half));
    CHECK_INT(r.status, 1);
    graphs_says(r, "a loss or a gradient is not finite");
}
