/* graphc data: what it shows of small tables, and what it finds wrong with them. */
#include "test.h"
#include <string.h>

static Str in_folder(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

static void put(const char *name, const char *text) { test_write(in_folder(name), str_of(text)); }

/* `block` is the data set `houses`, of which an objective sees price, rooms, kind and ground. */
static void put_program(const char *block) {
    put("p.graph", str_format(test_arena(),
                              "graph 1\n"
                              "data houses {\n%s}\n"
                              "model value(x : real[N, 2]) -> (y : real[N]) { y = linear(x, 1)[:, 0] }\n"
                              "objective guess(b : houses[N]) {\n"
                              "    x[n, k < 2] = where(k == 0, b.rooms[n], b.ground[n])\n"
                              "    loss fit = mse(value(x) * b.kind, b.price)\n"
                              "}\n"
                              "train { optimizer adam(lr = 1e-2);  epochs 2;  batch 2;  seed 1 }\n",
                              block)
                       .s);
}

static const char k_block[] =
    "    from csv(\"tr.csv\") as train\n"
    "    from csv(\"te.csv\") as val\n"
    "    price : f32;  rooms : f32;  kind : u8 < 3\n"
    "    ground = area * 2\n"
    "    drop where price > 9\n"
    "    m = mean[train] price\n";

static void put_tables(void) {
    put("tr.csv", "price,rooms,area,kind\n1.5,2,10,0\n2.5,3,20,1\n1.5,2,10,0\n3.5,4,30,1\n4.5,5,35,0\n9.5,6,35,0\n");
    put("te.csv", "price,rooms,area,kind\n2.5,3,20,0\n7.5,3,25,2\n");
    put_program(k_block);
}

TEST(data_shows_rows_and_what_is_wrong) {
    static const char shown[] =
        "data houses  7 rows of 8 that were read\n"
        "  from csv(\"tr.csv\") as train  6 rows  tr.csv\n"
        "  from csv(\"te.csv\") as val    2 rows  te.csv\n"
        "  drop where price > 9         -1 row\n"
        "  split train  5 rows  71.4 %  1 of them is there before\n"
        "  split val    2 rows  28.6 %\n"
        "  column  type    split  least  mean  most      sd  zeros\n"
        "  price   f32     train    1.5   2.7   4.5   1.166    0 %\n"
        "                  val      2.5     5   7.5     2.5    0 %\n"
        "  rooms   f32     train      2   3.2     5   1.166    0 %\n"
        "                  val        3     3     3       0    0 %\n"
        "  kind    u8 < 3  train      0   0.4     1  0.4899   60 %\n"
        "                  val        0     1     2       1   50 %\n"
        "  area    f32     train     10    21    35    10.2    0 %  no objective sees it\n"
        "                  val       20  22.5    25     2.5    0 %  no objective sees it\n"
        "  ground  f32     train     20    42    70    20.4    0 %\n"
        "                  val       40    45    50       5    0 %\n"
        "  kind  train        val\n"
        "  = 0       3  60 %    1  50 %\n"
        "  = 1       2  40 %    0   0 %\n"
        "  = 2       0   0 %    1  50 %\n"
        "  houses.m = 2.7\n";
    static const char wrong[] =
        "warning[leak]: 1 of the 2 rows of `val` are in `train` too, with the same `price`, `rooms`, `ground`\n"
        "  --> p.graph:4:5\n"
        "   |\n"
        " 4 |     from csv(\"te.csv\") as val\n"
        "   |     ^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "   = note: the first is te.csv, row 0, which equals tr.csv, row 1\n"
        "   = help: `drop duplicates of price, rooms, ground` leaves one of each\n"
        "\n"
        "warning[labels]: 1 row with the same `price`, `rooms`, `ground` as another has another label\n"
        "  --> p.graph:4:5\n"
        "   |\n"
        " 4 |     from csv(\"te.csv\") as val\n"
        "   |     ^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "   = note: the first is te.csv, row 0; the other tr.csv, row 1\n"
        "\n"
        "warning[classes]: `kind` is 2 in 1 row of `val`, and never in `train`\n"
        "  --> p.graph:5:33\n"
        "   |\n"
        " 5 |     price : f32;  rooms : f32;  kind : u8 < 3\n"
        "   |                                 ^^^^\n"
        "   = help: rows that follow each other in a file may be of one class: split with `seed 1`\n";
    put_tables();
    Ran r = test_shell(STR("graphc data p.graph 2>wrong.txt"));
    CHECK_INT(r.status, 0);
    CHECK_STR(r.out, shown);
    CHECK_STR(test_read(in_folder("wrong.txt")), wrong);
}

TEST(data_as_objects) {
    put_tables();
    test_expect("graphc data p.graph --json", 0, "{\"about\":\"rows\",\"data\":\"houses\",\"read\":8,\"rows\":7}\n");
    test_expect("graphc data p.graph --json", 0, "\"path\":\"te.csv\",\"first\":6,\"rows\":2}\n");
    test_expect("graphc data p.graph --json", 0, "\"clause\":\"drop where price > 9\",\"dropped\":1}\n");
    test_expect("graphc data p.graph --json", 0, "\"split\":\"train\",\"rows\":5,\"repeated\":1}\n");
    test_expect("graphc data p.graph --json", 0,
                "\"zeros\":1,\"nan\":0,\"infinite\":0,\"constant\":0,\"classes\":[1,0,1]}\n");
    test_expect("graphc data p.graph --json", 0, "{\"severity\":\"warning\",\"kind\":\"leak\",");
    test_expect("graphc data p.graph --json | python3 -c 'import json, sys\nfor l in sys.stdin: json.loads(l)'", 0, "");
}

/* What a training refuses at its first value is counted here. */
TEST(data_counts_what_is_not_finite) {
    put_tables();
    put("tr.csv", "price,rooms,area,kind\n1.5,2,10,0\n2.5,NA,20,1\n1.5,,10,0\n3.5,inf,30,1\n");
    Ran r = test_expect("graphc data p.graph", 1,
                        "error[finite]: `rooms` has 3 values that are not finite (2 nan, 1 infinite)\n"
                        "  --> p.graph:3:5\n");
    CHECK(strstr(r.out.s, "= note: the first is in tr.csv, row 1\n") != NULL);
    CHECK(strstr(r.out.s, "  3 not finite\n") != NULL);
    test_expect("graphc train p.graph --run run", 1, "tr.csv, row 1: value nan in `rooms`");
    put("tr.csv", "price,rooms,area,kind\n1.5,2,10,0\n2.5,x,20,1\n");
    test_expect("graphc data p.graph", 1, "tr.csv, row 1, column `rooms`: `x` is no number");
    put("tr.csv", "price,rooms,area,kind\n1.5,2,10,0\n2.5,inf,20,1\n");
    test_expect("graphc data p.graph", 0, "leave such rows out: `drop where (abs(rooms) == inf)`");
    put_program("    from csv(\"tr.csv\") as train\n    from csv(\"te.csv\") as val\n"
                "    price : f32;  rooms : f32;  kind : u8 < 3;  ground = area * 2\n"
                "    drop where (abs(rooms) == inf)\n");
    test_expect("graphc train p.graph --run run", 0, "4 rows, 3 after cleaning");
}

/* What `drop where` takes may be no number, for a look and for a training; what it leaves may not. */
TEST(data_drops_what_is_no_number) {
    put_tables();
    put("tr.csv", "price,rooms,area,kind\n1.5,2,10,0\n2.5,nan,20,1\n1.5,,10,0\n3.5,4,30,1\n");
    put_program("    from csv(\"tr.csv\") as train\n    from csv(\"te.csv\") as val\n"
                "    price : f32;  rooms : f32;  kind : u8 < 3;  ground = area * 2\n"
                "    drop where isnan(rooms)\n");
    test_expect("graphc data p.graph", 0, "drop where isnan(rooms)      -2 rows");
    test_expect("graphc train p.graph --run run", 0, "6 rows, 4 after cleaning");
    put("tr.csv", "price,rooms,area,kind\n1.5,nan,nan,0\n2.5,3,nan,1\n1.5,nan,7,0\n3.5,4,30,1\n");
    test_expect("graphc data p.graph", 1, "drop where isnan(ground)");
    Ran r = test_expect("graphc train p.graph --run other", 1, "tr.csv, row 1: value nan in `area`");
    CHECK_MSG(strstr(r.out.s, "`drop where isnan(area)` leaves such rows out") != NULL, "%s", r.out.s);
}

TEST(data_follows_the_help_of_a_leak) {
    put_tables();
    put_program("    from csv(\"tr.csv\") as train\n    from csv(\"te.csv\") as val\n"
                "    price : f32;  rooms : f32;  kind : u8 < 3;  ground = area * 2\n"
                "    drop duplicates of price, rooms, ground\n");
    Ran r = test_expect("graphc data p.graph", 0, "  drop duplicates of price, rooms, ground  -2 rows\n");
    CHECK(strstr(r.out.s, "leak") == NULL && strstr(r.out.s, "labels") == NULL);
}

TEST(data_finds_constants) {
    put("p.graph",
        "graph 1\n"
        "data d { from npy(x = \"x.npy\");  x : f32[3];  one = 0 * x[0];  split val 2, train rest in order }\n");
    test_expect("/usr/bin/python3 -c 'import numpy as n\n"
                "n.save(\"x.npy\", n.array([[1, 5, i] for i in range(6)], \"f4\"))'", 0, "");
    Ran r = test_expect("graphc data p.graph", 0, "2 of 3 places constant\n");
    CHECK(strstr(r.out.s, "warning[constant]: `one` is the same in all 6 rows\n  --> p.graph:2:") != NULL);
    CHECK(strstr(r.out.s, "leak") == NULL);
}

TEST(data_of_other_files) {
    put("p.graph", "graph 1\ndata text { from bytes(\"p.graph\");  byte : u8 = bytes }\n"
                   "data lines {\n    from lines(\"p.graph\");  word : u8[up to 99] = bytes\n"
                   "    split val 0.5, unused rest in order\n}\n");
    Ran r = test_expect("graphc data p.graph", 0, "rows of 1 byte are equal by chance, and not compared\n");
    CHECK(strstr(r.out.s, "byte has ") != NULL);
    CHECK(strstr(r.out.s, "  word         u8[up to 99]  val") != NULL);
    put("q.graph", "graph 1\ndef f(x) = x\n");
    test_expect("graphc data q.graph", 1, "q.graph has no `data`");
    put("q.graph", "graph 1\nsetting n : dim = 3\ndata d { from fresh(rows = n);  x[i < 4] = uniform() }\n");
    test_expect("graphc data q.graph -s n=40", 0, "data d  40 rows\n");
    put("q.graph", "graph 1\ndata d { from csv(\"no.csv\");  x : f32 }\n");
    test_expect("graphc data q.graph", 1, "no.csv: No such file or directory\n  --> q.graph:2:10\n");
}
