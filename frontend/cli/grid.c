/* The runs of a sweep, each once: two whose programs read the same values are one.  When all of them are checked and
 * planned they are written into sweep.json of the sweep's folder, which belongs to this program from its first result
 * on; a folder that is there keeps what is finished, whatever the grid was then. */
#include "atomic.h"
#include "grid.h"
#include "hash.h"
#include "json_text.h"
#include "rundir.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const states[GRID_STATES] = {
    [GRID_OPEN] = "open",     [GRID_DONE] = "done",     [GRID_STOPPED] = "stopped",
    [GRID_HALTED] = "halted", [GRID_FAILED] = "failed", [GRID_CRASHED] = "crashed"};

const char *grid_state(GridState s) { return states[s]; }

/* What was halted is gone on with when nothing halves any more; what crashed is tried again. */
bool grid_finished(const GridRun *r) {
    return r->state == GRID_DONE || r->state == GRID_STOPPED || r->state == GRID_FAILED;
}

Str grid_folder_of(const Grid *g, uint32_t run) {
    return str_format(g->arena, "%.*s/%.*s", FSTR(g->folder), FSTR(g->runs.at[run].id));
}

bool grid_varies(const Grid *g, uint32_t name) {
    const RecipeSweepRun *first = &g->sweep->runs.at[0];
    for (uint32_t k = 1; k < g->sweep->runs.n; k++)
        if (!str_eq(g->sweep->runs.at[k].values.at[name].value, first->values.at[name].value)) return true;
    return g->sweep->runs.n == 1;
}

Str grid_label(Arena *a, const Grid *g, uint32_t run) {
    Buf b = buf_make(a);
    const RecipeSweepRun *r = g->runs.at[run].run;
    for (uint32_t i = 0; i < r->values.n; i++) {
        const RecipeValue *v = &r->values.at[i];
        if (grid_varies(g, i)) buf_printf(&b, "%s%.*s = %.*s", b.n ? ", " : "", FSTR(v->name), FSTR(v->value));
    }
    return b.n ? buf_str(&b) : STR("the file as it is");
}

/* ---- the runs ---- */
static void add_run(Grid *g, uint32_t k) {
    const RecipeSweepRun *run = &g->sweep->runs.at[k];
    Str id = str_format(g->arena, "%016" PRIx64, hash_str(1, run->reads));
    for (uint32_t i = 0; i < g->runs.n; i++) {
        if (!str_eq(g->runs.at[i].id, id)) continue;
        g->of[k] = i;
        return;
    }
    g->of[k] = g->runs.n;
    vec_push(g->arena, &g->runs, (GridRun){.run = run, .id = id, .score = (double)NAN});
}

/* ---- the folder ---- */
static const char k_frozen[] = "sweep.json";

/* The text of the program without its settings' values: what all runs have in common. */
static Str text_hash(const Grid *g) {
    Buf text = buf_make(g->arena);
    program_print(g->s->program, &text);
    return str_format(g->arena, "%016" PRIx64, hash_str(SEMANTICS_VERSION, buf_str(&text)));
}

static Str frozen(const Grid *g) {
    json_t *all = json_object(), *runs = json_array();
    json_object_set_new(all, "program", json_text(text_hash(g)));
    json_object_set_new(all, "file", json_text(str_of(g->common->file)));
    json_object_set_new(all, "sweep", json_text(g->sweep->name));
    json_object_set_new(all, "best", json_text(str_format(g->arena, "%s %.*s", g->highest ? "highest" : "lowest",
                                                          FSTR(g->score))));
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) {
        const RecipeSweepRun *run = &g->sweep->runs.at[k];
        json_t *row = json_object(), *values = json_object();
        json_object_set_new(row, "run", json_text(g->runs.at[g->of[k]].id));
        json_object_set_new(row, "point", json_integer(run->point));
        for (uint32_t i = 0; i < run->values.n; i++) {
            const RecipeValue *v = &run->values.at[i];
            json_put(values, v->name, json_text(v->value));
        }
        json_object_set_new(row, "settings", values);
        json_array_append_new(runs, row);
    }
    json_object_set_new(all, "runs", runs);
    char *text = json_dumps(all, JSON_INDENT(1));
    Str out = str_format(g->arena, "%s\n", text);
    free(text);
    json_decref(all);
    return out;
}

GrStatus grid_freeze(const Grid *g, Error *e) {
    return atomic_write_text(g->arena, rundir_file(g->arena, g->folder, k_frozen), frozen(g), e);
}

/* A result or a checkpoint is there: what another program must not go on with. */
static bool has_begun(const Grid *g) {
    struct stat st;
    bool begun = stat(rundir_file(g->arena, g->folder, "results.jsonl").s, &st) == 0 && st.st_size > 0;
    DIR *d = opendir(str_copy(g->arena, g->folder).s);
    begun = begun || (!d && errno != ENOENT);                      /* who knows: then it is left alone */
    for (struct dirent *f; d && !begun && (f = readdir(d)) != NULL;)
        begun = rundir_saved(g->arena, rundir_file(g->arena, g->folder, f->d_name));
    if (d) closedir(d);
    return begun;
}

static GrStatus check_frozen(const Grid *g, Str path, Error *e) {
    json_error_t why;
    json_t *old = json_load_file(path.s, 0, &why);
    if (!old) return fail(e, GR_DATA, "%.*s is no frozen sweep: %s", FSTR(path), why.text);
    const char *was = json_string_value(json_object_get(old, "program"));
    bool same = was && str_is(text_hash(g), was);
    json_decref(old);
    if (same || !has_begun(g)) return GR_OK;
    fail(e, GR_CHANGED, "the sweep in %.*s is of another program", FSTR(g->folder));
    fail_help(e, "its grid may change, its program not: `--dir` names another folder");
    return GR_CHANGED;
}

static GrStatus open_folder(const Grid *g, bool plan, Error *e) {
    int lock;                                                       /* until the process ends */
    Str path = rundir_file(g->arena, g->folder, k_frozen);
    bool there = access(path.s, F_OK) == 0;
    if (!there && access(rundir_file(g->arena, g->folder, RUN_PROGRAM).s, F_OK) == 0)
        return fail(e, GR_IO, "%.*s holds a run, not a sweep", FSTR(g->folder));
    if (!plan) TRY(rundir_make(g->arena, g->folder, e));
    if (!plan) TRY(rundir_lock(g->arena, g->folder, &lock, e));
    return there ? check_frozen(g, path, e) : GR_OK;
}

GrStatus grid_make(Grid *g, bool plan, Error *e) {
    g->of = PUSH(g->arena, uint32_t, g->sweep->runs.n + 1);
    for (uint32_t k = 0; k < g->sweep->runs.n; k++) add_run(g, k);
    g->best = mmap(NULL, sizeof *g->best, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (g->best == MAP_FAILED) return fail_errno(e, GR_NOMEM, "no memory to share between processes");
    atomic_init(g->best, (double)NAN);
    g->best_run = UINT32_MAX;
    TRY(open_folder(g, plan, e));
    return grid_read_results(g, e);
}
