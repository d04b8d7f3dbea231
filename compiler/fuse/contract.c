/* Contractions.  A plain one (no windows) becomes register tiles: its dims are sorted into m (in A and C), n
 * (in B and C), k (in A and B) and outer ones, B being the operand that holds the last dim of C, so that
 * tiles are stored along it.  An operand that lies right (m, or n, contiguous and k at one stride) is read
 * where it lies; otherwise a kernel before the product packs it into panels, with whatever computes the
 * operand inlined as prologue.  The tile is left in scratch, and the epilogue is an ordinary map over its
 * rows and columns.
 *
 * Whether an operand lies right is not derived from the views above it: the inliner is asked for one element,
 * and when the answer is a single load its coefficients are the strides. */
#include "fuse_parts.h"
#include <string.h>

enum { IN_A = 1, IN_B = 2, IN_C = 4, PLAIN_M = IN_A | IN_C, PLAIN_N = IN_B | IN_C, PLAIN_K = IN_A | IN_B };

static bool holds(const Contract *c, int role, uint32_t dim) {
    return memchr(c->dim[role], (int)dim, c->rank[role]) != NULL;
}

bool contract_is_plain(const Contract *c) {
    if (c->n_windows > 0 || c->rank[2] == 0)
        return false;
    for (uint32_t i = 0; i < c->n_over; i++) {
        if (c->extent[c->over[i]] == 0)
            return false;
    }
    uint32_t last = c->dim[2][c->rank[2] - 1];
    return holds(c, 0, last) != holds(c, 1, last);
}

/* ---- the dims of a tiled product.  Role 0 is the operand with m, role 1 the one with n. ---- */
typedef struct {
    uint32_t n;
    uint8_t dim[MAX_DIMS];
    int64_t count;
} DimList;
typedef struct {
    const Contract *c;
    Val operand[2];
    int role[2]; /* of A, B in Contract */
    uint8_t in[MAX_DIMS];
    DimList outer, run[2], k;    /* run: m and n */
    int64_t block[2], panels[2]; /* mr, nr */
} Product;

static void list_add(DimList *l, const Contract *c, uint32_t dim) {
    l->dim[l->n++] = (uint8_t)dim;
    l->count *= c->extent[dim];
}

static int64_t panels_of(int64_t extent, int64_t block) { return (extent + block - 1) / block; }

/* Rows of a tile: as many as registers hold, or one or two less where fewer rows then lie past the end. */
static int64_t choose_rows(int64_t extent, int64_t most) {
    int64_t best = 1;
    for (int64_t rows = most; rows > 0 && rows >= most - 2; rows--) {
        int64_t panels = panels_of(extent, rows), even = panels > 0 ? panels_of(extent, panels) : 1;
        if (rows == most || panels * even < panels_of(extent, best) * best)
            best = even;
    }
    return best;
}

static void choose_tile(Product *p, const FuseOptions *o) {
    bool wide = strcmp(o->cpu, "avx512") == 0;
    p->block[0] = choose_rows(p->run[0].count, wide ? 14 : 6);
    p->block[1] = wide && p->run[1].count > 16 ? 32 : 16;
    for (int i = 0; i < 2; i++) {
        p->panels[i] = panels_of(p->run[i].count, p->block[i]);
    }
}

/* The dims of C that one tile axis runs over: the last unbroken run of its kind, or only the last of it. */
static uint32_t take_run(Product *p, uint8_t kind, uint32_t end, bool single, bool *taken) {
    const Contract *c = p->c;
    while (end > 0 && p->in[c->dim[2][end - 1]] != kind) {
        end--;
    }
    uint32_t from = end;
    while (from > 0 && p->in[c->dim[2][from - 1]] == kind && (!single || from == end)) {
        from--;
    }
    DimList *l = &p->run[kind == PLAIN_N];
    for (uint32_t i = from; i < end; i++) {
        list_add(l, c, c->dim[2][i]);
        taken[c->dim[2][i]] = true;
    }
    return from;
}

