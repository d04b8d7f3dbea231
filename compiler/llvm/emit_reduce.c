/* Reductions in the one order of semantics 2: element r of a row goes to lane r mod 16 of chunk r / 4096,
 * lanes fold 8, 4, 2, 1, chunks as a tree.  Two shapes of the same thing.  Along the row the sixteen lanes
 * are one vector, and a step takes sixteen elements (emit_along.c).  Across rows (the vector axis is a kept
 * one, or there is none) the lanes are sixteen accumulators, each a value of its own: registers where sixteen elements
 * are few enough instructions, else on the stack; short rows of this shape are written out. */
#include "emit.h"

/* instructions a row may become, when it is written out; those of rows that are walked at once; of lanes together */
enum { WRITE_OUT = 320, AT_ONCE = 160, TOGETHER = 512 };

/* ---- across rows ---- */
/* Sixteen elements at once, each for a lane that stays in a register. */
static void lanes_together(const Row *w, Value lo, Value hi, Parts *lane) {
    Emit *e = w->g->e;
    Value carry[LANES];
    Loop l;
    for (int k = 0; k < LANES; k++)
        carry[k] = dag_spread(w->g, state_identity(e, &w->state, false).part[0]);
    loop_open(e, &l, lo, hi, LANES, LANES, carry);
    for (int k = 0; k < LANES; k++) {
        Parts more = row_element(w, LLVMBuildNSWAdd(e->b, l.i, emit_i64(e, k), ""));
        carry[k] = state_combine(e, &w->state, (Parts){{l.carry[k]}}, more).part[0];
    }
    loop_close(e, &l, carry);
    for (int k = 0; k < LANES; k++)
        lane[k] = (Parts){{l.carry[k]}};
}

/* Elements lo .. hi-1 of each row, which begin a round of lanes, one after the other. */
static void one_by_one(const Row *w, uint32_t n, const Chunks *lanes, Value lo, Value hi) {
    Emit *e = w->g->e;
    Loop l;
    loop_open(e, &l, lo, hi, 1, 0, NULL);
    Value lane = LLVMBuildAnd(e->b, l.i, emit_i64(e, LANES - 1), "");
    Parts more[MAX_ROWS];
    for (uint32_t u = 0; u < n; u++)
        more[u] = row_element(&w[u], l.i);
    for (uint32_t u = 0; u < n; u++)
        chunks_put(e, &lanes[u], lane, state_combine(e, &w[u].state, chunks_get(e, &lanes[u], lane), more[u]));
    loop_close(e, &l, NULL);
}

/* One row keeps its lanes in registers, where that is little code; those of several are too many. */
static void chunk_across(const Row *w, uint32_t n, Value lo, Value hi, Parts *out) {
    Emit *e = w->g->e;
    const State *s = &w->state;
    bool vectors = w->g->vec >= 0, one = n == 1 && s->n == 1;
    bool together = one && vectors && LANES * stage_weight(e, w->g->s) <= TOGETHER;
    Value left = LLVMBuildAnd(e->b, LLVMBuildSub(e->b, hi, lo, ""), emit_i64(e, LANES - 1), "");
    Value whole = together ? LLVMBuildSub(e->b, hi, left, "") : lo;
    Parts all[MAX_ROWS][LANES];
    Chunks lanes[MAX_ROWS];
    for (uint32_t u = 0; u < n; u++)
        for (int k = 0; k < LANES; k++)
            all[u][k] = state_identity(e, &w[u].state, false);
    if (together)
        lanes_together(w, lo, whole, all[0]);
    if (together && dag_longest_row(w->g) % LANES == 0 && LLVMIsAConstantInt(dag_row_extent(w->g))) {
        *out = state_fold_array(e, s, all[0], LANES);
        return;
    }
    for (uint32_t u = 0; u < n; u++) {
        lanes[u] = chunks_create(e, &w[u].state, LANES, vectors);
        for (int k = 0; k < LANES; k++)
            chunks_put(e, &lanes[u], emit_i64(e, k), all[u][k]);
    }
    one_by_one(w, n, lanes, whole, hi);
    for (uint32_t u = 0; u < n; u++) {
        for (int k = 0; k < LANES; k++)
            all[u][k] = chunks_get(e, &lanes[u], emit_i64(e, k));
        out[u] = state_fold_array(e, &w[u].state, all[u], LANES);
    }
}

