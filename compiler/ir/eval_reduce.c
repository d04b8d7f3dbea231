/* Reductions in the order of semantics 2.  The reduced axes are brought behind the others, in their order,
 * and then taken level by level: a row is the shortest suffix of what is left with 512 elements or more
 * (else all that is left); its result is one element of the next level.  In a row
 *     element r belongs to chunk r / 4096 and lane r % 16; a lane starts from the identity and combines in
 *     increasing r, lanes fold 8, 4, 2, 1 (lane i takes lane i+8, then i+4, ..), chunks fold in neighbours,
 *     level by level, an odd last one going up as it is.
 * Moments carry (count, mean, M2).  A chunk of elements is taken in two passes: mean = sum / count, M2 = sum
 * of (x - mean)^2, both by the rule above.  Two triples merge as (Chan, Golub, LeVeque 1979)
 *     w = nb / n,  d = mean_b - mean_a,  mean = mean_a + d * w,  M2 = (M2a + M2b) + (d * d) * (na * w)
 * every operation rounded, an empty side giving the other; that merge is the `combine` between chunks, and
 * between the elements of the levels above the first. */
#include "eval.h"
#include <math.h>
#include <string.h>

enum { LANES = 16, CHUNK = 4096, MIN_ROW = 512 };

static int64_t chunks_of(int64_t n) { return (n + CHUNK - 1) / CHUNK; }

/* Defines NAME(kind, x, n, parts): one row of n > 0 elements of type T; parts has room for its chunks.
 * T NAME_combine(kind, a, b) and T NAME_identity(kind) are given. */
#define DEFINE_ROW(NAME, T)                                                                                \
    static T NAME(ReduceKind kind, const T *x, int64_t n, T *parts) {                                      \
        int64_t chunks = chunks_of(n);                                                                     \
        for (int64_t c = 0; c < chunks; c++) {                                                             \
            T lane[LANES];                                                                                 \
            for (uint32_t l = 0; l < LANES; l++) {                                                         \
                lane[l] = NAME##_identity(kind);                                                           \
            }                                                                                              \
            for (int64_t r = c * CHUNK; r < n && r < (c + 1) * CHUNK; r++) {                               \
                lane[r % LANES] = NAME##_combine(kind, lane[r % LANES], x[r]);                             \
            }                                                                                              \
            for (uint32_t half = LANES / 2; half > 0; half /= 2) {                                         \
                for (uint32_t l = 0; l < half; l++) {                                                      \
                    lane[l] = NAME##_combine(kind, lane[l], lane[l + half]);                               \
                }                                                                                          \
            }                                                                                              \
            parts[c] = lane[0];                                                                            \
        }                                                                                                  \
        return NAME##_tree(kind, parts, chunks);                                                           \
    }

#define DEFINE_TREE(NAME, T)                                                                               \
    static T NAME##_tree(ReduceKind kind, T *parts, int64_t n) {                                           \
        for (; n > 1; n = (n + 1) / 2) {                                                                   \
            for (int64_t i = 0; i < n / 2; i++) {                                                          \
                parts[i] = NAME##_combine(kind, parts[2 * i], parts[2 * i + 1]);                           \
            }                                                                                              \
            if (n % 2 != 0) {                                                                              \
                parts[n / 2] = parts[n - 1];                                                               \
            }                                                                                              \
        }                                                                                                  \
        return parts[0];                                                                                   \
    }

