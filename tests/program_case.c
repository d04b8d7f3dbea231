/* See program_case.h. */
#include "program_case.h"
#include "run.h"
#include <string.h>

static Common common_of(const ProgramWish *w) {
    Common c = common_make();
    c.file = w->file;
    c.threads = 1;
    c.no_cache = true;
    for (uint32_t i = 0; i < 4 && w->settings[i] != NULL; i++) {
        const char *eq = strchr(w->settings[i], '=');
        GR_ASSERT(eq != NULL);
        c.settings[c.n_settings++] =
            (SettingArg){{w->settings[i], (uint32_t)(eq - w->settings[i])}, str_of(eq + 1), false};
    }
    return c;
}

static const Tensor *batch_of(ProgramCase *c, const Graph *g, uint32_t step, Error *e) {
    Arena *a = c->session.arena;
    Tensor *columns = PUSH(a, Tensor, g->columns.n + 1);
    uint32_t objective = c->session.recipe->phases.at[0].runs.at[0].objective;
    for (uint32_t i = 0; i < g->columns.n; i++) {
        const Column *column = &g->columns.at[i];
        int64_t id;
        const Dataset *d = run_column(c->session.recipe, c->data, objective,
                                      intern_str(g->module->names, column->name), &id);
        columns[i] = tensor_new(a, column->dtype, column->shape);
        if (run_fill_column(a, d, id, "train", column->shape.dim[0], step, columns[i].data, e) != GR_OK)
            return NULL;
    }
    return columns;
}

static const UValue *uniforms_at(ProgramCase *c, const Graph *g, uint32_t step) {
    const RecipePhase *p = &c->session.recipe->phases.at[0];
    Counters at = {.step = step,
                   .update = step + 1,
                   .clock = step,
                   .seed = p->seed,
                   .batch = p->batch,
                   .rows = g->rows,
                   .epochs = p->epochs,
                   .steps = 100,
                   .epoch_steps = 10};
    return uniform_values(c->session.arena, c->session.recipe, c->session.module->uniforms, &at);
}

typedef VEC(Moment) Moments;

static bool add_moment(ProgramCase *c, Moments *moments, uint32_t graph, uint32_t step, Error *e) {
    const Graph *g = c->scenario.meaning->graphs.at[graph];
    Moment m = {graph, batch_of(c, g, step, e), uniforms_at(c, g, step)};
    vec_push(c->session.arena, moments, m);
    return m.columns != NULL;
}

static bool add_moments(const ProgramWish *w, ProgramCase *c, Error *e) {
    Moments m = {0};
    bool good = add_moment(c, &m, PROGRAM_INIT, 0, e) && add_moment(c, &m, PROGRAM_BEGIN, 0, e);
    for (uint32_t i = 0; i < w->steps && good; i++) {
        good = add_moment(c, &m, PROGRAM_TRAIN, i, e);
    }
    good = good && (!w->evaluate ||
                    (add_moment(c, &m, PROGRAM_BEGIN, 0, e) && add_moment(c, &m, PROGRAM_EVAL, 0, e) &&
                     add_moment(c, &m, PROGRAM_FINISH, 0, e)));
    c->scenario.moments = m.at;
    c->scenario.n_moments = m.n;
    return good;
}

static bool differentiate(ProgramCase *c) {
    Arena *a = c->session.arena;
    Module *meaning = PUSH(a, Module, 1);
    *meaning = c->compiled.lowered;
    memset(&meaning->graphs, 0, sizeof meaning->graphs);
    PassOptions o = {.stop_after = "grad"};
    for (uint32_t i = 0; i < c->compiled.lowered.graphs.n; i++) {
        Graph *g = pipeline_run(a, c->compiled.lowered.graphs.at[i], &o, c->session.files, c->session.diags);
        if (g == NULL)
            return false;
        vec_push(a, &meaning->graphs, g);
    }
    c->scenario = (Scenario){.meaning = meaning, .final = &c->compiled.final, .math = c->session.math};
    return true;
}

bool program_case(const ProgramWish *w, ProgramCase *out, Buf *why) {
    Common common = common_of(w);
    Error e = {0};
    *out = (ProgramCase){0};
    bool good = session_open(&out->session, &common);
    Entries entries = {0};
    if (good) {
        phase_entries(&out->session, 0, &entries);
        if (w->batch > 0)
            entries.at.at[PROGRAM_TRAIN].rows = entries.at.at[PROGRAM_EVAL].rows = w->batch;
        good = compile_graphs(&out->session, &common, entries.at.n, entries.at.at, &out->compiled) &&
               differentiate(out);
    }
    if (good) {
        good = run_open_all(&out->session, &common, &out->data, &e) == GR_OK && add_moments(w, out, &e);
        buf_printf(why, "%s", e.what);
    }
    if (out->session.diags != NULL)
        diags_render(out->session.diags, why, false);
    return good;
}

void program_case_close(ProgramCase *c) { session_close(&c->session); }
