/* Types of arguments and results as patterns: a dim that is a new name is bound to the extent it meets, one
 * that is known must be equal, `T - 1` is solved for its one unknown, `..` takes any number of dims and `_`
 * any extent. */
#include "lower.h"

void type_suggest(Diag *d, Str name) {
    static const char *const names[] = {"real", "int", "bool", "dim",  "path", "text", "u8",  "i32", "i64",
                                        "f16",  "bf16", "f32", "f64"};
    static const struct { const char *theirs, *ours; } foreign[] = {
        {"float", "real"}, {"double", "f64"}, {"float32", "f32"}, {"float64", "f64"}, {"uint8", "u8"},
        {"int32", "i32"},  {"int64", "i64"},  {"str", "text"},    {"string", "text"}, {"boolean", "bool"},
        {"half", "f16"},   {"bfloat16", "bf16"}, {"float16", "f16"}, {"Tensor", "real[..]"},
        {"list", "list dim"},
    };
    Nearest near = nearest_to(name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        nearest_consider(&near, str_of(names[i]));
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        near.best = str_is(name, foreign[i].theirs) ? str_of(foreign[i].ours) : near.best;
    }
    report_near(d, &near);
}

bool type_element(const TypeSyntax *t, DType *out) {
    if (t->kind != TYPE_PLAIN) {
        return false;
    }
    if (str_is(t->base.text, "real")) {
        *out = DT_F32;
    } else if (str_is(t->base.text, "int")) {
        *out = DT_I32;
    } else {
        return dtype_parse(t->base.text, out);
    }
    return true;
}

static bool has_unbound(Lower *l, const Expr *e) {
    if (e->kind == EX_NAME) {
        return scope_try(l, e->name) == NULL;
    }
    return e->kind == EX_BINARY ? has_unbound(l, e->binary.l) || has_unbound(l, e->binary.r) : false;
}

bool type_solve(Lower *l, const Expr *e, Dim to) {
    Dim known, rest;
    if (!has_unbound(l, e)) {
        return dim_expr_value(l, e, &known) && dim_eq(known, to);
    }
    if (e->kind == EX_NAME) {
        scope_bind(l, e->name, value_dim(l, e->at, to));
        scope_find(l->frame, e->name.text)->extent = true;
        return true;
    }
    if (e->kind != EX_BINARY) {
        return false;
    }
    bool left = has_unbound(l, e->binary.l);
    const Expr *open = left ? e->binary.l : e->binary.r, *fixed = left ? e->binary.r : e->binary.l;
    if (has_unbound(l, fixed) || !dim_expr_value(l, fixed, &known)) {
        return false;
    }
    switch (e->binary.op) {
    case BIN_ADD: return type_solve(l, open, dim_sub(l->a, to, known));
    case BIN_SUB: return type_solve(l, open, left ? dim_add(l->a, to, known) : dim_sub(l->a, known, to));
    case BIN_MUL: return dim_divide(l->a, to, known, &rest) && type_solve(l, open, rest);
    case BIN_DIV: return left && type_solve(l, open, dim_mul(l->a, to, known));
    case BIN_OR:
    case BIN_AND:
    case BIN_EQ:
    case BIN_NE:
    case BIN_LT:
    case BIN_LE:
    case BIN_GT:
    case BIN_GE:
    case BIN_MATMUL:
    case BIN_IDIV:
    case BIN_MOD:
    case BIN_POW:
    case BIN_COUNT: break;
    }
    return false;
}

/* `real[out, k]` with a list k: a dim for each of its numbers. */
static bool list_dims(Lower *l, const DimSyntax *d, uint32_t *rank, Dim *dim, bool *is_list) {
    V v = d->kind == DIM_EXPR && d->expr->kind == EX_NAME ? scope_try(l, d->expr->name) : NULL;
    *is_list = v && v->kind == VAL_LIST;
    for (uint32_t i = 0; *is_list && i < v->list.n; i++) {
        if (*rank == MAX_RANK || v->list.at[i]->kind != VAL_DIM || v->list.at[i]->d.real) {
            report(l, DIAG_SHAPE, d->at, *rank == MAX_RANK ? "more than 8 dims" : "the list holds no extents");
            return false;
        }
        dim[(*rank)++] = v->list.at[i]->d.dim;
    }
    return true;
}

