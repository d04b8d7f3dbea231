/* `split`: shares as exact decimals, numbers of rows, the rest, or one of several folds.  What is kept together
 * (`by c`) is a formula, which data_rows.c lowers. */
#include "data.h"

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

static void add_parts(Lower *l, RecipeData *d, const Stmt *st, RecipeSplit *s) {
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
    s->n_parts = st->split.parts.n;
    if (rests > 1 || sum > 1 + 1e-9 || (rests == 0 && shares && sum < 1 - 1e-9)) {
        Diag *diag =
            report(l, DIAG_DATA_DECL, st->at,
                   rests > 1 ? "only one part can be the `rest`" : "the shares add up to %g, not 1", sum);
        diag_help(diag, "say `rest` for one part; `unused rest` drops what is left");
    }
}

/* A whole number that may be a setting of the same program: its value now. */
static bool number_now(Lower *l, const Expr *e, const char *what, int64_t *out) {
    uint32_t inst;
    if (!number_expr_value(l, e, what, &inst)) {
        return false;
    }
    double x = uniform_now(l, inst);
    if (!(x >= -0x1p31 && x < 0x1p31) || x != (double)(int64_t)x) {
        report(l, DIAG_DATA_DECL, e->at, "%s is a whole number, this is %g", what, x);
        return false;
    }
    *out = (int64_t)x;
    return true;
}

/* `split 5 folds, val fold`: the part is fold number `fold`, the others are `train`. */
static void add_folds(Lower *l, RecipeData *d, const Stmt *st, RecipeSplit *s) {
    const SplitPart *p = &st->split.parts.at[0];
    if (st->split.parts.n != 1 || p->share == NULL) {
        Diag *diag = report(l, DIAG_DATA_DECL, st->at, "of folds one is named by its number, the others train");
        diag_help(diag, "`split 5 folds, val fold seed 1`, with `setting fold : int = 0`");
        return;
    }
    if (!const_expr_value(l, st->split.folds, "the number of folds", 2, &s->folds) ||
        !number_now(l, p->share, "the number of a fold", &s->fold)) {
        return;
    }
    if (s->fold < 0 || s->fold >= s->folds) {
        report(l, DIAG_DATA_DECL, p->share->at, "fold %lld of %lld; they count from 0", (long long)s->fold,
               (long long)s->folds);
        s->fold = 0;
    }
    vec_push(l->m->arena, &d->parts, (RecipePart){.name = p->name.text, .kind = PART_REST, .denominator = 1,
                                                  .span = p->name.at});
    vec_push(l->m->arena, &d->parts, (RecipePart){.name = STR("train"), .kind = PART_REST, .denominator = 1,
                                                  .span = st->at});
    s->n_parts = 2;
}

/* What is cut up is there: a part of an earlier split, or the rows of a source `as` it. */
static bool cut_exists(Lower *l, const RecipeData *d, const Stmt *st) {
    if (st->split.of.text.n == 0 || recipe_has_split(d, st->split.of.text)) {
        return true;
    }
    Diag *diag = report(l, DIAG_DATA_DECL, st->split.of.at, "there is no split `%.*s` to cut up",
                        FSTR(st->split.of.text));
    data_suggest_split(diag, d, st->split.of.text);
    return false;
}

void split_declare(Lower *l, RecipeData *d, const Stmt *st) {
    RecipeSplit s = {.of = st->split.of.text, .first_part = d->parts.n, .in_order = st->split.in_order,
                     .grouped = st->split.by != NULL, .span = st->at};
    if (!cut_exists(l, d, st)) {
        return;
    }
    if (st->split.folds) {
        add_folds(l, d, st, &s);
    } else {
        add_parts(l, d, st, &s);
    }
    if (st->split.seed) {
        const_expr_value(l, st->split.seed, "a seed", 0, &s.seed);
    } else if (!s.in_order) {
        Diag *diag = report(l, DIAG_DATA_DECL, st->at, "a split is shuffled by a seed, or kept in order");
        diag_help(diag, "`seed 1`, or `in order`");
    }
    vec_push(l->m->arena, &d->splits, s);
}
