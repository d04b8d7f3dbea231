/* An export on rows from npy files: each argument is a file, whose first dim is the rows, and each result becomes one.
 *
 * The files are read as a data set whose columns are the arguments, so types, shapes and equal numbers of rows are held
 * against what the export says, with the messages of any data.  Weights, states and statistics are those of the run:
 * what was normalised in training is turned back here by the same numbers.  Rows go in batches of at most BATCH. */
#include "predict_files.h"
#include "atomic.h"
#include "checkpoint.h"
#include "dataset.h"
#include "npy.h"
#include "run.h"
#include "rundir.h"
#include "trainer.h"
#include <string.h>
#include <sys/stat.h>

enum { BATCH = 1024 };

typedef struct {
    Session *s;
    const RecipeExport *export;
    uint32_t n_in, n_out;
    char *const *files;
    const Graph *one;                  /* the export of one row: what a row of each argument and result is */
    Dataset *data;
    const Split *rows;
} Files;

static Str column_name(const Files *f, uint32_t i) {
    return intern_str(f->s->module->names, f->one->columns.at[i].name);
}

/* The same name in the same folder, however its path is written; or, of files that are there, the same file. */
static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    if (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino) return true;
    const char *name_a = strrchr(a, '/'), *name_b = strrchr(b, '/');
    Str folder_a = name_a ? (Str){a, (uint32_t)(name_a + 1 - a)} : STR("./");
    Str folder_b = name_b ? (Str){b, (uint32_t)(name_b + 1 - b)} : STR("./");
    if (strcmp(name_a ? name_a + 1 : a, name_b ? name_b + 1 : b) != 0) return false;
    Arena *scratch = arena_create();
    bool same = stat(str_copy(scratch, folder_a).s, &x) == 0 && stat(str_copy(scratch, folder_b).s, &y) == 0 &&
                x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    arena_destroy(scratch);
    return same || strcmp(a, b) == 0;
}

/* Results in one file would be written over each other, and one over an argument would replace what it is made of. */
static GrStatus check_apart(const Files *f, Error *e) {
    for (uint32_t i = f->n_in; i < f->n_in + f->n_out; i++)
        for (uint32_t k = 0; k < i; k++)
            if (same_file(f->files[i], f->files[k]))
                return fail(e, GR_PROGRAM,
                            k < f->n_in ? "%s is named for an argument and for a result: the result would replace it"
                                        : "%s is named for two results: each has a file of its own", f->files[i]);
    return GR_OK;
}

static GrStatus count_files(Files *f, uint32_t n, Error *e) {
    f->n_in = f->one->columns.n;
    f->n_out = f->one->outputs.n;
    if (n == f->n_in + f->n_out) return check_apart(f, e);
    Buf b = buf_make(f->s->arena);
    for (uint32_t i = 0; i < f->n_in; i++) buf_printf(&b, " %.*s.npy", FSTR(column_name(f, i)));
    for (uint32_t i = 0; i < f->n_out; i++)
        buf_printf(&b, " %.*s.npy", FSTR(intern_str(f->s->module->names, f->one->outputs.at[i].name)));
    fail(e, GR_PROGRAM, "export `%.*s` has %u argument%s and %u result%s, and %u file%s named", FSTR(f->export->name),
         f->n_in, f->n_in == 1 ? "" : "s", f->n_out, f->n_out == 1 ? "" : "s", n, n == 1 ? " is" : "s are");
    fail_help(e, "files of the arguments, then of the results:%.*s", FSTR(buf_str(&b)));
    return GR_PROGRAM;
}

static GrStatus open_rows(Files *f, Error *e) {
    Arena *a = f->s->arena;
    RecipeData *d = PUSH(a, RecipeData, 1);
    d->name = f->export->name;
    for (uint32_t i = 0; i < f->n_in; i++) {
        const Column *c = &f->one->columns.at[i];
        RecipeColumn x = {.name = column_name(f, i), .dtype = c->dtype, .raw = true, .used = true};
        if (c->shape.rank == 0 || c->shape.dim[0] != 1)
            return fail(e, GR_PROGRAM, "`%.*s` of export `%.*s` has no rows: its first dim is to be a name",
                        FSTR(x.name), FSTR(f->export->name));
        x.shape = shape_of(c->shape.rank - 1, c->shape.dim + 1);
        vec_push(a, &d->columns, x);
        vec_push(a, &d->files, ((RecipeFile){.column = x.name, .path = str_of(f->files[i])}));
    }
    vec_push(a, &d->sources, ((RecipeSource){.reader = READER_NPY, .n_files = f->n_in}));
    TRY(dataset_open(a, d, NULL, NULL, &f->data, e));
    return dataset_split(f->data, STR("train"), &f->rows, e);      /* where nothing is said, all rows are there */
}

/* Results have a row for each row, of a shape that does not depend on how many there are. */
static GrStatus check_results(const Files *f, const Plan *p, int64_t rows, Error *e) {
    const PlanEntry *entry = &p->entries.at[0];
    for (uint32_t i = 0; i < f->n_out; i++) {
        const PlanBinding *b = &p->bindings.at[entry->first_output + i];
        Shape now = p->buffers.at[b->buffer].shape, one = node_of(f->one, f->one->outputs.at[i].val)->shape;
        bool by_row = now.rank == one.rank && now.rank > 0 && one.dim[0] == 1 && now.dim[0] == rows;
        for (uint32_t k = 1; by_row && k < now.rank; k++) by_row = now.dim[k] == one.dim[k];
        if (!by_row)
            return fail(e, GR_PROGRAM, "result `%.*s` of export `%.*s` is not one of each row: no file can hold it",
                        FSTR(b->name), FSTR(f->export->name));
    }
    return GR_OK;
}

