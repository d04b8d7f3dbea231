/* A step that failed has written nothing: variables, batch and counters are those it began with.  So the graph that
 * was compiled is run again, operation by operation, by the interpreter, which has the same bits (compiler/ir/blame.c),
 * and the first operation that made an infinity or a NaN of numbers is named with these numbers, its element and its
 * line.  An operation of the library is shown at the line of the user's that its value comes to first. */
#include "replay.h"
#include "facts.h"
#include <math.h>
#include <string.h>

typedef struct { const Job *j; const Graph *top; Blame b; } Replay;

/* ---- running it ---- */
static Tensor *variables(const Job *j, Arena *a) {
    const Plan *p = exec_plan(j->exec);
    Tensor *out = PUSH(a, Tensor, p->vars.n + 1);
    for (uint32_t i = 0; i < p->vars.n; i++) {
        const PlanBuffer *b = &p->buffers.at[p->vars.at[i].buffer];
        out[i] = (Tensor){b->dtype, b->shape, exec_buffer(j->exec, p->vars.at[i].buffer)};
    }
    return out;
}

static Tensor *columns(const Job *j, Arena *a, const Graph *g, const PlanEntry *entry) {
    const Plan *p = exec_plan(j->exec);
    Tensor *out = PUSH(a, Tensor, g->columns.n + 1);
    for (uint32_t i = 0; i < g->columns.n; i++) {
        Str name = intern_str(g->module->names, g->columns.at[i].name);
        for (uint32_t k = entry->first_column; k < entry->first_column + entry->n_columns; k++) {
            const PlanBinding *b = &p->bindings.at[k];
            if (str_eq(b->name, name))
                out[i] = (Tensor){g->columns.at[i].dtype, g->columns.at[i].shape, exec_buffer(j->exec, b->buffer)};
        }
    }
    return out;
}

/* Entries stand in the plan as their graphs stand among those that were compiled. */
static bool run_again(Replay *r, Arena *a, const PlanEntry *entry, const UValue *uniforms) {
    const Job *j = r->j;
    const Plan *p = exec_plan(j->exec);
    uint32_t i = (uint32_t)(entry - p->entries.at);
    if (i >= j->compiled.final.graphs.n) return false;
    r->top = j->compiled.final.graphs.at[i];
    EvalRun run = {.graph = r->top,
                   .vars = variables(j, a),
                   .columns = columns(j, a, r->top, entry),
                   .uniforms = uniforms,
                   .threads = j->c->threads};
    Error unused = {0};
    return graph_blame(a, &run, &r->b, &unused) == GR_OK && r->b.node.i != 0;
}

/* ---- where it stands ---- */
static bool written(const Replay *r, Span at) {
    return at.n > 0 && program_library_name(r->j->s->program, at).n == 0;
}

/* Which values of g are made of v. */
static bool *made_of(Arena *a, const Graph *g, Val v) {
    bool *is = PUSH(a, bool, g->nodes.n);
    is[v.i] = true;
    for (uint32_t i = v.i + 1; i < g->nodes.n; i++)
        for (uint32_t k = 0; k < g->nodes.at[i].n && !is[i]; k++) is[i] = is[operand(g, (Val){i}, k).i];
    return is;
}

/* The node of the top graph in which it happens. */
static Val top_node(const Replay *r) {
    const Graph *g = r->top;
    if (r->b.graph == g) return r->b.node;
    for (uint32_t i = 1; i < g->nodes.n; i++)
        if (g->nodes.at[i].op == OP_scan && g->nodes.at[i].attr.scan->body == r->b.graph) return (Val){i};
    return (Val){0};
}

/* Its own text, or the user's next text on its way. */
static Span place(const Replay *r, Arena *a) {
    const Graph *g = r->b.graph;
    Span own = node_of(g, r->b.node)->span;
    if (written(r, own)) return own;
    const bool *on_its_way = made_of(a, g, r->b.node);
    for (uint32_t i = r->b.node.i; i < g->nodes.n; i++)
        if (on_its_way[i] && written(r, g->nodes.at[i].span)) return g->nodes.at[i].span;
    return own;
}

/* Losses are made of it: it is on the way forward.  Else a gradient is, or only what is committed. */
static const char *direction(const Replay *r, Arena *a) {
    const Graph *g = r->top;
    Val v = top_node(r);
    if (v.i == 0) return "";
    const bool *after = made_of(a, g, v);
    bool loss = false, gradient = false;
    for (uint32_t i = 0; i < g->outputs.n; i++)
        loss = loss || (g->outputs.at[i].kind == OUT_LOSS && after[g->outputs.at[i].val.i]);
    for (uint32_t i = 0; i < g->effects.n; i++) {
        const Node *n = node_of(g, g->effects.at[i]);
        Str what = n->op == OP_check ? intern_str(g->module->names, n->attr.check.name) : STR("");
        gradient = gradient || (str_starts(what, "gradient") && after[operand(g, g->effects.at[i], 0).i]);
    }
    return loss ? "" : gradient ? ", on the way back" : ", in the update";
}

/* ---- in words ---- */
static double largest(const Tensor *t) {
    double most = 0;
    for (int64_t i = 0, n = shape_count(t->shape); i < n; i++) most = fmax(most, fabs(tensor_element(t, i)));
    return most;
}

