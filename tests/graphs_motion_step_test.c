/* One step of each model and each loss of graphs/dots, graphs/arm and graphs/occ against numbers of PyTorch:
 * losses, the gradient of every weight, the states that batch norm leaves behind.
 *
 * tests/golden/motion.json holds them, golden/motion.py made them and says how.  Weights and columns are not
 * stored: both sides make them from their names.  Of a gradient are kept its sum, the sum of its magnitudes,
 * the largest one and three elements: [sum, magnitudes, largest, first, middle, last].  The same is kept of what batch
 * norm leaves (`states`), and where the optimiser is the program's own of the weights after the step (`updated`). */
#include "grad.h"
#include "lang.h"
#include "test.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

typedef struct {
    Arena *a;
    const char *name;
    json_t *numbers;
    Diags *ds;
    Program *program;
    Recipe *recipe;
    Module *module;
    bool f64;
    double tolerance;
    Tensor *vars;
} Step;

/* ---- numbers from names ---- */

static uint64_t stream_of_name(Str name) {
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a */
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)name.s[i]) * 0x100000001b3;
    return h;
}

/* A whole number of 0 .. 1023: SplitMix64, its upper bits. */
static uint32_t next_number(uint64_t *s) {
    uint64_t z = *s += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)((z ^ z >> 31) >> 54);
}

/* Multiples of 2^-10 between -1 and 1. */
static double next_share(uint64_t *s) { return ((double)next_number(s) - 511.5) / 512; }

static void put(Tensor *t, int64_t i, double x) {
    switch (t->dtype) {
    case DT_F32: ((float *)t->data)[i] = f32_of_f64(x); return;
    case DT_F64: ((double *)t->data)[i] = x; return;
    case DT_F16: ((uint16_t *)t->data)[i] = f16_of_f32(f32_of_f64(x)); return;
    case DT_I32: ((int32_t *)t->data)[i] = (int32_t)x; return;
    case DT_U8: case DT_BOOL: ((uint8_t *)t->data)[i] = (uint8_t)x; return;
    case DT_I64: case DT_BF16: case DT_COUNT: REQUIRE(!"a type that no program of the three has");
    }
}

static double get(const Tensor *t, int64_t i) {
    return t->dtype == DT_F64 ? ((double *)t->data)[i] : (double)((float *)t->data)[i];
}

static Tensor make(const Step *s, DType declared, Shape shape) {
    DType d = s->f64 && dtype_is_float(declared) ? DT_F64 : declared;
    return (Tensor){d, shape, arena_push(s->a, dtype_bytes(d) * (size_t)shape_count(shape) + 1, 64)};
}

/* A matrix or a kernel shrinks by a power of two near the root of what is summed, so that values stay near 1. */
static void fill_weight(const Var *v, Tensor *t) {
    uint64_t stream = stream_of_name(v->path);
    int64_t n = shape_count(t->shape);
    int64_t fan = t->shape.rank > 2 ? n / t->shape.dim[0] : t->shape.rank == 2 ? t->shape.dim[0] : 1;
    double scale = t->shape.rank > 1 ? 1 : 0.125, least = 0;
    for (int64_t covered = 1; covered < fan; covered *= 4)
        scale /= 2;
    if (str_ends(v->path, ".gain"))
        least = 1;
    for (int64_t i = 0; i < n; i++)
        put(t, i, least + scale * next_share(&stream));
}

static Tensor column(Step *s, const Column *c) {
    Str name = intern_str(s->module->names, c->name);
    const json_t *as = json_object_get(json_object_get(s->numbers, "columns"), name.s);
    Tensor t = make(s, c->dtype, c->shape);
    uint64_t stream = stream_of_name(name);
    CHECK_MSG(as != NULL, "%s: no numbers for column %s", s->name, name.s);
    double below = json_number_value(json_object_get(as, "below"));
    double scale = json_number_value(json_object_get(as, "scale")), at = json_number_value(json_object_get(as, "at"));
    for (int64_t i = 0; i < shape_count(c->shape); i++)
        put(&t, i, below > 0 ? fmod(next_number(&stream), below) : at + scale * next_share(&stream));
    return t;
}

