/* What calls of the library leave unsaid, for the resolved text: `linear(8)` becomes `linear(8, bias = yes)`, and
 * `|> leaky_relu` gets its slope.  Only what means the same at the call as in the library is written out: numbers,
 * yes and no, texts, words of a choice; a default that names a function or another argument stays where it is. */
#include "lower.h"

typedef struct {
    const Program *p;
    const Scope *scope;
    const Decl *in;
    DefaultInsert *insert;
    void *user;
} Defaults;

static bool is_literal(const Expr *e) {
    switch (e->kind) {
    case EX_NUMBER:
    case EX_STRING:
    case EX_BOOL:
    case EX_INF:
    case EX_PI: return true;
    case EX_UNARY: return is_literal(e->unary.x);
    case EX_BINARY: return is_literal(e->binary.l) && is_literal(e->binary.r);
    case EX_LIST:
        for (uint32_t i = 0; i < e->list.items.n; i++) {
            if (!is_literal(e->list.items.at[i])) {
                return false;
            }
        }
        return true;
    case EX_ERROR:
    case EX_NAME:
    case EX_FIELD:
    case EX_CALL:
    case EX_INDEX:
    case EX_REDUCE:
    case EX_PIPE:
    case EX_AS:
    case EX_MATCH:
    case EX_TUPLE:
    case EX_COUNT: return false;
    }
    return false;
}

static bool writable(const Param *p) {
    bool word = p->type && p->type->kind == TYPE_ONE_OF && p->preset && p->preset->kind == EX_NAME;
    return p->preset && (word || is_literal(p->preset));
}

/* Does the declaration that holds the call bind the name itself?  (A name of a loop or a carry counts with those
 * that are mentioned nowhere else: it cannot be called.) */
static bool binds(const Block *b, Str name) {
    for (uint32_t i = 0; i < b->stmts.n; i++) {
        const Stmt *s = b->stmts.at[i];
        for (uint32_t k = 0; s->kind == ST_BIND && k < s->bind.targets.n; k++) {
            if (str_eq(s->bind.targets.at[k].name.text, name)) {
                return true;
            }
        }
        if (s->kind == ST_INSTANCE && str_eq(s->instance.name.text, name)) {
            return true;
        }
    }
    return false;
}

static bool bound_here(const Defaults *d, Str name) {
    if (d->in->kind == DECL_DATA) {
        return binds(&d->in->data, name);
    }
    if (d->in->kind != DECL_DEF && d->in->kind != DECL_MODEL && d->in->kind != DECL_OBJECTIVE &&
        d->in->kind != DECL_EXPORT) {
        return false;
    }
    const ParamVec *args = &d->in->function.sig.args;
    for (uint32_t i = 0; i < args->n; i++) {
        if (str_eq(args->at[i].name.text, name)) {
            return true;
        }
    }
    return binds(&d->in->function.body, name);
}

static bool is_given(const ArgVec *args, Str name) {
    for (uint32_t i = 0; args && i < args->n; i++) {
        if (str_eq(args->at[i].name.text, name)) {
            return true;
        }
    }
    return false;
}

/* How many parameters from the first on are filled by position. */
static uint32_t filled(const ParamVec *ps, const ArgVec *args, bool piped) {
    uint32_t positional = piped, required = 0;
    for (uint32_t i = 0; args && i < args->n; i++) {
        positional += args->at[i].name.text.n == 0;
    }
    for (uint32_t i = 0; i < ps->n; i++) {
        required += ps->at[i].preset == NULL && !is_given(args, ps->at[i].name.text);
    }
    bool lacks_first = ps->n && ps->at[0].preset == NULL && !is_given(args, ps->at[0].name.text) &&
                       required == positional + 1;
    return positional + lacks_first;
}

