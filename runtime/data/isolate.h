/* A reader whose code we do not trust with our process (a large library fed with unknown files, a user's own
 * library) runs in a child: what kills it is a message. */
#ifndef GRR_DATA_ISOLATE_H
#define GRR_DATA_ISOLATE_H
#include "reader.h"

/* `who` ran into it: "the HDF5 library". */
GrStatus isolated_describe(const Reader *r, const char *who, Arena *a, const ReaderFile *f, bool count,
                           FileColumns *out, Error *e);
GrStatus isolated_read(const Reader *r, const char *who, Arena *a, const ReaderFile *f, Sink *sink, Error *e);
#endif
