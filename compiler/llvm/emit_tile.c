/* TILE: the calls of a microkernel that compute one tile.  The points l*k + p of a tile form one range
 * that semantics 3 cuts at every 4096.  Mostly there is nothing to cut: one call.  Otherwise a loop walks
 * the range in pieces that end at a cut or at the end of an operand block; pieces of one cut continue each
 * other's chains, and a finished cut is added to the tile. */
#include "emit.h"
#include "micro.h"

typedef struct { Emit *e; const KTile *t; LLVMTypeRef type; Value micro, a, b, out, cut; } Tile;

static void call(const Tile *t, Value k, Value a, Value b, Value out, Value list, Value mode) {
    Emit *e = t->e;
    Value in[10] = {k, a, emit_i64(e, t->t->a_k), b, emit_i64(e, t->t->b_k), out, list,
                    emit_i64(e, t->t->a_list), emit_i64(e, t->t->b_list), mode};
    LLVMBuildCall2(e->b, t->type, t->micro, in, 10, "");
}

static Value choose(Emit *e, Value c, Value x, Value y) { return LLVMBuildSelect(e->b, c, x, y, ""); }
static Value equal(Emit *e, Value x, Value y) { return LLVMBuildICmp(e->b, LLVMIntEQ, x, y, ""); }

static void add_cut(const Tile *t) {
    Emit *e = t->e;
    LLVMTypeRef v = emit_vector(e->f32);
    Loop l;
    loop_open(e, &l, emit_i64(e, 0), emit_i64(e, (int64_t)t->t->mr * t->t->nr), LANES, 0, NULL);
    Value out = emit_at(e, e->f32, t->out, l.i);
    Value sum = LLVMBuildFAdd(e->b, emit_load(e, v, out, 4), emit_load(e, v, emit_at(e, e->f32, t->cut, l.i),
        4), "");
    emit_store(e, sum, out, 4);
    loop_close(e, &l, NULL);
}

static Value moved(const Tile *t, Value base, Value l, Value p, int64_t by_l, int64_t by_p) {
    Emit *e = t->e;
    Value steps = LLVMBuildAdd(e->b, emit_mul_i64(e, l, by_l), emit_mul_i64(e, p, by_p), "");
    return emit_at(e, e->f32, base, steps);
}

/* One piece from `at`; gives where the next one begins. */
static Value piece(const Tile *t, Value at, Value total) {
    Emit *e = t->e;
    Value k = emit_i64(e, t->t->k), one = emit_i64(e, 1), zero = emit_i64(e, 0), size = emit_i64(e, CHUNK);
    Value l = LLVMBuildUDiv(e->b, at, k, ""), p = LLVMBuildURem(e->b, at, k, "");
    Value in_cut = LLVMBuildAnd(e->b, at, emit_i64(e, CHUNK - 1), "");
    Value left = emit_min_i64(e, LLVMBuildSub(e->b, size, in_cut, ""), LLVMBuildSub(e->b, total, at, ""));
    Value whole = LLVMBuildAnd(e->b, equal(e, p, zero), LLVMBuildICmp(e->b, LLVMIntSGE, left, k, ""), "");
    Value list = choose(e, whole, LLVMBuildUDiv(e->b, left, k, ""), one);
    Value steps = choose(e, whole, k, emit_min_i64(e, LLVMBuildSub(e->b, k, p, ""), left));
    Value n = LLVMBuildMul(e->b, list, steps, "");
    Value begins = equal(e, in_cut, zero), ends = equal(e, n, left);
    Value first = LLVMBuildICmp(e->b, LLVMIntSLT, at, size, "");
    Value direct = LLVMBuildOr(e->b, first, LLVMBuildAnd(e->b, begins, ends, ""), "");
    Value set = choose(e, LLVMBuildAnd(e->b, direct, LLVMBuildNot(e->b, first, ""), ""), emit_i64(e,
        MICRO_ADD),
                       emit_i64(e, MICRO_STORE));
    call(t, steps, moved(t, t->a, l, p, t->t->a_list, t->t->a_k), moved(t, t->b, l, p, t->t->b_list,
        t->t->b_k),
         choose(e, direct, t->out, t->cut), list, choose(e, begins, set, emit_i64(e, MICRO_CONTINUE)));
    If f = if_open(e, LLVMBuildAnd(e->b, ends, LLVMBuildNot(e->b, direct, ""), ""));
    add_cut(t);
    if_close(e, f);
    return LLVMBuildAdd(e->b, at, n, "");
}

static void pieces(const Tile *t, int64_t total) {
    Emit *e = t->e;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b), body = emit_block(e, "piece"), after = emit_block(e,
        "tile");
    Value zero = emit_i64(e, 0), end = emit_i64(e, total);
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
    Value at = LLVMBuildPhi(e->b, e->i64, "at");
    Value next = piece(t, at, end);
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    LLVMAddIncoming(at, (Value[]){zero, next}, (LLVMBasicBlockRef[]){before, latch}, 2);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, next, end, ""), body, after);
    LLVMPositionBuilderAtEnd(e->b, after);
}

void emit_tile(Emit *e, const Stage *s, Value microkernel) {
    Stage bare = *s;
    bare.n = bare.n_axes = bare.n_keep = 0;
    Dag *g = dag_create(e, &bare, 0);
    access_enter(g, s->tile.a, 0);
    access_enter(g, s->tile.b, 0);
    const KTile *k = &s->tile;
    Tile t = {.e = e, .t = k, .type = emit_micro_type(e), .micro = microkernel, .a = g->address[k->a],
              .b = g->address[k->b], .out = e->buffer[k->out]};
    int64_t total = k->list * k->k;
    if (total <= CHUNK) {
        call(&t, emit_i64(e, k->k), t.a, t.b, t.out, emit_i64(e, k->list), emit_i64(e, MICRO_STORE));
        return;
    }
    t.cut = emit_local(e, e->f32, (int64_t)k->mr * k->nr, BUFFER_ALIGN);
    pieces(&t, total);
}
