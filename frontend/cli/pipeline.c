/* The list of passes and its runner.  A pass is a function from graph to graph; dumping, timing, verifying
 * and stopping are done here, so that a pass is nothing but its rewrite. */
#include "pipeline.h"
#include "clock.h"
#include "grad.h"
#include "opt.h"
#include "winograd.h"
#include <string.h>

static Graph *indices_pass(Arena *a, const Graph *g, Diags *ds) { (void)ds; return opt_check_indices(a, g); }
static Graph *grad_expand_pass(Arena *a, const Graph *g, Diags *ds) {
    Graph *primitive = grad_expand(a, g, ds);
    return primitive && winograd_wanted(primitive) ? winograd_expand(a, primitive) : primitive;
}
static Graph *precision_pass(Arena *a, const Graph *g, Diags *ds) { (void)ds; return opt_precision(a, g); }
static Graph *simplify_pass(Arena *a, const Graph *g, Diags *ds) { (void)ds; return opt_simplify(a, g); }
static Graph *split_pass(Arena *a, const Graph *g, Diags *ds) { (void)ds; return opt_split_reductions(a, g); }

static Graph *masks_pass(Arena *a, const Graph *g, Diags *ds) { (void)ds; return opt_masks(a, g); }
static Graph *channels_pass(Arena *a, const Graph *g, Diags *ds) { (void)ds; return opt_channels(a, g); }
static Graph *prune_pass(Arena *a, const Graph *g, Diags *ds) { (void)ds; return opt_prune_scans(a, g); }

typedef enum { REWRITE, NEEDED } PassNeed;
static const struct {
    const char *name;
    PassNeed need;
    Graph *(*run)(Arena *, const Graph *, Diags *);
    const char *brief;
} passes[] = {
#define PASS(name, need, run, brief) {name, need, run, brief},
#include "passes.def"
#undef PASS
};
enum { PASS_COUNT = sizeof passes / sizeof passes[0] };

uint32_t    pass_count(void) { return PASS_COUNT; }
const char *pass_name(uint32_t i) { return passes[i].name; }
const char *pass_brief(uint32_t i) { return passes[i].brief; }

bool pass_known(const char *name) {
    for (uint32_t i = 0; i < PASS_COUNT; i++)
        if (strcmp(passes[i].name, name) == 0) return true;
    return false;
}

static bool wants(const char *list, const char *name) {
    return list && (strcmp(list, name) == 0 || strcmp(list, "all") == 0);
}

static void verify_after(const Graph *g, const SourceSet *sources, const char *pass) {
    Arena *scratch = arena_create();
    Diags *ds = diags_create(scratch, sources);
    if (!graph_verify(g, ds)) {
        Buf text = buf_make(scratch);
        diags_render(ds, &text, false);
        GR_BUG("the graph is invalid after %s\n%.*s", pass, FSTR(buf_str(&text)));
    }
    arena_destroy(scratch);
}

Graph *pipeline_run(Arena *a, const Graph *g, const PassOptions *o, const SourceSet *sources, Diags *ds) {
    const Graph *now = g;
    bool stopped = false;
    for (uint32_t i = 0; i < PASS_COUNT; i++) {
        if (stopped && !(o->runnable && passes[i].need == NEEDED)) continue;
        double start = clock_seconds();
        Graph *next = passes[i].run(a, now, ds);
        if (o->seconds) o->seconds[i] += clock_seconds() - start;
        if (!next) return NULL;
        verify_after(next, sources, passes[i].name);
        now = next;
        if (wants(o->dump_after, passes[i].name)) {
            buf_printf(o->dump, "# after %s\n", passes[i].name);
            graph_print(now, o->dump);
        }
        stopped = stopped || (o->stop_after && strcmp(o->stop_after, passes[i].name) == 0);
    }
    return (Graph *)now;
}
