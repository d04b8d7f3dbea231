/* tests/check/ *.graph: what `graphc check` says of a program, as its user reads it.  `# test: set=beta=0` gives a
 * setting another value, `# test: json` asks for the same as JSON. */
#include "test.h"

static Str check(Arena *a, const TextTest *t) {
    test_write(str_format(a, "%.*s/p.graph", FSTR(test_folder())), t->input);
    Str set = text_value(t, "set");
    Ran r = test_shell(str_format(a, "graphc check p.graph %s %.*s %s", set.n ? "-s" : "", FSTR(set),
                                  text_flag(t, "json") ? "--json" : ""));
    return r.status == 0 ? r.out : str_format(a, "%.*sstatus %d\n", FSTR(r.out), r.status);
}
TEXT_KIND("check", "graph", check)
