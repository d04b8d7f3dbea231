/* The axes of a kernel: making them, merging those that every access crosses as one, cutting the head from
 * the inner ones, and what the launch needs to know (grain, cost). */
#include "fuse_parts.h"
#include <string.h>

enum {
    BLOCK = 4096,
    BLOCK_LEAST = 512,
    SHORT = 64
}; /* elements of one point of a flat kernel; too short to be alone */

uint32_t kernel_axis(Kernel *k, const char *name, int64_t extent) {
    GR_ASSERT(k->axes.n < MAX_AXES);
    vec_push(k->arena, &k->axes, (KAxis){str_format(k->arena, "%s%u", name, k->axes.n), extent, -1, 0});
    return k->axes.n - 1;
}

Stage *kernel_stage(Kernel *k, StageKind kind) {
    vec_push(k->arena, &k->stages, (Stage){.kind = kind, .first = k->insts.n, .vec = -1, .transpose = -1});
    return &k->stages.at[k->stages.n - 1];
}

static bool axis_in_dag(const Kernel *k, uint32_t axis) {
    for (uint32_t i = 0; i < k->insts.n; i++) {
        if (k->insts.at[i].kop == K_AXIS && k->insts.at[i].imm.i == axis)
            return true;
    }
    return false;
}

static bool merges(const Kernel *k, uint32_t a) { /* axis a with a + 1 */
    int64_t inner = k->axes.at[a + 1].extent;
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        if (k->accesses.at[i].coef[a] != k->accesses.at[i].coef[a + 1] * inner)
            return false;
    }
    return !axis_in_dag(k, a) && !axis_in_dag(k, a + 1);
}

static void drop_axis(Kernel *k, uint32_t axis) {
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        int64_t *c = k->accesses.at[i].coef;
        memmove(c + axis, c + axis + 1, sizeof *c * (MAX_AXES - axis - 1));
        c[MAX_AXES - 1] = 0;
    }
    for (uint32_t i = 0; i < k->insts.n; i++) {
        if (k->insts.at[i].kop == K_AXIS && k->insts.at[i].imm.i > axis)
            k->insts.at[i].imm.i--;
    }
    memmove(&k->axes.at[axis], &k->axes.at[axis + 1], sizeof(KAxis) * (k->axes.n - axis - 1));
    k->axes.n--;
}

/* A new axis before `axis`, which becomes its block: block * size + axis. */
static void block_axis(Kernel *k, uint32_t axis, int64_t size) {
    int64_t total = k->axes.at[axis].extent;
    vec_push(k->arena, &k->axes, (KAxis){0});
    memmove(&k->axes.at[axis + 1], &k->axes.at[axis], sizeof(KAxis) * (k->axes.n - 1 - axis));
    k->axes.at[axis] = (KAxis){STR("b"), (total + size - 1) / size, -1, 0};
    k->axes.at[axis + 1].extent = size;
    if (total % size != 0) {
        k->axes.at[axis + 1].clip_by = (int32_t)axis;
        k->axes.at[axis + 1].clip_total = total;
    }
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        int64_t *c = k->accesses.at[i].coef;
        memmove(c + axis + 1, c + axis, sizeof *c * (MAX_AXES - axis - 1));
        c[axis] = c[axis + 1] * size;
    }
    for (uint32_t i = 0; i < k->insts.n; i++) {
        if (k->insts.at[i].kop == K_AXIS && k->insts.at[i].imm.i > axis)
            k->insts.at[i].imm.i++;
    }
}

