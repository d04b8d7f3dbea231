/* Whole form: elementwise operations of tensors.  Shapes are equal, or one is a scalar, or one is the tail of
 * the other; a batch extent never equals anything but itself.  Index dims (leads) are not part of this: they
 * are united by name. */
#include "lower.h"

uint32_t leads_union(const Index **out, uint32_t n, const Index *const *more, uint32_t n_more) {
    for (uint32_t k = 0; k < n_more; k++) {
        uint32_t i = n;
        while (i > 0 && out[i - 1]->birth > more[k]->birth) {
            i--;
        }
        if (i > 0 && out[i - 1] == more[k]) {
            continue;
        }
        if (n == 2 * MAX_RANK) {
            return n;
        }
        for (uint32_t j = n++; j > i; j--) {
            out[j] = out[j - 1];
        }
        out[i] = more[k];
    }
    return n;
}

/* x as part of a tensor with these leads and dims; x's dims are the tail of them. */
static Array broadcast_to(Lower *l, Array x, uint32_t n_lead, const Index *const *lead, uint32_t rank,
                          const Dim *dim) {
    Array to = {.graph = l->b.g, .n_lead = (uint8_t)n_lead, .rank = (uint8_t)rank};
    for (uint32_t i = 0; i < n_lead; i++) {
        to.lead[i] = lead[i];
    }
    for (uint32_t i = 0; i < rank; i++) {
        to.dim[i] = dim[i];
    }
    x = array_here(l, x);
    uint8_t at[MAX_RANK];
    for (uint32_t i = 0; i < x.n_lead; i++) {
        at[i] = (uint8_t)array_lead_of(&to, x.lead[i]);
    }
    for (uint32_t i = 0; i < x.rank; i++) {
        at[x.n_lead + i] = (uint8_t)(n_lead + rank - x.rank + i);
    }
    return array_make(l, build_broadcast(&l->b, x.val, array_shape(&to), at), n_lead, lead, rank, dim);
}

Array array_spread(Lower *l, Array x, uint32_t n_lead, const Index *const *lead) {
    const Index *all[2 * MAX_RANK];
    uint32_t n = leads_union(all, 0, x.lead, x.n_lead);
    n = leads_union(all, n, lead, n_lead);
    return n == x.n_lead ? array_here(l, x) : broadcast_to(l, x, n, all, x.rank, x.dim);
}

static bool is_tail(const Array *small, const Array *large) {
    for (uint32_t i = 0; i < small->rank; i++) {
        if (!dim_eq(small->dim[i], large->dim[large->rank - small->rank + i])) {
            return false;
        }
    }
    return true;
}

/* What other systems would make of the two shapes by stretching extents of 1; empty when nothing. */
static Str stretched(Lower *l, const Array *x, const Array *y) {
    const Array *big = x->rank >= y->rank ? x : y, *small = big == x ? y : x;
    Array out = *big;
    for (uint32_t i = 0; i < small->rank; i++) {
        Dim *p = &out.dim[big->rank - small->rank + i];
        int64_t one;
        if (dim_known(*p, &one) && one == 1) {
            *p = small->dim[i];
        } else if (!dim_eq(*p, small->dim[i]) && !(dim_known(small->dim[i], &one) && one == 1)) {
            return (Str){0};
        }
    }
    return array_describe(l, &out);
}

/* Where an operand comes from, when that is another place: `, column `price` of data `houses``. */
static Str origin(Lower *l, V v, Span at) {
    if (v == NULL || v->at.n == 0 || v->at.at == at.at || in_library(l->p, v->at)) {
        return (Str){0};
    }
    for (uint32_t i = 0; i < l->p->recipe->data.n; i++) {
        const RecipeData *d = &l->p->recipe->data.at[i];
        for (uint32_t k = 0; k < d->columns.n; k++) {
            if (d->columns.at[k].span.at == v->at.at) {
                return str_format(l->a, ", column `%.*s` of data `%.*s`", FSTR(d->columns.at[k].name),
                                  FSTR(d->name));
            }
        }
    }
    Str text = sources_text(l->p->sources, v->at);
    Place p = sources_place(l->p->sources, v->at);
    return text.n > 40 ? str_format(l->a, ", from line %u", p.line)
                       : str_format(l->a, ", from `%.*s` at line %u", FSTR(text), p.line);
}

