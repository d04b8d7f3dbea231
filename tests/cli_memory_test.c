/* --max-memory: plans that keep to a limit by computing values again, with the same bits; and what is said when there
 * is none. */
#include "test.h"
#include <stdlib.h>
#include <string.h>

/* It keeps much for its backward pass: normalised values, masks of random draws, operands of products. */
static const char k_deep[] =
    "graph 1\n"
    "data waves {\n"
    "    from fresh(rows = 64) as train\n"
    "    from fresh(rows = 32) as test\n"
    "    kind : u8 < 2 = integer(0, 2)\n"
    "    signal[t < 48] = sin(0.3 * (1 + kind) * t) + 0.3 * normal()\n"
    "}\n"
    "model net(x : real[N, 1, 48]) -> (logits : real[N, 2]) {\n"
    "    h = conv(x, 8, 3, pad = 1)\n"
    "    for i < 4 { h = h |> batchnorm |> relu |> dropout(p = 0.2) |> conv(8, 3, pad = 1) }\n"
    "    g[n,c] = mean[l] h[n,c,l]^2\n"
    "    logits = linear(g, 2)\n"
    "}\n"
    "objective classify(b : waves[N]) {\n"
    "    logits = net(b.signal as [N, 1, 48])\n"
    "    loss ce = cross_entropy(logits, b.kind)\n"
    "}\n"
    "train { optimizer adam(lr = 1e-2);  epochs 2;  batch 32;  seed 1 }\n";

static void write_deep(void) {
    test_write(str_format(test_arena(), "%.*s/deep.graph", FSTR(test_folder())), str_of(k_deep));
}

static unsigned long arena_of(const char *option) {
    Ran r = test_shell(str_format(test_arena(), "graphc summary deep.graph %s", option));
    const char *at = strstr(r.out.s, "\narena");
    REQUIRE(at != NULL);
    unsigned long bytes = 0;
    for (at += 6; *at && *at != 'a'; at++) {
        if (*at >= '0' && *at <= '9')
            bytes = bytes * 10 + (unsigned long)(*at - '0');
    }
    return bytes;
}

TEST(a_limit_is_kept_by_computing_again) {
    write_deep();
    unsigned long free = arena_of(""), half = arena_of("--max-memory 600kB");
    CHECK_MSG(free > 800000, "%lu", free);
    CHECK_MSG(half <= 600000 && half > 300000, "%lu", half);
    CHECK(arena_of("--max-memory 10GB") == free);
    test_expect("graphc explain deep.graph --max-memory 600kB", 0, "computed again in train.classify.train: ");
    test_expect("graphc explain deep.graph --max-memory 600kB", 0, "f32[32,8,48], 49152 bytes");
    CHECK(strstr(test_shell(STR("graphc explain deep.graph")).out.s, "computed again") == NULL);
}

TEST(what_is_computed_again_has_the_same_bits) {
    write_deep();
    test_expect("graphc verify deep.graph --max-memory 500kB", 0, "fused      on 3  every bit is the same");
    test_expect("graphc train deep.graph -q --run free && "
                "graphc train deep.graph -q --run tight --max-memory 500kB --threads 1 && "
                "true", 0, "");
    CHECK(str_eq(test_tensors("free"), test_tensors("tight")));
    test_expect("graphc bench deep.graph --rounds 1 --max-memory 0.5MiB --variants=fused", 0, "fused");
}

TEST(a_limit_out_of_reach_is_refused) {
    write_deep();
    Ran r = test_expect("graphc train deep.graph --max-memory 100kB", 1,
                        "error[memory]: the least found for a step is ");
    CHECK(strstr(r.out.s, "and --max-memory allows 100000"));
    CHECK(strstr(r.out.s, "of states of optimisers"));
    CHECK(strstr(r.out.s, "`y` f32[32,8,48], 49152 bytes (lib/layers.graph:70)"));
    CHECK(strstr(r.out.s, "help: allow that much, or take a smaller batch"));
    test_expect("graphc summary deep.graph --max-memory 100kB --diag=json", 1, "\"kind\":\"memory\"");
    test_expect("graphc summary deep.graph --max-memory much", 2, "--max-memory takes bytes, as in `300MB`");
    test_expect("graphc summary deep.graph --max-memory 3Mb", 2, "--max-memory takes bytes");
    test_expect("graphc summary deep.graph --max-memory -3", 2, "--max-memory takes bytes");
}

/* The least that is told can be followed. */
static void check_least(const char *name) {
    Str root = test_root();
    const char *path = str_format(test_arena(), "%.*s/graphs/tiny/%s.graph", FSTR(root), name).s;
    Ran r = test_shell(str_format(test_arena(), "graphc summary %s --max-memory 1", path));
    const char *told = strstr(r.out.s, "the least found for a step is ");
    REQUIRE(told != NULL);
    unsigned long least = strtoul(told + strlen("the least found for a step is "), NULL, 10);
    Str line = str_format(test_arena(), "graphc summary %s --max-memory", path);
    r = test_shell(str_format(test_arena(), "%.*s %lu", FSTR(line), least));
    CHECK_MSG(r.status == 0, "%s with %lu bytes: %s", path, least, r.out.s);
    r = test_shell(str_format(test_arena(), "%.*s %lu", FSTR(line), least + 600));
    CHECK_MSG(r.status == 0, "%s with %lu bytes: %s", path, least + 600, r.out.s);
}

TEST(the_least_that_is_told_is_a_limit_that_is_kept) {
    check_least("order");
    check_least("conv");
}

TEST_LONG(the_least_of_small_programs_is_kept) {
    static const char *const names[] = {"gan", "loops", "losses", "scan", "vae", "windows"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_least(names[i]);
}
