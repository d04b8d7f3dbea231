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

/* What `path` is the beginning of: whole parts of the path of a weight. */
static bool below(Str var, const char *path) {
    size_t n = strlen(path);
    return var.n > n && memcmp(var.s, path, n) == 0 && (var.s[n] == '.' || var.s[n] == '[');
}

static Program *checked(const Table *c, int64_t latent, Diags **says) {
    Arena *a = test_arena();
    SourceSet *files = sources_create(a);
    Diags *ds = diags_create(a, files);
    Str path = str_format(a, "%.*s/graphs/%s.graph", FSTR(test_root()), c->file);
    SettingArg set = {str_of(c->setting), str_format(a, "%lld", (long long)latent), false};
    const Source *s = sources_add(files, path, test_read(path));
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    Program *p = program_check(a, files, s, 1, &set, math, NULL, ds);
    Buf out = buf_make(a);
    diags_render(ds, &out, false);
    CHECK_MSG(diags_count(ds) == 0, "%s: %s", c->file, out.s ? out.s : "");
    REQUIRE(diags_errors(ds) == 0);
    *says = ds;
    return p;
}

static int64_t weights_of(Program *p, const char *path) {
    const Module *m = program_module(p);
    int64_t n = 0;
    for (uint32_t i = 0; i < m->vars.n; i++) {
        const Var *v = &m->vars.at[i];
        if (v->kind == VAR_PARAM && (path == NULL || below(v->path, path)))
            n += shape_count(v->shape);
    }
    return n;
}

static void count(const Table *c) {
    for (int64_t latent = 2; latent <= 16; latent *= 2) {
        Diags *ds;
        Program *p = checked(c, latent, &ds);
        const Recipe *r = program_recipe(p);
        for (uint32_t i = 0; latent == 2 && i < r->objectives.n; i++)
            CHECK(lower_graph(p, LOWER_EVAL, r->objectives.at[i].name, 3, ds) != NULL);
        CHECK_INT(weights_of(p, NULL), c->at_2 + (latent - 2) * c->per_latent);
        for (const Layer *l = c->layers; latent == 2 && l->path != NULL; l++) {
            int64_t n = weights_of(p, l->path);
            CHECK_MSG(n == l->n, "%s: %s has %lld weights, expected %lld", c->file, l->path, (long long)n,
                      (long long)l->n);
        }
    }
}

TEST_ALL(weights_of_robots) {
    for (size_t i = 0; i < sizeof k_vox / sizeof *k_vox; i++)
        count(&k_vox[i]);
}
