/* What a `data` block means: rows that go and rows that stay, to the number; splits, folds and groups; episodes and
 * rows further on; statistics against sums done here; draws that are rejected. */
#include "run.h"
#include "test.h"
#include <math.h>
#include <string.h>

static const char k_rest[] =
    "model net(x : real[N]) -> (y : real[N]) { param w : real = 1;  y = w * x }\n"
    "data other { from fresh(rows = 8) as train;  x = uniform() }\n"
    "objective o(b : other[N]) { loss f = mean[..] net(b.x)^2 }\n"
    "train { optimizer sgd(lr = 0.1);  epochs 1;  batch 4 }\n";

#define REQUIRE_MSG(c, ...) ((c) ? (void)0 : (CHECK_MSG(false, __VA_ARGS__), test_end()))

typedef struct { Session s; Dataset *d; Error e; GrStatus status; } Opened;

/* The first data set of the text with everything that it names. */
static Opened open_text(const char *text) {
    Opened o = {0};
    Common c = common_make();
    Str path = str_format(test_arena(), "%.*s/d.graph", FSTR(test_folder()));
    test_write(path, str_format(test_arena(), "graph 1\n%s\n%s", text, k_rest));
    c.file = path.s;
    c.threads = 2;
    c.no_cache = true;
    bool fine = session_open(&o.s, &c);
    session_report(&o.s, &c);
    REQUIRE(fine);
    RecipeData *d = &o.s.recipe->data.at[0];
    for (uint32_t i = 0; i < d->columns.n; i++)
        d->columns.at[i].used = true;
    o.status = run_open_data(&o.s, &c, 0, (Str){0}, &o.d, NULL, &o.e);
    return o;
}

static Opened opened(const char *text) {
    Opened o = open_text(text);
    REQUIRE_MSG(o.status == GR_OK, "%s", o.e.what);
    return o;
}

static const void *column(const Opened *o, const char *name) {
    int64_t c = dataset_column(o->d, str_of(name));
    REQUIRE_MSG(c >= 0, "no column `%s`", name);
    return o->d->columns.at[c].at;
}

static const int32_t *ints(const Opened *o, const char *name) { return column(o, name); }
static const float *reals(const Opened *o, const char *name) { return column(o, name); }

static const Split *split_of(Opened *o, const char *name) {
    const Split *s;
    REQUIRE_MSG(dataset_split(o->d, str_of(name), &s, &o->e) == GR_OK, "%s", o->e.what);
    return s;
}

static float statistic(const Opened *o, const char *path, int64_t i) {
    for (uint32_t k = 0; k < o->d->statistics.n; k++) {
        if (str_is(o->d->statistics.at[k].path, path))
            return ((const float *)o->d->statistics.at[k].at)[i];
    }
    REQUIRE_MSG(false, "no statistic `%s`", path);
    return 0;
}

static void close_all(Opened *o) { session_close(&o->s); }

/* ---- cleaning ---- */

TEST(data_drop_duplicates_keeps_the_first) {
    Opened o = opened("data d { from fresh(rows = 5000);  k = row * row mod 97;  at = row;  drop duplicates of k }");
    CHECK_INT(o.d->rows_read, 5000);
    CHECK_INT(o.d->rows, 49);               /* squares mod 97, 0 among them */
    for (int i = 0; i < 49; i++)
        CHECK_INT(ints(&o, "at")[i], i);    /* -x has the square of x, so the first 49 numbers are the first ones */
    close_all(&o);
}

TEST(data_duplicates_of_several_and_of_tensors) {
    Opened o = opened("data d { from fresh(rows = 3000);  k[c < 3] = (row mod 4) * c;  j = row mod 3 == 0\n"
                      "drop duplicates of k, j }");
    CHECK_INT(o.d->rows, 8);
    close_all(&o);
}

TEST(data_drop_where_in_text_order) {
    Opened o = opened("data d { from fresh(rows = 2500);  k = row div 2;  u[c < 3] = row - c\n"
                      "drop where any[..] (u == 10);  drop duplicates of k;  drop where k mod 2 == 1;  at = row }");
    /* 10, 11, 12 go; of the pairs the first is left (13 of the pair 12, 13), and then the even pairs */
    CHECK_INT(o.d->rows, 625);
    CHECK_INT(ints(&o, "at")[2], 8);
    CHECK_INT(ints(&o, "at")[3], 13);
    CHECK_INT(ints(&o, "at")[4], 16);
    close_all(&o);
}

