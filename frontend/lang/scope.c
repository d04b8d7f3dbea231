/* Names.  A function sees its own bindings, then settings, constants and declarations of the text it stands in,
 * then the library's, then the intrinsics, then the counters; nothing of its caller.  Indices are looked up
 * first, and no index may hide a value. */
#include "lower.h"
#include <string.h>

Index *scope_index(Frame *f, Str name) {
    for (uint32_t i = f->indices.n; i-- > 0;) {
        if (str_eq(f->indices.at[i]->name.text, name)) {
            return f->indices.at[i];
        }
    }
    return NULL;
}

const Scope *scope_of(const Program *p, Span at) {
    if (in_library(p, at)) {
        return &p->library;
    }
    const Source *s = sources_of(p->sources, at);
    for (uint32_t i = 0; i < p->scopes.n; i++) {
        if (p->scopes.at[i]->file->source == s) {
            return p->scopes.at[i];
        }
    }
    return p->scopes.at[0];
}

void scope_declare(Program *p, Scope *s, const Decl *d) {
    vec_push(p->arena, &s->decls, d);
    bool value = d->kind != DECL_SETTING && d->kind != DECL_TRAIN && d->kind != DECL_SWEEP;
    if (value && strmap_get(&s->named, d->name.text) == 0) {
        strmap_put(p->arena, &s->named, d->name.text, s->decls.n);
    }
}

static const Decl *own_decl(const Scope *s, Str name) {
    uint32_t place = strmap_get(&s->named, name);
    return place ? s->decls.at[place - 1] : NULL;
}

/* Text of the library sees only the library: a file's own `relu` changes no layer of ours. */
static const Decl *seen_decl(const Program *p, const Scope *s, Str name) {
    const Decl *d = own_decl(s, name);
    return d || s->file == NULL ? d : own_decl(&p->library, name);
}

/* Behind a dot stands what the module declares itself, not what it sees. */
const Decl *scope_decl(const Program *p, const Scope *s, Str name) {
    uint32_t start = 0;
    for (uint32_t i = 0; i < name.n; i++) {
        if (name.s[i] == '.') {
            const Decl *use = own_decl(s, (Str){name.s + start, i - start});
            s = use && use->kind == DECL_USE ? module_of_use(p, use) : NULL;
            if (s == NULL) {
                return NULL;
            }
            start = i + 1;
        }
    }
    return start ? own_decl(s, (Str){name.s + start, name.n - start}) : seen_decl(p, s, name);
}

const Decl *scope_callee(const Program *p, const Scope *s, const Expr *call) {
    const Expr *f = call->kind == EX_CALL ? call->call.callee : call;
    Str path = f->kind == EX_FIELD || f->kind == EX_NAME ? sources_text(p->sources, f->at) : (Str){0};
    return path.n ? scope_decl(p, s, path) : NULL;
}

bool scope_is_value(Lower *l, Str name, Span *at) {
    const Binding *b = scope_find(l->frame, name);
    if (b) {
        *at = b->at;
        return true;
    }
    const Setting *setting = settings_find(l->p, l->frame->scope, name);
    if (setting) {
        *at = setting->name.at;
        return true;
    }
    const Decl *d = scope_decl(l->p, l->frame->scope, name);
    if (d && d->kind == DECL_CONSTANT && !in_library(l->p, d->at)) {
        *at = d->name.at;
        return true;
    }
    return false;
}

V function_value(Lower *l, Span at, Function f) {
    Function *copy = PUSH(l->a, Function, 1);
    *copy = f;
    Value *v = PUSH(l->a, Value, 1);
    v->kind = VAL_FUNCTION;
    v->at = at;
    v->function = copy;
    return v;
}

/* A constant is evaluated once a lowering; while that goes on its value is NULL. */
static V constant_value(Lower *l, const Decl *d) {
    for (uint32_t i = 0; i < l->constants.n; i++) {
        if (l->constants.at[i].decl == d) {
            if (l->constants.at[i].value == NULL) {
                report(l, DIAG_NAME, d->name.at, "`%.*s` is defined by itself", FSTR(d->name.text));
                return value_poison(l);
            }
            return l->constants.at[i].value;
        }
    }
    uint32_t slot = l->constants.n;
    vec_push(l->a, &l->constants, (Constant){d, NULL});
    Frame *saved = l->frame;
    const Scope *scope = scope_of(l->p, d->at);
    Str path = str_format(l->a, "%.*s%.*s", FSTR(scope->prefix), FSTR(d->name.text));
    Frame file = {.kind = FRAME_FILE, .decl = d, .scope = scope, .path = path, .training = saved->training};
    l->frame = &file;
    V v = uniform_expr(l, d->constant);
    l->frame = saved;
    if (v->kind == VAL_ARRAY) {
        report(l, DIAG_TYPE, d->constant->at, "a constant is made of settings and counters, this is %.*s",
               FSTR(value_describe(l, v)));
        v = value_poison(l);
    }
    l->constants.at[slot].value = v;
    return v;
}

