/* A run as one file: a tar of its folder, compressed by gzip. */
#ifndef GRR_RUNS_PACK_H
#define GRR_RUNS_PACK_H
#include "error.h"

/* Files of data lie in this folder of a pack. */
#define PACK_DATA "files"
typedef struct { Str path, name; } PackFile;                       /* name: in that folder, begins with `/` */
typedef struct { VEC(PackFile) at; uint64_t bytes; } PackFiles;    /* each once */
enum { PACK_DATA_GB = 4 };                                         /* more is refused, written or read */

/* Program, used modules, card, log, metrics, the first weights of a fork and the last ones; as a whole or not
 * at all (atomic.h). */
GrStatus pack_write(Arena *a, Str run, const PackFiles *data, Str file, Error *e);
/* Into a folder that is there.  Nothing in the file is trusted: only files that a run has, only below the
 * folder, and no more bytes than a run of that size may have. */
GrStatus pack_read(Arena *a, Str file, Str folder, Error *e);
#endif