static void shapes_differ(Lower *l, Span op_at, const Array *x, Span x_at, const Array *y, Span y_at, V vx,
                          V vy) {
    Str a = array_describe(l, x), b = array_describe(l, y), made = stretched(l, x, y);
    Diag *d;
    if (made.n) {
        d = report(l, DIAG_BROADCAST, op_at, "`%.*s` and `%.*s` would make `%.*s`", FSTR(a), FSTR(b),
                   FSTR(made));
    } else {
        d = report(l, DIAG_SHAPE, op_at, "`%.*s` and `%.*s` do not fit", FSTR(a), FSTR(b));
    }
    report_label(l, d, x_at, "%.*s%.*s", FSTR(a), FSTR(origin(l, vx, x_at)));
    report_label(l, d, y_at, "%.*s%.*s", FSTR(b), FSTR(origin(l, vy, y_at)));
    const Array *big = x->rank >= y->rank ? x : y;
    Span big_at = big == x ? x_at : y_at;
    int64_t one;
    Str text = sources_text(l->p->sources, big_at);
    if (made.n && big->rank == 2 && dim_known(big->dim[1], &one) && one == 1 && text.n < 40) {
        Str other = sources_text(l->p->sources, big == x ? y_at : x_at);
        diag_help(
            d, "squeeze it: `%.*s[:, 0]`; or, if every pair is meant: `(%.*s[n] %.*s %.*s[m,0])` for n and m",
            FSTR(text), FSTR(other), FSTR(sources_text(l->p->sources, op_at)), FSTR(text));
    } else {
        diag_help(d, "shapes must be equal, or one a scalar, or one the tail of the other; else write it "
                     "with indices");
    }
}

bool whole_align(Lower *l, Span op_at, uint32_t n, Array *xs, const Span *at) {
    const Index *lead[2 * MAX_RANK] = {0};
    uint32_t n_lead = 0, big = 0;
    for (uint32_t i = 0; i < n; i++) {
        n_lead = leads_union(lead, n_lead, xs[i].lead, xs[i].n_lead);
        big = xs[i].rank > xs[big].rank ? i : big;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!is_tail(&xs[i], &xs[big])) {
            uint32_t first = i < big ? i : big, second = i < big ? big : i;
            shapes_differ(l, op_at, &xs[first], at[first], &xs[second], at[second],
                          n == 2 ? l->sides[first] : NULL, n == 2 ? l->sides[second] : NULL);
            return false;
        }
    }
    Array to = xs[big];
    if (!shape_fits(l, op_at, n_lead, lead, to.rank, to.dim)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        xs[i] = broadcast_to(l, xs[i], n_lead, lead, to.rank, to.dim);
    }
    return true;
}

/* The two operands as tensors of one element type and shape. */
static bool prepare(Lower *l, Span op_at, DType t, V x, V y, const Span *at, Array *out) {
    l->sides[0] = x;
    l->sides[1] = y;
    bool fine =
        array_from(l, x, t, &out[0]) && array_from(l, y, t, &out[1]) && whole_align(l, op_at, 2, out, at);
    l->sides[0] = l->sides[1] = NULL;
    return fine;
}

static V built(Lower *l, Span at, const Array *like, Val v) {
    return value_array(l, at, array_make(l, v, like->n_lead, like->lead, like->rank, like->dim));
}

static V refuse(Lower *l, Span op_at, const char *what, V x, V y) {
    Diag *d = report(l, DIAG_TYPE, op_at, "`%s` of %.*s%s%.*s", what, FSTR(value_describe(l, x)),
                     y ? " and " : "", FSTR(y ? value_describe(l, y) : STR("")));
    Elem ex = ELEM_REAL, ey = ELEM_REAL;
    value_elem(x, &ex);
    if (y) {
        value_elem(y, &ey);
    }
    if (ex == ELEM_BOOL || ey == ELEM_BOOL) {
        diag_help(
            d, "a bool is no number; count with `sum`, choose with `where(c, a, b)`, convert with `real(c)`");
    }
    function_lacks(l, d, y && y->kind == VAL_FUNCTION ? y : x);
    return value_poison(l);
}

