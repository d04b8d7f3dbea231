/* Sets that do not fit into the memory they may have: columns go into files, and nothing else changes. */
#include "test.h"
#include <string.h>

static void put(const char *name, const char *text) {
    test_write(str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name), str_of(text));
}

/* x.npy has `rows` of 256 floats; with the formula there are twice as many bytes. */
static void put_set(int rows, const char *clauses, const char *train) {
    put("make.py", str_format(test_arena(),
                              "import numpy as n\n"
                              "r = n.random.default_rng(1)\n"
                              "n.save('x.npy', r.random((%d, 256), dtype='f4'))\n"
                              "n.save('k.npy', r.integers(0, 5, %d).astype('u1'))\n",
                              rows, rows)
                       .s);
    put("p.graph", str_format(test_arena(),
                              "graph 1\n"
                              "data d {\n"
                              "    from npy(x = \"x.npy\", k = \"k.npy\")\n"
                              "    x : f32[256];  k : u8 < 5\n"
                              "    %s\n"
                              "    half = x / 2;  m = mean[train] x[3]\n"
                              "    split val 0.1, train rest seed 1\n"
                              "}\n"
                              "model net(x : real[N, 256]) -> (y : real[N, 5]) { y = linear(x, 5) }\n"
                              "objective o(b : d[N]) { loss ce = cross_entropy(net(b.half - d.m + b.x), b.k) }\n"
                              "train { optimizer sgd(lr = 0.01);  epochs 2;  batch 64;  seed 1;  %s }\n",
                              clauses, train)
                       .s);
    test_expect("/usr/bin/python3 make.py", 0, "");
}

static void check_same(const char *x, const char *y) {
    Str a = test_tensors(x), b = test_tensors(y);
    CHECK_MSG(a.n == b.n && memcmp(a.s, b.s, a.n) == 0, "%s and %s have other bits", x, y);
}

/* All that cleaning, splitting and statistics do, on files; at one thread and at three. */
TEST_ALL(columns_in_files_have_the_same_bits) {
    put_set(3000, "drop where x[0] > 0.9;  drop duplicates of x", "keep lowest val.ce");
    test_expect("graphc train p.graph --run a --threads 1", 0, "rows, 2");
    test_expect("graphc train p.graph --run b --threads 1 --data-memory 100kB", 0, "");
    test_expect("graphc train p.graph --run c --threads 3 --data-memory 1", 0, "");
    check_same("a", "b");
    check_same("a", "c");
    test_expect("graphc data p.graph --data-memory 1 > x.txt; graphc data p.graph > y.txt; cmp x.txt y.txt", 0, "");
}

/* 100 MB of columns in a process that may have 75 MB of its own: more than the program itself takes. */
TEST_LONG(sets_larger_than_memory_train) {
    put_set(50000, "", "");
    test_expect("graphc train p.graph --run a --threads 1", 0, "");
    test_expect("ulimit -d 75000; graphc train p.graph --run no --threads 1", 1, "out of memory");
    test_expect("ulimit -d 75000; graphc train p.graph --run b --threads 1 --data-memory 1MB", 0, "");
    check_same("a", "b");
}

TEST_ALL(a_disk_without_place_is_a_message) {
    put_set(3000, "", "");
    test_expect("TMPDIR=nowhere graphc train p.graph --run a --data-memory 1MB", 1,
                "error[io]: a column of 3.1 MB does not fit into memory, and no file of this size can be made in "
                "nowhere: No such file or directory");
    put_set(12000, "", "");
    put("q.graph", "data d { from npy(k = \"k.npy\");  k : u8 < 5 }\n");
    test_expect("TMPDIR=nowhere graphc data q.graph --data-memory 1", 1, "a column of 12 kB does not fit");
    test_expect("graphc train p.graph --run a --data-memory none", 2, "--data-memory takes bytes, as in `300MB`");
}

/* An order out of a buffer is another order, and goes on as it would have. */
TEST_ALL(a_buffer_shuffles_and_resumes) {
    put_set(2000, "", "shuffle buffer 100");
    test_expect("graphc train p.graph --run a --threads 1", 0, "");
    test_expect("graphc train p.graph --run b --threads 1 -s epochs=1", 0, "");
    test_expect("graphc train p.graph --run b --threads 1 --resume", 0, "");
    check_same("a", "b");
    put_set(2000, "", "shuffle buffer 0");
    test_expect("graphc check p.graph", 1, "a number of rows");
    put_set(2000, "", "shuffle 10");
    test_expect("graphc check p.graph", 1, "in `shuffle buffer 10000`");
    put_set(2000, "", "shuffle buffer 2000");
    test_expect("graphc check p.graph", 0, "");
}

/* What steps waited for is told, and is part of the time they took. */
TEST_ALL(waiting_is_measured) {
    put_set(2000, "", "");
    test_expect("graphc train p.graph --run a --json > out.jsonl; cat out.jsonl", 0, "\"waited\":");
    test_expect("/usr/bin/python3 -c 'import json\n"
                "rows = [json.loads(l) for l in open(\"out.jsonl\")]\n"
                "assert all(0 < r[\"waited\"] < r[\"seconds\"] for r in rows if r[\"event\"] == \"epoch\")'",
                0, "");
}

/* A set has one file, however many columns lie in it. */
TEST(columns_share_a_file) {
    enum { COLUMNS = 40, ROWS = 1500 };
    Buf table = buf_make(test_arena()), columns = buf_make(test_arena()), sum = buf_make(test_arena());
    for (int k = 0; k < COLUMNS; k++) {
        buf_printf(&table, "%sx%d", k ? "," : "", k);
        buf_printf(&columns, "x%d : f32;  ", k);
        buf_printf(&sum, " + b.x%d[n]", k);
    }
    for (int i = 0; i < COLUMNS * ROWS; i++) buf_printf(&table, "%s%d", i % COLUMNS ? "," : "\n", i % 97);
    put("t.csv", buf_str(&table).s);
    put("p.graph", str_format(test_arena(),
                              "data d { from csv(\"t.csv\") as train;  %s}\n"
                              "model net(x : real[N]) -> (y : real[N]) { y = linear(x as [N, 1], 1)[:, 0] }\n"
                              "objective fit(b : d[N]) { loss e = mean[n] (net(b.x0)[n]%s)^2 }\n"
                              "train { optimizer sgd(lr = 1e-6);  epochs 2;  batch 100 }\n",
                              buf_str(&columns).s, buf_str(&sum).s)
                       .s);
    test_expect("graphc train p.graph -q --run a", 0, "");
    test_expect("ulimit -n 24; graphc train p.graph -q --run b --data-memory 1", 0, "");
    check_same("a", "b");
}
