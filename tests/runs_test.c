/* The index of runs: rows come back as they were put, many processes write at once, and what is lost is made again
 * from the folders. */
#include "test.h"
#include "card.h"
#include "events.h"
#include "history.h"
#include "rundir.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static Str here(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

static RunRow small_row(const char *name) {
    Arena *a = test_arena();
    RunRow r = {.name = str_of(name), .program = STR("vae"), .state = RUN_DONE, .reason = STR("it's \"over\"\n"),
                .epoch = 3, .epochs = 10, .seconds = 1.5, .note = STR("β = ½")};
    vec_push(a, &r.settings, (RunSetting){STR("latent"), STR("16")});
    vec_push(a, &r.settings, (RunSetting){STR("rate"), STR("1e-3")});
    vec_push(a, &r.tags, STR("paper"));
    return r;
}

static void put(Runs *runs, const RunRow *row) {
    Error e = {0};
    CHECK_MSG(runs_put(runs, row, &e) == GR_OK, "%s", e.what);
}

static RunRows rows_of(Runs *runs) {
    RunRows rows = {0};
    Error e = {0};
    CHECK_MSG(runs_read(test_arena(), runs, &rows, &e) == GR_OK, "%s", e.what);
    return rows;
}

static Runs *open_runs(void) {
    Runs *runs;
    Error e = {0};
    GrStatus status = runs_open(test_arena(), test_folder(), &runs, &e);
    CHECK_MSG(status == GR_OK, "%s", e.what);
    REQUIRE(status == GR_OK);
    return runs;
}

TEST(a_row_comes_back_as_it_was_put) {
    Runs *runs = open_runs();
    RunRow row = small_row("b");
    const double values[] = {3, 1, NAN, 2};
    for (int i = 0; i < 4; i++) runs_measure(test_arena(), &row, STR("val.total"), values[i], i, i < 3);
    runs_measure(test_arena(), &row, STR("val.none"), NAN, 0, true);
    put(runs, &row);
    put(runs, &row);
    RunRow other = small_row("a");
    put(runs, &other);
    RunRows rows = rows_of(runs);
    REQUIRE(rows.at.n == 2);
    CHECK_STR(rows.at.at[0].name, "a");
    const RunRow *r = &rows.at.at[1];
    CHECK(str_eq(r->reason, row.reason) && str_eq(r->note, row.note) && str_eq(r->state, RUN_DONE));
    CHECK(r->epoch == 3 && r->epochs == 10 && r->seconds == 1.5 && r->step == 0);
    REQUIRE(r->settings.n == 2 && r->tags.n == 1 && r->metrics.n == 2);
    CHECK_STR(run_setting(r, STR("rate"))->value, "1e-3");
    const RunMetric *m = run_metric(r, STR("val.total"));
    REQUIRE(m != NULL);
    CHECK(m->last == 2 && m->least == 1 && m->least_epoch == 1 && m->most == 3 && m->most_epoch == 0);
    CHECK(isnan(run_metric(r, STR("val.none"))->least));
    Error e = {0};
    CHECK(runs_drop(runs, STR("b"), &e) == GR_OK);
    CHECK_INT(rows_of(runs).at.n, 1);
    runs_close(runs);
}

/* Each process opens the database that is not there yet, and puts its rows one by one. */
TEST(processes_write_side_by_side) {
    enum { PROCESSES = 6, ROWS = 20 };
    Str folder = test_folder();                /* one for all of them */
    for (int p = 0; p < PROCESSES; p++) {
        if (fork() != 0) continue;
        Runs *runs = NULL;
        Error e = {0};
        bool good = runs_open(test_arena(), folder, &runs, &e) == GR_OK;
        for (int i = 0; i < ROWS && good; i++) {
            RunRow row = small_row(str_format(test_arena(), "run-%d-%02d", p, i % (ROWS / 2)).s);
            good = runs_put(runs, &row, &e) == GR_OK;
        }
        runs_close(runs);
        if (!good) fprintf(stderr, "%s\n", e.what);
        _exit(good ? 0 : 1);
    }
    int status;
    for (int p = 0; p < PROCESSES; p++) CHECK(wait(&status) > 0 && status == 0);
    Runs *runs = open_runs();
    RunRows rows = rows_of(runs);
    CHECK_INT(rows.at.n, PROCESSES * ROWS / 2);
    for (uint32_t i = 0; i < rows.at.n; i++) CHECK_INT(rows.at.at[i].settings.n, 2);
    runs_close(runs);
}