static Product product_of(const Planner *p, Val v, bool single) {
    const Contract *c = node_of(p->g, v)->attr.contract;
    Product r = {.c = c, .outer.count = 1, .run = {{.count = 1}, {.count = 1}}, .k.count = 1};
    int b = holds(c, 1, c->dim[2][c->rank[2] - 1]) ? 1 : 0;
    r.role[0] = 1 - b, r.role[1] = b;
    for (int i = 0; i < 2; i++) {
        r.operand[i] = operand(p->g, v, (uint32_t)r.role[i]);
    }
    for (uint32_t d = 0; d < c->n_dims; d++) {
        r.in[d] = (uint8_t)((holds(c, r.role[0], d) ? IN_A : 0) | (holds(c, r.role[1], d) ? IN_B : 0) |
                            (holds(c, 2, d) ? IN_C : 0));
    }
    bool taken[MAX_DIMS] = {false};
    uint32_t from = take_run(&r, PLAIN_N, c->rank[2], single, taken);
    take_run(&r, PLAIN_M, from, single, taken);
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        if (!taken[c->dim[2][i]])
            list_add(&r.outer, c, c->dim[2][i]);
    }
    for (uint32_t i = 0; i < c->n_over; i++) {
        list_add(&r.k, c, c->over[i]);
    }
    choose_tile(&r, p->entry->options);
    return r;
}

/* ---- how an operand lies ---- */
typedef struct {
    bool direct;
    uint32_t cell;
    int64_t base, stride[MAX_DIMS];
} Lie;

static Lie lie_of(Planner *p, const Product *r, int side) {
    const Contract *c = r->c;
    ArenaMark mark = arena_mark(p->entry->trial);
    Unit u = {0};
    Emit e = emit_begin(p, kernel_create(p->entry->trial, STR("lie")), &u);
    Index at[MAX_RANK];
    uint32_t axis[MAX_DIMS];
    uint32_t rank = c->rank[r->role[side]];
    const uint8_t *dim = c->dim[r->role[side]];
    for (uint32_t i = 0; i < rank; i++) {
        axis[i] = kernel_axis(e.k, "d", c->extent[dim[i]]);
        at[i] = index_axis(axis[i]);
    }
    emit_stage(&e);
    uint32_t value = emit_value(&e, r->operand[side], at, 0);
    const KInst *in = &e.k->insts.at[value];
    Lie lie = {0};
    if (e.k->insts.n == 1 && in->kop == K_LOAD && in->in[0] == 0) {
        const KAccess *a = &e.k->accesses.at[in->access];
        lie.direct = a->index == 0;
        lie.cell = u.cells.at[a->buf];
        lie.base = a->base;
        for (uint32_t i = 0; i < rank; i++) {
            lie.stride[dim[i]] = a->coef[axis[i]];
        }
    }
    arena_pop(mark);
    lie.direct = lie.direct && cell_at(p, lie.cell)->dtype == DT_F32;
    return lie;
}

/* One stride for a list of dims, or -1. */
static int64_t one_stride(const Lie *lie, const Contract *c, const DimList *l) {
    int64_t stride = 0, expect = 0;
    bool any = false;
    for (uint32_t i = l->n; i-- > 0;) {
        int64_t own = lie->stride[l->dim[i]];
        if (c->extent[l->dim[i]] == 1)
            continue;
        if (own < 0 || (any && own != expect))
            return -1;
        stride = any ? stride : own;
        expect = own * c->extent[l->dim[i]];
        any = true;
    }
    return stride;
}

enum { PAGE_FLOATS = 256, REUSE = 6 };

/* Rows (columns) contiguous and one stride along k.  A stride of a power of two folds a panel into few cache
 * sets, which is worth packing away when the panel is read often. */
static bool lies_right(const Product *r, const Lie *lie, int side) {
    int64_t run = one_stride(lie, r->c, &r->run[side]), k = one_stride(lie, r->c, &r->k);
    if (!lie->direct || (run != 1 && r->run[side].count > 1) || k < 0)
        return false;
    return k % PAGE_FLOATS != 0 || k == 0 || r->panels[1 - side] < REUSE || r->k.count < 16;
}

