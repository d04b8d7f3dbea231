/* The trainer with a plan written by hand: a vector w follows the mean of noisy rows, by gradient with
 * momentum.  Small enough that every way of stopping and going on can be tried. */
#include "test.h"
#include "checkpoint.h"
#include "hash.h"
#include "philox.h"
#include "rundir.h"
#include "safetensors.h"
#include "trainer.h"
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHECK_SAYS(e, part)                                                                                  \
    CHECK_MSG(strstr((e).what, part) != NULL, "`%s` does not say `%s`", (e).what, part)

enum { WIDTH = 2, TRAIN_ROWS = 10, VAL_ROWS = 5, BATCH = 4, EPOCHS = 4, EPOCH_STEPS = 3 };
enum { B_W, B_M, B_ACC, B_X, B_G, B_TOTAL, B_HEALTH, B_COUNT };
enum { U_LR_OUT, U_ROWS_OUT, U_CLOCK_OUT, U_SEED_OUT, U_POISON_OUT };

/* ---- kernels ---- */
static void k_init(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    (void)first, (void)last, (void)scratch;
    for (uint32_t j = 0; j < WIDTH; j++) {
        ((float *)b[0])[j] = uniform_of_word(philox_word((uint32_t)u[U_SEED_OUT].i, 7, 0, 0, 0, j));
        ((float *)b[1])[j] = 0;
    }
}

static void k_begin(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    (void)u, (void)first, (void)last, (void)scratch;
    ((float *)b[0])[0] = 0;
}

/* g = mean over rows of w + noise - x; behind it the sum of its squares over the rows. */
static void k_grad(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    float *g = b[0];
    const float *w = b[1], *x = b[2];
    (void)first, (void)last, (void)scratch;
    memset(g, 0, (WIDTH + 1) * sizeof *g);
    for (int32_t r = 0; r < u[U_ROWS_OUT].i; r++) {
        for (int32_t j = 0; j < WIDTH; j++) {
            uint64_t element = (uint64_t)(r * WIDTH + j);
            float noise = uniform_of_word(
                philox_word((uint32_t)u[U_SEED_OUT].i, 8, (uint32_t)u[U_CLOCK_OUT].i, 0, 0, element));
            float d = w[j] + 0.1f * noise - x[r * WIDTH + j];
            g[j] += d / (float)u[U_ROWS_OUT].i;
            g[WIDTH] += d * d;
        }
    }
    if (u[U_POISON_OUT].i != 0)
        *(uint32_t *)b[3] |= (uint32_t)u[U_POISON_OUT].i;
}

static void k_update(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    float *w = b[0], *m = b[1];
    const float *g = b[2];
    (void)scratch;
    for (int64_t j = first; j < last; j++) {
        m[j] = 0.9f * m[j] + g[j];
        w[j] -= u[U_LR_OUT].f * m[j];
    }
}

static void k_accumulate(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    (void)u, (void)first, (void)last, (void)scratch;
    ((float *)b[0])[0] += ((const float *)b[1])[WIDTH];
}

static void k_finish(void *const *b, const UValue *u, int64_t first, int64_t last, void *scratch) {
    (void)first, (void)last, (void)scratch;
    ((float *)b[0])[0] = ((const float *)b[1])[0] / (float)u[U_ROWS_OUT].i;
}

static const KernelFn k_all[] = {k_init, k_begin, k_grad, k_update, k_accumulate, k_finish};
static const PlanCode k_code = {k_all, NULL};
enum { K_INIT, K_BEGIN, K_GRAD, K_UPDATE, K_ACCUMULATE, K_FINISH, K_COUNT };

/* ---- the plan ---- */
static void add_buffer(Plan *p, const char *name, Region r, int64_t n) {
    vec_push(p->arena, &p->buffers,
             (PlanBuffer){str_of(name), r, DT_F32, n == 1 ? (Shape){0} : shape_of(1, &n), p->arena_bytes,
                          (uint64_t)n * 4});
    p->region_bytes[r] = 64;
    p->arena_bytes += 64;
}

