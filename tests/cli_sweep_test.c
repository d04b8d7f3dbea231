/* `graphc sweep`: every point has the bits it has alone, what is finished stays finished, and what goes wrong in one
 * point ends no other. */
#include "test.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char k_program[] =
    "setting width : dim = 8\n"
    "setting lr : real = 1e-2\n"
    "setting idle : real = 1\n"
    "data points { from fresh(rows = 300);  x[i < 2] = normal();  split val 0.2, train rest seed 1 }\n"
    "model net(x : real[N, 2]) -> (y : real[N, 1]) { y = mlp(x, [width, 1]) }\n"
    "objective fit(b : points[N]) { loss e = mean[n] (net(b.x)[n,0] - b.x[n,0] * b.x[n,1])^2 }\n"
    "train { optimizer adam(lr = lr);  epochs 4;  batch 20;  keep lowest val.total }\n"
    "sweep study {\n"
    "    width in 8, 16\n"
    "    lr in 1e-2, 1e-3\n"
    "    repeat seed in 1, 2\n"
    "    skip when width == 16 and lr < 5e-3\n"
    "    best lowest val.total\n"
    "}\n";

static Str path_of(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }
static void put(const char *name, const char *text) { test_write(path_of(name), str_of(text)); }

static void sweep(const char *arguments, int status, const char *text) {
    test_expect(str_format(test_arena(), "graphc sweep p.graph %s", arguments).s, status, text);
}

static Str folder_of(const char *sweep, const json_t *run) {
    return str_format(test_arena(), "%s/%s", sweep, json_string_value(json_object_get(run, "run")));
}

/* What --json says, as long as the test lasts. */
static json_t *told(const char *line) {
    Ran r = test_shell(str_of(line));
    CHECK_INT(r.status, 0);
    json_t *all = json_loadb(r.out.s, r.out.n, 0, NULL);
    REQUIRE(all != NULL);
    return all;
}

static const char *setting(const json_t *run, const char *name) {
    return json_string_value(json_object_get(json_object_get(run, "settings"), name));
}

static Str text_of(Str run) {
    return test_read(path_of(str_format(test_arena(), "%.*s/resolved.graph", FSTR(run)).s));
}

TEST(a_sweep_is_its_runs_one_by_one) {
    put("p.graph", k_program);
    json_t *all = told("graphc sweep p.graph --json --jobs 2 --dir s --weights all"), *run;
    size_t i;
    CHECK_INT(json_array_size(json_object_get(all, "runs")), 6);
    CHECK_INT(json_array_size(json_object_get(all, "points")), 3);
    CHECK_INT(json_integer_value(json_object_get(all, "programs")), 2);
    CHECK_INT(json_integer_value(json_object_get(all, "skipped")), 2);
    json_array_foreach(json_object_get(all, "runs"), i, run) {
        Str alone = str_format(test_arena(), "alone%zu", i), line = str_format(
            test_arena(), "graphc train p.graph -q --run %.*s -s width=%s -s lr=%s -s seed=%s", FSTR(alone),
            setting(run, "width"), setting(run, "lr"), setting(run, "seed"));
        CHECK_INT(test_shell(line).status, 0);
        CHECK(str_eq(test_tensors(alone.s), test_tensors(folder_of("s", run).s)));
        CHECK(str_eq(text_of(alone), text_of(folder_of("s", run))));
    }
    json_decref(all);
}

