/* Parameters of the programs in graphs/: in all for several numbers of latent dims, and layer by layer, against the
 * tables of the studies. */
#include "lang.h"
#include "test.h"
#include <string.h>

typedef struct {
    const char *path;          /* of a weight, or what paths of several begin with */
    int64_t n;
} Layer;
typedef struct {
    const char *file, *setting;
    int64_t at_2, per_latent;  /* weights at two latent dims, and for each further one */
    Layer layers[24];
} Table;

static const Table k_vox[] = {
    {"vox/fc", "latent", 1629495, 770,
     {{"encoder.linear1", 681984}, {"encoder.linear2", 131328}, {"encoder.linear3", 514}, {"encoder.linear4", 514},
      {"decoder.mlp1.linear1[0]", 768}, {"decoder.mlp1.linear1[1]", 131584}, {"decoder.mlp1.linear1[2]", 682803}}},
    {"vox/conv", "latent", 1825285, 20738,
     {{"encoder.conv1", 3584}, {"encoder.conv2", 884992}, {"encoder.linear1", 13826}, {"encoder.linear2", 13826},
      {"decoder.linear1", 20736}, {"decoder.tconv1", 884864}, {"decoder.tconv2", 3457}}},
    {"vox/conv_pool", "latent", 1825285, 20738,
     {{"encoder.conv1", 3584}, {"encoder.conv2", 884992}, {"decoder.tconv1", 884864}, {"decoder.tconv2", 3457}}},
    {"vox/conv_skip", "latent", 2001158, 20738, {{"encoder.conv3", 88064}, {"decoder.tconv3", 87809}}},
    {"vox/deep", "latent", 6142469, 165890,
     {{"encoder.conv1", 1792}, {"encoder.conv2", 221312}, {"encoder.conv3", 884992}, {"encoder.conv4", 1769728},
      {"encoder.linear1", 110594}, {"decoder.linear1", 165888}, {"decoder.conv1", 1769728},
      {"decoder.conv2", 884864}, {"decoder.tconv1", 221248}, {"decoder.conv3", 1729}}},
    {"vox/batch_norm", "latent", 6255365, 165890,
     {{"encoder.act1", 128}, {"encoder.act2", 256}, {"encoder.act3", 512}, {"encoder.act4", 512},
      {"decoder.act1", 110592}, {"decoder.act2", 512}, {"decoder.act3", 256}, {"decoder.act4", 128}}},
    {"vox/sparse", "latent", 3188876, 1794,
     {{"encoder.mlp1", 17152}, {"encoder.mlp2", 140992}, {"encoder.mlp3", 1180416}, {"decoder.linear1", 768},
      {"decoder.mlp1", 656896}, {"decoder.mlp2", 1191624}}},
    {"vox/pointnet_v1", "latent", 5302407, 770,
     {{"encoder.turned1", 9737}, {"encoder.tower1", 143104}, {"encoder.tower2", 9088}, {"encoder.mlp1", 2885376},
      {"decoder.rise1", 1841155 + 12}, {"decoder.rise2", 412037 + 30}, {"decoder.linear2", 72}}},
    {"vox/pointnet_v2", "latent", 3272327, 386,
     {{"encoder.turned1", 9737}, {"encoder.tower1", 143104}, {"encoder.tower2", 143232}, {"encoder.mlp1", 689024},
      {"decoder.mlp1", 33408}, {"decoder.rise1", 1841155 + 12}, {"decoder.rise2", 412037 + 30},
      {"decoder.linear1", 72}}},
    {"vox/attention", "v2.latent", 9568903, 386, {{"encoder.across1", 4198400}, {"encoder.mlp1", 2787200}}},
};

/* Trained numbers, and those that batch norm keeps beside them. */
typedef struct {
    const char *file;
    int64_t trained, kept;
    SettingArg settings[4];
    Layer layers[16];
} Whole;

