/* docs/semantics.md, the clauses that are about programs: which form a sum takes, terms of weight zero,
 * uniform scalars, streams of random numbers, batches. */
#include "inputs.h"
#include "program_case.h"
#include "run.h"
#include "test.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Comment, more of the model's file, more of the objective, how to train. */
static const char k_program[] =
    "%s"
    "graph 1\n"
    "setting lr : real = 0.1\n"
    "setting beta : real = 1\n"
    "data points {\n"
    "    from fresh(rows = 100) as train\n"
    "    from fresh(rows = 75) as val\n"
    "    u[k < 6] = normal()\n"
    "    x : f32[6] = u\n"
    "    kind : u8 < 3 = integer(0, 3)\n"
    "}\n"
    "%s"
    "model net(x : real[N, 6]) -> (h : real[N, 3]) { h = x |> linear(5) |> relu |> dropout(0.25) |> "
    "linear(3) }\n"
    "objective fit(b : points[N]) {\n"
    "    h = net(b.x)\n"
    "    loss ce = cross_entropy(reparameterize(h, 0.1 * h), b.kind) weight beta * ramp(epoch + 1, 3)\n"
    "%s"
    "    metric accuracy = accuracy(h, b.kind)\n"
    "}\n"
    "train { %s;  seed 1 }\n";
static const char k_adam[] = "optimizer adam(lr = lr * warmup(step, 10));  epochs 2;  batch 7";

static const char *write_program(const char *name, const char *comment, const char *models, const char *terms,
                                 const char *train) {
    Arena *a = test_arena();
    Str path = str_format(a, "%.*s/%s.graph", FSTR(test_folder()), name);
    test_write(path, str_format(a, k_program, comment, models, terms, train));
    return path.s;
}

static void opened(const ProgramWish *w, ProgramCase *out) {
    Buf why = buf_make(test_arena());
    if (program_case(w, out, &why))
        return;
    test_failed(w->file, 1, "%s", why.n ? why.s : "cannot be opened");
    test_end();
}

static const After *interpreted(const ProgramCase *c) {
    After *after = PUSH(test_arena(), After, c->scenario.n_moments);
    Error e = {0};
    CHECK_MSG(modes_interpret(test_arena(), &c->scenario, after, &e) == GR_OK, "%s", e.what);
    return after;
}

static uint32_t var_named(const Module *m, Str path) {
    for (uint32_t i = 0; i < m->vars.n; i++) {
        if (str_eq(m->vars.at[i].path, path))
            return i;
    }
    test_failed(__FILE__, __LINE__, "there is no variable %.*s", FSTR(path));
    test_end();
}

/* Every parameter of `net` in x and y, after all moments. */
static void same_net(const ProgramCase *x, const After *a, const ProgramCase *y, const After *b) {
    const Module *m = x->scenario.meaning, *n = y->scenario.meaning;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < m->vars.n; i++) {
        Str path = m->vars.at[i].path;
        if (m->vars.at[i].kind != VAR_PARAM || !str_starts(path, "net."))
            continue;
        seen++;
        int64_t where = 0;
        CHECK_MSG(tensor_same(&a[x->scenario.n_moments - 1].vars[i],
                              &b[y->scenario.n_moments - 1].vars[var_named(n, path)], &where),
                  "%.*s[%lld] differs", FSTR(path), (long long)where);
    }
    CHECK_INT(seen, 4);
}

/* ---- 1 ---- */
static uint32_t count(const Graph *g, Op op) {
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        n += g->nodes.at[i].op == op;
    }
    return n;
}

static void expect_form(const char *sum, uint32_t contracts) {
    Arena *a = test_arena();
    SourceSet *files = sources_create(a);
    Diags *ds = diags_create(a, files);
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    Str text = str_format(
        a, "graph 1\nexport f(x : real[4, 6], w : real[6, 3], v : real[6]) -> (y : real[..]) { %s }\n", sum);
    Program *p = program_check(a, files, sources_add(files, STR("form.graph"), text), 0, NULL, math, NULL, ds);
    Graph *g = diags_errors(ds) == 0 ? lower_graph(p, LOWER_EXPORT, STR("f"), 1, ds) : NULL;
    if (g == NULL) {
        Buf out = buf_make(a);
        diags_render(ds, &out, false);
        test_failed(__FILE__, __LINE__, "%s: %s", sum, out.n ? out.s : "not lowered");
        return;
    }
    CHECK_MSG(count(g, OP_contract) == contracts, "%s: %u contracts, expected %u", sum, count(g, OP_contract),
              contracts);
    Graph *last = pipeline_run(a, g, &(PassOptions){0}, files, ds);
    CHECK_MSG(count(last, OP_contract) == contracts, "%s: a pass changed the form", sum);
}

