/* graphc runs rm: removes what a run wrote, by the names that a training gives its files.  What somebody else put into
 * the folder stays, and the folder with it; of folders only `used` is the run's own. */
#include "card.h"
#include "csvlog.h"
#include "rundir.h"
#include "view.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ---- */
/* Takes `tail` off the end of the name when it is there. */
static bool take_end(Str *name, const char *tail) {
    if (!str_ends(*name, tail)) return false;
    name->n -= (uint32_t)strlen(tail);
    return true;
}

static uint32_t take_digits(Str *name) {
    uint32_t n = 0;
    for (; name->n && name->s[name->n - 1] >= '0' && name->s[name->n - 1] <= '9'; n++) name->n--;
    return n;
}

/* The name of a phase and a dash, or nothing. */
static bool is_phase(Str s) {
    if (s.n == 0) return true;
    if (s.n == 1 || s.s[s.n - 1] != '-') return false;
    return strspn(s.s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") >= s.n - 1;
}

/* best-1, epoch-0010, pretrain-best-2: what `keep` and `save` write. */
static bool is_checkpoint(Str name) {
    if (!take_end(&name, ".safetensors") || take_digits(&name) == 0) return false;
    return (take_end(&name, "best-") || take_end(&name, "epoch-")) && is_phase(name);
}

static bool is_ours(Str name) {
    static const char *const names[] = {RUN_PROGRAM, RUN_METRICS, RUN_LAST, RUN_FORK, CARD_FILE, CSV_FILE,
                                        RUN_LOG, RUN_DATA};
    take_end(&name, ".part");                  /* of a process that was killed while it wrote */
    bool ours = str_starts(name, "events.out.tfevents.") || is_checkpoint(name);
    ours = ours || (str_starts(name, "images-") && str_ends(name, ".png"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) ours = ours || str_is(name, names[i]);
    return ours;
}

/* ---- removal ---- */
static GrStatus empty_folder(Arena *a, Str path, bool all, Error *e) {
    DIR *d = opendir(path.s);
    GrStatus status = d ? GR_OK : fail_errno(e, GR_IO, "%.*s", FSTR(path));
    for (struct dirent *entry; status == GR_OK && (entry = readdir(d)) != NULL;) {
        Str name = str_of(entry->d_name), file = rundir_file(a, path, entry->d_name);
        struct stat st;
        if (str_is(name, ".") || str_is(name, "..") || lstat(file.s, &st) != 0) continue;
        bool folder = S_ISDIR(st.st_mode), ours = folder ? str_is(name, "used") : is_ours(name);
        if (!all && !ours) continue;
        if (folder) status = empty_folder(a, file, true, e);
        else if (unlink(file.s) != 0) status = fail_errno(e, GR_IO, "%.*s", FSTR(file));
    }
    if (d) closedir(d);
    if (status == GR_OK && rmdir(path.s) != 0 && errno != ENOTEMPTY && errno != EEXIST)
        status = fail_errno(e, GR_IO, "%.*s", FSTR(path));
    return status;
}

static GrStatus forget(Arena *a, const Common *c, const SeenRun *run, Error *e) {
    Runs *runs;
    TRY(view_open(a, c, run->folder, &runs, e));
    GrStatus status = runs_drop(runs, run->row.name, e);
    runs_close(runs);
    return status;
}

GrStatus runs_rm(Arena *a, const RunsOptions *o, Error *e) {
    if (o->words.n == 0) return view_usage("rm", "which run?", e);
    for (uint32_t i = 0; i < o->words.n; i++) {
        SeenRun run;
        int lock;
        TRY(view_one(a, o->folder, o->words.at[i], &run, e));
        TRY(rundir_lock(a, run.path, &lock, e));
        GrStatus status = empty_folder(a, run.path, false, e);
        close(lock);
        if (status == GR_OK) status = forget(a, &o->common, &run, e);
        TRY(status);
        if (access(run.path.s, F_OK) == 0)
            printf("%.*s holds files that no run wrote, and stays\n", FSTR(run.path));
    }
    return GR_OK;
}
