/* `scan h = h0 over v in u, t < T { … collect y = e }`: one body graph run T times.  Carries and one step
 * of each sequence are inputs of the body; whatever else the body mentions becomes a constant input the first
 * time it is needed.  The types of the carries are a fixed point: the body is lowered, and once more when
 * what comes back carries more indices.  A state that the body writes becomes a carry in the same way: a pass that
 * meets the write is followed by another.  A body may hold a loop; what that mentions of further out goes in
 * through every loop between. */
#include "lower.h"

enum { MOST_CARRIES = 16, MOST_PASSES = 4 };
typedef struct { Name name; Array value; } Collected;
/* A state that the body writes is one more carry: its value before the loop, at this point of the body. */
typedef struct { uint32_t var; Array before, now; } Written;
struct ScanScope {
    Build outer; /* the graph around the loop */
    ScanScope *parent; /* the loop that one is the body of */
    Graph *body;
    uint32_t n_inputs;            /* carries and sequences */
    VEC(Val) captured;            /* constants: their values outside */
    Array carry[MOST_CARRIES];    /* initial values, of the type the body takes */
    Array sequence[MOST_CARRIES]; /* with the steps in front of everything */
    Name carry_name[MOST_CARRIES];
    uint32_t n_carries, n_sequences;
    Name counter; /* `t` of `t < T` */
    bool counts;  /* the step number is an input */
    Val step;
    Dim length;
    VEC(Collected) collected;
    VEC(Written) written;
    uint32_t n_bound; /* of `written`: those that are inputs in this pass */
};

/* Builds in the graph around the loop, and in its body again. */
static void scope_outside(Lower *l, const ScanScope *s) {
    Span at = l->b.at;
    l->b = s->outer;
    l->b.at = at;
    l->scan = s->parent;
}

static void scope_inside(Lower *l, ScanScope *s, Build body) {
    l->b = body;
    l->scan = s;
}

/* A value of a graph around this one, in the graph being built. */
Val scan_capture(Lower *l, Array x) {
    ScanScope *s = l->scan;
    if (s == NULL || s->body != l->b.g) {
        report(l, DIAG_TYPE, l->b.at,
               "an initial value is made of settings, dims and draws, not of data or other weights");
        return build_splat(&l->b, x.dtype, 0, array_shape(&x));
    }
    Val outside = x.val;
    if (x.graph != s->outer.g) { /* from further out: it goes through every loop between */
        Build body = l->b;
        scope_outside(l, s);
        outside = scan_capture(l, x);
        scope_inside(l, s, body);
    }
    uint32_t k = 0;
    while (k < s->captured.n && s->captured.at[k].i != outside.i) {
        k++;
    }
    if (k == s->captured.n) {
        vec_push(l->a, &s->captured, outside);
    }
    return build_arg(&l->b, ARG_BODY, s->n_inputs + k, (Type){x.dtype, array_shape(&x)});
}

/* Which repetition this is, for draws: counted through all loops around; 0 outside loops. */
Val scan_iteration(Lower *l) {
    ScanScope *s = l->scan;
    if (s == NULL || l->b.g != s->body) {
        return build_const(&l->b, DT_I32, 0);
    }
    s->counts = true;
    Val step = s->step.i ? s->step : build_const(&l->b, DT_I32, 0);
    if (s->parent == NULL) {
        return step;
    }
    Build body = l->b;
    scope_outside(l, s);
    Array around = {.val = scan_iteration(l), .graph = l->b.g, .dtype = DT_I32};
    scope_inside(l, s, body);
    Val length = build_const(&l->b, DT_I32, (double)dim_value(s->length));
    return build_2(&l->b, OP_add, build_2(&l->b, OP_mul, scan_capture(l, around), length), step);
}

/* ---- states the body writes ---- */
static Written *written(ScanScope *s, uint32_t var) {
    for (uint32_t i = 0; s && i < s->written.n; i++) {
        if (s->written.at[i].var == var) {
            return &s->written.at[i];
        }
    }
    return NULL;
}

bool scan_state(Lower *l, uint32_t var, Array *out) {
    const Written *w = written(l->scan, var);
    if (w == NULL || w->now.graph != l->b.g) {
        return false;
    }
    *out = w->now;
    return true;
}

/* The first pass that meets a write only learns of it; from the next on the state is a carry. */
bool scan_set_state(Lower *l, uint32_t var, Array x) {
    ScanScope *s = l->scan;
    if (s == NULL || l->b.g != s->body) {
        return false;
    }
    Written *w = written(s, var);
    if (w == NULL) {
        Build body = l->b;
        scope_outside(l, s);
        Array before = array_here(l, cell_array(l, var, x.rank, x.dim));
        scope_inside(l, s, body);
        vec_push(l->a, &s->written, ((Written){var, before, x}));
        return true;
    }
    w->now = x;
    return true;
}

