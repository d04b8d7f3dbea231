/* Metrics over a split.  A metric is written for all rows, but comes in batches.  So it is cut at its last
 * reductions over rows: their partial results are accumulated (sums in f64, counts in i64), and the rest of
 * the formula is copied into the graph `finish`, where it reads the accumulators, and where the number of
 * rows is the number of rows seen.  What cannot be cut, a maximum's position or one row picked out, is
 * refused; a reduction over rows inside the last one is of one batch, and the metric is then not exact.
 * Losses are the mean of their batches by rows, and so are metrics that sum over pairs of rows or some of them: how
 * many such terms all batches have does not follow from how many rows they have. */
#include "lower.h"

typedef struct {
    Lower *l;
    const Decl *objective;
    const char *what;
    Name name;
    uint32_t n_parts;
    Build *to;     /* the finish graph; NULL: accumulate only */
    bool *batch;   /* by node: depends on the rows of the batch */
    bool *column;  /* by node: is made of its columns or draws, not of constants alone */
    uint8_t *rows; /* by node: its axes that are rows */
    bool *inner;   /* by node: it still has rows, and they are told apart by what this batch holds */
    bool *some;    /* by node: its rows are some of the batch's, or more than those: a slice, a border, windows */
    Val *map;
    bool constants; /* what is the same in every row counts as of the rows: a sum of it has to know how many */
    bool exact, failed;
} Cut;

/* ---- what each node knows of rows ---- */

/* What operand k says of rows.  A constant beside columns says nothing: one of N elements is the same node as one of
 * as many classes. */
static uint8_t said_rows(const Cut *c, const Graph *g, const Node *n, uint32_t k) {
    uint32_t x = g->operands.at[n->first + k].i;
    for (uint32_t j = 0; j < n->n && !c->column[x]; j++) {
        if (c->column[g->operands.at[n->first + j].i]) {
            return 0;
        }
    }
    return c->rows[x];
}

static uint8_t mapped_rows(const Cut *c, const Graph *g, const Node *n) {
    const uint8_t *rows = c->rows;
    uint8_t in = n->n ? rows[g->operands.at[n->first].i] : 0, out = 0;
    switch ((Op)n->op) {
    case OP_broadcast:
        for (uint32_t i = 0; i < n->attr.axes.n; i++) {
            out |= (uint8_t)((in >> i & 1) << n->attr.axes.at[i]);
        }
        return out;
    case OP_permute:
        for (uint32_t i = 0; i < n->attr.axes.n; i++) {
            out |= (uint8_t)((in >> n->attr.axes.at[i] & 1) << i);
        }
        return out;
    case OP_reduce: {
        uint32_t rank = node_of(g, g->operands.at[n->first])->shape.rank, k = 0;
        for (uint32_t i = 0; i < rank; i++) {
            bool gone = false;
            for (uint32_t j = 0; j < n->attr.reduce.n; j++) {
                gone = gone || n->attr.reduce.at[j] == i;
            }
            out |= gone ? 0 : (uint8_t)((in >> i & 1) << k);
            k += !gone;
        }
        return out;
    }
    case OP_contract: {
        const Contract *t = n->attr.contract;
        for (uint32_t i = 0; i < t->rank[2]; i++) {
            for (uint32_t side = 0; side < 2; side++) {
                uint8_t m = said_rows(c, g, n, side);
                for (uint32_t k = 0; k < t->rank[side]; k++) {
                    out |= (uint8_t)((m >> k & 1 && t->dim[side][k] == t->dim[2][i]) << i);
                }
            }
        }
        return out;
    }
    case OP_gather: {
        uint8_t index = rows[g->operands.at[n->first + 1].i], b = n->attr.gather.batch;
        uint32_t index_rank = node_of(g, g->operands.at[n->first + 1])->shape.rank;
        uint8_t rest = (uint8_t)(in >> (b + 1) << index_rank);
        return (uint8_t)((in & ((1u << b) - 1)) | index | rest);
    }
    case OP_scatter_add: { /* rows among the positions are summed up */
        uint8_t b = n->attr.gather.batch;
        uint32_t index_rank = node_of(g, g->operands.at[n->first + 1])->shape.rank;
        return (uint8_t)((in & ((1u << b) - 1)) | in >> index_rank << (b + 1));
    }
    case OP_window: {
        uint8_t in_front = (uint8_t)((2u << n->attr.window.axis) - 1);
        return (uint8_t)((in & in_front) | (in & ~in_front) << 1);
    }
    case OP_reshape:
    case OP_scan:
    case OP_extern:
    case OP_result:
    case OP_grad: return 0; /* their values are known where they were made (Lower.row_axes) */
    case OP_arg:
    case OP_const:
    case OP_iota:
    case OP_random:
    CASE_ELEMENTWISE:
    case OP_cast:
    case OP_slice:
    case OP_pad:
    case OP_concat:
    case OP_after:
    case OP_cumulative:
    case OP_recur:
    case OP_argsort:
    case OP_grad_as:
    case OP_check:
    case OP_commit:
    case OP_COUNT: break;
    }
    for (uint32_t k = 0; k < n->n; k++) {
        out |= said_rows(c, g, n, k);
    }
    return out;
}

