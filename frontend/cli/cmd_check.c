/* graphc check: everything that can be known before the run. */
#include "check.h"
#include "table.h"
#include "uses.h"
#include <stdlib.h>

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
    .doc = "Checks names, shapes and gradients of FILE, and the runs it uses, without reading its data "
           "(but labels, where that is quick).\v"
           "Exit status 0 when there are no errors (there may be warnings), else 1."};

/* ---- JSON ---- */

void check_object(const Check *c, const char *about, json_t *j) {
    (void)c;
    json_t *line = json_object();
    json_object_set_new(line, "about", json_string(about));
    json_object_update(line, j);
    char *text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER);
    GR_ASSERT(text != NULL);
    puts(text);
    free(text);
    json_decref(line);
    json_decref(j);
}

/* ---- the smaller sections ---- */

Str check_of_phase(const Check *c, const RecipePhase *p) {
    return c->s->recipe->phases.n < 2 ? STR("") : str_format(c->s->arena, " of %.*s", FSTR(p->name));
}

static json_t *metric_json(const RecipeObjective *o, const RecipeMetric *m) {
    json_t *j = json_object();
    json_object_set_new(j, "objective", json_text(o->name));
    json_object_set_new(j, "name", json_text(m->name));
    json_object_set_new(j, "exact", json_boolean(m->exact));
    return j;
}

static void print_metrics(const Check *c, const RecipeObjective *o) {
    Table out = table_make(c->s->arena, 2, "");
    for (uint32_t exact = 2; exact-- > 0;) {
        Buf names = buf_make(c->s->arena);
        for (uint32_t i = 0; i < o->metrics.n; i++) {
            const RecipeMetric *m = &o->metrics.at[i];
            if (m->exact != exact) continue;
            if (c->json) check_object(c, "metric", metric_json(o, m));
            buf_printf(&names, "%s%.*s", names.n ? ", " : "", FSTR(m->name));
        }
        if (names.n == 0) continue;
        table_cell(&out, exact ? "  exact over rows" : "  mean of batches");
        table_cell(&out, exact ? "%.*s" : "%.*s: depends on `batch`", FSTR(buf_str(&names)));
    }
    if (c->json || o->metrics.n == 0) return;
    printf("metrics of %.*s\n", FSTR(o->name));
    table_print(&out, stdout);
}

/* Those whose new value is a new program, or those whose new value is not. */
static void put_settings(const Recipe *r, bool structural, Table *out) {
    Buf b = buf_make(out->arena);
    for (uint32_t i = 0; i < r->settings.n; i++) {
        const RecipeSetting *x = &r->settings.at[i];
        if (x->structural == structural)
            buf_printf(&b, "%s%.*s = %.*s", b.n ? ", " : "", FSTR(x->name), FSTR(x->text));
    }
    if (b.n == 0) return;
    table_cell(out, structural ? "  new program" : "  same program");
    table_cell(out, "%.*s", FSTR(buf_str(&b)));
}

static void print_settings(const Check *c) {
    const Recipe *r = c->s->recipe;
    for (uint32_t i = 0; i < r->settings.n && c->json; i++) {
        const RecipeSetting *x = &r->settings.at[i];
        json_t *j = json_object();
        json_object_set_new(j, "name", json_text(x->name));
        json_object_set_new(j, "value", json_text(x->text));
        json_object_set_new(j, "new_program", json_boolean(x->structural));
        check_object(c, "setting", j);
    }
    if (c->json || r->settings.n == 0) return;
    puts("settings");
    Table out = table_make(c->s->arena, 2, "");
    put_settings(r, true, &out);
    put_settings(r, false, &out);
    table_print(&out, stdout);
}

