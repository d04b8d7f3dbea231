/* What `graphc dump` prints is read again by the parser of its stage, and printed again it is the same text. */
#include "kernel.h"
#include "plan.h"
#include "test.h"
#include <string.h>

typedef Str Reprint(SourceSet *s, const Source *text, Diags *ds);

static Str reprint_module(SourceSet *s, const Source *text, Diags *ds) {
    const Math *math;
    Error e;
    REQUIRE(math_create(test_arena(), &math, &e) == GR_OK);
    Module *m = module_parse(test_arena(), text, s, math, ds);
    if (m == NULL) return (Str){"", 0};
    Buf out = buf_make(test_arena());
    m->sources = NULL;
    module_print(m, &out);
    return buf_str(&out);
}

static Str reprint_plan(SourceSet *s, const Source *text, Diags *ds) {
    (void)s;
    Plan *p = plan_parse(test_arena(), text, ds);
    if (p == NULL) return (Str){"", 0};
    Buf out = buf_make(test_arena());
    plan_print(p, NULL, &out);
    return buf_str(&out);
}

/* A kernel is a text of its own; here they stand one behind the other. */
static Str reprint_kernels(SourceSet *s, const Source *text, Diags *ds) {
    Buf out = buf_make(test_arena());
    for (const char *at = text->text.s; at && *at;) {
        const char *next = strstr(at, "\nkernel @");
        Str one = {at, next ? (uint32_t)(next + 1 - at) : (uint32_t)strlen(at)};
        Kernel *k = kernel_parse(test_arena(), sources_add(s, STR("one"), one), ds);
        if (k == NULL) return (Str){"", 0};
        kernel_print(k, NULL, &out);
        at += one.n;
    }
    return buf_str(&out);
}

static Str without_comments(Str text) {
    Buf out = buf_make(test_arena());
    for (uint32_t i = 0; i < text.n; i++) {
        if (text.s[i] == ' ' && i + 2 < text.n && text.s[i + 1] == ' ' && text.s[i + 2] == '#')
            while (i < text.n && text.s[i] != '\n') i++;
        buf_char(&out, text.s[i]);
    }
    return buf_str(&out);
}

/* What dump prints at a stage, read and printed again, is what it was, but for comments. */
static void dump_reads_back(const char *file, const char *stage, Reprint *reprint) {
    Ran r = test_shell(str_format(test_arena(), "graphc dump --stage=%s %s", stage, file));
    REQUIRE(r.status == 0);
    SourceSet *s = sources_create(test_arena());
    Diags *ds = diags_create(test_arena(), s);
    Str again = reprint(s, sources_add(s, STR("dump"), str_copy(test_arena(), r.out)), ds);
    Buf complaints = buf_make(test_arena());
    diags_render(ds, &complaints, false);
    CHECK_MSG(diags_errors(ds) == 0, "%s of %s: %.*s", stage, file, FSTR(buf_str(&complaints)));
    test_same_str(__FILE__, __LINE__, stage, without_comments(again), without_comments(r.out));
}

TEST_ALL(dumps_read_back) {
    static const char *const files[] = {"tiny/conv", "tiny/scan", "fashion/vae"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *file = str_format(test_arena(), "%.*s/graphs/%s.graph", FSTR(test_root()), files[i]).s;
        dump_reads_back(file, "graph", reprint_module);
        dump_reads_back(file, "grad", reprint_module);
        dump_reads_back(file, "opt", reprint_module);
        dump_reads_back(file, "kernel", reprint_kernels);
        dump_reads_back(file, "plan", reprint_plan);
    }
}

static Str dumped(const char *options) {
    Ran r = test_shell(
        str_format(test_arena(), "graphc dump %s %.*s/graphs/tiny/vae.graph", options, FSTR(test_root())));
    CHECK_INT(r.status, 0);
    return r.out;
}

TEST(only_is_for_every_stage) {
    Str tree = dumped("--stage=ast --only=train"), plan = dumped("--stage=plan --only=train"),
        fused = dumped("--stage=fused --only=train");
    CHECK(strstr(tree.s, "\ntrain\n") != NULL && strstr(tree.s, "model") == NULL);
    CHECK(strstr(plan.s, "entry train.vae.train") != NULL && strstr(plan.s, "entry init") == NULL);
    CHECK(str_starts(fused, "train.vae.train (fused)\n") && strstr(fused.s, "init (fused)") == NULL);
}

/* Reductions of several rows are cut before they are fused, whichever rewrites are left out. */
TEST_ALL(rewrites_can_be_left_out) {
    static const char *const passes[] = {"indices", "grad", "simplify", "split"};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        test_expect(str_format(test_arena(),
                               "graphc verify %.*s/graphs/tiny/vae.graph --steps 1 --batch 4 --stop-after=%s",
                               FSTR(test_root()), passes[i]).s, 0, "every bit is the same");
}
