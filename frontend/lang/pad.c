/* `pad(x, [0, 4, [1, 2]])`: so many elements in front of and behind each dim.  They are a constant, the mirror of x
 * (without its border element), or the border element again; the last two are slices joined to x. */
#include "window.h"

typedef struct { int64_t lo, hi; } Border;
typedef enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE } PadMode;

static bool read_border(Lower *l, V v, Border *b) {
    bool both = v->kind == VAL_LIST && v->list.n == 2;
    V lo = both ? v->list.at[0] : v, hi = both ? v->list.at[1] : v;
    if (!value_const_int(lo, &b->lo) || !value_const_int(hi, &b->hi) || b->lo < 0 || b->hi < 0 || b->lo > INT32_MAX ||
        b->hi > INT32_MAX) {
        Diag *d = report(l, DIAG_TYPE, v->at, "`pad` takes whole numbers from 0 on, or `[front, behind]`");
        report_label(l, d, v->at, "%.*s", FSTR(value_describe(l, v)));
        diag_help(d, "a slice takes elements away: `x[1:-1]`");
        return false;
    }
    return true;
}

/* x with v around it, a constant or a number of the run. */
static bool constant_pad(Lower *l, V v, Val x, const int64_t *lo, const int64_t *hi, Val *out) {
    double value = 0;
    if (v && !value_scalar(v)) {
        Diag *d = report(l, DIAG_TYPE, v->at, "what is put around is a number of the program, this is %.*s",
                         FSTR(value_describe(l, v)));
        diag_help(d, "a tensor is put around by `concat`");
        return false;
    }
    bool known = v == NULL || uniforms_constant(l->m->uniforms, value_inst(l, v), &value);
    *out = build_pad(&l->b, x, lo, hi, value);
    if (known) {
        return true;
    }
    Type t = type_of(l->b.g, x);
    Val inside = build_pad(&l->b, build_splat(&l->b, DT_BOOL, 1, t.shape), lo, hi, 0);
    *out = build_select(&l->b, inside, *out, build_broadcast_like(&l->b, uniform_val(l, v, t.dtype), *out));
    return true;
}

static bool read_mode(Lower *l, V v, PadMode *out) {
    *out = PAD_CONSTANT;
    if (v == NULL) {
        return true;
    }
    if (v->kind != VAL_CHOICE) {
        report(l, DIAG_TYPE, v->at, "the mode is `constant`, `reflect` or `edge`, this is %.*s",
               FSTR(value_describe(l, v)));
        return false;
    }
    *out = str_is(v->text, "reflect") ? PAD_REFLECT : str_is(v->text, "edge") ? PAD_EDGE : PAD_CONSTANT;
    return true;
}

/* n elements of an axis of x from lo on, by a step of -1 or 0. */
static Val part(Lower *l, Val x, uint32_t axis, int64_t lo, int64_t n, bool mirror) {
    Shape s = type_of(l->b.g, x).shape, wide = s;
    int64_t los[MAX_RANK] = {0}, steps[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    los[axis] = lo;
    steps[axis] = -1;
    s.dim[axis] = mirror ? n : 1;
    Val cut = build_slice(&l->b, x, los, steps, s);
    if (mirror) {
        return cut;
    }
    Shape without = s;
    uint8_t at[MAX_RANK];
    for (uint32_t i = 0, k = 0; i < s.rank; i++) {
        if (i != axis) {
            without.dim[k] = s.dim[i];
            at[k++] = (uint8_t)i;
        }
    }
    without.rank--;
    wide.dim[axis] = n;
    return build_broadcast(&l->b, build_reshape(&l->b, cut, without), wide, at);
}

static bool joined(Lower *l, const Expr *e, Array *x, uint32_t dim, Border b, bool mirror) {
    uint32_t axis = x->n_lead + dim, n = 0;
    int64_t extent = dim_value(x->dim[dim]), most = b.lo > b.hi ? b.lo : b.hi;
    if (most == 0) {
        return true;
    }
    if (mirror ? most >= extent : extent == 0) {
        Diag *d = report(l, DIAG_SHAPE, e->at, "`%s` of %lld elements around a dim of %lld",
                         mirror ? "reflect" : "edge", (long long)most, (long long)extent);
        diag_help(d, mirror ? "a mirror has at most one element fewer than the dim" : "the dim has no border element");
        return false;
    }
    Val in[3];
    if (b.lo > 0) {
        in[n++] = part(l, x->val, axis, mirror ? b.lo : 0, b.lo, mirror);
    }
    in[n++] = x->val;
    if (b.hi > 0) {
        in[n++] = part(l, x->val, axis, extent - 1 - mirror, b.hi, mirror);
    }
    Array to = *x;
    to.dim[dim] = dim_add(l->a, x->dim[dim], dim_const(l->a, b.lo + b.hi));
    if (!shape_fits(l, e->at, to.n_lead, to.lead, to.rank, to.dim)) {
        return false;
    }
    *x = array_make(l, build_concat(&l->b, axis, n, in), to.n_lead, to.lead, to.rank, to.dim);
    return true;
}

V pad_call(Lower *l, const Expr *e, V const *a) {
    Elem t;
    Array x;
    PadMode mode;
    Border by[MAX_RANK];
    bool number = value_elem(a[0], &t);
    if (!number || !array_from(l, a[0], a[0]->kind == VAL_ARRAY ? a[0]->array.dtype : elem_dtype(t), &x)) {
        report(l, DIAG_TYPE, e->at, "`pad` of %.*s", FSTR(value_describe(l, a[0])));
        return NULL;
    }
    if (a[1]->kind != VAL_LIST || a[1]->list.n != x.rank) {
        Diag *d = report(l, DIAG_SHAPE, e->at, "`pad` takes a list with one number for each dim of %.*s",
                         FSTR(array_describe(l, &x)));
        const char *stay = "0, 0, 0, 0, 0, 0, 0, ";
        if (x.rank > 0)
            diag_help(d, "0 for a dim that stays as it is: `pad(x, [%s1])`", stay + 3 * (MAX_RANK - x.rank));
        return NULL;
    }
    if (!read_mode(l, a[3], &mode)) {
        return NULL;
    }
    if (mode != PAD_CONSTANT && a[2]) {
        report(l, DIAG_CALL, a[2]->at, "`value` belongs to `mode = constant`; the other modes repeat elements");
        return NULL;
    }
    Array to = x;
    int64_t lo[MAX_RANK] = {0}, hi[MAX_RANK] = {0};
    for (uint32_t i = 0; i < x.rank; i++) {
        if (!read_border(l, a[1]->list.at[i], &by[i])) {
            return NULL;
        }
        lo[x.n_lead + i] = by[i].lo;
        hi[x.n_lead + i] = by[i].hi;
        to.dim[i] = dim_add(l->a, x.dim[i], dim_const(l->a, by[i].lo + by[i].hi));
    }
    if (mode == PAD_CONSTANT) {
        if (!shape_fits(l, e->at, to.n_lead, to.lead, to.rank, to.dim)) {
            return NULL;
        }
        Val v;
        if (!constant_pad(l, a[2], x.val, lo, hi, &v)) {
            return NULL;
        }
        return value_array(l, e->at, array_make(l, v, to.n_lead, to.lead, to.rank, to.dim));
    }
    for (uint32_t i = 0; i < x.rank; i++) {
        if (!joined(l, e, &x, i, by[i], mode == PAD_REFLECT)) {
            return NULL;
        }
    }
    return value_array(l, e->at, x);
}