/* The best point first, by the mean of its repeats; of the best run the weights are there, of the others not. */
TEST(points_are_ordered_and_the_best_keeps_its_weights) {
    put("p.graph", k_program);
    json_t *all = told("graphc sweep p.graph --json --dir s"), *x;
    double last = 0;
    size_t i;
    json_array_foreach(json_object_get(all, "points"), i, x) {
        double mean = json_number_value(json_object_get(x, "mean")), a = -1, b = -1;
        CHECK(mean > last);
        last = mean;
        for (size_t k = 0; k < 6; k++) {
            const json_t *run = json_array_get(json_object_get(all, "runs"), k);
            if (!json_equal(json_object_get(run, "point"), json_object_get(x, "point")))
                continue;
            *(a < 0 ? &a : &b) = json_number_value(json_object_get(run, "score"));
        }
        CHECK(fabs(mean - (a + b) / 2) < 1e-6);
        CHECK(fabs(json_number_value(json_object_get(x, "sd")) - fabs(a - b) / sqrt(2)) < 1e-6);
    }
    const char *best = json_string_value(json_object_get(all, "best"));
    Ran weights = test_shell(STR("ls s/*/best-1.safetensors s/*/last.safetensors"));
    CHECK_STR(weights.out,
              str_format(test_arena(), "s/%s/best-1.safetensors\ns/%s/last.safetensors\n", best, best).s);
    sweep("--dir s", 0, "kept        6 of 6 are finished");
    sweep("--dir s", 0, "± sd  n  epoch  seconds");
    test_expect("cat s/table.csv", 0, "run,width,lr,seed,point,state");
    sweep("--dir s --top 1", 0, "2 more points are in s/table.csv");
    json_decref(all);
}

TEST(runs_that_differ_in_nothing_they_read_are_one) {
    put("p.graph", k_program);
    sweep("idle=1,2,3 lr=0.001,1e-3 --dir s", 0, "6 points, 5 of them the same as others; 1 program\n");
    sweep("idle=1,2,3 --dir s", 0, "warning[unread]: `idle` is read by 0 of 3 runs");
    test_expect("ls -d s/*/ | wc -l", 0, "2\n");
}

TEST(a_wider_grid_keeps_what_is_done) {
    put("p.graph", k_program);
    sweep("lr=1e-2,1e-3 --dir s -q", 0, "");
    sweep("lr=1e-2,1e-3,1e-4 width=8,4 --dir s", 0, "kept        2 of 6 are finished");
    sweep("study lr=1e-4 --dir s --plan", 0, "sweep       study: 1 point, 2 runs, 2 skipped");
    test_shell(STR("sed -i 's/lr in 1e-2/lr in 1e-4, 1e-2/' p.graph"));
    sweep("--dir s --plan", 0, "study: 4 points, 8 runs");
    test_shell(STR("sed -i 's/batch 20/batch 30/' p.graph"));
    sweep("--dir s --plan", 1,
          "graphc: the sweep in s is of another program\n  help: its grid may change, its program not");
    sweep("--dir none --resume", 1, "there is no sweep in none to go on with");
}

/* A folder belongs to a program from its first result or checkpoint on: who mends it need not name another one. */
TEST(a_sweep_is_frozen_when_it_begins) {
    put("p.graph", k_program);
    sweep("--dir s --plan", 0, "study: 3 points");
    CHECK(access(path_of("s").s, F_OK) != 0);
    test_shell(STR("sed -i 's/from fresh.*normal()/from csv(\"t.csv\");  x : f32[2] = columns[0:2]/' p.graph\n"
                   "(echo a,b; for i in $(seq 99); do echo 0.$i,0.5; done; echo 1,one) > t.csv"));
    sweep("lr=1e-2 --dir s", 1, "cannot run; nothing was trained");
    CHECK(access(path_of("s/sweep.json").s, F_OK) != 0);
    test_shell(STR("sed -i 's/one/1/' t.csv; sed -i 's/batch 20/batch 30/' p.graph"));
    sweep("lr=1e-2 --dir s -s epochs=1 --weights none", 0, "best");
    test_shell(STR("sed -i 's/batch 30/batch 20/' p.graph"));
    sweep("lr=1e-2 --dir s --plan", 1, "the sweep in s is of another program");
    test_shell(STR("rm s/results.jsonl"));
    sweep("lr=1e-2 --dir s -s epochs=1", 0, "best");
    test_shell(STR("rm s/results.jsonl; sed -i 's/batch 20/batch 30/' p.graph"));
    sweep("lr=1e-2 --dir s", 1, "the sweep in s is of another program");
}

