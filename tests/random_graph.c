/* Random graphs: a pool of values grows by random operations on random members; what no operation used
 * becomes an output, some values are checked, some are committed to variables.  Extents sit on both sides of
 * lane, row and block sizes. */
#include "random_graph.h"
#include <math.h>
#include <string.h>

enum { MOST_ELEMENTS = 20000, POOL = 256 };
typedef struct {
    Arena *arena;
    Build b;
    uint64_t state;
    uint32_t flags, n;
    Val pool[POOL];
    bool used[POOL];
} Gen;

static uint64_t next(Gen *g) {
    uint64_t z = g->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static uint32_t pick(Gen *g, uint32_t n) { return (uint32_t)(next(g) % n); }

static int64_t extent(Gen *g) {
    static const int64_t few[] = {1, 2, 3, 15, 16, 17, 64, 5, 513, 257, 4, 0};
    return few[pick(g, pick(g, 8) == 0 ? 12 : 11)];
}

static Type type_at(Gen *g, Val v) { return type_of(g->b.g, v); }

static void add(Gen *g, Val v) {
    if (g->n < POOL && shape_count(type_at(g, v).shape) <= MOST_ELEMENTS && v.i != 0) {
        for (uint32_t i = 0; i < g->n; i++) {
            if (val_eq(g->pool[i], v))
                return;
        }
        g->used[g->n] = false;
        g->pool[g->n++] = v;
    }
}

static Val take(Gen *g, DType t) { /* a value of the type; recent ones more often */
    for (int tries = 0; tries < 40; tries++) {
        uint32_t back = pick(g, 2) ? pick(g, g->n) : pick(g, g->n < 5 ? g->n : 5);
        uint32_t i = g->n - 1 - back;
        if (type_at(g, g->pool[i]).dtype == t) {
            g->used[i] = true;
            return g->pool[i];
        }
    }
    return g->pool[0];
}

static Val take_shape(Gen *g, DType t, Shape s) { /* {0} when there is none */
    uint32_t from = pick(g, g->n);
    for (uint32_t k = 0; k < g->n; k++) {
        uint32_t i = (from + k) % g->n;
        Type x = type_at(g, g->pool[i]);
        if (x.dtype == t && shape_eq(x.shape, s)) {
            g->used[i] = true;
            return g->pool[i];
        }
    }
    return (Val){0};
}

static Val as_f32(Gen *g, Val v) { return build_cast(&g->b, DT_F32, v); }

static void add_unary(Gen *g) {
    static const Op ops[] = {OP_neg,   OP_abs, OP_sign,  OP_sqrt, OP_exp, OP_tanh, OP_sigmoid,
                             OP_log1p, OP_erf, OP_floor, OP_rint, OP_sin, OP_neg};
    add(g, build_1(&g->b, ops[pick(g, sizeof ops / sizeof *ops)], take(g, DT_F32)));
}

static void add_binary(Gen *g) {
    static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_mulz, OP_div, OP_min, OP_max, OP_add, OP_mul};
    Val x = take(g, DT_F32), y = take_shape(g, DT_F32, type_at(g, x).shape);
    if (pick(g, 5) == 0)
        y = build_splat(&g->b, DT_F32, (double)pick(g, 7) - 3, type_at(g, x).shape);
    add(g, build_2(&g->b, ops[pick(g, sizeof ops / sizeof *ops)], x, y));
}

static void add_choice(Gen *g) {
    static const Op ops[] = {OP_lt, OP_le, OP_eq};
    Val x = take(g, DT_F32), y = take_shape(g, DT_F32, type_at(g, x).shape);
    Val c = build_2(&g->b, ops[pick(g, 3)], x, y);
    if (pick(g, 3) == 0)
        c = build_2(&g->b, pick(g, 2) ? OP_and : OP_or, c, build_1(&g->b, OP_isnan, y));
    add(g, pick(g, 2) ? build_select(&g->b, c, y, x) : as_f32(g, c));
}

