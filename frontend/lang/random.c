/* Draws (semantics 8).  The stream of a draw is the hash of its path: the calls that lead to it, its own word
 * and its number in text order.  So a comment, a metric or another model changes no draw.  A draw has the
 * shape of `like`, or the declared shape of the variable it begins, or else one element for every index of
 * the statement and of the call around it. */
#include "lower.h"

static uint32_t stream_of(Lower *l, const Expr *e, Str word) {
    uint32_t number = walk_call_number(l->p, l->frame->decl, word, call_name(e).at);
    Str base = l->draw_like ? l->draw_path : l->frame->stream;
    Str path = str_format(l->a, "%.*s%s.%.*s%u%.*s", FSTR(base), l->draw_like ? ".init" : "", FSTR(word),
                          number, FSTR(l->frame->turn));
    return (uint32_t)hash_str(0, path);
}

static Val counter(Lower *l, const char *name) {
    Uniforms *u = l->m->uniforms;
    uint32_t inst = uniforms_input(u, str_of(name), true);
    uint32_t id = uniforms_output(u, str_of(name), DT_I32, inst);
    return build_arg(&l->b, ARG_UNIFORM, id, (Type){DT_I32, {0}});
}

bool random_type(Lower *l, const Expr *e, V like, Array *out) {
    *out = (Array){.graph = l->b.g, .dtype = DT_F32};
    if (like) {
        if (like->kind != VAL_ARRAY) {
            report(l, DIAG_CALL, e->at, "`like` is a tensor, this is %.*s", FSTR(value_describe(l, like)));
            return false;
        }
        Array x = like->array;
        for (uint32_t i = 0; i < x.rank; i++) {
            out->dim[i] = x.dim[i];
        }
        out->rank = x.rank;
        for (uint32_t i = 0; i < x.n_lead; i++) {
            out->lead[i] = x.lead[i];
        }
        out->n_lead = x.n_lead;
        return true;
    }
    if (l->draw_like) {
        *out = *l->draw_like;
        out->dtype = DT_F32;
        return true;
    }
    const Index *lead[2 * MAX_RANK];
    uint32_t n = leads_union(lead, 0, l->frame->ambient, l->frame->n_ambient);
    for (uint32_t i = 0; i < l->frame->indices.n; i++) {
        const Index *k = l->frame->indices.at[i];
        if (k->extent == NULL) {
            Diag *d = report(l, DIAG_INDEX, e->at, "how many draws? nothing says how far `%.*s` runs",
                             FSTR(k->name.text));
            diag_help(d, "`%.*s < K` where the index is bound", FSTR(k->name.text));
            return false;
        }
        n = leads_union(lead, n, &k, 1);
    }
    if (!shape_fits(l, e->at, n, lead, 0, NULL)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        out->lead[i] = lead[i];
    }
    out->n_lead = (uint8_t)n;
    return true;
}

Array random_of_type(Lower *l, const Expr *e, Str word, RandomKind k, const Array *t) {
    bool init = l->draw_like != NULL;
    Val zero = build_const(&l->b, DT_I32, 0);
    Val clock = init ? zero : counter(l, "clock"), phase = init ? zero : counter(l, "phase");
    Val v = build_random(&l->b, k, stream_of(l, e, word), array_shape(t), counter(l, "seed"), clock, phase,
                         init ? zero : scan_iteration(l));
    return array_make(l, v, t->n_lead, t->lead, t->rank, t->dim);
}

static V draw(Lower *l, const Expr *e, Str word, RandomKind k, V like) {
    Array t;
    if (!random_type(l, e, like, &t)) {
        return value_poison(l);
    }
    return value_array(l, e->at, random_of_type(l, e, word, k, &t));
}

/* lo + (hi - lo) * x, without what changes nothing. */
static V scaled(Lower *l, Span at, V x, V add, V factor) {
    double c;
    bool one = factor == NULL || (value_scalar(factor) &&
                                  uniforms_constant(l->m->uniforms, value_inst(l, factor), &c) && c == 1);
    V r = one ? x : whole_arith(l, at, OP_mul, x, factor);
    bool zero = add == NULL ||
                (value_scalar(add) && uniforms_constant(l->m->uniforms, value_inst(l, add), &c) && c == 0);
    return zero || r->kind == VAL_POISON ? r : whole_arith(l, at, OP_add, add, r);
}

/* A whole number in a .. b-1: the product may round up to b, so it is cut. */
static V integer(Lower *l, const Expr *e, V u, V a, V b) {
    V span = whole_arith(l, e->at, OP_sub, b, a);
    V x = whole_unary_op(l, e->at, OP_floor, whole_arith(l, e->at, OP_mul, u, span));
    V last = whole_arith(l, e->at, OP_sub, span, value_int(l, e->at, 1));
    V cut =
        whole_cast(l, e->at, DT_I32, whole_arith(l, e->at, OP_min, x, whole_cast(l, e->at, DT_F32, last)));
    return whole_arith(l, e->at, OP_add, a, cut);
}

/* A number that the text gives: what makes no sense as one is said at once. */
static bool known(Lower *l, V v, double *x) {
    return v && value_scalar(v) && uniforms_constant(l->m->uniforms, value_inst(l, v), x);
}

static bool makes_sense(Lower *l, Str name, V a, V b) {
    double x, y;
    if (str_is(name, "normal") && known(l, b, &x) && !(x >= 0)) {
        report(l, DIAG_TYPE, b->at, "a standard deviation is at least 0, this is %g", x);
    } else if (str_is(name, "bernoulli") && known(l, a, &x) && !(x >= 0 && x <= 1)) {
        report(l, DIAG_TYPE, a->at, "a probability is from 0 to 1, this is %g", x);
    } else if (str_is(name, "integer") && known(l, a, &x) && known(l, b, &y) && !(x < y)) {
        report(l, DIAG_TYPE, b->at, "no whole number is from %g on and below %g", x, y);
    } else {
        return true;
    }
    return false;
}

V random_draw(Lower *l, const Expr *e, Str name, V const *args) {
    V a = args[0], b = args[1], like = args[2];
    if (!makes_sense(l, name, a, b)) {
        return value_poison(l);
    }
    if (str_is(name, "normal")) {
        return scaled(l, e->at, draw(l, e, name, RANDOM_NORMAL, like), a, b);
    }
    V u = draw(l, e, name, RANDOM_UNIFORM, like);
    if (u->kind == VAL_POISON) {
        return u;
    }
    if (str_is(name, "uniform")) {
        if (a && !b) {
            report(l, DIAG_CALL, e->at, "`uniform` takes both bounds, or none");
            return value_poison(l);
        }
        return a ? scaled(l, e->at, u, a, whole_arith(l, e->at, OP_sub, b, a)) : u;
    }
    if (str_is(name, "integer")) {
        return integer(l, e, u, a, b);
    }
    Array p[2];
    const Span at[2] = {e->at, e->at};
    Elem t;
    if (!value_elem(a, &t) || t == ELEM_BOOL || !array_from(l, u, DT_F32, &p[0]) ||
        !array_from(l, a, DT_F32, &p[1]) || !whole_align(l, e->at, 2, p, at)) {
        return value_poison(l);
    }
    Val less = build_2(&l->b, OP_lt, p[0].val, p[1].val);
    return value_array(l, e->at, array_make(l, less, p[0].n_lead, p[0].lead, p[0].rank, p[0].dim));
}
