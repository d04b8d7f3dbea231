/* Running programs of graphs/ in tests: one line of the shell with `graphc`, and numbers out of what it
 * prints. */
#ifndef GR_TESTS_GRAPHS_RUN_H
#define GR_TESTS_GRAPHS_RUN_H
#include "test.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* `graphc COMMAND ROOT/graphs/FILE MORE`, which has to end well.  `stand_in`, the setting that says where the
 * generators are (perhaps of a module), may be NULL. */
static inline Ran graphs_run(const char *command, const char *file, const char *stand_in, const char *more) {
    const char *where = stand_in ? str_format(test_arena(), "-s %s=" GRAPHC_BUILD, stand_in).s : "";
    Ran r = test_shell(str_format(test_arena(), "graphc %s %.*s/graphs/%s %s %s", command, FSTR(test_root()),
                                  file, where, more));
    CHECK_MSG(r.status == 0, "graphc %s graphs/%s %s: status %d\n%.*s", command, file, more, r.status,
              FSTR(r.out));
    return r;
}

/* The number behind the last `name` and blanks. */
static inline double graphs_value(Ran r, const char *name) {
    double value = NAN;
    for (const char *at = r.out.s; (at = strstr(at, name)) != NULL; at += strlen(name)) {
        char *end;
        double read = strtod(at + strlen(name), &end);
        value = end > at + strlen(name) ? read : value;
    }
    CHECK_MSG(!isnan(value), "no number behind `%s` in\n%.*s", name, FSTR(r.out));
    return value;
}

static inline void graphs_says(Ran r, const char *text) {
    CHECK_MSG(strstr(r.out.s, text) != NULL, "no `%s` in\n%.*s", text, FSTR(r.out));
}

#define CHECK_NEAR(actual, expected, within)                                                                 \
    do {                                                                                                     \
        double actual_ = (actual);                                                                           \
        CHECK_MSG(fabs(actual_ - (expected)) <= (within), "%s is %.10g, expected %.10g", #actual, actual_,   \
                  (double)(expected));                                                                       \
    } while (0)
#endif
