/* graphc predict: an export of a trained model on rows of a split, as numbers, or on rows of files, into files.  For
 * images in and images out it can write a picture with the originals above what the export made of them. */
#include "changes.h"
#include "checkpoint.h"
#include "imagesheet.h"
#include "job.h"
#include "numbers.h"
#include "predict_files.h"
#include "rundir.h"
#include "uses.h"

enum { MOST_FILES = 64 };
typedef struct {
    Common common;
    const char *run, *split, *picture, *name;
    uint32_t rows, n_files;
    char *files[MOST_FILES];
} Options;
enum { KEY_RUN = 0x200, KEY_SPLIT, KEY_PICTURE, KEY_ROWS, KEY_EXPORT };

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_RUN: o->run = arg; return 0;
    case KEY_SPLIT: o->split = arg; return 0;
    case KEY_PICTURE: o->picture = arg; return 0;
    case KEY_EXPORT: o->name = arg; return 0;
    case KEY_ROWS: o->rows = option_count(arg, 1, 4096, "--rows", state); return 0;
    case ARGP_KEY_ARG:                             /* behind FILE, which is for the options that all commands have */
        if (!o->common.file) return ARGP_ERR_UNKNOWN;
        if (o->n_files == MOST_FILES) argp_error(state, "more than %d files", MOST_FILES);
        o->files[o->n_files++] = arg;
        return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"run", KEY_RUN, "DIR", 0, "the folder of the trained model; not needed when all models are of used runs", 2},
    {"export", KEY_EXPORT, "NAME", 0, "which export (the first of the file)", 2},
    {"split", KEY_SPLIT, "NAME", 0, "rows of which split: test (the default), val, train", 2},
    {"rows", KEY_ROWS, "N", 0, "how many rows (20 of a picture, 5 of numbers)", 2},
    {"picture", KEY_PICTURE, "FILE", 0,
     "write images as PNG, originals and below them what the export gives, instead of printing numbers", 2},
    {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.options = options, .parser = parse, .args_doc = "FILE [IN.npy.. OUT.npy..]",
    .children = children,
    .doc = "Runs an export of a trained model on the first rows of a split, or on all rows of npy files: one for each "
           "argument of the export, then one to be written for each result."};

enum { PICTURE_ROWS = 20, NUMBER_ROWS = 5 };

static const RecipeExport *find_export(const Session *s, const char *name) {
    for (uint32_t i = 0; i < s->recipe->exports.n; i++)
        if (!name || str_is(s->recipe->exports.at[i].name, name)) return &s->recipe->exports.at[i];
    return NULL;
}

/* Row by row: what comes in, what comes out. */
static void print_rows(const Plan *p, const PlanEntry *entry, const Exec *x) {
    for (int64_t r = 0; r < entry->rows; r++) {
        printf("row %lld\n", (long long)r);
        for (uint32_t i = 0; i < entry->n_columns + entry->n_outputs; i++) {
            bool in = i < entry->n_columns;
            const PlanBinding *binding =
                &p->bindings.at[in ? entry->first_column + i : entry->first_output + i - entry->n_columns];
            const PlanBuffer *b = &p->buffers.at[binding->buffer];
            bool by_row = b->shape.rank > 0 && b->shape.dim[0] == entry->rows;
            int64_t n = by_row ? shape_count(b->shape) / entry->rows : shape_count(b->shape);
            printf("  %s %-12.*s", in ? "  " : "->", FSTR(binding->name));
            numbers_print_row(b->dtype, exec_buffer(x, binding->buffer), by_row ? r * n : 0, n);
        }
    }
}

/* The first rows of the split. */
static GrStatus fill(Session *s, const Plan *p, Exec *x, const Dataset *data, const char *split, Error *e) {
    const PlanEntry *entry = &p->entries.at[0];
    for (uint32_t i = entry->first_column; i < entry->first_column + entry->n_columns; i++) {
        const PlanBinding *b = &p->bindings.at[i];
        TRY(run_fill_column(s->arena, data, dataset_column(data, b->name), split, entry->rows, 0,
                            exec_buffer(x, b->buffer), e));
    }
    return GR_OK;
}

