/* The graphs of a data set.  In its formulas every raw column carries the row as an index, so they are lowered as if
 * they stood in index form over rows.  All stages walk the same statements and differ in what they hand out (data.h).
 * A walk whose graph turns out not to need some column is done again without it: a column that nothing needs is a
 * zero, and never read. */
#include "data.h"
#include <string.h>

RecipeData *walk_recipe(const DataWalk *w) { return &w->l->p->recipe->data.at[w->data]; }

/* ---- inputs ---- */

static bool is_live(const DataWalk *w, Str name) {
    for (uint32_t i = 0; w->live && i < w->live->columns.n; i++) {
        if (str_eq(intern_str(w->l->m->names, w->live->columns.at[i].name), name)) {
            return w->live_columns[i];
        }
    }
    return w->live == NULL;
}

V walk_input(DataWalk *w, Span at, Str name, DType t, uint32_t rank, const int64_t *extent) {
    Lower *l = w->l;
    Dim dim[MAX_RANK];
    for (uint32_t k = 0; k < rank; k++) {
        dim[k] = dim_const(l->a, extent[k]);
    }
    if (!shape_fits(l, at, 1, &w->row, rank, dim)) {
        return value_poison(l);
    }
    if (!is_live(w, name)) {
        Shape s = {.rank = (uint8_t)(rank + 1), .dim = {DATA_BLOCK}};
        for (uint32_t k = 0; k < rank; k++) {
            s.dim[k + 1] = extent[k];
        }
        return value_array(l, at, array_make(l, build_splat(&l->b, t, 0, s), 1, &w->row, rank, dim));
    }
    Array x = column_array(l, name, t, &w->row->extent, rank, dim);
    return value_array(l, at, array_make(l, x.val, 1, &w->row, rank, dim));
}

typedef struct { Str name; bool found; } Mention;

static bool mention(void *user, const Expr *e) {
    Mention *m = user;
    m->found = m->found || (e->kind == EX_NAME && str_eq(e->name.text, m->name));
    return !m->found;
}

static bool mentioned(const DataWalk *w, Str name) {
    Mention m = {name, false};
    walk_block(&w->decl->data, mention, &m);
    return m.found;
}

/* `word.length` is mentioned where `word` is. */
static Str column_of_lengths(const RecipeColumn *c) {
    return (Str){c->name.s, c->name.n - (uint32_t)strlen(".length")};
}

static void bind_inputs(DataWalk *w) {
    RecipeData *d = walk_recipe(w);
    if (mentioned(w, STR("row"))) {
        scope_bind(w->l, (Name){STR("row"), w->decl->name.at},
                   walk_input(w, w->decl->name.at, STR("#row"), DT_I32, 0, NULL));
    }
    for (uint32_t i = 0; i < d->columns.n; i++) {
        const RecipeColumn *c = &d->columns.at[i];
        if (c->raw && mentioned(w, c->lengths ? column_of_lengths(c) : c->name)) {
            scope_bind(w->l, (Name){c->name, c->span},
                       walk_input(w, c->span, c->name, c->dtype, c->shape.rank, c->shape.dim));
        }
    }
}

/* The raw columns of the graph become inputs of the recipe. */
static void note_inputs(DataWalk *w) {
    RecipeData *d = walk_recipe(w);
    const Graph *g = w->l->main_graph;
    for (uint32_t i = 0; i < g->columns.n; i++) {
        Str name = intern_str(w->l->m->names, g->columns.at[i].name);
        bool listed = name.s[0] == '#';
        for (uint32_t k = 0; k < d->inputs.n; k++) {
            listed = listed || str_eq(d->inputs.at[k].name, name);
        }
        for (uint32_t k = 0; !listed && k < d->columns.n; k++) {
            if (str_eq(d->columns.at[k].name, name)) {
                vec_push(w->l->m->arena, &d->inputs, d->columns.at[k]);
            }
        }
    }
}

bool *walk_live(Arena *a, const Graph *g) {
    bool *live = PUSH(a, bool, g->nodes.n + 1);
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        live[g->outputs.at[i].val.i] = true;
    }
    for (uint32_t i = 0; i < g->effects.n; i++) {
        live[g->effects.at[i].i] = true;
    }
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; live[i] && k < n->n; k++) {
            live[g->operands.at[n->first + k].i] = true;
        }
    }
    return live;
}

