/* graphc check: everything that can be known before the run. */
#include "gradients.h"
#include <string.h>

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
    .doc = "Checks names, shapes and gradients of FILE without reading its data.\v"
           "Exit status 0 when there are no errors (there may be warnings), else 1."};

static const char *cell_text(const LossReach *c) {
    switch (c->best.reach) {
    case REACH_YES: return "reached";
    case REACH_ZERO: return "zero";
    case REACH_STOPPED: return "stopped";
    case REACH_NONE: return "-";
    }
    return "";
}

static void print_losses(Session *s, uint32_t phase) {
    const RecipePhase *p = &s->recipe->phases.at[phase];
    const RecipeObjective *o = &s->recipe->objectives.at[p->objective];
    Graph *g = lower_graph(s->program, LOWER_TRAIN, p->name, p->batch, s->diags);
    if (!g) return;
    GradientTable t = gradient_table(s, phase, g);
    printf("losses of %-14.*s", FSTR(o->name));
    for (uint32_t m = 0; m < t.n_models; m++) printf(" %-12.*s", FSTR(intern_str(s->module->names, t.models[m])));
    putchar('\n');
    for (uint32_t l = 0; l < o->losses.n; l++) {
        printf("  %-22.*s", FSTR(o->losses.at[l].name));
        for (uint32_t m = 0; m < t.n_models; m++) printf(" %-12s", cell_text(&t.cells[l * t.n_models + m]));
        puts(o->losses.at[l].nograd ? " nograd" : "");
    }
    for (uint32_t i = 0; i < o->metrics.n; i++)
        printf("  metric %-15.*s %s\n", FSTR(o->metrics.at[i].name),
               o->metrics.at[i].exact ? "exact over rows" : "of each batch, averaged over rows: depends on the batch size");
}

static void print_settings(const Recipe *r) {
    for (int structural = 1; structural >= 0; structural--) {
        bool any = false;
        for (uint32_t i = 0; i < r->settings.n; i++) {
            const RecipeSetting *x = &r->settings.at[i];
            if (x->structural != (bool)structural) continue;
            if (!any) fputs(structural ? "a new value is a new program " : "a new value is the same program", stdout);
            any = true;
            printf("  %.*s = %.*s", FSTR(x->name), FSTR(x->text));
        }
        if (any) putchar('\n');
    }
}

int cmd_check(int argc, char **argv) {
    Options o = {.common = common_make()};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    Session s;
    bool ok = session_open(&s, &o.common);
    ok = session_report(&s, &o.common) && ok;
    if (ok && !o.common.json) {
        for (uint32_t p = 0; p < s.recipe->phases.n; p++) print_losses(&s, p);
        print_settings(s.recipe);
    }
    session_close(&s);
    return ok ? 0 : EXIT_WRONG;
}
