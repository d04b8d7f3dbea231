/* graphc train: all phases of a program, into a folder of its own. */
#include "atomic.h"
#include "book.h"
#include "card.h"
#include "changes.h"
#include "checkpoint.h"
#include "few.h"
#include "progress.h"
#include "rundir.h"
#include "safetensors.h"
#include "view.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TAGS_MOST = 32 };
typedef struct {
    Common common;
    const char *run, *fork;
    bool resume, quiet, samples;             /* samples: a monitor was asked for that reads them */
    Level monitors[MONITOR_COUNT], alarms;
    uint32_t overfit;
    BookWords words;
    Str tags[TAGS_MOST];
} Options;
enum {
    KEY_RUN = 0x200, KEY_RESUME, KEY_OVERFIT, KEY_NOTE, KEY_TAG, KEY_JSON, KEY_FORK, KEY_MONITOR
};

static void add_tag(Options *o, const char *tag, struct argp_state *state) {
    if (o->words.n_tags == TAGS_MOST) argp_error(state, "more than %d tags", TAGS_MOST);
    o->tags[o->words.n_tags++] = str_of(tag);
    o->words.tags = o->tags;
}

static const char *const monitor_names[] = {
#define MONITOR(id, name, patience, what, advice) name,
#include "monitors.def"
#undef MONITOR
};
#define MONITOR_NAMES "`dead`, `exploding`, `vanishing`, `imbalance`, `overfitting`"

/* "dead=stop" */
static void set_level(Options *o, const char *arg, struct argp_state *state) {
    static const char *const words[] = {[LEVEL_OFF] = "off", [LEVEL_WARN] = "warn", [LEVEL_STOP] = "stop"};
    const char *equals = strchr(arg, '=');
    Str name = {arg, equals ? (uint32_t)(equals - arg) : (uint32_t)strlen(arg)};
    Level level = LEVEL_AS_WRITTEN, *to = str_is(name, "alarms") ? &o->alarms : NULL;
    for (uint32_t i = 0; i < MONITOR_COUNT && !to; i++)
        if (str_is(name, monitor_names[i])) to = &o->monitors[i];
    for (uint32_t i = LEVEL_OFF; i <= LEVEL_STOP && equals; i++)
        if (strcmp(equals + 1, words[i]) == 0) level = (Level)i;
    if (!to) argp_error(state, "there is no monitor `%.*s`; " MONITOR_NAMES " and `alarms` are some", FSTR(name));
    if (level == LEVEL_AS_WRITTEN) argp_error(state, "--monitor takes %.*s=off, =warn or =stop", FSTR(name));
    if (to) *to = level;
    o->samples |= level > LEVEL_OFF && to != &o->alarms && to != &o->monitors[MONITOR_OVERFITTING];
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_RUN: o->run = arg; return 0;
    case KEY_NOTE: o->words.note = str_of(arg); return 0;
    case KEY_TAG: add_tag(o, arg, state); return 0;
    case KEY_FORK: o->words.fork = str_of(o->fork = arg); return 0;
    case KEY_JSON: o->common.json = true; return 0;
    case KEY_RESUME: o->resume = true; return 0;
    case KEY_MONITOR: set_level(o, arg, state); return 0;
    case KEY_OVERFIT: o->overfit = option_count(arg, 1, 1000, "--overfit", state); return 0;
    case 'q': o->quiet = true; return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->child_inputs[1] = state->child_inputs[2] = &o->common;
        return 0;
    case ARGP_KEY_END:
        if (o->resume && !o->run) argp_error(state, "--resume needs --run DIR: which training goes on?");
        if (o->fork && (o->resume || o->overfit)) argp_error(state, "--fork begins a run of its own");
        if (o->samples && o->common.sample_given && o->common.sample_steps == 0)
            argp_error(state, "a monitor that is asked for reads samples, and `--sample off` takes none");
        if (o->overfit && o->run) argp_error(state, "--overfit only asks whether a loss can fall: it writes no run");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"run", KEY_RUN, "DIR", 0, "write into this folder, new or empty (runs/NAME-001, or the next free number)", 2},
    {"resume", KEY_RESUME, 0, 0, "go on where the run in --run DIR stopped, to the same bits", 2},
    {"overfit", KEY_OVERFIT, "N", 0,
     "train on the first N batches only, over and over: does the loss fall to near zero? writes nothing", 2},
    {"fork", KEY_FORK, "RUN", 0, "begin with the kept weights of this run (or its last), as far as they fit", 2},
    {"monitor", KEY_MONITOR, "NAME=LEVEL", 0,
     "`off`, `warn` or `stop`, for " MONITOR_NAMES " or `alarms`, those of the file; may be repeated", 2},
    {"note", KEY_NOTE, "TEXT", 0, "a remark, kept with the run", 2},
    {"tag", KEY_TAG, "WORD", 0, "a tag of the run; may be repeated", 2},
    {"quiet", 'q', 0, 0, "no progress", 2},
    {"json", KEY_JSON, 0, 0, "progress and messages as objects, one a line, on standard output", 2},
    {0}};
