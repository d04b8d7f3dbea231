/* The model: layers with what they give and their parameters, by model; what goes in, the losses at the end.
 */
#include "blocks.h"
#include "sheet.h"

typedef struct {
    Str model;
    Agraph_t *frame;
} ModelFrame;
typedef struct {
    Sheet *s;
    const Program *p;
    const Graph *g;
    Blocks blocks;
    Agraph_t *in;
    VEC(ModelFrame) models;
    Agnode_t **box;
} Model;

static Agraph_t *frame_of(Model *m, Str model) {
    if (model.n == 0) return m->in;
    for (uint32_t i = 0; i < m->models.n; i++)
        if (str_eq(m->models.at[i].model, model)) return m->models.at[i].frame;
    uint64_t parameters = 0;
    for (uint32_t i = 0; i < m->blocks.at.n; i++)
        if (str_eq(m->blocks.at.at[i].model, model)) parameters += m->blocks.at.at[i].parameters;
    Arena *a = m->s->arena;
    Str title =
        str_format(a, "%.*s: %.*s parameters", FSTR(model), FSTR(scaled_text(a, (double)parameters, "")));
    vec_push(a, &m->models, (ModelFrame){model, sheet_frame(m->s, m->in, title)});
    return m->models.at[m->models.n - 1].frame;
}

/* The path within its model: the frame has the model's name. */
static Str own_name(const PictureBlock *b) {
    bool inside = b->model.n > 0 && str_starts(b->name, b->model.s) && b->name.n > b->model.n;
    return inside ? (Str){b->name.s + b->model.n + 1, b->name.n - b->model.n - 1} : b->name;
}

static Str shape_text(const Model *m, Val v) {
    Buf out = buf_make(m->s->arena);
    buf_shape(&out, node_of(m->g, v)->shape);
    return buf_str(&out);
}

/* What a loss counts in the total: a setting, a number, or nothing that is one for good. */
static Str weight_text(const Model *m, Str loss) {
    Arena *a = m->s->arena;
    const Module *module = m->g->module;
    for (uint32_t i = 0; i < m->g->outputs.n; i++) {
        const Output *o = &m->g->outputs.at[i];
        if (o->kind != OUT_WEIGHT || !str_eq(intern_str(module->names, o->name), loss)) continue;
        const Node *n = node_of(m->g, o->val);
        if (n->op == OP_const) return str_format(a, "%g", n->attr.constant.f);
        if (n->op != OP_arg || n->attr.arg.kind != ARG_UNIFORM) break;
        const UInst *u = &module->uniforms->insts.at[module->uniforms->outputs.at[n->attr.arg.id].inst];
        if (u->op != U_INPUT) return STR("on a schedule");
        Str name = module->uniforms->inputs.at[u->input].name;
        return str_starts(name, "setting.") ? (Str){name.s + 8, name.n - 8} : name;
    }
    return (Str){"", 0};
}

static void draw_block(Model *m, uint32_t i) {
    const PictureBlock *b = &m->blocks.at.at[i];
    if (b->absorbed) return;
    static const Look looks[] = {[BLOCK_INPUT] = LOOK_INPUT,
                                 [BLOCK_LAYER] = LOOK_LAYER,
                                 [BLOCK_STEP] = LOOK_STEP,
                                 [BLOCK_LOSS] = LOOK_LOSS,
                                 [BLOCK_TOTAL] = LOOK_LOSS};
    Label l = label_make(m->s);
    label_line(&l, "%s%.*s", b->kind == BLOCK_LOSS ? "loss " : "", FSTR(own_name(b)));
    if (b->with.n) label_line(&l, "then %.*s", FSTR(b->with));
    if (b->gives.i && node_of(m->g, b->gives)->shape.rank > 0)
        label_line(&l, "%.*s", FSTR(shape_text(m, b->gives)));
    Str weight = b->kind == BLOCK_LOSS ? weight_text(m, b->name) : (Str){"", 0};
    if (weight.n && !str_is(weight, "1")) label_line(&l, "weight %.*s", FSTR(weight));
    if (b->kind == BLOCK_STEP || b->kind == BLOCK_LOSS) {
        Str place = place_text(m->s->arena, m->g->module->sources, b->at);
        if (place.n) label_line(&l, "%.*s", FSTR(place));
    }
    if (b->parameters)
        label_line(&l, "%.*s parameters", FSTR(scaled_text(m->s->arena, (double)b->parameters, "")));
    m->box[i] = sheet_box(m->s, frame_of(m, b->model), looks[b->kind], &l);
}

static void draw_arrows(Model *m) {
    const Graph *g = m->g;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        uint32_t to = m->blocks.of[i];
        for (uint32_t k = 0; to && k < n->n; k++) {
            uint32_t from = m->blocks.of[g->operands.at[n->first + k].i];
            if (from && from != to) sheet_arrow(m->s, m->box[from - 1], m->box[to - 1], LOOK_STEP, false);
        }
    }
}

bool picture_model(Sheet *s, const Program *p, const Graph *lowered) {
    Model m = {.s = s, .p = p, .g = lowered, .blocks = picture_blocks(s->arena, p, lowered)};
    if (m.blocks.at.n == 0) return false;
    m.in = sheet_frame(s, NULL, intern_str(lowered->module->names, lowered->name));
    m.box = PUSH(s->arena, Agnode_t *, m.blocks.at.n);
    for (uint32_t i = 0; i < m.blocks.at.n; i++)
        draw_block(&m, i);
    draw_arrows(&m);
    return true;
}
