/* Sums with one term.  `sum[k] (k == at ? x[k] : 0)`, as cross-entropy picks the logit of a label, needs the
 * element `at` and no loop: the other terms are +0, which change a sum only where it is -0.  So the sum is
 * x[at] + 0, and 0 when `at` lies outside the row. */
#include "emit.h"
#include <math.h>

static const KInst *inst_of(const Emit *e, const Stage *s, uint32_t i) {
    return &e->kernel->insts.at[s->first + i];
}

static bool is_scalar(const KInst *in, SOp op) { return in->kop == K_SCALAR && in->op == op; }

static bool is_zero(const KInst *in) {
    return is_scalar(in, S_const) && (dtype_is_float((DType)in->type) ? in->imm.f == 0 && !signbit(in->imm.f)
                                                                       : in->imm.i == 0);
}

/* Nothing but its value is seen of it. */
static bool pure(const Emit *e, const Stage *s) {
    for (uint32_t i = 0; i < s->n; i++) {
        KOp op = (KOp)inst_of(e, s, i)->kop;
        if (op == K_STORE || op == K_CHECK || op == K_FAULT)
            return false;
    }
    return true;
}

/* The operand that the row's axis is compared with. */
static bool compared(const Dag *g, const KInst *eq, uint32_t *with) {
    for (int side = 0; side < 2; side++) {
        const KInst *axis = inst_of(g->e, g->s, eq->in[side]);
        *with = eq->in[1 - side];
        if (axis->kop == K_AXIS && axis->imm.i == g->s->axis[0] && g->level[*with] == 0)
            return true;
    }
    return false;
}

typedef struct { uint32_t at, term; } Pick;

static void pick(Dag *g, void *user) {
    Emit *e = g->e;
    const Pick *p = user;
    DType t = dag_type(g, p->term);
    Value zero = emit_imm(e, t, (Imm){0}), at = LLVMBuildSExt(e->b, dag_value(g, p->at), e->i64, "");
    LLVMBasicBlockRef outside = LLVMGetInsertBlock(e->b);
    If f = if_open(e, LLVMBuildICmp(e->b, LLVMIntULT, at, dag_row_extent(g), ""));
    dag_enter_row(g, at);
    Value sum = emit_scalar(e, S_add, t, t, (Imm){0}, dag_value(g, p->term), zero, NULL);
    LLVMBasicBlockRef inside = LLVMGetInsertBlock(e->b);
    if_close(e, f);
    Value result = LLVMBuildPhi(e->b, LLVMTypeOf(zero), "");
    LLVMAddIncoming(result, &zero, &outside, 1);
    LLVMAddIncoming(result, &sum, &inside, 1);
    dag_put_result(g, 0, t, result);
}

/* The DAG of the stage and which instructions of it are picked; NULL: no.  A row of one element has no other term to
 * add. */
static Dag *picked(Emit *e, const Stage *s, Pick *p) {
    const KInst *term = inst_of(e, s, s->yield[0]);
    if (s->reduce != REDUCE_SUM || s->n_keep != 0 || s->n_axes != 1)
        return NULL;
    if (!is_scalar(term, S_select) || !pure(e, s))
        return NULL;
    const KAxis *k = &e->kernel->axes.at[s->axis[0]];
    const KInst *eq = inst_of(e, s, term->in[0]);
    if (k->extent < 2 || k->clip_by >= 0 || !is_scalar(eq, S_eq) || !is_zero(inst_of(e, s, term->in[2])))
        return NULL;
    Stage *one = PUSH(e->arena, Stage, 1);
    *one = *s;
    one->vec = -1;
    Dag *g = dag_create(e, one, 0);
    *p = (Pick){0, term->in[1]};
    return compared(g, eq, &p->at) ? g : NULL;
}

bool pick_fits(Emit *e, const Stage *s) {
    Pick p;
    return picked(e, s, &p) != NULL;
}

void emit_pick(Emit *e, const Stage *s) {
    Pick p;
    dag_loops(picked(e, s, &p), pick, &p);
}