/* By column of the graph; NULL when all of them are needed. */
static const bool *live_columns(Arena *a, const Graph *g) {
    const bool *live = walk_live(a, g);
    bool *columns = PUSH(a, bool, g->columns.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *node = &g->nodes.at[i];
        if (live[i] && node->op == OP_arg && node->attr.arg.kind == ARG_COLUMN) {
            n += !columns[node->attr.arg.id];
            columns[node->attr.arg.id] = true;
        }
    }
    return n < g->columns.n ? columns : NULL;
}

/* ---- outputs ---- */

void walk_output(DataWalk *w, Str name, Array x) {
    x = array_spread(w->l, x, 1, &w->row);
    graph_output(w->l->main_graph, OUT_VALUE, name_id(w->l, name), x.val);
}

/* A value of each row as an output of the graph, if the objective uses it; on the first walk, as a column. */
static void offer(DataWalk *w, Name name, V v, DType storage, int64_t bound) {
    Lower *l = w->l;
    RecipeData *d = walk_recipe(w);
    Array x;
    if (v->kind == VAL_POISON || !array_from(l, v, storage, &x)) {
        return;
    }
    uint32_t i = 0;
    while (i < d->columns.n && !str_eq(d->columns.at[i].name, name.text)) {
        i++;
    }
    if (w->stage.kind == STAGE_CHECK && i == d->columns.n) {
        RecipeColumn c = {.name = name.text, .dtype = storage, .bound = bound, .span = name.at};
        c.shape.rank = x.rank;
        for (uint32_t k = 0; k < x.rank; k++) {
            c.shape.dim[k] = dim_value(x.dim[k]);
        }
        vec_push(l->m->arena, &d->columns, c);
    } else if (w->stage.kind == STAGE_COLUMNS && i < d->columns.n && d->columns.at[i].used) {
        walk_output(w, name.text, x);
    }
}

/* ---- statements ---- */

/* The value in the type that the column is declared with, or poison. */
static V declared(Lower *l, const Stmt *st, V v, DType t, uint32_t rank, const Dim *dim) {
    Elem e;
    Name name = st->column.names.at[0];
    if (!value_elem(v, &e) || (e == ELEM_BOOL) != (t == DT_BOOL) ||
        (e == ELEM_REAL && dtype_elem(t) == ELEM_INT)) {
        Diag *d = report(l, DIAG_TYPE, st->column.value->at, "column `%.*s` is %s, its formula %.*s",
                         FSTR(name.text), dtype_name(t), FSTR(value_describe(l, v)));
        diag_help(d, "convert it: `int(..)`");
        return value_poison(l);
    }
    Array x;
    array_from(l, v, t, &x);
    bool same = x.rank == rank;
    for (uint32_t i = 0; same && i < rank; i++) {
        same = dim_eq(x.dim[i], dim[i]);
    }
    if (!same) {
        report(l, DIAG_SHAPE, st->column.value->at, "column `%.*s` is declared %.*s but comes out %.*s",
               FSTR(name.text), FSTR(sources_text(l->p->sources, st->column.type->at)),
               FSTR(array_describe(l, &x)));
        return value_poison(l);
    }
    return value_array(l, name.at, x);
}

static void formula_column(DataWalk *w, const Stmt *st) {
    Lower *l = w->l;
    DType t;
    uint32_t rank;
    Dim dim[MAX_RANK];
    int64_t bound;
    w->statement = st->column.names.at[0].text;
    V v = eval(l, st->column.value);
    if (!data_column_type(l, st, &t, &rank, dim, &bound) || v->kind == VAL_POISON) {
        v = value_poison(l);
    } else {
        v = declared(l, st, v, t, rank, dim);
    }
    for (uint32_t i = 0; i < st->column.names.n; i++) {
        scope_bind(l, st->column.names.at[i], v);
        vec_push(l->a, &w->typed, ((Typed){st->column.names.at[i].text, t, bound}));
    }
}

