/* Memory that ends: the nth allocation of a command fails, whoever asked for it.  There is a message and status 1, or
 * it was something that one can do without and the command does what it always does; never a crash, and what a
 * command was to write is there as a whole or not at all.
 *
 * Left out: pictures of programs, since fontconfig and Graphviz crash on their own lack of memory.  So does libarchive
 * where it writes gzip and headers; then the pack is still there as a whole or not at all.
 *
 * A library that is loaded before all others counts malloc, its relatives and mmap, and fails one of them.  In a
 * build with sanitizers these belong to the sanitizer, and there is nothing to test. */
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static const char k_program[] =
    "data d { from fresh(rows = 60) as train;  x[i < 4] = normal();  y = 3 * x[0] - x[2]\n"
    "    split val 0.2, train rest of train seed 1 }\n"
    "model net(x : real[N, 4]) -> (y : real[N]) { y = (x |> linear(3) |> linear(1))[:, 0] }\n"
    "objective fit(b : d[N]) { loss square = mse(net(b.x), b.y) }\n"
    "export tell(b : d[N]) -> (y : real[N]) { y = net(b.x) }\n"
    "export two(x : real[N, 4]) -> (y, z : real[N]) { y = net(x);  z = y + 1 }\n"
    "train { optimizer adam(lr = 0.1);  epochs 3;  batch 12;  keep lowest val.total }\n";

static const char k_library[] =
    "#include <errno.h>\n#include <fcntl.h>\n#include <stdatomic.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
    "#include <sys/mman.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n"
    "void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);\n"
    "void *__libc_memalign(size_t, size_t);\n"
    "static atomic_long count;\nstatic long nth;\n"
    "__attribute__((constructor)) static void begin(void) {\n"
    "    const char *text = getenv(\"ALLOC_NTH\");\n"
    "    nth = text ? atol(text) : 0;\n    count = 0;\n}\n"
    "__attribute__((destructor)) static void end(void) {\n"
    "    char text[32];\n"
    "    int fd = nth ? -1 : open(\"count\", O_WRONLY | O_CREAT | O_TRUNC, 0666);\n"
    "    int n = snprintf(text, sizeof text, \"%ld\", (long)count);\n"
    "    if (fd >= 0 && write(fd, text, (size_t)n) == n) close(fd);\n}\n"
    "static int fails(void) { return ++count == nth ? errno = ENOMEM, 1 : 0; }\n"
    "void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }\n"
    "void *calloc(size_t n, size_t m) { return fails() ? NULL : __libc_calloc(n, m); }\n"
    "void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }\n"
    "void *aligned_alloc(size_t a, size_t n) { return fails() ? NULL : __libc_memalign(a, n); }\n"
    "int posix_memalign(void **p, size_t a, size_t n) {\n"
    "    return fails() || !(*p = __libc_memalign(a, n)) ? ENOMEM : 0;\n}\n"
    "void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t at) {\n"
    "    return fails() ? MAP_FAILED : (void *)syscall(SYS_mmap, p, n, prot, flags, fd, at);\n}\n";

/* `before` puts the folder right, `after` succeeds whatever has happened: nothing is half there. */
typedef struct { const char *before, *line, *after; } Command;

