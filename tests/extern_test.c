/* Functions in C: what they are given, the same bits in every mode, gradients against finite differences, and what
 * is said when they are not there. */
#include "program_case.h"
#include "grad.h"
#include "test.h"
#include <math.h>
#include <string.h>

static const char k_c[] =
    "#include <stdint.h>\n"
    "void polar(const float *x, const int32_t *n, const double *s, float *r, double *t, uint8_t *big, int64_t K) {\n"
    "    *r = 0;\n"
    "    for (int64_t k = 0; k < K; k++) { *r += x[k] * x[k] + *n;  t[k] = x[k] * *s;  big[k] = x[k] > 1 ? 7 : 0; }\n"
    "}\n"
    "void polar_back(const float *x, const int32_t *n, const double *s, const float *r, const double *t,\n"
    "                const uint8_t *big, const float *dr, const double *dt, float *dx, double *ds, int64_t K) {\n"
    "    *ds = 0;\n"
    "    for (int64_t k = 0; k < K; k++) { dx[k] = 2 * x[k] * *dr + *s * dt[k];  *ds += dt[k] * x[k]; }\n"
    "}\n"
    "void mix(const float *h, const float *x, float *y, int64_t K) {\n"
    "    for (int64_t k = 0; k < K; k++) y[k] = 0.5f * h[k] + x[k] * h[(k + 1) % K];\n"
    "}\n"
    "void mix_back(const float *h, const float *x, const float *y, const float *dy,\n"
    "              float *dh, float *dx, int64_t K) {\n"
    "    for (int64_t k = 0; k < K; k++) dx[k] = h[(k + 1) % K] * dy[k];\n"
    "    for (int64_t k = 0; k < K; k++) dh[k] = 0.5f * dy[k] + x[(k + K - 1) % K] * dy[(k + K - 1) % K];\n"
    "}\n"
    "void square(const double *x, const double *a, double *y, double *sum, int64_t N) {\n"
    "    *sum = 0;\n"
    "    for (int64_t i = 0; i < N; i++) { y[i] = *a * x[i] * x[i];  *sum += x[i] * *a; }\n"
    "}\n"
    "void square_back(const double *x, const double *a, const double *y, const double *sum, const double *dy,\n"
    "                 const double *dsum, double *dx, double *da, int64_t N) {\n"
    "    *da = 0;\n"
    "    for (int64_t i = 0; i < N; i++) { dx[i] = 2 * *a * x[i] * dy[i] + *a * *dsum;\n"
    "                                      *da += x[i] * x[i] * dy[i] + x[i] * *dsum; }\n"
    "}\n"
    "void odd(const float *x, float *tiny, double *less, uint8_t *yes, int64_t K) {\n"
    "    for (int64_t k = 0; k < K; k++) { tiny[k] = 1e-40f * x[k];  less[k] = -1e-310;  yes[k] = 4; }\n"
    "}\n";

static void compile(const char *name, const char *text) {
    Arena *a = test_arena();
    test_write(str_format(a, "%.*s/%s.c", FSTR(test_folder()), name), str_of(text));
    Ran r = test_shell(str_format(a, "%s -O1 -Wall -Werror -shared -fPIC -o %s.so %s.c", GRAPHC_CC, name, name));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
}

static Str write_here(const char *name, const char *text) {
    Str path = str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name);
    test_write(path, str_of(text));
    return path;
}

/* ---- bits ---- */
/* For each row and step, with results of three types; in the body of a scan; once for the batch. */
static const char k_program[] =
    "graph 1\n"
    "extern def polar(x : real[K], n : int, s : f64) -> (r : real, t : f64[K], big : bool[K]) from \"own.so\" "
    "gradient polar_back\n"
    "extern def mix(h : real[K], x : real[K]) -> (y : real[K]) from \"own.so\" gradient mix_back\n"
    "data d { from fresh(rows = 60) as train;  from fresh(rows = 25) as val;  x[i < 4, j < 3] = normal() }\n"
    "model net(x : real[N, 4, 3]) -> (y : real[N, 3]) {\n"
    "    param p : real = 0.5\n"
    "    h = linear(x, 3)\n"
    "    r[n, t], a[n, t, :], big[n, t, :] = polar(h[n, t], 2, p)\n"
    "    u[t, n, k] = a[n, t, k] + 0.01 * where(big[n, t, k], r[n, t], 1)\n"
    "    scan y = 1 + 0 * x[:, 0] over v in u { y[n, :] = mix(y[n], v[n]) + 0.01 }\n"
    "}\n"
    "objective fit(b : d[N]) {\n"
    "    y = net(b.x);  m = mix(y[:, 0], y[:, 1])\n"
    "    loss e = mean[n] sum[k] y[n, k]^2\n"
    "    loss far = mean[n] m[n]^2 weight 0.1\n"
    "    metric size = mean[n] sum[k] abs(y[n, k])\n"
    "}\n"
    "train { optimizer adam(lr = 1e-2);  epochs 2;  batch 20;  seed 1 }\n";