/* Does an instruction of the uniform program depend on the rows of the batch? */
static bool inst_has_rows(const Uniforms *u, uint32_t inst) {
    const UInst *i = &u->insts.at[inst];
    static const uint8_t operands[] = {
#define X(id, name, n) n,
        UOP_LIST(X)
#undef X
    };
    if (i->op == U_INPUT) {
        return str_starts(u->inputs.at[i->input].name, "rows");
    }
    for (uint32_t k = 0; k < operands[i->op]; k++) {
        if (inst_has_rows(u, i->in[k])) {
            return true;
        }
    }
    return false;
}

static bool is_rows_number(const Lower *l, const Node *n) {
    return n->op == OP_arg && n->attr.arg.kind == ARG_UNIFORM &&
           inst_has_rows(l->m->uniforms, l->m->uniforms->outputs.at[n->attr.arg.id].inst);
}

/* Are the rows of a node other ones than its operand's? */
static bool of_some(const Cut *c, const Graph *g, uint32_t i) {
    const Node *n = &g->nodes.at[i];
    uint8_t rows = c->rows[i];
    const Shape *from = n->n ? &node_of(g, g->operands.at[n->first])->shape : NULL;
    uint8_t in = n->n ? c->rows[g->operands.at[n->first].i] : 0;
    bool cut = false;
    for (uint32_t k = 0; k < n->shape.rank; k++) {
        bool of_row = rows >> k & 1;
        cut = cut || (of_row && n->op == OP_slice &&
                      (n->attr.slice.step[k] != 1 || n->shape.dim[k] != from->dim[k]));
        cut = cut || (of_row && n->op == OP_pad && n->shape.dim[k] != from->dim[k]);
    }
    return cut || (n->op == OP_window && in >> n->attr.window.axis & 1);
}

/* Does a node tell rows apart by their place in the batch, or has it pairs of them? */
static bool of_places(const Cut *c, const Graph *g, uint32_t i) {
    const Node *n = &g->nodes.at[i];
    uint8_t rows = c->rows[i], in = n->n ? c->rows[g->operands.at[n->first].i] : 0;
    if (c->column[i] && (rows & (rows - 1)) != 0) {
        return true;
    }
    if (n->op == OP_iota) {
        return rows >> n->attr.axis & 1;
    }
    return of_some(c, g, i) || (n->op == OP_gather && in >> n->attr.gather.batch & 1);
}

static void learn(Cut *c) {
    Lower *l = c->l;
    const Graph *g = l->main_graph;
    c->batch = PUSH(l->a, bool, g->nodes.n);
    c->rows = PUSH(l->a, uint8_t, g->nodes.n);
    c->column = PUSH(l->a, bool, g->nodes.n);
    c->inner = PUSH(l->a, bool, g->nodes.n);
    c->some = PUSH(l->a, bool, g->nodes.n);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        uint8_t known = i < l->row_axes.n ? l->row_axes.at[i] : 0;
        bool made_of_batch = (n->op == OP_arg && n->attr.arg.kind == ARG_COLUMN) || (n->op == OP_random && known);
        c->batch[i] = made_of_batch || (c->constants && known);
        c->column[i] = made_of_batch;
        bool of_batch = false;
        uint8_t some_rows = 0;
        for (uint32_t k = 0; k < n->n; k++) {
            uint32_t x = g->operands.at[n->first + k].i;
            c->batch[i] = c->batch[i] || c->batch[x];
            c->column[i] = c->column[i] || c->column[x];
            c->inner[i] = c->inner[i] || c->inner[x];
            c->some[i] = c->some[i] || c->some[x];
            of_batch = of_batch || (c->batch[x] && c->rows[x] == 0) || is_rows_number(l, &g->nodes.at[x]);
            some_rows |= c->rows[x];
            /* along the rows of one batch, not of the split */
            bool order = op_class((Op)n->op) == CLASS_ORDER;
            of_batch = of_batch || (order && (c->rows[x] >> (n->shape.rank - 1) & 1) != 0);
            of_batch = of_batch || (n->op == OP_extern && c->rows[x] >> n->attr.external->batch != 0);
        }
        /* its members know their axes, it does not */
        bool tuple = n->op == OP_scan || n->op == OP_extern || n->op == OP_grad;
        c->rows[i] = !c->batch[i] ? 0 : known ? known : tuple ? some_rows : mapped_rows(c, g, n);
        of_batch = of_batch || (!tuple && of_places(c, g, i));
        c->inner[i] = c->rows[i] != 0 && (c->inner[i] || of_batch);
        c->some[i] = c->rows[i] != 0 && (c->some[i] || (!tuple && of_some(c, g, i)));
    }
}

