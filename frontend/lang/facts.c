/* Gathers the facts of a run (facts.h) when it is lowered to be checked. */
#include "facts.h"
#include "lower.h"

static RunFacts *facts_of(const Program *p, Str run) {
    for (uint32_t i = 0; i < p->facts.n; i++) {
        if (str_eq(p->facts.at[i]->run, run)) {
            return p->facts.at[i];
        }
    }
    return NULL;
}

const RunFacts *program_facts(const Program *p, Str run) { return facts_of(p, run); }

Str program_library_name(const Program *p, Span at) {
    for (uint32_t i = 0; i < p->library.decls.n && in_library(p, at); i++) {
        const Decl *d = p->library.decls.at[i];
        if (d->at.at <= at.at && at.at < d->at.at + d->at.n) {
            return d->name.text;
        }
    }
    return (Str){0};
}

static void add_schedule(Lower *l, RunFacts *f, Str name, uint32_t inst, Span at) {
    for (uint32_t i = 0; i < f->schedules.n; i++) {
        if (f->schedules.at[i].span.at == at.at && str_eq(f->schedules.at[i].name, name)) {
            return;
        }
    }
    vec_push(l->p->arena, &f->schedules, (Schedule){name, inst, at});
}

static bool of_settings(Lower *l, uint32_t inst) {
    return uniforms_reads_only(l->a, l->m->uniforms, inst, "setting.");
}

/* Is it 0 whatever the counters say, since a factor that settings alone make is 0? */
static bool zero_for_ever(Lower *l, uint32_t inst) {
    const UInst *i = &l->m->uniforms->insts.at[inst];
    if (of_settings(l, inst)) {
        return weigh_number(l, inst) == 0;
    }
    return i->op == U_MUL && (zero_for_ever(l, i->in[0]) || zero_for_ever(l, i->in[1]));
}

/* The log variance that a call of `gaussian_kl` is given. */
static Str log_variance(Lower *l, Str loss) {
    const Block *b = &l->objective->function.body;
    for (uint32_t i = 0; i < b->stmts.n; i++) {
        const Stmt *s = b->stmts.at[i];
        if (s->kind != ST_LOSS || !str_eq(s->loss.target.name.text, loss) || s->loss.value->kind != EX_CALL) {
            continue;
        }
        const Expr *call = s->loss.value;
        Str name = call_name(call).text;
        bool gaussian = (str_is(name, "gaussian_kl") || str_is(name, "gaussian_kl_mean")) && call->call.args.n == 2;
        return gaussian ? sources_text(l->p->sources, call->call.args.at[1].value->at) : (Str){0};
    }
    return (Str){0};
}

/* What mixes the rows of a loss, for a reader; empty where nobody can tell. */
static Str mixture_text(Lower *l, Mixture m) {
    if (m.kind != MIX_ROWS) {
        return (Str){0};
    }
    const Node *n = node_of(l->main_graph, m.by);
    Op op = (Op)n->op;
    Str name = program_library_name(l->p, n->span);
    bool sums = name.n == 0 && n->shape.rank == 0 && (op == OP_add || op == OP_sub);
    if (op == OP_scan || op == OP_result || op == OP_grad || op == OP_scatter_add || sums) {
        return (Str){0}; /* mixture.c does not know */
    }
    if (op == OP_max && !dtype_is_float((DType)n->dtype)) {
        return STR("divided by how many count");
    }
    name.n -= str_ends(name, "_each") ? 5 : 0;
    if (name.n) {
        return str_format(l->p->arena, "`%.*s`", FSTR(name));
    }
    Place at = sources_place(l->p->sources, n->span);
    bool here = str_eq(at.path, l->p->main->source->path);
    return here ? str_format(l->p->arena, "line %u", at.line)
                : str_format(l->p->arena, "%.*s:%u", FSTR(at.path), at.line);
}

static LossFacts loss_facts(Lower *l, RunFacts *f, const LossTerm *t, RowFacts rows, Mixture mixture) {
    LossFacts x = {.name = t->name.text, .span = t->name.at, .weight = 1};
    const Node *w = node_of(l->main_graph, t->weight);
    if (w->op == OP_arg && w->attr.arg.kind == ARG_UNIFORM) {
        x.inst = l->m->uniforms->outputs.at[w->attr.arg.id].inst;
        x.weight = weigh_number(l, x.inst);
        x.weight = zero_for_ever(l, x.inst) ? 0 : x.weight;
        x.scheduled = !of_settings(l, x.inst) && !zero_for_ever(l, x.inst);
    } else if (w->op == OP_const) {
        x.weight = w->attr.constant.f;
    }
    if (x.scheduled) {
        add_schedule(l, f, str_format(l->p->arena, "weight of %.*s", FSTR(x.name)), x.inst, t->name.at);
    }
    weigh_loss(l, t, rows, &x);
    x.scale = x.divergence ? log_variance(l, x.name) : (Str){0};
    x.mixed = mixture_text(l, mixture);
    x.grows = mixture.kind == MIX_SUM;
    return x;
}

void facts_losses(Lower *l) {
    RunFacts *f = PUSH(l->p->arena, RunFacts, 1);
    f->run = l->p->recipe->phases.at[l->phase].runs.at[l->run].name;
    RowFacts rows = metric_rows(l);
    const Mixture *mixtures = mixture_losses(l);
    for (uint32_t i = 0; i < l->losses.n; i++) {
        LossFacts x = loss_facts(l, f, &l->losses.at[i], rows, mixtures[i]);
        vec_push(l->p->arena, &f->losses, x);
    }
    vec_push(l->p->arena, &l->p->facts, f);
}

void facts_argument(Lower *l, const Expr *call, const Given *g) {
    RunFacts *f = facts_of(l->p, l->p->recipe->phases.at[l->phase].runs.at[l->run].name);
    if (f == NULL || g->value->kind != VAL_UNIFORM || of_settings(l, g->value->uniform.inst)) {
        return;
    }
    Str name = g->name.n ? g->name : STR("argument");
    add_schedule(l, f, str_format(l->p->arena, "%.*s of %.*s", FSTR(name), FSTR(call_name(call).text)),
                 g->value->uniform.inst, g->at);
}
