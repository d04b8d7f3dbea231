/* Gradient reachability of each loss term and each model, from the lowered training graph, before autodiff. */
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

GradientTable gradient_table(Session *s, uint32_t phase, const Graph *train) {
    const RecipeObjective *o = &s->recipe->objectives.at[s->recipe->phases.at[phase].objective];
    GradientTable t = {.graph = train, .n_losses = o->losses.n};
    t.models = PUSH(s->arena, uint32_t, s->module->vars.n + 1);
    for (uint32_t i = 0; i < s->module->vars.n; i++)
        if (s->module->vars.at[i].kind == VAR_PARAM) add_model(t.models, &t.n_models, s->module->vars.at[i].model);
    t.cells = PUSH(s->arena, LossReach, t.n_losses * t.n_models + 1);
    for (uint32_t l = 0; l < t.n_losses; l++)
        for (uint32_t m = 0; m < t.n_models; m++)
            t.cells[l * t.n_models + m] = (LossReach){l, m, {REACH_NONE, {0}}, {0}};
    Reached *reach = PUSH(s->arena, Reached, train->nodes.n);
    for (uint32_t i = 1; i < train->nodes.n; i++) {
        const Node *n = &train->nodes.at[i];
        if (n->op != OP_arg || n->attr.arg.kind != ARG_VAR) continue;
        const Var *var = &s->module->vars.at[n->attr.arg.id];
        if (var->kind != VAR_PARAM) continue;
        reach_from(train, (Val){i}, reach);
        for (uint32_t l = 0; l < t.n_losses; l++) {
            const Output *out = loss_output(train, l);
            LossReach *cell = &t.cells[l * t.n_models + model_index(&t, var->model)];
            if (out && reach[out->val.i].reach > cell->best.reach)
                cell->best = reach[out->val.i], cell->param = (Val){i};
        }
    }
    return t;
}

static const char *why_zero(const Graph *g, Val by) {
    const Node *n = node_of(g, by);
    if (n->op == OP_cast) return "a conversion to a whole number is piecewise constant";
    if (n->op == OP_reduce) return "the position of an extremum is piecewise constant";
    if (n->op == OP_lt || n->op == OP_le || n->op == OP_eq) return "a comparison is piecewise constant";
    if (n->op == OP_rint || n->op == OP_floor) return "rounding is piecewise constant";
    return "it is piecewise constant";
}

static void report_loss(Session *s, const GradientTable *t, const RecipeLoss *loss, uint32_t l) {
    LossReach best = {l, 0, {REACH_NONE, {0}}, {0}};
    for (uint32_t m = 0; m < t->n_models; m++)
        if (t->cells[l * t->n_models + m].best.reach > best.best.reach) best = t->cells[l * t->n_models + m];
    if (best.best.reach == REACH_YES || loss->nograd) return;
    Diag *d = diag_add(s->diags, DIAG_NO_GRADIENT, loss->span, "loss `%.*s` reaches no parameter", FSTR(loss->name));
    diag_label(d, loss->span, "adds to the total and nothing to any gradient");
    if (best.best.reach == REACH_ZERO)
        diag_label(d, node_of(t->graph, best.best.by)->span, "the gradient ends here: %s",
                   why_zero(t->graph, best.best.by));
    if (best.best.reach == REACH_STOPPED)
        diag_label(d, node_of(t->graph, best.best.by)->span, "the gradient is stopped here");
    diag_help(d, "use a differentiable form; or say `metric` instead of `loss`; or end the line with `nograd`");
}

static void report_dead_models(Session *s, const bool *trained) {
    for (uint32_t i = 0; i < s->module->vars.n; i++) {
        const Var *v = &s->module->vars.at[i];
        if (v->kind != VAR_PARAM || trained[v->model]) continue;
        uint64_t parameters = 0;
        for (uint32_t k = i; k < s->module->vars.n; k++)
            if (s->module->vars.at[k].kind == VAR_PARAM && s->module->vars.at[k].model == v->model)
                parameters += (uint64_t)shape_count(s->module->vars.at[k].shape);
        bool first = true;
        for (uint32_t k = 0; k < i; k++) first = first && s->module->vars.at[k].model != v->model;
        if (first)
            diag_add(s->diags, DIAG_DEAD, v->span, "`%.*s` (%llu parameters) is reached by no loss: nothing trains it",
                     FSTR(intern_str(s->module->names, v->model)), (unsigned long long)parameters);
    }
}

void gradients_check(Session *s) {
    uint32_t names = 1;
    for (uint32_t i = 0; i < s->module->vars.n; i++)
        if (s->module->vars.at[i].model >= names) names = s->module->vars.at[i].model + 1;
    bool *trained = PUSH(s->arena, bool, names);
    for (uint32_t p = 0; p < s->recipe->phases.n; p++) {
        const RecipePhase *phase = &s->recipe->phases.at[p];
        const RecipeObjective *o = &s->recipe->objectives.at[phase->objective];
        Graph *g = lower_graph(s->program, LOWER_TRAIN, phase->name, phase->batch, s->diags);
        if (!g) return;
        GradientTable t = gradient_table(s, p, g);
        for (uint32_t l = 0; l < o->losses.n; l++) report_loss(s, &t, &o->losses.at[l], l);
        for (uint32_t i = 0; i < t.n_losses * t.n_models; i++)
            if (t.cells[i].best.reach == REACH_YES) trained[t.models[t.cells[i].model]] = true;
    }
    if (s->recipe->phases.n > 0) report_dead_models(s, trained);
}
