/* graphc runs plot: series over the epochs, one plot a series, all runs in it. */
#include "braille.h"
#include "history.h"
#include "view.h"
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS = 72 };

static uint32_t columns(void) {
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col - 1u : COLUMNS;
}

/* Epochs of all phases one behind the other; a validation in the middle of an epoch stands at the epoch before it. */
static Curve curve_of(Arena *a, const SeenRun *run, const History *h, Str series) {
    Curve c = {.name = run->path};
    double *x = PUSH(a, double, h->at.n + 1), *y = PUSH(a, double, h->at.n + 1), before = 0;
    for (uint32_t i = 0; i < h->at.n; i++) {
        const HistoryRow *r = &h->at.at[i];
        const HistoryValue *v = history_value(r, series);
        bool next = i > 0 && !str_eq(r->phase, h->at.at[i - 1].phase);
        before += next ? (double)h->at.at[i - 1].epoch : 0;
        if (!v || v->n != 1 || !history_whole(r)) continue;
        x[c.n] = before + (double)r->epoch;
        y[c.n++] = v->values[0];
    }
    c.x = x;
    c.y = y;
    return c;
}

static bool has_series(const History *h, Str series) {
    for (uint32_t i = 0; i < h->at.n; i++)
        if (history_value(&h->at.at[i], series)) return true;
    return false;
}

static GrStatus no_series(const SeenRun *run, const History *h, const char *series, Error *e) {
    Nearest near = nearest_to(str_of(series));
    for (uint32_t i = 0; i < h->at.n; i++)
        for (uint32_t k = 0; k < h->at.at[i].values.n; k++) nearest_consider(&near, h->at.at[i].values.at[k].name);
    fail(e, GR_USAGE, "%.*s has no series `%s`", FSTR(run->path), series);
    if (near.best.n) fail_help(e, "did you mean `%.*s`?", FSTR(near.best));
    else fail_help(e, "`graphc runs show %.*s` lists its series", FSTR(run->path));
    return GR_USAGE;
}

static GrStatus plot(Arena *a, const SeenRun *runs, const History *logs, uint32_t n, const char *series, Error *e) {
    Curve *curves = PUSH(a, Curve, n);
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        curves[i] = curve_of(a, &runs[i], &logs[i], str_of(series));
        any = any || has_series(&logs[i], str_of(series));
    }
    if (!any) return no_series(&runs[0], &logs[0], series, e);
    printf("%s\n", series);
    curves_print(a, curves, n, columns(), stdout);
    return GR_OK;
}

GrStatus runs_plot(Arena *a, const RunsOptions *o, Error *e) {
    uint32_t n = o->words.n;
    SeenRun *runs = PUSH(a, SeenRun, n + 1);
    History *logs = PUSH(a, History, n + 1);
    if (n == 0) return view_usage("plot", "which runs?", e);
    for (uint32_t i = 0; i < n; i++) {
        TRY(view_one(a, o->folder, o->words.at[i], &runs[i], e));
        TRY(history_read(a, runs[i].path, &logs[i], e));
    }
    for (uint32_t i = 0; i < o->metrics.n; i++) TRY(plot(a, runs, logs, n, o->metrics.at[i], e));
    if (o->metrics.n) return GR_OK;
    bool train = has_series(&logs[0], STR("train.total")), val = has_series(&logs[0], STR("val.total"));
    if (!train && !val) return fail(e, GR_DATA, "%.*s has no total yet", FSTR(runs[0].path));
    if (train) TRY(plot(a, runs, logs, n, "train.total", e));
    return val ? plot(a, runs, logs, n, "val.total", e) : GR_OK;
}
