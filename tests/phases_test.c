/* Training programs of several objectives and phases: whose turn it is, what may change, what each counts; stopped
 * after every step, also of an inner phase, and gone on with, to the same bits. */
#include "test.h"
#include "hash.h"
#include "job.h"
#include "rundir.h"
#include "run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    Job job;                               /* first: the trainer hands it back as its user */
    Session session;
    Common common;
    volatile sig_atomic_t stop;
    int64_t stop_at, steps;                /* of all phases, in this call */
    int64_t stop_at_batch, batches;        /* the same of validations */
} Training;

static void progress(void *user, const TrainProgress *p) {
    Training *t = user;
    t->steps += p->event == TRAIN_STEP;
    if (p->event == TRAIN_STEP && t->steps == t->stop_at)
        t->stop = 1;
    t->batches += p->event == TRAIN_EVAL;
    if (p->event == TRAIN_EVAL && t->batches == t->stop_at_batch)
        t->stop = 1;
}

/* In every program. */
static const char k_data[] =
    "graph 1\n"
    "data d { from fresh(rows = 22) as train;  from fresh(rows = 9) as val;  x[i < 4] = normal();  "
    "y = x[0] - x[2] }\n"
    "model see(x : real[N, 4]) -> (z : real[N, 3]) { z = x |> linear(6) |> batchnorm |> tanh |> linear(3) }\n"
    "model read(z : real[N, 3]) -> (y : real[N]) { y = linear(dropout(z, 0.2), 1)[:, 0] }\n"
    "model back(z : real[N, 3]) -> (x : real[N, 4]) { x = linear(z, 4) }\n"
    "objective code(b : d[N]) { loss square = mse(back(see(b.x + 0.1 * normal(like = b.x))), b.x) }\n"
    "objective probe(b : d[N]) { loss square = mse(read(see(b.x)), b.y);  metric size = mean[..] read(see(b.x)) }\n";

static Training *opened(const char *program, uint32_t threads) {
    Training *t = PUSH(test_arena(), Training, 1);
    Str path = str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder()));
    Error e = {0};
    test_write(path, str_format(test_arena(), "%s%s", k_data, program));
    t->common = common_make();
    t->common.file = path.s;
    t->common.threads = threads;
    t->common.no_cache = true;
    bool good = session_open(&t->session, &t->common);
    if (!session_report(&t->session, &t->common) || !good) {
        test_failed(__FILE__, __LINE__, "the program has mistakes");
        test_end();
    }
    CHECK_MSG(job_open(&t->session, &t->common, "fused", LOWER_TRAIN, (Str){0}, &t->job, &e) == GR_OK, "%s", e.what);
    t->job.job.interrupted = &t->stop;
    t->job.job.progress = progress;
    return t;
}

static void closed(Training *t) {
    job_close(&t->job);
    session_close(&t->session);
}

static void *buffer_of(const Training *t, uint32_t var, uint64_t *bytes) {
    uint32_t buffer = exec_plan(t->job.exec)->vars.at[var].buffer;
    *bytes = exec_plan(t->job.exec)->buffers.at[buffer].bytes;
    return exec_buffer(t->job.exec, buffer);
}

static GrStatus trained(Training *t, const char *run, bool resume, int64_t stop_at) {
    Error e = {0};
    TrainJob job = t->job.job;
    t->steps = t->batches = 0;
    t->stop = 0;
    t->stop_at = stop_at;
    job.resume = resume;
    job.run = run ? str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), run) : STR("");
    if (run)
        REQUIRE(rundir_use(test_arena(), job.run, resume, &e) == GR_OK);
    for (uint32_t i = 0; i < exec_plan(t->job.exec)->vars.n; i++) {       /* nothing is left of a run before */
        uint64_t bytes;
        void *at = buffer_of(t, i, &bytes);
        memset(at, 0x55, bytes);
    }
    GrStatus status = train_run(&job, &e);
    CHECK_MSG(status == GR_OK || status == GR_INTERRUPTED, "%s", e.what);
    return status;
}

