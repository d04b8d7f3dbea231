/* Each section gathers what it has to say, and says it in a table or as JSON. */
#include "view_data.h"
#include "check.h"
#include "convert.h"
#include "json_real.h"
#include "table.h"
#include <string.h>

enum { CLASSES_LISTED = 24 };

/* ---- measuring ---- */
const ColumnSurvey *data_survey(const DataLook *v, uint32_t column, uint32_t split) {
    return &v->columns[column * v->d->splits.at.n + split];
}

const RecipeColumn *data_declared(const DataLook *v, uint32_t column) { return &v->d->recipe->columns.at[column]; }

void data_measure(DataLook *v) {
    const Dataset *d = v->d;
    uint32_t splits = d->splits.at.n, n = d->columns.n * splits;
    v->columns = PUSH(v->s->arena, ColumnSurvey, n + 1);
    v->classes = PUSH(v->s->arena, int64_t *, n + 1);
    v->constant = PUSH(v->s->arena, int64_t, d->columns.n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const Split *s = &d->splits.at.at[i % splits];
        uint32_t column = i / splits, classes = survey_classes(d, column);
        survey_column(d, column, s->rows, s->n, &v->columns[i]);
        if (classes == 0) continue;
        v->classes[i] = PUSH(v->s->arena, int64_t, classes);
        survey_count(d, column, s->rows, s->n, v->classes[i]);
    }
    for (uint32_t i = 0; i < d->columns.n; i++) v->constant[i] = survey_constant(v->s->arena, d, i);
    survey_twins(v->s->arena, d, v->seen, &v->twins);
}

/* ---- what is shared ---- */
static json_t *object(const DataLook *v) {
    json_t *j = json_object();
    json_object_set_new(j, "data", json_text(v->d->recipe->name));
    return j;
}

static void put_line(const DataLook *v, const char *about, json_t *j) {
    check_object(&(Check){v->s, true, v->found}, about, j);
}

static void put_count(json_t *j, const char *key, int64_t n) { json_object_set_new(j, key, json_integer(n)); }

static Str count_of(const DataLook *v, int64_t n) { return count_text(v->s->arena, (uint64_t)n); }

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

static double share(int64_t part, int64_t whole) { return whole > 0 ? 100.0 * (double)part / (double)whole : 0; }

/* The clause on one line, without what stands before it. */
static Str clause(const DataLook *v, Span at) {
    Str text = sources_text(v->s->files, at);
    const char *end = text.n ? memchr(text.s, '\n', text.n) : NULL;
    return end ? str_format(v->s->arena, "%.*s ..", (int)(end - text.s), text.s) : text;
}

/* ---- rows ---- */
static Str files_text(const DataLook *v, uint32_t source) {
    const DataFile *first = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->d->files.n; i++) {
        if (v->d->files.at[i].source != source) continue;
        first = first ? first : &v->d->files.at[i];
        n++;
    }
    if (n == 0) return STR("");
    if (n == 1) return str_format(v->s->arena, "%.*s", FSTR(first->path));
    return str_format(v->s->arena, "%.*s and %u more", FSTR(first->path), n - 1);
}

static void print_sources_json(const DataLook *v) {
    for (uint32_t i = 0; i < v->d->files.n; i++) {
        const DataFile *f = &v->d->files.at[i];
        json_t *j = object(v);
        json_object_set_new(j, "path", json_text(f->path));
        if (f->column.n) json_object_set_new(j, "column", json_text(f->column));
        put_count(j, "first", f->first);
        put_count(j, "rows", f->rows);
        put_line(v, "file", j);
    }
    for (uint32_t i = 0; i < v->d->recipe->rows.n; i++) {
        json_t *j = object(v);
        json_object_set_new(j, "clause", json_text(clause(v, v->d->recipe->rows.at[i].span)));
        put_count(j, "dropped", v->d->dropped[i]);
        put_line(v, "cleaned", j);
    }
}

static void print_sources(const DataLook *v) {
    const RecipeData *r = v->d->recipe;
    if (v->json) {
        print_sources_json(v);
        return;
    }
    Table t = table_make(v->s->arena, 3, ".r.");
    for (uint32_t i = 0; i < r->sources.n; i++) {
        table_cell(&t, "  %.*s", FSTR(clause(v, r->sources.at[i].span)));
        table_cell(&t, "%.*s row%s", FSTR(count_of(v, v->d->of_source[i])), plural(v->d->of_source[i]));
        table_cell(&t, "%.*s", FSTR(files_text(v, i)));
    }
    for (uint32_t i = 0; i < r->rows.n; i++) {
        if (v->d->dropped[i] == 0) continue;
        table_cell(&t, "  %.*s", FSTR(clause(v, r->rows.at[i].span)));
        table_cell(&t, "-%.*s row%s", FSTR(count_of(v, v->d->dropped[i])), plural(v->d->dropped[i]));
        table_end_row(&t);
    }
    table_print(&t, stdout);
}

