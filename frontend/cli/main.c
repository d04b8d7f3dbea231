/* graphc: finds the command and hands over. */
#include "cli.h"
#include "plan.h"
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *name, *arguments, *what; int (*run)(int, char **); } commands[] = {
#define COMMAND(name, arguments, what) {#name, arguments, what, cmd_##name},
#include "commands.def"
#undef COMMAND
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void help(FILE *to) {
    fputs("graphc compiles and trains programs of the .graph language on the CPU.\n\n"
          "usage: graphc COMMAND FILE [OPTION...]\n\n", to);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-8s %-22s %s\n", commands[i].name, commands[i].arguments, commands[i].what);
    fputs("\n`graphc COMMAND --help` tells the options of a command; `graphc --version` the version.\n"
          "exit status: 0 well, 1 the program or its data is wrong, 2 wrong usage, 130 interrupted\n", to);
}

static const char *nearest(const char *word) {
    const char *best = NULL;
    uint32_t least = 3;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        uint32_t d = str_distance(str_of(word), str_of(commands[i].name));
        if (d < least) least = d, best = commands[i].name;
    }
    return best;
}

/* What was printed has to have arrived: a full disk behind a redirection is an error like any other. */
static int finished(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    fprintf(stderr, "graphc: what was printed could not be written: %s\n", strerror(errno));
    return status ? status : EXIT_WRONG;
}

/* jansson leaves out what it has no memory for; half a row is worse than none. */
static void *json_memory(size_t bytes) {
    void *p = malloc(bytes);
    if (p == NULL && bytes > 0) error_no_memory(bytes);
    return p;
}

int main(int argc, char **argv) {
    json_set_alloc_funcs(json_memory, free);
    signal(SIGXFSZ, SIG_IGN);            /* a file that may not grow is an error of its write, told with its name */
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        help(stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0) {
        printf("graphc %s (semantics %d)\n", GRAPHC_VERSION, SEMANTICS_VERSION);
        return 0;
    }
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, word) != 0) continue;
        Arena *a = arena_create();
        argv[1] = (char *)str_format(a, "graphc %s", word).s;     /* what argp calls the program */
        int status = commands[i].run(argc - 1, argv + 1);
        arena_destroy(a);
        return finished(status);
    }
    const char *near = nearest(word);
    fprintf(stderr, "graphc: there is no command `%s`%s%s%s\n", word, near ? "; did you mean `" : "",
            near ? near : "", near ? "`?" : "");
    fputs("  help: `graphc --help` lists the commands\n", stderr);
    return EXIT_USAGE;
}
