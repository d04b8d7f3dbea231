/* The clauses of a sweep become axes; its points are their product.  Values stay text, as if typed behind `-s`.
 * Names with `log(a, b)` are drawn together: one axis of as many choices as `draw` says, by a stream of the
 * name, so another clause changes no draw. */
#include "philox.h"
#include "cells.h"
#include "sweep.h"
#include <math.h>
#include <stdlib.h>

enum { CHOICES_MOST = 10000 };

static Str typed(Lower *l, const Expr *e) {
    return e->kind == EX_STRING ? e->string : sources_text(l->p->sources, e->at);
}

static bool is_range(const Expr *e) {
    return e->kind == EX_CALL && e->call.callee->kind == EX_NAME && str_is(e->call.callee->name.text, "log") &&
           e->call.args.n == 2;
}

/* ---- values that are written out ---- */

static void written(Lower *l, const SweepClause *c, SweepAxes *out) {
    SweepAxis x = {.n = c->in.values.n, .repeat = c->kind == SC_REPEAT};
    for (uint32_t i = 0; i < c->in.names.n; i++) {
        vec_push(l->a, &x.names, c->in.names.at[i]);
    }
    x.value = PUSH(l->a, Str, x.n * x.names.n + 1);
    for (uint32_t i = 0; i < x.n; i++) {
        const Expr *e = c->in.values.at[i];
        for (uint32_t k = 0; k < x.names.n; k++) {
            x.value[i * x.names.n + k] = typed(l, x.names.n > 1 ? e->list.items.at[k] : e);
        }
    }
    vec_push(l->a, out, x);
}

static void fixed(Lower *l, const SweepClause *c, SweepAxes *out) {
    SweepAxis x = {.n = 1, .value = PUSH(l->a, Str, 1)};
    vec_push(l->a, &x.names, c->set.name);
    x.value[0] = typed(l, c->set.value);
    vec_push(l->a, out, x);
}

/* ---- values that are drawn ---- */

static bool bound(Lower *l, const Expr *e, double *out) {
    uint32_t inst;
    if (!number_expr_value(l, e, "a bound of a sweep", &inst)) {
        return false;
    }
    *out = uniform_now(l, inst);
    return true;
}

static bool whole_numbers(Lower *l, Str name) {
    for (uint32_t i = 0; i < l->p->settings.n; i++) {
        const RecipeSetting *s = &l->p->settings.at[i].recipe;
        if (str_eq(s->name, name)) {
            return s->kind == SETTING_DIM || s->kind == SETTING_INT;
        }
    }
    return true; /* epochs, batch, seed */
}

/* Evenly between the logarithms of the bounds. */
static bool draw_one(Lower *l, const SweepClause *c, uint32_t seed, SweepAxis *x, uint32_t k) {
    const Expr *range = c->in.values.at[0];
    Name name = c->in.names.at[0];
    double lo, hi;
    if (!bound(l, range->call.args.at[0].value, &lo) || !bound(l, range->call.args.at[1].value, &hi)) {
        return false;
    }
    if (!(lo > 0 && lo < hi && hi < INFINITY)) {
        report(l, DIAG_SWEEP, range->at, "`log(a, b)` draws between two numbers, 0 < a < b");
        return false;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        double u = (double)uniform_of_word(philox_word(seed, (uint32_t)hash_str(0, name.text), 0, 0, 0, i));
        double v = exp(log(lo) + u * (log(hi) - log(lo)));
        Buf b = buf_make(l->a);
        if (whole_numbers(l, name.text)) {
            buf_real(&b, rint(v));
        } else {
            buf_real32(&b, (float)v);
        }
        x->value[i * x->names.n + k] = buf_str(&b);
    }
    return true;
}