/* A hash of all variables whose path begins so. */
static uint64_t bits_of(const Training *t, const char *prefix) {
    const Plan *p = exec_plan(t->job.exec);
    uint64_t h = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->vars.n; i++) {
        uint64_t bytes;
        const void *at = buffer_of(t, i, &bytes);
        if (!str_starts(p->vars.at[i].path, prefix))
            continue;
        h = hash_bytes(h, at, bytes);
        n++;
    }
    CHECK_MSG(n > 0, "no variable is called %s", prefix);
    return h;
}

static uint64_t bits_after(const char *program, uint32_t threads, const char *prefix) {
    Training *t = opened(program, threads);
    REQUIRE(trained(t, NULL, false, 0) == GR_OK);
    uint64_t bits = bits_of(t, prefix);
    closed(t);
    return bits;
}

/* metrics.jsonl without the times. */
static Str metrics_of(const char *run) {
    Str text = test_read(str_format(test_arena(), "%.*s/%s/%s", FSTR(test_folder()), run, RUN_METRICS));
    Buf b = buf_make(test_arena());
    for (uint32_t i = 0; i < text.n; i++) {
        if (str_starts((Str){text.s + i, text.n - i}, "\"seconds\":")) {
            while (text.s[i] != ',')
                i++;
        }
        buf_char(&b, text.s[i]);
    }
    return buf_str(&b);
}

/* Whole, on 1 to 3 threads, and stopped after every `pieces` steps. */
static void same_bits(const char *program) {
    Training *t = opened(program, 1);
    REQUIRE(trained(t, "whole", false, 0) == GR_OK);
    uint64_t bits = bits_of(t, "");
    int64_t steps = t->steps;
    for (int64_t piece = 1; piece < steps; piece += piece + (piece > 1)) {
        const char *run = str_format(test_arena(), "every-%lld", (long long)piece).s;
        GrStatus status = trained(t, run, false, piece);
        for (int64_t n = 0; status == GR_INTERRUPTED && n <= steps; n++)
            status = trained(t, run, true, piece);
        CHECK_INT(status, GR_OK);
        CHECK_MSG(bits_of(t, "") == bits, "stopped every %lld steps: other bits", (long long)piece);
        test_same_str(__FILE__, __LINE__, run, metrics_of(run), metrics_of("whole"));
    }
    closed(t);
    CHECK(bits_after(program, 2, "") == bits);
    CHECK(bits_after(program, 3, "") == bits);
}

/* ---- validations that are broken off ---- */
/* Each validation has three batches: it stops after `batch` of them, is made once more, and the next one stops. */
static void stopped_in_each_validation(const char *program, int64_t batch) {
    Training *t = opened(program, 1);
    const char *whole = str_format(test_arena(), "whole-%lld", (long long)batch).s;
    const char *parts = str_format(test_arena(), "parts-%lld", (long long)batch).s;
    REQUIRE(trained(t, whole, false, 0) == GR_OK);
    uint64_t bits = bits_of(t, "");
    int64_t validations = t->batches / 3, stops = 1;
    CHECK(validations > 3 && t->batches % 3 == 0);
    t->stop_at_batch = batch;
    GrStatus status = trained(t, parts, false, 0);
    t->stop_at_batch = 3 + batch;
    for (; status == GR_INTERRUPTED && stops <= validations; stops++) {
        CHECK(t->batches == (stops == 1 ? batch : 3 + batch));
        status = trained(t, parts, true, 0);
    }
    CHECK_INT(status, GR_OK);
    CHECK_INT(stops, validations + 1);
    CHECK(bits_of(t, "") == bits);
    test_same_str(__FILE__, __LINE__, parts, metrics_of(parts), metrics_of(whole));
    closed(t);
}

TEST_ALL(a_validation_may_be_interrupted) {
    stopped_in_each_validation("train { objective probe;  optimizer adam(lr = 0.01);  epochs 4;  batch 4;  "
                               "keep lowest val.total }\n", 1);
    stopped_in_each_validation("rate = plateau(val.total, factor = 0.5, patience = 1, relative = yes)\n"
                               "train { objective probe;  optimizer adam(lr = 0.01 * rate);  steps 14;  batch 4;  "
                               "validate probe every 3 steps;  keep lowest val.total;  report every 3 steps }\n", 2);
}

