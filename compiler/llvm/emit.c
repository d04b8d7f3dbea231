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

/* A microkernel of a tile stage: behind the buffers. */
Value emit_load_micro(Emit *e, const Stage *s, bool last) {
    const Kernel *k = e->kernel;
    int64_t slot = 0;
    for (uint32_t i = 0; i < k->bufs.n; i++)
        slot += k->bufs.at[i].role != KBUF_SCRATCH;
    Str *names = PUSH(e->arena, Str, 2 * k->stages.n);
    uint32_t n = kernel_micros(k, e->arena, names), at = 0;
    Str wanted = kernel_micro(k, s, last, e->arena);
    while (at < n && !str_eq(names[at], wanted))
        at++;
    return emit_load(e, e->ptr, emit_at(e, e->ptr, parameter(e, 0), emit_i64(e, slot + at)), 8);
}

static void emit_tiles(Emit *e, const Stage *s) {
    Value last = emit_load_micro(e, s, true);
    bool alike = ktile_last_rows(&s->tile) == s->tile.mr;
    emit_tile(e, s, alike || s->tile.m < s->tile.mr ? last : emit_load_micro(e, s, false), last);
}

static void emit_stage(Emit *e, const Stage *s) {
    switch (s->kind) {
    case STAGE_MAP:    emit_map(e, s); return;
    case STAGE_REDUCE: emit_reduce(e, s); return;
    case STAGE_CHAIN:  emit_chain(e, s); return;
    case STAGE_TILE:   emit_tiles(e, s); return;
    case STAGE_ACCUM:  emit_accum(e, s); return;
    case STAGE_FOLD:   emit_fold(e, s); return;
    }
}

static void emit_stages(Emit *e) {
    const Kernel *k = e->kernel;
    for (uint32_t i = 0; i < k->stages.n; i += 1 + k->stages.at[i].with)
        emit_stage(e, &k->stages.at[i]);
}

/* ---- the head ---- */
void emit_set_point(Emit *e, Value p, Value *at) {
    for (uint32_t h = e->kernel->n_head; h-- > 0;) {
        Value extent = emit_i64(e, e->kernel->axes.at[h].extent);
        at[h] = h == 0 ? p : LLVMBuildURem(e->b, p, extent, "");
        if (h > 0)
            p = LLVMBuildUDiv(e->b, p, extent, "");
    }
}

static Value max_i64(Emit *e, Value x, Value y) {
    return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, x, y, ""), y, x, "");
}

/* `other` where `next` is past the end of the call. */
static Value if_below(Emit *e, Value next, Value end, Value other) {
    return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, next, end, ""), next, other, "");
}

static void head_points(Emit *e, Value first, Value last) {
    Value at[MAX_AXES];
    Loop l;
    loop_open(e, &l, first, last, 1, 0, NULL);
    emit_set_point(e, l.i, at);
    for (uint32_t h = 0; h < e->kernel->n_head; h++)
        e->axis[h] = (AxisAt){at[h], NULL};
    if (ahead_any(e))
        emit_set_point(e, if_below(e, LLVMBuildAdd(e->b, l.i, emit_i64(e, 1), ""), last, l.i), e->ahead.point);
    emit_stages(e);
    loop_close(e, &l, NULL);
}

static void clear_partials(Emit *e, Value first, Value last) {
    const Kernel *k = e->kernel;
    Loop l;
    loop_open(e, &l, first, last, 1, 0, NULL);
    e->partial_row = l.i;
    for (uint32_t i = 0; i < k->stages.n; i++)
        if (k->stages.at[i].kind == STAGE_ACCUM)
            emit_accum_clear(e, &k->stages.at[i]);
    loop_close(e, &l, NULL);
}

/* The rows of the lanes first..last-1 of one chunk in increasing order: each lane meets its own rows in
 * theirs, and neighbours in memory follow each other. */
static void chunk_rows(Emit *e, Value chunk, Value first, Value last) {
    Value begin = emit_mul_i64(e, chunk, CHUNK), past = LLVMBuildAdd(e->b, begin, emit_i64(e, CHUNK), "");
    Value end = emit_min_i64(e, past, emit_i64(e, e->kernel->axes.at[0].extent));
    Loop sixteen, row;
    loop_open(e, &sixteen, begin, end, LANES, 0, NULL);
    Value lo = LLVMBuildAdd(e->b, sixteen.i, first, "");
    Value hi = emit_min_i64(e, LLVMBuildAdd(e->b, sixteen.i, last, ""), end);
    loop_open(e, &row, lo, hi, 1, 0, NULL);
    Value lane = LLVMBuildAnd(e->b, row.i, emit_i64(e, LANES - 1), "");
    e->partial_row = LLVMBuildAdd(e->b, emit_mul_i64(e, chunk, LANES), lane, "");
    e->axis[0] = (AxisAt){row.i, NULL};
    if (ahead_any(e)) {
        Value jump = if_below(e, LLVMBuildAdd(e->b, lo, emit_i64(e, LANES), ""), end, row.i);
        e->ahead.point[0] = if_below(e, LLVMBuildAdd(e->b, row.i, emit_i64(e, 1), ""), hi, jump);
    }
    emit_stages(e);
    loop_close(e, &row, NULL);
    loop_close(e, &sixteen, NULL);
}

/* Points of a split head are (chunk, lane) pairs. */
static void split_points(Emit *e, Value first, Value last) {
    clear_partials(e, first, last);
    Value four = emit_i64(e, 4), up = LLVMBuildAdd(e->b, last, emit_i64(e, LANES - 1), "");
    Loop l;
    loop_open(e, &l, LLVMBuildLShr(e->b, first, four, ""), LLVMBuildLShr(e->b, up, four, ""), 1, 0, NULL);
    Value zero = emit_mul_i64(e, l.i, LANES);
    Value lo = max_i64(e, LLVMBuildSub(e->b, first, zero, ""), emit_i64(e, 0));
    Value hi = emit_min_i64(e, LLVMBuildSub(e->b, last, zero, ""), emit_i64(e, LANES));
    chunk_rows(e, l.i, lo, hi);
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
    e->dummy = emit_local(e, e->i8, LANES * sizeof(double), BUFFER_ALIGN);
    place_buffers(e, parameter(e, 0), parameter(e, 4));
    load_uniforms(e, parameter(e, 1));
    if (k->commit)
        leave_when_unhealthy(e);
    e->ahead.n = 0;
    if (!folded_fits(k))
        ahead_plan(e);
    if (folded_fits(k)) {
        emit_folded(e, parameter(e, 2), parameter(e, 3));
    } else if (k->lanes) {
        split_points(e, parameter(e, 2), parameter(e, 3));
    } else {
        head_points(e, parameter(e, 2), parameter(e, 3));
    }
    if (e->streamed)
        emit_call(e, "llvm.x86.sse.sfence", NULL, 0, NULL, 0);
    LLVMBuildRetVoid(e->b);
}
