/* Gradient of a function of the user's: another one, given the operands, the results and the cotangents of the
 * float results (zeros where nothing reaches one), gives the cotangents of the float operands.  It has no
 * gradient itself: who differentiates twice is told. */
#include "vjp.h"

static bool is_float(Type t) { return dtype_is_float(t.dtype); }

bool vjp_extern(Build *b, Val v, const Val *g, const bool *needed, Val *out, Diags *ds) {
    const Node n = *node_of(b->g, v);
    const Extern *x = n.attr.external;
    for (uint32_t k = 0; k < n.n; k++) out[k] = (Val){0};
    if (x->nograd) return true;
    if (x->gradient.n == 0) {
        Diag *d = diag_add(ds, DIAG_EXTERN, n.span, "a second gradient: `%.*s` is a gradient and has none itself",
                           FSTR(x->symbol));
        diag_note(d, "a function in C says how it is differentiated once");
        diag_help(d, "write it in the language where `grad(..)` of it stands in a loss, or `stop_gradient` around it");
        return false;
    }
    Arena *a = b->g->arena;
    Val *in = PUSH(a, Val, n.n + 2 * x->n_results + 1);
    Type *results = PUSH(a, Type, n.n + 1);
    uint32_t n_in = 0, n_results = 0;
    b->at = n.span;
    for (uint32_t k = 0; k < n.n; k++) in[n_in++] = operand(b->g, v, k);
    for (uint32_t i = 0; i < x->n_results; i++) in[n_in++] = build_result(b, v, i);
    for (uint32_t i = 0; i < x->n_results; i++) {
        Type t = x->results[i];
        if (is_float(t)) in[n_in++] = g[i].i ? g[i] : build_splat(b, t.dtype, 0, t.shape);
    }
    for (uint32_t k = 0; k < n.n; k++)
        if (is_float(type_of(b->g, in[k]))) results[n_results++] = type_of(b->g, in[k]);
    if (n_results == 0) return true;
    Extern *back = PUSH(a, Extern, 1);
    *back = (Extern){.library = x->library, .symbol = x->gradient, .batch = x->batch, .n_extents = x->n_extents,
                     .extents = x->extents, .n_results = n_results, .results = results};
    Val made = build_extern(b, back, n_in, in);
    uint32_t member = 0;
    for (uint32_t k = 0; k < n.n; k++) {
        if (!is_float(type_of(b->g, in[k]))) continue;
        if (needed[k]) out[k] = build_result(b, made, member);
        member++;
    }
    return true;
}
