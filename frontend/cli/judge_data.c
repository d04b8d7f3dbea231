/* What a look at a data set finds wrong.  Each finding stands at the line of the program that asked for the rows: the
 * `from` of the file, or the column. */
#include "table.h"
#include "view_data.h"

static Str count_of(const DataLook *v, int64_t n) { return count_text(v->s->arena, (uint64_t)n); }

static Str split_name(const DataLook *v, uint32_t i) { return v->d->splits.at.at[i].name; }

/* "houses.csv, row 3"; of rows that no file has, "row 3". */
static Str row_text(const DataLook *v, uint32_t column, uint32_t row) {
    int64_t in_file;
    const DataFile *f = survey_origin(v->d, column, row, &in_file);
    if (f == NULL) return str_format(v->s->arena, "row %lld", (long long)in_file);
    return str_format(v->s->arena, "%.*s, row %lld", FSTR(f->path), (long long)in_file);
}

/* The `from` that gave the row. */
static Span source_of(const DataLook *v, uint32_t row) {
    int64_t read = v->d->as_read ? v->d->as_read[row] : row;
    for (uint32_t i = 0; i < v->d->recipe->sources.n; i++) {
        if (read < v->d->of_source[i]) return v->d->recipe->sources.at[i].span;
        read -= v->d->of_source[i];
    }
    GR_BUG("no source gave row %u", row);
}

/* A column that is computed stands for itself. */
static Span asked_at(const DataLook *v, uint32_t column, uint32_t row) {
    const RecipeColumn *c = data_declared(v, column);
    return c->raw ? source_of(v, row) : c->span;
}

/* Of the columns that were compared. */
static Str names(const DataLook *v, uint32_t most) {
    Buf b = buf_make(v->s->arena);
    uint32_t n = v->twins.columns.n;
    for (uint32_t i = 0; i < n && i < most; i++)
        buf_printf(&b, "%s`%.*s`", i ? ", " : "", FSTR(v->d->columns.at[v->twins.columns.at[i]].name));
    if (n > most) buf_printf(&b, " and %u more", n - most);
    return buf_str(&b);
}
enum { NAMES_SHOWN = 4 };

static Str drop_clause(const DataLook *v) {
    Buf b = buf_make(v->s->arena);
    for (uint32_t i = 0; i < v->twins.columns.n; i++)
        buf_printf(&b, "%s%.*s", i ? ", " : "", FSTR(v->d->columns.at[v->twins.columns.at[i]].name));
    return str_format(v->s->arena, "drop duplicates of %.*s", FSTR(buf_str(&b)));
}

static void judge_leaks(const DataLook *v) {
    for (uint32_t i = 0; i < v->twins.leaks.n; i++) {
        const Leak *l = &v->twins.leaks.at[i];
        uint32_t column = v->twins.columns.at[0];
        Diag *d = diag_add_found(v->found, SEV_WARNING, "leak", source_of(v, l->row_b),
                                 "%.*s of the %.*s rows of `%.*s` are in `%.*s` too, with the same %.*s",
                                 FSTR(count_of(v, l->rows)),
                                 FSTR(count_of(v, v->d->splits.at.at[l->b].n)),
                                 FSTR(split_name(v, l->b)), FSTR(split_name(v, l->a)), FSTR(names(v, NAMES_SHOWN)));
        diag_note(d, "the first is %.*s, which equals %.*s", FSTR(row_text(v, column, l->row_b)),
                  FSTR(row_text(v, column, l->row_a)));
        diag_help(d, "`%.*s` leaves one of each", FSTR(drop_clause(v)));
    }
}

