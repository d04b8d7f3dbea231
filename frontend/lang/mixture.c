/* Is a loss the mean over rows of what each row says by itself?  Then the batch is only a batch: larger or smaller, in
 * parts or whole, it estimates the same number.  Every node of a loss is one of: a constant; the number of rows; a
 * value for each row; a sum over rows, divided by their number or not; or a mixture, as of pairs of rows, of rows and
 * their mean (batch norm), or of what is not linear in a sum over rows (dice). */
#include "lower.h"

/* SUM 0: a mean; SUM 1: a sum over rows; NUMBER d: the number of rows to the power d. */
typedef enum { KIND_CONST, KIND_NUMBER, KIND_ROW, KIND_SUM, KIND_MIXED } Kind;
typedef struct { Kind kind; int degree; } Form;
typedef struct { Lower *l; const Graph *g; RowFacts facts; Form *forms; } Walk;

static const Form k_mixed = {KIND_MIXED, 0}, k_row = {KIND_ROW, 0}, k_const = {KIND_CONST, 0};

/* To which power the number of rows stands in an instruction; -1: in another way. */
static int power_of_rows(const Uniforms *u, uint32_t inst) {
    const UInst *i = &u->insts.at[inst];
    if (i->op == U_CONST) {
        return 0;
    }
    if (i->op == U_INPUT) {
        return str_is(u->inputs.at[i->input].name, "rows");
    }
    static const uint8_t operands[] = {
#define X(id, name, n) n,
        UOP_LIST(X)
#undef X
    };
    int power[3] = {0, 0, 0};
    bool any = false;
    for (uint32_t k = 0; k < operands[i->op]; k++) {
        power[k] = power_of_rows(u, i->in[k]);
        any = any || power[k] != 0;
    }
    if (!any) {
        return 0;
    }
    return i->op == U_MUL && power[0] >= 0 && power[1] >= 0 ? power[0] + power[1] : -1;
}

static Form form_of_number(const Walk *w, const Node *n) {
    const Uniforms *u = w->l->m->uniforms;
    int power = power_of_rows(u, u->outputs.at[n->attr.arg.id].inst);
    return power == 0 ? k_const : power > 0 ? (Form){KIND_NUMBER, power} : k_mixed;
}

/* A value for each row, made of values of the same row. */
static Form form_of_row(const Walk *w, const Node *n, uint8_t rows) {
    if (rows & (rows - 1)) {
        return k_mixed; /* pairs of rows */
    }
    for (uint32_t k = 0; k < n->n; k++) {
        Val x = operand(w->g, (Val){(uint32_t)(n - w->g->nodes.at)}, k);
        Kind kind = w->forms[x.i].kind;
        const Node *in = node_of(w->g, x);
        uint8_t of = w->facts.rows[x.i];
        if (kind == KIND_SUM || kind == KIND_NUMBER) {
            return k_mixed;
        }
        bool moves = n->op == OP_slice || n->op == OP_pad || n->op == OP_concat;
        for (uint32_t i = 0; moves && i < in->shape.rank; i++) {
            if ((of >> i & 1) && (!(rows >> i & 1) || in->shape.dim[i] != n->shape.dim[i])) {
                return k_mixed;
            }
        }
        if (n->op == OP_gather && k == 0 && (of >> n->attr.gather.batch & 1)) {
            return k_mixed;
        }
        if (op_class((Op)n->op) == CLASS_ORDER && (of >> (in->shape.rank - 1) & 1)) {
            return k_mixed;
        }
        if (n->op == OP_extern && of >> n->attr.external->batch != 0) {
            return k_mixed; /* it sees several rows in a call */
        }
        if (n->op == OP_result && in->op == OP_extern) {
            return k_row;
        }
    }
    bool opaque = n->op == OP_scan || n->op == OP_result || n->op == OP_grad || n->op == OP_scatter_add;
    return opaque ? k_mixed : k_row;
}