RowFacts metric_rows(Lower *l) {
    Cut c = {.l = l};
    learn(&c);
    return (RowFacts){c.batch, c.rows};
}

/* ---- accumulators ---- */

static DType accumulator_type(ReduceKind k, DType t) {
    if (k == REDUCE_ANY || k == REDUCE_ALL) {
        return DT_BOOL;
    }
    if (k == REDUCE_MAX || k == REDUCE_MIN) {
        return t;
    }
    return dtype_is_float(t) ? DT_F64 : DT_I64;
}

static uint32_t accumulator(Lower *l, const Decl *objective, Str path, ReduceKind k, DType t, Shape s,
                            Span at) {
    bool fresh;
    uint32_t var = cell_var(l, VAR_METRIC, path, accumulator_type(k, t), s, at, &fresh);
    if (fresh) {
        vec_push(l->p->arena, &l->p->accumulators, (Accumulator){objective, var, k});
    }
    return var;
}

static Op combine(ReduceKind k) {
    switch (k) {
    case REDUCE_SUM: return OP_add;
    case REDUCE_PROD: return OP_mul;
    case REDUCE_MAX: return OP_max;
    case REDUCE_MIN: return OP_min;
    case REDUCE_ANY: return OP_or;
    case REDUCE_ALL: return OP_and;
    case REDUCE_ARGMAX:
    case REDUCE_ARGMIN:
    case REDUCE_MOMENTS:
    case REDUCE_COUNT: break;
    }
    GR_BUG("a reduction that does not combine");
}

static Val var_arg(Build *b, const Lower *l, uint32_t var) {
    const Var *v = &l->m->vars.at[var];
    return build_arg(b, ARG_VAR, var, (Type){v->dtype, v->shape});
}

/* One more batch: the accumulator and the part, combined and committed at the end of the step. */
static void take_part(Lower *l, uint32_t var, ReduceKind k, Val part) {
    Val more = build_cast(&l->b, l->m->vars.at[var].dtype, part);
    cell_set(l, var, build_2(&l->b, combine(k), var_arg(&l->b, l, var), more));
}

/* ---- the cut ---- */

static Val copied(Cut *c, Val v);

static Val fail_metric(Cut *c, const Node *n, const char *why) {
    if (!c->failed) {
        Diag *d = report(c->l, DIAG_METRIC, c->name.at, "%s `%.*s` cannot be computed over a split: %s",
                         c->what, FSTR(c->name.text), why);
        report_label(c->l, d, n->span, "here");
        diag_help(d, "a %s ends in sums, means, products, extrema, `any` or `all` over the rows, and "
                     "what is computed from them", c->what);
    }
    c->failed = true;
    return (Val){0};
}

/* A number of rows, from the accumulated one, in f64: the uniform expression written out in the finish graph.
 */
