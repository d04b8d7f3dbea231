/* `convolve(x, w)` and `convolve_transposed(x, w)`: over the last 1 to 3 dims, channels before them, as many dims of
 * rows as there are in front.  Both are one `contract` with a window a spatial dim (docs/ir.md): forward x holds the
 * positions and the result the outputs, transposed the other way round; groups are a dim that all three hold.  The
 * order of summation is that of semantics 3, taps outside and channels inside. */
#include "window.h"

typedef struct {
    Lower *l;
    const Expr *e;
    bool transposed;
    Array x, w;
    uint32_t n, rows;                    /* spatial dims; dims in front of the channels of x */
    int64_t groups;
    Dim in, out;                         /* channels of a group */
    Window1 window[MAX_WINDOWS];
    Contract *c;
    uint32_t n_lead;                     /* indices that x or w carries */
    const Index *lead[2 * MAX_RANK];
    uint8_t rank;                        /* of the result, without leads */
    Dim dim[2 * MAX_RANK];
} Convolution;

static bool channels_fit(Convolution *v) {
    Lower *l = v->l;
    Dim have = v->x.dim[v->rows], g = dim_const(l->a, v->groups);
    uint32_t in = v->transposed ? 0 : 1;
    Dim in_all = v->transposed ? v->w.dim[0] : dim_mul(l->a, v->w.dim[1], g);
    bool fits = dim_eq(have, in_all) && dim_divide(l->a, have, g, &v->in) &&
                (v->transposed || dim_divide(l->a, v->w.dim[0], g, &v->out));
    if (!fits) {
        Diag *d = report(l, DIAG_SHAPE, v->e->at, "channels of %.*s and weights %.*s do not fit, in %lld group%s",
                         FSTR(array_describe(l, &v->x)), FSTR(array_describe(l, &v->w)), (long long)v->groups,
                         v->groups > 1 ? "s" : "");
        diag_help(d, v->transposed ? "weights are [channels of x, results of a group, taps ..]"
                                   : "weights are [results, channels of a group, taps ..]; both divide by groups");
        return false;
    }
    if (v->transposed) {
        v->out = v->w.dim[1];
    }
    v->in = v->groups > 1 ? v->in : v->w.dim[in];
    return true;
}

static bool windows_fit(Convolution *v, V stride, V pad, V dilation, V extra) {
    Lower *l = v->l;
    int64_t more[MAX_RANK];
    if (!window_steps(l, v->e, stride, pad, dilation, v->n, v->window) ||
        !window_numbers(l, v->e, extra, "`extra`", v->n, 0, 0, more)) {
        return false;
    }
    for (uint32_t i = 0; i < v->n; i++) {
        Window1 *w = &v->window[i];
        w->extra = more[i];
        Dim taps = v->w.dim[2 + i], x = v->x.dim[v->rows + 1 + i];
        if (!dim_known(taps, &w->taps) || w->taps < 1 || w->taps > 1 << 20) {
            report(l, DIAG_SHAPE, v->e->at, "weights %.*s: a kernel has from 1 to 2^20 taps, known before the run",
                   FSTR(array_describe(l, &v->w)));
            return false;
        }
        if (w->extra >= w->stride && w->extra >= w->dilation) {
            report(l, DIAG_SHAPE, v->e->at, "`extra` is smaller than stride or dilation, this is %lld",
                   (long long)w->extra);
            return false;
        }
        Dim to = v->transposed ? window_extent(l, v->e, x, w) : window_positions(l, v->e, x, w);
        if (to == NULL) {
            return false;
        }
        v->dim[v->rank++] = to;
    }
    return true;
}

