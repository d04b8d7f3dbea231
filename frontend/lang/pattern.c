/* Patterns of weights, as in `updates D`, `freeze see, foresee` and `optimizer .. for decoder.*`: each is held
 * against the paths of variables.  What a phase freezes is also lowered in evaluation mode, so a call asks too. */
#include "lower.h"

bool pattern_names(const NameVec *patterns, Str path) {
    for (uint32_t i = 0; i < patterns->n; i++) {
        if (recipe_pattern_names(patterns->at[i].text, path)) {
            return true;
        }
    }
    return false;
}

bool pattern_freezes(const Lower *l, Str path) {
    for (uint32_t i = 0; l->train && i < l->train->train.clauses.n; i++) {
        const TrainClause *c = &l->train->train.clauses.at[i];
        if (c->kind == TC_FREEZE && pattern_names(&c->freeze, path)) {
            return true;
        }
    }
    return false;
}

/* ---- patterns that name nothing ---- */

static bool names_something(const Program *p, Str pattern) {
    for (uint32_t i = 0; i < p->module->vars.n; i++) {
        if (recipe_pattern_names(pattern, p->module->vars.at[i].path)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < p->scopes.n; i++) {
        const Scope *s = p->scopes.at[i];
        for (uint32_t k = 0; k < s->decls.n; k++) {
            const Decl *d = s->decls.at[k];
            if (d->kind == DECL_MODEL &&
                recipe_pattern_names(pattern, str_format(p->arena, "%.*s%.*s", FSTR(s->prefix), FSTR(d->name.text)))) {
                return true;
            }
        }
    }
    return false;
}

static void check(Lower *l, const NameVec *patterns) {
    for (uint32_t i = 0; i < patterns->n; i++) {
        Name name = patterns->at[i];
        if (name.text.n == 0 || names_something(l->p, name.text)) {
            continue;
        }
        Diag *d = report(l, DIAG_NAME, name.at, "no model or weight is called `%.*s`", FSTR(name.text));
        Nearest near = nearest_to(name.text);
        for (uint32_t k = 0; k < l->p->main->decls.n; k++) {
            const Decl *m = l->p->main->decls.at[k];
            if (m->kind == DECL_MODEL) {
                nearest_consider(&near, m->name.text);
            }
        }
        if (near.best.n) {
            diag_help(d, "did you mean `%.*s`?", FSTR(near.best));
        } else {
            diag_help(d, "`graphc summary` lists the paths of all weights");
        }
    }
}

void pattern_check(Lower *l, const Decl *train) {
    for (uint32_t i = 0; i < train->train.clauses.n; i++) {
        const TrainClause *c = &train->train.clauses.at[i];
        if (c->kind == TC_OBJECTIVE) {
            check(l, &c->objective.updates);
        } else if (c->kind == TC_FREEZE) {
            check(l, &c->freeze);
        } else if (c->kind == TC_LOAD) {
            check(l, &c->load.patterns);
        } else if (c->kind == TC_OPTIMIZER) {
            check(l, &c->optimizer.patterns);
        }
    }
}
