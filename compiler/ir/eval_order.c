/* Operations along the last axis, one element after the other: cumulative sums and their like, linear recurrences,
 * and the order of a row.  Every row is one sequential chain, so there is nothing to choose about its order. */
#include "eval.h"
#include <stdlib.h>
#include <string.h>

static SOp step_of(const Node *n) {
    switch (n->attr.cumulative) {
    case REDUCE_SUM: return S_add;
    case REDUCE_PROD: return S_mul;
    case REDUCE_MAX: return S_max;
    case REDUCE_MIN: return S_min;
    case REDUCE_ANY: case REDUCE_ALL: case REDUCE_ARGMAX: case REDUCE_ARGMIN: case REDUCE_MOMENTS: case REDUCE_COUNT:
        break;
    }
    GR_BUG("no kind of cumulative");
}

static void cumulate(const Node *n, const Tensor *in, Tensor *out, int64_t length) {
    uint32_t bytes = dtype_bytes(out->dtype);
    char *y = out->data;
    const char *x = in->data;
    SOp step = step_of(n);
    for (int64_t i = 0; i < shape_count(out->shape); i++) {
        if (i % length == 0) memcpy(y + i * bytes, x + i * bytes, bytes);
        else scalar_eval(step, out->dtype, out->dtype, 1, y + i * bytes, y + (i - 1) * bytes, x + i * bytes, NULL);
    }
}

static void recur(const Tensor *in, Tensor *out, int64_t length) {
    uint32_t bytes = dtype_bytes(out->dtype);
    char *y = out->data;
    const char *a = in[0].data, *b = in[1].data;
    DType t = out->dtype;
    for (int64_t i = 0; i < shape_count(out->shape); i++) {
        char *to = y + i * bytes;
        if (i % length == 0) {
            memcpy(to, b + i * bytes, bytes);
            continue;
        }
        scalar_eval(S_mul, t, t, 1, to, a + i * bytes, to - bytes, NULL);
        scalar_eval(S_add, t, t, 1, to, to, b + i * bytes, NULL);
    }
}

/* ---- argsort ----
 * A key orders as its number does: the bits of a float with those of negative ones turned round, zeros of both signs
 * alike, NaN behind everything. */
typedef struct { int64_t key; int32_t at; } Keyed;

static int64_t key_of(const Tensor *x, int64_t i) {
    if (x->dtype == DT_I32) return ((const int32_t *)x->data)[i];
    if (x->dtype == DT_I64) return ((const int64_t *)x->data)[i];
    double real = x->dtype == DT_F64 ? ((const double *)x->data)[i] : (double)((const float *)x->data)[i];
    int64_t bits;
    memcpy(&bits, &real, sizeof bits);
    return real != real ? INT64_MAX : bits < 0 ? INT64_MIN - bits : bits;
}

static int by_key(const void *a, const void *b) {
    const Keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static void argsort(const Tensor *in, Tensor *out, int64_t length, Arena *scratch) {
    Keyed *row = PUSH(scratch, Keyed, length);
    for (int64_t i = 0; i < shape_count(out->shape); i += length) {
        for (int64_t k = 0; k < length; k++) row[k] = (Keyed){key_of(in, i + k), (int32_t)k};
        qsort(row, (size_t)length, sizeof *row, by_key);
        for (int64_t k = 0; k < length; k++) ((int32_t *)out->data)[i + k] = row[k].at;
    }
}

void eval_order(const Eval *ev, const Node *n, const Tensor *in, Tensor *out) {
    if (shape_count(n->shape) == 0) return;
    int64_t length = n->shape.dim[n->shape.rank - 1];
    if (n->op == OP_cumulative) cumulate(n, in, out, length);
    else if (n->op == OP_recur) recur(in, out, length);
    else argsort(in, out, length, ev->scratch);
}