/* ---- splits ---- */
static void print_splits(const DataLook *v) {
    Table t = table_make(v->s->arena, 4, ".rr.");
    for (uint32_t i = 0; i < v->d->splits.at.n; i++) {
        const Split *s = &v->d->splits.at.at[i];
        int64_t repeated = v->twins.repeated[i];
        if (v->json) {
            json_t *j = object(v);
            json_object_set_new(j, "split", json_text(s->name));
            put_count(j, "rows", s->n);
            json_object_set_new(j, "repeated", v->twins.too_few ? json_null() : json_integer(repeated));
            put_line(v, "split", j);
            continue;
        }
        table_cell(&t, "  split %.*s", FSTR(s->name));
        table_cell(&t, "%.*s row%s", FSTR(count_of(v, s->n)), plural(s->n));
        table_cell(&t, "%.3g %%", share(s->n, v->d->rows));
        if (repeated > 0)
            table_cell(&t, "%.*s of them %s there before", FSTR(count_of(v, repeated)), repeated == 1 ? "is" : "are");
        table_end_row(&t);
    }
    table_print(&t, stdout);
    if (v->twins.too_few && !v->json)
        printf("  rows of %zu byte%s are equal by chance, and not compared\n", v->twins.row_bytes,
               plural((int64_t)v->twins.row_bytes));
}

/* ---- columns ---- */
static Str type_text(const DataLook *v, uint32_t column) {
    const DataColumn *c = &v->d->columns.at[column];
    const RecipeColumn *r = data_declared(v, column);
    Buf b = buf_make(v->s->arena);
    buf_printf(&b, "%s", dtype_name(c->dtype));
    if (r->ragged) buf_printf(&b, "[up to %lld]", (long long)c->shape.dim[0]);
    else if (c->shape.rank) buf_shape(&b, c->shape);
    if (r->bound > 0) buf_printf(&b, " < %lld", (long long)r->bound);
    return buf_str(&b);
}

static json_t *classes_json(const DataLook *v, uint32_t column, uint32_t split) {
    json_t *all = json_array();
    const int64_t *count = v->classes[column * v->d->splits.at.n + split];
    uint32_t n = survey_classes(v->d, column);
    for (uint32_t k = 0; k < n; k++) json_array_append_new(all, json_integer(count[k]));
    return all;
}

static void print_column_json(const DataLook *v, uint32_t column, uint32_t split) {
    const ColumnSurvey *s = data_survey(v, column, split);
    json_t *j = object(v), *shape = json_array();
    const DataColumn *c = &v->d->columns.at[column];
    json_object_set_new(j, "column", json_text(c->name));
    json_object_set_new(j, "split", json_text(v->d->splits.at.at[split].name));
    json_object_set_new(j, "type", json_string(dtype_name(c->dtype)));
    for (uint32_t k = 0; k < c->shape.rank; k++) json_array_append_new(shape, json_integer(c->shape.dim[k]));
    json_object_set_new(j, "shape", shape);
    json_object_set_new(j, "seen", json_boolean(v->seen[column]));
    if (s->n > s->nan + s->infinite) {
        json_object_set_new(j, "least", json_real(s->least));
        json_object_set_new(j, "mean", json_real(s->mean));
        json_object_set_new(j, "most", json_real(s->most));
        json_object_set_new(j, "sd", json_real(s->deviation));
    }
    put_count(j, "zeros", s->zeros);
    put_count(j, "nan", s->nan);
    put_count(j, "infinite", s->infinite);
    put_count(j, "constant", v->constant[column]);
    if (survey_classes(v->d, column)) json_object_set_new(j, "classes", classes_json(v, column, split));
    put_line(v, "column", j);
}

static Str column_remark(const DataLook *v, uint32_t column, const ColumnSurvey *s) {
    Buf b = buf_make(v->s->arena);
    int64_t places = shape_count(v->d->columns.at[column].shape), constant = v->constant[column];
    if (s->nan + s->infinite) buf_printf(&b, "%.*s not finite", FSTR(count_of(v, s->nan + s->infinite)));
    if (constant > 0 && constant == places) buf_printf(&b, "%sconstant", b.n ? ", " : "");
    else if (constant > 0)
        buf_printf(&b, "%s%.*s of %.*s places constant", b.n ? ", " : "", FSTR(count_of(v, constant)),
                   FSTR(count_of(v, places)));
    if (!v->seen[column]) buf_printf(&b, "%sno objective sees it", b.n ? ", " : "");
    return buf_str(&b);
}

static void put_column(const DataLook *v, Table *t, uint32_t column, uint32_t split) {
    const ColumnSurvey *s = data_survey(v, column, split);
    if (split == 0) {
        table_cell(t, "  %.*s", FSTR(v->d->columns.at[column].name));
        table_cell(t, "%.*s", FSTR(type_text(v, column)));
    } else {
        table_cell(t, "%s", "");
        table_cell(t, "%s", "");
    }
    table_cell(t, "%.*s", FSTR(v->d->splits.at.at[split].name));
    if (s->n > s->nan + s->infinite) {
        table_cell(t, "%.4g", s->least);
        table_cell(t, "%.4g", s->mean);
        table_cell(t, "%.4g", s->most);
        table_cell(t, "%.4g", s->deviation);
        table_cell(t, "%.3g %%", share(s->zeros, s->n));
    } else {
        for (int i = 0; i < 5; i++) table_cell(t, "-");
    }
    table_cell(t, "%.*s", FSTR(column_remark(v, column, s)));
}

