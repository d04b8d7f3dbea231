/* Text tests of the graph IR:
 *     tests/ir/      what is parsed is printed; printing again gives the same text
 *     tests/verify/  one broken constraint each: the diagnostic
 *     tests/op/      values.  Columns and variables are given in comments of the input:
 *                        # x = 1 -0 inf nan        elements, the last one repeated to the end
 *                        # x = noise 7             seeded numbers in (-1, 1), whole ones from 0 to 6 for integers
 *                    Options: f64, threads=N.  Long results print as a count, a hash of their bits and both ends. */
#include "test.h"
#include "hash.h"
#include "ir.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { SourceSet *sources; Diags *diags; Module *m; } Parsed;

static Parsed parse(Arena *a, Str path, Str text) {
    Parsed p = {.sources = sources_create(a)};
    p.diags = diags_create(a, p.sources);
    const Math *math;
    Error e;
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    p.m = module_parse(a, sources_add(p.sources, path, text), p.sources, math, p.diags);
    return p;
}

static Str file_name(Str path) {
    uint32_t from = path.n;
    while (from > 0 && path.s[from - 1] != '/') {
        from--;
    }
    return (Str){path.s + from, path.n - from};
}

static Str complaints(Arena *a, const Parsed *p) {
    Buf out = buf_make(a);
    diags_render(p->diags, &out, false);
    return buf_str(&out);
}

static Str print_text(Arena *a, const TextTest *t) {
    Parsed p = parse(a, file_name(t->path), t->input);
    if (p.m == NULL) {
        return complaints(a, &p);
    }
    Buf once = buf_make(a), twice = buf_make(a);
    p.m->sources = NULL;                          /* places in comments would be those of another text */
    module_print(p.m, &once);
    Parsed again = parse(a, STR("printed"), buf_str(&once));
    if (again.m == NULL) {
        return complaints(a, &again);
    }
    again.m->sources = NULL;
    module_print(again.m, &twice);
    CHECK_STR(buf_str(&twice), once.s);
    return buf_str(&once);
}
TEXT_KIND("ir", "ir", print_text)

static Str verify_text(Arena *a, const TextTest *t) {
    Parsed p = parse(a, file_name(t->path), t->input);
    return p.m == NULL ? complaints(a, &p) : STR("nothing is wrong\n");
}
TEXT_KIND("verify", "ir", verify_text)

/* ---- values ---- */
static void put_element(DType t, void *data, int64_t i, double x) {
    switch (t) {
    case DT_F32:  ((float *)data)[i] = f32_of_f64(x); return;
    case DT_F64:  ((double *)data)[i] = x; return;
    case DT_BF16: ((uint16_t *)data)[i] = bf16_of_f32((float)x); return;
    case DT_F16:  ((uint16_t *)data)[i] = f16_of_f32((float)x); return;
    case DT_I32:  ((int32_t *)data)[i] = (int32_t)x; return;
    case DT_I64:  ((int64_t *)data)[i] = (int64_t)x; return;
    case DT_U8:   ((uint8_t *)data)[i] = (uint8_t)x; return;
    case DT_BOOL: ((uint8_t *)data)[i] = x != 0; return;
    case DT_COUNT: break;
    }
}

static double get_element(DType t, const void *data, int64_t i) {
    switch (t) {
    case DT_F32:  return ((const float *)data)[i];
    case DT_F64:  return ((const double *)data)[i];
    case DT_BF16: return f32_of_bf16(((const uint16_t *)data)[i]);
    case DT_F16:  return f32_of_f16(((const uint16_t *)data)[i]);
    case DT_I32:  return ((const int32_t *)data)[i];
    case DT_I64:  return (double)((const int64_t *)data)[i];
    case DT_U8: case DT_BOOL: return ((const uint8_t *)data)[i];
    case DT_COUNT: break;
    }
    return 0;
}

static double noise(uint64_t seed, int64_t i, bool whole) {
    uint64_t h = hash_mix(seed, (uint64_t)i) >> 11;
    return whole ? (double)(h % 7) : (double)h * 0x1p-52 - 1;
}

