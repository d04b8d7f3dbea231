#define _GNU_SOURCE
/* Where everything lies in the one arena.  Persistent variables have places of their own, parameters by size and path;
 * the states of optimisers and the gradients mirror the parameters, each at its parameter's offset, so that
 * what updates neighbours can be one kernel.  Values of a step share the region `act`: in some order, the best of
 * a few, each takes the lowest place that is free during its life.  Entry points share that region, `out` and `batch`,
 * since they never run at once: a smaller last batch takes no memory of its own. */
#include "fuse_parts.h"
#include <stdlib.h>

static uint64_t aligned(uint64_t x) { return (x + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN; }

static uint64_t bytes_of(DType t, int64_t count) { return (uint64_t)count * dtype_bytes(t); }

/* 1 + id; its end moves the end of the region. */
static uint32_t add_buffer(Arena *a, Planned *p, Str name, Region r, DType t, Shape s, uint64_t bytes,
                           uint64_t offset) {
    Memory *m = p->memory;
    vec_push(a, &p->plan->buffers, (PlanBuffer){name, r, t, s, 0, bytes});
    vec_push(a, &m->offset, offset);
    if (aligned(offset + bytes) > m->region[r])
        m->region[r] = aligned(offset + bytes);
    return p->plan->buffers.n;
}

/* ---- variables ---- */

/* Small ones first: updates of large ones may be folded into products (fold.c), then what is left lies together, and no
 * gradients have to lie behind it. */
static int by_size_and_path(const void *a, const void *b, void *module) {
    const Module *m = module;
    const Var *x = &m->vars.at[*(const uint32_t *)a], *y = &m->vars.at[*(const uint32_t *)b];
    int64_t n = shape_count(x->shape), k = shape_count(y->shape);
    return n != k ? (n < k ? -1 : 1) : str_compare(x->path, y->path);
}

/* How many states of the same parameter come before it. */
static uint32_t slot_of(const Module *m, uint32_t var) {
    uint32_t slot = 0;
    for (uint32_t i = 0; i < var; i++) {
        slot += m->vars.at[i].kind == VAR_OPTIM && m->vars.at[i].of == m->vars.at[var].of;
    }
    return slot;
}

static uint64_t place_params(Arena *a, const Module *m, uint64_t *offset) {
    uint32_t *order = PUSH(a, uint32_t, m->vars.n + 1), n = 0;
    uint64_t end = 0;
    for (uint32_t i = 0; i < m->vars.n; i++) {
        if (m->vars.at[i].kind == VAR_PARAM)
            order[n++] = i;
    }
    qsort_r(order, n, sizeof *order, by_size_and_path, (void *)m);
    for (uint32_t i = 0; i < n; i++) {
        const Var *v = &m->vars.at[order[i]];
        offset[order[i]] = end;
        end += aligned(bytes_of(v->dtype, shape_count(v->shape)));
    }
    return end;
}

static bool mirrors_param(const Module *m, const Var *v) {
    return v->kind == VAR_OPTIM && v->of != 0 && shape_eq(v->shape, m->vars.at[v->of - 1].shape) &&
           v->dtype == m->vars.at[v->of - 1].dtype;
}

static void place_vars(Arena *a, const Module *m, uint64_t *offset) {
    uint64_t params = place_params(a, m, offset), end[VAR_METRIC + 1] = {0};
    for (uint32_t i = 0; i < m->vars.n; i++) {
        const Var *v = &m->vars.at[i];
        if (!mirrors_param(m, v))
            continue;
        offset[i] = slot_of(m, i) * params + offset[v->of - 1];
        uint64_t after = (slot_of(m, i) + 1) * params;
        end[VAR_OPTIM] = after > end[VAR_OPTIM] ? after : end[VAR_OPTIM];
    }
    for (uint32_t i = 0; i < m->vars.n; i++) {
        const Var *v = &m->vars.at[i];
        if (v->kind == VAR_PARAM || mirrors_param(m, v))
            continue;
        offset[i] = end[v->kind];
        end[v->kind] += aligned(bytes_of(v->dtype, shape_count(v->shape)));
    }
}

void memory_begin(Arena *a, const Module *m, Planned *p) {
    static const Region region_of[] = {[VAR_PARAM] = REGION_PARAM,
                                       [VAR_STATE] = REGION_STATE,
                                       [VAR_OPTIM] = REGION_OPTIM,
                                       [VAR_METRIC] = REGION_METRIC};
    static const char *const kinds[] = {
        [VAR_PARAM] = "param", [VAR_STATE] = "state", [VAR_OPTIM] = "optim", [VAR_METRIC] = "metric"};
    p->memory = PUSH(a, Memory, 1);
    uint64_t *offset = PUSH(a, uint64_t, m->vars.n + 1);
    place_vars(a, m, offset);
    for (uint32_t i = 0; i < m->vars.n; i++) {
        const Var *v = &m->vars.at[i];
        uint32_t buffer = add_buffer(a, p, v->path, region_of[v->kind], v->dtype, v->shape,
                                     bytes_of(v->dtype, shape_count(v->shape)), offset[i]);
        Str model = v->model ? intern_str(m->names, v->model) : (Str){"", 0};
        vec_push(a, &p->plan->vars,
                 (PlanVar){v->path, model, str_of(kinds[v->kind]), buffer - 1, v->of, v->frozen, v->span});
    }
    add_buffer(a, p, STR("health"), REGION_HEALTH, DT_I32, (Shape){0}, sizeof(int32_t), 0);
}

/* ---- the cells of an entry ---- */
static uint32_t find_buffer(const Planned *p, const Cell *c) {
    for (uint32_t i = 0; i < p->plan->buffers.n; i++) {
        const PlanBuffer *b = &p->plan->buffers.at[i];
        if (b->region == c->region && b->dtype == c->dtype && str_eq(b->name, c->name) &&
            shape_eq(b->shape, c->shape))
            return i + 1;
    }
    return 0;
}

static uint32_t buffer_of(Entry *e, const Cell *c, uint64_t offset) {
    return add_buffer(e->arena, e->planned, c->name, c->region, c->dtype, c->shape,
                      bytes_of(c->dtype, c->count), offset);
}

uint64_t cell_bytes(const Cell *c) { return aligned(bytes_of(c->dtype, c->count) + 1); }

/* ---- values of a step: which lies where ---- */
typedef struct {
    uint64_t weight;
    uint32_t cell;
} Turn;

static int heavier_first(const void *a, const void *b) {
    const Turn *x = a, *y = b;
    return x->weight != y->weight ? (x->weight < y->weight ? 1 : -1) : x->cell < y->cell ? -1 : 1;
}

/* Orders in which cells take their places; none is best for all programs. */
typedef enum { BY_BYTES, BY_BYTES_AND_LIFE, BY_BIRTH, ORDERS } PlaceOrder;

static uint64_t weight_of(const Cell *c, PlaceOrder order) {
    switch (order) {
    case BY_BYTES: return cell_bytes(c);
    case BY_BYTES_AND_LIFE: return cell_bytes(c) * (1 + c->last - c->first);
    case BY_BIRTH: return UINT64_MAX - c->first;
    case ORDERS: break;
    }
    return 0;
}

/* The lowest offset at which no placed cell of an overlapping life lies; `placed` is sorted by offset. */
typedef struct {
    uint64_t from, to;
    uint32_t cell;
} Taken;

static uint64_t lowest_free(const Entry *e, const Taken *placed, uint32_t n, const Cell *c) {
    uint64_t at = 0, need = cell_bytes(c);
    for (uint32_t i = 0; i < n; i++) {
        const Cell *other = &e->cells.at[placed[i].cell];
        if (other->last < c->first || c->last < other->first)
            continue;
        if (placed[i].from >= at + need)
            break;
        at = placed[i].to > at ? placed[i].to : at;
    }
    return at;
}

static void order_by(const Entry *e, PlaceOrder order, Turn *turns, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        turns[i].weight = weight_of(&e->cells.at[turns[i].cell], order);
    }
    qsort(turns, n, sizeof *turns, heavier_first);
}

