/* TILE: the calls of a microkernel that compute one tile.  The points of a tile, blocks of k one after the other,
 * form one range that semantics 3 cuts at every 4096.  Blocks are gathered into a list of offsets and handed to the
 * microkernel together: when the list is full, and when a cut ends.  A block that a cut divides goes in pieces of
 * its own.  The first cut is summed in the tile itself, a later one beside it and then added. */
#include "emit.h"
#include "micro.h"

enum { LIST_LONGEST = 128 };

/* Where a tile stands while it runs.  A value that changes lives in a word on the stack. */
typedef struct {
    Emit *e;
    const KTile *t;
    LLVMTypeRef type;
    Value micro, a, b, out, cut;             /* cut: the sum beside the tile; NULL when there is one cut only */
    Value list, pending, begun, later;       /* list of pairs; how many; has this cut a sum; is it not the first */
    int64_t most;                            /* pairs the list holds */
} Tile;

static Value get(const Tile *t, Value word) { return emit_load(t->e, t->e->i64, word, 8); }
static void set(const Tile *t, Value word, Value x) { emit_store(t->e, x, word, 8); }
static Value number(const Tile *t, int64_t x) { return emit_i64(t->e, x); }

static Value is(const Tile *t, LLVMIntPredicate p, Value x, int64_t y) {
    return LLVMBuildICmp(t->e->b, p, x, number(t, y), "");
}

static Value target(const Tile *t) {
    if (t->cut == NULL)
        return t->out;
    return LLVMBuildSelect(t->e->b, is(t, LLVMIntNE, get(t, t->later), 0), t->cut, t->out, "");
}

static void call(const Tile *t, Value k, Value a, Value b, Value blocks, Value list) {
    Emit *e = t->e;
    Value mode = LLVMBuildSelect(e->b, is(t, LLVMIntNE, get(t, t->begun), 0), number(t, MICRO_CONTINUE),
                                 number(t, MICRO_STORE), "");
    Value in[9] = {k, a, number(t, t->t->a_k), b, number(t, t->t->b_k), target(t), blocks, list, mode};
    LLVMBuildCall2(e->b, t->type, t->micro, in, 9, "");
    set(t, t->begun, number(t, 1));
}

/* The blocks that wait. */
static void flush(const Tile *t) {
    If some = if_open(t->e, is(t, LLVMIntSGT, get(t, t->pending), 0));
    call(t, number(t, t->t->k), t->a, t->b, get(t, t->pending), t->list);
    set(t, t->pending, number(t, 0));
    if_close(t->e, some);
}

typedef void Each(const Tile *t, Value at);

static void each_vector(const Tile *t, Each *f) {
    Loop l;
    loop_open(t->e, &l, number(t, 0), number(t, (int64_t)t->t->mr * t->t->nr), LANES, 0, NULL);
    f(t, l.i);
    loop_close(t->e, &l, NULL);
}

static void clear(const Tile *t, Value at) {
    emit_store(t->e, LLVMConstNull(emit_vector(t->e->f32)), emit_at(t->e, t->e->f32, target(t), at), 4);
}

static void add(const Tile *t, Value at) {
    Emit *e = t->e;
    LLVMTypeRef v = emit_vector(e->f32);
    Value out = emit_at(e, e->f32, t->out, at), more = emit_load(e, v, emit_at(e, e->f32, t->cut, at), 4);
    emit_store(e, LLVMBuildFAdd(e->b, emit_load(e, v, out, 4), more, ""), out, 4);
}

/* A cut without a term is +0, and is added like any other. */
static void end_cut(const Tile *t) {
    flush(t);
    If none = if_open(t->e, is(t, LLVMIntEQ, get(t, t->begun), 0));
    each_vector(t, clear);
    if_close(t->e, none);
    if (t->cut == NULL)
        return;
    If later = if_open(t->e, is(t, LLVMIntNE, get(t, t->later), 0));
    each_vector(t, add);
    if_close(t->e, later);
    set(t, t->later, number(t, 1));
    set(t, t->begun, number(t, 0));
}

/* ---- one block ---- */
typedef struct { Value a, b, there; } Block;               /* how far it moves A and B; i1, NULL: certainly */

