/* What is promised of every training, held on programs of tests/programs, made small: a gradient in a loss trains;
 * metrics are those of one batch of all rows; every validation draws the same; what only looks, or what a phase
 * may not change, changes no bit. */
#include "test.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static Str here(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

static Str ran(const char *line) {
    Ran r = test_shell(str_of(line));
    CHECK_MSG(r.status == 0, "%s: status %d\n%.*s", line, r.status, FSTR(r.out));
    return r.out;
}

/* A program into the test's folder, with what it reads beside it. */
static void bring(const char *program) {
    Str from = str_format(test_arena(), "%.*s/tests/programs", FSTR(test_root()));
    ran(str_format(test_arena(), "cp %.*s/%s.graph p.graph && cp %.*s/04-dots-contrast.graph %.*s/*.csv . && "
                                 "ln -sfn %.*s/files files",
                   FSTR(from), program, FSTR(from), FSTR(from), FSTR(from))
            .s);
}

/* The first `old` of p.graph becomes `new`. */
static void edit(const char *old, const char *new) {
    Str text = test_read(here("p.graph"));
    const char *z = str_copy(test_arena(), text).s, *at = strstr(z, old);
    if (at == NULL) {
        test_failed(__FILE__, __LINE__, "the program has no `%s`", old);
        test_end();
    }
    test_write(here("p.graph"), str_format(test_arena(), "%.*s%s%s", (int)(at - z), z, new, at + strlen(old)));
}

/* Of the lines of metrics.jsonl that have the series, its values. */
static uint32_t series(const char *run, const char *name, double *values, uint32_t most) {
    Str text = test_read(here(str_format(test_arena(), "%s/metrics.jsonl", run).s));
    uint32_t n = 0;
    for (uint32_t from = 0, i = 0; i < text.n; i++) {
        if (text.s[i] != '\n')
            continue;
        json_t *line = json_loadb(text.s + from, i - from, 0, NULL), *all = json_object_get(line, "values");
        json_t *x = json_object_get(all ? all : line, name);
        if (json_is_number(x) && n < most)
            values[n++] = json_number_value(x);
        json_decref(line);
        from = i + 1;
    }
    return n;
}

/* The tensors of a run's last checkpoint whose names begin so, names and bytes; but for what metrics have summed. */
static Str tensors(const char *run, const char *prefix) {
    Arena *a = test_arena();
    Str all = test_read(here(str_format(a, "%s/last.safetensors", run).s));
    uint64_t header = 0;
    Buf out = buf_make(a);
    REQUIRE(all.n > sizeof header);
    memcpy(&header, all.s, sizeof header);
    REQUIRE(header < all.n - sizeof header);
    json_t *names = json_loadb(all.s + sizeof header, header, 0, NULL), *tensor;
    const char *name;
    json_object_foreach(names, name, tensor) {
        json_t *span = json_object_get(tensor, "data_offsets");
        if (strncmp(name, prefix, strlen(prefix)) != 0 || strncmp(name, "metric/", 7) == 0 || span == NULL)
            continue;
        uint64_t from = (uint64_t)json_integer_value(json_array_get(span, 0)),
                 to = (uint64_t)json_integer_value(json_array_get(span, 1));
        REQUIRE(from <= to && to <= all.n - sizeof header - header);
        buf_printf(&out, "%s ", name);
        buf_put(&out, (Str){all.s + sizeof header + header + from, (uint32_t)(to - from)});
    }
    json_decref(names);
    CHECK_MSG(out.n > 0, "%s: nothing is called %s..", run, prefix);
    return buf_str(&out);
}

static void same_tensors(const char *run, const char *other, const char *prefix) {
    CHECK_MSG(str_eq(tensors(run, prefix), tensors(other, prefix)), "%s of %s and of %s differ", prefix, run, other);
}

/* ---- a gradient of a gradient ---- */
TEST_ALL(the_slope_of_a_critic_comes_near_one) {
    double penalty[8];
    bring("08-gan-penalty");
    ran("graphc train p.graph -q -s folder=files/fashion -s epochs=6 -s batch=8 --run run");
    uint32_t n = series("run", "val.penalty", penalty, 8);
    CHECK_INT(n, 6);
    CHECK_MSG(n == 6 && penalty[5] < penalty[0] / 2, "from %g to %g", penalty[0], penalty[n - 1]);
}

