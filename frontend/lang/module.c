/* `use`: another file, or a run, as a module.  Its text is read and parsed as a scope of its own; names behind
 * the dot are found there, and its settings, weights and data begin with the module's name.  Every use reads
 * the text anew, so the place of a piece of text says which module it belongs to.  A run's text is its
 * resolved.graph: settings and defaults as they were trained. */
#include "lower.h"
#include <stdlib.h>
#include <sys/stat.h>

enum { MODULES_MOST = 64 };

const Scope *module_of_use(const Program *p, const Decl *use) {
    for (uint32_t i = 0; i < p->scopes.n; i++) {
        if (p->scopes.at[i]->use == use) {
            return p->scopes.at[i];
        }
    }
    return NULL;
}

/* ---- reading ---- */

static bool is_folder(Arena *a, Str path) {
    struct stat s;
    return stat(str_copy(a, path).s, &s) == 0 && S_ISDIR(s.st_mode);
}

/* Without links and dots, so that two ways to one file are the same text. */
static Str real_path(Arena *a, Str path) {
    char *z = realpath(str_copy(a, path).s, NULL);
    Str s = str_copy(a, z ? str_of(z) : path);
    free(z);
    return s;
}

static Str folder_of(Arena *a, Str path) {
    uint32_t n = path.n;
    while (n > 0 && path.s[n - 1] != '/') {
        n--;
    }
    return str_copy(a, (Str){path.s, n});
}

Scope *module_scope(Program *p, const AstFile *file) {
    Scope *s = PUSH(p->arena, Scope, 1);
    s->file = file;
    s->folder = folder_of(p->arena, file->source->path);
    s->real = real_path(p->arena, file->source->path);
    for (uint32_t i = 0; i < file->decls.n; i++) {
        scope_declare(p, s, file->decls.at[i]);
    }
    vec_push(p->arena, &p->scopes, s);
    return s;
}

static bool refused(Lower *l, const Scope *from, const Decl *use, Str path) {
    Str real = real_path(l->a, path);
    for (const Scope *s = from; s; s = s->parent) {
        if (str_eq(s->real, real)) {
            Diag *d = report(l, DIAG_USE, use->at, "`%.*s` would use itself", FSTR(use->use.path));
            for (const Scope *k = from; k != s; k = k->parent) {
                report_label(l, d, k->use->at, "used here");
            }
            return true;
        }
    }
    if (l->p->scopes.n > MODULES_MOST) {
        report(l, DIAG_USE, use->at, "more than %d modules", MODULES_MOST);
        return true;
    }
    return false;
}

static void cannot_read(Lower *l, const Decl *use, Str path, bool run, const Error *e) {
    Diag *d = report(l, DIAG_USE, use->at, run ? "`%.*s` is no run of graphc" : "`%.*s` cannot be used",
                     FSTR(use->use.path));
    diag_note(d, "%s", e->what);
    if (run) {
        diag_help(d, "a run is the folder that `graphc train` writes, with resolved.graph in it");
    } else if (path.n && path.s[0] != '/') {
        diag_help(d, "a path is relative to the file that says it; a used text is a .graph file or a run");
    }
}

static void load(Lower *l, const Scope *from, const Decl *use) {
    Program *p = l->p;
    Str path = use->use.path;
    if (path.n == 0 || path.s[0] != '/') {
        path = str_format(p->arena, "%.*s%.*s", FSTR(from->folder), FSTR(path));
    }
    while (path.n > 1 && path.s[path.n - 1] == '/') {
        path.n--;
    }
    bool run = is_folder(l->a, path);
    Str text = run ? str_format(p->arena, "%.*s/resolved.graph", FSTR(path)) : path;
    const Source *source;
    Error e = {0};
    if (refused(l, from, use, text)) {
        return;
    }
    if (sources_load(p->sources, text, &source, &e) != GR_OK) {
        cannot_read(l, use, path, run, &e);
        return;
    }
    Scope *s = module_scope(p, parse_source(p->arena, source, l->ds));
    s->parent = from;
    s->use = use;
    s->prefix = str_format(p->arena, "%.*s%.*s.", FSTR(from->prefix), FSTR(use->name.text));
    s->run = run ? str_copy(p->arena, path) : (Str){0};
}

/* Breadth first; the list grows while it is walked. */
void modules_load(Lower *l) {
    for (uint32_t i = 0; i < l->p->scopes.n; i++) {
        const Scope *s = l->p->scopes.at[i];
        for (uint32_t k = 0; k < s->decls.n; k++) {
            if (s->decls.at[k]->kind == DECL_USE && s->decls.at[k]->name.text.n) {
                load(l, s, s->decls.at[k]);
            }
        }
    }
}

/* ---- names behind a dot ---- */

bool module_unread(Lower *l, Str path) {
    uint32_t n = 0;
    while (n < path.n && path.s[n] != '.') {
        n++;
    }
    const Decl *d = n < path.n ? scope_decl(l->p, l->frame->scope, (Str){path.s, n}) : NULL;
    return d && d->kind == DECL_USE && module_of_use(l->p, d) == NULL;
}

static const Scope *named_in(Lower *l, const Scope *s, const Expr *e) {
    Name name = e->kind == EX_FIELD ? e->field.name : e->name;
    const Decl *d = scope_decl(l->p, s, name.text);
    return d && d->kind == DECL_USE && scope_of(l->p, d->at) == s ? module_of_use(l->p, d) : NULL;
}

const Scope *module_named(Lower *l, const Expr *e) {
    if (e->kind == EX_NAME && scope_find(l->frame, e->name.text) == NULL) {
        return named_in(l, l->frame->scope, e);
    }
    const Scope *s = e->kind == EX_FIELD ? module_named(l, e->field.base) : NULL;
    return s ? named_in(l, s, e) : NULL;
}

V module_value(Lower *l, const Scope *m, const Expr *field) {
    Name name = field->field.name;
    V v = settings_read(l, m, name.text);
    if (v) {
        return v;
    }
    for (uint32_t i = 0; i < m->decls.n; i++) {
        const Decl *d = m->decls.at[i];
        if (str_eq(d->name.text, name.text) && d->kind != DECL_TRAIN && d->kind != DECL_SWEEP) {
            return scope_decl_value(l, name, d);
        }
    }
    Diag *d = report(l, DIAG_NAME, name.at, "%.*s declares no `%.*s`", FSTR(m->file->source->path),
                     FSTR(name.text));
    report_label(l, d, m->use->at, "used here");
    scope_suggest_of(l, d, m, name.text);
    return value_poison(l);
}
