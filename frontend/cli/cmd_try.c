/* graphc try: everything that a training does, on a few rows: two steps of every phase, a validation, saving, loading,
 * exports.  What would fail after hours fails here after seconds; nothing is left behind. */
#define _GNU_SOURCE                /* nftw */
#include "budget.h"
#include "checkpoint.h"
#include "few.h"
#include "rundir.h"
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct { Common common; } Options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.parser = parse, .args_doc = "FILE", .children = children,
    .doc = "Tries FILE out: two steps of every phase, a validation, a checkpoint saved and loaded, each export; then "
           "tells what an epoch will take. It writes into a folder of its own below TMPDIR, which it removes.\v"
           "Exit status 1 when any of it fails."};

enum { STEPS = 2, EXPORT_ROWS = 8, STEPS_MOST = 1 << 30 };

/* What a phase would take by itself, and what of it was seen. */
typedef struct {
    int64_t steps_per_epoch, val_batches;
    int64_t steps;                         /* taken */
    double last, step, eval;               /* seconds: of the last event; the shortest of each kind, 0 for none */
} PhaseTime;
typedef struct { Job job; PhaseTime *phases; Str scratch; bool on_disk; } Try;

/* ---- the scratch folder ---- */
static volatile sig_atomic_t interrupted;
static void on_interrupt(int signal) { interrupted = signal; }

