/* Stand-in for images as sets of 512 Gaussian splats: clusters of one size and colour each, and three splats in
 * ten anywhere.  Column `gaussians`, f32[512, 8]: x, y, two scales, angle, three features, in Morton order of x
 * and y.  Key 2000 is the training set of 512 images, any other a set of 64. */
#include "rows.h"
#include "stream.h"
#include <stdlib.h>
#include <string.h>

enum { SPLATS = 512, CHANNELS = 8, CLUSTERS = 12, TRAIN_KEY = 2000 };

typedef struct {
    double x, y, spread, colour[3], size;
} Cluster;
typedef struct {
    uint32_t code;
    int made;
    double v[CHANNELS];
} Splat;

static uint32_t spread_bits(uint32_t v) {
    uint32_t out = 0;
    for (int i = 0; i < 16; i++)
        out |= (v >> i & 1) << 2 * i;
    return out;
}

static Cluster cluster(Stream *r) {
    Cluster c;
    c.x = .1 + .8 * stream_uniform(r);
    c.y = .1 + .8 * stream_uniform(r);
    c.spread = .04 + .08 * stream_uniform(r);
    for (int q = 0; q < 3; q++)
        c.colour[q] = stream_uniform(r);
    c.size = exp(.35 * stream_normal(r));
    return c;
}

static int nearest(const Cluster *c, int n, double x, double y) {
    int best = 0;
    double least = INFINITY;
    for (int i = 0; i < n; i++) {
        double dx = x - c[i].x, dy = y - c[i].y, d = dx * dx + dy * dy;
        if (d < least) {
            least = d;
            best = i;
        }
    }
    return best;
}

static Splat splat(Stream *r, const Cluster *c, int n) {
    Splat s = {0};
    int j = stream_below(r, n);
    double x, y;
    if (stream_uniform(r) < .30) {
        x = stream_uniform(r);
        y = stream_uniform(r);
        j = nearest(c, n, x, y);
    } else {
        x = c[j].x + c[j].spread * stream_normal(r);
        y = c[j].y + c[j].spread * stream_normal(r);
    }
    s.v[0] = clamp(x, 0, 1 - 1e-6);
    s.v[1] = clamp(y, 0, 1 - 1e-6);
    for (int k = 2; k < 4; k++)
        s.v[k] = .2 * c[j].size * exp(.9 * stream_normal(r));
    s.v[4] = .8 * stream_normal(r);
    for (int q = 0; q < 3; q++)
        s.v[5 + q] = .25 * c[j].colour[q] + .405 * stream_normal(r) + .35;
    s.code = spread_bits((uint32_t)(65536 * s.v[0])) | spread_bits((uint32_t)(65536 * s.v[1])) << 1;
    return s;
}

static int by_code(const void *a, const void *b) {
    const Splat *x = a, *y = b;
    return x->code != y->code ? (x->code < y->code ? -1 : 1) : x->made - y->made;
}

static bool image(const void *set, int64_t row, const char *column, int64_t items, double *out) {
    const uint64_t *key = set;
    Stream r = stream_of_item(*key, row);
    Cluster c[CLUSTERS];
    Splat s[SPLATS];
    if (strcmp(column, "gaussians") != 0 || items != SPLATS * CHANNELS)
        return false;
    int n = 6 + stream_below(&r, 7);
    for (int i = 0; i < n; i++)
        c[i] = cluster(&r);
    for (int i = 0; i < SPLATS; i++) {
        s[i] = splat(&r, c, n);
        s[i].made = i;
    }
    qsort(s, SPLATS, sizeof *s, by_code);
    for (int i = 0; i < SPLATS; i++)
        memcpy(out + i * CHANNELS, s[i].v, sizeof s[i].v);
    return true;
}

EXPORTED int64_t splats_rows(uint64_t key);
EXPORTED int splats(uint64_t key, const char *column, const char *type, int64_t items, int64_t first, int64_t rows,
                    void *to);

int64_t splats_rows(uint64_t key) {
    return key == TRAIN_KEY ? 512 : 64;
}

int splats(uint64_t key, const char *column, const char *type, int64_t items, int64_t first, int64_t rows,
           void *to) {
    return rows_make(image, &key, column, type, items, first, rows, to);
}
