/* Columns are in memory, so a survey is one pass over each.  Sums are taken about the first finite value, in which
 * doubles lose little: what is measured is where values lie, not their last digits. */
#include "survey.h"
#include "convert.h"
#include "opening.h"
#include <math.h>
#include <string.h>

enum { MOST_CLASSES = 1 << 10, BYTE_VALUES = 256, FEWEST_BYTES = 8 };

static const char *row_at(const DataColumn *c, uint32_t row) { return c->at + (size_t)row * c->row_bytes; }

/* ---- ranges ---- */
typedef struct { double middle, sum, squares; int64_t finite; } Sums;

static void take(ColumnSurvey *s, Sums *m, double x, int64_t times, int64_t row) {
    s->zeros += x == 0 ? times : 0;
    s->nan += isnan(x) ? times : 0;
    s->infinite += isinf(x) ? times : 0;
    if (!isfinite(x)) {
        s->odd_row = s->odd_row < 0 ? row : s->odd_row;
        return;
    }
    if (m->finite == 0)
        m->middle = s->least = s->most = x;
    s->least = x < s->least ? x : s->least;
    s->most = x > s->most ? x : s->most;
    double away = x - m->middle;
    m->finite += times;
    m->sum += away * (double)times;
    m->squares += away * away * (double)times;
}

/* Of bytes there are 256 kinds, which are counted first. */
static void take_bytes(const DataColumn *c, const uint32_t *rows, int64_t n, ColumnSurvey *s, Sums *m) {
    int64_t count[BYTE_VALUES] = {0};
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *at = (const uint8_t *)row_at(c, rows[i]);
        for (size_t k = 0; k < c->row_bytes; k++)
            count[at[k]]++;
    }
    for (int x = 0; x < BYTE_VALUES; x++) {
        if (count[x] > 0)
            take(s, m, x, count[x], 0);
    }
}

void survey_column(const Dataset *d, uint32_t column, const uint32_t *rows, int64_t n, ColumnSurvey *out) {
    const DataColumn *c = &d->columns.at[column];
    int64_t of_row = shape_count(c->shape);
    Sums m = {0};
    *out = (ColumnSurvey){.n = n * of_row, .odd_row = -1};
    if (c->dtype == DT_U8 || c->dtype == DT_BOOL) {
        take_bytes(c, rows, n, out, &m);
    } else {
        for (int64_t i = 0; i < n; i++) {
            for (int64_t k = 0; k < of_row; k++)
                take(out, &m, element_of(c->dtype, row_at(c, rows[i]), k), 1, rows[i]);
        }
    }
    if (m.finite == 0)
        return;
    double mean = m.sum / (double)m.finite, variance = m.squares / (double)m.finite - mean * mean;
    out->mean = m.middle + mean;
    out->deviation = variance > 0 ? sqrt(variance) : 0;
}

int64_t survey_constant(Arena *a, const Dataset *d, uint32_t column) {
    const DataColumn *c = &d->columns.at[column];
    size_t width = dtype_bytes(c->dtype), places = (size_t)shape_count(c->shape), left = places;
    ArenaMark mark = arena_mark(a);
    bool *varies = PUSH(a, bool, places + 1);
    for (int64_t row = 1; row < d->rows && left > 0; row++) {
        const char *first = row_at(c, 0), *at = row_at(c, (uint32_t)row);
        for (size_t k = 0; k < places; k++) {
            if (varies[k] || memcmp(first + k * width, at + k * width, width) == 0)
                continue;
            varies[k] = true;
            left--;
        }
    }
    arena_pop(mark);
    return d->rows > 1 ? (int64_t)left : 0;
}

/* ---- classes ---- */
static const RecipeColumn *declared(const Dataset *d, uint32_t column) {
    for (uint32_t i = 0; i < d->recipe->columns.n; i++) {
        if (str_eq(d->recipe->columns.at[i].name, d->columns.at[column].name))
            return &d->recipe->columns.at[i];
    }
    GR_BUG("no recipe has the column `%.*s`", FSTR(d->columns.at[column].name));
}

uint32_t survey_classes(const Dataset *d, uint32_t column) {
    const DataColumn *c = &d->columns.at[column];
    int64_t bound = declared(d, column)->bound;
    if (dtype_is_float(c->dtype) || shape_count(c->shape) != 1 || declared(d, column)->lengths || bound > MOST_CLASSES)
        return 0;
    return bound > 0 ? (uint32_t)bound : c->dtype == DT_BOOL ? 2 : c->dtype == DT_U8 ? BYTE_VALUES : 0;
}

void survey_count(const Dataset *d, uint32_t column, const uint32_t *rows, int64_t n, int64_t *count) {
    const DataColumn *c = &d->columns.at[column];
    for (int64_t i = 0; i < n; i++)
        count[(int64_t)element_of(c->dtype, row_at(c, rows[i]), 0)]++;
}

