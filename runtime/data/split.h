/* Which rows a split holds, and in which order an epoch visits them. */
#ifndef GRR_DATA_SPLIT_H
#define GRR_DATA_SPLIT_H
#include "recipe.h"

typedef struct { Str name; uint32_t *rows; int64_t n; } Split;        /* rows in ascending order */
typedef struct { VEC(Split) at; } Splits;

/* `source_of[i]` is the `as` name of the source that row i came from ("": none); group[s][i] the number of what row i
 * belongs to, numbered by their first rows, for a split s that keeps groups together. */
GrStatus splits_build(Arena *a, const RecipeData *data, int64_t rows, const Str *source_of,
                      uint32_t *const *group, Splits *out, Error *e);
const Split *splits_find(const Splits *s, Str name);                  /* NULL */

/* Shuffles n items in place: Fisher and Yates from the last place down; place i changes with floor(r (i + 1)
 * / 2^64), where r is the next 64 bits (low word first) of the Philox blocks 0, 1, .. of key (seed, stream)
 * and counter (block, 0, a, b). */
void permute(uint32_t *items, int64_t n, int64_t seed, uint32_t stream, uint32_t a, uint32_t b);
/* The rows of a split as epoch `epoch` of phase `phase` visits them: a permutation, each row once.  buffer 0: all
 * permutations; else rows come in their own order into a buffer of so many, and leave it at random. */
void epoch_order(const Split *s, int64_t buffer, int64_t seed, uint32_t phase, uint32_t epoch, uint32_t *out);
#endif