/* ---- packing: [outer][panel][k][mr or nr] ---- */
static uint32_t operand_outer(const Product *r, int side, uint8_t *dims) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->outer.n; i++) {
        if (r->in[r->outer.dim[i]] & (side == 0 ? IN_A : IN_B))
            dims[n++] = r->outer.dim[i];
    }
    return n;
}

static void split_run(Emit *e, const Product *r, int side, Index flat, Index *dim_at) {
    Index part[MAX_DIMS];
    int64_t extent[MAX_DIMS];
    const DimList *l = &r->run[side];
    for (uint32_t i = 0; i < l->n; i++) {
        extent[i] = r->c->extent[l->dim[i]];
    }
    if (l->n > 0)
        index_split(e, flat, l->n, extent, part);
    for (uint32_t i = 0; i < l->n; i++) {
        dim_at[l->dim[i]] = part[i];
    }
}

static void clip(Kernel *k, uint32_t axis, uint32_t block, int64_t total) {
    if (total % k->axes.at[axis].extent == 0)
        return;
    k->axes.at[axis].clip_by = (int32_t)block;
    k->axes.at[axis].clip_total = total;
}

/* The stage that packs one panel: axes k.., then the run; `panel` is its number, `to` where in buffer `out` it
 * begins. */
static void pack_stage(Emit *e, const Product *r, const Lie *lie, int side, uint32_t panel, Index *dim_at,
                       uint32_t out, Index to) {
    const Contract *c = r->c;
    Kernel *k = e->k;
    Stage *s = kernel_stage(k, STAGE_MAP);
    uint32_t stage = k->stages.n - 1;
    Index flat_k = index_const(0);
    int64_t stride = 1;
    for (uint32_t i = 0; i < r->k.n; i++) {
        uint32_t axis = kernel_axis(k, "k", c->extent[r->k.dim[i]]);
        dim_at[r->k.dim[i]] = index_axis(axis);
        s->axis[s->n_axes++] = (uint8_t)axis;
    }
    for (uint32_t i = r->k.n; i-- > 0;) {
        flat_k = index_add(e, flat_k, index_scale(dim_at[r->k.dim[i]], stride));
        stride *= c->extent[r->k.dim[i]];
    }
    uint32_t run = kernel_axis(k, "r", r->block[side]);
    clip(k, run, panel, r->run[side].count);
    s->axis[s->n_axes++] = (uint8_t)run;
    emit_stage(e);
    Index flat = index_axis(run);
    flat.coef[panel] = r->block[side];
    split_run(e, r, side, flat, dim_at);
    Index at[MAX_RANK];
    for (uint32_t i = 0; i < c->rank[r->role[side]]; i++) {
        at[i] = dim_at[c->dim[r->role[side]][i]];
    }
    uint32_t value = emit_value(e, r->operand[side], at, 0);
    to = index_add(e, index_add(e, to, index_axis(run)), index_scale(flat_k, r->block[side]));
    emit_store(e, out, to, value);
    s = &k->stages.at[stage];
    s->n = k->insts.n - s->first;
    uint32_t last_k = r->k.n > 0 ? r->k.dim[r->k.n - 1] : 0;
    if (lie->direct && r->k.n > 0 && lie->stride[last_k] == 1 && c->extent[last_k] > 1) {
        s->vec = (int8_t)(s->n_axes - 2); /* loads run along k, stores along the panel */
        s->transpose = (int8_t)(s->n_axes - 1);
    }
}

