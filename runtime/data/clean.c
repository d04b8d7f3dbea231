/* The steps of a recipe that decide which rows are left, in text order.  Rows keep their numbers; a row that goes is
 * marked.  Equal values are found by a hash and then held against each other byte by byte. */
#include "hash.h"
#include "opening.h"
#include <string.h>

/* ---- equal values ---- */

static uint64_t hash_row(const RowValues *values, uint32_t n, uint32_t row) {
    uint64_t h = 0;
    for (uint32_t i = 0; i < n; i++)
        h = hash_bytes(h, values[i].at + (size_t)row * values[i].row_bytes, values[i].row_bytes);
    return h;
}

static bool same_row(const RowValues *values, uint32_t n, uint32_t x, uint32_t y) {
    for (uint32_t i = 0; i < n; i++) {
        size_t bytes = values[i].row_bytes;
        if (memcmp(values[i].at + (size_t)x * bytes, values[i].at + (size_t)y * bytes, bytes) != 0)
            return false;
    }
    return true;
}

typedef struct { uint64_t hash; uint32_t row, group; bool taken; } Slot;

uint32_t clean_groups(Arena *a, const RowValues *values, uint32_t n_values, const uint32_t *rows, int64_t n,
                      uint32_t *group) {
    ArenaMark mark = arena_mark(a);
    size_t size = 16;
    while (size < (size_t)n * 2)
        size *= 2;
    Slot *slots = PUSH(a, Slot, size);
    uint32_t groups = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t h = hash_row(values, n_values, rows[i]);
        size_t at = h & (size - 1);
        while (slots[at].taken && (slots[at].hash != h || !same_row(values, n_values, slots[at].row, rows[i])))
            at = (at + 1) & (size - 1);
        if (!slots[at].taken)
            slots[at] = (Slot){h, rows[i], groups++, true};
        group[i] = slots[at].group;
    }
    arena_pop(mark);
    return groups;
}

static void drop(Opening *o, int64_t row) { o->alive[row] = o->there[row] = false; }

static void drop_duplicates(Opening *o, const RowValues *values, uint32_t n) {
    uint32_t *rows = PUSH(o->scratch, uint32_t, o->rows + 1), *group = PUSH(o->scratch, uint32_t, o->rows + 1);
    int64_t left = 0;
    for (int64_t i = 0; i < o->rows; i++) {
        if (o->alive[i])
            rows[left++] = (uint32_t)i;
    }
    clean_groups(o->scratch, values, n, rows, left, group);
    for (int64_t i = 0, seen = 0; i < left; i++) {
        if (group[i] == seen)                           /* groups are numbered by their first rows */
            seen++;
        else
            drop(o, rows[i]);
    }
}

/* ---- episodes ---- */

/* Where a file begins.  The files of a source follow each other, unless each gives other columns of the same rows. */
static bool *file_begins(const Opening *o) {
    bool *begins = PUSH(o->scratch, bool, o->rows + 1);
    int64_t first = 0;
    for (uint32_t s = 0; s < o->recipe->sources.n; s++) {
        const DataSource *source = &o->sources[s];
        int64_t sum = 0;
        for (uint32_t k = 0; k < source->files.n; k++)
            sum += source->files.at[k].rows;
        begins[first] = true;
        for (uint32_t k = 0, at = 0; sum == source->rows && k < source->files.n; k++) {
            begins[first + at] = true;
            at += (uint32_t)source->files.at[k].rows;
        }
        first += source->rows;
    }
    return begins;
}

/* Rows that follow each other up to the end of a file, or to one that ends an episode (`ends`, may be NULL). */
static void find_episodes(Opening *o, const char *ends) {
    const bool *begins = file_begins(o);
    int32_t number = -1;
    int64_t start = 0;
    for (int64_t i = 0; i < o->rows; i++) {
        if (begins[i] || (i > 0 && ends != NULL && ends[i - 1])) {
            start = i;
            number++;
        }
        o->episode[i] = number;
        o->place[i] = (int32_t)(i - start);
    }
    for (int64_t i = 0; i < o->rows;) {
        int64_t first = i;
        int32_t left = 0;
        for (; i < o->rows && o->episode[i] == o->episode[first]; i++)
            left += o->alive[i];
        for (int64_t k = first; k < i; k++)
            o->length[k] = left;
    }
}

