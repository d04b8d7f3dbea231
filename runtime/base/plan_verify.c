/* The invariants of plans: every id in range, every buffer inside its region and every region inside the
 * arena, bodies closed inside their entry, arguments inside their buffers for every iteration.  Launches
 * of one wave run together, so none may write where another reads or writes; an argument counts from its
 * offset to the end of its buffer (the plan does not know how much of it a kernel touches).  The health
 * word is the exception: it is only ever OR-ed into.  Persistent buffers are written behind COMMIT only. */
#include "plan_text.h"

enum { MAX_DEPTH = 8 };
typedef struct {
    const Plan *p;
    Error *error;
    const PlanEntry *entry;
    int64_t trips;                 /* of the innermost loop around the step, 1 outside */
    bool committed;
} Verifier;

static bool is_persistent(Region r) {
    return r == REGION_PARAM || r == REGION_STATE || r == REGION_OPTIM || r == REGION_METRIC ||
           r == REGION_PACKED;
}

#define NEED(condition, ...)                                 \
    do {                                                     \
        if (!(condition)) {                                  \
            fail(v->error, GR_PROGRAM, "plan: " __VA_ARGS__);\
            return false;                                    \
        }                                                    \
    } while (0)

static bool is_range(uint32_t first, uint32_t n, uint32_t of) { return first <= of && n <= of - first; }

/* ---- memory ---- */
static bool check_regions(Verifier *v) {
    uint64_t end = 0;
    for (uint32_t r = 0; r < REGION_COUNT; r++)
        NEED(v->p->region_bytes[r] < (uint64_t)1 << 56, "region %s is %llu bytes", region_names[r],
             (unsigned long long)v->p->region_bytes[r]);
    end = plan_region_start(v->p, REGION_COUNT) + ARENA_SLACK;
    NEED(v->p->arena_bytes >= end, "the arena is %llu bytes, its regions and slack take %llu",
         (unsigned long long)v->p->arena_bytes, (unsigned long long)end);
    return true;
}

/* Bytes of the elements; false when that is no number. */
static bool shape_bytes(const PlanBuffer *b, uint64_t *bytes) {
    *bytes = dtype_bytes(b->dtype);
    bool empty = false;
    for (uint32_t i = 0; i < b->shape.rank; i++) {
        if (b->shape.dim[i] < 0)
            return false;
        empty = empty || b->shape.dim[i] == 0;
        if (b->shape.dim[i] > 0 && __builtin_mul_overflow(*bytes, (uint64_t)b->shape.dim[i], bytes))
            return false;
    }
    *bytes = empty ? 0 : *bytes;
    return true;
}

static bool check_buffer(Verifier *v, const PlanBuffer *b) {
    uint64_t needed;
    NEED((uint32_t)b->region < REGION_COUNT && (uint32_t)b->dtype < DT_COUNT && b->shape.rank <= MAX_RANK,
         "buffer %%%.*s has no region, type or shape", FSTR(b->name));
    NEED(shape_bytes(b, &needed) && b->bytes >= needed, "buffer %%%.*s has %llu bytes, too few for its shape",
         FSTR(b->name),
         (unsigned long long)b->bytes);
    uint64_t start = plan_region_start(v->p, b->region), size = v->p->region_bytes[b->region];
    NEED(b->offset >= start && b->bytes <= size && b->offset - start <= size - b->bytes,
         "buffer %%%.*s at %llu does not lie in region %s", FSTR(b->name), (unsigned long long)b->offset,
         region_names[b->region]);
    NEED(b->offset % BUFFER_ALIGN == 0, "buffer %%%.*s at %llu does not start on a line", FSTR(b->name),
         (unsigned long long)b->offset);
    return true;
}

static bool check_tables(Verifier *v) {
    const Plan *p = v->p;
    for (uint32_t i = 0; i < p->buffers.n; i++) {
        if (!check_buffer(v, &p->buffers.at[i]))
            return false;
    }
    for (uint32_t i = 0; i < p->vars.n; i++) {
        const PlanVar *var = &p->vars.at[i];
        NEED(var->buffer < p->buffers.n && var->of <= p->vars.n,
             "variable %.*s has no buffer, or none it belongs to",
             FSTR(var->path));
        NEED(is_persistent(p->buffers.at[var->buffer].region),
             "variable %.*s lies in region %s, which does not last",
             FSTR(var->path), region_names[p->buffers.at[var->buffer].region]);
    }
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        const PlanKernel *k = &p->kernels.at[i];
        NEED(is_range(k->first_micro, k->n_micros, p->micros.n),
             "kernel @%.*s uses microkernels that are not there",
             FSTR(k->name));
        NEED(k->scratch_bytes <= p->scratch_bytes,
             "kernel @%.*s needs %llu bytes of scratch, the plan has %llu",
             FSTR(k->name), (unsigned long long)k->scratch_bytes, (unsigned long long)p->scratch_bytes);
    }
    for (uint32_t i = 0; i < p->bindings.n; i++)
        NEED(p->bindings.at[i].buffer < p->buffers.n, "%.*s is bound to no buffer",
             FSTR(p->bindings.at[i].name));
    return true;
}

