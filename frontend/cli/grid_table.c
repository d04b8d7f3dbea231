/* What came of a sweep: points from the best on, as a table, as CSV and as JSON.  A point that is repeated is as good
 * as the mean of its repeats, with their standard deviation beside it (of a sample: n - 1). */
#include "atomic.h"
#include "csvcell.h"
#include "grid.h"
#include "json_text.h"
#include "rundir.h"
#include "table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- points ---- */
GridMean grid_mean(const Grid *g, uint32_t point) {
    GridMean m = {0};
    double m2 = 0;
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) {
        const GridRun *r = &g->runs.at[g->of[k]];
        if (g->sweep->runs.at[k].point != point || isnan(r->score)) continue;
        double off = r->score - m.mean;
        m.mean += off / ++m.n;
        m2 += off * (r->score - m.mean);
    }
    if (m.n == 0) m.mean = (double)NAN;
    m.sd = m.n > 1 ? sqrt(m2 / (m.n - 1)) : (double)NAN;
    return m;
}

const uint32_t *grid_order(Arena *a, const Grid *g) {
    uint32_t n = g->sweep->points, *order = PUSH(a, uint32_t, n + 1);
    double *mean = PUSH(a, double, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        double x = mean[i] = grid_mean(g, i).mean;
        uint32_t at = i;                                /* the first of equals stays first */
        for (; at > 0 && grid_better(g, x, mean[order[at - 1]]); at--) order[at] = order[at - 1];
        order[at] = i;
    }
    return order;
}

/* The first run of a point, and of its states the one that is furthest from done. */
static const RecipeSweepRun *first_of(const Grid *g, uint32_t point) {
    uint32_t k = 0;
    while (g->sweep->runs.at[k].point != point) k++;
    return &g->sweep->runs.at[k];
}

static const char *state_of(const Grid *g, uint32_t point) {
    GridState worst = GRID_DONE;
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) {
        GridState s = g->runs.at[g->of[k]].state;
        if (g->sweep->runs.at[k].point == point && s != GRID_DONE && (worst == GRID_DONE || s > worst)) worst = s;
    }
    return grid_state(worst);
}

static double seconds_of(const Grid *g, uint32_t point) {
    double s = 0;
    for (uint32_t k = 0; k < g->sweep->runs.n; k++)
        if (g->sweep->runs.at[k].point == point) s += g->runs.at[g->of[k]].seconds;
    return s;
}

/* ---- text ---- */
static bool varies(const Grid *g, uint32_t name) {
    return !g->sweep->runs.at[0].values.at[name].repeat && grid_varies(g, name);
}

static bool repeats(const Grid *g) { return g->sweep->runs.n > g->sweep->points; }

static Table head(const Grid *g, uint32_t n_values) {
    uint32_t columns = n_values + 3 + 2 * repeats(g) + 1;
    char *right = PUSH(g->arena, char, columns + 1);
    memset(right, 'r', columns - 1);
    right[columns - 1] = '.';
    Table t = table_make(g->arena, columns, right);
    for (uint32_t i = 0; i < g->sweep->runs.at[0].values.n; i++)
        if (varies(g, i)) table_cell(&t, "%.*s", FSTR(g->sweep->runs.at[0].values.at[i].name));
    table_cell(&t, "%.*s", FSTR(g->score));
    if (repeats(g)) table_cell(&t, "± sd"), table_cell(&t, "n");
    table_cell(&t, "epoch");
    table_cell(&t, "seconds");
    table_cell(&t, "%s", "");
    return t;
}

