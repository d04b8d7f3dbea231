/* Programs of tests/golden against the numbers PyTorch gave for them: exports (values and gradients), initial values,
 * and steps of training (losses, parameters, states).  FILE.json holds inputs and results, make.py made it and says
 * how.  The interpreter runs each program in f64 and as it is; what is compiled is compared with it elsewhere. */
#include "grad.h"
#include "lang.h"
#include "test.h"
#include <jansson.h>
#include <math.h>

typedef struct {
    Arena *a;
    const char *name;
    json_t *numbers;
    Diags *ds;
    Program *program;
    Recipe *recipe;
    Module *module;
    bool f64;
    double tolerance;              /* of the largest element of a tensor */
    Tensor *vars;
} Golden;

/* ---- tensors and lists of numbers ---- */
static int64_t count_numbers(const json_t *j) {
    if (!json_is_array(j)) return 1;
    int64_t n = 0;
    for (size_t i = 0; i < json_array_size(j); i++) n += count_numbers(json_array_get(j, i));
    return n;
}

static double *flatten(const json_t *j, double *to) {
    if (!json_is_array(j)) {
        *to = json_number_value(j);
        return to + 1;
    }
    for (size_t i = 0; i < json_array_size(j); i++) to = flatten(json_array_get(j, i), to);
    return to;
}

static void tensor_put(Tensor *t, int64_t i, double x) {
    switch (t->dtype) {
    case DT_F32: ((float *)t->data)[i] = f32_of_f64(x); return;
    case DT_F64: ((double *)t->data)[i] = x; return;
    case DT_I32: ((int32_t *)t->data)[i] = (int32_t)x; return;
    case DT_U8: case DT_BOOL: ((uint8_t *)t->data)[i] = (uint8_t)x; return;
    case DT_I64: case DT_F16: case DT_BF16: case DT_COUNT: REQUIRE(!"a type that no golden program stores");
    }
}

static double tensor_get(const Tensor *t, int64_t i) {
    if (t->dtype == DT_I32) return ((int32_t *)t->data)[i];
    return t->dtype == DT_F64 ? ((double *)t->data)[i] : (double)((float *)t->data)[i];
}

static Tensor tensor_of(Golden *g, DType declared, Shape s, const json_t *j) {
    DType d = g->f64 && dtype_is_float(declared) ? DT_F64 : declared;
    Tensor t = {d, s, arena_push(g->a, dtype_bytes(d) * (size_t)shape_count(s) + 1, 64)};
    int64_t n = shape_count(s);
    if (j) {
        REQUIRE(count_numbers(j) == n);
        double *x = PUSH(g->a, double, n + 1);
        flatten(j, x);
        for (int64_t i = 0; i < n; i++) tensor_put(&t, i, x[i]);
    }
    return t;
}

static void compare(Golden *g, const char *what, const char *of, const Tensor *t, const json_t *j) {
    int64_t n = shape_count(t->shape), worst = 0;
    if (count_numbers(j) != n) {
        test_failed(__FILE__, __LINE__, "%s: %s %s has %lld elements, PyTorch's %lld", g->name, of, what, (long long)n,
                    (long long)count_numbers(j));
        return;
    }
    double *want = PUSH(g->a, double, n + 1), largest = 0, error = 0;
    flatten(j, want);
    for (int64_t i = 0; i < n; i++) {
        double e = fabs(tensor_get(t, i) - want[i]);
        largest = fmax(largest, fabs(want[i]));
        if (!(e <= error)) error = e, worst = i;
    }
    CHECK_MSG(error <= g->tolerance * largest,
              "%s (%s): %s %s[%lld] is %.9g, PyTorch says %.9g: off by %.2g of the largest", g->name,
              g->f64 ? "f64" : "f32", of, what, (long long)worst, tensor_get(t, worst), want[worst], error / largest);
}

/* ---- running graphs ---- */
static Graph *lowered(Golden *g, LowerKind kind, Str name, int64_t rows) {
    Graph *raw = lower_graph(g->program, kind, name, rows, g->ds);
    Graph *done = raw ? grad_expand(g->a, raw, g->ds) : NULL;
    if (!done) {
        Buf text = buf_make(g->a);
        diags_render(g->ds, &text, false);
        test_failed(__FILE__, __LINE__, "%s: %.*s is not lowered\n%s", g->name, FSTR(name), text.s ? text.s : "");
        test_end();
    }
    return done;
}

static double setting(const Golden *g, Str input) {
    for (uint32_t i = 0; i < g->recipe->settings.n; i++) {
        const RecipeSetting *s = &g->recipe->settings.at[i];
        if (str_eq(s->name, (Str){input.s + 8, input.n - 8})) return s->value;
    }
    return 0;
}

