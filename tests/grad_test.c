/* Gradients against finite differences in f64: every differentiable elementwise primitive from the op table, every
 * view, reduction and form of contraction, scans, and gradients of gradients. */
#include "grad.h"
#include "philox.h"
#include "test.h"
#include "winograd.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- a program under test: y = f(vars); s = sum(y * weight) ---- */
typedef struct {
    Arena *a;
    Module *m;
    Graph *g;
    Build b;
    uint32_t n;            /* variables that are differentiated */
    Val x[4];
    double lo[4], hi[4];   /* where their values are drawn from */
} Case;

static Case case_begin(void) {
    Case c = {.a = test_arena()};
    SourceSet *s = sources_create(c.a);
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(c.a, &math, &e) == GR_OK);
    c.m = module_create(c.a, s, math);
    c.g = graph_create(c.m, STR("f"));
    c.b = (Build){c.g, {0, 0}, 0};
    return c;
}

static uint32_t add_var(Case *c, Shape s) {
    vec_push(c->a, &c->m->vars,
             ((Var){VAR_PARAM, str_format(c->a, "v%u", c->m->vars.n), DT_F32, s, {0, 0}, 0, 0, false}));
    return c->m->vars.n - 1;
}

static Val variable(Case *c, Shape s, double lo, double hi) {
    Val v = build_arg(&c->b, ARG_VAR, add_var(c, s), (Type){DT_F32, s});
    c->x[c->n] = v;
    c->lo[c->n] = lo;
    c->hi[c->n++] = hi;
    return v;
}

static double draw(uint32_t stream, uint64_t e, double lo, double hi) {
    return lo + (hi - lo) * (uniform_of_word(philox_word(7, stream, 0, 0, 0, e)) * 0.98 + 0.01);
}

static Tensor tensor_f64(Arena *a, Shape s, uint32_t stream, double lo, double hi) {
    double *x = PUSH(a, double, shape_count(s) + 1);
    for (int64_t i = 0; i < shape_count(s); i++) x[i] = draw(stream, (uint64_t)i, lo, hi);
    return (Tensor){DT_F64, s, x};
}

/* The sum of all elements of y, each with a weight of its own (a variable after the differentiated ones). */
static Val weighted_sum(Case *c, Val y) {
    Shape s = type_of(c->g, y).shape;
    Val w = build_arg(&c->b, ARG_VAR, add_var(c, s), (Type){DT_F32, s});
    uint8_t axes[MAX_RANK];
    for (uint8_t i = 0; i < MAX_RANK; i++) axes[i] = i;
    return build_reduce(&c->b, REDUCE_SUM, build_2(&c->b, OP_mul, y, w), s.rank, axes);
}

static void evaluate(Case *c, const Graph *g, Tensor *vars, Tensor *outputs) {
    EvalRun run = {.graph = g, .vars = vars, .f64 = true, .threads = 1};
    Error e = {0};
    if (graph_eval(c->a, &run, outputs, &e) != GR_OK) test_failed(__FILE__, __LINE__, "%s", e.what);
}

static double scalar_at(Case *c, const Graph *g, Tensor *vars) {
    Tensor *out = PUSH(c->a, Tensor, g->outputs.n);
    evaluate(c, g, vars, out);
    return *(double *)out[0].data;
}

/* Outputs: s, then ds/dx of every variable; compared with central differences. */
static void compare(Case *c, const Graph *g, const char *what) {
    Tensor *vars = PUSH(c->a, Tensor, c->m->vars.n), *out = PUSH(c->a, Tensor, g->outputs.n);
    for (uint32_t i = 0; i < c->m->vars.n; i++)
        vars[i] = i < c->n ? tensor_f64(c->a, c->m->vars.at[i].shape, i, c->lo[i], c->hi[i])
                           : tensor_f64(c->a, c->m->vars.at[i].shape, i, -1, 1);
    evaluate(c, g, vars, out);
    for (uint32_t i = 0; i < c->n; i++)
        for (int64_t k = 0; k < shape_count(vars[i].shape); k++) {
            double *x = (double *)vars[i].data + k, at = *x, h = 1e-5;
            ArenaMark mark = arena_mark(c->a);
            *x = at + h;
            double up = scalar_at(c, g, vars);
            *x = at - h;
            double down = scalar_at(c, g, vars);
            *x = at;
            arena_pop(mark);
            double slope = (up - down) / (2 * h), got = ((double *)out[i + 1].data)[k];
            CHECK_MSG(fabs(got - slope) <= 1e-6 + 1e-5 * fabs(slope),
                      "%s: d/dx%u[%lld] is %.9g, differences give %.9g", what, i, (long long)k, got, slope);
        }
}

