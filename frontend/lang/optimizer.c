/* The update of a training step: the gradients of the total, and for each parameter the body of the optimizer
 * whose clause names it last, written out with p, g and k in scope.  A `state` in that body becomes a
 * variable beside the parameter. */
#include "lower.h"

static bool clause_names(Lower *l, const TrainClause *c, const Var *v) {
    if (c->optimizer.rank_below) {
        int64_t rank;
        return const_expr_value(l, c->optimizer.rank_below, "a rank", 0, &rank) && v->shape.rank < rank;
    }
    return c->optimizer.patterns.n == 0 || pattern_names(&c->optimizer.patterns, v->path);
}

/* The last clause that names the parameter, or NULL. */
static const TrainClause *clause_for(Lower *l, const Var *v) {
    const Decl *train = l->train;
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
    for (uint32_t i = 0; args && i < args->n; i++) {
        V v = uniform_expr(l, args->at[i].value);
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
        facts_argument(l, call, &out->at[out->n - 1]);
    }
    return fine;
}

static void bind_array(Lower *l, Name name, uint32_t var, Array x) {
    scope_bind(l, name, value_array(l, name.at, x));
    Binding *b = scope_find(l->frame, name.text);
    if (b) { /* `_` drops it */
        b->var = var;
    }
}

/* The number of this update of the parameter, from 1.  Where not every run of the phase updates it, the trainer
 * counts those that do: bit i of the input's name is run i. */
static uint32_t update_number(Lower *l, uint32_t var) {
    const RecipePhase *p = &l->p->recipe->phases.at[l->phase];
    uint64_t mask = 0;
    for (uint32_t i = 0; i < p->runs.n && p->runs.n > 1; i++) {
        const Targets *t = program_targets(l->p, l->phase, i);
        for (uint32_t k = 0; t && k < t->vars.n; k++) {
            mask |= t->vars.at[k] == var ? UINT64_C(1) << i : 0;
        }
    }
    bool all = mask == 0 || mask == UINT64_MAX >> (64 - p->runs.n);
    Str name = all ? STR("update") : str_format(l->m->arena, "update.%llu", (unsigned long long)mask);
    return uniforms_input(l->m->uniforms, name, true);
}

/* Optimisers of different phases keep states of their own. */
static Str state_path(Lower *l, Str var, Str optimizer) {
    bool one = l->p->recipe->phases.n < 2;
    Str phase = l->p->recipe->phases.at[l->phase].name;
    return str_format(l->a, "%.*s%s%.*s.%.*s", FSTR(var), one ? "" : ".", FSTR(one ? (Str){0} : phase),
                      FSTR(optimizer));
}

/* Updates are finite when gradients and arguments are, or should be; a schedule may divide by `epoch` when that
 * is 0. */
static void check_arguments(Lower *l, const Decl *d, const GivenVec *given) {
    for (uint32_t i = 0; i < given->n; i++) {
        V v = given->at[i].value;
        if (v->kind == VAL_UNIFORM && !uniforms_reads_only(l->a, l->m->uniforms, v->uniform.inst, "setting.")) {
            l->b.at = v->at;
            build_check(&l->b, uniform_val(l, v, DT_F32),
                        name_id(l, str_format(l->a, "argument of %.*s", FSTR(d->name.text))));
        }
    }
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
    f->path = f->stream = state_path(l, v->path, name.text);
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
        uint32_t k = update_number(l, var);
        scope_bind(l, d->optimizer.k, value_uniform(l, d->optimizer.k.at, k, ELEM_INT));
        stmt_block(l, &d->optimizer.body);
        check_arguments(l, d, &given);
    }
    l->optim_of = 0;
    frame_pop(l);
}

/* The clause of the run being lowered; NULL when the phase need not say what it trains. */
static const TrainClause *run_clause(const Lower *l) {
    uint32_t run = l->run;
    for (uint32_t i = 0; i < l->train->train.clauses.n; i++) {
        const TrainClause *c = &l->train->train.clauses.at[i];
        if (c->kind == TC_OBJECTIVE && run-- == 0) {
            return c;
        }
    }
    return NULL;
}

uint32_t optimizer_targets(Lower *l, Val total, uint32_t *out) {
    uint32_t n_vars = l->m->vars.n, n = 0;
    bool *reached = PUSH(l->a, bool, n_vars + 1);
    const TrainClause *c = run_clause(l);
    reach_vars(l, total, reached);
    for (uint32_t i = 0; i < n_vars; i++) {
        const Var *v = &l->m->vars.at[i];
        bool named = c == NULL || c->objective.updates.n == 0 || pattern_names(&c->objective.updates, v->path);
        if (reached[i] && v->kind == VAR_PARAM && !v->frozen && named && !pattern_freezes(l, v->path) &&
            clause_for(l, v)) {
            out[n++] = i;
        }
    }
    return n;
}

void optimizer_gradients(Lower *l, uint32_t n, const uint32_t *vars, Val total, Val *out) {
    for (uint32_t i = 0; i < n; i++) {
        out[i] = cell_now(l, vars[i]);
    }
    l->b.at = l->train->at;
    Val tuple = build_grad(&l->b, scaling_total(l, total), n, out);
    for (uint32_t i = 0; i < n; i++) {
        const Var *v = &l->m->vars.at[vars[i]];
        out[i] = build_result(&l->b, tuple, i);
        if (!scaling_undo(l, &out[i])) {
            build_check(&l->b, out[i], name_id(l, str_format(l->a, "gradient of %.*s", FSTR(v->path))));
        }
    }
}

void optimizer_step(Lower *l, uint32_t n, const uint32_t *vars, Val *gradients) {
    uint32_t errors = diags_errors(l->ds);
    phase_frame(l, l->train);
    Scaling s = scaling_begin(l, n, gradients);
    clip_gradients(l, l->train, n, gradients);
    for (uint32_t i = 0; i < n && diags_errors(l->ds) == errors; i++) {
        update(l, clause_for(l, &l->m->vars.at[vars[i]]), vars[i], gradients[i]);
    }
    scaling_end(l, &s);
    frame_pop(l);
}