/* Splits the dim `at` into [groups, each]. */
static bool group(Convolution *v, Array *x, uint32_t at, Dim each) {
    Dim dim[MAX_RANK + 1];
    for (uint32_t i = 0, k = 0; i < x->rank; i++) {
        if (i == at) {
            dim[k++] = dim_const(v->l->a, v->groups);
        }
        dim[k++] = i == at ? each : x->dim[i];
    }
    if (!shape_fits(v->l, v->e->at, x->n_lead, x->lead, x->rank + 1u, dim)) {
        return false;
    }
    *x = array_reshape(v->l, *x, x->rank + 1u, dim);
    return true;
}

static uint8_t new_dim(Contract *c, Dim d) {
    c->extent[c->n_dims] = dim_value(d);
    return c->n_dims++;
}

static void lead_dims(Convolution *v, uint32_t side, const Array *x) {
    Contract *c = v->c;
    for (uint32_t i = 0; i < v->n_lead; i++) {
        if (side == 2 || array_lead_of(x, v->lead[i]) >= 0) {
            c->dim[side][c->rank[side]++] = (uint8_t)i;
        }
    }
}

static void side_dim(Convolution *v, uint32_t side, uint8_t d) { v->c->dim[side][v->c->rank[side]++] = d; }

/* The named dims: indices first, in the order of the leads of x and w, which is that of their birth. */
static void list_dims(Convolution *v) {
    Contract *c = v->c;
    for (uint32_t i = 0; i < v->n_lead; i++) {
        new_dim(c, v->lead[i]->extent);
    }
    for (uint32_t k = 0; k < 3; k++) {
        lead_dims(v, k, k == 0 ? &v->x : &v->w);
    }
    for (uint32_t i = 0; i < v->rows; i++) {
        uint8_t d = new_dim(c, v->x.dim[i]);
        side_dim(v, 0, d);
        side_dim(v, 2, d);
    }
    if (v->groups > 1) {
        uint8_t d = new_dim(c, dim_const(v->l->a, v->groups));
        for (uint32_t k = 0; k < 3; k++) {
            side_dim(v, k, d);
        }
    }
    uint8_t in = new_dim(c, v->in), out = new_dim(c, v->out);
    side_dim(v, 0, in);
    side_dim(v, 1, v->transposed ? in : out);
    side_dim(v, 1, v->transposed ? out : in);
    side_dim(v, 2, out);
    for (uint32_t i = 0; i < v->n; i++) {
        const Window1 *w = &v->window[i];
        uint8_t from = new_dim(c, v->x.dim[v->x.rank - v->n + i]), t = new_dim(c, dim_const(v->l->a, w->taps));
        uint8_t to = new_dim(c, v->dim[i]);
        side_dim(v, 0, from);
        side_dim(v, 1, t);
        side_dim(v, 2, to);
        c->window[c->n_windows++] =
            (Window){v->transposed ? to : from, v->transposed ? from : to, t, (int32_t)w->stride,
                     (int32_t)w->dilation, (int32_t)w->pad};
        c->over[c->n_over++] = t;
    }
    c->over[c->n_over++] = in;
}

/* A contract reads its operands in any order of dims, so a permutation in front of it is undone. */
static void unpermute(Convolution *v, uint32_t side, Array *x) {
    const Graph *g = v->l->b.g;
    const Node *n = node_of(g, x->val);
    if (n->op != OP_permute) {
        return;
    }
    uint8_t listed[MAX_RANK];
    for (uint32_t i = 0; i < v->c->rank[side]; i++) {
        listed[n->attr.axes.at[i]] = v->c->dim[side][i];
    }
    for (uint32_t i = 0; i < v->c->rank[side]; i++) {
        v->c->dim[side][i] = listed[i];
    }
    x->val = operand(g, x->val, 0);
}

