/* Text tests of the grammar, and the programs of tests/programs as a whole.
 *
 * tests/parse/ ** .graph gives its tree, then its messages; with `# test: fmt` the formatted text; with `# test: quiet`
 * the messages alone. */
#include "test.h"
#include "syntax.h"
#include <dirent.h>
#include <stdlib.h>

static Str parse(Arena *a, const TextTest *t)
{
    SourceSet *sources = sources_create(a);
    const Source *s = sources_add(sources, STR("test.graph"), t->input);
    Diags *d = diags_create(a, sources);
    Buf out = buf_make(a);
    if (text_flag(t, "fmt")) {
        fmt_source(s, d, &out);
    } else {
        const AstFile *file = parse_source(a, s, d);
        if (!text_flag(t, "quiet")) {
            ast_print(file, &out);
        }
    }
    diags_render(d, &out, false);
    return buf_str(&out);
}

TEXT_KIND("parse", "graph", parse)

/* Parses and formats without a message, keeps its tree, and formatting again changes nothing. */
static void check_program(const char *name)
{
    Arena *a = test_arena();
    SourceSet *sources = sources_create(a);
    Diags *d = diags_create(a, sources);
    Str path = str_format(a, "%.*s/tests/programs/%s", FSTR(test_root()), name);
    const Source *s = sources_add(sources, path, test_read(path));
    Buf tree = buf_make(a), once = buf_make(a), tree_once = buf_make(a), twice = buf_make(a);
    ast_print(parse_source(a, s, d), &tree);
    fmt_source(s, d, &once);
    const Source *f = sources_add(sources, STR("formatted.graph"), buf_str(&once));
    ast_print(parse_source(a, f, d), &tree_once);
    fmt_source(f, d, &twice);
    CHECK_MSG(diags_count(d) == 0, "%s has messages", name);
    CHECK_STR(buf_str(&once), s->text.s);
    CHECK_STR(buf_str(&tree_once), tree.s);
    CHECK_STR(buf_str(&twice), once.s);
}

TEST(programs_are_in_their_layout)
{
    struct dirent **entries;
    Str folder = str_format(test_arena(), "%.*s/tests/programs", FSTR(test_root()));
    int n = scandir(folder.s, &entries, NULL, alphasort), programs = 0;
    for (int i = 0; i < n; i++) {
        Str name = str_copy(test_arena(), str_of(entries[i]->d_name));
        free(entries[i]);
        if (str_ends(name, ".graph")) {
            check_program(name.s);
            programs++;
        }
    }
    if (n >= 0) {
        free(entries);
    }
    CHECK(programs >= 10);
}

static uint32_t errors_in(const char *text, uint32_t n)
{
    Arena *a = test_arena();
    SourceSet *sources = sources_create(a);
    Diags *d = diags_create(a, sources);
    parse_source(a, sources_add(sources, STR("t.graph"), (Str){text, n}), d);
    return diags_errors(d);
}

static uint32_t errors_in_repeated(const char *before, const char *part, uint32_t times)
{
    Buf b = buf_make(test_arena());
    buf_printf(&b, "%s", before);
    for (uint32_t i = 0; i < times; i++) {
        buf_printf(&b, "%s", part);
    }
    return errors_in(b.s, (uint32_t)b.n);
}

/* What would overflow a stack or a report in a careless parser ends in few messages. */
TEST(deep_and_long_texts_are_refused)
{
    CHECK_INT(errors_in_repeated("y = ", "(", 100000), 1);
    CHECK_INT(errors_in_repeated("y = ", "-", 100000), 1);
    CHECK_INT(errors_in_repeated("y = x", " + x", 100000), 1);
    CHECK_INT(errors_in_repeated("y = x", "'", 100000), 1);
    CHECK_INT(errors_in_repeated("y = ", "not ", 100000), 1);
    CHECK(errors_in_repeated("def f(x) -> (y) ", "{ if x ", 100000) >= 1);
    CHECK(errors_in_repeated("y = ", "match x { a => ", 100000) >= 1);
    CHECK(errors_in_repeated("", "\x80 ", 100000) <= 101);
    CHECK(errors_in_repeated("", "}\n", 100000) <= 101);
    CHECK_INT(errors_in_repeated("y = x", " + x", 900), 0);
    CHECK_INT(errors_in("", 0), 0);
}
