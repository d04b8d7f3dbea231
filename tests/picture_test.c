/* Pictures: the text that is drawn of small programs, files that begin as they should, and wrong use. */
#include "test.h"
#include <string.h>
#include <sys/stat.h>

/* Lines of the library may move: their numbers are left out. */
static Str without_library_lines(Arena *a, Str text) {
    Buf out = buf_make(a);
    for (uint32_t i = 0; i < text.n; i++) {
        buf_char(&out, text.s[i]);
        if (!str_ends(buf_str(&out), ".graph:") || str_ends(buf_str(&out), "small.graph:")) continue;
        buf_put(&out, STR(".."));
        while (strchr("0123456789,", text.s[i + 1]) != NULL)
            i++;
    }
    return buf_str(&out);
}

/* On one machine and thread: tiles and their number depend on both. */
static Str draw(Arena *a, const TextTest *t) {
    Str file = str_format(a, "%.*s/small.graph", FSTR(test_folder()));
    test_write(file, t->input);
    Str stage = text_value(t, "stage");
    Ran r = test_shell(
        str_format(a, "graphc dump small.graph --cpu=haswell --threads=1 --picture small.dot %s%.*s",
                   stage.n ? "--stage=" : "", FSTR(stage)));
    if (r.status != 0) return r.out;
    return without_library_lines(a, test_read(str_format(a, "%.*s/small.dot", FSTR(test_folder()))));
}
TEXT_KIND("picture", "graph", draw)

static const char k_conv[] = "graphs/tiny/conv.graph";

static Ran drawn(const char *arguments) {
    return test_shell(
        str_format(test_arena(), "graphc dump %.*s/%s %s", FSTR(test_root()), k_conv, arguments));
}

static void begins(const char *file, const char *with, uint32_t n) {
    Str text = test_read(str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), file));
    CHECK_MSG(text.n > 1000 && memcmp(text.s, with, n) == 0, "%s: %u bytes, and not how it begins", file,
              text.n);
}

TEST(files_are_of_their_kind) {
    CHECK_INT(drawn("--picture model.svg").status, 0);
    CHECK_INT(drawn("--picture step.png --stage=opt").status, 0);
    CHECK_INT(drawn("--picture kernels.pdf --stage=fused").status, 0);
    begins("model.svg", "<?xml", 5);
    begins("step.png", "\x89PNG", 4);
    begins("kernels.pdf", "%PDF", 4);
}

/* What is in the boxes changes with every move of fusion; that there are boxes, flows and their kinds does not. */
TEST(kernels_are_drawn) {
    static const char *const parts[] = {"<b>updates</b>", "<b>metrics and states</b>", "flop", "wave ",
                                        "conv.graph:", "dir=back", "style=dashed"};
    CHECK_INT(drawn("--picture kernels.dot --stage=fused").status, 0);
    Str dot = test_read(str_format(test_arena(), "%.*s/kernels.dot", FSTR(test_folder())));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CHECK_MSG(strstr(dot.s, parts[i]), "kernels.dot has no %s", parts[i]);
}

TEST(a_picture_replaces_the_one_before) {
    CHECK_INT(drawn("--picture model.svg").status, 0);
    CHECK_INT(drawn("--picture model.svg --stage=graph --only=eval").status, 0);
    begins("model.svg", "<?xml", 5);
}

static void expect(const char *arguments, int status, const char *text) {
    Ran r = drawn(arguments);
    CHECK_MSG(r.status == status, "%s: status %d, expected %d\n%.*s", arguments, r.status, status,
              FSTR(r.out));
    CHECK_MSG(strstr(r.out.s, text), "%s does not say \"%s\" but\n%.*s", arguments, text, FSTR(r.out));
}

TEST(wrong_use_is_explained) {
    expect("--picture model.bmp", 2,
           "a picture is an .svg, .png, .pdf or .dot, by the ending of its name, not `model.bmp`");
    expect("--picture svg", 2, "not `svg`");
    expect("--picture a.svg --stage=ast", 2, "there is no picture of the stage `ast`");
    expect("--picture a.svg --stage=llvm", 2, "there is no picture of the stage `llvm`");
    expect("--picture nowhere/a.svg", 1,
           "the picture nowhere/a.svg cannot be written: No such file or directory");
    expect("--picture a.svg --only=moon", 1, "has `moon` in its name");
    expect("--picture a.svg --only=begin", 1, "no graph with something to draw");
}

TEST(memory_is_drawn) {
    CHECK_INT(drawn("--stage=memory --picture memory.png").status, 0);
    CHECK_INT(drawn("--stage=memory --only=eval --picture memory.pdf").status, 0);
    CHECK_INT(drawn("--stage=memory --picture memory.svg --max-memory 1GB").status, 0);
    expect("--stage=memory --picture nowhere/m.png", 1, "the picture nowhere/m.png cannot be written: No such file");
    expect("--stage=memory --picture nowhere/m.svg", 1, "the picture nowhere/m.svg cannot be written: No such file");
    begins("memory.png", "\x89PNG", 4);
    begins("memory.pdf", "%PDF", 4);
    begins("memory.svg", "<?xml", 5);
    Ran table = drawn("--stage=memory --only=train");
    CHECK(strstr(table.out.s, "train.classify.train (fused): "));
    CHECK(strstr(table.out.s, "bytes at "));
    CHECK(strstr(table.out.s, ", at the peak  "));
    CHECK(strstr(table.out.s, "lib/layers.graph:"));
    CHECK(strstr(table.out.s, "eval") == NULL);
    Ran dot = drawn("--stage=memory --picture memory.dot");
    CHECK_INT(dot.status, 2);
    CHECK(strstr(dot.out.s, "memory is drawn as an .svg, .png or .pdf"));
    CHECK_INT(drawn("--stage=memory --only=nothing --picture memory.png").status, 1);
    Ran nowhere = drawn("--stage=memory --picture no/such/folder/memory.png");
    CHECK_INT(nowhere.status, 1);
    CHECK(strstr(nowhere.out.s, "cannot be written"));
}

/* A weight gradient of few channels is summed in parts, which lie in a table. */
TEST(a_table_of_parts_is_told) {
    static const char text[] =
        "graph 1\n"
        "data shapes {\n"
        "    from fresh(rows = 256) as train\n"
        "    noise[y < 33, x < 64] = normal()\n"
        "    picture : f32[33, 64] = noise\n"
        "}\n"
        "model net(x : real[N, 1, 33, 64]) -> (c : real[N, 8]) {\n"
        "    h = x |> conv(8, 3, pad = 1) |> tanh |> conv(8, 3, pad = 1) |> tanh\n"
        "    c[n,k] = mean[i,j] h[n,k,i,j]\n"
        "}\n"
        "objective same(b : shapes[N]) {\n"
        "    x = b.picture as [N, 1, 33, 64]\n"
        "    loss fit = mean[..] (net(x) - 0.3)^2\n"
        "}\n"
        "train { optimizer adam(lr = 1e-3);  epochs 1;  batch 64;  seed 1 }\n";
    test_write(str_format(test_arena(), "%.*s/parts.graph", FSTR(test_folder())), str_of(text));
    test_expect("graphc dump parts.graph --stage=memory --only=train", 0, "  contract, packed  lib/layers.graph:");
}
