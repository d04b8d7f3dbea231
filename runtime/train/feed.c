/* One loader for each data set, with all columns that any of the entries reads; what an entry does not read is not
 * copied.  So the runs of a phase take batches from one sequence. */
#include "feed.h"
#include "clock.h"
#include <string.h>

/* ---- opening ---- */
static bool add_data(Arena *a, Feeds *f, const Session *s, uint32_t data, int64_t batch) {
    Dataset *d = s->job->data[data];
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->at[i].data == d)
            return false;
    }
    Str prefix = f->n == 0 ? STR("") : str_format(a, "%.*s.", FSTR(d->recipe->name));
    f->at[f->n++] = (Feed){.data = d, .prefix = prefix, .batch = batch};
    return true;
}

static void add_all_data(Session *s, Feeds *f, uint32_t n, const FeedUser *users, const RecipePhase *phase,
                         int64_t batch) {
    uint32_t most = 1;
    for (uint32_t i = 0; i < n; i++)
        most += users[i].objective->more.n;
    f->at = PUSH(f->arena, Feed, most);
    add_data(f->arena, f, s, users[0].objective->data, batch);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < users[i].objective->more.n; k++) {
            const RecipeBatch *more = &users[i].objective->more.at[k];
            add_data(f->arena, f, s, more->data, phase ? recipe_batch(phase, more->data) : more->rows);
        }
    }
}

/* The data set that a column of an entry is of. */
static uint32_t feed_of(const Feeds *f, Str binding) {
    for (uint32_t i = 1; i < f->n; i++) {
        if (str_starts(binding, f->at[i].prefix.s))
            return i;
    }
    return 0;
}

static Str column_of(const Feed *f, Str binding) {
    return (Str){binding.s + f->prefix.n, binding.n - f->prefix.n};
}

static void add_column(Arena *a, Feed *f, Str name) {
    for (uint32_t i = 0; i < f->n_columns; i++) {
        if (str_eq(f->columns[i], name))
            return;
    }
    f->columns[f->n_columns++] = str_copy(a, name);
}

static void add_columns(Session *s, Feeds *f, const PlanEntry *entry) {
    const Plan *plan = exec_plan(s->job->exec);
    for (uint32_t i = entry->first_column; i < entry->first_column + entry->n_columns; i++) {
        Str binding = plan->bindings.at[i].name;
        Feed *feed = &f->at[feed_of(f, binding)];
        add_column(f->arena, feed, column_of(feed, binding));
    }
}

static GrStatus open_loader(Session *s, Arena *a, Feed *f) {
    uint32_t *columns = PUSH(a, uint32_t, f->n_columns + 1);
    f->targets = PUSH(a, void *, f->n_columns + 1);
    for (uint32_t i = 0; i < f->n_columns; i++) {
        int64_t column = dataset_column(f->data, f->columns[i]);
        if (column < 0)
            GR_BUG("an entry reads the column `%.*s`, which was not loaded", FSTR(f->columns[i]));
        columns[i] = (uint32_t)column;
    }
    return loader_create(a, f->data, columns, f->n_columns, f->batch, s->job->load_ahead, &f->loader, s->e);
}

GrStatus feeds_open(Session *s, Arena *a, uint32_t n, const FeedUser *users, Str split, const RecipePhase *phase,
                    int64_t batch, Feeds *out) {
    *out = (Feeds){.arena = a};
    add_all_data(s, out, n, users, phase, batch);
    for (uint32_t i = 0; i < out->n; i++) {
        Feed *f = &out->at[i];
        TRY(dataset_split(f->data, split, &f->split, s->e));
        if (f->split->n == 0)
            return fail(s->e, GR_DATA, "the split `%.*s` of data `%.*s` is empty", FSTR(split),
                        FSTR(f->data->recipe->name));
        f->columns = PUSH(a, Str, f->data->columns.n + 1);
    }
    Feed *first = &out->at[0];
    first->batch = first->split->n < batch ? first->split->n : batch;
    for (uint32_t i = 0; i < n; i++) {
        const PlanEntry *entry;
        TRY(session_entry(s, users[i].entry, first->batch, &entry));
        add_columns(s, out, entry);
    }
    for (uint32_t i = 0; i < out->n; i++)
        TRY(open_loader(s, a, &out->at[i]));
    return GR_OK;
}

