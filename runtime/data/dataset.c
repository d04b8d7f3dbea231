/* Opening a data set: the sources are opened, which tells how many rows there are, and read; rows are cleaned
 * (clean.c) and split; statistics and the other columns are computed (prepare.c), these for the rows that are
 * left only; and what was read is moved together as they are. */
#include "dataset.h"
#include "convert.h"
#include "opening.h"
#include <stdio.h>
#include <string.h>

static size_t row_bytes(const RecipeColumn *c) {
    return (size_t)shape_count(c->shape) * dtype_bytes(c->dtype);
}

/* ---- sources ---- */

/* Bounds, and that reals are numbers, are asked of rows that are left (check_bounds): `drop where` may be there to
 * meet them. */
static void want(Opening *o, const RecipeColumn *c) {
    for (uint32_t i = 0; i < o->wants.n; i++) {
        if (str_eq(o->wants.at[i]->name, c->name))
            return;
    }
    RecipeColumn *copy = PUSH(o->scratch, RecipeColumn, 1);
    *copy = *c;
    if (o->recipe->rows.n > 0) copy->bound = dtype_is_float(c->dtype) ? BOUND_NONE_AT_ALL : 0;
    vec_push(o->scratch, &o->wants, copy);
}

static void list_wants(Opening *o) {
    const RecipeData *r = o->recipe;
    for (uint32_t i = 0; i < r->columns.n; i++) {
        if (r->columns.at[i].raw && r->columns.at[i].used)
            want(o, &r->columns.at[i]);
    }
    for (uint32_t i = 0; i < r->inputs.n; i++)
        want(o, &r->inputs.at[i]);
}

/* Files of one argument lie one behind the other, those of several side by side. */
static void note_files(Opening *o, uint32_t source, int64_t first) {
    const DataSource *s = &o->sources[source];
    for (uint32_t i = 0; i < s->files.n; i++) {
        const ReaderFile *f = &s->files.at[i].file;
        int64_t before = first;
        for (uint32_t k = 0; k < i; k++)
            before += str_eq(s->files.at[k].file.column, f->column) ? s->files.at[k].rows : 0;
        vec_push(o->arena, &o->d->files,
                 ((DataFile){source, f->column, str_copy(o->arena, f->path), before, s->files.at[i].rows}));
    }
}

static GrStatus open_sources(Opening *o) {
    list_wants(o);
    o->sources = PUSH(o->scratch, DataSource, o->recipe->sources.n + 1);
    int64_t *of_source = PUSH(o->arena, int64_t, o->recipe->sources.n + 1);
    o->d->of_source = of_source;
    for (uint32_t i = 0; i < o->recipe->sources.n; i++) {
        DataSource *s = &o->sources[i];
        GrStatus status = source_open(o->scratch, o->recipe, i, o->wants.at, o->wants.n, s, o->e);
        if (status != GR_OK)
            return fail_place(o->e, status, o->recipe->sources.at[i].span);
        of_source[i] = s->rows;
        note_files(o, i, o->rows);
        o->rows += s->rows;
        if (s->rows > INT32_MAX - DATA_BLOCK || o->rows > INT32_MAX - DATA_BLOCK)
            return fail(o->e, GR_DATA, "data `%.*s` has more than %d rows", FSTR(o->recipe->name),
                        INT32_MAX - DATA_BLOCK);
    }
    if (o->rows <= 0)
        return fail(o->e, GR_DATA, "data `%.*s` has no rows", FSTR(o->recipe->name));
    o->d->rows_read = o->rows;
    return GR_OK;
}

/* ---- columns ---- */

/* Blocks are whole: zeros stand behind the last row. */
static GrStatus new_column(Opening *o, Room *room, Arena *a, const RecipeColumn *c, DataColumn *out) {
    *out = (DataColumn){.name = c->name, .dtype = c->dtype, .shape = c->shape, .row_bytes = row_bytes(c)};
    int64_t rows = (o->rows + DATA_BLOCK - 1) / DATA_BLOCK * DATA_BLOCK;
    return room_take(room, a, out->row_bytes * (size_t)rows + 1, &out->at, o->e);
}

static GrStatus make_columns(Opening *o) {
    const RecipeData *r = o->recipe;
    DataColumn c;
    for (uint32_t i = 0; i < r->columns.n; i++) {
        if (!r->columns.at[i].used)
            continue;
        TRY(new_column(o, o->d->room, o->arena, &r->columns.at[i], &c));
        vec_push(o->arena, &o->d->columns, c);
    }
    for (uint32_t i = 0; i < r->inputs.n; i++) {
        int64_t used = dataset_column(o->d, r->inputs.at[i].name);
        if (used >= 0)
            c = o->d->columns.at[used];
        else
            TRY(new_column(o, o->passing, o->scratch, &r->inputs.at[i], &c));
        vec_push(o->scratch, &o->inputs, c);
    }
    return GR_OK;
}

