/* Files are held against each other by their number in the program: their paths may be other ones now.  A data.json
 * that is not there, or is not as we write it, tells nothing. */
#include "origin.h"
#include "book.h"
#include "card.h"
#include "json_text.h"
#include "rundir.h"
#include <stdlib.h>

/* ---- writing ---- */
static json_t *file_json(Arena *a, const Dataset *d, const DataFile *f) {
    json_t *j = json_object();
    uint64_t hash = dataset_digest_file(d, f);
    json_object_set_new(j, "data", json_text(d->recipe->name));
    json_object_set_new(j, "path", json_text(f->path));
    if (f->column.n) json_object_set_new(j, "column", json_text(f->column));
    json_object_set_new(j, "rows", json_integer(f->rows));
    json_object_set_new(j, "hash", json_text(str_format(a, "%016llx", (unsigned long long)hash)));
    return j;
}

/* A line a file. */
Str origin_text(Arena *a, const Job *j) {
    Buf b = buf_make(a);
    buf_printf(&b, "[");
    for (uint32_t i = 0; i < j->s->recipe->data.n; i++) {
        const Dataset *d = j->data[i];
        for (uint32_t k = 0; k < d->files.n; k++) {
            json_t *file = file_json(a, d, &d->files.at[k]);
            char *text = json_dumps(file, JSON_COMPACT | JSON_PRESERVE_ORDER);
            GR_ASSERT(text != NULL);
            buf_printf(&b, "%s\n%s", b.n > 1 ? "," : "", text);
            free(text);
            json_decref(file);
        }
    }
    buf_printf(&b, "\n]\n");
    return buf_str(&b);
}

/* ---- comparing ---- */
/* NULL: there is no list of files, of which nothing can be said. */
static json_t *read_files(Arena *a, Str run) {
    json_t *list = json_load_file(rundir_file(a, run, RUN_DATA).s, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_array(list)) return list;
    json_decref(list);
    return NULL;
}

static const char *text_of(const json_t *file, const char *key) {
    const char *text = json_string_value(json_object_get(file, key));
    return text ? text : "";
}

/* Empty: it is the same. */
static Str file_change(Arena *a, const json_t *was, const json_t *now) {
    if (str_eq(str_of(text_of(was, "hash")), str_of(text_of(now, "hash")))) return STR("");
    const char *path = text_of(now, "path");
    json_int_t before = json_integer_value(json_object_get(was, "rows"));
    json_int_t rows = json_integer_value(json_object_get(now, "rows"));
    return rows != before ? str_format(a, "%s has %lld rows, and had %lld", path, (long long)rows, (long long)before)
                          : str_format(a, "%s has other values in its %lld rows", path, (long long)rows);
}

typedef VEC(Str) Changes;

static Changes changes_of(Arena *a, const json_t *was, const json_t *now) {
    Changes out = {0};
    size_t n = json_array_size(was), m = json_array_size(now);
    for (size_t i = 0; i < n && n == m; i++) {
        Str change = file_change(a, json_array_get(was, i), json_array_get(now, i));
        if (change.n) vec_push(a, &out, change);
    }
    if (was && now && n != m) vec_push(a, &out, str_format(a, "there are %zu files, and were %zu", m, n));
    return out;
}

void origin_compare(Arena *a, Str was, Str now) {
    json_t *x = read_files(a, was), *y = read_files(a, now);
    Changes all = changes_of(a, x, y);
    for (uint32_t i = 0; i < all.n; i++) printf("  %.*s\n", FSTR(all.at[i]));
    json_decref(x);
    json_decref(y);
}

GrStatus origin_check(Arena *a, Str run, Str data_hash, const Job *j, Error *e) {
    const DataFacts *facts = book_facts(a, j);
    if (data_hash.n == 0 || str_eq(data_hash, str_format(a, "%016llx", (unsigned long long)facts->hash))) return GR_OK;
    json_t *was = read_files(a, run), *now = json_loadb(facts->files.s, facts->files.n, 0, NULL);
    Changes all = changes_of(a, was, now);
    Str first = all.n ? all.at[0] : STR("other rows, values or splits");
    fail(e, GR_DATA, "the data are not those that the run read: %.*s", FSTR(first));
    fail_help(e, "with the files as they were it can be packed; without --with-data a pack only names them");
    json_decref(was);
    json_decref(now);
    return GR_DATA;
}
