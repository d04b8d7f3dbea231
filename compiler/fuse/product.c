/* The dims of a tiled product, sorted: m (in A and C), n (in B and C), k (in A and B) and outer ones; B is the operand
 * that holds the last dim of C, so that tiles are stored along it.  And how its operands lie: an operand lies right
 * (m, or n, contiguous and k at one stride) when it can be read where it is.  That is not derived from the views
 * above it: the inliner is asked for one element, and when the answer is a single load its coefficients are the
 * strides. */
#include "product.h"
#include <string.h>

static bool holds(const Contract *c, int role, uint32_t dim) {
    return memchr(c->dim[role], (int)dim, c->rank[role]) != NULL;
}

static bool in_window(const Contract *c, uint32_t dim) {
    for (uint32_t i = 0; i < c->n_windows; i++) {
        const Window *w = &c->window[i];
        if (w->x == dim || w->o == dim || w->t == dim)
            return true;
    }
    return false;
}

/* How many dims are summed over before k, the plain ones at the end. */
static uint32_t lists_of(const Contract *c) {
    uint32_t n = c->n_windows > 0 ? c->n_over : 0;
    while (n > 0 && !in_window(c, c->over[n - 1])) {
        n--;
    }
    return n;
}

/* Elements of the result that only one operand, beside it, has: m for 0, n for 1. */
static int64_t own_count(const Contract *c, int operand) {
    int64_t n = 1;
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        uint32_t d = c->dim[2][i];
        n *= holds(c, operand, d) && !holds(c, 1 - operand, d) && !in_window(c, d) ? c->extent[d] : 1;
    }
    return n;
}

/* A convolution of channels or images enough to fill a vector. */
static bool fills_tiles(const Contract *c) {
    enum { LEAST = 8 };
    int64_t m = own_count(c, 0), n = own_count(c, 1);
    return lists_of(c) <= MAX_LISTS && (m > n ? m : n) >= LEAST;
}

bool contract_is_tiled(const Contract *c) {
    if (c->rank[2] == 0)
        return false;
    for (uint32_t i = 0; i < c->n_dims; i++) {
        if (c->extent[i] == 0 && (c->n_windows > 0 || !holds(c, 2, i)))
            return false;
    }
    if (c->n_windows > 0)
        return fills_tiles(c);
    uint32_t last = c->dim[2][c->rank[2] - 1];
    return holds(c, 0, last) != holds(c, 1, last);
}

static void list_add(DimList *l, const Contract *c, uint32_t dim) {
    l->dim[l->n++] = (uint8_t)dim;
    l->count *= c->extent[dim];
}

static int64_t panels_of(int64_t extent, int64_t block) { return (extent + block - 1) / block; }

/* Rows of a tile: as few panels as registers allow, and all much the same; the last one makes no row too many
 * (kernel/kernel_micro.c). */
static int64_t choose_rows(int64_t extent, int64_t most) {
    int64_t panels = panels_of(extent, most);
    return panels > 0 ? panels_of(extent, panels) : 1;
}

static const CpuTarget *target(const FuseOptions *o) { return cpu_target(o->cpu); }

static void choose_tile(Product *p, const FuseOptions *o) {
    p->block[0] = choose_rows(p->run[0].count, target(o)->rows);
    p->block[1] = target(o)->wide && p->run[1].count > 16 ? 32 : 16;
    for (int i = 0; i < 2; i++) {
        p->panels[i] = panels_of(p->run[i].count, p->block[i]);
    }
}

void product_rows(Product *r, int64_t most, int64_t multiple) {
    r->block[0] = (choose_rows(r->run[0].count, most) + multiple - 1) / multiple * multiple;
    r->panels[0] = panels_of(r->run[0].count, r->block[0]);
}

/* Cycles of one step of k: two fused steps a cycle, two loads, and no chain faster than its latency. */
static double one_step(double rows, double vectors) {
    enum { LATENCY = 4 };
    double steps = rows * vectors / 2, loads = (rows + vectors) / 2, one = steps > loads ? steps : loads;
    return one > LATENCY ? one : LATENCY;
}