static uint32_t pack_operand(Planner *p, uint32_t group, const Product *r, const Lie *lie, int side) {
    const Contract *c = r->c;
    Unit *u = unit_of_group(p, group, side == 0 ? "pack_a" : "pack_b");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index dim_at[MAX_DIMS];
    uint8_t outer[MAX_DIMS];
    uint32_t n_outer = operand_outer(r, side, outer);
    int64_t panel_size = r->k.count * r->block[side], count = r->panels[side] * panel_size;
    for (uint32_t i = 0; i < n_outer; i++) {
        dim_at[outer[i]] = index_axis(kernel_axis(k, "o", c->extent[outer[i]]));
    }
    uint32_t panel = kernel_axis(k, "p", r->panels[side]);
    k->n_head = k->axes.n;
    Index to = index_scale(index_axis(panel), panel_size);
    for (uint32_t i = n_outer; i-- > 0;) {
        to = index_add(&e, to, index_scale(dim_at[outer[i]], count));
        count *= c->extent[outer[i]];
    }
    uint32_t cell = cell_add(p, (Cell){.kind = CELL_PACKED,
                                       .name = str_format(p->arena, "%.*s", FSTR(k->name)),
                                       .dtype = DT_F32,
                                       .shape = shape_of(1, &count),
                                       .region = REGION_ACT,
                                       .loop = p->loop});
    pack_stage(&e, r, lie, side, panel, dim_at, kernel_buffer(&e, cell, true), to);
    unit_finish(&e);
    return cell;
}

/* ---- the tile ---- */
typedef struct {
    uint32_t cell;
    int64_t base, k, stride[MAX_DIMS], panel;
    bool packed;
} Feed;

static Feed source_of(Planner *p, uint32_t group, const Product *r, int side) {
    Lie lie = lie_of(p, r, side);
    Feed s = {.cell = lie.cell, .base = lie.base, .panel = r->block[side]};
    memcpy(s.stride, lie.stride, sizeof s.stride);
    if (lies_right(r, &lie, side)) {
        s.k = one_stride(&lie, r->c, &r->k);
        return s;
    }
    uint8_t outer[MAX_DIMS];
    uint32_t n = operand_outer(r, side, outer);
    s.packed = true;
    s.cell = pack_operand(p, group, r, &lie, side);
    s.base = 0;
    s.k = r->block[side];
    s.panel = r->k.count * r->block[side];
    int64_t stride = r->panels[side] * s.panel;
    for (uint32_t i = n; i-- > 0;) {
        s.stride[outer[i]] = stride;
        stride *= r->c->extent[outer[i]];
    }
    return s;
}

static uint32_t source_access(Emit *e, const Product *r, const Feed *s, int side, const Index *dim_at,
                              uint32_t panel) {
    Index at = index_const(s->base);
    uint8_t outer[MAX_DIMS];
    uint32_t n = operand_outer(r, side, outer);
    for (uint32_t i = 0; i < n; i++) {
        at = index_add(e, at, index_scale(dim_at[outer[i]], s->stride[outer[i]]));
    }
    at = index_add(e, at, index_scale(index_axis(panel), s->panel));
    return emit_access(e, kernel_buffer(e, s->cell, false), at);
}

/* Where C[tile row, column] lies: outer dims, then the two runs, each of one stride in C. */
static Index result_index(Emit *e, const Product *r, const Index *dim_at, const Index run[2]) {
    const Contract *c = r->c;
    int64_t stride_of[MAX_DIMS] = {0}, stride = 1;
    for (uint32_t i = c->rank[2]; i-- > 0;) {
        stride_of[c->dim[2][i]] = stride;
        stride *= c->extent[c->dim[2][i]];
    }
    Index at = index_const(0);
    for (uint32_t i = 0; i < r->outer.n; i++) {
        at = index_add(e, at, index_scale(dim_at[r->outer.dim[i]], stride_of[r->outer.dim[i]]));
    }
    for (int side = 0; side < 2; side++) {
        const DimList *l = &r->run[side];
        if (l->n > 0)
            at = index_add(e, at, index_scale(run[side], stride_of[l->dim[l->n - 1]]));
    }
    return at;
}

