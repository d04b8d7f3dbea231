/* Columns of sources as the text of a `data` uses them: parts of a table's row, columns that a formula names without a
 * declaration, and all of them held against the files, where there are any. */
#include "lower.h"

static bool bound_in(const Block *b, Str name) {
    for (uint32_t i = 0; i < b->stmts.n; i++) {
        const Stmt *st = b->stmts.at[i];
        for (uint32_t k = 0; st->kind == ST_COLUMN && k < st->column.names.n; k++) {
            if (str_eq(st->column.names.at[k].text, name)) {
                return true;
            }
        }
        for (uint32_t k = 0; st->kind == ST_BIND && k < st->bind.targets.n; k++) {
            if (str_eq(st->bind.targets.at[k].name.text, name)) {
                return true;
            }
        }
    }
    return false;
}

/* A column of a source that nothing else is called. */
static bool means_source(Lower *l, const RecipeData *d, const Block *b, Name name) {
    return source_gives(d, name.text) && !bound_in(b, name.text) && scope_try(l, name) == NULL;
}

static bool cut_end(Lower *l, const Expr *e, bool *has, int64_t *out) {
    *has = e != NULL;
    return e == NULL || const_expr_value(l, e, "a place in a row", INT64_MIN, out);
}

/* `columns[a:b]`, `columns[k]` of a table. */
static bool cut_columns(Lower *l, const Item *item, RecipeColumn *c) {
    c->cut = true;
    if (item->kind == ITEM_SLICE) {
        return cut_end(l, item->lo, &c->has_first, &c->first) && cut_end(l, item->hi, &c->has_end, &c->end);
    }
    if (!cut_end(l, item->expr, &c->has_first, &c->first)) {
        return false;
    }
    c->has_end = c->first != -1;
    c->end = c->first + 1;
    return true;
}

/* `as [..]` says the dims again. */
static bool same_dims(Lower *l, const Expr *as, const RecipeColumn *c) {
    TypeSyntax t = {.at = as->at, .has_dims = true, .dims = as->as.dims};
    uint32_t rank;
    Dim dim[MAX_RANK];
    if (!type_dims(l, &t, &rank, dim)) {
        return false;
    }
    bool same = rank == c->shape.rank;
    for (uint32_t i = 0; same && i < rank; i++) {
        same = dim_value(dim[i]) == c->shape.dim[i];
    }
    if (!same) {
        report(l, DIAG_SHAPE, as->at, "column `%.*s` is declared with other dims", FSTR(c->name));
    }
    return same;
}

bool source_part(Lower *l, const RecipeData *d, const Block *b, const Stmt *st, RecipeColumn *c, bool *well) {
    const Expr *e = st->column.value, *as = e->kind == EX_AS ? e : NULL;
    e = as ? as->as.x : e;
    const Expr *base = e->kind == EX_INDEX ? e->index.base : e;
    if (base->kind != EX_NAME || !means_source(l, d, b, base->name)) {
        return false;
    }
    if (e->kind == EX_INDEX &&
        (!str_is(base->name.text, "columns") || e->index.items.n != 1 ||
         (e->index.items.at[0].kind != ITEM_SLICE && e->index.items.at[0].kind != ITEM_EXPR) ||
         e->index.items.at[0].step != NULL)) {
        return false;
    }
    c->source = base->name.text;
    *well = (e->kind != EX_INDEX || cut_columns(l, &e->index.items.at[0], c)) && (!as || same_dims(l, as, c));
    return true;
}

typedef struct {
    Str name;
    Span at;
    bool found;
} Mention;

static bool mention(void *user, const Expr *e) {
    Mention *m = user;
    if (!m->found && e->kind == EX_NAME && str_eq(e->name.text, m->name)) {
        m->found = true;
        m->at = e->at;
    }
    return !m->found;
}

static bool is_column(const RecipeData *d, Str name) {
    for (uint32_t i = 0; i < d->columns.n; i++) {
        if (str_eq(d->columns.at[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* A formula names a column that nobody declared: it has the type that reader or file gives it. */
static void offer(Lower *l, RecipeData *d, const Block *b, RecipeColumn c) {
    Mention m = {.name = c.name};
    for (uint32_t i = 0; i < b->stmts.n && !m.found; i++) {
        Stmt *st = b->stmts.at[i];
        if (st->kind != ST_COLUMN || !st->column.value || !is_column(d, st->column.names.at[0].text)) {
            walk_block(&(Block){.stmts = {&st, 1, 1}}, mention, &m);
        }
    }
    Name name = {c.name, m.at};
    if (m.found && !is_column(d, c.name) && !bound_in(b, c.name) && scope_try(l, name) == NULL) {
        c.raw = true;
        c.span = m.at;
        vec_push(l->m->arena, &d->columns, c);
    }
}

/* What is known without the files. */
static void offer_fixed(Lower *l, RecipeData *d, const Block *b, const RecipeSource *s) {
    if (s->reader == READER_IMAGES) {
        offer(l, d, b, (RecipeColumn){.name = STR("folder_index"), .dtype = DT_I32});
    } else if (s->reader == READER_BYTES) {
        offer(l, d, b, (RecipeColumn){.name = d->files.at[s->first_file].column, .dtype = DT_U8});
    } else if (s->reader == READER_CSV && s->columns > 0) {
        offer(l, d, b,
              (RecipeColumn){.name = STR("columns"), .dtype = DT_F32, .shape = shape_of(1, &s->columns)});
    }
}

static void report_probe(Lower *l, const RecipeSource *s, const RecipeProbe *p, const Error *e) {
    Diag *diag = report(l, DIAG_DATA_DECL, p->wrong ? p->wrong->span : s->span, "%s", e->what);
    if (e->help[0]) {
        diag_help(diag, "%s", e->help);
    }
}

/* What a function in C says of its rows does not depend on the point of a sweep, and asking it takes a process. */
static Str function_of(Arena *a, const RecipeData *d, const RecipeSource *s) {
    return str_format(a, "%.*s %.*s %lld", FSTR(d->files.at[s->first_file].path), FSTR(s->symbol), (long long)s->key);
}

static bool was_probed(const Program *p, Str function) {
    for (uint32_t i = 0; i < p->found->functions.n; i++) {
        if (str_eq(p->found->functions.at[i], function)) {
            return true;
        }
    }
    return false;
}

static GrStatus probe(Lower *l, RecipeData *d, uint32_t source, RecipeProbe *out, Error *e) {
    Program *p = l->p;
    const RecipeSource *s = &d->sources.at[source];
    if (p->probe == NULL) {
        return GR_IO;
    }
    if (s->reader != READER_EXTERN || s->n_files == 0) {
        return p->probe(l->m->arena, d, source, out, e);
    }
    if (was_probed(p, function_of(l->a, d, s))) {
        return GR_OK;
    }
    GrStatus status = p->probe(l->m->arena, d, source, out, e);
    if (status == GR_OK) {
        vec_push(p->found->arena, &p->found->functions, function_of(p->found->arena, d, s));
    }
    return status;
}

void source_check(Lower *l, RecipeData *d, const Block *b) {
    for (uint32_t i = 0; i < d->sources.n; i++) {
        RecipeProbe p = {0};
        Error e = {0};
        GrStatus status = probe(l, d, i, &p, &e);
        if (status == GR_DATA) {
            report_probe(l, &d->sources.at[i], &p, &e);
        }
        for (uint32_t k = 0; status == GR_OK && k < p.columns.n; k++) {
            offer(l, d, b, p.columns.at[k]);
        }
        offer_fixed(l, d, b, &d->sources.at[i]);
    }
}