/* ---- several objectives ---- */
static const char k_turns[] =
    "optimizer counted() for p, g, k { p <- p + k }\n"
    "model one(x : real[N, 4]) -> (y : real[N]) { param w : real = 0;  y = x[:, 0] * w }\n"
    "model both(x : real[N, 4]) -> (y : real[N]) { param w : real = 0;  y = x[:, 0] * w }\n"
    "model two(x : real[N, 4]) -> (y : real[N]) { param w : real = 0;  y = x[:, 0] * w }\n"
    "objective first(b : d[N]) { loss l = mean[..] (one(b.x) + both(b.x) + two(b.x)) }\n"
    "train { objective first updates one, both 3 times;  objective first updates both, two;  "
    "optimizer counted();  steps 10;  batch 4 }\n";

static float number_of(const Training *t, const char *path) {
    const Plan *p = exec_plan(t->job.exec);
    uint64_t bytes;
    for (uint32_t i = 0; i < p->vars.n; i++) {
        if (str_is(p->vars.at[i].path, path))
            return *(const float *)buffer_of(t, i, &bytes);
    }
    test_failed(__FILE__, __LINE__, "there is no %s", path);
    return 0;
}

TEST_ALL(each_parameter_counts_its_own_updates) {
    Training *t = opened(k_turns, 1);
    REQUIRE(trained(t, NULL, false, 0) == GR_OK);
    CHECK_INT(number_of(t, "one.w"), 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8);       /* 3, 3 and 2 of the last round */
    CHECK_INT(number_of(t, "two.w"), 1 + 2);
    CHECK_INT(number_of(t, "both.w"), 55);
    closed(t);
}

static const char k_gan[] =
    "model G(z : real[N, 2]) -> (x : real[N, 4]) { x = z |> linear(8) |> batchnorm |> relu |> linear(4) }\n"
    "model D(x : real[N, 4]) -> (y : real[N, 1]) { y = mlp(x, [8, 1], act = leaky_relu) }\n"
    "objective critic(b : d[N]) {\n"
    "    z[n < N, k < 2] = normal();  e[n < N] = uniform();  fake = G(z)\n"
    "    mix[n,c] = e[n] * b.x[n,c] + (1 - e[n]) * fake[n,c];  slope = grad(sum[..] D(mix), mix)\n"
    "    loss gap = mean[..] D(fake) - mean[..] D(b.x)\n"
    "    loss penalty = mean[n] (norm(slope[n]) - 1)^2    weight 10\n"
    "}\n"
    "objective generator(b : d[N]) { z[n < N, k < 2] = normal();  loss fool = -mean[..] D(G(z)) }\n"
    "train { objective critic updates D 2 times;  objective generator updates G;  optimizer adam(lr = 0.01);  %s;  "
    "batch 4 }\n";

static const char *gan(const char *length) { return str_format(test_arena(), k_gan, length).s; }

TEST_ALL(a_gan_is_the_same_in_pieces) { same_bits(gan("epochs 3;  keep lowest val.critic.total")); }

TEST_ALL(a_run_changes_only_what_it_names) {
    Training *t = opened(gan("steps 3"), 1);
    REQUIRE(trained(t, "run", false, 1) == GR_INTERRUPTED);
    uint64_t g = bits_of(t, "G.linear"), d = bits_of(t, "D.");
    REQUIRE(trained(t, "run", true, 1) == GR_INTERRUPTED);                 /* the critic once more */
    CHECK(bits_of(t, "G.linear") == g);
    CHECK(bits_of(t, "D.") != d);
    d = bits_of(t, "D.");
    REQUIRE(trained(t, "run", true, 0) == GR_OK);                          /* the generator */
    CHECK(bits_of(t, "G.linear") != g);
    CHECK(bits_of(t, "D.") == d);
    closed(t);
}

TEST_ALL(series_are_named_as_they_have_to_be) {
    Training *t = opened(gan("epochs 2;  validate generator every 1 epochs"), 1);
    REQUIRE(trained(t, "run", false, 0) == GR_OK);
    const char *log = metrics_of("run").s;
    CHECK(strstr(log, "\"train.gap\":") && strstr(log, "\"train.critic.total\":"));
    CHECK(strstr(log, "\"train.generator.total\":") && strstr(log, "\"val.total\":"));
    CHECK(!strstr(log, "\"train.total\":") && !strstr(log, "\"val.gap\":"));
    closed(t);
}

