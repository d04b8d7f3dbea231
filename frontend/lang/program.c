/* A program: its text read, every graph lowered once at the batch it will run with to find all mistakes, then
 * lowered again for whatever rows are asked for.  The first lowering also makes the variables and the graph
 * `init`. */
#include "lower.h"
#include <string.h>
#include <stdlib.h>

Recipe *program_recipe(Program *p) { return p->recipe; }
Module *program_module(Program *p) { return p->module; }

/* A sweep says which programs there are, and is part of none. */
void program_print(Program *p, Buf *out) {
    for (uint32_t i = 0; i < p->scopes.n; i++) {
        AstFile file = *p->scopes.at[i]->file;
        memset(&file.decls, 0, sizeof file.decls);
        for (uint32_t k = 0; k < p->scopes.at[i]->file->decls.n; k++) {
            Decl *d = p->scopes.at[i]->file->decls.at[k];
            if (d->kind != DECL_SWEEP) {
                vec_push(p->arena, &file.decls, d);
            }
        }
        ast_print(&file, out);
    }
}

static Str name_of(Arena *a, Str path) {
    uint32_t n = path.n;
    while (n > 0 && path.s[n - 1] != '/') {
        n--;
    }
    Str file = {path.s + n, path.n - n};
    return str_ends(file, ".graph") ? str_copy(a, (Str){file.s, file.n - 6}) : str_copy(a, file);
}

/* ---- names of the file ---- */

static bool one_namespace(const Decl *a, const Decl *b) {
    bool phase = a->kind == DECL_TRAIN || a->kind == DECL_SWEEP,
         other = b->kind == DECL_TRAIN || b->kind == DECL_SWEEP;
    return phase == other || a->kind == DECL_USE || b->kind == DECL_USE;       /* `-s a.epochs`: of which a? */
}

static Name setting_called(const Decl *d, Str name) {
    for (uint32_t i = 0; d->kind == DECL_SETTING && i < d->setting.names.n; i++) {
        if (str_eq(d->setting.names.at[i].text, name)) {
            return d->setting.names.at[i];
        }
    }
    return d->name;
}

static void check_twice(Lower *l, const Scope *s) {
    for (uint32_t i = 0; i < s->decls.n; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const Decl *a = s->decls.at[k], *b = s->decls.at[i];
            Name x = b->kind == DECL_USE ? setting_called(a, b->name.text) : a->name,
                 y = a->kind == DECL_USE ? setting_called(b, a->name.text) : b->name;
            if (one_namespace(a, b) && y.text.n && a->kind != DECL_ERROR && b->kind != DECL_ERROR &&
                str_eq(x.text, y.text)) {
                Diag *d = report(l, DIAG_TWICE, y.at, "`%.*s` is declared twice", FSTR(y.text));
                report_label(l, d, x.at, "first here");
                break;
            }
        }
    }
}

static void check_names(Lower *l) {
    for (uint32_t i = 0; i < l->p->scopes.n; i++) {
        check_twice(l, l->p->scopes.at[i]);
    }
}

/* What stands in a file, or a module, by itself.  Naming a setting here is not reading it. */
static void check_conditions(Lower *l) {
    bool *read = PUSH(l->a, bool, l->p->settings.n + 1);
    for (uint32_t i = 0; i < l->p->settings.n; i++) {
        read[i] = l->p->settings.at[i].read;
    }
    for (uint32_t i = 0; i < l->p->scopes.n; i++) {
        const Scope *s = l->frame->scope = l->p->scopes.at[i];
        for (uint32_t k = 0; k < s->decls.n; k++) {
            const Decl *d = s->decls.at[k];
            if (d->kind == DECL_REQUIRE) {
                stmt_eval(l, &(Stmt){.kind = ST_REQUIRE, .at = d->at,
                                     .require = {d->require.cond, d->require.why}});
            } else if (d->kind == DECL_CONSTANT) {
                eval(l, &(Expr){.kind = EX_NAME, .at = d->name.at, .op_at = d->name.at, .name = d->name});
            }
        }
    }
    l->frame->scope = l->p->scopes.at[0];
    l->constants.n = 0; /* whoever uses one evaluates it again, and reads */
    for (uint32_t i = 0; i < l->p->settings.n; i++) {
        l->p->settings.at[i].read = read[i];
    }
}

/* ---- objectives ---- */

static const Decl *find_decl(const Program *p, DeclKind k, Str name) {
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        const Decl *d = p->main->decls.at[i];
        if (d->kind == k && str_eq(d->name.text, name)) {
            return d;
        }
    }
    return NULL;
}

