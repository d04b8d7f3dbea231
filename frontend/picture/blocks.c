/* How nodes become blocks, in one pass in topological order over what leads to a result:
 *   - a node computed with a parameter belongs to the parameter's layer: the path without the last name;
 *   - a node that nothing but one loss needs belongs to that loss, unless a model's own text says otherwise;
 *   - views and casts stay with what they show;
 *   - what an elementwise function makes of a layer alone (an activation) stays with the layer;
 *   - the rest is a step, by the function it stands in; it joins a step of that name among its operands when
 * that closes no cycle. */
#include "blocks.h"
#include <string.h>

typedef struct {
    Arena *a;
    const Program *p;
    const Graph *g;
    Blocks out;
    uint32_t *target; /* by node: 1 + the output it is needed for, MANY for several, 0 for none */
    bool *data;       /* by node: depends on a column or a draw */
    bool *layered;    /* by node: data meets a parameter */
    Str *reader;      /* by node: the function that reads it .. */
    bool *several;    /* .. unless several do */
    uint32_t words;   /* of bit sets */
} Maker;
enum { MANY = UINT32_MAX };

static Str layer_of(Str path) {
    uint32_t n = path.n;
    while (n > 0 && path.s[n - 1] != '.')
        n--;
    return (Str){path.s, n > 0 ? n - 1 : path.n};
}

static bool is_result(OutputKind k) { return k == OUT_LOSS || k == OUT_TOTAL || k == OUT_VALUE; }

static uint32_t target_join(uint32_t a, uint32_t b) { return a == 0 || a == b ? b : b == 0 ? a : MANY; }

/* What each node is needed for, from the results back.  A loss is its own target even when the total needs
 * it. */
static void find_targets(Maker *m) {
    const Graph *g = m->g;
    for (uint32_t i = g->outputs.n; i-- > 0;) {
        const Output *o = &g->outputs.at[i];
        if (!is_result(o->kind)) continue;
        bool loss = o->kind == OUT_LOSS || m->target[o->val.i] == 0;
        if (loss) m->target[o->val.i] = 1 + i;
    }
    bool *fixed = PUSH(m->a, bool, g->nodes.n);
    for (uint32_t i = 1; i < g->nodes.n; i++)
        fixed[i] = m->target[i] != 0;
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        if (m->target[i] == 0) continue;
        const Node *n = &g->nodes.at[i];
        bool models = m->layered[i] || str_is(program_enclosing(m->p, n->span).word, "model");
        if (!fixed[i] && models) m->target[i] = MANY;
        for (uint32_t k = 0; k < n->n; k++) {
            uint32_t to = g->operands.at[n->first + k].i;
            if (!fixed[to]) m->target[to] = target_join(m->target[to], m->layered[i] ? MANY : m->target[i]);
        }
    }
}

/* Where data comes in, and where it meets what depends on variables alone. */
static void find_data(Maker *m) {
    bool *weight = PUSH(m->a, bool, m->g->nodes.n);
    for (uint32_t i = 1; i < m->g->nodes.n; i++) {
        const Node *n = &m->g->nodes.at[i];
        bool arg = n->op == OP_arg;
        m->data[i] = n->op == OP_random || (arg && n->attr.arg.kind == ARG_COLUMN);
        weight[i] = arg && n->attr.arg.kind == ARG_VAR;
        for (uint32_t k = 0; k < n->n; k++) {
            uint32_t x = m->g->operands.at[n->first + k].i;
            m->data[i] = m->data[i] || m->data[x];
            weight[i] = weight[i] || weight[x];
        }
        for (uint32_t k = 0; k < n->n; k++) {
            uint32_t x = m->g->operands.at[n->first + k].i;
            m->layered[i] = m->layered[i] || (m->data[i] && weight[x] && !m->data[x]);
        }
    }
}

static PictureBlock *block_at(Maker *m, uint32_t block) { return &m->out.at.at[block - 1]; }

static uint32_t block_add(Maker *m, PictureBlock b) {
    b.before = PUSH(m->a, uint64_t, m->words);
    vec_push(m->a, &m->out.at, b);
    return m->out.at.n;
}

static bool comes_before(Maker *m, uint32_t x, uint32_t y) {
    return x == y || block_at(m, y)->before[x / 64] >> x % 64 & 1;
}

static void put_before(Maker *m, uint32_t x, uint32_t y) {
    if (x == y) return;
    uint64_t *to = block_at(m, y)->before, *from = block_at(m, x)->before;
    for (uint32_t i = 0; i < m->words; i++)
        to[i] |= from[i];
    to[x / 64] |= (uint64_t)1 << x % 64;
}

static uint32_t find_named(Maker *m, BlockKind kind, Str name) {
    for (uint32_t i = 0; i < m->out.at.n; i++)
        if (m->out.at.at[i].kind == kind && str_eq(m->out.at.at[i].name, name)) return 1 + i;
    return 0;
}

