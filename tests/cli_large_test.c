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
                "error[io]: columns of 3 MB do not fit into memory, and no file of this size can be made in nowhere: "
                "No such file or directory");
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