static char *column_of(const Opening *o, Str name) {
    int64_t used = dataset_column(o->d, name);
    for (uint32_t i = 0; used < 0 && i < o->inputs.n; i++) {
        if (str_eq(o->inputs.at[i].name, name))
            return o->inputs.at[i].at;
    }
    GR_ASSERT(used >= 0);
    return o->d->columns.at[used].at;
}

static GrStatus read_sources(Opening *o) {
    char **to = PUSH(o->scratch, char *, o->wants.n + 1);
    for (uint32_t i = 0; i < o->wants.n; i++)
        to[i] = column_of(o, o->wants.at[i]->name);
    for (uint32_t s = 0; s < o->recipe->sources.n; s++) {
        GrStatus status = source_read(&o->sources[s], to, o->d->room, o->e);
        if (status != GR_OK)
            return fail_place(o->e, status, o->recipe->sources.at[s].span);
        for (uint32_t i = 0; i < o->wants.n; i++)
            to[i] += (size_t)o->sources[s].rows * row_bytes(o->wants.at[i]);
    }
    return GR_OK;
}

/* Where a row came from, and its number there; of rows that no file has, the data set. */
static Str origin_of(const Opening *o, const RecipeColumn *c, int64_t *row) {
    for (uint32_t i = 0; i < o->d->files.n; i++) {
        const DataFile *f = &o->d->files.at[i];
        if ((f->column.n > 0 && !str_eq(f->column, c->name)) || *row < f->first || *row >= f->first + f->rows)
            continue;
        *row -= f->first;
        return f->path;
    }
    return str_format(o->scratch, "data `%.*s`", FSTR(o->recipe->name));
}

/* The first value of rows that are left which its bound does not allow, or that is no number. */
static GrStatus check_bound(Opening *o, const RecipeColumn *c) {
    bool asks = dtype_is_float(c->dtype) ? c->bound != BOUND_NONE_AT_ALL : c->bound > 0;
    if (!asks)
        return GR_OK;
    const char *at = column_of(o, c->name);
    int64_t size = shape_count(c->shape);
    char *same = arena_push(o->scratch, row_bytes(c) + 1, BUFFER_ALIGN);
    for (int64_t i = 0; i < o->rows; i++) {
        const char *row = at + (size_t)i * row_bytes(c);
        int64_t bad = o->alive[i] ? convert_elements(c->dtype, same, c->dtype, row, size, c->bound) : -1;
        if (bad < 0)
            continue;
        int64_t place = i;
        Str where = origin_of(o, c, &place);
        column_refuse(o->recipe, c, where, place, bad, c->dtype, row, bad, o->e);
        if (c->bound > 0)
            fail_help(o->e, "`drop where` leaves such rows out; or the bound of `%.*s` is wrong", FSTR(c->name));
        else
            fail_help(o->e, "`drop where %sisnan(%.*s)` leaves such rows out", c->shape.rank ? "any[..] " : "",
                      FSTR(c->name));
        return fail_place(o->e, GR_DATA, c->span);
    }
    return GR_OK;
}

static GrStatus check_bounds(Opening *o) {
    const RecipeData *r = o->recipe;
    for (uint32_t i = 0; i < r->columns.n && r->rows.n > 0; i++) {
        if (r->columns.at[i].raw && r->columns.at[i].used)
            TRY(check_bound(o, &r->columns.at[i]));
    }
    for (uint32_t i = 0; i < r->inputs.n && r->rows.n > 0; i++) {
        if (dataset_column(o->d, r->inputs.at[i].name) < 0)
            TRY(check_bound(o, &r->inputs.at[i]));
    }
    return GR_OK;
}

/* ---- splits ---- */

/* The numbers of the rows that are left. */
static uint32_t *rows_left(Opening *o) {
    uint32_t *left = PUSH(o->scratch, uint32_t, o->rows + 1);
    o->to = PUSH(o->scratch, uint32_t, o->rows + 1);
    o->d->rows = 0;
    for (int64_t i = 0; i < o->rows; i++) {
        o->to[i] = (uint32_t)o->d->rows;
        if (o->alive[i])
            left[o->d->rows++] = (uint32_t)i;
    }
    return left;
}

static Str *split_names(Opening *o) {
    Str *source_of = PUSH(o->scratch, Str, o->rows + 1);
    int64_t row = 0, left = 0;
    for (uint32_t s = 0; s < o->recipe->sources.n; s++) {
        for (int64_t i = 0; i < o->sources[s].rows; i++, row++) {
            if (o->alive[row])
                source_of[left++] = o->recipe->sources.at[s].split;
        }
    }
    return source_of;
}

static GrStatus find_groups(Opening *o, const uint32_t *left, uint32_t **groups) {
    const RecipeData *r = o->recipe;
    for (uint32_t i = 0; i < r->splits.n; i++) {
        RowValues values;
        if (!r->splits.at[i].grouped)
            continue;
        Str stage = str_format(o->scratch, ".groups%u", i);
        TRY(prepare_values(o, stage, &r->splits.at[i].group, 1, &values));
        groups[i] = PUSH(o->scratch, uint32_t, o->d->rows + 1);
        clean_groups(o->scratch, &values, 1, left, o->d->rows, groups[i]);
    }
    return GR_OK;
}

