/* Calls.  A `def` called inside a model makes weights of its own, under the path parent.NAMEnumber; a model
 * has one set under its own name.  A call that lacks exactly its first argument is a value, `leaky_relu(slope
 * = 0.1)`.  The body is lowered at every call, with the argument's extents bound to the names in the
 * signature. */
#include "lower.h"

enum { MOST_FRAMES = 100, MOST_CALLS = 100000 };

Name call_name(const Expr *e) {
    const Expr *f = e->kind == EX_PIPE ? e->pipe.f : e;
    f = f->kind == EX_CALL ? f->call.callee : f;
    return f->kind == EX_NAME ? f->name : f->kind == EX_FIELD ? f->field.name : (Name){.at = e->at};
}

bool reducer_named(Str name) {
    for (Reducer r = 0; r < RED_COUNT; r++) {
        if (str_is(name, reducer_text(r))) {
            return true;
        }
    }
    return false;
}

/* `max(x)`: parentheses apply to two numbers, brackets reduce.  (Words that only reduce are seen by the
 * parser.) */
static V reducer_called(Lower *l, Name name) {
    Diag *d = report(l, DIAG_REDUCE, name.at, "`%.*s` needs brackets", FSTR(name.text));
    diag_help(d, "over everything `%.*s[..] x`; over some `%.*s[n] x[n]`; the larger of two `max(a, b)`",
              FSTR(name.text), FSTR(name.text));
    return value_poison(l);
}

/* ---- arguments ---- */

static const TypeSyntax *param_type(const Function *f, const Arg *arg, uint32_t position) {
    if (f->decl == NULL || (f->decl->kind != DECL_DEF && f->decl->kind != DECL_MODEL)) {
        return NULL;
    }
    const ParamVec *ps = &f->decl->function.sig.args;
    for (uint32_t i = 0; i < ps->n; i++) {
        if (arg->name.text.n ? str_eq(ps->at[i].name.text, arg->name.text) : i == position) {
            return ps->at[i].type;
        }
    }
    return NULL;
}

/* The word, where an argument takes one of `words`; what else has a name is looked up. */
static V choice(Lower *l, const Expr *e, uint32_t n, const Str *words) {
    Buf list = buf_make(l->a);
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(words[i], e->name.text)) {
            return value_text(l, e->at, VAL_CHOICE, e->name.text);
        }
        buf_printf(&list, i == 0 ? "`%.*s`" : i + 1 < n ? ", `%.*s`" : " or `%.*s`", FSTR(words[i]));
    }
    V v = scope_try(l, e->name);
    if (v == NULL) {
        report(l, DIAG_NAME, e->at, "this is %s, and nothing is called `%.*s`", list.s, FSTR(e->name.text));
        return value_poison(l);
    }
    return v;
}

/* A word that the parameter's `one of` lists is that choice. */
static V argument(Lower *l, const TypeSyntax *t, const Expr *e) {
    if (!t || t->kind != TYPE_ONE_OF || e->kind != EX_NAME) {
        return eval(l, e);
    }
    Str *words = PUSH(l->a, Str, t->choices.n + 1);
    for (uint32_t i = 0; i < t->choices.n; i++) {
        words[i] = t->choices.at[i].text;
    }
    return choice(l, e, t->choices.n, words);
}

/* The value of an argument: a choice where a word is expected. */
static V argument_of(Lower *l, V f, const Arg *a, uint32_t position) {
    enum { MOST_WORDS = 8 };
    const Expr *e = a->value;
    if (f->kind != VAL_FUNCTION || !f->function->intrinsic || e->kind != EX_NAME) {
        return argument(l, f->kind == VAL_FUNCTION ? param_type(f->function, a, position) : NULL, e);
    }
    Str list = intrinsic_words(f->function->intrinsic, a->name.text, position), words[MOST_WORDS];
    uint32_t n = 0;
    for (uint32_t from = 0, i = 0; list.n && i <= list.n; i++) {
        if (i == list.n || list.s[i] == '|') {
            words[n++] = (Str){list.s + from, i - from};
            from = i + 1;
        }
    }
    return n ? choice(l, e, n, words) : eval(l, e);
}

static bool poisoned(const GivenVec *g) {
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->at[i].value->kind == VAL_POISON) {
            return true;
        }
    }
    return false;
}

