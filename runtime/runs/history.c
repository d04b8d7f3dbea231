/* The names of a row that are no series have no dot; all others are `SPLIT.NAME`.  Numbers that JSON has not, inf and
 * nan, stand there as texts. */
#include "history.h"
#include "json_real.h"
#include "jsonlines.h"
#include "rundir.h"
#include <jansson.h>
#include <math.h>
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

typedef struct { Arena *arena; History *out; } Reading;

static void take_line(void *user, json_t *line) {
    Reading *r = user;
    vec_push(r->arena, &r->out->at, row_of(r->arena, line));
}

GrStatus history_follow(Arena *a, Str run, int64_t *at, History *out, Error *e) {
    *out = (History){0};
    return jsonlines_read(rundir_file(a, run, RUN_METRICS), at, "row of a log", take_line, &(Reading){a, out}, e);
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
