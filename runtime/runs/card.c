/* Reading believes nothing: a value of another type counts as missing, and what is missing is empty. */
#include "card.h"
#include "atomic.h"
#include "json_text.h"
#include "rundir.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- writing ---- */
static json_t *card_json(const RunRow *row) {
    json_t *o = json_object(), *settings = json_object(), *tags = json_array();
#define TEXT(name) json_text(row->name)
#define INT(name)  json_integer(row->name)
#define REAL(name) json_real(row->name)
#define FIELD(kind, name, what) json_object_set_new(o, #name, kind(name));
#include "fields.def"
#undef FIELD
#undef TEXT
#undef INT
#undef REAL
    for (uint32_t i = 0; i < row->settings.n; i++) {
        const RunSetting *s = &row->settings.at[i];
        json_put(settings, s->name, json_text(s->value));
    }
    for (uint32_t i = 0; i < row->tags.n; i++)
        json_array_append_new(tags, json_text(row->tags.at[i]));
    json_object_set_new(o, "settings", settings);
    json_object_set_new(o, "tags", tags);
    return o;
}

GrStatus card_write(Arena *a, Str run, const RunRow *row, Error *e) {
    json_t *o = card_json(row);
    char *text = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    GR_ASSERT(text != NULL);
    GrStatus status = atomic_write_text(a, rundir_file(a, run, CARD_FILE), str_format(a, "%s\n", text), e);
    free(text);
    return status;
}

static json_t *real_json(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *metrics_json(const RunRow *row) {
    json_t *o = json_object();
    for (uint32_t i = 0; i < row->metrics.n; i++) {
        const RunMetric *m = &row->metrics.at[i];
        json_t *x = json_object();
        json_object_set_new(x, "last", real_json(m->last));
        json_object_set_new(x, "lowest", real_json(m->least));
        json_object_set_new(x, "lowest_epoch", json_integer(m->least_epoch));
        json_object_set_new(x, "highest", real_json(m->most));
        json_object_set_new(x, "highest_epoch", json_integer(m->most_epoch));
        json_put(o, m->name, x);
    }
    return o;
}

Str card_text(Arena *a, Str path, const RunRow *row, bool indented) {
    json_t *o = json_object();
    json_object_set_new(o, "run", json_text(path));
    json_object_update_new(o, card_json(row));
    json_object_set_new(o, "metrics", metrics_json(row));
    char *text = json_dumps(o, indented ? JSON_INDENT(2) : JSON_COMPACT);
    json_decref(o);
    GR_ASSERT(text != NULL);
    Str s = str_copy(a, str_of(text));
    free(text);
    return s;
}

/* ---- reading ---- */
static Str read_text(Arena *a, const json_t *v) {
    return json_is_string(v) ? str_copy(a, (Str){json_string_value(v), (uint32_t)json_string_length(v)}) : (Str){"", 0};
}

static void read_card(Arena *a, json_t *o, RunRow *row) {
#define TEXT(key) read_text(a, json_object_get(o, key))
#define INT(key)  json_integer_value(json_object_get(o, key))
#define REAL(key) json_number_value(json_object_get(o, key))
#define FIELD(kind, name, what) row->name = kind(#name);
#include "fields.def"
#undef FIELD
#undef TEXT
#undef INT
#undef REAL
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(o, "settings"), key, v)
        vec_push(a, &row->settings, (RunSetting){str_copy(a, str_of(key)), read_text(a, v)});
    for (size_t i = 0; i < json_array_size(json_object_get(o, "tags")); i++)
        vec_push(a, &row->tags, read_text(a, json_array_get(json_object_get(o, "tags"), i)));
}

void card_measure(Arena *a, const History *h, RunRow *row) {
    double before = 0, last = 0;               /* seconds begin again in each process */
    for (uint32_t i = 0; i < h->at.n; i++) {
        const HistoryRow *r = &h->at.at[i];
        row->phase = r->phase;
        row->epoch = r->epoch;
        row->step = r->step;
        before += r->values.n > 0 && r->seconds < last ? last : 0;
        last = r->values.n > 0 ? r->seconds : last;
        for (uint32_t k = 0; k < r->values.n; k++) {
            if (r->values.at[k].n == 1)
                runs_measure(a, row, r->values.at[k].name, r->values.at[k].values[0], r->epoch, history_whole(r));
        }
    }
    row->seconds = before + last > row->seconds ? before + last : row->seconds;
}

static void read_metrics(Arena *a, Str run, RunRow *row) {
    History h;
    Error e = {0};
    if (history_read(a, run, &h, &e) != GR_OK && row->reason.n == 0)
        row->reason = str_copy(a, str_of(e.what));
    card_measure(a, &h, row);
}

RunRow card_read(Arena *a, Str folder, Str name) {
    Str run = str_format(a, "%.*s/%.*s", FSTR(folder), FSTR(name)), path = rundir_file(a, run, CARD_FILE);
    RunRow row = {.name = str_copy(a, name)};
    json_error_t at;
    json_t *o = json_load_file(path.s, JSON_REJECT_DUPLICATES, &at);
    read_card(a, o, &row);
    json_decref(o);
    if (o == NULL && access(path.s, F_OK) == 0)
        row.reason = str_format(a, "%s, line %d: %s", CARD_FILE, at.line, at.text);
    if (o == NULL)
        row.state = RUN_RUNNING;
    if (str_eq(row.state, RUN_RUNNING) && !rundir_busy(a, run))
        row.state = RUN_KILLED;
    read_metrics(a, run, &row);
    return row;
}