/* first and second: `again` differentiates a weighted sum of the gradient once more. */
static void check_case(Case *c, Val y, const char *what, bool again) {
    Val s = weighted_sum(c, y);
    Val grad = build_grad(&c->b, s, c->n, c->x);
    if (again) {
        Val total = {0};
        for (uint32_t i = 0; i < c->n; i++) {
            Val part = weighted_sum(c, build_result(&c->b, grad, i));
            total = total.i ? build_2(&c->b, OP_add, total, part) : part;
        }
        s = total;
        grad = build_grad(&c->b, s, c->n, c->x);
    }
    graph_output(c->g, OUT_VALUE, 0, s);
    for (uint32_t i = 0; i < c->n; i++) graph_output(c->g, OUT_VALUE, 0, build_result(&c->b, grad, i));
    Diags *ds = diags_create(c->a, c->m->sources);
    Graph *g = grad_expand(c->a, c->g, ds);
    REQUIRE(g != NULL);
    Diags *invalid = diags_create(c->a, c->m->sources);
    CHECK_MSG(graph_verify(g, invalid), "%s: the gradient is not a valid graph", what);
    compare(c, g, what);
}

static Shape shape(uint32_t rank, int64_t a, int64_t b, int64_t c) { return shape_of(rank, (int64_t[]){a, b, c}); }

/* ---- elementwise, from the op table ---- */
static bool differentiable(Op op) {
    if (op_class(op) != CLASS_ELT || op == OP_cast || op == OP_select) return false;
    return op != OP_idiv && op != OP_mod && op != OP_lt && op != OP_le && op != OP_eq && op != OP_isnan &&
           op != OP_and && op != OP_or && op != OP_not;
}

static void elementwise(Op op, bool again) {
    Case c = case_begin();
    bool positive = op == OP_sqrt || op == OP_log || op == OP_log1p || op == OP_pow;
    Val in[3];
    int n = op_operands(op);
    for (int i = 0; i < n; i++)
        in[i] = variable(&c, shape(2, 3, 2, 0), positive ? 0.3 : -1.6 + 0.1 * i, positive ? 2.5 : 1.7);
    check_case(&c, build_elt(&c.b, op, (uint32_t)n, in), op_name(op), again);
}

TEST(elementwise_gradients) {
    uint32_t tried = 0;
    for (Op op = 0; op < OP_COUNT; op++)
        if (differentiable(op)) elementwise(op, false), tried++;
    CHECK(tried >= 24);
}

TEST(elementwise_second_gradients) {
    for (Op op = 0; op < OP_COUNT; op++)
        if (differentiable(op)) elementwise(op, true);
}

TEST(select_gradient) {
    Case c = case_begin();
    Val x = variable(&c, shape(1, 6, 0, 0), -1, 1), y = variable(&c, shape(1, 6, 0, 0), -1, 1);
    Val cond = build_2(&c.b, OP_lt, x, build_const(&c.b, DT_F32, 0.1));
    check_case(&c, build_select(&c.b, cond, build_2(&c.b, OP_mul, x, y), build_1(&c.b, OP_exp, y)), "select", true);
}

