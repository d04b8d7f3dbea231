/* Faults: a disk that is full from some write on, a write that fails once, a process that dies between two of them, a
 * damaged checkpoint.  In all of them there is a message, and the run goes on to the bits it would have had.
 *
 * A library that is loaded before all others counts the calls that change files of the run, and fails or kills at
 * one. */
#include "test.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char k_program[] =
    "data d { from fresh(rows = 60) as train;  x[i < 4] = normal();  y = 3 * x[0] - x[2]\n"
    "    split val 0.2, train rest of train seed 1 }\n"
    "model net(x : real[N, 4]) -> (y : real[N]) { y = (x |> linear(3) |> linear(1))[:, 0] }\n"
    "objective fit(b : d[N]) { loss square = mse(net(b.x), b.y) }\n"
    "train { optimizer adam(lr = 0.1);  epochs 3;  batch 12;  keep lowest val.total }\n";

static const char k_fault[] =
    "#define _GNU_SOURCE\n"
    "#include <dlfcn.h>\n#include <errno.h>\n#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
    "#include <string.h>\n#include <sys/types.h>\n#include <unistd.h>\n"
    "static int number(const char *name) { const char *t = getenv(name); return t ? atoi(t) : 0; }\n"
    "static int fails(const char *path) {\n"
    "    static int count;\n"
    "    if (!strstr(path, getenv(\"FAULT_IN\"))) return 0;\n"
    "    count++;\n"
    "    if (count == number(\"FAULT_KILL\")) raise(SIGKILL);\n"
    "    if (number(\"FAULT_FROM\") && count >= number(\"FAULT_FROM\")) return errno = ENOSPC, 1;\n"
    "    return count == number(\"FAULT_ONCE\") ? errno = EIO, 1 : 0;\n"
    "}\n"
    "static int fd_fails(int fd) {\n"
    "    char link[32], path[4096];\n"
    "    snprintf(link, sizeof link, \"/proc/self/fd/%d\", fd);\n"
    "    ssize_t n = readlink(link, path, sizeof path - 1);\n"
    "    path[n > 0 ? n : 0] = 0;\n"
    "    return fails(path);\n"
    "}\n"
    "#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))\n"
    "ssize_t write(int f, const void *p, size_t n) { return fd_fails(f) ? -1 : REAL(write)(f, p, n); }\n"
    "int fsync(int f) { return fd_fails(f) ? -1 : REAL(fsync)(f); }\n"
    "int ftruncate(int f, off_t n) { return fd_fails(f) ? -1 : REAL(ftruncate)(f, n); }\n"
    "int fdatasync(int f) { return fd_fails(f) ? -1 : REAL(fdatasync)(f); }\n"
    "ssize_t pwrite64(int f, const void *p, size_t n, off64_t at) {\n"
    "    return fd_fails(f) ? -1 : REAL(pwrite64)(f, p, n, at);\n}\n"
    "ssize_t pwrite(int f, const void *p, size_t n, off_t at) { return pwrite64(f, p, n, at); }\n"
    "int rename(const char *a, const char *b) { return fails(b) ? -1 : REAL(rename)(a, b); }\n";

static Str path_of(const char *name) { return str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name); }

static void put(const char *name, const char *text) { test_write(path_of(name), str_of(text)); }

static void prepare(void) {
    put("p.graph", k_program);
    put("fault.c", k_fault);
    test_expect(GRAPHC_CC " -shared -fPIC -O1 -o fault.so fault.c", 0, "");
    test_expect("graphc train p.graph -q --run whole", 0, "");
}

/* How a run begins: as itself, or with the weights of another one. */
static const char k_alone[] = "", k_forked[] = " --fork parent";

static void prepare_fork(void) {
    prepare();
    test_expect("mv whole parent; graphc train p.graph -q --run whole --fork parent", 0, "");
}

/* A command with a fault at call n on files whose path has `in` in it. */
static Ran disturbed(const char *before, const char *in, const char *fault, int n, const char *command) {
    return test_shell(str_format(test_arena(),
                                 "%s; ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$PWD/fault.so "
                                 "FAULT_IN=%s %s=%d graphc %s", before, in, fault, n, command));
}

/* Trains into r. */
static Ran train(const char *how, const char *fault, int n) {
    Str line = str_format(test_arena(), "train p.graph -q --run r%s", how);
    return disturbed("rm -rf r", "/r/", fault, n, line.s);
}

