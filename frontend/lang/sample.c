/* What each loss term asks of the weights: the graph "RUN.sample", which computes the losses of a training step, the
 * gradient of every weighted term apart, and gives their sizes out.  It commits nothing, so a step that is sampled is
 * the step it would have been.  "RUN.conflict" gives the cosines between the terms' gradients too, over the weights
 * that both reach.
 *
 *   TERM.value, TERM.weight, TERM.share   its value, its weight, |weighted value| over the sum of all of them
 *   TERM.gradient, TERM.gradient.MODEL    the norm of the gradient of the weighted term, of all it updates, of a model
 *   total.gradient, total.gradient.MODEL  the same of the total
 *   TERM.cosine.OTHER                     below 0: one undoes what the other does
 *   units.largest.LAYER                   the largest value of each unit of a relu over the batch: at 0 it never fired
 *
 * The second word tells what it is.  No term is called `total`, and of a term called `units` nothing is `largest`: so
 * whatever terms, models and layers are called, no two names are the same.
 *
 * A layer of relus is a `max(x, 0)` behind a sum with a vector of weights, the bias or a norm's shift, along whose axis
 * its units lie. */
#include "lower.h"

typedef struct { bool *reaches; Val *gradient; } TermGradient;         /* by target; reaches NULL: it has none */

typedef struct {
    Lower *l;
    uint32_t n_vars, n_models;
    const uint32_t *vars;
    uint32_t *models;                      /* interned, of the targets */
    TermGradient *terms;
} Sample;

static void give(Lower *l, Str name, Val v) { graph_output(l->b.g, OUT_VALUE, name_id(l, name), v); }

/* ---- sizes ---- */
static Val plus(Build *b, Val sum, Val x) { return sum.i ? build_2(b, OP_add, sum, x) : x; }

/* Of the gradients of one model (0: of all), root of the sum of squares; {0}: it has none. */
static Val norm_of(Sample *s, const TermGradient *t, uint32_t model) {
    Build *b = &s->l->b;
    Val sum = {0};
    for (uint32_t i = 0; i < s->n_vars; i++) {
        bool counts = t->reaches[i] && (model == 0 || s->l->m->vars.at[s->vars[i]].model == model);
        sum = counts ? plus(b, sum, gradient_dot(b, t->gradient[i], t->gradient[i])) : sum;
    }
    return sum.i ? build_1(b, OP_sqrt, sum) : sum;
}

static void give_norms(Sample *s, Str prefix, const TermGradient *t) {
    Lower *l = s->l;
    Val all = norm_of(s, t, 0);
    if (all.i) {
        give(l, str_format(l->a, "%.*sgradient", FSTR(prefix)), all);
    }
    for (uint32_t m = 0; m < s->n_models && s->n_models > 1; m++) {
        Val norm = norm_of(s, t, s->models[m]);
        if (norm.i) {
            Str model = intern_str(l->m->names, s->models[m]);
            give(l, str_format(l->a, "%.*sgradient.%.*s", FSTR(prefix), FSTR(model)), norm);
        }
    }
}

/* ---- terms ---- */
static bool is_removed(const Lower *l, const LossTerm *t) {
    const Node *w = node_of(l->b.g, t->weight);
    return t->nograd || (w->op == OP_const && w->attr.constant.f == 0);
}

static void differentiate(Sample *s, const LossTerm *t, TermGradient *out) {
    Lower *l = s->l;
    bool *reached = PUSH(l->a, bool, l->m->vars.n + 1);
    Val *xs = PUSH(l->a, Val, s->n_vars + 1);
    uint32_t n = 0;
    *out = (TermGradient){PUSH(l->a, bool, s->n_vars + 1), PUSH(l->a, Val, s->n_vars + 1)};
    reach_vars(l, t->value, reached);
    for (uint32_t i = 0; i < s->n_vars && !is_removed(l, t); i++) {
        out->reaches[i] = reached[s->vars[i]];
        if (out->reaches[i]) {
            xs[n++] = cell_now(l, s->vars[i]);
        }
    }
    if (n == 0) {
        return;
    }
    Val tuple = build_grad(&l->b, scaling_total(l, t->weighted), n, xs);
    for (uint32_t i = 0, k = 0; i < s->n_vars; i++) {
        if (out->reaches[i]) {
            out->gradient[i] = build_result(&l->b, tuple, k++);
            scaling_undo(l, &out->gradient[i]);
        }
    }
}

static TermGradient whole(Sample *s) {
    Lower *l = s->l;
    TermGradient all = {PUSH(l->a, bool, s->n_vars + 1), PUSH(l->a, Val, s->n_vars + 1)};
    for (uint32_t t = 0; t < l->losses.n; t++) {
        for (uint32_t i = 0; i < s->n_vars; i++) {
            if (s->terms[t].reaches[i]) {
                all.gradient[i] = plus(&l->b, all.gradient[i], s->terms[t].gradient[i]);
                all.reaches[i] = true;
            }
        }
    }
    return all;
}

static void give_values(Lower *l) {
    Build *b = &l->b;
    Val sum = {0};
    for (uint32_t i = 0; i < l->losses.n; i++) {
        sum = plus(b, sum, build_1(b, OP_abs, l->losses.at[i].weighted));
    }
    Val some = build_2(b, OP_max, sum, build_const(b, DT_F32, 1e-30));
    for (uint32_t i = 0; i < l->losses.n; i++) {
        const LossTerm *t = &l->losses.at[i];
        give(l, str_format(l->a, "%.*s.value", FSTR(t->name.text)), t->value);
        give(l, str_format(l->a, "%.*s.weight", FSTR(t->name.text)), t->weight);
        give(l, str_format(l->a, "%.*s.share", FSTR(t->name.text)),
             build_2(b, OP_div, build_1(b, OP_abs, t->weighted), some));
    }
}

