/* Loads and stores.  An address is affine in the loops, so it is carried along: each loop adds its own
 * step to the address of the loop around it, and what is left for the innermost one is a base and, when
 * sixteen lanes run there, their offsets.  Lanes side by side become one vector access, equal lanes one
 * scalar access that is spread, lanes a few elements apart some loads and shuffles (emit_lanes.c), all
 * others a gather or scatter. A lane that is masked or guarded off never
 * touches memory; a scalar access under a false guard goes to the stack. */
#include "emit.h"
#include <string.h>

static const KAccess *access_of(const Dag *g, uint32_t access) { return &g->e->kernel->accesses.at[access]; }
static const KBuf *buffer_of(const Dag *g, uint32_t access) {
    return &g->e->kernel->bufs.at[access_of(g, access)->buf];
}

int64_t access_row_step(const Dag *g, const KAccess *a, bool *regular) {
    int64_t step = 0, stride = 1;
    *regular = true;
    for (int32_t j = g->s->n_axes - 1; j >= (int32_t)g->n_loops; j--) {
        uint32_t axis = g->s->axis[j];
        const KAxis *x = &g->e->kernel->axes.at[axis];
        if (j == g->s->n_axes - 1)
            step = a->coef[axis];
        if (x->extent != 1 && a->coef[axis] != step * stride)
            *regular = false;
        /* its rows have no constant length */
        if (x->clip_by >= 0 && j > (int32_t)g->n_loops && step != 0)
            *regular = false;
        stride *= x->extent;
    }
    return step;
}

/* Offsets fit 32 bits when the buffer does; the gather instructions are twice as wide then. */
static Value scaled_lanes(Dag *g, uint32_t access, Value lanes, int64_t coef) {
    Emit *e = g->e;
    if (buffer_of(g, access)->count > INT32_MAX) {
        if (LLVMTypeOf(lanes) == emit_vector(e->i32))
            lanes = LLVMBuildSExt(e->b, lanes, emit_vector(e->i64), "");
        return LLVMBuildMul(e->b, lanes, emit_splat(e, emit_i64(e, coef)), "");
    }
    return coef == 1 ? lanes : LLVMBuildMul(e->b, lanes, emit_splat(e, emit_i32(e, coef)), "");
}

static void add_lanes(Dag *g, uint32_t access, Value lanes, int64_t coef) {
    Value more = scaled_lanes(g, access, lanes, coef);
    Value *sum = &g->offset[access];
    g->apart[access] = *sum == NULL && lanes == g->e->iota ? coef : 0;
    *sum = *sum == NULL ? more : LLVMBuildAdd(g->e->b, *sum, more, "");
}

static Value moved(Dag *g, uint32_t access, Value at, Value steps, int64_t coef) {
    LLVMTypeRef t = emit_storage(g->e, buffer_of(g, access)->dtype);
    return coef == 0 ? at : emit_at(g->e, t, at, emit_mul_i64(g->e, steps, coef));
}

static Value along_axis(Dag *g, uint32_t access, Value at, uint32_t axis) {
    int64_t coef = access_of(g, access)->coef[axis];
    if (coef == 0)
        return at;
    AxisAt x = g->e->axis[axis];
    if (x.lanes != NULL)
        add_lanes(g, access, x.lanes, coef);
    return moved(g, access, at, x.scalar, coef);
}

static Value along_row(Dag *g, uint32_t access, Value at) {
    bool regular;
    int64_t step = access_row_step(g, access_of(g, access), &regular);
    if (regular) {
        if (step != 0 && g->row_lanes)
            add_lanes(g, access, g->e->iota, step);
        return moved(g, access, at, g->row_at, step);
    }
    for (uint32_t j = g->n_loops; j < g->s->n_axes; j++)
        at = along_axis(g, access, at, g->s->axis[j]);
    return at;
}

void access_enter(Dag *g, uint32_t access, uint32_t level) {
    Emit *e = g->e;
    const Kernel *k = e->kernel;
    const KAccess *a = access_of(g, access);
    Value *at = &g->address[level * k->accesses.n + access];
    if (level == 0) {
        g->offset[access] = NULL;
        g->apart[access] = 0;
        *at = moved(g, access, e->buffer[a->buf], emit_i64(e, a->base), 1);
        if (g->s->kind == STAGE_ACCUM && access == g->s->out[0] - 1) {
            *at = moved(g, access, *at, e->partial_row, a->coef[0]);
            return;
        }
        for (uint32_t h = 0; h < k->n_head; h++)
            *at = along_axis(g, access, *at, h);
        return;
    }
    if (g->beside != NULL && level >= g->n_loops) {
        const Dag *first = g->beside;
        Value there = first->address[level * k->accesses.n + access];
        *at = moved(g, access, there, emit_i64(e, g->ahead), a->coef[g->s->axis[g->n_loops - 1]]);
        g->offset[access] = first->offset[access];
        g->apart[access] = first->apart[access];
        return;
    }
    if (g->vec >= 0 && level <= g->n_loops && g->s->axis[level - 1] == g->vec)
        g->offset[access] = NULL;
    if (level > g->n_loops && g->row_lanes)
        g->offset[access] = NULL;
    Value outer = at[-(ptrdiff_t)k->accesses.n];
    *at = level <= g->n_loops ? along_axis(g, access, outer, g->s->axis[level - 1]) : along_row(g, access,
        outer);
}

