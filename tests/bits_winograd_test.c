/* Winograd's convolutions: the three products of a layer, of any extents, borders and orders of dims, whether it gains
 * or not.  In f64 they are those of the direct product but for rounding; and every mode has the interpreter's bits. */
#include "grad.h"
#include "graph_case.h"
#include "philox.h"
#include "test.h"
#include "winograd.h"
#include <math.h>

typedef struct {
    uint32_t d;
    int64_t images, from, to, extent[MAX_WINDOWS], pad[MAX_WINDOWS];
    bool last;                          /* channels behind the places */
    uint8_t rounded;
} Layer;

static const Math *math(void) {
    const Math *m;
    Error e = {0};
    REQUIRE(math_create(test_arena(), &m, &e) == GR_OK);
    return m;
}

static uint8_t dim_of(Contract *c, int64_t extent) {
    c->extent[c->n_dims] = extent;
    return c->n_dims++;
}

static void hold(Contract *c, uint32_t side, uint8_t dim) { c->dim[side][c->rank[side]++] = dim; }

static const Contract *convolution_of(Arena *a, const Layer *l) {
    Contract *c = contract_new(a);
    uint8_t image = dim_of(c, l->images), from = dim_of(c, l->from), to = dim_of(c, l->to);
    hold(c, 0, image), hold(c, 1, to), hold(c, 2, image);
    if (!l->last) hold(c, 0, from), hold(c, 1, from), hold(c, 2, to);
    for (uint32_t i = 0; i < l->d; i++) {
        Window w = {.stride = 1, .dilation = 1, .pad = (int32_t)l->pad[i]};
        hold(c, 0, w.x = dim_of(c, l->extent[i]));
        hold(c, 1, w.t = dim_of(c, 3));
        hold(c, 2, w.o = dim_of(c, l->extent[i] + 2 * l->pad[i] - 2));
        c->window[c->n_windows++] = w;
        c->over[c->n_over++] = w.t;
    }
    if (l->last) hold(c, 0, from), hold(c, 1, from), hold(c, 2, to);
    c->over[c->n_over++] = from;
    c->rounded = l->rounded;
    return c;
}

static Val variable(Build *b, Arena *a, const char *name, Shape s) {
    vec_push(a, &b->g->module->vars, ((Var){VAR_PARAM, str_of(name), DT_F32, s, {0, 0}, 0, 0, false}));
    return build_arg(b, ARG_VAR, b->g->module->vars.n - 1, (Type){DT_F32, s});
}

static Shape shape_of_side(const Contract *c, uint32_t side) {
    Shape s = {.rank = c->rank[side]};
    for (uint32_t i = 0; i < s.rank; i++) s.dim[i] = c->extent[c->dim[side][i]];
    return s;
}

/* Outputs: the convolution, and both gradients of its sum, weighted by a third variable. */
static Graph *layer_graph(Arena *a, const Layer *l) {
    static const uint8_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    Module *m = module_create(a, sources_create(a), math());
    Graph *g = graph_create(m, STR("layer"));
    Build b = {g, {0, 0}, 0};
    const Contract *c = convolution_of(a, l);
    Val x = variable(&b, a, "x", shape_of_side(c, 0)), w = variable(&b, a, "w", shape_of_side(c, 1));
    Val y = build_contract(&b, x, w, c), dy = variable(&b, a, "dy", shape_of_side(c, 2));
    Val s = build_reduce(&b, REDUCE_SUM, build_2(&b, OP_mul, y, dy), c->rank[2], all);
    Val grad = build_grad(&b, s, 2, (Val[]){x, w});
    const Val out[] = {y, build_result(&b, grad, 0), build_result(&b, grad, 1)};
    for (uint32_t i = 0; i < 3; i++) graph_output(g, OUT_VALUE, intern_id(m->names, str_format(a, "out%u", i)), out[i]);
    return grad_expand(a, g, diags_create(a, m->sources));
}

/* Every product by Winograd's way. */
static Graph *tiled(Arena *a, const Graph *g) {
    Copy copy = copy_begin(a, g);
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *node = &g->nodes.at[i];
        if (node->op != OP_contract || node->attr.contract->n_windows == 0) continue;
        Build b = {copy.to, node->span, node->name};
        Val x = copy_val(&copy, operand(g, (Val){i}, 0)), y = copy_val(&copy, operand(g, (Val){i}, 1));
        copy.map[i] = winograd_product(&b, x, y, node->attr.contract);
        n++;
    }
    CHECK(n == 3);
    return copy_finish(&copy);
}

static Tensor filled(Arena *a, Shape s, uint32_t stream, bool f64) {
    Tensor x = tensor_new(a, f64 ? DT_F64 : DT_F32, s);
    for (int64_t i = 0; i < shape_count(s); i++) {
        float v = 2 * uniform_of_word(philox_word(7, stream, 0, 0, 0, (uint64_t)i)) - 1;
        if (f64)
            ((double *)x.data)[i] = v;
        else
            ((float *)x.data)[i] = v;
    }
    return x;
}

static void evaluate(Arena *a, const Graph *g, bool f64, Tensor *out) {
    Tensor *vars = PUSH(a, Tensor, g->module->vars.n);
    Error e = {0};
    for (uint32_t i = 0; i < g->module->vars.n; i++) vars[i] = filled(a, g->module->vars.at[i].shape, i, f64);
    EvalRun run = {.graph = g, .vars = vars, .f64 = f64, .threads = 1};
    REQUIRE(graph_eval(a, &run, out, &e) == GR_OK);
}

