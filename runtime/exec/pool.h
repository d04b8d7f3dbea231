/* A pool of threads for regions of a few microseconds: a fork and a join together take less than one. */
#ifndef GRR_EXEC_POOL_H
#define GRR_EXEC_POOL_H
#include "error.h"
#include <stdint.h>

typedef struct Pool Pool;
typedef void PoolFn(void *work, uint32_t chunk, uint32_t thread);   /* thread: 0 is the caller of pool_run */

/* `threads` counts the caller.  Workers run with FTZ+DAZ, each on a processor of its own when there are
 * enough. */
GrStatus pool_create(Arena *a, uint32_t threads, Pool **out, Error *e);
void     pool_destroy(Pool *p);                                     /* NULL is fine */
uint32_t pool_threads(const Pool *p);
/* Calls fn for chunks 0 .. chunks-1, each once, on any thread in any order, and returns when all are done.
 * One thread at a time. */
void     pool_run(Pool *p, PoolFn *fn, void *work, uint32_t chunks);
/* Around a series of pool_run: the calling thread keeps to its processor, and is free again afterwards. */
void     pool_enter(Pool *p);
void     pool_leave(Pool *p);
#endif
