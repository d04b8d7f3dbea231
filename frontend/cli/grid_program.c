/* A program for each shape of a sweep.  All of them are checked, lowered and planned before the first step, so that
 * whatever can be wrong with a point, and what it will take, is known by then; kernels are compiled when the first run
 * of a program begins, while others train.  Programs whose data read the same settings, and use the same columns of
 * it, have the same rows in memory. */
#include "available.h"
#include "book.h"
#include "estimate.h"
#include "grid.h"
#include "hash.h"
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- settings ---- */
/* As `train` would be given them: the point's, then those of -s. */
static GrStatus common_of(const Grid *g, const RecipeSweepRun *run, Common *out, Error *e) {
    *out = *g->common;
    out->n_settings = 0;
    out->point = NULL;
    out->probed = true;                                             /* when the sweep was checked */
    if (run->values.n + g->common->n_settings > MAX_SETTINGS)
        return fail(e, GR_USAGE, "a point and -s give more than %d settings", MAX_SETTINGS);
    for (uint32_t i = 0; i < run->values.n; i++)
        out->settings[out->n_settings++] = (SettingArg){run->values.at[i].name, run->values.at[i].value, true};
    for (uint32_t i = 0; i < g->common->n_settings; i++)
        out->settings[out->n_settings++] = g->common->settings[i];
    return GR_OK;
}

/* ---- data ---- */
static uint64_t data_key(const Recipe *r, const RecipeSweepRun *run) {
    uint64_t h = hash_str(1, run->data);
    for (uint32_t i = 0; i < r->data.n; i++) {
        const RecipeData *d = &r->data.at[i];
        h = hash_str(h, d->name);
        for (uint32_t k = 0; k < d->columns.n; k++)
            h = hash_mix(hash_str(h, d->columns.at[k].name), d->columns.at[k].used);
        for (uint32_t k = 0; k < d->statistics.n; k++)
            h = hash_mix(hash_str(h, d->statistics.at[k].name), d->statistics.at[k].used);
    }
    return h;
}

static GrStatus open_data(const Grid *g, GridProgram *p, Error *e) {
    for (uint32_t i = 0; i < g->programs.n; i++) {
        const GridProgram *old = g->programs.at[i];
        if (old->data_key != p->data_key || old == p) continue;
        p->job = (Job){.s = &p->s, .c = &p->common, .data = old->job.data, .facts = old->job.facts,
                       .lasting = PUSH(g->arena, Formula *, p->s.recipe->data.n + 1)};
        return GR_OK;
    }
    uint32_t threads = p->common.threads;
    p->common.threads = 1;                  /* formulas that make new rows are run by processes that have no others */
    GrStatus status = job_open_data(&p->s, &p->common, true, (Str){0}, &p->job, e);
    p->common.threads = threads;
    if (status == GR_OK) p->job.facts = book_facts(g->arena, &p->job);
    return status;
}

/* ---- estimates ---- */
/* The phase with the numbers of the run. */
static RecipePhase phase_of(const Grid *g, const GridRun *r, uint32_t phase) {
    RecipePhase of = g->programs.at[r->program]->s.recipe->phases.at[phase];
    for (uint32_t i = 0; i < r->run->words.n; i++) recipe_set_word(&r->run->words.at[i], &of);
    return of;
}

int64_t grid_epochs(const Grid *g, const GridRun *r) {
    const GridProgram *p = g->programs.at[r->program];
    int64_t n = 0;
    for (uint32_t i = 0; i < p->s.recipe->phases.n; i++) {
        RecipePhase of = phase_of(g, r, i);
        n += of.called ? 0 : estimate_epochs(&p->job, &of);
    }
    return n;
}

static double phase_seconds(const Grid *g, const GridRun *r, uint32_t phase) {
    const GridProgram *p = g->programs.at[r->program];
    RecipePhase of = phase_of(g, r, phase);
    int64_t epochs = estimate_epochs(&p->job, &of);
    double s = (double)epochs * p->seconds[phase];
    for (uint32_t i = 0; i < of.inner.n; i++)
        s += (double)(epochs / of.inner.at[i].epochs) * phase_seconds(g, r, of.inner.at[i].phase);
    return s;
}

static double run_seconds(const Grid *g, const GridRun *r) {
    const Recipe *recipe = g->programs.at[r->program]->s.recipe;
    double s = 0;
    for (uint32_t i = 0; i < recipe->phases.n; i++) s += recipe->phases.at[i].called ? 0 : phase_seconds(g, r, i);
    return s;
}

/* ---- programs ---- */
static GrStatus refuse(const Grid *g, const GridRun *r, GridProgram *p, Error *e) {
    session_report(&p->s, &p->common);
    if (e->what[0]) report_error(g->common, e);
    uint32_t n = (uint32_t)(r - g->runs.at);
    return fail(e, GR_PROGRAM, "the point %.*s cannot run; nothing was trained", FSTR(grid_label(g->arena, g, n)));
}

