/* Stand-in for the voxel robots of the study, made from a key: 512 prototypes, and rows that are variants of
 * them, copies of earlier rows, or empty.  A row is a grid of 11 x 11 x 11 cells, column `grid`: 0 empty, 1 to 4
 * a kind of part.
 *
 *     robots            40960 rows as they come, with their copies and empty grids
 *     robots_train ..   the grids that are left when copies and empty ones are dropped, shuffled and split
 *
 * A call makes all rows anew, as lists of at most eight parts (milliseconds), and writes out those asked for. */
#include "rows.h"
#include "stream.h"
#include <stdlib.h>
#include <string.h>

enum { SIDE = 11, CELLS = SIDE * SIDE * SIDE, MOST = 8, PROTOTYPES = 512, ROWS = 40960 };
enum { TRAIN = 2752, VAL = 393, TEST = 787, CLEAN = TRAIN + VAL + TEST };

typedef struct {
    int at[3], kind;
} Part;
typedef struct {
    int n;
    Part part[MOST];
} Robot;

static const double k_parts[] = {.0114, .035, .05, .06, .065, .085, .10, .5936};
static const double k_kinds[] = {.437, .21, .185, .168};
static const double k_height[SIDE] = {.09, .40, .03, .03, .09, .08, .07, .07, .07, .04, .03};
static const double k_ground[SIDE] = {.10, .16, .12, .07, .06, .06, .06, .06, .08, .13, .10};

static int cell_of(const Part *p) {
    return SIDE * (SIDE * p->at[0] + p->at[1]) + p->at[2];
}

static int distance(const Part *a, const Part *b) {
    return abs(a->at[0] - b->at[0]) + abs(a->at[1] - b->at[1]) + abs(a->at[2] - b->at[2]);
}

static int nearest(const Robot *v, const Part *p) {
    int least = 3 * SIDE;
    for (int i = 0; i < v->n; i++)
        if (distance(&v->part[i], p) < least)
            least = distance(&v->part[i], p);
    return least;
}

static int draw_kind(Stream *r) {
    return stream_category(r, k_kinds, 4) + 1;
}

/* A place three cells off all others; 0 when 200 tries find none. */
static int place(Stream *r, const Robot *v, Part *p) {
    for (int i = 0; i < 200; i++) {
        p->at[0] = stream_category(r, k_height, SIDE);
        p->at[1] = stream_category(r, k_ground, SIDE);
        p->at[2] = stream_category(r, k_ground, SIDE);
        if (nearest(v, p) >= 3)
            return 1;
    }
    return 0;
}

static Robot prototype(Stream *r) {
    Robot v = {0};
    Part p = {0};
    for (int parts = stream_category(r, k_parts, MOST) + 1; v.n < parts && place(r, &v, &p);) {
        p.kind = draw_kind(r);
        v.part[v.n++] = p;
    }
    return v;
}

/* Some parts a cell further along one axis, some of another kind. */
static Robot mutated(Stream *r, const Robot *v) {
    Robot out = {0};
    for (int i = 0; i < v->n; i++) {
        Part p = v->part[i];
        if (stream_uniform(r) < .30) {
            Part q = p;
            int axis = stream_below(r, 3), step = stream_uniform(r) < .5 ? 1 : -1;
            q.at[axis] = q.at[axis] + step < 0 ? 0 : q.at[axis] + step >= SIDE ? SIDE - 1 : q.at[axis] + step;
            if (nearest(&out, &q) >= 3)
                p = q;
        }
        if (stream_uniform(r) < .15)
            p.kind = draw_kind(r);
        if (nearest(&out, &p) > 0)
            out.part[out.n++] = p;
    }
    return out;
}

