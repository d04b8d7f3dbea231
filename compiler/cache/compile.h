/* The code generator as a library that is opened when something has to be compiled. */
#ifndef GRC_CACHE_COMPILE_H
#define GRC_CACHE_COMPILE_H
#include "generator.h"

GrStatus compile_open(const char *path, const Generator **out, Error *e);    /* stays open */
/* where the generator is; the empty string: nowhere */
Str      compile_path(Arena *a, const char *wanted);
uint64_t compile_build(Str path);                           /* which build it is: a hash of the file */

/* Objects of all items, on up to `threads` threads.  group[i] is the object that holds item i. */
typedef struct { uint32_t n; Str *object; uint32_t *group; } Compiled;
GrStatus compile_items(Arena *a, const Generator *g, const GenTarget *t, const GenItem *items, uint32_t n,
                       uint32_t threads, Compiled *out, Error *e);
#endif
