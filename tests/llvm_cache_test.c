/* The cache of compiled kernels: hit, miss, damage, and two writers at once. */
#include "llvm_rig.h"
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct { const Kernel *kernels[3]; Plan *plan; const Math *math; const char *dir; } Set;

static const Kernel *kernel_named(Arena *a, const char *name, int factor) {
    SourceSet *sources = sources_create(a);
    Str text = str_format(a,
        "kernel @\"%s\"(in %%x: f32[40], out %%y: f32[40])\n  regs 0\n  head b 2\n  axis i 20\n{\n"
                             "  map over i vec i {\n    v0 = load.f32 %%x[20*b + i]\n    v1 = const.f32 %d\n"
                             "    v2 = mul.f32(v0, v1)\n    store(v2) %%y[20*b + i]\n  }\n}\n", name, factor);
    const Kernel *k = kernel_parse(a, sources_add(sources, STR("c.kernel"), text), diags_create(a, sources));
    REQUIRE(k != NULL);
    return k;
}

static Set set_create(Arena *a) {
    Set s = {.kernels = {kernel_named(a, "one", 2), kernel_named(a, "y = 3 x", 3), kernel_named(a, "one",
        5)}};
    Error e;
    REQUIRE(math_create(a, &s.math, &e) == GR_OK);
    s.plan = rig_plan(a, s.kernels, 3);
    s.dir = str_format(a, "%.*s/cache", FSTR(test_folder())).s;
    return s;
}

/* Loads and runs all three; what the loader did. */
static CodeStats run(Arena *a, const Set *s, const CodeOptions *o, bool give_kernels) {
    Error e;
    Code *code;
    REQUIRE(code_create(a, o, &code, &e) == GR_OK);
    bool loaded = code_load(code, s->plan, give_kernels ? s->kernels : NULL, 3, (uint32_t[]){0, 1, 2},
        &e) == GR_OK;
    CHECK_MSG(loaded, "%s", e.what);
    for (uint32_t i = 0; loaded && i < 3; i++)
        rig_compare(a, s->kernels[i], s->math, s->plan, i, code_table(code), "host", i);
    CodeStats stats = code_stats(code);
    code_destroy(code);
    return stats;
}

TEST(hit_after_miss) {
    Arena *a = test_arena();
    Set s = set_create(a);
    CodeOptions o = rig_options(NULL, s.dir);
    CodeStats cold = run(a, &s, &o, true), warm = run(a, &s, &o, true), blind = run(a, &s, &o, false);
    CHECK_INT(cold.compiled, 3);
    CHECK_INT(warm.compiled, 0);
    CHECK_INT(warm.found, 3);
    CHECK_INT(blind.found, 3);
    CodeOptions other = rig_options("haswell", s.dir);
    CHECK_INT(run(a, &s, &other, true).compiled, 3);
}

/* Calls f for every file of the cache whose name starts so. */
static uint32_t each_file(const Set *s, const char *prefix, void (*f)(const char *path)) {
    DIR *d = opendir(s->dir);
    REQUIRE(d != NULL);
    uint32_t n = 0;
    for (struct dirent *file; (file = readdir(d)) != NULL;) {
        if (strncmp(file->d_name, prefix, strlen(prefix)) != 0)
            continue;
        n++;
        f(str_format(test_arena(), "%s/%s", s->dir, file->d_name).s);
    }
    closedir(d);
    return n;
}

static void flip_a_byte(const char *path) {
    int fd = open(path, O_RDWR);
    char c = 0;
    REQUIRE(fd >= 0 && pread(fd, &c, 1, 0x200) == 1);
    c ^= 0x40;
    REQUIRE(pwrite(fd, &c, 1, 0x200) == 1);
    close(fd);
}

static void cut_short(const char *path) { REQUIRE(truncate(path, 100) == 0); }

static void write_nonsense(const char *path) { test_write(str_of(path),
    STR("../../lib/libc.so.6 system\n")); }

static void nothing(const char *path) { (void)path; }