static void formula_bind(DataWalk *w, const Stmt *st) {
    Lower *l = w->l;
    w->statement = st->bind.targets.at[0].name.text;
    stmt_eval(l, st);
    for (uint32_t i = 0; i < st->bind.targets.n; i++) {
        Name name = st->bind.targets.at[i].name;
        const Binding *b = scope_find(l->frame, name.text);
        V kept = b ? statistic_bound(w, name, b->value) : NULL;
        if (kept) {
            scope_bind(l, name, kept);
        }
    }
}

/* What an input is called, and no column of its own. */
static bool is_input(const DataWalk *w, Str name) {
    const RecipeData *d = walk_recipe(w);
    for (uint32_t i = 0; i < d->columns.n; i++) {
        if (d->columns.at[i].raw && str_eq(d->columns.at[i].name, name)) {
            return true;
        }
    }
    return str_is(name, "row") || str_is(name, "episode") || str_is(name, "length");
}

/* Whatever has a name in the end and a value for each row is a column, of its declared type if it has one; a
 * statistic is none. */
static void offer_names(DataWalk *w) {
    Frame *f = w->l->frame;
    for (uint32_t i = 0; i < f->names.n; i++) {
        const Binding *b = &f->names.at[i];
        Elem e;
        if (!value_elem(b->value, &e) || is_input(w, b->name) || statistic_named(w, b->name)) {
            continue;
        }
        Typed t = {b->name, b->value->kind == VAL_ARRAY ? b->value->array.dtype : elem_dtype(e), 0};
        for (uint32_t k = 0; k < w->typed.n; k++) {
            t = str_eq(w->typed.at[k].name, b->name) ? w->typed.at[k] : t;
        }
        offer(w, (Name){b->name, b->at}, b->value, t.dtype, t.bound);
    }
}

static void statement(DataWalk *w, const Stmt *st) {
    w->l->b.at = st->at;
    w->n_in_statement = 0;
    w->statement = (Str){0};
    switch (st->kind) {
    case ST_COLUMN:
        if (st->column.value && !data_is_read(walk_recipe(w), st)) {
            formula_column(w, st);
        }
        return;
    case ST_BIND: formula_bind(w, st); return;
    case ST_DROP_DUPLICATES:
    case ST_DROP_WHERE:
    case ST_DROP_EPISODES:
    case ST_EPISODES: rows_clause(w, st); return;
    case ST_SPLIT: rows_group(w, st); return;
    case ST_SCAN:
    case ST_IF:
    case ST_MATCH:
    case ST_FOR:
    case ST_REPEAT: stmt_eval(w->l, st); return;
    case ST_FROM:
    case ST_REQUIRE:                    /* data.c has asked */
    case ST_ERROR:
    case ST_PARAM:                      /* refused there */
    case ST_STATE:
    case ST_UPDATE:
    case ST_INSTANCE:
    case ST_COLLECT:
    case ST_LOSS:
    case ST_METRIC:
    case ST_WATCH:
    case ST_ALARM:
    case ST_COUNT: return;
    }
}

static void walk(DataWalk *w, Str name, Diags *ds) {
    Lower *l = lower_begin(w->l->p, LOWER_DATA, name, DATA_BLOCK, ds);
    w->l = l;
    l->data = w;
    const Decl *decl = w->decl;
    Frame *f = frame_push(l, FRAME_DATA, decl, decl->name.at);
    f->path = f->stream = decl->name.text;
    f->model = (Str){0};
    Extent *rows = PUSH(l->a, Extent, 1);
    *rows = (Extent){++l->next_extent, STR("rows"), decl->name.at, DATA_BLOCK, NULL};
    Index *row = PUSH(l->a, Index, 1);
    *row = (Index){.name = {STR("row"), decl->name.at}, .birth = ++l->births,
                   .extent = dim_of_extent(l->a, rows)};
    f->ambient[f->n_ambient++] = row;
    w->row = row;
    bind_inputs(w);
    for (uint32_t i = 0; i < decl->data.stmts.n && !w->over; i++) {
        statement(w, decl->data.stmts.at[i]);
    }
    offer_names(w);
    frame_pop(l);
}

static Graph *finish_graph(DataWalk *w, Str name) {
    Graph *finish = graph_create(w->l->m, name);
    statistic_commit(w, finish);
    return finish;
}

