/* Options that several commands share, as argp parsers; a command's own parser has them as children. */
#include "cli.h"
#include "trainer.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_CPU = 0x100, KEY_THREADS, KEY_SANITIZE, KEY_NO_CACHE, KEY_CACHE_SIZE, KEY_DUMP_AFTER, KEY_STOP_AFTER,
    KEY_TIME_PASSES, KEY_DIAG, KEY_POINT, KEY_DATA_MEMORY, KEY_MAX_MEMORY, KEY_SAMPLE, KEY_CONFLICT
};

/* Instrumented kernels report to the sanitizer of the program that runs them. */
#ifdef __SANITIZE_ADDRESS__
enum { HAS_SANITIZER = 1 };
#else
enum { HAS_SANITIZER = 0 };
#endif

Common common_make(void) {
    Common c = {0};
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    c.threads = n > 0 ? (uint32_t)n : 1;
    return c;
}

void options_parse(const struct argp *parser, int argc, char **argv, void *input) {
    argp_err_exit_status = EXIT_USAGE;
    error_t failed = argp_parse(parser, argc, argv, 0, NULL, input);     /* wrong usage has ended the process */
    if (failed == 0) return;
    fprintf(stderr, "graphc: the command line cannot be read: %s\n", strerror(failed));
    exit(EXIT_WRONG);
}

uint32_t option_count(const char *text, uint32_t least, uint32_t most, const char *option, struct argp_state *state) {
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < (long)least || n > (long)most)
        argp_error(state, "%s takes a whole number from %u to %u, not `%s`", option, least, most, text);
    return (uint32_t)n;
}

