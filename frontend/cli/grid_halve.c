/* Successive halving (Jamieson and Talwalkar 2016): all points train for a few epochs, the best of them, one in
 * `halve`, for `halve` times as many, and so on, until those that are left have trained to the end.  Who is stopped
 * between rungs goes on from its checkpoint, to the same bits as without a stop.
 *
 * Epochs count over the phases in their order, so a rung may end in any of them.  Runs are judged by what they were at
 * the end of the rung, whatever they have trained since, so a sweep that is broken off and gone on with stops the same
 * ones; and all in the same phase, the one that the last of them is in, since numbers of different phases are of
 * different things.  A rung at which some run cannot be judged yet stops none. */
#include "grid.h"
#include <math.h>

enum { RUNGS_MOST = 32 };

/* Rungs below the last: as many as leave an epoch for the first, and a point for the last. */
static uint32_t rungs(const Grid *g) {
    int64_t epochs = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->runs.n; i++) {
        int64_t of_run = grid_epochs(g, &g->runs.at[i]);
        epochs = of_run > epochs ? of_run : epochs;
    }
    for (int64_t points = g->sweep->points; n < RUNGS_MOST && epochs >= g->halve && points > 1; n++) {
        epochs /= g->halve;
        points = (points + g->halve - 1) / g->halve;
    }
    return n;
}

static int64_t until_of(const Grid *g, uint32_t run, uint32_t below) {
    int64_t epochs = grid_epochs(g, &g->runs.at[run]);
    for (uint32_t i = 0; i < below; i++) epochs = (epochs + g->halve - 1) / g->halve;
    return below ? epochs : 0;
}

/* Runs of the points that are still in; those that have got so far already are left out. */
static GrStatus train_rung(Grid *g, const bool *in, uint32_t below, Error *e) {
    uint32_t n = 0, *runs = PUSH(g->arena, uint32_t, g->runs.n);
    int64_t *until = PUSH(g->arena, int64_t, g->runs.n);
    bool *taken = PUSH(g->arena, bool, g->runs.n);
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) {
        uint32_t i = g->of[k];
        GridRun *r = &g->runs.at[i];
        if (!in[g->sweep->runs.at[k].point] || taken[i] || grid_finished(r)) continue;
        taken[i] = true;
        until[n] = until_of(g, i, below);
        if (below && r->state == GRID_OPEN && r->epochs < until[n])     /* perhaps it is, and nobody noted it */
            TRY(grid_read_score(g, r, g->arena, e));
        if (below && r->state != GRID_CRASHED && r->epochs >= until[n]) continue;
        runs[n++] = i;
    }
    return grid_train(g, n, runs, until, e);
}

/* ---- who goes on ---- */
typedef struct { bool judged, early; uint32_t phase; double *score; } Rung;     /* early: some run; score: by run */

static bool can_be_judged(const GridRun *r) { return r->state != GRID_FAILED && r->state != GRID_CRASHED; }

/* The first phase that a run which goes on is in; one that has stopped is judged in it if it came so far. */
static GrStatus find_phase(const Grid *g, const bool *stays, uint32_t below, Rung *rung, Arena *a, Error *e) {
    rung->phase = UINT32_MAX;
    for (uint32_t i = 0; i < g->runs.n; i++) {
        const GridRun *r = &g->runs.at[i];
        uint32_t phase;
        if (!stays[i] || !can_be_judged(r) || r->state == GRID_STOPPED) continue;
        TRY(grid_phase_at(g, r, until_of(g, i, below), &phase, a, e));
        rung->early |= phase == UINT32_MAX;
        rung->phase = phase < rung->phase ? phase : rung->phase;
    }
    rung->judged = !rung->early && rung->phase != UINT32_MAX;
    return GR_OK;
}