static Str graph_name(Program *p, Str name, const char *suffix) {
    return str_format(p->arena, "%.*s.%s", FSTR(name), suffix);
}

/* Lowers the objective for evaluation; `finish` also receives what is computed from the accumulators. */
static Lower *lower_eval(Program *p, const Decl *d, int64_t rows, Graph *finish, RecipeObjective *recipe,
                         Diags *ds) {
    Lower *l = lower_begin(p, LOWER_EVAL, graph_name(p, d->name.text, "eval"), rows, ds);
    Val total;
    if (!objective_run(l, d, false, rows)) {
        return NULL;
    }
    objective_total(l, &total);
    uint32_t errors = diags_errors(ds);
    metric_accumulate(l, d, total);
    if (diags_errors(ds) == errors && finish) {
        metric_finish(l, d, finish, total, recipe);
    }
    cell_commit(l);
    return diags_errors(ds) == errors ? l : NULL;
}

/* The losses of a run of a phase, in training mode; NULL after a mistake. */
static Lower *lower_losses(Program *p, uint32_t phase, uint32_t run, int64_t rows, const char *what, Val *total,
                           Diags *ds) {
    const RecipePhase *f = &p->recipe->phases.at[phase];
    const RecipeRun *r = &f->runs.at[run];
    Str objective = p->recipe->objectives.at[r->objective].name;
    const Decl *d = find_decl(p, DECL_OBJECTIVE, objective);
    Lower *l = lower_begin(p, LOWER_TRAIN, graph_name(p, r->name, what), rows, ds);
    l->train = phase_decl(p, phase);
    l->phase = phase;
    l->run = run;
    if (!objective_run(l, d, true, rows)) {
        return NULL;
    }
    if (!objective_total(l, total)) {
        Diag *diag = report(l, DIAG_TRAIN_DECL, r->span, "objective `%.*s` has no loss to train", FSTR(objective));
        report_label(l, diag, d->name.at, "the objective");
        return NULL;
    }
    return l;
}

/* Found once, aside, when another run of the phase asks: mistakes are reported where the run itself is lowered. */
const Targets *program_targets(Program *p, uint32_t phase, uint32_t run) {
    for (uint32_t i = 0; i < p->targets.n; i++) {
        if (p->targets.at[i]->phase == phase && p->targets.at[i]->run == run) {
            return p->targets.at[i];
        }
    }
    Targets *t = PUSH(p->arena, Targets, 1);
    *t = (Targets){.phase = phase, .run = run};
    Val total;
    Lower *l = lower_losses(p, phase, run, p->recipe->phases.at[phase].rows, "train", &total,
                            diags_create(p->arena, p->sources));
    if (l) {
        t->vars.at = PUSH(p->arena, uint32_t, p->module->vars.n + 1);
        t->vars.n = t->vars.cap = optimizer_targets(l, total, t->vars.at);
    }
    vec_push(p->arena, &p->targets, t);
    return t;
}

static void nothing_to_update(Lower *l, const RecipePhase *f) {
    const RecipeRun *r = &f->runs.at[l->run];
    Diag *d = report(l, DIAG_TRAIN_DECL, r->span,
                     "`%.*s` updates nothing: its losses reach no parameter that `%.*s` may change",
                     FSTR(l->p->recipe->objectives.at[r->objective].name), FSTR(f->name));
    diag_help(d, "look at `updates`, `freeze` and what the optimizers are for");
}

static Lower *lower_train(Program *p, uint32_t phase, uint32_t run, int64_t rows, bool check, Diags *ds) {
    const RecipePhase *f = &p->recipe->phases.at[phase];
    uint32_t errors = diags_errors(ds);
    Val total;
    Lower *l = lower_losses(p, phase, run, rows, "train", &total, ds);
    if (l == NULL) {
        return NULL;
    }
    if (check) {
        reach_losses(l);
        facts_losses(l);
    }
    for (uint32_t i = 0; i < l->losses.n; i++) {
        l->b.at = l->losses.at[i].at;
        build_check(&l->b, l->losses.at[i].weighted,       /* a term of weight 0 cannot spoil a step */
                    name_id(l, str_format(p->arena, "loss %.*s", FSTR(l->losses.at[i].name.text))));
    }
    metric_accumulate(l, l->objective, total);
    l->frame = l->frame->caller;
    uint32_t *vars = PUSH(l->a, uint32_t, l->m->vars.n + 1);
    uint32_t n = optimizer_targets(l, total, vars);
    Val *gradients = PUSH(l->a, Val, n + 1);
    if (check && f->shards > 1 && !f->per_shard) {
        shard_check(l);
    }
    if (n > 0) {
        optimizer_gradients(l, n, vars, total, gradients);
    }
    if (n > 0 && f->shards > 1) {
        shard_accumulate(l, n, vars, gradients);
    } else if (n > 0) {
        optimizer_step(l, n, vars, gradients);
    } else if (diags_errors(ds) == errors) {
        nothing_to_update(l, f);
    }
    follow_step(l);
    cell_commit(l);
    return diags_errors(ds) == errors ? l : NULL;
}

