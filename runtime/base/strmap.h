/* Numbers by text, as places in a list by the name that stands there. */
#ifndef GR_BASE_STRMAP_H
#define GR_BASE_STRMAP_H
#include "str.h"

typedef struct { Str key; uint32_t value; } StrSlot;
typedef struct { StrSlot *slots; uint32_t n_slots, used; } StrMap;         /* all zeros: empty */
uint32_t strmap_get(const StrMap *m, Str key);                             /* 0: there is none */
/* In place of what was there; 0 takes it out.  The key's bytes have to stay. */
void     strmap_put(Arena *a, StrMap *m, Str key, uint32_t value);
#endif