static GrStatus open_program(Grid *g, const GridRun *r, GridProgram *p, Error *e) {
    TRY(common_of(g, r->run, &p->common, e));
    if (!session_open(&p->s, &p->common)) return refuse(g, r, p, e);
    p->data_key = data_key(p->s.recipe, r->run);
    GrStatus status = open_data(g, p, e);
    bool score = status == GR_OK && program_criterion(p->s.program, g->score, &p->score);
    if (score) status = job_plan(&p->job, "fused", e);
    if (!score || status != GR_OK) return refuse(g, r, p, e);
    p->bytes = p->job.compiled.planned.plan->arena_bytes + p->job.compiled.planned.plan->scratch_bytes;
    p->seconds = PUSH(g->arena, double, p->s.recipe->phases.n + 1);
    for (uint32_t i = 0; i < p->s.recipe->phases.n; i++)
        p->seconds[i] = estimate_epoch(&p->job, &p->s.recipe->phases.at[i]);
    return GR_OK;
}

static GrStatus check_memory(const Grid *g, Error *e) {
    uint64_t most = 0, have = available_memory("");
    for (uint32_t i = 0; i < g->programs.n; i++)
        most = g->programs.at[i]->bytes > most ? g->programs.at[i]->bytes : most;
    if (have == 0 || most * g->jobs <= have) return GR_OK;
    fail(e, GR_NOMEM, "%u runs at a time need %.1f GB of memory, %.1f GB are free", g->jobs,
         (double)(most * g->jobs) * 1e-9, (double)have * 1e-9);
    fail_help(e, "`--jobs %llu`", (unsigned long long)(have / most ? have / most : 1));
    return GR_NOMEM;
}

GrStatus grid_plan(Grid *g, Error *e) {
    for (uint32_t i = 0; i < g->runs.n; i++) {
        GridRun *r = &g->runs.at[i];
        for (r->program = 0; r->program < g->programs.n; r->program++)
            if (str_eq(g->programs.at[r->program]->shape, r->run->shape)) break;
        if (r->program < g->programs.n) continue;
        GridProgram *p = PUSH(g->arena, GridProgram, 1);
        p->shape = r->run->shape;
        vec_push(g->arena, &g->programs, p);
        TRY(open_program(g, r, p, e));
    }
    for (uint32_t i = 0; i < g->runs.n; i++) {
        GridRun *r = &g->runs.at[i];
        r->score = grid_score(g, r, g->arena);
        if (!grid_finished(r) || !grid_better(g, r->score, atomic_load(g->best))) continue;
        atomic_store(g->best, r->score);
        g->best_run = i;
    }
    return check_memory(g, e);
}

/* Compiled by all processors, and written into the cache before anything forks. */
GrStatus grid_load(Grid *g, uint32_t program, Error *e) {
    GridProgram *p = g->programs.at[program];
    if (p->loaded) return GR_OK;
    Common c = p->common;
    c.threads = common_make().threads;
    TRY(compile_load(&c, &p->job.compiled, 0, NULL, e));
    code_flush(p->job.compiled.code);
    p->loaded = true;
    return GR_OK;
}

void grid_close(Grid *g) {
    for (uint32_t i = g->programs.n; i-- > 0;) {
        if (g->programs.at[i]->job.s) job_close(&g->programs.at[i]->job);
        session_close(&g->programs.at[i]->s);
    }
}

/* ---- what it will take ---- */
static Str duration(Arena *a, double s) {
    if (s < 100) return str_format(a, "%.*f s", s < 10, s);
    if (s < 6000) return str_format(a, "%.0f min", s / 60);
    return str_format(a, "%.1f h", s / 3600);
}

GridEstimate grid_estimate(const Grid *g) {
    GridEstimate x = {0};
    for (uint32_t i = 0; i < g->runs.n; i++) {
        const GridProgram *p = g->programs.at[g->runs.at[i].program];
        x.bytes = p->bytes > x.bytes ? p->bytes : x.bytes;
        if (grid_finished(&g->runs.at[i])) continue;
        x.open++;
        x.seconds += run_seconds(g, &g->runs.at[i]);
    }
    x.seconds /= x.open == 0 ? 1 : x.open < g->jobs ? x.open : g->jobs;
    return x;
}

void grid_print_plan(const Grid *g) {
    GridEstimate x = grid_estimate(g);
    printf("sweep       %.*s: %u point%s", FSTR(g->sweep->name.n ? g->sweep->name : g->s->recipe->name),
           g->sweep->points, g->sweep->points == 1 ? "" : "s");
    if (g->sweep->runs.n != g->sweep->points) printf(", %u runs", g->sweep->runs.n);
    if (g->sweep->skipped) printf(", %u skipped", g->sweep->skipped);
    if (g->runs.n != g->sweep->runs.n)
        printf(", %u of them the same as others", g->sweep->runs.n - g->runs.n);
    printf("; %u program%s\n", g->programs.n, g->programs.n == 1 ? "" : "s");
    if (g->kept) printf("kept        %u of %u are finished\n", g->kept, g->runs.n);
    if (x.open)
        printf("estimate    %.1f MB a run, %u at a time; %.*s of training\n", (double)x.bytes * 1e-6, g->jobs,
               FSTR(duration(g->arena, x.seconds)));
    grid_print_halving(g);
    fflush(stdout);
}
