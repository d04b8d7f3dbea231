/* `use` and `sweep` as a user meets them: files and runs as modules, what a run keeps of them, presets, and what
 * goes wrong. */
#include "test.h"
#include <stdlib.h>
#include <string.h>

static void put(const char *name, const char *text) {
    test_write(str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name), str_of(text));
}

static Ran ran(const char *arguments) { return test_shell(str_format(test_arena(), "graphc %s", arguments)); }

static void expect(const char *arguments, int status, const char *text) {
    test_expect(str_format(test_arena(), "graphc %s", arguments).s, status, text);
}

static Str read_file(const char *name) {
    return test_read(str_format(test_arena(), "%.*s/%s", FSTR(test_folder()), name));
}

static void same_files(const char *a, const char *b) {
    Str x = read_file(a), y = read_file(b);
    CHECK_MSG(str_eq(x, y), "%s and %s differ", a, b);
}

/* The weights of a checkpoint: the bytes behind its header. */
static void same_weights(const char *a, const char *b) {
    Str file[2] = {read_file(a), read_file(b)};
    for (int i = 0; i < 2; i++) {
        REQUIRE(file[i].n > 8);
        uint64_t header;
        memcpy(&header, file[i].s, 8);
        REQUIRE(header <= file[i].n - 8);
        file[i] = (Str){file[i].s + 8 + header, file[i].n - 8 - (uint32_t)header};
    }
    CHECK_MSG(file[0].n > 0 && str_eq(file[0], file[1]), "%s and %s hold other weights", a, b);
}

/* ---- files ---- */
#define DATA "data d { from fresh(rows = 60);  x[i < 3] = normal();  split val 0.2, test 0.2, train rest seed 1 }\n"
#define LAYERS \
    "setting gain : real = 2\n" \
    "setting width : dim = 4\n" \
    "require width < 10, \"too wide\"\n" \
    "twice = 2 * width\n" \
    "def layer(x : real[N, A], n : dim) -> (y : real[N, n]) { y = gain * (x |> linear(n) |> relu) }\n" \
    "optimizer heavy(lr : real) for p, g, k { state m = 0;  m <- 0.9 * m + g;  p <- p - lr * m }\n"

static void put_parts(void) {
    test_shell(STR("mkdir -p parts"));
    put("parts/deep.graph", "setting k : real = 1\n");
    put("parts/a.graph", "use \"deep.graph\" as deep\n" LAYERS DATA
        "width_of_deep = deep.k\n"
        "model mid(x : real[N, 3]) -> (z : real[N, width]) { z = linear(layer(x, twice), width) * deep.k }\n");
}

static const char k_main[] =
    "use \"parts/a.graph\" as a\n"
    "relu = 3\n"                                           /* changes nothing inside of `a` */
    "model net(x : real[N, 3]) -> (y : real[N, 1]) { y = linear(a.layer(x, a.twice), 1) }\n"
    "objective o(b : a.d[N]) { loss l = mean[..] (net(b.x) - 1)^2 + a.deep.k - relu }\n"
    "train { optimizer a.heavy(lr = 0.01);  epochs 2;  batch 10 }\n";

static const char k_whole[] =
    LAYERS DATA
    "model net(x : real[N, 3]) -> (y : real[N, 1]) { y = linear(layer(x, twice), 1) }\n"
    "objective o(b : d[N]) { loss l = mean[..] (net(b.x) - 1)^2 + 1 - 3 }\n"
    "train { optimizer heavy(lr = 0.01);  epochs 2;  batch 10 }\n";

TEST(a_used_file_is_as_if_it_stood_there) {
    put_parts();
    put("main.graph", k_main);
    put("whole.graph", k_whole);
    expect("train main.graph --run used -q", 0, "");
    expect("train whole.graph --run whole -q", 0, "");
    same_weights("used/last.safetensors", "whole/last.safetensors");
    expect("train main.graph --run used2 -q -s a.width=6 -s a.gain=0.5", 0, "");
    expect("train whole.graph --run whole2 -q -s width=6 -s gain=0.5", 0, "");
    same_weights("used2/last.safetensors", "whole2/last.safetensors");
}

TEST(a_run_keeps_the_files_it_used) {
    put_parts();
    put("main.graph", k_main);
    expect("train main.graph --run first -q -s a.width=6 -s a.deep.k=3", 0, "");
    test_shell(STR("rm -r parts main.graph"));
    expect("train first/resolved.graph --run second -q", 0, "");
    same_weights("first/last.safetensors", "second/last.safetensors");
    same_files("first/used/a.graph", "second/used/a.graph");
    same_files("first/used/a.deep.graph", "second/used/a.deep.graph");
}

