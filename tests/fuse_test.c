/* Fusion: on random graphs the plans (unfused, fused, fused with the tiles of other machines, unfused with
 * library products) run by the kernel interpreter give the bits of the graph interpreter; kernels and plans
 * pass their verifiers. */
#include "fuse.h"
#include "opt.h"
#include "random_graph.h"
#include "remat.h"
#include "test.h"
#include <string.h>

typedef struct {
    RandomGraph r;
    const Graph *g;
    Tensor *outputs, *vars;
    uint32_t health;
} Expected;

/* What the random graphs of a test held: those with values to compute again, tiles that multiply pairs of bf16. */
typedef struct { uint32_t again, pairs; } Seen;

static Tensor *copies(Arena *a, const Tensor *t, uint32_t n) {
    Tensor *r = PUSH(a, Tensor, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        r[i] = tensor_copy(a, &t[i]);
    }
    return r;
}

static bool interpret(Arena *a, Expected *x) {
    const Module *m = x->r.module;
    x->g = m->graphs.at[0];
    x->vars = copies(a, x->r.vars, m->vars.n);
    x->outputs = PUSH(a, Tensor, x->g->outputs.n + 1);
    EvalRun run = {
        .graph = x->g, .vars = x->vars, .columns = x->r.columns, .uniforms = x->r.uniforms, .threads = 1};
    Error e = {0};
    GrStatus s = graph_eval(a, &run, x->outputs, &e);
    CHECK_MSG(s == GR_OK, "graph_eval: %s", e.what);
    x->health = run.health;
    return s == GR_OK;
}

static void *buffer_at(char *memory, const Planned *p, uint32_t buffer) {
    return memory + p->plan->buffers.at[buffer].offset;
}

static bool check_tensor(const char *what, Str name, const Tensor *want, void *got) {
    Tensor t = {want->dtype, want->shape, got};
    int64_t at;
    if (tensor_same(want, &t, &at))
        return true;
    double x = want->dtype == DT_F32 ? ((float *)want->data)[at] : 0,
           y = want->dtype == DT_F32 ? ((float *)got)[at] : 0;
    test_failed(__FILE__, __LINE__, "%s: %.*s[%lld] is %.9g, expected %.9g", what, FSTR(name), (long long)at,
                y, x);
    return false;
}

static void dump(Arena *a, const Expected *x, const Planned *p) {
    Buf b = buf_make(a);
    module_print(x->r.module, &b);
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        kernel_print(p->kernels.at[i], NULL, &b);
    }
    plan_print(p->plan, NULL, &b);
    test_failed(__FILE__, __LINE__, "%.*s", (int)b.n, b.s);
}

static uint32_t count_pairs(const Planned *p) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        const Kernel *k = p->kernels.at[i];
        for (uint32_t s = 0; s < k->stages.n; s++) {
            n += k->stages.at[s].kind == STAGE_TILE && ktile_pairs(k, &k->stages.at[s].tile);
        }
    }
    return n;
}

