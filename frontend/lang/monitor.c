/* What is measured beside the losses: `metric`, `watch`, and the alarms `warn` and `stop`.  They stand in an
 * objective or in a function or model that it calls, which is all that a monitor is.  Each becomes a series with a
 * name: its own, and behind the path of the call when that one is taken (`gaussian_kl2.active`).  A call in index
 * form or in `scan` would make a series for every turn: it makes none.  So does an export, which has no split.
 *
 * An alarm's condition is a number of the program: the names of metrics and losses in it are inputs that the trainer
 * fills at each report, `report.NAME`.  A `def` with `state` in it keeps numbers from report to report of a split. */
#include "lower.h"

typedef enum { STANDING_SERIES, STANDING_QUIET, STANDING_WRONG } Standing;

static Standing standing_of(Lower *l, Span at, const char *what) {
    FrameKind here = l->frame->kind;
    if (here == FRAME_OBJECTIVE && l->scan) {
        Diag *d = report(l, DIAG_METRIC, at, "%s inside `scan` would have a value in every turn", what);
        diag_help(d, "`collect` what it looks at, and say it behind the `scan`");
        return STANDING_WRONG;
    }
    if (here == FRAME_EXPORT || here == FRAME_OPTIMIZER || here == FRAME_DATA) {
        Diag *d = report(l, DIAG_METRIC, at, "%s belongs into an objective", what);
        diag_help(d, "or into a `def` or a `model` that an objective calls");
        return STANDING_WRONG;
    }
    bool objective = false, many = l->scan != NULL;
    for (const Frame *f = l->frame; f; f = f->caller) {
        objective = objective || f->kind == FRAME_OBJECTIVE;
        many = many || f->n_ambient > 0;
    }
    return objective && !many ? STANDING_SERIES : STANDING_QUIET;
}

/* ---- names ---- */

static const Name *term_named(const Lower *l, Str name) {
    for (uint32_t i = 0; i < l->losses.n; i++) {
        if (str_eq(l->losses.at[i].name.text, name)) {
            return &l->losses.at[i].name;
        }
    }
    for (uint32_t i = 0; i < l->metrics.n; i++) {
        if (str_eq(l->metrics.at[i].name.text, name)) {
            return &l->metrics.at[i].name;
        }
    }
    for (uint32_t i = 0; i < l->watches.n; i++) {
        if (str_eq(l->watches.at[i].series, name)) {
            return &l->watches.at[i].name;
        }
    }
    return NULL;
}

/* Does the objective's own text give the name to a loss, metric or watch?  It keeps it, wherever it stands. */
static bool block_declares(const Block *b, Str name) {
    for (uint32_t i = 0; i < b->stmts.n; i++) {
        const Stmt *s = b->stmts.at[i];
        bool found = (s->kind == ST_LOSS && str_eq(s->loss.target.name.text, name)) ||
                     (s->kind == ST_METRIC && str_eq(s->metric.target.name.text, name)) ||
                     (s->kind == ST_WATCH && str_eq(s->watch.name.text, name)) ||
                     (s->kind == ST_FOR && block_declares(&s->loop.body, name)) ||
                     (s->kind == ST_IF && (block_declares(&s->branch.then, name) ||
                                           block_declares(&s->branch.otherwise, name)));
        for (uint32_t k = 0; s->kind == ST_MATCH && k < s->match.arms.n; k++) {
            found = found || block_declares(&s->match.arms.at[k].body, name);
        }
        if (found) {
            return true;
        }
    }
    return false;
}

/* The path of the call that is being lowered, from the objective on; empty in the objective itself. */
static Str call_path(const Lower *l) {
    uint32_t root = l->objective->name.text.n + 1;
    Str s = l->frame->stream;
    return l->frame->kind == FRAME_OBJECTIVE ? (Str){0} : (Str){s.s + root, s.n - root};
}

