/* Opening a program: read, parse, check. */
#include "gradients.h"
#include "pack.h"
#include "rundir.h"
#include "source.h"
#include <string.h>
#include <unistd.h>

static void out_of_memory(void *user) {
    (void)user;
    static const char text[] = "graphc: out of memory\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_WRONG);
}

/* The settings of the point, which those of -s come behind. */
static GrStatus point_settings(const Session *s, const Common *c, uint32_t *n, const SettingArg **out, Error *e) {
    const RecipeSweep *found = NULL;
    Buf names = buf_make(s->arena);
    for (uint32_t i = 0; i < s->recipe->sweeps.n; i++) {
        const RecipeSweep *x = &s->recipe->sweeps.at[i];
        if (str_is(x->name, c->point)) found = x;
        if (x->runs.n == 1 && x->name.n) buf_printf(&names, "%s`%.*s`", names.n ? ", " : "", FSTR(x->name));
    }
    if (!found || found->runs.n != 1) {
        if (found) fail(e, GR_PROGRAM, "sweep `%s` has %u runs, `--point` takes one; `graphc sweep` runs them all",
                        c->point, found->runs.n);
        else fail(e, GR_PROGRAM, "%s has no sweep `%s`", c->file, c->point);
        if (names.n) fail_help(e, "sweeps of one point: %.*s", FSTR(buf_str(&names)));
        else fail_help(e, "a preset is a sweep of one point: `sweep %s { lr = 1e-3 }`", found ? "final" : c->point);
        return GR_PROGRAM;
    }
    const RecipeSweepRun *p = &found->runs.at[0];
    SettingArg *all = PUSH(s->arena, SettingArg, p->values.n + c->n_settings + 1);
    for (uint32_t i = 0; i < p->values.n; i++)
        all[(*n)++] = (SettingArg){p->values.at[i].name, p->values.at[i].value, true};
    for (uint32_t i = 0; i < c->n_settings; i++) all[(*n)++] = c->settings[i];
    *out = all;
    return GR_OK;
}

static bool check_program(Session *s, const Common *c, uint32_t n, const SettingArg *settings) {
    DataProbe *probe = c->probed ? NULL : source_probe;
    s->program = program_check(s->arena, s->files, s->main, n, settings, s->math, probe, s->diags);
    s->recipe = program_recipe(s->program);
    s->module = program_module(s->program);
    return diags_errors(s->diags) == 0;
}

/* The program of a run that was packed with its data reads these, wherever it is unpacked. */
static void use_pack(Session *s, Str file) {
    Str folder = str_ends(file, RUN_PROGRAM) ? (Str){file.s, file.n - (uint32_t)strlen(RUN_PROGRAM)} : STR("");
    Str data = str_format(s->arena, "%.*s" PACK_DATA, FSTR(folder));
    bool beside = str_is(file, RUN_PROGRAM) || str_ends(folder, "/");
    if (beside && access(data.s, F_OK) == 0) sources_pack(s->files, data);
}

bool session_open(Session *s, const Common *c) {
    *s = (Session){.arena = arena_create()};
    arena_on_full(s->arena, out_of_memory, NULL);
    s->files = sources_create(s->arena);
    use_pack(s, str_of(c->file));
    s->diags = diags_create(s->arena, s->files);
    Error e = {0};
    if (sources_load(s->files, str_of(c->file), &s->main, &e) != GR_OK ||
        math_create(s->arena, &s->math, &e) != GR_OK) {
        report_error(c, &e);
        return false;
    }
    if (!check_program(s, c, c->n_settings, c->settings)) return false;
    uint32_t n = 0;
    const SettingArg *settings;
    if (c->point && point_settings(s, c, &n, &settings, &e) != GR_OK) {
        report_error(c, &e);
        s->main = NULL;
        return false;
    }
    if (c->point && !check_program(s, c, n, settings)) return false;
    gradients_check(s);
    return diags_errors(s->diags) == 0;
}

bool session_report(const Session *s, const Common *c) {
    if (!s->diags || diags_count(s->diags) == 0) return s->main != NULL;
    report_diags(s->diags, c);
    return diags_errors(s->diags) == 0;
}

void session_close(Session *s) {
    arena_destroy(s->arena);
    *s = (Session){0};
}

bool session_begin(Session *s, const Common *c) {
    bool ok = session_open(s, c);
    if (session_report(s, c) && ok) return true;
    session_close(s);
    return false;
}

int session_leave(Session *s, int status) {
    session_close(s);
    return status;
}