/* Its name; within the statement that the result is named by, its text. */
static void put_name(Buf *b, const Replay *r, Val v) {
    enum { LONG_TEXT = 40 };
    const Graph *g = r->b.graph;
    const Node *n = node_of(g, v), *own = node_of(g, r->b.node);
    Str name = n->name ? intern_str(g->module->names, n->name) : (Str){0};
    if (n->name == own->name) name = written(r, n->span) ? sources_text(r->j->s->files, n->span) : (Str){0};
    if (n->span.at == own->span.at && n->span.n == own->span.n) return;    /* of the same piece of text */
    if (name.n && name.n <= LONG_TEXT && n->op != OP_const && !memchr(name.s, '\n', name.n))
        buf_printf(b, " (`%.*s`)", FSTR(name));
}

static const char *word_of(const Node *n) {
    if (n->op == OP_contract) return "a product";
    if (n->op == OP_reduce) return "a reduction";
    if (n->op == OP_scatter_add) return "a sum";
    return op_name((Op)n->op);
}

/* "`log` of -0.25 (`x`)"; of an operation over many elements the largest. */
static void put_operation(Buf *b, const Replay *r) {
    const Node *n = node_of(r->b.graph, r->b.node);
    bool each = op_class((Op)n->op) == CLASS_ELT;
    buf_printf(b, each ? "`%s`" : "%s", word_of(n));
    for (uint32_t k = 0; k < n->n && k < BLAME_OPERANDS; k++) {
        const Tensor *x = &r->b.in[k];
        if (!x->data) continue;
        buf_printf(b, "%s", k == 0 ? " of " : k + 1 < n->n ? ", " : " and ");
        if (each) buf_printf(b, "%.6g", tensor_element(x, r->b.element));
        else buf_printf(b, "elements up to %.4g", largest(x));
        put_name(b, r, operand(r->b.graph, r->b.node, k));
    }
    buf_printf(b, " is ");
}

/* What came in like that. */
static void put_argument(Buf *b, const Replay *r) {
    const Node *n = node_of(r->b.graph, r->b.node);
    Str name = n->name ? intern_str(r->b.graph->module->names, n->name) : STR("?");
    switch (n->attr.arg.kind) {
    case ARG_VAR: buf_printf(b, "before the step the weight or state `%.*s` was ", FSTR(name)); return;
    case ARG_COLUMN: buf_printf(b, "in the data, the column `%.*s` is ", FSTR(name)); return;
    case ARG_UNIFORM: buf_printf(b, "a number of settings and counters is "); return;
    case ARG_BODY: buf_printf(b, "what the scan was given is "); return;
    }
}

static void put_element(Buf *b, const Replay *r) {
    Shape s = r->b.result.shape;
    int64_t at[MAX_RANK], left = r->b.element;
    double x = tensor_element(&r->b.result, r->b.element);
    buf_printf(b, "%s", isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
    if (s.rank > 0) {
        for (uint32_t k = s.rank; k-- > 0; left /= s.dim[k]) at[k] = left % s.dim[k];
        buf_printf(b, ", at ");
        buf_shape(b, shape_of(s.rank, at));
        buf_printf(b, " of ");
        buf_shape(b, s);
    }
    if (r->b.turn >= 0) buf_printf(b, ", in turn %lld of the `scan`", (long long)r->b.turn);
}

static const char *advice(const Replay *r, const Node *n) {
    switch ((int)n->op) {
    case OP_log: case OP_log1p:
        return "keep what goes in above 0: `log(max(x, 1e-6))`, or losses of logits (`bce_logits`)";
    case OP_sqrt: case OP_pow:
        return "keep what goes in at 0 or above: `max(x, 0)`, or above it where its slope counts";
    case OP_div: return "keep the divisor away from 0: `x / max(y, 1e-6)`";
    case OP_exp: case OP_expm1:
        return "it ends at 88.7: `clamp` what goes in, or use `logsumexp`, `softmax`, `softplus`";
    case OP_arg:
        if (n->attr.arg.kind == ARG_COLUMN)
            return isnan(tensor_element(&r->b.result, r->b.element))
                       ? "`drop where isnan(..)` in `data` leaves such rows out"
                       : "`drop where abs(..) == inf` in `data` leaves such rows out";
        if (n->attr.arg.kind == ARG_UNIFORM) return "look at weights and schedules: `graphc check` draws them";
        return "an update before made it: look at the optimizer's arguments";
    default: return "numbers grow: a smaller learning rate, `clip norm 1`, or smaller inputs";
    }
}

void replay_explain(void *job, const PlanEntry *entry, const UValue *uniforms, Error *e) {
    Replay r = {.j = job};
    Arena *a = arena_create();
    if (run_again(&r, a, entry, uniforms)) {
        const Node *n = node_of(r.b.graph, r.b.node);
        Buf b = buf_make(a);
        buf_printf(&b, "%s. The first: ", e->what);
        if (n->op == OP_arg) put_argument(&b, &r);
        else put_operation(&b, &r);
        put_element(&b, &r);
        buf_printf(&b, "%s", direction(&r, a));
        Str library = program_library_name(r.j->s->program, n->span);
        if (library.n) buf_printf(&b, " (in `%.*s`)", FSTR(library));
        fail(e, GR_NONFINITE, "%.*s", FSTR(buf_str(&b)));
        fail_help(e, "%s; what the run saved before is whole", advice(&r, n));
        e->at = place(&r, a);
        if (e->at.n) e->sources = r.j->s->files;
    }
    arena_destroy(a);
}
