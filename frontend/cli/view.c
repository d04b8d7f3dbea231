/* A run is found by its folder, which says all there is to know; a list takes the rows of runs.db instead, since there
 * may be thousands.  A row that says its run goes on is held against the lock of the folder: what no process has was
 * killed. */
#include "view.h"
#include "card.h"
#include "rundir.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- values ---- */
static double number_of(Arena *a, Str text) {
    char *end;
    const char *z = str_copy(a, text).s;
    double x = strtod(z, &end);
    return text.n == 0 || *end ? NAN : x;
}

Str view_number(Arena *a, double x) { return isnan(x) ? STR("") : str_format(a, "%.5g", x); }

Str view_seconds(Arena *a, double s) {
    if (!(s >= 0 && s < 1e12)) return STR("?");
    long whole = lround(s);
    return whole >= 3600 ? str_format(a, "%ld h %02ld min", whole / 3600, whole / 60 % 60)
           : whole >= 60 ? str_format(a, "%ld min %02ld s", whole / 60, whole % 60)
                         : str_format(a, "%.1f s", s);
}

static Str tags_text(Arena *a, const RunRow *row) {
    Buf b = buf_make(a);
    for (uint32_t i = 0; i < row->tags.n; i++) buf_printf(&b, "%s%.*s", i ? " " : "", FSTR(row->tags.at[i]));
    return buf_str(&b);
}

static Str text_value(Arena *a, Str s, double *number) {
    *number = number_of(a, s);
    return s;
}

static Str real_value(Arena *a, double x, double *number) {
    *number = x;
    return view_number(a, x);
}

static Str int_value(Arena *a, int64_t x, double *number) {
    *number = (double)x;
    return str_format(a, "%lld", (long long)x);
}

static const char k_lowest[] = "lowest ", k_highest[] = "highest ";

static Str series_of(Str key) {
    uint32_t skip = str_starts(key, k_lowest)    ? sizeof k_lowest - 1
                    : str_starts(key, k_highest) ? sizeof k_highest - 1
                                                 : 0;
    return (Str){key.s + skip, key.n - skip};
}

static const char k_settings[] = "settings.";

static bool is_field(Str key) {
    bool field = str_is(key, "run") || str_is(key, "tags");
#define FIELD(kind, name, what) field |= str_is(key, #name);
#include "fields.def"
#undef FIELD
    return field;
}

Str view_setting(Arena *a, Str name) {
    return is_field(name) ? str_format(a, "%s%.*s", k_settings, FSTR(name)) : name;
}

static Str setting_of(Str key) {
    uint32_t skip = str_starts(key, k_settings) ? sizeof k_settings - 1 : 0;
    return (Str){key.s + skip, key.n - skip};
}

Str view_value(Arena *a, const SeenRun *run, Str key, double *number) {
    const RunRow *row = &run->row;
    bool least = str_starts(key, k_lowest), most = str_starts(key, k_highest);
    const RunMetric *m = run_metric(row, series_of(key));
    const RunSetting *s = is_field(key) ? NULL : run_setting(row, setting_of(key));
    if (m) return real_value(a, least ? m->least : most ? m->most : m->last, number);
    if (s) return text_value(a, s->value, number);
    if (str_is(key, "run")) return text_value(a, run->path, number);
    if (str_is(key, "tags")) return text_value(a, tags_text(a, row), number);
#define TEXT text_value
#define INT  int_value
#define REAL real_value
#define FIELD(kind, name, what) if (str_is(key, #name)) return kind(a, row->name, number);
#include "fields.def"
#undef FIELD
#undef TEXT
#undef INT
#undef REAL
    *number = NAN;
    return STR("");
}

/* ---- names ---- */
bool view_next_name(const char **list, Str *name) {
    while (**list == ',') ++*list;
    *name = (Str){*list, (uint32_t)strcspn(*list, ",")};
    *list += name->n;
    return name->n > 0;
}

