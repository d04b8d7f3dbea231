/* The numbers of a run are those of the model that `eval` would take: of the epoch in which the first `keep` line of
 * the last phase was at its best, or of the last epoch.  They are found in metrics.jsonl, so that they do not depend on
 * who trained, and how often it was broken off.  A run that is not in its last phase yet has numbers of the phase it is
 * in, and no score.
 *
 * Halving asks how good a run was after so many epochs: the log up to there tells, whatever was trained since. */
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

static double criterion(const GridProgram *p, Arena *a, uint32_t inst, const RecipePhase *phase,
                        const TrainState *series, int64_t epoch) {
    UniformRun run = {.arena = a, .recipe = p->s.recipe};
    Counters at = {.epoch = epoch > 0 ? epoch - 1 : 0, .epochs = phase->epochs, .steps = phase->steps,
                   .batch = phase->batch, .seed = phase->seed};
    return inputs_value(&run, p->s.module->uniforms, inst, &at, series);
}

/* Settings as the run has them: only numbers can differ from those of its program. */
static double with_settings(const Grid *g, const GridRun *r, Arena *a, uint32_t inst, const RecipePhase *phase,
                            const TrainState *series, int64_t epoch) {
    GridProgram p = *g->programs.at[r->program];
    Recipe recipe = *p.s.recipe;
    recipe.settings.at = r->run->settings.at;
    p.s.recipe = &recipe;
    return criterion(&p, a, inst, phase, series, epoch);
}

static const Recipe *recipe_of(const Grid *g, const GridRun *r) { return g->programs.at[r->program]->s.recipe; }

/* By the numbers it has, whichever phase they are of. */
static double score_of(const Grid *g, const GridRun *r, const RecipePhase *phase, Arena *scratch) {
    TrainState series = {0};
    if (r->values.n == 0 || r->state == GRID_FAILED || r->state == GRID_CRASHED) return (double)NAN;
    ArenaMark mark = arena_mark(scratch);
    for (uint32_t i = 0; i < r->values.n; i++) set_series(scratch, &series, r->values.at[i].name, r->values.at[i].x);
    double x = with_settings(g, r, scratch, g->programs.at[r->program]->score, phase, &series, r->epoch);
    arena_pop(mark);
    return x;
}

double grid_score(const Grid *g, const GridRun *r, Arena *scratch) {
    const RecipePhase *last = recipe_last_phase(recipe_of(g, r));
    return r->phase.n == 0 || str_eq(r->phase, last->name) ? score_of(g, r, last, scratch) : (double)NAN;
}

/* ---- metrics.jsonl ---- */
static bool has_val(const HistoryRow *row) {
    for (uint32_t i = 0; i < row->values.n; i++)
        if (str_starts(row->values.at[i].name, "val.")) return true;
    return false;
}

bool grid_validates(const Recipe *r, const RecipePhase *p) {
    uint32_t o;
    for (uint32_t i = 0; recipe_measured(r, p, STR("val"), i, &o); i++)
        if (recipe_has_split(&r->data.at[r->objectives.at[o].data], STR("val"))) return true;
    return false;
}

/* The phase that runs by itself which a row is of; UINT32_MAX: it is of an inner one. */
static uint32_t phase_of(const Recipe *r, const HistoryRow *row) {
    for (uint32_t i = 0; i < r->phases.n; i++)
        if (!r->phases.at[i].called && str_eq(r->phases.at[i].name, row->phase)) return i;
    return UINT32_MAX;
}

static bool is_epoch(const Recipe *r, const HistoryRow *row) {
    return str_is(row->event, "epoch") && phase_of(r, row) != UINT32_MAX;
}

/* The log as it was after so many epochs. */
static GrStatus read_log(const Grid *g, const GridRun *r, int64_t until, Arena *a, History *out, Error *e) {
    int64_t epochs = 0;
    TRY(history_read(a, str_format(a, "%.*s/%.*s", FSTR(g->folder), FSTR(r->id)), out, e));
    for (uint32_t i = 0; i < out->at.n; i++) {
        epochs += is_epoch(recipe_of(g, r), &out->at.at[i]);
        if (epochs == until) out->at.n = i + 1;
    }
    return GR_OK;
}

