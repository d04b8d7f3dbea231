/* The interpreter against second, slower writings of semantics 2 and 3, the builder, and copies. */
#include "test.h"
#include "hash.h"
#include "ir.h"
#include <math.h>
#include <string.h>

static Module *new_module(void) {
    const Math *math;
    Error e;
    REQUIRE(math_create(test_arena(), &math, &e) == GR_OK);
    return module_create(test_arena(), sources_create(test_arena()), math);
}

static float noise(uint64_t seed, int64_t i) {
    return (float)((double)(hash_mix(seed, (uint64_t)i) >> 40) * 0x1p-23 - 1);
}

static Tensor noise_tensor(uint64_t seed, Shape s) {
    Tensor t = {DT_F32, s, PUSH(test_arena(), float, shape_count(s) + 1)};
    for (int64_t i = 0; i < shape_count(s); i++) {
        ((float *)t.data)[i] = noise(seed, i);
    }
    return t;
}

static Val column(Build *b, const char *name, Shape s) {
    uint32_t id = b->g->columns.n;
    vec_push(b->g->arena, &b->g->columns, (Column){intern_id(b->g->module->names, str_of(name)), DT_F32, s});
    return build_arg(b, ARG_COLUMN, id, (Type){DT_F32, s});
}

static Tensor run(const Graph *g, const Tensor *columns, uint32_t threads) {
    EvalRun r = {.graph = g, .columns = columns, .threads = threads};
    Tensor *out = PUSH(test_arena(), Tensor, g->outputs.n);
    Error e = {0};
    CHECK_MSG(graph_eval(test_arena(), &r, out, &e) == GR_OK, "%s", e.what);
    return out[0];
}

/* ---- semantics 2, recursively: the sum of lane `lane` of a chunk, of lanes, of chunks ---- */
static float lane_sum(const float *x, int64_t n, int64_t lane) {
    float s = -0.0f;
    for (int64_t r = lane; r < n; r += 16) {
        s += x[r];
    }
    return s;
}

/* Folding 8, 4, 2, 1 makes of lane l the tree over l, l + 8 | l + 4, l + 12 | .. */
static float lanes_sum(const float *x, int64_t n, int64_t lane, int64_t stride) {
    return stride == 16 ? lane_sum(x, n, lane)
                        : lanes_sum(x, n, lane, stride * 2) + lanes_sum(x, n, lane + stride, stride * 2);
}

/* Chunks [from, to) of a tree whose left half is the largest power of two. */
static float chunks_sum(const float *x, int64_t n, int64_t from, int64_t to) {
    if (to - from == 1) {
        int64_t left = n - from * 4096;
        return lanes_sum(x + from * 4096, left < 4096 ? left : 4096, 0, 1);
    }
    int64_t half = 1;
    while (half * 2 < to - from) {
        half *= 2;
    }
    return chunks_sum(x, n, from, from + half) + chunks_sum(x, n, from + half, to);
}

TEST(semantics_2_sums_by_lanes_and_chunks) {
    static const int64_t sizes[] = {1, 2, 15, 16, 17, 511, 512, 513, 4095, 4096, 4097, 3 * 4096 + 5, 7 * 4096};
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Build b = {.g = graph_create(new_module(), STR("sum"))};
        Shape s = {.rank = 1, .dim = {sizes[i]}};
        graph_output(b.g, OUT_VALUE, 0, build_reduce(&b, REDUCE_SUM, column(&b, "x", s), 1, (const uint8_t[]){0}));
        Tensor x = noise_tensor(7, s), y = run(b.g, &x, 1);
        float want = chunks_sum(x.data, sizes[i], 0, (sizes[i] + 4095) / 4096);
        CHECK_MSG(f32_bits(*(float *)y.data) == f32_bits(want), "%lld elements: %a, not %a", (long long)sizes[i],
                  (double)*(float *)y.data, (double)want);
    }
}

/* Axes [1, 0] of [600, 9]: the row is axis 0 alone (600 >= 512), then the nine sums. */
TEST(semantics_2_rows_are_the_shortest_suffix) {
    Build b = {.g = graph_create(new_module(), STR("sum"))};
    Shape s = {.rank = 2, .dim = {600, 9}};
    graph_output(b.g, OUT_VALUE, 0, build_reduce(&b, REDUCE_SUM, column(&b, "x", s), 2, (const uint8_t[]){1, 0}));
    Tensor x = noise_tensor(3, s), y = run(b.g, &x, 1);
    float sums[9], line[600];
    for (uint32_t j = 0; j < 9; j++) {
        for (uint32_t i = 0; i < 600; i++) {
            line[i] = ((float *)x.data)[i * 9 + j];
        }
        sums[j] = chunks_sum(line, 600, 0, 1);
    }
    CHECK(f32_bits(*(float *)y.data) == f32_bits(chunks_sum(sums, 9, 0, 1)));
}

/* ---- semantics 3, one result at a time, dims by name ---- */
static int64_t place(const Contract *c, uint32_t side, const int64_t *at) {
    int64_t p = 0;
    for (uint32_t i = 0; i < c->rank[side]; i++) {
        p = p * c->extent[c->dim[side][i]] + at[c->dim[side][i]];
    }
    return p;
}

