/* Trained further is what a training graph commits: whatever keeps a parameter out of the optimizer keeps it out of
 * here too. */
#include "uses.h"
#include "used.h"

GrStatus uses_check(const Session *s, Error *e) {
    UsedVar *vars = PUSH(s->arena, UsedVar, s->module->vars.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->module->vars.n; i++) {
        const Var *v = &s->module->vars.at[i];
        if (v->kind == VAR_PARAM || v->kind == VAR_STATE)
            vars[n++] = (UsedVar){v->kind == VAR_STATE, v->path, v->dtype, v->shape, NULL};
    }
    return used_load(s->arena, s->recipe, vars, n, e);
}

GrStatus uses_train_all(const Session *s, Error *e) {
    for (uint32_t i = 0; i < s->module->vars.n; i++) {
        const Var *v = &s->module->vars.at[i];
        if (v->kind != VAR_PARAM || used_has(s->recipe, v->path)) continue;
        fail(e, GR_CHECKPOINT, "which run? `%.*s` is trained by none of those that the file uses", FSTR(v->path));
        fail_help(e, "`--run DIR` names the folder of the trained model");
        return GR_CHECKPOINT;
    }
    return GR_OK;
}

static bool begins(Str path, Str name) {
    return path.n > name.n && path.s[name.n] == '.' && str_eq((Str){path.s, name.n}, name);
}

static bool run_writes(const Session *s, const RecipePhase *p, const RecipeRun *run, Str name) {
    const Graph *g = lower_graph(s->program, LOWER_TRAIN, run->name, p->rows, s->diags);
    for (uint32_t i = 0; g && i < g->effects.n; i++) {
        const Node *n = node_of(g, g->effects.at[i]);
        if (n->op != OP_commit) continue;
        const Var *v = &s->module->vars.at[n->attr.commit.var];
        if (v->kind == VAR_PARAM && begins(v->path, name)) return true;
    }
    return false;
}

static bool phase_writes(const Session *s, const RecipePhase *p, Str name) {
    bool writes = false;
    for (uint32_t i = 0; i < p->runs.n; i++) writes = writes || run_writes(s, p, &p->runs.at[i], name);
    return writes;
}

const char *uses_what(const Session *s, const RecipeUse *u) {
    if (u->run.n == 0) return "a file";
    for (uint32_t i = 0; i < s->recipe->phases.n; i++)
        if (phase_writes(s, &s->recipe->phases.at[i], u->name)) return "a run, trained further (fine-tuned)";
    return s->recipe->phases.n ? "a run; no phase changes its weights" : "a run";
}
