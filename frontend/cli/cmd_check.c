/* graphc check: everything that can be known before the run. */
#include "gradients.h"
#include "table.h"
#include "uses.h"

typedef struct { Common common; } Options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    (void)arg;
    switch (key) {
    case 'j': o->common.json = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {{"json", 'j', 0, 0, "diagnostics as JSON, one a line", 2}, {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.options = options, .parser = parse, .args_doc = "FILE", .children = children,
    .doc = "Checks names, shapes and gradients of FILE, and the runs it uses, without reading its data.\v"
           "Exit status 0 when there are no errors (there may be warnings), else 1."};

static const char *cell_text(Reach r) {
    switch (r) {
    case REACH_YES: return "reached";
    case REACH_ZERO: return "zero";
    case REACH_STOPPED: return "stopped";
    case REACH_NONE: return "-";
    }
    return "";
}

static void print_losses(Session *s, const RecipePhase *p, const RecipeRun *run) {
    const RecipeObjective *o = &s->recipe->objectives.at[run->objective];
    Graph *g = lower_graph(s->program, LOWER_TRAIN, run->name, p->rows, s->diags);
    if (!g) return;
    GradientTable t = gradient_table(s, run->objective, g);
    Table out = table_make(s->arena, t.n_models + 2, "");
    table_cell(&out, "losses of %.*s", FSTR(o->name));
    for (uint32_t m = 0; m < t.n_models; m++) table_cell(&out, "%.*s", FSTR(intern_str(s->module->names, t.models[m])));
    table_end_row(&out);
    for (uint32_t l = 0; l < o->losses.n; l++) {
        table_cell(&out, "  %.*s", FSTR(o->losses.at[l].name));
        for (uint32_t m = 0; m < t.n_models; m++) table_cell(&out, "%s", cell_text(t.cells[l * t.n_models + m]));
        table_cell(&out, "%s", o->losses.at[l].nograd ? "nograd" : "");
    }
    table_print(&out, stdout);
}

static void print_metrics(Session *s, const RecipeObjective *o) {
    if (o->metrics.n == 0) return;
    Table out = table_make(s->arena, 2, "");
    printf("metrics of %.*s\n", FSTR(o->name));
    for (uint32_t i = 0; i < o->metrics.n; i++) {
        table_cell(&out, "  %.*s", FSTR(o->metrics.at[i].name));
        table_cell(&out, "%s", o->metrics.at[i].exact ? "exact over rows"
                                                      : "of each batch, averaged over rows: depends on the batch size");
    }
    table_print(&out, stdout);
}

static void print_settings(Session *s) {
    const Recipe *r = s->recipe;
    if (r->settings.n == 0) return;
    puts("settings");
    Table out = table_make(s->arena, 3, "");
    for (uint32_t i = 0; i < r->settings.n; i++) {
        const RecipeSetting *x = &r->settings.at[i];
        table_cell(&out, "  %.*s", FSTR(x->name));
        table_cell(&out, "= %.*s", FSTR(x->text));
        table_cell(&out, "%s", x->structural ? "a new value is a new program" : "a new value is the same program");
    }
    table_print(&out, stdout);
}

static void print_sweeps(Session *s) {
    const Recipe *r = s->recipe;
    if (r->sweeps.n == 0) return;
    puts("sweeps");
    Table out = table_make(s->arena, 2, "");
    for (uint32_t i = 0; i < r->sweeps.n; i++) {
        const RecipeSweep *x = &r->sweeps.at[i];
        table_cell(&out, "  %.*s", x->name.n ? (int)x->name.n : 1, x->name.n ? x->name.s : "-");
        Buf b = buf_make(s->arena);
        buf_printf(&b, "%u point%s", x->points.n, x->points.n == 1 ? "" : "s");
        if (x->runs != x->points.n) buf_printf(&b, ", %u runs", x->runs);
        if (x->skipped) buf_printf(&b, ", %u skipped", x->skipped);
        table_cell(&out, "%.*s", FSTR(buf_str(&b)));
    }
    table_print(&out, stdout);
}

static void print_all(Session *s) {
    const Recipe *r = s->recipe;
    for (uint32_t p = 0; p < r->phases.n; p++) {
        const RecipePhase *phase = &r->phases.at[p];
        for (uint32_t i = 0; i < phase->runs.n; i++) print_losses(s, phase, &phase->runs.at[i]);
    }
    for (uint32_t i = 0; i < r->objectives.n && r->phases.n > 0; i++) print_metrics(s, &r->objectives.at[i]);
    if (r->phases.n == 0) printf("no mistakes; there is no `train`, so no gradients to follow\n");
    print_settings(s);
    uses_print(s);
    print_sweeps(s);
}

int cmd_check(int argc, char **argv) {
    Options o = {.common = common_make()};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    Session s;
    bool ok = session_open(&s, &o.common);
    ok = session_report(&s, &o.common) && ok;
    Error e = {0};
    if (ok && uses_check(&s, &e) != GR_OK) {
        report_error(&o.common, &e);
        ok = false;
    }
    if (ok && !o.common.json) print_all(&s);
    session_close(&s);
    return ok ? 0 : EXIT_WRONG;
}