/* ---- the program ---- */

static void give_up(Step *s, const char *what) {
    Buf text = buf_make(s->a);
    diags_render(s->ds, &text, false);
    test_failed(__FILE__, __LINE__, "%s: %s\n%s", s->name, what, text.s ? text.s : "");
    test_end();
}

/* The text of the program, with what is named in `instead` replaced. */
static Str text_of(Step *s, Str path) {
    Str text = test_read(path);
    const char *old;
    json_t *new;
    json_object_foreach(json_object_get(s->numbers, "instead"), old, new) {
        const char *at = strstr(text.s, old);
        REQUIRE(at != NULL);
        text = str_format(s->a, "%.*s%s%s", (int)(at - text.s), text.s, json_string_value(new), at + strlen(old));
    }
    return text;
}

static void open_program(Step *s) {
    const char *file = json_string_value(json_object_get(s->numbers, "file"));
    const json_t *settings = json_object_get(s->numbers, "settings");
    SettingArg *args = PUSH(s->a, SettingArg, json_object_size(settings) + 1);
    uint32_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)settings, name, value)
        args[n++] = (SettingArg){str_of(name), str_of(json_string_value(value)), false};
    SourceSet *files = sources_create(s->a);
    s->ds = diags_create(s->a, files);
    const Math *math;
    Error e = {0};
    Str path = str_format(s->a, "%.*s/graphs/%s", FSTR(test_root()), file);
    const Source *main = sources_add(files, path, text_of(s, path));
    REQUIRE(math_create(s->a, &math, &e) == GR_OK);
    s->program = program_check(s->a, files, main, n, args, math, NULL, s->ds);
    if (diags_errors(s->ds) > 0)
        give_up(s, "it has errors");
    s->recipe = program_recipe(s->program);
    s->module = program_module(s->program);
}

static double setting(const Step *s, Str input) {
    for (uint32_t i = 0; i < s->recipe->settings.n; i++) {
        const RecipeSetting *x = &s->recipe->settings.at[i];
        if (str_eq(x->name, (Str){input.s + 8, input.n - 8}))
            return x->value;
    }
    return 0;
}

/* Counters at the first step of one; schedules divide by how many there are. */
static const UValue *first_uniforms(Step *s, int64_t rows) {
    const Uniforms *u = s->module->uniforms;
    double *in = PUSH(s->a, double, u->inputs.n + 1), *values = PUSH(s->a, double, u->insts.n + 1);
    UValue *out = PUSH(s->a, UValue, u->outputs.n + 1);
    for (uint32_t i = 0; i < u->inputs.n; i++) {
        Str name = u->inputs.at[i].name;
        bool one = str_is(name, "seed") || str_is(name, "update") || str_is(name, "epochs") || str_is(name, "steps") ||
                   str_is(name, "epoch_steps");
        in[i] = str_starts(name, "setting.") ? setting(s, name) : str_is(name, "rows") ? (double)rows : one ? 1 : 0;
    }
    uniforms_run(u, in, values, out);
    return out;
}

static Tensor *evaluate(Step *s, const Graph *g) {
    Tensor *in = PUSH(s->a, Tensor, g->columns.n + 1), *out = PUSH(s->a, Tensor, g->outputs.n + 1);
    for (uint32_t i = 0; i < g->columns.n; i++)
        in[i] = column(s, &g->columns.at[i]);
    EvalRun run = {.graph = g, .vars = s->vars, .columns = in, .uniforms = first_uniforms(s, g->rows),
                   .f64 = s->f64, .threads = 1};
    Error e = {0};
    if (graph_eval(s->a, &run, out, &e) != GR_OK)
        test_failed(__FILE__, __LINE__, "%s: %s", s->name, e.what);
    CHECK_INT(run.health, 0);
    return out;
}

