/* The numbers of a window and the arithmetic of its extents.  What made an extent is remembered with it, so that a
 * message about a shape can show the sum: dims are immutable and travel with the tensor, so the dim itself is the
 * key. */
#include "window.h"

enum { MOST = 1 << 20 };      /* of a kernel size, stride, pad or dilation: products stay far below 2^63 */

static bool one_number(Lower *l, V v, const char *what, int64_t least, int64_t *out) {
    if (v->kind == VAL_DIM && !v->d.real && dim_known(v->d.dim, out) && *out >= least && *out <= MOST) {
        return true;
    }
    report(l, DIAG_TYPE, v->at, "%s is a whole number from %lld to %d, this is %.*s", what, (long long)least, MOST,
           FSTR(value_describe(l, v)));
    return false;
}

bool window_numbers(Lower *l, const Expr *e, V v, const char *what, uint32_t n, int64_t least, int64_t otherwise,
                    int64_t *out) {
    if (v && v->kind == VAL_LIST && v->list.n != n) {
        report(l, DIAG_SHAPE, v->at.n ? v->at : e->at, "%s is a list of %u numbers for %u dim%s", what, v->list.n, n,
               n == 1 ? "" : "s");
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i] = otherwise;
        if (v && !one_number(l, v->kind == VAL_LIST ? v->list.at[i] : v, what, least, &out[i])) {
            return false;
        }
    }
    return true;
}

bool window_steps(Lower *l, const Expr *e, V stride, V pad, V dilation, uint32_t n, Window1 *out) {
    int64_t s[MAX_RANK], p[MAX_RANK], d[MAX_RANK];
    if (!window_numbers(l, e, stride, "`stride`", n, 1, 1, s) || !window_numbers(l, e, pad, "`pad`", n, 0, 0, p) ||
        !window_numbers(l, e, dilation, "`dilation`", n, 1, 1, d)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i].stride = s[i];
        out[i].pad = p[i];
        out[i].dilation = d[i];
    }
    return true;
}

bool window_operand(Lower *l, const Expr *e, V v, uint32_t least, Array *out) {
    if (v->kind != VAL_ARRAY || dtype_elem(v->array.dtype) == ELEM_BOOL || v->array.rank < least) {
        report(l, DIAG_SHAPE, e->at, "`%.*s` takes numbers with %u dims or more, this is %.*s",
               FSTR(call_name(e).text), least, FSTR(value_describe(l, v)));
        return false;
    }
    *out = array_cast(l, v->array, DT_F32);
    return true;
}

/* ---- extents ---- */

static Dim remember(Lower *l, const Expr *e, Dim d, Buf *why) {
    vec_push(l->a, &l->origins, (DimOrigin){d, report_site(l, e->at), buf_str(why)});
    return d;
}

static void put_reach(Buf *b, const Window1 *w, const char *sign) {
    if (w->dilation == 1) {
        buf_printf(b, " %s %lld", sign, (long long)w->taps);
    } else {
        buf_printf(b, " %s %lld·(%lld - 1) %s 1", sign, (long long)w->dilation, (long long)w->taps, sign);
    }
}

Dim window_positions(Lower *l, const Expr *e, Dim x, const Window1 *w) {
    int64_t reach = w->dilation * (w->taps - 1) + 1, n;
    Buf b = buf_make(l->a);
    buf_printf(&b, w->stride > 1 ? "(" : "");
    dim_print(&b, x);
    if (w->pad > 0) {
        buf_printf(&b, " + 2·%lld", (long long)w->pad);
    }
    put_reach(&b, w, "-");
    bool known = dim_known(x, &n);
    int64_t room = (known ? n : dim_value(x)) + 2 * w->pad - reach;
    if (room < 0) {
        report(l, DIAG_SHAPE, e->at, "the window is longer than the dim: %s = %lld", b.s + (w->stride > 1),
               (long long)room);
        return NULL;
    }
    if (w->stride == 1) {
        Dim d = dim_add(l->a, x, dim_const(l->a, 2 * w->pad - reach + 1));
        buf_printf(&b, " + 1 = ");
        dim_print(&b, d);
        return remember(l, e, d, &b);
    }
    if (!known) {
        report(l, DIAG_SHAPE, e->at, "a stride of %lld over a dim that depends on the batch", (long long)w->stride);
        return NULL;
    }
    int64_t o = room / w->stride + 1;
    if (w->up && room % w->stride != 0 && o * w->stride < n + w->pad) {
        o++;
        buf_printf(&b, ", up to whole strides");
    }
    buf_printf(&b, ") div %lld + 1 = %lld", (long long)w->stride, (long long)o);
    return remember(l, e, dim_const(l->a, o), &b);
}

Dim window_extent(Lower *l, const Expr *e, Dim o, const Window1 *w) {
    int64_t fixed = w->dilation * (w->taps - 1) + 1 + w->extra - 2 * w->pad;
    Dim last = dim_sub(l->a, o, dim_const(l->a, 1));
    Dim d = dim_add(l->a, dim_mul(l->a, last, dim_const(l->a, w->stride)), dim_const(l->a, fixed));
    Buf b = buf_make(l->a);
    buf_printf(&b, "(");
    dim_print(&b, o);
    buf_printf(&b, " - 1)·%lld", (long long)w->stride);
    if (w->pad > 0) {
        buf_printf(&b, " - 2·%lld", (long long)w->pad);
    }
    put_reach(&b, w, "+");
    if (w->extra > 0) {
        buf_printf(&b, " + %lld", (long long)w->extra);
    }
    buf_printf(&b, " = ");
    dim_print(&b, d);
    if (dim_value(d) < 0) {
        report(l, DIAG_SHAPE, e->at, "nothing is left of the dim: %s", b.s);
        return NULL;
    }
    if (w->extra > 0 || w->stride > 1) {
        int64_t other = w->extra > 0 ? 0 : 1;
        buf_printf(&b, "; with `extra = %lld` it is ", (long long)other);
        dim_print(&b, dim_add(l->a, d, dim_const(l->a, other - w->extra)));
    }
    return remember(l, e, d, &b);
}

/* ---- room ---- */

Array window_packed(Lower *l, Array x, uint32_t n, uint32_t more) {
    if (x.n_lead + x.rank + more <= MAX_RANK) {
        return x;
    }
    Dim dim[MAX_RANK] = {dim_const(l->a, 1)};
    for (uint32_t i = 0; i < x.n_lead; i++) {
        dim[0] = dim_mul(l->a, dim[0], x.lead[i]->extent);
    }
    for (uint32_t i = 0; i < x.rank; i++) {
        uint32_t to = i + n < x.rank ? 0 : 1 + i + n - x.rank;
        dim[to] = to == 0 ? dim_mul(l->a, dim[0], x.dim[i]) : x.dim[i];
    }
    Array y = x;
    y.n_lead = 0;
    y.rank = (uint8_t)(n + 1);
    for (uint32_t i = 0; i <= n; i++) {
        y.dim[i] = dim[i];
    }
    return array_make(l, build_reshape(&l->b, x.val, array_shape(&y)), 0, NULL, n + 1, dim);
}

Array window_unpacked(Lower *l, Array y, const Array *like, uint32_t n) {
    Array to = *like;
    for (uint32_t i = 0; i < n; i++) {
        to.dim[to.rank - n + i] = y.dim[y.rank - n + i];
    }
    return array_make(l, build_reshape(&l->b, y.val, array_shape(&to)), to.n_lead, to.lead, to.rank, to.dim);
}
