/* The safetensors format: tensors by name with a text dictionary beside them.  Read and written by many
 * programs. */
#ifndef GRR_STORE_SAFETENSORS_H
#define GRR_STORE_SAFETENSORS_H
#include "dtype.h"
#include "error.h"

typedef struct { Str name; DType dtype; Shape shape; const void *at; } StoreTensor;
typedef struct { Str key, value; } StoreText;
typedef struct {
    VEC(StoreTensor) tensors;
    VEC(StoreText) texts;
} StoreFile; /* tensors in the order of their bytes */

/* Atomically (atomic.h), with a `checksum` among the texts (checksum.h); every NaN is written as 7fc00000
 * (semantics 4). */
GrStatus safetensors_write(Arena *scratch, Str path, const StoreFile *file, Error *e);
/* Everything is checked before anything is believed, and the checksum if there is one: GR_IO when it cannot be read,
 * GR_CHECKPOINT when it is not whole, or damaged. */
GrStatus safetensors_read(Arena *a, Str path, StoreFile *out, Error *e);
/* The header alone: at is NULL, the tensors' bytes lie one behind the other from byte *start on, in their order. */
GrStatus safetensors_list(Arena *a, Str path, StoreFile *out, uint64_t *start, Error *e);
const StoreTensor *store_tensor(const StoreFile *f, Str name);                     /* NULL */
const Str         *store_text(const StoreFile *f, const char *key);                /* NULL */
#endif
