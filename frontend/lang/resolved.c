/* The program's text as it was run: the file itself, with its edition, each setting that `-s` changed, each
 * number of a phase, and every default of an optimizer written where it belongs; paths no longer depend on the
 * folder.  The texts it uses go beside it, in `used/`, written the same way.  Running that text without `-s`
 * is the same run, and needs nothing else. */
#include "lower.h"
#include <stdlib.h>

typedef struct { uint32_t at, n; Str text; } Edit;      /* puts the text in place of n bytes */
typedef struct { Program *p; const Scope *scope; Str folder; VEC(Edit) edits; } Text;

static void replace(Text *t, uint32_t at, uint32_t n, Str text) {
    uint32_t i = t->edits.n;
    for (uint32_t k = 0; k < i; k++) {
        if (n > 0 && t->edits.at[k].at == at && t->edits.at[k].n == n) {
            return; /* a constant that two readers use */
        }
    }
    vec_push(t->p->arena, &t->edits, (Edit){at, n, text});
    for (; i > 0 && t->edits.at[i - 1].at > at; i--) {
        t->edits.at[i] = t->edits.at[i - 1];
        t->edits.at[i - 1] = (Edit){at, n, text};
    }
}

static Str edited(const Text *t) {
    const Source *s = t->scope->file->source;
    Buf out = buf_make(t->p->arena);
    uint32_t from = 0;
    for (uint32_t i = 0; i < t->edits.n; i++) {
        const Edit *e = &t->edits.at[i];
        buf_put(&out, (Str){s->text.s + from, e->at - s->base - from});
        buf_put(&out, e->text);
        from = e->at - s->base + e->n;
    }
    buf_put(&out, (Str){s->text.s + from, s->text.n - from});
    return buf_str(&out);
}

static Str quoted(Arena *a, Str text) {
    Buf b = buf_make(a);
    ast_print_text(&b, text);
    return buf_str(&b);
}

/* ---- paths ---- */

static Str absolute(const Text *t, Str path) {
    return path.n && path.s[0] == '/' ? path : str_format(t->p->arena, "%.*s%.*s", FSTR(t->folder), FSTR(path));
}

/* A path is what its leftmost text begins with: `folder / "a" / "*.csv"`. */
static void path_expr(Text *t, const Expr *e) {
    if (e->kind == EX_STRING && !str_eq(absolute(t, e->string), e->string)) {
        replace(t, e->at.at, e->at.n, quoted(t->p->arena, absolute(t, e->string)));
    } else if (e->kind == EX_BINARY && e->binary.op == BIN_DIV) {
        path_expr(t, e->binary.l);
    } else if (e->kind == EX_MATCH) {
        for (uint32_t i = 0; i < e->match.arms.n; i++) {
            path_expr(t, e->match.arms.at[i].value);
        }
    } else if (e->kind == EX_NAME) {
        const Decl *d = scope_decl(t->p, t->scope, e->name.text);
        if (d && d->kind == DECL_CONSTANT && scope_of(t->p, d->at) == t->scope) {
            path_expr(t, d->constant);
        }
    }
}

static void data_paths(Text *t, const Decl *d) {
    for (uint32_t i = 0; i < d->data.stmts.n; i++) {
        const Stmt *st = d->data.stmts.at[i];
        const Expr *call = st->kind == ST_FROM ? st->from.reader : NULL;
        for (uint32_t k = 0; call && call->kind == EX_CALL && k < call->call.args.n; k++) {
            if (source_takes_path(call, k)) {
                path_expr(t, call->call.args.at[k].value);
            }
        }
    }
}

/* ---- settings ---- */

static Str as_written(const Text *t, const RecipeSetting *s) {
    bool list = s->text.n > 0 && s->text.s[0] == '[';
    return s->kind == SETTING_PATH            ? quoted(t->p->arena, absolute(t, s->text))
           : s->kind == SETTING_TEXT && !list ? quoted(t->p->arena, s->text)
                                              : s->text;
}

static const RecipeSetting *given_setting(const Text *t, Str name) {
    const Setting *s = settings_find(t->p, t->scope, name);
    return s && s->recipe.given ? &s->recipe : NULL;
}

/* The values of `setting a, b : T = v`: each name gets its own when one of them changes. */
static void settings(Text *t, const Decl *d) {
    const ExprVec *values = &d->setting.values;
    bool any = false;
    Buf b = buf_make(t->p->arena);
    for (uint32_t i = 0; i < d->setting.names.n && values->n; i++) {
        const RecipeSetting *s = given_setting(t, d->setting.names.at[i].text);
        const Expr *e = values->at[i < values->n ? i : values->n - 1];
        any = any || s;
        buf_put(&b, i ? STR(", ") : STR(""));
        buf_put(&b, s ? as_written(t, s) : sources_text(t->p->sources, e->at));
    }
    for (uint32_t i = 0; !any && str_is(d->setting.type->base.text, "path") && i < values->n; i++) {
        path_expr(t, values->at[i]);
    }
    if (any) {
        Span at = span_join(values->at[0]->at, values->at[values->n - 1]->at);
        replace(t, at.at, at.n, buf_str(&b));
    }
}

