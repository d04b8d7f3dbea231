/* docs/semantics.md, a test a clause: small graphs run in every kind of mode, against second writings of the
 * clause that share no code with the interpreter.  Clauses about programs are in semantics_program_test.c. */
#include "graph_case.h"
#include "hash.h"
#include "math_error.h"
#include "test.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <xmmintrin.h>

static const Math *functions(void) {
    const Math *m;
    Error e = {0};
    REQUIRE(math_create(test_arena(), &m, &e) == GR_OK);
    return m;
}

static Tensor floats(int64_t n, const float *x) {
    Tensor t = tensor_new(test_arena(), DT_F32, shape_of(1, &n));
    memcpy(t.data, x, (size_t)n * sizeof *x);
    return t;
}

static Tensor noise(uint64_t seed, int64_t n) {
    Tensor t = tensor_new(test_arena(), DT_F32, shape_of(1, &n));
    for (int64_t i = 0; i < n; i++) {
        ((float *)t.data)[i] = (float)((double)(hash_mix(seed, (uint64_t)i) >> 40) * 0x1p-23 - 1);
    }
    return t;
}

static Tensor shaped(Tensor t, Shape s) {
    t.shape = s;
    return t;
}

/* What the graph gives for these columns, in every mode; variables start as zeros. */
static const After *given(const Tensor *columns, const char *form, ...) {
    Arena *a = test_arena();
    char text[8192];
    va_list ap;
    va_start(ap, form);
    vsnprintf(text, sizeof text, form, ap);
    va_end(ap);
    Scenario *s = case_parse(a, str_of(text), 1, functions());
    if (s == NULL) {
        test_failed(__FILE__, __LINE__, "no module:\n%s", text);
        test_end();
    }
    Moment m = s->moments[0];
    m.columns = columns;
    s->vars = NULL, s->moments = &m, s->n_moments = 1;
    Buf what = buf_make(a);
    uint32_t failed;
    Error e = {0};
    After *out = PUSH(a, After, 1);
    CHECK_MSG(modes_agree(a, s, MODES_SHORT, &failed, &what) && what.n == 0, "%s", what.n ? what.s : "");
    REQUIRE(modes_interpret(a, s, out, &e) == GR_OK);
    return out;
}

static float out(const After *x, uint32_t k, int64_t i) { return ((const float *)x->outputs[k].data)[i]; }
static bool same_bits(float x, float y) { return f32_bits_canonical(x) == f32_bits_canonical(y); }