static uint64_t parse_bytes(const char *text, const char *option, struct argp_state *state) {
    static const struct { const char *unit; uint64_t bytes; } units[] = {
        {"", 1}, {"B", 1}, {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000},
        {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    char *end;
    double n = strtod(text, &end);
    for (uint32_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (end > text && strcmp(end, units[i].unit) == 0 && n * (double)units[i].bytes >= 1 &&
            n * (double)units[i].bytes < 0x1p62)
            return (uint64_t)(n * (double)units[i].bytes);
    }
    argp_error(state, "%s takes bytes, as in `300MB` or `1.5GiB` (or B, kB, GB, KiB, MiB), not `%s`", option, text);
    return 0;
}

static void add_setting(Common *c, const char *text, struct argp_state *state) {
    const char *eq = strchr(text, '=');
    if (!eq || eq == text) argp_error(state, "-s takes NAME=VALUE, not `%s`", text);
    if (c->n_settings == MAX_SETTINGS) argp_error(state, "more than %d settings", MAX_SETTINGS);
    c->settings[c->n_settings++] = (SettingArg){{text, (uint32_t)(eq - text)}, str_of(eq + 1), false};
}

static error_t parse_common(int key, char *arg, struct argp_state *state) {
    Common *c = state->input;
    switch (key) {
    case 's': add_setting(c, arg, state); return 0;
    case KEY_POINT: c->point = arg; return 0;
    case KEY_DIAG:
        if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
            argp_error(state, "--diag takes `text` or `json`, not `%s`", arg);
        c->diag_json = strcmp(arg, "json") == 0;
        return 0;
    case ARGP_KEY_ARG:
        if (c->file) argp_error(state, "one FILE at a time: `%s` and `%s`", c->file, arg);
        c->file = arg;
        return 0;
    case ARGP_KEY_END:
        if (!c->file) argp_error(state, "which FILE?");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_compile(int key, char *arg, struct argp_state *state) {
    Common *c = state->input;
    switch (key) {
    case KEY_CPU:
        if (strcmp(arg, "host") != 0 && strcmp(arg, "haswell") != 0)
            argp_error(state, "no code is generated for the processor `%s`; choose `host` or `haswell`", arg);
        c->cpu = arg;
        return 0;
    case KEY_THREADS: c->threads = option_count(arg, 1, 256, "--threads", state); return 0;
    case KEY_SANITIZE:
        if (!HAS_SANITIZER)
            argp_error(state, "--sanitize needs the program that `cmake --preset asan && cmake --build --preset asan "
                              "--target graphc` leaves in build-asan: instrumented kernels call what is built into it");
        c->sanitize = true;
        return 0;
    case KEY_DATA_MEMORY: c->data_memory = parse_bytes(arg, "--data-memory", state); return 0;
    case KEY_MAX_MEMORY: c->max_memory = parse_bytes(arg, "--max-memory", state); return 0;
    case KEY_NO_CACHE: c->no_cache = true; return 0;
    case KEY_CACHE_SIZE: c->cache_bytes = parse_bytes(arg, "--cache-size", state); return 0;
    case KEY_DUMP_AFTER:
        if (strcmp(arg, "all") != 0 && !pass_known(arg)) argp_error(state, "there is no pass `%s`", arg);
        c->passes.dump_after = arg;
        return 0;
    case KEY_STOP_AFTER:
        if (!pass_known(arg)) argp_error(state, "there is no pass `%s`", arg);
        c->passes.stop_after = arg;
        return 0;
    case KEY_TIME_PASSES: c->passes.time_passes = true; return 0;
    case ARGP_KEY_END:
        if (c->no_cache && c->cache_bytes > 0)
            argp_error(state, "--cache-size is of the kernel cache, and --no-cache uses none: leave one of them out");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_sampling(int key, char *arg, struct argp_state *state) {
    Common *c = state->input;
    switch (key) {
    case KEY_SAMPLE:
        c->sample_given = true;
        if (strcmp(arg, "auto") == 0) c->sample_steps = SAMPLE_AUTO;
        else if (strcmp(arg, "off") == 0) c->sample_steps = 0;
        else c->sample_steps = option_count(arg, 1, 1u << 30, "--sample, neither `auto` nor `off`,", state);
        return 0;
    case KEY_CONFLICT: c->conflict = true; return 0;
    case ARGP_KEY_END:
        if (c->conflict && c->sample_given && c->sample_steps == 0)
            argp_error(state, "--conflict is told by samples, and `--sample off` takes none");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

void sampling_settle(Common *c, const Recipe *r, bool looks) {
    if (!c->sample_given && (looks || c->conflict)) c->sample_steps = SAMPLE_AUTO;
    if (c->sample_steps == SAMPLE_AUTO) c->sample_steps = train_sample_steps(r);
    c->sample_first = c->sample_steps > 0;
}

static const struct argp_option common_options[] = {
    {"set", 's', "NAME=VALUE", 0, "give a setting of the file another value; may be repeated", 1},
    {"point", KEY_POINT, "NAME", 0, "with the settings of this sweep, which has one point", 1},
    {"diag", KEY_DIAG, "FORM", 0, "messages about the file as `text`, or for programs as `json`, an object a line", 1},
    {0}};
const struct argp common_argp = {.options = common_options, .parser = parse_common};

static const struct argp_option sampling_options[] = {
    {"sample", KEY_SAMPLE, "N", 0,
     "look at the gradient of each loss term every N steps, `auto` (a hundredth of the time) or `off`; "
     "without it as `auto` in a training that lasts, and in a sweep not at all", 7},
    {"conflict", KEY_CONFLICT, 0, 0, "samples tell the cosines between the terms' gradients, too", 7},
    {0}};
const struct argp sampling_argp = {.options = sampling_options, .parser = parse_sampling};

static const struct argp_option compile_options[] = {
    {0, 0, 0, 0, "Compiling:", 8},
    {"cpu", KEY_CPU, "NAME", 0, "generate code for this processor: `host` or `haswell` (AVX2)", 8},
    {"threads", KEY_THREADS, "N", 0, "threads that compute; the result does not depend on it", 8},
    {"sanitize", KEY_SANITIZE, 0, 0, "check every address in the kernels (a build with sanitizers)", 8},
    {"no-cache", KEY_NO_CACHE, 0, 0, "neither read nor write the kernel cache", 8},
    {"cache-size", KEY_CACHE_SIZE, "BYTES", 0,
     "when kernels are written to the cache, the oldest go until it takes at most this (256MiB): `300MB`, `1.5GiB`", 8},
    {"data-memory", KEY_DATA_MEMORY, "BYTES", 0,
     "of a data set no more lies in memory, the rest in a file (half of the machine's): `300MB`, `1.5GiB`", 8},
    {"max-memory", KEY_MAX_MEMORY, "BYTES", 0,
     "compute values again rather than keep them, until the arena takes at most this: `300MB`, `1.5GiB`", 8},
    {"dump-after", KEY_DUMP_AFTER, "PASS", 0, "print the graphs after this pass (or `all`) on standard error", 8},
    {"stop-after", KEY_STOP_AFTER, "PASS", 0, "leave out the rewrites behind this pass", 8},
    {"time-passes", KEY_TIME_PASSES, 0, 0, "print what each part of compiling took", 8},
    {0}};
const struct argp compile_argp = {.options = compile_options, .parser = parse_compile};