static void add_broadcast(Gen *g) {
    Val x = take(g, DT_F32);
    Shape s = type_at(g, x).shape, to = {0};
    uint8_t at[MAX_RANK];
    if (s.rank > 3)
        return;
    uint32_t where = pick(g, s.rank + 1u);
    for (uint32_t i = 0, k = 0; i < s.rank + 1u; i++) {
        if (i == where) {
            to.dim[to.rank++] = extent(g);
        } else {
            at[k] = to.rank;
            to.dim[to.rank++] = s.dim[k++];
        }
    }
    if (shape_count(to) <= MOST_ELEMENTS)
        add(g, build_broadcast(&g->b, x, to, at));
}

static void add_view(Gen *g) {
    Val x = take(g, DT_F32);
    Shape s = type_at(g, x).shape;
    uint32_t kind = pick(g, 6);
    int64_t lo[MAX_RANK] = {0}, hi[MAX_RANK] = {0}, step[MAX_RANK];
    if (kind == 0 && s.rank > 1) {
        uint8_t at[MAX_RANK];
        uint32_t turn = 1 + pick(g, s.rank - 1u);
        for (uint32_t i = 0; i < s.rank; i++) {
            at[i] = (uint8_t)((i + turn) % s.rank);
        }
        add(g, build_permute(&g->b, x, at));
    } else if (kind == 1 && s.rank > 1) { /* merge two axes */
        uint32_t at = pick(g, s.rank - 1u);
        Shape to = {.rank = (uint8_t)(s.rank - 1)};
        for (uint32_t i = 0; i < to.rank; i++) {
            to.dim[i] = i < at ? s.dim[i] : i == at ? s.dim[i] * s.dim[i + 1] : s.dim[i + 1];
        }
        add(g, build_reshape(&g->b, x, to));
    } else if (kind == 1 || (kind == 0 && s.rank == 1)) { /* split one */
        for (uint32_t i = 0; i < s.rank && s.rank < 4; i++) {
            int64_t by = s.dim[i] % 4 == 0 ? 4 : s.dim[i] % 3 == 0 ? 3 : 1;
            Shape to = {.rank = (uint8_t)(s.rank + 1)};
            for (uint32_t k = 0; k < to.rank; k++) {
                to.dim[k] = k < i ? s.dim[k] : k == i ? s.dim[i] / by : k == i + 1 ? by : s.dim[k - 1];
            }
            add(g, build_reshape(&g->b, x, to));
            return;
        }
    } else if (kind == 2 && s.rank > 0) {
        for (uint32_t i = 0; i < s.rank; i++) {
            bool back = pick(g, 3) == 0 && s.dim[i] > 0;
            int64_t cut = s.dim[i] > 2 ? pick(g, 3) : 0;
            step[i] = back ? -1 : 1;
            lo[i] = back ? s.dim[i] - 1 : cut;
            s.dim[i] -= cut;
        }
        add(g, build_slice(&g->b, x, lo, step, s));
    } else if (kind == 3 && s.rank > 0) {
        for (uint32_t i = 0; i < s.rank; i++) {
            lo[i] = pick(g, 3), hi[i] = pick(g, 3);
        }
        add(g, build_pad(&g->b, x, lo, hi, (double)pick(g, 2)));
    } else if (kind == 5 && s.rank > 0 && s.rank < MAX_RANK) {
        uint32_t axis = pick(g, s.rank);
        int64_t taps = 1 + pick(g, 4), stride = 1 + pick(g, 3), dilation = 1 + pick(g, 2), pad = pick(g, 3);
        int64_t room = s.dim[axis] + 2 * pad - dilation * (taps - 1) - 1;
        add(g, build_window(&g->b, x, axis, room < 0 ? 0 : room / stride + 1, taps, stride, dilation, pad,
                            (double)pick(g, 2)));
    } else if (kind == 4 && s.rank > 0) {
        Val in[3] = {x, take_shape(g, DT_F32, s), x};
        add(g, build_concat(&g->b, pick(g, s.rank), 2 + pick(g, 2), in));
    }
}

static bool one_row(Shape s, uint32_t n, const uint8_t *at) {
    int64_t count = 1;
    for (uint32_t i = 1; i < n; i++) {
        count *= s.dim[at[i]];
    }
    return n == 1 || count < 512;
}

