/* The rules of the house that a program can check: width, tabs, open ends, a README in every room, headers that stand
 * alone. */
#include "diag.h"
#include "test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { COLUMNS = 120 };

typedef void Visit(Str path, Str name, bool is_folder);

/* Every file and folder below `folder` (a path from the root), but hidden ones. */
static void walk(Str folder, Visit *visit) {
    Arena *a = test_arena();
    struct dirent **entries;
    int n = scandir(str_format(a, "%.*s/%.*s", FSTR(test_root()), FSTR(folder)).s, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        Str name = str_copy(a, str_of(entries[i]->d_name));
        Str path = str_format(a, "%.*s/%.*s", FSTR(folder), FSTR(name));
        struct stat st;
        free(entries[i]);
        if (name.s[0] == '.' || stat(str_format(a, "%.*s/%.*s", FSTR(test_root()), FSTR(path)).s, &st) != 0)
            continue;
        visit(path, name, S_ISDIR(st.st_mode));
        if (S_ISDIR(st.st_mode))
            walk(path, visit);
    }
    if (n >= 0)
        free(entries);
}

static const char *const k_folders[] = {"compiler", "runtime", "frontend", "graphs", "tests", "bench"};

static void walk_all(Visit *visit) {
    for (size_t i = 0; i < sizeof k_folders / sizeof *k_folders; i++)
        walk(str_of(k_folders[i]), visit);
}

static Str read_here(Str path) {
    return test_read(str_format(test_arena(), "%.*s/%.*s", FSTR(test_root()), FSTR(path)));
}

static bool is_source(Str name) {
    return str_ends(name, ".c") || str_ends(name, ".h") || str_ends(name, ".def") || str_ends(name, ".graph") ||
           str_ends(name, ".txt") || str_ends(name, ".sh") || str_ends(name, ".py");
}

/* Spelled so that this file does not hold them. */
static const char *const k_open_ends[] = {"TO" "DO", "FIX" "ME", "XX" "X:", "HA" "CK:"};
static const char *const k_machine[] = {"/wo" "rk/", "/root" "/"};

/* A row of a table is one line, however wide. */
static int columns_allowed(Str path) { return str_ends(path, ".def") ? 240 : COLUMNS; }

static void check_line(Str path, int line_number, Str line, bool ours) {
    const char *z = str_copy(test_arena(), line).s;
    int columns = 0;
    for (uint32_t i = 0; i < line.n; i++)
        columns += ((unsigned char)line.s[i] & 0xc0) != 0x80;
    const char *file = path.s;
    if (ours) {
        if (columns > columns_allowed(path))
            test_failed(file, line_number, "%d columns; %d is the most", columns, columns_allowed(path));
        if (strchr(z, '\t') != NULL)
            test_failed(file, line_number, "a tab");
        if (line.n > 0 && line.s[line.n - 1] == ' ')
            test_failed(file, line_number, "a space at the end");
    }
    for (size_t i = 0; i < sizeof k_open_ends / sizeof *k_open_ends; i++) {
        if (strstr(z, k_open_ends[i]) != NULL)
            test_failed(file, line_number, "an open end (%s): finish it or open an issue", k_open_ends[i]);
    }
    for (size_t i = 0; i < sizeof k_machine / sizeof *k_machine; i++) {
        if (strstr(z, k_machine[i]) != NULL)
            test_failed(file, line_number, "a path of one machine (%s)", k_machine[i]);
    }
}

/* Text tests hold odd input on purpose, and output: only their marks are checked. */
static void check_file(Str path, Str name, bool is_folder) {
    if (is_folder || !is_source(name))
        return;
    Str text = read_here(path);
    bool in_tests = str_starts(path, "tests/");
    bool ours = !in_tests || str_ends(name, ".c") || str_ends(name, ".h");
    ArenaMark m = arena_mark(test_arena());
    int line_number = 1;
    for (uint32_t from = 0, i = 0; i < text.n; i++) {
        if (text.s[i] != '\n')
            continue;
        check_line(path, line_number++, (Str){text.s + from, i - from}, ours);
        from = i + 1;
    }
    arena_pop(m);
    if (ours && text.n > 0 && text.s[text.n - 1] != '\n')
        test_failed(path.s, line_number, "no newline at the end");
}

