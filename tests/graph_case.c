/* See graph_case.h. */
#include "graph_case.h"
#include "hash.h"
#include "pipeline.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t case_seed(Str text) { return str_starts(text, "# seed ") ? strtoull(text.s + 7, NULL, 10) : 0; }

static double small_number(uint64_t word) { return (double)(word >> 11) * 0x1p-50 - 4; }

static Tensor seeded(Arena *a, uint64_t seed, Str name, DType t, Shape s) {
    static const double special[] = {0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 1e30, -1e-30, 0.5};
    Tensor x = tensor_new(a, t, s);
    uint64_t key = hash_str(seed, name);
    bool wild = key % 3 == 0;
    for (int64_t i = 0; i < shape_count(s); i++) {
        uint64_t word = hash_mix(key, (uint64_t)i);
        double v = wild && word % 16 == 0 ? special[(word >> 8) % 10] : small_number(word);
        if (!dtype_is_float(t))
            v = (double)((word >> 8) % 7);
        scalar_eval(S_cast, t, DT_F64, 1, (char *)x.data + i * dtype_bytes(t), &v, NULL, NULL);
    }
    return x;
}

static bool run_passes(Arena *a, const Module *from, const char *until, Module *out, Diags *ds) {
    PassOptions o = {.stop_after = until};
    *out = *from;
    memset(&out->graphs, 0, sizeof out->graphs);
    for (uint32_t i = 0; i < from->graphs.n; i++) {
        Graph *g = pipeline_run(a, from->graphs.at[i], &o, from->sources, ds);
        if (g == NULL)
            return false;
        vec_push(a, &out->graphs, g);
    }
    return true;
}

static const UValue *uniforms_of(Arena *a, const Uniforms *u) {
    double *in = PUSH(a, double, u->inputs.n + 1), *values = PUSH(a, double, u->insts.n + 1);
    UValue *out = PUSH(a, UValue, u->outputs.n + 1);
    for (uint32_t i = 0; i < u->inputs.n; i++) {
        in[i] = 0.5 * (double)(i + 1);
    }
    uniforms_run(u, in, values, out);
    return out;
}

static const Tensor *columns_of(Arena *a, const Graph *g, uint64_t seed) {
    Tensor *columns = PUSH(a, Tensor, g->columns.n + 1);
    for (uint32_t i = 0; i < g->columns.n; i++) {
        const Column *c = &g->columns.at[i];
        columns[i] = seeded(a, seed, intern_str(g->module->names, c->name), c->dtype, c->shape);
    }
    return columns;
}

Scenario *case_of(Arena *a, const Module *m, uint64_t seed, const Math *math) {
    Diags *ds = diags_create(a, m->sources);
    Module *meaning = PUSH(a, Module, 1), *final = PUSH(a, Module, 1);
    if (!run_passes(a, m, "grad", meaning, ds) || !run_passes(a, m, NULL, final, ds))
        return NULL;
    Tensor *vars = PUSH(a, Tensor, m->vars.n + 1);
    for (uint32_t i = 0; i < m->vars.n; i++) {
        vars[i] = seeded(a, seed, m->vars.at[i].path, m->vars.at[i].dtype, m->vars.at[i].shape);
    }
    uint32_t n = m->graphs.n * CASE_MOMENTS;
    Moment *moments = PUSH(a, Moment, n);
    const UValue *uniforms = uniforms_of(a, m->uniforms);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t g = i % m->graphs.n;
        moments[i] = (Moment){g, columns_of(a, meaning->graphs.at[g], seed + i), uniforms};
    }
    Scenario *s = PUSH(a, Scenario, 1);
    *s = (Scenario){
        .meaning = meaning, .final = final, .vars = vars, .moments = moments, .n_moments = n, .math = math};
    return s;
}

Scenario *case_parse(Arena *a, Str text, uint64_t seed, const Math *math) {
    SourceSet *sources = sources_create(a);
    Module *m = module_parse(a, sources_add(sources, STR("case.ir"), text), sources, math, diags_create(a, sources));
    return m == NULL || m->graphs.n == 0 ? NULL : case_of(a, m, seed, math);
}
