/* The database as a file: opened, made of the folders when it is new, old or damaged.
 *
 * SQLite does the sharing: a journal of changes (WAL), so that readers and a writer do not wait for each other, and
 * ten seconds of patience between writers.  Nothing waits for the disk: a process that is killed loses nothing, and
 * what a power cut takes is in the folders. */
#include "card.h"
#include "rundir.h"
#include "sql.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, VERSION = 2, DEPTH = 3 };

static const char k_schema[] =
    "CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY"
#define FIELD(kind, name, what) ", " #name " " #kind
#include "fields.def"
#undef FIELD
    ") WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS settings (run TEXT, name TEXT, value TEXT, PRIMARY KEY (run, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS tags (run TEXT, tag TEXT, PRIMARY KEY (run, tag)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS metrics (run TEXT, name TEXT, last REAL, least REAL, least_epoch INTEGER, most REAL,"
    " most_epoch INTEGER, PRIMARY KEY (run, name)) WITHOUT ROWID;"
    "PRAGMA user_version = 2;";

/* ---- opening ---- */
/* Two processes that turn a new file to WAL at once: the one that loses is told so without any waiting. */
static GrStatus use_wal(Runs *r, Error *e) {
    enum { PAUSE_MS = 5 };
    const char *sql = "PRAGMA journal_mode = WAL";
    int status = sqlite3_exec(r->db, sql, NULL, NULL, NULL);
    for (int waited = 0; status == SQLITE_BUSY && waited < PATIENCE_MS; waited += PAUSE_MS) {
        sqlite3_sleep(PAUSE_MS);
        status = sqlite3_exec(r->db, sql, NULL, NULL, NULL);
    }
    return status == SQLITE_OK ? GR_OK : sql_failed(r, e);
}

