/* Expressions: one switch over their kinds; the work is in the files of the concepts. */
#include "data.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

static V number(Lower *l, const Expr *e) {
    char text[64];
    if (e->number.text.n >= sizeof text) {
        report(l, DIAG_TYPE, e->at, "a number of %u digits", e->number.text.n);
        return value_poison(l);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->number.text.n; i++) {
        if (e->number.text.s[i] != '_') {
            text[n++] = e->number.text.s[i];
        }
    }
    text[n] = '\0';
    errno = 0;
    if (e->number.is_int) {
        long long x = strtoll(text, NULL, 10);
        if (errno == 0) {
            return value_int(l, e->at, x);
        }
    }
    double x = strtod(text, NULL);
    if (isinf(x)) {
        Diag *d = report(l, DIAG_TYPE, e->at, "%s is larger than any number", text);
        diag_help(d, "`inf` is what has no bound");
        return value_poison(l);
    }
    return value_number(l, e->at, x);
}

static V list(Lower *l, const Expr *e, ValueKind k) {
    Value *v = PUSH(l->a, Value, 1);
    *v = (Value){.kind = k, .at = e->at};
    v->list.n = e->list.items.n;
    v->list.at = PUSH(l->a, V, v->list.n + 1);
    for (uint32_t i = 0; i < v->list.n; i++) {
        v->list.at[i] = eval(l, e->list.items.at[i]);
        if (v->list.at[i]->kind == VAL_POISON) {
            return v->list.at[i];
        }
    }
    return v;
}

static void field_help(Lower *l, Diag *d, V v, const Expr *base, Str name) {
    Nearest near = nearest_to(name);
    Buf all = buf_make(l->a);
    for (uint32_t i = 0; v->kind == VAL_TUPLE && v->list.names && i < v->list.n; i++) {
        nearest_consider(&near, v->list.names[i]);
        buf_printf(&all, "%s`%.*s`", i ? ", " : "", FSTR(v->list.names[i]));
    }
    report_near(d, &near);
    if (all.n) {
        diag_help(d, "the results are %s", all.s);
    } else {
        foreign_field(l, d, base, name);
    }
}

/* `b.word.length` in an objective, `word.length` in a formula: how long each row of a ragged column is; NULL: of
 * none. */
static V row_lengths(Lower *l, const Expr *column) {
    if (l->data && column->kind == EX_NAME) {
        Binding *b = scope_find(l->frame, str_format(l->a, "%.*s.length", FSTR(column->name.text)));
        return b ? b->value : NULL;
    }
    bool of_name = column->kind == EX_FIELD && column->field.base->kind == EX_NAME;
    V batch = of_name ? scope_try(l, column->field.base->name) : NULL;
    if (batch == NULL || batch->kind != VAL_BATCH) {
        return NULL;
    }
    Str name = str_format(l->m->arena, "%.*s.length", FSTR(column->field.name.text));
    return batch_has(l, batch->batch, name) ? batch_column(l, batch->batch, (Name){name, column->at}) : NULL;
}

const Decl *data_named(Lower *l, const Expr *e) {
    const Scope *module = e->kind == EX_FIELD ? module_named(l, e->field.base) : NULL;
    const Decl *d = NULL;
    if (module) {
        d = scope_decl(l->p, module, e->field.name.text);
        d = d && scope_of(l->p, d->at) == module ? d : NULL;
    } else if (e->kind == EX_NAME && scope_find(l->frame, e->name.text) == NULL) {
        d = scope_decl(l->p, l->frame->scope, e->name.text);
    }
    return d && d->kind == DECL_DATA ? d : NULL;
}

static V statistic(Lower *l, const Expr *e, const Decl *data) {
    uint32_t id = data_of(l->p, data);
    if (l->data) {
        Diag *d = report(l, DIAG_DATA_DECL, e->at, "a formula knows the statistics of its own data set only");
        diag_help(d, "an objective knows those of any: `(b.x - %.*s)`", FSTR(sources_text(l->p->sources, e->at)));
        return value_poison(l);
    }
    if (id == 0) {                                      /* data.c looks into functions */
        Diag *d = report(l, DIAG_DATA_DECL, e->at, "nothing reads the data of this statistic");
        diag_help(d, "name it in a function, a model or an objective");
        return value_poison(l);
    }
    return statistic_field(l, id - 1, e->field.name);
}