V scope_decl_value(Lower *l, Name name, const Decl *d) {
    switch (d->kind) {
    case DECL_CONSTANT: return constant_value(l, d);
    case DECL_DEF:
    case DECL_EXTERN:
    case DECL_MODEL:
        return function_value(l, name.at, (Function){.decl = d, .name = name.text, .at = name.at});
    case DECL_FOLLOWS: return follow_value(l, name, d);
    case DECL_ERROR: return value_poison(l);
    case DECL_USE:
    case DECL_DATA:
    case DECL_OPTIMIZER:
    case DECL_OBJECTIVE:
    case DECL_EXPORT:
    case DECL_SETTING:
    case DECL_REQUIRE:
    case DECL_TRAIN:
    case DECL_SWEEP:
    case DECL_COUNT: break;
    }
    static const char *const what[DECL_COUNT] = {[DECL_USE] = "a module",
                                                 [DECL_DATA] = "a data set",
                                                 [DECL_OPTIMIZER] = "an optimizer",
                                                 [DECL_OBJECTIVE] = "an objective",
                                                 [DECL_EXPORT] = "an export"};
    Diag *diag = report(l, DIAG_TYPE, name.at, "`%.*s` is %s, not a value", FSTR(name.text), what[d->kind]);
    report_label(l, diag, d->name.at, "declared here");
    return value_poison(l);
}

V scope_try(Lower *l, Name name) {
    Index *i = scope_index(l->frame, name.text);
    if (i) {
        if (i->extent == NULL) {
            Diag *d = report(l, DIAG_INDEX, name.at, "nothing says how far `%.*s` runs", FSTR(name.text));
            diag_help(d, "say it where the index is bound: `%.*s < K`", FSTR(name.text));
            i->extent = dim_const(l->a, 1); /* said once */
            i->poison = true;
            return value_poison(l);
        }
        return value_array(l, name.at, array_iota(l, i));
    }
    const Binding *b = scope_find(l->frame, name.text);
    if (b) {
        return b->value;
    }
    V v = settings_value(l, name.text);
    if (v) {
        return v;
    }
    if (str_is(name.text, "training")) {
        return value_bool(l, name.at, l->frame->training);
    }
    const Decl *d = scope_decl(l->p, l->frame->scope, name.text);
    if (d) {
        return scope_decl_value(l, name, d);
    }
    const Intrinsic *f = intrinsic_find(name.text);
    if (f) {
        return function_value(l, name.at, (Function){.intrinsic = f, .name = name.text, .at = name.at});
    }
    return uniform_counter(l, name);
}

/* ---- did you mean ---- */

static void consider_scope(Lower *l, Nearest *n, const Scope *s) {
    for (uint32_t i = 0; i < l->p->settings.n; i++) {
        if (l->p->settings.at[i].scope == s) {
            nearest_consider(n, l->p->settings.at[i].name.text);
        }
    }
    for (uint32_t i = 0; i < s->decls.n; i++) {
        nearest_consider(n, s->decls.at[i]->name.text);
    }
}

void scope_suggest_of(Lower *l, Diag *d, const Scope *s, Str name) {
    Nearest near = nearest_to(name);
    consider_scope(l, &near, s);
    report_near(d, &near);
}

/* Of a file that is no program of ours, say, the first few errors are enough to see it. */
void scope_suggest(Lower *l, Diag *d, Str name) {
    enum { HELPED = 100 };
    Nearest near = nearest_to(name);
    if (diags_errors(l->ds) > HELPED) {
        return;
    }
    for (uint32_t i = 0; i < l->frame->names.n; i++) {
        nearest_consider(&near, l->frame->names.at[i].name);
    }
    for (uint32_t i = 0; i < l->frame->indices.n; i++) {
        nearest_consider(&near, l->frame->indices.at[i]->name.text);
    }
    consider_scope(l, &near, l->frame->scope);
    consider_scope(l, &near, &l->p->library);
    for (uint32_t i = 0; i < intrinsic_count(); i++) {
        nearest_consider(&near, intrinsic_name(intrinsic_at(i)));
    }
    for (uint32_t i = 0; uniform_counter_name(i); i++) {
        nearest_consider(&near, str_of(uniform_counter_name(i)));
    }
    nearest_consider(&near, STR("training"));
    report_near(d, &near);
}