/* States begin as the program says, weights and what is asked of the data (statistics) as above. */
static void begin(Step *s) {
    Graph *init = lower_graph(s->program, LOWER_INIT, STR("init"), 0, s->ds);
    if (init == NULL || (init = grad_expand(s->a, init, s->ds)) == NULL)
        give_up(s, "no initial values");
    s->vars = PUSH(s->a, Tensor, s->module->vars.n + 1);
    for (uint32_t i = 0; i < s->module->vars.n; i++)
        s->vars[i] = make(s, s->module->vars.at[i].dtype, s->module->vars.at[i].shape);
    evaluate(s, init);
    for (uint32_t i = 0; i < s->module->vars.n; i++) {
        const Var *v = &s->module->vars.at[i];
        const json_t *given = json_object_get(json_object_get(s->numbers, "given"), v->path.s);
        if (v->kind == VAR_PARAM)
            fill_weight(v, &s->vars[i]);
        for (size_t k = 0; k < json_array_size(given); k++)
            put(&s->vars[i], (int64_t)k, json_number_value(json_array_get(given, k)));
    }
}

/* Each gradient as one more output, named for its weight: where training looks whether it is finite. */
static const Graph *step_graph(Step *s) {
    static const char of[] = "gradient of ";
    const char *run = json_string_value(json_object_get(s->numbers, "run"));
    int64_t rows = json_integer_value(json_object_get(s->numbers, "rows"));
    Graph *g = lower_graph(s->program, LOWER_TRAIN, str_of(run), rows, s->ds);
    if (g == NULL)
        give_up(s, "it cannot be lowered");
    for (uint32_t i = 0; i < g->effects.n; i++) {
        const Node *n = node_of(g, g->effects.at[i]);
        Str name = n->op == OP_check ? intern_str(s->module->names, n->attr.check.name) : (Str){0};
        if (str_starts(name, of)) {
            Str path = {name.s + sizeof of - 1, name.n - (uint32_t)(sizeof of - 1)};
            graph_output(g, OUT_VALUE, intern_id(s->module->names, path), operand(g, g->effects.at[i], 0));
        }
    }
    if ((g = grad_expand(s->a, g, s->ds)) == NULL)
        give_up(s, "it has no gradient");
    return g;
}

/* ---- against the numbers ---- */

static void near(const Step *s, const char *what, double got, double want, double scale) {
    CHECK_MSG(fabs(got - want) <= s->tolerance * scale, "%s (%s): %s is %.9g, PyTorch says %.9g: off by %.2g",
              s->name, s->f64 ? "f64" : "f32", what, got, want, fabs(got - want) / scale);
}

static void compare_tensor(const Step *s, const char *what, const Tensor *t, const json_t *j) {
    double want[6], sum = 0, magnitudes = 0, largest = 0;
    int64_t n = shape_count(t->shape);
    for (size_t i = 0; i < 6; i++)
        want[i] = json_number_value(json_array_get(j, i));
    for (int64_t i = 0; i < n; i++) {
        sum += get(t, i);
        magnitudes += fabs(get(t, i));
        largest = fmax(largest, fabs(get(t, i)));
    }
    if (want[1] == 0) { /* a bias that batch norm takes out again */
        near(s, what, largest, 0, json_number_value(json_object_get(s->numbers, "largest")));
        return;
    }
    near(s, str_format(s->a, "the sum of %s", what).s, sum, want[0], want[1]);
    near(s, str_format(s->a, "the sum of magnitudes of %s", what).s, magnitudes, want[1], want[1]);
    near(s, str_format(s->a, "the largest of %s", what).s, largest, want[2], want[2]);
    const int64_t at[3] = {0, n / 2, n - 1};
    for (int k = 0; k < 3; k++)
        near(s, str_format(s->a, "%s[%lld]", what, (long long)at[k]).s, get(t, at[k]), want[3 + k], want[2]);
}

