/* docs/semantics.md, clause 9: an index that is outside faults in every mode or in none, whatever is read of what it
 * picks; and the pass that makes checks misses none, nor makes one that is wrong. */
#include "graph_case.h"
#include "opt.h"
#include "test.h"
#include <string.h>

static const Math *functions(void) {
    const Math *m;
    Error e = {0};
    REQUIRE(math_create(test_arena(), &m, &e) == GR_OK);
    return m;
}

/* The health of a graph over x: f32[6], which are 0 .. 5 as %1, and i: i32[6] as %2, in all modes. */
static uint32_t health_of(const char *nodes, const int32_t *index) {
    Arena *a = test_arena();
    Str text = str_format(a,
                          "var state v: f32[]\ngraph g {\n  column x: f32[6]\n  column i: i32[6]\n"
                          "  %%1: f32[6] = arg {column=x}\n  %%2: i32[6] = arg {column=i}\n%s}\n", nodes);
    Scenario *s = case_parse(a, text, 1, functions());
    REQUIRE(s != NULL);
    Tensor columns[2] = {tensor_new(a, DT_F32, shape_of(1, (int64_t[]){6})),
                         tensor_new(a, DT_I32, shape_of(1, (int64_t[]){6}))};
    for (int k = 0; k < 6; k++) {
        ((float *)columns[0].data)[k] = (float)k;
    }
    memcpy(columns[1].data, index, 6 * sizeof *index);
    Moment m = s->moments[0];
    m.columns = columns;
    s->vars = NULL, s->moments = &m, s->n_moments = 1;
    Buf what = buf_make(a);
    uint32_t failed;
    After after;
    Error e = {0};
    CHECK_MSG(modes_agree(a, s, MODES_ALL, &failed, &what) && what.n == 0, "%s\n%s", text.s, what.n ? what.s : "");
    REQUIRE(modes_interpret(a, s, &after, &e) == GR_OK);
    return after.health;
}

#define PICK "  %3: f32[6] = gather %1, %2 {batch=0, extent=6}\n"
#define STEP_OF(results) \
    "  graph g.scan {\n    %1: f32[] = arg {body=0}\n    %2: i32[] = arg {body=1}\n    %3: f32[6] = arg {body=2}\n" \
    "    %4: f32[] = gather %3, %2 {batch=0, extent=6}\n    %5: f32[] = add %1, %4\n" results "  }\n"
#define SCAN "  %3: f32[] = const {value=0}\n  %4: f32[] = scan %3, %2, %1 {carries=1, sequences=1, "

TEST_ALL(clause_9_an_index_faults_in_every_mode) {
    static const int32_t inside[] = {5, 0, 3, 3, 1, 2}, high[] = {5, 0, 3, 3, 1, 6}, low[] = {5, 0, 3, 3, 1, -1};
    static const struct { const char *what, *nodes; } cases[] = {
        {"read", PICK "  output value y = %3\n"},
        {"read in part", PICK "  %4: f32[2] = slice %3 {lo=[0], step=[1]}\n  output value y = %4\n"},
        {"not read at all", PICK "  %4: f32[0] = slice %3 {lo=[0], step=[1]}\n  output value y = %4\n"},
        {"not chosen", PICK "  %4: bool[] = const {value=0}\n  %5: bool[6] = broadcast %4 {at=[]}\n"
                            "  %6: f32[6] = select %5, %3, %1\n  output value y = %6\n"},
        {"behind a border", PICK "  %4: f32[8] = pad %3 {lo=[2], hi=[0], value=7}\n"
                                 "  %5: f32[2] = slice %4 {lo=[0], step=[1]}\n  output value y = %5\n"},
        {"added to", "  %3: f32[6] = scatter_add %1, %2 {batch=0, extent=6}\n"
                     "  %4: f32[1] = slice %3 {lo=[3], step=[1]}\n  output value y = %4\n"},
        {"by a step", SCAN "collected=0, length=6, reverse=false}\n" STEP_OF("    output value c = %5\n")
                      "  %5: f32[] = result %4 {index=0}\n  output value y = %5\n"},
        {"by a step, collected for nobody",
         SCAN "collected=1, length=6, reverse=true}\n" STEP_OF("    output value c = %1\n    output value k = %5\n")
         "  %5: f32[] = result %4 {index=0}\n  output value y = %5\n"},
        {"by a step, committed", SCAN "collected=0, length=6, reverse=false}\n" STEP_OF("    output value c = %5\n")
                                 "  %5: f32[] = result %4 {index=0}\n  %6: f32[] = commit %5 {var=v}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_MSG(health_of(cases[i].nodes, inside) == 0, "%s: inside", cases[i].what);
        CHECK_MSG(health_of(cases[i].nodes, high) == HEALTH_INDEX, "%s: high", cases[i].what);
        CHECK_MSG(health_of(cases[i].nodes, low) == HEALTH_INDEX, "%s: low", cases[i].what);
    }
    CHECK_INT(health_of(PICK "  output value y = %1\n", high), 0);
    CHECK_INT(health_of(SCAN "collected=0, length=6, reverse=false}\n" STEP_OF("    output value c = %5\n")
                        "  output value y = %1\n", high), 0);
}

/* ---- what the pass finds, against what the interpreter sees ---- */
typedef struct {
    const Graph *g;
    const Tensor **index;   /* by node: a copy of an index */
    bool outside;
} Seen;

static bool picks(const Node *n) { return n->op == OP_gather || n->op == OP_scatter_add; }

static void see(void *user, Val v, const Tensor *t) {
    Seen *s = user;
    const Node *n = node_of(s->g, v);
    if (t->dtype == DT_I32) {
        Tensor *copy = PUSH(test_arena(), Tensor, 1);
        *copy = tensor_copy(test_arena(), t);
        s->index[v.i] = copy;
    }
    const Tensor *index = picks(n) ? s->index[operand(s->g, v, 1).i] : NULL;
    for (int64_t i = 0; index != NULL && i < shape_count(index->shape); i++) {
        int32_t at = ((const int32_t *)index->data)[i];
        s->outside |= at < 0 || at >= n->attr.gather.extent;
    }
}

static bool picks_in_a_step(const Graph *g, bool step) {
    bool found = false;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        found |= (step && picks(n)) || (n->op == OP_scan && picks_in_a_step(n->attr.scan->body, true));
    }
    return found;
}

TEST(clause_9_checks_are_right) {
    uint32_t faults = 0, clean = 0;
    for (uint64_t seed = 0; seed < 800; seed++) {
        ArenaMark mark = arena_mark(test_arena());
        RandomGraph r = random_graph(test_arena(), seed, 12, 0, functions());
        const Graph *g = opt_check_indices(test_arena(), r.module->graphs.at[0]);
        Seen seen = {g, PUSH(test_arena(), const Tensor *, g->nodes.n), false};
        EvalRun run = {.graph = g, .vars = r.vars, .columns = r.columns, .uniforms = r.uniforms, .threads = 1,
                       .seen = see, .user = &seen};
        Error e = {0};
        REQUIRE(graph_eval(test_arena(), &run, PUSH(test_arena(), Tensor, g->outputs.n + 1), &e) == GR_OK);
        if (!picks_in_a_step(g, false)) {
            bool fault = (run.health & HEALTH_INDEX) != 0;
            CHECK_MSG(fault == seen.outside, "seed %llu: fault %d", (unsigned long long)seed, fault);
            faults += fault, clean += !fault;
        }
        arena_pop(mark);
    }
    CHECK(faults > 8 && clean > 300);
}
