/* graphc new: a first file that checks and trains as it stands (graphs/start), to be changed from there. */
#include "cli.h"
#include "library.h"
#include <errno.h>
#include <unistd.h>

typedef struct { Common common; const char *name; } Options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (o->name) argp_error(state, "one NAME at a time: `%s` and `%s`", o->name, arg);
        o->name = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->name) argp_error(state, "which NAME?");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {.parser = parse, .args_doc = "NAME",
    .doc = "Writes NAME.graph, a small program with comments that can be trained at once, and that docs/tutorial.md "
           "goes on with. A file that is there is never touched."};

/* NAME may have its ending already; without one that is only a folder. */
static bool file_of(Arena *a, Str name, Str *path) {
    if (str_ends(name, ".graph")) name.n -= 6;
    *path = str_format(a, "%.*s.graph", FSTR(name));
    return name.n > 0 && name.s[name.n - 1] != '/' && name.s[name.n - 1] != '.';
}

/* "x": whoever was faster keeps the file. */
static GrStatus write_new(Str path, Error *e) {
    FILE *f = fopen(path.s, "wx");
    if (!f && errno == EEXIST) {
        fail(e, GR_IO, "%.*s is there already; nothing was written", FSTR(path));
        fail_help(e, "another name, or `graphc check %.*s`", FSTR(path));
        return GR_IO;
    }
    if (!f) return fail_errno(e, GR_IO, "%.*s cannot be written", FSTR(path));
    bool whole = fwrite(start_files[0].text, 1, start_files[0].bytes, f) == start_files[0].bytes;
    if (fclose(f) == 0 && whole) return GR_OK;
    fail_errno(e, GR_IO, "writing %.*s", FSTR(path));
    unlink(path.s);
    return GR_IO;
}

int cmd_new(int argc, char **argv) {
    Options o = {0};
    options_parse(&parser, argc, argv, &o);
    Arena *a = arena_create();
    Error e = {0};
    Str path;
    int status = 0;
    if (!file_of(a, str_of(o.name), &path)) {
        fprintf(stderr, "graphc: `%s` is no name of a file\n", o.name);
        status = EXIT_USAGE;
    } else if (write_new(path, &e) != GR_OK) {
        status = report_error(&o.common, &e);
    } else {
        printf("%.*s is written; now\n", FSTR(path));
        static const char *const next[] = {"check", "train", "peek"};
        for (size_t i = 0; i < sizeof next / sizeof *next; i++) printf("  graphc %s %.*s\n", next[i], FSTR(path));
    }
    arena_destroy(a);
    return status;
}
