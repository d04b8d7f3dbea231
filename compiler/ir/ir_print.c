/* Graphs and modules as text; the grammar is in docs/ir.md, ir_parse.c reads it.  One node a line with its
 * type, operands and every attribute:
 *     %3.mu: f32[64,2] = contract %1, %2 {A=[a,b], B=[b,c], C=[a,c], over=[b]} from 120+8  # vae.graph:12
 * The number is the node's place in the list, so the text of a graph is the graph. */
#include "ir_parts.h"
#include "text.h"

static void put_axes(Buf *out, const char *key, uint32_t n, const uint8_t *at) {
    buf_printf(out, "%s=[", key);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%s%u", i == 0 ? "" : ",", at[i]);
    }
    buf_char(out, ']');
}

static void put_extents(Buf *out, const char *key, uint32_t n, const int64_t *at) {
    buf_printf(out, "%s=[", key);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%s%lld", i == 0 ? "" : ",", (long long)at[i]);
    }
    buf_char(out, ']');
}

static void put_imm(Buf *out, DType t, Imm v) {
    if (t == DT_F32) {
        buf_real32(out, (float)v.f);
    } else if (dtype_is_float(t)) {
        buf_real(out, v.f);
    } else {
        buf_printf(out, "%lld", (long long)v.i);
    }
}

static void put_type(Buf *out, DType t, Shape s) {
    buf_put(out, str_of(dtype_name(t)));
    buf_shape(out, s);
}

static void put_span(Buf *out, const Module *m, Span s) {
    if (s.at != 0) {
        buf_spans(out, m->sources, &s, 1);
    }
}

/* A name when the id has one, else the number; names never begin with a digit, so the two cannot be
 * confused. */
static void put_var(Buf *out, const Module *m, uint32_t id) {
    if (id < m->vars.n) {
        buf_name(out, m->vars.at[id].path);
    } else {
        buf_printf(out, "%u", id);
    }
}

static void put_arg(Buf *out, const Graph *g, ArgKind kind, uint32_t id) {
    static const char *const kinds[] = {
#define X(k, name, what) [ARG_##k] = name,
        ARG_LIST(X)
#undef X
    };
    buf_printf(out, "%s=", kinds[kind]);
    if (kind == ARG_VAR) {
        put_var(out, g->module, id);
    } else if (kind == ARG_COLUMN && id < g->columns.n) {
        buf_name(out, intern_str(g->module->names, g->columns.at[id].name));
    } else {
        buf_printf(out, "%u", id);
    }
}

static void put_dims(Buf *out, const char *key, uint32_t n, const uint8_t *dim) {
    buf_printf(out, "%s=[", key);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%s%c", i == 0 ? "" : ",", 'a' + dim[i]);
    }
    buf_char(out, ']');
}

static void put_contract(Buf *out, const Contract *c) {
    put_dims(out, "A", c->rank[0], c->dim[0]);
    put_dims(out, ", B", c->rank[1], c->dim[1]);
    put_dims(out, ", C", c->rank[2], c->dim[2]);
    put_dims(out, ", over", c->n_over, c->over);
    if (c->rounded != DT_F32) {
        buf_printf(out, ", rounded=%s", dtype_name((DType)c->rounded));
    }
    if (c->winograd) {
        buf_put(out, STR(", by=winograd"));
    }
    for (uint32_t i = 0; i < c->n_windows; i++) {
        const Window *w = &c->window[i];
        buf_printf(out, ", window=[x=%c, o=%c, t=%c, stride=%d, dilation=%d, pad=%d]", 'a' + w->x, 'a' + w->o,
                   'a' + w->t, w->stride, w->dilation, w->pad);
    }
}

static void put_scan(Buf *out, const Scan *s) {
    buf_printf(out, "carries=%u, sequences=%u, collected=%u, length=%lld, reverse=%s", s->n_carries, s->n_sequences,
               s->n_collected, (long long)s->length, s->reverse ? "true" : "false");
}

