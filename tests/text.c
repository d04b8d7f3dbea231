/* Text tests: finding the files of a kind, running one, comparing, and rewriting the expected part (`--bless`). */
#include "runner.h"
#include "error.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char k_separator[] = "---- expected ----\n";

static void find_in(Arena *a, Str folder, const TextKind *kind, FoundText *found, void *user) {
    struct dirent **entries;
    int n = scandir(str_format(a, "%.*s/%.*s", FSTR(test_root()), FSTR(folder)).s, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        Str name = str_copy(a, str_of(entries[i]->d_name));
        Str path = str_format(a, "%.*s/%.*s", FSTR(folder), FSTR(name));
        struct stat st;
        bool there = name.s[0] != '.' && stat(str_format(a, "%.*s/%.*s", FSTR(test_root()), FSTR(path)).s, &st) == 0;
        if (there && S_ISDIR(st.st_mode))
            find_in(a, path, kind, found, user);
        else if (there && str_ends(name, str_format(a, ".%s", kind->extension).s))
            found(user, kind, path);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

void text_find(Arena *a, const TextKind *kind, FoundText *found, void *user) {
    find_in(a, str_format(a, "tests/%s", kind->folder), kind, found, user);
}

/* The next word of the options, cut off their front. */
static bool next_word(Str *options, Str *word) {
    uint32_t from = 0;
    while (from < options->n && options->s[from] == ' ')
        from++;
    uint32_t to = from;
    while (to < options->n && options->s[to] != ' ')
        to++;
    *word = (Str){options->s + from, to - from};
    *options = (Str){options->s + to, options->n - to};
    return word->n > 0;
}

bool text_flag(const TextTest *t, const char *flag) {
    Str rest = t->options, word;
    while (next_word(&rest, &word)) {
        if (str_is(word, flag))
            return true;
    }
    return false;
}

Str text_value(const TextTest *t, const char *key) {
    Str rest = t->options, word;
    uint32_t n = (uint32_t)strlen(key);
    while (next_word(&rest, &word)) {
        if (str_starts(word, key) && word.n > n && word.s[n] == '=')
            return (Str){word.s + n + 1, word.n - n - 1};
    }
    return (Str){"", 0};
}

static Str first_line(Str s) {
    const char *end = s.n == 0 ? NULL : memchr(s.s, '\n', s.n);
    return (Str){s.s, end == NULL ? s.n : (uint32_t)(end - s.s)};
}

static Str options_of(Str input) {
    Str line = first_line(input);
    while (line.n > 0 && strchr("#;/", line.s[0]) != NULL)
        line = (Str){line.s + 1, line.n - 1};
    return str_starts(line, " test:") ? (Str){line.s + 6, line.n - 6} : (Str){"", 0};
}

/* Splits a file at its separator line; without one all of it is input. */
static bool split(Str file, Str *input, Str *expected) {
    uint32_t n = sizeof k_separator - 1;
    *input = file;
    *expected = (Str){"", 0};
    for (uint32_t at = 0; at + n <= file.n; at++) {
        if ((at == 0 || file.s[at - 1] == '\n') && memcmp(file.s + at, k_separator, n) == 0) {
            *input = (Str){file.s, at};
            *expected = (Str){file.s + at + n, file.n - at - n};
            return true;
        }
    }
    return false;
}

/* The bytes both begin with, in whole lines, but for the last three lines: they show where we are. */
static uint32_t same_start(Str a, Str b) {
    uint32_t starts[4] = {0}, at = 0;
    while (at < a.n && at < b.n && a.s[at] == b.s[at]) {
        if (a.s[at++] == '\n') {
            memmove(starts, starts + 1, 3 * sizeof starts[0]);
            starts[3] = at;
        }
    }
    return starts[0];
}

static void print_lines(const char *before, Str s) {
    while (s.n > 0) {
        Str line = first_line(s);
        printf("    %s%.*s\n", before, FSTR(line));
        uint32_t n = line.n < s.n ? line.n + 1 : s.n;
        s = (Str){s.s + n, s.n - n};
    }
}

static void print_difference(Str expected, Str actual) {
    uint32_t same = same_start(expected, actual), line = 1;
    for (uint32_t i = 0; i < same; i++)
        line += expected.s[i] == '\n';
    printf("from line %u of what is expected (-) and what came (+):\n", line);
    print_lines("- ", (Str){expected.s + same, expected.n - same});
    print_lines("+ ", (Str){actual.s + same, actual.n - same});
}

/* Written beside and renamed, so that a test cut short leaves the old file. */
static void rewrite(Arena *a, Str path, Str input, Str actual) {
    Str file = str_format(a, "%.*s/%.*s", FSTR(test_root()), FSTR(path));
    Str beside = str_format(a, "%.*s.new", FSTR(file));
    const char *gap = input.n == 0 || input.s[input.n - 1] == '\n' ? "" : "\n";
    test_write(beside, str_format(a, "%.*s%s%s%.*s", FSTR(input), gap, k_separator, FSTR(actual)));
    if (rename(beside.s, file.s) != 0)
        test_failed(path.s, 1, "cannot be rewritten");
}

void text_run(const TextKind *kind, Str path, bool bless) {
    Arena *a = test_arena();
    Str input, expected;
    bool complete = split(test_read(str_format(a, "%.*s/%.*s", FSTR(test_root()), FSTR(path))), &input, &expected);
    input = str_copy(a, input);                  /* with a NUL behind it, as sources have */
    TextTest t = {path, input, options_of(input)};
    Str actual = kind->run(a, &t);
    if (actual.n > 0 && actual.s[actual.n - 1] != '\n')
        actual = str_format(a, "%.*s\n", FSTR(actual));
    if (complete && str_eq(actual, expected))
        return;
    if (bless) {
        rewrite(a, path, input, actual);
        return;
    }
    if (complete)
        test_failed(path.s, 1, "gives something else than expected");
    else
        test_failed(path.s, 1, "has no line `---- expected ----`; --bless adds it with what comes out now");
    print_difference(expected, actual);
}