TEST(one_meaning_in_every_mode) {
    compile("own", k_c);
    ProgramWish w = {.file = write_here("p.graph", k_program).s, .steps = 3, .evaluate = true};
    ProgramCase c;
    Buf why = buf_make(test_arena());
    if (!program_case(&w, &c, &why)) {
        test_failed(__FILE__, __LINE__, "%s", why.n ? why.s : "cannot be opened");
        test_end();
    }
    uint32_t failed;
    CHECK_MSG(modes_agree(test_arena(), &c.scenario, MODES_ALL, &failed, &why) && why.n == 0, "%s", why.s);
    program_case_close(&c);
}

/* ---- graphs as text ---- */
typedef struct { Module *module; Graph *graph; } Parsed;

static Parsed parse(const char *text) {
    Arena *a = test_arena();
    SourceSet *sources = sources_create(a);
    Diags *ds = diags_create(a, sources);
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    Str full = str_format(a, text, FSTR(test_folder()), FSTR(test_folder()));
    Module *m = module_parse(a, sources_add(sources, STR("x.ir"), full), sources, math, ds);
    Graph *g = m ? grad_expand(a, m->graphs.at[0], ds) : NULL;
    Buf said = buf_make(a);
    diags_render(ds, &said, false);
    CHECK_MSG(g != NULL, "%s", said.s);
    REQUIRE(g != NULL);
    return (Parsed){m, g};
}

static Tensor *evaluate(const Graph *g, Tensor *vars, bool f64) {
    EvalRun run = {.graph = g, .vars = vars, .f64 = f64, .threads = 1};
    Error e = {0};
    Tensor *out = PUSH(test_arena(), Tensor, g->outputs.n);
    GrStatus status = graph_eval(test_arena(), &run, out, &e);
    CHECK_MSG(status == GR_OK, "%s", e.what);
    REQUIRE(status == GR_OK);
    return out;
}

/* s = sum of x times a x^2, and of the squares of a sum x; two calls of four elements. */
TEST(gradients_are_those_of_finite_differences) {
    enum { COUNT = 8 };
    compile("own", k_c);
    Parsed p = parse("var param x: f64[2,4]\nvar param a: f64[2]\n"
                     "graph f {\n"
                     "  %%1: f64[2,4] = arg {var=x}\n  %%2: f64[2] = arg {var=a}\n"
                     "  %%3: f64[2,4] = extern %%1, %%2 {library=\"%.*s/own.so\", symbol=square, batch=1, "
                     "extents=[4], results=[f64[2,4], f64[2]], gradient=square_back}\n"
                     "  %%4: f64[2,4] = result %%3 {index=0}\n  %%5: f64[2] = result %%3 {index=1}\n"
                     "  %%6: f64[2,4] = mul %%4, %%1\n  %%7: f64[] = reduce %%6 {kind=sum, axes=[0,1]}\n"
                     "  %%8: f64[2] = mul %%5, %%5\n  %%9: f64[] = reduce %%8 {kind=sum, axes=[0]}\n"
                     "  %%10: f64[] = add %%7, %%9\n  %%11: f32[] = cast %%10\n"
                     "  %%12: f64[2,4] = grad %%11, %%1, %%2\n"
                     "  %%13: f64[2,4] = result %%12 {index=0}\n  %%14: f64[2] = result %%12 {index=1}\n"
                     "  output value s = %%11\n  output value d_x = %%13\n  output value d_a = %%14\n}\n");
    double values[COUNT + 2] = {0.3, -1.2, 0.7, 2, -0.4, 1.1, 0.9, -0.6, 0.8, -1.5};
    Tensor vars[] = {{DT_F64, shape_of(2, (int64_t[]){2, 4}), values},
                     {DT_F64, shape_of(1, (int64_t[]){2}), values + COUNT}};
    Tensor *at = evaluate(p.graph, vars, true);
    for (int i = 0; i < COUNT + 2; i++) {
        const double *found = i < COUNT ? (double *)at[1].data + i : (double *)at[2].data + i - COUNT;
        double h = 1e-5, x = values[i];
        values[i] = x + h;
        double up = *(double *)evaluate(p.graph, vars, true)[0].data;
        values[i] = x - h;
        double down = *(double *)evaluate(p.graph, vars, true)[0].data, expected = (up - down) / (2 * h);
        values[i] = x;
        CHECK_MSG(fabs(*found - expected) < 1e-7 * (1 + fabs(expected)), "%d: %g, expected %g", i, *found, expected);
    }
}