static void damaged(const char *prefix, void (*damage)(const char *path)) {
    Arena *a = test_arena();
    Set s = set_create(a);
    CodeOptions o = rig_options(NULL, s.dir);
    run(a, &s, &o, true);
    CHECK(each_file(&s, prefix, damage) > 0);
    CHECK_INT(run(a, &s, &o, true).compiled, 3);
    CHECK_INT(run(a, &s, &o, true).compiled, 0);
}

TEST(library_with_a_wrong_byte) { damaged("lib-", flip_a_byte); }
TEST(library_cut_short) { damaged("lib-", cut_short); }
TEST(key_that_leads_elsewhere) { damaged("key-", write_nonsense); }

/* All keys lead to the kernel of the first one, a sound one. */
static void lead_astray(const char *path) {
    static char line[1024];
    static size_t n;
    int fd = open(path, O_RDWR | (n ? O_TRUNC : 0));
    if (n == 0)
        n = (size_t)read(fd, line, sizeof line);
    else
        CHECK(write(fd, line, n) == (ssize_t)n);
    close(fd);
}
TEST(key_of_another_kernel) {
    Arena *a = test_arena();
    Set s = set_create(a);
    CodeOptions o = rig_options(NULL, s.dir);
    run(a, &s, &o, true);
    CHECK_INT(each_file(&s, "key-", lead_astray), 3);
    CHECK_INT(run(a, &s, &o, true).compiled, 2);
    CHECK_INT(run(a, &s, &o, true).compiled, 0);
}

TEST(missing_without_kernels) {
    Arena *a = test_arena();
    Set s = set_create(a);
    CodeOptions o = rig_options(NULL, s.dir);
    Code *code;
    Error e = {0};
    REQUIRE(code_create(a, &o, &code, &e) == GR_OK);
    CHECK(code_load(code, s.plan, NULL, 1, (uint32_t[]){0}, &e) == GR_JIT);
    CHECK_STR(str_of(e.what), "the code of kernel one is no longer in the cache");
    code_destroy(code);
}

TEST(folder_that_others_may_enter_is_not_used) {
    Arena *a = test_arena();
    Set s = set_create(a);
    REQUIRE(mkdir(s.dir, 0755) == 0 && chmod(s.dir, 0755) == 0);
    CodeOptions o = rig_options(NULL, s.dir);
    CHECK_INT(run(a, &s, &o, true).compiled, 3);
    CHECK_INT(each_file(&s, "lib-", nothing), 0);
}

TEST(bound_removes_the_oldest) {
    Arena *a = test_arena();
    Set s = set_create(a);
    CodeOptions o = rig_options(NULL, s.dir);
    o.cache_bytes = 1;
    run(a, &s, &o, true);
    CHECK_INT(each_file(&s, "lib-", nothing), 0);
    CHECK_INT(each_file(&s, "key-", nothing), 0);
    CHECK_INT(each_file(&s, "tmp-", nothing), 0);
}

TEST(two_writers_at_once) {
    Arena *a = test_arena();
    Set s = set_create(a);
    CodeOptions o = rig_options(NULL, s.dir);
    pid_t child = fork();
    if (child == 0) {
        run(a, &s, &o, true);
        _exit(0);
    }
    run(a, &s, &o, true);
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    CHECK_INT(run(a, &s, &o, true).compiled, 0);
    CHECK_INT(each_file(&s, "tmp-", nothing), 0);
}

TEST(unknown_processor) {
    Arena *a = test_arena();
    Set s = set_create(a);
    CodeOptions o = rig_options("pentium", "");
    Code *code;
    Error e = {0};
    REQUIRE(code_create(a, &o, &code, &e) == GR_OK);
    CHECK(code_load(code, s.plan, s.kernels, 3, (uint32_t[]){0, 1, 2}, &e) == GR_USAGE);
    CHECK_STR(str_of(e.what), "no code is generated for the processor `pentium`");
    code_destroy(code);
}

TEST(perf_knows_the_names) {
    Arena *a = test_arena();
    Set s = set_create(a);
    CodeOptions o = rig_options(NULL, "");
    o.perf_map = true;
    run(a, &s, &o, true);
    Str path = str_format(a, "/tmp/perf-%ld.map", (long)getpid());
    Str map = test_read(path);
    unlink(path.s);
    CHECK(strstr(str_copy(a, map).s, " k_y___3_x_") != NULL);
}