/* What is left goes on; one that had not even its program begins anew. */
static void goes_on(const char *how, const char *fault, int n) {
    bool begun = access(path_of("r/resolved.graph").s, F_OK) == 0;
    Ran r = test_shell(str_format(test_arena(), "graphc train p.graph -q --run r%s", begun ? " --resume" : how));
    CHECK_MSG(r.status == 0, "%s=%d: resumed with %d: %s", fault, n, r.status, r.out.s);
    if (r.status == 0)
        CHECK_MSG(str_eq(test_tensors("r"), test_tensors("whole")), "%s=%d: other weights", fault, n);
}

/* Every call, or one of `stride`: until a run comes through undisturbed. */
static void fault_each(const char *how, const char *fault, int stride) {
    (how == k_forked ? prepare_fork : prepare)();
    int failed = 0;
    for (int n = 1; n < 1000; n += stride) {
        bool kill = strcmp(fault, "FAULT_KILL") == 0;
        Ran r = train(how, fault, n);
        if (r.status == 0 && strstr(r.out.s, "warning") == NULL) {
            CHECK_MSG(failed > 40 / stride, "only %d calls failed", failed);
            return;
        }
        failed++;
        CHECK_MSG(kill ? r.status == 137 : r.status == 0 || r.status == 1, "%s=%d: status %d", fault, n, r.status);
        CHECK_MSG(kill || strstr(r.out.s, "graphc: ") != NULL, "%s=%d: no message: %s", fault, n, r.out.s);
        goes_on(how, fault, n);
    }
    CHECK_MSG(false, "no run came through");
}

TEST_ALL(a_full_disk_ends_a_run_that_goes_on) { fault_each(k_alone, "FAULT_FROM", 7); }
TEST_ALL(a_write_that_fails_once_loses_nothing) { fault_each(k_alone, "FAULT_ONCE", 7); }
TEST_ALL(a_kill_between_two_writes_loses_nothing) { fault_each(k_alone, "FAULT_KILL", 7); }
TEST_ALL(a_fork_that_is_killed_goes_on) { fault_each(k_forked, "FAULT_KILL", 9); }
TEST_LONG(every_write_of_a_fork_is_the_last) { fault_each(k_forked, "FAULT_KILL", 1); }
TEST_LONG(every_write_of_a_fork_fails) { fault_each(k_forked, "FAULT_FROM", 1); }
TEST_LONG(every_write_fails) { fault_each(k_alone, "FAULT_FROM", 1); }
TEST_LONG(every_write_fails_once) { fault_each(k_alone, "FAULT_ONCE", 1); }
TEST_LONG(every_write_is_the_last) { fault_each(k_alone, "FAULT_KILL", 1); }

/* The same command goes on with a sweep, and every run of it has the weights it would have had. */
static void fault_sweep(const char *fault, int stride) {
    static const char line[] = "sweep p.graph seed=1,2 -q --jobs 1 --weights all --dir s";
    prepare();
    test_expect(str_format(test_arena(), "graphc %s; mv s whole-s", line).s, 0, "");
    Ran ids = test_shell(STR("ls -d whole-s/*/ | cut -d / -f 2"));
    int failed = 0;
    for (int n = 1; n < 1000; n += stride) {
        Ran r = disturbed("rm -rf s", "/s/", fault, n, line);
        if (r.status == 0 && strstr(r.out.s, "warning") == NULL && strstr(r.out.s, "crashed") == NULL) {
            CHECK_MSG(failed > 40 / stride, "only %d calls failed", failed);
            return;
        }
        failed++;
        CHECK_MSG(r.status == 0 || r.status == 1 || r.status == 137, "%s=%d: %d %s", fault, n, r.status, r.out.s);
        CHECK_MSG(r.status != 1 || strstr(r.out.s, "graphc: "), "%s=%d: no message: %s", fault, n, r.out.s);
        r = test_shell(str_format(test_arena(), "until flock -n s true; do sleep 0.02; done; graphc %s", line));
        CHECK_MSG(r.status == 0 && strstr(r.out.s, "best "), "%s=%d: went on with %d %s", fault, n, r.status, r.out.s);
        for (const char *id = ids.out.s; *id; id += strcspn(id, "\n") + 1) {
            Str run = {id, (uint32_t)strcspn(id, "\n")};
            CHECK_MSG(str_eq(test_tensors(str_format(test_arena(), "s/%.*s", FSTR(run)).s),
                             test_tensors(str_format(test_arena(), "whole-s/%.*s", FSTR(run)).s)),
                      "%s=%d: other weights", fault, n);
        }
    }
    CHECK_MSG(false, "no sweep came through");
}