static bool check_uniforms(Verifier *v) {
    const Uniforms *u = v->p->uniforms;
    for (uint32_t i = 0; i < u->insts.n; i++) {
        const UInst *in = &u->insts.at[i];
        NEED(in->op < UOP_COUNT && (in->op != U_INPUT || in->input < u->inputs.n),
             "uniform u%u is no operation", i);
        for (int k = 0; k < 3; k++)
            NEED(in->in[k] < i || in->in[k] == 0, "uniform u%u uses u%u, which comes later", i, in->in[k]);
    }
    for (uint32_t i = 0; i < u->outputs.n; i++)
        NEED(u->outputs.at[i].inst < u->insts.n, "uniform output %.*s has no value",
             FSTR(u->outputs.at[i].name));
    return true;
}

/* ---- steps ---- */
static bool check_arg(Verifier *v, const PlanArg *a) {
    NEED(a->buffer < v->p->buffers.n, "an argument in %.*s is no buffer", FSTR(v->entry->name));
    const PlanBuffer *b = &v->p->buffers.at[a->buffer];
    int64_t way, last;
    bool fits = !__builtin_mul_overflow(a->loop_stride, v->trips > 0 ? v->trips - 1 : 0, &way) &&
                !__builtin_add_overflow(a->offset, way, &last);
    NEED(fits && a->offset >= 0 && last >= 0 && (uint64_t)a->offset <= b->bytes && (uint64_t)last <= b->bytes,
         "an argument in %.*s leaves buffer %%%.*s", FSTR(v->entry->name), FSTR(b->name));
    NEED(!a->writes || v->committed || !is_persistent(b->region),
         "%.*s writes %%%.*s of region %s before its commit",
         FSTR(v->entry->name), FSTR(b->name), region_names[b->region]);
    return true;
}

/* Where an argument may reach, over all iterations. */
static void reach(const Verifier *v, const PlanArg *a, uint64_t *from, uint64_t *to) {
    const PlanBuffer *b = &v->p->buffers.at[a->buffer];
    int64_t last = a->offset + a->loop_stride * (v->trips > 0 ? v->trips - 1 : 0);
    *from = b->offset + (uint64_t)(last < a->offset ? last : a->offset);
    *to = b->offset + b->bytes;
}

static bool check_pair(Verifier *v, const PlanStep *x, const PlanStep *y) {
    for (uint32_t i = 0; i < x->n_args; i++) {
        for (uint32_t j = 0; j < y->n_args; j++) {
            const PlanArg *a = &v->p->args.at[x->first_arg + i], *b = &v->p->args.at[y->first_arg + j];
            uint64_t a_from, a_to, b_from, b_to;
            if ((!a->writes && !b->writes) || v->p->buffers.at[a->buffer].region == REGION_HEALTH)
                continue;
            reach(v, a, &a_from, &a_to);
            reach(v, b, &b_from, &b_to);
            NEED(a_from >= b_to || b_from >= a_to,
                 "in %.*s wave %u, @%.*s and @%.*s meet in %%%.*s and %%%.*s",
                 FSTR(v->entry->name), x->wave, FSTR(v->p->kernels.at[x->kernel].name),
                 FSTR(v->p->kernels.at[y->kernel].name), FSTR(v->p->buffers.at[a->buffer].name),
                 FSTR(v->p->buffers.at[b->buffer].name));
        }
    }
    return true;
}

/* Inputs first; what all calls take or give of an argument lies inside its buffer, in every iteration. */
static bool check_extern(Verifier *v, const PlanStep *s) {
    NEED(s->external < v->p->externs.n, "a step of %.*s calls no function", FSTR(v->entry->name));
    const PlanExtern *x = &v->p->externs.at[s->external];
    uint32_t n = v->p->numbers.n;
    NEED(x->calls >= 0 && is_range(x->first_number, x->n_extents, n) &&
         is_range(x->first_number + x->n_extents, s->n_args, n),
         "the call of %.*s in %.*s has no extents or counts", FSTR(x->symbol), FSTR(v->entry->name));
    for (uint32_t i = 0; i < s->n_args; i++) {
        const PlanArg *a = &v->p->args.at[s->first_arg + i];
        NEED(i == 0 || a->writes || !a[-1].writes, "an input of %.*s in %.*s stands behind its outputs",
             FSTR(x->symbol), FSTR(v->entry->name));
        const PlanBuffer *b = &v->p->buffers.at[a->buffer];
        int64_t way = a->loop_stride * (v->trips > 0 ? v->trips - 1 : 0), bytes;
        uint64_t last = (uint64_t)(way > 0 ? a->offset + way : a->offset);
        int64_t count = v->p->numbers.at[x->first_number + x->n_extents + i];
        NEED(count >= 0 && !__builtin_mul_overflow(count, x->calls, &bytes) &&
             !__builtin_mul_overflow(bytes, (int64_t)dtype_bytes(b->dtype), &bytes) &&
             (uint64_t)bytes <= b->bytes - last,
             "%.*s in %.*s leaves buffer %%%.*s", FSTR(x->symbol), FSTR(v->entry->name), FSTR(b->name));
    }
    return true;
}

