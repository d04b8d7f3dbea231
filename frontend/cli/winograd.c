/* What `convolution winograd` does to a program, for `check` and `explain`. */
#include "winograd.h"
#include "check.h"
#include "grad.h"
#include "opt.h"

void check_convolution(const Check *c, const RecipePhase *p) {
    if (!p->winograd) return;
    Str of = check_of_phase(c, p);
    if (!c->json) {
        printf("convolution%.*s  winograd: the models' convolutions of 3 taps, where it takes less time\n", FSTR(of));
        return;
    }
    json_t *j = json_object();
    json_object_set_new(j, "phase", json_text(p->name));
    json_object_set_new(j, "way", json_string("winograd"));
    check_object(c, "convolution", j);
}

static void explain_graph(const Session *s, const Graph *g, bool *any, FILE *out) {
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (n->op == OP_scan) explain_graph(s, n->attr.scan->body, any, out);
        if (n->op != OP_contract || !n->attr.contract->winograd) continue;
        if (!*any) fprintf(out, "\nconvolution winograd\n");
        *any = true;
        const Contract *c = n->attr.contract;
        const char *why = winograd_refusal(c);
        Buf type = buf_make(s->arena);
        buf_shape(&type, n->shape);
        Place at = sources_place(s->files, n->span);
        fprintf(out, "  %-8s %s%.*s  %.*s:%u%s%s\n", why ? "direct" : "winograd", dtype_name((DType)n->dtype),
                FSTR(buf_str(&type)), FSTR(at.path), at.line, why ? "  " : "", why ? why : "");
    }
}

void winograd_explain(Session *s, const Graph *lowered, FILE *out) {
    bool any = false;
    const Graph *checked = opt_check_indices(s->arena, lowered), *g = grad_expand(s->arena, checked, s->diags);
    if (g) explain_graph(s, g, &any, out);
}