/* ---- several phases ---- */
#define WORLD "train world { objective code;  optimizer adam(lr = 0.05);  epochs 4;  batch 8;  keep lowest val.square"
#define PROBE \
    " }\ntrain look { objective probe;  freeze see;  optimizer adam(lr = 0.05);  epochs 2;  batch 7;  " \
    "keep lowest val.square;  patience 3 epochs"

TEST_ALL(phases_follow_each_other_in_pieces) {
    same_bits(WORLD PROBE " }\ntrain tune { objective probe;  optimizer sgd(lr = 0.01);  steps 5;  batch 6 }\n");
}

TEST_ALL(phases_inside_phases_in_pieces) {
    same_bits(WORLD ";  every 2 epochs train look;  every 1 epochs train brief" PROBE " }\n"
              "train brief { objective probe updates read;  optimizer sgd(lr = 0.1);  steps 2;  batch 9 }\n");
}

TEST_ALL(what_is_frozen_keeps_every_bit) {
    uint64_t alone = bits_after(WORLD " }\n", 1, "see.");
    Training *t = opened(WORLD PROBE " }\n", 1);
    REQUIRE(trained(t, "run", false, 0) == GR_OK);
    const Plan *p = exec_plan(t->job.exec);
    uint64_t h = 0;
    for (uint32_t i = 0; i < p->vars.n; i++) {                             /* optimisers have other paths there */
        uint64_t bytes;
        const void *at = buffer_of(t, i, &bytes);
        if (str_starts(p->vars.at[i].path, "see."))
            h = hash_bytes(h, at, bytes);
    }
    CHECK(h == alone);
    closed(t);
}

TEST_ALL(a_phase_inside_changes_nothing_outside) {
    uint64_t alone = bits_after(WORLD PROBE " }\n", 1, "see.");
    CHECK(bits_after(WORLD ";  every 2 epochs train look" PROBE " }\n", 1, "see.") == alone);
    CHECK(bits_after(WORLD ";  every 1 epochs train look" PROBE " }\n", 1, "back.") ==
          bits_after(WORLD PROBE " }\n", 1, "back."));
}

TEST_ALL(a_phase_inside_starts_afresh) {
    uint64_t once = bits_after(WORLD PROBE " }\n", 1, "read.");           /* after the last epoch of the world */
    CHECK(bits_after(WORLD ";  every 1 epochs train look" PROBE " }\n", 1, "read.") == once);
    CHECK(bits_after(WORLD ";  every 2 epochs train look" PROBE " }\n", 1, "read.") == once);
    CHECK(bits_after(WORLD ";  every 3 epochs train look" PROBE " }\n", 1, "read.") != once);
}

TEST_ALL(the_result_is_of_the_phase_that_ends_the_training) {
    Training *t = opened(WORLD PROBE " }\n", 1);
    REQUIRE(trained(t, "run", false, 0) == GR_OK);
    Str folder = str_format(test_arena(), "%.*s/run", FSTR(test_folder()));
    CHECK(access(str_format(test_arena(), "%.*s/world-best-1.safetensors", FSTR(folder)).s, F_OK) == 0);
    CHECK(str_ends(train_best(test_arena(), folder), "best-1.safetensors"));
    closed(t);
    t = opened(WORLD PROBE " }\ntrain tune { objective probe;  optimizer sgd(lr = 0.01);  steps 5 }\n", 1);
    REQUIRE(trained(t, "tuned", false, 0) == GR_OK);
    folder = str_format(test_arena(), "%.*s/tuned", FSTR(test_folder()));
    CHECK(str_ends(train_best(test_arena(), folder), RUN_LAST));
    closed(t);
}