static V at_place(Lower *l, V v, Span at) {
    Value *copy = PUSH(l->a, Value, 1);
    *copy = *v;
    copy->at = at;
    return copy;
}

V call_eval(Lower *l, const Expr *e, const Expr *callee, const ArgVec *args, const Expr *piped) {
    Name name = call_name(e);
    uint32_t n = (args ? args->n : 0) + (piped != NULL);
    if (callee->kind == EX_NAME && reducer_named(name.text) &&
        !(n == 2 && (str_is(name.text, "max") || str_is(name.text, "min")))) {
        return reducer_called(l, name);
    }
    GivenVec given = {0};
    if (piped) {
        vec_push(l->a, &given, (Given){.value = at_place(l, eval(l, piped), piped->at), .at = piped->at});
    }
    V f = callee->kind == EX_NAME ? scope_name(l, callee->name) : eval(l, callee);
    for (uint32_t i = 0; args && i < args->n; i++) {
        const Arg *a = &args->at[i];
        V v = argument_of(l, f, a, i + (piped != NULL));
        vec_push(
            l->a, &given,
            (Given){a->name.text, at_place(l, v, a->value->at), a->name.text.n ? a->name.at : a->value->at});
    }
    if (f->kind == VAL_POISON || poisoned(&given)) {
        return value_poison(l);
    }
    if (f->kind != VAL_FUNCTION) {
        Diag *d = report(l, DIAG_CALL, callee->at, "%.*s is no function", FSTR(value_describe(l, f)));
        report_label(l, d, f->at, "it comes from here");
        return value_poison(l);
    }
    return call_value(l, e, f, name.text, &given);
}

static const Param *find_param(const ParamVec *ps, Str name) {
    for (uint32_t i = 0; i < ps->n; i++) {
        if (str_eq(ps->at[i].name.text, name)) {
            return &ps->at[i];
        }
    }
    return NULL;
}

/* Which given argument fills each parameter: slot[i] is 1 + its number.  Reports what does not fit. */
static bool assign(Lower *l, const Expr *e, const ParamVec *ps, const GivenVec *given, uint32_t *slot) {
    uint32_t next = 0;
    for (uint32_t i = 0; i < given->n; i++) {
        const Given *g = &given->at[i];
        uint32_t k = next;
        if (g->name.n) {
            const Param *p = find_param(ps, g->name);
            if (p == NULL) {
                Diag *d = report(l, DIAG_CALL, g->at, "`%.*s` has no argument `%.*s`",
                                 FSTR(call_name(e).text), FSTR(g->name));
                Buf b = buf_make(l->a);
                Nearest near = nearest_to(g->name);
                for (uint32_t j = 0; j < ps->n; j++) {
                    buf_printf(&b, "%s`%.*s`", j ? ", " : "", FSTR(ps->at[j].name.text));
                    nearest_consider(&near, ps->at[j].name.text);
                }
                report_near(d, &near);
                diag_help(d, "its arguments are %.*s", FSTR(buf_str(&b)));
                return false;
            }
            k = (uint32_t)(p - ps->at);
        } else {
            next++;
        }
        if (k >= ps->n) {
            report(l, DIAG_CALL, g->at, "`%.*s` takes %u arguments", FSTR(call_name(e).text), ps->n);
            return false;
        }
        if (slot[k]) {
            Diag *d =
                report(l, DIAG_CALL, g->at, "the argument `%.*s` is given twice", FSTR(ps->at[k].name.text));
            report_label(l, d, given->at[slot[k] - 1].at, "here first");
            return false;
        }
        slot[k] = i + 1;
    }
    return true;
}

static bool is_elem(const Param *p, Elem e) {
    DType t;
    return p->type && type_element(p->type, &t) && dtype_elem(t) == e;
}

