/* Series: numbers a trainer knows while it runs, as `val.total`: a split, and a loss, metric or `total` behind it, with
 * the objective between them where it is told apart.  In weights, in arguments of optimizers and in alarms they are
 * read before all objectives are known, so their names are noted there and checked at the end. */
#include "lower.h"

static const Expr *split_of(const Expr *e) {
    while (e->kind == EX_FIELD) {
        e = e->field.base;
    }
    return e;
}

/* `a.b` of val.a.b, or of val.OBJECTIVE.a.b. */
static Str rest_of(const Expr *e, const RecipeObjective *o, Arena *a) {
    Str rest = {0};
    for (; e->kind == EX_FIELD; e = e->field.base) {
        rest = rest.n ? str_format(a, "%.*s.%.*s", FSTR(e->field.name.text), FSTR(rest)) : e->field.name.text;
    }
    uint32_t own = o->name.n + 1;
    bool said = rest.n > own && str_eq((Str){rest.s, o->name.n}, o->name) && rest.s[o->name.n] == '.';
    return said ? (Str){rest.s + own, rest.n - own} : rest;
}

static bool has(const RecipeObjective *o, Str name) {
    for (uint32_t i = 0; i < o->losses.n; i++) {
        if (str_eq(o->losses.at[i].name, name)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < o->metrics.n; i++) {
        if (str_eq(o->metrics.at[i].name, name)) {
            return o->metrics.at[i].shape.rank == 0;
        }
    }
    return str_is(name, "total") && o->losses.n > 0;
}

static bool splits_fit(Lower *l, const RecipeObjective *o, const Expr *e) {
    const Expr *split = split_of(e);
    return split->kind == EX_NAME && data_has_split(&l->p->recipe->data.at[o->data], split->name.text);
}

static void no_series(Lower *l, const RecipeObjective *o, const Expr *e) {
    Diag *d = report(l, DIAG_SERIES, e->field.name.at, "objective `%.*s` has no series `%.*s`", FSTR(o->name),
                     FSTR(rest_of(e, o, l->a)));
    Buf b = buf_make(l->a);
    Nearest near = nearest_to(rest_of(e, o, l->a));
    buf_printf(&b, "total");
    nearest_consider(&near, STR("total"));
    for (uint32_t i = 0; i < o->losses.n; i++) {
        buf_printf(&b, ", %.*s", FSTR(o->losses.at[i].name));
        nearest_consider(&near, o->losses.at[i].name);
    }
    for (uint32_t i = 0; i < o->metrics.n; i++) {
        buf_printf(&b, ", %.*s", FSTR(o->metrics.at[i].name));
        nearest_consider(&near, o->metrics.at[i].name);
    }
    if (near.best.n) {
        diag_help(d, "did you mean `%.*s.%.*s`?", FSTR(split_of(e)->name.text), FSTR(near.best));
    }
    diag_help(d, "it has %.*s", FSTR(buf_str(&b)));
}

bool series_check(Lower *l, const RecipeObjective *o, const Expr *e) {
    const Expr *split = split_of(e);
    if (split->kind != EX_NAME) {
        report(l, DIAG_SERIES, e->at, "a series is `val.NAME`: a split and a loss, metric or `total`");
        return false;
    }
    if (!splits_fit(l, o, e)) {
        const RecipeData *data = &l->p->recipe->data.at[o->data];
        Diag *d = report(l, DIAG_SERIES, split->name.at, "`%.*s` needs a split `%.*s`; data `%.*s` has none",
                         FSTR(sources_text(l->p->sources, e->at)), FSTR(split->name.text), FSTR(data->name));
        report_label(l, d, data->span, "the data set");
        data_suggest_split(d, data, split->name.text);
        diag_help(d, "`split val 0.1, train rest of train seed 1` in the data set");
        return false;
    }
    if (!has(o, rest_of(e, o, l->a))) {
        no_series(l, o, e);
        return false;
    }
    return true;
}

V series_value(Lower *l, const Expr *e) {
    Str name = str_format(l->m->arena, "series.%.*s", FSTR(sources_text(l->p->sources, e->at)));
    bool known = false;
    for (uint32_t i = 0; i < l->p->series.n; i++) {
        known = known || l->p->series.at[i] == e;
    }
    if (!known) {
        vec_push(l->p->arena, &l->p->series, e);
    }
    return value_uniform(l, e->at, uniforms_input(l->m->uniforms, name, false), ELEM_REAL);
}

/* Some phase's objective has it, or the message is about the first. */
void series_check_noted(Lower *l) {
    const Recipe *r = l->p->recipe;
    for (uint32_t i = 0; i < l->p->series.n; i++) {
        const Expr *e = l->p->series.at[i];
        bool found = false;
        for (uint32_t k = 0; k < r->objectives.n; k++) {
            const RecipeObjective *o = &r->objectives.at[k];
            found = found || (splits_fit(l, o, e) && has(o, rest_of(e, o, l->a)));
        }
        if (!found && r->phases.n > 0 && r->phases.at[0].objective < r->objectives.n) {
            series_check(l, &r->objectives.at[r->phases.at[0].objective], e);
        }
    }
}
