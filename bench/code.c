/* How good is generated code?  Functions over 4096 elements in the first cache, reductions and column sums
 * in the second, the microkernels against the machine's peak, and what compiling costs.  `code
 * [host|haswell]`. */
#include "code.h"
#include "machine.h"
#include "micro.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { const char *name, *text; int64_t elements; } Case;

#define MAP(name, body, result) \
    {name, "kernel @\"" name "\"(in %x: f32[4096], out %y: f32[4096])\n regs 0\n axis i 4096\n" \
        "{\n map over i vec i {\n" \
           "  v0 = load.f32 %x[i]\n" body "  store(" result ") %y[i]\n }\n}\n", 4096}
#define ROW(name, kind) \
    {name, "kernel @\"" name "\"(in %x: f32[65536], out %y: f32[64])\n regs 1\n head n 64\n" \
        " axis k 1024\n{\n reduce " kind \
           " over k vec k {\n  v0 = load.f32 %x[1024*n + k]\n  yield v0\n } -> r0\n map {\n" \
               "  v0 = reg.f32 0\n  store(v0) %y[n]\n }\n}\n", 65536}
static const Case cases[] = {
    MAP("copy", "", "v0"),
    MAP("relu", "  v1 = const.f32 0\n  v2 = max.f32(v0, v1)\n", "v2"),
    MAP("exp", "  v1 = exp.f32(v0)\n", "v1"),
    MAP("log", "  v1 = log.f32(v0)\n", "v1"),
    MAP("tanh", "  v1 = tanh.f32(v0)\n", "v1"),
    MAP("sigmoid", "  v1 = sigmoid.f32(v0)\n", "v1"),
    MAP("erf", "  v1 = erf.f32(v0)\n", "v1"),
    MAP("sin", "  v1 = sin.f32(v0)\n", "v1"),
    MAP("gelu", "  v1 = const.f32 -0.70710678\n  v2 = mul.f32(v0, v1)\n  v3 = erfc.f32(v2)\n"
        "  v4 = const.f32 0.5\n"
                "  v5 = mul.f32(v0, v4)\n  v6 = mul.f32(v5, v3)\n", "v6"),
    MAP("random word", "  v1 = axis.i32 i\n  v2 = const.i32 7\n"
        "  v3 = word.i32(v1) stream 3 seed v2\n  v4 = cast.f32(v3)\n", "v4"),
    ROW("row sum", "sum"), ROW("row max", "max"),
    {"row moments", "kernel @moments(in %x: f32[65536], out %y: f32[64], out %z: f32[64])\n"
        " regs 0\n head n 64\n axis k 1024\n{\n"
                    " reduce moments over k vec k {\n  v0 = load.f32 %x[1024*n + k]\n"
                        "  yield v0\n } -> %y[n], %z[n]\n}\n", 65536},
    {"column sum", "kernel @columns(in %x: f32[65536], out %y: f32[1000])\n regs 0\n head h 1\n"
        " axis c 1000, r 64\n{\n"
                   " reduce sum keep c over r vec c {\n  v0 = load.f32 %x[c + 1000*r]\n"
                       "  yield v0\n } -> %y[c]\n}\n", 64000},
    {"matvec", "kernel @matvec(in %a: f32[256], in %b: f32[65536], out %y: f32[256])\n regs 0\n"
        " head h 1\n axis c 256, k 256\n{\n"
               " chain keep c over k vec c {\n  v0 = load.f32 %a[k]\n"
                   "  v1 = load.f32 %b[c + 256*k]\n  yield v0 v1\n } -> %y[c]\n}\n", 65536},
    {"depthwise", "kernel @depthwise(in %a: f32[16384], in %b: f32[9], out %y: f32[4096])\n"
        " regs 0\n head h 1\n axis c 4096, k 9\n{\n"
                  " chain keep c over k vec c {\n  v0 = load.f32 %a[c + 64*k]\n"
                      "  v1 = load.f32 %b[k]\n  yield v0 v1\n } -> %y[c]\n}\n", 36864},
    {"transpose", "kernel @transpose(in %x: f32[65536], out %y: f32[65536])\n regs 0\n"
        " head h 1\n axis a 256, b 256\n{\n"
                  " map over a, b vec b transpose a {\n  v0 = load.f32 %x[256*a + b]\n"
                      "  store(v0) %y[a + 256*b]\n }\n}\n", 65536},
};
enum { CASES = sizeof cases / sizeof cases[0], FLOATS = 1 << 18 };

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double best_ns(KernelFn f, void *const *buffers, const Kernel *k) {
    double best = 1e18;
    for (int r = 0; r < 200; r++) {
        double begin = now_ns();
        for (int i = 0; i < 8; i++)
            f(buffers, NULL, 0, kernel_points(k), NULL);
        double t = (now_ns() - begin) / 8;
        best = t < best ? t : best;
    }
    return best;
}

