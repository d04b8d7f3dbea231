/* A graph: operations with their shapes and lines, layers in frames, gradients in another colour. Elementwise
 * chains are one box, a layer's update is one, metrics are one; constants are left out and parameters named
 * in the box that takes them in.  Of a large graph a block is one box, and a gradient goes on in a box until
 * it meets another or a product.  The gradient runs up the page beside what it is the gradient of: its arrows
 * are drawn upwards. */
#include "blocks.h"
#include "sheet.h"
#include <string.h>

typedef enum { ROLE_NONE, ROLE_FORWARD, ROLE_GRADIENT, ROLE_UPDATE, ROLE_METRIC } Role;
enum { OPS_SHOWN = 6, LARGE = 400 };
typedef struct {
    Role role;
    Str title;      /* of an update; else empty */
    uint32_t block; /* 1 + block that frames it */
    uint32_t nodes;
    Val first, last;
    Buf ops, weights;
    Agnode_t *drawn;
} Box;
typedef struct {
    Sheet *s;
    const Program *p;
    const Graph *g;
    Blocks blocks;
    Role *role;
    bool *varies;  /* by node: depends on more than constants and settings */
    bool *weight;  /* by node: a variable, or a view of one */
    uint32_t *box; /* by node: 1 + box */
    bool large;
    VEC(Box) boxes;
} Drawing;

static uint32_t operand_at(const Graph *g, const Node *n, uint32_t k) {
    return g->operands.at[n->first + k].i;
}

static bool is_update(const Drawing *d, const Node *n) {
    Str word = program_enclosing(d->p, n->span).word;
    return str_is(word, "optimizer") || (str_is(word, "train") && n->op != OP_grad && n->op != OP_result);
}

static void mark_operands(Drawing *d, bool *set, uint32_t i) {
    const Node *n = &d->g->nodes.at[i];
    for (uint32_t k = 0; k < n->n; k++)
        set[operand_at(d->g, n, k)] = true;
}

static void find_roles(Drawing *d) {
    const Graph *g = d->g;
    bool *forward = PUSH(d->s->arena, bool, g->nodes.n), *trains = PUSH(d->s->arena, bool, g->nodes.n),
         *counts = PUSH(d->s->arena, bool, g->nodes.n);
    for (uint32_t i = 0; i < g->outputs.n; i++)
        forward[g->outputs.at[i].val.i] = true;
    for (uint32_t i = g->nodes.n; i-- > 1;) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_commit) {
            VarKind kind = g->module->vars.at[n->attr.commit.var].kind;
            bool *set = kind == VAR_PARAM || kind == VAR_OPTIM ? trains : counts;
            set[i] = true;
        }
        if (forward[i]) mark_operands(d, forward, i);
        if (trains[i]) mark_operands(d, trains, i);
        if (counts[i]) mark_operands(d, counts, i);
        d->role[i] = forward[i]  ? ROLE_FORWARD
                     : trains[i] ? is_update(d, n) ? ROLE_UPDATE : ROLE_GRADIENT
                     : counts[i] ? ROLE_METRIC
                                 : ROLE_NONE;
    }
}

static void find_kinds(Drawing *d) {
    for (uint32_t i = 1; i < d->g->nodes.n; i++) {
        const Node *n = &d->g->nodes.at[i];
        bool arg = n->op == OP_arg, view = op_class((Op)n->op) == CLASS_VIEW || n->op == OP_cast;
        d->varies[i] = n->op == OP_random || (arg && n->attr.arg.kind != ARG_UNIFORM);
        d->weight[i] =
            (arg && n->attr.arg.kind == ARG_VAR) || (view && n->n == 1 && d->weight[operand_at(d->g, n, 0)]);
        for (uint32_t k = 0; k < n->n; k++)
            d->varies[i] = d->varies[i] || d->varies[operand_at(d->g, n, k)];
    }
}