static void rows_written_out(const Row *w, uint32_t n, int64_t elements, Parts *out) {
    Emit *e = w->g->e;
    Parts lane[MAX_ROWS][LANES];
    for (int64_t r = 0; r < elements; r++)
        for (uint32_t u = 0; u < n; u++) {
            Parts more = row_element(&w[u], emit_i64(e, r)), *to = &lane[u][r % LANES];
            *to = r < LANES ? more : state_combine(e, &w[u].state, *to, more);
        }
    for (uint32_t u = 0; u < n; u++)
        out[u] = state_fold_array(e, &w[u].state, lane[u], elements < LANES ? (uint32_t)elements : LANES);
}

/* Elements lo .. hi-1 of n rows; of more than one stage a sweep, of more than one place when lanes run along them. */
static void chunk(const Row *w, uint32_t n, Value lo, Value hi, Parts *out) {
    int64_t longest = dag_longest_row(w->g);
    bool known = LLVMIsAConstantInt(dag_row_extent(w->g)) != NULL;
    if (w->g->row_lanes) {
        row_chunk_along(w, n, lo, hi, known && longest % LANES == 0, out);
        return;
    }
    uint32_t weight = 0;
    for (uint32_t u = 0; u < n; u++)
        weight += stage_weight(w->g->e, w[u].g->s) + 2;
    if (known && longest > 0 && longest <= CHUNK && longest * weight <= n * WRITE_OUT)
        rows_written_out(w, n, longest, out);
    else
        chunk_across(w, n, lo, hi, out);
}

/* Two sweeps of a chunk that lies in the first cache: its mean, then the squares around it. */
static void chunk_moments(const Row *w, uint32_t n, Value lo, Value hi, Parts *out) {
    Emit *e = w->g->e;
    Value count = LLVMBuildTrunc(e->b, LLVMBuildSub(e->b, hi, lo, ""), e->i32, "");
    if (w->g->vec >= 0)
        count = emit_splat(e, count);
    Row sweep[MAX_ROWS];
    Parts sum[MAX_ROWS];
    for (uint32_t u = 0; u < n; u++) {
        sweep[u] = w[u];
        sweep[u].state = state_of(REDUCE_SUM, DT_F32);
    }
    chunk(sweep, n, lo, hi, sum);
    for (uint32_t u = 0; u < n; u++) {
        sweep[u].squares = true;
        sweep[u].mean = LLVMBuildFDiv(e->b, sum[u].part[0], emit_cast(e, DT_F32, DT_I32, count), "");
    }
    chunk(sweep, n, lo, hi, sum);
    for (uint32_t u = 0; u < n; u++)
        out[u] = (Parts){{count, sweep[u].mean, sum[u].part[0]}};
}

static void any_chunk(const Row *w, uint32_t n, Value lo, Value hi, Parts *out) {
    if (w->state.kind == REDUCE_MOMENTS)
        chunk_moments(w, n, lo, hi, out);
    else
        chunk(w, n, lo, hi, out);
}

static Parts or_empty(const Row *w, Value n, Parts p) {
    Emit *e = w->g->e;
    if (LLVMIsAConstantInt(n))
        return LLVMConstIntGetSExtValue(n) == 0 ? state_empty(e, &w->state) : p;
    Value none = LLVMBuildICmp(e->b, LLVMIntEQ, n, emit_i64(e, 0), "");
    Parts empty = state_empty(e, &w->state);
    for (uint32_t k = 0; k < w->state.n; k++)
        p.part[k] = emit_scalar(e, S_select, w->state.part[k], DT_BOOL, (Imm){0}, none, empty.part[k],
            p.part[k]);
    return p;
}