/* The command that is named makes what a sweep did not keep, to the same bits. */
TEST(weights_that_are_not_kept_can_be_made) {
    put("p.graph", k_program);
    const char *all = "lr=1e-2,1e-3 -q --dir s", *best;
    sweep("lr=1e-2,1e-3 -q --dir kept --weights all", 0, "best        kept/");
    sweep(all, 0, "best        s/");
    json_t *other = told("graphc sweep p.graph lr=1e-2,1e-3 --dir s --best 'highest val.total' --json"), *made;
    best = json_string_value(json_object_get(other, "best"));
    CHECK(json_is_false(json_object_get(other, "weights")));
    Str makes = str_format(test_arena(), "not kept; `graphc train s/%s/resolved.graph` makes them\n", best);
    sweep("lr=1e-2,1e-3 -q --dir s --best 'highest val.total'", 0, makes.s);
    Str line = str_format(test_arena(), "graphc train s/%s/resolved.graph -q --run again", best);
    CHECK_INT(test_shell(line).status, 0);
    CHECK(str_eq(test_tensors("again"), test_tensors(str_format(test_arena(), "kept/%s", best).s)));
    made = told("graphc sweep p.graph lr=1e-2,1e-3 --dir s --json");
    CHECK(json_is_true(json_object_get(made, "weights")));
    json_decref(made);
    sweep("lr=1e-2 -q --dir none --weights none", 0, "its weights are not kept");
    json_decref(other);
}

TEST(points_are_typed_in_every_way) {
    put("p.graph", k_program);
    put("t.csv", "name,lr,width\nfirst,1e-2,4\nsecond,1e-3,6\n");
    sweep("'(lr,width)=(1e-2,4),(1e-3,6)' --dir a --plan", 0, "2 points; 2 programs");
    sweep("--points t.csv --dir b --plan", 0, "2 points; 2 programs");
    sweep("'lr=log(1e-4,1e-1)' --draw 7,3 --dir c --plan", 0, "7 points; 1 program");
    sweep("lr=1e-2,1e-3 width=4,6 --skip 'width == 6 and lr < 5e-3' --dir d --plan", 0,
                "3 points, 1 skipped; 2 programs");
    sweep("lr=1e-2 --repeat seed=1,2,3 --dir e --plan", 0, "1 point, 3 runs; 1 program");
    sweep("lr=1e-2 --best 'highest train.total' -s epochs=1 --dir f", 0, "train.total  epoch");
    sweep("lr=1e-2 --best 'highest val.f' --dir f", 1, "objective `fit` has no series `f`");
    sweep("lr=1e-2, --dir f", 1, "error[syntax]");
    sweep("rate=1,2 --dir f", 1, "there is no setting `rate`");
    sweep("other --dir f", 1, "p.graph has no sweep `other`\n  help: they are `study`");
    sweep("--picture p.gif", 2, "ends with .svg, .png or .pdf");
    put("q.graph", "setting a : real = 1\n");
    test_expect("graphc sweep q.graph a=1,2", 1, "q.graph has no `train`");
}

/* Nothing is trained when a point cannot be. */
TEST(mistakes_are_told_before_the_first_step) {
    put("p.graph", str_format(test_arena(), "require width < 20\n%s", k_program).s);
    sweep("width=4,32 --dir s", 1, "a point that cannot run: width = 32");
    CHECK(access(path_of("s").s, F_OK) != 0);
}

/* A learning rate that no number survives, and a process that is killed. */
TEST(a_run_that_fails_ends_no_other) {
    put("p.graph", k_program);
    json_t *all = told("graphc sweep p.graph lr=1e-2,1e38,1e-3 --dir s --json"), *run;
    size_t i;
    json_array_foreach(json_object_get(all, "runs"), i, run) {
        bool fails = strcmp(setting(run, "lr"), "1e38") == 0;
        CHECK_STR(str_of(json_string_value(json_object_get(run, "state"))), fails ? "failed" : "done");
        CHECK(!fails || strstr(json_string_value(json_object_get(run, "why")), "is not finite") != NULL);
    }
    const json_t *last = json_array_get(json_object_get(all, "points"), 2);
    CHECK_STR(str_of(setting(last, "lr")), "1e38");
    CHECK(json_is_null(json_object_get(last, "mean")));
    json_decref(all);
}

