/* `train`: its clauses become the phases of the recipe.  Numbers may come from `-s epochs=3` or `-s
 * probe.epochs=3`; clauses that this version cannot run are refused where they stand. */
#include "lower.h"

static Str phase_name(const Decl *d) { return d->name.text.n ? d->name.text : STR("train"); }

bool train_is_setting(Program *p, Str name) {
    for (uint32_t i = 0; i < name.n; i++) {
        if (name.s[i] != '.') {
            continue;
        }
        Str phase = {name.s, i}, word = {name.s + i + 1, name.n - i - 1};
        for (uint32_t k = 0; k < p->main->decls.n; k++) {
            const Decl *d = p->main->decls.at[k];
            if (d->kind == DECL_TRAIN && str_eq(phase_name(d), phase) && recipe_is_word(word)) {
                return true;
            }
        }
        return false;
    }
    return recipe_is_word(name);
}

void phase_frame(Lower *l, const Decl *train) {
    Frame *f = frame_push(l, FRAME_FILE, train, train->at);
    f->path = f->stream = phase_name(train);
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

/* The entry "PHASE.OBJECTIVE.train", or "PHASE.OBJECTIVE.2.train" when the phase names the objective again. */
static Str run_name(Lower *l, const RecipePhase *p, uint32_t objective) {
    uint32_t same = 0;
    for (uint32_t i = 0; i < p->runs.n; i++) {
        same += p->runs.at[i].objective == objective;
    }
    Str name = str_format(l->m->arena, "%.*s.%.*s", FSTR(p->name),
                          FSTR(l->p->recipe->objectives.at[objective].name));
    return same ? str_format(l->m->arena, "%.*s.%u", FSTR(name), same + 1) : name;
}

static void add_run(Lower *l, RecipePhase *p, uint32_t objective, int64_t times, Span at) {
    const RecipeObjective *o = l->p->recipe->objectives.at;
    if (p->runs.n && o[p->runs.at[0].objective].data != o[objective].data) {
        not_yet(l, at, "objectives of different data sets in one `train`");
        return;
    }
    Str name = run_name(l, p, objective);
    vec_push(l->m->arena, &p->runs, (RecipeRun){name, objective, times, at});
}

static bool objective_named(Lower *l, Name name, uint32_t *out) {
    int32_t o = find_objective(l->p, name.text);
    if (o < 0) {
        Diag *d = report(l, DIAG_NAME, name.at, "there is no objective `%.*s`", FSTR(name.text));
        scope_suggest(l, d, name.text);
    }
    *out = (uint32_t)o;
    return o >= 0;
}

static void clause_objective(Lower *l, RecipePhase *p, const TrainClause *c) {
    uint32_t objective;
    int64_t times = 1;
    if (objective_named(l, c->objective.name, &objective) &&
        (c->objective.times == NULL || const_expr_value(l, c->objective.times, "how often", 1, &times))) {
        add_run(l, p, objective, times, c->at);
    }
}

static bool takes_data(const Recipe *r, const RecipePhase *p, uint32_t data) {
    bool found = false;
    for (uint32_t i = 0; i < p->runs.n; i++) {
        const RecipeObjective *o = &r->objectives.at[p->runs.at[i].objective];
        found = found || o->data == data;
        for (uint32_t k = 0; k < o->more.n; k++) {
            found = found || o->more.at[k].data == data;
        }
    }
    return found;
}

/* `batch labelled 64`: rows of one data set of the phase. */
static void batch_part(Lower *l, RecipePhase *p, const BatchPart *part, bool only) {
    int64_t rows;
    if (!const_expr_value(l, part->rows, "a batch", 1, &rows) || p->runs.n == 0) {
        return;
    }
    if (part->data.text.n == 0 && only) {
        p->batch = rows;
        return;
    }
    if (part->data.text.n == 0) {
        Diag *d = report(l, DIAG_TRAIN_DECL, part->rows->at, "of which data set?");
        diag_help(d, "`batch labelled 64, unlabelled 448`");
        return;
    }
    const Recipe *r = l->p->recipe;
    uint32_t id = data_find(l->p, part->data.text);
    if (id == 0 || !takes_data(r, p, id - 1)) {
        Diag *d = report(l, DIAG_NAME, part->data.at, "no objective of `%.*s` takes a batch of `%.*s`", FSTR(p->name),
                         FSTR(part->data.text));
        report_label(l, d, p->runs.at[0].span, "what it trains");
        return;
    }
    if (id - 1 == r->objectives.at[p->runs.at[0].objective].data) {
        p->batch = rows;
    } else {
        vec_push(l->m->arena, &p->more, ((RecipeBatch){id - 1, rows}));
    }
}

static void clause_batch(Lower *l, RecipePhase *p, const TrainClause *c) {
    if (c->batch.shards) {
        const_expr_value(l, c->batch.shards, "a number of shards", 1, &p->shards);
        p->per_shard = c->batch.per_shard;
    }
    p->more.n = 0;
    for (uint32_t i = 0; i < c->batch.parts.n; i++) {
        batch_part(l, p, &c->batch.parts.at[i], c->batch.parts.n == 1);
    }
    p->drop_tail = c->batch.drop_tail;
}

/* Each of what the phase trains once, in text order. */
static void validate_trained(Lower *l, RecipePhase *p, RecipeValidation v) {
    for (uint32_t i = 0; i < p->runs.n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < i; k++) {
            known = known || p->runs.at[k].objective == p->runs.at[i].objective;
        }
        v.objective = p->runs.at[i].objective;
        if (!known) {
            vec_push(l->m->arena, &p->validations, v);
        }
    }
}