/* With a run only the data of the export are read: its statistics stand in the checkpoint. */
static GrStatus open_data(Session *s, const Options *o, uint32_t id, Dataset ***out, Error *e) {
    if (!o->run) return run_open_all(s, &o->common, out, e);
    *out = PUSH(s->arena, Dataset *, s->recipe->data.n + 1);
    return run_open_data(s, &o->common, id, train_best(s->arena, str_of(o->run)), &(*out)[id], NULL, e);
}

static GrStatus take_weights(Session *s, const Options *o, Dataset *const *data, Exec *x, Error *e) {
    TrainState state = {0};
    if (o->run)
        return checkpoint_load(s->arena, x, CHECKPOINT_WEIGHTS, 0, train_best(s->arena, str_of(o->run)), &state, e);
    TrainJob job = {.recipe = s->recipe, .data = data, .exec = x, .variant = STR("fused")};
    return train_start(&job, e);
}

static GrStatus predict(Session *s, const Options *o, Error *e) {
    const RecipeExport *export = find_export(s, o->name);
    if (!export && o->name) return fail(e, GR_PROGRAM, "%s has no export `%s`", o->common.file, o->name);
    if (!export) return fail(e, GR_PROGRAM, "%s has no `export`", o->common.file);
    if (o->n_files > 0) {
        const char *idle = o->picture ? "--picture" : o->split ? "--split" : o->rows ? "--rows" : NULL;
        if (idle) {
            fail(e, GR_USAGE, "%s is of rows of a split, and here files are named", idle);
            fail_help(e, "all rows of the files are predicted; without files `graphc predict` takes %s", idle);
            return GR_USAGE;
        }
        if (!o->run) return fail(e, GR_PROGRAM, "files are predicted with the weights of a run: `--run DIR`");
        TRY(rundir_trained(s->arena, str_of(o->run), e));
        return predict_files(s, &o->common, o->run, export, o->n_files, o->files, e);
    }
    if (export->data < 0) return fail(e, GR_PROGRAM, "export `%.*s` takes no batch of a data set", FSTR(export->name));
    TRY(o->run ? rundir_trained(s->arena, str_of(o->run), e) : uses_train_all(s, e));
    Dataset **data;
    TRY(open_data(s, o, (uint32_t)export->data, &data, e));
    const char *name = o->split ? o->split : "test";
    const Split *split;
    TRY(dataset_split(data[export->data], str_of(name), &split, e));
    int64_t rows = o->rows ? o->rows : o->picture ? PICTURE_ROWS : NUMBER_ROWS;
    if (split->n > 0 && split->n < rows) rows = split->n;
    EntryRequest requests[2] = {{LOWER_EXPORT, export->name, rows, 0}, {LOWER_INIT, STR("init"), 0, 0}};
    Compiled c;
    if (!compile_graphs(s, &o->common, o->run ? 1 : 2, requests, &c))
        return fail(e, GR_PROGRAM, "the program has errors");
    TRY(compile_plan(s, &o->common, &c, "fused", e));
    TRY(compile_load(&o->common, &c, 0, NULL, e));
    PlanCode code = code_table(c.code);
    const Plan *p = c.planned.plan;
    Exec *x;
    TRY(exec_create(s->arena, p, &code, (ExecOptions){o->common.threads}, &x, e));
    GrStatus status = take_weights(s, o, data, x, e);
    if (status == GR_OK) status = fill(s, p, x, data[export->data], name, e);
    if (status == GR_OK) {
        Counters at = {.rows = rows, .batch = rows};
        exec_run(x, &p->entries.at[0], uniform_values(s->arena, s->recipe, p->uniforms, &at));
        if (o->picture) status = imagesheet_write(s->arena, p, &p->entries.at[0], x, str_of(o->picture), e);
        else print_rows(p, &p->entries.at[0], x);
    }
    exec_destroy(x);
    compile_close(&c);
    return status;
}

int cmd_predict(int argc, char **argv) {
    Options o = {.common = common_make()};
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    Error e = {0};
    GrStatus done = predict(&s, &o, &e);
    if (done == GR_CHANGED) changes_explain(&s, str_of(o.run), &e);
    int status = done == GR_OK ? 0 : report_error(&o.common, &e);
    if (status == 0 && o.picture) printf("picture     %s\n", o.picture);
    session_report(&s, &o.common);
    session_close(&s);
    return status;
}
