/* Fetching ahead.  A kernel of rows reads a row from memory in its first pass and computes on it in the later
 * ones, so that memory rests while it computes.  Here its costlier passes ask for the rows of the next head
 * point meanwhile: a line of an input for each sixteen elements they compute.  Only for inputs that do not
 * fit into the caches, and rows that do.  A fetch never faults, so the last ones need no guard.  A row in segments
 * (emit_along.c) asks for the lines of the next, a block that is turned (emit_turn.c) for those of the
 * next, into the second cache: its rows lie pages apart, often in few sets of the first. */
#include "emit.h"

enum { INPUT_LEAST = 4 << 20, ROW_LEAST = 1 << 10, ROW_LONG = 8 << 10, ROW_MOST = 256 << 10 };
enum { SEGMENT_MOST = 512, INPUT_NEAR = 1 << 20, JUMP_LEAST = 2 << 10 };

static bool in_stage(const Stage *s, uint32_t axis) {
    for (uint32_t j = 0; j < s->n_axes; j++)
        if (s->axis[j] == axis)
            return true;
    return false;
}

static bool moves_with_head(const Kernel *k, const KAccess *a) {
    for (uint32_t h = 0; h < k->n_head; h++)
        if (a->coef[h] != 0)
            return true;
    return false;
}

/* Bytes that one head point reads of it, at most. */
static int64_t row_bytes(const Kernel *k, const KAccess *a) {
    int64_t n = dtype_bytes(k->bufs.at[a->buf].dtype);
    for (uint32_t i = k->n_head; i < k->axes.n; i++)
        n *= a->coef[i] != 0 ? k->axes.at[i].extent : 1;
    return n;
}

/* Parameters and states behind the product that makes their gradient: a tile of each is as many short rows, which the
 * processor does not foresee, and the product leaves the memory alone. */
static bool is_updated(const Kernel *k, const KAccess *a) {
    return k->commit && k->bufs.at[a->buf].role == KBUF_INOUT && k->stages.n > 1;
}

static bool worth_it(const Kernel *k, const KAccess *a) {
    const KBuf *b = &k->bufs.at[a->buf];
    if (is_updated(k, a))
        return a->index == 0 && moves_with_head(k, a);
    int64_t row = row_bytes(k, a);
    return b->role == KBUF_IN && b->count * (int64_t)dtype_bytes(b->dtype) >= INPUT_LEAST && a->index == 0 &&
           moves_with_head(k, a) && row >= ROW_LEAST && row <= ROW_MOST;
}

static bool same_lines(const Kernel *k, const KAccess *a, const KAccess *b) {
    bool same = a->buf == b->buf && a->base == b->base;
    for (uint32_t i = 0; i < k->axes.n; i++)
        same = same && a->coef[i] == b->coef[i];
    return same;
}

/* Does the stage walk all of it, sixteen elements side by side at a time? */
static bool walks(const Kernel *k, const Stage *s, const KAccess *a) {
    if (s->vec < 0 || s->kind == STAGE_TILE || s->kind == STAGE_FOLD || s->transpose >= 0)
        return false;
    if (a->coef[s->axis[s->vec]] != 1)
        return false;
    for (uint32_t i = k->n_head; i < k->axes.n; i++)
        if (a->coef[i] != 0 && !in_stage(s, i))
            return false;
    return true;
}

static uint32_t fetches_of(const Ahead *h, uint32_t stage) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->n; i++)
        n += h->at[i].stage == stage;
    return n;
}

/* The costliest stage that walks it and fetches less than `room` so far; stages.n when there is none. */
static uint32_t costliest(const Emit *e, const KAccess *a, uint32_t room) {
    const Kernel *k = e->kernel;
    uint32_t best = k->stages.n, most = 0;
    for (uint32_t i = 0; i < k->stages.n; i++) {
        const Stage *s = &k->stages.at[i];
        uint32_t w = stage_weight(e, s);
        if (w > most && walks(k, s, a) && fetches_of(&e->ahead, i) < room) {
            best = i;
            most = w;
        }
    }
    return best;
}

/* Two short rows at once are not too much for the memory; long ones are spread over the stages if there are
 * enough of them. */
static uint32_t stage_for(const Emit *e, const KAccess *a) {
    uint32_t none = e->kernel->stages.n;
    if (is_updated(e->kernel, a))
        return costliest(e, a, MAX_AHEAD);
    uint32_t alone = row_bytes(e->kernel, a) > ROW_LONG ? costliest(e, a, 1) : none;
    return alone < none ? alone : costliest(e, a, 2);
}

