/* Data sets: sources, columns and splits become the recipe; the formulas of a row become the graph
 * `data.NAME`, in which every raw column carries the row as an index, so a formula is lowered as if it stood
 * in index form over rows. */
#include "lower.h"
#include <string.h>

uint32_t data_find(Program *p, Str name) {
    for (uint32_t i = 0; i < p->recipe->data.n; i++) {
        if (str_eq(p->recipe->data.at[i].name, name)) {
            return i + 1;
        }
    }
    return 0;
}

const Decl *data_decl(Program *p, uint32_t id) { return p->data_decls.at[id]; }

bool data_broken(const Program *p, uint32_t id) { return id < p->broken_data.n && p->broken_data.at[id]; }

/* ---- splits ---- */

/* The exact decimal `0.35` is 35/100. */
static bool exact_share(const Expr *e, int64_t *numerator, int64_t *denominator) {
    *numerator = 0;
    *denominator = 1;
    bool point = false;
    for (uint32_t i = 0; i < e->number.text.n; i++) {
        char c = e->number.text.s[i];
        if (c == '.') {
            point = true;
        } else if (c >= '0' && c <= '9') {
            if (*denominator > INT64_MAX / 20 || *numerator > INT64_MAX / 20) {
                return false;
            }
            *numerator = *numerator * 10 + (c - '0');
            *denominator *= point ? 10 : 1;
        } else if (c != '_') {
            return false;
        }
    }
    return true;
}

static void add_part(Lower *l, RecipeData *d, const SplitPart *p) {
    RecipePart part = {.name = p->name.text, .kind = PART_REST, .denominator = 1, .span = p->name.at};
    const Expr *e = p->share;
    if (e && e->kind == EX_NUMBER && !e->number.is_int) {
        part.kind = PART_SHARE;
        if (!exact_share(e, &part.numerator, &part.denominator) || part.numerator > part.denominator) {
            report(l, DIAG_DATA_DECL, e->at, "a share is a decimal from 0 to 1, as `0.7`");
        }
    } else if (e) {
        part.kind = PART_COUNT;
        const_expr_value(l, e, "a number of rows (a share has a point: `0.7`)", 0, &part.numerator);
    }
    vec_push(l->m->arena, &d->parts, part);
}