/* A real where whole numbers are declared and whole numbers where a real is: they stand in each other's place. */
static bool swapped(Lower *l, const Expr *e, const ParamVec *ps, const GivenVec *given,
                    const uint32_t *slot) {
    for (uint32_t i = 0; i < ps->n; i++) {
        for (uint32_t k = 0; k < ps->n; k++) {
            Elem of_i, of_k;
            if (!slot[i] || !slot[k] || !is_elem(&ps->at[i], ELEM_REAL) || !is_elem(&ps->at[k], ELEM_INT) ||
                given->at[slot[i] - 1].name.n || given->at[slot[k] - 1].name.n) {
                continue;
            }
            const Given *x = &given->at[slot[i] - 1], *y = &given->at[slot[k] - 1];
            if (x->value->kind != VAL_ARRAY || !value_elem(x->value, &of_i) || of_i != ELEM_INT ||
                !value_elem(y->value, &of_k) || of_k != ELEM_REAL) {
                continue;
            }
            const Given *first = i < k ? x : y, *second = i < k ? y : x;
            Diag *d = report(l, DIAG_CALL, first->at, "`%.*s` and `%.*s` stand in each other's place",
                             FSTR(ps->at[i].name.text), FSTR(ps->at[k].name.text));
            report_label(l, d, first->at, "%.*s", FSTR(value_describe(l, first->value)));
            report_label(l, d, second->at, "%.*s", FSTR(value_describe(l, second->value)));
            Buf order = buf_make(l->a);
            for (uint32_t j = 0; j < ps->n; j++) {
                buf_printf(&order, "%s%.*s", j ? ", " : "", FSTR(ps->at[j].name.text));
            }
            diag_help(d, "the order is `%.*s(%s)`", FSTR(call_name(e).text), order.s);
            return true;
        }
    }
    return false;
}

/* A call that lacks one argument is a function; where a number was needed, the missing one was forgotten. */
void function_lacks(Lower *l, Diag *d, V v) {
    const Decl *decl = v->kind == VAL_FUNCTION ? v->function->decl : NULL;
    Buf b = buf_make(l->a);
    for (uint32_t i = 0; decl && i < decl->function.sig.args.n; i++) {
        const Param *p = &decl->function.sig.args.at[i];
        if (p->preset == NULL) {
            buf_printf(&b, "%s%.*s = ..", b.n ? ", " : "", FSTR(p->name.text));
        }
    }
    if (b.n) {
        diag_help(d, "name what is given and add what is missing: `%.*s(%s)`", FSTR(v->function->name), b.s);
    } else if (v->kind == VAL_FUNCTION) {
        diag_help(d, "call it `f(x)` or `x |> f`");
    }
}

bool call_bind(Lower *l, const Expr *e, const ParamVec *ps, const GivenVec *given, Frame *f) {
    uint32_t *slot = PUSH(l->a, uint32_t, ps->n + 1);
    if (!assign(l, e, ps, given, slot)) {
        return false;
    }
    if (swapped(l, e, ps, given, slot)) {
        return false;
    }
    bool fine = true;
    for (uint32_t i = 0; i < ps->n; i++) {
        const Param *p = &ps->at[i];
        V v;
        if (slot[i]) {
            v = given->at[slot[i] - 1].value;
        } else if (p->preset) {
            v = argument(l, p->type, p->preset);
        } else {
            Diag *d = report(l, DIAG_CALL, e->at, "`%.*s` needs the argument `%.*s`", FSTR(call_name(e).text),
                             FSTR(p->name.text));
            report_label(l, d, p->name.at, "declared here");
            return false;
        }
        v = type_accept(l, p->type, v, p->name.text, p->name.at);
        fine = fine && v->kind != VAL_POISON;
        scope_add(l, f, (Binding){.name = p->name.text, .value = v, .at = p->name.at});
    }
    return fine;
}

/* Does the call lack its first argument and nothing else? */
static bool lacks_first(Lower *l, const ParamVec *ps, const GivenVec *given) {
    uint32_t positional = 0;
    if (ps->n == 0 || ps->at[0].preset) {
        return false;
    }
    bool *filled = PUSH(l->a, bool, ps->n + 1);
    for (uint32_t i = 0; i < given->n; i++) {
        const Param *p = given->at[i].name.n ? find_param(ps, given->at[i].name) : NULL;
        if (p) {
            filled[p - ps->at] = true;
        } else {
            positional++;
        }
    }
    uint32_t required = 0;
    for (uint32_t i = 0; i < ps->n; i++) {
        required += !ps->at[i].preset && !filled[i];
    }
    return !filled[0] && required == positional + 1;
}

/* ---- bodies ---- */

