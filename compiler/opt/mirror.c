/* Matrices that are their own transpose.  x^T x is one, to the bit: the terms of an element and of its mirror image are
 * the same products in the same order.  So is what arithmetic makes of such matrices, element by element.  A product
 * that sums over one axis of a mirror image may as well sum over the other: here it sums over the one in front, which
 * is how tiles read an operand where it lies; and the two products of the gradient of a covariance become one. */
#include "permute.h"
#include "rule.h"

/* Two axes that change places. */
typedef struct { const Graph *g; uint32_t i, j; } Swap;

static uint32_t swapped(const Swap *s, uint32_t axis) { return axis == s->i ? s->j : axis == s->j ? s->i : axis; }

static bool image(Swap s, Val v, Val w, uint32_t *steps);

static bool commutes(Op op) { return op == OP_add || op == OP_mul || op == OP_eq || op == OP_and || op == OP_or; }

static bool elementwise(Swap s, Val v, Val w, uint32_t *steps) {
    const Node *n = node_of(s.g, v);
    bool straight = true;
    for (uint32_t k = 0; k < n->n && straight; k++)
        straight = image(s, operand(s.g, v, k), operand(s.g, w, k), steps);
    return straight || (commutes((Op)n->op) && image(s, operand(s.g, v, 0), operand(s.g, w, 1), steps) &&
                        image(s, operand(s.g, v, 1), operand(s.g, w, 0), steps));
}

/* Of what is spread along neither of the two axes, or along both, or v along one and w along the other. */
static bool broadcast(Swap s, Val v, Val w, uint32_t *steps) {
    const Node *n = node_of(s.g, v), *m = node_of(s.g, w);
    uint32_t own[2] = {MAX_RANK, MAX_RANK};
    if (n->attr.axes.n != m->attr.axes.n) return false;
    for (uint32_t k = 0; k < n->attr.axes.n; k++) {
        if (n->attr.axes.at[k] == s.i) own[0] = k;
        if (n->attr.axes.at[k] == s.j) own[1] = k;
    }
    bool both = own[0] < MAX_RANK && own[1] < MAX_RANK;
    for (uint32_t k = 0; k < n->attr.axes.n; k++)
        if ((both ? n->attr.axes.at[k] : swapped(&s, n->attr.axes.at[k])) != m->attr.axes.at[k]) return false;
    Val x = operand(s.g, v, 0), y = operand(s.g, w, 0);
    return both ? image((Swap){s.g, own[0], own[1]}, x, y, steps) : val_eq(x, y);
}

/* x^T x: the dims of one operand are those of the other, but for the two of the result that change places. */
static bool gram(Swap s, Val v) {
    const Contract *c = node_of(s.g, v)->attr.contract;
    if (c->n_windows > 0 || c->rank[0] != c->rank[1] || !val_eq(operand(s.g, v, 0), operand(s.g, v, 1))) return false;
    uint32_t p = c->dim[2][s.i], q = c->dim[2][s.j];
    for (uint32_t k = 0; k < c->rank[0]; k++) {
        uint32_t d = c->dim[0][k];
        if ((d == p ? q : d == q ? p : d) != c->dim[1][k]) return false;
    }
    return true;
}

/* Is w what v is when the two axes change places?  steps: how many more nodes may be looked at. */
static bool image(Swap s, Val v, Val w, uint32_t *steps) {
    const Node *n = node_of(s.g, v), *m = node_of(s.g, w);
    Imm number;
    if (val_eq(v, w) && value_is_number(s.g, v, &number)) return true;
    if (*steps == 0 || n->op != m->op || n->dtype != m->dtype) return false;
    --*steps;
    if (op_class((Op)n->op) == CLASS_ELT) return elementwise(s, v, w, steps);
    if (n->op == OP_broadcast) return broadcast(s, v, w, steps);
    if (n->op == OP_iota) return swapped(&s, n->attr.axis) == m->attr.axis;
    return n->op == OP_contract && val_eq(v, w) && gram(s, v);
}

static bool mirrors(const Graph *g, Val v, uint32_t i, uint32_t j) {
    enum { STEPS = 64 };
    uint32_t steps = STEPS;
    return image((Swap){g, i, j}, v, v, &steps);
}

static bool sums_over(const Contract *c, uint32_t dim) {
    for (uint32_t i = 0; i < c->n_over; i++)
        if (c->over[i] == dim) return true;
    return false;
}

Val mirror_turned(Build *b, Val v) {
    const Node *n = node_of(b->g, v);
    if (n->op != OP_contract || n->attr.contract->n_windows > 0) return (Val){0};
    const Contract *c = n->attr.contract;
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t j = 1; j < c->rank[side]; j++) {
            for (uint32_t i = 0; i < j; i++) {
                uint32_t front = c->dim[side][i], back = c->dim[side][j];
                if (c->extent[front] != c->extent[back] || sums_over(c, front) || !sums_over(c, back) ||
                    !mirrors(b->g, operand(b->g, v, side), i, j))
                    continue;
                Contract *turned = contract_new(b->g->arena);
                *turned = *c;
                turned->dim[side][i] = (uint8_t)back, turned->dim[side][j] = (uint8_t)front;
                return build_contract(b, operand(b->g, v, 0), operand(b->g, v, 1), turned);
            }
        }
    }
    return (Val){0};
}