static Box *box_add(Drawing *d, Role role, uint32_t node) {
    Arena *a = d->s->arena;
    vec_push(a, &d->boxes, (Box){.role = role, .first = {node}, .ops = buf_make(a), .weights = buf_make(a)});
    return &d->boxes.at[d->boxes.n - 1];
}

static uint32_t titled_box(Drawing *d, Role role, Str title) {
    for (uint32_t i = 0; i < d->boxes.n; i++)
        if (d->boxes.at[i].role == role && str_eq(d->boxes.at[i].title, title)) return 1 + i;
    box_add(d, role, 0)->title = title;
    return d->boxes.n;
}

static bool is_drawn(const Drawing *d, uint32_t node) {
    return d->varies[node] && !d->weight[node] &&
           (d->role[node] == ROLE_FORWARD || d->role[node] == ROLE_GRADIENT);
}

/* What may go on in the box of its operand. */
static bool may_join(const Drawing *d, const Node *n, Role role) {
    OpClass c = op_class((Op)n->op);
    bool elementwise = c == CLASS_ELT || c == CLASS_VIEW || n->op == OP_result;
    return elementwise || (d->large && role == ROLE_GRADIENT && n->op != OP_contract && n->op != OP_scan);
}

static bool is_input(const Drawing *d, uint32_t block) {
    return block && d->blocks.at.at[block - 1].kind == BLOCK_INPUT;
}

static uint32_t box_of_block(const Drawing *d, uint32_t block) {
    for (uint32_t i = 0; block && i < d->boxes.n; i++)
        if (d->boxes.at[i].block == block) return 1 + i;
    return 0;
}

/* The box of an elementwise chain that it goes on with; 0: it begins one. */
static uint32_t box_to_join(const Drawing *d, uint32_t node) {
    const Node *n = &d->g->nodes.at[node];
    uint32_t found = 0;
    if (d->large && d->role[node] == ROLE_FORWARD && !is_input(d, d->blocks.of[node]))
        return box_of_block(d, d->blocks.of[node]);
    if (!may_join(d, n, d->role[node])) return 0;
    for (uint32_t k = 0; k < n->n; k++) {
        uint32_t b = d->box[operand_at(d->g, n, k)];
        if (b == 0 || b == found) continue;
        if (found || d->boxes.at[b - 1].role != d->role[node]) return 0;
        found = b;
    }
    bool framed = found && d->role[node] == ROLE_FORWARD;
    bool input = found && d->g->nodes.at[d->boxes.at[found - 1].first.i].op == OP_arg;
    if (input || (framed && d->blocks.of[node] != d->boxes.at[found - 1].block)) return 0;
    return found;
}

static void put_weight(Drawing *d, Box *b, uint32_t x) {
    while (d->g->nodes.at[x].op != OP_arg)
        x = operand_at(d->g, &d->g->nodes.at[x], 0);
    const Var *v = &d->g->module->vars.at[d->g->nodes.at[x].attr.arg.id];
    uint32_t from = v->path.n;
    while (from > 0 && v->path.s[from - 1] != '.')
        from--;
    buf_printf(&b->weights, "%s%.*s", b->weights.n ? ", " : "", (int)(v->path.n - from), v->path.s + from);
}

static void put_node(Drawing *d, uint32_t node) {
    const Node *n = &d->g->nodes.at[node];
    uint32_t join = box_to_join(d, node);
    if (!join) {
        box_add(d, d->role[node], node)->block = d->role[node] == ROLE_FORWARD ? d->blocks.of[node] : 0;
        join = d->boxes.n;
    }
    Box *b = &d->boxes.at[join - 1];
    if (b->nodes < OPS_SHOWN) buf_printf(&b->ops, "%s%s", b->nodes ? " " : "", op_name((Op)n->op));
    b->nodes++;
    b->last = (Val){node};
    d->box[node] = join;
    for (uint32_t k = 0; k < n->n; k++)
        if (d->weight[operand_at(d->g, n, k)]) put_weight(d, b, operand_at(d->g, n, k));
}