static void print_sweeps(const Check *c) {
    Session *s = c->s;
    const Recipe *r = s->recipe;
    for (uint32_t i = 0; i < r->sweeps.n && c->json; i++) {
        json_t *j = json_object();
        json_object_set_new(j, "name", json_text(r->sweeps.at[i].name));
        json_object_set_new(j, "points", json_integer(r->sweeps.at[i].points));
        json_object_set_new(j, "runs", json_integer(r->sweeps.at[i].runs.n));
        json_object_set_new(j, "skipped", json_integer(r->sweeps.at[i].skipped));
        check_object(c, "sweep", j);
    }
    if (r->sweeps.n == 0 || c->json) return;
    puts("sweeps");
    Table out = table_make(s->arena, 2, "");
    for (uint32_t i = 0; i < r->sweeps.n; i++) {
        const RecipeSweep *x = &r->sweeps.at[i];
        table_cell(&out, "  %.*s", x->name.n ? (int)x->name.n : 1, x->name.n ? x->name.s : "-");
        Buf b = buf_make(s->arena);
        buf_printf(&b, "%u point%s", x->points, x->points == 1 ? "" : "s");
        if (x->runs.n != x->points) buf_printf(&b, ", %u runs", x->runs.n);
        if (x->skipped) buf_printf(&b, ", %u skipped", x->skipped);
        table_cell(&out, "%.*s", FSTR(buf_str(&b)));
    }
    table_print(&out, stdout);
}

static void print_modules(const Check *c) {
    const Recipe *r = c->s->recipe;
    Table out = table_make(c->s->arena, 2, "");
    for (uint32_t i = 0; i < r->uses.n; i++) {
        const char *what = uses_what(c->s, &r->uses.at[i]);
        if (c->json) {
            json_t *j = json_object();
            json_object_set_new(j, "name", json_text(r->uses.at[i].name));
            json_object_set_new(j, "is", json_string(what));
            check_object(c, "module", j);
            continue;
        }
        table_cell(&out, "  %.*s", FSTR(r->uses.at[i].name));
        table_cell(&out, "%s", what);
    }
    if (r->uses.n == 0 || c->json) return;
    puts("modules");
    table_print(&out, stdout);
}

static void print_all(const Check *c) {
    const Recipe *r = c->s->recipe;
    for (uint32_t p = 0; p < r->phases.n; p++) {
        const RecipePhase *phase = &r->phases.at[p];
        for (uint32_t i = 0; i < phase->runs.n; i++) check_losses(c, phase, &phase->runs.at[i]);
    }
    for (uint32_t i = 0; i < r->objectives.n && r->phases.n > 0; i++) print_metrics(c, &r->objectives.at[i]);
    if (r->phases.n == 0 && !c->json) printf("no mistakes; there is no `train`, so no gradients to follow\n");
    for (uint32_t p = 0; p < r->phases.n; p++) check_schedules(c, &r->phases.at[p]);
    for (uint32_t p = 0; p < r->phases.n; p++) check_precision(c, &r->phases.at[p]);
    for (uint32_t p = 0; p < r->phases.n; p++) check_convolution(c, &r->phases.at[p]);
    for (uint32_t p = 0; p < r->phases.n; p++) check_batches(c, &r->phases.at[p]);
    if (r->phases.n > 0) {
        check_renewals(c);
        check_columns(c);
        check_baselines(c);
    }
    print_settings(c);
    print_modules(c);
    print_sweeps(c);
}

int cmd_check(int argc, char **argv) {
    Options o = {.common = common_make()};
    options_parse(&parser, argc, argv, &o);
    Session s;
    bool ok = session_open(&s, &o.common);
    ok = session_report(&s, &o.common) && ok;
    Error e = {0};
    if (ok && uses_check(&s, &e) != GR_OK) {
        report_error(&o.common, &e);
        ok = false;
    }
    Diags *found = diags_create(s.arena, s.files);
    if (ok) print_all(&(Check){&s, o.common.json, found});
    if (diags_count(found) > 0) {
        fflush(stdout);                    /* what is wrong stands behind what there is */
        report_diags(found, &o.common);
    }
    session_close(&s);
    return ok ? 0 : EXIT_WRONG;
}
