/* graphc dump: the program at any stage, as the text that the stage's own parser reads, or as a picture. */
#include "cli.h"
#include "canvas.h"
#include "chart.h"
#include "picture.h"
#include <string.h>

/*  stage     what is printed */
#define STAGES(_) \
    _(ast,    "the syntax tree") \
    _(graph,  "the lowered graphs: what the program means, before differentiation") \
    _(grad,   "the graphs after differentiation: what the semantics are defined on") \
    _(opt,    "the graphs after every rewrite: what fusion sees") \
    _(fused,  "what shares a kernel, and what was refused") \
    _(kernel, "the kernels") \
    _(plan,   "buffers, launches and the uniform program") \
    _(memory, "what lies in the arena, wave by wave") \
    _(llvm,   "LLVM IR of the kernels") \
    _(asm,    "machine code of the kernels")
typedef enum {
#define X(id, what) STAGE_TEXT_##id,
    STAGES(X)
#undef X
} DumpStage;
static const struct { const char *name, *what; } stages[] = {
#define X(id, what) {#id, what},
    STAGES(X)
#undef X
};
enum { STAGE_COUNT = sizeof stages / sizeof stages[0] };

typedef struct { Common common; int stage; const char *only, *variant, *picture; } Options;
enum { KEY_STAGE = 0x200, KEY_ONLY, KEY_VARIANT, KEY_PICTURE };

static bool stage_is_drawn(int stage) {
    return stage == STAGE_TEXT_graph || stage == STAGE_TEXT_grad || stage == STAGE_TEXT_opt ||
           stage == STAGE_TEXT_fused || stage == STAGE_TEXT_memory;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_STAGE:
        for (int i = 0; i < STAGE_COUNT; i++)
            if (strcmp(stages[i].name, arg) == 0) o->stage = i;
        if (o->stage < 0)
            argp_error(
                state,
                "there is no stage `%s`; stages are ast, graph, grad, opt, fused, kernel, plan, memory, llvm, asm",
                arg);
        return 0;
    case KEY_ONLY: o->only = arg; return 0;
    case KEY_VARIANT:
        if (strcmp(arg, "fused") && strcmp(arg, "unfused") && strcmp(arg, "blas"))
            argp_error(state, "variants are fused, unfused and blas, not `%s`", arg);
        o->variant = arg;
        return 0;
    case KEY_PICTURE:
        if (!sheet_known(arg))
            argp_error(state, "a picture is an .svg, .png, .pdf or .dot, by the ending of its name, not `%s`",
                       arg);
        o->picture = arg;
        return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &o->common; return 0;
    case ARGP_KEY_END:
        if (o->stage < 0 && !o->picture) argp_error(state, "which --stage?");
        if (o->picture && o->stage >= 0 && !stage_is_drawn(o->stage))
            argp_error(state, "there is no picture of the stage `%s`; of graph, grad, opt, fused and memory there "
                              "is, and without --stage of the model", stages[o->stage].name);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"stage", KEY_STAGE, "STAGE", 0, "ast, graph, grad, opt, fused, kernel, plan, memory, llvm or asm", 2},
    {"only", KEY_ONLY, "NAME", 0, "only declarations, graphs or kernels with this in their name", 2},
    {"picture", KEY_PICTURE, "FILE", 0,
     "draw it into FILE (.svg, .png, .pdf, .dot): the model, or a --stage of graph, grad, opt, fused, memory", 2},
    {"variant", KEY_VARIANT, "V", 0, "fused (what runs), unfused or blas", 2},
    {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};

static char *stage_help(int key, const char *text, void *input) {
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) return (char *)text;
    Arena *a = arena_create();
    Buf out = buf_make(a);
    buf_put(&out, STR("Stages, in order:\n"));
    for (int i = 0; i < STAGE_COUNT; i++) buf_printf(&out, "  %-7s %s\n", stages[i].name, stages[i].what);
    char *copy = strdup(out.s);
    arena_destroy(a);
    return copy;
}
static const struct argp parser = {.options = options, .parser = parse, .args_doc = "FILE", .children = children,
    .help_filter = stage_help, .doc = "Prints the program of FILE at a stage of compilation, or draws it.\v "};

static bool selected(const Options *o, Str name) { return !o->only || strstr(name.s, o->only) != NULL; }

static int nothing_selected(const Options *o, const char *what) {
    fprintf(stderr,
            "graphc: no %s at this stage has `%s` in its name\n  help: without --only all are printed\n",
            what, o->only);
    return EXIT_WRONG;
}

static void put(const Buf *out) { fwrite(out->s, 1, out->n, stdout); }

