/* Cells: the places that kernels read and write, made when first asked for, and the small questions about
 * nodes that every file of this folder asks. */
#include "fuse_parts.h"

Cell *cell_at(Planner *p, uint32_t cell) { return &p->entry->cells.at[cell]; }

/* Names go into the text of kernels and plans: letters, digits, `.` and `_`. */
static Str plain_name(Arena *a, Str s) {
    Str r = str_copy(a, s);
    for (uint32_t i = 0; i < r.n; i++) {
        char *c = (char *)r.s + i;
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                     *c == '_' || *c == '.';
        *c = plain ? *c : '_';
    }
    return r;
}

uint32_t cell_add(Planner *p, Cell c) {
    c.name = plain_name(p->arena, c.name);
    if (c.count == 0)
        c.count = shape_count(c.shape);
    vec_push(p->arena, &p->entry->cells, c);
    return p->entry->cells.n - 1;
}

uint32_t cell_packed(Planner *p, Str name, DType t, int64_t count, Val v) {
    return cell_add(p, (Cell){.kind = CELL_PACKED,
                              .name = name,
                              .dtype = t,
                              .shape = shape_of(1, &count),
                              .region = REGION_ACT,
                              .loop = p->loop,
                              .graph = p->g,
                              .made_of = v});
}

uint32_t cell_of_var(Planner *p, uint32_t var) {
    static const Region region_of[] = {[VAR_PARAM] = REGION_PARAM,
                                       [VAR_STATE] = REGION_STATE,
                                       [VAR_OPTIM] = REGION_OPTIM,
                                       [VAR_METRIC] = REGION_METRIC};
    const Var *v = &p->entry->module->vars.at[var];
    if (p->entry->var_cell[var] == 0)
        p->entry->var_cell[var] = cell_add(p, (Cell){.kind = CELL_VAR,
                                                     .name = v->path,
                                                     .dtype = v->dtype,
                                                     .shape = v->shape,
                                                     .region = region_of[v->kind],
                                                     .var = var});
    return p->entry->var_cell[var];
}

uint32_t cell_of_column(Planner *p, uint32_t column) {
    for (uint32_t i = 1; i < p->entry->cells.n; i++) {
        if (p->entry->cells.at[i].kind == CELL_COLUMN && p->entry->cells.at[i].var == column)
            return i;
    }
    const Column *c = &p->g->columns.at[column];
    return cell_add(p, (Cell){.kind = CELL_COLUMN,
                              .name = intern_str(p->g->module->names, c->name),
                              .dtype = c->dtype,
                              .shape = c->shape,
                              .region = REGION_BATCH,
                              .var = column});
}

static uint32_t tuple_members(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    if (n->op == OP_scan)
        return n->attr.scan->n_carries + n->attr.scan->n_collected;
    if (n->op == OP_extern)
        return n->attr.external->n_results;
    return n->op == OP_reduce && n->attr.reduce.kind == REDUCE_MOMENTS ? 2 : 1;
}

/* Does a kernel load each element that anyone asks for?  Others are given the cell as it lies. */
static bool only_loaded(const Graph *g, Val v) {
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        if (val_eq(g->outputs.at[i].val, v))
            return false;
    }
    for (uint32_t i = v.i + 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        bool given = n->op == OP_scan || n->op == OP_extern || n->op == OP_check || n->op == OP_commit ||
                     n->op == OP_after || n->op == OP_result;
        for (uint32_t k = 0; given && k < n->n; k++) {
            if (val_eq(operand(g, (Val){i}, k), v))
                return false;
        }
    }
    return true;
}

/* Places in a short row, of a pooling window, are bytes in memory: a load widens them. */
static DType stored_as(const Planner *p, Val v, Type t) {
    enum { BYTES = 256 };
    const Node *n = node_of(p->g, v);
    bool place = n->op == OP_reduce && (n->attr.reduce.kind == REDUCE_ARGMAX || n->attr.reduce.kind == REDUCE_ARGMIN);
    if (!place || t.dtype != DT_I32 || !p->entry->options->fused || !only_loaded(p->g, v))
        return t.dtype;
    int64_t row = reduce_row(p->g, v);
    return row > 0 && row <= BYTES ? DT_U8 : t.dtype;
}

uint32_t cell_of_value(Planner *p, Val v, uint32_t member) {
    Info *in = &p->info[v.i];
    uint32_t members = tuple_members(p->g, v);
    for (uint32_t i = 0, first = in->cell; first == 0 && i < members; i++) {
        Type t = members > 1 || node_of(p->g, v)->op == OP_scan ? result_type(p->g, v, i) : type_of(p->g, v);
        uint32_t name = node_of(p->g, v)->name;
        Str text = name ? str_format(p->arena, "%.*s.%u", FSTR(intern_str(p->g->module->names, name)), v.i)
                        : str_format(p->arena, "v%u", v.i);
        text = i > 0 ? str_format(p->arena, "%.*s.%u", FSTR(text), i) : text;
        uint32_t cell = cell_add(p, (Cell){.kind = CELL_VALUE,
                                           .name = text,
                                           .dtype = stored_as(p, v, t),
                                           .shape = t.shape,
                                           .region = REGION_ACT,
                                           .loop = p->loop,
                                           .graph = p->g,
                                           .made_of = v});
        in->cell = i == 0 ? cell : in->cell;
    }
    return in->cell + member;
}

