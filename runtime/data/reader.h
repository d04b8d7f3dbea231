/* What a reader of files is: one function says which columns a file has, one hands over their rows, a block
 * at a time, so that no file has to fit into memory.  Nothing that a file claims is believed before it fits
 * the file; the rows go to a Sink, which holds them against what was declared. */
#ifndef GRR_DATA_READER_H
#define GRR_DATA_READER_H
#include "recipe.h"

/* One file of a source. */
typedef struct {
    const RecipeSource *source;
    Str path;
    Str column;                    /* COLUMNS_BY_ARGUMENT: the name of the argument */
    int32_t folder;                /* number of its folder among those of the source's files, in byte order */
} ReaderFile;

/* shape: of all rows; dim[0], the rows, is -1 where nobody counted; rank 0: one number, no rows. */
typedef struct {
    Str name;
    DType dtype;
    Shape shape;
    bool any_type;                 /* it is read as whatever is declared */
    bool ragged;                   /* rows have each their own length */
    Str problem, help;             /* not empty: it is there, but cannot be read */
} FileColumn;
typedef struct {
    VEC(FileColumn) at;
    bool open;                     /* it has whatever column is asked for */
    int64_t rows;                  /* when no column is used */
} FileColumns;

typedef struct Sink Sink;
struct Sink {
    const RecipeColumn *const *wants;
    uint32_t n_wants;
    /* The next rows of want `want`, one behind the other, elements of type `from`; ragged: lengths of each
     * row. */
    GrStatus (*put)(Sink *s, uint32_t want, DType from, const void *at, int64_t rows, const int32_t *lengths, Error *e);
};
Str      column_source(const RecipeColumn *c);              /* its name in the source */
/* To every want that is the file's column `name`. */
GrStatus sink_put(Sink *s, Str name, DType from, const void *at, int64_t rows, const int32_t *lengths, Error *e);
bool     sink_wants(const Sink *s, Str name);

/* The elements of a shape, -1 when there are more than `most`. */
int64_t  shape_within(Shape s, uint64_t most);
/* An array of known size as blocks of whole rows; no rows where it has no elements. */
typedef struct { int64_t rows, most, row_bytes; } Blocks;
enum { BLOCK_BYTES = 1 << 20 };
Blocks   blocks_of(Shape s, uint32_t element_bytes);

typedef struct {
    /* `count`: rows are to be counted even if that means reading the whole file. */
    GrStatus (*describe)(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e);
    GrStatus (*read)(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e);
} Reader;
const Reader *reader_of(ReaderKind k);                      /* NULL: it reads no files */

#define READER_FUNCTIONS(name) \
    GrStatus name##_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e); \
    GrStatus name##_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e)
READER_FUNCTIONS(idx);
READER_FUNCTIONS(npy);
READER_FUNCTIONS(npz);
READER_FUNCTIONS(csv);
READER_FUNCTIONS(bytes);
READER_FUNCTIONS(lines);
READER_FUNCTIONS(hdf5);
READER_FUNCTIONS(tensors);
READER_FUNCTIONS(images);
READER_FUNCTIONS(extern);
#endif