/* What a step with shards ends with. */
static Lower *lower_update(Program *p, uint32_t phase, uint32_t run, Diags *ds) {
    const RecipeRun *r = &p->recipe->phases.at[phase].runs.at[run];
    const Targets *t = program_targets(p, phase, run);
    uint32_t errors = diags_errors(ds);
    Lower *l = lower_begin(p, LOWER_UPDATE, graph_name(p, r->name, "update"), 0, ds);
    l->train = phase_decl(p, phase);
    l->phase = phase;
    l->run = run;
    l->b.at = l->train->at;
    Val *gradients = PUSH(l->a, Val, t->vars.n + 1);
    shard_take(l, t->vars.n, t->vars.at, gradients);
    optimizer_step(l, t->vars.n, t->vars.at, gradients);
    follow_step(l);
    cell_commit(l);
    return diags_errors(ds) == errors ? l : NULL;
}

/* A step that is only looked at. */
static Lower *lower_sample(Program *p, uint32_t phase, uint32_t run, int64_t rows, bool conflict, Diags *ds) {
    Val total;
    Lower *l = lower_losses(p, phase, run, rows, conflict ? "conflict" : "sample", &total, ds);
    if (l) {
        l->frame = l->frame->caller;
        sample_give(l, total, conflict);
    }
    return l;
}

/* Of the run of this name. */
static Lower *lower_run(Program *p, LowerKind kind, Str name, int64_t rows, Diags *ds) {
    for (uint32_t i = 0; i < p->recipe->phases.n; i++) {
        const RecipePhase *f = &p->recipe->phases.at[i];
        for (uint32_t k = 0; k < f->runs.n; k++) {
            if (!str_eq(f->runs.at[k].name, name)) {
                continue;
            }
            return kind == LOWER_UPDATE  ? lower_update(p, i, k, ds)
                   : kind == LOWER_TRAIN ? lower_train(p, i, k, rows, false, ds)
                                         : lower_sample(p, i, k, rows, kind == LOWER_CONFLICT, ds);
        }
    }
    return NULL;
}

static RecipeLoss recipe_loss(const Lower *l, const LossTerm *t) {
    RecipeLoss x = {.name = t->name.text, .nograd = t->nograd, .weight = 1, .span = t->name.at};
    const Node *w = t->poison ? NULL : node_of(l->b.g, t->weight);
    x.has_inst = w && w->op == OP_arg && w->attr.arg.kind == ARG_UNIFORM;
    if (x.has_inst) {
        x.inst = l->m->uniforms->outputs.at[w->attr.arg.id].inst;
    } else if (w && w->op == OP_const) {
        x.weight = w->attr.constant.f;
    }
    return x;
}

static void check_objective(Program *p, Lower *file, const Decl *d, int64_t rows) {
    RecipeObjective o = {.name = d->name.text, .span = d->name.at};
    const ParamVec *args = &d->function.sig.args;
    uint32_t data = args->n && args->at[0].type ? data_find(p, args->at[0].type->base.text) : 0;
    if (args->n == 0) {
        report(file, DIAG_TYPE, d->name.at,
               "an objective takes a batch of a data set: `objective %.*s(b : d[N])`", FSTR(d->name.text));
    }
    o.data = data ? data - 1 : 0;
    for (uint32_t i = 1; i < args->n; i++) {
        uint32_t more = args->at[i].type ? data_find(p, args->at[i].type->base.text) : 0;
        if (more) {
            vec_push(p->arena, &o.more, ((RecipeBatch){more - 1, rows}));
        }
    }
    vec_push(p->arena, &p->recipe->objectives, o);
    RecipeObjective *r = &p->recipe->objectives.at[p->recipe->objectives.n - 1];
    if (data == 0 && args->n == 0) {
        p->objective_errors = true;
        return;
    }
    Graph *finish = graph_create(p->module, graph_name(p, d->name.text, "finish"));
    Lower *l = lower_eval(p, d, rows, finish, r, p->ds);
    p->objective_errors = p->objective_errors || l == NULL;
    for (uint32_t i = 0; l && i < l->losses.n; i++) {
        vec_push(p->arena, &r->losses, recipe_loss(l, &l->losses.at[i]));
    }
    for (uint32_t i = 0; l && i < l->alarms.n; i++) {
        vec_push(p->arena, &r->alarms, l->alarms.at[i]);
    }
}

