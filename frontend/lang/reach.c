/* Which variables a gradient reaches from a value, going back through what is differentiable.  A loss that
 * reaches no parameter trains nothing and is refused unless it says `nograd`, with the place where its
 * gradient ends. */
#include "flow.h"
#include "lower.h"

/* Marks what lies behind `from`: 1 by a gradient, 2 in any way. */
static uint8_t *behind(Lower *l, Val from) {
    const Graph *g = l->main_graph;
    uint8_t *seen = PUSH(l->a, uint8_t, g->nodes.n);
    seen[from.i] = 3;
    for (uint32_t i = from.i; i > 0; i--) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; seen[i] && k < n->n; k++) {
            bool gradient = (seen[i] & 1) && flow_into(g, (Val){i}, k) == FLOW_YES;
            seen[g->operands.at[n->first + k].i] |= gradient ? 3 : 2;
        }
    }
    return seen;
}

void reach_vars(Lower *l, Val from, bool *vars) {
    const uint8_t *seen = behind(l, from);
    for (uint32_t i = 1; i <= from.i; i++) {
        const Node *n = &l->main_graph->nodes.at[i];
        if ((seen[i] & 1) && n->op == OP_arg && n->attr.arg.kind == ARG_VAR) {
            vars[n->attr.arg.id] = true;
        }
    }
}

static bool is_param(const Lower *l, const Node *n) {
    return n->op == OP_arg && n->attr.arg.kind == ARG_VAR && l->m->vars.at[n->attr.arg.id].kind == VAR_PARAM;
}

/* Which values have a gradient to a parameter: `live`. */
static bool *live_values(Lower *l, Val last) {
    const Graph *g = l->main_graph;
    bool *live = PUSH(l->a, bool, g->nodes.n);
    for (uint32_t i = 1; i <= last.i; i++) {
        const Node *n = &g->nodes.at[i];
        live[i] = is_param(l, n);
        for (uint32_t k = 0; k < n->n && !live[i]; k++)
            live[i] = live[g->operands.at[n->first + k].i] && flow_into(g, (Val){i}, k) == FLOW_YES;
    }
    return live;
}

/* The first node that takes a live value and gives none, among those from which a loss without gradient is made of
 * others like it.  What a live value is made of besides does not count: of `where(x > 0, x, y)` not the comparison. */
static Val gradient_end(Lower *l, Val from) {
    const Graph *g = l->main_graph;
    const bool *live = live_values(l, from);
    bool *dead = PUSH(l->a, bool, g->nodes.n);
    Val end = {0};
    dead[from.i] = true;
    for (uint32_t i = from.i; i > 0; i--) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; dead[i] && k < n->n; k++) {
            Val x = g->operands.at[n->first + k];
            dead[x.i] = dead[x.i] || !live[x.i];
            end = live[x.i] ? (Val){i} : end;
        }
    }
    return end;
}

static const char *why_ends(const Node *n) {
    Op op = (Op)n->op;
    if (op == OP_reduce) {
        return "the position of an extremum is piecewise constant";
    }
    if (op == OP_rint || op == OP_floor || op == OP_sign) {
        return "rounding is piecewise constant";
    }
    if (op == OP_lt || op == OP_le || op == OP_eq) {
        return "a comparison is piecewise constant";
    }
    if (op == OP_cast) {
        return "a whole number has no gradient";
    }
    return op == OP_grad_as  ? "it is stopped on purpose"
           : op == OP_extern ? "the function in C says `nograd`"
           : op == OP_gather ? "an index has no gradient"
                             : "no gradient passes here";
}

static void check_loss(Lower *l, const LossTerm *t) {
    const Graph *g = l->main_graph;
    const uint8_t *seen = behind(l, t->value);
    for (uint32_t i = 1; i <= t->value.i; i++) {
        if ((seen[i] & 1) && is_param(l, &g->nodes.at[i])) {
            return;
        }
    }
    Diag *d = report(l, DIAG_NO_GRADIENT, t->name.at, "loss `%.*s` reaches no parameter", FSTR(t->name.text));
    report_label(l, d, t->at, "adds to the total and nothing to any gradient");
    Val end = gradient_end(l, t->value);
    if (end.i) {
        const Node *n = &g->nodes.at[end.i];
        report_label(l, d, n->span, "the gradient ends here: %s", why_ends(n));
        if (n->op == OP_reduce) {
            diag_help(d, "use the probabilities, `softmax(x)`, where `argmax` takes one position");
        }
        diag_help(d, "use a value that changes smoothly; or say `metric` instead of `loss`; or `nograd`");
    } else {
        diag_help(d, "no model is in it; say `metric` instead of `loss`, or `nograd`");
    }
}

void reach_losses(Lower *l) {
    for (uint32_t i = 0; i < l->losses.n; i++) {
        if (!l->losses.at[i].nograd && !l->losses.at[i].poison) {
            check_loss(l, &l->losses.at[i]);
        }
    }
}