/* `adam(lr = lr)` with the arguments it took from the declaration. */
static void optimizer(Text *t, const Expr *call) {
    const Decl *d = scope_callee(t->p, t->scope, call);
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
    const Recipe *r = p->recipe;
    Buf b = buf_make(p->arena);
    buf_printf(&b, "batch ");
    if (f->more.n && f->runs.n) {
        buf_printf(&b, "%.*s ", FSTR(r->data.at[r->objectives.at[f->runs.at[0].objective].data].name));
    }
    buf_printf(&b, "%lld", (long long)f->batch);
    for (uint32_t i = 0; i < f->more.n; i++) {
        buf_printf(&b, ", %.*s %lld", FSTR(r->data.at[f->more.at[i].data].name), (long long)f->more.at[i].rows);
    }
    if (f->shards > 1) {
        buf_printf(&b, " shards %lld%s", (long long)f->shards, f->per_shard ? " per shard" : "");
    }
    buf_printf(&b, "%s", f->drop_tail ? " drop tail" : "");
    return buf_str(&b);
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
        } else if (c->kind == TC_LOAD) {
            path_expr(t, c->load.file);
            if (c->load.names) {
                path_expr(t, c->load.names);
            }
        } else if (c->kind == TC_SEED) {
            replace(t, c->at.at, c->at.n, seed_clause(t->p, f));
            seed = true;
        }
    }
    Buf b = buf_make(t->p->arena);
    const Source *s = t->scope->file->source;
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

/* ---- used texts: where they stand beside the resolved text ---- */

/* The folder that `used/` of a text lies in: of the program, or of the run it belongs to. */
static Str home(Arena *a, const Scope *s, Str *prefix) {
    while (s->parent && s->run.n == 0) {
        s = s->parent;
    }
    *prefix = s->prefix;
    Str up;
    if (s->parent == NULL) {
        return (Str){0};
    }
    Str outer = home(a, s->parent, &up);
    return str_format(a, "%.*sused/%.*s/", FSTR(outer), (int)(s->prefix.n - up.n - 1), s->prefix.s + up.n);
}

/* `used/a.b.graph`, `used/vae` for a run. */
static Str copy_of(Arena *a, const Scope *s) {
    Str up, outer = home(a, s->parent, &up);
    return str_format(a, "%.*sused/%.*s%s", FSTR(outer), (int)(s->prefix.n - up.n - 1), s->prefix.s + up.n,
                      s->run.n ? "" : ".graph");
}

static void use(Text *t, const Decl *d) {
    const Scope *to = module_of_use(t->p, d);
    Str up, here = home(t->p->arena, t->scope, &up), copy = copy_of(t->p->arena, to);
    uint32_t folder = here.n + (t->scope->parent && t->scope->run.n == 0 ? 5 : 0);     /* "used/" */
    replace(t, d->at.at, d->at.n,
            str_format(t->p->arena, "use \"%.*s\" as %.*s", (int)(copy.n - folder), copy.s + folder,
                       FSTR(d->name.text)));
}

/* ---- the whole ---- */

static Str real_folder(Arena *a, Str folder) {
    char *z = realpath(folder.n ? str_copy(a, folder).s : ".", NULL);
    Str s = z ? str_format(a, "%s/", z) : folder;
    free(z);
    return s;
}

static void put_in(void *text, uint32_t at, Str what) { replace(text, at, 0, what); }

static Str scope_text(Program *p, const Scope *scope) {
    Text t = {.p = p, .scope = scope, .folder = real_folder(p->arena, scope->folder)};
    if (scope->file->edition_at.n == 0) {
        replace(&t, scope->file->source->base, 0, STR("graph 1\n"));
    }
    for (uint32_t i = 0, k = 0; i < scope->decls.n; i++) {
        const Decl *d = scope->decls.at[i];
        defaults_of_calls(p, d, put_in, &t);
        if (d->kind == DECL_SETTING) {
            settings(&t, d);
        } else if (d->kind == DECL_DATA) {
            data_paths(&t, d);
        } else if (d->kind == DECL_USE) {
            use(&t, d);
        } else if (d->kind == DECL_EXTERN) {
            const Name *library = &d->external.library;
            replace(&t, library->at.at, library->at.n, quoted(p->arena, absolute(&t, library->text)));
        } else if (d->kind == DECL_SWEEP) { /* this is one run of it */
            replace(&t, d->at.at, d->at.n, (Str){0});
        } else if (d->kind == DECL_TRAIN && scope->parent == NULL && k < p->recipe->phases.n) {
            phase(&t, d, &p->recipe->phases.at[k++]);
        }
    }
    return edited(&t);
}

Str resolved_text(Program *p) {
    for (uint32_t i = 1; i < p->scopes.n; i++) {
        const Scope *s = p->scopes.at[i];
        Str name = {s->prefix.s, s->prefix.n - 1};
        RecipeUse u = {name, copy_of(p->arena, s), s->run, scope_text(p, s), s->use->at};
        vec_push(p->module->arena, &p->recipe->uses, u);
    }
    return scope_text(p, p->scopes.at[0]);
}

static void take(RecipeSetting *to, const RecipeSetting *from) {
    to->text = from->text;
    to->value = from->value;
    to->given = from->given;
}

void program_take_run(Program *p, const RecipeSweepRun *run) {
    Recipe *r = p->recipe;
    for (uint32_t i = 0; i < p->settings.n; i++) {
        take(&p->settings.at[i].recipe, &run->settings.at[i]);
        take(&r->settings.at[i], &run->settings.at[i]);
    }
    for (uint32_t i = 0; i < r->phases.n; i++) {
        for (uint32_t k = 0; k < run->words.n; k++) {
            recipe_set_word(&run->words.at[k], &r->phases.at[i]);
        }
    }
    r->uses.n = 0; /* it lists them again */
    r->resolved = resolved_text(p);
}