static void put_extern(Buf *out, const Extern *x) {
    buf_put(out, STR("library="));
    buf_name(out, x->library);
    buf_put(out, STR(", symbol="));
    buf_name(out, x->symbol);
    buf_printf(out, ", batch=%u, ", x->batch);
    put_extents(out, "extents", x->n_extents, x->extents);
    buf_put(out, STR(", results=["));
    for (uint32_t i = 0; i < x->n_results; i++) {
        buf_put(out, i == 0 ? STR("") : STR(", "));
        put_type(out, x->results[i].dtype, x->results[i].shape);
    }
    buf_char(out, ']');
    if (x->gradient.n > 0) {
        buf_put(out, STR(", gradient="));
        buf_name(out, x->gradient);
    }
    buf_put(out, x->nograd ? STR(", nograd") : STR(""));
}

static void put_attr(Buf *out, const Graph *g, const Node *n) {
    static const char *const randoms[] = {
#define X(k, name) [RANDOM_##k] = name,
        RANDOM_LIST(X)
#undef X
    };
    static const char *const reduces[] = {
#define X(k, name) [REDUCE_##k] = name,
        REDUCE_LIST(X)
#undef X
    };
    const Attr *a = &n->attr;
    switch (op_attr((Op)n->op)) {
    case ATTR_NONE: case ATTR_GRAD: return;
    case ATTR_ARG:    put_arg(out, g, a->arg.kind, a->arg.id); return;
    case ATTR_CONST:  buf_put(out, STR("value=")); put_imm(out, (DType)n->dtype, a->constant); return;
    case ATTR_AXIS:   buf_printf(out, "axis=%u", a->axis); return;
    case ATTR_RANDOM: buf_printf(out, "kind=%s, stream=%u", randoms[a->random.kind], a->random.stream); return;
    case ATTR_AXES:   put_axes(out, "at", a->axes.n, a->axes.at); return;
    case ATTR_SLICE:
        put_extents(out, "lo", n->shape.rank, a->slice.lo);
        put_extents(out, ", step", n->shape.rank, a->slice.step);
        return;
    case ATTR_PAD:
        put_extents(out, "lo", n->shape.rank, a->pad.lo);
        put_extents(out, ", hi", n->shape.rank, a->pad.hi);
        buf_put(out, STR(", value="));
        put_imm(out, (DType)n->dtype, a->pad.value);
        return;
    case ATTR_WINDOW:
        buf_printf(out, "axis=%u, stride=%lld, dilation=%lld, pad=%lld, value=", a->window.axis,
                   (long long)a->window.stride, (long long)a->window.dilation, (long long)a->window.pad);
        put_imm(out, (DType)n->dtype, a->window.value);
        return;
    case ATTR_GATHER: buf_printf(out, "batch=%u, extent=%lld", a->gather.batch, (long long)a->gather.extent); return;
    case ATTR_REDUCE:
        buf_printf(out, "kind=%s, ", reduces[a->reduce.kind]);
        put_axes(out, "axes", a->reduce.n, a->reduce.at);
        return;
    case ATTR_CUMULATIVE: buf_printf(out, "kind=%s", reduces[a->cumulative]); return;
    case ATTR_CONTRACT: put_contract(out, a->contract); return;
    case ATTR_SCAN:   put_scan(out, a->scan); return;
    case ATTR_EXTERN: put_extern(out, a->external); return;
    case ATTR_INDEX:  buf_printf(out, "index=%u", a->index); return;
    case ATTR_CHECK:
        buf_put(out, STR("name="));
        buf_name(out, a->check.name == 0 ? STR("") : intern_str(g->module->names, a->check.name));
        return;
    case ATTR_COMMIT: buf_put(out, STR("var=")); put_var(out, g->module, a->commit.var); return;
    }
}

static void indent(Buf *out, uint32_t depth) { buf_printf(out, "%*s", 2 * (int)depth, ""); }

static void put_body(Buf *out, const Graph *g, uint32_t depth);

