/* --cache-size: what the kernel cache may take on the disk, and which values are refused. */
#include "test.h"
#include <stdlib.h>

static const char k_program[] =
    "graph 1\n"
    "data d { from fresh(rows = 8) as train;  x[k < 4] = normal() }\n"
    "model net(x : real[N, 4]) -> (y : real[N, 1]) { y = linear(x, 1) }\n"
    "objective fit(b : d[N]) { loss l = mean[..] net(b.x)^2 }\n"
    "train { optimizer sgd(lr = 1e-2);  steps 1;  batch 8 }\n";

/* Libraries in a new cache after a training. */
static int libraries_of(const char *options) {
    test_expect(str_format(test_arena(), "rm -rf fresh r && XDG_CACHE_HOME=$PWD/fresh graphc train p.graph -q --run r "
                           "--threads 1 %s", options).s, 0, "");
    return atoi(test_shell(STR("ls fresh/graphc 2> /dev/null | grep -c ^lib-")).out.s);
}

TEST_ALL(the_size_of_the_cache_is_kept_to) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), str_of(k_program));
    CHECK(libraries_of("") > 0);
    CHECK(libraries_of("--cache-size 1GiB") > 0);
    CHECK_INT(libraries_of("--cache-size 1"), 0);
    CHECK_INT(libraries_of("--no-cache"), 0);
}

TEST(a_size_of_the_cache_is_bytes) {
    const char *takes = "--cache-size takes bytes, as in `300MB` or `1.5GiB`";
    test_expect("graphc train p.graph --cache-size 0", 2, takes);
    test_expect("graphc train p.graph --cache-size=-1MB", 2, takes);
    test_expect("graphc summary p.graph --cache-size lots", 2, takes);
    test_expect("graphc verify p.graph --cache-size 1e30", 2, takes);
    test_expect("graphc train p.graph --no-cache --cache-size 1MB", 2, "--no-cache uses none: leave one of them out");
}