/* The whole of n rows, chunk by chunk. */
static void rows(const Row *w, uint32_t n, Parts *out) {
    Emit *e = w->g->e;
    Value extent = dag_row_extent(w->g);
    int64_t longest = dag_longest_row(w->g);
    if (longest == 0) {
        for (uint32_t u = 0; u < n; u++)
            out[u] = state_empty(e, &w[u].state);
        return;
    }
    if (longest <= CHUNK) {
        any_chunk(w, n, emit_i64(e, 0), extent, out);
    } else {
        Chunks partial[MAX_ROWS];
        for (uint32_t u = 0; u < n; u++) {
            partial[u] = chunks_create(e, &w[u].state, (longest + CHUNK - 1) / CHUNK, w->g->vec >= 0);
            chunks_put(e, &partial[u], emit_i64(e, 0), state_identity(e, &w[u].state, false));
        }
        Loop l;
        loop_open(e, &l, emit_i64(e, 0), extent, CHUNK, 0, NULL);
        Value hi = emit_min_i64(e, LLVMBuildAdd(e->b, l.i, emit_i64(e, CHUNK), ""), extent);
        any_chunk(w, n, l.i, hi, out);
        Value number = LLVMBuildLShr(e->b, l.i, emit_i64(e, 12), "");
        for (uint32_t u = 0; u < n; u++)
            chunks_put(e, &partial[u], number, out[u]);
        loop_close(e, &l, NULL);
        Value chunks = LLVMBuildLShr(e->b, LLVMBuildAdd(e->b, extent, emit_i64(e, CHUNK - 1), ""), emit_i64(e, 12),
            "");
        for (uint32_t u = 0; u < n; u++)
            out[u] = chunks_fold(e, &partial[u], chunks);
    }
    for (uint32_t u = 0; u < n; u++)
        out[u] = or_empty(&w[u], extent, out[u]);
}

/* ---- one row after the other, or some at once ---- */
static Row row_of(Dag *g) {
    return (Row){.g = g, .state = state_of(g->s->reduce, dag_type(g, g->s->yield[0])), .yield = g->s->yield[0]};
}

static void put_row(const Row *w, Parts p) {
    /* value | position | mean and M2 */
    uint32_t first = w->state.n - 1 - (w->state.kind == REDUCE_MOMENTS);
    for (uint32_t k = first; k < w->state.n; k++)
        dag_put_result(w->g, k - first, w->state.part[k], p.part[k]);
}

static void reduce_body(Dag *g, void *user) {
    Row w[MAX_ROWS] = {{0}};
    Parts p[MAX_ROWS];
    uint32_t n = 0;
    (void)user;
    for (; g != NULL; g = g->after)
        w[n++] = row_of(g);
    rows(w, n, p);
    for (uint32_t u = 0; u < n; u++)
        put_row(&w[u], p[u]);
}

/* Points of the last kept axis that a row stands for. */
static int64_t width_of(const Dag *g) { return g->vec >= 0 ? LANES : 1; }

/* n rows from `first` of the last kept axis on, of each stage.  Rows in segments are not all walked in one loop, and
 * share no addresses. */
static void rows_at(Dag *g, Value first, uint32_t n) {
    Emit *e = g->e;
    Row w[MAX_ROWS] = {{0}};
    Parts p[MAX_ROWS];
    uint32_t count = 0;
    for (uint32_t u = 0; u < n; u++) {
        const Dag *before = NULL;
        uint32_t stage = 0;
        Value at = LLVMBuildNSWAdd(e->b, first, emit_i64(e, u * width_of(g)), "");
        e->axis[g->s->axis[g->n_loops - 1]] = (AxisAt){at, g->vec >= 0 ? e->iota : NULL};
        for (Dag *each = g; each != NULL; each = each->after) {
            Dag *one = n == 1 ? each : dag_copy(each);
            one->before = before;
            one->beside = u == 0 || dag_row_scattered(each) ? NULL : w[stage].g;
            one->ahead = u * width_of(g);
            dag_enter(one, one->n_loops);
            w[count++] = row_of(one);
            before = one;
            stage++;
        }
    }
    rows(w, count, p);
    for (uint32_t u = 0; u < count; u++)
        put_row(&w[u], p[u]);
}

