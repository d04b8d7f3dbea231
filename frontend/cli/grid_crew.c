/* Runs are trained by processes that are forked when data and kernels are in memory: they share both, each has weights
 * and a batch of its own, and what one of them does wrong ends none of the others.  A process takes its run's values,
 * trains as `graphc train` would on one thread, says by a pipe how it ended, and is gone.
 *
 * A run writes metrics.jsonl and its program; checkpoints wait in memory (trainer.h) for a minute, so that short
 * runs write none but that of the best.  An interruption, by us or by halving, saves. */
#include "book.h"
#include "clock.h"
#include "grid.h"
#include "replay.h"
#include "rundir.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAVE_SECONDS = 60, LABEL_MOST = 20 };
static volatile sig_atomic_t interrupted;

static void on_signal(int signal) {
    if (interrupted) _exit(EXIT_INTERRUPTED);
    interrupted = signal;
}

void grid_watch_signals(void) {
    struct sigaction a = {.sa_handler = on_signal};     /* no SA_RESTART: a wait ends */
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

bool grid_interrupted(void) { return interrupted != 0; }

/* ---- in the process of a run ---- */
/* paused: at the end of the epoch it was to reach; epochs: of all phases so far, 0: not counted yet */
typedef struct { GrStatus status; bool paused; double seconds; Error error; } Said;
typedef struct {
    Grid *g;
    GridRun *r;
    GridProgram *p;
    Str folder;
    int64_t until, epochs;
    bool paused;
    Book *book;
} Task;

/* This one is in the log by now, and what the checkpoint did not know of is no longer. */
static int64_t count_epoch(Task *t) {
    Error e = {0};
    Arena *scratch = arena_create();
    if (t->epochs++ == 0 && grid_epochs_trained(t->g, t->r, &t->epochs, scratch, &e) != GR_OK) t->epochs = t->until;
    arena_destroy(scratch);
    return t->epochs;
}

static void progress(void *user, const TrainProgress *at) {
    Task *t = user;
    book_event(t->book, at);
    if (at->event != TRAIN_EPOCH || at->phase->called || t->until == 0 || count_epoch(t) < t->until) return;
    t->paused = true;
    interrupted = SIGTERM;
}

/* The weights of the best run so far are worth a file. */
static bool is_best(void *user) {
    Task *t = user;
    Error e = {0};
    if (t->g->weights == WEIGHTS_NONE || grid_read_score(t->g, t->r, t->g->arena, &e) != GR_OK) return false;
    double best = atomic_load(t->g->best);
    while (grid_better(t->g, t->r->score, best))            /* `best` is read anew when another was faster */
        if (atomic_compare_exchange_weak(t->g->best, &best, t->r->score)) return true;
    return false;
}

static void explain(void *user, const PlanEntry *entry, const UValue *uniforms, Error *e) {
    replay_explain(&((Task *)user)->p->job, entry, uniforms, e);
}

static GrStatus train(Task *t, Error *e) {
    Job *j = &t->p->job;
    Arena *a = t->g->arena;
    int lock;                                               /* until the process ends */
    TRY(rundir_make(a, t->folder, e));
    TRY(rundir_lock(a, t->folder, &lock, e));
    TRY(job_start(j, "fused", e));
    j->job.run = t->folder;
    j->job.resume = rundir_saved(a, t->folder);
    j->job.interrupted = &interrupted;
    j->job.progress = progress;
    j->job.user = t;
    j->job.ensure_entry = NULL;
    j->job.explain = explain;
    j->job.save_seconds = t->g->weights == WEIGHTS_ALL ? 0 : SAVE_SECONDS;
    j->job.wanted = is_best;
    BookWords words = {.sweep = t->g->sweep->name, .point = t->r->id, .brief = true};
    t->book = book_open(j, t->folder, j->job.resume, &words);
    GrStatus status = train_run(&j->job, e);
    book_close(t->book, status, e);
    return status;
}

/* A second one is only the first that came twice. */
static void on_stop(int signal) { interrupted = signal; }

_Noreturn static void work(Grid *g, uint32_t run, int64_t until, int to) {
    Said said = {0};
    GridRun *r = &g->runs.at[run];
    Task t = {.g = g, .r = r, .p = g->programs.at[r->program], .folder = grid_folder_of(g, run), .until = until};
    setpgid(0, 0);                                      /* Ctrl-C is the parent's, who passes it on */
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_stop}, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    double start = clock_seconds();
    program_take_run(t.p->s.program, r->run);
    said.status = train(&t, &said.error);
    said.paused = t.paused;
    said.seconds = clock_seconds() - start;
    bool told = write(to, &said, sizeof said) == (ssize_t)sizeof said;
    _exit(told ? 0 : 1);
}