#define SET(name, value) {STR(name), STR(value), false}
static const Whole k_splat[] = {
    {"splat/conv", 1588600, 1595416, {{{0}, {0}, false}},
     {{"encoder.layer1", 1440 - 64}, {"encoder.layer2", 10560 - 128}, {"encoder.layer3", 41600 - 256},
      {"encoder.linear1", 66048}, {"encoder.linear2", 131328}, {"encoder.linear3", 131328},
      {"decoder.linear1", 131584}, {"decoder.linear2", 1050624}, {"decoder.layer1", 5184 + 128},
      {"decoder.layer2", 10272 + 64}, {"decoder.layer3", 2576 + 32}, {"decoder.conv1", 136}}},
    {"splat/conv", 1982328, 1989144, {SET("latent", "512")}, {{"encoder.linear2", 262656}}},
    {"splat/resnet", 12202040, 12241784, {{{0}, {0}, false}},
     {{"encoder.block1[0]", 7008 - 128}, {"encoder.block1[1]", 33472 - 256}, {"encoder.block1[2]", 132480 - 512},
      {"encoder.block1[3]", 527104 - 1024}, {"encoder.block1[4]", 657920 - 1024}, {"encoder.linear1", 131584},
      {"encoder.linear2", 262656}, {"decoder.linear1", 262656}, {"decoder.linear2", 8404992},
      {"decoder.block1[0]", 1116928 - 1024}, {"decoder.block1[1]", 279936 - 512}, {"decoder.block1[2]", 70336 - 256},
      {"decoder.block1[3]", 17760 - 128}, {"decoder.block1[4]", 4528 - 64}, {"decoder.conv1", 136}}},
    {"splat/resnet", 0, 4822264, {SET("dec", "[128, 128, 64, 32, 16]"), SET("seed_channels", "128")}, {{0}}},
    {"splat/resnet", 12246304 + 41911848, 54207048,
     {SET("latent", "2048"), SET("wide", "2048"), SET("enc", "[32, 64, 128, 256, 512]"),
      SET("dec", "[512, 256, 128, 64, 32]")}, {{0}}},
};

static const Whole k_motion[] = {
    {"dots/vicreg", 1179394 + 2 * 1024, 0, {{{0}, {0}, false}},
     {{"world.see.menet51", 384768}, {"world.see.menet51.conv1", 832}, {"world.see.menet51.batchnorm1", 64},
      {"world.see.menet51.conv2", 51264}, {"world.see.menet51.batchnorm2", 128}, {"world.see.menet51.conv3", 36928},
      {"world.see.menet51.batchnorm3", 128}, {"world.see.menet51.linear1", 295424}, {"world.foresee", 792576},
      {"world.act_of", 2050}, {"world.where_is", 1024}}},
    {"dots/rssm", 5004064, 0, {{{0}, {0}, false}},
     {{"world.see", 384768}, {"dream.linear1", 263680}, {"dream.gru_cell1", 1575936}, {"prior", 2 * 262656},
      {"posterior", 1574912}, {"picture", 679456}}},
    {"arm/baseline", 6574958, 0, {{{0}, {0}, false}},
     {{"see.filter1[0]", 152}, {"see.filter1[1]", 1168}, {"see.filter1[2]", 4640}, {"see.dense1", 6422784},
      {"see.dense2", 32896}, {"feel.dense1", 4096}, {"feel.dense2", 65792}, {"feel.dense3", 32896},
      {"act_.dense1", 8256}, {"act_.dense2", 2080}, {"act_.dense3", 198}}},
    {"occ/occ", 4808454 - 9216, 0, {{{0}, {0}, false}},
     {{"foretell.simple1.conv1", 6976}, {"foretell.simple1.conv2[0]", 221312}, {"foretell.simple1.conv2[1]", 884992},
      {"foretell.simple1.lstm1", 1052672}, {"foretell.simple1.tconv1[0]", 2097280},
      {"foretell.simple1.tconv1[1]", 524352}, {"foretell.simple1.conv3", 10374}, {"foretell.simple1.batchnorm1", 128},
      {"foretell.simple1.batchnorm2[0]", 256}, {"foretell.simple1.batchnorm2[1]", 512},
      {"foretell.simple1.batchnorm3[0]", 256}, {"foretell.simple1.batchnorm3[1]", 128}}},
};

/* What `path` is the beginning of: whole parts of the path of a weight. */
static bool below(Str var, const char *path) {
    size_t n = strlen(path);
    return var.n > n && memcmp(var.s, path, n) == 0 && (var.s[n] == '.' || var.s[n] == '[');
}

