/* TILE: the calls of a microkernel that compute one tile.  The points of a tile, blocks of k one after the other,
 * form one range that semantics 3 cuts at every 4096.  Blocks are gathered into a list of offsets and handed to the
 * microkernel together: when the list is full, and when a cut ends.  A block that a cut divides goes in pieces of
 * its own.  The first cut is summed in the tile itself, a later one beside it and then added.
 * A tile that is one cut runs through the blocks of that cut alone.  Tiles made together take a block by one call where
 * it is there for all of them; at a border those that have it take it one by one. */
#include "emit.h"
#include "micro.h"

enum { LIST_LONGEST = 128 };

/* Where a tile stands while it runs.  A value that changes lives in a word on the stack. */
typedef struct {
    Emit *e;
    const KTile *t;
    LLVMTypeRef type;
    Value all_rows, last_rows;               /* microkernels of a panel of rows, and of the last one */
    Value micro, a, b, out, cut;             /* cut: the sum beside the tile; NULL when there is one cut only */
    Value list, pending, begun, later;       /* list of pairs; how many; has this cut a sum; is it not the first */
    int64_t most;                            /* pairs the list holds */
    uint32_t extent[2];                      /* outer and inner axis of tiles made together, else 0 */
    int32_t axis[2];                         /* their numbers, -1 none */
    const KList *columns;                    /* the list that ties columns to places, or NULL */
    bool pairs;                              /* an element holds two points of k */
    const Stage *stage;                      /* its own, when what the next part reads is fetched; else NULL */
    Value turn;                              /* the calls for that before those of this tile, of `turns` */
    int64_t turns;
    bool shares;                             /* one list, with room for all blocks, for the tiles of the last axis */
} Tile;

static int64_t pair_size(const Tile *t) { return t->columns != NULL ? 3 : 2; }
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

static void call_micro(const Tile *t, Value k, Value a, Value b, Value to, Value blocks, Value list, Value mode) {
    Value in[12] = {k, a, number(t, t->t->a_k), b, number(t, t->t->b_k), to, blocks, list, mode};
    if (t->columns != NULL) {
        in[9] = t->t->n_axis < 0 ? number(t, 0) : emit_mul_i64(t->e, t->e->axis[t->t->n_axis].scalar, t->t->nr);
        in[10] = number(t, t->columns->places);
        in[11] = number(t, t->t->n);
    } else if (t->t->together > 0) {
        in[9] = number(t, ktile_step(t->t, t->axis[0]));
        in[10] = number(t, ktile_step(t->t, t->axis[1]));
    }
    LLVMBuildCall2(t->e->b, t->type, t->micro, in, in[11] != NULL ? 12 : in[9] != NULL ? 11 : 9, "");
}

static void call(const Tile *t, Value k, Value a, Value b, Value blocks, Value list) {
    Value mode = LLVMBuildSelect(t->e->b, is(t, LLVMIntNE, get(t, t->begun), 0), number(t, MICRO_CONTINUE),
                                 number(t, MICRO_STORE), "");
    call_micro(t, k, a, b, target(t), blocks, list, mode);
    set(t, t->begun, number(t, 1));
}

/* The elements that n points of k take. */
static Value steps_of(const Tile *t, Value n) {
    if (!t->pairs)
        return n;
    return LLVMBuildLShr(t->e->b, LLVMBuildAdd(t->e->b, n, number(t, 1), ""), number(t, 1), "");
}

static Value whole_block(const Tile *t) { return number(t, ktile_steps(t->e->kernel, t->t)); }

/* The blocks that wait. */
static void flush(const Tile *t) {
    If some = if_open(t->e, is(t, LLVMIntSGT, get(t, t->pending), 0));
    call(t, whole_block(t), t->a, t->b, get(t, t->pending), t->list);
    set(t, t->pending, number(t, 0));
    if_close(t->e, some);
}

static int64_t tile_size(const Tile *t) {
    return (int64_t)t->t->mr * t->t->nr * (t->t->together > 0 ? t->extent[0] * t->extent[1] : 1);
}

typedef void Each(const Tile *t, Value at);