static void add_launch(Plan *p, uint32_t kernel, uint32_t wave, int64_t points, uint32_t n,
                       const uint32_t *buffers) {
    vec_push(p->arena, &p->steps,
             (PlanStep){.kind = STEP_LAUNCH,
                        .kernel = kernel,
                        .wave = wave,
                        .first_arg = p->args.n,
                        .n_args = n,
                        .points = points,
                        .grain = 1,
                        .cost_ns = 1e5});
    for (uint32_t i = 0; i < n; i++)
        vec_push(p->arena, &p->args, (PlanArg){.buffer = buffers[i], .writes = i == 0});
}

static void add_entry(Plan *p, const char *name, int64_t rows, uint32_t first_step, bool column,
                      bool output) {
    PlanEntry e = {.name = str_of(name), .variant = STR("fused"), .rows = rows, .first_step = first_step,
                   .n_steps = p->steps.n - first_step, .first_column = p->bindings.n, .n_columns = column};
    if (column)
        vec_push(p->arena, &p->bindings, (PlanBinding){STR("x"), B_X});
    e.first_output = p->bindings.n;
    e.n_outputs = output;
    if (output)
        vec_push(p->arena, &p->bindings, (PlanBinding){STR("total"), B_TOTAL});
    vec_push(p->arena, &p->entries, e);
}

static void add_rows(Plan *p, int64_t rows, bool train) {
    uint32_t first = p->steps.n;
    add_launch(p, K_GRAD, 0, 1, 4, (uint32_t[]){B_G, B_W, B_X, B_HEALTH});
    vec_push(p->arena, &p->steps, (PlanStep){.kind = STEP_COMMIT, .wave = 1});
    if (train)
        add_launch(p, K_UPDATE, 1, WIDTH, 3, (uint32_t[]){B_W, B_M, B_G});
    add_launch(p, K_ACCUMULATE, 1, 1, 2, (uint32_t[]){B_ACC, B_G});
    add_entry(p, train ? "train.fit.train" : "fit.eval", rows, first, true, false);
}

static void add_uniforms(Uniforms *u) {
    uint32_t lr = uniforms_input(u, STR("setting.lr"), false), epoch = uniforms_input(u, STR("epoch"), true);
    uint32_t update = uniforms_input(u, STR("update"), true),
             poison = uniforms_input(u, STR("setting.poison"), true);
    uint32_t decay = uniforms_op(u, U_ADD, uniforms_const(u, 1), epoch, 0);
    uint32_t kind = uniforms_input(u, STR("setting.kind"), true);
    uint32_t now = uniforms_op(u, U_EQ, update, poison, 0);
    uniforms_output(u, STR("lr"), DT_F32, uniforms_op(u, U_DIV, lr, decay, 0));
    uniforms_output(u, STR("rows"), DT_I32, uniforms_input(u, STR("rows"), true));
    uniforms_output(u, STR("clock"), DT_I32, uniforms_input(u, STR("clock"), true));
    uniforms_output(u, STR("seed"), DT_I32, uniforms_input(u, STR("seed"), true));
    uniforms_output(u, STR("poison"), DT_I32, uniforms_op(u, U_MUL, now, kind, 0));
}

static Plan *toy_plan(void) {
    Plan *p = PUSH(test_arena(), Plan, 1);
    p->arena = test_arena();
    p->uniforms = uniforms_create(test_arena());
    add_buffer(p, "w", REGION_PARAM, WIDTH);
    add_buffer(p, "m", REGION_OPTIM, WIDTH);
    add_buffer(p, "acc", REGION_METRIC, 1);
    add_buffer(p, "x", REGION_BATCH, BATCH * WIDTH);
    add_buffer(p, "g", REGION_ACT, WIDTH + 1);
    add_buffer(p, "total", REGION_OUT, 1);
    add_buffer(p, "health", REGION_HEALTH, 1);
    vec_push(p->arena, &p->vars, (PlanVar){.path = STR("net.w"), .kind = STR("param"), .buffer = B_W});
    vec_push(p->arena, &p->vars, (PlanVar){.path = STR("net.w.m"), .kind = STR("optim"), .buffer = B_M});
    vec_push(p->arena, &p->vars, (PlanVar){.path = STR("fit.total"), .kind = STR("metric"), .buffer = B_ACC});
    for (uint32_t k = 0; k < K_COUNT; k++)
        vec_push(p->arena, &p->kernels, (PlanKernel){.name = STR("k")});
    add_uniforms(p->uniforms);
    add_launch(p, K_INIT, 0, 1, 2, (uint32_t[]){B_W, B_M});
    add_entry(p, "init", 0, p->steps.n - 1, false, false);
    add_launch(p, K_BEGIN, 0, 1, 1, (uint32_t[]){B_ACC});
    add_entry(p, "fit.begin", 0, p->steps.n - 1, false, false);
    add_launch(p, K_FINISH, 0, 1, 2, (uint32_t[]){B_TOTAL, B_ACC});
    add_entry(p, "fit.finish", 0, p->steps.n - 1, false, true);
    add_rows(p, 4, true);
    add_rows(p, 2, true);
    add_rows(p, 4, false);
    add_rows(p, 1, false);
    return p;
}