static const struct argp_child children[] = {
    {&common_argp, 0, NULL, 0}, {&sampling_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.options = options,
                                   .parser = parse,
                                   .args_doc = "FILE",
                                   .children = children,
                                   .doc = "Trains FILE.\vThe folder of a run holds the program with every "
                                          "default (resolved.graph), the metrics (metrics.jsonl, "
                                          "metrics.csv), what was said (log.txt) and checkpoints "
                                          "(last.safetensors, best-1.safetensors); `graphc runs` lists runs. Ctrl-C "
                                          "finishes the step, or the batch of a validation, saves "
                                          "and exits 130; a second one exits at once."};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
    if (interrupted) _exit(EXIT_INTERRUPTED);
    interrupted = signal;
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct { Job job; Screen screen; Book *book; double start, first_step; bool measured; } Run;    /* seconds */

static bool wants_values(void *user) {
    const Run *r = user;
    return screen_due(&r->screen) && job_idle(&r->job);
}

/* What is said whatever the screen shows. */
static void remark(Run *r, const TrainProgress *p) {
    Arena *a = r->job.s->arena;
    if (p->event == TRAIN_LOADED) {
        const char *what = r->job.job.fork.n && str_starts(p->note, r->job.job.fork.s) ? "--fork" : "load";
        Str text = str_format(a, "%.*s; this begins as without `%s`", FSTR(p->note), what);
        report_remark(r->job.c, SEV_NOTE, "load", text);
    }
    if (p->event != TRAIN_ALARM || p->alarm->stop) return;
    screen_clear(&r->screen);
    report_remark(r->job.c, SEV_WARNING, "alarm",
                  str_format(a, "%.*s (%.*s%s%.*s, epoch %lld, step %lld)", FSTR(p->alarm->text),
                             FSTR(p->alarm->from), p->alarm->from.n ? ", " : "", FSTR(p->split),
                             (long long)p->epoch, (long long)p->step));
}

static void progress(void *user, const TrainProgress *p) {
    Run *r = user;
    r->measured |= p->event == TRAIN_EPOCH;
    if (p->event == TRAIN_STEP && r->first_step == 0) {
        r->first_step = seconds_now() - r->start;
        job_compile_behind(&r->job);
    }
    remark(r, p);
    book_event(r->book, p);
    screen_event(&r->screen, r->job.s->arena, r->job.job.recipe, p);
}

/* The weights that a fork begins with, read before there is a folder: nothing is left behind when they cannot be. */
static GrStatus read_fork(Session *s, Arena *a, const Options *o, StoreFile *file, Error *e) {
    Str from = str_of(o->fork);
    SeenRun other;
    if (!str_ends(from, ".safetensors")) {
        TRY(view_one(s->arena, NULL, o->fork, &other, e));
        TRY(rundir_trained(s->arena, other.path, e));
        from = train_best(s->arena, other.path);
    }
    return safetensors_read(a, from, file, e);
}

/* A run that has a log and no checkpoint begins again, and its log with it: only for the text that was measured. */
static GrStatus check_text(Session *s, Str run, Error *e) {
    Str folder, name;
    run_split(s->arena, run, &folder, &name);
    Str was = card_read(s->arena, folder, name).text_hash;
    if (was.n == 0 || !rundir_logged(s->arena, run) || str_eq(was, book_text_hash(s->arena, s))) return GR_OK;
    fail(e, GR_CHANGED, "%.*s was trained with another program", FSTR(run));
    fail_help(e, "a changed program begins a run of its own: another `--run`");
    return GR_CHANGED;
}

/* The folder, ours until the process ends, and in it the program as it runs.  Whether it is free is asked
 * once more when it is ours: another training may have come and gone in between.  The weights of a fork (or NULL) are
 * kept with the run, since the other one may change or go; they come first, so where the program is, they are. */
static GrStatus open_run(Session *s, const Options *o, const StoreFile *fork, Str *run, Error *e) {
    int lock;
    if (!o->run) {
        TRY(rundir_create(s->arena, STR("runs"), s->recipe->name, run, e));
    } else {
        *run = str_of(o->run);
        TRY(rundir_use(s->arena, *run, o->resume, e));
    }
    TRY(rundir_lock(s->arena, *run, &lock, e));
    TRY(rundir_use(s->arena, *run, o->resume, e));
    if (rundir_saved(s->arena, *run)) return GR_OK;
    if (o->resume) TRY(check_text(s, *run, e));
    Str begin = rundir_file(s->arena, *run, RUN_FORK);
    if (fork) TRY(safetensors_write(s->arena, begin, fork, e));
    else if (!o->resume && unlink(begin.s) != 0 && errno != ENOENT)         /* of a fork that was killed here */
        return fail_errno(e, GR_IO, "%.*s", FSTR(begin));
    return atomic_write_text(s->arena, rundir_file(s->arena, *run, RUN_PROGRAM), s->recipe->resolved, e);
}

static GrStatus open_folder(Session *s, const Options *o, Str *run, Error *e) {
    Arena *scratch = arena_create();
    StoreFile file;
    GrStatus status = o->fork ? read_fork(s, scratch, o, &file, e) : GR_OK;
    if (status == GR_OK) status = open_run(s, o, o->fork ? &file : NULL, run, e);
    arena_destroy(scratch);
    return status;
}

/* The first weights of a fork; a run that goes on has them, or has saved something since. */
static GrStatus find_fork(Session *s, Str run, Str *fork, Error *e) {
    Str name, folder;
    *fork = rundir_file(s->arena, run, RUN_FORK);
    if (access(fork->s, F_OK) == 0) return GR_OK;
    *fork = STR("");
    run_split(s->arena, run, &folder, &name);
    if (rundir_saved(s->arena, run) || card_read(s->arena, folder, name).fork.n == 0) return GR_OK;
    fail(e, GR_IO, "%.*s is a fork that saved nothing yet, and its " RUN_FORK " is not there", FSTR(run));
    fail_help(e, "it cannot begin again: `--fork` with another `--run` makes a new one");
    return GR_IO;
}

static GrStatus train(Session *s, const Options *o, double start, Str *run, Error *e) {
    Run r = {.start = start, .screen = screen_make(o->quiet, o->common.json)};
    bool saved = o->resume && rundir_saved(s->arena, str_of(o->run)), text = !o->quiet && !o->common.json;
    Str last = saved ? rundir_file(s->arena, str_of(o->run), RUN_LAST) : (Str){0};
    GrStatus status = job_open(s, &o->common, "fused", LOWER_TRAIN, last, &r.job, e);
    if (status == GR_OK && text) job_print_cleaned(&r.job, stdout);
    if (status == GR_OK) status = open_folder(s, o, run, e);
    if (status == GR_OK && o->resume && !saved && rundir_saved(s->arena, *run))
        status = fail(e, GR_IO, "another training wrote into %.*s meanwhile", FSTR(*run));
    if (status == GR_OK) status = find_fork(s, *run, &r.job.job.fork, e);
    /* Before anything is written: what is refused leaves the record of the run as it was. */
    if (status == GR_OK && saved) status = checkpoint_check(r.job.job.exec, r.job.job.program, last, e);
    if (status == GR_OK) {
        r.job.job.run = *run;
        r.job.job.resume = saved;
        r.job.job.interrupted = &interrupted;
        memcpy(r.job.job.monitors, o->monitors, sizeof o->monitors);
        r.job.job.alarms = o->alarms;
        r.job.job.progress = progress;
        r.job.job.wants_values = wants_values;
        r.book = book_open(&r.job, *run, o->resume, &o->words);
        screen_say(&r.screen, "begin", *run, NULL);
        status = train_run(&r.job.job, e);
        screen_clear(&r.screen);
        if (status == GR_OK && text && o->resume && r.first_step == 0 && !r.measured)
            printf("nothing is left to do: all epochs of %.*s are trained\n", FSTR(*run));
        screen_say(&r.screen, "end", *run, book_state(status).s);
        book_close(r.book, status, e);
        compile_times(&r.job.compiled, &o->common);
        if (o->common.passes.time_passes) fprintf(stderr, "first step %8.2f ms after the start\n", r.first_step * 1e3);
    }
    job_close(&r.job);
    return status;
}

int cmd_train(int argc, char **argv) {
    double start = seconds_now();
    Options o = {.common = common_make()};
    for (uint32_t i = 0; i < MONITOR_COUNT; i++) o.monitors[i] = LEVEL_WARN;
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    if (s.recipe->phases.n == 0) return session_leave(&s, report_no_train(&o.common));
    o.common.sample_if_long = !o.common.sample_given && !o.common.conflict && !o.samples && !o.overfit;
    sampling_settle(&o.common, s.recipe, o.samples || o.common.sample_if_long);
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    if (o.overfit) return session_leave(&s, few_overfit(&s, &o.common, o.overfit, o.quiet, &interrupted));
    Error e = {0};
    Str run = {"", 0};
    GrStatus status = train(&s, &o, start, &run, &e);
    int code = 0;
    if (status == GR_INTERRUPTED) {
        fail(&e, GR_INTERRUPTED, "interrupted; the run is saved");
        Buf given = buf_make(s.arena);
        for (uint32_t i = 0; i < o.common.n_settings; i++)
            buf_printf(&given, " -s %.*s=%.*s", FSTR(o.common.settings[i].name), FSTR(o.common.settings[i].value));
        fail_help(&e, "graphc train %s --run %.*s --resume%.*s", o.common.file, FSTR(run), FSTR(buf_str(&given)));
        code = report_error(&o.common, &e);
    } else if (status != GR_OK) {
        if (status == GR_CHANGED) changes_explain(&s, run, &e);
        session_report(&s, &o.common);
        code = report_error(&o.common, &e);
    } else if (!o.quiet && !o.common.json) {
        printf("run         %.*s\n", FSTR(run));
    }
    session_close(&s);
    return code;
}
