/* Mutated texts: programs through the checker, lowering and the passes; graphs, kernels and plans through
 * their parsers and verifiers.  What is looked for: crashes, hangs, a message without a place, a text that
 * prints as another one.  The mutator swaps, repeats and drops words and lines of files of the same kind, and
 * puts numbers that are too large or too small; half of the programs are mutated by the grammar (fuzz_grammar.c), of
 * kernels most as structures (kernel_mutant.c).  Code of kernels that the verifier lets through has the bits of the
 * interpreter. */
#include "fuzz_grammar.h"
#include "fuzz_graph.h"
#include "kernel_mutant.h"
#include "lang.h"
#include "llvm_rig.h"
#include "pipeline.h"
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PORTION = 200, SECONDS_A_TEXT = 20, MOST_FINDINGS = 10, MOST_BYTES = 1 << 16 };

typedef enum { TEXT_GRAPH, TEXT_IR, TEXT_KERNEL, TEXT_PLAN, TEXT_KINDS } TextOf;
static const char *const k_endings[TEXT_KINDS] = {".graph", ".ir", ".kernel", ".plan"};
typedef struct {
    VEC(Str) of[TEXT_KINDS];
} Corpus;

/* ---- files ---- */
static Str read_input(Arena *a, const char *path) {
    Buf b = buf_make(a);
    char part[1 << 14];
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return (Str){"", 0};
    for (size_t n; (n = fread(part, 1, sizeof part, in)) > 0;) {
        buf_put(&b, (Str){part, (uint32_t)n});
    }
    fclose(in);
    char *end = b.n > 0 ? strstr(b.s, "---- expected ----") : NULL;
    return end ? (Str){b.s, (uint32_t)(end - b.s)} : buf_str(&b);
}

static void add_folder(Arena *a, Corpus *c, const char *folder) {
    DIR *d = opendir(folder);
    if (d == NULL)
        return;
    for (struct dirent *f; (f = readdir(d)) != NULL;) {
        for (uint32_t k = 0; k < TEXT_KINDS; k++) {
            if (!str_ends(str_of(f->d_name), k_endings[k]))
                continue;
            Str text = read_input(a, str_format(a, "%s/%s", folder, f->d_name).s);
            if (text.n > 0 && text.n < MOST_BYTES)
                vec_push(a, &c->of[k], text);
        }
    }
    closedir(d);
}

static Corpus corpus_read(Arena *a) {
    static const char *const folders[] = {
        "tests/programs", "tests/golden",   "tests/lower",  "tests/diag", "tests/parse", "graphs/lib",
        "graphs/tiny",    "graphs/fashion", "graphs/vox",   "tests/ir",   "tests/op",    "tests/grad",
        "tests/opt",      "tests/fuse",     "tests/kernel", "tests/plan", "tests/found"};
    Corpus c = {0};
    for (uint32_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        add_folder(a, &c, str_format(a, "%s/%s", GRAPHC_ROOT, folders[i]).s);
    }
    return c;
}

/* ---- mutation ---- */
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static uint32_t pick(uint64_t *state, uint32_t n) { return n == 0 ? 0 : (uint32_t)(next(state) % n); }

static bool in_word(char c) { return c == '_' || isalnum((unsigned char)c); }

/* The word, or the one other byte, at or after `at`. */
static Str word_at(Str t, uint32_t at) {
    while (at < t.n && (t.s[at] == ' ' || t.s[at] == '\n')) {
        at++;
    }
    uint32_t end = at < t.n ? at + 1 : at;
    while (at < t.n && in_word(t.s[at]) && end < t.n && in_word(t.s[end])) {
        end++;
    }
    return (Str){t.s + at, end - at};
}

static Str line_at(Str t, uint32_t at) {
    uint32_t from = at, end = at;
    while (from > 0 && t.s[from - 1] != '\n') {
        from--;
    }
    while (end < t.n && t.s[end] != '\n') {
        end++;
    }
    return (Str){t.s + from, (end < t.n ? end + 1 : end) - from};
}