TEST(a_changed_module_is_another_program) {
    put_parts();
    put("main.graph", k_main);
    expect("train main.graph --run r -q", 0, "");
    put("parts/deep.graph", "setting k : real = 1;  more = 1\n");
    expect("train main.graph --run r --resume", 1,
           "r was trained with another program: `;  more = 1` is new (used/a.deep.graph:2)");
}

TEST(names_of_modules) {
    put_parts();
    put("main.graph", k_main);
    expect("check main.graph", 0, "a.deep  a file");
    expect("summary main.graph -s a.width=6", 0, "net.layer1.linear1  [10,12]");
    expect("check main.graph -s a.width=12", 1, "error[require]: too wide");
    expect("check main.graph -s a.wdth=5", 1, "help: `-s a.width=5`");
    put("field.graph", "use \"parts/a.graph\" as a\nx = a.twic\n");
    expect("check field.graph", 1, "parts/a.graph declares no `twic`");
    expect("check field.graph", 1, "did you mean `twice`?");
    put("value.graph", "use \"parts/a.graph\" as a\nx = 2 * a\n");
    expect("check value.graph", 1, "`a` is a module, not a value");
    put("library.graph", "use \"parts/a.graph\" as a\nx = a.relu\n");
    expect("check library.graph", 1, "declares no `relu`");
}

TEST(uses_that_cannot_be) {
    put_parts();
    put("missing.graph", "use \"parts/b.graph\" as b\n");
    expect("check missing.graph", 1, "No such file or directory");
    put("twice.graph", "use \"parts/a.graph\" as a\nuse \"parts/deep.graph\" as a\n");
    expect("check twice.graph", 1, "`a` is declared twice");
    put("setting.graph", "setting k, a : dim = 1\nuse \"parts/a.graph\" as a\n");
    expect("check setting.graph", 1, "`a` is declared twice");
    put("cycle.graph", "use \"parts/../back.graph\" as b\n");
    put("back.graph", "use \"cycle.graph\" as c\n");
    Ran r = ran("check cycle.graph");
    CHECK(r.status == 1 && strstr(r.out.s, "`cycle.graph` would use itself") && strstr(r.out.s, "used here"));
    put("inside.graph", "use \"wrong.graph\" as w\n");
    put("wrong.graph", "setting k : dim = yes\nnext = nothing\n");
    r = ran("check inside.graph");
    CHECK(r.status == 1 && strstr(r.out.s, "wrong.graph:1:") && strstr(r.out.s, "nothing is called `nothing`"));
    test_shell(STR("mkdir empty"));
    put("folder.graph", "use \"empty\" as e\n");
    expect("check folder.graph", 1, "`empty` is no run of graphc");
}

/* ---- runs ---- */
static const char k_vae[] =
    "setting width : dim = 4\n" DATA
    "model enc(x : real[N, 3]) -> (z : real[N, width]) { z = x |> linear(width) |> batchnorm }\n"
    "model dec(z : real[N, width]) -> (x : real[N, 3]) { x = linear(z, 3) }\n"
    "objective ae(b : d[N]) {\n"
    "    y = dec(enc(b.x));  loss e = mean[..] (y - b.x)^2;  metric far = max[..] abs(y - b.x)\n"
    "}\n"
    "train { optimizer sgd(lr = 0.1);  epochs 3;  batch 9;  keep lowest val.total }\n";
static const char k_tune[] =
    "use \"vae\" as v\n"
    "model head(z : real[N, A]) -> (y : real[N, 1]) { y = linear(z, 1) }\n"
    "objective o(b : v.d[N]) { loss l = mean[..] (head(v.enc(b.x)) - 1)^2 }\n"
    "train { optimizer sgd(lr = 0.01);  epochs 1;  batch 12 }\n";
static const char k_eval[] =
    "use \"vae\" as v\n"
    "objective ae(b : v.d[N]) {\n"
    "    y = v.dec(v.enc(b.x));  metric e = mean[..] (y - b.x)^2;  metric far = max[..] abs(y - b.x)\n"
    "}\n";