/* Solves every window for the dim that neither C nor `over` gives, by trying all its values. */
static bool solve(const Contract *c, uint32_t known, int64_t *at) {
    for (uint32_t i = 0; i < c->n_windows; i++) {
        Window w = c->window[i];
        uint8_t free = (known >> w.x & 1) == 0 ? w.x : (known >> w.o & 1) == 0 ? w.o : w.t;
        for (at[free] = 0; at[free] < c->extent[free]; at[free]++) {
            if (at[w.x] == w.stride * at[w.o] + w.dilation * at[w.t] - w.pad) {
                break;
            }
        }
        if (at[free] == c->extent[free]) {
            return false;
        }
    }
    return true;
}

static float one_result(const Contract *c, const float *a, const float *b, int64_t *at) {
    int64_t points = 1;
    uint32_t known = 0;
    for (uint32_t i = 0; i < c->n_over; i++) {
        points *= c->extent[c->over[i]];
        known |= 1u << c->over[i];
    }
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        known |= 1u << c->dim[2][i];
    }
    float total = 0, acc = 0;
    for (int64_t k = 0; k < points; k++) {
        int64_t rest = k;
        for (uint32_t i = c->n_over; i-- > 0;) {
            at[c->over[i]] = rest % c->extent[c->over[i]];
            rest /= c->extent[c->over[i]];
        }
        if (solve(c, known, at)) {
            acc = fmaf(a[place(c, 0, at)], b[place(c, 1, at)], acc);
        }
        if ((k + 1) % 4096 == 0 || k + 1 == points) {
            total = k < 4096 ? acc : total + acc;
            acc = 0;
        }
    }
    return total;
}

static Shape shape_of_side(const Contract *c, uint32_t side) {
    Shape s = {.rank = c->rank[side]};
    for (uint32_t i = 0; i < s.rank; i++) {
        s.dim[i] = c->extent[c->dim[side][i]];
    }
    return s;
}

static void check_contract(const char *what, const Contract *c) {
    Build b = {.g = graph_create(new_module(), STR("product"))};
    Shape sa = shape_of_side(c, 0), sb = shape_of_side(c, 1), sc = shape_of_side(c, 2);
    Val x = column(&b, "x", sa), y = column(&b, "y", sb);
    graph_output(b.g, OUT_VALUE, 0, build_contract(&b, x, y, c));
    const Tensor in[] = {noise_tensor(1, sa), noise_tensor(2, sb)};
    Tensor one = run(b.g, in, 1), three = run(b.g, in, 3);
    CHECK_MSG(memcmp(one.data, three.data, 4u * (size_t)shape_count(sc)) == 0, "%s: three threads differ", what);
    for (int64_t i = 0; i < shape_count(sc); i++) {
        int64_t at[MAX_DIMS] = {0}, rest = i;
        for (uint32_t k = c->rank[2]; k-- > 0;) {
            at[c->dim[2][k]] = rest % c->extent[c->dim[2][k]];
            rest /= c->extent[c->dim[2][k]];
        }
        float want = one_result(c, in[0].data, in[1].data, at), have = ((float *)one.data)[i];
        if (f32_bits(want) != f32_bits(have)) {
            CHECK_MSG(false, "%s: result %lld is %a, not %a", what, (long long)i, (double)have, (double)want);
            return;
        }
    }
}

/* Dims by letters: "nk km nm k" with an extent for each of a..z in use. */
static Contract contract_of(const char *a, const char *b, const char *c, const char *over, const char *letters,
                            const int64_t *extents) {
    Contract k = {.n_dims = (uint8_t)strlen(letters), .n_over = (uint8_t)strlen(over)};
    const char *side[3] = {a, b, c};
    for (uint32_t s = 0; s < 3; s++) {
        k.rank[s] = (uint8_t)strlen(side[s]);
        for (uint32_t i = 0; i < k.rank[s]; i++) {
            k.dim[s][i] = (uint8_t)(strchr(letters, side[s][i]) - letters);
        }
    }
    for (uint32_t i = 0; i < k.n_over; i++) {
        k.over[i] = (uint8_t)(strchr(letters, over[i]) - letters);
    }
    memcpy(k.extent, extents, sizeof(int64_t) * k.n_dims);
    return k;
}

TEST(semantics_3_products) {
    Contract c = contract_of("nk", "km", "nm", "k", "nkm", (const int64_t[]){5, 9000, 17});
    check_contract("dense with three blocks", &c);
    c = contract_of("bkn", "bkm", "bnm", "k", "bnkm", (const int64_t[]){3, 4, 33, 300});
    check_contract("batched, both operands transposed", &c);
    c = contract_of("gk", "gk", "g", "k", "gk", (const int64_t[]){37, 8192});
    check_contract("row by row, blocks full", &c);
    c = contract_of("abk", "kc", "cab", "k", "abkc", (const int64_t[]){2, 3, 5, 7});
    check_contract("result in another order", &c);
    c = contract_of("ij", "ij", "", "ij", "ij", (const int64_t[]){90, 91});
    check_contract("to a scalar", &c);
}