static bool planned(const Emit *e, const KAccess *a) {
    for (uint32_t i = 0; i < e->ahead.n; i++)
        if (same_lines(e->kernel, a, &e->kernel->accesses.at[e->ahead.at[i].access]))
            return true;
    return false;
}

bool ahead_any(const Emit *e) { return e->ahead.n > 0 || e->ahead.parts; }

void ahead_plan(Emit *e) {
    const Kernel *k = e->kernel;
    e->ahead.n = 0;
    e->ahead.parts = false;
    for (uint32_t i = 0; i < k->stages.n; i++)
        e->ahead.parts |= part_fetches(k, &k->stages.at[i]);
    if (k->stages.n == 1)       /* no pass computes while memory rests: the processor fetches ahead by itself */
        return;
    for (uint32_t i = 0; i < k->accesses.n && e->ahead.n < MAX_AHEAD; i++) {
        const KAccess *a = &k->accesses.at[i];
        if (!worth_it(k, a) || planned(e, a))
            continue;
        uint32_t stage = stage_for(e, a);
        if (stage < k->stages.n)
            e->ahead.at[e->ahead.n++] = (Fetch){i, stage};
    }
}

/* Elements from the row of this head point to that of the next. */
static Value distance(Emit *e, const KAccess *a) {
    Value sum = emit_i64(e, 0);
    for (uint32_t h = 0; h < e->kernel->n_head; h++) {
        if (a->coef[h] == 0)
            continue;
        Value steps = LLVMBuildSub(e->b, e->ahead.point[h], e->axis[h].scalar, "");
        sum = LLVMBuildAdd(e->b, sum, emit_mul_i64(e, steps, a->coef[h]), "");
    }
    return sum;
}

/* near: into the first cache, else into the second. */
static void fetch_moved(Dag *g, uint32_t access, Value elements, bool near) {
    Emit *e = g->e;
    const KAccess *a = &e->kernel->accesses.at[access];
    LLVMTypeRef t = emit_storage(e, e->kernel->bufs.at[a->buf].dtype);
    Value at = emit_at(e, t, g->address[g->depth * e->kernel->accesses.n + access], elements);
    emit_fetch(e, at, near);
}

/* Of what is updated the last element of a vector: the line of the first was fetched with the tile on its left. */
static void fetch(Dag *g, uint32_t access) {
    const KAccess *a = &g->e->kernel->accesses.at[access];
    Value on = emit_i64(g->e, is_updated(g->e->kernel, a) ? LANES - 1 : 0);
    fetch_moved(g, access, LLVMBuildAdd(g->e->b, distance(g->e, a), on, ""), true);
}

/* ---- rows in segments that lie apart ---- */
/* From one to the next is a jump that the processor does not foresee, and most often to another page. */
static bool jumps(const Kernel *k, const KAccess *a, uint32_t outer, uint32_t last) {
    const KBuf *b = &k->bufs.at[a->buf];
    int64_t bytes = dtype_bytes(b->dtype);
    return b->role == KBUF_IN && b->count * bytes >= INPUT_NEAR && a->index == 0 && a->coef[last] == 1 &&
           a->coef[outer] * bytes >= JUMP_LEAST;
}

/* Does one of the first n instructions of a stage load the lines that this access does? */
static bool loads_lines(const Kernel *k, const Stage *s, uint32_t n, const KAccess *a) {
    for (uint32_t j = 0; j < n; j++) {
        const KInst *in = &k->insts.at[s->first + j];
        if (in->kop == K_LOAD && same_lines(k, &k->accesses.at[in->access], a))
            return true;
    }
    return false;
}

static bool fetched_before(const Dag *g, uint32_t i) {
    const Kernel *k = g->e->kernel;
    const KAccess *a = &k->accesses.at[k->insts.at[g->s->first + i].access];
    bool any = loads_lines(k, g->s, i, a);
    for (const Dag *d = g->before; d != NULL; d = d->before)
        any = any || loads_lines(k, d->s, d->s->n, a);
    return any;
}

