/* graphc runs show, mark, export: one run at a time. */
#include "card.h"
#include "csvcell.h"
#include "csvlog.h"
#include "table.h"
#include "view.h"
#include <math.h>
#include <string.h>

static GrStatus want_runs(const RunsOptions *o, uint32_t least, uint32_t most, const char *word, Error *e) {
    if (o->words.n >= least && o->words.n <= most) return GR_OK;
    return view_usage(word, o->words.n < least ? "which run?" : "these are too many", e);
}

/* ---- show ---- */
static void print_fields(Arena *a, const SeenRun *run) {
    double x;
#define FIELD(kind, name, what) \
    if (view_value(a, run, STR(#name), &x).n) printf("%-13s %.*s\n", #name, FSTR(view_value(a, run, STR(#name), &x)));
#include "fields.def"
#undef FIELD
    if (run->row.tags.n) printf("%-13s %.*s\n", "tags", FSTR(view_value(a, run, STR("tags"), &x)));
    for (uint32_t i = 0; i < run->row.settings.n; i++)
        printf("%s%.*s = %.*s", i ? ", " : "settings      ", FSTR(run->row.settings.at[i].name),
               FSTR(run->row.settings.at[i].value));
    if (run->row.settings.n) putchar('\n');
}

static void print_metrics(Arena *a, const RunRow *row) {
    Table t = table_make(a, 6, "lrrrrr");
    static const char *const heads[] = {"series", "latest", "lowest", "epoch", "highest", "epoch"};
    for (int i = 0; i < 6; i++) table_cell(&t, "%s", heads[i]);
    for (uint32_t i = 0; i < row->metrics.n; i++) {
        const RunMetric *m = &row->metrics.at[i];
        table_cell(&t, "%.*s", FSTR(m->name));
        table_cell(&t, "%.6g", m->last);
        if (!isnan(m->least)) {
            table_cell(&t, "%.6g", m->least);
            table_cell(&t, "%lld", (long long)m->least_epoch);
            table_cell(&t, "%.6g", m->most);
            table_cell(&t, "%lld", (long long)m->most_epoch);
        }
        table_end_row(&t);
    }
    putchar('\n');
    table_print(&t, stdout);
}

GrStatus runs_show(Arena *a, const RunsOptions *o, Error *e) {
    SeenRun run;
    TRY(want_runs(o, 1, 1, "show", e));
    TRY(view_one(a, o->folder, o->words.at[0], &run, e));
    if (o->common.json) {
        puts(card_text(a, run.path, &run.row, true).s);
        return GR_OK;
    }
    printf("%.*s\n", FSTR(run.path));
    print_fields(a, &run);
    if (run.row.metrics.n) print_metrics(a, &run.row);
    return GR_OK;
}

/* ---- mark ---- */
static bool among(const Words *words, Str s) {
    for (uint32_t i = 0; i < words->n; i++)
        if (str_is(s, words->at[i])) return true;
    return false;
}

GrStatus runs_mark(Arena *a, const RunsOptions *o, Error *e) {
    TRY(want_runs(o, 1, WORDS_MOST, "mark", e));
    for (uint32_t i = 0; i < o->words.n; i++) {
        SeenRun run;
        TRY(view_one(a, o->folder, o->words.at[i], &run, e));
        if (str_eq(run.row.state, RUN_RUNNING))
            return fail(e, GR_IO, "%.*s is being trained: mark it when it has ended", FSTR(run.path));
        uint32_t kept = 0;
        for (uint32_t k = 0; k < run.row.tags.n; k++)
            if (!among(&o->untags, run.row.tags.at[k]) && !among(&o->tags, run.row.tags.at[k]))
                run.row.tags.at[kept++] = run.row.tags.at[k];
        run.row.tags.n = kept;
        for (uint32_t k = 0; k < o->tags.n; k++) vec_push(a, &run.row.tags, str_of(o->tags.at[k]));
        if (o->note) run.row.note = str_of(o->note);
        TRY(view_put(a, &o->common, &run, e));
    }
    return GR_OK;
}

/* ---- export ---- */
/* A line a run: fields, settings, then each series with its latest, lowest and highest value. */
static void export_all(Arena *a, const SeenRuns *runs) {
    VEC(Str) keys = {0};
    vec_push(a, &keys, STR("run"));
#define FIELD(kind, name, what) vec_push(a, &keys, STR(#name));
#include "fields.def"
#undef FIELD
    vec_push(a, &keys, STR("tags"));
    uint32_t fixed = keys.n;
    for (uint32_t i = 0; i < runs->at.n; i++) {
        const RunRow *row = &runs->at.at[i].row;
        for (uint32_t k = 0; k < row->settings.n + row->metrics.n; k++) {
            bool metric = k >= row->settings.n, known = false;
            Str name = metric ? row->metrics.at[k - row->settings.n].name : view_setting(a, row->settings.at[k].name);
            for (uint32_t m = fixed; m < keys.n && !known; m++) known = str_eq(keys.at[m], name);
            if (known) continue;
            vec_push(a, &keys, name);
            if (metric) vec_push(a, &keys, str_format(a, "lowest %.*s", FSTR(name)));
            if (metric) vec_push(a, &keys, str_format(a, "highest %.*s", FSTR(name)));
        }
    }
    Buf head = buf_make(a);
    for (uint32_t k = 0; k < keys.n; k++) csv_cell(&head, k == 0, keys.at[k]);
    puts(buf_str(&head).s);
    for (uint32_t i = 0; i < runs->at.n; i++) {
        ArenaMark mark = arena_mark(a);
        Buf row = buf_make(a);
        for (uint32_t k = 0; k < keys.n; k++) {
            double x;
            csv_cell(&row, k == 0, view_value(a, &runs->at.at[i], keys.at[k], &x));
        }
        puts(buf_str(&row).s);
        arena_pop(mark);
    }
}

GrStatus runs_export(Arena *a, const RunsOptions *o, Error *e) {
    if (o->words.n < 1 || o->words.n > 2 || strcmp(o->words.at[0], "csv") != 0)
        return view_usage("export", "what is exported is csv, of all runs or of one", e);
    if (o->words.n == 1) {
        SeenRuns runs;
        TRY(view_all(a, o, &runs, e));
        export_all(a, &runs);
        return GR_OK;
    }
    if (o->where.n || o->sort) return view_usage("export", "--where and --sort are of all runs, not of one", e);
    SeenRun run;
    History h;
    TRY(view_one(a, o->folder, o->words.at[1], &run, e));
    TRY(history_read(a, run.path, &h, e));
    csvlog_print(a, &h, stdout);
    return GR_OK;
}