TEST_ALL(a_full_disk_ends_a_sweep_that_goes_on) { fault_sweep("FAULT_FROM", 23); }
TEST_ALL(a_write_of_a_sweep_that_fails_once_loses_nothing) { fault_sweep("FAULT_ONCE", 23); }
TEST_ALL(a_kill_in_a_sweep_loses_nothing) { fault_sweep("FAULT_KILL", 23); }
TEST_LONG(every_write_of_a_sweep_fails) { fault_sweep("FAULT_FROM", 1); }
TEST_LONG(every_write_of_a_sweep_is_the_last) { fault_sweep("FAULT_KILL", 1); }

/* runs.db is an index: training goes on without it, and it is made again from the folders. */
TEST_ALL(an_index_that_cannot_be_written_stops_no_training) {
    prepare();
    int failed = 0;
    for (int n = 1; n < 200; n += 5, failed++) {
        Ran r = disturbed("rm -rf r runs.db*", "runs.db", "FAULT_FROM", n, "train p.graph -q --run r");
        CHECK_MSG(r.status == 0, "call %d: %d %s", n, r.status, r.out.s);
        CHECK(str_eq(test_tensors("r"), test_tensors("whole")));
        test_expect("graphc runs --rebuild --in . && graphc runs", 0, "done");
        if (strstr(r.out.s, "warning") == NULL) break;
    }
    CHECK(failed > 2);
}

/* Of a pack, and of the files that `predict` writes, none is there in part. */
TEST_ALL(files_that_cannot_be_written_are_not_there) {
    prepare();
    Ran r;
    for (int n = 1; n < 4; n++) {
        const char *fault = n % 2 ? "FAULT_FROM" : "FAULT_ONCE";
        r = disturbed("echo old > whole.tar.gz", "whole.tar", fault, n, "runs pack whole");
        CHECK_MSG(r.status == 1 && strstr(r.out.s, "whole.tar.gz"), "call %d: %d %s", n, r.status, r.out.s);
        test_expect("cat whole.tar.gz; ls *.part", 2, "old\n");
    }
    r = disturbed("graphc runs pack whole -o p.tar.gz", "/again/", "FAULT_FROM", 9, "rerun p.tar.gz");
    CHECK_MSG(r.status == 1 && strstr(r.out.s, "graphc: "), "%d %s", r.status, r.out.s);
    test_expect("graphc rerun p.tar.gz", 0, "the same in every bit");
}

/* At any time, not only between writes. */
TEST_ALL(kills_at_random_times_lose_nothing) {
    put("p.graph", k_program);
    test_expect("sed -i 's/epochs 3/epochs 60/' p.graph; graphc train p.graph -q --run whole", 0, "");
    test_shell(STR("for t in 0.15 0.21 0.33 0.08 0.47 0.27; do\n"
                   "    timeout -s KILL $t graphc train p.graph -q --run r --resume ||\n"
                   "    timeout -s KILL $t graphc train p.graph -q --run r\n"
                   "done"));
    test_expect("graphc train p.graph -q --run r --resume || graphc train p.graph -q --run r", 0, "");
    CHECK(str_eq(test_tensors("r"), test_tensors("whole")));
}

/* The index of runs is made of their folders: when it is damaged it is made again, whoever meets that. */
TEST(a_damaged_index_is_made_again) {
    static const char *const damage[] = {"echo no database, but long enough to be one by its first bytes > runs.db",
                                         "truncate -s 5000 runs.db"};
    static const char *const meets[] = {"graphc runs", "graphc runs mark r --note x", "graphc runs rm t",
                                        "graphc train p.graph -q --run s"};
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), STR(
        "data points { from fresh(rows = 30);  x[i < 2] = normal() }\n"
        "model net(x : real[N, 2]) -> (y : real[N, 1]) { y = linear(x, 1) }\n"
        "objective fit(b : points[N]) { loss e = mean[n] net(b.x)[n,0]^2 }\n"
        "train { optimizer sgd(lr = 3e-2);  epochs 1;  batch 15 }\n"));
    test_expect("graphc train p.graph -q --run r; graphc train p.graph -q --run t", 0, "");
    for (size_t i = 0; i < sizeof meets / sizeof *meets; i++) {
        Str line = str_format(test_arena(), "%s\n%s 2>&1; graphc runs 2>/dev/null", damage[i % 2], meets[i]);
        Ran r = test_shell(line);
        CHECK_MSG(r.status == 0 && strstr(r.out.s, "runs.db was damaged and is made again from the folders of ") &&
                      strstr(r.out.s, "done") && !strstr(r.out.s, "gone"), "%s:\n%s", line.s, r.out.s);
    }
    test_expect("ls runs.db.damaged", 0, "runs.db.damaged");
}

