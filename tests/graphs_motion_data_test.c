/* The generators of stand-in data (graphs/data) give what the description of the studies says they give: sums
 * and first values that a second implementation, written from the description alone, gives as well. */
#include "test.h"
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t CountRows(uint64_t key);
typedef int MakeRows(uint64_t key, const char *column, const char *type, int64_t items, int64_t first,
                     int64_t rows, void *to);

static void *symbol_of(const char *generator, const char *name) {
    void *library =
        dlopen(str_format(test_arena(), GRAPHC_BUILD "/%s.so", generator).s, RTLD_NOW | RTLD_LOCAL);
    CHECK_MSG(library != NULL, "%s", dlerror());
    REQUIRE(library != NULL);
    return dlsym(library, name);
}

static int64_t rows_of(const char *generator, uint64_t key) {
    CountRows *count = (CountRows *)symbol_of(generator, str_format(test_arena(), "%s_rows", generator).s);
    REQUIRE(count != NULL);
    return count(key);
}

/* Rows 0 .. rows - 1 of a column, as doubles. */
static double *column_of(const char *generator, uint64_t key, const char *column, int64_t items,
                         int64_t rows) {
    MakeRows *make = (MakeRows *)symbol_of(generator, generator);
    double *x = arena_push(test_arena(), sizeof *x * (size_t)(items * rows), 64);
    REQUIRE(make != NULL && make(key, column, "f64", items, 0, rows, x) == 0);
    return x;
}

typedef struct {
    double sum, mean, sd;
} Moments;

static Moments moments_of(const double *x, int64_t n) {
    Moments m = {0};
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        m.sum += x[i];
    m.mean = m.sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (x[i] - m.mean) * (x[i] - m.mean);
    m.sd = sqrt(square / (double)n);
    return m;
}

#define CHECK_NEAR(actual, expected, within)                                                                 \
    CHECK_MSG(fabs((actual) - (expected)) <= (within), "%s is %.10g, expected %.10g", #actual,               \
              (double)(actual), (double)(expected))

/* ---- dots ---- */

enum { SEQUENCES = 64, FRAMES = 17, PIXELS = 28 * 28 };

TEST(dots_walk_as_described) {
    const double *loc = column_of("dots", 3000, "loc", 2 * FRAMES, SEQUENCES);
    const double *action = column_of("dots", 3000, "action", 32, SEQUENCES);
    CHECK_NEAR(moments_of(loc, SEQUENCES * FRAMES * 2).sum, 27534.92504, 5e-4);
    CHECK_NEAR(loc[0], 12.541446, 5e-7);
    CHECK_NEAR(loc[1], 13.942682, 5e-7);
    CHECK_NEAR(action[0], 1.025875, 5e-7);
    CHECK_NEAR(action[1], 0.407945, 5e-7);
    CHECK_NEAR(moments_of(action, SEQUENCES * 32).sd, 1.61, 0.005);
}

/* Noise is added in units of the brightest pixel of the batch. */
TEST(dots_are_drawn_as_described) {
    int64_t n = SEQUENCES * FRAMES * PIXELS;
    double *frame = column_of("dots", 3000, "clean", FRAMES * PIXELS, SEQUENCES), peak = 0;
    const double *fixed = column_of("dots", 3000, "fixed", PIXELS, SEQUENCES);
    Moments m = moments_of(frame, n);
    CHECK_NEAR(m.mean, 0.0012735, 5e-8);
    CHECK_NEAR(m.sd, 0.0076443, 5e-8);
    for (int64_t i = 0; i < n; i++)
        peak = fmax(peak, frame[i]);
    for (int64_t i = 0; i < n; i++)
        frame[i] += 1.25 * peak * fixed[i / PIXELS / FRAMES * PIXELS + i % PIXELS];
    m = moments_of(frame, n);
    CHECK_NEAR(m.mean, 0.060277, 5e-7);
    CHECK_NEAR(m.sd, 0.034922, 5e-7);
}

/* Shorter sequences are the beginnings of long ones; textures fill their range; other columns are refused. */
TEST(dots_have_beginnings_and_textures) {
    const double *all = column_of("dots", 3001, "changing", FRAMES * PIXELS, 2);
    const double *some = column_of("dots", 3001, "changing", 8 * PIXELS, 2);
    CHECK(memcmp(all, some, sizeof(double) * 8 * PIXELS) == 0);
    CHECK(memcmp(all + FRAMES * PIXELS, some + 8 * PIXELS, sizeof(double) * 8 * PIXELS) == 0);
    const double *texture = column_of("dots", 3001, "fixed_texture", PIXELS, 1);
    double low = 1, high = 0;
    for (int i = 0; i < PIXELS; i++) {
        low = fmin(low, texture[i]);
        high = fmax(high, texture[i]);
    }
    CHECK(low == 0 && high == 1);
    MakeRows *make = (MakeRows *)symbol_of("dots", "dots");
    CHECK(make(3000, "loc", "f64", 36, 0, 1, NULL) != 0);
    CHECK(make(3000, "colour", "f64", 2, 0, 1, NULL) != 0);
    CHECK(make(3000, "loc", "bool", 2, 0, 1, NULL) != 0);
    CHECK_INT(rows_of("dots", 3000), 10000);
    CHECK_INT(rows_of("dots", 1), 0);
}

