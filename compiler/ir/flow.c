/* An elementwise operation passes a cotangent to an operand unless its rule is "-"; the few others that do not are
 * those with an index, and whatever is not a float. */
#include "flow.h"

static const char *const rules[OP_COUNT][3] = {
#define GRAD(op, r0, r1, r2) [OP_##op] = {r0, r1, r2},
#include "grads.def"
#undef GRAD
};

Flow flow_into(const Graph *g, Val v, uint32_t k) {
    const Node *n = node_of(g, v);
    if (n->op == OP_grad_as && !(n->n == 2 && k == 1)) return FLOW_STOPPED;
    if (n->op == OP_extern) {
        bool real = dtype_is_float(type_of(g, operand(g, v, k)).dtype);
        return n->attr.external->nograd ? FLOW_STOPPED : real ? FLOW_YES : FLOW_ZERO;
    }
    if (!dtype_is_float((DType)n->dtype)) return FLOW_ZERO;
    if (n->op == OP_gather || n->op == OP_scatter_add) return k == 1 ? FLOW_ZERO : FLOW_YES;
    if (n->op == OP_argsort) return FLOW_ZERO;
    if (op_class((Op)n->op) != CLASS_ELT || n->op == OP_cast) return FLOW_YES;
    const char *rule = rules[n->op][k];
    return rule[0] == '-' && rule[1] == 0 ? FLOW_ZERO : FLOW_YES;
}
