/* Index form.  `y[n,i,:] = E` binds the indices n and i, evaluates E in whole form with them as leading dims
 * of whatever mentions them, and turns them back into dims of y.  In an access `x[..]` a plain index moves a
 * dim to the leads; `2*i + 1` slices first; an int tensor gathers; a number picks.  Extents come from plain
 * uses, found before the statement is evaluated, or are said on the left: `n < K`. */
#include "lower.h"
#include <string.h>

/* ---- binding ---- */

Index *index_new(Lower *l, Name name) {
    Span at;
    Index *old = scope_index(l->frame, name.text);
    if (old) {
        Diag *d =
            report(l, DIAG_INDEX, name.at, "`%.*s` is bound already in this statement", FSTR(name.text));
        report_label(l, d, old->name.at, "bound here");
        diag_help(d, "give this one another letter");
        return NULL;
    }
    if (scope_is_value(l, name.text, &at)) {
        Place p = sources_place(l->p->sources, at);
        Diag *d =
            report(l, DIAG_INDEX_NAME, name.at,
                   "`%.*s` is the value of line %u; an index needs another letter", FSTR(name.text), p.line);
        report_label(l, d, at, "the value");
        return NULL;
    }
    Index *i = PUSH(l->a, Index, 1);
    *i = (Index){.name = name, .birth = ++l->births};
    vec_push(l->a, &l->frame->indices, i);
    return i;
}

void index_drop(Lower *l, uint32_t n_before) { l->frame->indices.n = n_before; }

/* ---- extents from plain uses ---- */

static Index *plain_index(Lower *l, const Item *item) {
    if (item->kind != ITEM_EXPR || item->expr->kind != EX_NAME) {
        return NULL;
    }
    return scope_index(l->frame, item->expr->name.text);
}

/* Does the expression depend on an index of this statement, or on one that a reducer will bind? */
typedef struct { Lower *l; bool found; } Depends;

static bool depends(void *user, const Expr *e) {
    Depends *d = user;
    if (e->kind == EX_NAME && (scope_index(d->l->frame, e->name.text) || scope_try(d->l, e->name) == NULL)) {
        d->found = true;
    }
    return !d->found;
}

/* The base of an access, when it can be known before the statement: a name, a column, or a call without
 * indices, which is made once and remembered. */
static V known_base(Lower *l, const Expr *base) {
    if (base->kind == EX_NAME) {
        const Binding *b = scope_find(l->frame, base->name.text);
        return b ? b->value : settings_value(l, base->name.text);
    }
    if (base->kind == EX_FIELD && base->field.base->kind == EX_NAME) {
        const Binding *b = scope_find(l->frame, base->field.base->name.text);
        return b && b->value->kind == VAL_BATCH ? eval(l, base) : NULL;
    }
    if (base->kind != EX_CALL && base->kind != EX_PIPE) {
        return NULL;
    }
    for (uint32_t i = 0; i < l->memo.n; i++) {
        if (l->memo.at[i].expr == base) {
            return l->memo.at[i].value;
        }
    }
    const Expr *callee = base->kind == EX_CALL ? base->call.callee : base->pipe.f;
    if (callee->kind == EX_FIELD) {
        return NULL;
    }
    Depends d = {l, false};
    walk_expr(base, depends, &d);
    if (d.found) {
        return NULL;
    }
    V v = eval(l, base);
    vec_push(l->a, &l->memo, (Memo){base, v});
    return v;
}

