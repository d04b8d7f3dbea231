/* A run as one file: a tar of its folder, compressed by gzip. */
#ifndef GRR_RUNS_PACK_H
#define GRR_RUNS_PACK_H
#include "error.h"

/* Program, used modules, card, log, metrics, the first weights of a fork and the last ones; as a whole or not
 * at all (atomic.h). */
GrStatus pack_write(Arena *a, Str run, Str file, Error *e);
/* Into a folder that is there.  Nothing in the file is trusted: only files that a run has, only below the
 * folder, and no more bytes than a run of that size may have. */
GrStatus pack_read(Arena *a, Str file, Str folder, Error *e);
#endif
