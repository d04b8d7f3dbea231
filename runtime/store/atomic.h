/* Files that are there as a whole or not at all: written under another name in the same folder, synced, then
 * renamed. */
#ifndef GRR_STORE_ATOMIC_H
#define GRR_STORE_ATOMIC_H
#include "error.h"

typedef struct { int fd; Str path, part; GrStatus status; Error *e; } AtomicFile;

/* After the first failure the calls after it do nothing but return it; finish or discard ends the writing in
 * any case. */
GrStatus atomic_begin(Arena *a, Str path, AtomicFile *f, Error *e);
GrStatus atomic_put(AtomicFile *f, const void *bytes, size_t n);
/* What was put is on the disk: of several files none should get its name before that. */
GrStatus atomic_sync(AtomicFile *f);
GrStatus atomic_finish(AtomicFile *f);
void     atomic_discard(AtomicFile *f);
GrStatus atomic_write_text(Arena *a, Str path, Str text, Error *e);
#endif
