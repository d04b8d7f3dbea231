/* Statements.  Blocks open no scope: a name bound in `if` or `for` is the function's, only loop names end
 * with the loop. */
#include "lower.h"

enum { MOST_TURNS = 4096 };

static void bind_several(Lower *l, const Stmt *s) {
    const TargetVec *ts = &s->bind.targets;
    bool indexed = false;
    for (uint32_t i = 0; i < ts->n; i++) {
        indexed = indexed || ts->at[i].indexed;
    }
    V v = indexed ? index_form_several(l, ts, s->bind.value) : eval(l, s->bind.value);
    bool fits = (v->kind == VAL_TUPLE || v->kind == VAL_LIST) && v->list.n == ts->n;
    if (!fits && v->kind != VAL_POISON) {
        Diag *d = report(l, DIAG_CALL, s->bind.value->at, "%u names for %.*s", ts->n,
                         FSTR(value_describe(l, v)));
        Buf names = buf_make(l->a);
        for (uint32_t i = 0; v->kind == VAL_TUPLE && v->list.names && i < v->list.n; i++) {
            buf_printf(&names, "%s`%.*s`", i ? ", " : "", FSTR(v->list.names[i]));
        }
        if (names.n) {
            diag_help(d, "the results are %s; `_` drops one", names.s);
        }
    }
    for (uint32_t i = 0; i < ts->n; i++) {
        scope_bind(l, ts->at[i].name, fits ? v->list.at[i] : value_poison(l));
    }
}

/* `mu = encoder(x)` of two results: the names that are missing are bound too, so that this is said once. */
static V several_in_one(Lower *l, const Stmt *s, V v) {
    const Target *t = &s->bind.targets.at[0];
    Str value = sources_text(l->p->sources, s->bind.value->at);
    Buf names = buf_make(l->a);
    for (uint32_t i = 0; i < v->list.n; i++) {
        buf_printf(&names, "%s%.*s", i ? ", " : "", FSTR(v->list.names[i]));
    }
    Diag *d = report(l, DIAG_CALL, t->at, "one name for %u results", v->list.n);
    report_label(l, d, s->bind.value->at, "gives %s", names.s);
    diag_help(d, "`%s = %.*s`, with `_` for what is not needed; or one of them: `%.*s.%.*s`", names.s,
              FSTR(value), FSTR(value), FSTR(v->list.names[0]));
    for (uint32_t i = 0; i < v->list.n; i++) {
        if (scope_find(l->frame, v->list.names[i]) == NULL) {
            scope_bind(l, (Name){v->list.names[i], t->name.at}, value_poison(l));
        }
    }
    return value_poison(l);
}

static void bind(Lower *l, const Stmt *s) {
    if (s->bind.targets.n != 1) {
        bind_several(l, s);
        return;
    }
    const Target *t = &s->bind.targets.at[0];
    V v = index_form(l, t, s->bind.value);
    if (v->kind == VAL_TUPLE && v->list.names && v->list.n > 1) {
        v = several_in_one(l, s, v);
    }
    scope_bind(l, t->name, v);
}

static void instance(Lower *l, const Stmt *s) {
    V f = eval(l, s->instance.callee);
    if (f->kind == VAL_FUNCTION && f->function->decl && f->function->decl->kind == DECL_DEF) {
        Function g = *f->function;
        GivenVec given = {0};
        for (uint32_t i = 0; i < s->instance.args.n; i++) {
            const Arg *a = &s->instance.args.at[i];
            vec_push(l->a, &given, (Given){a->name.text, eval(l, a->value), a->value->at});
        }
        g.given = given.at;
        g.n_given = given.n;
        g.instance = str_format(l->a, "%.*s%s%.*s", FSTR(l->frame->path), l->frame->path.n ? "." : "",
                                FSTR(s->instance.name.text));
        f = function_value(l, s->at, g);
    } else if (f->kind != VAL_POISON) {
        report(l, DIAG_CALL, s->instance.callee->at, "an instance is of a `def`, this is %.*s",
               FSTR(value_describe(l, f)));
        f = value_poison(l);
    }
    scope_bind(l, s->instance.name, f);
}

/* One turn of an unrolled loop: calls in it get their own weights, numbered by the turn. */
static void turn(Lower *l, const Stmt *s, V item, uint32_t i) {
    if (s->loop.item.text.n) {
        scope_bind(l, s->loop.item, item);
    }
    if (s->loop.counter.text.n) {
        scope_bind(l, s->loop.counter, value_int(l, s->loop.counter.at, i));
    }
    Str outer = l->frame->turn;
    l->frame->turn = str_format(l->a, "%.*s[%u]", FSTR(outer), i);
    stmt_block(l, &s->loop.body);
    l->frame->turn = outer;
}

