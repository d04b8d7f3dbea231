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
    test_expect("graphc runs", 0, "runs/p-001    3/3  ");
    test_expect("graphc runs --json", 0, "\"metrics\":{\"train.square\":{\"last\":");
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

static void train(const char *options) {
    test_expect(str_format(test_arena(), "graphc train p.graph -q %s", options).s, 0, "");
}

static void put_three_runs(void) {
    put("p.graph", k_program);
    train("-s latent=2 --run runs/b --tag small --note one");
    train("-s latent=16 --run runs/a");
    train("-s latent=4 -s rate=0.01 --run runs/c --tag small");
}

/* The first words of the lines below the head, with blanks between. */
static Str order_of(const char *options) {
    Ran r = test_expect(str_format(test_arena(), "graphc runs %s", options).s, 0, "run ");
    Buf b = buf_make(test_arena());
    for (const char *at = strchr(r.out.s, '\n'); at && at[1]; at = strchr(at + 1, '\n'))
        buf_printf(&b, "%s%.*s", b.n ? " " : "", (int)strcspn(at + 1, " "), at + 1);
    return buf_str(&b);
}

TEST(runs_are_listed_filtered_and_sorted) {
    put_three_runs();
    CHECK_STR(order_of(""), "runs/a runs/b runs/c");
    CHECK_STR(order_of("--sort latent"), "runs/b runs/c runs/a");
    CHECK_STR(order_of("--sort=-latent --where 'tags~small'"), "runs/c runs/b");
    CHECK_STR(order_of("--where latent=16"), "runs/a");
    CHECK_STR(order_of("--where 'latent<16' --where 'rate!=0.01' --in runs"), "runs/b");
    CHECK_STR(order_of("--where 'lowest val.total<1e9' --sort note"), "runs/b runs/a runs/c");
    test_expect("graphc runs --where latent=3", 0, "no runs like that\n");
    CHECK_STR(order_of("--where 'started>2001-01-01' --where 'run<runs/b'"), "runs/a");
    CHECK_STR(order_of("--where 'run>=runs/b'"), "runs/b runs/c");
    test_expect("graphc runs --where 'latent<none'", 0, "no runs like that\n");
    test_expect("graphc runs --where latnt=2", 2, "no run here has `latnt`\n  help: did you mean `latent`?\n");
    test_expect("graphc runs --sort=-val.totl", 2, "did you mean `val.total`?");
    test_expect("graphc runs --columns 'note,lowest val.totl'", 2, "did you mean `lowest val.total`?");
    test_expect("graphc runs --columns 'note,lowest latent'", 2, "no run here has `lowest latent`\n"
                "  help: `graphc runs show RUN` lists");
    test_expect("graphc runs --columns latent,note,val.square --where latent=2", 0, "latent  note  val.square\n");
    test_expect("graphc runs --json --where latent=2", 0, "{\"run\":\"runs/b\",\"program\":\"p\",");
    test_expect("graphc runs --where latent", 2, "--where takes NAME=VALUE");
    test_expect("graphc runs lst", 2, "did you mean `list`?");
    test_expect("graphc runs --in nowhere", 1, "nowhere");
    test_expect("cd runs/a && graphc runs", 1, "there are no runs here");
}

TEST(one_run_is_shown_marked_exported_and_removed) {
    put_three_runs();
    test_expect("graphc runs show b", 0, "settings      latent = 2, rate = 0.1\n");
    test_expect("graphc runs show runs/b --json", 0, "\"lowest_epoch\": ");
    test_expect("graphc runs mark b c --tag new --untag small --note 'two words'", 0, "");
    CHECK_STR(order_of("--where 'tags=new'"), "runs/b runs/c");
    test_expect("rm runs/runs.db; graphc runs --where 'note=two words' --columns tags", 0, "new");
    test_expect("graphc runs export csv b | head -n 1", 0, "event,phase,epoch,step,seconds,train.square");
    test_expect("graphc runs export csv b > b.csv; cmp b.csv runs/b/metrics.csv", 0, "");
    Ran r = test_expect("graphc runs export csv", 0, ",lowest val.total,");
    CHECK_MSG(strstr(r.out.s, "\nruns/c,p,p.graph,"), "%s", r.out.s);
    put("runs/c/mine.txt", "keep me");
    test_expect("graphc runs rm b c", 0, "runs/c holds files that no run wrote, and stays\n");
    CHECK(!exists("runs/b") && exists("runs/c/mine.txt") && !exists("runs/c/resolved.graph"));
    CHECK_STR(order_of(""), "runs/a");
    test_expect("graphc runs show b", 1, "there is no run in b, nor in runs/b");
}

