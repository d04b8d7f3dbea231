/* graphc sweep: all runs of a sweep, so many at a time, into a folder of their own. */
#include "atomic.h"
#include "clock.h"
#include "grid.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    Common common;
    const char *sweep, *folder, *best, *picture;
    uint32_t jobs, halve, top;
    GridWeights weights;
    bool plan, quiet, resume;
    uint32_t n_clauses;
    const char *clauses[MAX_SETTINGS];       /* as typed; how: what each is behind */
    char how[MAX_SETTINGS];
} Options;
enum { KEY_JOBS = 0x200, KEY_DIR, KEY_REPEAT, KEY_DRAW, KEY_SKIP, KEY_POINTS, KEY_BEST, KEY_HALVE, KEY_PLAN,
       KEY_WEIGHTS, KEY_TOP, KEY_PICTURE, KEY_JSON, KEY_RESUME };

static void add_clause(Options *o, char how, const char *text, struct argp_state *state) {
    if (o->n_clauses == MAX_SETTINGS) argp_error(state, "more than %d clauses", MAX_SETTINGS);
    o->how[o->n_clauses] = how;
    o->clauses[o->n_clauses++] = text;
}

static GridWeights weights_of(const char *word, struct argp_state *state) {
    if (strcmp(word, "all") == 0) return WEIGHTS_ALL;
    if (strcmp(word, "none") == 0) return WEIGHTS_NONE;
    if (strcmp(word, "best") != 0) argp_error(state, "--weights takes `best`, `all` or `none`, not `%s`", word);
    return WEIGHTS_BEST;
}