/* A data set of the objective that cannot validate it, or NULL. */
static const RecipeData *data_without_val(const Recipe *r, const RecipeObjective *o) {
    const RecipeData *found = recipe_has_split(&r->data.at[o->data], STR("val")) ? NULL : &r->data.at[o->data];
    for (uint32_t i = 0; i < o->more.n && found == NULL; i++) {
        const RecipeData *d = &r->data.at[o->more.at[i].data];
        found = recipe_has_split(d, STR("val")) ? NULL : d;
    }
    return found;
}

/* `validate o every 2 epochs`; without a name it is what the phase trains. */
static void clause_validate(Lower *l, RecipePhase *p, const TrainClause *c) {
    RecipeValidation v = {.span = c->at};
    int64_t n = 1;
    Name name = c->validate.objective;
    if ((name.text.n && !objective_named(l, name, &v.objective)) ||
        (c->validate.every.n &&
         !const_expr_value(l, c->validate.every.n, "a number of epochs or steps", 1, &n))) {
        return;
    }
    *(c->validate.every.unit == UNIT_STEPS ? &v.steps : &v.epochs) = n;
    if (name.text.n) {
        const RecipeData *d = data_without_val(l->p->recipe, &l->p->recipe->objectives.at[v.objective]);
        if (d == NULL) {
            vec_push(l->m->arena, &p->validations, v);
        } else {
            Diag *diag = report(l, DIAG_TRAIN_DECL, name.at, "`%.*s` cannot be validated: data `%.*s` has no `val`",
                                FSTR(name.text), FSTR(d->name));
            report_label(l, diag, d->span, "the data set");
        }
        return;
    }
    validate_trained(l, p, v);
}

static void clause_count(Lower *l, const TrainClause *c, const char *what, int64_t *out) {
    *out = 1;
    if (c->every.n) {
        const_expr_value(l, c->every.n, what, 1, out);
    }
}

typedef struct { Lower *l; const RecipePhase *phase; bool fine; } Criterion;

static bool check_series(void *user, const Expr *e) {
    Criterion *c = user;
    if (e->kind == EX_FIELD && c->fine) {
        c->fine = series_check(c->l, c->phase, e);
    }
    return c->fine && e->kind != EX_FIELD;
}

bool train_criterion(Lower *l, const RecipePhase *p, const Expr *score, uint32_t *inst) {
    Criterion crit = {l, p, true};
    walk_expr(score, check_series, &crit);
    return crit.fine && number_expr_value(l, score, "a criterion", inst);
}

static void clause_keep(Lower *l, RecipePhase *p, const TrainClause *c) {
    uint32_t inst;
    if (train_criterion(l, p, c->keep.score, &inst)) {
        Str text = sources_text(l->p->sources, c->keep.score->at);
        direction_check(l, p, c);
        vec_push(l->m->arena, &p->keep, (RecipeKeep){c->keep.highest, inst, text, c->at});
    }
}

