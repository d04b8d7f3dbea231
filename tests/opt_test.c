/* Rewrites keep every bit: each rule on special values, and the passes as text. */
#include "opt.h"
#include "philox.h"
#include "test.h"
#include <math.h>
#include <string.h>

enum { VALUES = 64 };

static float value(uint32_t i) {
    static const float special[] = {
        0.0f,          -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, 1.17549435e-38f, -1.17549435e-38f,
        3.4028235e38f, 0.5f,  3.0f};
    uint32_t n = sizeof special / sizeof special[0];
    if (i < n) return special[i];
    return (uniform_of_word(philox_word(3, 0, 0, 0, 0, i)) - 0.5f) * 20;
}

static Tensor floats(Arena *a, uint32_t scale) {
    float *x = PUSH(a, float, VALUES * VALUES);
    for (uint32_t i = 0; i < VALUES * VALUES; i++) x[i] = value(scale == 1 ? i % VALUES : i / VALUES);
    return (Tensor){DT_F32, shape_of(1, (int64_t[]){VALUES * VALUES}), x};
}

/* Both sides of every rule over all pairs of values and both truth values. */
TEST(rules_keep_every_bit) {
    Arena *a = test_arena();
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    Tensor vars[3] = {floats(a, 1), floats(a, 2), {DT_BOOL, shape_of(1, (int64_t[]){VALUES * VALUES}), NULL}};
    uint8_t *truth = PUSH(a, uint8_t, VALUES * VALUES);
    for (uint32_t i = 0; i < VALUES * VALUES; i++) truth[i] = (i ^ i >> 6) & 1;
    vars[2].data = truth;
    CHECK(opt_rule_count() > 20);
    for (uint32_t r = 0; r < opt_rule_count(); r++) {
        Module *m = module_create(a, sources_create(a), math);
        for (int i = 0; i < 3; i++)
            vec_push(a, &m->vars, ((Var){VAR_PARAM, STR("v"), vars[i].dtype, vars[i].shape, {0, 0}, 0, 0, false}));
        Graph *g = graph_create(m, STR("rule"));
        Build b = {g, {0, 0}, 0};
        Val in[3], pattern, replacement;
        for (uint32_t i = 0; i < 3; i++) in[i] = build_arg(&b, ARG_VAR, i, (Type){vars[i].dtype, vars[i].shape});
        opt_rule_build(&b, r, in[0], in[1], in[2], &pattern, &replacement);
        graph_output(g, OUT_VALUE, 0, pattern);
        graph_output(g, OUT_VALUE, 0, replacement);
        Tensor out[2];
        EvalRun run = {.graph = g, .vars = vars, .threads = 1};
        REQUIRE(graph_eval(a, &run, out, &e) == GR_OK);
        CHECK(out[0].dtype == out[1].dtype && shape_eq(out[0].shape, out[1].shape));
        for (uint32_t i = 0; i < VALUES * VALUES && out[0].dtype == DT_F32; i++) {
            float x = ((float *)out[0].data)[i], y = ((float *)out[1].data)[i];
            if (f32_bits_canonical(x) == f32_bits_canonical(y)) continue;
            test_failed(__FILE__, __LINE__, "rule `%s`: %a against %a for x = %a, y = %a", opt_rule_pattern(r), x, y,
                        value(i % VALUES), value(i / VALUES));
            break;
        }
        if (out[0].dtype == DT_BOOL)
            CHECK_MSG(memcmp(out[0].data, out[1].data, VALUES * VALUES) == 0, "rule `%s`", opt_rule_pattern(r));
    }
}

/* tests/opt/ *.ir: a module; every graph after the pass named in `; test: pass=..`. */
static Str run_pass(Arena *a, const TextTest *t) {
    SourceSet *s = sources_create(a);
    Diags *ds = diags_create(a, s);
    const Math *math;
    Error e = {0};
    if (math_create(a, &math, &e) != GR_OK) return str_of("no functions");
    Module *m = module_parse(a, sources_add(s, t->path, t->input), s, math, ds);
    Buf out = buf_make(a);
    if (!m) {
        diags_render(ds, &out, false);
        return buf_str(&out);
    }
    Str pass = text_value(t, "pass");
    for (uint32_t i = 0; i < m->graphs.n; i++) {
        Graph *g = m->graphs.at[i];
        g = str_is(pass, "split")       ? opt_split_reductions(a, g)
            : str_is(pass, "masks")     ? opt_masks(a, g)
            : str_is(pass, "channels")  ? opt_channels(a, g)
            : str_is(pass, "precision") ? opt_precision(a, g)
            : str_is(pass, "indices")   ? opt_check_indices(a, g)
                                        : opt_simplify(a, g);
        graph_print(g, &out);
    }
    return buf_str(&out);
}
TEXT_KIND("opt", "ir", run_pass)