static void loop(Lower *l, const Stmt *s) {
    int64_t n = 0;
    V list = NULL;
    if (s->loop.in) {
        list = eval(l, s->loop.in);
        if (list->kind != VAL_LIST) {
            if (list->kind != VAL_POISON) {
                Diag *d = report(l, DIAG_TYPE, s->loop.in->at, "`for` goes over a list, this is %.*s",
                                 FSTR(value_describe(l, list)));
                diag_help(d, "over positions: `for i < n`; over a dim of a tensor: index form or `scan`");
            }
            return;
        }
        n = list->list.n;
    } else if (!const_expr_value(l, s->loop.below, "the number of turns", 0, &n)) {
        return;
    }
    if (n > MOST_TURNS) {
        Diag *d = report(l, DIAG_SHAPE, s->at, "a loop of %lld turns would be written out", (long long)n);
        diag_help(d, "`scan` repeats one body");
        return;
    }
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        turn(l, s, list ? list->list.at[i] : NULL, i);
    }
    scope_unbind(l, s->loop.item.text);
    scope_unbind(l, s->loop.counter.text);
}

static void match(Lower *l, const Stmt *s) {
    V subject = eval(l, s->match.subject);
    if (subject->kind == VAL_POISON) {
        return;
    }
    const Expr **patterns = PUSH(l->a, const Expr *, s->match.arms.n + 1);
    for (uint32_t i = 0; i < s->match.arms.n; i++) {
        patterns[i] = s->match.arms.at[i].pattern;
    }
    int arm = eval_match(l, subject, s->match.subject, s->match.arms.n, patterns);
    if (arm >= 0) {
        stmt_block(l, &s->match.arms.at[arm].body);
    }
}

static void branch(Lower *l, const Stmt *s) {
    bool yes;
    if (!eval_condition(l, s->branch.cond, &yes)) {
        return;
    }
    if (yes) {
        stmt_block(l, &s->branch.then);
    } else if (s->branch.has_else) {
        stmt_block(l, &s->branch.otherwise);
    }
}

static void require(Lower *l, const Expr *cond, Str why) {
    bool holds = true;
    settings_condition(l, cond, "`require`", &holds);
    if (!holds) {
        l->frame->refused = true;
        Str text = sources_text(l->p->sources, cond->at);
        Diag *d = report(l, DIAG_REQUIRE, cond->at, "%.*s",
                         FSTR(why.n ? why : str_format(l->a, "`%.*s` does not hold", FSTR(text))));
        for (uint32_t i = 0; i < l->p->settings.n; i++) {
            const Setting *x = &l->p->settings.at[i];
            if (x->scope == l->frame->scope && walk_mentions(cond, x->name.text)) {
                diag_note(d, "`%.*s` is %.*s", FSTR(x->recipe.name), FSTR(x->recipe.text));
            }
        }
    }
}

void stmt_eval(Lower *l, const Stmt *s) {
    Span saved = l->b.at;
    l->b.at = s->at;
    switch (s->kind) {
    case ST_ERROR: vec_push(l->a, &l->frame->broken, s->at); break;
    case ST_BIND: bind(l, s); break;
    case ST_PARAM: cell_param(l, s); break;
    case ST_STATE: cell_state(l, s); break;
    case ST_UPDATE: cell_update(l, s); break;
    case ST_INSTANCE: instance(l, s); break;
    case ST_FOR: loop(l, s); break;
    case ST_SCAN: scan_eval(l, s); break;
    case ST_COLLECT: scan_collect(l, s); break;
    case ST_IF: branch(l, s); break;
    case ST_MATCH: match(l, s); break;
    case ST_REQUIRE: require(l, s->require.cond, s->require.why); break;
    case ST_LOSS: objective_loss(l, s); break;
    case ST_METRIC: monitor_metric(l, s); break;
    case ST_REPEAT: repeat_eval(l, s); break;
    case ST_WATCH: monitor_watch(l, s); break;
    case ST_ALARM: monitor_alarm(l, s); break;
    case ST_FROM:
    case ST_COLUMN:
    case ST_DROP_DUPLICATES:
    case ST_DROP_WHERE:
    case ST_DROP_EPISODES:
    case ST_EPISODES:
    case ST_SPLIT:
    case ST_COUNT: report(l, DIAG_SYNTAX, s->at, "this belongs into `data`"); break;
    }
    l->b.at = saved;
}

void stmt_block(Lower *l, const Block *b) {
    for (uint32_t i = 0; i < b->stmts.n; i++) {
        stmt_eval(l, b->stmts.at[i]);
    }
}