static Val rows_number(Cut *c, const Node *at, uint32_t inst) {
    const Uniforms *u = c->l->m->uniforms;
    const UInst *i = &u->insts.at[inst];
    Build *b = c->to;
    if (i->op == U_CONST) {
        return build_const(b, DT_F64, i->value);
    }
    if (i->op == U_INPUT && str_starts(u->inputs.at[i->input].name, "rows")) {
        Str path = str_format(c->l->a, "%.*s/%.*s", FSTR(c->objective->name.text), FSTR(u->inputs.at[i->input].name));
        return var_arg(b, c->l, cell_find(c->l, path) - 1);
    }
    static const Op ops[UOP_COUNT] = {
        [U_ADD] = OP_add,   [U_SUB] = OP_sub, [U_MUL] = OP_mul, [U_DIV] = OP_div,    [U_NEG] = OP_neg,
        [U_SQRT] = OP_sqrt, [U_MIN] = OP_min, [U_MAX] = OP_max, [U_FLOOR] = OP_floor};
    if (!inst_has_rows(u, inst)) {
        Uniforms *w = c->l->m->uniforms;
        uint32_t id = uniforms_output(w, str_format(c->l->m->arena, "u%u", inst), DT_F32, inst);
        return build_cast(b, DT_F64, build_arg(b, ARG_UNIFORM, id, (Type){DT_F32, {0}}));
    }
    if (ops[i->op] == 0) {
        return fail_metric(c, at, "this function of the number of rows is not accumulated");
    }
    uint32_t n = (uint32_t)op_operands(ops[i->op]);
    Val in[2];
    for (uint32_t k = 0; k < n; k++) {
        in[k] = rows_number(c, at, u->insts.at[inst].in[k]);
        if (in[k].i == 0) {
            return in[k];
        }
    }
    return build_elt(b, ops[i->op], n, in);
}

/* A reduction over rows: its part is accumulated, the finish graph reads the whole. */
static Val reduced_part(Cut *c, Val v, ReduceKind k) {
    Lower *l = c->l;
    const Node *n = node_of(l->main_graph, v);
    if (k == REDUCE_ARGMAX || k == REDUCE_ARGMIN || k == REDUCE_MOMENTS) {
        return fail_metric(c, n, "the position of an extremum among rows");
    }
    Str path =
        str_format(l->a, "%.*s/%.*s.%u", FSTR(c->objective->name.text), FSTR(c->name.text), c->n_parts++);
    uint32_t var = accumulator(l, c->objective, path, k, (DType)n->dtype, n->shape, n->span);
    if (!shape_eq(l->m->vars.at[var].shape, n->shape) ||
        l->m->vars.at[var].dtype != accumulator_type(k, (DType)n->dtype)) {
        return fail_metric(c, n, "it is another formula while training");
    }
    for (uint32_t i = 0; i < n->n; i++) {
        c->exact = c->exact && !c->inner[l->main_graph->operands.at[n->first + i].i];
    }
    if (c->to == NULL) {
        take_part(l, var, k, v);
        return v;
    }
    return build_cast(c->to, (DType)n->dtype, var_arg(c->to, l, var));
}

/* The value in the finish graph. */
static Val cut(Cut *c, Val v) {
    const Graph *g = c->l->main_graph;
    if (c->map[v.i].i || c->failed) {
        return c->map[v.i];
    }
    const Node *n = node_of(g, v);
    Val r;
    if (is_rows_number(c->l, n)) {
        uint32_t inst = c->l->m->uniforms->outputs.at[n->attr.arg.id].inst;
        r = c->to ? rows_number(c, n, inst) : v;
        r = c->to && r.i ? build_cast(c->to, (DType)n->dtype, r) : r;
    } else if (c->rows[v.i]) {
        return fail_metric(c, n, "it has a value for each row");
    } else {
        bool over_rows = false;
        for (uint32_t k = 0; k < n->n; k++) {
            over_rows = over_rows || said_rows(c, g, n, k);
        }
        if (!over_rows) {
            r = copied(c, v);
        } else if (n->op == OP_reduce) {
            r = reduced_part(c, v, n->attr.reduce.kind);
        } else if (n->op == OP_contract) {
            r = reduced_part(c, v, REDUCE_SUM);
        } else {
            r = fail_metric(c, n, "it takes single rows, or mixes them in another way than by a reduction");
        }
    }
    c->map[v.i] = r;
    return r;
}

static Val copied(Cut *c, Val v) {
    const Graph *g = c->l->main_graph;
    const Node n = *node_of(g, v);
    Val *in = PUSH(c->l->a, Val, n.n + 1);
    for (uint32_t k = 0; k < n.n; k++) {
        Val x = g->operands.at[n.first + k];
        bool constant = c->rows[x.i] != 0 && (!c->column[v.i] || said_rows(c, g, &n, k) == 0);
        in[k] = constant ? copied(c, x) : cut(c, x);
        if (c->failed) {
            return (Val){0};
        }
    }
    if (c->to == NULL) {
        return v;
    }
    c->to->at = n.span;
    c->to->name = n.name;
    return build_node(c->to, (Op)n.op, (DType)n.dtype, n.shape, &n.attr, n.n, in);
}

