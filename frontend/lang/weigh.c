/* What a loss term weighs: the reductions that its value ends in, from the outside in, and the number they come to.
 * "mean over N·1331 of (…)²" and "mean over N of a sum over 2 of kl" of the same size differ by a factor of 665 in
 * what the optimizer sees, and only the formula shows it.
 *
 * The walk goes down from the value through what multiplies, divides and sums, and stops at the first thing that does
 * something else: the body.  A division is kept until a sum over as many elements is met, which makes it a mean. */
#include "facts.h"
#include "lower.h"
#include <math.h>

enum { MOST_SUMS = 6, MOST_TERMS = 3, MOST_STEPS = 1000 };
enum { MOST_COUNTED = 1 << 16 };        /* elements of a condition worth looking at */
/* accepted: how many a condition lets in; empty: that depends on data, or there is none */
typedef struct { bool mean, some, weighted; double rows, rest; Str accepted; } Sum;
typedef struct {
    double factor, divide;              /* divide: not yet matched by a sum */
    uint32_t n;
    Sum sums[MOST_SUMS];
    bool counted, weighted;             /* the next sum is divided by how many a condition lets in; by data */
    Val body;
} Term;
/* learned: by node, depends on a parameter */
typedef struct {
    Lower *l;
    const Graph *g;
    RowFacts rows;
    bool *learned;
    uint32_t n, steps;
    Term terms[MOST_TERMS];
    bool many;                          /* there are more terms, or more steps to them than anyone would read */
} Weigh;

double weigh_number(Lower *l, uint32_t inst) {
    const Uniforms *u = l->m->uniforms;
    double *in = PUSH(l->a, double, u->inputs.n + 1), *values = PUSH(l->a, double, u->insts.n + 1);
    UValue *out = PUSH(l->a, UValue, u->outputs.n + 1);
    for (uint32_t i = 0; i < u->inputs.n; i++) {
        Str name = u->inputs.at[i].name;
        in[i] = str_starts(name, "rows") ? (double)l->main_graph->rows : 0;
        for (uint32_t k = 0; k < l->p->settings.n && str_starts(name, "setting."); k++) {
            const RecipeSetting *s = &l->p->settings.at[k].recipe;
            bool same = name.n == s->name.n + 8 && str_eq((Str){name.s + 8, s->name.n}, s->name);
            in[i] = same ? s->value : in[i];
        }
    }
    uniforms_run(u, in, values, out);
    return values[inst];
}

/* A number of the program, the same for all elements. */
static bool number_of(const Weigh *w, Val v, double *out) {
    const Node *n = node_of(w->g, v);
    while ((n->op == OP_cast || n->op == OP_broadcast) && n->n == 1) {
        v = operand(w->g, v, 0);
        n = node_of(w->g, v);
    }
    if (n->op == OP_const) {
        *out = dtype_is_float((DType)n->dtype) ? n->attr.constant.f : (double)n->attr.constant.i;
        return true;
    }
    if (n->op == OP_arg && n->attr.arg.kind == ARG_UNIFORM) {
        *out = weigh_number(w->l, w->l->m->uniforms->outputs.at[n->attr.arg.id].inst);
        return true;
    }
    return false;
}

/* How many elements a condition lets in, at least 1: what a mean with conditions divides by. */
static bool counts_accepted(const Weigh *w, Val v) {
    const Node *n = node_of(w->g, v);
    while (n->op == OP_cast || n->op == OP_broadcast) {
        v = operand(w->g, v, 0);
        n = node_of(w->g, v);
    }
    if (n->op != OP_max || dtype_is_float((DType)n->dtype)) {
        return false;
    }
    n = node_of(w->g, operand(w->g, v, 0));
    return n->op == OP_reduce && n->attr.reduce.kind == REDUCE_SUM;
}

static Str rows_name(const Weigh *w) {
    const ParamVec *args = &w->l->objective->function.sig.args;
    const TypeSyntax *t = args->n ? args->at[0].type : NULL;
    bool named = t && t->has_dims && t->dims.n == 1 && t->dims.at[0].kind == DIM_EXPR &&
                 t->dims.at[0].expr->kind == EX_NAME;
    return named ? t->dims.at[0].expr->name.text : STR("rows");
}

