/* Positions of an access as sums of indices with constant factors: whether an expression is one, and whether all
 * of them lie in the dim that is read. */
#include "affine.h"

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
    if (!affine_of(l, e->binary.l, &x) || !affine_of(l, e->binary.r, &y) || x.n + y.n > AFFINE_MAX) {
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
bool affine_of(Lower *l, const Expr *e, Affine *out) {
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
        if (!affine_of(l, e->unary.x, &x)) {
            return false;
        }
        *out = (Affine){.c = dim_const(l->a, 0)};
        affine_add(l, out, &x, -1);
        return true;
    }
    return e->kind == EX_BINARY && affine_binary(l, e, out);
}

bool affine_extent_known(Lower *l, const Index *i, Span at) {
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
bool affine_fits(Lower *l, const Affine *x, const Item *item, Dim extent) {
    int64_t lo = dim_value(x->c), hi = lo;
    for (uint32_t i = 0; i < x->n; i++) {
        if (!affine_extent_known(l, x->of[i], item->at)) {
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
bool affine_plain_fits(Lower *l, Index *i, const Expr *access, const Item *item, Dim extent) {
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