/* ---- in ours ---- */
typedef struct { pid_t pid; int from; uint32_t run; bool resumes; } Worker;
typedef struct {
    Grid *g;
    uint32_t n, done, total;
    Worker at[GRID_JOBS_MOST];
    bool told;
    double drawn;
    GrStatus status;
} Crew;

static GrStatus hire(Crew *c, uint32_t run, int64_t until, Error *e) {
    int ends[2];
    if (pipe(ends) != 0) return fail_errno(e, GR_IO, "no pipe to the process of a run");
    bool resumes = rundir_saved(c->g->arena, grid_folder_of(c->g, run));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]), close(ends[1]);
        return fail_errno(e, GR_IO, "no process for a run can be made");
    }
    if (pid == 0) {
        close(ends[0]);
        work(c->g, run, until, ends[1]);
    }
    close(ends[1]);
    c->at[c->n++] = (Worker){pid, ends[0], run, resumes};
    return GR_OK;
}

static void remove_weights(const Grid *g, uint32_t run) {
    Str folder = grid_folder_of(g, run);
    DIR *d = opendir(folder.s);
    for (struct dirent *f; d && (f = readdir(d)) != NULL;)
        if (str_ends(str_of(f->d_name), ".safetensors") && !str_starts(str_of(f->d_name), "epoch-"))
            unlink(rundir_file(g->arena, folder, f->d_name).s);
    if (d) closedir(d);
}

void grid_keep_weights(Grid *g, uint32_t run) {
    const GridRun *r = &g->runs.at[run];
    uint32_t old = g->best_run;
    double had = old == UINT32_MAX ? (double)NAN : g->runs.at[old].score;
    bool best = grid_finished(r) && grid_better(g, r->score, had);
    if (best) g->best_run = run;
    if (g->weights == WEIGHTS_ALL) return;
    if (best && old != UINT32_MAX && old != run) remove_weights(g, old);
    if (!best || g->weights == WEIGHTS_NONE) remove_weights(g, run);
}