/* Of a tile: registers hold its sums, the columns of a step, and a row. */
static int64_t most_rows(int64_t vectors) {
    enum { SUMS = 28, REGISTERS = 31 };
    int64_t rows = (REGISTERS - 1 - vectors) / vectors, fit = SUMS / vectors;
    return rows < fit ? rows : fit;
}

/* The same of columns that are shifted by the tap: their loads go across two lines. */
static double places_step(double rows, double vectors) {
    double steps = one_step(rows, vectors), loads = (rows + 2 * vectors) / 2;
    return steps > loads ? steps : loads;
}

/* Of all tiles, when m is cut into rows and n into columns. */
static double cycles(int64_t m, int64_t n, const FuseOptions *o) {
    bool wide = target(o)->wide;
    int64_t rows = choose_rows(m, target(o)->rows), columns = wide && n > 16 ? 32 : 16;
    return (double)(panels_of(m, rows) * panels_of(n, columns)) *
           one_step((double)rows, (double)columns / (wide ? 16 : 8));
}

/* The operand that alone has the dim of C along which a tile can be stored: the last one, or the one before if the
 * last are a few places; -1: there is none. */
static int stored_along(const Contract *c) {
    uint32_t at = c->rank[2] - 1, last = c->dim[2][at];
    if (in_window(c, last) && c->extent[last] <= FEW_PLACES && at > 0)
        last = c->dim[2][--at];
    return in_window(c, last) || holds(c, 0, last) == holds(c, 1, last) ? -1 : holds(c, 1, last) ? 1 : 0;
}

/* The operand that has the columns: the one that holds the last dim of C; of a convolution, whose tiles are stored
 * apart anyway, what takes less time.  Columns that are stored along memory are worth some. */
static int columns_of(const Contract *c, const FuseOptions *o) {
    const double worth = 1.2;
    if (c->n_windows == 0)
        return holds(c, 1, c->dim[2][c->rank[2] - 1]) ? 1 : 0;
    int64_t m = own_count(c, 0), n = own_count(c, 1);
    int along = stored_along(c);
    double as_1 = cycles(m, n, o) / (along == 1 ? worth : 1), as_0 = cycles(n, m, o) / (along == 0 ? worth : 1);
    return as_1 <= as_0 ? 1 : 0;
}

/* The dims of C that one tile axis runs over: the last unbroken run of its kind, or only the last of it. */
static void take_run(Product *p, uint8_t kind, bool single, bool *taken) {
    const Contract *c = p->c;
    uint32_t end = c->rank[2];
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
}

/* b: the operand with the columns.  place: 1 + the dim of C that they are, a place of a window; 0: a run of it. */
static Product sorted(const Planner *p, Val v, int b, uint32_t place, bool single) {
    const Contract *c = node_of(p->g, v)->attr.contract;
    Product r = {.c = c, .outer.count = 1, .run = {{.count = 1}, {.count = 1}}, .k.count = 1, .lists.count = 1};
    r.role[0] = 1 - b, r.role[1] = b;
    for (int i = 0; i < 2; i++) {
        r.operand[i] = operand(p->g, v, (uint32_t)r.role[i]);
    }
    for (uint32_t d = 0; d < c->n_dims; d++) {
        r.in[d] = (uint8_t)((holds(c, r.role[0], d) ? IN_A : 0) | (holds(c, r.role[1], d) ? IN_B : 0) |
                            (holds(c, 2, d) ? IN_C : 0));
    }
    bool taken[MAX_DIMS] = {false};
    if (place == 0) {
        take_run(&r, PLAIN_N, single, taken);
    } else {
        list_add(&r.run[1], c, place - 1);
        taken[place - 1] = true;
    }
    take_run(&r, PLAIN_M, single, taken);
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        if (!taken[c->dim[2][i]])
            list_add(&r.outer, c, c->dim[2][i]);
    }
    for (uint32_t i = 0, lists = lists_of(c); i < c->n_over; i++) {
        list_add(i < lists ? &r.lists : &r.k, c, c->over[i]);
    }
    return r;
}

