/* graphc doc: what a word, a function of the library, an operation or a kind of message is; or the list of all. */
#include "cli.h"
#include "doc.h"

typedef struct { const char *name; } Options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (o->name) argp_error(state, "one NAME at a time: `%s` and `%s`", o->name, arg);
        o->name = arg;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {.parser = parse, .args_doc = "[NAME]",
    .doc = "Tells what NAME is: a word of the language, a function or optimizer of the library, an operation of the "
           "graph IR, or the kind of a message (`shape` in `error[shape]`). Without NAME, all names there are.\v"
           "Exit status 1 when nothing has that name."};

static void no_name(Arena *a, Str name) {
    Str near = doc_nearest(a, name);
    fprintf(stderr, "graphc: nothing is called `%.*s`", FSTR(name));
    if (near.n) fprintf(stderr, "; did you mean `%.*s`?", FSTR(near));
    fputs("\n  help: `graphc doc` lists the names\n", stderr);
}

int cmd_doc(int argc, char **argv) {
    Options o = {0};
    options_parse(&parser, argc, argv, &o);
    Arena *a = arena_create();
    Buf out = buf_make(a);
    bool found = true;
    if (o.name) {
        found = doc_print(a, str_of(o.name), &out);
    } else {
        doc_list(a, &out);
    }
    if (!found) no_name(a, str_of(o.name));
    fwrite(out.s, 1, out.n, stdout);
    arena_destroy(a);
    return found ? 0 : EXIT_WRONG;
}