static int dump_ast(Session *s, const Options *o) {
    Buf out = buf_make(s->arena);
    const AstFile *file = parse_source(s->arena, s->main, s->diags);
    AstFile chosen = *file;
    memset(&chosen.decls, 0, sizeof chosen.decls);
    for (uint32_t i = 0; i < file->decls.n; i++) {
        Decl *d = file->decls.at[i];
        bool nameless = d->kind == DECL_TRAIN && d->name.text.n == 0;
        if (selected(o, nameless ? STR("train") : str_copy(s->arena, d->name.text)))
            vec_push(s->arena, &chosen.decls, d);
    }
    if (o->only && chosen.decls.n == 0) return nothing_selected(o, "declaration");
    ast_print(&chosen, &out);
    put(&out);
    return 0;
}

/* As a module: the variables and the uniform program first, since the graphs name them. */
static int dump_graphs(Session *s, const Options *o, const Module *m, const char *stop) {
    PassOptions passes = {.stop_after = stop};
    Module chosen = *m;
    memset(&chosen.graphs, 0, sizeof chosen.graphs);
    for (uint32_t i = 0; i < m->graphs.n; i++) {
        const Graph *g = m->graphs.at[i];
        if (!selected(o, intern_str(m->names, g->name))) continue;
        if (stop) g = pipeline_run(s->arena, g, &passes, s->files, s->diags);
        if (!g) return EXIT_WRONG;
        vec_push(s->arena, &chosen.graphs, (Graph *)g);
    }
    if (chosen.graphs.n == 0) return nothing_selected(o, "graph");
    Buf out = buf_make(s->arena);
    module_print(&chosen, &out);
    put(&out);
    return 0;
}

static GrStatus put_kernel(Session *s, const Options *o, Compiled *c, uint32_t i, Error *e) {
    const Kernel *k = c->planned.kernels.at[i];
    Buf out = buf_make(s->arena);
    if (o->stage == STAGE_TEXT_kernel) {
        kernel_print(k, s->files, &out);
    } else {
        Str text;
        if (!c->code) TRY(compile_load(&o->common, c, 0, NULL, e));
        TRY(code_text(c->code, s->arena, k, o->stage == STAGE_TEXT_llvm ? GEN_TEXT_IR : GEN_TEXT_ASM, &text, e));
        buf_put(&out, text);
    }
    put(&out);
    return GR_OK;
}

static int dump_kernels(Session *s, const Options *o, Compiled *c) {
    uint32_t printed = 0;
    for (uint32_t i = 0; i < c->planned.kernels.n; i++) {
        Error e = {0};
        if (!selected(o, c->planned.kernels.at[i]->name)) continue;
        if (put_kernel(s, o, c, i, &e) != GR_OK) return report_error(&o->common, &e);
        printed++;
    }
    return printed ? 0 : nothing_selected(o, "kernel");
}

/* The plan with the entries of the graphs that were asked for. */
static Plan entries_chosen(Session *s, const Options *o, const Plan *plan) {
    Plan chosen = *plan;
    memset(&chosen.entries, 0, sizeof chosen.entries);
    for (uint32_t i = 0; i < plan->entries.n; i++)
        if (selected(o, str_copy(s->arena, plan->entries.at[i].name)))
            vec_push(s->arena, &chosen.entries, plan->entries.at[i]);
    return chosen;
}

static int dump_planned(Session *s, const Options *o, Compiled *c) {
    Error e = {0};
    if (compile_plan(s, &o->common, c, o->variant, &e) != GR_OK) return report_error(&o->common, &e);
    Buf out = buf_make(s->arena);
    Plan chosen = entries_chosen(s, o, c->planned.plan);
    Planned planned = c->planned;
    planned.plan = &chosen;
    bool none = chosen.entries.n == 0;
    switch ((DumpStage)o->stage) {
    case STAGE_TEXT_fused:
        if (none) return nothing_selected(o, "graph");
        fuse_explain(&planned, &c->final, s->files, &out);
        break;
    case STAGE_TEXT_plan:
        if (none) return nothing_selected(o, "graph");
        plan_print(&chosen, s->files, &out);
        break;
    case STAGE_TEXT_memory:
        if (none) return nothing_selected(o, "graph");
        for (uint32_t i = 0; i < c->planned.plan->entries.n; i++)
            if (selected(o, str_copy(s->arena, c->planned.plan->entries.at[i].name)))
                memory_text(&c->planned, i, s->files, &out);
        break;
    case STAGE_TEXT_ast: case STAGE_TEXT_graph: case STAGE_TEXT_grad: case STAGE_TEXT_opt: case STAGE_TEXT_kernel:
    case STAGE_TEXT_llvm: case STAGE_TEXT_asm: return dump_kernels(s, o, c);
    }
    put(&out);
    return 0;
}

/* Without --only: what a training does, or the exports. */
static bool drawn(const Options *o, LowerKind kind, Str name) {
    return o->only ? selected(o, name) : kind == LOWER_TRAIN || kind == LOWER_EXPORT;
}

