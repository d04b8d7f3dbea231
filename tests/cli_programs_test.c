/* The programs of tests/programs as a user runs them: each is in its layout, checked, trained on the few rows of
 * tests/programs/files, and verified, made small by `-s`.  The table of the README says the same as the table here. */
#include "test.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    const char *what;                /* for the README */
    const char *parameters;          /* all of them, as written */
    const char *folder;              /* of tests/programs/files, given as `folder`; "" when it has none */
    const char *before;              /* a line of the shell that makes the run or library it uses, or NULL */
    const char *small;               /* settings of a small training */
    const char *tiny;                /* of a comparison of all modes, where they are others */
} Case;

#define TINY_ARM "-s widths='[4, 4, 4, 4, 4]' -s back='[4, 4, 4, 4, 2]' -s top=4 -s latent=2"
#define TINY_SPLAT "-s latent=4 -s dense=16 -s enc='[4, 4, 8, 8, 16]' -s dec='[8, 8, 4, 4, 4]'"
#define TINY_DOTS "-s E=8 -s width=1 -s rows=8 -s world.epochs=20 -s probe.epochs=1"
#define TINY_RSSM "-s base.E=8 -s base.width=1 -s base.rows=8"

static const Case k_cases[] = {
    {.name = "00-library",
     .what = "layers, a metric, a schedule and an optimizer of one's own",
     .parameters = "171",
     .small = "-s epochs=1"},
    {.name = "01-vox-conv",
     .what = "convolutional VAE of voxel robots, weights by rarity, an export, a sweep",
     .parameters = "2,001,158",
     .folder = "voxels",
     .small = "-s epochs=1 -s batch=4",
     .tiny = "-s batch=2 --steps=1"},
    {.name = "02-vox-points",
     .what = "robots as sets of points, soft matching",
     .parameters = "3,277,731",
     .folder = "voxels",
     .small = "-s epochs=1 -s batch=4 -s wide=32"},
    {.name = "03-splat-resnet",
     .what = "residual VAE of splats, statistics of a split, a schedule with memory",
     .parameters = "12,202,040",
     .folder = "splats",
     .small = "-s epochs=1 -s batch=4 " TINY_SPLAT,
     .tiny = "-s batch=2 --steps=1 " TINY_SPLAT},
    {.name = "04-dots-contrast",
     .what = "moving dots: SimCLR on recurrent predictions, a probe inside, points of a table",
     .parameters = "1,178,368",
     .small = TINY_DOTS " -s world.batch=4 -s probe.batch=4",
     .tiny = TINY_DOTS " -s world.batch=2 -s probe.batch=2"},
    {.name = "04-dots-rssm",
     .what = "the dots of that file: a recurrent state-space model",
     .parameters = "5,004,064",
     .small = TINY_RSSM " -s epochs=1 -s batch=4",
     .tiny = TINY_RSSM " -s batch=2 --steps=1"},
    {.name = "05-arm-vae",
     .what = "VAE of two cameras, episodes of an HDF5 file",
     .parameters = "5,569,666",
     .folder = "jaco",
     .small = TINY_ARM " -s epochs=1 -s batch=16",
     .tiny = TINY_ARM " --batch=2 --steps=1"},
    {.name = "05-arm",
     .what = "imitation behind the frozen encoder of a run of that, products of f16",
     .folder = "jaco",
     .before = "graphc train 05-arm-vae.graph -q " TINY_ARM " -s epochs=1 -s batch=16 -s folder=files/jaco "
               "--run runs/vae",
     .small = "-s epochs=1 -s batch=16",
     .tiny = "--batch=2 --steps=1"},
    {.name = "06-occ",
     .what = "occupancy of a scene to come, alarms beside metrics",
     .parameters = "4,799,238",
     .small = "-s X=8 -s Y=8 -s Z=8 -s width=4 -s rows=6 -s epochs=1"},
    {.name = "07-gpt",
     .what = "transformer of bytes, one embedding for both ends, shards, products of bf16",
     .parameters = "4,837,376",
     .folder = "books",
     .small = "-s T=8 -s D=8 -s heads=2 -s depth=1 -s steps=2 -s batch=8"},
    {.name = "08-gan-penalty",
     .what = "WGAN whose penalty is a gradient in a loss",
     .parameters = "678,530",
     .folder = "fashion",
     .small = "-s epochs=1 -s batch=8",
     .tiny = "-s batch=2 --steps=1"},
    {.name = "09-byol",
     .what = "a model that follows another, a probe behind it",
     .parameters = "522,090",
     .folder = "fashion",
     .small = "-s self.epochs=1 -s look.epochs=1 -s self.batch=8 -s look.batch=8",
     .tiny = "-s self.batch=2 -s look.batch=2 --steps=1"},
    {.name = "09-classify",
     .what = "augmented images, smoothed labels",
     .parameters = "20,586",
     .folder = "fashion",
     .small = "-s epochs=1 -s batch=8",
     .tiny = "-s batch=2 --steps=1"},
    {.name = "09-names",
     .what = "ragged rows",
     .parameters = "57,984",
     .folder = "names",
     .small = "-s epochs=1 -s batch=8 -s width=8"},
    {.name = "09-extern",
     .what = "an operation in C",
     .parameters = "20",
     .before = GRAPHC_CC " -O2 -shared -fPIC -o libwobble.so files/wobble.c -lm",
     .small = "-s epochs=1 -s batch=8"},
    {.name = "09-semi",
     .what = "two data sets",
     .parameters = "20,586",
     .folder = "fashion",
     .small = "-s epochs=1 -s batch=8",
     .tiny = "-s batch=2 --steps=1"},
    {.name = "09-shift",
     .what = "no `train`: the net of an earlier run on other pictures",
     .folder = "photos",
     .before = "graphc train 09-classify.graph -q -s folder=files/fashion -s epochs=1 -s batch=8 "
               "--run runs/fashion-007"},
    {.name = "09-folds",
     .what = "folds, and a sweep over them",
     .parameters = "129",
     .folder = "houses",
     .small = "-s epochs=1 -s fold=2"},
};
enum { N_CASES = sizeof k_cases / sizeof *k_cases };

