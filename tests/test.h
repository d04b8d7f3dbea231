/* Writing tests.  A file NAME_test.c (or NAME_more_test.c) holds tests of layer NAME:
 *
 *     TEST(marks_nest) { CHECK(1 + 1 == 2); CHECK_STR(buf_str(&b), "text"); }
 *     TEST_LONG(sweep) { ... }                          only in the tier `long`
 *     TEXT_KIND("render", "txt", render)                every file tests/render/ ** .txt is a test, see README.md
 *
 * Each test runs in a process of its own: a crash or an endless loop is one failed test.  CHECK goes on after a
 * failure, REQUIRE ends the test. */
#ifndef GR_TESTS_TEST_H
#define GR_TESTS_TEST_H
#include "str.h"

typedef enum { TIER_QUICK, TIER_ALL, TIER_LONG } Tier;      /* each holds the ones before it */
typedef void TestFn(void);

/* A text test: one file with an input, a line `---- expected ----`, and what the input must give. */
typedef struct {
    Str path;                      /* from the root of the repository */
    Str input;                     /* from the first byte of the file, so places in it are places in the file */
    Str options;                   /* the rest of a first line `# test: ...` or `; test: ...` */
} TextTest;
typedef Str TextFn(Arena *a, const TextTest *t);            /* what the input gives; a missing last newline is added */
bool text_flag(const TextTest *t, const char *word);        /* `# test: strict` */
Str  text_value(const TextTest *t, const char *key);        /* `# test: passes=cse,fuse`; empty when it is not there */

Arena *test_arena(void);                                    /* of this test alone */
Str    test_folder(void);                                   /* an empty folder of this test alone, removed after it */
bool   test_blessing(void);                                 /* --bless: a test may rewrite what it expects */
Str    test_root(void);                                     /* the repository, absolute */
Str    test_read(Str path);                                 /* a whole file; a missing one ends the test */
void   test_write(Str path, Str text);
/* A line of the shell in the test's folder, with the built `graphc` in its path and a kernel cache of its own. */
typedef struct { int status; Str out; } Ran;                /* what it printed to both streams, NUL-terminated */
Ran    test_shell(Str line);
/* Runs it, and checks its status and that its output holds the text. */
Ran    test_expect(const char *line, int status, const char *text);
/* The tensors of a run's checkpoint; the header before them also counts bytes of a log that holds times. */
Str    test_tensors(const char *run);

void test_failed(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void test_end(void);
void test_same_str(const char *file, int line, const char *what, Str actual, Str expected);

#define CHECK(c)             ((c) ? (void)0 : test_failed(__FILE__, __LINE__, "%s", #c))
#define CHECK_MSG(c, ...)    ((c) ? (void)0 : test_failed(__FILE__, __LINE__, __VA_ARGS__))
#define CHECK_INT(actual, expected) \
    do { \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected); \
        CHECK_MSG(actual_ == expected_, "%s is %lld, expected %lld", #actual, actual_, expected_); \
    } while (0)
#define CHECK_STR(actual, z) test_same_str(__FILE__, __LINE__, #actual, (actual), str_of(z))
#define REQUIRE(c)           ((c) ? (void)0 : (test_failed(__FILE__, __LINE__, "%s", #c), test_end()))

void test_register(const char *file, const char *name, Tier tier, TestFn *run);
void text_register(const char *folder, const char *extension, TextFn *run);
#define TEST_OF_TIER_(name, tier) \
    static void name(void); \
    __attribute__((constructor)) static void register_##name(void) { test_register(__FILE__, #name, tier, name); } \
    static void name(void)
#define TEST(name)      TEST_OF_TIER_(name, TIER_QUICK)
#define TEST_ALL(name)  TEST_OF_TIER_(name, TIER_ALL)       /* takes more than a second */
#define TEST_LONG(name) TEST_OF_TIER_(name, TIER_LONG)      /* takes more than ten */
#define TEXT_KIND(folder, extension, run) \
    __attribute__((constructor)) static void register_text_##run(void) { text_register(folder, extension, run); }
#endif
