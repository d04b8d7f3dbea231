/* The program's text as it was run: the file itself, with each setting that `-s` changed, each number of a
 * phase, and every default of an optimizer written where it belongs.  Running that text without `-s` is the
 * same run. */
#include "lower.h"

typedef struct { Program *p; Buf out; uint32_t from; } Text;

/* Copies the file up to the place, then puts the new text instead of `n` bytes. */
static void replace(Text *t, uint32_t at, uint32_t n, Str text) {
    const Source *s = t->p->main->source;
    buf_put(&t->out, (Str){s->text.s + t->from, at - s->base - t->from});
    buf_put(&t->out, text);
    t->from = at - s->base + n;
}

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

/* The values of `setting a, b : T = v`: each name gets its own when one of them changes. */
static void settings(Text *t, const Decl *d) {
    const ExprVec *values = &d->setting.values;
    bool any = false;
    Buf b = buf_make(t->p->arena);
    for (uint32_t i = 0; i < d->setting.names.n && values->n; i++) {
        const RecipeSetting *s = given_setting(t->p, d->setting.names.at[i].text);
        const Expr *e = values->at[i < values->n ? i : values->n - 1];
        any = any || s;
        buf_put(&b, i ? STR(", ") : STR(""));
        buf_put(&b, s ? as_written(t->p, s) : sources_text(t->p->sources, e->at));
    }
    if (any) {
        Span at = span_join(values->at[0]->at, values->at[values->n - 1]->at);
        replace(t, at.at, at.n, buf_str(&b));
    }
}

/* `adam(lr = lr)` with the arguments it took from the declaration. */
static void optimizer(Text *t, const Expr *call) {
    const Decl *d = scope_decl(t->p, call_name(call).text);
    if (call->kind != EX_CALL || d == NULL || d->kind != DECL_OPTIMIZER) {
        return;
    }
    Buf b = buf_make(t->p->arena);
    uint32_t positional = 0;
    for (uint32_t i = 0; i < call->call.args.n; i++) {
        positional += call->call.args.at[i].name.text.n == 0;
    }
    for (uint32_t i = positional; i < d->optimizer.sig.args.n; i++) {
        const Param *p = &d->optimizer.sig.args.at[i];
        bool given = false;
        for (uint32_t k = 0; k < call->call.args.n; k++) {
            given = given || str_eq(call->call.args.at[k].name.text, p->name.text);
        }
        if (!given && p->preset) {
            buf_printf(&b, "%s%.*s = %.*s", call->call.args.n || b.n ? ", " : "", FSTR(p->name.text),
                       FSTR(sources_text(t->p->sources, p->preset->at)));
        }
    }
    replace(t, call->at.at + call->at.n - 1, 0, buf_str(&b));
}

static Str length_clause(Program *p, const RecipePhase *f) {
    return f->steps ? str_format(p->arena, "steps %lld", (long long)f->steps)
                    : str_format(p->arena, "epochs %lld", (long long)f->epochs);
}

static Str batch_clause(Program *p, const RecipePhase *f) {
    return str_format(p->arena, "batch %lld%s", (long long)f->batch, f->drop_tail ? " drop tail" : "");
}

static Str seed_clause(Program *p, const RecipePhase *f) {
    return str_format(p->arena, "seed %lld", (long long)f->seed);
}

/* The numbers of a phase, in their own clauses or behind the last one. */
static void phase(Text *t, const Decl *d, const RecipePhase *f) {
    bool length = false, batch = false, seed = false;
    for (uint32_t i = 0; i < d->train.clauses.n; i++) {
        const TrainClause *c = &d->train.clauses.at[i];
        if (c->kind == TC_OPTIMIZER) {
            optimizer(t, c->optimizer.call);
        } else if (c->kind == TC_EPOCHS || c->kind == TC_STEPS) {
            replace(t, c->at.at, c->at.n, length_clause(t->p, f));
            length = true;
        } else if (c->kind == TC_BATCH) {
            replace(t, c->at.at, c->at.n, batch_clause(t->p, f));
            batch = true;
        } else if (c->kind == TC_SEED) {
            replace(t, c->at.at, c->at.n, seed_clause(t->p, f));
            seed = true;
        }
    }
    Buf b = buf_make(t->p->arena);
    const Source *s = t->p->main->source;
    uint32_t end = d->at.at + d->at.n - 1;
    bool own_line = end > s->base && s->text.s[end - s->base - 1] == '\n';
    const char *before = own_line ? "    " : ";  ", *after = own_line ? "\n" : "";
    if (!length) {
        buf_printf(&b, "%s%.*s%s", before, FSTR(length_clause(t->p, f)), after);
    }
    if (!batch) {
        buf_printf(&b, "%s%.*s%s", before, FSTR(batch_clause(t->p, f)), after);
    }
    if (!seed) {
        buf_printf(&b, "%s%.*s%s", before, FSTR(seed_clause(t->p, f)), after);
    }
    if (b.n) {
        uint32_t blanks = 0;
        while (!own_line && end - s->base > blanks && s->text.s[end - s->base - 1 - blanks] == ' ') {
            blanks++;
        }
        replace(t, end - blanks, 0, buf_str(&b));
    }
}

Str resolved_text(Program *p) {
    Text t = {.p = p, .out = buf_make(p->arena)};
    const Source *s = p->main->source;
    for (uint32_t i = 0, k = 0; i < p->main->decls.n; i++) {
        const Decl *d = p->main->decls.at[i];
        if (d->kind == DECL_SETTING) {
            settings(&t, d);
        } else if (d->kind == DECL_TRAIN && k < p->recipe->phases.n) {
            phase(&t, d, &p->recipe->phases.at[k++]);
        }
    }
    buf_put(&t.out, (Str){s->text.s + t.from, s->text.n - t.from});
    return buf_str(&t.out);
}
