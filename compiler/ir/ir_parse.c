/* Reads what ir_print.c writes.  Nodes are taken as they stand, without value numbering, so the numbers in
 * the text are the numbers in the graph; then the verifier looks at every graph.  While it does, nodes carry
 * the place of their line in this text; afterwards they get the spans that the text gives them. */
#include "ir_parts.h"
#include "text.h"
#include <string.h>

typedef struct { Graph *g; Val v; Span span; } Origin;
typedef struct { Module *m; Text t; VEC(Origin) origins; } Parser;

static uint32_t name_id(Parser *p, Str s) { return s.n == 0 ? 0 : intern_id(p->m->names, s); }

/* The index of the next word among `names`. */
static uint32_t word_of(Parser *p, const char *const *names, uint32_t n, const char *what) {
    Str word = text_word(&p->t);
    for (uint32_t i = 0; i < n; i++) {
        if (str_is(word, names[i])) {
            return i;
        }
    }
    text_fail(&p->t, p->t.last, "`%.*s` is not %s", FSTR(word), what);
    return 0;
}
#define WORD_OF(p, names, what) word_of((p), (names), sizeof(names) / sizeof *(names), (what))

static void want_key(Parser *p, const char *key) {
    text_want(&p->t, key);
    text_want(&p->t, "=");
}
static void want_next_key(Parser *p, const char *key) {
    text_want(&p->t, ",");
    want_key(p, key);
}

static bool next_is_digit(Parser *p) {
    text_next_span(&p->t);                        /* skips blanks */
    return p->t.at < p->t.end && *p->t.at >= '0' && *p->t.at <= '9';
}

/* ---- pieces ---- */
static uint32_t parse_list(Parser *p, int64_t at[MAX_RANK]) {
    uint32_t n = 0;
    text_want(&p->t, "[");
    for (bool more = text_more(&p->t, "]"); more; n++) {
        int64_t x = text_int(&p->t);
        if (n == MAX_RANK) {
            text_fail(&p->t, p->t.last, "more than %d axes", MAX_RANK);
            return 0;
        }
        at[n] = x;
        more = text_take(&p->t, ",") || text_more(&p->t, "]");
        more = more && text_ok(&p->t);
    }
    return text_ok(&p->t) ? n : 0;
}

static uint8_t parse_axes(Parser *p, uint8_t at[MAX_RANK]) {
    int64_t list[MAX_RANK] = {0};
    uint32_t n = parse_list(p, list);
    for (uint32_t i = 0; i < n; i++) {
        if (list[i] < 0 || list[i] >= MAX_RANK) {
            text_fail(&p->t, p->t.last, "axes lie between 0 and %d", MAX_RANK - 1);
        }
        at[i] = (uint8_t)list[i];
    }
    return (uint8_t)n;
}

static void parse_extents(Parser *p, uint32_t rank, int64_t at[MAX_RANK]) {
    if (parse_list(p, at) != rank) {
        text_fail(&p->t, p->t.last, "the result has %u axes", rank);
    }
}

static Type parse_type(Parser *p) {
    Type t = {.dtype = text_dtype(&p->t)};
    t.shape.rank = (uint8_t)parse_list(p, t.shape.dim);
    return t;
}

/* Of what is stored: no node checks it. */
static Type parse_stored_type(Parser *p) {
    Type t = parse_type(p);
    int64_t count = 1;
    for (uint32_t i = 0; i < t.shape.rank; i++) {
        int64_t d = t.shape.dim[i];
        if (d < 0 || d >= 1ll << 40 || (count *= d) >= 1ll << 40) {
            text_fail(&p->t, p->t.last, "extents are not negative, and a value has fewer than 2^40 elements");
            return t;
        }
    }
    return t;
}

static Imm parse_imm(Parser *p, DType t) {
    if (dtype_is_float(t)) {
        return imm_of_real(t, text_real(&p->t));
    }
    int64_t x = text_int(&p->t);
    return (Imm){.i = t == DT_BOOL ? x != 0 : x};
}

static Span parse_span(Parser *p) { return text_take(&p->t, "from") ? text_span(&p->t) : (Span){0}; }

static uint32_t parse_var(Parser *p) {
    if (next_is_digit(p)) {
        return (uint32_t)text_uint(&p->t, UINT32_MAX);
    }
    Str path = text_name(&p->t);
    for (uint32_t i = 0; i < p->m->vars.n; i++) {
        if (str_eq(p->m->vars.at[i].path, path)) {
            return i;
        }
    }
    text_fail(&p->t, p->t.last, "there is no variable `%.*s`", FSTR(path));
    return 0;
}