/* ---- the job ---- */
typedef struct {
    TrainJob job;
    Recipe *recipe;
    Exec *exec;
    Dataset *data;
    volatile sig_atomic_t stop;
    int64_t stop_at;                       /* after that many steps, 0: never */
    uint32_t steps, epochs, reports, improved;
    float val_total;                       /* of the last epoch */
    float val_at_best;
} Toy;

static void progress(void *user, const TrainProgress *p) {
    Toy *t = user;
    if (p->event == TRAIN_STEP && p->step == t->stop_at)
        t->stop = 1;
    t->steps += p->event == TRAIN_STEP;
    t->reports += p->event == TRAIN_REPORT;
    if (p->event != TRAIN_EPOCH)
        return;
    t->epochs++;
    t->improved += p->improved;
    for (uint32_t i = 0; i < p->values->at.n; i++) {
        if (str_is(p->values->at.at[i].name, "val.total"))
            t->val_total = p->values->at.at[i].values[0];
    }
    t->val_at_best = p->improved ? t->val_total : t->val_at_best;
}

static Dataset *toy_data(void) {
    RecipeData *r = PUSH(test_arena(), RecipeData, 1);
    Dataset *d = PUSH(test_arena(), Dataset, 1);
    float *x = PUSH(test_arena(), float, (TRAIN_ROWS + VAL_ROWS) * WIDTH);
    Str source_of[TRAIN_ROWS + VAL_ROWS];
    Error e;
    for (uint32_t i = 0; i < (TRAIN_ROWS + VAL_ROWS) * WIDTH; i++)
        x[i] = 1 + uniform_of_word(philox_word(5, 0, 0, 0, 0, i));
    for (int i = 0; i < TRAIN_ROWS + VAL_ROWS; i++)
        source_of[i] = i < TRAIN_ROWS ? STR("train") : STR("val");
    r->name = STR("rows");
    d->recipe = r;
    d->rows = TRAIN_ROWS + VAL_ROWS;
    vec_push(test_arena(), &d->columns,
             (DataColumn){STR("x"), DT_F32, shape_of(1, (int64_t[]){WIDTH}), WIDTH * 4, (char *)x});
    REQUIRE(splits_build(test_arena(), r, d->rows, source_of, NULL, &d->splits, &e) == GR_OK);
    return d;
}

static void add_setting(Recipe *r, const char *name, double x) {
    vec_push(test_arena(), &r->settings,
             (RecipeSetting){.name = str_of(name), .kind = SETTING_REAL, .value = x});
}

