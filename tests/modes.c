/* See modes.h.  A plan is made and compiled once for all thread counts of one machine and variant.  Memory
 * starts as garbage but for the variables, so that whoever reads what nobody wrote is seen. */
#include "modes.h"
#include "exec.h"
#include "hash.h"
#include "processor.h"
#include "target.h"
#include <string.h>

enum { GARBAGE = 0x7b };
#ifdef __SANITIZE_ADDRESS__
static const bool k_sanitize = true; /* kernels are instrumented as the program is */
#else
static const bool k_sanitize = false;
#endif

Mode mode_of(uint32_t i) {
    static const uint32_t threads[3] = {1, 2, 3};
    Mode m = {i < 6 ? "host" : "haswell", i / 3 % 2 == 1, threads[i % 3]};
    return m;
}

Str mode_name(Arena *a, Mode m) {
    const char *variant = m.fused ? "fused" : "unfused";
    return m.threads == 0
               ? str_format(a, "%s, %s, kernel interpreter", variant, m.cpu)
               : str_format(a, "%s, %s, %u thread%s", variant, m.cpu, m.threads, m.threads == 1 ? "" : "s");
}

/* ---- the interpreter ---- */
static Tensor zeroed(Arena *a, const Var *v) { return tensor_new(a, v->dtype, v->shape); }

static Tensor *vars_at_start(Arena *a, const Scenario *s) {
    uint32_t n = s->meaning->vars.n;
    Tensor *vars = PUSH(a, Tensor, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        vars[i] = s->vars ? tensor_copy(a, &s->vars[i]) : zeroed(a, &s->meaning->vars.at[i]);
    }
    return vars;
}

GrStatus modes_interpret(Arena *a, const Scenario *s, After *out, Error *e) {
    uint32_t n_vars = s->meaning->vars.n;
    Tensor *vars = vars_at_start(a, s);
    for (uint32_t m = 0; m < s->n_moments; m++) {
        const Moment *at = &s->moments[m];
        const Graph *g = s->meaning->graphs.at[at->graph];
        out[m] = (After){.vars = PUSH(a, Tensor, n_vars + 1), .outputs = PUSH(a, Tensor, g->outputs.n + 1)};
        EvalRun run = {
            .graph = g, .vars = vars, .columns = at->columns, .uniforms = at->uniforms, .threads = 1};
        TRY(graph_eval(a, &run, out[m].outputs, e));
        out[m].health = run.health;
        for (uint32_t i = 0; i < n_vars; i++) {
            out[m].vars[i] = tensor_copy(a, &vars[i]);
        }
    }
    return GR_OK;
}

/* ---- plans ---- */
typedef struct {
    Planned planned;
    Code *code;
} Built;

static GrStatus plan_scenario(Arena *a, const Scenario *s, Mode m, Planned *out, Error *e) {
    FuseOptions o = {.fused = m.fused, .threads = 2, .cpu = cpu_target_of(m.cpu)};
    TRY(fuse_module(a, s->final, &o, out, e));
    for (uint32_t i = 0; i < out->kernels.n; i++) {
        if (!kernel_verify(out->kernels.at[i], e))
            return e->status = GR_PROGRAM;
    }
    return plan_verify(out->plan, e) ? GR_OK : (e->status = GR_PROGRAM);
}

static GrStatus build(Arena *a, const Scenario *s, Mode m, Built *out, Error *e) {
    *out = (Built){0};
    TRY(plan_scenario(a, s, m, &out->planned, e));
    if (m.threads == 0)
        return GR_OK;
    CodeOptions o = {.cpu = strcmp(m.cpu, "host") == 0 ? NULL : m.cpu,
                     .sanitize = k_sanitize,
                     .threads = 1,
                     .cache_dir = "",
                     .generator = GRAPHC_BUILD "/lib/libgraphc-llvm.so"};
    TRY(code_create(a, &o, &out->code, e));
    uint32_t n = out->planned.kernels.n;
    const Kernel **kernels = PUSH(a, const Kernel *, n + 1);
    uint32_t *which = PUSH(a, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        kernels[i] = out->planned.kernels.at[i], which[i] = i;
    }
    return code_load(out->code, out->planned.plan, kernels, n, which, e);
}

/* ---- running a plan: by the executor, or by the kernel interpreter over memory of our own ---- */
typedef struct {
    const Built *built;
    Exec *exec;
    char *memory;
} Machine;

