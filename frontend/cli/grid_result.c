/* results.jsonl: a row for each run that came to an end, written at once; the last row of a run counts, and a last line
 * without its end, of a process that was killed, does not.  Texts and numbers are what they are in metrics.jsonl. */
#include "grid.h"
#include "json_real.h"
#include "json_text.h"
#include "jsonlines.h"
#include "rundir.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static Str results_path(const Grid *g) { return rundir_file(g->arena, g->folder, "results.jsonl"); }

static void take_row(void *user, json_t *row) {
    Grid *g = user;
    const char *id = json_string_value(json_object_get(row, "run")), *name, *why;
    const char *state = json_string_value(json_object_get(row, "state"));
    const char *phase = json_string_value(json_object_get(row, "phase"));
    GridRun *r = NULL;
    json_t *v;
    for (uint32_t i = 0; id && i < g->runs.n; i++)
        if (str_is(g->runs.at[i].id, id)) r = &g->runs.at[i];
    if (!r || !state) return;                                       /* of a point that the grid no longer has */
    r->state = GRID_OPEN;
    for (GridState s = GRID_OPEN; s < GRID_STATES; s++)
        if (strcmp(grid_state(s), state) == 0) r->state = s;
    why = json_string_value(json_object_get(row, "why"));
    r->why = why ? str_copy(g->arena, str_of(why)) : (Str){0};
    r->phase = str_copy(g->arena, str_of(phase ? phase : ""));
    r->epoch = json_integer_value(json_object_get(row, "epoch"));
    r->epochs = json_integer_value(json_object_get(row, "epochs"));
    r->seconds = json_real_read(json_object_get(row, "seconds"));
    r->values.n = 0;
    json_object_foreach(json_object_get(row, "values"), name, v)
        vec_push(g->arena, &r->values, ((GridValue){str_copy(g->arena, str_of(name)), json_real_read(v)}));
}

GrStatus grid_read_results(Grid *g, Error *e) {
    int64_t from = 0;
    GrStatus status = jsonlines_read(results_path(g), &from, "row of results", take_row, g, e);
    for (uint32_t i = 0; i < g->runs.n; i++) g->kept += grid_finished(&g->runs.at[i]);
    return status;
}

/* A line that was torn by a kill is cut off first. */
static bool put_line(int fd, const char *text, size_t n) {
    char last = '\n';
    off_t end = lseek(fd, 0, SEEK_END);
    if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n') {
        off_t from = end;
        while (from > 0 && pread(fd, &last, 1, from - 1) == 1 && last != '\n') from--;
        if (ftruncate(fd, from) != 0) return false;
    }
    return write(fd, text, n) == (ssize_t)n;
}

GrStatus grid_write_result(const Grid *g, const GridRun *r, Error *e) {
    json_t *row = json_object(), *values = json_object();
    json_object_set_new(row, "run", json_text(r->id));
    json_object_set_new(row, "state", json_string(grid_state(r->state)));
    if (r->why.n) json_object_set_new(row, "why", json_text(r->why));
    json_object_set_new(row, "phase", json_text(r->phase));
    json_object_set_new(row, "epoch", json_integer(r->epoch));
    json_object_set_new(row, "epochs", json_integer(r->epochs));
    json_object_set_new(row, "seconds", json_real_make(r->seconds));
    for (uint32_t i = 0; i < r->values.n; i++)
        json_put(values, r->values.at[i].name, json_real_make(r->values.at[i].x));
    json_object_set_new(row, "values", values);
    char *text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(row);
    size_t n = strlen(text);
    text[n] = '\n';                                                 /* in place of the NUL */
    Str path = results_path(g);
    int fd = open(path.s, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    GrStatus status = fd < 0 || !put_line(fd, text, n + 1) ? fail_errno(e, GR_IO, "writing %.*s", FSTR(path)) : GR_OK;
    if (fd >= 0) close(fd);
    free(text);
    return status;
}