static void put_run(void) {
    put("vae.graph", k_vae);
    put("tune.graph", k_tune);
    put("eval.graph", k_eval);
    expect("train vae.graph --run vae -q -s width=5", 0, "");
}

static double number_behind(Str text, const char *word) {
    const char *at = strstr(text.s, word);
    CHECK_MSG(at != NULL, "no %s in\n%.*s", word, FSTR(text));
    return at ? atof(at + strlen(word)) : 0;
}

TEST(a_run_is_a_module) {
    put_run();
    Ran own = ran("eval vae.graph --run vae -s width=5"), other = ran("eval eval.graph");
    CHECK_MSG(own.status == 0 && other.status == 0, "%.*s%.*s", FSTR(own.out), FSTR(other.out));
    CHECK(number_behind(own.out, "test.far") == number_behind(other.out, "test.far"));
    CHECK(number_behind(own.out, "test.e ") == number_behind(other.out, "test.e "));
    expect("check tune.graph", 0, "a run, trained further (fine-tuned)");
    expect("check eval.graph -s v.width=4", 1, "stays what it was trained with");
}

TEST(a_run_of_a_run) {
    put_run();
    expect("train tune.graph --run tuned -q", 0, "");
    Ran before = ran("eval eval.graph");
    test_shell(STR("rm -r vae vae.graph tune.graph"));
    expect("train tuned/resolved.graph --run again -q", 0, "");
    same_weights("tuned/last.safetensors", "again/last.safetensors");
    put("nested.graph",
        "use \"tuned\" as t\n"
        "objective ae(b : t.v.d[N]) {\n"
        "    z = t.v.enc(b.x);  metric e = mean[..] (t.v.dec(z) - b.x)^2;  metric y = mean[..] t.head(z)\n"
        "}\n");
    Ran after = ran("eval nested.graph");
    CHECK_MSG(after.status == 0, "%.*s", FSTR(after.out));
    CHECK(number_behind(before.out, "test.e ") != number_behind(after.out, "test.e "));  /* enc was trained further */
}

TEST(runs_that_are_not_whole) {
    put_run();
    test_shell(STR("cp -r vae good"));
    put("own.graph", "use \"vae\" as v\n"
                     "model head(z : real[N, A]) -> (y : real[N, 1]) { y = linear(z, 1) }\n"
                     "objective o(b : v.d[N]) { metric m = mean[..] head(v.enc(b.x)) }\n");
    expect("eval own.graph", 1, "`head.linear1.w` is trained by none");
    test_shell(STR("sed -i 's/width : dim = 5/width : dim = 6/' vae/resolved.graph"));
    expect("check eval.graph", 1, "`enc.linear1.w` is f32[3,5] there and f32[3,6] in its text");
    expect("train tune.graph --run t1", 1, "`enc.linear1.w` is f32[3,5] there and f32[3,6] in its text");
    test_shell(STR("sed -i 's/width : dim = 6/width : dim = 5/; s/model dec/model dec2/' vae/resolved.graph"));
    expect("check eval.graph", 1, "vae/resolved.graph declares no `dec`");
    test_shell(STR("rm -r vae; cp -r good vae; truncate -s 200 vae/best-1.safetensors"));
    expect("check eval.graph", 1, "is not a whole safetensors file");
    test_shell(STR("rm vae/*.safetensors"));
    expect("eval eval.graph", 1, "vae/last.safetensors: No such file");
    test_shell(STR("rm vae/resolved.graph"));
    expect("check eval.graph", 1, "`vae` is no run of graphc");
}

/* ---- sweeps ---- */
static const char k_sweeps[] =
    "setting width : dim = 4\n"
    "setting lr : real = 0.1\n" DATA
    "model net(x : real[N, 3]) -> (y : real[N, 1]) { y = x |> linear(width) |> linear(1) }\n"
    "objective o(b : d[N]) { loss l = mean[..] (net(b.x) - 1)^2 }\n"
    "train { optimizer sgd(lr = lr);  epochs 1;  batch 9 }\n"
    "sweep wide { width = 7;  lr = 0.01 }\n"
    "sweep table { points \"t.csv\" }\n";

