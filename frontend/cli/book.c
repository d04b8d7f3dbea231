/* A resumed run's log may be longer than its last checkpoint knows, and is cut by the trainer; so what earlier
 * processes measured is read when the first event comes, not before. */
#include "book.h"
#include "atomic.h"
#include "budget.h"
#include "baseline.h"
#include "card.h"
#include "csvlog.h"
#include "events.h"
#include "gallery.h"
#include "hash.h"
#include "history.h"
#include "origin.h"
#include "progress.h"
#include "rundir.h"
#include "view.h"
#include <string.h>
#include <unistd.h>

/* Between two puts, so that short epochs do not spend their time in the database. */
static const double k_pause_s = 0.5;

struct Book {
    const Job *job;
    Arena *arena;                          /* of the whole run */
    Str run, name, files;
    Runs *runs;                            /* NULL: it could not be opened */
    CsvLog *csv;
    Events *events;
    Gallery *gallery;                      /* opened when the first picture is due; NULL: there is none */
    bool looked;
    FILE *log;
    RunRow row;
    bool begun, warned;
    double put, before;                    /* seconds: of the last put, of earlier processes */
    int64_t steps_before;                  /* of phases that are through: events count all steps of a run */
};

/* ---- what it says ---- */
static void warn(Book *b, const Error *e) {
    Str what = str_format(b->arena, "%s; the training goes on without it", e->what);
    if (!b->warned) report_remark(b->job->c, SEV_WARNING, "io", what);
    b->warned = true;
}

static void put(Book *b) {
    Error e = {0};
    if (b->runs && runs_put(b->runs, &b->row, &e) != GR_OK) warn(b, &e);
}

static void put_origin(Book *b) {
    Error e = {0};
    Str path = rundir_file(b->arena, b->run, RUN_DATA);
    if (atomic_write_text(b->arena, path, b->files, &e) != GR_OK) warn(b, &e);
}

static void put_card(Book *b) {
    Error e = {0};
    ArenaMark mark = arena_mark(b->arena);
    if (card_write(b->arena, b->run, &b->row, &e) != GR_OK) warn(b, &e);
    arena_pop(mark);
}

static uint64_t hash_data(const Job *j) {
    uint64_t h = 1;
    for (uint32_t i = 0; i < j->s->recipe->data.n; i++) {
        const Dataset *d = j->data[i];
        h = hash_mix(h, (uint64_t)d->rows);
        for (uint32_t k = 0; k < d->columns.n; k++) {
            const DataColumn *c = &d->columns.at[k];
            h = hash_str(h, c->name);
            h = dataset_digest(d, k, 0, d->rows, hash_mix(h, (uint64_t)c->dtype));
        }
        for (uint32_t k = 0; k < d->splits.at.n; k++) {
            const Split *s = &d->splits.at.at[k];
            h = hash_bytes(hash_str(h, s->name), s->rows, sizeof *s->rows * (size_t)s->n);
        }
    }
    return h;
}

const DataFacts *book_facts(Arena *a, const Job *j) {
    DataFacts *f = PUSH(a, DataFacts, 1);
    f->hash = hash_data(j);
    f->files = origin_text(a, j);
    f->baseline = baseline_text(a, j->s->recipe, j->data, "val");
    if (f->baseline.n == 0) f->baseline = baseline_text(a, j->s->recipe, j->data, "train");
    return f;
}

static Str hex(Arena *a, uint64_t x) { return str_format(a, "%016llx", (unsigned long long)x); }

Str book_text_hash(Arena *a, const Session *s) { return hex(a, hash_str(1, s->recipe->resolved)); }

static void add_words(Book *b, const BookWords *w) {
    RunRow *r = &b->row;
    if (w->note.n) r->note = w->note;
    if (w->fork.n) r->fork = w->fork;
    if (w->sweep.n) r->sweep = w->sweep;
    if (w->point.n) r->point = w->point;
    for (uint32_t i = 0; i < w->n_tags; i++) {
        bool there = false;
        for (uint32_t k = 0; k < r->tags.n; k++) there = there || str_eq(r->tags.at[k], w->tags[i]);
        if (!there) vec_push(b->arena, &r->tags, w->tags[i]);
    }
}

