/* Statistics: what a reducer over `train` or `rows` gives is one value of the whole data set.  It is a variable,
 * so later formulas and objectives read it like a weight, and a checkpoint keeps it.  Rows come in blocks, as a
 * split comes in batches, so its value is cut as a metric's is (metric.c): a block's part is accumulated, the rest
 * is computed once.
 * A statistic of statistics needs rows again or not: with rows it is of the next level, another pass over all blocks;
 * without, it is computed where those of its own level are finished. */
#include "data.h"

/* ---- what a value is made of ---- */

typedef struct { bool rows, any; uint32_t level; } Made;

static int statistic_of_var(const DataWalk *w, uint32_t var) {
    const RecipeData *d = walk_recipe(w);
    for (uint32_t k = 0; k < w->statistics.n && k < d->statistics.n; k++) {
        if (str_eq(d->statistics.at[k].path, w->l->m->vars.at[var].path)) {
            return (int)k;
        }
    }
    return -1;
}

/* Marks in `used` (by number, may be NULL) the statistics that a value of the main graph reads. */
static Made made_of(const DataWalk *w, Val v, bool *used) {
    const Graph *g = w->l->main_graph;
    bool *live = PUSH(w->l->a, bool, v.i + 1);
    Made m = {0};
    live[v.i] = true;
    for (uint32_t i = v.i; i > 0; i--) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; live[i] && k < n->n; k++) {
            live[g->operands.at[n->first + k].i] = true;
        }
        if (!live[i] || n->op != OP_arg) {
            continue;
        }
        m.rows = m.rows || n->attr.arg.kind == ARG_COLUMN;
        int k = n->attr.arg.kind == ARG_VAR ? statistic_of_var(w, n->attr.arg.id) : -1;
        if (k >= 0) {
            uint32_t level = walk_recipe(w)->statistics.at[k].level;
            m.level = m.any && m.level > level ? m.level : level;
            m.any = true;
            if (used) {
                used[k] = true;
            }
        }
    }
    return m;
}

bool statistic_needed(const DataWalk *w, const Array *x) {
    return made_of(w, x->val, NULL).any;
}

/* ---- making one ---- */

static void declare(DataWalk *w, Str name, const Array *x, uint32_t level, Span at) {
    Lower *l = w->l;
    RecipeData *d = walk_recipe(w);
    RecipeStatistic s = {.dtype = x->dtype, .shape = array_shape(x), .level = level, .span = at};
    uint32_t number = name.n ? w->n_in_statement : d->statistics.n;
    do {                                        /* a statement before may have the name and be broken */
        s.path = name.n ? str_format(l->m->arena, "%.*s.%.*s.%u", FSTR(d->name), FSTR(name), number)
                        : str_format(l->m->arena, "%.*s.%u", FSTR(d->name), number);
        number++;
    } while (cell_find(l, s.path) != 0);
    bool fresh;
    uint32_t var = cell_var(l, VAR_STATE, s.path, s.dtype, s.shape, at, &fresh);
    s.path = l->m->vars.at[var].path;
    Build b = {l->p->init, at, name_id(l, s.path)};
    build_commit(&b, var, build_splat(&b, s.dtype, 0, s.shape));
    vec_push(l->m->arena, &d->statistics, s);
}

/* Number k of this walk, as it is read. */
static V reading(DataWalk *w, uint32_t k, const Array *x, Span at) {
    Lower *l = w->l;
    uint32_t var = cell_find(l, walk_recipe(w)->statistics.at[k].path) - 1;
    return value_array(l, at, array_make(l, cell_now(l, var), x->n_lead, x->lead, x->rank, x->dim));
}

static V make(DataWalk *w, Str name, Array x, bool derived, uint32_t level, Span at) {
    uint32_t k = w->statistics.n;
    if (w->stage.kind == STAGE_CHECK) {
        declare(w, name, &x, level, at);
    }
    vec_push(w->l->a, &w->statistics, ((Statistic){x, derived, false}));
    return reading(w, k, &x, at);
}

bool statistic_begin(Lower *l, Name over, Index **row, Array *mask) {
    DataWalk *w = l->data;
    const RecipeData *d = walk_recipe(w);
    if (l->scan) {
        Diag *diag = report(l, DIAG_DATA_DECL, over.at, "a statistic inside `scan` would be another one in every turn");
        diag_help(diag, "`collect` the values; behind the `scan` they have a dim for the turns: `mean[%.*s] path[t]`",
                  FSTR(over.text));
        return false;
    }
    bool train = str_is(over.text, "train"), parts = d->parts.n > 0;
    for (uint32_t i = 0; i < d->sources.n; i++) {
        parts = parts || d->sources.at[i].split.n > 0;
    }
    if (train && parts && !recipe_has_split(d, over.text)) {
        Diag *diag = report(l, DIAG_DATA_DECL, over.at, "data `%.*s` has no split `train`", FSTR(d->name));
        diag_help(diag, "`rows` are all of them, those of every split");
        return false;
    }
    V v = walk_input(w, over.at, str_format(l->a, "#%.*s", FSTR(over.text)), DT_BOOL, 0, NULL);
    *row = (Index *)w->row;
    *mask = v->array;
    return true;
}

V statistic_reduced(Lower *l, const Expr *e, V v) {
    DataWalk *w = l->data;
    if (v->kind != VAL_ARRAY) {
        return v;
    }
    Array x = v->array;
    Made m = made_of(w, x.val, NULL);
    w->n_in_statement++;
    return make(w, w->statement, x, false, m.any ? m.level + 1 : 0, e->at);
}