void kernel_insert_axis(Kernel *k, uint32_t at, int64_t extent) {
    vec_push(k->arena, &k->axes, (KAxis){0});
    memmove(&k->axes.at[at + 1], &k->axes.at[at], sizeof(KAxis) * (k->axes.n - 1 - at));
    k->axes.at[at] = (KAxis){str_format(k->arena, "c%u", k->axes.n), extent, -1, 0};
    for (uint32_t i = 0; i < k->axes.n; i++) {
        k->axes.at[i].clip_by += k->axes.at[i].clip_by >= (int32_t)at;
    }
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        int64_t *c = k->accesses.at[i].coef;
        memmove(c + at + 1, c + at, sizeof *c * (MAX_AXES - at - 1));
        c[at] = 0;
    }
    for (uint32_t i = 0; i < k->insts.n; i++) {
        k->insts.at[i].imm.i += k->insts.at[i].kop == K_AXIS && k->insts.at[i].imm.i >= at;
    }
    for (uint32_t i = 0; i < k->stages.n; i++) {
        Stage *s = &k->stages.at[i];
        for (uint32_t j = 0; j < s->n_axes; j++) {
            s->axis[j] += s->axis[j] >= at;
        }
    }
}

static int64_t block_size(int64_t extent) {
    int64_t size = (extent / 8 + 15) / 16 * 16;
    return size < BLOCK_LEAST ? BLOCK_LEAST : size > BLOCK ? BLOCK : size;
}

void kernel_merge(Kernel *k) {
    for (uint32_t a = k->axes.n; a-- > 1;) {
        if (merges(k, a - 1)) {
            k->axes.at[a].extent *= k->axes.at[a - 1].extent;
            drop_axis(k, a - 1);
        }
    }
}

static void leave_axis_out(Stage *s, uint32_t j) {
    uint32_t axis = s->axis[j];
    memmove(s->axis + j, s->axis + j + 1, s->n_axes - j - 1);
    s->n_axes--;
    for (uint32_t i = 0; i < s->n_axes; i++) {
        s->axis[i] -= s->axis[i] > axis;
    }
}

void stages_merge(Kernel *k) {
    const Stage *s = &k->stages.at[0];
    for (uint32_t j = s->n_axes; j-- > s->n_keep + 1u;) {
        uint32_t outer = s->axis[j - 1], inner = s->axis[j];
        if (inner != outer + 1 || !merges(k, outer))
            continue;
        k->axes.at[inner].extent *= k->axes.at[outer].extent;
        drop_axis(k, outer);
        for (uint32_t i = 0; i < k->stages.n; i++) {
            leave_axis_out(&k->stages.at[i], j - 1);
        }
    }
}

void kernel_cut(Kernel *k) {
    uint32_t n = k->axes.n, inner = n > 1 && k->axes.at[n - 1].extent < SHORT ? 2 : 1;
    inner = inner > n ? n : inner;
    uint32_t cut = n - inner; /* the first inner axis: may be blocked too */
    if (n > 0 && k->axes.at[cut].extent > 2 * BLOCK_LEAST && n < MAX_AXES && !axis_in_dag(k, cut)) {
        block_axis(k, cut, block_size(k->axes.at[cut].extent));
        cut++;
    }
    k->n_head = cut;
    Stage *s = &k->stages.at[0];
    s->n_axes = 0;
    for (uint32_t i = cut; i < k->axes.n; i++) {
        s->axis[s->n_axes++] = (uint8_t)i;
    }
}

/* ---- figures ---- */
static int64_t stage_points(const Kernel *k, const Stage *s) {
    int64_t n = 1;
    for (uint32_t i = 0; i < s->n_axes; i++) {
        n *= k->axes.at[s->axis[i]].extent;
    }
    return n;
}

static double inst_cost(const KInst *in) { /* ns for 16 points */
    if (in->kop == K_MATH)
        return 8;
    if (in->kop == K_WORD)
        return 30;
    return in->kop == K_SCALAR && (in->op == S_div || in->op == S_sqrt || in->op == S_idiv || in->op == S_mod)
               ? 4
               : 0.5;
}

static uint64_t inst_flops(const KInst *in) {
    if (in->kop == K_MATH)
        return 20;
    bool counts = in->kop == K_SCALAR && in->op != S_const && in->op != S_cast && in->op != S_select &&
                  in->op != S_bitcast && dtype_is_float((DType)in->type);
    return counts ? 1 : 0;
}

