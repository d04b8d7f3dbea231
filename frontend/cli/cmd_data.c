/* graphc data: the rows that a training would see, before it does.  All columns of a data set are read, also those that
 * no objective sees, and a NaN, which a training refuses, is let in to be counted. */
#include "convert.h"
#include "view_data.h"
#include <string.h>

typedef struct { Common common; } Options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    (void)arg;
    switch (key) {
    case 'j': o->common.json = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {{"json", 'j', 0, 0, "an object a line", 2}, {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.options = options, .parser = parse, .args_doc = "FILE", .children = children,
    .doc = "Shows the data sets of FILE: where rows come from and which are dropped, splits, and of each column type, "
           "range, mean, deviation and classes. It warns of rows that are in two splits, of labels that contradict "
           "each other, of values that are constant or not finite, and of classes that `train` lacks.\v"
           "Exit status 0 when a training could read the data (there may be warnings), else 1."};

/* Which columns an objective sees: of a file that measures nothing, all. */
static const bool *take_all(Session *s, RecipeData *d) {
    bool *seen = PUSH(s->arena, bool, d->columns.n + 1), any = false;
    for (uint32_t i = 0; i < d->columns.n; i++) any = any || d->columns.at[i].used;
    for (uint32_t i = 0; i < d->columns.n; i++) {
        RecipeColumn *c = &d->columns.at[i];
        seen[i] = c->used || !any;
        c->used = true;
        if (dtype_is_float(c->dtype)) c->bound = BOUND_NONE_AT_ALL;
    }
    return seen;
}

static GrStatus show(Session *s, const Options *o, Diags *found, uint32_t data, Error *e) {
    DataLook v = {.s = s, .json = o->common.json, .found = found};
    Dataset *d;
    v.seen = take_all(s, &s->recipe->data.at[data]);
    TRY(run_open_data(s, &o->common, data, (Str){0}, &d, NULL, e));
    v.d = d;
    data_measure(&v);
    data_print(&v);
    data_judge(&v);
    return GR_OK;
}

int cmd_data(int argc, char **argv) {
    Options o = {.common = common_make()};
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    Error e = {0};
    if (s.recipe->data.n == 0) {
        fail(&e, GR_PROGRAM, "%s has no `data`", o.common.file);
        return session_leave(&s, report_error(&o.common, &e));
    }
    Diags *found = diags_create(s.arena, s.files);
    GrStatus status = GR_OK;
    for (uint32_t i = 0; i < s.recipe->data.n && status == GR_OK; i++) {
        if (i > 0 && !o.common.json) putchar('\n');
        status = show(&s, &o, found, i, &e);
    }
    fflush(stdout);
    report_diags(found, &o.common);
    int exit_status = status != GR_OK ? report_error(&o.common, &e) : diags_errors(found) ? EXIT_WRONG : 0;
    return session_leave(&s, exit_status);
}