TEST(sources_are_tidy) { walk_all(check_file); }

static void check_readme(Str path, Str name, bool is_folder) {
    (void)name;
    struct stat st;
    if (is_folder && stat(str_format(test_arena(), "%.*s/%.*s/README.md", FSTR(test_root()), FSTR(path)).s, &st) != 0)
        test_failed(path.s, 1, "the folder has no README.md");
}

/* The folders that hold whole layers, and what is no layer; those of text tests are told in tests/README.md. */
static const char *const k_with_readme[] = {"compiler", "runtime",    "frontend", "graphs", "graphs/lib",
                                            "bench",    "tests",      "docs",     "docs/design"};

TEST(folders_have_readmes) {
    walk(STR("compiler"), check_readme);
    walk(STR("runtime"), check_readme);
    walk(STR("frontend"), check_readme);
    for (size_t i = 0; i < sizeof k_with_readme / sizeof *k_with_readme; i++)
        check_readme(str_of(k_with_readme[i]), STR(""), true);
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* As a whole word, or by the beginning of one: `parse*.c`, `cmd_*.c`. */
static bool names_file(Str text, Str stem) {
    for (uint32_t i = 0, n; i < text.n; i += n + 1) {
        for (n = 0; i + n < text.n && is_word(text.s[i + n]);)
            n++;
        bool begins = n > 0 && i + n + 1 < text.n && text.s[i + n] == '*' && text.s[i + n + 1] == '.';
        if (str_eq((Str){text.s + i, n}, stem) || (begins && n < stem.n && memcmp(text.s + i, stem.s, n) == 0))
            return true;
    }
    return false;
}

static void check_named(Str path, Str name, bool is_folder) {
    if (is_folder || !(str_ends(name, ".c") || str_ends(name, ".def")))
        return;
    Str readme = str_format(test_arena(), "%.*sREADME.md", (int)(path.n - name.n), path.s);
    Str stem = {name.s, name.n - (str_ends(name, ".c") ? 2 : 4)};
    if (!names_file(read_here(readme), stem))
        test_failed(path.s, 1, "%.*s does not say what is in it", FSTR(readme));
}

TEST(every_file_is_in_its_readme) {
    walk(STR("compiler"), check_named);
    walk(STR("runtime"), check_named);
    walk(STR("frontend"), check_named);
}

/* By its number, at the beginning of a line of the index. */
static void check_indexed(Str path, Str name, bool is_folder) {
    if (is_folder || !str_ends(name, ".md") || name.s[0] != '0')
        return;
    Str line = str_format(test_arena(), "\n- %.4s ", name.s);
    if (strstr(read_here(STR("docs/design/README.md")).s, line.s) == NULL)
        test_failed(path.s, 1, "docs/design/README.md has no line for it");
}

TEST(decisions_have_their_index) { walk(STR("docs/design"), check_indexed); }

/* Compiled as the whole of a C17 file, with the warnings that find what is missing. */
static void check_header(Str path, Str name, bool is_folder) {
    if (is_folder || !str_ends(name, ".h"))
        return;
    Str command = str_format(
        test_arena(),
        "cd %.*s && %s -std=gnu17 -fsyntax-only -Wall -Werror -x c -mavx2 -mfma -mf16c "
        "$(find compiler runtime frontend -type d -printf '-I%%p ') %s -include %.*s /dev/null",
        FSTR(test_root()), GRAPHC_CC, GRAPHC_SYSTEM_INCLUDES, FSTR(path));
    if (system(command.s) != 0)
        test_failed(path.s, 1, "does not compile alone");
}

TEST(headers_stand_alone) {
    walk(STR("compiler"), check_header);
    walk(STR("runtime"), check_header);
    walk(STR("frontend"), check_header);
}

/* The kinds of intermediate forms have their files in tests/verify. */
TEST(every_diagnostic_has_a_file) {
    for (int k = 0; k < DIAG_COUNT; k++) {
        const char *name = diag_kind_name((DiagKind)k);
        struct stat st;
        if (strncmp(name, "ir-", 3) != 0 &&
            stat(str_format(test_arena(), "%.*s/tests/diag/%s.graph", FSTR(test_root()), name).s, &st) != 0)
            test_failed("runtime/base/diag_kinds.def", 1, "no tests/diag/%s.graph", name);
    }
}
