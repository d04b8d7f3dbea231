/* One row of semantics 2.  The kinds that are one scalar operation (sum, product, extrema, any, all) run
 * sixteen lanes at once through scalar_eval; argmax and argmin have the same answer in any order; moments
 * take two sweeps over a chunk and merge by the formula of Chan, Golub and LeVeque (1979). */
#include "rows.h"
#include <math.h>
#include <string.h>

SOp reduce_op(ReduceKind k) {
    switch (k) {
    case REDUCE_SUM: return S_add;
    case REDUCE_PROD: return S_mul;
    case REDUCE_MAX: return S_max;
    case REDUCE_MIN: return S_min;
    case REDUCE_ANY: return S_or;
    case REDUCE_ALL: return S_and;
    case REDUCE_ARGMAX: case REDUCE_ARGMIN: case REDUCE_MOMENTS: case REDUCE_COUNT: break;
    }
    GR_BUG("reduction %d is not one operation", (int)k);
}

static Scalar scalar_of(DType type, double f, int64_t i) {
    switch (type) {
    case DT_F32: return (Scalar){.f = (float)f};
    case DT_F64: return (Scalar){.d = f};
    case DT_I32: return (Scalar){.i = (int32_t)i};
    case DT_I64: return (Scalar){.l = i};
    case DT_BOOL: return (Scalar){.b = i != 0};
    case DT_BF16: case DT_F16: case DT_U8: case DT_COUNT: break;
    }
    GR_BUG("a reduction of %d", (int)type);
}

Scalar reduce_identity(ReduceKind k, DType type) {
    bool small = type == DT_I32;
    switch (k) {
    case REDUCE_SUM: return scalar_of(type, -0.0, 0);
    case REDUCE_PROD: return scalar_of(type, 1, 1);
    case REDUCE_MAX: return scalar_of(type, -INFINITY, small ? INT32_MIN : INT64_MIN);
    case REDUCE_MIN: return scalar_of(type, INFINITY, small ? INT32_MAX : INT64_MAX);
    case REDUCE_ANY: return scalar_of(type, 0, 0);
    case REDUCE_ALL: return scalar_of(type, 0, 1);
    case REDUCE_ARGMAX: case REDUCE_ARGMIN: case REDUCE_MOMENTS: case REDUCE_COUNT: break;
    }
    GR_BUG("reduction %d has no identity", (int)k);
}

Row row_create(Arena *a) { return (Row){.arena = a, .chunk = PUSH(a, Scalar, CHUNK)}; }

void row_begin(Row *r, ReduceKind kind, DType type) {
    r->kind = kind;
    r->type = type;
    r->n = 0;
    r->parts.n = 0;
}

/* ---- a chunk ---- */
/* lanes[i] = lanes[i] op lanes[i + 8], then 4, 2, 1. */
static void fold_lanes(SOp op, DType type, void *lanes) {
    for (uint32_t half = LANES / 2; half > 0; half /= 2)
        scalar_eval(op, type, type, half, lanes, lanes, (char *)lanes + half * dtype_bytes(type), NULL);
}

static Scalar lane_fold(ReduceKind kind, DType type, uint32_t n, const void *values) {
    _Alignas(64) Scalar lanes[LANES];
    Scalar identity = reduce_identity(kind, type), result = {0};
    SOp op = reduce_op(kind);
    uint32_t bytes = dtype_bytes(type);
    scalar_eval(S_const, type, type, LANES, lanes, &identity, NULL, NULL);
    for (uint32_t at = 0; at < n; at += LANES)
        scalar_eval(op, type, type, n - at < LANES ? n - at : LANES, lanes, lanes,
                    (const char *)values + at * bytes, NULL);
    fold_lanes(op, type, lanes);
    memcpy(&result, lanes, bytes);
    return result;
}

static Part chunk_moments(uint32_t n, const float *x) {
    float deviation[CHUNK];
    float mean = lane_fold(REDUCE_SUM, DT_F32, n, x).f / (float)n;
    for (uint32_t i = 0; i < n; i++)
        deviation[i] = (x[i] - mean) * (x[i] - mean);
    return (Part){.value = {.f = mean}, .m2 = lane_fold(REDUCE_SUM, DT_F32, n, deviation).f, .n = n};
}