static void print_columns(const DataLook *v) {
    Table t = table_make(v->s->arena, 9, "...rrrrr.");
    static const char *const heads[] = {"  column", "type", "split", "least", "mean", "most", "sd", "zeros"};
    for (uint32_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&t, "%s", heads[i]);
    table_end_row(&t);
    for (uint32_t i = 0; i < v->d->columns.n; i++)
        for (uint32_t k = 0; k < v->d->splits.at.n; k++)
            if (v->json) print_column_json(v, i, k);
            else put_column(v, &t, i, k);
    if (!v->json) table_print(&t, stdout);
}

/* ---- classes ---- */
/* Of values that occur: how many there are, and the rarest and the most frequent of the first split. */
static void print_many(const DataLook *v, uint32_t column, uint32_t classes) {
    const int64_t *count = v->classes[column * v->d->splits.at.n];
    uint32_t there = 0, rare = 0, often = 0;
    for (uint32_t k = 0; k < classes; k++) {
        if (count[k] == 0) continue;
        if (there++ == 0) rare = often = k;
        rare = count[k] < count[rare] ? k : rare;
        often = count[k] > count[often] ? k : often;
    }
    printf("  %.*s has %u values in %.*s, from %u (%.*s row%s) to %u (%.*s row%s)\n",
           FSTR(v->d->columns.at[column].name), there, FSTR(v->d->splits.at.at[0].name), rare,
           FSTR(count_of(v, count[rare])), plural(count[rare]), often, FSTR(count_of(v, count[often])),
           plural(count[often]));
}

static void print_classes(const DataLook *v, uint32_t column) {
    uint32_t splits = v->d->splits.at.n, classes = survey_classes(v->d, column), there = 0;
    int64_t *const *count = v->classes + column * splits;
    if (classes == 0 || splits == 0) return;
    bool *occurs = PUSH(v->s->arena, bool, classes);
    for (uint32_t k = 0; k < classes; k++) {
        for (uint32_t s = 0; s < splits; s++) occurs[k] = occurs[k] || count[s][k] > 0;
        there += occurs[k];
    }
    if (there > CLASSES_LISTED) {
        print_many(v, column, classes);
        return;
    }
    Table t = table_make_numbers(v->s->arena, 1 + 2 * splits);
    table_cell(&t, "  %.*s", FSTR(v->d->columns.at[column].name));
    for (uint32_t s = 0; s < splits; s++) {
        table_cell(&t, "%.*s", FSTR(v->d->splits.at.at[s].name));
        table_cell(&t, "%s", "");
    }
    for (uint32_t k = 0; k < classes; k++) {
        if (!occurs[k]) continue;
        table_cell(&t, "  = %u", k);
        for (uint32_t s = 0; s < splits; s++) {
            table_count(&t, (uint64_t)count[s][k]);
            table_cell(&t, "%.3g %%", share(count[s][k], v->d->splits.at.at[s].n));
        }
    }
    table_print(&t, stdout);
}

/* ---- statistics ---- */
static void print_statistics(const DataLook *v) {
    for (uint32_t i = 0; i < v->d->statistics.n; i++) {
        enum { SHOWN = 6 };
        const DataStatistic *s = &v->d->statistics.at[i];
        int64_t n = shape_count(s->shape);
        json_t *j = object(v), *values = json_array();
        Buf b = buf_make(v->s->arena);
        for (int64_t k = 0; k < n; k++) {
            json_array_append_new(values, json_real_make(element_of(s->dtype, s->at, k)));
            if (k < SHOWN) buf_printf(&b, " %.4g", element_of(s->dtype, s->at, k));
        }
        json_object_set_new(j, "name", json_text(s->path));
        json_object_set_new(j, "values", values);
        if (v->json) put_line(v, "statistic", json_incref(j));
        else printf("  %.*s =%.*s%s\n", FSTR(s->path), FSTR(buf_str(&b)), n > SHOWN ? " .." : "");
        json_decref(j);
    }
}

void data_print(const DataLook *v) {
    const Dataset *d = v->d;
    if (v->json) {
        json_t *j = object(v);
        put_count(j, "read", d->rows_read);
        put_count(j, "rows", d->rows);
        put_line(v, "rows", j);
    } else {
        printf("data %.*s  %.*s rows", FSTR(d->recipe->name), FSTR(count_of(v, d->rows)));
        if (d->rows < d->rows_read) printf(" of %.*s that were read", FSTR(count_of(v, d->rows_read)));
        putchar('\n');
    }
    print_sources(v);
    print_splits(v);
    print_columns(v);
    for (uint32_t i = 0; i < d->columns.n && !v->json; i++) print_classes(v, i);
    print_statistics(v);
}
