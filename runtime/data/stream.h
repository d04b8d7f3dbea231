/* Bytes of a file in their order, plain or out of gzip, and how many there can be at most. */
#ifndef GRR_DATA_STREAM_H
#define GRR_DATA_STREAM_H
#include "error.h"
#include <stdbool.h>
#include <zlib.h>

/* A byte of deflate makes at most so many. */
enum { DEFLATE_MOST = 1032 };

typedef struct {
    Str path;
    uint64_t size;                 /* of the file */
    uint64_t most;                 /* bytes that can come out of it */
    bool exact;                    /* it is just so many */
    gzFile gz;
    struct zip_file *entry;        /* of a zip; instead of gz */
    Error *e;
} Stream;

/* A regular file that can be read; the messages of all readers for the others. */
GrStatus file_check(Arena *a, Str path, uint64_t *size, Error *e);
GrStatus stream_open(Arena *a, Str path, Stream *out, Error *e);
void     stream_close(Stream *s);
/* At most n, 0 at the end; *got < n only there. */
GrStatus stream_some(Stream *s, void *to, uint64_t n, uint64_t *got);
/* Exactly n; `what` is cut short if not. */
GrStatus stream_all(Stream *s, void *to, uint64_t n, const char *what);
/* Nothing follows. */
GrStatus stream_end(Stream *s);
#endif