/* Is it made of a sum whose terms are not the rows, each once? */
static bool sums_others(const Cut *c, Val v, bool *seen) {
    const Graph *g = c->l->main_graph;
    const Node *n = node_of(g, v);
    bool sum = n->op == OP_contract || (n->op == OP_reduce && n->attr.reduce.kind == REDUCE_SUM), over = false;
    bool others = false;
    if (seen[v.i] || c->rows[v.i]) {
        return false;
    }
    seen[v.i] = true;
    for (uint32_t k = 0; k < n->n; k++) {
        uint32_t x = g->operands.at[n->first + k].i;
        uint8_t rows = said_rows(c, g, n, k);
        over = over || rows;
        others = others || (rows && (c->some[x] || (rows & (rows - 1)) != 0));
    }
    for (uint32_t k = 0; k < n->n && !over && !others; k++) {
        others = sums_others(c, g->operands.at[n->first + k], seen);
    }
    return others && (sum || !over);
}

static Cut cut_begin(Lower *l, const Decl *objective, Build *to) {
    Cut c = {.l = l, .objective = objective, .what = "metric", .to = to, .constants = true};
    learn(&c);
    c.map = PUSH(l->a, Val, l->main_graph->nodes.n);
    return c;
}

bool metric_cut(Lower *l, const Decl *owner, Name name, Val v, Build *to, Val *map, Val *out) {
    Cut c = cut_begin(l, owner, to);
    c.what = "statistic";
    c.name = name;
    c.map = map ? map : c.map;
    l->b.at = name.at;
    Val whole = cut(&c, v);
    if (out) {
        *out = whole;
    }
    return !c.failed;
}

/* The metric's value as a node; numbers of the program become one. */
static bool metric_val(Lower *l, V v, Array *out) {
    Elem e;
    return value_elem(v, &e) && array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(e), out);
}

/* ---- the graphs ---- */

static Val batch_rows(Lower *l, const char *counter) {
    Uniforms *u = l->m->uniforms;
    uint32_t id = uniforms_output(u, str_of(counter), DT_I32, uniforms_input(u, str_of(counter), true));
    return build_cast(&l->b, DT_F64, build_arg(&l->b, ARG_UNIFORM, id, (Type){DT_I32, {0}}));
}

static uint32_t loss_accumulator(Lower *l, const Decl *o, Str name, Span at) {
    Str path = str_format(l->a, "%.*s/%.*s", FSTR(o->name.text), FSTR(name));
    return accumulator(l, o, path, REDUCE_SUM, DT_F32, (Shape){0}, at);
}

static Str part_path(const Cut *c, const char *part) {
    return str_format(c->l->a, "%.*s/%.*s.%s", FSTR(c->objective->name.text), FSTR(c->name.text), part);
}

/* Is the metric the mean of its batches?  Once it is, it is in batches of any rows.  A watch counts its terms. */
static bool of_batches(const Cut *c, Val v, bool watch) {
    Lower *l = c->l;
    if (watch) {
        return false;
    }
    if (cell_find(l, part_path(c, "mean"))) {
        return true;
    }
    return !cell_find(l, part_path(c, "0")) && sums_others(c, v, PUSH(l->a, bool, l->main_graph->nodes.n));
}

/* Its accumulator; false, and said, when a training has given it another shape. */
static bool mean_accumulator(Cut *c, Val x, uint32_t *var) {
    const Node *n = node_of(c->l->main_graph, x);
    *var = accumulator(c->l, c->objective, part_path(c, "mean"), REDUCE_SUM, DT_F32, n->shape, n->span);
    bool fits = shape_eq(c->l->m->vars.at[*var].shape, n->shape);
    if (!fits) {
        fail_metric(c, n, "it is another formula while training");
    }
    return fits;
}

static void take_mean(Cut *c, Val x, Val rows) {
    Lower *l = c->l;
    uint32_t var;
    if (mean_accumulator(c, x, &var)) {
        Val by = build_broadcast(&l->b, rows, l->m->vars.at[var].shape, NULL);
        take_part(l, var, REDUCE_SUM, build_2(&l->b, OP_mul, build_cast(&l->b, DT_F64, x), by));
    }
}