/* Blocks a tile sums, on average over its axes: of a window only those whose place exists. */
static double tile_blocks(const Kernel *k, const KTile *t) {
    double blocks = 1;
    for (uint32_t i = 0; i < t->n_lists; i++) {
        const KList *l = &t->list[i];
        int64_t there = 0, place, n = l->window ? k->axes.at[l->axis].extent : 1;
        int64_t outer = l->window && l->outer >= 0 ? k->axes.at[l->outer].extent : 1;
        for (int64_t at = 0; at < n * outer; at++) {
            for (int64_t u = 0; u < l->count; u++) {
                there += !l->window || klist_place(l, at % n, at / n, u, &place);
            }
        }
        blocks *= (double)there / (double)(n * outer);
    }
    return blocks;
}

/* Rows, or columns, of a tile that are part of the matrix, on average over its panels. */
static double side_average(const Kernel *k, int32_t axis, int64_t extent, int64_t block) {
    int64_t panels = axis < 0 ? 1 : k->axes.at[axis].extent, whole = panels * block;
    return (double)(extent < whole ? extent : whole) / (double)panels;
}

/* What sixteen elements of a stage cost with lanes along an axis, roughly in instructions: side by side is one
 * access, all else one for each lane. */
static double lanes_cost(const Kernel *k, const Stage *s, uint32_t axis) {
    double cost = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const KInst *in = &k->insts.at[s->first + i];
        bool memory = in->kop == K_LOAD || in->kop == K_STORE;
        int64_t c = memory ? k->accesses.at[in->access].coef[axis] : 0;
        bool computed = memory && k->accesses.at[in->access].index != 0;
        cost += !memory ? 0.5 : computed || (c != 0 && c != 1) ? LANES : 1;
    }
    return cost;
}

static int last_long(const Kernel *k, const Stage *s, int from, int to) {
    for (int i = to; i-- > from;) {
        if (k->axes.at[s->axis[i]].extent > 1)
            return i;
    }
    return -1;
}

/* The cost of an element of a reduction with lanes along a kept axis, and along the last reduced one.  That takes
 * a part of a vector where a segment ends, and folds the lanes once a row. */
static double cost_across(const Kernel *k, const Stage *s, uint32_t axis) {
    int64_t n = k->axes.at[axis].extent;
    return lanes_cost(k, s, axis) / (double)(n < LANES ? n : LANES);
}

static double cost_along(const Kernel *k, const Stage *s, uint32_t axis) {
    enum { FOLD = 24 };
    int64_t extent = k->axes.at[axis].extent;
    double n = (double)extent, row = 1;
    bool whole = extent % LANES == 0 || LANES % extent == 0;
    for (uint32_t j = s->n_keep; j < s->n_axes; j++) {
        row *= (double)k->axes.at[s->axis[j]].extent;
    }
    double vectors = n < LANES && whole ? 1 : whole ? n / LANES : (n + LANES - 1) / LANES;
    return lanes_cost(k, s, axis) * vectors / n + FOLD / row;
}

static bool stores_to(const Kernel *k, const Stage *s, uint32_t buf) {
    for (uint32_t i = 0; i < s->n; i++) {
        const KInst *in = &k->insts.at[s->first + i];
        if (in->kop == K_STORE && k->accesses.at[in->access].buf == buf)
            return true;
    }
    return false;
}

/* Does a value change along an axis?  One that is used often is looked at once: `known` is by instruction. */
static bool value_changes(const Kernel *k, const Stage *s, uint32_t inst, uint32_t axis, const bool *known) {
    const KInst *in = &k->insts.at[s->first + inst];
    if (in->kop == K_LOAD) {
        const KAccess *a = &k->accesses.at[in->access];
        return a->coef[axis] != 0 || (a->index != 0 && known[a->index - 1]);
    }
    if (in->kop == K_AXIS)
        return (uint32_t)in->imm.i == axis;
    bool any = in->kop != K_SCALAR && in->kop != K_REG && in->kop != K_UNIFORM;
    for (uint32_t i = 0; in->kop == K_SCALAR && i < sop_operands((SOp)in->op); i++) {
        any |= known[in->in[i]];
    }
    return any;
}