/* fixed: the number of the row panel where it is a constant, else -1 and panel[0] is its axis. */
static void epilogue(Emit *e, uint32_t group, const Product *r, uint32_t tile, const uint32_t panel[2], int64_t fixed,
                     Index *dim_at) {
    Planner *p = e->p;
    Kernel *k = e->k;
    Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val;
    Stage *s = kernel_stage(k, STAGE_MAP);
    Index run[2], at[MAX_RANK], in_tile = index_const(0);
    for (int side = 0; side < 2; side++) {
        bool constant = side == 0 && fixed >= 0;
        int64_t left = r->run[side].count - fixed * r->block[side];
        uint32_t axis = kernel_axis(k, side == 0 ? "r" : "c",
                                    constant && left < r->block[side] ? left : r->block[side]);
        s->axis[s->n_axes++] = (uint8_t)axis;
        run[side] = index_axis(axis);
        in_tile.coef[axis] = side == 0 ? r->block[1] : 1;
        if (constant) {
            run[side].base = fixed * r->block[side];
        } else {
            clip(k, axis, panel[side], r->run[side].count);
            run[side].coef[panel[side]] = r->block[side];
        }
    }
    emit_stage(e);
    uint32_t value = emit_load(e, tile, in_tile, 0, v.i);
    if (p->info[v.i].checked)
        emit_check(e, value);
    if (p->info[v.i].outer)
        emit_store(e, kernel_buffer(e, g->sinks.at[0].cell, true), result_index(e, r, dim_at, run), value);
    if (g->sinks.n > 1) {
        for (int side = 0; side < 2; side++) {
            split_run(e, r, side, run[side], dim_at);
        }
        for (uint32_t i = 0; i < r->c->rank[2]; i++) {
            uint32_t dim = r->c->dim[2][i];
            at[i] = r->c->extent[dim] == 1 ? index_const(0) : dim_at[dim];
        }
        e->head = r->c->rank[2], e->head_at = at;
        emit_preset(e, v, at, value);
        put_sinks(e, g->sinks.at + 1, g->sinks.n - 1, at);
        GR_ASSERT(!e->bad);
    }
    k->stages.at[k->stages.n - 1].n = k->insts.n - e->first;
}

/* Tiles of one row of tiles one after another write C along its rows, which needs all of B near; else the
 * columns go outside and a panel of B is used up before the next. */
static bool sweeps_columns(const Product *r) {
    enum { NEAR_BYTES = 512 << 10 };
    int64_t a = r->run[0].count * r->k.count, b = r->run[1].count * r->k.count;
    return b * 4 <= NEAR_BYTES || b <= a;
}

/* A product being lowered: its kernel, and where its operands come from. */
typedef struct {
    Emit e;
    uint32_t group;
    const Product *r;
    Feed source[2];
    uint32_t panel[2], tile;      /* head axes of the panels; scratch */
    Index dim_at[MAX_DIMS];
} Tile;

static void tile_begin(Planner *p, uint32_t group, const Product *r, Tile *t) {
    Unit *u = unit_of_group(p, group, "tile");
    *t = (Tile){.e = emit_begin(p, u->kernel, u), .group = group, .r = r};
    t->e.group = group + 1;
    uint8_t *done = PUSH(p->arena, uint8_t, p->g->nodes.n);
    memset(done, 2, p->g->nodes.n);
    t->e.done = done;
    for (uint32_t i = 0; i < r->outer.n; i++) {
        t->dim_at[r->outer.dim[i]] = index_axis(kernel_axis(u->kernel, "o", r->c->extent[r->outer.dim[i]]));
    }
}

/* The tile stage and its epilogue.  fixed: the row panel, -1 when it is an axis of the head. */
static void tile_stages(Tile *t, uint32_t a, uint32_t b, int64_t fixed) {
    const Product *r = t->r;
    Stage *s = kernel_stage(t->e.k, STAGE_TILE);
    emit_stage(&t->e);
    int64_t left = r->run[0].count - (fixed > 0 ? fixed * r->block[0] : 0);
    s->tile = (KTile){.a = a,
                      .b = b,
                      .out = t->tile,
                      .k = r->k.count,
                      .a_k = t->source[0].k,
                      .b_k = t->source[1].k,
                      .mr = (uint8_t)r->block[0],
                      .nr = (uint8_t)r->block[1],
                      .m_axis = (int32_t)t->panel[0],
                      .n_axis = (int32_t)t->panel[1],
                      .m = fixed < 0 || left < r->block[0] ? left : r->block[0],
                      .n = r->run[1].count};
    epilogue(&t->e, t->group, r, t->tile, t->panel, fixed, t->dim_at);
}

