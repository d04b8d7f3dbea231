/* A source opened: its files found, described and held against the columns that are wanted of it. */
#ifndef GRR_DATA_SOURCE_H
#define GRR_DATA_SOURCE_H
#include "reader.h"
#include "room.h"

typedef VEC(ReaderFile) ReaderFiles;
typedef struct { ReaderFile file; int64_t rows; } SourceFile;
typedef struct {
    const RecipeData *data;
    const RecipeSource *recipe;
    const RecipeColumn *const *wants;
    uint32_t n_wants;
    VEC(SourceFile) files;         /* that hold wanted columns */
    int64_t rows;
} DataSource;

/* The files that the paths of a source stand for, in byte order; a pattern that nothing matches is an error. */
GrStatus source_files(Arena *a, const RecipeData *d, const RecipeSource *s, ReaderFiles *out, Error *e);
/* Of a path that begins with `/`: where it is in a folder of packed files, below which it stays. */
Str source_packed_path(Arena *a, Str path);
/* Every file is described, every wanted column is there with its shape, all agree on the rows. */
GrStatus source_open(Arena *a, const RecipeData *d, uint32_t source, const RecipeColumn *const *wants,
                     uint32_t n_wants, DataSource *out, Error *e);
/* to[i]: where the rows of want i go, in places of the room. */
GrStatus source_read(const DataSource *s, char *const *to, Room *room, Error *e);

/* DataProbe: the first file of each path. */
GrStatus source_probe(Arena *a, const RecipeData *d, uint32_t source, RecipeProbe *out, Error *e);

Str      column_type_text(Arena *a, const RecipeColumn *c);           /* "u8[2,2] < 5" */
/* Element i of `in` is row `row`, place `place` of the row, and does not fit. */
GrStatus column_refuse(const RecipeData *d, const RecipeColumn *c, Str where, int64_t row, int64_t place, DType type,
                       const void *in, int64_t i, Error *e);
#endif