/* With --in a run of that folder is meant, and no other of the same name. */
TEST(a_run_is_looked_for_in_its_folder) {
    put("p.graph", k_program);
    train("--run runs/a -s latent=3");
    train("--run old/a -s latent=5");
    train("--run old/b -s latent=6");
    test_expect("graphc runs show a --in old", 0, "latent = 5,");
    test_expect("graphc runs export csv b --in old > b.csv; cmp b.csv old/b/metrics.csv", 0, "");
    test_expect("graphc runs diff a b --in old", 0, "latent  5  6\n");
    test_expect("graphc runs plot b --in old", 0, "train.total\n");
    test_expect("graphc runs pack a --in old -o a.tar.gz", 0, "packed      a.tar.gz\n");
    test_expect("graphc runs mark a --in old --note mine; grep -c mine old/a/run.json runs/a/run.json", 0,
                "old/a/run.json:1\nruns/a/run.json:0\n");
    test_expect("graphc runs rm a --in old", 0, "");
    CHECK(exists("runs/a/resolved.graph") && !exists("old/a"));
    test_expect("graphc runs rm a --in old", 1, "there is no run in old/a: no resolved.graph\n"
                                                "  help: `graphc runs --in old` lists");
    CHECK(exists("runs/a/resolved.graph"));
}

TEST(an_option_that_a_word_does_not_take_is_refused) {
    put("p.graph", k_program);
    train("--run runs/a");
    test_expect("graphc runs rm a --rebuild", 2, "--rebuild is of all runs and takes no word\n");
    test_expect("graphc runs rm a --where latent=3", 2, "`graphc runs rm` takes no --where\n"
                                                        "  help: graphc runs rm RUN ..\n");
    test_expect("graphc runs --rebuild --sort latent", 2, "`graphc runs --rebuild` takes no --sort\n");
    test_expect("graphc runs --note x", 2, "`graphc runs list` takes no --note\n");
    test_expect("graphc runs export csv a --sort epoch", 2, "of all runs, not of one\n");
    CHECK(exists("runs/a/resolved.graph"));
}

/* Names of a training's own are removed; what only looks like one stays. */
TEST(rm_takes_only_what_a_run_writes) {
    put("p.graph", k_program);
    train("--run runs/a");
    test_expect("cd runs/a; touch epoch-0010.safetensors first-best-2.safetensors epoch-0010.safetensors.part; "
                "touch mine.safetensors notes.jsonl draft.part best-x.safetensors; mkdir backup.part; "
                "touch backup.part/run.json; cd ../..; graphc runs rm a; ls runs/a", 0,
                "runs/a holds files that no run wrote, and stays\n"
                "backup.part\nbest-x.safetensors\ndraft.part\nmine.safetensors\nnotes.jsonl\n");
    CHECK(exists("runs/a/backup.part/run.json"));
}

/* Notes, tags and paths are bytes from outside. */
TEST(what_is_not_utf8_becomes_question_marks) {
    put("p.graph", k_program);
    test_expect("d=$(printf 'd\\351'); x=$(printf 'caf\\351 \\303\\244'); mkdir $d; cp p.graph $d/p.graph; "
                "graphc train $d/p.graph -q --run $d/r --note \"$x\" --tag \"$x\"; graphc runs show $d/r --json", 0,
                "\"note\": \"caf? \xc3\xa4\"");
    test_expect("d=$(printf 'd\\351'); cat $d/r/run.json", 0, "\"file\": \"d?/p.graph\"");
    test_expect("d=$(printf 'd\\351'); graphc runs --in $d --json", 0, "{\"run\":\"d?/r\",");
    test_expect("d=$(printf 'd\\351'); graphc train $d/p.graph --json --run $d/s", 0, "\"run\":\"d?/s\"");
}

TEST(two_runs_are_compared) {
    put_three_runs();
    train("-s latent=2 --run runs/d");
    test_expect("graphc runs diff b d", 0, "settings  the same\ntext      the same\ndata      the same\n"
                                           "bits      all 3 epochs are the same\n");
    test_expect("graphc runs diff b c", 0, "epoch 1 of phase `train` is the first that differs: train.square is ");
    test_expect("graphc runs diff b c", 0, "settings  \n  latent    2     4\n  rate    0.1  0.01\n");
    put("q.graph", str_format(test_arena(), "%s# more\n", k_program).s);
    test_expect("sed -i 's/batch 12/batch 10/' q.graph; graphc train q.graph -q --run e", 0, "");
    test_expect("graphc runs diff b e", 0, "\n  - train { optimizer adam(lr = rate");
}

