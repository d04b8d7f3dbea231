/* What rows hold, as numbers: the same wherever their columns lie, so it is taken a part at a time. */
#include "dataset.h"
#include "hash.h"

uint64_t dataset_digest(const Dataset *d, uint32_t column, int64_t first, int64_t end, uint64_t seed) {
    enum { PART = 16 << 20 };
    const DataColumn *c = &d->columns.at[column];
    const char *at = c->at + c->row_bytes * (size_t)first;
    size_t left = c->row_bytes * (size_t)(end - first);
    HashParts h = hash_begin(seed);
    while (left > 0) {
        size_t n = left < PART ? left : PART;
        hash_part(&h, at, n);
        room_used(d->room, n);
        at += n;
        left -= n;
    }
    return hash_end(&h);
}

/* The first row that is left which was read as number `read` or behind it. */
static int64_t left_from(const Dataset *d, int64_t read) {
    if (d->as_read == NULL)
        return read;
    int64_t lo = 0, hi = d->rows;
    while (lo < hi) {
        int64_t middle = (lo + hi) / 2;
        if (d->as_read[middle] < read)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

/* What was read counts; where only formulas remain of it, they do. */
static bool counts(const Dataset *d, const DataFile *f, uint32_t column, bool computed) {
    for (uint32_t i = 0; i < d->recipe->columns.n; i++) {
        const RecipeColumn *c = &d->recipe->columns.at[i];
        if (!str_eq(c->name, d->columns.at[column].name))
            continue;
        Str source = c->source.n > 0 ? c->source : c->name;
        return c->raw ? !computed && (f->column.n == 0 || str_eq(f->column, source)) : computed;
    }
    return false;
}

uint64_t dataset_digest_file(const Dataset *d, const DataFile *f) {
    int64_t first = left_from(d, f->first), end = left_from(d, f->first + f->rows);
    uint64_t h = hash_mix((uint64_t)f->rows, (uint64_t)(end - first));
    bool any = false;
    for (uint32_t computed = 0; computed < 2 && !any; computed++) {
        for (uint32_t i = 0; i < d->columns.n; i++) {
            if (!counts(d, f, i, computed))
                continue;
            any = true;
            h = dataset_digest(d, i, first, end, hash_str(h, d->columns.at[i].name));
        }
    }
    return h;
}
