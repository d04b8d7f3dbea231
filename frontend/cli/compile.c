/* From a checked program to running code: lower, passes, fusion, kernels.  Times of each part are kept for
 * --time-passes. */
#include "clock.h"
#include "crash.h"
#include "target.h"
#include <string.h>

bool compile_graphs(Session *s, const Common *c, uint32_t n, const EntryRequest *entries, Compiled *out) {
    *out = (Compiled){.lowered = *s->module, .final = *s->module};
    memset(&out->lowered.graphs, 0, sizeof out->lowered.graphs);
    memset(&out->final.graphs, 0, sizeof out->final.graphs);
    out->pass_seconds = PUSH(s->arena, double, pass_count());
    Buf dump = buf_make(s->arena);
    PassOptions passes = c->passes;
    passes.dump = &dump;
    passes.seconds = out->pass_seconds;
    passes.runnable = true;
    for (uint32_t i = 0; i < n; i++) {
        Graph *g = lower_graph(s->program, entries[i].kind, entries[i].name, entries[i].rows, s->diags);
        if (!g) return false;
        vec_push(s->arena, &out->lowered.graphs, g);
        Graph *last = pipeline_run(s->arena, g, &passes, s->files, s->diags);
        if (!last) return false;
        vec_push(s->arena, &out->final.graphs, last);
    }
    out->lowered.vars = out->final.vars = s->module->vars;     /* lowering may have added some */
    if (dump.n) fwrite(dump.s, 1, dump.n, stderr);
    return true;
}

GrStatus compile_plan(Session *s, const Common *c, Compiled *compiled, const char *variant, Error *e) {
    double start = clock_seconds();
    FuseOptions o = {.fused = strcmp(variant, "fused") == 0,
                     .blas = strcmp(variant, "blas") == 0,
                     .threads = c->threads,
                     .cpu = cpu_target_of(c->cpu)};
    bool first = compiled->planned.plan == NULL && c->max_memory > 0;
    FuseOptions runs = {.fused = true, .threads = o.threads, .cpu = o.cpu};     /* what trains: others are compared */
    GrStatus status = first ? compile_fit(s, c, compiled, &runs, e) : GR_OK;
    o.apart = compiled->fit.apart;
    if (status == GR_OK)
        status = fuse_module(s->arena, &compiled->final, &o, &compiled->planned, e);
    compiled->fuse_seconds += clock_seconds() - start;
    return status;
}

void compile_times(const Compiled *compiled, const Common *c) {
    if (!c->passes.time_passes) return;
    for (uint32_t i = 0; i < pass_count(); i++)
        fprintf(stderr, "%-10s %8.2f ms\n", pass_name(i), compiled->pass_seconds[i] * 1e3);
    fprintf(stderr, "%-10s %8.2f ms\n%-10s %8.2f ms  (%u kernels)\n", "fuse", compiled->fuse_seconds * 1e3, "code",
            compiled->code_seconds * 1e3, compiled->planned.kernels.n);
    fprintf(stderr, "%-10s %8llu bytes\n", "arena", (unsigned long long)compiled->planned.plan->arena_bytes);
}

void entries_add(Arena *a, Entries *entries, EntryRequest r) {
    for (uint32_t i = 0; i < entries->at.n; i++) {
        const EntryRequest *old = &entries->at.at[i];
        if (old->kind == r.kind && str_eq(old->name, r.name) && old->rows == r.rows) return;
    }
    vec_push(a, &entries->at, r);
}

static void add_measured(const Session *s, uint32_t phase, const char *split, Entries *out) {
    const RecipePhase *p = &s->recipe->phases.at[phase];
    uint32_t o;
    for (uint32_t i = 0; recipe_measured(s->recipe, p, str_of(split), i, &o); i++) {
        Str name = s->recipe->objectives.at[o].name;
        entries_add(s->arena, out, (EntryRequest){LOWER_EVAL, name, p->rows, o});
        entries_add(s->arena, out, (EntryRequest){LOWER_BEGIN, name, 0, o});
        entries_add(s->arena, out, (EntryRequest){LOWER_FINISH, name, 0, o});
    }
}

void phase_entries(const Session *s, uint32_t phase, Entries *out) {
    const RecipePhase *p = &s->recipe->phases.at[phase];
    entries_add(s->arena, out, (EntryRequest){LOWER_INIT, STR("init"), 0, 0});
    for (uint32_t i = 0; i < p->runs.n; i++) {
        const RecipeRun *r = &p->runs.at[i];
        entries_add(s->arena, out, (EntryRequest){LOWER_TRAIN, r->name, p->rows, r->objective});
        if (p->shards > 1) entries_add(s->arena, out, (EntryRequest){LOWER_UPDATE, r->name, 0, r->objective});
    }
    add_measured(s, phase, "train", out);
    add_measured(s, phase, "val", out);
}

void program_entries(const Session *s, Entries *out) {
    for (uint32_t i = 0; i < s->recipe->phases.n; i++) phase_entries(s, i, out);
    for (uint32_t i = 0; i < s->recipe->exports.n && s->recipe->phases.n == 0; i++)
        entries_add(s->arena, out, (EntryRequest){LOWER_EXPORT, s->recipe->exports.at[i].name, 64, 0});
}

static void want_kernels(const Plan *plan, const PlanEntry *entry, bool *wanted) {
    for (uint32_t i = entry->first_step; i < entry->first_step + entry->n_steps; i++)
        if (plan->steps.at[i].kind == STEP_LAUNCH) wanted[plan->steps.at[i].kernel] = true;
}

static GrStatus open_code(const Common *c, Compiled *compiled, Error *e) {
    CodeOptions o = {.cpu = c->cpu && strcmp(c->cpu, "host") != 0 ? c->cpu : NULL,
                     .sanitize = c->sanitize,
                     .threads = c->threads,
                     .cache_dir = c->no_cache ? "" : NULL,
                     .cache_bytes = c->cache_bytes};
    compiled->code_arena = arena_create();
    return code_create(compiled->code_arena, &o, &compiled->code, e);
}

GrStatus compile_load(const Common *c, Compiled *compiled, uint32_t n, const PlanEntry *const *entries, Error *e) {
    double start = clock_seconds();
    const Plan *plan = compiled->planned.plan;
    if (!compiled->code) TRY(open_code(c, compiled, e));
    Arena *scratch = arena_create();
    bool *wanted = PUSH(scratch, bool, plan->kernels.n + 1);
    const Kernel **kernels = PUSH(scratch, const Kernel *, plan->kernels.n + 1);
    uint32_t *which = PUSH(scratch, uint32_t, plan->kernels.n + 1), count = 0;
    for (uint32_t i = 0; i < n; i++) want_kernels(plan, entries[i], wanted);
    for (uint32_t i = 0; n == 0 && i < plan->entries.n; i++) want_kernels(plan, &plan->entries.at[i], wanted);
    for (uint32_t k = 0; k < plan->kernels.n; k++)
        if (wanted[k]) kernels[count] = compiled->planned.kernels.at[k], which[count++] = k;
    GrStatus status = code_load(compiled->code, plan, kernels, count, which, e);
    if (status == GR_OK && count > 0) crash_watch(compiled);
    arena_destroy(scratch);
    compiled->code_seconds += clock_seconds() - start;
    return status;
}

void compile_close(Compiled *compiled) {
    crash_forget(compiled);
    code_destroy(compiled->code);
    compiled->code = NULL;
    if (compiled->code_arena) arena_destroy(compiled->code_arena);
    compiled->code_arena = NULL;
}
