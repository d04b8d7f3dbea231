/* Objectives: a batch comes in, losses and metrics come out.  The same text is lowered for training and for
 * evaluation; what differs is `training`.  The total is the sum of weight times loss in text order, through
 * mulz, so that a weight of 0 removes a term and its gradient whatever its value. */
#include "lower.h"

Lower *lower_begin(Program *p, LowerKind kind, Str graph, int64_t rows, Diags *ds) {
    Lower *l = PUSH(p->arena, Lower, 1);
    *l = (Lower){.p = p, .a = p->arena, .ds = ds, .m = p->module, .kind = kind};
    l->main_graph = graph_create(p->module, graph);
    l->main_graph->rows = rows;
    l->b.g = l->main_graph;
    frame_push(l, FRAME_FILE, NULL, (Span){0});
    return l;
}

/* ---- batches ---- */

/* A column of the graph's batch as a tensor; its node stands in the main graph, once. */
Array column_array(Lower *l, Str name, DType t, const Dim *rows, uint32_t rank, const Dim *dim) {
    Graph *g = l->main_graph;
    uint32_t id = name_id(l, name), k = 0;
    Array x = {.graph = g, .dtype = t};
    if (rows) {
        x.dim[x.rank++] = *rows;
    }
    for (uint32_t i = 0; i < rank; i++) {
        x.dim[x.rank++] = dim[i];
    }
    while (k < g->columns.n && g->columns.at[k].name != id) {
        k++;
    }
    if (k == g->columns.n) {
        vec_push(g->arena, &g->columns, (Column){id, t, array_shape(&x)});
    }
    Build outer = l->b;
    l->b = (Build){g, outer.at, id};
    x = array_make(l, build_arg(&l->b, ARG_COLUMN, k, (Type){t, g->columns.at[k].shape}), 0, NULL, x.rank,
                   x.dim);
    l->b = outer;
    return x;
}

const char *batch_counter(uint32_t i) {
    static const char *const counters[MOST_BATCHES] = {"rows", "rows2", "rows3", "rows4"};
    return counters[i];
}

V batch_argument(Lower *l, const Param *p, const Decl *data, uint32_t i, int64_t rows) {
    const TypeSyntax *t = p->type;
    uint32_t id = data_find(l->p, t->base.text);
    bool fits = id && t->has_dims && t->dims.n == 1 && t->dims.at[0].kind == DIM_EXPR &&
                t->dims.at[0].expr->kind == EX_NAME;
    if (!fits) {
        Diag *d = report(l, DIAG_TYPE, t->at, "a batch is `%.*s[N]`, with a name for its rows",
                         FSTR(data->name.text));
        report_label(l, d, data->name.at, "the data set");
        return value_poison(l);
    }
    Extent *e = PUSH(l->a, Extent, 1);
    Name name = t->dims.at[0].expr->name;
    *e = (Extent){++l->next_extent, name.text, name.at, rows, batch_counter(i)};
    scope_bind(l, name, value_dim(l, name.at, dim_of_extent(l->a, e)));
    Batch *b = PUSH(l->a, Batch, 1);
    Str full = l->p->recipe->data.at[id - 1].name;
    *b = (Batch){data, id - 1, e, i ? str_format(l->a, "%.*s.", FSTR(full)) : (Str){0}};
    Value *v = PUSH(l->a, Value, 1);
    *v = (Value){.kind = VAL_BATCH, .at = p->name.at, .batch = b};
    return v;
}

bool batch_has(const Lower *l, const Batch *b, Str column) {
    const RecipeData *d = &l->p->recipe->data.at[b->data_id];
    for (uint32_t i = 0; i < d->columns.n; i++) {
        if (str_eq(d->columns.at[i].name, column)) {
            return true;
        }
    }
    return false;
}

