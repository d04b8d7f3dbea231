/* `sweep`: every run of it is checked like the file itself, with the settings of its point: a program aside, of
 * which nothing is kept but what is wrong with it and which settings it read.  Points that differ in run-time numbers
 * are one program, whose text is checked once.  The recipe lists the points; a sweep of one point is a preset. */
#include "sweep.h"

enum { RUNS_MOST = 10000, SHOWN_MOST = 3 };

/* A program of this structure has no mistakes; read: by setting. */
typedef struct { Str structure; bool *read; } Known;
typedef struct {
    Lower *l;
    const Decl *decl;
    VEC(Known) known;
    SweepAxes axes;
    RecipeSweep *recipe;
    uint32_t n_wrong;
    Diag *wrong;                   /* of the first one */
    uint32_t *unread;              /* by name of all axes: runs that do not read it */
} Sweep;

static Span place_of(const Decl *d) { return d->name.text.n ? d->name.at : (Span){d->at.at, 5}; }

/* ---- names ---- */

static bool name_known(Lower *l, Name name, const Sweep *s) {
    if (settings_known(l->p, name.text) || train_is_setting(l->p, name.text)) {
        return true;
    }
    Diag *d = report(l, DIAG_SETTING, name.at, "there is no setting `%.*s`", FSTR(name.text));
    report_label(l, d, place_of(s->decl), "the sweep");
    Nearest near = nearest_to(name.text);
    for (uint32_t i = 0; i < l->p->settings.n; i++) {
        nearest_consider(&near, l->p->settings.at[i].recipe.name);
    }
    if (near.best.n) {
        diag_help(d, "did you mean `%.*s`?", FSTR(near.best));
    }
    return false;
}

/* One level: no name has two clauses. */
static bool names_fine(Sweep *s) {
    VEC(Name) all = {0};
    bool fine = true;
    for (uint32_t i = 0; i < s->axes.n; i++) {
        for (uint32_t k = 0; k < s->axes.at[i].names.n; k++) {
            Name name = s->axes.at[i].names.at[k];
            fine = name_known(s->l, name, s) && fine;
            for (uint32_t j = 0; j < all.n; j++) {
                if (str_eq(all.at[j].text, name.text)) {
                    Diag *d = report(s->l, DIAG_TWICE, name.at, "the sweep sets `%.*s` twice", FSTR(name.text));
                    report_label(s->l, d, all.at[j].at, "first here");
                    fine = false;
                }
            }
            vec_push(s->l->a, &all, name);
        }
    }
    s->unread = PUSH(s->l->a, uint32_t, all.n + 1);
    return fine;
}

/* ---- one run ---- */

typedef struct { VEC(SettingArg) at; } Assignment;

static Assignment run_settings(Sweep *s, const uint32_t *choice) {
    Assignment out = {0};
    Lower *l = s->l;
    for (uint32_t i = 0; i < s->axes.n; i++) {
        const SweepAxis *x = &s->axes.at[i];
        for (uint32_t k = 0; k < x->names.n; k++) {
            SettingArg g = {x->names.at[k].text, x->value[choice[i] * x->names.n + k], true};
            vec_push(l->a, &out.at, g);
        }
    }
    for (uint32_t i = 0; i < l->p->n_given; i++) {
        vec_push(l->a, &out.at, l->p->given[i]);
    }
    return out;
}

static Str describe(Sweep *s, const Assignment *a) {
    Buf b = buf_make(s->l->a);
    for (uint32_t i = 0; i < a->at.n && a->at.at[i].point; i++) {
        buf_printf(&b, "%s%.*s = %.*s", i ? ", " : "", FSTR(a->at.at[i].name), FSTR(a->at.at[i].value));
    }
    return buf_str(&b);
}