static Str series_name(Lower *l, Str name) {
    bool own = l->frame->kind == FRAME_OBJECTIVE;
    if (own || (!term_named(l, name) && !block_declares(&l->objective->function.body, name))) {
        return name;
    }
    return str_format(l->m->arena, "%.*s.%.*s", FSTR(call_path(l)), FSTR(name));
}

bool monitor_name_is_new(Lower *l, Name name) {
    if (str_is(name.text, "total")) {
        Diag *d = report(l, DIAG_TWICE, name.at, "`total` is the sum of all losses");
        diag_help(d, "another name: series of this one could not be told from those of the sum");
        return false;
    }
    const Name *old = term_named(l, name.text);
    if (old) {
        Diag *d = report(l, DIAG_TWICE, name.at, "two losses, metrics or watches are called `%.*s`", FSTR(name.text));
        report_label(l, d, old->at, "the first");
    }
    return old == NULL;
}

void monitor_bind(Lower *l, Name name, V v, Str series) {
    scope_bind(l, name, v);
    Binding *b = scope_find(l->frame, name.text);
    if (b && v->kind == VAL_ARRAY && v->array.rank == 0) {
        b->series = series;
    }
}

/* ---- metrics and watches ---- */

void monitor_metric(Lower *l, const Stmt *s) {
    Name name = s->metric.target.name;
    Standing standing = standing_of(l, s->at, "a metric");
    if (standing == STANDING_WRONG) {
        return;
    }
    V v = index_form(l, &s->metric.target, s->metric.value);
    if (standing == STANDING_QUIET) {
        scope_bind(l, name, v);
        return;
    }
    Name full = {series_name(l, name.text), name.at};
    if (!monitor_name_is_new(l, full)) {
        return;
    }
    Elem e;
    if (v->kind != VAL_POISON && !value_elem(v, &e)) {
        Diag *d = report(l, DIAG_TYPE, s->metric.value->at, "a metric is a number or a table, this is %.*s",
                         FSTR(value_describe(l, v)));
        function_lacks(l, d, v);
        v = value_poison(l);
    }
    monitor_bind(l, name, v, full.text);
    vec_push(l->a, &l->metrics, (MetricTerm){full, v, false});
}

static Val over_all(Build *b, ReduceKind k, Val x) {
    uint8_t axes[MAX_RANK], rank = node_of(b->g, x)->shape.rank;
    for (uint8_t i = 0; i < rank; i++) {
        axes[i] = i;
    }
    return build_reduce(b, k, x, rank, axes);
}

static Val count_where(Build *b, Val condition) {
    return over_all(b, REDUCE_SUM, build_cast(b, DT_F64, condition));
}

static const char *const watched[] = {"count", "mean", "sd", "min", "max", "zeros", "nonfinite"};
enum { WATCHED = sizeof watched / sizeof *watched };

/* The statistics in that order: sums in f64, all but the last two counts of finite elements only. */
static void statistics(Build *b, Val x, Val *out) {
    DType t = (DType)node_of(b->g, x)->dtype;
    x = t == DT_F32 || t == DT_F64 ? x : build_cast(b, dtype_is_float(t) ? DT_F32 : DT_F64, x);
    t = (DType)node_of(b->g, x)->dtype;
    Shape s = node_of(b->g, x)->shape;
    Val zero = build_splat(b, t, 0, s), one = build_const(b, DT_F64, 1);
    Val finite = build_2(b, OP_eq, build_2(b, OP_sub, x, x), zero);
    Val fine = build_cast(b, DT_F64, build_select(b, finite, x, zero));
    Val n = count_where(b, finite), bad = count_where(b, build_1(b, OP_not, finite));
    Val some = build_2(b, OP_max, n, one);
    Val mean = build_2(b, OP_div, over_all(b, REDUCE_SUM, fine), some);
    Val square = build_2(b, OP_div, over_all(b, REDUCE_SUM, build_2(b, OP_mul, fine, fine)), some);
    Val variance = build_2(b, OP_sub, square, build_2(b, OP_mul, mean, mean));
    double inf = __builtin_inf();
    out[0] = build_2(b, OP_add, n, bad);
    out[1] = mean;
    out[2] = build_1(b, OP_sqrt, build_2(b, OP_max, variance, build_const(b, DT_F64, 0)));
    out[3] = over_all(b, REDUCE_MIN, build_select(b, finite, x, build_splat(b, t, inf, s)));
    out[4] = over_all(b, REDUCE_MAX, build_select(b, finite, x, build_splat(b, t, -inf, s)));
    out[5] = build_2(b, OP_div, count_where(b, build_2(b, OP_eq, x, zero)), some);
    out[6] = bad;
}