/* What the graph of a stage is called behind `data.`. */
static Str stage_name(Arena *a, Str data, Stage s) {
    static const char *const words[] = {[STAGE_CHECK] = "",     [STAGE_COLUMNS] = "", [STAGE_ROWS] = ".rows",
                                        [STAGE_GROUPS] = ".groups", [STAGE_BEGIN] = ".begin",
                                        [STAGE_PART] = ".part",  [STAGE_FINISH] = ".finish"};
    bool numbered = s.kind != STAGE_CHECK && s.kind != STAGE_COLUMNS && s.kind != STAGE_BEGIN;
    Str number = numbered ? str_format(a, "%u", s.n) : (Str){0};
    return str_format(a, "data.%.*s%s%.*s", FSTR(data), words[s.kind], FSTR(number));
}

static Graph *lower_stage(Program *p, uint32_t data, Stage stage, Diags *ds) {
    Lower start = {.p = p};
    const Decl *decl = data_decl(p, data);
    Str name = stage_name(p->arena, p->recipe->data.at[data].name, stage);
    DataWalk first = {.l = &start, .decl = decl, .data = data, .stage = stage};
    walk(&first, name, ds);
    if (stage.kind == STAGE_FINISH) {
        return finish_graph(&first, name);
    }
    if (stage.kind == STAGE_PART) {
        statistic_commit(&first, NULL);
    }
    if (stage.kind == STAGE_CHECK) {
        statistic_commit(&first, NULL);
        renew_decide(&first);
        return first.l->main_graph;
    }
    if (stage.kind == STAGE_COLUMNS) {
        statistic_marks(&first);
    }
    const bool *live = live_columns(p->arena, first.l->main_graph);
    DataWalk second = {.l = &start, .decl = decl, .data = data, .stage = stage, .live = first.l->main_graph,
                       .live_columns = live};
    if (live) {
        walk(&second, name, ds);
        if (stage.kind == STAGE_PART) {
            statistic_commit(&second, NULL);
        }
    }
    DataWalk *w = live ? &second : &first;
    note_inputs(w);
    return w->l->main_graph;
}

void data_check(Program *p, uint32_t data) {
    uint32_t errors = diags_errors(p->ds);
    lower_stage(p, data, (Stage){STAGE_CHECK, 0}, p->ds);
    p->broken_data.at[data] = p->broken_data.at[data] || diags_errors(p->ds) > errors;
}

/* `jaco`, `jaco.rows2`: a data set and one of its stages. */
static bool read_name(Program *p, Str name, uint32_t *data, Stage *stage) {
    static const struct { const char *word; StageKind kind; } stages[] = {
        {"rows", STAGE_ROWS}, {"groups", STAGE_GROUPS}, {"begin", STAGE_BEGIN}, {"part", STAGE_PART},
        {"finish", STAGE_FINISH}};
    uint32_t dot = name.n;
    while (data_find(p, name) == 0 && dot > 0 && name.s[dot - 1] != '.') {
        dot--;
    }
    dot -= dot < name.n && dot > 0;                     /* where the stage begins; the name may have dots too */
    *data = data_find(p, (Str){name.s, dot}) - 1;
    *stage = (Stage){STAGE_COLUMNS, 0};
    for (uint32_t i = 0; i < sizeof stages / sizeof *stages && dot < name.n; i++) {
        Str rest = {name.s + dot + 1, name.n - dot - 1};
        if (str_starts(rest, stages[i].word)) {
            stage->kind = stages[i].kind;
            for (uint32_t k = (uint32_t)strlen(stages[i].word); k < rest.n; k++) {
                stage->n = stage->n * 10 + (uint32_t)(rest.s[k] - '0');
            }
        }
    }
    return *data != UINT32_MAX;
}

Graph *data_lower(Program *p, Str name, Diags *ds) {
    uint32_t data;
    Stage stage;
    if (!read_name(p, name, &data, &stage)) {
        return NULL;
    }
    if (stage.kind == STAGE_BEGIN) {
        Str graph = stage_name(p->arena, p->recipe->data.at[data].name, stage);
        Lower *l = lower_begin(p, LOWER_DATA, graph, 0, ds);
        metric_begin(l, data_decl(p, data));
        return l->main_graph;
    }
    return lower_stage(p, data, stage, ds);
}