static uint32_t parse_column(Parser *p, const Graph *g) {
    if (next_is_digit(p)) {
        return (uint32_t)text_uint(&p->t, UINT32_MAX);
    }
    Str name = text_name(&p->t);
    for (uint32_t i = 0; i < g->columns.n; i++) {
        if (str_eq(intern_str(p->m->names, g->columns.at[i].name), name)) {
            return i;
        }
    }
    text_fail(&p->t, p->t.last, "there is no column `%.*s`", FSTR(name));
    return 0;
}

static void parse_arg(Parser *p, const Graph *g, Attr *a) {
    static const char *const kinds[] = {
#define X(k, name, what) name,
        ARG_LIST(X)
#undef X
    };
    a->arg.kind = (ArgKind)WORD_OF(p, kinds, "a kind of argument");
    text_want(&p->t, "=");
    a->arg.id = a->arg.kind == ARG_VAR ? parse_var(p) : a->arg.kind == ARG_COLUMN ? parse_column(p, g)
                                                     : (uint32_t)text_uint(&p->t, UINT32_MAX);
}

/* ---- contract: letters become dims in order of appearance ---- */
typedef struct { uint8_t of_letter[26]; } Letters;               /* 1 + dim */

static uint8_t parse_dim(Parser *p, Contract *c, Letters *l) {
    Str word = text_word(&p->t);
    if (word.n != 1 || word.s[0] < 'a' || word.s[0] > 'z') {
        text_fail(&p->t, p->t.last, "a dim is one letter from a to z");
        return 0;
    }
    uint8_t *dim = &l->of_letter[word.s[0] - 'a'];
    if (*dim == 0 && c->n_dims == MAX_DIMS) {
        text_fail(&p->t, p->t.last, "more than %d dims", MAX_DIMS);
        return 0;
    }
    *dim = *dim == 0 ? ++c->n_dims : *dim;
    return *dim - 1;
}

static uint8_t parse_dims(Parser *p, Contract *c, Letters *l, uint8_t *at, uint32_t most) {
    uint32_t n = 0;
    text_want(&p->t, "[");
    for (bool more = text_more(&p->t, "]"); more; n++) {
        uint8_t d = parse_dim(p, c, l);
        if (n == most) {
            text_fail(&p->t, p->t.last, "more than %u dims", most);
            return 0;
        }
        at[n] = d;
        more = (text_take(&p->t, ",") || text_more(&p->t, "]")) && text_ok(&p->t);
    }
    return (uint8_t)n;
}

static int32_t parse_step(Parser *p, const char *key) {
    want_next_key(p, key);
    int64_t x = text_int(&p->t);
    if (x < -(1 << 30) || x > 1 << 30) {
        text_fail(&p->t, p->t.last, "`%s` is out of range", key);
        return 0;
    }
    return (int32_t)x;
}

static Window parse_window(Parser *p, Contract *c, Letters *l) {
    Window w = {0};
    text_want(&p->t, "[");
    want_key(p, "x");
    w.x = parse_dim(p, c, l);
    want_next_key(p, "o");
    w.o = parse_dim(p, c, l);
    want_next_key(p, "t");
    w.t = parse_dim(p, c, l);
    w.stride = parse_step(p, "stride");
    w.dilation = parse_step(p, "dilation");
    w.pad = parse_step(p, "pad");
    text_want(&p->t, "]");
    return w;
}

static uint8_t parse_rounded(Parser *p) {
    static const char *const types[] = {"bf16", "f16"};
    text_want(&p->t, "=");
    return WORD_OF(p, types, "bf16 or f16") == 0 ? DT_BF16 : DT_F16;
}