static uint64_t parameters_of(const Module *module, Str layer) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < module->vars.n; i++) {
        const Var *v = &module->vars.at[i];
        if (v->kind == VAR_PARAM && str_eq(layer_of(v->path), layer))
            count += (uint64_t)shape_count(v->shape);
    }
    return count;
}

static uint32_t block_of_var(Maker *m, uint32_t var) {
    const Module *module = m->g->module;
    const Var *v = &module->vars.at[var];
    if (v->kind != VAR_PARAM && v->kind != VAR_STATE) return 0;
    Str layer = layer_of(v->path);
    uint32_t old = find_named(m, BLOCK_LAYER, layer);
    if (old) return old;
    return block_add(m, (PictureBlock){.kind = BLOCK_LAYER,
                                       .name = layer,
                                       .model = v->model ? intern_str(module->names, v->model) : (Str){"", 0},
                                       .parameters = parameters_of(module, layer)});
}

static uint32_t block_of_leaf(Maker *m, uint32_t node) {
    const Node *n = &m->g->nodes.at[node];
    if (n->op != OP_arg) return 0;
    if (n->attr.arg.kind == ARG_VAR) return block_of_var(m, n->attr.arg.id);
    if (n->attr.arg.kind != ARG_COLUMN) return 0;
    Str name = intern_str(m->g->module->names, m->g->columns.at[n->attr.arg.id].name);
    uint32_t old = find_named(m, BLOCK_INPUT, name);
    return old ? old
               : block_add(m,
                           (PictureBlock){.kind = BLOCK_INPUT, .name = name, .gives = {node}, .at = n->span});
}

/* The layer whose parameters it is computed with, if it is one. */
static uint32_t layer_used(Maker *m, uint32_t node) {
    const Node *n = &m->g->nodes.at[node];
    uint32_t found = 0;
    for (uint32_t k = 0; k < n->n; k++) {
        uint32_t x = m->g->operands.at[n->first + k].i, b = m->out.of[x];
        if (b == 0 || m->data[x] || block_at(m, b)->kind != BLOCK_LAYER) continue;
        if (found && found != b) return 0;
        found = b;
    }
    return found;
}

static Str step_name(Maker *m, const Node *n, Enclosing in) {
    if (str_is(in.word, "def")) return in.name;
    return n->name ? intern_str(m->g->module->names, n->name) : str_of(op_name((Op)n->op));
}

/* A step of that name among the operands' blocks that all the others come before. */
static uint32_t step_to_join(Maker *m, const Node *n, Str name) {
    for (uint32_t k = 0; k < n->n; k++) {
        uint32_t b = m->out.of[m->g->operands.at[n->first + k].i];
        if (b == 0 || block_at(m, b)->kind != BLOCK_STEP || !str_eq(block_at(m, b)->name, name)) continue;
        bool free = true;
        for (uint32_t j = 0; j < n->n; j++) {
            uint32_t c = m->out.of[m->g->operands.at[n->first + j].i];
            free = free && (c == 0 || comes_before(m, c, b));
        }
        if (free) return b;
    }
    return 0;
}

/* The one block its operands are of; 0: none or several. */
static uint32_t only_operand(Maker *m, const Node *n) {
    uint32_t found = 0;
    for (uint32_t k = 0; k < n->n; k++) {
        uint32_t b = m->out.of[m->g->operands.at[n->first + k].i];
        if (found && b && b != found) return 0;
        if (b) found = b;
    }
    return found;
}

static bool has_word(Str words, Str word) {
    return words.n >= word.n && memcmp(words.s + words.n - word.n, word.s, word.n) == 0;
}

static uint32_t fold(Maker *m, uint32_t layer, Str name) {
    PictureBlock *b = block_at(m, layer);
    const char *comma = b->with.n ? ", " : "";
    if (!has_word(b->with, name)) b->with = str_format(m->a, "%.*s%s%.*s", FSTR(b->with), comma, FSTR(name));
    return layer;
}

/* Functions by which each node is read. */
static void find_readers(Maker *m) {
    for (uint32_t i = 1; i < m->g->nodes.n; i++) {
        const Node *n = &m->g->nodes.at[i];
        Str in = program_enclosing(m->p, n->span).name;
        for (uint32_t k = 0; m->target[i] && k < n->n; k++) {
            uint32_t x = m->g->operands.at[n->first + k].i;
            m->several[x] = m->several[x] || (m->reader[x].n > 0 && !str_eq(m->reader[x], in));
            m->reader[x] = in;
        }
    }
}

/* Whether it makes of a layer what nothing else makes anything of. */
static bool is_activation(Maker *m, const Node *n, uint32_t only) {
    if (!only || block_at(m, only)->kind != BLOCK_LAYER || op_class((Op)n->op) != CLASS_ELT) return false;
    for (uint32_t k = 0; k < n->n; k++) {
        uint32_t x = m->g->operands.at[n->first + k].i;
        if (m->several[x] && m->out.of[x]) return false;
    }
    return true;
}

