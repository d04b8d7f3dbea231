/* graphc runs diff A B: settings, text, data, and what came out.  Lines of the text are compared as they are but for
 * settings, whose values were told before. */
#include "compare.h"
#include "rundir.h"
#include "table.h"
#include "view.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS_MOST = 1 << 24 };

typedef struct { VEC(Str) at; } Lines;

static bool diff_settings(Arena *a, const SeenRun *x, const SeenRun *y) {
    Table t = table_make(a, 3, "lrr");
    for (int side = 0; side < 2; side++) {
        const RunRow *row = side ? &y->row : &x->row;
        for (uint32_t i = 0; i < row->settings.n; i++) {
            Str name = row->settings.at[i].name;
            const RunSetting *p = run_setting(&x->row, name), *q = run_setting(&y->row, name);
            if ((side && p) || (p && q && str_eq(p->value, q->value))) continue;
            table_cell(&t, "  %.*s", FSTR(name));
            table_cell(&t, "%.*s", FSTR(p ? p->value : STR("-")));
            table_cell(&t, "%.*s", FSTR(q ? q->value : STR("-")));
        }
    }
    printf("settings  %s\n", t.cells.n ? "" : "the same");
    table_print(&t, stdout);
    return t.cells.n == 0;
}

/* ---- text ---- */
static GrStatus read_lines(Arena *a, const SeenRun *run, Lines *out, Error *e) {
    FILE *f = fopen(rundir_file(a, run->path, RUN_PROGRAM).s, "re");
    char *line = NULL;
    size_t room = 0;
    if (!f) return fail_errno(e, GR_IO, "%.*s/" RUN_PROGRAM, FSTR(run->path));
    for (ssize_t n; (n = getline(&line, &room, f)) > 0;) {
        while (n > 0 && strchr("\n\r ", line[n - 1])) n--;
        Str s = str_copy(a, (Str){line, (uint32_t)n});
        if (!str_starts(s, "setting ")) vec_push(a, &out->at, s);
    }
    GrStatus status = feof(f) ? GR_OK : fail_errno(e, GR_IO, "%.*s/" RUN_PROGRAM, FSTR(run->path));
    free(line);
    fclose(f);
    return status;
}

/* The longest common subsequence of what is left from (i, k) on; two large texts are only known to differ. */
static void diff_lines(Arena *a, const Lines *x, const Lines *y) {
    size_t columns = y->at.n + 1;
    if ((x->at.n + 1) * columns > CELLS_MOST) {
        puts("  too long to be compared line by line");
        return;
    }
    uint32_t *longest = PUSH(a, uint32_t, (x->at.n + 1) * columns);
    for (uint32_t i = x->at.n; i-- > 0;)
        for (uint32_t k = y->at.n; k-- > 0;) {
            uint32_t *at = longest + i * columns + k, below = at[columns], right = at[1];
            *at = str_eq(x->at.at[i], y->at.at[k]) ? at[columns + 1] + 1 : below > right ? below : right;
        }
    for (uint32_t i = 0, k = 0; i < x->at.n || k < y->at.n;) {
        const uint32_t *at = longest + i * columns + k;
        bool left = i < x->at.n, right = k < y->at.n;
        if (left && right && str_eq(x->at.at[i], y->at.at[k])) i++, k++;
        else if (left && (!right || at[columns] >= at[1])) printf("  - %.*s\n", FSTR(x->at.at[i])), i++;
        else printf("  + %.*s\n", FSTR(y->at.at[k])), k++;
    }
}

static GrStatus diff_text(Arena *a, const SeenRun *x, const SeenRun *y, Error *e) {
    Lines p = {0}, q = {0};
    TRY(read_lines(a, x, &p, e));
    TRY(read_lines(a, y, &q, e));
    bool same = p.at.n == q.at.n;
    for (uint32_t i = 0; i < p.at.n && same; i++) same = str_eq(p.at.at[i], q.at.at[i]);
    printf("text      %s\n", same ? "the same" : "");
    if (!same) diff_lines(a, &p, &q);
    return GR_OK;
}

/* ---- what came out ---- */
static void diff_metrics(Arena *a, const SeenRun *x, const SeenRun *y) {
    Table t = table_make(a, 5, "lrrrr");
    static const char *const heads[] = {"metrics", "latest", "", "lowest", ""};
    for (int i = 0; i < 5; i++) table_cell(&t, "%s", heads[i]);
    for (uint32_t i = 0; i < x->row.metrics.n; i++) {
        const RunMetric *p = &x->row.metrics.at[i], *q = run_metric(&y->row, p->name);
        if (!q) continue;
        table_cell(&t, "  %.*s", FSTR(p->name));
        table_cell(&t, "%.6g", p->last);
        table_cell(&t, "%.6g", q->last);
        table_cell(&t, "%.*s", FSTR(view_number(a, p->least)));
        table_cell(&t, "%.*s", FSTR(view_number(a, q->least)));
    }
    table_print(&t, stdout);
}

GrStatus runs_diff(Arena *a, const RunsOptions *o, Error *e) {
    SeenRun x, y;
    History p, q;
    if (o->words.n != 2) return view_usage("diff", "diff compares two runs", e);
    TRY(view_one(a, o->folder, o->words.at[0], &x, e));
    TRY(view_one(a, o->folder, o->words.at[1], &y, e));
    TRY(history_read(a, x.path, &p, e));
    TRY(history_read(a, y.path, &q, e));
    diff_settings(a, &x, &y);
    TRY(diff_text(a, &x, &y, e));
    bool known = x.row.data_hash.n && y.row.data_hash.n, same = str_eq(x.row.data_hash, y.row.data_hash);
    printf("data      %s\n", !known ? "not known" : same ? "the same" : "other rows, values or splits");
    printf("bits      %.*s\n", FSTR(compare_text(a, &p, &q)));
    diff_metrics(a, &x, &y);
    return GR_OK;
}
