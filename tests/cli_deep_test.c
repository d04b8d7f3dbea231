/* Programs that are long: whoever compiles them has a stack for any number of operations one behind the other. */
#include "test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_KB = 4096 };                        /* frames are larger then */
#else
enum { STACK_KB = 512 };
#endif

/* n steps h1, h2 .., each of the form made of the one or two before it. */
static void put_line(int n, const char *form) {
    Arena *a = test_arena();
    Buf b = buf_make(a);
    buf_put(&b, STR("data d { from fresh(rows = 64) as train;  x[i < 4] = normal();  y = 3 * x[0] - x[2]\n"
              "    split val 0.2, train rest of train seed 1 }\n"
              "model net(x : real[N, 4]) -> (y : real[N]) {\n    h0 = linear(x, 4)\n"));
    for (int i = 1; i <= n; i++) {
        buf_printf(&b, "    h%d = ", i);
        buf_printf(&b, "%s(h%d + h%d)\n", form, i - 1, i > 1 ? i - 2 : 0);
    }
    buf_printf(&b, "    y = linear(h%d, 1)[:, 0]\n}\n", n);
    buf_put(&b, STR("objective fit(b : d[N]) { loss square = mse(net(b.x), b.y) }\n"
              "train { optimizer adam(lr = 0.1);  epochs 1;  batch 16;  keep lowest val.total }\n"));
    test_write(str_format(a, "%.*s/p.graph", FSTR(test_folder())), buf_str(&b));
}

static void compiled(const char *command, int status, const char *says) {
    test_expect(str_format(test_arena(), "ulimit -s %d; graphc %s", STACK_KB, command).s, status, says);
}

TEST(a_long_line_needs_no_deep_stack) {
    put_line(2000, "tanh");
    compiled("summary p.graph", 0, "net.linear2");
}

/* Values are made again, as many as hang together. */
TEST_ALL(a_long_line_is_trained_in_little_memory) {
    put_line(2000, "tanh");
    compiled("train -q p.graph --run r --threads 1 --max-memory 700kB", 0, "");
}

/* n times the form, with the number in place of each `#`. */
static void put_many(Buf *b, int n, const char *form) {
    for (int i = 0; i < n; i++) {
        for (const char *c = form; *c; c++) {
            if (*c == '#')
                buf_printf(b, "%d", i);
            else
                buf_char(b, *c);
        }
    }
}

/* A program around the declarations and the body of its model. */
static void put_around(const char *decls, int n_decls, const char *body, int n_body, const char *y) {
    Buf b = buf_make(test_arena());
    buf_put(&b, STR("graph 1\ndata d { from fresh(rows = 64) as train;  x[i < 4] = normal() }\n"));
    put_many(&b, n_decls, decls);
    buf_put(&b, STR("model net(x : real[N, 4]) -> (y : real[N, 1]) {\n    y = linear(x, 1)\n"));
    put_many(&b, n_body, body);
    buf_printf(&b, "    y = %s\n}\nobjective fit(b : d[N]) { loss s = mean[..] net(b.x)^2 }\n"
                   "train { optimizer sgd(lr = 0.1);  epochs 1;  batch 16 }\n", y);
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), buf_str(&b));
}

/* Each took minutes when names were looked for one by one. */
TEST_ALL(long_programs_are_checked_soon) {
    put_around("", 0, "    a# = y + #\n", 20000, "a19999");
    test_expect("timeout 20 graphc check p.graph > said", 0, "");
    put_around("setting s# : real = #\n", 5000, "", 0, "y * s4999");
    test_expect("timeout 20 graphc check p.graph > said", 0, "");
    put_around("model m#(x : real[N, 1]) -> (y : real[N, 1]) { y = linear(x, 1) }\n", 3000, "", 0, "m2999(y)");
    test_expect("timeout 20 graphc check p.graph > said", 0, "");
    put_around("", 0, "    y = nosuch# + 1\n", 20000, "y");
    test_expect("timeout 20 graphc check p.graph", 1, "nothing is called `nosuch0`");
}

/* Names behind the first few, bound once more and let go. */
TEST(many_names_are_found_as_few_are) {
    put_around("", 0, "    a# = y\n    for a# in [1, 2] { y = a# * y }\n", 40, "a39");
    test_expect("graphc check p.graph", 1, "nothing is called `a39`");
    put_around("", 0, "    a# = y\n    a# = a# + 1\n", 40, "a0 + a20 + a39");
    test_expect("graphc check p.graph", 0, "losses of fit");
}

/* Its braces are passed over, and not missed. */
TEST(deep_nesting_is_told_once) {
    Buf b = buf_make(test_arena());
    buf_put(&b, STR("def f(x) -> (y) {\n    y = x\n"));
    put_many(&b, 300, "for i# in [1] {\n");
    buf_put(&b, STR("y = 2 * y\n"));
    put_many(&b, 300, "}\n");
    buf_put(&b, STR("}\n"));
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), buf_str(&b));
    test_expect("graphc check p.graph > said 2>&1; grep '^error' said", 0,
                "error[syntax]: this is nested more than 200 deep\n");
    test_expect("grep -c '^error' said", 0, "1\n");
}

TEST(a_long_chain_of_calls_is_no_recursion) {
    put_around("def f#(x) = #\n", 1, "", 0, "f0(y) * y");
    test_expect("sed -i 's/^def.*/def f0(x) = x/; /^def/r /dev/stdin' p.graph <<END\n"
                "$(for i in $(seq 1 120); do echo \"def f$i(x) = f$((i - 1))(x)\"; done)\nEND\n"
                "sed -i 's/f0(y) [*] y/f120(y)/' p.graph; graphc check p.graph", 1,
                "calls inside calls, 100 deep, are the most there may be\n");
    test_expect("sed -i 's/^def f0(x) = x/def f0(x) = f9(x)/; s/f120(y)/f9(y)/' p.graph; graphc check p.graph", 1,
                "calls inside calls, 100 deep: `f0` calls itself\n");
}