static void add_reduce(Gen *g) {
    static const ReduceKind kinds[] = {REDUCE_SUM,    REDUCE_SUM,    REDUCE_MAX,     REDUCE_MIN, REDUCE_PROD,
                                       REDUCE_ARGMAX, REDUCE_ARGMIN, REDUCE_MOMENTS, REDUCE_SUM};
    Val x = take(g, DT_F32);
    Shape s = type_at(g, x).shape;
    uint8_t at[MAX_RANK], n = 0;
    uint32_t mask = s.rank > 0 ? 1 + pick(g, (1u << s.rank) - 1) : 0;
    for (uint32_t i = 0; i < s.rank; i++) {
        if (mask >> i & 1)
            at[n++] = (uint8_t)i;
    }
    if (n > 1 && pick(g, 4) == 0) {
        uint8_t t = at[0];
        at[0] = at[n - 1], at[n - 1] = t;
    }
    if (n == 0 || (!(g->flags & RANDOM_WHOLE) && !one_row(s, n, at)))
        return;
    ReduceKind kind = kinds[pick(g, sizeof kinds / sizeof *kinds)];
    if (pick(g, 12) == 0) {
        Val c = build_2(&g->b, OP_lt, x, build_splat(&g->b, DT_F32, 0, s));
        add(g, as_f32(g, build_reduce(&g->b, pick(g, 2) ? REDUCE_ANY : REDUCE_ALL, c, n, at)));
        return;
    }
    Val r = build_reduce(&g->b, kind, x, n, at);
    if (kind == REDUCE_MOMENTS) {
        add(g, build_result(&g->b, r, 0));
        add(g, build_result(&g->b, r, 1));
    } else {
        add(g, kind == REDUCE_ARGMAX || kind == REDUCE_ARGMIN ? as_f32(g, r) : r);
    }
}

static uint8_t pick_rounding(Gen *g) {
    static const uint8_t types[] = {DT_F32, DT_F32, DT_BF16, DT_F16};
    return types[pick(g, 4)];
}

/* C[.., m, n] = A[k, m] B[n, k] with its axes in random orders: dim 0 m, 1 n, 2 k, 3 batch, 4 more k. */
static void add_contract(Gen *g) {
    Contract *c = contract_new(g->arena);
    Val x = take(g, DT_F32);
    Shape s = type_at(g, x).shape;
    if (s.rank < 1 || s.rank > 3)
        return;
    uint32_t roles[MAX_RANK];
    Shape y = {0};
    for (uint32_t i = 0; i < s.rank; i++) { /* each axis of x: m, k or batch */
        roles[i] = i == 0 ? pick(g, 2) : pick(g, 3);
        c->extent[i] = s.dim[i];
        c->dim[0][c->rank[0]++] = (uint8_t)i;
    }
    c->n_dims = (uint8_t)(s.rank + 1);
    c->extent[s.rank] = extent(g);
    for (uint32_t i = 0; i < s.rank; i++) {
        if (roles[i] != 0)
            c->dim[1][c->rank[1]++] = (uint8_t)i;
        if (roles[i] == 1)
            c->over[c->n_over++] = (uint8_t)i;
        else
            c->dim[2][c->rank[2]++] = (uint8_t)i;
    }
    c->dim[1][c->rank[1]++] = (uint8_t)s.rank;
    c->dim[2][c->rank[2]++] = (uint8_t)s.rank;
    for (uint32_t role = 1; role < 3; role++) { /* storage orders */
        uint32_t i = pick(g, c->rank[role]), k = c->rank[role] - 1u;
        uint8_t t = c->dim[role][i];
        c->dim[role][i] = c->dim[role][k], c->dim[role][k] = t;
    }
    for (uint32_t i = 0; i < c->rank[1]; i++) {
        y.dim[y.rank++] = c->extent[c->dim[1][i]];
    }
    if (shape_count(y) > MOST_ELEMENTS)
        return;
    Val of = take_shape(g, DT_F32, y);
    if (of.i == 0) {
        Val flat = build_iota(&g->b, y, y.rank - 1u);
        of = build_2(&g->b, OP_sub, as_f32(g, flat), build_splat(&g->b, DT_F32, 2.5, y));
    }
    Shape out = {.rank = c->rank[2]};
    for (uint32_t i = 0; i < out.rank; i++) {
        out.dim[i] = c->extent[c->dim[2][i]];
    }
    c->rounded = pick_rounding(g);
    if (shape_count(out) <= MOST_ELEMENTS)
        add(g, pick(g, 2) ? build_contract(&g->b, x, of, c)
                          : build_1(&g->b, OP_tanh, build_contract(&g->b, x, of, c)));
}