static Toy *toy(const char *folder, uint32_t threads) {
    Toy *t = PUSH(test_arena(), Toy, 1);
    Plan *p = toy_plan();
    Error e = {0};
    t->recipe = PUSH(test_arena(), Recipe, 1);
    t->recipe->resolved = STR("graph 1\n");
    add_setting(t->recipe, "lr", 0.05);
    add_setting(t->recipe, "poison", -1);
    add_setting(t->recipe, "kind", 0);
    vec_push(test_arena(), &t->recipe->objectives, (RecipeObjective){.name = STR("fit")});
    RecipePhase phase = {.epochs = EPOCHS, .batch = BATCH, .rows = BATCH, .shards = 1, .seed = 3};
    vec_push(test_arena(), &phase.runs, ((RecipeRun){.name = STR("train.fit"), .times = 1}));
    vec_push(test_arena(), &phase.validations, (RecipeValidation){.epochs = 1});
    vec_push(test_arena(), &phase.keep,
             (RecipeKeep){.inst = uniforms_input(p->uniforms, STR("series.val.total"), false)});
    vec_push(test_arena(), &t->recipe->phases, phase);
    t->data = toy_data();
    REQUIRE(exec_create(test_arena(), p, &k_code, (ExecOptions){threads}, &t->exec, &e) == GR_OK);
    t->job = (TrainJob){.recipe = t->recipe,
                        .exec = t->exec,
                        .data = &t->data,
                        .variant = STR("fused"),
                        .program = 42,
                        .interrupted = &t->stop,
                        .user = t,
                        .progress = progress};
    if (folder != NULL) {
        t->job.run = str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), folder);
        REQUIRE(rundir_use(test_arena(), t->job.run, access(t->job.run.s, F_OK) == 0, &e) == GR_OK);
    }
    return t;
}

static uint64_t bits_of(const Toy *t) {
    uint64_t h = 0;
    for (uint32_t b = B_W; b <= B_ACC; b++)
        h = hash_bytes(h, exec_buffer(t->exec, b), exec_plan(t->exec)->buffers.at[b].bytes);
    return h;
}

static GrStatus run(Toy *t, Error *e) {
    *e = (Error){0};
    GrStatus s = train_run(&t->job, e);
    if (s != GR_OK)
        exec_destroy(t->exec);             /* after a success its memory is still to be looked at */
    return s;
}

static uint64_t bits_uninterrupted(void) {
    Toy *t = toy(NULL, 1);
    Error e;
    REQUIRE(run(t, &e) == GR_OK);
    CHECK_INT(t->epochs, EPOCHS);
    uint64_t bits = bits_of(t);
    exec_destroy(t->exec);
    return bits;
}

