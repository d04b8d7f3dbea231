/* Clauses and statements of a training beside its losses, each in a small program: verified against the
 * interpreter, trained on 1, 2 and 3 threads, and stopped half way and gone on with.  All of them have to leave
 * the same bits. */
#include "test.h"
#include <string.h>

static const char k_data[] =
    "graph 1\n"
    "data d { from fresh(rows = 90) as train;  x[i < 4] = normal();  y = 3 * x[0] - x[2] + 1;  "
    "split val 0.2, train rest of train seed 1 }\n";

static void put_program(const char *text) {
    Arena *a = test_arena();
    test_write(str_format(a, "%.*s/p.graph", FSTR(test_folder())), str_format(a, "%s%s", k_data, text));
}

static void same_bits(const char *program) {
    put_program(program);
    test_expect("graphc verify p.graph", 0, "fused      on 3  every bit is the same");
    test_expect("graphc train p.graph -q --threads=1 --run one", 0, "");
    test_expect("graphc train p.graph -q --threads=2 --run two", 0, "");
    test_expect("graphc train p.graph -q --threads=3 --run three", 0, "");
    test_expect("graphc train p.graph -q -s epochs=2 --run parts", 0, "");
    test_expect("graphc train p.graph -q --run parts --resume", 0, "");
    Str one = test_tensors("one");
    CHECK(str_eq(one, test_tensors("two")));
    CHECK(str_eq(one, test_tensors("three")));
    CHECK(str_eq(one, test_tensors("parts")));
}

TEST_ALL(clipped_gradients) {
    same_bits("model net(x : real[N, 4]) -> (y : real[N]) { y = mlp(x, [8, 1], act = tanh)[:, 0] }\n"
              "objective fit(b : d[N]) { loss square = mse(net(b.x), b.y) }\n"
              "train { optimizer adam(lr = 0.1);  clip norm 0.5 * warmup(step, 10);  epochs 4;  batch 12 }\n");
}

static const char k_watched[] =
    "setting low : real = 0.9\n"
    "def fit_of(a, b : real[N]) -> (e : real) {\n"
    "    e = mse(a, b)\n"
    "    metric r2 = 1 - (mean[..] (a - b)^2) / (mean[..] b^2 - (mean[..] b)^2)\n"
    "    warn \"bad fit\" when r2 < low for 2 reports after 12 steps\n"
    "}\n"
    "model net(x : real[N, 4]) -> (y : real[N]) { h = relu(linear(x, 8));  watch h;  y = linear(h, 1)[:, 0] }\n"
    "objective fit(b : d[N]) {\n"
    "    y = net(b.x)\n"
    "    loss square = fit_of(y, b.y)\n"
    "    stop \"good enough\" when square < goal and h.mean > 0\n"
    "}\n";

static void put_watched(void) {
    put_program(str_format(test_arena(), "setting goal : real = 0\n%s%s", k_watched,
                           "train { optimizer adam(lr = 0.02);  report every 4 steps;  epochs 9;  batch 12 }\n").s);
}

TEST_ALL(a_warning_comes_once_for_each_row_of_reports) {
    put_watched();
    const char *once = "graphc: warning: bad fit (fit_of1, val, epoch 3, step 18)";
    Str out = test_expect("graphc train p.graph --run r", 0, once).out;
    const char *first = strstr(out.s, "bad fit (fit_of1, val");
    CHECK(strstr(first + 1, "bad fit (fit_of1, val") == NULL);
    test_expect("grep -c '\"event\":\"warn\".*\"split\":\"val\"' r/metrics.jsonl", 0, "1");
    test_expect("grep -c 'train.h.nonfinite\":0' r/metrics.jsonl", 0, "");
}

TEST_ALL(a_stop_saves_and_is_gone_on_with) {
    put_watched();
    test_expect("graphc train p.graph -q --run whole", 0, "");
    test_expect("graphc train p.graph -q -s goal=5 --run parts", 3, "good enough");
    test_expect("graphc train p.graph -q --run parts --resume", 0, "");
    CHECK(str_eq(test_tensors("whole"), test_tensors("parts")));
}

TEST_ALL(watched_and_warned) {
    same_bits(str_format(test_arena(), "setting goal : real = 0\n%s%s", k_watched,
                         "train { optimizer adam(lr = 0.02);  report every 4 steps;  epochs 4;  batch 12 }\n").s);
}

TEST_ALL(models_that_follow) {
    same_bits("model trunk(x : real[N, 4]) -> (h : real[N, 8]) { h = x |> linear(8) |> batchnorm |> tanh }\n"
              "model online(x : real[N, 4]) -> (y : real[N]) { y = (x |> trunk |> linear(1))[:, 0] }\n"
              "model slow follows online rate 1 - cosine(step, 24, from = 0.5, to = 0)\n"
              "objective fit(b : d[N]) {\n"
              "    if training { y = online(b.x) } else { y = slow(b.x) }\n"
              "    loss square = mse(y, b.y)\n"
              "    loss near = mse(online(b.x), slow(b.x + 0.1 * normal(like = b.x)))\n"
              "}\n"
              "train { optimizer adam(lr = 0.02);  epochs 4;  batch 12 }\n");
}