static V field(Lower *l, const Expr *e) {
    const Expr *base = e->field.base;
    const Scope *module = module_named(l, base);
    const Decl *data = data_named(l, base);
    if (module) {
        return module_value(l, module, e);
    }
    if (data) {
        return statistic(l, e, data);
    }
    if (base->kind == EX_NAME && scope_find(l->frame, base->name.text) == NULL) {
        const Decl *d = scope_decl(l->p, l->frame->scope, base->name.text);
        if (d && d->kind == DECL_USE && module_of_use(l->p, d) == NULL) {
            return value_poison(l); /* said where it is used */
        }
        if (l->uniform_only && d == NULL) {
            return series_value(l, e);
        }
    }
    if (base->kind == EX_FIELD && l->uniform_only) {
        return series_value(l, e);
    }
    V lengths = str_is(e->field.name.text, "length") ? row_lengths(l, base) : NULL;
    if (lengths) {
        return lengths;
    }
    V v = eval(l, base);
    if (v->kind == VAL_BATCH) {
        return batch_column(l, v->batch, e->field.name);
    }
    if (v->kind == VAL_TUPLE) {
        for (uint32_t i = 0; v->list.names && i < v->list.n; i++) {
            if (str_eq(v->list.names[i], e->field.name.text)) {
                return v->list.at[i];
            }
        }
    }
    if (v->kind != VAL_POISON) {
        Diag *d = report(l, DIAG_NAME, e->field.name.at, "%.*s has no `%.*s`", FSTR(value_describe(l, v)),
                         FSTR(e->field.name.text));
        report_label(l, d, base->at, "%.*s", FSTR(value_describe(l, v)));
        field_help(l, d, v, base, e->field.name.text);
    }
    return value_poison(l);
}

static V unary(Lower *l, const Expr *e) {
    V x = eval(l, e->unary.x);
    if (x->kind == VAL_POISON) {
        return x;
    }
    Elem t;
    switch (e->unary.op) {
    case UN_NEG:
        if (x->kind == VAL_DIM) {
            Value *v = PUSH(l->a, Value, 1);
            *v = *x;
            v->at = e->at;
            v->d.dim = dim_sub(l->a, dim_const(l->a, 0), x->d.dim);
            return v;
        }
        return whole_unary_op(l, e->at, OP_neg, x);
    case UN_NOT:
        if (!value_elem(x, &t) || t != ELEM_BOOL) {
            report(l, DIAG_TYPE, e->at, "`not` of %.*s", FSTR(value_describe(l, x)));
            return value_poison(l);
        }
        if (x->kind == VAL_BOOL) {
            return value_bool(l, e->at, !x->boolean);
        }
        if (x->kind == VAL_UNIFORM) {
            return uniform_apply(l, e->at, U_NOT, x, NULL, NULL);
        }
        Array a = array_here(l, x->array);
        return value_array(l, e->at,
                           array_make(l, build_1(&l->b, OP_not, a.val), a.n_lead, a.lead, a.rank, a.dim));
    case UN_TRANSPOSE: return view_transpose(l, e, x);
    }
    GR_BUG("a unary operator without kind");
}