static void make_run(const char *name) {
    Error e = {0};
    Str path = here(name);
    REQUIRE(rundir_make(test_arena(), path, &e) == GR_OK);
    test_write(rundir_file(test_arena(), path, RUN_PROGRAM), STR("graph 1\n"));
    test_write(rundir_file(test_arena(), path, RUN_METRICS),
               STR("{\"event\":\"report\",\"epoch\":0,\"step\":2,\"seconds\":0.1,\"val.total\":0.25}\n"
                   "{\"event\":\"epoch\",\"phase\":\"p\",\"epoch\":1,\"step\":4,\"seconds\":0.5,\"bits\":\"ab\","
                   "\"val.total\":2.5,\"val.table\":[[1,\"nan\"],[\"-inf\",4]]}\n"
                   "{\"event\":\"warn\",\"epoch\":1,\"step\":4,\"split\":\"val\",\"text\":\"x\"}\n"
                   "{\"event\":\"epoch\",\"epo"));
    RunRow row = small_row(name);
    CHECK(card_write(test_arena(), path, &row, &e) == GR_OK);
}

TEST(the_log_is_read_row_by_row) {
    History h;
    Error e = {0};
    make_run("r");
    REQUIRE(history_read(test_arena(), here("r"), &h, &e) == GR_OK);
    REQUIRE(h.at.n == 3);
    const HistoryRow *r = &h.at.at[1];
    CHECK_STR(r->bits, "ab");
    CHECK(r->epoch == 1 && r->step == 4 && r->seconds == 0.5 && history_whole(r) && !history_whole(&h.at.at[0]));
    const HistoryValue *table = history_value(r, STR("val.table"));
    REQUIRE(table != NULL && table->n == 4);
    CHECK(isnan(table->values[1]) && table->values[2] == -INFINITY && table->values[3] == 4);
    CHECK_STR(h.at.at[2].text, "x");
    test_write(here("r/metrics.jsonl"), STR("{}\n[1]\n"));
    CHECK(history_read(test_arena(), here("r"), &h, &e) == GR_DATA);
    CHECK_MSG(strstr(e.what, "line 2: no row"), "%s", e.what);
    CHECK_STR(str_of(e.help), "take the line out of the file: what it says is lost, and no more");
    int64_t at = 0;
    test_write(here("r/metrics.jsonl"), STR("{}\n{}\n"));
    CHECK(history_follow(test_arena(), here("r"), &at, &h, &e) == GR_OK && h.at.n == 2);
    test_write(here("r/metrics.jsonl"), STR("{}\n{}\n{}\nno\n"));       /* who follows counts from the beginning */
    CHECK(history_follow(test_arena(), here("r"), &at, &h, &e) == GR_DATA && h.at.n == 1);
    CHECK_MSG(strstr(e.what, "line 4: no row"), "%s", e.what);
    CHECK(history_read(test_arena(), here("none"), &h, &e) == GR_OK && h.at.n == 0);
}

/* A database that is not there is made of the folders; one that is not one is said to be so, and put aside on
 * request. */
TEST(folders_make_the_index_again) {
    make_run("b");
    make_run("grid/one");
    Runs *runs = open_runs();
    RunRows rows = rows_of(runs);
    REQUIRE(rows.at.n == 2);
    CHECK_STR(rows.at.at[1].name, "grid/one");
    CHECK_STR(rows.at.at[0].note, "β = ½");
    const RunMetric *m = run_metric(&rows.at.at[0], STR("val.total"));
    REQUIRE(m != NULL);
    CHECK(m->last == 2.5 && m->least == 2.5 && m->least_epoch == 1);
    runs_close(runs);

    test_write(here("runs.db"), STR("this is a text, and no database at all, but long enough to be taken for one\n"));
    Error e = {0};
    CHECK(runs_open(test_arena(), test_folder(), &runs, &e) == GR_DATA);
    CHECK_MSG(strstr(e.help, "graphc runs --rebuild"), "%s", e.help);
    test_write(here("b/run.json"), STR("{\"state\": \"done\", "));
    uint32_t found;
    CHECK_MSG(runs_rebuild(test_arena(), test_folder(), &found, &e) == GR_OK, "%s", e.what);
    CHECK_INT(found, 2);
    CHECK(access(here("runs.db.damaged").s, F_OK) == 0);
    runs = open_runs();
    rows = rows_of(runs);
    runs_close(runs);
    static const struct { long at; char byte; const char *says; GrStatus status; } wrong[] = {
        {47, 9, "is damaged", GR_DATA}, {60, 9, "has schema", GR_CHANGED}}; /* of the header: its format, our version */
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        FILE *f = fopen(here("runs.db").s, "r+b");
        REQUIRE(f != NULL && fseek(f, wrong[i].at, SEEK_SET) == 0 && fputc(wrong[i].byte, f) >= 0 && fclose(f) == 0);
        e = (Error){0};
        CHECK(runs_open(test_arena(), test_folder(), &runs, &e) == wrong[i].status);
        CHECK_MSG(strstr(e.what, wrong[i].says) && strstr(e.help, "--rebuild"), "%s", e.what);
        CHECK_MSG(runs_rebuild(test_arena(), test_folder(), &found, &e) == GR_OK && found == 2, "%s", e.what);
    }
    runs = open_runs();
    rows = rows_of(runs);
    REQUIRE(rows.at.n == 2);
    CHECK_STR(rows.at.at[0].state, "killed");
    CHECK_MSG(strstr(rows.at.at[0].reason.s, "run.json, line 1"), "%.*s", FSTR(rows.at.at[0].reason));
    CHECK_STR(rows.at.at[1].state, "done");
    runs_close(runs);
}