bool data_has_split(const RecipeData *d, Str name) {
    for (uint32_t i = 0; i < d->sources.n; i++) {
        if (str_eq(d->sources.at[i].split, name)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < d->parts.n; i++) {
        if (str_eq(d->parts.at[i].name, name)) {
            return true;
        }
    }
    return false;
}

void data_suggest_split(Diag *diag, const RecipeData *d, Str name) {
    Nearest near = nearest_to(name);
    for (uint32_t i = 0; i < d->sources.n; i++) {
        nearest_consider(&near, d->sources.at[i].split);
    }
    for (uint32_t i = 0; i < d->parts.n; i++) {
        nearest_consider(&near, d->parts.at[i].name);
    }
    report_near(diag, &near);
}

static void add_split(Lower *l, RecipeData *d, const Stmt *st) {
    if (st->split.folds || st->split.by) {
        not_yet(l, st->at, st->split.folds ? "`split .. folds`" : "`split .. by`");
        return;
    }
    RecipeSplit s = {
        .of = st->split.of.text, .first_part = d->parts.n, .in_order = st->split.in_order, .span = st->at};
    if (s.of.n && !data_has_split(d, s.of)) {
        Diag *diag =
            report(l, DIAG_DATA_DECL, st->split.of.at, "there is no split `%.*s` to cut up", FSTR(s.of));
        data_suggest_split(diag, d, s.of);
        return;
    }
    uint32_t rests = 0;
    bool shares = true;
    double sum = 0;
    for (uint32_t i = 0; i < st->split.parts.n; i++) {
        add_part(l, d, &st->split.parts.at[i]);
        const RecipePart *p = &d->parts.at[d->parts.n - 1];
        rests += p->kind == PART_REST;
        shares = shares && p->kind == PART_SHARE;
        sum += p->kind == PART_SHARE ? (double)p->numerator / (double)p->denominator : 0;
    }
    s.n_parts = st->split.parts.n;
    if (rests > 1 || sum > 1 + 1e-9 || (rests == 0 && shares && sum < 1 - 1e-9)) {
        Diag *diag =
            report(l, DIAG_DATA_DECL, st->at,
                   rests > 1 ? "only one part can be the `rest`" : "the shares add up to %g, not 1", sum);
        diag_help(diag, "say `rest` for one part; `unused rest` drops what is left");
    }
    if (st->split.seed) {
        const_expr_value(l, st->split.seed, "a seed", 0, &s.seed);
    } else if (!s.in_order) {
        Diag *diag = report(l, DIAG_DATA_DECL, st->at, "a split is shuffled by a seed, or kept in order");
        diag_help(diag, "`seed 1`, or `in order`");
    }
    vec_push(l->m->arena, &d->splits, s);
}

/* ---- columns ---- */

static bool column_type(Lower *l, const Stmt *st, DType *t, uint32_t *rank, Dim *dim, int64_t *bound) {
    const TypeSyntax *type = st->column.type;
    if (!type_element(type, t) || !type_dims(l, type, rank, dim)) {
        if (!type_element(type, t)) {
            Diag *d =
                report(l, DIAG_TYPE, type->at, "a column is u8, int, real, .. with the dims of one row");
            type_suggest(d, type->base.text);
        }
        return false;
    }
    Dim block[MAX_RANK + 1];                     /* computed so many rows at a time */
    block[0] = dim_const(l->a, DATA_BLOCK);
    memcpy(block + 1, dim, *rank * sizeof *dim);
    if (!shape_fits(l, type->at, 0, NULL, *rank + 1, block)) {
        return false;
    }
    *bound = 0;
    return type->bound == NULL || const_expr_value(l, type->bound, "a bound", 1, bound);
}

static Shape known_shape(uint32_t rank, const Dim *dim) {
    Shape s = {.rank = (uint8_t)rank};
    for (uint32_t i = 0; i < rank; i++) {
        s.dim[i] = dim_value(dim[i]);
    }
    return s;
}

/* The k-th name that a statement binds; empty behind the last. */
static Name bound_name(const Stmt *st, uint32_t k) {
    if (st->kind == ST_COLUMN && k < st->column.names.n) {
        return st->column.names.at[k];
    }
    return st->kind == ST_BIND && k < st->bind.targets.n ? st->bind.targets.at[k].name : (Name){0};
}

static bool binds(const Stmt *st, Str name, Span *at) {
    for (uint32_t k = 0; bound_name(st, k).text.n; k++) {
        if (str_eq(bound_name(st, k).text, name)) {
            *at = bound_name(st, k).at;
            return true;
        }
    }
    return false;
}

/* A column stays what it is declared as; a value without a type may be bound again. */
static void columns_once(Lower *l, const Block *b, uint32_t i) {
    const Stmt *st = b->stmts.at[i];
    for (uint32_t k = 0; bound_name(st, k).text.n; k++) {
        Name name = bound_name(st, k);
        for (uint32_t j = 0; j < i; j++) {
            Span first;
            if (b->stmts.at[j]->kind == ST_COLUMN && binds(b->stmts.at[j], name.text, &first)) {
                Diag *d = report(l, DIAG_TWICE, name.at, "`%.*s` is a column already", FSTR(name.text));
                report_label(l, d, first, "declared here");
                diag_help(d, "what is made of a column takes another name");
            }
        }
    }
}

static bool bound_later(const Block *b, uint32_t i, Str name) {
    Span at;
    for (uint32_t j = i + 1; j < b->stmts.n; j++) {
        if (binds(b->stmts.at[j], name, &at)) {
            return true;
        }
    }
    return false;
}

static void raw_columns(Lower *l, RecipeData *d, const Stmt *st) {
    DType t;
    uint32_t rank;
    Dim dim[MAX_RANK];
    int64_t bound;
    if (!column_type(l, st, &t, &rank, dim, &bound)) {
        return;
    }
    if (rank + 1 > MAX_RANK) {
        report(l, DIAG_SHAPE, st->at, "a row has at most %d dims", MAX_RANK - 1);
        return;
    }
    for (uint32_t i = 0; i < st->column.names.n; i++) {
        Name name = st->column.names.at[i];
        if (!source_gives(d, name.text)) {
            Diag *diag =
                report(l, DIAG_DATA_DECL, name.at, "no source gives the column `%.*s`", FSTR(name.text));
            Nearest near = nearest_to(name.text);
            for (uint32_t k = 0; k < d->files.n; k++) {
                nearest_consider(&near, d->files.at[k].column);
            }
            report_near(diag, &near);
            diag_help(diag, "name it at its file, `from idx(%.*s = \"..\")`, or give it a formula",
                      FSTR(name.text));
        } else {
            RecipeColumn c = {.name = name.text,
                              .dtype = t,
                              .shape = known_shape(rank, dim),
                              .bound = bound,
                              .raw = true,
                              .span = name.at};
            vec_push(l->m->arena, &d->columns, c);
        }
    }
}

/* A typed column whose formula is just a column of the source, or a part of one, is read as what it is. */
static bool read_part(Lower *l, RecipeData *d, const Block *b, const Stmt *st) {
    RecipeColumn c = {.name = st->column.names.at[0].text, .raw = true, .span = st->column.names.at[0].at};
    uint32_t rank;
    Dim dim[MAX_RANK];
    bool well = column_type(l, st, &c.dtype, &rank, dim, &c.bound) && rank < MAX_RANK;
    c.shape = well ? known_shape(rank, dim) : (Shape){0};
    if (!well || !source_part(l, d, b, st, &c, &well)) {
        return false;
    }
    for (uint32_t i = 0; well && i < st->column.names.n; i++) {
        c.name = st->column.names.at[i].text;
        c.span = st->column.names.at[i].at;
        vec_push(l->m->arena, &d->columns, c);
    }
    return true;
}

static bool is_read(const RecipeData *d, const Stmt *st) {
    for (uint32_t i = 0; i < d->columns.n; i++) {
        if (d->columns.at[i].raw && str_eq(d->columns.at[i].name, st->column.names.at[0].text)) {
            return true;
        }
    }
    return false;
}

static void declare(Lower *l, const Decl *decl) {
    Str name = str_format(l->m->arena, "%.*s%.*s", FSTR(l->frame->scope->prefix), FSTR(decl->name.text));
    vec_push(l->m->arena, &l->p->recipe->data, (RecipeData){.name = name, .span = decl->name.at});
    vec_push(l->m->arena, &l->p->data_decls, decl);
    RecipeData *d = &l->p->recipe->data.at[l->p->recipe->data.n - 1];
    uint32_t errors = diags_errors(l->ds);
    for (uint32_t i = 0; i < decl->data.stmts.n; i++) { /* sources first: columns are named by them */
        if (decl->data.stmts.at[i]->kind == ST_FROM) {
            source_declare(l, d, decl->data.stmts.at[i]);
        }
    }
    bool sources = diags_errors(l->ds) == errors;
    for (uint32_t i = 0; i < decl->data.stmts.n; i++) {
        const Stmt *st = decl->data.stmts.at[i];
        columns_once(l, &decl->data, i);
        switch (st->kind) {
        case ST_COLUMN:
            if (st->column.value) {
                d->has_graph = !(sources && read_part(l, d, &decl->data, st)) || d->has_graph;
            } else if (sources) {
                raw_columns(l, d, st);
            }
            break;
        case ST_SPLIT: add_split(l, d, st); break;
        case ST_DROP_DUPLICATES: not_yet(l, st->at, "`drop duplicates`"); break;
        case ST_DROP_WHERE: not_yet(l, st->at, "`drop where`"); break;
        case ST_DROP_EPISODES:
        case ST_EPISODES: not_yet(l, st->at, "episodes"); break;
        case ST_BIND:
        case ST_SCAN:
        case ST_IF:
        case ST_MATCH:
        case ST_FOR:
        case ST_REPEAT: d->has_graph = true; break;
        case ST_REQUIRE: stmt_eval(l, st); break;
        case ST_ERROR:
        case ST_FROM: break;
        case ST_PARAM:
        case ST_STATE:
        case ST_UPDATE:
        case ST_INSTANCE:
        case ST_COLLECT:
        case ST_LOSS:
        case ST_METRIC:
        case ST_WATCH:
        case ST_ALARM:
        case ST_COUNT: report(l, DIAG_DATA_DECL, st->at, "this does not belong into `data`"); break;
        }
    }
    if (diags_errors(l->ds) == errors) {
        source_check(l, d, &decl->data);
    }
    bool refused = diags_errors(l->ds) > errors;
    vec_push(l->a, &l->p->broken_data, refused);
    if (d->sources.n == 0 && !refused) {
        Diag *diag =
            report(l, DIAG_DATA_DECL, decl->name.at, "data `%.*s` has no source", FSTR(decl->name.text));
        diag_help(diag, "`from idx(column = \"path\")`, `from npy(..)` or `from fresh(rows = n)`");
    }
}

/* Data of a module that the file takes batches of: `b : a.robots[N]`.  Others are never read. */
static void declare_used(Lower *l, const Decl *taker) {
    const Scope *file = l->frame->scope;
    for (uint32_t i = 0; i < taker->function.sig.args.n; i++) {
        const TypeSyntax *t = taker->function.sig.args.at[i].type;
        const Decl *d = t && t->kind == TYPE_PLAIN ? scope_decl(l->p, file, t->base.text) : NULL;
        if (d && d->kind == DECL_DATA && data_find(l->p, t->base.text) == 0) {
            l->frame->scope = scope_of(l->p, d->at);
            declare(l, d);
            l->frame->scope = file;
        }
    }
}

void data_declare(Lower *l) {
    const AstFile *f = l->p->main;
    for (uint32_t i = 0; i < f->decls.n; i++) {
        if (f->decls.at[i]->kind == DECL_DATA) {
            declare(l, f->decls.at[i]);
        }
    }
    for (uint32_t i = 0; i < f->decls.n; i++) {
        if (f->decls.at[i]->kind == DECL_OBJECTIVE || f->decls.at[i]->kind == DECL_EXPORT) {
            declare_used(l, f->decls.at[i]);
        }
    }
}

/* ---- the graph of formulas ---- */

typedef struct { Lower *l; RecipeData *d; Dim rows; const Index *row; } Rows;

/* Binds a raw column the first time a formula of this data set mentions it. */
static void bind_raw(Rows *r, const Decl *decl) {
    Lower *l = r->l;
    for (uint32_t i = 0; i < r->d->columns.n; i++) {
        const RecipeColumn *c = &r->d->columns.at[i];
        bool used = false;
        for (uint32_t k = 0; c->raw && k < decl->data.stmts.n; k++) {
            const Stmt *st = decl->data.stmts.at[k];
            used = used || (st->kind == ST_BIND && walk_mentions(st->bind.value, c->name)) ||
                   (st->kind == ST_COLUMN && st->column.value && walk_mentions(st->column.value, c->name)) ||
                   st->kind == ST_SCAN || st->kind == ST_FOR || st->kind == ST_IF || st->kind == ST_MATCH;
        }
        if (!used) {
            continue;
        }
        bool listed = false;
        for (uint32_t k = 0; k < r->d->inputs.n; k++) {
            listed = listed || str_eq(r->d->inputs.at[k].name, c->name);
        }
        if (!listed) {
            vec_push(l->m->arena, &r->d->inputs, *c);
        }
        Dim dim[MAX_RANK];
        for (uint32_t k = 0; k < c->shape.rank; k++) {
            dim[k] = dim_const(l->a, c->shape.dim[k]);
        }
        Array x = column_array(l, c->name, c->dtype, &r->rows, c->shape.rank, dim);
        Array with_row = array_make(l, x.val, 1, &r->row, c->shape.rank, dim);
        scope_bind(l, (Name){c->name, c->span}, value_array(l, c->span, with_row));
    }
}

/* A value of each row as an output of the graph, if the objective uses it; on the first lowering, as a
 * column. */
static void offer(Rows *r, Name name, V v, DType storage, int64_t bound) {
    Lower *l = r->l;
    Array x;
    if (v->kind == VAL_POISON || !array_from(l, v, storage, &x)) {
        return;
    }
    x = array_spread(l, x, 1, &r->row);
    uint32_t i = 0;
    while (i < r->d->columns.n && !str_eq(r->d->columns.at[i].name, name.text)) {
        i++;
    }
    if (i == r->d->columns.n) {
        RecipeColumn c = {.name = name.text,
                          .dtype = storage,
                          .shape = known_shape(x.rank, x.dim),
                          .bound = bound,
                          .span = name.at};
        vec_push(l->m->arena, &r->d->columns, c);
    } else if (r->d->columns.at[i].used) {
        graph_output(l->main_graph, OUT_VALUE, name_id(l, name.text), x.val);
    }
}

static void formula_column(Rows *r, const Stmt *st) {
    Lower *l = r->l;
    DType t;
    uint32_t rank;
    Dim dim[MAX_RANK];
    int64_t bound;
    Name name = st->column.names.at[0];
    V v = eval(l, st->column.value);
    Elem e;
    if (!column_type(l, st, &t, &rank, dim, &bound) || v->kind == VAL_POISON) {
        scope_bind(l, name, value_poison(l));
        return;
    }
    if (!value_elem(v, &e) || (e == ELEM_BOOL) != (t == DT_BOOL) ||
        (e == ELEM_REAL && dtype_elem(t) == ELEM_INT)) {
        Diag *d = report(l, DIAG_TYPE, st->column.value->at, "column `%.*s` is %s, its formula %.*s",
                         FSTR(name.text), dtype_name(t), FSTR(value_describe(l, v)));
        diag_help(d, "convert it: `int(..)`");
        v = value_poison(l);
    } else {
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
            v = value_poison(l);
        } else {
            v = value_array(l, name.at, x);
        }
    }
    for (uint32_t i = 0; i < st->column.names.n; i++) {
        scope_bind(l, st->column.names.at[i], v);
        offer(r, st->column.names.at[i], v, t, bound);
    }
}