static uint32_t block_of_target(Maker *m, uint32_t target) {
    const Output *o = &m->g->outputs.at[target - 1];
    BlockKind kind = o->kind == OUT_LOSS ? BLOCK_LOSS : o->kind == OUT_TOTAL ? BLOCK_TOTAL : BLOCK_STEP;
    Str name = o->kind == OUT_TOTAL ? STR("total") : intern_str(m->g->module->names, o->name);
    uint32_t old = find_named(m, kind, name);
    if (old) return old;
    return block_add(
        m, (PictureBlock){.kind = kind, .name = name, .gives = o->val, .at = node_of(m->g, o->val)->span});
}

static uint32_t block_of_node(Maker *m, uint32_t node) {
    const Node *n = &m->g->nodes.at[node];
    uint32_t only = only_operand(m, n), layer = layer_used(m, node);
    if (only == 0 && n->n == 0) return block_of_leaf(m, node);
    bool any = false;
    for (uint32_t k = 0; k < n->n; k++)
        any = any || m->out.of[m->g->operands.at[n->first + k].i] != 0;
    if (!any) return 0;
    if (!m->data[node] && only) return only; /* of parameters alone */
    if (layer) {
        block_at(m, layer)->gives = (Val){node};
        if (block_at(m, layer)->at.n == 0) block_at(m, layer)->at = n->span;
        return layer;
    }
    if (m->target[node] != MANY) return block_of_target(m, m->target[node]);
    bool moves = op_class((Op)n->op) == CLASS_VIEW || n->op == OP_cast || n->op == OP_result;
    if (only && moves) return only;
    Enclosing in = program_enclosing(m->p, n->span);
    Str name = step_name(m, n, in);
    if (is_activation(m, n, only))
        return fold(m, only, str_is(in.word, "def") ? name : str_of(op_name((Op)n->op)));
    uint32_t step = step_to_join(m, n, name);
    if (!step)
        step = block_add(m, (PictureBlock){.kind = BLOCK_STEP,
                                           .name = name,
                                           .at = n->span,
                                           .model = str_is(in.word, "model") ? in.name : (Str){"", 0}});
    block_at(m, step)->gives = (Val){node};
    return step;
}

static void place_node(Maker *m, uint32_t node) {
    const Node *n = &m->g->nodes.at[node];
    uint32_t b = m->out.of[node] = block_of_node(m, node);
    for (uint32_t k = 0; b && k < n->n; k++) {
        uint32_t from = m->out.of[m->g->operands.at[n->first + k].i];
        if (from) put_before(m, from, b);
    }
}

/* The block that reads block b; 0: none or several. */
static uint32_t reader_of(const Maker *m, uint32_t b) {
    uint32_t found = 0;
    for (uint32_t i = 1; i < m->g->nodes.n; i++) {
        const Node *n = &m->g->nodes.at[i];
        uint32_t to = m->out.of[i];
        for (uint32_t k = 0; to && to != b && k < n->n; k++) {
            if (m->out.of[m->g->operands.at[n->first + k].i] != b || to == found) continue;
            if (found) return 0;
            found = to;
        }
    }
    return found;
}

/* What a layer's own function does before its parameters come in (statistics of a norm) is part of the layer,
 * and a step whose only reader goes on with the same function part of that. */
static void absorb_steps(Maker *m) {
    for (uint32_t b = m->out.at.n; b > 0; b--) {
        if (block_at(m, b)->kind != BLOCK_STEP) continue;
        uint32_t to = reader_of(m, b);
        if (!to) continue;
        const PictureBlock *reader = block_at(m, to);
        Str own = reader->kind == BLOCK_LAYER  ? program_enclosing(m->p, reader->at).name
                  : reader->kind == BLOCK_STEP ? reader->name
                                               : (Str){"", 0};
        if (!str_eq(own, block_at(m, b)->name)) continue;
        for (uint32_t i = 1; i < m->g->nodes.n; i++)
            if (m->out.of[i] == b) m->out.of[i] = to;
        block_at(m, b)->absorbed = true;
    }
}

Blocks picture_blocks(Arena *a, const Program *p, const Graph *g) {
    Maker m = {.a = a, .p = p, .g = g, .words = g->nodes.n / 64 + 1};
    m.out.of = PUSH(a, uint32_t, g->nodes.n);
    m.target = PUSH(a, uint32_t, g->nodes.n);
    m.data = PUSH(a, bool, g->nodes.n);
    m.reader = PUSH(a, Str, g->nodes.n);
    m.several = PUSH(a, bool, g->nodes.n);
    m.layered = PUSH(a, bool, g->nodes.n);
    find_data(&m);
    find_targets(&m);
    find_readers(&m);
    for (uint32_t i = 1; i < g->nodes.n; i++)
        if (m.target[i]) place_node(&m, i);
    absorb_steps(&m);
    return m.out;
}