static void put_point(const Grid *g, uint32_t point, Table *t) {
    const RecipeSweepRun *run = first_of(g, point);
    GridMean m = grid_mean(g, point);
    const GridRun *r = &g->runs.at[g->of[run - g->sweep->runs.at]];
    for (uint32_t i = 0; i < run->values.n; i++)
        if (varies(g, i)) table_cell(t, "%.*s", FSTR(run->values.at[i].value));
    if (m.n) table_cell(t, "%.5g", m.mean);
    else table_cell(t, "-");
    if (repeats(g)) {
        if (m.n > 1) table_cell(t, "%.2g", m.sd);
        else table_cell(t, "-");
        table_cell(t, "%u", m.n);
    }
    table_cell(t, "%lld", (long long)r->epoch);
    table_cell(t, "%.2f", seconds_of(g, point));
    table_cell(t, "%s", strcmp(state_of(g, point), "done") == 0 ? "" : state_of(g, point));
}

void grid_print(const Grid *g, uint32_t most) {
    uint32_t n_values = 0, shown = most && most < g->sweep->points ? most : g->sweep->points;
    const uint32_t *order = grid_order(g->arena, g);
    for (uint32_t i = 0; i < g->sweep->runs.at[0].values.n; i++) n_values += varies(g, i);
    Table t = head(g, n_values);
    for (uint32_t i = 0; i < shown; i++) put_point(g, order[i], &t);
    putchar('\n');
    table_print(&t, stdout);
    if (shown < g->sweep->points)
        printf("%u more points are in %.*s/table.csv\n", g->sweep->points - shown, FSTR(g->folder));
    if (g->best_run == UINT32_MAX) return;
    Str folder = grid_folder_of(g, g->best_run), label = grid_label(g->arena, g, g->best_run);
    printf("best        %.*s  %.*s\n", FSTR(folder), FSTR(label));
    if (!rundir_saved(g->arena, folder))
        printf("            its weights are not kept; `graphc train %.*s/" RUN_PROGRAM "` makes them\n", FSTR(folder));
}

/* ---- CSV ---- */
/* The values of all runs, in the order in which they are first met. */
static void all_names(const Grid *g, Arena *a, uint32_t *n, Str **out) {
    VEC(Str) names = {0};
    for (uint32_t i = 0; i < g->runs.n; i++) {
        for (uint32_t k = 0; k < g->runs.at[i].values.n; k++) {
            uint32_t j = 0;
            while (j < names.n && !str_eq(names.at[j], g->runs.at[i].values.at[k].name)) j++;
            if (j == names.n) vec_push(a, &names, g->runs.at[i].values.at[k].name);
        }
    }
    *n = names.n;
    *out = names.at;
}

static double value_of(const GridRun *r, Str name) {
    for (uint32_t i = 0; i < r->values.n; i++)
        if (str_eq(r->values.at[i].name, name)) return r->values.at[i].x;
    return (double)NAN;
}

GrStatus grid_write_csv(const Grid *g, Error *e) {
    Arena *a = arena_create();
    Buf b = buf_make(a);
    uint32_t n;
    Str *names;
    all_names(g, a, &n, &names);
    csv_cell(&b, true, STR("run"));
    const RecipeSweepRun *first = &g->sweep->runs.at[0];
    for (uint32_t i = 0; i < first->values.n; i++) csv_cell(&b, false, first->values.at[i].name);
    static const char *const more[] = {"point", "state", "phase", "epoch", "epochs", "seconds", "score"};
    for (uint32_t i = 0; i < sizeof more / sizeof *more; i++) csv_cell(&b, false, str_of(more[i]));
    for (uint32_t i = 0; i < n; i++) csv_cell(&b, false, names[i]);
    buf_char(&b, '\n');
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) {
        const RecipeSweepRun *run = &g->sweep->runs.at[k];
        const GridRun *r = &g->runs.at[g->of[k]];
        csv_cell(&b, true, r->id);
        for (uint32_t i = 0; i < run->values.n; i++) csv_cell(&b, false, run->values.at[i].value);
        csv_number(&b, false, run->point);
        csv_cell(&b, false, str_of(grid_state(r->state)));
        csv_cell(&b, false, r->phase);
        csv_number(&b, false, (double)r->epoch);
        csv_number(&b, false, (double)r->epochs);
        csv_number(&b, false, r->seconds);
        csv_number(&b, false, r->score);
        for (uint32_t i = 0; i < n; i++) csv_number(&b, false, value_of(r, names[i]));
        buf_char(&b, '\n');
    }
    GrStatus status = atomic_write_text(a, rundir_file(a, g->folder, "table.csv"), buf_str(&b), e);
    arena_destroy(a);
    return status;
}

