/* Golden bits: tests/golden_bits.txt holds a hash of all parameters of each program after some steps.  Every
 * run checks the interpreter and one compiled mode, the tier `long` all modes.  The version of the semantics
 * stands in the first line: other bits are another version, so a line that is there is rewritten (--bless)
 * only when SEMANTICS_VERSION (runtime/base/plan.h) has changed. */
#include "program_case.h"
#include "test.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *program;
    uint32_t steps;
    int64_t batch;
} Golden;
static const Golden k_small[] = {{"graphs/tiny/conv.graph", 20, 0}, {"graphs/tiny/scan.graph", 20, 0},
                                 {"graphs/tiny/order.graph", 20, 0}, {"graphs/tiny/losses.graph", 20, 0},
                                 {"graphs/tiny/loops.graph", 20, 0},
                                 {"graphs/tiny/windows.graph", 20, 0}};
static const Golden k_fashion[] = {{"graphs/fashion/classifier.graph", 20, 16},
                                   {"graphs/fashion/vae.graph", 20, 4}};
static const Golden k_large[] = {{"graphs/tiny/vae.graph", 2, 4}};
static const Mode k_quick_mode = {"host", true, 2};

/* ---- the file: "semantics N", then "PROGRAM steps N batch N HASH" lines by program ---- */
typedef struct {
    unsigned version;
    Str lines;
} Book;

static Str book_path(void) {
    return str_format(test_arena(), "%.*s/tests/golden_bits.txt", FSTR(test_root()));
}

static Book book_read(void) {
    Str text = str_copy(test_arena(), test_read(book_path()));
    char *end = NULL;
    Book b = {.version = str_starts(text, "semantics ") ? (unsigned)strtoul(text.s + 10, &end, 10) : 0};
    if (end != NULL && *end == '\n')
        b.lines = (Str){end + 1, text.n - (uint32_t)(end + 1 - text.s)};
    else
        test_failed("tests/golden_bits.txt", 1, "the first line is not `semantics N`");
    return b;
}

/* What stands behind `key` in its line; empty when there is none. */
static Str book_find(const Book *b, Str key) {
    for (Str t = b->lines; t.n > 0;) {
        const char *end = memchr(t.s, '\n', t.n);
        Str line = {t.s, end ? (uint32_t)(end - t.s) : t.n};
        if (line.n > key.n && memcmp(line.s, key.s, key.n) == 0)
            return (Str){line.s + key.n, line.n - key.n};
        t = end ? (Str){end + 1, t.n - line.n - 1} : (Str){"", 0};
    }
    return (Str){"", 0};
}

static void book_put(Str key, Str hash) {
    Book b = book_read();
    Buf out = buf_make(test_arena());
    buf_printf(&out, "semantics %u\n", SEMANTICS_VERSION);
    bool done = false;
    for (Str t = b.lines; t.n > 0;) {
        const char *end = memchr(t.s, '\n', t.n);
        Str line = {t.s, end ? (uint32_t)(end - t.s) + 1 : t.n};
        bool ours = line.n > key.n && memcmp(line.s, key.s, key.n) == 0;
        if (ours)
            buf_printf(&out, "%.*s%.*s\n", FSTR(key), FSTR(hash));
        else
            buf_put(&out, line);
        done |= ours;
        t = (Str){t.s + line.n, t.n - line.n};
    }
    if (!done)
        buf_printf(&out, "%.*s%.*s\n", FSTR(key), FSTR(hash));
    test_write(book_path(), buf_str(&out));
}

static void compare(Str key, Str hash) {
    Book b = book_read();
    Str known = book_find(&b, key);
    bool same_version = b.version == SEMANTICS_VERSION;
    if (same_version && str_eq(known, hash))
        return;
    if (test_blessing() && (known.n == 0 || !same_version)) {
        book_put(key, hash);
        return;
    }
    if (known.n == 0)
        test_failed("tests/golden_bits.txt", 1, "has no line for %.*s; --bless adds it", FSTR(key));
    else if (same_version)
        test_failed("tests/golden_bits.txt", 1,
                    "%.*sis %.*s, expected %.*s: a change of bits is a change of SEMANTICS_VERSION "
                    "(runtime/base/plan.h, docs/semantics.md); --bless rewrites the file after that",
                    FSTR(key), FSTR(hash), FSTR(known));
    else
        test_failed("tests/golden_bits.txt", 1, "is of version %u, this is %d; --bless rewrites it",
                    b.version, SEMANTICS_VERSION);
}

/* ---- programs ---- */
static Str hash_text(const Module *m, const After *last) {
    return str_format(test_arena(), "%016" PRIx64, modes_hash(m, last));
}

static void opened(const Golden *g, ProgramCase *c) {
    Buf why = buf_make(test_arena());
    ProgramWish w = {.file = str_format(test_arena(), "%.*s/%s", FSTR(test_root()), g->program).s,
                     .steps = g->steps,
                     .batch = g->batch};
    if (program_case(&w, c, &why))
        return;
    test_failed(g->program, 1, "%s", why.n ? why.s : "cannot be opened");
    test_end();
}

static void check_program(const Golden *g) {
    ProgramCase c;
    opened(g, &c);
    Arena *a = test_arena();
    uint32_t n = c.scenario.n_moments;
    After *want = PUSH(a, After, n), *got = PUSH(a, After, n);
    Error e = {0};
    bool ran = modes_interpret(a, &c.scenario, want, &e) == GR_OK &&
               modes_run(a, &c.scenario, k_quick_mode, got, &e) == GR_OK;
    CHECK_MSG(ran, "%s: %s", g->program, e.what);
    for (uint32_t i = 0; i < n && ran; i++) {
        CHECK_MSG(want[i].health == 0, "%s: step %u is not healthy", g->program, i);
    }
    if (ran) {
        Str one = hash_text(c.scenario.meaning, &want[n - 1]),
            other = hash_text(c.scenario.meaning, &got[n - 1]);
        CHECK_MSG(str_eq(one, other), "%s: %.*s gives %.*s, the interpreter %.*s", g->program,
                  FSTR(mode_name(a, k_quick_mode)), FSTR(other), FSTR(one));
        compare(str_format(a, "%s steps %u batch %lld ", g->program, g->steps,
                           (long long)c.scenario.meaning->graphs.at[PROGRAM_TRAIN]->rows),
                one);
    }
    program_case_close(&c);
}

static void check_product(const Golden *g) {
    ProgramCase c;
    opened(g, &c);
    Buf what = buf_make(test_arena());
    uint32_t failed;
    CHECK_MSG(modes_agree(test_arena(), &c.scenario, MODES_ALL, &failed, &what), "%s: %s", g->program,
              what.s);
    program_case_close(&c);
}

TEST_ALL(golden_bits_of_small_programs) {
    for (size_t i = 0; i < sizeof k_small / sizeof *k_small; i++) {
        check_program(&k_small[i]);
    }
}

TEST_ALL(golden_bits_of_fashion) {
    for (size_t i = 0; i < sizeof k_fashion / sizeof *k_fashion; i++) {
        check_program(&k_fashion[i]);
    }
}

TEST_ALL(golden_bits_of_large_programs) { check_program(&k_large[0]); }

TEST_LONG(golden_programs_in_every_mode) {
    for (size_t i = 0; i < 2; i++) {
        check_product(&k_small[i]);
        check_product(&k_fashion[i]);
    }
    check_product(&k_large[0]);
}
