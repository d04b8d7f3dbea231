/* An access `x[..]`, item by item.  A plain index moves its dim to the leads; `2*i + 1` slices first; an int tensor
 * gathers; a number picks; `a:b:s` keeps a range; indices that add up over one dim are windows of it. */
#include "affine.h"
#include <string.h>

/* ---- moving dims ---- */

/* Dim `axis` of x becomes the lead i, which x does not have yet. */
static Array take_index(Lower *l, Array x, uint32_t axis, const Index *i) {
    const Index *lead[2 * MAX_RANK];
    uint32_t n = leads_union(lead, 0, x.lead, x.n_lead);
    n = leads_union(lead, n, &i, 1);
    uint8_t at[MAX_RANK];
    Dim dim[MAX_RANK];
    uint32_t k = 0, rank = 0;
    for (; k < n; k++) {
        at[k] = (uint8_t)(lead[k] == i ? x.n_lead + axis : (uint32_t)array_lead_of(&x, lead[k]));
    }
    for (uint32_t d = 0; d < x.rank; d++) {
        if (d != axis) {
            at[k++] = (uint8_t)(x.n_lead + d);
            dim[rank++] = x.dim[d];
        }
    }
    x = array_here(l, x);
    return array_make(l, build_permute(&l->b, x.val, at), n, lead, rank, dim);
}

/* x with dim `axis` cut to `extent` elements lo, lo + step, .. */
static Array cut(Lower *l, Array x, uint32_t axis, int64_t lo, int64_t step, Dim extent) {
    int64_t los[MAX_RANK] = {0}, steps[MAX_RANK];
    for (uint32_t i = 0; i < MAX_RANK; i++) {
        steps[i] = 1;
    }
    los[x.n_lead + axis] = lo;
    steps[x.n_lead + axis] = step;
    x = array_here(l, x);
    x.dim[axis] = extent;
    return array_make(l, build_slice(&l->b, x.val, los, steps, array_shape(&x)), x.n_lead, x.lead, x.rank,
                      x.dim);
}

static Array drop_axis(Lower *l, Array x, uint32_t axis) {
    for (uint32_t i = axis; i + 1 < x.rank; i++) {
        x.dim[i] = x.dim[i + 1];
    }
    x.rank--;
    return array_make(l, build_reshape(&l->b, x.val, array_shape(&x)), x.n_lead, x.lead, x.rank, x.dim);
}

/* Gathers along dim `axis` of x: the dims of `index` take its place, common leads go together. */
bool index_gather(Lower *l, Array x, uint32_t axis, Array index, Array *out) {
    x = array_here(l, x);
    index = array_cast(l, index, DT_I32);
    const Index *lead[2 * MAX_RANK];
    uint32_t n = leads_union(lead, 0, x.lead, x.n_lead);
    n = leads_union(lead, n, index.lead, index.n_lead);
    Dim dim[2 * MAX_RANK];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < x.rank; i++) {
        for (uint32_t k = 0; i == axis && k < index.rank; k++) {
            dim[rank++] = index.dim[k];
        }
        if (i != axis) {
            dim[rank++] = x.dim[i];
        }
    }
    if (dim_value(x.dim[axis]) == 0) {
        report(l, DIAG_SHAPE, l->b.at, "there is nothing to pick from: dim %u of %.*s is 0", axis + 1,
               FSTR(array_describe(l, &x)));
        return false;
    }
    if (!shape_fits(l, l->b.at, n, lead, rank, dim)) {
        return false;
    }
    /* Where each axis of the result will stand in the gather's own order: common, index only, x only. */
    uint8_t x_at[MAX_RANK], i_at[MAX_RANK];
    uint32_t lead_pos[2 * MAX_RANK], common = 0, nx = 0, ni = 0;
    for (uint32_t k = 0; k < n; k++) {
        int a = array_lead_of(&x, lead[k]), b = array_lead_of(&index, lead[k]);
        if (a >= 0 && b >= 0) {
            x_at[nx++] = (uint8_t)a;
            i_at[ni++] = (uint8_t)b;
            lead_pos[k] = common++;
        }
    }
    x_at[nx++] = (uint8_t)(x.n_lead + axis);
    uint32_t own = common;
    for (uint32_t k = 0; k < n; k++) {
        if (array_lead_of(&x, lead[k]) < 0) {
            i_at[ni++] = (uint8_t)array_lead_of(&index, lead[k]);
            lead_pos[k] = own++;
        }
    }
    uint32_t index_dims = own;
    for (uint32_t k = 0; k < index.rank; k++) {
        i_at[ni++] = (uint8_t)(index.n_lead + k);
        own++;
    }
    for (uint32_t k = 0; k < n; k++) {
        if (array_lead_of(&index, lead[k]) < 0) {
            x_at[nx++] = (uint8_t)array_lead_of(&x, lead[k]);
            lead_pos[k] = own++;
        }
    }
    uint8_t order[2 * MAX_RANK];
    uint32_t placed = 0;
    for (uint32_t k = 0; k < n; k++) {
        order[placed++] = (uint8_t)lead_pos[k];
    }
    for (uint32_t i = 0; i < x.rank; i++) {
        for (uint32_t k = 0; i == axis && k < index.rank; k++) {
            order[placed++] = (uint8_t)(index_dims + k);
        }
        if (i != axis) {
            x_at[nx++] = (uint8_t)(x.n_lead + i);
            order[placed++] = (uint8_t)own++;
        }
    }
    Val g =
        build_gather(&l->b, build_permute(&l->b, x.val, x_at), build_permute(&l->b, index.val, i_at), common);
    *out = array_make(l, build_permute(&l->b, g, order), n, lead, rank, dim);
    return true;
}