/* Fields are known without a run; a setting or a series is when some run has it; only series have extremes. */
static bool considers(Nearest *near, Str name, Str key) {
    nearest_consider(near, name);
    return str_eq(name, key);
}

static GrStatus check_name(const SeenRuns *runs, Str key, Error *e) {
    Str series = series_of(key);
    Nearest near = nearest_to(series);
    bool plain = series.n == key.n, known = runs->at.n == 0;
    known |= plain && (considers(&near, STR("run"), key) || considers(&near, STR("tags"), key));
#define FIELD(kind, name, what) known |= plain && considers(&near, STR(#name), key);
#include "fields.def"
#undef FIELD
    for (uint32_t i = 0; i < runs->at.n && !known; i++) {
        const RunRow *row = &runs->at.at[i].row;
        for (uint32_t k = 0; k < row->settings.n; k++)
            known |= plain && considers(&near, row->settings.at[k].name, setting_of(key));
        for (uint32_t k = 0; k < row->metrics.n; k++) known |= considers(&near, row->metrics.at[k].name, series);
    }
    if (known) return GR_OK;
    fail(e, GR_USAGE, "no run here has `%.*s`", FSTR(key));
    if (near.best.n) fail_help(e, "did you mean `%.*s%.*s`?", (int)(key.n - series.n), key.s, FSTR(near.best));
    else fail_help(e, "`graphc runs show RUN` lists fields, settings and series of a run");
    return GR_USAGE;
}

static GrStatus check_names(const RunsOptions *o, const SeenRuns *runs, Error *e) {
    const char *list = o->columns ? o->columns : "";
    if (o->sort) TRY(check_name(runs, str_of(o->sort + (o->sort[0] == '-')), e));
    for (Str name; view_next_name(&list, &name);) TRY(check_name(runs, name, e));
    return GR_OK;
}

/* ---- conditions and order ---- */
typedef struct { Str key, value; const char *op; } Condition;

static GrStatus parse_condition(const char *text, Condition *c, Error *e) {
    static const char *const ops[] = {"!=", "<=", ">=", "=", "<", ">", "~"};
    const char *at = NULL;
    *c = (Condition){.op = "="};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const char *here = strstr(text, ops[i]);
        if (here && (!at || here < at)) at = here, c->op = ops[i];
    }
    if (at == NULL || at == text) {
        fail(e, GR_USAGE, "--where takes NAME=VALUE, or another comparison, not `%s`", text);
        fail_help(e, "for example --where 'latent=16' --where 'val.total<0.5' --where 'tags~paper'");
        return GR_USAGE;
    }
    c->key = (Str){text, (uint32_t)(at - text)};
    c->value = str_of(at + strlen(c->op));
    while (c->key.n && c->key.s[c->key.n - 1] == ' ') c->key.n--;
    while (c->value.n && c->value.s[0] == ' ') c->value.s++, c->value.n--;
    return GR_OK;
}

/* Numbers compare as numbers, texts letter by letter, and neither is below or above the other; a run without the value
 * passes `!=` only. */
static bool passes(Arena *a, const SeenRun *run, const Condition *c) {
    double x, y = number_of(a, c->value);
    Str text = view_value(a, run, c->key, &x);
    bool numbers = !isnan(x) && !isnan(y);
    int order = numbers ? (x > y) - (x < y) : str_compare(text, c->value);
    if (c->op[0] == '~') return strstr(str_copy(a, text).s, c->value.s) != NULL;
    if (str_is(str_of(c->op), "!=")) return order != 0;
    bool alike = isnan(x) == isnan(y);
    if (text.n == 0 || (!alike && c->op[0] != '=')) return c->value.n == 0 && text.n == 0 && c->op[0] == '=';
    bool equal = order == 0 && strchr(c->op, '=');
    return equal || (c->op[0] == '<' && order < 0) || (c->op[0] == '>' && order > 0);
}

