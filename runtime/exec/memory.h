/* Memory of one training, straight from the system: zeroed, aligned, on huge pages where the kernel grants
 * them. */
#ifndef GRR_EXEC_MEMORY_H
#define GRR_EXEC_MEMORY_H
#include "error.h"
#include <stdint.h>

typedef struct { char *at; uint64_t bytes; } Memory;      /* bytes: what was asked for; {NULL, 0} is empty */

GrStatus memory_create(uint64_t bytes, Memory *out, Error *e);    /* GR_NOMEM */
void     memory_destroy(Memory *m);
#endif
