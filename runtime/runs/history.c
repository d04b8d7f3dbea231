/* The names of a row that are no series have no dot; all others are `SPLIT.NAME`.  Numbers that JSON has not, inf and
 * nan, stand there as texts. */
#include "history.h"
#include "json_real.h"
#include "rundir.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t count(const json_t *v) {
    if (!json_is_array(v))
        return 1;
    uint32_t n = 0;
    for (size_t i = 0; i < json_array_size(v); i++)
        n += count(json_array_get(v, i));
    return n;
}

static double *flatten(const json_t *v, double *to) {
    if (!json_is_array(v)) {
        *to = json_real_read(v);
        return to + 1;
    }
    for (size_t i = 0; i < json_array_size(v); i++)
        to = flatten(json_array_get(v, i), to);
    return to;
}

static Str text_of(Arena *a, const json_t *row, const char *key) {
    const char *text = json_string_value(json_object_get(row, key));
    return text ? str_copy(a, str_of(text)) : (Str){"", 0};
}

static HistoryRow row_of(Arena *a, json_t *line) {
    HistoryRow r = {.event = text_of(a, line, "event"), .phase = text_of(a, line, "phase"),
                    .bits = text_of(a, line, "bits"), .text = text_of(a, line, "text"),
                    .epoch = json_integer_value(json_object_get(line, "epoch")),
                    .step = json_integer_value(json_object_get(line, "step")),
                    .seconds = json_number_value(json_object_get(line, "seconds"))};
    const char *key;
    json_t *v;
    json_object_foreach(line, key, v) {
        if (strchr(key, '.') == NULL)
            continue;
        uint32_t n = count(v);
        double *values = PUSH(a, double, n + 1);
        flatten(v, values);
        vec_push(a, &r.values, (HistoryValue){str_copy(a, str_of(key)), n, values});
    }
    return r;
}

static GrStatus read_lines(Arena *a, FILE *f, Str path, int64_t *from, History *out, Error *e) {
    char *line = NULL;
    size_t room = 0;
    ssize_t n = 0;
    GrStatus status = GR_OK;
    for (int at = 1; status == GR_OK && (n = getline(&line, &room, f)) > 0 && line[n - 1] == '\n'; at++) {
        json_t *row = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(row))
            vec_push(a, &out->at, row_of(a, row));
        else
            status = fail(e, GR_DATA, "%.*s, line %d: no row of a log", FSTR(path), at);
        json_decref(row);
        *from += n;
    }
    if (status == GR_OK && n < 0 && !feof(f))           /* no end: what is missing is memory, or the disk */
        status = fail_errno(e, GR_IO, "%.*s", FSTR(path));
    free(line);
    return status;
}

GrStatus history_follow(Arena *a, Str run, int64_t *at, History *out, Error *e) {
    Str path = rundir_file(a, run, RUN_METRICS);
    *out = (History){0};
    FILE *f = fopen(path.s, "re");
    if (f == NULL)
        return errno == ENOENT ? GR_OK : fail_errno(e, GR_IO, "%.*s", FSTR(path));
    bool there = fseeko(f, *at, SEEK_SET) == 0;
    GrStatus status = there ? read_lines(a, f, path, at, out, e) : fail_errno(e, GR_IO, "%.*s", FSTR(path));
    fclose(f);
    return status;
}

GrStatus history_read(Arena *a, Str run, History *out, Error *e) {
    int64_t at = 0;
    return history_follow(a, run, &at, out, e);
}

const HistoryValue *history_value(const HistoryRow *row, Str name) {
    for (uint32_t i = 0; i < row->values.n; i++) {
        if (str_eq(row->values.at[i].name, name))
            return &row->values.at[i];
    }
    return NULL;
}

bool history_whole(const HistoryRow *row) { return str_is(row->event, "epoch") || str_is(row->event, "validate"); }