/* A matrix that lies across and is read by few row panels (a weight, in the gradient of a small batch): each of
 * its column panels is turned into scratch, where it stays near, and used up at once; no turned copy of the matrix
 * ever reaches memory. */
static bool packs_in_scratch(const Product *r, const Lie *b) {
    enum { FEW_PANELS = 8, NEAR_FLOATS = 96 << 10 };
    return b->direct && !lies_right(r, b, 1) && r->outer.n == 0 && r->panels[0] <= FEW_PANELS && r->panels[1] >= 4 &&
           r->k.count * r->block[1] <= NEAR_FLOATS;
}

static void lower_panel(Planner *p, uint32_t group, const Product *r, const Lie *b) {
    Tile t;
    Feed rows = source_of(p, group, r, 0);
    tile_begin(p, group, r, &t);
    t.source[0] = rows;
    t.source[1] = (Feed){.packed = true, .k = r->block[1]};
    Kernel *k = t.e.k;
    t.panel[1] = kernel_axis(k, "j", r->panels[1]);
    /* what the tile clips by: its rows are counted from the panel's first */
    t.panel[0] = kernel_axis(k, "i", 1);
    k->n_head = k->axes.n;
    uint32_t turned = kernel_scratch(k, t.e.unit, "panel", DT_F32, r->k.count * r->block[1]);
    t.tile = kernel_scratch(k, t.e.unit, "tile", DT_F32, r->block[0] * r->block[1]);
    pack_stage(&t.e, r, b, 1, t.panel[1], t.dim_at, turned, index_const(0));
    for (int64_t i = 0; i < r->panels[0]; i++) {
        Index at = index_const(rows.base + i * rows.panel);
        uint32_t a = emit_access(&t.e, kernel_buffer(&t.e, rows.cell, false), at);
        tile_stages(&t, a, emit_access(&t.e, turned, index_const(0)), i);
    }
    unit_finish(&t.e);
}

static void lower_tile(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Product r = product_of(p, g->sinks.at[0].val, g->sinks.n > 1);
    Lie b = lie_of(p, &r, 1);
    if (packs_in_scratch(&r, &b)) {
        lower_panel(p, group, &r, &b);
        return;
    }
    Tile t;
    Feed source[2] = {source_of(p, group, &r, 0), source_of(p, group, &r, 1)};
    tile_begin(p, group, &r, &t);
    memcpy(t.source, source, sizeof source);
    Kernel *k = t.e.k;
    int inner = sweeps_columns(&r) ? 1 : 0;
    t.panel[1 - inner] = kernel_axis(k, inner ? "i" : "j", r.panels[1 - inner]);
    t.panel[inner] = kernel_axis(k, inner ? "j" : "i", r.panels[inner]);
    k->n_head = k->axes.n;
    t.tile = kernel_scratch(k, t.e.unit, "tile", DT_F32, r.block[0] * r.block[1]);
    uint32_t a = source_access(&t.e, &r, &source[0], 0, t.dim_at, t.panel[0]);
    tile_stages(&t, a, source_access(&t.e, &r, &source[1], 1, t.dim_at, t.panel[1]), -1);
    unit_finish(&t.e);
}

/* ---- everything else: one chain an element ---- */
/* The element of an operand along each dim, from the dims of C and the summed ones; windows give the third
 * role. */
