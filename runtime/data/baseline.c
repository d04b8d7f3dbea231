/* What a constant answer scores: the most frequent value of a column of labels.  Only that column is read, and only
 * of files that say beforehand that it is small. */
#include "dataset.h"
#include <math.h>

enum { MOST_ELEMENTS = 1 << 22, MOST_CLASSES = 1 << 10 };

static bool cheap(Arena *a, const RecipeData *d, const RecipeColumn *c, Str split) {
    int64_t rows = dataset_count(a, d, split), of_row = shape_count(c->shape);
    bool files = of_row > 0;
    for (uint32_t i = 0; i < d->sources.n; i++)
        files = files && d->sources.at[i].reader != READER_EXTERN && d->sources.at[i].reader != READER_FRESH;
    return files && rows > 0 && rows <= MOST_ELEMENTS / of_row && c->raw && !c->cut && !c->ragged && !c->lengths &&
           c->bound > 1 && c->bound <= MOST_CLASSES && c->dtype == DT_U8;
}

bool dataset_baseline(Arena *a, const RecipeData *d, uint32_t column, Str split, DataBaseline *out) {
    const RecipeColumn *c = &d->columns.at[column];
    if (!cheap(a, d, c, split))
        return false;
    RecipeData one = *d;
    RecipeColumn label = *c;
    Dataset *data;
    const Split *s;
    Error e = {0};
    label.used = true;
    one.columns.at = &label;
    one.columns.n = one.columns.cap = 1;
    one.inputs.n = one.statistics.n = 0;
    one.has_graph = false;
    if (dataset_open(a, &one, NULL, NULL, &data, &e) != GR_OK || dataset_split(data, split, &s, &e) != GR_OK)
        return false;
    int64_t *count = PUSH(a, int64_t, c->bound), of_row = shape_count(c->shape), total = s->n * of_row;
    for (int64_t i = 0; i < total; i++) {
        uint8_t x = ((const uint8_t *)data->columns.at[0].at)[s->rows[i / of_row] * of_row + i % of_row];
        count[x]++;
    }
    *out = (DataBaseline){0};
    for (int64_t k = 0; k < c->bound && total > 0; k++) {
        double share = (double)count[k] / (double)total;
        out->entropy -= share > 0 ? share * log(share) : 0;
        if (share > out->share)
            *out = (DataBaseline){k, share, out->entropy};
    }
    return total > 0;
}