TEST(a_preset_is_a_sweep_of_one_point) {
    put("s.graph", k_sweeps);
    put("t.csv", "name,width,lr\nfirst,3,1e-2\n\"the second\",5,0.5\n");
    expect("check s.graph", 0, "  table  2 points");
    expect("check s.graph", 0, "  wide   1 point");
    expect("train s.graph --point wide --run point -q", 0, "");
    expect("train s.graph -s width=7 -s lr=0.01 --run given -q", 0, "");
    same_files("point/resolved.graph", "given/resolved.graph");
    same_weights("point/last.safetensors", "given/last.safetensors");
    CHECK(strstr(read_file("point/resolved.graph").s, "sweep") == NULL);
    expect("train s.graph --point wide -s lr=0.5 --run both -q", 0, "");
    CHECK(strstr(read_file("both/resolved.graph").s, "setting lr : real = 0.5") != NULL);
    CHECK(strstr(read_file("both/resolved.graph").s, "setting width : dim = 7") != NULL);
    expect("summary s.graph --point wide", 0, "w[3,7] b[7]");
    expect("check s.graph --point wide", 0, "width = 7");
    expect("train s.graph --point table", 1, "has 2 runs, `--point` takes one; `graphc sweep` runs them all");
    expect("train s.graph --point wdie", 1, "s.graph has no sweep `wdie`");
    expect("train s.graph --point wdie", 1, "sweeps of one point: `wide`");
    expect("check s.graph -s lr=1 -s lr=2", 1, "`-s` gives `lr` twice: 1 and 2");
}

TEST(tables_that_are_none) {
    put("s.graph", k_sweeps);
    expect("check s.graph", 1, "t.csv` cannot be opened");
    put("t.csv", "name,width,lr\nfirst,3\n");
    expect("check s.graph", 1, "row 2 of the table has 2 cells, its head 3");
    put("t.csv", "name,width,lr\n");
    expect("check s.graph", 1, "is no table of points");
    put("t.csv", "name,width,lr\nfirst,3,\"x");
    expect("check s.graph", 1, "is no table of points");
    put("t.csv", "name,widht\nfirst,3\n");
    expect("check s.graph", 1, "did you mean `width`?");
    put("t.csv", "width\n0\n");
    expect("check s.graph", 1, "`width` is an extent and at least 1, this is 0");
}

/* ---- with the other clauses ---- */
TEST(runs_that_are_frozen_and_followed) {
    put("vae.graph",
        DATA
        "model enc(x : real[N, 3]) -> (z : real[N, 4]) { z = x |> linear(4) |> batchnorm }\n"
        "model slow follows enc rate 0.5\n"
        "objective o(b : d[N]) { loss e = mean[..] (enc(b.x) - 1)^2;  metric m = mean[..] slow(b.x) }\n"
        "train { optimizer sgd(lr = 0.1);  epochs 2;  batch 9 }\n");
    put("use.graph",
        "use \"vae\" as v\n"
        "model head(z : real[N, A]) -> (y : real[N, 1]) { y = linear(z, 1) }\n"
        "model behind follows v.enc rate 0.9\n"
        "objective o(b : v.d[N]) { loss l = mean[..] (head(v.enc(b.x) + v.slow(b.x) + behind(b.x)) - 1)^2 }\n"
        "train { freeze v;  optimizer sgd(lr = 0.1);  epochs 2;  batch 9 }\n");
    put("was.graph", "use \"vae\" as v\n"
                     "objective o(b : v.d[N]) {\n"
                     "    metric e = mean[..] v.enc(b.x)^2;  metric s = mean[..] v.slow(b.x)^2\n"
                     "}\n");
    put("is.graph", "use \"used\" as u\n"
                    "objective o(b : u.v.d[N]) {\n"
                    "    metric e = mean[..] u.v.enc(b.x)^2;  metric s = mean[..] u.v.slow(b.x)^2\n"
                    "    metric f = mean[..] (u.behind(b.x) - u.v.enc(b.x))^2\n"
                    "}\n");
    expect("train vae.graph --run vae -q", 0, "");
    expect("check use.graph", 0, "a run; no phase changes its weights");
    expect("train use.graph --run used -q", 0, "");
    Ran was = ran("eval was.graph"), is = ran("eval is.graph");
    CHECK_MSG(was.status == 0 && is.status == 0, "%.*s%.*s", FSTR(was.out), FSTR(is.out));
    CHECK(number_behind(was.out, "test.e ") == number_behind(is.out, "test.e "));
    CHECK(number_behind(was.out, "test.s ") == number_behind(is.out, "test.s "));
    CHECK(number_behind(is.out, "test.f ") == 0);
    expect("verify use.graph --steps 2", 0, "every bit is the same");
}