static bool infer(void *user, const Expr *e) {
    Lower *l = user;
    if (e->kind != EX_INDEX) {
        return true;
    }
    const ItemVec *items = &e->index.items;
    bool wanted = false;
    for (uint32_t i = 0; i < items->n; i++) {
        const Index *x = plain_index(l, &items->at[i]);
        wanted = wanted || (x && x->extent == NULL);
    }
    V v = wanted ? known_base(l, e->index.base) : NULL;
    for (uint32_t i = 0; v && v->kind == VAL_POISON && i < items->n; i++) {
        Index *x = plain_index(l, &items->at[i]);
        if (x && x->extent == NULL) {
            x->extent = dim_const(l->a, 1);
            x->poison = true;
        }
    }
    if (v == NULL || v->kind != VAL_ARRAY) {
        return true;
    }
    uint32_t explicit_items = 0, axis = 0;
    for (uint32_t i = 0; i < items->n; i++) {
        explicit_items += items->at[i].kind != ITEM_REST;
    }
    if (explicit_items > v->array.rank) {
        return true;
    }
    for (uint32_t i = 0; i < items->n; i++) {
        if (items->at[i].kind == ITEM_REST) {
            axis += v->array.rank - explicit_items;
            continue;
        }
        Index *x = plain_index(l, &items->at[i]);
        if (x && x->extent == NULL) {
            x->extent = v->array.dim[axis];
            x->extent_at = e->at;
        }
        axis++;
    }
    return true;
}

void index_infer(Lower *l, const Expr *e) {
    for (uint32_t i = 0; i < l->frame->indices.n; i++) {
        if (l->frame->indices.at[i]->extent == NULL) {
            walk_expr(e, infer, l);
            return;
        }
    }
}

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

/* ---- affine positions ---- */

enum { AFFINE_MAX = 4 };
typedef struct { Dim c; uint32_t n; Index *of[AFFINE_MAX]; int64_t factor[AFFINE_MAX]; } Affine;

static bool affine(Lower *l, const Expr *e, Affine *out);

static void affine_add(Lower *l, Affine *x, const Affine *y, int64_t scale) {
    x->c = dim_add(l->a, x->c, dim_mul(l->a, y->c, dim_const(l->a, scale)));
    for (uint32_t i = 0; i < y->n; i++) {
        uint32_t k = 0;
        while (k < x->n && x->of[k] != y->of[i]) {
            k++;
        }
        if (k == x->n) {
            x->of[x->n] = y->of[i];
            x->factor[x->n++] = 0;
        }
        x->factor[k] += scale * y->factor[i];
    }
}

static bool affine_binary(Lower *l, const Expr *e, Affine *out) {
    Affine x, y;
    int64_t k;
    if (!affine(l, e->binary.l, &x) || !affine(l, e->binary.r, &y) || x.n + y.n > AFFINE_MAX) {
        return false;
    }
    if (e->binary.op == BIN_ADD || e->binary.op == BIN_SUB) {
        *out = x;
        affine_add(l, out, &y, e->binary.op == BIN_ADD ? 1 : -1);
        return true;
    }
    if (e->binary.op == BIN_MUL && (x.n == 0 || y.n == 0)) {
        const Affine *number = x.n == 0 ? &x : &y, *other = x.n == 0 ? &y : &x;
        if (other->n == 0) {
            *out = (Affine){.c = dim_mul(l->a, x.c, y.c)};
            return true;
        }
        if (!dim_known(number->c, &k) || k > INT32_MAX || k < INT32_MIN) {
            return false;
        }
        *out = (Affine){.c = dim_const(l->a, 0)};
        affine_add(l, out, other, k);
        return true;
    }
    if ((e->binary.op == BIN_IDIV || e->binary.op == BIN_DIV) && x.n == 0 && y.n == 0) {
        V v = eval(l, e);
        *out = (Affine){.c = v->kind == VAL_DIM ? v->d.dim : NULL};
        return v->kind == VAL_DIM;
    }
    return false;
}

/* A sum of indices with whole factors and an extent; false: something else (nothing is reported). */
static bool affine(Lower *l, const Expr *e, Affine *out) {
    if (e->kind == EX_NUMBER && e->number.is_int) {
        V v = eval(l, e);
        *out = (Affine){.c = v->kind == VAL_DIM ? v->d.dim : dim_const(l->a, 0)};
        return v->kind == VAL_DIM;
    }
    if (e->kind == EX_NAME) {
        Index *i = scope_index(l->frame, e->name.text);
        if (i) {
            *out = (Affine){.c = dim_const(l->a, 0), .n = 1, .of = {i}, .factor = {1}};
            return true;
        }
        const Binding *b = scope_find(l->frame, e->name.text);
        V v = b ? b->value : settings_value(l, e->name.text);
        *out = (Affine){.c = v && v->kind == VAL_DIM ? v->d.dim : NULL};
        return out->c != NULL;
    }
    if (e->kind == EX_UNARY && e->unary.op == UN_NEG) {
        Affine x;
        if (!affine(l, e->unary.x, &x)) {
            return false;
        }
        *out = (Affine){.c = dim_const(l->a, 0)};
        affine_add(l, out, &x, -1);
        return true;
    }
    return e->kind == EX_BINARY && affine_binary(l, e, out);
}