static GrStatus open_file(Arena *a, Str folder, Runs *r, Error *e) {
    *r = (Runs){.path = str_format(a, "%.*s/" RUNS_FILE, FSTR(folder))};
    if (sqlite3_open_v2(r->path.s, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        return sql_failed(r, e);
    sqlite3_busy_timeout(r->db, PATIENCE_MS);
    TRY(sql_run(r, "PRAGMA synchronous = OFF", e));
    return use_wal(r, e);
}

static GrStatus version_of(Runs *r, int64_t *version, Error *e) {
    Sql s = sql_begin(r, "PRAGMA user_version");
    *version = 0;
    while (sql_next(&s))
        *version = sql_get_INT(&s, NULL);
    TRY(sql_read(&s, e));
    if (*version <= VERSION)
        return GR_OK;
    fail(e, GR_CHANGED, "%.*s has schema %lld, this graphc knows %d", FSTR(r->path), (long long)*version, VERSION);
    fail_help(e, "`graphc runs --rebuild` puts it aside and makes another");
    return GR_CHANGED;
}

/* Every folder below with a program in it.  What is in a run is no run; a folder with an index of its own has its
 * runs there. */
static GrStatus scan(Arena *a, Runs *r, Str folder, Str below, int depth, uint32_t *found, Error *e) {
    Str here = below.n ? str_format(a, "%.*s/%.*s", FSTR(folder), FSTR(below)) : str_copy(a, folder);
    DIR *d = opendir(here.s);
    GrStatus status = d != NULL ? GR_OK : fail_errno(e, GR_IO, "looking for runs in %.*s", FSTR(here));
    for (struct dirent *entry; d != NULL && status == GR_OK && (entry = readdir(d)) != NULL;) {
        Str name = str_format(a, "%.*s%s%s", FSTR(below), below.n ? "/" : "", entry->d_name);
        Str path = str_format(a, "%.*s/%.*s", FSTR(folder), FSTR(name));
        struct stat st;
        RunRow row;
        if (entry->d_name[0] == '.' || lstat(path.s, &st) != 0 || !S_ISDIR(st.st_mode))
            continue;
        if (access(rundir_file(a, path, RUN_PROGRAM).s, F_OK) == 0) {
            row = card_read(a, folder, name);
            status = runs_put_row(r, &row, e);
            ++*found;
        } else if (depth > 1 && access(rundir_file(a, path, RUNS_FILE).s, F_OK) != 0) {
            status = scan(a, r, folder, name, depth - 1, found, e);
        }
    }
    if (d != NULL)
        closedir(d);
    return status;
}

static GrStatus fill(Arena *a, Runs *r, Str folder, bool again, uint32_t *found, Error *e) {
    int64_t version;
    TRY(sql_run(r, "BEGIN IMMEDIATE", e));
    GrStatus status = version_of(r, &version, e);
    bool needed = again || version < VERSION;      /* another process may have made it meanwhile */
    if (status == GR_OK && needed)
        status = sql_run(r, "DROP TABLE IF EXISTS runs; DROP TABLE IF EXISTS settings; DROP TABLE IF EXISTS tags;"
                            "DROP TABLE IF EXISTS metrics", e);
    if (status == GR_OK && needed)
        status = sql_run(r, k_schema, e);
    if (status == GR_OK && needed)
        status = scan(a, r, folder, STR(""), DEPTH, found, e);
    return sql_finish(r, status, e);
}

static GrStatus hand_out(Arena *a, Runs *r, GrStatus status, Runs **out) {
    if (status != GR_OK) {
        runs_close(r);
        return status;
    }
    *out = PUSH(a, Runs, 1);
    **out = *r;
    return GR_OK;
}

GrStatus runs_open(Arena *a, Str folder, Runs **out, Error *e) {
    Runs r;
    int64_t version = 0;
    uint32_t found = 0;
    *out = NULL;
    GrStatus status = open_file(a, folder, &r, e);
    if (status == GR_OK)
        status = version_of(&r, &version, e);
    if (status == GR_OK && version < VERSION)      /* new, or of an older graphc */
        status = fill(a, &r, folder, false, &found, e);
    return hand_out(a, &r, status, out);
}

void runs_close(Runs *r) {
    if (r != NULL)
        sqlite3_close(r->db);
}

/* Every page is looked at: damage that no question has met yet is found as well. */
static bool is_sound(Runs *r) {
    Sql s = sql_begin(r, "PRAGMA quick_check(1)");
    bool sound = sql_next(&s) && strcmp((const char *)sqlite3_column_text(s.stmt, 0), "ok") == 0;
    sqlite3_finalize(s.stmt);
    return sound;
}

/* ---- without writing ---- */
static Str uri_of(Arena *a, Str path, const char *how) {
    Buf b = buf_make(a);
    buf_printf(&b, "file:");
    for (uint32_t i = 0; i < path.n; i++)
        buf_printf(&b, memchr("?#%", path.s[i], 3) != NULL ? "%%%02X" : "%c", path.s[i]);
    buf_printf(&b, "?mode=ro%s", how);
    return buf_str(&b);
}

/* Sound and as we write it. */
static bool open_unwritten(Arena *a, Str folder, const char *how, Runs *r, Error *e) {
    enum { FLAGS = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI };
    int64_t version;
    *r = (Runs){.path = str_format(a, "%.*s/" RUNS_FILE, FSTR(folder))};
    return sqlite3_open_v2(uri_of(a, r->path, how).s, &r->db, FLAGS, NULL) == SQLITE_OK &&
           version_of(r, &version, e) == GR_OK && version == VERSION && is_sound(r);
}

/* Changes that lie beside the file are read when what readers share is there too; else the file is all there is. */
GrStatus runs_open_unwritten(Arena *a, Str folder, Runs **out, Error *e) {
    static const char *const ways[] = {"", "&immutable=1"};
    Runs r;
    uint32_t found = 0;
    *out = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (open_unwritten(a, folder, ways[i], &r, e))
            return hand_out(a, &r, GR_OK, out);
        runs_close(&r);
    }
    r = (Runs){.path = str_format(a, "%.*s/" RUNS_FILE, FSTR(folder))};
    GrStatus status = sqlite3_open(":memory:", &r.db) == SQLITE_OK ? GR_OK : sql_failed(&r, e);
    if (status == GR_OK)
        status = fill(a, &r, folder, true, &found, e);
    return hand_out(a, &r, status, out);
}

/* ---- making it again ---- */
/* damaged: whoever made it, we cannot use it. */
static GrStatus examine(Arena *a, Str folder, Runs *r, bool *damaged, Error *e) {
    int64_t version;
    GrStatus status = open_file(a, folder, r, e);
    if (status == GR_OK)
        status = version_of(r, &version, e);
    *damaged = status == GR_DATA || status == GR_CHANGED || (status == GR_OK && !is_sound(r));
    return status;
}

/* Of processes that find it damaged at once the first one renames it; the others find that another file is there, or,
 * when that one has been made again before they look, that it is sound. */
static GrStatus put_aside(Arena *a, Str folder, Str path, Error *e) {
    struct stat ours, there;
    int fd = open(path.s, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? GR_OK : fail_errno(e, GR_IO, "%.*s", FSTR(path));
    flock(fd, LOCK_EX);
    bool same = fstat(fd, &ours) == 0 && stat(path.s, &there) == 0 && ours.st_ino == there.st_ino;
    bool damaged = false;
    GrStatus status = GR_OK;
    if (same) {
        Runs now;
        Error known = {0};                 /* from before */
        (void)examine(a, folder, &now, &damaged, &known);
        runs_close(&now);
    }
    if (damaged && rename(path.s, str_format(a, "%.*s.damaged", FSTR(path)).s) != 0)
        status = fail_errno(e, GR_IO, "renaming %.*s", FSTR(path));
    if (damaged && status == GR_OK) {
        unlink(str_format(a, "%.*s-wal", FSTR(path)).s);
        unlink(str_format(a, "%.*s-shm", FSTR(path)).s);
    }
    close(fd);
    return status;
}

GrStatus runs_rebuild(Arena *a, Str folder, uint32_t *found, Error *e) {
    Runs r;
    bool damaged;
    GrStatus status = examine(a, folder, &r, &damaged, e);
    *found = 0;
    if (damaged) {
        runs_close(&r);
        TRY(put_aside(a, folder, r.path, e));
        status = open_file(a, folder, &r, e);
    }
    if (status == GR_OK)
        status = fill(a, &r, folder, true, found, e);
    runs_close(&r);
    return status;
}