/* FILE, perhaps the name of a sweep, and values: latent=2,4,8 (rate,decay)=(0.1,0),(0.01,1e-4). */
static void argument(Options *o, const char *arg, struct argp_state *state) {
    if (strchr(arg, '=')) add_clause(o, '=', arg, state);
    else if (!o->common.file) o->common.file = arg;
    else if (!o->sweep) o->sweep = arg;
    else argp_error(state, "one sweep at a time: `%s` and `%s`", o->sweep, arg);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_JOBS: o->jobs = option_count(arg, 1, GRID_JOBS_MOST, "--jobs", state); return 0;
    case KEY_DIR: o->folder = arg; return 0;
    case KEY_REPEAT: add_clause(o, 'r', arg, state); return 0;
    case KEY_DRAW: add_clause(o, 'd', arg, state); return 0;
    case KEY_SKIP: add_clause(o, 's', arg, state); return 0;
    case KEY_POINTS: add_clause(o, 'p', arg, state); return 0;
    case KEY_BEST: o->best = arg; return 0;
    case KEY_HALVE: o->halve = option_count(arg, 2, 100, "--halve", state); return 0;
    case KEY_PLAN: o->plan = true; return 0;
    case KEY_WEIGHTS: o->weights = weights_of(arg, state); return 0;
    case KEY_TOP: o->top = option_count(arg, 0, 100000, "--top", state); return 0;
    case KEY_PICTURE: o->picture = arg; return 0;
    case KEY_JSON: o->common.json = true; return 0;
    case KEY_RESUME: o->resume = true; return 0;
    case 'q': o->quiet = true; return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->child_inputs[1] = state->child_inputs[2] = &o->common;
        return 0;
    case ARGP_KEY_ARG: argument(o, arg, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {0, 0, 0, 0, "Points:", 2},
    {"repeat", KEY_REPEAT, "NAME=A,B,..", 0, "run each point with each of these, as `repeat` in a file", 2},
    {"draw", KEY_DRAW, "N[,SEED]", 0, "draw so many points from ranges NAME=log(A,B)", 2},
    {"skip", KEY_SKIP, "CONDITION", 0, "leave out points for which this holds", 2},
    {"points", KEY_POINTS, "FILE.csv", 0, "a point a row, a column a setting", 2},
    {"best", KEY_BEST, "lowest|highest E", 0, "which point is best: `lowest val.total`", 2},
    {0, 0, 0, 0, "Running:", 3},
    {"jobs", KEY_JOBS, "N", 0, "runs at a time (as many as there are cores, 256 at most)", 3},
    {"dir", KEY_DIR, "DIR", 0, "the sweep's folder (runs/FILE-SWEEP); what is finished in it is kept", 3},
    {"resume", KEY_RESUME, 0, 0, "only go on with a sweep that is there", 3},
    {"halve", KEY_HALVE, "N", 0, "stop hopeless points early: of those equally far, one in N goes on", 3},
    {"weights", KEY_WEIGHTS, "WHICH", 0, "whose weights are kept: of the `best` run, of `all`, of `none`", 3},
    {"plan", KEY_PLAN, 0, 0, "check everything, say what it will take, and train nothing", 3},
    {0, 0, 0, 0, "Telling:", 4},
    {"top", KEY_TOP, "N", 0, "points in the table (20; 0: all)", 4},
    {"picture", KEY_PICTURE, "FILE", 0, "parallel coordinates as .svg, .png or .pdf", 4},
    {"json", KEY_JSON, 0, 0, "all points and runs as one object", 4},
    {"quiet", 'q', 0, 0, "no progress", 4},
    {0}};
static const struct argp_child children[] = {
    {&common_argp, 0, NULL, 0}, {&sampling_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {
    .options = options, .parser = parse, .args_doc = "FILE [SWEEP] [NAME=A,B,..]...", .children = children,
    .doc = "Runs a sweep: the one of FILE, the one called SWEEP, or the grid of the values that are typed. Beside "
           "a SWEEP, typed values replace those of the file or are added.\vEvery point is checked before the first "
           "one trains; each has the same bits as when it is run alone. Running it again goes on: what is finished "
           "is kept, also when the grid has grown. Ctrl-C saves and exits 130."};

/* ---- what is run ---- */
static GrStatus typed_clauses(const Options *o, Arena *a, Str *out, Error *e) {
    Buf b = buf_make(a);
    for (uint32_t i = 0; i < o->n_clauses; i++) {
        const char *text = o->clauses[i], *eq = strchr(text, '='), *comma = strchr(text, ',');
        char path[PATH_MAX];
        switch (o->how[i]) {
        case '=': buf_printf(&b, "%.*s in %s\n", (int)(eq - text), text, eq + 1); break;
        case 'd':
            if (comma) buf_printf(&b, "draw %.*s seed %s\n", (int)(comma - text), text, comma + 1);
            else buf_printf(&b, "draw %s\n", text);
            break;
        case 's': buf_printf(&b, "skip when %s\n", text); break;
        case 'p':
            if (!realpath(text, path)) return fail_errno(e, GR_IO, "%s", text);
            buf_printf(&b, "points \"%s\"\n", path);
            break;
        default:
            if (!eq) return fail(e, GR_USAGE, "--repeat takes NAME=A,B,.., not `%s`", text);
            buf_printf(&b, "repeat %.*s in %s\n", (int)(eq - text), text, eq + 1);
        }
    }
    if (o->best) buf_printf(&b, "best %s\n", o->best);
    *out = b.n ? buf_str(&b) : (Str){"", 0};
    return GR_OK;
}

static GrStatus no_sweep(const Options *o, const Recipe *r, Error *e) {
    Arena *a = r->arena;
    Buf names = buf_make(a);
    for (uint32_t i = 0; i < r->sweeps.n; i++)
        if (r->sweeps.at[i].name.n) buf_printf(&names, "%s`%.*s`", names.n ? ", " : "", FSTR(r->sweeps.at[i].name));
    if (o->sweep) fail(e, GR_PROGRAM, "%s has no sweep `%s`", o->common.file, o->sweep);
    else if (r->sweeps.n) fail(e, GR_PROGRAM, "%s has %u sweeps; which one?", o->common.file, r->sweeps.n);
    else fail(e, GR_PROGRAM, "%s has no sweep", o->common.file);
    if (names.n) fail_help(e, "they are %.*s", FSTR(buf_str(&names)));
    else fail_help(e, "`graphc sweep %s NAME=1,2,3`, or `sweep { NAME in 1, 2, 3 }` in the file", o->common.file);
    return GR_PROGRAM;
}

static const RecipeSweep *sweep_called(const Recipe *r, const char *name) {
    for (uint32_t i = 0; name && i < r->sweeps.n; i++)
        if (str_is(r->sweeps.at[i].name, name)) return &r->sweeps.at[i];
    return !name && r->sweeps.n == 1 ? &r->sweeps.at[0] : NULL;
}

static bool typed_points(const Options *o) {
    for (uint32_t i = 0; i < o->n_clauses; i++)
        if (o->how[i] == '=' || o->how[i] == 'p') return true;
    return false;
}

/* The sweep of the file, the typed one, or both together; GR_PROGRAM with an empty message: reported. */
static GrStatus choose(const Options *o, Session *s, const RecipeSweep **out, Error *e) {
    Str clauses;
    TRY(typed_clauses(o, s->arena, &clauses, e));
    const RecipeSweep *of_file = sweep_called(s->recipe, o->sweep);
    *out = of_file;
    if (!of_file && (o->sweep || !typed_points(o))) return no_sweep(o, s->recipe, e);
    if (clauses.n == 0) return GR_OK;
    RecipeSweep *typed = PUSH(s->arena, RecipeSweep, 1);
    bool beside = o->sweep || (of_file && !typed_points(o));
    *out = typed;
    if (beside && of_file->name.n == 0)
        return fail(e, GR_PROGRAM, "the sweep has no name, and typed clauses stand beside one that has");
    return program_sweep(s->program, beside ? of_file->name : (Str){"", 0}, clauses, typed) ? GR_OK : GR_PROGRAM;
}

/* Without `best` it is what the training keeps, or its total. */
static void criterion(Grid *g) {
    const Recipe *r = g->s->recipe;
    const RecipePhase *last = recipe_last_phase(r);
    g->highest = g->sweep->best.n ? g->sweep->highest : last->keep.n > 0 && last->keep.at[0].highest;
    g->score = g->sweep->best.n ? g->sweep->best : last->keep.n ? last->keep.at[0].text : (Str){0};
    if (g->score.n) return;
    g->score = grid_validates(r, last) ? STR("val.total") : STR("train.total");
}

static Str default_folder(const Grid *g) {
    Str file = g->s->recipe->name, sweep = g->sweep->name;
    return str_format(g->arena, "runs/%.*s%s%.*s", FSTR(file), sweep.n ? "-" : "-sweep", FSTR(sweep));
}

/* ---- the whole ---- */
static GrStatus train(Grid *g, Error *e) {
    if (g->halve) return grid_train_halving(g, e);
    uint32_t n = 0, *open = PUSH(g->arena, uint32_t, g->runs.n + 1);
    for (uint32_t p = 0; p < g->programs.n; p++)                    /* runs of one program one behind the other */
        for (uint32_t i = 0; i < g->runs.n; i++)
            if (g->runs.at[i].program == p && !grid_finished(&g->runs.at[i])) open[n++] = i;
    return grid_train(g, n, open, NULL, e);
}

static void put_json(const Grid *g, bool plan) {
    json_t *all = grid_json(g, plan);
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    puts(text);
    free(text);
    json_decref(all);
}

/* The object of --json has their states, and stays the only one. */
static GrStatus some_trained(const Grid *g, const Options *o, Error *e) {
    for (uint32_t i = 0; i < g->runs.n; i++)
        if (g->runs.at[i].state != GRID_FAILED && g->runs.at[i].state != GRID_CRASHED) return GR_OK;
    if (o->common.json) return GR_PROGRAM;
    fflush(stdout);
    if (g->runs.n == 1) fail(e, GR_PROGRAM, "the only run failed");
    else fail(e, GR_PROGRAM, "all %u runs failed", g->runs.n);
    fail_help(e, "log.txt in the folder of a run says why: %.*s/*/log.txt", FSTR(g->folder));
    return GR_PROGRAM;
}

static GrStatus tell(const Grid *g, const Options *o, Error *e) {
    TRY(grid_write_csv(g, e));
    if (o->picture) TRY(grid_picture(g, o->picture, e));
    if (o->common.json) put_json(g, false);
    else grid_print(g, o->top);
    return some_trained(g, o, e);
}

static GrStatus sweep(Grid *g, const Options *o, Error *e) {
    if (g->sweep->runs.n == 0)
        return fail(e, GR_PROGRAM, "the sweep has no point; `skip when` leaves out %u", g->sweep->skipped);
    criterion(g);
    g->folder = o->folder ? str_of(o->folder) : default_folder(g);
    if (o->resume && access(str_format(g->arena, "%.*s/sweep.json", FSTR(g->folder)).s, F_OK) != 0)
        return fail(e, GR_IO, "there is no sweep in %.*s to go on with", FSTR(g->folder));
    if (o->picture) TRY(grid_picture_check(o->picture, e));
    TRY(grid_make(g, o->plan, e));
    TRY(grid_plan(g, e));
    if (!o->quiet && !o->common.json) grid_print_plan(g);
    if (o->plan && o->common.json) put_json(g, true);
    if (o->plan) return GR_OK;
    TRY(grid_freeze(g, e));
    GrStatus status = train(g, e);
    if (status != GR_OK) return status;
    return tell(g, o, e);
}

int cmd_sweep(int argc, char **argv) {
    Options o = {.common = common_make(), .top = 20};
    o.jobs = o.common.threads < GRID_JOBS_MOST ? o.common.threads : GRID_JOBS_MOST;
    o.common.threads = 1;
    options_parse(&parser, argc, argv, &o);
    Session s;
    Error e = {0};
    const RecipeSweep *chosen = NULL;
    bool ok = session_open(&s, &o.common);
    GrStatus status = ok && s.recipe->phases.n ? choose(&o, &s, &chosen, &e) : GR_OK;
    if (!session_report(&s, &o.common) || !ok) return session_leave(&s, EXIT_WRONG);
    if (s.recipe->phases.n == 0) return session_leave(&s, report_no_train(&o.common));
    sampling_settle(&o.common, s.recipe, false);
    grid_watch_signals();
    Grid g = {.arena = s.arena, .s = &s, .sweep = chosen, .common = &o.common, .weights = o.weights,
              .jobs = o.jobs, .halve = o.halve, .quiet = o.quiet || o.common.json, .start = clock_seconds()};
    if (status == GR_OK) status = sweep(&g, &o, &e);
    int code = 0;
    if (status == GR_INTERRUPTED) fail_help(&e, "the same command goes on");
    if (status != GR_OK) code = e.what[0] ? report_error(&o.common, &e) : EXIT_WRONG;
    grid_close(&g);
    session_close(&s);
    return code;
}
