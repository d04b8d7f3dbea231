/* Series: numbers a trainer knows while it runs, as `val.total`: a split, and a loss, metric or `total` behind it.  The
 * objective stands between them where several of a phase have one of that name: `train` has the series of what is
 * trained, `val` those of what is validated.  In weights, in arguments of optimizers and in alarms series are read
 * before all objectives are known, so their names are noted there and checked at the end. */
#include "lower.h"

static const Expr *split_of(const Expr *e) {
    while (e->kind == EX_FIELD) {
        e = e->field.base;
    }
    return e;
}

/* All behind the split. */
static Str rest_of(Lower *l, const Expr *e) {
    Str rest = {0};
    for (; e->kind == EX_FIELD; e = e->field.base) {
        rest = rest.n ? str_format(l->a, "%.*s.%.*s", FSTR(e->field.name.text), FSTR(rest)) : e->field.name.text;
    }
    return rest;
}

/* `ce` or `OBJECTIVE.ce`. */
static bool has(const RecipeObjective *o, Str rest) {
    uint32_t own = o->name.n + 1;
    bool said = rest.n > own && str_eq((Str){rest.s, o->name.n}, o->name) && rest.s[o->name.n] == '.';
    return recipe_has_series(o, rest) || (said && recipe_has_series(o, (Str){rest.s + own, rest.n - own}));
}

/* How many objectives that the phase measures on the split have it; the last of them. */
static uint32_t owners(Lower *l, const RecipePhase *p, const Expr *e, uint32_t *out) {
    const Recipe *r = l->p->recipe;
    uint32_t n = 0, o;
    for (uint32_t i = 0; recipe_measured(r, p, split_of(e)->name.text, i, &o); i++) {
        if (has(&r->objectives.at[o], rest_of(l, e))) {
            *out = o;
            n++;
        }
    }
    return n;
}

/* ---- messages ---- */

static void list_series(Lower *l, Buf *b, Nearest *near, const RecipeObjective *o, bool named) {
    Str prefix = named ? str_format(l->a, "%.*s.", FSTR(o->name)) : STR("");
    buf_printf(b, "%s%.*stotal", b->n ? ", " : "", FSTR(prefix));
    nearest_consider(near, STR("total"));
    for (uint32_t i = 0; i < o->losses.n; i++) {
        buf_printf(b, ", %.*s%.*s", FSTR(prefix), FSTR(o->losses.at[i].name));
        nearest_consider(near, o->losses.at[i].name);
    }
    for (uint32_t i = 0; i < o->metrics.n; i++) {
        buf_printf(b, ", %.*s%.*s", FSTR(prefix), FSTR(o->metrics.at[i].name));
        nearest_consider(near, o->metrics.at[i].name);
    }
}

static void no_series(Lower *l, const RecipePhase *p, const Expr *e) {
    const Recipe *r = l->p->recipe;
    Str split = split_of(e)->name.text, rest = rest_of(l, e);
    uint32_t o, only = 0, second;
    bool one = recipe_measured(r, p, split, 0, &only) && !recipe_measured(r, p, split, 1, &second);
    Diag *d = one ? report(l, DIAG_SERIES, e->field.name.at, "objective `%.*s` has no series `%.*s`",
                           FSTR(r->objectives.at[only].name), FSTR(rest))
                  : report(l, DIAG_SERIES, e->field.name.at, "no objective of `%.*s` has a series `%.*s` on `%.*s`",
                           FSTR(p->name), FSTR(rest), FSTR(split));
    Buf b = buf_make(l->a);
    Nearest near = nearest_to(rest);
    for (uint32_t i = 0; recipe_measured(r, p, split, i, &o); i++) {
        list_series(l, &b, &near, &r->objectives.at[o], !one);
    }
    if (near.best.n) {
        diag_help(d, "did you mean `%.*s.%.*s`?", FSTR(split), FSTR(near.best));
    }
    if (b.n) {
        diag_help(d, "it has %.*s", FSTR(buf_str(&b)));
    }
}

static void several_series(Lower *l, const RecipePhase *p, const Expr *e) {
    const Recipe *r = l->p->recipe;
    Str split = split_of(e)->name.text, rest = rest_of(l, e);
    Diag *d = report(l, DIAG_SERIES, e->at, "several objectives of `%.*s` have a series `%.*s`", FSTR(p->name),
                     FSTR(rest));
    Buf b = buf_make(l->a);
    uint32_t o;
    for (uint32_t i = 0; recipe_measured(r, p, split, i, &o); i++) {
        if (recipe_has_series(&r->objectives.at[o], rest)) {
            buf_printf(&b, "%s`%.*s.%.*s.%.*s`", b.n ? " or " : "", FSTR(split), FSTR(r->objectives.at[o].name),
                       FSTR(rest));
        }
    }
    diag_help(d, "say %.*s", FSTR(buf_str(&b)));
}

static bool split_missing(Lower *l, const RecipeData *data, const Expr *e) {
    const Expr *split = split_of(e);
    if (recipe_has_split(data, split->name.text)) {
        return false;
    }
    Diag *d = report(l, DIAG_SERIES, split->name.at, "`%.*s` needs a split `%.*s`; data `%.*s` has none",
                     FSTR(sources_text(l->p->sources, e->at)), FSTR(split->name.text), FSTR(data->name));
    report_label(l, d, data->span, "the data set");
    data_suggest_split(d, data, split->name.text);
    diag_help(d, "`split val 0.1, train rest of train seed 1` in the data set");
    return true;
}

/* ---- checks ---- */

bool series_check(Lower *l, const RecipePhase *p, const Expr *e) {
    const Recipe *r = l->p->recipe;
    const Expr *split = split_of(e);
    if (split->kind != EX_NAME) {
        report(l, DIAG_SERIES, e->at, "a series is `val.NAME`: a split and a loss, metric or `total`");
        return false;
    }
    uint32_t o = 0, n = owners(l, p, e, &o);
    bool measured = n > 0 || recipe_measured(r, p, split->name.text, 0, &o);
    if (measured && r->data.n == 0) {
        return false; /* the objective has been told that there is no data set */
    }
    if (measured && split_missing(l, &r->data.at[r->objectives.at[o].data], e)) {
        return false;
    }
    if (!str_is(split->name.text, "train") && !str_is(split->name.text, "val")) {
        Diag *d = report(l, DIAG_SERIES, split->name.at, "a training measures `train` and `val`, not `%.*s`",
                         FSTR(split->name.text));
        diag_help(d, "`val.%.*s`; other splits are for `graphc eval`", FSTR(rest_of(l, e)));
    } else if (n == 0) {
        no_series(l, p, e);
    } else if (n > 1) {
        several_series(l, p, e);
    }
    return n == 1;
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

/* Some phase measures it, or the message is about the first. */
void series_check_noted(Lower *l) {
    const Recipe *r = l->p->recipe;
    for (uint32_t i = 0; i < l->p->series.n; i++) {
        const Expr *e = l->p->series.at[i];
        bool found = false;
        for (uint32_t k = 0; k < r->phases.n; k++) {
            uint32_t o = 0;
            found = found || (split_of(e)->kind == EX_NAME && owners(l, &r->phases.at[k], e, &o) == 1 &&
                              recipe_has_split(&r->data.at[r->objectives.at[o].data], split_of(e)->name.text));
        }
        if (!found && r->phases.n > 0 && r->phases.at[0].runs.n > 0) {
            series_check(l, &r->phases.at[0], e);
        }
    }
}
