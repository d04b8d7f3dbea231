/* `batch n shards k`: a step takes its batch in k parts.  The graph of a run is lowered for a part; it adds its
 * gradients, each times the part's share of the rows, to sums beside the parameters (`PATH.shards`), in the order of
 * the parts.  The graph `RUN.update` of no rows takes them to the optimizers and begins them anew.
 *
 * That is the step of the whole batch only when the total is a mean over rows of what each row says by itself
 * (mixture.c); another is refused unless the text says `per shard`. */
#include "lower.h"

/* ---- sums of gradients ---- */

static uint32_t sum_of(Lower *l, uint32_t param) {
    const Var *v = &l->m->vars.at[param];
    Str path = str_format(l->a, "%.*s.shards", FSTR(v->path));
    Dim dim[MAX_RANK];
    bool fresh;
    l->optim_of = param + 1;
    uint32_t var = cell_var(l, VAR_OPTIM, path, DT_F32, v->shape, v->span, &fresh);
    l->optim_of = 0;
    v = &l->m->vars.at[param];
    for (uint32_t i = 0; i < v->shape.rank; i++) {
        dim[i] = dim_const(l->a, v->shape.dim[i]);
    }
    if (fresh) {
        cell_init(l, var, NULL, v->shape.rank, dim);
    }
    return var;
}

void shard_accumulate(Lower *l, uint32_t n, const uint32_t *vars, const Val *gradients) {
    Uniforms *u = l->m->uniforms;
    uint32_t rows = uniforms_input(u, STR("rows"), true), all = uniforms_input(u, STR("batch_rows"), true);
    V share = value_uniform(l, l->b.at, uniforms_op(u, U_DIV, rows, all, 0), ELEM_REAL);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t sum = sum_of(l, vars[i]);
        Val part = build_2(&l->b, OP_mul, uniform_val(l, share, DT_F32), gradients[i]);
        cell_set(l, sum, build_2(&l->b, OP_add, cell_now(l, sum), part));
    }
}

void shard_take(Lower *l, uint32_t n, const uint32_t *vars, Val *gradients) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t sum = sum_of(l, vars[i]);
        gradients[i] = cell_now(l, sum);
        cell_set(l, sum, build_splat(&l->b, DT_F32, 0, l->m->vars.at[sum].shape));
    }
}

static void check_loss(Lower *l, const LossTerm *t, Mixture m, const char *help) {
    if (m.kind == MIX_MEAN) {
        return;
    }
    Diag *d = report(l, DIAG_TRAIN_DECL, t->name.at,
                     m.kind == MIX_ROWS ? "loss `%.*s` mixes rows: in shards it is another loss"
                                        : "loss `%.*s` is a sum over rows: in shards it is another loss",
                     FSTR(t->name.text));
    if (m.kind == MIX_ROWS) {
        report_label(l, d, node_of(l->main_graph, m.by)->span, "not of each row by itself");
    }
    diag_help(d, m.kind == MIX_ROWS ? "%s" : "write a mean over rows; or %s", help);
}

void shard_check(Lower *l) {
    const Mixture *mixtures = mixture_losses(l);
    const char *help = "`per shard` behind `shards` takes each shard as a batch of its own";
    for (uint32_t i = 0; i < l->losses.n; i++) {
        check_loss(l, &l->losses.at[i], mixtures[i], help);
    }
    for (uint32_t i = 0; i < l->now.n; i++) {
        if (l->now.at[i].dirty && l->m->vars.at[i].kind == VAR_STATE) {
            Diag *d = report(l, DIAG_TRAIN_DECL, l->train->at, "the state `%.*s` would be written in every shard",
                             FSTR(l->m->vars.at[i].path));
            report_label(l, d, l->m->vars.at[i].span, "the state");
            diag_help(d, "%s", help);
        }
    }
}