static Str spliced(Arena *a, Str t, Str out, Str in, bool keep) {
    Buf b = buf_make(a);
    uint32_t from = (uint32_t)(out.s - t.s), to = from + (keep ? 0 : out.n);
    buf_put(&b, (Str){t.s, from});
    buf_put(&b, in);
    buf_put(&b, (Str){t.s + to, t.n - to});
    return buf_str(&b);
}

static Str mutated_once(Arena *a, Str t, Str other, uint64_t *state) {
    static const char *const odd[] = {"0",
                                      "-1",
                                      "1",
                                      "4294967296",
                                      "9223372036854775807",
                                      "99999999",
                                      "1e400",
                                      "0.1",
                                      "nan",
                                      "[",
                                      "]",
                                      "(",
                                      ")",
                                      "{",
                                      "}",
                                      "..",
                                      ",",
                                      "|>",
                                      "->",
                                      "<-",
                                      "=",
                                      "\"",
                                      "%1",
                                      "#",
                                      "_",
                                      "sum",
                                      "where",
                                      "if",
                                      "for",
                                      "N",
                                      "\xc3\xa9",
                                      "f32",
                                      "[0]",
                                      "[1,1,1,1,1,1,1,1,1]",
                                      " "};
    Str here = word_at(t, pick(state, t.n)), line = line_at(t, pick(state, t.n));
    switch (pick(state, 10)) {
    case 0: return spliced(a, t, here, (Str){"", 0}, false);
    case 1:
    case 2: return spliced(a, t, here, str_of(odd[pick(state, sizeof odd / sizeof *odd)]), false);
    case 3: return spliced(a, t, here, word_at(t, pick(state, t.n)), false);
    case 4: return spliced(a, t, here, word_at(other, pick(state, other.n)), false);
    case 5: return spliced(a, t, here, word_at(t, pick(state, t.n)), true);
    case 6: return spliced(a, t, line, (Str){"", 0}, false);
    case 7: return spliced(a, t, line, line_at(t, pick(state, t.n)), true);
    case 8: return spliced(a, t, line, line_at(other, pick(state, other.n)), true);
    default: return spliced(a, t, here, str_format(a, "%u", pick(state, 40)), false);
    }
}

/* A kernel of the corpus changed as a structure; no text when that says nothing. */
static Str kernel_mutated(Arena *a, Str text, uint64_t seed) {
    SourceSet *files = sources_create(a);
    Kernel *k = kernel_parse(a, sources_add(files, STR("fuzz.kernel"), text), diags_create(a, files));
    Buf b = buf_make(a);
    Error e = {0};
    if (k != NULL) {
        mutant_change(k, seed);
        if (kernel_verify(k, &e))
            kernel_print(k, NULL, &b);
    }
    return buf_str(&b);
}

static Str mutated(Arena *a, const Corpus *c, TextOf kind, uint64_t *state) {
    uint32_t n = c->of[kind].n, times = 1 + pick(state, 5);
    Str t = c->of[kind].at[pick(state, n)], other = c->of[kind].at[pick(state, n)];
    bool by_grammar = kind == TEXT_GRAPH && pick(state, 2) == 0;
    for (int tries = 0; kind == TEXT_KERNEL && tries < 60 && pick(state, 20) != 0; tries++) {
        Str changed = kernel_mutated(a, c->of[kind].at[pick(state, n)], next(state));
        if (changed.n > 0)
            return changed;
    }
    for (uint32_t i = 0; i < times && t.n > 0 && t.n < MOST_BYTES; i++) {
        t = by_grammar ? grammar_mutated(a, t, other, state, pick) : mutated_once(a, t, other, state);
    }
    return str_copy(a, t);
}

/* ---- what every text has to stand ---- */
typedef struct {
    Arena *arena;
    SourceSet *files;
    const Source *main;
    Diags *diags;
    const Math *math;
    uint64_t seed;
    const char *wrong;
} Reading;

