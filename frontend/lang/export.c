/* Exports: the arguments are columns (of a data set, or tensors by name), the results are outputs. Evaluation
 * mode. */
#include "lower.h"

/* `x : real[N, 784]`: a column x of N rows; the other extents are fixed. */
static V tensor_argument(Lower *l, const Param *p, int64_t rows) {
    DType t;
    const TypeSyntax *type = p->type;
    if (p->name.text.n == 0 || (type && module_unread(l, type->base.text))) { /* what is wrong has been said */
        return value_poison(l);
    }
    if (type == NULL || !type_element(type, &t) || !type->has_dims || type->dims.n == 0 ||
        type->dims.n > MAX_RANK) {
        report(l, DIAG_TYPE, p->name.at,
               "an argument of an export is a batch `b : d[N]`, or a tensor `x : real[N, 784]`");
        return value_poison(l);
    }
    Dim dim[MAX_RANK];
    for (uint32_t i = 0; i < type->dims.n; i++) {
        const DimSyntax *d = &type->dims.at[i];
        bool named = d->kind == DIM_EXPR && d->expr->kind == EX_NAME;
        if (i == 0 && named && scope_try(l, d->expr->name) == NULL) {
            Extent *e = PUSH(l->a, Extent, 1);
            *e = (Extent){++l->next_extent, d->expr->name.text, d->at, rows, NULL};
            scope_bind(l, d->expr->name, value_dim(l, d->at, dim_of_extent(l->a, e)));
        }
        if (d->kind != DIM_EXPR || !dim_expr_value(l, d->expr, &dim[i])) {
            if (d->kind != DIM_EXPR) {
                report(l, DIAG_SHAPE, d->at, "an export says all extents");
            }
            return value_poison(l);
        }
    }
    if (!shape_fits(l, type->at, 0, NULL, type->dims.n, dim)) {
        return value_poison(l);
    }
    return value_array(l, p->name.at, column_array(l, p->name.text, t, NULL, type->dims.n, dim));
}

static void results(Lower *l, const Decl *d, V v) {
    const ParamVec *rs = &d->function.sig.results;
    for (uint32_t i = 0; i < rs->n; i++) {
        V one = rs->n == 1 ? v : v->list.at[i];
        Elem e;
        Array x;
        if (one->kind == VAL_POISON) {
            continue;
        }
        if (!value_elem(one, &e) ||
            !array_from(l, one, one->kind == VAL_ARRAY ? one->array.dtype : elem_dtype(e), &x)) {
            report(l, DIAG_TYPE, rs->at[i].name.at, "an export gives tensors, `%.*s` is %.*s",
                   FSTR(rs->at[i].name.text), FSTR(value_describe(l, one)));
            continue;
        }
        graph_output(l->main_graph, OUT_VALUE, name_id(l, rs->at[i].name.text), x.val);
    }
}

Lower *export_lower(Program *p, const Decl *d, int64_t rows, Diags *ds) {
    Lower *l =
        lower_begin(p, LOWER_EXPORT, str_format(p->arena, "export.%.*s", FSTR(d->name.text)), rows, ds);
    Frame *f = frame_push(l, FRAME_EXPORT, d, d->name.at);
    f->path = f->stream = d->name.text;
    const ParamVec *args = &d->function.sig.args;
    for (uint32_t i = 0; i < args->n; i++) {
        const Param *a = &args->at[i];
        const Decl *data = a->type && a->type->kind == TYPE_PLAIN ? scope_decl(p, f->scope, a->type->base.text) : NULL;
        bool batch = data && data->kind == DECL_DATA, again = false;
        for (uint32_t k = 0; k < i && a->name.text.n; k++) {
            again = again || str_eq(args->at[k].name.text, a->name.text);
        }
        if (again) {
            report(l, DIAG_TWICE, a->name.at, "two arguments are called `%.*s`", FSTR(a->name.text));
            continue;
        }
        scope_bind(l, a->name, batch ? batch_argument(l, a, data, 0, rows) : tensor_argument(l, a, rows));
    }
    V v;
    bool broken = args->n && args->at[args->n - 1].name.text.n == 0;
    if (d->function.sig.results.n == 0 && !broken) {
        report(l, DIAG_TYPE, d->name.at, "an export says its results: `-> (y : real[N, 10])`");
    } else if (d->function.sig.results.n) {
        l->b.at = d->at;
        call_body(l, d, &v);
        if (v->kind != VAL_POISON) {
            results(l, d, v);
        }
    }
    frame_pop(l);
    return l;
}
