/* What a run leaves beside its weights, and what `graphc runs` makes of it. */
#include "test.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char k_program[] =
    "setting latent : dim = 2\n"
    "setting rate : real = 0.1\n"
    "data d { from fresh(rows = 90) as train;  x[i < 4] = normal();  y = 3 * x[0] - x[2]\n"
    "    split val 0.2, train rest of train seed 1 }\n"
    "model net(x : real[N, 4]) -> (y : real[N]) { y = (x |> linear(latent) |> linear(1))[:, 0] }\n"
    "objective fit(b : d[N]) { loss square = mse(net(b.x), b.y);  loss two = mean[..] net(b.x)^2 weight 0.01 }\n"
    "train { optimizer adam(lr = rate);  epochs 3;  batch 12;  keep lowest val.total }\n";

static Str path_of(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

static void put(const char *name, const char *text) { test_write(path_of(name), str_of(text)); }

static bool exists(const char *name) { return access(path_of(name).s, F_OK) == 0; }

static uint32_t lines_of(const char *name) {
    Str text = test_read(path_of(name));
    uint32_t n = 0;
    for (uint32_t i = 0; i < text.n; i++) n += text.s[i] == '\n';
    return n;
}

TEST(a_run_leaves_a_card_a_log_a_table_and_a_row) {
    put("p.graph", k_program);
    test_expect("graphc train p.graph -q --note 'first one' --tag a --tag b", 0, "");
    test_expect("cat runs/p-001/run.json", 0, "\"state\": \"done\"");
    test_expect("cat runs/p-001/run.json", 0, "\"note\": \"first one\"");
    test_expect("cat runs/p-001/log.txt", 0, "epoch   3  train.square ");
    test_expect("cat runs/p-001/metrics.csv", 0, "event,phase,epoch,step,seconds,train.square,train.two,train.total,");
    CHECK_INT(lines_of("runs/p-001/metrics.csv"), 4);
    CHECK(exists("runs/runs.db"));
    test_expect("graphc train p.graph -q --run runs/p-001 --resume --note other --tag a --tag c", 0, "");
    CHECK_INT(lines_of("runs/p-001/metrics.csv"), 4);
    test_expect("cat runs/p-001/run.json", 0, "\"other\"");
    test_expect("tr -d ' \\n' < runs/p-001/run.json", 0, "\"tags\":[\"a\",\"b\",\"c\"]");
}

/* A program gets objects, and nothing else, on standard output. */
TEST(progress_is_objects_on_request) {
    put("p.graph", k_program);
    const char *first = "{\"event\":\"begin\",\"run\":\"r\"}\n{\"event\":\"epoch\",";
    Ran r = test_expect("graphc train p.graph --json --run r", 0, first);
    CHECK(str_ends(r.out, "{\"event\":\"end\",\"run\":\"r\",\"state\":\"done\"}\n"));
    test_expect("graphc train p.graph --json --run r", 1, "{\"severity\":\"error\",\"kind\":\"io\"");
}

/* On a terminal the line is drawn over itself; in a file each epoch has one. */
TEST(the_line_lives_on_a_terminal_only) {
    put("p.graph", k_program);
    Ran r = test_expect("script -qec 'graphc train p.graph --run live' /dev/null", 0, "\r\033[Kepoch 1/3  step ");
    CHECK_MSG(strstr(r.out.s, "  total ") && strstr(r.out.s, "  two ") && strstr(r.out.s, "  healthy"), "%s", r.out.s);
    r = test_expect("graphc train p.graph --run plain", 0, "epoch   1  train.square ");
    CHECK(memchr(r.out.s, '\r', r.out.n) == NULL && memchr(r.out.s, '\033', r.out.n) == NULL);
    CHECK(test_tensors("live").n > 0 && str_eq(test_tensors("live"), test_tensors("plain")));
    test_expect("graphc train p.graph --run quiet --quiet", 0, "");
}
