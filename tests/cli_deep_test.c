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