/* Offsets by cell, for cells taken in one order; gives the end of the last. */
static uint64_t place_in_order(Entry *e, PlaceOrder order, Turn *turns, uint32_t n, Taken *taken, uint64_t *offset) {
    uint64_t end = 0;
    order_by(e, order, turns, n);
    for (uint32_t i = 0; i < n; i++) {
        const Cell *c = &e->cells.at[turns[i].cell];
        uint64_t at = lowest_free(e, taken, i, c);
        uint32_t k = i;
        for (; k > 0 && taken[k - 1].from > at; k--) {
            taken[k] = taken[k - 1];
        }
        taken[k] = (Taken){at, at + cell_bytes(c), turns[i].cell};
        offset[turns[i].cell] = at;
        end = taken[k].to > end ? taken[k].to : end;
    }
    return end;
}

static void place_act(Entry *e) {
    Turn *turns = PUSH(e->arena, Turn, e->cells.n);
    Taken *taken = PUSH(e->arena, Taken, e->cells.n);
    uint64_t *offset[ORDERS], least = UINT64_MAX;
    uint32_t n = 0, best = 0;
    for (uint32_t i = 1; i < e->cells.n; i++) {
        const Cell *c = &e->cells.at[i];
        if (c->region == REGION_ACT && c->kind != CELL_STEP && c->buffer == 0 && c->last > 0)
            turns[n++].cell = i;
    }
    for (uint32_t order = 0; order < ORDERS; order++) {
        offset[order] = PUSH(e->arena, uint64_t, e->cells.n);
        uint64_t end = place_in_order(e, order, turns, n, taken, offset[order]);
        best = end < least ? order : best;
        least = end < least ? end : least;
    }
    order_by(e, BY_BYTES, turns, n);
    for (uint32_t i = 0; i < n; i++) {
        Cell *c = &e->cells.at[turns[i].cell];
        c->buffer = buffer_of(e, c, offset[best][turns[i].cell]);
    }
}

