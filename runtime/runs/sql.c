/* What fails is found by SQLite's own state, when a statement is over: binding and reading need not ask. */
#include "sql.h"
#include <math.h>

/* What we ask is right, so an answer that it is wrong (SQLITE_ERROR) says that the file is. */
GrStatus sql_failed(const Runs *r, Error *e) {
    int code = sqlite3_errcode(r->db);
    if (code != SQLITE_NOTADB && code != SQLITE_CORRUPT && code != SQLITE_ERROR)
        return fail(e, GR_IO, "%.*s: %s", FSTR(r->path), sqlite3_errmsg(r->db));
    fail(e, GR_DATA, "%.*s is damaged, or no database of runs", FSTR(r->path));
    fail_help(e, "`graphc runs --rebuild` makes it anew from the folders of the runs");
    return GR_DATA;
}

GrStatus sql_run(Runs *r, const char *sql, Error *e) {
    return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK ? GR_OK : sql_failed(r, e);
}

Sql sql_begin(Runs *r, const char *text) {
    Sql s = {.runs = r};
    sqlite3_prepare_v2(r->db, text, -1, &s.stmt, NULL);        /* one that fails leaves NULL, which binding refuses */
    return s;
}

void sql_bind_TEXT(Sql *s, Str x) { sqlite3_bind_text(s->stmt, ++s->n, x.n ? x.s : "", (int)x.n, SQLITE_STATIC); }
void sql_bind_INT(Sql *s, int64_t x) { sqlite3_bind_int64(s->stmt, ++s->n, x); }
void sql_bind_REAL(Sql *s, double x) { sqlite3_bind_double(s->stmt, ++s->n, x); }     /* NaN becomes NULL */

GrStatus sql_end(Sql *s, Error *e) {
    bool done = s->stmt != NULL && sqlite3_step(s->stmt) == SQLITE_DONE;
    GrStatus status = done ? GR_OK : sql_failed(s->runs, e);
    sqlite3_finalize(s->stmt);
    return status;
}

bool sql_next(Sql *s) {
    s->n = 0;
    return s->stmt != NULL && sqlite3_step(s->stmt) == SQLITE_ROW;
}

GrStatus sql_read(Sql *s, Error *e) {
    bool done = s->stmt != NULL && sqlite3_errcode(s->runs->db) == SQLITE_DONE;
    GrStatus status = done ? GR_OK : sql_failed(s->runs, e);
    sqlite3_finalize(s->stmt);
    return status;
}

Str sql_get_TEXT(Sql *s, Arena *a) {
    const char *text = (const char *)sqlite3_column_text(s->stmt, s->n);
    uint32_t n = (uint32_t)sqlite3_column_bytes(s->stmt, s->n++);
    return text ? str_copy(a, (Str){text, n}) : (Str){"", 0};
}

int64_t sql_get_INT(Sql *s, Arena *a) {
    (void)a;
    return sqlite3_column_int64(s->stmt, s->n++);
}

double sql_get_REAL(Sql *s, Arena *a) {
    (void)a;
    bool null = sqlite3_column_type(s->stmt, s->n) == SQLITE_NULL;
    double x = sqlite3_column_double(s->stmt, s->n++);
    return null ? NAN : x;
}

GrStatus sql_finish(Runs *r, GrStatus status, Error *e) {
    if (status == GR_OK)
        status = sql_run(r, "COMMIT", e);
    if (status != GR_OK)
        sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