static const char k_wait[] =
    "sed -i 's/rows = 300/rows = 20000/' p.graph; graphc sweep p.graph seed=1,2 -s epochs=100 --dir s -q & p=$!\n"
    "until [ \"$(cat s/*/metrics.jsonl 2>/dev/null | wc -l)\" -gt 6 ]; do sleep 0.02; done\n";

/* What an epoch measured, and the hash of all variables after it. */
static Str bits_of(Str run) {
    Ran r = test_shell(str_format(test_arena(), "sed 's/,\"seconds\":[^,]*//' %.*s/metrics.jsonl", FSTR(run)));
    CHECK(strstr(r.out.s, "\"bits\":") != NULL);
    return r.out;
}

static void check_alone(const char *line, int epochs) {
    json_t *all = told(line), *run;
    size_t i;
    json_array_foreach(json_object_get(all, "runs"), i, run) {
        Str alone = str_format(test_arena(), "alone%zu", i);
        CHECK_STR(str_of(json_string_value(json_object_get(run, "state"))), "done");
        CHECK_INT(test_shell(str_format(test_arena(), "graphc train p.graph -q --run %s -s epochs=%d -s seed=%s",
                                        alone.s, epochs, setting(run, "seed"))).status, 0);
        CHECK(str_eq(bits_of(alone), bits_of(folder_of("s", run))));
    }
    json_decref(all);
}

TEST_ALL(an_interrupted_sweep_goes_on_to_the_same_bits) {
    put("p.graph", k_program);
    test_expect(str_format(test_arena(), "%skill -INT $p; wait $p", k_wait).s, 130,
                "interrupted; what is finished is kept in s\n  help: the same command goes on");
    test_expect("ls s/*/last.safetensors | wc -l", 0, "2\n");
    check_alone("graphc sweep p.graph seed=1,2 -s epochs=100 --dir s --json --resume", 100);
}

/* The processes of its runs save when their parent is gone. */
TEST_ALL(a_killed_sweep_goes_on_to_the_same_bits) {
    put("p.graph", k_program);
    test_expect(str_format(test_arena(), "%skill -9 $p; wait $p", k_wait).s, 137, "");
    test_expect("until flock -n s true; do sleep 0.02; done; ls s/*/last.safetensors | wc -l", 0, "2\n");
    check_alone("graphc sweep p.graph seed=1,2 -s epochs=100 --dir s --json", 100);
}

TEST_ALL(a_killed_run_is_told_and_tried_again) {
    put("p.graph", k_program);
    Str line = str_format(test_arena(), "%s%s\n%s", k_wait,
                          "kill -9 $(cut -d ' ' -f 1 /proc/$p/task/$p/children)",
                          "until grep -q crashed s/results.jsonl; do sleep 0.02; done; kill -INT $p; wait $p");
    test_expect(line.s, 130, "");
    test_expect("cat s/results.jsonl", 0, "\"state\":\"crashed\",\"why\":\"its process died: Killed\"");
    sweep("seed=1,2 -s epochs=100 --dir s --plan", 0, "of training");
}

/* A run's folder belongs to the process that trains it, and its state is not guessed from what was saved. */
TEST(a_run_of_a_sweep_is_busy_while_it_trains) {
    put("p.graph", k_program);
    test_expect("sed -i 's/rows = 300/rows = 20000/' p.graph\n"
                "graphc sweep p.graph seed=1,2 -s epochs=9999 --dir s -q & p=$!\n"
                "until graphc runs --in s 2>/dev/null | grep -q s/; do sleep 0.02; done; h=$(ls -d s/*/ | head -n 1)\n"
                "graphc runs --in s > list; graphc runs show $h > one\n"
                "graphc train p.graph --run $h --resume -s epochs=9999 > taken 2>&1\n"
                "graphc runs rm $h > removed 2>&1; kill -INT $p; wait $p; ls -d $h", 0, "s/");
    test_expect("cat list one", 0, "running");
    test_expect("grep -c killed list one", 1, "list:0\none:0\n");
    test_expect("cat taken", 0, "another training writes into s/");
    test_expect("cat removed", 0, "another training writes into s/");
    test_expect("rm s/*/run.json; graphc runs show $(ls -d s/*/ | head -n 1)", 0, "killed");
}

