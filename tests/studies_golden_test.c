/* One step of each model of graphs/vox and graphs/splat, compiled and fused, against PyTorch: losses, the
 * first moments of Adam (a tenth of each gradient, clipped and with decay), the states of batch norm.  Weights
 * and noise are the program's own; inputs follow a rule that tests/golden/studies.py knows too.  That file wrote
 * the numbers, and says where the tolerance comes from. */
#include "program_case.h"
#include "test.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

/* A number of 0 .. 65535 for element i. */
static uint32_t turn(int64_t i) {
    return ((uint32_t)i + 1) * 2654435761u >> 16;
}

/* ---- inputs ---- */
static void fill_grid(uint8_t *to, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        to[i] = turn(i) % 167 == 0 ? (uint8_t)(1 + turn(i) % 4) : 0;
}

enum { POINTS = 8, PLACE = 3 };
static bool padded(int64_t point) { /* the last n points of row n */
    return point % POINTS >= POINTS - point / POINTS;
}

static void fill_kind(uint8_t *to, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        to[i] = padded(i) ? 0 : (uint8_t)(1 + turn(i) % 4);
}

static void fill_place(float *to, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        to[i] = padded(i / PLACE) ? 1 : (float)(turn(i) % 11) / 11;
}

static void fill_image(float *to, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)turn(i) / 16384 - 2;
}

static void fill(const char *column, Tensor *t) {
    int64_t n = shape_count(t->shape);
    if (strcmp(column, "grid") == 0)
        fill_grid(t->data, n);
    else if (strcmp(column, "kind") == 0)
        fill_kind(t->data, n);
    else if (strcmp(column, "place") == 0)
        fill_place(t->data, n);
    else if (strcmp(column, "x") == 0)
        fill_image(t->data, n);
    else
        test_failed(__FILE__, __LINE__, "no rule for the column %s", column);
}

/* ---- running a step ---- */
/* Only its first graphs: what a step needs. */
static Module shortened(const Module *m) {
    Module out = *m;
    out.graphs.n = PROGRAM_TRAIN + 1;
    return out;
}

static const Tensor *inputs(const Graph *g) {
    Tensor *columns = PUSH(test_arena(), Tensor, g->columns.n + 1);
    for (uint32_t i = 0; i < g->columns.n; i++) {
        columns[i] = tensor_new(test_arena(), g->columns.at[i].dtype, g->columns.at[i].shape);
        fill(intern_str(g->module->names, g->columns.at[i].name).s, &columns[i]);
    }
    return columns;
}

/* The program as it stands, with a smaller batch, and the generator of this build. */
static ProgramCase opened(const json_t *numbers, const char *file, int64_t rows) {
    const char *module = json_string_value(json_object_get(numbers, "module"));
    const json_t *settings = json_object_get(numbers, "settings");
    ProgramWish w = {.batch = rows, .steps = 1};
    w.file = str_format(test_arena(), "%.*s/graphs/%s.graph", FSTR(test_root()), file).s;
    w.settings[0] = str_format(test_arena(), "%s.library=%s/%s.so", module, GRAPHC_BUILD,
                               str_ends(str_of(module), "splat") ? "splats" : "robots").s;
    for (size_t i = 0; i < json_array_size(settings); i++)
        w.settings[i + 1] = json_string_value(json_array_get(settings, i));
    ProgramCase c;
    Buf why = buf_make(test_arena());
    if (!program_case(&w, &c, &why)) {
        test_failed(__FILE__, __LINE__, "%s: %.*s", file, FSTR(buf_str(&why)));
        test_end();
    }
    return c;
}

/* What is there after the first values and one step on our inputs. */
static After stepped(const ProgramCase *c) {
    Module meaning = shortened(c->scenario.meaning), final = shortened(c->scenario.final);
    Moment init = c->scenario.moments[0], train = c->scenario.moments[2];
    train.columns = inputs(meaning.graphs.at[PROGRAM_TRAIN]);
    Moment moments[2] = {init, train};
    Scenario s = {&meaning, &final, NULL, moments, 2, c->scenario.math};
    After out[2];
    Error e = {0};
    REQUIRE(init.graph == PROGRAM_INIT && train.graph == PROGRAM_TRAIN);
    if (modes_run(test_arena(), &s, (Mode){"host", true, 2}, out, &e) != GR_OK) {
        test_failed(__FILE__, __LINE__, "%s", e.what);
        test_end();
    }
    CHECK_INT(out[1].health, 0);
    return out[1];
}

/* ---- comparing ---- */
/* What is 0 but for rounding (the gradient of a bias before a batch norm, a divergence of nearly equal
 * distributions) is held against the whole: a hundredth of the total loss, a thousandth of the norm of all
 * first moments. */
typedef struct {
    const char *of;
    double tolerance, worst, least;
} Compare;

static void near(Compare *c, const char *what, double is, double want, double scale) {
    double error = fabs(is - want) / fmax(scale, c->least);
    c->worst = fmax(c->worst, error);
    CHECK_MSG(error <= c->tolerance, "%s: %s is %.7g, PyTorch says %.7g: off by %.2g of %.3g", c->of, what,
              is, want, error, scale);
}

