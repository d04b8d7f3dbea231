/* Opening goes in four steps: the sources are opened, which tells how many rows there are; they are read
 * into the columns and into the inputs of the graph "data.NAME"; that graph computes the other columns block
 * by block; and the rows are split. */
#include "dataset.h"
#include "convert.h"
#include "source.h"
#include <stdio.h>
#include <string.h>

typedef struct {
    Dataset *d;
    const RecipeData *recipe;
    Arena *arena, *scratch;          /* scratch: goes when the set is open */
    VEC(const RecipeColumn *) wants; /* of the files: raw columns that are used, then inputs of the graph */
    DataSource *sources;             /* by source of the recipe */
    VEC(DataColumn) inputs;          /* of the graph, in its order */
    Error *e;
} Opening;

static size_t row_bytes(const RecipeColumn *c) {
    return (size_t)shape_count(c->shape) * dtype_bytes(c->dtype);
}

/* ---- sources ---- */
static void list_wants(Opening *o) {
    const RecipeData *r = o->recipe;
    for (uint32_t i = 0; i < r->columns.n; i++) {
        if (r->columns.at[i].raw && r->columns.at[i].used)
            vec_push(o->scratch, &o->wants, &r->columns.at[i]);
    }
    for (uint32_t i = 0; i < r->inputs.n && r->has_graph; i++)
        vec_push(o->scratch, &o->wants, &r->inputs.at[i]);
}

static GrStatus open_sources(Opening *o) {
    list_wants(o);
    o->sources = PUSH(o->scratch, DataSource, o->recipe->sources.n + 1);
    for (uint32_t i = 0; i < o->recipe->sources.n; i++) {
        DataSource *s = &o->sources[i];
        TRY(source_open(o->scratch, o->recipe, i, o->wants.at, o->wants.n, s, o->e));
        o->d->rows += s->rows;
        if (s->rows > INT32_MAX || o->d->rows > INT32_MAX)
            return fail(o->e, GR_DATA, "data `%.*s` has more than %d rows", FSTR(o->recipe->name), INT32_MAX);
    }
    if (o->d->rows <= 0)
        return fail(o->e, GR_DATA, "data `%.*s` has no rows", FSTR(o->recipe->name));
    return GR_OK;
}

/* ---- columns ---- */
static DataColumn new_column(Arena *a, const RecipeColumn *c, int64_t rows) {
    DataColumn col = {.name = c->name, .dtype = c->dtype, .shape = c->shape, .row_bytes = row_bytes(c)};
    col.at = arena_push(a, col.row_bytes * (size_t)rows + 1, BUFFER_ALIGN);
    return col;
}

static void make_columns(Opening *o) {
    const RecipeData *r = o->recipe;
    for (uint32_t i = 0; i < r->columns.n; i++) {
        if (r->columns.at[i].used)
            vec_push(o->arena, &o->d->columns, new_column(o->arena, &r->columns.at[i], o->d->rows));
    }
    /* Blocks are whole: zeros stand behind the last row. */
    int64_t rows = (o->d->rows + DATA_BLOCK - 1) / DATA_BLOCK * DATA_BLOCK;
    for (uint32_t i = 0; i < r->inputs.n && r->has_graph; i++)
        vec_push(o->scratch, &o->inputs, new_column(o->scratch, &r->inputs.at[i], rows));
}

static GrStatus read_sources(Opening *o) {
    char **to = PUSH(o->scratch, char *, o->wants.n + 1);
    uint32_t first_input = o->wants.n - o->inputs.n;
    for (uint32_t i = 0; i < o->wants.n; i++)
        to[i] = i < first_input ? o->d->columns.at[dataset_column(o->d, o->wants.at[i]->name)].at
                                : o->inputs.at[i - first_input].at;
    for (uint32_t s = 0; s < o->recipe->sources.n; s++) {
        TRY(source_read(&o->sources[s], to, o->e));
        for (uint32_t i = 0; i < o->wants.n; i++)
            to[i] += (size_t)o->sources[s].rows * row_bytes(o->wants.at[i]);
    }
    return GR_OK;
}