void memory_entry(Entry *e) {
    Planned *p = e->planned;
    uint64_t out = 0, batch = 0;
    for (uint32_t i = 1; i < e->cells.n; i++) {
        Cell *c = &e->cells.at[i];
        if (c->kind == CELL_VAR) {
            c->buffer = 1 + p->plan->vars.at[c->var].buffer;
        } else if (c->kind == CELL_HEALTH) {
            c->buffer = find_buffer(p, c);
        } else if (c->kind == CELL_COLUMN) {
            c->buffer = buffer_of(e, c, batch);
            batch += cell_bytes(c);
        } else if (c->region == REGION_OUT && c->kind != CELL_STEP) {
            c->buffer = buffer_of(e, c, out);
            out += cell_bytes(c);
        } else if (c->region == REGION_GRAD && c->kind != CELL_STEP) {
            c->buffer = buffer_of(e, c, p->memory->offset.at[p->plan->vars.at[c->mirrors - 1].buffer]);
        }
    }
    place_act(e);
    for (uint32_t i = 1; i < e->cells.n; i++) {
        const Cell *c = &e->cells.at[i];
        if (c->graph != NULL && c->buffer != 0)
            vec_push(e->arena, &p->held,
                     (Held){c->graph, c->made_of, c->kind == CELL_PACKED, c->buffer - 1, p->plan->entries.n,
                            c->first, c->last});
    }
}

/* A buffer that covers two of one region and all between them. */
uint32_t memory_span(Entry *e, uint32_t first, uint32_t last, int64_t *count) {
    const PlanBuffer *a = &e->planned->plan->buffers.at[first], *b = &e->planned->plan->buffers.at[last];
    uint64_t from = e->planned->memory->offset.at[first], to = e->planned->memory->offset.at[last] + b->bytes;
    *count = (int64_t)((to - from) / dtype_bytes(a->dtype));
    Str name = str_format(e->arena, "%.*s.to.%.*s", FSTR(a->name), FSTR(b->name));
    return add_buffer(e->arena, e->planned, name, a->region, a->dtype, shape_of(1, count), to - from, from);
}

void memory_place(Planned *p) {
    for (uint32_t r = 0; r < REGION_COUNT; r++) {
        p->plan->region_bytes[r] = p->memory->region[r];
    }
    for (uint32_t i = 0; i < p->plan->buffers.n; i++) {
        PlanBuffer *b = &p->plan->buffers.at[i];
        b->offset = plan_region_start(p->plan, b->region) + p->memory->offset.at[i];
    }
    p->plan->arena_bytes = plan_region_start(p->plan, REGION_COUNT) + ARENA_SLACK;
}