static void compare_var(Compare *c, const char *path, const Tensor *t, const json_t *marks) {
    const float *x = t->data;
    int64_t n = shape_count(t->shape);
    double sum = 0, square = 0, want[4], largest = 0;
    REQUIRE(t->dtype == DT_F32 && json_array_size(marks) == 4);
    for (int i = 0; i < 4; i++)
        want[i] = json_number_value(json_array_get(marks, (size_t)i));
    for (int64_t i = 0; i < n; i++) {
        sum += x[i];
        square += (double)x[i] * x[i];
        largest = fmax(largest, fabs((double)x[i]));
    }
    const char *names[] = {"the sum of", "the norm of", "the first of", "the last of"};
    double is[] = {sum, sqrt(square), x[0], x[n - 1]};
    double scale[] = {want[1] * sqrt((double)n), want[1], largest, largest};
    for (int i = 0; i < 4; i++)
        near(c, str_format(test_arena(), "%s %s", names[i], path).s, is[i], want[i], scale[i]);
}

static double norm_of_moments(const json_t *all) {
    double square = 0;
    const char *path;
    json_t *marks;
    json_object_foreach((json_t *)all, path, marks) {
        double norm = strstr(path, ".adam.m") != NULL ? json_number_value(json_array_get(marks, 1)) : 0;
        square += norm * norm;
    }
    return sqrt(square);
}

/* `brief`: PyTorch tells of some variables only. */
static void compare_vars(Compare *c, const Module *m, const After *after, const json_t *all, bool brief) {
    size_t found = 0;
    c->least = norm_of_moments(all) / 1000;
    REQUIRE(c->least > 0);
    for (uint32_t i = 0; i < m->vars.n; i++) {
        const char *path = str_copy(test_arena(), m->vars.at[i].path).s;
        const json_t *marks = json_object_get(all, path);
        bool asked = strstr(path, ".adam.m") != NULL || strstr(path, ".batchnorm") != NULL;
        asked &= m->vars.at[i].kind != VAR_PARAM && strstr(path, ".adam.v") == NULL;
        CHECK_MSG(marks != NULL || !asked || brief, "%s: PyTorch has no %s", c->of, path);
        if (marks != NULL) {
            compare_var(c, path, &after->vars[i], marks);
            found++;
        }
    }
    CHECK_INT(found, json_object_size(all));
}

static void compare_losses(Compare *c, const Graph *g, const After *after, const json_t *all) {
    size_t found = 0;
    c->least = fabs(json_number_value(json_object_get(all, "total"))) / 100;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const Output *o = &g->outputs.at[i];
        const char *name = o->kind == OUT_TOTAL ? "total" : intern_str(g->module->names, o->name).s;
        const json_t *want = o->kind == OUT_WEIGHT ? NULL : json_object_get(all, name);
        if (want == NULL)
            continue;
        double value = json_number_value(want);
        near(c, name, *(const float *)after->outputs[i].data, value, fabs(value));
        found++;
    }
    CHECK_INT(found, json_object_size(all));
}

static void compare(const json_t *numbers, int64_t rows) {
    double tolerance = json_number_value(json_object_get(numbers, "tolerance"));
    const char *file = json_string_value(json_object_get(numbers, "file"));
    char *settings = json_dumps(json_object_get(numbers, "settings"), JSON_COMPACT);
    Compare c = {str_format(test_arena(), "%s %s", file, settings).s, tolerance, 0, 0};
    free(settings);
    REQUIRE(tolerance > 0);
    ProgramCase p = opened(numbers, file, rows);
    const Module *m = p.scenario.meaning;
    After after = stepped(&p);
    compare_losses(&c, m->graphs.at[PROGRAM_TRAIN], &after, json_object_get(numbers, "losses"));
    bool brief = json_is_true(json_object_get(numbers, "brief"));
    compare_vars(&c, m, &after, json_object_get(numbers, "vars"), brief);
    printf("%s: off by %.2g at most\n", c.of, c.worst);
    program_case_close(&p);
}

static void compare_all(const char *const *files) {
    json_error_t wrong;
    Str path = str_format(test_arena(), "%.*s/tests/golden/studies.json", FSTR(test_root()));
    json_t *all = json_load_file(path.s, 0, &wrong), *numbers;
    REQUIRE(all != NULL);
    int64_t rows = json_integer_value(json_object_get(all, "rows"));
    REQUIRE(rows == 4);
    for (; *files != NULL; files++) {
        size_t i, found = 0;
        json_array_foreach(json_object_get(all, "cases"), i, numbers) {
            if (strcmp(json_string_value(json_object_get(numbers, "file")), *files) == 0) {
                compare(numbers, rows);
                found++;
            }
        }
        CHECK_MSG(found > 0, "no numbers for %s", *files);
    }
    json_decref(all);
}
#define LIKE_PYTORCH(name, ...)                                                                              \
    TEST_ALL(name) { compare_all((const char *const[]){__VA_ARGS__, NULL}); }

LIKE_PYTORCH(flat_grids_are_those_of_pytorch, "vox/fc")
LIKE_PYTORCH(grids_are_those_of_pytorch, "vox/conv", "vox/conv_pool", "vox/conv_skip")
LIKE_PYTORCH(deep_grids_are_those_of_pytorch, "vox/deep", "vox/batch_norm")
LIKE_PYTORCH(sets_are_those_of_pytorch, "vox/sparse", "vox/pointnet_v1", "vox/attention")
LIKE_PYTORCH(last_sets_are_those_of_pytorch, "vox/pointnet_v2")
LIKE_PYTORCH(losses_of_sets_are_those_of_pytorch, "vox/losses/matching", "vox/losses/evenness",
             "vox/losses/padding", "vox/losses/counted")
LIKE_PYTORCH(splats_are_those_of_pytorch, "splat/conv", "splat/weighted")
LIKE_PYTORCH(residual_splats_are_those_of_pytorch, "splat/resnet")