static bool has_broken(const Block *b) {
    bool broken = false;
    for (uint32_t i = 0; i < b->stmts.n; i++) {
        const Stmt *s = b->stmts.at[i];
        broken = broken || s->kind == ST_ERROR || (s->kind == ST_IF && has_broken(&s->branch.then)) ||
                 (s->kind == ST_IF && has_broken(&s->branch.otherwise)) ||
                 (s->kind == ST_FOR && has_broken(&s->loop.body)) ||
                 (s->kind == ST_SCAN && has_broken(&s->scan.body));
    }
    return broken;
}

static V result_of(Lower *l, const Decl *d, const Param *r) {
    const Binding *b = scope_find(l->frame, r->name.text);
    if (b == NULL && (r->name.text.n == 0 || l->frame->refused || has_broken(&d->function.body))) {
        return value_poison(l); /* it has been said what is wrong */
    }
    if (b == NULL) {
        report(l, DIAG_NAME, r->name.at, "the result `%.*s` is never given a value", FSTR(r->name.text));
        return value_poison(l);
    }
    V v = b->value->at.n ? b->value : at_place(l, b->value, r->name.at);
    return type_accept(l, r->type, v, r->name.text, r->name.at);
}

bool call_body(Lower *l, const Decl *d, V *out) {
    if (d->kind == DECL_EXTERN) {
        return extern_body(l, d, out);
    }
    if (d->function.value) {
        *out = eval(l, d->function.value);
        return (*out)->kind != VAL_POISON;
    }
    stmt_block(l, &d->function.body);
    const ParamVec *rs = &d->function.sig.results;
    if (rs->n == 1) {
        *out = result_of(l, d, &rs->at[0]);
        return (*out)->kind != VAL_POISON;
    }
    Value *v = PUSH(l->a, Value, 1);
    *v = (Value){.kind = VAL_TUPLE};
    v->list.n = rs->n;
    v->list.at = PUSH(l->a, V, rs->n + 1);
    v->list.names = PUSH(l->a, Str, rs->n + 1);
    for (uint32_t i = 0; i < rs->n; i++) {
        v->list.at[i] = result_of(l, d, &rs->at[i]);
        v->list.names[i] = rs->at[i].name.text;
    }
    *out = v;
    return true;
}

/* The indices the arguments carry: draws in the body are made for each of them. */
static void ambient_of(Frame *f, V v) {
    if (v->kind == VAL_ARRAY) {
        const Index *all[2 * MAX_RANK];
        uint32_t n = leads_union(all, 0, f->ambient, f->n_ambient);
        n = leads_union(all, n, v->array.lead, v->array.n_lead);
        f->n_ambient = n < MAX_RANK ? n : MAX_RANK;
        for (uint32_t i = 0; i < f->n_ambient; i++) {
            f->ambient[i] = all[i];
        }
    }
    for (uint32_t i = 0; (v->kind == VAL_LIST || v->kind == VAL_TUPLE) && i < v->list.n; i++) {
        ambient_of(f, v->list.at[i]);
    }
}

static bool listed(const Decl *const *at, uint32_t n, const Decl *d) {
    for (uint32_t i = 0; i < n; i++) {
        if (at[i] == d) {
            return true;
        }
    }
    return false;
}

static void note_trained(Lower *l, const Decl *d, bool copy) {
    bool objective = false;
    for (const Frame *f = l->frame; f; f = f->caller) {
        objective = objective || f->kind == FRAME_OBJECTIVE;
        copy = copy || f->follows;
    }
    if (objective && !copy && !listed(l->p->trained.at, l->p->trained.n, d)) {
        vec_push(l->p->arena, &l->p->trained, d);
    }
}

