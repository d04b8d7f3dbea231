/* A street of blocks in a grid of 20 x 20 x 12 cells, and one cube of 2 x 2 x 2 that moves through it: ten
 * frames, of which four are seen and six are to be told.  For the programs of graphs/occ.
 *
 * key 5000: training, 256 scenes; 5001: validation, 64.  Columns: past[4,20,20,12] and future[6,20,20,12], 1
 * where a cell is full; still[20,20,12], the first frame of the first scene, the same in every row. */
#include "rows.h"
#include "stream.h"
#include <string.h>

#define SIDE 20
#define HEIGHT 12
#define CELLS (SIDE * SIDE * HEIGHT)
#define SEEN 4
#define TOLD 6

typedef struct {
    bool street[CELLS];
    int at[3], speed[2];
} Scene;

static int cell(int x, int y, int z) { return (x * SIDE + y) * HEIGHT + z; }

/* Fills a tower and returns how many cells that are new. */
static int build(Scene *s, int x, int y, int height) {
    int fresh = 0;
    for (int i = 0; i < 4 * height; i++) {
        bool *full = &s->street[cell(x + i % 2, y + i / 2 % 2, i / 4)];
        fresh += !*full;
        *full = true;
    }
    return fresh;
}

static Scene scene_of(uint64_t key, int64_t row) {
    Scene s = {0};
    Stream draw = stream_of_item(key, row);
    for (int full = 0; full < 32;) {
        int x = stream_below(&draw, SIDE - 1), y = stream_below(&draw, SIDE - 1),
            height = 1 + stream_below(&draw, 3);
        full += build(&s, x, y, height);
    }
    s.at[0] = stream_below(&draw, SIDE);
    s.at[1] = stream_below(&draw, SIDE);
    s.at[2] = stream_below(&draw, HEIGHT - 1);
    s.speed[0] = stream_below(&draw, 3) - 1;
    s.speed[1] = stream_below(&draw, 3) - 1;
    return s;
}

static void draw_frame(const Scene *s, int t, double *out) {
    for (int i = 0; i < CELLS; i++)
        out[i] = s->street[i];
    for (int i = 0; i < 8; i++) {
        int x = (s->at[0] + s->speed[0] * t + i % 2 + SIDE) % SIDE;
        int y = (s->at[1] + s->speed[1] * t + i / 2 % 2 + SIDE) % SIDE;
        out[cell(x, y, s->at[2] + i / 4)] = 1;
    }
}

static bool scene(const void *key, int64_t row, const char *column, int64_t items, double *out) {
    static const struct {
        const char *name;
        int from, frames;
    } columns[] = {{"past", 0, SEEN}, {"future", SEEN, TOLD}, {"still", 0, 1}};
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        if (strcmp(column, columns[c].name) != 0 || items != columns[c].frames * CELLS)
            continue;
        Scene s = strcmp(column, "still") == 0 ? scene_of(5000, 0) : scene_of(*(const uint64_t *)key, row);
        for (int t = 0; t < columns[c].frames; t++)
            draw_frame(&s, columns[c].from + t, out + t * CELLS);
        return true;
    }
    return false;
}

EXPORTED int64_t occ_rows(uint64_t key);
EXPORTED int occ(uint64_t key, const char *column, const char *type, int64_t items, int64_t first,
                 int64_t rows, void *to);

int64_t occ_rows(uint64_t key) { return key == 5000 ? 256 : key == 5001 ? 64 : 0; }

int occ(uint64_t key, const char *column, const char *type, int64_t items, int64_t first, int64_t rows,
        void *to) {
    return rows_make(scene, &key, column, type, items, first, rows, to);
}
