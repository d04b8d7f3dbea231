/* --max-memory: plans that keep to it, what that took, and what to say when there is none.  The limit is of the arena,
 * which holds parameters, states, gradients, the batch and the values of a step; of these the last can shrink. */
#include "cli.h"
#include <inttypes.h>

static Str value_text(Arena *a, const Held *h) {
    const Node *n = node_of(h->graph, h->val);
    Buf text = buf_make(a);
    if (n->name) buf_printf(&text, "`%.*s`", FSTR(intern_str(h->graph->module->names, n->name)));
    else buf_printf(&text, "%s", op_name((Op)n->op));
    return buf_str(&text);
}

static Str type_text(Arena *a, const PlanBuffer *b) {
    Buf text = buf_make(a);
    buf_printf(&text, "%s", dtype_name(b->dtype));
    buf_shape(&text, b->shape);
    return buf_str(&text);
}

/* Fixed parts, then what lies beside each other when most does. */
static void say_why(Session *s, const Planned *p, Diag *d) {
    enum { TOLD = 8 };
    static const struct { Region region; const char *what; } parts[] = {
        {REGION_PARAM, "parameters"}, {REGION_OPTIM, "states of optimisers"}, {REGION_GRAD, "gradients"},
        {REGION_BATCH, "the batch"}, {REGION_ACT, "values of a step"}};
    Arena *a = s->arena;
    Buf text = buf_make(a);
    for (uint32_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buf_printf(&text, "%s%" PRIu64 " of %s", i ? ", " : "", p->plan->region_bytes[parts[i].region], parts[i].what);
    diag_note(d, "bytes: %.*s", FSTR(buf_str(&text)));
    Peak peak = plan_peak(a, p);
    const PlanEntry *entry = &p->plan->entries.at[peak.entry];
    diag_note(d, "in wave %u of `%.*s` these lie there:", peak.wave, FSTR(entry->name));
    for (uint32_t i = 0; i < peak.held.n && i < TOLD; i++) {
        const Held *h = &peak.held.at[i];
        const PlanBuffer *b = &p->plan->buffers.at[h->buffer];
        Place at = sources_place(s->files, node_of(h->graph, h->val)->span);
        diag_note(d, "  %s%.*s %.*s, %" PRIu64 " bytes (%.*s:%u)", h->packed ? "for a product: " : "",
                  FSTR(value_text(a, h)), FSTR(type_text(a, b)), b->bytes, FSTR(at.path), at.line);
    }
    if (peak.held.n > TOLD) diag_note(d, "  and %u smaller ones", peak.held.n - TOLD);
}

static bool any_winograd(const Recipe *r) {
    for (uint32_t i = 0; i < r->phases.n; i++) {
        if (r->phases.at[i].winograd)
            return true;
    }
    return false;
}

static GrStatus refuse_limit(Session *s, const Common *c, Compiled *compiled, const FuseOptions *o, Error *e) {
    Planned least = {0};
    TRY(fuse_module(s->arena, &compiled->final, o, &least, e));
    Peak peak = plan_peak(s->arena, &least);
    Span at = peak.held.n > 0 ? node_of(peak.held.at[0].graph, peak.held.at[0].val)->span : (Span){0};
    Diags *ds = diags_create(s->arena, s->files);
    Diag *d = diag_add_found(ds, SEV_ERROR, "memory", at,
                             "the least found for a step is %" PRIu64 " bytes, and --max-memory allows %" PRIu64,
                             compiled->fit.reached, c->max_memory);
    if (at.n > 0) diag_label(d, at, "the largest of what lies there");
    diag_help(d, "allow that much, or take a smaller batch%s",
              any_winograd(s->recipe) ? ", or `convolution direct`, which needs no transformed signals" : "");
    say_why(s, &least, d);
    report_diags(ds, c);
    return fail(e, GR_NOMEM, "there is no plan of %" PRIu64 " bytes", c->max_memory);
}

GrStatus compile_fit(Session *s, const Common *c, Compiled *compiled, const FuseOptions *o, Error *e) {
    TRY(fuse_fit(s->arena, &compiled->final, o, c->max_memory, &compiled->fit, e));
    if (compiled->fit.reached <= c->max_memory) return GR_OK;
    FuseOptions as = *o;
    as.apart = compiled->fit.apart;
    return refuse_limit(s, c, compiled, &as, e);
}

static void print_refit(const Session *s, const Refit *r, FILE *out) {
    fprintf(out, "computed again in %.*s: %.2f MFLOP and %.2f MB moved more, values of the step %" PRIu64 " -> %" PRIu64
                 " bytes\n",
            FSTR(intern_str(s->module->names, r->graph->name)), (double)r->flops / 1e6, (double)r->bytes / 1e6,
            r->act_before, r->act);
    for (uint32_t i = 0; i < r->again.n; i++) {
        const Held *h = &r->again.at[i];
        const Node *n = node_of(h->graph, h->val);
        Place at = sources_place(s->files, n->span);
        Buf type = buf_make(s->arena);
        buf_shape(&type, n->shape);
        uint64_t bytes = (uint64_t)shape_count(n->shape) * dtype_bytes((DType)n->dtype);
        fprintf(out, "  %.*s %s%.*s, %" PRIu64 " bytes  %.*s:%u\n", FSTR(value_text(s->arena, h)),
                dtype_name((DType)n->dtype), FSTR(buf_str(&type)), bytes, FSTR(at.path), at.line);
    }
}

void fit_print(const Session *s, const Compiled *compiled, FILE *out) {
    const Fit *f = &compiled->fit;
    if (f->graphs.n == 0) return;
    fprintf(out, "\nmemory: %" PRIu64 " bytes instead of %" PRIu64 "\n", f->reached, f->before);
    for (uint32_t i = 0; i < f->graphs.n; i++) print_refit(s, &f->graphs.at[i], out);
}