TEST_ALL(every_tool_covers_every_phase) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(), "%s%s", k_data, WORLD ";  every 2 epochs train look" PROBE " }\n"));
    static const char *const lines[][2] = {{"graphc verify p.graph", "phase           look"},
                                           {"graphc check p.graph", "losses of probe"},
                                           {"graphc summary p.graph", "look.probe.train"},
                                           {"graphc dump --stage=opt p.graph", "graph look.probe.train"},
                                           {"graphc bench --rounds=1 p.graph", "look.probe"},
                                           {"graphc train p.graph -q --run r -s look.epochs=1 -s world.epochs=2", ""},
                                           {"grep -c '\"phase\":\"look\"' r/metrics.jsonl", "1"},
                                           {"graphc eval p.graph --run r --split val", "val.probe.square"}};
    for (uint32_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        Ran r = test_shell(str_of(lines[i][0]));
        CHECK_MSG(r.status == 0 && strstr(r.out.s, lines[i][1]), "%s: status %d\n%.*s", lines[i][0], r.status,
                  FSTR(r.out));
    }
}

/* ---- several data sets ---- */
#define PAIRS \
    "data e { from fresh(rows = 6) as train;  w = 0.5 * row;  v[i < 4] = normal() }\n" \
    "objective both(a : d[N], u : e[M]) {\n" \
    "    z = see(a.x);  h = dropout(see(u.v), 0.2)\n" \
    "    loss square = mse(read(z), a.y) + 0.1 * mse(back(h), u.v)\n" \
    "    metric level = mean[m] u.w[m];  metric share = (mean[m] u.w[m]) + mean[n] (a.y[n] > 0)\n" \
    "}\n"

TEST_ALL(two_data_sets_in_pieces) {
    same_bits(PAIRS "objective more(a : d[N], u : e[K]) {\n"
              "    loss far = mse(back(see(u.v)), 0 * u.v) + mean[..] read(see(a.x))^2\n}\n"
              "train { objective both 2 times;  objective probe;  objective more;  optimizer adam(lr = 0.01);  "
              "batch d 5, e 8;  epochs 3;  validate probe every 1 epochs }\n");
}

static double number_after(const char **at, const char *key) {
    *at = strstr(*at, key);
    if (*at == NULL) {
        test_failed(__FILE__, __LINE__, "the log has no more %s", key);
        test_end();
    }
    *at += strlen(key);
    return strtod(*at, NULL);
}

/* 3 steps of 4 rows are two passes over 6 rows. */
TEST_ALL(the_second_data_set_is_passed_over_again_and_again) {
    Training *t = opened(PAIRS "train { objective both;  optimizer adam(lr = 0.01);  batch d 8, e 4;  epochs 3 }\n", 1);
    REQUIRE(trained(t, "run", false, 0) == GR_OK);
    const char *log = metrics_of("run").s;
    double first = number_after(&log, "\"train.level\":"), second = number_after(&log, "\"train.level\":");
    CHECK_MSG(fabs(first - second) < 1e-6 && first != 0, "%g and %g", first, second);
    closed(t);
}

TEST_ALL(two_data_sets_are_the_same_in_every_mode) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(), "%s%s", k_data,
                          PAIRS "train { objective both;  optimizer adam(lr = 0.01);  batch d 8, e 4;  epochs 2 }\n"));
    Ran r = test_shell(STR("graphc verify p.graph && graphc bench --rounds=1 p.graph && "
                           "graphc train -q p.graph --run r && graphc eval p.graph --run r --split train && "
                           "grep 'batch d 8, e 4' r/resolved.graph"));
    CHECK_MSG(r.status == 0 && strstr(r.out.s, "fused      on 3  every bit"), "%.*s", FSTR(r.out));
}

TEST_ALL(what_has_no_such_rows_is_not_evaluated) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(), "%s%s", k_data,
                          PAIRS "train { objective both;  optimizer adam(lr = 0.01);  batch d 8, e 4;  epochs 1 }\n"));
    Ran r = test_shell(STR("graphc train -q p.graph --run r && graphc eval p.graph --run r --split val"));
    CHECK_MSG(r.status == 0 && strstr(r.out.s, "without `both`: data `e` has no split `val`"), "%.*s", FSTR(r.out));
    CHECK(strstr(r.out.s, "val.probe.square") != NULL);
    r = test_shell(STR("graphc eval p.graph --run r --split test"));
    CHECK_MSG(r.status == 1 && strstr(r.out.s, "has no split `test`"), "%.*s", FSTR(r.out));
}