#define CHECK_BITS(actual, expected)                                                                         \
    do {                                                                                                     \
        float actual_ = (actual), expected_ = (expected);                                                    \
        CHECK_MSG(same_bits(actual_, expected_), "%s is %.9g, expected %.9g", #actual, actual_, expected_);  \
    } while (0)

/* ---- 2: rows ---- */
enum { BLOCK = 4096, LANES_OF_ROW = 16, MOST_CHUNKS = 64 };

static float folded_lanes(float *lane) {
    for (int h = 8; h > 0; h /= 2) {
        for (int l = 0; l < h; l++) {
            lane[l] = lane[l] + lane[l + h];
        }
    }
    return lane[0];
}

static float folded_chunks(float *x, int n) {
    while (n > 1) {
        for (int i = 0; i < n / 2; i++) {
            x[i] = x[2 * i] + x[2 * i + 1];
        }
        if (n % 2 == 1)
            x[n / 2] = x[n - 1];
        n = (n + 1) / 2;
    }
    return x[0];
}

/* Elements x[0], x[step] .. */
static float row_sum(const float *x, int64_t n, int64_t step) {
    float chunks[MOST_CHUNKS];
    int n_chunks = 0;
    for (int64_t from = 0; from < n; from += BLOCK, n_chunks++) {
        float lane[LANES_OF_ROW];
        for (int l = 0; l < LANES_OF_ROW; l++) {
            lane[l] = -0.0f;
        }
        for (int64_t r = from; r < n && r < from + BLOCK; r++) {
            lane[r % LANES_OF_ROW] = lane[r % LANES_OF_ROW] + x[r * step];
        }
        chunks[n_chunks] = folded_lanes(lane);
    }
    return n_chunks == 0 ? 0 : folded_chunks(chunks, n_chunks);
}

static const int64_t k_lengths[] = {1, 15, 16, 17, 511, 512, 513, 4095, 4096, 4097, 10000, 20001};
enum { LENGTHS = sizeof k_lengths / sizeof *k_lengths };

TEST_ALL(clause_2_sum_of_a_row) {
    for (int i = 0; i < LENGTHS; i++) {
        int64_t n = k_lengths[i];
        Tensor x = noise(1, n);
        const After *y = given(&x,
                               "graph g {\n  column x: f32[%d]\n  %%1: f32[%d] = arg {column=x}\n"
                               "  %%2: f32[] = reduce %%1 {kind=sum, axes=[0]}\n  output value s = %%2\n}\n",
                               (int)n, (int)n);
        CHECK_BITS(out(y, 0, 0), row_sum(x.data, n, 1));
    }
}

/* The suffix [20,30] of the list has 512 elements, its results are summed by the axis that is left; so in
 * another order. */
TEST(clause_2_rows_of_nested_axes) {
    Tensor x = shaped(noise(2, 3 * 20 * 30), shape_of(3, (int64_t[]){3, 20, 30}));
    const After *y = given(&x, "graph g {\n  column x: f32[3,20,30]\n  %%1: f32[3,20,30] = arg {column=x}\n"
                               "  %%2: f32[] = reduce %%1 {kind=sum, axes=[0,1,2]}\n"
                               "  %%3: f32[] = reduce %%1 {kind=sum, axes=[2,1,0]}\n"
                               "  %%4: f32[30] = reduce %%1 {kind=sum, axes=[0,1]}\n"
                               "  output value a = %%2\n  output value b = %%3\n  output value c = %%4\n}\n");
    const float *at = x.data;
    float rows[3], turned[3 * 20 * 30];
    for (int i = 0; i < 3; i++) {
        rows[i] = row_sum(at + i * 600, 600, 1);
    }
    CHECK_BITS(out(y, 0, 0), row_sum(rows, 3, 1));
    for (int k = 0, r = 0; k < 30; k++) {
        for (int j = 0; j < 20; j++) {
            for (int i = 0; i < 3; i++) {
                turned[r++] = at[i * 600 + j * 30 + k];
            }
        }
    }
    /* 60 and 3 are less than 512: all of the list is the row */
    CHECK_BITS(out(y, 1, 0), row_sum(turned, 1800, 1));
    for (int k = 0; k < 30; k++) {
        CHECK_BITS(out(y, 2, k), row_sum(at + k, 60, 30));
    }
}

TEST(clause_2_nothing_and_minus_zero) {
    const float zeros[3] = {-0.0f, -0.0f, -0.0f};
    Tensor columns[2] = {floats(3, zeros), floats(0, zeros)};
    const After *y =
        given(columns, "graph g {\n  column x: f32[3]\n  column e: f32[0]\n  %%1: f32[3] = arg {column=x}\n"
                       "  %%2: f32[0] = arg {column=e}\n  %%3: f32[] = reduce %%1 {kind=sum, axes=[0]}\n"
                       "  %%4: f32[] = reduce %%2 {kind=sum, axes=[0]}\n"
                       "  %%5: f32[] = reduce %%2 {kind=max, axes=[0]}\n"
                       "  %%6: f32[] = reduce %%2 {kind=prod, axes=[0]}\n  output value s = %%3\n"
                       "  output value none = %%4\n  output value top = %%5\n  output value one = %%6\n}\n");
    CHECK_BITS(out(y, 0, 0), -0.0f);
    CHECK_BITS(out(y, 1, 0), 0.0f);
    CHECK_BITS(out(y, 2, 0), -INFINITY);
    CHECK_BITS(out(y, 3, 0), 1);
}

typedef struct {
    float n, mean, m2;
} Part;

static Part merged(Part a, Part b) {
    float n = a.n + b.n, w = b.n / n, d = b.mean - a.mean, dw = d * w, naw = a.n * w, dd = d * d,
          shift = dd * naw, m2 = a.m2 + b.m2;
    return (Part){n, a.mean + dw, m2 + shift};
}

TEST_ALL(clause_2_moments) {
    for (int i = 0; i < LENGTHS; i++) {
        int64_t n = k_lengths[i];
        Tensor x = noise(3, n);
        Part parts[MOST_CHUNKS];
        int n_parts = 0;
        for (int64_t from = 0; from < n; from += BLOCK) {
            int64_t m = n - from < BLOCK ? n - from : BLOCK;
            const float *at = (const float *)x.data + from;
            float mean = row_sum(at, m, 1) / (float)m, square[BLOCK];
            for (int64_t k = 0; k < m; k++) {
                float d = at[k] - mean;
                square[k] = d * d;
            }
            parts[n_parts++] = (Part){(float)m, mean, row_sum(square, m, 1)};
        }
        while (n_parts > 1) {
            for (int k = 0; k < n_parts / 2; k++) {
                parts[k] = merged(parts[2 * k], parts[2 * k + 1]);
            }
            if (n_parts % 2 == 1)
                parts[n_parts / 2] = parts[n_parts - 1];
            n_parts = (n_parts + 1) / 2;
        }
        const After *y = given(
            &x,
            "graph g {\n  column x: f32[%d]\n  %%1: f32[%d] = arg {column=x}\n"
            "  %%2: f32[] = reduce %%1 {kind=moments, axes=[0]}\n  %%3: f32[] = result %%2 {index=0}\n"
            "  %%4: f32[] = result %%2 {index=1}\n  output value mean = %%3\n  output value m2 = %%4\n}\n",
            (int)n, (int)n);
        CHECK_BITS(out(y, 0, 0), parts[0].mean);
        CHECK_BITS(out(y, 1, 0), parts[0].m2);
    }
}

/* ---- 3: chains ---- */
static float chain(const float *x, const float *y, int64_t n, int64_t x_step, int64_t y_step) {
    float total = 0, acc = 0;
    for (int64_t k = 0; k < n; k++) {
        if (k % BLOCK == 0 && k > 0) {
            total = k == BLOCK ? acc : total + acc;
            acc = 0;
        }
        acc = fmaf(x[k * x_step], y[k * y_step], acc);
    }
    return n > BLOCK ? total + acc : acc;
}

TEST_ALL(clause_3_blocks_of_4096) {
    static const int64_t ks[] = {1, 7, 4095, 4096, 4097, 8192, 10000};
    for (int i = 0; i < 7; i++) {
        int64_t k = ks[i];
        Tensor columns[2] = {shaped(noise(4, 3 * k), shape_of(2, (int64_t[]){3, k})),
                             shaped(noise(5, 17 * k), shape_of(2, (int64_t[]){k, 17}))};
        const After *y = given(
            columns,
            "graph g {\n  column x: f32[3,%d]\n  column y: f32[%d,17]\n  %%1: f32[3,%d] = arg {column=x}\n"
            "  %%2: f32[%d,17] = arg {column=y}\n"
            "  %%3: f32[3,17] = contract %%1, %%2 {A=[n,k], B=[k,m], C=[n,m], over=[k]}\n"
            "  output value c = %%3\n}\n",
            (int)k, (int)k, (int)k, (int)k);
        for (int n = 0; n < 3; n++) {
            for (int m = 0; m < 17; m++) {
                CHECK_BITS(out(y, 0, n * 17 + m),
                           chain((float *)columns[0].data + n * k, (float *)columns[1].data + m, k, 1, 17));
            }
        }
    }
}

/* y[o] = sum over taps t and channels c of x[c, 2o + t - 1] * w[c, t]: what lies outside is skipped, so an
 * infinite weight does no harm there. */
TEST(clause_3_borders_are_skipped) {
    enum { CHANNELS = 3, LENGTH = 8, TAPS = 3, PLACES = 5 };
    Tensor columns[2] = {shaped(noise(6, CHANNELS * LENGTH), shape_of(2, (int64_t[]){CHANNELS, LENGTH})),
                         shaped(noise(7, CHANNELS * TAPS), shape_of(2, (int64_t[]){CHANNELS, TAPS}))};
    float *x = columns[0].data, *w = columns[1].data;
    w[0] = INFINITY; /* tap 0 of channel 0: outside at the first place */
    const After *y = given(
        columns, "graph g {\n  column x: f32[3,8]\n  column w: f32[3,3]\n  %%1: f32[3,8] = arg {column=x}\n"
                 "  %%2: f32[3,3] = arg {column=w}\n"
                 "  %%3: f32[5] = contract %%1, %%2 {A=[c,x], B=[c,t], C=[p], over=[t,c], "
                 "window=[x=x, o=p, t=t, stride=2, dilation=1, pad=1]}\n  output value y = %%3\n}\n");
    for (int o = 0; o < PLACES; o++) {
        float acc = 0;
        for (int t = 0; t < TAPS; t++) {
            for (int c = 0; c < CHANNELS; c++) {
                int at = 2 * o + t - 1;
                if (at >= 0 && at < LENGTH)
                    acc = fmaf(x[c * LENGTH + at], w[c * TAPS + t], acc);
            }
        }
        CHECK_BITS(out(y, 0, o), acc);
    }
    CHECK(isfinite(out(y, 0, 0)) && !isfinite(out(y, 0, 1)));
}

/* To `digits` binary ones, ties to even, no power of two below `lowest`; past `largest` it is infinite. */
static float nearest(double x, int digits, int lowest, double largest) {
    int e;
    if (!isfinite(x) || x == 0)
        return (float)x;
    frexp(x, &e);
    double unit = ldexp(1, e - digits > lowest ? e - digits : lowest), y = rint(x / unit) * unit;
    return fabs(y) > largest ? copysignf(INFINITY, (float)x) : (float)y;
}

/* Ties to even and odd, the last that stay finite and the first that do not, denormals of f16, NaN, both infinities;
 * the rest of the operands is noise.  The graph that is run is made of casts (compiler/opt/precision.c). */
TEST(clause_3_rounded_operands) {
    enum { ROWS = 20, K = 21, COLUMNS = 17 };
    static const float edge[ROWS] = {0x1.01p0f,  0x1.03p0f,   -0x1.01p0f,  0x1.0100002p0f, 2049,     2051,    -2051,
                                     65519,      65520,       -65520,      0x1.fefffep127f, 0x1.ffp127f, 0x1p-25f,
                                     0x1.8p-24f, 0x1.8002p-25f, -0x1.8p-15f, 0x1p-126f, NAN, INFINITY, -INFINITY};
    static const struct { const char *type; int digits, lowest; double largest; } to[] = {
        {"bf16", 8, -133, 0x1.fep127}, {"f16", 11, -24, 65504}};
    for (int t = 0; t < 2; t++) {
        Tensor columns[2] = {shaped(noise(14, ROWS * K), shape_of(2, (int64_t[]){ROWS, K})),
                             shaped(noise(15, K * COLUMNS), shape_of(2, (int64_t[]){K, COLUMNS}))};
        float *x = columns[0].data, *w = columns[1].data;
        for (int n = 0; n < ROWS; n++) {
            x[n * K + n] = edge[n];
        }
        const After *y = given(columns,
                               "graph g {\n  column x: f32[20,21]\n  column w: f32[21,17]\n"
                               "  %%1: f32[20,21] = arg {column=x}\n  %%2: f32[21,17] = arg {column=w}\n"
                               "  %%3: f32[20,17] = contract %%1, %%2 {A=[n,k], B=[k,m], C=[n,m], over=[k], "
                               "rounded=%s}\n"
                               "  output value c = %%3\n}\n",
                               to[t].type);
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            float acc = 0;
            for (int k = 0; k < K; k++) {
                float a = nearest(x[i / COLUMNS * K + k], to[t].digits, to[t].lowest, to[t].largest),
                      b = nearest(w[k * COLUMNS + i % COLUMNS], to[t].digits, to[t].lowest, to[t].largest);
                acc = fmaf(a, b, acc);
            }
            CHECK_BITS(out(y, 0, i), acc);
        }
    }
}