/* ---- pairs ---- */
int product_pair_dim(const Product *r) {
    int last = -1;
    for (uint32_t i = 0; i < r->k.n; i++) {
        last = r->c->extent[r->k.dim[i]] > 1 ? r->k.dim[i] : last;
    }
    return last;
}

int64_t product_steps(const Product *r) { return r->pairs ? (r->k.count + 1) / 2 : r->k.count; }

/* Both points of a pair are neighbours in the order of the sum: the last dim of k is even, or it is all of k; and no
 * cut parts them. */
static bool falls_into_pairs(const Product *r) {
    int dim = product_pair_dim(r);
    if (dim < 0)
        return false;
    bool even = r->c->extent[dim] % 2 == 0, whole = r->c->extent[dim] == r->k.count;
    return even || (whole && (r->lists.count == 1 || r->lists.count * r->k.count <= CHUNK));
}

bool product_wants_pairs(const Planner *p, Val v) {
    return target(p->entry->options)->pairs && type_of(p->g, operand(p->g, v, 0)).dtype == DT_BF16 &&
           type_of(p->g, operand(p->g, v, 1)).dtype == DT_BF16;
}

Product product_of(const Planner *p, Val v, bool single) {
    const Contract *c = node_of(p->g, v)->attr.contract;
    Product r = sorted(p, v, columns_of(c, p->entry->options), 0, single);
    choose_tile(&r, p->entry->options);
    r.pairs = product_wants_pairs(p, v) && falls_into_pairs(&r);
    return r;
}

Product product_of_places(const Planner *p, Val v, uint32_t place, int image, bool single) {
    const FuseOptions *o = p->entry->options;
    bool wide = target(o)->wide;
    Product r = sorted(p, v, image, 1 + place, single);
    double best = 0;
    for (int64_t columns = LANES; columns <= (wide ? 4 * LANES : LANES); columns += LANES) {
        int64_t vectors = columns / LANES, rows = choose_rows(r.run[0].count, wide ? most_rows(vectors) : 6);
        int64_t panels[2] = {panels_of(r.run[0].count, rows), panels_of(r.run[1].count, columns)};
        int64_t last = panels_of(r.run[1].count - (panels[1] - 1) * columns, LANES), each = wide ? 1 : 2;
        double full = places_step((double)rows, (double)(each * vectors));
        double time = (double)(panels[1] - 1) * full + places_step((double)rows, (double)(each * last));
        time *= (double)panels[0];
        if (best > 0 && time >= best)
            continue;
        best = time;
        for (int i = 0; i < 2; i++) {
            r.block[i] = i == 0 ? rows : columns;
            r.panels[i] = panels[i];
        }
    }
    r.pairs = product_wants_pairs(p, v) && falls_into_pairs(&r);
    return r;
}

/* ---- how an operand lies ---- */
/* The cast to halves that only views lie upon. */
static uint32_t rounding_of(const Planner *p, Val v) {
    for (;;) {
        const Node *n = node_of(p->g, v);
        if (p->info[v.i].stored)
            return 0;
        bool halves = n->dtype == DT_BF16 || n->dtype == DT_F16;
        if (n->op == OP_cast)
            return halves && type_of(p->g, operand(p->g, v, 0)).dtype == DT_F32 ? v.i : 0;
        if (n->op != OP_permute && n->op != OP_reshape && n->op != OP_broadcast && n->op != OP_slice)
            return 0;
        v = operand(p->g, v, 0);
    }
}