/* ---- accesses ---- */

typedef struct { Lower *l; const Expr *access; Array x; uint32_t axis; } Access;   /* axis: of the next item */

static bool item_window(Access *a, const Affine *f) {
    Lower *l = a->l;
    int64_t offset;
    if (!dim_known(f->c, &offset)) {
        return false;
    }
    Index *position = PUSH(l->a, Index, 1);
    *position = (Index){.birth = ++l->births, .extent = a->x.dim[a->axis]};
    a->x = take_index(l, a->x, a->axis, position);
    vec_push(l->a, l->sink,
             (WindowUse){position, {f->of[0], f->of[1]}, {f->factor[0], f->factor[1]}, offset});
    return true;
}

static bool item_affine(Access *a, const Item *item, const Affine *f) {
    Lower *l = a->l;
    Dim extent = a->x.dim[a->axis];
    bool plain = f->n == 1 && f->factor[0] == 1 && f->c->n == 0;
    if (f->n == 1 && array_lead_of(&a->x, f->of[0]) < 0) {
        if (plain ? !affine_plain_fits(l, f->of[0], a->access, item, extent) : !affine_fits(l, f, item, extent)) {
            return false;
        }
        if (!plain) {
            a->x = cut(l, a->x, a->axis, dim_value(f->c), f->factor[0], f->of[0]->extent);
        }
        a->x = take_index(l, a->x, a->axis, f->of[0]);
        return true;
    }
    if (!affine_fits(l, f, item, extent)) {
        return false;
    }
    if (l->sink && f->n == 2 && item_window(a, f)) {
        return true;
    }
    Array index;
    return eval_array(l, item->expr, &index) && index_gather(l, a->x, a->axis, index, &a->x);
}

static bool item_position(Access *a, const Item *item, Dim at) {
    Lower *l = a->l;
    int64_t known, extent = dim_value(a->x.dim[a->axis]);
    int64_t pos = dim_value(at);
    if (dim_known(at, &known) && known < 0) {
        pos = extent + known;
    }
    if (pos < 0 || pos >= extent) {
        report(l, DIAG_EXTENT, item->at, "position %lld of a dim with 0 to %lld", (long long)dim_value(at),
               (long long)extent - 1);
        return false;
    }
    a->x = drop_axis(l, cut(l, a->x, a->axis, pos, 1, dim_const(l->a, 1)), a->axis);
    return true;
}

static bool item_expr(Access *a, const Item *item) {
    Lower *l = a->l;
    Affine f;
    if (affine_of(l, item->expr, &f)) {
        return f.n == 0 ? item_position(a, item, f.c) : item_affine(a, item, &f);
    }
    V v = eval(l, item->expr);
    if (v->kind == VAL_POISON) {
        return false;
    }
    if (v->kind == VAL_DIM && !v->d.real) {
        return item_position(a, item, v->d.dim);
    }
    Elem t;
    Array index;
    if (!value_elem(v, &t) || t != ELEM_INT) {
        Diag *d = report(l, DIAG_TYPE, item->at, "an index is a whole number, this is %.*s",
                         FSTR(value_describe(l, v)));
        if (t == ELEM_REAL) {
            diag_help(d, "convert it: `int(..)`");
        }
        return false;
    }
    uint32_t dims = v->kind == VAL_ARRAY ? v->array.rank : 0;
    if (!array_from(l, v, DT_I32, &index) || !index_gather(l, a->x, a->axis, index, &a->x)) {
        return false;
    }
    a->axis += dims;
    return true;
}