uint32_t cell_of_operand(Planner *p, Val x) {
    const Node *n = node_of(p->g, x);
    if (n->op == OP_result)
        return cell_of_value(p, operand(p->g, x, 0), n->attr.index);
    if (p->info[x.i].stored || n->op != OP_arg)
        return cell_of_value(p, x, 0);
    return n->attr.arg.kind == ARG_VAR ? cell_of_var(p, n->attr.arg.id) : cell_of_column(p, n->attr.arg.id);
}

bool node_is_leaf(const Graph *g, Val v) {
    Op op = (Op)node_of(g, v)->op;
    return op == OP_arg || op == OP_const;
}

int64_t scatter_picks(const Graph *g, Val v) {
    Shape index = node_of(g, operand(g, v, 1))->shape;
    uint32_t batch = node_of(g, v)->attr.gather.batch;
    return shape_count(shape_of(index.rank - batch, index.dim + batch));
}

/* A few updates to a row (the gradient of picking a label) are choices made at each of its elements. */
bool node_is_stage(const Graph *g, Val v) {
    enum { FEW = 2 };
    Op op = (Op)node_of(g, v)->op;
    return op == OP_reduce || op == OP_contract || op == OP_scan || op == OP_extern ||
           op_class(op) == CLASS_ORDER ||
           (op == OP_scatter_add && scatter_picks(g, v) > FEW);
}

/* ns for 16 elements of the operation alone, about: what recomputing it costs against a load. */
float node_cost(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    MathFn fn;
    switch (op_class((Op)n->op)) {
    case CLASS_LEAF: return n->op == OP_random ? 30 : n->op == OP_arg && n->shape.rank > 0 ? 0.5f : 0;
    case CLASS_ELT:
        return op_math((Op)n->op, &fn)                                                      ? 12
               : n->op == OP_div || n->op == OP_sqrt || n->op == OP_idiv || n->op == OP_mod ? 4
                                                                                            : 1;
    case CLASS_VIEW:
        return n->op == OP_gather ? 8 : n->op == OP_pad || n->op == OP_concat || n->op == OP_window ? 2 : 0;
    case CLASS_SUM: return n->op == OP_scatter_add && !node_is_stage(g, v) ? 3 : 0.5f;
    case CLASS_ORDER:
    case CLASS_CONTROL:
    case CLASS_EFFECT: return 0.5f; /* a load of what it made */
    }
    return 0;
}

uint32_t reduce_members(const Node *n) {
    return n->op == OP_reduce && n->attr.reduce.kind == REDUCE_MOMENTS ? 2 : 1;
}

int64_t reduce_row(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    int64_t row = 1;
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) {
        row *= node_of(g, operand(g, v, 0))->shape.dim[n->attr.reduce.at[i]];
    }
    return row;
}

/* Its kept axes all stand before the reduced ones. */
bool reduce_is_trailing(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    uint32_t rank = node_of(g, operand(g, v, 0))->shape.rank, kept = rank - n->attr.reduce.n;
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) {
        if (n->attr.reduce.at[i] < kept)
            return false;
    }
    return true;
}

/* Fewer rows are not worth the partial sums of 16 lanes. */
bool reduce_sums_head(const Graph *g, Val v) {
    enum { ROWS_LEAST = 16 * LANES };
    const Node *n = node_of(g, v);
    if (n->op != OP_reduce || n->attr.reduce.n != 1 || n->attr.reduce.at[0] != 0)
        return false;
    ReduceKind k = n->attr.reduce.kind;
    bool single = k != REDUCE_ARGMAX && k != REDUCE_ARGMIN && k != REDUCE_MOMENTS;
    return single && n->shape.rank > 0 && shape_count(n->shape) > 1 &&
           node_of(g, operand(g, v, 0))->shape.dim[0] >= ROWS_LEAST;
}

void refuse(Planner *p, Val user, Val producer, RefusalKind why) {
    for (uint32_t i = p->entry->planned->refusals.n; i-- > 0;) {
        const Refusal *r = &p->entry->planned->refusals.at[i];
        if (r->graph != p->g)
            break;
        if (val_eq(r->user, user) && val_eq(r->producer, producer))
            return;
    }
    vec_push(p->arena, &p->entry->planned->refusals, (Refusal){p->g, user, producer, why});
}

static const char *const refusal_moves[] = {
#define REFUSAL(id, move, text) move,
#include "refusals.def"
#undef REFUSAL
};
static const char *const refusal_texts[] = {
#define REFUSAL(id, move, text) text,
#include "refusals.def"
#undef REFUSAL
};
const char *refusal_move(RefusalKind k) { return refusal_moves[k]; }
const char *refusal_text(RefusalKind k) { return refusal_texts[k]; }