/* ---- 4: NaN, ties, denormals ---- */
TEST(clause_4_max_and_min) {
    static const float a[] = {NAN, 1, -0.0f, 0, NAN, 2, -INFINITY},
                       b[] = {1, NAN, 0, -0.0f, NAN, 2, INFINITY};
    static const float top[] = {NAN, NAN, -0.0f, 0, NAN, 2, INFINITY},
                       low[] = {NAN, NAN, -0.0f, 0, NAN, 2, -INFINITY};
    Tensor columns[2] = {floats(7, a), floats(7, b)};
    const After *y = given(
        columns,
        "graph g {\n  column a: f32[7]\n  column b: f32[7]\n  %%1: f32[7] = arg {column=a}\n"
        "  %%2: f32[7] = arg {column=b}\n  %%3: f32[7] = max %%1, %%2\n  %%4: f32[7] = min %%1, %%2\n"
        "  %%5: f32[] = reduce %%1 {kind=max, axes=[0]}\n  %%6: i32[] = reduce %%2 {kind=argmax, axes=[0]}\n"
        "  output value top = %%3\n  output value low = %%4\n  output value m = %%5\n  output value at = "
        "%%6\n}\n");
    for (int i = 0; i < 7; i++) {
        CHECK_BITS(out(y, 0, i), top[i]);
        CHECK_BITS(out(y, 1, i), low[i]);
    }
    CHECK_BITS(out(y, 2, 0), NAN);
    CHECK_INT(*(int32_t *)y->outputs[3].data, 1); /* the first NaN */
}

