/* How many rows a split will hold, from what the files say of themselves: nothing is read that `describe` does not
 * read, so a csv, rows that are dropped, and groups are not counted. */
#include "dataset.h"
#include "source.h"

enum { MOST_ROWS = 1 << 22 };

static const FileColumn *used_column(const RecipeData *d, const ReaderFile *f, const FileColumns *have) {
    for (uint32_t i = 0; i < have->at.n; i++) {
        for (uint32_t k = 0; k < d->columns.n + d->inputs.n; k++) {
            const RecipeColumn *c = k < d->columns.n ? &d->columns.at[k] : &d->inputs.at[k - d->columns.n];
            bool wanted = f->column.n ? str_eq(f->column, column_source(c)) : c->used || k >= d->columns.n;
            if (wanted && c->raw && str_eq(have->at.at[i].name, column_source(c)))
                return &have->at.at[i];
        }
    }
    return NULL;
}

/* Files of one argument lie one behind the other; those of the first argument that is used will do. */
static int64_t source_rows(Arena *a, const RecipeData *d, const RecipeSource *s, Error *e) {
    ReaderFiles files = {0};
    Str column = {0};
    int64_t rows = -1;
    if (s->reader == READER_FRESH)
        return s->rows;
    if (s->reader == READER_EXTERN || source_files(a, d, s, &files, e) != GR_OK)
        return -1;
    for (uint32_t i = 0; i < files.n; i++) {
        FileColumns have = {.rows = -1};
        if (rows >= 0 && !str_eq(files.at[i].column, column))
            continue;
        if (reader_of(s->reader)->describe(a, &files.at[i], false, &have, e) != GR_OK)
            return -1;
        const FileColumn *x = used_column(d, &files.at[i], &have);
        if (x == NULL && rows < 0 && files.at[i].column.n)
            continue;
        if (x == NULL || x->shape.rank == 0 || x->shape.dim[0] < 0)
            return -1;
        rows = (rows < 0 ? 0 : rows) + x->shape.dim[0];
        column = files.at[i].column;
    }
    return rows;
}

int64_t dataset_count(Arena *a, const RecipeData *d, Str split) {
    int64_t rows = 0, at = 0;
    Error e = {0};
    int64_t *of = PUSH(a, int64_t, d->sources.n + 1);
    for (uint32_t i = 0; i < d->sources.n; i++) {
        of[i] = source_rows(a, d, &d->sources.at[i], &e);
        if (of[i] < 0 || of[i] > MOST_ROWS - rows)
            return -1;
        rows += of[i];
    }
    for (uint32_t i = 0; i < d->splits.n; i++) {
        if (d->splits.at[i].grouped)
            return -1;
    }
    if (d->rows.n > 0)
        return -1;
    Str *source_of = PUSH(a, Str, rows + 1);
    for (uint32_t i = 0; i < d->sources.n; i++) {
        for (int64_t k = 0; k < of[i]; k++)
            source_of[at++] = d->sources.at[i].split;
    }
    Splits splits;
    if (splits_build(a, d, rows, source_of, NULL, &splits, &e) != GR_OK)
        return -1;
    const Split *s = splits_find(&splits, split);
    return s ? s->n : -1;
}