/* "N·1331"; rows 0: none of them are. */
static Str extent_text(const Weigh *w, double rows, double rest) {
    Buf b = buf_make(w->l->a);
    double batch = (double)w->g->rows;
    bool named = batch > 0 && rows > 0 && fmod(rows, batch) == 0;
    rest *= named ? rows / batch : rows > 0 ? rows : 1;
    if (named) {
        buf_printf(&b, "%.*s%s", FSTR(rows_name(w)), rest > 1 ? "·" : "");
    }
    if (!named || rest > 1) {
        buf_printf(&b, "%.0f", rest);
    }
    return buf_str(&b);
}

/* rows: the extent of the axes of rows, 0 when there is none; rest: that of the others */
static void add_sum(Term *t, double rows, double rest) {
    double extent = (rows > 0 ? rows : 1) * rest;
    if (t->n == MOST_SUMS || (rows == 0 && rest == 1)) {
        return;
    }
    bool mean = t->divide == extent || t->counted || t->weighted;
    t->divide = t->divide == extent ? 1 : t->divide;
    t->sums[t->n++] = (Sum){mean, t->counted, t->weighted, rows, rest, {0}};
    t->weighted = false;
}

/* One sum over several axes, or, where only the rows among them are divided by, two. */
static void add_sums(Term *t, const int64_t *extents, const bool *is_rows, uint32_t n) {
    double rows = 0, rest = 1;
    for (uint32_t i = 0; i < n; i++) {
        rows = is_rows[i] ? (rows > 0 ? rows : 1) * (double)extents[i] : rows;
        rest *= is_rows[i] ? 1 : (double)extents[i];
    }
    if (rows > 0 && t->divide == rows) {
        add_sum(t, rows, 1);
        add_sum(t, 0, rest);
    } else {
        add_sum(t, rows, rest);
    }
    t->counted = false;
}

/* The share of elements that a condition of indices alone lets in; 0 when it is of more than those. */
static double share_accepted(const Weigh *w, Val mask) {
    const Node *n = node_of(w->g, mask);
    bool *indices = PUSH(w->l->a, bool, mask.i + 1);
    for (uint32_t i = 1; i <= mask.i; i++) {
        const Node *x = &w->g->nodes.at[i];
        indices[i] = x->op == OP_const || x->op == OP_iota || op_class((Op)x->op) == CLASS_ELT ||
                     op_class((Op)x->op) == CLASS_VIEW;
        for (uint32_t k = 0; k < x->n; k++) {
            indices[i] = indices[i] && indices[operand(w->g, (Val){i}, k).i];
        }
    }
    int64_t count = shape_count(n->shape), in = 0;
    if (!indices[mask.i] || count < 1 || count > MOST_COUNTED) {
        return 0;
    }
    Copy c = copy_begin(w->l->a, w->g);
    graph_output(c.to, OUT_VALUE, 0, copy_val(&c, mask));
    EvalRun run = {.graph = c.to, .threads = 1};
    Tensor out;
    Error e = {0};
    if (graph_eval(w->l->a, &run, &out, &e) != GR_OK) {
        return 0;
    }
    for (int64_t i = 0; i < count; i++) {
        in += ((const uint8_t *)out.data)[i] != 0;
    }
    return (double)in / (double)count;
}

/* What a condition leaves out is a constant. */
static Val guarded(const Weigh *w, Term *t, Val v) {
    const Node *n = node_of(w->g, v);
    double none;
    if (t->n == 0 || n->op != OP_select || !number_of(w, operand(w->g, v, 2), &none) || none != 0) {
        return v;
    }
    Sum *s = &t->sums[t->n - 1];
    s->some = true;
    double share = share_accepted(w, operand(w->g, v, 0));
    s->accepted = share > 0 ? extent_text(w, s->rows, s->rest * share) : (Str){0};
    return operand(w->g, v, 1);
}

static Val reduction(const Weigh *w, Term *t, Val v) {
    const Node *n = node_of(w->g, v);
    Val x = operand(w->g, v, 0);
    int64_t extents[MAX_RANK];
    bool is_rows[MAX_RANK];
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) {
        uint8_t axis = n->attr.reduce.at[i];
        extents[i] = node_of(w->g, x)->shape.dim[axis];
        is_rows[i] = w->rows.rows[x.i] >> axis & 1;
    }
    add_sums(t, extents, is_rows, n->attr.reduce.n);
    return guarded(w, t, x);
}

static void contraction(const Weigh *w, Term *t, Val v) {
    const Contract *c = node_of(w->g, v)->attr.contract;
    int64_t extents[2 * MAX_RANK];
    bool is_rows[2 * MAX_RANK];
    for (uint32_t i = 0; i < c->n_over; i++) {
        extents[i] = c->extent[c->over[i]];
        is_rows[i] = false;
        for (uint32_t side = 0; side < 2; side++) {
            for (uint32_t k = 0; k < c->rank[side]; k++) {
                bool here = c->dim[side][k] == c->over[i];
                is_rows[i] = is_rows[i] || (here && (w->rows.rows[operand(w->g, v, side).i] >> k & 1));
            }
        }
    }
    add_sums(t, extents, is_rows, c->n_over);
}