static const Contract *parse_contract(Parser *p, const Shape side[3]) {
    Contract *c = contract_new(p->m->arena);
    Letters l = {{0}};
    static const char *const keys[] = {"A", "B", "C"};
    for (uint32_t s = 0; s < 3; s++) {
        s == 0 ? want_key(p, keys[s]) : want_next_key(p, keys[s]);
        c->rank[s] = parse_dims(p, c, &l, c->dim[s], MAX_RANK);
        for (uint32_t i = 0; i < c->rank[s] && i < side[s].rank; i++) {
            int64_t *extent = &c->extent[c->dim[s][i]];
            *extent = *extent == 0 ? side[s].dim[i] : *extent;
        }
    }
    want_next_key(p, "over");
    c->n_over = parse_dims(p, c, &l, c->over, MAX_RANK * 2);
    bool more = text_take(&p->t, ",");
    if (more && text_take(&p->t, "rounded")) {
        c->rounded = parse_rounded(p);
        more = text_take(&p->t, ",");
    }
    if (more && text_take(&p->t, "by")) {
        static const char *const ways[] = {"winograd"};
        text_want(&p->t, "=");
        c->winograd = WORD_OF(p, ways, "winograd") == 0;
        more = text_take(&p->t, ",");
    }
    for (; more; more = text_take(&p->t, ",")) {
        want_key(p, "window");
        Window w = parse_window(p, c, &l);
        if (c->n_windows == MAX_WINDOWS) {
            text_fail(&p->t, p->t.last, "more than %d windows", MAX_WINDOWS);
            break;
        }
        c->window[c->n_windows++] = w;
    }
    return c;
}

static Scan *parse_scan(Parser *p) {
    Scan *s = PUSH(p->m->arena, Scan, 1);
    static const char *const truths[] = {"false", "true"};
    want_key(p, "carries");
    s->n_carries = (uint32_t)text_uint(&p->t, 1 << 20);
    want_next_key(p, "sequences");
    s->n_sequences = (uint32_t)text_uint(&p->t, 1 << 20);
    want_next_key(p, "collected");
    s->n_collected = (uint32_t)text_uint(&p->t, 1 << 20);
    want_next_key(p, "length");
    s->length = text_int(&p->t);
    want_next_key(p, "reverse");
    s->reverse = WORD_OF(p, truths, "true or false") == 1;
    return s;
}

static const Extern *parse_extern(Parser *p) {
    Text *t = &p->t;
    Extern *x = PUSH(p->m->arena, Extern, 1);
    VEC(int64_t) extents = {0};
    VEC(Type) results = {0};
    want_key(p, "library");
    x->library = text_name(t);
    want_next_key(p, "symbol");
    x->symbol = text_name(t);
    want_next_key(p, "batch");
    x->batch = (uint8_t)text_uint(t, MAX_RANK);
    want_next_key(p, "extents");
    text_want(t, "[");
    for (bool more = !text_take(t, "]"); more && text_ok(t);) {
        vec_push(p->m->arena, &extents, text_int(t));
        more = text_take(t, ",");
        if (!more) {
            text_want(t, "]");
        }
    }
    want_next_key(p, "results");
    text_want(t, "[");
    for (bool more = !text_take(t, "]"); more && text_ok(t);) {
        vec_push(p->m->arena, &results, parse_type(p));
        more = text_take(t, ",");
        if (!more) {
            text_want(t, "]");
        }
    }
    while (text_take(t, ",")) {
        if (text_take(t, "nograd")) {
            x->nograd = true;
        } else {
            want_key(p, "gradient");
            x->gradient = text_name(t);
        }
    }
    x->extents = extents.at;
    x->n_extents = extents.n;
    x->results = results.at;
    x->n_results = results.n;
    return x;
}