static GrStatus judge(const Grid *g, const bool *stays, uint32_t below, Rung *rung, Arena *a, Error *e) {
    bool any = false;
    TRY(find_phase(g, stays, below, rung, a, e));
    for (uint32_t i = 0; i < g->runs.n && rung->judged; i++) {
        const GridRun *r = &g->runs.at[i];
        GridJudged now;
        rung->score[i] = (double)NAN;
        if (!stays[i] || !can_be_judged(r)) continue;
        TRY(grid_score_at(g, r, until_of(g, i, below), rung->phase, &now, a, e));
        rung->score[i] = now.score;
        rung->judged = now.measured || r->state == GRID_STOPPED;
        rung->early |= !rung->judged;
        any |= !isnan(now.score);
    }
    rung->judged &= any;
    return GR_OK;
}

/* The best of those that are in stay. */
static void keep_best(Grid *g, const Rung *rung, bool *in, int64_t left) {
    double *scores = PUSH(g->arena, double, g->runs.n + 1);
    for (uint32_t i = 0; i < g->runs.n; i++) scores[i] = g->runs.at[i].score, g->runs.at[i].score = rung->score[i];
    const uint32_t *order = grid_order(g->arena, g);
    for (uint32_t i = 0; i < g->runs.n; i++) g->runs.at[i].score = scores[i];
    for (uint32_t i = 0; i < g->sweep->points; i++) {
        bool *point = &in[order[i]];
        *point = *point && left-- > 0;
    }
}

static bool *runs_of(const Grid *g, const bool *in) {
    bool *stays = PUSH(g->arena, bool, g->runs.n + 1);
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) stays[g->of[k]] |= in[g->sweep->runs.at[k].point];
    return stays;
}

static GrStatus halve(Grid *g, bool *in, uint32_t below, int64_t left, Error *e) {
    Rung rung = {.score = PUSH(g->arena, double, g->runs.n + 1)};
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->sweep->points; i++) n += in[i];
    if (n <= left) return GR_OK;
    Arena *scratch = arena_create();
    GrStatus status = judge(g, runs_of(g, in), below, &rung, scratch, e);
    arena_destroy(scratch);
    TRY(status);
    if (rung.judged) keep_best(g, &rung, in, left);
    else if (rung.early && !g->quiet)
        printf("halving     %.*s is not measured so early: none is stopped\n", FSTR(g->score));
    return GR_OK;
}

static GrStatus mark_halted(Grid *g, const bool *in, Error *e) {
    const bool *stays = runs_of(g, in);
    for (uint32_t i = 0; i < g->runs.n; i++) {
        GridRun *r = &g->runs.at[i];
        if (stays[i] || r->state != GRID_OPEN) continue;
        r->state = GRID_HALTED;
        TRY(grid_write_result(g, r, e));
        grid_keep_weights(g, i);
    }
    return GR_OK;
}

/* Those that an earlier call has halted stay so. */
static bool *who_is_in(const Grid *g) {
    bool *in = PUSH(g->arena, bool, g->sweep->points + 1);
    for (uint32_t k = 0; k < g->sweep->runs.n; k++)
        in[g->sweep->runs.at[k].point] |= g->runs.at[g->of[k]].state != GRID_HALTED;
    return in;
}

GrStatus grid_train_halving(Grid *g, Error *e) {
    bool *in = who_is_in(g);
    int64_t left = g->sweep->points;
    for (uint32_t below = rungs(g); below > 0; below--) {
        TRY(train_rung(g, in, below, e));
        left = (left + g->halve - 1) / g->halve;
        TRY(halve(g, in, below, left, e));
        TRY(mark_halted(g, in, e));
    }
    return train_rung(g, in, 0, e);
}

/* The epochs of the longest run at which points are stopped. */
void grid_print_halving(const Grid *g) {
    uint32_t longest = 0;
    for (uint32_t i = 1; i < g->runs.n; i++)
        longest = grid_epochs(g, &g->runs.at[i]) > grid_epochs(g, &g->runs.at[longest]) ? i : longest;
    if (g->halve == 0) return;
    if (rungs(g) == 0) {
        printf("halving     stops none: it takes two points, and at least %lld epochs\n", (long long)g->halve);
        return;
    }
    printf("halving     one in %lld goes on after epoch", (long long)g->halve);
    for (uint32_t below = rungs(g); below > 0; below--)
        printf(" %lld%s", (long long)until_of(g, longest, below), below > 1 ? "," : "\n");
}