/* The name of a statistic itself, or of what is computed from statistics alone; NULL: it is neither. */
V statistic_bound(DataWalk *w, Name name, V v) {
    Lower *l = w->l;
    RecipeData *d = walk_recipe(w);
    if (v->kind != VAL_ARRAY || array_lead_of(&v->array, w->row) >= 0) {
        return NULL;
    }
    Made m = made_of(w, v->array.val, NULL);
    if (!m.any || m.rows) {
        return NULL;
    }
    const Node *n = node_of(l->main_graph, v->array.val);
    int k = n->op == OP_arg && n->attr.arg.kind == ARG_VAR ? statistic_of_var(w, n->attr.arg.id) : -1;
    V kept = v;
    if (k < 0 || w->statistics.at[k].bound) {
        w->n_in_statement = 0;
        k = (int)w->statistics.n;
        kept = make(w, name.text, v->array, true, m.level, name.at);
    }
    w->statistics.at[k].bound = true;
    if (w->stage.kind == STAGE_CHECK) {
        RecipeStatistic *s = &d->statistics.at[k];
        uint32_t var = cell_find(l, s->path) - 1;
        Str path = str_format(l->m->arena, "%.*s.%.*s", FSTR(d->name), FSTR(name.text));
        s->name = name.text;
        if (cell_find(l, path) == 0) {                  /* a name bound twice keeps the number of the second */
            cell_rename(l, var, path);
            s->path = path;
        }
    }
    return kept;
}

bool statistic_named(const DataWalk *w, Str name) {
    const RecipeData *d = walk_recipe(w);
    for (uint32_t k = 0; k < d->statistics.n; k++) {
        if (str_eq(d->statistics.at[k].name, name)) {
            return true;
        }
    }
    return false;
}

/* ---- what the stages hand out ---- */

/* What has a name is kept with a run, whether it is asked for now or not; a statistic that is used uses others. */
void statistic_marks(DataWalk *w) {
    Lower *l = w->l;
    RecipeData *d = walk_recipe(w);
    bool *used = PUSH(l->a, bool, w->statistics.n + 1);
    for (uint32_t i = 0; i < l->main_graph->outputs.n; i++) {
        made_of(w, l->main_graph->outputs.at[i].val, used);
    }
    for (uint32_t k = w->statistics.n; k-- > 0;) {
        used[k] = used[k] || d->statistics.at[k].name.n > 0;
        if (used[k]) {
            made_of(w, w->statistics.at[k].value.val, used);
        }
        d->statistics.at[k].used = used[k];
    }
}

static bool wanted(const DataWalk *w, uint32_t k) {
    const RecipeStatistic *s = &walk_recipe(w)->statistics.at[k];
    return w->stage.kind == STAGE_CHECK || (s->used && s->level == w->stage.n);
}

static Name name_of(const DataWalk *w, uint32_t k) {
    const RecipeStatistic *s = &walk_recipe(w)->statistics.at[k];
    return (Name){s->path, s->span};
}

static void accumulate(DataWalk *w) {
    for (uint32_t k = 0; k < w->statistics.n; k++) {
        if (wanted(w, k) && !w->statistics.at[k].derived) {
            metric_cut(w->l, w->decl, name_of(w, k), w->statistics.at[k].value.val, NULL, NULL, NULL);
        }
    }
    cell_commit(w->l);
}

/* Later ones of the level take the values from here: what the variables hold is of the run before. */
static void finish(DataWalk *w, Graph *to) {
    Lower *l = w->l;
    Build b = {to, w->decl->name.at, 0};
    Val *done = PUSH(l->a, Val, w->statistics.n + 1);
    for (uint32_t k = 0; k < w->statistics.n; k++) {
        if (!wanted(w, k)) {
            continue;
        }
        const RecipeStatistic *s = &walk_recipe(w)->statistics.at[k];
        Val *map = PUSH(l->a, Val, l->main_graph->nodes.n + 1);
        for (uint32_t j = 0; j < k; j++) {
            uint32_t var = cell_find(l, walk_recipe(w)->statistics.at[j].path) - 1;
            map[cell_now(l, var).i] = done[j];
        }
        if (metric_cut(l, w->decl, name_of(w, k), w->statistics.at[k].value.val, &b, map, &done[k])) {
            b.at = s->span;                             /* the cut has set them to those of the formula */
            b.name = name_id(l, s->path);
            graph_output(to, OUT_VALUE, b.name, done[k]);
            build_commit(&b, cell_find(l, s->path) - 1, done[k]);
        }
    }
}

void statistic_commit(DataWalk *w, Graph *to) {
    if (to) {
        finish(w, to);
    } else {
        accumulate(w);
    }
}

/* `jaco.share` in an objective. */
V statistic_field(Lower *l, uint32_t data, Name name) {
    RecipeData *d = &l->p->recipe->data.at[data];
    for (uint32_t k = d->statistics.n; k-- > 0;) {
        RecipeStatistic *s = &d->statistics.at[k];
        if (!str_eq(s->name, name.text)) {
            continue;
        }
        Dim dim[MAX_RANK];
        for (uint32_t i = 0; i < s->shape.rank; i++) {
            dim[i] = dim_const(l->a, s->shape.dim[i]);
        }
        bool fresh;                                     /* in a module aside, where a model is only looked at */
        uint32_t var = cell_var(l, VAR_STATE, s->path, s->dtype, s->shape, s->span, &fresh);
        return value_array(l, s->span, cell_array(l, var, s->shape.rank, dim));
    }
    if (data_broken(l->p, data)) {
        return value_poison(l);
    }
    Diag *diag = report(l, DIAG_NAME, name.at, "data `%.*s` has no statistic `%.*s`", FSTR(d->name),
                        FSTR(name.text));
    report_label(l, diag, d->span, "the data set");
    diag_help(diag, "a statistic is a name for what a reducer over `train` or `rows` gives: "
                    "`m = mean[train] x`");
    return value_poison(l);
}