/* ---- metrics ---- */
static double number_after(Str text, const char *name) {
    const char *at = strstr(str_copy(test_arena(), text).s, name);
    if (at == NULL) {
        test_failed(__FILE__, __LINE__, "no %s in\n%.*s", name, FSTR(text));
        test_end();
    }
    return strtod(at + strlen(name), NULL);
}

/* Of the split `val`, in batches of 1, 3, and all at once. */
static void exact_metric(const char *program, const char *settings, const char *eval, const char *metric) {
    static const int batches[] = {1, 3, 1000};
    double value[3];
    bring(program);
    ran(str_format(test_arena(), "graphc train p.graph -q %s -s epochs=1 -s batch=4 --run run", settings).s);
    for (int i = 0; i < 3; i++) {
        value[i] = number_after(ran(str_format(test_arena(), "graphc eval p.graph %s -s batch=%d --run run --split %s",
                                               settings, batches[i], eval)
                                        .s),
                                metric);
        CHECK_MSG(isfinite(value[i]) && fabs(value[i] - value[0]) <= 1e-5 * fabs(value[0]),
                  "%s of %s: %.9g in batches of %d, %.9g in batches of 1", metric, program, value[i], batches[i],
                  value[0]);
    }
    ran("rm -r run");
}

TEST_ALL(a_metric_is_of_all_rows) {
    exact_metric("00-library", "", "val", "val.f1 ");
    exact_metric("06-occ", "-s X=8 -s Y=8 -s Z=8 -s width=2 -s rows=8", "val", "val.iou ");
    exact_metric("06-occ", "-s X=8 -s Y=8 -s Z=8 -s width=2 -s rows=8", "val", "val.pred_max ");
    exact_metric("09-names", "-s folder=files/names -s width=4", "train", "train.word ");
    exact_metric("09-folds", "-s folder=files/houses", "val", "val.off ");
}

/* ---- noise of validations ---- */
TEST_ALL(validations_of_equal_weights_are_equal) {
    double total[4];
    bring("01-vox-conv");
    edit("lr = 1e-3", "lr = 0");
    ran("graphc train p.graph -q -s folder=files/voxels -s epochs=3 -s batch=4 --run run");
    CHECK_INT(series("run", "val.total", total, 4), 3);
    CHECK(total[1] == total[0] && total[2] == total[0]);
    CHECK_INT(series("run", "train.total", total, 4), 3);
    CHECK_MSG(total[1] != total[0], "batches of different epochs draw the same");
}

/* ---- what only looks ---- */
/* Behind a line of the objective comes another one. */
typedef struct { const char *program, *settings, *line, *more, *seldom, *often; } Watched;

static void looks_only(const Watched *w) {
    Arena *a = test_arena();
    bring(w->program);
    ran(str_format(a, "graphc train p.graph -q %s --run plain", w->settings).s);
    edit("graph 1\n", "graph 1\n# A comment.\n\n");
    edit(w->line, str_format(a, "%s\n    # Another.\n    %s", w->line, w->more).s);
    edit(w->seldom, w->often);
    ran(str_format(a, "graphc train p.graph -q %s --run looked", w->settings).s);
    same_tensors("plain", "looked", "");
}

TEST_ALL(comments_metrics_and_watches_change_no_bit) {
    static const Watched all[] = {
        {"02-vox-points", "-s folder=files/voxels -s epochs=2 -s batch=4 -s wide=32",
         "loss kl = gaussian_kl(mu, logvar)  weight beta",
         "metric spread = mean[..] (mu - 0.5)^2;  watch near;  warn \"flat\" when near.sd < 1e9",
         "epochs ", "report every 1 steps;  epochs "},
        {"06-occ", "-s X=8 -s Y=8 -s Z=8 -s width=4 -s rows=6 -s epochs=2", "metric pred_mean = mean[..] p",
         "metric sure = mean[..] (p > 0.9);  watch p", "report every 100 steps", "report every 1 steps"},
        {"09-classify", "-s folder=files/fashion -s epochs=2 -s batch=8",
         "metric accuracy = mean[..] (argmax[k] y[..,k] == b.label)",
         "metric table = confusion(argmax[k] y[:,k], b.label, classes = 10);  watch y",
         "epochs ", "report every 1 steps;  epochs "},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        looks_only(&all[i]);
        ran("rm -r plain looked");
    }
}