/* ---- ties and zeros: by definition, not by differences ---- */
static double gradient_at(Op op, double x0, double x1, uint32_t k) {
    Case c = case_begin();
    Val in[2];
    for (int i = 0; i < op_operands(op); i++) in[i] = variable(&c, shape(0, 0, 0, 0), 0, 1);
    Val y = build_elt(&c.b, op, (uint32_t)op_operands(op), in);
    Val grad = build_grad(&c.b, y, c.n, c.x);
    graph_output(c.g, OUT_VALUE, 0, build_result(&c.b, grad, k));
    Graph *g = grad_expand(c.a, c.g, diags_create(c.a, c.m->sources));
    double values[2] = {x0, x1};
    Tensor vars[2] = {{DT_F64, {0}, &values[0]}, {DT_F64, {0}, &values[1]}};
    return scalar_at(&c, g, vars);
}

TEST(ties_go_to_the_second) {
    CHECK(gradient_at(OP_max, 1, 1, 0) == 0);
    CHECK(gradient_at(OP_max, 1, 1, 1) == 1);
    CHECK(gradient_at(OP_min, 1, 1, 0) == 0);
    CHECK(gradient_at(OP_min, 1, 1, 1) == 1);
    CHECK(gradient_at(OP_sqrt, 0, 0, 0) == 0);
    CHECK(gradient_at(OP_abs, 0, 0, 0) == 0);
    CHECK(gradient_at(OP_sigmoid, -800, 0, 0) == 0);
}

/* ---- views ---- */
TEST(view_gradients) {
    static const uint8_t middle[] = {1}, turn[] = {2, 0, 1};
    for (int which = 0; which < 11; which++) {
        Case c = case_begin();
        Val x = variable(&c, which == 0 ? shape(1, 3, 0, 0) : shape(3, 2, 5, 3), -1, 1), y = x;
        int64_t lo[] = {1, 4, 0}, step[] = {1, -2, 2}, before[] = {1, 0, 2}, after[] = {0, 3, 1};
        Val three[] = {x, x, x};
        switch (which) {
        case 0: y = build_broadcast(&c.b, x, shape(3, 2, 3, 4), middle); break;
        case 1: y = build_reshape(&c.b, x, shape(2, 6, 5, 0)); break;
        case 2: y = build_permute(&c.b, x, turn); break;
        case 3: y = build_slice(&c.b, x, lo, step, shape(3, 1, 3, 2)); break;
        case 4: y = build_pad(&c.b, x, before, after, 0.5); break;
        case 5: y = build_concat(&c.b, 1, 3, three); break;
        case 6: {
            Val position = build_iota(&c.b, shape(2, 2, 4, 0), 1);
            Val index = build_2(&c.b, OP_mod, build_2(&c.b, OP_mul, position, build_const(&c.b, DT_I32, 3)),
                                build_const(&c.b, DT_I32, 5));
            y = build_gather(&c.b, x, index, 1);
            break;
        }
        case 7: y = build_window(&c.b, x, 1, 3, 3, 1, 1, 0, 0); break;
        case 8: y = build_window(&c.b, x, 1, 3, 3, 2, 1, 1, 0.5); break;
        case 9: y = build_window(&c.b, x, 1, 4, 2, 3, 4, 2, 0); break;
        case 10: y = build_window(&c.b, x, 2, 2, 5, 1, 1, 2, 0); break;
        }
        Val square = build_2(&c.b, OP_mul, y, y);
        check_case(&c, square, "view", which != 3);
    }
}

/* ---- reductions ---- */
TEST(reduction_gradients) {
    static const ReduceKind kinds[] = {REDUCE_SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN};
    static const uint8_t axes[3][2] = {{0, 2}, {2, 0}, {1, 2}};
    for (uint32_t k = 0; k < 4; k++)
        for (uint32_t i = 0; i < 3; i++) {
            Case c = case_begin();
            Val x = variable(&c, shape(3, 3, 4, 2), -1, 1);
            Val y = build_reduce(&c.b, kinds[k], build_1(&c.b, OP_exp, x), 2, axes[i]);
            check_case(&c, build_2(&c.b, OP_mul, y, y), "reduce", true);
        }
}

