/* The functions of intrinsics.def: how their arguments are found, and what each builds. */
#include "intrinsic.h"
#include "scatter.h"
#include "data.h"
#include <string.h>

enum { MAX_PARTS = 64 };
typedef V Run(Lower *l, const Expr *e, const Args *a);

static V poison_if(Lower *l, V v) { return v ? v : value_poison(l); }

bool intrinsic_array(Lower *l, const Expr *e, V v, Array *out) {
    Elem t;
    if (!value_elem(v, &t)) {
        report(l, DIAG_TYPE, e->at, "`%.*s` of %.*s", FSTR(call_name(e).text), FSTR(value_describe(l, v)));
        return false;
    }
    return array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(t), out);
}

static V remake(Lower *l, const Expr *e, const Array *like, Val v) {
    return value_array(l, e->at, array_make(l, v, like->n_lead, like->lead, like->rank, like->dim));
}

static V call_max(Lower *l, const Expr *e, const Args *a) {
    return whole_arith(l, e->at, OP_max, a->at[0], a->at[1]);
}
static V call_min(Lower *l, const Expr *e, const Args *a) {
    return whole_arith(l, e->at, OP_min, a->at[0], a->at[1]);
}
static V call_where(Lower *l, const Expr *e, const Args *a) {
    return whole_where(l, e->at, a->at[0], a->at[1], a->at[2]);
}

/* min(hi, max(lo, x)): NaN stays NaN, the gradient on a bound is 1 (semantics 4). */
static V call_clamp(Lower *l, const Expr *e, const Args *a) {
    V low = whole_arith(l, e->at, OP_max, a->at[1], a->at[0]);
    return low->kind == VAL_POISON ? low : whole_arith(l, e->at, OP_min, a->at[2], low);
}

static V call_isnan(Lower *l, const Expr *e, const Args *a) {
    Array x;
    if (!intrinsic_array(l, e, a->at[0], &x)) {
        return NULL;
    }
    x = array_cast(l, x, DT_F32);
    return remake(l, e, &x, build_1(&l->b, OP_isnan, x.val));
}

static V two_real(Lower *l, const Expr *e, Op op, const Args *a) {
    Array x[2];
    const Span at[2] = {e->at, e->at};
    if (!intrinsic_array(l, e, a->at[0], &x[0]) || !intrinsic_array(l, e, a->at[1], &x[1])) {
        return NULL;
    }
    x[0] = array_cast(l, x[0], DT_F32);
    x[1] = array_cast(l, x[1], DT_F32);
    return whole_align(l, e->at, 2, x, at) ? remake(l, e, &x[0], build_2(&l->b, op, x[0].val, x[1].val))
                                           : NULL;
}

static V call_pow(Lower *l, const Expr *e, const Args *a) {
    if (value_scalar(a->at[0]) && value_scalar(a->at[1])) {
        return uniform_apply(l, e->at, U_POW, a->at[0], a->at[1], NULL);
    }
    return two_real(l, e, OP_pow, a);
}

static V call_atan2(Lower *l, const Expr *e, const Args *a) { return two_real(l, e, OP_atan2, a); }

/* ---- shapes ---- */

static bool extent_arg(Lower *l, const Expr *e, V v, Dim *out) {
    if (v->kind != VAL_DIM || v->d.real) {
        report(l, DIAG_TYPE, e->at, "`%.*s` takes an extent, this is %.*s", FSTR(call_name(e).text),
               FSTR(value_describe(l, v)));
        return false;
    }
    *out = v->d.dim;
    return shape_fits(l, e->at, 0, NULL, 1, out);
}

static V call_eye(Lower *l, const Expr *e, const Args *a) {
    Dim n;
    if (!extent_arg(l, e, a->at[0], &n)) {
        return NULL;
    }
    Dim dim[2] = {n, n};
    if (!shape_fits(l, e->at, 0, NULL, 2, dim)) {
        return NULL;
    }
    Shape s = {.rank = 2, .dim = {dim_value(n), dim_value(n)}};
    Val same = build_2(&l->b, OP_eq, build_iota(&l->b, s, 0), build_iota(&l->b, s, 1));
    return value_array(l, e->at, array_make(l, build_cast(&l->b, DT_F32, same), 0, NULL, 2, dim));
}