static Shape operand_shape(const Contract *c, uint32_t role) {
    Shape s = {.rank = c->rank[role]};
    for (uint32_t i = 0; i < s.rank; i++) {
        s.dim[i] = c->extent[c->dim[role][i]];
    }
    return s;
}

/* A convolution of images n, channels a to channels b, over one or two axes of places, or one of its transposes: dims
 * 0 n, 1 a, 2 b, then x, o, t of each axis.  Enough channels or images for tiles, or not. */
static void add_window(Gen *g) {
    enum { X, O, T };
    static const uint8_t plain[3][3][2] = {
        {{0, 1}, {2, 1}, {0, 2}}, {{0, 2}, {2, 1}, {0, 1}}, {{0, 2}, {0, 1}, {2, 1}}};
    static const uint8_t placed[3][3] = {{X, T, O}, {O, T, X}, {O, X, T}};
    static const uint8_t summed[3] = {1, 2, 0}, walked[3] = {T, T, O};
    Contract *c = contract_new(g->arena);
    uint32_t form = pick(g, 3), axes = 1 + pick(g, 2);
    for (uint32_t d = 0; d < 3; d++) {
        c->extent[d] = 1 + pick(g, pick(g, 2) ? 20 : 3);
    }
    for (uint32_t i = 0; i < axes; i++) {
        uint8_t x = (uint8_t)(3 + 3 * i);
        int64_t o = 1 + pick(g, axes == 1 ? 19 : 5), t = 1 + pick(g, 4);
        int32_t stride = 1 + (int32_t)pick(g, 3), dilation = 1 + (int32_t)pick(g, 2), pad = (int32_t)pick(g, 3);
        c->extent[x] = stride * (o - 1) + dilation * (t - 1) + 1 - 2 * pad;
        c->extent[x + O] = o, c->extent[x + T] = t;
        if (c->extent[x] < 1)
            return;
        c->window[c->n_windows++] =
            (Window){x, (uint8_t)(x + O), (uint8_t)(x + T), stride, dilation, pad};
        c->over[c->n_over++] = (uint8_t)(x + walked[form]);
    }
    c->over[c->n_over++] = summed[form];
    c->n_dims = (uint8_t)(3 + 3 * axes);
    uint32_t swap = pick(g, 2);
    for (uint32_t role = 0; role < 3; role++) {
        uint32_t r = role < 2 ? role ^ swap : role, first = pick(g, 2);
        c->dim[r][c->rank[r]++] = plain[form][role][first];
        c->dim[r][c->rank[r]++] = plain[form][role][1 - first];
        for (uint32_t i = 0; i < axes; i++) {
            c->dim[r][c->rank[r]++] = (uint8_t)(3 + 3 * i + placed[form][role]);
        }
    }
    Val in[2];
    for (uint32_t role = 0; role < 3; role++) {
        Shape s = operand_shape(c, role);
        if (shape_count(s) > MOST_ELEMENTS)
            return;
        if (role == 2)
            break;
        Val flat = as_f32(g, build_iota(&g->b, s, pick(g, s.rank)));
        in[role] =
            build_1(&g->b, OP_sin, build_2(&g->b, OP_add, flat, build_splat(&g->b, DT_F32, 0.5 + role, s)));
    }
    c->rounded = pick_rounding(g);
    Val y = build_contract(&g->b, in[0], in[1], c);
    add(g, pick(g, 2) ? y : build_1(&g->b, OP_tanh, y));
}