TEST(moments_gradient) {
    static const uint8_t axes[] = {0, 2};
    Case c = case_begin();
    Val x = variable(&c, shape(3, 3, 2, 4), -1, 1);
    Val tuple = build_reduce(&c.b, REDUCE_MOMENTS, x, 2, axes);
    Val y = build_2(&c.b, OP_mul, build_result(&c.b, tuple, 0), build_1(&c.b, OP_sqrt, build_result(&c.b, tuple, 1)));
    check_case(&c, y, "moments", false);
}

/* ---- along the last axis ---- */
TEST(cumulative_gradients) {
    static const ReduceKind kinds[] = {REDUCE_SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN};
    for (int64_t length = 0; length < 6; length += length < 2 ? 1 : 3)
        for (uint32_t k = 0; k < 4; k++) {
            Case c = case_begin();
            Val x = variable(&c, shape(2, 3, length, 0), -1, 1);
            Val y = build_cumulative(&c.b, kinds[k], build_1(&c.b, OP_sin, x));
            check_case(&c, build_2(&c.b, OP_mul, y, y), "cumulative", true);
        }
}

TEST(cumulative_product_gradient_with_zeros) {
    Case c = case_begin();                        /* two zeros: dividing the products by x would not do */
    Val x = variable(&c, shape(1, 5, 0, 0), -1, 1);
    Val zero = build_2(&c.b, OP_mod, build_iota(&c.b, shape(1, 5, 0, 0), 0), build_const(&c.b, DT_I32, 3));
    Val shift = build_select(&c.b, build_2(&c.b, OP_eq, zero, build_const(&c.b, DT_I32, 1)),
                             build_grad_as(&c.b, x, (Val){0}), build_splat(&c.b, DT_F32, 0, shape(1, 5, 0, 0)));
    Val y = build_cumulative(&c.b, REDUCE_PROD, build_2(&c.b, OP_sub, x, shift));
    Val grad = build_grad(&c.b, weighted_sum(&c, y), 1, c.x);
    graph_output(c.g, OUT_VALUE, 0, build_result(&c.b, grad, 0));
    Graph *g = grad_expand(c.a, c.g, diags_create(c.a, c.m->sources));
    double at[5] = {0.5, 3, -0.75, 1.5, 7}, weight[5] = {1, 2, 3, 4, 5}, want[5] = {1, 0, 0, 0, 0};
    want[1] = 0.5 * (2 + 3 * -0.75 + 4 * -0.75 * 1.5);
    Tensor vars[2] = {{DT_F64, shape(1, 5, 0, 0), at}, {DT_F64, shape(1, 5, 0, 0), weight}}, out[1];
    evaluate(&c, g, vars, out);
    for (int i = 0; i < 5; i++) CHECK(fabs(((double *)out[0].data)[i] - want[i]) < 1e-9);
}

TEST(running_extremum_ties_go_to_the_first) {
    for (int low = 0; low < 2; low++) {
        Case c = case_begin();
        Val x = variable(&c, shape(1, 5, 0, 0), -1, 1);
        Val y = build_cumulative(&c.b, low ? REDUCE_MIN : REDUCE_MAX, x);
        graph_output(c.g, OUT_VALUE, 0, build_result(&c.b, build_grad(&c.b, weighted_sum(&c, y), 1, c.x), 0));
        Graph *g = grad_expand(c.a, c.g, diags_create(c.a, c.m->sources));
        double at[5] = {1, 1, 0, 2, 2}, weight[5] = {1, 2, 4, 8, 16};
        double want[2][5] = {{7, 0, 0, 24, 0}, {3, 0, 28, 0, 0}};
        Tensor vars[2] = {{DT_F64, shape(1, 5, 0, 0), at}, {DT_F64, shape(1, 5, 0, 0), weight}}, out[1];
        evaluate(&c, g, vars, out);
        for (int i = 0; i < 5; i++) CHECK(((double *)out[0].data)[i] == want[low][i]);
    }
}

TEST(recur_gradients) {
    for (int64_t length = 0; length < 6; length += length < 2 ? 1 : 3) {
        Case c = case_begin();
        Val a = variable(&c, shape(2, 3, length, 0), -1, 1), x = variable(&c, shape(2, 3, length, 0), -1, 1);
        Val y = build_recur(&c.b, a, build_2(&c.b, OP_mul, x, a));
        check_case(&c, build_2(&c.b, OP_mul, y, y), "recur", true);
    }
}

