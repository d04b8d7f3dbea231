/* graphc-tests: runs every registered test in a process of its own and counts.
 *
 *     graphc-tests [--tier quick|all|long] [--bless] [--list] [FILTER ...]
 *
 * A filter is part of a test's name.  What a test prints is shown only when it fails, followed by the command that
 * repeats it.  The last line is always `N passed, N failed`; the exit status is 1 when one failed, 2 for wrong
 * usage. */
#define _GNU_SOURCE 1                            /* nftw */
#include "error.h"
#include "runner.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    Str name;
    Tier tier;
    TestFn *run;                   /* or, for a text test: */
    const TextKind *kind;
    Str path;
} Case;

enum { MOST_TESTS = 4096, MOST_KINDS = 64, SHOWN_FAILURES = 20 };

/* The registry, filled before main.  Its tests are written as a constructor in the file that holds them, so a new
 * one is one line there and nothing here. */
static struct {
    struct { const char *file, *name; Tier tier; TestFn *run; } tests[MOST_TESTS];
    TextKind kinds[MOST_KINDS];
    uint32_t n_tests, n_kinds;
} registry;

/* The one test that runs in this process. */
static struct { Arena *arena; Str folder; int failures; bool bless; } running;

void test_register(const char *file, const char *name, Tier tier, TestFn *run) {
    GR_ASSERT(registry.n_tests < MOST_TESTS);
    registry.tests[registry.n_tests].file = file;
    registry.tests[registry.n_tests].name = name;
    registry.tests[registry.n_tests].tier = tier;
    registry.tests[registry.n_tests++].run = run;
}

void text_register(const char *folder, const char *extension, TextFn *run) {
    GR_ASSERT(registry.n_kinds < MOST_KINDS);
    registry.kinds[registry.n_kinds++] = (TextKind){folder, extension, run};
}

Str test_root(void) { return STR(GRAPHC_ROOT); }

bool test_blessing(void) { return running.bless; }

Arena *test_arena(void) {
    if (running.arena == NULL)
        running.arena = arena_create();
    return running.arena;
}

void test_failed(const char *file, int line, const char *fmt, ...) {
    if (++running.failures > SHOWN_FAILURES)
        return;
    printf("%s:%d: ", strncmp(file, GRAPHC_ROOT "/", sizeof GRAPHC_ROOT) == 0 ? file + sizeof GRAPHC_ROOT : file, line);
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st, (void)type, (void)where;
    return remove(path);
}

