/* One function a kernel:
 *   void kernel(void *const *buffers, const UValue *uniforms, int64_t first, int64_t last, void *scratch)
 * runs the points first..last-1 of the head.  `buffers` holds the addresses of the buffers that are not
 * scratch, in their order, then of the microkernels the kernel calls, one for each tile size in order of
 * first use.  Scratch buffers lie one after the other in `scratch`, each on a line of its own. */
#include "emit.h"

static Value parameter(const Emit *e, unsigned i) { return LLVMGetParam(e->function, i); }

static void place_buffers(Emit *e, Value table, Value scratch) {
    const Kernel *k = e->kernel;
    int64_t slot = 0, used = 0;
    e->buffer = PUSH(e->arena, Value, k->bufs.n + 1);
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        const KBuf *b = &k->bufs.at[i];
        if (b->role == KBUF_SCRATCH) {
            e->buffer[i] = emit_at(e, e->i8, scratch, emit_i64(e, used));
            used += (b->count * dtype_bytes(b->dtype) + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
        } else {
            e->buffer[i] = emit_load(e, e->ptr, emit_at(e, e->ptr, table, emit_i64(e, slot++)), 8);
        }
        LLVMSetValueName2(e->buffer[i], b->name.s, b->name.n);
    }
}

static void load_uniforms(Emit *e, Value table) {
    const Kernel *k = e->kernel;
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->insts.n; i++)
        if (k->insts.at[i].kop == K_UNIFORM && k->insts.at[i].imm.i >= n)
            n = (uint32_t)k->insts.at[i].imm.i + 1;
    e->uniform = PUSH(e->arena, Value, n + 1);
    for (uint32_t i = 0; i < k->insts.n; i++) {
        const KInst *in = &k->insts.at[i];
        if (in->kop == K_UNIFORM && e->uniform[in->imm.i] == NULL)
            e->uniform[in->imm.i] = emit_load(e, emit_type(e, (DType)in->type),
                                              emit_at(e, e->i32, table, emit_i64(e, in->imm.i)), 4);
    }
}

/* The microkernel of a tile stage: behind the buffers. */
static Value load_micro(Emit *e, const Stage *s) {
    const Kernel *k = e->kernel;
    int64_t slot = 0;
    for (uint32_t i = 0; i < k->bufs.n; i++)
        slot += k->bufs.at[i].role != KBUF_SCRATCH;
    Str *names = PUSH(e->arena, Str, k->stages.n);
    uint32_t n = kernel_micros(k, e->arena, names), at = 0;
    Str wanted = str_format(e->arena, "mk_f32_%ux%u", s->tile.mr, s->tile.nr);
    while (at < n && !str_eq(names[at], wanted))
        at++;
    return emit_load(e, e->ptr, emit_at(e, e->ptr, parameter(e, 0), emit_i64(e, slot + at)), 8);
}

static void emit_stage(Emit *e, const Stage *s) {
    switch (s->kind) {
    case STAGE_MAP:    emit_map(e, s); return;
    case STAGE_REDUCE: emit_reduce(e, s); return;
    case STAGE_CHAIN:  emit_chain(e, s); return;
    case STAGE_TILE:   emit_tile(e, s, load_micro(e, s)); return;
    case STAGE_ACCUM:  emit_accum(e, s); return;
    case STAGE_FOLD:   emit_fold(e, s); return;
    }
}

static void emit_stages(Emit *e) {
    for (uint32_t i = 0; i < e->kernel->stages.n; i++)
        emit_stage(e, &e->kernel->stages.at[i]);
}

static void head_point(Emit *e, Value p) {
    for (uint32_t h = e->kernel->n_head; h-- > 0;) {
        Value extent = emit_i64(e, e->kernel->axes.at[h].extent);
        e->axis[h] = (AxisAt){h == 0 ? p : LLVMBuildURem(e->b, p, extent, ""), NULL};
        if (h > 0)
            p = LLVMBuildUDiv(e->b, p, extent, "");
    }
    emit_stages(e);
}

/* The rows of one (chunk, lane) pair, after its rows of the partial buffers were set to "nothing yet". */
static void split_point(Emit *e, Value p) {
    const Kernel *k = e->kernel;
    e->partial_row = p;
    for (uint32_t i = 0; i < k->stages.n; i++)
        if (k->stages.at[i].kind == STAGE_ACCUM)
            emit_accum_clear(e, &k->stages.at[i]);
    Value chunk = LLVMBuildLShr(e->b, p, emit_i64(e, 4), ""), lane = LLVMBuildAnd(e->b, p, emit_i64(e,
        LANES - 1), "");
    Value begin = emit_mul_i64(e, chunk, CHUNK);
    Value end = emit_min_i64(e, LLVMBuildAdd(e->b, begin, emit_i64(e, CHUNK), ""), emit_i64(e,
        k->axes.at[0].extent));
    Loop l;
    loop_open(e, &l, LLVMBuildAdd(e->b, begin, lane, ""), end, LANES, 0, NULL);
    e->axis[0] = (AxisAt){l.i, NULL};
    emit_stages(e);
    loop_close(e, &l, NULL);
}

static void leave_when_unhealthy(Emit *e) {
    uint32_t word = 0;
    while (e->kernel->bufs.at[word].role != KBUF_HEALTH)
        word++;
    LLVMBasicBlockRef leave = emit_block(e, "unhealthy"), go = emit_block(e, "healthy");
    Value health = emit_load(e, e->i32, e->buffer[word], 4);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntNE, health, emit_i32(e, 0), ""), leave, go);
    LLVMPositionBuilderAtEnd(e->b, leave);
    LLVMBuildRetVoid(e->b);
    LLVMPositionBuilderAtEnd(e->b, go);
}

void emit_kernel(Emit *e, const Kernel *k, const char *symbol) {
    LLVMTypeRef in[5] = {e->ptr, e->ptr, e->i64, e->i64, e->ptr};
    e->kernel = k;
    e->streamed = false;
    e->function = LLVMAddFunction(e->module, symbol, LLVMFunctionType(LLVMVoidTypeInContext(e->context), in,
        5, false));
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, "entry"));
    e->axis = PUSH(e->arena, AxisAt, k->axes.n + 1);
    e->reg = PUSH(e->arena, Value, k->n_regs + 2);
    e->dummy = emit_local(e, e->i8, BUFFER_ALIGN, BUFFER_ALIGN);
    place_buffers(e, parameter(e, 0), parameter(e, 4));
    load_uniforms(e, parameter(e, 1));
    if (k->commit)
        leave_when_unhealthy(e);
    Loop l;
    loop_open(e, &l, parameter(e, 2), parameter(e, 3), 1, 0, NULL);
    if (k->lanes) {
        split_point(e, l.i);
    } else {
        head_point(e, l.i);
    }
    loop_close(e, &l, NULL);
    if (e->streamed)
        emit_call(e, "llvm.x86.sse.sfence", NULL, 0, NULL, 0);
    LLVMBuildRetVoid(e->b);
}