/* Boxes of what is needed for a commit and has none: one a layer. */
static void claim(Drawing *d, uint32_t node, uint32_t box, Role role) {
    const Node *n = &d->g->nodes.at[node];
    if (d->box[node] || d->role[node] != role || !d->varies[node] || d->weight[node]) return;
    d->box[node] = box;
    d->boxes.at[box - 1].nodes++;
    for (uint32_t k = 0; k < n->n; k++)
        claim(d, operand_at(d->g, n, k), box, role);
}

static Str update_title(const Drawing *d, uint32_t var) {
    const Module *m = d->g->module;
    const Var *v = &m->vars.at[var];
    if (v->kind == VAR_OPTIM && v->of) v = &m->vars.at[v->of - 1];
    if (v->kind != VAR_PARAM && v->kind != VAR_OPTIM) return STR("metrics and states");
    uint32_t n = v->path.n;
    while (n > 0 && v->path.s[n - 1] != '.')
        n--;
    return str_format(d->s->arena, "update %.*s", (int)(n ? n - 1 : v->path.n), v->path.s);
}

static void make_boxes(Drawing *d) {
    const Graph *g = d->g;
    uint32_t count = 0;
    for (uint32_t i = 1; i < g->nodes.n; i++)
        count += is_drawn(d, i);
    d->large = count > LARGE;
    for (uint32_t i = 1; i < g->nodes.n; i++)
        if (is_drawn(d, i)) put_node(d, i);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op != OP_commit) continue;
        VarKind kind = g->module->vars.at[n->attr.commit.var].kind;
        Role role = kind == VAR_PARAM || kind == VAR_OPTIM ? ROLE_UPDATE : ROLE_METRIC;
        d->role[i] = role;
        claim(d, i, titled_box(d, role, update_title(d, n->attr.commit.var)), role);
    }
}

static Str node_title(const Drawing *d, const Node *n) {
    if (n->op == OP_arg && n->attr.arg.kind == ARG_COLUMN)
        return intern_str(d->g->module->names, d->g->columns.at[n->attr.arg.id].name);
    return n->name ? intern_str(d->g->module->names, n->name) : (Str){"", 0};
}

static void put_type(Label *l, const Node *n) {
    Buf shape = buf_make(l->html.arena);
    buf_shape(&shape, n->shape);
    label_line(l, "%s%.*s", dtype_name((DType)n->dtype), FSTR(buf_str(&shape)));
}

static Label box_label(Drawing *d, const Box *b) {
    Label l = label_make(d->s);
    if (b->title.n) {
        label_line(&l, "%.*s", FSTR(b->title));
        label_line(&l, "%u operation%s", b->nodes, b->nodes == 1 ? "" : "s");
        return l;
    }
    const Node *last = node_of(d->g, b->last);
    if (last->op == OP_arg)
        label_line(&l, "%.*s", FSTR(node_title(d, last)));
    else if (b->nodes > OPS_SHOWN)
        label_line(&l, "%.*s .. %u more", FSTR(buf_str(&b->ops)), b->nodes - OPS_SHOWN);
    else
        label_line(&l, "%.*s", FSTR(buf_str(&b->ops)));
    if (b->weights.n) label_line(&l, "with %.*s", FSTR(buf_str(&b->weights)));
    put_type(&l, last);
    Str name = b->role == ROLE_FORWARD && last->op != OP_arg ? node_title(d, last) : (Str){"", 0};
    Str place = place_text(d->s->arena, d->g->module->sources, last->span);
    if (name.n || place.n)
        label_line(&l, "%.*s%s%.*s", FSTR(name), name.n && place.n ? "  " : "", FSTR(place));
    return l;
}

