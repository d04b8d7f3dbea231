/* A program: its text read, and every graph lowered once at the batch it will run with, to find all mistakes.  This
 * first lowering also makes the variables and the graph `init`. */
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
    Graph *finish = graph_create(p->module, str_format(p->arena, "%.*s.finish", FSTR(d->name.text)));
    Lower *l = graphs_eval(p, d, rows, finish, r, p->ds);
    p->objective_errors = p->objective_errors || l == NULL;
    for (uint32_t i = 0; l && i < l->losses.n; i++) {
        vec_push(p->arena, &r->losses, recipe_loss(l, &l->losses.at[i]));
    }
    for (uint32_t i = 0; l && i < l->alarms.n; i++) {
        vec_push(p->arena, &r->alarms, l->alarms.at[i]);
    }
}

/* The batch an objective is checked with: of the phase that trains it, as far as a number says so. */
int64_t program_nominal_rows(const Program *p) {
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
            all[lowered++] = graphs_train(p, i, k, f->rows, true, p->ds);
            if (f->shards > 1 && diags_errors(p->ds) == 0) {
                phase_of[lowered] = i;
                all[lowered++] = graphs_update(p, i, k, p->ds);
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
    int64_t rows = program_nominal_rows(p);
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
    unused_check(p);
    if (errors == 0) {
        unused_warn(file);
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
