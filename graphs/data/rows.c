/* Rows of doubles, stored as the type that is asked for. */
#include "rows.h"
#include <stdlib.h>
#include <string.h>

typedef void StoreFn(const double *x, int64_t n, void *to, int64_t at);

static void store_f64(const double *x, int64_t n, void *to, int64_t at) {
    memcpy((double *)to + at, x, sizeof *x * (size_t)n);
}

static void store_f32(const double *x, int64_t n, void *to, int64_t at) {
    for (int64_t i = 0; i < n; i++)
        ((float *)to)[at + i] = (float)x[i];
}

static void store_f16(const double *x, int64_t n, void *to, int64_t at) {
    for (int64_t i = 0; i < n; i++)
        ((_Float16 *)to)[at + i] = (_Float16)x[i];
}

static void store_u8(const double *x, int64_t n, void *to, int64_t at) {
    for (int64_t i = 0; i < n; i++)
        ((uint8_t *)to)[at + i] = (uint8_t)x[i];
}

static StoreFn *store_of(const char *type) {
    static const struct { const char *name; StoreFn *store; } types[] = {
        {"f64", store_f64}, {"f32", store_f32}, {"f16", store_f16}, {"u8", store_u8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, type) == 0)
            return types[i].store;
    return NULL;
}

int rows_make(RowFn *row, const void *set, const char *column, const char *type, int64_t items, int64_t first,
              int64_t rows, void *to) {
    StoreFn *store = store_of(type);
    double *x = malloc(sizeof *x * (size_t)items);
    int status = store == NULL || x == NULL;
    for (int64_t i = 0; i < rows && status == 0; i++) {
        if (row(set, first + i, column, items, x))
            store(x, items, to, i * items);
        else
            status = 1;
    }
    free(x);
    return status;
}