static void parse_attr(Parser *p, const Graph *g, Node *n, const Val *in) {
    static const char *const randoms[] = {
#define X(k, name) name,
        RANDOM_LIST(X)
#undef X
    };
    static const char *const reduces[] = {
#define X(k, name) name,
        REDUCE_LIST(X)
#undef X
    };
    Attr *a = &n->attr;
    Text *t = &p->t;
    switch (op_attr((Op)n->op)) {
    case ATTR_NONE: case ATTR_GRAD: return;
    case ATTR_ARG:    parse_arg(p, g, a); return;
    case ATTR_CONST:  want_key(p, "value"); a->constant = parse_imm(p, (DType)n->dtype); return;
    case ATTR_AXIS:   want_key(p, "axis"); a->axis = (uint8_t)text_uint(t, MAX_RANK - 1); return;
    case ATTR_RANDOM:
        want_key(p, "kind");
        a->random.kind = (RandomKind)WORD_OF(p, randoms, "a kind of random number");
        want_next_key(p, "stream");
        a->random.stream = (uint32_t)text_uint(t, UINT32_MAX);
        return;
    case ATTR_AXES:   want_key(p, "at"); a->axes.n = parse_axes(p, a->axes.at); return;
    case ATTR_SLICE:
        want_key(p, "lo");
        parse_extents(p, n->shape.rank, a->slice.lo);
        want_next_key(p, "step");
        parse_extents(p, n->shape.rank, a->slice.step);
        return;
    case ATTR_PAD:
        want_key(p, "lo");
        parse_extents(p, n->shape.rank, a->pad.lo);
        want_next_key(p, "hi");
        parse_extents(p, n->shape.rank, a->pad.hi);
        want_next_key(p, "value");
        a->pad.value = parse_imm(p, (DType)n->dtype);
        return;
    case ATTR_WINDOW:
        want_key(p, "axis");
        a->window.axis = (uint8_t)text_uint(t, MAX_RANK - 1);
        want_next_key(p, "stride");
        a->window.stride = text_int(t);
        want_next_key(p, "dilation");
        a->window.dilation = text_int(t);
        want_next_key(p, "pad");
        a->window.pad = text_int(t);
        want_next_key(p, "value");
        a->window.value = parse_imm(p, (DType)n->dtype);
        return;
    case ATTR_GATHER:
        want_key(p, "batch");
        a->gather.batch = (uint8_t)text_uint(t, MAX_RANK - 1);
        want_next_key(p, "extent");
        a->gather.extent = text_int(t);
        return;
    case ATTR_REDUCE:
        want_key(p, "kind");
        a->reduce.kind = (ReduceKind)WORD_OF(p, reduces, "a kind of reduction");
        want_next_key(p, "axes");
        a->reduce.n = parse_axes(p, a->reduce.at);
        return;
    case ATTR_CUMULATIVE:
        want_key(p, "kind");
        a->cumulative = (ReduceKind)WORD_OF(p, reduces, "a kind of reduction");
        return;
    case ATTR_CONTRACT: {
        Shape side[3] = {{0}, {0}, n->shape};
        for (uint32_t k = 0; k < 2 && k < n->n; k++) {
            side[k] = in[k].i < g->nodes.n ? g->nodes.at[in[k].i].shape : (Shape){0};
        }
        a->contract = parse_contract(p, side);
        return;
    }
    case ATTR_SCAN:   a->scan = parse_scan(p); return;
    case ATTR_EXTERN: a->external = parse_extern(p); return;
    case ATTR_INDEX:  want_key(p, "index"); a->index = (uint32_t)text_uint(t, UINT32_MAX); return;
    case ATTR_CHECK:  want_key(p, "name"); a->check.name = name_id(p, text_name(t)); return;
    case ATTR_COMMIT: want_key(p, "var"); a->commit.var = parse_var(p); return;
    }
}

/* ---- lines ---- */
enum { DEPTH_MAX = 32 };
static Graph *parse_graph(Parser *p, uint32_t depth);

static Val parse_val(Parser *p) {
    text_want(&p->t, "%");
    return (Val){(uint32_t)text_uint(&p->t, UINT32_MAX)};
}

static void parse_node(Parser *p, Graph *g, uint32_t depth) {
    Text *t = &p->t;
    Span line = text_next_span(t);
    Val v = parse_val(p);
    if (v.i != g->nodes.n) {
        text_fail(t, span_join(line, t->last), "this should be %%%u: nodes are numbered from 1 in order", g->nodes.n);
    }
    Node n = {.span = line, .name = text_take(t, ".") ? name_id(p, text_name(t)) : 0};
    text_want(t, ":");
    Type type = parse_type(p);
    n.dtype = (uint8_t)type.dtype;
    n.shape = type.shape;
    text_want(t, "=");
    Op op = OP_arg;
    Str word = text_word(t);
    if (!op_parse(word, &op)) {
        text_fail(t, t->last, "`%.*s` is not an op", FSTR(word));
    }
    n.op = (uint8_t)op;
    VEC(Val) in = {0};
    for (bool more = text_is(t, "%"); more && text_ok(t); more = text_take(t, ",")) {
        vec_push(p->m->arena, &in, parse_val(p));
    }
    n.n = in.n;
    if (op_attr(op) != ATTR_NONE && op_attr(op) != ATTR_GRAD) {
        text_want(t, "{");
        parse_attr(p, g, &n, in.at);
        text_want(t, "}");
    }
    n.span = span_join(line, t->last);
    Span origin = parse_span(p);
    if (op == OP_scan && text_ok(t)) {
        Scan *s = PUSH(p->m->arena, Scan, 1);
        *s = *n.attr.scan;
        s->body = parse_graph(p, depth + 1);
        n.attr.scan = s;
    }
    if (text_ok(t)) {                             /* else the attribute may be half read */
        graph_append(g, n, in.n, in.at, false);
        vec_push(p->m->arena, &p->origins, (Origin){g, v, origin});
    }
}

