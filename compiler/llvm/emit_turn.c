/* Maps that read along one axis and write along another.  Lanes run along one of them; an access whose places lie
 * side by side along the other would be a gather or scatter.  So blocks of 16 x 16 are turned (emit_square.c): sixteen
 * steps of the other axis put their vectors into a square on the stack instead of storing them, and its turned rows
 * are stored; or sixteen rows are loaded and turned first, and the steps take their vectors from the square.  A few
 * steps that leave no gap are woven instead (emit_weave.c).  So loads move before stores: buffers of a launch share no
 * memory, and one that is stored too is not turned. */
#include "emit.h"

/* The stage with the turned axis as its innermost loop, or false when its schedule cannot be followed. */
static bool turned_stage(const Kernel *k, const Stage *s, Stage *out) {
    if (s->transpose < 0 || s->vec < 0 || s->transpose == s->vec)
        return false;
    uint8_t turned = s->axis[s->transpose], lanes = s->axis[s->vec];
    for (uint32_t j = 0; j < s->n_axes; j++)
        if (k->axes.at[s->axis[j]].clip_by == turned || k->axes.at[s->axis[j]].clip_by == lanes)
            return false;
    *out = *s;
    uint32_t n = 0;
    for (uint32_t j = 0; j < s->n_axes; j++)
        if (s->axis[j] != turned)
            out->axis[n++] = s->axis[j];
    out->axis[n] = turned;
    for (uint32_t j = 0; j < s->n_axes; j++)
        if (out->axis[j] == lanes)
            out->vec = (int8_t)j;
    return true;
}

static bool stored_here(const Dag *g, uint32_t buf) {
    for (uint32_t i = 0; i < g->s->n; i++) {
        const KInst *in = &g->e->kernel->insts.at[g->s->first + i];
        if (in->kop == K_STORE && g->e->kernel->accesses.at[in->access].buf == buf)
            return true;
    }
    return false;
}

static bool is_turned(const Dag *g, uint32_t i) {
    const KInst *in = &g->e->kernel->insts.at[g->s->first + i];
    bool load = in->kop == K_LOAD && in->in[0] == 0, store = in->kop == K_STORE && in->in[1] == 0;
    if ((!load && !store) || g->level[i] != g->depth)
        return false;
    const KAccess *a = &g->e->kernel->accesses.at[in->access];
    int64_t across = a->coef[g->vec];
    return a->index == 0 && a->coef[g->turned] == 1 && across != 0 && across != 1 &&
           !(load && stored_here(g, a->buf));
}

void turn_put(Dag *g, uint32_t inst, Value v) {
    LLVMTypeRef row = LLVMTypeOf(v);
    emit_store(g->e, v, emit_at(g->e, row, g->square[inst], g->turn_row), BUFFER_ALIGN / LANES);
}

Value turn_get(const Dag *g, uint32_t inst) {
    const KInst *in = &g->e->kernel->insts.at[g->s->first + inst];
    LLVMTypeRef row = emit_vector(emit_storage(g->e,
        g->e->kernel->bufs.at[g->e->kernel->accesses.at[in->access].buf].dtype));
    Value at = emit_at(g->e, row, g->square[inst], g->turn_row);
    return access_from_memory(g, in->access, (DType)in->type, emit_load(g->e, row, at, BUFFER_ALIGN / LANES));
}

/* How many lanes of the block exist; they are the first ones. */
static Value lanes_there(Dag *g) {
    Emit *e = g->e;
    if (g->mask == NULL)
        return emit_i64(e, LANES);
    Value bits = LLVMBuildZExt(e->b, LLVMBuildBitCast(e->b, g->mask, e->i16, ""), e->i64, "");
    return emit_call(e, "llvm.ctpop", &e->i64, 1, &bits, 1);
}

/* Do the few elements of one lane end where those of the next begin? */
static bool is_woven(const Dag *g, const KAccess *a) {
    const KAxis *x = &g->e->kernel->axes.at[g->turned];
    return x->clip_by < 0 && x->extent <= WOVEN && a->coef[g->vec] == x->extent;
}

