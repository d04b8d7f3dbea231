/* graphc runs: what is known of runs, and what is done with them. */
#include "view.h"
#include <string.h>

enum {
    KEY_IN = 0x200, KEY_SORT, KEY_WHERE, KEY_COLUMNS, KEY_JSON, KEY_REBUILD, KEY_NOTE, KEY_TAG, KEY_UNTAG,
    KEY_METRIC, KEY_WITH_DATA
};

static void add(Words *w, const char *word, struct argp_state *state) {
    if (w->n == WORDS_MOST) argp_error(state, "more than %d at a time", WORDS_MOST);
    w->at[w->n++] = word;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    RunsOptions *o = state->input;
    switch (key) {
    case KEY_IN: o->folder = arg; return 0;
    case KEY_SORT: o->sort = arg; return 0;
    case KEY_WHERE: add(&o->where, arg, state); return 0;
    case KEY_COLUMNS: o->columns = arg; return 0;
    case KEY_JSON: o->common.json = true; return 0;
    case KEY_REBUILD: o->rebuild = true; return 0;
    case KEY_NOTE: o->note = arg; return 0;
    case KEY_TAG: add(&o->tags, arg, state); return 0;
    case KEY_UNTAG: add(&o->untags, arg, state); return 0;
    case KEY_METRIC: add(&o->metrics, arg, state); return 0;
    case 'o': o->out = arg; return 0;
    case KEY_WITH_DATA: o->with_data = true; return 0;
    case ARGP_KEY_ARG: add(&o->words, arg, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"in", KEY_IN, "FOLDER", 0, "runs of this folder (this one, and runs/ in it)", 1},
    {"where", KEY_WHERE, "CONDITION", 0, "only runs with `latent=16`, `val.total<0.5`, `tags~word`; repeatable", 1},
    {"sort", KEY_SORT, "NAME", 0, "by a setting, a series (`lowest val.total`) or a field; `-NAME`: highest first", 1},
    {"columns", KEY_COLUMNS, "NAMES", 0, "what to list, with commas between", 1},
    {"metric", KEY_METRIC, "SERIES", 0, "what to plot (train.total, val.total); may be repeated", 1},
    {"note", KEY_NOTE, "TEXT", 0, "mark: the remark", 1},
    {"tag", KEY_TAG, "WORD", 0, "mark: one more tag; may be repeated", 1},
    {"untag", KEY_UNTAG, "WORD", 0, "mark: one tag less; may be repeated", 1},
    {"output", 'o', "FILE", 0, "pack: into this file (NAME.tar.gz)", 1},
    {"with-data", KEY_WITH_DATA, 0, 0, "pack: the files of its data, too, up to 4 GB", 1},
    {"rebuild", KEY_REBUILD, 0, 0, "make runs.db again from the folders of the runs", 1},
    {"json", KEY_JSON, 0, 0, "objects, one a line", 1},
    {0}};
static const struct argp parser = {
    .options = options,
    .parser = parse,
    .args_doc = "[WORD RUN ..]",
    .doc = "Lists runs; or, with a word first:\n"
#define WORD(name, arguments, what) "\n  " #name " " arguments "\n        " what
#include "runs.def"
#undef WORD
           "\vRUN is the folder of a run, or its name in runs/; with --in, its name in that folder and nowhere else. "
           "What is listed comes from runs.db, beside the folders of runs (docs/runs.md)."};

static const struct { const char *word, *takes; GrStatus (*run)(Arena *, const RunsOptions *, Error *); } words[] = {
#define WORD(name, arguments, what) {#name, arguments, runs_##name},
#include "runs.def"
#undef WORD
};
enum { WORD_COUNT = sizeof words / sizeof *words };

static GrStatus rebuild(Arena *a, const RunsOptions *o, Error *e) {
    uint32_t found;
    Str folder = o->folder ? str_of(o->folder) : STR("runs");
    TRY(runs_rebuild(a, folder, &found, e));
    printf("%u run%s in %.*s/" RUNS_FILE "\n", found, found == 1 ? "" : "s", FSTR(folder));
    return GR_OK;
}

/* What a word takes is what its line says (runs.def); an option that does nothing there is a mistake. */
static GrStatus check_options(Arena *a, const char *word, const char *takes, const RunsOptions *o, Error *e) {
    const struct { const char *name; bool given; } all[] = {
        {"--where", o->where.n},   {"--sort", o->sort},   {"--columns", o->columns},   {"--json", o->common.json},
        {"--metric", o->metrics.n}, {"--note", o->note},   {"--tag", o->tags.n},        {"--untag", o->untags.n},
        {"--output", o->out},      {"--rebuild", o->rebuild},
        {"--with-data", o->with_data}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].given && !strstr(takes, all[i].name))
            return view_usage(word, str_format(a, "`graphc runs %s` takes no %s", word, all[i].name).s, e);
    return GR_OK;
}

static GrStatus run(Arena *a, RunsOptions *o, Error *e) {
    if (o->rebuild && o->words.n) return view_usage("--rebuild", "--rebuild is of all runs and takes no word", e);
    if (o->rebuild) {
        TRY(check_options(a, "--rebuild", "--rebuild", o, e));
        return rebuild(a, o, e);
    }
    if (o->words.n == 0) o->words.at[o->words.n++] = "list";
    const char *word = o->words.at[0];
    Nearest near = nearest_to(str_of(word));
    o->words.n--;
    memmove(o->words.at, o->words.at + 1, sizeof *o->words.at * o->words.n);
    for (int i = 0; i < WORD_COUNT; i++) {
        nearest_consider(&near, str_of(words[i].word));
        if (strcmp(words[i].word, word) != 0) continue;
        TRY(check_options(a, word, words[i].takes, o, e));
        return words[i].run(a, o, e);
    }
    fail(e, GR_USAGE, "`graphc runs` has no word `%s`", word);
    if (near.best.n) fail_help(e, "did you mean `%.*s`?", FSTR(near.best));
    else fail_help(e, "`graphc runs --help` lists them; `graphc runs show RUN` shows one run");
    return GR_USAGE;
}

int cmd_runs(int argc, char **argv) {
    RunsOptions o = {.common = common_make()};
    Error e = {0};
    options_parse(&parser, argc, argv, &o);
    Arena *a = arena_create();
    GrStatus status = run(a, &o, &e);
    int code = status == GR_OK ? 0 : report_error(&o.common, &e);
    arena_destroy(a);
    return code;
}