/* ---- begin ---- */
static void describe(Book *b, const BookWords *words) {
    const Session *s = b->job->s;
    const DataFacts *facts = b->job->facts ? b->job->facts : book_facts(b->arena, b->job);
    RunRow *r = &b->row;
    r->name = b->name;
    r->program = s->recipe->name;
    r->file = str_of(b->job->c->file);
    r->text_hash = book_text_hash(b->arena, s);
    r->program_hash = hex(b->arena, b->job->job.program);
    r->data_hash = hex(b->arena, facts->hash);
    r->state = RUN_RUNNING;
    r->reason = STR("");
    r->ended = STR("");
    r->process = getpid();
    r->version = STR(GRAPHC_VERSION);
    if (r->started.n == 0) r->started = run_time(b->arena);
    r->settings.n = 0;
    for (uint32_t i = 0; i < s->recipe->settings.n; i++) {
        const RecipeSetting *x = &s->recipe->settings.at[i];
        vec_push(b->arena, &r->settings, (RunSetting){x->name, x->text});
    }
    r->baseline = facts->baseline;
    b->files = facts->files;
    add_words(b, words);
}

Book *book_open(const Job *j, Str run, bool resumed, const BookWords *words) {
    Arena *a = arena_create();
    Book *b = PUSH(a, Book, 1);
    Error e = {0};
    Str folder;
    *b = (Book){.job = j, .arena = a, .run = run};
    run_split(a, run, &folder, &b->name);
    if (resumed) b->row = card_read(a, folder, b->name);
    b->before = b->row.seconds;
    describe(b, words);
    if (view_open(a, j->c, folder, &b->runs, &e) != GR_OK) warn(b, &e);
    b->log = fopen(rundir_file(a, run, RUN_LOG).s, resumed ? "ae" : "we");
    if (b->log) {
        setvbuf(b->log, NULL, _IOLBF, 0);
        fprintf(b->log, "%.*s  %s  %.*s\n", FSTR(run_time(a)), resumed ? "goes on" : "begins", FSTR(b->row.file));
    }
    if (words->brief && !resumed) return b;
    put_card(b);
    put_origin(b);
    put(b);
    return b;
}

/* ---- events ---- */
static void begin(Book *b) {
    Error e = {0};
    History h;
    b->begun = true;
    if (history_read(b->arena, b->run, &h, &e) != GR_OK) warn(b, &e);
    b->row.metrics.n = 0;
    card_measure(b->arena, &h, &b->row);
    for (uint32_t i = 1; i < h.at.n; i++)
        if (!str_eq(h.at.at[i].phase, h.at.at[i - 1].phase)) b->steps_before += h.at.at[i - 1].step;
    b->row.seconds = b->before;
    int64_t step = h.at.n ? b->steps_before + b->row.step : 0;
    if (events_open(b->arena, b->run, step, &b->events, &e) != GR_OK) warn(b, &e);
    if (csvlog_open(b->arena, b->run, &b->csv, &e) != GR_OK) warn(b, &e);
}

static void measure(Book *b, const TrainProgress *p) {
    bool whole = p->event == TRAIN_EPOCH;
    for (uint32_t i = 0; i < p->values->at.n; i++) {
        const TrainValue *v = &p->values->at.at[i];
        bool extreme = whole || !str_starts(v->name, "train.");
        if (shape_count(v->shape) == 1)
            runs_measure(b->arena, &b->row, v->name, (double)v->values[0], p->epoch, extreme);
    }
}

static void put_events(Book *b, const TrainProgress *p) {
    Error e = {0};
    uint32_t n = 0;
    EventScalar *at = PUSH(b->arena, EventScalar, p->values->at.n + 1);
    for (uint32_t i = 0; i < p->values->at.n; i++) {
        const TrainValue *v = &p->values->at.at[i];
        if (shape_count(v->shape) == 1) at[n++] = (EventScalar){v->name, (double)v->values[0]};
    }
    if (!b->events || events_scalars(b->events, b->steps_before + p->step, at, n, &e) == GR_OK) return;
    warn(b, &e);
    events_close(b->events);
    b->events = NULL;
}