static Part merge_moments(Part x, Part y) {
    if (x.n == 0 || y.n == 0)
        return x.n == 0 ? y : x;
    float nx = (float)x.n, ny = (float)y.n, n = (float)(x.n + y.n);
    float delta = y.value.f - x.value.f;
    float mean = x.value.f + delta * (ny / n);
    float m2 = (x.m2 + y.m2) + (delta * delta) * (nx * (ny / n));
    return (Part){.value = {.f = mean}, .m2 = m2, .n = x.n + y.n};
}

static double value_at(DType type, const void *values, uint32_t i) {
    return type == DT_F32 ? (double)((const float *)values)[i] : (double)((const int32_t *)values)[i];
}

/* Does y, which stands later, win over x? */
static bool wins(ReduceKind kind, double y, double x) {
    return !isnan(x) && (isnan(y) || (kind == REDUCE_ARGMAX ? y > x : y < x));
}

static Part chunk_arg(const Row *r, uint32_t n, int64_t first) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (wins(r->kind, value_at(r->type, r->chunk, i), value_at(r->type, r->chunk, best)))
            best = i;
    }
    return (Part){.value = {.d = value_at(r->type, r->chunk, best)}, .at = first + best};
}

static void finish_chunk(Row *r) {
    uint32_t n = (uint32_t)((r->n - 1) % CHUNK) + 1;
    Part part;
    if (r->kind == REDUCE_MOMENTS)
        part = chunk_moments(n, r->chunk);
    else if (r->kind == REDUCE_ARGMAX || r->kind == REDUCE_ARGMIN)
        part = chunk_arg(r, n, r->n - n);
    else
        part = (Part){.value = lane_fold(r->kind, r->type, n, r->chunk)};
    vec_push(r->arena, &r->parts, part);
}

void row_push(Row *r, uint32_t n, const void *values) {
    uint32_t bytes = dtype_bytes(r->type);
    while (n > 0) {
        uint32_t filled = (uint32_t)(r->n % CHUNK), take = n < CHUNK - filled ? n : CHUNK - filled;
        memcpy((char *)r->chunk + filled * bytes, values, (size_t)take * bytes);
        r->n += take;
        n -= take;
        values = (const char *)values + (size_t)take * bytes;
        if (r->n % CHUNK == 0)
            finish_chunk(r);
    }
}

void row_push_lanes(Row *r, void *lanes) {
    Part part = {0};
    fold_lanes(reduce_op(r->kind), r->type, lanes);
    memcpy(&part.value, lanes, dtype_bytes(r->type));
    vec_push(r->arena, &r->parts, part);
}

/* ---- the tree ---- */
static Part merge(const Row *r, Part x, Part y) {
    if (r->kind == REDUCE_MOMENTS)
        return merge_moments(x, y);
    if (r->kind == REDUCE_ARGMAX || r->kind == REDUCE_ARGMIN)
        return wins(r->kind, y.value.d, x.value.d) ? y : x;
    Part both = {0};
    scalar_eval(reduce_op(r->kind), r->type, r->type, 1, &both.value, &x.value, &y.value, NULL);
    return both;
}

static Part of_nothing(const Row *r) {
    if (r->kind == REDUCE_MOMENTS || r->kind == REDUCE_ARGMAX || r->kind == REDUCE_ARGMIN ||
        r->kind == REDUCE_SUM)
        return (Part){0};
    return (Part){.value = reduce_identity(r->kind, r->type)};
}

Part row_end(Row *r) {
    if (r->n % CHUNK != 0)
        finish_chunk(r);
    if (r->parts.n == 0)
        return of_nothing(r);
    for (uint32_t n = r->parts.n; n > 1; n = (n + 1) / 2) {
        for (uint32_t i = 0; i < n / 2; i++)
            r->parts.at[i] = merge(r, r->parts.at[2 * i], r->parts.at[2 * i + 1]);
        if (n % 2 == 1)
            r->parts.at[n / 2] = r->parts.at[n - 1];
    }
    return r->parts.at[0];
}