static bool run_variant(Arena *a, const Expected *x, const Module *m, const FuseOptions *o, const char *what,
                        const Math *math, Seen *seen) {
    Planned p = {0};
    Error e = {0};
    if (fuse_module(a, m, o, &p, &e) != GR_OK) {
        if (e.status != GR_UNSUPPORTED)
            test_failed(__FILE__, __LINE__, "%s: %s", what, e.what);
        return e.status == GR_UNSUPPORTED;
    }
    bool good = true;
    seen->pairs += count_pairs(&p);
    for (uint32_t i = 0; i < p.kernels.n && good; i++) {
        good = kernel_verify(p.kernels.at[i], &e);
        CHECK_MSG(good, "%s: %s", what, e.what);
    }
    if (good && !plan_verify(p.plan, &e)) {
        good = false;
        test_failed(__FILE__, __LINE__, "%s: %s", what, e.what);
    }
    if (!good) {
        dump(a, x, &p);
        return false;
    }
    char *memory = arena_push(a, p.plan->arena_bytes, 64);
    memset(memory, 0x7b, p.plan->arena_bytes);
    for (uint32_t i = 0; i < m->vars.n; i++) {
        memcpy(buffer_at(memory, &p, p.plan->vars.at[i].buffer), x->r.vars[i].data,
               (size_t)shape_count(x->r.vars[i].shape) * 4);
    }
    const PlanEntry *entry = &p.plan->entries.at[0];
    for (uint32_t i = 0; i < entry->n_columns; i++) {
        memcpy(buffer_at(memory, &p, p.plan->bindings.at[entry->first_column + i].buffer),
               x->r.columns[i].data, (size_t)shape_count(x->r.columns[i].shape) * 4);
    }
    uint32_t health = plan_eval(a, &p, entry, math, memory, x->r.uniforms);
    good = health == x->health;
    CHECK_MSG(good, "%s: health is %u, expected %u", what, health, x->health);
    for (uint32_t i = 0; i < entry->n_outputs && good; i++) {
        const PlanBinding *b = &p.plan->bindings.at[entry->first_output + i];
        good = check_tensor(what, b->name, &x->outputs[i], buffer_at(memory, &p, b->buffer));
    }
    for (uint32_t i = 0; i < m->vars.n && good; i++) {
        good = check_tensor(what, m->vars.at[i].path, &x->vars[i],
                            buffer_at(memory, &p, p.plan->vars.at[i].buffer));
    }
    if (!good)
        dump(a, x, &p);
    return good;
}

static uint32_t count_copies(const Graph *g) {
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        n += g->nodes.at[i].op == OP_after;
    }
    return n;
}

/* Values computed again, some of them chosen by chance and those that a limit asks for, change no bit. */
static bool run_again(Arena *a, const Expected *x, uint64_t seed, const FuseOptions *o, const Math *math,
                      uint32_t *copies, Seen *seen) {
    Planned p = {0};
    Error e = {0};
    Module m = *x->r.module;
    Graph *graphs[] = {m.graphs.at[0]};
    m.graphs.at = graphs;
    if (fuse_module(a, &m, o, &p, &e) != GR_OK)
        return e.status == GR_UNSUPPORTED;
    Timeline t = remat_timeline(a, x->g, &p);
    bool *drop = PUSH(a, bool, x->g->nodes.n), any = false;
    uint32_t half = x->g->nodes.n / 2;
    for (uint32_t i = 1; i < x->g->nodes.n; i++) {
        t.forward[i] = i < half; /* most of such a graph is made for its outputs: any cut is as good */
        t.backward[i] = !t.forward[i];
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        drop[i] = remat_possible(&t, (Val){i}) && seed >> 62 != 0;
        any |= drop[i];
    }
    if (any) {
        graphs[0] = remat_graph(a, &t, drop).graph;
        *copies += count_copies(graphs[0]);
        if (!run_variant(a, x, &m, o, "some computed again", math, seen))
            return false;
        graphs[0] = (Graph *)x->g;
    }
    Fit fit;
    if (fuse_fit(a, &m, o, p.plan->arena_bytes * 3 / 4, &fit, &e) != GR_OK)
        return e.status == GR_UNSUPPORTED;
    CHECK(fit.reached <= fit.before);
    return fit.graphs.n == 0 || run_variant(a, x, &m, o, "fitted", math, seen);
}

static bool rounds_products(const Graph *g) {
    bool rounds = false;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        rounds |= g->nodes.at[i].op == OP_contract && g->nodes.at[i].attr.contract->rounded != DT_F32;
    }
    return rounds;
}