static Frame *enter(Lower *l, const Expr *e, const Function *f, Str written) {
    Frame *caller = l->frame;
    const Decl *d = f->decl;
    uint32_t number = walk_call_number(l->p, caller->decl, written, call_name(e).at);
    Str step = str_format(l->a, "%.*s%u%.*s", FSTR(written), number, FSTR(caller->turn));
    Span site = e->kind == EX_PIPE ? e->pipe.f->at : e->at; /* not what flows into it */
    Frame *to = frame_push(l, d->kind == DECL_MODEL ? FRAME_MODEL : FRAME_DEF, d, site);
    const char *dot = caller->stream.n ? "." : "";
    to->stream = str_format(l->a, "%.*s%s%.*s", FSTR(caller->stream), dot, FSTR(step));
    if (f->instance.n) {
        to->path = f->instance;
    } else if (d->kind == DECL_MODEL) {
        to->follows = f->follows ? f->follows : to->follows;
        to->path = to->model = str_format(l->a, "%.*s%.*s", FSTR(to->scope->prefix), FSTR(d->name.text));
        if (to->follows) {
            uint32_t own = scope_of(l->p, to->follows->at)->prefix.n;      /* both begin with its module's name */
            Str rest = {to->path.s + own, to->path.n - own};
            to->path = str_format(l->a, "%.*s%.*s", FSTR(follow_prefix(l, to->follows)), FSTR(rest));
        }
    } else {
        to->path = str_format(l->a, "%.*s%s%.*s", FSTR(caller->path), caller->path.n ? "." : "", FSTR(step));
    }
    to->training = to->training && !(to->model.n && pattern_freezes(l, to->path));
    return to;
}

static void too_deep(Lower *l, const Expr *e, const Function *f) {
    bool again = false;
    for (const Frame *k = l->frame; k && !again; k = k->caller) {
        again = k->decl == f->decl;
    }
    if (again) {
        Diag *d = report(l, DIAG_CALL, e->at, "calls inside calls, %d deep: `%.*s` calls itself", MOST_FRAMES,
                         FSTR(f->name));
        diag_help(d, "a loop is `for` or `scan`");
    } else {
        Diag *d = report(l, DIAG_CALL, e->at, "calls inside calls, %d deep, are the most there may be", MOST_FRAMES);
        diag_help(d, "write the body of some of these functions where it is called");
    }
}

static V call_decl(Lower *l, const Expr *e, const Function *f, Str written, const GivenVec *given) {
    const Decl *d = f->decl;
    if (lacks_first(l, &d->function.sig.args, given)) {
        Function g = *f;
        g.given = given->at;
        g.n_given = given->n;
        return function_value(l, e->at, g);
    }
    if (l->n_calls++ >= MOST_CALLS) {
        report(l, DIAG_CALL, e->at, "more than %d calls, each written out", MOST_CALLS);
        return value_poison(l);
    }
    if (l->depth >= MOST_FRAMES) {
        too_deep(l, e, f);
        return value_poison(l);
    }
    if (d->kind == DECL_MODEL) {
        note_trained(l, d, f->follows != NULL);
    }
    l->depth++;
    Frame *to = enter(l, e, f, written);
    for (uint32_t i = 0; i < given->n; i++) {
        ambient_of(to, given->at[i].value);
    }
    VEC(Memo) memo = {l->memo.at, l->memo.n, l->memo.cap};
    WindowSink *sink = l->sink;
    l->memo.at = NULL;
    l->memo.n = l->memo.cap = 0;
    l->sink = NULL;
    V out = value_poison(l);
    if (call_bind(l, e, &d->function.sig.args, given, to)) {
        if (d->kind == DECL_MODEL && !listed(l->p->reached.at, l->p->reached.n, d)) {
            vec_push(l->p->arena, &l->p->reached, d);
        }
        if (d->function.sig.args.n > 0) {
            twice_check(l, d, e, scope_find(to, d->function.sig.args.at[0].name.text)->value);
        }
        out = call_body(l, d, &out) ? out : value_poison(l);
        twice_remember(l, d, e, out);
    }
    l->sink = sink;
    l->memo.at = memo.at;
    l->memo.n = memo.n;
    l->memo.cap = memo.cap;
    frame_pop(l);
    l->depth--;
    return at_place(l, out, e->at);
}

V call_value(Lower *l, const Expr *e, V fv, Str written, const GivenVec *given) {
    const Function *f = fv->function;
    GivenVec all = {0};
    for (uint32_t i = 0; i < given->n; i++) {
        vec_push(l->a, &all, given->at[i]);
    }
    for (uint32_t i = 0; i < f->n_given; i++) {
        vec_push(l->a, &all, f->given[i]);
    }
    if (f->intrinsic) {
        return intrinsic_call(l, f->intrinsic, e, &all);
    }
    Function whole = *f;
    whole.given = NULL;
    whole.n_given = 0;
    return call_decl(l, e, &whole, written, &all);
}
