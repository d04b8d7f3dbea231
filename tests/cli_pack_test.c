/* What goes out of a run's folder: event files that an independent reader takes, a file that repeats the run, a fork;
 * and the shells that complete our command lines. */
#include "test.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char k_program[] =
    "use \"parts.graph\" as parts\n"
    "setting latent : dim = 2\n"
    "setting rate : real = 0.1\n"
    "data d { from fresh(rows = 90) as train;  x[i < 4] = normal();  y = 3 * x[0] - x[2]\n"
    "    split val 0.2, train rest of train seed 1 }\n"
    "model net(x : real[N, 4]) -> (y : real[N]) { y = (parts.twice(x) |> linear(latent) |> linear(1))[:, 0] }\n"
    "objective fit(b : d[N]) { loss square = mse(net(b.x), b.y) }\n"
    "train { optimizer adam(lr = rate);  epochs 3;  batch 12;  keep lowest val.total }\n";

static Str path_of(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

static void put(const char *name, const char *text) { test_write(path_of(name), str_of(text)); }

static void put_program(void) {
    put("p.graph", k_program);
    put("parts.graph", "def twice(x : real[..]) = 2 * x\n");
}

static Ran read_events(const char *run, const char *text) {
    return test_expect(str_format(test_arena(), "/usr/bin/python3 %.*s/tests/events.py %s/events.*", FSTR(test_root()),
                                  run).s, 0, text);
}

/* The step is that of the epoch's end, the value the one of the log; a run of two phases counts on. */
TEST(events_are_read_by_others) {
    put_program();
    test_expect("graphc train p.graph -q --run r", 0, "");
    Ran r = read_events("r", "18 train/square ");
    CHECK_MSG(strstr(r.out.s, "\n12 val/total ") != NULL, "%s", r.out.s);
    test_expect("echo 'train again { optimizer sgd(lr = 1e-3);  epochs 1;  batch 12 }' > more; "
                "sed 's/^train /train first /' p.graph | cat - more > q.graph; graphc train q.graph -q --run q", 0, "");
    read_events("q", "\n24 train/square ");
}

/* A resumed run has a file of its own that says from where on it counts. */
TEST_ALL(events_of_a_resumed_run_begin_where_it_does) {
    put_program();
    test_expect("graphc train p.graph -s epochs=200000 -q --run r & pid=$!; "
                "until grep -q epoch r/metrics.jsonl; do sleep 0.05; done; kill -INT $pid; wait $pid; echo $?",
                0, "130");
    test_expect("timeout -s INT 4 graphc train p.graph -s epochs=200000 -q --run r --resume; ls r/events.* | wc -l",
                0, "2");
    read_events("r", " session 1\n");
}

#define PICTURES_DATA \
    "data d { from fresh(rows = 20000) as train;  img[i < 8, j < 6] = uniform()\n" \
    "    split val 0.1, train rest of train seed 1 }\n" \
    "model net(x : real[N, 48]) -> (y : real[N, 48]) { y = linear(linear(x, 4), 48) |> sigmoid }\n"
#define PICTURES_TRAIN "train { optimizer adam(lr = 0.01);  epochs 60;  batch 10 }\n"

/* They come when the training has run for a second, and change none of its bits. */
TEST_ALL(event_files_hold_histograms_and_images) {
    put("w.graph", PICTURES_DATA
        "objective fit(b : d[N]) {\n"
        "    x = b.img as [N, 48];  y = net(x);  watch y;  watch err = (y - x)^2;  loss s = mse(y, x)\n"
        "}\n"
        "export look(b : d[N]) -> (r : real[N, 8, 6]) { r = net(b.img as [N, 48]) as [N, 8, 6] }\n" PICTURES_TRAIN);
    put("q.graph", PICTURES_DATA
        "objective fit(b : d[N]) { x = b.img as [N, 48];  loss s = mse(net(x), x) }\n" PICTURES_TRAIN);
    test_expect("graphc train w.graph -q --run r", 0, "");
    Ran r = read_events("r", " images/look image 42x82 ");
    CHECK(strstr(r.out.s, " val/fit.y histogram 480 ") && strstr(r.out.s, " val/fit.err histogram 480 "));
    CHECK(access(path_of("r/images-look.png").s, F_OK) == 0);
    test_expect("graphc train q.graph -q --run q", 0, "");
    test_expect("for r in q r; do grep -o '\"bits\":\"[0-9a-f]*' $r/metrics.jsonl > $r.bits; done; cmp q.bits r.bits; "
                "grep -c . r.bits", 0, "60");
}

TEST(a_packed_run_is_repeated_bit_by_bit) {
    put_program();
    test_expect("mkdir sub; mv p.graph parts.graph sub; graphc train sub/p.graph -s latent=3 -q --run r", 0, "");
    test_shell(STR("rm -r sub"));
    test_expect("graphc runs pack r", 0, "packed      r.tar.gz\n");
    test_expect("rm -r r; graphc rerun r.tar.gz -q", 0, "bits        all 3 epochs are the same\n"
                                                       "weights     the same in every bit\n");
    test_expect("mkdir x; cd x; tar xzf ../r.tar.gz; sed -i '2s/\"bits\":\"./\"bits\":\"x/' metrics.jsonl; "
                "tar czf ../y.tar.gz *; cd ..; graphc rerun y.tar.gz -q", 1,
                "epoch 2 of phase `train` is the first that differs: weights or states, but no value yet\n");
    test_expect("graphc rerun r.tar.gz -q -s rate=0.2 --keep k", 1, "epoch 1 of phase `train` is the first that ");
    test_expect("ls k/again k/packed", 0, "resolved.graph");
}

/* Other data are told from another machine. */
TEST(a_rerun_tells_when_the_data_are_others) {
    put("p.graph", "data d { from csv(\"w.csv\") as train;  from csv(\"x.csv\") as train;  x : f32 }\n"
                   "model net(x : real[N, 1]) -> (y : real[N, 1]) { y = linear(x, 1) }\n"
                   "objective fit(b : d[N]) { loss s = mean[..] (net(b.x as [N, 1]))^2 }\n"
                   "train { optimizer sgd(lr = 0.1);  epochs 2;  batch 2 }\n");
    put("w.csv", "x\n1\n2\n");
    put("x.csv", "x\n1\n2\n3\n4\n");
    test_expect("graphc train p.graph -q --run r; graphc runs pack r; sed -i s/4/5/ x.csv", 0, "packed");
    Ran r = test_expect("graphc rerun r.tar.gz -q", 1,
                        "data        other rows, values or splits than those of the run\n");
    CHECK_MSG(strstr(r.out.s, "x.csv has other values in its 4 rows\nbits        epoch 1 of "), "%s", r.out.s);
    CHECK_MSG(strstr(r.out.s, "w.csv") == NULL, "%s", r.out.s);
    test_expect("echo 6 >> x.csv; graphc rerun r.tar.gz -q", 1, "x.csv has 5 rows, and had 4\n");
    test_expect("rm x.csv; graphc rerun r.tar.gz -q", 1, "x.csv");
}

/* A run that `stop` ended stops again at the same place; one without an epoch proves nothing. */
TEST(a_stopped_run_is_repeated_too) {
    put_program();
    test_expect("sed 's/net(b.x), b.y)/&;  stop \"low\" when epoch >= 1/' p.graph > q.graph; "
                "graphc train q.graph -q --run q; graphc runs pack q; graphc rerun q.tar.gz -q", 0,
                "bits        all 2 epochs are the same\nweights     the same in every bit\n");
    test_expect("graphc runs show q", 0, "state         stopped\n");
    test_expect("graphc train p.graph -q --run r; mkdir x; cp r/* x; : > x/metrics.jsonl; graphc runs pack x; "
                "graphc rerun x.tar.gz -q", 1, "the run in x.tar.gz finished no epoch: there is nothing to compare");
    test_expect("graphc rerun r.tar.gz -q --point nosuch --diag=json; graphc runs pack r; "
                "graphc rerun r.tar.gz -q --point nosuch --diag=json", 1, "{\"severity\":\"error\"");
}

TEST(an_interrupted_rerun_says_what_is_left) {
    put_program();
    test_expect("graphc train p.graph -s epochs=100000 -q --run r & pid=$!; "
                "until grep -q epoch r/metrics.jsonl; do sleep 0.05; done; kill -INT $pid; wait; graphc runs pack r",
                0, "packed");
    test_expect("mkdir t; export TMPDIR=$PWD/t; graphc rerun r.tar.gz -q & pid=$!; "
                "until grep -q epoch t/*/again/metrics.jsonl; do sleep 0.05; done; "
                "kill -INT $(pgrep -P $pid); wait $pid; echo $?; ls t | wc -l", 0,
                "interrupted; nothing is compared and nothing is kept\n"
                "  help: `--keep DIR` leaves both runs in that folder\n130\n0\n");
}

/* A sweep keeps the weights of its best run only. */
TEST_ALL(a_run_without_its_weights_is_repeated) {
    put_program();
    test_expect("graphc sweep p.graph rate=0.1,0.2 --dir s", 0, "");
    test_expect("for r in s/*/resolved.graph; do r=${r%/*}; [ -e $r/last.safetensors ] || break; done; mv $r r\n"
                "graphc runs pack r && graphc rerun r.tar.gz -q", 0,
                "bits        all 3 epochs are the same\n"
                "weights     not in the pack; those behind each epoch are the same\n");
    test_expect("graphc train p.graph --run f --fork r", 1,
                "  help: `graphc train r/resolved.graph --run OTHER` trains it anew, with its settings\n");
    test_expect("graphc train r/resolved.graph -q --run other && graphc train p.graph -q --run f --fork other", 0, "");
    test_expect("mkdir k; touch k/x; graphc rerun r.tar.gz --keep k", 1,
                "\n  help: `--keep` takes a new or an empty folder\n");
}

/* Files from elsewhere do not get out of the folder. */
TEST(packed_files_are_not_trusted) {
    put_program();
    test_expect("graphc train p.graph -q --run r; graphc runs pack r -o r.tar.gz", 0, "");
    test_expect("echo no > evil; tar czf up.tar.gz --transform 's,evil,../evil,' -P evil; graphc rerun up.tar.gz", 1,
                "up.tar.gz holds `../evil`, which no run has");
    test_expect("tar czf used.tar.gz --transform 's,evil,used/../../evil,' -P evil; graphc rerun used.tar.gz", 1,
                "which no run has");
    test_expect("ln -s /etc/passwd run.json; tar czf link.tar.gz run.json; graphc rerun link.tar.gz", 1,
                "link.tar.gz holds `run.json`, which no run has");
    test_expect("head -c 300 r.tar.gz > cut.tar.gz; graphc rerun cut.tar.gz", 1, "graphc: ");
    test_expect("echo text > text.tar.gz; graphc rerun text.tar.gz", 1, "graphc: text.tar.gz: ");
    test_expect("graphc rerun none.tar.gz", 1, "none.tar.gz");
    test_expect("rm run.json; truncate -s 3G log.txt; tar cSzf bomb.tar.gz log.txt; graphc rerun bomb.tar.gz", 1,
                "bomb.tar.gz unpacks to far more than a run of its size holds\n");
    test_expect("mkdir taken.tar.gz; graphc runs pack r -o taken.tar.gz; ls taken.tar.gz*", 0,
                "taken.tar.gz is there and is not a plain file");
}

static const char k_files[] =
    "setting folder : path = \"in\"\n"
    "data d { from csv(folder / \"*.csv\") as train;  from csv(\"deep/.er/v.csv\") as val;  a : f32;  b : f32 }\n"
    "model net(x : real[N]) -> (y : real[N]) { y = linear(x as [N, 1], 1)[:, 0] }\n"
    "objective fit(b : d[N]) { loss square = mse(net(b.a), b.b) }\n"
    "train { optimizer adam(lr = 0.1);  epochs 3;  batch 4 }\n";

/* With its data a pack is all that there is: the files are gone, or others, where it is repeated. */
TEST(a_pack_with_data_is_repeated_without_them) {
    put("p.graph", k_files);
    test_expect("mkdir -p in deep/.er; for f in in/1 in/2 deep/.er/v; do "
                "(echo a,b; for i in 1 2 3 4 5 6 7; do echo $i,$((i * i)); done) > $f.csv; done\n"
                "graphc train p.graph -q --run r; graphc runs pack r; graphc runs pack r --with-data -o d.tar.gz", 0,
                "d.tar.gz  with 3 files of data, 0.0 MB\n");
    test_expect("tar tzf d.tar.gz | grep -c '^files/'", 0, "3\n");
    test_expect("graphc rerun d.tar.gz -q", 0, "the same in every bit");
    test_expect("sed -i 's/,49/,50/' in/2.csv; graphc rerun d.tar.gz -q", 0, "the same in every bit");
    test_expect("graphc rerun r.tar.gz -q", 1, "in/2.csv has other values in its 7 rows");
    test_expect("mkdir away; mv in deep p.graph r away; mv d.tar.gz r.tar.gz away; cd away; mv in gone; rm -r deep\n"
                "graphc rerun d.tar.gz -q", 0, "the same in every bit");
    test_expect("cd away; graphc rerun r.tar.gz -q", 1, "No such file or directory");
    test_expect("cd away; graphc runs pack r --with-data", 1, "No such file or directory");
    test_expect("cd away; graphc rerun d.tar.gz -q -s folder=gone", 1, "");
}

/* Below a path that is typed files are those that lie there, though a pack has others of the same path. */
TEST(a_typed_path_is_read_as_it_lies_there) {
    put("p.graph", k_files);
    test_expect("mkdir -p in deep/.er; for f in in/1 deep/.er/v; do "
                "(echo a,b; for i in 1 2 3 4 5 6 7; do echo $i,$((i * i)); done) > $f.csv; done\n"
                "graphc train p.graph -q --run r; graphc runs pack r --with-data; rm -r deep\n"
                "sed -i s/,49/,50/ in/1.csv; graphc rerun r.tar.gz -q -s folder=in", 1,
                "in/1.csv has other values in its 7 rows");
    test_expect("graphc rerun r.tar.gz -q -s folder=i", 1, "No such file or directory");
}

/* What `rerun` leaves is a program with its data, and so is what tar makes of a pack. */
TEST(a_kept_pack_is_trained_again) {
    put("p.graph", k_files);
    test_expect("mkdir -p in deep/.er; for f in in/1 deep/.er/v; do "
                "(echo a,b; for i in 1 2 3 4 5 6 7; do echo $i,$((i * i)); done) > $f.csv; done\n"
                "graphc train p.graph -q --run r; graphc runs pack r --with-data; rm -r in deep\n"
                "graphc rerun r.tar.gz -q --keep k; graphc train k/packed/resolved.graph -q --run t", 0, "");
    CHECK(test_tensors("r").n > 0 && str_eq(test_tensors("t"), test_tensors("r")));
    test_expect("mkdir x; cd x; tar xzf ../r.tar.gz; graphc data resolved.graph", 0, "7 rows");
}

/* Nothing tells which weights a run loaded, so they are named. */
TEST(weights_that_are_loaded_are_named) {
    put("p.graph", "data d { from fresh(rows = 40) as train;  x[i < 4] = normal() }\n"
                   "model net(x : real[N, 4]) -> (y : real[N, 1]) { y = linear(x, 1) }\n"
                   "objective fit(b : d[N]) { loss s = mean[..] (net(b.x) - 1)^2 }\n"
                   "train { optimizer sgd(lr = 0.1);  epochs 2;  batch 20 }\n");
    test_expect("graphc train p.graph -q --run a\n"
                "sed 's,train { ,&load net from \"a/last.safetensors\";  ,' p.graph > q.graph\n"
                "graphc train q.graph -q --run q; graphc runs pack q --with-data", 0,
                "weights that `load` reads are not in the pack: /");
    test_expect("graphc rerun q.tar.gz -q", 0, "the same in every bit");
    test_expect("rm a/last.safetensors; graphc rerun q.tar.gz -q", 1,
                "  help: `load` reads its weights there when the phase begins; a packed run does not hold them");
}

/* Names are bytes, in any locale; `..`, `.` and nothing between two `/` stay what they are, and stay below the pack. */
TEST_ALL(a_pack_holds_data_of_any_path) {
    test_expect("mkdir -p prog dät '...' z; for f in dät/1 dät/ü .../v z/v; do echo a,b > $f.csv\n"
                "for i in 1 2 3 4 5 6 7; do echo $i,$i; done >> $f.csv; done", 0, "");
    put("prog/p.graph",
        "data d { from csv(\"../dät/*.csv\", \"./..//z/../.../v.csv\") as train;  from csv(\"../.../v.csv\") as val\n"
        "    a : f32;  b : f32 }\n"
        "model net(x : real[N]) -> (y : real[N]) { y = linear(x as [N, 1], 1)[:, 0] }\n"
        "objective fit(b : d[N]) { loss square = mse(net(b.a), b.b) }\n"
        "train { optimizer adam(lr = 0.1);  epochs 1;  batch 4 }\n");
    test_expect("graphc train prog/p.graph -q --run rün; LC_ALL=C graphc runs pack rün --with-data -o d.tar.gz", 0,
                "d.tar.gz  with 4 files of data, 0.0 MB\n");
    test_expect("mv dät gone; mv ... away; LC_ALL=C graphc rerun d.tar.gz -q", 0, "the same in every bit");
    test_expect("LC_ALL=C.UTF-8 graphc rerun d.tar.gz -q", 0, "the same in every bit");
}

/* A library that somebody put among the packed files is not loaded. */
TEST_ALL(a_pack_brings_no_functions) {
    Arena *a = test_arena();
    Str folder = test_folder();
    test_write(str_format(a, "%.*s/p.graph", FSTR(folder)),
               STR("graph 1\ndata d { from extern(\"own.so\", \"gen\", key = 1) as train;  x : f32 }\n"
                   "model net(x : real[N, 1]) -> (y : real[N, 1]) { y = linear(x, 1) }\n"
                   "objective o(b : d[N]) { p = (net(b.x as [N, 1]))[:, 0];  loss fit = mean[..] (p - b.x)^2 }\n"
                   "train { optimizer sgd(lr = 1e-2);  epochs 2;  batch 32;  seed 1 }\n"));
    test_write(str_format(a, "%.*s/own.c", FSTR(folder)),
               STR("#include <stdint.h>\n"
                   "int64_t gen_rows(uint64_t k) { (void)k; return 64; }\n"
                   "int gen(uint64_t k, const char *c, const char *t, int64_t items, int64_t first, int64_t rows,\n"
                   "        void *to) {\n"
                   "    (void)k, (void)c, (void)t;\n"
                   "    for (int64_t i = 0; i < rows * items; i++) ((float *)to)[i] = (float)((first + i) % 7) / 7;\n"
                   "    return 0;\n}\n"));
    CHECK_INT(test_shell(STR(GRAPHC_CC " -O1 -shared -fPIC -o own.so own.c")).status, 0);
    test_expect("graphc train p.graph -q --run r; graphc runs pack r; mkdir x; cd x; tar xzf ../r.tar.gz\n"
                "d=files$(cd ..; pwd); mkdir -p $d; mv ../own.so $d; tar czf ../y.tar.gz *; cd ..\n"
                "graphc rerun y.tar.gz -q", 1, "own.so");
}

/* Nobody could repeat the run with them. */
TEST_ALL(data_that_changed_are_not_packed) {
    put("p.graph", k_files);
    test_expect("mkdir -p in deep/.er; for f in in/1 deep/.er/v; do "
                "(echo a,b; for i in 1 2 3 4 5 6 7; do echo $i,$((i * i)); done) > $f.csv; done\n"
                "graphc train p.graph -q --run r; echo 8,64 >> in/1.csv; graphc runs pack r --with-data", 1,
                "in/1.csv has 8 rows, and had 7\n  help: with the files as they were it can be packed");
    test_expect("cp in/1.csv in/2.csv; graphc runs pack r --with-data", 1, "there are 3 files, and were 2\n");
    test_expect("rm in/2.csv; sed -i '$d; s/,49/,50/' in/1.csv; graphc runs pack r --with-data", 1,
                "the data are not those that the run read: ");
    test_expect("sed 's/,50/,x/' in/1.csv > x; cp in/1.csv y; cp x in/1.csv; graphc runs pack r --with-data", 1,
                "graphc: the data of r cannot be read now\n");
    test_expect("cp y in/1.csv; ls r.tar.gz", 2, "");
    test_expect("sed -i 's/,50/,49/' in/1.csv; graphc runs pack r --with-data", 0, "packed");
}

/* Too much is refused with its size before any of it is written; code is never packed. */
TEST(a_pack_of_data_has_bounds) {
    put("p.graph", "data d { from bytes(\"in/b\") as train;  x : u8 = bytes }\n"
                   "model net(x : real[N]) -> (y : real[N]) { y = linear(x as [N, 1], 1)[:, 0] }\n"
                   "objective fit(b : d[N]) { loss square = mse(net(b.x), b.x) }\n"
                   "train { optimizer adam(lr = 0.1);  epochs 1;  batch 4 }\n");
    test_expect("mkdir in; echo some bytes > in/b; graphc train p.graph -q --run r; truncate -s 5G in/b\n"
                "graphc runs pack r --with-data", 1,
                "the data are 5.4 GB in 1 file; a pack holds up to 4 GB of them\n  help: without --with-data");
    test_expect("ls r.tar.gz*", 2, "");
    test_expect("echo some bytes > in/b; ulimit -f 1; graphc runs pack r --with-data", 1, "File too large");
    test_expect("graphc runs pack r --with-data -o d.tar.gz; mkdir u; tar xzf d.tar.gz -C u; cd u\n"
                "tar czf ../e.tar.gz --transform 's,files/.*b$,files/../../evil,' -P *; cd ..\n"
                "graphc rerun e.tar.gz", 1, "which no run has");
    test_expect("graphc runs --with-data", 2, "takes no --with-data");
}

/* The weights of the other run are the first ones, and stay with the fork. */
TEST(a_fork_begins_with_the_weights_of_a_run) {
    put_program();
    test_expect("graphc train p.graph -q --run a -s epochs=30", 0, "");
    test_expect("graphc train p.graph -q --run b -s epochs=1 -s rate=1e-30 --fork a", 0, "");
    test_expect("graphc eval p.graph --run a --split val > x; graphc eval p.graph --run b --split val > y; "
                "tail -n +2 x > x1; tail -n +2 y > y1; cmp x1 y1", 0, "");
    test_expect("grep -c '\"fork\": \"a\"' b/run.json", 0, "1");
    test_expect("graphc runs pack b -o b.tar.gz; rm -r a; graphc rerun b.tar.gz -q", 0, "  the same in every bit\n");
    test_expect("graphc train p.graph -q --run c -s epochs=1 -s latent=5 --fork b", 0,
                "c/fork.safetensors has no `net.linear1.w`, `net.linear1.b`, `net.linear2.w` of that shape; "
                "this begins as without `--fork`");
    test_expect("sed 's/net/other/g' p.graph > o.graph; graphc train o.graph -q --run d --fork b", 1,
                "has no weight of this program");
    test_expect("graphc train p.graph -q --run e --fork nosuch", 1, "there is no run in nosuch");
}

/* A source that cannot be read leaves no folder, and a fork never begins again with weights of its own. */
TEST(a_fork_without_its_weights_does_not_begin) {
    put_program();
    test_expect("graphc train p.graph -q --run a -s epochs=1", 0, "");
    test_expect("graphc train p.graph -q --run b --fork nosuch; ls b", 2, "b");
    test_expect("head -c 400 a/last.safetensors > cut.safetensors; graphc train p.graph -q --fork cut.safetensors", 1,
                "cut.safetensors");
    CHECK(access(path_of("runs/p-001").s, F_OK) != 0);
    test_expect("mkdir c; echo half > c/fork.safetensors.part; graphc train p.graph -q --run c --fork a", 0, "");
    test_expect("rm c/*.safetensors c/metrics.jsonl; graphc train p.graph -q --run c --resume", 1,
                "c is a fork that saved nothing yet, and its fork.safetensors is not there\n");
    test_expect("cp a/last.safetensors c/fork.safetensors; graphc train p.graph -q --run c --resume", 0, "");
}

/* All that a run needs of its program is in memory or in its folder when it begins. */
TEST(a_run_reads_nothing_of_its_source_after_the_start) {
    put_program();
    test_expect("graphc train p.graph -q --run whole -s epochs=30", 0, "");
    test_expect("graphc train p.graph -q --run r -s epochs=30 & until [ -s r/metrics.jsonl ]; do sleep 0.01; done; "
                "rm parts.graph; echo 'graph 7 }' > p.graph; wait $!", 0, "");
    CHECK(test_tensors("r").n > 0 && str_eq(test_tensors("r"), test_tensors("whole")));
}

/* The function of the shell is called as the shell would. */
TEST(bash_completes_commands_options_and_files) {
    put("one.graph", "setting a : real = 1\n");
    put("two.txt", "");
    test_expect("graphc completion bash > c.sh; cat > t.sh <<'END'\n"
                "source ./c.sh\n"
                "try() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _graphc; echo \"= ${COMPREPLY[*]}\"; }\n"
                "try graphc tra; try graphc train ''; try graphc train --qui; try graphc runs sh\n"
                "try graphc completion ''; try graphc train --sample ''; try graphc train --data-memory ''\n"
                "try graphc train --monitor de; try graphc train --monitor dead = s\n"
                "END\nbash t.sh", 0, "= train\n= one.graph\n= --quiet\n= show\n= bash zsh\n= auto\n= \n"
                "= dead=off dead=warn dead=stop\n= stop\n");
}

/* Completing functions of zsh say what they were given. */
TEST(zsh_completes_commands_options_and_files) {
    test_expect("graphc completion zsh > c.zsh; cat > t.zsh <<'END'\n"
                "_describe() { print -r -- \"${(P)2[1]}\"; }\n"
                "compadd() { print -r -- $@; }\n"
                "_files() { print -r -- files $@; }\n"
                "source ./c.zsh\n"
                "try() { words=($@); CURRENT=$#; _graphc; }\n"
                "try graphc ''; try graphc train ''; try graphc completion ''; try graphc runs ''\n"
                "try graphc train --sample ''; try graphc train --data-memory ''; try graphc train --monitor ''\n"
                "try graphc train --q\n"
                "END\nzsh -f t.zsh", 0, "new:a first file with comments, NAME.graph, that trains at once\n"
                "files -g *.graph\nbash zsh\nlist show diff plot mark rm export pack\nauto\n"
                "dead=off dead=warn dead=stop exploding=off ");
    test_expect("zsh -f t.zsh", 0, " --quiet ");
    test_expect("graphc completion fish", 2, "for bash and zsh, not `fish`");
    test_expect("graphc completion", 2, "for which shell");
}