static Look box_look(const Drawing *d, const Box *b) {
    switch (b->role) {
    case ROLE_GRADIENT: return LOOK_GRADIENT;
    case ROLE_UPDATE: return LOOK_UPDATE;
    case ROLE_METRIC: return LOOK_METRIC;
    case ROLE_NONE:
    case ROLE_FORWARD: break;
    }
    if (node_of(d->g, b->first)->op == OP_arg) return LOOK_INPUT;
    BlockKind kind = b->block ? d->blocks.at.at[b->block - 1].kind : BLOCK_STEP;
    return kind == BLOCK_LAYER                         ? LOOK_LAYER
           : kind == BLOCK_LOSS || kind == BLOCK_TOTAL ? LOOK_LOSS
                                                       : LOOK_STEP;
}

static void draw_boxes(Drawing *d, Agraph_t *in) {
    Agraph_t **frame = PUSH(d->s->arena, Agraph_t *, d->blocks.at.n + 1);
    uint32_t *count = PUSH(d->s->arena, uint32_t, d->blocks.at.n + 1);
    for (uint32_t i = 0; i < d->boxes.n; i++)
        count[d->boxes.at[i].block]++;
    for (uint32_t i = 0; i < d->boxes.n; i++) {
        Box *b = &d->boxes.at[i];
        const PictureBlock *block = b->block ? &d->blocks.at.at[b->block - 1] : NULL;
        bool framed =
            block && block->kind != BLOCK_INPUT && (block->kind == BLOCK_LAYER || count[b->block] > 1);
        if (framed && !frame[b->block])
            frame[b->block] =
                sheet_frame(d->s, in,
                            str_format(d->s->arena, "%s%.*s", block->kind == BLOCK_LOSS ? "loss " : "",
                                       FSTR(block->name)));
        Label l = box_label(d, b);
        b->drawn = sheet_box(d->s, framed ? frame[b->block] : in, box_look(d, b), &l);
    }
}

static void draw_arrow(Drawing *d, const Box *from, const Box *to) {
    bool back = from->role == ROLE_GRADIENT && to->role == ROLE_GRADIENT;
    bool kept = from->role == ROLE_FORWARD && to->role == ROLE_GRADIENT;
    Look look = to->role == ROLE_GRADIENT && !kept ? LOOK_GRADIENT
                : to->role == ROLE_UPDATE          ? LOOK_UPDATE
                                                   : LOOK_STEP;
    Agedge_t *e = sheet_arrow(d->s, from->drawn, to->drawn, look, back);
    if (kept) {
        sheet_set(e, "style", "dashed");
        sheet_set(e, "color", "#bbbbbb");
    }
    if (from->role == ROLE_FORWARD && to->role == ROLE_METRIC) sheet_set(e, "style", "dotted");
}

static void draw_arrows(Drawing *d) {
    for (uint32_t i = 1; i < d->g->nodes.n; i++) {
        const Node *n = &d->g->nodes.at[i];
        for (uint32_t k = 0; d->box[i] && k < n->n; k++) {
            uint32_t from = d->box[operand_at(d->g, n, k)];
            if (from && from != d->box[i]) draw_arrow(d, &d->boxes.at[from - 1], &d->boxes.at[d->box[i] - 1]);
        }
    }
}

bool picture_graph(Sheet *s, const Program *p, const Graph *g) {
    Arena *a = s->arena;
    Drawing d = {.s = s, .p = p, .g = g, .blocks = picture_blocks(a, p, g)};
    d.role = PUSH(a, Role, g->nodes.n);
    d.varies = PUSH(a, bool, g->nodes.n);
    d.weight = PUSH(a, bool, g->nodes.n);
    d.box = PUSH(a, uint32_t, g->nodes.n);
    find_roles(&d);
    find_kinds(&d);
    make_boxes(&d);
    if (d.boxes.n == 0) return false;
    draw_boxes(&d, sheet_frame(s, NULL, intern_str(g->module->names, g->name)));
    draw_arrows(&d);
    return true;
}