/* Some may stand several times, each for other weights, data or series. */
static bool is_of_many(TrainClauseKind k) {
    return k == TC_ERROR || k == TC_OBJECTIVE || k == TC_OPTIMIZER || k == TC_FREEZE || k == TC_LOAD ||
           k == TC_VALIDATE || k == TC_KEEP || k == TC_EVERY;
}

static void said_once(Lower *l, const Decl *d, uint32_t i) {
    const TrainClause *c = &d->train.clauses.at[i], *first = d->train.clauses.at;
    while (first != c && first->kind != c->kind) {
        first++;
    }
    if (first == c || is_of_many(c->kind)) {
        return;
    }
    Str text = sources_text(l->p->sources, c->at);
    uint32_t n = 0;
    while (n < text.n && text.s[n] >= 'a' && text.s[n] <= 'z') {
        n++;
    }
    Diag *diag = report(l, DIAG_TWICE, c->at, "`%.*s` is said twice of one training", (int)n, text.s);
    report_label(l, diag, first->at, "first here");
}

static void clause(Lower *l, RecipePhase *p, const TrainClause *c) {
    switch (c->kind) {
    case TC_ERROR:
    case TC_COUNT: break;
    case TC_OPTIMIZER: break; /* optimizer.c, at each parameter */
    case TC_FREEZE: break;    /* pattern.c, at each parameter and each call */
    case TC_EPOCHS: const_expr_value(l, c->number, "a number of epochs", 1, &p->epochs); break;
    case TC_STEPS: const_expr_value(l, c->number, "a number of steps", 1, &p->steps); break;
    case TC_SEED: const_expr_value(l, c->number, "a seed", 0, &p->seed); break;
    case TC_SHUFFLE: const_expr_value(l, c->number, "a number of rows", 1, &p->buffer); break;
    case TC_BATCH: clause_batch(l, p, c); break;
    case TC_REPORT: clause_count(l, c, "a number of steps", &p->report_steps); break;
    case TC_SAVE: clause_count(l, c, "a number of epochs", &p->save_epochs); break;
    case TC_PATIENCE: clause_count(l, c, "a number of epochs", &p->patience); break;
    case TC_OBJECTIVE:
    case TC_VALIDATE:
    case TC_KEEP: break; /* before the others, and when the objectives are known */
    case TC_CLIP: clip_declare(l, c); break;
    case TC_LOAD: load_declare(l, p, c); break;
    case TC_PRECISION: precision_declare(l, p, c); break;
    case TC_CONVOLUTION: winograd_declare(l, p, c); break;
    case TC_EVERY: break;     /* inner.c, when all phases are known */
    }
}

bool train_word(Lower *l, const SettingArg *g, RecipeWord *out) {
    Str word = g->name;
    for (uint32_t i = 0; i < g->name.n; i++) {
        word = g->name.s[i] == '.' ? (Str){g->name.s + i + 1, g->name.n - i - 1} : word;
    }
    if (!recipe_is_word(word) || settings_known(l->p, g->name)) {
        return false;
    }
    const Expr *e = setting_override(l, g);
    out->name = g->name;
    const char *what = str_format(l->a, "`%.*s`", FSTR(word)).s;
    return e && const_expr_value(l, e, what, str_is(word, "seed") ? 0 : 1, &out->value);
}

static void override(Lower *l, RecipePhase *p, const SettingArg *g) {
    for (uint32_t i = 0; i < g->name.n; i++) {
        if (g->name.s[i] == '.' && !str_eq(p->name, (Str){g->name.s, i})) {
            return;
        }
    }
    RecipeWord w;
    if (train_word(l, g, &w)) {
        recipe_set_word(&w, p);
    }
}

static void objectives(Lower *l, const Decl *d, RecipePhase *p) {
    bool said = false;
    uint32_t n = l->p->recipe->objectives.n;
    for (uint32_t i = 0; i < d->train.clauses.n; i++) {
        if (d->train.clauses.at[i].kind == TC_OBJECTIVE) {
            clause_objective(l, p, &d->train.clauses.at[i]);
            said = true;
        }
    }
    if (!said && n == 1) {
        add_run(l, p, 0, 1, d->at);
    } else if (!said) {
        Diag *diag = report(
            l, DIAG_TRAIN_DECL, d->at,
            n ? "the file has %u objectives; which one is trained?" : "there is no objective to train", n);
        diag_help(diag, n ? "`objective NAME`" : "declare one: `objective o(b : data[N]) { loss .. }`");
    }
}

