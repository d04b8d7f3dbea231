/* `load P from "w.safetensors" [names "names.csv"] [partly]`: the file, beside the text that says it, the patterns and
 * the names, as text for the trainer, which alone sees what the file holds. */
#include "cells.h"
#include "lower.h"

static bool path_of(Lower *l, const Expr *e, const char *what, Str *out) {
    V v = eval(l, e);
    if (v->kind == VAL_POISON) {
        return false;
    }
    if (v->kind != VAL_TEXT || v->text.n == 0) {
        report(l, DIAG_TYPE, e->at, "%s from a file, this is %.*s", what, FSTR(value_describe(l, v)));
        return false;
    }
    bool absolute = v->text.s[0] == '/';
    *out = str_format(l->m->arena, "%.*s%.*s", absolute ? 0 : (int)l->frame->scope->folder.n,
                      l->frame->scope->folder.s, FSTR(v->text));
    return true;
}

static bool refuse_names(Lower *l, const Expr *e, const char *why) {
    Diag *d = report(l, DIAG_TRAIN_DECL, e->at, "the names of weights cannot be read: %s", why);
    diag_help(d, "a csv: in each line the path of a weight here, and what the file calls it");
    return false;
}

/* A line a weight: its path, the name in the file. */
static bool read_names(Lower *l, const Expr *e, RecipeLoad *load) {
    Str path;
    const Source *source;
    Error error = {0};
    Cells t;
    if (!path_of(l, e, "names of weights are read", &path)) {
        return false;
    }
    if (sources_load(l->p->sources, path, &source, &error) != GR_OK) {
        return refuse_names(l, e, error.what);
    }
    if (!cells_parse(l->a, source->text, &t)) {
        return refuse_names(l, e, "it is no csv");
    }
    for (uint32_t i = 0; i + 1 < t.row_starts.n; i++) {
        uint32_t first = t.row_starts.at[i];
        if (t.row_starts.at[i + 1] != first + 2) {
            return refuse_names(l, e, str_format(l->a, "line %u has %u cells, not two", i + 1,
                                                 t.row_starts.at[i + 1] - first).s);
        }
        vec_push(l->m->arena, &load->names, ((RecipeRenamed){str_copy(l->m->arena, t.cells.at[first]),
                                                             str_copy(l->m->arena, t.cells.at[first + 1])}));
    }
    return true;
}

void load_declare(Lower *l, RecipePhase *p, const TrainClause *c) {
    RecipeLoad load = {.partly = c->load.partly, .span = c->at};
    if (!path_of(l, c->load.file, "weights are loaded", &load.path) ||
        (c->load.names && !read_names(l, c->load.names, &load))) {
        return;
    }
    for (uint32_t i = 0; i < c->load.patterns.n; i++) {
        vec_push(l->m->arena, &load.patterns, c->load.patterns.at[i].text);
    }
    vec_push(l->m->arena, &p->loads, load);
}
