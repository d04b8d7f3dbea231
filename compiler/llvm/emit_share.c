/* What the DAGs of one sweep (kernel/sweep.c) have in common.  They run side by side in one loop and were made one by
 * one, from the same graph: a later one loads what an earlier one loaded and computes from it what was computed.
 * No pass of LLVM that would see it runs, so an instruction is looked up among those emitted before it: the same
 * operation on the same values is the same value. */
#include "emit.h"
#include "kernel_text.h"
#include <string.h>

static const KInst *inst_of(const Dag *g, uint32_t i) { return &g->e->kernel->insts.at[g->s->first + i]; }

static bool writes(const Stage *s, const Kernel *k, uint32_t buf) {
    for (uint32_t i = s->first; i < s->first + s->n; i++)
        if (k->insts.at[i].kop == K_STORE && k->accesses.at[k->insts.at[i].access].buf == buf)
            return true;
    return false;
}

/* Memory that a stage from `d` to `g` writes is loaded where the stage says. */
static bool same_load(const Dag *d, const KInst *x, const Dag *g, const KInst *y) {
    const Kernel *k = g->e->kernel;
    const KAccess *a = &k->accesses.at[x->access], *b = &k->accesses.at[y->access];
    for (const Dag *between = g; between != d->before; between = between->before)
        if (writes(between->s, k, b->buf))
            return false;
    return a->index == 0 && access_same(a, b);
}

static bool same_operands(const Dag *d, const KInst *x, const Dag *g, const KInst *y) {
    uint32_t in[4], of[4], n = dag_operands(x, in);
    if (dag_operands(y, of) != n)
        return false;
    for (uint32_t k = 0; k < n; k++)
        if (d->value[in[k]] != g->value[of[k]])
            return false;
    return true;
}

static bool same(const Dag *d, uint32_t j, const Dag *g, uint32_t i) {
    const KInst *x = inst_of(d, j), *y = inst_of(g, i);
    if (x->kop != y->kop || x->op != y->op || x->type != y->type || d->level[j] != g->level[i] ||
        memcmp(&x->imm, &y->imm, sizeof x->imm) != 0)
        return false;
    switch ((KOp)x->kop) {
    case K_SCALAR: case K_MATH: return same_operands(d, x, g, y);
    case K_LOAD: return same_load(d, x, g, y) && same_operands(d, x, g, y);
    case K_AXIS: case K_UNIFORM: case K_REG: return true;
    case K_WORD: case K_STORE: case K_CHECK: case K_FAULT: case KOP_COUNT: return false;
    }
    return false;
}

Value share_value(const Dag *g, uint32_t inst) {
    for (const Dag *d = g->before; d != NULL; d = d->before)
        for (uint32_t j = 0; j < d->s->n; j++)
            if (same(d, j, g, inst))
                return d->value[j];
    return NULL;
}