/* ---- the access itself ---- */
typedef struct {
    Value at, offset;
    int64_t apart;               /* how far the lanes lie apart, 0: anywhere */
    int64_t shared;              /* that many lanes after each other share an element .. */
    Value first;                 /* .. of which this is the first; or 0 */
    bool streams;
    LLVMTypeRef t;
    unsigned align;
    DType stored;
} Spot;

/* An output far larger than the caches is written past them: the lines need not be read first, and push
 * nothing out.  Whole lines only: sixteen f32 along the axis of the lanes, all else a multiple of a line. */
static bool streams(const Dag *g, uint32_t access) {
    enum { LARGE_OUTPUT = 8 << 20, LARGE_KERNEL = 32 << 20 };
    const Kernel *k = g->e->kernel;
    const KAccess *a = access_of(g, access);
    const KBuf *b = buffer_of(g, access);
    int64_t bytes = 0;
    for (uint32_t i = 0; i < k->bufs.n; i++)
        if (k->bufs.at[i].role != KBUF_SCRATCH)
            bytes += k->bufs.at[i].count * dtype_bytes(k->bufs.at[i].dtype);
    if (b->role != KBUF_OUT || b->dtype != DT_F32 || b->count * 4 < LARGE_OUTPUT || bytes < LARGE_KERNEL)
        return false;
    int32_t along = g->row_lanes ? g->s->axis[g->s->n_axes - 1] : g->vec;
    bool whole = a->index == 0 && a->base % LANES == 0 && along >= 0;
    for (uint32_t i = 0; i < k->axes.n; i++)
        whole = whole && ((int32_t)i == along ? a->coef[i] == 1 : a->coef[i] % LANES == 0);
    return whole;
}

static Spot place_of(Dag *g, uint32_t access) {
    Emit *e = g->e;
    const KAccess *a = access_of(g, access);
    DType stored = buffer_of(g, access)->dtype;
    Spot p = {g->address[g->depth * e->kernel->accesses.n + access], g->offset[access], g->apart[access], 0, NULL,
                streams(g, access), emit_storage(e, stored), dtype_bytes(stored), stored};
    if (a->index == 0)
        return p;
    Value index = g->value[a->index - 1];
    if (!emit_is_vector(index)) {
        p.at = moved(g, access, p.at, LLVMBuildSExt(e->b, index, e->i64, ""), a->index_coef);
        return p;
    }
    Value more = scaled_lanes(g, access, index, a->index_coef);
    p.shared = p.offset == NULL && a->index_coef == 1 ? lanes_shared(g, a->index - 1) : 0;
    if (p.shared != 0)
        p.first = LLVMBuildSExt(e->b, LLVMBuildExtractElement(e->b, index, emit_i32(e, 0), ""), e->i64, "");
    p.offset = p.offset == NULL ? more : LLVMBuildAdd(e->b, p.offset, more, "");
    p.apart = 0;
    return p;
}

/* An access computed at an outer level uses the address of that level. */
static Spot place_at(Dag *g, uint32_t access, uint32_t level) {
    uint32_t depth = g->depth;
    g->depth = level;
    Spot p = place_of(g, access);
    g->depth = depth;
    return p;
}

static Value and_masks(Emit *e, Value x, Value y) {
    if (x == NULL || y == NULL)
        return x == NULL ? y : x;
    emit_match(e, &x, &y);
    return LLVMBuildAnd(e->b, x, y, "");
}

static void set_align(Emit *e, Value call, unsigned parameter, unsigned align) {
    unsigned kind = LLVMGetEnumAttributeKindForName("align", 5);
    GR_ASSERT(kind != 0);
    LLVMAddCallSiteAttribute(call, parameter, LLVMCreateEnumAttribute(e->context, kind, align));
}

static Value lane_addresses(Emit *e, const Spot *p) {
    Value offset = p->offset;
    if (LLVMTypeOf(offset) == emit_vector(e->i32))
        offset = LLVMBuildSExt(e->b, offset, emit_vector(e->i64), "");
    return LLVMBuildGEP2(e->b, p->t, p->at, &offset, 1, "");
}