/* ---- steps ---- */

static void drop_where(Opening *o, const char *goes) {
    for (int64_t i = 0; i < o->rows; i++) {
        if (o->alive[i] && goes[i])
            drop(o, i);
    }
}

static bool all_there(const Opening *o, const RecipeRows *s, const bool *there, int64_t row) {
    int64_t first = row + s->offset, last = first + s->count - 1;
    if (o->place[row] % s->every != 0 || first < 0 || last >= o->rows)
        return false;
    for (int64_t i = first; i <= last; i++) {
        if (!there[i] || o->episode[i] != o->episode[row])
            return false;
    }
    return true;
}

static void drop_without(Opening *o, const RecipeRows *s) {
    bool *there = PUSH(o->scratch, bool, o->rows + 1);
    memcpy(there, s->nested ? o->alive : o->there, (size_t)o->rows * sizeof *there);
    for (int64_t i = 0; i < o->rows; i++)
        o->alive[i] = o->alive[i] && all_there(o, s, there, i);
}

static GrStatus step(Opening *o, uint32_t k) {
    const RecipeRows *s = &o->recipe->rows.at[k];
    RowValues *values = PUSH(o->scratch, RowValues, s->values.n + 1);
    TRY(prepare_values(o, str_format(o->scratch, ".rows%u", k), s->values.at, s->values.n, values));
    switch (s->kind) {
    case ROWS_DROP_WHERE:
    case ROWS_DROP_EPISODES: drop_where(o, values[0].at); break;
    case ROWS_DROP_DUPLICATES: drop_duplicates(o, values, s->values.n); break;
    case ROWS_EPISODES: find_episodes(o, values[0].at); break;
    case ROWS_AHEAD:
        o->gathered[k] = values[0].at;
        drop_without(o, s);
        break;
    }
    return GR_OK;
}

static int64_t rows_alive(const Opening *o) {
    int64_t n = 0;
    for (int64_t i = 0; i < o->rows; i++)
        n += o->alive[i];
    return n;
}

GrStatus clean_rows(Opening *o) {
    const RecipeData *r = o->recipe;
    int64_t *dropped = PUSH(o->arena, int64_t, r->rows.n + 1), before = o->rows;
    o->d->dropped = dropped;
    o->alive = PUSH(o->scratch, bool, o->rows + 1);
    o->there = PUSH(o->scratch, bool, o->rows + 1);
    memset(o->alive, true, (size_t)o->rows * sizeof *o->alive);
    memset(o->there, true, (size_t)o->rows * sizeof *o->there);
    if (r->rows.n == 0)
        return GR_OK;
    o->episode = PUSH(o->scratch, int32_t, o->rows + 1);
    o->length = PUSH(o->scratch, int32_t, o->rows + 1);
    o->place = PUSH(o->scratch, int32_t, o->rows + 1);
    o->gathered = PUSH(o->scratch, const char *, r->rows.n + 1);
    find_episodes(o, NULL);
    for (uint32_t k = 0; k < r->rows.n; k++) {
        TRY(step(o, k));
        dropped[k] = before - rows_alive(o);
        before -= dropped[k];
    }
    return GR_OK;
}

GrStatus clean_gather(Opening *o) {
    for (uint32_t k = 0; k < o->recipe->rows.n; k++) {
        const RecipeRows *s = &o->recipe->rows.at[k];
        RowValues values;
        if (s->kind != ROWS_AHEAD)
            continue;
        TRY(prepare_values(o, str_format(o->scratch, ".rows%u", k), s->values.at, 1, &values));
        o->gathered[k] = values.at;
    }
    return GR_OK;
}