TEST(a_typed_path_starts_where_it_is_typed) {
    test_shell(STR("mkdir deep data"));
    put("deep/p.graph",
        "setting folder : path = \"nowhere\"\n"
        "data d { from csv(folder / \"t.csv\") as train;  x : f32 }\n"
        "model net(x : real[N]) -> (y : real[N]) { param w : real = 1;  y = w * x }\n"
        "objective o(b : d[N]) { loss l = mean[..] net(b.x)^2 }\n"
        "train { optimizer sgd(lr = 0.1);  epochs 1;  batch 2 }\n"
        "sweep other { folder = \"../data\" }\n");
    put("data/t.csv", "x\n1\n2\n3\n4\n");
    expect("train deep/p.graph --run none", 1, "deep/nowhere/t.csv");
    expect("train deep/p.graph -s folder=data --run typed -q", 0, "");
    expect("train deep/p.graph --point other --run point -q", 0, "");       /* as if it stood in the file */
    same_weights("typed/last.safetensors", "point/last.safetensors");
    test_shell(STR("mkdir far; mv typed far/moved"));
    expect("train far/moved/resolved.graph --run again -q", 0, "");
    same_weights("far/moved/last.safetensors", "again/last.safetensors");
}

TEST(pictures_of_a_used_run) {
    put("m.graph",
        "data d { from fresh(rows = 40);  x[i < 4, k < 4] = uniform();  split test 0.5, train rest seed 1 }\n"
        "model net(x : real[N, 16]) -> (y : real[N, 16]) { y = linear(x, 16) }\n"
        "objective o(b : d[N]) { x = b.x as [N, 16];  loss l = mean[..] (net(x) - x)^2 }\n"
        "export again(b : d[N]) -> (y : real[N, 4, 4]) { y = net(b.x as [N, 16]) as [N, 4, 4] }\n"
        "train { optimizer sgd(lr = 0.1);  epochs 1;  batch 4 }\n");
    put("p.graph", "use \"m\" as m\n"
                   "export again(b : m.d[N]) -> (y : real[N, 4, 4]) { y = m.net(b.x as [N, 16]) as [N, 4, 4] }\n");
    expect("train m.graph --run m -q", 0, "");
    expect("predict m.graph --run m --picture a.png", 0, "a.png");
    expect("predict p.graph --picture b.png", 0, "b.png");
    same_files("a.png", "b.png");
    expect("predict m.graph --picture c.png", 1, "which run? `net.linear1.w` is trained by none");
}

TEST(statistics_come_with_the_run) {
    put("s.graph",
        "data d { from fresh(rows = 90);  x[i < 3] = 5 + normal();  m[i] = mean[train] x[i];  z = x - m\n"
        "         split test 0.2, train rest seed 1 }\n"
        "model net(x : real[N, 3]) -> (y : real[N, 3]) { y = linear(x - d.m, 3) }\n"
        "objective o(b : d[N]) { loss l = mean[..] (net(b.x) - b.z)^2 }\n"
        "train { optimizer sgd(lr = 0.1);  epochs 2;  batch 9 }\n");
    put("u.graph", "use \"s\" as s\n"
                   "objective o(b : s.d[N]) {\n"
                   "    metric l = mean[..] (s.net(b.x) - b.z)^2;  metric m = mean[..] s.d.m\n"
                   "}\n");
    put("alone.graph", "use \"s\" as s\n"
                       "data e { from fresh(rows = 90) as test;  x[i < 3] = normal() }\n"
                       "objective o(b : e[N]) { metric l = mean[..] s.net(b.x) }\n");
    expect("train s.graph --run s -q", 0, "");
    Ran own = ran("eval s.graph --run s"), other = ran("eval u.graph");
    CHECK_MSG(own.status == 0 && other.status == 0, "%.*s%.*s", FSTR(own.out), FSTR(other.out));
    CHECK(number_behind(own.out, "test.l ") == number_behind(other.out, "test.l "));
    double m = number_behind(other.out, "test.m ");
    CHECK(m > 4 && m < 6);
    expect("eval alone.graph", 0, "test.l ");
    put("run.graph", "use \"s\" as s\n"
                     "data e { from fresh(rows = 90) as test;  x[i < 3] = normal() }\n"
                     "objective o(b : e[N]) { metric l = mean[..] b.x;  metric m = mean[..] s.d.m }\n");
    CHECK(number_behind(ran("eval run.graph").out, "test.m ") == m);          /* named, not called */
}
