/* The graphs of a data set, block by block.  A graph asks for its inputs by name: raw columns, and what only this side
 * knows, as the number of a row, its episode, its split, or the values of a row further on.  Blocks without a row
 * that is left are not computed. */
#include "convert.h"
#include "opening.h"
#include <string.h>

typedef struct { const Opening *o; int64_t block; } Reading;

static int64_t first_row(int64_t block) { return block * DATA_BLOCK; }

static int64_t rows_of(const Opening *o, int64_t block) {
    int64_t rest = o->rows - first_row(block);
    return rest < DATA_BLOCK ? rest : DATA_BLOCK;
}

/* ---- inputs ---- */

static void copy_numbers(const Reading *r, const int32_t *from, int32_t *to) {
    int64_t n = rows_of(r->o, r->block);
    memset(to, 0, DATA_BLOCK * sizeof *to);
    for (int64_t i = 0; i < n; i++)
        to[i] = from == NULL ? (int32_t)(first_row(r->block) + i) : from[first_row(r->block) + i];
}

static void copy_members(const Reading *r, const bool *of, uint8_t *to) {
    int64_t n = rows_of(r->o, r->block), first = first_row(r->block);
    memset(to, 0, DATA_BLOCK);
    for (int64_t i = 0; i < n; i++)
        to[i] = r->o->alive[first + i] && (of == NULL || of[first + i]);
}

/* Rows that are left have all the rows they ask for. */
static void gather(const Reading *r, uint32_t step, char *to) {
    const Opening *o = r->o;
    const RecipeRows *s = &o->recipe->rows.at[step];
    const RecipeColumn *c = &s->values.at[0];
    size_t bytes = (size_t)shape_count(c->shape) * dtype_bytes(c->dtype), all = bytes * (size_t)s->count;
    int64_t n = rows_of(o, r->block);
    memset(to, 0, all * DATA_BLOCK);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = first_row(r->block) + i;
        if (o->alive[row])
            memcpy(to + (size_t)i * all, o->gathered[step] + (size_t)(row + s->offset) * bytes, all);
    }
}

static void read_input(const void *reader, Str name, void *to) {
    const Reading *r = reader;
    const Opening *o = r->o;
    if (str_is(name, "#row")) {
        copy_numbers(r, NULL, to);
    } else if (str_is(name, "#episode")) {
        copy_numbers(r, o->episode, to);
    } else if (str_is(name, "#length")) {
        copy_numbers(r, o->length, to);
    } else if (str_is(name, "#rows") || str_is(name, "#train")) {
        copy_members(r, str_is(name, "#rows") ? NULL : o->train, to);
    } else if (str_starts(name, "#ahead")) {
        uint32_t step = 0;
        for (uint32_t i = 6; i < name.n; i++)
            step = step * 10 + (uint32_t)(name.s[i] - '0');
        gather(r, step, to);
    } else {
        for (uint32_t i = 0; i < o->inputs.n; i++) {
            const DataColumn *c = &o->inputs.at[i];
            if (!str_eq(c->name, name))
                continue;
            memcpy(to, c->at + (size_t)first_row(r->block) * c->row_bytes, c->row_bytes * DATA_BLOCK);
            room_used(o->d->room, c->row_bytes * DATA_BLOCK);
            room_used(o->passing, c->row_bytes * DATA_BLOCK);
        }
    }
}

static GrStatus run(Opening *o, Str stage, int64_t block, DataView *out, uint32_t n) {
    GR_ASSERT(o->program != NULL);
    Reading r = {o, block};
    DataRequest request = {stage, block, o->epoch, read_input, &r};
    return o->program->run(o->program->user, o->recipe, &request, out, n, o->e);
}

static bool any(const Opening *o, const bool *rows, int64_t block) {
    return memchr(rows + first_row(block), true, (size_t)rows_of(o, block)) != NULL;
}

/* ---- values of rows ---- */