/* ---- what a phase may change ---- */
TEST_ALL(a_probe_inside_changes_no_bit_of_the_world) {
    const char *train = "graphc train p.graph -q -s E=8 -s width=1 -s rows=8 -s world.epochs=4 -s world.batch=4 "
                        "-s probe.epochs=1 -s probe.batch=4 --run %s";
    bring("04-dots-contrast");
    edit("every 20 epochs", "every 2 epochs");
    ran(str_format(test_arena(), train, "with").s);
    edit(";  every 2 epochs train probe", "");
    ran(str_format(test_arena(), train, "behind").s);
    same_tensors("with", "behind", "see.");
    same_tensors("with", "behind", "foresee.");
    same_tensors("with", "behind", "state/see.");
}

TEST_ALL(a_frozen_model_keeps_every_bit) {
    const char *train = "graphc train p.graph -q -s folder=files/fashion -s self.epochs=1 -s self.batch=8 "
                        "-s look.epochs=%d -s look.batch=8 --run %s";
    bring("09-byol");
    ran(str_format(test_arena(), train, 1, "one").s);
    ran(str_format(test_arena(), train, 2, "two").s);
    static const char *const kept[] = {"trunk.", "online.", "guess.", "state/trunk.", "state/online.", "state/target."};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        same_tensors("one", "two", kept[i]);
    CHECK(!str_eq(tensors("one", "read."), tensors("two", "read.")));
}

/* ---- products of less precision ---- */
static const char k_curve[] =
    "graph 1\n"
    "data points {\n"
    "    from fresh(rows = 512) as train\n"
    "    u[i < 8] = normal()\n"
    "    x : f32[8] = u\n"
    "    y : f32 = u[0] * u[1] + sin(u[2]) - u[3]\n"
    "}\n"
    "model net(x : real[N, 8]) -> (y : real[N]) { y = mlp(x, [64, 64, 1], act = tanh)[:, 0] }\n"
    "objective fit(b : points[N]) { loss square = mse(net(b.x), b.y) }\n"
    "train { optimizer adam(lr = 3e-3);  epochs 40;  batch 32;  seed 1 }\n";

static void trained_in(const char *precision, const char *more, double *loss) {
    test_write(here("p.graph"), str_of(k_curve));
    edit("train {", str_format(test_arena(), "train { precision %s; %s", precision, more).s);
    ran("rm -rf run && graphc train p.graph -q --run run");
    CHECK_INT(series("run", "train.square", loss, 40), 40);
}

TEST_ALL(bf16_reaches_nearly_the_loss_of_f32) {
    double exact[40] = {0}, rounded[40] = {0};
    trained_in("f32", "", exact);
    trained_in("bf16", "", rounded);
    CHECK_MSG(exact[39] < exact[0] / 20, "f32 does not learn: from %g to %g", exact[0], exact[39]);
    CHECK_MSG(rounded[0] != exact[0], "nothing was rounded");
    CHECK_MSG(rounded[39] < 1.1 * exact[39], "f32 comes to %g, bf16 to %g", exact[39], rounded[39]);
}

/* ---- f16 and its loss scale ---- */
/* The values of the tensors that begin so, one after the other. */
static uint32_t numbers(const char *run, const char *prefix, float *out, uint32_t most) {
    Str text = tensors(run, prefix);
    uint32_t from = 0, n = 0;
    while (from < text.n && text.s[from] != ' ')
        from++;
    for (from++; from + sizeof *out <= text.n && n < most; from += sizeof *out)
        memcpy(&out[n++], text.s + from, sizeof *out);
    return n;
}

/* A weight of 4096 makes cotangents that 65536 takes past the end of f16: the scale has to come down first. */
static void heavy_curve(const char *optimizer) {
    test_write(here("p.graph"), str_of(k_curve));
    edit("mse(net(b.x), b.y)", "mse(net(b.x), b.y)  weight 4096");
    edit("train { optimizer adam(lr = 3e-3)", str_format(test_arena(), "%s  precision f16", optimizer).s);
}