static GrStatus run_batch(const Files *f, const Plan *p, Exec *x, int64_t at, int64_t rows, AtomicFile *out) {
    const PlanEntry *entry = &p->entries.at[0];
    uint32_t *pick = PUSH(f->s->arena, uint32_t, rows);
    int64_t here = f->rows->n - at < rows ? f->rows->n - at : rows;
    for (int64_t i = 0; i < rows; i++) pick[i] = f->rows->rows[at + (i < here ? i : 0)];
    for (uint32_t i = 0; i < entry->n_columns; i++) {
        const PlanBinding *b = &p->bindings.at[entry->first_column + i];
        DataTarget to = {(uint32_t)dataset_column(f->data, b->name), exec_buffer(x, b->buffer)};
        dataset_fill(f->data, pick, rows, &to, 1);
    }
    Counters now = {.clock = at / rows, .rows = rows, .batch = rows};
    exec_run(x, entry, uniform_values(f->s->arena, f->s->recipe, p->uniforms, &now));
    for (uint32_t i = 0; i < f->n_out; i++) {
        const PlanBinding *b = &p->bindings.at[entry->first_output + i];
        const PlanBuffer *result = &p->buffers.at[b->buffer];
        int64_t row = shape_count(result->shape) / rows;
        TRY(atomic_put(&out[i], exec_buffer(x, b->buffer), (size_t)(here * row) * dtype_bytes(result->dtype)));
    }
    return GR_OK;
}

static GrStatus begin_results(const Files *f, const Plan *p, AtomicFile *out, Error *e) {
    for (uint32_t i = 0; i < f->n_out; i++) {
        const PlanBuffer *b = &p->buffers.at[p->bindings.at[p->entries.at[0].first_output + i].buffer];
        Shape s = b->shape;
        s.dim[0] = f->rows->n;
        Str header = npy_header_text(f->s->arena, b->dtype, s);
        TRY(atomic_begin(f->s->arena, str_of(f->files[f->n_in + i]), &out[i], e));
        TRY(atomic_put(&out[i], header.s, header.n));
    }
    return GR_OK;
}

/* No file before every batch has gone well and is on the disk; then they get their names one after the other, and of
 * a name that cannot be given (somebody made a folder of it meanwhile) the message tells, and which are there. */
static GrStatus write_results(const Files *f, const Plan *p, Exec *x, int64_t rows, Error *e) {
    AtomicFile *out = PUSH(f->s->arena, AtomicFile, f->n_out);
    for (uint32_t i = 0; i < f->n_out; i++) out[i].fd = -1;
    GrStatus status = begin_results(f, p, out, e);
    for (int64_t at = 0; at < f->rows->n && status == GR_OK; at += rows) status = run_batch(f, p, x, at, rows, out);
    for (uint32_t i = 0; i < f->n_out && status == GR_OK; i++) status = atomic_sync(&out[i]);
    for (uint32_t i = 0; i < f->n_out && status == GR_OK; i++) {
        status = atomic_finish(&out[i]);
        if (status != GR_OK && i > 0) fail_help(e, "of the results before it (%u) the new files are there", i);
    }
    for (uint32_t i = 0; i < f->n_out && status != GR_OK; i++)
        if (out[i].fd >= 0) atomic_discard(&out[i]);
    return status;
}

GrStatus predict_files(Session *s, const Common *c, const char *run, const RecipeExport *export, uint32_t n_files,
                       char *const *files, Error *e) {
    Files f = {.s = s, .export = export, .files = files};
    f.one = lower_graph(s->program, LOWER_EXPORT, export->name, 1, s->diags);
    if (!f.one) return fail(e, GR_PROGRAM, "the program has errors");
    TRY(count_files(&f, n_files, e));
    TRY(open_rows(&f, e));
    int64_t rows = f.rows->n < BATCH ? f.rows->n : BATCH;
    if (rows == 0) return fail(e, GR_DATA, "%s has no rows", files[0]);
    EntryRequest request = {LOWER_EXPORT, export->name, rows, 0};
    Compiled compiled;
    if (!compile_graphs(s, c, 1, &request, &compiled)) return fail(e, GR_PROGRAM, "the program has errors");
    TRY(compile_plan(s, c, &compiled, "fused", e));
    const Plan *p = compiled.planned.plan;
    TRY(check_results(&f, p, rows, e));
    TRY(compile_load(c, &compiled, 0, NULL, e));
    PlanCode code = code_table(compiled.code);
    Exec *x;
    TRY(exec_create(s->arena, p, &code, (ExecOptions){c->threads}, &x, e));
    TrainState state = {0};
    GrStatus status =
        checkpoint_load(s->arena, x, CHECKPOINT_WEIGHTS, 0, train_best(s->arena, str_of(run)), &state, e);
    if (status == GR_OK) status = write_results(&f, p, x, rows, e);
    exec_destroy(x);
    compile_close(&compiled);
    return status;
}
