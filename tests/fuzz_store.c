/* What reads the files of a run has to read them, refuse them with a message, or, where the file is only an index of
 * others, make it anew. */
#include "fuzz_store.h"
#include "card.h"
#include "csvlog.h"
#include "pack.h"
#include "rundir.h"
#include "runlog.h"
#include "safetensors.h"
#include <fts.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNPACKED STORE_FOLDER "-unpacked"

static void remove_tree(const char *folder) {
    char *roots[] = {(char *)folder, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *x; tree != NULL && (x = fts_read(tree)) != NULL;) {
        if (x->fts_info != FTS_D)
            remove(x->fts_accpath);
    }
    if (tree != NULL)
        fts_close(tree);
}

void store_remove(void) {
    remove_tree(STORE_FOLDER);
    remove_tree(UNPACKED);
}

/* ---- the run ---- */
static void must(GrStatus s, const Error *e) {
    if (s == GR_OK)
        return;
    fprintf(stderr, "graphc-fuzz-data: %s\n", e->what);
    exit(2);
}

static void make_weights(Arena *a, Str path) {
    static const float w[6] = {1, 2, 3, -4, 5, NAN};
    StoreFile f = {0};
    Error e = {0};
    vec_push(a, &f.tensors, ((StoreTensor){STR("net.linear1.w"), DT_F32, shape_of(2, (int64_t[]){2, 3}), w}));
    vec_push(a, &f.tensors, ((StoreTensor){STR("state/net.n"), DT_F32, (Shape){0}, w}));
    vec_push(a, &f.texts, ((StoreText){STR("epoch"), STR("2")}));
    must(safetensors_write(a, path, &f, &e), &e);
}

static void make_log(Arena *a, Str path) {
    static const float table[4] = {1, -INFINITY, NAN, 0.5f};
    RunLog *log;
    Error e = {0};
    must(runlog_open(a, path, 0, &log, &e), &e);
    for (int64_t epoch = 1; epoch <= 3; epoch++) {
        LogField fields[] = {{.name = STR("event"), .kind = LOG_TEXT, .text = STR("epoch")},
                             {.name = STR("epoch"), .kind = LOG_INT, .i = epoch},
                             {.name = STR("step"), .kind = LOG_INT, .i = epoch * 10},
                             {.name = STR("seconds"), .kind = LOG_REAL, .x = 0.25},
                             {.name = STR("val.total"), .kind = LOG_TENSOR, .values = table},
                             {.name = STR("val.table"), .kind = LOG_TENSOR, .shape = shape_of(1, (int64_t[]){4}),
                              .values = table}};
        must(runlog_row(log, fields, sizeof fields / sizeof *fields, &e), &e);
    }
    runlog_close(log);
}

void store_make(Arena *a) {
    Error e = {0};
    Str folder = STR(STORE_FOLDER);
    store_remove();
    must(rundir_make(a, folder, &e), &e);
    make_weights(a, rundir_file(a, folder, RUN_LAST));
    make_log(a, rundir_file(a, folder, RUN_METRICS));
    RunRow row = {.name = STR("."), .state = RUN_DONE, .note = STR("a \"note\""), .epoch = 3, .epochs = 3};
    vec_push(a, &row.settings, ((RunSetting){STR("lr"), STR("1e-3")}));
    vec_push(a, &row.tags, STR("old"));
    runs_measure(a, &row, STR("val.total"), 0.5, 1, true);
    must(card_write(a, folder, &row, &e), &e);
    Runs *runs;
    must(runs_open(a, folder, &runs, &e), &e);
    must(runs_put(runs, &row, &e), &e);
    runs_close(runs);
    must(pack_write(a, folder, &(PackFiles){0}, rundir_file(a, folder, "run.tar.gz"), &e), &e);
}

/* ---- reading ---- */
static const char *check_said(GrStatus s, const Error *e) {
    return s != GR_OK && e->what[0] == 0 ? "refused without a message" : NULL;
}

const char *store_checkpoint(void) {
    Arena *a = arena_create();
    StoreFile whole = {0}, header = {0};
    Error e = {0}, other = {0};
    uint64_t start, sum = 0;
    Str path = STR(STORE_FOLDER "/" RUN_LAST);
    GrStatus s = safetensors_read(a, path, &whole, &e);
    for (uint32_t i = 0; s == GR_OK && i < whole.tensors.n; i++) {
        const StoreTensor *t = &whole.tensors.at[i];
        for (int64_t k = 0; k < shape_count(t->shape) * dtype_bytes(t->dtype); k++)
            sum += ((const uint8_t *)t->at)[k];
    }
    const char *wrong = check_said(s, &e);
    GrStatus listed = safetensors_list(a, path, &header, &start, &other);
    wrong = wrong == NULL ? check_said(listed, &other) : wrong;
    wrong = s == GR_OK && listed != GR_OK ? "its header is refused, the whole is not" : wrong;
    arena_destroy(a);
    return sum == UINT64_MAX ? "no such sum" : wrong;
}

const char *store_history(void) {
    Arena *a = arena_create();
    History h = {0};
    Error e = {0};
    CsvLog *csv = NULL;
    const char *wrong = check_said(history_read(a, STR(STORE_FOLDER), &h, &e), &e);
    GrStatus s = csvlog_open(a, STR(STORE_FOLDER), &csv, &e);
    if (s == GR_OK)
        s = csvlog_follow(csv, &e);
    csvlog_close(csv);
    wrong = wrong == NULL ? check_said(s, &e) : wrong;
    arena_destroy(a);
    return wrong;
}

const char *store_card(void) {
    Arena *a = arena_create();
    RunRow row = card_read(a, STR(STORE_FOLDER), STR("."));
    Str text = card_text(a, STR(STORE_FOLDER), &row, true);
    const char *wrong = text.n == 0 ? "no card came out" : NULL;
    arena_destroy(a);
    return wrong;
}

/* The rows are there again whatever became of the index. */
const char *store_runs(void) {
    Arena *a = arena_create();
    Runs *runs = NULL;
    RunRows rows = {0};
    Error e = {0};
    uint32_t found = 0;
    static const char *const beside[] = {"-wal", "-shm", "-journal", ".damaged"};
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        unlink(str_format(a, "%s/%s%s", STORE_FOLDER, RUNS_FILE, beside[i]).s);
    GrStatus s = runs_open(a, STR(STORE_FOLDER), &runs, &e);
    if (s == GR_OK)
        s = runs_read(a, runs, &rows, &e);
    if (s == GR_OK)
        s = runs_put(runs, &(RunRow){.name = STR("x"), .state = RUN_RUNNING}, &e);
    const char *wrong = check_said(s, &e);
    runs_close(runs);
    s = runs_rebuild(a, STR(STORE_FOLDER), &found, &e);
    if (wrong == NULL && s != GR_OK) {
        fprintf(stderr, "graphc-fuzz-data: %s\n", e.what);
        wrong = "it cannot be made again";
    }
    arena_destroy(a);
    return wrong;
}

const char *store_pack(void) {
    Arena *a = arena_create();
    Error e = {0};
    remove_tree(UNPACKED);
    must(rundir_make(a, STR(UNPACKED), &e), &e);
    const char *wrong = check_said(pack_read(a, STR(STORE_FOLDER "/run.tar.gz"), STR(UNPACKED), &e), &e);
    arena_destroy(a);
    return wrong;
}