/* On a tie the second operand takes the gradient, of a reduction the first extremum. */
TEST(clause_4_ties_of_gradients) {
    static const float a[] = {3, 1, 3, 3}, b[] = {3, 2, 0, 3};
    Tensor columns[2] = {floats(4, a), floats(4, b)};
    const After *y = given(
        columns, "graph g {\n  column a: f32[4]\n  column b: f32[4]\n  %%1: f32[4] = arg {column=a}\n"
                 "  %%2: f32[4] = arg {column=b}\n  %%3: f32[4] = max %%1, %%2\n"
                 "  %%4: f32[] = reduce %%3 {kind=sum, axes=[0]}\n  %%5: f32[4] = grad %%4, %%1, %%2\n"
                 "  %%6: f32[4] = result %%5 {index=0}\n  %%7: f32[4] = result %%5 {index=1}\n"
                 "  %%8: f32[] = reduce %%1 {kind=max, axes=[0]}\n  %%9: f32[4] = grad %%8, %%1\n"
                 "  %%10: f32[4] = result %%9 {index=0}\n  output value ga = %%6\n  output value gb = %%7\n"
                 "  output value first = %%10\n}\n");
    static const float to_a[] = {0, 0, 1, 0}, to_b[] = {1, 1, 0, 1}, first[] = {1, 0, 0, 0};
    for (int i = 0; i < 4; i++) {
        CHECK(out(y, 0, i) == to_a[i] && out(y, 1, i) == to_b[i] && out(y, 2, i) == first[i]);
    }
}

