/* graphc runs: a line a run.  Settings that all runs share say nothing and are left out. */
#include "card.h"
#include "table.h"
#include "view.h"
#include <math.h>
#include <string.h>

typedef struct { VEC(Str) at; } Keys;

static bool any_has(Arena *a, const SeenRuns *runs, Str key) {
    double x;
    for (uint32_t i = 0; i < runs->at.n; i++)
        if (view_value(a, &runs->at.at[i], key, &x).n) return true;
    return false;
}

static bool all_same(const SeenRuns *runs, Str setting) {
    const RunSetting *first = run_setting(&runs->at.at[0].row, setting);
    for (uint32_t i = 1; i < runs->at.n; i++) {
        const RunSetting *s = run_setting(&runs->at.at[i].row, setting);
        if (!first != !s || (s && !str_eq(first->value, s->value))) return false;
    }
    return true;
}

static void add_key(Arena *a, Keys *keys, Str key) {
    for (uint32_t i = 0; i < keys->at.n; i++)
        if (str_eq(keys->at.at[i], key)) return;
    vec_push(a, &keys->at, key);
}

static void add_settings(Arena *a, const SeenRuns *runs, Keys *keys) {
    for (uint32_t i = 0; i < runs->at.n; i++) {
        const RunRow *row = &runs->at.at[i].row;
        for (uint32_t k = 0; k < row->settings.n; k++)
            if (!all_same(runs, row->settings.at[k].name)) add_key(a, keys, view_setting(a, row->settings.at[k].name));
    }
}

/* What is sorted by, else the total; then what differs, and remarks. */
static Keys default_keys(Arena *a, const RunsOptions *o, const SeenRuns *runs) {
    Keys keys = {0};
    vec_push(a, &keys.at, STR("state"));
    if (o->sort) add_key(a, &keys, str_of(o->sort + (o->sort[0] == '-')));
    if (any_has(a, runs, STR("val.total"))) {
        add_key(a, &keys, STR("val.total"));
        add_key(a, &keys, STR("lowest val.total"));
    } else if (any_has(a, runs, STR("train.total"))) {
        add_key(a, &keys, STR("train.total"));
    }
    add_settings(a, runs, &keys);
    if (any_has(a, runs, STR("tags"))) add_key(a, &keys, STR("tags"));
    if (any_has(a, runs, STR("note"))) add_key(a, &keys, STR("note"));
    return keys;
}

static Keys asked_keys(Arena *a, const char *list) {
    Keys keys = {0};
    for (Str name; view_next_name(&list, &name);) vec_push(a, &keys.at, name);
    return keys;
}

static char *alignment(Arena *a, const SeenRuns *runs, const Keys *keys) {
    char *right = PUSH(a, char, keys->at.n + 4);
    memcpy(right, "lrr", 3);
    for (uint32_t k = 0; k < keys->at.n; k++) {
        bool numbers = true;
        for (uint32_t i = 0; i < runs->at.n; i++) {
            double x;
            numbers = numbers && (view_value(a, &runs->at.at[i], keys->at.at[k], &x).n == 0 || !isnan(x));
        }
        right[k + 3] = numbers ? 'r' : 'l';
    }
    return right;
}

static void print_table(Arena *a, const RunsOptions *o, const SeenRuns *runs) {
    Keys keys = o->columns ? asked_keys(a, o->columns) : default_keys(a, o, runs);
    Table t = table_make(a, keys.at.n + 3, alignment(a, runs, &keys));
    table_cell(&t, "run");
    table_cell(&t, "epoch");
    table_cell(&t, "time");
    for (uint32_t k = 0; k < keys.at.n; k++) table_cell(&t, "%.*s", FSTR(keys.at.at[k]));
    for (uint32_t i = 0; i < runs->at.n; i++) {
        const SeenRun *r = &runs->at.at[i];
        double x;
        table_cell(&t, "%.*s", FSTR(r->path));
        if (r->row.epochs) table_cell(&t, "%lld/%lld", (long long)r->row.epoch, (long long)r->row.epochs);
        else table_cell(&t, "%lld", (long long)r->row.epoch);
        table_cell(&t, "%.*s", FSTR(view_seconds(a, r->row.seconds)));
        for (uint32_t k = 0; k < keys.at.n; k++) table_cell(&t, "%.*s", FSTR(view_value(a, r, keys.at.at[k], &x)));
    }
    table_print(&t, stdout);
}

GrStatus runs_list(Arena *a, const RunsOptions *o, Error *e) {
    SeenRuns runs;
    TRY(view_all(a, o, &runs, e));
    for (uint32_t i = 0; i < runs.at.n && o->common.json; i++)
        puts(card_text(a, runs.at.at[i].path, &runs.at.at[i].row, false).s);
    if (o->common.json) return GR_OK;
    if (runs.at.n) print_table(a, o, &runs);
    else printf("no runs%s\n", o->where.n ? " like that" : "");
    return GR_OK;
}
