/* `precision f16` scales the loss: small cotangents would be zeros in f16 (2^-24 is its smallest number),
 * so the gradients are of scale * total, and what comes out is divided by the scale again, in f32.  The
 * scale is found in the run, by three variables RUN.loss_scale beside the optimizers' states:
 *
 *   some gradient is not finite    no weight and no optimizer's state changes; scale / 2, skipped + 1
 *   2000 steps in a row without    2 * scale
 *
 * All of it is part of the step's graph, so a skipped step needs nobody outside and is the same
 * everywhere; only the number of an update, a number of the trainer's, leaves skipped steps out
 * (runtime/train/scaling.c).  Losses of a skipped step count and states of models go on, as they do in a
 * loop that somebody writes around a scaler.  The scale stays a power of two: dividing by it is exact.
 * When it has come down to its end and a gradient is still not finite, nothing has overflowed, something
 * is wrong: then the step fails like one without a scale. */
#include "lower.h"
#include <math.h>

static const double START = 0x1p16, MOST = 0x1p24, LEAST = 0x1p-24, PATIENCE = 2000;

static bool scales(const Lower *l) {
    return l->train && l->p->recipe->phases.at[l->phase].precision == DT_F16;
}

static uint32_t variable(Lower *l, const char *what, double start) {
    const RecipePhase *p = &l->p->recipe->phases.at[l->phase];
    Str path = str_format(l->a, "%.*s.loss_scale%s", FSTR(p->runs.at[l->run].name), what);
    bool fresh;
    uint32_t var = cell_var(l, VAR_OPTIM, path, DT_F32, (Shape){0}, l->train->at, &fresh);
    if (fresh) {
        Build b = {l->p->init, l->train->at, name_id(l, path)};
        build_commit(&b, var, build_const(&b, DT_F32, start));
    }
    return var;
}

static uint32_t scale_variable(Lower *l) { return variable(l, "", START); }

Val scaling_total(Lower *l, Val total) {
    return scales(l) ? build_2(&l->b, OP_mul, cell_now(l, scale_variable(l)), total) : total;
}

bool scaling_undo(Lower *l, Val *gradient) {
    if (scales(l)) {
        Val back = build_2(&l->b, OP_div, build_const(&l->b, DT_F32, 1), cell_now(l, scale_variable(l)));
        *gradient = build_2(&l->b, OP_mul, back, *gradient);
    }
    return scales(l);
}

/* Are all elements finite? */
static Val all_finite(Build *b, Val x) {
    uint8_t axes[MAX_RANK], rank = node_of(b->g, x)->shape.rank;
    for (uint8_t i = 0; i < rank; i++) {
        axes[i] = i;
    }
    Val below = build_2(b, OP_lt, build_1(b, OP_abs, x), build_const(b, DT_F32, (double)INFINITY));
    return build_reduce(b, REDUCE_ALL, below, rank, axes);
}

static Val chosen(Build *b, Val condition, Val x, Val y) {
    return build_select(b, build_broadcast(b, condition, node_of(b->g, x)->shape, NULL), x, y);
}

Scaling scaling_begin(Lower *l, uint32_t n, Val *gradients) {
    Scaling s = {0};
    Build *b = &l->b;
    if (!scales(l) || n == 0) {
        return s;
    }
    b->at = l->train->at;
    s.sound = all_finite(b, gradients[0]);
    for (uint32_t i = 1; i < n; i++) {
        s.sound = build_2(b, OP_and, s.sound, all_finite(b, gradients[i]));
    }
    for (uint32_t i = 0; i < n; i++) { /* what is made of them is thrown away, but must not fail a check */
        Shape shape = node_of(b->g, gradients[i])->shape;
        gradients[i] = chosen(b, s.sound, gradients[i], build_splat(b, DT_F32, 0, shape));
    }
    s.n = l->now.n;
    s.before = PUSH(l->a, VarNow, s.n + 1);
    for (uint32_t i = 0; i < s.n; i++) {
        s.before[i] = l->now.at[i];
    }
    return s;
}

/* What a variable was before the updates, which need not have read it. */
static Val before(Lower *l, const Scaling *s, uint32_t var) {
    if (var < s->n && s->before[var].now.i) {
        return s->before[var].now;
    }
    const Var *v = &l->m->vars.at[var];
    return build_arg(&l->b, ARG_VAR, var, (Type){v->dtype, v->shape});
}

static void next_scale(Lower *l, Val sound) {
    Build *b = &l->b;
    uint32_t scale_var = scale_variable(l), calm_var = variable(l, ".healthy", 0);
    uint32_t lost_var = variable(l, ".skipped", 0);
    Val scale = cell_now(l, scale_var), calm = cell_now(l, calm_var), lost = cell_now(l, lost_var);
    Val zero = build_const(b, DT_F32, 0), one = build_const(b, DT_F32, 1), two = build_const(b, DT_F32, 2);
    Val least = build_const(b, DT_F32, LEAST), most = build_const(b, DT_F32, MOST);
    Val more = build_2(b, OP_add, calm, one);
    Val long_enough = build_2(b, OP_le, build_const(b, DT_F32, PATIENCE), more);
    Val up = build_2(b, OP_min, build_2(b, OP_mul, scale, two), most);
    Val down = build_2(b, OP_max, build_2(b, OP_div, scale, two), least);
    Val possible = build_2(b, OP_or, sound, build_2(b, OP_lt, least, scale));
    build_check(b, build_select(b, possible, zero, build_const(b, DT_F32, (double)INFINITY)),
                name_id(l, STR("gradients, at the smallest scale of the loss")));
    cell_set(l, scale_var, build_select(b, sound, build_select(b, long_enough, up, scale), down));
    cell_set(l, calm_var, build_select(b, sound, build_select(b, long_enough, zero, more), zero));
    cell_set(l, lost_var, build_select(b, sound, lost, build_2(b, OP_add, lost, one)));
}

void scaling_end(Lower *l, const Scaling *s) {
    if (s->sound.i == 0) {
        return;
    }
    l->b.at = l->train->at;
    for (uint32_t i = 0; i < l->now.n; i++) {
        Val now = l->now.at[i].now;
        if (l->now.at[i].dirty && !(i < s->n && val_eq(s->before[i].now, now))) {
            cell_set(l, i, chosen(&l->b, s->sound, now, before(l, s, i)));
        }
    }
    next_scale(l, s->sound);
}
