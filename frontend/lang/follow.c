/* `model t follows m rate e`: a copy of m and of all models it calls.  Lowering a call of t lowers the text of m in
 * frames that say so; there the variable P is the state `t.P` beside it, which begins as P does, takes no gradient and
 * is not written by `<-`.  After an update of m, at the end of the step,
 *
 *   t.P = e * t.P + (1 - e) * P   of a parameter           t.P = P   of a state */
#include "lower.h"

static const Decl *source_of(const Program *p, const Decl *follows) {
    return scope_decl(p, scope_of(p, follows->at), follows->follows.source.text);
}

V follow_value(Lower *l, Name name, const Decl *d) {
    const Decl *source = source_of(l->p, d);
    if (source == NULL || source->kind != DECL_MODEL) {
        return value_poison(l); /* reported by follow_declare */
    }
    return function_value(l, name.at,
                          (Function){.decl = source, .name = name.text, .at = name.at, .follows = d});
}

Str follow_prefix(Lower *l, const Decl *d) {
    return str_format(l->a, "%.*s%.*s.", FSTR(scope_of(l->p, d->at)->prefix), FSTR(d->name.text));
}

static V rate_of(Lower *l, const Decl *d) {
    Frame *saved = l->frame;
    Frame file = {.kind = FRAME_FILE, .scope = scope_of(l->p, d->at), .decl = d, .path = d->name.text};
    l->frame = &file;
    V e = uniform_expr(l, d->follows.rate);
    l->frame = saved;
    return e;
}

static void declare(Lower *l, const Decl *d) {
    const Decl *source = source_of(l->p, d);
    Name name = d->follows.source;
    if (source == NULL) {
        Diag *diag = report(l, DIAG_NAME, name.at, "there is no model `%.*s`", FSTR(name.text));
        scope_suggest(l, diag, name.text);
    } else if (source->kind != DECL_MODEL) {
        Diag *diag = report(l, DIAG_TYPE, name.at, "`%.*s` is no model with weights of its own", FSTR(name.text));
        report_label(l, diag, source->name.at, "declared here");
    }
    V e = rate_of(l, d);
    double x;
    if (e->kind == VAL_POISON) {
        return;
    }
    if (e->kind != VAL_DIM && e->kind != VAL_UNIFORM) {
        report(l, DIAG_TYPE, d->follows.rate->at, "a rate is a number of settings and counters, this is %.*s",
               FSTR(value_describe(l, e)));
    } else if (uniforms_constant(l->m->uniforms, value_inst(l, e), &x) && !(x >= 0 && x <= 1)) {
        Diag *diag = report(l, DIAG_TYPE, d->follows.rate->at, "a rate lies between 0 and 1, this is %g", x);
        diag_help(diag, "it is the share of the copy that stays: 0.99 follows slowly, 0 is the model itself");
    }
}

void follow_declare(Lower *l) {
    for (uint32_t i = 0; i < l->p->scopes.n; i++) {
        for (uint32_t k = 0; k < l->p->scopes.at[i]->decls.n; k++) {
            const Decl *d = l->p->scopes.at[i]->decls.at[k];
            if (d->kind == DECL_FOLLOWS) {
                declare(l, d);
            }
        }
    }
}

Str follow_original(const Lower *l, Str path) {
    const Decl *d = l->frame ? l->frame->follows : NULL;
    if (d == NULL) {
        return path;
    }
    Str own = scope_of(l->p, d->at)->prefix;
    uint32_t n = own.n + d->name.text.n + 1;
    return str_format(l->m->arena, "%.*s%.*s", FSTR(own), FSTR(((Str){path.s + n, path.n - n})));
}

static bool in_run(const Program *p, const Decl *d) {
    for (const Scope *s = scope_of(p, d->at); s; s = s->parent) {
        if (s->run.n) {
            return true;
        }
    }
    return false;
}

void follow_note(Lower *l, uint32_t var, uint32_t of) {
    const Decl *d = l->frame->follows;
    vec_push(l->p->arena, &l->p->copies, (CopyVar){d, var, of});
    if (!in_run(l->p, d)) {
        vec_push(l->p->arena, &l->p->recipe->copies,
                 (RecipeCopy){l->m->vars.at[var].path, l->m->vars.at[of].path});
    }
}

/* Has this step written anything of the model that d follows? */
static bool source_moves(const Lower *l, const Decl *d) {
    for (uint32_t i = 0; i < l->p->copies.n; i++) {
        const CopyVar *c = &l->p->copies.at[i];
        if (c->follows == d && c->of < l->now.n && l->now.at[c->of].dirty && l->m->vars.at[c->of].kind == VAR_PARAM) {
            return true;
        }
    }
    return false;
}

void follow_step(Lower *l) {
    Span saved = l->b.at;
    for (uint32_t i = 0; i < l->p->copies.n; i++) {
        const CopyVar *c = &l->p->copies.at[i];
        if (!source_moves(l, c->follows)) {
            continue;
        }
        l->b.at = c->follows->at;
        Val source = cell_now(l, c->of);
        V e = rate_of(l, c->follows);
        if (l->m->vars.at[c->of].kind == VAR_PARAM && e->kind != VAL_POISON) {
            V rest = uniform_apply(l, e->at, U_SUB, value_number(l, e->at, 1), e, NULL);
            Val stays = build_2(&l->b, OP_mul, uniform_val(l, e, DT_F32), cell_now(l, c->var));
            source = build_2(&l->b, OP_add, stays, build_2(&l->b, OP_mul, uniform_val(l, rest, DT_F32), source));
        }
        cell_set(l, c->var, source);
    }
    l->b.at = saved;
}
