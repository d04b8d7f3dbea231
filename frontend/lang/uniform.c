/* Uniform scalars (semantics 7): numbers made of settings, counters and literals.  They are computed in f64
 * by the uniform program and rounded once, where they meet a tensor.  Extents are exact as long as they stay
 * sums and products; an extent with the rows of the batch in it becomes a number through the counter `rows`.
 */
#include "lower.h"
#include <math.h>

static uint32_t rows_input(Uniforms *u, const Extent *e) {
    return uniforms_input(u, e->rows ? str_of(e->rows) : STR("rows"), true);
}

/* The extent as an instruction: rows are the uniform input `rows`, also when the batch is known, since in the
 * finish graph of a metric they are all rows seen. */
static uint32_t dim_inst(Lower *l, Dim d) {
    Uniforms *u = l->m->uniforms;
    uint32_t sum = uniforms_const(u, 0);
    for (uint32_t i = 0; i < d->n; i++) {
        const DimTerm *t = &d->term[i];
        bool plain = t->n && t->factor == 1;
        uint32_t product = plain ? rows_input(u, t->of[0]) : uniforms_const(u, (double)t->factor);
        for (uint32_t k = plain; k < t->n; k++) {
            product = uniforms_op(u, U_MUL, product, rows_input(u, t->of[k]), 0);
        }
        sum = i == 0 ? product : uniforms_op(u, U_ADD, sum, product, 0);
    }
    return sum;
}

uint32_t value_inst(Lower *l, V v) {
    if (v->kind == VAL_DIM) {
        return dim_inst(l, v->d.dim);
    }
    return v->kind == VAL_BOOL ? uniforms_const(l->m->uniforms, v->boolean) : v->uniform.inst;
}

Val uniform_val(Lower *l, V v, DType t) {
    uint32_t inst = value_inst(l, v);
    double x;
    if (uniforms_constant(l->m->uniforms, inst, &x)) {
        bool whole = dtype_elem(t) == ELEM_INT;
        return build_const(&l->b, t, t == DT_BOOL ? x != 0 : whole ? trunc(x) : x);
    }
    DType out = dtype_elem(t) == ELEM_REAL ? DT_F32 : DT_I32;
    uint32_t id = uniforms_output(l->m->uniforms, str_format(l->m->arena, "u%u", inst), out, inst);
    Val arg = build_arg(&l->b, ARG_UNIFORM, id, (Type){out, {0}});
    if (t == DT_BOOL) {
        arg = build_2(&l->b, OP_eq, arg, build_const(&l->b, DT_I32, 0));
        return build_1(&l->b, OP_not, arg);
    }
    return build_cast(&l->b, t, arg);
}

const char *uniform_counter_name(uint32_t i) {
    static const char *const counters[] = {"epoch", "step", "epochs", "steps", "epoch_steps", "batch"};
    return i < sizeof counters / sizeof *counters ? counters[i] : NULL;
}

/* Data are there before a training counts anything. */
static V counter_in_data(Lower *l, Name name) {
    Diag *d = report(l, DIAG_DATA_DECL, name.at, "rows are made before a training counts: there is no `%.*s` here",
                     FSTR(name.text));
    diag_help(d, "what changes with `%.*s` is written in the objective", FSTR(name.text));
    return value_poison(l);
}

V uniform_counter(Lower *l, Name name) {
    for (uint32_t i = 0; uniform_counter_name(i); i++) {
        if (str_is(name.text, uniform_counter_name(i))) {
            if (l->data) {
                return counter_in_data(l, name);
            }
            return value_uniform(l, name.at, uniforms_input(l->m->uniforms, name.text, true), ELEM_INT);
        }
    }
    return NULL;
}

V uniform_apply(Lower *l, Span at, UOp op, V x, V y, V z) {
    uint32_t a = value_inst(l, x), b = y ? value_inst(l, y) : 0, c = z ? value_inst(l, z) : 0;
    Elem ex = ELEM_REAL, ey = ELEM_BOOL, e = ELEM_REAL;
    value_elem(x, &ex);
    if (y) {
        value_elem(y, &ey);
    }
    if (op == U_SELECT) {
        value_elem(z, &ex);
    }
    if (op == U_LT || op == U_LE || op == U_EQ || op == U_AND || op == U_OR || op == U_NOT) {
        e = ELEM_BOOL;
    } else if (op == U_ADD || op == U_SUB || op == U_MUL || op == U_MIN || op == U_MAX || op == U_IDIV ||
               op == U_MOD || op == U_NEG || op == U_ABS || op == U_SIGN || op == U_SELECT) {
        e = ex > ey ? ex : ey;
    }
    return value_uniform(l, at, uniforms_op(l->m->uniforms, op, a, b, c), e);
}