/* The three products of one convolution, all strides, dilations and paddings of a small range. */
TEST(semantics_3_windows) {
    for (int32_t stride = 1; stride <= 3; stride++) {
        for (int32_t dilation = 1; dilation <= 2; dilation++) {
            for (int32_t pad = 0; pad <= 2; pad++) {
                int64_t x = 9, t = 3, o = (x + 2 * pad - dilation * (t - 1) - 1) / stride + 1;
                const int64_t extents[] = {2, 3, 4, x, o, t};
                Window w = {3, 4, 5, stride, dilation, pad};
                Contract c = contract_of("ncx", "mct", "nmo", "tc", "ncmxot", extents);
                c.n_windows = 1, c.window[0] = w;
                check_contract("forward", &c);
                c = contract_of("nmo", "mct", "ncx", "tm", "ncmxot", extents);
                c.n_windows = 1, c.window[0] = w;
                check_contract("data gradient", &c);
                c = contract_of("nmo", "ncx", "mct", "on", "ncmxot", extents);
                c.n_windows = 1, c.window[0] = w;
                check_contract("weight gradient", &c);
                c = contract_of("ncx", "ct", "nco", "t", "ncmxot", extents);
                c.n_windows = 1, c.window[0] = w;
                check_contract("depthwise", &c);
            }
        }
    }
}

TEST(semantics_3_skipped_terms_count_for_blocks) {
    const int64_t extents[] = {1, 3000, 2, 4, 4, 3};
    Contract c = contract_of("ncx", "mct", "nmo", "tc", "ncmxot", extents);
    c.n_windows = 1, c.window[0] = (Window){3, 4, 5, 1, 1, 1};
    check_contract("taps of 3000 channels", &c);
}

/* ---- building and copying ---- */
TEST(equal_nodes_are_one) {
    Build b = {.g = graph_create(new_module(), STR("g"))};
    Shape s = {.rank = 2, .dim = {3, 4}};
    Val x = column(&b, "x", s), y = build_2(&b, OP_add, x, x);
    CHECK(val_eq(y, build_2(&b, OP_add, x, x)));
    CHECK(val_eq(x, build_reshape(&b, x, s)));
    CHECK(val_eq(x, build_permute(&b, x, (const uint8_t[]){0, 1})));
    CHECK(val_eq(x, build_cast(&b, DT_F32, x)));
    CHECK(val_eq(x, build_pad(&b, x, (const int64_t[]){0, 0}, (const int64_t[]){0, 0}, 1)));
    CHECK(!val_eq(build_const(&b, DT_F32, 0), build_const(&b, DT_F32, -0.0)));
    CHECK(val_eq(build_const(&b, DT_F32, NAN), build_const(&b, DT_F32, NAN)));
    CHECK(val_eq(build_const(&b, DT_F32, 0.1), build_const(&b, DT_F32, (double)0.1f)));
    Contract one = contract_of("nk", "mk", "nm", "k", "nkm", (const int64_t[]){3, 4, 3});
    Contract two = contract_of("nk", "mk", "nm", "k", "mkn", (const int64_t[]){3, 4, 3});
    CHECK(val_eq(build_contract(&b, x, x, &one), build_contract(&b, x, x, &two)));
    build_check(&b, x, 0);
    build_check(&b, x, 0);
    CHECK_INT(b.g->effects.n, 2);
}

TEST(copies_hold_what_is_used) {
    Build b = {.g = graph_create(new_module(), STR("g"))};
    Shape s = {.rank = 1, .dim = {3}};
    Val x = column(&b, "x", s), y = build_1(&b, OP_neg, x), z = build_2(&b, OP_mul, y, y);
    build_1(&b, OP_exp, z);                       /* used by nothing */
    build_check(&b, y, 0);
    graph_output(b.g, OUT_VALUE, 0, z);
    Copy c = copy_begin(test_arena(), b.g);
    c.map[y.i] = copy_val(&c, x);                 /* y is replaced by x */
    Graph *g = copy_finish(&c);
    CHECK_INT(g->nodes.n - 1, 3);
    CHECK_INT(g->effects.n, 1);
    CHECK(val_eq(operand(g, g->outputs.at[0].val, 0), operand(g, g->effects.at[0], 0)));
}

/* A chain of 100000 nodes: neither copying nor computing may recurse. */
TEST(long_chains) {
    Build b = {.g = graph_create(new_module(), STR("g"))};
    Val one = build_const(&b, DT_F32, 1), x = build_const(&b, DT_F32, 0);
    for (uint32_t i = 0; i < 100000; i++) {
        x = build_2(&b, OP_add, x, one);
    }
    graph_output(b.g, OUT_VALUE, 0, x);
    Copy c = copy_begin(test_arena(), b.g);
    Tensor y = run(copy_finish(&c), NULL, 1);
    CHECK(*(float *)y.data == 100000);
}