static double micro_gflops(void *micro, int rows, int columns, int k, const float *x, float *t) {
    static const int64_t start[1][2] = {{0, 0}};
    MicroFn f;
    memcpy(&f, &micro, sizeof f);
    double best = 1e18;
    for (int r = 0; r < 50; r++) {
        double begin = now_ns();
        for (int i = 0; i < 400; i++)
            f(k, x, rows, x + rows * k, columns, t, 1, start, MICRO_STORE);
        double ns = (now_ns() - begin) / 400;
        best = ns < best ? ns : best;
    }
    return 2.0 * rows * columns * k / best;
}

static const Kernel *parsed(Arena *a, const Case *c) {
    SourceSet *s = sources_create(a);
    Diags *ds = diags_create(a, s);
    const Kernel *k = kernel_parse(a, sources_add(s, str_of(c->name), str_of(c->text)), ds);
    if (k == NULL) {
        Buf b = buf_make(a);
        diags_render(ds, &b, false);
        fprintf(stderr, "%.*s", FSTR(buf_str(&b)));
        exit(1);
    }
    return k;
}

static void stop(const Error *e) {
    fprintf(stderr, "error: %s\n", e->what);
    exit(1);
}

int main(int argc, char **argv) {
    static const int micros[][2] = {{14, 32}, {12, 32}, {8, 32}, {6, 16}, {4, 16}, {1, 32}};
    enum { MICROS = sizeof micros / sizeof micros[0] };
    Arena *a = arena_create();
    Error e;
    Code *code;
    Machine machine;
    CodeOptions o = {.cpu = argc > 1 ? argv[1] : NULL, .cache_dir = ""};
    if (machine_get(NULL, 1, &machine, &e) != GR_OK || code_create(a, &o, &code, &e) != GR_OK)
        stop(&e);
    const Kernel *kernels[CASES];
    uint32_t which[CASES];
    Plan *plan = plan_create(a);
    for (uint32_t i = 0; i < CASES; i++) {
        kernels[i] = parsed(a, &cases[i]);
        which[i] = i;
        vec_push(a, &plan->kernels, (PlanKernel){.name = kernels[i]->name, .key = kernel_key(kernels[i])});
    }
    for (int i = 0; i < MICROS; i++)
        vec_push(a, &plan->micros, (PlanMicro){str_format(a, "mk_f32_%dx%d", micros[i][0], micros[i][1]), 0});
    plan->kernels.at[0].n_micros = MICROS;
    if (code_load(code, plan, kernels, CASES, which, &e) != GR_OK)
        stop(&e);
    CodeStats stats = code_stats(code);
    printf("compiled %u functions in %.1f ms with the start of LLVM, %.2f ms each\n", stats.compiled,
        stats.compile_ms,
           stats.compile_ms / stats.compiled);
    float *x = arena_push(a, FLOATS * sizeof *x, 64), *y = arena_push(a, FLOATS * sizeof *y, 64),
        *z = arena_push(a, FLOATS * sizeof *z, 64);
    for (int i = 0; i < FLOATS; i++)
        x[i] = (float)(i * 37 % 1600) / 100 - 8;
    uint32_t mode = float_mode_enter();
    for (uint32_t i = 0; i < CASES; i++)
        printf("%-12s %7.3f ns an element\n", cases[i].name,
               best_ns(code_table(code).kernels[i], (void *[]){x, y, z},
                   kernels[i]) / (double)cases[i].elements);
    for (int i = 0; i < MICROS; i++) {
        double g = micro_gflops(code_table(code).micros[i], micros[i][0], micros[i][1], 192, x, y);
        printf("%-12.*s %7.1f GFLOP/s, %.0f %% of %.1f\n", FSTR(plan->micros.at[i].symbol), g,
            100 * g / machine.fma_gflops[0],
               machine.fma_gflops[0]);
    }
    float_mode_restore(mode);
    code_destroy(code);
    arena_destroy(a);
    return 0;
}
