/* What README.md and docs/ show is what happens.  Fenced blocks are checked in the order they stand in, each page in a
 * folder of its own where `graphs` and `tests` are those of the repository:
 *
 *     sh      a line that begins with `graphc` is run and has to end well, or as `# exit N` behind it says; other lines
 *             are for the reader
 *     out     each line is a part of some line that the sh block before it printed; `..` stands for anything, runs of
 *             blanks for one
 *     c       with `NAME.c: ` in its first line, a comment: is that file, compiled by the rest of the line
 *     diff F  the file F is changed: lines with `-` and ` ` stand in it once, those with `+` and ` ` take their place
 *     graph   a program of its own (with `graph 1`) has no mistakes; a part of one is for the reader
 *
 * Paths in backquotes that begin with a folder of the repository exist. */
#include "test.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char k_images[] = "/usr/share/datasets/fashion-mnist";

typedef struct { const char *page; int line; Buf printed; uint32_t programs; } Page;

static Str next_line(const char **at) {
    const char *end = strchr(*at, '\n');
    Str line = {*at, end ? (uint32_t)(end - *at) : (uint32_t)strlen(*at)};
    *at += line.n + (end != NULL);
    return line;
}

/* Blanks and line ends become one blank. */
static Str squeezed(Str s) {
    Buf out = buf_make(test_arena());
    for (uint32_t i = 0; i < s.n; i++)
        if (s.s[i] != ' ' || (out.n > 0 && out.s[out.n - 1] != ' ')) buf_char(&out, s.s[i]);
    while (out.n > 0 && out.s[out.n - 1] == ' ') out.s[--out.n] = 0;
    return str_copy(test_arena(), buf_str(&out));
}

/* The parts between the `..` of the pattern stand in the line in this order. */
static bool matches(Str line, Str pattern) {
    const char *at = line.s, *p = pattern.s;
    for (;;) {
        const char *gap = strstr(p, "..");
        Str part = squeezed((Str){p, gap ? (uint32_t)(gap - p) : (uint32_t)strlen(p)});
        at = strstr(at, part.s);
        if (at == NULL) return false;
        at += part.n;
        if (gap == NULL) return true;
        for (p = gap; *p == '.';) p++;
    }
}

static bool printed(const Page *p, Str pattern) {
    const char *at = p->printed.n ? p->printed.s : "";
    while (*at) {
        Str line = squeezed(next_line(&at));
        if (matches(line, pattern)) return true;
    }
    return false;
}

static bool needs_images(Str line) {
    static const char *const words[] = {"graphc train", "graphc eval", "graphc predict", "graphc bench",
                                        "graphc verify"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_starts(line, words[i]) && strstr(line.s, "graphs/fashion") != NULL) return access(k_images, F_OK) != 0;
    return false;
}

static void run_line(Page *p, Str line) {
    line = str_copy(test_arena(), line);
    if (!str_starts(line, "graphc ") || needs_images(line)) return;
    const char *said = strstr(line.s, "# exit ");
    int expected = said ? atoi(said + strlen("# exit ")) : 0;
    Ran r = test_shell(line);
    buf_put(&p->printed, r.out);
    if (r.status != expected)
        test_failed(p->page, p->line, "`%.*s` ended with %d\n%.*s", FSTR(line), r.status, FSTR(r.out));
}

static void check_out(Page *p, Str line) {
    Str pattern = squeezed(line);
    if (pattern.n > 0 && p->printed.n > 0 && !printed(p, pattern))
        test_failed(p->page, p->line, "nothing prints `%.*s`", FSTR(pattern));
}

static void check_program(Page *p, Str text) {
    if (!str_starts(text, "graph 1")) return;
    Str name = str_format(test_arena(), "%.*s/program%u.graph", FSTR(test_folder()), p->programs);
    test_write(name, text);
    Ran r = test_shell(str_format(test_arena(), "graphc check program%u.graph", p->programs++));
    if (r.status != 0) test_failed(p->page, p->line, "the program has mistakes:\n%.*s", FSTR(r.out));
}

/* The first line is a comment with the file's name and the command that compiles it. */
static void compile_c(Page *p, Str text) {
    const char *name = text.s + strlen("/* "), *command = strstr(name, ".c: "), *end = strstr(name, " */");
    if (!str_starts(text, "/* ") || command == NULL || end == NULL || command > end) return;
    command += strlen(".c: ");
    Str file = {name, (uint32_t)(command - name) - 2};
    test_write(str_format(test_arena(), "%.*s/%.*s", FSTR(test_folder()), FSTR(file)), text);
    Ran r = test_shell((Str){command, (uint32_t)(end - command)});
    if (r.status != 0) test_failed(p->page, p->line, "it does not compile:\n%.*s", FSTR(r.out));
}

typedef struct { Buf before, after; } Change;

static void change_line(Change *c, Str line) {
    char mark = line.n ? line.s[0] : ' ';
    Str rest = line.n ? (Str){line.s + 1, line.n - 1} : line;
    if (mark != '+') buf_printf(&c->before, "%.*s\n", FSTR(rest));
    if (mark != '-') buf_printf(&c->after, "%.*s\n", FSTR(rest));
}