TEST(clause_1_the_form_of_the_source_decides) {
    expect_form("y[n, m] = sum[k] x[n, k] * w[k, m]", 1);
    expect_form("y[n] = sum[k] x[n, k] * v[k]", 1);
    expect_form("y[n] = sum[k] 2 * x[n, k] * v[k]", 1);
    expect_form("y[n] = sum[k] x[n, k] * x[n, k]", 0);
    expect_form("y[n] = sum[k] exp(x[n, k]) * v[k]", 0);
    expect_form("y[n] = sum[k] (x[n, k] + v[k])", 0);
}

/* ---- 6 ---- */
TEST(clause_6_a_term_of_weight_zero_trains_as_if_it_were_not_there) {
    const char *terms = "    loss bad = mean[n] log(h[n, 0] - h[n, 0]) weight 0\n";
    ProgramWish with = {.file = write_program("with", "", "", terms, k_adam), .steps = 2};
    ProgramWish without = {.file = write_program("without", "", "", "", k_adam), .steps = 2};
    ProgramCase x, y;
    opened(&with, &x);
    opened(&without, &y);
    const After *a = interpreted(&x), *b = interpreted(&y);
    CHECK_INT(a[x.scenario.n_moments - 1].health, 0);
    same_net(&x, a, &y, b);
    program_case_close(&x);
    program_case_close(&y);
}

static void check_trains_finite(const char *name, const char *terms) {
    ProgramWish w = {.file = write_program(name, "", "", terms, k_adam), .steps = 2};
    ProgramCase c;
    opened(&w, &c);
    const After *a = interpreted(&c);
    const After *last = &a[c.scenario.n_moments - 1];
    CHECK_INT(last->health, 0);
    for (uint32_t i = 0; i < c.scenario.meaning->vars.n; i++) {
        const Tensor *t = &last->vars[i];
        for (int64_t k = 0; t->dtype == DT_F32 && k < shape_count(t->shape); k++) {
            CHECK(isfinite(((float *)t->data)[k]));
        }
    }
    program_case_close(&c);
}

TEST(clause_6_softmax_of_minus_infinity_is_zero) {
    check_trains_finite("softmax", "    z[n, k] = where(b.kind[n] == 0, -inf, h[n, k])\n"
                                   "    loss s = mean[..] (softmax(z) - 0.2)^2\n");
}

TEST(clause_2_the_mean_of_nothing_is_zero) {
    check_trains_finite("nothing", "    none = h[:, 1:1]\n"
                                   "    loss no_dims = mean[..] none^2\n"
                                   "    each[n] = mean[k] none[n,k]^2\n"
                                   "    loss no_terms = mean[n] (each[n] + h[n,0])^2\n"
                                   "    loss none_accepted = mean[n, k, k > 5] h[n,k]^2\n");
}

/* ---- 7 ---- */
static bool hands_out(const ProgramCase *c, const UValue *u, float x) {
    for (uint32_t i = 0; i < c->session.module->uniforms->outputs.n; i++) {
        if (u[i].f == x)
            return true;
    }
    return false;
}

static bool holds_const(const Graph *g, float x) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        if (g->nodes.at[i].op == OP_const && g->nodes.at[i].dtype == DT_F32 &&
            g->nodes.at[i].attr.constant.f == (double)x)
            return true;
    }
    return false;
}