TEST(clause_4_no_denormals) {
    unsigned mode = _mm_getcsr();
    static const float x[] = {0x1p-126f, -0x1p-126f, 0x1p-100f, 1};
    Tensor column = floats(4, x);
    const After *y = given(
        &column,
        "graph g {\n  column x: f32[4]\n  %%1: f32[4] = arg {column=x}\n  %%2: f32[] = const {value=0.5}\n"
        "  %%3: f32[4] = broadcast %%2 {at=[]}\n  %%4: f32[4] = mul %%1, %%3\n"
        "  %%5: f32[] = const {value=1e-40}\n  %%6: f32[4] = broadcast %%5 {at=[]}\n  %%7: f64[4] = cast "
        "%%1\n"
        "  %%8: f64[] = const {value=1e-20}\n  %%9: f64[4] = broadcast %%8 {at=[]}\n"
        "  %%10: f64[4] = mul %%7, %%9\n  %%11: f32[4] = cast %%10\n  output value half = %%4\n"
        "  output value tiny = %%6\n  output value cast = %%11\n}\n");
    CHECK_BITS(out(y, 0, 0), 0.0f);
    CHECK_BITS(out(y, 0, 1), -0.0f);
    CHECK_BITS(out(y, 1, 0), 0.0f);
    CHECK_BITS(out(y, 2, 2), 0.0f);
    CHECK_BITS(out(y, 2, 1), -0.0f);
    CHECK_INT(_mm_getcsr() & 0xffc0u, mode & 0xffc0u); /* the caller's mode is what it was */
    volatile float small = 0x1p-126f;
    CHECK(small * 0.5f != 0);
}