TEST_ALL(schedules_with_state) {
    same_bits("rate = 0.2 * plateau(val.total, relative = no, patience = 1)\n"
              "def warmed(x : real) -> (y : real) { state seen = 0;  seen <- seen + x;  y = 1 / (1 + seen) }\n"
              "model net(x : real[N, 4]) -> (y : real[N]) { y = mlp(x, [8, 1], act = tanh)[:, 0] }\n"
              "objective fit(b : d[N]) {\n"
              "    loss square = mse(net(b.x), b.y)\n"
              "    loss size = mean[..] net(b.x)^2    weight 0.1 * warmed(1) + 0.1 * warmed(val.square)\n"
              "}\n"
              "train {\n"
              "    optimizer adam(lr = rate * plateau(val.size, relative = yes, patience = 0))\n"
              "    validate every 4 steps;  epochs 6;  batch 12;  keep lowest val.total\n"
              "}\n");
    test_expect("grep -c 'schedule.rate.plateau1.scale' one/last.safetensors", 0, "");
    test_expect("graphc eval p.graph --run one --split val", 0, "val.total");
}

static const char k_loading[] =
    "model trunk(x : real[N, 4]) -> (h : real[N, 8]) { h = x |> linear(8) |> batchnorm |> tanh }\n"
    "model net(x : real[N, 4]) -> (y : real[N]) { y = (x |> trunk |> linear(%s))[:, 0] }\n"
    "%s"
    "objective fit(b : d[N]) { loss square = mse(net(b.x), b.y) }\n"
    "setting lr : real = 0.02\n"
    "train { optimizer adam(lr = lr);  epochs 4;  batch 12;  %s }\n";

static void put_loading(const char *width, const char *more, const char *clause) {
    put_program(str_format(test_arena(), k_loading, width, more, clause).s);
}

TEST_ALL(weights_from_a_file) {
    put_loading("1", "", "");
    test_expect("graphc train p.graph -q --run first && cp first/last.safetensors w.safetensors", 0, "");
    put_loading("1", "model slow follows net rate 0.5\nexport f(x : real[N, 4]) -> (y : real[N]) { y = slow(x) }\n",
                "load net, trunk from \"w.safetensors\"");
    test_expect("graphc train p.graph -q --run second", 0, "");
    test_expect("test $(grep -c . first/metrics.jsonl) = $(grep -c . second/metrics.jsonl)", 0, "");
    test_expect("graphc train p.graph -s epochs=1 -s lr=0 --run third", 0, "train.square 2.");
    test_expect("graphc train p.graph -q -s epochs=1 --run fourth", 0, "");
    test_expect("graphc train p.graph -q -s epochs=2 --run fourth --resume", 0, "");
    test_expect("graphc train p.graph -q -s epochs=2 --run fifth", 0, "");
    CHECK(str_eq(test_tensors("fourth"), test_tensors("fifth")));
    put_loading("2", "", "load net from \"w.safetensors\"");
    test_expect("graphc train p.graph --run r", 1, "`net.linear1.w` is [8,1] there and [8,2] in the program");
    put_loading("1", "", "load other from \"w.safetensors\"");
    test_expect("graphc train p.graph --run r", 1, "no model or weight is called `other`");
    put_loading("1", "", "load net from 3");
    test_expect("graphc train p.graph --run r", 1, "weights are loaded from a file, this is 3");
    put_loading("1", "", "load net from \"none.safetensors\"");
    test_expect("graphc train p.graph --run s", 1, "none.safetensors");
}

TEST_ALL(weights_of_other_names) {
    put_loading("1", "", "");
    test_expect("graphc train p.graph -q --run first", 0, "");
    test_expect("sed 's/net.linear1/abc.linear9/g; s/checksum/unknown_/' < first/last.safetensors > w.safetensors",
                0, "");
    put_loading("1", "", "load net from \"w.safetensors\"");
    test_expect("graphc train p.graph --run r", 1, "w.safetensors has no `net.linear1.w`, `net.linear1.b`");
    put_loading("1", "", "load net from \"w.safetensors\" names \"names.csv\"");
    test_expect("graphc check p.graph", 1, "error[train]: the names of weights cannot be read: ");
    test_expect("echo a,b,3 > names.csv;  graphc check p.graph", 1, "line 1 has 3 cells, not two");
    test_expect("echo net.w,abc.linear9.w > names.csv;  graphc train p.graph --run s", 1, "call `net.w` a weight");
    test_expect("printf 'net.linear1.w,abc.linear9.w\\nnet.linear1.b,abc.linear9.b\\n' > names.csv", 0, "");
    test_expect("graphc train p.graph -q -s epochs=1 -s lr=0 --run named", 0, "");
    put_loading("1", "", "load net from \"first/last.safetensors\"");
    test_expect("graphc train p.graph -q -s epochs=1 -s lr=0 --run own", 0, "");
    CHECK(str_eq(test_tensors("named"), test_tensors("own")));
    test_expect("sed 's/graphc checkpoint/others checkpoint/; s/\"semantics/\"otherwise/; "
                "s/checksum\":\"..../checksum\":\"none/' first/last.safetensors > o.safetensors; "
                "grep -qa 'checksum\":\"none' o.safetensors", 0, "");
    put_loading("1", "", "load net from \"o.safetensors\"");
    test_expect("graphc train p.graph -q -s epochs=1 -s lr=0 --run others", 0, "");       /* a key of their own */
    CHECK(str_eq(test_tensors("others"), test_tensors("own")));
    test_expect("sed -i 's/checksum/unknown_/' first/*.safetensors; graphc train p.graph -q --run first --resume", 1,
                "was written by an older graphc: it has no checksum\n  help: `graphc train FILE --fork first/last");
    put_loading("1", "", "");
    test_expect("graphc train p.graph -q -s epochs=1 --run after --fork first/last.safetensors", 0, "");
    put_loading("1", "", "load net from \"w.safetensors\"   names \"names.csv\"   partly");
    test_expect("graphc fmt p.graph; grep load p.graph", 0, "w.safetensors\" names \"names.csv\" partly");
}