static Val mean_of_batches(Cut *c, Val x) {
    uint32_t var;
    if (!mean_accumulator(c, x, &var)) {
        return (Val){0};
    }
    Val rows = var_arg(c->to, c->l, loss_accumulator(c->l, c->objective, STR("rows"), c->name.at));
    rows = build_broadcast(c->to, rows, c->l->m->vars.at[var].shape, NULL);
    c->exact = false;
    return build_2(c->to, OP_div, var_arg(c->to, c->l, var), rows);
}

void metric_accumulate(Lower *l, const Decl *objective, Val total) {
    Val rows = {0};
    for (uint32_t i = objective->function.sig.args.n; i-- > 0;) {
        Str counter = str_of(batch_counter(i));
        rows = batch_rows(l, counter.s);
        take_part(l, loss_accumulator(l, objective, counter, objective->name.at), REDUCE_SUM, rows);
    }
    for (uint32_t i = 0; i <= l->losses.n; i++) {
        bool last = i == l->losses.n;
        Val x = last ? total : l->losses.at[i].value;
        if (x.i == 0) {
            continue;
        }
        uint32_t var =
            last ? loss_accumulator(l, objective, STR("total"), objective->name.at)
                 : loss_accumulator(l, objective, l->losses.at[i].name.text, l->losses.at[i].name.at);
        take_part(l, var, REDUCE_SUM, build_2(&l->b, OP_mul, build_cast(&l->b, DT_F64, x), rows));
    }
    for (uint32_t i = 0; i < l->metrics.n; i++) {
        Array x;
        if (!metric_val(l, l->metrics.at[i].value, &x)) {
            continue;
        }
        Cut c = cut_begin(l, objective, NULL);
        c.name = l->metrics.at[i].name;
        l->b.at = c.name.at;
        if (of_batches(&c, x.val, l->metrics.at[i].watch)) {
            take_mean(&c, x.val, rows);
        } else {
            cut(&c, x.val);
        }
    }
}

static double identity(ReduceKind k, DType t) {
    bool whole = !dtype_is_float(t);
    if (k == REDUCE_MAX) {
        return whole ? (double)INT32_MIN : -__builtin_inf();
    }
    if (k == REDUCE_MIN) {
        return whole ? (double)INT32_MAX : __builtin_inf();
    }
    return k == REDUCE_PROD || k == REDUCE_ALL;
}

void metric_begin(Lower *l, const Decl *owner) {
    for (uint32_t i = 0; i < l->p->accumulators.n; i++) {
        const Accumulator *a = &l->p->accumulators.at[i];
        const Var *v = &l->m->vars.at[a->var];
        if (a->objective == owner) {
            build_commit(&l->b, a->var, build_splat(&l->b, v->dtype, identity(a->kind, v->dtype), v->shape));
        }
    }
}

static void finish_loss(Lower *l, Build *b, const Decl *o, OutputKind k, Str name, Span at) {
    b->at = at;
    b->name = name_id(l, name);
    Val sum = var_arg(b, l, loss_accumulator(l, o, name, at));
    Val rows = var_arg(b, l, loss_accumulator(l, o, STR("rows"), at));
    graph_output(b->g, k, b->name, build_cast(b, DT_F32, build_2(b, OP_div, sum, rows)));
}

void metric_finish(Lower *l, const Decl *objective, Graph *to, Val total, RecipeObjective *recipe) {
    Build b = {to, objective->name.at, 0};
    for (uint32_t i = 0; i < l->losses.n; i++) {
        finish_loss(l, &b, objective, OUT_LOSS, l->losses.at[i].name.text, l->losses.at[i].name.at);
    }
    if (total.i) {
        finish_loss(l, &b, objective, OUT_TOTAL, STR("total"), objective->name.at);
    }
    for (uint32_t i = 0; i < l->metrics.n; i++) {
        Array x;
        Name name = l->metrics.at[i].name;
        if (!metric_val(l, l->metrics.at[i].value, &x)) {
            continue;
        }
        Cut c = cut_begin(l, objective, &b);
        c.name = name;
        c.exact = true;
        Val v = of_batches(&c, x.val, l->metrics.at[i].watch) ? mean_of_batches(&c, x.val) : cut(&c, x.val);
        if (c.failed) {
            continue;
        }
        b.at = name.at;
        b.name = name_id(l, name.text);
        graph_output(to, OUT_METRIC, b.name, build_cast(&b, DT_F32, v));
        if (recipe) {
            vec_push(l->p->arena, &recipe->metrics,
                     (RecipeMetric){name.text, array_shape(&x), c.exact, l->metrics.at[i].watch, name.at});
        }
    }
}
