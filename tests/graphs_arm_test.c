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

/* A frozen encoder is used with its means and stays as it was; 14,790 numbers learn. */
TEST_ALL(arm_head_trains_on_a_frozen_encoder) {
    run("train", "vae.graph", "--point small -s robot.episodes_=4 -s epochs=1 --run vae --quiet");
    Str head = test_read(STR("graphs/arm/head.graph"));
    const char *at = strstr(head.s, "../../runs/vae"), *robot = strstr(head.s, "robot.graph");
    REQUIRE(at != NULL && robot != NULL && robot < at);
    test_write(str_format(test_arena(), "%.*s/head.graph", FSTR(test_folder())),
               str_format(test_arena(), "%.*s%.*s/graphs/arm/%.*svae%s", (int)(robot - head.s), head.s,
                          FSTR(test_root()), (int)(at - robot), robot, at + strlen("../../runs/vae")));
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

/* Pixels up to 255 drown everything: the loss begins above 1,000 and the gripper is not learned. */
TEST_LONG(arm_raw_pixels_fail) {
    Ran r = run("train", "baseline.graph",
                "-s robot.S=56 -s robot.episodes_=96 -s robot.scaled=no -s epochs=5 --run raw");
    const char *first = strstr(r.out.s, "val.total");
    CHECK(first != NULL && strtod(first + strlen("val.total"), NULL) > 100);
    double raw = graphs_value(r, "val.right"), far = graphs_value(r, "val.pos_mse");
    r = run("train", "baseline.graph", "-s robot.S=56 -s robot.episodes_=96 -s epochs=5 --run scaled");
    double scaled = graphs_value(r, "val.right");
    CHECK_MSG(raw < scaled && scaled > 0.84 && far > 1000 * 2.2e-4, "right %g raw, %g scaled; %g", raw,
              scaled, far);
}