/* Through the permutation: an element's cotangent goes back to where it came from. */
TEST(sort_gradients) {
    Case c = case_begin();
    Val x = variable(&c, shape(2, 3, 5, 0), -1, 1);
    Val y = build_gather(&c.b, x, build_argsort(&c.b, x), 1);
    check_case(&c, build_2(&c.b, OP_mul, y, y), "sort", true);
}

/* ---- contractions ---- */
static Contract *product(Arena *a) {
    Contract *c = contract_new(a);                 /* C[n,m] = sum over k of A[n,k] B[k,m] */
    c->n_dims = 3;
    c->n_over = 1;
    c->over[0] = 1;
    for (int i = 0; i < 3; i++) c->rank[i] = 2;
    memcpy(c->dim[0], (uint8_t[]){0, 1}, 2);
    memcpy(c->dim[1], (uint8_t[]){1, 2}, 2);
    memcpy(c->dim[2], (uint8_t[]){0, 2}, 2);
    memcpy(c->extent, (int64_t[]){3, 4, 2}, 3 * sizeof(int64_t));
    return c;
}

TEST(product_gradients) {
    Case c = case_begin();
    Val x = variable(&c, shape(2, 3, 4, 0), -1, 1), y = variable(&c, shape(2, 4, 2, 0), -1, 1);
    Val z = build_contract(&c.b, x, y, product(c.a));
    check_case(&c, build_2(&c.b, OP_mul, z, z), "product", true);
}

/* y[n,co,o] = sum over t, ci of x[n,ci,stride*o + dilation*t - pad] w[co,ci,t] */
static void convolution(int32_t stride, int32_t dilation, int32_t pad, int64_t in, int64_t taps, bool again) {
    Case c = case_begin();
    enum { N, CI, CO, X, O, T };
    int64_t out = (in + 2 * pad - dilation * (taps - 1) - 1) / stride + 1;
    Contract *k = contract_new(c.a);
    k->n_dims = 6;
    k->n_windows = 1;
    k->window[0] = (Window){X, O, T, stride, dilation, pad};
    for (int i = 0; i < 3; i++) k->rank[i] = 3;
    memcpy(k->dim[0], (uint8_t[]){N, CI, X}, 3);
    memcpy(k->dim[1], (uint8_t[]){CO, CI, T}, 3);
    memcpy(k->dim[2], (uint8_t[]){N, CO, O}, 3);
    k->n_over = 2;
    k->over[0] = T;
    k->over[1] = CI;
    memcpy(k->extent, (int64_t[]){2, 2, 3, in, out, taps}, 6 * sizeof(int64_t));
    Val x = variable(&c, shape(3, 2, 2, in), -1, 1), w = variable(&c, shape(3, 3, 2, taps), -1, 1);
    Val y = build_contract(&c.b, x, w, k);
    check_case(&c, build_2(&c.b, OP_mul, y, y), "convolution", again);
}

TEST(convolution_gradients) {
    convolution(1, 1, 0, 5, 3, true);
    convolution(2, 1, 1, 6, 3, true);
    convolution(2, 2, 3, 7, 3, false);
    convolution(3, 1, 0, 8, 2, false);      /* elements that no tap touches */
}