/* One run in dots, several in letters; the highest value stands at the top. */
TEST(curves_are_drawn_in_the_terminal) {
    put_three_runs();
    Ran r = test_expect("graphc runs plot b --metric val.total", 0, "val.total\n");
    CHECK_MSG(strstr(r.out.s, "│\xe2\xa0") != NULL, "%s", r.out.s);              /* falls from the upper left */
    CHECK_INT((int)r.out.s[r.out.n - 2], '3');                /* the last epoch */
    test_expect("graphc runs plot a b c", 0, "  a  runs/a\n  b  runs/b\n  c  runs/c\n");
    test_expect("graphc runs plot b --metric val.totl", 2, "did you mean `val.total`?");
}

/* A process that is gone without a word leaves a run that was killed. */
TEST(a_killed_run_is_known_to_be) {
    put("p.graph", k_program);
    test_expect("graphc train p.graph -s epochs=100000 -q --run runs/k & pid=$!; "
                "until grep -q epoch runs/k/metrics.jsonl; do sleep 0.05; done; graphc runs; kill -9 $pid; wait",
                0, "running");
    test_expect("graphc runs", 0, "killed");
    test_expect("graphc runs rm k", 0, "");
}

/* Three of four rows are 1: right in 75 %, and the F1 of 1 is 6/7. */
TEST(the_majority_stands_beside_accuracy) {
    put("a.csv", "x,side\n1,1\n2,0\n3,1\n4,1\n5,1\n6,0\n7,1\n8,1\n");
    put("p.graph", "data d { from csv(\"a.csv\") as train;  from csv(\"a.csv\") as val;  x : f32;  side : u8 < 3 }\n"
                   "model net(x : real[N, 1]) -> (y : real[N, 3]) { y = linear(x, 3) }\n"
                   "objective fit(b : d[N]) { loss ce = cross_entropy(net(b.x as [N, 1]), b.side) }\n"
                   "train { optimizer adam(lr = 0.1);  epochs 1;  batch 4 }\n");
    const char *line = "side: always 1 is right in 75 %, F1 weighted 0.6429, macro 0.4286\n";
    test_expect("graphc train p.graph -q --run r", 0, "");
    test_expect("graphc runs show r", 0, line);
    test_expect("graphc eval p.graph --run r --split val", 0, line);
}

/* Sums of some rows, or of pairs of them, in batches of 8, 8 and 3 rows: `first` is (8 * 1 + 8 * 9 + 3 * 17) / 19. */
TEST(metrics_of_some_rows_are_means_of_batches) {
    put("p.graph", "data d { from fresh(rows = 24) as train;  from fresh(rows = 19) as val;  y = 1.0 * row - 24 }\n"
                   "model net(y : real[N]) -> (z : real[N]) { param w : real = 1;  z = w * y }\n"
                   "objective fit(b : d[N]) {\n"
                   "    loss l = mean[..] 0 * net(b.y)[:3]\n"
                   "    metric first = mean[..] b.y[:3]\n"
                   "    metric jumps[k < 2] = (k + 1) * mean[..] (b.y[1:] - b.y[:-1])\n"
                   "    metric pairs = mean[n,m] (0 * b.y[n] * b.y[m] + 1)\n"
                   "    metric last = max[..] b.y[1:]\n"
                   "    late = b.y[1:];  watch late\n"
                   "}\n"
                   "train { optimizer sgd(lr = 1);  epochs 1;  batch 8;  seed 1;  validate every 1 epochs }\n");
    test_expect("graphc check p.graph", 0, "mean of batches  first, jumps, pairs, last, late.count, ");
    test_expect("graphc train p.graph -q --run r", 0, "");
    Ran r = test_expect("graphc eval p.graph --run r --split val | tr -s ' '", 0, "val.first 6.89474\n");
    CHECK(strstr(r.out.s, "val.jumps 1 2\n") && strstr(r.out.s, "val.pairs 1\n") && strstr(r.out.s, "val.last 18\n"));
    CHECK(strstr(r.out.s, "val.late.count 16\n"));
    test_expect("graphc verify p.graph", 0, "every bit is the same");
}

/* A setting may be called like a field of a run, which stays what it is. */
TEST(a_setting_called_like_a_field_hides_it_not) {
    const char *more = "setting note : text = \"N\"\nsetting seconds : real = 5\n";
    put("p.graph", str_format(test_arena(), "%s%s", more, k_program).s);
    test_expect("graphc train p.graph -q --run runs/a --note mine && graphc runs show a", 0, "note          mine\n");
    test_expect("graphc train p.graph -q --run runs/b -s seconds=6 && graphc runs", 0, "settings.seconds");
    Ran r = test_expect("graphc runs export csv | head -n 1", 0, ",note,");
    CHECK(strstr(r.out.s, ",settings.note,") && strstr(r.out.s, ",settings.seconds,"));
    test_expect("graphc runs --where settings.seconds=6 --columns note,settings.note", 0, "runs/b");
    test_expect("graphc runs --where 'seconds>4'", 0, "no runs like that");
}