void ahead_segment(Dag *g, Value segment) {
    Emit *e = g->e;
    const Kernel *k = e->kernel;
    uint32_t last = g->s->axis[g->s->n_axes - 1], outer = g->s->axis[g->s->n_axes - 2];
    if (g->s->n_axes != g->n_loops + 2 || k->axes.at[last].extent > SEGMENT_MOST)
        return;
    Value there = LLVMBuildAdd(e->b, segment, emit_i64(e, 1), "");
    for (uint32_t i = 0; i < g->s->n; i++) {
        const KInst *in = &k->insts.at[g->s->first + i];
        bool side_by_side = true;
        if (in->kop == K_LOAD)
            access_row_step(g, &k->accesses.at[in->access], &side_by_side);
        if (side_by_side || !jumps(k, &k->accesses.at[in->access], outer, last) || fetched_before(g, i))
            continue;
        e->axis[outer] = (AxisAt){there, NULL};
        e->axis[last] = (AxisAt){emit_i64(e, 0), NULL};
        access_enter(g, in->access, g->depth);
        int64_t line = 64 / dtype_bytes(k->bufs.at[k->accesses.at[in->access].buf].dtype);
        for (int64_t at = 0; at < k->axes.at[last].extent; at += line)
            fetch_moved(g, in->access, emit_i64(e, at), true);
    }
}

void ahead_turns(Dag *g, Value r) {
    Emit *e = g->e;
    int64_t extent = dag_segment_extent(g);
    Value first = LLVMBuildUDiv(e->b, r, emit_i64(e, extent), "");
    for (int64_t i = 0; i < LANES / extent; i++)
        ahead_segment(g, LLVMBuildAdd(e->b, first, emit_i64(e, LANES / extent - 1 + i), ""));
}

/* ---- turned blocks ---- */
/* Rows of a block lie apart, and the next block has others: how far on these are, 0 where the processor knows.  From
 * beyond the caches it takes longer than one block: then those that are read about a hundred lines later, or hundreds
 * where rows of many blocks follow. */
static int64_t next_block(const Dag *g, const KAccess *a) {
    enum { LINES = 96, SEVERAL = 4, INPUT_FAR = 16 << 20 };
    const Kernel *k = g->e->kernel;
    const KBuf *b = &k->bufs.at[a->buf];
    int64_t bytes = dtype_bytes(b->dtype), row = a->coef[g->turned];
    if (b->role != KBUF_IN || b->count * bytes < INPUT_NEAR || a->index != 0 || a->coef[g->vec] != 1 ||
        row * bytes < JUMP_LEAST)
        return 0;
    uint32_t n = g->s->n_axes, before = n > 1 && g->s->axis[n - 2] != g->vec ? n - 2 : n - 3;
    int64_t turned = k->axes.at[g->turned].extent, lanes = k->axes.at[g->vec].extent;
    bool far = b->count * bytes >= INPUT_FAR;
    if (far && before < n && k->axes.at[g->s->axis[before]].extent >= SEVERAL) {
        int64_t on = part_near_lines(turned * ((lanes + LANES - 1) / LANES));
        int64_t most = k->axes.at[g->s->axis[before]].extent / SEVERAL;
        return a->coef[g->s->axis[before]] * (on < most ? on : most);
    }
    if (far && turned > LANES && lanes >= SEVERAL * LANES)
        return LANES * ((LINES + turned - 1) / turned);
    if (turned > LANES)
        return LANES * row * (far && turned >= SEVERAL * SEVERAL * LANES ? SEVERAL : 1);
    return before < n ? a->coef[g->s->axis[before]] : 0;
}

void ahead_turned(Dag *g) {
    for (uint32_t i = 0; i < g->s->n; i++) {
        const KInst *in = &g->e->kernel->insts.at[g->s->first + i];
        int64_t on = in->kop == K_LOAD && in->in[0] == 0 && g->square[i] == NULL && g->level[i] == g->depth
                         ? next_block(g, &g->e->kernel->accesses.at[in->access]) : 0;
        if (on != 0 && !fetched_before(g, i))
            fetch_moved(g, in->access, emit_i64(g->e, on), false);
    }
}

void ahead_enter(Dag *g, uint32_t level) {
    const Kernel *k = g->e->kernel;
    for (uint32_t i = 0; i < g->e->ahead.n; i++) {
        const Fetch *f = &g->e->ahead.at[i];
        if (&k->stages.at[f->stage] != g->s)
            continue;
        access_enter(g, f->access, level);
        if (level == g->depth)
            fetch(g, f->access);
    }
}