static bool extent_known(Lower *l, const Index *i, Span at) {
    if (i->extent) {
        return true;
    }
    Diag *d = report(l, DIAG_INDEX, at, "nothing says how far `%.*s` runs", FSTR(i->name.text));
    diag_help(d, "say it where the index is bound: `%.*s < K`", FSTR(i->name.text));
    return false;
}

/* Positions can be written that no tensor has: they stay at the ends of the range instead of wrapping into it. */
static int64_t sum_kept(int64_t x, int64_t y) {
    int64_t sum;
    return !__builtin_add_overflow(x, y, &sum) ? sum : y < 0 ? INT64_MIN : INT64_MAX;
}

static int64_t product_kept(int64_t x, int64_t y) {
    int64_t product;
    return !__builtin_mul_overflow(x, y, &product) ? product : (x < 0) != (y < 0) ? INT64_MIN : INT64_MAX;
}

/* Do all positions of the affine form lie in 0 .. extent-1? */
static bool affine_fits(Lower *l, const Affine *x, const Item *item, Dim extent) {
    int64_t lo = dim_value(x->c), hi = lo;
    for (uint32_t i = 0; i < x->n; i++) {
        if (!extent_known(l, x->of[i], item->at)) {
            return false;
        }
        int64_t last = product_kept(x->factor[i], dim_value(x->of[i]->extent) - 1);
        if (dim_value(x->of[i]->extent) == 0) {
            return true;
        }
        lo = sum_kept(lo, last < 0 ? last : 0);
        hi = sum_kept(hi, last > 0 ? last : 0);
    }
    if (lo >= 0 && hi < dim_value(extent)) {
        return true;
    }
    Diag *d = report(l, DIAG_EXTENT, item->at, "this runs from %lld to %lld; the dim has 0 to %lld",
                     (long long)lo, (long long)hi, (long long)dim_value(extent) - 1);
    for (uint32_t i = 0; i < x->n; i++) {
        diag_note(d, "`%.*s` runs from 0 to %lld", FSTR(x->of[i]->name.text),
                  (long long)dim_value(x->of[i]->extent) - 1);
    }
    diag_help(d, "give the index fewer values, or read from `pad(x, ..)`");
    return false;
}

/* Where the tensor that is read was made. */
static void note_origin(Lower *l, Diag *d, const Expr *access) {
    const Expr *base = access->index.base;
    const Binding *b = base->kind == EX_NAME ? scope_find(l->frame, base->name.text) : NULL;
    if (b && b->at.n && !in_library(l->p, b->at)) {
        diag_note(d, "`%.*s` is %.*s, from line %u", FSTR(b->name), FSTR(value_describe(l, b->value)),
                  sources_place(l->p->sources, b->at).line);
    }
}

