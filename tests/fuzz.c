/* graphc-fuzz: random graphs over all modes, then mutated texts through all parsers; or one kept case again.
 *
 *     graphc-fuzz [--graphs N] [--seed S] [--minutes M] [--programs | --kernels] [--into FOLDER] [CASE.ir]
 *
 * --minutes is for the texts, and the most the graphs may take. */
#include "fuzz_graph.h"
#include "graph_case.h"
#include <argp.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    FuzzWish wish;
    double minutes;
    const char *file;
} Options;
enum { KEY_GRAPHS = 0x100, KEY_SEED, KEY_MINUTES, KEY_INTO, KEY_PROGRAMS, KEY_KERNELS };

static double number(const char *text, const char *option, struct argp_state *state) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !(x >= 0 && x <= 1e15))
        argp_error(state, "%s takes a number, not `%s`", option, text);
    return x;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_GRAPHS: o->wish.graphs = (uint64_t)number(arg, "--graphs", state); return 0;
    case KEY_SEED: o->wish.seed = (uint64_t)number(arg, "--seed", state); return 0;
    case KEY_MINUTES: o->minutes = number(arg, "--minutes", state); return 0;
    case KEY_INTO: o->wish.folder = arg; return 0;
    case KEY_PROGRAMS: o->wish.programs = true; return 0;
    case KEY_KERNELS: o->wish.kernels = true; return 0;
    case ARGP_KEY_ARG:
        if (o->file)
            argp_error(state, "one CASE at a time");
        o->file = arg;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"graphs", KEY_GRAPHS, "N", 0, "how many graphs (1000)", 0},
    {"seed", KEY_SEED, "S", 0, "the first seed (1)", 0},
    {"minutes", KEY_MINUTES, "M", 0, "how long texts are mutated (1); 0: not at all", 0},
    {"programs", KEY_PROGRAMS, 0, 0, "of the texts only programs, through the front end", 0},
    {"kernels", KEY_KERNELS, 0, 0, "of the texts only kernels, and their code", 0},
    {"into", KEY_INTO, "FOLDER", 0, "where findings are written (.)", 0},
    {0}};
static const struct argp parser = {.options = options,
                                   .parser = parse,
                                   .args_doc = "[CASE.ir]",
                                   .doc =
                                       "Runs random graphs in every mode and compares the bits, then mutated "
                                       "texts through the parsers and the checker."};

static Str whole_file(Arena *a, const char *path) {
    Buf b = buf_make(a);
    char part[4096];
    FILE *in = fopen(path, "rb");
    for (size_t n; in != NULL && (n = fread(part, 1, sizeof part, in)) > 0;) {
        buf_put(&b, (Str){part, (uint32_t)n});
    }
    if (in != NULL)
        fclose(in);
    char *end = b.n > 0 ? strstr(b.s, "---- expected ----") : NULL;
    return end ? str_copy(a, (Str){b.s, (uint32_t)(end - b.s)}) : buf_str(&b);
}

static int run_file(Arena *a, const Options *o) {
    Str text = whole_file(a, o->file);
    if (text.n == 0 || case_parse(a, text, case_seed(text), o->wish.math) == NULL) {
        fprintf(stderr, "graphc-fuzz: `%s` is no module\n", o->file);
        return 2;
    }
    Guard *g = guard_create();
    GuardEnd end = fuzz_case(g, o->wish.math, text, case_seed(text), MODES_ALL);
    printf("%s: %s %s\n", o->file, guard_end_name(end), end == GUARD_WELL ? "" : g->what);
    return end != GUARD_WELL;
}

int main(int argc, char **argv) {
    Options o = {.wish = {.seed = 1, .graphs = 1000, .folder = ".", .progress = true}, .minutes = 1};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    Arena *a = arena_create();
    Error e = {0};
    if (math_create(a, &o.wish.math, &e) != GR_OK) {
        fprintf(stderr, "graphc-fuzz: %s\n", e.what);
        return 2;
    }
    dlopen(GRAPHC_BUILD "/lib/libgraphc-llvm.so", RTLD_NOW); /* once here, and not in every child */
    int status;
    if (o.file != NULL) {
        status = run_file(a, &o);
    } else {
        uint32_t findings = o.wish.graphs > 0 ? fuzz_graphs(&o.wish) : 0;
        o.wish.seconds = o.minutes * 60;
        findings += o.wish.seconds > 0 ? fuzz_texts(&o.wish) : 0;
        status = findings > 0;
    }
    arena_destroy(a);
    return status;
}
