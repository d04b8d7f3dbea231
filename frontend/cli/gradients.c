/* Gradient reachability of each loss term and each model, from the lowered training graph, before autodiff.  A
 * loss that reaches nothing has been refused by then (frontend/lang/reach.c). */
#include "gradients.h"
#include "facts.h"

static bool add_model(uint32_t *models, uint32_t *n, uint32_t name) {
    for (uint32_t i = 0; i < *n; i++)
        if (models[i] == name) return false;
    models[(*n)++] = name;
    return true;
}

Val gradient_loss(const Graph *g, uint32_t loss) {
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.at[i].kind == OUT_LOSS && loss-- == 0) return g->outputs.at[i].val;
    return (Val){0};
}

/* The parameters of a model, or (model == NULL) of all. */
static void mark_parameters(const Session *s, const Graph *g, const uint32_t *model, bool *from) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op != OP_arg || n->attr.arg.kind != ARG_VAR) continue;
        const Var *v = &s->module->vars.at[n->attr.arg.id];
        from[i] = v->kind == VAR_PARAM && (model == NULL || v->model == *model);
    }
}

static bool compares(Op op) {
    return op == OP_lt || op == OP_le || op == OP_eq || op == OP_isnan || op == OP_and || op == OP_or || op == OP_not;
}

static bool has_cause(const Cuts *cuts, Val by, bool mask) {
    for (uint32_t i = 0; i < cuts->n; i++)
        if (val_eq(cuts->at[i].by, by) && (cuts->at[i].mask || !mask)) return true;
    return false;
}

static bool written_here(const Session *s, const Node *n) {
    return n->span.n > 0 && program_library_name(s->program, n->span).n == 0;
}

/* As it is written; windows and `logsumexp` stop gradients to state their own. */
static bool stop_written(const Session *s, const Node *n) {
    Str text = sources_text(s->files, n->span);
    for (; text.n > 0; text.s++, text.n--)
        if (str_starts(text, "stop_gradient") || str_starts(text, "straight_through")) return true;
    return false;
}

/* A choice by comparing is how a piecewise function is written, an order is how values are sorted, and the library
 * knows what it does. */
static Cuts worth_telling(Session *s, const Graph *g, const Cuts *all) {
    Cuts out = {0};
    for (uint32_t i = 0; i < all->n; i++) {
        Cut c = all->at[i];
        const Node *by = node_of(g, c.by);
        if (!written_here(s, by) || by->op == OP_argsort) continue;
        if (by->op == OP_grad_as && !stop_written(s, by)) continue;
        if (compares((Op)by->op) && has_cause(all, c.by, true)) continue;
        c.mask = c.mask && written_here(s, node_of(g, c.into));
        if (!has_cause(&out, c.by, false)) vec_push(s->arena, &out, c);
        for (uint32_t k = 0; k < out.n && c.mask; k++)
            if (val_eq(out.at[k].by, c.by)) out.at[k] = c;
    }
    return out;
}

/* Which models a loss reaches otherwise than through its masks. */
static void mark_masked(Session *s, GradientTable *t, uint32_t loss, bool *from, bool *closed, Reached *reach) {
    bool any = false;
    for (uint32_t i = 0; i < t->cuts[loss].n; i++) {
        const Cut *c = &t->cuts[loss].at[i];
        closed[c->into.i] = c->mask;
        any = any || c->mask;
    }
    for (uint32_t m = 0; m < t->n_models && any; m++) {
        GradientCell *cell = &t->cells[loss * t->n_models + m];
        mark_parameters(s, t->graph, &t->models[m], from);
        reach_from(s->arena, t->graph, from, closed, reach);
        cell->masked = cell->way.reach == REACH_YES && reach[gradient_loss(t->graph, loss).i].reach != REACH_YES;
    }
    for (uint32_t i = 0; i < t->cuts[loss].n; i++) closed[t->cuts[loss].at[i].into.i] = false;
}

GradientTable gradient_table(Session *s, uint32_t objective, const Graph *train) {
    GradientTable t = {.graph = train, .n_losses = s->recipe->objectives.at[objective].losses.n};
    t.models = PUSH(s->arena, uint32_t, s->module->vars.n + 1);
    for (uint32_t i = 0; i < s->module->vars.n; i++)
        if (s->module->vars.at[i].kind == VAR_PARAM) add_model(t.models, &t.n_models, s->module->vars.at[i].model);
    t.cells = PUSH(s->arena, GradientCell, t.n_losses * t.n_models + 1);   /* zero: REACH_NONE */
    t.cuts = PUSH(s->arena, Cuts, t.n_losses + 1);
    Reached *reach = PUSH(s->arena, Reached, train->nodes.n);
    bool *from = PUSH(s->arena, bool, train->nodes.n), *closed = PUSH(s->arena, bool, train->nodes.n);
    for (uint32_t m = 0; m < t.n_models; m++) {
        mark_parameters(s, train, &t.models[m], from);
        reach_from(s->arena, train, from, NULL, reach);
        for (uint32_t l = 0; l < t.n_losses; l++)
            t.cells[l * t.n_models + m].way = reach[gradient_loss(train, l).i];
    }
    mark_parameters(s, train, NULL, from);
    reach_from(s->arena, train, from, NULL, reach);
    t.learned = PUSH(s->arena, bool, train->nodes.n);
    for (uint32_t i = 1; i < train->nodes.n; i++) t.learned[i] = reach[i].reach == REACH_YES;
    for (uint32_t l = 0; l < t.n_losses; l++) {
        Cuts all = {0};
        reach_cuts(s->arena, train, reach, gradient_loss(train, l), &all);
        t.cuts[l] = worth_telling(s, train, &all);
    }
    for (uint32_t l = 0; l < t.n_losses; l++) mark_masked(s, &t, l, from, closed, reach);
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
            if (t.cells[k].way.reach == REACH_YES) trained[k % t.n_models] = true;
    }
    report_dead_models(s, t.models, t.n_models, trained);
}