/* Wrong bytes anywhere: refused or read, never believed blindly. */
TEST_ALL(a_damaged_index_is_refused_or_read) {
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "run-%02d", i);
        make_run(name);
    }
    runs_close(open_runs());
    Str whole = test_read(here("runs.db"));
    int refused = 0;
    for (uint32_t at = 0; at < whole.n; at += whole.n / 200 + 1) {
        Str bytes = str_copy(test_arena(), whole);
        for (uint32_t k = at; k < at + 32 && k < whole.n; k++) ((char *)bytes.s)[k] ^= 0x5a;
        test_write(here("runs.db"), bytes);
        Runs *runs;
        RunRows rows;
        Error e = {0};
        GrStatus status = runs_open(test_arena(), test_folder(), &runs, &e);
        if (status == GR_OK) status = runs_read(test_arena(), runs, &rows, &e);
        runs_close(runs);
        CHECK_MSG(status == GR_OK || e.what[0], "byte %u: no message", at);
        refused += status != GR_OK;
        uint32_t found = 0;
        status = runs_rebuild(test_arena(), test_folder(), &found, &e);
        CHECK_MSG(status == GR_OK && found == 20, "byte %u: %s", at, e.what);
        unlink(here("runs.db").s);
    }
    CHECK(refused > 0);
}

TEST(a_run_that_is_busy_is_known_to_be) {
    make_run("r");
    int fd;
    Error e = {0};
    CHECK(!rundir_busy(test_arena(), here("r")));
    REQUIRE(rundir_lock(test_arena(), here("r"), &fd, &e) == GR_OK);
    CHECK(rundir_busy(test_arena(), here("r")));
    close(fd);
    CHECK(!rundir_busy(test_arena(), here("r")));
}

TEST(a_path_is_a_folder_and_a_name) {
    Str folder, name;
    run_split(test_arena(), STR("runs/vae-001/"), &folder, &name);
    CHECK_STR(folder, "runs");
    CHECK_STR(name, "vae-001");
    run_split(test_arena(), STR("first"), &folder, &name);
    CHECK_STR(folder, ".");
    CHECK_STR(name, "first");
    run_split(test_arena(), STR("/x"), &folder, &name);
    CHECK_STR(folder, "/");
}

/* docs/runs.md has a row for each column. */
TEST(every_field_is_documented) {
    Str page = test_read(str_format(test_arena(), "%.*s/docs/runs.md", FSTR(test_root())));
#define FIELD(kind, name, what) CHECK_MSG(strstr(page.s, "| `" #name "` |"), "docs/runs.md has no row `" #name "`");
#include "fields.def"
#undef FIELD
}

TEST(records_are_checked_by_crc32c) {
    CHECK_INT(events_crc("123456789", 9), 0xe3069283);
    char zeros[32] = {0};
    CHECK_INT(events_crc(zeros, sizeof zeros), 0x8a9136aa);
    CHECK_INT(events_crc("", 0), 0);
}

/* Every finite value is in a bucket whose limits hold it, with an empty one below where there is a gap. */
TEST(histograms_hold_every_finite_value) {
    const float values[] = {0, 1, 1, -3, 1e30f, -1e-20f, INFINITY, NAN, 250};
    EventHistogram h = events_count(test_arena(), values, 9);
    CHECK(h.n == 7 && h.least == -3 && h.most == (double)1e30f && h.sum == (double)1e30f);
    double all = 0;
    for (uint32_t i = 0; i < h.buckets; i++) {
        double in = 0, low = i ? h.limits[i - 1] : -INFINITY;
        for (int k = 0; k < 9; k++) {
            double x = (double)values[k];
            in += isfinite(x) && x > low && x <= h.limits[i];
        }
        CHECK_MSG(in == h.counts[i], "bucket %u to %g has %g of %g", i, h.limits[i], h.counts[i], in);
        CHECK(i == 0 || h.limits[i] > low);
        all += h.counts[i];
    }
    CHECK(all == 7 && h.buckets < 20);
}