/* ---- rows that are there more than once ---- */
static RowValues *values_of(Arena *a, const Dataset *d, const uint32_t *columns, uint32_t n) {
    RowValues *v = PUSH(a, RowValues, n + 1);
    for (uint32_t i = 0; i < n; i++)
        v[i] = (RowValues){d->columns.at[columns[i]].at, d->columns.at[columns[i]].row_bytes};
    return v;
}

/* Labels count only where there is nothing else. */
static void choose(Arena *a, const Dataset *d, const bool *seen, Twins *out) {
    for (uint32_t labels = 0; labels < 2 && out->columns.n == 0; labels++) {
        for (uint32_t i = 0; i < d->columns.n; i++) {
            if (!seen[i] || (!labels && survey_classes(d, i) > 0))
                continue;
            vec_push(a, &out->columns, i);
            out->row_bytes += d->columns.at[i].row_bytes;
        }
    }
    out->too_few = out->row_bytes < FEWEST_BYTES;
}

/* Of two groupings of the rows: which rows share a group of the first with a row of another group of the second. */
static void find_torn(Arena *a, const Dataset *d, const uint32_t *group, uint32_t groups, const uint32_t *finer,
                      Twins *out) {
    uint32_t *first = PUSH(a, uint32_t, groups + 1);         /* 1 + the first row */
    for (uint32_t i = 0; i < d->rows; i++) {
        uint32_t *f = &first[group[i]];
        if (*f == 0) {
            *f = i + 1;
        } else if (finer[i] != finer[*f - 1]) {
            if (out->torn++ == 0)
                out->torn_row = i, out->torn_other = *f - 1;
        }
    }
}

static void find_leaks(Arena *a, const Dataset *d, const uint32_t *group, uint32_t groups, Twins *out) {
    uint32_t n = d->splits.at.n, **first = PUSH(a, uint32_t *, n + 1);
    for (uint32_t s = 0; s < n; s++) {
        const Split *split = &d->splits.at.at[s];
        first[s] = PUSH(a, uint32_t, groups + 1);
        for (uint32_t b = 0; b < s; b++) {
            Leak leak = {.a = b, .b = s};
            for (int64_t i = 0; i < split->n; i++) {
                uint32_t other = first[b][group[split->rows[i]]];
                if (other > 0 && leak.rows++ == 0)
                    leak.row_a = other - 1, leak.row_b = split->rows[i];
            }
            if (leak.rows > 0)
                vec_push(a, &out->leaks, leak);
        }
        for (int64_t i = 0; i < split->n; i++) {
            uint32_t *f = &first[s][group[split->rows[i]]];
            out->repeated[s] += *f > 0;
            *f = *f > 0 ? *f : split->rows[i] + 1;
        }
    }
}

void survey_twins(Arena *a, const Dataset *d, const bool *seen, Twins *out) {
    *out = (Twins){.repeated = PUSH(a, int64_t, d->splits.at.n + 1)};
    choose(a, d, seen, out);
    if (out->too_few || d->rows == 0)
        return;
    uint32_t *rows = PUSH(a, uint32_t, d->rows), *group = PUSH(a, uint32_t, d->rows);
    for (uint32_t i = 0; i < d->rows; i++)
        rows[i] = i;
    uint32_t n = out->columns.n;
    uint32_t groups = clean_groups(a, values_of(a, d, out->columns.at, n), n, rows, d->rows, group);
    find_leaks(a, d, group, groups, out);
    VEC(uint32_t) all = {0};
    for (uint32_t i = 0; i < n; i++)
        vec_push(a, &all, out->columns.at[i]);
    for (uint32_t i = 0; i < d->columns.n; i++) {
        if (seen[i] && survey_classes(d, i) > 0)
            vec_push(a, &all, i);
    }
    if (groups == (uint32_t)d->rows || all.n == n)
        return;
    uint32_t *finer = PUSH(a, uint32_t, d->rows);
    clean_groups(a, values_of(a, d, all.at, all.n), all.n, rows, d->rows, finer);
    find_torn(a, d, group, groups, finer, out);
}

/* ---- where from ---- */
const DataFile *survey_origin(const Dataset *d, uint32_t column, uint32_t row, int64_t *in_file) {
    int64_t read = d->as_read != NULL ? d->as_read[row] : row;
    const RecipeColumn *c = declared(d, column);
    Str name = c->source.n > 0 ? c->source : c->name;
    const DataFile *found = NULL;
    for (uint32_t i = 0; i < d->files.n; i++) {
        const DataFile *f = &d->files.at[i];
        if (read < f->first || read >= f->first + f->rows)
            continue;
        if (found == NULL || str_eq(f->column, name))
            found = f;
    }
    *in_file = found != NULL ? read - found->first : read;
    return found;
}