/* The simple kinds: SUM_ID and the bounds are those of T; U is where T's sums wrap. */
#define DEFINE_SIMPLE(NAME, T, U, SUM_ID, LEAST, MOST)                                                     \
    static T NAME##_identity(ReduceKind kind) {                                                            \
        return kind == REDUCE_SUM ? SUM_ID : kind == REDUCE_MAX ? LEAST : kind == REDUCE_MIN ? MOST        \
             : kind == REDUCE_ANY ? (T)0 : (T)1;                                                           \
    }                                                                                                      \
    static T NAME##_combine(ReduceKind kind, T a, T b) {                                                   \
        switch (kind) {                                                                                    \
        case REDUCE_SUM:  return (T)((U)a + (U)b);                                                         \
        case REDUCE_PROD: return (T)((U)a * (U)b);                                                         \
        case REDUCE_MAX:  return (a >= b) | (a != a) ? a : b;                                              \
        case REDUCE_MIN:  return (a <= b) | (a != a) ? a : b;                                              \
        case REDUCE_ANY:  return (a != 0) | (b != 0);                                                      \
        case REDUCE_ALL:  return (a != 0) & (b != 0);                                                      \
        case REDUCE_ARGMAX: case REDUCE_ARGMIN: case REDUCE_MOMENTS: case REDUCE_COUNT: break;             \
        }                                                                                                  \
        GR_BUG("reduction %d", (int)kind);                                                                 \
    }                                                                                                      \
    DEFINE_TREE(NAME, T)                                                                                   \
    DEFINE_ROW(NAME, T)

DEFINE_SIMPLE(f32_row, float, float, -0.0f, -INFINITY, INFINITY)
DEFINE_SIMPLE(f64_row, double, double, -0.0, -INFINITY, INFINITY)
DEFINE_SIMPLE(i32_row, int32_t, uint32_t, 0, INT32_MIN, INT32_MAX)
DEFINE_SIMPLE(i64_row, int64_t, uint64_t, 0, INT64_MIN, INT64_MAX)
DEFINE_SIMPLE(bool_row, uint8_t, uint32_t, 0, 0, 1)

/* Moments over T with sums by ROW. */
#define DEFINE_MOMENTS(NAME, PART, T, ROW)                                                                 \
    typedef struct { int64_t n; T mean, m2; } PART;                                                        \
    static PART NAME##_identity(ReduceKind kind) { (void)kind; return (PART){0, 0, 0}; }                   \
    static PART NAME##_combine(ReduceKind kind, PART a, PART b) {                                          \
        (void)kind;                                                                                        \
        if (a.n == 0 || b.n == 0) {                                                                        \
            return a.n == 0 ? b : a;                                                                       \
        }                                                                                                  \
        int64_t n = a.n + b.n;                                                                             \
        T w = (T)b.n / (T)n, d = b.mean - a.mean;                                                          \
        return (PART){n, a.mean + d * w, (a.m2 + b.m2) + (d * d) * ((T)a.n * w)};                          \
    }                                                                                                      \
    DEFINE_TREE(NAME, PART)                                                                                \
    DEFINE_ROW(NAME, PART)                                                                                 \
    static PART NAME##_of_chunk(const T *x, int64_t n) {                                                   \
        T part, square[CHUNK];                                                                             \
        T mean = ROW(REDUCE_SUM, x, n, &part) / (T)n;                                                      \
        for (int64_t r = 0; r < n; r++) {                                                                  \
            square[r] = (x[r] - mean) * (x[r] - mean);                                                     \
        }                                                                                                  \
        return (PART){n, mean, ROW(REDUCE_SUM, square, n, &part)};                                         \
    }                                                                                                      \
    static PART NAME##_of_elements(const T *x, int64_t n, PART *parts) {                                   \
        for (int64_t c = 0; c < chunks_of(n); c++) {                                                       \
            int64_t left = n - c * CHUNK;                                                                  \
            parts[c] = NAME##_of_chunk(x + c * CHUNK, left < CHUNK ? left : CHUNK);                        \
        }                                                                                                  \
        return NAME##_tree(REDUCE_MOMENTS, parts, chunks_of(n));                                           \
    }
DEFINE_MOMENTS(moments32_row, Moments32, float, f32_row)
DEFINE_MOMENTS(moments64_row, Moments64, double, f64_row)

/* The axes that are still to be reduced, the last level's rows first. */
typedef struct { uint32_t n; int64_t extent[MAX_RANK]; } Levels;