static const Command k_reading[] = {
    {"true", "check p.graph", "true"},
    {"true", "fmt p.graph", "true"},
    {"true", "summary p.graph", "true"},
    {"true", "explain p.graph", "true"},
    {"true", "dump --stage=plan p.graph", "true"},
    {"true", "peek p.graph", "true"},
    {"true", "doc mlp", "true"},
    {"true", "data p.graph", "true"},
    {"rm -f q.graph", "new q", "[ ! -e q.graph ] || graphc check q.graph"},
    {"true", "completion bash", "true"},
};
static const Command k_measuring[] = {
    {"true", "verify p.graph --steps 1", "true"},
    {"true", "bench p.graph --rounds=1 --variants=fused", "true"},
};
static const Command k_runs[] = {
    {"true", "eval p.graph --run whole --split val", "true"},
    {"true", "predict p.graph --run whole --split val", "true"},
    {"rm -f y.npy z.npy", "predict p.graph --run whole --export two x.npy y.npy z.npy",
     "[ ! -e y.npy ] || [ -e z.npy ]"},
    {"true", "runs", "graphc runs | grep -q whole"},
    {"rm -f runs.db*", "runs --rebuild --in .", "graphc runs --rebuild --in . && graphc runs | grep -q whole"},
    {"true", "runs show whole", "true"},
    {"true", "runs diff whole other", "true"},
    {"true", "runs export csv", "true"},
    {"true", "runs plot whole --metric val.total", "true"},
    {"true", "runs mark whole --note slow --tag good", "graphc runs show whole | grep -q 'val.total'"},
    {"rm -rf gone; graphc train p.graph -q --run gone -s epochs=1", "runs rm gone",
     "graphc runs show whole && { [ ! -e gone ] || graphc runs rm gone; }"},
    {"rm -f whole.tar.gz", "runs pack whole", "[ ! -e whole.tar.gz ] || graphc rerun whole.tar.gz"},
    {"[ -e p.tar.gz ] || graphc runs pack whole -o p.tar.gz", "rerun p.tar.gz", "true"},
};
static const Command k_training[] = {
    {"rm -rf r", "train p.graph -q --run r",
     "graphc train p.graph -q --run r $([ -e r/resolved.graph ] && echo --resume)"},
    {"rm -rf r; graphc train p.graph -q --run r -s epochs=1", "train p.graph -q --run r --resume",
     "graphc train p.graph -q --run r --resume"},
    {"true", "try p.graph", "true"},
};
static const Command k_sweep[] = {
    {"rm -rf s", "sweep p.graph seed=1,2 --dir s -q", "graphc sweep p.graph seed=1,2 --dir s -q | grep best"},
};

static Str put(const char *name, const char *text) {
    Str path = str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name);
    if (text) test_write(path, str_of(text));
    return path;
}

static void prepare(void) {
    put("p.graph", k_program);
    put("alloc.c", k_library);
    test_expect(GRAPHC_CC " -shared -fPIC -O1 -o alloc.so alloc.c", 0, "");
    test_expect("graphc train p.graph -q --run whole && graphc train p.graph -q --run other -s epochs=2", 0, "");
    static const char dict[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 4), }\n";
    Buf rows = buf_make(test_arena());
    buf_put(&rows, (Str){"\x93NUMPY\1\0", 8});
    buf_put(&rows, (Str){(const char[]){sizeof dict - 1, 0}, 2});
    buf_put(&rows, str_of(dict));
    for (int i = 0; i < 5 * 4; i++) buf_put(&rows, (Str){"\0\0\x80?", 4});
    test_write(put("x.npy", NULL), buf_str(&rows));
}

static Ran run(const Command *c, long nth) {
    return test_shell(str_format(test_arena(), "%s; LD_PRELOAD=$PWD/alloc.so ALLOC_NTH=%ld graphc %s", c->before, nth,
                                 c->line));
}

static void check_after(const Command *c, long nth) {
    Ran r = test_shell(str_of(c->after));
    CHECK_MSG(r.status == 0, "graphc %s, allocation %ld: afterwards %d: %s", c->line, nth, r.status, r.out.s);
    if (strstr(c->line, "--run r") == NULL) return;
    CHECK_MSG(str_eq(test_tensors("r"), test_tensors("whole")), "graphc %s, allocation %ld: other weights", c->line,
              nth);
}

static bool crashed_outside(const Command *c, const Ran *r) {
    enum { SEGMENTATION_FAULT = 139 };
    return r->status == SEGMENTATION_FAULT && strcmp(c->line, "runs pack whole") == 0;
}

