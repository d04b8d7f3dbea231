/* Settings: their values from the file or from `-s`.  The type says what a change costs: dim, bool, choices,
 * paths, texts and lists shape the program and are compile-time values; real and int are inputs of the
 * uniform program, `setting.NAME`. */
#include "lower.h"
#include <stdlib.h>

double uniform_now(Lower *l, uint32_t inst) {
    const Uniforms *u = l->m->uniforms;
    ArenaMark mark = arena_mark(l->a);
    double *in = PUSH(l->a, double, u->inputs.n + 1), *values = PUSH(l->a, double, u->insts.n + 1);
    UValue *out = PUSH(l->a, UValue, u->outputs.n + 1);
    for (uint32_t i = 0; i < l->p->settings.n; i++) {
        const Setting *s = &l->p->settings.at[i];
        if (s->value->kind == VAL_UNIFORM) {
            in[u->insts.at[s->value->uniform.inst].input] = s->recipe.value;
        }
    }
    uniforms_run(u, in, values, out);
    double x = values[inst];
    arena_pop(mark);
    return x;
}

const Setting *settings_find(const Program *p, const Scope *scope, Str name) {
    for (uint32_t i = 0; i < p->settings.n; i++) {
        if (p->settings.at[i].scope == scope && str_eq(p->settings.at[i].name.text, name)) {
            return &p->settings.at[i];
        }
    }
    return NULL;
}

V settings_read(Lower *l, const Scope *scope, Str name) {
    const Setting *s = settings_find(l->p, scope, name);
    if (s) {
        l->p->settings.at[s - l->p->settings.at].read = true;
    }
    return s ? s->value : NULL;
}

V settings_value(Lower *l, Str name) { return settings_read(l, l->frame->scope, name); }

const TypeSyntax *settings_type(Lower *l, Str name) {
    const Setting *s = settings_find(l->p, l->frame->scope, name);
    return s ? s->type : NULL;
}

bool settings_known(const Program *p, Str name) {
    for (uint32_t i = 0; i < p->settings.n; i++) {
        if (str_eq(p->settings.at[i].recipe.name, name)) {
            return true;
        }
    }
    return false;
}

/* A run-time setting that is used as an extent: its declaration is what has to change. */
bool setting_is_no_dim(Lower *l, V v, Span at) {
    const Setting *s = NULL;
    for (uint32_t i = 0; v->kind == VAL_UNIFORM && i < l->p->settings.n; i++) {
        const Setting *other = &l->p->settings.at[i];
        s = other->value->kind == VAL_UNIFORM && other->value->uniform.inst == v->uniform.inst ? other : s;
    }
    if (s == NULL) {
        return false;
    }
    const char *type = s->recipe.kind == SETTING_INT ? "int" : "real";
    Diag *d = report(l, DIAG_SETTING, s->type->at, "`%.*s` shapes the program, and `%s` does not",
                     FSTR(s->name.text), type);
    report_label(l, d, at, "it has to be known here");
    diag_help(d, "declare it `: dim`: a new value is then a new program; `int` and `real` are numbers of the "
                 "same one");
    return true;
}

bool settings_condition(Lower *l, const Expr *e, const char *what, bool *out) {
    V v = eval(l, e);
    if (v->kind == VAL_BOOL) {
        *out = v->boolean;
        return true;
    }
    bool number = v->kind == VAL_UNIFORM && v->uniform.elem == ELEM_BOOL;
    if (number && uniforms_reads_only(l->a, l->m->uniforms, v->uniform.inst, "setting.")) {
        *out = uniform_now(l, v->uniform.inst) != 0;
        return true;
    }
    if (number) {
        Diag *d = report(l, DIAG_TYPE, e->at, "%s is decided before the run, and this changes in it", what);
        diag_help(d, "it takes settings, constants of settings, and dims");
    } else if (v->kind != VAL_POISON) {
        report(l, DIAG_TYPE, e->at, "%s takes a condition of settings and dims, this is %.*s", what,
               FSTR(value_describe(l, v)));
    }
    return false;
}