static Program *checked(const char *file, uint32_t n, const SettingArg *settings, Diags **says) {
    Arena *a = test_arena();
    SourceSet *files = sources_create(a);
    Diags *ds = diags_create(a, files);
    Str path = str_format(a, "%.*s/graphs/%s.graph", FSTR(test_root()), file);
    const Source *s = sources_add(files, path, test_read(path));
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    Program *p = program_check(a, files, s, n, settings, math, NULL, ds);
    Buf out = buf_make(a);
    diags_render(ds, &out, false);
    CHECK_MSG(diags_count(ds) == 0, "%s: %s", file, out.s ? out.s : "");
    REQUIRE(diags_errors(ds) == 0);
    *says = ds;
    return p;
}

/* Numbers of the weights below a path, of all when there is none; with the states of models. */
static int64_t numbers_of(Program *p, const char *path, bool states) {
    const Module *m = program_module(p);
    int64_t n = 0;
    for (uint32_t i = 0; i < m->vars.n; i++) {
        const Var *v = &m->vars.at[i];
        if ((v->kind == VAR_PARAM || (states && v->kind == VAR_STATE)) && (path == NULL || below(v->path, path)))
            n += shape_count(v->shape);
    }
    return n;
}

static void check_layers(Program *p, const char *file, const Layer *l) {
    for (; l->path != NULL; l++) {
        int64_t n = numbers_of(p, l->path, false);
        CHECK_MSG(n == l->n, "%s: %s has %lld weights, expected %lld", file, l->path, (long long)n, (long long)l->n);
    }
}

static void lowers(Program *p, Diags *ds) {
    const Recipe *r = program_recipe(p);
    for (uint32_t i = 0; i < r->objectives.n; i++)
        CHECK(lower_graph(p, LOWER_EVAL, r->objectives.at[i].name, 3, ds) != NULL);
}

static void count(const Table *c) {
    for (int64_t latent = 2; latent <= 16; latent *= 2) {
        Diags *ds;
        SettingArg set = {str_of(c->setting), str_format(test_arena(), "%lld", (long long)latent), false};
        Program *p = checked(c->file, 1, &set, &ds);
        CHECK_INT(numbers_of(p, NULL, false), c->at_2 + (latent - 2) * c->per_latent);
        if (latent > 2)
            continue;
        check_layers(p, c->file, c->layers);
        lowers(p, ds);
    }
}

TEST_ALL(weights_of_robots) {
    for (size_t i = 0; i < sizeof k_vox / sizeof *k_vox; i++)
        count(&k_vox[i]);
}

TEST_ALL(weights_of_splats) {
    for (size_t i = 0; i < sizeof k_splat / sizeof *k_splat; i++) {
        const Whole *w = &k_splat[i];
        uint32_t n = 0;
        Diags *ds;
        while (n < 4 && w->settings[n].name.n > 0)
            n++;
        Program *p = checked(w->file, n, w->settings, &ds);
        if (w->trained > 0)
            CHECK_INT(numbers_of(p, NULL, false), w->trained);
        CHECK_INT(numbers_of(p, "encoder", true) + numbers_of(p, "decoder", true), w->kept);
        check_layers(p, w->file, w->layers);
        lowers(p, ds);
    }
}

TEST_ALL(weights_of_motion) {
    for (size_t i = 0; i < sizeof k_motion / sizeof *k_motion; i++) {
        Diags *ds;
        Program *p = checked(k_motion[i].file, 0, NULL, &ds);
        CHECK_INT(numbers_of(p, NULL, false), k_motion[i].trained);
        check_layers(p, k_motion[i].file, k_motion[i].layers);
    }
}

/* Each loss of the history, and the programs on files that are not there. */
TEST_ALL(programs_of_the_studies_are_checked) {
    static const char *const files[] = {"vox/clean", "vox/tables", "vox/losses/matching", "vox/losses/evenness",
                                        "vox/losses/padding", "vox/losses/counted", "splat/weighted", "splat/files"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        Diags *ds;
        Program *p = checked(files[i], 0, NULL, &ds);
        lowers(p, ds);
    }
}