/* From 0 to the extent of what is indexed; once in a while one below or above it. */
static Val held(Gen *g, Build *b, Val i, int64_t extent) {
    Shape s = type_of(b->g, i).shape;
    uint32_t outside = pick(g, 24);
    i = build_2(b, OP_mul, i, build_splat(b, DT_I32, 7, s));
    i = build_2(b, OP_mod, i, build_splat(b, DT_I32, (double)(extent + (outside < 2)), s));
    return outside == 1 ? build_2(b, OP_sub, i, build_splat(b, DT_I32, 1, s)) : i;
}

static Val random_index(Gen *g, int64_t extent) {
    Val x = take(g, DT_F32);
    Shape s = type_at(g, x).shape;
    if (pick(g, 2) && s.rank <= 2 && shape_count(s) <= 64)
        return held(g, &g->b, build_cast(&g->b, DT_I32, x), extent);
    s = shape_of(1, (int64_t[]){1 + pick(g, pick(g, 3) ? 20 : 2)});
    return held(g, &g->b, build_iota(&g->b, s, 0), extent);
}

static void add_indexed(Gen *g) {
    Val x = take(g, DT_F32);
    Shape s = type_at(g, x).shape;
    if (s.rank == 0 || s.dim[0] == 0 || s.rank > 3)
        return;
    Val i = random_index(g, s.dim[0]), y = build_gather(&g->b, x, i, 0);
    add(g, pick(g, 2) ? y : build_scatter_add(&g->b, y, i, 0, s.dim[0]));
}

/* Chains, and orders in which many elements tie. */
static void add_order(Gen *g) {
    static const ReduceKind kinds[] = {REDUCE_SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN};
    Val x = take(g, DT_F32);
    Shape s = type_at(g, x).shape;
    if (s.rank == 0)
        return;
    switch (pick(g, 4)) {
    case 0: add(g, build_cumulative(&g->b, kinds[pick(g, 4)], x)); return;
    case 1: add(g, build_recur(&g->b, build_1(&g->b, OP_sin, x), x)); return;
    case 2: add(g, as_f32(g, build_argsort(&g->b, x))); return;
    case 3: {
        Val few = build_2(&g->b, OP_mod, build_cast(&g->b, DT_I32, x), build_splat(&g->b, DT_I32, 5, s));
        add(g, as_f32(g, pick(g, 2) ? build_argsort(&g->b, few) : build_cumulative(&g->b, REDUCE_MAX, few)));
        return;
    }
    }
}

static void add_random(Gen *g) {
    Shape s = type_at(g, take(g, DT_F32)).shape;
    Val key[4];
    for (uint32_t i = 0; i < 4; i++) {
        key[i] =
            i < 2 ? build_arg(&g->b, ARG_UNIFORM, 1, (Type){DT_I32, {0}}) : build_const(&g->b, DT_I32, 3);
    }
    add(g, build_random(&g->b, pick(g, 2) ? RANDOM_UNIFORM : RANDOM_NORMAL, pick(g, 9), s, key[0], key[1],
                        key[2], key[3]));
}

static void add_narrow(Gen *g) {
    static const DType types[] = {DT_BF16, DT_F16, DT_U8, DT_I32, DT_F64, DT_BOOL};
    DType t = types[pick(g, 6)];
    add(g, as_f32(g, build_cast(&g->b, t, take(g, DT_F32))));
}

/* c' = tanh(c + x_t) / 2, some of it picked by x_t, collecting c' * w. */
static void add_scan(Gen *g) {
    Val x = take(g, DT_F32);
    Shape s = type_at(g, x).shape;
    if (s.rank < 1 || s.rank > 3)
        return;
    Shape row = shape_of(s.rank - 1u, s.dim + 1);
    Graph *body = graph_create(g->b.g->module, STR("body"));
    Build b = {body, {0}, 0};
    Type t = {DT_F32, row};
    Val c = build_arg(&b, ARG_BODY, 0, t), in = build_arg(&b, ARG_BODY, 1, t),
        w = build_arg(&b, ARG_BODY, 2, t);
    Val now = build_2(&b, OP_mul, build_1(&b, OP_tanh, build_2(&b, OP_add, c, in)),
                      build_splat(&b, DT_F32, 0.5, row));
    if (row.rank == 1 && row.dim[0] > 0 && pick(g, 3) == 0)
        now = build_gather(&b, now, held(g, &b, build_cast(&b, DT_I32, in), row.dim[0]), 0);
    graph_output(body, OUT_VALUE, 0, now);
    graph_output(body, OUT_VALUE, 0, pick(g, 2) ? build_2(&b, OP_mul, now, w) : now);
    Scan *scan = PUSH(g->arena, Scan, 1);
    *scan = (Scan){body, 1, 1, 1, s.dim[0], pick(g, 2) == 1};
    Val first = build_splat(&g->b, DT_F32, 0.25, row), other = take_shape(g, DT_F32, row);
    Val ops[3] = {first, x, other.i ? other : first};
    Val r = build_scan(&g->b, scan, 3, ops);
    add(g, build_result(&g->b, r, 0));
    add(g, build_result(&g->b, r, 1));
}