/* Takes the next row off: its length. */
static int64_t next_row(Levels *l) {
    int64_t row = 1;
    while (l->n > 0 && row < MIN_ROW) {
        row *= l->extent[--l->n];
    }
    return row;
}

#define DEFINE_LEVELS(NAME, T, ROW)                                                                        \
    static void NAME(const Eval *ev, ReduceKind kind, Levels l, T *x, int64_t count) {                     \
        T *parts = PUSH(ev->scratch, T, chunks_of(count));                                                 \
        while (l.n > 0) {                                                                                  \
            int64_t row = next_row(&l);                                                                    \
            count /= row;                                                                                  \
            for (int64_t i = 0; i < count; i++) {                                                          \
                x[i] = ROW(kind, x + i * row, row, parts);                                                 \
            }                                                                                              \
        }                                                                                                  \
    }
DEFINE_LEVELS(f32_levels, float, f32_row)
DEFINE_LEVELS(f64_levels, double, f64_row)
DEFINE_LEVELS(i32_levels, int32_t, i32_row)
DEFINE_LEVELS(i64_levels, int64_t, i64_row)
DEFINE_LEVELS(bool_levels, uint8_t, bool_row)
DEFINE_LEVELS(moments32_levels, Moments32, moments32_row)
DEFINE_LEVELS(moments64_levels, Moments64, moments64_row)

#define DEFINE_ALL_MOMENTS(NAME, T, PART, OF_ROW, LEVELS)                                                  \
    static void NAME(const Eval *ev, Levels l, const T *x, int64_t count, int64_t results, Tensor *out) {  \
        int64_t row = next_row(&l), rows = count / row;                                                    \
        PART *part = PUSH(ev->scratch, PART, rows), *chunk = PUSH(ev->scratch, PART, chunks_of(row));      \
        for (int64_t i = 0; i < rows; i++) {                                                               \
            part[i] = OF_ROW(x + i * row, row, chunk);                                                     \
        }                                                                                                  \
        LEVELS(ev, REDUCE_MOMENTS, l, part, rows);                                                         \
        for (int64_t i = 0; i < results; i++) {                                                            \
            ((T *)out[0].data)[i] = part[i].mean;                                                          \
            ((T *)out[1].data)[i] = part[i].m2;                                                            \
        }                                                                                                  \
    }
DEFINE_ALL_MOMENTS(all_moments32, float, Moments32, moments32_row_of_elements, moments32_levels)
DEFINE_ALL_MOMENTS(all_moments64, double, Moments64, moments64_row_of_elements, moments64_levels)

/* The place of the first extremum, or of the first NaN: the same in whatever order one looks. */
#define DEFINE_PLACE(NAME, T)                                                                              \
    static int32_t NAME(const T *x, int64_t n, bool most) {                                                \
        int64_t best = 0;                                                                                  \
        for (int64_t r = 1; r < n && x[best] == x[best]; r++) {                                            \
            if (x[r] != x[r] || (most ? x[r] > x[best] : x[r] < x[best])) {                                \
                best = r;                                                                                  \
            }                                                                                              \
        }                                                                                                  \
        return (int32_t)best;                                                                              \
    }
DEFINE_PLACE(place_f32, float)
DEFINE_PLACE(place_f64, double)
DEFINE_PLACE(place_i32, int32_t)
DEFINE_PLACE(place_i64, int64_t)

static int32_t place_of(DType t, const char *x, int64_t n, bool most) {
    return t == DT_F32 ? place_f32((const float *)(const void *)x, n, most)
         : t == DT_F64 ? place_f64((const double *)(const void *)x, n, most)
         : t == DT_I32 ? place_i32((const int32_t *)(const void *)x, n, most)
                       : place_i64((const int64_t *)(const void *)x, n, most);
}