/* The batch an objective is checked with: of the phase that trains it, as far as a number says so. */
static int64_t nominal_rows(const Program *p) {
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        const Decl *d = p->main->decls.at[i];
        for (uint32_t k = 0; d->kind == DECL_TRAIN && k < d->train.clauses.n; k++) {
            const TrainClause *c = &d->train.clauses.at[k];
            if (c->kind == TC_BATCH && c->batch.parts.n && c->batch.parts.at[0].rows->kind == EX_NUMBER) {
                long n = strtol(str_copy(p->arena, c->batch.parts.at[0].rows->number.text).s, NULL, 10);
                return n > 1 && n < 100000 ? n : 2;
            }
        }
    }
    return 32;
}

/* Of a model that is called, those of the module; of another, what check_unused_model has counted. */
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

/* A model whose parameters no objective reaches is only worth a warning: an export may still show it. */
static void warn_dead(Lower *l) {
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
static void check_unused_model(Program *p, const Decl *d) {
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

static void note_writes(const Lower *l, bool *writes) {
    for (uint32_t i = 0; i < l->now.n; i++) {
        writes[i] = writes[i] || l->now.at[i].dirty;
    }
}

/* Every run of every phase, and what each of them writes. */
static void check_phases(Program *p) {
    uint32_t n = p->recipe->phases.n, lowered = 0, runs = 0;
    for (uint32_t i = 0; i < n; i++) {
        runs += 2 * p->recipe->phases.at[i].runs.n; /* with shards, a run has two graphs */
    }
    Lower **all = PUSH(p->arena, Lower *, runs + 1);
    uint32_t *phase_of = PUSH(p->arena, uint32_t, runs + 1);
    for (uint32_t i = 0; i < n; i++) {
        const RecipePhase *f = &p->recipe->phases.at[i];
        for (uint32_t k = 0; k < f->runs.n && !p->objective_errors && diags_errors(p->ds) == 0; k++) {
            phase_of[lowered] = i;
            all[lowered++] = lower_train(p, i, k, f->rows, true, p->ds);
            if (f->shards > 1 && diags_errors(p->ds) == 0) {
                phase_of[lowered] = i;
                all[lowered++] = lower_update(p, i, k, p->ds);
            }
        }
    }
    if (diags_errors(p->ds) > 0) {
        return;
    }
    bool **writes = PUSH(p->arena, bool *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        writes[i] = PUSH(p->arena, bool, p->module->vars.n + 1);
    }
    for (uint32_t i = 0; i < lowered; i++) {
        note_writes(all[i], writes[phase_of[i]]);
    }
    inner_fresh(p, writes, p->module->vars.n);
}

static void check_all(Program *p, Lower *file) {
    int64_t rows = nominal_rows(p);
    for (uint32_t i = 0; i < p->recipe->data.n; i++) {
        if (p->recipe->data.at[i].has_graph && !data_broken(p, i)) {
            data_check(p, i);
        }
    }
    for (uint32_t i = 0; i < p->settings.n; i++) { /* all that was read so far, which is that and little more */
        p->settings.at[i].of_data = p->settings.at[i].read;
    }
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        if (p->main->decls.at[i]->kind == DECL_OBJECTIVE) {
            check_objective(p, file, p->main->decls.at[i], rows);
        }
    }
    uint32_t errors = diags_errors(p->ds);
    train_declare(file);
    for (uint32_t i = 0; i < p->recipe->phases.n && diags_errors(p->ds) == 0; i++) {
        pattern_check(file, phase_decl(p, i));
    }
    check_phases(p);
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        const Decl *d = p->main->decls.at[i];
        if (d->kind == DECL_EXPORT) {
            const ParamVec *args = &d->function.sig.args;
            uint32_t data = args->n && args->at[0].type ? data_find(p, args->at[0].type->base.text) : 0;
            export_lower(p, d, rows, p->ds);
            vec_push(p->arena, &p->recipe->exports,
                     (RecipeExport){d->name.text, (int32_t)data - 1, d->name.at});
        }
    }
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        if (p->main->decls.at[i]->kind == DECL_MODEL && !was_lowered(p, p->main->decls.at[i])) {
            check_unused_model(p, p->main->decls.at[i]);
        }
    }
    if (errors == 0) {
        warn_dead(file);
    }
}