/* The runs of somebody else, sound, damaged, without an index: rights that keep even root out. */
TEST_ALL(runs_are_listed_where_nothing_may_be_written) {
    static const char *const kinds[] = {"", "mv runs/runs.db ./kept", "echo no database > runs/runs.db"};
    put("p.graph", k_program);
    test_expect("graphc train p.graph -q --run 'runs/a%41'; graphc train p.graph -q --run runs/b; rm -r runs/b\n"
                "sed -i 's/\"done\"/\"running\"/' runs/a*/run.json", 0, "");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        Str line = str_format(test_arena(), "%s\nchmod a-w runs runs/*\n"
                              "[ $(id -u) = 0 ] && as='setpriv --bounding-set=-dac_override'\n"
                              "$as touch runs/x 2>/dev/null && echo writable; $as graphc runs; status=$?\n"
                              "ls runs; chmod -R u+w runs; exit $status", kinds[i]);
        Ran r = test_expect(line.s, 0, "runs/a%41 ");
        CHECK_MSG(!strstr(r.out.s, "writable") && !strstr(r.out.s, "damaged"), "%s", r.out.s);
        CHECK_MSG((strstr(r.out.s, "runs/b ") != NULL) == (i == 0), "%s", r.out.s);        /* only the index knows it */
    }
}

/* One process finds the damage, and before it looks again another one has mended it. */
TEST_ALL(a_mended_index_is_not_put_aside) {
    prepare();
    put("late.c", "#define _GNU_SOURCE\n"
                  "#include <dlfcn.h>\n#include <fcntl.h>\n#include <stdbool.h>\n#include <stdlib.h>\n"
                  "#include <string.h>\n"
                  "int open(const char *path, int flags, ...) {\n"
                  "    bool ours = strcmp(path, \"./runs.db\") == 0 && flags == (O_RDONLY | O_CLOEXEC);\n"
                  "    if (ours && getenv(\"LD_PRELOAD\")) {\n"
                  "        unsetenv(\"LD_PRELOAD\");\n"
                  "        if (system(\"graphc runs --rebuild --in .\") != 0) abort();\n"
                  "    }\n"
                  "    int (*real)(const char *, int, ...);\n"
                  "    *(void **)&real = dlsym(RTLD_NEXT, \"open\");\n"
                  "    return real(path, flags, 0666);\n}\n");
    test_expect(GRAPHC_CC " -shared -fPIC -O1 -o late.so late.c", 0, "");
    test_expect("echo no database, but long enough to be one by its first bytes > runs.db\n"
                "ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$PWD/late.so graphc runs", 0,
                "1 run in ./runs.db\n");
    test_expect("head -c 11 runs.db.damaged; head -c 13 runs.db", 0, "no databaseSQLite format");
}

/* A pack that does not fit says why, and leaves nothing half. */
TEST(a_pack_that_does_not_fit) {
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())), STR(
        "data points { from fresh(rows = 30);  x[i < 2] = normal() }\n"
        "model net(x : real[N, 2]) -> (y : real[N, 1]) { y = mlp(x, [200, 200, 1]) }\n"
        "objective fit(b : points[N]) { loss e = mean[n] net(b.x)[n,0]^2 }\n"
        "train { optimizer sgd(lr = 3e-2);  epochs 1;  batch 15 }\n"));
    test_expect("graphc train p.graph -q --run r", 0, "");
    test_expect("ulimit -f 20; graphc runs pack r -o p.tar.gz", 1,
                "p.tar.gz: File too large\n  help: make room on the disk, or name another place with `--output`");
    test_expect("ls p.tar.gz*", 2, "");
    test_expect("graphc runs pack r -o p.tar.gz; ulimit -f 20; graphc rerun p.tar.gz -q", 1,
                "last.safetensors: File too large\n"
                "  help: make room on the disk, or name another place with `--keep DIR` or TMPDIR\n");
}

