/* One 64-bit hash for keys, streams and checksums; not for adversaries.  The same in all versions and on all machines:
 * its values are in files. */
#ifndef GR_BASE_HASH_H
#define GR_BASE_HASH_H
#include "str.h"
uint64_t hash_bytes(uint64_t seed, const void *p, size_t n);
/* The same in parts, each but the last of a multiple of 8 bytes. */
typedef struct { uint64_t hash, bytes; } HashParts;
HashParts hash_begin(uint64_t seed);
void      hash_part(HashParts *h, const void *p, size_t n);
uint64_t  hash_end(const HashParts *h);
static inline uint64_t hash_str(uint64_t seed, Str s) { return hash_bytes(seed, s.s, s.n); }
uint64_t hash_mix(uint64_t a, uint64_t b);
#endif