static void compare_outputs(const Step *s, const Graph *g, const Tensor *out) {
    json_t *losses = json_object_get(s->numbers, "losses"), *gradients = json_object_get(s->numbers, "gradients");
    uint32_t n_losses = 0, n_gradients = 0;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const Output *o = &g->outputs.at[i];
        Str name = o->kind == OUT_TOTAL ? STR("total") : intern_str(s->module->names, o->name);
        json_t *j = json_object_get(o->kind == OUT_VALUE ? gradients : losses, name.s);
        if (j == NULL)
            continue;
        if (o->kind == OUT_VALUE) {
            compare_tensor(s, str_format(s->a, "the gradient of %s", name.s).s, &out[i], j);
            n_gradients++;
        } else if (o->kind != OUT_WEIGHT) {
            near(s, name.s, get(&out[i], 0), json_number_value(j), fmax(fabs(json_number_value(j)), 1e-3));
            n_losses++;
        }
    }
    CHECK_MSG(n_losses == json_object_size(losses) && n_gradients == json_object_size(gradients),
              "%s: %u of %zu losses, %u of %zu gradients", s->name, n_losses, json_object_size(losses), n_gradients,
              json_object_size(gradients));
}

static void compare_vars(const Step *s, VarKind kind, const char *which) {
    uint32_t n = 0;
    json_t *all = json_object_get(s->numbers, which);
    for (uint32_t i = 0; i < s->module->vars.n; i++) {
        const Var *v = &s->module->vars.at[i];
        json_t *j = v->kind == kind ? json_object_get(all, v->path.s) : NULL;
        if (j == NULL)
            continue;
        compare_tensor(s, str_format(s->a, "%s %s", which, v->path.s).s, &s->vars[i], j);
        n++;
    }
    CHECK_MSG(n == json_object_size(all), "%s: %u of %zu of %s", s->name, n, json_object_size(all), which);
}

static void check_step(const char *name, json_t *numbers, const json_t *tolerance, bool f64) {
    Step s = {.a = test_arena(), .name = name, .numbers = numbers, .f64 = f64};
    const json_t *own = json_object_get(numbers, "tolerance");
    s.tolerance = json_number_value(json_object_get(own ? own : tolerance, f64 ? "f64" : "f32"));
    if (own != NULL && f64 && s.tolerance == 0)
        return; /* its casts to halves round nothing there */
    REQUIRE(s.tolerance > 0);
    open_program(&s);
    const Graph *g = step_graph(&s);
    begin(&s);
    compare_outputs(&s, g, evaluate(&s, g));
    compare_vars(&s, VAR_STATE, "states");
    compare_vars(&s, VAR_PARAM, "updated");
}

/* All cases of a system, `dots` of names like `dots.vicreg`. */
static void check_system(const char *system) {
    json_error_t wrong;
    Str path = str_format(test_arena(), "%.*s/tests/golden/motion.json", FSTR(test_root()));
    json_t *all = json_load_file(path.s, 0, &wrong), *numbers;
    REQUIRE(all != NULL);
    const char *name;
    uint32_t n = 0;
    json_object_foreach(json_object_get(all, "steps"), name, numbers) {
        if (strncmp(name, system, strlen(system)) != 0)
            continue;
        check_step(name, numbers, json_object_get(all, "tolerance"), true);
        check_step(name, numbers, json_object_get(all, "tolerance"), false);
        n++;
    }
    CHECK(n > 0);
    json_decref(all);
}

TEST_ALL(dots_step_as_in_pytorch) { check_system("dots."); }
TEST_ALL(arm_steps_as_in_pytorch) { check_system("arm."); }
TEST_ALL(occ_steps_as_in_pytorch) { check_system("occ."); }