/* Names that stand for the state stand for its value here. */
static void rebind_state(Lower *l, uint32_t var, Array now) {
    for (uint32_t i = 0; i < l->frame->names.n; i++) {
        Binding *b = &l->frame->names.at[i];
        if (b->var == var + 1) {
            b->value = value_array(l, b->at, now);
        }
    }
}

/* The sequence with its first dim in front of its leads. */
static Array steps_first(Lower *l, Array x) {
    uint8_t at[MAX_RANK];
    at[0] = x.n_lead;
    for (uint32_t i = 0; i < x.n_lead; i++) {
        at[i + 1] = (uint8_t)i;
    }
    for (uint32_t i = 1; i < x.rank; i++) {
        at[x.n_lead + i] = (uint8_t)(x.n_lead + i);
    }
    x = array_here(l, x);
    x.val = build_permute(&l->b, x.val, at);
    return x;
}

static bool same_length(Lower *l, ScanScope *s, Span at, Dim n) {
    if (s->length && !dim_eq(s->length, n)) {
        Buf a = buf_make(l->a), b = buf_make(l->a);
        dim_print(&a, s->length);
        dim_print(&b, n);
        report(l, DIAG_EXTENT, at, "this sequence has %s steps, another has %s", b.s, a.s);
        return false;
    }
    s->length = n;
    return true;
}

static bool read_inputs(Lower *l, const Stmt *st, ScanScope *s) {
    if (st->scan.carries.n > MOST_CARRIES || st->scan.over.n > MOST_CARRIES) {
        report(l, DIAG_SHAPE, st->at, "more than %d carries or sequences", MOST_CARRIES);
        return false;
    }
    for (uint32_t i = 0; i < st->scan.carries.n; i++) {
        const Carry *c = &st->scan.carries.at[i];
        if (!eval_array(l, c->init, &s->carry[i])) {
            return false;
        }
        if (dtype_elem(s->carry[i].dtype) == ELEM_REAL) {
            s->carry[i] = array_cast(l, s->carry[i], DT_F32);
        }
        s->carry_name[i] = c->name;
    }
    s->n_carries = st->scan.carries.n;
    for (uint32_t i = 0; i < st->scan.over.n; i++) {
        const Over *o = &st->scan.over.at[i];
        Dim n;
        Array x;
        if (o->below) {
            if (!dim_expr_value(l, o->below, &n) || !same_length(l, s, o->below->at, n)) {
                return false;
            }
            s->counter = o->name;
            s->counts = true;
            continue;
        }
        if (!eval_array(l, o->in, &x)) {
            return false;
        }
        if (x.rank == 0) {
            report(l, DIAG_SHAPE, o->in->at, "`scan` goes over the first dim of a tensor, this is %.*s",
                   FSTR(array_describe(l, &x)));
            return false;
        }
        if (!same_length(l, s, o->in->at, x.dim[0])) {
            return false;
        }
        s->sequence[s->n_sequences++] = steps_first(l, x);
    }
    if (s->length == NULL || dim_value(s->length) < 1) {
        report(l, DIAG_EXTENT, st->at, "a `scan` of no steps");
        return false;
    }
    return true;
}

static Array body_input(Lower *l, uint32_t id, const Array *x, bool step) {
    Array y = *x;
    if (step) {
        for (uint32_t i = 0; i + 1 < y.rank; i++) {
            y.dim[i] = x->dim[i + 1];
        }
        y.rank--;
    }
    Val v = build_arg(&l->b, ARG_BODY, id, (Type){y.dtype, array_shape(&y)});
    return array_make(l, v, y.n_lead, y.lead, y.rank, y.dim);
}

static void body_begin(Lower *l, const Stmt *st, ScanScope *s) {
    s->body = graph_create(l->m, str_format(l->a, "%.*s.scan", FSTR(l->frame->path)));
    s->body->rows = s->outer.g->rows;
    s->captured.n = 0;
    s->collected.n = 0;
    s->n_bound = s->written.n;
    s->n_inputs = s->n_carries + s->n_bound + s->n_sequences + s->counts;
    l->b = (Build){s->body, st->at, 0};
    l->scan = s;
    uint32_t id = 0, seq = 0;
    for (; id < s->n_carries; id++) {
        scope_bind(l, s->carry_name[id],
                   value_array(l, s->carry_name[id].at, body_input(l, id, &s->carry[id], false)));
    }
    for (uint32_t i = 0; i < s->n_bound; i++) {
        Written *w = &s->written.at[i];
        w->now = body_input(l, id++, &w->before, false);
        rebind_state(l, w->var, w->now);
    }
    for (uint32_t i = 0; i < st->scan.over.n; i++) {
        const Over *o = &st->scan.over.at[i];
        if (o->in) {
            scope_bind(l, o->name,
                       value_array(l, o->name.at, body_input(l, id++, &s->sequence[seq++], true)));
        }
    }
    s->step = (Val){0};
    if (s->counts) {
        s->step = build_arg(&l->b, ARG_BODY, id, (Type){DT_I32, {0}});
        if (s->counter.text.n) {
            scope_bind(l, s->counter,
                       value_array(l, s->counter.at, array_make(l, s->step, 0, NULL, 0, NULL)));
        }
    }
}