static int64_t count_epochs(const Recipe *r, const History *h) {
    int64_t n = 0;
    for (uint32_t i = 0; i < h->at.n; i++) n += is_epoch(r, &h->at.at[i]);
    return n;
}

/* Of the last epoch. */
static uint32_t last_phase(const Recipe *r, const History *h) {
    for (uint32_t i = h->at.n; i-- > 0;)
        if (is_epoch(r, &h->at.at[i])) return phase_of(r, &h->at.at[i]);
    return UINT32_MAX;
}

static void take(Arena *a, const TrainState *latest, int64_t epoch, GridRun *r) {
    r->values.n = 0;
    r->epoch = epoch;
    for (uint32_t i = 0; i < latest->reals.n; i++) {
        Str name = latest->reals.at[i].name;                        /* series.NAME */
        vec_push(a, &r->values, ((GridValue){{name.s + 7, name.n - 7}, latest->reals.at[i].x}));
    }
}

/* The run's numbers of a phase.  false: its validation, which judges it, has not been yet. */
static bool take_phase(const Grid *g, const History *h, const RecipePhase *phase, GridRun *r, Arena *a) {
    bool needs_val = grid_validates(recipe_of(g, r), phase), measured = false;
    TrainState latest = {0};
    double best = (double)NAN;
    int64_t epochs = 0;
    r->phase = phase->name;
    r->values.n = 0;
    for (uint32_t i = 0; i < h->at.n; i++) {
        const HistoryRow *row = &h->at.at[i];
        if (!history_whole(row) || !str_eq(row->phase, phase->name)) continue;
        for (uint32_t k = 0; k < row->values.n; k++)
            if (row->values.at[k].n == 1) set_series(a, &latest, row->values.at[k].name, row->values.at[k].values[0]);
        epochs = row->epoch;
        if (needs_val && !has_val(row)) continue;
        measured = true;
        if (phase->keep.n > 0) {
            const RecipeKeep *keep = &phase->keep.at[0];
            double x = with_settings(g, r, a, keep->inst, phase, &latest, row->epoch);
            if (isnan(x) || (!isnan(best) && !(keep->highest ? x > best : x < best))) continue;
            best = x;
        }
        take(a, &latest, row->epoch, r);
    }
    if (r->values.n == 0) take(a, &latest, epochs, r);
    return measured;
}

GrStatus grid_read_score(const Grid *g, GridRun *r, Arena *a, Error *e) {
    History h;
    const Recipe *recipe = recipe_of(g, r);
    TRY(read_log(g, r, -1, a, &h, e));
    uint32_t phase = last_phase(recipe, &h);
    take_phase(g, &h, phase == UINT32_MAX ? recipe_last_phase(recipe) : &recipe->phases.at[phase], r, a);
    r->epochs = count_epochs(recipe, &h);
    r->score = grid_score(g, r, a);
    return GR_OK;
}

GrStatus grid_epochs_trained(const Grid *g, const GridRun *r, int64_t *n, Arena *a, Error *e) {
    History h;
    TRY(read_log(g, r, -1, a, &h, e));
    *n = count_epochs(recipe_of(g, r), &h);
    return GR_OK;
}

GrStatus grid_phase_at(const Grid *g, const GridRun *r, int64_t until, uint32_t *phase, Arena *a, Error *e) {
    History h;
    TRY(read_log(g, r, until, a, &h, e));
    *phase = last_phase(recipe_of(g, r), &h);
    return GR_OK;
}

GrStatus grid_score_at(const Grid *g, const GridRun *r, int64_t until, uint32_t phase, GridJudged *out, Arena *a,
                       Error *e) {
    History h;
    const RecipePhase *of = &recipe_of(g, r)->phases.at[phase];
    GridRun then = *r;
    then.values.at = NULL, then.values.n = then.values.cap = 0;
    TRY(read_log(g, r, until, a, &h, e));
    out->measured = take_phase(g, &h, of, &then, a);
    out->score = score_of(g, &then, of, a);
    return GR_OK;
}