/* Two processes, one folder: the second says so and leaves, the first ends as if alone. */
TEST_ALL(two_sweeps_of_one_folder_do_not_meet) {
    put("p.graph", k_program);
    test_expect("sed -i 's/rows = 300/rows = 20000/' p.graph\n"
                "graphc sweep p.graph seed=1,2 -s epochs=60 --dir s -q > first 2>&1 & p=$!\n"
                "until ls s/*/metrics.jsonl > list 2>&1; do sleep 0.01; done\n"
                "graphc sweep p.graph seed=1,2,3 -s epochs=60 --dir s -q > second 2>&1; echo status $?; wait $p", 0,
                "status 1");
    test_expect("cat second", 0, "name another folder: `--run`, of a sweep `--dir`");
    test_expect("cat first", 0, "best        s/");
    check_alone("graphc sweep p.graph seed=1,2 -s epochs=60 --dir s --json", 60);
}

/* One that is gone on with is running again. */
TEST(a_run_that_goes_on_says_so) {
    put("p.graph", k_program);
    const char *begin = "graphc sweep p.graph seed=1 -s epochs=9999 --dir s -q & p=$!\n"
                        "until [ $(cat s/*/metrics.jsonl 2>/dev/null | wc -l) -gt $n ]; do sleep 0.02; done\n";
    test_expect(str_format(test_arena(), "sed -i 's/rows = 300/rows = 20000/' p.graph; n=1; %s kill -INT $p; wait $p\n"
                           "graphc runs show s/*/", begin).s, 0, "interrupted");
    test_expect(str_format(test_arena(), "n=$(cat s/*/metrics.jsonl | wc -l); %s graphc runs show s/*/ > one\n"
                           "kill -INT $p; wait $p; cat one", begin).s, 0, "running");
}

/* Broken off and gone on with, it is the same. */
TEST(halving_leaves_the_best_with_the_same_bits) {
    put("p.graph", k_program);
    json_t *all = told("graphc sweep p.graph lr=1e-1,1e-2,1e-3,1e-4 -s epochs=8 --halve 2 --json --dir s "
                       "--weights all"), *run;
    uint32_t halted = 0;
    size_t i;
    json_array_foreach(json_object_get(all, "runs"), i, run) {
        bool is = strcmp(json_string_value(json_object_get(run, "state")), "halted") == 0;
        halted += is;
        CHECK(!is || json_integer_value(json_object_get(run, "epochs")) < 8);
        if (is) continue;
        CHECK_INT(json_integer_value(json_object_get(run, "epochs")), 8);
        CHECK_INT(test_shell(str_format(test_arena(), "graphc train p.graph -q --run alone -s epochs=8 -s lr=%s",
                                        setting(run, "lr"))).status, 0);
        CHECK(str_eq(test_tensors("alone"), test_tensors(folder_of("s", run).s)));
    }
    CHECK_INT(halted, 3);
    test_shell(STR("sed -i 's/epochs 4/steps 40/' p.graph"));
    sweep("lr=1e-1,1e-2 --halve 2 --dir t", 0, "one in 2 goes on after epoch 2\n");
    test_expect("cut -d , -f 4 t/table.csv | sort", 0, "done\nhalted");
    sweep("lr=1e-1 --halve 2 --dir t", 0, "halving     stops none: it takes two points");
    json_decref(all);
}

/* Two phases of 3 and 5 epochs, halved after 2, 4 and 8 of them; the first ends early when it does not get better. */
static const char k_phases[] =
    "setting lr : real = 1e-2\n"
    "data points { from fresh(rows = 300);  x[i < 2] = normal();  split val 0.2, train rest seed 1 }\n"
    "model net(x : real[N, 2]) -> (y : real[N, 1]) { y = mlp(x, [8, 1]) }\n"
    "objective begin(b : points[N]) { loss e = mean[n] abs(net(b.x)[n,0] - b.x[n,0]) }\n"
    "objective fit(b : points[N]) { loss e = mean[n] (net(b.x)[n,0] - b.x[n,0] * b.x[n,1])^2 }\n"
    "train first { objective begin;  optimizer adam(lr = lr);  epochs 3;  batch 20 }\n"
    "train second { objective fit;  optimizer adam(lr = lr);  epochs 5;  batch 20;  keep lowest val.total }\n";