static const DataColumn *raw_input(const Opening *o, Str name) {
    for (uint32_t i = 0; i < o->inputs.n; i++) {
        if (str_eq(o->inputs.at[i].name, name))
            return &o->inputs.at[i];
    }
    GR_BUG("the raw column `%.*s` was not read", FSTR(name));
}

GrStatus prepare_values(Opening *o, Str stage, const RecipeColumn *columns, uint32_t n, RowValues *out) {
    DataView *views = PUSH(o->scratch, DataView, n + 1);
    char **to = PUSH(o->scratch, char *, n + 1);
    uint32_t *of = PUSH(o->scratch, uint32_t, n + 1), computed = 0;
    for (uint32_t i = 0; i < n; i++) {
        const RecipeColumn *c = &columns[i];
        out[i].row_bytes = (size_t)shape_count(c->shape) * dtype_bytes(c->dtype);
        if (c->raw) {
            out[i].at = raw_input(o, c->name)->at;
            continue;
        }
        TRY(room_take(o->passing, o->scratch, out[i].row_bytes * (size_t)o->rows + 1, &to[computed], o->e));
        views[computed].name = c->name;
        out[i].at = to[computed];
        of[computed++] = i;
    }
    for (int64_t block = 0; computed > 0 && first_row(block) < o->rows; block++) {
        if (!any(o, o->there, block))
            continue;
        TRY(run(o, stage, block, views, computed));
        for (uint32_t k = 0; k < computed; k++) {
            size_t bytes = out[of[k]].row_bytes;
            memcpy(to[k] + (size_t)first_row(block) * bytes, views[k].at, bytes * (size_t)rows_of(o, block));
            room_used(o->passing, bytes * (size_t)rows_of(o, block));
        }
    }
    return GR_OK;
}

/* ---- statistics ---- */

static void keep_statistic(Opening *o, const RecipeStatistic *s, const void *at) {
    DataStatistic *out = &o->d->statistics.at[o->d->statistics.n];
    size_t bytes = (size_t)shape_count(s->shape) * dtype_bytes(s->dtype);
    char *copy = arena_push(o->arena, bytes + 1, BUFFER_ALIGN);
    memcpy(copy, at, bytes);
    *out = (DataStatistic){s->path, s->dtype, s->shape, copy};
    o->d->statistics.n++;
}

static GrStatus level(Opening *o, uint32_t number) {
    const RecipeData *r = o->recipe;
    DataView *views = PUSH(o->scratch, DataView, r->statistics.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->statistics.n; i++) {
        if (r->statistics.at[i].used && r->statistics.at[i].level == number)
            views[n++].name = r->statistics.at[i].path;
    }
    if (n == 0)
        return GR_OK;
    Str part = str_format(o->scratch, ".part%u", number), finish = str_format(o->scratch, ".finish%u", number);
    for (int64_t block = 0; first_row(block) < o->rows; block++) {
        if (any(o, o->alive, block))
            TRY(run(o, part, block, NULL, 0));
    }
    TRY(run(o, finish, 0, views, n));
    for (uint32_t i = 0, k = 0; i < r->statistics.n; i++) {
        if (r->statistics.at[i].used && r->statistics.at[i].level == number)
            keep_statistic(o, &r->statistics.at[i], views[k++].at);
    }
    return GR_OK;
}

/* Those of a trained model are what they were; a missing one was not used then. */
static GrStatus take_known(Opening *o, const DataStatistics *known) {
    const RecipeData *r = o->recipe;
    for (uint32_t i = 0; i < r->statistics.n; i++) {
        const RecipeStatistic *s = &r->statistics.at[i];
        uint32_t k = 0;
        while (k < known->n && !str_eq(known->at[k].path, s->path))
            k++;
        if (!s->used)
            continue;
        if (k == known->n || known->at[k].dtype != s->dtype || !shape_eq(known->at[k].shape, s->shape)) {
            fail(o->e, GR_CHANGED, "the trained model has no statistic `%.*s` as this program computes it",
                 FSTR(s->path));
            fail_help(o->e, "it was trained with another `data %.*s`", FSTR(r->name));
            return GR_CHANGED;
        }
        keep_statistic(o, s, known->at[k].at);
    }
    return GR_OK;
}

