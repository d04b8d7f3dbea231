/* `every n epochs train p`: phases inside phases.  An inner one runs after epochs of the outer one and never by itself;
 * each time it starts afresh with what it alone changes, so its results can be compared over the outer training. */
#include "lower.h"

enum { PHASES_DEEP = 4 };                  /* as many as a checkpoint holds (runtime/train/state.h) */

static int32_t phase_named(const Recipe *r, Str name) {
    for (uint32_t i = 0; i < r->phases.n; i++) {
        if (str_eq(r->phases.at[i].name, name)) {
            return (int32_t)i;
        }
    }
    return -1;
}

static void no_phase(Lower *l, Name name) {
    Diag *d = report(l, DIAG_NAME, name.at, "there is no `train %.*s`", FSTR(name.text));
    Nearest near = nearest_to(name.text);
    for (uint32_t i = 0; i < l->p->recipe->phases.n; i++) {
        nearest_consider(&near, l->p->recipe->phases.at[i].name);
    }
    if (near.best.n) {
        diag_help(d, "did you mean `%.*s`?", FSTR(near.best));
    }
}

static void add(Lower *l, RecipePhase *outer, const TrainClause *c) {
    Recipe *r = l->p->recipe;
    Name name = c->interleave.train;
    int32_t inner = phase_named(r, name.text);
    int64_t n = 1;
    if (inner < 0) {
        no_phase(l, name);
        return;
    }
    if (c->interleave.every.unit == UNIT_STEPS) {
        Diag *d = report(l, DIAG_TRAIN_DECL, c->at, "a phase inside another runs after whole epochs");
        diag_help(d, "`every 1 epochs train %.*s`", FSTR(name.text));
        return;
    }
    if (c->interleave.every.n && !const_expr_value(l, c->interleave.every.n, "a number of epochs", 1, &n)) {
        return;
    }
    vec_push(l->m->arena, &outer->inner, (RecipeInner){(uint32_t)inner, n, c->at});
    r->phases.at[inner].called = true;
}

/* How deep phases stand inside each other, from this one on; more than PHASES_DEEP also when they go round. */
static uint32_t depth_of(const Recipe *r, uint32_t phase, uint32_t so_far) {
    uint32_t deepest = so_far;
    for (uint32_t i = 0; i < r->phases.at[phase].inner.n && so_far <= PHASES_DEEP; i++) {
        uint32_t d = depth_of(r, r->phases.at[phase].inner.at[i].phase, so_far + 1);
        deepest = d > deepest ? d : deepest;
    }
    return deepest;
}

static bool reaches(const Recipe *r, uint32_t from, uint32_t to, uint32_t so_far) {
    bool found = false;
    for (uint32_t i = 0; i < r->phases.at[from].inner.n && so_far <= r->phases.n; i++) {
        uint32_t next = r->phases.at[from].inner.at[i].phase;
        found = found || next == to || reaches(r, next, to, so_far + 1);
    }
    return found;
}

static void check_depth(Lower *l) {
    Recipe *r = l->p->recipe;
    for (uint32_t i = 0; i < r->phases.n; i++) {
        RecipePhase *p = &r->phases.at[i];
        if (p->inner.n == 0) {
            continue;
        }
        if (reaches(r, i, i, 0)) {
            report(l, DIAG_TRAIN_DECL, p->inner.at[0].span, "`train %.*s` would run inside itself", FSTR(p->name));
            p->inner.n = 0;
        } else if (depth_of(r, i, 1) > PHASES_DEEP) {
            report(l, DIAG_TRAIN_DECL, p->inner.at[0].span, "more than %d phases inside each other", PHASES_DEEP);
            p->inner.n = 0;
        }
    }
}

static void check_names(Lower *l) {
    const Recipe *r = l->p->recipe;
    for (uint32_t i = 0; i < r->phases.n; i++) {
        const RecipePhase *p = &r->phases.at[i];
        int32_t first = phase_named(r, p->name);
        const Decl *d = phase_decl(l->p, i);
        if ((uint32_t)first == i || (d->name.text.n && phase_decl(l->p, (uint32_t)first)->name.text.n)) {
            continue;                      /* two of one name are reported as such */
        }
        Diag *diag = report(l, DIAG_TRAIN_DECL, p->span, "two phases are called `%.*s`", FSTR(p->name));
        report_label(l, diag, r->phases.at[first].span, "the first");
        diag_help(diag, "`train NAME { .. }`: a file's only `train` needs no name");
    }
}

void inner_declare(Lower *l) {
    Recipe *r = l->p->recipe;
    check_names(l);
    for (uint32_t i = 0; i < r->phases.n; i++) {
        const Decl *d = phase_decl(l->p, i);
        for (uint32_t k = 0; k < d->train.clauses.n; k++) {
            if (d->train.clauses.at[k].kind == TC_EVERY) {
                add(l, &r->phases.at[i], &d->train.clauses.at[k]);
            }
        }
    }
    check_depth(l);
}

void inner_fresh(Program *p, bool *const *writes, uint32_t n_vars) {
    Recipe *r = p->recipe;
    for (uint32_t i = 0; i < r->phases.n; i++) {
        for (uint32_t v = 0; v < n_vars && r->phases.at[i].called; v++) {
            bool alone = writes[i][v] && p->module->vars.at[v].kind != VAR_METRIC;
            for (uint32_t k = 0; k < r->phases.n; k++) {
                alone = alone && (k == i || !writes[k][v]);
            }
            if (alone) {
                vec_push(r->arena, &r->phases.at[i].fresh, p->module->vars.at[v].path);
            }
        }
    }
}
