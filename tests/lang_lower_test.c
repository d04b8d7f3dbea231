/* Lowering as text: a small program, then its graphs in the text form of the IR.  `# test: graphs=init,train`
 * chooses which; `value` evaluates the exports on columns of ones and shows the numbers; a program with mistakes
 * shows its messages. */
#include "lang.h"
#include "test.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Math *math_of(Arena *a) {
    const Math *m;
    Error e = {0};
    REQUIRE(math_create(a, &m, &e) == GR_OK);
    return m;
}

static bool wanted(const TextTest *t, const char *kind) {
    Str list = text_value(t, "graphs");
    uint32_t n = (uint32_t)strlen(kind);
    for (uint32_t i = 0; i + n <= list.n; i++) {
        if ((i == 0 || list.s[i - 1] == ',') && memcmp(list.s + i, kind, n) == 0 &&
            (i + n == list.n || list.s[i + n] == ',')) {
            return true;
        }
    }
    return false;
}

static int64_t rows_of(const TextTest *t) {
    Str s = text_value(t, "rows");
    return s.n ? atoi(str_copy(test_arena(), s).s) : 4;
}

/* The text without the places of nodes: they depend on the length of the library. */
static void put_without_places(Buf *out, Str text) {
    for (uint32_t i = 0; i < text.n;) {
        uint32_t end = i, stop;
        while (end < text.n && text.s[end] != '\n') {
            end++;
        }
        for (stop = i; stop + 6 < end && memcmp(text.s + stop, " from ", 6) != 0; stop++) {
        }
        buf_put(out, (Str){text.s + i, (stop + 6 < end ? stop : end) - i});
        buf_char(out, '\n');
        i = end + 1;
    }
}

static void put_graph(Buf *out, Program *p, LowerKind kind, Str name, int64_t rows, Diags *ds) {
    const Graph *g = lower_graph(p, kind, name, rows, ds);
    if (g && graph_verify(g, ds)) {
        Buf text = buf_make(out->arena);
        graph_print(g, &text);
        put_without_places(out, buf_str(&text));
    }
}

static void put_graphs(Buf *out, const TextTest *t, Program *p, Diags *ds) {
    const Recipe *r = program_recipe(p);
    int64_t rows = rows_of(t);
    if (wanted(t, "init")) {
        put_graph(out, p, LOWER_INIT, STR("init"), 0, ds);
    }
    for (uint32_t i = 0; wanted(t, "data") && i < r->data.n; i++) {
        put_graph(out, p, LOWER_DATA, r->data.at[i].name, DATA_BLOCK, ds);
    }
    static const char *const stages[] = {"rows0", "rows1", "groups0", "begin", "part0", "finish0", "part1", "finish1"};
    for (uint32_t k = 0; k < sizeof stages / sizeof *stages; k++) {
        for (uint32_t i = 0; wanted(t, stages[k]) && i < r->data.n; i++) {
            Str name = str_format(test_arena(), "%.*s.%s", FSTR(r->data.at[i].name), stages[k]);
            put_graph(out, p, LOWER_DATA, name, DATA_BLOCK, ds);
        }
    }
    for (uint32_t i = 0; wanted(t, "train") && i < r->phases.n; i++) {
        for (uint32_t k = 0; k < r->phases.at[i].runs.n; k++) {
            put_graph(out, p, LOWER_TRAIN, r->phases.at[i].runs.at[k].name, rows, ds);
        }
    }
    static const struct { const char *name; LowerKind kind; } of[] = {
        {"eval", LOWER_EVAL}, {"begin", LOWER_BEGIN}, {"finish", LOWER_FINISH}};
    for (uint32_t k = 0; k < 3; k++) {
        for (uint32_t i = 0; wanted(t, of[k].name) && i < r->objectives.n; i++) {
            put_graph(out, p, of[k].kind, r->objectives.at[i].name, rows, ds);
        }
    }
    for (uint32_t i = 0; wanted(t, "export") && i < r->exports.n; i++) {
        put_graph(out, p, LOWER_EXPORT, r->exports.at[i].name, rows, ds);
    }
}

/* A line a point: the values of its first run. */
static void put_sweeps(Buf *out, const Recipe *r) {
    for (uint32_t i = 0; i < r->sweeps.n; i++) {
        const RecipeSweep *s = &r->sweeps.at[i];
        buf_printf(out, "sweep %.*s: %u runs, %u skipped\n", FSTR(s->name), s->runs.n, s->skipped);
        for (uint32_t k = 0, points = 0; k < s->runs.n; k++) {
            if (s->runs.at[k].point < points) {
                continue;
            }
            points++;
            for (uint32_t j = 0; j < s->runs.at[k].values.n; j++) {
                const RecipeValue *v = &s->runs.at[k].values.at[j];
                buf_printf(out, "  %.*s = %.*s", FSTR(v->name), FSTR(v->value));
            }
            buf_char(out, '\n');
        }
    }
}

/* ---- values ---- */

