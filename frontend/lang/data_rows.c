/* Clauses about rows: which of them go, where episodes end, what is kept together by a split; and values of other rows,
 * `ahead` and `window`, which are columns that the runtime gathers.  Each is a step of the recipe, in text order, and
 * its formula is the output of a stage of its own. */
#include "data.h"
#include <string.h>

static const char k_where[] = "before rows are split there are no statistics yet";

/* The step that this walk meets next: new in the first walk. */
static uint32_t next_step(DataWalk *w, RowsKind kind, Span at) {
    if (w->stage.kind == STAGE_CHECK) {
        vec_push(w->l->m->arena, &walk_recipe(w)->rows, ((RecipeRows){.kind = kind, .span = at, .every = 1}));
    }
    return w->n_rows++;
}

static bool of_rows(DataWalk *w, const Expr *e, Array *x) {
    Lower *l = w->l;
    if (!eval_array(l, e, x)) {
        return false;
    }
    if (statistic_needed(w, x)) {
        Diag *d = report(l, DIAG_DATA_DECL, e->at, "this depends on a statistic");
        diag_note(d, "%s", k_where);
        return false;
    }
    return true;
}

/* A raw column as it is, or something computed. */
static RecipeColumn value_of(DataWalk *w, const Expr *e, Str name, const Array *x) {
    RecipeColumn c = {.name = name, .dtype = x->dtype, .span = e->at};
    for (uint32_t i = 0; i < x->rank; i++) {
        c.shape.dim[c.shape.rank++] = dim_value(x->dim[i]);
    }
    const Graph *g = w->l->main_graph;
    const Node *n = node_of(g, x->val);
    if (n->op == OP_arg && n->attr.arg.kind == ARG_COLUMN) {
        Str column = intern_str(w->l->m->names, g->columns.at[n->attr.arg.id].name);
        if (column.s[0] != '#') {
            c.name = column;
            c.raw = true;
        }
    }
    return c;
}

static void list_input(DataWalk *w, Str raw) {
    RecipeData *d = walk_recipe(w);
    for (uint32_t i = 0; i < d->inputs.n; i++) {
        if (str_eq(d->inputs.at[i].name, raw)) {
            return;
        }
    }
    for (uint32_t i = 0; i < d->columns.n; i++) {
        if (str_eq(d->columns.at[i].name, raw)) {
            vec_push(w->l->m->arena, &d->inputs, d->columns.at[i]);
        }
    }
}

/* One value of step `k`, number `i` of it. */
static void step_value(DataWalk *w, uint32_t k, uint32_t i, const Expr *e, Array x) {
    RecipeData *d = walk_recipe(w);
    if (w->stage.kind == STAGE_CHECK) {
        if (d->rows.at[k].kind != ROWS_AHEAD) {
            renew_clause(w, x.val, d->rows.at[k].span);
        } else if (renew_draws(w, x.val)) {
            vec_push(w->l->a, &w->drawn, k);
        }
        Str name = str_format(w->l->m->arena, "value%u", i);
        RecipeColumn c = value_of(w, e, name, &x);
        vec_push(w->l->m->arena, &d->rows.at[k].values, c);
        d->has_graph = d->has_graph || !c.raw;
        if (c.raw) {
            list_input(w, c.name);
        }
    } else if (w->stage.kind == STAGE_ROWS && w->stage.n == k && !d->rows.at[k].values.at[i].raw) {
        walk_output(w, d->rows.at[k].values.at[i].name, x);
    }
}

static void end_step(DataWalk *w, uint32_t k) {
    w->over = w->stage.kind == STAGE_ROWS && w->stage.n == k;
}

/* ---- clauses ---- */

static void duplicates(DataWalk *w, const Stmt *s) {
    uint32_t k = next_step(w, ROWS_DROP_DUPLICATES, s->at);
    for (uint32_t i = 0; i < s->duplicates.of.n; i++) {
        Array x;
        if (of_rows(w, s->duplicates.of.at[i], &x)) {
            step_value(w, k, i, s->duplicates.of.at[i], x);
        }
    }
    end_step(w, k);
}

static void condition(DataWalk *w, const Stmt *s, RowsKind kind) {
    Lower *l = w->l;
    uint32_t k = next_step(w, kind, s->at);
    const Expr *e = s->where.cond;
    Array x;
    if (!of_rows(w, e, &x)) {
        return;
    }
    if (x.rank > 0 || x.n_lead > 1 || dtype_elem(x.dtype) == ELEM_REAL ||
        (x.dtype != DT_BOOL && kind != ROWS_EPISODES)) {
        Diag *d = report(l, DIAG_TYPE, e->at, "a row is asked for one bool, this is %.*s",
                         FSTR(array_describe(l, &x)));
        diag_help(d, x.rank > 0 ? "`any[..] (..)` or `all[..] (..)` make one of many" : "compare it: `x > 0`");
        return;
    }
    if (x.dtype != DT_BOOL) {                           /* `terminals` is often stored as 0 and 1 */
        x = array_make(l, build_2(&l->b, OP_lt, build_const(&l->b, DT_I32, 0), array_cast(l, x, DT_I32).val),
                       x.n_lead, x.lead, 0, NULL);
    }
    step_value(w, k, 0, e, x);
    end_step(w, k);
}

static void bind_number(DataWalk *w, const char *name, const char *input) {
    Span at = w->decl->name.at;
    scope_bind(w->l, (Name){str_of(name), at}, walk_input(w, at, str_of(input), DT_I32, 0, NULL));
}