static void report_run(Sweep *s, const Assignment *run, const Diags *ds) {
    Span at;
    Str what = diags_first_error(ds, &at), point = describe(s, run);
    if (s->n_wrong++ > 0) {
        if (s->n_wrong <= SHOWN_MOST) {
            diag_note(s->wrong, "nor can %.*s: %.*s", FSTR(point), FSTR(what));
        }
        return;
    }
    Diag *d = s->wrong = report(s->l, DIAG_SWEEP, place_of(s->decl), "a point that cannot run: %.*s", FSTR(point));
    if (at.n && !str_is(sources_place(s->l->p->sources, at).path, "-s")) {
        report_label(s->l, d, at, "%.*s", FSTR(what));
    } else {
        diag_note(d, "%.*s", FSTR(what));
    }
}

static bool skipped(Lower *aside, const Decl *sweep) {
    for (uint32_t i = 0; i < sweep->sweep.clauses.n; i++) {
        const SweepClause *c = &sweep->sweep.clauses.at[i];
        bool skip = false;
        if (c->kind == SC_SKIP && settings_condition(aside, c->skip, "`skip when`", &skip) && skip) {
            return true;
        }
    }
    return false;
}

static void note_unread(Sweep *s, const Program *aside, const Assignment *run) {
    for (uint32_t i = 0; i < run->at.n && run->at.at[i].point; i++) {
        for (uint32_t k = 0; k < aside->settings.n; k++) {
            const Setting *x = &aside->settings.at[k];
            s->unread[i] += str_eq(x->recipe.name, run->at.at[i].name) && !x->read;
        }
    }
}

/* What makes it another program: settings of its structure, and numbers of `train`. */
static Str structure(Sweep *s, const Program *aside, const Assignment *run) {
    Buf b = buf_make(s->l->a);
    for (uint32_t k = 0; k < aside->settings.n; k++) {
        const RecipeSetting *x = &aside->settings.at[k].recipe;
        if (x->structural) {
            buf_printf(&b, "%.*s=%.*s\n", FSTR(x->name), FSTR(x->text));
        }
    }
    for (uint32_t i = 0; i < run->at.n; i++) {
        if (!settings_known(aside, run->at.at[i].name)) {
            buf_printf(&b, "%.*s=%.*s\n", FSTR(run->at.at[i].name), FSTR(run->at.at[i].value));
        }
    }
    return buf_str(&b);
}

/* A program that has been checked needs no more than its conditions and its data looked at with other numbers. */
static void check_program(Sweep *s, Lower *file, const Assignment *run) {
    Program *p = file->p;
    Str is = structure(s, p, run);
    for (uint32_t i = 0; i < s->known.n; i++) {
        const Known *k = &s->known.at[i];
        if (str_eq(k->structure, is)) {
            p->probe = NULL; /* nor have its files changed */
            program_conditions(file);
            for (uint32_t n = 0; n < p->settings.n; n++) {
                p->settings.at[n].read = k->read[n];
            }
            return;
        }
    }
    program_rest(p, file);
    if (diags_errors(file->ds) > 0) {
        return;
    }
    Known k = {is, PUSH(s->l->a, bool, p->settings.n + 1)};
    for (uint32_t n = 0; n < p->settings.n; n++) {
        k.read[n] = p->settings.at[n].read;
    }
    vec_push(s->l->a, &s->known, k);
}

/* Returns whether it counts: false when it is skipped. */
static bool check_run(Sweep *s, const Assignment *run) {
    Arena *scratch = arena_create();
    Diags *ds = diags_create(scratch, s->l->p->sources);
    Lower *file = program_aside(s->l->p, scratch, run->at.n, run->at.at, ds);
    bool skip = diags_errors(ds) == 0 && skipped(file, s->decl);
    if (!skip && diags_errors(ds) == 0) {
        check_program(s, file, run);
    }
    if (diags_errors(ds) > 0) {
        report_run(s, run, ds);
    } else if (!skip) {
        note_unread(s, file->p, run);
    }
    arena_destroy(scratch);
    return !skip;
}

/* ---- all runs ---- */

static bool next_choice(const SweepAxes *axes, uint32_t *choice) {
    for (uint32_t i = axes->n; i-- > 0;) {
        if (++choice[i] < axes->at[i].n) {
            return true;
        }
        choice[i] = 0;
    }
    return false;
}

