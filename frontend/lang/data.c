/* Data sets: sources, raw columns and splits become the recipe.  Formulas are lowered by data_graph.c. */
#include "data.h"
#include <string.h>

uint32_t data_find(Program *p, Str name) {
    for (uint32_t i = 0; i < p->recipe->data.n; i++) {
        if (str_eq(p->recipe->data.at[i].name, name)) {
            return i + 1;
        }
    }
    return 0;
}

uint32_t data_of(const Program *p, const Decl *d) {
    for (uint32_t i = 0; i < p->data_decls.n; i++) {
        if (p->data_decls.at[i] == d) {
            return i + 1;
        }
    }
    return 0;
}

const Decl *data_decl(Program *p, uint32_t id) { return p->data_decls.at[id]; }

bool data_broken(const Program *p, uint32_t id) { return id < p->broken_data.n && p->broken_data.at[id]; }

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

/* ---- columns ---- */

/* `u8[up to 24]`: each row has its own length. */
static bool is_ragged(const TypeSyntax *t) {
    return t->has_dims && t->dims.n == 1 && t->dims.at[0].kind == DIM_UP_TO;
}

static bool column_dims(Lower *l, const TypeSyntax *t, uint32_t *rank, Dim *dim) {
    int64_t longest;
    if (!is_ragged(t)) {
        return type_dims(l, t, rank, dim);
    }
    if (!const_expr_value(l, t->dims.at[0].expr, "the length of the longest row", 1, &longest)) {
        return false;
    }
    *rank = 1;
    dim[0] = dim_const(l->a, longest);
    return true;
}