/* An operation of numbers (or, for and/or, of bools), both sides any value. */
static V elementwise(Lower *l, Span at, Span op_at, const Span *sides, Op op, const char *name, V x, V y) {
    Elem ex, ey;
    if (!value_elem(x, &ex) || !value_elem(y, &ey)) {
        return refuse(l, op_at, name, x, y);
    }
    bool logic = op == OP_and || op == OP_or, equal = op == OP_eq;
    if (logic ? ex != ELEM_BOOL || ey != ELEM_BOOL
              : (ex == ELEM_BOOL || ey == ELEM_BOOL) && !(equal && ex == ey)) {
        return refuse(l, op_at, name, x, y);
    }
    Elem e = ex > ey ? ex : ey;
    if (op == OP_div || op == OP_pow || op == OP_atan2) {
        e = ELEM_REAL;
    }
    if ((op == OP_idiv || op == OP_mod) && e != ELEM_INT) {
        return refuse(l, op_at, name, x, y);
    }
    Array in[2];
    if (!prepare(l, op_at, elem_dtype(e), x, y, sides, in)) {
        return value_poison(l);
    }
    return built(l, at, &in[0], build_2(&l->b, op, in[0].val, in[1].val));
}

V whole_arith(Lower *l, Span at, Op op, V x, V y) {
    UOp u;
    if (value_scalar(x) && value_scalar(y) && uniform_of_op(op, &u)) {
        return uniform_apply(l, at, u, x, y, NULL);
    }
    const Span sides[2] = {at, at};
    return elementwise(l, at, at, sides, op, op_name(op), x, y);
}

V whole_unary_op(Lower *l, Span at, Op op, V x) {
    Elem e;
    UOp u;
    if (x->kind == VAL_POISON) {
        return x;
    }
    if (!value_elem(x, &e) || e == ELEM_BOOL) {
        return refuse(l, at, op_name(op), x, NULL);
    }
    if (value_scalar(x) && uniform_of_op(op, &u)) {
        return uniform_apply(l, at, u, x, NULL, NULL);
    }
    bool keeps = op == OP_neg || op == OP_abs || op == OP_sign;
    if (e == ELEM_INT && (op == OP_floor || op == OP_rint)) {
        return x;
    }
    Array a;
    array_from(l, x, keeps ? elem_dtype(e) : DT_F32, &a);
    return built(l, at, &a, build_1(&l->b, op, a.val));
}

/* x^n by squaring, for whole n. */
static Val power(Lower *l, Val x, int64_t n) {
    Val r = {0};
    for (int bit = 62; bit >= 0; bit--) {
        if (r.i) {
            r = build_2(&l->b, OP_mul, r, r);
        }
        if (n >> bit & 1) {
            r = r.i ? build_2(&l->b, OP_mul, r, x) : x;
        }
    }
    return r;
}

V whole_pow(Lower *l, const Expr *e, V x, V y) {
    double n;
    bool fixed =
        value_scalar(y) && y->kind != VAL_BOOL && uniforms_constant(l->m->uniforms, value_inst(l, y), &n);
    const Span sides[2] = {e->binary.l->at, e->binary.r->at};
    if (x->kind == VAL_ARRAY && x->array.dtype != DT_BOOL && fixed && n == (double)(int)n && n >= -64 &&
        n <= 64) {
        Array a;
        bool whole = dtype_elem(x->array.dtype) == ELEM_INT && n >= 0;
        array_from(l, x, whole ? DT_I32 : DT_F32, &a);
        if (n > 0) {
            return built(l, e->at, &a, power(l, a.val, (int64_t)n));
        }
        Val one = build_broadcast_like(&l->b, build_const(&l->b, a.dtype, 1), a.val);
        return built(l, e->at, &a, n < 0 ? build_2(&l->b, OP_div, one, power(l, a.val, (int64_t)-n)) : one);
    }
    return elementwise(l, e->at, e->op_at, sides, OP_pow, "^", x, y);
}

