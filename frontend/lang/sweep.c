/* `sweep`: every run of it is checked like the file itself, with the settings of its point: a program aside, of
 * which nothing is kept but what is wrong with it, the values of its settings and which of them it read.  Points that
 * differ in run-time numbers are one program, whose text is checked once.  The recipe lists the runs; a sweep of one
 * is a preset. */
#include "sweep.h"
#include <string.h>

enum { RUNS_MOST = 10000, SHOWN_MOST = 3 };

/* A program of this structure has no mistakes; read, of_data, text: by setting. */
typedef struct { Str structure; bool *read, *of_data; Str *text; } Known;
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

static bool skip_holds(Lower *aside, const Decl *sweep) {
    for (uint32_t i = 0; i < sweep->sweep.clauses.n; i++) {
        const SweepClause *c = &sweep->sweep.clauses.at[i];
        bool skip = false;
        if (c->kind == SC_SKIP && settings_condition(aside, c->skip, "`skip when`", &skip) && skip) {
            return true;
        }
    }
    return false;
}

/* Naming a setting in `skip when` is not reading it. */
static bool skipped(Lower *aside, const Decl *sweep) {
    Program *p = aside->p;
    bool *read = PUSH(aside->a, bool, p->settings.n + 1);
    for (uint32_t i = 0; i < p->settings.n; i++) {
        read[i] = p->settings.at[i].read;
    }
    bool skip = skip_holds(aside, sweep);
    for (uint32_t i = 0; i < p->settings.n; i++) {
        p->settings.at[i].read = read[i];
    }
    aside->constants.n = 0;
    return skip;
}

static void note_unread(Sweep *s, const Program *aside, const Assignment *run) {
    for (uint32_t i = 0; i < run->at.n && run->at.at[i].point; i++) {
        for (uint32_t k = 0; k < aside->settings.n; k++) {
            const Setting *x = &aside->settings.at[k];
            s->unread[i] += str_eq(x->recipe.name, run->at.at[i].name) && !x->read;
        }
    }
}

static bool is_batch(Str word) { return str_is(word, "batch") || str_ends(word, ".batch"); }

/* What makes it another program: settings of its structure, and batches. */
static Str structure(Sweep *s, const Program *aside, const Assignment *run) {
    Buf b = buf_make(s->l->a);
    for (uint32_t k = 0; k < aside->settings.n; k++) {
        const RecipeSetting *x = &aside->settings.at[k].recipe;
        if (x->structural) {
            buf_printf(&b, "%.*s=%.*s\n", FSTR(x->name), FSTR(x->text));
        }
    }
    for (uint32_t i = 0; i < run->at.n; i++) {
        if (!settings_known(aside, run->at.at[i].name) && is_batch(run->at.at[i].name)) {
            buf_printf(&b, "%.*s=%.*s\n", FSTR(run->at.at[i].name), FSTR(run->at.at[i].value));
        }
    }
    return buf_str(&b);
}

/* The data of a program that has been checked read the same: its files are not looked into once more. */
static bool same_data(const Sweep *s, const Program *aside) {
    for (uint32_t i = 0; i < s->known.n; i++) {
        const Known *k = &s->known.at[i];
        bool same = true;
        for (uint32_t n = 0; n < aside->settings.n; n++) {
            same = same && (!k->of_data[n] || str_eq(aside->settings.at[n].recipe.text, k->text[n]));
        }
        if (same) {
            return true;
        }
    }
    return false;
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
                p->settings.at[n].of_data = k->of_data[n];
            }
            return;
        }
    }
    p->probe = same_data(s, p) ? NULL : p->probe;
    program_rest(p, file);
    if (diags_errors(file->ds) > 0) {
        return;
    }
    uint32_t settings = p->settings.n + 1;
    Arena *a = s->l->a;
    Known k = {is, PUSH(a, bool, settings), PUSH(a, bool, settings), PUSH(a, Str, settings)};
    for (uint32_t n = 0; n < p->settings.n; n++) {
        k.read[n] = p->settings.at[n].read;
        k.of_data[n] = p->settings.at[n].of_data;
        k.text[n] = str_copy(a, p->settings.at[n].recipe.text);
    }
    vec_push(s->l->a, &s->known, k);
}

/* ---- what the recipe keeps of a run ---- */

static void keep_words(Sweep *s, Lower *file, const Assignment *run, RecipeSweepRun *out) {
    for (uint32_t i = 0; i < run->at.n; i++) {
        RecipeWord w;
        if (!train_word(file, &run->at.at[i], &w)) {
            continue;
        }
        uint32_t k = 0;
        while (k < out->words.n && !str_eq(out->words.at[k].name, w.name)) {
            k++;
        }
        if (k < out->words.n) {
            out->words.at[k] = w; /* -s over point */
        } else {
            vec_push(s->l->m->arena, &out->words, w);
        }
    }
}