/* What was typed, parsed as if it stood in a file called `-s`, so that messages can point into it. */
const Expr *setting_override(Lower *l, const SettingArg *s) {
    Str text = str_format(l->a, "%.*s = %.*s\n", FSTR(s->name), FSTR(s->value));
    for (uint32_t i = 0; i < s->name.n; i++) {
        if (s->name.s[i] == '.') {
            text = str_format(l->a, "%.*s = %.*s\n", s->name.n - i - 1, s->name.s + i + 1, FSTR(s->value));
        }
    }
    uint32_t errors = diags_errors(l->ds);
    const AstFile *f = parse_source(l->a, sources_add(l->p->sources, STR("-s"), text), l->ds);
    if (diags_errors(l->ds) > errors) {
        return NULL;
    }
    if (f->decls.n != 1 || f->decls.at[0]->kind != DECL_CONSTANT) {
        report(l, DIAG_SETTING, (Span){0}, "`%.*s` is no value for `%.*s`", FSTR(s->value), FSTR(s->name));
        return NULL;
    }
    return f->decls.at[0]->constant;
}

/* -s over point over file. */
static const SettingArg *given_for(const Program *p, Str name) {
    const SettingArg *found = NULL;
    for (uint32_t i = 0; i < p->n_given; i++) {
        if (str_eq(p->given[i].name, name) && (found == NULL || found->point)) {
            found = &p->given[i];
        }
    }
    return found;
}

bool settings_typed_path(const Program *p, Str path) {
    for (uint32_t i = 0; i < p->settings.n; i++) {
        const RecipeSetting *s = &p->settings.at[i].recipe;
        if (s->kind != SETTING_PATH || !s->given || given_for(p, s->name)->point || s->text.n == 0 ||
            path.n < s->text.n || !str_eq((Str){path.s, s->text.n}, s->text)) {
            continue;
        }
        if (path.n == s->text.n || path.s[s->text.n] == '/' || s->text.s[s->text.n - 1] == '/') {
            return true;
        }
    }
    return false;
}

static bool is_word_type(const TypeSyntax *t) {
    return t->kind == TYPE_PLAIN && (str_is(t->base.text, "path") || str_is(t->base.text, "text"));
}

/* A path in a file is relative to the file; one typed in a shell, to the shell's folder. */
static Str typed_path(Arena *a, Str path) {
    char *here = path.n && path.s[0] == '/' ? NULL : realpath(".", NULL);
    Str s = here ? str_format(a, "%s/%.*s", here, FSTR(path)) : path;
    free(here);
    return s;
}

bool choice_listed(const TypeSyntax *t, Str word) {
    for (uint32_t i = 0; i < t->choices.n; i++) {
        if (str_eq(t->choices.at[i].text, word)) {
            return true;
        }
    }
    return false;
}

void choice_help(Lower *l, Diag *d, const TypeSyntax *t, Str word) {
    Buf b = buf_make(l->a);
    Nearest near = nearest_to(word);
    for (uint32_t i = 0; i < t->choices.n; i++) {
        buf_printf(&b, "%s`%.*s`", i ? ", " : "", FSTR(t->choices.at[i].text));
        nearest_consider(&near, t->choices.at[i].text);
    }
    report_near(d, &near);
    diag_help(d, "they are %.*s", FSTR(buf_str(&b)));
}

/* A choice is a bare word of the list. */
static V choice(Lower *l, const TypeSyntax *t, Str word, Span at) {
    if (choice_listed(t, word)) {
        return value_text(l, at, VAL_CHOICE, word);
    }
    choice_help(l, report(l, DIAG_SETTING, at, "`%.*s` is none of the choices", FSTR(word)), t, word);
    return value_poison(l);
}

/* A word that was typed where the setting wants a number. */
static void no_value(Lower *l, const Expr *e, Name setting, const TypeSyntax *t) {
    Diag *d = report(l, DIAG_SETTING, e->at, "`%.*s` is no value for `%.*s`", FSTR(e->name.text),
                     FSTR(setting.text));
    report_label(l, d, setting.at, "declared `%.*s`", FSTR(sources_text(l->p->sources, t->at)));
}

static V setting_eval(Lower *l, const Decl *decl, uint32_t i, const SettingArg *given, Span *at) {
    const TypeSyntax *t = decl->setting.type;
    const ExprVec *values = &decl->setting.values;
    const Expr *e = values->n == 0 ? NULL : values->at[i < values->n ? i : values->n - 1];
    if (given && is_word_type(t)) {
        bool path = str_is(t->base.text, "path") && !given->point;
        Str text = path ? typed_path(l->m->arena, given->value) : given->value;
        return value_text(l, decl->setting.names.at[i].at, VAL_TEXT, text);
    }
    if (given && t->kind == TYPE_ONE_OF) {
        return choice(l, t, given->value, decl->setting.names.at[i].at);
    }
    if (given) {
        e = setting_override(l, given);
    }
    if (given && e && e->kind == EX_NAME && scope_try(l, e->name) == NULL) {
        no_value(l, e, decl->setting.names.at[i], t);
        return value_poison(l);
    }
    if (e == NULL) {
        return value_poison(l);
    }
    *at = e->at;
    if (t->kind == TYPE_ONE_OF) {
        Str word = e->kind == EX_NAME ? e->name.text : sources_text(l->p->sources, e->at);
        return choice(l, t, word, e->at);
    }
    return eval(l, e);
}