/* ---- 5: functions ---- */
TEST_ALL(clause_5_functions_in_code_are_within_two_ulp) {
    static const struct {
        const char *op;
        MathFn f;
    } fns[] = {{"exp", M_exp}, {"expm1", M_expm1}, {"log", M_log},   {"log1p", M_log1p},
               {"sin", M_sin}, {"cos", M_cos},     {"tanh", M_tanh}, {"sigmoid", M_sigmoid},
               {"erf", M_erf}, {"erfc", M_erfc}};
    enum { N = 20000, FNS = sizeof fns / sizeof *fns };
    Tensor x = noise(8, N);
    for (uint32_t i = 0; i < N; i++) {
        ((float *)x.data)[i] = flush_f32(f32_of_bits(i * 214741u));
    }
    Buf text = buf_make(test_arena());
    buf_printf(&text, "graph g {\n  column x: f32[20000]\n  %%1: f32[20000] = arg {column=x}\n");
    for (uint32_t f = 0; f < FNS; f++) {
        buf_printf(&text, "  %%%u: f32[20000] = %s %%1\n", f + 2, fns[f].op);
    }
    for (uint32_t f = 0; f < FNS; f++) {
        buf_printf(&text, "  output value f%u = %%%u\n", f, f + 2);
    }
    buf_printf(&text, "}\n");
    const After *y = given(&x, "%s", text.s);
    for (uint32_t f = 0; f < FNS; f++) {
        for (int64_t i = 0; i < N; i++) {
            double at = ((float *)x.data)[i];
            if (math_error_far(fns[f].f, at, out(y, f, i)))
                continue;
            double ulp = math_error_ulp(out(y, f, i), math_f64(fns[f].f, at, 0));
            CHECK_MSG(ulp <= 2, "%s(%a) is %.2f ulp off", fns[f].op, at, ulp);
        }
    }
}

/* ---- 6: zero annihilates ---- */
TEST(clause_6_weight_zero_removes_a_term) {
    static const float x[] = {0, 1, 2, 3}, weight[] = {0};
    Tensor columns[2] = {floats(4, x), shaped(floats(1, weight), (Shape){0})};
    const After *y = given(
        columns,
        "graph g {\n  column x: f32[4]\n  column w: f32[]\n  %%1: f32[4] = arg {column=x}\n"
        "  %%2: f32[] = arg {column=w}\n  %%3: f32[4] = log %%1\n  %%4: f32[] = reduce %%3 {kind=sum, "
        "axes=[0]}\n"
        "  %%5: f32[] = reduce %%1 {kind=sum, axes=[0]}\n  %%6: f32[] = mulz %%2, %%4\n  %%7: f32[] = add "
        "%%5, %%6\n"
        "  %%8: f32[4] = grad %%7, %%1\n  %%9: f32[4] = result %%8 {index=0}\n  output value bad = %%4\n"
        "  output value total = %%7\n  output value g = %%9\n}\n");
    CHECK(isinf(out(y, 0, 0)));
    CHECK(out(y, 1, 0) == 6);
    for (int i = 0; i < 4; i++) {
        CHECK(out(y, 2, i) == 1);
    }
}

/* sigmoid far below 0; the root and a norm at 0; the branch that is not taken. */
TEST(clause_6_gradients_at_the_edge) {
    static const float x[] = {-200, 200, 0}, zero[] = {0, 0, 0};
    Tensor columns[2] = {floats(3, x), floats(3, zero)};
    const After *y = given(
        columns,
        "graph g {\n  column x: f32[3]\n  column z: f32[3]\n  %%1: f32[3] = arg {column=x}\n"
        "  %%2: f32[3] = arg {column=z}\n  %%3: f32[3] = sigmoid %%1\n  %%4: f32[] = reduce %%3 {kind=sum, "
        "axes=[0]}\n"
        "  %%5: f32[3] = grad %%4, %%1\n  %%6: f32[3] = result %%5 {index=0}\n  %%7: f32[3] = sqrt %%2\n"
        "  %%8: f32[] = reduce %%7 {kind=sum, axes=[0]}\n  %%9: f32[3] = grad %%8, %%2\n  %%10: f32[3] = "
        "result %%9 "
        "{index=0}\n"
        "  %%11: f32[3] = mul %%2, %%2\n  %%12: f32[] = reduce %%11 {kind=sum, axes=[0]}\n  %%13: f32[] = "
        "sqrt %%12\n"
        "  %%14: f32[3] = grad %%13, %%2\n  %%15: f32[3] = result %%14 {index=0}\n  %%16: bool[3] = lt %%2, "
        "%%1\n"
        "  %%17: f32[3] = log %%2\n  %%18: f32[3] = select %%16, %%1, %%17\n  %%19: f32[3] = select %%16, "
        "%%18, %%2\n"
        "  %%20: f32[] = reduce %%19 {kind=sum, axes=[0]}\n  %%21: f32[3] = grad %%20, %%2\n  %%22: f32[3] = "
        "result "
        "%%21 {index=0}\n"
        "  output value s = %%6\n  output value root = %%10\n  output value norm = %%15\n  output value "
        "branch = "
        "%%22\n}\n");
    for (int i = 0; i < 3; i++) {
        CHECK(out(y, 1, i) == 0 && out(y, 2, i) == 0);
        CHECK(isfinite(out(y, 0, i)) && isfinite(out(y, 3, i)));
    }
    CHECK(out(y, 0, 0) == 0 && out(y, 0, 2) == 0.25f);
}