static bool every_message_has_a_place(Reading *r) {
    Buf out = buf_make(r->arena);
    diags_render(r->diags, &out, false);
    uint32_t messages = 0, places = 0;
    for (Str t = buf_str(&out); t.n > 0;) {
        Str line = line_at(t, 0);
        messages += str_starts(line, "error[") || str_starts(line, "warning[");
        places += line.n > 6 && memchr(line.s, '>', 8 < line.n ? 8 : line.n) != NULL &&
                  strstr(line.s, "--> ") != NULL;
        t = (Str){t.s + line.n, t.n - line.n};
    }
    return places >= messages;
}

static void lower_all(Reading *r, Program *p) {
    const Recipe *recipe = program_recipe(p);
    for (uint32_t i = 0; i < recipe->phases.n && diags_errors(r->diags) == 0; i++) {
        const RecipePhase *phase = &recipe->phases.at[i];
        Str objective = recipe->objectives.at[phase->runs.at[0].objective].name;
        const struct {
            LowerKind kind;
            Str name;
            int64_t rows;
        } entries[] = {{LOWER_INIT, STR("init"), 0},
                       {LOWER_TRAIN, phase->runs.at[0].name, phase->batch},
                       {LOWER_EVAL, objective, phase->batch},
                       {LOWER_BEGIN, objective, 0},
                       {LOWER_FINISH, objective, 0}};
        for (uint32_t k = 0; k < 5; k++) {
            Graph *g = lower_graph(p, entries[k].kind, entries[k].name, entries[k].rows, r->diags);
            if (g == NULL && diags_errors(r->diags) == 0)
                r->wrong = "an entry is not lowered, and no message says why";
            if (g != NULL)
                pipeline_run(r->arena, g, &(PassOptions){0}, r->files, r->diags);
        }
    }
}

static void read_graph(Reading *r) {
    Program *p = program_check(r->arena, r->files, r->main, 0, NULL, r->math, NULL, r->diags);
    if (diags_errors(r->diags) == 0)
        lower_all(r, p);
}

static Str printed_module(Reading *r, Module *m) {
    Buf b = buf_make(r->arena);
    m->sources = NULL;
    module_print(m, &b);
    return buf_str(&b);
}

static void read_ir(Reading *r) {
    Module *m = module_parse(r->arena, r->main, r->files, r->math, r->diags);
    if (m == NULL) {
        r->wrong = diags_errors(r->diags) == 0 ? "no module, and no message says why" : NULL;
        return;
    }
    Str once = printed_module(r, m);
    Module *again =
        module_parse(r->arena, sources_add(r->files, STR("again"), once), r->files, r->math, r->diags);
    if (again == NULL || !str_eq(once, printed_module(r, again)))
        r->wrong = "what is printed does not read as what it was";
}

static void read_kernel(Reading *r) {
    Error e = {0};
    Kernel *k = kernel_parse(r->arena, r->main, r->diags);
    if (k == NULL || !kernel_verify(k, &e))
        return;
    Buf once = buf_make(r->arena), twice = buf_make(r->arena), what = buf_make(r->arena);
    kernel_print(k, NULL, &once);
    k = kernel_parse(r->arena, sources_add(r->files, STR("again"), buf_str(&once)), r->diags);
    if (k != NULL)
        kernel_print(k, NULL, &twice);
    if (!str_eq(buf_str(&once), buf_str(&twice)))
        r->wrong = "what is printed does not read as what it was";
    for (int old = 0; old < 2 && r->wrong == NULL && mutant_small(k); old++) {
        if (!rig_holds(r->arena, k, r->math, old ? "haswell" : NULL, r->seed, &what))
            r->wrong = str_format(r->arena, "%s%.*s", old ? "for haswell, " : "", FSTR(buf_str(&what))).s;
    }
}

static void read_plan(Reading *r) {
    Error e = {0};
    Plan *p = plan_parse(r->arena, r->main, r->diags);
    if (p == NULL || !plan_verify(p, &e))
        return;
    Buf once = buf_make(r->arena), twice = buf_make(r->arena);
    plan_print(p, NULL, &once);
    p = plan_parse(r->arena, sources_add(r->files, STR("again"), buf_str(&once)), r->diags);
    if (p != NULL)
        plan_print(p, NULL, &twice);
    if (!str_eq(buf_str(&once), buf_str(&twice)))
        r->wrong = "what is printed does not read as what it was";
}