static Str typed_text(Lower *l, V v, double x) {
    Buf b = buf_make(l->m->arena);
    if (v->kind == VAL_BOOL) {
        buf_put(&b, v->boolean ? STR("yes") : STR("no"));
    } else if (v->kind == VAL_TEXT || v->kind == VAL_CHOICE) {
        buf_put(&b, v->text);
    } else if (v->kind == VAL_LIST) {
        for (uint32_t i = 0; i < v->list.n; i++) {
            V item = v->list.at[i];
            buf_put(&b, i ? STR(", ") : STR("["));
            buf_put(&b, typed_text(l, item, value_scalar(item) ? uniform_now(l, value_inst(l, item)) : 0));
        }
        buf_put(&b, v->list.n ? STR("]") : STR("[]"));
    } else {
        buf_real(&b, x);
    }
    return buf_str(&b);
}

static bool kind_of(const TypeSyntax *t, SettingKind *k) {
    static const struct {
        const char *name;
        SettingKind kind;
    } kinds[] = {{"dim", SETTING_DIM},   {"bool", SETTING_BOOL}, {"path", SETTING_PATH},
                 {"text", SETTING_TEXT}, {"real", SETTING_REAL}, {"int", SETTING_INT}};
    if (t->kind == TYPE_ONE_OF) {
        *k = SETTING_CHOICE;
        return true;
    }
    if (t->kind == TYPE_LIST) {
        *k = SETTING_TEXT;
        return true;
    }
    for (uint32_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (str_is(t->base.text, kinds[i].name) && !t->has_dims) {
            *k = kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* `-s vae.latent=4` of a run: its weights have the shapes of the settings it was trained with. */
static void run_is_shaped(Lower *l, const Scope *scope, Name name, Str full) {
    Diag *d = report(l, DIAG_SETTING, name.at, "`%.*s` shapes the run %.*s and stays what it was trained with",
                     FSTR(full), FSTR(scope->run));
    report_label(l, d, scope->use->at, "used here");
}

static void declare(Lower *l, const Decl *decl, uint32_t i) {
    const TypeSyntax *t = decl->setting.type;
    Name name = decl->setting.names.at[i];
    const Scope *scope = l->frame->scope;
    Str full = str_format(l->m->arena, "%.*s%.*s", FSTR(scope->prefix), FSTR(name.text));
    Setting s = {.name = name, .scope = scope, .type = t, .value = value_poison(l)};
    Span at = name.at;
    const SettingArg *given = given_for(l->p, full);
    SettingKind kind;
    if (!kind_of(t, &kind)) {
        report(l, DIAG_TYPE, t->at,
               "a setting is dim, bool, path, text, real, int, `one of ..` or `list dim`");
        vec_push(l->a, &l->p->settings, s);
        return;
    }
    if (given && scope->run.n && kind != SETTING_PATH && kind != SETTING_REAL && kind != SETTING_INT) {
        given = NULL;
        run_is_shaped(l, scope, name, full);
    }
    V v = setting_eval(l, decl, i, given, &at);
    if (v->kind != VAL_POISON && t->kind != TYPE_ONE_OF) {
        Value *here = PUSH(l->a, Value, 1);
        *here = *v;
        here->at = at;
        v = type_accept(l, t, here, name.text, name.at);
    }
    int64_t extent;
    if (v->kind == VAL_DIM && kind == SETTING_DIM && dim_known(v->d.dim, &extent) && extent < 1) {
        report(l, DIAG_SETTING, at, "`%.*s` is an extent and at least 1, this is %lld", FSTR(name.text),
               (long long)extent);
        v = value_poison(l);
    }
    double x = value_scalar(v) ? uniform_now(l, value_inst(l, v)) : 0;
    bool number = kind == SETTING_REAL || kind == SETTING_INT;
    s.recipe = (RecipeSetting){.name = full,
                               .kind = kind,
                               .span = name.at,
                               .text = typed_text(l, v, x),
                               .value = x,
                               .structural = !number,
                               .given = given != NULL};
    if (number && v->kind != VAL_POISON) {
        Str input = str_format(l->m->arena, "setting.%.*s", FSTR(full));
        uint32_t inst = uniforms_input(l->m->uniforms, input, kind == SETTING_INT);
        v = value_uniform(l, name.at, inst, kind == SETTING_INT ? ELEM_INT : ELEM_REAL);
    }
    s.value = v;
    vec_push(l->a, &l->p->settings, s);
    vec_push(l->m->arena, &l->p->recipe->settings, s.recipe);
}

/* Where an optimizer is given a value of this name; NULL when none is. */
static const Expr *written_out(const AstFile *f, Str name) {
    for (uint32_t i = 0; i < f->decls.n; i++) {
        const Decl *d = f->decls.at[i];
        for (uint32_t k = 0; d->kind == DECL_TRAIN && k < d->train.clauses.n; k++) {
            const TrainClause *c = &d->train.clauses.at[k];
            const Expr *call = c->kind == TC_OPTIMIZER ? c->optimizer.call : NULL;
            for (uint32_t j = 0; call && call->kind == EX_CALL && j < call->call.args.n; j++) {
                if (str_eq(call->call.args.at[j].name.text, name)) {
                    return call->call.args.at[j].value;
                }
            }
        }
    }
    return NULL;
}

/* A `-s` that names nothing: the line where the number stands, or the nearest setting. */
static void unknown_setting(Lower *l, const SettingArg *g) {
    const Expr *here = written_out(l->p->main, g->name);
    if (here) {
        Diag *d = report(l, DIAG_SETTING, here->at, "there is no setting `%.*s`", FSTR(g->name));
        report_label(l, d, here->at, "it is written out here");
        diag_help(d, "declare it, `setting %.*s : real = %.*s`, and say `%.*s = %.*s` here", FSTR(g->name),
                  FSTR(sources_text(l->p->sources, here->at)), FSTR(g->name), FSTR(g->name));
        return;
    }
    Diag *d = report(l, DIAG_SETTING, (Span){0}, "there is no setting `%.*s`", FSTR(g->name));
    Str best = {0};
    uint32_t distance = 4;
    Buf b = buf_make(l->a);
    for (uint32_t i = 0; i < l->p->settings.n; i++) {
        Str name = l->p->settings.at[i].recipe.name;
        uint32_t far = str_distance(name, g->name);
        if (far < distance) {
            distance = far;
            best = name;
        }
        buf_printf(&b, "%s%.*s", i ? ", " : "", FSTR(name));
    }
    if (l->p->settings.n) {
        diag_note(d, "settings are %.*s", FSTR(buf_str(&b)));
    }
    if (best.n) {
        diag_help(d, "`-s %.*s=%.*s`", FSTR(best), FSTR(g->value));
    } else {
        diag_help(d, "declare it in the file: `setting %.*s : real = ..`", FSTR(g->name));
    }
}

static void declare_all(Lower *l, const Scope *scope) {
    for (uint32_t i = 0; i < scope->decls.n; i++) {
        const Decl *d = scope->decls.at[i];
        for (uint32_t k = 0; d->kind == DECL_SETTING && k < d->setting.names.n; k++) {
            const Setting *old = settings_find(l->p, scope, d->setting.names.at[k].text);
            if (old) {
                Diag *diag =
                    report(l, DIAG_TWICE, d->setting.names.at[k].at,
                           "the setting `%.*s` is declared twice", FSTR(d->setting.names.at[k].text));
                report_label(l, diag, old->name.at, "first here");
            }
            declare(l, d, k);
        }
    }
}

/* Modules first: a setting of the file may start from one of theirs. */
void settings_declare(Lower *l) {
    for (uint32_t i = l->p->scopes.n; i-- > 0;) {
        l->frame->scope = l->p->scopes.at[i];
        declare_all(l, l->p->scopes.at[i]);
    }
    for (uint32_t i = 0; i < l->p->n_given; i++) {
        const SettingArg *g = &l->p->given[i];
        for (uint32_t k = 0; k < i; k++) {
            if (str_eq(l->p->given[k].name, g->name) && l->p->given[k].point == g->point) {
                report(l, DIAG_TWICE, (Span){0}, "`-s` gives `%.*s` twice: %.*s and %.*s", FSTR(g->name),
                       FSTR(l->p->given[k].value), FSTR(g->value));
            }
        }
        if (!settings_known(l->p, l->p->given[i].name) && !train_is_setting(l->p, l->p->given[i].name)) {
            unknown_setting(l, &l->p->given[i]);
        }
    }
}