void test_end(void) {
    if (running.folder.n > 0)
        nftw(running.folder.s, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (running.failures > SHOWN_FAILURES)
        printf("and %d more\n", running.failures - SHOWN_FAILURES);
    arena_destroy(running.arena);
    exit(running.failures > 0);
}

Str test_folder(void) {
    if (running.folder.n == 0) {
        const char *parent = getenv("TMPDIR");
        Str form = str_format(test_arena(), "%s/graphc-test-XXXXXX", parent == NULL ? "/tmp" : parent);
        REQUIRE(mkdtemp((char *)form.s) != NULL);
        running.folder = form;
    }
    return running.folder;
}

Str test_read(Str path) {
    Buf b = buf_make(test_arena());
    FILE *in = fopen(str_copy(test_arena(), path).s, "rb");
    if (in == NULL) {
        test_failed(str_copy(test_arena(), path).s, 1, "cannot be opened: %s", strerror(errno));
        test_end();
    }
    char portion[1 << 14];
    for (size_t n; (n = fread(portion, 1, sizeof portion, in)) > 0;)
        buf_put(&b, (Str){portion, (uint32_t)n});
    fclose(in);
    return buf_str(&b);
}

void test_write(Str path, Str text) {
    FILE *out = fopen(str_copy(test_arena(), path).s, "wb");
    REQUIRE(out != NULL);
    REQUIRE(fwrite(text.s, 1, text.n, out) == text.n);
    REQUIRE(fclose(out) == 0);
}

Ran test_shell(Str line) {
    Arena *a = test_arena();
    Str home = test_folder();
    Str whole = str_format(a,
                           "exec 2>&1; cd '%.*s' && export XDG_CACHE_HOME='%.*s/cache' PATH=\"" GRAPHC_BUILD
                           ":$PATH\"; %.*s",
                           FSTR(home), FSTR(home), FSTR(line));
    FILE *p = popen(whole.s, "r");
    REQUIRE(p != NULL);
    Buf out = buf_make(a);
    char part[1 << 14];
    for (size_t n; (n = fread(part, 1, sizeof part, p)) > 0;)
        buf_put(&out, (Str){part, (uint32_t)n});
    int status = pclose(p);
    REQUIRE(WIFEXITED(status));
    return (Ran){WEXITSTATUS(status), str_copy(a, buf_str(&out))};
}

Ran test_expect(const char *line, int status, const char *text) {
    Ran r = test_shell(str_of(line));
    CHECK_MSG(r.status == status, "%s: status %d, expected %d\n%.*s", line, r.status, status, FSTR(r.out));
    CHECK_MSG(strstr(r.out.s, text) != NULL, "%s does not say \"%s\" but\n%.*s", line, text, FSTR(r.out));
    return r;
}

Str test_tensors(const char *run) {
    Str all = test_read(str_format(test_arena(), "%.*s/%s/last.safetensors", FSTR(test_folder()), run));
    uint64_t header;
    REQUIRE(all.n > sizeof header);
    memcpy(&header, all.s, sizeof header);
    REQUIRE(header < all.n - sizeof header);
    return (Str){all.s + sizeof header + header, all.n - (uint32_t)(sizeof header + header)};
}

void test_same_str(const char *file, int line, const char *what, Str actual, Str expected) {
    if (!str_eq(actual, expected))
        test_failed(file, line, "%s is\n    `%.*s`, expected\n    `%.*s`", what, FSTR(actual), FSTR(expected));
}

/* tests/base_str_test.c -> base_str */
static Str layer_of(const char *file) {
    const char *slash = strrchr(file, '/');
    Str name = str_of(slash == NULL ? file : slash + 1);
    const char *tail = "_test.c";
    return str_ends(name, tail) ? (Str){name.s, name.n - (uint32_t)strlen(tail)} : name;
}

typedef VEC(Case) Cases;
typedef struct { Arena *arena; Cases *cases; } Finding;

static void add_text(void *user, const TextKind *kind, Str path) {
    Finding *f = user;
    Str name = {path.s + strlen("tests/"), path.n - (uint32_t)strlen("tests/")};
    vec_push(f->arena, f->cases, (Case){.name = name, .tier = TIER_QUICK, .kind = kind, .path = path});
}

static int by_name(const void *a, const void *b) {
    return str_compare(((const Case *)a)->name, ((const Case *)b)->name);
}

static Cases all_cases(Arena *a) {
    Cases cases = {0};
    for (uint32_t i = 0; i < registry.n_tests; i++) {
        Str name = str_format(a, "%.*s.%s", FSTR(layer_of(registry.tests[i].file)), registry.tests[i].name);
        vec_push(a, &cases, (Case){.name = name, .tier = registry.tests[i].tier, .run = registry.tests[i].run});
    }
    Finding f = {a, &cases};
    for (uint32_t i = 0; i < registry.n_kinds; i++)
        text_find(a, &registry.kinds[i], add_text, &f);
    if (cases.n > 0)
        qsort(cases.at, cases.n, sizeof *cases.at, by_name);
    return cases;
}

typedef struct { Tier tier; bool bless, list; char **filters; int n_filters; } Wish;

static bool wanted(const Wish *w, const Case *c) {
    if (c->tier > w->tier)
        return false;
    for (int i = 0; i < w->n_filters; i++) {
        if (strstr(c->name.s, w->filters[i]) != NULL)
            return true;
    }
    return w->n_filters == 0;
}

/* Processes that want to run, for each core: a busy machine is given more time. */
static unsigned crowd(void) {
    double load;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    bool known = cores > 0 && getloadavg(&load, 1) == 1 && load > (double)cores;
    return known ? (unsigned)(load / (double)cores) + 1 : 1;
}

static unsigned seconds_allowed(Tier t) {
    unsigned slow = crowd();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    slow *= 10;
#endif
    switch (t) {
    case TIER_QUICK: return 20 * slow;
    case TIER_ALL: return 120 * slow;
    case TIER_LONG: return 1200 * slow;
    }
    GR_BUG("tier %d", (int)t);
}

static _Noreturn void be_test(const Case *c, const Wish *w, FILE *log) {
    setpgid(0, 0);
    dup2(fileno(log), STDOUT_FILENO);
    dup2(fileno(log), STDERR_FILENO);
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(seconds_allowed(c->tier));
    running.bless = w->bless;
    if (c->kind != NULL)
        text_run(c->kind, c->path, w->bless);
    else
        c->run();
    test_end();
}

static void show(const Case *c, int status, FILE *log) {
    printf("FAIL %.*s", FSTR(c->name));
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf(": took more than %u s", seconds_allowed(c->tier));
    else if (WIFSIGNALED(status))
        printf(": %s", strsignal(WTERMSIG(status)));
    printf("\n");
    char portion[1 << 12];
    rewind(log);
    for (size_t n; (n = fread(portion, 1, sizeof portion, log)) > 0;)
        fwrite(portion, 1, n, stdout);
    printf("  again: graphc-tests --tier %s %.*s\n", c->tier == TIER_LONG ? "long" : "all", FSTR(c->name));
}

static bool run_case(const Case *c, const Wish *w) {
    FILE *log = tmpfile();
    fflush(stdout);
    pid_t child = log == NULL ? -1 : fork();
    if (child == 0)
        be_test(c, w, log);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        fprintf(stderr, "graphc-tests: no process for %.*s: %s\n", FSTR(c->name), strerror(errno));
        exit(2);
    }
    kill(-child, SIGKILL);                       /* what the test may have started and left */
    bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!passed)
        show(c, status, log);
    fclose(log);
    return passed;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int run_all(const Cases *cases, const Wish *w) {
    uint32_t passed = 0, failed = 0;
    for (uint32_t i = 0; i < cases->n; i++) {
        const Case *c = &cases->at[i];
        if (!wanted(w, c))
            continue;
        double start = now();
        if (w->list)
            printf("%.*s\n", FSTR(c->name));
        else if (run_case(c, w))
            passed++;
        else
            failed++;
        if (now() - start > 5)
            printf("slow: %.*s took %.1f s\n", FSTR(c->name), now() - start);
    }
    if (w->list)
        return 0;
    if (passed + failed == 0)
        printf("no test has such a name; --list shows all\n");
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

static int usage(const char *what) {
    fprintf(stderr, "graphc-tests: %s\n", what);
    fprintf(stderr, "usage: graphc-tests [--tier quick|all|long] [--bless] [--list] [FILTER ...]\n");
    return 2;
}

static bool parse_tier(const char *word, Tier *out) {
    static const char *const words[] = {[TIER_QUICK] = "quick", [TIER_ALL] = "all", [TIER_LONG] = "long"};
    for (int t = TIER_QUICK; t <= TIER_LONG; t++) {
        if (strcmp(word, words[t]) == 0) {
            *out = (Tier)t;
            return true;
        }
    }
    return false;
}

int main(int n_words, char **words) {
    Wish w = {.tier = TIER_ALL, .filters = words};
    for (int i = 1; i < n_words; i++) {
        if (strcmp(words[i], "--bless") == 0)
            w.bless = true;
        else if (strcmp(words[i], "--list") == 0)
            w.list = true;
        else if (strcmp(words[i], "--tier") == 0) {
            if (i + 1 == n_words || !parse_tier(words[++i], &w.tier))
                return usage("a tier is quick, all or long");
        } else if (words[i][0] == '-')
            return usage("that option does not exist");
        else
            w.filters[w.n_filters++] = words[i];
    }
    Arena *a = arena_create();
    Cases cases = all_cases(a);
    int status = run_all(&cases, &w);
    arena_destroy(a);
    return status;
}