V whole_binary(Lower *l, const Expr *e, BinaryOp op, V x, V y) {
    const Span sides[2] = {e->binary.l->at, e->binary.r->at};
    const char *text = binary_text(op);
    V r = NULL;
    switch (op) {
    case BIN_ADD: return elementwise(l, e->at, e->op_at, sides, OP_add, text, x, y);
    case BIN_SUB: return elementwise(l, e->at, e->op_at, sides, OP_sub, text, x, y);
    case BIN_MUL: return elementwise(l, e->at, e->op_at, sides, OP_mul, text, x, y);
    case BIN_DIV: return elementwise(l, e->at, e->op_at, sides, OP_div, text, x, y);
    case BIN_IDIV: return elementwise(l, e->at, e->op_at, sides, OP_idiv, text, x, y);
    case BIN_MOD: return elementwise(l, e->at, e->op_at, sides, OP_mod, text, x, y);
    case BIN_POW: return whole_pow(l, e, x, y);
    case BIN_AND: return elementwise(l, e->at, e->op_at, sides, OP_and, text, x, y);
    case BIN_OR: return elementwise(l, e->at, e->op_at, sides, OP_or, text, x, y);
    case BIN_EQ: return elementwise(l, e->at, e->op_at, sides, OP_eq, text, x, y);
    case BIN_LT: return elementwise(l, e->at, e->op_at, sides, OP_lt, text, x, y);
    case BIN_LE: return elementwise(l, e->at, e->op_at, sides, OP_le, text, x, y);
    case BIN_GT:
    case BIN_GE: {
        const Span swapped[2] = {sides[1], sides[0]};
        return elementwise(l, e->at, e->op_at, swapped, op == BIN_GT ? OP_lt : OP_le, text, y, x);
    }
    case BIN_NE:
        r = elementwise(l, e->at, e->op_at, sides, OP_eq, text, x, y);
        return r->kind == VAL_ARRAY ? built(l, e->at, &r->array, build_1(&l->b, OP_not, r->array.val)) : r;
    case BIN_MATMUL:
    case BIN_COUNT: break;
    }
    GR_BUG("`%s` is not elementwise", text);
}

V whole_where(Lower *l, Span at, V c, V x, V y) {
    Elem ec, ex, ey;
    if (!value_elem(c, &ec) || ec != ELEM_BOOL) {
        report(l, DIAG_TYPE, at, "the condition of `where` is a bool, this is %.*s",
               FSTR(value_describe(l, c)));
        return value_poison(l);
    }
    if (!value_elem(x, &ex) || !value_elem(y, &ey) || ((ex == ELEM_BOOL) != (ey == ELEM_BOOL))) {
        return refuse(l, at, "where", x, y);
    }
    if (value_scalar(c) && value_scalar(x) && value_scalar(y)) {
        return uniform_apply(l, at, U_SELECT, c, x, y);
    }
    Array in[3];
    DType t = elem_dtype(ex > ey ? ex : ey);
    const Span sides[3] = {at, at, at};
    array_from(l, c, DT_BOOL, &in[0]);
    array_from(l, x, t, &in[1]);
    array_from(l, y, t, &in[2]);
    if (!whole_align(l, at, 3, in, sides)) {
        return value_poison(l);
    }
    return built(l, at, &in[0], build_select(&l->b, in[0].val, in[1].val, in[2].val));
}

V whole_cast(Lower *l, Span at, DType t, V x) {
    Elem e;
    if (!value_elem(x, &e)) {
        return refuse(l, at, dtype_name(t), x, NULL);
    }
    if (value_scalar(x) && t == DT_F32) {
        return value_uniform(l, at, value_inst(l, x), ELEM_REAL);
    }
    if (value_scalar(x) && t == DT_I32) {
        V cut = e == ELEM_REAL ? uniform_apply(l, at, U_TRUNC, x, NULL, NULL) : x;
        return value_uniform(l, at, value_inst(l, cut), ELEM_INT);
    }
    Array a;
    array_from(l, x, x->kind == VAL_ARRAY ? x->array.dtype : t, &a);
    return value_array(l, at, array_cast(l, a, t));
}