static V binary(Lower *l, const Expr *e) {
    V x = eval(l, e->binary.l), y = eval(l, e->binary.r);
    BinaryOp op = e->binary.op;
    if (x->kind == VAL_POISON || y->kind == VAL_POISON) {
        return value_poison(l);
    }
    if (op == BIN_MATMUL) {
        return contract_matmul(l, e, x, y);
    }
    if (value_scalar(x) && value_scalar(y)) {
        return uniform_binary(l, e, op, x, y);
    }
    if (op == BIN_DIV && x->kind == VAL_TEXT && y->kind == VAL_TEXT) {
        bool slash = x->text.n > 0 && x->text.s[x->text.n - 1] != '/';
        return value_text(l, e->at, VAL_TEXT,
                          str_format(l->a, "%.*s%s%.*s", FSTR(x->text), slash ? "/" : "", FSTR(y->text)));
    }
    bool words =
        (x->kind == VAL_CHOICE || x->kind == VAL_TEXT) && (y->kind == VAL_CHOICE || y->kind == VAL_TEXT);
    if (words && (op == BIN_EQ || op == BIN_NE)) {
        return value_bool(l, e->at, str_eq(x->text, y->text) == (op == BIN_EQ));
    }
    return whole_binary(l, e, op, x, y);
}

/* ---- compile-time choices ---- */

bool eval_condition(Lower *l, const Expr *e, bool *out) {
    V v = eval(l, e);
    if (v->kind == VAL_BOOL) {
        *out = v->boolean;
        return true;
    }
    if (v->kind == VAL_POISON) {
        return false;
    }
    double x;
    if (v->kind == VAL_UNIFORM && uniforms_constant(l->m->uniforms, v->uniform.inst, &x)) {
        *out = x != 0;                            /* made of literals */
        return true;
    }
    Diag *d = report(l, DIAG_TYPE, e->at, "a condition here is decided before the run; this is %.*s",
                     FSTR(value_describe(l, v)));
    if (v->kind == VAL_UNIFORM) {
        for (uint32_t i = 0; i < l->p->settings.n; i++) {
            const Setting *s = &l->p->settings.at[i];
            if (s->value->kind == VAL_UNIFORM && walk_mentions(e, s->name.text)) {
                report_label(l, d, s->name.at, "`%.*s` is a number of the same program", FSTR(s->name.text));
            }
        }
        diag_help(d, "choose while running with `where(c, a, b)`; a weight of 0 removes a loss; a setting of type "
                     "`bool`, `dim` or `one of` decides before the run");
    } else if (v->kind == VAL_ARRAY) {
        diag_help(d, "on data, choose with `where(c, a, b)`");
    }
    return false;
}

/* Does the subject equal a match pattern? */
static bool matches(Lower *l, V subject, const Expr *p, bool *known) {
    int64_t x;
    *known = true;
    if (p == NULL) {
        return true;
    }
    if (subject->kind == VAL_CHOICE && p->kind == EX_NAME) {
        return str_eq(subject->text, p->name.text);
    }
    if (subject->kind == VAL_TEXT && p->kind == EX_STRING) {
        return str_eq(subject->text, p->string);
    }
    if (subject->kind == VAL_BOOL && p->kind == EX_BOOL) {
        return subject->boolean == p->boolean;
    }
    if (value_const_int(subject, &x)) {
        V v = eval(l, p);
        int64_t y;
        if (value_const_int(v, &y)) {
            return x == y;
        }
    }
    *known = false;
    return false;
}

/* The type whose choices the subject has: of a setting, or of an argument. */
static const TypeSyntax *choices_of(Lower *l, const Expr *subject) {
    if (subject->kind != EX_NAME) {
        return NULL;
    }
    const Decl *d = l->frame->decl;
    if (d && (d->kind == DECL_DEF || d->kind == DECL_MODEL)) {
        for (uint32_t i = 0; i < d->function.sig.args.n; i++) {
            if (str_eq(d->function.sig.args.at[i].name.text, subject->name.text)) {
                return d->function.sig.args.at[i].type;
            }
        }
    }
    return settings_type(l, subject->name.text);
}

/* An arm for a word that is no choice is never taken: a slip. */
static bool arms_are_choices(Lower *l, const Expr *subject, uint32_t n, const Expr *const *patterns) {
    const TypeSyntax *t = choices_of(l, subject);
    for (uint32_t i = 0; t && t->kind == TYPE_ONE_OF && i < n; i++) {
        const Expr *p = patterns[i];
        if (p && p->kind == EX_NAME && !choice_listed(t, p->name.text)) {
            Diag *d = report(l, DIAG_SETTING, p->at, "`%.*s` is none of the choices of `%.*s`",
                             FSTR(p->name.text), FSTR(subject->name.text));
            choice_help(l, d, t, p->name.text);
            return false;
        }
    }
    return true;
}