static bool check_step(Verifier *v, const PlanStep *s, bool inside) {
    NEED(is_range(s->first_arg, s->n_args, v->p->args.n) &&
         is_range(s->first_span, s->n_spans, v->p->spans.n),
         "a step of %.*s has no arguments or places", FSTR(v->entry->name));
    for (uint32_t i = 0; i < s->n_args; i++) {
        if (!check_arg(v, &v->p->args.at[s->first_arg + i]))
            return false;
    }
    switch (s->kind) {
    case STEP_LAUNCH:
        NEED(s->kernel < v->p->kernels.n && s->points >= 0 && s->grain >= 1,
             "%.*s launches no kernel, or no points",
             FSTR(v->entry->name));
        return true;
    case STEP_BLAS:
        NEED(s->n_args == 3 && s->blas.m >= 0 && s->blas.n >= 0 && s->blas.k >= 0,
             "a product in %.*s is not of three buffers",
             FSTR(v->entry->name));
        return true;
    case STEP_EXTERN: return check_extern(v, s);
    case STEP_COMMIT:
        NEED(!v->committed && !inside, "%.*s commits twice, or inside another step", FSTR(v->entry->name));
        v->committed = true;
        return true;
    case STEP_UNSURE:
        NEED(!v->committed && !inside, "%.*s is unsure after its commit, or inside another step",
             FSTR(v->entry->name));
        return true;
    case STEP_LOOP:
        NEED(s->trips >= 0, "a loop in %.*s runs %lld times", FSTR(v->entry->name), (long long)s->trips);
        return true;
    }
    NEED(false, "a step of %.*s is of no kind", FSTR(v->entry->name));
}

static bool check_steps(Verifier *v, uint32_t first, uint32_t n, int depth) {
    NEED(depth <= MAX_DEPTH, "steps of %.*s nest too deep", FSTR(v->entry->name));
    const PlanStep *steps = v->p->steps.at;
    uint32_t wave = first;         /* the first launch of the wave */
    for (uint32_t i = first; i < first + n; i++) {
        const PlanStep *s = &steps[i];
        if (!check_step(v, s, depth > 0))
            return false;
        if (s->kind == STEP_LOOP || s->kind == STEP_UNSURE) {
            NEED(s->count <= first + n - i - 1, "the body of a step of %.*s has more steps than there are",
                 FSTR(v->entry->name));
            int64_t outside = v->trips;
            v->trips = s->kind == STEP_LOOP ? s->trips : outside;
            if (!check_steps(v, i + 1, s->count, depth + 1))
                return false;
            v->trips = outside;
            i += s->count;
        }
        if (s->kind != STEP_LAUNCH || steps[wave].kind != STEP_LAUNCH || steps[wave].wave != s->wave)
            wave = s->kind == STEP_LAUNCH ? i : i + 1;
        for (uint32_t j = wave; j < i; j++) {
            if (!check_pair(v, &steps[j], s))
                return false;
        }
    }
    return true;
}

static bool check_entry(Verifier *v, const PlanEntry *e) {
    v->entry = e;
    v->trips = 1;
    v->committed = false;
    NEED(is_range(e->first_column, e->n_columns, v->p->bindings.n) && is_range(e->first_output, e->n_outputs,
         v->p->bindings.n), "columns or outputs of %.*s are not there", FSTR(e->name));
    NEED(is_range(e->first_step, e->n_steps, v->p->steps.n) && e->rows >= 0, "steps of %.*s are not there",
         FSTR(e->name));
    return check_steps(v, e->first_step, e->n_steps, 0);
}

bool plan_verify(const Plan *p, Error *e) {
    Verifier v = {.p = p, .error = e};
    if (!check_regions(&v) || !check_tables(&v) || !check_uniforms(&v))
        return false;
    for (uint32_t i = 0; i < p->entries.n; i++) {
        if (!check_entry(&v, &p->entries.at[i]))
            return false;
    }
    return true;
}