/* Eight bytes after eight are damaged: header, texts and tensors all have to be noticed. */
TEST_ALL(a_damaged_checkpoint_is_refused) {
    put("p.graph", k_program);
    test_expect("graphc train p.graph -q --run r", 0, "");
    Str whole = test_read(path_of("r/last.safetensors"));
    REQUIRE(whole.n > 1000);
    for (uint32_t at = 0; at < whole.n; at += whole.n / 97) {
        char *bytes = (char *)str_copy(test_arena(), whole).s;
        for (uint32_t k = at; k < at + 8 && k < whole.n; k++) bytes[k] ^= 0x15;
        test_write(path_of("r/last.safetensors"), (Str){bytes, whole.n});
        Ran r = test_shell(STR("graphc train p.graph -q --run r --resume"));
        CHECK_MSG(r.status == 1 && strstr(r.out.s, "r/last.safetensors") && strstr(r.out.s, "help: "),
                  "byte %u: %d %s", at, r.status, r.out.s);
    }
    test_write(path_of("r/last.safetensors"), (Str){whole.s, whole.n / 2});
    test_expect("graphc train p.graph -q --run r --resume", 1, "is not a whole safetensors file");
    test_expect("graphc train p.graph -q --run again --fork r/best-1.safetensors", 0, "");
    test_write(path_of("r/last.safetensors"), whole);
    test_expect("graphc train p.graph -q --run r --resume", 0, "");
}

/* A disk of its own, filled while the training runs. */
TEST_ALL(a_disk_that_fills_up) {
    put("p.graph", k_program);
    test_expect("sed -i 's/epochs 3/epochs 400/' p.graph; mkdir disk", 0, "");
    if (test_shell(STR("mount -t tmpfs -o size=4m tmpfs disk")).status != 0) {
        fputs("skipped: a tmpfs cannot be mounted here\n", stderr);
        return;
    }
    Ran r = test_shell(STR("graphc train p.graph -q --run disk/r & pid=$!\n"
                           "until [ -s disk/r/metrics.jsonl ]; do sleep 0.02; done\n"
                           "dd if=/dev/zero of=disk/filler bs=64k 2> /dev/null; wait $pid; echo \"status $?\""));
    CHECK_MSG(strstr(r.out.s, "status 1\n") && strstr(r.out.s, "No space left on device"), "%s", r.out.s);
    test_expect("rm disk/filler; graphc train p.graph -q --run disk/r --resume; cp -r disk/r r; umount disk", 0, "");
    test_expect("graphc train p.graph -q --run whole", 0, "");
    CHECK(str_eq(test_tensors("r"), test_tensors("whole")));
}

/* The second one is told, and leaves the first alone. */
TEST(two_processes_do_not_share_a_run) {
    put("p.graph", k_program);
    test_expect("sed -i 's/epochs 3/epochs 100000/' p.graph; graphc train p.graph -q --run r & pid=$!; "
                "until [ -s r/metrics.jsonl ]; do sleep 0.02; done; graphc train p.graph -q --run r --resume; "
                "echo \"status $?\"; graphc runs rm r; kill -INT $pid; wait $pid; echo \"status $?\"", 0,
                "graphc: another training writes into r\n"
                "  help: wait until it ends, or name another folder: `--run`, of a sweep `--dir`\nstatus 1\n");
    test_expect("cat r/run.json", 0, "\"state\": \"interrupted\"");
}

/* Once: the step ends and all is saved; twice: at once. */
TEST(interrupted_once_saves_and_twice_exits) {
    put("p.graph", k_program);
    test_expect("sed -i 's/epochs 3/epochs 100000/' p.graph; graphc train p.graph -q --run r & pid=$!; "
                "until [ -s r/metrics.jsonl ]; do sleep 0.02; done; kill -INT $pid; wait $pid; echo \"status $?\"", 0,
                "graphc: interrupted; the run is saved\n  help: graphc train p.graph --run r --resume\nstatus 130\n");
    test_expect("graphc train p.graph -q --run r --resume & pid=$!; sleep 0.5; kill -INT $pid; kill -INT $pid; "
                "kill -INT $pid; wait $pid; echo \"status $?\"", 0, "status 130\n");
}
