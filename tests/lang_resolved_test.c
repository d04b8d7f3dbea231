/* The resolved text of a program is the same program: it has no mistakes, resolves to itself, and gives the same
 * graphs, but for their places. */
#include "lang.h"
#include "test.h"
#include <string.h>

typedef struct { Program *program; Diags *ds; } Checked;

static Checked checked(Str path, Str text) {
    Arena *a = test_arena();
    SourceSet *files = sources_create(a);
    Diags *ds = diags_create(a, files);
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    Program *p = program_check(a, files, sources_add(files, path, text), 0, NULL, math, NULL, ds);
    Buf out = buf_make(a);
    diags_render(ds, &out, false);
    CHECK_MSG(diags_errors(ds) == 0, "%.*s:\n%s\n%.*s", FSTR(path), out.s ? out.s : "", FSTR(text));
    return (Checked){p, ds};
}

/* The graph as text, without the places behind its lines. */
static Str graph_text(const Graph *g) {
    Arena *a = test_arena();
    Buf text = buf_make(a), out = buf_make(a);
    REQUIRE(g != NULL);
    graph_print(g, &text);
    for (const char *at = text.s; *at != 0;) {
        const char *end = strchr(at, '\n'), *from = strstr(at, " from ");
        end = end ? end : at + strlen(at);
        buf_put(&out, (Str){at, (uint32_t)((from && from < end ? from : end) - at)});
        buf_char(&out, '\n');
        at = end + (*end != 0);
    }
    return buf_str(&out);
}

static void same_graphs(Checked x, Checked y, LowerKind kind, Str name) {
    Str a = graph_text(lower_graph(x.program, kind, name, 8, x.ds)),
        b = graph_text(lower_graph(y.program, kind, name, 8, y.ds));
    CHECK_MSG(str_eq(a, b), "the graph %.*s differs:\n%.*s\n%.*s", FSTR(name), FSTR(a), FSTR(b));
}

static void resolves(const char *name) {
    Str path = str_format(test_arena(), "%.*s/%s", FSTR(test_root()), name);
    Checked first = checked(path, test_read(path));
    const Recipe *r = program_recipe(first.program);
    Checked again = checked(path, r->resolved);
    Str text = program_recipe(again.program)->resolved;
    CHECK_MSG(str_eq(text, r->resolved), "%s resolves to\n%.*s\nand that to\n%.*s", name, FSTR(r->resolved),
              FSTR(text));
    same_graphs(first, again, LOWER_INIT, STR("init"));
    for (uint32_t i = 0; i < r->objectives.n; i++)
        same_graphs(first, again, LOWER_EVAL, r->objectives.at[i].name);
    for (uint32_t i = 0; i < r->exports.n; i++)
        same_graphs(first, again, LOWER_EXPORT, r->exports.at[i].name);
}

TEST(programs_resolve_to_themselves) {
    static const char *const files[] = {"graphs/fashion/vae.graph", "graphs/fashion/classifier.graph",
                                        "graphs/tiny/vae.graph", "graphs/tiny/windows.graph", "graphs/tiny/conv.graph",
                                        "graphs/tiny/scan.graph", "graphs/tiny/gan.graph", "graphs/tiny/losses.graph",
                                        "graphs/tiny/order.graph"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        resolves(files[i]);
}