static GrStatus make_scratch(Try *t, Error *e) {
    const char *parent = getenv("TMPDIR");
    t->scratch = str_format(t->job.s->arena, "%s/graphc-try-XXXXXX", parent && *parent ? parent : "/tmp");
    t->on_disk = mkdtemp((char *)t->scratch.s) != NULL;
    if (t->on_disk) return GR_OK;
    fail_errno(e, GR_IO, "no scratch folder can be made: %.*s", FSTR(t->scratch));
    fail_help(e, "TMPDIR names another place: `TMPDIR=. graphc try ..`");
    return GR_IO;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void remove_scratch(const Try *t) {
    if (t->on_disk) nftw(t->scratch.s, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- times ---- */
static int64_t batches(const Dataset *d, const char *split, int64_t batch, bool drop_tail) {
    const Split *s = splits_find(&d->splits, str_of(split));
    return s == NULL ? 0 : drop_tail ? s->n / batch : (s->n + batch - 1) / batch;
}

static void measure_whole(Try *t) {
    const Recipe *r = t->job.s->recipe;
    t->phases = PUSH(t->job.s->arena, PhaseTime, r->phases.n);
    for (uint32_t i = 0; i < r->phases.n; i++) {
        const RecipePhase *p = &r->phases.at[i];
        uint32_t o;
        t->phases[i].steps_per_epoch =
            batches(t->job.data[r->objectives.at[p->runs.at[0].objective].data], "train", p->batch, p->drop_tail);
        for (uint32_t k = 0; recipe_measured(r, p, STR("val"), k, &o); k++)
            t->phases[i].val_batches += batches(t->job.data[r->objectives.at[o].data], "val", p->batch, false);
    }
}

static void shortest(double *least, double seconds) {
    if (*least == 0 || seconds < *least) *least = seconds;
}

static void progress(void *user, const TrainProgress *p) {
    Try *t = user;
    if (p->phase == NULL) return;
    PhaseTime *x = &t->phases[p->phase - t->job.s->recipe->phases.at];
    if (p->event == TRAIN_SAMPLE) {
        printf("%.*s", FSTR(budget_text(t->job.s->arena, t->job.s->recipe, p)));
        x->last = p->seconds;
        return;
    }
    if (p->event == TRAIN_STEP) {
        if (x->steps++ > 0) shortest(&x->step, p->seconds - x->last);
    } else if (p->event == TRAIN_EVAL) {
        shortest(&x->eval, p->seconds - x->last);
    }
    x->last = p->seconds;
}

/* ---- the parts ---- */
/* Two steps, or one round of all runs; every kind of validation, save and inner phase after them. */
static int64_t shorten(const Session *s) {
    int64_t most = STEPS;
    for (uint32_t i = 0; i < s->recipe->phases.n; i++) {
        RecipePhase *p = &s->recipe->phases.at[i];
        int64_t round = 0;
        for (uint32_t k = 0; k < p->runs.n; k++) round += p->runs.at[k].times;
        p->steps = round > STEPS ? round : STEPS;
        p->epochs = 0;
        p->save_epochs = 1;
        p->report_steps = p->report_steps ? p->steps : 0;              /* after the last: it costs time */
        most = p->steps > most ? p->steps : most;
        for (uint32_t k = 0; k < p->validations.n; k++) p->validations.at[k].epochs = 1, p->validations.at[k].steps = 0;
        for (uint32_t k = 0; k < p->inner.n; k++) p->inner.at[k].epochs = 1;
    }
    return most;
}

/* All of it now, so that times are of steps. */
static GrStatus compile(Try *t, Error *e) {
    const Compiled *c = &t->job.compiled;
    TRY(job_open_program(&t->job, "fused", LOWER_TRAIN, e));
    TRY(compile_load(t->job.c, &t->job.compiled, 0, NULL, e));
    t->job.code = code_table(c->code);
    TRY(exec_update(t->job.exec, c->planned.plan, &t->job.code, e));
    printf("compiled    %u kernels in %.2f s\n", c->planned.kernels.n, c->fuse_seconds + c->code_seconds);
    return GR_OK;
}

static GrStatus train(Try *t, Error *e) {
    t->job.job.run = t->scratch;
    t->job.job.progress = progress;
    t->job.job.interrupted = &interrupted;
    return train_run(&t->job.job, e);
}

static void print_phase(const Try *t, uint32_t i) {
    const RecipePhase *p = &t->job.s->recipe->phases.at[i];
    const PhaseTime *x = &t->phases[i];
    printf("trained     %.*s: %lld steps", FSTR(p->name), (long long)x->steps);
    if (x->eval > 0) printf(", a validation");
    double epoch = x->step * (double)x->steps_per_epoch + x->eval * (double)x->val_batches;
    printf("; an epoch is %lld steps%s, about ", (long long)x->steps_per_epoch, x->eval > 0 ? " and a validation" : "");
    if (epoch < 1) printf("%.2g ms\n", epoch * 1e3);
    else printf("%.*f s\n", epoch < 10, epoch);
}

static GrStatus load(Try *t, Error *e) {
    struct stat st;
    Str last = rundir_file(t->job.s->arena, t->scratch, RUN_LAST);
    if (stat(last.s, &st) != 0) return fail_errno(e, GR_IO, "%.*s was not written", FSTR(last));
    t->job.job.resume = true;
    t->job.job.progress = NULL;
    TRY(train_run(&t->job.job, e));                                 /* nothing is left to do */
    printf("saved       and loaded; a checkpoint is %.2f MB\n", (double)st.st_size * 1e-6);
    return GR_OK;
}

static GrStatus fill_export(Session *s, const Compiled *c, Exec *x, const Dataset *d, Error *e) {
    const Plan *p = c->planned.plan;
    const PlanEntry *entry = &p->entries.at[0];
    for (uint32_t i = entry->first_column; i < entry->first_column + entry->n_columns; i++) {
        const PlanBinding *b = &p->bindings.at[i];
        int64_t rows = p->buffers.at[b->buffer].shape.dim[0], column = dataset_column(d, b->name);
        TRY(run_fill_column(s->arena, d, column, "train", rows, 0, exec_buffer(x, b->buffer), e));
    }
    return GR_OK;
}

/* Without a data set the columns stay zero. */
static GrStatus run_export(Try *t, const RecipeExport *export, Compiled *c, Exec **x, Error *e) {
    Session *s = t->job.s;
    EntryRequest request = {LOWER_EXPORT, export->name, EXPORT_ROWS, 0};
    if (!compile_graphs(s, t->job.c, 1, &request, c)) return fail(e, GR_PROGRAM, "the program has errors");
    TRY(compile_plan(s, t->job.c, c, "fused", e));
    TRY(compile_load(t->job.c, c, 0, NULL, e));
    PlanCode code = code_table(c->code);
    TRY(exec_create(s->arena, c->planned.plan, &code, (ExecOptions){t->job.c->threads}, x, e));
    TrainState state = {0};
    TRY(checkpoint_load(s->arena, *x, CHECKPOINT_WEIGHTS, 0, train_best(s->arena, t->scratch), &state, e));
    if (export->data >= 0) TRY(fill_export(s, c, *x, t->job.data[export->data], e));
    Counters at = {.rows = EXPORT_ROWS, .batch = EXPORT_ROWS};
    const PlanEntry *entry = &c->planned.plan->entries.at[0];
    uint32_t health = exec_run(*x, entry, uniform_values(s->arena, s->recipe, c->planned.plan->uniforms, &at));
    if (health & HEALTH_INDEX)
        return fail(e, GR_DATA, "export `%.*s` reads outside a tensor", FSTR(export->name));
    return GR_OK;
}

static GrStatus exports(Try *t, Error *e) {
    const Recipe *r = t->job.s->recipe;
    for (uint32_t i = 0; i < r->exports.n; i++) {
        const RecipeExport *export = &r->exports.at[i];
        Compiled c = {0};
        Exec *x = NULL;
        GrStatus status = run_export(t, export, &c, &x, e);
        exec_destroy(x);
        compile_close(&c);
        TRY(status);
        printf("exported    %.*s, of %d rows%s\n", FSTR(export->name), EXPORT_ROWS,
               export->data < 0 ? " of zeros" : "");
    }
    return GR_OK;
}

static void print_memory(const Try *t) {
    double data = 0;
    for (uint32_t i = 0; i < t->job.s->recipe->data.n; i++) {
        const Dataset *d = t->job.data[i];
        for (uint32_t k = 0; k < d->columns.n; k++) data += (double)d->columns.at[k].row_bytes * (double)d->rows;
    }
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("memory      %.1f MB for weights and a step, %.1f MB of data; %.0f MB at the most, with the compiler\n",
           (double)exec_bytes(t->job.exec) * 1e-6, data * 1e-6, (double)u.ru_maxrss * 1.024e-3);
}

static GrStatus try_all(Session *s, const Common *c, Try *t, Error *e) {
    TRY(job_open_data(s, c, true, (Str){0}, &t->job, e));
    measure_whole(t);
    few_batches(&t->job, shorten(s), FEW_VALIDATE_FIRST);
    TRY(make_scratch(t, e));
    TRY(compile(t, e));
    TRY(train(t, e));
    for (uint32_t i = 0; i < s->recipe->phases.n; i++) print_phase(t, i);
    TRY(load(t, e));
    TRY(exports(t, e));
    print_memory(t);
    return GR_OK;
}

int cmd_try(int argc, char **argv) {
    Options o = {.common = common_make()};
    o.common.sample_steps = STEPS_MOST;    /* the first step of a phase */
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    if (s.recipe->phases.n == 0) return session_leave(&s, report_no_train(&o.common));
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    Try t = {.job = {.s = &s}};
    Error e = {0};
    GrStatus status = try_all(&s, &o.common, &t, &e);
    remove_scratch(&t);
    session_report(&s, &o.common);
    int code = status == GR_OK ? 0 : status == GR_INTERRUPTED ? EXIT_INTERRUPTED : report_error(&o.common, &e);
    if (status == GR_OK) puts("all of it works");
    job_close(&t.job);
    session_close(&s);
    return code;
}
