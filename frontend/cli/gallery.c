/* A program of its own, compiled when the first picture is due: the objective as `peek` sees it, in evaluation mode,
 * and the exports.  Before each showing the weights are copied from the training, which is not touched: its bits are
 * the same with pictures and without.  All showings together take a fiftieth of the training at most. */
#include "gallery.h"
#include "clock.h"
#include "imagesheet.h"
#include "rundir.h"
#include <stdio.h>
#include <string.h>

enum { IMAGES = 20, SHARE = 50 };

/* An entry, in the order of the requests: of an objective (its outputs have tags), or of an export. */
typedef struct { EntryRequest request; const char *split; int32_t data; VEC(Str) tags; } Showing;
struct Gallery {
    const Job *job;
    Arena *arena;
    Str run;
    VEC(Showing) at;
    Compiled compiled;
    PlanCode code;
    Exec *exec;
    double spent;                          /* seconds */
};

bool gallery_rests(const Gallery *g, double seconds) { return g->spent * SHARE > seconds; }

/* ---- what there is to show ---- */
static const char *split_of(const Dataset *d, int64_t *rows) {
    const Split *val = splits_find(&d->splits, STR("val")), *train = splits_find(&d->splits, STR("train"));
    *rows = val ? val->n : train ? train->n : 0;
    return val ? "val" : "train";
}

/* "h.mean" of a watched h is the series; the tensor is called "OBJ.h", or "PATH.h" in a function or a model. */
static bool take_watched(const Session *s, Peek *peek, Str objective, Str series) {
    Str whole = str_format(s->arena, "%.*s.%.*s", FSTR(objective), FSTR(series));
    Str end = str_format(s->arena, ".%.*s", FSTR(series));
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < peek->at.n; i++) {
            const NamedValue *x = &peek->at.at[i];
            bool is = pass ? str_ends(x->path, end.s) : str_eq(x->path, whole);
            if (is && x->tensor && !x->column.n) return peek_take(peek, i, false);
        }
    return false;
}

static void add_watched(Gallery *g, uint32_t objective) {
    Session *s = g->job->s;
    const RecipeObjective *o = &s->recipe->objectives.at[objective];
    static const char mean[] = ".mean";
    Showing w = {.request = {LOWER_PEEK, o->name, 0, objective}, .data = -1};
    int64_t rows;
    Peek *peek = NULL;
    w.split = split_of(g->job->data[o->data], &rows);
    int64_t batch = train_evaluation_batch(s->recipe, objective);
    w.request.rows = rows < batch ? rows : batch;
    for (uint32_t i = 0; i < o->metrics.n && w.request.rows > 0; i++) {
        const RecipeMetric *m = &o->metrics.at[i];
        if (!m->watch || !str_ends(m->name, mean)) continue;
        Str series = {m->name.s, m->name.n - (sizeof mean - 1)};
        if (!peek) peek = program_peek(s->program, o->name, false, w.request.rows, s->diags);
        if (!peek) return;
        if (take_watched(s, peek, o->name, series))
            vec_push(g->arena, &w.tags, str_format(g->arena, "%s.%.*s.%.*s", w.split, FSTR(o->name), FSTR(series)));
    }
    if (w.tags.n) vec_push(g->arena, &g->at, w);
}

static bool is_image(const RecipeColumn *c) { return c->used && c->shape.rank == 2; }

static void add_export(Gallery *g, const RecipeExport *x) {
    if (x->data < 0) return;
    const RecipeData *d = &g->job->s->recipe->data.at[x->data];
    Showing w = {.request = {LOWER_EXPORT, x->name, 0, 0}, .data = x->data};
    bool images = false;
    int64_t rows;
    for (uint32_t i = 0; i < d->columns.n; i++) images = images || is_image(&d->columns.at[i]);
    w.split = split_of(g->job->data[x->data], &rows);
    w.request.rows = rows < IMAGES ? rows : IMAGES;
    if (images && rows > 0) vec_push(g->arena, &g->at, w);
}

static GrStatus compile(Gallery *g, Error *e) {
    Session *s = g->job->s;
    const Common *c = g->job->c;
    EntryRequest *requests = PUSH(g->arena, EntryRequest, g->at.n);
    for (uint32_t i = 0; i < g->at.n; i++) requests[i] = g->at.at[i].request;
    if (!compile_graphs(s, c, g->at.n, requests, &g->compiled)) return fail(e, GR_PROGRAM, "no pictures: errors");
    Common free = *c;                                              /* --max-memory is of steps */
    free.max_memory = 0;
    TRY(compile_plan(s, &free, &g->compiled, "fused", e));
    TRY(compile_load(c, &g->compiled, 0, NULL, e));
    g->code = code_table(g->compiled.code);
    return exec_create(g->arena, g->compiled.planned.plan, &g->code, (ExecOptions){1}, &g->exec, e);
}

GrStatus gallery_open(const Job *j, Str run, Gallery **out, Error *e) {
    Arena *a = arena_create();
    Gallery *g = PUSH(a, Gallery, 1);
    double start = clock_seconds();
    *g = (Gallery){.job = j, .arena = a, .run = run};
    *out = NULL;
    for (uint32_t i = 0; i < j->s->recipe->objectives.n; i++) add_watched(g, i);
    for (uint32_t i = 0; i < j->s->recipe->exports.n; i++) add_export(g, &j->s->recipe->exports.at[i]);
    GrStatus status = g->at.n ? compile(g, e) : GR_OK;
    g->spent = clock_seconds() - start;
    if (g->at.n && status == GR_OK) *out = g;
    else gallery_close(g);
    return status;
}