static GrStatus make_splits(Opening *o, const uint32_t *left) {
    uint32_t **groups = PUSH(o->scratch, uint32_t *, o->recipe->splits.n + 1);
    TRY(find_groups(o, left, groups));
    TRY(splits_build(o->arena, o->recipe, o->d->rows, split_names(o), groups, &o->d->splits, o->e));
    o->train = PUSH(o->scratch, bool, o->rows + 1);
    const Split *train = splits_find(&o->d->splits, STR("train"));
    for (int64_t i = 0; train != NULL && i < train->n; i++)
        o->train[left[train->rows[i]]] = true;
    return GR_OK;
}

/* ---- the whole ---- */

static void move_together(Opening *o, const uint32_t *left) {
    if (o->d->rows == o->rows)
        return;
    uint32_t *as_read = PUSH(o->arena, uint32_t, o->d->rows);
    memcpy(as_read, left, (size_t)o->d->rows * sizeof *left);
    o->d->as_read = as_read;
    for (uint32_t i = 0; i < o->d->columns.n; i++) {
        DataColumn *c = &o->d->columns.at[i];
        bool raw = false;
        for (uint32_t k = 0; k < o->wants.n; k++)
            raw = raw || str_eq(o->wants.at[k]->name, c->name);
        for (int64_t k = 0; raw && k < o->d->rows; k++)
            memmove(c->at + (size_t)k * c->row_bytes, c->at + (size_t)left[k] * c->row_bytes, c->row_bytes);
    }
}

static GrStatus open_steps(Opening *o, const DataStatistics *known) {
    TRY(open_sources(o));
    TRY(make_columns(o));
    TRY(read_sources(o));
    TRY(clean_rows(o));
    TRY(check_bounds(o));
    uint32_t *left = rows_left(o);
    if (o->d->rows == 0) {
        fail(o->e, GR_DATA, "data `%.*s`: of %lld rows none is left", FSTR(o->recipe->name), (long long)o->rows);
        fail_help(o->e, "its `drop` clauses, and `ahead` and `window`, drop them all");
        return GR_DATA;
    }
    TRY(make_splits(o, left));
    TRY(prepare_statistics(o, known));
    TRY(prepare_columns(o, o->alive));
    move_together(o, left);
    return GR_OK;
}

GrStatus dataset_open_within(Arena *a, const RecipeData *data, const DataProgram *program, const DataStatistics *known,
                             uint64_t memory, Dataset **out, Error *e) {
    Dataset *d = PUSH(a, Dataset, 1);
    d->recipe = data;
    Opening *o = PUSH(a, Opening, 1);
    *o = (Opening){.d = d, .recipe = data, .program = program, .arena = a, .scratch = arena_create(), .e = e};
    bool renews = data->renews && program != NULL && program->lasts;  /* processes that share files would meet there */
    d->room = room_create(a, renews ? UINT64_MAX : memory);
    o->passing = room_create(o->scratch, renews ? UINT64_MAX : memory);
    GrStatus s = open_steps(o, known);
    room_rest(d->room);
    if (s == GR_OK && renew_possible(o)) {
        d->renewal = o;
    } else {
        room_close(o->passing);
        arena_destroy(o->scratch);
    }
    if (s != GR_OK)
        room_close(d->room);
    *out = s == GR_OK ? d : NULL;
    return s == GR_OK ? s : fail_place(e, s, data->span);
}

GrStatus dataset_open(Arena *a, const RecipeData *data, const DataProgram *program, const DataStatistics *known,
                      Dataset **out, Error *e) {
    return dataset_open_within(a, data, program, known, 0, out, e);
}

void dataset_close(Dataset *d) {
    if (d == NULL)
        return;
    dataset_settle(d);
    room_close(d->room);
}

int64_t dataset_column(const Dataset *d, Str name) {
    for (uint32_t i = 0; i < d->columns.n; i++) {
        if (str_eq(d->columns.at[i].name, name))
            return i;
    }
    return -1;
}

GrStatus dataset_split(const Dataset *d, Str name, const Split **out, Error *e) {
    *out = splits_find(&d->splits, name);
    if (*out != NULL)
        return GR_OK;
    char names[256] = "";
    for (uint32_t i = 0, n = 0; i < d->splits.at.n && n < sizeof names; i++)
        n += (uint32_t)snprintf(names + n, sizeof names - n, "%s%.*s", i == 0 ? "" : ", ",
                                FSTR(d->splits.at.at[i].name));
    return fail(e, GR_DATA, "data `%.*s` has no split `%.*s`; it has %s", FSTR(d->recipe->name), FSTR(name),
                names);
}

void dataset_fill(const Dataset *d, const uint32_t *rows, int64_t n, const DataTarget *targets,
                  uint32_t n_targets) {
    for (uint32_t t = 0; t < n_targets; t++) {
        const DataColumn *c = &d->columns.at[targets[t].column];
        room_gather(d->room, c->at, c->row_bytes, rows, n, targets[t].at);
    }
}