/* No value for a row any more. */
static Form form_of_sum(const Walk *w, const Node *n) {
    Val at = {(uint32_t)(n - w->g->nodes.at)};
    Form x = n->n > 0 ? w->forms[operand(w->g, at, 0).i] : k_mixed;
    Form y = n->n > 1 ? w->forms[operand(w->g, at, 1).i] : k_const;
    Op op = (Op)n->op;
    if (op == OP_reduce && n->attr.reduce.kind == REDUCE_SUM) {
        return x.kind == KIND_ROW ? (Form){KIND_SUM, 1} : x;
    }
    if (op == OP_contract && x.kind == KIND_ROW && y.kind == KIND_ROW) {
        return (Form){KIND_SUM, 1};
    }
    if (x.kind == KIND_ROW || y.kind == KIND_ROW) {
        return k_mixed;
    }
    if (op == OP_mul || op == OP_mulz || op == OP_contract) {
        return x.kind == KIND_CONST ? y : y.kind == KIND_CONST ? x : k_mixed;
    }
    if (op == OP_div && y.kind == KIND_NUMBER) {
        return x.kind == KIND_SUM ? (Form){KIND_SUM, x.degree - y.degree} : k_mixed;
    }
    if (op == OP_div) {
        return y.kind == KIND_CONST ? x : k_mixed;
    }
    if (op == OP_add || op == OP_sub) {
        int a = x.kind == KIND_CONST ? 0 : x.degree, b = y.kind == KIND_CONST ? 0 : y.degree;
        bool numbers = x.kind == KIND_NUMBER || y.kind == KIND_NUMBER;
        return numbers || a != b ? k_mixed : (Form){KIND_SUM, a};
    }
    bool moves = op == OP_neg || op == OP_cast || op == OP_broadcast || op == OP_reshape || op == OP_permute ||
                 op == OP_slice || op == OP_grad_as;
    return moves ? x : k_mixed;
}

static Form form_of(const Walk *w, uint32_t i) {
    const Node *n = &w->g->nodes.at[i];
    bool constant = !w->facts.batch[i];
    if (n->op == OP_arg && n->attr.arg.kind == ARG_UNIFORM) {
        return form_of_number(w, n);
    }
    for (uint32_t k = 0; k < n->n; k++) {
        Form x = w->forms[operand(w->g, (Val){i}, k).i];
        if (x.kind == KIND_MIXED) {
            return k_mixed;
        }
        constant = constant && x.kind == KIND_CONST;
    }
    if (constant) {
        return k_const;
    }
    if (w->facts.rows[i]) {
        return form_of_row(w, n, w->facts.rows[i]);
    }
    if (!w->facts.batch[i]) { /* made of the number of rows */
        return n->op == OP_cast || n->op == OP_broadcast ? w->forms[operand(w->g, (Val){i}, 0).i] : k_mixed;
    }
    return form_of_sum(w, n);
}

/* The first mixture on the way to v. */
static Val first_mixture(const Walk *w, Val v) {
    for (uint32_t k = 0; k < node_of(w->g, v)->n; k++) {
        Val x = operand(w->g, v, k);
        if (w->forms[x.i].kind == KIND_MIXED) {
            return first_mixture(w, x);
        }
    }
    return v;
}

const Mixture *mixture_losses(Lower *l) {
    Walk w = {l, l->main_graph, metric_rows(l), PUSH(l->a, Form, l->main_graph->nodes.n)};
    Mixture *out = PUSH(l->a, Mixture, l->losses.n + 1);
    for (uint32_t i = 1; i < w.g->nodes.n; i++) {
        w.forms[i] = form_of(&w, i);
    }
    for (uint32_t i = 0; i < l->losses.n; i++) {
        Val v = l->losses.at[i].value;
        Form f = w.forms[v.i];
        bool mean = f.kind == KIND_CONST || (f.kind == KIND_SUM && f.degree == 0);
        out[i] = mean                       ? (Mixture){MIX_MEAN, {0}}
                 : f.kind == KIND_MIXED ? (Mixture){MIX_ROWS, first_mixture(&w, v)}
                                            : (Mixture){MIX_SUM, {0}};
    }
    return out;
}
