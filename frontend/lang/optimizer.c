/* The update of a training step: the gradients of the total, and for each parameter the body of the optimizer
 * whose clause names it last, written out with p, g and k in scope.  A `state` in that body becomes a
 * variable beside the parameter. */
#include "lower.h"

/* `decoder.residual1[3].*` against a path: `*` is any text; a pattern also names all that lies below it. */
static bool pattern_matches(Str pattern, Str path) {
    if (pattern.n == 0) {
        return path.n == 0 || path.s[0] == '.' || path.s[0] == '[';
    }
    if (pattern.s[0] == '*') {
        Str rest = {pattern.s + 1, pattern.n - 1};
        for (uint32_t i = 0; i <= path.n; i++) {
            if (pattern_matches(rest, (Str){path.s + i, path.n - i})) {
                return true;
            }
        }
        return false;
    }
    return path.n > 0 && path.s[0] == pattern.s[0] &&
           pattern_matches((Str){pattern.s + 1, pattern.n - 1}, (Str){path.s + 1, path.n - 1});
}

static bool clause_names(Lower *l, const TrainClause *c, const Var *v) {
    if (c->optimizer.rank_below) {
        int64_t rank;
        return const_expr_value(l, c->optimizer.rank_below, "a rank", 0, &rank) && v->shape.rank < rank;
    }
    bool any = c->optimizer.patterns.n == 0;
    for (uint32_t i = 0; i < c->optimizer.patterns.n; i++) {
        any = any || pattern_matches(c->optimizer.patterns.at[i].text, v->path);
    }
    return any;
}

static const TrainClause *clause_for(Lower *l, const Decl *train, const Var *v) {
    const TrainClause *found = NULL;
    for (uint32_t i = 0; i < train->train.clauses.n; i++) {
        const TrainClause *c = &train->train.clauses.at[i];
        if (c->kind == TC_OPTIMIZER && clause_names(l, c, v)) {
            found = c;
        }
    }
    return found;
}

static bool given_args(Lower *l, const Expr *call, GivenVec *out) {
    const ArgVec *args = call->kind == EX_CALL ? &call->call.args : NULL;
    bool fine = true;
    l->uniform_only = true;
    for (uint32_t i = 0; args && i < args->n; i++) {
        V v = eval(l, args->at[i].value);
        Value *copy = PUSH(l->a, Value, 1);
        *copy = *v;
        copy->at = args->at[i].value->at;
        if (v->kind == VAL_ARRAY) {
            report(l, DIAG_TYPE, copy->at,
                   "an optimizer's argument is made of settings and counters, this is %.*s",
                   FSTR(value_describe(l, v)));
        }
        fine = fine && v->kind != VAL_POISON && v->kind != VAL_ARRAY;
        vec_push(l->a, out, (Given){args->at[i].name.text, copy,
                                 args->at[i].name.text.n ? args->at[i].name.at : copy->at});
    }
    l->uniform_only = false;
    return fine;
}

static void bind_array(Lower *l, Name name, uint32_t var, Array x) {
    scope_bind(l, name, value_array(l, name.at, x));
    scope_find(l->frame, name.text)->var = var;
}

/* Lowers one optimizer's body for one parameter. */
static void update(Lower *l, const TrainClause *c, uint32_t var, Val gradient) {
    Name name = call_name(c->optimizer.call);
    const Decl *d = scope_callee(l->p, l->frame->scope, c->optimizer.call);
    if (d == NULL || d->kind != DECL_OPTIMIZER) {
        Diag *diag = report(l, DIAG_NAME, name.at, "there is no optimizer `%.*s`", FSTR(name.text));
        scope_suggest(l, diag, name.text);
        return;
    }
    GivenVec given = {0};
    if (!given_args(l, c->optimizer.call, &given)) {
        return;
    }
    const Var *v = &l->m->vars.at[var];
    Frame *f = frame_push(l, FRAME_OPTIMIZER, d, c->optimizer.call->at);
    f->path = f->stream = str_format(l->a, "%.*s.%.*s", FSTR(v->path), FSTR(name.text));
    f->model = v->model ? intern_str(l->m->names, v->model) : (Str){0};
    l->optim_of = var + 1;
    Dim dim[MAX_RANK];
    for (uint32_t i = 0; i < v->shape.rank; i++) {
        dim[i] = dim_const(l->a, v->shape.dim[i]);
    }
    uint32_t rank = v->shape.rank;
    if (call_bind(l, c->optimizer.call, &d->optimizer.sig.args, &given, f)) {
        bind_array(l, d->optimizer.p, var + 1, cell_array(l, var, rank, dim));
        bind_array(l, d->optimizer.g, 0, array_make(l, gradient, 0, NULL, rank, dim));
        uint32_t k = uniforms_input(l->m->uniforms, STR("update"), true);
        scope_bind(l, d->optimizer.k, value_uniform(l, d->optimizer.k.at, k, ELEM_INT));
        stmt_block(l, &d->optimizer.body);
    }
    l->optim_of = 0;
    frame_pop(l);
}

void optimizer_step(Lower *l, const Decl *train, Val total) {
    uint32_t n_vars = l->m->vars.n, n = 0;
    bool *reached = PUSH(l->a, bool, n_vars + 1);
    uint32_t *vars = PUSH(l->a, uint32_t, n_vars + 1);
    Val *xs = PUSH(l->a, Val, n_vars + 1);
    reach_vars(l, total, reached);
    for (uint32_t i = 0; i < n_vars; i++) {
        if (reached[i] && l->m->vars.at[i].kind == VAR_PARAM && !l->m->vars.at[i].frozen) {
            vars[n] = i;
            xs[n++] = cell_now(l, i);
        }
    }
    if (n == 0) {
        return;
    }
    l->b.at = train->at;
    Val tuple = build_grad(&l->b, total, n, xs);
    uint32_t errors = diags_errors(l->ds);
    for (uint32_t i = 0; i < n; i++) {
        const Var *v = &l->m->vars.at[vars[i]];
        xs[i] = build_result(&l->b, tuple, i);
        build_check(&l->b, xs[i], name_id(l, str_format(l->a, "gradient of %.*s", FSTR(v->path))));
    }
    clip_gradients(l, train, n, xs);
    for (uint32_t i = 0; i < n && diags_errors(l->ds) == errors; i++) {
        const TrainClause *c = clause_for(l, train, &l->m->vars.at[vars[i]]);
        if (c) {
            update(l, c, vars[i], xs[i]);
        }
    }
}