static Value all_lanes(Emit *e) { return LLVMConstAllOnes(emit_vector(e->i1)); }

Value access_load_masked(Emit *e, LLVMTypeRef vt, Value at, unsigned align, Value mask) {
    LLVMTypeRef t[2] = {vt, e->ptr};
    Value v = emit_call(e, "llvm.masked.load", t, 2, (Value[]){at, mask, LLVMConstNull(vt)}, 3);
    set_align(e, v, 1, align);
    return v;
}

/* How many of the first lanes are on, the others being off, when that is known; else -1. */
static int64_t lanes_on(Value mask) {
    int64_t n = 0;
    if (mask == NULL)
        return LANES;
    if (!LLVMIsConstant(mask) || !emit_is_vector(mask))
        return -1;
    for (unsigned l = 0; l < LANES; l++) {
        Value on = LLVMGetAggregateElement(mask, l);
        if (on == NULL || !LLVMIsAConstantInt(on))
            return -1;
        bool is_on = LLVMConstIntGetZExtValue(on) != 0;
        if (is_on && n < l)
            return -1;
        n += is_on;
    }
    return n;
}

static Value load_lanes(Emit *e, const Spot *p, Value mask) {
    LLVMTypeRef vt = emit_vector(p->t);
    int64_t on = lanes_on(mask);
    if (p->apart == 1 && mask == NULL)
        return emit_load(e, vt, p->at, p->align);
    if (p->apart == 1)
        return access_load_masked(e, vt, p->at, p->align, emit_splat(e, mask));
    if (p->apart > 1 && p->apart <= LANES_APART && on > 0)
        return lanes_load_apart(e, p->t, p->at, p->apart, on, p->align);
    if (p->apart != 0 && on > 0)
        return lanes_load_each(e, p->t, p->at, p->apart, on, p->align);
    if (p->shared != 0)
        return lanes_load_shared(e, p->t, emit_at(e, p->t, p->at, p->first), p->shared, p->align, mask);
    Value runs = mask == NULL ? lanes_load_runs(e, p->t, p->at, p->offset, p->align) : NULL;
    if (runs != NULL)
        return runs;
    Value at = lane_addresses(e, p);
    LLVMTypeRef t[2] = {vt, LLVMTypeOf(at)};
    Value in[3] = {at, mask == NULL ? all_lanes(e) : emit_splat(e, mask), LLVMConstNull(vt)};
    Value v = emit_call(e, "llvm.masked.gather", t, 2, in, 3);
    set_align(e, v, 1, p->align);
    return v;
}

/* LLVM 22 turns a store of 16-bit elements masked to lane 0 into a scalar store of 32 bits, which writes past the
 * end; so it is written as the scalar store it is. */
static bool first_lane_alone(Value mask) { return lanes_on(mask) == 1; }

static void masked_store(Emit *e, const char *how, Value v, Value at, unsigned align, Value mask) {
    LLVMTypeRef t[2] = {LLVMTypeOf(v), LLVMTypeOf(at)};
    Value call = emit_call(e, how, t, 2, (Value[]){v, at, mask == NULL ? all_lanes(e) : emit_splat(e, mask)},
        3);
    set_align(e, call, 2, align);
}

void access_store_vector(Emit *e, Value v, Value at, unsigned align, Value mask) {
    if (mask == NULL) {
        emit_store(e, v, at, align);
    } else if (first_lane_alone(mask)) {
        emit_store(e, LLVMBuildExtractElement(e->b, v, emit_i32(e, 0), ""), at, align);
    } else {
        masked_store(e, "llvm.masked.store", v, at, align, mask);
    }
}

static void stream(Emit *e, Value v, Value at) {
    Value store = LLVMBuildStore(e->b, v, at);
    LLVMSetAlignment(store, LANES * sizeof(float));
    LLVMMetadataRef one = LLVMValueAsMetadata(emit_i32(e, 1));
    LLVMSetMetadata(store, LLVMGetMDKindIDInContext(e->context, "nontemporal", 11),
                    LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, &one, 1)));
    e->streamed = true;
}

static void store_lanes(Emit *e, const Spot *p, Value v, Value mask) {
    if (p->apart == 1 && p->streams && mask == NULL) {
        stream(e, v, p->at);
    } else if (p->apart == 1) {
        access_store_vector(e, v, p->at, p->align, mask);
    } else {
        masked_store(e, "llvm.masked.scatter", v, lane_addresses(e, p), p->align, mask);
    }
}