static void parse_output(Parser *p, Graph *g) {
    static const char *const kinds[] = {
#define X(k, name, what) name,
        OUTPUT_LIST(X)
#undef X
    };
    OutputKind kind = (OutputKind)WORD_OF(p, kinds, "a kind of output");
    uint32_t name = text_is(&p->t, "=") ? 0 : name_id(p, text_name(&p->t));
    text_want(&p->t, "=");
    Val v = parse_val(p);
    bool one = v.i != 0 && v.i < g->nodes.n && !node_is_tuple(&g->nodes.at[v.i]) &&
               op_class((Op)g->nodes.at[v.i].op) != CLASS_EFFECT;
    if (!one) {
        text_fail(&p->t, p->t.last, "an output is one value of the lines before it");
    }
    graph_output(g, kind, name, v);
}

static void parse_column_line(Parser *p, Graph *g) {
    Column c = {.name = name_id(p, text_name(&p->t))};
    text_want(&p->t, ":");
    Type type = parse_stored_type(p);
    c.dtype = type.dtype;
    c.shape = type.shape;
    vec_push(g->arena, &g->columns, c);
}

static Graph *parse_graph(Parser *p, uint32_t depth) {
    text_want(&p->t, "graph");
    Graph *g = graph_create(p->m, text_name(&p->t));
    if (depth > DEPTH_MAX) {
        text_fail(&p->t, p->t.last, "scans stand in each other more than %d deep", DEPTH_MAX);
    }
    if (text_take(&p->t, "rows")) {
        text_want(&p->t, "=");
        g->rows = text_int(&p->t);
    }
    text_want(&p->t, "{");
    while (text_more(&p->t, "}")) {
        if (text_take(&p->t, "column")) {
            parse_column_line(p, g);
        } else if (text_take(&p->t, "output")) {
            parse_output(p, g);
        } else {
            parse_node(p, g, depth);
        }
    }
    return g;
}

static void parse_declaration(Parser *p) {
    static const char *const kinds[] = {
#define X(k, name) name,
        VAR_LIST(X)
#undef X
    };
    Var v = {.kind = (VarKind)WORD_OF(p, kinds, "a kind of variable")};
    v.path = text_name(&p->t);
    text_want(&p->t, ":");
    Type type = parse_stored_type(p);
    v.dtype = type.dtype;
    v.shape = type.shape;
    if (text_take(&p->t, "model")) {
        text_want(&p->t, "=");
        v.model = name_id(p, text_name(&p->t));
    }
    if (text_take(&p->t, "of")) {
        text_want(&p->t, "=");
        v.of = 1 + parse_var(p);
        if (v.of > p->m->vars.n) {
            text_fail(&p->t, p->t.last, "a variable belongs to one declared before it");
        }
    }
    v.frozen = text_take(&p->t, "frozen");
    v.span = parse_span(p);
    vec_push(p->m->arena, &p->m->vars, v);
}

static bool verify_all(Parser *p, Diags *ds) {
    bool ok = true;
    for (uint32_t i = 0; i < p->m->graphs.n; i++) {
        ok = graph_verify(p->m->graphs.at[i], ds) && ok;
    }
    for (uint32_t i = 0; i < p->origins.n; i++) {
        Origin o = p->origins.at[i];
        o.g->nodes.at[o.v.i].span = o.span;
    }
    return ok;
}

Module *module_parse(Arena *a, const Source *src, const SourceSet *s, const Math *m, Diags *ds) {
    Parser p = {.m = module_create(a, s, m), .t = text_open(a, src, ds)};
    while (text_ok(&p.t) && !text_at_end(&p.t)) {
        if (text_take(&p.t, "var")) {
            parse_declaration(&p);
        } else if (text_is(&p.t, "uniforms")) {
            p.m->uniforms = uniforms_parse(a, &p.t);
        } else {
            Graph *g = parse_graph(&p, 0);
            vec_push(a, &p.m->graphs, g);
        }
    }
    return text_ok(&p.t) && verify_all(&p, ds) ? p.m : NULL;
}