static void push(const Tile *t, const Block *x) {
    Emit *e = t->e;
    Value n = get(t, t->pending), pair = emit_at(e, e->i64, t->list, emit_mul_i64(e, n, 2));
    emit_store(e, x->a, pair, 8);
    emit_store(e, x->b, emit_at(e, e->i64, pair, number(t, 1)), 8);
    n = LLVMBuildAdd(e->b, n, number(t, 1), "");
    set(t, t->pending, n);
    If full = if_open(e, is(t, LLVMIntSGE, n, t->most));
    flush(t);
    if_close(e, full);
}

static void push_there(const Tile *t, const Block *x) {
    if (x->there == NULL) {
        push(t, x);
        return;
    }
    If f = if_open(t->e, x->there);
    push(t, x);
    if_close(t->e, f);
}

static Value moved(const Tile *t, Value base, Value by, Value p, int64_t step) {
    return emit_at(t->e, t->e->f32, base, LLVMBuildAdd(t->e->b, by, emit_mul_i64(t->e, p, step), ""));
}

/* Points p .. p+n-1 of a block, alone. */
static void piece(const Tile *t, const Block *x, Value p, Value n) {
    Emit *e = t->e;
    If f = {NULL};
    if (x->there != NULL)
        f = if_open(e, x->there);
    flush(t);
    emit_store(e, number(t, 0), t->list, 8);
    emit_store(e, number(t, 0), emit_at(e, e->i64, t->list, number(t, 1)), 8);
    call(t, n, moved(t, t->a, x->a, p, t->t->a_k), moved(t, t->b, x->b, p, t->t->b_k), number(t, 1), t->list);
    if (x->there != NULL)
        if_close(e, f);
}

/* A block that begins at point `at` of the range and may lie across cuts. */
static void divided(const Tile *t, const Block *x, Value at) {
    Emit *e = t->e;
    Value k = number(t, t->t->k), word = emit_local(e, e->i64, 1, 8);
    set(t, word, number(t, 0));
    LLVMBasicBlockRef body = emit_block(e, "piece"), after = emit_block(e, "pieces");
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
    Value p = get(t, word);
    Value in_cut = LLVMBuildAnd(e->b, LLVMBuildAdd(e->b, at, p, ""), number(t, CHUNK - 1), "");
    Value left = LLVMBuildSub(e->b, number(t, CHUNK), in_cut, "");
    Value n = emit_min_i64(e, LLVMBuildSub(e->b, k, p, ""), left);
    piece(t, x, p, n);
    If ends = if_open(e, LLVMBuildICmp(e->b, LLVMIntEQ, n, left, ""));
    end_cut(t);
    if_close(e, ends);
    p = LLVMBuildAdd(e->b, p, n, "");
    set(t, word, p);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, p, k, ""), body, after);
    LLVMPositionBuilderAtEnd(e->b, after);
}

/* The block at place `number` of the lists. */
static void block(const Tile *t, const Block *x, Value place) {
    Emit *e = t->e;
    int64_t k = t->t->k;
    if (t->cut == NULL) {
        push_there(t, x);
        return;
    }
    Value at = emit_mul_i64(e, place, k), next = LLVMBuildAdd(e->b, at, number(t, k), "");
    If inside = {NULL};
    if (CHUNK % k != 0) {
        Value first = LLVMBuildUDiv(e->b, at, number(t, CHUNK), "");
        Value last = LLVMBuildUDiv(e->b, LLVMBuildSub(e->b, next, number(t, 1), ""), number(t, CHUNK), "");
        If across = if_open(e, LLVMBuildICmp(e->b, LLVMIntNE, first, last, ""));
        divided(t, x, at);
        if_close(e, across);
        inside = if_open(e, LLVMBuildICmp(e->b, LLVMIntEQ, first, last, ""));
    }
    push_there(t, x);
    If ends = if_open(e, is(t, LLVMIntEQ, LLVMBuildAnd(e->b, next, number(t, CHUNK - 1), ""), 0));
    end_cut(t);
    if_close(e, ends);
    if (CHUNK % k != 0)
        if_close(e, inside);
}

