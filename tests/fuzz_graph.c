/* Random graphs, each run by every mode (modes.h) and compared with the graph interpreter bit for bit.  A
 * graph goes through its text first, so what is shrunk and kept is what failed.  Graphs run in portions in a
 * process of their own. */
#include "fuzz_graph.h"
#include "graph_case.h"
#include "random_graph.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PORTION = 50, MOST_SECONDS = 300, MOST_FINDINGS = 20 };

double fuzz_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void put_text(Guard *g, Str text) {
    g->text_n = text.n < GUARD_TEXT ? text.n : GUARD_TEXT;
    memcpy(g->text, text.s, g->text_n);
}

static bool agrees(Guard *g, const Math *math, Str text, uint64_t seed, uint32_t modes) {
    Arena *a = arena_create();
    Buf what = buf_make(a);
    g->modes = modes;
    Scenario *s = case_parse(a, text, seed, math);
    bool good = s == NULL || modes_agree(a, s, modes, &g->modes, &what);
    g->left_out += s == NULL || what.n > 0;
    if (!good) {
        g->finding = true;
        snprintf(g->what, GUARD_WHAT, "%.*s", (int)what.n, what.n ? what.s : "");
    }
    arena_destroy(a);
    return good;
}

/* ---- one text ---- */
typedef struct {
    const Math *math;
    Str text;
    uint64_t seed;
    uint32_t modes;
} One;

static void run_one(void *user, Guard *g) {
    const One *one = user;
    agrees(g, one->math, one->text, one->seed, one->modes);
}

GuardEnd fuzz_case(Guard *g, const Math *math, Str text, uint64_t seed, uint32_t modes) {
    One one = {math, text, seed, modes};
    return guard_run(g, run_one, &one, 60);
}

/* ---- a portion of seeds ---- */
typedef struct {
    const FuzzWish *wish;
    uint64_t from, to;
} Portion;

static Str random_text(Arena *a, uint64_t seed, const Math *math) {
    uint32_t flags = RANDOM_WHOLE | (seed % 3 == 0 ? RANDOM_EASY : 0);
    RandomGraph r = random_graph(a, seed, 2 + (uint32_t)(seed % 23), flags, math);
    Buf text = buf_make(a);
    r.module->sources = NULL;
    module_print(r.module, &text);
    return buf_str(&text);
}

/* All machines and variants for every graph; thread counts in turn, all of them for each eighth. */
static uint32_t modes_for(uint64_t seed) {
    if (seed % 8 == 0)
        return MODES_ALL;
    uint32_t t = (uint32_t)(seed % 3);
    return 1u << t | 1u << (3 + (t + 1) % 3) | 1u << (6 + (t + 2) % 3) | 1u << (9 + t);
}

static void run_portion(void *user, Guard *g) {
    const Portion *p = user;
    Arena *a = arena_create();
    for (uint64_t seed = p->from; seed < p->to; seed++) {
        ArenaMark mark = arena_mark(a);
        g->at = seed;
        g->modes = modes_for(seed);
        Str text = random_text(a, seed, p->wish->math);
        put_text(g, text);
        if (!agrees(g, p->wish->math, text, seed, g->modes))
            break;
        arena_pop(mark);
    }
    arena_destroy(a);
}

static void keep_finding(const FuzzWish *w, Guard *g, GuardEnd end) {
    Arena *a = arena_create();
    uint64_t seed = g->at;
    Str text = str_copy(a, (Str){g->text, g->text_n});
    printf("\nseed %llu: %s: %s\nshrinking ..\n", (unsigned long long)seed, guard_end_name(end), g->what);
    Str small = fuzz_shrink(a, g, w->math, text, seed);
    Str path = str_format(a, "%s/found-%llu.ir", w->folder, (unsigned long long)seed);
    Str file = str_format(a, "# seed %llu\n%.*s", (unsigned long long)seed, FSTR(small));
    printf("%s\n%.*swritten to %.*s\n", g->what, FSTR(file), FSTR(path));
    FILE *out = fopen(path.s, "wb");
    if (out == NULL || fwrite(file.s, 1, file.n, out) != file.n)
        printf("%.*s could not be written\n", FSTR(path));
    if (out != NULL)
        fclose(out);
    arena_destroy(a);
}

uint32_t fuzz_graphs(const FuzzWish *w) {
    Guard *g = guard_create();
    double start = fuzz_now();
    uint32_t findings = 0;
    uint64_t end_of = w->seed + w->graphs, seed = w->seed;
    while (seed < end_of && findings < MOST_FINDINGS &&
           (w->seconds == 0 || fuzz_now() - start < w->seconds)) {
        Portion p = {w, seed, seed + PORTION < end_of ? seed + PORTION : end_of};
        GuardEnd end = guard_run(g, run_portion, &p, MOST_SECONDS);
        seed = end == GUARD_WELL ? p.to : g->at + 1;
        if (end != GUARD_WELL) {
            findings++;
            keep_finding(w, g, end);
        }
        if (w->progress)
            printf("%llu graphs, %u findings, %.0f s\n", (unsigned long long)(seed - w->seed), findings,
                   fuzz_now() - start);
    }
    printf("%llu graphs from seed %llu: %u findings, %llu left out\n", (unsigned long long)(seed - w->seed),
           (unsigned long long)w->seed, findings, (unsigned long long)g->left_out);
    return findings;
}
