/* The stand-in data of graphs/: what the generators make, against the figures of the studies' description. */
#include "stream.h"
#include "test.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t CountRows(uint64_t key);
typedef int MakeRows(uint64_t key, const char *column, const char *type, int64_t items, int64_t first, int64_t rows,
                     void *to);

static void *rows_of(const char *library, const char *symbol, uint64_t key, const char *column, const char *type,
                     int64_t items, size_t bytes, int64_t *rows) {
    void *l = dlopen(str_format(test_arena(), "%s/%s.so", GRAPHC_BUILD, library).s, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(l != NULL);
    CountRows *count = (CountRows *)dlsym(l, str_format(test_arena(), "%s_rows", symbol).s);
    MakeRows *make = (MakeRows *)dlsym(l, symbol);
    REQUIRE(count != NULL && make != NULL);
    *rows = count(key);
    char *to = arena_push(test_arena(), (size_t)(*rows * items) * bytes, 64);
    CHECK(make(key, "nosuch", type, items, 0, 1, to) != 0);
    REQUIRE(make(key, column, type, items, 0, *rows, to) == 0);
    char *last = arena_push(test_arena(), (size_t)items * bytes, 64);
    CHECK(make(key, column, type, items, *rows - 1, 1, last) == 0);
    CHECK(memcmp(last, to + (size_t)((*rows - 1) * items) * bytes, (size_t)items * bytes) == 0);
    return to;
}

TEST(the_stream_is_the_one_described) {
    Stream r = stream_of(1);
    CHECK(stream_next(&r) == 0x910a2dec89025cc1 && stream_next(&r) == 0xbeeb8da1658eec67);
    r = stream_of(1);
    CHECK(stream_uniform(&r) == 0.5665615751722809 && stream_uniform(&r) == 0.7457817572627011);
    r = stream_of(1);
    CHECK(fabs(stream_normal(&r) + 0.034267321791851144) < 1e-15);
    CHECK(fabs(stream_normal(&r) + 2.5000674933698677) < 1e-15);
    r = stream_of(1);
    int order[8];
    stream_permutation(&r, order, 8);
    CHECK(memcmp(order, (int[]){0, 3, 7, 1, 2, 6, 5, 4}, sizeof order) == 0);
}

/* ---- robots ---- */
enum { CELLS = 1331 };
static int voxels(const uint8_t *grid) {
    int n = 0;
    for (int c = 0; c < CELLS; c++)
        n += grid[c] > 0;
    return n;
}

static int grid_order(const void *a, const void *b) {
    return memcmp(a, b, CELLS);
}

static int64_t different(uint8_t *grids, int64_t rows) {
    int64_t n = 1;
    qsort(grids, (size_t)rows, CELLS, grid_order);
    for (int64_t i = 1; i < rows; i++)
        n += memcmp(grids + i * CELLS, grids + (i - 1) * CELLS, CELLS) != 0;
    return n;
}

TEST(raw_robots_have_copies_and_empty_rows) {
    int64_t rows, empty = 0;
    uint8_t *grids = rows_of("robots", "robots", 1000, "grid", "u8", CELLS, 1, &rows);
    CHECK_INT(rows, 40960);
    for (int64_t i = 0; i < rows; i++)
        empty += voxels(grids + i * CELLS) == 0;
    CHECK_INT(empty, 265);
    CHECK_INT(different(grids, rows), 3933);
}

TEST(clean_robots_are_those_described) {
    static const char *const parts[] = {"robots_train", "robots_val", "robots_test"};
    static const int64_t expected[] = {2752, 393, 787};
    int64_t of_type[5] = {0}, of_count[9] = {0}, checksum = 0, all = 0;
    uint8_t *whole = arena_push(test_arena(), 3932 * CELLS, 64);
    for (int p = 0; p < 3; p++) {
        int64_t rows;
        uint8_t *grids = rows_of("robots", parts[p], 1000, "grid", "u8", CELLS, 1, &rows);
        CHECK_INT(rows, expected[p]);
        for (int64_t i = 0; i < rows * CELLS; i++) {
            of_type[grids[i]]++;
            checksum += (i % CELLS + 1) * grids[i];
        }
        for (int64_t i = 0; i < rows; i++)
            of_count[voxels(grids + i * CELLS)]++;
        memcpy(whole + all * CELLS, grids, (size_t)(rows * CELLS));
        all += rows;
    }
    CHECK(memcmp(of_type + 1, (int64_t[]){12032, 5873, 5099, 4091}, 4 * sizeof *of_type) == 0);
    CHECK(memcmp(of_count, (int64_t[]){0, 18, 109, 184, 187, 238, 330, 539, 2327}, sizeof of_count) == 0);
    CHECK_INT(checksum, 26839045);
    CHECK_INT(different(whole, all), 3932);
}

/* The first row of the permutation that key 1001 gives is robot 0 at the place where 0 stands. */
TEST(the_split_is_the_shuffle_described) {
    Stream r = stream_of(1001);
    int order[3932], at = 0;
    int64_t rows;
    stream_permutation(&r, order, 3932);
    while (order[at] != 0)
        at++;
    const char *part = at < 2752 ? "robots_train" : at < 3145 ? "robots_val" : "robots_test";
    uint8_t *grid = rows_of("robots", part, 1000, "grid", "u8", CELLS, 1, &rows);
    grid += (at < 2752 ? at : at < 3145 ? at - 2752 : at - 3145) * CELLS;
    CHECK(grid[1] == 2 && grid[100] == 3 && grid[163] == 4 && grid[196] == 1 && grid[628] == 1 && grid[952] == 1);
    CHECK_INT(voxels(grid), 6);
}

/* ---- splats ---- */
enum { SPLATS = 512, CHANNELS = 8, IMAGE = SPLATS * CHANNELS };
static bool is_near(double x, double y, double by) {
    return fabs(x - y) <= by;
}

TEST(splats_have_the_moments_described) {
    static const double means[] = {.49865, .49910, .31915, .32040, -.00008, .47464, .47552, .47716};
    static const double sds[] = {.25746, .25856, .39522, .40092, .79920, .41117, .41113, .41225};
    static const double row0[] = {.212440, .041092, .801040, 1.454911, .680130, .453041, 1.133630, .333036};
    int64_t rows;
    const float *x = rows_of("splats", "splats", 2000, "gaussians", "f32", IMAGE, 4, &rows);
    double all = 0;
    CHECK_INT(rows, 512);
    for (int c = 0; c < CHANNELS; c++) {
        double sum = 0, square = 0, n = (double)(rows * SPLATS);
        for (int64_t i = 0; i < rows * SPLATS; i++)
            sum += x[i * CHANNELS + c];
        for (int64_t i = 0; i < rows * SPLATS; i++)
            square += (x[i * CHANNELS + c] - sum / n) * (x[i * CHANNELS + c] - sum / n);
        CHECK_MSG(is_near(sum / n, means[c], 5e-6), "mean %d is %f", c, sum / n);
        CHECK_MSG(is_near(sqrt(square / n), sds[c], 5e-6), "deviation %d is %f", c, sqrt(square / n));
        CHECK(is_near(x[c], row0[c], 6e-7));
        all += sum;
    }
    CHECK(is_near(all, 803349.0488, 2e-3));
}

/* S3: the mean of each rank in Morton order, normalised, as a prediction of other images. */
TEST(rank_alone_predicts_positions_of_splats) {
    int64_t rows, others;
    const float *x = rows_of("splats", "splats", 2000, "gaussians", "f32", IMAGE, 4, &rows);
    const float *y = rows_of("splats", "splats", 2001, "gaussians", "f32", IMAGE, 4, &others);
    double by_rank[IMAGE] = {0}, square[CHANNELS] = {0}, m[CHANNELS] = {0}, v[CHANNELS] = {0};
    CHECK_INT(others, 64);
    for (int64_t i = 0; i < rows * IMAGE; i++)
        by_rank[i % IMAGE] += x[i] / (double)rows;
    for (int i = 0; i < IMAGE; i++)
        m[i % CHANNELS] += by_rank[i] / SPLATS;
    for (int64_t i = 0; i < rows * IMAGE; i++)
        v[i % CHANNELS] += pow(x[i] - m[i % CHANNELS], 2) / (double)(rows * SPLATS);
    for (int64_t i = 0; i < others * IMAGE; i++)
        square[i % CHANNELS] += pow(y[i] - by_rank[i % IMAGE], 2) / (double)(others * SPLATS);
    double e[CHANNELS];
    for (int c = 0; c < CHANNELS; c++)
        e[c] = square[c] / v[c];
    double xy = (e[0] + e[1]) / 2, scale = (e[2] + e[3]) / 2, rot = e[4], feat = (e[5] + e[6] + e[7]) / 3;
    CHECK_MSG(is_near(xy, .493, 1e-3) && is_near(scale, .980, 1e-3) && is_near(rot, 1.000, 1e-3) &&
                  is_near(feat, 1.002, 1e-3) && is_near(xy + scale + rot + feat, 3.475, 1.1e-3),
              "%f %f %f %f", xy, scale, rot, feat);
}
