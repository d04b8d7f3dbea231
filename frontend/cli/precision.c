/* What `precision` does to a program, for those who print it: the type, and how many products it is about. */
#include "check.h"

static void count(const Graph *g, Products *p) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_scan) count(n->attr.scan->body, p);
        if (n->op != OP_contract) continue;
        DType t = type_of(g, operand(g, (Val){i}, 0)).dtype;
        p->all++;
        if (t != DT_BF16 && t != DT_F16) continue;
        p->rounded++;
        p->type = t;
    }
}

Products precision_products(const Graph *compiled) {
    Products p = {.type = DT_F32};
    count(compiled, &p);
    return p;
}

void check_precision(const Check *c, const RecipePhase *p) {
    if (p->precision == DT_F32) return;
    Str of = check_of_phase(c, p);
    const char *type = dtype_name(p->precision);
    if (!c->json) {
        printf("precision%.*s  %s: operands of the models' products; the rest of a step is f32%s\n", FSTR(of),
               type, p->precision == DT_F16 ? "; the loss is scaled" : "");
        return;
    }
    json_t *j = json_object();
    json_object_set_new(j, "phase", json_text(p->name));
    json_object_set_new(j, "products", json_string(type));
    check_object(c, "precision", j);
}