/* ---- JSON ---- */
static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *settings_json(const RecipeSweepRun *run, bool repeated) {
    json_t *out = json_object();
    for (uint32_t i = 0; i < run->values.n; i++) {
        const RecipeValue *v = &run->values.at[i];
        if (repeated || !v->repeat) json_put(out, v->name, json_text(v->value));
    }
    return out;
}

static json_t *run_json(const Grid *g, uint32_t k) {
    const RecipeSweepRun *run = &g->sweep->runs.at[k];
    const GridRun *r = &g->runs.at[g->of[k]];
    json_t *j = json_object(), *values = json_object();
    json_object_set_new(j, "run", json_text(r->id));
    json_object_set_new(j, "point", json_integer(run->point));
    json_object_set_new(j, "settings", settings_json(run, true));
    json_object_set_new(j, "state", json_string(grid_state(r->state)));
    if (r->why.n) json_object_set_new(j, "why", json_text(r->why));
    json_object_set_new(j, "phase", json_text(r->phase));
    json_object_set_new(j, "epoch", json_integer(r->epoch));
    json_object_set_new(j, "epochs", json_integer(r->epochs));
    json_object_set_new(j, "seconds", number(r->seconds));
    json_object_set_new(j, "score", number(r->score));
    for (uint32_t i = 0; i < r->values.n; i++)
        json_put(values, r->values.at[i].name, number(r->values.at[i].x));
    json_object_set_new(j, "values", values);
    return j;
}

static json_t *point_json(const Grid *g, uint32_t point) {
    GridMean m = grid_mean(g, point);
    json_t *j = json_object();
    json_object_set_new(j, "point", json_integer(point));
    json_object_set_new(j, "settings", settings_json(first_of(g, point), false));
    json_object_set_new(j, "n", json_integer(m.n));
    json_object_set_new(j, "mean", number(m.mean));
    json_object_set_new(j, "sd", number(m.sd));
    return j;
}

static json_t *estimate_json(const Grid *g) {
    GridEstimate x = grid_estimate(g);
    json_t *j = json_object();
    json_object_set_new(j, "runs", json_integer(x.open));
    json_object_set_new(j, "jobs", json_integer(g->jobs));
    json_object_set_new(j, "bytes", json_integer((json_int_t)x.bytes));
    json_object_set_new(j, "seconds", number(x.seconds));
    return j;
}

json_t *grid_json(const Grid *g, bool plan) {
    json_t *all = json_object(), *points = json_array(), *runs = json_array();
    const uint32_t *order = grid_order(g->arena, g);
    for (uint32_t i = 0; i < g->sweep->points; i++) json_array_append_new(points, point_json(g, order[i]));
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) json_array_append_new(runs, run_json(g, k));
    json_object_set_new(all, "sweep", json_text(g->sweep->name));
    json_object_set_new(all, "folder", json_text(g->folder));
    json_object_set_new(all, "programs", json_integer(g->programs.n));
    json_object_set_new(all, "skipped", json_integer(g->sweep->skipped));
    json_object_set_new(all, "criterion", json_text(g->score));
    json_object_set_new(all, "highest", json_boolean(g->highest));
    json_object_set_new(all, "best", g->best_run == UINT32_MAX ? json_null() : json_text(g->runs.at[g->best_run].id));
    if (g->best_run != UINT32_MAX)
        json_object_set_new(all, "weights", json_boolean(rundir_saved(g->arena, grid_folder_of(g, g->best_run))));
    if (plan) json_object_set_new(all, "estimate", estimate_json(g));
    json_object_set_new(all, "points", points);
    json_object_set_new(all, "runs", runs);
    return all;
}