TEST(data_nothing_left_is_an_error) {
    Opened o = open_text("data d { from fresh(rows = 20);  k = row;  drop where k >= 0 }");
    CHECK(o.status == GR_DATA);
    CHECK_MSG(strstr(o.e.what, "of 20 rows none is left") != NULL, "%s", o.e.what);
    close_all(&o);
}

TEST(data_bounds_are_asked_of_what_is_left) {
    const char *rows = "from fresh(rows = 20);  k = row;";
    Opened o = open_text(str_format(test_arena(), "data d { %s x : u8 < 5 = row mod 7 }", rows).s);
    CHECK(o.status == GR_DATA);
    CHECK_MSG(strstr(o.e.what, "row 5: value 5 in `x` (u8 < 5)") != NULL, "%s", o.e.what);
    close_all(&o);
    o = opened(str_format(test_arena(), "data d { %s x : u8 < 5 = row mod 7;  drop where x >= 5 }", rows).s);
    CHECK_INT(o.d->rows, 15);
    close_all(&o);
}

/* ---- splits ---- */

TEST(data_split_sizes_after_cleaning) {
    static const struct { int left, train, val, test; } sizes[] = {{27017, 18911, 2702, 5404}, {3932, 2752, 393, 787}};
    for (int i = 0; i < 2; i++) {
        Opened o = opened(str_format(test_arena(), "data d { from fresh(rows = 30000);  k = row;  drop where k >= %d\n"
                                     "split train 0.7, val 0.1, test rest seed 1 }", sizes[i].left).s);
        CHECK_INT(o.d->rows, sizes[i].left);
        CHECK_INT(split_of(&o, "train")->n, sizes[i].train);
        CHECK_INT(split_of(&o, "val")->n, sizes[i].val);
        CHECK_INT(split_of(&o, "test")->n, sizes[i].test);
        close_all(&o);
    }
}

TEST(data_unused_rest_is_no_split) {
    Opened o = opened("data d { from fresh(rows = 100);  k = row;  split train 30, val 0.2, unused rest seed 1 }");
    CHECK_INT(split_of(&o, "train")->n, 30);
    CHECK_INT(split_of(&o, "val")->n, 20);
    CHECK_INT(o.d->splits.at.n, 2);
    close_all(&o);
}

TEST(data_folds_cover_all_rows_once) {
    uint8_t seen[103] = {0};
    int64_t sizes = 0;
    for (int fold = 0; fold < 5; fold++) {
        Opened o = opened(str_format(test_arena(), "setting fold : int = %d\n"
                                     "data d { from fresh(rows = 103);  k = row;  split 5 folds, val fold seed 1 }",
                                     fold).s);
        const Split *val = split_of(&o, "val");
        CHECK(val->n == 20 || val->n == 21);
        CHECK_INT(split_of(&o, "train")->n, 103 - val->n);
        sizes += val->n;
        for (int64_t i = 0; i < val->n; i++)
            seen[val->rows[i]]++;
        close_all(&o);
    }
    CHECK_INT(sizes, 103);
    for (int i = 0; i < 103; i++)
        CHECK_INT(seen[i], 1);
}

TEST(data_groups_stay_together) {
    Opened o = opened("data d { from fresh(rows = 1000);  g = row * 7 mod 40;  k = row\n"
                      "split test 0.2, train rest by g seed 1;  split val 0.25, train rest of train by g seed 2 }");
    const char *const names[] = {"test", "val", "train"};
    const int groups[] = {8, 8, 24};
    uint8_t seen[40] = {0};
    for (int s = 0; s < 3; s++) {
        const Split *split = split_of(&o, names[s]);
        CHECK_INT(split->n, groups[s] * 25);
        for (int64_t i = 0; i < split->n; i++)
            seen[ints(&o, "g")[split->rows[i]]] |= (uint8_t)(1 << s);
    }
    for (int g = 0; g < 40; g++)
        CHECK(seen[g] == 1 || seen[g] == 2 || seen[g] == 4);
    close_all(&o);
}

/* ---- episodes ---- */