static void clear_line(const Crew *c) {
    if (!c->g->quiet && isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
}

static void draw(Crew *c) {
    double now = clock_seconds(), spent = now - c->g->start;
    if (c->g->quiet || !isatty(STDERR_FILENO) || now - c->drawn < 0.1) return;
    c->drawn = now;
    fprintf(stderr, "\r\033[K%u/%u runs", c->done, c->total);
    if (c->done) fprintf(stderr, "  %.0f s left", spent / c->done * (c->total - c->done));
    fflush(stderr);
}

static void print_run(Crew *c, const GridRun *r) {
    const Grid *g = c->g;
    if (g->quiet) return;
    clear_line(c);
    printf("%4u/%u  %.*s  ", c->done, c->total, FSTR(grid_label(g->arena, g, (uint32_t)(r - g->runs.at))));
    if (!isnan(r->score)) printf("%.*s %.5g  ", FSTR(g->score.n <= LABEL_MOST ? g->score : STR("score")), r->score);
    printf("epoch %lld  %.2f s", (long long)r->epochs, r->seconds);
    if (r->state != GRID_DONE && r->state != GRID_OPEN) printf("  %s", grid_state(r->state));
    if (r->why.n) printf(": %.*s", FSTR(r->why));
    putchar('\n');
    fflush(stdout);
}

static GridState state_of(const Said *said) {
    return said->status == GR_OK            ? GRID_DONE
           : said->status == GR_STOPPED     ? GRID_STOPPED
           : said->status == GR_INTERRUPTED ? GRID_OPEN
                                            : GRID_FAILED;
}

/* A disk that is full, say, is nothing a run can help: the sweep ends and goes on later. */
static bool of_the_world(GrStatus s) { return s == GR_IO || s == GR_NOMEM; }

static GrStatus record(Crew *c, const Worker *w, const Said *said, int died, Error *e) {
    Grid *g = c->g;
    GridRun *r = &g->runs.at[w->run];
    if (said) {
        r->state = state_of(said);
        r->seconds = said->seconds + (w->resumes ? r->seconds : 0);
        r->why = said->status == GR_OK || said->status == GR_INTERRUPTED ? (Str){0}
                 : str_copy(g->arena, str_of(said->error.what));
        if (of_the_world(said->status)) {
            *e = said->error;
            r->state = GRID_OPEN;
            return said->status;
        }
    } else {
        r->state = GRID_CRASHED;
        r->why = died ? str_format(g->arena, "its process died: %s", strsignal(died))
                      : STR("its process ended early");
    }
    Arena *scratch = arena_create();
    Error unread = {0};
    if (grid_read_score(g, r, scratch, &unread) == GR_OK) {
        GridValue *at = PUSH(g->arena, GridValue, r->values.n + 1);       /* they outlive the scratch */
        for (uint32_t i = 0; i < r->values.n; i++)
            at[i] = (GridValue){str_copy(g->arena, r->values.at[i].name), r->values.at[i].x};
        r->values.at = at;
        r->values.cap = r->values.n;
    }
    arena_destroy(scratch);
    if (said && said->status == GR_INTERRUPTED && !said->paused) return GR_OK;
    c->done++;
    print_run(c, r);
    TRY(grid_write_result(g, r, e));
    if (r->state != GRID_OPEN && r->state != GRID_CRASHED) grid_keep_weights(g, w->run);
    return GR_OK;
}

/* The n-th worker has said something, or died. */
static GrStatus dismiss(Crew *c, uint32_t n, Error *e) {
    Worker w = c->at[n];
    Said said;
    int how = 0;
    size_t got = 0;
    for (ssize_t k; got < sizeof said; got += (size_t)k) {
        k = read(w.from, (char *)&said + got, sizeof said - got);
        if (k < 0 && errno == EINTR) k = 0;
        else if (k <= 0) break;
    }
    while (waitpid(w.pid, &how, 0) < 0 && errno == EINTR) {}
    close(w.from);
    c->at[n] = c->at[--c->n];
    return record(c, &w, got == sizeof said ? &said : NULL, WIFSIGNALED(how) ? WTERMSIG(how) : 0, e);
}

static void pass_on(Crew *c) {
    if (!grid_interrupted() || c->told) return;
    for (uint32_t i = 0; i < c->n; i++) kill(c->at[i].pid, SIGTERM);
    c->told = true;
}

/* Until a process has ended; the first failure of the world is kept in `e`. */
static void wait_one(Crew *c, Error *e) {
    struct pollfd p[GRID_JOBS_MOST];
    pass_on(c);
    for (uint32_t i = 0; i < c->n; i++) p[i] = (struct pollfd){c->at[i].from, POLLIN, 0};
    draw(c);
    int ready = poll(p, c->n, 200);
    pass_on(c);
    for (uint32_t i = c->n; ready > 0 && i-- > 0;) {
        Error other = {0};
        if (p[i].revents == 0) continue;
        GrStatus s = dismiss(c, i, c->status == GR_OK ? e : &other);
        if (c->status == GR_OK) c->status = s;
    }
}

GrStatus grid_train(Grid *g, uint32_t n, const uint32_t *runs, const int64_t *until, Error *e) {
    Crew c = {.g = g, .total = n};
    for (uint32_t i = 0; i < n && c.status == GR_OK && !grid_interrupted(); i++) {
        Error failed = {0};
        GrStatus s = grid_load(g, g->runs.at[runs[i]].program, &failed);
        while (s == GR_OK && c.n == g->jobs && !grid_interrupted() && c.status == GR_OK) wait_one(&c, e);
        bool goes_on = s == GR_OK && c.status == GR_OK && !grid_interrupted();
        if (goes_on) s = hire(&c, runs[i], until ? until[i] : 0, &failed);
        if (s != GR_OK && c.status == GR_OK) c.status = s, *e = failed;
    }
    while (c.n > 0) wait_one(&c, e);
    clear_line(&c);
    if (c.status != GR_OK) return c.status;
    if (!grid_interrupted()) return GR_OK;
    return fail(e, GR_INTERRUPTED, "interrupted; what is finished is kept in %.*s", FSTR(g->folder));
}