TEST(what_comes_back_is_flushed) {
    compile("own", k_c);
    Parsed p = parse("var param x: f32[3]\n"
                     "graph f {\n"
                     "  %%1: f32[3] = arg {var=x}\n"
                     "  %%2: f32[3] = extern %%1 {library=\"%.*s/own.so\", symbol=odd, batch=0, extents=[3], "
                     "results=[f32[3], f64[3], bool[3]], nograd}\n"
                     "  %%3: f32[3] = result %%2 {index=0}\n  %%4: f64[3] = result %%2 {index=1}\n"
                     "  %%5: bool[3] = result %%2 {index=2}\n"
                     "  output value tiny = %%3\n  output value less = %%4\n  output value yes = %%5\n}\n");
    float x[] = {1, -1, 1e10f};
    Tensor vars[] = {{DT_F32, shape_of(1, (int64_t[]){3}), x}}, *out = evaluate(p.graph, vars, false);
    const float *tiny = out[0].data;
    CHECK(f32_bits(tiny[0]) == 0 && f32_bits(tiny[1]) == 0x80000000 && tiny[2] > 0);
    const double *less = out[1].data;
    CHECK(less[0] == 0 && signbit(less[0]));
    CHECK(((const uint8_t *)out[2].data)[1] == 1);
}

TEST(a_gradient_of_a_gradient_has_no_function) {
    Arena *a = test_arena();
    SourceSet *sources = sources_create(a);
    Diags *ds = diags_create(a, sources);
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    Str text = STR("var param x: f32[]\n"
                   "graph f {\n"
                   "  %1: f32[] = arg {var=x}\n"
                   "  %2: f32[] = extern %1 {library=lib.so, symbol=f, batch=0, extents=[], results=[f32[]], "
                   "gradient=g}\n"
                   "  %3: f32[] = result %2 {index=0}\n"
                   "  %4: f32[] = grad %3, %1\n  %5: f32[] = result %4 {index=0}\n"
                   "  %6: f32[] = grad %5, %1\n  %7: f32[] = result %6 {index=0}\n"
                   "  output value y = %7\n}\n");
    Module *m = module_parse(a, sources_add(sources, STR("x.ir"), text), sources, math, ds);
    REQUIRE(m != NULL);
    CHECK(grad_expand(a, m->graphs.at[0], ds) == NULL);
    Buf said = buf_make(a);
    diags_render(ds, &said, false);
    CHECK_MSG(strstr(said.s, "a second gradient: `g` is a gradient and has none itself") != NULL, "%s", said.s);
}

TEST(rows_of_data_are_called_for) {
    compile("own", k_c);
    write_here("p.graph", "extern def odd(x : f32[K]) -> (tiny : f32[K], less : f64[K], big : bool[K]) "
                          "from \"own.so\" nograd\n"
                          "data d { from fresh(rows = 1500) as train\n"
                          "    x[i < 3] = normal();  t, l, y = odd(x);  n = sum[i] y[i] }\n"
                          "objective o(b : d[N]) { metric every = sum[..] b.n;  metric none = sum[..] b.t^2 }\n");
    Ran r = test_shell(STR("graphc eval p.graph --split train"));
    CHECK_MSG(r.status == 0 && strstr(r.out.s, "  4500\n") != NULL, "%.*s", FSTR(r.out));
}

/* ---- the world ---- */
static void says(const char *command, int status, const char *expected) {
    Ran r = test_shell(str_of(command));
    CHECK_MSG(r.status == status && strstr(r.out.s, expected) != NULL, "%s: %d, no `%s` in\n%.*s", command, r.status,
              expected, FSTR(r.out));
}

TEST(a_library_is_needed_by_a_run_only) {
    write_here("p.graph", k_program);
    says("graphc check p.graph", 0, "reached");
    says("graphc train p.graph --run r", 1, "own.so of `polar` cannot be read");
    compile("own", "int other;\n");
    says("graphc check p.graph", 1, "own.so has no function `polar_back`");
    write_here("own.so", "text");
    says("graphc check p.graph", 1, "own.so of `polar` cannot be loaded");
}

TEST(a_run_finds_its_library_from_anywhere) {
    compile("own", k_c);
    write_here("p.graph", k_program);
    says("graphc train p.graph --run r", 0, "val.size");
    says("mkdir far && cd far && graphc eval ../p.graph --run ../r --split val", 0, "val.size");
    write_here("far/q.graph", "graph 1\nuse \"../r\" as old\n"
                              "data d { from fresh(rows = 20) as val;  x[i < 4, j < 3] = normal() }\n"
                              "objective see(b : d[N]) { metric size = mean[n] sum[k] abs(old.net(b.x)[n, k]) }\n");
    says("graphc eval far/q.graph --split val", 0, "size");
    says("graphc explain p.graph", 0, "polar: 80 calls of a function of own.so");
    says("graphc bench p.graph", 0, "mix_back");
}