static GrStatus filter(Arena *a, const RunsOptions *o, SeenRuns *runs, Error *e) {
    Condition *all = PUSH(a, Condition, o->where.n + 1);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < o->where.n; i++) {
        TRY(parse_condition(o->where.at[i], &all[i], e));
        TRY(check_name(runs, all[i].key, e));
    }
    for (uint32_t k = 0; k < runs->at.n; k++) {
        bool good = true;
        for (uint32_t i = 0; i < o->where.n && good; i++) good = passes(a, &runs->at.at[k], &all[i]);
        if (good) runs->at.at[kept++] = runs->at.at[k];
    }
    runs->at.n = kept;
    return GR_OK;
}

typedef struct { double x; Str text; uint32_t place; } SortKey;

/* Numbers before texts, what is missing last; else by where it stood. */
static int compare_keys(const void *p, const void *q) {
    const SortKey *a = p, *b = q;
    int missing = (a->text.n == 0) - (b->text.n == 0), kind = isnan(a->x) - isnan(b->x);
    if (missing) return missing;
    if (kind) return kind;
    int order = isnan(a->x) ? str_compare(a->text, b->text) : (a->x > b->x) - (a->x < b->x);
    return order ? order : a->place < b->place ? -1 : 1;
}

static void sort(Arena *a, const char *by, SeenRuns *runs) {
    bool down = by[0] == '-';
    SortKey *keys = PUSH(a, SortKey, runs->at.n + 1);
    SeenRun *sorted = PUSH(a, SeenRun, runs->at.n + 1);
    for (uint32_t i = 0; i < runs->at.n; i++) {
        keys[i].text = view_value(a, &runs->at.at[i], str_of(by + down), &keys[i].x);
        keys[i].x = down ? -keys[i].x : keys[i].x;
        keys[i].place = i;
    }
    qsort(keys, runs->at.n, sizeof *keys, compare_keys);
    for (uint32_t i = 0; i < runs->at.n; i++) sorted[i] = runs->at.at[keys[i].place];
    runs->at.at = sorted;
}

/* ---- runs ---- */
static Str joined(Arena *a, Str folder, Str name) {
    return str_is(folder, ".") ? str_copy(a, name) : str_format(a, "%.*s/%.*s", FSTR(folder), FSTR(name));
}

/* The folders know all that it knew. */
static GrStatus mend(Arena *a, const Common *c, Str folder, Runs **out, Error *e) {
    uint32_t found;
    TRY(runs_rebuild(a, folder, &found, e));
    Str said = str_format(a, "%.*s was damaged and is made again from the folders of %u run%s",
                          FSTR(rundir_file(a, folder, RUNS_FILE)), found, found == 1 ? "" : "s");
    report_remark(c, SEV_WARNING, "io", said);
    return runs_open(a, folder, out, e);
}

GrStatus view_open(Arena *a, const Common *c, Str folder, Runs **out, Error *e) {
    GrStatus status = runs_open(a, folder, out, e);
    return status == GR_DATA ? mend(a, c, folder, out, e) : status;
}

static bool may_write(Arena *a, Str folder) {
    const char *file = rundir_file(a, folder, RUNS_FILE).s;
    return access(str_copy(a, folder).s, W_OK) == 0 && (access(file, F_OK) != 0 || access(file, W_OK) == 0);
}

static GrStatus read_unwritten(Arena *a, Str folder, RunRows *rows, Error *e) {
    Runs *runs;
    TRY(runs_open_unwritten(a, folder, &runs, e));
    GrStatus status = runs_read(a, runs, rows, e);
    runs_close(runs);
    return status;
}

/* Damage that opening has not met is met by reading.  runs: NULL where nothing may be written. */
static GrStatus read_folder(Arena *a, const Common *c, Str folder, Runs **runs, RunRows *rows, Error *e) {
    *runs = NULL;
    if (!may_write(a, folder)) return read_unwritten(a, folder, rows, e);
    TRY(view_open(a, c, folder, runs, e));
    GrStatus status = runs_read(a, *runs, rows, e);
    if (status != GR_DATA) return status;
    runs_close(*runs);
    *runs = NULL;
    TRY(mend(a, c, folder, runs, e));
    return runs_read(a, *runs, rows, e);
}

