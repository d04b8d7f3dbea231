/* The points of a sweep as parallel coordinates: settings that vary, then the score. */
#include "grid.h"
#include "canvas.h"
#include "parallel.h"
#include <math.h>
#include <stdlib.h>

static bool number_of(Arena *a, Str text, double *x) {
    char *end;
    *x = strtod(str_copy(a, text).s, &end);
    return text.n > 0 && *end == 0 && isfinite(*x);
}

/* Words are numbered in the order in which the sweep names them. */
static uint32_t word_number(Str *words, uint32_t *n, Str text) {
    uint32_t i = 0;
    while (i < *n && !str_eq(words[i], text)) i++;
    if (i == *n) words[(*n)++] = text;
    return i;
}

static void add_axis(const Grid *g, Arena *a, uint32_t value, Parallel *out) {
    const RecipeSweep *s = g->sweep;
    Str *words = PUSH(a, Str, s->runs.n + 1);
    ParallelAxis x = {.name = s->runs.at[0].values.at[value].name, .words = words,
                      .values = PUSH(a, double, s->points + 1)};
    bool numbers = true, varies = false;
    for (uint32_t k = 0; k < s->runs.n; k++) {
        Str text = s->runs.at[k].values.at[value].value;
        numbers = number_of(a, text, &x.values[s->runs.at[k].point]) && numbers;
        varies = varies || !str_eq(text, s->runs.at[0].values.at[value].value);
    }
    for (uint32_t k = 0; k < s->runs.n && !numbers; k++)
        x.values[s->runs.at[k].point] = word_number(words, &x.n_words, s->runs.at[k].values.at[value].value);
    if (varies) vec_push(a, &out->axes, x);
}

GrStatus grid_picture_check(const char *path, Error *e) {
    if (canvas_known(path)) return GR_OK;
    fail(e, GR_USAGE, "`%s`: which kind of picture?", path);
    fail_help(e, "`--picture FILE` ends with .svg, .png or .pdf");
    return GR_USAGE;
}

GrStatus grid_picture(const Grid *g, const char *path, Error *e) {
    Arena *a = arena_create();
    const RecipeSweep *s = g->sweep;
    Parallel p = {.n_lines = s->points, .order = grid_order(a, g), .highest = g->highest};
    for (uint32_t i = 0; i < s->runs.at[0].values.n; i++)
        if (!s->runs.at[0].values.at[i].repeat) add_axis(g, a, i, &p);
    double *scores = PUSH(a, double, s->points + 1);
    for (uint32_t i = 0; i < s->points; i++) scores[i] = grid_mean(g, i).mean;
    vec_push(a, &p.axes, ((ParallelAxis){.name = g->score, .values = scores}));
    GrStatus status = parallel_write(&p, path, e);
    arena_destroy(a);
    return status;
}