static const UValue *uniforms_at(Golden *g, int64_t rows, int64_t step) {
    const Uniforms *u = g->module->uniforms;
    double *in = PUSH(g->a, double, u->inputs.n + 1), *values = PUSH(g->a, double, u->insts.n + 1);
    UValue *out = PUSH(g->a, UValue, u->outputs.n + 1);
    for (uint32_t i = 0; i < u->inputs.n; i++) {
        Str name = u->inputs.at[i].name;
        in[i] = str_starts(name, "setting.") ? setting(g, name)
              : str_is(name, "seed") ? 1
              : str_is(name, "rows") ? (double)rows
              : str_is(name, "update") ? (double)step + 1
              : str_is(name, "clock") || str_is(name, "step") ? (double)step : 0;
    }
    uniforms_run(u, in, values, out);
    return out;
}

static Tensor *evaluate(Golden *g, const Graph *graph, const json_t *columns, int64_t step) {
    Tensor *in = PUSH(g->a, Tensor, graph->columns.n + 1), *out = PUSH(g->a, Tensor, graph->outputs.n + 1);
    for (uint32_t i = 0; i < graph->columns.n; i++) {
        const Column *c = &graph->columns.at[i];
        const json_t *j = json_object_get(columns, intern_str(g->module->names, c->name).s);
        CHECK_MSG(j != NULL, "%s: no numbers for %s", g->name, intern_str(g->module->names, c->name).s);
        in[i] = tensor_of(g, c->dtype, c->shape, j);
    }
    EvalRun run = {.graph = graph, .vars = g->vars, .columns = in, .uniforms = uniforms_at(g, graph->rows, step),
                   .f64 = g->f64, .threads = 1};
    Error e = {0};
    if (graph_eval(g->a, &run, out, &e) != GR_OK) test_failed(__FILE__, __LINE__, "%s: %s", g->name, e.what);
    CHECK_INT(run.health, 0);
    return out;
}

static uint32_t find_var(const Golden *g, const char *path) {
    for (uint32_t i = 0; i < g->module->vars.n; i++)
        if (str_is(g->module->vars.at[i].path, path)) return i;
    test_failed(__FILE__, __LINE__, "%s: there is no variable %s", g->name, path);
    test_end();
}

/* Every variable as the program begins it; then those that are given. */
static void set_vars(Golden *g, const Graph *init, const json_t *given) {
    g->vars = PUSH(g->a, Tensor, g->module->vars.n + 1);
    for (uint32_t i = 0; i < g->module->vars.n; i++)
        g->vars[i] = tensor_of(g, g->module->vars.at[i].dtype, g->module->vars.at[i].shape, NULL);
    evaluate(g, init, NULL, 0);
    const char *path;
    json_t *j;
    json_object_foreach((json_t *)given, path, j) {
        uint32_t v = find_var(g, path);
        g->vars[v] = tensor_of(g, g->module->vars.at[v].dtype, g->module->vars.at[v].shape, j);
    }
}

static void compare_vars(Golden *g, const char *of, const json_t *want) {
    const char *path;
    json_t *j;
    json_object_foreach((json_t *)want, path, j) compare(g, path, of, &g->vars[find_var(g, path)], j);
}

static void compare_outputs(Golden *g, const char *of, const Graph *graph, const Tensor *out, const json_t *want) {
    const char *name;
    json_t *j;
    json_object_foreach((json_t *)want, name, j) {
        bool found = false;
        for (uint32_t i = 0; i < graph->outputs.n; i++) {
            const Output *o = &graph->outputs.at[i];
            Str called = o->kind == OUT_TOTAL ? STR("total") : intern_str(g->module->names, o->name);
            if (o->kind == OUT_WEIGHT || !str_is(called, name)) continue;
            compare(g, name, of, &out[i], j);
            found = true;
        }
        CHECK_MSG(found, "%s: %s has no output %s", g->name, of, name);
    }
}

/* ---- the parts of a file of numbers ---- */
static void check_export(Golden *g, const Graph *init, const char *name, const json_t *numbers) {
    const Graph *graph = lowered(g, LOWER_EXPORT, str_of(name), 0);
    set_vars(g, init, json_object_get(g->numbers, "vars"));
    const Tensor *out = evaluate(g, graph, json_object_get(numbers, "in"), 0);
    compare_outputs(g, name, graph, out, json_object_get(numbers, "out"));
}

static const RecipePhase *phase_named(const Golden *g, const char *name) {
    for (uint32_t i = 0; i < g->recipe->phases.n; i++)
        if (str_is(g->recipe->phases.at[i].name, name)) return &g->recipe->phases.at[i];
    test_failed(__FILE__, __LINE__, "%s: there is no phase %s", g->name, name);
    test_end();
}