void monitor_watch(Lower *l, const Stmt *s) {
    Name name = s->watch.name;
    Standing standing = standing_of(l, s->at, "a watch");
    if (standing == STANDING_WRONG) {
        return;
    }
    V v = s->watch.value ? eval(l, s->watch.value) : scope_name(l, name);
    if (standing == STANDING_QUIET || v->kind == VAL_POISON) {
        return;
    }
    if (s->watch.value && l->peek) {
        peek_note(l, name, v);             /* the name is not bound to anything else */
    }
    if (v->kind != VAL_ARRAY) {
        report(l, DIAG_TYPE, s->at, "what is watched is a tensor, this is %.*s", FSTR(value_describe(l, v)));
        return;
    }
    Name full = {series_name(l, name.text), name.at};
    for (uint32_t i = 0; i < l->watches.n; i++) {
        if (str_eq(l->watches.at[i].series, full.text)) {
            monitor_name_is_new(l, full);
            return;
        }
    }
    vec_push(l->a, &l->watches, (Watch){name, l->frame, full.text});
    Val x[WATCHED];
    statistics(&l->b, array_here(l, v->array).val, x);
    for (uint32_t i = 0; i < WATCHED; i++) {
        Name term = {str_format(l->m->arena, "%.*s.%s", FSTR(full.text), watched[i]), name.at};
        if (monitor_name_is_new(l, term)) {
            V value = value_array(l, name.at, array_make(l, x[i], 0, NULL, 0, NULL));
            vec_push(l->a, &l->metrics, (MetricTerm){term, value, true});
        }
    }
}

/* ---- alarms ---- */

static V reported(Lower *l, Span at, Str series) {
    Str input = str_format(l->m->arena, "report.%.*s", FSTR(series));
    return value_uniform(l, at, uniforms_input(l->m->uniforms, input, false), ELEM_REAL);
}

/* A watched tensor in a condition: `h.mean` is a field of it. */
static V watched_value(Lower *l, const Watch *w) {
    Value *v = PUSH(l->a, Value, 1);
    *v = (Value){.kind = VAL_TUPLE, .at = w->name.at};
    v->list.n = WATCHED;
    v->list.at = PUSH(l->a, V, WATCHED);
    v->list.names = PUSH(l->a, Str, WATCHED);
    for (uint32_t i = 0; i < WATCHED; i++) {
        v->list.names[i] = str_of(watched[i]);
        v->list.at[i] = reported(l, w->name.at, str_format(l->a, "%.*s.%s", FSTR(w->series), watched[i]));
    }
    return v;
}

static const Watch *watch_of(const Lower *l, const Frame *f, Str name) {
    for (uint32_t i = 0; i < l->watches.n; i++) {
        if (l->watches.at[i].frame == f && str_eq(l->watches.at[i].name.text, name)) {
            return &l->watches.at[i];
        }
    }
    return NULL;
}

typedef struct { Lower *l; const Frame *frame; bool fine; } Condition;