static bool reads_only(const Dag *g) {
    const Kernel *k = g->e->kernel;
    for (uint32_t i = g->s->first; i < g->s->first + g->s->n; i++) {
        const KInst *in = &k->insts.at[i];
        if (in->kop == K_STORE || in->kop == K_CHECK || in->kop == K_FAULT || in->kop == K_WORD)
            return false;
        for (int r = 0; r < 2 && in->kop == K_LOAD; r++)
            if (g->s->out[r] != 0 && k->accesses.at[g->s->out[r] - 1].buf == k->accesses.at[in->access].buf)
                return false;
    }
    return true;
}

static uint32_t moving_loads(const Dag *g) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->s->n; i++)
        n += g->level[i] == g->depth && g->e->kernel->insts.at[g->s->first + i].kop == K_LOAD;
    return n;
}

/* Lanes across rows: vectors beside each other are walked together where that is more than one load a step.  Each of
 * them alone would take a piece of every line of memory that lies behind the other, and prefetching two such is beyond
 * the processor. */
static bool walks_beside(const Dag *g, uint32_t weight, uint32_t loads) {
    bool written_out = dag_longest_row(g) * weight <= WRITE_OUT;
    return dag_full_blocks(g) && !written_out && loads > 1;
}

/* A power of two: as many as keep the loop small, when rows do not depend on where the last kept axis stands. */
static uint32_t rows_at_once(const Dag *g) {
    enum { MOST = 8, MOST_BESIDE = 4 };
    const Kernel *k = g->e->kernel;
    uint32_t weight = 0, stages = 0, loads = 0;
    bool along = g->row_lanes && g->n_loops > 0;
    for (const Dag *each = g; each != NULL; each = each->after) {
        if (!reads_only(each))
            return 1;
        weight += stage_weight(g->e, each->s);
        loads += moving_loads(each);
        stages++;
    }
    if (!along && !walks_beside(g, weight, loads))
        return 1;
    uint32_t axis = g->s->axis[g->n_loops - 1], n = along ? MOST : MOST_BESIDE, most = along ? AT_ONCE : TOGETHER;
    for (uint32_t j = g->n_loops; j < g->s->n_axes; j++)
        if (k->axes.at[g->s->axis[j]].clip_by == (int32_t)axis)
            return 1;
    while (n > 1 && (n * width_of(g) > k->axes.at[axis].extent || n * weight > most || n * stages > MAX_ROWS))
        n /= 2;
    return n;
}

static void rows_loop(Dag *g, Value hi) {
    Emit *e = g->e;
    int64_t n = rows_at_once(g), width = width_of(g);
    Value whole = LLVMBuildAnd(e->b, hi, emit_i64(e, -n * width), "");
    Loop l;
    loop_open(e, &l, emit_i64(e, 0), whole, n * width, 0, NULL);
    rows_at(g, l.i, (uint32_t)n);
    loop_close(e, &l, NULL);
    if (LLVMIsAConstantInt(hi) && LLVMConstIntGetSExtValue(hi) % (n * width) == 0)
        return;
    loop_open(e, &l, whole, hi, width, 0, NULL);
    rows_at(g, l.i, 1);
    loop_close(e, &l, NULL);
}

/* Does a stage behind it, up to `last`, load what it stores? */
static bool is_read_behind(const Kernel *k, const Stage *s, const Stage *last) {
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        const KInst *store = &k->insts.at[i];
        for (uint32_t j = s->first + s->n; store->kop == K_STORE && j < last->first + last->n; j++) {
            const KInst *load = &k->insts.at[j];
            if (load->kop == K_LOAD && k->accesses.at[load->access].buf == k->accesses.at[store->access].buf)
                return true;
        }
    }
    return false;
}

/* Stages of one sweep are rows side by side, each with the DAG of its stage (what they have in common is computed
 * once, emit_share.c).  A sum with one term is no row; it comes when all is stored that it may read. */