/* The first ones and about `points` others; 0: all of them. */
static void fail_each(const Command *commands, size_t n_commands, long points) {
    enum { FIRST = 12 };
    prepare();
    for (size_t i = 0; i < n_commands; i++) {
        const Command *c = &commands[i];
        CHECK_INT(run(c, 0).status, 0);                     /* compiles what is not in the cache */
        CHECK_INT(run(c, 0).status, 0);
        long n = atol(test_read(put("count", NULL)).s), failed = 0;
        bool all = points == 0 || n <= FIRST;
        for (long nth = all ? 1 : i % FIRST + 1; nth <= n; nth += all ? 1 : n / points + 1) {
            Ran r = run(c, nth);
            bool outside = crashed_outside(c, &r);
            failed += r.status == 1;
            CHECK_MSG(r.status == 0 || r.status == 1 || outside, "graphc %s, allocation %ld of %ld: status %d: %s",
                      c->line, nth, n, r.status, r.out.s);
            bool told = strstr(r.out.s, "graphc: ") || strstr(r.out.s, "emory");
            CHECK_MSG(r.status == 0 || told || outside, "graphc %s, allocation %ld of %ld: %s", c->line, nth, n,
                      r.out.s);
            check_after(c, nth);
        }
        CHECK_MSG(failed > 0, "graphc %s: no allocation of %ld was needed", c->line, n);
    }
}
#define FAIL_EACH(commands, points) fail_each(commands, sizeof commands / sizeof *commands, points)

TEST_ALL(commands_that_read_have_no_memory) { FAIL_EACH(k_reading, 8); }
TEST_ALL(commands_that_measure_have_no_memory) { FAIL_EACH(k_measuring, 6); }
TEST_ALL(commands_on_runs_have_no_memory) { FAIL_EACH(k_runs, 6); }
TEST_ALL(a_training_has_no_memory) { FAIL_EACH(k_training, 12); }
TEST_ALL(a_sweep_has_no_memory) { FAIL_EACH(k_sweep, 12); }
TEST_LONG(each_allocation_of_a_reading_command_fails) { FAIL_EACH(k_reading, 0); }
TEST_LONG(each_allocation_of_a_measuring_command_fails) { FAIL_EACH(k_measuring, 200); }
TEST_LONG(each_allocation_of_a_command_on_runs_fails) { FAIL_EACH(k_runs, 300); }
TEST_LONG(each_allocation_of_a_training_fails) { FAIL_EACH(k_training, 600); }
TEST_LONG(each_allocation_of_a_sweep_fails) { FAIL_EACH(k_sweep, 0); }

/* LLVM asks for memory a hundred thousand times. */
TEST_LONG(code_is_generated_without_memory) {
    static const Command c[] = {{"rm -rf r", "train p.graph -q --run r --no-cache --threads 1",
                                 "graphc train p.graph -q --run r $([ -e r/resolved.graph ] && echo --resume)"}};
    FAIL_EACH(c, 150);
}

/* Of the quick tier: the command line, the program, a run. */
TEST(a_lack_of_memory_is_told) {
    static const Command c[] = {{"true", "check p.graph", "true"}, {"rm -rf r", "train p.graph -q --run r", "true"}};
    int told = 0;
    prepare();
    for (long nth = 1; nth < 15; nth++) {
        Ran r = run(&c[0], nth);
        told += strstr(r.out.s, "memory") != NULL;
        CHECK_MSG(r.status == (strstr(r.out.s, "memory") != NULL), "allocation %ld: %d %s", nth, r.status, r.out.s);
    }
    CHECK(told > 8);
    Ran r = run(&c[1], 300);
    CHECK_MSG(r.status == 1 && strstr(r.out.s, "graphc: out of memory"), "%d %s", r.status, r.out.s);
    check_after(&k_training[0], 300);
}
#else
TEST(a_lack_of_memory_is_tested_without_sanitizers) { CHECK(sizeof(void *) == 8); }
#endif