static GrStatus add_folder(Arena *a, const Common *c, Str folder, SeenRuns *out, Error *e) {
    Runs *runs;
    RunRows rows = {0};
    GrStatus status = read_folder(a, c, folder, &runs, &rows, e);
    for (uint32_t i = 0; i < rows.at.n && status == GR_OK; i++) {
        RunRow *row = &rows.at.at[i];
        SeenRun seen = {joined(a, folder, row->name), folder, *row};
        if (str_eq(row->state, RUN_RUNNING) && !rundir_busy(a, seen.path)) {
            seen.row = card_read(a, folder, row->name);
            if (runs) status = runs_put(runs, &seen.row, e);
        }
        if (seen.row.sweep.n == 0 && access(seen.path.s, F_OK) != 0) seen.row.state = STR("gone");
        vec_push(a, &out->at, seen);
    }
    runs_close(runs);
    return status;
}

static bool has_runs(Arena *a, Str folder) { return access(rundir_file(a, folder, RUNS_FILE).s, F_OK) == 0; }

GrStatus view_all(Arena *a, const RunsOptions *o, SeenRuns *out, Error *e) {
    *out = (SeenRuns){0};
    bool here = has_runs(a, STR(".")), below = access("runs", F_OK) == 0;
    if (o->folder && access(o->folder, F_OK) != 0) return fail_errno(e, GR_IO, "%s", o->folder);
    if (o->folder) TRY(add_folder(a, &o->common, str_of(o->folder), out, e));
    if (!o->folder && here) TRY(add_folder(a, &o->common, STR("."), out, e));
    if (!o->folder && below) TRY(add_folder(a, &o->common, STR("runs"), out, e));
    if (!o->folder && !here && !below) {
        fail(e, GR_IO, "there are no runs here: neither runs/ nor " RUNS_FILE);
        fail_help(e, "`graphc train FILE` makes one; `graphc runs --in FOLDER` looks elsewhere");
        return GR_IO;
    }
    TRY(check_names(o, out, e));
    TRY(filter(a, o, out, e));
    if (o->sort) sort(a, o->sort, out);
    return GR_OK;
}

static bool has_run(Arena *a, Str path) { return access(rundir_file(a, path, RUN_PROGRAM).s, F_OK) == 0; }

GrStatus view_one(Arena *a, const char *folder, const char *run, SeenRun *out, Error *e) {
    Str name, path = folder ? joined(a, str_of(folder), str_of(run)) : str_of(run);
    Str inside = str_format(a, "runs/%s", run);
    if (!folder && !has_run(a, path) && has_run(a, inside)) path = inside;
    if (!has_run(a, path)) {
        if (folder) fail(e, GR_IO, "there is no run in %.*s: no " RUN_PROGRAM, FSTR(path));
        else fail(e, GR_IO, "there is no run in %s, nor in runs/%s: no " RUN_PROGRAM, run, run);
        fail_help(e, "`graphc runs%s%s` lists the runs that there are", folder ? " --in " : "", folder ? folder : "");
        return GR_IO;
    }
    while (path.n > 1 && path.s[path.n - 1] == '/') path.n--;
    out->path = str_copy(a, path);
    run_split(a, path, &out->folder, &name);
    out->row = card_read(a, out->folder, name);
    return GR_OK;
}

GrStatus view_put(Arena *a, const Common *c, const SeenRun *run, Error *e) {
    Runs *runs;
    TRY(card_write(a, run->path, &run->row, e));
    TRY(view_open(a, c, run->folder, &runs, e));
    GrStatus status = runs_put(runs, &run->row, e);
    runs_close(runs);
    return status;
}

GrStatus view_usage(const char *word, const char *wrong, Error *e) {
    fail(e, GR_USAGE, "%s", wrong);
#define WORD(name, arguments, what) if (strcmp(word, #name) == 0) fail_help(e, "graphc runs " #name " " arguments);
#include "runs.def"
#undef WORD
    return GR_USAGE;
}
