/* docs/semantics.md, clause 11, where updates are folded into the products that make their gradients: whatever the
 * operands are, a step writes all or nothing, in every mode. */
#include "graph_case.h"
#include "test.h"
#include <math.h>
#include <string.h>

typedef struct { int64_t k, m, n; bool x_turned, d_turned, x_computed; } Sizes;

static Str two(Arena *a, bool turned, const char *k, const char *other) {
    return turned ? str_format(a, "%s,%s", other, k) : str_format(a, "%s,%s", k, other);
}

static Str number(Arena *a, int64_t n) { return str_format(a, "%lld", (long long)n); }

/* g = sum of x d over k;  s = s + g;  w = w - s.  d is computed and stored, x a column, or computed where it is
 * packed. */
static Scenario *folded(Arena *a, const Sizes *z, const Math *math) {
    Str k = number(a, z->k), m = number(a, z->m), n = number(a, z->n), w = two(a, false, m.s, n.s);
    Str x = two(a, z->x_turned, k.s, m.s), d = two(a, z->d_turned, k.s, n.s);
    Str at_x = two(a, z->x_turned, "k", "m"), at_d = two(a, z->d_turned, "k", "n");
    Str text = str_format(a,
                          "var param w: f32[%s]\nvar optim s: f32[%s] of=w\ngraph g {\n"
                          "  column x: f32[%s]\n  column d: f32[%s]\n"
                          "  %%1: f32[%s] = arg {var=w}\n  %%2: f32[%s] = arg {var=s}\n"
                          "  %%3: f32[%s] = arg {column=x}\n  %%4: f32[%s] = arg {column=d}\n"
                          "  %%5: f32[%s] = mul %%4, %%4\n  %%6: f32[%s] = mul %%5, %%4\n  %%7: f32[%s] = abs %%3\n",
                          w.s, w.s, x.s, d.s, w.s, w.s, x.s, d.s, d.s, d.s, x.s);
    text = str_format(a,
                      "%s  %%8: f32[%s] = contract %%%d, %%6 {A=[%s], B=[%s], C=[m,n], over=[k]}\n"
                      "  %%9: f32[%s] = check %%8 {name=g}\n"
                      "  %%10: f32[%s] = add %%2, %%8\n  %%11: f32[%s] = sub %%1, %%10\n"
                      "  %%12: f32[%s] = commit %%10 {var=s}\n  %%13: f32[%s] = commit %%11 {var=w}\n}\n",
                      text.s, w.s, z->x_computed ? 7 : 3, at_x.s, at_d.s, w.s, w.s, w.s, w.s, w.s);
    return case_parse(a, text, 1, math);
}

/* An element of x and one of d, which goes into the product cubed. */
typedef struct { const char *what; float x, d; uint32_t health; } Case;
enum { INFINITE = 5 };
static const Case k_cases[] = {
    {"small", 1, 1, 0},
    {"as large as may be", 0x1p50f, 0x1p16f, 0},
    {"large", 0x1p60f, 1, 0},
    {"large, the other", 1, 0x1p40f, 0},
    {"large, both", 0x1p50f, 0x1p25f, 0},
    [INFINITE] = {"infinite", 0x1p60f, 0x1p30f, HEALTH_NONFINITE},
    {"an infinity", INFINITY, 1, HEALTH_NONFINITE},
    {"an infinity by 0", INFINITY, 0, HEALTH_NONFINITE},
    {"no number", NAN, 1, HEALTH_NONFINITE},
    {"no number, the other", 0, NAN, HEALTH_NONFINITE},
};

static Tensor filled(Arena *a, bool turned, int64_t k, int64_t other, uint32_t seed) {
    Tensor t = tensor_new(a, DT_F32, shape_of(2, turned ? (int64_t[]){other, k} : (int64_t[]){k, other}));
    for (int64_t i = 0; i < k * other; i++) {
        seed = seed * 1664525 + 1013904223;
        ((float *)t.data)[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    return t;
}

static void try_case(const Sizes *z, const Case *c, const Math *math) {
    Arena *a = test_arena();
    Scenario *s = folded(a, z, math);
    REQUIRE(s != NULL);
    Tensor columns[2] = {filled(a, z->x_turned, z->k, z->m, 1), filled(a, z->d_turned, z->k, z->n, 2)};
    ((float *)columns[0].data)[0] = c->x; /* both of k = 0 */
    ((float *)columns[1].data)[0] = c->d;
    Moment m = s->moments[0];
    m.columns = columns;
    s->vars = NULL, s->moments = &m, s->n_moments = 1;
    After after;
    Error e = {0};
    REQUIRE(modes_interpret(a, s, &after, &e) == GR_OK);
    CHECK_MSG(after.health == c->health, "%s: health is %u", c->what, after.health);
    Buf what = buf_make(a);
    uint32_t failed;
    CHECK_MSG(modes_agree(a, s, MODES_ALL, &failed, &what) && what.n == 0, "%s, %lld x %lld x %lld\n%s", c->what,
              (long long)z->k, (long long)z->m, (long long)z->n, what.n ? what.s : "");
}

static const Math *functions(void) {
    const Math *m;
    Error e = {0};
    REQUIRE(math_create(test_arena(), &m, &e) == GR_OK);
    return m;
}

TEST(a_folded_step_writes_all_or_nothing) {
    try_case(&(Sizes){3, 23, 41, false, false, false}, &k_cases[INFINITE], functions());
}

TEST_ALL(a_folded_step_of_any_operands) {
    const Math *math = functions();
    for (size_t i = 0; i < sizeof k_cases / sizeof *k_cases; i++) {
        try_case(&(Sizes){3, 23, 41, false, false, false}, &k_cases[i], math);
        try_case(&(Sizes){4, 40, 37, true, false, true}, &k_cases[i], math);
    }
}

TEST_ALL(folded_products_of_all_shapes) {
    static const Sizes sizes[] = {{1, 17, 33, false, false, false}, {1, 300, 16, false, false, true},
                                  {2, 15, 129, true, false, false}, {5, 64, 64, false, true, false},
                                  {5, 33, 130, true, true, true}};
    const Math *math = functions();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizeof k_cases / sizeof *k_cases; k += 3)
            try_case(&sizes[i], &k_cases[k], math);
    }
}
