/* What `graphc explain` prints: each kernel with its lines, traffic and work, then each refused move with its
 * reason. */
#include "fuse.h"
#include <stdio.h>

/* Each line once, under its file: `net.graph:29; lib/layers.graph:7,9`.  Was there any? */
static bool put_places(const Span *at, uint32_t n, const SourceSet *s, Buf *out) {
    Str path = {0};
    for (uint32_t i = 0; s != NULL && i < n; i++) {
        Place p = sources_place(s, at[i]);
        bool seen = at[i].n == 0 || p.path.n == 0;
        for (uint32_t k = 0; k < i && !seen; k++) {
            Place q = sources_place(s, at[k]);
            seen = at[k].n > 0 && q.line == p.line && str_eq(q.path, p.path);
        }
        if (seen)
            continue;
        if (str_eq(p.path, path))
            buf_printf(out, ",%u", p.line);
        else
            buf_printf(out, "%s%.*s:%u", path.n == 0 ? "  " : "; ", FSTR(p.path), p.line);
        path = p.path;
    }
    return path.n > 0;
}

/* How wide each part of a launch is: the launches of an entry stand in columns. */
typedef struct { int name, nodes, stages, bytes, flops; bool all_one_node, all_one_stage; } Widths;

static void widen(int *width, uint64_t n) {
    int digits = snprintf(NULL, 0, "%llu", (unsigned long long)n);
    *width = digits > *width ? digits : *width;
}

static Widths widths_of(const Planned *p, const PlanEntry *e) {
    Widths w = {.all_one_node = true, .all_one_stage = true};
    for (uint32_t i = e->first_step; i < e->first_step + e->n_steps; i++) {
        const PlanStep *s = &p->plan->steps.at[i];
        if (s->kind != STEP_LAUNCH)
            continue;
        const FusedKernel *f = &p->fused.at[s->kernel];
        int name = (int)p->kernels.at[s->kernel]->name.n + 1;
        w.name = name > w.name ? name : w.name;
        widen(&w.nodes, f->nodes), widen(&w.stages, f->stages);
        widen(&w.bytes, s->bytes), widen(&w.flops, s->flops);
        w.all_one_node &= f->nodes == 1, w.all_one_stage &= f->stages == 1;
    }
    return w;
}

static const char *ending(uint32_t n, bool all_one) { return n != 1 ? "s" : all_one ? "" : " "; }

static void put_launch(const Planned *p, const PlanStep *s, const Widths *w, const SourceSet *sources, Buf *out) {
    const FusedKernel *f = &p->fused.at[s->kernel];
    Str name = str_format(out->arena, "%.*s:", FSTR(p->kernels.at[s->kernel]->name));
    buf_printf(out, "  wave %-3u %-*s %*u operation%s in %*u stage%s%s %*llu bytes, %*llu flops", s->wave, w->name,
               name.s, w->nodes, f->nodes, ending(f->nodes, w->all_one_node), w->stages, f->stages,
               f->stages == 1 ? "," : "s,", f->stages == 1 && !w->all_one_stage ? " " : "", w->bytes,
               (unsigned long long)s->bytes, w->flops, (unsigned long long)s->flops);
    bool placed = put_places(p->plan->spans.at + s->first_span, s->n_spans, sources, out);
    if (f->saved_bytes > 0)
        buf_printf(out, "%s %llu bytes of values kept out of memory", placed ? ";" : ",",
                   (unsigned long long)f->saved_bytes);
    buf_char(out, '\n');
}

static void put_extern(const Planned *p, const PlanStep *s, const SourceSet *sources, Buf *out) {
    const PlanExtern *x = &p->plan->externs.at[s->external];
    buf_printf(out, "  wave %-3u %.*s: %lld call%s of a function of %.*s, %llu bytes", s->wave, FSTR(x->symbol),
               (long long)x->calls, x->calls == 1 ? "" : "s", FSTR(x->library), (unsigned long long)s->bytes);
    put_places(p->plan->spans.at + s->first_span, s->n_spans, sources, out);
    buf_char(out, '\n');
}

static Str value_name(const Graph *g, Val v, Arena *a) {
    const Node *n = node_of(g, v);
    return n->name ? intern_str(g->module->names, n->name)
                   : str_format(a, "%%%u (%s)", v.i, op_name((Op)n->op));
}

static void put_refusal(const Refusal *r, const SourceSet *s, Buf *out) {
    Str user = value_name(r->graph, r->user, out->arena),
        producer = value_name(r->graph, r->producer, out->arena);
    buf_printf(out, "  %.*s not with %.*s (%s): %s", FSTR(user), FSTR(producer), refusal_move(r->why),
               refusal_text(r->why));
    put_places(&node_of(r->graph, r->user)->span, 1, s, out);
    buf_char(out, '\n');
}

void fuse_explain(const Planned *p, const Module *m, const SourceSet *s, Buf *out) {
    for (uint32_t i = 0; i < p->plan->entries.n; i++) {
        const PlanEntry *e = &p->plan->entries.at[i];
        Widths w = widths_of(p, e);
        buf_printf(out, "%.*s (%.*s)\n", FSTR(e->name), FSTR(e->variant));
        for (uint32_t k = e->first_step; k < e->first_step + e->n_steps; k++) {
            const PlanStep *step = &p->plan->steps.at[k];
            if (step->kind == STEP_LAUNCH)
                put_launch(p, step, &w, s, out);
            else if (step->kind == STEP_LOOP)
                buf_printf(out, "  loop of %lld over the next %u steps\n", (long long)step->trips,
                           step->count);
            else if (step->kind == STEP_EXTERN)
                put_extern(p, step, s, out);
            else if (step->kind == STEP_BLAS)
                buf_printf(out, "  wave %-3u product %lld x %lld x %lld by the library\n", step->wave,
                           (long long)step->blas.m, (long long)step->blas.n, (long long)step->blas.k);
            else if (step->kind == STEP_UNSURE)
                buf_printf(out, "  the next %u step%s only when an operand of a folded update is above 2^50\n",
                           step->count, step->count == 1 ? "" : "s");
            else
                buf_printf(out, "  commit\n");
        }
        bool any = false;
        for (uint32_t k = 0; k < p->refusals.n; k++) {
            const Refusal *r = &p->refusals.at[k];
            if (!str_eq(intern_str(m->names, r->graph->name), e->name))
                continue;
            buf_printf(out, any ? "" : "  not fused:\n");
            any = true;
            put_refusal(r, s, out);
        }
    }
}