static void simple_levels(const Eval *ev, ReduceKind kind, DType t, Levels l, void *x, int64_t count) {
    switch ((int)t) {
    case DT_F32:  f32_levels(ev, kind, l, x, count); return;
    case DT_F64:  f64_levels(ev, kind, l, x, count); return;
    case DT_I32:  i32_levels(ev, kind, l, x, count); return;
    case DT_I64:  i64_levels(ev, kind, l, x, count); return;
    case DT_BOOL: bool_levels(ev, kind, l, x, count); return;
    }
    GR_BUG("%s is not reduced", dtype_name(t));
}

/* An empty sum is +0, not the identity -0; an empty argmax is 0; empty moments are 0 and 0. */
static void reduce_nothing(ReduceKind kind, Tensor *out, uint32_t members) {
    for (uint32_t k = 0; k < members; k++) {
        int64_t n = shape_count(out[k].shape);
        memset(out[k].data, 0, (size_t)n * dtype_bytes(out[k].dtype));
        for (int64_t i = 0; i < n && kind != REDUCE_SUM && kind <= REDUCE_ALL; i++) {
            switch ((int)out[k].dtype) {
            case DT_F32:  ((float *)out[k].data)[i] = f32_row_identity(kind); break;
            case DT_F64:  ((double *)out[k].data)[i] = f64_row_identity(kind); break;
            case DT_I32:  ((int32_t *)out[k].data)[i] = i32_row_identity(kind); break;
            case DT_I64:  ((int64_t *)out[k].data)[i] = i64_row_identity(kind); break;
            case DT_BOOL: ((uint8_t *)out[k].data)[i] = bool_row_identity(kind); break;
            }
        }
    }
}

/* The operand with the reduced axes last, in the order of the list. */
static void *rows_of(const Eval *ev, const Node *n, const Tensor *in, Levels *l) {
    int64_t from[MAX_RANK], stride[MAX_RANK];
    Shape to = {0};
    uint32_t gone = 0;
    shape_strides(in->shape, from);
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) {
        gone |= 1u << n->attr.reduce.at[i];
    }
    for (uint32_t i = 0; i < in->shape.rank; i++) {
        if ((gone >> i & 1) == 0) {
            stride[to.rank] = from[i];
            to.dim[to.rank++] = in->shape.dim[i];
        }
    }
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) {
        stride[to.rank] = from[n->attr.reduce.at[i]];
        l->extent[l->n++] = to.dim[to.rank] = in->shape.dim[n->attr.reduce.at[i]];
        to.rank++;
    }
    uint32_t bytes = dtype_bytes(in->dtype);
    void *rows = arena_push(ev->scratch, (size_t)shape_count(to) * bytes, 8);
    eval_copy_strided(rows, to, in->data, stride, bytes);
    return rows;
}

void eval_reduce(const Eval *ev, const Node *n, const Tensor *in, Tensor *out) {
    ReduceKind kind = n->attr.reduce.kind;
    int64_t count = shape_count(in->shape), results = shape_count(out[0].shape);
    if (count == 0) {
        reduce_nothing(kind, out, kind == REDUCE_MOMENTS ? 2 : 1);
        return;
    }
    Levels l = {0};
    char *rows = rows_of(ev, n, in, &l);
    uint32_t bytes = dtype_bytes(in->dtype);
    if (kind == REDUCE_ARGMAX || kind == REDUCE_ARGMIN) {
        int64_t row = count / results;
        for (int64_t i = 0; i < results; i++) {
            ((int32_t *)out->data)[i] = place_of(in->dtype, rows + i * row * bytes, row, kind == REDUCE_ARGMAX);
        }
    } else if (kind == REDUCE_MOMENTS && in->dtype == DT_F32) {
        all_moments32(ev, l, (const float *)(const void *)rows, count, results, out);
    } else if (kind == REDUCE_MOMENTS) {
        all_moments64(ev, l, (const double *)(const void *)rows, count, results, out);
    } else {
        simple_levels(ev, kind, in->dtype, l, rows, count);
        memcpy(out->data, rows, (size_t)results * bytes);
    }
}