/* Of all elements: the root of the mean of squares, and that of the differences. */
static double distance(const Tensor *x, const Tensor *y, double *size) {
    double sum = 0, all = 0;
    int64_t n = shape_count(x->shape);
    for (int64_t i = 0; i < n; i++) {
        double at = ((double *)y->data)[i];
        double by = (x->dtype == DT_F64 ? ((double *)x->data)[i] : (double)((float *)x->data)[i]) - at;
        sum += by * by, all += at * at;
    }
    *size = sqrt(all / (double)n);
    return sqrt(sum / (double)n);
}

static const char *name_of(const Layer *l) {
    return str_format(test_arena(),
                      "%u dims, %lld images, %lld to %lld channels, %lld x %lld x %lld, pad %lld %lld %lld", l->d,
                      (long long)l->images, (long long)l->from, (long long)l->to, (long long)l->extent[0],
                      (long long)l->extent[1], (long long)l->extent[2], (long long)l->pad[0], (long long)l->pad[1],
                      (long long)l->pad[2]).s;
}

/* f64 shows that the formula is right; with f32 it is a matter of rounding: transforms add up to 2^d, 3^d terms. */
static void check_values(const Layer *l) {
    Arena *a = test_arena();
    Graph *direct = layer_graph(a, l), *fast = tiled(a, direct);
    Diags *ds = diags_create(a, direct->module->sources);
    Tensor want[3], got[3], rough[3], rough_direct[3];
    double size, plain;
    REQUIRE(graph_verify(fast, ds));
    evaluate(a, direct, true, want), evaluate(a, fast, true, got);
    evaluate(a, fast, false, rough), evaluate(a, direct, false, rough_direct);
    for (uint32_t i = 0; i < 3; i++) {
        double exact = distance(&got[i], &want[i], &size), f32 = distance(&rough[i], &want[i], &size);
        plain = distance(&rough_direct[i], &want[i], &size);
        CHECK_MSG(exact <= 1e-14 * size, "output %u is off by %g of %g: %s", i, exact, size, name_of(l));
        CHECK_MSG(f32 <= 2e-6 * size && f32 <= 12 * plain + 1e-7 * size, "output %u: %g of %g in f32, direct %g: %s", i,
                  f32, size, plain, name_of(l));
    }
}

static const Layer layers[] = {
    {1, 2, 3, 4, {7}, {1}, false, 0},          {1, 3, 17, 32, {4}, {0}, false, 0},
    {1, 1, 1, 1, {1}, {2}, true, 0},           {1, 2, 64, 5, {9}, {2}, true, 0},
    {2, 2, 3, 5, {5, 6}, {1, 0}, false, 0},    {2, 1, 32, 64, {4, 3}, {1, 1}, false, 0},
    {2, 2, 16, 16, {3, 8}, {2, 1}, true, 0},   {3, 2, 2, 3, {4, 3, 5}, {1, 2, 0}, false, 0},
    {3, 1, 32, 16, {6, 6, 6}, {1, 1, 1}, false, 0}, {3, 3, 5, 64, {3, 3, 3}, {0, 1, 0}, true, 0},
    {1, 2, 4, 4, {5}, {3}, false, 0},
};

TEST(winograd_values) {
    for (uint32_t i = 0; i < sizeof layers / sizeof *layers; i++) check_values(&layers[i]);
}

static void check_modes(const Layer *l, uint32_t set, uint64_t seed) {
    Arena *a = test_arena();
    Graph *g = tiled(a, layer_graph(a, l));
    Module *m = g->module;
    vec_push(a, &m->graphs, g);
    Scenario *s = case_of(a, m, seed, m->math);
    Buf what = buf_make(a);
    uint32_t failed;
    REQUIRE(s != NULL);
    CHECK_MSG(modes_agree(a, s, set, &failed, &what) && what.n == 0, "%s\n%s", name_of(l), what.n ? what.s : "");
}

TEST_ALL(winograd_bits) {
    check_modes(&(Layer){1, 3, 17, 32, {4}, {0}, false, 0}, MODES_SHORT, 3);
    check_modes(&(Layer){2, 2, 32, 48, {5, 4}, {1, 1}, false, DT_BF16}, MODES_SHORT, 5);
    check_modes(&(Layer){3, 2, 2, 32, {4, 3, 5}, {1, 2, 0}, true, 0}, MODES_SHORT, 6);
}

TEST_LONG(winograd_layers) {
    for (uint32_t i = 0; i < sizeof layers / sizeof *layers; i++) check_modes(&layers[i], MODES_SHORT, 90 + i);
    check_modes(&(Layer){3, 2, 32, 64, {4, 5, 3}, {1, 1, 1}, false, 0}, MODES_ALL, 6);
}

static int64_t drawn(uint64_t seed, uint32_t at, int64_t lo, int64_t hi) {
    return lo + philox_word(seed, at, 0, 0, 0, 0) % (uint32_t)(hi - lo + 1);
}

TEST_LONG(winograd_random_layers) {
    static const int64_t channels[] = {1, 2, 7, 16, 17, 32, 33, 64, 96};
    for (uint64_t seed = 1; seed <= 40; seed++) {
        Layer l = {.d = (uint32_t)drawn(seed, 0, 1, 3), .images = drawn(seed, 1, 1, 5), .last = drawn(seed, 2, 0, 1)};
        l.from = channels[drawn(seed, 3, 0, 8)], l.to = channels[drawn(seed, 4, 0, 8)];
        l.rounded = drawn(seed, 5, 0, 4) == 0 ? DT_BF16 : DT_F32;
        for (uint32_t i = 0; i < l.d; i++) {
            l.pad[i] = drawn(seed, 6 + i, 0, 3);
            l.extent[i] = drawn(seed, 9 + i, l.pad[i] > 0 ? 1 : 3, 7);
        }
        check_modes(&l, MODES_SHORT, seed);
    }
}