/* A comma behind the last argument is let pass, so one more would be too many. */
static bool ends_with_comma(const Program *p, Span behind) {
    Str s = sources_text(p->sources, behind);
    for (uint32_t i = 0; i < s.n; i++) {
        while (i < s.n && s.s[i] == '#') {
            while (i < s.n && s.s[i] != '\n') {
                i++;
            }
        }
        if (i < s.n && s.s[i] == ',') {
            return true;
        }
    }
    return false;
}

static void write_out(const Defaults *d, const Expr *callee, const Expr *call, bool piped) {
    const ArgVec *args = call ? &call->call.args : NULL;
    const Decl *f = callee->kind == EX_NAME && !bound_here(d, callee->name.text)
                        ? scope_decl(d->p, d->scope, callee->name.text)
                        : NULL;
    if (f == NULL || f->kind != DECL_DEF || !in_library(d->p, f->at)) {
        return;
    }
    const ParamVec *ps = &f->function.sig.args;
    Buf b = buf_make(d->p->arena);
    for (uint32_t i = filled(ps, args, piped); i < ps->n; i++) {
        if (writable(&ps->at[i]) && !is_given(args, ps->at[i].name.text)) {
            buf_printf(&b, "%s%.*s = %.*s", b.n ? ", " : "", FSTR(ps->at[i].name.text),
                       FSTR(sources_text(d->p->sources, ps->at[i].preset->at)));
        }
    }
    if (b.n == 0) {
        return;
    }
    if (call == NULL) {
        d->insert(d->user, callee->at.at + callee->at.n, str_format(d->p->arena, "(%.*s)", FSTR(buf_str(&b))));
        return;
    }
    uint32_t end = call->at.at + call->at.n - 1;
    bool comma = false;
    if (args->n) {
        Span last = args->at[args->n - 1].value->at;
        comma = !ends_with_comma(d->p, (Span){last.at + last.n, end - last.at - last.n});
    }
    d->insert(d->user, end, str_format(d->p->arena, "%s%.*s", comma ? ", " : "", FSTR(buf_str(&b))));
}

static bool visit(void *user, const Expr *e) {
    const Defaults *d = user;
    if (e->kind == EX_PIPE && e->pipe.f->kind == EX_CALL) {
        const Expr *call = e->pipe.f;
        write_out(d, call->call.callee, call, true);
        walk_expr(e->pipe.x, visit, user);
        for (uint32_t i = 0; i < call->call.args.n; i++) {
            walk_expr(call->call.args.at[i].value, visit, user);
        }
        return false;
    }
    if (e->kind == EX_PIPE) {
        write_out(d, e->pipe.f, NULL, true);
    } else if (e->kind == EX_CALL) {
        write_out(d, e->call.callee, e, false);
    }
    return true;
}

void defaults_of_calls(const Program *p, const Decl *in, DefaultInsert *insert, void *user) {
    Defaults d = {p, scope_of(p, in->at), in, insert, user};
    switch (in->kind) {
    case DECL_DEF:
    case DECL_MODEL:
    case DECL_OBJECTIVE:
    case DECL_EXPORT:
        walk_expr(in->function.value, visit, &d);
        walk_block(&in->function.body, visit, &d);
        return;
    case DECL_CONSTANT: walk_expr(in->constant, visit, &d); return;
    case DECL_DATA: walk_block(&in->data, visit, &d); return;
    case DECL_TRAIN:
        for (uint32_t i = 0; i < in->train.clauses.n; i++) {
            const TrainClause *c = &in->train.clauses.at[i];
            if (c->kind == TC_OPTIMIZER && c->optimizer.call->kind == EX_CALL) {
                for (uint32_t k = 0; k < c->optimizer.call->call.args.n; k++) {
                    walk_expr(c->optimizer.call->call.args.at[k].value, visit, &d);
                }
            }
        }
        return;
    case DECL_ERROR:
    case DECL_USE:
    case DECL_SETTING:
    case DECL_REQUIRE:
    case DECL_FOLLOWS:
    case DECL_OPTIMIZER:
    case DECL_EXTERN:
    case DECL_SWEEP:
    case DECL_COUNT: return;
    }
}