static uint32_t window_index(Emit *e, const Contract *c, const Window *w, bool *known, Index *at) {
    Index num;
    uint32_t to;
    int64_t by;
    if (known[w->o] && known[w->t]) {
        num = index_add(e, index_scale(at[w->o], w->stride), index_scale(at[w->t], w->dilation));
        num = index_add(e, num, index_const(-w->pad));
        to = w->x, by = 1;
    } else {
        uint32_t other = known[w->o] ? w->o : w->t;
        num =
            index_add(e, at[w->x], index_scale(at[other], -(int64_t)(known[w->o] ? w->stride : w->dilation)));
        num = index_add(e, num, index_const(w->pad));
        to = known[w->o] ? w->t : w->o;
        by = known[w->o] ? w->dilation : w->stride;
    }
    uint32_t guard = 0;
    if (by != 1) {
        int64_t lo, hi;
        index_range(e->k, &num, &lo, &hi);
        uint32_t v = index_value(e, &num), d = emit_i32(e, by);
        guard = 1 + emit_scalar(e, S_eq, DT_BOOL, emit_scalar(e, S_mod, DT_I32, v, d, 0), emit_i32(e, 0), 0);
        uint32_t q = emit_scalar(e, S_idiv, DT_I32, v, d, 0);
        guard = index_inside(e, &num, 0, by * (c->extent[to] - 1) + 1, guard);
        q = emit_scalar(e, S_max, DT_I32, q, emit_i32(e, 0), 0);
        q = emit_scalar(e, S_min, DT_I32, q, emit_i32(e, c->extent[to] - 1), 0);
        at[to] = index_of_value(q, 0, c->extent[to] - 1);
    } else {
        guard = index_inside(e, &num, 0, c->extent[to], 0);
        at[to] = num;
    }
    known[to] = true;
    return guard;
}

static void lower_chain(Planner *p, uint32_t group) {
    enum { CHAIN_BLOCK = 64 };
    Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val;
    const Node *n = node_of(p->g, v);
    const Contract *c = n->attr.contract;
    Unit *u = unit_of_group(p, group, "chain");
    Kernel *k = u->kernel;
    Emit e = emit_begin(p, k, u);
    Index dim_at[MAX_DIMS], out[MAX_RANK], at[2][MAX_RANK];
    bool known[MAX_DIMS] = {false};
    uint32_t rank = c->rank[2], block = 0, keep = 0;
    for (uint32_t i = 0; i + 1 < rank; i++) {
        dim_at[c->dim[2][i]] = index_axis(kernel_axis(k, "n", c->extent[c->dim[2][i]]));
        known[c->dim[2][i]] = true;
    }
    int64_t last = rank > 0 ? c->extent[c->dim[2][rank - 1]] : 1;
    if (rank > 0)
        block = kernel_axis(k, "b", last > CHAIN_BLOCK ? (last + CHAIN_BLOCK - 1) / CHAIN_BLOCK : 1);
    k->n_head = k->axes.n;
    Stage *s = kernel_stage(k, STAGE_CHAIN);
    if (rank > 0) {
        keep = kernel_axis(k, "c", last > CHAIN_BLOCK ? CHAIN_BLOCK : last);
        if (last > CHAIN_BLOCK)
            clip(k, keep, block, last);
        Index x = index_axis(keep);
        x.coef[block] = last > CHAIN_BLOCK ? CHAIN_BLOCK : 0;
        dim_at[c->dim[2][rank - 1]] = x;
        known[c->dim[2][rank - 1]] = true;
        s->axis[s->n_axes++] = (uint8_t)keep;
        s->n_keep = 1;
    }
    for (uint32_t i = 0; i < c->n_over; i++) {
        uint32_t axis = kernel_axis(k, "k", c->extent[c->over[i]]);
        dim_at[c->over[i]] = index_axis(axis);
        known[c->over[i]] = true;
        s->axis[s->n_axes++] = (uint8_t)axis;
    }
    if (c->n_over == 0) /* one term: still a chain */
        s->axis[s->n_axes++] = (uint8_t)kernel_axis(k, "k", 1);
    emit_stage(&e);
    uint32_t guard = 0;
    for (uint32_t i = 0; i < c->n_windows; i++) {
        uint32_t more = window_index(&e, c, &c->window[i], known, dim_at);
        guard = !guard ? more : !more ? guard : 1 + emit_scalar(&e, S_and, DT_BOOL, guard - 1, more - 1, 0);
    }
    for (uint32_t role = 0; role < 3; role++) {
        for (uint32_t i = 0; i < c->rank[role]; i++) {
            *(role == 2 ? &out[i] : &at[role][i]) = dim_at[c->dim[role][i]];
        }
    }
    s->yield[0] = emit_value(&e, operand(p->g, v, 0), at[0], guard);
    s->yield[1] = emit_value(&e, operand(p->g, v, 1), at[1], guard);
    s->yield[2] = guard;
    s->n = k->insts.n;
    uint32_t buf = kernel_buffer(&e, g->sinks.at[0].cell, true);
    s->out[0] = 1 + emit_access(&e, buf, index_linear(&e, n->shape, out));
    if (p->info[v.i].checked) {
        Stage *check = kernel_stage(k, STAGE_MAP);
        if (rank > 0)
            check->axis[check->n_axes++] = (uint8_t)keep;
        emit_stage(&e);
        kernel_buffer(&e, g->sinks.at[0].cell, false);
        emit_check(&e, emit_load(&e, buf, index_linear(&e, n->shape, out), 0, v.i));
        k->stages.at[1].n = k->insts.n - e.first;
    }
    unit_finish(&e);
}