/* ---- scan ---- */
TEST(scan_gradients) {
    for (int reverse = 0; reverse < 2; reverse++) {
        Case c = case_begin();
        Val h = variable(&c, shape(2, 2, 3, 0), -1, 1), xs = variable(&c, shape(3, 3, 2, 3), -1, 1),
            w = variable(&c, shape(2, 2, 3, 0), -1, 1);
        Graph *body = graph_create(c.m, STR("f.body"));
        Build b = {body, {0, 0}, 0};
        Type t = {DT_F32, shape(2, 2, 3, 0)};
        Val carry = build_arg(&b, ARG_BODY, 0, t), step = build_arg(&b, ARG_BODY, 1, t),
            weight = build_arg(&b, ARG_BODY, 2, t);
        Val next = build_1(&b, OP_tanh, build_2(&b, OP_add, build_2(&b, OP_mul, carry, weight), step));
        graph_output(body, OUT_VALUE, 0, next);
        graph_output(body, OUT_VALUE, 0, build_2(&b, OP_mul, carry, next));
        Scan *s = PUSH(c.a, Scan, 1);
        *s = (Scan){body, 1, 1, 1, 3, reverse};
        Val tuple = build_scan(&c.b, s, 3, (Val[]){h, xs, w});
        Val last = build_result(&c.b, tuple, 0), all = build_result(&c.b, tuple, 1);
        uint8_t first[] = {0};
        Val y = build_2(&c.b, OP_add, last, build_reduce(&c.b, REDUCE_SUM, all, 1, first));
        check_case(&c, y, reverse ? "scan, reverse" : "scan", true);
    }
}

/* h' = the last of g' = tanh(g * w + x), begun at h; both loops have what they collect read. */
TEST(scan_in_a_scan_gradients) {
    Case c = case_begin();
    Type t = {DT_F32, shape(1, 3, 0, 0)}, row = {DT_F32, shape(2, 2, 3, 0)};
    Val h = variable(&c, t.shape, -1, 1), xs = variable(&c, shape(3, 3, 2, 3), -1, 1), w = variable(&c, t.shape, -1, 1);
    Graph *inner = graph_create(c.m, STR("f.inner")), *outer = graph_create(c.m, STR("f.outer"));
    Build b = {inner, {0, 0}, 0};
    Val g = build_arg(&b, ARG_BODY, 0, t), x = build_arg(&b, ARG_BODY, 1, t), v = build_arg(&b, ARG_BODY, 2, t);
    Val next = build_1(&b, OP_tanh, build_2(&b, OP_add, build_2(&b, OP_mul, g, v), x));
    graph_output(inner, OUT_VALUE, 0, next);
    graph_output(inner, OUT_VALUE, 0, build_2(&b, OP_mul, g, next));
    Scan *in = PUSH(c.a, Scan, 1), *out = PUSH(c.a, Scan, 1);
    *in = (Scan){inner, 1, 1, 1, 2, false};
    b = (Build){outer, {0, 0}, 0};
    Val carry = build_arg(&b, ARG_BODY, 0, t), rows = build_arg(&b, ARG_BODY, 1, row),
        weight = build_arg(&b, ARG_BODY, 2, t);
    Val tuple = build_scan(&b, in, 3, (Val[]){carry, rows, weight});
    graph_output(outer, OUT_VALUE, 0, build_2(&b, OP_mul, build_result(&b, tuple, 0), weight));
    graph_output(outer, OUT_VALUE, 0, build_result(&b, tuple, 1));
    *out = (Scan){outer, 1, 1, 1, 3, true};
    tuple = build_scan(&c.b, out, 3, (Val[]){h, xs, w});
    uint8_t steps[] = {0, 1};
    Val all = build_reduce(&c.b, REDUCE_SUM, build_result(&c.b, tuple, 1), 2, steps);
    check_case(&c, build_2(&c.b, OP_add, build_result(&c.b, tuple, 0), all), "scan in a scan", true);
}

/* ---- what autodiff is told, and what it says ---- */
TEST(stopped_and_straight_through) {
    Case c = case_begin();
    Val x = variable(&c, shape(0, 0, 0, 0), 0, 1);
    Val stopped = build_grad_as(&c.b, build_2(&c.b, OP_mul, x, x), (Val){0});
    Val through = build_grad_as(&c.b, build_1(&c.b, OP_rint, x), x);
    /* x^2 stopped * x + round(x) as x */
    Val y = build_2(&c.b, OP_add, build_2(&c.b, OP_mul, stopped, x), through);
    Val grad = build_grad(&c.b, y, 1, c.x);
    graph_output(c.g, OUT_VALUE, 0, y);
    graph_output(c.g, OUT_VALUE, 0, build_result(&c.b, grad, 0));
    Graph *g = grad_expand(c.a, c.g, diags_create(c.a, c.m->sources));
    for (uint32_t i = 1; i < g->nodes.n; i++) CHECK(g->nodes.at[i].op != OP_grad_as);
    double at = 0.7;
    Tensor var = {DT_F64, {0}, &at}, out[2];
    evaluate(&c, g, &var, out);
    CHECK(fabs(*(double *)out[0].data - (0.343 + 1)) < 1e-6);
    CHECK(fabs(*(double *)out[1].data - (0.49 + 1)) < 1e-6);
}