V batch_column(Lower *l, Batch *b, Name name) {
    RecipeData *d = &l->p->recipe->data.at[b->data_id];
    for (uint32_t i = 0; i < d->columns.n; i++) {
        RecipeColumn *c = &d->columns.at[i];
        if (!str_eq(c->name, name.text)) {
            continue;
        }
        c->used = true;
        Dim rows = dim_of_extent(l->a, b->rows), dim[MAX_RANK + 1] = {rows};
        for (uint32_t k = 0; k < c->shape.rank; k++) {
            dim[k + 1] = dim_const(l->a, c->shape.dim[k]);
        }
        if (!shape_fits(l, name.at, 0, NULL, c->shape.rank + 1u, dim)) {
            return value_poison(l);
        }
        Str column = b->prefix.n ? str_format(l->a, "%.*s%.*s", FSTR(b->prefix), FSTR(c->name)) : c->name;
        return value_array(l, c->span, column_array(l, column, c->dtype, &rows, c->shape.rank, dim + 1));
    }
    if (data_broken(l->p, b->data_id)) {
        return value_poison(l);
    }
    Diag *diag =
        report(l, DIAG_NAME, name.at, "data `%.*s` has no column `%.*s`", FSTR(d->name), FSTR(name.text));
    report_label(l, diag, d->span, "the data set");
    Buf names = buf_make(l->a);
    Nearest near = nearest_to(name.text);
    for (uint32_t i = 0; i < d->columns.n; i++) {
        buf_printf(&names, "%s`%.*s`", i ? ", " : "", FSTR(d->columns.at[i].name));
        nearest_consider(&near, d->columns.at[i].name);
    }
    report_near(diag, &near);
    if (names.n > 0) {
        diag_help(diag, "its columns are %.*s", FSTR(buf_str(&names)));
    } else {
        diag_help(diag, "it declares none: `%.*s : real` (`real[8]`, `u8[28, 28]`) behind `from` makes one",
                  FSTR(name.text));
    }
    return value_poison(l);
}

/* ---- losses ---- */

static bool weight_of(Lower *l, const Stmt *s, Val *out) {
    *out = build_const(&l->b, DT_F32, 1);
    if (s->loss.weight == NULL) {
        return true;
    }
    V w = uniform_expr(l, s->loss.weight);
    if (w->kind == VAL_DIM || w->kind == VAL_UNIFORM) {
        *out = uniform_val(l, w, DT_F32);
        return true;
    }
    if (w->kind != VAL_POISON) {
        Diag *d =
            report(l, DIAG_TYPE, s->loss.weight->at,
                   "a weight is a number of settings and counters, this is %.*s", FSTR(value_describe(l, w)));
        diag_help(d, "a factor that depends on data belongs into the loss itself");
    }
    return false;
}

void objective_loss(Lower *l, const Stmt *s) {
    Name name = s->loss.target.name;
    if (l->frame->kind != FRAME_OBJECTIVE) {
        Diag *d = report(l, DIAG_TYPE, s->at, "a loss belongs into an objective");
        diag_help(d, "give the number back, and say `loss %.*s = ..` where this is called", FSTR(name.text));
        return;
    }
    if (l->scan) {
        Diag *d = report(l, DIAG_METRIC, s->at, "a loss inside `scan` would have a value in every turn");
        diag_help(d, "`collect` it, and behind the `scan` say `loss %.*s = sum[..] ..` of what was collected",
                  FSTR(name.text));
        return;
    }
    if (!monitor_name_is_new(l, name)) {
        return;
    }
    V v = index_form(l, &s->loss.target, s->loss.value);
    LossTerm term = {.name = name, .at = s->loss.value->at, .nograd = s->loss.nograd, .poison = true};
    Elem e;
    Array x;
    bool weighted = weight_of(l, s, &term.weight);
    if (v->kind != VAL_POISON &&
        (!value_elem(v, &e) || e == ELEM_BOOL || !array_from(l, v, DT_F32, &x) || x.rank > 0)) {
        Diag *d = report(l, DIAG_SHAPE, s->loss.value->at, "loss `%.*s` is %.*s, not one number",
                         FSTR(name.text), FSTR(value_describe(l, v)));
        if (v->kind == VAL_FUNCTION) {
            function_lacks(l, d, v);
        } else {
            diag_help(d, "say how it is reduced: `mean[..] (..)`, or `mean[n] sum[d] ..`");
        }
        v = value_poison(l);
    }
    if (v->kind != VAL_POISON && weighted) {
        term.value = x.val;
        term.poison = false;
        v = value_array(l, name.at, x);
    }
    vec_push(l->a, &l->losses, term);
    monitor_bind(l, name, v, name.text);
}

static void poison_argument(Lower *l, const Param *p) {
    scope_bind(l, p->name, value_poison(l));
    for (uint32_t i = 0; p->type && p->type->has_dims && i < p->type->dims.n; i++) {
        const DimSyntax *d = &p->type->dims.at[i];
        if (d->kind == DIM_EXPR && d->expr->kind == EX_NAME) {
            scope_bind(l, d->expr->name, value_poison(l));
        }
    }
}