/* ---- the baseline's product ---- */
static bool lower_blas(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Val v = g->sinks.at[0].val;
    Product r = product_of(p, v, false);
    Lie lie[2] = {lie_of(p, &r, 0), lie_of(p, &r, 1)};
    PlanBlas b = {.m = r.run[0].count, .n = r.run[1].count, .k = r.k.count, .ldc = r.run[1].count};
    int64_t run[2], k[2];
    for (int i = 0; i < 2; i++) {
        run[i] = one_stride(&lie[i], r.c, &r.run[i]);
        k[i] = one_stride(&lie[i], r.c, &r.k);
        if (!lie[i].direct || lie[i].base != 0 || run[i] < 0 || k[i] < 0 || (run[i] != 1 && k[i] != 1) ||
            r.outer.n > 0 || r.run[i].count < 2 || r.k.count < 2)
            return false;
    }
    b.trans_a = run[0] == 1, b.trans_b = run[1] != 1;
    b.lda = b.trans_a ? k[0] : run[0];
    b.ldb = b.trans_b ? run[1] : k[1];
    Unit *u = unit_add(p, UNIT_BLAS, (Str){0});
    u->blas = b;
    u->nodes = 1;
    vec_push(p->arena, &u->cells, lie[0].cell);
    vec_push(p->arena, &u->cells, lie[1].cell);
    vec_push(p->arena, &u->cells, g->sinks.at[0].cell);
    vec_push(p->arena, &u->spans, node_of(p->g, v)->span);
    return true;
}

static void lower_check(Planner *p, uint32_t group) {
    Group *g = &p->groups.at[group];
    Unit *u = unit_of_group(p, group, "check");
    Emit e = emit_begin(p, u->kernel, u);
    Val v = g->sinks.at[0].val;
    Shape shape = node_of(p->g, v)->shape;
    Index at[MAX_RANK];
    kernel_stage(u->kernel, STAGE_MAP);
    for (uint32_t i = 0; i < shape.rank; i++) {
        at[i] = index_axis(kernel_axis(u->kernel, "i", shape.dim[i]));
    }
    emit_stage(&e);
    emit_check(&e, emit_load(&e, kernel_buffer(&e, g->sinks.at[0].cell, false), index_linear(&e, shape, at),
                             0, v.i));
    u->kernel->stages.at[0].n = u->kernel->insts.n;
    kernel_merge(u->kernel);
    kernel_cut(u->kernel);
    unit_finish(&e);
}

void lower_contract(Planner *p, uint32_t group) {
    if (p->groups.at[group].kind == GROUP_CHAIN) {
        lower_chain(p, group);
    } else if (!p->entry->options->blas || !lower_blas(p, group)) {
        lower_tile(p, group);
    } else if (p->info[p->groups.at[group].sinks.at[0].val.i].checked) {
        lower_check(p, group);
    }
}