bool type_dims(Lower *l, const TypeSyntax *t, uint32_t *rank, Dim *dim) {
    *rank = 0;
    for (uint32_t i = 0; t->has_dims && i < t->dims.n; i++) {
        const DimSyntax *d = &t->dims.at[i];
        if (d->kind == DIM_UP_TO) {
            Diag *diag = report(l, DIAG_TYPE, d->at, "`up to` belongs to a column that a source gives");
            diag_help(diag, "`word : u8[up to 24] = bytes` in `data`; elsewhere it is a dim of 24 with a length");
            return false;
        }
        bool is_list;
        if (!list_dims(l, d, rank, dim, &is_list)) {
            return false;
        }
        if (is_list) {
            continue;
        }
        if (d->kind != DIM_EXPR || *rank == MAX_RANK) {
            report(l, DIAG_SHAPE, d->at,
                   *rank == MAX_RANK ? "more than 8 dims" : "every extent is said here");
            return false;
        }
        if (!dim_expr_value(l, d->expr, &dim[*rank])) {
            return false;
        }
        (*rank)++;
    }
    return shape_fits(l, t->at, 0, NULL, *rank, dim);
}

static Str type_text(Lower *l, const TypeSyntax *t) { return sources_text(l->p->sources, t->at); }

/* A last dim of 1 too many is dropped by picking its only element. */
static void help_squeeze(Lower *l, Diag *d, const TypeSyntax *t, V v) {
    int64_t one;
    uint32_t rank = v->kind == VAL_ARRAY ? v->array.rank : 0;
    for (uint32_t i = 0; i < t->dims.n; i++) {
        if (t->dims.at[i].kind == DIM_REST) {
            return;
        }
    }
    if (rank == t->dims.n + 1 && rank <= 4 && dim_known(v->array.dim[rank - 1], &one) && one == 1) {
        static const char *const picks[] = {"", "0", ":, 0", ":, :, 0", ":, :, :, 0"};
        Str text = sources_text(l->p->sources, v->at);
        text = text.n && text.n < 50 ? text : STR("..");
        diag_help(d, "drop the last dim: `%.*s[%s]`", FSTR(text), picks[rank]);
    }
}

static V differs(Lower *l, const TypeSyntax *t, V v, Str what, Span decl_at) {
    Diag *d = report(l, DIAG_SHAPE, v->at.n ? v->at : decl_at, "`%.*s` is declared %.*s but comes out %.*s",
                     FSTR(what), FSTR(type_text(l, t)), FSTR(value_describe(l, v)));
    report_label(l, d, decl_at, "declared here");
    report_origins(l, d, &v->array);
    Frame *f = l->frame;
    for (uint32_t i = 0; t->has_dims && i < t->dims.n; i++) {
        const Expr *e = t->dims.at[i].kind == DIM_EXPR ? t->dims.at[i].expr : NULL;
        const Binding *b = e && e->kind == EX_NAME ? scope_find(f, e->name.text) : NULL;
        Buf text = buf_make(l->a);
        if (b && b->value->kind == VAL_DIM) {
            dim_print(&text, b->value->d.dim);
        }
        if (text.n && !str_eq(buf_str(&text), b->name)) {
            diag_note(d, "`%.*s` is %s", FSTR(b->name), text.s);
        }
    }
    help_squeeze(l, d, t, v);
    return value_poison(l);
}

static bool dims_match(Lower *l, const TypeSyntax *t, const Array *x) {
    uint32_t n = t->dims.n, rest = n;
    for (uint32_t i = 0; i < n; i++) {
        rest = t->dims.at[i].kind == DIM_REST ? i : rest;
    }
    if (rest == n ? x->rank != n : x->rank + 1u < n) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const DimSyntax *d = &t->dims.at[i];
        uint32_t axis = i < rest ? i : x->rank - n + i;
        if (d->kind == DIM_REST || d->kind == DIM_INFER) {
            continue;
        }
        if (d->kind == DIM_EXPR) {
            if (!type_solve(l, d->expr, x->dim[axis])) {
                return false;
            }
            continue;
        }
        if (d->kind == DIM_UP_TO) {
            return false;
        }
        Dim p = dim_const(l->a, 1);
        for (uint32_t k = 0; k < d->merged.n; k++) {
            Dim f;
            if (!dim_expr_value(l, d->merged.at[k], &f)) {
                return false;
            }
            p = dim_mul(l->a, p, f);
        }
        if (!dim_eq(p, x->dim[axis])) {
            return false;
        }
    }
    return true;
}