static void grow(Gen *g) {
    switch (pick(g, (g->flags & RANDOM_EASY) ? 14 : 19)) {
    case 0:
    case 1: add_unary(g); return;
    case 2:
    case 3:
    case 4: add_binary(g); return;
    case 5: add_choice(g); return;
    case 6:
    case 7: add_broadcast(g); return;
    case 8:
    case 9: add_view(g); return;
    case 10:
    case 11: add_reduce(g); return;
    case 12: add_contract(g); return;
    case 13: add_random(g); return;
    case 14: add_window(g); return;
    case 15: add_indexed(g); return;
    case 16: add_narrow(g); return;
    case 17: add_scan(g); return;
    case 18: add_order(g); return;
    }
}

Tensor tensor_new(Arena *a, DType t, Shape s) {
    return (Tensor){t, s, arena_push(a, (size_t)shape_count(s) * dtype_bytes(t) + 64, 64)};
}

Tensor tensor_copy(Arena *a, const Tensor *t) {
    Tensor r = tensor_new(a, t->dtype, t->shape);
    memcpy(r.data, t->data, (size_t)shape_count(t->shape) * dtype_bytes(t->dtype));
    return r;
}

bool tensor_same(const Tensor *x, const Tensor *y, int64_t *where) {
    uint32_t bytes = dtype_bytes(x->dtype);
    for (int64_t i = 0; i < shape_count(x->shape); i++) {
        const char *p = (const char *)x->data + i * bytes, *q = (const char *)y->data + i * bytes;
        bool same = memcmp(p, q, bytes) == 0;
        if (!same && x->dtype == DT_F32) {
            float a, b;
            memcpy(&a, p, 4), memcpy(&b, q, 4);
            same = a != a && b != b;
        }
        if (!same) {
            *where = i;
            return false;
        }
    }
    return true;
}

static Tensor random_tensor(Gen *g, Shape s) {
    static const float special[] = {0, -0.0f, 1, -1, INFINITY, -INFINITY, NAN, 1e30f, -1e-30f, 0.5f};
    Tensor t = tensor_new(g->arena, DT_F32, s);
    bool wild = pick(g, 3) == 0;
    for (int64_t i = 0; i < shape_count(s); i++) {
        float x = (float)((double)(int64_t)(next(g) >> 11) / 4503599627370496.0) * 4 - 4;
        ((float *)t.data)[i] = wild && pick(g, 16) == 0 ? special[pick(g, 10)] : x;
    }
    return t;
}

static Shape random_shape(Gen *g) {
    Shape s = {.rank = (uint8_t)(1 + pick(g, 3))};
    for (uint32_t i = 0; i < s.rank; i++) {
        s.dim[i] = extent(g);
    }
    while (shape_count(s) > MOST_ELEMENTS / 4) {
        s.rank--;
    }
    return s;
}

static bool is_variable(const Graph *g, Val v) {
    while (node_of(g, v)->op == OP_reshape) {
        v = operand(g, v, 0);
    }
    return node_of(g, v)->op == OP_arg && node_of(g, v)->attr.arg.kind == ARG_VAR;
}

