/* Prints a plan as text (grammar: docs/plan.md); plan_parse reads every field back.  Steps stand inside
 * the entry that runs them, loops as blocks. */
#include "plan_text.h"
#include "text.h"

typedef struct { const Plan *p; const SourceSet *sources; Buf *out; Str *buffers, *kernels; } Printer;

static void put_name(Printer *pr, const char *before, Str name) {
    buf_put(pr->out, str_of(before));
    buf_name(pr->out, name);
}

static void put_buffer(Printer *pr, const char *before, uint32_t id) {
    put_name(pr, before, pr->buffers[id]);
}

static unsigned long long wide(uint64_t x) { return x; }

static void put_memory(Printer *pr) {
    const Plan *p = pr->p;
    buf_printf(pr->out, "plan semantics %d arena %llu scratch %llu\n", SEMANTICS_VERSION,
               wide(p->arena_bytes),
               wide(p->scratch_bytes));
    for (uint32_t r = 0; r < REGION_COUNT; r++) {
        if (p->region_bytes[r] != 0)
            buf_printf(pr->out, "region %s %llu\n", region_names[r], wide(p->region_bytes[r]));
    }
    for (uint32_t i = 0; i < p->buffers.n; i++) {
        const PlanBuffer *b = &p->buffers.at[i];
        put_buffer(pr, "buffer %", i);
        buf_printf(pr->out, " %s %s", region_names[b->region], dtype_name(b->dtype));
        buf_shape(pr->out, b->shape);
        buf_printf(pr->out, " at %llu bytes %llu\n", wide(b->offset), wide(b->bytes));
    }
}

static void put_var(Printer *pr, const PlanVar *v) {
    put_name(pr, "var ", v->path);
    put_name(pr, " model ", v->model);
    put_name(pr, " kind ", v->kind);
    put_buffer(pr, " %", v->buffer);
    if (v->of != 0)
        buf_printf(pr->out, " of %u", v->of - 1);
    if (v->frozen)
        buf_put(pr->out, STR(" frozen"));
    buf_spans(pr->out, pr->sources, &v->span, 1);
    buf_char(pr->out, '\n');
}

static void put_code(Printer *pr) {
    const Plan *p = pr->p;
    for (uint32_t i = 0; i < p->micros.n; i++) {
        put_name(pr, "micro ", p->micros.at[i].symbol);
        buf_printf(pr->out, " key 0x%016llx\n", wide(p->micros.at[i].key));
    }
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        const PlanKernel *k = &p->kernels.at[i];
        put_name(pr, "kernel @", pr->kernels[i]);
        buf_printf(pr->out, " key 0x%016llx scratch %llu", wide(k->key), wide(k->scratch_bytes));
        if (k->n_micros != 0)
            buf_printf(pr->out, " micros %u+%u", k->first_micro, k->n_micros);
        buf_char(pr->out, '\n');
    }
}

/* ---- steps ---- */
static void put_args(Printer *pr, const PlanStep *s) {
    buf_put(pr->out, STR(" ("));
    for (uint32_t i = 0; i < s->n_args; i++) {
        const PlanArg *a = &pr->p->args.at[s->first_arg + i];
        put_buffer(pr, a->writes ? "out %" : "%", a->buffer);
        if (a->offset != 0)
            buf_printf(pr->out, "+%lld", (long long)a->offset);
        if (a->loop_stride != 0)
            buf_printf(pr->out, " step %lld", (long long)a->loop_stride);
        if (i + 1 < s->n_args)
            buf_put(pr->out, STR(", "));
    }
    buf_char(pr->out, ')');
}

static void put_figures(Printer *pr, const PlanStep *s) {
    buf_printf(pr->out, " wave %u cost ", s->wave);
    buf_real(pr->out, s->cost_ns);
    buf_printf(pr->out, " flops %llu bytes %llu", wide(s->flops), wide(s->bytes));
    buf_spans(pr->out, pr->sources, pr->p->spans.at + s->first_span, s->n_spans);
}

static void put_blas(Printer *pr, const PlanBlas *b) {
    buf_printf(pr->out, "blas %c %c m %lld n %lld k %lld ld %lld %lld %lld", b->trans_a ? 't' : 'n',
               b->trans_b ? 't' : 'n',
               (long long)b->m, (long long)b->n, (long long)b->k, (long long)b->lda, (long long)b->ldb,
               (long long)b->ldc);
}