static bool stands(Guard *g, TextOf kind, Str text, const Math *math) {
    Arena *a = arena_create();
    Reading r = {.arena = a, .files = sources_create(a), .math = math, .seed = g->at};
    r.main = sources_add(r.files, str_format(a, "fuzz%s", k_endings[kind]), text);
    r.diags = diags_create(a, r.files);
    switch (kind) {
    case TEXT_GRAPH: read_graph(&r); break;
    case TEXT_IR: read_ir(&r); break;
    case TEXT_KERNEL: read_kernel(&r); break;
    case TEXT_PLAN: read_plan(&r); break;
    case TEXT_KINDS: break;
    }
    if (r.wrong == NULL && !every_message_has_a_place(&r))
        r.wrong = "a message has no place";
    if (r.wrong != NULL) {
        Buf out = buf_make(a);
        diags_render(r.diags, &out, false);
        snprintf(g->what, GUARD_WHAT, "%s\n%.*s", r.wrong, (int)out.n, out.n ? out.s : "");
        g->finding = true;
    }
    bool good = r.wrong == NULL;
    arena_destroy(a);
    return good;
}

/* ---- portions ---- */
typedef struct {
    const FuzzWish *wish;
    const Corpus *corpus;
    uint64_t from;
} Portion;

static TextOf kind_of(const FuzzWish *w, uint64_t seed) {
    if (w->kernels)
        return TEXT_KERNEL;
    return w->programs || seed % 2 == 0 ? TEXT_GRAPH : (TextOf)(1 + seed / 2 % 3);
}

static void run_portion(void *user, Guard *g) {
    const Portion *p = user;
    Arena *a = arena_create();
    for (uint64_t seed = p->from; seed < p->from + PORTION; seed++) {
        ArenaMark mark = arena_mark(a);
        uint64_t state = seed;
        g->at = seed;
        Str text = mutated(a, p->corpus, kind_of(p->wish, seed), &state);
        g->text_n = text.n < GUARD_TEXT ? text.n : GUARD_TEXT;
        memcpy(g->text, text.s, g->text_n);
        alarm(SECONDS_A_TEXT);
        if (!stands(g, kind_of(p->wish, seed), text, p->wish->math))
            break;
        arena_pop(mark);
    }
    arena_destroy(a);
}

static void keep_finding(const FuzzWish *w, const Guard *g, GuardEnd end) {
    char path[512];
    snprintf(path, sizeof path, "%s/found-%llu%s", w->folder, (unsigned long long)g->at,
             k_endings[kind_of(w, g->at)]);
    printf("\nseed %llu: %s: %.1200s\nwritten to %s\n", (unsigned long long)g->at, guard_end_name(end),
           g->what, path);
    FILE *out = fopen(path, "wb");
    if (out == NULL || fwrite(g->text, 1, g->text_n, out) != g->text_n)
        printf("%s could not be written\n", path);
    if (out != NULL)
        fclose(out);
}

uint32_t fuzz_texts(const FuzzWish *w) {
    Arena *a = arena_create();
    Corpus corpus = corpus_read(a);
    Guard *g = guard_create();
    double start = fuzz_now();
    uint64_t seed = w->seed;
    uint32_t findings = 0;
    for (uint32_t k = 0; k < TEXT_KINDS; k++) {
        GR_ASSERT(corpus.of[k].n > 0);
    }
    while (findings < MOST_FINDINGS && fuzz_now() - start < w->seconds) {
        Portion p = {w, &corpus, seed};
        GuardEnd end = guard_run(g, run_portion, &p, SECONDS_A_TEXT);
        seed = end == GUARD_WELL ? seed + PORTION : g->at + 1;
        if (end != GUARD_WELL) {
            findings++;
            keep_finding(w, g, end);
        }
    }
    printf("%llu texts from seed %llu: %u findings\n", (unsigned long long)(seed - w->seed),
           (unsigned long long)w->seed, findings);
    arena_destroy(a);
    return findings;
}