/* The sum of some value, differentiated by every variable. */
static void add_gradients(Gen *g) {
    Graph *graph = g->b.g;
    uint32_t n = graph->module->vars.n;
    Val s = take(g, DT_F32), xs[8];
    uint8_t axes[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    s = build_reduce(&g->b, REDUCE_SUM, s, type_at(g, s).shape.rank, axes);
    for (uint32_t i = 0; i < n; i++) {
        xs[i] = build_arg(&g->b, ARG_VAR, i, (Type){DT_F32, graph->module->vars.at[i].shape});
    }
    Val all = build_grad(&g->b, s, n, xs);
    for (uint32_t i = 0; i < n; i++) {
        Val one = build_result(&g->b, all, i);
        graph_output(graph, OUT_VALUE, intern_id(graph->module->names, str_format(g->arena, "grad%u", i)), one);
    }
}

static void finish(Gen *g) {
    Graph *graph = g->b.g;
    uint32_t n_vars = graph->module->vars.n;
    if ((g->flags & RANDOM_WHOLE) && pick(g, 2))
        add_gradients(g);
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t name = intern_id(graph->module->names, str_format(g->arena, "out%u", i));
        bool var =
            is_variable(graph, g->pool[i]); /* the interpreter hands these out as they are after the commit */
        if ((!g->used[i] || pick(g, 8) == 0) && !var)
            graph_output(graph, OUT_VALUE, name, g->pool[i]);
        if (pick(g, 10) == 0 && type_at(g, g->pool[i]).dtype == DT_F32)
            build_check(&g->b, g->pool[i], name);
    }
    for (uint32_t v = 0; v < n_vars; v++) {
        const Var *var = &graph->module->vars.at[v];
        Val x = take_shape(g, DT_F32, var->shape);
        if (pick(g, 2) && x.i != 0) {
            Val old = build_arg(&g->b, ARG_VAR, v, (Type){DT_F32, var->shape});
            build_commit(&g->b, v, pick(g, 2) ? x : build_2(&g->b, OP_sub, old, build_1(&g->b, OP_tanh, x)));
        }
    }
}

RandomGraph random_graph(Arena *a, uint64_t seed, uint32_t size, uint32_t flags, const Math *m) {
    Module *module = module_create(a, sources_create(a), m);
    module->uniforms = module->uniforms ? module->uniforms : uniforms_create(a);
    Graph *graph = graph_create(module, STR("random"));
    vec_push(a, &module->graphs, graph);
    Gen g = {.arena = a, .b = {graph, {0}, 0}, .state = seed, .flags = flags};
    uniforms_output(module->uniforms, STR("rate"), DT_F32, uniforms_const(module->uniforms, 0.75));
    uniforms_output(module->uniforms, STR("seed"), DT_I32, uniforms_const(module->uniforms, 42));
    RandomGraph r = {module, PUSH(a, Tensor, 8), PUSH(a, Tensor, 8), PUSH(a, UValue, 2)};
    r.uniforms[0].f = 0.75f, r.uniforms[1].i = 42;
    uint32_t n_vars = 1 + pick(&g, 4), n_columns = 1 + pick(&g, 2);
    Shape shape = random_shape(&g);
    for (uint32_t i = 0; i < n_vars; i++) {
        shape = pick(&g, 2) ? shape : random_shape(&g);
        vec_push(a, &module->vars,
                 (Var){.kind = i % 2 ? VAR_OPTIM : VAR_PARAM,
                       .path = str_format(a, "var%u", i),
                       .dtype = DT_F32,
                       .shape = shape,
                       .of = i % 2 ? i : 0});
        r.vars[i] = random_tensor(&g, shape);
        add(&g, build_arg(&g.b, ARG_VAR, i, (Type){DT_F32, shape}));
    }
    for (uint32_t i = 0; i < n_columns; i++) {
        shape = pick(&g, 2) ? shape : random_shape(&g);
        vec_push(a, &graph->columns,
                 (Column){intern_id(module->names, str_format(a, "col%u", i)), DT_F32, shape});
        r.columns[i] = random_tensor(&g, shape);
        add(&g, build_arg(&g.b, ARG_COLUMN, i, (Type){DT_F32, shape}));
    }
    add(&g, build_arg(&g.b, ARG_UNIFORM, 0, (Type){DT_F32, {0}}));
    for (uint32_t i = 0; i < size; i++) {
        grow(&g);
    }
    finish(&g);
    return r;
}
