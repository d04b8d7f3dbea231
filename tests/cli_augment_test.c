/* Augmentation from the library: what it makes of rows whose values tell where they stood. */
#include "test.h"
#include <string.h>

TEST_ALL(augmentation_moves_rows_while_training_only) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), STR(
        "graph 1\n"
        "data d {\n    from fresh(rows = 40) as train;  from fresh(rows = 8) as val\n"
        "    x[i < 4, j < 5] = 5 * real(i) + real(j)\n}\n"
        "model net(x : real[N, 4, 5]) -> (y : real[N]) { y = linear(x as [N, 20], 1)[:, 0] }\n"
        "objective o(b : d[N]) {\n"
        "    f = random_flip(b.x);  r = random_roll(b.x, 2);  c = random_crop(b.x, 1);  s = random_noise(b.x, 0.5)\n"
        "    turned[n] = any[i,j] (f[n,i,j] != b.x[n,i,j])\n"
        "    mirrored[n] = all[i,j] (f[n,i,j] == b.x[n,i,j] or f[n,i,j] == b.x[n, i, 4 - j])\n"
        "    by[n] = int(r[n,0,0] - b.x[n,0,0])\n"
        "    rolled[n] = all[i,j] (int(r[n,i,j]) mod 5 == (j + by[n]) mod 5)\n"
        "    inside[n] = all[i,j] (c[n,i,j] == 0 or abs(c[n,i,j] - b.x[n,i,j]) < 6.5)\n"
        "    metric turns = mean[n] turned[n];  metric mirrors = mean[n] mirrored[n]\n"
        "    metric rolls = mean[n] rolled[n];  metric moved = mean[n] (by[n] != 0)\n"
        "    metric insides = mean[n] inside[n]\n"
        "    metric cut = mean[..] (c == 0);  metric away = mean[..] abs(s - b.x)\n"
        "    loss fit = mean[..] (net(f + r + c + s))^2\n"
        "}\n"
        "train { optimizer sgd(lr = 1e-6);  epochs 1;  batch 8;  seed 1 }\n"));
    Ran r = test_expect("graphc train p.graph --run r --json", 0, "\"train.mirrors\":1.0,");
    static const char *const said[] = {"\"train.rolls\":1.0,", "\"train.insides\":1.0,", "\"val.turns\":0.0,",
                                       "\"val.moved\":0.0,", "\"val.cut\":0.0500000007,", "\"val.away\":0.0"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        CHECK_MSG(strstr(r.out.s, said[i]) != NULL, "no %s in %s", said[i], r.out.s);
    CHECK(strstr(r.out.s, "\"train.turns\":0.0,") == NULL && strstr(r.out.s, "\"train.moved\":0.0,") == NULL);
    CHECK(strstr(r.out.s, "\"train.cut\":0.0500000007,") == NULL && strstr(r.out.s, "\"train.away\":0.0,") == NULL);
    test_expect("graphc verify p.graph", 0, "fused      on 3  every bit is the same");
}