/* Does what the body made of carry i fit its input?  `wider`: it would with the type that is then set. */
static bool carry_fits(Lower *l, ScanScope *s, uint32_t i, Array *made, bool *wider) {
    Array *in = &s->carry[i];
    const Binding *b = scope_find(l->frame, s->carry_name[i].text);
    if (b == NULL) {
        report(l, DIAG_NAME, s->carry_name[i].at, "a carry has a name: the body says what becomes of it");
        return false;
    }
    V v = b->value;
    Elem t;
    if (v->kind == VAL_POISON) {
        return false;
    }
    if (!value_elem(v, &t)) {
        report(l, DIAG_TYPE, s->carry_name[i].at, "the carry `%.*s` becomes %.*s",
               FSTR(s->carry_name[i].text), FSTR(value_describe(l, v)));
        return false;
    }
    array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(t), made);
    bool same = made->rank == in->rank;
    for (uint32_t k = 0; same && k < in->rank; k++) {
        same = dim_eq(made->dim[k], in->dim[k]);
    }
    if (!same || (dtype_elem(made->dtype) < dtype_elem(in->dtype) && dtype_elem(made->dtype) == ELEM_BOOL)) {
        Diag *d =
            report(l, DIAG_SHAPE, s->carry_name[i].at, "the carry `%.*s` begins as %.*s and becomes %.*s",
                   FSTR(s->carry_name[i].text), FSTR(array_describe(l, in)), FSTR(array_describe(l, made)));
        report_label(l, d, v->at, "%.*s", FSTR(array_describe(l, made)));
        return false;
    }
    const Index *lead[2 * MAX_RANK];
    uint32_t n = leads_union(lead, leads_union(lead, 0, in->lead, in->n_lead), made->lead, made->n_lead);
    *wider = n > in->n_lead || dtype_elem(made->dtype) > dtype_elem(in->dtype);
    if (*wider) {
        Build body = l->b;
        ScanScope *scope = l->scan;
        DType to = dtype_elem(made->dtype) > dtype_elem(in->dtype) ? made->dtype : in->dtype;
        scope_outside(l, s);
        *in = array_spread(l, array_cast(l, *in, to), n, lead);
        scope_inside(l, scope, body);
        return true;
    }
    *made = array_spread(l, array_cast(l, *made, in->dtype), in->n_lead, in->lead);
    return true;
}

/* One lowering of the body; `again` when the inputs were too narrow. */
static bool body_pass(Lower *l, const Stmt *st, ScanScope *s, bool *again) {
    bool counted = s->counts;
    body_begin(l, st, s);
    stmt_block(l, &st->scan.body);
    *again = s->counts != counted || s->n_bound != s->written.n;
    for (uint32_t i = 0; i < s->n_carries; i++) {
        Array made;
        bool wider;
        if (!carry_fits(l, s, i, &made, &wider)) {
            return false;
        }
        *again = *again || wider;
        if (!wider) {
            graph_output(s->body, OUT_VALUE, name_id(l, s->carry_name[i].text), made.val);
        }
    }
    for (uint32_t i = 0; i < s->written.n && !*again; i++) {
        const Written *w = &s->written.at[i];
        graph_output(s->body, OUT_VALUE, name_id(l, l->m->vars.at[w->var].path), w->now.val);
    }
    for (uint32_t i = 0; i < s->collected.n && !*again; i++) {
        graph_output(s->body, OUT_VALUE, name_id(l, s->collected.at[i].name.text),
                     s->collected.at[i].value.val);
    }
    return true;
}

/* A collected value, with the steps behind its leads as its first dim. */
static V collected_value(Lower *l, ScanScope *s, Val tuple, uint32_t k) {
    const Array *x = &s->collected.at[k].value;
    Span at = s->collected.at[k].name.at;
    Dim dim[MAX_RANK];
    uint8_t order[MAX_RANK];
    if (x->n_lead + x->rank + 1 > MAX_RANK) {
        report(l, DIAG_SHAPE, at, "a tensor of more than %d dims and indices", MAX_RANK);
        return value_poison(l);
    }
    dim[0] = s->length;
    for (uint32_t i = 0; i < x->rank; i++) {
        dim[i + 1] = x->dim[i];
    }
    for (uint32_t i = 0; i < x->n_lead; i++) {
        order[i] = (uint8_t)(i + 1);
    }
    order[x->n_lead] = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        order[x->n_lead + 1 + i] = (uint8_t)(x->n_lead + 1 + i);
    }
    Val v = build_permute(&l->b, build_result(&l->b, tuple, s->n_carries + s->written.n + k), order);
    return value_array(l, at, array_make(l, v, x->n_lead, x->lead, x->rank + 1u, dim));
}

