/* The table of readers, and what they share. */
#include "reader.h"

#define FUNCTIONS(name)                                                                                      \
    { name##_describe, name##_read }
static const Reader k_readers[READER_COUNT] = {
    [READER_IDX] = FUNCTIONS(idx),
    [READER_NPY] = FUNCTIONS(npy),
    [READER_NPZ] = FUNCTIONS(npz),
    [READER_HDF5] = FUNCTIONS(hdf5),
    [READER_SAFETENSORS] = FUNCTIONS(tensors),
    [READER_CSV] = FUNCTIONS(csv),
    [READER_BYTES] = FUNCTIONS(bytes),
    [READER_LINES] = FUNCTIONS(lines),
    [READER_IMAGES] = FUNCTIONS(images),
    [READER_EXTERN] = FUNCTIONS(extern),
};

const Reader *reader_of(ReaderKind k) { return k_readers[k].read == NULL ? NULL : &k_readers[k]; }

Str column_source(const RecipeColumn *c) { return c->source.n > 0 ? c->source : c->name; }

bool sink_wants(const Sink *s, Str name) {
    for (uint32_t i = 0; i < s->n_wants; i++) {
        if (str_eq(column_source(s->wants[i]), name))
            return true;
    }
    return false;
}

GrStatus sink_put(Sink *s, Str name, DType from, const void *at, int64_t rows, const int32_t *lengths,
                  Error *e) {
    for (uint32_t i = 0; i < s->n_wants; i++) {
        if (str_eq(column_source(s->wants[i]), name))
            TRY(s->put(s, i, from, at, rows, lengths, e));
    }
    return GR_OK;
}

int64_t shape_within(Shape s, uint64_t most) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < s.rank; i++) {
        if (s.dim[i] == 0)
            return 0;
    }
    for (uint32_t i = 0; i < s.rank; i++) {
        uint64_t d = (uint64_t)s.dim[i];
        if (n > most / d)
            return -1;
        n *= d;
    }
    return (int64_t)n;
}

Blocks blocks_of(Shape s, uint32_t element_bytes) {
    int64_t n = shape_within(s, INT64_MAX / element_bytes);
    if (n < 0 || s.rank == 0 || s.dim[0] == 0)
        return (Blocks){0};
    int64_t row = n / s.dim[0] * element_bytes; /* 0: rows without elements are rows, too */
    return (Blocks){s.dim[0], row >= BLOCK_BYTES ? 1 : BLOCK_BYTES / (row > 0 ? row : 1), row};
}
