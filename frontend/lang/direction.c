/* `keep highest val.total`, `keep lowest val.accuracy`: weights would be kept when things get worse.  Nobody knows the
 * way of a series by its name, but a loss is what training makes smaller, and a metric that is a call of a library
 * function goes the way of that function. */
#include "lower.h"

typedef enum { GOES_UNKNOWN, GOES_UP, GOES_DOWN } Goes;      /* when things get better */

static const struct { const char *name; Goes goes; } functions[] = {
    {"accuracy", GOES_UP},   {"weighted_f1", GOES_UP}, {"macro_f1", GOES_UP},        {"mse", GOES_DOWN},
    {"mae", GOES_DOWN},      {"bce", GOES_DOWN},       {"bce_logits", GOES_DOWN},    {"cross_entropy", GOES_DOWN},
    {"gaussian_kl", GOES_DOWN},
};

static Goes of_call(const Expr *e) {
    for (size_t i = 0; e->kind == EX_CALL && i < sizeof functions / sizeof *functions; i++) {
        if (str_is(call_name(e).text, functions[i].name)) {
            return functions[i].goes;
        }
    }
    return GOES_UNKNOWN;
}

/* The line of the objective that makes the series. */
static Goes of_series(const Decl *objective, Str name, Span *at) {
    const StmtVec *lines = &objective->function.body.stmts;
    *at = objective->name.at;
    for (uint32_t i = 0; i < lines->n; i++) {
        const Stmt *s = lines->at[i];
        if (s->kind == ST_LOSS && str_eq(s->loss.target.name.text, name)) {
            *at = s->loss.target.name.at;
            return GOES_DOWN;
        }
        if (s->kind == ST_METRIC && str_eq(s->metric.target.name.text, name)) {
            *at = s->metric.target.name.at;
            return of_call(s->metric.value);
        }
    }
    return str_is(name, "total") ? GOES_DOWN : GOES_UNKNOWN;
}

static const Decl *objective_decl(const Program *p, uint32_t objective) {
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        const Decl *d = p->main->decls.at[i];
        if (d->kind == DECL_OBJECTIVE && str_eq(d->name.text, p->recipe->objectives.at[objective].name)) {
            return d;
        }
    }
    return NULL;
}

void direction_check(Lower *l, const RecipePhase *p, const TrainClause *keep) {
    const Expr *score = keep->keep.score;
    for (uint32_t i = 0; score->kind == EX_FIELD && i < p->runs.n; i++) {
        const Decl *d = objective_decl(l->p, p->runs.at[i].objective);
        Span at = {0};
        Goes goes = d ? of_series(d, score->field.name.text, &at) : GOES_UNKNOWN;
        if (goes == GOES_UNKNOWN || (goes == GOES_UP) == keep->keep.highest) {
            continue;
        }
        Str series = sources_text(l->p->sources, score->at);
        const char *meant = goes == GOES_UP ? "highest" : "lowest";
        Diag *diag = report(l, DIAG_DIRECTION, score->at, "`%.*s` %s when things get better", FSTR(series),
                            goes == GOES_UP ? "rises" : "falls");
        report_label(l, diag, at, "made here");
        diag_help(diag, "`keep %s %.*s`", meant, FSTR(series));
        return;
    }
}