static void keep_settings(Sweep *s, const Program *aside, RecipeSweepRun *out) {
    Arena *a = s->l->m->arena;
    Buf shape = buf_make(a), data = buf_make(a), reads = buf_make(a);
    for (uint32_t i = 0; i < aside->settings.n; i++) {
        const Setting *from = &aside->settings.at[i];
        RecipeSetting x = from->recipe;
        x.name = str_copy(a, x.name);
        x.text = str_copy(a, x.text);
        vec_push(a, &out->settings, x);
        if (from->read) {
            buf_printf(&reads, "%.*s=%.*s\n", FSTR(x.name), FSTR(x.text));
        }
        if (from->of_data) {
            buf_printf(&data, "%.*s=%.*s\n", FSTR(x.name), FSTR(x.text));
        }
        if (from->read && (x.structural || from->of_data)) {
            buf_printf(&shape, "%.*s=%.*s\n", FSTR(x.name), FSTR(x.text));
        }
    }
    for (uint32_t i = 0; i < out->words.n; i++) {
        const RecipeWord *w = &out->words.at[i];
        buf_printf(&reads, "%.*s=%lld\n", FSTR(w->name), (long long)w->value);
        if (is_batch(w->name)) {
            buf_printf(&shape, "%.*s=%lld\n", FSTR(w->name), (long long)w->value);
        }
    }
    out->shape = buf_str(&shape);
    out->data = buf_str(&data);
    out->reads = buf_str(&reads);
}

