/* Opening goes in three steps: every source is read and its columns are held against each other, the columns
 * that the graph "data.NAME" computes are filled block by block, and the rows are split.  What was read lies
 * in an arena of its own until it has been converted into the columns. */
#include "dataset.h"
#include "array.h"
#include "convert.h"
#include <stdio.h>
#include <string.h>

typedef struct {
    Dataset *d;
    const RecipeData *recipe;
    Arena *arena, *scratch;        /* scratch: goes when the set is open */
    Array *arrays;                 /* by file of the recipe; at == NULL: not read */
    int64_t *source_rows;
    VEC(DataColumn) inputs;        /* of the graph, in its order */
    Error *e;
} Opening;

static size_t row_bytes(const RecipeColumn *c) {
    return (size_t)shape_count(c->shape) * dtype_bytes(c->dtype);
}

static const char *type_text(Opening *o, const RecipeColumn *c) {
    Buf b = buf_make(o->scratch);
    buf_printf(&b, "%s", dtype_name(c->dtype));
    if (c->shape.rank > 0)
        buf_shape(&b, c->shape);
    if (c->bound > 0)
        buf_printf(&b, " < %lld", (long long)c->bound);
    return buf_str(&b).s;
}

/* ---- files ---- */
static bool raw_wanted(const Opening *o, Str name) {
    const RecipeData *r = o->recipe;
    for (uint32_t i = 0; i < r->columns.n; i++) {
        if (r->columns.at[i].raw && r->columns.at[i].used && str_eq(r->columns.at[i].name, name))
            return true;
    }
    for (uint32_t i = 0; i < r->inputs.n; i++) {
        if (str_eq(r->inputs.at[i].name, name))
            return true;
    }
    return false;
}

static GrStatus read_file(Opening *o, const RecipeSource *s, uint32_t file) {
    Str path = o->recipe->files.at[file].path;
    switch (s->reader) {
    case READER_IDX: TRY(idx_read(o->scratch, path, &o->arrays[file], o->e)); break;
    case READER_NPY: TRY(npy_read(o->scratch, path, &o->arrays[file], o->e)); break;
    case READER_FRESH: return fail(o->e, GR_DATA, "a fresh source reads no file");
    }
    if (o->arrays[file].shape.rank == 0)
        return fail(o->e, GR_DATA, "%.*s holds one number, not rows", FSTR(path));
    return GR_OK;
}

/* The rows of a source; all columns that were read have to agree on them. */
static GrStatus count_rows(Opening *o, uint32_t source) {
    const RecipeSource *s = &o->recipe->sources.at[source];
    Str first = {0};
    o->source_rows[source] = s->reader == READER_FRESH ? s->rows : -1;
    for (uint32_t f = s->first_file; f < s->first_file + s->n_files; f++) {
        if (o->arrays[f].at == NULL)
            continue;
        int64_t rows = o->arrays[f].shape.dim[0], before = o->source_rows[source];
        if (before >= 0 && rows != before) {
            fail(o->e, GR_DATA, "%.*s has %lld rows, %.*s has %lld", FSTR(o->recipe->files.at[f].path),
                 (long long)rows, FSTR(first), (long long)before);
            fail_help(o->e, "the columns of one source describe the same rows");
            return GR_DATA;
        }
        o->source_rows[source] = rows;
        first = o->recipe->files.at[f].path;
    }
    return GR_OK;
}

/* Only what is used is read; a source of which nothing is used still has to say how many rows it has. */
static GrStatus read_source(Opening *o, uint32_t source) {
    const RecipeSource *s = &o->recipe->sources.at[source];
    bool any = false;
    for (uint32_t f = s->first_file; f < s->first_file + s->n_files; f++) {
        if (!raw_wanted(o, o->recipe->files.at[f].column))
            continue;
        TRY(read_file(o, s, f));
        any = true;
    }
    if (!any && s->n_files > 0)
        TRY(read_file(o, s, s->first_file));
    return count_rows(o, source);
}