static void episodes(DataWalk *w, const Stmt *s) {
    if (w->episodes) {
        report(w->l, DIAG_TWICE, s->at, "where episodes end is said already");
    }
    condition(w, s, ROWS_EPISODES);
    w->episodes = true;
    bind_number(w, "episode", "#episode");
    bind_number(w, "length", "#length");
}

void rows_clause(DataWalk *w, const Stmt *s) {
    if (s->kind == ST_DROP_DUPLICATES) {
        duplicates(w, s);
    } else if (s->kind == ST_EPISODES) {
        episodes(w, s);
    } else if (s->kind == ST_DROP_WHERE) {
        condition(w, s, ROWS_DROP_WHERE);
    } else if (w->episodes) {
        condition(w, s, ROWS_DROP_EPISODES);
    } else {
        Diag *d = report(w->l, DIAG_DATA_DECL, s->at, "nothing says where an episode ends");
        diag_help(d, "`episodes end where c`, before this line");
    }
}

/* `split .. by c` */
void rows_group(DataWalk *w, const Stmt *s) {
    RecipeData *d = walk_recipe(w);
    uint32_t k = w->n_splits++;
    Array x;
    if (s->split.by == NULL || !of_rows(w, s->split.by, &x)) {
        return;
    }
    if (w->stage.kind == STAGE_CHECK && k < d->splits.n) {
        renew_clause(w, x.val, s->at);
        d->splits.at[k].group = value_of(w, s->split.by, STR("value0"), &x);
        if (d->splits.at[k].group.raw) {
            list_input(w, d->splits.at[k].group.name);
        }
    } else if (w->stage.kind == STAGE_GROUPS && w->stage.n == k) {
        walk_output(w, STR("value0"), x);
        w->over = true;
    }
}

/* ---- values of other rows ---- */

static bool whole_number(Lower *l, V v, const char *what, int64_t lo, int64_t *out) {
    if (v->kind != VAL_DIM && v->kind != VAL_UNIFORM) {
        report(l, DIAG_CALL, v->at, "%s is a number of the program, this is %.*s", what,
               FSTR(value_describe(l, v)));
        return false;
    }
    double x = uniform_now(l, value_inst(l, v));
    if (!(x >= (double)lo && x < 0x1p30) || x != (double)(int64_t)x) {
        report(l, DIAG_CALL, v->at, "%s is a whole number from %lld on, this is %g", what, (long long)lo, x);
        return false;
    }
    *out = (int64_t)x;
    return true;
}

/* Is the value made of values of other rows itself? */
static bool reads_ahead(const DataWalk *w, Val v) {
    const Graph *g = w->l->main_graph;
    bool *live = PUSH(w->l->a, bool, v.i + 1), found = false;
    live[v.i] = true;
    for (uint32_t i = v.i; i > 0; i--) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; live[i] && k < n->n; k++) {
            live[g->operands.at[n->first + k].i] = true;
        }
        found = found || (live[i] && n->op == OP_arg && n->attr.arg.kind == ARG_COLUMN &&
                          str_starts(intern_str(w->l->m->names, g->columns.at[n->attr.arg.id].name), "#ahead"));
    }
    return found;
}

/* `ahead(x, k)`: what x is k rows later; `window(x, k, every = n)`: x of this row and of the k - 1 behind it. */
V rows_ahead(Lower *l, const Expr *e, V v, V number, V every, bool window) {
    DataWalk *w = l->data;
    const char *word = window ? "window" : "ahead";
    if (w == NULL || l->frame->kind != FRAME_DATA || l->scan) {
        Diag *d = report(l, DIAG_CALL, e->at, "`%s` is of the rows of a data set", word);
        diag_help(d, "make a column of it in `data`");
        return value_poison(l);
    }
    int64_t k, n = 1;
    if (!whole_number(l, number, window ? "the length of a window" : "how far ahead", window ? 1 : 0, &k) ||
        (every && !whole_number(l, every, "the step of windows", 1, &n))) {
        return value_poison(l);
    }
    Array x = v->kind == VAL_ARRAY ? v->array : (Array){0};
    if (v->kind != VAL_ARRAY || x.n_lead != 1 || x.lead[0] != w->row || statistic_needed(w, &x)) {
        report(l, DIAG_CALL, v->at, "`%s` takes a value of the row, without indices or statistics", word);
        return value_poison(l);
    }
    uint32_t step = next_step(w, ROWS_AHEAD, e->at);
    if (w->stage.kind == STAGE_CHECK) {
        RecipeRows *r = &walk_recipe(w)->rows.at[step];
        r->offset = window ? 0 : k;
        r->count = window ? k : 1;
        r->every = n;
        r->nested = reads_ahead(w, x.val);
    }
    step_value(w, step, 0, e, x);
    int64_t dim[MAX_RANK + 1];
    uint32_t rank = 0;
    if (window) {
        dim[rank++] = k;
    }
    if (x.rank + 1u + rank > MAX_RANK) {
        report(l, DIAG_SHAPE, e->at, "a tensor of more than %d dims", MAX_RANK);
        return value_poison(l);
    }
    for (uint32_t i = 0; i < x.rank; i++) {
        dim[rank++] = dim_value(x.dim[i]);
    }
    end_step(w, step);
    return walk_input(w, e->at, str_format(l->a, "#ahead%u", step), x.dtype, rank, dim);
}
