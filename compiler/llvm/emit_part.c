/* Parts of a long sum (`tile .. cut`).  Each packs its columns into scratch, from rows that lie pages apart, and memory
 * rests while they are multiplied.  So a block is a call of its own, and before each call some lines of what the next
 * head point reads are asked for: of what it packs, and of the rows' operand one row of places on, where that is packed
 * place by place.  Into the second cache, where this part is, too.  A fetch never faults, so the last ones need no
 * guard. */
#include "emit.h"

enum { LINE_BYTES = 64, INPUT_LEAST = 4 << 20, MOST_LINES = 64, NEAR_LINES = 512 };

static bool loads_rows(const Kernel *k, const Stage *s, const KInst *in) {
    if (in->kop != K_LOAD || in->in[0] != 0)
        return false;
    const KAccess *a = &k->accesses.at[in->access];
    const KBuf *b = &k->bufs.at[a->buf];
    return b->role == KBUF_IN && b->count * (int64_t)dtype_bytes(b->dtype) >= INPUT_LEAST && a->index == 0 &&
           a->coef[s->axis[s->vec]] == 1;
}

/* The stage before the tile that packs its columns, a line of lanes at a time; NULL: there is none. */
static const Stage *packing(const Kernel *k, const Stage *tile) {
    uint32_t columns = k->accesses.at[tile->tile.b].buf;
    for (const Stage *s = k->stages.at; s < tile; s++) {
        bool stores = false, loads = false;
        for (uint32_t i = 0; i < s->n && s->kind == STAGE_MAP && s->vec >= 0; i++) {
            const KInst *in = &k->insts.at[s->first + i];
            stores |= in->kop == K_STORE && k->accesses.at[in->access].buf == columns;
            loads |= loads_rows(k, s, in);
        }
        if (stores && loads)
            return s;
    }
    return NULL;
}

int64_t part_near_lines(int64_t step) { return step < NEAR_LINES ? NEAR_LINES / step : 1; }

bool part_fetches(const Kernel *k, const Stage *tile) {
    return tile->kind == STAGE_TILE && tile->tile.cut >= 0 && packing(k, tile) != NULL;
}

/* Where the access stands when the next head point begins. */
static Value at_next(Emit *e, const KAccess *a) {
    LLVMTypeRef t = emit_storage(e, e->kernel->bufs.at[a->buf].dtype);
    Value at = emit_at(e, t, e->buffer[a->buf], emit_i64(e, a->base));
    for (uint32_t h = 0; h < e->kernel->n_head; h++)
        if (a->coef[h] != 0)
            at = emit_at(e, t, at, emit_mul_i64(e, e->ahead.point[h], a->coef[h]));
    return at;
}

/* Lines n, n+1 .. of `lines`, as many as make all of them in `turns` turns. */
static bool open_turn(Emit *e, Loop *l, Value turn, int64_t turns, int64_t lines, Value *line) {
    int64_t each = (lines + turns - 1) / turns;
    if (each < 1 || each > MOST_LINES)
        return false;
    loop_open(e, l, emit_i64(e, 0), emit_i64(e, each), 1, 0, NULL);
    *line = LLVMBuildAdd(e->b, emit_mul_i64(e, turn, each), l->i, "");
    *line = emit_min_i64(e, *line, emit_i64(e, lines - 1));
    return true;
}

static Value part_of(Emit *e, Value *n, int64_t extent) {
    Value by = emit_i64(e, extent), part = LLVMBuildURem(e->b, *n, by, "");
    *n = LLVMBuildUDiv(e->b, *n, by, "");
    return part;
}

/* What is packed: rows of lines, a row for each point of the other axes. */
static void fetch_rows(Emit *e, const Stage *s, const KAccess *a, Value turn, int64_t turns) {
    const Kernel *k = e->kernel;
    LLVMTypeRef t = emit_storage(e, k->bufs.at[a->buf].dtype);
    int64_t bytes = dtype_bytes(k->bufs.at[a->buf].dtype), rows = 1;
    int64_t row = (k->axes.at[s->axis[s->vec]].extent * bytes + LINE_BYTES - 1) / LINE_BYTES;
    for (uint32_t j = 0; j < s->n_axes; j++)
        rows *= (int32_t)j == s->vec ? 1 : k->axes.at[s->axis[j]].extent;
    Value at = at_next(e, a), line;
    Loop l;
    int64_t lines = rows * row < NEAR_LINES ? rows * row : NEAR_LINES;
    if (!open_turn(e, &l, turn, turns, lines, &line))
        return;
    at = emit_at(e, t, at, emit_mul_i64(e, part_of(e, &line, row), LINE_BYTES / bytes));
    for (uint32_t j = s->n_axes; j-- > 0;)
        if ((int32_t)j != s->vec)
            at = emit_at(e, t, at, emit_mul_i64(e, part_of(e, &line, k->axes.at[s->axis[j]].extent),
                                                a->coef[s->axis[j]]));
    emit_fetch(e, at, false);
    loop_close(e, &l, NULL);
}

/* The rows' operand, whose places lie one behind the other: those of the next part, a row of places on. */
static void fetch_places(Emit *e, const KTile *t, Value turn, int64_t turns) {
    const KList *last = &t->list[t->n_lists - 1];
    int64_t place = ktile_steps(e->kernel, t) * t->a_k, blocks = CHUNK / t->k, on = 0;
    if (!last->window || last->a_place != place || t->n_lists > 2)
        return;
    if (t->n_lists == 2) {
        on = t->list[0].a_place;
        if (!t->list[0].window || on != place * last->count)
            return;
    }
    const KAccess *a = &e->kernel->accesses.at[t->a];
    Value at = at_next(e, a), line;
    at = emit_at(e, e->f32, at, emit_mul_i64(e, e->ahead.point[t->cut], blocks * place));
    Loop l;
    if (!open_turn(e, &l, turn, turns, blocks * place * (int64_t)sizeof(float) / LINE_BYTES, &line))
        return;
    Value far = LLVMBuildAdd(e->b, emit_mul_i64(e, line, LINE_BYTES / sizeof(float)), emit_i64(e, on), "");
    emit_fetch(e, emit_at(e, e->f32, at, far), false);
    loop_close(e, &l, NULL);
}

void part_fetch(Emit *e, const Stage *tile, Value turn, int64_t turns) {
    const Kernel *k = e->kernel;
    const Stage *s = packing(k, tile);
    for (uint32_t i = 0; i < s->n; i++)
        if (loads_rows(k, s, &k->insts.at[s->first + i]))
            fetch_rows(e, s, &k->accesses.at[k->insts.at[s->first + i].access], turn, turns);
    fetch_places(e, &tile->tile, turn, turns);
}
