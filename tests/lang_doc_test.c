/* Every kind of diagnostic has a page that shows the mistake and the way out, and every word of the language a row:
 * what is said there is run. */
#include "doc.h"
#include "lex.h"
#include "lower.h"
#include "test.h"
#include <string.h>

static const Math *math_of(Arena *a) {
    const Math *m;
    Error e = {0};
    REQUIRE(math_create(a, &m, &e) == GR_OK);
    return m;
}

/* The next fenced program behind `*at`; empty when there is none. */
static Str next_block(const char **at, bool *is_ir) {
    const char *open = strstr(*at, "\n```");
    if (open == NULL)
        return (Str){0};
    *is_ir = strncmp(open, "\n```ir\n", 7) == 0;
    const char *text = strchr(open + 1, '\n') + 1, *end = strstr(text, "\n```");
    if (end == NULL)
        return (Str){0};
    *at = end + 4;
    return (Str){text, (uint32_t)(end + 1 - text)};
}

static Diags *run(Arena *a, SourceSet *files, Str text, bool is_ir) {
    Diags *ds = diags_create(a, files);
    if (!is_ir) {
        program_check(a, files, sources_add(files, STR("test.graph"), text), 0, NULL, math_of(a), NULL, ds);
        return ds;
    }
    Module *m = module_parse(a, sources_add(files, STR("test.ir"), text), files, math_of(a), ds);
    for (uint32_t i = 0; m && i < m->graphs.n; i++)
        graph_verify(m->graphs.at[i], ds);
    return ds;
}

static void check_kind(DiagKind k) {
    Arena *a = test_arena();
    Str page = str_copy(a, doc_of_kind(k));
    Str name = str_of(diag_kind_name(k));
    if (page.n == 0) {
        test_failed("docs/kinds", 1, "no page %.*s.md: what it means, a program with the mistake, one without, why",
                    FSTR(name));
        return;
    }
    const char *at = page.s;
    bool is_ir = false;
    CHECK_MSG(str_starts(page, str_format(a, "# %.*s\n", FSTR(name)).s), "%.*s.md has another heading", FSTR(name));
    SourceSet *files = sources_create(a);
    Str wrong = next_block(&at, &is_ir);
    Buf out = buf_make(a);
    diags_render(run(a, files, wrong, is_ir), &out, false);
    Str first = str_format(a, "[%.*s]", FSTR(name));
    CHECK_MSG(wrong.n && out.n && strncmp(strchr(out.s, '['), first.s, first.n) == 0,
              "%.*s.md: the first message of the first program is of another kind:\n%s", FSTR(name),
              out.n ? out.s : "");
    Str right = next_block(&at, &is_ir);
    out.n = 0;
    Diags *ds = run(a, files, right, is_ir);
    diags_render(ds, &out, false);
    CHECK_MSG(right.n && diags_count(ds) == 0, "%.*s.md: the second program has mistakes:\n%s", FSTR(name),
              out.n ? out.s : "");
    CHECK_MSG(strlen(at) > 40, "%.*s.md does not say why", FSTR(name));
}

TEST(doc_has_every_kind) {
    for (int k = 0; k < DIAG_COUNT; k++)
        check_kind((DiagKind)k);
}

TEST(doc_has_every_word) {
    for (TokKind k = T_DIV; k < T_COUNT; k++)
        CHECK_MSG(doc_has_word(str_of(tok_text(k))), "words.def has no row for `%s`", tok_text(k));
    for (uint32_t i = 0; i < intrinsic_count(); i++) {
        Str name = intrinsic_name(intrinsic_at(i));
        CHECK_MSG(doc_has_word(name), "words.def has no row for `%.*s`", FSTR(name));
    }
    for (uint32_t i = 0; uniform_counter_name(i); i++)
        CHECK_MSG(doc_has_word(str_of(uniform_counter_name(i))), "words.def has no row for `%s`",
                  uniform_counter_name(i));
}

TEST(doc_prints_definitions) {
    Arena *a = test_arena();
    Buf out = buf_make(a);
    CHECK(doc_print(a, STR("linear"), &out));
    CHECK(strstr(out.s, "def linear(x : real[.., A], out : dim, bias : bool = yes) -> (y : real[.., out])\n"
                        "    Affine"));
    CHECK(strstr(out.s, "(lib/layers.graph)"));
    out.n = 0;
    CHECK(doc_print(a, STR("broadcast"), &out));           /* a kind, and an operation */
    CHECK(str_starts(buf_str(&out), "[broadcast]\n"));
    CHECK(strstr(out.s, "(operation of the graph IR)"));
    CHECK(strstr(out.s, "\n    export f(price : real[8], pred : real[8, 1])"));
    CHECK(!doc_print(a, STR("linnear"), &out));
    CHECK_STR(doc_nearest(a, STR("linnear")), "linear");
}
