/* A ring of slots.  The thread fills all that are free and sleeps until half of them are: it wakes up once in
 * a few batches, so that it takes little from the threads that compute.  Batch i always lies in slot i mod
 * SLOTS and holds the same rows as without the thread, where the batch is gathered straight to its place. */
#include "loader.h"
#include <pthread.h>
#include <string.h>

enum { SLOTS = 8 };

struct Loader {
    const Dataset *data;
    uint32_t *columns, n_columns;
    int64_t batch;
    const uint32_t *order;
    int64_t n, first;                    /* first: the row batch 0 starts at */
    int64_t taken;                       /* batches handed out */

    bool ahead;
    void **slots[SLOTS];                 /* by column */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more_room, more_filled;
    int64_t filled;                      /* batches gathered; under the lock, as taken is when ahead */
    bool busy, stop;                     /* busy: the thread is reading the order */
};

static int64_t batches(const Loader *l) { return (l->n - l->first + l->batch - 1) / l->batch; }

static int64_t rows_of(const Loader *l, int64_t i) {
    int64_t start = l->first + i * l->batch, rest = l->n - start;
    return rest <= 0 ? 0 : rest < l->batch ? rest : l->batch;
}

static const uint32_t *order_of(const Loader *l, int64_t i) { return l->order + l->first + i * l->batch; }

static void gather(const Loader *l, const uint32_t *rows, int64_t n, void *const *to) {
    for (uint32_t c = 0; c < l->n_columns; c++) {
        if (to[c] != NULL)
            dataset_fill(l->data, rows, n, &(DataTarget){l->columns[c], to[c]}, 1);
    }
}

static bool has_work(const Loader *l) { return l->filled < batches(l) && l->filled - l->taken < SLOTS; }
static bool worth_waking(const Loader *l) {
    return l->filled < batches(l) && l->filled - l->taken <= SLOTS / 2;
}

static void *loader_main(void *arg) {
    Loader *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (!has_work(l)) {
            pthread_cond_wait(&l->more_room, &l->lock);
            continue;
        }
        const uint32_t *rows = order_of(l, l->filled);
        int64_t n = rows_of(l, l->filled);
        void *const *slot = l->slots[l->filled % SLOTS];
        l->busy = true;
        pthread_mutex_unlock(&l->lock);
        gather(l, rows, n, slot);
        pthread_mutex_lock(&l->lock);
        l->busy = false;
        l->filled++;
        pthread_cond_signal(&l->more_filled);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static GrStatus start_thread(Arena *a, Loader *l, Error *e) {
    for (uint32_t s = 0; s < SLOTS; s++) {
        l->slots[s] = PUSH(a, void *, l->n_columns + 1);
        for (uint32_t c = 0; c < l->n_columns; c++)
            l->slots[s][c] =
                arena_push(a, l->data->columns.at[l->columns[c]].row_bytes * (size_t)l->batch + 1, 64);
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more_room, NULL);
    pthread_cond_init(&l->more_filled, NULL);
    if (pthread_create(&l->thread, NULL, loader_main, l) != 0)
        return fail(e, GR_NOMEM, "the thread that prepares batches could not be started");
    l->ahead = true;
    return GR_OK;
}

GrStatus loader_create(Arena *a, const Dataset *d, const uint32_t *columns, uint32_t n_columns, int64_t batch,
                       bool ahead, Loader **out, Error *e) {
    Loader *l = PUSH(a, Loader, 1);
    GR_ASSERT(batch > 0);
    l->data = d;
    l->batch = batch;
    l->n_columns = n_columns;
    l->columns = PUSH(a, uint32_t, n_columns + 1);
    for (uint32_t i = 0; i < n_columns; i++)
        l->columns[i] = columns[i];
    *out = NULL;
    if (ahead)
        TRY(start_thread(a, l, e));
    *out = l;
    return GR_OK;
}

void loader_destroy(Loader *l) {
    if (l == NULL || !l->ahead)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->more_room);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->more_filled);
    pthread_cond_destroy(&l->more_room);
    pthread_mutex_destroy(&l->lock);
}

static void set_order(Loader *l, const uint32_t *order, int64_t n, int64_t first) {
    l->order = order;
    l->n = n;
    l->first = first;
    l->taken = l->filled = 0;
}

void loader_end(Loader *l) {
    if (!l->ahead) {
        set_order(l, NULL, 0, 0);
        return;
    }
    pthread_mutex_lock(&l->lock);
    set_order(l, NULL, 0, 0);
    while (l->busy)
        pthread_cond_wait(&l->more_filled, &l->lock);
    l->filled = 0;                                 /* the batch that was on its way */
    pthread_mutex_unlock(&l->lock);
}

void loader_begin(Loader *l, const uint32_t *order, int64_t n, int64_t first) {
    loader_end(l);
    if (!l->ahead) {
        set_order(l, order, n, first);
        return;
    }
    pthread_mutex_lock(&l->lock);
    set_order(l, order, n, first);
    pthread_cond_signal(&l->more_room);
    pthread_mutex_unlock(&l->lock);
}

static void copy_out(const Loader *l, int64_t i, void *const *targets) {
    for (uint32_t c = 0; c < l->n_columns; c++) {
        if (targets[c] != NULL)
            memcpy(targets[c], l->slots[i % SLOTS][c],
                   l->data->columns.at[l->columns[c]].row_bytes * (size_t)rows_of(l, i));
    }
}

int64_t loader_rows(const Loader *l) { return rows_of(l, l->taken); }

int64_t loader_next(Loader *l, void *const *targets) {
    int64_t i = l->taken, rows = rows_of(l, i);
    if (rows == 0)
        return 0;
    if (!l->ahead) {
        gather(l, order_of(l, i), rows, targets);
        l->taken++;
        return rows;
    }
    pthread_mutex_lock(&l->lock);
    while (l->filled <= i)
        pthread_cond_wait(&l->more_filled, &l->lock);
    pthread_mutex_unlock(&l->lock);
    copy_out(l, i, targets);
    pthread_mutex_lock(&l->lock);
    l->taken++;
    if (worth_waking(l))
        pthread_cond_signal(&l->more_room);
    pthread_mutex_unlock(&l->lock);
    return rows;
}
