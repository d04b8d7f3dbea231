/* Views: `x as [(T N), 1, E]` checks, merges, splits and names dims in row order; `x'` swaps the last two. */
#include "lower.h"

Array array_reshape(Lower *l, Array x, uint32_t rank, const Dim *dim) {
    x = array_here(l, x);
    Array to = x;
    to.rank = (uint8_t)rank;
    for (uint32_t i = 0; i < rank; i++) {
        to.dim[i] = dim[i];
    }
    return array_make(l, build_reshape(&l->b, x.val, array_shape(&to)), x.n_lead, x.lead, rank, dim);
}

Array array_permute(Lower *l, Array x, const uint8_t *at) {
    x = array_here(l, x);
    Dim dim[MAX_RANK];
    for (uint32_t i = 0; i < x.rank; i++) {
        dim[i] = x.dim[at[x.n_lead + i] - x.n_lead];
    }
    return array_make(l, build_permute(&l->b, x.val, at), x.n_lead, x.lead, x.rank, dim);
}

V view_transpose(Lower *l, const Expr *e, V x) {
    if (x->kind != VAL_ARRAY || x->array.rank < 2) {
        report(l, DIAG_SHAPE, e->at, "`'` swaps the last two dims; this is %.*s", FSTR(value_describe(l, x)));
        return value_poison(l);
    }
    uint8_t at[MAX_RANK];
    uint32_t n = x->array.n_lead + x->array.rank;
    for (uint32_t i = 0; i < n; i++) {
        at[i] = (uint8_t)i;
    }
    at[n - 2] = (uint8_t)(n - 1);
    at[n - 1] = (uint8_t)(n - 2);
    return value_array(l, e->at, array_permute(l, x->array, at));
}

static Dim product(Lower *l, uint32_t n, const Dim *dim) {
    Dim p = dim_const(l->a, 1);
    for (uint32_t i = 0; i < n; i++) {
        p = dim_mul(l->a, p, dim[i]);
    }
    return p;
}

/* A dim that `as` is to find out: `_`, or a name nothing has. */
static bool is_open(Lower *l, const DimSyntax *d) {
    return d->kind == DIM_INFER ||
           (d->kind == DIM_EXPR && d->expr->kind == EX_NAME && scope_try(l, d->expr->name) == NULL);
}

static V mismatch(Lower *l, const Expr *e, const Array *x, const char *why) {
    Str a = array_describe(l, x);
    Diag *d = report(l, DIAG_SHAPE, e->op_at, "%.*s cannot be read as `%.*s`: %s", FSTR(a),
                     FSTR(sources_text(l->p->sources, e->at)), why);
    report_label(l, d, e->as.x->at, "%.*s", FSTR(a));
    report_origins(l, d, x);
    return value_poison(l);
}

/* The one extent that would have to be another one; e->as.dims.n when there is no such. */
static uint32_t wrong_extent(Lower *l, const Expr *e, Dim all, const Dim *dim, Dim *right) {
    uint32_t n = e->as.dims.n, found = n;
    for (uint32_t i = 0; i < n; i++) {
        Dim others = dim_const(l->a, 1), fits;
        for (uint32_t k = 0; k < n; k++) {
            others = k == i ? others : dim_mul(l->a, others, dim[k]);
        }
        if (others->n == 1 && dim_divide(l->a, all, others, &fits) && fits->n > 0) {
            if (found < n) {
                return n;
            }
            found = i;
            *right = fits;
        }
    }
    return found;
}

/* The elements do not come out even: which extent is wrong, if only one can be. */
static V miscounted(Lower *l, const Expr *e, const Array *x, Dim all, const Dim *dim, Dim made) {
    Buf a = buf_make(l->a), b = buf_make(l->a), c = buf_make(l->a);
    dim_print(&a, all);
    dim_print(&b, made);
    Str why = str_format(l->a, "%s elements are not %s", a.s, b.s);
    Dim right = NULL;
    uint32_t wrong = wrong_extent(l, e, all, dim, &right);
    if (wrong == e->as.dims.n) {
        return mismatch(l, e, x, why.s);
    }
    dim_print(&c, right);
    Str is = array_describe(l, x);
    Diag *d = report(l, DIAG_SHAPE, e->as.dims.at[wrong].at, "%.*s cannot be read as `%.*s`: %.*s", FSTR(is),
                     FSTR(sources_text(l->p->sources, e->at)), FSTR(why));
    report_label(l, d, e->as.x->at, "%.*s", FSTR(is));
    report_origins(l, d, x);
    diag_help(d, "write `%s` here, or `_` for what is left", c.s);
    return value_poison(l);
}

V view_as(Lower *l, const Expr *e) {
    Array x;
    if (!eval_array(l, e->as.x, &x)) {
        return value_poison(l);
    }
    Dim dim[MAX_RANK];
    uint32_t rank = e->as.dims.n, open = 0, open_at = 0;
    if (rank + x.n_lead > MAX_RANK) {
        return mismatch(l, e, &x, "too many dims");
    }
    for (uint32_t i = 0; i < rank; i++) {
        const DimSyntax *d = &e->as.dims.at[i];
        dim[i] = NULL;
        if (d->kind == DIM_REST || d->kind == DIM_UP_TO) {
            return mismatch(l, e, &x, "here every dim is named");
        }
        if (d->kind == DIM_MERGED) {
            dim[i] = dim_const(l->a, 1);
            for (uint32_t k = 0; k < d->merged.n; k++) {
                Dim f;
                if (!dim_expr_value(l, d->merged.at[k], &f)) {
                    return value_poison(l);
                }
                dim[i] = dim_mul(l->a, dim[i], f);
            }
        } else if (is_open(l, d)) {
            open++;
            open_at = i;
        } else if (!dim_expr_value(l, d->expr, &dim[i])) {
            return value_poison(l);
        }
    }
    Dim all = product(l, x.rank, x.dim), rest;
    if (open > 0 && rank == x.rank) { /* dim by dim: this names extents that were computed */
        bool same = true;
        for (uint32_t i = 0; i < rank; i++) {
            same = same && (dim[i] == NULL || dim_eq(dim[i], x.dim[i]));
        }
        for (uint32_t i = 0; i < rank && same; i++) {
            dim[i] = x.dim[i];
        }
        open = same ? 0 : open;
    }
    if (open > 1) {
        return mismatch(l, e, &x, "only one extent can be found out");
    }
    if (open == 1) {
        Dim known = dim_const(l->a, 1);
        for (uint32_t i = 0; i < rank; i++) {
            known = i == open_at ? known : dim_mul(l->a, known, dim[i]);
        }
        if (!dim_divide(l->a, all, known, &rest)) {
            return mismatch(l, e, &x, "the number of elements does not divide");
        }
        dim[open_at] = rest;
    }
    Dim made = product(l, rank, dim);
    if (!dim_eq(made, all)) {
        return miscounted(l, e, &x, all, dim, made);
    }
    for (uint32_t i = 0; i < rank; i++) {
        const DimSyntax *d = &e->as.dims.at[i];
        if (d->kind == DIM_EXPR && is_open(l, d)) {
            scope_bind(l, d->expr->name, value_dim(l, d->at, dim[i]));
        }
    }
    if (!shape_fits(l, e->at, x.n_lead, x.lead, rank, dim)) {
        return value_poison(l);
    }
    return value_array(l, e->at, array_reshape(l, x, rank, dim));
}
