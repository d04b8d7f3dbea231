/* Files of a run: whole or refused, never written over, and what happens when the disk is full. */
#include "test.h"
#include "atomic.h"
#include "json_real.h"
#include "rundir.h"
#include "runlog.h"
#include "safetensors.h"
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_SAYS(e, part)                                                                                  \
    CHECK_MSG(strstr((e).what, part) != NULL, "`%s` does not say `%s`", (e).what, part)

static Str here(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

/* The limit on the size of files stands for a full disk: a write comes back with an error. */
static void limit_files(uint64_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY});
}

static StoreFile small_file(void) {
    static const float w[4] = {1, -2, 3, 4};
    static const int32_t steps[1] = {7};
    StoreFile f = {0};
    vec_push(test_arena(), &f.tensors,
             (StoreTensor){STR("net.linear1.w"), DT_F32, shape_of(2, (int64_t[]){2, 2}), w});
    vec_push(test_arena(), &f.tensors, (StoreTensor){STR("count"), DT_I32, {0}, steps});
    vec_push(test_arena(), &f.tensors, (StoreTensor){STR("none"), DT_U8, shape_of(1, (int64_t[]){0}), w});
    vec_push(test_arena(), &f.texts, (StoreText){STR("epoch"), STR("3")});
    return f;
}

TEST(safetensors_round) {
    StoreFile f = small_file(), g;
    Error e = {0};
    REQUIRE(safetensors_write(test_arena(), here("a.safetensors"), &f, &e) == GR_OK);
    REQUIRE(safetensors_read(test_arena(), here("a.safetensors"), &g, &e) == GR_OK);
    CHECK_INT(g.tensors.n, 3);
    for (uint32_t i = 0; i < f.tensors.n; i++) {
        const StoreTensor *t = store_tensor(&g, f.tensors.at[i].name), *o = &f.tensors.at[i];
        REQUIRE(t != NULL && t->dtype == o->dtype && shape_eq(t->shape, o->shape));
        CHECK(memcmp(t->at, o->at, (size_t)shape_count(t->shape) * dtype_bytes(t->dtype)) == 0);
    }
    REQUIRE(store_text(&g, "epoch") != NULL);
    CHECK_STR(*store_text(&g, "epoch"), "3");
    CHECK(store_text(&g, "step") == NULL && store_tensor(&g, STR("b")) == NULL);
    CHECK(access(here("a.safetensors.part").s, F_OK) != 0);
}

TEST(safetensors_write_canonical_nan_and_read_without_denormals) {
    uint32_t bits[3] = {0xffc12345u, 0x00000001u, 0x80000001u};
    StoreFile f = {0}, g;
    Error e = {0};
    vec_push(test_arena(), &f.tensors, (StoreTensor){STR("x"), DT_F32, shape_of(1, (int64_t[]){3}), bits});
    REQUIRE(safetensors_write(test_arena(), here("a"), &f, &e) == GR_OK);
    REQUIRE(safetensors_read(test_arena(), here("a"), &g, &e) == GR_OK);
    CHECK(memcmp(g.tensors.at[0].at, (uint32_t[]){0x7fc00000u, 0, 0x80000000u}, 12) == 0);
}

TEST(safetensors_cut_at_every_byte_are_refused) {
    StoreFile f = small_file(), g;
    Error e = {0};
    REQUIRE(safetensors_write(test_arena(), here("a"), &f, &e) == GR_OK);
    Str whole = test_read(here("a"));
    for (uint32_t n = 0; n < whole.n; n++) {
        Error cut = {0};
        test_write(here("cut"), (Str){whole.s, n});
        CHECK_MSG(safetensors_read(test_arena(), here("cut"), &g, &cut) == GR_CHECKPOINT && cut.what[0] != 0,
                  "%u bytes", n);
    }
}

/* A damaged file may still be a file, but it never leads outside itself (the sanitizers look). */
TEST(safetensors_with_any_byte_changed_do_no_harm) {
    StoreFile f = small_file(), g;
    Error e = {0};
    REQUIRE(safetensors_write(test_arena(), here("a"), &f, &e) == GR_OK);
    Str whole = test_read(here("a"));
    char *bytes = memcpy(PUSH(test_arena(), char, whole.n), whole.s, whole.n);
    for (uint32_t i = 0; i < whole.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (char)(1 << bit);
            test_write(here("changed"), (Str){bytes, whole.n});
            GrStatus s = safetensors_read(test_arena(), here("changed"), &g, &e);
            CHECK(s == GR_OK || s == GR_CHECKPOINT);
            bytes[i] ^= (char)(1 << bit);
        }
    }
}

static void check_lie(const char *header, const char *says) {
    uint64_t n = strlen(header);
    Buf b = buf_make(test_arena());
    StoreFile g;
    Error e = {0};
    buf_put(&b, (Str){(const char *)&n, 8});
    buf_put(&b, str_of(header));
    buf_put(&b, (Str){"12345678", 8});
    test_write(here("lie"), buf_str(&b));
    CHECK_MSG(safetensors_read(test_arena(), here("lie"), &g, &e) == GR_CHECKPOINT, "%s", header);
    CHECK_SAYS(e, says);
}

TEST(safetensors_that_lie_are_refused) {
    check_lie("[]", "not a JSON object");
    check_lie("{", "not a JSON object");
    check_lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "no type, shape or place");
    check_lie("{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", "type F31");
    check_lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "not of its size");
    check_lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", "not in the file");
    check_lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "not in the file");
    check_lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "not of its size");
    check_lie("{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}",
              "not of its size");
    check_lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
              "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "overlap");
    check_lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "leave gaps");
    check_lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "longer than its tensors");
    check_lie("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,8],\"data_offsets\":[0,8]}}",
              "not of its size");
    check_lie("{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
              "no text");
}