/* What hangs on the objectives of the phase: validations, then the criteria that name their series. */
static void measures(Lower *l, const Decl *d, RecipePhase *p) {
    bool said = false;
    for (uint32_t i = 0; i < d->train.clauses.n; i++) {
        if (d->train.clauses.at[i].kind == TC_VALIDATE) {
            clause_validate(l, p, &d->train.clauses.at[i]);
            said = true;
        }
    }
    if (!said) {
        validate_trained(l, p, (RecipeValidation){.epochs = 1, .span = p->span});
    }
    for (uint32_t i = 0; i < d->train.clauses.n; i++) {
        if (d->train.clauses.at[i].kind == TC_KEEP) {
            clause_keep(l, p, &d->train.clauses.at[i]);
        }
    }
}

/* Shards are equal: a smaller one would count as much as the others. */
static void set_rows(Lower *l, RecipePhase *p) {
    p->shards = p->shards ? p->shards : 1;
    p->rows = p->batch / p->shards;
    for (uint32_t i = 0; p->shards > 1 && i < p->runs.n; i++) {
        if (l->p->recipe->objectives.at[p->runs.at[i].objective].more.n) {
            not_yet(l, p->span, "`shards` of several data sets");
            return;
        }
    }
    if (p->rows * p->shards != p->batch) {
        Diag *d = report(l, DIAG_TRAIN_DECL, p->span, "a batch of %lld rows has no %lld equal shards",
                         (long long)p->batch, (long long)p->shards);
        diag_help(d, "a multiple of %lld, as `batch %lld shards %lld`", (long long)p->shards,
                  (long long)((p->rows + 1) * p->shards), (long long)p->shards);
        p->rows = p->batch;
    }
}

static void declare(Lower *l, const Decl *d) {
    RecipePhase p = {.name = phase_name(d), .span = d->at, .batch = 0, .seed = 1};
    bool optimizer = false;
    Span length = d->at; /* the last clause that says how long */
    objectives(l, d, &p);
    for (uint32_t i = 0; i < d->train.clauses.n; i++) {
        said_once(l, d, i);
        clause(l, &p, &d->train.clauses.at[i]);
        TrainClauseKind k = d->train.clauses.at[i].kind;
        optimizer = optimizer || k == TC_OPTIMIZER || k == TC_ERROR;
        length = k == TC_EPOCHS || k == TC_STEPS ? d->train.clauses.at[i].at : length;
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
    set_rows(l, &p);
    if (p.runs.n && !l->p->objective_errors) { /* else its series are not known */
        measures(l, d, &p);
    }
    vec_push(l->m->arena, &l->p->recipe->phases, p);
}

static void take_rows(Recipe *r, const RecipePhase *p, uint32_t objective) {
    RecipeObjective *o = &r->objectives.at[objective];
    for (uint32_t i = 0; i < o->more.n; i++) {
        o->more.at[i].rows = recipe_batch(p, o->more.at[i].data);
    }
}

/* Batches beside the first are in an evaluation as in the last phase that trains the objective, or that validates
 * it. */
static void evaluation_rows(Recipe *r) {
    for (uint32_t i = 0; i < r->phases.n; i++) {
        for (uint32_t k = 0; k < r->phases.at[i].validations.n; k++) {
            take_rows(r, &r->phases.at[i], r->phases.at[i].validations.at[k].objective);
        }
    }
    for (uint32_t i = 0; i < r->phases.n; i++) {
        for (uint32_t k = 0; k < r->phases.at[i].runs.n; k++) {
            take_rows(r, &r->phases.at[i], r->phases.at[i].runs.at[k].objective);
        }
    }
}

void train_declare(Lower *l) {
    for (uint32_t i = 0; i < l->p->main->decls.n; i++) {
        if (l->p->main->decls.at[i]->kind == DECL_TRAIN) {
            phase_frame(l, l->p->main->decls.at[i]);
            declare(l, l->p->main->decls.at[i]);
            frame_pop(l);
        }
    }
    inner_declare(l);
    evaluation_rows(l->p->recipe);
    if (!l->p->objective_errors) {
        series_check_noted(l);
    }
}
