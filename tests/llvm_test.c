/* The code generator against the kernel interpreter: every bit of every buffer, for this machine and for
 * haswell. */
#include "llvm_rig.h"
#include "test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef VEC(const Kernel *) Kernels;

/* ---- the kernels under tests/kernel ---- */
static int by_name(const void *x, const void *y) { return str_compare(*(const Str *)x, *(const Str *)y); }

static Kernels kernels_of_files(Arena *a, const char *cpu) {
    Str folder = str_format(a, "%.*s/tests/kernel", FSTR(test_root()));
    VEC(Str) names = {0};
    Kernels found = {0};
    DIR *d = opendir(folder.s);
    REQUIRE(d != NULL);
    for (struct dirent *f; (f = readdir(d)) != NULL;)
        if (str_ends(str_of(f->d_name), ".kernel"))
            vec_push(a, &names, str_copy(a, str_of(f->d_name)));
    closedir(d);
    qsort(names.at, names.n, sizeof(Str), by_name);
    for (uint32_t i = 0; i < names.n; i++) {
        Str text = test_read(str_format(a, "%.*s/%.*s", FSTR(folder), FSTR(names.at[i])));
        const char *end = strstr(str_copy(a, text).s, "---- expected");
        if (end != NULL)
            text = str_copy(a, (Str){text.s, (uint32_t)(strstr(text.s, "---- expected") - text.s)});
        SourceSet *sources = sources_create(a);
        Diags *ds = diags_create(a, sources);
        const Kernel *k = kernel_parse(a, sources_add(sources, names.at[i], text), ds);
        Error e;
        if (k != NULL && diags_errors(ds) == 0 && kernel_verify(k, &e) && rig_compilable(k, cpu))
            vec_push(a, &found, k);
    }
    return found;
}

static void compare_all(const Kernels *ks, const char *cpu, uint32_t seeds) {
    Arena *a = test_arena();
    const Math *m;
    Error e;
    Code *code;
    REQUIRE(math_create(a, &m, &e) == GR_OK);
    CodeOptions o = rig_options(cpu, "");
    CHECK_MSG(code_create(a, &o, &code, &e) == GR_OK, "%s", e.what);
    Plan *plan = rig_plan(a, ks->at, ks->n);
    uint32_t *which = PUSH(a, uint32_t, ks->n);
    for (uint32_t i = 0; i < ks->n; i++)
        which[i] = i;
    bool loaded = code_load(code, plan, ks->at, ks->n, which, &e) == GR_OK;
    CHECK_MSG(loaded, "%s", e.what);
    for (uint32_t i = 0; loaded && i < ks->n; i++)
        for (uint32_t s = 0; s < seeds; s++) {
            ArenaMark mark = arena_mark(a);
            rig_compare(a, ks->at[i], m, plan, i, code_table(code), cpu == NULL ? "host" : cpu, s * 1000 + i);
            arena_pop(mark);
        }
    CodeStats stats = code_stats(code);
    printf("%u kernels for %s: %.1f ms\n", stats.compiled, cpu == NULL ? "host" : cpu, stats.compile_ms);
    code_destroy(code);
}

TEST(files_host) {
    Kernels ks = kernels_of_files(test_arena(), NULL);
    CHECK(ks.n > 10);
    compare_all(&ks, NULL, 3);
}

TEST(files_haswell) {
    Kernels ks = kernels_of_files(test_arena(), "haswell");
    compare_all(&ks, "haswell", 3);
}

/* Kernels that come later may be, or call, what was compiled before; without a cache nothing else knows of it. */
TEST(code_is_compiled_once_for_all_loads) {
    Arena *a = test_arena();
    Kernels ks = kernels_of_files(a, NULL);
    const Kernel *tile = NULL;
    for (uint32_t i = 0; i < ks.n && tile == NULL; i++)
        tile = rig_plan(a, &ks.at[i], 1)->micros.n > 0 ? ks.at[i] : NULL;
    REQUIRE(tile != NULL);
    const Kernel *twice[] = {tile, tile};
    Plan *plan = rig_plan(a, twice, 2);
    CodeOptions o = rig_options(NULL, "");
    Error e;
    Code *code;
    REQUIRE(code_create(a, &o, &code, &e) == GR_OK);
    for (uint32_t i = 0; i < 2; i++)
        CHECK_MSG(code_load(code, plan, &twice[i], 1, &i, &e) == GR_OK, "%s", e.what);
    CHECK(code_table(code).kernels[0] == code_table(code).kernels[1]);
    code_destroy(code);
}
