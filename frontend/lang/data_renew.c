/* Does a data set have new rows in each epoch?  An epoch has a number of steps that is known before the run, so which
 * rows there are must not depend on the draws that make them: a `drop`, the end of an episode, the groups of a split.
 * The first such clause settles it: then all rows are made once.  Values that `ahead` takes may be drawn; they are
 * followed to where they are used. */
#include "data.h"

static bool graph_draws(const Graph *g) {
    bool draws = false;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        draws = draws || n->op == OP_random || (n->op == OP_scan && graph_draws(n->attr.scan->body));
    }
    return draws;
}

static bool node_draws(const DataWalk *w, const Graph *g, const Node *n) {
    if (n->op == OP_scan) {
        return graph_draws(n->attr.scan->body);
    }
    if (n->op != OP_arg || n->attr.arg.kind != ARG_COLUMN) {
        return n->op == OP_random;
    }
    Str column = intern_str(w->l->m->names, g->columns.at[n->attr.arg.id].name);
    for (uint32_t i = 0; i < w->drawn.n; i++) {
        if (str_eq(column, str_format(w->l->a, "#ahead%u", w->drawn.at[i]))) {
            return true;
        }
    }
    return false;
}

bool renew_draws(const DataWalk *w, Val v) {
    const Graph *g = w->l->main_graph;
    bool *live = PUSH(w->l->a, bool, v.i + 1), draws = false;
    live[v.i] = true;
    for (uint32_t i = v.i; i > 0 && !draws; i--) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; live[i] && k < n->n; k++) {
            live[g->operands.at[n->first + k].i] = true;
        }
        draws = live[i] && node_draws(w, g, n);
    }
    return draws;
}

void renew_clause(DataWalk *w, Val v, Span at) {
    RecipeData *d = walk_recipe(w);
    if (w->stage.kind == STAGE_CHECK && d->settled.n == 0 && renew_draws(w, v)) {
        d->settled = at;
    }
}

void renew_decide(DataWalk *w) {
    RecipeData *d = walk_recipe(w);
    for (uint32_t i = 0; i < d->sources.n; i++) {
        const RecipeSource *s = &d->sources.at[i];
        d->renews = d->renews || (s->reader == READER_FRESH && (s->split.n == 0 || str_is(s->split, "train")));
    }
    d->renews = d->renews && recipe_has_split(d, STR("train")) && graph_draws(w->l->main_graph);
    if (!d->renews) {
        d->settled = (Span){0};                         /* there is nothing to say of it */
    }
    d->renews = d->renews && d->settled.n == 0;
}