static void put_node(Buf *out, const Graph *g, uint32_t i, uint32_t depth) {
    const Node *n = &g->nodes.at[i];
    indent(out, depth);
    buf_printf(out, "%%%u", i);
    if (n->name != 0) {
        buf_char(out, '.');
        buf_name(out, intern_str(g->module->names, n->name));
    }
    buf_put(out, STR(": "));
    put_type(out, (DType)n->dtype, n->shape);
    buf_printf(out, " = %s", op_name((Op)n->op));
    for (uint32_t k = 0; k < n->n; k++) {
        buf_printf(out, "%s%%%u", k == 0 ? " " : ", ", g->operands.at[n->first + k].i);
    }
    AttrKind attr = op_attr((Op)n->op);
    if (attr != ATTR_NONE && attr != ATTR_GRAD) {
        buf_put(out, STR(" {"));
        put_attr(out, g, n);
        buf_char(out, '}');
    }
    put_span(out, g->module, n->span);
    buf_char(out, '\n');
    if (n->op == OP_scan) {                       /* on lines of its own: a span may end the line in a comment */
        indent(out, depth);
        put_body(out, n->attr.scan->body, depth);
    }
}

/* `graph NAME rows=64 {`, columns, nodes, outputs, `}`; scan bodies are graphs too, one level deeper. */
static void put_body(Buf *out, const Graph *g, uint32_t depth) {
    static const char *const kinds[] = {
#define X(k, name, what) [OUT_##k] = name,
        OUTPUT_LIST(X)
#undef X
    };
    const Intern *names = g->module->names;
    buf_put(out, STR("graph "));
    buf_name(out, intern_str(names, g->name));
    if (g->rows != 0) {
        buf_printf(out, " rows=%lld", (long long)g->rows);
    }
    buf_put(out, STR(" {\n"));
    for (uint32_t i = 0; i < g->columns.n; i++) {
        const Column *c = &g->columns.at[i];
        indent(out, depth + 1);
        buf_put(out, STR("column "));
        buf_name(out, intern_str(names, c->name));
        buf_put(out, STR(": "));
        put_type(out, c->dtype, c->shape);
        buf_char(out, '\n');
    }
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        put_node(out, g, i, depth + 1);
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const Output *o = &g->outputs.at[i];
        indent(out, depth + 1);
        buf_printf(out, "output %s ", kinds[o->kind]);
        if (o->name != 0) {
            buf_name(out, intern_str(names, o->name));
            buf_char(out, ' ');
        }
        buf_printf(out, "= %%%u\n", o->val.i);
    }
    indent(out, depth);
    buf_put(out, STR("}\n"));
}

void graph_print(const Graph *g, Buf *out) { put_body(out, g, 0); }

static void put_declaration(Buf *out, const Module *m, const Var *v) {
    static const char *const kinds[] = {
#define X(k, name) [VAR_##k] = name,
        VAR_LIST(X)
#undef X
    };
    buf_printf(out, "var %s ", kinds[v->kind]);
    buf_name(out, v->path);
    buf_put(out, STR(": "));
    put_type(out, v->dtype, v->shape);
    if (v->model != 0) {
        buf_put(out, STR(" model="));
        buf_name(out, intern_str(m->names, v->model));
    }
    if (v->of != 0) {
        buf_put(out, STR(" of="));
        put_var(out, m, v->of - 1);
    }
    if (v->frozen) {
        buf_put(out, STR(" frozen"));
    }
    put_span(out, m, v->span);
    buf_char(out, '\n');
}

void module_print(const Module *m, Buf *out) {
    for (uint32_t i = 0; i < m->vars.n; i++) {
        put_declaration(out, m, &m->vars.at[i]);
    }
    if (m->uniforms->insts.n > 0) {
        uniforms_print(m->uniforms, out);
    }
    for (uint32_t i = 0; i < m->graphs.n; i++) {
        graph_print(m->graphs.at[i], out);
    }
}