static GrStatus read_sources(Opening *o) {
    o->arrays = PUSH(o->scratch, Array, o->recipe->files.n + 1);
    o->source_rows = PUSH(o->scratch, int64_t, o->recipe->sources.n + 1);
    for (uint32_t i = 0; i < o->recipe->sources.n; i++) {
        TRY(read_source(o, i));
        o->d->rows += o->source_rows[i];
        if (o->source_rows[i] > INT32_MAX || o->d->rows > INT32_MAX)
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

static GrStatus refuse_value(Opening *o, Str where, const RecipeColumn *c, int64_t row, int64_t place,
                             DType type, const void *in, int64_t i) {
    Buf value = buf_make(o->scratch);
    convert_print(&value, type, in, i);
    fail(o->e, GR_DATA, "%.*s, row %lld: value %s in `%.*s` (%s), place %lld of the row", FSTR(where),
         (long long)row, buf_str(&value).s, FSTR(c->name), type_text(o, c), (long long)place);
    fail_help(o->e, "rows and places count from 0; mend the data, or the type of `%.*s` in data `%.*s`",
              FSTR(c->name), FSTR(o->recipe->name));
    return GR_DATA;
}

static GrStatus check_shape(Opening *o, const RecipeColumn *c, const Array *x, Str path) {
    Shape row = {.rank = (uint8_t)(x->shape.rank - 1)};
    memcpy(row.dim, x->shape.dim + 1, sizeof *row.dim * row.rank);
    if (shape_eq(row, c->shape))
        return GR_OK;
    Buf have = buf_make(o->scratch);
    buf_shape(&have, x->shape);
    return fail(o->e, GR_DATA, "%.*s holds %s, but a row of `%.*s` is declared %s", FSTR(path),
                buf_str(&have).s, FSTR(c->name), type_text(o, c));
}

static GrStatus fill_raw(Opening *o, const RecipeColumn *c, DataColumn *col) {
    int64_t size = shape_count(c->shape), start = 0;
    for (uint32_t s = 0; s < o->recipe->sources.n; start += o->source_rows[s++]) {
        const RecipeSource *source = &o->recipe->sources.at[s];
        uint32_t f = source->first_file, end = f + source->n_files;
        while (f < end && !str_eq(o->recipe->files.at[f].column, c->name))
            f++;
        if (f == end)
            return fail(o->e, GR_DATA, "data `%.*s`: its source %u has no column `%.*s`",
                        FSTR(o->recipe->name), s + 1, FSTR(c->name));
        const Array *x = &o->arrays[f];
        Str path = o->recipe->files.at[f].path;
        TRY(check_shape(o, c, x, path));
        int64_t n = o->source_rows[s] * size;
        int64_t at = convert_elements(c->dtype, col->at + (size_t)start * col->row_bytes, x->dtype, x->at, n,
                                      c->bound);
        if (at >= 0)
            return refuse_value(o, path, c, at / size, at % size, x->dtype, x->at, at);
    }
    return GR_OK;
}

static GrStatus fill_raw_columns(Opening *o) {
    const RecipeData *r = o->recipe;
    for (uint32_t i = 0; i < r->columns.n; i++) {
        if (!r->columns.at[i].used)
            continue;
        vec_push(o->arena, &o->d->columns, new_column(o->arena, &r->columns.at[i], o->d->rows));
        if (r->columns.at[i].raw)
            TRY(fill_raw(o, &r->columns.at[i], &o->d->columns.at[o->d->columns.n - 1]));
    }
    for (uint32_t i = 0; i < r->inputs.n && r->has_graph; i++) {
        const RecipeColumn *c = &r->inputs.at[i];
        /* Blocks are whole: zeros stand behind the last row. */
        int64_t rows = (o->d->rows + DATA_BLOCK - 1) / DATA_BLOCK * DATA_BLOCK;
        vec_push(o->scratch, &o->inputs, new_column(o->scratch, c, rows));
        TRY(fill_raw(o, c, &o->inputs.at[i]));
    }
    return GR_OK;
}

/* ---- the graph ---- */
typedef struct { const RecipeColumn *recipe; DataColumn *column; } Computed;

static GrStatus take_block(Opening *o, const Computed *c, const DataView *v, int64_t block) {
    int64_t first = block * DATA_BLOCK, rest = o->d->rows - first;
    int64_t rows = rest < DATA_BLOCK ? rest : DATA_BLOCK;
    int64_t size = shape_count(c->recipe->shape);
    char *to = c->column->at + (size_t)first * c->column->row_bytes;
    int64_t at = convert_elements(c->column->dtype, to, v->dtype, v->at, rows * size, c->recipe->bound);
    if (at < 0)
        return GR_OK;
    Str where = str_format(o->scratch, "data `%.*s`", FSTR(o->recipe->name));
    return refuse_value(o, where, c->recipe, first + at / size, at % size, v->dtype, v->at, at);
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
        for (int64_t i = 0; i < o->source_rows[s]; i++)
            source_of[row++] = o->recipe->sources.at[s].split;
    }
    return splits_build(o->arena, o->recipe, o->d->rows, source_of, &o->d->splits, o->e);
}

static GrStatus open_steps(Opening *o, DataCompute *compute, void *user) {
    TRY(read_sources(o));
    TRY(fill_raw_columns(o));
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