/* A value that is bound again is offered as it ends. */
static void formula_bind(Rows *r, const Block *block, uint32_t at) {
    const Stmt *st = block->stmts.at[at];
    stmt_eval(r->l, st);
    for (uint32_t i = 0; i < st->bind.targets.n; i++) {
        Name name = st->bind.targets.at[i].name;
        const Binding *b = scope_find(r->l->frame, name.text);
        Elem e;
        if (b && value_elem(b->value, &e) && !bound_later(block, at, name.text)) {
            DType t = b->value->kind == VAL_ARRAY ? b->value->array.dtype : elem_dtype(e);
            offer(r, name, b->value, t, 0);
        }
    }
}

Lower *data_lower(Program *p, uint32_t data, Diags *ds) {
    const Decl *decl = data_decl(p, data);
    RecipeData *d = &p->recipe->data.at[data];
    uint32_t errors = diags_errors(ds);
    Lower *l = lower_begin(p, LOWER_DATA, str_format(p->arena, "data.%.*s", FSTR(d->name)), DATA_BLOCK, ds);
    Frame *f = frame_push(l, FRAME_DATA, decl, decl->name.at);
    f->path = f->stream = decl->name.text;           /* a module's rows are those of its own file */
    f->model = (Str){0};
    Index *row = PUSH(l->a, Index, 1);
    *row = (Index){
        .name = {STR("row"), decl->name.at}, .birth = ++l->births, .extent = dim_const(l->a, DATA_BLOCK)};
    f->ambient[f->n_ambient++] = row;
    Rows r = {l, d, row->extent, row};
    bind_raw(&r, decl);
    for (uint32_t i = 0; i < decl->data.stmts.n; i++) {
        const Stmt *st = decl->data.stmts.at[i];
        l->b.at = st->at;
        if (st->kind == ST_COLUMN && st->column.value && !is_read(d, st)) {
            formula_column(&r, st);
        } else if (st->kind == ST_BIND) {
            formula_bind(&r, &decl->data, i);
        } else if (st->kind == ST_SCAN || st->kind == ST_IF || st->kind == ST_MATCH || st->kind == ST_FOR ||
                   st->kind == ST_REPEAT) {
            stmt_eval(l, st);
        }
    }
    frame_pop(l);
    p->broken_data.at[data] = p->broken_data.at[data] || diags_errors(ds) > errors;
    return l;
}