static void put_numbers(Printer *pr, const char *before, uint32_t first, uint32_t n) {
    buf_printf(pr->out, " %s [", before);
    for (uint32_t i = 0; i < n; i++)
        buf_printf(pr->out, "%s%lld", i == 0 ? "" : ",", (long long)pr->p->numbers.at[first + i]);
    buf_char(pr->out, ']');
}

static void put_extern(Printer *pr, const PlanStep *s) {
    const PlanExtern *x = &pr->p->externs.at[s->external];
    put_name(pr, "extern ", x->symbol);
    put_name(pr, " of ", x->library);
    buf_printf(pr->out, " calls %lld", (long long)x->calls);
    put_numbers(pr, "extents", x->first_number, x->n_extents);
    put_numbers(pr, "counts", x->first_number + x->n_extents, s->n_args);
}

static void put_steps(Printer *pr, uint32_t first, uint32_t n, int depth);

/* Returns how many steps it printed: one with a body takes that with it. */
static uint32_t put_step(Printer *pr, uint32_t at, int depth) {
    const PlanStep *s = &pr->p->steps.at[at];
    buf_printf(pr->out, "%*s", 2 * depth, "");
    switch (s->kind) {
    case STEP_LAUNCH:
        put_name(pr, "launch @", pr->kernels[s->kernel]);
        buf_printf(pr->out, " points %lld grain %lld", (long long)s->points, (long long)s->grain);
        put_args(pr, s);
        put_figures(pr, s);
        break;
    case STEP_BLAS:
        put_blas(pr, &s->blas);
        put_args(pr, s);
        put_figures(pr, s);
        break;
    case STEP_EXTERN:
        put_extern(pr, s);
        put_args(pr, s);
        put_figures(pr, s);
        break;
    case STEP_LOOP:
        buf_printf(pr->out, "loop %lld%s {\n", (long long)s->trips, s->reverse ? " reverse" : "");
        put_steps(pr, at + 1, s->count, depth + 1);
        buf_printf(pr->out, "%*s}", 2 * depth, "");
        break;
    case STEP_UNSURE:
        buf_put(pr->out, STR("unsure {\n"));
        put_steps(pr, at + 1, s->count, depth + 1);
        buf_printf(pr->out, "%*s}", 2 * depth, "");
        break;
    case STEP_COMMIT:
        buf_put(pr->out, STR("commit"));
        break;
    }
    buf_char(pr->out, '\n');
    return 1 + plan_step_body(s);
}

static void put_steps(Printer *pr, uint32_t first, uint32_t n, int depth) {
    for (uint32_t i = 0; i < n;)
        i += put_step(pr, first + i, depth);
}

static void put_bindings(Printer *pr, const char *word, uint32_t first, uint32_t n) {
    for (uint32_t i = first; i < first + n; i++) {
        put_name(pr, word, pr->p->bindings.at[i].name);
        put_buffer(pr, " %", pr->p->bindings.at[i].buffer);
        buf_char(pr->out, '\n');
    }
}

static void put_entry(Printer *pr, const PlanEntry *e) {
    put_name(pr, "entry ", e->name);
    put_name(pr, " variant ", e->variant);
    buf_printf(pr->out, " rows %lld {\n", (long long)e->rows);
    put_bindings(pr, "  column ", e->first_column, e->n_columns);
    put_bindings(pr, "  output ", e->first_output, e->n_outputs);
    put_steps(pr, e->first_step, e->n_steps, 1);
    buf_put(pr->out, STR("}\n"));
}

void plan_print(const Plan *p, const SourceSet *s, Buf *out) {
    Arena *scratch = arena_create();
    Printer pr = {p, s, out, PUSH(scratch, Str, p->buffers.n + 1), PUSH(scratch, Str, p->kernels.n + 1)};
    for (uint32_t i = 0; i < p->buffers.n; i++)
        pr.buffers[i] = text_distinct(scratch, pr.buffers, i, p->buffers.at[i].name);
    for (uint32_t i = 0; i < p->kernels.n; i++)
        pr.kernels[i] = text_distinct(scratch, pr.kernels, i, p->kernels.at[i].name);
    put_memory(&pr);
    for (uint32_t i = 0; i < p->vars.n; i++)
        put_var(&pr, &p->vars.at[i]);
    put_code(&pr);
    uniforms_print(p->uniforms, out);
    for (uint32_t i = 0; i < p->entries.n; i++)
        put_entry(&pr, &p->entries.at[i]);
    arena_destroy(scratch);
}