static GrStatus draw_entry(Session *s, const Options *o, Compiled *c, uint32_t i, Sheet *sheet, bool *any,
                           Error *e) {
    const Graph *g = c->lowered.graphs.at[i];
    if (o->stage == STAGE_TEXT_fused) {
        *any |= picture_kernels(sheet, s->files, &c->planned, &c->planned.plan->entries.at[i]);
        return GR_OK;
    }
    PassOptions passes = {.stop_after = "grad"};
    if (o->stage == STAGE_TEXT_grad) g = pipeline_run(s->arena, g, &passes, s->files, s->diags);
    if (o->stage == STAGE_TEXT_opt) g = c->final.graphs.at[i];
    if (!g) return fail(e, GR_PROGRAM, "the graph cannot be differentiated");
    *any |= o->stage < 0 ? picture_model(sheet, s->program, g) : picture_graph(sheet, s->program, g);
    return GR_OK;
}

static int dump_picture(Session *s, const Options *o, const Entries *entries, Compiled *c) {
    Error e = {0};
    if (o->stage == STAGE_TEXT_fused && compile_plan(s, &o->common, c, o->variant, &e) != GR_OK)
        return report_error(&o->common, &e);
    Sheet *sheet = sheet_create(s->arena, str_of(o->common.file));
    bool any = false;
    GrStatus status = GR_OK;
    for (uint32_t i = 0; i < entries->at.n && status == GR_OK; i++)
        if (drawn(o, entries->at.at[i].kind, intern_str(s->module->names, c->lowered.graphs.at[i]->name)))
            status = draw_entry(s, o, c, i, sheet, &any, &e);
    if (status == GR_OK && any) status = sheet_write(sheet, o->picture, &e);
    sheet_destroy(sheet);
    if (status != GR_OK) return report_error(&o->common, &e);
    if (any) return 0;
    if (o->only) return nothing_selected(o, "graph with something to draw");
    fail(&e, GR_USAGE, "there is nothing to draw in %s", o->common.file);
    return report_error(&o->common, &e);
}

/* Of the entry with the highest peak among those asked for: a page shows one. */
static int draw_memory(Session *s, const Options *o, Compiled *c) {
    Error e = {0};
    if (!canvas_known(o->picture)) {
        fail(&e, GR_USAGE, "memory is drawn as an .svg, .png or .pdf, not as `%s`", o->picture);
        return report_error(&o->common, &e);
    }
    if (compile_plan(s, &o->common, c, o->variant, &e) != GR_OK) return report_error(&o->common, &e);
    const Plan *plan = c->planned.plan;
    uint32_t entry = plan->entries.n;
    uint64_t most = 0;
    for (uint32_t i = 0; i < plan->entries.n; i++) {
        if (!selected(o, str_copy(s->arena, plan->entries.at[i].name))) continue;
        uint32_t waves;
        const uint64_t *live = plan_lives(s->arena, &c->planned, i, &waves);
        for (uint32_t w = 0; w < waves; w++) {
            if (entry < plan->entries.n && live[w] <= most) continue;
            entry = i;
            most = live[w];
        }
    }
    if (entry == plan->entries.n) return nothing_selected(o, "graph");
    if (memory_picture(&c->planned, entry, s->files, o->picture, &e) != GR_OK) return report_error(&o->common, &e);
    return 0;
}

/* The entries of all phases; a file's exports when it trains nothing. */
static int dump(Session *s, const Options *o) {
    Entries entries = {0};
    program_entries(s, &entries);
    if (entries.at.n == 0) return report_no_entry(&o->common);
    Compiled c;
    if (!compile_graphs(s, &o->common, entries.at.n, entries.at.at, &c)) return EXIT_WRONG;
    if (o->picture && o->stage == STAGE_TEXT_memory) return draw_memory(s, o, &c);
    if (o->picture) return dump_picture(s, o, &entries, &c);
    if (o->stage == STAGE_TEXT_graph) return dump_graphs(s, o, &c.lowered, NULL);
    if (o->stage == STAGE_TEXT_grad) return dump_graphs(s, o, &c.lowered, "grad");
    if (o->stage == STAGE_TEXT_opt) return dump_graphs(s, o, &c.final, NULL);
    int status = dump_planned(s, o, &c);
    compile_times(&c, &o->common);
    compile_close(&c);
    return status;
}

int cmd_dump(int argc, char **argv) {
    Options o = {.common = common_make(), .stage = -1, .variant = "fused"};
    options_parse(&parser, argc, argv, &o);
    Session s;
    bool ok = session_open(&s, &o.common);
    int status = EXIT_WRONG;
    if (o.stage == STAGE_TEXT_ast && s.main) status = dump_ast(&s, &o);
    else if (ok) status = dump(&s, &o);
    if (!session_report(&s, &o.common)) status = EXIT_WRONG;
    session_close(&s);
    return status;
}