TEST_ALL(weights_that_are_missing) {
    put_loading("1, bias = no", "", "");
    test_expect("graphc train p.graph -q --run less && cp less/last.safetensors less.safetensors", 0, "");
    put_loading("1", "", "load net from \"less.safetensors\"");
    test_expect("graphc train p.graph --run a", 1, "less.safetensors has no `net.linear1.b`");
    put_loading("1", "", "load net from \"less.safetensors\" partly");
    test_expect("graphc train p.graph --run b", 0, "note: less.safetensors");
    test_expect("graphc train p.graph -q --run c 2>&1", 0, "less.safetensors has no `net.linear1.b`; this begins");
    test_expect("cp b/last.safetensors more.safetensors", 0, "");
    put_loading("1, bias = no", "", "load net from \"more.safetensors\" partly");
    test_expect("graphc train p.graph --run d", 1, "holds `net.linear1.b`, which the program does not have");
}

static const char k_sharded[] =
    "model net(x : real[N, 4]) -> (y : real[N]) { y = mlp(x, [8, 1], act = tanh)[:, 0] }\n"
    "objective fit(b : d[N]) {\n"
    "    loss square = mse(net(b.x), b.y)\n"
    "    loss size = mean[n] net(b.x)[n]^2 / 2 + 0.5    weight 0.1\n"
    "}\n";

TEST_ALL(batches_in_shards) {
    same_bits(str_format(test_arena(), "%s%s", k_sharded,
                         "train { optimizer adam(lr = 0.02);  clip norm 1;  epochs 4;  batch 20 shards 4 }\n").s);
    Ran parts = test_shell(STR("graphc train p.graph --run parted | grep -o 'val.total [0-9.]*'"));
    put_program(str_format(test_arena(), "%s%s", k_sharded,
                           "train { optimizer adam(lr = 0.02);  clip norm 1;  epochs 4;  batch 20 }\n").s);
    Ran whole = test_shell(STR("graphc train p.graph --run unparted | grep -o 'val.total [0-9.]*'"));
    CHECK(whole.out.n > 40);
    CHECK_STR(parts.out, whole.out.s);
}

TEST_ALL(batches_per_shard) {
    same_bits("model net(x : real[N, 4]) -> (y : real[N]) { y = (x |> linear(8) |> batchnorm |> dropout(0.1) |> "
              "linear(1))[:, 0] }\n"
              "model slow follows net rate 0.5\n"
              "objective fit(b : d[N]) { loss square = sqrt(mse(net(b.x), b.y) + mse(net(b.x), slow(b.x))) }\n"
              "train { optimizer adam(lr = 0.02);  epochs 4;  batch 20 shards 2 per shard }\n");
}

/* Of each split an alarm keeps numbers of its own: the warning comes when a split has had its second rise. */
static const char k_remembers[] =
    "def rises(value : real) -> (times : real) {\n"
    "    state last = inf;  state seen = 0\n"
    "    seen <- seen + where(value > last, 1, 0)\n"
    "    last <- value;  times = seen\n"
    "}\n"
    "model net(x : real[N, 4]) -> (y : real[N]) { param w : real = 1;  y = w * x[:, 0] }\n"
    "objective fit(b : d[N]) {\n"
    "    loss square = mse(net(b.x), b.y)\n"
    "    metric zigzag = (epoch mod 2) + 0 * (mean[..] b.y)\n"
    "    warn \"up again\" when rises(zigzag) >= 2\n"
    "    stop \"too often\" when rises(zigzag) >= most\n"
    "}\n"
    "train { optimizer sgd(lr = 0.1);  epochs 6;  batch 12 }\n";

TEST_ALL(alarms_with_states) {
    same_bits(str_format(test_arena(), "setting most : real = 9\n%s", k_remembers).s);
    test_expect("graphc train p.graph --run whole", 0, "warning: up again (train, epoch 4, step 24)");
    test_expect("grep '\"event\":\"warn\"' whole/metrics.jsonl | wc -l", 0, "2");
    test_expect("graphc train p.graph -q -s most=3 --run cut", 3, "stopped after step 36: too often");
}