Lie product_lie(Planner *p, const Product *r, int side) {
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
    Lie lie = {.bare = rounding_of(p, r->operand[side])};
    lie.rounds = lie.bare ? (DType)p->g->nodes.at[lie.bare].dtype : DT_F32;
    e.bare = lie.bare;
    uint32_t value = emit_value(&e, r->operand[side], at, 0);
    const KInst *in = &e.k->insts.at[value];
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
int64_t product_stride(const Lie *lie, const Contract *c, const DimList *l) {
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

enum { PAGE_FLOATS = 256, REUSE = 6, FAR_FLOATS = 1024, MANY = 32 };

/* A vector of columns lies across two lines where their rows do not begin on one.  That slows every step of every panel
 * of rows down by a tenth, packing them is once as much work as some of these. */
static bool begins_off_lines(const Product *r, int64_t k) {
    enum { PANELS = 16, STEPS = 16 };
    return k % LANES != 0 && r->lists.n == 0 && r->panels[0] >= PANELS && r->k.count >= STEPS;
}

/* Rows (columns) contiguous and one stride along k.  A stride of a power of two folds a panel into few cache
 * sets, which is worth packing away when the panel is read often. */
bool product_lies_right(const Product *r, const Lie *lie, int side) {
    int64_t run = product_stride(lie, r->c, &r->run[side]), k = product_stride(lie, r->c, &r->k);
    if (!lie->direct || lie->rounds != DT_F32 || (run != 1 && r->run[side].count > 1) || k < 0)
        return false;
    if (r->lists.n > 0 && k >= FAR_FLOATS && r->k.count >= MANY) /* each on a page of its own, once for each tap */
        return false;
    if (side == 1 && begins_off_lines(r, k))
        return false;
    return k % PAGE_FLOATS != 0 || k == 0 || r->panels[1 - side] < REUSE || r->k.count < 16;
}

/* Fewer rows would not keep the registers busy. */
bool product_even(const Planner *p, Product *r) {
    bool wide = target(p->entry->options)->wide;
    for (int64_t rows = target(p->entry->options)->rows; rows >= (wide ? 8 : 4); rows--) {
        if (r->run[0].count % rows != 0)
            continue;
        r->block[0] = rows;
        r->panels[0] = r->run[0].count / rows;
        return true;
    }
    return false;
}

/* Rows that run along k need no packing: a line holds sixteen steps of one.  But some cache sets must not hold all, and
 * tiles of fewer rows take a little longer, which with many columns is more than packing. */
void product_apart(Planner *p, Product *r, const Lie *a) {
    enum { SETS_FLOATS = 1024, LINE_FLOATS = 16, WAYS = 4, NARROW = 512 };
    int64_t row = product_stride(a, r->c, &r->run[0]), k = product_stride(a, r->c, &r->k), sets = 1;
    if (r->pairs || !a->direct || a->rounds != DT_F32 || row <= 1 || row > INT32_MAX || k != 1 ||
        r->k.count < LINE_FLOATS || r->run[1].count > NARROW || r->block[1] % LANES != 0)
        return;
    while (sets * row % SETS_FLOATS != 0 && sets < LINE_FLOATS) {
        sets++;
    }
    Product even = *r;
    if (!product_even(p, &even) || even.block[0] > WAYS * sets)
        return;
    Lie b = product_lie(p, r, 1);
    if (product_lies_right(r, &b, 1) && !product_lies_right(&even, &b, 1)) /* more panels of rows, and B were packed */
        return;
    *r = even;
    r->apart = true;
}

/* B lies along k and A is much smaller (a weight, in the gradient of a small batch): with roles changed B is read where
 * it lies, row by row, and only A is packed.  Tiles then stand across the result, which costs less than turning B. */
bool product_around(Planner *p, const Product *r, Product *out) {
    enum { LARGER = 4 };
    Lie b = product_lie(p, r, 1);
    if (r->lists.n > 0 || r->outer.n > 0 || r->pairs || !b.direct || b.rounds != DT_F32 ||
        product_stride(&b, r->c, &r->k) != 1 || product_stride(&b, r->c, &r->run[1]) <= 1 ||
        r->run[0].count % (2 * LANES) != 0 || r->run[1].count < LARGER * r->run[0].count)
        return false;
    *out = *r;
    for (int i = 0; i < 2; i++) {
        out->role[i] = r->role[1 - i], out->operand[i] = r->operand[1 - i], out->run[i] = r->run[1 - i];
    }
    for (uint32_t d = 0; d < r->c->n_dims; d++) {
        uint8_t in = r->in[d];
        out->in[d] = (uint8_t)((in & IN_C) | (in & IN_A ? IN_B : 0) | (in & IN_B ? IN_A : 0));
    }
    out->apart = false;
    choose_tile(out, p->entry->options);
    product_apart(p, out, &b);
    return out->apart;
}