static bool drawn(Lower *l, const Decl *sweep, const SweepClause *draw, SweepAxes *out) {
    SweepAxis x = {0};
    VEC(const SweepClause *) ranges = {0};
    for (uint32_t i = 0; i < sweep->sweep.clauses.n; i++) {
        const SweepClause *c = &sweep->sweep.clauses.at[i];
        if (c->kind == SC_IN && c->in.names.n == 1 && c->in.values.n == 1 && is_range(c->in.values.at[0])) {
            vec_push(l->a, &x.names, c->in.names.at[0]);
            vec_push(l->a, &ranges, c);
        }
    }
    if (ranges.n == 0 && draw == NULL) {
        return true;
    }
    if (ranges.n == 0 || draw == NULL) {
        Diag *d = report(l, DIAG_SWEEP, draw ? draw->at : ranges.at[0]->at,
                         draw ? "there is nothing to draw" : "how many draws?");
        diag_help(d, draw ? "`x in log(1e-4, 1e-1)` is drawn" : "`draw 50 seed 1`");
        return false;
    }
    int64_t n, seed = 1;
    if (!const_expr_value(l, draw->draw.n, "a number of draws", 1, &n) ||
        (draw->draw.seed && !const_expr_value(l, draw->draw.seed, "a seed", 0, &seed))) {
        return false;
    }
    if (n > CHOICES_MOST) {
        report(l, DIAG_SWEEP, draw->at, "more than %d draws", CHOICES_MOST);
        return false;
    }
    x.n = (uint32_t)n;
    x.value = PUSH(l->a, Str, x.n * x.names.n + 1);
    bool fine = true;
    for (uint32_t k = 0; k < ranges.n; k++) {
        fine = draw_one(l, ranges.at[k], (uint32_t)seed, &x, k) && fine;
    }
    vec_push(l->a, out, x);
    return fine;
}

/* ---- a table of points ---- */

/* Rows below the head; the column `name` names points for the reader. */
static bool rows_of(Lower *l, const SweepClause *c, const Cells *t, SweepAxes *out) {
    SweepAxis x = {.n = t->row_starts.n - 2};
    uint32_t columns = t->row_starts.at[1];
    VEC(uint32_t) of = {0};
    for (uint32_t k = 0; k < columns; k++) {
        if (!str_is(t->cells.at[k], "name")) {
            vec_push(l->a, &x.names, ((Name){t->cells.at[k], c->points->at}));
            vec_push(l->a, &of, k);
        }
    }
    x.value = PUSH(l->a, Str, (size_t)x.n * x.names.n + 1);
    for (uint32_t i = 0; i < x.n; i++) {
        uint32_t first = t->row_starts.at[i + 1], n = t->row_starts.at[i + 2] - first;
        if (n != columns) {
            report(l, DIAG_SWEEP, c->points->at, "row %u of the table has %u cells, its head %u", i + 2, n, columns);
            return false;
        }
        for (uint32_t k = 0; k < x.names.n; k++) {
            x.value[i * x.names.n + k] = t->cells.at[first + of.at[k]];
        }
    }
    vec_push(l->a, out, x);
    return true;
}

static bool table(Lower *l, const SweepClause *c, SweepAxes *out) {
    V v = eval(l, c->points);
    if (v->kind != VAL_TEXT) {
        if (v->kind != VAL_POISON) {
            report(l, DIAG_SWEEP, c->points->at, "a table is the path of a csv file");
        }
        return false;
    }
    bool whole = v->text.n && v->text.s[0] == '/';
    Str path = whole ? v->text : str_format(l->a, "%.*s%.*s", FSTR(l->frame->scope->folder), FSTR(v->text));
    const Source *source;
    Error e = {0};
    if (sources_load(l->p->sources, path, &source, &e) != GR_OK) {
        Diag *d = report(l, DIAG_SWEEP, c->points->at, "the table cannot be read");
        diag_note(d, "%s", e.what);
        return false;
    }
    Cells t;
    if (!cells_parse(l->a, source->text, &t) || t.row_starts.n < 3 || t.row_starts.n > CHOICES_MOST) {
        Diag *d = report(l, DIAG_SWEEP, c->points->at, "`%.*s` is no table of points", FSTR(path));
        diag_help(d, "a csv: a line with the names of settings (and perhaps `name`), then a line a point");
        return false;
    }
    return rows_of(l, c, &t, out);
}

/* ---- all ---- */

bool sweep_axes(Lower *l, const Decl *sweep, SweepAxes *out) {
    const SweepClause *draw = NULL;
    bool fine = true;
    for (uint32_t i = 0; i < sweep->sweep.clauses.n; i++) {
        const SweepClause *c = &sweep->sweep.clauses.at[i];
        switch (c->kind) {
        case SC_IN:
            if (!(c->in.names.n == 1 && c->in.values.n == 1 && is_range(c->in.values.at[0]))) {
                written(l, c, out);
            }
            break;
        case SC_REPEAT: written(l, c, out); break;
        case SC_SET: fixed(l, c, out); break;
        case SC_POINTS: fine = table(l, c, out) && fine; break;
        case SC_DRAW:
            if (draw) {
                Diag *d = report(l, DIAG_SWEEP, c->at, "`draw` is said twice");
                report_label(l, d, draw->at, "first here");
                fine = false;
            }
            draw = c;
            break;
        case SC_ERROR: fine = false; break;
        case SC_SKIP:
        case SC_BEST:
        case SC_COUNT: break;
        }
    }
    return drawn(l, sweep, draw, out) && fine;
}