/* 100 rows in episodes of 4, 5, .. rows, the last one unfinished. */
static const char k_episodes[] =
    "setting off : int = 2\n"
    "data d { from fresh(rows = 100) as train;  from fresh(rows = 6) as train\n"
    "t = row;  ends = t == 3 or t == 8 or t == 14 or t == 21\n"
    "episodes end where ends;  e = episode;  n = length\n%s }";

static Opened episodes(const char *clauses) {
    return opened(str_format(test_arena(), k_episodes, clauses).s);
}

TEST(data_episodes_end_and_are_counted) {
    Opened o = episodes("");
    static const int length[] = {4, 5, 6, 7, 78, 6};
    for (int64_t i = 0; i < o.d->rows; i++)
        CHECK_INT(ints(&o, "n")[i], length[ints(&o, "e")[i]]);
    CHECK_INT(ints(&o, "e")[105], 5);       /* a source ends an episode */
    close_all(&o);
    o = episodes("drop episodes where length >= 75 or length < 5");
    CHECK_INT(o.d->rows, 5 + 6 + 7 + 6);
    close_all(&o);
}

TEST(data_ahead_stays_in_its_episode) {
    Opened o = episodes("a = ahead(t, off);  ae = ahead(2 * e, off)");
    CHECK_INT(o.d->rows, 106 - 6 * 2);      /* two rows of each episode have none */
    for (int64_t i = 0; i < o.d->rows; i++) {
        CHECK_INT(ints(&o, "a")[i], ints(&o, "t")[i] + 2);
        CHECK_INT(ints(&o, "ae")[i], 2 * ints(&o, "e")[i]);
    }
    close_all(&o);
}

TEST(data_windows_stay_in_their_episode) {
    Opened o = episodes("w : int[3] = window(t, 3, every = 2);  x[c < 2] = t - c;  v = window(x, 3)");
    CHECK_INT(o.d->rows, 1 + 2 + 2 + 3 + 38 + 2);
    for (int64_t i = 0; i < o.d->rows; i++) {
        int t = ints(&o, "t")[i];
        for (int k = 0; k < 3; k++) {
            CHECK_INT(ints(&o, "w")[3 * i + k], t + k);
            CHECK_INT(ints(&o, "v")[6 * i + 2 * k + 1], t + k - 1);
        }
    }
    close_all(&o);
}

/* ---- the order along a curve ---- */

static uint32_t spread(uint32_t x) {
    uint32_t code = 0;
    for (int i = 0; i < 16; i++)
        code |= (x >> i & 1) << (2 * i);
    return code;
}

TEST(data_morton_interleaves_bits) {
    Opened o = opened("data d { from fresh(rows = 500);  p[c < 2] = uniform();  code = morton(p)\n"
                      "ones = morton(p * 0 + 1) }");
    const float *p = reals(&o, "p");
    for (int i = 0; i < 500; i++) {
        uint32_t code = spread((uint32_t)(p[2 * i] * 65536)) | spread((uint32_t)(p[2 * i + 1] * 65536)) << 1;
        CHECK_INT(ints(&o, "code")[i], (int64_t)code - ((int64_t)1 << 31));
        CHECK_INT(ints(&o, "ones")[i], INT32_MAX);
    }
    close_all(&o);
}

/* ---- statistics ---- */

TEST(data_statistics_are_of_all_train_rows) {
    Opened o = opened("data d { from fresh(rows = 4000);  u = normal(2, 3);  v[c < 2] = u * (c + 1);  at = row\n"
                      "drop where u > 6;  split train 0.7, val rest seed 1\n"
                      "m = mean[train] u;  sd = sqrt(mean[train] (u - m)^2);  x = (u - m) / sd\n"
                      "first[c] = mean[train, row < 1500] v[c];  top = max[rows, ..] v;  n = sum[train] (u > m)\n"
                      "one = mean[train] (u - mean[train] u)^2 }");
    const Split *train = split_of(&o, "train");
    const float *u = reals(&o, "u"), *v = reals(&o, "v"), *x = reals(&o, "x");
    double sum = 0, squares = 0, first = 0, top = -1e9;
    int64_t n = 0, above = 0;
    for (int64_t i = 0; i < train->n; i++) {
        uint32_t r = train->rows[i];
        sum += u[r];
        if (ints(&o, "at")[r] < 1500)
            first += v[2 * r + 1], n++;
    }
    float m = (float)(sum / (double)train->n);
    for (int64_t i = 0; i < train->n; i++) {
        float d = u[train->rows[i]] - m;
        squares += (double)d * d;
        above += u[train->rows[i]] > m;
    }
    for (int64_t i = 0; i < 2 * o.d->rows; i++)
        top = v[i] > top ? v[i] : top;
    double sd = sqrt(squares / (double)train->n);
    CHECK(fabs(statistic(&o, "d.m", 0) - m) < 1e-6 && fabs(statistic(&o, "d.sd", 0) - sd) < 1e-6 * sd);
    CHECK(fabs(statistic(&o, "d.first", 1) - first / (double)n) < 1e-5);
    CHECK(statistic(&o, "d.top", 0) == (float)top && fabs(statistic(&o, "d.one", 0) - sd * sd) < 1e-5);
    int32_t counted;
    float bits = statistic(&o, "d.n", 0);
    memcpy(&counted, &bits, sizeof counted);
    CHECK_INT(counted, above);
    for (int64_t i = 0; i < o.d->rows; i++)
        CHECK(fabs(x[i] - (u[i] - m) / sd) < 1e-5);
    close_all(&o);
}

