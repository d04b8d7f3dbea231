/* Kernels of tests/kernel with a few changes (kernel_mutant.h): the verifier says no, or compiled code does what the
 * interpreter does.  `./dev fuzz` goes on with more of them, and says the text of what it finds. */
#include "fuzz_guard.h"
#include "kernel_mutant.h"
#include "llvm_rig.h"
#include "test.h"
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *x, const void *y) { return str_compare(*(const Str *)x, *(const Str *)y); }

typedef VEC(Str) Names;
static Names kernel_files(Arena *a) {
    DIR *d = opendir(str_format(a, "%.*s/tests/kernel", FSTR(test_root())).s);
    Names names = {0};
    REQUIRE(d != NULL);
    for (struct dirent *f; (f = readdir(d)) != NULL;) {
        if (str_ends(str_of(f->d_name), ".kernel"))
            vec_push(a, &names, str_copy(a, str_of(f->d_name)));
    }
    closedir(d);
    qsort(names.at, names.n, sizeof(Str), by_name);
    return names;
}

static Kernel *parsed(Arena *a, Str text) {
    SourceSet *sources = sources_create(a);
    return kernel_parse(a, sources_add(sources, STR("mutant.kernel"), text), diags_create(a, sources));
}

/* The kernel changed by the seed, read again from its text; NULL when it is not valid. */
static Kernel *mutant(Arena *a, Str text, uint64_t seed, const char *cpu, Str *as_text) {
    Error e = {0};
    Kernel *k = parsed(a, text);
    if (k == NULL)
        return NULL;
    mutant_change(k, seed);
    if (!kernel_verify(k, &e) || !mutant_small(k) || !rig_compilable(k, cpu))
        return NULL;
    Buf b = buf_make(a);
    kernel_print(k, NULL, &b);
    *as_text = buf_str(&b);
    Kernel *again = parsed(a, *as_text);
    CHECK_MSG(again != NULL && kernel_key(again) == kernel_key(k), "does not read as it prints:\n%.*s",
              FSTR(*as_text));
    return again;
}

typedef struct { const Kernel *k; const Math *m; const char *cpu; uint64_t seed; } Case;

/* In a process of its own: the generator may crash, or what it made. */
static void run_case(void *user, Guard *g) {
    const Case *c = user;
    Arena *a = arena_create();
    Buf what = buf_make(a);
    g->finding = !rig_holds(a, c->k, c->m, c->cpu, c->seed, &what);
    snprintf(g->what, GUARD_WHAT, "%.*s", FSTR(buf_str(&what)));
    arena_destroy(a);
}

/* `each` valid mutants of every file. */
static void mutants(const char *cpu, uint64_t first, uint32_t each) {
    enum { TRIES = 60, SECONDS = 20 };
    Arena *names = arena_create();
    Guard *g = guard_create();
    const Math *m;
    Error e;
    uint32_t ran = 0;
    REQUIRE(math_create(names, &m, &e) == GR_OK);
    dlopen(GRAPHC_BUILD "/lib/libgraphc-llvm.so", RTLD_NOW);       /* once here, and not in every child */
    Names files = kernel_files(names);
    for (uint32_t f = 0; f < files.n; f++) {
        Str text = test_read(str_format(names, "%.*s/tests/kernel/%.*s", FSTR(test_root()), FSTR(files.at[f])));
        text.n = (uint32_t)(strstr(text.s, "---- expected") - text.s);
        uint64_t seed = first + f * 1000000u;
        uint32_t done = 0;
        for (uint32_t i = 0; done < each && i < TRIES * each; i++, seed++) {
            Arena *a = arena_create();
            Str as_text;
            Case c = {mutant(a, text, seed, cpu, &as_text), m, cpu, seed};
            GuardEnd end = c.k == NULL ? GUARD_WELL : guard_run(g, run_case, &c, SECONDS);
            CHECK_MSG(end == GUARD_WELL, "%.*s, seed %llu: %s: %s\n%.*s", FSTR(files.at[f]), (unsigned long long)seed,
                      guard_end_name(end), g->what, FSTR(as_text));
            done += c.k != NULL;
            arena_destroy(a);
        }
        ran += done;
    }
    CHECK_MSG(ran > files.n * each / 2, "only %u of %u mutants are valid", ran, files.n * each);
    arena_destroy(names);
}

TEST(mutants_host) { mutants(NULL, 1, 1); }
TEST_ALL(more_mutants_host) { mutants(NULL, 1001, 6); }
TEST_ALL(more_mutants_haswell) { mutants("haswell", 2001, 6); }
TEST_LONG(many_mutants) {
    mutants(NULL, 10001, 60);
    mutants("haswell", 20001, 60);
}