TEST_ALL(f16_finds_a_scale_and_reaches_nearly_the_loss_of_f32) {
    double exact[40] = {0}, loss[40] = {0}, scale[40] = {0}, skipped[40] = {0};
    trained_in("f32", "", exact);
    heavy_curve("train { optimizer adam(lr = 3e-3);");
    ran("rm -r run && graphc train p.graph -q --run run");
    CHECK_INT(series("run", "train.square", loss, 40), 40);
    CHECK_INT(series("run", "train.loss_scale", scale, 40), 40);
    CHECK_INT(series("run", "train.skipped", skipped, 40), 40);
    CHECK_MSG(skipped[0] > 0 && skipped[0] == skipped[39], "%g steps skipped at first, %g in the end", skipped[0],
              skipped[39]);
    CHECK_MSG(scale[39] == ldexp(1, 16 - (int)skipped[39]), "a scale of %g", scale[39]);
    CHECK_MSG(loss[39] < 1.1 * exact[39], "f32 comes to %g, f16 to %g", exact[39], loss[39]);
}

TEST_ALL(skipped_steps_are_the_same_everywhere_and_when_resumed) {
    heavy_curve("train { optimizer adam(lr = 3e-3);");
    test_expect("graphc verify p.graph --steps 14", 0, "fused      on 3  every bit is the same");
    test_expect("graphc verify p.graph --steps 14 --cpu=haswell", 0, "fused      on 3  every bit is the same");
    ran("graphc train p.graph -q -s epochs=4 --run whole");
    ran("graphc train p.graph -q -s epochs=1 --run parts");
    ran("graphc train p.graph -q -s epochs=4 --run parts --resume");
    same_tensors("whole", "parts", "");
    edit("batch 32", "batch 32 shards 4");
    test_expect("graphc verify p.graph --steps 14", 0, "fused      on 3  every bit is the same");
}

/* 16 steps an epoch; what was skipped is no update, and leaves no trace in what is kept for one. */
TEST_ALL(a_skipped_step_is_no_update) {
    float count[8], skipped;
    heavy_curve("optimizer counting(lr : real) for p, g, k { state n = 0;  n <- n + k;  p <- p - lr * g / 4096 }\n"
                "train { optimizer counting(lr = 0.01);");
    ran("graphc train p.graph -q -s epochs=2 --run run");
    CHECK_INT(numbers("run", "optim/train.fit.loss_scale.skipped", &skipped, 1), 1);
    CHECK_INT(numbers("run", "optim/net.mlp1.linear1[2].b.counting.n", count, 1), 1);
    float n = 32 - skipped;
    CHECK_MSG(skipped > 2 && count[0] == n * (n + 1) / 2, "%g skipped, the numbers of updates sum to %g", skipped,
              count[0]);
}

/* The slope of a root at 0 is infinite at every scale: no step ever is one, which ends with a message. */
TEST_ALL(a_gradient_that_is_never_finite_stops_the_run) {
    test_write(here("p.graph"), str_of("graph 1\n"
                                       "data points { from fresh(rows = 4096) as train;  x[i < 3] = normal() }\n"
                                       "model net(x : real[N, 3]) -> (y : real[N]) {\n"
                                       "    param w : real[3] = 0\n"
                                       "    y[n] = sum[i] x[n,i] * w[i]^0.5\n"
                                       "}\n"
                                       "objective fit(b : points[N]) { loss l = mean[n] (net(b.x)[n] - 1)^2 }\n"
                                       "train { optimizer sgd(lr = 1);  epochs 1;  batch 8;  precision f16 }\n"));
    test_expect("graphc train p.graph -q", 1, "step 41 (epoch 1, step 41 of it): a loss or a gradient is not finite");
    test_expect("graphc train p.graph -q", 1, "`precision bf16` does not");
}

/* The number of an update is asked for in every shard. */
TEST(runs_in_turn_take_shards) {
    test_write(here("p.graph"), str_of("graph 1\n"
                                       "data points { from fresh(rows = 64) as train;  x[i < 4] = normal() }\n"
                                       "model A(x : real[N, 4]) -> (y : real[N, 4]) { y = linear(x, 4) }\n"
                                       "model B(x : real[N, 4]) -> (y : real[N, 4]) { y = linear(x, 4) }\n"
                                       "objective one(b : points[N]) { loss a = mse(B(A(b.x)), b.x) }\n"
                                       "objective two(b : points[N]) { loss c = mse(A(B(b.x)), b.x) }\n"
                                       "train { objective one updates A;  objective two updates B 2 times\n"
                                       "        optimizer adam(lr = 1e-2);  epochs 2;  batch 8 shards 2 }\n"));
    ran("graphc train p.graph -q");
}
