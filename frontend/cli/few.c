/* Cutting down splits.  The rows are those of the first epoch's first batches, so that labels in order do no harm; each
 * epoch shuffles them anew, as it would the whole split. */
#include "few.h"
#include <stdlib.h>
#include <string.h>

/* How a data set is taken: the largest batch, and the phase and place that shuffles it. */
typedef struct { int64_t rows, buffer, seed; uint32_t stream; } Taken;

static void take(Taken *t, const RecipePhase *p, uint32_t phase, uint32_t place, int64_t rows) {
    if (rows > t->rows) *t = (Taken){rows, p->buffer, p->seed, phase | place << 16};
}

static Taken taken_of(const Recipe *r, uint32_t data) {
    Taken t = {0};
    for (uint32_t i = 0; i < r->phases.n; i++) {
        const RecipePhase *p = &r->phases.at[i];
        for (uint32_t k = 0; k < p->runs.n; k++) {
            const RecipeObjective *o = &r->objectives.at[p->runs.at[k].objective];
            if (o->data == data) take(&t, p, i, 0, p->batch);
            for (uint32_t m = 0; m < o->more.n; m++)
                if (o->more.at[m].data == data) take(&t, p, i, m + 1, recipe_batch(p, data));
        }
    }
    return t;
}

static int compare_rows(const void *x, const void *y) {
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

static Split *split_named(Dataset *d, const char *name) {
    for (uint32_t i = 0; i < d->splits.at.n; i++)
        if (str_is(d->splits.at.at[i].name, name)) return &d->splits.at.at[i];
    return NULL;
}

static void cut_train(Arena *a, Split *s, const Taken *t, int64_t batches) {
    uint32_t *order = PUSH(a, uint32_t, s->n + 1);
    epoch_order(s, t->buffer, t->seed, t->stream, 0, order);
    if (s->n > batches * t->rows) s->n = batches * t->rows;
    qsort(order, (size_t)s->n, sizeof *order, compare_rows);
    s->rows = order;
}

void few_batches(Job *j, int64_t batches, FewValidate validate) {
    for (uint32_t i = 0; i < j->s->recipe->data.n; i++) {
        Taken t = taken_of(j->s->recipe, i);
        Split *train = split_named(j->data[i], "train"), *val = split_named(j->data[i], "val");
        if (t.rows == 0) continue;
        if (train) cut_train(j->s->arena, train, &t, batches);
        if (!val) continue;
        if (validate == FEW_VALIDATE_FIRST && val->n > t.rows) val->n = t.rows;
        if (validate == FEW_VALIDATE_TRAINED && train) val->n = train->n, val->rows = train->rows;
    }
}
