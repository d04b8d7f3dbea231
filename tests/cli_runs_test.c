/* Runs that are gone on with: after the program was changed, after a kill, after Ctrl-C in a validation; and failures
 * of the world as objects. */
#include "test.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char k_program[] =
    "setting latent : dim = 2\n"
    "setting rate : real = 0.1     # how fast\n"
    "data d { from fresh(rows = 90) as train;  x[i < 4] = normal();  y = 3 * x[0] - x[2]\n"
    "    split val 0.2, train rest of train seed 1 }\n"
    "model net(x : real[N, 4]) -> (y : real[N]) {\n"
    "    h = x |> linear(latent) |> relu\n"
    "    y = linear(h, 1)[:, 0]\n"
    "}\n"
    "objective fit(b : d[N]) { loss square = mse(net(b.x), b.y) }\n"
    "train { optimizer adam(lr = rate);  epochs 2;  batch 12 }\n";

static Str path_of(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

static void put(const char *name, const char *text) { test_write(path_of(name), str_of(text)); }

static bool exists(const char *name) { return access(path_of(name).s, F_OK) == 0; }

/* The program with one text instead of another. */
static void put_changed(const char *name, const char *from, const char *to) {
    const char *at = strstr(k_program, from);
    REQUIRE(at != NULL);
    put(name, str_format(test_arena(), "%.*s%s%s", (int)(at - k_program), k_program, to, at + strlen(from)).s);
}

/* What is refused leaves the run and what is known of it as they were. */
TEST(a_changed_program_is_told_by_its_changes) {
    put("p.graph", k_program);
    test_expect("graphc train p.graph -q --run r && cp r/run.json was.json && cp r/log.txt was.txt", 0, "");
    put_changed("p.graph", "relu", "elu");
    test_expect("graphc train p.graph -s latent=4 -q --run r --resume", 1,
           "graphc: r was trained with another program: latent 2 → 4 (line 1), `relu` → `elu` (line 6)\n"
           "  help: a changed program begins a run of its own: another `--run`\n");
    put_changed("p.graph", "    y = linear(h, 1)[:, 0]\n", "    g = linear(h, 3)\n    y = linear(g, 1)[:, 0]\n");
    test_expect("graphc train p.graph -q --run r --resume", 1, "(line 7)");
    test_expect("graphc eval p.graph --split val --run r", 1, "r was trained with another program: `");
    put_changed("p.graph", " |> relu", "");
    test_expect("graphc train p.graph -q --run r --resume", 1, "another program: `|> relu` is gone (line 6)\n");
    put_changed("p.graph", "epochs 2", "epochs 3");
    test_expect("graphc train p.graph -q --run r --resume", 1, "another program: epochs 2 → 3 (line 10)\n");
    test_expect("cmp r/run.json was.json && cmp r/log.txt was.txt && graphc runs", 0, "done");
    put_changed("p.graph", "     # how fast", "     # the rate\n\n");
    test_expect("graphc train p.graph -q --run r --resume", 0, "");
}

/* The folder one stands in has a name, and the index is beside it as beside any. */
TEST(a_run_in_this_folder_is_found_from_above) {
    put("p.graph", k_program);
    test_expect("mkdir here; cd here; graphc train ../p.graph -q --run . && ls && cd .. && graphc runs", 0, "here");
    CHECK(exists("runs.db") && !exists("here/runs.db"));
}

/* Killed before the first save: nothing has to be removed by hand. */
TEST(a_run_that_saved_nothing_begins_again) {
    put("p.graph", k_program);
    test_expect("graphc train p.graph -q --run whole", 0, "");
    test_expect("mkdir r; echo 'half a te' > r/resolved.graph.part; graphc train p.graph -q --run r", 0, "");
    test_expect("rm r/last.safetensors r/metrics.jsonl; graphc train p.graph -q --run r", 1,
           "r holds a run that ended before it saved anything\n  help: `--resume` begins it again");
    test_expect("graphc eval p.graph --split val --run r", 1, "the run in r has saved nothing yet");
    test_expect("graphc train p.graph -q --run r --resume", 0, "");
    Str whole = test_tensors("whole"), again = test_tensors("r");
    CHECK(whole.n > 0 && str_eq(whole, again));
    test_expect("graphc train p.graph -q --run none --resume", 1, "there is no run in none");
    CHECK(!exists("none"));
}

TEST(failures_of_the_world_are_objects_too) {
    put("p.graph", k_program);
    test_expect("graphc check nosuch.graph --diag=json", 1, "{\"severity\":\"error\",\"kind\":\"io\",\"message\":");
    test_expect("graphc train p.graph -q --run p.graph --diag=json", 1,
           "{\"severity\":\"error\",\"kind\":\"io\",\"message\":\"p.graph is a file, not a folder\",\"labels\":[],"
           "\"notes\":[],\"help\":[]}\n");
    test_expect("graphc train p.graph --run none --resume --diag=json", 1,
           "\"help\":[\"`graphc train FILE --run none` makes one\"]");
    test_expect("trap '' XFSZ; ulimit -f 0; graphc train p.graph -q --run full --diag=json 2>&1", 1, "\"kind\":\"io\"");
    put_changed("m.graph", "fresh(rows = 90)", "csv(\"missing.csv\")");
    test_expect("graphc train m.graph -q --diag=json", 1, "{\"severity\":\"error\",\"kind\":");
    put_changed("n.graph", "train {", "# {");
    test_expect("graphc train n.graph --diag=json", 1, "\"message\":\"n.graph has no `train`\"");
}

/* What is not trained is verified as it is evaluated and exported. */
TEST_ALL(a_file_without_train_is_verified) {
    const char *end = strstr(k_program, "train {");
    put("p.graph", str_format(test_arena(), "%.*s%s", (int)(end - k_program), k_program,
                              "export guess(b : d[N]) -> (y : real[N]) { y = net(b.x) }\n"
                              "export raw(x : real[N, 4]) -> (y : real[N]) { y = net(x) }\n").s);
    test_expect("graphc verify p.graph", 0, "without         export `raw`, which takes no batch of a data set\n"
                                       "interpreter     5 moments\n");
    test_expect("graphc verify p.graph", 0, "fused      on 3  every bit is the same");
    put("none.graph", "setting k : real = 1\n");
    test_expect("graphc verify none.graph", 1, "none.graph has no `train`, no `objective` and no `export` of rows");
}

static const char k_loop[] =
    "data d { from fresh(rows = 40) as train;  x[t < 6, i < 4] = normal();  y = normal() }\n"
    "model step(h : real[N, 5], x : real[N, 4]) -> (o : real[N, 5]) { o = tanh(linear(h, 5) + linear(x, 5)) }\n"
    "model net(x : real[N, 6, 4]) -> (y : real[N]) {\n"
    "    param start : real[5] = 0\n"
    "    h[n < N, i < 5] = start[i]\n"
    "    xs[t,n,i] = x[n,t,i]\n"
    "    scan h = h over c in xs { h = step(h, c) }\n"
    "    y = linear(h, 1)[:, 0]\n"
    "}\n"
    "objective fit(b : d[N]) { loss square = mse(net(b.x), b.y) }\n"
    "train { optimizer adam(lr = 0.1);  epochs 1;  batch 8 }\n";

TEST(a_summary_looks_into_loops_and_used_runs) {
    put("p.graph", k_loop);
    test_expect("graphc summary p.graph", 0, "step.linear2  6 x [8,5]  w[4,5] b[5]");
    test_expect("graphc train p.graph -q --run r", 0, "");
    put("q.graph", "use \"r\" as r\nexport guess(b : r.d[N]) -> (y : real[N]) { y = r.net(b.x) }\n");
    test_expect("graphc summary q.graph", 0, "r.step.linear2  6 x [64,5]  w[4,5] b[5]");
}

/* A kernel made of lines of several files: each line stands once, under its own file. */
TEST(explain_names_the_file_of_each_line) {
    put("p.graph", k_program);
    test_expect("graphc explain p.graph", 0, "lib/layers.graph:7,9,10; lib/activations.graph:5");
}

/* Where the number behind a word begins or ends is the same in every line of an entry. */
TEST(explain_stands_in_columns) {
    Ran r = test_expect(str_format(test_arena(), "graphc explain %.*s/graphs/tiny/conv.graph", FSTR(test_root())).s, 0,
                        "operations in");
    size_t column = 0, lines = 0;
    for (const char *line = r.out.s; (line = strstr(line, "\n  wave")) != NULL; lines++) {
        const char *flops = strstr(++line, " flops");
        REQUIRE(flops != NULL);
        CHECK(lines == 0 || column == (size_t)(flops - line));
        column = (size_t)(flops - line);
    }
    CHECK(lines > 3);
}