static void each_vector(const Tile *t, Each *f) {
    Loop l;
    loop_open(t->e, &l, number(t, 0), number(t, tile_size(t)), LANES, 0, NULL);
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

/* Chains that have no term yet are +0. */
static void begin(const Tile *t) {
    If none = if_open(t->e, is(t, LLVMIntEQ, get(t, t->begun), 0));
    each_vector(t, clear);
    set(t, t->begun, number(t, 1));
    if_close(t->e, none);
}

/* A cut without a term is +0, and is added like any other. */
static void end_cut(const Tile *t) {
    flush(t);
    begin(t);
    if (t->cut == NULL)
        return;
    If later = if_open(t->e, is(t, LLVMIntNE, get(t, t->later), 0));
    each_vector(t, add);
    if_close(t->e, later);
    set(t, t->later, number(t, 1));
    set(t, t->begun, number(t, 0));
}

/* ---- one block ---- */
/* how far it moves A, B and, beyond that, columns; i1, NULL: certainly */
typedef struct { Value a, b, there, shift; } Block;

static void push(const Tile *t, const Block *x) {
    Emit *e = t->e;
    Value n = get(t, t->pending), pair = emit_at(e, e->i64, t->list, emit_mul_i64(e, n, pair_size(t)));
    emit_store(e, x->a, pair, 8);
    emit_store(e, x->b, emit_at(e, e->i64, pair, number(t, 1)), 8);
    if (t->columns != NULL)
        emit_store(e, x->shift, emit_at(e, e->i64, pair, number(t, 2)), 8);
    n = LLVMBuildAdd(e->b, n, number(t, 1), "");
    set(t, t->pending, n);
    if (t->shares)
        return;
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

/* A list of one block, which lies where the operands do. */
static void list_one(const Tile *t, Value shift) {
    emit_store(t->e, number(t, 0), t->list, 8);
    emit_store(t->e, number(t, 0), emit_at(t->e, t->e->i64, t->list, number(t, 1)), 8);
    if (t->columns != NULL)
        emit_store(t->e, shift, emit_at(t->e, t->e->i64, t->list, number(t, 2)), 8);
}

/* Points p .. p+n-1 of a block, alone. */
static void piece(const Tile *t, const Block *x, Value p, Value n) {
    Emit *e = t->e;
    If f = {NULL};
    if (x->there != NULL)
        f = if_open(e, x->there);
    flush(t);
    list_one(t, x->shift);
    p = steps_of(t, p);
    Value a = moved(t, t->a, x->a, p, t->t->a_k), b = moved(t, t->b, x->b, p, t->t->b_k);
    call(t, steps_of(t, n), a, b, number(t, 1), t->list);
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
static Value both(const Tile *t, Value x, Value y) { return x == NULL ? y : LLVMBuildAnd(t->e->b, x, y, ""); }

/* The place of a window, before it is divided, where of its axes those of tiles made together stand at 0. */
static Value place_of(const Tile *t, const KList *l, Value u) {
    Emit *e = t->e;
    Value at = emit_mul_i64(e, u, l->of_u);
    if (l->axis != t->axis[0] && l->axis != t->axis[1])
        at = LLVMBuildAdd(e->b, at, emit_mul_i64(e, e->axis[l->axis].scalar, l->of_axis), "");
    if (l->outer >= 0)
        at = LLVMBuildAdd(e->b, at, emit_mul_i64(e, e->axis[l->outer].scalar, l->of_outer), "");
    return LLVMBuildAdd(e->b, at, number(t, l->base), "");
}

/* The place it is when divided; there: and is it one. */
static Value divided_place(const Tile *t, const KList *l, Value at, Value *there) {
    Emit *e = t->e;
    Value is_there = is(t, LLVMIntSGE, at, 0), place = at;
    if (l->divide != 1) {
        is_there = both(t, is_there, is(t, LLVMIntEQ, LLVMBuildSRem(e->b, at, number(t, l->divide), ""), 0));
        place = LLVMBuildSDiv(e->b, at, number(t, l->divide), "");
    }
    *there = both(t, *there, both(t, is_there, is(t, LLVMIntSLT, place, l->places)));
    return place;
}

static Block inside(const Tile *t, const KList *l, const Block *outer, Value u) {
    Emit *e = t->e;
    Block x = {LLVMBuildAdd(e->b, outer->a, emit_mul_i64(e, u, l->a_step), ""),
               LLVMBuildAdd(e->b, outer->b, emit_mul_i64(e, u, l->b_step), ""), outer->there, outer->shift};
    if (l->columns) {
        x.shift = LLVMBuildAdd(e->b, emit_mul_i64(e, u, l->of_u), number(t, l->base), "");
        x.b = LLVMBuildAdd(e->b, x.b, x.shift, "");
    }
    if (!l->window)
        return x;
    Value at = place_of(t, l, u), place = divided_place(t, l, at, &x.there);
    for (int i = 0; i < 2; i++) /* the last of them: then those between are there, too */
        if (l->axis == t->axis[i])
            divided_place(t, l, LLVMBuildAdd(e->b, at, number(t, l->of_axis * (t->extent[i] - 1)), ""), &x.there);
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

/* ---- one cut ---- */
/* Of a block that is not there for all tiles made together: those for which it is. */
static void one_by_one(const Tile *t, const Block *x, const Value *u) {
    Emit *e = t->e;
    Loop l[2];
    flush(t);
    begin(t);
    list_one(t, NULL);
    for (int i = 0; i < 2; i++)
        loop_open(e, &l[i], number(t, 0), number(t, t->extent[i]), 1, 0, NULL);
    Value there = NULL, a = LLVMBuildAdd(e->b, x->a, emit_mul_i64(e, l[0].i, ktile_step(t->t, t->axis[0])), "");
    a = LLVMBuildAdd(e->b, a, emit_mul_i64(e, l[1].i, ktile_step(t->t, t->axis[1])), "");
    for (uint32_t i = 0; i < t->t->n_lists; i++) {
        const KList *list = &t->t->list[i];
        if (!list->window)
            continue;
        Value place = place_of(t, list, u[i]);
        for (int k = 0; k < 2; k++)
            if (list->axis == t->axis[k])
                place = LLVMBuildAdd(e->b, place, emit_mul_i64(e, l[k].i, list->of_axis), "");
        divided_place(t, list, place, &there);
    }
    If some = if_open(e, there);
    Value tile = LLVMBuildAdd(e->b, emit_mul_i64(e, l[0].i, t->extent[1]), l[1].i, "");
    Value to = emit_at(e, e->f32, t->out, emit_mul_i64(e, tile, (int64_t)t->t->mr * t->t->nr));
    call_micro(t, whole_block(t), emit_at(e, e->f32, t->a, a), emit_at(e, e->f32, t->b, x->b), to, number(t, 1),
               t->list, number(t, MICRO_ALONE));
    if_close(e, some);
    for (int i = 2; i-- > 0;)
        loop_close(e, &l[i], NULL);
}

static void cut_block(const Tile *t, const Block *x, const Value *u) {
    Emit *e = t->e;
    if (t->t->together == 0 || x->there == NULL) {
        push_there(t, x);
        return;
    }
    If border = if_open(e, LLVMBuildNot(e->b, x->there, ""));
    one_by_one(t, x, u);
    if_close(e, border);
    push_there(t, x);
}

static void one_cut(const Tile *t) {
    Emit *e = t->e;
    int64_t blocks = CHUNK / t->t->k;
    Value first = emit_mul_i64(e, e->axis[t->t->cut].scalar, blocks);
    Value end = emit_min_i64(e, LLVMBuildAdd(e->b, first, number(t, blocks), ""), number(t, ktile_blocks(t->t)));
    Loop l;
    loop_open(e, &l, first, end, 1, 0, NULL);
    Value u[MAX_LISTS], rest = l.i;
    for (uint32_t i = t->t->n_lists; i-- > 0;) {
        u[i] = i == 0 ? rest : LLVMBuildURem(e->b, rest, number(t, t->t->list[i].count), "");
        rest = LLVMBuildUDiv(e->b, rest, number(t, t->t->list[i].count), "");
    }
    Block x = {.a = number(t, 0), .b = number(t, 0)};
    for (uint32_t i = 0; i < t->t->n_lists; i++)
        x = inside(t, &t->t->list[i], &x, u[i]);
    x.b = emit_mul_i64(e, LLVMBuildSub(e->b, l.i, first, ""), ktile_steps(e->kernel, t->t) * t->t->b_k);
    cut_block(t, &x, u);
    if (t->stage != NULL) {
        Value turn = LLVMBuildAdd(e->b, t->turn, LLVMBuildSub(e->b, l.i, first, ""), "");
        part_fetch(e, t->stage, turn, t->turns);
        flush(t);
    }
    loop_close(e, &l, NULL);
    end_cut(t);
}

static void one_tile(Tile *t) {
    int64_t total = ktile_blocks(t->t) * t->t->k;
    set(t, t->pending, number(t, 0));
    set(t, t->begun, number(t, 0));
    set(t, t->later, number(t, 0));
    if (t->t->cut >= 0) {
        one_cut(t);
        return;
    }
    if (t->t->n_lists == 0 && t->cut == NULL) {               /* the most frequent tile: one call */
        list_one(t, NULL);
        call(t, whole_block(t), t->a, t->b, number(t, 1), t->list);
        return;
    }
    lists(t, 0, &(Block){.a = number(t, 0), .b = number(t, 0)}, number(t, 0));
    if (t->cut == NULL || total % CHUNK != 0)
        end_cut(t);
}

/* Can the tiles of the last axis share a list?  No block differs by it: it counts panels. */
static bool shares_list(const Tile *t, const Stage *s) {
    int32_t last = s->n_axes > 0 ? s->axis[s->n_axes - 1] : -1;
    for (uint32_t i = 0; i < t->t->n_lists; i++) {
        const KList *l = &t->t->list[i];
        if (l->window && (l->axis == last || l->outer == last))
            return false;
    }
    if (last < 0)
        return false;
    return t->t->n_lists > 0 && t->t->cut < 0 && t->cut == NULL && ktile_blocks(t->t) <= LIST_LONGEST &&
           (t->columns == NULL || t->t->n_axis == last);
}

/* Images read where they lie: what a tile's columns read of the row behind those of its window, a piece of each plane.
 * Planes lie pages apart, so the processor does not foresee it.  The next point of the head reads it; the first panel
 * of rows asks for it. */
static void fetch_row(const Tile *t) {
    enum { INPUT_LEAST = 4 << 20, MOST_STEPS = 64 };
    Emit *e = t->e;
    const KList *l = &t->t->list[0];
    int64_t steps = ktile_steps(e->kernel, t->t);
    const KBuf *b = &e->kernel->bufs.at[e->kernel->accesses.at[t->t->b].buf];
    if (t->columns == NULL || !l->window || l->divide != 1 || b->count * 4 < INPUT_LEAST || steps > MOST_STEPS)
        return;
    bool one = t->t->m_axis < 0;
    If first = if_open(e, one ? LLVMConstInt(e->i1, 1, false) : is(t, LLVMIntEQ, e->axis[t->t->m_axis].scalar, 0));
    int64_t away = l->of_axis > 0 ? 1 : -1, end = l->of_u * away > 0 ? l->count - 1 : 0;
    Value place = LLVMBuildAdd(e->b, place_of(t, l, number(t, end)), number(t, away), "");
    Value row = emit_at(e, e->f32, t->b, emit_mul_i64(e, place, l->b_place));
    Loop k;
    loop_open(e, &k, number(t, 0), number(t, steps), 1, 0, NULL);
    Value at = emit_at(e, e->f32, row, emit_mul_i64(e, k.i, t->t->b_k));
    for (int64_t line = 0; line < t->t->nr; line += LANES)
        emit_fetch(e, emit_at(e, e->f32, at, number(t, line)), false);
    loop_close(e, &k, NULL);
    if_close(e, first);
}

/* Its last axis, with one list for all. */
static void tiles_of_list(Tile *t, const Stage *s) {
    Emit *e = t->e;
    const Kernel *k = e->kernel;
    uint32_t axis = s->axis[s->n_axes - 1];
    Value a = t->a, b = t->b, out = t->out;
    set(t, t->pending, number(t, 0));
    lists(t, 0, &(Block){.a = number(t, 0), .b = number(t, 0)}, number(t, 0));
    Value blocks = get(t, t->pending);
    Loop l;
    loop_open(e, &l, number(t, 0), dag_extent(e, axis), 1, 0, NULL);
    e->axis[axis] = (AxisAt){l.i, NULL};
    t->a = emit_at(e, e->f32, a, emit_mul_i64(e, l.i, k->accesses.at[t->t->a].coef[axis]));
    t->b = emit_at(e, e->f32, b, emit_mul_i64(e, l.i, k->accesses.at[t->t->b].coef[axis]));
    t->out = emit_at(e, e->f32, out, emit_mul_i64(e, l.i, tile_size(t)));
    fetch_row(t);
    call_micro(t, whole_block(t), t->a, t->b, t->out, blocks, t->list, number(t, MICRO_STORE));
    loop_close(e, &l, NULL);
}

/* The microkernel where the tile stands. */
static Value micro_here(const Tile *t) {
    if (t->all_rows == t->last_rows || t->t->m_axis < 0)
        return t->all_rows;
    Value last = is(t, LLVMIntEQ, t->e->axis[t->t->m_axis].scalar, t->t->m / t->t->mr);
    return LLVMBuildSelect(t->e->b, last, t->last_rows, t->all_rows, "");
}

static void tile_body(Dag *g, void *user) {
    Tile *t = user;
    const KTile *k = t->t;
    t->micro = micro_here(t);
    for (uint32_t level = 0; level <= g->n_loops; level++) {
        access_enter(g, k->a, level);
        access_enter(g, k->b, level);
    }
    t->a = g->address[g->n_loops * t->e->kernel->accesses.n + k->a];
    t->b = g->address[g->n_loops * t->e->kernel->accesses.n + k->b];
    t->out = t->e->buffer[k->out];
    Value tile = number(t, 0);
    for (uint32_t i = 0; i < g->n_loops; i++) {
        const KAxis *x = &t->e->kernel->axes.at[g->s->axis[i]];
        tile = LLVMBuildAdd(t->e->b, emit_mul_i64(t->e, tile, x->extent), t->e->axis[g->s->axis[i]].scalar, "");
    }
    if (t->stage != NULL)
        t->turn = emit_mul_i64(t->e, tile, CHUNK / k->k);
    int64_t tiles = t->shares ? t->e->kernel->axes.at[g->s->axis[g->n_loops]].extent : 1;
    t->out = emit_at(t->e, t->e->f32, t->out, emit_mul_i64(t->e, tile, tiles * tile_size(t)));
    if (t->shares)
        tiles_of_list(t, g->s);
    else
        one_tile(t);
}

void emit_tile(Emit *e, const Stage *s, Value microkernel, Value last) {
    const KTile *k = &s->tile;
    int64_t blocks = ktile_blocks(k);
    Tile t = {.e = e, .t = k, .columns = ktile_columns(k), .all_rows = microkernel, .last_rows = last,
              .pairs = ktile_pairs(e->kernel, k),
              .most = blocks < LIST_LONGEST ? blocks : LIST_LONGEST, .extent = {1, 1}, .axis = {-1, -1}};
    for (uint32_t i = 0; i < k->together; i++) { /* of one axis: the inner */
        t.axis[1 - i] = s->axis[s->n_axes - 1 - i];
        t.extent[1 - i] = (uint32_t)e->kernel->axes.at[t.axis[1 - i]].extent;
    }
    t.type = emit_micro_type(e, k->together > 0, t.columns != NULL);
    t.pending = emit_local(e, e->i64, 1, 8);
    t.begun = emit_local(e, e->i64, 1, 8);
    t.later = emit_local(e, e->i64, 1, 8);
    t.cut = k->cut < 0 && blocks * k->k > CHUNK ? emit_local(e, e->f32, (int64_t)k->mr * k->nr, BUFFER_ALIGN) : NULL;
    t.shares = shares_list(&t, s);
    if (part_fetches(e->kernel, s)) {
        t.stage = s;
        t.turns = CHUNK / k->k;
        for (uint32_t i = 0; i + k->together < s->n_axes; i++)
            t.turns *= e->kernel->axes.at[s->axis[i]].extent;
    }
    t.list = emit_local(e, e->i64, pair_size(&t) * t.most, 16);
    dag_loops(dag_create(e, s, s->n_axes - k->together - t.shares), tile_body, &t);
}