/* A plain index on a dim: same extent, or the first use gives it. */
static bool plain_fits(Lower *l, Index *i, const Expr *access, const Item *item, Dim extent) {
    if (i->extent == NULL) {
        i->extent = extent;
        i->extent_at = access->at;
    }
    if (dim_eq(i->extent, extent) || i->poison) {
        return !i->poison;
    }
    Buf a = buf_make(l->a), b = buf_make(l->a);
    dim_print(&a, i->extent);
    dim_print(&b, extent);
    Diag *d;
    if (i->extent_at.n == 0 || i->extent_at.at == item->at.at) {
        d = report(l, DIAG_EXTENT, item->at, "`%.*s` runs to %s and the dim has %s", FSTR(i->name.text), a.s,
                   b.s);
    } else {
        d = report(l, DIAG_EXTENT, item->at, "`%.*s` runs to %s in `%.*s` and to %s in `%.*s`",
                   FSTR(i->name.text), a.s, FSTR(sources_text(l->p->sources, i->extent_at)), b.s,
                   FSTR(sources_text(l->p->sources, access->at)));
        report_label(l, d, i->extent_at, "%s here", a.s);
    }
    report_label(l, d, access->at, "%s here", b.s);
    note_origin(l, d, access);
    diag_help(d, "two indices, if pairs are meant");
    return false;
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
        if (plain ? !plain_fits(l, f->of[0], a->access, item, extent) : !affine_fits(l, f, item, extent)) {
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
    if (affine(l, item->expr, &f)) {
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

/* ---- `y[n,i,:] = E` ---- */

static bool bind_items(Lower *l, const Target *t) {
    bool fine = true;
    for (uint32_t k = 0; k < t->items.n; k++) {
        const TargetItem *item = &t->items.at[k];
        if (item->kind != TI_INDEX) {
            continue;
        }
        Index *i = index_new(l, item->name);
        fine = fine && i != NULL;
        if (i && item->extent) {
            Dim d;
            if (dim_expr_value(l, item->extent, &d) && shape_fits(l, item->at, 0, NULL, 1, &d)) {
                i->extent = d;
                i->extent_at = item->at;
            } else {
                i->extent = dim_const(l->a, 1);
                fine = false;
            }
        }
    }
    return fine;
}

/* The statement's indices become dims again, in the order of the target; `..` and `:` are the dims of the
 * value. */
static V close_form(Lower *l, const Target *t, Array x, Index *const *bound, uint32_t n_bound) {
    uint32_t whole = 0;
    bool rest = false;
    for (uint32_t k = 0; k < t->items.n; k++) {
        whole += t->items.at[k].kind == TI_ALL;
        rest = rest || t->items.at[k].kind == TI_REST;
    }
    if (rest ? x.rank < whole : x.rank != whole) {
        Diag *d = report(l, DIAG_SHAPE, t->at, "`%.*s` leaves %u dims to the right side, which is %.*s there",
                         FSTR(t->name.text), whole, FSTR(array_describe(l, &x)));
        diag_help(d, "a `:` in the brackets stands for each dim of the value, `..` for all of them");
        return value_poison(l);
    }
    for (uint32_t k = 0; k < n_bound; k++) {
        if (!extent_known(l, bound[k], bound[k]->name.at)) {
            return value_poison(l);
        }
    }
    const Index *const *some = (const Index *const *)bound;
    const Index *all[2 * MAX_RANK];
    uint32_t n_all = leads_union(all, leads_union(all, 0, x.lead, x.n_lead), some, n_bound);
    if (!shape_fits(l, t->at, n_all, all, x.rank, x.dim)) {
        return value_poison(l);
    }
    x = array_spread(l, x, n_bound, some);
    uint8_t at[MAX_RANK];
    const Index *lead[MAX_RANK];
    Dim dim[MAX_RANK];
    uint32_t n_lead = 0, n = 0, rank = 0, next_bound = 0, next_dim = 0;
    for (uint32_t k = 0; k < x.n_lead; k++) {
        bool mine = false;
        for (uint32_t j = 0; j < n_bound; j++) {
            mine = mine || x.lead[k] == bound[j];
        }
        if (!mine) {
            at[n++] = (uint8_t)k;
            lead[n_lead++] = x.lead[k];
        }
    }
    for (uint32_t k = 0; k < t->items.n; k++) {
        uint32_t take = t->items.at[k].kind == TI_REST ? x.rank - whole : 1;
        if (t->items.at[k].kind == TI_INDEX) {
            at[n++] = (uint8_t)array_lead_of(&x, bound[next_bound]);
            dim[rank++] = bound[next_bound++]->extent;
            continue;
        }
        for (uint32_t j = 0; j < take; j++, next_dim++) {
            at[n++] = (uint8_t)(x.n_lead + next_dim);
            dim[rank++] = x.dim[next_dim];
        }
    }
    return value_array(l, t->at, array_make(l, build_permute(&l->b, x.val, at), n_lead, lead, rank, dim));
}

V index_form(Lower *l, const Target *t, const Expr *value) {
    uint32_t before = l->frame->indices.n, memos = l->memo.n, closed = l->closed.n;
    uint32_t saved_name = l->b.name;
    l->b.name = name_id(l, t->name.text);
    V v;
    if (!t->indexed) {
        v = eval(l, value);
    } else if (!bind_items(l, t)) {
        v = value_poison(l);
    } else {
        Array x;
        index_infer(l, value);
        v = eval_array(l, value, &x)
                ? close_form(l, t, x, l->frame->indices.at + before, l->frame->indices.n - before)
                : value_poison(l);
    }
    index_drop(l, before);
    l->memo.n = memos;
    l->closed.n = closed;
    l->b.name = saved_name;
    return v;
}

/* The indices of a further target, in its order: those of the first one.  False: reported. */
static bool same_indices(Lower *l, const Target *t, bool first, uint32_t before, Index **out) {
    uint32_t bound = l->frame->indices.n - before, n = 0;
    for (uint32_t k = 0; k < t->items.n; k++) {
        if (t->items.at[k].kind != TI_INDEX) {
            continue;
        }
        Index *i = NULL;
        for (uint32_t j = before; j < l->frame->indices.n; j++) {
            Index *have = l->frame->indices.at[j];
            i = str_eq(have->name.text, t->items.at[k].name.text) ? have : i;
        }
        for (uint32_t j = 0; j < n && i; j++) {
            i = out[j] == i ? NULL : i;
        }
        if (i == NULL || (t->items.at[k].extent && !first)) {
            n = bound + 1;
            break;
        }
        out[n++] = i;
    }
    if (n != bound) {
        Diag *d = report(l, DIAG_INDEX, t->at, "results of one call have the same indices, in any order");
        diag_help(d, "extents like `n < N` stand at the first of them; `_` drops a result");
    }
    return n == bound;
}

static V part_of(Lower *l, const Target *t, bool first, V v, uint32_t before) {
    Index *bound[MAX_RANK];
    Elem e;
    Array x;
    if (v->kind == VAL_POISON || (!t->indexed && str_is(t->name.text, "_"))) {
        return v;
    }
    if (!value_elem(v, &e)) {
        report(l, DIAG_TYPE, t->at, "in index form a result is a tensor or number, this is %.*s",
               FSTR(value_describe(l, v)));
        return value_poison(l);
    }
    if (!same_indices(l, t, first, before, bound)) {
        return value_poison(l);
    }
    array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(e), &x);
    return close_form(l, t, x, bound, l->frame->indices.n - before);
}

/* `a[n,:], b[n] = f(x[n])`: the indices of the first target are those of all. */
V index_form_several(Lower *l, const TargetVec *ts, const Expr *value) {
    uint32_t before = l->frame->indices.n, memos = l->memo.n, closed = l->closed.n, first = 0;
    while (!ts->at[first].indexed) {
        first++;
    }
    V v = value_poison(l);
    if (bind_items(l, &ts->at[first])) {
        index_infer(l, value);
        v = eval(l, value);
    }
    if ((v->kind == VAL_TUPLE || v->kind == VAL_LIST) && v->list.n == ts->n) {
        Value *parts = PUSH(l->a, Value, 1);
        *parts = *v;
        parts->list.at = PUSH(l->a, V, ts->n);
        for (uint32_t i = 0; i < ts->n; i++) {
            uint32_t saved_name = l->b.name;
            l->b.name = name_id(l, ts->at[i].name.text);
            parts->list.at[i] = part_of(l, &ts->at[i], i == first, v->list.at[i], before);
            l->b.name = saved_name;
        }
        v = parts;
    }
    index_drop(l, before);
    l->memo.n = memos;
    l->closed.n = closed;
    return v;
}
