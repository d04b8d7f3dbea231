/* The numbers of a run are those of the model that `eval` would take: of the epoch in which the first `keep` line of
 * the last phase was at its best, or of the last epoch.  They are found in metrics.jsonl, so that they do not depend on
 * who trained, and how often it was broken off. */
#include "grid.h"
#include "history.h"
#include <math.h>

bool grid_better(const Grid *g, double a, double b) {
    return !isnan(a) && (isnan(b) || (g->highest ? a > b : a < b));
}

/* ---- criteria ---- */
static void set_series(Arena *a, TrainState *s, Str name, double x) {
    state_set_real(a, s, str_format(a, "series.%.*s", FSTR(name)), x);
}

static double criterion(const GridProgram *p, Arena *a, uint32_t inst, const TrainState *series, int64_t epoch) {
    UniformRun run = {.arena = a, .recipe = p->s.recipe};
    const RecipePhase *last = recipe_last_phase(p->s.recipe);
    Counters at = {.epoch = epoch > 0 ? epoch - 1 : 0, .epochs = last->epochs, .steps = last->steps,
                   .batch = last->batch, .seed = last->seed};
    return inputs_value(&run, p->s.module->uniforms, inst, &at, series);
}

/* Settings as the run has them: only numbers can differ from those of its program. */
static double with_settings(const Grid *g, const GridRun *r, Arena *a, uint32_t inst, const TrainState *series,
                            int64_t epoch) {
    GridProgram p = *g->programs.at[r->program];
    Recipe recipe = *p.s.recipe;
    recipe.settings.at = r->run->settings.at;
    p.s.recipe = &recipe;
    return criterion(&p, a, inst, series, epoch);
}

double grid_score(const Grid *g, const GridRun *r, Arena *scratch) {
    TrainState series = {0};
    if (r->values.n == 0 || r->state == GRID_FAILED || r->state == GRID_CRASHED) return (double)NAN;
    ArenaMark mark = arena_mark(scratch);
    for (uint32_t i = 0; i < r->values.n; i++) set_series(scratch, &series, r->values.at[i].name, r->values.at[i].x);
    double x = with_settings(g, r, scratch, g->programs.at[r->program]->score, &series, r->epoch);
    arena_pop(mark);
    return x;
}

/* ---- metrics.jsonl ---- */
static bool has_val(const HistoryRow *row) {
    for (uint32_t i = 0; i < row->values.n; i++)
        if (str_starts(row->values.at[i].name, "val.")) return true;
    return false;
}

bool grid_validates(const Recipe *r) {
    uint32_t o;
    for (uint32_t i = 0; recipe_measured(r, recipe_last_phase(r), STR("val"), i, &o); i++)
        if (recipe_has_split(&r->data.at[r->objectives.at[o].data], STR("val"))) return true;
    return false;
}

static void take(Arena *a, const TrainState *latest, int64_t epoch, GridRun *r) {
    r->values.n = 0;
    r->epoch = epoch;
    for (uint32_t i = 0; i < latest->reals.n; i++) {
        Str name = latest->reals.at[i].name;                        /* series.NAME */
        vec_push(a, &r->values, ((GridValue){{name.s + 7, name.n - 7}, latest->reals.at[i].x}));
    }
}

GrStatus grid_read_score(const Grid *g, GridRun *r, Arena *a, Error *e) {
    History h;
    const GridProgram *p = g->programs.at[r->program];
    const RecipePhase *last = recipe_last_phase(p->s.recipe);
    bool needs_val = grid_validates(p->s.recipe);
    TrainState latest = {0};
    double best = (double)NAN;
    TRY(history_read(a, str_format(a, "%.*s/%.*s", FSTR(g->folder), FSTR(r->id)), &h, e));
    for (uint32_t i = 0; i < h.at.n; i++) {
        const HistoryRow *row = &h.at.at[i];
        if (!history_whole(row) || !str_eq(row->phase, last->name)) continue;
        for (uint32_t k = 0; k < row->values.n; k++)
            if (row->values.at[k].n == 1) set_series(a, &latest, row->values.at[k].name, row->values.at[k].values[0]);
        if (str_is(row->event, "epoch")) r->epochs = row->epoch;
        if (needs_val && !has_val(row)) continue;
        if (last->keep.n == 0) {
            take(a, &latest, row->epoch, r);
            continue;
        }
        const RecipeKeep *keep = &last->keep.at[0];
        double x = with_settings(g, r, a, keep->inst, &latest, row->epoch);
        if (isnan(x) || (!isnan(best) && !(keep->highest ? x > best : x < best))) continue;
        best = x;
        take(a, &latest, row->epoch, r);
    }
    if (r->values.n == 0) take(a, &latest, r->epochs, r);
    r->score = grid_score(g, r, a);
    return GR_OK;
}
