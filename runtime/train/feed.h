/* Batches for entries, of each data set that the objectives of a phase, or one that is evaluated, take batches of. */
#ifndef GRR_TRAIN_FEED_H
#define GRR_TRAIN_FEED_H
#include "loader.h"
#include "session.h"

typedef struct {
    Dataset *data;
    const Split *split;
    Str prefix;                    /* of its columns in entries: none for the first batch, else "DATA." */
    int64_t batch;
    uint32_t *order;               /* the rows as they come; there is room for `capacity` */
    int64_t capacity;
    Loader *loader;
    uint32_t n_columns;            /* all that one of the entries reads */
    Str *columns;
    void **targets;                /* where they go in this batch; NULL: its entry does not read it */
} Feed;

/* The first one decides how long a pass is, and how many rows the last batch has.  The others go along, always with
 * full batches, and begin again when they are through. */
typedef struct { Arena *arena; uint32_t n; Feed *at; } Feeds;
typedef struct { const RecipeObjective *objective; Str entry; } FeedUser;

/* All entries that will be fed.  phase NULL: for an evaluation, whose first batch is of `batch` rows. */
GrStatus feeds_open(Session *s, Arena *a, uint32_t n, const FeedUser *users, Str split, const RecipePhase *phase,
                    int64_t batch, Feeds *out);
void     feeds_close(Feeds *f);
int64_t  feeds_batches(const Feeds *f);                 /* in a pass */
/* Rows are taken from an endless sequence of passes over the split: each shuffled anew, or (NULL) in its own order. */
typedef struct { int64_t buffer, seed; uint32_t phase; } FeedShuffle;
/* Next come rows from + first .. from + n - 1 of the sequence of data set i. */
void     feeds_begin(Feeds *f, uint32_t i, const FeedShuffle *shuffle, int64_t from, int64_t n, int64_t first);
void     feeds_end(Feeds *f);
int64_t  feeds_rows(const Feeds *f);                    /* of the next batch of the first, 0 at the end */
void     feeds_fill(Session *s, Feeds *f, const RecipeObjective *o, const PlanEntry *entry);
#endif