static void change_file(const Page *p, Str name, const Change *c) {
    Str path = str_format(test_arena(), "%.*s/%.*s", FSTR(test_folder()), FSTR(name));
    const char *text = str_copy(test_arena(), test_read(path)).s, *before = buf_str(&c->before).s;
    const char *at = strstr(text, before);
    if (at == NULL || strstr(at + 1, before) != NULL) {
        test_failed(p->page, p->line, "%.*s has these lines %s", FSTR(name), at ? "twice" : "nowhere");
        return;
    }
    test_write(path, str_format(test_arena(), "%.*s%.*s%s", (int)(at - text), text, FSTR(buf_str(&c->after)),
                                at + c->before.n));
}

static void check_block(Page *p, Str kind, const char **at) {
    const char *from = *at;
    int first = p->line;
    Change change = {buf_make(test_arena()), buf_make(test_arena())};
    if (str_is(kind, "sh")) p->printed = buf_make(test_arena());
    while (**at) {
        const char *start = *at;
        Str line = next_line(at);
        p->line++;
        if (str_starts(line, "```")) {
            p->line = str_is(kind, "graph") ? first : p->line;
            if (str_is(kind, "c")) compile_c(p, str_copy(test_arena(), (Str){from, (uint32_t)(start - from)}));
            if (str_is(kind, "graph")) check_program(p, str_copy(test_arena(), (Str){from, (uint32_t)(start - from)}));
            if (str_starts(kind, "diff ")) change_file(p, (Str){kind.s + 5, kind.n - 5}, &change);
            return;
        }
        if (str_is(kind, "sh")) run_line(p, line);
        if (str_is(kind, "out")) check_out(p, line);
        if (str_starts(kind, "diff ")) change_line(&change, line);
    }
}

static void check_path(const Page *p, Str word) {
    static const char *const roots[] = {"compiler/", "runtime/", "frontend/", "graphs/", "tests/", "bench/", "docs/"};
    bool ours = false;
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) ours = ours || str_starts(word, roots[i]);
    for (uint32_t i = 0; i < word.n; i++) ours = ours && strchr(" *<>{}", word.s[i]) == NULL;
    const char *capital = strpbrk(str_copy(test_arena(), word).s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");   /* NAME_test.c */
    bool stands_for_many = capital != NULL && capital[1] >= 'A' && capital[1] <= 'Z' && !str_ends(word, ".md");
    if (!ours || stands_for_many) return;
    if (access(str_format(test_arena(), "%.*s/%.*s", FSTR(test_root()), FSTR(word)).s, F_OK) != 0)
        test_failed(p->page, p->line, "there is no %.*s", FSTR(word));
}

static void check_paths(const Page *p, Str line) {
    line = str_copy(test_arena(), line);
    for (const char *at = strchr(line.s, '`'); at != NULL;) {
        const char *end = strchr(at + 1, '`');
        if (end == NULL) return;
        check_path(p, (Str){at + 1, (uint32_t)(end - at - 1)});
        at = strchr(end + 1, '`');
    }
}

static Str linked(const char *folder) {
    Str link = str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), folder);
    REQUIRE(symlink(str_format(test_arena(), "%.*s/%s", FSTR(test_root()), folder).s, link.s) == 0);
    return link;
}

static void check_page(const char *path) {
    Page p = {.page = path};
    const char *at = str_copy(test_arena(), test_read(str_format(test_arena(), "%.*s/%s", FSTR(test_root()), path))).s;
    Str graphs = linked("graphs"), tests = linked("tests");
    while (*at) {
        Str line = next_line(&at);
        p.line++;
        if (str_starts(line, "```")) check_block(&p, (Str){line.s + 3, line.n - 3}, &at);
        else check_paths(&p, line);
    }
    unlink(graphs.s);
    unlink(tests.s);
}

/* A page a test: each runs in a process of its own. */
TEST_ALL(readme) { check_page("README.md"); }
TEST_ALL(tour) { check_page("docs/tour.md"); }
TEST_ALL(tutorial) { check_page("docs/tutorial.md"); }
TEST_ALL(hacking) { check_page("docs/HACKING.md"); }

static void check_folder(const char *folder) {
    struct dirent **entries;
    int n = scandir(str_format(test_arena(), "%.*s/%s", FSTR(test_root()), folder).s, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *path = str_format(test_arena(), "%s/%s", folder, entries[i]->d_name).s;
        static const char *const own[] = {"docs/tour.md", "docs/HACKING.md", "docs/tutorial.md"};
        bool has_own_test = false;
        for (size_t k = 0; k < sizeof own / sizeof *own; k++) has_own_test = has_own_test || strcmp(path, own[k]) == 0;
        if (str_ends(str_of(path), ".md") && !has_own_test) check_page(path);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

TEST_ALL(other_pages) {
    check_folder("docs");
    check_folder("docs/design");
}