static void check_survivor(const json_t *all, const char *folder) {
    json_t *run;
    size_t i, done = 0;
    json_array_foreach(json_object_get(all, "runs"), i, run) {
        if (strcmp(json_string_value(json_object_get(run, "state")), "done") != 0) continue;
        Str alone = str_format(test_arena(), "alone-%s", folder);
        done++;
        CHECK_INT(json_integer_value(json_object_get(run, "epochs")), 8);
        CHECK_INT(test_shell(str_format(test_arena(), "graphc train p.graph -q --run %s -s lr=%s", alone.s,
                                        setting(run, "lr"))).status, 0);
        CHECK(str_eq(test_tensors(alone.s), test_tensors(folder_of(folder, run).s)));
    }
    CHECK_INT(done, 1);
}

TEST(halving_goes_over_phases) {
    put("p.graph", k_phases);
    sweep("lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --dir s --plan", 0,
          "halving     one in 2 goes on after epoch 2, 4\n");
    json_t *all = told("graphc sweep p.graph lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --json --dir s --weights all"), *run;
    uint32_t halted[9] = {0};
    size_t i;
    json_array_foreach(json_object_get(all, "runs"), i, run) {
        int64_t epochs = json_integer_value(json_object_get(run, "epochs"));
        bool first = strcmp(json_string_value(json_object_get(run, "phase")), "first") == 0;
        REQUIRE(epochs <= 8);
        halted[epochs]++;
        CHECK_INT(first, epochs < 4);
        CHECK_INT(json_is_null(json_object_get(run, "score")), first);      /* of another objective */
        CHECK(json_is_number(json_object_get(json_object_get(run, "values"), "val.total")));
    }
    CHECK_INT(halted[2], 2);
    CHECK_INT(halted[4], 1);
    check_survivor(all, "s");
    /* who was stopped is stopped again by the log alone */
    test_shell(STR("mv s/results.jsonl was; grep -v halted was > s/results.jsonl"));
    json_t *again = told("graphc sweep p.graph lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --json --dir s --weights all");
    CHECK(json_equal(json_object_get(all, "points"), json_object_get(again, "points")));
    test_expect("cat s/table.csv", 0, "halted,first,2,2");
    json_decref(all);
    json_decref(again);
}

/* A validation that comes after the rung: nobody is judged by numbers that are not there. */
TEST(halving_waits_for_what_judges) {
    put("p.graph", k_phases);
    test_shell(STR("sed -i 's/epochs 3;  batch 20 }/epochs 3;  batch 20;  validate begin every 3 epochs }/' p.graph"));
    sweep("lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --dir s", 0, "is not measured so early: none is stopped\n");
    test_expect("cut -d , -f 4,6,7 s/table.csv | sort | uniq -c | tr -s ' '", 0,
                " 1 done,5,8");
}

/* Who has failed is not waited for. */
TEST(halving_of_failed_runs_says_nothing_of_measures) {
    put("p.graph", k_phases);
    test_expect("graphc sweep p.graph lr=1e30,1e31,1e35,1e36 --halve 2 --dir s > said; grep -c 'not measured' said", 1,
                "0\n");
    test_expect("cut -d , -f 4 s/table.csv | sort | uniq -c | tr -s ' '", 0, " 4 failed\n");
    test_expect("graphc sweep p.graph lr=1e30,1e31,1e35,1e36 --halve 2 --dir s", 1,
                "graphc: all 4 runs failed\n  help: log.txt in the folder of a run says why: s/*/log.txt\n");
    test_expect("graphc sweep p.graph lr=1e30,1e31,1e35,1e36 --dir s --json | tail -n +2 | grep -c '^{'", 1, "0\n");
    test_expect("graphc sweep p.graph lr=1e30,1e-2 -q --dir t", 0, "failed");
}