/* ---- conflict ---- */
static void give_cosine(Sample *s, uint32_t x, uint32_t y) {
    Lower *l = s->l;
    Build *b = &l->b;
    const TermGradient *t = &s->terms[x], *u = &s->terms[y];
    Val both = {0}, one = {0}, other = {0};
    for (uint32_t i = 0; i < s->n_vars; i++) {
        if (t->reaches[i] && u->reaches[i]) {
            both = plus(b, both, gradient_dot(b, t->gradient[i], u->gradient[i]));
            one = plus(b, one, gradient_dot(b, t->gradient[i], t->gradient[i]));
            other = plus(b, other, gradient_dot(b, u->gradient[i], u->gradient[i]));
        }
    }
    if (both.i == 0) {
        return;
    }
    Val size = build_2(b, OP_mul, build_1(b, OP_sqrt, one), build_1(b, OP_sqrt, other));
    give(l, str_format(l->a, "%.*s.cosine.%.*s", FSTR(l->losses.at[x].name.text), FSTR(l->losses.at[y].name.text)),
         build_2(b, OP_div, both, build_2(b, OP_max, size, build_const(b, DT_F32, 1e-30))));
}

/* ---- units ---- */
/* A vector of weights along one axis of v; its path and the axis. */
static bool vector_of(const Lower *l, Val v, Str *path, uint8_t *axis) {
    const Graph *g = l->b.g;
    const Node *n = node_of(g, v);
    if (n->op != OP_broadcast) {
        return false;
    }
    const Node *x = node_of(g, operand(g, v, 0));
    if (x->op != OP_arg || x->attr.arg.kind != ARG_VAR || x->shape.rank != 1) {
        return false;
    }
    const Var *var = &l->m->vars.at[x->attr.arg.id];
    *path = var->path;
    *axis = n->attr.axes.at[0];
    return var->kind == VAR_PARAM;
}

/* Behind elementwise operations of one shape. */
static bool units_of(const Lower *l, Val v, uint32_t depth, Str *path, uint8_t *axis) {
    const Graph *g = l->b.g;
    const Node *n = node_of(g, v);
    if (depth == 0 || op_class((Op)n->op) != CLASS_ELT) {
        return false;
    }
    for (uint32_t k = 0; k < n->n; k++) {
        if (vector_of(l, operand(g, v, k), path, axis)) {
            return true;
        }
    }
    for (uint32_t k = 0; k < n->n; k++) {
        Val x = operand(g, v, k);
        if (shape_eq(node_of(g, x)->shape, n->shape) && units_of(l, x, depth - 1, path, axis)) {
            return true;
        }
    }
    return false;
}

static bool is_zero(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    return n->op == OP_broadcast ? is_zero(g, operand(g, v, 0)) : n->op == OP_const && n->attr.constant.f == 0;
}

static bool given(const Lower *l, Str name) {
    for (uint32_t i = 0; i < l->b.g->outputs.n; i++) {
        if (str_eq(intern_str(l->m->names, l->b.g->outputs.at[i].name), name)) {
            return true;
        }
    }
    return false;
}

static void give_units(Lower *l) {
    enum { STEPS_BACK = 8 };
    const Graph *g = l->b.g;
    for (uint32_t i = 1, n = g->nodes.n; i < n; i++) {
        const Node *x = &g->nodes.at[i];
        Str path;
        uint8_t axis, axes[MAX_RANK], k = 0, rank = x->shape.rank;
        bool relu = x->op == OP_max && dtype_is_float((DType)x->dtype) && rank > 1 &&
                    is_zero(g, operand(g, (Val){i}, 1));
        if (!relu || !units_of(l, operand(g, (Val){i}, 0), STEPS_BACK, &path, &axis)) {
            continue;
        }
        while (path.n > 0 && path.s[path.n - 1] != '.') {
            path.n--;
        }
        Str name = str_format(l->a, "units.largest.%.*s", path.n ? (int)path.n - 1 : 0, path.s);
        for (uint8_t j = 0; j < rank; j++) {
            if (j != axis) {
                axes[k++] = j;
            }
        }
        if (!given(l, name)) {
            give(l, name, build_reduce(&l->b, REDUCE_MAX, (Val){i}, k, axes));
        }
    }
}

/* ---- the whole ---- */
void sample_give(Lower *l, Val total, bool conflict) {
    Sample s = {.l = l, .terms = PUSH(l->a, TermGradient, l->losses.n + 1)};
    uint32_t *vars = PUSH(l->a, uint32_t, l->m->vars.n + 1);
    s.vars = vars;
    s.n_vars = optimizer_targets(l, total, vars);
    s.models = PUSH(l->a, uint32_t, s.n_vars + 1);
    for (uint32_t i = 0; i < s.n_vars; i++) {
        uint32_t model = l->m->vars.at[vars[i]].model, k = 0;
        while (k < s.n_models && s.models[k] != model) {
            k++;
        }
        s.models[k] = model;
        s.n_models += k == s.n_models;
    }
    l->b.g->outputs.n = 0;                 /* losses and weights have other names here */
    l->b.at = l->train->at;
    give_units(l);
    give_values(l);
    for (uint32_t t = 0; t < l->losses.n; t++) {
        differentiate(&s, &l->losses.at[t], &s.terms[t]);
        give_norms(&s, str_format(l->a, "%.*s.", FSTR(l->losses.at[t].name.text)), &s.terms[t]);
    }
    TermGradient all = whole(&s);
    give_norms(&s, STR("total."), &all);
    for (uint32_t x = 0; x < l->losses.n && conflict; x++) {
        for (uint32_t y = x + 1; y < l->losses.n; y++) {
            give_cosine(&s, x, y);
        }
    }
}
