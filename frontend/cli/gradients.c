/* Gradient reachability of each loss term and each model, from the lowered training graph, before autodiff.  A
 * loss that reaches nothing has been refused by then (frontend/lang/reach.c). */
#include "gradients.h"

static bool add_model(uint32_t *models, uint32_t *n, uint32_t name) {
    for (uint32_t i = 0; i < *n; i++)
        if (models[i] == name) return false;
    models[(*n)++] = name;
    return true;
}

static uint32_t model_index(const GradientTable *t, uint32_t name) {
    for (uint32_t i = 0; i < t->n_models; i++)
        if (t->models[i] == name) return i;
    GR_BUG("a parameter of no model");
}

static const Output *loss_output(const Graph *g, uint32_t loss) {
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.at[i].kind == OUT_LOSS && loss-- == 0) return &g->outputs.at[i];
    return NULL;
}

GradientTable gradient_table(Session *s, uint32_t objective, const Graph *train) {
    const RecipeObjective *o = &s->recipe->objectives.at[objective];
    GradientTable t = {.n_losses = o->losses.n};
    t.models = PUSH(s->arena, uint32_t, s->module->vars.n + 1);
    for (uint32_t i = 0; i < s->module->vars.n; i++)
        if (s->module->vars.at[i].kind == VAR_PARAM) add_model(t.models, &t.n_models, s->module->vars.at[i].model);
    t.cells = PUSH(s->arena, Reach, t.n_losses * t.n_models + 1);          /* zero: REACH_NONE */
    Reached *reach = PUSH(s->arena, Reached, train->nodes.n);
    for (uint32_t i = 1; i < train->nodes.n; i++) {
        const Node *n = &train->nodes.at[i];
        if (n->op != OP_arg || n->attr.arg.kind != ARG_VAR) continue;
        const Var *var = &s->module->vars.at[n->attr.arg.id];
        if (var->kind != VAR_PARAM) continue;
        reach_from(train, (Val){i}, reach);
        for (uint32_t l = 0; l < t.n_losses; l++) {
            const Output *out = loss_output(train, l);
            Reach *cell = &t.cells[l * t.n_models + model_index(&t, var->model)];
            if (out && reach[out->val.i].reach > *cell) *cell = reach[out->val.i].reach;
        }
    }
    return t;
}

/* Where a model is declared; for one of the library, where its parameter is. */
static Span place_of_model(Session *s, Str name, Span param) {
    const AstFile *file = parse_source(s->arena, s->main, s->diags);
    for (uint32_t i = 0; i < file->decls.n; i++)
        if (file->decls.at[i]->kind == DECL_MODEL && str_eq(file->decls.at[i]->name.text, name))
            return file->decls.at[i]->name.at;
    return param;
}

static void report_dead_models(Session *s, const uint32_t *models, uint32_t n, const bool *trained) {
    for (uint32_t m = 0; m < n; m++) {
        Span at = {0};
        uint64_t parameters = 0;
        for (uint32_t i = s->module->vars.n; i-- > 0;) {
            const Var *v = &s->module->vars.at[i];
            if (v->kind != VAR_PARAM || v->model != models[m]) continue;
            parameters += (uint64_t)shape_count(v->shape);
            at = v->span;
        }
        Str name = intern_str(s->module->names, models[m]);
        if (!trained[m])
            diag_add(s->diags, DIAG_DEAD, place_of_model(s, name, at),
                     "`%.*s` (%llu parameters) is reached by no loss: nothing trains it", FSTR(name),
                     (unsigned long long)parameters);
    }
}

/* Lowered first, all of them: that may still add variables. */
void gradients_check(Session *s) {
    Entries entries = {0};
    program_entries(s, &entries);
    uint32_t n = entries.at.n;
    Graph **graphs = PUSH(s->arena, Graph *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const EntryRequest *r = &entries.at.at[i];
        if (r->kind != LOWER_TRAIN) continue;
        graphs[i] = lower_graph(s->program, r->kind, r->name, r->rows, s->diags);
        if (!graphs[i]) return;
    }
    bool *trained = PUSH(s->arena, bool, s->module->vars.n + 1);       /* by model of the table */
    GradientTable t = {0};
    for (uint32_t i = 0; i < n; i++) {
        if (!graphs[i]) continue;
        t = gradient_table(s, entries.at.at[i].objective, graphs[i]);  /* each has the models of the whole program */
        for (uint32_t k = 0; k < t.n_losses * t.n_models; k++)
            if (t.cells[k] == REACH_YES) trained[k % t.n_models] = true;
    }
    report_dead_models(s, t.models, t.n_models, trained);
}