static V call_one_hot(Lower *l, const Expr *e, const Args *a) {
    Array x;
    Dim n;
    if (!intrinsic_array(l, e, a->at[0], &x) || !extent_arg(l, e, a->at[1], &n)) {
        return NULL;
    }
    if (dtype_elem(x.dtype) != ELEM_INT) {
        report(l, DIAG_TYPE, e->at, "`one_hot` of %.*s", FSTR(array_describe(l, &x)));
        return NULL;
    }
    Array to = array_cast(l, x, DT_I32);
    Dim dim[MAX_RANK + 1];
    for (uint32_t i = 0; i < x.rank; i++) {
        dim[i] = x.dim[i];
    }
    dim[x.rank] = n;
    if (!shape_fits(l, e->at, x.n_lead, x.lead, x.rank + 1u, dim)) {
        return NULL;
    }
    Val code = to.val;
    to.dim[to.rank++] = n;
    Shape s = array_shape(&to);
    uint8_t at[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    Val same = build_2(&l->b, OP_eq, build_broadcast(&l->b, code, s, at), build_iota(&l->b, s, s.rank - 1u));
    return value_array(l, e->at,
                       array_make(l, build_cast(&l->b, DT_F32, same), x.n_lead, x.lead, to.rank, dim));
}

bool intrinsic_dim(Lower *l, const Expr *e, V v, uint32_t rank, int64_t otherwise, uint32_t *out) {
    int64_t k = otherwise;
    if (v && !value_const_int(v, &k)) {
        report(l, DIAG_TYPE, e->at, "`dim` is a number known before the run, this is %.*s",
               FSTR(value_describe(l, v)));
        return false;
    }
    if (k < -(int64_t)rank || k >= (int64_t)rank) {
        report(l, DIAG_SHAPE, e->at, "there is no dim %lld in %u", (long long)k, rank);
        return false;
    }
    *out = (uint32_t)(k < 0 ? k + rank : k);
    return true;
}

/* The repeated arguments as tensors of one type and equal leads. */
static bool repeated(Lower *l, const Expr *e, const Args *a, Array *out) {
    const Index *lead[2 * MAX_RANK];
    uint32_t n_lead = 0;
    Elem most = ELEM_BOOL, t;
    for (uint32_t i = 0; i < a->n_repeated; i++) {
        if (!intrinsic_array(l, e, a->repeated[i], &out[i])) {
            return false;
        }
        t = dtype_elem(out[i].dtype);
        if ((t == ELEM_BOOL) != (dtype_elem(out[0].dtype) == ELEM_BOOL)) {
            report(l, DIAG_TYPE, e->at, "bools and numbers cannot be joined");
            return false;
        }
        most = t > most ? t : most;
        n_lead = leads_union(lead, n_lead, out[i].lead, out[i].n_lead);
    }
    for (uint32_t i = 0; i < a->n_repeated; i++) {
        if (!shape_fits(l, e->at, n_lead, lead, out[i].rank, out[i].dim)) {
            return false;
        }
        out[i] = array_spread(l, array_cast(l, out[i], elem_dtype(most)), n_lead, lead);
    }
    return true;
}

static bool equal_but(Lower *l, const Expr *e, const Array *x, uint32_t n, uint32_t but) {
    for (uint32_t i = 1; i < n; i++) {
        bool same = x[i].rank == x[0].rank;
        for (uint32_t k = 0; same && k < x[0].rank; k++) {
            same = k == but || dim_eq(x[i].dim[k], x[0].dim[k]);
        }
        if (!same) {
            report(l, DIAG_SHAPE, e->at, "%.*s and %.*s cannot be joined", FSTR(array_describe(l, &x[0])),
                   FSTR(array_describe(l, &x[i])));
            return false;
        }
    }
    return true;
}

static V joined(Lower *l, const Expr *e, Array *x, uint32_t n, uint32_t axis) {
    Val in[MAX_REPEATED];
    Array to = x[0];
    for (uint32_t i = 0; i < n; i++) {
        in[i] = x[i].val;
        to.dim[axis] = i == 0 ? x[0].dim[axis] : dim_add(l->a, to.dim[axis], x[i].dim[axis]);
    }
    return remake(l, e, &to, build_concat(&l->b, x[0].n_lead + axis, n, in));
}

static V call_concat(Lower *l, const Expr *e, const Args *a) {
    Array x[MAX_REPEATED];
    uint32_t axis;
    if (a->n_repeated == 0 || !repeated(l, e, a, x) || !intrinsic_dim(l, e, a->at[1], x[0].rank, -1, &axis) ||
        !equal_but(l, e, x, a->n_repeated, axis)) {
        return NULL;
    }
    return joined(l, e, x, a->n_repeated, axis);
}

/* Scalars and tensors of one shape side by side, along a new dim: the last, unless `dim` says where. */
static V call_stack(Lower *l, const Expr *e, const Args *a) {
    Array x[MAX_REPEATED];
    uint32_t axis;
    if (a->n_repeated == 0 || !repeated(l, e, a, x) || !equal_but(l, e, x, a->n_repeated, MAX_RANK) ||
        !intrinsic_dim(l, e, a->at[1], x[0].rank + 1u, 0, &axis)) {
        return NULL;
    }
    for (uint32_t i = 0; i < a->n_repeated; i++) {
        Dim dim[MAX_RANK + 1];
        for (uint32_t k = 0; k <= x[i].rank; k++) {
            dim[k] = k < axis ? x[i].dim[k] : k == axis ? dim_const(l->a, 1) : x[i].dim[k - 1];
        }
        if (!shape_fits(l, e->at, x[i].n_lead, x[i].lead, x[i].rank + 1u, dim)) {
            return NULL;
        }
        x[i] = array_reshape(l, x[i], x[i].rank + 1u, dim);
    }
    return joined(l, e, x, a->n_repeated, axis);
}

static V call_unstack(Lower *l, const Expr *e, const Args *a) {
    Array x;
    uint32_t axis;
    int64_t n;
    if (!intrinsic_array(l, e, a->at[0], &x) || !intrinsic_dim(l, e, a->at[1], x.rank, -1, &axis)) {
        return NULL;
    }
    if (!dim_known(x.dim[axis], &n) || n < 1 || n > MAX_PARTS) {
        report(l, DIAG_SHAPE, e->at, "`unstack` gives one result for each of a dim of 1 to %d", MAX_PARTS);
        return NULL;
    }
    Value *v = PUSH(l->a, Value, 1);
    *v = (Value){.kind = VAL_TUPLE, .at = e->at};
    v->list.n = (uint32_t)n;
    v->list.at = PUSH(l->a, V, n);
    Array part = x;
    part.dim[axis] = dim_const(l->a, 1);
    Dim dim[MAX_RANK];
    uint32_t rank = 0;
    for (uint32_t k = 0; k < x.rank; k++) {
        if (k != axis) {
            dim[rank++] = x.dim[k];
        }
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t lo[MAX_RANK] = {0}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
        lo[x.n_lead + axis] = i;
        part.val = build_slice(&l->b, x.val, lo, step, array_shape(&part));
        v->list.at[i] = value_array(l, e->at, array_reshape(l, part, rank, dim));
    }
    return v;
}

/* `split(x, 3)` into equal parts, `split(x, [2, 4])` into parts of these lengths, along the last dim or `dim`. */
static bool split_lengths(Lower *l, const Expr *e, V v, Dim extent, uint32_t *n, Dim *out) {
    int64_t parts = 0;
    bool equal = v->kind != VAL_LIST && value_const_int(v, &parts);
    *n = equal ? (parts < 1 || parts > MAX_PARTS ? 0 : (uint32_t)parts) : v->kind == VAL_LIST ? v->list.n : 0;
    Dim sum = dim_const(l->a, 0), each = NULL;
    bool fits = *n > 0 && *n <= MAX_PARTS && (!equal || dim_divide(l->a, extent, dim_const(l->a, parts), &each));
    for (uint32_t i = 0; fits && i < *n; i++) {
        V length = equal ? NULL : v->list.at[i];
        fits = equal || (length->kind == VAL_DIM && !length->d.real && dim_value(length->d.dim) >= 0);
        out[i] = equal ? each : fits ? length->d.dim : NULL;
        sum = fits ? dim_add(l->a, sum, out[i]) : sum;
    }
    if (!fits || !dim_eq(sum, extent)) {
        Buf b = buf_make(l->a);
        dim_print(&b, extent);
        Diag *d = report(l, DIAG_SHAPE, e->at, "a dim of %s cannot be split so", b.s);
        diag_help(d, "say how many equal parts, or a list of lengths with this sum; at most %d parts", MAX_PARTS);
        return false;
    }
    return true;
}

static V call_split(Lower *l, const Expr *e, const Args *a) {
    Array x;
    uint32_t axis, n;
    Dim length[MAX_PARTS];
    if (!intrinsic_array(l, e, a->at[0], &x) || !intrinsic_dim(l, e, a->at[2], x.rank, -1, &axis) ||
        !split_lengths(l, e, a->at[1], x.dim[axis], &n, length)) {
        return NULL;
    }
    Value *v = PUSH(l->a, Value, 1);
    *v = (Value){.kind = VAL_TUPLE, .at = e->at};
    v->list.n = n;
    v->list.at = PUSH(l->a, V, n);
    int64_t lo[MAX_RANK] = {0}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (uint32_t i = 0; i < n; i++) {
        Array part = x;
        part.dim[axis] = length[i];
        v->list.at[i] = remake(l, e, &part, build_slice(&l->b, x.val, lo, step, array_shape(&part)));
        lo[x.n_lead + axis] += dim_value(length[i]);
    }
    return v;
}

static V call_size(Lower *l, const Expr *e, const Args *a) {
    Array x;
    if (!intrinsic_array(l, e, a->at[0], &x)) {
        return NULL;
    }
    Dim n = dim_const(l->a, 1);
    for (uint32_t i = 0; i < x.rank; i++) {
        n = dim_mul(l->a, n, x.dim[i]);
    }
    return value_dim(l, e->at, n);
}

static V call_rank(Lower *l, const Expr *e, const Args *a) {
    Array x;
    return intrinsic_array(l, e, a->at[0], &x) ? value_int(l, e->at, x.rank) : NULL;
}

static V call_length(Lower *l, const Expr *e, const Args *a) {
    if (a->at[0]->kind != VAL_LIST) {
        report(l, DIAG_TYPE, e->at, "`length` of %.*s", FSTR(value_describe(l, a->at[0])));
        return NULL;
    }
    return value_int(l, e->at, a->at[0]->list.n);
}

/* Is it a number that does not change from run to run of one program?  For defaults that mean "none". */
static V call_known(Lower *l, const Expr *e, const Args *a) {
    double x;
    bool scalar = value_scalar(a->at[0]);
    return value_bool(l, e->at, scalar && uniforms_constant(l->m->uniforms, value_inst(l, a->at[0]), &x));
}

/* Over all dims of x; the gradient at 0 is 0, as that of sqrt. */
static V call_norm(Lower *l, const Expr *e, const Args *a) {
    Array x;
    if (!intrinsic_array(l, e, a->at[0], &x)) {
        return NULL;
    }
    x = array_cast(l, x, DT_F32);
    uint8_t axes[MAX_RANK];
    for (uint32_t i = 0; i < x.rank; i++) {
        axes[i] = (uint8_t)(x.n_lead + i);
    }
    Val squares = build_reduce(&l->b, REDUCE_SUM, build_2(&l->b, OP_mul, x.val, x.val), x.rank, axes);
    return value_array(l, e->at, array_make(l, build_1(&l->b, OP_sqrt, squares), x.n_lead, x.lead, 0, NULL));
}

/* ---- gradients ---- */

static bool real_arg(Lower *l, const Expr *e, V v, Array *out) {
    if (!intrinsic_array(l, e, v, out)) {
        return false;
    }
    if (dtype_elem(out->dtype) != ELEM_REAL) {
        report(l, DIAG_TYPE, e->at, "`%.*s` of %.*s: only reals have gradients", FSTR(call_name(e).text),
               FSTR(array_describe(l, out)));
        return false;
    }
    *out = array_cast(l, *out, DT_F32);
    return true;
}

static V call_grad(Lower *l, const Expr *e, const Args *a) {
    Array s, x;
    if (!real_arg(l, e, a->at[0], &s) || !real_arg(l, e, a->at[1], &x)) {
        return NULL;
    }
    if (s.rank > 0 || s.n_lead > 0) {
        Diag *d = report(l, DIAG_SHAPE, e->at, "`grad` is of one number, this is %.*s",
                         FSTR(array_describe(l, &s)));
        diag_help(d, "sum it first: `grad(sum[..] y, x)`");
        return NULL;
    }
    return remake(l, e, &x, build_result(&l->b, build_grad(&l->b, s.val, 1, &x.val), 0));
}

static V call_stop_gradient(Lower *l, const Expr *e, const Args *a) {
    Array x;
    if (value_scalar(a->at[0])) {
        return a->at[0];
    }
    return real_arg(l, e, a->at[0], &x) ? remake(l, e, &x, build_grad_as(&l->b, x.val, (Val){0})) : NULL;
}

static V call_straight_through(Lower *l, const Expr *e, const Args *a) {
    Array x[2];
    const Span at[2] = {e->at, e->at};
    if (!real_arg(l, e, a->at[0], &x[0]) || !real_arg(l, e, a->at[1], &x[1]) ||
        !whole_align(l, e->at, 2, x, at)) {
        return NULL;
    }
    return remake(l, e, &x[0], build_grad_as(&l->b, x[0].val, x[1].val));
}

static V call_scatter_add(Lower *l, const Expr *e, const Args *a) { return scatter_add(l, e, a->at); }
static V call_scatter_set(Lower *l, const Expr *e, const Args *a) { return scatter_set(l, e, a->at); }

/* ---- windows ---- */

static V call_convolve(Lower *l, const Expr *e, const Args *a) { return convolve_forward(l, e, a->at); }
static V call_convolve_transposed(Lower *l, const Expr *e, const Args *a) {
    return convolve_transposed(l, e, a->at);
}
static V call_per_dim(Lower *l, const Expr *e, const Args *a) { return convolve_per_dim(l, e, a->at); }
static V call_maxpool(Lower *l, const Expr *e, const Args *a) { return pool_max(l, e, a->at); }
static V call_avgpool(Lower *l, const Expr *e, const Args *a) { return pool_mean(l, e, a->at); }
static V call_resize(Lower *l, const Expr *e, const Args *a) { return resize_call(l, e, a->at); }
static V call_upsample(Lower *l, const Expr *e, const Args *a) { return resize_upsample(l, e, a->at); }
static V call_pad(Lower *l, const Expr *e, const Args *a) { return pad_call(l, e, a->at); }

static V call_ahead(Lower *l, const Expr *e, const Args *a) {
    return rows_ahead(l, e, a->at[0], a->at[1], NULL, false);
}
static V call_window(Lower *l, const Expr *e, const Args *a) {
    return rows_ahead(l, e, a->at[0], a->at[1], a->at[2], true);
}

/* ---- the table ---- */

typedef enum { IN_ELEMENTWISE, IN_FUNCTION, IN_CAST, IN_DRAW } InKind;
struct Intrinsic {
    const char *name;
    InKind kind;
    Op op;
    DType type;
    const char *args;
    Run *run;
};

static const Intrinsic table[] = {
#define ORDER(n, a) {.name = #n, .kind = IN_FUNCTION, .args = a, .run = order_##n},
#define ELEMENTWISE(n, o) {.name = #n, .kind = IN_ELEMENTWISE, .op = OP_##o, .args = "x"},
#define INTRINSIC(n, a) {.name = #n, .kind = IN_FUNCTION, .args = a, .run = call_##n},
#define CAST(n, t) {.name = #n, .kind = IN_CAST, .type = t, .args = "x"},
#define DRAW(n, a) {.name = #n, .kind = IN_DRAW, .args = a},
#include "intrinsics.def"
#undef ELEMENTWISE
#undef INTRINSIC
#undef ORDER
#undef CAST
#undef DRAW
};

uint32_t intrinsic_count(void) { return sizeof table / sizeof *table; }
const Intrinsic *intrinsic_at(uint32_t i) { return &table[i]; }
Str intrinsic_name(const Intrinsic *f) { return str_of(f->name); }

const Intrinsic *intrinsic_find(Str name) {
    for (uint32_t i = 0; i < intrinsic_count(); i++) {
        if (str_is(name, table[i].name)) {
            return &table[i];
        }
    }
    return NULL;
}

/* One item of a list of arguments: `x*`, `dim?`, or `mode=this|that`, which takes one of these words. */
typedef struct { Str name, words; bool optional, repeated; } ArgSpec;

static uint32_t read_specs(const char *args, ArgSpec *out) {
    uint32_t n = 0;
    for (const char *p = args; *p; p += *p == ',' ? 2 : 0) {
        const char *start = p;
        while (*p && *p != ',') {
            p++;
        }
        Str s = {start, (uint32_t)(p - start)};
        char last = s.s[s.n - 1];
        bool marked = last == '?' || last == '*';
        const char *words = memchr(s.s, '=', s.n);
        uint32_t named = words ? (uint32_t)(words - s.s) : s.n - marked;
        Str list = words ? (Str){words + 1, s.n - named - 1} : (Str){0};
        out[n++] = (ArgSpec){{s.s, named}, list, words || last == '?', last == '*'};
    }
    return n;
}

/* Puts each given argument at its place; false (reported) when one does not fit or is missing. */
static bool place(Lower *l, const Intrinsic *f, const Expr *e, const GivenVec *given, Args *out) {
    ArgSpec spec[MAX_ARGS];
    uint32_t n = read_specs(f->args, spec), next = 0;
    for (uint32_t i = 0; i < given->n; i++) {
        const Given *g = &given->at[i];
        uint32_t k = next;
        for (k = g->name.n ? 0 : next; g->name.n && k < n && !str_eq(spec[k].name, g->name);) {
            k++;
        }
        if (k < n && spec[k].repeated && !g->name.n) {
            if (out->n_repeated == MAX_REPEATED) {
                report(l, DIAG_CALL, g->at, "more than %d arguments", MAX_REPEATED);
                return false;
            }
            out->repeated[out->n_repeated++] = g->value;
            out->at[k] = g->value;
            continue;
        }
        if (k >= n || out->at[k]) {
            Diag *d = report(l, DIAG_CALL, g->at,
                             g->name.n ? "`%s` has no argument `%.*s`" : "too many arguments for `%s`",
                             f->name, FSTR(g->name));
            diag_help(d, "its arguments are `%s(%s)`; those with `?` or `=` may be left out", f->name, f->args);
            return false;
        }
        out->at[k] = g->value;
        next += g->name.n == 0;
    }
    for (uint32_t k = 0; k < n; k++) {
        if (!out->at[k] && !spec[k].optional) {
            report(l, DIAG_CALL, e->at, "`%s` needs the argument `%.*s`", f->name, FSTR(spec[k].name));
            return false;
        }
    }
    return true;
}

Str intrinsic_words(const Intrinsic *f, Str argument, uint32_t position) {
    ArgSpec spec[MAX_ARGS];
    uint32_t n = read_specs(f->args, spec);
    for (uint32_t i = 0; i < n; i++) {
        if (argument.n ? str_eq(argument, spec[i].name) : i == position) {
            return spec[i].words;
        }
    }
    return (Str){0};
}

/* Lacks its first argument and nothing else: a value, as with `def`. */
static bool lacks_first(const Intrinsic *f, const GivenVec *given) {
    ArgSpec spec[MAX_ARGS];
    uint32_t n = read_specs(f->args, spec), required = 0;
    for (uint32_t i = 0; i < n; i++) {
        required += !spec[i].optional;
    }
    return f->kind != IN_DRAW && n > 0 && !spec[0].repeated && given->n + 1 == required;
}

V intrinsic_call(Lower *l, const Intrinsic *f, const Expr *e, const GivenVec *given) {
    if (lacks_first(f, given)) {
        return function_value(l, e->at,
                              (Function){.intrinsic = f,
                                         .name = str_of(f->name),
                                         .at = e->at,
                                         .given = given->at,
                                         .n_given = given->n});
    }
    Args a = {0};
    if (!place(l, f, e, given, &a)) {
        return value_poison(l);
    }
    Span saved = l->b.at;
    l->b.at = e->at;
    V v = NULL;
    switch (f->kind) {
    case IN_ELEMENTWISE: v = whole_unary_op(l, e->at, f->op, a.at[0]); break;
    case IN_FUNCTION: v = f->run(l, e, &a); break;
    case IN_CAST: v = whole_cast(l, e->at, f->type, a.at[0]); break;
    case IN_DRAW: {
        ArgSpec spec[MAX_ARGS];
        uint32_t n = read_specs(f->args, spec); /* `like` is the last */
        V const three[] = {a.at[0], n == 3 ? a.at[1] : NULL, a.at[n - 1]};
        v = random_draw(l, e, str_of(f->name), three);
        break;
    }
    }
    l->b.at = saved;
    return poison_if(l, v);
}