void feeds_close(Feeds *f) {
    for (uint32_t i = 0; i < f->n; i++)
        loader_destroy(f->at[i].loader);
    *f = (Feeds){0};
}

int64_t feeds_batches(const Feeds *f) {
    return (f->at[0].split->n + f->at[0].batch - 1) / f->at[0].batch;
}

/* ---- order ---- */
/* One pass; the passes of the data sets of a phase differ. */
static void pass(const Split *s, const FeedShuffle *shuffle, uint32_t i, int64_t number, uint32_t *out) {
    if (shuffle == NULL)
        memcpy(out, s->rows, (size_t)s->n * sizeof *out);
    else
        epoch_order(s, shuffle->buffer, shuffle->seed, shuffle->phase | i << 16, (uint32_t)number, out);
}

static void make_order(Arena *scratch, const Feed *f, uint32_t i, const FeedShuffle *shuffle, int64_t from,
                       int64_t n) {
    int64_t rows = f->split->n;
    uint32_t *whole = PUSH(scratch, uint32_t, rows);
    for (int64_t k = 0; k < n;) {
        int64_t at = (from + k) % rows, count = rows - at < n - k ? rows - at : n - k;
        pass(f->split, shuffle, i, (from + k) / rows, whole);
        memcpy(f->order + k, whole + at, (size_t)count * sizeof *whole);
        k += count;
    }
}

void feeds_begin(Feeds *f, uint32_t i, const FeedShuffle *shuffle, int64_t from, int64_t n, int64_t first) {
    Feed *feed = &f->at[i];
    loader_end(feed->loader);
    if (n > feed->capacity) {
        feed->capacity = n;
        feed->order = PUSH(f->arena, uint32_t, n);
    }
    Arena *scratch = arena_create();
    make_order(scratch, feed, i, shuffle, from, n);
    arena_destroy(scratch);
    loader_begin(feed->loader, feed->order, n, first);
}

void feeds_end(Feeds *f) {
    for (uint32_t i = 0; i < f->n; i++)
        loader_end(f->at[i].loader);
}

/* ---- batches ---- */
int64_t feeds_rows(const Feeds *f) { return loader_rows(f->at[0].loader); }

/* Where the entry takes the column from; NULL: it does not. */
static void *target_of(Session *s, const Feeds *f, uint32_t i, Str column, const PlanEntry *entry) {
    const Plan *plan = exec_plan(s->job->exec);
    const DataColumn *c = &f->at[i].data->columns.at[dataset_column(f->at[i].data, column)];
    for (uint32_t k = entry->first_column; k < entry->first_column + entry->n_columns; k++) {
        const PlanBinding *binding = &plan->bindings.at[k];
        const PlanBuffer *b = &plan->buffers.at[binding->buffer];
        if (feed_of(f, binding->name) != i || !str_eq(column_of(&f->at[i], binding->name), column))
            continue;
        int64_t rows = loader_rows(f->at[i].loader);
        if (b->dtype != c->dtype || b->bytes < (uint64_t)rows * c->row_bytes)
            GR_BUG("column `%.*s` of `%.*s` has another type in the plan than in the data", FSTR(column),
                   FSTR(entry->name));
        return exec_buffer(s->job->exec, binding->buffer);
    }
    return NULL;
}

static bool takes(const Session *s, const Feeds *f, uint32_t i, const RecipeObjective *o) {
    bool found = i == 0;
    for (uint32_t k = 0; k < o->more.n; k++)
        found = found || s->job->data[o->more.at[k].data] == f->at[i].data;
    return found;
}

void feeds_fill(Session *s, Feeds *f, const RecipeObjective *o, const PlanEntry *entry) {
    double before = clock_seconds();
    for (uint32_t i = 0; i < f->n; i++) {
        Feed *feed = &f->at[i];
        if (!takes(s, f, i, o))
            continue;
        for (uint32_t k = 0; k < feed->n_columns; k++)
            feed->targets[k] = target_of(s, f, i, feed->columns[k], entry);
        loader_next(feed->loader, feed->targets);
    }
    s->waited += clock_seconds() - before;
}
