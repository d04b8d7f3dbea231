/* Kernels of a product with its update as epilogue.  The update of a tile waits for its root and its quotient and for
 * memory, the product for multiplications alone, and a processor sees too little ahead to do the one beside the other.
 * So here they are woven: while a tile is summed, in registers, the one before, in scratch, is updated, a row every few
 * steps of k; and meanwhile the lines that the tile's own update will need are asked for.  A head point p, one
 * more than there are:
 *     p is a whole tile:      sum p { row r of p - 1 updated, row r of p fetched }, store p to scratch
 *     else (none, or fewer    update p - 1, sum p by the microkernel for so many rows
 *     rows)
 * The sums stay what they are, and a tile's update touches nothing that another tile reads. */
#include "emit.h"

static const Stage *tile_of(const Kernel *k) { return &k->stages.at[0]; }
static const Stage *map_of(const Kernel *k) { return &k->stages.at[1]; }

/* Thirty-two columns: sums take most of the registers of vectors that wide, of narrower ones all. */
bool folded_fits(const Kernel *k) {
    enum { WIDE = 32 };
    if (k->stages.n != 2 || k->lanes || kernel_updates(k).n == 0)
        return false;
    const KTile *t = &tile_of(k)->tile;
    return t->nr == WIDE && t->m >= t->mr && k->bufs.at[k->accesses.at[t->a].buf].dtype == DT_F32;
}

typedef struct {
    Emit *e;
    KUpdates updates;
    Dag *before;                       /* the update of the tile before */
    Value rows;                        /* how many of it there are */
    Value array[MAX_UPDATES];          /* where the tile's own lie */
} Folded;

static void stand_at(Emit *e, const Value *point) {
    for (uint32_t h = 0; h < e->kernel->n_head; h++)
        e->axis[h] = (AxisAt){point[h], NULL};
}

static Value address(Emit *e, uint32_t access, const Value *point) {
    const KAccess *a = &e->kernel->accesses.at[access];
    Value at = emit_i64(e, a->base);
    for (uint32_t h = 0; h < e->kernel->n_head; h++)
        if (a->coef[h] != 0)
            at = LLVMBuildAdd(e->b, at, emit_mul_i64(e, point[h], a->coef[h]), "");
    return emit_at(e, e->f32, e->buffer[a->buf], at);
}

/* Asked for to be written: a parameter that another thread has read is asked for twice otherwise, and where caches lie
 * apart that is a long way.  The line of a vector's last element: that of the first came with the tile on its left,
 * when rows do not begin on lines. */
static void fetch_row(const Folded *f, Value row) {
    Emit *e = f->e;
    const KTile *t = &tile_of(e->kernel)->tile;
    Value at = emit_mul_i64(e, row, f->updates.pitch);
    for (int64_t column = LANES - 1; column < t->nr; column += LANES)
        for (uint32_t i = 0; i < f->updates.n; i++)
            emit_fetch_to_write(e, emit_at(e, e->f32, f->array[i], LLVMBuildAdd(e->b, at, emit_i64(e, column), "")));
}

static void weave_row(void *user, Value row) {
    Folded *f = user;
    Emit *e = f->e;
    If there = if_open(e, LLVMBuildICmp(e->b, LLVMIntSLT, row, f->rows, ""));
    dag_turn(f->before, row);
    if_close(e, there);
    If own = if_open(e, LLVMBuildICmp(e->b, LLVMIntSLT, row, emit_i64(e, tile_of(e->kernel)->tile.mr), ""));
    fetch_row(f, row);
    if_close(e, own);
}

/* any: is there a tile before? */
static void woven(Folded *f, const Value *here, const Value *before, Value any) {
    Emit *e = f->e;
    const KTile *t = &tile_of(e->kernel)->tile;
    const Stage *map = map_of(e->kernel);
    for (uint32_t i = 0; i < f->updates.n; i++)
        f->array[i] = address(e, f->updates.access[i], here);
    Value a = address(e, t->a, here), b = address(e, t->b, here);
    stand_at(e, before);
    f->before = dag_create(e, map, map->n_axes);
    dag_begin(f->before);
    f->rows = LLVMBuildSelect(e->b, any, dag_extent(e, map->axis[0]), emit_i64(e, 0), "");
    emit_micro_here(e, t, a, b, &(MicroBetween){f->updates.steps, weave_row, f});
}

/* One behind the other; more: is there a tile here? */
static void apart(Emit *e, const Value *here, const Value *before, Value any, Value more) {
    If update = if_open(e, any);
    stand_at(e, before);
    emit_map(e, map_of(e->kernel));
    if_close(e, update);
    If sum = if_open(e, more);
    stand_at(e, here);
    Value micro = emit_load_micro(e, tile_of(e->kernel), true);
    emit_tile(e, tile_of(e->kernel), micro, micro);
    if_close(e, sum);
}

void emit_folded(Emit *e, Value first, Value last) {
    const KTile *t = &tile_of(e->kernel)->tile;
    Value here[MAX_AXES], before[MAX_AXES], one = emit_i64(e, 1);
    Folded f = {.e = e, .updates = kernel_updates(e->kernel)};
    Loop l;
    loop_open(e, &l, first, LLVMBuildAdd(e->b, last, one, ""), 1, 0, NULL);
    Value any = LLVMBuildICmp(e->b, LLVMIntSGT, l.i, first, "");
    Value more = LLVMBuildICmp(e->b, LLVMIntSLT, l.i, last, "");
    emit_set_point(e, emit_min_i64(e, l.i, LLVMBuildSub(e->b, last, one, "")), here);
    emit_set_point(e, LLVMBuildSelect(e->b, any, LLVMBuildSub(e->b, l.i, one, ""), l.i, ""), before);
    Value whole = more;
    if (t->m % t->mr != 0 && t->m_axis >= 0)
        whole = LLVMBuildAnd(e->b, more, LLVMBuildICmp(e->b, LLVMIntNE, here[t->m_axis], emit_i64(e, t->m / t->mr), ""),
                             "");
    LLVMBasicBlockRef weave = emit_block(e, "woven"), part = emit_block(e, "apart"), done = emit_block(e, "done");
    LLVMBuildCondBr(e->b, whole, weave, part);
    LLVMPositionBuilderAtEnd(e->b, weave);
    woven(&f, here, before, any);
    LLVMBuildBr(e->b, done);
    LLVMPositionBuilderAtEnd(e->b, part);
    apart(e, here, before, any, more);
    LLVMBuildBr(e->b, done);
    LLVMPositionBuilderAtEnd(e->b, done);
    loop_close(e, &l, NULL);
}