/* The argument of an objective is of no data set: misspelt, of another type, or without one. */
static void no_batch(Lower *l, const Param *p, const Decl *other) {
    DType element;
    if (p->type && module_unread(l, p->type->base.text)) {
        return; /* said where it is used */
    }
    if (p->type && p->type->kind == TYPE_PLAIN && other == NULL && !type_element(p->type, &element)) {
        Diag *d = report(l, DIAG_NAME, p->type->base.at, "there is no data set `%.*s`", FSTR(p->type->base.text));
        Nearest near = nearest_to(p->type->base.text);
        for (uint32_t i = 0; i < l->p->recipe->data.n; i++) {
            nearest_consider(&near, l->p->recipe->data.at[i].name);
        }
        report_near(d, &near);
        return;
    }
    report(l, DIAG_TYPE, p->name.at, "an objective takes a batch of a data set: `b : d[N]`");
}

/* Another data set than those before it. */
static bool batch_fits(Lower *l, const Decl *d, uint32_t i) {
    const ParamVec *args = &d->function.sig.args;
    if (i >= MOST_BATCHES) {
        report(l, DIAG_TYPE, args->at[i].name.at, "an objective takes batches of at most %d data sets", MOST_BATCHES);
        return false;
    }
    for (uint32_t k = 0; k < i; k++) {
        if (args->at[k].type && str_eq(args->at[k].type->base.text, args->at[i].type->base.text)) {
            Diag *diag = report(l, DIAG_TYPE, args->at[i].name.at, "two batches of one data set");
            report_label(l, diag, args->at[k].name.at, "the first");
            diag_help(diag, "one batch gives both: `b.x[0:N div 2]`, or `b.x[permutation(N)]` for random pairs");
            return false;
        }
    }
    return true;
}

/* The first batch has the rows this lowering is for; the others what their phase says, or an evaluation. */
static int64_t batch_rows(const Lower *l, const Decl *d, uint32_t i, int64_t rows) {
    const Recipe *r = l->p->recipe;
    for (uint32_t k = 0; k < r->objectives.n && i > 0; k++) {
        const RecipeObjective *o = &r->objectives.at[k];
        if (!str_eq(o->name, d->name.text) || i > o->more.n) {
            continue;
        }
        const RecipeBatch *more = &o->more.at[i - 1];
        return l->train ? recipe_batch(&r->phases.at[l->phase], more->data) : more->rows;
    }
    return rows;
}

bool objective_run(Lower *l, const Decl *d, bool training, int64_t rows) {
    uint32_t errors = diags_errors(l->ds);
    Frame *f = frame_push(l, FRAME_OBJECTIVE, d, d->name.at);
    f->path = f->stream = d->name.text;
    f->training = training;
    l->objective = d;
    l->b.at = d->at;
    const ParamVec *args = &d->function.sig.args;
    for (uint32_t i = 0; i < args->n; i++) {
        const Param *p = &args->at[i];
        const Decl *data =
            p->type && p->type->kind == TYPE_PLAIN ? scope_decl(l->p, f->scope, p->type->base.text) : NULL;
        if (data == NULL || data->kind != DECL_DATA) {
            no_batch(l, p, data);
            poison_argument(l, p);
        } else if (!batch_fits(l, d, i)) {
            poison_argument(l, p);
        } else {
            scope_bind(l, p->name, batch_argument(l, p, data, i, batch_rows(l, d, i, rows)));
        }
    }
    stmt_block(l, &d->function.body);
    bool fine = diags_errors(l->ds) == errors;
    for (uint32_t i = 0; i < l->losses.n; i++) {
        fine = fine && !l->losses.at[i].poison;
    }
    for (uint32_t i = 0; i < l->metrics.n; i++) {
        fine = fine && l->metrics.at[i].value->kind != VAL_POISON;
    }
    return fine;
}

bool objective_total(Lower *l, Val *total) {
    *total = (Val){0};
    for (uint32_t i = 0; i < l->losses.n; i++) {
        LossTerm *t = &l->losses.at[i];
        l->b.at = t->at;
        l->b.name = name_id(l, t->name.text);
        Val term = t->nograd ? build_grad_as(&l->b, t->value, (Val){0}) : t->value;
        const Node *w = node_of(l->b.g, t->weight);
        if (!(w->op == OP_const && w->attr.constant.f == 1)) {
            term = build_2(&l->b, OP_mulz, t->weight, term);
        }
        t->weighted = term;
        *total = total->i ? build_2(&l->b, OP_add, *total, term) : term;
        graph_output(l->b.g, OUT_LOSS, l->b.name, t->value);
        graph_output(l->b.g, OUT_WEIGHT, l->b.name, t->weight);
    }
    l->b.name = 0;
    if (total->i) {
        graph_output(l->b.g, OUT_TOTAL, name_id(l, STR("total")), *total);
    }
    return total->i != 0;
}