/* ---- the graph ---- */
typedef struct {
    const RecipeColumn *recipe;
    DataColumn *column;
} Computed;

static GrStatus take_block(Opening *o, const Computed *c, const DataView *v, int64_t block) {
    int64_t first = block * DATA_BLOCK, rest = o->d->rows - first;
    int64_t rows = rest < DATA_BLOCK ? rest : DATA_BLOCK;
    int64_t size = shape_count(c->recipe->shape);
    char *to = c->column->at + (size_t)first * c->column->row_bytes;
    int64_t at = convert_elements(c->column->dtype, to, v->dtype, v->at, rows * size, c->recipe->bound);
    if (at < 0)
        return GR_OK;
    Str where = str_format(o->scratch, "data `%.*s`", FSTR(o->recipe->name));
    return column_refuse(o->recipe, c->recipe, where, first + at / size, at % size, v->dtype, v->at, at,
                         o->e);
}

static GrStatus compute_columns(Opening *o, DataCompute *compute, void *user) {
    VEC(Computed) computed = {0};
    for (uint32_t i = 0; i < o->recipe->columns.n; i++) {
        const RecipeColumn *c = &o->recipe->columns.at[i];
        if (c->used && !c->raw)
            vec_push(o->scratch, &computed, (Computed){c, &o->d->columns.at[dataset_column(o->d, c->name)]});
    }
    if (computed.n == 0)
        return GR_OK;
    GR_ASSERT(compute != NULL);
    DataView *in = PUSH(o->scratch, DataView, o->inputs.n + 1), *out = PUSH(o->scratch, DataView, computed.n);
    for (int64_t block = 0; block * DATA_BLOCK < o->d->rows; block++) {
        for (uint32_t i = 0; i < o->inputs.n; i++) {
            const DataColumn *c = &o->inputs.at[i];
            in[i] = (DataView){c->name, c->dtype, c->at + (size_t)(block * DATA_BLOCK) * c->row_bytes};
        }
        for (uint32_t i = 0; i < computed.n; i++)
            out[i] = (DataView){.name = computed.at[i].recipe->name, .dtype = computed.at[i].recipe->dtype};
        TRY(compute(user, o->recipe, block, in, o->inputs.n, out, computed.n, o->e));
        for (uint32_t i = 0; i < computed.n; i++)
            TRY(take_block(o, &computed.at[i], &out[i], block));
    }
    return GR_OK;
}

/* ---- the whole ---- */
static GrStatus make_splits(Opening *o) {
    Str *source_of = PUSH(o->scratch, Str, o->d->rows);
    int64_t row = 0;
    for (uint32_t s = 0; s < o->recipe->sources.n; s++) {
        for (int64_t i = 0; i < o->sources[s].rows; i++)
            source_of[row++] = o->recipe->sources.at[s].split;
    }
    return splits_build(o->arena, o->recipe, o->d->rows, source_of, &o->d->splits, o->e);
}

static GrStatus open_steps(Opening *o, DataCompute *compute, void *user) {
    TRY(open_sources(o));
    make_columns(o);
    TRY(read_sources(o));
    TRY(compute_columns(o, compute, user));
    return make_splits(o);
}

GrStatus dataset_open(Arena *a, const RecipeData *data, DataCompute *compute, void *user, Dataset **out,
                      Error *e) {
    Dataset *d = PUSH(a, Dataset, 1);
    d->recipe = data;
    Opening o = {.d = d, .recipe = data, .arena = a, .scratch = arena_create(), .e = e};
    GrStatus s = open_steps(&o, compute, user);
    arena_destroy(o.scratch);
    *out = s == GR_OK ? d : NULL;
    return s;
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
        char *to = targets[t].at;
        for (int64_t i = 0; i < n; i++, to += c->row_bytes)
            memcpy(to, c->at + (size_t)rows[i] * c->row_bytes, c->row_bytes);
    }
}
