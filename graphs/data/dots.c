/* A dot that moves: 17 frames of 28 x 28 and the 16 actions between them, for the programs of graphs/dots.
 *
 * The dot is a Gaussian spot of density 1.  A sequence has a main direction; each step turns from it by a von
 * Mises angle (kappa 0.2, by rejection) and is up to 4 pixels long; walls stop the dot.
 *
 * key 3000: training, 3001: validation, 10000 rows each.  Columns (t is 0 .. 16):
 *   loc[t,2]  action[16,2]  clean[t,28,28]
 *   loc_other  clean_other                of a second dot, that walks on its own
 *   loc_still  clean_still                of a third one, that stays where it is
 *   fixed[28,28]  changing[t,28,28]       noise in [0, 1): one image, or a fresh one for each frame
 *   fixed_texture  changing_texture       the same of six plane waves instead of independent pixels
 * Each kind of noise is drawn behind the path, as if it were the only one. */
#include "rows.h"
#include "stream.h"
#include <math.h>
#include <string.h>

#define FRAMES 17
#define SIDE 28
#define PIXELS (SIDE * SIDE)
static const double k_pi = 3.14159265358979323846, k_sd = 1.3, k_near = 2.6, k_far = 24.4;

typedef struct {
    double loc[FRAMES][2], action[FRAMES - 1][2];
    Stream rest; /* what is drawn behind the path */
} Path;

static double turn(Stream *s) {
    for (;;) {
        double angle = (2 * stream_uniform(s) - 1) * k_pi;
        if (stream_uniform(s) < exp(0.2 * (cos(angle) - 1)))
            return angle;
    }
}

static Path walk(uint64_t key, int64_t row) {
    Path p;
    Stream s = stream_of_item(key, row);
    p.loc[0][0] = k_near + 21.8 * stream_uniform(&s);
    p.loc[0][1] = k_near + 21.8 * stream_uniform(&s);
    double direction = 2 * k_pi * stream_uniform(&s);
    for (int t = 0; t < FRAMES - 1; t++) {
        double angle = direction + turn(&s), length = 4 * stream_uniform(&s);
        p.action[t][0] = cos(angle) * length;
        p.action[t][1] = sin(angle) * length;
        for (int c = 0; c < 2; c++)
            p.loc[t + 1][c] = clamp(p.loc[t][c] + p.action[t][c], k_near, k_far);
    }
    p.rest = s;
    return p;
}

/* The sequence of the dot that a column is of; the column is then called as that of the first one. */
static Path walk_of(uint64_t key, int64_t row, const char **column) {
    static const struct {
        const char *name, *first;
        uint64_t further;
        bool stays;
    } others[] = {{"loc_other", "loc", 100, false},
                  {"clean_other", "clean", 100, false},
                  {"loc_still", "loc", 200, true},
                  {"clean_still", "clean", 200, true}};
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        if (strcmp(*column, others[k].name) != 0)
            continue;
        Path p = walk(key + others[k].further, row);
        for (int t = 1; t < FRAMES && others[k].stays; t++)
            memcpy(p.loc[t], p.loc[0], sizeof p.loc[t]);
        *column = others[k].first;
        return p;
    }
    return walk(key, row);
}

static void draw_clean(Path *p, int frame, double *out) {
    double v = 2 * k_sd * k_sd;
    for (int i = 0; i < PIXELS; i++) {
        double dx = i % SIDE - p->loc[frame][0], dy = i / SIDE - p->loc[frame][1];
        out[i] = exp(-(dx * dx + dy * dy) / v) / (k_pi * v);
    }
}

static void draw_pixels(Path *p, int frame, double *out) {
    (void)frame;
    for (int i = 0; i < PIXELS; i++)
        out[i] = stream_uniform(&p->rest);
}

static void draw_texture(Path *p, int frame, double *out) {
    (void)frame;
    memset(out, 0, sizeof *out * PIXELS);
    for (int wave = 0; wave < 6; wave++) {
        int fx = stream_below(&p->rest, 5) - 2, fy = stream_below(&p->rest, 5) - 2;
        double phase = 2 * k_pi * stream_uniform(&p->rest), height = stream_uniform(&p->rest);
        for (int i = 0; i < PIXELS; i++)
            out[i] += height * cos(2 * k_pi * (fx * (i % SIDE) + fy * (i / SIDE)) / SIDE + phase);
    }
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < PIXELS; i++) {
        low = fmin(low, out[i]);
        high = fmax(high, out[i]);
    }
    for (int i = 0; i < PIXELS; i++)
        out[i] = high > low ? (out[i] - low) / (high - low) : 0;
}

static const struct {
    const char *name;
    int64_t frames;
    void (*draw)(Path *, int frame, double *out);
} k_images[] = {
    {"clean", FRAMES, draw_clean},
    {"fixed", 1, draw_pixels},
    {"changing", FRAMES, draw_pixels},
    {"fixed_texture", 1, draw_texture},
    {"changing_texture", FRAMES, draw_texture},
};

static bool numbers(const double (*from)[2], int64_t most, int64_t items, double *out) {
    if (items <= 2 * most)
        memcpy(out, from, sizeof *out * (size_t)items);
    return items <= 2 * most;
}

static bool images(Path *p, const char *column, int64_t items, double *out) {
    for (size_t k = 0; k < sizeof k_images / sizeof *k_images; k++) {
        if (strcmp(column, k_images[k].name) != 0)
            continue;
        if (items % PIXELS != 0 || items / PIXELS > k_images[k].frames)
            return false;
        for (int t = 0; t < items / PIXELS; t++)
            k_images[k].draw(p, t, out + t * PIXELS);
        return true;
    }
    return false;
}

static bool sequence(const void *key, int64_t row, const char *column, int64_t items, double *out) {
    Path p = walk_of(*(const uint64_t *)key, row, &column);
    if (strcmp(column, "loc") == 0)
        return numbers(p.loc, FRAMES, items, out);
    if (strcmp(column, "action") == 0)
        return numbers(p.action, FRAMES - 1, items, out);
    return images(&p, column, items, out);
}

EXPORTED int64_t dots_rows(uint64_t key);
EXPORTED int dots(uint64_t key, const char *column, const char *type, int64_t items, int64_t first,
                  int64_t rows, void *to);

int64_t dots_rows(uint64_t key) { return key == 3000 || key == 3001 ? 10000 : 0; }

int dots(uint64_t key, const char *column, const char *type, int64_t items, int64_t first, int64_t rows,
         void *to) {
    return rows_make(sequence, &key, column, type, items, first, rows, to);
}