/* Comparison of two compile-time integers. */
static bool compare(BinaryOp op, int64_t x, int64_t y) {
    return op == BIN_EQ   ? x == y
           : op == BIN_NE ? x != y
           : op == BIN_LT ? x < y
           : op == BIN_LE ? x <= y
           : op == BIN_GT ? x > y
                          : x >= y;
}

static int64_t floor_div(int64_t x, int64_t y) { return x / y - (x % y != 0 && (x < 0) != (y < 0)); }

/* Two extents.  NULL when the result is no extent. */
static V of_dims(Lower *l, const Expr *e, BinaryOp op, V x, V y) {
    Dim a = x->d.dim, b = y->d.dim, out;
    int64_t p, q;
    bool known = dim_known(a, &p) && dim_known(b, &q);
    bool real = x->d.real || y->d.real;
    switch (op) {
    case BIN_ADD: out = dim_add(l->a, a, b); break;
    case BIN_SUB: out = dim_sub(l->a, a, b); break;
    case BIN_MUL: out = dim_mul(l->a, a, b); break;
    case BIN_DIV:
        if (b->n == 0 || !dim_divide(l->a, a, b, &out)) {
            return NULL;
        }
        real = true;
        break;
    case BIN_IDIV:
    case BIN_MOD:
        if (real || !known || q == 0 || q == -1) {
            return NULL;
        }
        out = dim_const(l->a, op == BIN_IDIV ? floor_div(p, q) : p - q * floor_div(p, q));
        break;
    case BIN_POW:
        if (real || !known || q < 0 || q > 62 || (p > 0 && (double)q * log2((double)p) > 62) || p < 0) {
            return NULL;
        }
        out = dim_const(l->a, 1);
        while (q-- > 0) {
            out = dim_mul(l->a, out, a);
        }
        break;
    case BIN_EQ:
    case BIN_NE:
        if (dim_eq(a, b)) {
            return value_bool(l, e->at, op == BIN_EQ);
        }
        return value_bool(l, e->at, compare(op, dim_value(a), dim_value(b)));
    case BIN_LT:
    case BIN_LE:
    case BIN_GT:
    case BIN_GE: return value_bool(l, e->at, compare(op, dim_value(a), dim_value(b)));
    case BIN_AND:
    case BIN_OR:
    case BIN_MATMUL:
    case BIN_COUNT: return NULL;
    }
    Value *v = PUSH(l->a, Value, 1);
    *v = *value_dim(l, e->at, out);
    v->d.real = real;
    return v;
}

static V type_error(Lower *l, const Expr *e, BinaryOp op, V x, V y) {
    Diag *d = report(l, DIAG_TYPE, e->op_at, "`%s` of %.*s and %.*s", binary_text(op),
                     FSTR(value_describe(l, x)), FSTR(value_describe(l, y)));
    report_label(l, d, e->binary.l->at, "%.*s", FSTR(value_describe(l, x)));
    report_label(l, d, e->binary.r->at, "%.*s", FSTR(value_describe(l, y)));
    return value_poison(l);
}

static V negated(Lower *l, V x) { return uniform_apply(l, x->at, U_NOT, x, NULL, NULL); }

V uniform_binary(Lower *l, const Expr *e, BinaryOp op, V x, V y) {
    if (x->kind == VAL_DIM && y->kind == VAL_DIM) {
        V v = of_dims(l, e, op, x, y);
        if (v) {
            return v;
        }
    }
    Elem ex = ELEM_REAL, ey = ELEM_REAL;
    value_elem(x, &ex);
    value_elem(y, &ey);
    bool logic = op == BIN_AND || op == BIN_OR;
    if (x->kind == VAL_BOOL && y->kind == VAL_BOOL && (logic || op == BIN_EQ || op == BIN_NE)) {
        bool a = x->boolean, b = y->boolean;
        return value_bool(l, e->at,
                          op == BIN_AND  ? a && b
                          : op == BIN_OR ? a || b
                          : op == BIN_EQ ? a == b
                                         : a != b);
    }
    bool equality = op == BIN_EQ || op == BIN_NE;
    if (logic != (ex == ELEM_BOOL) || logic != (ey == ELEM_BOOL)) {
        if (!(equality && ex == ELEM_BOOL && ey == ELEM_BOOL)) {
            return type_error(l, e, op, x, y);
        }
    }
    switch (op) {
    case BIN_ADD: return uniform_apply(l, e->at, U_ADD, x, y, NULL);
    case BIN_SUB: return uniform_apply(l, e->at, U_SUB, x, y, NULL);
    case BIN_MUL: return uniform_apply(l, e->at, U_MUL, x, y, NULL);
    case BIN_DIV: return uniform_apply(l, e->at, U_DIV, x, y, NULL);
    case BIN_POW: return uniform_apply(l, e->at, U_POW, x, y, NULL);
    case BIN_IDIV:
    case BIN_MOD:
        if (ex != ELEM_INT || ey != ELEM_INT) {
            return type_error(l, e, op, x, y);
        }
        return uniform_apply(l, e->at, op == BIN_IDIV ? U_IDIV : U_MOD, x, y, NULL);
    case BIN_LT: return uniform_apply(l, e->at, U_LT, x, y, NULL);
    case BIN_LE: return uniform_apply(l, e->at, U_LE, x, y, NULL);
    case BIN_GT: return uniform_apply(l, e->at, U_LT, y, x, NULL);
    case BIN_GE: return uniform_apply(l, e->at, U_LE, y, x, NULL);
    case BIN_EQ: return uniform_apply(l, e->at, U_EQ, x, y, NULL);
    case BIN_NE: return negated(l, uniform_apply(l, e->at, U_EQ, x, y, NULL));
    case BIN_AND: return uniform_apply(l, e->at, U_AND, x, y, NULL);
    case BIN_OR: return uniform_apply(l, e->at, U_OR, x, y, NULL);
    case BIN_MATMUL:
    case BIN_COUNT: break;
    }
    return type_error(l, e, op, x, y);
}