static void check_phase(Golden *g, const char *name, const json_t *numbers) {
    const RecipePhase *p = phase_named(g, name);
    const Graph *graph = lowered(g, LOWER_TRAIN, p->runs.at[0].name, p->batch);
    set_vars(g, lowered(g, LOWER_INIT, STR("init"), 0), json_object_get(numbers, "vars"));
    const json_t *steps = json_object_get(numbers, "steps");
    for (size_t s = 0; s < json_array_size(steps); s++) {
        const json_t *step = json_array_get(steps, s);
        const char *of = str_format(g->a, "%s, step %zu", name, s + 1).s;
        const Tensor *out = evaluate(g, graph, json_object_get(step, "columns"), (int64_t)s);
        compare_outputs(g, of, graph, out, json_object_get(step, "out"));
        compare_vars(g, of, json_object_get(step, "vars"));
    }
}

/* A split in batches, the last one smaller: what is known after all rows. */
static void check_split(Golden *g, const char *name, const json_t *numbers) {
    const json_t *batches = json_object_get(numbers, "batches");
    size_t n = json_array_size(batches);
    const Graph **eval = PUSH(g->a, const Graph *, n), *begin = lowered(g, LOWER_BEGIN, str_of(name), 0);
    for (size_t i = 0; i < n; i++) {
        json_t *columns = json_array_get(batches, i);
        size_t rows = json_array_size(json_object_iter_value(json_object_iter(columns)));
        eval[i] = lowered(g, LOWER_EVAL, str_of(name), (int64_t)rows);
    }
    const Graph *finish = lowered(g, LOWER_FINISH, str_of(name), 0);
    set_vars(g, lowered(g, LOWER_INIT, STR("init"), 0), json_object_get(numbers, "vars"));
    evaluate(g, begin, NULL, 0);
    for (size_t i = 0; i < n; i++) evaluate(g, eval[i], json_array_get(batches, i), 0);
    compare_outputs(g, name, finish, evaluate(g, finish, NULL, 0), json_object_get(numbers, "out"));
}

static Golden open_golden(const char *name, bool f64) {
    Golden g = {.a = test_arena(), .name = name, .f64 = f64};
    Str base = str_format(g.a, "%.*s/tests/golden/%s", FSTR(test_root()), name);
    json_error_t wrong;
    g.numbers = json_load_file(str_format(g.a, "%.*s.json", FSTR(base)).s, 0, &wrong);
    REQUIRE(g.numbers != NULL);
    SourceSet *files = sources_create(g.a);
    g.ds = diags_create(g.a, files);
    const Source *main;
    const Math *math;
    Error e = {0};
    REQUIRE(sources_load(files, str_format(g.a, "%.*s.graph", FSTR(base)), &main, &e) == GR_OK);
    REQUIRE(math_create(g.a, &math, &e) == GR_OK);
    g.program = program_check(g.a, files, main, 0, NULL, math, NULL, g.ds);
    if (diags_count(g.ds) > 0) {
        Buf text = buf_make(g.a);
        diags_render(g.ds, &text, false);
        test_failed(__FILE__, __LINE__, "%s", text.s);
    }
    if (diags_errors(g.ds) > 0) test_end();
    g.recipe = program_recipe(g.program);
    g.module = program_module(g.program);
    g.tolerance = json_number_value(json_object_get(json_object_get(g.numbers, "tolerance"), f64 ? "f64" : "f32"));
    REQUIRE(g.tolerance > 0);
    return g;
}

static void check_golden(const char *name, bool f64) {
    Golden g = open_golden(name, f64);
    const char *part;
    json_t *numbers;
    json_object_foreach(json_object_get(g.numbers, "phases"), part, numbers) check_phase(&g, part, numbers);
    json_object_foreach(json_object_get(g.numbers, "splits"), part, numbers) check_split(&g, part, numbers);
    const Graph *init = lowered(&g, LOWER_INIT, STR("init"), 0);
    json_object_foreach(json_object_get(g.numbers, "exports"), part, numbers) check_export(&g, init, part, numbers);
    set_vars(&g, init, NULL);
    compare_vars(&g, "init", json_object_get(g.numbers, "init"));
    json_decref(g.numbers);
}

#define GOLDEN(name) \
    TEST(name) { \
        check_golden(#name, true); \
        check_golden(#name, false); \
    }
GOLDEN(activations)
GOLDEN(losses)
GOLDEN(labels)
GOLDEN(distances)
GOLDEN(contrastive)
GOLDEN(orders)
GOLDEN(scatter)
GOLDEN(products)
GOLDEN(product)
GOLDEN(layernorm)
GOLDEN(batchnorm)
GOLDEN(conv)
GOLDEN(windows)
GOLDEN(precision)
GOLDEN(norms)
GOLDEN(attention)
GOLDEN(embedding)
GOLDEN(gru)
GOLDEN(gru_layers)
GOLDEN(rnn)
GOLDEN(lstm)
GOLDEN(loops)
GOLDEN(optimizers)
GOLDEN(metrics)
GOLDEN(small_vae)