static Val product(const Weigh *w, Term *t, Val v) {
    double x;
    for (uint32_t k = 0; k < 2; k++) {
        if (number_of(w, operand(w->g, v, k), &x)) {
            t->factor *= x;
            return operand(w->g, v, 1 - k);
        }
    }
    return (Val){0};
}

static Val quotient(const Weigh *w, Term *t, Val v) {
    double x;
    if (number_of(w, operand(w->g, v, 1), &x) && x != 0) {
        t->divide *= x;
        return operand(w->g, v, 0);
    }
    t->counted = counts_accepted(w, operand(w->g, v, 1));
    t->weighted = !t->counted && t->n == 0 && !w->learned[operand(w->g, v, 1).i];
    return t->counted || t->weighted ? operand(w->g, v, 0) : (Val){0};
}

static bool repeats_number(const Weigh *w, Val v) {
    return node_of(w->g, v)->op == OP_broadcast && node_of(w->g, operand(w->g, v, 0))->shape.rank == 0;
}

/* `kl_each`: a loss of each element, one thing by its name. */
static Str each_name(const Weigh *w, Val v) {
    Str name = program_library_name(w->l->p, node_of(w->g, v)->span);
    return str_ends(name, "_each") ? (Str){name.s, name.n - 5} : (Str){0};
}

/* What v is a multiple, a sum or a mean of; {0}: it is the body. */
static Val next_of(const Weigh *w, Term *t, Val v) {
    const Node *n = node_of(w->g, v);
    if (t->n > 0 && each_name(w, v).n) {
        return (Val){0};
    }
    if (n->op == OP_neg) {
        t->factor = -t->factor;
    }
    if (n->op == OP_mul || n->op == OP_mulz) {
        return product(w, t, v);
    }
    if (n->op == OP_div) {
        return quotient(w, t, v);
    }
    if (n->op == OP_reduce && n->attr.reduce.kind == REDUCE_SUM) {
        return reduction(w, t, v);
    }
    if (n->op == OP_contract && n->attr.contract->n_over > 0) {
        contraction(w, t, v);
    }
    bool same = n->op == OP_neg || n->op == OP_reshape || n->op == OP_cast || repeats_number(w, v);
    return same ? operand(w->g, v, 0) : (Val){0};
}

static void walk(Weigh *w, Val v, Term t) {
    for (Val next = v; next.i && !w->many; next = next_of(w, &t, v)) {
        v = next;
        w->many = ++w->steps > MOST_STEPS;
    }
    if (w->many) {
        return;
    }
    const Node *n = node_of(w->g, v);
    double constant;
    if ((n->op == OP_add || n->op == OP_sub) && t.n == 0 && n->shape.rank == 0) {
        Term second = t;
        second.factor = n->op == OP_sub ? -t.factor : t.factor;
        walk(w, operand(w->g, v, 0), t);
        walk(w, operand(w->g, v, 1), second);
        return;
    }
    if (t.n == 0 && number_of(w, v, &constant)) {
        return; /* has no gradient */
    }
    if (t.divide != (double)w->g->rows) {
        t.factor /= t.divide;
        t.divide = 1;
    }
    t.body = v;
    w->many = w->n == MOST_TERMS;
    if (!w->many) {
        w->terms[w->n++] = t;
    }
}

/* By node: does it depend on a parameter? */
static bool *learned(Lower *l) {
    const Graph *g = l->main_graph;
    bool *out = PUSH(l->a, bool, g->nodes.n);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        out[i] = n->op == OP_arg && n->attr.arg.kind == ARG_VAR && l->m->vars.at[n->attr.arg.id].kind == VAR_PARAM;
        for (uint32_t k = 0; k < n->n; k++) {
            out[i] = out[i] || out[operand(g, (Val){i}, k).i];
        }
    }
    return out;
}

/* ---- in words ---- */

/* Elements multiplied by what is not learned, class weights or a mask: what is so multiplied; {0}: nothing is. */
static Val weighted_part(const Weigh *w, Val v) {
    const Node *n = node_of(w->g, v);
    double x;
    for (uint32_t k = 0; k < 2 && n->op == OP_mul && w->learned[v.i]; k++) {
        Val factor = operand(w->g, v, k);
        if (!w->learned[factor.i] && !number_of(w, factor, &x)) {
            return operand(w->g, v, 1 - k);
        }
    }
    return (Val){0};
}

