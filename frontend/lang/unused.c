/* Models that no objective calls: what is wrong in their text is said all the same, and that nothing trains them. */
#include "lower.h"

/* Of a model that is called, those of the module; of another, what `check` has counted. */
static uint64_t parameters_of(const Program *p, const Decl *model) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->module->vars.n; i++) {
        const Var *v = &p->module->vars.at[i];
        bool own = v->kind == VAR_PARAM && v->model && str_eq(intern_str(p->module->names, v->model), model->name.text);
        n += own ? (uint64_t)shape_count(v->shape) : 0;
    }
    for (uint32_t i = 0; i < p->unused.n; i++) {
        n += p->unused.at[i].model == model ? p->unused.at[i].parameters : 0;
    }
    return n;
}

static bool was_lowered(const Program *p, const Decl *model) {
    for (uint32_t i = 0; i < p->reached.n; i++) {
        if (p->reached.at[i] == model) {
            return true;
        }
    }
    return false;
}

/* A value for an argument of a model that no call has reached: its type says enough, or there is none. */
static V stand_in(Lower *l, const Param *a) {
    DType t;
    Dim dim[MAX_RANK];
    if (a->preset || a->type == NULL || !type_element(a->type, &t) || !a->type->has_dims ||
        a->type->dims.n > MAX_RANK) {
        return NULL;
    }
    for (uint32_t i = 0; i < a->type->dims.n; i++) {
        const DimSyntax *d = &a->type->dims.at[i];
        if (d->kind != DIM_EXPR) {
            return NULL;
        }
        if (d->expr->kind == EX_NAME && scope_try(l, d->expr->name) == NULL) {
            if (i > 0) {
                return NULL;
            }
            Extent *e = PUSH(l->a, Extent, 1);
            *e = (Extent){++l->next_extent, d->expr->name.text, d->at, 4, NULL};
            scope_bind(l, d->expr->name, value_dim(l, d->at, dim_of_extent(l->a, e)));
        }
        if (!dim_expr_value(l, d->expr, &dim[i])) {
            return NULL;
        }
    }
    if (!shape_fits(l, a->type->at, 0, NULL, a->type->dims.n, dim)) {
        return NULL;
    }
    return value_array(l, a->name.at, column_array(l, a->name.text, t, NULL, a->type->dims.n, dim));
}

/* Mistakes in a model that no call has reached are mistakes too.  It is lowered aside, so that its variables are
 * not kept. */
static void check(Program *p, const Decl *d) {
    Module *module = p->module;
    Graph *init = p->init;
    StrMap var_places = p->var_places;
    p->var_places = (StrMap){0};
    p->module = module_create(p->arena, p->sources, p->math);
    p->module->uniforms = module->uniforms;
    p->init = graph_create(p->module, STR("init"));
    Lower *l = lower_begin(p, LOWER_EXPORT, d->name.text, 0, p->ds);
    Frame *f = frame_push(l, FRAME_MODEL, d, d->name.at);
    f->path = f->stream = f->model = d->name.text;
    bool known = true;
    for (uint32_t i = 0; i < d->function.sig.args.n && known; i++) {
        const Param *a = &d->function.sig.args.at[i];
        V v = a->preset ? eval(l, a->preset) : stand_in(l, a);
        known = v != NULL;
        if (known) {
            scope_bind(l, a->name, v);
        }
    }
    V out;
    if (known) {
        l->b.at = d->at;
        call_body(l, d, &out);
    }
    vec_push(p->arena, &p->unused, ((UnusedModel){d, parameters_of(p, d)}));
    p->module = module;
    p->init = init;
    p->var_places = var_places;
}

void unused_check(Program *p) {
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        if (p->main->decls.at[i]->kind == DECL_MODEL && !was_lowered(p, p->main->decls.at[i])) {
            check(p, p->main->decls.at[i]);
        }
    }
}

/* A model whose parameters no objective reaches is only worth a warning: an export may still show it. */
void unused_warn(Lower *l) {
    for (uint32_t i = 0; i < l->p->main->decls.n; i++) {
        const Decl *d = l->p->main->decls.at[i];
        bool trained = false, phases = l->p->recipe->phases.n > 0;
        for (uint32_t k = 0; k < l->p->copies.n; k++) {
            trained = trained || l->p->copies.at[k].follows == d;
        }
        if (d->kind == DECL_FOLLOWS && !trained) {
            report(l, DIAG_DEAD, d->name.at, "nothing calls `%.*s`", FSTR(d->name.text));
        }
        for (uint32_t k = 0; k < l->p->trained.n; k++) {
            trained = trained || l->p->trained.at[k] == d;
        }
        if (d->kind == DECL_MODEL && !trained && phases) {
            report(l, DIAG_DEAD, d->name.at, "`%.*s` (%llu parameters) is used by no objective; nothing trains it",
                   FSTR(d->name.text), (unsigned long long)parameters_of(l->p, d));
        }
    }
}