/* Short trainings are not kept waiting for the pictures' code. */
static void put_pictures(Book *b, const TrainProgress *p) {
    static const double first_s = 1;
    Error e = {0};
    GrStatus status = GR_OK;
    if (!b->events || p->event != TRAIN_EPOCH || p->seconds < first_s || !job_idle(b->job)) return;
    if (!b->looked) status = gallery_open(b->job, b->run, &b->gallery, &e);
    b->looked = true;
    if (status == GR_OK && b->gallery && !gallery_rests(b->gallery, p->seconds))
        status = gallery_show(b->gallery, p, b->steps_before + p->step, b->events, &e);
    if (status == GR_OK) return;
    warn(b, &e);
    gallery_close(b->gallery);
    b->gallery = NULL;
}

static void follow_csv(Book *b) {
    Error e = {0};
    if (!b->csv || csvlog_follow(b->csv, &e) == GR_OK) return;
    warn(b, &e);
    csvlog_close(b->csv);
    b->csv = NULL;
}

static void report(Book *b, const TrainProgress *p) {
    measure(b, p);
    ArenaMark mark = arena_mark(b->arena);
    put_events(b, p);
    put_pictures(b, p);
    if (b->log) fprintf(b->log, "%.*s\n", FSTR(epoch_line(b->arena, b->job->s->recipe, p)));
    arena_pop(mark);
    follow_csv(b);
    if (p->seconds - b->put < k_pause_s) return;
    b->put = p->seconds;
    put(b);
}

/* The budget of a beginning is for people. */
static void sample(Book *b, const TrainProgress *p) {
    bool recorded = p->step > 0 || b->job->c->sample_first;
    if (recorded) measure(b, p);
    ArenaMark mark = arena_mark(b->arena);
    if (recorded) put_events(b, p);
    if (b->log && p->step == 0) fprintf(b->log, "%.*s", FSTR(budget_text(b->arena, b->job->s->recipe, p)));
    arena_pop(mark);
    if (recorded) follow_csv(b);
}

void book_event(Book *b, const TrainProgress *p) {
    RunRow *r = &b->row;
    if (!b->begun) begin(b);
    if (p->phase && !str_eq(r->phase, p->phase->name)) {
        b->steps_before += r->step;        /* 0 before the first */
        r->phase = p->phase->name;
    }
    r->epoch = p->epoch, r->epochs = p->epochs, r->step = p->step, r->steps = p->steps;
    r->seconds = b->before + p->seconds;
    switch (p->event) {
    case TRAIN_REPORT: case TRAIN_EPOCH: report(b, p); return;
    case TRAIN_SAMPLE: sample(b, p); return;
    case TRAIN_ALARM:
        if (b->log)
            fprintf(b->log, "%s  %.*s (%.*s, epoch %lld, step %lld)\n", p->alarm->stop ? "stop" : "warning",
                    FSTR(p->alarm->text), FSTR(p->split), (long long)p->epoch, (long long)p->step);
        return;
    case TRAIN_LOADED:
        if (b->log) fprintf(b->log, "load  %.*s\n", FSTR(p->note));
        return;
    case TRAIN_STEP: case TRAIN_EVAL: return;
    }
}

/* ---- end ---- */
Str book_state(GrStatus status) {
    return status == GR_OK            ? RUN_DONE
           : status == GR_INTERRUPTED ? RUN_INTERRUPTED
           : status == GR_STOPPED     ? RUN_STOPPED
                                      : RUN_FAILED;
}

void book_close(Book *b, GrStatus status, const Error *e) {
    if (!b) return;
    b->row.state = book_state(status);
    b->row.reason = status == GR_OK ? STR("") : str_of(e->what);
    b->row.ended = run_time(b->arena);
    if (b->log) {
        fprintf(b->log, "%.*s  %.*s%s%.*s\n", FSTR(b->row.ended), FSTR(b->row.state), status == GR_OK ? "" : ": ",
                FSTR(b->row.reason));
        fclose(b->log);
    }
    put_card(b);
    put(b);
    csvlog_close(b->csv);
    gallery_close(b->gallery);
    events_close(b->events);
    runs_close(b->runs);
    arena_destroy(b->arena);
}
