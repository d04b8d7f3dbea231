/* mkdir either makes the folder or says that it was there: two trainings started at once get two numbers. */
#include "rundir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUNS_MOST = 100000 };

Str rundir_file(Arena *a, Str run, const char *name) { return str_format(a, "%.*s/%s", FSTR(run), name); }

static GrStatus cannot_make(Str path, Error *e) {
    fail_errno(e, GR_IO, "the run directory %.*s cannot be made", FSTR(path));
    fail_help(e, "`--run DIR` names another place");
    return GR_IO;
}

GrStatus rundir_make(Arena *a, Str path, Error *e) {
    char *z = PUSH(a, char, path.n + 1);
    memcpy(z, path.s, path.n);
    for (uint32_t i = 1; i <= path.n; i++) {
        if (i < path.n && z[i] != '/')
            continue;
        z[i] = 0;
        if (mkdir(z, 0777) != 0 && errno != EEXIST)
            return cannot_make(path, e);
        if (i < path.n)
            z[i] = '/';
    }
    return GR_OK;
}

GrStatus rundir_create(Arena *a, Str parent, Str name, Str *path, Error *e) {
    TRY(rundir_make(a, parent, e));
    for (int i = 1; i < RUNS_MOST; i++) {
        *path = str_format(a, "%.*s/%.*s-%03d", FSTR(parent), FSTR(name), i);
        if (mkdir(path->s, 0777) == 0)
            return GR_OK;
        if (errno != EEXIST)
            return cannot_make(*path, e);
    }
    return fail(e, GR_IO, "%.*s holds %d runs of `%.*s` already", FSTR(parent), RUNS_MOST - 1, FSTR(name));
}

static bool holds_something(const char *path) {
    DIR *d = opendir(path);
    bool found = d == NULL && errno != ENOENT;              /* who knows: then it is left alone */
    for (struct dirent *entry; d != NULL && !found && (entry = readdir(d)) != NULL;)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                strcmp(entry->d_name, RUN_PROGRAM ".part") != 0 &&   /* of one killed while it wrote its first files */
                strcmp(entry->d_name, RUN_FORK ".part") != 0 && strcmp(entry->d_name, RUN_FORK) != 0;
    if (d != NULL)
        closedir(d);
    return found;
}

static bool has_file(Arena *a, Str run, const char *name) {
    return access(rundir_file(a, run, name).s, F_OK) == 0;
}

bool rundir_saved(Arena *a, Str path) { return has_file(a, path, RUN_LAST); }

bool rundir_logged(Arena *a, Str path) {
    struct stat st;
    return stat(rundir_file(a, path, RUN_METRICS).s, &st) == 0 && st.st_size > 0;
}

static GrStatus check_resume(Arena *a, Str path, Error *e) {
    if (has_file(a, path, RUN_LAST) || has_file(a, path, RUN_PROGRAM))
        return GR_OK;
    fail(e, GR_IO, "there is no run in %.*s: it has no " RUN_PROGRAM, FSTR(path));
    fail_help(e, "`graphc train FILE --run %.*s` makes one", FSTR(path));
    return GR_IO;
}

GrStatus rundir_trained(Arena *a, Str path, Error *e) {
    TRY(check_resume(a, path, e));
    if (rundir_saved(a, path))
        return GR_OK;
    fail(e, GR_IO, "the run in %.*s %s", FSTR(path),
         rundir_logged(a, path) ? "has no weights" : "has saved nothing yet");
    fail_help(e, "`graphc train %.*s/" RUN_PROGRAM " --run OTHER` trains it anew, with its settings", FSTR(path));
    return GR_IO;
}

static GrStatus check_free(Arena *a, Str path, Error *e) {
    if (!holds_something(str_copy(a, path).s))
        return GR_OK;
    if (has_file(a, path, RUN_PROGRAM) && !has_file(a, path, RUN_LAST)) {
        fail(e, GR_IO, "%.*s holds a run that ended before it saved anything", FSTR(path));
        fail_help(e, "`--resume` begins it again; another `--run` starts anew");
    } else if (has_file(a, path, RUN_LAST)) {
        fail(e, GR_IO, "%.*s holds a run already", FSTR(path));
        fail_help(e, "`--resume` goes on with it; another `--run` starts anew");
    } else {
        fail(e, GR_IO, "%.*s is not empty and holds no run", FSTR(path));
        fail_help(e, "`--run` takes a new or an empty folder");
    }
    return GR_IO;
}

GrStatus rundir_use(Arena *a, Str path, bool resume, Error *e) {
    struct stat st;
    const char *z = str_copy(a, path).s;
    if (resume)
        return check_resume(a, path, e);
    if (stat(z, &st) != 0)
        TRY(rundir_make(a, path, e));
    else if (!S_ISDIR(st.st_mode))
        return fail(e, GR_IO, "%.*s is a file, not a folder", FSTR(path));
    TRY(check_free(a, path, e));
    if (access(z, W_OK | X_OK) != 0) {
        fail_errno(e, GR_IO, "the run directory %.*s cannot be written", FSTR(path));
        fail_help(e, "`--run DIR` names another place");
        return GR_IO;
    }
    return GR_OK;
}

/* Asking takes the lock for a moment: one that is taken is asked for again. */
static bool lock_at_last(int fd) {
    enum { TRIES = 5, WAIT_US = 20000 };
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            usleep(WAIT_US);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)      /* a file system without locks: go on */
            return true;
    }
    return false;
}

GrStatus rundir_lock(Arena *a, Str path, int *fd, Error *e) {
    *fd = open(str_copy(a, path).s, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return fail_errno(e, GR_IO, "the run directory %.*s cannot be opened", FSTR(path));
    if (lock_at_last(*fd))
        return GR_OK;
    close(*fd);
    fail(e, GR_IO, "another training writes into %.*s", FSTR(path));
    fail_help(e, "wait until it ends, or name another folder: `--run`, of a sweep `--dir`");
    return GR_IO;
}

bool rundir_busy(Arena *a, Str path) {
    int fd = open(str_copy(a, path).s, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool busy = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return busy;
}