/* All rows, and which of them are variants (`fresh`); returns how many of those there are. */
static int make_rows(uint64_t key, Robot *rows, int *fresh) {
    Stream r = stream_of(key);
    Robot prototypes[PROTOTYPES];
    int n = 0;
    for (int i = 0; i < PROTOTYPES; i++)
        prototypes[i] = prototype(&r);
    for (int i = 0; i < ROWS; i++) {
        double x = stream_uniform(&r);
        if (x < .007) {
            rows[i] = (Robot){0};
        } else if (x < .900 && n > 0) {
            rows[i] = rows[fresh[stream_below(&r, n)]];
        } else {
            rows[i] = mutated(&r, &prototypes[stream_below(&r, PROTOTYPES)]);
            fresh[n++] = i;
        }
    }
    return n;
}

static void write_grid(const Robot *v, uint8_t *to) {
    memset(to, 0, CELLS);
    for (int i = 0; i < v->n; i++)
        to[cell_of(&v->part[i])] = (uint8_t)v->part[i].kind;
}

static int same(const Robot *a, const Robot *b) {
    uint8_t x[CELLS], y[CELLS];
    if (a->n != b->n)
        return 0;
    write_grid(a, x);
    write_grid(b, y);
    return memcmp(x, y, CELLS) == 0;
}

/* A number that equal grids share. */
static unsigned mark(const Robot *v) {
    unsigned sum = 0;
    for (int i = 0; i < v->n; i++)
        sum += ((unsigned)cell_of(&v->part[i]) * 4 + (unsigned)v->part[i].kind) * 2654435761u;
    return sum;
}

/* Keeps the first of equal rows among `at`, in order; returns how many are left.  Copies are never among them. */
static int drop_equal(const Robot *rows, int *at, int n) {
    int kept = 0;
    unsigned *marks = malloc((size_t)n * sizeof *marks);
    if (marks == NULL)
        return -1;
    for (int i = 0; i < n; i++) {
        unsigned m = mark(&rows[at[i]]);
        int known = 0;
        for (int j = 0; j < kept && !known; j++)
            known = marks[j] == m && same(&rows[at[j]], &rows[at[i]]);
        if (known)
            continue;
        marks[kept] = m;
        at[kept++] = at[i];
    }
    free(marks);
    return kept;
}

/* Rows of the whole (`skip` < 0), or of the shuffled clean ones behind `skip`. */
static int write_rows(uint64_t key, int skip, int64_t first, int64_t rows, uint8_t *to) {
    Robot *all = malloc(ROWS * sizeof *all);
    int *at = malloc(ROWS * sizeof *at), order[CLEAN], done = 1;
    if (all != NULL && at != NULL) {
        int n = make_rows(key, all, at);
        Stream r = stream_of(key + 1);
        stream_permutation(&r, order, CLEAN);
        done = skip >= 0 && drop_equal(all, at, n) != CLEAN ? 2 : 0;
        for (int64_t i = 0; i < rows && !done; i++)
            write_grid(&all[skip < 0 ? first + i : at[order[skip + first + i]]], to + i * CELLS);
    }
    free(all);
    free(at);
    return done;
}

static int write_column(uint64_t key, int skip, const char *column, const char *type, int64_t items,
                        int64_t first, int64_t rows, void *to) {
    if (strcmp(column, "grid") != 0 || strcmp(type, "u8") != 0 || items != CELLS)
        return 3;
    return write_rows(key, skip, first, rows, to);
}

#define PART(name, count, skip)                                                                              \
    EXPORTED int64_t name##_rows(uint64_t key);                                                              \
    EXPORTED int name(uint64_t key, const char *column, const char *type, int64_t items, int64_t first,      \
                      int64_t rows, void *to);                                                               \
    int64_t name##_rows(uint64_t key) {                                                                      \
        (void)key;                                                                                           \
        return count;                                                                                        \
    }                                                                                                        \
    int name(uint64_t key, const char *column, const char *type, int64_t items, int64_t first, int64_t rows, \
             void *to) {                                                                                     \
        return write_column(key, skip, column, type, items, first, rows, to);                                \
    }
PART(robots, ROWS, -1)
PART(robots_train, TRAIN, 0)
PART(robots_val, VAL, TRAIN)
PART(robots_test, TEST, TRAIN + VAL)
