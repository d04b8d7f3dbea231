/* `train`: its clauses become the phases of the recipe.  Numbers may come from `-s epochs=3` or `-s
 * probe.epochs=3`; clauses that this version cannot run are refused where they stand. */
#include "lower.h"

static const char *const phase_settings[] = {"epochs", "steps", "batch", "seed"};

static bool is_phase_word(Str s) {
    for (uint32_t i = 0; i < sizeof phase_settings / sizeof *phase_settings; i++) {
        if (str_is(s, phase_settings[i])) {
            return true;
        }
    }
    return false;
}

static Str phase_name(const Decl *d) { return d->name.text.n ? d->name.text : STR("train"); }

bool train_is_setting(Program *p, Str name) {
    for (uint32_t i = 0; i < name.n; i++) {
        if (name.s[i] != '.') {
            continue;
        }
        Str phase = {name.s, i}, word = {name.s + i + 1, name.n - i - 1};
        for (uint32_t k = 0; k < p->main->decls.n; k++) {
            const Decl *d = p->main->decls.at[k];
            if (d->kind == DECL_TRAIN && str_eq(phase_name(d), phase) && is_phase_word(word)) {
                return true;
            }
        }
        return false;
    }
    return is_phase_word(name);
}

const Decl *phase_decl(Program *p, uint32_t phase) {
    for (uint32_t i = 0, k = 0; i < p->main->decls.n; i++) {
        if (p->main->decls.at[i]->kind == DECL_TRAIN && k++ == phase) {
            return p->main->decls.at[i];
        }
    }
    GR_BUG("no phase %u", phase);
}

/* ---- clauses ---- */

static int32_t find_objective(const Program *p, Str name) {
    for (uint32_t i = 0; i < p->recipe->objectives.n; i++) {
        if (str_eq(p->recipe->objectives.at[i].name, name)) {
            return (int32_t)i;
        }
    }
    return -1;
}

static void clause_objective(Lower *l, RecipePhase *p, const TrainClause *c, bool *said) {
    if (*said) {
        not_yet(l, c->at, "several objectives in one `train`");
        return;
    }
    if (c->objective.updates.n || c->objective.times) {
        not_yet(l, c->at, c->objective.updates.n ? "`updates`" : "`times`");
    }
    int32_t o = find_objective(l->p, c->objective.name.text);
    if (o < 0) {
        Diag *d = report(l, DIAG_NAME, c->objective.name.at, "there is no objective `%.*s`",
                         FSTR(c->objective.name.text));
        scope_suggest(l, d, c->objective.name.text);
        return;
    }
    p->objective = (uint32_t)o;
    *said = true;
}

static void clause_batch(Lower *l, RecipePhase *p, const TrainClause *c) {
    if (c->batch.parts.n != 1 || c->batch.shards || c->batch.per_shard) {
        not_yet(l, c->at, c->batch.shards ? "`shards`" : "a batch of several data sets");
        return;
    }
    const_expr_value(l, c->batch.parts.at[0].rows, "a batch", 1, &p->batch);
    p->drop_tail = c->batch.drop_tail;
}

static void clause_validate(Lower *l, RecipePhase *p, const TrainClause *c) {
    int64_t n = 0;
    Str own =
        p->objective < l->p->recipe->objectives.n ? l->p->recipe->objectives.at[p->objective].name : (Str){0};
    if (c->validate.objective.text.n && !str_eq(c->validate.objective.text, own)) {
        not_yet(l, c->at, "validating another objective");
        return;
    }
    if (c->validate.every.n &&
        !const_expr_value(l, c->validate.every.n, "a number of epochs or steps", 1, &n)) {
        return;
    }
    if (c->validate.every.unit == UNIT_STEPS) {
        p->validate_steps = n;
    } else {
        p->validate_epochs = n ? n : 1;
    }
}

static void clause_count(Lower *l, const TrainClause *c, const char *what, int64_t *out) {
    *out = 1;
    if (c->every.n) {
        const_expr_value(l, c->every.n, what, 1, out);
    }
}

typedef struct { Lower *l; const RecipeObjective *o; bool fine; } Criterion;

static bool check_series(void *user, const Expr *e) {
    Criterion *c = user;
    if (e->kind == EX_FIELD && c->fine) {
        c->fine = series_check(c->l, c->o, e);
    }
    return c->fine && e->kind != EX_FIELD;
}

static void clause_keep(Lower *l, RecipePhase *p, const TrainClause *c) {
    Criterion crit = {l, &l->p->recipe->objectives.at[p->objective], true};
    walk_expr(c->keep.score, check_series, &crit);
    uint32_t inst;
    l->uniform_only = true;
    if (crit.fine && number_expr_value(l, c->keep.score, "a criterion", &inst)) {
        Str text = sources_text(l->p->sources, c->keep.score->at);
        vec_push(l->m->arena, &p->keep, (RecipeKeep){c->keep.highest, inst, text, c->at});
    }
    l->uniform_only = false;
}