static void *buffer_at(const Machine *x, uint32_t id) {
    return x->exec ? exec_buffer(x->exec, id) : x->memory + x->built->planned.plan->buffers.at[id].offset;
}

static GrStatus machine_open(Arena *a, const Built *b, Mode m, Machine *out, Error *e) {
    const Plan *p = b->planned.plan;
    *out = (Machine){.built = b};
    if (m.threads > 0) {
        PlanCode *code = PUSH(a, PlanCode, 1);
        *code = code_table(b->code);
        TRY(exec_create(a, p, code, (ExecOptions){m.threads}, &out->exec, e));
    } else {
        out->memory = arena_push(a, p->arena_bytes, BUFFER_ALIGN);
    }
    for (uint32_t i = 0; i < p->buffers.n; i++) {
        if (p->buffers.at[i].region != REGION_HEALTH)
            memset(buffer_at(out, i), GARBAGE, p->buffers.at[i].bytes);
    }
    return GR_OK;
}

static size_t tensor_bytes(const Tensor *t) { return (size_t)shape_count(t->shape) * dtype_bytes(t->dtype); }

static Tensor read_out(Arena *a, const Machine *x, uint32_t buffer) {
    const PlanBuffer *b = &x->built->planned.plan->buffers.at[buffer];
    Tensor t = {b->dtype, b->shape, buffer_at(x, buffer)};
    return tensor_copy(a, &t);
}

static const PlanEntry *entry_of(const Scenario *s, const Plan *p, Mode m, uint32_t graph) {
    const Graph *g = s->final->graphs.at[graph];
    const char *name = intern_str(s->final->names, g->name).s;
    const PlanEntry *entry = plan_entry(p, name, g->rows, m.fused ? "fused" : "unfused");
    GR_ASSERT(entry != NULL);
    return entry;
}

static void run_moment(Arena *a, const Scenario *s, Machine *x, const PlanEntry *entry, const Moment *at,
                       After *out) {
    const Planned *planned = &x->built->planned;
    const Plan *p = planned->plan;
    const Graph *g = s->final->graphs.at[at->graph];
    for (uint32_t i = 0; i < entry->n_columns; i++) {
        memcpy(buffer_at(x, p->bindings.at[entry->first_column + i].buffer), at->columns[i].data,
               tensor_bytes(&at->columns[i]));
    }
    out->health = x->exec ? exec_run(x->exec, entry, at->uniforms)
                          : plan_eval(a, planned, entry, s->math, x->memory, at->uniforms);
    out->vars = PUSH(a, Tensor, p->vars.n + 1);
    out->outputs = PUSH(a, Tensor, g->outputs.n + 1);
    for (uint32_t i = 0; i < p->vars.n; i++) {
        out->vars[i] = read_out(a, x, p->vars.at[i].buffer);
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        out->outputs[i] = read_out(a, x, p->bindings.at[entry->first_output + i].buffer);
    }
}

static GrStatus run_built(Arena *a, const Scenario *s, const Built *b, Mode m, After *out, Error *e) {
    Machine x;
    TRY(machine_open(a, b, m, &x, e));
    const Plan *p = b->planned.plan;
    const Tensor *vars = vars_at_start(a, s);
    for (uint32_t i = 0; i < p->vars.n; i++) {
        memcpy(buffer_at(&x, p->vars.at[i].buffer), vars[i].data, tensor_bytes(&vars[i]));
    }
    for (uint32_t k = 0; k < s->n_moments; k++) {
        run_moment(a, s, &x, entry_of(s, p, m, s->moments[k].graph), &s->moments[k], &out[k]);
    }
    exec_destroy(x.exec);
    return GR_OK;
}

GrStatus modes_run(Arena *a, const Scenario *s, Mode m, After *out, Error *e) {
    Built b;
    GrStatus status = build(a, s, m, &b, e);
    if (status == GR_OK)
        status = run_built(a, s, &b, m, out, e);
    code_destroy(b.code);
    return status;
}

/* ---- comparing ---- */
static double element(const Tensor *t, int64_t i) {
    double x = 0;
    scalar_eval(S_cast, DT_F64, t->dtype, 1, &x, (const char *)t->data + i * dtype_bytes(t->dtype), NULL,
                NULL);
    return x;
}