/* ---- 8: random numbers ---- */
static void philox_round(uint32_t *c, const uint32_t *k) {
    uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t n[4] = {(uint32_t)(q >> 32) ^ c[1] ^ k[0], (uint32_t)q, (uint32_t)(p >> 32) ^ c[3] ^ k[1],
                     (uint32_t)p};
    memcpy(c, n, sizeof n);
}

static uint32_t word_of(const uint32_t *counter, uint32_t key0, uint32_t key1, uint32_t which) {
    uint32_t c[4], k[2] = {key0, key1};
    memcpy(c, counter, sizeof c);
    for (int i = 0; i < 10; i++) {
        philox_round(c, k);
        k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;
    }
    return c[which];
}

TEST(clause_8_layout_of_a_draw) {
    enum { N = 1000, SEED = 42, CLOCK = 7, PHASE = 2, ITERATION = 5 };
    const uint32_t zero[4] = {0, 0, 0, 0};
    CHECK(word_of(zero, 0, 0, 0) == 0x6627e8d5u); /* the published vector of ten rounds */
    const After *y = given(NULL,
                           "graph g {\n  %%1: i32[] = const {value=%d}\n  %%2: i32[] = const {value=%d}\n"
                           "  %%3: i32[] = const {value=%d}\n  %%4: i32[] = const {value=%d}\n"
                           "  %%5: i32[10,100] = random %%1, %%2, %%3, %%4 {kind=word, stream=99}\n"
                           "  %%6: f32[10,100] = random %%1, %%2, %%3, %%4 {kind=uniform, stream=99}\n"
                           "  output value w = %%5\n  output value u = %%6\n}\n",
                           SEED, CLOCK, PHASE, ITERATION);
    for (uint32_t e = 0; e < N; e++) {
        uint32_t counter[4] = {16 * (e / 64) + e % 16, ITERATION, CLOCK, PHASE};
        uint32_t w = word_of(counter, SEED, 99, e / 16 % 4);
        CHECK_INT(((uint32_t *)y->outputs[0].data)[e], w);
        CHECK_BITS(out(y, 1, e), (float)(w >> 8) * 0x1p-24f);
    }
}

/* ---- 9: integers and indices ---- */
TEST(clause_9_casts) {
    static const float x[] = {2.9f, -2.9f, 1e10f, -1e10f, NAN, 300, -5, 2.5f, 3.5f, -0.5f};
    static const int32_t whole[] = {2, -2, INT32_MAX, INT32_MIN, 0, 300, -5, 2, 3, 0};
    static const uint8_t byte[] = {2, 0, 255, 0, 0, 255, 0, 2, 3, 0};
    Tensor column = floats(10, x);
    const After *y =
        given(&column,
              "graph g {\n  column x: f32[10]\n  %%1: f32[10] = arg {column=x}\n  %%2: i32[10] = cast %%1\n"
              "  %%3: u8[10] = cast %%1\n  %%4: f32[10] = rint %%1\n  output value i = %%2\n"
              "  output value b = %%3\n  output value r = %%4\n}\n");
    for (int i = 0; i < 10; i++) {
        CHECK_INT(((int32_t *)y->outputs[0].data)[i], whole[i]);
        CHECK_INT(((uint8_t *)y->outputs[1].data)[i], byte[i]);
    }
    CHECK(out(y, 2, 7) == 2 && out(y, 2, 8) == 4 && same_bits(out(y, 2, 9), -0.0f));
}

