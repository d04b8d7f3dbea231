/* Successive halving (Jamieson and Talwalkar 2016): all points train for a few epochs, the best of them, one in
 * `halve`, for `halve` times as many, and so on, until those that are left have trained to the end.  Who is stopped
 * between rungs goes on from its checkpoint, to the same bits as without a stop. */
#include "grid.h"

enum { RUNGS_MOST = 32 };

GrStatus grid_check_halving(const Grid *g, Error *e) {
    const Recipe *r = g->s->recipe;
    uint32_t phases = 0;
    for (uint32_t i = 0; i < r->phases.n; i++) phases += !r->phases.at[i].called;
    if (g->halve == 0 || (phases == 1 && recipe_last_phase(r)->epochs > 0)) return GR_OK;
    fail(e, GR_PROGRAM, phases > 1 ? "halving takes a file with one `train` that runs by itself, this has %u"
                                   : "halving counts epochs, and `train` counts steps", phases);
    fail_help(e, "without `--halve` every run trains to its end");
    return GR_PROGRAM;
}

static int64_t epochs_of(const Grid *g, uint32_t run) { return grid_last_phase(g, &g->runs.at[run]).epochs; }

/* Rungs below the last: as many as leave an epoch for the first, and a point for the last. */
static uint32_t rungs(const Grid *g) {
    int64_t epochs = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->runs.n; i++) epochs = epochs_of(g, i) > epochs ? epochs_of(g, i) : epochs;
    for (int64_t points = g->sweep->points; n < RUNGS_MOST && epochs >= g->halve && points > 1; n++) {
        epochs /= g->halve;
        points = (points + g->halve - 1) / g->halve;
    }
    return n;
}

static int64_t until_of(const Grid *g, uint32_t run, uint32_t below) {
    int64_t epochs = epochs_of(g, run);
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
        if (below && r->state != GRID_CRASHED && r->epochs >= until[n]) continue;
        runs[n++] = i;
    }
    return grid_train(g, n, runs, until, e);
}

/* The best of those that are in stay. */
static void halve(Grid *g, bool *in, int64_t left) {
    const uint32_t *order = grid_order(g->arena, g);
    for (uint32_t i = 0; i < g->sweep->points; i++) {
        bool *point = &in[order[i]];
        *point = *point && left-- > 0;
    }
}

static GrStatus mark_halted(Grid *g, const bool *in, Error *e) {
    bool *stays = PUSH(g->arena, bool, g->runs.n);
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) stays[g->of[k]] |= in[g->sweep->runs.at[k].point];
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
        halve(g, in, left);
        TRY(mark_halted(g, in, e));
    }
    return train_rung(g, in, 0, e);
}