/* ---- the lists ---- */
static Block inside(const Tile *t, const KList *l, const Block *outer, Value u) {
    Emit *e = t->e;
    Block x = {LLVMBuildAdd(e->b, outer->a, emit_mul_i64(e, u, l->a_step), ""),
               LLVMBuildAdd(e->b, outer->b, emit_mul_i64(e, u, l->b_step), ""), outer->there};
    if (!l->window)
        return x;
    Value at = emit_mul_i64(e, e->axis[l->axis].scalar, l->of_axis);
    if (l->outer >= 0)
        at = LLVMBuildAdd(e->b, at, emit_mul_i64(e, e->axis[l->outer].scalar, l->of_outer), "");
    at = LLVMBuildAdd(e->b, at, emit_mul_i64(e, u, l->of_u), "");
    at = LLVMBuildAdd(e->b, at, number(t, l->base), "");
    Value there = is(t, LLVMIntSGE, at, 0), place = at;
    if (l->divide != 1) {
        there = LLVMBuildAnd(e->b, there, is(t, LLVMIntEQ, LLVMBuildSRem(e->b, at, number(t, l->divide), ""), 0), "");
        place = LLVMBuildSDiv(e->b, at, number(t, l->divide), "");
    }
    there = LLVMBuildAnd(e->b, there, is(t, LLVMIntSLT, place, l->places), "");
    x.there = x.there == NULL ? there : LLVMBuildAnd(e->b, x.there, there, "");
    x.a = LLVMBuildAdd(e->b, x.a, emit_mul_i64(e, place, l->a_place), "");
    x.b = LLVMBuildAdd(e->b, x.b, emit_mul_i64(e, place, l->b_place), "");
    return x;
}

static void lists(const Tile *t, uint32_t i, const Block *outer, Value place) {
    if (i == t->t->n_lists) {
        block(t, outer, place);
        return;
    }
    const KList *list = &t->t->list[i];
    Loop l;
    loop_open(t->e, &l, number(t, 0), number(t, list->count), 1, 0, NULL);
    Block x = inside(t, list, outer, l.i);
    lists(t, i + 1, &x, LLVMBuildAdd(t->e->b, emit_mul_i64(t->e, place, list->count), l.i, ""));
    loop_close(t->e, &l, NULL);
}

static void one_tile(Tile *t) {
    Emit *e = t->e;
    int64_t total = ktile_blocks(t->t) * t->t->k;
    set(t, t->pending, number(t, 0));
    set(t, t->begun, number(t, 0));
    set(t, t->later, number(t, 0));
    if (t->t->n_lists == 0 && t->cut == NULL) {               /* the most frequent tile: one call */
        emit_store(e, LLVMConstNull(e->i64), t->list, 8);
        emit_store(e, LLVMConstNull(e->i64), emit_at(e, e->i64, t->list, number(t, 1)), 8);
        call(t, number(t, t->t->k), t->a, t->b, number(t, 1), t->list);
        return;
    }
    lists(t, 0, &(Block){number(t, 0), number(t, 0), NULL}, number(t, 0));
    if (t->cut == NULL || total % CHUNK != 0)
        end_cut(t);
}

static void tile_body(Dag *g, void *user) {
    Tile *t = user;
    const KTile *k = t->t;
    for (uint32_t level = 0; level <= g->n_loops; level++) {
        access_enter(g, k->a, level);
        access_enter(g, k->b, level);
    }
    t->a = g->address[g->n_loops * t->e->kernel->accesses.n + k->a];
    t->b = g->address[g->n_loops * t->e->kernel->accesses.n + k->b];
    t->out = t->e->buffer[k->out];
    if (g->s->n_axes > 0) {
        Value x = t->e->axis[g->s->axis[0]].scalar;
        t->out = emit_at(t->e, t->e->f32, t->out, emit_mul_i64(t->e, x, (int64_t)k->mr * k->nr));
    }
    one_tile(t);
}

void emit_tile(Emit *e, const Stage *s, Value microkernel) {
    const KTile *k = &s->tile;
    int64_t blocks = ktile_blocks(k);
    Tile t = {.e = e, .t = k, .type = emit_micro_type(e), .micro = microkernel,
              .most = blocks < LIST_LONGEST ? blocks : LIST_LONGEST};
    t.list = emit_local(e, e->i64, 2 * t.most, 16);
    t.pending = emit_local(e, e->i64, 1, 8);
    t.begun = emit_local(e, e->i64, 1, 8);
    t.later = emit_local(e, e->i64, 1, 8);
    t.cut = blocks * k->k > CHUNK ? emit_local(e, e->f32, (int64_t)k->mr * k->nr, BUFFER_ALIGN) : NULL;
    dag_loops(dag_create(e, s, s->n_axes), tile_body, &t);
}