/* metrics.jsonl without the times. */
static Str metrics_of(const Toy *t) {
    Str text = test_read(rundir_file(test_arena(), t->job.run, RUN_METRICS));
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

/* Stops after step k, goes on, stops after k more, and so on to the end. */
static void run_in_pieces(int64_t k, uint64_t expected, Str metrics, bool ahead) {
    char folder[32];
    snprintf(folder, sizeof folder, "every-%lld-%d", (long long)k, ahead);
    GrStatus s = GR_INTERRUPTED;
    for (int64_t at = k; s == GR_INTERRUPTED; at += k) {
        Toy *t = toy(folder, 1 + (uint32_t)(at % 3));
        Error e;
        t->stop_at = at;
        t->job.resume = at > k;
        t->job.load_ahead = ahead;
        s = run(t, &e);
        CHECK_MSG(s == GR_OK || s == GR_INTERRUPTED, "%s", e.what);
        if (s != GR_OK)
            continue;
        CHECK(bits_of(t) == expected);
        test_same_str(__FILE__, __LINE__, "metrics", metrics_of(t), metrics);
        exec_destroy(t->exec);
    }
}

TEST(resumed_is_uninterrupted) {
    uint64_t bits = bits_uninterrupted();
    Toy *whole = toy("whole", 2);
    Error e;
    REQUIRE(run(whole, &e) == GR_OK);
    CHECK(bits_of(whole) == bits);                         /* writing files and threads change nothing */
    exec_destroy(whole->exec);
    for (int64_t k = 1; k <= EPOCHS * EPOCH_STEPS; k++)
        run_in_pieces(k, bits, metrics_of(whole), k % 2 == 0);
}

TEST(a_finished_run_has_nothing_to_resume) {
    Toy *t = toy("run", 1), *again;
    Error e;
    REQUIRE(run(t, &e) == GR_OK);
    again = toy("run", 1);
    again->job.resume = true;
    REQUIRE(run(again, &e) == GR_OK);
    CHECK_INT(again->epochs, 0);
    CHECK(bits_of(again) == bits_of(t));
    exec_destroy(again->exec);
    exec_destroy(t->exec);
}

TEST(reports_and_validations_between_change_no_bit) {
    uint64_t bits = bits_uninterrupted();
    Toy *t = toy("run", 1);
    Error e;
    t->recipe->phases.at[0].report_steps = 2;
    t->recipe->phases.at[0].validations.at[0] = (RecipeValidation){.steps = 1};
    REQUIRE(run(t, &e) == GR_OK);
    CHECK_INT(t->reports, EPOCHS * EPOCH_STEPS / 2 + EPOCHS * EPOCH_STEPS);
    const float *w = exec_buffer(t->exec, B_W);
    Toy *plain = toy(NULL, 1);
    REQUIRE(run(plain, &e) == GR_OK && bits_of(plain) == bits);
    CHECK(memcmp(w, exec_buffer(plain->exec, B_W), WIDTH * 4) == 0);
    exec_destroy(plain->exec);
    exec_destroy(t->exec);
}

TEST(evaluation_gives_the_numbers_of_the_validation) {
    Toy *t = toy("run", 1), *u = toy(NULL, 2);
    TrainValues values;
    Error e = {0};
    REQUIRE(run(t, &e) == GR_OK);
    Str last = rundir_file(test_arena(), t->job.run, RUN_LAST), best = train_best(test_arena(), t->job.run);
    CHECK(str_ends(best, "best-1.safetensors"));
    REQUIRE(train_evaluate(test_arena(), &u->job, last, 0, STR("val"), &values, &e) == GR_OK);
    REQUIRE(values.at.n == 1);
    CHECK_STR(values.at.at[0].name, "val.total");
    CHECK(values.at.at[0].values[0] == t->val_total);
    REQUIRE(train_evaluate(test_arena(), &u->job, best, 0, STR("val"), &values, &e) == GR_OK);
    CHECK(values.at.at[0].values[0] == t->val_at_best);
    CHECK(train_evaluate(test_arena(), &u->job, best, 0, STR("test"), &values, &e) == GR_DATA);
    CHECK_SAYS(e, "no split `test`; it has train, val");
    exec_destroy(u->exec);
    exec_destroy(t->exec);
}

TEST(patience_and_steps_end_a_phase) {
    Error e;
    Toy *t = toy(NULL, 1);
    t->recipe->phases.at[0].epochs = 100;
    t->recipe->phases.at[0].patience = 2;
    t->recipe->phases.at[0].keep.at[0].highest = true;     /* the loss falls: only the first one improves */
    REQUIRE(run(t, &e) == GR_OK);
    CHECK(t->epochs < 20 && t->improved >= 1 && t->epochs >= t->improved + 2);
    exec_destroy(t->exec);
    t = toy(NULL, 1);
    t->recipe->phases.at[0].epochs = 0;
    t->recipe->phases.at[0].steps = 4;
    REQUIRE(run(t, &e) == GR_OK);
    CHECK(t->epochs == 2 && t->steps == 4);
    exec_destroy(t->exec);
    t = toy(NULL, 1);
    t->recipe->phases.at[0].drop_tail = true;
    REQUIRE(run(t, &e) == GR_OK);
    CHECK(t->epochs == EPOCHS && t->steps == 2 * EPOCHS);
    exec_destroy(t->exec);
}

TEST(a_step_that_is_not_finite_stops_the_run) {
    Error e;
    Toy *t = toy("run", 1);
    t->recipe->settings.at[1].value = 5;
    t->recipe->settings.at[2].value = HEALTH_NONFINITE;
    CHECK(run(t, &e) == GR_NONFINITE);
    CHECK_SAYS(e, "step 5 (epoch 2, step 2 of it): a loss or a gradient is not finite; nothing of the step "
                  "was written");
    t = toy(NULL, 1);
    t->recipe->settings.at[1].value = 1;
    t->recipe->settings.at[2].value = HEALTH_INDEX;
    CHECK(run(t, &e) == GR_DATA);
    CHECK_SAYS(e, "an index is outside its tensor");
}

TEST(a_full_disk_stops_the_run_and_keeps_the_last_checkpoint) {
    Error e;
    Toy *t = toy("run", 1);
    t->stop_at = 4;
    REQUIRE(run(t, &e) == GR_INTERRUPTED);
    Str last = rundir_file(test_arena(), t->job.run, RUN_LAST), before = test_read(last);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){before.n - 10, RLIM_INFINITY});
    t = toy("run", 1);
    t->job.resume = true;
    CHECK(run(t, &e) == GR_IO);
    CHECK_SAYS(e, "safetensors");
    test_same_str(__FILE__, __LINE__, "last", test_read(last), before);
}