/* A tensor of the batch has no value when a report is made. */
static bool no_tensors(void *user, const Expr *e) {
    Condition *c = user;
    const Binding *b = e->kind == EX_NAME ? scope_find((Frame *)(uintptr_t)c->frame, e->name.text) : NULL;
    if (b == NULL || b->series.n || watch_of(c->l, c->frame, e->name.text) || !c->fine) {
        return c->fine;
    }
    if (b->value->kind == VAL_ARRAY) {
        Diag *d =
            report(c->l, DIAG_TYPE, e->at, "an alarm compares metrics, losses, series and settings; `%.*s` is %.*s",
                   FSTR(e->name.text), FSTR(value_describe(c->l, b->value)));
        diag_help(d, "`metric NAME = ..` makes a number of it, `watch %.*s` several", FSTR(e->name.text));
    }
    c->fine = b->value->kind != VAL_ARRAY && b->value->kind != VAL_POISON;
    return c->fine;
}

/* The frame of the condition: names of the enclosing one, series in place of metrics and losses; then what the
 * functions called so far have brought. */
static void enter_condition(Lower *l) {
    const Frame *from = l->frame;
    Frame *to = frame_push(l, FRAME_DEF, from->decl, from->call_at);
    to->path = to->stream = str_format(l->a, "%.*s.alarm", FSTR(from->stream));
    for (uint32_t i = 0; i < from->names.n; i++) {
        Binding b = from->names.at[i];
        if (b.series.n) {
            b.value = reported(l, b.at, b.series);
        }
        b.var = 0;
        if (b.value->kind != VAL_ARRAY) {
            scope_add(l, to, b);
        }
    }
    for (uint32_t i = 0; i < l->watches.n; i++) {
        const Watch *w = &l->watches.at[i];
        Str name = w->frame == from ? w->name.text : w->series;
        if (!scope_find(to, name)) {
            scope_bind(l, (Name){name, w->name.at}, watched_value(l, w));
        }
    }
    for (uint32_t i = 0; i < l->metrics.n; i++) {
        Name name = l->metrics.at[i].name;
        V v = l->metrics.at[i].value;
        bool number = value_scalar(v) || (v->kind == VAL_ARRAY && v->array.rank == 0);
        if (number && !scope_find(to, name.text)) {
            scope_bind(l, name, reported(l, name.at, name.text));
        }
    }
}

static bool counts_of(Lower *l, const Stmt *s, RecipeAlarm *out) {
    const Count *after = &s->alarm.after, *patience = &s->alarm.patience;
    int64_t n = 0;
    out->reports = 1;
    if (patience->n && !const_expr_value(l, patience->n, "a number of reports", 1, &out->reports)) {
        return false;
    }
    if (after->n && !const_expr_value(l, after->n, "a number of epochs or steps", 0, &n)) {
        return false;
    }
    out->after_steps = after->unit == UNIT_STEPS ? n : 0;
    out->after_epochs = after->unit == UNIT_EPOCHS ? n : 0;
    return true;
}

void monitor_alarm(Lower *l, const Stmt *s) {
    Standing standing = standing_of(l, s->at, "an alarm");
    Condition c = {l, l->frame, standing == STANDING_SERIES};
    walk_expr(s->alarm.when, no_tensors, &c);
    if (!c.fine) {
        return;
    }
    RecipeAlarm a = {.stop = s->alarm.stop, .text = s->alarm.text, .from = call_path(l), .span = s->at};
    a.when = sources_text(l->p->sources, s->alarm.when->at);
    enter_condition(l);
    l->alarm_states = &a.states;
    l->advancing = true;
    V v = uniform_expr(l, s->alarm.when);
    l->advancing = false;
    l->alarm_states = NULL;
    frame_pop(l);
    Elem e;
    if (v->kind == VAL_POISON || !counts_of(l, s, &a)) {
        return;
    }
    if (!value_scalar(v) || !value_elem(v, &e) || e != ELEM_BOOL) {
        report(l, DIAG_TYPE, s->alarm.when->at, "an alarm goes off when a condition holds, this is %.*s",
               FSTR(value_describe(l, v)));
        return;
    }
    a.inst = value_inst(l, v);
    vec_push(l->a, &l->alarms, a);
}