static void keep_point(Sweep *s, const Assignment *run, const uint32_t *choice) {
    Arena *a = s->l->m->arena;
    RecipePoint p = {0};
    for (uint32_t i = 0, k = 0; i < s->axes.n; i++) {
        if (s->axes.at[i].repeat && choice[i] > 0) {
            return; /* the same point once more */
        }
        for (uint32_t j = 0; j < s->axes.at[i].names.n; j++, k++) {
            vec_push(a, &p.values, ((RecipeValue){run->at.at[k].name, run->at.at[k].value}));
        }
    }
    vec_push(a, &s->recipe->points, p);
}

static void check_runs(Sweep *s) {
    uint32_t *choice = PUSH(s->l->a, uint32_t, s->axes.n + 1);
    do {
        Assignment run = run_settings(s, choice);
        if (check_run(s, &run)) {
            keep_point(s, &run, choice);
            s->recipe->runs++;
        } else {
            s->recipe->skipped++;
        }
    } while (next_choice(&s->axes, choice));
    if (s->n_wrong > SHOWN_MOST) {
        diag_note(s->wrong, "nor can %u more", s->n_wrong - SHOWN_MOST);
    }
}

static void warn_unread(Sweep *s) {
    for (uint32_t i = 0, k = 0; i < s->axes.n; i++) {
        for (uint32_t j = 0; j < s->axes.at[i].names.n; j++, k++) {
            Name name = s->axes.at[i].names.at[j];
            if (s->unread[k]) {
                Diag *d = report(s->l, DIAG_UNREAD, name.at, "`%.*s` is read by %u of %u runs of the sweep",
                                 FSTR(name.text), s->recipe->runs - s->unread[k], s->recipe->runs);
                diag_help(d, "runs that differ only in it are the same; `skip when` leaves them out");
            }
        }
    }
}

static void check_best(Sweep *s) {
    Lower *l = s->l;
    const SweepClause *first = NULL;
    for (uint32_t i = 0; i < s->decl->sweep.clauses.n; i++) {
        const SweepClause *c = &s->decl->sweep.clauses.at[i];
        uint32_t inst;
        if (c->kind == SC_BEST && first) {
            Diag *d = report(l, DIAG_SWEEP, c->at, "`best` is said twice");
            report_label(l, d, first->at, "first here");
        } else if (c->kind == SC_BEST) {
            first = c;
            if (l->p->recipe->phases.n == 0) {
                report(l, DIAG_SWEEP, c->at, "a sweep without `train` has no best point");
            } else {
                train_criterion(l, &l->p->recipe->phases.at[l->p->recipe->phases.n - 1], c->best.score, &inst);
            }
        }
    }
}

static void check(Lower *l, const Decl *decl) {
    vec_push(l->m->arena, &l->p->recipe->sweeps, ((RecipeSweep){.name = decl->name.text, .span = place_of(decl)}));
    Sweep s = {.l = l, .decl = decl, .recipe = &l->p->recipe->sweeps.at[l->p->recipe->sweeps.n - 1]};
    if (!sweep_axes(l, decl, &s.axes) || !names_fine(&s)) {
        return;
    }
    uint64_t runs = 1;
    for (uint32_t i = 0; i < s.axes.n && runs <= RUNS_MOST; i++) {
        runs *= s.axes.at[i].n;
    }
    if (runs > RUNS_MOST) {
        report(l, DIAG_SWEEP, place_of(decl), "more than %d runs", RUNS_MOST);
        return;
    }
    check_best(&s);
    check_runs(&s);
    if (s.n_wrong == 0) {
        warn_unread(&s);
    }
}

void sweeps_declare(Lower *l) {
    for (uint32_t i = 0; i < l->p->main->decls.n; i++) {
        if (l->p->main->decls.at[i]->kind == DECL_SWEEP) {
            check(l, l->p->main->decls.at[i]);
        }
    }
}