static bool changes(const Kernel *k, const Stage *s, uint32_t inst, uint32_t axis) {
    ArenaMark mark = arena_mark(k->arena);
    bool *known = PUSH(k->arena, bool, inst + 1);
    for (uint32_t i = 0; i <= inst; i++) {
        known[i] = value_changes(k, s, i, axis, known);
    }
    bool any = known[inst];
    arena_pop(mark);
    return any;
}

/* What an access costs with lanes along one axis and the few steps of another turned, in instructions a vector. */
static double woven_cost(const Kernel *k, const Stage *s, const KInst *in, uint32_t few, uint32_t lanes) {
    const KAccess *a = &k->accesses.at[in->access];
    bool load = in->kop == K_LOAD, guarded = load ? in->in[0] != 0 : in->in[1] != 0;
    bool whole = a->coef[few] == 1 && a->coef[lanes] == k->axes.at[few].extent && a->index == 0;
    if (whole && !guarded && !(load && stores_to(k, s, a->buf)))
        return 1 + (double)k->axes.at[few].extent / 2;
    bool computed = a->index != 0 && changes(k, s, a->index - 1, lanes);
    return computed || a->coef[lanes] > 1 || a->coef[lanes] < 0 ? LANES : 1;
}

/* A map over channels with a few places each: places fill no vector, and what is one number a channel would be loaded
 * for each of them.  So lanes run along the channels where that costs less, and places are woven.  Words are computed
 * in their order. */
static bool weaves(const Kernel *k, const Stage *s) {
    enum { FUNCTION = 16 }; /* instructions */
    if (s->kind != STAGE_MAP || s->n_axes < 2)
        return false;
    uint32_t few = s->axis[s->n_axes - 1], lanes = s->axis[s->n_axes - 2];
    const KAxis *x = &k->axes.at[few];
    if (x->clip_by >= 0 || x->extent < 2 || x->extent > FEW_PLACES || k->axes.at[lanes].extent < LANES)
        return false;
    double woven = 0, functions = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const KInst *in = &k->insts.at[s->first + i];
        bool memory = in->kop == K_LOAD || in->kop == K_STORE;
        if (in->kop == K_WORD)
            return false;
        woven += memory ? woven_cost(k, s, in, few, lanes) : 0.5;
        functions += in->kop == K_MATH ? FUNCTION : 0;
    }
    return (woven + functions) / LANES < (lanes_cost(k, s, few) + functions) / (double)x->extent;
}

/* The innermost axis that is longer than one; a reduction may also run along its last kept axis, if that is
 * cheaper, and a chain always does.  A stage that stores through computed indices has no lanes. */
static void choose_vector(const Kernel *k, Stage *s) {
    if (s->kind == STAGE_TILE || s->transpose >= 0)
        return;
    for (uint32_t i = 0; i < s->n; i++) {
        const KInst *in = &k->insts.at[s->first + i];
        if (in->kop == K_STORE && k->accesses.at[in->access].index != 0)
            return;
    }
    if (weaves(k, s)) {
        s->vec = (int8_t)(s->n_axes - 2), s->transpose = (int8_t)(s->n_axes - 1);
        return;
    }
    int kept = last_long(k, s, 0, s->n_keep), inner = last_long(k, s, s->n_keep, s->n_axes);
    if (s->kind == STAGE_MAP || s->kind == STAGE_ACCUM || kept < 0)
        s->vec = (int8_t)(inner >= 0 ? inner : s->n_axes - 1);
    else if (s->kind == STAGE_CHAIN || inner < 0 ||
             cost_across(k, s, s->axis[kept]) <= cost_along(k, s, s->axis[inner]))
        s->vec = (int8_t)kept;
    else
        s->vec = (int8_t)inner;
}