GrStatus prepare_statistics(Opening *o, const DataStatistics *known) {
    const RecipeData *r = o->recipe;
    uint32_t levels = 0, used = 0;
    for (uint32_t i = 0; i < r->statistics.n; i++) {
        used += r->statistics.at[i].used;
        if (r->statistics.at[i].used && r->statistics.at[i].level >= levels)
            levels = r->statistics.at[i].level + 1;
    }
    o->d->statistics.at = PUSH(o->arena, DataStatistic, used + 1);
    if (known != NULL)
        return take_known(o, known);
    if (used > 0)
        TRY(run(o, STR(".begin"), 0, NULL, 0));
    for (uint32_t i = 0; i < levels; i++)
        TRY(level(o, i));
    return GR_OK;
}

/* ---- columns ---- */

typedef struct { const RecipeColumn *recipe; DataColumn *column; } Computed;

/* The rows from `first` to `last` - 1 of the block, which follow each other among those that are left too. */
static GrStatus take_rows(Opening *o, const Computed *c, const DataView *v, int64_t block, int64_t first,
                          int64_t last) {
    int64_t size = shape_count(c->recipe->shape), row = first_row(block) + first;
    const char *in = (const char *)v->at + (size_t)(first * size) * dtype_bytes(v->dtype);
    char *to = c->column->at + (size_t)o->to[row] * c->column->row_bytes;
    int64_t at = convert_elements(c->column->dtype, to, v->dtype, in, (last - first) * size, c->recipe->bound);
    if (at < 0)
        return GR_OK;
    Str where = str_format(o->scratch, "data `%.*s`", FSTR(o->recipe->name));
    GrStatus status = column_refuse(o->recipe, c->recipe, where, row + at / size, at % size, v->dtype, in, at, o->e);
    return fail_place(o->e, status, c->recipe->span);
}

static GrStatus take_block(Opening *o, const Computed *c, const DataView *v, int64_t block, const bool *rows) {
    const bool *wanted = rows + first_row(block);
    int64_t n = rows_of(o, block);
    for (int64_t i = 0; i < n;) {
        int64_t first = i;
        while (i < n && wanted[i] == wanted[first])
            i++;
        if (wanted[first])
            TRY(take_rows(o, c, v, block, first, i));
    }
    return GR_OK;
}

static size_t bytes_of_block(const Opening *o) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < o->d->columns.n; i++)
        bytes += o->d->columns.at[i].row_bytes * DATA_BLOCK;
    return bytes;
}

GrStatus prepare_columns(Opening *o, const bool *rows) {
    VEC(Computed) computed = {0};
    for (uint32_t i = 0; i < o->recipe->columns.n; i++) {
        const RecipeColumn *c = &o->recipe->columns.at[i];
        if (c->used && !c->raw)
            vec_push(o->scratch, &computed, ((Computed){c, &o->d->columns.at[dataset_column(o->d, c->name)]}));
    }
    DataView *out = PUSH(o->scratch, DataView, computed.n + 1);
    for (uint32_t i = 0; i < computed.n; i++)
        out[i].name = computed.at[i].recipe->name;
    for (int64_t block = 0; computed.n > 0 && first_row(block) < o->rows; block++) {
        if (!any(o, rows, block))
            continue;
        TRY(run(o, STR(""), block, out, computed.n));
        for (uint32_t i = 0; i < computed.n; i++)
            TRY(take_block(o, &computed.at[i], &out[i], block, rows));
        room_used(o->d->room, bytes_of_block(o));
    }
    return GR_OK;
}