static bool same(const char *kind, Str name, const Tensor *want, const Tensor *got, Buf *what) {
    int64_t i;
    if (tensor_same(want, got, &i))
        return true;
    buf_printf(what, "%s `%.*s`, element %lld, is %.9g; the interpreter has %.9g", kind, FSTR(name),
               (long long)i, element(got, i), element(want, i));
    return false;
}

static bool same_after(const Scenario *s, uint32_t moment, const After *want, const After *got, Buf *what) {
    const Graph *g = s->meaning->graphs.at[s->moments[moment].graph];
    const Module *m = s->meaning;
    buf_printf(what, "%.*s (%u): ", FSTR(intern_str(m->names, g->name)), moment);
    if (want->health != got->health) {
        buf_printf(what, "health is %u; the interpreter has %u", got->health, want->health);
        return false;
    }
    for (uint32_t i = 0; i < m->vars.n; i++) {
        if (!same("variable", m->vars.at[i].path, &want->vars[i], &got->vars[i], what))
            return false;
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        if (!same("output", intern_str(m->names, g->outputs.at[i].name), &want->outputs[i], &got->outputs[i],
                  what))
            return false;
    }
    return true;
}

static bool same_run(Arena *a, const Scenario *s, const Built *b, Mode m, const After *want, Buf *what) {
    Error e = {0};
    After *got = PUSH(a, After, s->n_moments + 1);
    Str name = mode_name(a, m);
    if (run_built(a, s, b, m, got, &e) != GR_OK) {
        buf_printf(what, "%.*s: %s", FSTR(name), e.what);
        return false;
    }
    for (uint32_t k = 0; k < s->n_moments; k++) {
        Buf one = buf_make(a);
        if (same_after(s, k, &want[k], &got[k], &one))
            continue;
        buf_printf(what, "%.*s: %.*s", FSTR(name), FSTR(buf_str(&one)));
        return false;
    }
    return true;
}

/* The modes of one plan: the kernel interpreter always, since it tells wrong fusion from wrong code. */
static bool plan_agrees(Arena *a, const Scenario *s, uint32_t first, uint32_t set, const After *want,
                        uint32_t *failed, Buf *what) {
    Built b;
    Error e = {0};
    Mode meaning = mode_of(first);
    bool agree = true;
    *failed = 7u << first & set; /* before anything can crash */
    GrStatus status = build(a, s, mode_of(first), &b, &e);
    if (status != GR_OK) {
        agree = status == GR_UNSUPPORTED; /* not all graphs can be fused; that is said, not guessed */
        buf_printf(what, "%.*s: %s", FSTR(mode_name(a, meaning)), e.what);
    }
    for (uint32_t i = 0; i <= 3 && agree && status == GR_OK; i++) {
        Mode m = i == 0 ? meaning : mode_of(first + i - 1);
        if (i == 0)
            m.threads = 0;
        else if ((set >> (first + i - 1) & 1) == 0)
            continue;
        agree = same_run(a, s, &b, m, want, what);
        if (!agree && i > 0)
            *failed = 1u << (first + i - 1);
    }
    code_destroy(b.code);
    return agree;
}

bool modes_agree(Arena *a, const Scenario *s, uint32_t set, uint32_t *failed, Buf *what) {
    Error e = {0};
    After *want = PUSH(a, After, s->n_moments + 1);
    *failed = set;
    if (modes_interpret(a, s, want, &e) != GR_OK) {
        buf_printf(what, "graph interpreter: %s", e.what);
        return false;
    }
    for (uint32_t first = 0; first < MODE_COUNT; first += 3) {
        if ((set >> first & 7) != 0 && !plan_agrees(a, s, first, set, want, failed, what))
            return false;
    }
    *failed = 0;
    return true;
}

uint64_t modes_hash(const Module *m, const After *after) {
    uint64_t h = 0;
    for (uint32_t i = 0; i < m->vars.n; i++) {
        const Tensor *t = &after->vars[i];
        if (m->vars.at[i].kind != VAR_PARAM)
            continue;
        h = hash_str(h, m->vars.at[i].path);
        for (int64_t k = 0; k < shape_count(t->shape); k++) {
            uint32_t bits = f32_bits_canonical(((const float *)t->data)[k]);
            h = hash_bytes(h, &bits, sizeof bits);
        }
    }
    return h;
}