static void turn_one(Dag *g, KOp kop, DType stored, Value square, Value at, const KAccess *a, Value mask) {
    Emit *e = g->e;
    if (is_woven(g, a)) {
        uint32_t rows = (uint32_t)e->kernel->axes.at[g->turned].extent;
        Value lanes = g->mask == NULL ? NULL : lanes_there(g);
        (kop == K_LOAD ? weave_load : weave_store)(e, stored, square, at, rows, lanes);
        return;
    }
    (kop == K_LOAD ? square_load : square_store)(e, stored, square, at, a->coef[g->vec], mask, lanes_there(g));
}

/* What is turned here: the loads before the steps, or the stores after them. */
static void turn_all(Dag *g, KOp kop, Value first, Value mask) {
    Emit *e = g->e;
    const Kernel *k = e->kernel;
    for (uint32_t i = 0; i < g->s->n; i++) {
        const KInst *in = &k->insts.at[g->s->first + i];
        if (g->square[i] == NULL || in->kop != kop)
            continue;
        const KAccess *a = &k->accesses.at[in->access];
        DType stored = k->bufs.at[a->buf].dtype;
        Value outer = g->address[(g->depth - 1) * k->accesses.n + in->access];
        turn_one(g, kop, stored, g->square[i], emit_at(e, emit_storage(e, stored), outer, first), a, mask);
    }
}

/* Steps first .. first+n-1 of the turned axis. */
static void block(Dag *g, Value first, Value n, Value mask) {
    Emit *e = g->e;
    Loop l;
    turn_all(g, K_LOAD, first, mask);
    loop_open(e, &l, emit_i64(e, 0), n, 1, 0, NULL);
    g->turn_row = l.i;
    e->axis[g->turned] = (AxisAt){LLVMBuildNSWAdd(e->b, first, l.i, ""), NULL};
    dag_enter(g, g->depth);
    ahead_turned(g);
    loop_close(e, &l, NULL);
    turn_all(g, K_STORE, first, mask);
}

static void turn_loop(Dag *g, Value hi) {
    Emit *e = g->e;
    Loop l;
    Value whole = LLVMBuildAnd(e->b, hi, emit_i64(e, -LANES), "");
    if (LLVMIsAConstantInt(hi) && LLVMConstIntGetSExtValue(hi) < LANES) {
        block(g, emit_i64(e, 0), hi, dag_tail_mask(e, whole, hi));
        return;
    }
    loop_open(e, &l, emit_i64(e, 0), whole, LANES, 0, NULL);
    block(g, l.i, emit_i64(e, LANES), NULL);
    loop_close(e, &l, NULL);
    if (LLVMIsAConstantInt(hi) && LLVMConstIntGetSExtValue(hi) % LANES == 0)
        return;
    If some = if_open(e, LLVMBuildICmp(e->b, LLVMIntSLT, whole, hi, ""));
    block(g, whole, LLVMBuildSub(e->b, hi, whole, ""), dag_tail_mask(e, whole, hi));
    if_close(e, some);
}

Dag *turn_create(Emit *e, const Stage *s) {
    Stage *moved = PUSH(e->arena, Stage, 1);
    if (!turned_stage(e->kernel, s, moved))
        return NULL;
    Dag *g = dag_create(e, moved, moved->n_axes);
    g->turned = moved->axis[moved->n_axes - 1];
    g->inner = turn_loop;
    g->square = PUSH(e->arena, Value, s->n);
    bool any = false;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!is_turned(g, i))
            continue;
        const KInst *in = &e->kernel->insts.at[s->first + i];
        LLVMTypeRef row = emit_vector(emit_storage(e,
            e->kernel->bufs.at[e->kernel->accesses.at[in->access].buf].dtype));
        g->square[i] = emit_local(e, row, LANES, BUFFER_ALIGN);
        any = true;
    }
    return any ? g : NULL;
}