/* Points that have to run one after the other have no lanes. */
void stage_vector(const Kernel *k, Stage *s) {
    choose_vector(k, s);
    if (s->vec >= 0 && kernel_in_order(k, s, stage_lanes_from(s)))
        s->vec = s->transpose = -1;
}

void unit_spans(Unit *u) {
    const Graph *g = u->graph;
    Kernel *k = u->kernel;
    for (uint32_t i = 0; i < k->insts.n; i++) {
        Span s = g->nodes.at[k->insts.at[i].node].span;
        bool known = s.n == 0;
        for (uint32_t j = 0; j < k->spans.n && !known; j++) {
            known = k->spans.at[j].at == s.at && k->spans.at[j].n == s.n;
        }
        if (!known)
            vec_push(k->arena, &k->spans, s);
    }
}

/* Points handed out at a time: long enough to be worth the handing out, short enough for an even end.
 * Kernels that stream through memory fetch the rows of their next point ahead, so they get several in a row,
 * and of a split head several lanes, whose rows are neighbours. */
static int64_t grain_of(const Kernel *k, uint32_t threads) {
    enum { HANDOUT_NS = 5000, STREAM_NS = 80000, FOLDED_NS = 60000, STREAM_BYTES = 32 << 20, LEAST_LANES = LANES / 4 };
    int64_t points = kernel_points(k), most = points / (2 * (int64_t)threads);
    if (points == 0)
        return 1;
    bool folded = k->commit && k->stages.n > 1;
    double handout = k->bytes >= STREAM_BYTES ? STREAM_NS : folded ? FOLDED_NS : HANDOUT_NS;
    int64_t grain = (int64_t)(handout * (double)points / k->cost_ns) + 1;
    if (k->lanes && grain < LEAST_LANES)
        grain = LEAST_LANES;
    return grain <= most ? grain : most > 0 ? most : 1;
}

void kernel_finish(Entry *e, Unit *u) {
    Kernel *k = u->kernel;
    double per_point = 5; /* ns */
    double tile_flops = 0; /* of a point, on average */
    uint64_t flops = 0;
    for (uint32_t i = 0; i < k->stages.n; i++) {
        Stage *s = &k->stages.at[i];
        stage_vector(k, s);
        int64_t points = stage_points(k, s);
        if (s->kind == STAGE_TILE) {
            const KTile *t = &s->tile;
            double steps = (double)(t->k * points) * tile_blocks(k, t) * side_average(k, t->m_axis, t->m, t->mr);
            steps /= t->cut >= 0 ? (double)ktile_cuts(t) : 1;
            tile_flops += 2 * steps * side_average(k, t->n_axis, t->n, t->nr);
            per_point += 2 * steps * t->nr / (ktile_pairs(k, t) ? 200 : 100);
        }
        if (s->kind == STAGE_CHAIN)
            flops += (uint64_t)points * 2;
        for (uint32_t j = 0; j < s->n; j++) {
            const KInst *in = &k->insts.at[s->first + j];
            flops += inst_flops(in) * (uint64_t)points;
            per_point += inst_cost(in) * (double)points / (s->vec < 0 ? 1 : 16);
        }
    }
    kernel_sweeps(k);
    int64_t points = kernel_points(k), runs = k->lanes ? k->axes.at[0].extent : points;
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        KBufRole role = k->bufs.at[i].role;
        uint64_t bytes = (uint64_t)k->bufs.at[i].count * dtype_bytes(k->bufs.at[i].dtype);
        k->bytes += role == KBUF_SCRATCH || role == KBUF_HEALTH ? 0 : role == KBUF_INOUT ? 2 * bytes : bytes;
    }
    k->flops = flops * (uint64_t)runs + (uint64_t)(tile_flops * (double)runs + 0.5);
    double traffic = (double)k->bytes / 20;
    k->cost_ns = per_point * (double)runs;
    k->cost_ns = k->cost_ns < traffic ? traffic : k->cost_ns;
    k->commit = u->commit;
    k->once = e->once || u->unsure;
    k->grain = grain_of(k, e->options->threads);
}
