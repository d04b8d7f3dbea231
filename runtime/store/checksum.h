/* What tells a damaged checkpoint from a whole one. */
#ifndef GRR_STORE_CHECKSUM_H
#define GRR_STORE_CHECKSUM_H
#include "safetensors.h"

#define CHECKSUM_KEY "checksum"

/* Of texts (but for the checksum itself) and tensors, with names, types, shapes and bytes as they are in the file. */
uint64_t checksum_of(const StoreFile *f);
Str      checksum_text(Arena *a, const StoreFile *f);
#endif
