/* What this machine can do: peak arithmetic and the bandwidth of every level, on one thread and on all.
 * `machine [FILE]` keeps the figures in FILE and prints them from there the next time. */
#include "machine.h"
#include <stdio.h>

int main(int argc, char **argv) {
    Arena *a = arena_create();
    Machine m;
    Error e;
    if (machine_get(argc > 1 ? argv[1] : NULL, 0, &m, &e) != GR_OK) {
        fprintf(stderr, "error: %s\n", e.what);
        return 1;
    }
    Buf out = buf_make(a);
    machine_print(&m, &out);
    printf("%.*s", FSTR(buf_str(&out)));
    arena_destroy(a);
    return 0;
}
