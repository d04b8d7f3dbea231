/* The program's text as it was run: the file with each setting that `-s` changed replaced where its value stands, and behind it, as
 * comments, every default that the phases took. */
#include "lower.h"

typedef struct { Span at; Str text; } Change;

static Str as_written(Program *p, const RecipeSetting *s) {
    if (s->kind == SETTING_PATH || (s->kind == SETTING_TEXT && (s->text.n == 0 || s->text.s[0] != '['))) {
        return str_format(p->arena, "\"%.*s\"", FSTR(s->text));
    }
    return s->text;
}

static const RecipeSetting *given_setting(const Program *p, Str name) {
    for (uint32_t i = 0; i < p->recipe->settings.n; i++) {
        const RecipeSetting *s = &p->recipe->settings.at[i];
        if (s->given && str_eq(s->name, name)) {
            return s;
        }
    }
    return NULL;
}

/* The value of a declaration `setting a, b : T = v`: each name gets its own when one of them changes. */
static bool changed_values(Program *p, const Decl *d, Change *out) {
    const ExprVec *values = &d->setting.values;
    bool any = false;
    Buf b = buf_make(p->arena);
    for (uint32_t i = 0; i < d->setting.names.n; i++) {
        const RecipeSetting *s = given_setting(p, d->setting.names.at[i].text);
        const Expr *e = values->n ? values->at[i < values->n ? i : values->n - 1] : NULL;
        any = any || s;
        buf_put(&b, i ? STR(", ") : STR(""));
        buf_put(&b, s ? as_written(p, s) : e ? sources_text(p->sources, e->at) : STR(""));
    }
    if (any && values->n) {
        *out = (Change){span_join(values->at[0]->at, values->at[values->n - 1]->at), buf_str(&b)};
    }
    return any && values->n;
}

Str resolved_text(Program *p) {
    Buf b = buf_make(p->arena);
    const Source *s = p->main->source;
    uint32_t from = 0;
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        Change c;
        if (p->main->decls.at[i]->kind == DECL_SETTING && changed_values(p, p->main->decls.at[i], &c)) {
            buf_put(&b, (Str){s->text.s + from, c.at.at - s->base - from});
            buf_put(&b, c.text);
            from = c.at.at - s->base + c.at.n;
        }
    }
    buf_put(&b, (Str){s->text.s + from, s->text.n - from});
    for (uint32_t i = 0; i < p->recipe->phases.n; i++) {
        const RecipePhase *f = &p->recipe->phases.at[i];
        buf_printf(&b, "%s# train %.*s: ", b.n && b.s[b.n - 1] == '\n' ? "" : "\n", FSTR(f->name));
        buf_printf(&b, f->epochs ? "epochs %lld" : "steps %lld", (long long)(f->epochs ? f->epochs : f->steps));
        buf_printf(&b, ", batch %lld%s, seed %lld\n", (long long)f->batch, f->drop_tail ? " drop tail" : "", (long long)f->seed);
    }
    return buf_str(&b);
}
