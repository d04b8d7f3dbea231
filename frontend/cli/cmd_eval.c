/* graphc eval: the metrics of a trained model over a whole split. */
#include "baseline.h"
#include "changes.h"
#include "job.h"
#include "rundir.h"
#include "uses.h"

typedef struct { Common common; const char *run, *split; } Options;
enum { KEY_RUN = 0x200, KEY_SPLIT };

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_RUN: o->run = arg; return 0;
    case KEY_SPLIT: o->split = arg; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"run", KEY_RUN, "DIR", 0, "the folder of the trained model; not needed when all models are of used runs", 2},
    {"split", KEY_SPLIT, "NAME", 0, "which rows: test (the default), val, train", 2},
    {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {
    .options = options,
    .parser = parse,
    .args_doc = "FILE",
    .children = children,
    .doc = "Losses and metrics of a trained model over all rows of a split: sums and counts of the whole "
           "split, not means of batches. "
           "Takes the first kept checkpoint of the run, or the last one when nothing is kept."};

static GrStatus open_weights(const Session *s, const Options *o, Str *checkpoint, Error *e) {
    *checkpoint = (Str){"", 0};
    if (!o->run) return uses_train_all(s, e);
    TRY(rundir_trained(s->arena, str_of(o->run), e));
    *checkpoint = train_best(s->arena, str_of(o->run));
    return GR_OK;
}

/* NULL: all data sets of the objective have the split. */
static const Dataset *without_split(const Job *j, const RecipeObjective *o, const char *split) {
    const Dataset *d = j->data[o->data];
    for (uint32_t i = 0; splits_find(&d->splits, str_of(split)); i++) {
        if (i == o->more.n) return NULL;
        d = j->data[o->more.at[i].data];
    }
    return d;
}

/* Every objective that can be; one whose data have no such rows is left out, and said to be, unless all are. */
static GrStatus evaluate(Job *j, Str checkpoint, const char *split, TrainValues *values, Error *e) {
    const Recipe *r = j->s->recipe;
    uint32_t possible = 0;
    for (uint32_t i = 0; i < r->objectives.n; i++) possible += !without_split(j, &r->objectives.at[i], split);
    for (uint32_t i = 0; i < r->objectives.n; i++) {
        const Dataset *d = without_split(j, &r->objectives.at[i], split);
        if (d == NULL || possible == 0) {
            TrainValues own = {0};
            TRY(train_evaluate(j->s->arena, &j->job, checkpoint, i, str_of(split), &own, e));
            for (uint32_t k = 0; k < own.at.n; k++) vec_push(j->s->arena, &values->at, own.at.at[k]);
        } else {
            printf("without `%.*s`: data `%.*s` has no split `%s`\n", FSTR(r->objectives.at[i].name),
                   FSTR(d->recipe->name), split);
        }
    }
    return GR_OK;
}

int cmd_eval(int argc, char **argv) {
    Options o = {.common = common_make(), .split = "test"};
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    if (s.recipe->objectives.n == 0) return session_leave(&s, report_no_objective(&o.common));
    Job j = {0};
    Error e = {0};
    TrainValues values = {0};
    Str checkpoint;
    GrStatus status = open_weights(&s, &o, &checkpoint, &e);
    if (status == GR_OK) status = job_open(&s, &o.common, "fused", LOWER_EVAL, checkpoint, &j, &e);
    if (status == GR_OK && !o.run) status = train_start(&j.job, &e);
    if (status == GR_OK) status = evaluate(&j, checkpoint, o.split, &values, &e);
    if (status == GR_OK) {
        if (o.run) printf("%.*s on %s\n", FSTR(checkpoint), o.split);
        else printf("%s on %s\n", o.common.file, o.split);
        job_print_values(&values, stdout);
        Str baseline = baseline_text(s.arena, s.recipe, j.data, o.split);
        if (baseline.n) printf("baseline  %.*s\n", FSTR(baseline));
    }
    if (status == GR_CHANGED) changes_explain(&s, str_of(o.run), &e);
    int code = status == GR_OK ? 0 : report_error(&o.common, &e);
    session_report(&s, &o.common);
    job_close(&j);
    session_close(&s);
    return code;
}