TEST(reach_names_what_is_in_the_way) {
    Case c = case_begin();
    Val x = variable(&c, shape(1, 4, 0, 0), 0, 1), free_var = variable(&c, shape(1, 4, 0, 0), 0, 1);
    Val rounded = build_1(&c.b, OP_rint, x), after = build_2(&c.b, OP_mul, rounded, rounded);
    Val stopped = build_grad_as(&c.b, x, (Val){0}), open = build_2(&c.b, OP_mul, stopped, x);
    Reached *r = PUSH(c.a, Reached, c.g->nodes.n);
    bool *from = PUSH(c.a, bool, c.g->nodes.n), *closed = PUSH(c.a, bool, c.g->nodes.n);
    from[x.i] = true;
    reach_from(c.a, c.g, from, NULL, r);
    CHECK(r[after.i].reach == REACH_ZERO && val_eq(r[after.i].by, rounded));
    CHECK(r[stopped.i].reach == REACH_STOPPED && val_eq(r[stopped.i].by, stopped));
    CHECK(r[open.i].reach == REACH_YES);
    CHECK(r[free_var.i].reach == REACH_NONE);
    Cuts cuts = {0};
    reach_cuts(c.a, c.g, r, open, &cuts);
    REQUIRE(cuts.n == 1);
    CHECK(val_eq(cuts.at[0].into, open) && val_eq(cuts.at[0].by, stopped) && !cuts.at[0].mask);
    closed[open.i] = true;
    reach_from(c.a, c.g, from, closed, r);
    CHECK(r[open.i].reach == REACH_NONE);
}

TEST(a_rounded_condition_is_a_mask) {
    Case c = case_begin();
    Val x = variable(&c, shape(1, 4, 0, 0), 0, 1), y = variable(&c, shape(1, 4, 0, 0), 0, 1);
    Val same = build_2(&c.b, OP_eq, build_1(&c.b, OP_rint, x), build_1(&c.b, OP_rint, y));
    Val part = build_select(&c.b, same, build_2(&c.b, OP_mul, x, y), build_splat(&c.b, DT_F32, 0, shape(1, 4, 0, 0)));
    Reached *r = PUSH(c.a, Reached, c.g->nodes.n);
    bool *from = PUSH(c.a, bool, c.g->nodes.n);
    from[x.i] = true;
    reach_from(c.a, c.g, from, NULL, r);
    Cuts cuts = {0};
    reach_cuts(c.a, c.g, r, part, &cuts);
    REQUIRE(cuts.n == 1);
    CHECK(cuts.at[0].mask && val_eq(cuts.at[0].operand, same) && node_of(c.g, cuts.at[0].by)->op == OP_rint);
}

/* tests/grad/ *.ir: the graphs of a module after differentiation, and what marks become then. */
static Str differentiate(Arena *a, const TextTest *t) {
    SourceSet *s = sources_create(a);
    Diags *ds = diags_create(a, s);
    const Math *math;
    Error e = {0};
    if (math_create(a, &math, &e) != GR_OK) return str_of("no functions");
    Module *m = module_parse(a, sources_add(s, t->path, t->input), s, math, ds);
    Buf out = buf_make(a);
    for (uint32_t i = 0; m && i < m->graphs.n; i++) {
        Graph *g = grad_expand(a, m->graphs.at[i], ds);
        if (g && winograd_wanted(g)) g = winograd_expand(a, g);
        if (g) graph_print(g, &out);
    }
    diags_render(ds, &out, false);
    return buf_str(&out);
}
TEXT_KIND("grad", "ir", differentiate)