TEST(a_full_disk_keeps_the_last_good_file) {
    float *w = PUSH(test_arena(), float, 100000);
    StoreFile f = small_file(), big = {0}, g;
    Error e = {0};
    vec_push(test_arena(), &big.tensors,
             (StoreTensor){STR("w"), DT_F32, shape_of(1, (int64_t[]){100000}), w});
    REQUIRE(safetensors_write(test_arena(), here("last"), &f, &e) == GR_OK);
    limit_files(100000);
    CHECK(safetensors_write(test_arena(), here("last"), &big, &e) == GR_IO);
    CHECK_SAYS(e, "writing");
    CHECK(strstr(e.help, "make room") != NULL);
    CHECK(access(here("last.part").s, F_OK) != 0);
    CHECK(safetensors_read(test_arena(), here("last"), &g, &e) == GR_OK && g.tensors.n == 3);
}

TEST(atomic_writes_where_it_may) {
    Error e = {0};
    CHECK(atomic_write_text(test_arena(), here("a.txt"), STR("one\n"), &e) == GR_OK);
    CHECK(atomic_write_text(test_arena(), here("a.txt"), STR("two\n"), &e) == GR_OK);
    CHECK_STR(test_read(here("a.txt")), "two\n");
    CHECK(atomic_write_text(test_arena(), here("no/a.txt"), STR("x"), &e) == GR_IO);
    CHECK_SAYS(e, "no/a.txt");
    CHECK(atomic_write_text(test_arena(), STR("/dev/null"), STR("x"), &e) == GR_IO);
    CHECK_SAYS(e, "not a plain file");
}

TEST(runlog_appends_and_goes_back) {
    RunLog *l;
    Error e = {0};
    const float table[4] = {1, 2, 0.1f, INFINITY};
    const LogField row[] = {
        {.name = STR("split"), .kind = LOG_TEXT, .text = STR("val")},
        {.name = STR("epoch"), .kind = LOG_INT, .i = 3},
        {.name = STR("total"), .kind = LOG_REAL, .x = 0.25},
        {.name = STR("table"), .kind = LOG_TENSOR, .shape = shape_of(2, (int64_t[]){2, 2}), .values = table},
        {.name = STR("bad"), .kind = LOG_REAL, .x = NAN},
    };
    REQUIRE(runlog_open(test_arena(), here("m.jsonl"), 0, &l, &e) == GR_OK);
    REQUIRE(runlog_row(l, row, 5, &e) == GR_OK);
    int64_t one = runlog_bytes(l);
    REQUIRE(runlog_row(l, row, 2, &e) == GR_OK);
    runlog_close(l);
    REQUIRE(runlog_open(test_arena(), here("m.jsonl"), one, &l, &e) == GR_OK);
    REQUIRE(runlog_row(l, row, 1, &e) == GR_OK);
    limit_files((uint64_t)runlog_bytes(l) + 5);
    CHECK(runlog_row(l, row, 5, &e) == GR_IO);
    runlog_close(l);
    CHECK_STR(test_read(here("m.jsonl")),
              "{\"split\":\"val\",\"epoch\":3,\"total\":0.25,\"table\":[[1.0,2.0],[0.100000001,\"inf\"]],"
              "\"bad\":\"nan\"}\n{\"split\":\"val\"}\n");
}

TEST(rundir_never_writes_over) {
    Arena *a = test_arena();
    Str path;
    Error e = {0};
    for (int i = 1; i <= 3; i++) {
        REQUIRE(rundir_create(a, here("deep/runs"), STR("vae"), &path, &e) == GR_OK);
        CHECK_STR(path, here(i == 1   ? "deep/runs/vae-001"
                             : i == 2 ? "deep/runs/vae-002"
                                      : "deep/runs/vae-003")
                            .s);
    }
    CHECK(rundir_use(a, here("mine"), false, &e) == GR_OK);
    CHECK(rundir_use(a, here("mine"), false, &e) == GR_OK);
    CHECK(rundir_use(a, here("mine"), true, &e) == GR_IO);
    CHECK_SAYS(e, "there is no run");
    test_write(here("mine/notes.txt"), STR("x"));
    CHECK(rundir_use(a, here("mine"), false, &e) == GR_IO);
    CHECK_SAYS(e, "not empty and holds no run");
    test_write(here("mine/" RUN_LAST), STR("x"));
    CHECK(rundir_use(a, here("mine"), false, &e) == GR_IO);
    CHECK_SAYS(e, "holds a run already");
    CHECK(rundir_use(a, here("mine"), true, &e) == GR_OK);
    CHECK(rundir_use(a, here("mine/notes.txt"), false, &e) == GR_IO);
    CHECK_SAYS(e, "is a file");
    CHECK(rundir_use(a, STR("/proc/nothing/run"), false, &e) == GR_IO);
    CHECK_SAYS(e, "cannot be made");
}

TEST(numbers_of_rows_come_back_and_other_texts_are_nan) {
    static const double values[] = {0.1, -3, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *v = json_real_make(values[i]);
        double back = json_real_read(v);
        CHECK(isnan(values[i]) ? isnan(back) : back == values[i]);
        json_decref(v);
    }
    json_t *other = json_string("infinite");
    CHECK(isnan(json_real_read(other)));
    CHECK(isnan(json_real_read(NULL)));
    json_decref(other);
}