static V wrong_kind(Lower *l, const TypeSyntax *t, V v, Str what, Span decl_at) {
    if (str_is(t->base.text, "dim") && setting_is_no_dim(l, v, v->at)) {
        return value_poison(l);
    }
    Diag *d = report(l, DIAG_TYPE, v->at.n ? v->at : decl_at, "`%.*s` is %.*s, this is %.*s", FSTR(what),
                     FSTR(type_text(l, t)), FSTR(value_describe(l, v)));
    report_label(l, d, decl_at, "declared here");
    Str text = sources_text(l->p->sources, v->at);
    DType want;
    Elem have;
    if (type_element(t, &want) && dtype_elem(want) == ELEM_INT && value_elem(v, &have) && have == ELEM_REAL) {
        text = text.n && text.n < 50 ? text : STR("..");
        diag_help(d, "convert it, `int(%.*s)`: the fraction is cut off", FSTR(text));
    }
    function_lacks(l, d, v);
    return value_poison(l);
}

/* Numbers: scalars stay numbers of the program when the type has no dims; ints become real where one is
 * declared. */
static V accept_number(Lower *l, const TypeSyntax *t, DType want, V v, Str what, Span decl_at) {
    Elem have, need = dtype_elem(want);
    if (!value_elem(v, &have) || (have != need && !(have == ELEM_INT && need == ELEM_REAL))) {
        return wrong_kind(l, t, v, what, decl_at);
    }
    if (!t->has_dims && value_scalar(v)) {
        return v;
    }
    if (v->kind != VAL_ARRAY) {
        Array a;
        array_from(l, v, elem_dtype(need), &a);
        v = value_array(l, v->at, a);
    }
    if (t->has_dims ? !dims_match(l, t, &v->array) : v->array.rank != 0) {
        return differs(l, t, v, what, decl_at);
    }
    bool storage = !str_is(t->base.text, "real") && !str_is(t->base.text, "int");
    if (storage ? v->array.dtype != want : need == ELEM_REAL && v->array.dtype != DT_F32) {
        return value_array(l, v->at, array_cast(l, v->array, want));
    }
    return v;
}

/* A quotient that comes out even is an extent where one is declared: `linear(x, width / 2)`.  NULL: no extent. */
static V accept_dim(Lower *l, V v) {
    if (v->kind != VAL_DIM) {
        return NULL;
    }
    if (!v->d.real) {
        return v;
    }
    Value *whole = PUSH(l->a, Value, 1);
    *whole = *v;
    whole->d.real = false;
    return whole;
}

static V accept_list(Lower *l, const TypeSyntax *t, V v, Str what, Span decl_at) {
    if (v->kind != VAL_LIST) {
        return wrong_kind(l, t, v, what, decl_at);
    }
    bool dim = str_is(t->base.text, "dim");
    Value *list = PUSH(l->a, Value, 1);
    *list = *v;
    list->list.at = PUSH(l->a, V, v->list.n + 1);
    for (uint32_t i = 0; i < v->list.n; i++) {
        V x = v->list.at[i];
        list->list.at[i] = dim ? accept_dim(l, x) : value_scalar(x) ? x : NULL;
        if (list->list.at[i] == NULL) {
            return wrong_kind(l, t, x, what, decl_at);
        }
    }
    return list;
}

V type_accept(Lower *l, const TypeSyntax *t, V v, Str what, Span decl_at) {
    DType want;
    if (t == NULL || v->kind == VAL_POISON) {
        return v;
    }
    if (t->kind == TYPE_LIST) {
        return accept_list(l, t, v, what, decl_at);
    }
    if (t->kind == TYPE_ONE_OF) {
        for (uint32_t i = 0; v->kind == VAL_CHOICE && i < t->choices.n; i++) {
            if (str_eq(t->choices.at[i].text, v->text)) {
                return v;
            }
        }
        return wrong_kind(l, t, v, what, decl_at);
    }
    if (str_is(t->base.text, "dim")) {
        V dim = accept_dim(l, v);
        return dim ? dim : wrong_kind(l, t, v, what, decl_at);
    }
    if (str_is(t->base.text, "path") || str_is(t->base.text, "text")) {
        return v->kind == VAL_TEXT ? v : wrong_kind(l, t, v, what, decl_at);
    }
    if (type_element(t, &want)) {
        return accept_number(l, t, want, v, what, decl_at);
    }
    Diag *d = report(l, DIAG_TYPE, t->base.at, "`%.*s` is no type", FSTR(t->base.text));
    type_suggest(d, t->base.text);
    diag_help(d, "types are real, int, bool, dim, path, text, `list dim`, `one of ..`, and u8 i32 i64 f16 "
                 "bf16 f32 f64");
    return value_poison(l);
}
