/* The cache on disk: a private folder of shared objects, each holding the kernels of one compilation, and
 * one small file a kernel that says where it is. */
#ifndef GRC_CACHE_STORE_H
#define GRC_CACHE_STORE_H
#include "error.h"

typedef struct Store Store;
typedef struct { uint64_t key; const char *symbol; } StoreItem;
/* NULL when it cannot be used safely */
Store *store_open(Arena *a, const char *dir, uint64_t bound_bytes);
void  *store_find(Store *s, uint64_t key);                              /* NULL: not there */
/* failures are silent: a miss next time */
void   store_put(const Store *s, Str object, const StoreItem *items, uint32_t n);
/* the functions found go; NULL is fine */
void   store_close(Store *s);
#endif