TEST(clause_7_scalars_of_a_step_are_f64) {
    ProgramWish w = {.file = write_program("adam", "", "", "", k_adam), .steps = 3};
    ProgramCase c;
    opened(&w, &c);
    const UValue *third = c.scenario.moments[c.scenario.n_moments - 1].uniforms;
    double rate = 0.1 * fmin((2.0 + 1) / 10, 1);
    CHECK(hands_out(&c, third, (float)(rate / (1 - pow(0.9, 3)))));
    CHECK(hands_out(&c, third, (float)(1 / sqrt(1 - pow(0.999, 3)))));
    CHECK(1 - 0.999f != (float)(1 - 0.999) &&
          holds_const(c.scenario.meaning->graphs.at[PROGRAM_TRAIN], (float)(1 - 0.999)));
    program_case_close(&c);
}

static const Planned *fused(const ProgramCase *c) {
    Planned *p = PUSH(test_arena(), Planned, 1);
    Error e = {0};
    FuseOptions o = {.fused = true, .threads = 2, .cpu = "avx2"};
    CHECK_MSG(fuse_module(test_arena(), c->scenario.final, &o, p, &e) == GR_OK, "%s", e.what);
    return p;
}

TEST(clause_7_run_time_settings_do_not_recompile) {
    const char *file = write_program("run-time", "", "", "", k_adam);
    ProgramWish one = {.file = file}, other = {.file = file, .settings = {"lr=0.375", "beta=0"}};
    ProgramCase x, y;
    opened(&one, &x);
    opened(&other, &y);
    const Planned *a = fused(&x), *b = fused(&y);
    CHECK_INT(a->kernels.n, b->kernels.n);
    for (uint32_t i = 0; i < a->kernels.n && i < b->kernels.n; i++) {
        CHECK_MSG(kernel_key(a->kernels.at[i]) == kernel_key(b->kernels.at[i]), "kernel %.*s",
                  FSTR(a->kernels.at[i]->name));
    }
    program_case_close(&x);
    program_case_close(&y);
}

/* ---- 8 ---- */
TEST(clause_8_comments_metrics_and_other_models_change_no_number) {
    const char *other = "model other(x : real[N, 6]) -> (y : real[N, 1]) { y = x |> linear(4) |> "
                        "dropout(0.5) |> linear(1) }\n";
    const char *terms = "    metric size = mean[..] h^2\n    loss second = mean[..] (other(b.x) - 1)^2\n";
    ProgramWish plain = {.file = write_program("plain", "", "", "", k_adam), .steps = 2};
    ProgramWish more = {.file = write_program("more", "# a comment\n", other, terms, k_adam), .steps = 2};
    ProgramCase x, y;
    opened(&plain, &x);
    opened(&more, &y);
    same_net(&x, interpreted(&x), &y, interpreted(&y));
    program_case_close(&x);
    program_case_close(&y);
}

/* The second of two validations, at another step of another epoch: batch for batch the same draws. */
TEST(clause_8_every_validation_sees_the_same_noise) {
    ProgramWish w = {.file = write_program("noise", "", "", "", k_adam), .steps = 1, .evaluate = true};
    ProgramCase c;
    opened(&w, &c);
    Moment moments[16];
    uint32_t n = c.scenario.n_moments;
    memcpy(moments, c.scenario.moments, n * sizeof *moments);
    REQUIRE(moments[n - 2].graph == PROGRAM_EVAL);
    Counters later = {.epoch = 3,
                      .step = 50,
                      .update = 51,
                      .clock = 0,
                      .seed = 1,
                      .batch = 7,
                      .rows = 7,
                      .epochs = 2,
                      .steps = 100,
                      .epoch_steps = 10};
    const UValue *u = uniform_values(test_arena(), c.session.recipe, c.session.module->uniforms, &later);
    memcpy(moments + n, moments + n - 3, 3 * sizeof *moments);
    moments[n + 1].uniforms = u;
    c.scenario.moments = moments, c.scenario.n_moments = n + 3;
    const After *after = interpreted(&c);
    const Graph *finish = c.scenario.meaning->graphs.at[PROGRAM_FINISH];
    for (uint32_t i = 0; i < finish->outputs.n; i++) {
        if (finish->outputs.at[i].kind != OUT_LOSS && finish->outputs.at[i].kind != OUT_METRIC)
            continue;
        int64_t where;
        CHECK(tensor_same(&after[n - 1].outputs[i], &after[n + 2].outputs[i], &where));
    }
    program_case_close(&c);
}