TEST(clause_9_integers_wrap_and_round_down) {
    static const int32_t a[] = {7, -7, 7, -7, INT32_MIN, INT32_MAX, 5}, b[] = {2, 2, -2, -2, -1, 1, 0};
    static const int32_t quotient[] = {3, -4, -4, 3, INT32_MIN, INT32_MAX, 0},
                         rest[] = {1, 1, -1, -1, 0, 0, 0};
    Tensor columns[2] = {floats(7, (const float *)a), floats(7, (const float *)b)};
    columns[0].dtype = columns[1].dtype = DT_I32;
    const After *y =
        given(columns,
              "graph g {\n  column a: i32[7]\n  column b: i32[7]\n  %%1: i32[7] = arg {column=a}\n"
              "  %%2: i32[7] = arg {column=b}\n  %%3: i32[7] = idiv %%1, %%2\n  %%4: i32[7] = mod %%1, %%2\n"
              "  %%5: i32[7] = add %%1, %%2\n  output value q = %%3\n  output value r = %%4\n  output value "
              "s = %%5\n}\n");
    for (int i = 0; i < 7; i++) {
        CHECK_INT(((int32_t *)y->outputs[0].data)[i], quotient[i]);
        CHECK_INT(((int32_t *)y->outputs[1].data)[i], rest[i]);
    }
    CHECK_INT(((int32_t *)y->outputs[2].data)[5], INT32_MIN);
}

TEST(clause_9_sums_at_an_index_go_by_position) {
    static const float u[] = {1e8f, 1, -1e8f, 1, 3};
    static const int32_t at[] = {1, 1, 1, 1, 0};
    Tensor columns[2] = {floats(5, u), floats(5, (const float *)at)};
    columns[1].dtype = DT_I32;
    const After *y = given(
        columns, "graph g {\n  column u: f32[5]\n  column i: i32[5]\n  %%1: f32[5] = arg {column=u}\n"
                 "  %%2: i32[5] = arg {column=i}\n  %%3: f32[3] = scatter_add %%1, %%2 {batch=0, extent=3}\n"
                 "  output value y = %%3\n}\n");
    CHECK(out(y, 0, 0) == 3 && out(y, 0, 1) == 1 && same_bits(out(y, 0, 2), 0));
}

/* ---- 9 and 11: a step that is not healthy ---- */
TEST(clause_9_11_an_index_fault_commits_nothing) {
    static const float x[] = {10, 20, 30};
    static const int32_t at[] = {-1, 3, 1};
    Tensor columns[2] = {floats(3, x), floats(3, (const float *)at)};
    columns[1].dtype = DT_I32;
    const After *y =
        given(columns, "var state v: f32[3]\ngraph g {\n  column x: f32[3]\n  column i: i32[3]\n  %%1: "
                       "f32[3] = arg {column=x}\n"
                       "  %%2: i32[3] = arg {column=i}\n  %%3: f32[3] = gather %%1, %%2 {batch=0, extent=3}\n"
                       "  %%4: f32[3] = commit %%3 {var=v}\n  output value y = %%3\n}\n");
    CHECK_INT(y->health, HEALTH_INDEX);
    CHECK(out(y, 0, 0) == 10 && out(y, 0, 1) == 30 && out(y, 0, 2) == 20);
    CHECK(((float *)y->vars[0].data)[0] == 0 && ((float *)y->vars[0].data)[2] == 0);
}

TEST(clause_11_only_healthy_steps_commit) {
    static const float good[] = {1, 2}, bad[] = {1, NAN};
    for (int i = 0; i < 2; i++) {
        Tensor column = floats(2, i == 0 ? good : bad);
        const After *y = given(
            &column,
            "var param p: f32[2]\nvar optim m: f32[2] of=p\ngraph g {\n  column x: f32[2]\n"
            "  %%1: f32[2] = arg {column=x}\n  %%2: f32[2] = arg {var=p}\n  %%3: f32[2] = add %%1, %%2\n"
            "  %%4: f32[2] = check %%3 {name=sum}\n  %%5: f32[2] = commit %%3 {var=p}\n"
            "  %%6: f32[2] = commit %%1 {var=m}\n  output value y = %%3\n}\n");
        CHECK_INT(y->health, i == 0 ? 0 : HEALTH_NONFINITE);
        CHECK(((float *)y->vars[0].data)[0] == (i == 0 ? 1 : 0));
        CHECK(((float *)y->vars[1].data)[0] == (i == 0 ? 1 : 0));
    }
}
