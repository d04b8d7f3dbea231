/* The same bits in every mode (modes.h): cases that the fuzzer found, and the small programs.  tests/found/
 * holds a seed and a graph a file; what comes out is the list of modes that agree. */
#include "graph_case.h"
#include "program_case.h"
#include "test.h"

static const Math *math(void) {
    const Math *m;
    Error e = {0};
    REQUIRE(math_create(test_arena(), &m, &e) == GR_OK);
    return m;
}

static Str found(Arena *a, const TextTest *t) {
    Scenario *s = case_parse(a, t->input, case_seed(t->input), math());
    if (s == NULL)
        return STR("no module\n");
    Buf what = buf_make(a);
    uint32_t failed;
    if (modes_agree(a, s, MODES_ALL, &failed, &what) && what.n == 0)
        return STR("every mode agrees\n");
    buf_char(&what, '\n');
    return buf_str(&what);
}
TEXT_KIND("found", "ir", found)

static void graphs_agree(const char *name) {
    Arena *a = test_arena();
    Str text = test_read(str_format(a, "%.*s/tests/bits/%s.ir", FSTR(test_root()), name));
    Buf what = buf_make(a);
    uint32_t failed;
    Scenario *s = case_parse(a, text, 71, math());
    REQUIRE(s != NULL);
    CHECK_MSG(modes_agree(a, s, MODES_ALL, &failed, &what), "%.*s", FSTR(buf_str(&what)));
}

TEST_ALL(products_of_bf16) { graphs_agree("products-of-bf16"); }
TEST_ALL(pools_of_convolutions) { graphs_agree("pools"); }
TEST_ALL(sums_in_chunks) { graphs_agree("chunks"); }
TEST_ALL(gradients_of_depthwise_weights) { graphs_agree("depthwise"); }

static void program_agrees(const ProgramWish *w, uint32_t set) {
    Arena *a = test_arena();
    Buf why = buf_make(a), what = buf_make(a);
    ProgramCase c;
    uint32_t failed;
    if (!program_case(w, &c, &why))
        test_failed(w->file, 1, "%s", why.n ? why.s : "cannot be opened");
    else
        CHECK_MSG(modes_agree(a, &c.scenario, set, &failed, &what), "%s: %s", w->file, what.s);
    program_case_close(&c);
}

TEST_ALL(small_programs) {
    static const char *const files[] = {"tiny/conv", "tiny/scan", "tiny/order", "tiny/losses", "tiny/windows",
                                        "tiny/loops"};
    for (uint32_t i = 0; i < sizeof files / sizeof *files; i++) {
        ProgramWish w = {.file = str_format(test_arena(), "%s/graphs/%s.graph", GRAPHC_ROOT, files[i]).s,
                         .steps = 3,
                         .evaluate = true};
        program_agrees(&w, MODES_ALL);
    }
}