/* One end of a slice: an extent, counted from the end when it is a negative number. */
static bool slice_end(Lower *l, const Expr *e, Dim extent, Dim otherwise, Dim *out) {
    int64_t known;
    if (e == NULL) {
        *out = otherwise;
        return true;
    }
    if (!dim_expr_value(l, e, out)) {
        return false;
    }
    if (dim_known(*out, &known) && known < 0) {
        *out = dim_add(l->a, extent, *out);
    }
    return true;
}

/* How many elements of lo, lo + step, .. come before hi. */
static Dim slice_count(Lower *l, Dim lo, Dim hi, int64_t step) {
    Dim n = step > 0 ? dim_sub(l->a, hi, lo) : dim_sub(l->a, lo, hi);
    int64_t by = step > 0 ? step : -step;
    return by == 1 ? n : dim_const(l->a, dim_value(n) / by + (dim_value(n) % by != 0));
}

/* Backwards `lo` is the first element and `hi` the one it ends before; left out, all of the dim. */
static bool item_slice(Access *a, const Item *item) {
    Lower *l = a->l;
    Dim extent = a->x.dim[a->axis], lo, hi, one = dim_const(l->a, 1), zero = dim_const(l->a, 0);
    int64_t step = 1;
    if (item->step && !const_expr_value(l, item->step, "the step of a slice", -INT32_MAX, &step)) {
        return false;
    }
    if (step == 0) {
        report(l, DIAG_EXTENT, item->at, "the step of a slice is not 0");
        return false;
    }
    Dim before = dim_sub(l->a, zero, one), last = dim_add(l->a, extent, before);
    if (!slice_end(l, item->lo, extent, step > 0 ? zero : last, &lo) ||
        !slice_end(l, item->hi, extent, step > 0 ? extent : before, &hi)) {
        return false;
    }
    int64_t first = dim_value(lo), end = dim_value(hi), most = dim_value(extent);
    bool fits = step > 0 ? first >= 0 && end >= first && end <= most : end >= -1 && first >= end && first < most;
    if (!fits) {
        report(l, DIAG_EXTENT, item->at, "a slice %sfrom %lld to %lld of a dim of %lld",
               step > 0 ? "" : "backwards ", (long long)first, (long long)end, (long long)most);
        return false;
    }
    Dim n = slice_count(l, lo, hi, step);
    a->x = cut(l, a->x, a->axis, first, step, n);
    a->axis++;
    return true;
}

static V list_access(Lower *l, const Expr *e, V base) {
    const ItemVec *items = &e->index.items;
    int64_t i;
    if (items->n != 1 || items->at[0].kind != ITEM_EXPR) {
        report(l, DIAG_TYPE, e->at, "a list takes one whole number in brackets");
        return value_poison(l);
    }
    V v = eval(l, items->at[0].expr);
    if (v->kind == VAL_POISON) {
        return v;
    }
    if (!value_const_int(v, &i) || i >= base->list.n || i < -(int64_t)base->list.n) {
        report(l, DIAG_EXTENT, items->at[0].at, "a list of %u has no item %.*s", base->list.n,
               FSTR(value_describe(l, v)));
        return value_poison(l);
    }
    return base->list.at[i < 0 ? i + base->list.n : i];
}

V index_access(Lower *l, const Expr *e) {
    V base = eval(l, e->index.base);
    if (base->kind == VAL_POISON) {
        return base;
    }
    if (base->kind == VAL_LIST) {
        return list_access(l, e, base);
    }
    const ItemVec *items = &e->index.items;
    uint32_t n = 0;
    for (uint32_t i = 0; i < items->n; i++) {
        n += items->at[i].kind != ITEM_REST;
    }
    Elem t;
    if (!value_elem(base, &t)) {
        report(l, DIAG_TYPE, e->op_at, "brackets behind %.*s", FSTR(value_describe(l, base)));
        return value_poison(l);
    }
    Access a = {.l = l, .access = e};
    array_from(l, base, base->kind == VAL_ARRAY ? base->array.dtype : elem_dtype(t), &a.x);
    if (n > a.x.rank) {
        Diag *d = report(l, DIAG_SHAPE, e->op_at, "%u items in brackets for %.*s", n,
                         FSTR(array_describe(l, &a.x)));
        report_label(l, d, e->index.base->at, "%.*s", FSTR(array_describe(l, &a.x)));
        return value_poison(l);
    }
    uint32_t rest = a.x.rank - n;
    for (uint32_t i = 0; i < items->n; i++) {
        const Item *item = &items->at[i];
        bool fine = true;
        switch (item->kind) {
        case ITEM_ALL: a.axis++; break;
        case ITEM_REST: a.axis += rest; break;
        case ITEM_SLICE: fine = item_slice(&a, item); break;
        case ITEM_EXPR: fine = item_expr(&a, item); break;
        }
        if (!fine) {
            return value_poison(l);
        }
    }
    return value_array(l, e->at, a.x);
}