bool data_column_type(Lower *l, const Stmt *st, DType *t, uint32_t *rank, Dim *dim, int64_t *bound) {
    const TypeSyntax *type = st->column.type;
    if (!type_element(type, t) || !column_dims(l, type, rank, dim)) {
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

/* A ragged one brings its lengths. */
static void add_raw(Lower *l, RecipeData *d, RecipeColumn c, const TypeSyntax *t) {
    c.ragged = is_ragged(t);
    vec_push(l->m->arena, &d->columns, c);
    if (c.ragged) {
        RecipeColumn n = {.name = str_format(l->m->arena, "%.*s.length", FSTR(c.name)), .dtype = DT_I32, .raw = true,
                          .lengths = true, .source = c.source.n ? c.source : c.name, .span = c.span};
        vec_push(l->m->arena, &d->columns, n);
    }
}

static void raw_columns(Lower *l, RecipeData *d, const Stmt *st) {
    DType t;
    uint32_t rank;
    Dim dim[MAX_RANK];
    int64_t bound;
    if (!data_column_type(l, st, &t, &rank, dim, &bound)) {
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
            add_raw(l, d, c, st->column.type);
        }
    }
}

/* A typed column whose formula is just a column of the source, or a part of one, is read as what it is. */
static bool read_part(Lower *l, RecipeData *d, const Block *b, const Stmt *st) {
    RecipeColumn c = {.name = st->column.names.at[0].text, .raw = true, .span = st->column.names.at[0].at};
    uint32_t rank;
    Dim dim[MAX_RANK];
    bool well = data_column_type(l, st, &c.dtype, &rank, dim, &c.bound) && rank < MAX_RANK;
    c.shape = well ? known_shape(rank, dim) : (Shape){0};
    if (!well || !source_part(l, d, b, st, &c, &well)) {
        if (well && is_ragged(st->column.type)) {
            report(l, DIAG_TYPE, st->column.type->at, "a ragged column is read as it is, it has no formula");
        }
        return false;
    }
    for (uint32_t i = 0; well && i < st->column.names.n; i++) {
        c.name = st->column.names.at[i].text;
        c.span = st->column.names.at[i].at;
        add_raw(l, d, c, st->column.type);
    }
    return true;
}

bool data_is_read(const RecipeData *d, const Stmt *st) {
    for (uint32_t i = 0; i < d->columns.n; i++) {
        if (d->columns.at[i].raw && str_eq(d->columns.at[i].name, st->column.names.at[0].text)) {
            return true;
        }
    }
    return false;
}

static void declare(Lower *l, const Decl *decl) {
    Str name = str_format(l->m->arena, "%.*s%.*s", FSTR(l->frame->scope->prefix), FSTR(decl->name.text));
    RecipeData made = {.name = name, .span = decl->name.at, .packed = sources_packed(l->p->sources)};
    vec_push(l->m->arena, &l->p->recipe->data, made);
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
        case ST_SPLIT:
            split_declare(l, d, st);
            d->has_graph = d->has_graph || st->split.by;
            break;
        case ST_DROP_DUPLICATES:
        case ST_DROP_WHERE:
        case ST_DROP_EPISODES:
        case ST_EPISODES:
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

/* Data of a module are read when the file takes batches of them, `b : a.robots[N]`, or when it names a statistic,
 * `a.robots.m`, or a function of the module that it calls does. */
static void declare_used(Lower *l, const Decl *d) {
    const Scope *from = l->frame->scope;
    if (data_of(l->p, d) == 0) {
        l->frame->scope = scope_of(l->p, d->at);
        declare(l, d);
        l->frame->scope = from;
    }
}

typedef struct { Lower *l; VEC(const Decl *) functions; } Reached;

static bool is_function(const Decl *d) {
    return d->kind == DECL_OBJECTIVE || d->kind == DECL_EXPORT || d->kind == DECL_MODEL || d->kind == DECL_DEF;
}

static void reach(Reached *r, const Decl *d) {
    for (uint32_t i = 0; i < r->functions.n; i++) {
        if (r->functions.at[i] == d) {
            return;
        }
    }
    vec_push(r->l->a, &r->functions, d);
}

static bool reach_named(void *user, const Expr *e) {
    Reached *r = user;
    const Scope *here = r->l->frame->scope;
    const Decl *data = e->kind == EX_FIELD ? data_named(r->l, e->field.base) : NULL;
    const Scope *module = e->kind == EX_FIELD ? module_named(r->l, e->field.base) : here;
    const Decl *d = module && (e->kind == EX_FIELD || e->kind == EX_NAME)
                        ? scope_decl(r->l->p, module, e->kind == EX_FIELD ? e->field.name.text : e->name.text) : NULL;
    if (data && scope_of(r->l->p, data->at) != r->l->p->scopes.at[0]) {
        vec_push(r->l->p->found->arena, &r->l->p->found->data, data);
    }
    if (d && is_function(d) && scope_of(r->l->p, d->at)->file) {
        reach(r, d);
    }
    return true;
}

static void find_statistics(Lower *l) {
    const Scope *file = l->frame->scope;
    Reached r = {.l = l};
    for (uint32_t i = 0; i < file->decls.n; i++) {
        if (is_function(file->decls.at[i])) {
            reach(&r, file->decls.at[i]);
        }
    }
    for (uint32_t i = 0; i < r.functions.n; i++) {
        const Decl *d = r.functions.at[i];
        l->frame->scope = scope_of(l->p, d->at);
        walk_expr(d->function.value, reach_named, &r);
        walk_block(&d->function.body, reach_named, &r);
    }
    l->frame->scope = file;
}

static void declare_statistics(Lower *l) {
    Found *f = l->p->found;
    if (!f->searched && l->p->scopes.n > 1) {
        find_statistics(l);
    }
    f->searched = true;
    for (uint32_t i = 0; i < f->data.n; i++) {
        declare_used(l, f->data.at[i]);
    }
}

static void declare_batches(Lower *l, const Decl *taker) {
    for (uint32_t i = 0; i < taker->function.sig.args.n; i++) {
        const TypeSyntax *t = taker->function.sig.args.at[i].type;
        const Decl *d = t && t->kind == TYPE_PLAIN ? scope_decl(l->p, l->frame->scope, t->base.text) : NULL;
        if (d && d->kind == DECL_DATA) {
            declare_used(l, d);
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
        const Decl *d = f->decls.at[i];
        if (d->kind == DECL_OBJECTIVE || d->kind == DECL_EXPORT) {
            declare_batches(l, d);
        }
    }
    declare_statistics(l);
}
