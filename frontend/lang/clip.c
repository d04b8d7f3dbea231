/* `clip norm x`: the gradients of a step, made shorter together when they are longer than x.  The norm is of
 * all of them: a sum of squares for each parameter, then these sums added in the order of the parameters, so
 * that it has the same bits however the work is shared out.
 *
 *   factor = min(1, x / (norm + 1e-6))            g = factor * g  for every gradient */
#include "lower.h"

static const TrainClause *clip_of(const Decl *train) {
    const TrainClause *found = NULL;
    for (uint32_t i = 0; i < train->train.clauses.n; i++) {
        found = train->train.clauses.at[i].kind == TC_CLIP ? &train->train.clauses.at[i] : found;
    }
    return found;
}

void clip_declare(Lower *l, const TrainClause *c) {
    uint32_t inst;
    double limit;
    if (!str_is(c->clip.what.text, "norm")) {
        Diag *d = report(l, DIAG_TRAIN_DECL, c->clip.what.at, "nothing clips by `%.*s`", FSTR(c->clip.what.text));
        diag_help(d, "`clip norm x` shortens all gradients together to the norm x");
        return;
    }
    if (number_expr_value(l, c->clip.limit, "the limit of a norm", &inst) &&
        uniforms_constant(l->m->uniforms, inst, &limit) && !(limit > 0)) {
        report(l, DIAG_TRAIN_DECL, c->clip.limit->at, "the limit of a norm is above 0, this is %g", limit);
    }
}

Val gradient_dot(Build *b, Val x, Val y) {
    uint8_t axes[MAX_RANK], rank = node_of(b->g, x)->shape.rank;
    for (uint8_t i = 0; i < rank; i++) {
        axes[i] = i;
    }
    return build_reduce(b, REDUCE_SUM, build_2(b, OP_mul, x, y), rank, axes);
}

void clip_gradients(Lower *l, const Decl *train, uint32_t n, Val *gradients) {
    const TrainClause *c = clip_of(train);
    if (c == NULL || n == 0) {
        return;
    }
    V limit = uniform_expr(l, c->clip.limit);
    if (limit->kind != VAL_DIM && limit->kind != VAL_UNIFORM) {
        return; /* reported by clip_declare */
    }
    Build *b = &l->b;
    Span saved = b->at;
    b->at = c->at;
    Val squares = gradient_dot(b, gradients[0], gradients[0]);
    for (uint32_t i = 1; i < n; i++) {
        squares = build_2(b, OP_add, squares, gradient_dot(b, gradients[i], gradients[i]));
    }
    Val norm = build_1(b, OP_sqrt, squares);
    build_check(b, norm, name_id(l, STR("norm of all gradients")));
    Val share = build_2(b, OP_div, uniform_val(l, limit, DT_F32),
                        build_2(b, OP_add, norm, build_const(b, DT_F32, 1e-6)));
    Val factor = build_2(b, OP_min, build_const(b, DT_F32, 1), share);
    for (uint32_t i = 0; i < n; i++) {
        gradients[i] = build_2(b, OP_mul, factor, gradients[i]);
    }
    b->at = saved;
}
