/* One kernel for the whole optimiser.  Updates of different parameters are the same computation over other
 * buffers; when each buffer of one lies right behind the buffer of the one before (memory.c arranges that), a
 * single flat kernel over the joined buffers does them all.  Elements between two buffers are padding nobody
 * reads. */
#include "fuse_parts.h"
#include <string.h>

static bool is_full(const Kernel *k, uint32_t buf) { /* runs along the one axis */
    for (uint32_t i = 0; i < k->accesses.n; i++) {
        const KAccess *a = &k->accesses.at[i];
        if (a->buf == buf && (a->coef[0] != 1 || a->base != 0 || a->index != 0))
            return false;
    }
    return k->bufs.at[buf].role != KBUF_HEALTH && k->bufs.at[buf].count == k->axes.at[0].extent;
}

static bool is_flat(const Unit *u) {
    const Kernel *k = u->kernel;
    if (u->kind != UNIT_KERNEL || k->axes.n != 1 || k->stages.n != 1 || k->stages.at[0].kind != STAGE_MAP)
        return false;
    for (uint32_t i = 0; i < k->insts.n; i++) {
        if (k->insts.at[i].kop == K_AXIS || k->insts.at[i].kop == K_WORD)
            return false;
    }
    return true;
}

static bool same_insts(const Kernel *a, const Kernel *b) {
    bool same = a->insts.n == b->insts.n && a->accesses.n == b->accesses.n && a->bufs.n == b->bufs.n;
    for (uint32_t i = 0; same && i < a->insts.n; i++) {
        const KInst *x = &a->insts.at[i], *y = &b->insts.at[i];
        same = x->kop == y->kop && x->op == y->op && x->type == y->type &&
               memcmp(x->in, y->in, sizeof x->in) == 0 && memcmp(&x->imm, &y->imm, sizeof x->imm) == 0 &&
               x->access == y->access;
    }
    for (uint32_t i = 0; same && i < a->accesses.n; i++) {
        const KAccess *x = &a->accesses.at[i], *y = &b->accesses.at[i];
        same = x->buf == y->buf && x->base == y->base && x->index == y->index && x->coef[0] == y->coef[0];
    }
    return same;
}

/* May y be appended to the run x .. end? */
static bool follows(const Entry *e, const Unit *end, const Unit *y) {
    const Kernel *a = end->kernel, *b = y->kernel;
    if (!same_insts(a, b))
        return false;
    for (uint32_t i = 0; i < a->bufs.n; i++) {
        uint32_t from = end->cells.at[i], to = y->cells.at[i];
        if (from == to && !is_full(a, i) && !is_full(b, i))
            continue;
        if (!is_full(a, i) || !is_full(b, i) || from == to || dtype_bytes(a->bufs.at[i].dtype) != 4)
            return false;
        uint32_t p = e->cells.at[from].buffer - 1, q = e->cells.at[to].buffer - 1;
        const PlanBuffer *pb = &e->planned->plan->buffers.at[p];
        uint64_t behind =
            e->planned->memory->offset.at[p] + (pb->bytes + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
        if (pb->region != e->planned->plan->buffers.at[q].region ||
            behind != e->planned->memory->offset.at[q] || a->bufs.at[i].dtype != b->bufs.at[i].dtype ||
            a->bufs.at[i].role != b->bufs.at[i].role)
            return false;
    }
    return true;
}

static void join(Entry *e, Unit *first, Unit *last) {
    Kernel *k = first->kernel;
    int64_t count = 0;
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        if (!is_full(k, i))
            continue;
        Cell c = e->cells.at[first->cells.at[i]];
        c.buffer = memory_span(e, c.buffer - 1, e->cells.at[last->cells.at[i]].buffer - 1, &count);
        c.name = e->planned->plan->buffers.at[c.buffer - 1].name;
        c.count = count;
        vec_push(e->arena, &e->cells, c);
        first->cells.at[i] = e->cells.n - 1;
    }
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        if (k->bufs.at[i].count == k->axes.at[0].extent && k->bufs.at[i].role != KBUF_HEALTH)
            k->bufs.at[i].count = count;
    }
    k->axes.at[0].extent = count;
}

/* Where the parameter lies that it updates; updates of none go last. */
static uint64_t param_offset(const Entry *e, const Unit *u) {
    for (uint32_t i = 0; i < u->cells.n; i++) {
        const Cell *c = &e->cells.at[u->cells.at[i]];
        if (u->kernel->bufs.at[i].role == KBUF_INOUT && c->region == REGION_PARAM)
            return e->planned->memory->offset.at[c->buffer - 1];
    }
    return UINT64_MAX;
}

static void sort_by_param(const Entry *e, Units *commits) {
    for (uint32_t i = 1; i < commits->n; i++) {
        Unit *u = commits->at[i];
        uint32_t k = i;
        for (; k > 0 && param_offset(e, commits->at[k - 1]) > param_offset(e, u); k--) {
            commits->at[k] = commits->at[k - 1];
        }
        commits->at[k] = u;
    }
}

/* Called only when no commit reads what another one writes: their order is free. */
void flatten_updates(Entry *e, Units *commits) {
    sort_by_param(e, commits);
    for (uint32_t i = 0; i < commits->n; i++) {
        Unit *first = commits->at[i], *last = first;
        for (bool grown = is_flat(first); grown;) {
            grown = false;
            for (uint32_t j = i + 1; j < commits->n; j++) {
                Unit *y = commits->at[j];
                if (!is_flat(y) || !follows(e, last, y))
                    continue;
                for (uint32_t s = 0; s < y->kernel->spans.n; s++) {
                    vec_push(e->arena, &first->kernel->spans, y->kernel->spans.at[s]);
                }
                first->nodes += y->nodes;
                memmove(&commits->at[j], &commits->at[j + 1], sizeof *commits->at * (commits->n - j - 1));
                commits->n--;
                last = y;
                grown = true;
                break;
            }
        }
        if (last != first)
            join(e, first, last);
    }
}