static bool same_everywhere(uint64_t seed, uint32_t size, uint32_t flags, Seen *seen) {
    uint32_t copies = 0;
    Arena *a = arena_create();
    const Math *math;
    Error e = {0};
    bool good = math_create(a, &math, &e) == GR_OK;
    Expected x = {.r = random_graph(a, seed, size, flags, math)};
    good = good && interpret(a, &x);
    bool rounds = rounds_products(x.g);
    if (rounds)
        x.g = x.r.module->graphs.at[0] = opt_precision(a, x.g);
    static const struct {
        const char *name;
        FuseOptions o;
    } variants[] = {{"unfused", {false, false, 2, "avx512", false}},
                    {"fused", {true, false, 2, "avx512", false}},
                    {"fused for avx2", {true, false, 1, "avx2", false}},
                    {"fused, products in pairs", {true, false, 2, "avx512-bf16", false}},
                    {"blas", {false, true, 2, "avx512", false}}};
    for (uint32_t i = 0; i < sizeof variants / sizeof *variants && good; i++) {
        good = run_variant(a, &x, x.r.module, &variants[i].o, variants[i].name, math, seen) &&
               (rounds || run_again(a, &x, seed, &variants[i].o, math, &copies, seen));
        CHECK_MSG(good, "seed %llu size %u flags %u", (unsigned long long)seed, size, flags);
    }
    arena_destroy(a);
    seen->again += copies > 0;
    return good;
}

/* ---- tests/fuse: kernels and steps of small graphs ---- */
static Str fuse_text(Arena *a, const TextTest *t) {
    SourceSet *sources = sources_create(a);
    const Source *src = sources_add(sources, t->path, t->input);
    Diags *ds = diags_create(a, sources);
    const Math *math;
    Error e = {0};
    Buf out = buf_make(a);
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    Module *m = module_parse(a, src, sources, math, ds);
    if (m == NULL) {
        diags_render(ds, &out, false);
        return buf_str(&out);
    }
    FuseOptions o = {!text_flag(t, "unfused"), false, 2, text_flag(t, "pairs") ? "avx512-bf16" : "avx512", false};
    Planned p = {0};
    if (fuse_module(a, m, &o, &p, &e) != GR_OK) {
        buf_printf(&out, "%s\n", e.what);
        return buf_str(&out);
    }
    CHECK_MSG(plan_verify(p.plan, &e), "%s", e.what);
    for (uint32_t i = 0; i < p.kernels.n; i++) {
        CHECK_MSG(kernel_verify(p.kernels.at[i], &e), "%s", e.what);
        kernel_print(p.kernels.at[i], NULL, &out);
    }
    fuse_explain(&p, m, NULL, &out);
    return buf_str(&out);
}
TEXT_KIND("fuse", "ir", fuse_text)

TEST(random_graphs_easy) {
    Seen seen = {0};
    for (uint64_t seed = 1; seed <= 150; seed++) {
        if (!same_everywhere(seed, 3 + seed % 12, RANDOM_EASY, &seen))
            return;
    }
    CHECK_MSG(seen.again > 30, "only %u graphs had values to compute again", seen.again);
    CHECK_MSG(seen.pairs > 5, "only %u tiles multiplied pairs", seen.pairs);
}

TEST(random_graphs) {
    Seen seen = {0};
    for (uint64_t seed = 1000; seed < 1150; seed++) {
        if (!same_everywhere(seed, 4 + seed % 20, 0, &seen))
            return;
    }
    CHECK_MSG(seen.again > 30, "only %u graphs had values to compute again", seen.again);
    CHECK_MSG(seen.pairs > 5, "only %u tiles multiplied pairs", seen.pairs);
}

/* Values computed again waited for one that was made of them. */
TEST(a_random_graph_that_waited_for_itself) {
    Seen seen = {0};
    CHECK(same_everywhere(5976, 10, 0, &seen));
}

TEST_LONG(many_random_graphs) {
    Seen seen = {0};
    for (uint64_t seed = 5000; seed < 9000; seed++) {
        if (!same_everywhere(seed, 4 + seed % 30, 0, &seen))
            return;
    }
    CHECK_MSG(seen.again > 800, "only %u graphs had values to compute again", seen.again);
    CHECK_MSG(seen.pairs > 150, "only %u tiles multiplied pairs", seen.pairs);
}