static const char *line(const char *format, const Case *c, const char *more) {
    Arena *a = test_arena();
    const char *folder = c->folder ? str_format(a, "-s folder=files/%s", c->folder).s : "";
    return str_format(a, "graphc %s %s.graph %s %s", format, c->name, folder, more).s;
}

/* The programs beside each other in the test's folder; what they read stays where it is. */
static void bring_programs(void) {
    Str from = str_format(test_arena(), "%.*s/tests/programs", FSTR(test_root()));
    Str copy = str_format(test_arena(), "cp %.*s/*.graph %.*s/*.csv . && ln -s %.*s/files files", FSTR(from),
                          FSTR(from), FSTR(from));
    test_expect(copy.s, 0, "");
}

static void is_evaluated(const Case *c) {
    test_expect(line("check", c, ""), 0, "modules");
    test_expect(line("eval", c, ""), 0, "test.accuracy");
}

static void is_trained(const Case *c) {
    test_expect(line("check", c, ""), 0, "losses of");
    test_expect(line("summary", c, ""), 0, c->parameters ? c->parameters : "total");
    test_expect(line("train -q --run run", c, c->small), 0, "");
    test_expect("grep -c '\"event\":\"epoch\"' run/metrics.jsonl", 0, "");
    test_expect(line("train -q --run run --resume", c, c->small), 0, "");
    test_expect(line("verify", c, c->tiny ? c->tiny : c->small), 0, "fused      on 3  every bit is the same");
}

static void runs(const char *name) {
    const Case *c = k_cases;
    while (strcmp(c->name, name) != 0)
        c++;
    bring_programs();
    if (c->before)
        test_expect(c->before, 0, "");
    if (c->small)
        is_trained(c);
    else
        is_evaluated(c);
}

TEST_ALL(program_library) { runs("00-library"); }
TEST_ALL(program_vox_conv) { runs("01-vox-conv"); }
TEST_ALL(program_vox_points) { runs("02-vox-points"); }
TEST_ALL(program_splat_resnet) { runs("03-splat-resnet"); }
TEST_ALL(program_dots_contrast) { runs("04-dots-contrast"); }
TEST_ALL(program_dots_rssm) { runs("04-dots-rssm"); }
TEST_ALL(program_arm_vae) { runs("05-arm-vae"); }
TEST_ALL(program_arm) { runs("05-arm"); }
TEST_ALL(program_occ) { runs("06-occ"); }
TEST_ALL(program_gpt) { runs("07-gpt"); }
TEST_ALL(program_gan_penalty) { runs("08-gan-penalty"); }
TEST_ALL(program_byol) { runs("09-byol"); }
TEST_ALL(program_classify) { runs("09-classify"); }
TEST_ALL(program_names) { runs("09-names"); }
TEST_ALL(program_extern) { runs("09-extern"); }
TEST_ALL(program_semi) { runs("09-semi"); }
TEST_ALL(program_shift) { runs("09-shift"); }
TEST_ALL(program_folds) { runs("09-folds"); }

/* Programs that use no run, without their data: what `check` says does not depend on files being there. */
TEST(programs_are_checked) {
    bring_programs();
    for (uint32_t i = 0; i < N_CASES; i++) {
        const Case *c = &k_cases[i];
        if (c->before)
            continue;
        test_expect(str_format(test_arena(), "graphc check %s.graph", c->name).s, 0, "losses of");
    }
}

/* Every program stands in the table of the README, in this form, and in the table above. */
TEST(programs_are_told_of) {
    Arena *a = test_arena();
    Str readme = test_read(str_format(a, "%.*s/tests/programs/README.md", FSTR(test_root())));
    bring_programs();
    Ran r = test_shell(STR("ls *.graph | wc -l"));
    CHECK_INT(atoi(r.out.s), N_CASES);
    for (uint32_t i = 0; i < N_CASES; i++) {
        const Case *c = &k_cases[i];
        const char *state = c->small ? "trains, same bits in every mode" : "evaluates";
        Str row = str_format(a, "| `%s` | %s | %s | %s |\n", c->name, c->what, c->parameters ? c->parameters : "",
                             state);
        CHECK_MSG(strstr(readme.s, row.s) != NULL, "tests/programs/README.md has no row\n%.*s", FSTR(row));
    }
}
