/* Fuzz target of the grammar: no text crashes or hangs the parser, and for a text without errors the formatter keeps
 * the tree and has a fixed point.  It is no part of the build: compile it with clang,
 * `-fsanitize=fuzzer,address,undefined`, the sources of frontend/lang that parse, print and format, and all of
 * runtime/base; start from tests/programs.
 * The mutator knows the grammar's words: it swaps, repeats, drops and replaces whole tokens, so that most inputs stay
 * near the language instead of failing at their first byte. */
#include "lex.h"
#include "syntax.h"
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
int    LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static Str text_of_tree(Arena *a, const Source *s, Diags *d)
{
    Buf b = buf_make(a);
    ast_print(parse_source(a, s, d), &b);
    return buf_str(&b);
}

static Str formatted(Arena *a, const Source *s, Diags *d)
{
    Buf b = buf_make(a);
    fmt_source(s, d, &b);
    return buf_str(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena *a = arena_create();
    SourceSet *sources = sources_create(a);
    const Source *s = sources_add(sources, STR("fuzz.graph"), (Str){(const char *)data, (uint32_t)size});
    Diags *d = diags_create(a, sources);
    Str tree = text_of_tree(a, s, d);
    if (!diags_errors(d)) {
        const Source *once = sources_add(sources, STR("once.graph"), formatted(a, s, d));
        GR_ASSERT(str_eq(tree, text_of_tree(a, once, d)));
        GR_ASSERT(str_eq(once->text, formatted(a, once, d)));
        GR_ASSERT(!diags_errors(d));
    }
    Buf messages = buf_make(a);
    diags_render(d, &messages, false);
    arena_destroy(a);
    return 0;
}

/* ---- the mutator */

static const char *const words[] = {
#define TOK(id, text, line) text,
#include "tokens.def"
#undef TOK
    "\n",        "  # c\n",   "data",    "train", "sweep",  "objective",  "export", "extern", "use",    "setting",
    "optimizer", "graph 1\n", "from",    "split", "drop",   "duplicates", "of",     "rest",   "seed",   "one of",
    "list",      "up to",     "follows", "rate",  "epochs", "batch",      "shards", "keep",   "lowest", "best",
    "points",    "skip",      "every",   "0.5",   "7",      "\"t\"",      "x",      "_",
};
enum { N_WORDS = sizeof words / sizeof *words };

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Span of the token that covers or follows byte `from`. */
static void find_token(const uint8_t *data, size_t size, size_t from, size_t *at, size_t *n)
{
    const char *blank = " \t\r\n";
    while (from < size && data[from] && strchr(blank, data[from])) {
        from++;
    }
    size_t end = from;
    bool word = end < size && (data[end] == '_' || (data[end] | 32) - 'a' < 26u || data[end] - '0' < 10u);
    do {
        end += end < size;
    } while (word && end < size && (data[end] == '_' || (data[end] | 32) - 'a' < 26u || data[end] - '0' < 10u));
    *at = from;
    *n = end - from;
}

static size_t splice(uint8_t *data, size_t size, size_t max, size_t at, size_t drop, const char *s, size_t n)
{
    if (size - drop + n > max) {
        return size;
    }
    memmove(data + at + n, data + at + drop, size - at - drop);
    memcpy(data + at, s, n);
    return size - drop + n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    unsigned state = seed;
    if (size == 0 || next_random(&state) % 4 == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    size_t at, n, from, m;
    find_token(data, size, next_random(&state) % size, &at, &n);
    find_token(data, size, next_random(&state) % size, &from, &m);
    char copy[64];
    m = m < sizeof copy ? m : sizeof copy;
    memcpy(copy, data + from, m);
    const char *word = words[next_random(&state) % N_WORDS];
    switch (next_random(&state) % 5) {
    case 0: return splice(data, size, max_size, at, n, "", 0);
    case 1: return splice(data, size, max_size, at, n, word, strlen(word));
    case 2: return splice(data, size, max_size, at, 0, word, strlen(word));
    case 3: return splice(data, size, max_size, at, n, copy, m);
    default: return splice(data, size, max_size, at, 0, copy, m);
    }
}