static void judge_labels(const DataLook *v) {
    if (v->twins.torn == 0) return;
    uint32_t column = v->twins.columns.at[0];
    Diag *d = diag_add_found(v->found, SEV_WARNING, "labels", source_of(v, v->twins.torn_row),
                             "%.*s row%s with the same %.*s as another %s another label",
                             FSTR(count_of(v, v->twins.torn)), v->twins.torn == 1 ? "" : "s",
                             FSTR(names(v, NAMES_SHOWN)),
                             v->twins.torn == 1 ? "has" : "have");
    diag_note(d, "the first is %.*s; the other %.*s", FSTR(row_text(v, column, v->twins.torn_row)),
              FSTR(row_text(v, column, v->twins.torn_other)));
}

static void judge_finite(const DataLook *v, uint32_t column) {
    int64_t nan = 0, infinite = 0, row = -1;
    for (uint32_t k = 0; k < v->d->splits.at.n; k++) {
        const ColumnSurvey *s = data_survey(v, column, k);
        nan += s->nan;
        infinite += s->infinite;
        row = s->odd_row >= 0 && (row < 0 || s->odd_row < row) ? s->odd_row : row;
    }
    if (row < 0) return;
    Str name = v->d->columns.at[column].name;
    Span at = asked_at(v, column, (uint32_t)row);
    Diag *d = diag_add_found(v->found, nan ? SEV_ERROR : SEV_WARNING, "finite", at,
                             "`%.*s` has %.*s value%s not finite (%.*s nan, %.*s infinite)", FSTR(name),
                             FSTR(count_of(v, nan + infinite)), nan + infinite == 1 ? " that is" : "s that are",
                             FSTR(count_of(v, nan)), FSTR(count_of(v, infinite)));
    diag_note(d, "the first is in %.*s", FSTR(row_text(v, column, (uint32_t)row)));
    if (nan)
        diag_help(d, "a training refuses NaN: mend the file, or the formula; or `drop where %sisnan(%.*s)`",
                  v->d->columns.at[column].shape.rank ? "any[..] " : "", FSTR(name));
    else diag_help(d, "leave such rows out: `drop where %s(abs(%.*s) == inf)`",
                   v->d->columns.at[column].shape.rank ? "any[..] " : "", FSTR(name));
}

static void judge_constant(const DataLook *v, uint32_t column) {
    const DataColumn *c = &v->d->columns.at[column];
    if (!v->seen[column] || v->constant[column] < shape_count(c->shape)) return;
    Diag *d = diag_add_found(v->found, SEV_WARNING, "constant", data_declared(v, column)->span,
                             "`%.*s` is the same in all %.*s rows", FSTR(c->name), FSTR(count_of(v, v->d->rows)));
    diag_help(d, "it tells a model nothing, and dividing by its deviation makes NaN: leave it out");
}

/* A class that `train` lacks. */
static void judge_classes(const DataLook *v, uint32_t column) {
    uint32_t classes = survey_classes(v->d, column), splits = v->d->splits.at.n, train = 0;
    while (train < splits && !str_is(split_name(v, train), "train")) train++;
    if (classes == 0 || train == splits || !v->seen[column]) return;
    int64_t *const *count = v->classes + column * splits;
    for (uint32_t k = 0; k < classes; k++) {
        for (uint32_t s = 0; s < splits; s++) {
            if (count[train][k] > 0 || count[s][k] == 0) continue;
            Diag *d = diag_add_found(v->found, SEV_WARNING, "classes", data_declared(v, column)->span,
                                     "`%.*s` is %u in %.*s row%s of `%.*s`, and never in `train`",
                                     FSTR(v->d->columns.at[column].name), k, FSTR(count_of(v, count[s][k])),
                                     count[s][k] == 1 ? "" : "s", FSTR(split_name(v, s)));
            diag_help(d, "rows that follow each other in a file may be of one class: split with `seed 1`");
        }
    }
}

void data_judge(const DataLook *v) {
    judge_leaks(v);
    judge_labels(v);
    for (uint32_t i = 0; i < v->d->columns.n; i++) {
        judge_finite(v, i);
        judge_constant(v, i);
        judge_classes(v, i);
    }
}