/* ---- ragged columns ---- */

TEST(data_ragged_rows_have_lengths_and_zeros) {
    test_write(str_format(test_arena(), "%.*s/names.txt", FSTR(test_folder())), STR("anna\nbo\n\nchristopher\n"));
    Opened o = opened("data d { from lines(\"names.txt\");  word : u8[up to 12] = bytes;  n = word.length\n"
                      "drop where n == 0;  last = word[2];  longest = max[rows] word.length }");
    const uint8_t *word = column(&o, "word");
    CHECK_INT(o.d->rows_read, 4);
    CHECK_INT(o.d->rows, 3);
    CHECK(memcmp(word + 12, "bo\0\0\0\0\0\0\0\0\0\0christopher\0", 24) == 0);
    CHECK(ints(&o, "n")[0] == 4 && ints(&o, "word.length")[1] == 2 && ints(&o, "n")[2] == 11);
    CHECK(((const uint8_t *)column(&o, "last"))[1] == 0 && ((const uint8_t *)column(&o, "last"))[2] == 'r');
    close_all(&o);
    o = open_text("data d { from lines(\"names.txt\");  word : u8[up to 5] = bytes }");
    CHECK(o.status == GR_DATA);
    CHECK_MSG(strstr(o.e.what, "row 3: 11 items in `word`") != NULL, "%s", o.e.what);
    close_all(&o);
}

/* ---- rejection ---- */

TEST(data_repeat_draws_until_it_fits) {
    Opened o = opened("data d { from fresh(rows = 3000);  repeat x = normal() until x > 0.5\n"
                      "repeat p[c < 2] = 2 * uniform() - 1 until p[0]^2 + p[1]^2 < 1\n"
                      "scan a = 0.0 over t < 4 { repeat s = uniform() until s < 0.5;  a = a + s;  collect ss = s } }");
    const float *x = reals(&o, "x"), *p = reals(&o, "p"), *ss = reals(&o, "ss"), *a = reals(&o, "a");
    double mean = 0, ring = 0;
    for (int64_t i = 0; i < o.d->rows; i++) {
        CHECK(x[i] > 0.5f && p[2 * i] * p[2 * i] + p[2 * i + 1] * p[2 * i + 1] < 1);
        for (int t = 0; t < 4; t++)
            CHECK(ss[4 * i + t] >= 0 && ss[4 * i + t] < 0.5f);
        CHECK(fabsf(a[i] - (ss[4 * i] + ss[4 * i + 1] + ss[4 * i + 2] + ss[4 * i + 3])) < 1e-6f);
        mean += x[i];
        ring += sqrt(p[2 * i] * p[2 * i] + p[2 * i + 1] * p[2 * i + 1]);
    }
    CHECK(fabs(mean / 3000 - 1.1411) < 0.04);          /* phi(0.5) / (1 - Phi(0.5)) */
    CHECK(fabs(ring / 3000 - 2.0 / 3) < 0.02);
    close_all(&o);
}

TEST(data_repeat_that_never_fits_stops) {
    Opened o = open_text("data d { from fresh(rows = 30);  repeat x = uniform() until x > 2 }");
    CHECK(o.status == GR_DATA);
    CHECK_MSG(strstr(o.e.what, "accepts none of its attempts") != NULL, "%s", o.e.what);
    close_all(&o);
}