/* What is planned is told to programs, too. */
TEST(a_plan_is_an_object) {
    put("p.graph", k_phases);
    json_t *all = told("graphc sweep p.graph lr=1e-1,1e-2 --plan --json");
    json_t *x = json_object_get(all, "estimate");
    CHECK_INT(json_integer_value(json_object_get(x, "runs")), 2);
    CHECK(json_integer_value(json_object_get(x, "bytes")) > 0 && json_number_value(json_object_get(x, "seconds")) > 0);
    CHECK_INT((int64_t)json_array_size(json_object_get(all, "points")), 2);
    CHECK(access(path_of("runs").s, F_OK) != 0);
}

TEST_ALL(a_halving_that_is_interrupted_stops_the_same_points) {
    put("p.graph", k_phases);
    json_t *all = told("graphc sweep p.graph lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --json --dir s --weights all");
    test_expect("sed -i 's/rows = 300/rows = 30000/' p.graph\n"
                "for n in 1 2 3 5 7 9; do graphc sweep p.graph lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --dir t -q "
                "--weights all & p=$!\n"
                "until [ $(cat t/*/metrics.jsonl 2>/dev/null | wc -l) -ge $n ]; do sleep 0.01; done\n"
                "kill -$((n % 2 * 7 + 2)) $p; wait $p; until flock -n t true; do sleep 0.02; done; done\n"
                "graphc sweep p.graph lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --dir t -q --weights all\n"
                "graphc sweep p.graph lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --dir u -q --weights all; "
                "cut -d , -f 1,2,4-7 t/table.csv > a; cut -d , -f 1,2,4-7 u/table.csv > b; cmp a b && echo same", 0,
                "same");
    json_decref(all);
    json_t *other = told("graphc sweep p.graph lr=1e-1,1e-2,1e-3,1e-4 --halve 2 --json --dir t --weights all");
    check_survivor(other, "t");
    json_decref(other);
}

/* Without weights a run begins again: what it measured is not thrown away for another program. */
TEST_ALL(a_run_without_weights_begins_again_as_it_was) {
    put("p.graph", k_program);
    sweep("seed=1,2 -q --dir s", 0, "");
    test_expect("for r in s/*/; do test -e $r/last.safetensors || mv ${r%/} r; done; cp -r r was", 0, "");
    test_expect("graphc train p.graph -q --fork r --run f", 1, "the run in r has no weights\n");
    test_expect("graphc train p.graph -q --run r --resume -s lr=1e-4", 1, "r was trained with another program: ");
    test_expect("diff -r r was", 0, "");
    test_expect("graphc train r/resolved.graph -q --run other; graphc train r/resolved.graph -q --run r --resume\n"
                "graphc runs diff r other", 0, "all 4 epochs are the same");
}

/* The name of a folder need not be UTF-8, what is JSON is. */
TEST(a_folder_of_any_bytes_is_told) {
    put("p.graph", k_program);
    json_t *all = told("graphc sweep p.graph lr=1e-2 -s epochs=1 --json --dir $(printf 's\\377')");
    CHECK_STR(str_of(json_string_value(json_object_get(all, "folder"))), "s?");
    json_decref(all);
}

TEST(a_sweep_is_drawn) {
    put("p.graph", k_program);
    sweep("lr=1e-2,1e-3 width=2,4 --dir s -q --picture p.svg", 0, "");
    test_expect("head -c 5 p.svg; grep -c '<path' p.svg", 0, "<?xml");
    sweep("lr=1e-2,1e-3 width=2,4 --dir s -q --picture p.png", 0, "");
    test_expect("head -c 4 p.png", 0, "PNG");
    sweep("lr=1e-2,1e-3 width=2,4 --dir s -q --picture no/p.png", 1, "picture no/p.png cannot be written");
}

/* The grid of the study it is for. */
TEST_ALL(the_first_grid_of_vox_has_288_configurations) {
    Str line = str_format(test_arena(), "graphc sweep %.*s/graphs/vox/grid.graph --dir s --plan", FSTR(test_root()));
    test_expect(line.s, 0, "sweep       first: 288 points; 36 programs\n");
}