static void clause(Lower *l, RecipePhase *p, const TrainClause *c, bool *said) {
    switch (c->kind) {
    case TC_ERROR:
    case TC_COUNT: break;
    case TC_OBJECTIVE: clause_objective(l, p, c, said); break;
    case TC_OPTIMIZER: break; /* optimizer.c, at each parameter */
    case TC_EPOCHS: const_expr_value(l, c->number, "a number of epochs", 1, &p->epochs); break;
    case TC_STEPS: const_expr_value(l, c->number, "a number of steps", 1, &p->steps); break;
    case TC_SEED: const_expr_value(l, c->number, "a seed", 0, &p->seed); break;
    case TC_BATCH: clause_batch(l, p, c); break;
    case TC_VALIDATE: clause_validate(l, p, c); break;
    case TC_REPORT: clause_count(l, c, "a number of steps", &p->report_steps); break;
    case TC_SAVE: clause_count(l, c, "a number of epochs", &p->save_epochs); break;
    case TC_PATIENCE: clause_count(l, c, "a number of epochs", &p->patience); break;
    case TC_KEEP: break; /* when the objective is known */
    case TC_CLIP: clip_declare(l, c); break;
    case TC_FREEZE: not_yet(l, c->at, "`freeze`"); break;
    case TC_LOAD: not_yet(l, c->at, "`load`"); break;
    case TC_PRECISION:
        if (!str_is(c->precision.text, "f32")) {
            not_yet(l, c->at, "another precision than f32");
        }
        break;
    case TC_EVERY: not_yet(l, c->at, "`every .. train`"); break;
    }
}

static void override(Lower *l, RecipePhase *p, const SettingArg *g) {
    Str word = g->name;
    for (uint32_t i = 0; i < g->name.n; i++) {
        if (g->name.s[i] == '.') {
            if (!str_eq(p->name, (Str){g->name.s, i})) {
                return;
            }
            word = (Str){g->name.s + i + 1, g->name.n - i - 1};
        }
    }
    if (!is_phase_word(word) || settings_known(l->p, g->name)) {
        return;
    }
    const Expr *e = setting_override(l, g);
    int64_t x;
    if (e == NULL || !const_expr_value(l, e, "this", str_is(word, "seed") ? 0 : 1, &x)) {
        return;
    }
    if (str_is(word, "epochs")) {
        p->epochs = x;
        p->steps = 0;
    } else if (str_is(word, "steps")) {
        p->steps = x;
        p->epochs = 0;
    } else if (str_is(word, "batch")) {
        p->batch = x;
    } else {
        p->seed = x;
    }
}

static void declare(Lower *l, const Decl *d) {
    RecipePhase p = {.name = phase_name(d), .span = d->at, .batch = 0, .seed = 1};
    bool said = false, optimizer = false;
    Span length = d->at; /* the last clause that says how long */
    uint32_t n = l->p->recipe->objectives.n;
    for (uint32_t i = 0; i < d->train.clauses.n; i++) {
        clause(l, &p, &d->train.clauses.at[i], &said);
        TrainClauseKind k = d->train.clauses.at[i].kind;
        optimizer = optimizer || k == TC_OPTIMIZER || k == TC_ERROR;
        length = k == TC_EPOCHS || k == TC_STEPS ? d->train.clauses.at[i].at : length;
    }
    if (!said && n != 1) {
        Diag *diag = report(
            l, DIAG_TRAIN_DECL, d->at,
            n ? "the file has %u objectives; which one is trained?" : "there is no objective to train", n);
        diag_help(diag, n ? "`objective NAME`" : "declare one: `objective o(b : data[N]) { loss .. }`");
        p.objective = UINT32_MAX;
    }
    for (uint32_t i = 0; i < l->p->n_given; i++) {
        override(l, &p, &l->p->given[i]);
    }
    if (!optimizer) {
        Diag *diag = report(l, DIAG_TRAIN_DECL, d->at, "a `train` without an optimizer");
        diag_help(diag, "`optimizer adam(lr = 1e-3)`");
    }
    if (p.epochs && p.steps) {
        report(l, DIAG_TRAIN_DECL, length, "`epochs` or `steps`, not both");
    }
    if (!p.epochs && !p.steps) {
        p.epochs = 10;
    }
    p.batch = p.batch ? p.batch : 32;
    bool known = p.objective != UINT32_MAX && !l->p->objective_errors; /* else its series are not known */
    for (uint32_t i = 0; i < d->train.clauses.n && known; i++) {
        if (d->train.clauses.at[i].kind == TC_KEEP) {
            clause_keep(l, &p, &d->train.clauses.at[i]);
        }
    }
    vec_push(l->m->arena, &l->p->recipe->phases, p);
}

void train_declare(Lower *l) {
    for (uint32_t i = 0; i < l->p->main->decls.n; i++) {
        if (l->p->main->decls.at[i]->kind == DECL_TRAIN) {
            declare(l, l->p->main->decls.at[i]);
        }
    }
    if (!l->p->objective_errors) {
        series_check_noted(l);
    }
}