int eval_match(Lower *l, V subject, const Expr *of, uint32_t n, const Expr *const *patterns) {
    Span at = of->at;
    if (!arms_are_choices(l, of, n, patterns)) {
        return -1;
    }
    for (uint32_t i = 0; i < n; i++) {
        bool known;
        if (matches(l, subject, patterns[i], &known)) {
            return (int)i;
        }
        if (!known) {
            report(l, DIAG_TYPE, patterns[i]->at, "a pattern that %.*s cannot match",
                   FSTR(value_describe(l, subject)));
            return -1;
        }
    }
    Diag *d =
        report(l, DIAG_TYPE, at, "no arm of this `match` is for %.*s", FSTR(value_describe(l, subject)));
    diag_help(d, "an arm `_ => …` takes what the others leave");
    return -1;
}

static V match(Lower *l, const Expr *e) {
    V subject = eval(l, e->match.subject);
    if (subject->kind == VAL_POISON) {
        return subject;
    }
    const Expr **patterns = PUSH(l->a, const Expr *, e->match.arms.n + 1);
    for (uint32_t i = 0; i < e->match.arms.n; i++) {
        patterns[i] = e->match.arms.at[i].pattern;
    }
    int arm = eval_match(l, subject, e->match.subject, e->match.arms.n, patterns);
    return arm < 0 ? value_poison(l) : eval(l, e->match.arms.at[arm].value);
}

/* ---- the switch ---- */

static V dispatch(Lower *l, const Expr *e) {
    switch (e->kind) {
    case EX_ERROR: return value_poison(l);
    case EX_NUMBER: return number(l, e);
    case EX_STRING: return value_text(l, e->at, VAL_TEXT, e->string);
    case EX_BOOL: return value_bool(l, e->at, e->boolean);
    case EX_INF: return value_number(l, e->at, __builtin_inf());
    case EX_PI: return value_number(l, e->at, 3.14159265358979323846);
    case EX_NAME: return scope_name(l, e->name);
    case EX_FIELD: return field(l, e);
    case EX_UNARY: return unary(l, e);
    case EX_BINARY: return binary(l, e);
    case EX_CALL: return call_eval(l, e, e->call.callee, &e->call.args, NULL);
    case EX_INDEX: return index_access(l, e);
    case EX_REDUCE: return reduce_eval(l, e);
    case EX_PIPE:
        if (e->pipe.f->kind == EX_CALL) {
            return call_eval(l, e, e->pipe.f->call.callee, &e->pipe.f->call.args, e->pipe.x);
        }
        return call_eval(l, e, e->pipe.f, NULL, e->pipe.x);
    case EX_AS: return view_as(l, e);
    case EX_MATCH: return match(l, e);
    case EX_LIST: return list(l, e, VAL_LIST);
    case EX_TUPLE: return list(l, e, VAL_TUPLE);
    case EX_COUNT: break;
    }
    GR_BUG("an expression without kind");
}

V eval(Lower *l, const Expr *e) {
    for (uint32_t i = l->memo.n; i-- > 0;) {
        if (l->memo.at[i].expr == e) {
            return l->memo.at[i].value;
        }
    }
    Span saved = l->b.at;
    l->b.at = e->at;
    V v = dispatch(l, e);
    l->b.at = saved;
    return v;
}

bool eval_array(Lower *l, const Expr *e, Array *out) {
    V v = eval(l, e);
    Elem t;
    if (v->kind == VAL_POISON) {
        return false;
    }
    if (!value_elem(v, &t)) {
        report(l, DIAG_TYPE, e->at, "a tensor or number is needed here, this is %.*s",
               FSTR(value_describe(l, v)));
        return false;
    }
    return array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(t), out);
}