static Str body_text(const Weigh *w, Val v) {
    const Node *n = node_of(w->g, v);
    Str each = each_name(w, v);
    if (each.n) {
        return each;
    }
    bool square = n->op == OP_mul && val_eq(operand(w->g, v, 0), operand(w->g, v, 1));
    return square                  ? STR("(…)²")
           : n->op == OP_abs       ? STR("|…|")
           : n->op == OP_sqrt      ? STR("√(…)")
           : n->op == OP_log       ? STR("log(…)")
           : n->op == OP_div       ? STR("(…)/(…)")
           : n->op == OP_contract  ? STR("products")
                                   : (Str){0};
}

static void put_sum(const Weigh *w, Buf *b, const Sum *s) {
    Str all = extent_text(w, s->rows, s->rest);
    buf_printf(b, "%s%s over ", s->weighted ? "weighted " : "", s->mean ? "mean" : "sum");
    if (s->some) {
        buf_printf(b, "%.*s of ", FSTR(s->accepted.n ? s->accepted : STR("some")));
    }
    buf_printf(b, "%.*s", FSTR(all));
}

static Str term_text(const Weigh *w, const Term *t) {
    Buf b = buf_make(w->l->a);
    if (t->divide != 1) {
        buf_printf(&b, "1/%.*s · ", FSTR(rows_name(w)));
    }
    for (uint32_t i = 0; i < t->n; i++) {
        buf_printf(&b, "%s", i ? " of a " : "");
        put_sum(w, &b, &t->sums[i]);
    }
    Val part = weighted_part(w, t->body);
    Str body = body_text(w, part.i ? part : t->body);
    bool weighted = part.i && !(t->n && t->sums[0].weighted);
    if (body.n || weighted) {
        Str what = body.n ? body : STR("values");
        buf_printf(&b, "%s%s%.*s", t->n ? " of " : "", weighted ? "weighted " : "", FSTR(what));
    }
    if (t->n == 0 && !body.n && !weighted) {
        buf_printf(&b, "one value");
    }
    return buf_str(&b);
}

static void put_terms(const Weigh *w, Buf *b) {
    for (uint32_t i = 0; i < w->n; i++) {
        const Term *t = &w->terms[i];
        double factor = i || t->factor < 0 ? fabs(t->factor) : t->factor;
        buf_printf(b, "%s", t->factor < 0 ? (i ? " - " : "-") : i ? " + " : "");
        if (factor != 1) {
            buf_printf(b, "%.4g · ", factor);
        }
        Str text = term_text(w, t);
        buf_printf(b, "%.*s", FSTR(text));
    }
    buf_printf(b, "%s", !w->many ? "" : w->n ? " + .." : "many terms");
}

/* What stands in front of the sum over all elements of a row. */
static void put_share(const Weigh *w, LossFacts *out) {
    const Term *t = &w->terms[0];
    double share = t->factor / t->divide, elements = 1, rows = (double)w->g->rows;
    for (uint32_t i = 0; i < t->n; i++) {
        const Sum *s = &t->sums[i];
        double extent = (s->rows > 0 ? s->rows : 1) * s->rest;
        share /= s->mean ? extent : 1;
        elements *= extent;
        if (s->some || s->weighted) {
            return;
        }
    }
    if (t->n > 0 && rows > 0 && fmod(elements, rows) == 0 && elements / rows < 1e15) {
        out->per_row = share * rows;
        out->elements = (int64_t)(elements / rows);
    }
}

void weigh_loss(Lower *l, const LossTerm *t, RowFacts rows, LossFacts *out) {
    Weigh w = {.l = l, .g = l->main_graph, .rows = rows, .learned = learned(l)};
    walk(&w, t->value, (Term){.factor = 1, .divide = 1});
    Buf b = buf_make(l->a);
    out->factor = 1;
    if (w.n == 1 && !w.many) {
        out->factor = w.terms[0].factor;
        out->reduction = term_text(&w, &w.terms[0]);
        put_share(&w, out);
        Str each = each_name(&w, w.terms[0].body);
        out->divergence = str_is(each, "kl") || str_is(each, "normal_kl");
    } else if (w.n > 0 || w.many) {
        put_terms(&w, &b);
        out->reduction = buf_str(&b);
    } else {
        out->reduction = STR("a constant");
    }
}