static double at(const Tensor *t, int64_t i) {
    switch (t->dtype) {
    case DT_F32: return ((const float *)t->data)[i];
    case DT_F64: return ((const double *)t->data)[i];
    case DT_I32: return ((const int32_t *)t->data)[i];
    case DT_I64: return (double)((const int64_t *)t->data)[i];
    case DT_U8: case DT_BOOL: return ((const uint8_t *)t->data)[i];
    case DT_F16: case DT_BF16: case DT_COUNT: break;
    }
    return NAN;
}

static void put_tensor(Buf *out, Str name, const Tensor *t) {
    buf_printf(out, "%.*s %s", FSTR(name), dtype_name(t->dtype));
    buf_shape(out, t->shape);
    for (int64_t i = 0; i < shape_count(t->shape); i++) {
        buf_printf(out, " %.6g", at(t, i));
    }
    buf_char(out, '\n');
}

/* Columns count up: element i of column k is (i + 1) / 4 + k, whole types i + k. */
static Tensor column_of_numbers(Arena *a, const Column *c, uint32_t k) {
    Tensor t = {c->dtype, c->shape, arena_push(a, (size_t)shape_count(c->shape) * dtype_bytes(c->dtype) + 1, 64)};
    for (int64_t i = 0; i < shape_count(c->shape); i++) {
        if (c->dtype == DT_F32) {
            ((float *)t.data)[i] = (float)(i + 1) / 4 + (float)k;
        } else if (c->dtype == DT_I32) {
            ((int32_t *)t.data)[i] = (int32_t)(i + k);
        } else if (c->dtype == DT_U8) {
            ((uint8_t *)t.data)[i] = (uint8_t)(i + k);
        }
    }
    return t;
}

static Tensor *fresh_vars(Arena *a, const Module *m) {
    Tensor *vars = PUSH(a, Tensor, m->vars.n + 1);
    for (uint32_t i = 0; i < m->vars.n; i++) {
        const Var *v = &m->vars.at[i];
        vars[i] = (Tensor){v->dtype, v->shape,
                           arena_push(a, (size_t)shape_count(v->shape) * dtype_bytes(v->dtype) + 1, 64)};
    }
    return vars;
}

static const UValue *uniform_values(Arena *a, const Program *p, const Module *m, int64_t rows) {
    const Uniforms *u = m->uniforms;
    const Recipe *r = program_recipe((Program *)(uintptr_t)p);
    double *in = PUSH(a, double, u->inputs.n + 1), *values = PUSH(a, double, u->insts.n + 1);
    UValue *out = PUSH(a, UValue, u->outputs.n + 1);
    for (uint32_t i = 0; i < u->inputs.n; i++) {
        in[i] = str_is(u->inputs.at[i].name, "rows") ? (double)rows : 1;
        for (uint32_t k = 0; k < r->settings.n; k++) {
            if (str_eq(u->inputs.at[i].name, str_format(a, "setting.%.*s", FSTR(r->settings.at[k].name)))) {
                in[i] = r->settings.at[k].value;
            }
        }
    }
    uniforms_run(u, in, values, out);
    return out;
}

static Tensor *run_graph(Arena *a, const Program *p, const Module *m, const Graph *g, int64_t rows, Tensor *vars) {
    Tensor *outputs = PUSH(a, Tensor, g->outputs.n + 1), *columns = PUSH(a, Tensor, g->columns.n + 1);
    for (uint32_t i = 0; i < g->columns.n; i++) {
        columns[i] = column_of_numbers(a, &g->columns.at[i], i);
    }
    EvalRun run = {
        .graph = g, .vars = vars, .columns = columns, .uniforms = uniform_values(a, p, m, rows), .threads = 1};
    Error e = {0};
    if (graph_eval(a, &run, outputs, &e) != GR_OK || run.health) {
        test_failed(__FILE__, __LINE__, "evaluation: %s, health %u", e.what, run.health);
    }
    return outputs;
}

static void put_values(Arena *a, Buf *out, const TextTest *t, Program *p, Diags *ds) {
    const Recipe *r = program_recipe(p);
    Module *m = program_module(p);
    int64_t rows = rows_of(t);
    Tensor *vars = fresh_vars(a, m);
    Graph *init = lower_graph(p, LOWER_INIT, STR("init"), 0, ds);
    run_graph(a, p, m, init, 0, vars);
    for (uint32_t i = 0; i < r->exports.n; i++) {
        Graph *g = lower_graph(p, LOWER_EXPORT, r->exports.at[i].name, rows, ds);
        Tensor *outputs = run_graph(a, p, m, g, rows, vars);
        for (uint32_t k = 0; k < g->outputs.n; k++) {
            put_tensor(out, intern_str(m->names, g->outputs.at[k].name), &outputs[k]);
        }
    }
    for (uint32_t i = 0; i < r->objectives.n; i++) {        /* one batch twice, as if it were a split */
        Str name = r->objectives.at[i].name;
        run_graph(a, p, m, lower_graph(p, LOWER_BEGIN, name, 0, ds), 0, vars);
        Graph *eval = lower_graph(p, LOWER_EVAL, name, rows, ds), *finish = lower_graph(p, LOWER_FINISH, name, 0, ds);
        run_graph(a, p, m, eval, rows, vars);
        run_graph(a, p, m, eval, rows, vars);
        Tensor *outputs = run_graph(a, p, m, finish, 0, vars);
        for (uint32_t k = 0; k < finish->outputs.n; k++) {
            put_tensor(out, intern_str(m->names, finish->outputs.at[k].name), &outputs[k]);
        }
        for (uint32_t k = 0; k < r->objectives.at[i].metrics.n; k++) {
            const RecipeMetric *metric = &r->objectives.at[i].metrics.at[k];
            buf_printf(out, "%.*s: %s\n", FSTR(metric->name),
                       metric->exact ? "exact over rows" : "of one batch inside");
        }
    }
}

