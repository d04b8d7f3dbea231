/* A row in memory: what it holds by name, and one more number in it. */
#include "runs.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

const RunMetric *run_metric(const RunRow *row, Str name) {
    for (uint32_t i = 0; i < row->metrics.n; i++) {
        if (str_eq(row->metrics.at[i].name, name))
            return &row->metrics.at[i];
    }
    return NULL;
}

const RunSetting *run_setting(const RunRow *row, Str name) {
    for (uint32_t i = 0; i < row->settings.n; i++) {
        if (str_eq(row->settings.at[i].name, name))
            return &row->settings.at[i];
    }
    return NULL;
}

void runs_measure(Arena *a, RunRow *row, Str name, double x, int64_t epoch, bool extreme) {
    RunMetric *m = (RunMetric *)run_metric(row, name);
    if (m == NULL) {
        vec_push(a, &row->metrics, (RunMetric){.name = str_copy(a, name), .last = NAN, .least = NAN, .most = NAN});
        m = &row->metrics.at[row->metrics.n - 1];
    }
    m->last = x;
    if (!extreme || isnan(x))
        return;
    if (isnan(m->least) || x < m->least)
        m->least = x, m->least_epoch = epoch;
    if (isnan(m->most) || x > m->most)
        m->most = x, m->most_epoch = epoch;
}

Str run_time(Arena *a) {
    time_t now = time(NULL);
    struct tm t;
    char text[32];
    gmtime_r(&now, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &t);
    return str_copy(a, str_of(text));
}

static uint32_t begin_of_name(Str *run) {
    while (run->n > 1 && run->s[run->n - 1] == '/')
        run->n--;
    uint32_t slash = run->n;
    while (slash > 0 && run->s[slash - 1] != '/')
        slash--;
    return slash;
}

void run_split(Arena *a, Str run, Str *folder, Str *name) {
    char whole[PATH_MAX];
    uint32_t slash = begin_of_name(&run);
    Str last = {run.s + slash, run.n - slash};
    if ((str_is(last, ".") || str_is(last, "..")) && realpath(str_copy(a, run).s, whole) != NULL) {
        run = str_of(whole);                 /* the folder one stands in has a name as well */
        slash = begin_of_name(&run);
    }
    *name = str_copy(a, (Str){run.s + slash, run.n - slash});
    *folder = slash == 0 ? STR(".") : slash == 1 ? STR("/") : str_copy(a, (Str){run.s, slash - 1});
}