/* Settings and all that is known from them. */
static Lower *declare(Program *p) {
    p->module = module_create(p->arena, p->sources, p->math);
    p->recipe = PUSH(p->arena, Recipe, 1);
    p->recipe->arena = p->arena;
    p->recipe->name = name_of(p->arena, p->main->source->path);
    p->init = graph_create(p->module, STR("init"));
    return lower_begin(p, LOWER_INIT, STR("file"), 0, p->ds);
}

void program_conditions(Lower *file) {
    check_conditions(file);
    data_declare(file);
}

void program_rest(Program *p, Lower *file) {
    program_conditions(file);
    follow_declare(file);
    check_all(p, file);
}

Lower *program_aside(const Program *like, Arena *a, uint32_t n, const SettingArg *given, Diags *ds) {
    Program *p = PUSH(a, Program, 1);
    *p = (Program){.arena = a, .sources = like->sources, .ds = ds, .math = like->math, .probe = like->probe,
                   .found = like->found,
                   .main = like->main,
                   .library_lo = like->library_lo, .library_hi = like->library_hi, .library = like->library,
                   .n_given = n, .given = given};
    for (uint32_t i = 0; i < like->scopes.n; i++) {
        vec_push(a, &p->scopes, like->scopes.at[i]);
    }
    Lower *file = declare(p);
    settings_declare(file);
    return file;
}

Program *program_check(Arena *a, SourceSet *files, const Source *main, uint32_t n_settings,
                       const SettingArg *settings, const Math *math, DataProbe *probe, Diags *ds) {
    Program *p = PUSH(a, Program, 1);
    *p = (Program){
        .arena = a, .sources = files, .ds = ds, .math = math, .probe = probe, .n_given = n_settings, .given = settings};
    p->found = PUSH(a, Found, 1);
    p->found->arena = a;
    p->main = parse_source(a, main, ds);
    module_scope(p, p->main);
    library_load(p, ds);
    Lower *file = p->file = declare(p);
    modules_load(file);
    check_names(file);
    settings_declare(file);
    extern_declare(file);
    program_rest(p, file);
    bool point = n_settings > 0 && settings[0].point; /* then its sweep has been checked */
    if (diags_errors(ds) == 0 && !point) {
        sweeps_declare(file);
    }
    p->recipe->resolved = diags_errors(ds) == 0 ? resolved_text(p) : main->text;
    return p;
}

/* ---- graphs for real rows ---- */

static Graph *lower_new(Program *p, LowerKind kind, Str name, int64_t rows, Diags *ds) {
    const Decl *objective = kind == LOWER_EVAL || kind == LOWER_BEGIN || kind == LOWER_FINISH
                                ? find_decl(p, DECL_OBJECTIVE, name)
                                : NULL;
    Lower *l = NULL;
    switch (kind) {
    case LOWER_INIT: return p->init;
    case LOWER_DATA: return data_lower(p, name, ds);
    case LOWER_TRAIN:
    case LOWER_SAMPLE:
    case LOWER_CONFLICT:
    case LOWER_UPDATE: l = lower_run(p, kind, name, rows, ds); break;
    case LOWER_EVAL: l = objective ? lower_eval(p, objective, rows, NULL, NULL, ds) : NULL; break;
    case LOWER_BEGIN:
        if (objective) {
            l = lower_begin(p, kind, graph_name(p, name, "begin"), 0, ds);
            metric_begin(l, objective);
        }
        break;
    case LOWER_FINISH:
        if (objective) {
            Graph *g = graph_create(p->module, graph_name(p, name, "finish"));
            return lower_eval(p, objective, 2, g, NULL, ds) ? g : NULL;
        }
        break;
    case LOWER_EXPORT: {
        const Decl *d = find_decl(p, DECL_EXPORT, name);
        l = d ? export_lower(p, d, rows, ds) : NULL;
        break;
    }
    case LOWER_PEEK: break; /* is there, or nobody has asked */
    }
    return l ? l->main_graph : NULL;
}

Graph *lower_graph(Program *p, LowerKind kind, Str name, int64_t rows, Diags *ds) {
    for (uint32_t i = 0; i < p->lowered.n; i++) {
        const Lowered *x = &p->lowered.at[i];
        if (x->kind == kind && str_eq(x->name, name) && x->rows == rows) {
            return x->graph;
        }
    }
    uint32_t errors = diags_errors(ds);
    Graph *g = lower_new(p, kind, name, rows, ds);
    if (g == NULL || diags_errors(ds) > errors) {
        return NULL;
    }
    vec_push(p->arena, &p->lowered, (Lowered){kind, str_copy(p->arena, name), rows, g});
    vec_push(p->module->arena, &p->module->graphs, g);
    return g;
}
