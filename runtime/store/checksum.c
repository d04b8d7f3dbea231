/* Tensors are hashed a piece at a time, with the one NaN that is written. */
#include "checksum.h"
#include "hash.h"

enum { PIECE = 4096 };

static uint64_t hash_tensor(uint64_t h, const StoreTensor *t) {
    uint32_t piece[PIECE];
    const float *x = t->at;
    int64_t n = shape_count(t->shape);
    h = hash_mix(hash_str(h, t->name), (uint64_t)t->dtype);
    for (uint32_t i = 0; i < t->shape.rank; i++)
        h = hash_mix(h, (uint64_t)t->shape.dim[i]);
    if (t->dtype != DT_F32)
        return hash_bytes(h, t->at, (size_t)n * dtype_bytes(t->dtype));
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t rest = n - i < PIECE ? n - i : PIECE;
        for (int64_t k = 0; k < rest; k++)
            piece[k] = f32_bits_canonical(x[i + k]);
        h = hash_bytes(h, piece, (size_t)rest * sizeof *piece);
    }
    return h;
}

uint64_t checksum_of(const StoreFile *f) {
    uint64_t h = 1;
    for (uint32_t i = 0; i < f->texts.n; i++) {
        if (!str_is(f->texts.at[i].key, CHECKSUM_KEY))
            h = hash_str(hash_str(h, f->texts.at[i].key), f->texts.at[i].value);
    }
    for (uint32_t i = 0; i < f->tensors.n; i++)
        h = hash_tensor(h, &f->tensors.at[i]);
    return h;
}

Str checksum_text(Arena *a, const StoreFile *f) {
    return str_format(a, "%016llx", (unsigned long long)checksum_of(f));
}