/* The result as the contract has it, [rows, (groups,) channels, spatial], and then with the groups merged. */
static V contracted(Convolution *v) {
    Lower *l = v->l;
    uint32_t rank = 0;
    Dim spatial[MAX_WINDOWS], dim[2 * MAX_RANK];
    for (uint32_t i = 0; i < v->n; i++) {
        spatial[i] = v->dim[i];
    }
    for (uint32_t i = 0; i < v->rows; i++) {
        dim[rank++] = v->x.dim[i];
    }
    if (v->groups > 1) {
        dim[rank++] = dim_const(l->a, v->groups);
    }
    dim[rank++] = v->out;
    for (uint32_t i = 0; i < v->n; i++) {
        dim[rank++] = spatial[i];
    }
    if (!shape_fits(l, v->e->at, v->n_lead, v->lead, rank, dim)) {
        return NULL;
    }
    if (v->groups > 1 && (!group(v, &v->x, v->rows, v->in) ||
                          !group(v, &v->w, 0, v->transposed ? v->in : v->out))) {
        return NULL;
    }
    v->c = contract_new(l->m->arena);
    v->c->rounded = precision_of_product(l);
    v->c->winograd = winograd_of_product(l);
    list_dims(v);
    unpermute(v, 0, &v->x);
    unpermute(v, 1, &v->w);
    Array y = array_make(l, build_contract(&l->b, v->x.val, v->w.val, v->c), v->n_lead, v->lead, rank, dim);
    if (v->groups > 1) {
        uint32_t at = v->rows;
        dim[at] = dim_mul(l->a, dim[at], dim[at + 1]);
        for (uint32_t i = at + 1; i + 1 < rank; i++) {
            dim[i] = dim[i + 1];
        }
        y = array_reshape(l, y, rank - 1, dim);
    }
    return value_array(l, v->e->at, y);
}

static V convolution(Lower *l, const Expr *e, bool transposed, V const *a, V extra) {
    Convolution v = {.l = l, .e = e, .transposed = transposed};
    if (!window_operand(l, e, a[0], 2, &v.x) || !window_operand(l, e, a[1], 3, &v.w)) {
        return NULL;
    }
    v.n = v.w.rank - 2u;
    if (v.n > MAX_WINDOWS || v.x.rank < v.n + 1) {
        report(l, DIAG_SHAPE, e->at, "weights %.*s are for %u dims behind the channels, at most %d; x is %.*s",
               FSTR(array_describe(l, &v.w)), v.n, MAX_WINDOWS, FSTR(array_describe(l, &v.x)));
        return NULL;
    }
    v.rows = v.x.rank - v.n - 1;
    if (!window_numbers(l, e, a[5], "`groups`", 1, 1, 1, &v.groups) || !channels_fit(&v) ||
        !windows_fit(&v, a[2], a[3], a[4], extra)) {
        return NULL;
    }
    v.n_lead = leads_union(v.lead, leads_union(v.lead, 0, v.x.lead, v.x.n_lead), v.w.lead, v.w.n_lead);
    return contracted(&v);
}

V convolve_forward(Lower *l, const Expr *e, V const *a) { return convolution(l, e, false, a, NULL); }
V convolve_transposed(Lower *l, const Expr *e, V const *a) { return convolution(l, e, true, a, a[6]); }

/* `per_dim(k, n)`: a number as a list of n, a list as it is. */
V convolve_per_dim(Lower *l, const Expr *e, V const *a) {
    int64_t n, at[MAX_RANK];
    if (!value_const_int(a[1], &n) || n < 1 || n > MAX_WINDOWS) {
        report(l, DIAG_SHAPE, e->at, "windows go over 1 to %d dims behind the channels, not over %.*s", MAX_WINDOWS,
               FSTR(value_describe(l, a[1])));
        return NULL;
    }
    if (!window_numbers(l, e, a[0], "a size", (uint32_t)n, 1, 1, at)) {
        return NULL;
    }
    Value *v = PUSH(l->a, Value, 1);
    *v = (Value){.kind = VAL_LIST, .at = e->at};
    v->list.n = (uint32_t)n;
    v->list.at = PUSH(l->a, V, n);
    for (int64_t i = 0; i < n; i++) {
        v->list.at[i] = value_int(l, a[0]->at, at[i]);
    }
    return v;
}