/* The end of what the user meant to put under the reducer: of the quotient or product that holds `inner`. */
static uint32_t operand_end(const SourceSet *sources, uint32_t from, Span inner) {
    const Source *file = sources_of(sources, inner);
    const char *s = file->text.s;
    uint32_t i = from - file->base, end = i;
    for (int depth = 0; i < file->text.n; i++) {
        bool past = i >= inner.at - file->base;
        if (strchr("([", s[i])) {
            depth++;
        } else if (strchr(")]", s[i]) && --depth < 0) {
            break;
        } else if (depth == 0 && (strchr("\n;,#", s[i]) || (past && strchr("+-=<>|!", s[i])))) {
            break;
        }
        end = s[i] == ' ' ? end : i + 1;
    }
    return file->base + end;
}

/* `sum[j] w[n,j] / m[j]`: the reducer takes the product to its right and ends before `/`. */
static V ended_index(Lower *l, Name name, const Expr *reducer) {
    Diag *d = report(l, DIAG_INDEX, name.at, "`%.*s` is not bound here", FSTR(name.text));
    const char *word = reducer_text(reducer->reduce.op);
    report_label(l, d, reducer->at, "the `%s` ends before `/ + - ==`", word);
    uint32_t from = reducer->reduce.x->at.at;
    Span head = {reducer->at.at, from - reducer->at.at};
    Span operand = {from, operand_end(l->p->sources, from, name.at) - from};
    diag_help(d, "put all of it in parentheses: `%.*s(%.*s)`", FSTR(sources_text(l->p->sources, head)),
              FSTR(sources_text(l->p->sources, operand)));
    return value_poison(l);
}

/* A short name may have been meant for an index of the statement. */
static void note_indices(Lower *l, Diag *d, Str name) {
    Buf b = buf_make(l->a);
    for (uint32_t i = 0; name.n <= 2 && i < l->frame->indices.n; i++) {
        buf_printf(&b, "%s`%.*s`", i ? ", " : "", FSTR(l->frame->indices.at[i]->name.text));
    }
    if (b.n > 0) {
        diag_help(d, "the indices of this statement are %s", b.s);
    }
}

/* Is the name written in a statement that did not parse?  Then that is where it was to be made. */
static bool lost(Lower *l, Str name) {
    for (uint32_t i = 0; i < l->frame->broken.n; i++) {
        Str text = sources_text(l->p->sources, l->frame->broken.at[i]);
        for (uint32_t k = 0; k + name.n <= text.n; k++) {
            if (memcmp(text.s + k, name.s, name.n) == 0) {
                return true;
            }
        }
    }
    return false;
}

V scope_name(Lower *l, Name name) {
    V v = scope_try(l, name);
    if (v) {
        return v;
    }
    if (lost(l, name.text)) {
        return value_poison(l);
    }
    for (uint32_t i = l->closed.n; i-- > 0;) {
        if (str_eq(l->closed.at[i].name.text, name.text)) {
            return ended_index(l, name, l->closed.at[i].reducer);
        }
    }
    Diag *d = report(l, DIAG_NAME, name.at, "nothing is called `%.*s`", FSTR(name.text));
    uint32_t data = l->frame->kind == FRAME_DATA ? data_of(l->p, l->frame->decl) : 0;
    if (data && source_gives(&l->p->recipe->data.at[data - 1], name.text)) {
        diag_help(d, "a column of a file that is not there has to be declared: `%.*s : f32`",
                  FSTR(name.text));
    } else if (!foreign_name(d, name.text)) {
        scope_suggest(l, d, name.text);
        note_indices(l, d, name.text);
    }
    return value_poison(l);
}

Frame *frame_push(Lower *l, FrameKind k, const Decl *d, Span call_at) {
    Frame *f = PUSH(l->a, Frame, 1);
    *f = (Frame){.caller = l->frame, .kind = k, .decl = d, .call_at = call_at};
    f->scope = d ? scope_of(l->p, d->at) : l->p->scopes.at[0];
    if (l->frame) {
        f->path = l->frame->path;
        f->stream = l->frame->stream;
        f->model = l->frame->model;
        f->training = l->frame->training;
        f->follows = l->frame->follows;
    }
    l->frame = f;
    return f;
}

void frame_pop(Lower *l) { l->frame = l->frame->caller; }