/* Does scratch hold what lanes behind the end of a row would load?  Then all lanes are loaded where they lie apart,
 * since a mask would make that a gather; what is loaded there is used by no one. */
static bool loads_beyond(const Dag *g, uint32_t access) {
    const Kernel *k = g->e->kernel;
    const KAccess *a = access_of(g, access);
    const KBuf *b = buffer_of(g, access);
    int64_t last = a->base;
    if (b->role != KBUF_SCRATCH || a->index != 0 || g->row_lanes)
        return false;
    for (uint32_t i = 0; i < k->axes.n; i++) {
        int64_t extent = k->axes.at[i].extent;
        if (a->coef[i] < 0)
            return false;
        if ((int32_t)i == g->vec)
            extent = (extent + LANES - 1) / LANES * LANES;
        last += a->coef[i] * (extent - 1);
    }
    return last < b->count;
}

static Value guarded_address(Emit *e, Value guard, Value at) {
    return guard == NULL ? at : LLVMBuildSelect(e->b, guard, at, e->dummy, "");
}

static Value from_memory(Emit *e, DType stored, DType type, Value v) {
    if (stored == DT_BOOL) {
        v = LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    }
    return emit_cast(e, type, stored, v);
}

static Value to_memory(Emit *e, DType stored, DType type, Value v) {
    v = emit_cast(e, stored, type, v);
    return stored == DT_BOOL ? LLVMBuildZExt(e->b, v, emit_shape_like(e->i8, v), "") : v;
}

Value access_load(Dag *g, const KInst *in) {
    Emit *e = g->e;
    uint32_t self = (uint32_t)(in - &e->kernel->insts.at[g->s->first]);
    Spot p = place_at(g, in->access, g->level[self]);
    Value guard = in->in[0] == 0 ? NULL : g->value[in->in[0] - 1];
    Value v;
    if (p.offset == NULL) {
        Value one = guard == NULL ? NULL : emit_any(e, emit_is_vector(guard) ? and_masks(e, guard, g->mask)
            : guard);
        v = emit_load(e, p.t, guarded_address(e, one, p.at), p.align);
    } else {
        /* On AVX2 the back end may load the upper half of a masked vector whole and mask it afterwards; with no
         * lane on, the address can be anywhere.  With one on, it is within a vector of the buffer, and the arena
         * has slack on both sides. */
        Value mask = and_masks(e, guard, g->mask);
        if (guard == NULL && p.apart > 1 && p.apart <= LANES_APART && loads_beyond(g, in->access))
            mask = NULL;
        p.shared = guard == NULL ? p.shared : 0;        /* the lanes of an element might not agree */
        if (guard != NULL && p.apart == 1)
            p.at = guarded_address(e, emit_any(e, mask), p.at);
        v = load_lanes(e, &p, mask);
    }
    v = from_memory(e, p.stored, (DType)in->type, v);
    if (guard == NULL)
        return v;
    return emit_scalar(e, S_select, (DType)in->type, DT_BOOL, (Imm){0}, guard, v,
                       emit_imm(e, (DType)in->type, in->imm));
}

Value access_from_memory(const Dag *g, uint32_t access, DType type, Value v) {
    return from_memory(g->e, buffer_of(g, access)->dtype, type, v);
}

Value access_to_memory(const Dag *g, uint32_t access, DType type, Value v) {
    return to_memory(g->e, buffer_of(g, access)->dtype, type, emit_splat(g->e, v));
}

static void store_at(Dag *g, const Spot *p, Value v, DType type, Value guard) {
    Emit *e = g->e;
    v = to_memory(e, p->stored, type, v);
    if (p->offset == NULL && !emit_is_vector(v)) {
        Value one = guard == NULL ? NULL : emit_any(e, guard);
        emit_store(e, v, guarded_address(e, one, p->at), p->align);
        return;
    }
    Spot lanes = *p;
    /* all lanes to one place: the last one that stores wins */
    if (lanes.offset == NULL)
        lanes.offset = LLVMConstNull(emit_vector(e->i32));
    store_lanes(e, &lanes, emit_splat(e, v), and_masks(e, guard, g->mask));
}

void access_store(Dag *g, uint32_t access, uint32_t level, Value v, DType type, Value guard) {
    Spot p = place_at(g, access, level);
    store_at(g, &p, v, type, guard);
}

Value access_load_moved(Dag *g, uint32_t access, uint32_t level, DType type, Value elements) {
    Spot p = place_at(g, access, level);
    if (elements != NULL)
        p.at = emit_at(g->e, p.t, p.at, elements);
    Value v = p.offset == NULL ? emit_load(g->e, p.t, p.at, p.align) : load_lanes(g->e, &p, g->mask);
    return from_memory(g->e, p.stored, type, v);
}