/* The tensor that the line `# NAME = ...` of the input describes; zeros without one. */
static Tensor given(Arena *a, const TextTest *t, Str name, DType dtype, Shape shape) {
    int64_t n = shape_count(shape);
    Tensor made = {dtype, shape, arena_push(a, (size_t)n * dtype_bytes(dtype) + 1, 64)};
    const char *line = strstr(t->input.s, str_format(a, "# %.*s =", FSTR(name)).s);
    if (line == NULL) {
        return made;
    }
    char *at = strchr(str_copy(a, str_of(line)).s, '=') + 1;
    bool seeded = strncmp(at, " noise", 6) == 0;
    double x = strtod(at + (seeded ? 6 : 0), &at);
    for (int64_t i = 0; i < n; i++) {
        put_element(dtype, made.data, i, seeded ? noise((uint64_t)x, i, !dtype_is_float(dtype)) : x);
        x = seeded || *at == '\n' ? x : strtod(at, &at);
    }
    return made;
}

static void put_values(Buf *out, const Tensor *t) {
    int64_t n = shape_count(t->shape), shown = n > 20 ? 4 : n;
    for (int64_t i = 0; i < n; i++) {
        if (i == shown && n > 20) {
            uint64_t h = 1;
            for (int64_t k = 0; k < n; k++) {
                double x = get_element(t->dtype, t->data, k);
                x = x != x ? 0x7fc00000 : x;
                h = hash_bytes(h, &x, sizeof x);
            }
            buf_printf(out, " .. %lld of hash %016llx ..", (long long)n, (unsigned long long)h);
            i = n - 1;
        }
        buf_char(out, ' ');
        double x = get_element(t->dtype, t->data, i);
        t->dtype == DT_F32 ? buf_real32(out, (float)x) : buf_real(out, x);
    }
}

static Str value_text(Arena *a, const TextTest *t) {
    Parsed p = parse(a, file_name(t->path), t->input);
    if (p.m == NULL) {
        return complaints(a, &p);
    }
    const Graph *g = p.m->graphs.at[0];
    Tensor *columns = PUSH(a, Tensor, g->columns.n + 1), *vars = PUSH(a, Tensor, p.m->vars.n + 1);
    for (uint32_t i = 0; i < g->columns.n; i++) {
        const Column *c = &g->columns.at[i];
        columns[i] = given(a, t, intern_str(p.m->names, c->name), c->dtype, c->shape);
    }
    for (uint32_t i = 0; i < p.m->vars.n; i++) {
        const Var *v = &p.m->vars.at[i];
        vars[i] = given(a, t, v->path, v->dtype, v->shape);
    }
    const Uniforms *u = p.m->uniforms;
    UValue *uniforms = PUSH(a, UValue, u->outputs.n + 1);
    double *inputs = PUSH(a, double, u->inputs.n + 1), *values = PUSH(a, double, u->insts.n + 1);
    uniforms_run(u, inputs, values, uniforms);
    EvalRun run = {.graph = g, .vars = vars, .columns = columns, .uniforms = uniforms, .f64 = text_flag(t, "f64")};
    run.threads = (uint32_t)atoi(text_value(t, "threads").n > 0 ? text_value(t, "threads").s : "1");
    Tensor *outputs = PUSH(a, Tensor, g->outputs.n + 1);
    Error e;
    Buf out = buf_make(a);
    if (graph_eval(a, &run, outputs, &e) != GR_OK) {
        buf_printf(&out, "%s: %s\n", gr_status_name(e.status), e.what);
        return buf_str(&out);
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        buf_put(&out, intern_str(p.m->names, g->outputs.at[i].name));
        buf_char(&out, ':');
        put_values(&out, &outputs[i]);
        buf_char(&out, '\n');
    }
    for (uint32_t i = 0; i < p.m->vars.n; i++) {
        buf_printf(&out, "var %.*s:", FSTR(p.m->vars.at[i].path));
        put_values(&out, &vars[i]);
        buf_char(&out, '\n');
    }
    if (run.health != 0) {
        buf_printf(&out, "health %u\n", run.health);
    }
    return buf_str(&out);
}
TEXT_KIND("op", "ir", value_text)