/* Returns whether it counts: false when it is skipped. */
static bool check_run(Sweep *s, const Assignment *run, RecipeSweepRun *out) {
    Arena *scratch = arena_create();
    Diags *ds = diags_create(scratch, s->l->p->sources);
    Lower *file = program_aside(s->l->p, scratch, run->at.n, run->at.at, ds);
    bool skip = diags_errors(ds) == 0 && skipped(file, s->decl);
    if (!skip && diags_errors(ds) == 0) {
        check_program(s, file, run);
    }
    if (!skip && diags_errors(ds) == 0) {
        keep_words(s, file, run, out);
    }
    if (diags_errors(ds) > 0) {
        report_run(s, run, ds);
    } else if (!skip) {
        note_unread(s, file->p, run);
        keep_settings(s, file->p, out);
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

static bool same_point(const RecipeSweepRun *a, const RecipeSweepRun *b) {
    for (uint32_t i = 0; i < a->values.n; i++) {
        if (!a->values.at[i].repeat && !str_eq(a->values.at[i].value, b->values.at[i].value)) {
            return false;
        }
    }
    return true;
}

/* The first run of its point has its number. */
static void keep_run(Sweep *s, const Assignment *run, RecipeSweepRun *out) {
    Arena *a = s->l->m->arena;
    bool repeats = false;
    for (uint32_t i = 0, k = 0; i < s->axes.n; i++) {
        for (uint32_t j = 0; j < s->axes.at[i].names.n; j++, k++) {
            vec_push(a, &out->values,
                     ((RecipeValue){run->at.at[k].name, run->at.at[k].value, s->axes.at[i].repeat}));
            repeats = repeats || s->axes.at[i].repeat;
        }
    }
    out->point = s->recipe->points;
    for (uint32_t i = s->recipe->runs.n; repeats && i-- > 0;) {
        if (same_point(&s->recipe->runs.at[i], out)) {
            out->point = s->recipe->runs.at[i].point;
            break;
        }
    }
    s->recipe->points += out->point == s->recipe->points;
    vec_push(a, &s->recipe->runs, *out);
}

static void check_runs(Sweep *s) {
    uint32_t *choice = PUSH(s->l->a, uint32_t, s->axes.n + 1);
    do {
        Assignment run = run_settings(s, choice);
        RecipeSweepRun out = {0};
        if (check_run(s, &run, &out)) {
            keep_run(s, &run, &out);
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
                                 FSTR(name.text), s->recipe->runs.n - s->unread[k], s->recipe->runs.n);
                diag_help(d, "runs that differ only in it are the same, and run once; `skip when` leaves them out");
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
            const RecipePhase *last = recipe_last_phase(l->p->recipe);
            if (last == NULL) {
                report(l, DIAG_SWEEP, c->at, "a sweep without `train` has no best point");
            } else if (train_criterion(l, last, c->best.score, &inst)) {
                s->recipe->best = sources_text(l->p->sources, c->best.score->at);
                s->recipe->highest = c->best.highest;
            }
        }
    }
}

static bool check(Lower *l, const Decl *decl, RecipeSweep *out) {
    *out = (RecipeSweep){.name = decl->name.text, .span = place_of(decl)};
    Sweep s = {.l = l, .decl = decl, .recipe = out};
    if (!sweep_axes(l, decl, &s.axes) || !names_fine(&s)) {
        return false;
    }
    uint64_t runs = 1;
    for (uint32_t i = 0; i < s.axes.n && runs <= RUNS_MOST; i++) {
        runs *= s.axes.at[i].n;
    }
    if (runs > RUNS_MOST) {
        report(l, DIAG_SWEEP, place_of(decl), "more than %d runs", RUNS_MOST);
        return false;
    }
    check_best(&s);
    check_runs(&s);
    if (s.n_wrong == 0) {
        warn_unread(&s);
    }
    return s.n_wrong == 0;
}

void sweeps_declare(Lower *l) {
    for (uint32_t i = 0; i < l->p->main->decls.n; i++) {
        if (l->p->main->decls.at[i]->kind == DECL_SWEEP) {
            RecipeSweep x;
            check(l, l->p->main->decls.at[i], &x);
            vec_push(l->m->arena, &l->p->recipe->sweeps, x);
        }
    }
}

/* ---- clauses that are typed ---- */

/* The clauses of `sweep { .. }`, which messages can point into. */
static const Decl *typed_sweep(Lower *l, Str clauses) {
    Str text = str_format(l->m->arena, "sweep {\n%.*s}\n", FSTR(clauses));
    uint32_t errors = diags_errors(l->ds);
    const AstFile *f = parse_source(l->a, sources_add(l->p->sources, STR("the command line"), text), l->ds);
    bool fine = diags_errors(l->ds) == errors && f->decls.n == 1 && f->decls.at[0]->kind == DECL_SWEEP;
    return fine ? f->decls.at[0] : NULL;
}

static bool gives(const SweepClause *c, Str name) {
    for (uint32_t i = 0; (c->kind == SC_IN || c->kind == SC_REPEAT) && i < c->in.names.n; i++) {
        if (str_eq(c->in.names.at[i].text, name)) {
            return true;
        }
    }
    return c->kind == SC_SET && str_eq(c->set.name.text, name);
}

/* The typed clause stands in place of the file's: both give the only name that the file's gives, or say how to draw
 * or what is best. */
static bool replaces(const SweepClause *typed, const SweepClause *of_file) {
    bool one = of_file->kind == SC_SET || ((of_file->kind == SC_IN || of_file->kind == SC_REPEAT) &&
                                           of_file->in.names.n == 1);
    if (one) {
        return gives(typed, of_file->kind == SC_SET ? of_file->set.name.text : of_file->in.names.at[0].text);
    }
    return typed->kind == of_file->kind && (typed->kind == SC_DRAW || typed->kind == SC_BEST);
}

static const Decl *joined(Lower *l, const Decl *of_file, const Decl *typed) {
    Decl *d = PUSH(l->a, Decl, 1);
    *d = *of_file;
    memset(&d->sweep.clauses, 0, sizeof d->sweep.clauses);
    for (uint32_t i = 0; i < of_file->sweep.clauses.n; i++) {
        bool stays = true;
        for (uint32_t k = 0; k < typed->sweep.clauses.n; k++) {
            stays = stays && !replaces(&typed->sweep.clauses.at[k], &of_file->sweep.clauses.at[i]);
        }
        if (stays) {
            vec_push(l->a, &d->sweep.clauses, of_file->sweep.clauses.at[i]);
        }
    }
    for (uint32_t k = 0; k < typed->sweep.clauses.n; k++) {
        vec_push(l->a, &d->sweep.clauses, typed->sweep.clauses.at[k]);
    }
    return d;
}

bool program_sweep(Program *p, Str name, Str clauses, RecipeSweep *out) {
    Lower *l = p->file;
    const Decl *d = typed_sweep(l, clauses);
    for (uint32_t i = 0; d && name.n && i < p->main->decls.n; i++) {
        const Decl *of_file = p->main->decls.at[i];
        if (of_file->kind == DECL_SWEEP && str_eq(of_file->name.text, name)) {
            d = joined(l, of_file, d);
        }
    }
    return d && check(l, d, out) && diags_errors(l->ds) == 0;
}

bool program_criterion(Program *p, Str text, uint32_t *inst) {
    const Decl *d = typed_sweep(p->file, str_format(p->arena, "best lowest %.*s\n", FSTR(text)));
    const RecipePhase *last = recipe_last_phase(p->recipe);
    return d && last && d->sweep.clauses.n == 1 && d->sweep.clauses.at[0].kind == SC_BEST &&
           train_criterion(p->file, last, d->sweep.clauses.at[0].best.score, inst);
}