void emit_reduce(Emit *e, const Stage *s) {
    const Stage *last = s + s->with, *picked[MAX_SWEEP];
    Dag *first = NULL, *before = NULL;
    uint32_t n_picked = 0;
    for (const Stage *t = s; t <= last; t++) {
        if (pick_fits(e, t)) {
            picked[n_picked++] = t;
            continue;
        }
        Dag *g = dag_create(e, t, t->n_keep);
        g->stores_apart = s->with > 0 && g->row_lanes && !is_read_behind(e->kernel, t, last);
        g->before = before;
        if (before != NULL)
            before->after = g;
        first = first == NULL ? g : first;
        before = g;
    }
    if (first != NULL) {
        if (rows_at_once(first) > 1)
            first->inner = rows_loop;
        dag_loops(first, reduce_body, NULL);
    }
    for (uint32_t i = 0; i < n_picked; i++)
        emit_pick(e, picked[i]);
}

/* ---- a reduction over the head: rows of a partial buffer, and their fold ---- */
static void accum_body(Dag *g, void *user) {
    const State *s = user;
    uint32_t out = g->s->out[0] - 1;
    Parts sum = {{access_load_moved(g, out, g->n_loops, s->type, NULL)}};
    Parts more = {{dag_value(g, g->s->yield[0])}};
    emit_match(g->e, &sum.part[0], &more.part[0]);
    access_store(g, out, g->n_loops, state_combine(g->e, s, sum, more).part[0], s->type, NULL);
}

void emit_accum(Emit *e, const Stage *s) {
    Dag *g = dag_create(e, s, s->n_axes);
    State state = state_of(s->reduce, dag_type(g, s->yield[0]));
    dag_loops(g, accum_body, &state);
}

static void clear_body(Dag *g, void *user) {
    const State *s = user;
    access_store(g, g->s->out[0] - 1, g->n_loops, dag_spread(g, state_identity(g->e, s, false).part[0]), s->type,
        NULL);
}

void emit_accum_clear(Emit *e, const Stage *s) {
    State state = state_of(s->reduce, (DType)e->kernel->insts.at[s->first + s->yield[0]].type);
    Stage bare = *s;
    bare.n = 0;
    dag_loops(dag_create(e, &bare, s->n_axes), clear_body, &state);
}

static Parts fold_chunk(Dag *g, const State *s, Value first_row, int64_t row_elements) {
    Parts lane[LANES];
    for (int l = 0; l < LANES; l++) {
        Value r = LLVMBuildAdd(g->e->b, first_row, emit_i64(g->e, l), "");
        Value move = emit_mul_i64(g->e, r, row_elements);
        lane[l] = (Parts){{dag_spread(g, access_load_moved(g, g->s->out[1] - 1, g->n_loops, s->type, move))}};
    }
    return state_fold_array(g->e, s, lane, LANES);
}

static void fold_body(Dag *g, void *user) {
    Emit *e = g->e;
    const State *s = user;
    const Stage *stage = g->s;
    int64_t chunks = stage->fold_chunks;
    if (chunks == 0) {
        dag_put_result(g, 0, s->type, state_empty(e, s).part[0]);
        return;
    }
    int64_t row_elements = e->kernel->bufs.at[e->kernel->accesses.at[stage->out[1] - 1].buf].count / (LANES * chunks);
    if (chunks == 1) {
        dag_put_result(g, 0, s->type, fold_chunk(g, s, emit_i64(e, 0), row_elements).part[0]);
        return;
    }
    Chunks partial = chunks_create(e, s, chunks, g->vec >= 0);
    Loop l;
    loop_open(e, &l, emit_i64(e, 0), emit_i64(e, chunks), 1, 0, NULL);
    chunks_put(e, &partial, l.i, fold_chunk(g, s, emit_mul_i64(e, l.i, LANES), row_elements));
    loop_close(e, &l, NULL);
    dag_put_result(g, 0, s->type, chunks_fold(e, &partial, emit_i64(e, chunks)).part[0]);
}

void emit_fold(Emit *e, const Stage *s) {
    State state = state_of(s->reduce, kernel_yield_type(e->kernel, s));
    dag_loops(dag_create(e, s, s->n_axes), fold_body, &state);
}
