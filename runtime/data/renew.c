/* Rows of `fresh` in `train` are other ones in each epoch: the graphs that made them run again, with the number of the
 * epoch in the counter of their draws, and write over the rows of the epoch before.  Which rows there are, how they
 * are split, and statistics stay what the first epoch made them; so do rows of files and of other splits. */
#include "opening.h"
#include <string.h>

bool renew_possible(Opening *o) {
    if (!o->recipe->renews || o->program == NULL || !o->program->lasts || o->wants.n > 0)
        return false;
    bool any = false;
    int64_t row = 0;
    o->renewed = PUSH(o->scratch, bool, o->rows + 1);
    for (uint32_t s = 0; s < o->recipe->sources.n; s++) {
        bool fresh = o->recipe->sources.at[s].reader == READER_FRESH;
        for (int64_t end = row + o->sources[s].rows; row < end; row++) {
            o->renewed[row] = fresh && o->train[row];
            any = any || o->renewed[row];
        }
    }
    return any;
}

GrStatus dataset_renew(Dataset *d, int64_t epoch, Error *e) {
    Opening *o = d->renewal;
    if (o == NULL || o->epoch == epoch)
        return GR_OK;
    ArenaMark mark = arena_mark(o->scratch);
    o->epoch = epoch;
    o->e = e;
    GrStatus status = clean_gather(o);
    if (status == GR_OK)
        status = prepare_columns(o, o->renewed);
    arena_pop(mark);
    return status;
}

void dataset_settle(Dataset *d) {
    if (d->renewal == NULL)
        return;
    room_close(d->renewal->passing);
    arena_destroy(d->renewal->scratch);
    d->renewal = NULL;
}