static void build(Lower *l, ScanScope *s) {
    VEC(Val) in = {0};
    for (uint32_t i = 0; i < s->n_carries; i++) {
        vec_push(l->a, &in, array_here(l, s->carry[i]).val);
    }
    for (uint32_t i = 0; i < s->written.n; i++) {
        vec_push(l->a, &in, s->written.at[i].before.val);
    }
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        vec_push(l->a, &in, s->sequence[i].val);
    }
    if (s->counts) {
        Shape steps = {.rank = 1, .dim = {dim_value(s->length)}};
        vec_push(l->a, &in, build_iota(&l->b, steps, 0));
    }
    for (uint32_t i = 0; i < s->captured.n; i++) {
        vec_push(l->a, &in, s->captured.at[i]);
    }
    Scan *scan = PUSH(l->m->arena, Scan, 1);
    *scan = (Scan){.body = s->body,
                   .n_carries = s->n_carries + s->written.n,
                   .n_sequences = s->n_sequences + s->counts,
                   .n_collected = s->collected.n,
                   .length = dim_value(s->length)};
    Val tuple = build_scan(&l->b, scan, in.n, in.at);
    for (uint32_t i = 0; i < s->n_carries; i++) {
        const Array *c = &s->carry[i];
        Array last = array_make(l, build_result(&l->b, tuple, i), c->n_lead, c->lead, c->rank, c->dim);
        scope_bind(l, s->carry_name[i], value_array(l, s->carry_name[i].at, last));
    }
    for (uint32_t i = 0; i < s->written.n; i++) {
        const Array *c = &s->written.at[i].before;
        Val last = build_result(&l->b, tuple, s->n_carries + i);
        cell_write(l, s->written.at[i].var, array_make(l, last, 0, NULL, c->rank, c->dim));
        rebind_state(l, s->written.at[i].var, cell_array(l, s->written.at[i].var, c->rank, c->dim));
    }
    for (uint32_t i = 0; i < s->collected.n; i++) {
        scope_bind(l, s->collected.at[i].name, collected_value(l, s, tuple, i));
    }
}

static void poison_all(Lower *l, const Stmt *st) {
    for (uint32_t i = 0; i < st->scan.carries.n; i++) {
        scope_bind(l, st->scan.carries.at[i].name, value_poison(l));
    }
    for (uint32_t i = 0; i < st->scan.body.stmts.n; i++) {
        const Stmt *c = st->scan.body.stmts.at[i];
        if (c->kind == ST_COLLECT) {
            scope_bind(l, c->collect.target.name, value_poison(l));
        }
    }
}

void scan_eval(Lower *l, const Stmt *st) {
    ScanScope s = {.outer = l->b, .parent = l->scan};
    bool fine = read_inputs(l, st, &s), again = fine;
    Bindings outside = scope_save(l);
    for (uint32_t pass = 0; fine && again && pass < MOST_PASSES; pass++) {
        fine = body_pass(l, st, &s, &again);
        scope_restore(l, outside); /* what the body bound is of the body */
        l->b = s.outer;
        l->scan = s.parent;
    }
    for (uint32_t i = 0; i < s.collected.n; i++) {
        fine = fine && s.collected.at[i].value.val.i != 0;
    }
    if (fine && !again) {
        build(l, &s);
    } else {
        poison_all(l, st);
    }
}

bool scan_collect(Lower *l, const Stmt *st) {
    if (l->scan == NULL) {
        report(l, DIAG_SYNTAX, st->at, "`collect` stands in the body of a `scan`");
        return false;
    }
    V v = index_form(l, &st->collect.target, st->collect.value);
    Elem t;
    Array x = {0};
    if (v->kind != VAL_POISON && !value_elem(v, &t)) {
        report(l, DIAG_TYPE, st->collect.value->at, "`collect` takes a tensor or number, this is %.*s",
               FSTR(value_describe(l, v)));
    } else if (v->kind != VAL_POISON) {
        array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(t), &x);
    }
    scope_bind(l, st->collect.target.name, v); /* in the body: this step's value */
    vec_push(l->a, &l->scan->collected, (Collected){st->collect.target.name, x});
    return true;
}
