/* `convolution winograd` in a program: what is told of it, the same bits in every mode and with little memory, and a
 * training that goes as the direct one does. */
#include "test.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put(const char *clauses) {
    Str path = str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder()));
    test_write(path, str_format(test_arena(),
                                "graph 1\n"
                                "data waves { from fresh(rows = 16) as train;  x[c < 1, i < 16, j < 16] = normal() }\n"
                                "model net(x : real[N, 1, 16, 16]) -> (y : real[N, 1, 16, 16]) {\n"
                                "    y = x |> conv(128, 3, pad = 1) |> relu |> conv(128, 3, pad = 1) |> relu |>\n"
                                "        conv(1, 3, pad = 1)\n"
                                "}\n"
                                "objective fit(b : waves[N]) { loss square = mse(net(b.x), b.x) }\n"
                                "train { optimizer adam(lr = 1e-3);  epochs 3;  batch 8;  seed 1%s }\n",
                                clauses));
}

TEST(winograd_is_told) {
    put(";  convolution winograd");
    test_expect("graphc check p.graph", 0, "convolution  winograd: the models' convolutions of 3 taps");
    test_expect("graphc fmt --check p.graph", 0, "");
    test_expect("graphc explain p.graph", 0, "winograd f32[8,128,16,16]  lib/layers.graph:70\n");
    test_expect("graphc explain p.graph", 0, "winograd f32[128,128,3,3]  lib/layers.graph:70\n");
    test_expect("graphc explain p.graph", 0, "direct   f32[8,1,16,16]  lib/layers.graph:70  it would not take");
    put(";  convolution direct");
    CHECK(strstr(test_shell(STR("graphc explain p.graph")).out.s, "winograd") == NULL);
}

TEST_ALL(winograd_programs_agree) {
    static const char *const clauses[] = {"", ";  precision bf16"};
    for (size_t i = 0; i < sizeof clauses / sizeof *clauses; i++) {
        put(str_format(test_arena(), ";  convolution winograd%s", clauses[i]).s);
        Ran r = test_expect("graphc verify p.graph --steps 2", 0, "fused      on 3  every bit is the same");
        CHECK(strstr(r.out.s, "differ") == NULL);
    }
    put(";  convolution winograd");
    test_expect("graphc verify p.graph --steps 1 --max-memory 20MB", 0, "fused      on 2  every bit is the same");
}

static double last_loss(const char *clauses, const char *folder) {
    put(clauses);
    test_expect(str_format(test_arena(), "graphc train p.graph --run %s", folder).s, 0, "");
    Ran r = test_shell(str_format(test_arena(), "tail -n 1 %s/metrics.csv | cut -d, -f7", folder));
    return strtod(r.out.s, NULL);
}

TEST_ALL(winograd_trains_like_direct) {
    double direct = last_loss("", "direct"), fast = last_loss(";  convolution winograd", "fast");
    CHECK_MSG(direct > 0 && fast != direct && fabs(fast - direct) < 1e-3 * direct, "%.9g and %.9g", direct, fast);
}