/* ---- 10 ---- */
/* The last line of metrics.jsonl of one epoch at rate 0, so that every batch sees the same parameters. */
static json_t *metrics_at_batch(int batch) {
    Arena *a = test_arena();
    Str name = str_format(a, "batch%d", batch),
        train = str_format(a, "optimizer sgd(lr = 0);  epochs 1;  batch %d", batch);
    const char *terms = "    loss plain = cross_entropy(h, b.kind)\n    metric hits = sum[n] ((argmax[k] "
                        "h[n, k]) == b.kind[n])\n";
    write_program(name.s, "", "", terms, train.s);
    Str line = str_format(a,
                          "cd '%.*s' && XDG_CACHE_HOME='%.*s/cache' " GRAPHC_BUILD
                          "/graphc train %s.graph -q --run %s-run 2>&1",
                          FSTR(test_folder()), FSTR(test_folder()), name.s, name.s);
    FILE *p = popen(line.s, "r");
    char said[4096];
    size_t n = p ? fread(said, 1, sizeof said - 1, p) : 0;
    said[n] = '\0';
    if (p == NULL || pclose(p) != 0) {
        test_failed(__FILE__, __LINE__, "%s: %s", name.s, said);
        test_end();
    }
    Str log = test_read(str_format(a, "%.*s/%s-run/metrics.jsonl", FSTR(test_folder()), name.s));
    uint32_t from = log.n - 1;
    while (from > 0 && log.s[from - 1] != '\n') {
        from--;
    }
    json_error_t e;
    json_t *object = json_loadb(log.s + from, log.n - from, 0, &e);
    CHECK_MSG(object != NULL, "%s: %.*s", e.text, FSTR(log));
    return object;
}

static double number_of(json_t *line, const char *key) {
    json_t *x = json_object_get(line, key);
    json_t *values = json_object_get(line, "values");
    x = x == NULL && values != NULL ? json_object_get(values, key) : x;
    CHECK_MSG(json_is_number(x), "no number %s in %s", key, json_dumps(line, 0));
    return json_number_value(x);
}

TEST_ALL(clause_10_metrics_do_not_depend_on_the_batch) {
    static const int batches[] = {7, 32, 64};
    json_t *lines[3];
    for (int i = 0; i < 3; i++) {
        lines[i] = metrics_at_batch(batches[i]);
    }
    for (int i = 1; i < 3; i++) {
        CHECK(number_of(lines[i], "val.accuracy") ==
              number_of(lines[0], "val.accuracy")); /* counts, exactly */
        CHECK(number_of(lines[i], "val.hits") == number_of(lines[0], "val.hits"));
        /* weighted by rows */
        CHECK(fabs(number_of(lines[i], "val.plain") / number_of(lines[0], "val.plain") - 1) < 1e-5);
    }
    for (int i = 0; i < 3; i++) {
        json_decref(lines[i]);
    }
}

/* A last batch with as many rows as there are classes: constants of both are one node. */
TEST(clause_10_as_many_rows_as_classes) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               STR("graph 1\n"
                   "setting rows : dim = 7\n"
                   "data points {\n"
                   "    from fresh(rows = 60) as train;  from fresh(rows = 60) as val\n"
                   "    h[k < 4] = normal();  kind : u8 < 4 = row mod 4;  p = uniform();  side = uniform() > 0.5\n"
                   "}\n"
                   "model net() -> (y : real) { param w : real = 1;  y = w }\n"
                   "objective fit(b : points[N]) {\n"
                   "    said[n] = argmax[k] b.h[n,k]\n"
                   "    loss size = net()^2\n"
                   "    metric top = top_accuracy(b.h, b.kind, 2)\n"
                   "    metric f1 = weighted_f1(said, b.kind, classes = 4)\n"
                   "    metric area = auc(b.p, b.side)\n"
                   "}\n"
                   "train { optimizer sgd(lr = 0.1);  steps 1;  batch rows }\n"));
    test_expect("graphc train p.graph -q --run seven && graphc train p.graph -q --run all -s rows=60", 0, "");
    test_expect("for r in seven all; do graphc eval p.graph --run $r --split val | sed 1d > $r.txt; done", 0, "");
    test_expect("grep -c . seven.txt && cmp seven.txt all.txt", 0, "6");
}