/* ---- checkpoints that do not fit ---- */
static Toy *interrupted_run(void) {
    Error e;
    Toy *t = toy("run", 1);
    t->stop_at = 4;
    REQUIRE(run(t, &e) == GR_INTERRUPTED);
    CHECK_SAYS(e, "interrupted after step 4");
    t = toy("run", 1);
    t->job.resume = true;
    return t;
}

TEST(another_program_is_not_resumed) {
    Error e;
    Toy *t = interrupted_run();
    t->job.program = 43;
    CHECK(run(t, &e) == GR_CHANGED);
    CHECK_SAYS(e, "trained with another program");
}

TEST(another_model_is_not_resumed) {
    Error e;
    Toy *t = interrupted_run();
    Plan *p = (Plan *)exec_plan(t->exec);
    p->buffers.at[B_W].shape = shape_of(1, (int64_t[]){WIDTH + 1});
    CHECK(run(t, &e) == GR_CHANGED);
    CHECK_SAYS(e, "`net.w` is f32[2] there and f32[3] in the program");
    t = toy("run", 1);
    t->job.resume = true;
    ((Plan *)exec_plan(t->exec))->vars.at[1].path = STR("net.w.n");
    CHECK(run(t, &e) == GR_CHANGED);
    CHECK_SAYS(e, "has no `optim/net.w.n`");
    t = toy("run", 1);
    t->job.resume = true;
    ((Plan *)exec_plan(t->exec))->vars.n = 2;
    CHECK(run(t, &e) == GR_CHANGED);
    CHECK_SAYS(e, "holds `metric/fit.total`, which the program does not have");
}

TEST(a_checkpoint_cut_short_touches_nothing) {
    Toy *t = interrupted_run();
    Str path = rundir_file(test_arena(), t->job.run, RUN_LAST), whole = test_read(path);
    TrainState s;
    Error e;
    uint64_t before = bits_of(t);
    for (uint32_t n = 0; n < whole.n; n += 7) {
        test_write(path, (Str){whole.s, n});
        CHECK(checkpoint_load(test_arena(), t->exec, CHECKPOINT_RESUME, 42, path, &s, &e) == GR_CHECKPOINT);
        CHECK(bits_of(t) == before);
    }
    test_write(path, whole);
    CHECK(checkpoint_load(test_arena(), t->exec, CHECKPOINT_RESUME, 42, path, &s, &e) == GR_OK);
    CHECK_INT(s.step, 4);
    CHECK_INT(s.batch, 1);
    exec_destroy(t->exec);
}

/* ---- entries that come later ---- */
static GrStatus ensure(void *user, Str name, int64_t rows, const PlanEntry **out, Error *e) {
    Toy *t = user;
    Plan *p = (Plan *)exec_plan(t->exec);
    CHECK_STR(name, "train.fit.train");
    CHECK_INT(rows, 2);
    add_rows(p, 2, true);
    TRY(exec_update(t->exec, p, &k_code, e));
    *out = plan_entry(p, name.s, rows, "fused");
    return GR_OK;
}

TEST(a_missing_entry_is_asked_for) {
    uint64_t bits = bits_uninterrupted();
    Toy *t = toy(NULL, 2);
    Error e;
    Plan *p = (Plan *)exec_plan(t->exec);
    for (uint32_t i = 0; i < p->entries.n; i++) {
        if (p->entries.at[i].rows == 2)
            p->entries.at[i].name = STR("taken away");
    }
    t->job.ensure_entry = ensure;
    REQUIRE(run(t, &e) == GR_OK);
    CHECK(bits_of(t) == bits);
    exec_destroy(t->exec);
}
