/* Rows of the database, written and read.  Its columns are the rows of fields.def; settings, tags and metrics have
 * tables of their own. */
#include "sql.h"
#include <stdio.h>

/* ---- writing ---- */
static GrStatus forget(Runs *r, Str name, Error *e) {
    static const char *const tables[] = {"runs WHERE name", "settings WHERE run", "tags WHERE run",
                                         "metrics WHERE run"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char text[64];
        snprintf(text, sizeof text, "DELETE FROM %s = ?", tables[i]);
        Sql s = sql_begin(r, text);
        sql_bind_TEXT(&s, name);
        TRY(sql_end(&s, e));
    }
    return GR_OK;
}

static GrStatus put_fields(Runs *r, const RunRow *row, Error *e) {
    Sql s = sql_begin(r, "INSERT INTO runs VALUES (?"
#define FIELD(kind, name, what) ",?"
#include "fields.def"
#undef FIELD
                         ")");
    sql_bind_TEXT(&s, row->name);
#define FIELD(kind, name, what) sql_bind_##kind(&s, row->name);
#include "fields.def"
#undef FIELD
    return sql_end(&s, e);
}

GrStatus runs_put_row(Runs *r, const RunRow *row, Error *e) {
    TRY(forget(r, row->name, e));
    TRY(put_fields(r, row, e));
    for (uint32_t i = 0; i < row->settings.n; i++) {
        Sql s = sql_begin(r, "INSERT OR REPLACE INTO settings VALUES (?,?,?)");
        sql_bind_TEXT(&s, row->name);
        sql_bind_TEXT(&s, row->settings.at[i].name);
        sql_bind_TEXT(&s, row->settings.at[i].value);
        TRY(sql_end(&s, e));
    }
    for (uint32_t i = 0; i < row->tags.n; i++) {
        Sql s = sql_begin(r, "INSERT OR REPLACE INTO tags VALUES (?,?)");
        sql_bind_TEXT(&s, row->name);
        sql_bind_TEXT(&s, row->tags.at[i]);
        TRY(sql_end(&s, e));
    }
    for (uint32_t i = 0; i < row->metrics.n; i++) {
        const RunMetric *m = &row->metrics.at[i];
        Sql s = sql_begin(r, "INSERT OR REPLACE INTO metrics VALUES (?,?,?,?,?,?,?)");
        sql_bind_TEXT(&s, row->name);
        sql_bind_TEXT(&s, m->name);
        sql_bind_REAL(&s, m->last);
        sql_bind_REAL(&s, m->least);
        sql_bind_INT(&s, m->least_epoch);
        sql_bind_REAL(&s, m->most);
        sql_bind_INT(&s, m->most_epoch);
        TRY(sql_end(&s, e));
    }
    return GR_OK;
}

GrStatus runs_put(Runs *r, const RunRow *row, Error *e) {
    TRY(sql_run(r, "BEGIN IMMEDIATE", e));
    return sql_finish(r, runs_put_row(r, row, e), e);
}

GrStatus runs_drop(Runs *r, Str name, Error *e) {
    TRY(sql_run(r, "BEGIN IMMEDIATE", e));
    return sql_finish(r, forget(r, name, e), e);
}

/* ---- reading ---- */
static RunRow *row_named(RunRows *rows, Str name) {
    for (uint32_t low = 0, high = rows->at.n; low < high;) {
        uint32_t mid = low + (high - low) / 2;
        int order = str_compare(rows->at.at[mid].name, name);
        if (order == 0)
            return &rows->at.at[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static GrStatus read_rows(Arena *a, Runs *r, RunRows *out, Error *e) {
    Sql s = sql_begin(r, "SELECT * FROM runs ORDER BY name");
    while (sql_next(&s)) {
        RunRow row = {.name = sql_get_TEXT(&s, a)};
#define FIELD(kind, name, what) row.name = sql_get_##kind(&s, a);
#include "fields.def"
#undef FIELD
        vec_push(a, &out->at, row);
    }
    return sql_read(&s, e);
}

static GrStatus read_lists(Arena *a, Runs *r, RunRows *out, Error *e) {
    Sql s = sql_begin(r, "SELECT run, name, value FROM settings ORDER BY run, name");
    while (sql_next(&s)) {
        RunRow *row = row_named(out, sql_get_TEXT(&s, a));
        RunSetting x = {.name = sql_get_TEXT(&s, a)};              /* columns in order: a statement each */
        x.value = sql_get_TEXT(&s, a);
        if (row != NULL)
            vec_push(a, &row->settings, x);
    }
    TRY(sql_read(&s, e));
    s = sql_begin(r, "SELECT run, tag FROM tags ORDER BY run, tag");
    while (sql_next(&s)) {
        RunRow *row = row_named(out, sql_get_TEXT(&s, a));
        Str tag = sql_get_TEXT(&s, a);
        if (row != NULL)
            vec_push(a, &row->tags, tag);
    }
    TRY(sql_read(&s, e));
    s = sql_begin(r, "SELECT run, name, last, least, least_epoch, most, most_epoch FROM metrics ORDER BY run, name");
    while (sql_next(&s)) {
        RunRow *row = row_named(out, sql_get_TEXT(&s, a));
        RunMetric m = {.name = sql_get_TEXT(&s, a)};
        m.last = sql_get_REAL(&s, a);
        m.least = sql_get_REAL(&s, a);
        m.least_epoch = sql_get_INT(&s, a);
        m.most = sql_get_REAL(&s, a);
        m.most_epoch = sql_get_INT(&s, a);
        if (row != NULL)
            vec_push(a, &row->metrics, m);
    }
    return sql_read(&s, e);
}

GrStatus runs_read(Arena *a, Runs *r, RunRows *out, Error *e) {
    *out = (RunRows){0};
    TRY(sql_run(r, "BEGIN", e));           /* one moment, whoever writes meanwhile */
    GrStatus status = read_rows(a, r, out, e);
    if (status == GR_OK)
        status = read_lists(a, r, out, e);
    return sql_finish(r, status, e);
}