static Str lower(Arena *a, const TextTest *t) {
    SourceSet *files = sources_create(a);
    Diags *ds = diags_create(a, files);
    const Source *s = sources_add(files, STR("test.graph"), t->input);
    Str set = text_value(t, "set");
    SettingArg given = {0};
    for (uint32_t i = 0; i < set.n; i++) {
        if (set.s[i] == ':') {
            given = (SettingArg){{set.s, i}, {set.s + i + 1, set.n - i - 1}, false};
        }
    }
    Program *p = program_check(a, files, s, given.name.n > 0, &given, math_of(a), NULL, ds);
    Buf out = buf_make(a);
    if (diags_errors(ds) == 0) {
        put_graphs(&out, t, p, ds);
    }
    if (diags_errors(ds) == 0 && text_flag(t, "value")) {
        put_values(a, &out, t, p, ds);
    }
    if (text_flag(t, "sweeps")) {
        put_sweeps(&out, program_recipe(p));
    }
    if (text_flag(t, "resolved")) {
        buf_put(&out, program_recipe(p)->resolved);
    }
    diags_render(ds, &out, false);
    return buf_str(&out);
}

static Str diagnose(Arena *a, const TextTest *t) { return lower(a, t); }

TEXT_KIND("lower", "graph", lower)
TEXT_KIND("diag", "graph", diagnose)

static void lowers(const char *path, uint32_t n_parameters) {
    Arena *a = test_arena();
    SourceSet *files = sources_create(a);
    Diags *ds = diags_create(a, files);
    const Source *s = sources_add(files, str_of(path), test_read(str_format(a, "%.*s/%s", FSTR(test_root()), path)));
    Program *p = program_check(a, files, s, 0, NULL, math_of(a), NULL, ds);
    const Recipe *r = program_recipe(p);
    if (diags_errors(ds) == 0) {
        TextTest all = {.options = STR("graphs=init,data,train,eval,begin,finish,export")};
        Buf ignored = buf_make(a);
        put_graphs(&ignored, &all, p, ds);
        int64_t n = 0;
        for (uint32_t i = 0; i < program_module(p)->vars.n; i++) {
            const Var *v = &program_module(p)->vars.at[i];
            n += v->kind == VAR_PARAM ? shape_count(v->shape) : 0;
        }
        CHECK_INT(n, n_parameters);
        CHECK(r->phases.n > 0);
    }
    Buf out = buf_make(a);
    diags_render(ds, &out, false);
    CHECK_MSG(diags_count(ds) == 0, "%s: %s", path, out.s ? out.s : "");
}

/* Every ```graph block of docs/language.md is a program without mistakes. */
TEST(examples_of_the_page_run) {
    Arena *a = test_arena();
    Str page = test_read(str_format(a, "%.*s/docs/language.md", FSTR(test_root())));
    uint32_t blocks = 0;
    for (const char *at = str_copy(a, page).s; (at = strstr(at, "```graph\n")) != NULL;) {
        at += strlen("```graph\n");
        const char *end = strstr(at, "\n```");
        REQUIRE(end != NULL);
        SourceSet *files = sources_create(a);
        Diags *ds = diags_create(a, files);
        Str path = str_format(a, "%.*s/language.md", FSTR(test_root()));       /* `use` starts at the root */
        const Source *s = sources_add(files, path, (Str){at, (uint32_t)(end - at)});
        Program *p = program_check(a, files, s, 0, NULL, math_of(a), NULL, ds);
        Buf out = buf_make(a);
        diags_render(ds, &out, false);
        CHECK_MSG(diags_count(ds) == 0, "%s", out.s ? out.s : "");
        TextTest all = {.options = STR("graphs=init,data,train,eval,begin,finish,export")};
        if (diags_errors(ds) == 0) {
            put_graphs(&out, &all, p, ds);
        }
        CHECK(diags_errors(ds) == 0);
        blocks++;
    }
    CHECK(blocks >= 5);
}

TEST(classifier_lowers) { lowers("graphs/fashion/classifier.graph", 101770); }
TEST(vae_lowers)        { lowers("graphs/fashion/vae.graph", 1079600); }
TEST(fc_vae_lowers)     { lowers("graphs/tiny/vae.graph", 1629495); }
TEST(conv_lowers)       { lowers("graphs/tiny/conv.graph", 82); }

TEST(windows_lowers)    { lowers("graphs/tiny/windows.graph", 1251); }
TEST(scan_lowers)       { lowers("graphs/tiny/scan.graph", 273); }