void gallery_close(Gallery *g) {
    if (!g) return;
    if (g->exec) exec_destroy(g->exec);
    compile_close(&g->compiled);
    arena_destroy(g->arena);
}

/* ---- showing ---- */
static void copy_weights(Gallery *g) {
    const Plan *to = g->compiled.planned.plan, *from = exec_plan(g->job->exec);
    for (uint32_t i = 0; i < to->vars.n; i++) {
        const PlanVar *v = &to->vars.at[i];
        for (uint32_t k = 0; k < from->vars.n; k++) {
            const PlanVar *w = &from->vars.at[k];
            size_t bytes = to->buffers.at[v->buffer].bytes;
            if (!str_eq(w->path, v->path) || !str_eq(w->kind, v->kind)) continue;
            if (from->buffers.at[w->buffer].bytes == bytes)
                memcpy(exec_buffer(g->exec, v->buffer), exec_buffer(g->job->exec, w->buffer), bytes);
            break;
        }
    }
}

static GrStatus fill(Gallery *g, const Showing *w, const PlanEntry *entry, Error *e) {
    Session *s = g->job->s;
    const Plan *p = g->compiled.planned.plan;
    if (w->data < 0)
        return run_fill(s, p, entry, w->request.objective, g->exec, g->job->data, w->split, 0, e);
    for (uint32_t i = entry->first_column; i < entry->first_column + entry->n_columns; i++) {
        const PlanBinding *b = &p->bindings.at[i];
        const Dataset *d = g->job->data[w->data];
        int64_t column = dataset_column(d, b->name);
        if (column < 0) return fail(e, GR_DATA, "no pictures: `%.*s` was not read", FSTR(b->name));
        TRY(run_fill_column(g->arena, d, column, w->split, entry->rows, 0, exec_buffer(g->exec, b->buffer), e));
    }
    return GR_OK;
}

static void run_entry(Gallery *g, const Showing *w, const PlanEntry *entry, const TrainProgress *p) {
    const Recipe *r = g->job->s->recipe;
    UniformRun uniforms = {.arena = g->arena, .recipe = r};
    TrainState none = {0};
    Counters at = {.rows = entry->rows, .batch = entry->rows, .batch_rows = entry->rows, .epoch = p->epoch,
                   .step = p->step, .update = p->step, .epochs = p->epochs, .steps = p->steps, .seed = p->phase->seed,
                   .phase = p->phase - r->phases.at};
    if (w->data < 0) inputs_batches(&at, &r->objectives.at[w->request.objective], NULL);
    exec_run(g->exec, entry, inputs_run(&uniforms, g->compiled.planned.plan->uniforms, &at, &none));
}

static GrStatus show_histograms(Gallery *g, const Showing *w, const PlanEntry *entry, int64_t step, Events *to,
                                Error *e) {
    const Plan *p = g->compiled.planned.plan;
    for (uint32_t i = 0; i < w->tags.n && i < entry->n_outputs; i++) {
        uint32_t b = p->bindings.at[entry->first_output + i].buffer;
        if (p->buffers.at[b].dtype != DT_F32) continue;
        EventHistogram h = events_count(g->arena, exec_buffer(g->exec, b), shape_count(p->buffers.at[b].shape));
        if (h.n > 0) TRY(events_histogram(to, step, w->tags.at[i], &h, e));
    }
    return GR_OK;
}

static GrStatus show_images(Gallery *g, const Showing *w, const PlanEntry *entry, int64_t step, Events *to,
                            Error *e) {
    const Plan *p = g->compiled.planned.plan;
    if (!imagesheet_fits(p, entry)) return GR_OK;
    Str name = str_format(g->arena, "images-%.*s.png", FSTR(w->request.name));
    Str path = rundir_file(g->arena, g->run, name.s);
    TRY(imagesheet_write(g->arena, p, entry, g->exec, path, e));
    FILE *f = fopen(path.s, "re");
    char *bytes = NULL;
    size_t n = 0;
    if (!f) return fail_errno(e, GR_IO, "%.*s", FSTR(path));
    if (fseek(f, 0, SEEK_END) == 0 && ftell(f) > 0) n = (size_t)ftell(f);
    rewind(f);
    bytes = PUSH(g->arena, char, n + 1);
    n = fread(bytes, 1, n, f);
    fclose(f);
    Str tag = str_format(g->arena, "images.%.*s", FSTR(w->request.name));
    return events_image(to, step, tag, (Str){bytes, (uint32_t)n}, e);
}

GrStatus gallery_show(Gallery *g, const TrainProgress *p, int64_t step, Events *events, Error *e) {
    double start = clock_seconds();
    ArenaMark mark = arena_mark(g->arena);
    GrStatus status = GR_OK;
    copy_weights(g);
    for (uint32_t i = 0; i < g->at.n && status == GR_OK; i++) {
        const Showing *w = &g->at.at[i];
        const PlanEntry *entry = &g->compiled.planned.plan->entries.at[i];
        status = fill(g, w, entry, e);
        if (status != GR_OK) break;
        run_entry(g, w, entry, p);
        bool images = w->data >= 0;
        status = images ? show_images(g, w, entry, step, events, e) : show_histograms(g, w, entry, step, events, e);
    }
    arena_pop(mark);
    g->spent += clock_seconds() - start;
    return status;
}