/* ---- arm ---- */

/* 256 episodes, their lengths, what the gripper does. */
TEST(arm_moves_as_described) {
    int64_t n = rows_of("arm", 4000), ends = 0, least = n, most = 0, label[3] = {0};
    CHECK_INT(n, 8152);
    const double *action = column_of("arm", 4000, "action", 4, n),
                 *end = column_of("arm", 4000, "terminal", 1, n);
    for (int64_t i = 0, began = 0; i < n; i++) {
        label[(int)action[4 * i + 3]]++;
        if (end[i] == 0)
            continue;
        int64_t length = i + 1 - began;
        least = length < least ? length : least;
        most = length > most ? length : most;
        began = i + 1;
        ends++;
    }
    CHECK(ends == 256 && least == 23 && most == 39);
    CHECK(label[0] == 546 && label[1] == 6616 && label[2] == 990);
    CHECK_NEAR(moments_of(action, 4 * n).sum, 8623.2946, 5e-5);
    double variance = 0, entropy = 0;
    for (int axis = 0; axis < 3; axis++) {
        double *one = arena_push(test_arena(), sizeof *one * (size_t)n, 64);
        for (int64_t i = 0; i < n; i++)
            one[i] = action[4 * i + axis];
        double sd = moments_of(one, n).sd, share = (double)label[axis] / (double)n;
        variance += sd * sd / 3;
        entropy -= share * log(share);
    }
    CHECK_NEAR(variance, 2.304e-4, 5e-8);
    CHECK_NEAR(entropy, 0.60654, 5e-6);
}

TEST(arm_senses_as_described) {
    static const double first[] = {-0.08886, -0.29230, 0.12287,  0.68035,  0.72625, 0.09685, 0.01773, 0,
                                   0,        0,        -0.02236, -0.01580, 0.00023, 0,       0.00061};
    const double *parts[] = {column_of("arm", 4000, "position", 7, 1),
                             column_of("arm", 4000, "velocity", 6, 1), column_of("arm", 4000, "joint", 2, 1)};
    for (int i = 0; i < 15; i++)
        CHECK_NEAR(i < 7 ? parts[0][i] : i < 13 ? parts[1][i - 7] : parts[2][i - 13], first[i], 5e-6);
    static const double acts[] = {0.05641, 0.05758, 0.00586, 1};
    const double *action = column_of("arm", 4000, "action", 4, 1);
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(action[i], acts[i], 5e-6);
}

/* Pictures have the background, the light thing and the dark hand, at any size. */
TEST(arm_sees_hand_and_thing) {
    for (int side = 56; side <= 224; side *= 4) {
        const double *image = column_of("arm", 4001, "image", 2 * side * side, 1);
        for (int camera = 0; camera < 2; camera++) {
            int dark = 0, light = 0;
            for (int i = 0; i < side * side; i++) {
                dark += image[camera * side * side + i] == 40;
                light += image[camera * side * side + i] == 220;
            }
            CHECK_MSG(dark > 20 && dark < side * side / 10, "camera %d, side %d: %d dark", camera, side,
                      dark);
            CHECK_MSG((light > 20 || camera == 1) && light < side * side / 10, "camera %d: %d light", camera,
                      light);
        }
    }
}

/* ---- occ ---- */

enum { CELLS = 20 * 20 * 12 };

TEST(occupancy_is_as_described) {
    const double *past = column_of("occ", 5000, "past", 4 * CELLS, 256);
    const double *future = column_of("occ", 5000, "future", 6 * CELLS, 256);
    CHECK_INT(moments_of(past, 256 * 4 * CELLS).sum + moments_of(future, 256 * 6 * CELLS).sum, 109720);
    CHECK_INT(moments_of(past, 4 * CELLS).sum + moments_of(future, 6 * CELLS).sum, 396);
    const double *still = column_of("occ", 5001, "still", CELLS, 2);
    CHECK(memcmp(still, past, sizeof *still * CELLS) == 0 &&
          memcmp(still + CELLS, past, sizeof *still * CELLS) == 0);
}

/* To repeat the last frame seen is a good guess: the street stays. */
TEST(occupancy_persists_as_described) {
    const double *past = column_of("occ", 5001, "past", 4 * CELLS, 64);
    const double *future = column_of("occ", 5001, "future", 6 * CELLS, 64);
    double both = 0, sum = 0;
    for (int64_t i = 0; i < 64 * 6 * CELLS; i++) {
        double last = past[i / (6 * CELLS) * 4 * CELLS + 3 * CELLS + i % CELLS];
        both += last * future[i];
        sum += last + future[i];
    }
    CHECK_INT(moments_of(past, 64 * 4 * CELLS).sum + moments_of(future, 64 * 6 * CELLS).sum, 26936);
    CHECK_NEAR(both / (sum - both), 0.722, 5e-4);
    CHECK_NEAR(1 - (2 * both + 1) / (sum + 1), 0.162, 5e-4);
}