/* The operations of the uniform program that a tensor operation has. */
bool uniform_of_op(Op op, UOp *out) {
    static const struct {
        Op op;
        UOp u;
    } table[] = {{OP_sqrt, U_SQRT}, {OP_exp, U_EXP},   {OP_log, U_LOG},     {OP_sin, U_SIN},
                 {OP_cos, U_COS},   {OP_tanh, U_TANH}, {OP_floor, U_FLOOR}, {OP_rint, U_RINT},
                 {OP_abs, U_ABS},   {OP_sign, U_SIGN}, {OP_neg, U_NEG},     {OP_min, U_MIN},
                 {OP_max, U_MAX},   {OP_add, U_ADD},   {OP_sub, U_SUB},     {OP_mul, U_MUL}};
    for (uint32_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].op == op) {
            *out = table[i].u;
            return true;
        }
    }
    return false;
}

/* ---- expressions that must be known ---- */

bool dim_expr_value(Lower *l, const Expr *e, Dim *out) {
    V v = eval(l, e);
    if (v->kind == VAL_DIM) {
        *out = v->d.dim;
        return true;
    }
    if (v->kind != VAL_POISON && !setting_is_no_dim(l, v, e->at)) {
        Diag *d =
            report(l, DIAG_TYPE, e->at, "an extent is needed here, this is %.*s", FSTR(value_describe(l, v)));
        if (v->kind == VAL_UNIFORM) {
            diag_help(d, "extents shape the program: they are made of `dim` settings, constants and dims, "
                         "and `/` must divide");
        }
    }
    return false;
}

bool const_expr_value(Lower *l, const Expr *e, const char *what, int64_t lo, int64_t *out) {
    V v = eval(l, e);
    if (v->kind == VAL_POISON) {
        return false;
    }
    double x = 0;
    bool known = value_const_int(v, out) ||
                 (v->kind == VAL_UNIFORM && uniforms_constant(l->m->uniforms, v->uniform.inst, &x) &&
                  x == floor(x) && fabs(x) < 9e15 && (*out = (int64_t)x, true));
    if (!known && setting_is_no_dim(l, v, e->at)) {
        return false;
    }
    if (!known) {
        Diag *d = report(l, DIAG_TYPE, e->at, "%s is a whole number known before the run, this is %.*s", what,
                         FSTR(value_describe(l, v)));
        if (v->kind == VAL_UNIFORM) {
            diag_help(d, "a setting of type `dim` is known; `int` and `real` are numbers of the same program");
        }
        return false;
    }
    if (*out < lo) {
        report(l, DIAG_TYPE, e->at, "%s must be at least %lld, this is %lld", what, (long long)lo,
               (long long)*out);
        return false;
    }
    return true;
}

bool number_expr_value(Lower *l, const Expr *e, const char *what, uint32_t *inst) {
    V v = uniform_expr(l, e);
    if (v->kind == VAL_DIM || v->kind == VAL_UNIFORM) {
        *inst = value_inst(l, v);
        return true;
    }
    if (v->kind != VAL_POISON) {
        Diag *d = report(l, DIAG_TYPE, e->at, "%s is a number of settings and counters, this is %.*s", what,
                         FSTR(value_describe(l, v)));
        if (v->kind == VAL_ARRAY) {
            diag_help(d, "what depends on data belongs into the term itself");
        }
    }
    return false;
}
