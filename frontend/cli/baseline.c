/* Of share p of the rows, the one label that is always said has precision p and recall 1, so F1 2p / (1 + p); all other
 * labels have 0.  Weighted by how often labels occur that is p times as much, as a plain mean a share of it. */
#include "baseline.h"

enum { LABELS_MOST = 1 << 16 };

static int64_t value_of(const DataColumn *c, const char *row, int64_t i) {
    switch (c->dtype) {
    case DT_U8: case DT_BOOL: return ((const uint8_t *)row)[i];
    case DT_I32: return ((const int32_t *)row)[i];
    case DT_I64: return ((const int64_t *)row)[i];
    case DT_F32: case DT_F64: case DT_BF16: case DT_F16: case DT_COUNT: break;
    }
    return -1;
}

/* How often each label occurs in the split; false: a value is none. */
static bool count_labels(const DataColumn *c, const Split *s, int64_t bound, int64_t *counts) {
    int64_t n = shape_count(c->shape);
    for (int64_t r = 0; r < s->n; r++) {
        const char *row = c->at + (size_t)s->rows[r] * c->row_bytes;
        for (int64_t i = 0; i < n; i++) {
            int64_t v = value_of(c, row, i);
            if (v < 0 || v >= bound) return false;
            counts[v]++;
        }
    }
    return true;
}

static void add_column(Arena *a, Buf *out, const DataColumn *c, const Split *s, int64_t bound) {
    ArenaMark mark = arena_mark(a);
    int64_t *counts = PUSH(a, int64_t, bound), best = 0, all = 0, labels = 0;
    bool counted = count_labels(c, s, bound, counts);
    for (int64_t i = 0; i < bound; i++) {
        best = counts[i] > counts[best] ? i : best;
        labels += counts[i] > 0;
        all += counts[i];
    }
    double p = all > 0 ? (double)counts[best] / (double)all : 0, f1 = 2 * p / (1 + p);
    arena_pop(mark);
    if (!counted || all == 0) return;
    buf_printf(out, "%s%.*s: always %lld is right in %.4g %%, F1 weighted %.4g, macro %.4g", out->n ? "; " : "",
               FSTR(c->name), (long long)best, 100 * p, p * f1, f1 / (double)labels);
}

Str baseline_text(Arena *a, const Recipe *r, Dataset *const *data, const char *split) {
    Arena *scratch = arena_create();
    Buf out = buf_make(a);
    for (uint32_t i = 0; i < r->data.n; i++) {
        const Split *s = splits_find(&data[i]->splits, str_of(split));
        for (uint32_t k = 0; s && k < r->data.at[i].columns.n; k++) {
            const RecipeColumn *x = &r->data.at[i].columns.at[k];
            int64_t column = dataset_column(data[i], x->name), bound = x->dtype == DT_BOOL ? 2 : x->bound;
            if (x->used && column >= 0 && bound > 1 && bound <= LABELS_MOST)
                add_column(scratch, &out, &data[i]->columns.at[column], s, bound);
        }
    }
    arena_destroy(scratch);
    return out.n ? buf_str(&out) : STR("");
}
