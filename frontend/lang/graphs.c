/* The graphs of a program, lowered on demand: an objective for evaluation and what goes around it, a step of a run of a
 * phase, its update where a batch has shards, a look at it, exports.  The checker asks for all of them once; for the
 * rows that a training has they are asked for again, and kept. */
#include "lower.h"

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

/* ---- of an objective, of a run ---- */

/* Lowers the objective for evaluation; `finish` also receives what is computed from the accumulators. */
Lower *graphs_eval(Program *p, const Decl *d, int64_t rows, Graph *finish, RecipeObjective *recipe, Diags *ds) {
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

Lower *graphs_train(Program *p, uint32_t phase, uint32_t run, int64_t rows, bool check, Diags *ds) {
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
Lower *graphs_update(Program *p, uint32_t phase, uint32_t run, Diags *ds) {
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
            return kind == LOWER_UPDATE  ? graphs_update(p, i, k, ds)
                   : kind == LOWER_TRAIN ? graphs_train(p, i, k, rows, false, ds)
                                         : lower_sample(p, i, k, rows, kind == LOWER_CONFLICT, ds);
        }
    }
    return NULL;
}

/* ---- by kind and name ---- */

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
    case LOWER_EVAL: l = objective ? graphs_eval(p, objective, rows, NULL, NULL, ds) : NULL; break;
    case LOWER_BEGIN:
        if (objective) {
            l = lower_begin(p, kind, graph_name(p, name, "begin"), 0, ds);
            metric_begin(l, objective);
        }
        break;
    case LOWER_FINISH:
        if (objective) { /* with the rows that the check took: less may be too few for the text */
            Graph *g = graph_create(p->module, graph_name(p, name, "finish"));
            return graphs_eval(p, objective, program_nominal_rows(p), g, NULL, ds) ? g : NULL;
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
